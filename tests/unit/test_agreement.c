/* Every edge with its money, every refused pair of state, call and sender, and random lives. */
#include "market/agreement.h"
#include "market/sequences.h"
#include <glib.h>
#include <string.h>

#define WEI(n) moosh_u256_shl (&(MooshU256){ { (n), 0, 0, 0 } }, 32)

static MooshU256
n (uint64_t v)
{
  return moosh_u256 (v);
}

static void
assert_u256 (MooshU256 got, uint64_t want)
{
  char text[79];
  g_autofree char *expected = g_strdup_printf ("%" G_GUINT64_FORMAT, want);
  moosh_u256_to_decimal (&got, text);
  g_assert_cmpstr (text, ==, expected);
}

/* 10 wei/s, 1 wei/s paused, 2 wei/s for disks; a second is a second. */
static MooshTerms
terms (void)
{
  MooshOffer o = { .rate_x = WEI (10),
                   .paused_rate_x = WEI (1),
                   .retention_rate_x = WEI (2),
                   .reject_fee = { { 50, 0, 0, 0 } },
                   .min_term_s = 100,
                   .max_term_s = 10000,
                   .notice_s = 60,
                   .retention_s = 30,
                   .holdback_s = 40,
                   .accept_within_s = 5,
                   .provision_within_s = 20,
                   .probe_window_s = 10,
                   .lock_period_s = 70 };
  MooshTerms t;
  g_assert_cmpint (moosh_terms_from_offer (&o, 1, &t), ==, 0);
  return t;
}

enum { T0 = 1000, DEPOSIT = 10000, BOND = 1000 };

static MooshRefusal
play (MooshAgreement *a, MooshEvent event, MooshActor by, uint64_t amount, uint64_t now,
      MooshMoves *moves)
{
  MooshU256 wei = n (amount);
  MooshMoves ignored;
  return moosh_agreement_apply (a, event, by, &wei, now, moves != NULL ? moves : &ignored);
}

static void
must (MooshAgreement *a, MooshEvent event, MooshActor by, uint64_t amount, uint64_t now,
      MooshMoves *moves)
{
  g_assert_cmpint (play (a, event, by, amount, now, moves), ==, MOOSH_REFUSED_NOT);
}

/* An agreement in `state` and the time at which it is there. PROVISIONED is at T0 + 4 in all of
 * them. */
static uint64_t
reach (MooshState state, MooshAgreement *a)
{
  MooshTerms t = terms ();
  MooshU256 deposit = n (DEPOSIT), bond = n (BOND);
  g_assert_cmpint (moosh_agreement_take (&t, &deposit, &bond, T0, a), ==, MOOSH_REFUSED_NOT);
  a->sponsored = true;
  if (state == MOOSH_STATE_TAKEN)
    return T0;
  must (a, MOOSH_EVENT_ACCEPT, MOOSH_ACTOR_PROVIDER, 0, T0 + 2, NULL);
  if (state == MOOSH_STATE_ACCEPTED)
    return T0 + 2;
  must (a, MOOSH_EVENT_PROVISIONED, MOOSH_ACTOR_PROVIDER, 0, T0 + 4, NULL);
  if (state == MOOSH_STATE_PROVISIONED)
    return T0 + 5;
  must (a, MOOSH_EVENT_ACKNOWLEDGE, MOOSH_ACTOR_CLIENT, 0, T0 + 6, NULL);
  switch (state)
    {
    case MOOSH_STATE_PAUSED:
      must (a, MOOSH_EVENT_PAUSE, MOOSH_ACTOR_CLIENT, 0, T0 + 7, NULL);
      return T0 + 7;
    case MOOSH_STATE_GRACE:
      return T0 + 4 + 994 - 70; /* (10000 − 60) / 10 = 994 s of money */
    case MOOSH_STATE_DRAINING:
      return T0 + 4 + 994;
    case MOOSH_STATE_RECLAIMING:
      must (a, MOOSH_EVENT_RECLAIM, MOOSH_ACTOR_PROVIDER, 0, T0 + 7, NULL);
      return T0 + 7;
    case MOOSH_STATE_CLOSED:
      must (a, MOOSH_EVENT_CLOSE, MOOSH_ACTOR_CLIENT, 0, T0 + 200, NULL);
      return T0 + 200;
    case MOOSH_STATE_ACTIVE:
    case MOOSH_STATE_NONE:
    case MOOSH_STATE_TAKEN:
    case MOOSH_STATE_ACCEPTED:
    case MOOSH_STATE_PROVISIONED:
    case MOOSH_N_STATES:
      break;
    }
  return T0 + 6;
}

