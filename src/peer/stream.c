#include "peer/stream.h"
#include "peer/refuse.h"
#include <errno.h>
#include <poll.h>
#include <sodium.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define FRAME_ROOM (MOOSH_NOISE_MESSAGE_MAX + MOOSH_NOISE_OVERHEAD)

gint64
moosh_deadline (guint ms)
{
  return g_get_monotonic_time () + (gint64)ms * 1000;
}

void
moosh_stream_init (MooshStream *stream, int fd, int stop_fd)
{
  *stream = (MooshStream){ .fd = fd, .stop_fd = stop_fd };
  g_mutex_init (&stream->send_lock);
}

void
moosh_stream_clear (MooshStream *stream)
{
  if (stream->fd >= 0)
    close (stream->fd);
  moosh_noise_cipher_clear (&stream->send);
  moosh_noise_cipher_clear (&stream->receive);
  g_mutex_clear (&stream->send_lock);
  g_free (stream->out);
  g_free (stream->in);
}

void
moosh_stream_shutdown (MooshStream *stream)
{
  shutdown (stream->fd, SHUT_RDWR);
}

static gboolean
wait_for (MooshStream *stream, short events, gint64 deadline_us, GError **error)
{
  for (;;)
    {
      struct pollfd fds[]
          = { { .fd = stream->fd, .events = events }, { .fd = stream->stop_fd, .events = POLLIN } };
      gint64 left_us = deadline_us - g_get_monotonic_time ();
      if (left_us <= 0)
        {
          g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_TIMEOUT, "no answer in time");
          return FALSE;
        }
      int n = poll (fds, 2, (int)MIN (left_us / 1000 + 1, G_MAXINT));
      if (n > 0 && fds[1].revents != 0)
        {
          g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_CANCELLED, "the node is stopping");
          return FALSE;
        }
      if (n > 0)
        return TRUE; /* an error or hang-up shows in the call that follows */
      if (n < 0 && errno != EINTR)
        {
          g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_FAILED, "poll: %s", g_strerror (errno));
          return FALSE;
        }
    }
}

static gboolean
fail_io (ssize_t n, GError **error)
{
  g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_UNAVAILABLE, "%s",
               n == 0 ? "connection closed by the other side" : g_strerror (errno));
  return FALSE;
}

static gboolean
read_exact (MooshStream *stream, guint8 *out, gsize len, gint64 deadline_us, GError **error)
{
  while (len > 0)
    {
      ssize_t n = recv (stream->fd, out, len, 0);
      if (n > 0)
        {
          out += n;
          len -= (gsize)n;
        }
      else if (n < 0 && (errno == EAGAIN || errno == EINTR))
        {
          if (!wait_for (stream, POLLIN, deadline_us, error))
            return FALSE;
        }
      else
        return fail_io (n, error);
    }
  return TRUE;
}

static gboolean
write_all (MooshStream *stream, const guint8 *in, gsize len, gint64 deadline_us, GError **error)
{
  while (len > 0)
    {
      ssize_t n = send (stream->fd, in, len, MSG_NOSIGNAL);
      if (n >= 0)
        {
          in += n;
          len -= (gsize)n;
        }
      else if (errno == EAGAIN || errno == EINTR)
        {
          if (!wait_for (stream, POLLOUT, deadline_us, error))
            return FALSE;
        }
      else
        return fail_io (n, error);
    }
  return TRUE;
}

static gboolean
step_act (MooshStream *stream, MooshNoise *noise, gint64 deadline_us, GError **error)
{
  guint8 act[MOOSH_NOISE_ACT_MAX];
  gsize len = moosh_noise_act_len (noise);
  if (moosh_noise_writes (noise))
    return moosh_peer_ok (moosh_noise_write_act (noise, act), MOOSH_ERROR_PROTOCOL, "handshake",
                          error)
           && write_all (stream, act, len, deadline_us, error);
  return read_exact (stream, act, len, deadline_us, error)
         && moosh_peer_ok (moosh_noise_read_act (noise, act, len), MOOSH_ERROR_PROTOCOL,
                           "handshake", error);
}

