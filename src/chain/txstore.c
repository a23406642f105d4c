#include "chain/txstore.h"
#include <string.h>

const char moosh_tx_journal_schema[]
    = "CREATE TABLE tx (id INTEGER PRIMARY KEY, account BLOB NOT NULL, purpose TEXT NOT NULL "
      "UNIQUE,"
      " state INTEGER NOT NULL, nonce INTEGER NOT NULL, recipient BLOB, data BLOB NOT NULL, value "
      "TEXT NOT NULL,"
      " gas INTEGER NOT NULL, block INTEGER NOT NULL DEFAULT 0, mined_hash BLOB, gas_used INTEGER "
      "NOT NULL DEFAULT 0,"
      " fee_wei TEXT NOT NULL DEFAULT '0', lost_block INTEGER NOT NULL DEFAULT 0, trouble TEXT,"
      " UNIQUE (account, nonce));"
      "CREATE TABLE tx_version (hash BLOB PRIMARY KEY, tx INTEGER NOT NULL REFERENCES tx (id), raw "
      "BLOB NOT NULL,"
      " max_fee TEXT NOT NULL, tip TEXT NOT NULL, made_s INTEGER NOT NULL, sent_s INTEGER NOT NULL "
      "DEFAULT 0);"
      "CREATE INDEX tx_version_of ON tx_version (tx);"
      "CREATE INDEX tx_open ON tx (account, nonce) WHERE state <= 1;";

G_STATIC_ASSERT (MOOSH_TX_PENDING == 0
                 && MOOSH_TX_MINED == 1); /* "open" in the SQL below is state <= 1 */

#define ROW_COLUMNS                                                                                \
  "id, purpose, state, nonce, recipient, data, value, gas, block, mined_hash, gas_used, fee_wei, " \
  "lost_block, trouble"

void
tx_row_clear (TxRow *row)
{
  g_clear_pointer (&row->purpose, g_free);
  g_clear_pointer (&row->data, g_bytes_unref);
  g_clear_pointer (&row->trouble, g_free);
}

void
tx_row_free (TxRow *row)
{
  tx_row_clear (row);
  g_free (row);
}

void
tx_version_free (TxVersion *version)
{
  g_clear_pointer (&version->raw, g_bytes_unref);
  g_free (version);
}

/* A column of exactly `len` bytes; FALSE when it is another length (or NULL). */
static gboolean
column_fixed (MooshQuery *query, int column, guint8 *out, gsize len)
{
  g_autoptr (GBytes) bytes = moosh_query_blob (query, column);

  if (bytes == NULL || g_bytes_get_size (bytes) != len)
    return FALSE;
  memcpy (out, g_bytes_get_data (bytes, NULL), len);
  return TRUE;
}

static gboolean
corrupt (GError **error)
{
  g_set_error_literal (error, MOOSH_ERROR, MOOSH_ERROR_CORRUPT,
                       "the transaction journal holds a row that makes no sense");
  return FALSE;
}

static gboolean
column_u256 (MooshQuery *query, int column, MooshU256 *ret)
{
  const char *text = moosh_query_text (query, column);

  return text != NULL && moosh_u256_from_decimal (text, ret) == MOOSH_OK;
}

static gboolean
read_row (MooshQuery *query, TxRow *ret, GError **error)
{
  g_auto (TxRow) row = { 0 };
  gint64 state = moosh_query_int (query, 2);

  row.id = moosh_query_int (query, 0);
  row.purpose = g_strdup (moosh_query_text (query, 1));
  row.nonce = (guint64)moosh_query_int (query, 3);
  row.create = !column_fixed (query, 4, row.to, 20);
  row.data = moosh_query_blob (query, 5);
  if (row.data == NULL)
    row.data = g_bytes_new (NULL, 0);
  row.gas = (guint64)moosh_query_int (query, 7);
  row.block = (guint64)moosh_query_int (query, 8);
  column_fixed (query, 9, row.mined_hash, 32);
  row.gas_used = (guint64)moosh_query_int (query, 10);
  row.lost_block = (guint64)moosh_query_int (query, 12);
  row.trouble = g_strdup (moosh_query_text (query, 13));
  if (state < MOOSH_TX_PENDING || state > MOOSH_TX_REPLACED || !column_u256 (query, 6, &row.value)
      || !column_u256 (query, 11, &row.fee_wei))
    return corrupt (error);
  row.state = (MooshTxState)state;
  *ret = row;
  row = (TxRow){ 0 };
  return TRUE;
}

