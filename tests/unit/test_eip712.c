#include "core/abi/eip712.h"
#include <glib.h>
#include <string.h>

static void
assert_hex (const guint8 bytes[32], const char *expected)
{
  char text[65];

  moosh_hex_encode (bytes, 32, text);
  g_assert_cmpstr (text, ==, expected);
}

static void
person_hash (const char *name, guint8 wallet_byte, guint8 out[32])
{
  static const char *const wallets[]
      = { "cd2a3d9f938e13cd947ec05abc7fe734df8dd826", "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb" };
  MooshEip712Struct person;
  guint8 wallet[20];

  g_assert_cmpint (moosh_hex_decode (wallets[wallet_byte], wallet, 20), ==, MOOSH_OK);
  moosh_eip712_begin (&person, "Person(string name,address wallet)");
  moosh_eip712_add_string (&person, name);
  moosh_eip712_add_address (&person, wallet);
  moosh_eip712_finish (&person, out);
}

/* The EIP's own example (Example.js in its assets): a mail from Cow to Bob. */
static void
test_mail (void)
{
  static const char mail_type[]
      = "Mail(Person from,Person to,string contents)Person(string name,address wallet)";
  guint8 contract[20], separator[32], hash[32], mail_hash[32], digest[32];
  MooshEip712Domain domain = { .name = "Ether Mail",
                               .version = "1",
                               .has_chain_id = true,
                               .chain_id = 1,
                               .verifying_contract = contract };
  MooshEip712Struct mail;

  memset (contract, 0xcc, 20);
  moosh_eip712_type_hash (mail_type, hash);
  assert_hex (hash, "a0cedeb2dc280ba39b857546d74f5549c3a1d7bdc2dd96bf881f76108e23dac2");
  moosh_eip712_domain (&domain, separator);
  assert_hex (separator, "f2cee375fa42b42143804025fc449deafd50cc031ca257e0b194a650a912090f");
  moosh_eip712_begin (&mail, mail_type);
  person_hash ("Cow", 0, hash);
  assert_hex (hash, "fc71e5fa27ff56c350aa531bc129ebdf613b772b6604664f5d8dbe21b85eb0c8");
  moosh_eip712_add_bytes32 (&mail, hash);
  person_hash ("Bob", 1, hash);
  assert_hex (hash, "cd54f074a4af31b4411ff6a60c9719dbd559c221c8ac3492d9d872b041d703d1");
  moosh_eip712_add_bytes32 (&mail, hash);
  moosh_eip712_add_string (&mail, "Hello, Bob!");
  moosh_eip712_finish (&mail, mail_hash);
  assert_hex (mail_hash, "c52c0ee5d84264471806290a3f2c4cecfc5490626bf912d01f240d7a274b371e");
  moosh_eip712_digest (separator, mail_hash, digest);
  assert_hex (digest, "be609aee343fb3c4b28e1df9e632fca64fcfaede20f02e86244efddf30957bd2");
}

/* Every subset of the members has its own type string, spelled out here. */
static void
test_optional_members (void)
{
  static const char *const members[] = { "string name", "string version", "uint256 chainId",
                                         "address verifyingContract", "bytes32 salt" };
  guint8 contract[20] = { 1 }, salt[32] = { 2 }, expected[32], separator[32];

  for (guint mask = 0; mask < 32; mask++)
    {
      g_autoptr (GString) type = g_string_new ("EIP712Domain(");
      MooshEip712Domain domain = { .name = mask & 1 ? "N" : NULL,
                                   .version = mask & 2 ? "V" : NULL,
                                   .has_chain_id = (mask & 4) != 0,
                                   .chain_id = 5,
                                   .verifying_contract = mask & 8 ? contract : NULL,
                                   .salt = mask & 16 ? salt : NULL };
      MooshEip712Struct st;

      for (guint i = 0; i < 5; i++)
        if (mask >> i & 1)
          g_string_append_printf (type, "%s%s", type->str[type->len - 1] == '(' ? "" : ",",
                                  members[i]);
      g_string_append_c (type, ')');
      moosh_eip712_begin (&st, type->str);
      if (mask & 1)
        moosh_eip712_add_bytes (&st, "N", 1);
      if (mask & 2)
        moosh_eip712_add_bytes (&st, "V", 1);
      if (mask & 4)
        moosh_eip712_add_u64 (&st, 5);
      if (mask & 8)
        moosh_eip712_add_address (&st, contract);
      if (mask & 16)
        moosh_eip712_add_bytes32 (&st, salt);
      moosh_eip712_finish (&st, expected);
      moosh_eip712_domain (&domain, separator);
      g_assert_cmpmem (separator, 32, expected, 32);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/eip712/mail", test_mail);
  g_test_add_func ("/eip712/optional-members", test_optional_members);
  return g_test_run ();
}
