#include "base/json.h"
#include "core/key/key.h"
#include "daemon/keyd/policy_rules.h"
#include <string.h>

#define SELECTOR_TRANSFER 0xa9059cbbu /* transfer(address,uint256) */
#define SELECTOR_APPROVE  0x095ea7b3u /* approve(address,uint256) */

static const guint8 coin[20]; /* zero: the chain's own */

/* One question being answered. */
typedef struct {
  const Policy *policy;
  guint64 chain_id;
  const guint8 *self;
  GPtrArray *spends;
  GError **error;
} Case;

void
spend_free (Spend *spend)
{
  g_free (spend->group);
  g_free (spend);
}

static gboolean deny (Case *c, const char *group, const char *name, const char *format, ...)
    G_GNUC_PRINTF (4, 5);

static gboolean
deny (Case *c, const char *group, const char *name, const char *format, ...)
{
  va_list arguments;

  va_start (arguments, format);
  g_autofree char *what = g_strdup_vprintf (format, arguments);
  va_end (arguments);
  g_set_error (c->error, MOOSH_ERROR, MOOSH_ERROR_DENIED, "policy: [%s%s%s] %s", group,
               name != NULL ? " " : "", name != NULL ? name : "", what);
  return FALSE;
}

/* "120 would exceed 100" for a cap named `key`. */
static gboolean
check_cap (Case *c, const char *group, const char *name, const char *key, const MooshU256 *amount,
           const MooshU256 *cap)
{
  char amount_text[79], cap_text[79];

  if (moosh_u256_cmp (amount, cap) <= 0)
    return TRUE;
  moosh_u256_to_decimal (amount, amount_text);
  moosh_u256_to_decimal (cap, cap_text);
  return deny (c, group, name, "%s: %s would exceed %s", key, amount_text, cap_text);
}

const TokenRule *
policy_find_token (const Policy *policy, const guint8 address[20])
{
  for (guint i = 0; i < policy->tokens->len; i++)
    {
      const TokenRule *rule = policy->tokens->pdata[i];
      if (memcmp (rule->address, address, 20) == 0)
        return rule;
    }
  return NULL;
}

gboolean
address_set_has (const AddressSet *set, const guint8 address[20])
{
  for (guint i = 0; i < set->list->len; i++)
    if (memcmp (g_array_index (set->list, Address, i).bytes, address, 20) == 0)
      return TRUE;
  return set->anybody;
}

/* Put an amount on the list for the ledger, joined with what is there of the same token. */
static void
add_spend (Case *c, const char *group, const guint8 token[20], const MooshU256 *amount,
           const MooshU256 *per_day)
{
  for (guint i = 0; i < c->spends->len; i++)
    {
      Spend *spend = c->spends->pdata[i];
      if (memcmp (spend->token, token, 20) == 0)
        {
          if (moosh_u256_add (&spend->amount, amount, &spend->amount))
            memset (&spend->amount, 0xff, sizeof spend->amount); /* more than any cap */
          return;
        }
    }
  Spend *spend = g_new0 (Spend, 1);
  spend->group = g_strdup (group);
  spend->chain_id = c->chain_id;
  spend->amount = *amount;
  spend->per_day = *per_day;
  memcpy (spend->token, token, 20);
  g_ptr_array_add (c->spends, spend);
}

static gboolean
spend_token (Case *c, const TokenRule *token, const MooshU256 *amount)
{
  g_autofree char *group = g_strconcat ("token ", token->name, NULL);

  if (moosh_u256_is_zero (amount))
    return TRUE;
  if (!check_cap (c, "token", token->name, "per_tx", amount, &token->per_tx))
    return FALSE;
  add_spend (c, group, token->address, amount, &token->per_day);
  return TRUE;
}

static gboolean
check_chain (Case *c)
{
  for (guint i = 0; i < c->policy->chains->len; i++)
    if (g_array_index (c->policy->chains, guint64, i) == c->chain_id)
      return TRUE;
  return deny (c, "chains", NULL, "allowed: chain %" G_GUINT64_FORMAT " is not on the list",
               c->chain_id);
}

static gboolean
check_present (Case *c)
{
  if (c->policy->missing == NULL)
    return TRUE;
  g_set_error (
      c->error, MOOSH_ERROR, MOOSH_ERROR_DENIED,
      "policy: there is no %s, so nothing that costs money is signed (moosh init or moosh-keyd "
      "--write-policy makes one)",
      c->policy->missing);
  return FALSE;
}

