/* One request's way through the builder: policy, cache, fetch, evaluate, build, check, keep. */
#include "machine/blueprint.h"
#include "core/bytes/bytes.h"
#include "core/hash/hash.h"
#include "machine/builder.h"
#include "machine/fetch.h"
#include "machine/policy.h"
#include "machine/usage.h"
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CMDLINE_MAX 2048
#define LOG_RESERVE 1024 /* of the log, for our own last line */

void
moosh_system_free (MooshSystem *system)
{
  if (system == NULL)
    return;
  g_free (system->store_path);
  g_free (system->dir);
  g_free (system->kernel);
  g_free (system->initrd);
  g_free (system->cmdline);
  g_free (system->store_image);
  g_free (system);
}

gboolean
moosh_build_log_digest (const char *log_path, guint8 ret[32], GError **error)
{
  g_autofree char *text = NULL;
  gsize len;

  if (!g_file_get_contents (log_path, &text, &len, error))
    return FALSE;
  moosh_sha256 (text, len, ret);
  return TRUE;
}

/* ---- The result
 * -----------------------------------------------------------------------------------------------
 */

/* A regular file of the result; a link could lead anywhere on the host. New string. */
static char *
result_file (const MooshBuildJob *job, const char *dir, const char *name, guint64 max,
             gboolean needed, GError **error)
{
  g_autofree char *path = g_build_filename (dir, name, NULL);
  struct stat st;

  /* NULL without an error: an optional file is not there */
  if (lstat (path, &st) != 0 || !S_ISREG (st.st_mode))
    {
      if (needed)
        moosh_build_fail (error, MOOSH_ERROR_REFUSED,
                          "%s: what it built is no system: there is no regular file \"%s\"",
                          job->label, name);
      return NULL;
    }
  if (st.st_size < 1 || (guint64)st.st_size > max)
    return moosh_build_fail (error, MOOSH_ERROR_LIMIT,
                             "%s: its %s has %" G_GINT64_FORMAT " bytes; 1 to %" G_GUINT64_FORMAT
                             " are allowed",
                             job->label, name, (gint64)st.st_size, max),
           NULL;
  return g_steal_pointer (&path);
}

/* QEMU takes the text as an argument: one line of printable ASCII. */
static char *
read_cmdline (const MooshBuildJob *job, const char *dir, GError **error)
{
  g_autofree char *path = result_file (job, dir, "cmdline", CMDLINE_MAX, TRUE, error);
  g_autofree char *text = NULL;

  if (path == NULL || !g_file_get_contents (path, &text, NULL, error))
    return NULL;
  g_strchomp (text);
  for (const char *c = text; *c != '\0'; c++)
    if (!g_ascii_isprint (*c))
      return moosh_build_fail (error, MOOSH_ERROR_REFUSED,
                               "%s: its cmdline is not one line of printable ASCII", job->label),
             NULL;
  return g_steal_pointer (&text);
}

static MooshSystem *
read_system (const MooshBuildJob *job, const char *out, GError **error)
{
  const MooshBuildLimits *limits = &job->builder->limits;
  g_autoptr (MooshSystem) system = g_new0 (MooshSystem, 1);
  g_autoptr (GError) cause = NULL;

  system->store_path = g_strdup (out);
  system->dir = moosh_nix_physical (&job->builder->nix, out);
  if ((system->kernel = result_file (job, system->dir, "kernel", limits->kernel_bytes, TRUE, error))
          == NULL
      || (system->initrd
          = result_file (job, system->dir, "initrd", limits->initrd_bytes, TRUE, error))
             == NULL
      || (system->cmdline = read_cmdline (job, system->dir, error)) == NULL)
    return NULL;
  system->store_image = result_file (job, system->dir, "store", limits->build_bytes, FALSE, &cause);
  if (cause != NULL)
    {
      g_propagate_error (error, g_steal_pointer (&cause));
      return NULL;
    }
  return g_steal_pointer (&system);
}

/* ---- The cache
 * ------------------------------------------------------------------------------------------------
 */

static char *
cache_key (const MooshBuildJob *job)
{
  g_autofree char *text = g_strjoin ("\n", job->request->url, job->commit, job->request->attribute,
                                     job->builder->nix.moosh, job->builder->nix.guest,
                                     job->builder->nix.nixpkgs, NULL);
  guint8 digest[32];
  char hex[65];

  moosh_sha256 (text, strlen (text), digest);
  moosh_hex_encode (digest, sizeof digest, hex);
  return g_strndup (hex, 40);
}

static char *
system_path (const MooshBuildJob *job, const char *file)
{
  return g_build_filename (job->builder->state, "systems", job->key, file, NULL);
}

static gboolean
copy_file (const char *from, const char *to, GError **error)
{
  g_autofree char *text = NULL;
  gsize len;

  return g_file_get_contents (from, &text, &len, error)
         && g_file_set_contents (to, text, (gssize)len, error);
}

