/* The life of a transaction: see the picture in txjournal.h. Everything is written down before it
 * is done.
 *
 * Locks: `submitting` makes one transaction at a time, so that nonces are given out in the order of
 * recording; `signing` keeps the signer to one thread; `lock` guards who drives the rounds. The
 * store has a lock of its own and is never held across a network call. */
#include "chain/txjournal.h"
#include "chain/ask.h"
#include "chain/txstore.h"
#include "core/hash/hash.h"
#include <string.h>

#define BUMP_AFTER_S_DEFAULT 60
#define BUMP_MAX_DEFAULT     5
#define RESEND_S             15  /* the pool may have dropped it */
#define RETRY_S              2   /* nobody took it */
#define ROUND_MIN_MS         150 /* between two rounds, whoever drives them */
#define TICK_MAX_S           30
#define ROUND_MAX_MS         2000
#define PURPOSE_MAX          200

struct MooshTxJournal {
  MooshStore *store;
  MooshChain *chain;
  MooshSigner *signer;
  MooshTxPolicy policy;
  GMutex submitting;
  GMutex signing;
  GMutex lock;
  GCond round_over;
  gboolean round_runs;
  gint64 last_round_us;
};

const char *
moosh_tx_state_name (MooshTxState state)
{
  switch (state)
    {
    case MOOSH_TX_PENDING:
      return "pending";
    case MOOSH_TX_MINED:
      return "mined";
    case MOOSH_TX_DONE:
      return "done";
    case MOOSH_TX_REVERTED:
      return "reverted";
    case MOOSH_TX_REPLACED:
      return "replaced";
    }
  return "unknown";
}

MooshTxJournal *
moosh_tx_journal_new (MooshStore *store, MooshChain *chain, MooshSigner *signer,
                      const MooshTxPolicy *policy, GError **error)
{
  MooshTxJournal *journal = g_new0 (MooshTxJournal, 1);

  (void)error;
  journal->store = store;
  journal->chain = chain;
  journal->signer = signer;
  if (policy != NULL)
    journal->policy = *policy;
  if (journal->policy.bump_after_s == 0)
    journal->policy.bump_after_s = BUMP_AFTER_S_DEFAULT;
  if (journal->policy.bump_max == 0)
    journal->policy.bump_max = BUMP_MAX_DEFAULT;
  g_mutex_init (&journal->submitting);
  g_mutex_init (&journal->signing);
  g_mutex_init (&journal->lock);
  g_cond_init (&journal->round_over);
  return journal;
}

void
moosh_tx_journal_free (MooshTxJournal *journal)
{
  if (journal == NULL)
    return;
  g_mutex_clear (&journal->submitting);
  g_mutex_clear (&journal->signing);
  g_mutex_clear (&journal->lock);
  g_cond_clear (&journal->round_over);
  g_free (journal);
}

static gint64
now_s (void)
{
  return g_get_real_time () / G_USEC_PER_SEC;
}

/* ---- records ---- */

void
moosh_tx_record_clear (MooshTxRecord *record)
{
  g_clear_pointer (&record->purpose, g_free);
  g_clear_pointer (&record->trouble, g_free);
}

static gboolean
record_from_row (MooshTxJournal *journal, const TxRow *row, MooshTxRecord *ret, GError **error)
{
  if (ret == NULL)
    return TRUE;
  *ret = (MooshTxRecord){ .state = row->state,
                          .nonce = row->nonce,
                          .block = row->block,
                          .gas_used = row->gas_used,
                          .fee_wei = row->fee_wei };
  memcpy (ret->hash, row->mined_hash, 32);
  if (row->block == 0)
    {
      g_autoptr (GPtrArray) versions = tx_store_versions (journal->store, row->id, error);

      if (versions == NULL)
        return FALSE;
      memcpy (ret->hash, ((TxVersion *)versions->pdata[0])->hash, 32);
    }
  ret->purpose = g_strdup (row->purpose);
  ret->trouble = g_strdup (row->trouble);
  return TRUE;
}

