#include "core/hash/hash.h"
#include "core/key/key.h"
#include "daemon/keyd/policy_rules.h"
#include <stdlib.h>
#include <string.h>

/* One group being read. The first error sticks, so that a reader of many keys needs to ask once. */
typedef struct {
  GKeyFile *file;
  const char *group;
  GError **error;
  gboolean failed;
} Group;

static gboolean refuse (Group *g, const char *key, const char *format, ...) G_GNUC_PRINTF (3, 4);

static gboolean
refuse (Group *g, const char *key, const char *format, ...)
{
  va_list arguments;

  if (g->failed)
    return FALSE;
  g->failed = TRUE;
  va_start (arguments, format);
  g_autofree char *what = g_strdup_vprintf (format, arguments);
  va_end (arguments);
  g_set_error (g->error, MOOSH_ERROR, MOOSH_ERROR_USAGE, "policy file: [%s] %s: %s", g->group, key,
               what);
  return FALSE;
}

/* ---- values ---- */

static char *
text_or_null (Group *g, const char *key)
{
  return g_key_file_get_string (g->file, g->group, key, NULL);
}

static char *
text (Group *g, const char *key)
{
  char *value = text_or_null (g, key);

  if (value == NULL || *value == '\0')
    refuse (g, key, "is missing");
  return value;
}

static char **
list (Group *g, const char *key)
{
  char **values = g_key_file_get_string_list (g->file, g->group, key, NULL, NULL);

  if (values == NULL)
    return g_new0 (char *, 1);
  for (char **v = values; *v != NULL; v++)
    g_strstrip (*v);
  return values;
}

static void
read_amount (Group *g, const char *key, gboolean required, MooshU256 *ret)
{
  g_autofree char *value = text_or_null (g, key);

  *ret = moosh_u256 (0);
  if (value == NULL && !required)
    return;
  if (value == NULL || moosh_u256_from_decimal (value, ret) < 0)
    refuse (g, key, "is not a decimal amount");
}

static void
read_address_text (Group *g, const char *key, const char *value, guint8 ret[20])
{
  if (value == NULL || moosh_address_parse (value, ret) < 0)
    refuse (g, key, "is not an address: %s", value != NULL ? value : "(nothing)");
}

static void
read_address (Group *g, const char *key, guint8 ret[20])
{
  g_autofree char *value = text_or_null (g, key);

  read_address_text (g, key, value, ret);
}

static void
read_addresses (Group *g, const char *key, AddressSet *ret)
{
  g_auto (GStrv) values = list (g, key);

  ret->list = g_array_new (FALSE, FALSE, sizeof (Address));
  for (char **v = values; *v != NULL; v++)
    {
      Address address;
      if (g_str_equal (*v, "*"))
        {
          ret->anybody = TRUE;
          continue;
        }
      read_address_text (g, key, *v, address.bytes);
      g_array_append_val (ret->list, address);
    }
}

/* "0x12345678" or "accept(uint64)". */
static void
read_selector (Group *g, const char *key, const char *value, guint32 *ret)
{
  guint8 hash[32] = { 0 };

  if (strchr (value, '(') != NULL && g_str_has_suffix (value, ")")
      && strpbrk (value, " \t") == NULL)
    moosh_keccak256 (value, strlen (value), hash);
  else if (strlen (value) != 10 || moosh_hex_decode (value, hash, 4) < 0)
    refuse (g, key, "is neither a selector nor a function with its types: %s", value);
  *ret = moosh_get_be32 (hash);
}

static int
read_word_text (Group *g, const char *key, const char *value)
{
  char *end;
  gint64 word = g_ascii_strtoll (value, &end, 10);

  if (*value == '\0' || *end != '\0' || word < 0 || word > 4095)
    refuse (g, key, "is not the number of an argument word: %s", value);
  return (int)word;
}

/* -1 when the key is not there. */
static int
read_word (Group *g, const char *key)
{
  g_autofree char *value = text_or_null (g, key);

  return value != NULL ? read_word_text (g, key, value) : -1;
}

