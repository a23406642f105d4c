#include "base/store.h"
#include <sqlite3.h>
#include <stdarg.h>

struct MooshStore {
  sqlite3 *db;
  char *path;
  GRecMutex lock;
  guint depth;     /* of nested begin calls: only the outermost one is a transaction */
  gboolean doomed; /* an inner call rolled back: the outermost commit must fail */
};

struct MooshQuery {
  MooshStore *store;
  sqlite3_stmt *statement;
};

static int
code_of (int sqlite_code)
{
  switch (sqlite_code & 0xff)
    {
    case SQLITE_FULL:
      return MOOSH_ERROR_LIMIT;
    case SQLITE_CONSTRAINT:
      return MOOSH_ERROR_CONFLICT;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return MOOSH_ERROR_CORRUPT;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return MOOSH_ERROR_UNAVAILABLE;
    default:
      return MOOSH_ERROR_FAILED;
    }
}

static gboolean
fail (MooshStore *store, int code, const char *what, GError **error)
{
  /* SQLite reports a failed write as an I/O error when the disk is full below a quota or a file
   * size limit. */
  gboolean full = (code & 0xff) == SQLITE_FULL || code == SQLITE_IOERR_WRITE;

  g_set_error (error, MOOSH_ERROR, full ? (int)MOOSH_ERROR_LIMIT : code_of (code),
               "store %s: %s: %s", store->path, what,
               full ? "the disk is full; free some space, nothing was lost"
                    : sqlite3_errmsg (store->db));
  return FALSE;
}

static gboolean
exec (MooshStore *store, const char *sql, GError **error)
{
  int code = sqlite3_exec (store->db, sql, NULL, NULL, NULL);
  return code == SQLITE_OK || fail (store, code, "statement failed", error);
}

static gboolean
migrate (MooshStore *store, const char *const *migrations, GError **error)
{
  gint64 version = moosh_store_int (store, -1, "PRAGMA user_version", "");
  gint64 newest = 0;

  while (migrations[newest] != NULL)
    newest++;
  if (version < 0)
    return fail (store, SQLITE_NOTADB, "cannot be read", error);
  if (version > newest)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_CONFLICT,
                   "store %s has version %" G_GINT64_FORMAT
                   ", this program knows up to %" G_GINT64_FORMAT ": use the newer program",
                   store->path, version, newest);
      return FALSE;
    }
  for (; version < newest; version++)
    {
      g_autofree char *pragma
          = g_strdup_printf ("PRAGMA user_version = %" G_GINT64_FORMAT, version + 1);

      if (!moosh_store_begin (store, error))
        return FALSE;
      if (!exec (store, migrations[version], error) || !exec (store, pragma, error))
        {
          moosh_store_rollback (store);
          return FALSE;
        }
      if (!moosh_store_commit (store, error))
        return FALSE;
    }
  return TRUE;
}

static gboolean
check_integrity (MooshStore *store, GError **error)
{
  g_autoptr (MooshQuery) query = moosh_store_query (store, error, "PRAGMA quick_check(1)", "");

  if (query == NULL)
    return FALSE;
  if (!moosh_query_next (query, error))
    return FALSE;
  if (g_strcmp0 (moosh_query_text (query, 0), "ok") == 0)
    return TRUE;
  g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_CORRUPT, "store %s is damaged: %s", store->path,
               moosh_query_text (query, 0));
  return FALSE;
}

MooshStore *
moosh_store_open (const char *path, const char *const *migrations, GError **error)
{
  g_autoptr (MooshStore) store = g_new0 (MooshStore, 1);
  int code;

  g_rec_mutex_init (&store->lock);
  store->path = g_strdup (path);
  code = sqlite3_open_v2 (path, &store->db,
                          SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_FULLMUTEX, NULL);
  if (code != SQLITE_OK)
    {
      fail (store, code, "cannot be opened", error);
      return NULL;
    }
  sqlite3_extended_result_codes (store->db, 1);
  sqlite3_busy_timeout (store->db, 5000);
  if (!exec (store,
             "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;"
             "PRAGMA trusted_schema = OFF; PRAGMA journal_size_limit = 8388608",
             error)
      || !check_integrity (store, error) || !migrate (store, migrations, error))
    return NULL;
  return g_steal_pointer (&store);
}

void
moosh_store_free (MooshStore *store)
{
  sqlite3_close (store->db);
  g_rec_mutex_clear (&store->lock);
  g_free (store->path);
  g_free (store);
}

