/** An EVM network reached over JSON-RPC: several endpoints, and a quorum of them for what decides
 * money.
 *
 * All calls are synchronous, may block up to the time limits below, and may be made from any thread
 * at once.
 *
 * Endpoints are asked at the same time. An answer counts only if it is well-formed (at most 8 MiB,
 * nested at most 32 deep, quantities in strict hex). Time-outs, refused connections, HTTP errors
 * and rate limits (429, -32005) are tried again with growing pauses until the call's time is over;
 * an endpoint that names another chain id is not asked again until it names ours. Quorum reads are
 * pinned to one block that enough endpoints have.
 *
 * Errors: MOOSH_ERROR_UNAVAILABLE (too few endpoints answered; the message names each one's
 * trouble), MOOSH_ERROR_CONFLICT (they answered, but differ; or every endpoint is on another
 * chain), MOOSH_ERROR_REFUSED (the contract reverted: the message is the revert as a sentence),
 * MOOSH_ERROR_FUNDS, MOOSH_ERROR_PROTOCOL (garbage). */
#pragma once
#include "base/error.h"
#include "core/bytes/u256.h"
#include <glib.h>

#define MOOSH_CHAIN_ENDPOINTS_MAX 8
#define MOOSH_CHAIN_REPLY_MAX     (8 * 1024 * 1024)
#define MOOSH_CHAIN_LATEST        G_MAXUINT64

typedef struct MooshChain MooshChain;

typedef struct {
  guint64 chain_id;
  const char *const *urls; /* http(s) URLs, NULL-terminated, 1 to MOOSH_CHAIN_ENDPOINTS_MAX */
  guint quorum;            /* endpoints that must agree; 0: more than half of them */
  guint request_ms;        /* patience with one HTTP exchange; 0: 5000 */
  guint call_ms;           /* patience with one call, retries included; 0: 20000 */
} MooshChainConfig;

/** Checks the configuration, asks nobody yet. MOOSH_ERROR_USAGE. Everything in `config` is copied.
 */
MooshChain *moosh_chain_new (const MooshChainConfig *config, GError **error);
void moosh_chain_free (MooshChain *chain);
guint64 moosh_chain_id (MooshChain *chain);
/** Endpoints that must agree. */
guint moosh_chain_quorum (MooshChain *chain);

/** The process is to end: whoever waits for the chain, here, in the journal or for the follower,
 * gets MOOSH_ERROR_CANCELLED; so does every question from now on. What is on the wire is waited for
 * (request_ms at most). */
void moosh_chain_stop (MooshChain *chain);
gboolean moosh_chain_stopped (MooshChain *chain);

/** What an endpoint has to say for itself; for `moosh doctor`. Free with moosh_endpoint_state_free.
 */
typedef struct {
  char *url; /* without user, password and query */
  gboolean usable;
  char *trouble;    /* the last failure as a sentence; NULL when usable */
  guint64 head;     /* its newest block; 0 unknown */
  guint latency_ms; /* of the last good answer */
} MooshEndpointState;
void moosh_endpoint_state_free (MooshEndpointState *state);
/** Ask every endpoint for its chain id and newest block now. Array of MooshEndpointState*, owned by
 * the caller. */
GPtrArray *moosh_chain_probe (MooshChain *chain);

typedef struct {
  guint64 number;
  guint8 hash[32];
  guint8 parent[32];
  gint64 timestamp_s;
  MooshU256 base_fee;
} MooshBlock;

/** The newest block that a quorum has and agrees on. */
gboolean moosh_chain_head (MooshChain *chain, MooshBlock *ret, GError **error);
/** Block `number` as a quorum sees it. MOOSH_ERROR_NOT_FOUND: beyond the head. */
gboolean moosh_chain_block (MooshChain *chain, guint64 number, MooshBlock *ret, GError **error);

