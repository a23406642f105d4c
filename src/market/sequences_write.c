/* Sequences as bytes: the layout of tests/vectors/market-sequences.md. */
#include "market/sequences.h"
#include <stdlib.h>
#include <string.h>

/* `len` low bytes of v, big-endian. A value that does not fit would be a lie in the record. */
static uint8_t *
put (uint8_t *at, const MooshU256 *v, size_t len)
{
  uint8_t word[32];
  if (moosh_u256_bit_length (v) > 8 * len)
    abort ();
  moosh_u256_to_be (v, word);
  memcpy (at, word + 32 - len, len);
  return at + len;
}

static uint8_t *
put_int (uint8_t *at, uint64_t v, size_t len)
{
  MooshU256 wide = moosh_u256 (v);
  return put (at, &wide, len);
}

static uint8_t *
put_units (uint8_t *at, const MooshUnits *u)
{
  at = put_int (at, u->vcpu_milli, 4);
  at = put_int (at, u->ram_mib, 4);
  at = put_int (at, u->disk_gib, 4);
  at = put_int (at, u->gpu, 4);
  return put_int (at, u->ipv4, 4);
}

static void
write_head (uint8_t *at, const MooshWorld *w, unsigned steps)
{
  const MooshOffer *o = &w->offer;
  at = put_int (at, steps, 4);
  at = put_int (at, w->now_s, 8);
  at = put (at, &o->rate_x, 12);
  at = put (at, &o->paused_rate_x, 12);
  at = put (at, &o->retention_rate_x, 12);
  const uint32_t spans[]
      = { o->min_term_s, o->max_term_s,      o->notice_s,           o->retention_s,
          o->holdback_s, o->accept_within_s, o->provision_within_s, o->probe_window_s };
  for (size_t i = 0; i < sizeof spans / sizeof spans[0]; i++)
    at = put_int (at, spans[i], 4);
  at = put (at, &o->reject_fee, 16);
  at = put_int (at, o->lock_period_s, 4);
  at = put_int (at, o->volume, 4);
  at = put_units (at, &o->units);
  at = put_units (at, &w->pool);
  at = put (at, &w->staked, 16);
  at = put (at, &w->bond_floor, 16);
  at = put_int (at, w->via_bid, 1);
  memset (at, 0, 15);
}

static void
write_step (uint8_t *at, const MooshWorld *w, const MooshStep *s, MooshRefusal refusal)
{
  MooshAgreementView view = { .grace_until_s = MOOSH_NEVER };
  const MooshAgreement *a = &w->a;
  if (w->taken)
    moosh_agreement_view (a, w->now_s, &view);
  at = put_int (at, s->dt_s, 4);
  at = put_int (at, s->op, 1);
  at = put_int (at, s->actor, 1);
  at = put_int (at, s->count, 4);
  at = put (at, &s->amount, 16);
  at = put_int (at, refusal == MOOSH_REFUSED_NOT, 1);
  at = put_int (at, refusal, 1);
  at = put_int (at, view.state, 1);
  at = put_int (at, a->reason, 1);
  at = put_int (at, w->now_s, 8);
  at = put_int (at, view.grace_until_s, 8);
  at = put (at, &view.bal_x, 20);
  at = put (at, &view.earned_x, 20);
  at = put (at, &a->account.rate_x, 12);
  at = put (at, &view.free_wei, 16);
  at = put (at, &view.withdrawable_wei, 16);
  at = put (at, &w->credit[MOOSH_ACTOR_PAYER], 16);
  at = put (at, &w->credit[MOOSH_ACTOR_CLIENT], 16);
  at = put (at, &w->credit[MOOSH_ACTOR_PROVIDER], 16);
  at = put (at, &w->bond_free, 16);
  at = put (at, &w->bond_reserved, 16);
  at = put (at, &w->compensation, 16);
  at = put (at, &w->paid_out, 16);
  at = put_int (at, w->pool.vcpu_milli, 4);
  at = put_int (at, w->pool.ram_mib, 4);
  memset (at, 0, 6);
}

size_t
moosh_sequence_make (uint64_t seed, uint32_t index, uint8_t *out)
{
  MooshRandom random = { seed * 0x2545f4914f6cdd1du + index };
  MooshWorld world;
  unsigned n = 0, after_close = 0;
  moosh_world_random (&random, &world);
  unsigned steps = 8 + (unsigned)moosh_random_below (&random, MOOSH_SEQUENCE_STEPS_MAX - 8 + 1);
  MooshWorld begin = world;
  while (n < steps && after_close < 7)
    {
      MooshStep step = moosh_step_random (&random, &world);
      MooshRefusal refusal = moosh_world_play (&world, &step);
      if (!moosh_world_is_conserved (&world))
        abort ();
      write_step (out + MOOSH_SEQUENCE_HEAD + n++ * MOOSH_SEQUENCE_STEP, &world, &step, refusal);
      after_close += world.a.state == MOOSH_STATE_CLOSED;
    }
  write_head (out, &begin, n);
  return MOOSH_SEQUENCE_HEAD + n * (size_t)MOOSH_SEQUENCE_STEP;
}
