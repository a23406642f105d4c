#include "market/settle.h"
#include <stdlib.h>

MooshU256
moosh_x_add (const MooshU256 *a, const MooshU256 *b)
{
  MooshU256 sum;
  if (moosh_u256_add (a, b, &sum))
    abort (); /* the bounds of settle.h are broken: money must not be made up */
  return sum;
}

MooshU256
moosh_x_sub (const MooshU256 *a, const MooshU256 *b)
{
  MooshU256 rest;
  if (moosh_u256_sub (a, b, &rest))
    abort ();
  return rest;
}

MooshU256
moosh_x_sub_floor (const MooshU256 *a, const MooshU256 *b)
{
  MooshU256 rest;
  return moosh_u256_sub (a, b, &rest) ? moosh_u256 (0) : rest;
}

MooshU256
moosh_x_mul (const MooshU256 *a, uint64_t b)
{
  MooshU256 factor = moosh_u256 (b);
  MooshU256 product;
  if (moosh_u256_mul (a, &factor, &product))
    abort ();
  return product;
}

MooshU256
moosh_x_min (const MooshU256 *a, const MooshU256 *b)
{
  return moosh_u256_cmp (a, b) <= 0 ? *a : *b;
}

MooshU256
moosh_x_from_wei (const MooshU256 *wei)
{
  if (moosh_u256_bit_length (wei) > 256 - 32)
    abort ();
  return moosh_u256_shl (wei, 32);
}

MooshU256
moosh_x_to_wei (const MooshU256 *x)
{
  return moosh_u256_shr (x, 32);
}

MooshU256
moosh_x_to_wei_up (const MooshU256 *x)
{
  MooshU256 almost = moosh_u256 (UINT32_MAX);
  almost = moosh_x_add (x, &almost);
  return moosh_x_to_wei (&almost);
}

uint64_t
moosh_account_grace_until (const MooshAccount *a)
{
  if (moosh_u256_is_zero (&a->rate_x))
    return MOOSH_NEVER;
  MooshU256 spendable = moosh_x_sub (&a->bal_x, &a->lock_fixed_x);
  MooshU256 seconds;
  moosh_u256_divmod (&spendable, &a->rate_x, &seconds, NULL);
  MooshU256 t = moosh_u256 (a->t_s);
  MooshU256 end = moosh_x_add (&t, &seconds);
  return moosh_u256_fits_u64 (&end) ? end.limb[0] : MOOSH_NEVER;
}

uint64_t
moosh_account_funded_until (const MooshAccount *a, uint32_t lock_period_s)
{
  uint64_t grace = moosh_account_grace_until (a);
  if (grace == MOOSH_NEVER)
    return MOOSH_NEVER;
  return grace > lock_period_s ? grace - lock_period_s : 0;
}

MooshU256
moosh_account_free_x (const MooshAccount *a, uint32_t lock_period_s)
{
  MooshU256 lock = moosh_x_mul (&a->rate_x, lock_period_s);
  lock = moosh_x_add (&lock, &a->lock_fixed_x);
  return moosh_x_sub_floor (&a->bal_x, &lock);
}

void
moosh_account_touch (MooshAccount *a, uint64_t now_s)
{
  if (now_s <= a->t_s)
    return;
  uint64_t grace = moosh_account_grace_until (a);
  uint64_t end = now_s < grace ? now_s : grace;
  MooshU256 due = moosh_x_mul (&a->rate_x, end - a->t_s);
  a->bal_x = moosh_x_sub (&a->bal_x, &due);
  a->earned_x = moosh_x_add (&a->earned_x, &due);
  a->t_s = end;
}

int
moosh_account_top_up (MooshAccount *a, uint64_t now_s, const MooshU256 *wei)
{
  MooshAccount next = *a;
  moosh_account_touch (&next, now_s);
  if (moosh_u256_is_zero (wei) || moosh_u256_bit_length (wei) > 128)
    return MOOSH_E_RANGE;
  MooshU256 add_x = moosh_x_from_wei (wei);
  next.bal_x = moosh_x_add (&next.bal_x, &add_x);
  MooshU256 all = moosh_x_add (&next.bal_x, &next.earned_x);
  if (moosh_u256_bit_length (&all) > 128 + 32)
    return MOOSH_E_RANGE;
  if (now_s > next.t_s)
    next.t_s = now_s; /* seconds without money are never billed */
  *a = next;
  return MOOSH_OK;
}

MooshU256
moosh_account_pay (MooshAccount *a, const MooshU256 *x)
{
  MooshU256 moved = moosh_x_min (x, &a->bal_x);
  a->bal_x = moosh_x_sub (&a->bal_x, &moved);
  a->earned_x = moosh_x_add (&a->earned_x, &moved);
  return moved;
}

MooshU256
moosh_account_close (MooshAccount *a)
{
  MooshU256 wei = moosh_x_to_wei (&a->bal_x);
  MooshU256 whole = moosh_x_from_wei (&wei);
  MooshU256 fraction = moosh_x_sub (&a->bal_x, &whole);
  a->earned_x = moosh_x_add (&a->earned_x, &fraction);
  a->bal_x = a->rate_x = a->lock_fixed_x = moosh_u256 (0);
  return wei;
}

MooshU256
moosh_account_collect (MooshAccount *a, const MooshU256 *hold_x)
{
  MooshU256 payable = moosh_x_sub_floor (&a->earned_x, hold_x);
  MooshU256 wei = moosh_x_to_wei (&payable);
  MooshU256 moved = moosh_x_from_wei (&wei);
  a->earned_x = moosh_x_sub (&a->earned_x, &moved);
  return wei;
}
