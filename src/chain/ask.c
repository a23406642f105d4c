/* Endpoints, and how a question finds its answer.
 *
 * An endpoint is asked for its chain id before anything else, and again on every new connection:
 * what answers at that address now may be another chain (libsoup connects again without a word).
 * Trouble makes an endpoint rest, longer each time, up to REST_MAX_MS. */
#include "chain/ask.h"
#include "chain/contract.h"
#include "chain/http.h"
#include <string.h>

#define REQUEST_MS_DEFAULT 5000
#define CALL_MS_DEFAULT    20000
#define REST_MIN_MS        100
#define REST_MAX_MS        5000
#define REST_BUSY_MS       500
#define WRONG_CHAIN_MS     10000
#define CONFLICTS_MAX                                                                              \
  5 /* rounds in which enough answered and did not agree: heads move at different times */
#define CONFLICT_PAUSE_MS 200
#define CONNECTIONS_MAX   32 /* each thread has one to each endpoint */

typedef struct {
  char *url, *shown;
  gboolean checked; /* names our chain id */
  gboolean wrong_chain;
  char *trouble;                        /* NULL: the last exchange went well */
  guint failures;                       /* in a row */
  guint64 connections[CONNECTIONS_MAX]; /* those it named our chain id on lately: a ring */
  guint next_connection;
  gint64 rests_until_us;
  guint latency_ms;
} Endpoint;

struct MooshChain {
  guint64 chain_id;
  Endpoint endpoints[MOOSH_CHAIN_ENDPOINTS_MAX];
  guint n_endpoints, quorum, request_ms, call_ms;
  gint64 next_id;
  GMutex lock;    /* guards the endpoints' state, next_id and stopped */
  GCond stopping; /* signalled when `stopped` is set */
  gboolean stopped;
};

/* What one endpoint said in one round. */
typedef struct {
  gpointer value; /* with fault.kind FAULT_NONE */
  Fault fault;
  GByteArray *canon; /* NULL: no answer */
} Vote;

/* One round in progress: exchange i belongs to endpoint number[i]. */
typedef struct {
  MooshChain *chain;
  const Query *query;
  guint quorum, n;
  gint64 id;
  HttpExchange exchanges[MOOSH_CHAIN_ENDPOINTS_MAX];
  guint number[MOOSH_CHAIN_ENDPOINTS_MAX];
  Vote votes[MOOSH_CHAIN_ENDPOINTS_MAX];
} Poll;

/* ---- endpoints ---- */

/* Scheme, host and port: paths and queries of RPC URLs are often secret. */
static char *
shown_url (GUri *uri)
{
  return g_uri_join (G_URI_FLAGS_NONE, g_uri_get_scheme (uri), NULL, g_uri_get_host (uri),
                     g_uri_get_port (uri), "", NULL, NULL);
}

static gboolean
endpoint_init (Endpoint *endpoint, const char *url, GError **error)
{
  g_autoptr (GError) local = NULL;
  g_autoptr (GUri) uri = g_uri_parse (url, G_URI_FLAGS_NONE, &local);

  if (uri == NULL || g_uri_get_host (uri) == NULL || g_uri_get_host (uri)[0] == '\0'
      || (strcmp (g_uri_get_scheme (uri), "http") != 0
          && strcmp (g_uri_get_scheme (uri), "https") != 0))
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE,
                   "chain endpoint \"%s\" is not an http or https URL", url);
      return FALSE;
    }
  endpoint->url = g_strdup (url);
  endpoint->shown = shown_url (uri);
  return TRUE;
}

