/* The ledger mirrors what the chain says about agreements we are a party of. Events tell *that*
 * something happened and carry what is nowhere else (terms, commitment, the money of a close);
 * amounts and state are then read from the contract by quorum. A reorganisation takes the event
 * back, and the record is read again: nothing is undone by hand. */
#include "chain/bindings.h"
#include "chain/contract.h"
#include "node.h"
#include <string.h>

const char ledger_schema[]
    = "CREATE TABLE agreements ("
      "  id INTEGER PRIMARY KEY, terms BLOB NOT NULL, client BLOB NOT NULL, provider BLOB NOT NULL,"
      "  payer BLOB NOT NULL, units INTEGER NOT NULL, request_hash BLOB NOT NULL, deposit TEXT NOT "
      "NULL,"
      "  bond TEXT NOT NULL, taken_s INTEGER NOT NULL, stale INTEGER NOT NULL DEFAULT 1,"
      "  state INTEGER NOT NULL DEFAULT 1, reason INTEGER NOT NULL DEFAULT 0,"
      "  started_s INTEGER NOT NULL DEFAULT 0, t_s INTEGER NOT NULL DEFAULT 0,"
      "  rate_x TEXT NOT NULL DEFAULT '0', bal_x TEXT NOT NULL DEFAULT '0',"
      "  earned_x TEXT NOT NULL DEFAULT '0', deadline_s INTEGER NOT NULL DEFAULT 0);"
      "CREATE INDEX agreements_by_request ON agreements (request_hash);"
      "CREATE TABLE agreement_events ("
      "  agreement INTEGER NOT NULL, block INTEGER NOT NULL, log_index INTEGER NOT NULL,"
      "  name TEXT NOT NULL, time_s INTEGER NOT NULL, tx BLOB NOT NULL, commitment BLOB,"
      "  to_provider TEXT, to_payer TEXT, penalty TEXT, evidence BLOB, amount TEXT,"
      "  PRIMARY KEY (block, log_index));"
      "CREATE INDEX agreement_events_by_agreement ON agreement_events (agreement, name);";

static gboolean
is_ours (Node *node, MooshDecoded *taken)
{
  return memcmp (moosh_decoded_address (taken, "client"), node->identity, 20) == 0
         || memcmp (moosh_decoded_address (taken, "provider"), node->identity, 20) == 0
         || memcmp (moosh_decoded_address (taken, "payer"), node->identity, 20) == 0;
}

/* The Offer inside Taken's data: the members are static, so it stands there as its words, after six
 * leaves. */
static GBytes *
terms_of (const MooshLog *log)
{
  gsize len, head = 6 * 32;

  g_bytes_get_data (log->data, &len);
  if (len < head + MOOSH_OFFER_ABI_SIZE)
    return NULL;
  return g_bytes_new_from_bytes (log->data, head, MOOSH_OFFER_ABI_SIZE);
}

static gboolean
on_taken (Node *node, const MooshLog *log, gint64 time_s, gboolean removed, GError **error)
{
  g_autoptr (MooshDecoded) taken = moosh_event_decode (MOOSH_EV_AGREEMENTS_TAKEN, log, NULL);
  g_autoptr (GBytes) terms = terms_of (log);
  g_autoptr (GBytes) client = NULL, provider = NULL, payer = NULL, hash = NULL;
  g_autofree char *deposit = NULL, *bond = NULL;
  MooshU256 amount;
  gint64 id;

  if (taken == NULL || terms == NULL || !is_ours (node, taken))
    return TRUE;
  id = (gint64)moosh_decoded_u64 (taken, "id");
  if (removed)
    return moosh_store_run (node->store, error, "DELETE FROM agreements WHERE id = ?", "i", id);
  client = g_bytes_new (moosh_decoded_address (taken, "client"), 20);
  provider = g_bytes_new (moosh_decoded_address (taken, "provider"), 20);
  payer = g_bytes_new (moosh_decoded_address (taken, "payer"), 20);
  hash = g_bytes_new (moosh_decoded_fixed (taken, "requestHash"), 32);
  amount = moosh_decoded_u256 (taken, "deposit");
  deposit = wei_text (&amount);
  amount = moosh_decoded_u256 (taken, "bond");
  bond = wei_text (&amount);
  return moosh_store_run (
      node->store, error,
      "INSERT OR REPLACE INTO agreements (id, terms, client, provider, payer, units, request_hash,"
      " deposit, bond, taken_s) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
      "ibbbbibssi", id, terms, client, provider, payer, (gint64)moosh_decoded_u64 (taken, "units"),
      hash, deposit, bond, time_s);
}

