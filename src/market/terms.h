/** Price arithmetic for people: what an hour costs, what a deposit must be, how long it lasts.
 *
 * People say tokens per hour, the chain says token-wei·2^32 per second. A price becomes a rate by
 * rounding UP (a whole day of the difference is far less than a wei), a rate becomes a price by
 * rounding the hour DOWN to whole wei: so a price survives the way there and back, "under 0.02/h"
 * finds what was offered at 0.02/h, and nobody is charged a rate below the price that was signed.
 * Costs and deposits are rounded up, refunds down. Pure. */
#pragma once
#include "market/agreement.h"

/** ⌈wei·2^32 / seconds⌉: the rate that pays `wei` in `seconds`. MOOSH_E_RANGE: seconds is 0, or the
 * rate exceeds 96 bits
 * (`ret` untouched). */
int moosh_rate_from_price (const MooshU256 *wei, uint64_t seconds, MooshU256 *ret_rate_x);
/** ⌊rate·seconds / 2^32⌋ in wei: with 3600 the price per hour. */
MooshU256 moosh_price_of_rate (const MooshU256 *rate_x, uint64_t seconds);
/** ⌈rate·seconds / 2^32⌉ in wei: what that long costs at most. */
MooshU256 moosh_cost_of_rate (const MooshU256 *rate_x, uint64_t seconds);

/** Read "0.02/h" (also /s, /min, /d, /w, /mo of 30 days; without a unit: per hour) in a token with
 * `decimals` places. MOOSH_E_MALFORMED: no price; MOOSH_E_RANGE: finer than the token's smallest
 * unit, or beyond 96 bits. */
int moosh_price_parse (const char *text, unsigned decimals, MooshU256 *ret_rate_x);
/** "0.02/h" for a rate. `out` ≥ 98 bytes. */
void moosh_price_format (const MooshU256 *rate_x, unsigned decimals, char out[98]);

/** What taking `count` units of an offer means, before it is done. Wei. */
typedef struct {
  MooshTerms terms; /* of all units */
  MooshU256 price_per_hour;
  MooshU256 deposit;       /* what was asked for, or what lasts as long as was asked */
  MooshU256 least_deposit; /* below it the take is refused */
  MooshU256
      lock; /* lock period + disks: part of the deposit that cannot be taken back while it runs */
  MooshU256 early_fee_most; /* closing right after it runs costs at most this (the minimum term) */
  MooshU256 pause_price_per_hour; /* 0: cannot be paused */
  uint64_t funded_s; /* seconds of running before the lock period is being spent; MOOSH_NEVER: free
                        of charge */
  uint64_t lasts_s;  /* seconds of running until the money is gone */
  uint64_t runs_out_at_s; /* if it began to run at `now`; MOOSH_NEVER */
} MooshQuote;

/** `deposit` NULL: the deposit for `duration_s` seconds of running with the lock period still
 * whole: ⌈(rate·(duration + lockPeriod) + lockFixed) / 2^32⌉, at least the least one.
 * MOOSH_E_RANGE: count is 0 or rates exceed their types, or the deposit exceeds 2^128 − 1. A
 * deposit below the least one is quoted all the same: compare. */
int moosh_quote (const MooshOffer *offer, uint32_t count, uint64_t duration_s,
                 const MooshU256 *deposit, uint64_t now_s, MooshQuote *ret);

/** The least number of units that together hold `need`; 0: no number does, or more than `most`. */
uint32_t moosh_units_needed (const MooshUnits *unit, const MooshUnits *need, uint32_t most);