MooshChain *
moosh_chain_new (const MooshChainConfig *config, GError **error)
{
  g_autoptr (MooshChain) chain = g_new0 (MooshChain, 1);
  guint n = config->urls != NULL ? g_strv_length ((char **)config->urls) : 0;

  g_mutex_init (&chain->lock);
  g_cond_init (&chain->stopping);
  if (n == 0 || n > MOOSH_CHAIN_ENDPOINTS_MAX || config->chain_id == 0)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE,
                   "a chain needs a chain id and 1 to %d endpoints, not %u",
                   MOOSH_CHAIN_ENDPOINTS_MAX, n);
      return NULL;
    }
  if (config->quorum > n)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE,
                   "a quorum of %u needs as many endpoints, not %u", config->quorum, n);
      return NULL;
    }
  chain->chain_id = config->chain_id;
  chain->quorum = config->quorum != 0 ? config->quorum : n / 2 + 1;
  chain->request_ms = config->request_ms != 0 ? config->request_ms : REQUEST_MS_DEFAULT;
  chain->call_ms = config->call_ms != 0 ? config->call_ms : CALL_MS_DEFAULT;
  for (; chain->n_endpoints < n; chain->n_endpoints++)
    if (!endpoint_init (&chain->endpoints[chain->n_endpoints], config->urls[chain->n_endpoints],
                        error))
      return NULL;
  return g_steal_pointer (&chain);
}

void
moosh_chain_free (MooshChain *chain)
{
  if (chain == NULL)
    return;
  for (guint i = 0; i < chain->n_endpoints; i++)
    {
      g_free (chain->endpoints[i].url);
      g_free (chain->endpoints[i].shown);
      g_free (chain->endpoints[i].trouble);
    }
  g_mutex_clear (&chain->lock);
  g_cond_clear (&chain->stopping);
  g_free (chain);
}

void
moosh_chain_stop (MooshChain *chain)
{
  g_mutex_lock (&chain->lock);
  chain->stopped = TRUE;
  g_cond_broadcast (&chain->stopping);
  g_mutex_unlock (&chain->lock);
}

gboolean
moosh_chain_stopped (MooshChain *chain)
{
  gboolean stopped;

  g_mutex_lock (&chain->lock);
  stopped = chain->stopped;
  g_mutex_unlock (&chain->lock);
  return stopped;
}

guint64
moosh_chain_id (MooshChain *chain)
{
  return chain->chain_id;
}

guint
moosh_chain_quorum (MooshChain *chain)
{
  return chain->quorum;
}

static void
set_trouble (Endpoint *endpoint, const char *trouble, gint64 rest_ms)
{
  g_free (endpoint->trouble);
  endpoint->trouble = g_strdup (trouble);
  endpoint->rests_until_us = g_get_monotonic_time () + rest_ms * 1000;
}

static gint64
rest_ms (Endpoint *endpoint)
{
  guint doublings = MIN (endpoint->failures, 10);

  endpoint->failures++;
  return MIN (REST_MIN_MS << doublings, REST_MAX_MS);
}

/* The exchange itself failed. */
static void
note_failure (MooshChain *chain, guint number, const HttpExchange *exchange)
{
  Endpoint *endpoint = &chain->endpoints[number];
  gint64 rest;

  g_mutex_lock (&chain->lock);
  rest = rest_ms (endpoint);
  if (exchange->retry_after_s > 0)
    rest = MAX (rest, (gint64)exchange->retry_after_s * 1000);
  endpoint->checked = FALSE;
  set_trouble (endpoint, exchange->error->message, rest);
  g_mutex_unlock (&chain->lock);
}

/* It answered, but with nothing we can use: garbage (an error) or "later" (a fault). */
static void
note_trouble (MooshChain *chain, guint number, const char *trouble, gboolean busy)
{
  Endpoint *endpoint = &chain->endpoints[number];
  gint64 rest;

  g_mutex_lock (&chain->lock);
  rest = rest_ms (endpoint);
  set_trouble (endpoint, trouble, busy ? MAX (rest, REST_BUSY_MS) : rest);
  g_mutex_unlock (&chain->lock);
}

static void
note_success (MooshChain *chain, guint number, guint latency_ms)
{
  Endpoint *endpoint = &chain->endpoints[number];

  g_mutex_lock (&chain->lock);
  g_clear_pointer (&endpoint->trouble, g_free);
  endpoint->failures = 0;
  endpoint->latency_ms = latency_ms;
  g_mutex_unlock (&chain->lock);
}

/* ---- faults ---- */