static gboolean
record_event (Node *node, const MooshAbiEvent *event, MooshDecoded *fields, gint64 id,
              const MooshLog *log, gint64 time_s, GError **error)
{
  g_autoptr (GBytes) tx = g_bytes_new (log->tx_hash, 32);
  g_autoptr (GBytes) commitment = NULL;
  g_autoptr (GBytes) evidence = NULL;
  g_autofree char *to_provider = NULL, *to_payer = NULL, *penalty = NULL, *amount = NULL;

  if (event == MOOSH_EV_AGREEMENTS_PROVISIONED)
    commitment = g_bytes_new (moosh_decoded_fixed (fields, "commitment"), 32);
  if (event == MOOSH_EV_AGREEMENTS_TOPPED_UP || event == MOOSH_EV_AGREEMENTS_FREE_WITHDRAWN
      || event == MOOSH_EV_AGREEMENTS_COLLECTED)
    {
      MooshU256 v = moosh_decoded_u256 (fields, "amount");
      amount = wei_text (&v);
    }
  if (event == MOOSH_EV_AGREEMENTS_CLOSED)
    {
      MooshU256 v = moosh_decoded_u256 (fields, "toProvider");
      to_provider = wei_text (&v);
      v = moosh_decoded_u256 (fields, "toPayer");
      to_payer = wei_text (&v);
      v = moosh_decoded_u256 (fields, "penalty");
      penalty = wei_text (&v);
      evidence = g_bytes_new (moosh_decoded_fixed (fields, "evidence"), 32);
    }
  return moosh_store_run (
      node->store, error,
      "INSERT OR REPLACE INTO agreement_events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
      "iiisibbsssbs", id, (gint64)log->block, (gint64)log->index, event->name, time_s, tx,
      commitment, to_provider, to_payer, penalty, evidence, amount);
}

/* Something was sold, cancelled or changed in size: what is left of offers we know has to be read
 * again. */
static gboolean
on_book (Node *node, const MooshLog *log, GError **error)
{
  const MooshAbiEvent *event = moosh_event_find ("OfferBook", log);
  g_autoptr (MooshDecoded) fields = event != NULL ? moosh_event_decode (event, log, NULL) : NULL;

  if (fields == NULL)
    return TRUE;
  if (event == MOOSH_EV_OFFER_BOOK_CANCELLED)
    return offers_touched (node, moosh_decoded_fixed (fields, "offerHash"), error);
  if (event == MOOSH_EV_OFFER_BOOK_NONCE_BUMPED)
    return offers_touched_by (node, moosh_decoded_address (fields, "maker"), error);
  if (event == MOOSH_EV_OFFER_BOOK_POOL_SET)
    return offers_touched_by (node, moosh_decoded_address (fields, "provider"), error);
  return TRUE;
}

gboolean
ledger_on_log (const MooshLog *log, gint64 time_s, gboolean removed, gpointer user_data,
               GError **error)
{
  Node *node = user_data;
  const MooshAbiEvent *event;
  g_autoptr (MooshDecoded) fields = NULL;
  gint64 id;

  if (removed && !moosh_tx_block_lost (node->txs, log->tx_hash, error))
    return FALSE;
  if (memcmp (log->address, node->contracts.offer_book, 20) == 0)
    return on_book (node, log, error);
  if (memcmp (log->address, node->contracts.agreements, 20) != 0)
    return TRUE;
  event = moosh_event_find ("Agreements", log);
  if (event == NULL)
    return TRUE;
  fields = moosh_event_decode (event, log, NULL);
  if (fields == NULL)
    return TRUE;
  id = (gint64)moosh_decoded_u64 (fields, "id");
  if (event == MOOSH_EV_AGREEMENTS_TAKEN
      && (!offers_taken (node, (guint64)id, moosh_decoded_address (fields, "provider"), error)
          || !on_taken (node, log, time_s, removed, error)))
    return FALSE;
  if (event == MOOSH_EV_AGREEMENTS_CLOSED && !offers_closed (node, (guint64)id, error))
    return FALSE;
  if (removed
      && !moosh_store_run (node->store, error,
                           "DELETE FROM agreement_events WHERE block = ? AND log_index = ?", "ii",
                           (gint64)log->block, (gint64)log->index))
    return FALSE;
  if (moosh_store_int (node->store, 0, "SELECT count(*) FROM agreements WHERE id = ?", "i", id)
      == 0)
    return TRUE;
  if (!removed && !record_event (node, event, fields, id, log, time_s, error))
    return FALSE;
  if (!moosh_store_run (node->store, error, "UPDATE agreements SET stale = 1 WHERE id = ?", "i",
                        id))
    return FALSE;
  if (node->worker != NULL)
    worker_wake (node->worker);
  return TRUE;
}

