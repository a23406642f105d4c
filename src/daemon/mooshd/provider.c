/* The next step of a machine we sell. vmmd owns machines and inventory; this owns the chain. vmmd
 * has the reservation in its journal before `accept` is sent, and a rejected `accept` gives it back
 * (docs/market.md). */
#include "chain/bindings.h"
#include "core/hash/hash.h"
#include "exchange.h"
#include "machine/request.h"
#include <string.h>

enum { AGAIN_MS = 20, SOON_MS = 200, LATER_MS = 2000, RARELY_MS = 15000, VMMD_WAIT_MS = 2000 };

const char provider_schema[] = "CREATE TABLE jobs ("
                               "  agreement INTEGER PRIMARY KEY, request BLOB NOT NULL, received_s "
                               "INTEGER NOT NULL, error TEXT,"
                               "  over INTEGER NOT NULL DEFAULT 0, drained INTEGER NOT NULL "
                               "DEFAULT 0, ended INTEGER NOT NULL DEFAULT 0,"
                               "  host TEXT, port INTEGER NOT NULL DEFAULT 0, host_key TEXT);"
                               "CREATE TABLE jobs_without_request (agreement INTEGER PRIMARY KEY);"
                               "CREATE TABLE ratings_received ("
                               "  agreement INTEGER PRIMARY KEY, author BLOB NOT NULL, stars "
                               "INTEGER NOT NULL, statement BLOB NOT NULL,"
                               "  signature BLOB NOT NULL, received_s INTEGER NOT NULL)";

typedef struct {
  guint64 agreement;
  char name[24];   /* of the machine in vmmd */
  GBytes *request; /* NULL: not received yet */
  char *error;
  gboolean drained, ended, over;
} Job;

static void
job_clear (Job *job)
{
  g_clear_pointer (&job->request, g_bytes_unref);
  g_clear_pointer (&job->error, g_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Job, job_clear)

static void
job_load (Node *node, guint64 agreement, Job *ret)
{
  g_autoptr (MooshQuery) query = moosh_store_query (
      node->store, NULL,
      "SELECT request, error, drained, ended, over FROM jobs WHERE agreement = ?", "i",
      (gint64)agreement);

  memset (ret, 0, sizeof *ret);
  ret->agreement = agreement;
  g_snprintf (ret->name, sizeof ret->name, "%" G_GUINT64_FORMAT, agreement);
  if (query == NULL || !moosh_query_next (query, NULL))
    return;
  ret->request = moosh_query_blob (query, 0);
  ret->error = g_strdup (moosh_query_text (query, 1));
  ret->drained = moosh_query_int (query, 2) != 0;
  ret->ended = moosh_query_int (query, 3) != 0;
  ret->over = moosh_query_int (query, 4) != 0;
}

static void
job_fail (Node *node, const Job *job, const char *error)
{
  g_message ("agreement %s: %s", job->name, error);
  moosh_store_run (node->store, NULL, "UPDATE jobs SET error = ? WHERE agreement = ?", "si", error,
                   (gint64)job->agreement);
}

GPtrArray *
provider_open (Node *node)
{
  GPtrArray *ids = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GBytes) me = g_bytes_new (node->identity, 20);
  g_autoptr (MooshQuery) query
      = node->vmmd == NULL
            ? NULL
            : moosh_store_query (node->store, NULL,
                                 "SELECT id FROM agreements LEFT JOIN jobs ON jobs.agreement = id"
                                 " WHERE provider = ? AND NOT coalesce(over, 0)"
                                 " AND id NOT IN (SELECT agreement FROM jobs_without_request) "
                                 "ORDER BY id LIMIT 10000",
                                 "b", me);

  while (query != NULL && moosh_query_next (query, NULL))
    g_ptr_array_add (ids, g_strdup_printf ("%" G_GINT64_FORMAT, moosh_query_int (query, 0)));
  return ids;
}

/* ---- vmmd ---- */

static JsonObject *
vmmd_call (Node *node, const char *method, const char *machine, JsonObject *more, GError **error)
{
  g_autoptr (JsonObject) params = more != NULL ? more : json_object_new ();

  json_object_set_string_member (params, "agreement", machine);
  return moosh_rpc_client_call (node->vmmd, method, params, SIBLING_MS, error);
}

