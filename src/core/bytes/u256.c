#include "core/bytes/u256.h"
#include <string.h>

__extension__ typedef unsigned __int128 Wide;

#define DECIMAL_DIGITS_MAX 78 /* 2^256 - 1 has 78 */

MooshU256
moosh_u256 (uint64_t v)
{
  return (MooshU256){ .limb = { v } };
}

bool
moosh_u256_is_zero (const MooshU256 *a)
{
  return (a->limb[0] | a->limb[1] | a->limb[2] | a->limb[3]) == 0;
}

int
moosh_u256_cmp (const MooshU256 *a, const MooshU256 *b)
{
  for (int i = 3; i >= 0; i--)
    if (a->limb[i] != b->limb[i])
      return a->limb[i] < b->limb[i] ? -1 : 1;
  return 0;
}

bool
moosh_u256_add (const MooshU256 *a, const MooshU256 *b, MooshU256 *ret)
{
  Wide carry = 0;

  for (int i = 0; i < 4; i++)
    {
      carry += (Wide)a->limb[i] + b->limb[i];
      ret->limb[i] = (uint64_t)carry;
      carry >>= 64;
    }
  return carry != 0;
}

bool
moosh_u256_sub (const MooshU256 *a, const MooshU256 *b, MooshU256 *ret)
{
  uint64_t borrow = 0;

  for (int i = 0; i < 4; i++)
    {
      Wide difference = (Wide)a->limb[i] - b->limb[i] - borrow;

      ret->limb[i] = (uint64_t)difference;
      borrow = (uint64_t)(difference >> 64) & 1;
    }
  return borrow != 0;
}

bool
moosh_u256_mul (const MooshU256 *a, const MooshU256 *b, MooshU256 *ret)
{
  uint64_t product[8] = { 0 };

  for (int i = 0; i < 4; i++)
    {
      uint64_t carry = 0;

      for (int j = 0; j < 4; j++)
        {
          Wide sum = (Wide)a->limb[i] * b->limb[j] + product[i + j] + carry;

          product[i + j] = (uint64_t)sum;
          carry = (uint64_t)(sum >> 64);
        }
      product[i + 4] = carry;
    }
  memcpy (ret->limb, product, sizeof ret->limb);
  return (product[4] | product[5] | product[6] | product[7]) != 0;
}

/* Division by one limb: a digit of base 2^64 at a time. */
static uint64_t
divide_by_limb (MooshU256 *a, uint64_t divisor)
{
  Wide remainder = 0;

  for (int i = 3; i >= 0; i--)
    {
      remainder = remainder << 64 | a->limb[i];
      a->limb[i] = (uint64_t)(remainder / divisor);
      remainder %= divisor;
    }
  return (uint64_t)remainder;
}

int
moosh_u256_divmod (const MooshU256 *a, const MooshU256 *b, MooshU256 *ret_quotient,
                   MooshU256 *ret_remainder)
{
  MooshU256 quotient = { 0 }, remainder = *a, divisor = *b;

  if (moosh_u256_is_zero (b))
    return MOOSH_E_RANGE;
  if (moosh_u256_fits_u64 (b))
    {
      quotient = *a;
      remainder = moosh_u256 (divide_by_limb (&quotient, b->limb[0]));
    }
  else if (moosh_u256_cmp (a, b) >= 0)
    {
      unsigned shift = moosh_u256_bit_length (a) - moosh_u256_bit_length (b);

      divisor = moosh_u256_shl (b, shift);
      for (unsigned i = 0; i <= shift; i++)
        {
          quotient = moosh_u256_shl (&quotient, 1);
          if (moosh_u256_cmp (&remainder, &divisor) >= 0)
            {
              moosh_u256_sub (&remainder, &divisor, &remainder);
              quotient.limb[0] |= 1;
            }
          divisor = moosh_u256_shr (&divisor, 1);
        }
    }
  if (ret_quotient != NULL)
    *ret_quotient = quotient;
  if (ret_remainder != NULL)
    *ret_remainder = remainder;
  return MOOSH_OK;
}

MooshU256
moosh_u256_shl (const MooshU256 *a, unsigned bits)
{
  MooshU256 shifted = { 0 };
  unsigned limbs = bits / 64, rest = bits % 64;

  for (unsigned i = limbs; i < 4; i++)
    {
      shifted.limb[i] = a->limb[i - limbs] << rest;
      if (rest != 0 && i > limbs)
        shifted.limb[i] |= a->limb[i - limbs - 1] >> (64 - rest);
    }
  return shifted;
}

