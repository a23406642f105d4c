/* Does an offer make sense by itself, and the sentences for when it does not. */
#include "market/offer.h"
#include <string.h>

static bool
is_zero (const uint8_t *bytes, size_t len)
{
  for (size_t i = 0; i < len; i++)
    if (bytes[i] != 0)
      return false;
  return true;
}

static MooshOfferFault
check_what (const MooshOffer *o)
{
  static const MooshUnits none;
  if (is_zero (o->maker, 20))
    return MOOSH_OFFER_BAD_MAKER;
  if (o->side > MOOSH_SIDE_BUY)
    return MOOSH_OFFER_BAD_SIDE;
  if (o->kind >= MOOSH_N_KINDS)
    return MOOSH_OFFER_BAD_KIND;
  if (o->class > MOOSH_CLASS_SHARED)
    return MOOSH_OFFER_BAD_CLASS;
  if (o->overcommit_pct < 100 || o->overcommit_pct > MOOSH_OFFER_OVERCOMMIT_MAX_PCT
      || (o->class == MOOSH_CLASS_DEDICATED && o->overcommit_pct != 100))
    return MOOSH_OFFER_BAD_OVERCOMMIT;
  if (o->volume == 0)
    return MOOSH_OFFER_BAD_VOLUME;
  if (!is_zero (o->pool, 32) && moosh_units_fit (&o->units, &none))
    return MOOSH_OFFER_BAD_UNITS; /* a pool that nothing is taken from would never be empty */
  if (is_zero (o->token, 20))
    return MOOSH_OFFER_BAD_TOKEN;
  return MOOSH_OFFER_OK;
}

/* rejectFee ≤ rate × probeWindow, in X so that nothing is rounded. */
static bool
fee_fits (const MooshOffer *o)
{
  MooshU256 window = moosh_u256 (o->probe_window_s), most;
  MooshU256 fee_x = moosh_u256_shl (&o->reject_fee, 32);
  moosh_u256_mul (&o->rate_x, &window, &most); /* 96 + 32 bits */
  return moosh_u256_cmp (&fee_x, &most) <= 0;
}

static MooshOfferFault
check_money (const MooshOffer *o)
{
  if (moosh_u256_bit_length (&o->rate_x) > 96)
    return MOOSH_OFFER_BAD_RATE;
  if (moosh_u256_bit_length (&o->paused_rate_x) > 96
      || moosh_u256_cmp (&o->paused_rate_x, &o->rate_x) > 0)
    return MOOSH_OFFER_BAD_PAUSED_RATE;
  if (moosh_u256_bit_length (&o->retention_rate_x) > 96)
    return MOOSH_OFFER_BAD_RETENTION_RATE;
  if (moosh_u256_bit_length (&o->reject_fee) > 128 || !fee_fits (o))
    return MOOSH_OFFER_BAD_REJECT_FEE;
  return MOOSH_OFFER_OK;
}

static MooshOfferFault
check_times (const MooshOffer *o)
{
  const uint32_t spans[]
      = { o->notice_s,           o->retention_s,    o->holdback_s,   o->accept_within_s,
          o->provision_within_s, o->probe_window_s, o->lock_period_s };
  if (o->max_term_s != 0 && o->min_term_s > o->max_term_s)
    return MOOSH_OFFER_BAD_TERM;
  for (size_t i = 0; i < sizeof spans / sizeof spans[0]; i++)
    if (spans[i] > MOOSH_OFFER_DURATION_MAX_S)
      return MOOSH_OFFER_BAD_TIMES;
  if (o->accept_within_s == 0 || o->provision_within_s < o->accept_within_s)
    return MOOSH_OFFER_BAD_WINDOWS;
  if (o->expiry == 0)
    return MOOSH_OFFER_BAD_EXPIRY;
  return MOOSH_OFFER_OK;
}

MooshOfferFault
moosh_offer_check (const MooshOffer *offer, uint64_t now_s)
{
  MooshOfferFault fault = check_what (offer);
  if (fault == MOOSH_OFFER_OK)
    fault = check_money (offer);
  if (fault == MOOSH_OFFER_OK)
    fault = check_times (offer);
  if (fault == MOOSH_OFFER_OK && now_s > 0 && now_s >= offer->expiry)
    fault = MOOSH_OFFER_EXPIRED;
  return fault;
}

const char *
moosh_offer_fault_text (MooshOfferFault fault)
{
  static const char *const texts[MOOSH_OFFER_N_FAULTS] = {
    [MOOSH_OFFER_OK] = "the offer is in order",
    [MOOSH_OFFER_BAD_MAKER] = "the offer has no maker",
    [MOOSH_OFFER_BAD_SIDE] = "side is neither sell nor buy",
    [MOOSH_OFFER_BAD_KIND] = "the kind of thing offered is unknown",
    [MOOSH_OFFER_BAD_CLASS] = "class is neither dedicated nor shared",
    [MOOSH_OFFER_BAD_OVERCOMMIT]
    = "overcommitPct must be 100 when dedicated, 100 to 10000 when shared",
    [MOOSH_OFFER_BAD_TOKEN] = "the offer names no token to pay in",
    [MOOSH_OFFER_BAD_RATE] = "rateX exceeds 2^96 - 1",
    [MOOSH_OFFER_BAD_PAUSED_RATE] = "pausedRateX exceeds rateX",
    [MOOSH_OFFER_BAD_RETENTION_RATE] = "retentionRateX exceeds 2^96 - 1",
    [MOOSH_OFFER_BAD_TERM] = "minTerm is longer than maxTerm",
    [MOOSH_OFFER_BAD_TIMES] = "a duration is longer than one year",
    [MOOSH_OFFER_BAD_WINDOWS]
    = "acceptWithin must be at least 1 s and provisionWithin at least acceptWithin",
    [MOOSH_OFFER_BAD_REJECT_FEE] = "rejectFee exceeds rate times probeWindow",
    [MOOSH_OFFER_BAD_VOLUME] = "the offer sells no units",
    [MOOSH_OFFER_BAD_UNITS] = "a unit that is taken from a pool must hold something",
    [MOOSH_OFFER_BAD_EXPIRY] = "the offer has no expiry",
    [MOOSH_OFFER_EXPIRED] = "the offer has expired",
  };
  return (unsigned)fault < MOOSH_OFFER_N_FAULTS ? texts[fault] : "unknown fault";
}

static const char *const kinds[MOOSH_N_KINDS]
    = { "vm", "container", "volume", "gpu", "proof", "relay", "ingress", "function", "dataset" };

const char *
moosh_kind_name (unsigned kind)
{
  return kind < MOOSH_N_KINDS ? kinds[kind] : NULL;
}

const char *
moosh_side_name (unsigned side)
{
  return side == MOOSH_SIDE_SELL ? "sell" : side == MOOSH_SIDE_BUY ? "buy" : NULL;
}

const char *
moosh_class_name (unsigned class)
{
  return class == MOOSH_CLASS_DEDICATED ? "dedicated"
         : class == MOOSH_CLASS_SHARED  ? "shared"
                                        : NULL;
}

int
moosh_kind_from_name (const char *name, MooshKind *ret)
{
  for (unsigned i = 0; i < MOOSH_N_KINDS; i++)
    if (strcmp (name, kinds[i]) == 0)
      {
        *ret = (MooshKind)i;
        return MOOSH_OK;
      }
  return MOOSH_E_MALFORMED;
}
