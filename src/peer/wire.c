#include "peer/wire.h"
#include "core/cbor/cbor.h"
#include "peer/refuse.h"
#include <string.h>

enum {
  KEY_KIND = 0,
  KEY_ID = 2,
  KEY_METHOD = 4,
  KEY_BODY_LEN = 6,
  KEY_ERROR_NAME = 8,
  KEY_ERROR_TEXT = 10
};
enum { HELLO_VERSION = 0, HELLO_CERTIFICATE = 2, HELLO_SOFTWARE = 3 };

#define BIT(key) (1u << (key))
#define KEYS_KNOWN                                                                                 \
  (BIT (KEY_KIND) | BIT (KEY_ID) | BIT (KEY_METHOD) | BIT (KEY_BODY_LEN) | BIT (KEY_ERROR_NAME)    \
   | BIT (KEY_ERROR_TEXT))

/* Which keys a kind has, exactly, and how long its body may be. */
static const struct {
  guint32 keys;
  gsize body_max;
} kinds[] = {
  [MOOSH_PEER_HELLO] = { BIT (KEY_KIND) | BIT (KEY_BODY_LEN), MOOSH_PEER_HELLO_MAX },
  [MOOSH_PEER_REQUEST] = { BIT (KEY_KIND) | BIT (KEY_ID) | BIT (KEY_METHOD) | BIT (KEY_BODY_LEN),
                           MOOSH_PEER_REQUEST_MAX },
  [MOOSH_PEER_ANSWER]
  = { BIT (KEY_KIND) | BIT (KEY_ID) | BIT (KEY_BODY_LEN), MOOSH_PEER_ANSWER_MAX },
  [MOOSH_PEER_ERROR]
  = { BIT (KEY_KIND) | BIT (KEY_ID) | BIT (KEY_ERROR_NAME) | BIT (KEY_ERROR_TEXT), 0 },
  [MOOSH_PEER_BYE] = { BIT (KEY_KIND) | BIT (KEY_ERROR_NAME) | BIT (KEY_ERROR_TEXT), 0 },
};

static gboolean
is_word (const char *text, gsize max)
{
  gsize len = strlen (text);
  for (gsize i = 0; i < len; i++)
    if (!g_ascii_islower (text[i]) && !g_ascii_isdigit (text[i]) && text[i] != '.'
        && text[i] != '_')
      return FALSE;
  return len >= 1 && len <= max;
}

gboolean
moosh_peer_method_valid (const char *method)
{
  return is_word (method, MOOSH_PEER_METHOD_MAX);
}

void
moosh_peer_head_set_error (MooshPeerHead *head, const GError *error)
{
  MooshError code = error->domain == MOOSH_ERROR ? (MooshError)error->code : MOOSH_ERROR_FAILED;
  g_autofree char *valid = g_utf8_make_valid (error->message, -1);
  gsize len = 0;
  for (const char *at = valid; *at != '\0';)
    {
      gsize n = (gsize)(g_utf8_next_char (at) - at);
      gboolean control = moosh_peer_has_control (at, n, FALSE);
      if (len + n > MOOSH_PEER_ERROR_TEXT_MAX)
        break;
      memcpy (head->error_text + len, control ? " " : at, control ? 1 : n);
      len += control ? 1 : n;
      at += n;
    }
  head->error_text[len] = '\0';
  g_strlcpy (head->error_name, moosh_error_name (code), sizeof head->error_name);
}

static void
put_head (MooshCborWriter *w, const MooshPeerHead *head, guint32 keys)
{
  moosh_cbor_put_map (w, (gsize)__builtin_popcount (keys));
  moosh_cbor_put_key (w, KEY_KIND);
  moosh_cbor_put_uint (w, head->kind);
  if (keys & BIT (KEY_ID))
    {
      moosh_cbor_put_key (w, KEY_ID);
      moosh_cbor_put_uint (w, head->id);
    }
  if (keys & BIT (KEY_METHOD))
    {
      moosh_cbor_put_key (w, KEY_METHOD);
      moosh_cbor_put_text (w, head->method);
    }
  if (keys & BIT (KEY_BODY_LEN))
    {
      moosh_cbor_put_key (w, KEY_BODY_LEN);
      moosh_cbor_put_uint (w, head->body_len);
    }
  if (keys & BIT (KEY_ERROR_NAME))
    {
      moosh_cbor_put_key (w, KEY_ERROR_NAME);
      moosh_cbor_put_text (w, head->error_name);
      moosh_cbor_put_key (w, KEY_ERROR_TEXT);
      moosh_cbor_put_text (w, head->error_text);
    }
}

gsize
moosh_peer_head_encode (const MooshPeerHead *head, guint8 out[2 + MOOSH_PEER_HEAD_MAX])
{
  MooshCborWriter w;
  gsize len = 0;
  moosh_cbor_write_init (&w, out + 2, MOOSH_PEER_HEAD_MAX);
  put_head (&w, head, kinds[head->kind].keys);
  int r = moosh_cbor_finish (&w, &len);
  g_assert (r == MOOSH_OK); /* every text has a bound, and they fit */
  moosh_put_be16 (out, (guint16)len);
  return 2 + len;
}

