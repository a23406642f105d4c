#include "base/json.h"
#include "machine/disk.h"
#include "machine/process.h"
#include "machine/qemu_private.h"
#include "machine/ready.h"
#include "machine/seed.h"
#include <dirent.h>
#include <errno.h>
#include <glib-unix.h>
#include <glib/gstdio.h>
#include <sched.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define MONITOR_MS 10000
#define START_MS   30000

static MooshQemu *
qemu_of (MooshDriver *driver)
{
  return (MooshQemu *)(void *)driver;
}

char *
moosh_qemu_path (MooshQemu *qemu, gint64 id, const char *name)
{
  g_autofree char *number = g_strdup_printf ("%" G_GINT64_FORMAT, id);
  return g_build_filename (qemu->vm_dir, number, name, NULL);
}

char *
moosh_qemu_cgroup (MooshQemu *qemu, gint64 id)
{
  return g_strdup_printf ("%" G_GINT64_FORMAT "-%" G_GINT64_FORMAT, qemu->config.uid_first, id);
}

/* ---- the table of guests ---- */

static void
clear_guest (gpointer pointer)
{
  Guest *guest = pointer;

  if (guest->exit != NULL)
    {
      g_source_destroy (guest->exit);
      g_source_unref (guest->exit);
    }
  g_clear_pointer (&guest->qmp, moosh_qmp_free);
  g_clear_pointer (&guest->console, moosh_console_detach);
  if (guest->pidfd >= 0)
    close (guest->pidfd);
  if (guest->off_fd > 0)
    close (guest->off_fd);
  if (guest->over_fd > 0)
    close (guest->over_fd);
}

static void
unref_guest (gpointer guest)
{
  g_atomic_rc_box_release_full (guest, clear_guest);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Guest, unref_guest)

/* A new reference to the guest, or NULL: none is known. */
static Guest *
find_guest (MooshQemu *qemu, gint64 id)
{
  Guest *guest;

  g_mutex_lock (&qemu->lock);
  guest = g_hash_table_lookup (qemu->guests, &id);
  if (guest != NULL)
    g_atomic_rc_box_acquire (guest);
  g_mutex_unlock (&qemu->lock);
  return guest;
}

static void
forget_guest (MooshQemu *qemu, gint64 id)
{
  g_mutex_lock (&qemu->lock);
  g_hash_table_remove (qemu->guests, &id);
  g_mutex_unlock (&qemu->lock);
}

/* Who hears of what happens to one guest. */
typedef struct {
  MooshQemu *qemu;
  gint64 id;
} Listener;

static gboolean
on_ended (int pidfd, GIOCondition condition, gpointer data)
{
  Listener *listener = data;

  (void)condition;
  waitid (P_PIDFD, (id_t)pidfd, &(siginfo_t){ 0 },
          WEXITED | WNOHANG); /* reaps it if it is our child */
  listener->qemu->config.event (listener->id, TRUE, listener->qemu->config.event_data);
  return G_SOURCE_REMOVE;
}

/* For who waits for it to boot. Under the lock and without a reference: the last one must not be
 * dropped by the guest's own monitor. */
static void
say_off (const Listener *listener)
{
  const Guest *guest;

  g_mutex_lock (&listener->qemu->lock);
  guest = g_hash_table_lookup (listener->qemu->guests, &listener->id);
  if (guest != NULL)
    eventfd_write (guest->off_fd, 1);
  g_mutex_unlock (&listener->qemu->lock);
}

static void
on_monitor (const char *name, JsonObject *data, gpointer user_data)
{
  Listener *listener = user_data;

  (void)data;
  if (name != NULL && strcmp (name, "SHUTDOWN") == 0)
    say_off (listener);
  if (name == NULL || strcmp (name, "SHUTDOWN") == 0 || strcmp (name, "BLOCK_IO_ERROR") == 0)
    listener->qemu->config.event (listener->id, name == NULL, listener->qemu->config.event_data);
}

/* One descriptor for both ways in which a guest that boots can be over. */
static gboolean
make_over_fd (Guest *guest, GError **error)
{
  struct epoll_event event = { .events = EPOLLIN };

  guest->off_fd = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
  guest->over_fd = epoll_create1 (EPOLL_CLOEXEC);
  if (guest->off_fd >= 0 && guest->over_fd >= 0
      && epoll_ctl (guest->over_fd, EPOLL_CTL_ADD, guest->pidfd, &event) == 0
      && epoll_ctl (guest->over_fd, EPOLL_CTL_ADD, guest->off_fd, &event) == 0)
    return TRUE;
  g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_FAILED, "cannot watch the guest: %s",
               g_strerror (errno));
  return FALSE;
}