/* For each state the calls that may succeed at the time `reach` gives, and by whom: c client, y
 * payer, p provider, s stranger. What is not listed must be refused and change nothing. */
static const struct {
  MooshState state;
  MooshEvent event;
  const char *by;
  MooshState to;
} allowed[] = {
  { MOOSH_STATE_TAKEN, MOOSH_EVENT_ACCEPT, "p", MOOSH_STATE_ACCEPTED },
  { MOOSH_STATE_TAKEN, MOOSH_EVENT_PROVISIONED, "p", MOOSH_STATE_PROVISIONED },
  { MOOSH_STATE_TAKEN, MOOSH_EVENT_TOP_UP, "cyps", MOOSH_STATE_TAKEN },
  { MOOSH_STATE_TAKEN, MOOSH_EVENT_CLOSE, "cp", MOOSH_STATE_CLOSED },
  { MOOSH_STATE_ACCEPTED, MOOSH_EVENT_PROVISIONED, "p", MOOSH_STATE_PROVISIONED },
  { MOOSH_STATE_ACCEPTED, MOOSH_EVENT_TOP_UP, "cyps", MOOSH_STATE_ACCEPTED },
  { MOOSH_STATE_ACCEPTED, MOOSH_EVENT_CLOSE, "cp", MOOSH_STATE_CLOSED },
  { MOOSH_STATE_PROVISIONED, MOOSH_EVENT_ACKNOWLEDGE, "c", MOOSH_STATE_ACTIVE },
  { MOOSH_STATE_PROVISIONED, MOOSH_EVENT_REJECT, "c", MOOSH_STATE_CLOSED },
  { MOOSH_STATE_PROVISIONED, MOOSH_EVENT_TOP_UP, "cyps", MOOSH_STATE_PROVISIONED },
  { MOOSH_STATE_PROVISIONED, MOOSH_EVENT_CLOSE, "cp", MOOSH_STATE_CLOSED },
  { MOOSH_STATE_ACTIVE, MOOSH_EVENT_PAUSE, "c", MOOSH_STATE_PAUSED },
  { MOOSH_STATE_ACTIVE, MOOSH_EVENT_TOP_UP, "cyps", MOOSH_STATE_ACTIVE },
  { MOOSH_STATE_ACTIVE, MOOSH_EVENT_WITHDRAW_FREE, "y", MOOSH_STATE_ACTIVE },
  { MOOSH_STATE_ACTIVE, MOOSH_EVENT_RECLAIM, "p", MOOSH_STATE_RECLAIMING },
  { MOOSH_STATE_ACTIVE, MOOSH_EVENT_CLOSE, "cp", MOOSH_STATE_CLOSED },
  { MOOSH_STATE_PAUSED, MOOSH_EVENT_RESUME, "c", MOOSH_STATE_ACTIVE },
  { MOOSH_STATE_PAUSED, MOOSH_EVENT_TOP_UP, "cyps", MOOSH_STATE_PAUSED },
  { MOOSH_STATE_PAUSED, MOOSH_EVENT_WITHDRAW_FREE, "y", MOOSH_STATE_PAUSED },
  { MOOSH_STATE_PAUSED, MOOSH_EVENT_RECLAIM, "p", MOOSH_STATE_RECLAIMING },
  { MOOSH_STATE_PAUSED, MOOSH_EVENT_CLOSE, "cp", MOOSH_STATE_CLOSED },
  { MOOSH_STATE_GRACE, MOOSH_EVENT_TOP_UP, "cyps", MOOSH_STATE_ACTIVE },
  { MOOSH_STATE_GRACE, MOOSH_EVENT_RECLAIM, "p", MOOSH_STATE_RECLAIMING },
  { MOOSH_STATE_GRACE, MOOSH_EVENT_CLOSE, "cp", MOOSH_STATE_CLOSED },
  { MOOSH_STATE_GRACE, MOOSH_EVENT_COLLECT, "cyps", MOOSH_STATE_GRACE },
  { MOOSH_STATE_DRAINING, MOOSH_EVENT_TOP_UP, "cyps", MOOSH_STATE_ACTIVE },
  { MOOSH_STATE_DRAINING, MOOSH_EVENT_CLOSE, "cp", MOOSH_STATE_CLOSED },
  { MOOSH_STATE_DRAINING, MOOSH_EVENT_COLLECT, "cyps", MOOSH_STATE_DRAINING },
  { MOOSH_STATE_RECLAIMING, MOOSH_EVENT_TOP_UP, "cyps", MOOSH_STATE_RECLAIMING },
  { MOOSH_STATE_RECLAIMING, MOOSH_EVENT_WITHDRAW_FREE, "y", MOOSH_STATE_RECLAIMING },
  { MOOSH_STATE_RECLAIMING, MOOSH_EVENT_CLOSE, "cp", MOOSH_STATE_CLOSED },
  { MOOSH_STATE_CLOSED, MOOSH_EVENT_COLLECT, "cyps", MOOSH_STATE_CLOSED },
};

