/* agreement.*: what was rented, and what can be done with it. Taking is in api_take.c. */
#include "api.h"
#include "chain/bindings.h"
#include "core/hash/hash.h"
#include "peer/statement.h"
#include <string.h>

enum { RATING_LIFE_S = 2 * 365 * 86400 };

static void
add_money (JsonObject *o, const LedgerEntry *entry, const MooshAgreementView *view, guint decimals)
{
  MooshU256 balance = moosh_x_to_wei (&view->bal_x), spent;
  g_autofree char *price = price_per_hour (&entry->model.terms.rate_x, decimals);
  g_autofree char *rate = wei_text (&entry->model.account.rate_x);

  set_wei (o, "deposit_wei", &entry->deposit);
  set_wei (o, "balance_wei", &balance);
  /* what is neither in the balance any more nor given back is spent */
  if (moosh_u256_sub (&entry->paid_in,
                      entry->model.state == MOOSH_STATE_CLOSED ? &entry->to_payer : &balance,
                      &spent))
    spent = moosh_u256 (0);
  set_wei (o, "spent_wei", &spent);
  set_wei (o, "refundable_wei", &view->refund_wei);
  set_wei (o, "early_fee_wei", &view->early_fee_wei);
  set_wei (o, "refund_wei", &entry->to_payer);
  set_wei (o, "penalty_wei", &entry->penalty);
  json_object_set_string_member (o, "rate_x", rate);
  json_object_set_string_member (o, "price_per_hour", price);
  if (view->grace_until_s != MOOSH_NEVER)
    json_object_set_int_member (o, "runs_out_at_s", (gint64)view->grace_until_s);
  else
    json_object_set_null_member (o, "runs_out_at_s");
}

static void
add_chain (Node *node, JsonObject *o, const LedgerEntry *entry)
{
  MooshAgreementView view;
  guint decimals = node_decimals (node);

  moosh_agreement_view (&entry->model, (guint64)chain_now_s (node), &view);
  add_money (o, entry, &view, decimals);
  json_object_set_string_member (o, "chain_state", moosh_state_name (view.state));
  json_object_set_int_member (o, "provisioned_s", entry->provisioned_s);
  json_object_set_int_member (o, "closed_s", entry->closed_s);
  if (entry->model.state == MOOSH_STATE_CLOSED)
    {
      json_object_set_string_member (o, "close_reason", moosh_reason_name (entry->model.reason));
      json_object_set_string_member (o, "close_text", moosh_reason_text (entry->model.reason));
      json_object_set_string_member (o, "next_step",
                                     moosh_reason_next_client (entry->model.reason));
    }
  if (entry->closed_s != 0)
    {
      g_autofree char *evidence = moosh_hex (entry->evidence, 32);
      json_object_set_string_member (o, "evidence", evidence);
    }
}

/* One word for a person: where it stands. */
static const char *
state_word (const Deployment *d, const LedgerEntry *entry, MooshState state)
{
  if (d->agreement == 0)
    return d->over ? "failed" : "taking";
  if (entry == NULL)
    return "unknown";
  return moosh_state_name (state);
}

