#include "machine/nix.h"
#include <errno.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

char *
moosh_nix_physical (const MooshNix *nix, const char *logical)
{
  return g_strconcat (nix->store, logical, NULL);
}

/* NAME=value pairs of options that every command gets. The host's nix.conf is not read. */
static const char *const options[][2] = {
  { "substituters", "" }, /* nothing comes from anywhere */
  { "builders", "" },
  { "build-users-group", "" }, /* we are the build user */
  { "sandbox", "true" },
  { "sandbox-fallback", "false" },
  { "filter-syscalls", "true" },
  { "restrict-eval", "true" },
  { "allowed-uris", "" },
  { "allow-import-from-derivation", "false" },
  { "max-jobs", "1" },
  { "fsync-metadata", "false" }, /* the whole store can be built again */
  { "keep-failed", "false" },
  { "experimental-features", "" },
  { "system-features", "" },
  { "warn-dirty", "false" },
};

#define STORE   MOOSH_CAGE_DIR "/nix"
#define NIXPKGS MOOSH_CAGE_DIR "/nixpkgs"

/* A command of Nix's with all its options; `extra` (may be NULL) is shown to it too. */
static GPtrArray *
command (const MooshNix *nix, const MooshNixJob *job, const MooshCageBind *extra,
         const char *program)
{
  const MooshCageBind none = { NULL, NULL, FALSE };
  const MooshCageBind binds[] = { { nix->store, STORE, TRUE },
                                  { job->home, MOOSH_CAGE_DIR "/home", TRUE },
                                  { nix->guest_pointer, MOOSH_CAGE_DIR "/guest", FALSE },
                                  extra != NULL ? *extra : none,
                                  none };
  GPtrArray *argv = moosh_cage_argv (&nix->cage, binds);

  moosh_cage_add (argv, program, "--store", STORE, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (options); i++)
    moosh_cage_add (argv, "--option", options[i][0], options[i][1], NULL);
  moosh_cage_add (argv, "--option", "cores", NULL);
  g_ptr_array_add (argv, g_strdup_printf ("%u", MAX (job->cores, 1)));
  if (nix->guest != NULL)
    {
      moosh_cage_add (argv, "--option", "sandbox-paths", NULL);
      g_ptr_array_add (argv, g_strdup_printf ("/bin/sh=" STORE "%s/bin/busybox", nix->guest));
    }
  return argv;
}

static gboolean
run (const MooshNixJob *job, GPtrArray *argv, MooshChildResult *ret, GError **error)
{
  static const char *const envp[] = { "PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
                                      "LC_ALL=C.UTF-8",
                                      "HOME=" MOOSH_CAGE_DIR "/home",
                                      "TMPDIR=" MOOSH_CAGE_DIR "/home",
                                      "USER=build",
                                      "TERM=dumb",
                                      "NIX_PATH=",
                                      "NIX_USER_CONF_FILES=",
                                      "NIX_CONF_DIR=" MOOSH_CAGE_DIR,
                                      NULL };
  MooshChild child = { .what = job->what,
                       .timeout_s = job->timeout_s,
                       .silence_s = job->silence_s,
                       .out_max = 4 * 1024 * 1024,
                       .log = job->log,
                       .watch = job->watch,
                       .watch_data = job->watch_data,
                       .cancellable = job->cancellable };

  g_ptr_array_add (argv, NULL);
  child.spawn.argv = (const char *const *)argv->pdata;
  child.spawn.envp = envp;
  child.spawn.memory_max = job->memory_max;
  child.spawn.file_size_max = job->file_max;
  child.spawn.processes_max = job->processes_max;
  for (guint i = 0; job->cgroup_procs != NULL && job->cgroup_procs[i] != NULL && i < 3; i++)
    child.spawn.cgroup_procs[i] = job->cgroup_procs[i];
  return moosh_child_run (&child, ret, error);
}

/* Nix's last "error: …", on one line, without the root of our store; but when that only says that
 * something else failed first, the first. */
