/** Calls, events and errors of contracts by name, from tables generated out of the build artifacts.
 *
 * The generated header "chain/bindings.h" declares one constant per function, event and error:
 *   MOOSH_FN_AGREEMENTS_TOP_UP     Agreements.topUp            const MooshAbiFunction *
 *   MOOSH_EV_AGREEMENTS_TAKEN      event Agreements.Taken      const MooshAbiEvent *
 *   MOOSH_ERR_AGREEMENTS_TOO_LATE  error Agreements.TooLate    const MooshAbiError *
 * An overloaded name gets _2, _3 … in the order of the artifact.
 *
 * Arguments are given flat, in order of the type's leaves; their C types:
 *   uintN and enums, N ≤ 64  guint64 (cast literals!)     address   const guint8 * (20 bytes)
 *   uintN, N > 64            const MooshU256 *            bytesN    const guint8 * (N bytes)
 *   bool                     gboolean                     bytes     GBytes * (NULL: empty)
 *   T[]                      guint64 count, then items    string    const char * */
#pragma once
#include "base/error.h"
#include "chain/chain.h"
#include "core/abi/abi.h"
#include <glib.h>

typedef struct {
  const char *contract; /* "Agreements" */
  const char *name;     /* "topUp" */
  const char *inputs;   /* "(uint256,uint128)" */
  const char *names;    /* "(id,value)", see moosh_abi_find */
  const char *outputs;
  const char *output_names; /* unnamed results are "0", "1", … */
  guint8 selector[4];
} MooshAbiFunction;

typedef struct {
  const char *contract;
  const char *name;
  const char *inputs; /* all parameters in order, indexed ones too */
  const char *names;
  const char *signature; /* "Taken(uint256,address)" */
  guint32 indexed;       /* bit i: parameter i is a topic */
  guint8 topic[32];
} MooshAbiEvent;

typedef struct {
  const char *contract;
  const char *name;
  const char *inputs;
  const char *names;
  guint8 selector[4];
} MooshAbiError;

/** Selector and encoded arguments, for moosh_tx_submit or moosh_chain_call. MOOSH_ERROR_USAGE for a
 * value that does not fit its type. */
GBytes *moosh_call_new (const MooshAbiFunction *function, GError **error, ...);
/** The same from `count` values. */
GBytes *moosh_call_new_values (const MooshAbiFunction *function, const MooshAbiValue *values,
                               gsize count, GError **error);

/** Decoded outputs or event parameters; members by path ("offer.maker", "tags[0]", "0"). The
 * getters end the program for a path that is not in the type (the types are ours; a typo is a bug).
 */
typedef struct MooshDecoded MooshDecoded;
void moosh_decoded_free (MooshDecoded *decoded);
guint64 moosh_decoded_u64 (MooshDecoded *decoded, const char *path); /* G_MAXUINT64 when larger */
MooshU256 moosh_decoded_u256 (MooshDecoded *decoded, const char *path);
gboolean moosh_decoded_bool (MooshDecoded *decoded, const char *path);
const guint8 *moosh_decoded_address (MooshDecoded *decoded,
                                     const char *path); /* 20 bytes, owned by decoded */
const guint8 *moosh_decoded_fixed (MooshDecoded *decoded,
                                   const char *path); /* bytesN, owned by decoded */
const guint8 *moosh_decoded_bytes (MooshDecoded *decoded, const char *path,
                                   gsize *ret_len);                   /* owned by decoded */
char *moosh_decoded_string (MooshDecoded *decoded, const char *path); /* new string */

/** Encode, eth_call by quorum at the newest block, decode. Arguments as for moosh_call_new. */
MooshDecoded *moosh_contract_read (MooshChain *chain, const guint8 to[20],
                                   const MooshAbiFunction *function, GError **error, ...);
/** Decode a function's return data. MOOSH_ERROR_PROTOCOL (no contract at that address, or another
 * one). */
MooshDecoded *moosh_output_decode (const MooshAbiFunction *function, GBytes *output,
                                   GError **error);

/** Decode a log as `event`. NULL with MOOSH_ERROR_PROTOCOL when it is another event or malformed.
 * An indexed parameter of dynamic type is only a hash on the chain: read it with
 * moosh_decoded_fixed. */
MooshDecoded *moosh_event_decode (const MooshAbiEvent *event, const MooshLog *log, GError **error);
/** Whether the log's first topic is this event's. */
gboolean moosh_event_is (const MooshAbiEvent *event, const MooshLog *log);
/** The event of `contract` (NULL: any contract) with this log's topic, or NULL. */
const MooshAbiEvent *moosh_event_find (const char *contract, const MooshLog *log);

/** Revert data as a sentence: "TooLate (deadline 1700000000, now 1700000300)", the text of
 * require(), a panic's meaning, or "reverted without a reason". `ret` (may be NULL) is the custom
 * error, NULL for the other kinds. New string. */
char *moosh_revert_explain (const guint8 *data, gsize len, const MooshAbiError **ret);

/** Contract creation code of an artifact: contracts/out/<Contract>.sol/<Contract>.json at `path`,
 * with constructor arguments appended by the caller. For tests and the deployment of a development
 * chain. */
GBytes *moosh_artifact_bytecode (const char *path, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (MooshDecoded, moosh_decoded_free)