static void
test_all_pairs (void)
{
  static const char actors[] = "cyps";
  unsigned granted = 0, refused = 0;
  for (int state = MOOSH_STATE_TAKEN; state < MOOSH_N_STATES; state++)
    for (int event = MOOSH_EVENT_ACCEPT; event < MOOSH_N_EVENTS; event++)
      for (int actor = 0; actor < MOOSH_N_ACTORS; actor++)
        {
          MooshAgreement a, before;
          MooshState to = MOOSH_STATE_NONE;
          uint64_t now = reach ((MooshState)state, &a);
          g_assert_cmpint (moosh_agreement_state_at (&a, now), ==, state);
          before = a;
          for (gsize i = 0; i < G_N_ELEMENTS (allowed); i++)
            if ((int)allowed[i].state == state && (int)allowed[i].event == event
                && strchr (allowed[i].by, actors[actor]) != NULL)
              to = allowed[i].to;
          MooshRefusal r = play (&a, (MooshEvent)event, (MooshActor)actor, 1000, now, NULL);
          g_test_message ("%s, event %d by %c: %s", moosh_state_name ((MooshState)state), event,
                          actors[actor], moosh_refusal_text (r));
          if (to != MOOSH_STATE_NONE)
            {
              g_assert_cmpint (r, ==, MOOSH_REFUSED_NOT);
              g_assert_cmpint (moosh_agreement_state_at (&a, now), ==, to);
              granted++;
              continue;
            }
          g_assert_cmpint (r, !=, MOOSH_REFUSED_NOT);
          g_assert_cmpmem (&a, sizeof a, &before, sizeof before);
          refused++;
        }
  g_assert_cmpuint (granted, ==, 8 * 4 + 3 * 4 + 8 * 2 + 3 + 10);
  g_assert_cmpuint (granted + refused, ==, 9 * 12 * 4);
}

/* Deadlines are half open: the last second before and the deadline itself. */
static void
test_deadlines (void)
{
  MooshAgreement a;
  reach (MOOSH_STATE_TAKEN, &a);
  g_assert_cmpint (play (&a, MOOSH_EVENT_EXPIRE, MOOSH_ACTOR_STRANGER, 0, T0 + 4, NULL), ==,
                   MOOSH_REFUSED_TOO_EARLY);
  g_assert_cmpint (play (&a, MOOSH_EVENT_ACCEPT, MOOSH_ACTOR_PROVIDER, 0, T0 + 5, NULL), ==,
                   MOOSH_REFUSED_TOO_LATE);
  MooshAgreement late = a;
  must (&late, MOOSH_EVENT_PROVISIONED, MOOSH_ACTOR_PROVIDER, 0, T0 + 19,
        NULL); /* nobody closed meanwhile */
  must (&a, MOOSH_EVENT_ACCEPT, MOOSH_ACTOR_PROVIDER, 0, T0 + 4, NULL);
  g_assert_cmpint (play (&a, MOOSH_EVENT_PROVISIONED, MOOSH_ACTOR_PROVIDER, 0, T0 + 20, NULL), ==,
                   MOOSH_REFUSED_TOO_LATE);
  g_assert_cmpint (play (&a, MOOSH_EVENT_EXPIRE, MOOSH_ACTOR_STRANGER, 0, T0 + 19, NULL), ==,
                   MOOSH_REFUSED_TOO_EARLY);
  must (&a, MOOSH_EVENT_PROVISIONED, MOOSH_ACTOR_PROVIDER, 0, T0 + 19, NULL);
  MooshAgreement rejected = a;
  must (&rejected, MOOSH_EVENT_REJECT, MOOSH_ACTOR_CLIENT, 0, T0 + 28, NULL);
  g_assert_cmpint (play (&a, MOOSH_EVENT_REJECT, MOOSH_ACTOR_CLIENT, 0, T0 + 29, NULL), ==,
                   MOOSH_REFUSED_STATE);
  g_assert_cmpint (moosh_agreement_state_at (&a, T0 + 28), ==, MOOSH_STATE_PROVISIONED);
  g_assert_cmpint (moosh_agreement_state_at (&a, T0 + 29), ==, MOOSH_STATE_ACTIVE);
}

