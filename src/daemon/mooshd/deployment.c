#include "deployment.h"
#include "chain/bindings.h"
#include <string.h>

const char client_schema[] = "CREATE TABLE deployments ("
                             "  name TEXT PRIMARY KEY, agreement INTEGER UNIQUE, offer BLOB NOT "
                             "NULL, units INTEGER NOT NULL,"
                             "  deposit TEXT NOT NULL, provider BLOB NOT NULL, request BLOB NOT "
                             "NULL, request_hash BLOB NOT NULL,"
                             "  blueprint TEXT NOT NULL, created_s INTEGER NOT NULL, over INTEGER "
                             "NOT NULL DEFAULT 0, step TEXT, error TEXT,"
                             "  delivered INTEGER NOT NULL DEFAULT 0, host TEXT, port INTEGER NOT "
                             "NULL DEFAULT 0, host_key TEXT, probe TEXT,"
                             "  probed_s INTEGER NOT NULL DEFAULT 0, stars INTEGER NOT NULL "
                             "DEFAULT 0, words TEXT, statement BLOB,"
                             "  statement_signature BLOB)";

/* what was seen of a machine that was rejected: its hash stands on the chain */
const char client_report_schema[] = "ALTER TABLE deployments ADD COLUMN report TEXT";

#define COLUMNS                                                                                    \
  "name, agreement, offer, units, deposit, request, request_hash, blueprint, created_s, over, "    \
  "step, error, delivered,"                                                                        \
  " host, port, host_key, probe, probed_s, stars, words, provider, report"

void
deployment_free (Deployment *d)
{
  g_free (d->name);
  g_clear_pointer (&d->request, g_bytes_unref);
  g_free (d->blueprint);
  g_free (d->step);
  g_free (d->error);
  g_free (d->host);
  g_free (d->host_key);
  g_free (d->probe);
  g_free (d->words);
  g_free (d->report);
  g_free (d);
}

static gboolean
read_row (MooshQuery *query, Deployment *d, GError **error)
{
  g_autoptr (GBytes) offer = moosh_query_blob (query, 2);
  g_autoptr (GBytes) hash = moosh_query_blob (query, 6);
  g_autoptr (GBytes) provider = moosh_query_blob (query, 20);

  d->name = g_strdup (moosh_query_text (query, 0));
  if (moosh_signed_offer_decode (g_bytes_get_data (offer, NULL), g_bytes_get_size (offer),
                                 &d->offer)
          != MOOSH_OK
      || g_bytes_get_size (hash) != 32 || g_bytes_get_size (provider) != 20
      || moosh_u256_from_decimal (moosh_query_text (query, 4), &d->deposit) != MOOSH_OK)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_CORRUPT, "deployment %s: its record is damaged",
                   d->name);
      return FALSE;
    }
  d->agreement = (guint64)moosh_query_int (query, 1);
  d->units = (guint32)moosh_query_int (query, 3);
  d->request = moosh_query_blob (query, 5);
  memcpy (d->request_hash, g_bytes_get_data (hash, NULL), 32);
  memcpy (d->provider, g_bytes_get_data (provider, NULL), 20);
  d->blueprint = g_strdup (moosh_query_text (query, 7));
  d->created_s = moosh_query_int (query, 8);
  d->over = moosh_query_int (query, 9) != 0;
  d->step = g_strdup (moosh_query_text (query, 10));
  d->error = g_strdup (moosh_query_text (query, 11));
  d->delivered = moosh_query_int (query, 12) != 0;
  d->host = g_strdup (moosh_query_text (query, 13));
  d->port = (guint16)moosh_query_int (query, 14);
  d->host_key = g_strdup (moosh_query_text (query, 15));
  d->probe = g_strdup (moosh_query_text (query, 16));
  d->probed_s = moosh_query_int (query, 17);
  d->stars = (guint)moosh_query_int (query, 18);
  d->words = g_strdup (moosh_query_text (query, 19));
  d->report = g_strdup (moosh_query_text (query, 21));
  return TRUE;
}

Deployment *
deployment_load (Node *node, const char *name, GError **error)
{
  g_autoptr (Deployment) d = g_new0 (Deployment, 1);
  gint64 number = (gint64)g_ascii_strtoull (name, NULL, 10);
  g_autoptr (MooshQuery) query
      = moosh_store_query (node->store, error,
                           "SELECT " COLUMNS " FROM deployments WHERE name = ? OR (agreement = ? "
                           "AND agreement > 0) ORDER BY name = ? DESC",
                           "sis", name, number, name);

  if (query == NULL)
    return NULL;
  if (!moosh_query_next (query, error))
    {
      if (error != NULL && *error == NULL)
        g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_NOT_FOUND,
                     "there is no deployment \"%s\"; see `moosh ps --all`", name);
      return NULL;
    }
  return read_row (query, d, error) ? g_steal_pointer (&d) : NULL;
}

GPtrArray *
deployment_names (Node *node, gboolean all)
{
  GPtrArray *names = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (MooshQuery) query = moosh_store_query (
      node->store, NULL,
      "SELECT name FROM deployments WHERE ? OR NOT over ORDER BY created_s DESC, name LIMIT 1000",
      "i", (gint64)all);

  while (query != NULL && moosh_query_next (query, NULL))
    g_ptr_array_add (names, g_strdup (moosh_query_text (query, 0)));
  return names;
}