/** eth_call, by quorum. `from` may be NULL; `block` a number (a recent one: nodes forget old state)
 * or MOOSH_CHAIN_LATEST, the newest block a quorum has; `ret_block` (may be NULL) says which one
 * that was. Returns the output bytes. A call to an address without code returns empty bytes, as on
 * the chain. */
GBytes *moosh_chain_call (MooshChain *chain, const guint8 *from, const guint8 to[20], GBytes *input,
                          guint64 block, guint64 *ret_block, GError **error);

/** Native balance in wei, and transactions sent so far, by quorum at the newest block. */
gboolean moosh_chain_balance (MooshChain *chain, const guint8 address[20], MooshU256 *ret,
                              GError **error);
gboolean moosh_chain_nonce (MooshChain *chain, const guint8 address[20], guint64 *ret,
                            GError **error);
/** Length of the code at `address`; 0: no contract. By quorum. */
gboolean moosh_chain_code_size (MooshChain *chain, const guint8 address[20], gsize *ret,
                                GError **error);

/** Below: any one endpoint's word is enough (a lie costs a retry, not money). */

/** Gas `from` needs for a call. MOOSH_ERROR_REFUSED with the revert as a sentence,
 * MOOSH_ERROR_FUNDS. */
gboolean moosh_chain_estimate_gas (MooshChain *chain, const guint8 from[20], const guint8 *to,
                                   GBytes *input, const MooshU256 *value, guint64 *ret,
                                   GError **error);
/** Fees for inclusion within a few blocks (eth_feeHistory: median tip of recent blocks, twice the
 * next base fee). */
gboolean moosh_chain_fees (MooshChain *chain, MooshU256 *ret_max_fee, MooshU256 *ret_tip,
                           GError **error);
/** Transactions sent, those waiting in the pool included. */
gboolean moosh_chain_pending_nonce (MooshChain *chain, const guint8 address[20], guint64 *ret,
                                    GError **error);
/** Hand a signed transaction to every endpoint. TRUE when at least one took it or has it already.
 * MOOSH_ERROR_EXPIRED: its nonce is already used; MOOSH_ERROR_CONFLICT: a replacement with too
 * small a fee; MOOSH_ERROR_FUNDS. */
gboolean moosh_chain_send_raw (MooshChain *chain, GBytes *raw, GError **error);

typedef struct {
  guint8 address[20];
  guint8 topics[4][32];
  guint n_topics;
  GBytes *data;
  guint64 block;
  guint8 block_hash[32];
  guint8 tx_hash[32];
  guint index; /* log index in its block */
} MooshLog;
MooshLog *moosh_log_copy (const MooshLog *log);
void moosh_log_free (MooshLog *log);

typedef struct {
  guint8 tx_hash[32];
  gboolean success;
  guint64 block;
  guint8 block_hash[32];
  guint64 gas_used;
  MooshU256 gas_price; /* wei per gas actually paid */
  guint8 created[20];  /* address of the contract made, else zero */
  GPtrArray *logs;     /* MooshLog* in order */
} MooshReceipt;
void moosh_receipt_clear (MooshReceipt *receipt);

/** By quorum. MOOSH_ERROR_NOT_FOUND: not mined (yet, or any more). */
gboolean moosh_chain_receipt (MooshChain *chain, const guint8 tx_hash[32], MooshReceipt *ret,
                              GError **error);

/** Logs of `n_addresses` contracts in blocks from..to, in order, by quorum. Large ranges are split
 * when an endpoint says "too many". `topics` (may be NULL) filters topic 0 to any of `n_topics`
 * hashes. Returns MooshLog* array. */
GPtrArray *moosh_chain_logs (MooshChain *chain, guint64 from, guint64 to,
                             const guint8 (*addresses)[20], guint n_addresses,
                             const guint8 (*topics)[32], guint n_topics, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (MooshChain, moosh_chain_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (MooshLog, moosh_log_free)
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (MooshReceipt, moosh_receipt_clear)
