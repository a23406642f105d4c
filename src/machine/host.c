#include "base/json.h"
#include "machine/host_private.h"
#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEEP_FENCE_S 30
#define TIDY_S       600

/* ---- workers ---- */

static void
free_worker (gpointer pointer)
{
  Worker *worker = pointer;
  g_object_unref (worker->stop);
  g_free (worker->step);
  g_free (worker->error);
  g_free (worker);
}

/* With the lock held. */
static void
push (MooshHost *host, Worker *worker)
{
  worker->busy = TRUE;
  g_thread_pool_push (host->pool, worker, NULL);
}

/* With the lock held. */
static Worker *
worker_of (MooshHost *host, gint64 id)
{
  Worker *worker = g_hash_table_lookup (host->workers, &id);

  if (worker == NULL)
    {
      worker = g_new0 (Worker, 1);
      worker->id = id;
      worker->stop = g_cancellable_new ();
      g_hash_table_insert (host->workers, &worker->id, worker);
    }
  return worker;
}

void
moosh_host_kick (MooshHost *host, gint64 id, gboolean interrupt)
{
  Worker *worker;

  g_mutex_lock (&host->lock);
  worker = worker_of (host, id);
  if (interrupt)
    g_cancellable_cancel (worker->stop);
  worker->again = TRUE;
  if (!worker->busy && !host->stopping)
    push (host, worker);
  g_cond_broadcast (&host->changed);
  g_mutex_unlock (&host->lock);
}

/* A pool thread: drive until nobody has said that something changed. */
static void
work (gpointer pointer, gpointer user_data)
{
  Worker *worker = pointer;
  MooshHost *host = user_data;

  g_mutex_lock (&host->lock);
  while (worker->again && !host->stopping)
    {
      g_autoptr (GCancellable) stop = NULL;

      worker->again = FALSE;
      if (g_cancellable_is_cancelled (worker->stop))
        {
          g_object_unref (worker->stop);
          worker->stop = g_cancellable_new ();
        }
      stop = g_object_ref (worker->stop);
      g_mutex_unlock (&host->lock);
      moosh_host_drive (host, worker->id, stop);
      g_mutex_lock (&host->lock);
    }
  worker->busy = FALSE;
  g_cond_broadcast (&host->changed);
  g_mutex_unlock (&host->lock);
}

static void
on_guest_event (gint64 id, gboolean gone, gpointer user_data)
{
  /* who waits for SSH sees the end by itself; of anything else it has to be told */
  moosh_host_kick (user_data, id, !gone);
}

gboolean
moosh_host_save (MooshHost *host, const MooshMachine *m, GError **error)
{
  gboolean ok = moosh_journal_save (host->store, m, error);
  Worker *worker;

  g_mutex_lock (&host->lock);
  worker = worker_of (host, m->id);
  g_clear_pointer (&worker->step, g_free);
  g_clear_pointer (&worker->error, g_free);
  worker->unsaved = !ok;
  if (!ok)
    {
      worker->state = m->state;
      worker->step = g_strdup (m->step);
      worker->error = g_strdup (m->error);
    }
  g_cond_broadcast (&host->changed);
  g_mutex_unlock (&host->lock);
  if (!ok)
    moosh_host_look_at (host, g_get_real_time () / G_USEC_PER_SEC + MOOSH_RETRY_S);
  return ok;
}

void
moosh_host_show (MooshHost *host, MooshMachine *m)
{
  const Worker *worker = g_hash_table_lookup (host->workers, &m->id);

  if (worker == NULL || !worker->unsaved)
    return;
  m->state = worker->state;
  g_free (m->step);
  g_free (m->error);
  m->step = g_strdup (worker->step);
  m->error = g_strdup (worker->error);
}

/* ---- the clock: retention ends, and somebody may flush our firewall ---- */

