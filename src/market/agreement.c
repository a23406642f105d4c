#include "market/agreement.h"

#define B(state) (1u << MOOSH_STATE_##state)
enum {
  OPEN = B (TAKEN) | B (ACCEPTED) | B (PROVISIONED) | B (ACTIVE) | B (PAUSED) | B (GRACE)
         | B (DRAINING) | B (RECLAIMING),
  SERVED = OPEN & ~(B (TAKEN) | B (ACCEPTED)), /* provisioned, so the clock runs or has run */
};

/* A call in progress: a copy of the agreement, already touched, that replaces the original if
 * nothing refuses. */
typedef struct {
  MooshAgreement a;
  MooshState view;
  uint64_t now_s;
  MooshU256 amount;
  MooshMoves moves;
} Call;

/* --- guards --- */

static bool
accept_due (const Call *c)
{
  return c->now_s >= c->a.taken_s + c->a.terms.accept_within_s;
}

static bool
before_accept (const Call *c)
{
  return !accept_due (c);
}

static bool
provision_due (const Call *c)
{
  return c->now_s >= c->a.taken_s + c->a.terms.provision_within_s;
}

static bool
before_provision (const Call *c)
{
  return !provision_due (c);
}

static bool
notice_over (const Call *c)
{
  return c->now_s >= c->a.deadline_s;
}

static bool
term_over (const Call *c)
{
  return c->a.terms.max_term_s > 0 && c->now_s >= c->a.provisioned_s + c->a.terms.max_term_s;
}

static bool
retention_over (const Call *c)
{
  uint64_t grace = moosh_account_grace_until (&c->a.account);
  return c->now_s >= grace && c->now_s - grace >= c->a.terms.retention_s;
}

static bool
can_pause (const Call *c)
{
  return !moosh_u256_is_zero (&c->a.terms.paused_rate_x);
}

static bool
is_free (const Call *c)
{
  MooshU256 free_x = moosh_account_free_x (&c->a.account, c->a.terms.lock_period_s);
  MooshU256 free_wei = moosh_x_to_wei (&free_x);
  return !moosh_u256_is_zero (&c->amount) && moosh_u256_cmp (&c->amount, &free_wei) <= 0;
}

static bool
fits (const Call *c)
{
  MooshAccount copy = c->a.account;
  return moosh_account_top_up (&copy, c->now_s, &c->amount) == MOOSH_OK;
}

static MooshU256
hold_x (const MooshAgreement *a, uint64_t now_s)
{
  if (a->state != MOOSH_STATE_CLOSED)
    return moosh_x_mul (&a->account.rate_x, a->terms.holdback_s);
  return now_s < a->closed_s + a->terms.holdback_s ? a->frozen_x : moosh_u256 (0);
}

static bool
is_payable (const Call *c)
{
  MooshAccount copy = c->a.account;
  MooshU256 hold = hold_x (&c->a, c->now_s);
  MooshU256 wei = moosh_account_collect (&copy, &hold);
  return !moosh_u256_is_zero (&wei);
}

/* --- effects --- */

static void
start_billing (Call *c)
{
  c->a.provisioned_s = c->now_s;
  c->a.account.rate_x = c->a.terms.rate_x;
  c->a.account.t_s = c->now_s;
}

static void
run_slow (Call *c)
{
  c->a.account.rate_x = c->a.terms.paused_rate_x;
}

static void
run_full (Call *c)
{
  c->a.account.rate_x = c->a.terms.rate_x;
}

static void
begin_notice (Call *c)
{
  run_full (c);
  c->a.deadline_s = c->now_s + c->a.terms.notice_s;
}

static void
top_up (Call *c)
{
  moosh_account_top_up (&c->a.account, c->now_s, &c->amount);
}

static void
withdraw_free (Call *c)
{
  MooshU256 x = moosh_x_from_wei (&c->amount);
  c->a.account.bal_x = moosh_x_sub (&c->a.account.bal_x, &x);
  c->moves.to_payer = c->amount;
}

static void
collect (Call *c)
{
  MooshU256 hold = hold_x (&c->a, c->now_s);
  c->moves.to_provider = moosh_account_collect (&c->a.account, &hold);
}