GArray *
ledger_stale (Node *node)
{
  GArray *ids = g_array_new (FALSE, FALSE, sizeof (guint64));
  g_autoptr (MooshQuery) query = moosh_store_query (
      node->store, NULL, "SELECT id FROM agreements WHERE stale ORDER BY id LIMIT 1000", "");

  while (query != NULL && moosh_query_next (query, NULL))
    {
      guint64 id = (guint64)moosh_query_int (query, 0);
      g_array_append_val (ids, id);
    }
  return ids;
}

static char *
u256_member (MooshDecoded *record, const char *path)
{
  MooshU256 v = moosh_decoded_u256 (record, path);
  return wei_text (&v);
}

static gboolean
stored_terms (Node *node, guint64 id, MooshOffer *ret, GError **error)
{
  g_autoptr (MooshQuery) query = moosh_store_query (
      node->store, error, "SELECT terms FROM agreements WHERE id = ?", "i", (gint64)id);
  g_autoptr (GBytes) terms
      = query && moosh_query_next (query, error) ? moosh_query_blob (query, 0) : NULL;

  if (terms != NULL && g_bytes_get_size (terms) == MOOSH_OFFER_ABI_SIZE
      && moosh_offer_from_words (g_bytes_get_data (terms, NULL), ret) == MOOSH_OK)
    return TRUE;
  if (error != NULL && *error == NULL)
    g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_NOT_FOUND, "it is not one of ours");
  return FALSE;
}

/* The money as of `time_s`, which is when the record was settled last: from there on the model
 * computes. */
static MooshDecoded *
read_balances (Node *node, guint64 id, guint64 time_s, guint64 block, GError **error)
{
  MooshOffer offer;
  g_autoptr (GBytes) call = NULL, output = NULL;

  if (!stored_terms (node, id, &offer, error))
    return NULL;
  call = call_build (MOOSH_FN_AGREEMENTS_BALANCES, error, "uOu", id, &offer, time_s);
  output = call ? moosh_chain_call (node->chain, NULL, node->contracts.agreements, call, block,
                                    NULL, error)
                : NULL;
  return output ? moosh_output_decode (MOOSH_FN_AGREEMENTS_BALANCES, output, error) : NULL;
}

static gboolean
store_record (Node *node, guint64 id, MooshDecoded *record, MooshDecoded *money, GError **error)
{
  g_autofree char *rate_x = u256_member (money, "b.rateX"), *bal_x = u256_member (money, "b.balX");
  g_autofree char *earned_x = u256_member (money, "b.earnedX");

  return moosh_store_run (
      node->store, error,
      "UPDATE agreements SET state = ?, reason = ?, started_s = ?, t_s = ?, rate_x = ?, bal_x = ?,"
      " earned_x = ?, deadline_s = ? WHERE id = ?",
      "iiiisssii", (gint64)moosh_decoded_u64 (record, "record.state"),
      (gint64)moosh_decoded_u64 (record, "reason"),
      (gint64)moosh_decoded_u64 (record, "record.startedAt"),
      (gint64)moosh_decoded_u64 (record, "record.tS"), rate_x, bal_x, earned_x,
      (gint64)moosh_decoded_u64 (record, "record.deadline"), (gint64)id);
}