/* A key nobody knows is a typing error that would silently allow or forbid. */
static void
check_keys (Group *g, const char *const *known)
{
  g_auto (GStrv) keys = g_key_file_get_keys (g->file, g->group, NULL, NULL);

  for (char **key = keys; key != NULL && *key != NULL; key++)
    if (!g_strv_contains (known, *key))
      refuse (g, *key, "there is no such key in this group");
}

static const ContractRule *
find_contract (Group *g, const Policy *policy, const char *key)
{
  g_autofree char *name = text (g, key);

  for (guint i = 0; name != NULL && i < policy->contracts->len; i++)
    {
      const ContractRule *rule = policy->contracts->pdata[i];
      if (g_str_equal (rule->name, name))
        return rule;
    }
  refuse (g, key, "there is no group [contract %s]", name);
  return NULL;
}

/* NULL when the key is not there. */
static const TokenRule *
find_token_by_name (Group *g, const Policy *policy, const char *key)
{
  g_autofree char *name = text_or_null (g, key);

  if (name == NULL)
    return NULL;
  for (guint i = 0; i < policy->tokens->len; i++)
    {
      const TokenRule *rule = policy->tokens->pdata[i];
      if (g_str_equal (rule->name, name))
        return rule;
    }
  refuse (g, key, "there is no group [token %s]", name);
  return NULL;
}

/* ---- groups ---- */

static void
read_chains (Group *g, Policy *policy, const char *name)
{
  static const char *const known[] = { "allowed", NULL };
  g_auto (GStrv) values = list (g, "allowed");

  (void)name;
  check_keys (g, known);
  for (char **v = values; *v != NULL; v++)
    {
      guint64 id;
      if (!g_ascii_string_to_unsigned (*v, 10, 1, G_MAXINT64, &id, NULL))
        refuse (g, "allowed", "is not a chain id: %s", *v);
      else
        g_array_append_val (policy->chains, id);
    }
}

static void
read_transactions (Group *g, Policy *policy, const char *name)
{
  static const char *const known[] = { "max_value", "max_fee", "per_day", NULL };

  (void)name;
  check_keys (g, known);
  read_amount (g, "max_value", FALSE, &policy->max_value);
  read_amount (g, "max_fee", TRUE, &policy->max_fee);
  read_amount (g, "per_day", TRUE, &policy->per_day);
}

static void
read_contract (Group *g, Policy *policy, const char *name)
{
  static const char *const known[] = { "address", "functions", NULL };
  ContractRule *rule = g_new0 (ContractRule, 1);
  g_auto (GStrv) functions = list (g, "functions");

  g_ptr_array_add (policy->contracts, rule);
  rule->name = g_strdup (name);
  rule->selectors = g_array_new (FALSE, FALSE, sizeof (guint32));
  check_keys (g, known);
  read_address (g, "address", rule->address);
  for (char **f = functions; *f != NULL; f++)
    {
      guint32 selector;
      if (g_str_equal (*f, "*"))
        {
          rule->all_functions = TRUE;
          continue;
        }
      read_selector (g, "functions", *f, &selector);
      g_array_append_val (rule->selectors, selector);
    }
}

static void
read_token (Group *g, Policy *policy, const char *name)
{
  static const char *const known[]
      = { "address", "per_tx", "per_day", "transfer_to", "spenders", "metered", NULL };
  TokenRule *rule = g_new0 (TokenRule, 1);

  g_ptr_array_add (policy->tokens, rule);
  rule->name = g_strdup (name);
  check_keys (g, known);
  read_address (g, "address", rule->address);
  read_amount (g, "per_tx", TRUE, &rule->per_tx);
  read_amount (g, "per_day", TRUE, &rule->per_day);
  read_addresses (g, "transfer_to", &rule->transfer_to);
  read_addresses (g, "spenders", &rule->spenders);
  read_addresses (g, "metered", &rule->metered);
}

