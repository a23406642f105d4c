#include "peer/node.h"
#include "peer/refuse.h"
#include <netdb.h>
#include <string.h>

/* A caller that waits. On its stack; in session->calls under session->lock. */
typedef struct {
  gboolean done;
  GBytes *answer;
  GError *error;
} Call;

MooshSession *
moosh_session_new (MooshPeerNode *node, int fd, const struct sockaddr *from, gboolean inbound)
{
  MooshSession *session = g_new0 (MooshSession, 1);
  char host[48], port[8];
  socklen_t len = from->sa_family == AF_INET6 ? 28 : 16; /* sizeof sockaddr_in6, sockaddr_in */
  g_atomic_ref_count_init (&session->refs);
  session->node = node;
  moosh_stream_init (&session->stream, fd, node->stop_fd);
  moosh_source_of (from, &session->source);
  session->peer.inbound = inbound;
  if (getnameinfo (from, len, host, sizeof host, port, sizeof port, NI_NUMERICHOST | NI_NUMERICSERV)
      == 0)
    g_snprintf (session->peer.address, sizeof session->peer.address,
                strchr (host, ':') ? "[%s]:%s" : "%s:%s", host, port);
  g_mutex_init (&session->lock);
  g_cond_init (&session->answered);
  session->calls = g_hash_table_new (g_int64_hash, g_int64_equal);
  session->next_id = 1;
  return session;
}

MooshSession *
moosh_session_ref (MooshSession *session)
{
  g_atomic_ref_count_inc (&session->refs);
  return session;
}

void
moosh_session_unref (MooshSession *session)
{
  if (!g_atomic_ref_count_dec (&session->refs))
    return;
  moosh_stream_clear (&session->stream);
  g_hash_table_unref (session->calls);
  g_clear_error (&session->end);
  g_mutex_clear (&session->lock);
  g_cond_clear (&session->answered);
  g_free (session);
}

gboolean
moosh_session_alive (MooshSession *session)
{
  g_mutex_lock (&session->lock);
  gboolean alive = session->end == NULL;
  g_mutex_unlock (&session->lock);
  return alive;
}

void
moosh_session_end (MooshSession *session, const GError *cause)
{
  GHashTableIter iter;
  gpointer value;
  g_mutex_lock (&session->lock);
  if (session->end == NULL)
    session->end = g_error_copy (cause);
  g_hash_table_iter_init (&iter, session->calls);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    {
      Call *call = value;
      call->done = TRUE;
      call->error = g_error_copy (session->end);
      g_hash_table_iter_remove (&iter);
    }
  g_cond_broadcast (&session->answered);
  g_mutex_unlock (&session->lock);
  moosh_stream_shutdown (&session->stream);
}

static gboolean
session_send (MooshSession *session, MooshPeerHead *head, GBytes *body, GError **error)
{
  GError *cause = NULL;
  if (moosh_stream_send (&session->stream, moosh_deadline (session->node->config.limits.message_ms),
                         head, body, &cause))
    return TRUE;
  moosh_session_end (session, cause); /* half a frame may be out: nothing can follow it */
  g_propagate_error (error, cause);
  return FALSE;
}

static void
say_bye (MooshSession *session, const GError *cause)
{
  MooshPeerHead head = { .kind = MOOSH_PEER_BYE };
  moosh_peer_head_set_error (&head, cause);
  if (moosh_session_alive (session))
    session_send (session, &head, NULL, NULL);
}

void
moosh_session_bye (MooshSession *session, const GError *cause)
{
  say_bye (session, cause);
  moosh_session_end (session, cause);
}

/* An error of the remote's, as ours. */
static GError *
error_of (const MooshPeerHead *head)
{
  return g_error_new_literal (MOOSH_ERROR, (int)moosh_error_from_name (head->error_name),
                              head->error_text);
}

/* ---- opening ---- */

/* What ask_ecdh needs, and why it failed. */
typedef struct {
  const MooshPeerConfig *config;
  GError *error;
} Asking;

static int
ask_ecdh (const uint8_t public_key[33], uint8_t ret_secret[32], void *data)
{
  Asking *asking = data;
  const MooshPeerConfig *config = asking->config;
  return config->ecdh (public_key, ret_secret, config->ecdh_data, &asking->error) ? MOOSH_OK
                                                                                  : MOOSH_E_STATE;
}

