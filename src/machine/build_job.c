/* One build's turn, scratch space and limits. */
#include "machine/builder.h"
#include "machine/usage.h"
#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define CGROUP_ROOT    "/sys/fs/cgroup"
#define FREE_BYTES_MIN ((guint64)256 * 1024 * 1024)

static gboolean
own_dir (MooshBuilder *b, const char *path, guint mode, gboolean theirs, GError **error)
{
  uid_t owner = theirs && b->nix.cage.set_ids ? b->nix.cage.uid : geteuid ();
  gid_t group = b->nix.cage.set_ids ? b->nix.cage.gid : getegid ();

  if (mkdir (path, 0700) == 0 && chown (path, owner, group) == 0 && chmod (path, mode) == 0)
    return TRUE;
  return moosh_build_fail (error, MOOSH_ERROR_FAILED, "build directory %s: %s", path,
                           g_strerror (errno));
}

char *
moosh_build_scratch (MooshBuilder *b, char **ret_home, GError **error)
{
  g_autofree char *dir = g_build_filename (b->state, "work", "XXXXXX", NULL);

  if (g_mkdtemp (dir) == NULL || chmod (dir, 0711) != 0)
    return moosh_build_fail (error, MOOSH_ERROR_FAILED, "build directory %s: %s", dir,
                             g_strerror (errno)),
           NULL;
  *ret_home = g_build_filename (dir, "home", NULL);
  return own_dir (b, *ret_home, 0700, TRUE, error) ? g_steal_pointer (&dir) : NULL;
}

/* Wait for the cage to be empty: its processes die at once, but not before waitpid returns. */
static void
wait_empty (const char *procs)
{
  for (guint i = 0; i < 500; i++)
    {
      g_autofree char *text = NULL;

      if (!g_file_get_contents (procs, &text, NULL, NULL) || *text == '\0')
        return;
      g_usleep (10 * 1000);
    }
  g_warning ("build: processes are left in %s", procs);
}

void
moosh_build_job_clear (MooshBuildJob *job)
{
  if (job->procs != NULL)
    {
      wait_empty (job->procs[0]);
      moosh_cgroup_remove (job->builder->limits_kind, CGROUP_ROOT, job->cgroup);
    }
  if (job->dir != NULL && !moosh_remove_tree (job->dir))
    g_warning ("build: %s cannot be removed", job->dir);
  if (job->has_slot)
    {
      g_mutex_lock (&job->builder->lock);
      job->builder->running--;
      job->builder->slots &= ~((guint64)1 << job->slot);
      g_cond_broadcast (&job->builder->changed);
      g_mutex_unlock (&job->builder->lock);
    }
  moosh_log_close (&job->log);
  g_clear_pointer (&job->before, g_hash_table_unref);
  g_strfreev (job->procs);
  g_free (job->cgroup);
  g_free (job->dir);
  g_free (job->fetch_dir);
  g_free (job->home);
  g_free (job->label);
  g_free (job->key);
}

/* Builds take turns. */
static gboolean
take_slot (MooshBuildJob *job, GError **error)
{
  MooshBuilder *b = job->builder;

  g_mutex_lock (&b->lock);
  while ((b->running >= b->limits.concurrent || b->collecting)
         && !g_cancellable_is_cancelled (job->cancellable))
    g_cond_wait_until (&b->changed, &b->lock, g_get_monotonic_time () + G_USEC_PER_SEC / 5);
  job->has_slot = !g_cancellable_is_cancelled (job->cancellable);
  if (job->has_slot)
    {
      b->running++;
      while (b->slots & (guint64)1 << job->slot)
        job->slot++;
      b->slots |= (guint64)1 << job->slot;
    }
  g_mutex_unlock (&b->lock);
  return job->has_slot
         || moosh_build_fail (error, MOOSH_ERROR_CANCELLED, "%s: cancelled", job->label);
}

