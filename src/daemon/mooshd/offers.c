/* Sell orders: those of our contacts, downloaded and kept fresh, and our own. All stand in the book
 * (market/book.h); ours with our own node key as their source. What is left of an offer is the
 * chain's word: it is read when an offer is first heard of, when an event touches it, and before it
 * is taken. */
#include "chain/bindings.h"
#include "exchange.h"
#include "machine/policy.h"
#include "market/book.h"
#include "peer/addressbook.h"
#include <string.h>

enum { OFFERS_PER_CONTACT_MAX = MOOSH_BOOK_PER_MAKER, STALE_AT_ONCE = 50 };

const char offers_schema[]
    = "CREATE TABLE offers_stale (hash BLOB PRIMARY KEY) WITHOUT ROWID;"
      "CREATE TABLE offers_taken (agreement INTEGER PRIMARY KEY, provider BLOB NOT NULL)";

const char policies_schema[]
    = "CREATE TABLE policies (hash BLOB PRIMARY KEY, text TEXT NOT NULL) WITHOUT ROWID";

/* ---- what the chain leaves of an offer ---- */

/* A call with one OfferBook or registry function and fixed arguments, decoded. */
static MooshDecoded *
read_units (Node *node, const guint8 provider[20], const guint8 pool[32], GError **error)
{
  return moosh_contract_read (node->chain, node->contracts.offer_book,
                              MOOSH_FN_OFFER_BOOK_REMAINING, error, provider, pool);
}

static gboolean
refresh_from_chain (Node *node, const MooshOffer *offer, const guint8 provider[20], GError **error)
{
  guint8 hash[32];
  g_autoptr (MooshDecoded) filled = NULL, nonce = NULL, remaining = NULL;
  MooshUnits units;

  moosh_offer_hash (offer, hash);
  filled = moosh_contract_read (node->chain, node->contracts.offer_book, MOOSH_FN_OFFER_BOOK_FILLED,
                                error, offer->maker, hash);
  nonce = filled ? moosh_contract_read (node->chain, node->contracts.offer_book,
                                        MOOSH_FN_OFFER_BOOK_NONCE_OF, error, offer->maker)
                 : NULL;
  remaining = nonce ? read_units (node, provider, offer->pool, error) : NULL;
  if (remaining == NULL)
    return FALSE;
  units = (MooshUnits){ (guint32)moosh_decoded_u64 (remaining, "0.vcpuMilli"),
                        (guint32)moosh_decoded_u64 (remaining, "0.ramMib"),
                        (guint32)moosh_decoded_u64 (remaining, "0.diskGib"),
                        (guint32)moosh_decoded_u64 (remaining, "0.gpu"),
                        (guint32)moosh_decoded_u64 (remaining, "0.ipv4") };
  return moosh_book_set_filled (node->store, offer->maker, hash,
                                (guint32)moosh_decoded_u64 (filled, "units"),
                                moosh_decoded_bool (filled, "cancelled"), error)
         && moosh_book_set_nonce (node->store, offer->maker, moosh_decoded_u64 (nonce, "0"), error)
         && moosh_book_set_pool (node->store, provider, offer->pool, &units, error);
}

gboolean
offers_touched (Node *node, const guint8 hash[32], GError **error)
{
  g_autoptr (GBytes) bytes = g_bytes_new (hash, 32);
  return moosh_store_run (node->store, error, "INSERT OR IGNORE INTO offers_stale VALUES (?)", "b",
                          bytes);
}

/* An event about a maker or provider touches all that it sells. */
gboolean
offers_touched_by (Node *node, const guint8 provider[20], GError **error)
{
  MooshBookFilter filter = {
    .provider = provider, .any_status = TRUE, .taker = node->identity, .limit = MOOSH_BOOK_LIST_MAX
  };
  g_autoptr (GArray) entries = moosh_book_list (node->store, &filter, now_s (), NULL, error);

  if (entries == NULL)
    return FALSE;
  for (guint i = 0; i < entries->len; i++)
    if (!offers_touched (node, g_array_index (entries, MooshBookEntry, i).hash, error))
      return FALSE;
  return TRUE;
}

