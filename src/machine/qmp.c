#include "machine/qmp.h"
#include "base/json.h"
#include <errno.h>
#include <glib-unix.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define LINE_MAX_BYTES (256 * 1024)

/* Shared by its owner and the source that reads; freed with the last reference. */
struct MooshQmp {
  int fd;
  GSource *source;
  GMutex lock; /* guards what follows */
  GCond changed;
  GString *input;
  gboolean greeted, ended, busy;
  gint64 last_id;
  gint64 waiting_id;  /* 0: nobody waits */
  JsonObject *answer; /* to waiting_id */
  MooshQmpEvent event;
  gpointer user_data;
  GDestroyNotify destroy;
};

static void
clear (gpointer pointer)
{
  MooshQmp *qmp = pointer;

  close (qmp->fd);
  g_string_free (qmp->input, TRUE);
  g_clear_pointer (&qmp->answer, json_object_unref);
  if (qmp->destroy != NULL)
    qmp->destroy (qmp->user_data);
  g_mutex_clear (&qmp->lock);
  g_cond_clear (&qmp->changed);
}

static void
unref (gpointer pointer)
{
  g_atomic_rc_box_release_full (pointer, clear);
}

static void
take_line (MooshQmp *qmp, const char *line)
{
  g_autoptr (JsonObject) object = moosh_json_parse (line, -1, NULL);
  const char *name;
  MooshQmpEvent event;

  if (object == NULL)
    return;
  g_mutex_lock (&qmp->lock);
  if (json_object_has_member (object, "QMP"))
    qmp->greeted = TRUE;
  else if (qmp->waiting_id != 0 && moosh_json_int_or (object, "id", 0) == qmp->waiting_id
           && qmp->answer == NULL)
    qmp->answer = json_object_ref (object);
  g_cond_broadcast (&qmp->changed);
  event = qmp->event;
  g_mutex_unlock (&qmp->lock);
  name = moosh_json_string_or (object, "event", NULL);
  if (name != NULL && event != NULL)
    event (name, object, qmp->user_data);
}

static void
end_connection (MooshQmp *qmp)
{
  MooshQmpEvent event;

  g_mutex_lock (&qmp->lock);
  qmp->ended = TRUE;
  g_cond_broadcast (&qmp->changed);
  event = qmp->event;
  g_mutex_unlock (&qmp->lock);
  if (event != NULL)
    event (NULL, NULL, qmp->user_data);
}

static gboolean
on_readable (int fd, GIOCondition condition, gpointer pointer)
{
  MooshQmp *qmp = pointer;
  char chunk[8192], *newline;
  ssize_t got = recv (fd, chunk, sizeof chunk, MSG_DONTWAIT);

  (void)condition;
  if (got < 0 && (errno == EAGAIN || errno == EINTR))
    return G_SOURCE_CONTINUE;
  if (got > 0)
    g_string_append_len (qmp->input, chunk, got); /* only this thread touches input */
  while ((newline = memchr (qmp->input->str, '\n', qmp->input->len)) != NULL)
    {
      g_autofree char *line = g_strndup (qmp->input->str, (gsize)(newline - qmp->input->str));
      g_string_erase (qmp->input, 0, newline - qmp->input->str + 1);
      take_line (qmp, line);
    }
  if (got > 0 && qmp->input->len <= LINE_MAX_BYTES)
    return G_SOURCE_CONTINUE;
  end_connection (qmp);
  return G_SOURCE_REMOVE;
}

static int
connect_unix (const char *path, GError **error)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  int fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

  if (fd >= 0 && strlen (path) < sizeof address.sun_path)
    {
      g_strlcpy (address.sun_path, path, sizeof address.sun_path);
      if (connect (fd, (struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    }
  g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_UNAVAILABLE, "guest monitor %s: %s", path,
               g_strerror (errno));
  if (fd >= 0)
    close (fd);
  return -1;
}

/* Wait, with the lock held, until `*flag` or the end. */
static gboolean
wait_for (MooshQmp *qmp, gboolean (*there) (MooshQmp *), guint timeout_ms, GError **error)
{
  gint64 deadline = g_get_monotonic_time () + (gint64)timeout_ms * 1000;

  while (!there (qmp) && !qmp->ended)
    if (!g_cond_wait_until (&qmp->changed, &qmp->lock, deadline))
      {
        g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_TIMEOUT,
                     "guest monitor: no answer within %u ms", timeout_ms);
        return FALSE;
      }
  if (there (qmp))
    return TRUE;
  g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_UNAVAILABLE,
               "guest monitor: the connection has ended");
  return FALSE;
}

static gboolean
is_greeted (MooshQmp *qmp)
{
  return qmp->greeted;
}