void
fault_to_error (const Fault *fault, GError **error)
{
  g_autofree char *reason = NULL;
  const guint8 *data;
  gsize len = 0;

  switch (fault->kind)
    {
    case FAULT_REVERT:
      data = fault->data != NULL ? g_bytes_get_data (fault->data, &len) : NULL;
      reason = moosh_revert_explain (data, len, NULL);
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_REFUSED, "the contract refused: %s", reason);
      return;
    case FAULT_FUNDS:
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_FUNDS, "the account cannot pay for gas: %s",
                   fault->message);
      return;
    case FAULT_NONCE_LOW:
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_EXPIRED, "the nonce is already used: %s",
                   fault->message);
      return;
    case FAULT_UNDERPRICED:
    case FAULT_KNOWN:
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_CONFLICT, "not taken into the pool: %s",
                   fault->message);
      return;
    case FAULT_TOO_MANY:
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_LIMIT,
                   "more than the endpoint gives at once: %s", fault->message);
      return;
    case FAULT_BUSY:
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_UNAVAILABLE, "later: %s", fault->message);
      return;
    case FAULT_OTHER:
    case FAULT_NONE:
      break;
    }
  g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_FAILED, "the endpoint refused: %s", fault->message);
}

/* ---- one round ---- */

static void
vote_clear (Vote *vote, const Query *query)
{
  if (vote->value != NULL && query->free_value != NULL)
    query->free_value (vote->value);
  vote->value = NULL;
  fault_clear (&vote->fault);
  g_clear_pointer (&vote->canon, g_byte_array_unref);
}

/* A fault agrees with another of its kind; reverts only with the same data. */
static void
vote_for_fault (Vote *vote)
{
  guint8 kind = (guint8)vote->fault.kind;

  vote->canon = g_byte_array_new ();
  g_byte_array_append (vote->canon, &kind, 1);
  if (vote->fault.data != NULL)
    g_byte_array_append (vote->canon, g_bytes_get_data (vote->fault.data, NULL),
                         (guint)g_bytes_get_size (vote->fault.data));
}

static gboolean
read_vote (Poll *poll, guint i, GError **error)
{
  static const guint8 result_tag = 0;
  HttpExchange *exchange = &poll->exchanges[i];
  g_autoptr (JsonNode) result = NULL;
  g_autoptr (GByteArray) canon = NULL;
  Vote *vote = &poll->votes[i];
  gsize len;
  const void *text = g_bytes_get_data (exchange->reply, &len);

  if (!reply_parse (text, len, poll->id, &result, &vote->fault, error))
    return FALSE;
  if (result == NULL)
    {
      if (vote->fault.kind != FAULT_BUSY)
        vote_for_fault (vote);
      return TRUE;
    }
  canon = g_byte_array_new ();
  g_byte_array_append (canon, &result_tag, 1);
  if (!poll->query->read (result, &vote->value, canon, error))
    return FALSE;
  vote->canon = g_steal_pointer (&canon);
  return TRUE;
}

static gboolean
same_canon (const Vote *a, const Vote *b)
{
  return a->canon != NULL && b->canon != NULL && a->canon->len == b->canon->len
         && memcmp (a->canon->data, b->canon->data, a->canon->len) == 0;
}

/* A vote that enough others agree with, or NULL. */
static Vote *
agreed (Poll *poll)
{
  for (guint i = 0; i < poll->n; i++)
    {
      guint count = 0;

      for (guint j = 0; j < poll->n; j++)
        count += same_canon (&poll->votes[i], &poll->votes[j]) ? 1 : 0;
      if (count >= poll->quorum)
        return &poll->votes[i];
    }
  return NULL;
}

static guint
votes_cast (const Poll *poll)
{
  guint cast = 0;

  for (guint i = 0; i < poll->n; i++)
    cast += poll->votes[i].canon != NULL ? 1 : 0;
  return cast;
}