/* ---- transactions ---- */

static gboolean
check_cost (Case *c, const MooshTx *tx)
{
  const MooshU256 gas = moosh_u256 (tx->gas);
  MooshU256 fee;

  if (moosh_u256_mul (&gas, &tx->max_fee, &fee))
    return deny (c, "transactions", NULL, "max_fee: more than 2^256 wei");
  if (!check_cap (c, "transactions", NULL, "max_value", &tx->value, &c->policy->max_value)
      || !check_cap (c, "transactions", NULL, "max_fee", &fee, &c->policy->max_fee))
    return FALSE;
  add_spend (c, "transactions", coin, &fee, &c->policy->per_day);
  add_spend (c, "transactions", coin, &tx->value, &c->policy->per_day);
  return TRUE;
}

/* Argument word i of a call; FALSE when the data ends before it does. */
static gboolean
word_at (MooshSpan data, int i, guint8 ret[32])
{
  gsize at = 4 + (gsize)i * 32;

  if (data.len < at + 32)
    return FALSE;
  memcpy (ret, data.ptr + at, 32);
  return TRUE;
}

/* The same as an address: the twelve bytes before it must be zero. */
static gboolean
address_at (MooshSpan data, int i, guint8 ret[20])
{
  static const guint8 zero[12];
  guint8 word[32];

  if (!word_at (data, i, word) || memcmp (word, zero, 12) != 0)
    return FALSE;
  memcpy (ret, word + 12, 20);
  return TRUE;
}

/* An allowance: counted, unless what the spender takes is counted when it takes it. */
static gboolean
check_allowance (Case *c, const TokenRule *token, const guint8 spender[20], const MooshU256 *amount)
{
  char who[MOOSH_ADDRESS_TEXT];

  if (address_set_has (&token->metered, spender))
    return check_cap (c, "token", token->name, "per_tx", amount, &token->per_tx);
  if (address_set_has (&token->spenders, spender))
    return spend_token (c, token, amount);
  moosh_address_format (spender, who);
  return deny (c, "token", token->name, "spenders: %s is not on the list", who);
}

static gboolean
check_erc20 (Case *c, const TokenRule *token, const MooshTx *tx, guint32 selector)
{
  guint8 other[20], word[32];
  char who[MOOSH_ADDRESS_TEXT];

  if ((selector != SELECTOR_TRANSFER && selector != SELECTOR_APPROVE))
    return deny (c, "token", token->name, "address: only transfer and approve, not 0x%08x",
                 selector);
  if (tx->data.len != 68 || !address_at (tx->data, 0, other) || !word_at (tx->data, 1, word))
    return deny (c, "token", token->name,
                 "address: the call's arguments are not (address,uint256)");

  MooshU256 amount = moosh_u256_from_be (word);
  if (selector == SELECTOR_APPROVE)
    return check_allowance (c, token, other, &amount);
  moosh_address_format (other, who);
  if (!address_set_has (&token->transfer_to, other))
    return deny (c, "token", token->name, "transfer_to: %s is not on the list", who);
  return spend_token (c, token, &amount);
}

static gboolean
check_call_amount (Case *c, const CallRule *rule, MooshSpan data)
{
  const TokenRule *token = rule->token;
  guint8 word[32], address[20];
  char who[MOOSH_ADDRESS_TEXT];

  if (rule->amount_word < 0)
    return TRUE;
  if (!word_at (data, rule->amount_word, word))
    return deny (c, "call", rule->name, "amount_word: the call has no such argument");
  MooshU256 amount = moosh_u256_from_be (word);
  if (token == NULL)
    {
      if (!address_at (data, rule->token_word, address))
        return deny (c, "call", rule->name, "token_word: the call has no address there");
      token = policy_find_token (c->policy, address);
      moosh_address_format (address, who);
      if (token == NULL)
        return deny (c, "call", rule->name, "token_word: there is no [token] with the address %s",
                     who);
    }
  return spend_token (c, token, &amount);
}

static gboolean
check_call (Case *c, const CallRule *rule, MooshSpan data)
{
  for (guint i = 0; i < rule->self_words->len; i++)
    {
      int word = g_array_index (rule->self_words, int, i);
      guint8 address[20];
      if (!address_at (data, word, address) || memcmp (address, c->self, 20) != 0)
        return deny (c, "call", rule->name,
                     "self_word: argument word %d is not this wallet's address", word);
    }
  return check_call_amount (c, rule, data);
}

