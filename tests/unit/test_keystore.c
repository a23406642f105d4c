/* Keystore v3: the definition's vectors, round trips, damage, limits. */
#include "core/key/key.h"
#include "core/key/keystore.h"
#include "key_vectors.h"
#include <string.h>

static char *
load (const char *name, gsize *len)
{
  g_autofree char *path = g_build_filename (MOOSH_SOURCE_DIR, "tests/vectors/key", name, NULL);
  g_autoptr (GError) error = NULL;
  char *text = NULL;

  g_file_get_contents (path, &text, len, &error);
  g_assert_no_error (error);
  return text;
}

static void
test_vectors (void)
{
  static const char *const names[] = { "keystore-scrypt.json", "keystore-pbkdf2.json" };
  uint8_t expected[32], secret[32], zero[32] = { 0 };

  vectors_hex ("7a28b5ba57c53603b0b07b56bba752f7784bf506fa95edc395f5cf6c7514fe9d", expected, 32);
  for (size_t i = 0; i < G_N_ELEMENTS (names); i++)
    {
      gsize len;
      g_autofree char *text = load (names[i], &len);
      MooshKeystore keystore;

      g_assert_cmpint (moosh_keystore_parse (text, len, &keystore), ==, MOOSH_OK);
      g_assert_false (keystore.has_address);
      g_assert_cmpint (moosh_keystore_open (&keystore, "testpassword", 12, secret), ==, MOOSH_OK);
      g_assert_cmpmem (secret, 32, expected, 32);
      g_assert_cmpint (moosh_keystore_open (&keystore, "testpasswore", 12, secret), ==,
                       MOOSH_E_CRYPTO);
      g_assert_cmpmem (secret, 32, zero, 32);
    }
}

/* Cheap parameters: what is under test here is not scrypt. */
static MooshKeystore
cheap (void)
{
  MooshKeystore keystore
      = { .kdf = MOOSH_KDF_SCRYPT, .n = 16, .r = 8, .p = 1, .salt_len = 32, .has_address = true };

  memset (keystore.salt, 0x11, 32);
  memset (keystore.iv, 0x22, 16);
  memset (keystore.address, 0x33, 20);
  return keystore;
}

static char *
cheap_text (const uint8_t secret[32])
{
  MooshKeystore keystore = cheap ();
  uint8_t uuid[16] = { 0xff, 1, 2, 3, 4, 5, 0xff, 7, 0xff };
  char *text = g_malloc (MOOSH_KEYSTORE_TEXT_MAX);

  g_assert_cmpint (moosh_keystore_seal (&keystore, "pw", 2, secret), ==, MOOSH_OK);
  moosh_keystore_write (&keystore, uuid, text);
  return text;
}

static void
test_round_trip (void)
{
  uint8_t secret[32], back[32];
  MooshKeystore read;

  memset (secret, 0x44, 32);
  for (MooshKdf kdf = MOOSH_KDF_SCRYPT; kdf <= MOOSH_KDF_PBKDF2; kdf++)
    {
      MooshKeystore keystore = cheap ();
      uint8_t uuid[16] = { 0 };
      char text[MOOSH_KEYSTORE_TEXT_MAX];

      keystore.kdf = kdf;
      keystore.rounds = 3;
      keystore.has_address = kdf == MOOSH_KDF_SCRYPT;
      keystore.salt_len = kdf == MOOSH_KDF_SCRYPT ? 64 : 1;
      g_assert_cmpint (moosh_keystore_seal (&keystore, "", 0, secret), ==, MOOSH_OK);
      moosh_keystore_write (&keystore, uuid, text);
      g_assert_cmpuint (strlen (text), <, sizeof text - 1);
      g_assert_cmpint (moosh_keystore_parse (text, strlen (text), &read), ==, MOOSH_OK);
      g_assert_cmpint (read.has_address, ==, keystore.has_address);
      g_assert_cmpuint (read.salt_len, ==, keystore.salt_len);
      g_assert_cmpint (moosh_keystore_open (&read, "", 0, back), ==, MOOSH_OK);
      g_assert_cmpmem (back, 32, secret, 32);
    }
}

