/* Random worlds, random steps, and how they are written down. */
#include "market/sequences.h"
#include <stdlib.h>
#include <string.h>

/* SplitMix64 (Steele, Lea, Flood 2014): good enough to reach every edge, and the same everywhere.
 */
uint64_t
moosh_random (MooshRandom *random)
{
  uint64_t z = random->state += 0x9e3779b97f4a7c15u;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return z ^ z >> 31;
}

uint64_t
moosh_random_below (MooshRandom *random, uint64_t n)
{
  return n > 0 ? moosh_random (random) % n : 0;
}

static bool
chance (MooshRandom *random, unsigned percent)
{
  return moosh_random_below (random, 100) < percent;
}

/* A number of at most `bits` bits; small, middling and largest ones all come up. */
static MooshU256
random_bits (MooshRandom *random, unsigned bits)
{
  MooshU256 v = { { moosh_random (random), moosh_random (random), moosh_random (random),
                    moosh_random (random) } };
  unsigned want = (unsigned)moosh_random_below (random, bits + 1);
  if (chance (random, 10))
    want = bits;
  return want == 0 ? moosh_u256 (0) : moosh_u256_shr (&v, 256 - want);
}

/* 0 … max, both ends likely. */
static MooshU256
random_upto (MooshRandom *random, const MooshU256 *max)
{
  MooshU256 v = random_bits (random, 256), one = moosh_u256 (1), n, rest;
  if (chance (random, 15))
    return *max;
  if (moosh_u256_add (max, &one, &n))
    return v;
  moosh_u256_divmod (&v, &n, NULL, &rest);
  return rest;
}

static uint32_t
random_span (MooshRandom *random, unsigned style)
{
  static const uint32_t tops[] = { 20, 600, 200000, 31536000 };
  if (chance (random, 12))
    return 0;
  return (uint32_t)moosh_random_below (random, (uint64_t)tops[style] + 1);
}

static void
random_offer (MooshRandom *random, MooshOffer *o)
{
  unsigned style = chance (random, 60) ? 0 : 1 + (unsigned)moosh_random_below (random, 3);
  o->kind = MOOSH_KIND_VM;
  o->overcommit_pct = 100;
  o->units = (MooshUnits){ 1 + (uint32_t)moosh_random_below (random, 4000),
                           (uint32_t)moosh_random_below (random, 8192),
                           (uint32_t)moosh_random_below (random, 100),
                           (uint32_t)moosh_random_below (random, 3),
                           (uint32_t)moosh_random_below (random, 3) };
  o->volume = 1 + (uint32_t)moosh_random_below (random, 6);
  o->rate_x = chance (random, 4) ? moosh_u256 (0) : random_bits (random, 96);
  if (!chance (random, 30))
    o->paused_rate_x = random_upto (random, &o->rate_x);
  if (!chance (random, 30))
    o->retention_rate_x = random_upto (random, &o->rate_x);
  o->notice_s = random_span (random, style);
  o->retention_s = random_span (random, style);
  o->holdback_s = random_span (random, style);
  o->accept_within_s = 1 + random_span (random, style);
  o->provision_within_s = o->accept_within_s + random_span (random, style);
  o->probe_window_s = random_span (random, style);
  o->lock_period_s = random_span (random, style);
  o->min_term_s = chance (random, 40) ? 0 : random_span (random, style);
  o->max_term_s = chance (random, 40) ? 0 : o->min_term_s + 1 + random_span (random, style);
  MooshU256 most_fee = moosh_x_mul (&o->rate_x, o->probe_window_s);
  most_fee = moosh_x_to_wei (&most_fee);
  if (chance (random, 50))
    o->reject_fee = random_upto (random, &most_fee);
}

void
moosh_world_random (MooshRandom *random, MooshWorld *ret)
{
  MooshTerms terms;
  MooshWorld w = { .now_s = 1700000000 + moosh_random_below (random, 1000000000),
                   .via_bid = chance (random, 20) };
  random_offer (random, &w.offer);
  w.pool = w.offer.units;
  uint32_t have = 1 + (uint32_t)moosh_random_below (random, w.offer.volume + 1);
  w.pool.vcpu_milli *= have;
  w.pool.ram_mib *= have;
  w.pool.disk_gib *= have;
  w.pool.gpu *= have;
  w.pool.ipv4 *= have;
  if (chance (random, 50))
    w.bond_floor = random_bits (random, 64);
  if (moosh_terms_from_offer (&w.offer, 1 + (uint32_t)moosh_random_below (random, have), &terms) < 0
      && moosh_terms_from_offer (&w.offer, 1, &terms) < 0)
    abort (); /* one unit always fits: rates are 96-bit, fees 128-bit */
  w.bond_free = moosh_terms_bond (&terms, &w.bond_floor);
  MooshU256 extra = random_upto (random, &w.bond_free);
  if (chance (random, 60))
    w.bond_free = moosh_x_add (&w.bond_free, &extra);
  if (moosh_u256_bit_length (&w.bond_free) > 128)
    w.bond_free = (MooshU256){ { UINT64_MAX, UINT64_MAX, 0, 0 } };
  w.staked = w.bond_free;
  *ret = w;
}

