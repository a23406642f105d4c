/** mooshd's inside: what its files share.
 *
 *   node.c       opening and closing everything below
 *   ledger.c     what the chain says about our agreements, kept in the store by the event follower
 *   client.c     one step of a deployment of ours        provider.c   one step of a machine we sell
 *   worker.c     who needs a step, and when
 *   exchange.c   what nodes ask each other               offers.c     contacts' offers and our own
 *   api_*.c      the handlers of schema/mooshd.json
 *
 * Threads: RPC and peer handlers run on their connections' threads, steps on the worker's pool;
 * what they share is in the store, or behind a lock named here. */
#pragma once
#include "base/daemon.h"
#include "base/json.h"
#include "base/rpc.h"
#include "base/store.h"
#include "chain/contract.h"
#include "chain/follower.h"
#include "chain/txjournal.h"
#include "market/agreement.h"
#include "market/book.h"
#include "market/offer.h"
#include "market/offer_json.h"
#include "peer/peer.h"

/** Patience with our siblings, and with a transaction's inclusion. */
enum { SIBLING_MS = 20000, PEER_MS = 20000, TX_MS = 120000 };

typedef struct Worker Worker;

/** Where the contracts are (deployment.json). */
typedef struct {
  guint64 chain_id;
  guint64 block; /* first block worth following */
  guint8 agreements[20], escrow_vault[20], stake_vault[20], offer_book[20], registry[20], token[20];
} Contracts;

typedef struct {
  MooshDaemon *daemon;
  MooshStore *store;
  MooshRpcClient *keyd;
  MooshRpcClient *vmmd; /* NULL: this node sells nothing */
  guint8 identity[20];
  guint8 node_key[33];
  Contracts contracts;
  MooshOfferDomain domain;
  MooshChain *chain;
  MooshSigner *signer;
  MooshTxJournal *txs;
  MooshFollower *follower;
  MooshPeerNode *peers;
  Worker *worker;
  char *listen_host; /* as told to others */
  guint64 certificate_seq;
  gboolean auto_withdraw;
  gint64 started_s; /* when this process began */
  GMutex lock;      /* guards what is below */
  char *token_symbol;
  guint token_decimals; /* 0 until the chain was asked */
  gboolean skew_known;
  gint64 skews_s[20]; /* of the newest blocks, in a ring */
  guint n_skews;
  gint64 skew_s; /* our clock minus the chain's, by the freshest block seen */
} Node;

Node *node_open (MooshDaemon *daemon, GError **error);
void node_close (Node *node);

/** Seconds since the epoch by our clock, and what the next block will say: our clock, corrected by
 * the skew that the freshest blocks have shown when it is more than SKEW_MAX_S, and never before
 * the last block. */
enum { SKEW_MAX_S = 30, SKEW_SAMPLES = 20 };
gint64 now_s (void);
gint64 chain_now_s (Node *node);
/** A block with this time has just appeared: learn our clock's skew. The smallest seen counts: a
 * block is never seen before it is made, but may be seen late. */
void chain_saw_block (Node *node, gint64 time_s);

/** Let our view of the chain catch up with its head, when it answers, for `timeout_ms` at most. */
void chain_catch_up (Node *node, guint timeout_ms);

/** The token's symbol (new string; "" when the chain cannot be asked now) and decimals. */
char *node_token (Node *node, guint *ret_decimals);
guint node_decimals (Node *node);

/** Decimal text of an amount; new string. And back, MOOSH_ERROR_USAGE names `what`. */
char *wei_text (const MooshU256 *wei);
gboolean wei_parse (const char *text, const char *what, MooshU256 *ret, GError **error);
/** 0x-hex of 20 bytes; new string. */
char *address_text (const guint8 address[20]);
/** MOOSH_ERROR_USAGE when it is no 0x-address. */
gboolean address_parse (const char *text, guint8 ret[20], GError **error);

/** ---- calls.c: encoding ---- */

/** EIP-2612 permit for a vault to pull money; deadline 0: use the allowance. */
typedef struct {
  MooshU256 value;
  guint64 deadline_s;
  guint8 signature[65];
} Permit;

/** Encode a call. A letter of `pattern` per argument: 'u' guint64, 'w' const MooshU256 *, 'a'
 * address, 'h' bytes32, 'b' GBytes * (bytes), 'O' const MooshOffer *, 'P' const Permit *. */
GBytes *call_build (const MooshAbiFunction *function, GError **error, const char *pattern, ...);
/** Permit `spender` to take `value` of the token: signed by keyd, or none when the allowance
 * suffices. */
gboolean permit_for (Node *node, const guint8 spender[20], const MooshU256 *value, Permit *ret,
                     GError **error);
/** keyd's signature (65 bytes) over EIP-712 typed data; `typed` is not consumed. */
GBytes *sign_typed (Node *node, JsonObject *typed, GError **error);
gboolean token_balance (Node *node, MooshU256 *ret, GError **error);

/** ---- ledger.c: the chain's word, mirrored ---- */

extern const char ledger_schema[];

/** An agreement of ours as the chain has it. */
typedef struct {
  guint64 id;
  guint8 client[20], provider[20], payer[20];
  guint8 request_hash[32];
  guint32 units;
  MooshU256 deposit;
  MooshOffer offer;
  MooshAgreement model; /* ready for market/agreement.h */
  guint8 commitment[32];
  MooshU256 paid_in;   /* deposit and top-ups, less what the payer took back while it ran */
  MooshU256 collected; /* by the provider, before and after the close */
  MooshU256 to_provider, to_payer, penalty; /* of the close */
  guint8 evidence[32];
  gint64 provisioned_s, closed_s; /* 0: not yet */
} LedgerEntry;