static gboolean
check_contract (Case *c, const ContractRule *contract, const MooshTx *tx, guint32 selector)
{
  for (guint i = 0; i < c->policy->calls->len; i++)
    {
      const CallRule *rule = c->policy->calls->pdata[i];
      if (rule->contract == contract && rule->selector == selector)
        return check_call (c, rule, tx->data);
    }
  for (guint i = 0; i < contract->selectors->len; i++)
    if (g_array_index (contract->selectors, guint32, i) == selector)
      return TRUE;
  if (contract->all_functions)
    return TRUE;
  return deny (c, "contract", contract->name, "functions: 0x%08x is not on the list", selector);
}

static gboolean
check_target (Case *c, const MooshTx *tx)
{
  const TokenRule *token = policy_find_token (c->policy, tx->to);
  guint32 selector = tx->data.len >= 4 ? moosh_get_be32 (tx->data.ptr) : 0;
  char who[MOOSH_ADDRESS_TEXT];

  if (tx->data.len < 4)
    return deny (c, "contract", "*", "functions: the transaction calls none");
  for (guint i = 0; i < c->policy->contracts->len; i++)
    {
      const ContractRule *contract = c->policy->contracts->pdata[i];
      /* a token's own functions are the token's business, whatever else is allowed at its address
       */
      if (memcmp (contract->address, tx->to, 20) == 0
          && (token == NULL || (selector != SELECTOR_TRANSFER && selector != SELECTOR_APPROVE)))
        return check_contract (c, contract, tx, selector);
    }
  if (token != NULL)
    return check_erc20 (c, token, tx, selector);
  moosh_address_format (tx->to, who);
  return deny (c, "contract", "*", "address: %s is not on the list", who);
}

GPtrArray *
policy_check_tx (const Policy *policy, const MooshTx *tx, const guint8 self[20], GError **error)
{
  g_autoptr (GPtrArray) spends = g_ptr_array_new_with_free_func ((GDestroyNotify)spend_free);
  Case c = { policy, tx->chain_id, self, spends, error };

  if (!check_present (&c) || !check_chain (&c) || !check_target (&c, tx) || !check_cost (&c, tx))
    return NULL;
  return g_steal_pointer (&spends);
}

/* ---- typed data ---- */

static gboolean
member_number (const Typed *typed, const char *name, MooshU256 *ret)
{
  JsonNode *node = json_object_get_member (typed->message, name);

  return node != NULL && typed_number (node, ret);
}

static gboolean
member_address (const Typed *typed, const char *name, guint8 ret[20])
{
  return moosh_address_parse (moosh_json_string_or (typed->message, name, ""), ret) == MOOSH_OK;
}

/* "member:value" against the message: text by letters of any case, numbers by value. */
static gboolean
where_holds (const Typed *typed, const char *where)
{
  const char *colon = strchr (where, ':');
  g_autofree char *name = g_strndup (where, (gsize)(colon - where));
  JsonNode *node = json_object_get_member (typed->message, name);
  MooshU256 number, wanted;

  if (node == NULL || !JSON_NODE_HOLDS_VALUE (node))
    return FALSE;
  if (moosh_u256_from_decimal (colon + 1, &wanted) == MOOSH_OK && typed_number (node, &number))
    return moosh_u256_cmp (&number, &wanted) == 0;
  return json_node_get_value_type (node) == G_TYPE_STRING
         && g_ascii_strcasecmp (json_node_get_string (node), colon + 1) == 0;
}

/* Is it of this rule's kind? What the rule then asks of it is another matter. */
static gboolean
is_of_kind (const TypedRule *rule, const Typed *typed)
{
  if (g_strcmp0 (rule->domain, typed->domain_name) != 0
      || !g_str_equal (rule->primary_type, typed->primary_type)
      || rule->has_contract != typed->has_contract || rule->without_chain == typed->has_chain_id)
    return FALSE;
  if (rule->has_contract && memcmp (rule->contract, typed->contract, 20) != 0)
    return FALSE;
  for (char **w = rule->where; *w != NULL; w++)
    if (!where_holds (typed, *w))
      return FALSE;
  return TRUE;
}

/* What Agreements.fill can take for the whole volume of an Offer to buy, in token-wei:
 *   volume * max (ceil ((rateX * max (lockPeriod, minTerm) + retentionRateX * retention) / 2^32),
 * rejectFee) Filled in parts it is rounded up once a part, which is never more. */