gboolean
tx_store_find (MooshStore *store, const char *purpose, TxRow *ret, GError **error)
{
  g_autoptr (MooshQuery) query = moosh_store_query (
      store, error, "SELECT " ROW_COLUMNS " FROM tx WHERE purpose = ?", "s", purpose);

  return query != NULL && moosh_query_next (query, error) && read_row (query, ret, error);
}

/* All rows of a query; takes it. `local` is what preparing it said. */
static GPtrArray *
collect_rows (MooshQuery *prepared, GError *local, GError **error)
{
  g_autoptr (GPtrArray) rows = g_ptr_array_new_with_free_func ((GDestroyNotify)tx_row_free);
  g_autoptr (MooshQuery) query = prepared;

  while (local == NULL && moosh_query_next (query, &local))
    {
      TxRow row;

      if (read_row (query, &row, &local))
        g_ptr_array_add (rows, g_memdup2 (&row, sizeof row));
    }
  if (local == NULL)
    return g_steal_pointer (&rows);
  g_propagate_error (error, local);
  return NULL;
}

GPtrArray *
tx_store_open_rows (MooshStore *store, const guint8 account[20], GError **error)
{
  g_autoptr (GBytes) key = g_bytes_new (account, 20);
  GError *local = NULL;
  MooshQuery *query = moosh_store_query (
      store, &local,
      "SELECT " ROW_COLUMNS " FROM tx WHERE account = ? AND state <= 1 ORDER BY nonce", "b", key);

  return collect_rows (query, local, error);
}

/* A purpose without the "#n" at its end. */
#define STEM_OF_PURPOSE                                                                            \
  "CASE instr (purpose, '#') WHEN 0 THEN purpose ELSE substr (purpose, 1, instr (purpose, '#') - " \
  "1) END"

GPtrArray *
tx_store_list (MooshStore *store, const guint8 account[20], const char *suffix, guint max,
               GError **error)
{
  g_autoptr (GBytes) key = g_bytes_new (account, 20);
  GError *local = NULL;
  MooshQuery *query = moosh_store_query (store, &local,
                                         "SELECT " ROW_COLUMNS " FROM tx WHERE account = ?"
                                         " AND (? = '' OR substr (" STEM_OF_PURPOSE
                                         ", -length (?)) = ?) ORDER BY id DESC LIMIT ?",
                                         "bsssi", key, suffix, suffix, suffix, (gint64)max);

  return collect_rows (query, local, error);
}

char *
tx_store_fresh_purpose (MooshStore *store, const guint8 account[20], const char *stem)
{
  g_autoptr (GBytes) key = g_bytes_new (account, 20);

  {
    g_autoptr (MooshQuery) query
        = moosh_store_query (store, NULL,
                             "SELECT purpose FROM tx WHERE account = ? AND state <= 1"
                             " AND " STEM_OF_PURPOSE " = ? ORDER BY id DESC",
                             "bs", key, stem);
    if (query != NULL && moosh_query_next (query, NULL))
      return g_strdup (moosh_query_text (query, 0));
  }
  return g_strdup_printf (
      "%s#%" G_GINT64_FORMAT, stem,
      moosh_store_int (store, 0, "SELECT coalesce (max (id), 0) + 1 FROM tx", ""));
}

GPtrArray *
tx_store_versions (MooshStore *store, gint64 id, GError **error)
{
  g_autoptr (GPtrArray) versions = g_ptr_array_new_with_free_func ((GDestroyNotify)tx_version_free);
  g_autoptr (GError) local = NULL;
  g_autoptr (MooshQuery) query = moosh_store_query (
      store, &local,
      "SELECT hash, raw, max_fee, tip, made_s, sent_s FROM tx_version WHERE tx = ?"
      " ORDER BY rowid DESC",
      "i", id);

  while (local == NULL && moosh_query_next (query, &local))
    {
      TxVersion *version = g_new0 (TxVersion, 1);

      g_ptr_array_add (versions, version);
      version->raw = moosh_query_blob (query, 1);
      version->made_s = moosh_query_int (query, 4);
      version->sent_s = moosh_query_int (query, 5);
      if (version->raw == NULL || !column_fixed (query, 0, version->hash, 32)
          || !column_u256 (query, 2, &version->max_fee) || !column_u256 (query, 3, &version->tip))
        corrupt (&local);
    }
  if (local == NULL && versions->len == 0)
    corrupt (&local);
  if (local != NULL)
    {
      g_propagate_error (error, g_steal_pointer (&local));
      return NULL;
    }
  return g_steal_pointer (&versions);
}