static void
read_call (Group *g, Policy *policy, const char *name)
{
  static const char *const known[]
      = { "contract", "function", "amount_word", "token_word", "token", "self_word", NULL };
  CallRule *rule = g_new0 (CallRule, 1);
  g_autofree char *function = text (g, "function");
  g_auto (GStrv) selves = list (g, "self_word");

  g_ptr_array_add (policy->calls, rule);
  rule->name = g_strdup (name);
  rule->self_words = g_array_new (FALSE, FALSE, sizeof (int));
  check_keys (g, known);
  rule->contract = find_contract (g, policy, "contract");
  if (function != NULL)
    read_selector (g, "function", function, &rule->selector);
  rule->amount_word = read_word (g, "amount_word");
  rule->token_word = read_word (g, "token_word");
  rule->token = find_token_by_name (g, policy, "token");
  if ((rule->amount_word >= 0) != (rule->token_word >= 0 || rule->token != NULL))
    refuse (g, "amount_word",
            "an amount needs its token (token or token_word), and the other way round");
  for (char **s = selves; *s != NULL; s++)
    {
      int word = read_word_text (g, "self_word", *s);
      g_array_append_val (rule->self_words, word);
    }
}

static void
read_spend (Group *g, Policy *policy, TypedRule *rule)
{
  g_autofree char *spend = text_or_null (g, "spend");

  rule->token = find_token_by_name (g, policy, "token");
  rule->token_member = text_or_null (g, "token_member");
  if (spend == NULL)
    return;
  if (g_str_equal (spend, "bid"))
    rule->spend = SPEND_BID;
  else if (g_str_has_prefix (spend, "member:") && spend[7] != '\0')
    {
      rule->spend = SPEND_MEMBER;
      rule->spend_member = g_strdup (spend + 7);
      if (rule->token == NULL && rule->token_member == NULL)
        refuse (g, "spend", "an amount needs its token (token or token_member)");
    }
  else
    refuse (g, "spend", "is neither \"bid\" nor \"member:NAME\": %s", spend);
}

static void
read_typed (Group *g, Policy *policy, const char *name)
{
  static const char *const known[]
      = { "domain", "primary_type", "contract",     "chain",       "where",
          "spend",  "token",        "token_member", "self_member", NULL };
  TypedRule *rule = g_new0 (TypedRule, 1);
  g_autofree char *chain = text_or_null (g, "chain");

  g_ptr_array_add (policy->typed, rule);
  rule->name = g_strdup (name);
  check_keys (g, known);
  rule->domain = text (g, "domain");
  rule->primary_type = text (g, "primary_type");
  rule->has_contract = g_key_file_has_key (g->file, g->group, "contract", NULL);
  if (rule->has_contract)
    read_address (g, "contract", rule->contract);
  if (chain != NULL && !g_str_equal (chain, "none"))
    refuse (g, "chain", "can only be \"none\"");
  rule->without_chain = chain != NULL;
  rule->where = list (g, "where");
  for (char **w = rule->where; *w != NULL; w++)
    if (strchr (*w, ':') == NULL)
      refuse (g, "where", "is not MEMBER:VALUE: %s", *w);
  rule->self_member = text_or_null (g, "self_member");
  read_spend (g, policy, rule);
}

/* In the order in which groups may refer to each other. `named`: "[contract NAME]". */
static const struct {
  const char *kind;
  gboolean named;
  void (*read) (Group *g, Policy *policy, const char *name);
} kinds[] = {
  { "chains", FALSE, read_chains },    { "transactions", FALSE, read_transactions },
  { "contract", TRUE, read_contract }, { "token", TRUE, read_token },
  { "call", TRUE, read_call },         { "typed", TRUE, read_typed },
};

/* The name of a group of this kind, "" for one without a name; NULL: it is of another kind. */
static const char *
name_in (const char *group, gsize kind)
{
  gsize len = strlen (kinds[kind].kind);

  if (strncmp (group, kinds[kind].kind, len) != 0)
    return NULL;
  if (!kinds[kind].named)
    return group[len] == '\0' ? "" : NULL;
  return group[len] == ' ' && group[len + 1] != '\0' ? group + len + 1 : NULL;
}

