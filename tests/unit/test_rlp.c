#include "core/abi/rlp.h"
#include "core/abi/tx.h"
#include "core/hash/hash.h"
#include <json-glib/json-glib.h>
#include <string.h>

static JsonObject *
load_vectors (JsonParser *parser)
{
  g_autoptr (GError) error = NULL;

  json_parser_load_from_file (parser, MOOSH_SOURCE_DIR "/tests/vectors/rlp.json", &error);
  g_assert_no_error (error);
  return json_node_get_object (json_parser_get_root (parser));
}

static guint8 *
unhex (const char *hex, gsize *ret_len)
{
  guint8 *bytes = g_malloc (strlen (hex) / 2 + 1);

  *ret_len = strlen (hex) / 2;
  g_assert_cmpint (moosh_hex_decode (hex, bytes, *ret_len), ==, MOOSH_OK);
  return bytes;
}

static void
write_node (MooshRlpWriter *writer, JsonNode *node)
{
  const char *text;

  if (JSON_NODE_HOLDS_ARRAY (node))
    {
      JsonArray *array = json_node_get_array (node);
      gsize mark = moosh_rlp_list_begin (writer);

      for (guint i = 0; i < json_array_get_length (array); i++)
        write_node (writer, json_array_get_element (array, i));
      moosh_rlp_list_end (writer, mark);
      return;
    }
  text = json_node_get_string (node);
  if (text == NULL)
    moosh_rlp_u64 (writer, (guint64)json_node_get_int (node));
  else if (text[0] == '#')
    {
      MooshU256 v;

      g_assert_cmpint (moosh_u256_from_decimal (text + 1, &v), ==, MOOSH_OK);
      moosh_rlp_u256 (writer, &v);
    }
  else if (g_str_has_prefix (text, "0x"))
    {
      gsize len;
      g_autofree guint8 *bytes = unhex (text + 2, &len);

      moosh_rlp_bytes (writer, bytes, len);
    }
  else
    moosh_rlp_bytes (writer, text, strlen (text));
}

static void
test_valid (void)
{
  g_autoptr (JsonParser) parser = json_parser_new ();
  JsonObject *valid = json_object_get_object_member (load_vectors (parser), "valid");
  g_autoptr (GList) names = json_object_get_members (valid);

  g_assert_cmpuint (g_list_length (names), >=, 24);
  for (GList *l = names; l != NULL; l = l->next)
    {
      JsonArray *pair = json_object_get_array_member (valid, l->data);
      gsize want_len, len = 0;
      g_autofree guint8 *want = unhex (json_array_get_string_element (pair, 1), &want_len);
      guint8 out[1024];
      MooshRlpWriter writer = moosh_rlp_writer (out, sizeof out);

      write_node (&writer, json_array_get_element (pair, 0));
      g_assert_cmpint (moosh_rlp_finish (&writer, &len), ==, MOOSH_OK);
      g_assert_cmpmem (out, len, want, want_len);
      g_assert_cmpint (moosh_rlp_check ((MooshSpan){ want, want_len }, 8), ==, MOOSH_OK);

      /* One byte less room is refused; one byte less or more input as well. */
      writer = moosh_rlp_writer (out, want_len - 1);
      write_node (&writer, json_array_get_element (pair, 0));
      g_assert_cmpint (moosh_rlp_finish (&writer, &len), ==, MOOSH_E_SPACE);
      g_assert_cmpint (moosh_rlp_check ((MooshSpan){ want, want_len - 1 }, 8), ==, MOOSH_E_SHORT);
      memcpy (out, want, want_len);
      out[want_len] = 0;
      g_assert_cmpint (moosh_rlp_check ((MooshSpan){ out, want_len + 1 }, 8), ==, MOOSH_E_TRAILING);
    }
}

static void
test_invalid (void)
{
  g_autoptr (JsonParser) parser = json_parser_new ();
  JsonObject *invalid = json_object_get_object_member (load_vectors (parser), "invalid");
  g_autoptr (GList) names = json_object_get_members (invalid);

  g_assert_cmpuint (g_list_length (names), ==, 17);
  for (GList *l = names; l != NULL; l = l->next)
    {
      gsize len;
      g_autofree guint8 *bytes = unhex (json_object_get_string_member (invalid, l->data), &len);
      int result = moosh_rlp_check ((MooshSpan){ bytes, len }, 8);

      g_test_message ("%s: %s", (char *)l->data, moosh_strerror (result));
      g_assert_cmpint (result, <, 0);
    }
}