/* The row of `purpose`; MOOSH_ERROR_NOT_FOUND. */
static gboolean
find_row (MooshTxJournal *journal, const char *purpose, TxRow *ret, GError **error)
{
  g_autoptr (GError) local = NULL;

  if (tx_store_find (journal->store, purpose, ret, &local))
    return TRUE;
  if (local != NULL)
    g_propagate_error (error, g_steal_pointer (&local));
  else
    g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_NOT_FOUND, "no transaction for %s", purpose);
  return FALSE;
}

gboolean
moosh_tx_lookup (MooshTxJournal *journal, const char *purpose, MooshTxRecord *ret, GError **error)
{
  g_auto (TxRow) row = { 0 };

  return find_row (journal, purpose, &row, error) && record_from_row (journal, &row, ret, error);
}

gboolean
moosh_tx_retire (MooshTxJournal *journal, const char *purpose, GError **error)
{
  g_auto (TxRow) row = { 0 };
  g_autofree char *retired = NULL;

  if (!find_row (journal, purpose, &row, error))
    return FALSE;
  if (row.state != MOOSH_TX_REVERTED && row.state != MOOSH_TX_REPLACED)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_CONFLICT,
                   "%s: its transaction is %s and cannot be given up", purpose,
                   moosh_tx_state_name (row.state));
      return FALSE;
    }
  retired = g_strdup_printf ("%s#%" G_GINT64_FORMAT, purpose, row.id);
  return tx_store_rename (journal->store, row.id, retired, error);
}

static void
record_free (gpointer record)
{
  moosh_tx_record_clear (record);
  g_free (record);
}

GPtrArray *
moosh_tx_list (MooshTxJournal *journal, const char *suffix, guint max, GError **error)
{
  g_autoptr (GPtrArray) rows
      = tx_store_list (journal->store, journal->signer->address, suffix, max, error);
  g_autoptr (GPtrArray) records = g_ptr_array_new_with_free_func (record_free);

  if (rows == NULL)
    return NULL;
  for (guint i = 0; i < rows->len; i++)
    {
      MooshTxRecord *record = g_new0 (MooshTxRecord, 1);

      g_ptr_array_add (records, record);
      if (!record_from_row (journal, rows->pdata[i], record, error))
        return NULL;
    }
  return g_steal_pointer (&records);
}

char *
moosh_tx_fresh_purpose (MooshTxJournal *journal, const char *stem)
{
  return tx_store_fresh_purpose (journal->store, journal->signer->address, stem);
}

guint
moosh_tx_open_count (MooshTxJournal *journal)
{
  return tx_store_open_count (journal->store, journal->signer->address);
}

/* ---- making a version ---- */

/* Lower both fees to the cap. TRUE when that changed something. */
static gboolean
cap_fees (MooshTxJournal *journal, MooshU256 *max_fee, MooshU256 *tip)
{
  const MooshU256 *cap = &journal->policy.max_fee_cap;

  if (moosh_u256_cmp (tip, max_fee) > 0)
    *tip = *max_fee;
  if (moosh_u256_is_zero (cap) || moosh_u256_cmp (max_fee, cap) <= 0)
    return FALSE;
  *max_fee = *cap;
  if (moosh_u256_cmp (tip, cap) > 0)
    *tip = *cap;
  return TRUE;
}

static gboolean
same_tx (const MooshTx *a, const MooshTx *b)
{
  return a->chain_id == b->chain_id && a->nonce == b->nonce && a->gas == b->gas
         && a->create == b->create && (a->create || memcmp (a->to, b->to, 20) == 0)
         && moosh_u256_cmp (&a->value, &b->value) == 0
         && moosh_u256_cmp (&a->max_fee, &b->max_fee) == 0
         && moosh_u256_cmp (&a->max_priority_fee, &b->max_priority_fee) == 0
         && a->data.len == b->data.len
         && (a->data.len == 0 || memcmp (a->data.ptr, b->data.ptr, a->data.len) == 0);
}

