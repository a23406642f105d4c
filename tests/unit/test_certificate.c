/* peer/certificate: against another wallet's signature, and every way to be refused. */
#include "core/cbor/cbor.h"
#include "peer_fixture.h"

static char *
vector (const char *name)
{
  g_autofree char *text = NULL;
  g_autoptr (GError) error = NULL;
  g_file_get_contents (MOOSH_SOURCE_DIR "/tests/vectors/peer/certificate.txt", &text, NULL, &error);
  g_assert_no_error (error);
  g_auto (GStrv) lines = g_strsplit (text, "\n", -1);
  gsize len = strlen (name);
  for (char **line = lines; *line != NULL; line++)
    if (strncmp (*line, name, len) == 0 && (*line)[len] == ' ')
      return g_strdup (*line + len + 1);
  g_assert_not_reached ();
}

static void
unhex (const char *name, guint8 *out, gsize len)
{
  g_autofree char *hex = vector (name);
  g_assert_cmpint (moosh_hex_decode (hex, out, len), ==, 0);
}

static void
test_vector (void)
{
  MooshCertificate certificate = { .seq = 7, .not_after_s = 1893456000 }, again;
  guint8 identity[20], signature[65];
  g_autoptr (GError) error = NULL;
  unhex ("identity", identity, 20);
  unhex ("node_key", certificate.node_key, 33);
  unhex ("signature", signature, 65);
  memset (certificate.wg_key, 7, 32);
  memset (certificate.wg_key_next, 9, 32);
  g_autofree char *json = moosh_certificate_typed_data (&certificate);
  g_autofree char *expected = vector ("json");
  g_assert_cmpstr (json, ==, expected);
  moosh_certificate_set_signature (&certificate, signature, &error);
  g_assert_no_error (error);
  g_assert_cmpmem (certificate.identity, 20, identity, 20);

  g_autoptr (GBytes) bytes = moosh_certificate_encode (&certificate);
  gsize len;
  const void *ptr = g_bytes_get_data (bytes, &len);
  g_assert_cmpuint (len, <=, MOOSH_CERTIFICATE_MAX);
  g_assert_true (moosh_certificate_decode (ptr, len, &again, &error));
  g_assert_no_error (error);
  g_assert_cmpmem (again.identity, 20, identity, 20);
  g_assert_cmpmem (again.node_key, 33, certificate.node_key, 33);
  g_assert_cmpmem (again.wg_key, 32, certificate.wg_key, 32);
  g_assert_cmpmem (again.wg_key_next, 32, certificate.wg_key_next, 32);
  g_assert_cmpmem (again.signature, 65, signature, 65);
  g_assert_cmpuint (again.seq, ==, 7);
  g_assert_cmpuint (again.not_after_s, ==, 1893456000);

  /* A wallet that says v = 0 or 1 means 27 or 28. */
  signature[64] = (guint8)(signature[64] - 27);
  moosh_certificate_set_signature (&certificate, signature, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (certificate.signature[64], ==, signature[64] + 27);
  signature[64] = 5;
  g_assert_false (moosh_certificate_set_signature (&certificate, signature, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE);
}

/* Flip every bit of the encoding; cut it everywhere; add to it: never accepted. */
static void
test_every_bit (void)
{
  Party party;
  MooshCertificate out;
  party_init (&party, 3);
  memset (&out, 0xee, sizeof out);
  MooshCertificate before = out;
  g_autoptr (GBytes) bytes = party_certificate_bytes (&party);
  gsize len;
  g_autofree guint8 *copy = g_memdup2 (g_bytes_get_data (bytes, &len), g_bytes_get_size (bytes));
  for (gsize bit = 0; bit < 8 * len; bit++)
    {
      g_autoptr (GError) error = NULL;
      copy[bit / 8] ^= (guint8)(1 << bit % 8);
      g_assert_false (moosh_certificate_decode (copy, len, &out, &error));
      g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_PROTOCOL);
      copy[bit / 8] ^= (guint8)(1 << bit % 8);
    }
  for (gsize cut = 0; cut < len; cut++)
    {
      g_autofree guint8 *part = g_memdup2 (copy, cut > 0 ? cut : 1);
      g_assert_false (moosh_certificate_decode (part, cut, &out, NULL));
    }
  g_assert_cmpmem (&out, sizeof out, &before, sizeof before); /* untouched */
  g_assert_true (moosh_certificate_decode (copy, len, &out, NULL));
}

/* The curve's order minus s, and the other parity, is a signature too: not for us. */
static void
test_malleable (void)
{
  static const guint8 order[32]
      = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
          0xff, 0xff, 0xff, 0xff, 0xfe, 0xba, 0xae, 0xdc, 0xe6, 0xaf, 0x48,
          0xa0, 0x3b, 0xbf, 0xd2, 0x5e, 0x8c, 0xd0, 0x36, 0x41, 0x41 };
  Party party;
  MooshCertificate out;
  party_init (&party, 3);
  MooshCertificate certificate = party_certificate (&party, 1, 4102444800);
  int borrow = 0;
  for (int i = 31; i >= 0; i--)
    {
      int d = order[i] - certificate.signature[32 + i] - borrow;
      borrow = d < 0;
      certificate.signature[32 + i] = (guint8)d;
    }
  certificate.signature[64] = (guint8)(55 - certificate.signature[64]);
  g_autoptr (GBytes) bytes = moosh_certificate_encode (&certificate);
  g_autoptr (GError) error = NULL;
  g_assert_false (moosh_certificate_decode (g_bytes_get_data (bytes, NULL),
                                            g_bytes_get_size (bytes), &out, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_PROTOCOL);
}

static void
test_key_no_point (void)
{
  Party party;
  MooshCertificate out;
  party_init (&party, 3);
  memset (party.node_key + 1, 0xff, 32);
  g_autoptr (GBytes) bytes = party_certificate_bytes (&party); /* well signed, all the same */
  g_autoptr (GError) error = NULL;
  g_assert_false (moosh_certificate_decode (g_bytes_get_data (bytes, NULL),
                                            g_bytes_get_size (bytes), &out, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_PROTOCOL);
  g_assert_nonnull (strstr (error->message, "node key"));
}

static void
test_time (void)
{
  MooshCertificate c = { .not_after_s = 1000000 };
  g_autoptr (GError) error = NULL;
  g_assert_true (moosh_certificate_check_time (&c, 0, NULL));
  g_assert_true (moosh_certificate_check_time (&c, 1000000, NULL));
  g_assert_true (moosh_certificate_check_time (
      &c, 1000600, NULL)); /* ten minutes are forgiven, not a second more */
  g_assert_false (moosh_certificate_check_time (&c, 1000601, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_EXPIRED);
  c.not_after_s = G_MAXUINT64;
  g_assert_true (moosh_certificate_check_time (&c, G_MAXINT64, NULL));
}

/* An odd member more is ignored, an even one is not, and none may be missing. */
static void
test_members (void)
{
  Party party;
  MooshCertificate out;
  guint8 room[MOOSH_CERTIFICATE_MAX];
  party_init (&party, 3);
  g_autoptr (GBytes) bytes = party_certificate_bytes (&party);
  gsize len;
  const guint8 *ptr = g_bytes_get_data (bytes, &len);
  for (guint8 key = 13; key <= 14; key++)
    {
      g_assert_cmpuint (ptr[0], ==, 0xa7);
      memcpy (room, ptr, len);
      room[0] = 0xa8;
      room[len] = key;
      room[len + 1] = 0xf6;
      g_assert_true (moosh_certificate_decode (room, len + 2, &out, NULL) == (key % 2 == 1));
    }
  memcpy (room, ptr, len);
  room[0] = 0xa6; /* all but the signature: its 68 bytes are key, head (2) and 65 */
  g_assert_false (moosh_certificate_decode (room, len - 68, &out, NULL));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/certificate/vector", test_vector);
  g_test_add_func ("/certificate/every-bit", test_every_bit);
  g_test_add_func ("/certificate/malleable", test_malleable);
  g_test_add_func ("/certificate/key-no-point", test_key_no_point);
  g_test_add_func ("/certificate/time", test_time);
  g_test_add_func ("/certificate/members", test_members);
  return g_test_run ();
}
