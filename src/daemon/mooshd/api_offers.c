/* offers.* and offer.*: the market as this node knows it, and what it sells itself. */
#include "api.h"
#include "chain/bindings.h"
#include "market/book.h"
#include "market/terms.h"
#include <string.h>

enum { LIST_DEFAULT = 100 };

/* What the filter's pointers point to. */
typedef struct {
  MooshBookFilter book;
  MooshU256 max_rate_x;
  guint8 provider[20];
  guint32 bound_s;
} Filter;

static gboolean
parse_max_price (Node *node, const char *text, MooshU256 *ret, GError **error)
{
  guint decimals = node_decimals (node);

  if (moosh_price_parse (text, decimals, ret) == MOOSH_OK)
    return TRUE;
  g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE, "not a price: \"%s\" (\"0.02/h\")", text);
  return FALSE;
}

static gboolean
parse_sort (const char *text, MooshBookSort *ret, GError **error)
{
  static const char *const names[] = { "price", "vcpu", "ram", "disk", "expiry", "newest" };

  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    if (strcmp (names[i], text) == 0)
      {
        *ret = (MooshBookSort)i;
        return TRUE;
      }
  g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE,
               "offers are sorted by price, vcpu, ram, disk, expiry or newest");
  return FALSE;
}

static gboolean
parse_filter (Node *node, JsonObject *params, Filter *f, GError **error)
{
  const char *price = moosh_json_string_or (params, "max_price", NULL);
  const char *provider = moosh_json_string_or (params, "provider", NULL);
  const char *class = moosh_json_string_or (params, "class", NULL);
  const char *kind = moosh_json_string_or (params, "kind", NULL);
  gint64 bound_s = moosh_json_int_or (params, "min_term_s", -1);
  MooshKind parsed = MOOSH_KIND_VM;

  memset (f, 0, sizeof *f);
  f->book.chain_id = node->domain.chain_id;
  f->book.token = node->contracts.token;
  f->book.taker = node->identity;
  f->book.any_status = moosh_json_bool_or (params, "all", FALSE);
  f->book.limit
      = (guint)CLAMP (moosh_json_int_or (params, "limit", LIST_DEFAULT), 1, MOOSH_BOOK_LIST_MAX);
  if (!units_from_json (params, &f->book.min, error))
    return FALSE;
  if (price != NULL && !parse_max_price (node, price, &f->max_rate_x, error))
    return FALSE;
  f->book.max_rate_x = price != NULL ? &f->max_rate_x : NULL;
  if (provider != NULL && !identity_parse (node, provider, f->provider, error))
    return FALSE;
  f->book.provider = provider != NULL ? f->provider : NULL;
  if (bound_s >= 0)
    {
      f->bound_s = (guint32)MIN (bound_s, G_MAXUINT32);
      f->book.bound_s = &f->bound_s;
    }
  if (kind != NULL && moosh_kind_from_name (kind, &parsed) != MOOSH_OK)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE, "there is no kind \"%s\"", kind);
      return FALSE;
    }
  f->book.kind_plus_1 = kind != NULL ? (int)parsed + 1 : 0;
  if (class != NULL && strcmp (class, "dedicated") != 0 && strcmp (class, "shared") != 0)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE,
                   "a class is dedicated or shared, not \"%s\"", class);
      return FALSE;
    }
  f->book.class_plus_1 = class == NULL ? 0 : strcmp (class, "shared") == 0 ? 2 : 1;
  return parse_sort (moosh_json_string_or (params, "sort", "price"), &f->book.sort, error);
}

JsonObject *
offer_json (Node *node, const MooshBookEntry *entry, guint decimals)
{
  const MooshOffer *offer = &entry->signed_offer.offer;
  g_autofree char *id = moosh_hex (entry->hash, 32), *provider = address_text (entry->provider);
  g_autofree char *name = identity_name (node, entry->provider),
                  *price = price_per_hour (&offer->rate_x, decimals);
  g_autofree char *rate = wei_text (&offer->rate_x);

  return moosh_json_build (
      "id", 's', id, "provider", 's', provider, "provider_name", 's', name, "price_per_hour", 's',
      price, "rate_x", 's', rate, "units", 'o', units_to_json (&offer->units), "class", 's',
      moosh_class_name (offer->class), "overcommit_pct", 'i', (gint64)offer->overcommit_pct,
      "min_term_s", 'i', (gint64)offer->min_term_s, "max_term_s", 'i', (gint64)offer->max_term_s,
      "notice_s", 'i', (gint64)offer->notice_s, "volume", 'i', (gint64)offer->volume, "filled", 'i',
      (gint64)entry->filled, "available", 'i', (gint64)entry->available, "expiry_s", 'i',
      (gint64)offer->expiry, "why_not", 's',
      entry->status == MOOSH_BOOK_LIVE ? NULL : moosh_book_status_text (entry->status), "terms",
      'o', moosh_offer_to_json (offer), NULL);
}

