/** The life of an agreement: states, the edges between them, and the money each edge moves.
 *
 * This is the rules' C model. Client and provider use it to predict (what is spent, when it runs
 * out, what a close would give back) and to refuse a call before it costs gas; the contracts
 * decide, and agree with it to the last unit.
 *
 * Invariants: (1) money moves only on an edge; (2) CLOSED is final (the provider still collects);
 * (3) every open state has an edge that needs nobody's consent; (4) balance + earned + everything
 * that left = everything that was paid in, exactly.
 *
 * All intervals are half open: "before T" is now < T, "T passed" is now ≥ T. Pure; time is a
 * parameter. */
#pragma once
#include "market/offer.h"
#include "market/reason.h"
#include "market/settle.h"

typedef enum {
  MOOSH_STATE_NONE = 0,
  MOOSH_STATE_TAKEN = 1,
  MOOSH_STATE_ACCEPTED = 2,
  MOOSH_STATE_PROVISIONED = 3,
  MOOSH_STATE_ACTIVE = 4,
  MOOSH_STATE_PAUSED = 5,
  MOOSH_STATE_GRACE = 6,    /* a view: never stored */
  MOOSH_STATE_DRAINING = 7, /* a view: never stored */
  MOOSH_STATE_RECLAIMING = 8,
  MOOSH_STATE_CLOSED = 9,
  MOOSH_N_STATES
} MooshState;

/** Calls on an agreement; their numbers are those of tests/vectors/market-sequences.md. */
typedef enum {
  MOOSH_EVENT_ACCEPT = 2,
  MOOSH_EVENT_PROVISIONED = 3,
  MOOSH_EVENT_ACKNOWLEDGE = 4,
  MOOSH_EVENT_REJECT = 5,
  MOOSH_EVENT_PAUSE = 6,
  MOOSH_EVENT_RESUME = 7,
  MOOSH_EVENT_TOP_UP = 8,
  MOOSH_EVENT_WITHDRAW_FREE = 9,
  MOOSH_EVENT_RECLAIM = 10,
  MOOSH_EVENT_CLOSE = 11,
  MOOSH_EVENT_EXPIRE = 12,
  MOOSH_EVENT_COLLECT = 13,
  MOOSH_N_EVENTS
} MooshEvent;

typedef enum {
  MOOSH_ACTOR_CLIENT = 0,
  MOOSH_ACTOR_PAYER = 1, /* not sponsored: client and payer are one, either name will do */
  MOOSH_ACTOR_PROVIDER = 2,
  MOOSH_ACTOR_STRANGER = 3,
  MOOSH_N_ACTORS
} MooshActor;

/** Why a call is refused. */
typedef enum {
  MOOSH_REFUSED_NOT = 0,
  MOOSH_REFUSED_STATE,     /* the state has no such edge */
  MOOSH_REFUSED_ACTOR,     /* not this party's call */
  MOOSH_REFUSED_TOO_LATE,  /* the deadline has passed */
  MOOSH_REFUSED_TOO_EARLY, /* the deadline has not passed */
  MOOSH_REFUSED_NO_PAUSE,  /* the offer has no paused rate */
  MOOSH_REFUSED_AMOUNT,    /* zero, or beyond a type's range */
  MOOSH_REFUSED_NOT_FREE,  /* more than the free balance */
  MOOSH_REFUSED_NOTHING,   /* nothing to collect */
  MOOSH_REFUSED_COUNT,     /* no units, or more than the offer sells */
  MOOSH_REFUSED_DEPOSIT,   /* deposit below lock period + retention, or below the reject fee */
  MOOSH_REFUSED_BOND,      /* the provider's free stake does not cover the bond */
  MOOSH_REFUSED_POOL,      /* the pool has not enough left */
  MOOSH_N_REFUSALS
} MooshRefusal;

/** Static, never NULL. */
const char *moosh_refusal_text (MooshRefusal refusal);
const char *moosh_state_name (MooshState state);

/** What an agreement took over from its offer, for all its units together. */
typedef struct {
  MooshU256 rate_x;
  MooshU256 paused_rate_x;
  MooshU256 retention_rate_x;
  MooshU256 lock_fixed_x; /* retention_rate_x · retention_s */
  MooshU256 reject_fee;   /* wei */
  uint32_t min_term_s;
  uint32_t max_term_s; /* 0: none */
  uint32_t notice_s;
  uint32_t retention_s;
  uint32_t holdback_s;
  uint32_t accept_within_s;
  uint32_t provision_within_s;
  uint32_t probe_window_s;
  uint32_t lock_period_s;
} MooshTerms;

/** Terms of `count` units of an offer (checked by moosh_offer_check). MOOSH_E_RANGE: count is 0, or
 * a total rate or fee exceeds its type. */
int moosh_terms_from_offer (const MooshOffer *offer, uint32_t count, MooshTerms *ret);