/* Where there are no control groups, rlimits hold each process. */
static void
make_cgroup (MooshBuildJob *job)
{
  MooshBuilder *b = job->builder;
  MooshCgroupLimits limits = { .cpu_milli = b->limits.build_cores * 1000,
                               .memory_bytes = (gint64)b->limits.build_memory,
                               .pids = (gint64)b->limits.build_processes };
  g_autoptr (GError) error = NULL;

  if (b->limits_kind == MOOSH_LIMITS_RLIMITS)
    return;
  job->cgroup = g_strdup_printf ("build-%08x-%u", g_str_hash (b->state), job->slot);
  if (!moosh_cgroup_make (b->limits_kind, CGROUP_ROOT, job->cgroup, &limits, &job->procs, &error))
    g_warning ("build: rlimits instead of a control group: %s", error->message);
}

gboolean
moosh_build_job_begin (MooshBuildJob *job, GError **error)
{
  MooshBuilder *b = job->builder;
  gboolean file = g_str_has_prefix (job->request->url, "file://");

  if (!take_slot (job, error))
    return FALSE;
  job->dir = moosh_build_scratch (b, &job->home, error);
  if (job->dir == NULL)
    return FALSE;
  job->fetch_dir = g_build_filename (job->dir, "fetch", NULL);
  if (!own_dir (b, job->fetch_dir, 0750, !file, error))
    return FALSE;
  make_cgroup (job);
  return TRUE;
}

/* The kernel counts all threads of a user together. */
static guint
threads_of (uid_t uid)
{
  g_autoptr (GDir) proc = g_dir_open ("/proc", 0, NULL);
  const char *name;
  guint count = 0;

  while (proc != NULL && (name = g_dir_read_name (proc)) != NULL)
    {
      g_autofree char *path = g_build_filename ("/proc", name, "task", NULL);
      struct stat st;

      if (g_ascii_isdigit (*name) && stat (path, &st) == 0 && st.st_uid == uid)
        count += (guint)st.st_nlink - 2; /* a directory for each thread */
    }
  return count;
}

guint
moosh_build_job_processes (const MooshBuildJob *job)
{
  const MooshBuilder *b = job->builder;

  if (job->procs != NULL)
    return 0;
  return b->limits.build_processes + (b->nix.cage.set_ids ? 0 : threads_of (geteuid ()));
}

static GHashTable *
names_in (const char *path)
{
  GHashTable *names = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
  const char *name;

  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    g_hash_table_add (names, g_strdup (name));
  return names;
}

void
moosh_build_job_count_from_here (MooshBuildJob *job)
{
  g_autofree char *store = g_build_filename (job->builder->nix.store, "nix", "store", NULL);

  g_clear_pointer (&job->before, g_hash_table_unref);
  job->before = names_in (store);
}

/* What is new in the store may be a neighbour's: builds that run together share the sum of their
 * limits. */
static guint64
used (MooshBuildJob *job, guint64 max)
{
  g_autofree char *store = g_build_filename (job->builder->nix.store, "nix", "store", NULL);
  g_autoptr (GDir) dir = g_dir_open (store, 0, NULL);
  guint64 sum = moosh_disk_usage (job->dir, max);
  const char *name;

  while (sum <= max && job->before != NULL && dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    if (!g_hash_table_contains (job->before, name))
      {
        g_autofree char *path = g_build_filename (store, name, NULL);

        sum += moosh_disk_usage (path, max - MIN (max, sum));
      }
  return sum;
}

gboolean
moosh_build_job_watch (gpointer memory, GError **error)
{
  MooshBuildJob *job = memory;
  MooshBuilder *b = job->builder;
  struct statvfs fs;
  guint64 max;

  g_mutex_lock (&b->lock);
  max = b->limits.build_bytes * MAX (b->running, 1);
  g_mutex_unlock (&b->lock);
  if (used (job, max) > max)
    return moosh_build_fail (error, MOOSH_ERROR_LIMIT,
                             "%s: it takes more than %" G_GUINT64_FORMAT " MiB of disk", job->label,
                             b->limits.build_bytes >> 20);
  if (statvfs (b->state, &fs) == 0 && (guint64)fs.f_bavail * fs.f_frsize < FREE_BYTES_MIN)
    return moosh_build_fail (error, MOOSH_ERROR_FAILED, "%s: the provider's disk is full",
                             job->label);
  return TRUE;
}
