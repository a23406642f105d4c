/* Addresses, ECDSA with recovery, BIP-340, ECDH. */
#include "core/hash/hash.h"
#include "core/key/key.h"
#include "key_vectors.h"
#include <string.h>

static MooshCurve curve;

/* EIP-55's own examples. */
static void
test_address_examples (void)
{
  static const char *const examples[] = {
    "0x52908400098527886E0F7030069857D2E4169EE7", "0x8617E340B3D01FA5F11F306F4090FD50E238070D",
    "0xde709f2102306220921060314715629080e2fb77", "0x27b1fdb04752bbc536007a920d24acb045561c26",
    "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
    "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB", "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
  };

  for (size_t i = 0; i < G_N_ELEMENTS (examples); i++)
    {
      g_autofree char *lower = g_ascii_strdown (examples[i], -1);
      g_autofree char *upper = g_ascii_strup (examples[i] + 2, -1);
      g_autofree char *upper_0x = g_strconcat ("0x", upper, NULL);
      uint8_t address[20], again[20];
      char text[MOOSH_ADDRESS_TEXT];

      g_assert_cmpint (moosh_address_parse (examples[i], address), ==, MOOSH_OK);
      moosh_address_format (address, text);
      g_assert_cmpstr (text, ==, examples[i]);
      g_assert_cmpint (moosh_address_parse (lower, again), ==, MOOSH_OK);
      g_assert_cmpmem (again, 20, address, 20);
      g_assert_cmpint (moosh_address_parse (upper_0x, again), ==, MOOSH_OK);
      g_assert_cmpmem (again, 20, address, 20);
    }
}

static void
test_address_refusals (void)
{
  static const struct {
    const char *text;
    int expected;
  } cases[] = {
    { "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeD", MOOSH_E_NONCANONICAL }, /* one capital off */
    { "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAe", MOOSH_E_SHORT },
    { "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAedd", MOOSH_E_TRAILING },
    { "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeg", MOOSH_E_MALFORMED },
    { "5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", MOOSH_E_MALFORMED },
    { "0x0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", MOOSH_E_MALFORMED },
    { "0X5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", MOOSH_E_MALFORMED },
    { "", MOOSH_E_MALFORMED },
    { "0x", MOOSH_E_SHORT },
  };

  for (size_t i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      uint8_t address[20];
      g_test_message ("%s", cases[i].text);
      g_assert_cmpint (moosh_address_parse (cases[i].text, address), ==, cases[i].expected);
    }
}

static const uint8_t order[32] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                   0xff, 0xff, 0xff, 0xff, 0xfe, 0xba, 0xae, 0xdc, 0xe6, 0xaf, 0x48,
                                   0xa0, 0x3b, 0xbf, 0xd2, 0x5e, 0x8c, 0xd0, 0x36, 0x41, 0x41 };

static void
test_secret_range (void)
{
  static const uint8_t zero[32];
  uint8_t secret[32], public_key[33], hash[32] = { 1 }, signature64[64], shared[32], theirs[33];
  MooshSignature signature;

  secret[0] = 0;
  memcpy (secret, order, 32);
  secret[31] = 0x40;
  g_assert_cmpint (moosh_key_check (secret), ==, MOOSH_OK); /* n - 1 */
  g_assert_cmpint (moosh_key_public (&curve, secret, theirs), ==, MOOSH_OK);

  const uint8_t *const bad[] = { zero, order };
  for (size_t i = 0; i < 2; i++)
    {
      g_assert_cmpint (moosh_key_check (bad[i]), ==, MOOSH_E_CRYPTO);
      g_assert_cmpint (moosh_key_public (&curve, bad[i], public_key), ==, MOOSH_E_CRYPTO);
      g_assert_cmpint (moosh_sign (&curve, bad[i], hash, &signature), ==, MOOSH_E_CRYPTO);
      g_assert_cmpint (moosh_schnorr_sign (&curve, bad[i], hash, hash, signature64), ==,
                       MOOSH_E_CRYPTO);
      g_assert_cmpint (moosh_ecdh (bad[i], theirs, shared), ==, MOOSH_E_CRYPTO);
    }
}

/* The deterministic signatures of secp256k1 with SHA-256 that Bitcoin's and Ethereum's libraries
 * share. */
