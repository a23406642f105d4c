/** Children that run strangers' work: watched while they run, their words go to a log with a limit,
 * stoppable. */
#pragma once
#include "base/spawn.h"
#include <gio/gio.h>

/** A log file with a limit. Control characters but newline and tab become '?', so that nobody's
 * terminal obeys them. */
typedef struct {
  int fd;       /* -1: thrown away */
  guint64 left; /* bytes that may still be written */
} MooshLog;

/** Make `path` anew. */
gboolean moosh_log_open (MooshLog *log, const char *path, guint64 bytes, GError **error);
/** Write one line of our own; lines that no longer fit are dropped. */
void moosh_log_line (MooshLog *log, const char *line);
void moosh_log_close (MooshLog *log);

/** Looks at what a running child uses, about four times a second; FALSE with `error` set ends it.
 */
typedef gboolean (*MooshChildWatch) (gpointer user_data, GError **error);

typedef struct {
  MooshSpawn spawn; /* stdout and stderr are ours */
  const char *what; /* "evaluation": begins every message */
  guint timeout_s;  /* SIGKILL to the process group at the deadline; MOOSH_ERROR_TIMEOUT */
  guint silence_s;  /* likewise after so long without a byte of stderr; 0: none */
  gsize out_max;    /* of stdout, kept; more is MOOSH_ERROR_LIMIT */
  MooshLog *log;    /* gets stderr; more than fits is MOOSH_ERROR_LIMIT; NULL: thrown away */
  MooshChildWatch watch;
  gpointer watch_data;
  GCancellable *cancellable;
} MooshChild;

typedef struct {
  int exit_status; /* exit code, or 128 + signal */
  char *out;       /* stdout, NUL-terminated */
  char *tail;      /* the last 4 KiB of stderr, cleaned */
} MooshChildResult;

void moosh_child_result_clear (MooshChildResult *result);

/** Run to the end. TRUE when the child ended by itself, whatever its status; FALSE when it could
 * not start or was ended (the errors above; MOOSH_ERROR_CANCELLED; the watch's). The whole process
 * group is gone afterwards. */
gboolean moosh_child_run (const MooshChild *child, MooshChildResult *ret, GError **error);

/** The last line of `tail` that says something, for messages; new string, at most 300 bytes. */
char *moosh_child_last_words (const char *tail);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (MooshLog, moosh_log_close)
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (MooshChildResult, moosh_child_result_clear)
