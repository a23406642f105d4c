/** keyd's JSON-RPC methods, as schema/keyd.json describes them. */
#pragma once
#include "base/rpc.h"
#include "daemon/keyd/ledger.h"
#include "daemon/keyd/policy.h"
#include "daemon/keyd/vault.h"

#define KEYD_ECDH_PER_MINUTE 600 /* a node's handshakes; a thief of the socket would want more */

/** What the methods work on. */
typedef struct {
  Vault *vault;
  Policy *policy;
  Ledger *ledger;
  GMutex signing; /* from the ledger's check to the signature is one step */
  GMutex ecdh;
  gdouble ecdh_left; /* a token bucket */
  gint64 ecdh_at_us;
} Keyd;

/** What a socket's methods get as user data: keyd, and who may call there. */
typedef struct {
  Keyd *keyd;
  gboolean only_uid;
  uid_t uid; /* with only_uid */
} KeydClient;

/** All methods (schema/keyd.json), ended by a NULL name. Static. */
const MooshRpcMethod *keyd_methods_all (void);

/** The subset named in `names` (new array, its strings static), or NULL with MOOSH_ERROR_USAGE for
 * one unknown. */
MooshRpcMethod *keyd_methods_subset (const char *const *names, GError **error);