static JsonObject *
deployment_json (Node *node, const Deployment *d)
{
  g_autofree char *provider = address_text (d->provider);
  g_autofree char *provider_name = identity_name (node, d->provider);
  guint8 offer_hash[32];
  g_autofree char *offer = NULL, *request_hash = moosh_hex (d->request_hash, 32);
  g_autofree char *suffix = g_strdup_printf (":%" G_GUINT64_FORMAT, d->agreement);
  g_autofree char *take = g_strdup_printf ("take:%s", d->name);
  g_autoptr (JsonObject) probe = d->probe ? moosh_json_parse (d->probe, -1, NULL) : NULL;
  LedgerEntry entry;
  gboolean known = d->agreement != 0 && ledger_get (node, d->agreement, &entry, NULL);
  MooshState state = known ? moosh_agreement_state_at (&entry.model, (guint64)chain_now_s (node))
                           : MOOSH_STATE_NONE;
  JsonArray *transactions = transactions_json (node, take, 1);
  JsonObject *o;

  moosh_offer_hash (&d->offer.offer, offer_hash);
  offer = moosh_hex (offer_hash, 32);
  if (d->agreement != 0)
    {
      g_autoptr (JsonArray) more = transactions_json (node, suffix, 50);
      for (guint i = json_array_get_length (more); i-- > 0;)
        json_array_add_element (transactions, json_array_dup_element (more, i));
    }
  o = moosh_json_build (
      "deployment", 's', d->name, "agreement", 'i', (gint64)d->agreement, "provider", 's', provider,
      "provider_name", 's', provider_name, "offer", 's', offer, "units", 'i', (gint64)d->units,
      "state", 's', state_word (d, known ? &entry : NULL, state), "over", 'b', d->over, "step", 's',
      d->step, "error", 's', d->error, "blueprint", 's', d->blueprint, "request_hash", 's',
      request_hash, "created_s", 'i', d->created_s, "ssh_host_key", 's', d->host_key, "probe", 'o',
      probe ? json_object_ref (probe) : NULL, "rating", 'i', (gint64)d->stars, "transactions", 'a',
      transactions, "report", 's', d->report, NULL);
  json_object_set_object_member (o, "resources", units_to_json (&d->offer.offer.units));
  if (d->port != 0)
    json_object_set_object_member (o, "endpoint",
                                   moosh_json_build ("host", 's', d->host, "port", 'i',
                                                     (gint64)d->port, "user", 's', "root", NULL));
  set_wei (o, "deposit_wei", &d->deposit);
  if (known)
    add_chain (node, o, &entry);
  return o;
}

JsonObject *
mooshd_agreement_show (const MooshRpcPeer *peer, JsonObject *params, gpointer user_data,
                       GError **error)
{
  Node *node = user_data;
  g_autoptr (Deployment) d
      = deployment_load (node, moosh_json_string (params, "deployment", NULL), error);

  (void)peer;
  return d != NULL ? deployment_json (node, d) : NULL;
}

JsonObject *
mooshd_agreement_list (const MooshRpcPeer *peer, JsonObject *params, gpointer user_data,
                       GError **error)
{
  Node *node = user_data;
  g_autoptr (GPtrArray) names = deployment_names (node, moosh_json_bool_or (params, "all", FALSE));
  JsonArray *array = json_array_new ();

  (void)peer;
  (void)error;
  for (guint i = 0; i < names->len; i++)
    {
      g_autoptr (Deployment) d = deployment_load (node, names->pdata[i], NULL);
      if (d != NULL)
        json_array_add_object_element (array, deployment_json (node, d));
    }
  return moosh_json_build ("deployments", 'a', array, "token", 'o', token_json (node), NULL);
}

/* The deployment and its entry in the ledger; an error says when there is none yet. */
static Deployment *
open_deployment (Node *node, JsonObject *params, LedgerEntry *ret, GError **error)
{
  g_autoptr (Deployment) d
      = deployment_load (node, moosh_json_string (params, "deployment", NULL), error);

  if (d == NULL)
    return NULL;
  if (d->agreement == 0)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_CONFLICT, "deployment %s is not on the chain%s",
                   d->name,
                   d->over ? ": it was never taken" : " yet: wait until its transaction is mined");
      return NULL;
    }
  if (!ledger_get (node, d->agreement, ret, error))
    return NULL;
  if (ret->model.state == MOOSH_STATE_CLOSED)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_CONFLICT, "deployment %s is over: %s", d->name,
                   moosh_reason_text (ret->model.reason));
      return NULL;
    }
  return g_steal_pointer (&d);
}