gboolean
ledger_refresh (Node *node, guint64 id, GError **error)
{
  g_autoptr (MooshDecoded) record = NULL, money = NULL;
  g_autoptr (GBytes) call = NULL, output = NULL;
  guint64 block = 0;

  /* An event that comes while we read marks the record again, after this has marked it clean. */
  if (!moosh_store_run (node->store, error, "UPDATE agreements SET stale = 0 WHERE id = ?", "i",
                        (gint64)id))
    return FALSE;
  /* both reads at one block: between two an event could fall, and record and money would not fit */
  call = call_build (MOOSH_FN_AGREEMENTS_AGREEMENT, error, "u", id);
  output = call ? moosh_chain_call (node->chain, NULL, node->contracts.agreements, call,
                                    MOOSH_CHAIN_LATEST, &block, error)
                : NULL;
  record = output ? moosh_output_decode (MOOSH_FN_AGREEMENTS_AGREEMENT, output, error) : NULL;
  money = record ? read_balances (node, id, moosh_decoded_u64 (record, "record.tS"), block, error)
                 : NULL;
  if (money != NULL && store_record (node, id, record, money, error))
    return TRUE;
  moosh_store_run (node->store, NULL, "UPDATE agreements SET stale = 1 WHERE id = ?", "i",
                   (gint64)id);
  g_prefix_error (error, "agreement %" G_GUINT64_FORMAT ": ", id);
  return FALSE;
}

static void
copy_blob (MooshQuery *query, int column, guint8 *ret, gsize len)
{
  g_autoptr (GBytes) blob = moosh_query_blob (query, column);

  memset (ret, 0, len);
  if (blob != NULL && g_bytes_get_size (blob) == len)
    memcpy (ret, g_bytes_get_data (blob, NULL), len);
}

static MooshU256
text_amount (MooshQuery *query, int column)
{
  MooshU256 v = moosh_u256 (0);
  const char *text = moosh_query_text (query, column);

  if (text != NULL && moosh_u256_from_decimal (text, &v) != MOOSH_OK)
    g_critical ("the ledger holds an amount that is none: %s", text);
  return v;
}

/* What is only in events: the commitment, and the money that went in and out. */
static void
read_event (MooshQuery *query, LedgerEntry *entry)
{
  const char *name = moosh_query_text (query, 0);
  MooshU256 amount = text_amount (query, 7);

  if (strcmp (name, "Provisioned") == 0)
    {
      entry->provisioned_s = moosh_query_int (query, 1);
      copy_blob (query, 2, entry->commitment, 32);
    }
  else if (strcmp (name, "Closed") == 0)
    {
      entry->closed_s = moosh_query_int (query, 1);
      entry->to_provider = text_amount (query, 3);
      entry->to_payer = text_amount (query, 4);
      entry->penalty = text_amount (query, 5);
      copy_blob (query, 6, entry->evidence, 32);
    }
  else if (strcmp (name, "ToppedUp") == 0)
    moosh_u256_add (&entry->paid_in, &amount, &entry->paid_in);
  else if (strcmp (name, "FreeWithdrawn") == 0)
    moosh_u256_sub (&entry->paid_in, &amount, &entry->paid_in);
  else if (strcmp (name, "Collected") == 0)
    moosh_u256_add (&entry->collected, &amount, &entry->collected);
}

static void
read_events (Node *node, LedgerEntry *entry)
{
  g_autoptr (MooshQuery) query = moosh_store_query (
      node->store, NULL,
      "SELECT name, time_s, commitment, to_provider, to_payer, penalty, evidence, amount"
      " FROM agreement_events WHERE agreement = ? ORDER BY block, log_index",
      "i", (gint64)entry->id);

  while (query != NULL && moosh_query_next (query, NULL))
    read_event (query, entry);
}

static gboolean
fill_model (LedgerEntry *entry, MooshQuery *query, GError **error)
{
  MooshU256 bond = text_amount (query, 7);
  MooshAgreementRecord record = {
    .state = (MooshState)moosh_query_int (query, 9),
    .reason = (MooshReason)moosh_query_int (query, 10),
    .started_s = (guint64)moosh_query_int (query, 11),
    .t_s = (guint64)moosh_query_int (query, 12),
    .rate_x = text_amount (query, 13),
    .bal_x = text_amount (query, 14),
    .earned_x = text_amount (query, 15),
    .deadline_s = (guint64)moosh_query_int (query, 16),
    .units = entry->units,
    .sponsored = memcmp (entry->payer, entry->client, 20) != 0,
  };

  if (record.started_s == 0) /* not read from the chain yet: all we know is that it was taken */
    {
      record.started_s = record.t_s = (guint64)moosh_query_int (query, 8);
      record.bal_x = moosh_x_from_wei (&entry->deposit);
    }
  if (moosh_agreement_from_record (&entry->offer, &record, &bond, &entry->model) == MOOSH_OK)
    {
      if (entry->model.taken_s == 0 || entry->provisioned_s != 0)
        entry->model.taken_s = (guint64)moosh_query_int (query, 8);
      return TRUE;
    }
  g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_CORRUPT,
               "agreement %" G_GUINT64_FORMAT ": its record and its terms do not fit each other",
               entry->id);
  return FALSE;
}

