/** What every daemon's main does: options, state directory, log, signals, readiness. */
#pragma once
#include "base/error.h"
#include <gio/gio.h>

typedef struct {
  const char *name; /* "mooshd" */
  char *state_dir;  /* absolute, exists, mode 0700 */
  GKeyFile *config; /* state_dir/<name>.conf or --config; empty when there is none */
  GMainLoop *loop;
  int ready_fd; /* --ready-fd N: gets "ready\n" */
} MooshDaemon;

/** Parse the common options (--state DIR, --config FILE, --ready-fd N, --log-level
 * debug|info|warning, --version,
 * --help) plus `extra` (ended by an empty entry; may be NULL), make the state directory, load the
 * configuration, take the lock file state_dir/<name>.lock (MOOSH_ERROR_CONFLICT: another one runs).
 * FALSE with `error` set, or, after
 * --help and --version, exits 0. */
gboolean moosh_daemon_init (MooshDaemon *daemon, const char *name, const GOptionEntry *extra,
                            int *argc, char ***argv, GError **error);
/** Say ready (fd and sd_notify), run until SIGTERM or SIGINT. Returns the exit code 0. */
int moosh_daemon_run (MooshDaemon *daemon);
void moosh_daemon_clear (MooshDaemon *daemon);

/** A path below the state directory; new string. */
char *moosh_daemon_path (MooshDaemon *daemon, const char *relative);

/** ${MOOSH_HOME}, else /var/lib/mooshnet for root, else ~/.local/share/mooshnet; new string. */
char *moosh_default_state_dir (void);

/** Log to stderr: `<level> <name>: message`, with the time when stderr is no journal. Messages come
 * from g_debug, g_info (for the curious), g_message (normal life), g_warning (somebody should
 * look), g_critical (a bug). */
void moosh_log_init (const char *name, const char *level);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (MooshDaemon, moosh_daemon_clear)