static gboolean
vmmd_do (Node *node, const char *method, const char *machine, JsonObject *more, GError **error)
{
  g_autoptr (JsonObject) reply = vmmd_call (node, method, machine, more, error);
  return reply != NULL;
}

static JsonObject *
units_json (const MooshUnits *unit, guint count)
{
  return moosh_json_build ("vcpu_milli", 'i', (gint64)unit->vcpu_milli * count, "ram_mib", 'i',
                           (gint64)unit->ram_mib * count, "disk_gib", 'i',
                           (gint64)unit->disk_gib * count, "gpu", 'i', (gint64)unit->gpu * count,
                           "ipv4", 'i', (gint64)unit->ipv4 * count, NULL);
}

static gboolean
reserve (Node *node, const Job *job, const LedgerEntry *entry, GError **error)
{
  g_autofree char *pool = moosh_hex (entry->offer.pool, 32),
                  *hash = moosh_hex (entry->request_hash, 32);

  return vmmd_do (node, "machine.reserve", job->name,
                  moosh_json_build ("pool", 's', pool, "units", 'o',
                                    units_json (&entry->offer.units, entry->units), "request_hash",
                                    's', hash, NULL),
                  error);
}

static gboolean
provision (Node *node, const Job *job, const LedgerEntry *entry, GError **error)
{
  g_autofree char *policy = NULL;

  return policy_find (node, entry->offer.policy_hash, &policy, error)
         && vmmd_do (node, "machine.provision", job->name,
                     moosh_json_build ("request", 'x', job->request, "policy", 's', policy, NULL),
                     error);
}

/* An error of vmmd's that trying again will not cure. A conflict may: what is sold out now is often
 * about to be given back. */
static gboolean
is_final (const GError *error)
{
  return error->domain == MOOSH_ERROR
         && (error->code == MOOSH_ERROR_REFUSED || error->code == MOOSH_ERROR_DENIED
             || error->code == MOOSH_ERROR_USAGE);
}

static int
trouble (Node *node, const Job *job, const GError *error)
{
  if (!is_final (error))
    {
      g_info ("agreement %s: %s", job->name, error->message);
      return LATER_MS;
    }
  job_fail (node, job, error->message);
  return LATER_MS;
}

/* A transaction that did not get through. A locked wallet is opened, a spend cap raised, a disk
 * emptied, and the chain comes back; even a refusal may be one endpoint's that lags. So look again,
 * until the deadline `within_s` after the take makes a refusal the last word. */
static int
chain_trouble (Node *node, const Job *job, const LedgerEntry *entry, guint32 within_s,
               const GError *error)
{
  g_message ("agreement %s: %s", job->name, error->message);
  ledger_refresh (node, job->agreement, NULL);
  if (g_error_matches (error, MOOSH_ERROR, MOOSH_ERROR_REFUSED)
      && chain_now_s (node) >= (gint64)entry->model.taken_s + within_s + SKEW_MAX_S)
    {
      vmmd_do (node, "machine.release", job->name, NULL, NULL);
      job_fail (node, job, error->message);
    }
  return LATER_MS;
}

/* ---- TAKEN, ACCEPTED ---- */

static int
say_accepted (Node *node, const Job *job, const LedgerEntry *entry)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) call
      = call_build (MOOSH_FN_AGREEMENTS_ACCEPT, &error, "uO", job->agreement, &entry->offer);

  if (call != NULL
      && ledger_execute (node, "accept", job->agreement, node->contracts.agreements, call, NULL,
                         &error))
    return AGAIN_MS;
  return chain_trouble (node, job, entry, entry->model.terms.accept_within_s, error);
}

static int
say_provisioned (Node *node, const Job *job, const LedgerEntry *entry, JsonObject *machine)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) call = NULL;
  JsonObject *endpoint = moosh_json_object (machine, "endpoint", &error);
  const char *host_key = moosh_json_string (machine, "ssh_host_key", error ? NULL : &error);
  const char *host = NULL;
  guint8 commitment[32];
  gint64 port = 0;

  if (error == NULL)
    host = moosh_json_string (endpoint, "host", &error);
  if (error != NULL || !moosh_json_int (endpoint, "port", &port, &error))
    return trouble (node, job, error);
  machine_commitment (host_key, host, (guint16)port, commitment);
  if (!moosh_store_run (node->store, &error,
                        "UPDATE jobs SET host = ?, port = ?, host_key = ? WHERE agreement = ?",
                        "sisi", host, port, host_key, (gint64)job->agreement))
    return trouble (node, job, error);
  call = call_build (MOOSH_FN_AGREEMENTS_PROVISIONED, &error, "uOh", job->agreement, &entry->offer,
                     commitment);
  if (call == NULL
      || !ledger_execute (node, "provisioned", job->agreement, node->contracts.agreements, call,
                          NULL, &error))
    return chain_trouble (node, job, entry, entry->model.terms.provision_within_s, error);
  return AGAIN_MS;
}

