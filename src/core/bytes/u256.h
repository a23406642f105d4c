/** Unsigned 256-bit integers: money in token-wei·2^32 and the EVM's words. Four 64-bit limbs, least
 * significant first.
 *
 * Arithmetic says whether it wrapped; nothing here branches on more than that. */
#pragma once
#include "core/bytes/bytes.h"

typedef struct {
  uint64_t limb[4];
} MooshU256;

#define MOOSH_U256_DECIMALS_MAX 77 /* more places than that no 256-bit amount can use */

MooshU256 moosh_u256 (uint64_t v);
bool moosh_u256_is_zero (const MooshU256 *a);
/** -1, 0, 1. */
int moosh_u256_cmp (const MooshU256 *a, const MooshU256 *b);
/** ret = a ± b mod 2^256; true when it overflowed / went below zero. `ret` may be `a` or `b`. */
bool moosh_u256_add (const MooshU256 *a, const MooshU256 *b, MooshU256 *ret);
bool moosh_u256_sub (const MooshU256 *a, const MooshU256 *b, MooshU256 *ret);
/** ret = a·b mod 2^256; true when the full product is larger. */
bool moosh_u256_mul (const MooshU256 *a, const MooshU256 *b, MooshU256 *ret);
/** quotient and remainder (either may be NULL). MOOSH_E_RANGE when b is zero. */
int moosh_u256_divmod (const MooshU256 *a, const MooshU256 *b, MooshU256 *ret_quotient,
                       MooshU256 *ret_remainder);
MooshU256 moosh_u256_shl (const MooshU256 *a, unsigned bits);
MooshU256 moosh_u256_shr (const MooshU256 *a, unsigned bits);
unsigned moosh_u256_bit_length (const MooshU256 *a);
bool moosh_u256_fits_u64 (const MooshU256 *a);

void moosh_u256_to_be (const MooshU256 *a, uint8_t out[32]);
MooshU256 moosh_u256_from_be (const uint8_t in[32]);

/** Decimal text into `out` (≥ 79 bytes), NUL-terminated. */
void moosh_u256_to_decimal (const MooshU256 *a, char out[79]);
/** Decimal digits only, no sign, at most 2^256 - 1. MOOSH_E_MALFORMED, MOOSH_E_RANGE. */
int moosh_u256_from_decimal (const char *text, MooshU256 *ret);
/** A decimal amount with at most `decimals` places ("1.25" with 6 gives 1250000), and back without
 * trailing zeros
 * (`out` ≥ 96 bytes). A digit stands on each side of a point (MOOSH_E_MALFORMED). More places than
 * `decimals` is MOOSH_E_RANGE: nothing is rounded. `decimals` above MOOSH_U256_DECIMALS_MAX is
 * MOOSH_E_RANGE, and "" on the way back. */
int moosh_u256_from_amount (const char *text, unsigned decimals, MooshU256 *ret);
void moosh_u256_to_amount (const MooshU256 *a, unsigned decimals, char out[96]);
