/** What JSON-RPC endpoints say, read strictly: they are strangers. Internal to src/chain.
 *
 * Nothing here trusts a type, a length or a member's presence; every function either fills its
 * result completely or sets MOOSH_ERROR_PROTOCOL and leaves it alone. Quantities are 0x-hex without
 * leading zeros, data 0x-hex of whole bytes. */
#pragma once
#include "chain/chain.h"
#include <json-glib/json-glib.h>

#define REPLY_LOGS_MAX 50000

/** Why an endpoint did not give a result, by what one can do about it. */
typedef enum {
  FAULT_NONE,
  FAULT_REVERT,      /* the contract said no; data has its reason */
  FAULT_FUNDS,       /* the sender cannot pay */
  FAULT_NONCE_LOW,   /* that nonce is used */
  FAULT_UNDERPRICED, /* a replacement must offer more */
  FAULT_KNOWN,       /* it has this transaction already */
  FAULT_TOO_MANY,    /* ask for fewer logs */
  FAULT_BUSY,        /* later: rate limit, block not there yet, internal trouble */
  FAULT_OTHER,
} FaultKind;

typedef struct {
  FaultKind kind;
  char *message; /* one printable line, at most 300 bytes */
  GBytes *data;  /* revert data, or NULL */
} Fault;
void fault_clear (Fault *fault);

/** A JSON-RPC 2.0 response to request `id`: `ret_result` is a new reference, or `ret_fault` is
 * filled. */
gboolean reply_parse (const void *text, gsize len, gint64 id, JsonNode **ret_result,
                      Fault *ret_fault, GError **error);

gboolean reply_u256 (JsonNode *node, MooshU256 *ret, GError **error);
gboolean reply_u64 (JsonNode *node, guint64 *ret, GError **error);
/** Data of any length. New GBytes. */
GBytes *reply_bytes (JsonNode *node, GError **error);

/** TRUE with *ret_found FALSE for null: no such block, not mined. */
gboolean reply_block (JsonNode *node, MooshBlock *ret, gboolean *ret_found, GError **error);
gboolean reply_receipt (JsonNode *node, MooshReceipt *ret, gboolean *ret_found, GError **error);
/** MooshLog* in the order given; strictly ascending by block and index, or it is refused. */
GPtrArray *reply_logs (JsonNode *node, GError **error);
/** eth_feeHistory: the next block's base fee, and the median of the blocks' rewards (zero when
 * there are none). */
gboolean reply_fees (JsonNode *node, MooshU256 *ret_base, MooshU256 *ret_tip, GError **error);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Fault, fault_clear)