/* The end of every close: refund, frozen sum, bond. `penalty` comes from the bond. */
static void
finish (Call *c, const MooshU256 *penalty)
{
  MooshAgreement *a = &c->a;
  MooshU256 hold = moosh_x_mul (&a->account.rate_x, a->terms.holdback_s);
  c->moves.to_payer = moosh_account_close (&a->account);
  a->frozen_x = moosh_x_min (&a->account.earned_x, &hold);
  c->moves.compensation = moosh_x_min (penalty, &a->bond);
  c->moves.bond_freed = moosh_x_sub (&a->bond, &c->moves.compensation);
  a->bond = moosh_u256 (0);
  a->closed_s = c->now_s;
}

/* Nothing is payable inside the probe window: a provider cannot pretend to deliver and leave with
 * the pay. */
static void
undo_billing (Call *c)
{
  MooshAccount *account = &c->a.account;
  account->bal_x = moosh_x_add (&account->bal_x, &account->earned_x);
  account->earned_x = moosh_u256 (0);
}

/* The disks kept since the money ran out: lock_fixed_x is there for this. */
static void
pay_retention (Call *c)
{
  uint64_t grace = moosh_account_grace_until (&c->a.account);
  if (c->now_s <= grace)
    return;
  uint64_t kept_s = c->now_s - grace;
  if (kept_s > c->a.terms.retention_s)
    kept_s = c->a.terms.retention_s;
  MooshU256 due = moosh_x_mul (&c->a.terms.retention_rate_x, kept_s);
  moosh_account_pay (&c->a.account, &due);
}

static void
settle_with_penalty (Call *c, const MooshU256 *penalty_x)
{
  MooshU256 penalty = moosh_x_to_wei (penalty_x);
  if (c->view == MOOSH_STATE_PROVISIONED)
    undo_billing (c);
  else
    pay_retention (c);
  finish (c, &penalty);
}

static void
settle (Call *c)
{
  MooshU256 none = moosh_u256 (0);
  settle_with_penalty (c, &none);
}

/* What a client still owes for leaving before the minimum term; 0 after it. */
static MooshU256
early_fee_x (const Call *c)
{
  const MooshAgreement *a = &c->a;
  uint64_t begin = a->provisioned_s ? a->provisioned_s : c->now_s;
  uint64_t end = begin + a->terms.min_term_s;
  return moosh_x_mul (&a->terms.rate_x, end > c->now_s ? end - c->now_s : 0);
}

static void
settle_with_early_fee (Call *c)
{
  MooshU256 none = moosh_u256 (0);
  MooshU256 fee = early_fee_x (c);
  pay_retention (c);
  moosh_account_pay (&c->a.account, &fee);
  finish (c, &none);
}

static void
settle_with_slice (Call *c)
{
  uint64_t remaining_s = c->a.terms.notice_s;
  if (c->view == MOOSH_STATE_RECLAIMING)
    remaining_s = c->a.deadline_s - c->now_s;
  MooshU256 slice = moosh_x_mul (&c->a.terms.rate_x, remaining_s);
  settle_with_penalty (c, &slice);
}

static void
refund_less_fee (Call *c)
{
  MooshU256 none = moosh_u256 (0);
  MooshU256 fee = moosh_x_from_wei (&c->a.terms.reject_fee);
  undo_billing (c);
  moosh_account_pay (&c->a.account, &fee);
  finish (c, &none);
}

static void
refund_with_penalty (Call *c)
{
  MooshU256 penalty = moosh_x_mul (&c->a.terms.rate_x, c->a.terms.notice_s);
  settle_with_penalty (c, &penalty);
}

/* --- the table --- */

#define BY(actor) (1u << MOOSH_ACTOR_##actor)
#define ANYONE    (BY (CLIENT) | BY (PAYER) | BY (PROVIDER) | BY (STRANGER))

typedef struct {
  unsigned from; /* states as the view shows them */
  MooshEvent event;
  unsigned by;
  MooshState to; /* NONE: the stored state stays */
  MooshReason reason;
  bool (*guard) (const Call *);
  MooshRefusal refusal; /* when the guard says no and no later row takes over */
  void (*effect) (Call *);
} Edge;

