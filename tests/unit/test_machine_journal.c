/* The journal: what was written is what is read, units are held by the right states, and ports and
 * users are given once. */
#include "machine/journal.h"
#include <glib/gstdio.h>
#include <string.h>

static char *directory;

static MooshStore *
open_store (const char *name)
{
  g_autofree char *path = g_build_filename (directory, name, NULL);
  g_autoptr (GError) error = NULL;
  MooshStore *store = moosh_store_open (path, moosh_machine_migrations, &error);

  g_assert_no_error (error);
  return store;
}

static void
put_pool (MooshStore *store, MooshPoolClass class)
{
  g_autoptr (GError) error = NULL;
  MooshPool pool
      = { .id = "aa", .class = class, .overcommit_pct = 100, .capacity = { 4000, 4096, 40, 0, 0 } };

  moosh_cores_add (&pool.cores, 1);
  moosh_cores_add (&pool.cores, 2);
  g_assert_true (moosh_journal_put_pool (store, &pool, &error));
  g_assert_no_error (error);
}

static MooshMachine *
reserve (MooshStore *store, const char *agreement, guint core)
{
  g_autoptr (MooshMachine) m = g_new0 (MooshMachine, 1);
  g_autoptr (GError) error = NULL;

  m->agreement = g_strdup (agreement);
  m->pool = g_strdup ("aa");
  m->units = (MooshMachineUnits){ 1000, 512, 10, 0, 0 };
  moosh_cores_add (&m->cores, core);
  m->request_hash = g_bytes_new_static ("0123456789abcdef0123456789abcdef", 32);
  m->reserved_s = 1234;
  if (!moosh_journal_reserve (store, m, &error))
    {
      g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_CONFLICT);
      return NULL;
    }
  return moosh_journal_machine_by_id (store, m->id, NULL);
}

static void
set_state (MooshStore *store, MooshMachine *m, MooshMachineState state)
{
  m->state = state;
  g_assert_true (moosh_journal_save (store, m, NULL));
}

static void
test_round_trip (void)
{
  g_autoptr (MooshStore) store = open_store ("round-trip");
  g_autoptr (MooshMachine) m = NULL, back = NULL;

  put_pool (store, MOOSH_POOL_DEDICATED);
  m = reserve (store, "7", 1);
  m->want = MOOSH_WANT_PAUSE;
  m->retain_until_s = 99;
  m->request = g_bytes_new_static ("req", 3);
  m->policy = g_strdup ("commit x");
  m->internet = TRUE;
  m->reboots_wanted = 4;
  g_assert_true (moosh_journal_want (store, m, NULL));
  m->state = MOOSH_MACHINE_RUNNING;
  g_free (m->step), m->step = g_strdup ("boot");
  g_free (m->error), m->error = g_strdup ("none");
  m->uid = 71001, m->pid = 42, m->pid_start = 4242;
  m->system = g_strdup ("/nix/store/s"), m->kernel = g_strdup ("k"), m->initrd = g_strdup ("i");
  m->cmdline = g_strdup ("c"), m->store_image = g_strdup ("img"),
  m->host_key = g_strdup ("ssh-ed25519 x");
  m->accel = g_strdup ("tcg");
  m->build_ms = 1, m->boot_ms = 2, m->running_since_s = 3, m->restarts = 4, m->crashes = 5,
  m->reboots = 6;
  g_assert_true (moosh_journal_save (store, m, NULL));
  g_assert_true (
      moosh_journal_take_ports (store, m, (const guint16[]){ 22, 80 }, 2, 1000, 10, 0, NULL));

  back = moosh_journal_machine (store, "7", NULL);
  g_assert_cmpint (back->id, ==, m->id);
  g_assert_cmpstr (back->pool, ==, "aa");
  g_assert_cmpmem (&back->units, sizeof back->units, &m->units, sizeof m->units);
  g_assert_true (moosh_cores_has (&back->cores, 1));
  g_assert_true (g_bytes_equal (back->request_hash, m->request_hash)
                 && g_bytes_equal (back->request, m->request));
  g_assert_cmpint (back->reserved_s, ==, 1234);
  g_assert_cmpint (back->want, ==, MOOSH_WANT_PAUSE);
  g_assert_cmpint (back->retain_until_s, ==, 99);
  g_assert_cmpstr (back->policy, ==, "commit x");
  g_assert_true (back->internet);
  g_assert_cmpint (back->reboots_wanted, ==, 4);
  g_assert_cmpint (back->state, ==, MOOSH_MACHINE_RUNNING);
  g_assert_cmpstr (back->step, ==, "boot");
  g_assert_cmpstr (back->error, ==, "none");
  g_assert_cmpint (back->uid, ==, 71001);
  g_assert_cmpint (back->pid, ==, 42);
  g_assert_cmpint (back->pid_start, ==, 4242);
  g_assert_cmpstr (back->system, ==, "/nix/store/s");
  g_assert_cmpstr (back->kernel, ==, "k");
  g_assert_cmpstr (back->initrd, ==, "i");
  g_assert_cmpstr (back->cmdline, ==, "c");
  g_assert_cmpstr (back->store_image, ==, "img");
  g_assert_cmpstr (back->host_key, ==, "ssh-ed25519 x");
  g_assert_cmpstr (back->accel, ==, "tcg");
  g_assert_cmpint (back->build_ms, ==, 1);
  g_assert_cmpint (back->boot_ms, ==, 2);
  g_assert_cmpint (back->running_since_s, ==, 3);
  g_assert_cmpint (back->restarts, ==, 4);
  g_assert_cmpint (back->crashes, ==, 5);
  g_assert_cmpint (back->reboots, ==, 6);
  g_assert_cmpuint (moosh_machine_port (back, 22), ==, 1000);
  g_assert_cmpuint (moosh_machine_port (back, 80), ==, 1001);
  g_assert_cmpuint (moosh_machine_port (back, 81), ==, 0);
}

