/* Calls, outputs and events by name, without a chain. */
#include "chain/bindings.h"
#include <string.h>

static const MooshAbiFunction mixed = {
  .contract = "Test",
  .name = "mixed",
  .inputs = "(uint8,uint96,(bool,address)[],bytes4,bytes,string,int32,uint16[2])",
  .names = "(kind,wei,list(flag,who),tag,blob,text,delta,pair)",
  .outputs = "(uint256,(string,bytes)[],int32)",
  .output_names = "(0,items(text,blob),delta)",
};

static GBytes *
mixed_call (guint64 kind, GError **error)
{
  MooshU256 wei = moosh_u256 (1);
  g_autoptr (GBytes) blob = g_bytes_new ("\xde\xad", 2);
  guint8 ones[20], twos[20];

  memset (ones, 0x11, 20);
  memset (twos, 0x22, 20);
  wei.limb[1] = 1;
  return moosh_call_new (&mixed, error, kind, &wei, (guint64)2, TRUE, ones, FALSE, twos, "tag!",
                         blob, "hé", (guint64)(gint64)-7, (guint64)3, (guint64)4);
}

/* Compared with Foundry: cast calldata
 * "mixed(uint8,uint96,(bool,address)[],bytes4,bytes,string,int32,uint16[2])" 5 18446744073709551617
 * "[(true,0x11…),(false,0x22…)]" 0x74616721 0xdead "hé" -7 "[3,4]" */
static void
test_call (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) call = mixed_call (5, &error);
  g_autofree char *hex = NULL;
  MooshAbiValue values[16];
  gsize len, count;
  const guint8 *data;

  g_assert_no_error (error);
  data = g_bytes_get_data (call, &len);
  g_assert_cmpmem (data, 4, mixed.selector, 4);
  g_assert_cmpint (
      moosh_abi_decode (mixed.inputs, (MooshSpan){ data + 4, len - 4 }, values, 16, &count), ==,
      MOOSH_OK);
  g_assert_cmpuint (count, ==, 13);
  hex = g_malloc (2 * len + 1);
  moosh_hex_encode (data + 4, len - 4, hex);
  g_assert_cmpstr (hex, ==,
                   "0000000000000000000000000000000000000000000000000000000000000005"
                   "0000000000000000000000000000000000000000000000010000000000000001"
                   "0000000000000000000000000000000000000000000000000000000000000120"
                   "7461672100000000000000000000000000000000000000000000000000000000"
                   "00000000000000000000000000000000000000000000000000000000000001c0"
                   "0000000000000000000000000000000000000000000000000000000000000200"
                   "fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff9"
                   "0000000000000000000000000000000000000000000000000000000000000003"
                   "0000000000000000000000000000000000000000000000000000000000000004"
                   "0000000000000000000000000000000000000000000000000000000000000002"
                   "0000000000000000000000000000000000000000000000000000000000000001"
                   "0000000000000000000000001111111111111111111111111111111111111111"
                   "0000000000000000000000000000000000000000000000000000000000000000"
                   "0000000000000000000000002222222222222222222222222222222222222222"
                   "0000000000000000000000000000000000000000000000000000000000000002"
                   "dead000000000000000000000000000000000000000000000000000000000000"
                   "0000000000000000000000000000000000000000000000000000000000000003"
                   "68c3a90000000000000000000000000000000000000000000000000000000000");

  g_assert_null (mixed_call (256, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE);
}

static void
test_output (void)
{
  MooshAbiValue values[] = { moosh_abi_u64 (9), moosh_abi_u64 (1), moosh_abi_bytes ("one", 3),
                             moosh_abi_bytes ("\x01\x02", 2), moosh_abi_u64 (4) };
  guint8 raw[512];
  gsize len;
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) output = NULL, empty = g_bytes_new (NULL, 0);
  g_autoptr (MooshDecoded) decoded = NULL;
  g_autofree char *text = NULL;
  const guint8 *blob;
  MooshU256 wide;

  g_assert_cmpint (moosh_abi_encode (mixed.outputs, values, 5, raw, sizeof raw, &len), ==,
                   MOOSH_OK);
  output = g_bytes_new (raw, len);
  decoded = moosh_output_decode (&mixed, output, &error);
  g_assert_no_error (error);
  wide = moosh_decoded_u256 (decoded, "0");
  g_assert_cmpuint (wide.limb[0], ==, 9);
  g_assert_cmpuint (moosh_decoded_u64 (decoded, "items"), ==, 1);
  text = moosh_decoded_string (decoded, "items[0].text");
  g_assert_cmpstr (text, ==, "one");
  blob = moosh_decoded_bytes (decoded, "items[0].blob", &len);
  g_assert_cmpmem (blob, len, "\1\2", 2);
  g_assert_cmpuint (moosh_decoded_u64 (decoded, "delta"), ==, 4);

  g_assert_null (moosh_output_decode (&mixed, empty, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_PROTOCOL);
  g_assert_nonnull (strstr (error->message, "there is no contract"));
}