gboolean
offers_taken (Node *node, guint64 agreement, const guint8 provider[20], GError **error)
{
  MooshBookFilter filter
      = { .provider = provider, .any_status = TRUE, .taker = node->identity, .limit = 1 };
  g_autoptr (GBytes) who = g_bytes_new (provider, 20);
  guint total = 0;
  g_autoptr (GArray) known = moosh_book_list (node->store, &filter, now_s (), &total, error);

  if (known == NULL)
    return FALSE;
  /* whose offers we do not know is of no interest: strangers cannot make this table grow */
  return total == 0
         || (moosh_store_run (node->store, error,
                              "INSERT OR REPLACE INTO offers_taken VALUES (?, ?)", "ib",
                              (gint64)agreement, who)
             && offers_touched_by (node, provider, error));
}

gboolean
offers_closed (Node *node, guint64 agreement, GError **error)
{
  g_autoptr (GBytes) provider = NULL;
  {
    g_autoptr (MooshQuery) query = moosh_store_query (
        node->store, error, "SELECT provider FROM offers_taken WHERE agreement = ?", "i",
        (gint64)agreement);
    if (query == NULL)
      return FALSE;
    provider = moosh_query_next (query, NULL) ? moosh_query_blob (query, 0) : NULL;
  }
  return provider == NULL
         || (offers_touched_by (node, g_bytes_get_data (provider, NULL), error)
             && moosh_store_run (node->store, error, "DELETE FROM offers_taken WHERE agreement = ?",
                                 "i", (gint64)agreement));
}

void
offers_refresh_stale (Node *node)
{
  for (guint i = 0; i < STALE_AT_ONCE; i++)
    {
      g_autoptr (GBytes) hash = NULL;
      g_autoptr (GError) error = NULL;
      MooshBookEntry entry;

      {
        g_autoptr (MooshQuery) query
            = moosh_store_query (node->store, NULL, "SELECT hash FROM offers_stale LIMIT 1", "");
        if (query == NULL || !moosh_query_next (query, NULL))
          return;
        hash = moosh_query_blob (query, 0);
      }
      /* forget the mark first: an event that comes while we read sets it again */
      moosh_store_run (node->store, NULL, "DELETE FROM offers_stale WHERE hash = ?", "b", hash);
      if (moosh_book_get (node->store, g_bytes_get_data (hash, NULL), now_s (), &entry, NULL)
          && !refresh_from_chain (node, &entry.signed_offer.offer, entry.provider, &error))
        {
          g_info ("offers: %s", error->message);
          offers_touched (node, entry.hash, NULL);
          return;
        }
    }
}

/* ---- contacts' offers ---- */

static gboolean
identity_of_maker (Node *node, const guint8 maker[20], guint8 ret[20], GError **error)
{
  g_autoptr (MooshDecoded) identity = moosh_contract_read (
      node->chain, node->contracts.registry, MOOSH_FN_PROVIDER_REGISTRY_IDENTITY_OF, error, maker);
  if (identity == NULL)
    return FALSE;
  memcpy (ret, moosh_decoded_address (identity, "0"), 20);
  return TRUE;
}

