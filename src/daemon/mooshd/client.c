/* A deployment's next step. What to do follows from what the chain says and what is recorded; there
 * is no state of its own to get out of step. */
#include "chain/bindings.h"
#include "core/hash/hash.h"
#include "deployment.h"
#include <string.h>

enum { AGAIN_MS = 20, SOON_MS = 300, LATER_MS = 2000, RARELY_MS = 15000 };

static int
finish (Node *node, const Deployment *d, const char *error)
{
  moosh_store_run (node->store, NULL,
                   "UPDATE deployments SET over = 1, step = NULL, error = ? WHERE name = ?", "ss",
                   error, d->name);
  return STEP_NEVER;
}

/* A take that a crash interrupted before its transaction was recorded: nothing was sent, and nobody
 * is preparing it any more. */
void
client_recover (Node *node)
{
  g_autoptr (GPtrArray) names = client_open (node);

  for (guint i = 0; i < names->len; i++)
    {
      g_autoptr (Deployment) d = deployment_load (node, names->pdata[i], NULL);
      g_autofree char *purpose = g_strconcat ("take:", names->pdata[i], NULL);
      g_autoptr (GError) error = NULL;

      if (d != NULL && d->agreement == 0 && !moosh_tx_lookup (node->txs, purpose, NULL, &error)
          && error->code == MOOSH_ERROR_NOT_FOUND)
        finish (node, d, "interrupted before the transaction was made; nothing was spent");
    }
}

/* Not on the chain yet: what became of the transaction? */
static int
step_taking (Node *node, Deployment *d)
{
  g_autofree char *purpose = g_strdup_printf ("take:%s", d->name);
  g_auto (MooshTxRecord) tx = { 0 };
  g_autoptr (GError) error = NULL;
  guint64 id = ledger_find_request (node, d->request_hash, &d->offer.offer);

  if (id != 0)
    {
      if (!moosh_store_run (node->store, &error,
                            "UPDATE deployments SET agreement = ? WHERE name = ?", "is", (gint64)id,
                            d->name))
        g_warning ("deployment %s: %s", d->name, error->message);
      return 0;
    }
  if (!moosh_tx_lookup (node->txs, purpose, &tx, &error))
    return LATER_MS; /* `moosh take` is preparing the transaction */
  if (tx.state == MOOSH_TX_REVERTED || tx.state == MOOSH_TX_REPLACED)
    return finish (node, d, tx.trouble ? tx.trouble : "the transaction was refused");
  deployment_say (node, d, "waiting for the transaction to be mined", tx.trouble);
  return SOON_MS;
}

static int
execute (Node *node, Deployment *d, const char *action, const guint8 to[20], GBytes *call,
         GError **error)
{
  if (call == NULL || !ledger_execute (node, action, d->agreement, to, call, NULL, error))
    {
      g_info ("deployment %s: %s", d->name, (*error)->message);
      deployment_say (node, d, d->step, (*error)->message);
      return RARELY_MS;
    }
  return AGAIN_MS;
}

static int
expire (Node *node, Deployment *d, const LedgerEntry *entry)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) call
      = call_build (MOOSH_FN_AGREEMENTS_EXPIRE, &error, "uO", d->agreement, &entry->offer);

  deployment_say (node, d, "the provider let the deadline pass: getting the money back", d->error);
  return execute (node, d, "expire", node->contracts.agreements, call, &error);
}

/* The provider says it cannot be done: leave, with the digest of its log as the public evidence.
 * Only where that is free: its word alone must not earn it a fee, and the deadline brings
 * everything back. The reason is named, so that an `accept` that comes in between cannot change
 * what leaving costs. */
static int
leave (Node *node, Deployment *d, const LedgerEntry *entry, const MachineView *view,
       gboolean accepted)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) call = NULL;
  MooshAgreementView money;

  moosh_agreement_view (&entry->model, (guint64)chain_now_s (node), &money);
  if (!moosh_u256_is_zero (accepted ? &money.early_fee_wei : &entry->model.terms.reject_fee))
    {
      deployment_say (node, d,
                      "the provider cannot do it: waiting for its deadline, which brings the whole "
                      "deposit back (`moosh close` leaves now, for the fee)",
                      view->error);
      return LATER_MS;
    }
  call = call_build (MOOSH_FN_AGREEMENTS_CLOSE, &error, "uOuh", d->agreement, &entry->offer,
                     (guint64)(accepted ? MOOSH_REASON_BUYER : MOOSH_REASON_BUYER_CANCEL),
                     view->log_digest);
  deployment_say (node, d, "ending the agreement", view->error);
  return execute (node, d, "close", node->contracts.agreements, call, &error);
}