/* HttpEnough: read what came; TRUE when the question is decided. */
static gboolean
on_exchange (HttpExchange *exchange, gpointer user_data)
{
  Poll *poll = user_data;
  guint i = (guint)(exchange - poll->exchanges), number = poll->number[i];
  g_autoptr (GError) error = NULL;

  if (exchange->error != NULL && exchange->error->code == MOOSH_ERROR_LIMIT)
    {
      poll->votes[i].fault
          = (Fault){ .kind = FAULT_TOO_MANY, .message = g_strdup (exchange->error->message) };
      vote_for_fault (&poll->votes[i]);
    }
  else if (exchange->error != NULL)
    {
      note_failure (poll->chain, number, exchange);
      return FALSE;
    }
  else if (!read_vote (poll, i, &error))
    {
      note_trouble (poll->chain, number, error->message, FALSE);
      return FALSE;
    }
  if (poll->votes[i].fault.kind == FAULT_BUSY)
    note_trouble (poll->chain, number, poll->votes[i].fault.message, TRUE);
  else
    note_success (poll->chain, number, exchange->latency_ms);
  return poll->quorum != 0 && agreed (poll) != NULL;
}

/* Ask the endpoints in poll->number. */
static void
poll_run (Poll *poll, guint timeout_ms)
{
  g_autoptr (GBytes) body = NULL;
  char *text;

  g_mutex_lock (&poll->chain->lock);
  poll->id = ++poll->chain->next_id;
  g_mutex_unlock (&poll->chain->lock);
  text = g_strdup_printf ("{\"jsonrpc\":\"2.0\",\"id\":%" G_GINT64_FORMAT
                          ",\"method\":\"%s\",\"params\":%s}",
                          poll->id, poll->query->method, poll->query->params);
  body = g_bytes_new_take (text, strlen (text));
  for (guint i = 0; i < poll->n; i++)
    {
      poll->exchanges[i].url = poll->chain->endpoints[poll->number[i]].url;
      poll->exchanges[i].body = body;
    }
  http_exchange (poll->exchanges, poll->n, timeout_ms, MOOSH_CHAIN_REPLY_MAX, on_exchange, poll);
}

static void
poll_clear (Poll *poll)
{
  for (guint i = 0; i < poll->n; i++)
    {
      vote_clear (&poll->votes[i], poll->query);
      http_exchange_clear (&poll->exchanges[i]);
    }
}

/* ---- chain ids ---- */

static gboolean
read_u64_boxed (JsonNode *result, gpointer *ret_value, GByteArray *canon, GError **error)
{
  guint64 *value = g_new (guint64, 1);

  if (!reply_u64 (result, value, error))
    {
      g_free (value);
      return FALSE;
    }
  g_byte_array_append (canon, (const guint8 *)value, sizeof *value);
  *ret_value = value;
  return TRUE;
}

/* With the lock held. */
static void
note_chain_id (MooshChain *chain, Endpoint *endpoint, guint64 id, guint64 connection)
{
  endpoint->checked = id == chain->chain_id;
  endpoint->wrong_chain = !endpoint->checked;
  if (endpoint->checked)
    endpoint->connections[endpoint->next_connection++ % CONNECTIONS_MAX] = connection;
  else
    {
      g_autofree char *trouble = g_strdup_printf (
          "it is on chain %" G_GUINT64_FORMAT ", not %" G_GUINT64_FORMAT, id, chain->chain_id);

      set_trouble (endpoint, trouble, WRONG_CHAIN_MS);
    }
}

static void
ask_chain_ids (MooshChain *chain, const guint *numbers, guint n, guint timeout_ms)
{
  Query query = { "eth_chainId", (char *)"[]", read_u64_boxed, g_free };
  Poll poll = { .chain = chain, .query = &query, .n = n };

  memcpy (poll.number, numbers, n * sizeof *numbers);
  poll_run (&poll, timeout_ms);
  g_mutex_lock (&chain->lock);
  for (guint i = 0; i < n; i++)
    {
      Endpoint *endpoint = &chain->endpoints[numbers[i]];

      if (poll.votes[i].value != NULL)
        note_chain_id (chain, endpoint, *(const guint64 *)poll.votes[i].value,
                       poll.exchanges[i].connection);
      else
        {
          endpoint->checked = FALSE;
          if (poll.votes[i].canon != NULL) /* it refuses to say: that is no way to get on */
            set_trouble (endpoint, poll.votes[i].fault.message, rest_ms (endpoint));
        }
    }
  g_mutex_unlock (&chain->lock);
  poll_clear (&poll);
}

