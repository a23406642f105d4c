/* One poll: where is the chain, is what we have seen still in it, what is new.
 *
 * Invariants: (1) `next` and everything the handler wrote change in one transaction; (2)
 * follower_block holds the hash of block next - 1, unless nothing was handled yet; (3) follower_log
 * holds every delivered log of the last `depth` blocks, so that each can be taken back; (4) the
 * chain's hash of a range's last block is the same before and after its logs were fetched: they
 * belong to one chain. */
#include "chain/follower.h"
#include <string.h>

#define DEPTH_DEFAULT 64
#define RANGE_DEFAULT 2000
#define ADDRESSES_MAX 32
#define SHORTER_PATIENCE_US                                                                        \
  (5 * G_USEC_PER_SEC) /* a head behind our own may be an endpoint that lags */
#define PAUSE_MAX_MS 15000
#define STOP_LOOK_US (G_USEC_PER_SEC / 2) /* who waits for a block looks so often for the end */

const char moosh_follower_schema[]
    = "CREATE TABLE follower (name TEXT PRIMARY KEY, chain_id INTEGER NOT NULL, addresses BLOB NOT "
      "NULL,"
      " first INTEGER NOT NULL, next INTEGER NOT NULL, floor INTEGER NOT NULL DEFAULT -1, time_s "
      "INTEGER NOT NULL DEFAULT 0);"
      "CREATE TABLE follower_block (name TEXT NOT NULL, number INTEGER NOT NULL, hash BLOB NOT "
      "NULL,"
      " time_s INTEGER NOT NULL, PRIMARY KEY (name, number)) WITHOUT ROWID;"
      "CREATE TABLE follower_log (name TEXT NOT NULL, block INTEGER NOT NULL, number INTEGER NOT "
      "NULL,"
      " address BLOB NOT NULL, topics BLOB NOT NULL, data BLOB NOT NULL, block_hash BLOB NOT NULL,"
      " tx_hash BLOB NOT NULL, time_s INTEGER NOT NULL, PRIMARY KEY (name, block, number)) WITHOUT "
      "ROWID;";

struct MooshFollower {
  MooshFollowerConfig config;
  char *name;
  guint8 (*addresses)[20];
  guint64 first, next; /* changed by the polling thread, under `polling` */
  gint64 time_s;
  gint64 shorter_since_us; /* 0: the chain is not shorter than what we have handled */
  GMutex polling;          /* one poll at a time */

  GMutex lock; /* guards what is below */
  GCond changed;
  GThread *thread;
  guint interval_ms;
  gboolean stop, wake;
  guint64 seen_next;
  gint64 seen_time_s;
  gint64 head_us; /* when a poll last reached the head; 0: none did */
  gboolean fresh; /* the newest block came soon after */
  char *trouble;
};

/* A stored block. */
typedef struct {
  guint64 number;
  guint8 hash[32];
  gint64 time_s;
} Seen;

/* ---- opening ---- */

static gboolean
check_config (const MooshFollowerConfig *config, GError **error)
{
  if (config->n_addresses >= 1 && config->n_addresses <= ADDRESSES_MAX && config->name != NULL
      && config->handler != NULL)
    return TRUE;
  g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE,
               "a follower needs a name, a handler and 1 to %d contracts", ADDRESSES_MAX);
  return FALSE;
}

/* The checkpoint of that name, made if it is new. */
static gboolean
load_checkpoint (MooshFollower *f, GError **error)
{
  gint64 chain_id = (gint64)moosh_chain_id (f->config.chain);
  g_autoptr (GBytes) addresses = g_bytes_new (f->addresses, 20 * (gsize)f->config.n_addresses);
  g_autoptr (GBytes) stored = NULL;
  g_autoptr (MooshQuery) query = NULL;

  if (!moosh_store_run (f->config.store, error,
                        "INSERT OR IGNORE INTO follower (name, chain_id, addresses, first, next) "
                        "VALUES (?, ?, ?, ?, ?)",
                        "sibii", f->name, chain_id, addresses, (gint64)f->config.start_block,
                        (gint64)f->config.start_block))
    return FALSE;
  query = moosh_store_query (
      f->config.store, error,
      "SELECT chain_id, addresses, first, next, time_s FROM follower WHERE name = ?", "s", f->name);
  if (query == NULL || !moosh_query_next (query, error))
    return FALSE;
  stored = moosh_query_blob (query, 1);
  if (moosh_query_int (query, 0) != chain_id || stored == NULL
      || !g_bytes_equal (stored, addresses))
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_CONFLICT,
                   "checkpoint %s was made for chain %" G_GINT64_FORMAT
                   " and other contracts than chain %" G_GINT64_FORMAT "'s of now",
                   f->name, moosh_query_int (query, 0), chain_id);
      return FALSE;
    }
  f->first = (guint64)moosh_query_int (query, 2);
  f->next = f->seen_next = (guint64)moosh_query_int (query, 3);
  f->time_s = f->seen_time_s = moosh_query_int (query, 4);
  return TRUE;
}