static gboolean
bid_amount (const Typed *typed, MooshU256 *ret)
{
  static const char *const names[]
      = { "rateX", "lockPeriod", "minTerm", "retentionRateX", "retention", "rejectFee", "volume" };
  enum { RATE, LOCK, TERM, RETENTION_RATE, RETENTION, FEE, VOLUME, N };
  MooshU256 n[N], rent, kept;
  const MooshU256 fraction = moosh_u256 (0xffffffffu);

  for (gsize i = 0; i < N; i++)
    if (!member_number (typed, names[i], &n[i]))
      return FALSE;
  const MooshU256 *period = moosh_u256_cmp (&n[TERM], &n[LOCK]) > 0 ? &n[TERM] : &n[LOCK];
  if (moosh_u256_mul (&n[RATE], period, &rent)
      || moosh_u256_mul (&n[RETENTION_RATE], &n[RETENTION], &kept)
      || moosh_u256_add (&rent, &kept, &rent) || moosh_u256_add (&rent, &fraction, &rent))
    return FALSE;
  rent = moosh_u256_shr (&rent, 32);
  if (moosh_u256_cmp (&rent, &n[FEE]) < 0)
    rent = n[FEE];
  return !moosh_u256_mul (&rent, &n[VOLUME], ret);
}

static gboolean
check_typed_spend (Case *c, const TypedRule *rule, const Typed *typed)
{
  const TokenRule *token = rule->token;
  const char *token_member = rule->spend == SPEND_BID ? "token" : rule->token_member;
  guint8 address[20];
  MooshU256 amount;

  if (rule->spend == SPEND_NOTHING)
    return TRUE;
  if (rule->spend == SPEND_BID ? !bid_amount (typed, &amount)
                               : !member_number (typed, rule->spend_member, &amount))
    return deny (c, "typed", rule->name, "spend: the message has no such amount");
  if (token == NULL)
    {
      if (!member_address (typed, token_member, address)
          || (token = policy_find_token (c->policy, address)) == NULL)
        return deny (c, "typed", rule->name, "token_member: there is no [token] for it");
    }
  return spend_token (c, token, &amount);
}

static gboolean
check_rule (Case *c, const TypedRule *rule, const Typed *typed)
{
  guint8 address[20];

  if (rule->self_member != NULL
      && (!member_address (typed, rule->self_member, address)
          || memcmp (address, c->self, 20) != 0))
    return deny (c, "typed", rule->name, "self_member: \"%s\" is not this wallet's address",
                 rule->self_member);
  return check_typed_spend (c, rule, typed);
}

/* EIP-2612: an allowance by signature. */
static gboolean
check_permit (Case *c, const TokenRule *token, const Typed *typed)
{
  guint8 owner[20], spender[20];
  MooshU256 value;

  if (!member_address (typed, "owner", owner) || !member_address (typed, "spender", spender)
      || !member_number (typed, "value", &value) || json_object_get_size (typed->message) != 5)
    return deny (c, "token", token->name, "permit: not a Permit of EIP-2612");
  if (memcmp (owner, c->self, 20) != 0)
    return deny (c, "token", token->name, "permit: its owner is not this wallet");
  return check_allowance (c, token, spender, &value);
}

static gboolean
check_typed (Case *c, const Typed *typed)
{
  const TokenRule *token
      = typed->has_contract ? policy_find_token (c->policy, typed->contract) : NULL;

  if (typed->has_chain_id && !check_chain (c))
    return FALSE;
  if (token != NULL && typed->has_chain_id && g_str_equal (typed->primary_type, "Permit"))
    return check_permit (c, token, typed);
  for (guint i = 0; i < c->policy->typed->len; i++)
    if (is_of_kind (c->policy->typed->pdata[i], typed))
      return check_rule (c, c->policy->typed->pdata[i], typed);
  return deny (c, "typed", "*", "primary_type: nothing allows %s of the domain \"%s\"",
               typed->primary_type, typed->domain_name != NULL ? typed->domain_name : "");
}

GPtrArray *
policy_check_typed (const Policy *policy, const Typed *typed, const guint8 self[20], GError **error)
{
  g_autoptr (GPtrArray) spends = g_ptr_array_new_with_free_func ((GDestroyNotify)spend_free);
  Case c = { policy, typed->chain_id, self, spends, error };

  if (!check_present (&c) || !check_typed (&c, typed))
    return NULL;
  return g_steal_pointer (&spends);
}
