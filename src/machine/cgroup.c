#include "machine/cgroup.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PERIOD_US 100000

static const char *const controllers[] = { "cpu", "memory", "pids" };

const char *
moosh_limits_name (MooshLimitsKind kind)
{
  static const char *const names[] = { "rlimits", "cgroup1", "cgroup2" };
  return names[kind];
}

/* A control file takes one write; it never makes a new file. */
static gboolean
put (const char *dir, const char *file, const char *text, GError **error)
{
  g_autofree char *path = g_build_filename (dir, file, NULL);
  int fd = open (path, O_WRONLY | O_TRUNC | O_CLOEXEC);
  gboolean ok = fd >= 0 && write (fd, text, strlen (text)) == (ssize_t)strlen (text);

  if (!ok)
    g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_FAILED, "control group: cannot write %s to %s: %s",
                 text, path, g_strerror (errno));
  if (fd >= 0)
    close (fd);
  return ok;
}

static gboolean
make_dir (const char *path, GError **error)
{
  if (mkdir (path, 0755) == 0 || errno == EEXIST)
    return TRUE;
  g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_FAILED, "control group: cannot make %s: %s", path,
               g_strerror (errno));
  return FALSE;
}

/* How much of the processors a group gets when there is not enough: all of ours together as much as
 * everything else on the host, each by what it was sold. Best effort: it only divides shortage. */
static void
weigh (const char *dir, gboolean v2, guint64 milli)
{
  guint64 weight = v2 ? CLAMP (milli / 10, 1, 10000) : CLAMP (milli * 1024 / 1000, 2, 262144);
  g_autofree char *text = g_strdup_printf ("%" G_GUINT64_FORMAT, weight);

  put (dir, v2 ? "cpu.weight" : "cpu.shares", text, NULL);
}

static gboolean
has_all (const char *text)
{
  g_autofree char *copy = g_strdup (text);
  g_auto (GStrv) words = g_strsplit_set (g_strchomp (copy), " \n", -1);

  for (guint i = 0; i < G_N_ELEMENTS (controllers); i++)
    if (!g_strv_contains ((const char *const *)words, controllers[i]))
      return FALSE;
  return TRUE;
}

static gboolean
v2_ready (const char *root, char **note)
{
  g_autofree char *available = g_build_filename (root, "cgroup.controllers", NULL), *text = NULL;
  g_autofree char *dir = g_build_filename (root, "mooshnet", NULL);
  g_autoptr (GError) error = NULL;

  if (!g_file_get_contents (available, &text, NULL, NULL))
    return FALSE;
  if (!has_all (text))
    *note = g_strdup_printf ("cgroup v2 at %s offers only: %s", root, g_strchomp (text));
  else if (!put (root, "cgroup.subtree_control", "+cpu +memory +pids", &error)
           || !make_dir (dir, &error)
           || !put (dir, "cgroup.subtree_control", "+cpu +memory +pids", &error))
    *note = g_strdup (error->message);
  else
    {
      weigh (dir, TRUE, (guint64)g_get_num_processors () * 1000);
      return TRUE;
    }
  return FALSE;
}

static gboolean
v1_ready (const char *root, char **note)
{
  for (guint i = 0; i < G_N_ELEMENTS (controllers); i++)
    {
      g_autofree char *mount = g_build_filename (root, controllers[i], NULL);
      g_autofree char *procs = g_build_filename (mount, "cgroup.procs", NULL);
      g_autofree char *dir = g_build_filename (mount, "mooshnet", NULL);
      g_autoptr (GError) error = NULL;

      if (!g_file_test (procs, G_FILE_TEST_EXISTS) || !make_dir (dir, &error))
        {
          if (*note == NULL)
            *note = error ? g_strdup (error->message)
                          : g_strdup_printf ("there is no cgroup v1 controller at %s", mount);
          return FALSE;
        }
      if (i == 0)
        weigh (dir, FALSE, (guint64)g_get_num_processors () * 1000);
    }
  return TRUE;
}

MooshLimitsKind
moosh_cgroup_detect (const char *root, char **ret_note)
{
  g_autofree char *note = NULL;
  MooshLimitsKind kind = MOOSH_LIMITS_RLIMITS;

  if (v2_ready (root, &note))
    kind = MOOSH_LIMITS_CGROUP2;
  else if (v1_ready (root, &note))
    kind = MOOSH_LIMITS_CGROUP1;
  if (ret_note != NULL)
    *ret_note = kind == MOOSH_LIMITS_RLIMITS ? g_steal_pointer (&note) : NULL;
  return kind;
}