static int
step_serve (Node *node, const Job *job, const LedgerEntry *entry, gboolean accepted)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonObject) machine = NULL;
  g_autofree char *state = NULL; /* a copy: it outlives the answer it came in */

  if (job->request == NULL || job->error != NULL)
    return LATER_MS; /* the client hands it over, or has to leave */
  machine = vmmd_call (node, "machine.status", job->name, NULL, &error);
  if (machine == NULL && error->code == MOOSH_ERROR_NOT_FOUND)
    {
      g_clear_error (&error);
      return reserve (node, job, entry, &error) ? 0 : trouble (node, job, error);
    }
  if (machine == NULL)
    return trouble (node, job, error);
  state = g_strdup (moosh_json_string_or (machine, "state", ""));
  if (strcmp (state, "reserved") == 0)
    {
      if (!provision (node, job, entry, &error))
        return trouble (node, job, error);
      g_free (state);
      state = g_strdup ("building");
    }
  if (strcmp (state, "failed") == 0)
    {
      job_fail (node, job,
                moosh_json_string_or (machine, "error", "the machine could not be made"));
      return LATER_MS;
    }
  if (strcmp (state, "stopped") == 0)
    {
      job_fail (node, job, "the machine turned itself off before it could be handed over");
      return LATER_MS;
    }
  if (!accepted)
    return say_accepted (node, job, entry);
  if (strcmp (state, "running") == 0)
    return say_provisioned (node, job, entry, machine);
  g_clear_pointer (&machine, json_object_unref);
  machine = vmmd_call (
      node, "machine.wait", job->name,
      moosh_json_build ("state", 's', state, "timeout_ms", 'i', (gint64)VMMD_WAIT_MS, NULL), NULL);
  return machine != NULL ? 0 : LATER_MS;
}

/* ---- from PROVISIONED on ---- */

static int
execute (Node *node, const Job *job, const char *action, GBytes *call, GError **error)
{
  if (call != NULL
      && ledger_execute (node, action, job->agreement, node->contracts.agreements, call, NULL,
                         error))
    return AGAIN_MS;
  g_info ("agreement %s: %s", job->name, (*error)->message);
  return RARELY_MS;
}

/* Has time ended it? Then say so on the chain: anyone may, and it is our capacity that is bound. */
static gboolean
is_due (const LedgerEntry *entry, gint64 now)
{
  const MooshTerms *terms = &entry->model.terms;
  guint64 grace_s = moosh_account_grace_until (&entry->model.account);

  return (terms->max_term_s > 0 && now >= entry->provisioned_s + terms->max_term_s)
         || (grace_s != MOOSH_NEVER && (guint64)now >= grace_s + terms->retention_s);
}

/* Bring the guest into the condition the agreement's state asks for. */
static void
follow_state (Node *node, const Job *job, MooshState state)
{
  g_autoptr (JsonObject) machine = vmmd_call (node, "machine.status", job->name, NULL, NULL);
  const char *is = machine != NULL ? moosh_json_string_or (machine, "state", "") : "";
  const char *method = NULL;

  if (state == MOOSH_STATE_PAUSED && strcmp (is, "running") == 0)
    method = "machine.pause";
  else if (state == MOOSH_STATE_DRAINING
           && (strcmp (is, "running") == 0 || strcmp (is, "paused") == 0))
    method = "machine.poweroff";
  else if (state != MOOSH_STATE_PAUSED && state != MOOSH_STATE_DRAINING
           && (strcmp (is, "paused") == 0 || (job->drained && strcmp (is, "stopped") == 0)))
    method = "machine.resume";
  if (method == NULL)
    return;
  g_message ("agreement %s is %s: %s", job->name, moosh_state_name (state), method);
  if (vmmd_do (node, method, job->name, NULL, NULL))
    moosh_store_run (node->store, NULL, "UPDATE jobs SET drained = ? WHERE agreement = ?", "ii",
                     (gint64)(state == MOOSH_STATE_DRAINING), (gint64)job->agreement);
}