void
moosh_host_look_at (MooshHost *host, gint64 at_s)
{
  gint64 wait_us = MAX (at_s * G_USEC_PER_SEC - g_get_real_time (), 0);

  g_mutex_lock (&host->lock);
  host->next_look_us = MIN (host->next_look_us, g_get_monotonic_time () + wait_us);
  g_cond_broadcast (&host->changed);
  g_mutex_unlock (&host->lock);
}

gboolean
moosh_host_unsaved (MooshHost *host, const MooshMachine *m)
{
  const Worker *worker;
  gboolean unsaved;

  g_mutex_lock (&host->lock);
  worker = g_hash_table_lookup (host->workers, &m->id);
  unsaved = worker != NULL && worker->unsaved;
  g_mutex_unlock (&host->lock);
  return unsaved;
}

/* Is there something to try again? */
static gboolean
waits (MooshHost *host, const MooshMachine *m)
{
  return moosh_host_unsaved (host, m) || m->want == MOOSH_WANT_GONE
         || g_str_has_prefix (m->step, "waiting");
}

static void
look (MooshHost *host)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) machines = moosh_journal_machines (host->store, TRUE, &error);
  gboolean guests = FALSE;

  for (guint i = 0; machines != NULL && i < machines->len; i++)
    {
      const MooshMachine *m = g_ptr_array_index (machines, i);
      guests = guests || m->pid != 0;
      if (waits (host, m))
        moosh_host_kick (host, m->id, FALSE);
    }
  if (machines == NULL || (guests && !moosh_qemu_keep_fence (host->qemu, &error)))
    g_warning ("%s", error->message);
}

static gpointer
watch_clock (gpointer pointer)
{
  MooshHost *host = pointer;

  g_mutex_lock (&host->lock);
  while (!host->stopping)
    {
      if (g_get_monotonic_time () < host->next_look_us)
        {
          g_cond_wait_until (&host->changed, &host->lock, host->next_look_us);
          continue;
        }
      host->next_look_us = g_get_monotonic_time () + KEEP_FENCE_S * G_USEC_PER_SEC;
      g_mutex_unlock (&host->lock);
      look (host);
      if (g_get_monotonic_time () >= host->next_tidy_us)
        {
          host->next_tidy_us = g_get_monotonic_time () + TIDY_S * G_USEC_PER_SEC;
          moosh_host_tidy (host);
        }
      g_mutex_lock (&host->lock);
    }
  g_mutex_unlock (&host->lock);
  return NULL;
}

/* ---- start and end ---- */

/* <moosh> of blueprints: set, or beside the program in a checkout, or installed. */
static char *
find_nix_dir (const MooshHostConfig *config)
{
  g_autofree char *program = g_file_read_link ("/proc/self/exe", NULL);
  g_autofree char *dir = program ? g_path_get_dirname (program) : g_strdup ("/");

  if (config->nix_dir != NULL)
    return g_strdup (config->nix_dir);
  for (int up = 0; up < 5; up++)
    {
      g_autofree char *candidate = g_build_filename (dir, "nix", NULL);
      g_autofree char *micro = g_build_filename (candidate, "micro", "default.nix", NULL),
                      *parent = NULL;

      if (g_file_test (micro, G_FILE_TEST_EXISTS))
        return g_steal_pointer (&candidate);
      parent = g_path_get_dirname (dir);
      g_free (dir);
      dir = g_steal_pointer (&parent);
    }
  return g_strdup ("/usr/share/mooshnet/nix");
}