static int
read_member (MooshCborReader *reader, unsigned key, MooshPeerHead *ret)
{
  guint64 value = 0;
  int r;
  switch (key)
    {
    case KEY_KIND:
      r = moosh_cbor_read_uint (reader, G_N_ELEMENTS (kinds) - 1, &value);
      ret->kind = (MooshPeerKind)value;
      return r;
    case KEY_ID:
      return moosh_cbor_read_uint (reader, G_MAXUINT64, &ret->id);
    case KEY_METHOD:
      r = moosh_cbor_read_string (reader, ret->method, sizeof ret->method);
      return r < 0 || moosh_peer_method_valid (ret->method) ? r : MOOSH_E_MALFORMED;
    case KEY_BODY_LEN:
      r = moosh_cbor_read_uint (reader, G_MAXUINT32, &value);
      ret->body_len = (gsize)value;
      return r;
    case KEY_ERROR_NAME:
      r = moosh_cbor_read_string (reader, ret->error_name, sizeof ret->error_name);
      return r < 0 || is_word (ret->error_name, MOOSH_PEER_ERROR_NAME_MAX) ? r : MOOSH_E_MALFORMED;
    case KEY_ERROR_TEXT:
      r = moosh_cbor_read_string (reader, ret->error_text, sizeof ret->error_text);
      if (r == MOOSH_OK
          && moosh_peer_has_control (ret->error_text, strlen (ret->error_text), FALSE))
        r = MOOSH_E_MALFORMED;
      return r;
    default:
      return moosh_cbor_unknown (reader, key);
    }
}

static int
read_head (const guint8 *ptr, gsize len, MooshPeerHead *ret)
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
  if (r < 0)
    return r;
  if (!(map.seen & BIT (KEY_KIND)) || (map.seen & KEYS_KNOWN) != kinds[ret->kind].keys)
    return MOOSH_E_MALFORMED;
  return ret->body_len > kinds[ret->kind].body_max ? MOOSH_E_LIMIT : MOOSH_OK;
}

static int
open_message (MooshPeerInbox *inbox, const guint8 *ptr, gsize len, MooshSpan *ret_part)
{
  if (len < 2)
    return MOOSH_E_SHORT;
  gsize head_len = moosh_get_be16 (ptr);
  if (head_len > MOOSH_PEER_HEAD_MAX)
    return MOOSH_E_LIMIT;
#ifdef MOOSH_CANARY
  /* The planted bug of the fuzz targets' canary build: a head of 16 bytes is trusted to be there.
   */
  if (head_len == 16 && ((volatile const guint8 *)ptr)[2 + 15] == 0xff)
    return MOOSH_E_MALFORMED;
#endif
  if (head_len > len - 2)
    return MOOSH_E_SHORT;
  *inbox = (MooshPeerInbox){ .open = TRUE };
  int r = read_head (ptr + 2, head_len, &inbox->head);
  *ret_part = (MooshSpan){ ptr + 2 + head_len, len - 2 - head_len };
  return r;
}

int
moosh_peer_inbox_push (MooshPeerInbox *inbox, const guint8 *ptr, gsize len, MooshSpan *ret_part)
{
  if (!inbox->open)
    {
      int r = open_message (inbox, ptr, len, ret_part);
      if (r < 0)
        return r;
    }
  else if (len == 0)
    return MOOSH_E_SHORT;
  else
    *ret_part = (MooshSpan){ ptr, len };
  if (ret_part->len > inbox->head.body_len - inbox->got)
    return MOOSH_E_TRAILING;
  inbox->got += ret_part->len;
  inbox->open = inbox->got < inbox->head.body_len;
  return !inbox->open;
}

GBytes *
moosh_peer_hello_encode (guint64 version, GBytes *certificate, const char *software)
{
  guint8 buffer[MOOSH_PEER_HELLO_MAX];
  MooshCborWriter w;
  gsize len = 0, certificate_len;
  const void *bytes = g_bytes_get_data (certificate, &certificate_len);
  moosh_cbor_write_init (&w, buffer, sizeof buffer);
  moosh_cbor_put_map (&w, 3);
  moosh_cbor_put_key (&w, HELLO_VERSION);
  moosh_cbor_put_uint (&w, version);
  moosh_cbor_put_key (&w, HELLO_CERTIFICATE);
  moosh_cbor_put_bytes (&w, bytes, certificate_len);
  moosh_cbor_put_key (&w, HELLO_SOFTWARE);
  moosh_cbor_put_text (&w, software);
  int r = moosh_cbor_finish (&w, &len);
  g_assert (r == MOOSH_OK); /* certificate and software were checked when the node was made */
  return g_bytes_new (buffer, len);
}

static gboolean
is_printable (const char *text)
{
  for (; *text != '\0'; text++)
    if (!g_ascii_isprint (*text))
      return FALSE;
  return TRUE;
}

int
moosh_peer_hello_decode (const guint8 *ptr, gsize len, MooshPeerHello *ret)
{
  MooshPeerHello hello = { .version = 0 };
  MooshCborReader reader;
  MooshCborMap map;
  unsigned key;
  int r = len > MOOSH_PEER_HELLO_MAX ? MOOSH_E_LIMIT : moosh_cbor_read_init (&reader, ptr, len);
  if (r == MOOSH_OK)
    r = moosh_cbor_read_map (&reader, &map);
  if (r < 0)
    return r;
  while ((r = moosh_cbor_next (&reader, &map, &key)) > 0)
    {
      if (key == HELLO_VERSION)
        r = moosh_cbor_read_uint (&reader, G_MAXUINT64, &hello.version);
      else if (key == HELLO_CERTIFICATE)
        r = moosh_cbor_read_bytes (&reader, 1, MOOSH_CERTIFICATE_MAX, &hello.certificate);
      else if (key == HELLO_SOFTWARE)
        r = moosh_cbor_read_string (&reader, hello.software, sizeof hello.software);
      else
        r = moosh_cbor_unknown (&reader, key);
      if (r < 0)
        return r;
    }
  if (r < 0 || (r = moosh_cbor_require (&map, BIT (HELLO_VERSION) | BIT (HELLO_CERTIFICATE))) < 0)
    return r;
  if (!is_printable (hello.software))
    return MOOSH_E_MALFORMED;
  *ret = hello;
  return MOOSH_OK;
}
