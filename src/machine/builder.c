/* Making the builder, and keeping house in its store. */
#include "machine/builder.h"
#include "machine/usage.h"
#include <errno.h>
#include <glib/gstdio.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOBODY         65534
#define CGROUP_ROOT    "/sys/fs/cgroup"
#define LOG_BYTES_MIN  4096
#define CONCURRENT_MAX 64 /* bits of MooshBuilder.slots */

gboolean
moosh_build_fail (GError **error, MooshError code, const char *format, ...)
{
  g_autofree char *message = NULL;
  va_list args;

  va_start (args, format);
  message = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error_literal (error, MOOSH_ERROR, (int)code, message);
  return FALSE;
}

static void
fill_limits (MooshBuildLimits *l)
{
  const guint64 mib = 1024 * 1024;

#define DEFAULT(field, value) l->field = l->field != 0 ? l->field : (value)
  DEFAULT (fetch_s, 120);
  DEFAULT (fetch_bytes, 256 * mib);
  DEFAULT (tree_files, 20000);
  DEFAULT (eval_s, 60);
  DEFAULT (eval_memory, 1024 * mib);
  DEFAULT (build_s, 1200);
  DEFAULT (build_silence_s, 300);
  DEFAULT (build_memory, 4096 * mib);
  DEFAULT (build_processes, 512);
  DEFAULT (build_bytes, 4096 * mib);
  DEFAULT (build_cores, 2);
  DEFAULT (log_bytes, mib);
  DEFAULT (kernel_bytes, 64 * mib);
  DEFAULT (initrd_bytes, 512 * mib);
  DEFAULT (concurrent, 2);
  DEFAULT (store_bytes, 16384 * mib);
  DEFAULT (keep_s, 3600);
#undef DEFAULT
  l->concurrent = MIN (l->concurrent, CONCURRENT_MAX);
  l->log_bytes = MAX (l->log_bytes, LOG_BYTES_MIN);
}

static char *
default_guest_dir (void)
{
  const char *named = g_getenv ("MOOSH_GUEST");

  if (named != NULL)
    return g_strdup (named);
  if (geteuid () == 0)
    return g_strdup ("/var/cache/mooshnet/guest");
  return g_build_filename (g_get_user_cache_dir (), "mooshnet", "guest", NULL);
}

/* A directory below the state directory that belongs to the build user, or to us. */
static gboolean
make_dir (MooshBuilder *b, const char *name, gboolean theirs, GError **error)
{
  g_autofree char *path
      = name != NULL ? g_build_filename (b->state, name, NULL) : g_strdup (b->state);

  if (g_mkdir_with_parents (path, 0755) != 0 || chmod (path, 0755) != 0
      || (theirs && b->nix.cage.set_ids && lchown (path, b->nix.cage.uid, b->nix.cage.gid) != 0))
    return moosh_build_fail (error, MOOSH_ERROR_FAILED, "build directory %s: %s", path,
                             g_strerror (errno));
  return TRUE;
}

/* What a crash of ours left: nobody else works in this directory. */
static void
remove_scratch (MooshBuilder *b)
{
  g_autofree char *work = g_build_filename (b->state, "work", NULL);
  g_autoptr (GDir) dir = g_dir_open (work, 0, NULL);
  const char *name;

  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *path = g_build_filename (work, name, NULL);

      moosh_remove_tree (path);
    }
}

static gboolean
check_tools (MooshBuilder *b, GError **error)
{
  static const char *const tools[][2] = { { "nix-store", "nix-bin" },
                                          { "nix-instantiate", "nix-bin" },
                                          { "git", "git" },
                                          { "unshare", "util-linux" },
                                          { "bwrap", "bubblewrap" } };
  g_autofree char *kernel = g_build_filename (b->guest_dir, "vmlinuz", NULL);
  g_autofree char *micro = g_build_filename (b->nix_dir, "micro", "default.nix", NULL);

  for (guint i = 0; i < G_N_ELEMENTS (tools); i++)
    {
      g_autofree char *found = g_find_program_in_path (tools[i][0]);

      if (found == NULL)
        return moosh_build_fail (error, MOOSH_ERROR_NOT_FOUND,
                                 "builder: %s is not installed: apt-get install %s", tools[i][0],
                                 tools[i][1]);
    }
  if (!g_file_test (kernel, G_FILE_TEST_EXISTS))
    return moosh_build_fail (error, MOOSH_ERROR_NOT_FOUND,
                             "builder: there is no guest kernel in %s: run scripts/guest-kernel",
                             b->guest_dir);
  if (!g_file_test (micro, G_FILE_TEST_EXISTS))
    return moosh_build_fail (error, MOOSH_ERROR_NOT_FOUND,
                             "builder: %s is not MooshNet's nix directory", b->nix_dir);
  return TRUE;
}

