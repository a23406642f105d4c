#include "base/spawn.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

void
moosh_output_clear (MooshOutput *output)
{
  g_clear_pointer (&output->out, g_free);
  g_clear_pointer (&output->err, g_free);
  output->out_len = output->err_len = 0;
}

typedef struct {
  int fd; /* -1 once it ended */
  GString *text;
  gsize line_start; /* of the line not yet reported */
} Stream;

static void
report_lines (Stream *stream, MooshLineFunc line, gpointer user_data)
{
  char *newline;

  while (line != NULL
         && (newline = memchr (stream->text->str + stream->line_start, '\n',
                               stream->text->len - stream->line_start)))
    {
      *newline = '\0';
      line (stream->text->str + stream->line_start, user_data);
      *newline = '\n';
      stream->line_start = (gsize)(newline - stream->text->str) + 1;
    }
}

/* Read what is there. What goes past the limit is read and thrown away, so that the child does not
 * block. */
static void
drain (Stream *stream, gsize max, gboolean *truncated)
{
  char chunk[16384];
  ssize_t got = read (stream->fd, chunk, sizeof chunk);

  if (got < 0 && (errno == EINTR || errno == EAGAIN))
    return;
  if (got <= 0)
    {
      close (stream->fd);
      stream->fd = -1;
      return;
    }
  if ((gsize)got > max - MIN (max, stream->text->len))
    {
      *truncated = TRUE;
      got = (ssize_t)(max - MIN (max, stream->text->len));
    }
  g_string_append_len (stream->text, chunk, got);
}

static int
ms_left (gint64 deadline_us)
{
  gint64 left_us = deadline_us - g_get_monotonic_time ();

  if (deadline_us == 0)
    return -1;
  return left_us <= 0 ? 0 : (int)MIN (left_us / 1000 + 1, G_MAXINT);
}

/* Until both streams and the process have ended, or the deadline. FALSE: the deadline came first.
 */
static gboolean
watch (Stream streams[2], int pidfd, gint64 deadline_us, gsize max, MooshLineFunc line,
       gpointer user_data, gboolean *truncated)
{
  gboolean running = TRUE;

  while (running || streams[0].fd >= 0 || streams[1].fd >= 0)
    {
      struct pollfd fds[3] = { { streams[0].fd, POLLIN, 0 },
                               { streams[1].fd, POLLIN, 0 },
                               { running ? pidfd : -1, POLLIN, 0 } };
      /* a grandchild may keep the pipes open after the child's end: what is in them by then is all
       * we wait for */
      int ready = poll (fds, 3, running ? ms_left (deadline_us) : 0);

      if (ready == 0)
        return !running;
      for (int i = 0; ready > 0 && i < 2; i++)
        if (fds[i].revents != 0)
          drain (&streams[i], max, truncated);
      report_lines (&streams[1], line, user_data);
      if (ready > 0 && fds[2].revents != 0)
        running = FALSE;
    }
  return TRUE;
}

gboolean
moosh_spawn_run (const MooshSpawn *spawn, guint timeout_ms, gsize output_max, MooshLineFunc line,
                 gpointer user_data, MooshOutput *ret, GError **error)
{
  MooshSpawn mine = *spawn;
  int out[2], err[2], pidfd = -1, status = 0;
  pid_t pid;
  Stream streams[2];
  gint64 deadline_us = timeout_ms ? g_get_monotonic_time () + (gint64)timeout_ms * 1000 : 0;
  gboolean started;

  if (pipe2 (out, O_CLOEXEC) != 0)
    goto no_pipe;
  if (pipe2 (err, O_CLOEXEC) != 0)
    {
      close (out[0]), close (out[1]);
      goto no_pipe;
    }
  mine.stdout_fd = out[1];
  mine.stderr_fd = err[1];
  started = moosh_spawn (&mine, &pid, &pidfd, error);
  close (out[1]), close (err[1]);
  if (!started)
    {
      close (out[0]), close (err[0]);
      return FALSE;
    }
  memset (ret, 0, sizeof *ret);
  streams[0] = (Stream){ out[0], g_string_new (NULL), 0 };
  streams[1] = (Stream){ err[0], g_string_new (NULL), 0 };
  ret->timed_out
      = !watch (streams, pidfd, deadline_us, output_max, line, user_data, &ret->truncated);
  kill (-pid, SIGKILL); /* its process group: at the deadline, and what it left behind */
  while (waitpid (pid, &status, 0) < 0 && errno == EINTR)
    ;
  for (int i = 0; i < 2; i++)
    if (streams[i].fd >= 0)
      close (streams[i].fd);
  close (pidfd);
  ret->exit_status = WIFEXITED (status) ? WEXITSTATUS (status) : 128 + WTERMSIG (status);
  ret->out_len = streams[0].text->len;
  ret->out = g_string_free (streams[0].text, FALSE);
  ret->err_len = streams[1].text->len;
  ret->err = g_string_free (streams[1].text, FALSE);
  return TRUE;

no_pipe:
  g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_FAILED, "cannot start %s: no pipe: %s",
               spawn->argv[0], g_strerror (errno));
  return FALSE;
}

/* The last line with something on it. */
static const char *
last_line (char *text)
{
  char *newline;

  g_strchomp (text);
  newline = strrchr (text, '\n');
  return newline ? newline + 1 : text;
}

gboolean
moosh_run (const char *const *argv, guint timeout_ms, char **ret_out, GError **error)
{
  MooshSpawn spawn = { .argv = argv };
  g_auto (MooshOutput) output = { 0 };

  if (!moosh_spawn_run (&spawn, timeout_ms, 1024 * 1024, NULL, NULL, &output, error))
    return FALSE;
  if (output.timed_out)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_TIMEOUT, "%s did not end within %u s", argv[0],
                   timeout_ms / 1000);
      return FALSE;
    }
  if (output.exit_status != 0)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_FAILED, "%s failed (%d): %s", argv[0],
                   output.exit_status, last_line (output.err));
      return FALSE;
    }
  if (ret_out != NULL)
    *ret_out = g_strchomp (g_steal_pointer (&output.out));
  return TRUE;
}
