/* What an agreement takes over from its offer, and the words for states and refusals. */
#include "market/agreement.h"

static bool
times (const MooshU256 *one, uint32_t count, unsigned bits, MooshU256 *ret)
{
  MooshU256 n = moosh_u256 (count);
  return !moosh_u256_mul (one, &n, ret) && moosh_u256_bit_length (ret) <= bits;
}

int
moosh_terms_from_offer (const MooshOffer *offer, uint32_t count, MooshTerms *ret)
{
  MooshTerms t = {
    .min_term_s = offer->min_term_s,
    .max_term_s = offer->max_term_s,
    .notice_s = offer->notice_s,
    .retention_s = offer->retention_s,
    .holdback_s = offer->holdback_s,
    .accept_within_s = offer->accept_within_s,
    .provision_within_s = offer->provision_within_s,
    .probe_window_s = offer->probe_window_s,
    .lock_period_s = offer->lock_period_s,
  };
  if (count == 0 || !times (&offer->rate_x, count, 96, &t.rate_x)
      || !times (&offer->paused_rate_x, count, 96, &t.paused_rate_x)
      || !times (&offer->retention_rate_x, count, 128, &t.retention_rate_x)
      || !times (&offer->reject_fee, count, 128, &t.reject_fee))
    return MOOSH_E_RANGE;
  t.lock_fixed_x = moosh_x_mul (&t.retention_rate_x, t.retention_s);
  *ret = t;
  return MOOSH_OK;
}

MooshU256
moosh_terms_min_deposit (const MooshTerms *terms)
{
  MooshU256 least_x = moosh_x_mul (&terms->rate_x, terms->lock_period_s);
  least_x = moosh_x_add (&least_x, &terms->lock_fixed_x);
  MooshU256 least = moosh_x_to_wei_up (&least_x);
  return moosh_u256_cmp (&least, &terms->reject_fee) >= 0 ? least : terms->reject_fee;
}

MooshU256
moosh_terms_fill_deposit (const MooshTerms *terms)
{
  MooshTerms longer = *terms;
  if (terms->min_term_s > terms->lock_period_s)
    longer.lock_period_s = terms->min_term_s;
  return moosh_terms_min_deposit (&longer);
}

MooshU256
moosh_terms_bond (const MooshTerms *terms, const MooshU256 *floor_wei)
{
  MooshU256 x = moosh_x_mul (&terms->rate_x, (uint64_t)terms->notice_s + terms->holdback_s);
  MooshU256 wei = moosh_x_to_wei (&x);
  return moosh_u256_cmp (&wei, floor_wei) >= 0 ? wei : *floor_wei;
}

int
moosh_agreement_from_record (const MooshOffer *offer, const MooshAgreementRecord *record,
                             const MooshU256 *bond, MooshAgreement *ret)
{
  MooshAgreement a = { .state = record->state,
                       .reason = record->reason,
                       .sponsored = record->sponsored,
                       .deadline_s = record->deadline_s };
  bool closed = record->state == MOOSH_STATE_CLOSED;
  bool waiting = record->state == MOOSH_STATE_TAKEN || record->state == MOOSH_STATE_ACCEPTED;
  int r = moosh_terms_from_offer (offer, record->units, &a.terms);
  if (r < 0)
    return r;
  *(waiting ? &a.taken_s : &a.provisioned_s) = record->started_s;
  a.account.earned_x = record->earned_x;
  a.account.t_s = record->t_s;
  if (closed)
    {
      a.closed_s = record->t_s;
      a.frozen_x = moosh_x_mul (&record->rate_x, a.terms.holdback_s);
    }
  else
    {
      a.account.bal_x = record->bal_x;
      a.account.rate_x = record->rate_x;
      a.account.lock_fixed_x = a.terms.lock_fixed_x;
      a.bond = *bond;
      if (moosh_u256_cmp (&a.account.bal_x, &a.account.lock_fixed_x) < 0)
        return MOOSH_E_RANGE;
    }
  *ret = a;
  return MOOSH_OK;
}

const char *
moosh_state_name (MooshState state)
{
  static const char *const names[MOOSH_N_STATES] = {
    [MOOSH_STATE_NONE] = "none",
    [MOOSH_STATE_TAKEN] = "taken",
    [MOOSH_STATE_ACCEPTED] = "accepted",
    [MOOSH_STATE_PROVISIONED] = "provisioned",
    [MOOSH_STATE_ACTIVE] = "active",
    [MOOSH_STATE_PAUSED] = "paused",
    [MOOSH_STATE_GRACE] = "grace",
    [MOOSH_STATE_DRAINING] = "draining",
    [MOOSH_STATE_RECLAIMING] = "reclaiming",
    [MOOSH_STATE_CLOSED] = "closed",
  };
  return (unsigned)state < MOOSH_N_STATES ? names[state] : "unknown";
}

const char *
moosh_refusal_text (MooshRefusal refusal)
{
  static const char *const texts[MOOSH_N_REFUSALS] = {
    [MOOSH_REFUSED_NOT] = "it is allowed",
    [MOOSH_REFUSED_STATE] = "the agreement is not in a state that allows it",
    [MOOSH_REFUSED_ACTOR] = "it is not this party's call to make",
    [MOOSH_REFUSED_TOO_LATE] = "the deadline for it has passed",
    [MOOSH_REFUSED_TOO_EARLY] = "the time for it has not come",
    [MOOSH_REFUSED_NO_PAUSE] = "the offer has no paused rate",
    [MOOSH_REFUSED_AMOUNT] = "the amount is zero or too large",
    [MOOSH_REFUSED_NOT_FREE] = "it is more than the free balance",
    [MOOSH_REFUSED_NOTHING] = "there is nothing to collect yet",
    [MOOSH_REFUSED_COUNT] = "the offer does not sell that many units",
    [MOOSH_REFUSED_DEPOSIT] = "the deposit does not cover lock period, retention and reject fee",
    [MOOSH_REFUSED_BOND] = "the provider's free stake does not cover the bond",
    [MOOSH_REFUSED_POOL] = "the provider's pool has not enough capacity left",
  };
  return (unsigned)refusal < MOOSH_N_REFUSALS ? texts[refusal] : "unknown refusal";
}