gboolean
tx_store_add_version (MooshStore *store, gint64 id, const TxVersion *version, GError **error)
{
  g_autoptr (GBytes) hash = g_bytes_new (version->hash, 32);
  char max_fee[79], tip[79];

  moosh_u256_to_decimal (&version->max_fee, max_fee);
  moosh_u256_to_decimal (&version->tip, tip);
  return moosh_store_run (
      store, error,
      "INSERT INTO tx_version (hash, tx, raw, max_fee, tip, made_s) VALUES (?, ?, ?, ?, ?, ?)",
      "bibssi", hash, id, version->raw, max_fee, tip, version->made_s);
}

gboolean
tx_store_insert (MooshStore *store, const guint8 account[20], TxRow *row, const TxVersion *version,
                 GError **error)
{
  g_autoptr (GBytes) key = g_bytes_new (account, 20);
  g_autoptr (GBytes) to = row->create ? NULL : g_bytes_new (row->to, 20);
  char value[79];

  moosh_u256_to_decimal (&row->value, value);
  if (!moosh_store_begin (store, error))
    return FALSE;
  if (moosh_store_run (
          store, error,
          "INSERT INTO tx (account, purpose, state, nonce, recipient, data, value, gas)"
          " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
          "bsiibbsi", key, row->purpose, (gint64)row->state, (gint64)row->nonce, to, row->data,
          value, (gint64)row->gas))
    {
      row->id = moosh_store_last_id (store);
      if (tx_store_add_version (store, row->id, version, error))
        return moosh_store_commit (store, error);
    }
  moosh_store_rollback (store);
  return FALSE;
}

gboolean
tx_store_update (MooshStore *store, const TxRow *row, GError **error)
{
  g_autoptr (GBytes) hash = row->block != 0 ? g_bytes_new (row->mined_hash, 32) : NULL;
  char fee[79];

  moosh_u256_to_decimal (&row->fee_wei, fee);
  return moosh_store_run (
      store, error,
      "UPDATE tx SET state = ?, block = ?, mined_hash = ?, gas_used = ?, fee_wei = ?,"
      " lost_block = ?, trouble = ? WHERE id = ?",
      "iibisisi", (gint64)row->state, (gint64)row->block, hash, (gint64)row->gas_used, fee,
      (gint64)row->lost_block, row->trouble, row->id);
}

gboolean
tx_store_sent (MooshStore *store, const TxVersion *version, gint64 now_s, GError **error)
{
  g_autoptr (GBytes) hash = g_bytes_new (version->hash, 32);

  return moosh_store_run (store, error, "UPDATE tx_version SET sent_s = ? WHERE hash = ?", "ib",
                          now_s, hash);
}

gboolean
tx_store_reopen (MooshStore *store, const guint8 hash[32], GError **error)
{
  g_autoptr (GBytes) key = g_bytes_new (hash, 32);

  return moosh_store_run (store, error,
                          "UPDATE tx SET state = ? WHERE mined_hash = ? AND state = ?", "ibi",
                          (gint64)MOOSH_TX_MINED, key, (gint64)MOOSH_TX_DONE);
}

gboolean
tx_store_rename (MooshStore *store, gint64 id, const char *purpose, GError **error)
{
  return moosh_store_run (store, error, "UPDATE tx SET purpose = ? WHERE id = ?", "si", purpose,
                          id);
}

guint64
tx_store_next_nonce (MooshStore *store, const guint8 account[20])
{
  g_autoptr (GBytes) key = g_bytes_new (account, 20);

  return (guint64)moosh_store_int (
      store, 0, "SELECT ifnull (max (nonce) + 1, 0) FROM tx WHERE account = ?", "b", key);
}

guint
tx_store_open_count (MooshStore *store, const guint8 account[20])
{
  g_autoptr (GBytes) key = g_bytes_new (account, 20);

  return (guint)moosh_store_int (
      store, 0, "SELECT count (*) FROM tx WHERE account = ? AND state <= 1", "b", key);
}