static void
open_builder (MooshHost *host)
{
  MooshHostConfig *c = &host->config;
  g_autofree char *nix_dir = find_nix_dir (c);
  g_autoptr (GError) error = NULL;
  const guint64 mib = 1024 * 1024;
  MooshBuilderConfig builder = {
    .state_dir = c->build_dir,
    .guest_dir = c->guest_dir,
    .nix_dir = nix_dir,
    .allow_file = c->allow_file_urls,
    .allow_private_hosts = c->allow_private_hosts,
    .ssh_key = c->ssh_key,
    .limits = { .fetch_s = (guint)c->fetch_s,
                .fetch_bytes = (guint64)c->fetch_mib * mib,
                .eval_s = (guint)c->eval_s,
                .eval_memory = (guint64)c->eval_mib * mib,
                .build_s = (guint)c->build_s,
                .build_silence_s = (guint)c->build_silence_s,
                .build_memory = (guint64)c->build_mib * mib,
                .build_processes = (guint)c->build_processes,
                .build_bytes = (guint64)c->build_disk_mib * mib,
                .build_cores = (guint)c->build_cores,
                .concurrent = (guint)c->builds_at_once },
  };

  host->builder = moosh_builder_new (&builder, &error);
  if (host->builder == NULL)
    {
      g_warning ("no builds: %s", error->message);
      host->builder_error = g_strdup (error->message);
    }
}

static gboolean
open_driver (MooshHost *host, GPtrArray *machines, GError **error)
{
  g_autofree char *vm_dir = g_build_filename (host->config.state_dir, "vm", NULL);
  g_autoptr (GArray) online = g_array_new (FALSE, FALSE, sizeof (gint64));
  MooshQemuConfig config = { .vm_dir = vm_dir,
                             .listen_host = host->config.listen_host,
                             .uid_first = host->config.uid_first,
                             .uid_count = host->config.uid_count,
                             .spares = (guint)host->config.spare_disks,
                             .event = on_guest_event,
                             .event_data = host };

  if (strlen (vm_dir) + strlen ("/1000000/console.sock") >= 108) /* sun_path */
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE,
                   "state directory %s: its name is too long for the sockets of guests",
                   host->config.state_dir);
      return FALSE;
    }
  if (g_mkdir_with_parents (vm_dir, 0700) != 0)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_FAILED, "cannot make %s: %s", vm_dir,
                   g_strerror (errno));
      return FALSE;
    }
  for (guint i = 0; i < machines->len; i++)
    {
      const MooshMachine *m = g_ptr_array_index (machines, i);
      if (m->uid != 0 && m->internet && m->want != MOOSH_WANT_GONE)
        g_array_append_val (online, m->uid);
    }
  host->qemu = moosh_qemu_new (&config, (const gint64 *)(void *)online->data, online->len, error);
  if (host->qemu == NULL)
    return FALSE;
  host->driver = moosh_qemu_driver (host->qemu);
  return TRUE;
}

/* Nothing of ours runs: leave no rules and claims behind. */
static void
leave_host (MooshHost *host)
{
  g_autoptr (GPtrArray) machines = moosh_journal_machines (host->store, TRUE, NULL);
  gboolean guests = machines == NULL;

  for (guint i = 0; machines != NULL && i < machines->len; i++)
    guests = guests || ((MooshMachine *)g_ptr_array_index (machines, i))->uid != 0;
  if (!guests)
    moosh_host_unclaim_users (&host->config);
}

/* Processors no dedicated pool owns are everybody else's. */
static gboolean
share_cores (MooshHost *host, GError **error)
{
  g_autoptr (GPtrArray) pools = moosh_journal_pools (host->store, error);
  MooshCores shared = { { 0 } };

  if (pools == NULL)
    return FALSE;
  for (guint core = 0; core < MIN (g_get_num_processors (), MOOSH_CORES_MAX); core++)
    moosh_cores_add (&shared, core);
  for (guint i = 0; i < pools->len; i++)
    moosh_cores_drop (&shared, &((MooshPool *)g_ptr_array_index (pools, i))->cores);
  moosh_qemu_share_cores (host->qemu, &shared);
  return TRUE;
}