static gboolean
make_v2 (const char *dir, const MooshCgroupLimits *limits, GError **error)
{
  g_autofree char *memory = g_strdup_printf ("%" G_GINT64_FORMAT, limits->memory_bytes);
  g_autofree char *pids = g_strdup_printf ("%" G_GINT64_FORMAT, limits->pids);
  g_autofree char *cpu
      = limits->cpu_milli == 0
            ? g_strdup_printf ("max %d", PERIOD_US)
            : g_strdup_printf ("%u %d", limits->cpu_milli * (PERIOD_US / 1000), PERIOD_US);

  if (!put (dir, "cpu.max", cpu, error) || !put (dir, "memory.max", memory, error)
      || !put (dir, "pids.max", pids, error))
    return FALSE;
  put (dir, "memory.swap.max", "0", NULL); /* absent without swap accounting */
  if (limits->cpu_milli > 0)
    weigh (dir, TRUE, limits->cpu_milli);
  return TRUE;
}

static gboolean
make_v1 (const char *root, const char *name, const MooshCgroupLimits *limits, GError **error)
{
  const struct {
    const char *controller, *file;
    gint64 value;
  } settings[] = {
    { "cpu", "cpu.cfs_period_us", PERIOD_US },
    { "cpu", "cpu.cfs_quota_us",
      limits->cpu_milli == 0 ? -1 : (gint64)limits->cpu_milli * (PERIOD_US / 1000) },
    { "memory", "memory.limit_in_bytes", limits->memory_bytes },
    { "pids", "pids.max", limits->pids },
  };

  for (guint i = 0; i < G_N_ELEMENTS (settings); i++)
    {
      g_autofree char *dir
          = g_build_filename (root, settings[i].controller, "mooshnet", name, NULL);
      g_autofree char *value = g_strdup_printf ("%" G_GINT64_FORMAT, settings[i].value);
      if (!make_dir (dir, error) || !put (dir, settings[i].file, value, error))
        return FALSE;
      if (i == 0 && limits->cpu_milli > 0)
        weigh (dir, FALSE, limits->cpu_milli);
    }
  return TRUE;
}

gboolean
moosh_cgroup_make (MooshLimitsKind kind, const char *root, const char *name,
                   const MooshCgroupLimits *limits, char ***ret_procs, GError **error)
{
  g_autoptr (GStrvBuilder) procs = g_strv_builder_new ();

  if (kind == MOOSH_LIMITS_CGROUP2)
    {
      g_autofree char *dir = g_build_filename (root, "mooshnet", name, NULL);
      g_autofree char *file = g_build_filename (dir, "cgroup.procs", NULL);
      if (!make_dir (dir, error) || !make_v2 (dir, limits, error))
        return FALSE;
      g_strv_builder_add (procs, file);
    }
  else if (kind == MOOSH_LIMITS_CGROUP1)
    {
      if (!make_v1 (root, name, limits, error))
        return FALSE;
      for (guint i = 0; i < G_N_ELEMENTS (controllers); i++)
        {
          g_autofree char *file
              = g_build_filename (root, controllers[i], "mooshnet", name, "cgroup.procs", NULL);
          g_strv_builder_add (procs, file);
        }
    }
  *ret_procs = g_strv_builder_end (procs);
  return TRUE;
}

/* A process that was killed leaves its group when it is reaped, which may be a moment later and not
 * ours to do. */
static void
remove_dir (const char *dir)
{
  gint64 deadline_us = g_get_monotonic_time () + G_USEC_PER_SEC;

  while (rmdir (dir) != 0 && errno != ENOENT)
    {
      if (errno != EBUSY || g_get_monotonic_time () > deadline_us)
        {
          g_debug ("control group %s: %s", dir, g_strerror (errno));
          return;
        }
      g_usleep (2000);
    }
}

void
moosh_cgroup_remove (MooshLimitsKind kind, const char *root, const char *name)
{
  g_autofree char *v2 = g_build_filename (root, "mooshnet", name, NULL);

  if (kind == MOOSH_LIMITS_CGROUP2)
    remove_dir (v2);
  for (guint i = 0; kind == MOOSH_LIMITS_CGROUP1 && i < G_N_ELEMENTS (controllers); i++)
    {
      g_autofree char *dir = g_build_filename (root, controllers[i], "mooshnet", name, NULL);
      remove_dir (dir);
    }
}
