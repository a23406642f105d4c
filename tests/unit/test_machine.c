/* The parts a guest is run with: console ring, firewall text, limits, settings, processes. */
#include "base/spawn.h"
#include "machine/cgroup.h"
#include "machine/console.h"
#include "machine/fence.h"
#include "machine/host.h"
#include "machine/process.h"
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static char *directory;

static char *
in_dir (const char *name)
{
  return g_build_filename (directory, name, NULL);
}

/* ---- console ---- */

static void
assert_console (const char *path, gint64 offset, gsize max, gint64 at, const char *text)
{
  gint64 ret_offset = -1, end = -1;
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) bytes = moosh_console_read (path, offset, max, &ret_offset, &end, &error);
  gsize len;
  const void *data = g_bytes_get_data (bytes, &len);

  g_assert_no_error (error);
  g_assert_cmpint (ret_offset, ==, at);
  g_assert_cmpmem (data, len, text, strlen (text));
}

static void
test_console_offsets (void)
{
  g_autofree char *path = in_dir ("console");

  assert_console (path, 0, 100, 0, "");
  assert_console (path, 5, 100, 0, "");
  assert_console (path, -5, 100, 0, "");
  g_assert_true (moosh_console_append (path, "hello ", 6, NULL));
  g_assert_true (moosh_console_append (path, "world", 5, NULL));
  assert_console (path, 0, 100, 0, "hello world");
  assert_console (path, 6, 3, 6, "wor");
  assert_console (path, -5, 100, 6, "world");
  assert_console (path, -500, 5, 0, "hello");
  assert_console (path, 11, 5, 11, "");
  assert_console (path, G_MAXINT64, 5, 11, "");
  assert_console (path, G_MININT64, 5, 0, "hello");
}

/* Whatever the chunks: the last MOOSH_CONSOLE_RING bytes are there, each at its place in the
 * stream. */
static void
test_console_ring (void)
{
  const gsize chunks[] = { 1,
                           100000,
                           MOOSH_CONSOLE_RING - 1,
                           7,
                           MOOSH_CONSOLE_RING,
                           MOOSH_CONSOLE_RING + 1,
                           3 * MOOSH_CONSOLE_RING + 13 };
  g_autofree char *path = in_dir ("ring");
  g_autoptr (GByteArray) all = g_byte_array_new ();

  for (guint i = 0; i < G_N_ELEMENTS (chunks); i++)
    {
      gsize from = all->len, kept;
      gint64 offset, end;
      g_autoptr (GBytes) bytes = NULL;
      const void *data;

      g_byte_array_set_size (all, (guint)(all->len + chunks[i]));
      for (gsize b = from; b < all->len; b++)
        all->data[b] = (guint8)(b * 31 + b / 251);
      g_assert_true (moosh_console_append (path, all->data + from, chunks[i], NULL));
      bytes = moosh_console_read (path, 0, G_MAXSIZE, &offset, &end, NULL);
      data = g_bytes_get_data (bytes, &kept);
      g_assert_cmpint (end, ==, all->len);
      g_assert_cmpuint (kept, ==, MIN (all->len, (guint)MOOSH_CONSOLE_RING));
      g_assert_cmpint (offset, ==, all->len - kept);
      g_assert_cmpmem (data, kept, all->data + offset, kept);
    }
}

static void
test_console_foreign_file (void)
{
  g_autofree char *path = in_dir ("foreign");

  g_assert_true (
      g_file_set_contents (path, "something else entirely, and longer than a header", -1, NULL));
  assert_console (path, 0, 100, 0, "");
  g_assert_true (moosh_console_append (path, "x", 1, NULL));
  assert_console (path, 0, 100, 0, "x");
}

/* ---- firewall ---- */

static gsize
position (const char *text, const char *needle)
{
  const char *found = strstr (text, needle);
  g_assert_nonnull (found);
  return (gsize)(found - text);
}