/* With the builder's lock, so that nothing is forgotten meanwhile. The kept system, its log beside
 * it; NULL without an error: not built before, or no longer whole.
 */
static MooshSystem *
recall_locked (MooshBuildJob *job, GError **error)
{
  g_autofree char *record = system_path (job, "record"), *log = system_path (job, "log");
  g_autoptr (GKeyFile) file = g_key_file_new ();
  g_autofree char *out = NULL;
  g_auto (GStrv) closure = NULL;
  g_autoptr (MooshSystem) system = NULL;

  if (!g_key_file_load_from_file (file, record, G_KEY_FILE_NONE, NULL))
    return NULL;
  out = g_key_file_get_string (file, "system", "out", NULL);
  closure = g_key_file_get_string_list (file, "system", "closure", NULL, NULL);
  system = out != NULL && closure != NULL ? read_system (job, out, NULL) : NULL;
  if (system == NULL || !moosh_build_log_digest (log, system->log_digest, NULL))
    return NULL;
  if (!moosh_policy_allows_closure (job->policy, (const char *const *)closure, error)
      || !copy_file (log, job->log_path, error))
    return NULL;
  utimensat (AT_FDCWD, record, NULL, 0); /* used just now */
  system->cached = TRUE;
  return g_steal_pointer (&system);
}

static MooshSystem *
recall (MooshBuildJob *job, GError **error)
{
  MooshBuilder *b = job->builder;
  MooshSystem *system;

  g_mutex_lock (&b->lock);
  while (b->collecting)
    g_cond_wait (&b->changed, &b->lock);
  system = recall_locked (job, error);
  g_mutex_unlock (&b->lock);
  return system;
}

/* Root first, record last: a record always names something that is kept. */
static gboolean
keep (MooshBuildJob *job, const char *out, const char *const *closure, GError **error)
{
  g_autofree char *dir = system_path (job, NULL), *record = system_path (job, "record"),
                  *log = system_path (job, "log");
  g_autoptr (GKeyFile) file = g_key_file_new ();

  g_key_file_set_string (file, "system", "url", job->request->url);
  g_key_file_set_string (file, "system", "commit", job->commit);
  g_key_file_set_string (file, "system", "attribute", job->request->attribute);
  g_key_file_set_string (file, "system", "out", out);
  g_key_file_set_string_list (file, "system", "closure", closure, g_strv_length ((char **)closure));
  if (!moosh_nix_root (&job->builder->nix, job->key, out, error))
    return FALSE;
  if (g_mkdir_with_parents (dir, 0755) != 0)
    return moosh_build_fail (error, MOOSH_ERROR_FAILED, "%s: %s", dir, g_strerror (errno));
  return copy_file (job->log_path, log, error) && g_key_file_save_to_file (file, record, error);
}

/* ---- The steps
 * ------------------------------------------------------------------------------------------------
 */

static gboolean
fetch_tree (MooshBuildJob *job, GError **error)
{
  MooshBuilder *b = job->builder;
  MooshFetch fetch = { .cage = { b->nix.cage.set_ids, b->nix.cage.uid, b->nix.cage.gid, TRUE },
                       .cgroup_procs = (const char *const *)job->procs,
                       .allow_file = b->allow_file,
                       .allow_private_hosts = b->allow_private_hosts,
                       .ssh_key = b->ssh_key,
                       .timeout_s = b->limits.fetch_s,
                       .bytes_max = b->limits.fetch_bytes,
                       .files_max = b->limits.tree_files,
                       .log = &job->log,
                       .cancellable = job->cancellable };

  return moosh_fetch (&fetch, job->request->url, job->request->commit, job->fetch_dir, error);
}

static MooshNixJob
nix_job (MooshBuildJob *job)
{
  const MooshBuildLimits *limits = &job->builder->limits;

  return (MooshNixJob){ .what = job->label,
                        .home = job->home,
                        .timeout_s = limits->eval_s,
                        .file_max = limits->build_bytes,
                        .cores = limits->build_cores,
                        .processes_max = moosh_build_job_processes (job),
                        .cgroup_procs = (const char *const *)job->procs,
                        .log = &job->log,
                        .watch = moosh_build_job_watch,
                        .watch_data = job,
                        .cancellable = job->cancellable };
}

static char *
evaluate (MooshBuildJob *job, GError **error)
{
  g_autofree char *source = g_build_filename (job->fetch_dir, "blueprint", NULL);
  g_autofree char *what = g_strconcat ("evaluation of ", job->label, NULL);
  MooshNixJob command = nix_job (job);
  g_autofree char *tree = moosh_nix_add (&job->builder->nix, &command, source, error);

  if (tree == NULL)
    return NULL;
  command.what = what;
  command.memory_max = job->builder->limits.eval_memory;
  return moosh_nix_instantiate (&job->builder->nix, &command, tree, job->request->attribute, error);
}

