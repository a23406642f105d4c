/* Forking from a process with threads: between fork and exec the child calls only async-signal-safe
 * functions, and tells of a failure through a pipe that a successful exec closes.
 *
 * All children are forked by one thread that never ends: PR_SET_PDEATHSIG fires when the *thread*
 * that forked ends, and a pool thread may end long before its child should. */
#include "base/spawn.h"
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* What the child did when it failed; indexes step_names. */
typedef enum {
  STEP_FDS,
  STEP_CGROUP,
  STEP_NETNS,
  STEP_LIMITS,
  STEP_CWD,
  STEP_IDS,
  STEP_PRIVS,
  STEP_EXEC
} Step;

static const char *const step_names[] = {
  [STEP_FDS] = "set up descriptors",   [STEP_CGROUP] = "enter its control group",
  [STEP_NETNS] = "enter its network",  [STEP_LIMITS] = "set its limits",
  [STEP_CWD] = "enter its directory",  [STEP_IDS] = "change to its user",
  [STEP_PRIVS] = "give up privileges", [STEP_EXEC] = "start the program",
};

typedef struct {
  const MooshSpawn *spawn;
  const char *program; /* argv[0] resolved in PATH before the fork */
  int netns_fd;
  pid_t parent, pid;
  int failure[2]; /* Step and errno */
  int pidfd;
  gboolean ok, done;
} Job;

static const char *const default_env[]
    = { "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/",
        "LANG=C.UTF-8", NULL };

static void
write_decimal (int fd, long v, gboolean *ok)
{
  char text[24];
  size_t i = sizeof text;

  do
    text[--i] = (char)('0' + v % 10);
  while ((v /= 10) > 0);
  *ok = write (fd, text + i, sizeof text - i) == (ssize_t)(sizeof text - i);
}

static gboolean
enter_cgroups (const MooshSpawn *spawn)
{
  for (guint i = 0; i < G_N_ELEMENTS (spawn->cgroup_procs) && spawn->cgroup_procs[i] != NULL; i++)
    {
      int fd = open (spawn->cgroup_procs[i], O_WRONLY | O_CLOEXEC);
      gboolean ok = FALSE;

      if (fd < 0)
        return FALSE;
      write_decimal (fd, getpid (), &ok);
      close (fd);
      if (!ok)
        return FALSE;
    }
  return TRUE;
}

static gboolean
set_limit (int resource, guint64 value)
{
  struct rlimit limit = { value, value };
  return value == 0 || setrlimit ((__rlimit_resource_t)resource, &limit) == 0;
}

static gboolean
set_limits (const MooshSpawn *spawn)
{
  struct rlimit core = { 0, 0 };
  return setrlimit (RLIMIT_CORE, &core) == 0 && set_limit (RLIMIT_AS, spawn->memory_max)
         && set_limit (RLIMIT_FSIZE, spawn->file_size_max)
         && set_limit (RLIMIT_CPU, spawn->cpu_seconds_max)
         && set_limit (RLIMIT_NPROC, spawn->processes_max)
         && set_limit (RLIMIT_NOFILE, spawn->files_max);
}

static gboolean
is_passed (const MooshSpawn *spawn, int fd)
{
  for (const int *p = spawn->pass_fds; p != NULL && *p >= 0; p++)
    if (*p == fd)
      return TRUE;
  return FALSE;
}

static gboolean
set_fds (const MooshSpawn *spawn, int null_fd)
{
  int wanted[3] = { spawn->stdin_fd, spawn->stdout_fd, spawn->stderr_fd };

  for (int i = 0; i < 3; i++) /* out of the way of 0-2 first */
    if ((wanted[i] = fcntl (wanted[i] > 0 ? wanted[i] : null_fd, F_DUPFD_CLOEXEC, 3)) < 0)
      return FALSE;
  for (int i = 0; i < 3; i++)
    if (dup2 (wanted[i], i) < 0)
      return FALSE;
  /* everything else closes at exec, but for what is passed on purpose; the report pipe closes there
   * too */
  syscall (SYS_close_range, 3U, ~0U, 4U /* CLOSE_RANGE_CLOEXEC */);
  for (int fd = 3; spawn->pass_fds != NULL && fd < 1024; fd++)
    if (is_passed (spawn, fd) && fcntl (fd, F_SETFD, 0) < 0)
      return FALSE;
  return TRUE;
}