/* Invariants: (1) money moves only on an edge; (2) CLOSED is final, only what was earned is still
 * collected; (3) every open state has an edge that needs nobody's consent; (4) money is moved,
 * never made or lost. Rows are tried from the top; the first that fits state, sender and guard is
 * taken. Every effect works on an account that is billed up to now. */
/* clang-format off */
static const Edge edges[] = {
  /* from                         event          by             to           reason            guard, else                     effect */
#define E(from, event, by, to, reason, guard, refusal, effect) \
  { from, MOOSH_EVENT_##event, by, MOOSH_STATE_##to, MOOSH_REASON_##reason, guard, MOOSH_REFUSED_##refusal, effect }
  E (B (TAKEN),                   ACCEPT,        BY (PROVIDER), ACCEPTED,    NONE,             before_accept,    TOO_LATE,     NULL),
  E (B (TAKEN) | B (ACCEPTED),    PROVISIONED,   BY (PROVIDER), PROVISIONED, NONE,             before_provision, TOO_LATE,     start_billing),
  E (B (PROVISIONED),             ACKNOWLEDGE,   BY (CLIENT),   ACTIVE,      NONE,             NULL,             NOT,          NULL),
  E (B (PROVISIONED),             REJECT,        BY (CLIENT),   CLOSED,      REJECTED,         NULL,             NOT,          refund_less_fee),
  E (B (ACTIVE),                  PAUSE,         BY (CLIENT),   PAUSED,      NONE,             can_pause,        NO_PAUSE,     run_slow),
  E (B (PAUSED),                  RESUME,        BY (CLIENT),   ACTIVE,      NONE,             NULL,             NOT,          run_full),
  E (OPEN,                        TOP_UP,        ANYONE,        NONE,        NONE,             fits,             AMOUNT,       top_up),
  E (B (ACTIVE) | B (PAUSED) | B (RECLAIMING),
                                  WITHDRAW_FREE, BY (PAYER),    NONE,        NONE,             is_free,          NOT_FREE,     withdraw_free),
  E (B (ACTIVE) | B (PAUSED) | B (GRACE),
                                  RECLAIM,       BY (PROVIDER), RECLAIMING,  NONE,             NULL,             NOT,          begin_notice),
  E (B (TAKEN),                   CLOSE,         BY (CLIENT),   CLOSED,      BUYER_CANCEL,     NULL,             NOT,          refund_less_fee),
  E (B (RECLAIMING),              CLOSE,         BY (CLIENT),   CLOSED,      BUYER,            NULL,             NOT,          settle),
  E (OPEN,                        CLOSE,         BY (CLIENT),   CLOSED,      BUYER,            NULL,             NOT,          settle_with_early_fee),
  E (B (RECLAIMING),              CLOSE,         BY (PROVIDER), CLOSED,      RECLAIM,          notice_over,      TOO_EARLY,    settle),
  E (OPEN,                        CLOSE,         BY (PROVIDER), CLOSED,      EARLY_EXIT,       NULL,             NOT,          settle_with_slice),
  E (B (TAKEN),                   EXPIRE,        ANYONE,        CLOSED,      PROVIDER_TIMEOUT, accept_due,       TOO_EARLY,    refund_with_penalty),
  E (B (ACCEPTED),                EXPIRE,        ANYONE,        CLOSED,      PROVIDER_TIMEOUT, provision_due,    TOO_EARLY,    refund_with_penalty),
  E (SERVED,                      EXPIRE,        ANYONE,        CLOSED,      EXPIRED,          term_over,        TOO_EARLY,    settle),
  E (SERVED,                      EXPIRE,        ANYONE,        CLOSED,      FUNDS,            retention_over,   TOO_EARLY,    settle),
  E ((OPEN & ~B (PROVISIONED)) | B (CLOSED),
                                  COLLECT,       ANYONE,        NONE,        NONE,             is_payable,       NOTHING,      collect),
#undef E
};
/* clang-format on */

MooshRefusal
moosh_agreement_take (const MooshTerms *terms, const MooshU256 *deposit, const MooshU256 *bond,
                      uint64_t now_s, MooshAgreement *ret)
{
  MooshU256 least = moosh_terms_min_deposit (terms);
  if (moosh_u256_bit_length (deposit) > 128)
    return MOOSH_REFUSED_AMOUNT;
  if (moosh_u256_cmp (deposit, &least) < 0)
    return MOOSH_REFUSED_DEPOSIT;
  *ret = (MooshAgreement){
    .terms = *terms,
    .account
    = { .bal_x = moosh_x_from_wei (deposit), .lock_fixed_x = terms->lock_fixed_x, .t_s = now_s },
    .state = MOOSH_STATE_TAKEN,
    .taken_s = now_s,
    .bond = *bond,
  };
  return MOOSH_REFUSED_NOT;
}

MooshState
moosh_agreement_state_at (const MooshAgreement *a, uint64_t now_s)
{
  MooshState state = a->state;
  if (state == MOOSH_STATE_PROVISIONED && now_s >= a->provisioned_s + a->terms.probe_window_s)
    state = MOOSH_STATE_ACTIVE;
  if (state != MOOSH_STATE_ACTIVE && state != MOOSH_STATE_PAUSED)
    return state;
  if (now_s >= moosh_account_grace_until (&a->account))
    return MOOSH_STATE_DRAINING;
  if (now_s >= moosh_account_funded_until (&a->account, a->terms.lock_period_s))
    return MOOSH_STATE_GRACE;
  return state;
}

static Call
begin_call (const MooshAgreement *a, const MooshU256 *amount, uint64_t now_s)
{
  Call c = { .a = *a, .now_s = now_s, .view = moosh_agreement_state_at (a, now_s) };
  if (amount != NULL)
    c.amount = *amount;
  if (a->state != MOOSH_STATE_CLOSED)
    moosh_account_touch (&c.a.account, now_s);
  if (c.view == MOOSH_STATE_ACTIVE)
    c.a.state = MOOSH_STATE_ACTIVE; /* the probe window ended by itself */
  return c;
}

MooshRefusal
moosh_agreement_apply (MooshAgreement *a, MooshEvent event, MooshActor by, const MooshU256 *amount,
                       uint64_t now_s, MooshMoves *ret_moves)
{
  Call c = begin_call (a, amount, now_s);
  MooshRefusal refusal = MOOSH_REFUSED_STATE;
  unsigned sender = 1u << by;
  if (!a->sponsored && sender & (BY (CLIENT) | BY (PAYER)))
    sender = BY (CLIENT) | BY (PAYER);

  for (size_t i = 0; i < sizeof edges / sizeof edges[0]; i++)
    {
      const Edge *edge = &edges[i];
      if (edge->event != event || !(edge->from & 1u << c.view))
        continue;
      if (!(edge->by & sender))
        {
          if (refusal == MOOSH_REFUSED_STATE)
            refusal = MOOSH_REFUSED_ACTOR;
          continue;
        }
      if (edge->guard != NULL && !edge->guard (&c))
        {
          refusal = edge->refusal;
          continue;
        }
      if (edge->effect != NULL)
        edge->effect (&c);
      if (edge->to != MOOSH_STATE_NONE)
        c.a.state = edge->to;
      c.a.reason = edge->reason != MOOSH_REASON_NONE ? edge->reason : c.a.reason;
      *a = c.a;
      *ret_moves = c.moves;
      return MOOSH_REFUSED_NOT;
    }
  return refusal;
}

void
moosh_agreement_view (const MooshAgreement *a, uint64_t now_s, MooshAgreementView *ret)
{
  Call c = begin_call (a, NULL, now_s);
  const MooshAccount *account = &c.a.account;
  const unsigned may_withdraw = B (ACTIVE) | B (PAUSED) | B (RECLAIMING);
  MooshMoves moves = { 0 };
  *ret = (MooshAgreementView){
    .state = c.view,
    .bal_x = account->bal_x,
    .earned_x = account->earned_x,
    .grace_until_s = moosh_account_grace_until (account),
    .funded_until_s = moosh_account_funded_until (account, a->terms.lock_period_s),
  };
  if (may_withdraw & 1u << c.view)
    {
      MooshU256 free_x = moosh_account_free_x (account, a->terms.lock_period_s);
      ret->free_wei = moosh_x_to_wei (&free_x);
    }

  MooshAgreement copy = *a;
  if (moosh_agreement_apply (&copy, MOOSH_EVENT_COLLECT, MOOSH_ACTOR_PROVIDER, NULL, now_s, &moves)
      == MOOSH_REFUSED_NOT)
    ret->withdrawable_wei = moves.to_provider;
  copy = *a;
  if (moosh_agreement_apply (&copy, MOOSH_EVENT_CLOSE, MOOSH_ACTOR_CLIENT, NULL, now_s, &moves)
      == MOOSH_REFUSED_NOT)
    {
      ret->refund_wei = moves.to_payer;
      if (c.view != MOOSH_STATE_TAKEN && c.view != MOOSH_STATE_RECLAIMING)
        {
          MooshU256 fee = early_fee_x (&c);
          fee = moosh_x_min (&fee, &account->bal_x);
          ret->early_fee_wei = moosh_x_to_wei_up (&fee);
        }
    }
}

/* What a party has of it after the call, in X: a client its refund and compensation, a provider its
 * pay and its bond. */
static MooshU256
worth (const MooshAgreement *closed, const MooshMoves *moves, MooshActor by)
{
  if (by == MOOSH_ACTOR_PROVIDER)
    {
      MooshU256 bond = moosh_x_from_wei (&moves->bond_freed);
      return moosh_x_add (&closed->account.earned_x, &bond);
    }
  MooshU256 wei = moosh_x_add (&moves->to_payer, &moves->compensation);
  return moosh_x_from_wei (&wei);
}

bool
moosh_agreement_best_close (const MooshAgreement *a, MooshActor by, uint64_t now_s,
                            MooshEvent *ret_event, MooshReason *ret_reason)
{
  static const MooshEvent ways[] = { MOOSH_EVENT_CLOSE, MOOSH_EVENT_EXPIRE };
  bool found = false;
  MooshU256 best = moosh_u256 (0);
  for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++)
    {
      MooshAgreement copy = *a;
      MooshMoves moves;
      if (moosh_agreement_apply (&copy, ways[i], by, NULL, now_s, &moves) != MOOSH_REFUSED_NOT)
        continue;
      MooshU256 mine = worth (&copy, &moves, by);
      if (found && moosh_u256_cmp (&mine, &best) <= 0)
        continue;
      found = true;
      best = mine;
      *ret_event = ways[i];
      *ret_reason = copy.reason;
    }
  return found;
}