/* Begin to watch a process: its end, its monitor, its console. Takes `pidfd`. */
static gboolean
watch_guest (MooshQemu *qemu, MooshMachine *m, int pidfd, GError **error)
{
  g_autoptr (Guest) guest = g_atomic_rc_box_new0 (Guest);
  g_autofree char *qmp = moosh_qemu_path (qemu, m->id, "qmp"),
                  *ring = moosh_qemu_path (qemu, m->id, "console");
  g_autofree char *socket = moosh_qemu_path (qemu, m->id, "console.sock");
  Listener listener = { qemu, m->id };

  guest->id = m->id;
  guest->pid = (pid_t)m->pid;
  guest->pidfd = pidfd;
  guest->pinned = moosh_cores_count (&m->cores) > 0;
  if (!make_over_fd (guest, error))
    return FALSE;
  guest->exit = g_unix_fd_source_new (pidfd, G_IO_IN);
  g_source_set_callback (guest->exit, G_SOURCE_FUNC (on_ended),
                         g_memdup2 (&listener, sizeof listener), g_free);
  guest->qmp = moosh_qmp_new (qemu->context, qmp, START_MS, on_monitor,
                              g_memdup2 (&listener, sizeof listener), g_free, error);
  if (guest->qmp == NULL)
    return FALSE;
  guest->console = moosh_console_attach (qemu->context, socket, ring, error);
  if (guest->console == NULL)
    return FALSE;
  g_mutex_lock (&qemu->lock);
  g_hash_table_replace (qemu->guests, &guest->id, g_atomic_rc_box_acquire (guest));
  g_mutex_unlock (&qemu->lock);
  g_source_attach (guest->exit, qemu->context);
  return TRUE;
}

/* ---- the driver's calls ---- */

static gboolean
create (MooshDriver *driver, MooshMachine *m, const MooshRequest *request, GError **error)
{
  MooshQemu *qemu = qemu_of (driver);
  g_autofree char *disk = moosh_qemu_path (qemu, m->id, "disk"),
                  *seed = moosh_qemu_path (qemu, m->id, "seed.iso");
  g_autofree char *spare = g_build_filename (qemu->vm_dir, "spare", NULL);
  g_autofree char *hostname = g_strdup (m->agreement), *host_key = NULL;
  guint32 gib[MOOSH_REQUEST_VOLUMES_MAX] = { m->units.disk_gib };
  guint n = MAX (request->volumes->len, 1);

  for (guint i = 0; i < request->volumes->len; i++)
    gib[i] = g_array_index (request->volumes, MooshVolume, i).gib;
  for (char *p = g_strdelimit (hostname, "._", '-'); *p != '\0'; p++)
    *p = g_ascii_tolower (*p);
  if (strlen (hostname) > 63)
    hostname[63] = '\0';
  if (!moosh_disk_make (disk, spare, gib, n, error))
    return FALSE;
  if (m->host_key != NULL && g_file_test (seed, G_FILE_TEST_EXISTS))
    return TRUE;
  if (!moosh_seed_make (seed, request, m->request_hash, hostname, &host_key, error))
    return FALSE;
  g_free (m->host_key);
  m->host_key = g_steal_pointer (&host_key);
  return TRUE;
}

static gboolean kill_guest (MooshDriver *driver, MooshMachine *m, gboolean for_good,
                            GError **error);

static gboolean
deploy (MooshDriver *driver, MooshMachine *m, GError **error)
{
  MooshQemu *qemu = qemu_of (driver);
  MooshAccel accel = moosh_qemu_accel (qemu, FALSE, NULL);
  int pidfd = -1, stderr_fd = -1;
  gboolean ok;

  if (accel == MOOSH_ACCEL_NONE)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_UNAVAILABLE,
                   "no guest boots on this host: see host.measure");
      return FALSE;
    }
  ok = moosh_qemu_start (qemu, m, accel, &pidfd, &stderr_fd, error);
  if (ok && !(ok = watch_guest (qemu, m, pidfd, error)))
    moosh_qemu_explain (m, stderr_fd, error);
  if (stderr_fd >= 0)
    close (stderr_fd);
  if (!ok)
    kill_guest (driver, m, FALSE, NULL);
  return ok;
}

