/** What was spent, day by day: the memory behind the policy's daily caps. Survives restarts and
 * clocks set back. */
#pragma once
#include "daemon/keyd/policy.h"

typedef struct Ledger Ledger;

/** Open or create the ledger's database. Errors of moosh_store_open. */
Ledger *ledger_open (const char *path, GError **error);
void ledger_free (Ledger *ledger);

/** Book what a signature is about to spend, on disk before it returns. `id` names what is signed:
 * signing the same again, or a replacement of the same transaction, is booked once, with the larger
 * amount. `now_s` is seconds since the epoch. MOOSH_ERROR_DENIED "policy: [token usd] per_day: 120
 * would exceed 100"; then nothing is booked. */
gboolean ledger_book (Ledger *ledger, const char *id, GPtrArray *spends, gint64 now_s,
                      GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Ledger, ledger_free)