MooshFollower *
moosh_follower_new (const MooshFollowerConfig *config, GError **error)
{
  g_autoptr (MooshFollower) f = NULL;

  if (!check_config (config, error))
    return NULL;
  f = g_new0 (MooshFollower, 1);
  f->config = *config;
  f->name = g_strdup (config->name);
  f->addresses = g_memdup2 (config->addresses, 20 * (gsize)config->n_addresses);
  if (f->config.depth == 0)
    f->config.depth = DEPTH_DEFAULT;
  if (f->config.range_max == 0)
    f->config.range_max = RANGE_DEFAULT;
  g_mutex_init (&f->polling);
  g_mutex_init (&f->lock);
  g_cond_init (&f->changed);
  if (!load_checkpoint (f, error))
    return NULL;
  return g_steal_pointer (&f);
}

void
moosh_follower_free (MooshFollower *f)
{
  if (f == NULL)
    return;
  g_mutex_lock (&f->lock);
  f->stop = TRUE;
  g_cond_broadcast (&f->changed);
  g_mutex_unlock (&f->lock);
  if (f->thread != NULL)
    g_thread_join (f->thread);
  g_mutex_clear (&f->polling);
  g_mutex_clear (&f->lock);
  g_cond_clear (&f->changed);
  g_free (f->trouble);
  g_free (f->addresses);
  g_free (f->name);
  g_free (f);
}

/* ---- what is stored ---- */

/* The newest stored block up to `most`. FALSE without error: none. */
static gboolean
newest_seen (MooshFollower *f, guint64 most, Seen *ret, GError **error)
{
  g_autoptr (MooshQuery) query = moosh_store_query (
      f->config.store, error,
      "SELECT number, hash, time_s FROM follower_block WHERE name = ? AND number <= ?"
      " ORDER BY number DESC LIMIT 1",
      "si", f->name, (gint64)MIN (most, (guint64)G_MAXINT64));
  g_autoptr (GBytes) hash = NULL;

  if (query == NULL || !moosh_query_next (query, error))
    return FALSE;
  hash = moosh_query_blob (query, 1);
  if (hash == NULL || g_bytes_get_size (hash) != 32)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_CORRUPT,
                   "checkpoint %s holds a block without a hash", f->name);
      return FALSE;
    }
  ret->number = (guint64)moosh_query_int (query, 0);
  memcpy (ret->hash, g_bytes_get_data (hash, NULL), 32);
  ret->time_s = moosh_query_int (query, 2);
  return TRUE;
}

static gboolean
remember_block (MooshFollower *f, guint64 number, const guint8 hash[32], gint64 time_s,
                GError **error)
{
  g_autoptr (GBytes) bytes = g_bytes_new (hash, 32);

  return moosh_store_run (
      f->config.store, error,
      "INSERT OR REPLACE INTO follower_block (name, number, hash, time_s) VALUES (?, ?, ?, ?)",
      "sibi", f->name, (gint64)number, bytes, time_s);
}

static gboolean
remember_log (MooshFollower *f, const MooshLog *log, gint64 time_s, GError **error)
{
  g_autoptr (GBytes) address = g_bytes_new (log->address, 20);
  g_autoptr (GBytes) topics = g_bytes_new (log->topics, 32 * (gsize)log->n_topics);
  g_autoptr (GBytes) block_hash = g_bytes_new (log->block_hash, 32);
  g_autoptr (GBytes) tx_hash = g_bytes_new (log->tx_hash, 32);

  return moosh_store_run (
      f->config.store, error,
      "INSERT INTO follower_log (name, block, number, address, topics, data, block_hash, tx_hash,"
      " time_s) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
      "siibbbbbi", f->name, (gint64)log->block, (gint64)log->index, address, topics, log->data,
      block_hash, tx_hash, time_s);
}

