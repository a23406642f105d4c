#include "core/cbor/cbor.h"
#include "peer/refuse.h"
#include "peer/statement.h"
#include <string.h>

enum {
  KEY_SUBJECT = 0,
  KEY_CHAIN = 2,
  KEY_CONTRACT = 4,
  KEY_AGREEMENT = 6,
  KEY_STARS = 8,
  KEY_COMMENT = 9
};

#define KEYS_NEEDED                                                                                \
  (1u << KEY_SUBJECT | 1u << KEY_CHAIN | 1u << KEY_CONTRACT | 1u << KEY_AGREEMENT | 1u << KEY_STARS)

enum { STARS_MIN = 1, STARS_MAX = 5 };

static const char *
fault_of (const MooshRating *rating)
{
  if (rating->stars < STARS_MIN || rating->stars > STARS_MAX)
    return "stars go from 1 to 5";
  gsize len = strnlen (rating->comment, sizeof rating->comment);
  if (len > MOOSH_RATING_COMMENT_MAX || !g_utf8_validate (rating->comment, (gssize)len, NULL)
      || moosh_peer_has_control (rating->comment, len, TRUE))
    return "the comment is at most 1024 bytes of plain text";
  return NULL;
}

GBytes *
moosh_rating_encode (const MooshRating *rating, GError **error)
{
  guint8 buffer[MOOSH_RATING_COMMENT_MAX + 128];
  MooshCborWriter w;
  gsize len = 0;
  const char *fault = fault_of (rating);
  if (fault != NULL)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE, "rating: %s", fault);
      return NULL;
    }
  moosh_cbor_write_init (&w, buffer, sizeof buffer);
  moosh_cbor_put_map (&w, rating->comment[0] != '\0' ? 6 : 5);
  moosh_cbor_put_key (&w, KEY_SUBJECT);
  moosh_cbor_put_bytes (&w, rating->subject, 20);
  moosh_cbor_put_key (&w, KEY_CHAIN);
  moosh_cbor_put_uint (&w, rating->chain_id);
  moosh_cbor_put_key (&w, KEY_CONTRACT);
  moosh_cbor_put_bytes (&w, rating->contract, 20);
  moosh_cbor_put_key (&w, KEY_AGREEMENT);
  moosh_cbor_put_uint (&w, rating->agreement);
  moosh_cbor_put_key (&w, KEY_STARS);
  moosh_cbor_put_uint (&w, rating->stars);
  if (rating->comment[0] != '\0')
    {
      moosh_cbor_put_key (&w, KEY_COMMENT);
      moosh_cbor_put_text (&w, rating->comment);
    }
  if (!moosh_peer_ok (moosh_cbor_finish (&w, &len), MOOSH_ERROR_USAGE, "rating", error))
    return NULL;
  return g_bytes_new (buffer, len);
}

static int
read_member (MooshCborReader *reader, unsigned key, MooshRating *ret)
{
  guint64 stars;
  int r;
  switch (key)
    {
    case KEY_SUBJECT:
      return moosh_cbor_read_fixed (reader, ret->subject, 20);
    case KEY_CHAIN:
      return moosh_cbor_read_uint (reader, G_MAXUINT64, &ret->chain_id);
    case KEY_CONTRACT:
      return moosh_cbor_read_fixed (reader, ret->contract, 20);
    case KEY_AGREEMENT:
      return moosh_cbor_read_uint (reader, G_MAXUINT64, &ret->agreement);
    case KEY_STARS:
      r = moosh_cbor_read_uint (reader, STARS_MAX, &stars);
      if (r == MOOSH_OK)
        ret->stars = (guint)stars;
      return r;
    case KEY_COMMENT:
      return moosh_cbor_read_string (reader, ret->comment, sizeof ret->comment);
    default:
      return moosh_cbor_unknown (reader, key);
    }
}

static int
read_rating (const void *ptr, gsize len, MooshRating *ret)
{
  MooshCborReader reader;
  MooshCborMap map;
  unsigned key;
  int r = moosh_cbor_read_init (&reader, ptr, len);
  if (r == MOOSH_OK)
    r = moosh_cbor_read_map (&reader, &map);
  if (r < 0)
    return r;
  while ((r = moosh_cbor_next (&reader, &map, &key)) > 0)
    if ((r = read_member (&reader, key, ret)) < 0)
      return r;
  return r < 0 ? r : moosh_cbor_require (&map, KEYS_NEEDED);
}

gboolean
moosh_rating_decode (const void *ptr, gsize len, MooshRating *ret, GError **error)
{
  MooshRating rating = { .stars = 0 };
  if (!moosh_peer_ok (read_rating (ptr, len, &rating), MOOSH_ERROR_PROTOCOL, "rating", error))
    return FALSE;
  const char *fault = fault_of (&rating);
  if (fault != NULL)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_PROTOCOL, "rating: %s", fault);
      return FALSE;
    }
  *ret = rating;
  return TRUE;
}

void
moosh_rating_dkey (const MooshRating *rating, guint8 ret_dkey[MOOSH_RATING_DKEY_LEN])
{
  moosh_put_be64 (ret_dkey, rating->chain_id);
  memcpy (ret_dkey + 8, rating->contract, 20);
  moosh_put_be64 (ret_dkey + 28, rating->agreement);
}