/* Root builds as somebody else, always; everybody else as themselves. */
static void
choose_user (MooshBuilder *b, const MooshBuilderConfig *config)
{
  const struct passwd *user = config->uid == 0 ? getpwnam (MOOSH_BUILD_USER) : NULL;

  b->nix.cage.set_ids = geteuid () == 0;
  b->nix.cage.uid = user != NULL ? user->pw_uid : config->uid != 0 ? config->uid : NOBODY;
  b->nix.cage.gid = user != NULL ? user->pw_gid : config->uid != 0 ? config->gid : NOBODY;
}

MooshBuilder *
moosh_builder_new (const MooshBuilderConfig *config, GError **error)
{
  g_autoptr (MooshBuilder) b = g_new0 (MooshBuilder, 1);

  g_mutex_init (&b->lock);
  g_cond_init (&b->changed);
  b->state = g_canonicalize_filename (config->state_dir, NULL);
  b->guest_dir = config->guest_dir != NULL ? g_strdup (config->guest_dir) : default_guest_dir ();
  b->nix_dir = g_strdup (config->nix_dir);
  b->ssh_key = g_strdup (config->ssh_key);
  b->allow_file = config->allow_file;
  b->allow_private_hosts = config->allow_private_hosts;
  b->in_use = config->in_use;
  b->in_use_data = config->in_use_data;
  b->limits = config->limits;
  fill_limits (&b->limits);
  b->limits_kind = moosh_cgroup_detect (CGROUP_ROOT, NULL);
  choose_user (b, config);
  b->nix.store = g_build_filename (b->state, "nix", NULL);
  b->nix.nixpkgs = g_strdup (config->nixpkgs_dir);
  if (config->substituters != NULL && *config->substituters != '\0')
    b->nix.substituters = g_strdup (config->substituters);
  b->nix.trusted_keys = g_strdup (config->trusted_keys);
  b->nix.guest_pointer = g_build_filename (b->state, "guest", NULL);
  if (!check_tools (b, error) || !make_dir (b, NULL, FALSE, error)
      || !make_dir (b, "nix", TRUE, error) || !make_dir (b, "work", FALSE, error)
      || !make_dir (b, "systems", FALSE, error) || !make_dir (b, "guest", FALSE, error))
    return NULL;
  remove_scratch (b);
  return g_steal_pointer (&b);
}

void
moosh_builder_free (MooshBuilder *b)
{
  if (b == NULL)
    return;
  g_mutex_clear (&b->lock);
  g_cond_clear (&b->changed);
  g_free (b->state);
  g_free (b->guest_dir);
  g_free (b->nix_dir);
  g_free (b->ssh_key);
  g_free (b->nix.store);
  g_free (b->nix.guest);
  g_free (b->nix.moosh);
  g_free (b->nix.nixpkgs);
  g_free (b->nix.substituters);
  g_free (b->nix.trusted_keys);
  g_free (b->nix.guest_pointer);
  g_free (b);
}

/* The build user may not see our directories: it gets a copy. */
static char *
add_copy (MooshBuilder *b, const MooshNixJob *job, const char *dir, const char *name,
          GError **error)
{
  g_autofree char *copy = g_build_filename (job->home, name, NULL);
  g_autofree char *logical = NULL;
  const char *const argv[] = { "cp", "-rL", "--", dir, copy, NULL };
  const char *const open_up[] = { "chmod", "-R", "a+rX", copy, NULL };

  if (!moosh_run (argv, 60000, NULL, error) || !moosh_run (open_up, 60000, NULL, error))
    return NULL;
  logical = moosh_nix_add (&b->nix, job, copy, error);
  return logical != NULL && moosh_nix_root (&b->nix, name, logical, error)
             ? g_steal_pointer (&logical)
             : NULL;
}

static gboolean
prepare_locked (MooshBuilder *b, GError **error)
{
  g_autofree char *home = NULL, *guest = NULL, *moosh = NULL;
  g_autofree char *dir = moosh_build_scratch (b, &home, error);
  g_autofree char *pointer = g_build_filename (b->nix.guest_pointer, "path", NULL);
  MooshNixJob job = { .what = "preparing the build store", .home = home, .timeout_s = 120 };
  gboolean ok;

  if (dir == NULL)
    return FALSE;
  guest = add_copy (b, &job, b->guest_dir, "moosh-guest", error);
  moosh = guest != NULL ? add_copy (b, &job, b->nix_dir, "moosh-nix", error) : NULL;
  ok = moosh != NULL && g_file_set_contents (pointer, guest, -1, error)
       && chmod (pointer, 0644) == 0;
  moosh_remove_tree (dir);
  if (!ok)
    return FALSE;
  b->nix.guest = g_steal_pointer (&guest);
  b->nix.moosh = g_steal_pointer (&moosh);
  return TRUE;
}