static void
test_rfc6979 (void)
{
  static const struct {
    const char *secret, *message, *r_s;
  } cases[] = {
    { "0000000000000000000000000000000000000000000000000000000000000001", "Satoshi Nakamoto",
      "934b1ea10a4b3c1757e2b0c017d0b6143ce3c9a7e6a4a49860d7a6ab210ee3d8"
      "2442ce9d2b916064108014783e923ec36b49743e2ffa1c4496f01a512aafd9e5" },
    { "0000000000000000000000000000000000000000000000000000000000000001",
      "All those moments will be lost in time, like tears in rain. Time to die...",
      "8600dbd41e348fe5c9465ab92d23e3db8b98b873beecd930736488696438cb6b"
      "547fe64427496db33bf66019dacbf0039c04199abb0122918601db38a72cfc21" },
    { "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364140", "Satoshi Nakamoto",
      "fd567d121db66e382991534ada77a6bd3106f0a1098c231e47993447cd6af2d0"
      "6b39cd0eb1bc8603e159ef5c20a5c8ad685a45b06ce9bebed3f153d10d93bed5" },
    { "f8b8af8ce3c7cca5e300d33939540c10d45ce001b8f252bfbc57ba0342904181", "Alan Turing",
      "7063ae83e7f62bbb171798131b4a0564b956930092b33b07b395615d9ec7e15c"
      "58dfcc1e00a35e1572f366ffe34ba0fc47db1e7189759b9fb233c5b05ab388ea" },
  };

  for (size_t i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      uint8_t secret[32], hash[32], expected[64], bytes[65], mine[33], recovered[33];
      MooshSignature signature, parsed;

      vectors_hex (cases[i].secret, secret, 32);
      vectors_hex (cases[i].r_s, expected, 64);
      moosh_sha256 (cases[i].message, strlen (cases[i].message), hash);
      g_assert_cmpint (moosh_sign (&curve, secret, hash, &signature), ==, MOOSH_OK);
      moosh_signature_to_bytes (&signature, bytes);
      g_assert_cmpmem (bytes, 64, expected, 64);
      g_assert_cmpuint (bytes[64], ==, 27 + signature.y_parity);

      g_assert_cmpint (moosh_signature_from_bytes (bytes, &parsed), ==, MOOSH_OK);
      g_assert_cmpint (moosh_recover (hash, &parsed, recovered), ==, MOOSH_OK);
      g_assert_cmpint (moosh_key_public (&curve, secret, mine), ==, MOOSH_OK);
      g_assert_cmpmem (recovered, 33, mine, 33);
      hash[0] ^= 1;
      g_assert_true (moosh_recover (hash, &parsed, recovered) < 0
                     || memcmp (recovered, mine, 33) != 0);
    }
}

static void
test_signature_refusals (void)
{
  uint8_t secret[32] = { 9 }, hash[32] = { 1, 2, 3 }, bytes[65], changed[65];
  MooshSignature signature;

  g_assert_cmpint (moosh_sign (&curve, secret, hash, &signature), ==, MOOSH_OK);
  moosh_signature_to_bytes (&signature, bytes);

  static const uint8_t vs[] = { 0, 1, 2, 26, 27, 28, 29, 255 };
  for (size_t i = 0; i < sizeof vs; i++)
    {
      bool good = vs[i] <= 1 || vs[i] == 27 || vs[i] == 28;
      memcpy (changed, bytes, 65);
      changed[64] = vs[i];
      g_assert_cmpint (moosh_signature_from_bytes (changed, &signature), ==,
                       good ? MOOSH_OK : MOOSH_E_RANGE);
    }

  memcpy (changed, bytes, 65);
  unsigned borrow = 0; /* s' = n - s: the same signature, malleated */
  for (int i = 31; i >= 0; i--)
    {
      unsigned difference = 256u + order[i] - bytes[32 + i] - borrow;
      changed[32 + i] = (uint8_t)difference;
      borrow = difference < 256;
    }
  g_assert_cmpint (moosh_signature_from_bytes (changed, &signature), ==, MOOSH_E_NONCANONICAL);

  for (size_t half = 0; half < 64; half += 32)
    {
      memcpy (changed, bytes, 65);
      memset (changed + half, 0, 32);
      g_assert_cmpint (moosh_signature_from_bytes (changed, &signature), ==, MOOSH_E_CRYPTO);
      memcpy (changed + half, order, 32);
      g_assert_cmpint (moosh_signature_from_bytes (changed, &signature), ==, MOOSH_E_CRYPTO);
    }

  memset (&signature, 0, sizeof signature);
  uint8_t address[20];
  g_assert_cmpint (moosh_recover_address (hash, &signature, address), ==, MOOSH_E_CRYPTO);
  signature.r[31] = signature.s[31] = 1;
  signature.y_parity = 2;
  g_assert_cmpint (moosh_recover_address (hash, &signature, address), ==, MOOSH_E_CRYPTO);
}

