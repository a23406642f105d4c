/* Taking from pools: nobody gets what somebody else has, at the limit and one past it. */
#include "machine/inventory.h"
#include <string.h>

static MooshPool
make_pool (MooshPoolClass class, guint32 overcommit_pct, guint32 vcpu_milli, guint32 ram_mib,
           guint32 disk_gib)
{
  MooshPool pool = { .id = "aa",
                     .class = class,
                     .overcommit_pct = overcommit_pct,
                     .capacity = { vcpu_milli, ram_mib, disk_gib, 0, 0 } };
  return pool;
}

static MooshMachineUnits
units (guint32 vcpu_milli, guint32 ram_mib, guint32 disk_gib)
{
  return (MooshMachineUnits){ vcpu_milli, ram_mib, disk_gib, 0, 0 };
}

static void
assert_refused (MooshPool *pool, MooshMachineUnits wanted, int code)
{
  g_autoptr (GError) error = NULL;
  MooshPool before = *pool;
  MooshCores cores = { { 7 } }, cores_before = cores;

  g_assert_false (moosh_pool_reserve (pool, &wanted, &cores, &error));
  g_assert_error (error, MOOSH_ERROR, code);
  g_assert_cmpmem (pool, sizeof *pool, &before, sizeof before);
  g_assert_cmpmem (&cores, sizeof cores, &cores_before, sizeof cores_before);
}

static MooshCores
assert_reserved (MooshPool *pool, MooshMachineUnits wanted)
{
  g_autoptr (GError) error = NULL;
  MooshCores cores;

  g_assert_true (moosh_pool_reserve (pool, &wanted, &cores, &error));
  g_assert_no_error (error);
  return cores;
}

static void
test_limit (void)
{
  struct {
    MooshMachineUnits fits, too_much;
  } cases[] = {
    { units (4000, 1, 1), units (4001, 1, 1) },
    { units (1, 8192, 1), units (1, 8193, 1) },
    { units (1, 1, 100), units (1, 1, 101) },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      MooshPool pool = make_pool (MOOSH_POOL_SHARED, 100, 4000, 8192, 100);
      assert_refused (&pool, cases[i].too_much, MOOSH_ERROR_CONFLICT);
      assert_reserved (&pool, cases[i].fits);
      assert_refused (&pool, cases[i].fits, MOOSH_ERROR_CONFLICT);
    }
}

static void
test_resources_nobody_has (void)
{
  MooshPool pool = make_pool (MOOSH_POOL_SHARED, 100, 4000, 8192, 100);
  MooshMachineUnits gpu = units (1, 1, 1), ipv4 = units (1, 1, 1);

  gpu.gpu = 1;
  ipv4.ipv4 = 1;
  assert_refused (&pool, gpu, MOOSH_ERROR_CONFLICT);
  assert_refused (&pool, ipv4, MOOSH_ERROR_CONFLICT);
}

static void
test_nothing_asked (void)
{
  MooshPool pool = make_pool (MOOSH_POOL_SHARED, 100, 4000, 8192, 100);

  assert_refused (&pool, units (0, 1, 1), MOOSH_ERROR_USAGE);
  assert_refused (&pool, units (1, 0, 1), MOOSH_ERROR_USAGE);
  assert_refused (&pool, units (1, 1, 0), MOOSH_ERROR_USAGE);
}

static void
test_overcommit_is_of_vcpu_only (void)
{
  MooshPool pool = make_pool (MOOSH_POOL_SHARED, 250, 2000, 1000, 10);
  MooshMachineUnits sellable = moosh_pool_sellable (&pool);

  g_assert_cmpuint (sellable.vcpu_milli, ==, 5000);
  g_assert_cmpuint (sellable.ram_mib, ==, 1000);
  g_assert_cmpuint (sellable.disk_gib, ==, 10);
  assert_reserved (&pool, units (5000, 1, 1));
  assert_refused (&pool, units (1, 1, 1), MOOSH_ERROR_CONFLICT);
}

static void
test_no_sum_wraps (void)
{
  MooshPool pool = make_pool (MOOSH_POOL_SHARED, 1600, G_MAXUINT32, G_MAXUINT32, G_MAXUINT32);

  g_assert_cmpuint (moosh_pool_sellable (&pool).vcpu_milli, ==, G_MAXUINT32);
  assert_reserved (&pool, units (G_MAXUINT32, G_MAXUINT32, G_MAXUINT32));
  assert_refused (&pool, units (1, 1, 1), MOOSH_ERROR_CONFLICT);
}