/* Ask those endpoints that are not resting, and whose chain is not known, for it. */
static void
check_chain_ids (MooshChain *chain, guint timeout_ms)
{
  guint numbers[MOOSH_CHAIN_ENDPOINTS_MAX], n = 0;
  gint64 now = g_get_monotonic_time ();

  g_mutex_lock (&chain->lock);
  for (guint i = 0; i < chain->n_endpoints; i++)
    if (!chain->endpoints[i].checked && chain->endpoints[i].rests_until_us <= now)
      numbers[n++] = i;
  g_mutex_unlock (&chain->lock);
  if (n > 0)
    ask_chain_ids (chain, numbers, n, timeout_ms);
}

static gboolean
connection_known (const Endpoint *endpoint, guint64 connection)
{
  for (guint i = 0; i < CONNECTIONS_MAX; i++)
    if (connection != 0 && endpoint->connections[i] == connection)
      return TRUE;
  return FALSE;
}

/* Votes that came by a connection on which the chain id is not known yet count only if the endpoint
 * names it now. */
static void
verify_votes (Poll *poll, guint timeout_ms)
{
  MooshChain *chain = poll->chain;
  guint numbers[MOOSH_CHAIN_ENDPOINTS_MAX], votes[MOOSH_CHAIN_ENDPOINTS_MAX], n = 0;

  g_mutex_lock (&chain->lock);
  for (guint i = 0; i < poll->n; i++)
    if (poll->votes[i].canon != NULL
        && !connection_known (&chain->endpoints[poll->number[i]], poll->exchanges[i].connection))
      {
        votes[n] = i;
        numbers[n++] = poll->number[i];
      }
  g_mutex_unlock (&chain->lock);
  if (n == 0)
    return;
  ask_chain_ids (chain, numbers, n, timeout_ms);
  g_mutex_lock (&chain->lock);
  for (guint i = 0; i < n; i++)
    if (chain->endpoints[numbers[i]].checked)
      note_chain_id (chain, &chain->endpoints[numbers[i]], chain->chain_id,
                     poll->exchanges[votes[i]].connection);
    else
      vote_clear (&poll->votes[votes[i]], poll->query);
  g_mutex_unlock (&chain->lock);
}

/* ---- asking ---- */

/* The endpoints' troubles, one after the other. */
static char *
all_troubles (MooshChain *chain)
{
  GString *out = g_string_new (NULL);

  g_mutex_lock (&chain->lock);
  for (guint i = 0; i < chain->n_endpoints; i++)
    if (chain->endpoints[i].trouble != NULL)
      g_string_append_printf (out, "%s%s: %s", out->len > 0 ? "; " : "", chain->endpoints[i].shown,
                              chain->endpoints[i].trouble);
  g_mutex_unlock (&chain->lock);
  return g_string_free (out, FALSE);
}

/* Choose whom to ask: for a quorum everyone who is fit, else the first. `ret_wake_us`: when the
 * next one has rested. FALSE when so many are on another chain that a quorum cannot come about. */
static gboolean
choose (Poll *poll, gint64 *ret_wake_us)
{
  MooshChain *chain = poll->chain;
  gint64 now = g_get_monotonic_time ();
  guint wrong = 0;

  *ret_wake_us = G_MAXINT64;
  poll->n = 0;
  g_mutex_lock (&chain->lock);
  for (guint i = 0; i < chain->n_endpoints; i++)
    {
      Endpoint *endpoint = &chain->endpoints[i];

      wrong += endpoint->wrong_chain ? 1 : 0;
      if (endpoint->rests_until_us > now || !endpoint->checked)
        *ret_wake_us = MIN (*ret_wake_us, MAX (endpoint->rests_until_us, now));
      else if (poll->quorum > 1 || poll->n == 0)
        poll->number[poll->n++] = i;
    }
  g_mutex_unlock (&chain->lock);
  return chain->n_endpoints - wrong >= poll->quorum;
}