static char *
realise (MooshBuildJob *job, const char *drv, GError **error)
{
  const MooshBuildLimits *limits = &job->builder->limits;
  g_autofree char *what = g_strconcat ("build of ", job->label, NULL);
  MooshNixJob command = nix_job (job);

  command.what = what;
  command.timeout_s = limits->build_s;
  command.silence_s = limits->build_silence_s;
  command.memory_max = job->procs == NULL ? limits->build_memory : 0;
  if (job->builder->nix.substituters != NULL
      && !moosh_nix_substitute (&job->builder->nix, &command, drv, error))
    return NULL;
  return moosh_nix_realise (&job->builder->nix, &command, drv, error);
}

/* What was built, looked at with a provider's eyes. */
static MooshSystem *
inspect (MooshBuildJob *job, const char *out, GError **error)
{
  MooshNixJob command = nix_job (job);
  g_auto (GStrv) closure = moosh_nix_closure (&job->builder->nix, &command, out, error);
  g_autoptr (MooshSystem) system = NULL;

  if (closure == NULL
      || !moosh_policy_allows_closure (job->policy, (const char *const *)closure, error)
      || (system = read_system (job, out, error)) == NULL
      || !keep (job, out, (const char *const *)closure, error)
      || !moosh_build_log_digest (job->log_path, system->log_digest, error))
    return NULL;
  return g_steal_pointer (&system);
}

static void
announce (MooshBuildJob *job, const char *step, MooshStepFunc func, gpointer user_data)
{
  g_autofree char *line
      = g_strdup_printf ("moosh: %s %s, commit %s", step, job->label, job->commit);

  moosh_log_line (&job->log, line);
  if (func != NULL)
    func (step, user_data);
}

static MooshSystem *
build (MooshBuildJob *job, MooshStepFunc step, gpointer user_data, GError **error)
{
  g_autofree char *drv = NULL, *out = NULL;

  announce (job, "fetch", step, user_data);
  if (!fetch_tree (job, error))
    return NULL;
  moosh_build_job_count_from_here (job);
  announce (job, "evaluate", step, user_data);
  if ((drv = evaluate (job, error)) == NULL)
    return NULL;
  announce (job, "build", step, user_data);
  if ((out = realise (job, drv, error)) == NULL)
    return NULL;
  announce (job, "check", step, user_data);
  return inspect (job, out, error);
}

/* Everything that is decided before a stranger's byte is fetched. */
static gboolean
admit (MooshBuildJob *job, GError **error)
{
  const MooshRequest *request = job->request;

  return moosh_blueprint_url_check (request->url, job->builder->allow_file, error)
         && moosh_blueprint_attribute_check (request->attribute, error)
         && moosh_policy_allows_source (job->policy, request->url, request->commit,
                                        request->attribute, error)
         && moosh_builder_prepare (job->builder, error);
}

MooshSystem *
moosh_builder_build (MooshBuilder *builder, const MooshRequest *request, const char *policy,
                     const char *log_path, MooshStepFunc step, gpointer user_data,
                     GCancellable *cancellable, GError **error)
{
  g_auto (MooshBuildJob) job = { .builder = builder,
                                 .request = request,
                                 .policy = policy,
                                 .log_path = log_path,
                                 .cancellable = cancellable,
                                 .log = { .fd = -1 } };
  gint64 started_us = g_get_monotonic_time ();
  MooshSystem *system = NULL;
  g_autoptr (GError) cause = NULL;

  job.label = g_strdup_printf ("blueprint %s#%s", request->url, request->attribute);
  moosh_hex_encode (request->commit, MOOSH_COMMIT_LEN, job.commit);
  if (!moosh_log_open (&job.log, log_path, builder->limits.log_bytes - LOG_RESERVE, error))
    return NULL;
  if (admit (&job, &cause))
    {
      job.key = cache_key (&job);
      system = recall (&job, &cause);
      if (system == NULL && cause == NULL)
        moosh_builder_make_room (builder);
      if (system == NULL && cause == NULL && moosh_build_job_begin (&job, &cause))
        system = build (&job, step, user_data, &cause);
    }
  if (system == NULL)
    {
      g_autofree char *line = g_strdup_printf ("moosh: %s", cause->message);

      job.log.left = LOG_RESERVE;
      line[MIN (strlen (line), LOG_RESERVE - 2)] = '\0';
      moosh_log_line (&job.log, line);
      g_propagate_error (error, g_steal_pointer (&cause));
      return NULL;
    }
  system->seconds = (double)(g_get_monotonic_time () - started_us) / G_USEC_PER_SEC;
  return system;
}
