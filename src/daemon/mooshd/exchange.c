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
  ExchangeQuery query;
  guint total = 0;
  gsize len;
  const void *ptr = g_bytes_get_data (body, &len);
  g_autoptr (GPtrArray) offers = NULL;

  (void)method;
  if (!exchange_query_decode (ptr, len, &query) || query.first > G_MAXINT32)
    return refuse (error, MOOSH_ERROR_PROTOCOL, "not a well-formed query");
  offers = offers_own_page (node, peer->identity, (guint)query.first, OFFERS_PAGE, &total);
  return exchange_page_encode (total, offers);
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
  return text != NULL
             ? exchange_number_encode (next, text, MIN (strlen (text), MOOSH_CBOR_MAX - 64))
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
  g_autoptr (GBytes) body = exchange_number_encode (agreement, ptr, len);
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
  g_autoptr (GBytes) body = exchange_signed_encode (statement, signature, error);
  g_autoptr (GBytes) answer
      = body != NULL ? ask (node, provider, "statement.put", body, error) : NULL;

  return answer != NULL;
}