/* A call that may be made again later: its purpose is a new one once the last is final. */
static JsonObject *
act (Node *node, const Deployment *d, const char *action, GBytes *call, GError **error)
{
  g_autofree char *stem = g_strdup_printf ("%s:%" G_GUINT64_FORMAT, action, d->agreement);
  g_autofree char *purpose = moosh_tx_fresh_purpose (node->txs, stem);
  g_auto (MooshReceipt) receipt = { 0 };
  g_autofree char *hash = NULL;

  if (call == NULL)
    return NULL;
  if (!moosh_tx_execute (node->txs, purpose, node->contracts.agreements, call, NULL, TX_MS,
                         &receipt, error))
    {
      g_prefix_error (error, "deployment %s: %s: ", d->name, action);
      return NULL;
    }
  if (!moosh_follower_wait (node->follower, receipt.block, SIBLING_MS, error)
      || !ledger_refresh (node, d->agreement, error))
    return NULL;
  worker_wake (node->worker);
  hash = moosh_hex (receipt.tx_hash, 32);
  return moosh_json_build ("hash", 's', hash, "gas_used", 'i', (gint64)receipt.gas_used, NULL);
}

JsonObject *
mooshd_agreement_topup (const MooshRpcPeer *peer, JsonObject *params, gpointer user_data,
                        GError **error)
{
  Node *node = user_data;
  LedgerEntry entry;
  g_autoptr (Deployment) d = open_deployment (node, params, &entry, error);
  g_autoptr (GBytes) call = NULL;
  MooshU256 amount, balance;
  Permit permit;
  JsonObject *reply;
  g_autofree char *action = NULL;

  (void)peer;
  if (d == NULL
      || !wei_parse (moosh_json_string (params, "amount_wei", NULL), "amount_wei", &amount, error)
      || !token_balance (node, &balance, error))
    return NULL;
  if (moosh_u256_cmp (&balance, &amount) < 0)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_FUNDS, "the wallet holds less than that");
      return NULL;
    }
  if (!permit_for (node, node->contracts.escrow_vault, &amount, &permit, error))
    return NULL;
  call = call_build (MOOSH_FN_AGREEMENTS_TOP_UP, error, "uOwP", d->agreement, &entry.offer, &amount,
                     &permit);
  /* the amount is part of the action's name: another amount is another action */
  action = g_strdup_printf ("topup-%s", moosh_json_string (params, "amount_wei", NULL));
  reply = act (node, d, action, call, error);
  if (reply != NULL && ledger_get (node, d->agreement, &entry, NULL))
    {
      guint64 until_s = moosh_account_grace_until (&entry.model.account);
      if (until_s != MOOSH_NEVER)
        json_object_set_int_member (reply, "runs_out_at_s", (gint64)until_s);
    }
  return reply;
}

/* Pause and resume: `from` is the state it has to be in. */
static JsonObject *
switch_rate (Node *node, JsonObject *params, const char *action, const MooshAbiFunction *function,
             MooshState from, GError **error)
{
  LedgerEntry entry;
  g_autoptr (Deployment) d = open_deployment (node, params, &entry, error);
  g_autoptr (GBytes) call = NULL;
  MooshState state;

  if (d == NULL)
    return NULL;
  state = moosh_agreement_state_at (&entry.model, (guint64)chain_now_s (node));
  if (state != from)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_CONFLICT,
                   "deployment %s is %s: only what is %s can be %sd", d->name,
                   moosh_state_name (state), moosh_state_name (from), action);
      return NULL;
    }
  if (from == MOOSH_STATE_ACTIVE && moosh_u256_is_zero (&entry.offer.paused_rate_x))
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_REFUSED,
                   "deployment %s cannot be paused: its offer has no paused rate", d->name);
      return NULL;
    }
  call = call_build (function, error, "uO", d->agreement, &entry.offer);
  return act (node, d, action, call, error);
}

JsonObject *
mooshd_agreement_pause (const MooshRpcPeer *peer, JsonObject *params, gpointer user_data,
                        GError **error)
{
  (void)peer;
  return switch_rate (user_data, params, "pause", MOOSH_FN_AGREEMENTS_PAUSE, MOOSH_STATE_ACTIVE,
                      error);
}