static gboolean
shake (MooshSession *session, const guint8 *node_key, gint64 deadline_us, GError **error)
{
  MooshPeerNode *node = session->node;
  Asking asking = { .config = &node->config };
  g_autoptr (GError) cause = NULL;
  MooshNoiseConfig config = {
    .initiator = node_key != NULL,
    .static_key = node->config.node_key,
    .remote_key = node_key,
    .ecdh = ask_ecdh,
    .ecdh_data = &asking,
  };
  if (moosh_stream_shake (&session->stream, &node->curve, &config, deadline_us,
                          session->peer.node_key, &cause))
    return TRUE;
  if (asking.error != NULL)
    g_propagate_prefixed_error (error, asking.error,
                                "node key: "); /* our own trouble, not the peer's */
  else
    g_propagate_error (error, g_steal_pointer (&cause));
  return FALSE;
}

static gboolean
send_hello (MooshSession *session, GError **error)
{
  g_autoptr (GBytes) certificate = moosh_node_certificate (session->node);
  g_autoptr (GBytes) body
      = moosh_peer_hello_encode (MOOSH_PEER_VERSION, certificate, session->node->software);
  MooshPeerHead head = { .kind = MOOSH_PEER_HELLO };
  return session_send (session, &head, body, error);
}

/* Is this hello good enough to talk to? Fills in session->peer. */
static gboolean
check_hello (MooshSession *session, GBytes *body, GError **error)
{
  const MooshPeerConfig *config = &session->node->config;
  MooshPeerHello hello;
  MooshCertificate certificate;
  gsize len;
  const guint8 *ptr = g_bytes_get_data (body, &len);
  if (!moosh_peer_ok (moosh_peer_hello_decode (ptr, len, &hello), MOOSH_ERROR_PROTOCOL, "hello",
                      error))
    return FALSE;
  if (hello.version != MOOSH_PEER_VERSION)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_PROTOCOL,
                   "hello: protocol version %" G_GUINT64_FORMAT ", want %d", hello.version,
                   MOOSH_PEER_VERSION);
      return FALSE;
    }
  if (!moosh_certificate_decode (hello.certificate.ptr, hello.certificate.len, &certificate, error))
    return FALSE;
  if (memcmp (certificate.node_key, session->peer.node_key, 33) != 0)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_PROTOCOL,
                   "hello: the certificate is for another node key");
      return FALSE;
    }
  if (!moosh_certificate_check_time (&certificate, g_get_real_time () / G_USEC_PER_SEC, error))
    return FALSE;
  g_autoptr (GBytes) encoded = g_bytes_new (hello.certificate.ptr, hello.certificate.len);
  if (config->admit != NULL && !config->admit (&certificate, encoded, config->user_data, error))
    return FALSE;
  memcpy (session->peer.identity, certificate.identity, 20);
  session->peer.certificate_seq = certificate.seq;
  g_strlcpy (session->peer.software, hello.software, sizeof session->peer.software);
  return TRUE;
}

static gboolean
receive_hello (MooshSession *session, gint64 deadline_us, GError **error)
{
  MooshPeerHead head;
  g_autoptr (GBytes) body = NULL;
  g_autoptr (GError) cause = NULL;
  if (!moosh_stream_receive (&session->stream, deadline_us, NULL, NULL, &head, &body, error))
    return FALSE;
  if (head.kind == MOOSH_PEER_BYE)
    {
      g_propagate_error (error, error_of (&head));
      return FALSE;
    }
  if (head.kind != MOOSH_PEER_HELLO)
    g_set_error (&cause, MOOSH_ERROR, MOOSH_ERROR_PROTOCOL, "want a hello before anything else");
  if (cause == NULL && check_hello (session, body, &cause))
    return TRUE;
  moosh_session_bye (session, cause);
  g_propagate_error (error, g_steal_pointer (&cause));
  return FALSE;
}

/* The initiator says hello first; the responder answers with its own only when it takes the
 * session, so that an initiator which has the answer knows that it was taken. */
gboolean
moosh_session_open (MooshSession *session, const guint8 *node_key, gint64 deadline_us,
                    GError **error)
{
  GError *cause = NULL;
  if (!shake (session, node_key, deadline_us, error))
    return FALSE;
  if (node_key != NULL && !send_hello (session, error))
    return FALSE;
  if (!receive_hello (session, deadline_us, error))
    return FALSE;
  if (!moosh_node_list_session (session->node, session, &cause))
    {
      moosh_session_bye (session, cause);
      g_propagate_error (error, cause);
      return FALSE;
    }
  if (node_key == NULL && !send_hello (session, error))
    {
      moosh_node_unlist_session (session->node, session);
      return FALSE;
    }
  moosh_node_session_ready (session->node, session);
  return TRUE;
}

/* ---- asking ---- */

