#include "cli/process.h"
#include "base/spawn.h"
#include "cli/text.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { READY_MS = 60000, STOP_MS = 30000, LOG_TAIL = 2048 };

char *
cli_process_find (CliDaemon daemon, GError **error)
{
  const char *program = cli_daemon_program (daemon);
  g_autofree char *self = g_file_read_link ("/proc/self/exe", NULL);
  g_autofree char *here = self ? g_path_get_dirname (self) : g_strdup (".");
  g_autofree char *built
      = g_build_filename (here, "..", "daemon", cli_daemon_name (daemon), program, NULL);
  g_autofree char *flat = g_build_filename (here, "..", "daemon", program, NULL);
  g_autofree char *beside = g_build_filename (here, program, NULL);
  g_autofree char *installed = g_build_filename ("/usr/lib/mooshnet", program, NULL);
  const char *const candidates[] = { beside, built, flat, installed };
  char *found;

  for (guint i = 0; i < G_N_ELEMENTS (candidates); i++)
    if (g_file_test (candidates[i], G_FILE_TEST_IS_EXECUTABLE)
        && !g_file_test (candidates[i], G_FILE_TEST_IS_DIR))
      return g_canonicalize_filename (candidates[i], NULL);
  found = g_find_program_in_path (program);
  if (found == NULL)
    g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_NOT_FOUND,
                 "%s is neither beside %s nor in PATH: is it installed?", program,
                 self ? self : "this program");
  return found;
}

/* When process `pid` began, in clock ticks since boot (field 22 of /proc/PID/stat): with it a pid
 * names one process for ever, without it a recycled one. 0: no such process. */
static guint64
start_time (pid_t pid)
{
  g_autofree char *path = g_strdup_printf ("/proc/%d/stat", (int)pid);
  g_autofree char *text = NULL;
  g_auto (GStrv) fields = NULL;
  const char *after;

  if (!g_file_get_contents (path, &text, NULL, NULL) || (after = strrchr (text, ')')) == NULL)
    return 0;
  fields = g_strsplit (after + 2, " ", 21); /* begins with field 3 */
  return g_strv_length (fields) == 21 && fields[0][0] != 'Z'
             ? g_ascii_strtoull (fields[19], NULL, 10)
             : 0;
}

static char *
pid_path (Cli *cli, CliDaemon daemon)
{
  g_autofree char *file = g_strconcat (cli_daemon_name (daemon), ".pid", NULL);
  return cli_path (cli, file);
}

gboolean
cli_process_running (Cli *cli, CliDaemon daemon, pid_t *ret_pid)
{
  g_autofree char *path = pid_path (cli, daemon);
  g_autofree char *text = NULL;
  int pid;
  unsigned long long began;

  if (!g_file_get_contents (path, &text, NULL, NULL) || sscanf (text, "%d %llu", &pid, &began) != 2
      || pid <= 1 || start_time (pid) != began)
    return FALSE;
  if (ret_pid != NULL)
    *ret_pid = pid;
  return TRUE;
}

static gboolean
write_pid (Cli *cli, CliDaemon daemon, pid_t pid, GError **error)
{
  g_autofree char *path = pid_path (cli, daemon);
  g_autofree char *text
      = g_strdup_printf ("%d %" G_GUINT64_FORMAT "\n", (int)pid, start_time (pid));

  return g_file_set_contents (path, text, -1, error);
}

/* What it wrote last since `from`: the reason why it is gone. */
static char *
last_line (const char *log, goffset from)
{
  g_autofree char *text = g_malloc0 (LOG_TAIL + 1);
  int fd = open (log, O_RDONLY | O_CLOEXEC);
  off_t end = fd < 0 ? 0 : lseek (fd, 0, SEEK_END);
  ssize_t n = fd < 0 ? 0 : pread (fd, text, LOG_TAIL, MAX (from, end - LOG_TAIL));
  const char *newline;

  if (fd >= 0)
    close (fd);
  if (n <= 0)
    return g_strdup ("it said nothing");
  g_strchomp (text);
  newline = strrchr (text, '\n');
  return cli_printable (newline ? newline + 1 : text, FALSE);
}

/* Wait for "ready\n" from the other end of `fd`. FALSE: its end was closed before, or READY_MS are
 * over. */
static gboolean
wait_ready (int fd, gboolean *ret_timeout)
{
  gint64 deadline_us = g_get_monotonic_time () + (gint64)READY_MS * 1000;
  char text[16];
  gsize len = 0;

  *ret_timeout = FALSE;
  while (len < 6)
    {
      struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
      gint64 left_ms = (deadline_us - g_get_monotonic_time ()) / 1000;
      ssize_t n;

      if (left_ms <= 0)
        {
          *ret_timeout = TRUE;
          return FALSE;
        }
      if (poll (&poll_fd, 1, (int)left_ms) <= 0)
        continue;
      n = read (fd, text + len, sizeof text - len);
      if (n <= 0 && errno != EINTR)
        return FALSE;
      len += n > 0 ? (gsize)n : 0;
    }
  return memcmp (text, "ready\n", 6) == 0;
}

