/* One thread looks which deployment or machine is due and hands it to a pool; an item is with one
 * pool thread at a time. The thread also keeps the transaction journal going and, now and then,
 * asks contacts for their offers. */
#include "node.h"
#include <string.h>

enum { POOL_THREADS = 32, TICK_MS = 250, JOURNAL_MS = 2000, OFFERS_MS = 300000, JUMP_S = 5 };

typedef struct {
  char *key; /* "c:<deployment>" or "p:<agreement>" */
  gint64 due_us;
  gboolean busy, again; /* again: woken while busy */
} Item;

struct Worker {
  Node *node;
  GMutex lock;
  GCond changed;
  gboolean stopping, woken;
  GHashTable *items; /* key -> Item */
  GThreadPool *pool;
  GThread *thread;
  gint64 journal_due_us, offers_due_us;
  guint64 last_block; /* seen; to notice new ones */
  gint64 last_now_s;  /* chain's time at the last look; to notice that it jumped */
};

static void
item_free (gpointer item)
{
  g_free (((Item *)item)->key);
  g_free (item);
}

static void
run_item (gpointer data, gpointer user_data)
{
  Worker *worker = user_data;
  Item *item = data;
  int delay_ms = item->key[0] == 'c'
                     ? client_step (worker->node, item->key + 2)
                     : provider_step (worker->node, g_ascii_strtoull (item->key + 2, NULL, 10));

  g_mutex_lock (&worker->lock);
  item->busy = FALSE;
  if (delay_ms == STEP_NEVER)
    g_hash_table_remove (worker->items, item->key); /* what is not over is gathered again */
  else
    {
      item->due_us = item->again ? 0 : g_get_monotonic_time () + (gint64)delay_ms * 1000;
      item->again = FALSE;
    }
  g_cond_signal (&worker->changed);
  g_mutex_unlock (&worker->lock);
}

/* Add what has begun since the last look. Called with the lock held. */
static void
gather (Worker *worker, GPtrArray *keys, char kind)
{
  for (guint i = 0; i < keys->len; i++)
    {
      g_autofree char *key = g_strdup_printf ("%c:%s", kind, (const char *)keys->pdata[i]);

      if (!g_hash_table_contains (worker->items, key))
        {
          Item *item = g_new0 (Item, 1);
          item->key = g_steal_pointer (&key);
          g_hash_table_insert (worker->items, item->key, item);
        }
    }
}

static void
push_due (Worker *worker, gboolean all)
{
  GHashTableIter iter;
  gpointer value;
  gint64 now_us = g_get_monotonic_time ();

  g_hash_table_iter_init (&iter, worker->items);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    {
      Item *item = value;

      if (item->busy)
        item->again |= all;
      else if (all || item->due_us <= now_us)
        {
          item->busy = TRUE;
          g_thread_pool_push (worker->pool, item, NULL);
        }
    }
}

static void
refresh_stale (Node *node)
{
  g_autoptr (GArray) ids = ledger_stale (node);

  for (guint i = 0; i < ids->len; i++)
    {
      g_autoptr (GError) error = NULL;
      if (!ledger_refresh (node, g_array_index (ids, guint64, i), &error))
        g_info ("%s", error->message); /* it stays marked; the others must not wait for it */
    }
}

static void
pull_offers (gpointer data, gpointer user_data)
{
  g_autoptr (JsonArray) errors = NULL;

  (void)data;
  errors = offers_pull_all (((Worker *)user_data)->node, NULL, NULL);
}

/* What is done beside the items; without the lock. */
static void
keep_house (Worker *worker, GThreadPool *slow)
{
  gint64 now_us = g_get_monotonic_time (), block_s = 0;
  guint64 block = 0;
  g_autoptr (GError) error = NULL;

  refresh_stale (worker->node);
  offers_refresh_stale (worker->node);
  moosh_follower_position (worker->node->follower, &block, &block_s);
  /* an old block says nothing about our clock, unless it is from our future */
  if (block != worker->last_block
      && (moosh_follower_fresh (worker->node->follower) || block_s > now_s ()))
    chain_saw_block (worker->node, block_s);
  worker->last_block = block;
  if (now_us >= worker->journal_due_us)
    {
      if (moosh_tx_open_count (worker->node->txs) > 0 && !moosh_tx_tick (worker->node->txs, &error))
        g_info ("transactions: %s", error->message);
      worker->journal_due_us = now_us + JOURNAL_MS * 1000;
    }
  if (now_us >= worker->offers_due_us && g_thread_pool_unprocessed (slow) == 0)
    {
      g_thread_pool_push (slow, worker, NULL);
      worker->offers_due_us = now_us + (gint64)OFFERS_MS * 1000;
    }
}

/* The chain's time is not where it should be by now: this host slept, or its clock was set. What
 * was put off until some moment may be due. */
static gboolean
time_jumped (Worker *worker)
{
  gint64 now = chain_now_s (worker->node);
  gboolean jumped = worker->last_now_s != 0 && ABS (now - worker->last_now_s) > JUMP_S;

  worker->last_now_s = now;
  return jumped;
}

static gpointer
run (gpointer data)
{
  Worker *worker = data;
  GThreadPool *slow = g_thread_pool_new (pull_offers, worker, 1, FALSE, NULL);

  g_mutex_lock (&worker->lock);
  while (!worker->stopping)
    {
      gboolean woken = worker->woken;
      g_autoptr (GPtrArray) clients = NULL;
      g_autoptr (GPtrArray) jobs = NULL;

      worker->woken = FALSE;
      g_mutex_unlock (&worker->lock);
      keep_house (worker, slow);
      woken |= time_jumped (worker);
      clients = client_open (worker->node);
      jobs = provider_open (worker->node);
      g_mutex_lock (&worker->lock);
      gather (worker, clients, 'c');
      gather (worker, jobs, 'p');
      push_due (worker, woken);
      if (!worker->stopping && !worker->woken)
        g_cond_wait_until (&worker->changed, &worker->lock,
                           g_get_monotonic_time () + TICK_MS * 1000);
    }
  g_mutex_unlock (&worker->lock);
  g_thread_pool_free (slow, TRUE, TRUE);
  return NULL;
}

Worker *
worker_start (Node *node)
{
  Worker *worker = g_new0 (Worker, 1);

  worker->node = node;
  g_mutex_init (&worker->lock);
  g_cond_init (&worker->changed);
  worker->items = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, item_free);
  worker->pool = g_thread_pool_new (run_item, worker, POOL_THREADS, FALSE, NULL);
  worker->offers_due_us = g_get_monotonic_time () + G_USEC_PER_SEC;
  worker->thread = g_thread_new ("worker", run, worker);
  return worker;
}

void
worker_wake (Worker *worker)
{
  g_mutex_lock (&worker->lock);
  worker->woken = TRUE;
  g_cond_signal (&worker->changed);
  g_mutex_unlock (&worker->lock);
}

void
worker_stop (Worker *worker)
{
  g_mutex_lock (&worker->lock);
  worker->stopping = TRUE;
  g_cond_signal (&worker->changed);
  g_mutex_unlock (&worker->lock);
  g_thread_join (worker->thread);
  g_thread_pool_free (worker->pool, TRUE, TRUE);
  g_hash_table_unref (worker->items);
  g_mutex_clear (&worker->lock);
  g_cond_clear (&worker->changed);
  g_free (worker);
}
