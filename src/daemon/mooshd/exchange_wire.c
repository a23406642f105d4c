/* The bodies of what nodes ask each other (exchange.c), as strict CBOR. The decoders read
 * strangers' bytes: they are fuzzed (tests/fuzz/fuzz_exchange.c). */
#include "exchange_wire.h"
#include "base/error.h"
#include "core/cbor/cbor.h"
#include "core/hash/hash.h"
#include <string.h>

static GBytes *
finish (MooshCborWriter *w)
{
  size_t len = 0;
  int code = moosh_cbor_finish (w, &len);

  if (code != MOOSH_OK)
    g_error ("a message of ours breaks the CBOR profile: %s",
             moosh_strerror (code)); /* a bug: our lengths are bounded */
  return g_bytes_new (w->ptr, len);
}

GBytes *
exchange_query_encode (const ExchangeQuery *query)
{
  guint8 buffer[MOOSH_CBOR_MAX];
  MooshCborWriter w;

  moosh_cbor_write_init (&w, buffer, sizeof buffer);
  moosh_cbor_put_map (&w, 1 + (query->with_second ? 1u : 0u) + (query->console ? 1u : 0u));
  moosh_cbor_put_key (&w, 0);
  moosh_cbor_put_uint (&w, query->first);
  if (query->with_second)
    {
      moosh_cbor_put_key (&w, 2);
      moosh_cbor_put_uint (&w, query->second);
    }
  if (query->console)
    {
      moosh_cbor_put_key (&w, 4);
      moosh_cbor_put_bool (&w, true);
    }
  return finish (&w);
}

gboolean
exchange_query_decode (const void *ptr, gsize len, ExchangeQuery *ret)
{
  ExchangeQuery query = { 0 };
  MooshCborReader r;
  MooshCborMap map;
  unsigned key;
  bool console = false;
  int code = moosh_cbor_read_init (&r, ptr, len);

  if (code < 0 || (code = moosh_cbor_read_map (&r, &map)) < 0)
    return FALSE;
  while ((code = moosh_cbor_next (&r, &map, &key)) > 0)
    {
      if (key == 0)
        code = moosh_cbor_read_uint (&r, G_MAXINT64, &query.first);
      else if (key == 2)
        code = moosh_cbor_read_uint (&r, G_MAXINT64, &query.second);
      else if (key == 4)
        code = moosh_cbor_read_bool (&r, &console);
      else
        code = moosh_cbor_unknown (&r, key);
      if (code < 0)
        return FALSE;
    }
  if (code < 0 || moosh_cbor_require (&map, 1u << 0) < 0)
    return FALSE;
  query.with_second = (map.seen & 1u << 2) != 0;
  query.console = console;
  *ret = query;
  return TRUE;
}

/* A build's last words may hold anything. */
static void
make_fit (char *line)
{
  const char *end;

  if (!g_utf8_validate (line, -1, &end))
    line[end - line] = '\0';
  for (; *line != '\0'; line++)
    if (g_ascii_iscntrl (*line))
      *line = ' ';
}

GBytes *
machine_view_encode (const MachineView *original)
{
  MachineView copy = *original, *view = &copy;
  guint8 buffer[4096];
  MooshCborWriter w;

  for (char **line
       = (char *[]){ copy.state, copy.step, copy.error, copy.host, copy.host_key, NULL };
       *line != NULL; line++)
    make_fit (*line);
  moosh_cbor_write_init (&w, buffer, sizeof buffer);
  moosh_cbor_put_map (&w, 9);
  moosh_cbor_put_key (&w, 0);
  moosh_cbor_put_text (&w, view->state);
  moosh_cbor_put_key (&w, 2);
  moosh_cbor_put_text (&w, view->step);
  moosh_cbor_put_key (&w, 4);
  moosh_cbor_put_text (&w, view->error);
  moosh_cbor_put_key (&w, 6);
  moosh_cbor_put_text (&w, view->host);
  moosh_cbor_put_key (&w, 8);
  moosh_cbor_put_uint (&w, view->port);
  moosh_cbor_put_key (&w, 10);
  moosh_cbor_put_text (&w, view->host_key);
  moosh_cbor_put_key (&w, 12);
  moosh_cbor_put_bytes (&w, view->log_digest, 32);
  moosh_cbor_put_key (&w, 14);
  moosh_cbor_put_uint (&w, view->build_ms);
  moosh_cbor_put_key (&w, 16);
  moosh_cbor_put_uint (&w, view->boot_ms);
  return finish (&w);
}