static gboolean
adopt (MooshDriver *driver, MooshMachine *m, GError **error)
{
  MooshQemu *qemu = qemu_of (driver);
  pid_t pid = m->uid > 0 ? moosh_process_of_users ((uid_t)m->uid, 1) : 0;
  int pidfd = pid > 0 ? (int)syscall (SYS_pidfd_open, pid, 0) : -1;
  g_autoptr (GError) local = NULL;

  m->pid = pidfd >= 0 ? pid : 0;
  m->pid_start = pidfd >= 0 ? moosh_process_start (pid) : 0;
  if (pidfd < 0 || watch_guest (qemu, m, pidfd, &local))
    return TRUE;
  g_warning ("agreement %s: guest process %d cannot be adopted, it is ended: %s", m->agreement,
             (int)pid, local->message);
  return kill_guest (driver, m, FALSE, error);
}

static void
count_booting (MooshQemu *qemu, int change)
{
  g_mutex_lock (&qemu->lock);
  qemu->booting = (guint)((int)qemu->booting + change);
  g_cond_broadcast (&qemu->changed);
  g_mutex_unlock (&qemu->lock);
}

static gboolean
wait_ready (MooshDriver *driver, MooshMachine *m, gint64 deadline_us, GCancellable *stop,
            GError **error)
{
  MooshQemu *qemu = qemu_of (driver);
  g_autoptr (Guest) guest = find_guest (qemu, m->id);
  const char *host = qemu->listen_host;
  gboolean ok;
  g_autoptr (GInetAddress) address = g_inet_address_new_from_string (host);

  if (address != NULL && g_inet_address_get_is_any (address))
    host = g_inet_address_get_family (address) == G_SOCKET_FAMILY_IPV4 ? "127.0.0.1" : "::1";
  if (guest == NULL)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_FAILED, "agreement %s: there is no guest",
                   m->agreement);
      return FALSE;
    }
  count_booting (qemu, 1);
  ok = moosh_ready_wait (host, moosh_machine_port (m, 22), guest->over_fd, deadline_us, stop,
                         error);
  count_booting (qemu, -1);
  return ok;
}

/* Run a monitor command of a guest that must exist; "" counts as an answer. New object. */
static JsonObject *
monitor (MooshDriver *driver, MooshMachine *m, const char *command, GError **error)
{
  g_autoptr (Guest) guest = find_guest (qemu_of (driver), m->id);

  if (guest != NULL)
    return moosh_qmp_call (guest->qmp, command, NULL, MONITOR_MS, error);
  g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_CONFLICT, "agreement %s: there is no guest",
               m->agreement);
  return NULL;
}

static gboolean
command (MooshDriver *driver, MooshMachine *m, const char *name, GError **error)
{
  g_autoptr (JsonObject) done = monitor (driver, m, name, error);
  return done != NULL;
}

static gboolean
pause_guest (MooshDriver *driver, MooshMachine *m, GError **error)
{
  return command (driver, m, "stop", error);
}

static gboolean
resume (MooshDriver *driver, MooshMachine *m, GError **error)
{
  return command (driver, m, "cont", error);
}

static gboolean
reboot (MooshDriver *driver, MooshMachine *m, GError **error)
{
  g_autoptr (Guest) guest = find_guest (qemu_of (driver), m->id);
  eventfd_t before;

  if (guest != NULL)
    eventfd_read (guest->off_fd, &before); /* it may have been off: now it is not */
  return command (driver, m, "system_reset", error) && command (driver, m, "cont", error);
}

static gboolean
power_button (MooshDriver *driver, MooshMachine *m, GError **error)
{
  return command (driver, m, "cont", error) && command (driver, m, "system_powerdown", error);
}

/* QEMU's RunState (qapi/run-state.json) in our words. "internal-error" and the like are as good as
 * dead. */
static const struct {
  const char *name;
  MooshGuestState state;
} run_states[] = {
  { "prelaunch", MOOSH_GUEST_LOADED }, { "running", MOOSH_GUEST_RUNNING },
  { "paused", MOOSH_GUEST_PAUSED },    { "io-error", MOOSH_GUEST_STUCK },
  { "shutdown", MOOSH_GUEST_OFF },
};

static gboolean
status (MooshDriver *driver, MooshMachine *m, MooshGuestState *ret, GError **error)
{
  MooshQemu *qemu = qemu_of (driver);
  g_autoptr (Guest) guest = find_guest (qemu, m->id);
  g_autoptr (JsonObject) answer = NULL;
  g_autoptr (GError) local = NULL;
  const char *name;

  *ret = MOOSH_GUEST_ABSENT;
  if (guest == NULL)
    return TRUE;
  answer = moosh_qmp_call (guest->qmp, "query-status", NULL, MONITOR_MS, &local);
  name = answer != NULL ? moosh_json_string_or (answer, "status", "") : "";
  for (guint i = 0; i < G_N_ELEMENTS (run_states); i++)
    if (strcmp (name, run_states[i].name) == 0)
      {
        *ret = run_states[i].state;
        return TRUE;
      }
  /* dead, or deaf: either way there must be nothing left of it before the next one starts */
  g_debug ("agreement %s: guest is %s", m->agreement, local != NULL ? local->message : name);
  return kill_guest (driver, m, FALSE, error);
}

