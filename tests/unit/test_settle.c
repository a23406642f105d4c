/* The arithmetic of settlement, at its boundaries. */
#include "market/settle.h"
#include <glib.h>

static MooshU256
n (uint64_t v)
{
  return moosh_u256 (v);
}

static void
assert_u256 (MooshU256 got, MooshU256 want)
{
  char a[79], b[79];
  moosh_u256_to_decimal (&got, a);
  moosh_u256_to_decimal (&want, b);
  g_assert_cmpstr (a, ==, b);
}

static MooshAccount
account (uint64_t bal, uint64_t rate, uint64_t lock, uint64_t t)
{
  return (MooshAccount){ n (bal), n (0), n (rate), n (lock), t };
}

static void
test_grace (void)
{
  MooshAccount a = account (1000, 10, 100, 50);
  g_assert_cmpuint (moosh_account_grace_until (&a), ==, 50 + 90);
  a.bal_x = n (1009);
  g_assert_cmpuint (moosh_account_grace_until (&a), ==, 50 + 90); /* rounds down */
  a.bal_x = n (1010);
  g_assert_cmpuint (moosh_account_grace_until (&a), ==, 50 + 91);
  g_assert_cmpuint (moosh_account_funded_until (&a, 91), ==, 50);
  g_assert_cmpuint (moosh_account_funded_until (&a, 141), ==, 0);
  g_assert_cmpuint (moosh_account_funded_until (&a, 142), ==, 0); /* not below 0 */
  a.rate_x = n (0);
  g_assert_cmpuint (moosh_account_grace_until (&a), ==, MOOSH_NEVER);
  g_assert_cmpuint (moosh_account_funded_until (&a, 5), ==, MOOSH_NEVER);
  a.rate_x = n (1);
  a.bal_x = moosh_u256_shl (&a.rate_x, 70); /* beyond 2^64 seconds */
  g_assert_cmpuint (moosh_account_grace_until (&a), ==, MOOSH_NEVER);
}

static void
test_touch (void)
{
  MooshAccount a = account (1005, 10, 100, 50);
  moosh_account_touch (&a, 49); /* the past changes nothing */
  moosh_account_touch (&a, 50);
  assert_u256 (a.bal_x, n (1005));
  moosh_account_touch (&a, 51);
  assert_u256 (a.bal_x, n (995));
  assert_u256 (a.earned_x, n (10));
  g_assert_cmpuint (a.t_s, ==, 51);
  moosh_account_touch (&a, 1000000); /* stops in the last second paid for in full */
  assert_u256 (a.bal_x, n (105));
  assert_u256 (a.earned_x, n (900));
  g_assert_cmpuint (a.t_s, ==, 140);
  moosh_account_touch (&a, 2000000);
  g_assert_cmpuint (a.t_s, ==, 140);
}

static void
test_top_up (void)
{
  MooshU256 one = n (1), none = n (0), most = { { UINT64_MAX, UINT64_MAX, 0, 0 } };
  MooshAccount a = account (1005, 10, 100, 50), before;
  g_assert_cmpint (moosh_account_top_up (&a, 500, &one), ==, 0);
  assert_u256 (a.bal_x, n (105 + (1ull << 32)));
  assert_u256 (a.earned_x, n (900)); /* not a second of the gap */
  g_assert_cmpuint (a.t_s, ==, 500);
  before = a;
  g_assert_cmpint (moosh_account_top_up (&a, 600, &none), ==, MOOSH_E_RANGE);
  g_assert_cmpint (moosh_account_top_up (&a, 600, &most), ==,
                   MOOSH_E_RANGE); /* 2^128 − 1 + something */
  g_assert_cmpmem (&a, sizeof a, &before, sizeof before);

  a = account (0, 0, 0, 0);
  g_assert_cmpint (moosh_account_top_up (&a, 0, &most), ==, 0); /* the largest balance */
  g_assert_cmpint (moosh_account_top_up (&a, 0, &one), ==, MOOSH_E_RANGE);
  MooshU256 beyond = moosh_u256_shl (&one, 128);
  a = account (0, 0, 0, 0);
  g_assert_cmpint (moosh_account_top_up (&a, 0, &beyond), ==, MOOSH_E_RANGE);
}

