/* Starting a guest's process: descriptors, limits, user, sandbox. */
#include "base/spawn.h"
#include "machine/disk.h"
#include "machine/process.h"
#include "machine/qemu_args.h"
#include "machine/qemu_private.h"
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define DISKS_MAX MOOSH_REQUEST_VOLUMES_MAX
#define FDS_MAX   (8 + DISKS_MAX)
/* What the process takes beside the guest's memory: QEMU itself, TCG's cache, disk and network
 * buffers. */
#define OVERHEAD_MIB 384
/* Processor time for the emulator's own threads, on top of what the guest bought. */
#define OVERHEAD_CPU_MILLI 200
#define PIDS_MAX           128

typedef struct {
  int all[FDS_MAX]; /* everything to close here and to pass there, ended by -1 */
  guint n;
  int disks[DISKS_MAX];
  MooshQemuArgs args;
} Handles;

/* Remember a descriptor that is to be handed over. */
static gboolean
hold (Handles *handles, int fd, int *ret, const char *what, int code, GError **error)
{
  if (fd < 0)
    {
      g_set_error (error, MOOSH_ERROR, code, "cannot open the guest's %s: %s", what,
                   g_strerror (errno));
      return FALSE;
    }
  handles->all[handles->n++] = fd;
  handles->all[handles->n] = -1;
  *ret = fd;
  return TRUE;
}

static void
close_all (Handles *handles)
{
  for (guint i = 0; i < handles->n; i++)
    close (handles->all[i]);
}

/* A socket bound where we find it again; the process listens on it. */
static int
bind_socket (const char *path)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  int fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

  if (strlen (path) >= sizeof address.sun_path)
    {
      close (fd);
      errno = ENAMETOOLONG;
      return -1;
    }
  g_strlcpy (address.sun_path, path, sizeof address.sun_path);
  g_unlink (path);
  if (fd >= 0
      && (bind (fd, (struct sockaddr *)&address, sizeof address) != 0 || listen (fd, 1) != 0))
    {
      close (fd);
      return -1;
    }
  return fd;
}

/* The disk key in memory that only the guest's user can open again: QEMU reads secrets by path. */
static int
copy_key (const char *path, uid_t uid)
{
  g_autofree char *key = NULL;
  gsize len;
  int fd = memfd_create ("key", MFD_CLOEXEC);

  if (fd >= 0
      && (!g_file_get_contents (path, &key, &len, NULL) || write (fd, key, len) != (ssize_t)len
          || fchmod (fd, 0400) != 0 || fchown (fd, uid, (gid_t)-1) != 0))
    {
      close (fd);
      fd = -1;
    }
  if (key != NULL)
    explicit_bzero (key, len);
  return fd;
}

static gboolean
open_disks (MooshQemu *qemu, const MooshMachine *m, Handles *handles, GError **error)
{
  g_autofree char *dir = moosh_qemu_path (qemu, m->id, "disk"), *key = moosh_disk_key (dir);
  guint n = 0;

  for (; n < DISKS_MAX; n++)
    {
      g_autofree char *path = moosh_disk_volume (dir, n);
      int fd = open (path, O_RDWR | O_CLOEXEC);
      if (fd < 0 && errno == ENOENT && n > 0)
        break;
      if (!hold (handles, fd, &handles->disks[n], "disk", MOOSH_ERROR_FAILED, error))
        return FALSE;
    }
  handles->args.disk_fds = handles->disks;
  handles->args.n_disks = n;
  return hold (handles, copy_key (key, (uid_t)m->uid), &handles->args.key_fd, "disk key",
               MOOSH_ERROR_FAILED, error);
}

static gboolean
open_handles (MooshQemu *qemu, const MooshMachine *m, Handles *handles, GError **error)
{
  g_autofree char *seed = moosh_qemu_path (qemu, m->id, "seed.iso"),
                  *qmp = moosh_qemu_path (qemu, m->id, "qmp");
  g_autofree char *console = moosh_qemu_path (qemu, m->id, "console.sock");
  MooshQemuArgs *args = &handles->args;

  args->store_fd = -1;
  return hold (handles, open (m->kernel, O_RDONLY | O_CLOEXEC), &args->kernel_fd, "kernel",
               MOOSH_ERROR_NOT_FOUND, error)
         && hold (handles, open (m->initrd, O_RDONLY | O_CLOEXEC), &args->initrd_fd, "initrd",
                  MOOSH_ERROR_NOT_FOUND, error)
         && (m->store_image == NULL
             || hold (handles, open (m->store_image, O_RDONLY | O_CLOEXEC), &args->store_fd,
                      "store image", MOOSH_ERROR_NOT_FOUND, error))
         && hold (handles, open (seed, O_RDONLY | O_CLOEXEC), &args->seed_fd, "seed",
                  MOOSH_ERROR_FAILED, error)
         && open_disks (qemu, m, handles, error)
         && hold (handles, bind_socket (qmp), &args->qmp_fd, "monitor socket", MOOSH_ERROR_FAILED,
                  error)
         && hold (handles, bind_socket (console), &args->console_fd, "console socket",
                  MOOSH_ERROR_FAILED, error);
}

