/** Every ending has a named reason and a next step. */
#pragma once

/** Close reasons, numbered as in the contracts' CloseReason. */
typedef enum {
  MOOSH_REASON_NONE = 0,
  MOOSH_REASON_PROVIDER_TIMEOUT = 1,
  MOOSH_REASON_BUYER_CANCEL = 2,
  MOOSH_REASON_REJECTED = 3,
  MOOSH_REASON_BUYER = 4,
  MOOSH_REASON_EXPIRED = 5,
  MOOSH_REASON_FUNDS = 6,
  MOOSH_REASON_EARLY_EXIT = 7,
  MOOSH_REASON_RECLAIM = 8,
  MOOSH_N_REASONS
} MooshReason;

/** The reason's name in events, JSON and logs: "ProviderTimeout". Static, never NULL. */
const char *moosh_reason_name (MooshReason reason);
/** Back from a name; MOOSH_REASON_NONE for one we do not know. */
MooshReason moosh_reason_from_name (const char *name);

/** What happened and what became of the money, one sentence. Static, never NULL. */
const char *moosh_reason_text (MooshReason reason);
/** What to do now: for the client, for the provider. Static, never NULL. */
const char *moosh_reason_next_client (MooshReason reason);
const char *moosh_reason_next_provider (MooshReason reason);