static void
too_few_error (MooshChain *chain, gboolean wrong_chain, GError **error)
{
  g_autofree char *troubles = all_troubles (chain);

  g_set_error (error, MOOSH_ERROR, wrong_chain ? MOOSH_ERROR_CONFLICT : MOOSH_ERROR_UNAVAILABLE,
               "chain %" G_GUINT64_FORMAT " %s: %s", chain->chain_id,
               wrong_chain ? "is not what the endpoints serve" : "does not answer",
               troubles[0] != '\0' ? troubles : "no endpoint is fit");
}

static void
pause_until (MooshChain *chain, gint64 wake_us, gint64 deadline_us)
{
  gint64 until_us = MIN (wake_us, deadline_us);

  g_mutex_lock (&chain->lock);
  while (!chain->stopped && g_cond_wait_until (&chain->stopping, &chain->lock, until_us))
    ;
  g_mutex_unlock (&chain->lock);
}

/* TRUE, with the error, when the process ends. */
static gboolean
is_stopped (MooshChain *chain, GError **error)
{
  if (!moosh_chain_stopped (chain))
    return FALSE;
  g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_CANCELLED,
               "chain %" G_GUINT64_FORMAT " is not asked any more: the node stops",
               chain->chain_id);
  return TRUE;
}

static guint
time_left_ms (MooshChain *chain, gint64 deadline_us)
{
  gint64 left = (deadline_us - g_get_monotonic_time ()) / 1000;

  return (guint)CLAMP (left, 1, (gint64)chain->request_ms);
}

/* The value of the agreed vote, or NULL with its fault as an error. */
static gpointer
vote_take (Vote *vote, FaultKind *ret_fault, GError **error)
{
  if (ret_fault != NULL)
    *ret_fault = vote->fault.kind;
  if (vote->fault.kind != FAULT_NONE)
    {
      fault_to_error (&vote->fault, error);
      return NULL;
    }
  return g_steal_pointer (&vote->value);
}

static _Thread_local gint64 thread_deadline_us;

void
chain_thread_deadline (gint64 deadline_us)
{
  thread_deadline_us = deadline_us;
}

static gint64
call_deadline (MooshChain *chain)
{
  gint64 own = g_get_monotonic_time () + (gint64)chain->call_ms * 1000;

  return thread_deadline_us != 0 ? MIN (own, thread_deadline_us) : own;
}

gpointer
chain_ask (MooshChain *chain, const Query *query, guint quorum, FaultKind *ret_fault,
           GError **error)
{
  gint64 deadline = call_deadline (chain), wake;
  guint conflicts = 0, declined = 0;

  if (ret_fault != NULL)
    *ret_fault = FAULT_NONE;
  for (;;)
    {
      Poll poll = { .chain = chain, .query = query, .quorum = quorum };
      gboolean possible, decided = FALSE;
      gpointer value = NULL;

      if (is_stopped (chain, error))
        return NULL;
      check_chain_ids (chain, time_left_ms (chain, deadline));
      possible = choose (&poll, &wake);
      if (possible && poll.n >= quorum)
        {
          Vote *vote;

          poll_run (&poll, time_left_ms (chain, deadline));
          verify_votes (&poll, time_left_ms (chain, deadline));
          vote = agreed (&poll);
          if (vote != NULL && quorum == 1 && vote->fault.kind == FAULT_OTHER
              && ++declined < chain->n_endpoints)
            note_trouble (chain, poll.number[0], vote->fault.message,
                          FALSE); /* the next one may know better */
          else if (vote != NULL)
            {
              decided = TRUE;
              value = vote_take (vote, ret_fault, error);
            }
          else if (votes_cast (&poll) >= quorum && ++conflicts >= CONFLICTS_MAX)
            {
              decided = TRUE;
              g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_CONFLICT,
                           "chain %" G_GUINT64_FORMAT
                           ": %u endpoints answer %s, but no %u of them alike",
                           chain->chain_id, votes_cast (&poll), query->method, quorum);
            }
          wake = g_get_monotonic_time ()
                 + (votes_cast (&poll) >= quorum ? CONFLICT_PAUSE_MS * 1000 : 0);
        }
      poll_clear (&poll);
      if (decided)
        return value;
      if (!possible || MAX (wake, g_get_monotonic_time ()) >= deadline)
        {
          too_few_error (chain, !possible, error);
          return NULL;
        }
      pause_until (chain, wake, deadline);
    }
}

