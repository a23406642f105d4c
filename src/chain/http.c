#include "chain/http.h"
#include <libsoup/soup.h>
#include <string.h>

#define CHUNK                  (64 * 1024)
#define HTTP_TOO_MANY_REQUESTS 429 /* RFC 6585; libsoup has no name for it */

/* A thread's own session and the main context its I/O runs on: libsoup's connections belong to a
 * context. */
typedef struct {
  GMainContext *context;
  SoupSession *session;
} HttpThread;

static void
http_thread_free (gpointer data)
{
  HttpThread *thread = data;

  g_main_context_push_thread_default (thread->context);
  soup_session_abort (thread->session);
  g_object_unref (thread->session);
  g_main_context_pop_thread_default (thread->context);
  g_main_context_unref (thread->context);
  g_free (thread);
}

static GPrivate http_thread = G_PRIVATE_INIT (http_thread_free);

/* The thread's context is the default one when this returns. */
static HttpThread *
http_thread_enter (void)
{
  HttpThread *thread = g_private_get (&http_thread);

  if (thread != NULL)
    {
      g_main_context_push_thread_default (thread->context);
      return thread;
    }
  thread = g_new0 (HttpThread, 1);
  thread->context = g_main_context_new ();
  g_main_context_push_thread_default (thread->context);
  thread->session
      = soup_session_new_with_options ("proxy-resolver", NULL, "user-agent", "mooshnet",
                                       "max-conns-per-host", 4, "idle-timeout", 60, NULL);
  g_private_set (&http_thread, thread);
  return thread;
}

typedef struct {
  guint pending;
  gboolean timed_out, stopped;
  gsize reply_max;
  GCancellable *cancellable;
  HttpEnough enough;
  gpointer user_data;
} Round;

typedef struct {
  Round *round;
  HttpExchange *exchange;
  SoupMessage *message;
  GInputStream *stream;
  GByteArray *reply;
  gint64 started_us;
} Job;

/* Takes `error` (NULL: it went well). */
static void
job_end (Job *job, GError *error)
{
  Round *round = job->round;
  HttpExchange *exchange = job->exchange;

  exchange->latency_ms = (guint)((g_get_monotonic_time () - job->started_us) / 1000);
  if (job->message != NULL)
    exchange->connection = soup_message_get_connection_id (job->message);
  if (error == NULL)
    exchange->reply = g_byte_array_free_to_bytes (g_steal_pointer (&job->reply));
  else if (round->timed_out)
    exchange->error = g_error_new_literal (MOOSH_ERROR, MOOSH_ERROR_TIMEOUT, "no answer in time");
  else if (!round->stopped)
    exchange->error = g_error_new_literal (
        MOOSH_ERROR, error->domain == MOOSH_ERROR ? error->code : MOOSH_ERROR_UNAVAILABLE,
        error->message);
  g_clear_error (&error);
  g_clear_pointer (&job->reply, g_byte_array_unref);
  g_clear_object (&job->stream);
  g_clear_object (&job->message);
  g_free (job);
  round->pending--;
  if (!round->stopped && round->enough != NULL && round->enough (exchange, round->user_data))
    {
      round->stopped = TRUE;
      g_cancellable_cancel (round->cancellable);
    }
}

static void
on_chunk (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Job *job = user_data;
  GError *error = NULL;
  g_autoptr (GBytes) chunk
      = g_input_stream_read_bytes_finish (G_INPUT_STREAM (source), result, &error);
  gsize len;
  const guint8 *bytes;

  if (chunk == NULL)
    {
      job_end (job, error);
      return;
    }
  bytes = g_bytes_get_data (chunk, &len);
  if (len == 0)
    {
      g_input_stream_close (job->stream, NULL,
                            NULL); /* all is read: this only frees the connection */
      job_end (job, NULL);
      return;
    }
  if (job->reply->len + len > job->round->reply_max)
    {
      job_end (job, g_error_new (MOOSH_ERROR, MOOSH_ERROR_LIMIT,
                                 "the answer is larger than %zu bytes", job->round->reply_max));
      return;
    }
  g_byte_array_append (job->reply, bytes, (guint)len);
  g_input_stream_read_bytes_async (job->stream, CHUNK, G_PRIORITY_DEFAULT, job->round->cancellable,
                                   on_chunk, job);
}

static void
on_response (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Job *job = user_data;
  GError *error = NULL;
  guint status;

  job->stream = soup_session_send_finish (SOUP_SESSION (source), result, &error);
  if (job->stream == NULL)
    {
      job_end (job, error);
      return;
    }
  status = soup_message_get_status (job->message);
  if (status != SOUP_STATUS_OK)
    {
      const char *pause = soup_message_headers_get_one (
          soup_message_get_response_headers (job->message), "Retry-After");

      if (pause != NULL)
        job->exchange->retry_after_s = (guint)MIN (g_ascii_strtoull (pause, NULL, 10), 3600);
      job_end (job, g_error_new (MOOSH_ERROR, MOOSH_ERROR_UNAVAILABLE, "HTTP status %u%s", status,
                                 status == HTTP_TOO_MANY_REQUESTS ? " (too many requests)" : ""));
      return;
    }
  g_input_stream_read_bytes_async (job->stream, CHUNK, G_PRIORITY_DEFAULT, job->round->cancellable,
                                   on_chunk, job);
}

static void
job_start (HttpThread *thread, Round *round, HttpExchange *exchange)
{
  Job *job = g_new0 (Job, 1);

  job->round = round;
  job->exchange = exchange;
  job->reply = g_byte_array_new ();
  job->started_us = g_get_monotonic_time ();
  job->message = soup_message_new (SOUP_METHOD_POST, exchange->url);
  round->pending++;
  if (job->message == NULL)
    {
      job_end (job, g_error_new_literal (MOOSH_ERROR, MOOSH_ERROR_USAGE, "not a URL"));
      return;
    }
  /* Every question may be asked twice, a raw transaction too; without saying so, a POST costs a
   * connection of its own. */
  soup_message_add_flags (job->message, SOUP_MESSAGE_NO_REDIRECT | SOUP_MESSAGE_IDEMPOTENT);
  soup_message_set_request_body_from_bytes (job->message, "application/json", exchange->body);
  soup_session_send_async (thread->session, job->message, G_PRIORITY_DEFAULT, round->cancellable,
                           on_response, job);
}

static gboolean
on_deadline (gpointer user_data)
{
  Round *round = user_data;

  if (!round->stopped)
    {
      round->timed_out = TRUE;
      g_cancellable_cancel (round->cancellable);
    }
  return G_SOURCE_CONTINUE;
}

void
http_exchange (HttpExchange *exchanges, guint n, guint timeout_ms, gsize reply_max,
               HttpEnough enough, gpointer user_data)
{
  HttpThread *thread = http_thread_enter ();
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  Round round = {
    .reply_max = reply_max, .cancellable = cancellable, .enough = enough, .user_data = user_data
  };
  g_autoptr (GSource) deadline = g_timeout_source_new (timeout_ms);

  g_source_set_callback (deadline, on_deadline, &round, NULL);
  g_source_attach (deadline, thread->context);
  for (guint i = 0; i < n && !round.stopped; i++)
    job_start (thread, &round, &exchanges[i]);
  while (round.pending > 0)
    g_main_context_iteration (thread->context, TRUE);
  g_source_destroy (deadline);
  g_main_context_pop_thread_default (thread->context);
}

void
http_exchange_clear (HttpExchange *exchange)
{
  g_clear_pointer (&exchange->reply, g_bytes_unref);
  g_clear_error (&exchange->error);
}