/* These strings end up in known_hosts, in ssh's argv and on a terminal: one line each, and a host
 * that is a host. */
static gboolean
view_is_sane (const MachineView *view)
{
  const char *const lines[] = { view->state, view->step, view->error, view->host_key };

  for (guint i = 0; i < G_N_ELEMENTS (lines); i++)
    for (const char *p = lines[i]; *p != '\0'; p++)
      if (g_ascii_iscntrl (*p))
        return FALSE;
  for (const char *p = view->host; *p != '\0'; p++)
    if (!g_ascii_isalnum (*p) && (strchr (".:-", *p) == NULL || (*p == '-' && p == view->host)))
      return FALSE;
  return view->host_key[0] == '\0' || g_str_has_prefix (view->host_key, "ssh-ed25519 ");
}

gboolean
machine_view_decode (const void *ptr, gsize len, MachineView *ret, GError **error)
{
  MachineView v = { 0 };
  MooshCborReader r;
  MooshCborMap map = { 0, 0 };
  unsigned key;
  uint64_t port = 0;
  int code = moosh_cbor_read_init (&r, ptr, len);

  if (code == MOOSH_OK)
    code = moosh_cbor_read_map (&r, &map);
  while (code >= 0 && (code = moosh_cbor_next (&r, &map, &key)) > 0)
    switch (key)
      {
      case 0:
        code = moosh_cbor_read_string (&r, v.state, sizeof v.state);
        break;
      case 2:
        code = moosh_cbor_read_string (&r, v.step, sizeof v.step);
        break;
      case 4:
        code = moosh_cbor_read_string (&r, v.error, sizeof v.error);
        break;
      case 6:
        code = moosh_cbor_read_string (&r, v.host, sizeof v.host);
        break;
      case 8:
        code = moosh_cbor_read_uint (&r, G_MAXUINT16, &port);
        break;
      case 10:
        code = moosh_cbor_read_string (&r, v.host_key, sizeof v.host_key);
        break;
      case 12:
        code = moosh_cbor_read_fixed (&r, v.log_digest, 32);
        break;
      case 14:
        code = moosh_cbor_read_uint (&r, G_MAXINT64, &v.build_ms);
        break;
      case 16:
        code = moosh_cbor_read_uint (&r, G_MAXINT64, &v.boot_ms);
        break;
      default:
        code = moosh_cbor_unknown (&r, key);
      }
  v.port = (guint16)port;
  if (code >= 0)
    code = moosh_cbor_require (&map, 1u << 0);
  if (code < 0 || !view_is_sane (&v))
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_PROTOCOL,
                   "the provider's word about the machine makes no sense: %s",
                   code < 0 ? moosh_strerror (code) : "characters that have no place there");
      return FALSE;
    }
  *ret = v;
  return TRUE;
}

void
machine_commitment (const char *host_key, const char *host, guint16 port, guint8 ret[32])
{
  g_autoptr (GString) text = g_string_new (host_key);

  g_string_append_c (text, '\0');
  g_string_append_printf (text, "%s:%u", host, port);
  moosh_sha256 (text->str, text->len, ret);
}

gboolean
exchange_pair_decode (const void *ptr, gsize len, gboolean number_first, ExchangePair *ret)
{
  ExchangePair pair = { 0 };
  MooshCborReader r;
  MooshCborMap map;
  unsigned key;
  int code = moosh_cbor_read_init (&r, ptr, len);

  if (code < 0 || moosh_cbor_read_map (&r, &map) < 0)
    return FALSE;
  while ((code = moosh_cbor_next (&r, &map, &key)) > 0)
    {
      if (key == 0 && number_first)
        code = moosh_cbor_read_uint (&r, G_MAXINT64, &pair.number);
      else if (key == 0)
        code = moosh_cbor_read_bytes (&r, 0, MOOSH_CBOR_MAX, &pair.first);
      else if (key == 2)
        code = moosh_cbor_read_bytes (&r, 0, MOOSH_CBOR_MAX, &pair.second);
      else
        code = moosh_cbor_unknown (&r, key);
      if (code < 0)
        return FALSE;
    }
  if (code < 0 || moosh_cbor_require (&map, 1u << 0 | 1u << 2) < 0)
    return FALSE;
  *ret = pair;
  return TRUE;
}