static void
copy_blob (MooshQuery *query, int column, void *out, gsize max, gsize *ret_len)
{
  g_autoptr (GBytes) bytes = moosh_query_blob (query, column);
  gsize len = bytes != NULL ? MIN (g_bytes_get_size (bytes), max) : 0;

  if (len > 0)
    memcpy (out, g_bytes_get_data (bytes, NULL), len);
  if (ret_len != NULL)
    *ret_len = len;
}

typedef struct {
  MooshLog *log;
  gint64 time_s;
} Delivered;

static void
delivered_free (gpointer data)
{
  Delivered *delivered = data;

  moosh_log_free (delivered->log);
  g_free (delivered);
}

/* Delivered* of blocks above `fork`, newest first. */
static GPtrArray *
delivered_above (MooshFollower *f, gint64 fork, GError **error)
{
  g_autoptr (GPtrArray) found = g_ptr_array_new_with_free_func (delivered_free);
  g_autoptr (GError) local = NULL;
  g_autoptr (MooshQuery) query = moosh_store_query (
      f->config.store, &local,
      "SELECT block, number, address, topics, data, block_hash, tx_hash, time_s FROM follower_log"
      " WHERE name = ? AND block > ? ORDER BY block DESC, number DESC",
      "si", f->name, fork);

  while (local == NULL && moosh_query_next (query, &local))
    {
      Delivered *delivered = g_new0 (Delivered, 1);
      MooshLog *log = delivered->log = g_new0 (MooshLog, 1);
      gsize topics;

      log->block = (guint64)moosh_query_int (query, 0);
      log->index = (guint)moosh_query_int (query, 1);
      copy_blob (query, 2, log->address, 20, NULL);
      copy_blob (query, 3, log->topics, sizeof log->topics, &topics);
      log->n_topics = (guint)(topics / 32);
      log->data = moosh_query_blob (query, 4);
      if (log->data == NULL)
        log->data = g_bytes_new (NULL, 0);
      copy_blob (query, 5, log->block_hash, 32, NULL);
      copy_blob (query, 6, log->tx_hash, 32, NULL);
      delivered->time_s = moosh_query_int (query, 7);
      g_ptr_array_add (found, delivered);
    }
  if (local != NULL)
    {
      g_propagate_error (error, g_steal_pointer (&local));
      return NULL;
    }
  return g_steal_pointer (&found);
}

static gboolean
save_checkpoint (MooshFollower *f, guint64 next, gint64 time_s, GError **error)
{
  return moosh_store_run (f->config.store, error,
                          "UPDATE follower SET next = ?, time_s = ? WHERE name = ?", "iis",
                          (gint64)next, time_s, f->name);
}

/* The store has it: now the rest of the world may know. */
static void
publish (MooshFollower *f, guint64 next, gint64 time_s)
{
  f->next = next;
  f->time_s = time_s;
  g_mutex_lock (&f->lock);
  f->fresh = f->head_us != 0
             && g_get_monotonic_time () - f->head_us < MOOSH_FOLLOWER_FRESH_S * G_USEC_PER_SEC;
  f->seen_next = next;
  f->seen_time_s = time_s;
  g_cond_broadcast (&f->changed);
  g_mutex_unlock (&f->lock);
}

/* ---- reorganisations ---- */

static gboolean
take_back (MooshFollower *f, gint64 fork, gint64 time_s, GError **error)
{
  MooshStore *store = f->config.store;
  g_autoptr (GPtrArray) gone = delivered_above (f, fork, error);

  if (gone == NULL)
    return FALSE;
  for (guint i = 0; i < gone->len; i++)
    {
      const Delivered *delivered = gone->pdata[i];

      if (!f->config.handler (delivered->log, delivered->time_s, TRUE, f->config.user_data, error))
        return FALSE;
    }
  return moosh_store_run (store, error, "DELETE FROM follower_log WHERE name = ? AND block > ?",
                          "si", f->name, fork)
         && moosh_store_run (store, error,
                             "DELETE FROM follower_block WHERE name = ? AND number > ?", "si",
                             f->name, fork)
         && save_checkpoint (f, (guint64)(fork + 1), time_s, error);
}

