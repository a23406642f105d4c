/* provider.reclaim and provider.end: how a provider takes a machine back, with notice or without.
 */
#include "api.h"
#include "chain/bindings.h"
#include <string.h>

/* An agreement that is open, and in which we sell. One that began while this node was off is known
 * once the events have been followed up to now. */
static gboolean
find_sold (Node *node, JsonObject *params, LedgerEntry *ret, GError **error)
{
  gint64 id = 0;

  if (!moosh_json_int (params, "agreement", &id, error))
    return FALSE;
  if (id > 0 && !ledger_get (node, (guint64)id, ret, NULL))
    chain_catch_up (node, SIBLING_MS);
  if (id <= 0 || !ledger_get (node, (guint64)id, ret, NULL)
      || memcmp (ret->provider, node->identity, 20) != 0)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_NOT_FOUND,
                   "no machine of agreement %" G_GINT64_FORMAT " is rented from us", id);
      return FALSE;
    }
  if (ret->model.state == MOOSH_STATE_CLOSED)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_CONFLICT,
                   "agreement %" G_GINT64_FORMAT " is over: %s", id,
                   moosh_reason_text (ret->model.reason));
      return FALSE;
    }
  return TRUE;
}

JsonObject *
mooshd_provider_reclaim (const MooshRpcPeer *peer, JsonObject *params, gpointer user_data,
                         GError **error)
{
  Node *node = user_data;
  LedgerEntry entry;
  MooshState state;
  g_autoptr (GBytes) call = NULL;
  g_autofree char *hash = NULL;
  g_auto (MooshReceipt) receipt = { 0 };

  (void)peer;
  if (!find_sold (node, params, &entry, error))
    return NULL;
  state = moosh_agreement_state_at (&entry.model, (guint64)chain_now_s (node));
  if (state != MOOSH_STATE_ACTIVE && state != MOOSH_STATE_PAUSED && state != MOOSH_STATE_GRACE)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_CONFLICT,
                   "agreement %" G_GUINT64_FORMAT " is %s: notice can be given while it runs, once",
                   entry.id, moosh_state_name (state));
      return NULL;
    }
  call = call_build (MOOSH_FN_AGREEMENTS_RECLAIM, error, "uO", entry.id, &entry.offer);
  if (call == NULL
      || !ledger_execute (node, "reclaim", entry.id, node->contracts.agreements, call, &receipt,
                          error)
      || !ledger_get (node, entry.id, &entry, error))
    return NULL;
  worker_wake (node->worker);
  hash = moosh_hex (receipt.tx_hash, 32);
  return moosh_json_build ("hash", 's', hash, "deadline_s", 'i', (gint64)entry.model.deadline_s,
                           NULL);
}

/* What ending it now would be: the way, its name, and what it takes from our bond. */
static gboolean
predict_end (Node *node, const LedgerEntry *entry, MooshEvent *ret_event, MooshReason *ret_reason,
             MooshU256 *ret_penalty, GError **error)
{
  MooshAgreement copy = entry->model;
  guint64 now = (guint64)chain_now_s (node);
  MooshMoves moves;

  if (!moosh_agreement_best_close (&copy, MOOSH_ACTOR_PROVIDER, now, ret_event, ret_reason)
      || moosh_agreement_apply (&copy, *ret_event, MOOSH_ACTOR_PROVIDER, NULL, now, &moves)
             != MOOSH_REFUSED_NOT)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_CONFLICT,
                   "agreement %" G_GUINT64_FORMAT " cannot be ended now", entry->id);
      return FALSE;
    }
  *ret_penalty = moves.compensation;
  return TRUE;
}

JsonObject *
mooshd_provider_end (const MooshRpcPeer *peer, JsonObject *params, gpointer user_data,
                     GError **error)
{
  Node *node = user_data;
  gboolean quote = moosh_json_bool_or (params, "quote", FALSE);
  guint8 no_evidence[32] = { 0 };
  LedgerEntry entry;
  MooshEvent event;
  MooshReason reason;
  MooshU256 penalty;
  g_autoptr (GBytes) call = NULL;
  g_autofree char *hash = NULL;
  g_auto (MooshReceipt) receipt = { 0 };
  JsonObject *reply;

  (void)peer;
  if (!find_sold (node, params, &entry, error)
      || !predict_end (node, &entry, &event, &reason, &penalty, error))
    return NULL;
  if (!quote)
    {
      /* naming the reason means that no race can change the price of leaving */
      call = event == MOOSH_EVENT_EXPIRE
                 ? call_build (MOOSH_FN_AGREEMENTS_EXPIRE, error, "uO", entry.id, &entry.offer)
                 : call_build (MOOSH_FN_AGREEMENTS_CLOSE, error, "uOuh", entry.id, &entry.offer,
                               (guint64)reason, no_evidence);
      if (call == NULL
          || !ledger_execute (node, event == MOOSH_EVENT_EXPIRE ? "expire" : "close", entry.id,
                              node->contracts.agreements, call, &receipt, error)
          || !ledger_get (node, entry.id, &entry, error))
        return NULL;
      worker_wake (node->worker);
      hash = moosh_hex (receipt.tx_hash, 32);
      penalty = entry.penalty;
      reason = entry.model.reason;
    }
  reply = moosh_json_build ("hash", 's', hash, "reason", 's', moosh_reason_name (reason),
                            "reason_text", 's', moosh_reason_text (reason), NULL);
  set_wei (reply, "penalty_wei", &penalty);
  return reply;
}