/** The least deposit in wei: lock period and retention, rounded up, and at least the reject fee. */
MooshU256 moosh_terms_min_deposit (const MooshTerms *terms);
/** The deposit that filling a bid moves: as above with the longer of lock period and minimum term.
 */
MooshU256 moosh_terms_fill_deposit (const MooshTerms *terms);
/** max(⌊rate·(notice + holdback)/2^32⌋, floor) in wei. */
MooshU256 moosh_terms_bond (const MooshTerms *terms, const MooshU256 *floor_wei);

typedef struct {
  MooshTerms terms;
  MooshAccount account;
  MooshState state;   /* stored: never GRACE or DRAINING */
  MooshReason reason; /* when CLOSED */
  bool sponsored;     /* the payer is not the client */
  uint64_t taken_s;
  uint64_t provisioned_s; /* 0: not yet */
  uint64_t deadline_s;    /* of RECLAIMING */
  uint64_t closed_s;
  MooshU256 frozen_x; /* held back until closed_s + holdback_s */
  MooshU256 bond;     /* wei reserved; 0 once closed */
} MooshAgreement;

/** What Agreements.agreement(id) returns of it, as numbers. */
typedef struct {
  MooshState state; /* stored */
  MooshReason reason;
  uint64_t started_s; /* when taken; from PROVISIONED on: when provisioned */
  uint64_t t_s;       /* settled up to; CLOSED: when closed */
  uint64_t deadline_s;
  uint32_t units;
  bool sponsored;
  MooshU256 rate_x; /* CLOSED: the last one in force, for the hold-back */
  MooshU256 bal_x;
  MooshU256 earned_x;
} MooshAgreementRecord;

/** The model of an agreement that is on the chain. `bond` is what its Taken event says (wei).
 * Afterwards every prediction here is what the contracts would do. MOOSH_E_RANGE: offer and record
 * do not belong together. */
int moosh_agreement_from_record (const MooshOffer *offer, const MooshAgreementRecord *record,
                                 const MooshU256 *bond, MooshAgreement *ret);

/** Wei that leave the agreement by a call, by where they go. */
typedef struct {
  MooshU256 to_payer;     /* refund or withdrawn free balance: credit in the vault */
  MooshU256 to_provider;  /* collected: credit in the vault */
  MooshU256 compensation; /* from the bond to the client */
  MooshU256 bond_freed;   /* back to the provider's free stake */
} MooshMoves;

/** Begin: state TAKEN at `now_s` with `deposit` wei. `bond` = moosh_terms_bond, found free by the
 * caller. MOOSH_REFUSED_DEPOSIT, MOOSH_REFUSED_AMOUNT; `ret` untouched when refused. */
MooshRefusal moosh_agreement_take (const MooshTerms *terms, const MooshU256 *deposit,
                                   const MooshU256 *bond, uint64_t now_s, MooshAgreement *ret);

/** Play one call. `amount` is wei for TOP_UP and WITHDRAW_FREE, else NULL. CLOSE is the sender's:
 * what it becomes follows from who sends it and when. Refused: `a` and `ret_moves` untouched. */
MooshRefusal moosh_agreement_apply (MooshAgreement *a, MooshEvent event, MooshActor by,
                                    const MooshU256 *amount, uint64_t now_s, MooshMoves *ret_moves);

/** stateAt(id, now): with the views GRACE and DRAINING, and PROVISIONED turned ACTIVE by time. */
MooshState moosh_agreement_state_at (const MooshAgreement *a, uint64_t now_s);

/** Everything that is computed, never stored; as of `now_s`. */
typedef struct {
  MooshState state;
  MooshU256 bal_x, earned_x;              /* accrual up to now included */
  uint64_t funded_until_s, grace_until_s; /* MOOSH_NEVER: no rate runs */
  MooshU256 free_wei;         /* what WITHDRAW_FREE would grant; 0 where it is not allowed */
  MooshU256 withdrawable_wei; /* what COLLECT would move */
  MooshU256 refund_wei;       /* what the payer gets back if the client closes now */
  MooshU256 early_fee_wei;    /* part of the balance a client's close would cost, rounded up */
} MooshAgreementView;

void moosh_agreement_view (const MooshAgreement *a, uint64_t now_s, MooshAgreementView *ret);

/** The cheaper way out for client or provider: CLOSE of their own, or EXPIRE when time has made
 * that possible (a client whose provider missed its deadline would pay the early fee for a CLOSE
 * and gets the penalty for an EXPIRE; a provider whose client ran out of money would pay the
 * slice). `ret_reason` is what it becomes: pass it as `expected`. false: neither is allowed. */
bool moosh_agreement_best_close (const MooshAgreement *a, MooshActor by, uint64_t now_s,
                                 MooshEvent *ret_event, MooshReason *ret_reason);

/** The next moment after `now_s` at which the state changes by time alone or an edge opens or
 * closes for somebody; MOOSH_NEVER when there is none. For timers. */
uint64_t moosh_agreement_next_moment (const MooshAgreement *a, uint64_t now_s);