/* Have `row` signed at these fees, and look at what came back before anybody else does. */
static TxVersion *
make_version (MooshTxJournal *journal, const TxRow *row, const MooshU256 *max_fee,
              const MooshU256 *tip, GError **error)
{
  gsize data_len, raw_len;
  const guint8 *data = g_bytes_get_data (row->data, &data_len), *raw;
  MooshTx tx = { .chain_id = moosh_chain_id (journal->chain),
                 .nonce = row->nonce,
                 .max_priority_fee = *tip,
                 .max_fee = *max_fee,
                 .gas = row->gas,
                 .create = row->create,
                 .value = row->value,
                 .data = { data, data_len } };
  g_autoptr (GBytes) signed_raw = NULL;
  guint8 signature[65];
  TxVersion *version;
  MooshTx back;

  memcpy (tx.to, row->to, 20);
  g_mutex_lock (&journal->signing);
  signed_raw = journal->signer->sign (journal->signer, &tx, error);
  g_mutex_unlock (&journal->signing);
  if (signed_raw == NULL)
    return NULL;
  raw = g_bytes_get_data (signed_raw, &raw_len);
  if (moosh_tx_decode_signed ((MooshSpan){ raw, raw_len }, &back, signature) != MOOSH_OK
      || !same_tx (&tx, &back))
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_PROTOCOL, "%s: the signer signed something else",
                   row->purpose);
      return NULL;
    }
  version = g_new0 (TxVersion, 1);
  version->max_fee = *max_fee;
  version->tip = *tip;
  version->made_s = now_s ();
  moosh_keccak256 (raw, raw_len, version->hash);
  version->raw = g_steal_pointer (&signed_raw);
  return version;
}

/* Hand a version to the network; what goes wrong is kept in the row and tried again later. */
static gboolean
send_version (MooshTxJournal *journal, TxRow *row, const TxVersion *version, GError **error)
{
  g_autoptr (GError) local = NULL;

  g_clear_pointer (&row->trouble, g_free);
  if (!moosh_chain_send_raw (journal->chain, version->raw, &local))
    row->trouble = g_strdup (local->message);
  return tx_store_sent (journal->store, version, now_s (), error)
         && tx_store_update (journal->store, row, error);
}

/* ---- submitting ---- */

/* The next nonce: behind what is recorded and behind what the pool has from elsewhere. */
static gboolean
next_nonce (MooshTxJournal *journal, guint64 *ret, GError **error)
{
  const guint8 *account = journal->signer->address;
  guint64 recorded = tx_store_next_nonce (journal->store, account), pending;

  if (!moosh_chain_pending_nonce (journal->chain, account, &pending, error))
    return FALSE;
  if (pending < recorded && tx_store_open_count (journal->store, account) == 0)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_CONFLICT,
                   "the chain knows %" G_GUINT64_FORMAT
                   " transactions of this account, our journal %" G_GUINT64_FORMAT
                   ", all final: this is not the chain they were made on",
                   pending, recorded);
      return FALSE;
    }
  *ret = MAX (recorded, pending);
  return TRUE;
}

/* Whether the account can pay the most that `row` may cost. */
static gboolean
check_funds (MooshTxJournal *journal, const TxRow *row, const MooshU256 *max_fee, GError **error)
{
  MooshU256 gas = moosh_u256 (row->gas), cost, balance;
  char have[96], need[96];
  gboolean overflow;

  if (!moosh_chain_balance (journal->chain, journal->signer->address, &balance, error))
    return FALSE;
  overflow = moosh_u256_mul (&gas, max_fee, &cost);
  overflow |= moosh_u256_add (&cost, &row->value, &cost);
  if (!overflow && moosh_u256_cmp (&cost, &balance) <= 0)
    return TRUE;
  moosh_u256_to_amount (&balance, 18, have);
  moosh_u256_to_amount (&cost, 18, need);
  g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_FUNDS,
               "%s: the wallet holds %s of the chain's own coin, and may need %s for gas and value",
               row->purpose, have, need);
  return FALSE;
}