static char *
reason (const MooshChildResult *result)
{
  const char *at = g_strrstr (result->tail, "error:");
  g_auto (GStrv) pieces = NULL;
  g_autofree char *joined = NULL;
  char *text;
  const char *end;

  if (at == NULL)
    return moosh_child_last_words (result->tail);
  if (strstr (at, " dependencies of derivation ") != NULL)
    at = strstr (result->tail, "error:");
  at += strlen ("error:");
  at += strspn (at, " \n");
  end = strstr (at, "\n\n");
  text = g_strndup (at, end != NULL ? MIN ((gsize)(end - at), 400) : MIN (strlen (at), 400));
  pieces = g_strsplit (text, STORE, -1);
  g_free (text);
  joined = g_strjoinv ("", pieces);
  for (char *c = joined; *c != '\0'; c++)
    if (*c == '\n')
      *c = ' ';
  g_strstrip (joined);
  return g_utf8_make_valid (joined, -1);
}

static gboolean
out_of_memory (const MooshChildResult *result)
{
  static const char *const signs[]
      = { "Out of Memory", "out of memory",         "bad_alloc",       "Cannot allocate memory",
          "GC Warning",    "Failed to expand heap", "memory exhausted" };

  for (guint i = 0; i < G_N_ELEMENTS (signs); i++)
    if (strstr (result->tail, signs[i]) != NULL)
      return TRUE;
  return result->exit_status == 128 + SIGKILL || result->exit_status == 128 + SIGABRT;
}

/* One store path per line, and at least one of them. */
static char **
paths (const MooshChildResult *result, const char *what, GError **error)
{
  g_autofree char *text = g_strchomp (g_strdup (result->out));
  g_auto (GStrv) lines = g_strsplit (text, "\n", -1);

  for (guint i = 0; lines[i] != NULL; i++)
    if (!g_str_has_prefix (lines[i], "/nix/store/")
        || strchr (lines[i] + strlen ("/nix/store/"), '/') != NULL)
      {
        g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_FAILED,
                     "%s: Nix answered \"%.80s\", not a store path", what, lines[i]);
        return NULL;
      }
  if (lines[0] != NULL)
    return g_steal_pointer (&lines);
  g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_FAILED, "%s: Nix answered nothing", what);
  return NULL;
}

/* Commands whose failure is our own trouble. */
static char **
ask (const MooshNixJob *job, GPtrArray *argv, GError **error)
{
  g_auto (MooshChildResult) result = { 0 };
  g_autofree char *why = NULL;

  if (!run (job, argv, &result, error))
    return NULL;
  if (result.exit_status == 0)
    return paths (&result, job->what, error);
  why = reason (&result);
  g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_FAILED, "%s: Nix failed: %s", job->what, why);
  return NULL;
}

char *
moosh_nix_add (const MooshNix *nix, const MooshNixJob *job, const char *dir, GError **error)
{
  g_autofree char *name = g_path_get_basename (dir);
  g_autofree char *target = g_build_filename (MOOSH_CAGE_DIR, name, NULL);
  const MooshCageBind bind = { dir, target, FALSE };
  g_autoptr (GPtrArray) argv = command (nix, job, &bind, "nix-store");
  g_auto (GStrv) found = NULL;

  moosh_cage_add (argv, "--add", target, NULL);
  found = ask (job, argv, error);
  return found != NULL ? g_strdup (found[0]) : NULL;
}

char **
moosh_nix_closure (const MooshNix *nix, const MooshNixJob *job, const char *path, GError **error)
{
  g_autoptr (GPtrArray) argv = command (nix, job, NULL, "nix-store");

  moosh_cage_add (argv, "--query", "--requisites", path, NULL);
  return ask (job, argv, error);
}

gboolean
moosh_nix_collect (const MooshNix *nix, const MooshNixJob *job, GError **error)
{
  g_autoptr (GPtrArray) argv = command (nix, job, NULL, "nix-store");
  g_auto (MooshChildResult) result = { 0 };
  g_autofree char *why = NULL;

  moosh_cage_add (argv, "--gc", NULL);
  if (!run (job, argv, &result, error))
    return FALSE;
  if (result.exit_status == 0)
    return TRUE;
  why = reason (&result);
  g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_FAILED, "%s: Nix failed: %s", job->what, why);
  return FALSE;
}