gboolean
ledger_get (Node *node, guint64 id, LedgerEntry *ret, GError **error)
{
  g_autoptr (MooshQuery) query = moosh_store_query (
      node->store, error,
      "SELECT terms, client, provider, payer, units, request_hash, deposit, bond, taken_s, state,"
      " reason, started_s, t_s, rate_x, bal_x, earned_x, deadline_s FROM agreements WHERE id = ?",
      "i", (gint64)id);
  g_autoptr (GBytes) terms = NULL;
  LedgerEntry entry = { .id = id };

  if (query == NULL)
    return FALSE;
  if (!moosh_query_next (query, error))
    {
      if (error != NULL && *error == NULL)
        g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_NOT_FOUND,
                     "agreement %" G_GUINT64_FORMAT " is not one of ours", id);
      return FALSE;
    }
  terms = moosh_query_blob (query, 0);
  if (terms == NULL || g_bytes_get_size (terms) != MOOSH_OFFER_ABI_SIZE
      || moosh_offer_from_words (g_bytes_get_data (terms, NULL), &entry.offer) != MOOSH_OK)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_CORRUPT,
                   "agreement %" G_GUINT64_FORMAT ": stored terms are damaged", id);
      return FALSE;
    }
  copy_blob (query, 1, entry.client, 20);
  copy_blob (query, 2, entry.provider, 20);
  copy_blob (query, 3, entry.payer, 20);
  entry.units = (guint32)moosh_query_int (query, 4);
  copy_blob (query, 5, entry.request_hash, 32);
  entry.deposit = entry.paid_in = text_amount (query, 6);
  read_events (node, &entry);
  if (!fill_model (&entry, query, error))
    return FALSE;
  *ret = entry;
  return TRUE;
}

guint64
ledger_find_request (Node *node, const guint8 request_hash[32], const MooshOffer *terms)
{
  g_autoptr (GBytes) hash = g_bytes_new (request_hash, 32);
  g_autoptr (GBytes) me = g_bytes_new (node->identity, 20);
  guint8 words[MOOSH_OFFER_ABI_SIZE];
  g_autoptr (GBytes) agreed = NULL;

  moosh_offer_to_words (terms, words);
  agreed = g_bytes_new (words, sizeof words);
  return (guint64)moosh_store_int (node->store, 0,
                                   "SELECT id FROM agreements WHERE request_hash = ? AND terms = ?"
                                   " AND client = ? AND payer = ? ORDER BY id",
                                   "bbbb", hash, agreed, me, me);
}

/* Pulling money may be due again; everything else happens to an agreement once. */
static gboolean
is_repeatable (const char *action)
{
  static const char *const actions[] = { "collect", "withdraw", "claim", NULL };
  return g_strv_contains (actions, action);
}

gboolean
ledger_execute (Node *node, const char *action, guint64 id, const guint8 to[20], GBytes *call,
                MooshReceipt *ret, GError **error)
{
  g_autofree char *stem = g_strdup_printf ("%s:%" G_GUINT64_FORMAT, action, id);
  g_autofree char *purpose
      = is_repeatable (action) ? moosh_tx_fresh_purpose (node->txs, stem) : g_strdup (stem);
  g_auto (MooshTxRecord) record = { 0 };
  g_auto (MooshReceipt) receipt = { 0 };

  if (moosh_tx_lookup (node->txs, purpose, &record, NULL)
      && (record.state == MOOSH_TX_REVERTED || record.state == MOOSH_TX_REPLACED)
      && !moosh_tx_retire (node->txs, purpose, error))
    return FALSE;
  if (!moosh_tx_execute (node->txs, purpose, to, call, NULL, TX_MS, &receipt, error))
    {
      g_prefix_error (error, "agreement %" G_GUINT64_FORMAT ": %s: ", id, action);
      return FALSE;
    }
  if (!moosh_follower_wait (node->follower, receipt.block, SIBLING_MS, error)
      || !ledger_refresh (node, id, error))
    return FALSE;
  if (ret != NULL)
    {
      *ret = receipt;
      memset (&receipt, 0, sizeof receipt);
    }
  return TRUE;
}