/* What is wanted and what is reached are two people's writing: neither call touches the other's
 * columns. */
static void
test_want_and_state_are_apart (void)
{
  g_autoptr (MooshStore) store = open_store ("apart");
  g_autoptr (MooshMachine) driver = NULL, request = NULL, now = NULL;

  put_pool (store, MOOSH_POOL_SHARED);
  driver = reserve (store, "1", 1);
  request = moosh_journal_machine (store, "1", NULL);
  request->want = MOOSH_WANT_GONE;
  g_assert_true (moosh_journal_want (store, request, NULL));
  set_state (store, driver, MOOSH_MACHINE_RUNNING); /* still thinks that nothing is wanted */
  g_assert_true (moosh_journal_want (store, request, NULL)); /* still thinks that it is reserved */
  now = moosh_journal_machine (store, "1", NULL);
  g_assert_cmpint (now->want, ==, MOOSH_WANT_GONE);
  g_assert_cmpint (now->state, ==, MOOSH_MACHINE_RUNNING);
}

static void
test_who_holds_units (void)
{
  static const struct {
    MooshMachineState state;
    guint32 vcpu_milli, disk_gib;
  } cases[] = {
    { MOOSH_MACHINE_RESERVED, 1000, 10 }, { MOOSH_MACHINE_BUILDING, 1000, 10 },
    { MOOSH_MACHINE_BOOTING, 1000, 10 },  { MOOSH_MACHINE_RUNNING, 1000, 10 },
    { MOOSH_MACHINE_PAUSED, 1000, 10 },   { MOOSH_MACHINE_STOPPED, 1000, 10 },
    { MOOSH_MACHINE_FAILED, 1000, 10 },   { MOOSH_MACHINE_RETAINED, 0, 10 },
    { MOOSH_MACHINE_DESTROYED, 0, 0 },    { MOOSH_MACHINE_RELEASED, 0, 0 },
  };
  g_autoptr (MooshStore) store = open_store ("units");
  g_autoptr (MooshMachine) m = NULL;

  put_pool (store, MOOSH_POOL_DEDICATED);
  m = reserve (store, "1", 2);
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree MooshPool *pool = NULL;

      set_state (store, m, cases[i].state);
      pool = moosh_journal_pool (store, "aa", NULL);
      g_assert_cmpuint (pool->reserved.vcpu_milli, ==, cases[i].vcpu_milli);
      g_assert_cmpuint (pool->reserved.ram_mib, ==, cases[i].vcpu_milli == 0 ? 0 : 512);
      g_assert_cmpuint (pool->reserved.disk_gib, ==, cases[i].disk_gib);
      g_assert_cmpint (moosh_cores_has (&pool->busy, 2), ==, cases[i].vcpu_milli != 0);
      g_assert_true (moosh_cores_has (&pool->cores, 1) && moosh_cores_has (&pool->cores, 2));
    }
}

static void
test_one_live_machine_an_agreement (void)
{
  g_autoptr (MooshStore) store = open_store ("one");
  g_autoptr (MooshMachine) first = NULL, again = NULL, found = NULL;

  put_pool (store, MOOSH_POOL_SHARED);
  first = reserve (store, "1", 1);
  g_assert_null (reserve (store, "1", 2));
  set_state (store, first, MOOSH_MACHINE_DESTROYED);
  g_assert_null (reserve (store, "1", 2)); /* an agreement that was served is never served again */
  set_state (store, first, MOOSH_MACHINE_RELEASED);
  again = reserve (store, "1", 2);
  g_assert_nonnull (again);
  found = moosh_journal_machine (store, "1", NULL);
  g_assert_cmpint (found->id, ==, again->id);
  g_assert_cmpint (found->id, !=, first->id);
}