gboolean ledger_on_log (const MooshLog *log, gint64 time_s, gboolean removed, gpointer node,
                        GError **error);
/** Read again from the chain what events have touched. */
gboolean ledger_refresh (Node *node, guint64 id, GError **error);
/** Ids whose record is to be read again. */
GArray *ledger_stale (Node *node);
/** MOOSH_ERROR_NOT_FOUND: not one of ours. */
gboolean ledger_get (Node *node, guint64 id, LedgerEntry *ret, GError **error);
/** The agreement by which we took these terms with this request, 0 when there is none (yet). The
 * hash alone would not do: it is public once our transaction is, and others can put it into an
 * agreement they begin in our name. */
guint64 ledger_find_request (Node *node, const guint8 request_hash[32], const MooshOffer *terms);

/** A call on Agreements, (id, offer, …) encoded by the caller, under the purpose "<action>:<id>".
 * Waits until it is mined and followed; `ret` may be NULL. A purpose that reverted is retired
 * first, so that it can be tried again. */
gboolean ledger_execute (Node *node, const char *action, guint64 id, const guint8 to[20],
                         GBytes *call, MooshReceipt *ret, GError **error);

/** ---- offers.c ---- */

extern const char offers_schema[];
extern const char policies_schema[];

/** Download a contact's offers; `ret_count` (may be NULL) how many are good. */
gboolean offers_pull (Node *node, const guint8 node_key[33], guint *ret_count, GError **error);
/** Ask every contact. Errors are collected as JSON [{contact, error}]. */
JsonArray *offers_pull_all (Node *node, guint *ret_reachable, guint *ret_count);
/** One of ours that may be served to `peer` now: a page from `offset` of encoded MooshSignedOffers;
 * total in `ret_total`. */
GPtrArray *offers_own_page (Node *node, const guint8 peer[20], guint offset, guint max,
                            guint *ret_total);
/** An offer by id or unique prefix among known ones and our own. */
gboolean offers_find (Node *node, const char *id, MooshBookEntry *ret, GError **error);
/** The cheapest takeable offer that meets {vcpu_milli, ram_mib, disk_gib, max_price, …} as in
 * offers.list. MOOSH_ERROR_NOT_FOUND. */
gboolean offers_match (Node *node, JsonObject *requirements, MooshBookEntry *ret, GError **error);
/** Offers known from a contact; and forget them. */
guint offers_of_contact (Node *node, const guint8 node_key[33]);
gboolean offers_forget_contact (Node *node, const guint8 node_key[33], GError **error);
/** An event touched this offer, or all of a provider: what is left of it will be read again. */
gboolean offers_touched (Node *node, const guint8 hash[32], GError **error);
gboolean offers_touched_by (Node *node, const guint8 provider[20], GError **error);
/** An agreement takes capacity from its provider's pool, and gives it back when it closes: what is
 * left of the provider's offers has to be read again. The closing event does not name the provider,
 * so the taking is remembered. */
gboolean offers_taken (Node *node, guint64 agreement, const guint8 provider[20], GError **error);
gboolean offers_closed (Node *node, guint64 agreement, GError **error);
void offers_refresh_stale (Node *node);
/** Have keyd sign an order of ours and put it on offer. MOOSH_ERROR_USAGE: it makes no sense, or
 * the text of its software policy is not known here. */
gboolean offers_publish (Node *node, MooshOffer *offer, guint8 ret_hash[32], GError **error);
/** Why an order of ours cannot be served by this host now: a sentence (new string), or NULL.
 * `pools` is the machine manager's inventory, NULL when it does not answer. */
char *offers_why_not_served (JsonArray *pools, const MooshOffer *offer);
/** Keep a software policy's text (machine/policy.h) under its hash; all zero for "". */
gboolean policy_keep (Node *node, const char *text, guint8 ret_hash[32], GError **error);
/** The text of a policy (new string; NULL for the zero hash, which allows everything). FALSE with
 * MOOSH_ERROR_NOT_FOUND: not known here. */
gboolean policy_find (Node *node, const guint8 hash[32], char **ret_text, GError **error);
/** The machine manager's pools, or NULL: it is not there or does not answer. */
JsonArray *inventory_pools (Node *node);
/** Why it cannot be taken now, as a sentence (new string), or NULL: it can. Asks the chain; FALSE
 * when that cannot be found out (chain unreachable, disk full, MOOSH_ERROR_NOT_FOUND). */
gboolean offers_why_not (Node *node, const MooshSignedOffer *offer, guint units, char **ret,
                         GError **error);
/** The code of the error that says so: MOOSH_ERROR_EXPIRED or MOOSH_ERROR_CONFLICT. */
int offers_why_not_code (Node *node, const MooshOffer *offer);

/** ---- client.c / provider.c: one step; returns milliseconds until the next one, or STEP_NEVER
 * ---- */

enum { STEP_NEVER = -1 };
extern const char client_schema[], client_report_schema[];
extern const char provider_schema[];
int client_step (Node *node, const char *deployment);
int provider_step (Node *node, guint64 agreement);
/** Once, when the node starts: end what a crash interrupted before anything was sent. */
void client_recover (Node *node);
/** Names of deployments, ids of jobs that are not over: new strings. */
GPtrArray *client_open (Node *node);
GPtrArray *provider_open (Node *node);

/** ---- worker.c ---- */
Worker *worker_start (Node *node);
void worker_stop (Worker *worker);
/** Look at everything now. */
void worker_wake (Worker *worker);