static void
test_views_of_time (void)
{
  MooshAgreement a;
  reach (MOOSH_STATE_ACTIVE, &a);
  const uint64_t grace = T0 + 4 + 994;
  g_assert_cmpint (moosh_agreement_state_at (&a, grace - 71), ==, MOOSH_STATE_ACTIVE);
  g_assert_cmpint (moosh_agreement_state_at (&a, grace - 70), ==, MOOSH_STATE_GRACE);
  g_assert_cmpint (moosh_agreement_state_at (&a, grace - 1), ==, MOOSH_STATE_GRACE);
  g_assert_cmpint (moosh_agreement_state_at (&a, grace), ==, MOOSH_STATE_DRAINING);
  g_assert_cmpint (play (&a, MOOSH_EVENT_EXPIRE, MOOSH_ACTOR_STRANGER, 0, grace + 29, NULL), ==,
                   MOOSH_REFUSED_TOO_EARLY);
  must (&a, MOOSH_EVENT_EXPIRE, MOOSH_ACTOR_STRANGER, 0, grace + 30, NULL);
  g_assert_cmpint (a.reason, ==, MOOSH_REASON_FUNDS);
}

/* What each ending pays, to whom. */
static const struct {
  MooshState from;
  MooshEvent event;
  MooshActor by;
  uint64_t at; /* after T0 */
  MooshReason reason;
  uint64_t refund, earned, compensation;
} ending_cases[] = {
  { MOOSH_STATE_TAKEN, MOOSH_EVENT_EXPIRE, MOOSH_ACTOR_STRANGER, 5, MOOSH_REASON_PROVIDER_TIMEOUT,
    10000, 0, 600 },
  { MOOSH_STATE_ACCEPTED, MOOSH_EVENT_EXPIRE, MOOSH_ACTOR_PAYER, 20, MOOSH_REASON_PROVIDER_TIMEOUT,
    10000, 0, 600 },
  { MOOSH_STATE_TAKEN, MOOSH_EVENT_CLOSE, MOOSH_ACTOR_CLIENT, 1, MOOSH_REASON_BUYER_CANCEL, 9950,
    50, 0 },
  { MOOSH_STATE_TAKEN, MOOSH_EVENT_CLOSE, MOOSH_ACTOR_PROVIDER, 1, MOOSH_REASON_EARLY_EXIT, 10000,
    0, 600 },
  /* the whole minimum term of 100 s at 10 */
  { MOOSH_STATE_ACCEPTED, MOOSH_EVENT_CLOSE, MOOSH_ACTOR_CLIENT, 3, MOOSH_REASON_BUYER, 9000, 1000,
    0 },
  { MOOSH_STATE_PROVISIONED, MOOSH_EVENT_REJECT, MOOSH_ACTOR_CLIENT, 9, MOOSH_REASON_REJECTED, 9950,
    50, 0 },
  { MOOSH_STATE_PROVISIONED, MOOSH_EVENT_CLOSE, MOOSH_ACTOR_PROVIDER, 9, MOOSH_REASON_EARLY_EXIT,
    10000, 0, 600 },
  /* 5 s served + 95 s early */
  { MOOSH_STATE_PROVISIONED, MOOSH_EVENT_CLOSE, MOOSH_ACTOR_CLIENT, 9, MOOSH_REASON_BUYER, 9000,
    1000, 0 },
  { MOOSH_STATE_ACTIVE, MOOSH_EVENT_CLOSE, MOOSH_ACTOR_CLIENT, 103, MOOSH_REASON_BUYER, 9000, 1000,
    0 },
  { MOOSH_STATE_ACTIVE, MOOSH_EVENT_CLOSE, MOOSH_ACTOR_CLIENT, 104, MOOSH_REASON_BUYER, 9000, 1000,
    0 },
  { MOOSH_STATE_ACTIVE, MOOSH_EVENT_CLOSE, MOOSH_ACTOR_CLIENT, 105, MOOSH_REASON_BUYER, 8990, 1010,
    0 },
  { MOOSH_STATE_ACTIVE, MOOSH_EVENT_CLOSE, MOOSH_ACTOR_PROVIDER, 104, MOOSH_REASON_EARLY_EXIT, 9000,
    1000, 600 },
  /* 3 s at 10, then 97 s at 1; early fee none: 100 s are over */
  { MOOSH_STATE_PAUSED, MOOSH_EVENT_CLOSE, MOOSH_ACTOR_CLIENT, 104, MOOSH_REASON_BUYER, 9873, 127,
    0 },
  /* leaves free: 10 s served, no early fee */
  { MOOSH_STATE_RECLAIMING, MOOSH_EVENT_CLOSE, MOOSH_ACTOR_CLIENT, 14, MOOSH_REASON_BUYER, 9900,
    100, 0 },
  /* deadline T0 + 67: one second of notice missing */
  { MOOSH_STATE_RECLAIMING, MOOSH_EVENT_CLOSE, MOOSH_ACTOR_PROVIDER, 66, MOOSH_REASON_EARLY_EXIT,
    9380, 620, 10 },
  { MOOSH_STATE_RECLAIMING, MOOSH_EVENT_CLOSE, MOOSH_ACTOR_PROVIDER, 67, MOOSH_REASON_RECLAIM, 9370,
    630, 0 },
  /* 994 s paid, 10 s of disks at 2 */
  { MOOSH_STATE_DRAINING, MOOSH_EVENT_CLOSE, MOOSH_ACTOR_CLIENT, 1008, MOOSH_REASON_BUYER, 40, 9960,
    0 },
  { MOOSH_STATE_DRAINING, MOOSH_EVENT_EXPIRE, MOOSH_ACTOR_STRANGER, 1028, MOOSH_REASON_FUNDS, 0,
    10000, 0 },
  { MOOSH_STATE_DRAINING, MOOSH_EVENT_EXPIRE, MOOSH_ACTOR_STRANGER, 5000, MOOSH_REASON_FUNDS, 0,
    10000, 0 },
  { MOOSH_STATE_DRAINING, MOOSH_EVENT_EXPIRE, MOOSH_ACTOR_STRANGER, 10004, MOOSH_REASON_EXPIRED, 0,
    10000, 0 },
};

