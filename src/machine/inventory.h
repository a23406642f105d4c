/** What a host can sell: pools of capacity, and the arithmetic of taking from them.
 *
 * Pure logic over plain structs; the journal stores them. Sums are 64-bit, so no sequence of
 * reservations can wrap.
 *
 * A pool is *dedicated* (a reservation owns whole cores of its own: nobody else's guest runs there)
 * or *shared* (guests share the cores no dedicated pool owns; more vCPU than cores may be sold, by
 * the ratio the offer declares). Only vCPU is ever overcommitted: memory and disk that are sold are
 * there. */
#pragma once
#include "base/error.h"
#include <glib.h>

#define MOOSH_CORES_MAX          256
#define MOOSH_OVERCOMMIT_PCT_MAX 1600

typedef struct {
  guint32 vcpu_milli, ram_mib, disk_gib, gpu, ipv4;
} MooshMachineUnits;

/** Cores by number. */
typedef struct {
  guint64 bits[MOOSH_CORES_MAX / 64];
} MooshCores;

typedef enum { MOOSH_POOL_DEDICATED = 0, MOOSH_POOL_SHARED = 1 } MooshPoolClass;

typedef struct {
  char id[65]; /* bytes32 in lower-case hex, no 0x */
  MooshPoolClass class;
  guint32 overcommit_pct;     /* 100: none; 100 for dedicated pools */
  MooshMachineUnits capacity; /* what is really there */
  MooshMachineUnits reserved; /* sum over the machines that hold units */
  MooshCores cores;           /* dedicated pools: the cores they own */
  MooshCores busy;            /* those of them that a machine owns now */
} MooshPool;

/** Is the pool's own description sound? MOOSH_ERROR_USAGE with a sentence: a dedicated pool sells
 * whole cores and is not overcommitted; the ratio is 100–1600 %. */
gboolean moosh_pool_check (const MooshPool *pool, GError **error);

/** Capacity as it is sold: vCPU times the overcommit ratio, everything else as it is. */
MooshMachineUnits moosh_pool_sellable (const MooshPool *pool);

/** What is left to sell; a resource whose capacity was lowered below what is reserved counts as 0.
 */
MooshMachineUnits moosh_pool_free (const MooshPool *pool);

/** Reserve `units`: adds to pool->reserved and, in a dedicated pool, picks whole cores that nobody
 * else has, into `ret_cores` (empty for shared pools) and pool->busy. On error nothing is changed:
 * MOOSH_ERROR_CONFLICT "sold out" when a resource does not suffice (the message names it);
 * MOOSH_ERROR_USAGE when no vCPU, memory or disk is asked for, or a part of a core of a dedicated
 * pool. */
gboolean moosh_pool_reserve (MooshPool *pool, const MooshMachineUnits *units, MooshCores *ret_cores,
                             GError **error);

/** Choose the cores of a dedicated pool for its capacity: keeps those that are busy, then those it
 * has, then the lowest numbers that are in nobody's set. `others` are the cores other dedicated
 * pools own, `n_cores` the host's. MOOSH_ERROR_LIMIT: the host has too few. A shared pool ends with
 * none. */
gboolean moosh_pool_choose_cores (MooshPool *pool, const MooshCores *others, guint n_cores,
                                  GError **error);

gboolean moosh_cores_has (const MooshCores *cores, guint core);
void moosh_cores_add (MooshCores *cores, guint core);
guint moosh_cores_count (const MooshCores *cores);
/** cores |= more; and cores &= ~less. */
void moosh_cores_join (MooshCores *cores, const MooshCores *more);
void moosh_cores_drop (MooshCores *cores, const MooshCores *less);
/** "0,3,4", or "" for none; new string. Back: FALSE for anything moosh_cores_print does not write.
 */
char *moosh_cores_print (const MooshCores *cores);
gboolean moosh_cores_parse (const char *text, MooshCores *ret);
