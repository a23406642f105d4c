/* EIP-712 from JSON: the standard's example, eth-sig-util's array and recursion cases, and what is
 * refused. */
#include "base/json.h"
#include "core/hash/hash.h"
#include "core/key/key.h"
#include "daemon/keyd/typed.h"
#include <string.h>

static char *
load (const char *name)
{
  g_autofree char *path = g_build_filename (MOOSH_SOURCE_DIR, "tests/vectors/eip712", name, NULL);
  g_autoptr (GError) error = NULL;
  char *text = NULL;

  g_file_get_contents (path, &text, NULL, &error);
  g_assert_no_error (error);
  return text;
}

static gboolean
read_text (const char *text, Typed *ret, GError **error)
{
  g_autoptr (JsonObject) json = moosh_json_parse (text, -1, error);

  return json != NULL && typed_read (json, ret, error);
}

/* The signatures that the standard and MetaMask's eth-sig-util publish, by the key keccak("cow").
 */
static void
test_published (void)
{
  static const struct {
    const char *file, *signature;
  } cases[] = {
    { "mail.json", "0x4355c47d63924e8a72e509b65029052eb6c299d53a04e167c5775fd466751c9d"
                   "07299936d304c153f6443dfa05f40ff007d72911b6f72307f996231605b915621c" },
    { "mail-arrays.json", "0x65cbd956f2fae28a601bebc9b906cea0191744bd4c4247bcd27cd08f8eb6b71c"
                          "78efdf7a31dc9abee78f492292721f362d296cf86b4538e07b51303b67f749061b" },
  };
  MooshCurve curve;
  guint8 secret[32];

  moosh_curve_init (&curve, NULL);
  moosh_keccak256 ("cow", 3, secret);
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *text = load (cases[i].file);
      g_autoptr (GError) error = NULL;
      MooshSignature signature;
      guint8 bytes[65];
      Typed typed;

      g_assert_true (read_text (text, &typed, &error));
      g_assert_no_error (error);
      g_assert_cmpint (moosh_sign (&curve, secret, typed.digest, &signature), ==, MOOSH_OK);
      moosh_signature_to_bytes (&signature, bytes);
      g_autofree char *hex = moosh_hex (bytes, sizeof bytes);
      g_assert_cmpstr (hex, ==, cases[i].signature);
    }
}

static void
test_parts (void)
{
  g_autofree char *text = load ("mail.json");
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonObject) json = moosh_json_parse (text, -1, &error);
  Typed typed;

  g_assert_true (typed_read (json, &typed, &error));
  g_autofree char *digest = moosh_hex (typed.digest, 32),
                  *domain = moosh_hex (typed.domain_hash, 32);
  g_autofree char *hash = moosh_hex (typed.struct_hash, 32);
  g_assert_cmpstr (digest, ==,
                   "0xbe609aee343fb3c4b28e1df9e632fca64fcfaede20f02e86244efddf30957bd2");
  g_assert_cmpstr (domain, ==,
                   "0xf2cee375fa42b42143804025fc449deafd50cc031ca257e0b194a650a912090f");
  g_assert_cmpstr (hash, ==, "0xc52c0ee5d84264471806290a3f2c4cecfc5490626bf912d01f240d7a274b371e");
  g_assert_cmpstr (typed.primary_type, ==, "Mail");
  g_assert_cmpstr (typed.domain_name, ==, "Ether Mail");
  g_assert_true (typed.has_chain_id);
  g_assert_cmpuint (typed.chain_id, ==, 1);
  g_assert_true (typed.has_contract);
  g_assert_cmpuint (typed.contract[0], ==, 0xcc);
}

/* What one value of one type is encoded to: the member's word, seen through its struct's hash. */
static gboolean
hash_of (const char *type, const char *value, guint8 ret_hash[32], GError **error)
{
  g_autofree char *text = g_strdup_printf (
      "{\"types\":{\"EIP712Domain\":[],\"T\":[{\"name\":\"v\",\"type\":\"%s\"}],"
      "\"S\":[{\"name\":\"a\",\"type\":\"uint8\"}]},\"primaryType\":\"T\",\"domain\":{},"
      "\"message\":{\"v\":%s}}",
      type, value);
  Typed typed;

  if (!read_text (text, &typed, error))
    return FALSE;
  memcpy (ret_hash, typed.struct_hash, 32);
  return TRUE;
}