static void
test_endings (void)
{
  for (gsize i = 0; i < G_N_ELEMENTS (ending_cases); i++)
    {
      MooshAgreement a;
      MooshMoves moves;
      reach (ending_cases[i].from, &a);
      g_test_message ("case %" G_GSIZE_FORMAT, i);
      must (&a, ending_cases[i].event, ending_cases[i].by, 0, T0 + ending_cases[i].at, &moves);
      g_assert_cmpint (a.state, ==, MOOSH_STATE_CLOSED);
      g_assert_cmpint (a.reason, ==, ending_cases[i].reason);
      assert_u256 (moves.to_payer, ending_cases[i].refund);
      assert_u256 (moosh_x_to_wei (&a.account.earned_x), ending_cases[i].earned);
      assert_u256 (moves.compensation, ending_cases[i].compensation);
      assert_u256 (moves.bond_freed, BOND - ending_cases[i].compensation);
      assert_u256 (a.bond, 0);
    }
}

/* The bond bounds the penalty. */
static void
test_small_bond (void)
{
  MooshAgreement a;
  MooshMoves moves;
  reach (MOOSH_STATE_ACTIVE, &a);
  a.bond = n (7);
  must (&a, MOOSH_EVENT_CLOSE, MOOSH_ACTOR_PROVIDER, 0, T0 + 104, &moves);
  assert_u256 (moves.compensation, 7);
  assert_u256 (moves.bond_freed, 0);
}