static gboolean
make_limits (MooshQemu *qemu, const MooshMachine *m, MooshSpawn *spawn, char ***ret_procs,
             GError **error)
{
  g_autofree char *group = moosh_qemu_cgroup (qemu, m->id);
  gint64 memory = ((gint64)m->units.ram_mib + OVERHEAD_MIB) * 1024 * 1024;
  MooshCgroupLimits limits
      = { moosh_cores_count (&m->cores) > 0 ? 0 : m->units.vcpu_milli + OVERHEAD_CPU_MILLI, memory,
          PIDS_MAX };

  spawn->files_max = 1024;
  if (qemu->limits == MOOSH_LIMITS_RLIMITS)
    {
      spawn->processes_max = PIDS_MAX;
      /* address space: libraries, stacks, reserved caches */
      spawn->memory_max = (guint64)memory + G_GUINT64_CONSTANT (2) * 1024 * 1024 * 1024;
    }
  if (!moosh_cgroup_make (qemu->limits, qemu->cgroup_root, group, &limits, ret_procs, error))
    return FALSE;
  for (guint i = 0; (*ret_procs)[i] != NULL && i < G_N_ELEMENTS (spawn->cgroup_procs) - 1; i++)
    spawn->cgroup_procs[i] = (*ret_procs)[i];
  return TRUE;
}

/* What the process said before it ended; waits for a moment for the last words. New string. */
static char *
last_words (int fd)
{
  struct pollfd poller = { fd, POLLIN, 0 };
  char text[2048];
  GString *all = g_string_new (NULL);
  ssize_t got = 1;

  while (all->len < 8192 && poll (&poller, 1, 2000) > 0 && (got = read (fd, text, sizeof text)) > 0)
    g_string_append_len (all, text, got);
  g_strstrip (all->str);
  return g_string_free (all, FALSE);
}

void
moosh_qemu_explain (const MooshMachine *m, int stderr_fd, GError **error)
{
  g_autofree char *words = NULL;
  gboolean port_taken;

  moosh_process_kill_user ((uid_t)m->uid, 5000, NULL);
  waitpid ((pid_t)m->pid, NULL, WNOHANG); /* it is our child, and may have ended by itself */
  words = last_words (stderr_fd);
  port_taken = strstr (words, "host forwarding rule") != NULL;
  g_clear_error (error);
  g_set_error (error, MOOSH_ERROR, port_taken ? MOOSH_ERROR_CONFLICT : MOOSH_ERROR_FAILED,
               "agreement %s: QEMU did not start: %s", m->agreement,
               words[0] ? words : "it gave no reason");
}

static gboolean
spawn_guest (MooshQemu *qemu, MooshMachine *m, Handles *handles, int *ret_pidfd, int *ret_stderr_fd,
             GError **error)
{
  g_auto (GStrv) argv = moosh_qemu_args (&handles->args), procs = NULL;
  MooshSpawn spawn = { .argv = (const char *const *)argv,
                       .set_ids = TRUE,
                       .uid = (uid_t)m->uid,
                       .gid = moosh_kvm_group ((gid_t)m->uid),
                       .no_new_privs = TRUE,
                       .outlives_us = TRUE,
                       .pass_fds = handles->all };
  int report[2], pidfd = -1;
  pid_t pid = 0;
  gboolean ok;

  if (!make_limits (qemu, m, &spawn, &procs, error))
    return FALSE;
  if (pipe2 (report, O_CLOEXEC) != 0)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_FAILED, "no pipe for the guest: %s",
                   g_strerror (errno));
      return FALSE;
    }
  spawn.stderr_fd = report[1];
  ok = moosh_spawn (&spawn, &pid, &pidfd, error);
  close (report[1]);
  close_all (handles); /* ours must close, or the monitor's socket would stay open after the process
                          has ended */
  handles->n = 0;
  if (!ok)
    {
      close (report[0]);
      return FALSE;
    }
  m->pid = pid;
  m->pid_start = moosh_process_start (pid);
  m->accel = g_strdup (moosh_accel_name (handles->args.accel));
  *ret_pidfd = pidfd;
  *ret_stderr_fd = report[0];
  return TRUE;
}

/* The cores if this host has them all: inventory may be told to sell cores that are not there, on a
 * developer's machine. */
static MooshCores
real_cores (const MooshCores *cores)
{
  for (guint core = g_get_num_processors (); core < MOOSH_CORES_MAX; core++)
    if (moosh_cores_has (cores, core))
      return (MooshCores){ { 0 } };
  return *cores;
}

gboolean
moosh_qemu_start (MooshQemu *qemu, MooshMachine *m, MooshAccel accel, int *ret_pidfd,
                  int *ret_stderr_fd, GError **error)
{
  MooshCores cores = real_cores (&m->cores);
  Handles handles
      = { .n = 0,
          .args
          = { .machine = m, .accel = accel, .cores = &cores, .listen_host = qemu->listen_host } };
  gboolean ok;

  if (moosh_cores_count (&cores) == 0)
    {
      g_mutex_lock (&qemu->lock);
      cores = qemu->shared_cores;
      g_mutex_unlock (&qemu->lock);
    }
  g_clear_pointer (&m->accel, g_free);
  ok = open_handles (qemu, m, &handles, error)
       && moosh_fence_set (qemu->fence, m->uid, m->internet, error)
       && spawn_guest (qemu, m, &handles, ret_pidfd, ret_stderr_fd, error);
  close_all (&handles);
  return ok;
}
