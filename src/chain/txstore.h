/** The journal's rows: one per business action, and under each the versions that were signed.
 * Internal to src/chain. */
#pragma once
#include "chain/txjournal.h"

/** A row of `tx`. Clear with tx_row_clear. */
typedef struct {
  gint64 id;
  char *purpose;
  MooshTxState state;
  guint64 nonce;
  gboolean create;
  guint8 to[20];
  GBytes *data;
  MooshU256 value;
  guint64 gas;
  guint64 block, gas_used, lost_block;
  guint8 mined_hash[32];
  MooshU256 fee_wei;
  char *trouble;
} TxRow;
void tx_row_clear (TxRow *row);
void tx_row_free (TxRow *row);

/** A row of `tx_version`. */
typedef struct {
  guint8 hash[32];
  GBytes *raw;
  MooshU256 max_fee, tip;
  gint64 made_s, sent_s;
} TxVersion;
void tx_version_free (TxVersion *version);

/** FALSE without error: no such purpose. */
gboolean tx_store_find (MooshStore *store, const char *purpose, TxRow *ret, GError **error);
/** TxRow*, those not final, by nonce. */
GPtrArray *tx_store_open_rows (MooshStore *store, const guint8 account[20], GError **error);
/** TxVersion*, newest first. */
GPtrArray *tx_store_versions (MooshStore *store, gint64 id, GError **error);

/** Record a new transaction with its first version, at once. Sets row->id. */
gboolean tx_store_insert (MooshStore *store, const guint8 account[20], TxRow *row,
                          const TxVersion *version, GError **error);
gboolean tx_store_add_version (MooshStore *store, gint64 id, const TxVersion *version,
                               GError **error);
/** Write back state, block, mined_hash, gas_used, fee_wei, lost_block and trouble. */
gboolean tx_store_update (MooshStore *store, const TxRow *row, GError **error);
gboolean tx_store_sent (MooshStore *store, const TxVersion *version, gint64 now_s, GError **error);
/** A DONE row that was mined as `hash` is MINED again. */
gboolean tx_store_reopen (MooshStore *store, const guint8 hash[32], GError **error);
gboolean tx_store_rename (MooshStore *store, gint64 id, const char *purpose, GError **error);

/** TxRow*, newest first: those whose purpose, a "#n" at its end left out, ends in `suffix`. */
GPtrArray *tx_store_list (MooshStore *store, const guint8 account[20], const char *suffix,
                          guint max, GError **error);
/** The purpose of the open transaction of a stem ("stem" or "stem#n"), or one that is free. New
 * string. */
char *tx_store_fresh_purpose (MooshStore *store, const guint8 account[20], const char *stem);

/** One more than the largest nonce recorded; 0 for none. */
guint64 tx_store_next_nonce (MooshStore *store, const guint8 account[20]);
guint tx_store_open_count (MooshStore *store, const guint8 account[20]);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (TxRow, tx_row_clear)
