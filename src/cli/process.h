/** A node's daemons as background processes: where their programs are, starting with readiness,
 * stopping by pid. */
#pragma once
#include "cli/cli.h"

/** The program's path: beside this one, in the build tree's rooms, in /usr/lib/mooshnet, in PATH.
 * New string. MOOSH_ERROR_NOT_FOUND. */
char *cli_process_find (CliDaemon daemon, GError **error);

/** Is it running, as STATE/<name>.pid says and the kernel confirms? `ret_pid` may be NULL. */
gboolean cli_process_running (Cli *cli, CliDaemon daemon, pid_t *ret_pid);

/** Start it and wait until it says ready; its talk goes to STATE/<name>.log. Already running: TRUE.
 * The error of one that does not come up has the last line of its log. */
gboolean cli_process_start (Cli *cli, CliDaemon daemon, GError **error);

/** SIGTERM, and wait for its end (MOOSH_ERROR_TIMEOUT after 30 s; `force`: SIGKILL then). Not
 * running: TRUE. `ret_stopped` (may be NULL): was there something to stop? */
gboolean cli_process_stop (Cli *cli, CliDaemon daemon, gboolean force, gboolean *ret_stopped,
                           GError **error);

/** The last line a daemon that `moosh node start` began has left in its log, when it is gone though
 * nobody stopped it; NULL otherwise. New string. */
char *cli_process_last_words (Cli *cli, CliDaemon daemon);

/** Does mooshd.conf say that this node sells? */
gboolean cli_is_provider (Cli *cli);
