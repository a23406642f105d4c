/** Processes that may not be our children: found by user, told apart from later ones with the same
 * number, ended surely. */
#pragma once
#include "base/error.h"
#include <glib.h>
#include <sys/types.h>

/** When the process started, in clock ticks after boot (proc(5), field 22); 0: there is none, or it
 * is a zombie. */
gint64 moosh_process_start (pid_t pid);

/** The lowest process number that runs as one of the users [first, first + count); 0: none. Zombies
 * do not count. */
pid_t moosh_process_of_users (uid_t first, uid_t count);

/** SIGKILL every process of `uid` and wait until all are gone. Refuses uid 0 (MOOSH_ERROR_USAGE);
 * MOOSH_ERROR_TIMEOUT. */
gboolean moosh_process_kill_user (uid_t uid, guint timeout_ms, GError **error);