JsonObject *
mooshd_agreement_resume (const MooshRpcPeer *peer, JsonObject *params, gpointer user_data,
                         GError **error)
{
  (void)peer;
  return switch_rate (user_data, params, "resume", MOOSH_FN_AGREEMENTS_RESUME, MOOSH_STATE_PAUSED,
                      error);
}

JsonObject *
mooshd_agreement_close (const MooshRpcPeer *peer, JsonObject *params, gpointer user_data,
                        GError **error)
{
  Node *node = user_data;
  LedgerEntry entry;
  g_autoptr (Deployment) d = open_deployment (node, params, &entry, error);
  g_autoptr (GBytes) call = NULL;
  guint8 no_evidence[32] = { 0 };
  MooshEvent event;
  MooshReason reason;
  JsonObject *reply;

  (void)peer;
  if (d == NULL)
    return NULL;
  if (!moosh_agreement_best_close (&entry.model, MOOSH_ACTOR_CLIENT, (guint64)chain_now_s (node),
                                   &event, &reason))
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_CONFLICT, "deployment %s cannot be closed now",
                   d->name);
      return NULL;
    }
  /* naming the reason means that no race can change the price of leaving */
  call = event == MOOSH_EVENT_EXPIRE
             ? call_build (MOOSH_FN_AGREEMENTS_EXPIRE, error, "uO", d->agreement, &entry.offer)
             : call_build (MOOSH_FN_AGREEMENTS_CLOSE, error, "uOuh", d->agreement, &entry.offer,
                           (guint64)reason, no_evidence);
  reply = act (node, d, "close", call, error);
  if (reply != NULL && ledger_get (node, d->agreement, &entry, NULL))
    add_chain (node, reply, &entry);
  return reply;
}

JsonObject *
mooshd_agreement_log (const MooshRpcPeer *peer, JsonObject *params, gpointer user_data,
                      GError **error)
{
  Node *node = user_data;
  g_autoptr (Deployment) d
      = deployment_load (node, moosh_json_string (params, "deployment", NULL), error);
  gint64 offset = moosh_json_int_or (params, "offset", 0);
  guint64 next = 0;
  g_autofree char *text = NULL;

  (void)peer;
  if (d == NULL)
    return NULL;
  if (offset < 0 || d->agreement == 0)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE,
                   offset < 0 ? "\"offset\" is negative"
                              : "the deployment is not on the chain yet: no log");
      return NULL;
    }
  text = exchange_get_log (node, d->provider, d->agreement,
                           moosh_json_bool_or (params, "console", FALSE), (guint64)offset, &next,
                           error);
  if (text == NULL)
    return NULL;
  return moosh_json_build ("text", 's', text, "next_offset", 'i', (gint64)next, "done", 'b',
                           (gboolean)(next <= (guint64)offset), NULL);
}

JsonObject *
mooshd_agreement_reboot (const MooshRpcPeer *peer, JsonObject *params, gpointer user_data,
                         GError **error)
{
  Node *node = user_data;
  LedgerEntry entry;
  g_autoptr (Deployment) d = open_deployment (node, params, &entry, error);

  (void)peer;
  return d != NULL && exchange_reboot (node, d->provider, d->agreement, error) ? json_object_new ()
                                                                               : NULL;
}

JsonObject *
mooshd_agreement_ssh (const MooshRpcPeer *peer, JsonObject *params, gpointer user_data,
                      GError **error)
{
  Node *node = user_data;
  LedgerEntry entry;
  g_autoptr (Deployment) d = open_deployment (node, params, &entry, error);
  g_autofree char *known_hosts = NULL, *identity = NULL;
  g_auto (GStrv) argv = d ? ssh_argv (node, d, FALSE, &known_hosts, error) : NULL;
  JsonArray *array;

  (void)peer;
  if (argv == NULL)
    return NULL;
  array = json_array_new ();
  for (guint i = 0; argv[i] != NULL; i++)
    json_array_add_string_element (array, argv[i]);
  identity = ssh_own_key (node, NULL, NULL);
  return moosh_json_build ("argv", 'a', array, "host", 's', d->host, "port", 'i', (gint64)d->port,
                           "user", 's', "root", "known_hosts", 's', known_hosts, "identity_file",
                           's', identity, NULL);
}