static int
step_running (Node *node, const Job *job, const LedgerEntry *entry, MooshState state)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) call = NULL;
  gint64 now = chain_now_s (node);
  guint8 no_evidence[32] = { 0 };
  guint64 next_s;

  if (is_due (entry, now))
    {
      call = call_build (MOOSH_FN_AGREEMENTS_EXPIRE, &error, "uO", job->agreement, &entry->offer);
      return execute (node, job, "expire", call, &error);
    }
  if (state == MOOSH_STATE_RECLAIMING && (guint64)now >= entry->model.deadline_s)
    {
      call = call_build (MOOSH_FN_AGREEMENTS_CLOSE, &error, "uOuh", job->agreement, &entry->offer,
                         (guint64)MOOSH_REASON_RECLAIM, no_evidence);
      return execute (node, job, "close", call, &error);
    }
  follow_state (node, job, state);
  next_s = moosh_agreement_next_moment (&entry->model, (guint64)now);
  return next_s == MOOSH_NEVER || next_s > (guint64)now + RARELY_MS / 1000
             ? RARELY_MS
             : (int)(next_s - (guint64)now) * 1000 + SOON_MS;
}

/* ---- CLOSED ---- */

static gboolean
end_machine (Node *node, const Job *job, const LedgerEntry *entry, GError **error)
{
  MooshReason reason = entry->model.reason;
  /* Disks outlive what was a running machine; what ended by lack of money had its retention
   * already. */
  gboolean keep = entry->provisioned_s != 0 && reason != MOOSH_REASON_REJECTED
                  && reason != MOOSH_REASON_FUNDS;
  /* the term is the chain's, the machine manager's clock is ours */
  gint64 until_s
      = keep ? now_s () + entry->closed_s + entry->model.terms.retention_s - chain_now_s (node) : 0;
  g_autoptr (GError) local = NULL;

  if (job->ended)
    return TRUE;
  if (!vmmd_do (node, "machine.destroy", job->name,
                moosh_json_build ("retain_until_s", 'i', until_s, NULL), &local)
      && local->code != MOOSH_ERROR_NOT_FOUND)
    {
      g_propagate_error (error, g_steal_pointer (&local));
      return FALSE;
    }
  return moosh_store_run (node->store, error, "UPDATE jobs SET ended = 1 WHERE agreement = ?", "i",
                          (gint64)job->agreement);
}

/* What the vault has for us: now, and still held back. */
static gboolean
earned_left (Node *node, const LedgerEntry *entry, MooshU256 *ret_now, MooshU256 *ret_held_x,
             GError **error)
{
  g_autoptr (GBytes) call = call_build (MOOSH_FN_AGREEMENTS_BALANCES, error, "uOu", entry->id,
                                        &entry->offer, (guint64)chain_now_s (node));
  g_autoptr (GBytes) output = call
                                  ? moosh_chain_call (node->chain, NULL, node->contracts.agreements,
                                                      call, MOOSH_CHAIN_LATEST, NULL, error)
                                  : NULL;
  g_autoptr (MooshDecoded) money
      = output ? moosh_output_decode (MOOSH_FN_AGREEMENTS_BALANCES, output, error) : NULL;

  if (money == NULL)
    return FALSE;
  *ret_now = moosh_decoded_u256 (money, "b.withdrawable");
  *ret_held_x = moosh_decoded_u256 (money, "b.holdX");
  return TRUE;
}

static gboolean
pull_credit (Node *node, const LedgerEntry *entry, GError **error)
{
  MooshU256 all = moosh_u256 (0), amount;
  g_autoptr (GBytes) call = NULL;
  g_autoptr (MooshDecoded) credit = moosh_contract_read (node->chain, node->contracts.escrow_vault,
                                                         MOOSH_FN_ESCROW_VAULT_CREDIT_OF, error,
                                                         node->identity, entry->offer.token);

  if (credit == NULL)
    return FALSE;
  amount = moosh_decoded_u256 (credit, "0");
  if (moosh_u256_is_zero (&amount))
    return TRUE;
  call = call_build (MOOSH_FN_ESCROW_VAULT_WITHDRAW, error, "aaw", entry->offer.token,
                     node->identity, &all);
  return call != NULL
         && ledger_execute (node, "withdraw", entry->id, node->contracts.escrow_vault, call, NULL,
                            error);
}

