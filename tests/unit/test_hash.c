#include "core/hash/hash.h"
#include <glib.h>
#include <string.h>

static void
assert_hex (const guint8 *bytes, gsize len, const char *expected)
{
  g_autofree char *text = g_malloc (2 * len + 1);

  moosh_hex_encode (bytes, len, text);
  g_assert_cmpstr (text, ==, expected);
}

/* tests/vectors/keccak256.txt: "message digest" per line, "-" for the empty message. */
static void
test_keccak_vectors (void)
{
  g_autofree char *text = NULL;
  g_auto (GStrv) lines = NULL;
  guint seen = 0;

  g_assert_true (
      g_file_get_contents (MOOSH_SOURCE_DIR "/tests/vectors/keccak256.txt", &text, NULL, NULL));
  lines = g_strsplit (text, "\n", -1);
  for (guint i = 0; lines[i] != NULL; i++)
    {
      g_auto (GStrv) fields = g_strsplit (lines[i], " ", 2);
      guint8 message[512], digest[32];
      gsize len;

      if (lines[i][0] == '#' || lines[i][0] == '\0')
        continue;
      len = strcmp (fields[0], "-") == 0 ? 0 : strlen (fields[0]) / 2;
      g_assert_cmpint (len == 0 ? 0 : moosh_hex_decode (fields[0], message, len), ==, MOOSH_OK);
      moosh_keccak256 (message, len, digest);
      assert_hex (digest, 32, fields[1]);
      seen++;
    }
  g_assert_cmpuint (seen, >=, 12);
}

/* Every way to cut a message in two gives the digest of the whole; lengths on both sides of the
 * block. */
static void
test_keccak_pieces (void)
{
  guint8 message[300], whole[32], pieces[32];

  for (gsize i = 0; i < sizeof message; i++)
    message[i] = (guint8)(i * 7);
  for (gsize len = 130; len <= 280; len += 1 + len % 3)
    {
      moosh_keccak256 (message, len, whole);
      for (gsize cut = 0; cut <= len; cut++)
        {
          MooshKeccak256 hash;

          moosh_keccak256_init (&hash);
          moosh_keccak256_update (&hash, message, cut);
          moosh_keccak256_update (&hash, message + cut, len - cut);
          moosh_keccak256_final (&hash, pieces);
          g_assert_cmpmem (whole, 32, pieces, 32);
        }
    }
}

static void
test_sha256 (void)
{
  guint8 digest[32];

  moosh_sha256 ("abc", 3, digest); /* FIPS 180-4, example B.1 */
  assert_hex (digest, 32, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  moosh_sha256 ("", 0, digest);
  assert_hex (digest, 32, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

static void
test_hmac (void)
{
  guint8 key[131], mac[32];

  moosh_hmac_sha256 ("Jefe", 4, "what do ya want for nothing?", 28, mac); /* RFC 4231, case 2 */
  assert_hex (mac, 32, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  memset (key, 0xaa, sizeof key); /* case 6: a key longer than a block */
  moosh_hmac_sha256 (key, sizeof key, "Test Using Larger Than Block-Size Key - Hash Key First", 54,
                     mac);
  assert_hex (mac, 32, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

/* RFC 5869, appendix A.1 and A.3. */
static void
test_hkdf (void)
{
  guint8 secret[22], salt[13], context[10], out[42], long_out[255 * 32 + 1];

  memset (secret, 0x0b, sizeof secret);
  for (guint8 i = 0; i < sizeof salt; i++)
    salt[i] = i;
  for (guint8 i = 0; i < sizeof context; i++)
    context[i] = (guint8)(0xf0 + i);
  g_assert_cmpint (moosh_hkdf_sha256 ((MooshSpan){ salt, 13 }, (MooshSpan){ secret, 22 },
                                      (MooshSpan){ context, 10 }, out, 42),
                   ==, MOOSH_OK);
  assert_hex (
      out, 42,
      "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");
  g_assert_cmpint (moosh_hkdf_sha256 ((MooshSpan){ NULL, 0 }, (MooshSpan){ secret, 22 },
                                      (MooshSpan){ NULL, 0 }, out, 42),
                   ==, MOOSH_OK);
  assert_hex (
      out, 42,
      "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8");
  g_assert_cmpint (moosh_hkdf_sha256 ((MooshSpan){ NULL, 0 }, (MooshSpan){ secret, 22 },
                                      (MooshSpan){ NULL, 0 }, long_out, 255 * 32),
                   ==, MOOSH_OK);
  g_assert_cmpint (moosh_hkdf_sha256 ((MooshSpan){ NULL, 0 }, (MooshSpan){ secret, 22 },
                                      (MooshSpan){ NULL, 0 }, long_out, sizeof long_out),
                   ==, MOOSH_E_LIMIT);
}

/* BIP-340's tagged hash, spelled out with the plain one. */
static void
test_tagged (void)
{
  guint8 spelled[32 + 32 + 3], expected[32], digest[32];

  moosh_sha256 ("BIP0340/challenge", 17, spelled);
  memcpy (spelled + 32, spelled, 32);
  memcpy (spelled + 64, "abc", 3);
  moosh_sha256 (spelled, sizeof spelled, expected);
  moosh_tagged_sha256 ("BIP0340/challenge", "abc", 3, digest);
  g_assert_cmpmem (digest, 32, expected, 32);
  assert_hex (spelled, 32, "7bb52d7a9fef58323eb1bf7a407db382d2f3f2d81bb1224f49fe518f6d48d37c");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/hash/keccak/vectors", test_keccak_vectors);
  g_test_add_func ("/hash/keccak/pieces", test_keccak_pieces);
  g_test_add_func ("/hash/sha256", test_sha256);
  g_test_add_func ("/hash/hmac", test_hmac);
  g_test_add_func ("/hash/hkdf", test_hkdf);
  g_test_add_func ("/hash/tagged", test_tagged);
  return g_test_run ();
}
