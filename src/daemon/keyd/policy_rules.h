/** A policy as it is kept: the groups of the file, resolved. Made by policy_load.c, asked by
 * policy.c. */
#pragma once
#include "daemon/keyd/policy.h"

typedef struct {
  guint8 bytes[20];
} Address;

/** Addresses, or anybody. */
typedef struct {
  gboolean anybody;
  GArray *list; /* Address */
} AddressSet;

typedef struct {
  char *name;
  guint8 address[20];
  gboolean all_functions;
  GArray *selectors; /* guint32 */
} ContractRule;

typedef struct {
  char *name;
  guint8 address[20];
  MooshU256 per_tx, per_day;
  AddressSet transfer_to, spenders, metered;
} TokenRule;

typedef struct {
  char *name;
  const ContractRule *contract;
  guint32 selector;
  int amount_word; /* -1: none */
  int token_word;  /* -1: see token */
  const TokenRule *token;
  GArray *self_words; /* int */
} CallRule;

typedef enum { SPEND_NOTHING, SPEND_MEMBER, SPEND_BID } SpendKind;

typedef struct {
  char *name;
  char *domain;
  char *primary_type;
  gboolean has_contract;
  guint8 contract[20];
  gboolean without_chain;
  char **where; /* "member:value" */
  SpendKind spend;
  char *spend_member;
  const TokenRule *token;
  char *token_member;
  char *self_member;
} TypedRule;

struct Policy {
  char *missing;  /* set: there is no policy, and this is its path */
  GArray *chains; /* guint64 */
  MooshU256 max_value, max_fee, per_day;
  GPtrArray *contracts, *tokens, *calls, *typed;
};

const TokenRule *policy_find_token (const Policy *policy, const guint8 address[20]);
gboolean address_set_has (const AddressSet *set, const guint8 address[20]);