/* Gas, fees, nonce, signature; nothing is recorded yet. */
static TxVersion *
prepare (MooshTxJournal *journal, TxRow *row, GError **error)
{
  MooshU256 max_fee, tip;
  guint64 gas;

  if (!moosh_chain_estimate_gas (journal->chain, journal->signer->address,
                                 row->create ? NULL : row->to, row->data, &row->value, &gas, error))
    {
      g_prefix_error (error, "%s: ", row->purpose);
      return NULL;
    }
  /* A fifth more: between the estimate and its block others change what the call finds. */
  row->gas = gas + gas / 5;
  if (!moosh_chain_fees (journal->chain, &max_fee, &tip, error))
    return NULL;
  cap_fees (journal, &max_fee, &tip);
  if (!check_funds (journal, row, &max_fee, error) || !next_nonce (journal, &row->nonce, error))
    return NULL;
  return make_version (journal, row, &max_fee, &tip, error);
}

static gboolean
submit_new (MooshTxJournal *journal, TxRow *row, MooshTxRecord *ret, GError **error)
{
  TxVersion *version = prepare (journal, row, error);
  gboolean good = FALSE;

  if (version == NULL)
    return FALSE;
  if (tx_store_insert (journal->store, journal->signer->address, row, version, error))
    {
      g_autoptr (GError) local = NULL;

      /* It is in the journal: whatever happens now, it will be sent again. */
      if (!send_version (journal, row, version, &local))
        g_warning ("%s: %s", row->purpose, local->message);
      good = record_from_row (journal, row, ret, error);
    }
  tx_version_free (version);
  return good;
}

gboolean
moosh_tx_submit (MooshTxJournal *journal, const char *purpose, const guint8 *to, GBytes *data,
                 const MooshU256 *value, MooshTxRecord *ret, GError **error)
{
  g_auto (TxRow) row = { 0 };
  g_autoptr (GError) local = NULL;
  g_autoptr (GMutexLocker) locker = NULL;

  if (purpose[0] == '\0' || strlen (purpose) > PURPOSE_MAX
      || (data != NULL && g_bytes_get_size (data) > MOOSH_TX_DATA_MAX))
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE,
                   "a purpose has 1 to %d characters, a transaction %d bytes of data at most",
                   PURPOSE_MAX, MOOSH_TX_DATA_MAX);
      return FALSE;
    }
  locker = g_mutex_locker_new (&journal->submitting);
  if (tx_store_find (journal->store, purpose, &row, &local))
    return record_from_row (journal, &row, ret, error);
  if (local != NULL)
    {
      g_propagate_error (error, g_steal_pointer (&local));
      return FALSE;
    }
  row.purpose = g_strdup (purpose);
  row.state = MOOSH_TX_PENDING;
  row.create = to == NULL;
  if (to != NULL)
    memcpy (row.to, to, 20);
  row.data = data != NULL ? g_bytes_ref (data) : g_bytes_new (NULL, 0);
  row.value = value != NULL ? *value : moosh_u256 (0);
  return submit_new (journal, &row, ret, error);
}

gboolean
moosh_tx_block_lost (MooshTxJournal *journal, const guint8 tx_hash[32], GError **error)
{
  return tx_store_reopen (journal->store, tx_hash, error);
}

/* ---- a round ---- */

/* What all rows of a round are measured against. */
typedef struct {
  guint64 head;
  guint64 nonce; /* transactions of the account in blocks up to head */
} Sight;

/* Why a mined transaction failed: the same call before its block, or, if another one of the block
 * came between, after it. */
