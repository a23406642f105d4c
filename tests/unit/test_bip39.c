/* BIP-39: the official vectors both ways, and every kind of text that is refused. */
#include "core/hash/hash.h"
#include "core/key/bip39.h"
#include "key_vectors.h"
#include <string.h>

static void
test_list (void)
{
  g_autoptr (GString) text = g_string_new (NULL);
  uint8_t digest[32];
  char hex[65];

  for (size_t i = 0; i < 2048; i++)
    {
      g_string_append_len (text, moosh_bip39_words[i], (gssize)strnlen (moosh_bip39_words[i], 8));
      g_string_append_c (text, '\n');
    }
  moosh_sha256 (text->str, text->len, digest);
  moosh_hex_encode (digest, 32, hex);
  g_assert_cmpstr (hex, ==, "2f5eed53a4727b4bf8880d8f3f199efc90e58503646d9ff8eff3a2ed3b24dbda");
}

static void
test_vectors (void)
{
  g_autoptr (GPtrArray) rows = vectors_load ("bip39.txt", "|");

  g_assert_cmpuint (rows->len, ==, 24);
  for (guint i = 0; i < rows->len; i++)
    {
      char **row = rows->pdata[i], text[MOOSH_MNEMONIC_MAX];
      uint8_t entropy[32], back[32], seed[64], expected[64];
      size_t len = vectors_hex (row[0], entropy, sizeof entropy), back_len;

      g_assert_cmpint (moosh_mnemonic_from_entropy (entropy, len, text), ==, MOOSH_OK);
      g_assert_cmpstr (text, ==, row[1]);
      g_assert_cmpint (moosh_mnemonic_to_entropy (row[1], strlen (row[1]), back, &back_len), ==,
                       MOOSH_OK);
      g_assert_cmpmem (back, back_len, entropy, len);
      g_assert_cmpint (moosh_mnemonic_seed (row[1], strlen (row[1]), "TREZOR", seed), ==, MOOSH_OK);
      vectors_hex (row[2], expected, sizeof expected);
      g_assert_cmpmem (seed, 64, expected, 64);
    }
}

/* Every length of entropy, random bytes: text and back. */
static void
test_round_trip (void)
{
  for (int i = 0; i < 200; i++)
    {
      static const size_t lengths[] = { 16, 20, 24, 28, 32 };
      uint8_t entropy[32], back[32];
      char text[MOOSH_MNEMONIC_MAX];
      size_t len = lengths[i % 5], back_len;

      for (size_t k = 0; k < len; k++)
        entropy[k] = (uint8_t)g_test_rand_int_range (0, 256);
      g_assert_cmpint (moosh_mnemonic_from_entropy (entropy, len, text), ==, MOOSH_OK);
      g_assert_cmpint (moosh_mnemonic_to_entropy (text, strlen (text), back, &back_len), ==,
                       MOOSH_OK);
      g_assert_cmpmem (back, back_len, entropy, len);
    }
}

#define ELEVEN                                                                                     \
  "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon "

static void
test_refusals (void)
{
  static const struct {
    const char *text;
    int expected;
  } cases[] = {
    { ELEVEN "about", MOOSH_OK },
    { ELEVEN "abandon", MOOSH_E_CRYPTO },
    { ELEVEN "zoo", MOOSH_E_CRYPTO },
    { ELEVEN "abouty", MOOSH_E_MALFORMED },
    { ELEVEN "abou", MOOSH_E_MALFORMED },
    { ELEVEN "About", MOOSH_E_MALFORMED },
    { ELEVEN "about ", MOOSH_E_RANGE }, /* a thirteenth, empty word */
    { ELEVEN " about", MOOSH_E_RANGE },
    { " " ELEVEN "about", MOOSH_E_RANGE },
    { ELEVEN "abo\tut", MOOSH_E_MALFORMED },
    { ELEVEN "abandonabandon", MOOSH_E_MALFORMED },
    { ELEVEN "abo\xc3\xbct", MOOSH_E_MALFORMED },
    { "abandon abandon", MOOSH_E_RANGE },
    { "", MOOSH_E_RANGE },
    { " ", MOOSH_E_RANGE },
    { ELEVEN ELEVEN "abandon abandon art", MOOSH_E_RANGE },
    { ELEVEN ELEVEN "abandon art", MOOSH_OK },
    { ELEVEN "about about about abandon", MOOSH_E_CRYPTO },
    { "abandon  abandon abandon abandon abandon abandon abandon abandon abandon abandon about",
      MOOSH_E_MALFORMED }, /* twelve "words", one of them empty */
  };

  for (size_t i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      static const uint8_t zero[32];
      uint8_t entropy[32];
      size_t len = 99;

      g_test_message ("%s", cases[i].text);
      g_assert_cmpint (
          moosh_mnemonic_to_entropy (cases[i].text, strlen (cases[i].text), entropy, &len), ==,
          cases[i].expected);
      if (cases[i].expected != MOOSH_OK)
        {
          g_assert_cmpuint (len, ==, 0);
          g_assert_cmpmem (entropy, 32, zero, 32);
        }
    }
}

static void
test_limits (void)
{
  uint8_t entropy[40] = { 0 }, seed[64], back[32];
  char text[MOOSH_MNEMONIC_MAX], passphrase[258], longest[300];
  size_t len;

  for (size_t n = 0; n <= sizeof entropy; n++)
    g_assert_cmpint (moosh_mnemonic_from_entropy (entropy, n, text), ==,
                     n >= 16 && n <= 32 && n % 4 == 0 ? MOOSH_OK : MOOSH_E_RANGE);

  memset (passphrase, 'x', sizeof passphrase);
  passphrase[256] = '\0';
  g_assert_cmpint (moosh_mnemonic_seed ("a", 1, passphrase, seed), ==, MOOSH_OK);
  passphrase[256] = 'x';
  passphrase[257] = '\0';
  g_assert_cmpint (moosh_mnemonic_seed ("a", 1, passphrase, seed), ==, MOOSH_E_LIMIT);

  memset (longest, 'a', sizeof longest);
  g_assert_cmpint (moosh_mnemonic_to_entropy (longest, sizeof longest, back, &len), ==,
                   MOOSH_E_RANGE);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/bip39/list", test_list);
  g_test_add_func ("/bip39/vectors", test_vectors);
  g_test_add_func ("/bip39/round-trip", test_round_trip);
  g_test_add_func ("/bip39/refusals", test_refusals);
  g_test_add_func ("/bip39/limits", test_limits);
  return g_test_run ();
}
