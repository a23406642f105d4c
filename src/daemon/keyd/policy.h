/** What keyd may sign: STATE/keyd-policy.conf, read once at the start.
 *
 * A key file (desktop-entry syntax). Everything not allowed is refused, and the refusal names the
 * group and the key that refused. Amounts are decimal token-wei; lists are separated by semicolons.
 *
 *   [chains]            allowed=31337
 *   [transactions]      max_value=0            wei sent along with a call
 *                       max_fee=...            wei: gas times max_fee
 *                       per_day=...            wei of values and fees in all per day (UTC)
 *   [contract NAME]     address=0x..           calls that need no look at their arguments:
 *                       functions=accept(uint64);0x12345678;*
 *   [call NAME]         contract=NAME          a function whose arguments matter
 *                       function=take(...)
 *                       amount_word=38         which 32-byte argument word is an amount that leaves
 * the wallet token_word=11          ... and of which token (or token=NAME) self_word=35 which words
 * must be the wallet's own address [token NAME]        address=0x.. per_tx=...  per_day=...
 *                       transfer_to=0x..;*     who may be sent to; absent: nobody
 *                       spenders=0x..          who may be given an allowance; it counts as spent
 *                       metered=0x..           likewise, but what they take is counted by a [call]
 * when it happens [typed NAME]        domain=MooshNet primary_type=Offer contract=0x..
 * verifyingContract; absent: the data must have none chain=none             the data has no chain
 * id; absent: it must be an allowed one where=side:0;kind:0    members that must have this value
 *                       spend=member:value     a member is an amount (of token=NAME or
 * token_member=member) spend=bid              the message is an Offer to buy: what fill() would
 * take for all of it self_member=owner      a member that must be the wallet's own address ERC-20
 * transfer and approve, and EIP-2612 Permit are understood for every [token]. */
#pragma once
#include "base/error.h"
#include "core/abi/tx.h"
#include "daemon/keyd/typed.h"

typedef struct Policy Policy;

/** A cap that the ledger must hold: what is spent, of what, and how much a day may take. */
typedef struct {
  char *group;      /* "token usd" or "transactions": whose per_day it is */
  guint8 token[20]; /* zero: the chain's own coin */
  guint64 chain_id;
  MooshU256 amount;
  MooshU256 per_day; /* the cap */
} Spend;

void spend_free (Spend *spend);

/** Load a policy. A file that is not there gives one that refuses everything ("policy: there is no
 * ..."); one that does not make sense is MOOSH_ERROR_USAGE with the group and key. */
Policy *policy_load (const char *path, GError **error);
Policy *policy_parse (const char *text, GError **error);
void policy_free (Policy *policy);

/** May this be signed for `self`? The result lists what it spends (Spend*, may be empty), to be put
 * to the ledger. NULL with MOOSH_ERROR_DENIED "policy: [group] key: reason". */
GPtrArray *policy_check_tx (const Policy *policy, const MooshTx *tx, const guint8 self[20],
                            GError **error);
GPtrArray *policy_check_typed (const Policy *policy, const Typed *typed, const guint8 self[20],
                               GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Policy, policy_free)