static char *
explain_failure (MooshTxJournal *journal, const TxRow *row)
{
  if (row->gas_used >= row->gas)
    return g_strdup ("it ran out of gas");
  for (guint64 block = row->block - 1; !row->create && block <= row->block; block++)
    {
      g_autoptr (GError) local = NULL;
      g_autoptr (GBytes) output = moosh_chain_call (journal->chain, journal->signer->address,
                                                    row->to, row->data, block, NULL, &local);

      if (output == NULL && local->code == MOOSH_ERROR_REFUSED)
        return g_strdup (local->message);
    }
  return g_strdup ("the contract refused, for a reason that is gone by now");
}

static gboolean
note_mined (MooshTxJournal *journal, TxRow *row, const MooshReceipt *receipt, const Sight *sight,
            GError **error)
{
  MooshU256 gas = moosh_u256 (receipt->gas_used);

  row->block = receipt->block;
  row->gas_used = receipt->gas_used;
  row->lost_block = 0;
  memcpy (row->mined_hash, receipt->tx_hash, 32);
  moosh_u256_mul (&gas, &receipt->gas_price, &row->fee_wei);
  g_clear_pointer (&row->trouble, g_free);
  row->state = MOOSH_TX_MINED;
  if (sight->head >= row->block && sight->head - row->block >= journal->policy.confirmations)
    {
      row->state = receipt->success ? MOOSH_TX_DONE : MOOSH_TX_REVERTED;
      if (!receipt->success)
        row->trouble = explain_failure (journal, row);
    }
  return tx_store_update (journal->store, row, error);
}

/* The receipt of whichever version was mined. FALSE without error: none. */
static gboolean
find_receipt (MooshTxJournal *journal, GPtrArray *versions, MooshReceipt *ret, GError **error)
{
  for (guint i = 0; i < versions->len; i++)
    {
      g_autoptr (GError) local = NULL;

      if (moosh_chain_receipt (journal->chain, ((TxVersion *)versions->pdata[i])->hash, ret,
                               &local))
        return TRUE;
      if (local->code != MOOSH_ERROR_NOT_FOUND)
        {
          g_propagate_error (error, g_steal_pointer (&local));
          return FALSE;
        }
    }
  return FALSE;
}

/* The nonce is used, but not by us: after the confirmations that is final. A block may have come
 * between asking for the nonce and for the receipts, so it takes two sightings in any case. */
static gboolean
note_lost (MooshTxJournal *journal, TxRow *row, const Sight *sight, GError **error)
{
  if (row->lost_block == 0)
    row->lost_block = MAX (sight->head, 1);
  else if (sight->head - MIN (row->lost_block, sight->head) >= journal->policy.confirmations)
    {
      row->state = MOOSH_TX_REPLACED;
      g_free (row->trouble);
      row->trouble = g_strdup_printf (
          "nonce %" G_GUINT64_FORMAT " went to a transaction that is not ours", row->nonce);
    }
  row->block = 0;
  return tx_store_update (journal->store, row, error);
}

/* a·9/8 + 1: pools ask for a tenth more. */
static MooshU256
raised (const MooshU256 *fee)
{
  MooshU256 eighth = moosh_u256_shr (fee, 3), one = moosh_u256 (1), sum;

  moosh_u256_add (fee, &eighth, &sum);
  moosh_u256_add (&sum, &one, &sum);
  return sum;
}

/* A replacement with higher fees, when the newest version has waited long enough and the policy
 * allows. FALSE without error: not now. */