static void
test_fence_rules (void)
{
  const gint64 online[] = { 71002, 71005 };
  g_autofree char *rules = moosh_fence_rules (
      71000, 512, online, 2,
      "# x\nnameserver 10.9.8.7\nnameserver\tfd00::53\nnameserver junk; reject\nsearch a\n");
  g_autofree char *nobody = moosh_fence_rules (71000, 512, NULL, 0, "");

  g_assert_cmpuint (position (rules, "elements = { 71002, 71005 }"), >, 0);
  g_assert_null (strstr (nobody, "elements"));
  g_assert_cmpuint (position (rules, "meta skuid 71000-71511 jump guest"), >, 0);
  /* the order is the meaning: answers, name service, what is ours or private, the Internet, nothing
   * else */
  g_assert_cmpuint (position (rules, "ct state established"), <,
                    position (rules, "ip daddr 10.9.8.7"));
  g_assert_cmpuint (position (rules, "ip daddr 10.9.8.7"), <,
                    position (rules, "ip6 daddr fd00::53"));
  g_assert_cmpuint (position (rules, "ip6 daddr fd00::53"), <,
                    position (rules, "fib daddr type { local"));
  g_assert_cmpuint (position (rules, "fib daddr type"), <, position (rules, "192.168.0.0/16"));
  g_assert_cmpuint (position (rules, "192.168.0.0/16"), <,
                    position (rules, "meta skuid @online accept"));
  g_assert_null (strstr (rules, "junk"));
  g_assert_null (strstr (nobody, "dport 53"));
}

/* ---- limits: control groups in a directory that looks like one ---- */

static void
fake (const char *root, const char *path, const char *text)
{
  g_autofree char *full = g_build_filename (root, path, NULL), *parent = g_path_get_dirname (full);

  g_assert_cmpint (g_mkdir_with_parents (parent, 0755), ==, 0);
  g_assert_true (g_file_set_contents (full, text, -1, NULL));
}

static void
assert_file (const char *root, const char *path, const char *text)
{
  g_autofree char *full = g_build_filename (root, path, NULL), *content = NULL;

  g_assert_true (g_file_get_contents (full, &content, NULL, NULL));
  g_assert_cmpstr (content, ==, text);
}

static const MooshCgroupLimits limits = { 1500, 1 << 20, 64 };

static void
test_cgroup_v2 (void)
{
  g_autofree char *root = in_dir ("v2"), *note = NULL;
  g_auto (GStrv) procs = NULL;
  g_autoptr (GError) error = NULL;
  static const char *const files[]
      = { "cpu.max", "memory.max", "pids.max", "memory.swap.max", "cpu.weight" };

  fake (root, "cgroup.controllers", "cpuset cpu io memory hugetlb pids\n");
  fake (root, "cgroup.subtree_control", "");
  fake (root, "mooshnet/cgroup.subtree_control", "");
  g_assert_cmpint (moosh_cgroup_detect (root, &note), ==, MOOSH_LIMITS_CGROUP2);
  g_assert_null (note);
  assert_file (root, "cgroup.subtree_control", "+cpu +memory +pids");
  assert_file (root, "mooshnet/cgroup.subtree_control", "+cpu +memory +pids");
  for (guint i = 0; i < G_N_ELEMENTS (files); i++)
    {
      g_autofree char *path = g_build_filename ("mooshnet/g", files[i], NULL);
      fake (root, path, "");
    }
  g_assert_true (moosh_cgroup_make (MOOSH_LIMITS_CGROUP2, root, "g", &limits, &procs, &error));
  g_assert_no_error (error);
  assert_file (root, "mooshnet/g/cpu.max", "150000 100000");
  assert_file (root, "mooshnet/g/memory.max", "1048576");
  assert_file (root, "mooshnet/g/memory.swap.max", "0");
  assert_file (root, "mooshnet/g/pids.max", "64");
  assert_file (root, "mooshnet/g/cpu.weight", "150");
  g_assert_cmpuint (g_strv_length (procs), ==, 1);
  g_assert_true (g_str_has_suffix (procs[0], "/v2/mooshnet/g/cgroup.procs"));
}