/* Take one offer a contact serves: ours to check in full. FALSE only for trouble of our own. */
static gboolean
take_in (Node *node, const MooshPeerId *peer, MooshSpan wire, guint *count, GError **error)
{
  MooshSignedOffer offer;
  guint8 provider[20], hash[32];
  gboolean is_new = FALSE;
  g_autoptr (GError) local = NULL;

  if (moosh_signed_offer_decode (wire.ptr, wire.len, &offer) != MOOSH_OK
      || offer.domain.chain_id != node->domain.chain_id
      || memcmp (offer.domain.book, node->domain.book, 20) != 0
      || moosh_offer_check (&offer.offer, (guint64)now_s ()) != MOOSH_OFFER_OK
      || moosh_signed_offer_verify (&offer) != MOOSH_OK)
    {
      g_info ("peer %s serves an offer that is not valid here: ignored", peer->address);
      return TRUE;
    }
  memcpy (provider, offer.offer.maker, 20);
  if (memcmp (provider, peer->identity, 20) != 0)
    {
      if (!identity_of_maker (node, offer.offer.maker, provider, error))
        return FALSE;
      if (memcmp (provider, peer->identity, 20) != 0)
        return TRUE; /* a node sells only what is its own */
    }
  if (!moosh_book_add (node->store, &offer, provider, peer->node_key, now_s (), &is_new, &local))
    {
      if (local->code == MOOSH_ERROR_LIMIT || local->code == MOOSH_ERROR_USAGE
          || local->code == MOOSH_ERROR_EXPIRED)
        return TRUE;
      g_propagate_error (error, g_steal_pointer (&local));
      return FALSE;
    }
  (*count)++;
  moosh_offer_hash (&offer.offer, hash);
  return offers_touched (node, hash, error);
}

static gboolean
take_in_page (Node *node, const MooshPeerId *peer, const ExchangePage *page, guint *count,
              GError **error)
{
  for (gsize i = 0; i < page->n; i++)
    if (!take_in (node, peer, page->offers[i], count, error))
      return FALSE;
  return TRUE;
}

gboolean
offers_pull (Node *node, const guint8 node_key[33], guint *ret_count, GError **error)
{
  gint64 begun_s = now_s ();
  guint64 total = 1;
  guint count = 0;

  for (guint64 offset = 0; offset < MIN (total, OFFERS_PER_CONTACT_MAX);)
    {
      ExchangeQuery query = { .first = offset };
      g_autoptr (GBytes) body = exchange_query_encode (&query);
      MooshPeerId peer;
      ExchangePage page;
      g_autoptr (GBytes) answer = moosh_peer_call (node->peers, node_key, NULL, "offers.get", body,
                                                   PEER_MS, &peer, error);

      if (answer == NULL
          || !exchange_page_decode (g_bytes_get_data (answer, NULL), g_bytes_get_size (answer),
                                    &page, error)
          || !take_in_page (node, &peer, &page, &count, error))
        return FALSE;
      if (page.n == 0)
        break;
      total = page.total;
      offset += page.n;
    }
  if (ret_count != NULL)
    *ret_count = count;
  offers_refresh_stale (node);
  return moosh_book_forget (node->store, node_key, begun_s, error); /* what it no longer lists */
}

JsonArray *
offers_pull_all (Node *node, guint *ret_reachable, guint *ret_count)
{
  g_autoptr (GPtrArray) contacts = moosh_contact_list (node->store, NULL);
  JsonArray *errors = json_array_new ();
  guint reachable = 0, offers = 0;

  for (guint i = 0; contacts != NULL && i < contacts->len; i++)
    {
      const MooshContact *contact = contacts->pdata[i];
      g_autoptr (GError) error = NULL;
      guint count = 0;

      if (offers_pull (node, contact->address.node_key, &count, &error))
        reachable++, offers += count;
      else
        json_array_add_object_element (
            errors, moosh_json_build ("contact", 's',
                                      contact->name[0] ? contact->name : contact->address.host,
                                      "error", 's', error->message, NULL));
    }
  if (ret_reachable != NULL)
    *ret_reachable = reachable;
  if (ret_count != NULL)
    *ret_count = offers;
  return errors;
}

gboolean
offers_forget_contact (Node *node, const guint8 node_key[33], GError **error)
{
  return moosh_book_forget (node->store, node_key, G_MAXINT64, error);
}

guint
offers_of_contact (Node *node, const guint8 node_key[33])
{
  g_autoptr (MooshContact) contact = moosh_contact_by_key (node->store, node_key, NULL);
  MooshBookFilter filter = { .provider = contact ? contact->identity : NULL,
                             .any_status = TRUE,
                             .taker = node->identity,
                             .limit = 1 };
  guint total = 0;
  g_autoptr (GArray) entries = NULL;

  if (contact == NULL || !contact->has_identity)
    return 0;
  entries = moosh_book_list (node->store, &filter, now_s (), &total, NULL);
  return total;
}