static gboolean
bump (MooshTxJournal *journal, TxRow *row, GPtrArray *versions, GError **error)
{
  const TxVersion *newest = versions->pdata[0];
  MooshU256 max_fee, tip, market_fee, market_tip;
  TxVersion *version;
  gboolean good;

  if (now_s () - newest->made_s < (gint64)journal->policy.bump_after_s
      || versions->len > journal->policy.bump_max)
    return FALSE;
  if (!moosh_chain_fees (journal->chain, &market_fee, &market_tip, error))
    return FALSE;
  max_fee = raised (&newest->max_fee);
  tip = raised (&newest->tip);
  if (moosh_u256_cmp (&market_fee, &max_fee) > 0)
    max_fee = market_fee;
  if (moosh_u256_cmp (&market_tip, &tip) > 0)
    tip = market_tip;
  if (cap_fees (journal, &max_fee, &tip))
    return FALSE; /* the cap was the limit before, or the raise would be too small to be taken */
  version = make_version (journal, row, &max_fee, &tip, error);
  if (version == NULL)
    return FALSE;
  g_message ("%s: not mined for %u s, raising the fee", row->purpose, journal->policy.bump_after_s);
  good = tx_store_add_version (journal->store, row->id, version, error)
         && send_version (journal, row, version, error);
  tx_version_free (version);
  return good;
}

/* Not in a block: send it again if that is due; `first` in line, it may get a higher fee. */
static gboolean
push_pending (MooshTxJournal *journal, TxRow *row, GPtrArray *versions, gboolean first,
              GError **error)
{
  const TxVersion *newest = versions->pdata[0];
  g_autoptr (GError) local = NULL;

  if (row->state == MOOSH_TX_MINED
      || row->lost_block != 0) /* a reorganisation threw it, or its rival, out */
    {
      row->state = MOOSH_TX_PENDING;
      row->block = row->lost_block = 0;
      return send_version (journal, row, newest, error);
    }
  if (first && bump (journal, row, versions, &local))
    return TRUE;
  if (local != NULL)
    g_info ("%s: fee not raised: %s", row->purpose, local->message);
  if (now_s () - newest->sent_s < (row->trouble == NULL ? RESEND_S : RETRY_S))
    return TRUE;
  return send_version (journal, row, newest, error);
}

static gboolean
follow_row (MooshTxJournal *journal, TxRow *row, const Sight *sight, gboolean first, GError **error)
{
  g_autoptr (GPtrArray) versions = tx_store_versions (journal->store, row->id, error);
  g_auto (MooshReceipt) receipt = { 0 };
  g_autoptr (GError) local = NULL;

  if (versions == NULL)
    return FALSE;
  if (row->nonce >= sight->nonce)
    return push_pending (journal, row, versions, first, error);
  if (find_receipt (journal, versions, &receipt, &local))
    return note_mined (journal, row, &receipt, sight, error);
  if (local != NULL)
    {
      g_propagate_error (error, g_steal_pointer (&local));
      return FALSE;
    }
  return note_lost (journal, row, sight, error);
}

static gboolean
run_round (MooshTxJournal *journal, GError **error)
{
  const guint8 *account = journal->signer->address;
  g_autoptr (GPtrArray) rows = tx_store_open_rows (journal->store, account, error);
  gboolean good = TRUE, first = TRUE;
  MooshBlock head;
  Sight sight;

  if (rows == NULL)
    return FALSE;
  if (rows->len == 0)
    return TRUE;
  if (!moosh_chain_head (journal->chain, &head, error)
      || !moosh_chain_nonce (journal->chain, account, &sight.nonce, error))
    return FALSE;
  sight.head = head.number;
  for (guint i = 0; i < rows->len; i++)
    {
      TxRow *row = rows->pdata[i];
      gboolean waits = row->nonce >= sight.nonce;

      /* One that cannot be followed must not stop the others; the first trouble is reported. */
      if (!follow_row (journal, row, &sight, waits && first, good ? error : NULL))
        good = FALSE;
      first = first && !waits;
    }
  return good;
}

