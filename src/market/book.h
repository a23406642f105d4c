/** The order book of one node: offers it has heard of, and how much of each the chain leaves to
 * take.
 *
 * Offers come from contacts and from the chain's announcements; signatures are checked by the
 * caller before moosh_book_add. What the chain says later (sold units, cancellations, nonces,
 * pools) is told by moosh_book_set_*; it may arrive before the offer does. Everything is in the
 * node's MooshStore, so all of this may be called from any thread.
 *
 * Limits: MOOSH_BOOK_PER_MAKER live offers of a maker, MOOSH_BOOK_MAX altogether; one more is
 * MOOSH_ERROR_LIMIT. */
#pragma once
#include "base/store.h"
#include "market/offer.h"

enum {
  MOOSH_BOOK_PER_MAKER = 2000,
  MOOSH_BOOK_MAX = 200000,
  MOOSH_BOOK_LIST_MAX = 1000, /* entries of one listing */
};

/** Migration for the node's store: tables of this file. */
extern const char moosh_book_schema[];

/** Why an offer cannot be taken now. */
typedef enum {
  MOOSH_BOOK_LIVE = 0,
  MOOSH_BOOK_EXPIRED,
  MOOSH_BOOK_CANCELLED,  /* by its hash, or all of an older nonce */
  MOOSH_BOOK_SOLD_OUT,   /* filled = volume */
  MOOSH_BOOK_POOL_EMPTY, /* the provider's pool has not one unit left */
  MOOSH_BOOK_PRIVATE,    /* for another taker */
} MooshBookStatus;

/** A sentence for it. Static. */
const char *moosh_book_status_text (MooshBookStatus status);

typedef struct {
  uint8_t hash[32];
  uint8_t provider[20]; /* identity; differs from the maker when that is a hot key */
  uint8_t source[33];   /* node key it came from; zero: the chain */
  uint32_t filled;
  uint32_t available; /* units that can be taken: volume − filled, bounded by the pool */
  int64_t seen_s;     /* last heard of */
  MooshBookStatus status;
  MooshSignedOffer signed_offer;
} MooshBookEntry;

/** Put in an offer whose signature was found good, or note that a known one was heard of again.
 * `provider`: the maker's identity (the maker itself unless it is a hot key); `source`: node key
 * (33 bytes), NULL for the chain. MOOSH_ERROR_USAGE: it makes no sense (the sentence of
 * moosh_offer_check); MOOSH_ERROR_EXPIRED; MOOSH_ERROR_LIMIT. `ret_new` (may be NULL): it was not
 * known before. */
gboolean moosh_book_add (MooshStore *store, const MooshSignedOffer *signed_offer,
                         const uint8_t provider[20], const uint8_t *source, int64_t now_s,
                         gboolean *ret_new, GError **error);

/** Forget offers that expired before `now_s`; returns how many, −1 with `error`. */
gint64 moosh_book_expire (MooshStore *store, int64_t now_s, GError **error);

/** Forget a source's offers, e.g. those it no longer lists: all that were last heard of before
 * `before_s`. */
gboolean moosh_book_forget (MooshStore *store, const uint8_t source[33], int64_t before_s,
                            GError **error);

/** The chain's facts. An offer that is not known yet finds them when it comes. Units are as of now,
 * not differences. */
gboolean moosh_book_set_filled (MooshStore *store, const uint8_t maker[20], const uint8_t hash[32],
                                uint32_t filled, gboolean cancelled, GError **error);
gboolean moosh_book_set_nonce (MooshStore *store, const uint8_t maker[20], uint64_t nonce,
                               GError **error);
gboolean moosh_book_set_pool (MooshStore *store, const uint8_t provider[20], const uint8_t pool[32],
                              const MooshUnits *remaining, GError **error);

/** One offer by its hash. MOOSH_ERROR_NOT_FOUND. */
gboolean moosh_book_get (MooshStore *store, const uint8_t hash[32], int64_t now_s,
                         MooshBookEntry *ret, GError **error);
/** One offer by the beginning of its hash in hex ("0x" optional, at least 4 digits).
 * MOOSH_ERROR_NOT_FOUND, MOOSH_ERROR_CONFLICT (several begin so), MOOSH_ERROR_USAGE (not hex). */
gboolean moosh_book_find (MooshStore *store, const char *prefix, int64_t now_s, MooshBookEntry *ret,
                          GError **error);

typedef enum {
  MOOSH_BOOK_BY_PRICE, /* rate of one unit, cheapest first */
  MOOSH_BOOK_BY_VCPU,  /* largest first */
  MOOSH_BOOK_BY_RAM,
  MOOSH_BOOK_BY_DISK,
  MOOSH_BOOK_BY_EXPIRY, /* longest valid first */
  MOOSH_BOOK_BY_NEWEST, /* last seen first */
} MooshBookSort;

/** What to list. Zero-initialise: then it is everything that sells anything, at most 100 by price.
 */
typedef struct {
  uint64_t chain_id;           /* 0: any */
  MooshSide side;              /* default SELL */
  gboolean any_status;         /* also what cannot be taken now */
  int kind_plus_1;             /* 0: any; MooshKind + 1 */
  int class_plus_1;            /* 0: any; MooshClass + 1 */
  MooshUnits min;              /* one unit holds at least this */
  uint32_t count;              /* this many units are available; 0 counts as 1 */
  const MooshU256 *max_rate_x; /* rate of one unit at most; NULL: any */
  uint32_t lasts_s;            /* maxTerm allows at least this; 0: any */
  const uint32_t *bound_s;     /* minTerm is at most this; NULL: any */
  const uint8_t *provider;     /* identity (20 bytes); NULL: any */
  const uint8_t *token;        /* (20 bytes) NULL: any */
  const uint8_t *taker; /* (20 bytes) private offers for this one, too; NULL: public ones only */
  MooshBookSort sort;
  gboolean reverse;
  guint limit; /* 0: 100; at most MOOSH_BOOK_LIST_MAX */
  guint offset;
} MooshBookFilter;

/** MooshBookEntry array (free with g_array_unref); `ret_total` (may be NULL): how many match
 * without limit and offset. */
GArray *moosh_book_list (MooshStore *store, const MooshBookFilter *filter, int64_t now_s,
                         guint *ret_total, GError **error);
