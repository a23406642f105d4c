/** POSTs to several servers at once, with one deadline. Internal to src/chain. */
#pragma once
#include "base/error.h"
#include <glib.h>

typedef struct {
  const char *url;
  GBytes *body;        /* JSON; not owned */
  GBytes *reply;       /* owned; NULL when it failed or was cut short */
  GError *error;       /* owned; both NULL: no longer needed */
  guint retry_after_s; /* what a 429 or 503 asked for; 0: nothing */
  guint latency_ms;
  guint64 connection; /* which one it came by; 0: none */
} HttpExchange;

/** Called after each exchange that ended; TRUE: the others are not needed any more. */
typedef gboolean (*HttpEnough) (HttpExchange *ended, gpointer user_data);

/** Run `n` exchanges in parallel and return when all ended, `enough` said so, or `timeout_ms`
 * passed (what is then open ends with MOOSH_ERROR_TIMEOUT). Any other status than 200 and every
 * transport failure is MOOSH_ERROR_UNAVAILABLE, a reply larger than `reply_max` MOOSH_ERROR_LIMIT.
 * Any thread; each keeps connections of its own. */
void http_exchange (HttpExchange *exchanges, guint n, guint timeout_ms, gsize reply_max,
                    HttpEnough enough, gpointer user_data);
void http_exchange_clear (HttpExchange *exchange);
