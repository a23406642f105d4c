/* What grows by itself, and is kept small: built systems, and what ended machines leave. */
#include "machine/host_private.h"
#include <glib/gstdio.h>
#include <sys/statvfs.h>

static gboolean
disk_is_short (const MooshHostConfig *config)
{
  struct statvfs fs;

  return statvfs (config->build_dir, &fs) == 0 && fs.f_blocks > 0
         && (gint64)((guint64)fs.f_bavail * 100 / fs.f_blocks) < config->tidy_below_pct;
}

/* Built systems that no live machine would be booted from again. */
static void
collect (MooshHost *host)
{
  g_autoptr (GPtrArray) machines = moosh_journal_machines (host->store, TRUE, NULL);
  g_autoptr (GStrvBuilder) keep = g_strv_builder_new ();
  g_auto (GStrv) paths = NULL;
  g_autoptr (GError) error = NULL;
  guint64 freed = 0;

  for (guint i = 0; machines != NULL && i < machines->len; i++)
    if (((MooshMachine *)g_ptr_array_index (machines, i))->system != NULL)
      g_strv_builder_add (keep, ((MooshMachine *)g_ptr_array_index (machines, i))->system);
  paths = g_strv_builder_end (keep);
  if (machines == NULL)
    return;
  if (moosh_builder_collect (host->builder, (const char *const *)paths, &freed, &error))
    g_message ("disk is short: %" G_GUINT64_FORMAT " MiB of built systems deleted", freed >> 20);
  else
    g_debug ("%s", error->message); /* a build is running: at the next turn */
}

static void
remove_files (const char *dir)
{
  g_autoptr (GDir) entries = g_dir_open (dir, 0, NULL);
  const char *name;

  while (entries != NULL && (name = g_dir_read_name (entries)) != NULL)
    {
      g_autofree char *path = g_build_filename (dir, name, NULL);
      g_unlink (path);
    }
  g_rmdir (dir);
}

static void
remove_old_logs (MooshHost *host)
{
  g_autoptr (GPtrArray) machines = moosh_journal_machines (host->store, FALSE, NULL);
  gint64 before_s = g_get_real_time () / G_USEC_PER_SEC - host->config.keep_logs_days * 86400;

  for (guint i = 0; machines != NULL && i < machines->len; i++)
    {
      const MooshMachine *m = g_ptr_array_index (machines, i);
      g_autofree char *log = moosh_host_log_path (host, m), *dir = g_path_get_dirname (log);
      GStatBuf status;

      if (moosh_machine_state_final (m->state) && g_stat (log, &status) == 0
          && status.st_mtime < before_s)
        remove_files (dir);
    }
}

void
moosh_host_tidy (MooshHost *host)
{
  if (host->builder != NULL && disk_is_short (&host->config))
    collect (host);
  remove_old_logs (host);
}