static void
test_free (void)
{
  MooshAccount a = account (1000, 10, 100, 0);
  assert_u256 (moosh_account_free_x (&a, 0), n (900));
  assert_u256 (moosh_account_free_x (&a, 90), n (0));
  assert_u256 (moosh_account_free_x (&a, 89), n (10));
  assert_u256 (moosh_account_free_x (&a, 91), n (0));
}

static void
test_pay_and_close (void)
{
  MooshAccount a = account ((5ull << 32) + 7, 10, 100, 0);
  MooshU256 some = n (1ull << 32), lots = n (UINT64_MAX);
  assert_u256 (moosh_account_pay (&a, &some), some);
  assert_u256 (a.bal_x, n ((4ull << 32) + 7));
  assert_u256 (moosh_account_close (&a), n (4));
  assert_u256 (a.bal_x, n (0));
  assert_u256 (a.rate_x, n (0));
  assert_u256 (a.lock_fixed_x, n (0));
  assert_u256 (a.earned_x, n ((1ull << 32) + 7)); /* the fraction is kept */

  a = account (10, 1, 0, 0);
  assert_u256 (moosh_account_pay (&a, &lots), n (10)); /* bounded by what is left */
  assert_u256 (a.bal_x, n (0));
}

static void
test_collect (void)
{
  MooshAccount a = { .earned_x = n ((3ull << 32) + 5) };
  MooshU256 hold = n ((1ull << 32) + 6), none = n (0);
  assert_u256 (moosh_account_collect (&a, &hold),
               n (1)); /* 2·2^32 − 1 above the hold: one whole wei */
  assert_u256 (a.earned_x, n ((2ull << 32) + 5));
  assert_u256 (moosh_account_collect (&a, &hold), n (0));
  assert_u256 (moosh_account_collect (&a, &none), n (2));
  assert_u256 (a.earned_x, n (5));
  hold = n (UINT64_MAX);
  assert_u256 (moosh_account_collect (&a, &hold), n (0));
}

static void
test_rounding (void)
{
  MooshU256 x = n ((7ull << 32) + 1), whole = n (7ull << 32);
  assert_u256 (moosh_x_to_wei (&x), n (7));
  assert_u256 (moosh_x_to_wei_up (&x), n (8));
  assert_u256 (moosh_x_to_wei_up (&whole), n (7));
  MooshU256 zero = n (0);
  assert_u256 (moosh_x_to_wei_up (&zero), n (0));
}

/* However time is cut into touches, the result is that of one touch. */
static void
test_touch_splits (void)
{
  for (int round = 0; round < 2000; round++)
    {
      MooshAccount one = account ((uint64_t)g_test_rand_int_range (0, 1 << 30) << 20, 0, 0, 100),
                   many;
      one.rate_x
          = n ((uint64_t)g_test_rand_int_range (1, 1 << 30) << (g_test_rand_int_range (0, 20)));
      many = one;
      uint64_t end = 100;
      for (int cut = 0; cut < 5; cut++)
        moosh_account_touch (&many, end += (uint64_t)g_test_rand_int_range (0, 5000));
      moosh_account_touch (&one, end);
      g_assert_cmpmem (&one, sizeof one, &many, sizeof many);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/settle/grace", test_grace);
  g_test_add_func ("/settle/touch", test_touch);
  g_test_add_func ("/settle/top-up", test_top_up);
  g_test_add_func ("/settle/free", test_free);
  g_test_add_func ("/settle/pay-and-close", test_pay_and_close);
  g_test_add_func ("/settle/collect", test_collect);
  g_test_add_func ("/settle/rounding", test_rounding);
  g_test_add_func ("/settle/touch-splits", test_touch_splits);
  return g_test_run ();
}