MooshU256
moosh_u256_shr (const MooshU256 *a, unsigned bits)
{
  MooshU256 shifted = { 0 };
  unsigned limbs = bits / 64, rest = bits % 64;

  for (unsigned i = 0; i + limbs < 4; i++)
    {
      shifted.limb[i] = a->limb[i + limbs] >> rest;
      if (rest != 0 && i + limbs < 3)
        shifted.limb[i] |= a->limb[i + limbs + 1] << (64 - rest);
    }
  return shifted;
}

unsigned
moosh_u256_bit_length (const MooshU256 *a)
{
  for (unsigned i = 4; i-- > 0;)
    if (a->limb[i] != 0)
      return 64 * i + 64 - (unsigned)__builtin_clzll (a->limb[i]);
  return 0;
}

bool
moosh_u256_fits_u64 (const MooshU256 *a)
{
  return (a->limb[1] | a->limb[2] | a->limb[3]) == 0;
}

void
moosh_u256_to_be (const MooshU256 *a, uint8_t out[32])
{
  for (int i = 0; i < 4; i++)
    moosh_put_be64 (out + 8 * i, a->limb[3 - i]);
}

MooshU256
moosh_u256_from_be (const uint8_t in[32])
{
  MooshU256 value;

  for (int i = 0; i < 4; i++)
    value.limb[3 - i] = moosh_get_be64 (in + 8 * i);
  return value;
}

void
moosh_u256_to_decimal (const MooshU256 *a, char out[79])
{
  char digits[DECIMAL_DIGITS_MAX];
  MooshU256 rest = *a;
  int len = 0;

  do
    digits[len++] = (char)('0' + divide_by_limb (&rest, 10));
  while (!moosh_u256_is_zero (&rest));
  for (int i = 0; i < len; i++)
    out[i] = digits[len - 1 - i];
  out[len] = '\0';
}

/* value = value * 10 + digit; MOOSH_E_RANGE when it leaves 256 bits. */
static int
push_digit (MooshU256 *value, unsigned digit)
{
  const MooshU256 ten = moosh_u256 (10), low = moosh_u256 (digit);
  bool overflow = moosh_u256_mul (value, &ten, value);

  overflow |= moosh_u256_add (value, &low, value);
  return overflow ? MOOSH_E_RANGE : MOOSH_OK;
}

int
moosh_u256_from_decimal (const char *text, MooshU256 *ret)
{
  MooshU256 value = { 0 };
  int result = MOOSH_OK;

  if (*text == '\0')
    return MOOSH_E_MALFORMED;
  for (; *text != '\0'; text++)
    {
      if (*text < '0' || *text > '9')
        return MOOSH_E_MALFORMED;
      if (result == MOOSH_OK)
        result = push_digit (&value, (unsigned)(*text - '0'));
    }
  if (result == MOOSH_OK)
    *ret = value;
  return result;
}

int
moosh_u256_from_amount (const char *text, unsigned decimals, MooshU256 *ret)
{
  MooshU256 value = { 0 };
  unsigned places = 0, digits = 0;
  bool point = false;
  int result = MOOSH_OK;

  if (decimals > MOOSH_U256_DECIMALS_MAX)
    return MOOSH_E_RANGE;
  for (; *text != '\0'; text++)
    {
      if (*text == '.' && !point && digits > 0)
        {
          point = true;
          continue;
        }
      if (*text < '0' || *text > '9')
        return MOOSH_E_MALFORMED;
      digits++;
      if (point && ++places > decimals)
        result = MOOSH_E_RANGE;
      if (result == MOOSH_OK)
        result = push_digit (&value, (unsigned)(*text - '0'));
    }
  if (digits == 0 || (point && places == 0))
    return MOOSH_E_MALFORMED;
  for (; result == MOOSH_OK && places < decimals; places++)
    result = push_digit (&value, 0);
  if (result == MOOSH_OK)
    *ret = value;
  return result;
}

void
moosh_u256_to_amount (const MooshU256 *a, unsigned decimals, char out[96])
{
  char digits[79];
  size_t len, whole, used = 0;

  out[0] = '\0';
  if (decimals > MOOSH_U256_DECIMALS_MAX)
    return;
  moosh_u256_to_decimal (a, digits);
  len = strlen (digits);
  whole = len > decimals ? len - decimals : 0;
  if (whole == 0)
    out[used++] = '0';
  memcpy (out + used, digits, whole);
  used += whole;
  if (decimals > 0)
    {
      out[used++] = '.';
      for (size_t i = len; i < decimals; i++)
        out[used++] = '0';
      memcpy (out + used, digits + whole, len - whole);
      used += len - whole;
      while (out[used - 1] == '0')
        used--;
      if (out[used - 1] == '.')
        used--;
    }
  out[used] = '\0';
}