GPtrArray *
client_open (Node *node)
{
  return deployment_names (node, FALSE);
}

gboolean
deployment_insert (Node *node, const Deployment *d, GError **error)
{
  guint8 wire[MOOSH_OFFER_WIRE_MAX];
  size_t len;
  g_autoptr (GBytes) offer = NULL, hash = g_bytes_new (d->request_hash, 32);
  g_autoptr (GBytes) provider = g_bytes_new (d->provider, 20);
  g_autofree char *deposit = wei_text (&d->deposit);
  g_autoptr (GError) local = NULL;

  if (moosh_signed_offer_encode (&d->offer, wire, sizeof wire, &len) != MOOSH_OK)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_FAILED, "the offer cannot be encoded");
      return FALSE;
    }
  offer = g_bytes_new (wire, len);
  if (moosh_store_run (
          node->store, &local,
          "INSERT INTO deployments (name, offer, units, deposit, provider, request, request_hash,"
          " blueprint, created_s, step) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 'taking the offer')",
          "sbisbbbsi", d->name, offer, (gint64)d->units, deposit, provider, d->request, hash,
          d->blueprint, d->created_s))
    return TRUE;
  if (local->code == MOOSH_ERROR_CONFLICT)
    g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_CONFLICT,
                 "there is a deployment \"%s\" already: choose another --name", d->name);
  else
    g_propagate_error (error, g_steal_pointer (&local));
  return FALSE;
}

void
deployment_say (Node *node, const Deployment *d, const char *step, const char *error)
{
  if (g_strcmp0 (step, d->step) != 0 || g_strcmp0 (error, d->error) != 0)
    moosh_store_run (node->store, NULL, "UPDATE deployments SET step = ?, error = ? WHERE name = ?",
                     "sss", step, error, d->name);
}

/* Nothing was sent: forget it, so that its name is free. */
static gboolean
forget (Node *node, const Deployment *d)
{
  moosh_store_run (node->store, NULL,
                   "DELETE FROM deployments WHERE name = ? AND agreement IS NULL", "s", d->name);
  return FALSE;
}

/* The contract refused. If the offer explains why, that is the better sentence: between the look at
 * it and the transaction's block somebody else was faster, or it was withdrawn. */
static gboolean
explain_refusal (Node *node, const Deployment *d, GError *refusal, GError **error)
{
  g_autofree char *why_not = NULL;

  if (refusal->code != MOOSH_ERROR_REFUSED
      || !offers_why_not (node, &d->offer, d->units, &why_not, NULL) || why_not == NULL)
    {
      g_propagate_error (error, refusal);
      return FALSE;
    }
  g_set_error (error, MOOSH_ERROR, offers_why_not_code (node, &d->offer.offer),
               "too late, this offer cannot be taken any more: %s (%s)", why_not, refusal->message);
  g_error_free (refusal);
  return FALSE;
}

/* Wait for the recorded transaction. Only an end without an agreement is a failure: whatever else
 * keeps us from seeing it through, the journal and the worker go on. */
static gboolean
see_through (Node *node, Deployment *d, const char *purpose, GError **error)
{
  g_auto (MooshReceipt) receipt = { 0 };
  g_auto (MooshTxRecord) record = { 0 };
  GError *local = NULL;

  if (moosh_tx_wait (node->txs, purpose, TX_MS, &receipt, &local)
      && moosh_follower_wait (node->follower, receipt.block, SIBLING_MS, &local))
    {
      d->agreement = ledger_find_request (node, d->request_hash, &d->offer.offer);
      return TRUE;
    }
  if (moosh_tx_lookup (node->txs, purpose, &record, NULL)
      && (record.state == MOOSH_TX_REVERTED || record.state == MOOSH_TX_REPLACED))
    return explain_refusal (node, d, local, error);
  g_message ("deployment %s: %s", d->name, local->message);
  g_error_free (local);
  return TRUE;
}

gboolean
deployment_take (Node *node, Deployment *d, gboolean wait, GError **error)
{
  g_autofree char *purpose = g_strdup_printf ("take:%s", d->name);
  g_autoptr (GBytes) signature = g_bytes_new (d->offer.sig, d->offer.sig_len);
  g_autoptr (GBytes) call = NULL;
  GError *local = NULL;
  Permit permit;

  if (!permit_for (node, node->contracts.escrow_vault, &d->deposit, &permit, error))
    return forget (node, d);
  call = call_build (MOOSH_FN_AGREEMENTS_TAKE, error, "ObauhwP", &d->offer.offer, signature,
                     node->identity, (guint64)d->units, d->request_hash, &d->deposit, &permit);
  if (call == NULL)
    return forget (node, d);
  if (!moosh_tx_submit (node->txs, purpose, node->contracts.agreements, call, NULL, NULL, &local))
    {
      forget (node, d);
      return explain_refusal (node, d, local, error);
    }
  return !wait || see_through (node, d, purpose, error);
}
