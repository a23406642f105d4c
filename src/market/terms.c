#include "market/terms.h"
#include <stdio.h>
#include <string.h>

int
moosh_rate_from_price (const MooshU256 *wei, uint64_t seconds, MooshU256 *ret_rate_x)
{
  MooshU256 divisor = moosh_u256 (seconds), one = moosh_u256 (1), rate, rest;
  if (seconds == 0 || moosh_u256_bit_length (wei) > 200)
    return MOOSH_E_RANGE;
  MooshU256 x = moosh_x_from_wei (wei);
  moosh_u256_divmod (&x, &divisor, &rate, &rest);
  if (!moosh_u256_is_zero (&rest))
    rate = moosh_x_add (&rate, &one);
  if (moosh_u256_bit_length (&rate) > 96)
    return MOOSH_E_RANGE;
  *ret_rate_x = rate;
  return MOOSH_OK;
}

MooshU256
moosh_price_of_rate (const MooshU256 *rate_x, uint64_t seconds)
{
  MooshU256 x = moosh_x_mul (rate_x, seconds);
  return moosh_x_to_wei (&x);
}

MooshU256
moosh_cost_of_rate (const MooshU256 *rate_x, uint64_t seconds)
{
  MooshU256 x = moosh_x_mul (rate_x, seconds);
  return moosh_x_to_wei_up (&x);
}

int
moosh_price_parse (const char *text, unsigned decimals, MooshU256 *ret_rate_x)
{
  static const struct {
    const char *name;
    uint64_t seconds;
  } units[] = { { "h", 3600 },     { "s", 1 },          { "min", 60 },   { "hour", 3600 },
                { "d", 86400 },    { "day", 86400 },    { "w", 604800 }, { "week", 604800 },
                { "mo", 2592000 }, { "month", 2592000 } };
  const char *slash = strchr (text, '/');
  size_t len = slash != NULL ? (size_t)(slash - text) : strlen (text);
  uint64_t seconds = slash == NULL ? 3600 : 0;
  char number[96];
  MooshU256 wei;
  for (size_t i = 0; slash != NULL && i < sizeof units / sizeof units[0]; i++)
    if (strcmp (slash + 1, units[i].name) == 0)
      seconds = units[i].seconds;
  if (seconds == 0 || len >= sizeof number)
    return MOOSH_E_MALFORMED;
  memcpy (number, text, len);
  number[len] = '\0';
  int r = moosh_u256_from_amount (number, decimals, &wei);
  return r < 0 ? r : moosh_rate_from_price (&wei, seconds, ret_rate_x);
}

void
moosh_price_format (const MooshU256 *rate_x, unsigned decimals, char out[98])
{
  char amount[96];
  MooshU256 hour = moosh_price_of_rate (rate_x, 3600);
  moosh_u256_to_amount (&hour, decimals, amount);
  snprintf (out, 98, "%s/h", amount);
}

int
moosh_quote (const MooshOffer *offer, uint32_t count, uint64_t duration_s, const MooshU256 *deposit,
             uint64_t now_s, MooshQuote *ret)
{
  MooshQuote q = { 0 };
  if (duration_s > UINT64_MAX / 2)
    return MOOSH_E_RANGE;
  int r = moosh_terms_from_offer (offer, count, &q.terms);
  if (r < 0)
    return r;
  const MooshTerms *t = &q.terms;
  q.price_per_hour = moosh_price_of_rate (&t->rate_x, 3600);
  q.pause_price_per_hour = moosh_price_of_rate (&t->paused_rate_x, 3600);
  q.least_deposit = moosh_terms_min_deposit (t);
  MooshU256 lock_x = moosh_x_mul (&t->rate_x, t->lock_period_s);
  lock_x = moosh_x_add (&lock_x, &t->lock_fixed_x);
  q.lock = moosh_x_to_wei_up (&lock_x);
  if (deposit != NULL)
    q.deposit = *deposit;
  else
    {
      MooshU256 run_x = moosh_x_mul (&t->rate_x, duration_s);
      run_x = moosh_x_add (&run_x, &lock_x);
      q.deposit = moosh_x_to_wei_up (&run_x);
      if (moosh_u256_cmp (&q.deposit, &q.least_deposit) < 0)
        q.deposit = q.least_deposit;
    }
  if (moosh_u256_bit_length (&q.deposit) > 128)
    return MOOSH_E_RANGE;

  MooshAccount account = { .bal_x = moosh_x_from_wei (&q.deposit),
                           .rate_x = t->rate_x,
                           .lock_fixed_x = t->lock_fixed_x };
  if (moosh_u256_cmp (&account.bal_x, &account.lock_fixed_x) < 0)
    account.lock_fixed_x = account.bal_x; /* too small a deposit lasts no time at all */
  MooshU256 fee_x = moosh_x_mul (&t->rate_x, t->min_term_s);
  fee_x = moosh_x_min (&fee_x, &account.bal_x);
  q.early_fee_most = moosh_x_to_wei_up (&fee_x);
  q.lasts_s = moosh_account_grace_until (&account);
  q.funded_s = moosh_account_funded_until (&account, t->lock_period_s);
  q.runs_out_at_s = q.lasts_s < MOOSH_NEVER - now_s ? now_s + q.lasts_s : MOOSH_NEVER;
  *ret = q;
  return MOOSH_OK;
}

uint32_t
moosh_units_needed (const MooshUnits *unit, const MooshUnits *need, uint32_t most)
{
  const uint32_t have[]
      = { unit->vcpu_milli, unit->ram_mib, unit->disk_gib, unit->gpu, unit->ipv4 };
  const uint32_t want[]
      = { need->vcpu_milli, need->ram_mib, need->disk_gib, need->gpu, need->ipv4 };
  uint64_t count = 1;
  for (size_t i = 0; i < sizeof have / sizeof have[0]; i++)
    {
      if (want[i] == 0)
        continue;
      if (have[i] == 0)
        return 0;
      uint64_t here = ((uint64_t)want[i] + have[i] - 1) / have[i];
      if (here > count)
        count = here;
    }
  return count <= most ? (uint32_t)count : 0;
}