JsonObject *
mooshd_offers_list (const MooshRpcPeer *peer, JsonObject *params, gpointer user_data,
                    GError **error)
{
  Node *node = user_data;
  Filter filter;
  guint total = 0, decimals = node_decimals (node);
  g_autoptr (GArray) entries = NULL;
  JsonArray *array;

  (void)peer;
  if (!parse_filter (node, params, &filter, error))
    return NULL;
  entries = moosh_book_list (node->store, &filter.book, chain_now_s (node), &total, error);
  if (entries == NULL)
    return NULL;
  array = json_array_new ();
  for (guint i = 0; i < entries->len; i++)
    json_array_add_object_element (
        array, offer_json (node, &g_array_index (entries, MooshBookEntry, i), decimals));
  return moosh_json_build ("offers", 'a', array, "total", 'i', (gint64)total, "token", 'o',
                           token_json (node), NULL);
}

gboolean
offers_match (Node *node, JsonObject *requirements, MooshBookEntry *ret, GError **error)
{
  Filter filter;
  g_autoptr (GArray) entries = NULL;

  if (!parse_filter (node, requirements, &filter, error))
    return FALSE;
  filter.book.any_status = FALSE;
  filter.book.sort = MOOSH_BOOK_BY_PRICE;
  filter.book.count = (guint32)CLAMP (moosh_json_int_or (requirements, "units", 1), 1, G_MAXUINT32);
  entries = moosh_book_list (node->store, &filter.book, chain_now_s (node), NULL, error);
  if (entries == NULL)
    return FALSE;
  for (guint i = 0; i < entries->len; i++)
    if (memcmp (g_array_index (entries, MooshBookEntry, i).provider, node->identity, 20) != 0)
      {
        *ret = g_array_index (entries, MooshBookEntry, i);
        return TRUE;
      }
  g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_NOT_FOUND,
               "no known offer meets this: see `moosh offers`, or add contacts that sell more");
  return FALSE;
}

JsonObject *
mooshd_offers_refresh (const MooshRpcPeer *peer, JsonObject *params, gpointer user_data,
                       GError **error)
{
  Node *node = user_data;
  guint reachable = 0, count = 0;
  JsonArray *errors = offers_pull_all (node, &reachable, &count);

  (void)peer;
  (void)params;
  (void)error;
  return moosh_json_build ("contacts", 'i', (gint64)reachable + json_array_get_length (errors),
                           "reachable", 'i', (gint64)reachable, "offers", 'i', (gint64)count,
                           "errors", 'a', errors, NULL);
}

/* ---- our own ---- */

#define ZEROS_20 "0000000000000000000000000000000000000000"

/* The members a provider does not have to think of. */
static JsonObject *
complete_terms (Node *node, JsonObject *given, guint64 nonce)
{
  g_autofree char *maker = address_text (node->identity),
                  *token = address_text (node->contracts.token);
  g_autofree char *nonce_text = g_strdup_printf ("%" G_GUINT64_FORMAT, nonce);
  g_autofree char *salt = g_strdup_printf ("%u", g_random_int ());
  static const char *const zero_address[] = { "arbiter", "allowedTaker" };
  static const char *const zero_hash[] = { "policyHash", "faultDomain", "reach" };
  JsonObject *terms
      = moosh_json_build ("maker", 's', maker, "side", 's', "sell", "kind", 's', "vm", "class", 's',
                          "dedicated", "overcommitPct", 'i', (gint64)100, "token", 's', token,
                          "rejectFee", 's', "0", "nonce", 's', nonce_text, "salt", 's', salt, NULL);
  g_autoptr (GList) names = json_object_get_members (given);

  for (guint i = 0; i < G_N_ELEMENTS (zero_address); i++)
    json_object_set_string_member (terms, zero_address[i], "0x" ZEROS_20);
  for (guint i = 0; i < G_N_ELEMENTS (zero_hash); i++)
    json_object_set_string_member (terms, zero_hash[i], "0x" ZEROS_20 "000000000000000000000000");
  for (GList *l = names; l != NULL; l = l->next)
    json_object_set_member (terms, l->data, json_object_dup_member (given, l->data));
  return terms;
}