GPtrArray *
chain_ask_each (MooshChain *chain, const Query *query, GPtrArray **ret_faults, GError **error)
{
  g_autoptr (GPtrArray) values = g_ptr_array_new_with_free_func (query->free_value);
  Poll poll = { .chain = chain, .query = query };
  gint64 wake;
  guint answers;

  if (is_stopped (chain, error))
    return NULL;
  check_chain_ids (chain, chain->request_ms);
  poll.quorum = chain->n_endpoints + 1; /* of nobody: everyone's word is wanted */
  choose (&poll, &wake);
  if (poll.n > 0)
    {
      poll_run (&poll, chain->request_ms);
      verify_votes (&poll, chain->request_ms);
    }
  answers = votes_cast (&poll);
  for (guint i = 0; i < poll.n; i++)
    {
      if (poll.votes[i].value != NULL)
        g_ptr_array_add (values, g_steal_pointer (&poll.votes[i].value));
      else if (poll.votes[i].canon != NULL && ret_faults != NULL)
        {
          g_ptr_array_add (*ret_faults, g_memdup2 (&poll.votes[i].fault, sizeof (Fault)));
          poll.votes[i].fault = (Fault){ 0 };
        }
    }
  poll_clear (&poll);
  if (answers == 0)
    {
      too_few_error (chain, FALSE, error);
      return NULL;
    }
  return g_steal_pointer (&values);
}

/* ---- doctor ---- */

void
moosh_endpoint_state_free (MooshEndpointState *state)
{
  g_free (state->url);
  g_free (state->trouble);
  g_free (state);
}

GPtrArray *
moosh_chain_probe (MooshChain *chain)
{
  Query query = { "eth_blockNumber", (char *)"[]", read_u64_boxed, g_free };
  GPtrArray *states = g_ptr_array_new_with_free_func ((GDestroyNotify)moosh_endpoint_state_free);
  guint64 heads[MOOSH_CHAIN_ENDPOINTS_MAX] = { 0 };
  Poll poll = { .chain = chain, .query = &query };
  gint64 wake;

  g_mutex_lock (&chain->lock);
  for (guint i = 0; i < chain->n_endpoints; i++)
    {
      chain->endpoints[i].checked = FALSE;
      chain->endpoints[i].rests_until_us = 0;
    }
  g_mutex_unlock (&chain->lock);
  check_chain_ids (chain, chain->request_ms);
  poll.quorum = chain->n_endpoints + 1;
  choose (&poll, &wake);
  if (poll.n > 0)
    {
      poll_run (&poll, chain->request_ms);
      verify_votes (&poll, chain->request_ms);
    }
  for (guint i = 0; i < poll.n; i++)
    if (poll.votes[i].value != NULL)
      heads[poll.number[i]] = *(guint64 *)poll.votes[i].value;
  poll_clear (&poll);
  g_mutex_lock (&chain->lock);
  for (guint i = 0; i < chain->n_endpoints; i++)
    {
      MooshEndpointState *state = g_new0 (MooshEndpointState, 1);

      state->url = g_strdup (chain->endpoints[i].shown);
      state->usable = chain->endpoints[i].checked && chain->endpoints[i].trouble == NULL;
      state->trouble = g_strdup (chain->endpoints[i].trouble);
      state->head = heads[i];
      state->latency_ms = chain->endpoints[i].latency_ms;
      g_ptr_array_add (states, state);
    }
  g_mutex_unlock (&chain->lock);
  return states;
}
