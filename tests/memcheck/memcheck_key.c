/* Secrets marked undefined, so that valgrind's memcheck reports every branch and every address that
 * depends on one.
 *
 * Run under valgrind --error-exitcode; core/key is built with MOOSH_MEMCHECK here, so that what it
 * makes public by design is declassified (core/key/declassify.h). What this cannot see: scrypt,
 * which reads memory by the passphrase by design (the derived key is marked again behind it), and
 * the inside of libsecp256k1, whose own ctime_tests do this and whose known declassifications
 * Debian's build leaves out (memcheck.supp).
 *
 * With the argument "leak" it branches on a secret, and valgrind must notice: a test that cannot
 * fail proves nothing. */
#include "core/abi/eip712.h"
#include "core/key/bip32.h"
#include "core/key/bip39.h"
#include "core/key/keystore.h"
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <valgrind/memcheck.h>

static MooshCurve curve;

static void
hide (void *secret, size_t len)
{
  (void)VALGRIND_MAKE_MEM_UNDEFINED (secret, len);
}

static void
show (void *value, size_t len)
{
  (void)VALGRIND_MAKE_MEM_DEFINED (value, len);
}

static int
expect (int r, const char *what)
{
  if (r != MOOSH_OK)
    printf ("not ok: %s: %s\n", what, moosh_strerror (r));
  return r != MOOSH_OK;
}

/* A value that must still be secret: if memcheck thinks it defined, the marks were lost and the
 * test is blind. */
static int
expect_hidden (const void *value, size_t len, const char *what)
{
  uint8_t bits[256];
  int hidden = 0;

  if (VALGRIND_GET_VBITS (value, bits, len < sizeof bits ? len : sizeof bits) == 1)
    for (size_t i = 0; i < len && i < sizeof bits; i++)
      hidden |= bits[i];
  if (!hidden)
    printf ("not ok: %s is not marked any more\n", what);
  return !hidden;
}

static int
check_mnemonic (uint8_t ret_seed[64])
{
  uint8_t entropy[32], back[32];
  char words[MOOSH_MNEMONIC_MAX];
  size_t len, text_len;
  int bad = 0;

  for (size_t size = 16; size <= 32; size += 4)
    {
      memset (entropy, (int)size, sizeof entropy);
      hide (entropy, size);
      bad |= expect (moosh_mnemonic_from_entropy (entropy, size, words), "words");
      bad |= expect_hidden (words, sizeof words, "the words");
      /* how long the text is in all is public: whoever prints it shows that */
      char copy[MOOSH_MNEMONIC_MAX];
      memcpy (copy, words, sizeof copy);
      show (copy, sizeof copy);
      text_len = strlen (copy);
      bad |= expect (moosh_mnemonic_to_entropy (words, text_len, back, &len), "entropy");
      bad |= expect_hidden (back, size, "the entropy");
    }
  bad |= expect (moosh_mnemonic_seed (words, text_len, "", ret_seed), "seed");
  return bad | expect_hidden (ret_seed, 64, "the seed");
}

/* Wrong words take the same way through the code. */
static int
check_bad_mnemonic (void)
{
  char words[] = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon "
                 "abandon xbout";
  uint8_t back[32];
  size_t len;

  hide (words, sizeof words - 1);
  return moosh_mnemonic_to_entropy (words, sizeof words - 1, back, &len) != MOOSH_E_MALFORMED;
}

static int
check_derivation (const uint8_t seed[64], uint8_t ret_wallet[32], uint8_t ret_node[32])
{
  MooshHdKey master, key;
  int bad = expect (moosh_wallet_secret (&curve, seed, 0, ret_wallet), "wallet");

  bad |= expect (moosh_node_secret (&curve, seed, 0, ret_node), "node");
  bad |= expect (moosh_hd_master (seed, 64, &master), "master");
  bad |= expect (moosh_hd_path (&curve, &master, "m/1/2'/3", &key), "path");
  bad |= expect_hidden (ret_wallet, 32, "the wallet's secret");
  return bad | expect_hidden (key.chain, 32, "the chain code");
}

static int
check_signing (const uint8_t wallet[32], const uint8_t node[32])
{
  uint8_t hash[32], domain[32], aux[32] = { 0 }, bytes[65], signature64[64], public_key[33],
                                address[20], shared[32];
  MooshEip712Struct st;
  MooshSignature signature;
  int bad = 0;

  moosh_eip712_domain (&(MooshEip712Domain){ .name = "MooshNet", .version = "1" }, domain);
  moosh_eip712_begin (&st, "Mail(string contents)");
  moosh_eip712_add_string (&st, "hello");
  moosh_eip712_finish (&st, hash);
  moosh_eip712_digest (domain, hash, hash);
  bad |= expect (moosh_sign (&curve, wallet, hash, &signature), "sign");
  moosh_signature_to_bytes (&signature, bytes);
  bad |= expect (moosh_key_address (&curve, wallet, address), "address");

  bad |= expect (moosh_statement_sign (&curve, node, (MooshSpan){ hash, 32 }, aux, signature64),
                 "statement");
  bad |= expect (moosh_key_public (&curve, node, public_key), "public");
  bad |= expect (moosh_statement_verify (public_key, (MooshSpan){ hash, 32 }, signature64),
                 "verify");
  bad |= expect (moosh_ecdh (node, public_key, shared), "ecdh");
  return bad | expect_hidden (shared, 32, "the shared secret");
}

static int
check_keystore (const uint8_t wallet[32])
{
  MooshKeystore keystore
      = { .kdf = MOOSH_KDF_SCRYPT, .n = 16, .r = 8, .p = 1, .salt_len = 32, .has_address = true };
  uint8_t back[32], uuid[16] = { 0 };
  char text[MOOSH_KEYSTORE_TEXT_MAX];
  int bad = 0;

  for (keystore.kdf = MOOSH_KDF_SCRYPT, keystore.rounds = 2; keystore.kdf <= MOOSH_KDF_PBKDF2;
       keystore.kdf++)
    {
      bad |= expect (moosh_keystore_seal (&keystore, "passphrase", 10, wallet), "seal");
      moosh_keystore_write (&keystore, uuid, text);
      bad |= text[0] != '{';
      bad |= expect (moosh_keystore_open (&keystore, "passphrase", 10, back), "open");
      bad |= expect_hidden (back, 32, "the opened secret");
    }
  return bad;
}

int
main (int argc, char **argv)
{
  uint8_t seed[64], wallet[32], node[32], blinding[32];
  int bad = 0;

  setvbuf (stdout, NULL, _IONBF, 0);
  if (!RUNNING_ON_VALGRIND || sodium_init () < 0)
    return printf ("this runs under valgrind only\n"), 77;
  memset (blinding, 0x42, sizeof blinding);
  moosh_curve_init (&curve, blinding);

  bad |= check_mnemonic (seed);
  if (argc > 1 && strcmp (argv[1], "leak") == 0)
    return seed[0] > 127 ? 0 : 1 - (seed[1] > 127);
  bad |= check_bad_mnemonic ();
  bad |= check_derivation (seed, wallet, node);
  bad |= check_signing (wallet, node);
  bad |= check_keystore (wallet);
  return bad;
}
