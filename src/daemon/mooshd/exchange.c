/* What nodes ask each other. Bodies are strict CBOR; whoever asks is known by its certificate, and
 * sees only what is its own: its agreements' machines, and offers that are for everyone or for it.
 *
 *   offers.get     {0 offset}                           → {0 total, 2 [signed offer]}
 *   provision.put  {0 agreement, 2 request}             → {}
 *   machine.get    {0 agreement}                        → machine view
 *   machine.log    {0 agreement, 2 offset, 4 console}   → {0 next, 2 text}
 *   machine.reboot {0 agreement}                        → {}
 *   statement.put  {0 statement, 2 signature}           → {} */
#include "exchange.h"
#include "core/cbor/cbor.h"
#include "core/hash/hash.h"
#include "machine/request.h"
#include "peer/addressbook.h"
#include "peer/statement.h"
#include <string.h>

enum { LOG_CHUNK = 12000, OFFERS_PAGE = 20 };

/* ---- encoding ---- */

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

GBytes *
machine_view_encode (const MachineView *view)
{
  guint8 buffer[4096];
  MooshCborWriter w;

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

static GBytes *
number_and_bytes (guint64 number, const void *bytes, gsize len)
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

/* ---- answering ---- */

static GBytes *
refuse (GError **error, MooshError code, const char *text)
{
  g_set_error_literal (error, MOOSH_ERROR, (int)code, text);
  return NULL;
}

/* The query, and that the agreement it names is between us as provider and the peer as client. */
static gboolean
read_query (Node *node, const MooshPeerId *peer, GBytes *body, ExchangeQuery *ret, GError **error)
{
  gsize len;
  const void *ptr = g_bytes_get_data (body, &len);
  LedgerEntry entry;

  if (!exchange_query_decode (ptr, len, ret))
    return refuse (error, MOOSH_ERROR_PROTOCOL, "not a well-formed query") != NULL;
  if (!ledger_get (node, ret->first, &entry, NULL)
      || memcmp (entry.provider, node->identity, 20) != 0
      || memcmp (entry.client, peer->identity, 20) != 0)
    return refuse (error, MOOSH_ERROR_NOT_FOUND, "there is no such agreement between us") != NULL;
  return TRUE;
}

static GBytes *
on_offers_get (const MooshPeerId *peer, const char *method, GBytes *body, gpointer user_data,
               GError **error)
{
  Node *node = user_data;
  guint8 buffer[MOOSH_CBOR_MAX];
  MooshCborWriter w;
  ExchangeQuery query;
  guint total = 0;
  gsize len;
  const void *ptr = g_bytes_get_data (body, &len);
  g_autoptr (GPtrArray) offers = NULL;

  (void)method;
  if (!exchange_query_decode (ptr, len, &query) || query.first > G_MAXINT32)
    return refuse (error, MOOSH_ERROR_PROTOCOL, "not a well-formed query");
  offers = offers_own_page (node, peer->identity, (guint)query.first, OFFERS_PAGE, &total);
  moosh_cbor_write_init (&w, buffer, sizeof buffer);
  moosh_cbor_put_map (&w, 2);
  moosh_cbor_put_key (&w, 0);
  moosh_cbor_put_uint (&w, total);
  moosh_cbor_put_key (&w, 2);
  moosh_cbor_put_array (&w, offers->len);
  for (guint i = 0; i < offers->len; i++)
    {
      gsize size;
      const void *offer = g_bytes_get_data (offers->pdata[i], &size);
      moosh_cbor_put_bytes (&w, offer, size);
    }
  return finish (&w);
}

static GBytes *
on_provision_put (const MooshPeerId *peer, const char *method, GBytes *body, gpointer user_data,
                  GError **error)
{
  Node *node = user_data;
  ExchangePair pair;
  gsize len;
  const void *ptr = g_bytes_get_data (body, &len);
  g_autoptr (GBytes) request = NULL;

  (void)method;
  if (!exchange_pair_decode (ptr, len, TRUE, &pair))
    return refuse (error, MOOSH_ERROR_PROTOCOL, "not a well-formed message");
  request = g_bytes_new (pair.second.ptr, pair.second.len);
  if (!provider_put_request (node, peer->identity, pair.number, request, error))
    return NULL;
  return g_bytes_new (NULL, 0);
}

static GBytes *
on_machine_get (const MooshPeerId *peer, const char *method, GBytes *body, gpointer user_data,
                GError **error)
{
  Node *node = user_data;
  ExchangeQuery query;
  MachineView view = { 0 };

  (void)method;
  if (!read_query (node, peer, body, &query, error)
      || !provider_machine_view (node, query.first, &view, error))
    return NULL;
  return machine_view_encode (&view);
}

static GBytes *
on_machine_log (const MooshPeerId *peer, const char *method, GBytes *body, gpointer user_data,
                GError **error)
{
  Node *node = user_data;
  ExchangeQuery query;
  g_autofree char *text = NULL;
  guint64 next = 0;

  (void)method;
  if (!read_query (node, peer, body, &query, error))
    return NULL;
  text = provider_machine_text (node, query.first, query.console, query.second, LOG_CHUNK, &next,
                                error);
  return text != NULL ? number_and_bytes (next, text, MIN (strlen (text), MOOSH_CBOR_MAX - 64))
                      : NULL;
}

static GBytes *
on_machine_reboot (const MooshPeerId *peer, const char *method, GBytes *body, gpointer user_data,
                   GError **error)
{
  Node *node = user_data;
  ExchangeQuery query;

  (void)method;
  if (!read_query (node, peer, body, &query, error)
      || !provider_machine_reboot (node, query.first, error))
    return NULL;
  return g_bytes_new (NULL, 0);
}

static GBytes *
on_statement_put (const MooshPeerId *peer, const char *method, GBytes *body, gpointer user_data,
                  GError **error)
{
  Node *node = user_data;
  ExchangePair pair;
  gsize len;
  const void *ptr = g_bytes_get_data (body, &len);
  MooshStatement statement;

  (void)method;
  if (!exchange_pair_decode (ptr, len, FALSE, &pair) || pair.second.len != 64)
    return refuse (error, MOOSH_ERROR_PROTOCOL, "not a well-formed message");
  if (!moosh_statement_check (pair.first.ptr, pair.first.len, pair.second.ptr, &statement, error))
    return NULL;
  if (memcmp (statement.author, peer->node_key, 33) != 0
      || statement.kind != MOOSH_STATEMENT_RATING)
    return refuse (error, MOOSH_ERROR_REFUSED, "only a rating of your own is taken here");
  return provider_put_rating (node, peer->identity, &statement, &pair, error)
             ? g_bytes_new (NULL, 0)
             : NULL;
}

void
exchange_register (Node *node)
{
  static const struct {
    const char *method;
    MooshPeerHandler handler;
  } table[] = {
    { "offers.get", on_offers_get },         { "provision.put", on_provision_put },
    { "machine.get", on_machine_get },       { "machine.log", on_machine_log },
    { "machine.reboot", on_machine_reboot }, { "statement.put", on_statement_put },
  };

  for (guint i = 0; i < G_N_ELEMENTS (table); i++)
    moosh_peer_node_handle (node->peers, table[i].method, table[i].handler, node);
}

/* ---- asking ---- */

static GBytes *
ask (Node *node, const guint8 identity[20], const char *method, GBytes *body, GError **error)
{
  g_autoptr (MooshContact) contact = moosh_contact_by_identity (node->store, identity, error);
  GBytes *answer;

  if (contact == NULL)
    return NULL;
  answer = moosh_peer_call (node->peers, contact->address.node_key, identity, method, body, PEER_MS,
                            NULL, error);
  if (answer == NULL)
    g_prefix_error (
        error, "provider %s: ", contact->name[0] != '\0' ? contact->name : contact->address.host);
  return answer;
}

gboolean
exchange_put_request (Node *node, const guint8 provider[20], guint64 agreement, GBytes *request,
                      GError **error)
{
  gsize len;
  const void *ptr = g_bytes_get_data (request, &len);
  g_autoptr (GBytes) body = number_and_bytes (agreement, ptr, len);
  g_autoptr (GBytes) answer = ask (node, provider, "provision.put", body, error);

  return answer != NULL;
}

gboolean
exchange_get_machine (Node *node, const guint8 provider[20], guint64 agreement, MachineView *ret,
                      GError **error)
{
  ExchangeQuery query = { .first = agreement };
  g_autoptr (GBytes) body = exchange_query_encode (&query);
  g_autoptr (GBytes) answer = ask (node, provider, "machine.get", body, error);

  return answer != NULL
         && machine_view_decode (g_bytes_get_data (answer, NULL), g_bytes_get_size (answer), ret,
                                 error);
}

char *
exchange_get_log (Node *node, const guint8 provider[20], guint64 agreement, gboolean console,
                  guint64 offset, guint64 *ret_next, GError **error)
{
  ExchangeQuery query
      = { .first = agreement, .with_second = TRUE, .second = offset, .console = console };
  g_autoptr (GBytes) body = exchange_query_encode (&query);
  g_autoptr (GBytes) answer = ask (node, provider, "machine.log", body, error);
  ExchangePair pair;

  if (answer == NULL)
    return NULL;
  if (!exchange_pair_decode (g_bytes_get_data (answer, NULL), g_bytes_get_size (answer), TRUE,
                             &pair))
    {
      refuse (error, MOOSH_ERROR_PROTOCOL, "the provider's answer makes no sense");
      return NULL;
    }
  *ret_next = pair.number;
  return g_utf8_make_valid ((const char *)pair.second.ptr, (gssize)pair.second.len);
}

gboolean
exchange_reboot (Node *node, const guint8 provider[20], guint64 agreement, GError **error)
{
  ExchangeQuery query = { .first = agreement };
  g_autoptr (GBytes) body = exchange_query_encode (&query);
  g_autoptr (GBytes) answer = ask (node, provider, "machine.reboot", body, error);

  return answer != NULL;
}

gboolean
exchange_put_statement (Node *node, const guint8 provider[20], GBytes *statement,
                        const guint8 signature[64], GError **error)
{
  guint8 buffer[MOOSH_CBOR_MAX];
  MooshCborWriter w;
  gsize len, size;
  const void *ptr = g_bytes_get_data (statement, &len);
  g_autoptr (GBytes) body = NULL, answer = NULL;

  moosh_cbor_write_init (&w, buffer, sizeof buffer);
  moosh_cbor_put_map (&w, 2);
  moosh_cbor_put_key (&w, 0);
  moosh_cbor_put_bytes (&w, ptr, len);
  moosh_cbor_put_key (&w, 2);
  moosh_cbor_put_bytes (&w, signature, 64);
  if (moosh_cbor_finish (&w, &size) != MOOSH_OK)
    return refuse (error, MOOSH_ERROR_LIMIT, "the statement is too long to be sent") != NULL;
  body = g_bytes_new (buffer, size);
  answer = ask (node, provider, "statement.put", body, error);
  return answer != NULL;
}