static gboolean
spawn_ready (Cli *cli, CliDaemon daemon, const char *program, const char *log, int log_fd,
             GError **error)
{
  int ready[2];
  g_autofree char *fd_text = NULL, *why = NULL;
  goffset from = lseek (log_fd, 0, SEEK_END);
  gboolean ok, timeout = FALSE;
  pid_t pid;

  if (pipe2 (ready, O_CLOEXEC) != 0)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_FAILED, "no pipe: %s", g_strerror (errno));
      return FALSE;
    }
  fd_text = g_strdup_printf ("%d", ready[1]);
  {
    const char *argv[] = { program, "--state", cli->state_dir, "--ready-fd", fd_text, NULL };
    g_auto (GStrv) environment = g_get_environ ();
    const int pass[] = { ready[1], -1 };
    MooshSpawn spawn = { .argv = argv,
                         .envp = (const char *const *)environment,
                         .outlives_us = TRUE,
                         .stdout_fd = log_fd,
                         .stderr_fd = log_fd,
                         .pass_fds = pass };

    ok = moosh_spawn (&spawn, &pid, NULL, error);
  }
  close (ready[1]);
  if (ok && write_pid (cli, daemon, pid, error) && !wait_ready (ready[0], &timeout))
    {
      why = last_line (log, from);
      g_set_error (error, MOOSH_ERROR, timeout ? MOOSH_ERROR_TIMEOUT : MOOSH_ERROR_FAILED,
                   "%s did not come up: %s (%s)", cli_daemon_program (daemon), why, log);
      ok = FALSE;
    }
  close (ready[0]);
  return ok;
}

gboolean
cli_process_start (Cli *cli, CliDaemon daemon, GError **error)
{
  g_autofree char *program = NULL, *file = NULL, *log = NULL;
  gboolean ok;
  int log_fd;

  if (cli_process_running (cli, daemon, NULL))
    return TRUE;
  program = cli_process_find (daemon, error);
  if (program == NULL)
    return FALSE;
  file = g_strconcat (cli_daemon_name (daemon), ".log", NULL);
  log = cli_path (cli, file);
  log_fd = open (log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (log_fd < 0)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_FAILED, "cannot open %s: %s", log,
                   g_strerror (errno));
      return FALSE;
    }
  ok = spawn_ready (cli, daemon, program, log, log_fd, error);
  close (log_fd);
  return ok;
}

static int
open_pidfd (pid_t pid)
{
  return (int)syscall (SYS_pidfd_open, pid, 0);
}

static gboolean
signal_and_wait (int pidfd, int signal_number, int timeout_ms)
{
  struct pollfd poll_fd = { .fd = pidfd, .events = POLLIN };

  if (syscall (SYS_pidfd_send_signal, pidfd, signal_number, NULL, 0) != 0)
    return errno == ESRCH;
  return poll (&poll_fd, 1, timeout_ms) == 1;
}

gboolean
cli_process_stop (Cli *cli, CliDaemon daemon, gboolean force, gboolean *ret_stopped, GError **error)
{
  g_autofree char *path = pid_path (cli, daemon);
  pid_t pid;
  gboolean gone;
  int pidfd;

  if (ret_stopped != NULL)
    *ret_stopped = FALSE;
  if (!cli_process_running (cli, daemon, &pid))
    {
      unlink (path);
      return TRUE;
    }
  pidfd = open_pidfd (pid);
  /* the pid may have changed hands before the descriptor held it; look again now that it cannot */
  gone = pidfd < 0 || !cli_process_running (cli, daemon, NULL)
         || signal_and_wait (pidfd, SIGTERM, STOP_MS)
         || (force && signal_and_wait (pidfd, SIGKILL, STOP_MS));
  if (pidfd >= 0)
    close (pidfd);
  if (!gone)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_TIMEOUT,
                   "%s (pid %d) did not end in %d s: `moosh node stop --force` kills it",
                   cli_daemon_program (daemon), (int)pid, STOP_MS / 1000);
      return FALSE;
    }
  unlink (path);
  if (ret_stopped != NULL)
    *ret_stopped = TRUE;
  return TRUE;
}

char *
cli_process_last_words (Cli *cli, CliDaemon daemon)
{
  g_autofree char *pid = pid_path (cli, daemon);
  g_autofree char *file = g_strconcat (cli_daemon_name (daemon), ".log", NULL);
  g_autofree char *log = cli_path (cli, file);

  return g_file_test (pid, G_FILE_TEST_EXISTS) && !cli_process_running (cli, daemon, NULL)
             ? last_line (log, 0)
             : NULL;
}

gboolean
cli_is_provider (Cli *cli)
{
  g_autofree char *path = cli_path (cli, "mooshd.conf");
  g_autoptr (GKeyFile) config = g_key_file_new ();

  return g_key_file_load_from_file (config, path, G_KEY_FILE_NONE, NULL)
         && g_key_file_get_boolean (config, "provider", "enabled", NULL);
}
