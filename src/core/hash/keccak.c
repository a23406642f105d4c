/* keccak-f[1600] and the sponge around it (The Keccak reference 3.0; steps named as there).
 *
 * A round reads the lanes of one array and writes another, so two rounds bring the state home
 * without a copy; with every index a constant the compiler turns both arrays into registers and
 * stack slots. On x86-64 the same source is built a second time with BMI (andn, rorx), taken where
 * the processor has it. */
#include "core/hash/hash.h"
#include <assert.h>
#include <string.h>

static_assert (MOOSH_KECCAK256_RATE == 200 - 2 * MOOSH_HASH_LEN, "capacity is twice the digest");
static_assert (MOOSH_KECCAK256_RATE % 8 == 0, "a block is whole lanes");

static const uint64_t round_constants[24] = {
  0x0000000000000001, 0x0000000000008082, 0x800000000000808a, 0x8000000080008000,
  0x000000000000808b, 0x0000000080000001, 0x8000000080008081, 0x8000000000008009,
  0x000000000000008a, 0x0000000000000088, 0x0000000080008009, 0x000000008000000a,
  0x000000008000808b, 0x800000000000008b, 0x8000000000008089, 0x8000000000008003,
  0x8000000000008002, 0x8000000000000080, 0x000000000000800a, 0x800000008000000a,
  0x8000000080008081, 0x8000000000008080, 0x0000000080000001, 0x8000000080008008,
};

#define ALWAYS_INLINE static inline __attribute__ ((always_inline))

ALWAYS_INLINE uint64_t
rol (uint64_t v, unsigned bits)
{
  return bits == 0 ? v : v << bits | v >> (64 - bits);
}

ALWAYS_INLINE uint64_t
load_le64 (const uint8_t *in)
{
  uint64_t v;

  memcpy (&v, in, sizeof v);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
  v = __builtin_bswap64 (v);
#endif
  return v;
}

/* Rho, pi and chi for one row of the result: five lanes of `a`, each from another row, turned by
 * their offsets. */
#define ROW(y, i0, r0, i1, r1, i2, r2, i3, r3, i4, r4)                                             \
  do                                                                                               \
    {                                                                                              \
      uint64_t b0 = rol (a[i0] ^ d[(i0) % 5], r0), b1 = rol (a[i1] ^ d[(i1) % 5], r1);             \
      uint64_t b2 = rol (a[i2] ^ d[(i2) % 5], r2), b3 = rol (a[i3] ^ d[(i3) % 5], r3);             \
      uint64_t b4 = rol (a[i4] ^ d[(i4) % 5], r4);                                                 \
      e[5 * (y) + 0] = b0 ^ (~b1 & b2);                                                            \
      e[5 * (y) + 1] = b1 ^ (~b2 & b3);                                                            \
      e[5 * (y) + 2] = b2 ^ (~b3 & b4);                                                            \
      e[5 * (y) + 3] = b3 ^ (~b4 & b0);                                                            \
      e[5 * (y) + 4] = b4 ^ (~b0 & b1);                                                            \
  } while (0)

ALWAYS_INLINE void
keccak_round (const uint64_t a[25], uint64_t e[25], uint64_t round_constant)
{
  uint64_t c0 = a[0] ^ a[5] ^ a[10] ^ a[15] ^ a[20];
  uint64_t c1 = a[1] ^ a[6] ^ a[11] ^ a[16] ^ a[21];
  uint64_t c2 = a[2] ^ a[7] ^ a[12] ^ a[17] ^ a[22];
  uint64_t c3 = a[3] ^ a[8] ^ a[13] ^ a[18] ^ a[23];
  uint64_t c4 = a[4] ^ a[9] ^ a[14] ^ a[19] ^ a[24];
  const uint64_t d[5] = { c4 ^ rol (c1, 1), c0 ^ rol (c2, 1), c1 ^ rol (c3, 1), c2 ^ rol (c4, 1),
                          c3 ^ rol (c0, 1) };

  ROW (0, 0, 0, 6, 44, 12, 43, 18, 21, 24, 14);
  e[0] ^= round_constant;
  ROW (1, 3, 28, 9, 20, 10, 3, 16, 45, 22, 61);
  ROW (2, 1, 1, 7, 6, 13, 25, 19, 8, 20, 18);
  ROW (3, 4, 27, 5, 36, 11, 10, 17, 15, 23, 56);
  ROW (4, 2, 62, 8, 55, 14, 39, 15, 41, 21, 2);
}

