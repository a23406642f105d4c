/** Settlement: the four numbers in which an agreement's money lives, and the only sums ever done
 * with them.
 *
 * Amounts `_x` are token-wei·2^32 ("X" in the rules), rates X per second of all units together,
 * times seconds since the epoch. Invariants, kept by every function here: (1) bal_x ≥ lock_fixed_x
 * ≥ 0; (2) t_s never goes back; (3) bal_x + earned_x changes only by what a caller puts in or takes
 * out: accrual moves, it never makes or loses. An overdraft cannot be represented: accrual stops in
 * the last second that is paid for in full.
 *
 * Pure. Bounds (balance ≤ 2^128 wei, rate < 2^96, spans < 2^33 s) keep every sum below 2^256; a sum
 * that leaves its range ends the process. */
#pragma once
#include "core/bytes/u256.h"

#define MOOSH_NEVER UINT64_MAX

typedef struct {
  MooshU256 bal_x;        /* the client's, not yet earned; includes lock_fixed_x */
  MooshU256 earned_x;     /* the provider's, not yet collected */
  MooshU256 rate_x;       /* in force; 0: nothing runs */
  MooshU256 lock_fixed_x; /* kept for the disks after the money runs out */
  uint64_t t_s;           /* billed up to here */
} MooshAccount;

/** The second from which nothing more accrues: t + ⌊(bal − lockFixed)/rate⌋; MOOSH_NEVER when no
 * rate runs (or beyond 2^64). */
uint64_t moosh_account_grace_until (const MooshAccount *a);

/** graceUntil − lockPeriod, at least 0; MOOSH_NEVER when no rate runs. From here on the lock period
 * is being spent. */
uint64_t moosh_account_funded_until (const MooshAccount *a, uint32_t lock_period_s);

/** max(0, bal − lockFixed − rate·lockPeriod) as of a->t_s: what the payer may take back. Touch
 * first. */
MooshU256 moosh_account_free_x (const MooshAccount *a, uint32_t lock_period_s);

/** Bill up to `now_s`: move rate·(min(now, graceUntil) − t) from balance to earned. A `now_s` not
 * after t_s does nothing. */
void moosh_account_touch (MooshAccount *a, uint64_t now_s);

/** Touch, skip the seconds without money, add `wei`. MOOSH_E_RANGE (account unchanged): nothing to
 * add, or the balance would exceed 2^128 − 1 wei. */
int moosh_account_top_up (MooshAccount *a, uint64_t now_s, const MooshU256 *wei);

/** Move min(x, balance) to earned; returns what moved. The caller answers for lock_fixed_x (closing
 * only). */
MooshU256 moosh_account_pay (MooshAccount *a, const MooshU256 *x);

/** Close the books: returns ⌊bal/2^32⌋ wei to give back; the fraction goes to earned, the balance,
 * rate and lock are 0. */
MooshU256 moosh_account_close (MooshAccount *a);

/** Take max(0, ⌊(earned − hold)/2^32⌋) wei out of earned; the fraction stays. */
MooshU256 moosh_account_collect (MooshAccount *a, const MooshU256 *hold_x);

/** Sums that cannot leave 256 bits by the bounds above; they end the process if they do. `sub`
 * wants a ≥ b. */
MooshU256 moosh_x_add (const MooshU256 *a, const MooshU256 *b);
MooshU256 moosh_x_sub (const MooshU256 *a, const MooshU256 *b);
/** a − b, or 0. */
MooshU256 moosh_x_sub_floor (const MooshU256 *a, const MooshU256 *b);
MooshU256 moosh_x_mul (const MooshU256 *a, uint64_t b);
MooshU256 moosh_x_min (const MooshU256 *a, const MooshU256 *b);
/** Between wei and X; `to_wei` rounds down, `to_wei_up` up. */
MooshU256 moosh_x_from_wei (const MooshU256 *wei);
MooshU256 moosh_x_to_wei (const MooshU256 *x);
MooshU256 moosh_x_to_wei_up (const MooshU256 *x);
