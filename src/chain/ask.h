/** One question to the endpoints of a chain, and how their answers are weighed. Internal to
 * src/chain. */
#pragma once
#include "chain/chain.h"
#include "chain/reply.h"

/** A question. `read` turns a result into a value of its own (freed with `free_value`) and appends
 * to `canon` what must be equal in answers that agree; it sets MOOSH_ERROR_PROTOCOL for a result
 * that makes no sense. */
typedef struct {
  const char *method;
  char *params; /* JSON text of the array; taken by the caller of chain_ask */
  gboolean (*read) (JsonNode *result, gpointer *ret_value, GByteArray *canon, GError **error);
  GDestroyNotify free_value;
} Query;

/** Ask until `quorum` endpoints agree (1: any one will do) or the call's time is over. The agreed
 * value, or NULL with the error the endpoints agree on (a fault: `ret_fault`, may be NULL, says
 * which) or why they do not. */
gpointer chain_ask (MooshChain *chain, const Query *query, guint quorum, FaultKind *ret_fault,
                    GError **error);

/** Questions of this thread end at `deadline_us` (monotonic) at the latest, until it is set to 0.
 */
void chain_thread_deadline (gint64 deadline_us);

/** Ask each endpoint once, whatever its state, and collect the values of those that answer with
 * sense (gpointer array freeing its items with query->free_value). `ret_faults` (may be NULL):
 * Fault* of those that refused. `error` is the trouble of the first that failed, set only when
 * nobody answered. */
GPtrArray *chain_ask_each (MooshChain *chain, const Query *query, GPtrArray **ret_faults,
                           GError **error);

/** A fault as an error for the caller. */
void fault_to_error (const Fault *fault, GError **error);