static MooshU256
max_wei (void)
{
  return (MooshU256){ { UINT64_MAX, UINT64_MAX, 0, 0 } };
}

/* A deposit for `count` units: mostly enough for some seconds of life, sometimes just too little.
 */
static MooshU256
random_deposit (MooshRandom *random, const MooshWorld *w, uint32_t count)
{
  MooshTerms terms;
  MooshU256 most = max_wei (), one = moosh_u256 (1);
  if (moosh_terms_from_offer (&w->offer, count, &terms) < 0)
    return moosh_u256 (1000);
  MooshU256 deposit = moosh_terms_min_deposit (&terms);
  if (chance (random, 10))
    return moosh_x_sub_floor (&deposit, &one);
  if (chance (random, 2))
    return most;
  uint64_t seconds = moosh_random_below (random, chance (random, 70) ? 100 : 1000000);
  MooshU256 x = moosh_x_mul (&terms.rate_x, seconds), wei = moosh_x_to_wei (&x);
  deposit = moosh_x_add (&deposit, &wei);
  if (chance (random, 50))
    {
      MooshU256 odd = moosh_u256 (moosh_random_below (random, 1000));
      deposit = moosh_x_add (&deposit, &odd);
    }
  return moosh_x_min (&deposit, &most);
}

/* Deposits so far and this one stay within the record's 128 bits. */
static MooshU256
random_top_up (MooshRandom *random, const MooshWorld *w, uint64_t now_s)
{
  MooshAgreementView view;
  MooshU256 seconds = moosh_u256 (moosh_random_below (random, 2000)), most = max_wei (), amount;
  if (chance (random, 5))
    return moosh_u256 (0);
  moosh_agreement_view (&w->a, now_s, &view);
  if (chance (random, 5) && moosh_u256_bit_length (&view.bal_x) > 32)
    return most; /* overflows the balance */
  moosh_u256_mul (&w->a.terms.rate_x, &seconds, &amount);
  amount = moosh_x_to_wei (&amount);
  MooshU256 odd = moosh_u256 (moosh_random_below (random, 50));
  amount = moosh_x_add (&amount, &odd);
  MooshU256 sum = moosh_x_add (&amount, &w->paid_in);
  return moosh_u256_bit_length (&sum) > 128 ? moosh_u256 (0) : amount;
}

static MooshU256
random_free (MooshRandom *random, const MooshWorld *w, uint64_t now_s)
{
  MooshAgreementView view;
  MooshU256 one = moosh_u256 (1);
  moosh_agreement_view (&w->a, now_s, &view);
  if (chance (random, 20) || moosh_u256_is_zero (&view.free_wei))
    return moosh_x_add (&view.free_wei, &one);
  MooshU256 amount = random_upto (random, &view.free_wei);
  return moosh_u256_is_zero (&amount) ? one : amount;
}

/* Time passes to interesting moments: now, the next deadline, one second beside it, somewhere. */
static uint32_t
random_dt (MooshRandom *random, const MooshWorld *w)
{
  uint64_t next = w->taken ? moosh_agreement_next_moment (&w->a, w->now_s) : MOOSH_NEVER;
  uint64_t left = next == MOOSH_NEVER ? 0 : next - w->now_s;
  switch (moosh_random_below (random, 8))
    {
    case 0:
    case 1:
      return 0;
    case 2:
      return (uint32_t)moosh_random_below (random, 5);
    case 3:
      return (uint32_t)moosh_random_below (random, 100);
    case 4:
      return chance (random, 10) ? (uint32_t)moosh_random_below (random, 40000000) : 1;
    default:
      break;
    }
  if (left == 0 || left > 1000000000)
    return (uint32_t)moosh_random_below (random, 1000);
  switch (moosh_random_below (random, 4))
    {
    case 0:
      return (uint32_t)left;
    case 1:
      return (uint32_t)left - 1;
    case 2:
      return (uint32_t)left + 1;
    default:
      return (uint32_t)moosh_random_below (random, left + 1);
    }
}