/* hashStruct of T(<type> v) whose only word is `word`. */
static void
expected_hash (const char *type, const guint8 word[32], guint8 ret_hash[32])
{
  g_autofree char *encoded = g_strdup_printf ("T(%s v)", type);
  guint8 both[64];

  moosh_keccak256 (encoded, strlen (encoded), both);
  memcpy (both + 32, word, 32);
  moosh_keccak256 (both, 64, ret_hash);
}

static void
test_values (void)
{
  static const struct {
    const char *type, *value, *word;
  } good[] = {
    { "uint8", "255", "00000000000000000000000000000000000000000000000000000000000000ff" },
    { "uint8", "\"255\"", "00000000000000000000000000000000000000000000000000000000000000ff" },
    { "uint8", "\"0xff\"", "00000000000000000000000000000000000000000000000000000000000000ff" },
    { "uint8", "\"0xf\"", "000000000000000000000000000000000000000000000000000000000000000f" },
    { "uint256",
      "\"115792089237316195423570985008687907853269984665640564039457584007913129639935\"",
      "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff" },
    { "int8", "-128", "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff80" },
    { "int8", "\"-1\"", "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff" },
    { "int8", "\"-0\"", "0000000000000000000000000000000000000000000000000000000000000000" },
    { "int8", "127", "000000000000000000000000000000000000000000000000000000000000007f" },
    { "int256",
      "\"-57896044618658097711785492504343953926634992332820282019728792003956564819968\"",
      "8000000000000000000000000000000000000000000000000000000000000000" },
    { "bool", "true", "0000000000000000000000000000000000000000000000000000000000000001" },
    { "bool", "false", "0000000000000000000000000000000000000000000000000000000000000000" },
    { "bytes2", "\"0xabcd\"", "abcd000000000000000000000000000000000000000000000000000000000000" },
    { "bytes", "\"0x\"", "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470" },
    { "string", "\"\"", "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470" },
    { "uint8[]", "[]", "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (good); i++)
    {
      guint8 word[32], expected[32], found[32];
      g_autoptr (GError) error = NULL;

      g_test_message ("%s %s", good[i].type, good[i].value);
      moosh_hex_decode (good[i].word, word, 32);
      expected_hash (good[i].type, word, expected);
      hash_of (good[i].type, good[i].value, found, &error);
      g_assert_no_error (error);
      g_assert_cmpmem (found, 32, expected, 32);
    }
}

static void
test_bad_values (void)
{
  static const char *const bad[][2] = {
    { "uint8", "256" },
    { "uint8", "-1" },
    { "uint8", "\"\"" },
    { "uint8", "1.0" },
    { "uint8", "true" },
    { "uint8", "null" },
    { "uint8", "\"0x\"" },
    { "uint8", "\"-0x1\"" },
    { "uint8", "\"0x0x1\"" },
    { "uint8", "\" 1\"" },
    { "uint8", "\"+1\"" },
    { "uint8", "[1]" },
    { "uint8", "\"1e2\"" },
    { "uint256",
      "\"115792089237316195423570985008687907853269984665640564039457584007913129639936\"" },
    { "uint256", "1e30" },
    { "int8", "128" },
    { "int8", "-129" },
    { "int8", "\"--1\"" },
    { "int256",
      "\"57896044618658097711785492504343953926634992332820282019728792003956564819968\"" },
    { "int256",
      "\"-57896044618658097711785492504343953926634992332820282019728792003956564819969\"" },
    { "bool", "1" },
    { "bool", "\"true\"" },
    { "bytes2", "\"0xab\"" },
    { "bytes2", "\"0xabcdef\"" },
    { "bytes2", "\"abcd\"" },
    { "bytes", "\"0xa\"" },
    { "bytes", "\"0xzz\"" },
    { "bytes", "\"0x0xab\"" },
    { "bytes", "5" },
    { "string", "5" },
    { "string", "null" },
    { "address", "\"0x00\"" },
    { "address",
      "\"0xcd2a3d9F938E13CD947Ec05AbC7FE734Df8DD826\"" }, /* a capital less than EIP-55 wants */
    { "uint8[2]", "[1]" },
    { "uint8[2]", "[1,2,3]" },
    { "uint8[]", "5" },
    { "uint8[]", "[256]" },
    { "uint8[]", "{}" },
    { "S", "5" },
    { "S", "{}" },
    { "S", "{\"a\":1,\"b\":2}" },
    { "S", "{\"a\":null}" },
    /* types that are none */
    { "uint", "1" },
    { "uint7", "1" },
    { "uint264", "1" },
    { "uint08", "1" },
    { "int0", "1" },
    { "bytes0", "\"0x\"" },
    { "bytes33", "\"0x\"" },
    { "Unknown", "{}" },
    { "uint8[", "[]" },
    { "uint8]", "[]" },
    { "[]", "[]" },
    { "uint8[x]", "[]" },
    { "uint8[-1]", "[]" },
    { "uint8[01]", "[1]" },
    { "uint8[0]", "[]" },
    { "", "1" },
    { "uint8[1234567]", "[]" },
    { "function", "\"0x\"" },
    { "uint8 ", "1" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      g_autoptr (GError) error = NULL;
      guint8 hash[32];

      g_test_message ("%s %s", bad[i][0], bad[i][1]);
      g_assert_false (hash_of (bad[i][0], bad[i][1], hash, &error));
      g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE);
    }
}

/* A type that contains itself: v4 ends the chain with null, which is encoded as zero. */
static void
test_recursion (void)
{
  static const char text[] = "{\"types\":{\"EIP712Domain\":[],\"N\":[{\"name\":\"next\",\"type\":"
                             "\"N\"}]},\"primaryType\":\"N\","
                             "\"domain\":{},\"message\":{\"next\":{\"next\":null}}}";
  g_autoptr (GError) error = NULL;
  guint8 both[64] = { 0 }, inner[32], outer[32];
  Typed typed;

  read_text (text, &typed, &error);
  g_assert_no_error (error);
  moosh_keccak256 ("N(N next)", 9, both);
  moosh_keccak256 (both, 64, inner);
  memcpy (both + 32, inner, 32);
  moosh_keccak256 (both, 64, outer);
  g_assert_cmpmem (typed.struct_hash, 32, outer, 32);
}

/* One replacement in mail.json each. */
static void
test_bad_structure (void)
{
  static const char *const changes[][2] = {
    { "\"primaryType\": \"Mail\"", "\"primaryType\": \"Letter\"" },
    { "\"primaryType\": \"Mail\"", "\"primaryType\": \"EIP712Domain\"" },
    { "\"primaryType\": \"Mail\"", "\"primaryType\": 5" },
    { "\"primaryType\": \"Mail\"", "\"primaryType\": \"Mail\", \"extra\": 1" },
    { "\"chainId\": 1,", "" },
    { "\"chainId\": 1", "\"chainId\": \"99999999999999999999999\"" },
    { "\"chainId\": 1", "\"chainId\": 1, \"salt\": \"0x00\"" },
    { "{ \"name\": \"version\", \"type\": \"string\" },", "" },
    { "{ \"name\": \"chainId\", \"type\": \"uint256\" }",
      "{ \"name\": \"chainId\", \"type\": \"uint64\" }" },
    { "{ \"name\": \"chainId\", \"type\": \"uint256\" }",
      "{ \"name\": \"chain\", \"type\": \"uint256\" }" },
    { "\"name\": \"Bob\", ", "" },
    { "\"name\": \"Bob\"", "\"name\": \"Bob\", \"age\": 5" },
    { "{ \"name\": \"contents\", \"type\": \"string\" }",
      "{ \"name\": \"from\", \"type\": \"string\" }" },
    { "{ \"name\": \"contents\", \"type\": \"string\" }", "{ \"name\": \"contents\" }" },
    { "{ \"name\": \"contents\", \"type\": \"string\" }",
      "{ \"name\": \"con tents\", \"type\": \"string\" }" },
    { "{ \"name\": \"contents\", \"type\": \"string\" }",
      "{ \"name\": \"contents\", \"type\": \"string\", \"x\": 1 }" },
    { "{ \"name\": \"contents\", \"type\": \"string\" }", "\"contents\"" },
    { "\"Person\": [", "\"uint8\": [], \"Person\": [" },
    { "\"Person\": [", "\"Per son\": [], \"Person\": [" },
    { "\"Person\": [", "\"Other\": {}, \"Person\": [" },
    { "\"Person\": [", "\"Person[]\": [], \"Person\": [" },
    { "\"message\": {", "\"message\": 5, \"m\": {" },
  };
  g_autofree char *good = load ("mail.json");

  for (gsize i = 0; i < G_N_ELEMENTS (changes); i++)
    {
      char *at = strstr (good, changes[i][0]);
      g_assert_nonnull (at);
      g_autofree char *text = g_strdup_printf ("%.*s%s%s", (int)(at - good), good, changes[i][1],
                                               at + strlen (changes[i][0]));
      g_autoptr (GError) error = NULL;
      Typed typed;

      g_test_message ("%s -> %s", changes[i][0], changes[i][1]);
      g_assert_false (read_text (text, &typed, &error));
      g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE);
    }
}

/* Programs that leave EIP712Domain out mean the members that are there. */
static void
test_implied_domain (void)
{
  g_autofree char *text = load ("mail.json"), *with = g_strdup (text);
  char *from = strstr (text, "\"EIP712Domain\""), *to = strstr (text, "\"Person\": [");
  g_autoptr (GError) error = NULL;
  Typed a, b;

  memmove (from, to, strlen (to) + 1);
  read_text (text, &a, &error);
  g_assert_no_error (error);
  read_text (with, &b, &error);
  g_assert_no_error (error);
  g_assert_cmpmem (a.digest, 32, b.digest, 32);
}

static void
repeat (GString *text, const char *what, guint times)
{
  for (guint i = 0; i < times; i++)
    g_string_append (text, what);
}

static gboolean
depth_is_fine (guint depth)
{
  g_autoptr (GString) type = g_string_new ("uint8"), value = g_string_new (NULL);
  g_autoptr (GError) error = NULL;
  guint8 hash[32];

  repeat (type, "[]", depth);
  repeat (value, "[", depth);
  g_string_append_c (value, '1');
  repeat (value, "]", depth);
  return hash_of (type->str, value->str, hash, &error);
}

static gboolean
members_are_fine (guint count)
{
  g_autoptr (GString) types = g_string_new (NULL), values = g_string_new (NULL);
  Typed typed;

  for (guint i = 0; i < count; i++)
    {
      g_string_append_printf (types, "%s{\"name\":\"m%u\",\"type\":\"bool\"}", i ? "," : "", i);
      g_string_append_printf (values, "%s\"m%u\":true", i ? "," : "", i);
    }
  g_autofree char *text = g_strdup_printf (
      "{\"types\":{\"EIP712Domain\":[],\"T\":[%s]},\"primaryType\":\"T\",\"domain\":{},"
      "\"message\":{%s}}",
      types->str, values->str);
  return read_text (text, &typed, NULL);
}

static gboolean
types_are_fine (guint count)
{
  g_autoptr (GString) types = g_string_new ("\"EIP712Domain\":[]");
  Typed typed;

  for (guint i = 1; i < count; i++)
    g_string_append_printf (types, ",\"T%u\":[]", i);
  g_autofree char *text = g_strdup_printf (
      "{\"types\":{%s},\"primaryType\":\"T1\",\"domain\":{},\"message\":{}}", types->str);
  return read_text (text, &typed, NULL);
}

static gboolean
values_are_fine (guint count)
{
  g_autoptr (GString) value = g_string_new ("[true");
  guint8 hash[32];

  repeat (value, ",true", count - 2); /* the list is a value itself */
  g_string_append_c (value, ']');
  return hash_of ("bool[]", value->str, hash, NULL);
}

static void
test_limits (void)
{
  g_assert_true (depth_is_fine (TYPED_DEPTH_MAX));
  g_assert_false (depth_is_fine (TYPED_DEPTH_MAX + 1));
  g_assert_true (members_are_fine (TYPED_MEMBERS_MAX));
  g_assert_false (members_are_fine (TYPED_MEMBERS_MAX + 1));
  g_assert_true (types_are_fine (TYPED_TYPES_MAX));
  g_assert_false (types_are_fine (TYPED_TYPES_MAX + 1));
  g_assert_true (values_are_fine (TYPED_VALUES_MAX));
  g_assert_false (values_are_fine (TYPED_VALUES_MAX + 1));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/typed/published", test_published);
  g_test_add_func ("/typed/parts", test_parts);
  g_test_add_func ("/typed/values", test_values);
  g_test_add_func ("/typed/bad-values", test_bad_values);
  g_test_add_func ("/typed/recursion", test_recursion);
  g_test_add_func ("/typed/bad-structure", test_bad_structure);
  g_test_add_func ("/typed/implied-domain", test_implied_domain);
  g_test_add_func ("/typed/limits", test_limits);
  return g_test_run ();
}