GBytes *
exchange_number_encode (guint64 number, const void *bytes, gsize len)
{
  guint8 buffer[MOOSH_CBOR_MAX];
  MooshCborWriter w;

  moosh_cbor_write_init (&w, buffer, sizeof buffer);
  moosh_cbor_put_map (&w, 2);
  moosh_cbor_put_key (&w, 0);
  moosh_cbor_put_uint (&w, number);
  moosh_cbor_put_key (&w, 2);
  moosh_cbor_put_bytes (&w, bytes, len);
  return finish (&w);
}

GBytes *
exchange_signed_encode (GBytes *bytes, const guint8 signature[64], GError **error)
{
  guint8 buffer[MOOSH_CBOR_MAX];
  MooshCborWriter w;
  gsize len, size;
  const void *ptr = g_bytes_get_data (bytes, &len);

  moosh_cbor_write_init (&w, buffer, sizeof buffer);
  moosh_cbor_put_map (&w, 2);
  moosh_cbor_put_key (&w, 0);
  moosh_cbor_put_bytes (&w, ptr, len);
  moosh_cbor_put_key (&w, 2);
  moosh_cbor_put_bytes (&w, signature, 64);
  if (moosh_cbor_finish (&w, &size) == MOOSH_OK)
    return g_bytes_new (buffer, size);
  g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_LIMIT, "the statement is too long to be sent");
  return NULL;
}

GBytes *
exchange_page_encode (guint total, GPtrArray *offers)
{
  guint8 buffer[MOOSH_CBOR_MAX];
  MooshCborWriter w;
  gsize room = sizeof buffer - 16; /* the map's heads and the total */
  guint n = 0;

  for (; n < offers->len && n < EXCHANGE_PAGE_MAX; n++)
    {
      gsize size = g_bytes_get_size (offers->pdata[n]) + 3; /* its head */
      if (size > room)
        break;
      room -= size;
    }
  moosh_cbor_write_init (&w, buffer, sizeof buffer);
  moosh_cbor_put_map (&w, 2);
  moosh_cbor_put_key (&w, 0);
  moosh_cbor_put_uint (&w, total);
  moosh_cbor_put_key (&w, 2);
  moosh_cbor_put_array (&w, n);
  for (guint i = 0; i < n; i++)
    {
      gsize size;
      const void *offer = g_bytes_get_data (offers->pdata[i], &size);
      moosh_cbor_put_bytes (&w, offer, size);
    }
  return finish (&w);
}

static int
read_page_offers (MooshCborReader *r, ExchangePage *page)
{
  int code = moosh_cbor_read_array (r, EXCHANGE_PAGE_MAX, &page->n);

  for (gsize i = 0; i < page->n && code >= 0; i++)
    code = moosh_cbor_read_bytes (r, 1, MOOSH_CBOR_MAX, &page->offers[i]);
  return code;
}

gboolean
exchange_page_decode (const void *ptr, gsize len, ExchangePage *ret, GError **error)
{
  ExchangePage page = { 0 };
  MooshCborReader r;
  MooshCborMap map = { 0, 0 };
  unsigned key;
  int code = moosh_cbor_read_init (&r, ptr, len);

  if (code == MOOSH_OK)
    code = moosh_cbor_read_map (&r, &map);
  while (code >= 0 && (code = moosh_cbor_next (&r, &map, &key)) > 0)
    if (key == 0)
      code = moosh_cbor_read_uint (&r, G_MAXUINT32, &page.total);
    else if (key == 2)
      code = read_page_offers (&r, &page);
    else
      code = moosh_cbor_unknown (&r, key);
#ifdef MOOSH_CANARY
  if (page.n == 3 && ((const volatile guint8 *)ptr)[len] == 0) /* planted: one byte too far */
    return FALSE;
#endif
  if (code >= 0)
    code = moosh_cbor_require (&map, 1u << 0 | 1u << 2);
  if (code < 0)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_PROTOCOL, "the list of offers is malformed: %s",
                   moosh_strerror (code));
      return FALSE;
    }
  *ret = page;
  return TRUE;
}