/* TAKEN and ACCEPTED: hand over the request, watch the provider, mind the deadline. */
static int
step_waiting (Node *node, Deployment *d, const LedgerEntry *entry, gboolean accepted)
{
  const MooshTerms *terms = &entry->model.terms;
  gint64 deadline_s = (gint64)entry->model.taken_s
                      + (accepted ? terms->provision_within_s : terms->accept_within_s);
  g_autoptr (GError) error = NULL;
  MachineView view = { 0 };

  if (chain_now_s (node) >= deadline_s)
    return expire (node, d, entry);
  if (!d->delivered)
    {
      if (!exchange_put_request (node, entry->provider, d->agreement, d->request, &error))
        {
          deployment_say (node, d, "handing the request to the provider", error->message);
          return LATER_MS;
        }
      moosh_store_run (node->store, NULL, "UPDATE deployments SET delivered = 1 WHERE name = ?",
                       "s", d->name);
    }
  if (!exchange_get_machine (node, entry->provider, d->agreement, &view, &error))
    {
      deployment_say (node, d, "asking the provider how far it is", error->message);
      return LATER_MS;
    }
  if (strcmp (view.state, "failed") == 0)
    return leave (node, d, entry, &view, accepted);
  if (view.port != 0) /* it is up, and the chain is about to say so */
    moosh_follower_wake (node->follower);
  deployment_say (node, d, view.step[0] != '\0' ? view.step : view.state, NULL);
  return SOON_MS;
}

static int
reject (Node *node, Deployment *d, const LedgerEntry *entry, const char *why, const char *report)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) call = NULL;
  guint8 evidence[32];

  if (!moosh_store_run (node->store, &error, "UPDATE deployments SET report = ? WHERE name = ?",
                        "ss", report, d->name))
    {
      g_info ("deployment %s: %s", d->name, error->message);
      return LATER_MS; /* a hash of what nobody has would prove nothing */
    }
  moosh_sha256 (report, strlen (report), evidence);
  call = call_build (MOOSH_FN_AGREEMENTS_REJECT, &error, "uOh", d->agreement, &entry->offer,
                     evidence);
  deployment_say (node, d, "the machine is not what was agreed: rejecting it", why);
  return execute (node, d, "reject", node->contracts.agreements, call, &error);
}

/* Learn where the machine is, and that this is what the provider committed to on the chain. */
static gboolean
learn_endpoint (Node *node, Deployment *d, const LedgerEntry *entry, GError **error)
{
  MachineView view = { 0 };
  guint8 commitment[32];

  if (!exchange_get_machine (node, entry->provider, d->agreement, &view, error))
    return FALSE;
  machine_commitment (view.host_key, view.host, view.port, commitment);
  if (memcmp (commitment, entry->commitment, 32) != 0)
    {
      g_set_error (
          error, MOOSH_ERROR, MOOSH_ERROR_PROTOCOL,
          "the SSH key and endpoint the provider tells are not those it committed to on the chain");
      return FALSE;
    }
  g_free (d->host);
  g_free (d->host_key);
  d->host = g_strdup (view.host);
  d->host_key = g_strdup (view.host_key);
  d->port = view.port;
  return moosh_store_run (node->store, error,
                          "UPDATE deployments SET host = ?, port = ?, host_key = ? WHERE name = ?",
                          "siss", d->host, (gint64)d->port, d->host_key, d->name);
}

/* PROVISIONED: probe until it is right or the window closes; acknowledge or reject. */
static int
step_probing (Node *node, Deployment *d, const LedgerEntry *entry)
{
  gint64 window_s = entry->model.terms.probe_window_s;
  gint64 last_call_s = entry->provisioned_s + window_s - CLAMP (window_s / 4, 2, 60);
  g_autofree char *report = NULL, *probe = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) call = NULL;

  if (d->probed_s == 0)
    {
      deployment_say (node, d, "logging in and comparing with what was agreed", d->error);
      if (learn_endpoint (node, d, entry, &error))
        probe = probe_machine (node, d, &report, &error);
      if (probe == NULL)
        {
          if (error->code == MOOSH_ERROR_REFUSED || chain_now_s (node) >= last_call_s)
            return reject (node, d, entry, error->message, report ? report : error->message);
          deployment_say (node, d, "logging in and comparing with what was agreed", error->message);
          return SOON_MS;
        }
      if (!moosh_store_run (node->store, &error,
                            "UPDATE deployments SET probe = ?, probed_s = ? WHERE name = ?", "sis",
                            probe, now_s (), d->name))
        return LATER_MS;
    }
  deployment_say (node, d, "acknowledging", NULL);
  call = call_build (MOOSH_FN_AGREEMENTS_ACKNOWLEDGE, &error, "uO", d->agreement, &entry->offer);
  return execute (node, d, "acknowledge", node->contracts.agreements, call, &error);
}

/* Time made it ACTIVE without our probe (this node was off): look now, and tell the person what is
 * wrong; whether to leave is theirs to decide. */
