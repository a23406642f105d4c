/** Follows contracts' events through reorganisations, exactly once each.
 *
 * Every block range is one store transaction: the handler's own writes (to the same store) and the
 * checkpoint commit together, or neither does. The last `depth` blocks' hashes and logs are kept;
 * when the chain no longer contains one of them, the logs above the fork are delivered again,
 * newest first, with `removed` set, and the handler undoes what it did. A fork deeper than `depth`
 * stops the follower with MOOSH_ERROR_CORRUPT: somebody must decide. */
#pragma once
#include "base/store.h"
#include "chain/chain.h"

/** One event. Runs inside the store's transaction: write to the store, remember nothing elsewhere.
 * `block_time_s` is the block's timestamp. FALSE with `error` rolls the whole range back; it is
 * tried again at the next poll. An event that makes no sense is the handler's to skip (TRUE), or it
 * would come again for ever. */
typedef gboolean (*MooshLogHandler) (const MooshLog *log, gint64 block_time_s, gboolean removed,
                                     gpointer user_data, GError **error);

/** Add this script to the list of migrations the store is opened with. */
extern const char moosh_follower_schema[];

typedef struct {
  MooshStore *store;
  MooshChain *chain;
  const char *name; /* of the checkpoint; one follower per name */
  const guint8 (*addresses)[20];
  guint n_addresses;   /* 1 to 32 */
  guint64 start_block; /* where the contracts were deployed; for a new checkpoint */
  guint depth;         /* blocks that may be undone; 0: 64 */
  guint64 range_max;   /* blocks per request while catching up; 0: 2000 */
  MooshLogHandler handler;
  gpointer user_data;
} MooshFollowerConfig;

typedef struct MooshFollower MooshFollower;

/** Store and chain are not owned. MOOSH_ERROR_CONFLICT: the checkpoint was made for other contracts
 * or another chain. */
MooshFollower *moosh_follower_new (const MooshFollowerConfig *config, GError **error);
/** Stops its thread first. */
void moosh_follower_free (MooshFollower *follower);

/** Go as far as the chain's head now. TRUE when it got there. Errors of the chain, the store and
 * the handler. */
gboolean moosh_follower_poll (MooshFollower *follower, GError **error);

/** Whether the newest block was seen soon after it was made: by a poll that came at most
 * MOOSH_FOLLOWER_FRESH_S after one that had reached the head. What is found after a pause may be
 * old.
 */
#define MOOSH_FOLLOWER_FRESH_S 20
gboolean moosh_follower_fresh (MooshFollower *follower);

/** Poll every `interval_ms` in a thread of its own; troubles are logged once per kind and tried
 * again with growing pauses up to 15 s. */
void moosh_follower_start (MooshFollower *follower, guint interval_ms);
/** Poll now (after an own transaction was mined). */
void moosh_follower_wake (MooshFollower *follower);
/** Wait until block `number` is handled, waking the thread (without one: poll once).
 * MOOSH_ERROR_TIMEOUT. */
gboolean moosh_follower_wait (MooshFollower *follower, guint64 number, guint timeout_ms,
                              GError **error);

/** Last handled block and its time; 0 before the first. */
void moosh_follower_position (MooshFollower *follower, guint64 *ret_block, gint64 *ret_time_s);
/** Why it does not get on: a sentence, or NULL when all is well. New string. */
char *moosh_follower_trouble (MooshFollower *follower);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (MooshFollower, moosh_follower_free)