/* A JSON library must agree on what we wrote, and the UUID must be one. */
static void
test_text (void)
{
  uint8_t secret[32] = { 1 };
  g_autofree char *text = cheap_text (secret);

  g_assert_nonnull (strstr (text, "\"id\":\"ff010203-0405-4f07-bf00-000000000000\""));
  g_assert_nonnull (strstr (text, "\"address\":\"3333333333333333333333333333333333333333\""));
  g_assert_nonnull (strstr (text, "\"version\":3}"));
}

/* Any change of the encrypted part is noticed. */
static void
test_damage (void)
{
  uint8_t secret[32] = { 1 }, back[32];
  MooshKeystore keystore = cheap ();

  g_assert_cmpint (moosh_keystore_seal (&keystore, "pw", 2, secret), ==, MOOSH_OK);
  for (size_t i = 0; i < 32; i++)
    {
      MooshKeystore changed = keystore;
      changed.ciphertext[i] ^= 1;
      g_assert_cmpint (moosh_keystore_open (&changed, "pw", 2, back), ==, MOOSH_E_CRYPTO);
      changed = keystore;
      changed.mac[i] ^= 0x80;
      g_assert_cmpint (moosh_keystore_open (&changed, "pw", 2, back), ==, MOOSH_E_CRYPTO);
      changed = keystore;
      changed.salt[i] ^= 1;
      g_assert_cmpint (moosh_keystore_open (&changed, "pw", 2, back), ==, MOOSH_E_CRYPTO);
    }
}

/* One replacement in a good text, and what the parser says. */
static void
test_refusals (void)
{
  static const struct {
    const char *old, *new;
    int expected;
  } cases[] = {
    { "\"version\":3", "\"version\":3,\"name\":[1,-2.5e3,{\"a\":null},\"\\u0041\",true]",
      MOOSH_OK },
    { "\"version\":3", "\"version\": 3 , \"x\":{}", MOOSH_OK },
    { "\"address\":\"", "\"address\":\"0x", MOOSH_OK },
    { "\"version\":3", "\"version\":2", MOOSH_E_RANGE },
    { "\"version\":3", "\"version\":\"3\"", MOOSH_E_MALFORMED },
    { "\"version\":3", "\"version\":03", MOOSH_E_MALFORMED },
    { "\"version\":3", "\"version\":99999999999999999999", MOOSH_E_RANGE },
    { "\"version\":3", "\"version\":3,\"version\":3", MOOSH_E_MALFORMED },
    { "\"version\":3", "\"vers\\u0069on\":3", MOOSH_E_NONCANONICAL },
    { ",\"version\":3", "", MOOSH_E_MALFORMED },
    { "}\n", "} x", MOOSH_E_TRAILING },
    { "}\n", "", MOOSH_E_SHORT },
    { "}\n", "]", MOOSH_E_MALFORMED },
    { "aes-128-ctr", "aes-128-cbc", MOOSH_E_RANGE },
    { "\"scrypt\"", "\"argon2id\"", MOOSH_E_RANGE },
    { "\"scrypt\"", "\"pbkdf2\"", MOOSH_E_MALFORMED }, /* its parameters are not there */
    { "\"dklen\":32", "\"dklen\":64", MOOSH_E_RANGE },
    { "\"n\":16", "\"n\":15", MOOSH_E_RANGE },
    { "\"n\":16", "\"n\":0", MOOSH_E_RANGE },
    { "\"n\":16", "\"n\":1", MOOSH_E_RANGE },
    { "\"n\":16", "\"n\":1048576", MOOSH_OK }, /* 1 GiB with r = 8: the limit */
    { "\"n\":16", "\"n\":2097152", MOOSH_E_LIMIT },
    { "\"n\":16", "\"n\":-16", MOOSH_E_MALFORMED },
    { "\"n\":16", "\"n\":16.0", MOOSH_E_MALFORMED },
    { "\"r\":8", "\"r\":0", MOOSH_E_RANGE },
    { "\"r\":8", "\"r\":1025", MOOSH_E_LIMIT },
    { "\"r\":8", "\"r\":4294967304", MOOSH_E_LIMIT },
    { "\"p\":1", "\"p\":0", MOOSH_E_RANGE },
    { "\"p\":1", "\"p\":65", MOOSH_E_LIMIT },
    { "\"iv\":\"22", "\"iv\":\"", MOOSH_E_RANGE },
    { "\"iv\":\"22", "\"iv\":\"2222", MOOSH_E_MALFORMED },
    { "\"iv\":\"22", "\"iv\":\"2", MOOSH_E_MALFORMED },
    { "\"iv\":\"22", "\"iv\":\"2g", MOOSH_E_MALFORMED },
    { "\"iv\":\"22", "\"iv\":\"0x", MOOSH_E_RANGE },
    { "\"iv\":\"22", "\"iv\":\"\x01", MOOSH_E_MALFORMED },
    { "\"salt\":\"1111", "\"salt\":\"", MOOSH_OK },
    { "\"mac\"", "\"mca\"", MOOSH_E_MALFORMED },
    { "\"version\":3", "\"x\":[[[[[[[[1]]]]]]]],\"version\":3", MOOSH_OK },
    { "\"version\":3", "\"x\":[[[[[[[[[1]]]]]]]]],\"version\":3", MOOSH_E_LIMIT },
    { "\"version\":3", "\"x\":nul,\"version\":3", MOOSH_E_MALFORMED },
    { "\"version\":3", "\"x\":,\"version\":3", MOOSH_E_MALFORMED },
    { "{", "[", MOOSH_E_MALFORMED },
  };
  uint8_t secret[32] = { 1 };
  g_autofree char *good = cheap_text (secret);

  for (size_t i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      MooshKeystore keystore;
      char *at = strstr (good, cases[i].old);
      g_assert_nonnull (at);
      g_autofree char *text = g_strdup_printf ("%.*s%s%s", (int)(at - good), good, cases[i].new,
                                               at + strlen (cases[i].old));
      g_test_message ("%s -> %s", cases[i].old, cases[i].new);
      g_assert_cmpint (moosh_keystore_parse (text, strlen (text), &keystore), ==,
                       cases[i].expected);
    }
}

