#include "base/daemon.h"
#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

char *
moosh_default_state_dir (void)
{
  const char *home = g_getenv ("MOOSH_HOME");

  if (home != NULL && *home != '\0')
    return g_strdup (home);
  if (geteuid () == 0)
    return g_strdup ("/var/lib/mooshnet");
  return g_build_filename (g_get_user_data_dir (), "mooshnet", NULL);
}

char *
moosh_daemon_path (MooshDaemon *daemon, const char *relative)
{
  return g_build_filename (daemon->state_dir, relative, NULL);
}

static gboolean
take_lock (MooshDaemon *daemon, GError **error)
{
  g_autofree char *name = g_strconcat (daemon->name, ".lock", NULL);
  g_autofree char *path = moosh_daemon_path (daemon, name);
  int fd = open (path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

  if (fd < 0)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_FAILED, "cannot open %s: %s", path,
                   g_strerror (errno));
      return FALSE;
    }
  /* of the process, not of the descriptor: a child that is being forked when we are killed must not
   * hold it on */
  if (fcntl (fd, F_SETLK, &lock) != 0)
    {
      close (fd);
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_CONFLICT, "another %s runs on %s already",
                   daemon->name, daemon->state_dir);
      return FALSE;
    }
  return TRUE; /* the descriptor stays open, and with it the lock, until the process ends */
}

static gboolean
load_config (MooshDaemon *daemon, const char *path, GError **error)
{
  g_autofree char *name = g_strconcat (daemon->name, ".conf", NULL);
  g_autofree char *standard = moosh_daemon_path (daemon, name);
  g_autoptr (GError) local = NULL;

  daemon->config = g_key_file_new ();
  if (path == NULL && !g_file_test (standard, G_FILE_TEST_EXISTS))
    return TRUE;
  if (g_key_file_load_from_file (daemon->config, path ? path : standard, G_KEY_FILE_NONE, &local))
    return TRUE;
  g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE, "configuration %s: %s",
               path ? path : standard, local->message);
  return FALSE;
}

gboolean
moosh_daemon_init (MooshDaemon *daemon, const char *name, const GOptionEntry *extra, int *argc,
                   char ***argv, GError **error)
{
  g_autofree char *state = NULL, *config = NULL, *level = NULL;
  gboolean version = FALSE;
  int ready_fd = -1;
  const GOptionEntry common[] = {
    { "state", 0, 0, G_OPTION_ARG_FILENAME, &state, "State directory", "DIR" },
    { "config", 0, 0, G_OPTION_ARG_FILENAME, &config, "Configuration file", "FILE" },
    { "ready-fd", 0, 0, G_OPTION_ARG_INT, &ready_fd, "Write \"ready\" here when serving", "N" },
    { "log-level", 0, 0, G_OPTION_ARG_STRING, &level, "debug, info, notice or warning", "LEVEL" },
    { "version", 0, 0, G_OPTION_ARG_NONE, &version, "Print the version", NULL },
    G_OPTION_ENTRY_NULL,
  };
  g_autoptr (GOptionContext) context = g_option_context_new (NULL);
  g_autoptr (GError) local = NULL;

  memset (daemon, 0, sizeof *daemon);
  daemon->name = name;
  g_option_context_add_main_entries (context, common, NULL);
  if (extra != NULL)
    g_option_context_add_main_entries (context, extra, NULL);
  if (!g_option_context_parse (context, argc, argv, &local))
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE, "%s", local->message);
      return FALSE;
    }
  if (version)
    {
      g_print ("%s %s\n", name, MOOSH_VERSION);
      exit (0);
    }
  moosh_log_init (name, level);
  daemon->ready_fd = ready_fd;
  if (state == NULL)
    state = moosh_default_state_dir ();
  daemon->state_dir = g_canonicalize_filename (state, NULL);
  if (g_mkdir_with_parents (daemon->state_dir, 0700) != 0)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_FAILED, "cannot make the state directory %s: %s",
                   daemon->state_dir, g_strerror (errno));
      return FALSE;
    }
  if (!take_lock (daemon, error) || !load_config (daemon, config, error))
    return FALSE;
  daemon->loop = g_main_loop_new (NULL, FALSE);
  return TRUE;
}

/* sd_notify(3) without the library: one datagram to the socket systemd names. */
static void
notify_systemd (const char *text)
{
  const char *path = g_getenv ("NOTIFY_SOCKET");
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  int fd;

  if (path == NULL || strlen (path) >= sizeof address.sun_path
      || (path[0] != '/' && path[0] != '@'))
    return;
  memcpy (address.sun_path, path, strlen (path) + 1);
  if (path[0] == '@')
    address.sun_path[0] = '\0';
  fd = socket (AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0)
    return;
  sendto (fd, text, strlen (text), MSG_NOSIGNAL, (struct sockaddr *)&address,
          (socklen_t)(offsetof (struct sockaddr_un, sun_path) + strlen (path)));
  close (fd);
}

static gboolean
on_signal (gpointer loop)
{
  g_main_loop_quit (loop);
  return G_SOURCE_CONTINUE;
}

int
moosh_daemon_run (MooshDaemon *daemon)
{
  guint term = g_unix_signal_add (SIGTERM, on_signal, daemon->loop);
  guint interrupt = g_unix_signal_add (SIGINT, on_signal, daemon->loop);

  if (daemon->ready_fd >= 0)
    {
      if (write (daemon->ready_fd, "ready\n", 6) != 6)
        g_warning ("cannot say ready on descriptor %d: %s", daemon->ready_fd, g_strerror (errno));
      close (daemon->ready_fd);
    }
  notify_systemd ("READY=1");
  g_main_loop_run (daemon->loop);
  notify_systemd ("STOPPING=1");
  g_source_remove (term);
  g_source_remove (interrupt);
  return 0;
}

void
moosh_daemon_clear (MooshDaemon *daemon)
{
  g_clear_pointer (&daemon->loop, g_main_loop_unref);
  g_clear_pointer (&daemon->config, g_key_file_unref);
  g_clear_pointer (&daemon->state_dir, g_free);
}
