#include "machine/process.h"
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

gint64
moosh_process_start (pid_t pid)
{
  g_autofree char *path = g_strdup_printf ("/proc/%d/stat", (int)pid), *text = NULL;
  g_auto (GStrv) fields = NULL;
  const char *after_name;

  if (pid <= 0 || !g_file_get_contents (path, &text, NULL, NULL)
      || (after_name = strrchr (text, ')')) == NULL)
    return 0;
  fields = g_strsplit (after_name + 2, " ", -1); /* fields[0] is the state, field 3 of proc(5) */
  if (g_strv_length (fields) < 20 || fields[0][0] == 'Z' || fields[0][0] == 'X')
    return 0;
  return g_ascii_strtoll (fields[19], NULL, 10);
}

pid_t
moosh_process_of_users (uid_t first, uid_t count)
{
  DIR *proc = opendir ("/proc");
  struct dirent *entry;
  pid_t found = 0;

  while (proc != NULL && (entry = readdir (proc)) != NULL)
    {
      guint64 pid;
      g_autofree char *path = g_strconcat ("/proc/", entry->d_name, NULL);
      struct stat status;

      if (!g_ascii_string_to_unsigned (entry->d_name, 10, 1, G_MAXINT, &pid, NULL)
          || stat (path, &status) != 0 || status.st_uid - first >= count
          || moosh_process_start ((pid_t)pid) == 0)
        continue;
      if (found == 0 || (pid_t)pid < found)
        found = (pid_t)pid;
    }
  if (proc != NULL)
    closedir (proc);
  return found;
}

/* Kill and wait for one process, which may be a child of ours or not. */
static gboolean
kill_one (pid_t pid, uid_t uid, gint64 deadline_us)
{
  int pidfd = (int)syscall (SYS_pidfd_open, pid, 0);
  gint64 left_ms = (deadline_us - g_get_monotonic_time ()) / 1000;
  struct pollfd poller = { pidfd, POLLIN, 0 };
  gboolean gone;

  if (pidfd < 0)
    return TRUE;
  /* the number may have changed hands before the descriptor was opened: look again */
  if (moosh_process_of_users (uid, 1) == pid)
    syscall (SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
  gone = poll (&poller, 1, (int)MAX (left_ms, 0)) > 0;
  close (pidfd);
  if (gone)
    waitpid (pid, NULL, WNOHANG); /* ours? then reap it; else whoever its parent is does */
  return gone;
}

gboolean
moosh_process_kill_user (uid_t uid, guint timeout_ms, GError **error)
{
  gint64 deadline_us = g_get_monotonic_time () + (gint64)timeout_ms * 1000;
  pid_t pid;

  if (uid == 0)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE, "processes of root are not ours to kill");
      return FALSE;
    }
  while ((pid = moosh_process_of_users (uid, 1)) != 0)
    if (!kill_one (pid, uid, deadline_us))
      {
        g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_TIMEOUT, "process %d of user %u does not end",
                     (int)pid, (guint)uid);
        return FALSE;
      }
  return TRUE;
}
