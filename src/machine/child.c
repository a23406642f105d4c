#include "machine/child.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define TAIL_MAX 4096
#define TICK_MS  250

gboolean
moosh_log_open (MooshLog *log, const char *path, guint64 bytes, GError **error)
{
  log->fd = open (path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  log->left = bytes;
  if (log->fd >= 0)
    return TRUE;
  g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_FAILED, "log %s: cannot be written: %s", path,
               g_strerror (errno));
  return FALSE;
}

void
moosh_log_close (MooshLog *log)
{
  if (log->fd >= 0)
    close (log->fd);
  log->fd = -1;
}

/* FALSE: it did not all fit. A full disk costs the log's rest, not the build. */
static gboolean
log_write (MooshLog *log, const char *bytes, gsize len)
{
  gsize fits = (gsize)MIN ((guint64)len, log->left);

  for (gsize done = 0; log->fd >= 0 && done < fits;)
    {
      ssize_t n = write (log->fd, bytes + done, fits - done);

      if (n < 0 && errno != EINTR)
        break;
      done += n > 0 ? (gsize)n : 0;
    }
  log->left -= fits;
  return fits == len;
}

void
moosh_log_line (MooshLog *log, const char *line)
{
  if (log == NULL || strlen (line) + 1 > log->left)
    return;
  log_write (log, line, strlen (line));
  log_write (log, "\n", 1);
}

void
moosh_child_result_clear (MooshChildResult *result)
{
  g_clear_pointer (&result->out, g_free);
  g_clear_pointer (&result->tail, g_free);
}

static void
clean (char *bytes, gsize len)
{
  for (gsize i = 0; i < len; i++)
    if (bytes[i] == '\r')
      bytes[i] = '\n';
    else if ((g_ascii_iscntrl (bytes[i]) && bytes[i] != '\n' && bytes[i] != '\t')
             || bytes[i] == '\0')
      bytes[i] = '?';
}

typedef struct {
  const MooshChild *child;
  int out_fd, err_fd, pidfd; /* -1 once at the end */
  GString *out, *tail;
  gint64 deadline_us, heard_us, looked_us;
} Run;

static gboolean give_up (GError **error, MooshError code, const char *format, ...)
    G_GNUC_PRINTF (3, 4);

static gboolean
give_up (GError **error, MooshError code, const char *format, ...)
{
  g_autofree char *message = NULL;
  va_list args;

  va_start (args, format);
  message = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error_literal (error, MOOSH_ERROR, (int)code, message);
  return FALSE;
}

/* One read; -1 in *fd at the end. */
static gssize
take (int *fd, char *chunk, gsize size)
{
  ssize_t n = read (*fd, chunk, size);

  if (n < 0 && (errno == EINTR || errno == EAGAIN))
    return 0;
  if (n <= 0)
    {
      close (*fd);
      *fd = -1;
      return 0;
    }
  return n;
}

static gboolean
take_out (Run *run, GError **error)
{
  char chunk[16384];
  gssize n = take (&run->out_fd, chunk, sizeof chunk);

  if ((gsize)n > run->child->out_max - MIN (run->child->out_max, run->out->len))
    return give_up (error, MOOSH_ERROR_LIMIT,
                    "%s: its answer is longer than %" G_GSIZE_FORMAT " bytes", run->child->what,
                    run->child->out_max);
  g_string_append_len (run->out, chunk, n);
  return TRUE;
}

static gboolean
take_err (Run *run, GError **error)
{
  char chunk[16384];
  gssize n = take (&run->err_fd, chunk, sizeof chunk);

  if (n == 0)
    return TRUE;
  run->heard_us = g_get_monotonic_time ();
  clean (chunk, (gsize)n);
  g_string_append_len (run->tail, chunk, n);
  if (run->tail->len > TAIL_MAX)
    g_string_erase (run->tail, 0, (gssize)(run->tail->len - TAIL_MAX));
  if (run->child->log != NULL && !log_write (run->child->log, chunk, (gsize)n))
    return give_up (error, MOOSH_ERROR_LIMIT, "%s: it wrote more into its log than is allowed",
                    run->child->what);
  return TRUE;
}

/* Time, silence, the caller's wish and the caller's watch. */
static gboolean
may_go_on (Run *run, GError **error)
{
  const MooshChild *child = run->child;
  gint64 now = g_get_monotonic_time ();

  if (g_cancellable_is_cancelled (child->cancellable))
    return give_up (error, MOOSH_ERROR_CANCELLED, "%s: cancelled", child->what);
  if (run->deadline_us != 0 && now >= run->deadline_us)
    return give_up (error, MOOSH_ERROR_TIMEOUT, "%s: not done after %u s, its time limit",
                    child->what, child->timeout_s);
  if (child->silence_s != 0 && now >= run->heard_us + (gint64)child->silence_s * G_USEC_PER_SEC)
    return give_up (error, MOOSH_ERROR_TIMEOUT,
                    "%s: said nothing for %u s, which is taken for being stuck", child->what,
                    child->silence_s);
  if (child->watch == NULL || now < run->looked_us + TICK_MS * 1000)
    return TRUE;
  run->looked_us = now;
  return child->watch (child->watch_data, error);
}

