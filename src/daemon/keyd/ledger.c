#include "daemon/keyd/ledger.h"
#include "base/json.h"
#include "base/store.h"

#define DAY_S     86400
#define KEPT_DAYS 32

/* One row per thing signed and token. `day` moves on when it is signed again. */
static const char *const migrations[] = {
  "CREATE TABLE spent (id TEXT NOT NULL, chain INTEGER NOT NULL, token TEXT NOT NULL, day INTEGER "
  "NOT NULL,"
  " amount TEXT NOT NULL, PRIMARY KEY (id, chain, token)) WITHOUT ROWID;"
  "CREATE INDEX spent_day ON spent (token, chain, day);",
  NULL,
};

struct Ledger {
  MooshStore *store;
};

Ledger *
ledger_open (const char *path, GError **error)
{
  MooshStore *store = moosh_store_open (path, migrations, error);
  Ledger *ledger;

  if (store == NULL)
    return NULL;
  ledger = g_new0 (Ledger, 1);
  ledger->store = store;
  return ledger;
}

void
ledger_free (Ledger *ledger)
{
  moosh_store_free (ledger->store);
  g_free (ledger);
}

/* Everything else of that token today (or on days a clock set forward has written). */
static gboolean
sum_others (Ledger *ledger, const char *id, const Spend *spend, const char *token, gint64 day,
            MooshU256 *ret, GError **error)
{
  g_autoptr (GError) local = NULL;
  g_autoptr (MooshQuery) query = moosh_store_query (
      ledger->store, error,
      "SELECT amount FROM spent WHERE token = ? AND chain = ? AND day >= ? AND id <> ?", "siis",
      token, (gint64)spend->chain_id, day, id);
  MooshU256 sum = moosh_u256 (0);

  if (query == NULL)
    return FALSE;
  while (moosh_query_next (query, &local))
    {
      MooshU256 amount;
      if (moosh_u256_from_decimal (moosh_query_text (query, 0), &amount) < 0
          || moosh_u256_add (&sum, &amount, &sum))
        {
          g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_CORRUPT,
                       "ledger: an amount is not a number");
          return FALSE;
        }
    }
  if (local != NULL)
    {
      g_propagate_error (error, g_steal_pointer (&local));
      return FALSE;
    }
  *ret = sum;
  return TRUE;
}

/* The larger of what this id was booked with and what it would spend now: only one of two
 * replacements is mined. */
static gboolean
larger_of_both (Ledger *ledger, const char *id, const Spend *spend, const char *token,
                MooshU256 *ret, GError **error)
{
  g_autoptr (MooshQuery) query = moosh_store_query (
      ledger->store, error, "SELECT amount FROM spent WHERE id = ? AND chain = ? AND token = ?",
      "sis", id, (gint64)spend->chain_id, token);
  MooshU256 before;

  if (query == NULL)
    return FALSE;
  *ret = spend->amount;
  if (moosh_query_next (query, NULL)
      && moosh_u256_from_decimal (moosh_query_text (query, 0), &before) == MOOSH_OK
      && moosh_u256_cmp (&before, ret) > 0)
    *ret = before;
  return TRUE;
}

static gboolean
book_one (Ledger *ledger, const char *id, const Spend *spend, gint64 day, GError **error)
{
  g_autofree char *token = moosh_hex (spend->token, sizeof spend->token);
  char amount_text[79];
  MooshU256 sum, amount;

  if (!sum_others (ledger, id, spend, token, day, &sum, error)
      || !larger_of_both (ledger, id, spend, token, &amount, error))
    return FALSE;
  gboolean wrapped = moosh_u256_add (&sum, &amount, &sum);
  if (wrapped || moosh_u256_cmp (&sum, &spend->per_day) > 0)
    {
      char sum_text[79], cap_text[79];
      moosh_u256_to_decimal (&sum, sum_text);
      moosh_u256_to_decimal (&spend->per_day, cap_text);
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_DENIED,
                   "policy: [%s] per_day: %s would exceed %s", spend->group,
                   wrapped ? "the sum" : sum_text, cap_text);
      return FALSE;
    }
  moosh_u256_to_decimal (&amount, amount_text);
  return moosh_store_run (
      ledger->store, error,
      "INSERT INTO spent (id, chain, token, day, amount) VALUES (?, ?, ?, ?, ?)"
      " ON CONFLICT (id, chain, token) DO UPDATE SET day = max(day, excluded.day),"
      " amount = excluded.amount",
      "sisis", id, (gint64)spend->chain_id, token, day, amount_text);
}

gboolean
ledger_book (Ledger *ledger, const char *id, GPtrArray *spends, gint64 now_s, GError **error)
{
  gint64 day = now_s / DAY_S;

  if (spends->len == 0)
    return TRUE;
  if (!moosh_store_begin (ledger->store, error))
    return FALSE;
  for (guint i = 0; i < spends->len; i++)
    if (!book_one (ledger, id, spends->pdata[i], day, error))
      {
        moosh_store_rollback (ledger->store);
        return FALSE;
      }
  if (!moosh_store_run (ledger->store, error, "DELETE FROM spent WHERE day < ?", "i",
                        day - KEPT_DAYS))
    {
      moosh_store_rollback (ledger->store);
      return FALSE;
    }
  return moosh_store_commit (ledger->store, error);
}