static void
test_cgroup_v1 (void)
{
  g_autofree char *root = in_dir ("v1"), *note = NULL;
  g_auto (GStrv) procs = NULL;
  g_autoptr (GError) error = NULL;
  static const char *const files[]
      = { "cpu/mooshnet/g/cpu.cfs_period_us", "cpu/mooshnet/g/cpu.cfs_quota_us",
          "memory/mooshnet/g/memory.limit_in_bytes", "pids/mooshnet/g/pids.max",
          "cpu/mooshnet/g/cpu.shares" };

  fake (root, "cpu/cgroup.procs", "");
  fake (root, "memory/cgroup.procs", "");
  fake (root, "pids/cgroup.procs", "");
  g_assert_cmpint (moosh_cgroup_detect (root, &note), ==, MOOSH_LIMITS_CGROUP1);
  for (guint i = 0; i < G_N_ELEMENTS (files); i++)
    fake (root, files[i], "");
  g_assert_true (moosh_cgroup_make (MOOSH_LIMITS_CGROUP1, root, "g", &limits, &procs, &error));
  g_assert_no_error (error);
  assert_file (root, files[0], "100000");
  assert_file (root, files[1], "150000");
  assert_file (root, files[2], "1048576");
  assert_file (root, files[3], "64");
  assert_file (root, files[4], "1536");
  g_assert_cmpuint (g_strv_length (procs), ==, 3);
}

/* v2 without the controllers (they are bound to v1, as on a hybrid host), and neither. */
static void
test_cgroup_fallbacks (void)
{
  g_autofree char *root = in_dir ("hybrid"), *none = in_dir ("none"), *note = NULL,
                  *none_note = NULL;
  g_auto (GStrv) procs = NULL;

  fake (root, "cgroup.controllers", "hugetlb\n");
  fake (root, "cpu/cgroup.procs", "");
  g_assert_cmpint (moosh_cgroup_detect (root, &note), ==, MOOSH_LIMITS_RLIMITS);
  g_assert_nonnull (strstr (note, "hugetlb"));
  g_assert_cmpint (moosh_cgroup_detect (none, &none_note), ==, MOOSH_LIMITS_RLIMITS);
  g_assert_nonnull (none_note);
  g_assert_true (moosh_cgroup_make (MOOSH_LIMITS_RLIMITS, none, "g", &limits, &procs, NULL));
  g_assert_cmpuint (g_strv_length (procs), ==, 0);
}

