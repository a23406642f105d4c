/** The floor of core: result codes, byte spans, big-endian integers, constant-time helpers.
 *
 * Everything in core is plain C17: the caller's memory, `int` results (0 or a negative MOOSH_E_*),
 * no clock, no allocation, no I/O. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
  MOOSH_OK = 0,
  MOOSH_E_SHORT = -1,        /* input ends too early */
  MOOSH_E_TRAILING = -2,     /* input goes on after its end */
  MOOSH_E_MALFORMED = -3,    /* not of the format */
  MOOSH_E_RANGE = -4,        /* a value out of its range */
  MOOSH_E_SPACE = -5,        /* the caller's buffer is too small */
  MOOSH_E_CRYPTO = -6,       /* signature, MAC, point or key is not valid */
  MOOSH_E_LIMIT = -7,        /* deeper, longer or more than the format allows */
  MOOSH_E_NONCANONICAL = -8, /* well-formed, but not the one allowed encoding */
  MOOSH_E_STATE = -9,        /* called out of order */
};

/** A short English text for a MOOSH_E_* code, for error messages. Static. */
const char *moosh_strerror (int code);

/** A read-only span. Owns nothing. */
typedef struct {
  const uint8_t *ptr;
  size_t len;
} MooshSpan;

static inline void
moosh_put_be16 (uint8_t out[2], uint16_t v)
{
  out[0] = (uint8_t)(v >> 8);
  out[1] = (uint8_t)v;
}

static inline uint16_t
moosh_get_be16 (const uint8_t in[2])
{
  return (uint16_t)(in[0] << 8 | in[1]);
}

static inline void
moosh_put_be32 (uint8_t out[4], uint32_t v)
{
  for (int i = 3; i >= 0; i--, v >>= 8)
    out[i] = (uint8_t)v;
}

static inline uint32_t
moosh_get_be32 (const uint8_t in[4])
{
  return (uint32_t)in[0] << 24 | (uint32_t)in[1] << 16 | (uint32_t)in[2] << 8 | in[3];
}

static inline void
moosh_put_be64 (uint8_t out[8], uint64_t v)
{
  for (int i = 7; i >= 0; i--, v >>= 8)
    out[i] = (uint8_t)v;
}

static inline uint64_t
moosh_get_be64 (const uint8_t in[8])
{
  return (uint64_t)moosh_get_be32 (in) << 32 | moosh_get_be32 (in + 4);
}

/** Compare without a branch on the contents. 1: equal. */
int moosh_ct_equal (const void *a, const void *b, size_t len);

/** Overwrite a secret so that the compiler keeps the stores. */
void moosh_wipe (void *secret, size_t len);

/** Lower-case hex without prefix; `out` holds 2·len + 1 characters. */
void moosh_hex_encode (const uint8_t *in, size_t len, char *out);

/** Hex (optional 0x) of exactly 2·len digits into `out`. MOOSH_E_MALFORMED for a digit that is
 * none, MOOSH_E_SHORT / MOOSH_E_TRAILING for another length. */
int moosh_hex_decode (const char *hex, uint8_t *out, size_t len);
