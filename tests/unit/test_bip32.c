/* BIP-32 vectors 1 to 4, paths, and the accounts every Ethereum program derives. */
#include "core/key/bip32.h"
#include "core/key/bip39.h"
#include "key_vectors.h"
#include <string.h>

static MooshCurve curve;

/* Base58Check's 78 bytes (the checksum is the generator's business; every byte of it is compared
 * through the keys). */
static void
base58_decode (const char *text, uint8_t out[82])
{
  static const char digits[] = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

  memset (out, 0, 82);
  for (; *text != '\0'; text++)
    {
      const char *at = strchr (digits, *text);
      g_assert_nonnull (at);
      unsigned carry = (unsigned)(at - digits);
      for (int i = 81; i >= 0; i--)
        {
          carry += out[i] * 58u;
          out[i] = (uint8_t)carry;
          carry >>= 8;
        }
      g_assert_cmpuint (carry, ==, 0);
    }
}

static void
test_vectors (void)
{
  g_autoptr (GPtrArray) rows = vectors_load ("bip32.txt", "|");

  g_assert_cmpuint (rows->len, ==, 17);
  for (guint i = 0; i < rows->len; i++)
    {
      char **row = rows->pdata[i];
      uint8_t seed[64], xpub[82], xprv[82], public_key[33];
      MooshHdKey master, key;

      g_test_message ("%s", row[1]);
      g_assert_cmpint (moosh_hd_master (seed, vectors_hex (row[0], seed, sizeof seed), &master), ==,
                       MOOSH_OK);
      g_assert_cmpint (moosh_hd_path (&curve, &master, row[1], &key), ==, MOOSH_OK);
      base58_decode (row[2], xpub);
      base58_decode (row[3], xprv);
      /* version 4, depth 1, fingerprint 4, index 4, chain 32, key 33 */
      g_assert_cmpuint (key.depth, ==, xprv[4]);
      g_assert_cmpuint (key.index, ==, moosh_get_be32 (xprv + 9));
      g_assert_cmpmem (key.chain, 32, xprv + 13, 32);
      g_assert_cmpmem (key.secret, 32, xprv + 46, 32);
      g_assert_cmpint (moosh_key_public (&curve, key.secret, public_key), ==, MOOSH_OK);
      g_assert_cmpmem (public_key, 33, xpub + 45, 33);
    }
}

static void
test_paths (void)
{
  static const struct {
    const char *path;
    int expected;
  } cases[] = {
    { "m", MOOSH_OK },
    { "m/0", MOOSH_OK },
    { "m/2147483647'", MOOSH_OK },
    { "m/2147483648", MOOSH_E_RANGE },
    { "m/99999999999999999999", MOOSH_E_RANGE },
    { "m/", MOOSH_E_MALFORMED },
    { "m/0/", MOOSH_E_MALFORMED },
    { "m//0", MOOSH_E_MALFORMED },
    { "m/-1", MOOSH_E_MALFORMED },
    { "m/0''", MOOSH_E_MALFORMED },
    { "m/0H", MOOSH_E_MALFORMED },
    { "M/0", MOOSH_E_MALFORMED },
    { "0/1", MOOSH_E_MALFORMED },
    { "", MOOSH_E_MALFORMED },
    { "m/1/2/3/4/5/6/7/8/9/10", MOOSH_OK },
    { "m/1/2/3/4/5/6/7/8/9/10/11", MOOSH_E_LIMIT },
  };
  uint8_t seed[16] = { 1 };
  MooshHdKey master, key;

  g_assert_cmpint (moosh_hd_master (seed, 16, &master), ==, MOOSH_OK);
  for (size_t i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      memset (&key, 0xaa, sizeof key);
      g_test_message ("%s", cases[i].path);
      g_assert_cmpint (moosh_hd_path (&curve, &master, cases[i].path, &key), ==, cases[i].expected);
      if (cases[i].expected != MOOSH_OK)
        g_assert_cmpuint (key.depth, ==, 0xaa); /* untouched */
    }
}

static void
test_limits (void)
{
  uint8_t seed[65] = { 7 };
  MooshHdKey key;

  for (size_t len = 0; len <= sizeof seed; len++)
    g_assert_cmpint (moosh_hd_master (seed, len, &key), ==,
                     len >= 16 && len <= 64 ? MOOSH_OK : MOOSH_E_RANGE);
  g_assert_cmpint (moosh_hd_master (seed, 64, &key), ==, MOOSH_OK);
  for (int depth = 0; depth < 255; depth++)
    g_assert_cmpint (moosh_hd_child (&curve, &key, 0, &key), ==, MOOSH_OK);
  g_assert_cmpint (moosh_hd_child (&curve, &key, 0, &key), ==, MOOSH_E_LIMIT);
}

/* The developers' words of Hardhat, Foundry and the like, and what they all derive from them. */
static void
test_accounts (void)
{
  static const char words[] = "test test test test test test test test test test test junk";
  static const char *const addresses[] = {
    "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266",
    "0x70997970C51812dc3A010C7d01b50e0d17dc79C8",
    "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC",
  };
  uint8_t seed[64], secret[32], node[32], address[20];
  char text[MOOSH_ADDRESS_TEXT];

  g_assert_cmpint (moosh_mnemonic_seed (words, strlen (words), "", seed), ==, MOOSH_OK);
  for (uint32_t i = 0; i < G_N_ELEMENTS (addresses); i++)
    {
      g_assert_cmpint (moosh_wallet_secret (&curve, seed, i, secret), ==, MOOSH_OK);
      g_assert_cmpint (moosh_key_address (&curve, secret, address), ==, MOOSH_OK);
      moosh_address_format (address, text);
      g_assert_cmpstr (text, ==, addresses[i]);
    }

  MooshHdKey master, key;
  g_assert_cmpint (moosh_node_secret (&curve, seed, 2, node), ==, MOOSH_OK);
  g_assert_cmpint (moosh_hd_master (seed, 64, &master), ==, MOOSH_OK);
  g_assert_cmpint (moosh_hd_path (&curve, &master, "m/28015'/0'/2'", &key), ==, MOOSH_OK);
  g_assert_cmpmem (node, 32, key.secret, 32);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  moosh_curve_init (&curve, NULL);
  g_test_add_func ("/bip32/vectors", test_vectors);
  g_test_add_func ("/bip32/paths", test_paths);
  g_test_add_func ("/bip32/limits", test_limits);
  g_test_add_func ("/bip32/accounts", test_accounts);
  return g_test_run ();
}