/* A control file that is not there is an error that names it, and no file is made in its place. */
static void
test_cgroup_refuses (void)
{
  g_autofree char *root = in_dir ("broken"),
                  *made = g_build_filename (root, "mooshnet/g/cpu.max", NULL);
  g_auto (GStrv) procs = NULL;
  g_autoptr (GError) error = NULL;

  fake (root, "mooshnet/cgroup.procs", "");
  g_assert_false (moosh_cgroup_make (MOOSH_LIMITS_CGROUP2, root, "g", &limits, &procs, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_FAILED);
  g_assert_nonnull (strstr (error->message, "cpu.max"));
  g_assert_false (g_file_test (made, G_FILE_TEST_EXISTS));
}

/* ---- settings ---- */

static gboolean
load (const char *text, MooshHostConfig *config, GError **error)
{
  g_autoptr (GKeyFile) file = g_key_file_new ();

  g_assert_true (g_key_file_load_from_data (file, text, (gsize)-1, G_KEY_FILE_NONE, NULL));
  return moosh_host_config_load (config, file, "/state", error);
}

static void
test_config_good (void)
{
  g_auto (MooshHostConfig) none = { 0 }, some = { 0 };

  g_assert_true (load ("", &none, NULL));
  g_assert_cmpstr (none.listen_host, ==, "127.0.0.1");
  g_assert_cmpint (none.port_first, ==, 42000);
  g_assert_false (none.allow_file_urls);
  g_assert_false (none.internet);
  g_assert_cmpstr (none.state_dir, ==, "/state");
  g_assert_true (load (
      "[network]\nlisten_host=0.0.0.0\npublic_host=vm.example\nport_first=50000\nport_count=10\n"
      "internet=true\n[guest]\nboot_s=30\n[build]\nallow_file_urls=true\neval_mib=64\n[host]"
      "\ncores=8\n",
      &some, NULL));
  g_assert_cmpstr (some.listen_host, ==, "0.0.0.0");
  g_assert_cmpstr (some.public_host, ==, "vm.example");
  g_assert_cmpint (some.port_count, ==, 10);
  g_assert_true (some.internet && some.allow_file_urls);
  g_assert_cmpint (some.boot_s, ==, 30);
  g_assert_cmpint (some.cores, ==, 8);
}

static void
test_config_bad (void)
{
  static const struct {
    const char *text, *named;
  } cases[] = {
    { "[guest]\nbootseconds=3\n", "[guest] bootseconds" },
    { "[gest]\nboot_s=3\n", "[gest] boot_s" },
    { "[guest]\nboot_s=0\n", "[guest] boot_s" },
    { "[guest]\nboot_s=86401\n", "[guest] boot_s" },
    { "[guest]\nboot_s=soon\n", "[guest] boot_s" },
    { "[network]\nport_first=1023\n", "port_first" },
    { "[network]\nport_first=65535\nport_count=2\n", "65535" },
    { "[network]\nlisten_host=example.org\n", "listen_host" },
    { "[network]\nlisten_host=::1\n", "listen_host" },
    { "[network]\ninternet=perhaps\n", "[network] internet" },
    { "[guest]\nuid_first=999\n", "uid_first" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_auto (MooshHostConfig) config = { 0 };
      g_autoptr (GError) error = NULL;

      g_assert_false (load (cases[i].text, &config, &error));
      g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE);
      g_assert_nonnull (strstr (error->message, cases[i].named));
    }
}

/* ---- processes ---- */

static void
test_process_start (void)
{
  gint64 mine = moosh_process_start (getpid ());
  pid_t child = fork ();

  if (child == 0)
    _exit (0);
  g_assert_cmpint (mine, >, 0);
  g_assert_cmpint (moosh_process_start (getpid ()), ==, mine);
  g_assert_cmpint (moosh_process_start (0), ==, 0);
  g_assert_cmpint (moosh_process_start (-1), ==, 0);
  g_assert_cmpint (waitid (P_PID, (id_t)child, &(siginfo_t){ 0 }, WEXITED | WNOWAIT), ==, 0);
  g_assert_cmpint (moosh_process_start (child), ==, 0); /* a zombie is no process */
  waitpid (child, NULL, 0);
}

static void
test_kill_user (void)
{
  const char *argv[] = { "sleep", "1000", NULL };
  const uid_t uid = 70990; /* below every range of guests */
  MooshSpawn spawn = { .argv = argv, .set_ids = TRUE, .uid = uid, .gid = uid };
  g_autoptr (GError) error = NULL;
  pid_t first = 0, second = 0;

  g_assert_false (moosh_process_kill_user (0, 1000, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE);
  g_clear_error (&error);
  if (geteuid () != 0)
    {
      g_test_skip ("changing users takes root");
      return;
    }
  g_assert_cmpint (moosh_process_of_users (uid, 1), ==, 0);
  g_assert_true (moosh_spawn (&spawn, &first, NULL, NULL)
                 && moosh_spawn (&spawn, &second, NULL, NULL));
  g_assert_cmpint (moosh_process_of_users (uid - 5, 10), ==, MIN (first, second));
  g_assert_cmpint (moosh_process_of_users (uid - 5, 5), ==, 0);
  g_assert_true (moosh_process_kill_user (uid, 10000, &error));
  g_assert_no_error (error);
  g_assert_cmpint (moosh_process_of_users (uid, 1), ==, 0);
  g_assert_true (moosh_process_kill_user (uid, 10000, NULL)); /* nobody left: fine */
}

int
main (int argc, char **argv)
{
  const char *clean[] = { "rm", "-rf", NULL, NULL };
  int result;

  g_test_init (&argc, &argv, NULL);
  directory = g_dir_make_tmp ("moosh-machine-XXXXXX", NULL);
  g_test_add_func ("/machine/console/offsets", test_console_offsets);
  g_test_add_func ("/machine/console/ring", test_console_ring);
  g_test_add_func ("/machine/console/foreign-file", test_console_foreign_file);
  g_test_add_func ("/machine/fence/rules", test_fence_rules);
  g_test_add_func ("/machine/cgroup/v2", test_cgroup_v2);
  g_test_add_func ("/machine/cgroup/v1", test_cgroup_v1);
  g_test_add_func ("/machine/cgroup/fallbacks", test_cgroup_fallbacks);
  g_test_add_func ("/machine/cgroup/refuses", test_cgroup_refuses);
  g_test_add_func ("/machine/config/good", test_config_good);
  g_test_add_func ("/machine/config/bad", test_config_bad);
  g_test_add_func ("/machine/process/start", test_process_start);
  g_test_add_func ("/machine/process/kill-user", test_kill_user);
  result = g_test_run ();
  clean[2] = directory;
  moosh_run (clean, 10000, NULL, NULL);
  g_free (directory);
  return result;
}