static gboolean
bind_all (MooshStore *store, sqlite3_stmt *statement, const char *types, va_list args,
          GError **error)
{
  for (int i = 1; *types != '\0'; types++, i++)
    {
      int code = SQLITE_MISUSE;

      if (*types == 's')
        code = sqlite3_bind_text (statement, i, va_arg (args, const char *), -1, SQLITE_TRANSIENT);
      else if (*types == 'i')
        code = sqlite3_bind_int64 (statement, i, va_arg (args, gint64));
      else if (*types == 'b')
        {
          gsize len = 0;
          GBytes *bytes = va_arg (args, GBytes *);
          gconstpointer data = bytes != NULL ? g_bytes_get_data (bytes, &len) : NULL;

          /* an empty blob is not NULL */
          code = bytes != NULL && len == 0
                     ? sqlite3_bind_zeroblob (statement, i, 0)
                     : sqlite3_bind_blob (statement, i, data, (int)len, SQLITE_TRANSIENT);
        }
      if (code != SQLITE_OK)
        return fail (store, code, "parameter cannot be bound", error);
    }
  return TRUE;
}

static MooshQuery *
query_new (MooshStore *store, GError **error, const char *sql, const char *types, va_list args)
{
  g_autoptr (MooshQuery) query = g_new0 (MooshQuery, 1);
  int code;

  g_rec_mutex_lock (&store->lock);
  query->store = store;
  code = sqlite3_prepare_v2 (store->db, sql, -1, &query->statement, NULL);
  if (code != SQLITE_OK)
    {
      fail (store, code, sql, error);
      return NULL;
    }
  if (!bind_all (store, query->statement, types, args, error))
    return NULL;
  return g_steal_pointer (&query);
}

MooshQuery *
moosh_store_query (MooshStore *store, GError **error, const char *sql, const char *types, ...)
{
  MooshQuery *query;
  va_list args;

  va_start (args, types);
  query = query_new (store, error, sql, types, args);
  va_end (args);
  return query;
}

gboolean
moosh_store_run (MooshStore *store, GError **error, const char *sql, const char *types, ...)
{
  g_autoptr (MooshQuery) query = NULL;
  va_list args;
  int code;

  va_start (args, types);
  query = query_new (store, error, sql, types, args);
  va_end (args);
  if (query == NULL)
    return FALSE;
  while ((code = sqlite3_step (query->statement)) == SQLITE_ROW)
    ;
  return code == SQLITE_DONE || fail (store, code, "write failed", error);
}

gint64
moosh_store_int (MooshStore *store, gint64 fallback, const char *sql, const char *types, ...)
{
  g_autoptr (MooshQuery) query = NULL;
  va_list args;

  va_start (args, types);
  query = query_new (store, NULL, sql, types, args);
  va_end (args);
  return query != NULL && moosh_query_next (query, NULL) ? moosh_query_int (query, 0) : fallback;
}

gboolean
moosh_query_next (MooshQuery *query, GError **error)
{
  int code = sqlite3_step (query->statement);

  if (code == SQLITE_ROW)
    return TRUE;
  if (code != SQLITE_DONE)
    fail (query->store, code, "read failed", error);
  return FALSE;
}

const char *
moosh_query_text (MooshQuery *query, int column)
{
  return (const char *)sqlite3_column_text (query->statement, column);
}

gint64
moosh_query_int (MooshQuery *query, int column)
{
  return sqlite3_column_int64 (query->statement, column);
}

GBytes *
moosh_query_blob (MooshQuery *query, int column)
{
  if (sqlite3_column_type (query->statement, column) == SQLITE_NULL)
    return NULL;
  return g_bytes_new (sqlite3_column_blob (query->statement, column),
                      (gsize)sqlite3_column_bytes (query->statement, column));
}

void
moosh_query_free (MooshQuery *query)
{
  sqlite3_finalize (query->statement);
  g_rec_mutex_unlock (&query->store->lock);
  g_free (query);
}

gboolean
moosh_store_begin (MooshStore *store, GError **error)
{
  g_rec_mutex_lock (&store->lock);
  if (store->depth == 0 && !exec (store, "BEGIN IMMEDIATE", error))
    {
      g_rec_mutex_unlock (&store->lock);
      return FALSE;
    }
  store->depth++;
  return TRUE;
}

gboolean
moosh_store_commit (MooshStore *store, GError **error)
{
  if (store->depth == 1 && store->doomed)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_FAILED,
                   "store %s: a part of the transaction was rolled back", store->path);
      moosh_store_rollback (store);
      return FALSE;
    }
  if (store->depth == 1 && !exec (store, "COMMIT", error))
    {
      moosh_store_rollback (store);
      return FALSE;
    }
  store->depth--;
  g_rec_mutex_unlock (&store->lock);
  return TRUE;
}

void
moosh_store_rollback (MooshStore *store)
{
  if (store->depth > 1)
    store->doomed = TRUE;
  else
    {
      store->doomed = FALSE;
      if (!sqlite3_get_autocommit (store->db)) /* SQLite has rolled back by itself on a full disk */
        exec (store, "ROLLBACK", NULL);
    }
  store->depth--;
  g_rec_mutex_unlock (&store->lock);
}

gint64
moosh_store_changes (MooshStore *store)
{
  return sqlite3_changes64 (store->db);
}

gint64
moosh_store_last_id (MooshStore *store)
{
  return sqlite3_last_insert_rowid (store->db);
}