char *
moosh_nix_instantiate (const MooshNix *nix, const MooshNixJob *job, const char *tree,
                       const char *attribute, GError **error)
{
  const MooshCageBind nixpkgs = { nix->nixpkgs, NIXPKGS, FALSE };
  g_autoptr (GPtrArray) argv = command (nix, job, &nixpkgs, "nix-instantiate");
  g_autofree char *bp = g_strconcat ("bp=" STORE, tree, NULL);
  g_autofree char *moosh = g_strconcat ("moosh=" STORE, nix->moosh, NULL);
  g_auto (MooshChildResult) result = { 0 };
  g_auto (GStrv) found = NULL;
  g_autofree char *why = NULL;
  MooshError code = MOOSH_ERROR_REFUSED;

  moosh_cage_add (argv, "-I", bp, "-I", moosh, "-I", "guest=" MOOSH_CAGE_DIR "/guest", NULL);
  if (nix->nixpkgs != NULL)
    moosh_cage_add (argv, "-I", "nixpkgs=" NIXPKGS, NULL);
  moosh_cage_add (argv, "--attr", attribute, "<bp>", NULL);
  if (!run (job, argv, &result, error))
    return NULL;
  if (result.exit_status == 0)
    {
      found = paths (&result, job->what, error);
      if (found == NULL)
        return NULL;
      if (found[1] == NULL
          && (g_str_has_suffix (found[0], ".drv") || strstr (found[0], ".drv!") != NULL))
        return g_strndup (found[0], strcspn (found[0], "!"));
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_REFUSED,
                   "%s: attribute %s is not one derivation", job->what, attribute);
      return NULL;
    }
  why = reason (&result);
  if (out_of_memory (&result)
      && (result.exit_status != 1 || g_str_has_prefix (why, "out of memory")))
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_LIMIT,
                   "%s: it needs more than %" G_GUINT64_FORMAT " MiB of memory", job->what,
                   job->memory_max >> 20);
      return NULL;
    }
  if (strstr (why, "in selection path") != NULL
      || (strstr (why, "default.nix'") != NULL
          && strstr (why, "No such file or directory") != NULL))
    code = MOOSH_ERROR_NOT_FOUND;
  g_set_error (error, MOOSH_ERROR, (int)code, "%s: it does not evaluate: %s", job->what, why);
  return NULL;
}

gboolean
moosh_nix_substitute (const MooshNix *nix, const MooshNixJob *job, const char *drv, GError **error)
{
  MooshNix online = *nix;
  g_autoptr (GPtrArray) argv = NULL;
  g_auto (MooshChildResult) result = { 0 };

  online.cage.network = TRUE;
  argv = command (&online, job, NULL, "nix-store");
  moosh_cage_add (argv, "--option", "substituters", nix->substituters, "--option",
                  "trusted-public-keys", nix->trusted_keys != NULL ? nix->trusted_keys : "",
                  "--option", "connect-timeout", "10", "--option", "max-jobs", "0", "--keep-going",
                  "--realise", drv, NULL);
  return run (job, argv, &result, error); /* fails where something is left to build: no news */
}

char *
moosh_nix_realise (const MooshNix *nix, const MooshNixJob *job, const char *drv, GError **error)
{
  g_autoptr (GPtrArray) argv = command (nix, job, NULL, "nix-store");
  g_auto (MooshChildResult) result = { 0 };
  g_auto (GStrv) found = NULL;
  g_autofree char *why = NULL;

  moosh_cage_add (argv, "--realise", drv, NULL);
  if (!run (job, argv, &result, error))
    return NULL;
  if (result.exit_status == 0)
    {
      found = paths (&result, job->what, error);
      if (found == NULL)
        return NULL;
      if (found[1] == NULL)
        return g_strdup (found[0]);
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_REFUSED,
                   "%s: the derivation has more than one output", job->what);
      return NULL;
    }
  why = reason (&result);
  if (strstr (why, "signal 9") != NULL || strstr (why, "exit code 137") != NULL)
    g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_LIMIT,
                 "%s: a process of it was killed, most likely for using more memory "
                 "than is allowed",
                 job->what);
  else
    g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_REFUSED, "%s: it does not build: %s", job->what,
                 why);
  return NULL;
}

static char *
root_path (const MooshNix *nix, const char *name)
{
  return g_build_filename (nix->store, "nix", "var", "nix", "gcroots", name, NULL);
}

gboolean
moosh_nix_root (const MooshNix *nix, const char *name, const char *logical, GError **error)
{
  g_autofree char *path = root_path (nix, name);

  unlink (path);
  if (symlink (logical, path) == 0)
    return TRUE;
  g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_FAILED, "garbage collector's root %s: %s", path,
               g_strerror (errno));
  return FALSE;
}

void
moosh_nix_unroot (const MooshNix *nix, const char *name)
{
  g_autofree char *path = root_path (nix, name);

  unlink (path);
}
