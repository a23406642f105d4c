/* peer/statement: form, signature, and every way to be refused. */
#include "core/hash/hash.h"
#include "peer/statement.h"
#include "peer_fixture.h"

static MooshStatement
sample (const Party *party)
{
  static const guint8 body[] = { 0xa1, 0x00, 0x01 };
  MooshStatement statement = { .certificate_seq = 3,
                               .kind = MOOSH_STATEMENT_RATING,
                               .dkey = "about",
                               .dkey_len = 5,
                               .seq = 9,
                               .created_s = 1700000000,
                               .expires_s = 1800000000,
                               .body = body,
                               .body_len = sizeof body };
  memcpy (statement.author, party->node_key, 33);
  return statement;
}

static GBytes *
encode (const MooshStatement *statement)
{
  g_autoptr (GError) error = NULL;
  GBytes *bytes = moosh_statement_encode (statement, &error);
  g_assert_no_error (error);
  return bytes;
}

static void
sign (const Party *party, GBytes *bytes, guint8 ret_signature[64])
{
  static const guint8 aux[32];
  gsize len;
  const guint8 *ptr = g_bytes_get_data (bytes, &len);
  g_assert_cmpint (moosh_statement_sign (&party->curve, party->secret, (MooshSpan){ ptr, len }, aux,
                                         ret_signature),
                   ==, 0);
}

static void
test_round (void)
{
  Party party;
  MooshStatement out;
  guint8 signature[64], id[32], hash[32];
  g_autoptr (GError) error = NULL;
  party_init (&party, 4);
  MooshStatement statement = sample (&party);
  g_autoptr (GBytes) bytes = encode (&statement);
  gsize len;
  const guint8 *ptr = g_bytes_get_data (bytes, &len);
  g_assert_cmpuint (ptr[0], ==, 0xa8); /* eight members, keys 0–7 */
  sign (&party, bytes, signature);
  g_assert_true (moosh_statement_check (ptr, len, signature, &out, &error));
  g_assert_no_error (error);
  g_assert_cmpmem (out.author, 33, statement.author, 33);
  g_assert_cmpuint (out.certificate_seq, ==, 3);
  g_assert_cmpuint (out.kind, ==, MOOSH_STATEMENT_RATING);
  g_assert_cmpmem (out.dkey, out.dkey_len, "about", 5);
  g_assert_cmpuint (out.seq, ==, 9);
  g_assert_cmpuint (out.created_s, ==, 1700000000);
  g_assert_cmpuint (out.expires_s, ==, 1800000000);
  g_assert_cmpmem (out.body, out.body_len, statement.body, statement.body_len);
  moosh_statement_id (ptr, len, id);
  moosh_sha256 (ptr, len, hash);
  g_assert_cmpmem (id, 32, hash, 32);
}

static void
test_every_bit (void)
{
  Party party;
  MooshStatement out;
  guint8 signature[64];
  party_init (&party, 4);
  MooshStatement statement = sample (&party);
  g_autoptr (GBytes) bytes = encode (&statement);
  gsize len = g_bytes_get_size (bytes);
  g_autofree guint8 *copy = g_memdup2 (g_bytes_get_data (bytes, NULL), len);
  sign (&party, bytes, signature);
  for (gsize bit = 0; bit < 8 * (len + 64); bit++)
    {
      guint8 *at = bit / 8 < len ? copy + bit / 8 : signature + (bit / 8 - len);
      /* The sign of the author's key is not signed for: BIP-340 knows x coordinates only. But it is
       * hashed. */
      g_autoptr (GError) error = NULL;
      *at ^= (guint8)(1 << bit % 8);
      g_assert_false (moosh_statement_check (copy, len, signature, &out, &error));
      g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_PROTOCOL);
      *at ^= (guint8)(1 << bit % 8);
    }
  for (gsize cut = 0; cut < len; cut++)
    {
      g_autofree guint8 *part = g_memdup2 (copy, cut > 0 ? cut : 1);
      g_assert_false (moosh_statement_decode (part, cut, &out, NULL));
    }
  g_assert_true (moosh_statement_check (copy, len, signature, &out, NULL));
}

static void
test_limits (void)
{
  static guint8 body[MOOSH_STATEMENT_BODY_MAX + 1];
  Party party;
  MooshStatement out;
  g_autoptr (GError) error = NULL;
  party_init (&party, 4);
  MooshStatement s = sample (&party);
  memset (s.dkey, 1, sizeof s.dkey);
  s.dkey_len = MOOSH_STATEMENT_DKEY_MAX;
  s.body = body;
  s.body_len = MOOSH_STATEMENT_BODY_MAX;
  s.kind = MOOSH_STATEMENT_KIND_MAX;
  s.certificate_seq = s.seq = s.expires_s = G_MAXUINT64;
  s.created_s = G_MAXUINT64 - 1;
  g_autoptr (GBytes) bytes = encode (&s);
  g_assert_cmpuint (g_bytes_get_size (bytes), <=, MOOSH_STATEMENT_MAX);
  g_assert_true (moosh_statement_decode (g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes),
                                         &out, NULL));
  g_assert_cmpuint (out.body_len, ==, MOOSH_STATEMENT_BODY_MAX);
  g_assert_cmpuint (out.expires_s, ==, G_MAXUINT64);

  MooshStatement bad[5] = { s, s, s, s, s };
  bad[0].body_len++;
  bad[1].kind++;
  bad[2].created_s++; /* expires when it was created */
  bad[3].dkey_len++;
  memset (bad[4].author + 1, 0xff, 32);
  for (guint i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      g_assert_null (moosh_statement_encode (&bad[i], &error));
      g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE);
      g_clear_error (&error);
    }
}