/* Until the process has ended and what it left in the pipes is read. A grandchild that keeps the
 * pipes open is no reason to wait: it goes with the process group. */
static gboolean
attend (Run *run, GError **error)
{
  GPollFD wish = { -1, 0, 0 };
  gboolean wishes = run->child->cancellable != NULL
                    && g_cancellable_make_pollfd (run->child->cancellable, &wish);
  gboolean running = TRUE, ok = TRUE, idle = FALSE;

  while (ok && (running || ((run->out_fd >= 0 || run->err_fd >= 0) && !idle)))
    {
      struct pollfd fds[4] = { { run->out_fd, POLLIN, 0 },
                               { run->err_fd, POLLIN, 0 },
                               { running ? run->pidfd : -1, POLLIN, 0 },
                               { wishes ? wish.fd : -1, POLLIN, 0 } };
      int ready = poll (fds, 4, running ? TICK_MS : 0);

      idle = ready == 0 && !running;
      if (ready > 0 && fds[0].revents != 0)
        ok = take_out (run, error);
      if (ok && ready > 0 && fds[1].revents != 0)
        ok = take_err (run, error);
      if (ready > 0 && fds[2].revents != 0)
        running = FALSE;
      ok = ok && (!running || may_go_on (run, error));
    }
  if (wishes)
    g_cancellable_release_fd (run->child->cancellable);
  return ok;
}

static gboolean
start (const MooshChild *child, Run *run, pid_t *ret_pid, GError **error)
{
  MooshSpawn spawn = child->spawn;
  int out[2], err[2];
  gboolean ok;

  if (pipe2 (out, O_CLOEXEC) != 0)
    return give_up (error, MOOSH_ERROR_FAILED, "%s: no pipe: %s", child->what, g_strerror (errno));
  if (pipe2 (err, O_CLOEXEC) != 0)
    {
      close (out[0]), close (out[1]);
      return give_up (error, MOOSH_ERROR_FAILED, "%s: no pipe: %s", child->what,
                      g_strerror (errno));
    }
  spawn.stdout_fd = out[1];
  spawn.stderr_fd = err[1];
  ok = moosh_spawn (&spawn, ret_pid, &run->pidfd, error);
  close (out[1]), close (err[1]);
  run->out_fd = out[0];
  run->err_fd = err[0];
  if (!ok)
    close (out[0]), close (err[0]);
  return ok;
}

gboolean
moosh_child_run (const MooshChild *child, MooshChildResult *ret, GError **error)
{
  Run run = { .child = child, .heard_us = g_get_monotonic_time () };
  int status = 0;
  gboolean ok;
  pid_t pid;

  if (g_cancellable_is_cancelled (child->cancellable))
    return give_up (error, MOOSH_ERROR_CANCELLED, "%s: cancelled", child->what);
  if (!start (child, &run, &pid, error))
    return FALSE;
  run.out = g_string_new (NULL);
  run.tail = g_string_new (NULL);
  run.looked_us = run.heard_us;
  run.deadline_us = child->timeout_s ? run.heard_us + (gint64)child->timeout_s * G_USEC_PER_SEC : 0;
  ok = attend (&run, error);
  kill (-pid, SIGKILL);
  while (waitpid (pid, &status, 0) < 0 && errno == EINTR)
    ;
  close (run.pidfd);
  if (run.out_fd >= 0)
    close (run.out_fd);
  if (run.err_fd >= 0)
    close (run.err_fd);
  if (!ok)
    {
      g_string_free (run.out, TRUE);
      g_string_free (run.tail, TRUE);
      return FALSE;
    }
  ret->exit_status = WIFEXITED (status) ? WEXITSTATUS (status) : 128 + WTERMSIG (status);
  ret->out = g_string_free (run.out, FALSE);
  ret->tail = g_string_free (run.tail, FALSE);
  return TRUE;
}

char *
moosh_child_last_words (const char *tail)
{
  g_auto (GStrv) lines = g_strsplit (tail, "\n", -1);
  char *words = NULL;

  for (char **line = lines; *line != NULL; line++)
    {
      g_strstrip (*line);
      if (**line != '\0')
        {
          g_free (words);
          words = g_utf8_make_valid (*line, (gssize)MIN (strlen (*line), 300));
        }
    }
  return words != NULL ? words : g_strdup ("it said nothing");
}