/* Journal against live processes: find every guest again, then let its worker decide. */
static gboolean
reconcile (MooshHost *host, GPtrArray *machines, GError **error)
{
  for (guint i = 0; i < machines->len; i++)
    {
      MooshMachine *m = g_ptr_array_index (machines, i);
      gint64 pid = m->pid;

      g_autoptr (GError) unsaved = NULL;

      if (m->uid != 0 && !host->driver->adopt (host->driver, m, error))
        return FALSE;
      /* a full disk is no reason not to look after the guests that run: the next save repairs it */
      if (m->pid != pid && !moosh_journal_save (host->store, m, &unsaved))
        g_warning ("agreement %s: %s", m->agreement, unsaved->message);
      if (m->pid != 0)
        g_message ("agreement %s: found its guest again (process %d)", m->agreement, (int)m->pid);
      else if (pid != 0)
        g_message ("agreement %s: its guest is gone", m->agreement);
      moosh_host_kick (host, m->id, FALSE);
    }
  return TRUE;
}

MooshHost *
moosh_host_new (MooshHostConfig *config, GError **error)
{
  g_autoptr (MooshHost) host = g_new0 (MooshHost, 1);
  g_autoptr (GPtrArray) machines = NULL;
  mode_t mask;
  g_autofree char *path
      = g_build_filename (config->state_dir, "vmmd.db", NULL); /* before it is taken */

  host->config = *config;
  memset (config, 0, sizeof *config);
  g_mutex_init (&host->inventory);
  g_mutex_init (&host->lock);
  g_cond_init (&host->changed);
  host->workers = g_hash_table_new_full (g_int64_hash, g_int64_equal, NULL, free_worker);
  host->pool = g_thread_pool_new (work, host, -1, FALSE, NULL);
  mask = umask (0077); /* requests carry secrets */
  host->store = moosh_store_open (path, moosh_machine_migrations, error);
  umask (mask);
  if (host->store != NULL)
    moosh_store_int (host->store, 0, "PRAGMA secure_delete = ON", "");
  if (host->store == NULL || !moosh_host_claim_users (&host->config, host->store, error))
    return NULL;
  machines = moosh_journal_machines (host->store, TRUE, error);
  if (machines == NULL || !open_driver (host, machines, error) || !share_cores (host, error))
    return NULL;
  open_builder (host);
  if (!reconcile (host, machines, error))
    return NULL;
  host->clock = g_thread_new ("clock", watch_clock, host);
  return g_steal_pointer (&host);
}

void
moosh_host_free (MooshHost *host)
{
  GHashTableIter iter;
  gpointer value;

  g_mutex_lock (&host->lock);
  host->stopping = TRUE;
  g_hash_table_iter_init (&iter, host->workers);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    g_cancellable_cancel (((Worker *)value)->stop);
  g_cond_broadcast (&host->changed);
  g_mutex_unlock (&host->lock);
  g_thread_pool_free (host->pool, FALSE, TRUE);
  if (host->clock != NULL)
    g_thread_join (host->clock);
  if (host->driver != NULL)
    {
      host->driver->free (host->driver);
      leave_host (host);
    }
  g_clear_pointer (&host->builder, moosh_builder_free);
  g_clear_pointer (&host->store, moosh_store_free);
  g_hash_table_unref (host->workers);
  g_free (host->builder_error);
  moosh_host_config_clear (&host->config);
  g_mutex_clear (&host->inventory);
  g_mutex_clear (&host->lock);
  g_cond_clear (&host->changed);
  g_free (host);
}

const MooshHostConfig *
moosh_host_config (MooshHost *host)
{
  return &host->config;
}

static char *
machine_file (MooshHost *host, const MooshMachine *m, const char *name)
{
  return g_strdup_printf ("%s/vm/%" G_GINT64_FORMAT "/%s", host->config.state_dir, m->id, name);
}

char *
moosh_host_log_path (MooshHost *host, const MooshMachine *m)
{
  return machine_file (host, m, "log");
}

char *
moosh_host_console_path (MooshHost *host, const MooshMachine *m)
{
  return machine_file (host, m, "console");
}