static void
test_best_close (void)
{
  static const struct {
    MooshState from;
    MooshActor by;
    uint64_t at;
    MooshEvent event;
    MooshReason reason;
  } cases[] = {
    { MOOSH_STATE_ACCEPTED, MOOSH_ACTOR_CLIENT, 19, MOOSH_EVENT_CLOSE, MOOSH_REASON_BUYER },
    { MOOSH_STATE_ACCEPTED, MOOSH_ACTOR_CLIENT, 20, MOOSH_EVENT_EXPIRE,
      MOOSH_REASON_PROVIDER_TIMEOUT },
    { MOOSH_STATE_TAKEN, MOOSH_ACTOR_CLIENT, 4, MOOSH_EVENT_CLOSE, MOOSH_REASON_BUYER_CANCEL },
    { MOOSH_STATE_TAKEN, MOOSH_ACTOR_CLIENT, 5, MOOSH_EVENT_EXPIRE, MOOSH_REASON_PROVIDER_TIMEOUT },
    { MOOSH_STATE_ACTIVE, MOOSH_ACTOR_PROVIDER, 104, MOOSH_EVENT_CLOSE, MOOSH_REASON_EARLY_EXIT },
    { MOOSH_STATE_DRAINING, MOOSH_ACTOR_PROVIDER, 1028, MOOSH_EVENT_EXPIRE, MOOSH_REASON_FUNDS },
    { MOOSH_STATE_ACTIVE, MOOSH_ACTOR_CLIENT, 104, MOOSH_EVENT_CLOSE, MOOSH_REASON_BUYER },
  };
  MooshAgreement a;
  MooshEvent event = MOOSH_EVENT_ACCEPT;
  MooshReason reason = MOOSH_REASON_NONE;
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      reach (cases[i].from, &a);
      g_assert_true (
          moosh_agreement_best_close (&a, cases[i].by, T0 + cases[i].at, &event, &reason));
      g_assert_cmpint (event, ==, cases[i].event);
      g_assert_cmpint (reason, ==, cases[i].reason);
    }
  g_assert_false (moosh_agreement_best_close (&a, MOOSH_ACTOR_STRANGER, T0 + 104, &event, &reason));
  uint64_t now = reach (MOOSH_STATE_CLOSED, &a);
  g_assert_false (moosh_agreement_best_close (&a, MOOSH_ACTOR_CLIENT, now, &event, &reason));
}

static void
test_hold (void)
{
  MooshAgreement a;
  MooshMoves moves;
  reach (MOOSH_STATE_ACTIVE, &a);
  /* 40 s are held back: at T0 + 44 nothing, one second later 10 wei */
  g_assert_cmpint (play (&a, MOOSH_EVENT_COLLECT, MOOSH_ACTOR_PROVIDER, 0, T0 + 44, NULL), ==,
                   MOOSH_REFUSED_NOTHING);
  must (&a, MOOSH_EVENT_COLLECT, MOOSH_ACTOR_PROVIDER, 0, T0 + 45, &moves);
  assert_u256 (moves.to_provider, 10);
  must (&a, MOOSH_EVENT_CLOSE, MOOSH_ACTOR_CLIENT, 0, T0 + 104, NULL);
  must (&a, MOOSH_EVENT_COLLECT, MOOSH_ACTOR_STRANGER, 0, T0 + 104, &moves);
  assert_u256 (moves.to_provider, 1000 - 10 - 400);
  g_assert_cmpint (play (&a, MOOSH_EVENT_COLLECT, MOOSH_ACTOR_PROVIDER, 0, T0 + 143, NULL), ==,
                   MOOSH_REFUSED_NOTHING);
  must (&a, MOOSH_EVENT_COLLECT, MOOSH_ACTOR_PROVIDER, 0, T0 + 144, &moves);
  assert_u256 (moves.to_provider, 400);
}

static void
test_free_balance (void)
{
  MooshAgreement a;
  MooshAgreementView view;
  MooshMoves moves;
  reach (MOOSH_STATE_ACTIVE, &a);
  /* 10000 − 20 billed − 700 lock − 60 disks at T0 + 6 */
  moosh_agreement_view (&a, T0 + 6, &view);
  assert_u256 (view.free_wei, 9220);
  g_assert_cmpint (play (&a, MOOSH_EVENT_WITHDRAW_FREE, MOOSH_ACTOR_PAYER, 9221, T0 + 6, NULL), ==,
                   MOOSH_REFUSED_NOT_FREE);
  g_assert_cmpint (play (&a, MOOSH_EVENT_WITHDRAW_FREE, MOOSH_ACTOR_PAYER, 0, T0 + 6, NULL), ==,
                   MOOSH_REFUSED_NOT_FREE);
  must (&a, MOOSH_EVENT_WITHDRAW_FREE, MOOSH_ACTOR_PAYER, 9220, T0 + 6, &moves);
  assert_u256 (moves.to_payer, 9220);
  g_assert_cmpint (moosh_agreement_state_at (&a, T0 + 6), ==, MOOSH_STATE_GRACE);
}

