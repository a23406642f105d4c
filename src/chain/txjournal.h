/** The transaction journal: the one place that hands out a key's nonces, and its memory across
 * crashes.
 *
 * A transaction is named by its purpose ("accept:12"): one business action, one purpose. It is
 * written to the store, raw bytes and hash, before anybody else sees it. Submitting a purpose again
 * gives back the same transaction, whatever happened in between, so a crash can never do an action
 * twice. Only recorded bytes are ever sent again; a higher fee is a further record with the same
 * nonce, and one of them can be mined.
 *
 *   (nothing) --submit--> PENDING --mined--> MINED --confirmations--> DONE
 *                            ^                 | ^\--status 0, confirmed--> REVERTED
 *                            \--- reorg -------/ \--- moosh_tx_block_lost --- DONE
 *             PENDING --another transaction took the nonce, confirmed--> REPLACED
 *
 * The journal has no thread of its own: whoever waits drives it, and a daemon calls moosh_tx_tick
 * every few seconds. All calls may be made from any thread. */
#pragma once
#include "base/rpc.h"
#include "base/store.h"
#include "chain/chain.h"
#include "core/abi/tx.h"

/** Signs transactions with one key. */
typedef struct MooshSigner MooshSigner;
struct MooshSigner {
  guint8 address[20];
  /** Sign exactly `tx`. Returns the raw bytes (type 2) or NULL: MOOSH_ERROR_DENIED with the rule
   * that refused, MOOSH_ERROR_UNAVAILABLE. May block; called by one thread at a time. */
  GBytes *(*sign) (MooshSigner *signer, const MooshTx *tx, GError **error);
  void (*free) (MooshSigner *signer);
};
void moosh_signer_free (MooshSigner *signer);

/** A signer that asks keyd: sign_transaction {chain_id, nonce, to, value, gas, max_fee,
 * max_priority_fee, data} → {raw, hash}. value and fees are decimal strings, to and data hex, the
 * others integers. `address` is the wallet's. Does not own `keyd`. What comes back is read again
 * and compared with what was asked. */
MooshSigner *moosh_signer_keyd_new (MooshRpcClient *keyd, const guint8 address[20]);

/** Add this script to the list of migrations the store is opened with. */
extern const char moosh_tx_journal_schema[];

typedef struct MooshTxJournal MooshTxJournal;

typedef struct {
  guint64 confirmations; /* blocks on top before DONE; 0: mined is enough */
  guint bump_after_s;    /* without inclusion for so long: replace with a higher fee; 0: 60 */
  guint bump_max;        /* replacements at most; 0: 5 */
  MooshU256 max_fee_cap; /* never offer more than this per gas, in wei; zero: no cap */
} MooshTxPolicy;

/** Neither store, chain nor signer are owned; they must outlive the journal. `policy` may be NULL:
 * all defaults. */
MooshTxJournal *moosh_tx_journal_new (MooshStore *store, MooshChain *chain, MooshSigner *signer,
                                      const MooshTxPolicy *policy, GError **error);
void moosh_tx_journal_free (MooshTxJournal *journal);

typedef enum {
  MOOSH_TX_PENDING,  /* recorded; sent or to be sent */
  MOOSH_TX_MINED,    /* in a block, not yet confirmed */
  MOOSH_TX_DONE,     /* final: success */
  MOOSH_TX_REVERTED, /* final: mined, but the contract refused */
  MOOSH_TX_REPLACED, /* final: the nonce went to a transaction that is not ours */
} MooshTxState;
const char *moosh_tx_state_name (MooshTxState state);

typedef struct {
  char *purpose;
  MooshTxState state;
  guint64 nonce;
  guint8 hash[32]; /* of the newest version, or of the one that was mined */
  guint64 block;   /* 0: not mined */
  guint64 gas_used;
  MooshU256 fee_wei; /* gas_used × price paid; 0 before it is mined */
  char *trouble; /* REVERTED, REPLACED: why; PENDING: what the last attempt to send ran into; else
                    NULL */
} MooshTxRecord;
void moosh_tx_record_clear (MooshTxRecord *record);

/** Record, sign and send a transaction. `to` NULL makes a contract; `value` may be NULL (0). An
 * existing `purpose` gives back its transaction and changes nothing. `ret` may be NULL. FALSE when
 * nothing was recorded: MOOSH_ERROR_REFUSED (it would revert: the sentence says why),
 * MOOSH_ERROR_FUNDS, MOOSH_ERROR_DENIED (keyd's rule), MOOSH_ERROR_UNAVAILABLE. Once recorded it is
 * TRUE, even if no endpoint took it yet: it will be sent again. */
gboolean moosh_tx_submit (MooshTxJournal *journal, const char *purpose, const guint8 *to,
                          GBytes *data, const MooshU256 *value, MooshTxRecord *ret, GError **error);

/** Wait until the transaction of `purpose` is final. TRUE: DONE, and `ret` (may be NULL) is its
 * receipt. MOOSH_ERROR_REFUSED: reverted, with the reason; MOOSH_ERROR_CONFLICT: replaced;
 * MOOSH_ERROR_TIMEOUT: not yet (it stays in the journal and goes on); MOOSH_ERROR_NOT_FOUND: no
 * such purpose; MOOSH_ERROR_CANCELLED: moosh_chain_stop. */
gboolean moosh_tx_wait (MooshTxJournal *journal, const char *purpose, guint timeout_ms,
                        MooshReceipt *ret, GError **error);

/** moosh_tx_submit and moosh_tx_wait. */
gboolean moosh_tx_execute (MooshTxJournal *journal, const char *purpose, const guint8 *to,
                           GBytes *data, const MooshU256 *value, guint timeout_ms,
                           MooshReceipt *ret, GError **error);

/** MOOSH_ERROR_NOT_FOUND. */
gboolean moosh_tx_lookup (MooshTxJournal *journal, const char *purpose, MooshTxRecord *ret,
                          GError **error);

/** Free the purpose of a REVERTED or REPLACED transaction for a new attempt (its record stays,
 * renamed). MOOSH_ERROR_CONFLICT in any other state. */
gboolean moosh_tx_retire (MooshTxJournal *journal, const char *purpose, GError **error);

/** The newest `max` records whose purpose, a "#n" at its end left out, ends in `suffix` ("" for
 * all), newest first: array of MooshTxRecord *, owned. */
GPtrArray *moosh_tx_list (MooshTxJournal *journal, const char *suffix, guint max, GError **error);

/** `stem` with a number behind it, "topup:12#3", for an action that may be done again: one that no
 * record has, or, while the newest of this stem is not final, that one's, so that asking twice in a
 * row does not do it twice. New string. */
char *moosh_tx_fresh_purpose (MooshTxJournal *journal, const char *stem);

/** A reorganisation deeper than the confirmations took this transaction's block back: if it is one
 * of ours, it is followed anew, and sent again unless another block has it. Other hashes change
 * nothing. May be called within a transaction of the store. */
gboolean moosh_tx_block_lost (MooshTxJournal *journal, const guint8 tx_hash[32], GError **error);

/** One round for everything not final: look for receipts, send again, raise fees. FALSE only when
 * nothing could be learned (chain unreachable, store broken). */
gboolean moosh_tx_tick (MooshTxJournal *journal, GError **error);
/** How many transactions are not final. */
guint moosh_tx_open_count (MooshTxJournal *journal);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (MooshSigner, moosh_signer_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (MooshTxJournal, moosh_tx_journal_free)
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (MooshTxRecord, moosh_tx_record_clear)