/* Run a round, or wait for the one that runs or just ran; at most until `until_us`. */
static gboolean
share_round (MooshTxJournal *journal, gint64 until_us, gint64 apart_ms, GError **error)
{
  gboolean good = TRUE;

  g_mutex_lock (&journal->lock);
  if (journal->round_runs)
    g_cond_wait_until (&journal->round_over, &journal->lock, until_us);
  else
    {
      gint64 due = journal->last_round_us + apart_ms * 1000;

      while (!journal->round_runs && g_get_monotonic_time () < MIN (due, until_us)
             && g_cond_wait_until (&journal->round_over, &journal->lock, MIN (due, until_us)))
        ;
      if (!journal->round_runs && g_get_monotonic_time () >= due)
        {
          journal->round_runs = TRUE;
          g_mutex_unlock (&journal->lock);
          chain_thread_deadline (MAX (until_us, g_get_monotonic_time () + ROUND_MIN_MS * 1000));
          good = run_round (journal, error);
          chain_thread_deadline (0);
          g_mutex_lock (&journal->lock);
          journal->round_runs = FALSE;
          journal->last_round_us = g_get_monotonic_time ();
          g_cond_broadcast (&journal->round_over);
        }
    }
  g_mutex_unlock (&journal->lock);
  return good;
}

gboolean
moosh_tx_tick (MooshTxJournal *journal, GError **error)
{
  return share_round (journal, g_get_monotonic_time () + TICK_MAX_S * G_USEC_PER_SEC, 0, error);
}

/* ---- waiting ---- */

/* What a final row means to who waits. */
static gboolean
report_final (MooshTxJournal *journal, const TxRow *row, MooshReceipt *ret, GError **error)
{
  if (row->state == MOOSH_TX_DONE)
    return ret == NULL || moosh_chain_receipt (journal->chain, row->mined_hash, ret, error);
  g_set_error (error, MOOSH_ERROR,
               row->state == MOOSH_TX_REVERTED ? MOOSH_ERROR_REFUSED : MOOSH_ERROR_CONFLICT,
               "%s: %s", row->purpose,
               row->trouble != NULL ? row->trouble : moosh_tx_state_name (row->state));
  return FALSE;
}

gboolean
moosh_tx_wait (MooshTxJournal *journal, const char *purpose, guint timeout_ms, MooshReceipt *ret,
               GError **error)
{
  gint64 deadline = g_get_monotonic_time () + (gint64)timeout_ms * 1000, apart_ms = ROUND_MIN_MS;
  g_autofree char *trouble = NULL;

  for (;;)
    {
      g_auto (TxRow) row = { 0 };
      g_autoptr (GError) local = NULL;

      if (!find_row (journal, purpose, &row, error))
        return FALSE;
      if (row.state > MOOSH_TX_MINED)
        return report_final (journal, &row, ret, error);
      if (g_get_monotonic_time () >= deadline)
        {
          g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_TIMEOUT, "%s: still %s after %u ms%s%s",
                       purpose, moosh_tx_state_name (row.state), timeout_ms,
                       trouble != NULL || row.trouble != NULL ? ": " : "",
                       row.trouble != NULL ? row.trouble
                       : trouble != NULL   ? trouble
                                           : "");
          return FALSE;
        }
      if (!share_round (journal, deadline, apart_ms, &local))
        {
          if (moosh_chain_stopped (journal->chain))
            {
              g_propagate_error (error, g_steal_pointer (&local));
              return FALSE;
            }
          g_free (trouble);
          trouble = g_strdup (local->message);
        }
      apart_ms = MIN (apart_ms * 5 / 4, ROUND_MAX_MS);
    }
}

gboolean
moosh_tx_execute (MooshTxJournal *journal, const char *purpose, const guint8 *to, GBytes *data,
                  const MooshU256 *value, guint timeout_ms, MooshReceipt *ret, GError **error)
{
  return moosh_tx_submit (journal, purpose, to, data, value, NULL, error)
         && moosh_tx_wait (journal, purpose, timeout_ms, ret, error);
}