static void
test_take_limits (void)
{
  MooshTerms t = terms ();
  MooshAgreement a;
  MooshU256 bond = n (BOND), least = moosh_terms_min_deposit (&t), one = n (1), less;
  assert_u256 (least, 760);
  moosh_u256_sub (&least, &one, &less);
  g_assert_cmpint (moosh_agreement_take (&t, &less, &bond, T0, &a), ==, MOOSH_REFUSED_DEPOSIT);
  g_assert_cmpint (moosh_agreement_take (&t, &least, &bond, T0, &a), ==, MOOSH_REFUSED_NOT);
  MooshU256 beyond = moosh_u256_shl (&one, 128);
  g_assert_cmpint (moosh_agreement_take (&t, &beyond, &bond, T0, &a), ==, MOOSH_REFUSED_AMOUNT);
  t.reject_fee = n (761);
  assert_u256 (moosh_terms_min_deposit (&t), 761);
  t.lock_fixed_x.limb[0]++;
  t.reject_fee = n (0);
  assert_u256 (moosh_terms_min_deposit (&t), 761); /* rounded up */
  MooshU256 floor = n (1000), high = n (1001);
  assert_u256 (moosh_terms_bond (&t, &floor), 1000); /* 10 · (60 + 40) */
  assert_u256 (moosh_terms_bond (&t, &high), 1001);
}

static void
test_terms_limits (void)
{
  MooshOffer o = { .rate_x = { { UINT64_MAX, UINT32_MAX, 0, 0 } } };
  MooshTerms t;
  g_assert_cmpint (moosh_terms_from_offer (&o, 1, &t), ==, 0);
  g_assert_cmpint (moosh_terms_from_offer (&o, 2, &t), ==, MOOSH_E_RANGE);
  g_assert_cmpint (moosh_terms_from_offer (&o, 0, &t), ==, MOOSH_E_RANGE);
}

/* Payer and client are one: either name may do both parties' calls. */
static void
test_not_sponsored (void)
{
  MooshAgreement a;
  reach (MOOSH_STATE_ACTIVE, &a);
  a.sponsored = false;
  must (&a, MOOSH_EVENT_WITHDRAW_FREE, MOOSH_ACTOR_CLIENT, 1, T0 + 6, NULL);
  must (&a, MOOSH_EVENT_PAUSE, MOOSH_ACTOR_PAYER, 0, T0 + 6, NULL);
  g_assert_cmpint (play (&a, MOOSH_EVENT_RESUME, MOOSH_ACTOR_STRANGER, 0, T0 + 6, NULL), ==,
                   MOOSH_REFUSED_ACTOR);
}

static void
test_next_moment (void)
{
  MooshAgreement a;
  reach (MOOSH_STATE_TAKEN, &a);
  g_assert_cmpuint (moosh_agreement_next_moment (&a, T0), ==, T0 + 5);
  g_assert_cmpuint (moosh_agreement_next_moment (&a, T0 + 5), ==, T0 + 20);
  g_assert_cmpuint (moosh_agreement_next_moment (&a, T0 + 20), ==, MOOSH_NEVER);
  reach (MOOSH_STATE_CLOSED, &a);
  g_assert_cmpuint (moosh_agreement_next_moment (&a, T0 + 200), ==, T0 + 240);
}

/* What the view says of COLLECT, WITHDRAW_FREE and CLOSE is what they do, in random lives in which
 * nothing is ever lost. */
