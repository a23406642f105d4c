/** Random lives of agreements on the model, written down for the contracts to replay
 * (tests/vectors/market-sequences.md). */
#pragma once
#include "market/agreement.h"

enum {
  MOOSH_SEQUENCE_HEAD = 192,
  MOOSH_SEQUENCE_STEP = 256,
  MOOSH_SEQUENCE_STEPS_MAX = 48,
  MOOSH_SEQUENCE_MAX = MOOSH_SEQUENCE_HEAD + MOOSH_SEQUENCE_STEPS_MAX * MOOSH_SEQUENCE_STEP,
};

/** Calls besides MooshEvent's. */
enum { MOOSH_OP_TAKE = 1, MOOSH_OP_WITHDRAW = 14, MOOSH_OP_PASS = 15 };

/** Everything around one agreement: who has what. Wei. */
typedef struct {
  MooshOffer offer;
  bool via_bid;
  bool taken;
  MooshAgreement a;
  uint32_t count;
  MooshU256 credit[MOOSH_N_ACTORS]; /* EscrowVault; the stranger's stays 0 */
  MooshU256 paid_in, paid_out;      /* tokens that entered and left the EscrowVault */
  MooshU256 bond_floor, bond_free, bond_reserved, compensation;
  MooshU256 staked;
  MooshUnits pool;
  uint64_t now_s;
} MooshWorld;

typedef struct {
  uint32_t dt_s;
  uint8_t op;    /* MooshEvent or MOOSH_OP_* */
  uint8_t actor; /* MooshActor */
  uint32_t count;
  MooshU256 amount;
} MooshStep;

/** Let dt pass and play one call. What the model refuses changes nothing but the time. */
MooshRefusal moosh_world_play (MooshWorld *world, const MooshStep *step);

/** Is every token and every bond accounted for, to the last fraction? */
bool moosh_world_is_conserved (const MooshWorld *world);

/** Sequence number `index` of `seed` into `out` (MOOSH_SEQUENCE_MAX bytes); returns its length. The
 * same pair always gives the same bytes. A broken invariant of the model ends the process. */
size_t moosh_sequence_make (uint64_t seed, uint32_t index, uint8_t *out);

/** The generator's parts, for tests: a small deterministic random source, a world to begin with,
 * the next step. */
typedef struct {
  uint64_t state;
} MooshRandom;
uint64_t moosh_random (MooshRandom *random);
/** 0 … n−1; 0 for n = 0. */
uint64_t moosh_random_below (MooshRandom *random, uint64_t n);
void moosh_world_random (MooshRandom *random, MooshWorld *ret);
MooshStep moosh_step_random (MooshRandom *random, const MooshWorld *world);