static gboolean
kill_guest (MooshDriver *driver, MooshMachine *m, gboolean for_good, GError **error)
{
  MooshQemu *qemu = qemu_of (driver);
  g_autofree char *group = moosh_qemu_cgroup (qemu, m->id),
                  *seed = moosh_qemu_path (qemu, m->id, "seed.iso");
  static const char *const sockets[] = { "qmp", "console.sock" };

  forget_guest (qemu, m->id);
  if (m->uid != 0 && !moosh_process_kill_user ((uid_t)m->uid, 20000, error))
    return FALSE;
  m->pid = m->pid_start = 0;
  moosh_cgroup_remove (qemu->limits, qemu->cgroup_root, group);
  for (guint i = 0; i < G_N_ELEMENTS (sockets); i++)
    {
      g_autofree char *path = moosh_qemu_path (qemu, m->id, sockets[i]);
      g_unlink (path);
    }
  if (for_good && g_unlink (seed) != 0 && errno != ENOENT)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_FAILED, "cannot remove %s: %s", seed,
                   g_strerror (errno));
      return FALSE;
    }
  return m->uid == 0 || moosh_fence_set (qemu->fence, m->uid, FALSE, error);
}

static gboolean
destroy (MooshDriver *driver, MooshMachine *m, GError **error)
{
  g_autofree char *disk = moosh_qemu_path (qemu_of (driver), m->id, "disk");
  return moosh_disk_destroy (disk, error);
}

/* ---- cores, firewall, acceleration ---- */

static void
pin (pid_t pid, const MooshCores *cores)
{
  g_autofree char *path = g_strdup_printf ("/proc/%d/task", (int)pid);
  DIR *tasks = opendir (path);
  struct dirent *entry;
  cpu_set_t set;

  CPU_ZERO (&set);
  for (guint core = 0; core < MOOSH_CORES_MAX; core++)
    if (moosh_cores_has (cores, core) || moosh_cores_count (cores) == 0)
      CPU_SET (core, &set);
  while (tasks != NULL && (entry = readdir (tasks)) != NULL)
    {
      guint64 tid;
      if (g_ascii_string_to_unsigned (entry->d_name, 10, 1, G_MAXINT, &tid, NULL))
        sched_setaffinity ((pid_t)tid, sizeof set, &set);
    }
  if (tasks != NULL)
    closedir (tasks);
}

void
moosh_qemu_share_cores (MooshQemu *qemu, const MooshCores *cores)
{
  GHashTableIter iter;
  gpointer value;

  g_mutex_lock (&qemu->lock);
  qemu->shared_cores = *cores;
  g_hash_table_iter_init (&iter, qemu->guests);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    if (!((Guest *)value)->pinned)
      pin (((Guest *)value)->pid, cores);
  g_mutex_unlock (&qemu->lock);
}

gboolean
moosh_qemu_keep_fence (MooshQemu *qemu, GError **error)
{
  return moosh_fence_keep (qemu->fence, error);
}

MooshAccel
moosh_qemu_accel (MooshQemu *qemu, gboolean again, char **ret_note)
{
  MooshAccel accel;

  g_mutex_lock (&qemu->lock);
  if (again)
    {
      qemu->accel_known = FALSE;
      g_cond_broadcast (&qemu->changed);
    }
  while (!qemu->accel_known && !qemu->stopping)
    g_cond_wait (&qemu->changed, &qemu->lock);
  accel = qemu->accel;
  if (ret_note != NULL)
    *ret_note = g_strdup (qemu->accel_note);
  g_mutex_unlock (&qemu->lock);
  return accel;
}

MooshLimitsKind
moosh_qemu_limits (MooshQemu *qemu, const char **ret_note)
{
  *ret_note = qemu->limits_note;
  return qemu->limits;
}

/* ---- life ---- */

/* Probe, then keep a spare disk ready, whenever somebody says that something changed. With the lock
 * held but for the work itself. */
