/* What the builder is made of: software policy, watched children and their logs, disk use. The
 * builder as a whole is tests/functional/test_build.py's. */
#include "core/bytes/bytes.h"
#include "machine/blueprint.h"
#include "machine/child.h"
#include "machine/policy.h"
#include "machine/usage.h"
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- Policy ---- */

static void
test_policy_text (void)
{
  static const char *const good[] = { "",
                                      "\n\n",
                                      "# nothing",
                                      "git https://example.org/",
                                      "git ssh://git@h/x a b.c\n",
                                      "\t git   file:///srv/x \r\n# end",
                                      "commit 0123456789abcdef0123456789ABCDEF01234567",
                                      "closure micro-*\nclosure *" };
  static const char *const bad[] = { "git",
                                     "git http://h/x",
                                     "git https://h/x -a",
                                     "commit 0123",
                                     "closure",
                                     "closure a b",
                                     "allow git https://h/x",
                                     "git https://h/x\ncommit",
                                     "commit 0123456789abcdef0123456789abcdef01234567 x" };
  g_autofree char *longer = g_strnfill (MOOSH_POLICY_BYTES_MAX + 1, '\n');
  GString *many = g_string_new (NULL);
  g_autoptr (GError) error = NULL;

  for (guint i = 0; i < G_N_ELEMENTS (good); i++)
    g_assert_true (moosh_policy_check (good[i], NULL));
  g_assert_true (moosh_policy_check (NULL, NULL));
  for (guint i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      g_autoptr (GError) why = NULL;

      if (moosh_policy_check (bad[i], &why))
        g_error ("taken: %s", bad[i]);
      g_assert_error (why, MOOSH_ERROR, MOOSH_ERROR_USAGE);
      g_assert_nonnull (strstr (why->message, strchr (bad[i], '\n') ? "line 2" : "line 1"));
    }
  g_assert_false (moosh_policy_check (longer, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_LIMIT);
  g_clear_error (&error);
  longer[MOOSH_POLICY_BYTES_MAX] = '\0';
  g_assert_true (moosh_policy_check (longer, NULL));
  for (guint i = 0; i < MOOSH_POLICY_RULES_MAX; i++)
    g_string_append (many, "closure a\n");
  g_assert_true (moosh_policy_check (many->str, NULL));
  g_string_append (many, "closure a\n");
  g_assert_false (moosh_policy_check (many->str, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_LIMIT);
  g_string_free (many, TRUE);
}

static void
test_policy_source (void)
{
  static const struct {
    const char *policy, *url, *attribute;
    gboolean allowed;
  } cases[] = {
    { NULL, "https://h/x", "a", TRUE },
    { "closure *", "https://h/x", "a", TRUE }, /* says nothing of sources */
    { "git https://h/x", "https://h/x", "a", TRUE },
    { "git https://h/x", "https://h/x.git", "a", TRUE },
    { "git https://h/x", "https://h/x/y", "a", TRUE },
    { "git https://h/x", "https://h/xy", "a", FALSE },
    { "git https://h/x", "https://h/x.github", "a", FALSE },
    { "git https://h/", "https://h/xy", "a", TRUE },
    { "git https://h", "https://h.evil/x", "a", FALSE },
    { "git https://h/x", "ssh://h/x", "a", FALSE },
    { "git https://h/x a b", "https://h/x", "b", TRUE },
    { "git https://h/x a b", "https://h/x", "c", FALSE },
    { "git https://h/x a\ngit https://h/y", "https://h/y", "c", TRUE },
    { "commit 1111111111111111111111111111111111111111", "https://h/x", "a", TRUE },
    { "commit 1111111111111111111111111111111111111112", "https://h/x", "a", FALSE },
    { "commit 1111111111111111111111111111111111111112\ngit https://h/", "https://h/x", "a", TRUE },
    { "nonsense", "https://h/x", "a", FALSE },
  };
  guint8 commit[MOOSH_COMMIT_LEN];

  memset (commit, 0x11, sizeof commit);
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_test_message ("%s: %s#%s", cases[i].policy, cases[i].url, cases[i].attribute);
      g_assert_cmpint (moosh_policy_allows_source (cases[i].policy, cases[i].url, commit,
                                                   cases[i].attribute, NULL),
                       ==, cases[i].allowed);
    }
}

static void
test_policy_closure (void)
{
  const char *const paths[] = { "/nix/store/0123456789abcdfghijklmnpqrsvwxyz-hello-1.0",
                                "/nix/store/0123456789abcdfghijklmnpqrsvwxyz-glibc", NULL };
  const char *const odd[] = { "/nix/store/short", NULL };
  g_autoptr (GError) error = NULL;

  g_assert_true (moosh_policy_allows_closure (NULL, paths, NULL));
  g_assert_true (moosh_policy_allows_closure ("git https://h/", paths, NULL));
  g_assert_true (moosh_policy_allows_closure ("closure hello-*\nclosure glib?", paths, NULL));
  g_assert_false (moosh_policy_allows_closure ("closure hello-*", paths, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_DENIED);
  g_assert_nonnull (strstr (error->message, "glibc"));
  g_assert_false (moosh_policy_allows_closure ("closure 0123*", paths,
                                               NULL)); /* the hash is no part of the name */
  g_assert_true (moosh_policy_allows_closure ("closure short", odd, NULL));
}

static void
test_policy_hash (void)
{
  const guint8 zero[32] = { 0 };
  guint8 hash[32];
  char hex[65];

  moosh_policy_hash (NULL, hash);
  g_assert_cmpmem (hash, 32, zero, 32);
  moosh_policy_hash ("", hash);
  g_assert_cmpmem (hash, 32, zero, 32);
  moosh_policy_hash ("abc", hash);
  moosh_hex_encode (hash, 32, hex);
  g_assert_cmpstr (
      hex, ==, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"); /* FIPS 180-4's
                                                                                       example */
}

/* ---- Children ---- */

typedef struct {
  char *dir, *log_path;
  MooshLog log;
  MooshChild child;
  MooshChildResult result;
  GError *error;
} Fixture;

static void
set_up (Fixture *f, gconstpointer unused)
{
  (void)unused;
  f->dir = g_dir_make_tmp ("moosh-child-XXXXXX", NULL);
  f->log_path = g_build_filename (f->dir, "log", NULL);
  g_assert_true (moosh_log_open (&f->log, f->log_path, 100, NULL));
  f->child = (MooshChild){ .what = "the work", .timeout_s = 60, .out_max = 1000, .log = &f->log };
}

static void
tear_down (Fixture *f, gconstpointer unused)
{
  (void)unused;
  moosh_log_close (&f->log);
  moosh_child_result_clear (&f->result);
  g_clear_error (&f->error);
  g_assert_true (moosh_remove_tree (f->dir));
  g_free (f->dir);
  g_free (f->log_path);
}

static gboolean
run (Fixture *f, const char *script)
{
  const char *const argv[] = { "sh", "-c", script, NULL };

  f->child.spawn.argv = argv;
  moosh_child_result_clear (&f->result);
  g_clear_error (&f->error);
  return moosh_child_run (&f->child, &f->result, &f->error);
}

static void
assert_stopped (Fixture *f, const char *script, int code, const char *words)
{
  g_assert_false (run (f, script));
  g_assert_error (f->error, MOOSH_ERROR, code);
  if (strstr (f->error->message, words) == NULL
      || !g_str_has_prefix (f->error->message, "the work: "))
    g_error ("%s", f->error->message);
}

static void
test_child_ends (Fixture *f, gconstpointer unused)
{
  g_autofree char *text = NULL, *words = NULL;

  (void)unused;
  g_assert_true (
      run (f, "echo out; printf 'one\\rtwo\\033[1m\\t\\001\\n  last  \\n\\n' >&2; exit 7"));
  g_assert_cmpint (f->result.exit_status, ==, 7);
  g_assert_cmpstr (f->result.out, ==, "out\n");
  g_assert_true (g_file_get_contents (f->log_path, &text, NULL, NULL));
  g_assert_cmpstr (text, ==, "one\ntwo?[1m\t?\n  last  \n\n");
  g_assert_cmpstr (f->result.tail, ==, text);
  words = moosh_child_last_words (f->result.tail);
  g_assert_cmpstr (words, ==, "last");
  g_assert_true (run (f, "kill -USR1 $$"));
  g_assert_cmpint (f->result.exit_status, ==, 128 + SIGUSR1);
  g_free (words);
  words = moosh_child_last_words (f->result.tail);
  g_assert_cmpstr (words, ==, "it said nothing");
}

static void
test_child_tail (Fixture *f, gconstpointer unused)
{
  (void)unused;
  f->child.log = NULL;
  g_assert_true (run (f, "i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i + 1)); done >&2"));
  g_assert_cmpuint (strlen (f->result.tail), ==, 4096);
  g_assert_true (g_str_has_suffix (f->result.tail, "\nline 2999\n"));
}

static void
test_child_limits (Fixture *f, gconstpointer unused)
{
  g_autofree char *text = NULL;

  (void)unused;
  g_assert_true (run (f, "head -c 1000 /dev/zero"));
  assert_stopped (f, "head -c 1001 /dev/zero", MOOSH_ERROR_LIMIT, "1000 bytes");
  g_assert_true (run (f, "head -c 100 /dev/zero >&2"));
  assert_stopped (f, "echo >&2; sleep 100", MOOSH_ERROR_LIMIT, "log");
  g_assert_true (g_file_get_contents (f->log_path, &text, NULL, NULL));
  g_assert_cmpuint (strlen (text), ==, 100);
}

static void
test_child_time (Fixture *f, gconstpointer unused)
{
  (void)unused;
  f->child.timeout_s = 1;
  assert_stopped (f, "while :; do echo x; sleep 0.1; done", MOOSH_ERROR_TIMEOUT, "1 s");
  f->child.timeout_s = 60;
  f->child.silence_s = 1;
  assert_stopped (f, "echo . >&2; sleep 100", MOOSH_ERROR_TIMEOUT, "said nothing for 1 s");
}

/* Whoever it started goes with it, even what ignores every signal that can be ignored. */
static void
test_child_group (Fixture *f, gconstpointer unused)
{
  g_autofree char *script = g_strdup_printf (
      "(trap '' TERM HUP INT; echo $$ >%s/ready; while :; do sleep 1; done) &", f->dir);
  g_autofree char *ready = g_build_filename (f->dir, "ready", NULL), *wait = NULL;

  (void)unused;
  wait = g_strdup_printf ("%s while [ ! -s %s ]; do sleep 0.05; done; echo $$", script, ready);
  g_assert_true (run (f, wait));
  /* SIGKILL has been sent; the last of the group may take a moment to be gone */
  while (kill ((pid_t)-g_ascii_strtoll (f->result.out, NULL, 10), 0) == 0)
    g_thread_yield ();
}

static gpointer
cancel_when_ready (gpointer memory)
{
  Fixture *f = memory;
  g_autofree char *ready = g_build_filename (f->dir, "ready", NULL);

  while (!g_file_test (ready, G_FILE_TEST_EXISTS))
    g_thread_yield ();
  g_cancellable_cancel (f->child.cancellable);
  return NULL;
}

static void
test_child_cancelled (Fixture *f, gconstpointer unused)
{
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autofree char *script = g_strdup_printf ("echo >%s/ready; sleep 100", f->dir);
  GThread *thread;

  (void)unused;
  f->child.cancellable = cancellable;
  thread = g_thread_new ("cancel", cancel_when_ready, f);
  assert_stopped (f, script, MOOSH_ERROR_CANCELLED, "cancelled");
  g_thread_join (thread);
  assert_stopped (f, "echo never begun", MOOSH_ERROR_CANCELLED, "cancelled");
}

static gboolean
refuse_third (gpointer memory, GError **error)
{
  if (++*(guint *)memory < 3)
    return TRUE;
  g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_LIMIT, "the work: seen enough");
  return FALSE;
}

static void
test_child_watched (Fixture *f, gconstpointer unused)
{
  guint looks = 0;

  (void)unused;
  f->child.watch = refuse_third;
  f->child.watch_data = &looks;
  assert_stopped (f, "sleep 100", MOOSH_ERROR_LIMIT, "seen enough");
  g_assert_cmpuint (looks, ==, 3);
}

static void
test_log_lines (Fixture *f, gconstpointer unused)
{
  g_autofree char *text = NULL, *line = g_strnfill (90, 'x');

  (void)unused;
  moosh_log_line (&f->log, line);
  moosh_log_line (&f->log, "too long now"); /* dropped whole */
  moosh_log_line (&f->log, "12345678");
  g_assert_true (g_file_get_contents (f->log_path, &text, NULL, NULL));
  g_assert_cmpuint (strlen (text), ==, 100);
  g_assert_true (g_str_has_suffix (text, "x\n12345678\n"));
}

/* ---- Disk use ---- */

static void
fill (const char *path, gsize bytes)
{
  g_autofree char *content = g_strnfill (bytes, 'x');

  g_assert_true (g_file_set_contents (path, content, (gssize)bytes, NULL));
}

static void
test_usage (Fixture *f, gconstpointer unused)
{
  g_autofree char *sub = g_build_filename (f->dir, "a", "b", NULL),
                  *file = g_build_filename (sub, "file", NULL);
  g_autofree char *link = g_build_filename (f->dir, "link", NULL);
  guint64 before, after;

  (void)unused;
  g_assert_cmpint (g_mkdir_with_parents (sub, 0700), ==, 0);
  before = moosh_disk_usage (f->dir, G_MAXUINT64);
  fill (file, 1000000);
  g_assert_cmpint (symlink ("/usr", link), ==, 0);
  after = moosh_disk_usage (f->dir, G_MAXUINT64);
  g_assert_cmpuint (after - before, >=, 1000000);
  g_assert_cmpuint (after - before, <, 1100000); /* /usr is not in it */
  g_assert_cmpuint (moosh_disk_usage (f->dir, 1000), >, 1000);
  g_assert_cmpuint (moosh_disk_usage ("/nowhere/at/all", 1000), ==, 0);
}

static void
test_usage_counts_empty_files (Fixture *f, gconstpointer unused)
{
  guint64 before = moosh_disk_usage (f->dir, G_MAXUINT64);

  (void)unused;
  for (guint i = 0; i < 100; i++)
    {
      g_autofree char *name = g_strdup_printf ("%s/%u", f->dir, i);

      fill (name, 0);
    }
  g_assert_cmpuint (moosh_disk_usage (f->dir, G_MAXUINT64) - before, >=, 100 * 512);
}

static void
test_remove (Fixture *f, gconstpointer unused)
{
  g_autofree char *top = g_build_filename (f->dir, "top", NULL),
                  *sub = g_build_filename (top, "sub", NULL);
  g_autofree char *file = g_build_filename (sub, "file", NULL),
                  *link = g_build_filename (sub, "link", NULL);
  g_autofree char *kept = g_build_filename (f->dir, "kept", NULL);

  (void)unused;
  g_assert_cmpint (g_mkdir_with_parents (sub, 0700), ==, 0);
  g_assert_cmpint (g_mkdir (kept, 0700), ==, 0);
  fill (file, 10);
  g_assert_cmpint (symlink (kept, link), ==, 0);
  g_assert_cmpint (chmod (sub, 0), ==, 0); /* as Nix and strangers leave them */
  g_assert_cmpint (chmod (top, 0500), ==, 0);
  g_assert_true (moosh_remove_tree (top));
  g_assert_false (g_file_test (top, G_FILE_TEST_EXISTS));
  g_assert_true (g_file_test (kept, G_FILE_TEST_IS_DIR)); /* what a link leads to stays */
  g_assert_true (moosh_remove_tree (top));                /* nothing there is fine */
}

/* ---- The builder's own checks ---- */

static void
test_builder_needs_its_parts (Fixture *f, gconstpointer unused)
{
  g_autofree char *state = g_build_filename (f->dir, "state", NULL),
                  *kernel = g_build_filename (f->dir, "vmlinuz", NULL);
  MooshBuilderConfig config = { .state_dir = state, .guest_dir = f->dir, .nix_dir = f->dir };
  g_autoptr (MooshBuilder) builder = NULL;

  (void)unused;
  g_assert_null (moosh_builder_new (&config, &f->error));
  g_assert_error (f->error, MOOSH_ERROR, MOOSH_ERROR_NOT_FOUND);
  g_assert_nonnull (strstr (f->error->message, "scripts/guest-kernel"));
  g_clear_error (&f->error);
  fill (kernel, 1);
  g_assert_null (moosh_builder_new (&config, &f->error));
  g_assert_nonnull (strstr (f->error->message, "nix directory"));
  g_clear_error (&f->error);
  config.nix_dir = MOOSH_SOURCE_DIR "/nix";
  builder = moosh_builder_new (&config, &f->error);
  g_assert_no_error (f->error);
}

#define ADD(path, function) g_test_add (path, Fixture, NULL, set_up, function, tear_down)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/policy/text", test_policy_text);
  g_test_add_func ("/policy/source", test_policy_source);
  g_test_add_func ("/policy/closure", test_policy_closure);
  g_test_add_func ("/policy/hash", test_policy_hash);
  ADD ("/child/ends", test_child_ends);
  ADD ("/child/tail", test_child_tail);
  ADD ("/child/limits", test_child_limits);
  ADD ("/child/time", test_child_time);
  ADD ("/child/group", test_child_group);
  ADD ("/child/cancelled", test_child_cancelled);
  ADD ("/child/watched", test_child_watched);
  ADD ("/child/log-lines", test_log_lines);
  ADD ("/usage/sum", test_usage);
  ADD ("/usage/empty-files", test_usage_counts_empty_files);
  ADD ("/usage/remove", test_remove);
  ADD ("/builder/parts", test_builder_needs_its_parts);
  return g_test_run ();
}