static gboolean
drop_privileges (void)
{
  struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
  struct __user_cap_data_struct none[2] = { { 0, 0, 0 }, { 0, 0, 0 } };

  return prctl (PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && syscall (SYS_capset, &header, none) == 0;
}

static gboolean
drop_bounding_set (void)
{
  for (int cap = 0; cap <= 63; cap++)
    if (prctl (PR_CAPBSET_READ, cap, 0, 0, 0) == 1 && prctl (PR_CAPBSET_DROP, cap, 0, 0, 0) != 0
        && errno != EPERM)
      return FALSE;
  return TRUE;
}

static gboolean
set_ids (const MooshSpawn *spawn)
{
  return setgroups (0, NULL) == 0 && setresgid (spawn->gid, spawn->gid, spawn->gid) == 0
         && setresuid (spawn->uid, spawn->uid, spawn->uid) == 0;
}

static void
reset_signals (void)
{
  sigset_t none;

  sigemptyset (&none);
  for (int i = 1; i < 32; i++)
    signal (i, SIG_DFL);
  sigprocmask (SIG_SETMASK, &none, NULL);
}

/* The child's way to exec; returns only the step that failed, with errno. */
static Step
become (const Job *job, int null_fd)
{
  const MooshSpawn *spawn = job->spawn;
  const char *const *envp = spawn->envp ? spawn->envp : default_env;

  setsid ();
  reset_signals ();
  if (!set_fds (spawn, null_fd))
    return STEP_FDS;
  if (!enter_cgroups (spawn))
    return STEP_CGROUP;
  if (job->netns_fd >= 0 && setns (job->netns_fd, CLONE_NEWNET) != 0)
    return STEP_NETNS;
  if (!set_limits (spawn))
    return STEP_LIMITS;
  if (chdir (spawn->cwd ? spawn->cwd : "/") != 0)
    return STEP_CWD;
  if (spawn->no_new_privs && !drop_bounding_set ())
    return STEP_PRIVS;
  if (spawn->set_ids && !set_ids (spawn))
    return STEP_IDS;
  if (spawn->no_new_privs && !drop_privileges ())
    return STEP_PRIVS;
  /* after the change of user, which clears it; then look whether the parent went away before it was
   * set */
  if (!spawn->outlives_us
      && (prctl (PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0 || getppid () != job->parent))
    return STEP_PRIVS;
  execve (job->program, (char *const *)spawn->argv, (char *const *)envp);
  return STEP_EXEC;
}

static void
fork_job (Job *job)
{
  int report[2] = { -1, -1 };
  int null_fd = open ("/dev/null", O_RDWR | O_CLOEXEC);

  job->pidfd = -1;
  job->failure[0] = STEP_FDS;
  if (null_fd < 0 || pipe2 (report, O_CLOEXEC) != 0)
    job->failure[1] = errno;
  else if ((job->pid = fork ()) < 0)
    job->failure[1] = errno;
  else if (job->pid == 0)
    {
      int failure[2] = { (int)become (job, null_fd), 0 };

      failure[1] = errno;
      if (write (report[1], failure, sizeof failure) < 0)
        _exit (126);
      _exit (127);
    }
  else
    {
      close (report[1]);
      report[1] = -1;
      job->pidfd = (int)syscall (SYS_pidfd_open, job->pid, 0);
      job->ok = read (report[0], job->failure, sizeof job->failure) == 0;
      if (!job->ok)
        waitpid (job->pid, NULL, 0);
    }
  if (null_fd >= 0)
    close (null_fd);
  for (int i = 0; i < 2; i++)
    if (report[i] >= 0)
      close (report[i]);
}

static GMutex job_lock;
static GCond job_done;

static gpointer
spawner (gpointer queue)
{
  for (;;)
    {
      Job *job = g_async_queue_pop (queue);

      fork_job (job);
      g_mutex_lock (&job_lock);
      job->done = TRUE;
      g_cond_broadcast (&job_done);
      g_mutex_unlock (&job_lock);
    }
  return NULL;
}

static GAsyncQueue *
spawner_queue (void)
{
  static GAsyncQueue *queue;

  if (g_once_init_enter (&queue))
    {
      GAsyncQueue *fresh = g_async_queue_new ();
      g_thread_unref (g_thread_new ("spawner", spawner, fresh));
      g_once_init_leave (&queue, fresh);
    }
  return queue;
}

gboolean
moosh_spawn (const MooshSpawn *spawn, pid_t *ret_pid, int *ret_pidfd, GError **error)
{
  g_autofree char *program = g_find_program_in_path (spawn->argv[0]);
  g_autofree char *netns
      = spawn->netns ? g_build_filename ("/run/netns", spawn->netns, NULL) : NULL;
  Job job
      = { .spawn = spawn, .program = program, .netns_fd = -1, .parent = getpid (), .pidfd = -1 };

  if (program == NULL)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_FAILED,
                   "cannot start %s: the program is not installed", spawn->argv[0]);
      return FALSE;
    }
  if (netns != NULL && (job.netns_fd = open (netns, O_RDONLY | O_CLOEXEC)) < 0)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_FAILED,
                   "cannot start %s: network namespace %s: %s", spawn->argv[0], spawn->netns,
                   g_strerror (errno));
      return FALSE;
    }
  g_async_queue_push (spawner_queue (), &job);
  g_mutex_lock (&job_lock);
  while (!job.done)
    g_cond_wait (&job_done, &job_lock);
  g_mutex_unlock (&job_lock);
  if (job.netns_fd >= 0)
    close (job.netns_fd);
  if (!job.ok)
    {
      if (job.pidfd >= 0)
        close (job.pidfd);
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_FAILED, "cannot start %s: it could not %s: %s",
                   spawn->argv[0], step_names[job.failure[0]], g_strerror (job.failure[1]));
      return FALSE;
    }
  if (ret_pid != NULL)
    *ret_pid = job.pid;
  if (ret_pidfd != NULL)
    *ret_pidfd = job.pidfd;
  else if (job.pidfd >= 0)
    close (job.pidfd);
  return TRUE;
}