uint64_t
moosh_agreement_next_moment (const MooshAgreement *a, uint64_t now_s)
{
  const MooshTerms *t = &a->terms;
  uint64_t grace = moosh_account_grace_until (&a->account);
  bool served = a->provisioned_s > 0, open = a->state != MOOSH_STATE_CLOSED;
  const uint64_t moments[] = {
    a->state == MOOSH_STATE_TAKEN ? a->taken_s + t->accept_within_s : MOOSH_NEVER,
    open && !served ? a->taken_s + t->provision_within_s : MOOSH_NEVER,
    a->state == MOOSH_STATE_PROVISIONED ? a->provisioned_s + t->probe_window_s : MOOSH_NEVER,
    open && served && t->min_term_s ? a->provisioned_s + t->min_term_s : MOOSH_NEVER,
    open && served && t->max_term_s ? a->provisioned_s + t->max_term_s : MOOSH_NEVER,
    open ? moosh_account_funded_until (&a->account, t->lock_period_s) : MOOSH_NEVER,
    open ? grace : MOOSH_NEVER,
    open && grace != MOOSH_NEVER ? grace + t->retention_s : MOOSH_NEVER,
    a->state == MOOSH_STATE_RECLAIMING ? a->deadline_s : MOOSH_NEVER,
    a->state == MOOSH_STATE_CLOSED ? a->closed_s + t->holdback_s : MOOSH_NEVER,
  };
  uint64_t next = MOOSH_NEVER;
  for (size_t i = 0; i < sizeof moments / sizeof moments[0]; i++)
    if (moments[i] > now_s && moments[i] < next)
      next = moments[i];
  return next;
}