/* Undo everything above block `fork` (-1: everything). */
static gboolean
roll_back (MooshFollower *f, gint64 fork, gint64 time_s, GError **error)
{
  g_message ("events of %s: the chain was reorganised, taking back blocks above %" G_GINT64_FORMAT,
             f->name, fork);
  if (!moosh_store_begin (f->config.store, error))
    return FALSE;
  if (!take_back (f, fork, time_s, error))
    {
      moosh_store_rollback (f->config.store);
      return FALSE;
    }
  if (!moosh_store_commit (f->config.store, error))
    return FALSE;
  publish (f, (guint64)(fork + 1), time_s);
  return TRUE;
}

/* The newest block below `most` that we have seen and the chain still has becomes the last one
 * handled. */
static gboolean
find_fork (MooshFollower *f, guint64 most, GError **error)
{
  g_autoptr (GError) local = NULL;
  gint64 floor = moosh_store_int (f->config.store, -1, "SELECT floor FROM follower WHERE name = ?",
                                  "s", f->name);
  Seen seen;

  while (newest_seen (f, most, &seen, &local))
    {
      MooshBlock block;

      if (!moosh_chain_block (f->config.chain, seen.number, &block, error))
        return FALSE;
      if (memcmp (block.hash, seen.hash, 32) == 0)
        return roll_back (f, (gint64)seen.number, seen.time_s, error);
      if (seen.number == 0)
        break;
      most = seen.number - 1;
    }
  if (local != NULL)
    {
      g_propagate_error (error, g_steal_pointer (&local));
      return FALSE;
    }
  if (floor < 0) /* nothing was dropped: all of it can be undone */
    return roll_back (f, (gint64)f->first - 1, 0, error);
  g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_CORRUPT,
               "the chain differs from what was seen more than %u blocks ago: "
               "another chain, or a"
               " reorganisation too deep to undo",
               f->config.depth);
  return FALSE;
}

/* The chain ends below what we have handled: wait a little for an endpoint that lags, then believe
 * it. */
static gboolean
chain_is_shorter (MooshFollower *f, const MooshBlock *head, GError **error)
{
  gint64 now = g_get_monotonic_time ();

  if (f->shorter_since_us == 0)
    f->shorter_since_us = now;
  if (now - f->shorter_since_us >= SHORTER_PATIENCE_US)
    {
      f->shorter_since_us = 0;
      return find_fork (f, head->number, error);
    }
  g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_UNAVAILABLE,
               "the chain's head %" G_GUINT64_FORMAT " is behind the %" G_GUINT64_FORMAT
               " blocks seen before",
               head->number, f->next);
  return FALSE;
}

/* Whether what we have handled is still in the chain; rolls back when it is not. */
static gboolean
check_ancestry (MooshFollower *f, const MooshBlock *head, GError **error)
{
  g_autoptr (GError) local = NULL;
  MooshBlock block = *head;
  Seen seen;

  if (!newest_seen (f, G_MAXUINT64, &seen, &local))
    {
      if (local == NULL)
        return TRUE;
      g_propagate_error (error, g_steal_pointer (&local));
      return FALSE;
    }
  if (head->number < seen.number)
    return chain_is_shorter (f, head, error);
  f->shorter_since_us = 0;
  if (head->number > seen.number
      && !moosh_chain_block (f->config.chain, seen.number, &block, error))
    return FALSE;
  if (memcmp (block.hash, seen.hash, 32) == 0)
    return TRUE;
  return find_fork (f, seen.number > 0 ? seen.number - 1 : 0, error);
}

/* ---- going on ---- */

/* The block that need not be undone any more when the chain has `head`. */
static guint64
floor_below (MooshFollower *f, guint64 head)
{
  return head > f->config.depth ? head - f->config.depth : 0;
}

/* What was fetched for one range: the logs, and the time of each one's block. */
typedef struct {
  MooshBlock last;
  GPtrArray *logs;
  GArray *times; /* gint64 per log */
} Range;

static void
range_clear (Range *range)
{
  g_clear_pointer (&range->logs, g_ptr_array_unref);
  g_clear_pointer (&range->times, g_array_unref);
}