static void
test_random_lives (void)
{
  MooshRandom random = { g_test_rand_int () };
  unsigned endings[MOOSH_N_REASONS] = { 0 }, states[MOOSH_N_STATES] = { 0 };
  for (int life = 0; life < 3000; life++)
    {
      MooshWorld w;
      moosh_world_random (&random, &w);
      for (int i = 0; i < 40; i++)
        {
          MooshStep step = moosh_step_random (&random, &w);
          MooshAgreementView view = { 0 };
          if (w.taken)
            moosh_agreement_view (&w.a, w.now_s + step.dt_s, &view);
          MooshU256 provider_before = w.credit[MOOSH_ACTOR_PROVIDER];
          MooshState before = w.a.state;
          MooshRefusal r = moosh_world_play (&w, &step);
          g_assert_true (moosh_world_is_conserved (&w));
          if (r == MOOSH_REFUSED_NOT && step.op == MOOSH_EVENT_COLLECT)
            {
              MooshU256 moved = moosh_x_sub (&w.credit[MOOSH_ACTOR_PROVIDER], &provider_before);
              g_assert_cmpint (moosh_u256_cmp (&moved, &view.withdrawable_wei), ==, 0);
            }
          if (w.taken && before != MOOSH_STATE_CLOSED && w.a.state == MOOSH_STATE_CLOSED)
            endings[w.a.reason]++;
          if (w.taken)
            states[moosh_agreement_state_at (&w.a, w.now_s)]++;
        }
    }
  for (int i = MOOSH_REASON_NONE + 1; i < MOOSH_N_REASONS; i++)
    g_assert_cmpuint (endings[i], >, 0); /* the lives reach every ending and every state */
  for (int i = MOOSH_STATE_TAKEN; i < MOOSH_N_STATES; i++)
    g_assert_cmpuint (states[i], >, 0);
}

static void
test_sequences_repeat (void)
{
  static uint8_t one[MOOSH_SEQUENCE_MAX], two[MOOSH_SEQUENCE_MAX];
  size_t len = moosh_sequence_make (1, 7, one);
  g_assert_cmpuint (moosh_sequence_make (1, 7, two), ==, len);
  g_assert_cmpmem (one, len, two, len);
  size_t other = moosh_sequence_make (2, 7, two);
  g_assert_true (other != len || memcmp (one, two, len) != 0);
  g_assert_cmpuint (len, ==, MOOSH_SEQUENCE_HEAD + moosh_get_be32 (one) * MOOSH_SEQUENCE_STEP);
}

/* The committed sample is what the generator makes today: model and contracts are checked against
 * the same bytes. */
static void
test_sample (void)
{
  static uint8_t made[MOOSH_SEQUENCE_MAX];
  g_autoptr (GError) error = NULL;
  g_autofree char *path
      = g_build_filename (MOOSH_SOURCE_DIR, "tests/vectors/market-sequences-0.bin", NULL);
  g_autofree char *file = NULL;
  gsize len = 0, at = 24;
  g_file_get_contents (path, &file, &len, &error);
  g_assert_no_error (error);
  g_assert_cmpmem (file, 8, "MOOSHSQ1", 8);
  for (uint32_t i = 0; i < 20; i++)
    {
      size_t n = moosh_sequence_make (1, i, made);
      g_assert_cmpuint (at + n, <=, len);
      g_assert_cmpmem (file + at, n, made, n);
      at += n;
    }
  g_assert_cmpuint (at, ==, len);
}

static void
test_reasons (void)
{
  for (int i = 0; i < MOOSH_N_REASONS; i++)
    {
      MooshReason reason = (MooshReason)i;
      g_assert_cmpint (moosh_reason_from_name (moosh_reason_name (reason)), ==, reason);
      g_assert_true (g_str_has_suffix (moosh_reason_text (reason), "."));
      g_assert_true (g_str_has_suffix (moosh_reason_next_client (reason), "."));
      g_assert_true (g_str_has_suffix (moosh_reason_next_provider (reason), "."));
    }
  g_assert_cmpint (moosh_reason_from_name ("Vanished"), ==, MOOSH_REASON_NONE);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/agreement/all-pairs", test_all_pairs);
  g_test_add_func ("/agreement/deadlines", test_deadlines);
  g_test_add_func ("/agreement/views-of-time", test_views_of_time);
  g_test_add_func ("/agreement/endings", test_endings);
  g_test_add_func ("/agreement/small-bond", test_small_bond);
  g_test_add_func ("/agreement/best-close", test_best_close);
  g_test_add_func ("/agreement/hold", test_hold);
  g_test_add_func ("/agreement/free-balance", test_free_balance);
  g_test_add_func ("/agreement/take-limits", test_take_limits);
  g_test_add_func ("/agreement/terms-limits", test_terms_limits);
  g_test_add_func ("/agreement/not-sponsored", test_not_sponsored);
  g_test_add_func ("/agreement/next-moment", test_next_moment);
  g_test_add_func ("/agreement/random-lives", test_random_lives);
  g_test_add_func ("/agreement/sequences-repeat", test_sequences_repeat);
  g_test_add_func ("/agreement/sample", test_sample);
  g_test_add_func ("/agreement/reasons", test_reasons);
  return g_test_run ();
}