static void
test_lowered_below_reserved (void)
{
  MooshPool pool = make_pool (MOOSH_POOL_SHARED, 100, 4000, 8192, 100);

  assert_reserved (&pool, units (3000, 4096, 50));
  pool.capacity = units (1000, 1024, 10);
  g_assert_cmpuint (moosh_pool_free (&pool).vcpu_milli, ==, 0);
  g_assert_cmpuint (moosh_pool_free (&pool).ram_mib, ==, 0);
  assert_refused (&pool, units (1, 1, 1), MOOSH_ERROR_CONFLICT);
}

static void
test_dedicated_cores_are_nobody_elses (void)
{
  g_autoptr (GError) error = NULL;
  MooshPool pool = make_pool (MOOSH_POOL_DEDICATED, 100, 6000, 8192, 100);
  MooshCores others = { { 0 } }, all = { { 0 } };
  const guint32 sizes[] = { 1000, 3000, 2000 };

  moosh_cores_add (&others, 0);
  moosh_cores_add (&others, 3);
  g_assert_true (moosh_pool_choose_cores (&pool, &others, 8, &error));
  g_assert_no_error (error);
  for (guint i = 0; i < G_N_ELEMENTS (sizes); i++)
    {
      MooshCores mine = assert_reserved (&pool, units (sizes[i], 1, 1));
      guint before = moosh_cores_count (&all);

      g_assert_cmpuint (moosh_cores_count (&mine), ==, sizes[i] / 1000);
      moosh_cores_join (&all, &mine);
      g_assert_cmpuint (moosh_cores_count (&all), ==,
                        before + sizes[i] / 1000); /* none was anybody's before */
      g_assert_false (moosh_cores_has (&mine, 0) || moosh_cores_has (&mine, 3));
    }
  assert_refused (&pool, units (1000, 1, 1), MOOSH_ERROR_CONFLICT);
}