static void
test_depth (void)
{
  guint8 nested[MOOSH_RLP_DEPTH_MAX + 1];

  for (guint i = 0; i < sizeof nested; i++)
    nested[i] = (guint8)(0xc0 + sizeof nested - 1 - i);
  g_assert_cmpint (
      moosh_rlp_check ((MooshSpan){ nested + 1, sizeof nested - 1 }, MOOSH_RLP_DEPTH_MAX), ==,
      MOOSH_OK);
  g_assert_cmpint (moosh_rlp_check ((MooshSpan){ nested, sizeof nested }, 99), ==, MOOSH_E_LIMIT);
  g_assert_cmpint (moosh_rlp_check ((MooshSpan){ nested + 14, 3 }, 3), ==, MOOSH_OK);
  g_assert_cmpint (moosh_rlp_check ((MooshSpan){ nested + 14, 3 }, 2), ==, MOOSH_E_LIMIT);
}

static void
test_typed (void)
{
  static const guint8 input[]
      = { 0x82, 0x01, 0x00, 0x80, 0xc1, 0x05, 0x82, 0x00, 0x01, 0x83, 1, 2, 3 };
  MooshSpan in = { input, sizeof input }, before, list;
  guint8 fixed[3];
  guint64 number;

  g_assert_cmpint (moosh_rlp_next_u64 (&in, &number), ==, MOOSH_OK);
  g_assert_cmpuint (number, ==, 256);
  g_assert_cmpint (moosh_rlp_next_u64 (&in, &number), ==, MOOSH_OK);
  g_assert_cmpuint (number, ==, 0);
  before = in;
  g_assert_cmpint (moosh_rlp_next_u64 (&in, &number), ==, MOOSH_E_MALFORMED);
  g_assert_true (in.ptr == before.ptr && in.len == before.len);
  g_assert_cmpint (moosh_rlp_next_list (&in, &list), ==, MOOSH_OK);
  g_assert_cmpint (moosh_rlp_next_u64 (&list, &number), ==, MOOSH_OK);
  g_assert_cmpint (moosh_rlp_next_u64 (&list, &number), ==, MOOSH_E_SHORT);
  g_assert_cmpint (moosh_rlp_next_u64 (&in, &number), ==, MOOSH_E_NONCANONICAL);
  in.ptr += 3;
  in.len -= 3;
  g_assert_cmpint (moosh_rlp_next_fixed (&in, fixed, 2), ==, MOOSH_E_RANGE);
  g_assert_cmpint (moosh_rlp_next_fixed (&in, fixed, 3), ==, MOOSH_OK);
  g_assert_cmpmem (fixed, 3, "\1\2\3", 3);
}

static void
test_too_large (void)
{
  guint8 word[34] = { 0xa1, 1 }, eight[10] = { 0x89, 1 };
  MooshSpan in = { word, sizeof word };
  MooshU256 wide;
  guint64 number;

  g_assert_cmpint (moosh_rlp_next_u256 (&in, &wide), ==, MOOSH_E_RANGE);
  in = (MooshSpan){ eight, sizeof eight };
  g_assert_cmpint (moosh_rlp_next_u64 (&in, &number), ==, MOOSH_E_RANGE);
  g_assert_cmpint (moosh_rlp_next_u256 (&in, &wide), ==, MOOSH_OK);
}

/* Made with Foundry: cast mktx --private-key 0x46…46 (32 times) --chain 1 --nonce 9 --gas-limit
 * 21000
 * --gas-price 30000000000 --priority-gas-price 2000000000 --value 1ether 0x3535…35 0xdeadbeef */
static const char tx_raw[] = "02f877010984773594008506fc23ac008252089435353535353535353535353535353"
                             "53535353535880de0b6b3a764000084deadbeefc080"
                             "a0dc4debd19bab56f8ad4f41dbbe5b875f9ae3fa94c3320aa306565a5e7020e2e9a05"
                             "e6da4462db96b38fa234aa5a2dfddcf5a0e9c3ad87bfa0b3d5db40e77d5bb87";
