/** From what somebody needs to the best offer for it. */
#pragma once
#include "market/book.h"
#include "market/terms.h"

typedef struct {
  MooshUnits need;
  gboolean has_max_rate;
  MooshU256 max_rate_x; /* of everything together */
  uint32_t
      duration_s; /* 0: not said. Offers that end before it, or bind longer than it, do not match */
  uint32_t most_units; /* units of one offer that may be combined; 0 counts as 1 */
  int kind_plus_1;     /* 0: a VM */
  int class_plus_1;    /* 0: any */
} MooshNeed;

/** Read "2 vCPU, 1 GiB, under 0.02/h": parts between commas, in any order, each at most once:
 *   N vCPU · N MiB|GiB|TiB [RAM|memory] · N GiB|TiB disk · N GPU · N IPv4 · under|up to|max PRICE ·
 * for N h|d|w|min|s · dedicated|shared · a kind ("container") Numbers may have a fraction where the
 * unit allows it ("0.5 vCPU", "1.5 GiB"); letters' case does not matter. FALSE with
 * MOOSH_ERROR_USAGE that quotes the part; `ret` untouched. */
gboolean moosh_need_parse (const char *text, unsigned decimals, MooshNeed *ret, GError **error);

/** The cheapest way to meet a need from the book: by total rate, then fewer units, then the larger
 * unit, then the later expiry, then the smaller hash; so everybody who knows the same offers
 * chooses the same one. `filter` narrows it (chain, token, taker, provider; NULL: nothing); what
 * the need says replaces its other members. MOOSH_ERROR_NOT_FOUND says whether it fails for price
 * or altogether. */
gboolean moosh_match (MooshStore *store, const MooshNeed *need, const MooshBookFilter *filter,
                      int64_t now_s, MooshBookEntry *ret_entry, uint32_t *ret_count,
                      GError **error);
