#include "base/wire.h"
#include <string.h>

static gboolean
wait_for (GSocket *socket, GIOCondition condition, gint64 deadline_us, GCancellable *cancellable,
          GError **error)
{
  gint64 left_us
      = deadline_us == MOOSH_WIRE_FOREVER ? -1 : MAX (0, deadline_us - g_get_monotonic_time ());
  g_autoptr (GError) local = NULL;

  if (g_socket_condition_timed_wait (socket, condition, left_us, cancellable, &local))
    return TRUE;
  if (g_error_matches (local, G_IO_ERROR, G_IO_ERROR_TIMED_OUT))
    g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_TIMEOUT, "no answer in time");
  else if (g_error_matches (local, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_CANCELLED, "stopped");
  else
    g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_UNAVAILABLE, "%s", local->message);
  return FALSE;
}

gboolean
moosh_wire_send (GSocket *socket, const char *text, gsize len, gint64 deadline_us,
                 GCancellable *cancellable, GError **error)
{
  while (len > 0)
    {
      g_autoptr (GError) local = NULL;
      gssize sent = g_socket_send_with_blocking (socket, text, len, FALSE, cancellable, &local);

      if (sent >= 0)
        {
          text += sent;
          len -= (gsize)sent;
        }
      else if (!g_error_matches (local, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK))
        {
          g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_UNAVAILABLE, "%s", local->message);
          return FALSE;
        }
      else if (!wait_for (socket, G_IO_OUT, deadline_us, cancellable, error))
        return FALSE;
    }
  return TRUE;
}

char *
moosh_wire_read_line (GSocket *socket, GString *buffer, gsize max, gint64 deadline_us,
                      GCancellable *cancellable, GError **error)
{
  gsize seen = 0;

  for (;;)
    {
      char chunk[16384];
      const char *newline = memchr (buffer->str + seen, '\n', buffer->len - seen);
      gssize got;
      g_autoptr (GError) local = NULL;

      if (newline != NULL && (gsize)(newline - buffer->str) <= max)
        {
          char *line = g_strndup (buffer->str, (gsize)(newline - buffer->str));
          g_string_erase (buffer, 0, newline - buffer->str + 1);
          return line;
        }
      if (newline != NULL || buffer->len > max)
        {
          g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_LIMIT, "message longer than %zu bytes", max);
          return NULL;
        }
      seen = buffer->len;
      if (!wait_for (socket, G_IO_IN, deadline_us, cancellable, error))
        return NULL;
      got = g_socket_receive_with_blocking (socket, chunk, sizeof chunk, FALSE, cancellable,
                                            &local);
      if (got > 0)
        g_string_append_len (buffer, chunk, got);
      else if (got == 0 && buffer->len == 0)
        return NULL;
      else if (got == 0)
        {
          g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_UNAVAILABLE,
                       "the connection ended in the middle of a message");
          return NULL;
        }
      else if (!g_error_matches (local, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK))
        {
          g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_UNAVAILABLE, "%s", local->message);
          return NULL;
        }
    }
}