static int
step_ended (Node *node, const Job *job, const LedgerEntry *entry)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) call = NULL;
  MooshU256 ready, held_x;
  gint64 free_s = entry->closed_s + entry->model.terms.holdback_s;

  if (entry->closed_s == 0)
    return SOON_MS; /* the event is on its way */
  if (!end_machine (node, job, entry, &error))
    return trouble (node, job, error);
  if (!earned_left (node, entry, &ready, &held_x, &error))
    return RARELY_MS;
  if (!moosh_u256_is_zero (&held_x) && chain_now_s (node) < free_s)
    return (int)MIN (RARELY_MS, (free_s - chain_now_s (node)) * 1000 + SOON_MS);
  if (!moosh_u256_is_zero (&ready))
    {
      call = call_build (MOOSH_FN_AGREEMENTS_COLLECT_TO, &error, "uOa", job->agreement,
                         &entry->offer, node->identity);
      return execute (node, job, "collect", call, &error);
    }
  if (node->auto_withdraw && !pull_credit (node, entry, &error))
    {
      g_info ("agreement %s: %s", job->name, error->message);
      return RARELY_MS;
    }
  if (job->request == NULL) /* never got as far as a job */
    moosh_store_run (node->store, NULL, "INSERT OR IGNORE INTO jobs_without_request VALUES (?)",
                     "i", (gint64)job->agreement);
  moosh_store_run (node->store, NULL, "UPDATE jobs SET over = 1 WHERE agreement = ?", "i",
                   (gint64)job->agreement);
  return STEP_NEVER;
}

int
provider_step (Node *node, guint64 agreement)
{
  g_auto (Job) job = { 0 };
  LedgerEntry entry;
  MooshState state;

  if (!ledger_get (node, agreement, &entry, NULL))
    return LATER_MS;
  job_load (node, agreement, &job);
  if (job.over)
    return STEP_NEVER;
  state = moosh_agreement_state_at (&entry.model, (guint64)chain_now_s (node));
  switch (state)
    {
    case MOOSH_STATE_TAKEN:
      return step_serve (node, &job, &entry, FALSE);
    case MOOSH_STATE_ACCEPTED:
      return step_serve (node, &job, &entry, TRUE);
    case MOOSH_STATE_PROVISIONED:
    case MOOSH_STATE_ACTIVE:
    case MOOSH_STATE_PAUSED:
    case MOOSH_STATE_GRACE:
    case MOOSH_STATE_DRAINING:
    case MOOSH_STATE_RECLAIMING:
      return step_running (node, &job, &entry, state);
    case MOOSH_STATE_CLOSED:
      return step_ended (node, &job, &entry);
    case MOOSH_STATE_NONE:
    case MOOSH_N_STATES:
      break;
    }
  return LATER_MS;
}

/* ---- what clients ask ---- */

/* The client comes right behind its transaction: let our own view of the chain catch up before
 * saying no. */
static gboolean
find_agreement (Node *node, const guint8 peer[20], guint64 agreement, LedgerEntry *ret,
                GError **error)
{
  if (!ledger_get (node, agreement, ret, NULL))
    chain_catch_up (node, SIBLING_MS / 4);
  if (ledger_get (node, agreement, ret, NULL) && memcmp (ret->provider, node->identity, 20) == 0
      && memcmp (ret->client, peer, 20) == 0)
    return TRUE;
  g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_NOT_FOUND,
               "there is no agreement %" G_GUINT64_FORMAT " between us", agreement);
  return FALSE;
}

gboolean
provider_put_request (Node *node, const guint8 peer[20], guint64 agreement, GBytes *request,
                      GError **error)
{
  LedgerEntry entry;
  guint8 hash[32];

  if (!find_agreement (node, peer, agreement, &entry, error))
    return FALSE;
  moosh_request_hash (request, hash);
  if (memcmp (hash, entry.request_hash, 32) != 0)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_REFUSED,
                   "agreement %" G_GUINT64_FORMAT ": this is not the request whose hash was agreed",
                   agreement);
      return FALSE;
    }
  if (!moosh_store_run (
          node->store, error,
          "INSERT OR IGNORE INTO jobs (agreement, request, received_s) VALUES (?, ?, ?)", "ibi",
          (gint64)agreement, request, now_s ()))
    return FALSE;
  worker_wake (node->worker);
  return TRUE;
}