static const uint8_t rightful[16] = {
  [MOOSH_OP_TAKE] = MOOSH_ACTOR_PAYER,
  [MOOSH_EVENT_ACCEPT] = MOOSH_ACTOR_PROVIDER,
  [MOOSH_EVENT_PROVISIONED] = MOOSH_ACTOR_PROVIDER,
  [MOOSH_EVENT_ACKNOWLEDGE] = MOOSH_ACTOR_CLIENT,
  [MOOSH_EVENT_REJECT] = MOOSH_ACTOR_CLIENT,
  [MOOSH_EVENT_PAUSE] = MOOSH_ACTOR_CLIENT,
  [MOOSH_EVENT_RESUME] = MOOSH_ACTOR_CLIENT,
  [MOOSH_EVENT_TOP_UP] = MOOSH_ACTOR_PAYER,
  [MOOSH_EVENT_WITHDRAW_FREE] = MOOSH_ACTOR_PAYER,
  [MOOSH_EVENT_RECLAIM] = MOOSH_ACTOR_PROVIDER,
  [MOOSH_EVENT_CLOSE] = MOOSH_ACTOR_CLIENT,
  [MOOSH_EVENT_EXPIRE] = MOOSH_ACTOR_STRANGER,
  [MOOSH_EVENT_COLLECT] = MOOSH_ACTOR_PROVIDER,
  [MOOSH_OP_WITHDRAW] = MOOSH_ACTOR_PROVIDER,
  [MOOSH_OP_PASS] = MOOSH_ACTOR_STRANGER,
};

/* What usually comes next in each state, so that lives get long; anything else comes up, too. */
static uint8_t
likely_op (MooshRandom *random, MooshState state)
{
  static const uint8_t likely[MOOSH_N_STATES][8] = {
    [MOOSH_STATE_TAKEN] = { 2, 3, 2, 3, 2, 3, 11, 12 },
    [MOOSH_STATE_ACCEPTED] = { 3, 3, 3, 3, 3, 3, 8, 12 },
    [MOOSH_STATE_PROVISIONED] = { 4, 4, 4, 5, 15, 13, 8, 15 },
    [MOOSH_STATE_ACTIVE] = { 6, 6, 8, 9, 10, 13, 13, 15 },
    [MOOSH_STATE_PAUSED] = { 7, 7, 8, 9, 10, 13, 15, 9 },
    [MOOSH_STATE_GRACE] = { 8, 8, 13, 15, 10, 13, 15, 12 },
    [MOOSH_STATE_DRAINING] = { 8, 8, 12, 12, 13, 15, 11, 15 },
    [MOOSH_STATE_RECLAIMING] = { 11, 13, 8, 9, 15, 12, 15, 15 },
    [MOOSH_STATE_CLOSED] = { 13, 14, 13, 14, 15, 14, 13, 14 },
  };
  return likely[state][moosh_random_below (random, 8)];
}

MooshStep
moosh_step_random (MooshRandom *random, const MooshWorld *w)
{
  MooshStep step = { .dt_s = random_dt (random, w) };
  uint64_t now = w->now_s + step.dt_s;
  if (!w->taken)
    {
      step.op = chance (random, 90) ? MOOSH_OP_TAKE : MOOSH_OP_PASS;
      step.actor = w->via_bid ? MOOSH_ACTOR_PROVIDER : MOOSH_ACTOR_PAYER;
      if (step.op == MOOSH_OP_PASS)
        return step;
      step.count = 1 + (uint32_t)moosh_random_below (random, w->offer.volume);
      if (chance (random, 8))
        step.count = chance (random, 50) ? 0 : w->offer.volume + 1;
      MooshTerms terms;
      if (!w->via_bid)
        step.amount = random_deposit (random, w, step.count);
      else if (moosh_terms_from_offer (&w->offer, step.count, &terms) >= 0)
        step.amount = moosh_terms_fill_deposit (&terms);
      if (moosh_u256_bit_length (&step.amount) > 128)
        step.amount = max_wei (); /* refused as well, and fits the record */
      return step;
    }
  MooshState state = moosh_agreement_state_at (&w->a, now);
  step.op = chance (random, 75) ? likely_op (random, state)
                                : (uint8_t)(2 + moosh_random_below (random, 14));
  step.actor = rightful[step.op];
  if (step.op == MOOSH_EVENT_CLOSE && chance (random, 50))
    step.actor = MOOSH_ACTOR_PROVIDER;
  if (step.op == MOOSH_OP_WITHDRAW || chance (random, 6))
    step.actor = (uint8_t)moosh_random_below (random, MOOSH_N_ACTORS);
  if (step.op == MOOSH_EVENT_TOP_UP)
    step.amount = random_top_up (random, w, now);
  if (step.op == MOOSH_EVENT_WITHDRAW_FREE)
    step.amount = random_free (random, w, now);
  return step;
}