static void
test_bip340 (void)
{
  g_autoptr (GPtrArray) rows = vectors_load ("bip340.csv", ",");

  g_assert_cmpuint (rows->len, ==, 16); /* with its heading */
  for (guint i = 1; i < rows->len; i++)
    {
      char **row = rows->pdata[i];
      uint8_t secret[32], x_only[32], aux[32], message[32], expected[64], signature[64], mine[33];

      vectors_hex (row[2], x_only, 32);
      vectors_hex (row[4], message, 32);
      vectors_hex (row[5], expected, 64);
      g_test_message ("%s %s", row[0], row[7]);
      g_assert_cmpint (moosh_schnorr_verify (x_only, message, expected), ==,
                       strcmp (row[6], "TRUE") == 0 ? MOOSH_OK : MOOSH_E_CRYPTO);
      if (*row[1] == '\0')
        continue;
      vectors_hex (row[1], secret, 32);
      vectors_hex (row[3], aux, 32);
      g_assert_cmpint (moosh_schnorr_sign (&curve, secret, message, aux, signature), ==, MOOSH_OK);
      g_assert_cmpmem (signature, 64, expected, 64);
      g_assert_cmpint (moosh_key_public (&curve, secret, mine), ==, MOOSH_OK);
      g_assert_cmpmem (mine + 1, 32, x_only, 32);
    }
}

static void
test_statement (void)
{
  uint8_t secret[32] = { 5 }, aux[32] = { 0 }, bytes[] = "any bytes", author[33], signature[64],
          digest[32];
  MooshSpan statement = { bytes, sizeof bytes };

  g_assert_cmpint (moosh_key_public (&curve, secret, author), ==, MOOSH_OK);
  g_assert_cmpint (moosh_statement_sign (&curve, secret, statement, aux, signature), ==, MOOSH_OK);
  g_assert_cmpint (moosh_statement_verify (author, statement, signature), ==, MOOSH_OK);
  moosh_tagged_sha256 ("mooshnet/statement/1", bytes, sizeof bytes, digest);
  g_assert_cmpint (moosh_schnorr_verify (author + 1, digest, signature), ==, MOOSH_OK);
  bytes[0] ^= 1;
  g_assert_cmpint (moosh_statement_verify (author, statement, signature), ==, MOOSH_E_CRYPTO);
  bytes[0] ^= 1;
  statement.len--;
  g_assert_cmpint (moosh_statement_verify (author, statement, signature), ==, MOOSH_E_CRYPTO);
}

/* BOLT#8 appendix A, act one: the initiator's ephemeral key with the responder's static key. */
static void
test_ecdh (void)
{
  uint8_t e[32], rs[33], expected[32], shared[32], mine[33], swapped[32], their_secret[32];

  memset (e, 0x12, 32);
  memset (their_secret, 0x21, 32);
  vectors_hex ("028d7500dd4c12685d1f568b4c2b5048e8534b873319f3a8daa612b469132ec7f7", rs, 33);
  vectors_hex ("1e2fb3c8fe8fb9f262f649f64d26ecf0f2c0a805a767cf02dc2d77a6ef1fdcc3", expected, 32);
  g_assert_cmpint (moosh_ecdh (e, rs, shared), ==, MOOSH_OK);
  g_assert_cmpmem (shared, 32, expected, 32);
  g_assert_cmpint (moosh_key_public (&curve, e, mine), ==, MOOSH_OK);
  g_assert_cmpint (moosh_ecdh (their_secret, mine, swapped), ==, MOOSH_OK);
  g_assert_cmpmem (swapped, 32, shared, 32);

  rs[0] = 4;
  g_assert_cmpint (moosh_ecdh (e, rs, shared), ==, MOOSH_E_CRYPTO);
  memset (rs, 0xff, 33);
  rs[0] = 2;
  g_assert_cmpint (moosh_ecdh (e, rs, shared), ==, MOOSH_E_CRYPTO);
}

/* Blinding must not change what is signed. */
static void
test_blinding (void)
{
  uint8_t blinding[32], secret[32] = { 3 }, hash[32] = { 4 }, a[65], b[65];
  MooshCurve blinded;
  MooshSignature signature;

  memset (blinding, 0x5a, 32);
  moosh_curve_init (&blinded, blinding);
  g_assert_cmpint (moosh_sign (&curve, secret, hash, &signature), ==, MOOSH_OK);
  moosh_signature_to_bytes (&signature, a);
  g_assert_cmpint (moosh_sign (&blinded, secret, hash, &signature), ==, MOOSH_OK);
  moosh_signature_to_bytes (&signature, b);
  g_assert_cmpmem (a, 65, b, 65);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  moosh_curve_init (&curve, NULL);
  g_test_add_func ("/key/address/examples", test_address_examples);
  g_test_add_func ("/key/address/refusals", test_address_refusals);
  g_test_add_func ("/key/secret-range", test_secret_range);
  g_test_add_func ("/key/ecdsa/rfc6979", test_rfc6979);
  g_test_add_func ("/key/ecdsa/refusals", test_signature_refusals);
  g_test_add_func ("/key/bip340", test_bip340);
  g_test_add_func ("/key/statement", test_statement);
  g_test_add_func ("/key/ecdh", test_ecdh);
  g_test_add_func ("/key/blinding", test_blinding);
  return g_test_run ();
}