static gpointer
help (gpointer pointer)
{
  MooshQemu *qemu = pointer;
  g_autofree char *spare = g_build_filename (qemu->vm_dir, "spare", NULL);
  g_autofree char *remembered = g_build_filename (qemu->vm_dir, "accel", NULL);
  gboolean spare_failed = FALSE;

  g_mutex_lock (&qemu->lock);
  qemu->accel_known = moosh_accel_recall (remembered, &qemu->accel, &qemu->accel_note);
  g_cond_broadcast (&qemu->changed);
  while (!qemu->stopping)
    {
      g_autoptr (GError) error = NULL;
      g_autofree char *note = NULL;
      MooshAccel accel;

      if (!qemu->accel_known)
        {
          g_mutex_unlock (&qemu->lock);
          accel = moosh_accel_probe ((uid_t)qemu->config.uid_first, &note);
          moosh_accel_remember (remembered, accel, note);
          g_mutex_lock (&qemu->lock);
          qemu->accel = accel;
          qemu->accel_known = TRUE;
          g_free (qemu->accel_note);
          qemu->accel_note = g_steal_pointer (&note);
          g_cond_broadcast (&qemu->changed);
        }
      else if (qemu->config.spares > 0 && !spare_failed && qemu->booting == 0
               && !g_file_test (spare, G_FILE_TEST_EXISTS))
        {
          g_mutex_unlock (&qemu->lock);
          if ((spare_failed = !moosh_disk_make_spare (spare, &error)))
            g_warning ("no spare disk: %s", error->message);
          g_mutex_lock (&qemu->lock);
        }
      else
        {
          g_cond_wait (&qemu->changed, &qemu->lock);
          spare_failed = FALSE;
        }
    }
  g_mutex_unlock (&qemu->lock);
  return NULL;
}

static gpointer
run_loop (gpointer pointer)
{
  MooshQemu *qemu = pointer;

  g_main_context_push_thread_default (qemu->context);
  g_main_loop_run (qemu->loop);
  g_main_context_pop_thread_default (qemu->context);
  return NULL;
}

static void
free_qemu (MooshDriver *driver)
{
  MooshQemu *qemu = qemu_of (driver);

  g_mutex_lock (&qemu->lock);
  qemu->stopping = TRUE;
  g_cond_broadcast (&qemu->changed);
  g_mutex_unlock (&qemu->lock);
  if (qemu->helper != NULL)
    g_thread_join (qemu->helper);
  if (qemu->thread != NULL)
    {
      g_main_loop_quit (qemu->loop);
      g_thread_join (qemu->thread);
    }
  g_hash_table_unref (qemu->guests);
  g_clear_pointer (&qemu->fence, moosh_fence_free);
  g_main_loop_unref (qemu->loop);
  g_main_context_unref (qemu->context);
  g_mutex_clear (&qemu->lock);
  g_cond_clear (&qemu->changed);
  g_free (qemu->vm_dir);
  g_free (qemu->listen_host);
  g_free (qemu->cgroup_root);
  g_free (qemu->limits_note);
  g_free (qemu->accel_note);
  g_free (qemu);
}

static const MooshDriver calls = {
  .name = "qemu",
  .create = create,
  .deploy = deploy,
  .adopt = adopt,
  .wait_ready = wait_ready,
  .status = status,
  .pause = pause_guest,
  .resume = resume,
  .reboot = reboot,
  .power_button = power_button,
  .kill = kill_guest,
  .destroy = destroy,
  .free = free_qemu,
};

MooshDriver *
moosh_qemu_driver (MooshQemu *qemu)
{
  return &qemu->driver;
}

MooshQemu *
moosh_qemu_new (const MooshQemuConfig *config, const gint64 *online, guint n_online, GError **error)
{
  MooshQemu *qemu = g_new0 (MooshQemu, 1);

  qemu->driver = calls;
  qemu->config = *config;
  qemu->vm_dir = g_strdup (config->vm_dir);
  qemu->listen_host = g_strdup (config->listen_host);
  qemu->cgroup_root = g_strdup (config->cgroup_root ? config->cgroup_root : "/sys/fs/cgroup");
  qemu->limits = moosh_cgroup_detect (qemu->cgroup_root, &qemu->limits_note);
  qemu->context = g_main_context_new ();
  qemu->loop = g_main_loop_new (qemu->context, FALSE);
  qemu->guests = g_hash_table_new_full (g_int64_hash, g_int64_equal, NULL, unref_guest);
  g_mutex_init (&qemu->lock);
  g_cond_init (&qemu->changed);
  qemu->fence = moosh_fence_new (config->uid_first, config->uid_count, online, n_online, error);
  if (qemu->fence == NULL)
    {
      free_qemu (&qemu->driver);
      return NULL;
    }
  qemu->thread = g_thread_new ("guests", run_loop, qemu);
  qemu->helper = g_thread_new ("helper", help, qemu);
  return qemu;
}
