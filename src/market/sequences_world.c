/* The world around one agreement: vault credits, stake, pool; and the check that nothing is lost in
 * it. */
#include "market/sequences.h"

static void
scale_units (const MooshUnits *unit, uint32_t count, uint64_t ret[5])
{
  const uint32_t members[5]
      = { unit->vcpu_milli, unit->ram_mib, unit->disk_gib, unit->gpu, unit->ipv4 };
  for (int i = 0; i < 5; i++)
    ret[i] = (uint64_t)members[i] * count;
}

static bool
pool_move (MooshUnits *pool, const MooshUnits *unit, uint32_t count, bool back)
{
  uint64_t need[5];
  uint32_t *have[5]
      = { &pool->vcpu_milli, &pool->ram_mib, &pool->disk_gib, &pool->gpu, &pool->ipv4 };
  scale_units (unit, count, need);
  for (int i = 0; i < 5 && !back; i++)
    if (need[i] > *have[i])
      return false;
  for (int i = 0; i < 5; i++)
    *have[i] = (uint32_t)(back ? *have[i] + need[i] : *have[i] - need[i]);
  return true;
}

static void
add (MooshU256 *to, const MooshU256 *wei)
{
  *to = moosh_x_add (to, wei);
}

static MooshRefusal
take (MooshWorld *w, const MooshStep *step)
{
  MooshTerms terms;
  MooshAgreement a;
  MooshU256 deposit = step->amount;
  if (step->count == 0 || step->count > w->offer.volume)
    return MOOSH_REFUSED_COUNT;
  if (moosh_terms_from_offer (&w->offer, step->count, &terms) < 0)
    return MOOSH_REFUSED_AMOUNT;
  if (w->via_bid)
    deposit = moosh_terms_fill_deposit (&terms); /* not the caller's to choose */
  MooshU256 bond = moosh_terms_bond (&terms, &w->bond_floor);
  MooshRefusal refusal = moosh_agreement_take (&terms, &deposit, &bond, w->now_s, &a);
  if (refusal != MOOSH_REFUSED_NOT)
    return refusal;
  if (moosh_u256_cmp (&bond, &w->bond_free) > 0)
    return MOOSH_REFUSED_BOND;
  if (!pool_move (&w->pool, &w->offer.units, step->count, false))
    return MOOSH_REFUSED_POOL;
  w->bond_free = moosh_x_sub (&w->bond_free, &bond);
  w->bond_reserved = bond;
  a.sponsored = !w->via_bid;
  w->a = a;
  w->taken = true;
  w->count = step->count;
  add (&w->paid_in, &deposit);
  return MOOSH_REFUSED_NOT;
}

static MooshRefusal
withdraw (MooshWorld *w, unsigned actor)
{
  if (actor == MOOSH_ACTOR_PAYER && w->via_bid)
    actor = MOOSH_ACTOR_CLIENT;
  if (moosh_u256_is_zero (&w->credit[actor]))
    return MOOSH_REFUSED_NOTHING;
  add (&w->paid_out, &w->credit[actor]);
  w->credit[actor] = moosh_u256 (0);
  return MOOSH_REFUSED_NOT;
}

static MooshRefusal
call (MooshWorld *w, const MooshStep *step)
{
  MooshMoves moves = { 0 };
  MooshState before = w->a.state;
  MooshRefusal refusal = moosh_agreement_apply (
      &w->a, (MooshEvent)step->op, (MooshActor)step->actor, &step->amount, w->now_s, &moves);
  if (refusal != MOOSH_REFUSED_NOT)
    return refusal;
  if (step->op == MOOSH_EVENT_TOP_UP)
    add (&w->paid_in, &step->amount);
  add (&w->credit[w->via_bid ? MOOSH_ACTOR_CLIENT : MOOSH_ACTOR_PAYER], &moves.to_payer);
  add (&w->credit[MOOSH_ACTOR_PROVIDER], &moves.to_provider);
  add (&w->compensation, &moves.compensation);
  add (&w->bond_free, &moves.bond_freed);
  w->bond_reserved = w->a.bond;
  if (before != MOOSH_STATE_CLOSED && w->a.state == MOOSH_STATE_CLOSED)
    pool_move (&w->pool, &w->offer.units, w->count, true);
  return MOOSH_REFUSED_NOT;
}

MooshRefusal
moosh_world_play (MooshWorld *world, const MooshStep *step)
{
  world->now_s += step->dt_s;
  if (step->op == MOOSH_OP_PASS)
    return MOOSH_REFUSED_NOT;
  if (step->op == MOOSH_OP_TAKE)
    return world->taken ? MOOSH_REFUSED_STATE : take (world, step);
  if (!world->taken)
    return MOOSH_REFUSED_STATE;
  if (step->op == MOOSH_OP_WITHDRAW)
    return withdraw (world, step->actor);
  return call (world, step);
}

bool
moosh_world_is_conserved (const MooshWorld *world)
{
  MooshU256 inside = moosh_x_add (&world->a.account.bal_x, &world->a.account.earned_x);
  for (int i = 0; i < MOOSH_N_ACTORS; i++)
    {
      MooshU256 x = moosh_x_from_wei (&world->credit[i]);
      add (&inside, &x);
    }
  MooshU256 out = moosh_x_from_wei (&world->paid_out), in = moosh_x_from_wei (&world->paid_in);
  add (&inside, &out);

  MooshU256 stake = moosh_x_add (&world->bond_free, &world->bond_reserved);
  add (&stake, &world->compensation);
  return moosh_u256_cmp (&inside, &in) == 0 && moosh_u256_cmp (&stake, &world->staked) == 0
         && moosh_u256_cmp (&world->a.account.bal_x, &world->a.account.lock_fixed_x) >= 0
         && (!world->taken || world->a.account.t_s <= world->now_s);
}