/* ---- rating ---- */

static GBytes *
rating_statement (Node *node, const Deployment *d, guint stars, const char *words, GError **error)
{
  MooshRating rating
      = { .chain_id = node->contracts.chain_id, .agreement = d->agreement, .stars = stars };
  MooshStatement statement
      = { .kind = MOOSH_STATEMENT_RATING, .certificate_seq = node->certificate_seq };
  g_autoptr (GBytes) body = NULL;
  gsize len;

  if (strlen (words) > MOOSH_RATING_COMMENT_MAX)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_LIMIT, "a rating has at most %d bytes of words",
                   MOOSH_RATING_COMMENT_MAX);
      return NULL;
    }
  memcpy (rating.subject, d->provider, 20);
  memcpy (rating.contract, node->contracts.agreements, 20);
  g_strlcpy (rating.comment, words, sizeof rating.comment);
  body = moosh_rating_encode (&rating, error);
  if (body == NULL)
    return NULL;
  memcpy (statement.author, node->node_key, 33);
  moosh_rating_dkey (&rating, statement.dkey);
  statement.dkey_len = MOOSH_RATING_DKEY_LEN;
  statement.created_s = (guint64)now_s ();
  statement.seq
      = statement.created_s; /* a later word about the same agreement replaces the earlier */
  statement.expires_s = statement.created_s + RATING_LIFE_S;
  statement.body = g_bytes_get_data (body, &len);
  statement.body_len = len;
  return moosh_statement_encode (&statement, error);
}

JsonObject *
mooshd_agreement_rate (const MooshRpcPeer *peer, JsonObject *params, gpointer user_data,
                       GError **error)
{
  Node *node = user_data;
  g_autoptr (Deployment) d
      = deployment_load (node, moosh_json_string (params, "deployment", NULL), error);
  gint64 stars = moosh_json_int_or (params, "stars", 0);
  const char *words = moosh_json_string_or (params, "words", "");
  g_autoptr (GBytes) statement = NULL, signature = NULL;
  g_autoptr (JsonObject) to_sign = NULL, reply = NULL;
  g_autoptr (GError) unsent = NULL;
  g_autofree char *id_text = NULL;
  guint8 id[32];

  (void)peer;
  if (d == NULL)
    return NULL;
  if (stars < 1 || stars > 5 || d->agreement == 0)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE,
                   d->agreement == 0 ? "there is no agreement to rate" : "stars are 1 to 5");
      return NULL;
    }
  statement = rating_statement (node, d, (guint)stars, words, error);
  if (statement == NULL)
    return NULL;
  to_sign = moosh_json_build ("bytes", 'x', statement, NULL);
  reply = moosh_rpc_client_call (node->keyd, "sign_statement", to_sign, SIBLING_MS, error);
  signature = reply ? moosh_json_hex (reply, "signature", 64, error) : NULL;
  if (signature == NULL
      || !moosh_store_run (
          node->store, error,
          "UPDATE deployments SET stars = ?, words = ?, statement = ?, statement_signature = ?"
          " WHERE name = ?",
          "isbbs", stars, words, statement, signature, d->name))
    return NULL;
  exchange_put_statement (node, d->provider, statement, g_bytes_get_data (signature, NULL),
                          &unsent);
  moosh_statement_id (g_bytes_get_data (statement, NULL), g_bytes_get_size (statement), id);
  id_text = moosh_hex (id, 32);
  return moosh_json_build ("statement", 's', id_text, "delivered", 'b', (gboolean)(unsent == NULL),
                           "error", 's', unsent ? unsent->message : NULL, NULL);
}