static const char tx_hash[] = "0xd7ca4d35c2bc9e7d0bb4eee829118dd6bbc96754b87cff31f228e6c72c68456d";

static void
test_tx (void)
{
  gsize len, out_len = 0;
  g_autofree guint8 *raw = unhex (tx_raw, &len);
  guint8 signature[65], out[MOOSH_TX_SIZE_MAX (4)], digest[32], want[32];
  MooshTx tx;

  g_assert_cmpint (moosh_tx_decode_signed ((MooshSpan){ raw, len }, &tx, signature), ==, MOOSH_OK);
  g_assert_cmpuint (tx.chain_id, ==, 1);
  g_assert_cmpuint (tx.nonce, ==, 9);
  g_assert_cmpuint (tx.gas, ==, 21000);
  g_assert_cmpuint (tx.max_fee.limb[0], ==, 30000000000);
  g_assert_cmpuint (tx.max_priority_fee.limb[0], ==, 2000000000);
  g_assert_cmpuint (tx.value.limb[0], ==, 1000000000000000000);
  g_assert_cmpmem (tx.data.ptr, tx.data.len, "\xde\xad\xbe\xef", 4);
  g_assert_cmpint (moosh_tx_encode_signed (&tx, signature, out, sizeof out, &out_len), ==,
                   MOOSH_OK);
  g_assert_cmpmem (out, out_len, raw, len);
  moosh_keccak256 (out, out_len, digest);
  g_assert_cmpint (moosh_hex_decode (tx_hash, want, 32), ==, MOOSH_OK);
  g_assert_cmpmem (digest, 32, want, 32);

  signature[64] = (guint8)(signature[64] + 27); /* the other way to write the parity */
  g_assert_cmpint (moosh_tx_encode_signed (&tx, signature, out, sizeof out, &out_len), ==,
                   MOOSH_OK);
  g_assert_cmpmem (out, out_len, raw, len);
  signature[64] = 2;
  g_assert_cmpint (moosh_tx_encode_signed (&tx, signature, out, sizeof out, &out_len), ==,
                   MOOSH_E_RANGE);
  for (gsize cut = 0; cut < len; cut++)
    g_assert_cmpint (moosh_tx_decode_signed ((MooshSpan){ raw, cut }, &tx, signature), ==,
                     MOOSH_E_SHORT);
  raw[0] = 1;
  g_assert_cmpint (moosh_tx_decode_signed ((MooshSpan){ raw, len }, &tx, signature), ==,
                   MOOSH_E_MALFORMED);
}

static void
test_tx_limits (void)
{
  g_autofree guint8 *data = g_malloc0 (MOOSH_TX_DATA_MAX + 1),
                    *out = g_malloc (MOOSH_TX_SIZE_MAX (MOOSH_TX_DATA_MAX));
  MooshTx tx = { .chain_id = UINT64_MAX, .nonce = UINT64_MAX, .gas = UINT64_MAX };
  guint8 signature[65];
  gsize len;

  memset (&tx.max_fee, 0xff, sizeof tx.max_fee);
  memset (&tx.max_priority_fee, 0xff, sizeof tx.max_fee);
  memset (&tx.value, 0xff, sizeof tx.value);
  memset (signature, 0xff, 64);
  signature[64] = 1;
  tx.data = (MooshSpan){ data, MOOSH_TX_DATA_MAX };
  g_assert_cmpint (
      moosh_tx_encode_signed (&tx, signature, out, MOOSH_TX_SIZE_MAX (MOOSH_TX_DATA_MAX), &len), ==,
      MOOSH_OK);
  tx.create = true;
  g_assert_cmpint (moosh_tx_encode_unsigned (&tx, out, len, &len), ==, MOOSH_OK);
  tx.data.len++;
  g_assert_cmpint (moosh_tx_encode_unsigned (&tx, out, len, &len), ==, MOOSH_E_LIMIT);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/rlp/valid", test_valid);
  g_test_add_func ("/rlp/invalid", test_invalid);
  g_test_add_func ("/rlp/depth", test_depth);
  g_test_add_func ("/rlp/typed", test_typed);
  g_test_add_func ("/rlp/too-large", test_too_large);
  g_test_add_func ("/tx/foundry", test_tx);
  g_test_add_func ("/tx/limits", test_tx_limits);
  return g_test_run ();
}