/* ---- choosing ---- */

gboolean
offers_find (Node *node, const char *id, MooshBookEntry *ret, GError **error)
{
  return moosh_book_find (node->store, id, chain_now_s (node), ret, error);
}

gboolean
offers_why_not (Node *node, const MooshSignedOffer *offer, guint units, char **ret, GError **error)
{
  guint8 hash[32];
  MooshBookEntry entry;

  moosh_offer_hash (&offer->offer, hash);
  chain_catch_up (node, SIBLING_MS / 4); /* expiry is judged by the chain's time */
  if (!moosh_book_get (node->store, hash, chain_now_s (node), &entry, error)
      || !refresh_from_chain (node, &offer->offer, entry.provider, error)
      || !moosh_book_get (node->store, hash, chain_now_s (node), &entry, error))
    return FALSE;
  if (entry.status == MOOSH_BOOK_PRIVATE
      && memcmp (offer->offer.allowed_taker, node->identity, 20) == 0)
    entry.status = MOOSH_BOOK_LIVE;
  if (entry.status != MOOSH_BOOK_LIVE)
    *ret = g_strdup (moosh_book_status_text (entry.status));
  else if (entry.available < units)
    *ret = g_strdup_printf ("only %u unit%s left", entry.available,
                            entry.available == 1 ? " is" : "s are");
  else
    *ret = NULL;
  return TRUE;
}

int
offers_why_not_code (Node *node, const MooshOffer *offer)
{
  return offer->expiry <= (guint64)chain_now_s (node) ? MOOSH_ERROR_EXPIRED : MOOSH_ERROR_CONFLICT;
}

/* ---- software policies ---- */

gboolean
policy_keep (Node *node, const char *text, guint8 ret_hash[32], GError **error)
{
  g_autoptr (GBytes) hash = NULL;

  if (!moosh_policy_check (text, error))
    return FALSE;
  moosh_policy_hash (text, ret_hash);
  hash = g_bytes_new (ret_hash, 32);
  return *text == '\0'
         || moosh_store_run (node->store, error, "INSERT OR IGNORE INTO policies VALUES (?, ?)",
                             "bs", hash, text);
}

gboolean
policy_find (Node *node, const guint8 hash[32], char **ret_text, GError **error)
{
  static const guint8 everything[32] = { 0 };
  g_autoptr (GBytes) key = g_bytes_new (hash, 32);
  g_autoptr (MooshQuery) query = NULL;

  if (memcmp (hash, everything, 32) == 0)
    {
      *ret_text = NULL;
      return TRUE;
    }
  query = moosh_store_query (node->store, error, "SELECT text FROM policies WHERE hash = ?", "b",
                             key);
  if (query == NULL)
    return FALSE;
  if (moosh_query_next (query, NULL))
    {
      *ret_text = g_strdup (moosh_query_text (query, 0));
      return TRUE;
    }
  g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_NOT_FOUND,
               "the text of the offer's software policy is not known here");
  return FALSE;
}

/* ---- our own ---- */

JsonArray *
inventory_pools (Node *node)
{
  g_autoptr (JsonObject) inventory
      = node->vmmd ? moosh_rpc_client_call (node->vmmd, "inventory.get", NULL, SIBLING_MS, NULL)
                   : NULL;
  JsonArray *pools = inventory ? moosh_json_array (inventory, "pools", NULL) : NULL;

  return pools ? json_array_ref (pools) : NULL;
}

/* The pool of this id among the machine manager's. */
static JsonObject *
find_pool (JsonArray *pools, const guint8 id[32])
{
  for (guint i = 0; i < json_array_get_length (pools); i++)
    {
      JsonNode *element = json_array_get_element (pools, i);
      JsonObject *pool = JSON_NODE_HOLDS_OBJECT (element) ? json_node_get_object (element) : NULL;
      g_autoptr (GBytes) here = pool ? moosh_json_hex (pool, "pool", 32, NULL) : NULL;

      if (here != NULL && memcmp (g_bytes_get_data (here, NULL), id, 32) == 0)
        return pool;
    }
  return NULL;
}