static void
test_ports (void)
{
  g_autoptr (MooshStore) store = open_store ("ports");
  g_autoptr (MooshMachine) a = NULL, b = NULL;
  g_autoptr (GError) error = NULL;
  const guint16 guest[] = { 22, 80, 443 };

  put_pool (store, MOOSH_POOL_SHARED);
  a = reserve (store, "1", 1);
  b = reserve (store, "2", 2);
  g_assert_true (moosh_journal_take_ports (store, a, guest, 2, 1000, 4, 0, NULL));
  g_assert_false (moosh_journal_take_ports (store, b, guest, 3, 1000, 4, 0, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_LIMIT);
  g_assert_cmpuint (b->forwards->len, ==, 0);
  g_assert_true (moosh_journal_take_ports (store, b, guest, 2, 1000, 4, 0, NULL));
  g_assert_cmpuint (moosh_machine_port (b, 22), ==, 1002);
  g_assert_cmpuint (moosh_machine_port (b, 80), ==, 1003);
  /* others, because somebody else listens there: its own old ones are free to it, a's are not */
  g_assert_false (moosh_journal_take_ports (store, b, guest, 2, 1000, 4, 1003, NULL));
  g_assert_cmpuint (moosh_machine_port (b, 22), ==, 1002);
  g_assert_true (moosh_journal_drop_ports (store, a, NULL));
  g_assert_true (moosh_journal_take_ports (store, b, guest, 2, 1000, 4, 1001, NULL));
  g_assert_cmpuint (moosh_machine_port (b, 22), ==, 1001);
}

static void
test_users (void)
{
  g_autoptr (MooshStore) store = open_store ("users");
  g_autoptr (MooshMachine) a = NULL, b = NULL;

  put_pool (store, MOOSH_POOL_SHARED);
  a = reserve (store, "1", 1);
  b = reserve (store, "2", 2);
  g_assert_cmpint (moosh_journal_free_uid (store, 500, 2), ==, 500);
  a->uid = 500;
  set_state (store, a, MOOSH_MACHINE_RETAINED);
  g_assert_cmpint (moosh_journal_free_uid (store, 500, 2), ==, 501);
  b->uid = 501;
  set_state (store, b, MOOSH_MACHINE_RUNNING);
  g_assert_cmpint (moosh_journal_free_uid (store, 500, 2), ==, 0);
  set_state (store, a, MOOSH_MACHINE_DESTROYED);
  g_assert_cmpint (moosh_journal_free_uid (store, 500, 2), ==, 500);
}

static void
test_live_only (void)
{
  g_autoptr (MooshStore) store = open_store ("live");
  g_autoptr (MooshMachine) a = NULL, b = NULL;
  g_autoptr (GPtrArray) live = NULL, all = NULL;

  put_pool (store, MOOSH_POOL_SHARED);
  a = reserve (store, "1", 1);
  b = reserve (store, "2", 2);
  set_state (store, a, MOOSH_MACHINE_DESTROYED);
  live = moosh_journal_machines (store, TRUE, NULL);
  all = moosh_journal_machines (store, FALSE, NULL);
  g_assert_cmpuint (live->len, ==, 1);
  g_assert_cmpstr (((MooshMachine *)g_ptr_array_index (live, 0))->agreement, ==, "2");
  g_assert_cmpuint (all->len, ==, 2);
}

static void
test_not_found (void)
{
  g_autoptr (MooshStore) store = open_store ("none");
  g_autoptr (GError) machine = NULL, pool = NULL;

  g_assert_null (moosh_journal_machine (store, "x", &machine));
  g_assert_error (machine, MOOSH_ERROR, MOOSH_ERROR_NOT_FOUND);
  g_assert_null (moosh_journal_pool (store, "x", &pool));
  g_assert_error (pool, MOOSH_ERROR, MOOSH_ERROR_NOT_FOUND);
}

static void
test_agreement_names (void)
{
  g_autofree char *longest = g_strnfill (80, 'a'), *too_long = g_strnfill (81, 'a');
  const char *good[] = { "1", "0xab", "a.b-c_d", longest };
  const char *bad[] = { "", ".", "..", ".a", "-a", "a/b", "a b", "a\nb", "\xc3\xa4", too_long };

  for (guint i = 0; i < G_N_ELEMENTS (good); i++)
    g_assert_true (moosh_agreement_check (good[i], NULL));
  for (guint i = 0; i < G_N_ELEMENTS (bad); i++)
    g_assert_false (moosh_agreement_check (bad[i], NULL));
}

int
main (int argc, char **argv)
{
  int result;

  g_test_init (&argc, &argv, NULL);
  directory = g_dir_make_tmp ("moosh-journal-XXXXXX", NULL);
  g_test_add_func ("/journal/round-trip", test_round_trip);
  g_test_add_func ("/journal/want-and-state", test_want_and_state_are_apart);
  g_test_add_func ("/journal/who-holds-units", test_who_holds_units);
  g_test_add_func ("/journal/one-live-machine", test_one_live_machine_an_agreement);
  g_test_add_func ("/journal/ports", test_ports);
  g_test_add_func ("/journal/users", test_users);
  g_test_add_func ("/journal/live-only", test_live_only);
  g_test_add_func ("/journal/not-found", test_not_found);
  g_test_add_func ("/journal/agreement-names", test_agreement_names);
  result = g_test_run ();
  for (GDir *dir = g_dir_open (directory, 0, NULL); dir != NULL; dir = NULL)
    {
      const char *name;
      while ((name = g_dir_read_name (dir)) != NULL)
        {
          g_autofree char *path = g_build_filename (directory, name, NULL);
          g_unlink (path);
        }
      g_dir_close (dir);
    }
  g_rmdir (directory);
  g_free (directory);
  return result;
}