/* What encode would not make is not decoded either. */
static void
test_decode_refuses (void)
{
  Party party;
  MooshStatement out;
  party_init (&party, 4);
  MooshStatement s = sample (&party);
  g_autoptr (GBytes) bytes = encode (&s);
  gsize len = g_bytes_get_size (bytes);
  g_autofree guint8 *room = g_malloc (len + 8);
  const guint8 *ptr = g_bytes_get_data (bytes, NULL);
  g_autoptr (GError) error = NULL;

  memcpy (room, ptr, len); /* a ninth member: even is refused, odd is ignored */
  room[0] = 0xa9;
  room[len] = 8, room[len + 1] = 0;
  g_assert_false (moosh_statement_decode (room, len + 2, &out, NULL));
  room[len] = 9;
  g_assert_true (moosh_statement_decode (room, len + 2, &out, NULL));

  memcpy (room, ptr, len); /* seven members: the body (key, head, 3 bytes) is missing */
  room[0] = 0xa7;
  g_assert_false (moosh_statement_decode (room, len - 5, &out, NULL));

  /* expires = created: 1a6553f100 is 1700000000, 1a6b49d200 is 1800000000 */
  static const guint8 expires[] = { 0x1a, 0x6b, 0x49, 0xd2, 0x00 };
  memcpy (room, ptr, len);
  guint8 *at = memmem (room, len, expires, sizeof expires);
  g_assert_nonnull (at);
  memcpy (at, "\x1a\x65\x53\xf1\x00", 5);
  g_assert_false (moosh_statement_decode (room, len, &out, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_PROTOCOL);
  g_assert_nonnull (strstr (error->message, "expires"));
}

static MooshRating
rating_sample (void)
{
  MooshRating rating = { .chain_id = 31337, .agreement = 12, .stars = 5 };
  memset (rating.subject, 1, 20);
  memset (rating.contract, 2, 20);
  g_strlcpy (rating.comment, "fast, honest\nzwölf Punkte", sizeof rating.comment);
  return rating;
}

static void
test_rating (void)
{
  MooshRating rating = rating_sample (), out;
  guint8 dkey[MOOSH_RATING_DKEY_LEN];
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) bytes = moosh_rating_encode (&rating, &error);
  g_assert_no_error (error);
  g_assert_true (
      moosh_rating_decode (g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes), &out, &error));
  g_assert_no_error (error);
  g_assert_cmpmem (out.subject, 20, rating.subject, 20);
  g_assert_cmpmem (out.contract, 20, rating.contract, 20);
  g_assert_cmpuint (out.chain_id, ==, 31337);
  g_assert_cmpuint (out.agreement, ==, 12);
  g_assert_cmpuint (out.stars, ==, 5);
  g_assert_cmpstr (out.comment, ==, rating.comment);
  moosh_rating_dkey (&rating, dkey);
  g_assert_cmpuint (dkey[7], ==, 31337 & 0xff);
  g_assert_cmpuint (dkey[8], ==, 2);
  g_assert_cmpuint (dkey[35], ==, 12);

  rating.comment[0] = '\0';
  g_autoptr (GBytes) bare = moosh_rating_encode (&rating, NULL);
  g_assert_true (
      moosh_rating_decode (g_bytes_get_data (bare, NULL), g_bytes_get_size (bare), &out, NULL));
  g_assert_cmpstr (out.comment, ==, "");
}

static void
test_rating_refused (void)
{
  static const char *const comments[]
      = { "bell \a", "escape \x1b[2J", "\xc2\x85 next line", "\x7f", "tab\t", "\xff" };
  MooshRating rating = rating_sample (), out;
  g_autoptr (GBytes) good = moosh_rating_encode (&rating, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (comments); i++)
    {
      g_autoptr (GError) error = NULL;
      g_strlcpy (rating.comment, comments[i], sizeof rating.comment);
      g_assert_null (moosh_rating_encode (&rating, &error));
      g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE);
    }
  memset (rating.comment, 'c', sizeof rating.comment); /* one more than fits */
  g_assert_null (moosh_rating_encode (&rating, NULL));
  rating.comment[MOOSH_RATING_COMMENT_MAX] = '\0';
  g_autoptr (GBytes) longest = moosh_rating_encode (&rating, NULL);
  g_assert_nonnull (longest);
  for (guint stars = 0; stars <= 6; stars++)
    {
      rating.stars = stars;
      g_autoptr (GBytes) bytes = moosh_rating_encode (&rating, NULL);
      g_assert_true ((bytes != NULL) == (stars >= 1 && stars <= 5));
    }
  /* The same from the wire: 08 05 is "stars: 5". */
  gsize len = g_bytes_get_size (good);
  g_autofree guint8 *copy = g_memdup2 (g_bytes_get_data (good, NULL), len);
  guint8 *at = memmem (copy, len, "\x08\x05\x09", 3);
  g_assert_nonnull (at);
  g_assert_true (moosh_rating_decode (copy, len, &out, NULL));
  at[1] = 0;
  g_assert_false (moosh_rating_decode (copy, len, &out, NULL));
  at[1] = 6;
  g_assert_false (moosh_rating_decode (copy, len, &out, NULL));
  at[1] = 5;
  copy[len - 1] = '\a';
  g_assert_false (moosh_rating_decode (copy, len, &out, NULL));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/statement/round", test_round);
  g_test_add_func ("/statement/every-bit", test_every_bit);
  g_test_add_func ("/statement/limits", test_limits);
  g_test_add_func ("/statement/decode-refuses", test_decode_refuses);
  g_test_add_func ("/statement/rating", test_rating);
  g_test_add_func ("/statement/rating-refused", test_rating_refused);
  return g_test_run ();
}