static gboolean
is_answered (MooshQmp *qmp)
{
  return qmp->answer != NULL;
}

static gboolean
is_idle (MooshQmp *qmp)
{
  return !qmp->busy;
}

MooshQmp *
moosh_qmp_new (GMainContext *context, const char *path, guint timeout_ms, MooshQmpEvent event,
               gpointer user_data, GDestroyNotify destroy, GError **error)
{
  g_autoptr (MooshQmp) qmp = NULL;
  g_autoptr (JsonObject) done = NULL;
  int fd = connect_unix (path, error);
  gboolean greeted;

  if (fd < 0)
    {
      if (destroy != NULL)
        destroy (user_data);
      return NULL;
    }
  qmp = g_atomic_rc_box_new0 (MooshQmp);
  qmp->fd = fd;
  qmp->input = g_string_new (NULL);
  g_mutex_init (&qmp->lock);
  g_cond_init (&qmp->changed);
  qmp->event = event;
  qmp->user_data = user_data;
  qmp->destroy = destroy;
  qmp->source = g_unix_fd_source_new (fd, G_IO_IN | G_IO_HUP | G_IO_ERR);
  g_source_set_callback (qmp->source, G_SOURCE_FUNC (on_readable), g_atomic_rc_box_acquire (qmp),
                         unref);
  g_source_attach (qmp->source, context);
  g_mutex_lock (&qmp->lock);
  greeted = wait_for (qmp, is_greeted, timeout_ms, error);
  g_mutex_unlock (&qmp->lock);
  if (!greeted)
    return NULL;
  done = moosh_qmp_call (qmp, "qmp_capabilities", NULL, timeout_ms, error);
  return done != NULL ? g_steal_pointer (&qmp) : NULL;
}

void
moosh_qmp_free (MooshQmp *qmp)
{
  g_mutex_lock (&qmp->lock);
  qmp->event = NULL;
  qmp->ended = TRUE;
  g_cond_broadcast (&qmp->changed);
  g_mutex_unlock (&qmp->lock);
  g_source_destroy (qmp->source);
  g_source_unref (qmp->source);
  unref (qmp);
}

static gboolean
send_line (MooshQmp *qmp, const char *line, GError **error)
{
  gsize len = strlen (line), sent = 0;

  while (sent < len)
    {
      ssize_t n = send (qmp->fd, line + sent, len - sent, MSG_NOSIGNAL);
      if (n < 0 && errno == EINTR)
        continue;
      if (n < 0)
        {
          g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_UNAVAILABLE, "guest monitor: %s",
                       g_strerror (errno));
          return FALSE;
        }
      sent += (gsize)n;
    }
  return TRUE;
}

/* The reply as a result: its "return" object, or its error. */
static JsonObject *
result_of (JsonObject *answer, const char *command, GError **error)
{
  JsonObject *refusal
      = json_object_has_member (answer, "error") ? moosh_json_object (answer, "error", NULL) : NULL;
  JsonNode *result = json_object_get_member (answer, "return");

  if (refusal != NULL || result == NULL)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_REFUSED, "guest monitor refused %s: %s", command,
                   refusal ? moosh_json_string_or (refusal, "desc", "no reason") : "no result");
      return NULL;
    }
  return JSON_NODE_HOLDS_OBJECT (result) ? json_node_dup_object (result) : json_object_new ();
}

JsonObject *
moosh_qmp_call (MooshQmp *qmp, const char *command, JsonObject *arguments, guint timeout_ms,
                GError **error)
{
  g_autoptr (JsonObject) request = NULL, answer = NULL;
  g_autofree char *text = NULL, *line = NULL;
  gboolean ok;

  g_mutex_lock (&qmp->lock);
  if (!wait_for (qmp, is_idle, timeout_ms, error))
    {
      g_mutex_unlock (&qmp->lock);
      g_clear_pointer (&arguments, json_object_unref);
      return NULL;
    }
  qmp->busy = TRUE;
  qmp->waiting_id = ++qmp->last_id;
  request = moosh_json_build ("execute", 's', command, "id", 'i', qmp->waiting_id, NULL);
  if (arguments != NULL)
    json_object_set_object_member (request, "arguments", arguments);
  text = moosh_json_print (request, FALSE);
  line = g_strconcat (text, "\n", NULL);
  ok = send_line (qmp, line, error) && wait_for (qmp, is_answered, timeout_ms, error);
  answer = g_steal_pointer (&qmp->answer);
  qmp->waiting_id = 0;
  qmp->busy = FALSE;
  g_cond_broadcast (&qmp->changed);
  g_mutex_unlock (&qmp->lock);
  return ok ? result_of (answer, command, error) : NULL;
}