static gboolean
check_groups (char **groups, GError **error)
{
  for (char **group = groups; *group != NULL; group++)
    {
      gboolean found = FALSE;
      for (gsize k = 0; k < G_N_ELEMENTS (kinds); k++)
        found |= name_in (*group, k) != NULL;
      if (!found)
        {
          g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE,
                       "policy file: there is no kind of group [%s]", *group);
          return FALSE;
        }
    }
  return TRUE;
}

/* ---- the whole ---- */

static void
address_set_clear (AddressSet *set)
{
  g_clear_pointer (&set->list, g_array_unref);
}

static void
contract_free (ContractRule *rule)
{
  g_free (rule->name);
  g_array_unref (rule->selectors);
  g_free (rule);
}

static void
token_free (TokenRule *rule)
{
  g_free (rule->name);
  address_set_clear (&rule->transfer_to);
  address_set_clear (&rule->spenders);
  address_set_clear (&rule->metered);
  g_free (rule);
}

static void
call_free (CallRule *rule)
{
  g_free (rule->name);
  g_array_unref (rule->self_words);
  g_free (rule);
}

static void
typed_free (TypedRule *rule)
{
  g_free (rule->name);
  g_free (rule->domain);
  g_free (rule->primary_type);
  g_strfreev (rule->where);
  g_free (rule->spend_member);
  g_free (rule->token_member);
  g_free (rule->self_member);
  g_free (rule);
}

static Policy *
policy_new (void)
{
  Policy *policy = g_new0 (Policy, 1);

  policy->chains = g_array_new (FALSE, FALSE, sizeof (guint64));
  policy->contracts = g_ptr_array_new_with_free_func ((GDestroyNotify)contract_free);
  policy->tokens = g_ptr_array_new_with_free_func ((GDestroyNotify)token_free);
  policy->calls = g_ptr_array_new_with_free_func ((GDestroyNotify)call_free);
  policy->typed = g_ptr_array_new_with_free_func ((GDestroyNotify)typed_free);
  return policy;
}

void
policy_free (Policy *policy)
{
  g_free (policy->missing);
  g_array_unref (policy->chains);
  g_ptr_array_unref (policy->contracts);
  g_ptr_array_unref (policy->tokens);
  g_ptr_array_unref (policy->calls);
  g_ptr_array_unref (policy->typed);
  g_free (policy);
}

Policy *
policy_parse (const char *file_text, GError **error)
{
  g_autoptr (GKeyFile) file = g_key_file_new ();
  g_autoptr (Policy) policy = policy_new ();
  g_autoptr (GError) local = NULL;

  if (!g_key_file_load_from_data (file, file_text, (gsize)-1, G_KEY_FILE_NONE, &local))
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE, "policy file: %s", local->message);
      return NULL;
    }
  g_auto (GStrv) groups = g_key_file_get_groups (file, NULL);
  if (!check_groups (groups, error))
    return NULL;
  for (gsize k = 0; k < G_N_ELEMENTS (kinds); k++)
    for (char **group = groups; *group != NULL; group++)
      {
        Group g = { file, *group, error, FALSE };
        const char *name = name_in (*group, k);
        if (name != NULL)
          kinds[k].read (&g, policy, name);
        if (g.failed)
          return NULL;
      }
  return g_steal_pointer (&policy);
}

Policy *
policy_load (const char *path, GError **error)
{
  g_autofree char *contents = NULL;
  g_autoptr (GError) local = NULL;

  if (g_file_get_contents (path, &contents, NULL, &local))
    return policy_parse (contents, error);
  if (!g_error_matches (local, G_FILE_ERROR, G_FILE_ERROR_NOENT))
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE, "policy file: %s", local->message);
      return NULL;
    }
  Policy *policy = policy_new ();
  policy->missing = g_strdup (path);
  return policy;
}
