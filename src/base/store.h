/** A process's state: one SQLite file in WAL mode, with forward-only migrations.
 *
 * Thread-safe: every call takes the store's recursive lock; a query holds it until it is freed, a
 * transaction from begin to commit or rollback. synchronous=FULL: what returned TRUE is on disk. */
#pragma once
#include "base/error.h"
#include <glib.h>

typedef struct MooshStore MooshStore;
typedef struct MooshQuery MooshQuery;

/** Open or create `path` and bring it to the newest version. `migrations` is a NULL-terminated list
 * of SQL scripts; the file's user_version says how many were applied. Each runs in a transaction of
 * its own. MOOSH_ERROR_CORRUPT: not a database, or fails its integrity check (the file is left as
 * it is); MOOSH_ERROR_CONFLICT: written by a newer version of the program. */
MooshStore *moosh_store_open (const char *path, const char *const *migrations, GError **error);
void moosh_store_free (MooshStore *store);

/** Run one statement. `types` has a letter per `?`: 's' const char* (NULL ok), 'i' gint64, 'b'
 * GBytes* (NULL ok).
 * "" for none. A full disk is MOOSH_ERROR_LIMIT with a sentence that says so; a broken constraint
 * MOOSH_ERROR_CONFLICT. */
gboolean moosh_store_run (MooshStore *store, GError **error, const char *sql, const char *types,
                          ...);

/** Start a query; step with moosh_query_next. NULL on error. Same `types`. */
MooshQuery *moosh_store_query (MooshStore *store, GError **error, const char *sql,
                               const char *types, ...);

/** TRUE: a row is there. FALSE without error: no more rows. */
gboolean moosh_query_next (MooshQuery *query, GError **error);
/** Column values of the current row; text is owned by the query until the next step; NULL for SQL
 * NULL. */
const char *moosh_query_text (MooshQuery *query, int column);
gint64 moosh_query_int (MooshQuery *query, int column);
GBytes *moosh_query_blob (MooshQuery *query, int column); /* new GBytes, or NULL */
void moosh_query_free (MooshQuery *query);

/** First column of the first row, or `fallback` when there is none. */
gint64 moosh_store_int (MooshStore *store, gint64 fallback, const char *sql, const char *types,
                        ...);

/** Transactions nest: only the outermost one is real, and it fails to commit once an inner one was
 * rolled back. Every begin that returned TRUE is ended by exactly one commit (whatever it returns)
 * or rollback. */
gboolean moosh_store_begin (MooshStore *store, GError **error);
gboolean moosh_store_commit (MooshStore *store, GError **error);
void moosh_store_rollback (MooshStore *store);

/** Rows the last moosh_store_run on this thread's turn changed. */
gint64 moosh_store_changes (MooshStore *store);
/** Row id of the last insert. */
gint64 moosh_store_last_id (MooshStore *store);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (MooshStore, moosh_store_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (MooshQuery, moosh_query_free)