/* Absorb `blocks` whole blocks, each followed by the permutation. */
ALWAYS_INLINE void
absorb_blocks (uint64_t lane[25], const uint8_t *in, size_t blocks)
{
  uint64_t a[25], e[25];

  memcpy (a, lane, sizeof a);
  for (; blocks > 0; blocks--, in += MOOSH_KECCAK256_RATE)
    {
      for (int i = 0; i < MOOSH_KECCAK256_RATE / 8; i++)
        a[i] ^= load_le64 (in + 8 * i);
      for (int round = 0; round < 24; round += 2)
        {
          keccak_round (a, e, round_constants[round]);
          keccak_round (e, a, round_constants[round + 1]);
        }
    }
  memcpy (lane, a, sizeof a);
}

#if defined(__x86_64__)
__attribute__ ((target ("bmi,bmi2"))) static void
absorb_bmi (uint64_t lane[25], const uint8_t *in, size_t blocks)
{
  absorb_blocks (lane, in, blocks);
}
#endif

static void
absorb (uint64_t lane[25], const uint8_t *in, size_t blocks)
{
#if defined(__x86_64__)
  if (__builtin_cpu_supports ("bmi") && __builtin_cpu_supports ("bmi2"))
    {
      absorb_bmi (lane, in, blocks);
      return;
    }
#endif
  absorb_blocks (lane, in, blocks);
}

void
moosh_keccak256_init (MooshKeccak256 *hash)
{
  memset (hash->lane, 0, sizeof hash->lane);
  hash->fill = 0;
}

void
moosh_keccak256_update (MooshKeccak256 *hash, const void *in, size_t len)
{
  const uint8_t *bytes = in;

  if (len == 0)
    return;
  if (hash->fill > 0)
    {
      size_t room = MOOSH_KECCAK256_RATE - hash->fill, part = len < room ? len : room;

      memcpy (hash->block + hash->fill, bytes, part);
      hash->fill += part;
      bytes += part;
      len -= part;
      if (hash->fill < MOOSH_KECCAK256_RATE)
        return;
      absorb (hash->lane, hash->block, 1);
      hash->fill = 0;
    }
  absorb (hash->lane, bytes, len / MOOSH_KECCAK256_RATE);
  bytes += len - len % MOOSH_KECCAK256_RATE;
  hash->fill = len % MOOSH_KECCAK256_RATE;
  memcpy (hash->block, bytes, hash->fill);
}

void
moosh_keccak256_final (MooshKeccak256 *hash, uint8_t out[32])
{
  memset (hash->block + hash->fill, 0, MOOSH_KECCAK256_RATE - hash->fill);
  hash->block[hash->fill] ^= 0x01;
  hash->block[MOOSH_KECCAK256_RATE - 1] ^= 0x80;
  absorb (hash->lane, hash->block, 1);
  for (int i = 0; i < MOOSH_HASH_LEN; i++)
    out[i] = (uint8_t)(hash->lane[i / 8] >> (8 * (i % 8)));
}

void
moosh_keccak256 (const void *in, size_t len, uint8_t out[32])
{
  MooshKeccak256 hash;

  moosh_keccak256_init (&hash);
  moosh_keccak256_update (&hash, in, len);
  moosh_keccak256_final (&hash, out);
}