/* Every prefix is refused, and the result is left alone. */
static void
test_prefixes (void)
{
  uint8_t secret[32] = { 1 };
  g_autofree char *text = cheap_text (secret);
  size_t len = strlen (text) - 1; /* without its newline */
  MooshKeystore keystore;

  memset (&keystore, 0xaa, sizeof keystore);
  for (size_t i = 0; i < len; i++)
    {
      g_assert_cmpint (moosh_keystore_parse (text, i, &keystore), <, 0);
      g_assert_cmpuint (keystore.mac[0], ==, 0xaa);
    }
  g_assert_cmpint (moosh_keystore_parse (text, len, &keystore), ==, MOOSH_OK);
}

static void
test_size_limit (void)
{
  uint8_t secret[32] = { 1 };
  g_autofree char *text = cheap_text (secret);
  size_t len = strlen (text);
  g_autofree char *padded = g_malloc (MOOSH_KEYSTORE_INPUT_MAX + 1);
  MooshKeystore keystore;

  memset (padded, ' ', MOOSH_KEYSTORE_INPUT_MAX + 1);
  memcpy (padded, text, len);
  g_assert_cmpint (moosh_keystore_parse (padded, MOOSH_KEYSTORE_INPUT_MAX, &keystore), ==,
                   MOOSH_OK);
  g_assert_cmpint (moosh_keystore_parse (padded, MOOSH_KEYSTORE_INPUT_MAX + 1, &keystore), ==,
                   MOOSH_E_LIMIT);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/keystore/vectors", test_vectors);
  g_test_add_func ("/keystore/round-trip", test_round_trip);
  g_test_add_func ("/keystore/text", test_text);
  g_test_add_func ("/keystore/damage", test_damage);
  g_test_add_func ("/keystore/refusals", test_refusals);
  g_test_add_func ("/keystore/prefixes", test_prefixes);
  g_test_add_func ("/keystore/size-limit", test_size_limit);
  return g_test_run ();
}