gboolean
moosh_stream_shake (MooshStream *stream, const MooshCurve *curve, const MooshNoiseConfig *config,
                    gint64 deadline_us, guint8 ret_remote[33], GError **error)
{
  MooshNoise noise;
  MooshNoiseConfig full = *config;
  guint8 ephemeral[32];
  g_autoptr (GError) cause = NULL;
  full.prologue = (MooshSpan){ (const guint8 *)MOOSH_PEER_PROLOGUE, strlen (MOOSH_PEER_PROLOGUE) };
  full.ephemeral = ephemeral;
  do
    randombytes_buf (ephemeral, sizeof ephemeral);
  while (moosh_key_check (ephemeral) < 0);
  int r = moosh_noise_init (&noise, curve, &full);
  moosh_wipe (ephemeral, sizeof ephemeral);
  if (!moosh_peer_ok (r, MOOSH_ERROR_USAGE, "handshake", error))
    return FALSE;
  while (noise.step < MOOSH_NOISE_DONE && step_act (stream, &noise, deadline_us, &cause))
    ;
  if (cause != NULL)
    {
      moosh_noise_clear (&noise);
      /* A responder that cannot open act one just hangs up: all it tells us. */
      if (g_error_matches (cause, MOOSH_ERROR, MOOSH_ERROR_UNAVAILABLE))
        g_set_error (
            error, MOOSH_ERROR, MOOSH_ERROR_REFUSED,
            "hung up in the handshake: it holds another node key, or takes no connections now");
      else
        g_propagate_error (error, g_steal_pointer (&cause));
      return FALSE;
    }
  memcpy (ret_remote, noise.remote_static, 33);
  if (!moosh_peer_ok (moosh_noise_split (&noise, &stream->send, &stream->receive),
                      MOOSH_ERROR_FAILED, "handshake", error))
    return FALSE;
  stream->out = g_malloc (FRAME_ROOM);
  stream->in = g_malloc (FRAME_ROOM);
  return TRUE;
}

gboolean
moosh_stream_wait (MooshStream *stream, gint64 deadline_us, GError **error)
{
  return wait_for (stream, POLLIN, deadline_us, error);
}

static gboolean
receive_frame (MooshStream *stream, gint64 deadline_us, gsize *ret_len, GError **error)
{
  gsize len = 0;
  if (!read_exact (stream, stream->in, MOOSH_NOISE_HEADER, deadline_us, error)
      || !moosh_peer_ok (
          moosh_noise_open_header (&stream->receive, stream->in, MOOSH_NOISE_HEADER, &len),
          MOOSH_ERROR_PROTOCOL, "frame", error)
      || !read_exact (stream, stream->in, len + MOOSH_NOISE_TAG, deadline_us, error)
      || !moosh_peer_ok (
          moosh_noise_open_body (&stream->receive, stream->in, len + MOOSH_NOISE_TAG, stream->in),
          MOOSH_ERROR_PROTOCOL, "frame", error))
    return FALSE;
  *ret_len = len;
  return TRUE;
}

gboolean
moosh_stream_receive (MooshStream *stream, gint64 deadline_us, MooshStreamKeep keep,
                      gpointer user_data, MooshPeerHead *ret_head, GBytes **ret_body,
                      GError **error)
{
  MooshPeerInbox inbox = { .open = FALSE };
  g_autoptr (GByteArray) body
      = g_byte_array_new (); /* grows with what came, not with what was announced */
  gboolean first = TRUE, kept = TRUE;
  for (int r = 0; r == 0; first = FALSE)
    {
      MooshSpan part = { NULL, 0 };
      gsize len;
      if (!receive_frame (stream, deadline_us, &len, error))
        return FALSE;
      r = moosh_peer_inbox_push (&inbox, stream->in, len, &part);
      if (!moosh_peer_ok (r, MOOSH_ERROR_PROTOCOL, "message", error))
        return FALSE;
      if (first && keep != NULL)
        kept = keep (&inbox.head, user_data);
      if (kept)
        g_byte_array_append (body, part.ptr, (guint)part.len);
    }
  *ret_head = inbox.head;
  *ret_body = g_byte_array_free_to_bytes (g_steal_pointer (&body));
  return TRUE;
}

static gboolean
send_message (MooshStream *stream, gint64 deadline_us, const MooshPeerHead *head,
              const guint8 *body, GError **error)
{
  guint8 *room = stream->out + MOOSH_NOISE_HEADER;
  gsize used = moosh_peer_head_encode (head, room);
  gsize sent = 0;
  do
    {
      gsize n = MIN (head->body_len - sent, MOOSH_NOISE_MESSAGE_MAX - used);
      if (n > 0)
        memcpy (room + used, body + sent, n);
      if (!moosh_peer_ok (moosh_noise_seal (&stream->send, room, used + n, stream->out, FRAME_ROOM),
                          MOOSH_ERROR_UNAVAILABLE, "frame", error)
          || !write_all (stream, stream->out, used + n + MOOSH_NOISE_OVERHEAD, deadline_us, error))
        return FALSE;
      sent += n;
      used = 0;
  } while (sent < head->body_len);
  return TRUE;
}

gboolean
moosh_stream_send (MooshStream *stream, gint64 deadline_us, MooshPeerHead *head, GBytes *body,
                   GError **error)
{
  const guint8 *bytes = NULL;
  head->body_len = 0;
  if (body != NULL)
    bytes = g_bytes_get_data (body, &head->body_len);
  g_mutex_lock (&stream->send_lock);
  gboolean ok = send_message (stream, deadline_us, head, bytes, error);
  g_mutex_unlock (&stream->send_lock);
  return ok;
}