static int
step_active (Node *node, Deployment *d, const LedgerEntry *entry)
{
  g_autofree char *report = NULL, *probe = NULL, *said = NULL;
  g_autoptr (GError) error = NULL;

  if (d->probed_s == 0 && (d->host_key != NULL || learn_endpoint (node, d, entry, &error)))
    probe = probe_machine (node, d, &report, &error);
  if (probe != NULL)
    moosh_store_run (node->store, NULL,
                     "UPDATE deployments SET probe = ?, probed_s = ? WHERE name = ?", "sis", probe,
                     now_s (), d->name);
  else if (error != NULL)
    said = g_strdup_printf ("%s (to leave: moosh close %s)", error->message, d->name);
  deployment_say (node, d, NULL, said);
  return RARELY_MS;
}

/* Pull what `account` function says is ours; TRUE when there was nothing or it is done. */
static gboolean
pull_refund (Node *node, const Deployment *d, const LedgerEntry *entry, GError **error)
{
  MooshU256 all = moosh_u256 (0);
  g_autoptr (GBytes) withdraw = NULL, claim = NULL;

  if (!moosh_u256_is_zero (&entry->to_payer) && memcmp (entry->payer, node->identity, 20) == 0)
    {
      g_autoptr (MooshDecoded) credit = moosh_contract_read (
          node->chain, node->contracts.escrow_vault, MOOSH_FN_ESCROW_VAULT_CREDIT_OF, error,
          node->identity, entry->offer.token);
      MooshU256 amount;

      if (credit == NULL)
        return FALSE;
      amount = moosh_decoded_u256 (credit, "0");
      withdraw = call_build (MOOSH_FN_ESCROW_VAULT_WITHDRAW, error, "aaw", entry->offer.token,
                             node->identity, &all);
      if (!moosh_u256_is_zero (&amount)
          && !ledger_execute (node, "withdraw", d->agreement, node->contracts.escrow_vault,
                              withdraw, NULL, error))
        return FALSE;
    }
  if (!moosh_u256_is_zero (&entry->penalty))
    {
      g_autoptr (MooshDecoded) owed = moosh_contract_read (node->chain, node->contracts.stake_vault,
                                                           MOOSH_FN_STAKE_VAULT_CLAIM_OF, error,
                                                           node->identity, entry->offer.token);
      MooshU256 amount;

      if (owed == NULL)
        return FALSE;
      amount = moosh_decoded_u256 (owed, "0");
      claim = call_build (MOOSH_FN_STAKE_VAULT_CLAIM, error, "aa", entry->offer.token,
                          node->identity);
      if (!moosh_u256_is_zero (&amount)
          && !ledger_execute (node, "claim", d->agreement, node->contracts.stake_vault, claim, NULL,
                              error))
        return FALSE;
    }
  return TRUE;
}

static int
step_closed (Node *node, Deployment *d, const LedgerEntry *entry)
{
  g_autoptr (GError) error = NULL;

  if (entry->closed_s == 0)
    return SOON_MS; /* the event is on its way */
  if (node->auto_withdraw && !pull_refund (node, d, entry, &error))
    {
      deployment_say (node, d, "pulling the refund", error->message);
      return RARELY_MS;
    }
  return finish (node, d, d->error);
}

/* A reorganisation took the agreement back, or gave its number to another: find it anew. What was
 * learned under the old number does not count. */
static void
forget_agreement (Node *node, const Deployment *d)
{
  moosh_store_run (
      node->store, NULL,
      "UPDATE deployments SET agreement = NULL, delivered = 0, probed_s = 0, probe = NULL,"
      " host = NULL, port = 0, host_key = NULL WHERE name = ?",
      "s", d->name);
}

int
client_step (Node *node, const char *name)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (Deployment) d = deployment_load (node, name, &error);
  LedgerEntry entry;

  if (d == NULL || d->over)
    return STEP_NEVER;
  if (d->agreement == 0)
    return step_taking (node, d);
  if (!ledger_get (node, d->agreement, &entry, &error))
    {
      if (g_error_matches (error, MOOSH_ERROR, MOOSH_ERROR_NOT_FOUND))
        forget_agreement (node, d);
      return LATER_MS;
    }
  if (memcmp (entry.request_hash, d->request_hash, 32) != 0)
    {
      forget_agreement (node, d);
      return LATER_MS;
    }
  switch (moosh_agreement_state_at (&entry.model, (guint64)chain_now_s (node)))
    {
    case MOOSH_STATE_TAKEN:
      return step_waiting (node, d, &entry, FALSE);
    case MOOSH_STATE_ACCEPTED:
      return step_waiting (node, d, &entry, TRUE);
    case MOOSH_STATE_PROVISIONED:
      return step_probing (node, d, &entry);
    case MOOSH_STATE_CLOSED:
      return step_closed (node, d, &entry);
    case MOOSH_STATE_ACTIVE:
    case MOOSH_STATE_PAUSED:
    case MOOSH_STATE_GRACE:
    case MOOSH_STATE_DRAINING:
    case MOOSH_STATE_RECLAIMING:
      return step_active (node, d, &entry);
    case MOOSH_STATE_NONE:
    case MOOSH_N_STATES:
      break;
    }
  return LATER_MS;
}