gboolean
provider_machine_view (Node *node, guint64 agreement, MachineView *ret, GError **error)
{
  g_auto (Job) job = { 0 };
  g_autoptr (JsonObject) machine = NULL;
  g_autoptr (GBytes) digest = NULL;
  g_autoptr (GError) local = NULL;
  g_autoptr (MooshQuery) query = NULL;

  (void)error;
  job_load (node, agreement, &job);
  machine = vmmd_call (node, "machine.status", job.name, NULL, &local);
  memset (ret, 0, sizeof *ret);
  g_strlcpy (ret->state, "waiting", sizeof ret->state);
  if (machine != NULL)
    {
      g_strlcpy (ret->state, moosh_json_string_or (machine, "state", "waiting"), sizeof ret->state);
      g_strlcpy (ret->step, moosh_json_string_or (machine, "step", ""), sizeof ret->step);
      g_strlcpy (ret->error, moosh_json_string_or (machine, "error", ""), sizeof ret->error);
      digest = moosh_json_hex (machine, "log_digest", 32, NULL);
      if (digest != NULL)
        memcpy (ret->log_digest, g_bytes_get_data (digest, NULL), 32);
    }
  else if (local->code != MOOSH_ERROR_NOT_FOUND)
    g_strlcpy (ret->step, "the provider's machine manager does not answer", sizeof ret->step);
  if (job.error != NULL)
    {
      g_strlcpy (ret->state, "failed", sizeof ret->state);
      g_strlcpy (ret->error, job.error, sizeof ret->error);
    }
  query = moosh_store_query (
      node->store, NULL, "SELECT host, port, host_key FROM jobs WHERE agreement = ? AND port > 0",
      "i", (gint64)agreement);
  if (query != NULL && moosh_query_next (query, NULL))
    {
      g_strlcpy (ret->host, moosh_query_text (query, 0), sizeof ret->host);
      ret->port = (guint16)moosh_query_int (query, 1);
      g_strlcpy (ret->host_key, moosh_query_text (query, 2), sizeof ret->host_key);
    }
  return TRUE;
}

char *
provider_machine_text (Node *node, guint64 agreement, gboolean console, guint64 offset, guint max,
                       guint64 *ret_next, GError **error)
{
  g_auto (Job) job = { 0 };
  g_autoptr (JsonObject) piece = NULL;

  job_load (node, agreement, &job);
  piece = vmmd_call (
      node, console ? "machine.console" : "machine.log", job.name,
      moosh_json_build ("offset", 'i', (gint64)offset, "max", 'i', (gint64)max, NULL), error);
  if (piece == NULL)
    return NULL;
  *ret_next = (guint64)moosh_json_int_or (piece, "next", 0);
  return g_strdup (moosh_json_string_or (piece, "text", ""));
}

gboolean
provider_machine_reboot (Node *node, guint64 agreement, GError **error)
{
  g_auto (Job) job = { 0 };

  job_load (node, agreement, &job);
  return vmmd_do (node, "machine.reboot", job.name, NULL, error);
}

gboolean
provider_put_rating (Node *node, const guint8 peer[20], const MooshStatement *statement,
                     const ExchangePair *bytes, GError **error)
{
  MooshRating rating;
  LedgerEntry entry;
  g_autoptr (GBytes) whole = g_bytes_new (bytes->first.ptr, bytes->first.len);
  g_autoptr (GBytes) signature = g_bytes_new (bytes->second.ptr, bytes->second.len);
  g_autoptr (GBytes) author = g_bytes_new (statement->author, 33);

  if (!moosh_rating_decode (statement->body, statement->body_len, &rating, error)
      || !find_agreement (node, peer, rating.agreement, &entry, error))
    return FALSE;
  if (memcmp (rating.subject, node->identity, 20) != 0
      || rating.chain_id != node->contracts.chain_id
      || memcmp (rating.contract, node->contracts.agreements, 20) != 0)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_REFUSED, "the rating is of somebody else");
      return FALSE;
    }
  return moosh_store_run (
      node->store, error, "INSERT OR REPLACE INTO ratings_received VALUES (?, ?, ?, ?, ?, ?)",
      "ibibbi", (gint64)rating.agreement, author, (gint64)rating.stars, whole, signature, now_s ());
}