static gboolean
moved (GError **error)
{
  g_set_error_literal (error, MOOSH_ERROR, MOOSH_ERROR_UNAVAILABLE,
                       "the chain was reorganised while it was read");
  return FALSE;
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Range, range_clear)

/* Look up the block of each log, once per block: it must be the one the log names. */
static gboolean
fetch_times (MooshFollower *f, Range *range, GError **error)
{
  MooshBlock block = range->last;

  range->times = g_array_sized_new (FALSE, TRUE, sizeof (gint64), range->logs->len);
  for (guint i = 0; i < range->logs->len; i++)
    {
      const MooshLog *log = range->logs->pdata[i];

      if (log->block != block.number)
        {
          if (log->block == range->last.number)
            block = range->last;
          else if (!moosh_chain_block (f->config.chain, log->block, &block, error))
            return FALSE;
        }
      if (memcmp (block.hash, log->block_hash, 32) != 0)
        return moved (error);
      g_array_append_val (range->times, block.timestamp_s);
    }
  return TRUE;
}

static gboolean
fetch_range (MooshFollower *f, const MooshBlock *head, Range *ret, GError **error)
{
  MooshChain *chain = f->config.chain;
  guint64 to = MIN (head->number, f->next + f->config.range_max - 1),
          floor = floor_below (f, head->number);
  MooshBlock again;

  if (f->next <= floor && to > floor)
    to = floor; /* a range is wholly below the floor or wholly above it */
  ret->last = *head;
  if (to < head->number && !moosh_chain_block (chain, to, &ret->last, error))
    return FALSE;
  ret->logs
      = moosh_chain_logs (chain, f->next, to, f->addresses, f->config.n_addresses, NULL, 0, error);
  if (ret->logs == NULL || !fetch_times (f, ret, error)
      || !moosh_chain_block (chain, to, &again, error))
    return FALSE;
  return memcmp (again.hash, ret->last.hash, 32) == 0 || moved (error);
}

/* Drop what is below the newest stored block at or below `most`; that one becomes the floor. */
static gboolean
raise_floor (MooshFollower *f, guint64 most, GError **error)
{
  MooshStore *store = f->config.store;
  g_autoptr (GError) local = NULL;
  Seen floor;

  if (!newest_seen (f, most, &floor, &local))
    {
      if (local == NULL)
        return TRUE;
      g_propagate_error (error, g_steal_pointer (&local));
      return FALSE;
    }
  return moosh_store_run (store, error, "DELETE FROM follower_log WHERE name = ? AND block <= ?",
                          "si", f->name, (gint64)floor.number)
         && moosh_store_run (store, error,
                             "DELETE FROM follower_block WHERE name = ? AND number < ?", "si",
                             f->name, (gint64)floor.number)
         && moosh_store_run (store, error, "UPDATE follower SET floor = ? WHERE name = ?", "is",
                             (gint64)floor.number, f->name);
}

static gboolean
deliver (MooshFollower *f, const Range *range, guint64 head, GError **error)
{
  guint64 floor = floor_below (f, head);

  for (guint i = 0; i < range->logs->len; i++)
    {
      const MooshLog *log = range->logs->pdata[i];
      gint64 time_s = g_array_index (range->times, gint64, i);

      if (!f->config.handler (log, time_s, FALSE, f->config.user_data, error))
        return FALSE;
      if (log->block > floor
          && (!remember_log (f, log, time_s, error)
              || !remember_block (f, log->block, log->block_hash, time_s, error)))
        return FALSE;
    }
  return remember_block (f, range->last.number, range->last.hash, range->last.timestamp_s, error)
         && (floor < f->first || raise_floor (f, floor, error))
         && save_checkpoint (f, range->last.number + 1, range->last.timestamp_s, error);
}

static gboolean
advance (MooshFollower *f, const MooshBlock *head, GError **error)
{
  g_auto (Range) range = { 0 };

  if (!fetch_range (f, head, &range, error) || !moosh_store_begin (f->config.store, error))
    return FALSE;
  if (!deliver (f, &range, head->number, error))
    {
      moosh_store_rollback (f->config.store);
      return FALSE;
    }
  if (!moosh_store_commit (f->config.store, error))
    return FALSE;
  publish (f, range.last.number + 1, range.last.timestamp_s);
  return TRUE;
}