/* Indexed: a number, a text (only its hash), an address; in the data: a struct and a flag. */
static const MooshAbiEvent event = {
  .contract = "Test",
  .name = "Happened",
  .inputs = "(uint64,string,(uint8,bytes),address,bool)",
  .names = "(id,label,thing(kind,blob),who,flag)",
  .signature = "Happened(uint64,string,(uint8,bytes),address,bool)",
  .indexed = 1 << 0 | 1 << 1 | 1 << 3,
  .topic = { 0xaa },
};

static MooshLog *
make_log (void)
{
  MooshAbiValue values[] = { moosh_abi_u64 (3), moosh_abi_bytes ("xyz", 3), moosh_abi_u64 (1) };
  MooshLog *log = g_new0 (MooshLog, 1);
  guint8 raw[256];
  gsize len;

  g_assert_cmpint (moosh_abi_encode ("((uint8,bytes),bool)", values, 3, raw, sizeof raw, &len), ==,
                   MOOSH_OK);
  log->n_topics = 4;
  log->topics[0][0] = 0xaa;
  log->topics[1][31] = 77;
  memset (log->topics[2], 0xbb, 32);
  memset (log->topics[3] + 12, 0xcc, 20);
  log->data = g_bytes_new (raw, len);
  return log;
}

static void
test_event (void)
{
  g_autoptr (MooshLog) log = make_log ();
  g_autoptr (GError) error = NULL;
  g_autoptr (MooshDecoded) decoded = moosh_event_decode (&event, log, &error);
  const guint8 *blob;
  gsize len;

  g_assert_no_error (error);
  g_assert_cmpuint (moosh_decoded_u64 (decoded, "id"), ==, 77);
  g_assert_cmpuint (moosh_decoded_fixed (decoded, "label")[31], ==, 0xbb);
  g_assert_cmpuint (moosh_decoded_address (decoded, "who")[0], ==, 0xcc);
  g_assert_cmpuint (moosh_decoded_u64 (decoded, "thing.kind"), ==, 3);
  blob = moosh_decoded_bytes (decoded, "thing.blob", &len);
  g_assert_cmpmem (blob, len, "xyz", 3);
  g_assert_true (moosh_decoded_bool (decoded, "flag"));
}

static void
test_event_refusals (void)
{
  for (guint i = 0; i < 5; i++)
    {
      g_autoptr (MooshLog) log = make_log ();
      g_autoptr (GError) error = NULL;

      switch (i)
        {
        case 0:
          log->topics[0][0] ^= 1; /* another event */
          break;
        case 1:
          log->n_topics = 3;
          break;
        case 2:
          log->topics[1][0] = 1; /* not a uint64 */
          break;
        case 3:
          g_bytes_unref (log->data);
          log->data = g_bytes_new (NULL, 0);
          break;
        default:
          log->n_topics = 0;
          break;
        }
      g_assert_null (moosh_event_decode (&event, log, &error));
      g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_PROTOCOL);
    }
}

/* The generated tables: their own keccak agrees with ours, and every type string is one we can
 * parse. */
static void
test_tables (void)
{
  g_assert_cmpuint (moosh_abi_functions_count, >, 50);
  g_assert_cmpuint (moosh_abi_events_count, >, 10);
  g_assert_cmpuint (moosh_abi_errors_count, >, 20);
  for (guint i = 0; i < moosh_abi_functions_count; i++)
    {
      const MooshAbiFunction *f = &moosh_abi_functions[i];
      g_autofree char *signature = g_strconcat (f->name, f->inputs, NULL);
      guint8 selector[4];

      moosh_abi_selector (signature, selector);
      g_assert_cmpmem (selector, 4, f->selector, 4);
      g_assert_cmpint (moosh_abi_is_dynamic (f->inputs), >=, 0);
      g_assert_cmpint (moosh_abi_is_dynamic (f->outputs), >=, 0);
    }
  for (guint i = 0; i < moosh_abi_events_count; i++)
    {
      guint8 selector[4];

      moosh_abi_selector (moosh_abi_events[i].signature, selector);
      g_assert_cmpmem (selector, 4, moosh_abi_events[i].topic, 4);
      g_assert_cmpint (moosh_abi_is_dynamic (moosh_abi_events[i].inputs), >=, 0);
    }
  for (guint i = 0; i < moosh_abi_errors_count; i++)
    g_assert_cmpint (moosh_abi_is_dynamic (moosh_abi_errors[i].inputs), >=, 0);
  g_assert_cmpmem (MOOSH_FN_TEST_USD_TRANSFER->selector, 4, "\xa9\x05\x9c\xbb",
                   4); /* ERC-20, known everywhere */
}

static void
test_missing_artifact (void)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (moosh_artifact_bytecode ("/nonexistent.json", &error));
  g_assert_nonnull (error);
  g_clear_error (&error);
  g_assert_null (moosh_artifact_bytecode (MOOSH_SOURCE_DIR "/package.json", &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/chain/contract/call", test_call);
  g_test_add_func ("/chain/contract/output", test_output);
  g_test_add_func ("/chain/contract/event", test_event);
  g_test_add_func ("/chain/contract/event-refusals", test_event_refusals);
  g_test_add_func ("/chain/contract/tables", test_tables);
  g_test_add_func ("/chain/contract/artifact", test_missing_artifact);
  return g_test_run ();
}
