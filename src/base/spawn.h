/** Children: argv arrays, never a shell; own process group; die with us; limits that the kernel
 * keeps. */
#pragma once
#include "base/error.h"
#include <glib.h>
#include <sys/types.h>

/** How to start a child. Zero-initialise and set what is needed; everything else is inherited or
 * off. */
typedef struct {
  const char *const *argv; /* NULL-terminated; argv[0] is looked up in PATH */
  const char *const *envp; /* NULL: a minimal environment (PATH, HOME=/, LANG=C.UTF-8) */
  const char *cwd;         /* NULL: / */
  gboolean set_ids;        /* change to uid, gid, with no supplementary groups */
  uid_t uid;
  gid_t gid;
  gboolean no_new_privs;   /* PR_SET_NO_NEW_PRIVS and an empty capability set */
  gboolean outlives_us;    /* no PR_SET_PDEATHSIG: the child survives our end (a guest) */
  guint64 memory_max;      /* RLIMIT_AS in bytes; 0: no limit */
  guint64 file_size_max;   /* RLIMIT_FSIZE in bytes; 0: no limit */
  guint64 cpu_seconds_max; /* RLIMIT_CPU; 0: no limit */
  guint processes_max;     /* RLIMIT_NPROC; 0: no limit */
  guint files_max;         /* RLIMIT_NOFILE; 0: no limit */
  const char *
      cgroup_procs[4]; /* cgroup.procs files the child writes itself into before exec; NULL-ended */
  int stdin_fd;        /* 0: /dev/null */
  int stdout_fd;       /* 0: /dev/null; for moosh_spawn only */
  int stderr_fd;       /* 0: /dev/null; for moosh_spawn only */
  const int
      *pass_fds; /* further descriptors to keep open at the same number, ended by -1; NULL: none */
  const char *netns; /* name under /run/netns to enter first; NULL: ours */
} MooshSpawn;

/** Start a child; `ret_pidfd` (may be NULL) gets a pidfd. The caller reaps it. MOOSH_ERROR_FAILED
 * with the step that failed. */
gboolean moosh_spawn (const MooshSpawn *spawn, pid_t *ret_pid, int *ret_pidfd, GError **error);

typedef struct {
  int exit_status;    /* exit code, or 128 + signal */
  gboolean timed_out; /* killed at the deadline */
  gboolean truncated; /* output past the limit was thrown away */
  char *out;          /* stdout, NUL-terminated; free with moosh_output_clear */
  gsize out_len;
  char *err; /* stderr, likewise */
  gsize err_len;
} MooshOutput;

void moosh_output_clear (MooshOutput *output);

/** Run a child to its end and collect what it says, at most `output_max` bytes of each stream.
 * After `timeout_ms` (0: none) its whole process group is sent SIGKILL. `line` (may be NULL) sees
 * each line of stderr as it comes. TRUE when the child was started and reaped, whatever its exit
 * status. Blocks: not for the main loop. */
typedef void (*MooshLineFunc) (const char *line, gpointer user_data);
gboolean moosh_spawn_run (const MooshSpawn *spawn, guint timeout_ms, gsize output_max,
                          MooshLineFunc line, gpointer user_data, MooshOutput *ret, GError **error);

/** moosh_spawn_run for the plain case: TRUE only when it exits 0; else MOOSH_ERROR_FAILED with the
 * last line it wrote to stderr. `ret_out` (may be NULL): stdout without its trailing newline, new
 * string. */
gboolean moosh_run (const char *const *argv, guint timeout_ms, char **ret_out, GError **error);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (MooshOutput, moosh_output_clear)