static gboolean
poll_locked (MooshFollower *f, GError **error)
{
  MooshBlock head;

  if (!moosh_chain_head (f->config.chain, &head, error) || !check_ancestry (f, &head, error))
    return FALSE;
  while (f->next <= head.number)
    if (!advance (f, &head, error))
      return FALSE;
  return TRUE;
}

gboolean
moosh_follower_poll (MooshFollower *f, GError **error)
{
  g_autoptr (GError) local = NULL;
  gboolean good;

  g_mutex_lock (&f->polling);
  good = poll_locked (f, &local);
  g_mutex_unlock (&f->polling);
  g_mutex_lock (&f->lock);
  if (!good && g_strcmp0 (f->trouble, local->message) != 0)
    g_message ("events of %s: %s", f->name, local->message);
  g_free (f->trouble);
  f->trouble = good ? NULL : g_strdup (local->message);
  if (good)
    f->head_us = g_get_monotonic_time ();
  g_mutex_unlock (&f->lock);
  if (!good)
    g_propagate_error (error, g_steal_pointer (&local));
  return good;
}

/* ---- the thread ---- */

static gpointer
follower_thread (gpointer user_data)
{
  MooshFollower *f = user_data;
  gint64 pause_ms = f->interval_ms;

  g_mutex_lock (&f->lock);
  while (!f->stop)
    {
      gint64 until;

      f->wake = FALSE;
      g_mutex_unlock (&f->lock);
      pause_ms = moosh_follower_poll (f, NULL) ? f->interval_ms : MIN (pause_ms * 2, PAUSE_MAX_MS);
      until = g_get_monotonic_time () + pause_ms * 1000;
      g_mutex_lock (&f->lock);
      while (!f->stop && !f->wake && g_cond_wait_until (&f->changed, &f->lock, until))
        ;
    }
  g_mutex_unlock (&f->lock);
  return NULL;
}

void
moosh_follower_start (MooshFollower *f, guint interval_ms)
{
  f->interval_ms = MAX (interval_ms, 10);
  f->thread = g_thread_new ("follower", follower_thread, f);
}

void
moosh_follower_wake (MooshFollower *f)
{
  g_mutex_lock (&f->lock);
  f->wake = TRUE;
  g_cond_broadcast (&f->changed);
  g_mutex_unlock (&f->lock);
}

gboolean
moosh_follower_wait (MooshFollower *f, guint64 number, guint timeout_ms, GError **error)
{
  gint64 until = g_get_monotonic_time () + (gint64)timeout_ms * 1000;
  gboolean reached;

  if (f->thread == NULL)
    moosh_follower_poll (f, NULL);
  moosh_follower_wake (f);
  g_mutex_lock (&f->lock);
  while (f->thread != NULL && f->seen_next <= number && !moosh_chain_stopped (f->config.chain)
         && g_get_monotonic_time () < until)
    g_cond_wait_until (&f->changed, &f->lock, MIN (until, g_get_monotonic_time () + STOP_LOOK_US));
  reached = f->seen_next > number;
  if (!reached)
    g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_TIMEOUT,
                 "events of %s: block %" G_GUINT64_FORMAT " not handled after %u ms%s%s", f->name,
                 number, timeout_ms, f->trouble != NULL ? ": " : "",
                 f->trouble != NULL ? f->trouble : "");
  g_mutex_unlock (&f->lock);
  return reached;
}

void
moosh_follower_position (MooshFollower *f, guint64 *ret_block, gint64 *ret_time_s)
{
  g_mutex_lock (&f->lock);
  if (ret_block != NULL)
    *ret_block = f->seen_next > f->first ? f->seen_next - 1 : 0;
  if (ret_time_s != NULL)
    *ret_time_s = f->seen_time_s;
  g_mutex_unlock (&f->lock);
}

gboolean
moosh_follower_fresh (MooshFollower *f)
{
  gboolean fresh;

  g_mutex_lock (&f->lock);
  fresh = f->fresh;
  g_mutex_unlock (&f->lock);
  return fresh;
}

char *
moosh_follower_trouble (MooshFollower *f)
{
  char *trouble;

  g_mutex_lock (&f->lock);
  trouble = g_strdup (f->trouble);
  g_mutex_unlock (&f->lock);
  return trouble;
}