static void
test_dedicated_sells_whole_cores (void)
{
  g_autoptr (GError) error = NULL;
  MooshPool pool = make_pool (MOOSH_POOL_DEDICATED, 100, 2000, 8192, 100);
  MooshCores none = { { 0 } };

  g_assert_true (moosh_pool_choose_cores (&pool, &none, 2, NULL));
  assert_refused (&pool, units (999, 1, 1), MOOSH_ERROR_USAGE);
  assert_refused (&pool, units (1001, 1, 1), MOOSH_ERROR_USAGE);
  pool.capacity.vcpu_milli = 2500;
  g_assert_false (moosh_pool_check (&pool, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE);
}

static void
test_choosing_cores (void)
{
  g_autoptr (GError) error = NULL;
  MooshPool pool = make_pool (MOOSH_POOL_DEDICATED, 100, 3000, 8192, 100);
  MooshCores none = { { 0 } }, mine;
  g_autofree char *first = NULL, *shrunk = NULL, *grown = NULL;

  g_assert_false (moosh_pool_choose_cores (&pool, &none, 2, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_LIMIT);
  g_assert_true (moosh_pool_choose_cores (&pool, &none, 4, NULL));
  first = moosh_cores_print (&pool.cores);
  g_assert_cmpstr (first, ==, "0,1,2");
  mine = assert_reserved (&pool, units (2000, 1, 1));
  /* a smaller pool keeps the cores that are in use, a larger one those it has */
  pool.capacity.vcpu_milli = 1000;
  g_assert_true (moosh_pool_choose_cores (&pool, &none, 4, NULL));
  shrunk = moosh_cores_print (&pool.cores);
  g_assert_cmpstr (shrunk, ==, "0,1");
  g_assert_cmpuint (moosh_cores_count (&mine), ==, 2);
  pool.capacity.vcpu_milli = 4000;
  g_assert_true (moosh_pool_choose_cores (&pool, &none, 4, NULL));
  grown = moosh_cores_print (&pool.cores);
  g_assert_cmpstr (grown, ==, "0,1,2,3");
}

static void
test_pool_check (void)
{
  struct {
    MooshPoolClass class;
    guint32 overcommit;
    gboolean good;
  } cases[] = {
    { MOOSH_POOL_SHARED, 99, FALSE },    { MOOSH_POOL_SHARED, 100, TRUE },
    { MOOSH_POOL_SHARED, 1600, TRUE },   { MOOSH_POOL_SHARED, 1601, FALSE },
    { MOOSH_POOL_DEDICATED, 100, TRUE }, { MOOSH_POOL_DEDICATED, 101, FALSE },
    { (MooshPoolClass)2, 100, FALSE },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      MooshPool pool = make_pool (cases[i].class, cases[i].overcommit, 1000, 1, 1);
      g_assert_cmpint (moosh_pool_check (&pool, NULL), ==, cases[i].good);
    }
}

static void
test_cores_text (void)
{
  const char *good[] = { "", "0", "0,1", "3,64,255" };
  const char *bad[] = { "256", "1,0", "1,1", "0,", ",0", "-1", "a", "0 ", "00" };
  MooshCores cores;

  for (guint i = 0; i < G_N_ELEMENTS (good); i++)
    {
      g_autofree char *text = NULL;
      g_assert_true (moosh_cores_parse (good[i], &cores));
      text = moosh_cores_print (&cores);
      g_assert_cmpstr (text, ==, good[i]);
    }
  for (guint i = 0; i < G_N_ELEMENTS (bad); i++)
    g_assert_false (moosh_cores_parse (bad[i], &cores));
}

/* Whatever is taken and given back, in any order: what is out never exceeds what may be sold, and
 * no core is twice out. */
static void
test_random_takers (void)
{
  guint32 seed = g_test_rand_int_range (1, G_MAXINT32);
  g_autoptr (GRand) rand = g_rand_new_with_seed (seed);
  MooshCores none = { { 0 } }, held[64];
  MooshMachineUnits out[64];
  guint n = 0;
  MooshPool pool = make_pool (MOOSH_POOL_DEDICATED, 100, 16000, 65536, 500);

  g_test_message ("seed %u", seed);
  g_assert_true (moosh_pool_choose_cores (&pool, &none, 32, NULL));
  for (int step = 0; step < 20000; step++)
    {
      MooshMachineUnits wanted = units ((guint32)g_rand_int_range (rand, 1, 6) * 1000,
                                        (guint32)g_rand_int_range (rand, 1, 20000),
                                        (guint32)g_rand_int_range (rand, 1, 90));
      MooshCores cores, sum = { { 0 } };
      guint count = 0;

      if (g_rand_boolean (rand) && n < G_N_ELEMENTS (out))
        {
          if (moosh_pool_reserve (&pool, &wanted, &cores, NULL))
            out[n] = wanted, held[n++] = cores;
        }
      else if (n > 0)
        {
          guint at = (guint)g_rand_int_range (rand, 0, (gint32)n);
          pool.reserved.vcpu_milli -= out[at].vcpu_milli;
          pool.reserved.ram_mib -= out[at].ram_mib;
          pool.reserved.disk_gib -= out[at].disk_gib;
          moosh_cores_drop (&pool.busy, &held[at]);
          out[at] = out[--n], held[at] = held[n];
        }
      for (guint i = 0; i < n; i++)
        {
          moosh_cores_join (&sum, &held[i]);
          count += moosh_cores_count (&held[i]);
        }
      g_assert_cmpuint (moosh_cores_count (&sum), ==, count);
      g_assert_cmpuint (pool.reserved.vcpu_milli, ==, count * 1000);
      g_assert_true (pool.reserved.vcpu_milli <= 16000 && pool.reserved.ram_mib <= 65536
                     && pool.reserved.disk_gib <= 500);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/inventory/limit", test_limit);
  g_test_add_func ("/inventory/resources-nobody-has", test_resources_nobody_has);
  g_test_add_func ("/inventory/nothing-asked", test_nothing_asked);
  g_test_add_func ("/inventory/overcommit", test_overcommit_is_of_vcpu_only);
  g_test_add_func ("/inventory/no-sum-wraps", test_no_sum_wraps);
  g_test_add_func ("/inventory/lowered-below-reserved", test_lowered_below_reserved);
  g_test_add_func ("/inventory/dedicated-cores", test_dedicated_cores_are_nobody_elses);
  g_test_add_func ("/inventory/whole-cores", test_dedicated_sells_whole_cores);
  g_test_add_func ("/inventory/choosing-cores", test_choosing_cores);
  g_test_add_func ("/inventory/pool-check", test_pool_check);
  g_test_add_func ("/inventory/cores-text", test_cores_text);
  g_test_add_func ("/inventory/random-takers", test_random_takers);
  return g_test_run ();
}