JsonObject *
mooshd_offer_publish (const MooshRpcPeer *peer, JsonObject *params, gpointer user_data,
                      GError **error)
{
  Node *node = user_data;
  JsonObject *given = moosh_json_object (params, "terms", error);
  const char *policy = moosh_json_string_or (params, "policy", NULL);
  g_autoptr (MooshDecoded) nonce = NULL;
  g_autoptr (JsonObject) terms = NULL;
  g_autofree char *id = NULL;
  MooshOffer offer;
  guint8 hash[32];

  (void)peer;
  if (given == NULL)
    return NULL;
  if (node->vmmd == NULL)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_CONFLICT,
                   "this node sells nothing: set [provider] enabled=true in mooshd.conf");
      return NULL;
    }
  nonce = moosh_contract_read (node->chain, node->contracts.offer_book,
                               MOOSH_FN_OFFER_BOOK_NONCE_OF, error, node->identity);
  if (nonce == NULL)
    return NULL;
  terms = complete_terms (node, given, moosh_decoded_u64 (nonce, "0"));
  if (!moosh_offer_from_json (terms, &offer, error)
      || (policy != NULL && !policy_keep (node, policy, offer.policy_hash, error))
      || !offers_publish (node, &offer, hash, error))
    return NULL;
  id = moosh_hex (hash, 32);
  return moosh_json_build ("id", 's', id, NULL);
}

JsonArray *
own_offers_json (Node *node, GError **error)
{
  MooshBookFilter filter = { .provider = node->identity,
                             .any_status = TRUE,
                             .taker = node->identity,
                             .limit = MOOSH_BOOK_LIST_MAX };
  guint decimals = node_decimals (node);
  g_autoptr (GArray) entries
      = moosh_book_list (node->store, &filter, chain_now_s (node), NULL, error);
  g_autoptr (JsonArray) pools = inventory_pools (node);
  JsonArray *array;

  if (entries == NULL)
    return NULL;
  array = json_array_new ();
  for (guint i = 0; i < entries->len; i++)
    {
      const MooshBookEntry *entry = &g_array_index (entries, MooshBookEntry, i);
      g_autofree char *unserved = NULL;
      JsonObject *o;

      if (memcmp (entry->source, node->node_key, 33) != 0)
        continue;
      o = offer_json (node, entry, decimals);
      if (entry->status == MOOSH_BOOK_LIVE)
        unserved = offers_why_not_served (pools, &entry->signed_offer.offer);
      json_object_set_boolean_member (o, "on_offer",
                                      entry->status == MOOSH_BOOK_LIVE && unserved == NULL);
      if (unserved != NULL)
        json_object_set_string_member (o, "why_not", unserved);
      json_array_add_object_element (array, o);
    }
  return array;
}

JsonObject *
mooshd_offer_own (const MooshRpcPeer *peer, JsonObject *params, gpointer user_data, GError **error)
{
  JsonArray *array = own_offers_json (user_data, error);

  (void)peer;
  (void)params;
  return array != NULL ? moosh_json_build ("offers", 'a', array, NULL) : NULL;
}

JsonObject *
mooshd_offer_cancel (const MooshRpcPeer *peer, JsonObject *params, gpointer user_data,
                     GError **error)
{
  Node *node = user_data;
  MooshBookEntry entry;
  g_autoptr (GBytes) call = NULL;
  g_autofree char *id = NULL, *purpose = NULL, *tx = NULL;
  g_auto (MooshReceipt) receipt = { 0 };

  (void)peer;
  if (!moosh_book_find (node->store, moosh_json_string (params, "id", NULL), chain_now_s (node),
                        &entry, error))
    return NULL;
  if (memcmp (entry.signed_offer.offer.maker, node->identity, 20) != 0)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE, "this order is not ours");
      return NULL;
    }
  id = moosh_hex (entry.hash, 32);
  purpose = g_strdup_printf ("cancel-offer:%s", id);
  call = call_build (MOOSH_FN_OFFER_BOOK_CANCEL, error, "h", entry.hash);
  if (call == NULL
      || !moosh_tx_execute (node->txs, purpose, node->contracts.offer_book, call, NULL, TX_MS,
                            &receipt, error)
      || !moosh_book_set_filled (node->store, node->identity, entry.hash, entry.filled, TRUE,
                                 error))
    return NULL;
  tx = moosh_hex (receipt.tx_hash, 32);
  return moosh_json_build ("hash", 's', tx, NULL);
}