GBytes *
moosh_session_call (MooshSession *session, const char *method, GBytes *body, gint64 deadline_us,
                    GError **error)
{
  Call call = { .done = FALSE };
  MooshPeerHead head = { .kind = MOOSH_PEER_REQUEST };
  g_strlcpy (head.method, method, sizeof head.method);
  g_mutex_lock (&session->lock);
  if (session->end != NULL)
    {
      g_propagate_error (error, g_error_copy (session->end));
      g_mutex_unlock (&session->lock);
      return NULL;
    }
  guint64 id = head.id = session->next_id++;
  g_hash_table_insert (session->calls, &id, &call);
  g_mutex_unlock (&session->lock);

  session_send (session, &head, body, NULL); /* a failure ends the session, and with it this call */

  g_mutex_lock (&session->lock);
  while (!call.done && g_cond_wait_until (&session->answered, &session->lock, deadline_us))
    ;
  if (!call.done)
    {
      g_hash_table_remove (session->calls, &id);
      g_set_error (&call.error, MOOSH_ERROR, MOOSH_ERROR_TIMEOUT, "no answer in time");
    }
  g_mutex_unlock (&session->lock);
  if (call.error != NULL)
    g_propagate_error (error, call.error);
  return call.answer;
}

/* Is there a caller for this answer? If it gave up, what comes is thrown away. */
static gboolean
keep_body (const MooshPeerHead *head, gpointer user_data)
{
  MooshSession *session = user_data;
  if (head->kind != MOOSH_PEER_ANSWER)
    return TRUE;
  g_mutex_lock (&session->lock);
  gboolean wanted = g_hash_table_contains (session->calls, &head->id);
  g_mutex_unlock (&session->lock);
  return wanted;
}

static gboolean
take_answer (MooshSession *session, const MooshPeerHead *head, GBytes *body, GError **error)
{
  g_mutex_lock (&session->lock);
  gboolean asked = head->id > 0 && head->id < session->next_id;
  Call *call = g_hash_table_lookup (session->calls, &head->id);
  if (call != NULL)
    {
      g_hash_table_remove (session->calls, &head->id);
      call->done = TRUE;
      if (head->kind == MOOSH_PEER_ANSWER)
        call->answer = g_bytes_ref (body);
      else
        call->error = error_of (head);
      g_cond_broadcast (&session->answered);
    }
  g_mutex_unlock (&session->lock);
  if (!asked)
    g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_PROTOCOL, "an answer to what was never asked");
  return asked;
}

/* ---- answering ---- */

static void
answer_error (MooshSession *session, guint64 id, const GError *error)
{
  MooshPeerHead head = { .kind = MOOSH_PEER_ERROR, .id = id };
  moosh_peer_head_set_error (&head, error);
  session_send (session, &head, NULL, NULL);
}

static void
count (MooshSession *session, int running, int answering)
{
  g_mutex_lock (&session->lock);
  session->running += (guint)running;
  session->answering += (guint)answering;
  g_mutex_unlock (&session->lock);
}

static void
job_free (MooshJob *job)
{
  moosh_node_give_bytes (job->session->node, g_bytes_get_size (job->body));
  g_bytes_unref (job->body);
  moosh_session_unref (job->session);
  g_free (job);
}

void
moosh_job_run (gpointer data, gpointer user_data)
{
  MooshJob *job = data;
  MooshPeerNode *node = user_data;
  MooshSession *session = job->session;
  MooshHandler *handler = g_hash_table_lookup (node->methods, job->method);
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) answer = NULL;
  if (moosh_session_alive (session))
    answer = handler->run (&session->peer, job->method, job->body, handler->user_data, &error);
  if (answer != NULL && g_bytes_get_size (answer) > MOOSH_PEER_ANSWER_MAX)
    {
      g_clear_pointer (&answer, g_bytes_unref);
      g_set_error (&error, MOOSH_ERROR, MOOSH_ERROR_LIMIT,
                   "%s: the answer is longer than a message may be", job->method);
    }
  else if (answer == NULL && error == NULL)
    g_set_error (&error, MOOSH_ERROR, MOOSH_ERROR_FAILED, "%s: failed", job->method);
  count (session, -1, +1);
  MooshPeerHead head = { .kind = MOOSH_PEER_ANSWER, .id = job->id };
  if (answer != NULL)
    session_send (session, &head, answer, NULL);
  else
    answer_error (session, job->id, error);
  count (session, 0, -1);
  job_free (job);
}

/* Count a request against the session's limit and the node's. Who keeps to the limit never meets
 * it: a request stops counting as running before its answer is out. Those whose answer waits for a
 * peer that does not read are bounded too. */
static gboolean
reserve (MooshSession *session, gsize bytes)
{
  guint max = session->node->config.limits.requests_running;
  g_mutex_lock (&session->lock);
  gboolean room = session->running < max && session->running + session->answering < 2 * max;
  if (room)
    session->running++;
  g_mutex_unlock (&session->lock);
  if (!room)
    return FALSE;
  if (!moosh_node_take_bytes (session->node, bytes))
    {
      count (session, -1, 0);
      return FALSE;
    }
  return TRUE;
}