char *
offers_why_not_served (JsonArray *pools, const MooshOffer *offer)
{
  JsonObject *pool, *left;
  const struct {
    const char *name, *what;
    gint64 needed;
  } needs[] = { { "vcpu_milli", "processors", offer->units.vcpu_milli },
                { "ram_mib", "memory", offer->units.ram_mib },
                { "disk_gib", "disk", offer->units.disk_gib },
                { "gpu", "GPUs", offer->units.gpu },
                { "ipv4", "addresses", offer->units.ipv4 } };

  if (pools == NULL)
    return g_strdup ("the machine manager (moosh-vmmd) does not answer");
  pool = find_pool (pools, offer->pool);
  left = pool ? moosh_json_object (pool, "free", NULL) : NULL;
  if (left == NULL)
    return g_strdup ("the host's inventory has no such pool");
  for (guint i = 0; i < G_N_ELEMENTS (needs); i++)
    if (moosh_json_int_or (left, needs[i].name, 0) < needs[i].needed)
      return g_strdup_printf ("the host has too few free %s left", needs[i].what);
  return NULL;
}

GPtrArray *
offers_own_page (Node *node, const guint8 peer[20], guint offset, guint max, guint *ret_total)
{
  MooshBookFilter filter
      = { .provider = node->identity, .taker = peer, .limit = MOOSH_BOOK_LIST_MAX };
  GPtrArray *page = g_ptr_array_new_with_free_func ((GDestroyNotify)g_bytes_unref);
  g_autoptr (JsonArray) pools = inventory_pools (node);
  g_autoptr (GArray) entries
      = pools ? moosh_book_list (node->store, &filter, chain_now_s (node), NULL, NULL) : NULL;
  guint total = 0;

  for (guint i = 0; entries != NULL && i < entries->len; i++)
    {
      const MooshSignedOffer *offer = &g_array_index (entries, MooshBookEntry, i).signed_offer;
      g_autofree char *why_not = offers_why_not_served (pools, &offer->offer);
      guint8 wire[MOOSH_OFFER_WIRE_MAX];
      size_t len;

      /* what cannot be served now is not on offer */
      if (why_not != NULL || moosh_signed_offer_encode (offer, wire, sizeof wire, &len) != MOOSH_OK)
        continue;
      if (total++ >= offset && page->len < max)
        g_ptr_array_add (page, g_bytes_new (wire, len));
    }
  *ret_total = total;
  return page;
}

gboolean
offers_publish (Node *node, MooshOffer *offer, guint8 ret_hash[32], GError **error)
{
  MooshSignedOffer signed_offer = { .offer = *offer, .domain = node->domain };
  MooshOfferFault fault = moosh_offer_check (offer, (guint64)chain_now_s (node));
  g_autoptr (JsonObject) typed = NULL;
  g_autoptr (GBytes) signature = NULL;
  g_autofree char *policy = NULL;
  gsize len;

  if (!policy_find (node, offer->policy_hash, &policy, error))
    return FALSE;
  if (fault != MOOSH_OFFER_OK)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE, "the order makes no sense: %s",
                   moosh_offer_fault_text (fault));
      return FALSE;
    }
  typed = moosh_offer_to_typed_data (offer, &node->domain);
  signature = sign_typed (node, typed, error);
  if (signature == NULL)
    return FALSE;
  memcpy (signed_offer.sig, g_bytes_get_data (signature, &len), 65);
  signed_offer.sig_len = 65;
  moosh_offer_hash (offer, ret_hash);
  return moosh_book_add (node->store, &signed_offer, node->identity, node->node_key, now_s (), NULL,
                         error)
         && refresh_from_chain (node, offer, node->identity, error);
}