gboolean
moosh_builder_prepare (MooshBuilder *b, GError **error)
{
  gboolean ok;

  g_mutex_lock (&b->lock);
  b->prepared = b->prepared || prepare_locked (b, error);
  ok = b->prepared;
  g_mutex_unlock (&b->lock);
  return ok;
}

/* ---- Letting go
 * -----------------------------------------------------------------------------------------------
 */

static gboolean
is_kept (const char *record, const char *const *keep)
{
  g_autoptr (GKeyFile) file = g_key_file_new ();
  g_autofree char *out = NULL;

  if (!g_key_file_load_from_file (file, record, G_KEY_FILE_NONE, NULL))
    return FALSE;
  out = g_key_file_get_string (file, "system", "out", NULL);
  return out != NULL && g_strv_contains (keep, out);
}

/* Was it built or found again since? */
static gboolean
used_since (const char *record, gint64 since_s)
{
  struct stat st;

  return stat (record, &st) == 0 && st.st_mtime > since_s;
}

static void
forget_others (MooshBuilder *b, const char *const *keep, gint64 since_s)
{
  g_autofree char *systems = g_build_filename (b->state, "systems", NULL);
  g_autoptr (GDir) dir = g_dir_open (systems, 0, NULL);
  const char *name;

  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *path = g_build_filename (systems, name, NULL);
      g_autofree char *record = g_build_filename (path, "record", NULL);

      if (is_kept (record, keep) || used_since (record, since_s))
        continue;
      moosh_remove_tree (path);
      moosh_nix_unroot (&b->nix, name);
    }
}

/* With no build running and none beginning. */
static gboolean
collect_alone (MooshBuilder *b, const char *const *keep, gint64 since_s, GError **error)
{
  g_autofree char *home = NULL;
  g_autofree char *dir = moosh_build_scratch (b, &home, error);
  MooshNixJob job = { .what = "collecting garbage", .home = home, .timeout_s = 600 };
  gboolean ok;

  if (dir == NULL)
    return FALSE;
  forget_others (b, keep, since_s);
  ok = moosh_nix_collect (&b->nix, &job, error);
  moosh_remove_tree (dir);
  return ok;
}

/* Keep builds out. FALSE: one is running. */
static gboolean
begin_collecting (MooshBuilder *b)
{
  gboolean ok;

  g_mutex_lock (&b->lock);
  ok = b->running == 0 && !b->collecting;
  b->collecting = b->collecting || ok;
  g_mutex_unlock (&b->lock);
  return ok;
}

static void
end_collecting (MooshBuilder *b)
{
  g_mutex_lock (&b->lock);
  b->collecting = FALSE;
  g_cond_broadcast (&b->changed);
  g_mutex_unlock (&b->lock);
}

gboolean
moosh_builder_collect (MooshBuilder *b, const char *const *keep, guint64 *ret_freed, GError **error)
{
  guint64 before, after;
  gboolean ok;

  if (!moosh_builder_prepare (b, error))
    return FALSE;
  if (!begin_collecting (b))
    return moosh_build_fail (error, MOOSH_ERROR_CONFLICT,
                             "builder: a build is running: nothing is collected now");
  before = moosh_disk_usage (b->nix.store, G_MAXUINT64);
  ok = collect_alone (b, keep, G_MAXINT64, error);
  after = moosh_disk_usage (b->nix.store, G_MAXUINT64);
  end_collecting (b);
  if (ok && ret_freed != NULL)
    *ret_freed = before > after ? before - after : 0;
  return ok;
}

void
moosh_builder_make_room (MooshBuilder *b)
{
  guint64 max = b->limits.store_bytes;
  g_autoptr (GError) error = NULL;
  g_auto (GStrv) keep = NULL;

  if (b->in_use == NULL || !begin_collecting (b))
    return;
  if (moosh_disk_usage (b->nix.store, max) > max)
    {
      gint64 since_s = g_get_real_time () / G_USEC_PER_SEC - b->limits.keep_s;

      keep = b->in_use (b->in_use_data);
      if (!collect_alone (b, (const char *const *)keep, since_s, &error))
        g_warning ("%s", error->message);
    }
  end_collecting (b);
}