/* FALSE ends the session. */
static gboolean
take_request (MooshSession *session, const MooshPeerHead *head, GBytes *body, GError **error)
{
  const MooshPeerLimits *limits = &session->node->config.limits;
  g_autoptr (GError) refusal = NULL;
  MooshBucketVerdict verdict = moosh_bucket_take (
      &session->bucket, g_get_monotonic_time (), limits->request_burst, limits->request_per_minute);
  if (verdict == MOOSH_BUCKET_FLOOD)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_LIMIT, "too many requests");
      return FALSE;
    }
  if (verdict == MOOSH_BUCKET_OVER)
    g_set_error (&refusal, MOOSH_ERROR, MOOSH_ERROR_LIMIT, "%s: more than %u requests a minute",
                 head->method, limits->request_per_minute);
  else if (!g_hash_table_contains (session->node->methods, head->method))
    g_set_error (&refusal, MOOSH_ERROR, MOOSH_ERROR_NOT_FOUND, "%s: no such method here",
                 head->method);
  else if (!reserve (session, g_bytes_get_size (body)))
    g_set_error (&refusal, MOOSH_ERROR, MOOSH_ERROR_LIMIT, "%s: too many requests at once",
                 head->method);
  if (refusal != NULL)
    {
      answer_error (session, head->id, refusal);
      return TRUE;
    }
  MooshJob *job = g_new0 (MooshJob, 1);
  job->session = moosh_session_ref (session);
  job->id = head->id;
  g_strlcpy (job->method, head->method, sizeof job->method);
  job->body = g_bytes_ref (body);
  g_thread_pool_push (session->node->handlers, job, NULL);
  return TRUE;
}

/* ---- reading ---- */

static gboolean
dispatch (MooshSession *session, const MooshPeerHead *head, GBytes *body, GError **error)
{
  switch (head->kind)
    {
    case MOOSH_PEER_REQUEST:
      return take_request (session, head, body, error);
    case MOOSH_PEER_ANSWER:
    case MOOSH_PEER_ERROR:
      return take_answer (session, head, body, error);
      case MOOSH_PEER_BYE: {
        GError *cause = error_of (head);
        moosh_session_end (session, cause); /* nobody listens to our good-bye */
        g_propagate_error (error, cause);
        return FALSE;
      }
    case MOOSH_PEER_HELLO:
      break;
    }
  g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_PROTOCOL, "a second hello");
  return FALSE;
}

static gboolean
is_busy (MooshSession *session)
{
  g_mutex_lock (&session->lock);
  gboolean busy
      = session->running > 0 || session->answering > 0 || g_hash_table_size (session->calls) > 0;
  g_mutex_unlock (&session->lock);
  return busy;
}

/* Wait for the next message; a session with work under way is not idle. */
static gboolean
wait_message (MooshSession *session, GError **error)
{
  for (;;)
    {
      g_autoptr (GError) cause = NULL;
      if (moosh_stream_wait (&session->stream,
                             moosh_deadline (session->node->config.limits.idle_ms), &cause))
        return TRUE;
      if (g_error_matches (cause, MOOSH_ERROR, MOOSH_ERROR_TIMEOUT))
        {
          if (is_busy (session))
            continue;
          g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_UNAVAILABLE, "idle for too long");
        }
      else
        g_propagate_error (error, g_steal_pointer (&cause));
      return FALSE;
    }
}

static gboolean
read_one (MooshSession *session, GError **error)
{
  MooshPeerHead head;
  g_autoptr (GBytes) body = NULL;
  return wait_message (session, error)
         && moosh_stream_receive (&session->stream,
                                  moosh_deadline (session->node->config.limits.message_ms),
                                  keep_body, session, &head, &body, error)
         && dispatch (session, &head, body, error);
}

void
moosh_session_read (MooshSession *session)
{
  const MooshPeerConfig *config = &session->node->config;
  GError *cause = NULL;
  if (config->notify != NULL)
    config->notify (&session->peer, TRUE, config->user_data);
  while (read_one (session, &cause))
    ;
  g_debug ("peer %s: session ended: %s", session->peer.address, cause->message);
  if (g_error_matches (cause, MOOSH_ERROR,
                       MOOSH_ERROR_CANCELLED)) /* for them, we are just not there any more */
    {
      g_autoptr (GError) stopping
          = g_error_new (MOOSH_ERROR, MOOSH_ERROR_UNAVAILABLE, "%s", cause->message);
      say_bye (session, stopping);
    }
  else
    say_bye (session, cause);
  moosh_session_end (session, cause);
  moosh_node_unlist_session (session->node, session);
  if (config->notify != NULL)
    config->notify (&session->peer, FALSE, config->user_data);
  g_error_free (cause);
}
