#include "machine/policy.h"
#include "core/bytes/bytes.h"
#include "core/hash/hash.h"
#include <string.h>

typedef enum { RULE_GIT, RULE_COMMIT, RULE_CLOSURE } RuleKind;

static const char *const rule_names[]
    = { [RULE_GIT] = "git", [RULE_COMMIT] = "commit", [RULE_CLOSURE] = "closure" };

typedef struct {
  RuleKind kind;
  char **words; /* after the rule's name; at least one */
} Rule;

static void
rule_free (gpointer memory)
{
  Rule *rule = memory;

  g_strfreev (rule->words);
  g_free (rule);
}

static gboolean
refuse_line (GError **error, guint number, const char *why)
{
  g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE, "software policy, line %u: %s", number, why);
  return FALSE;
}

static char **
split_words (const char *line)
{
  g_autoptr (GStrvBuilder) words = g_strv_builder_new ();
  g_auto (GStrv) pieces = g_strsplit_set (line, " \t\r", -1);

  for (char **piece = pieces; *piece != NULL; piece++)
    if (**piece != '\0')
      g_strv_builder_add (words, *piece);
  return g_strv_builder_end (words);
}

static gboolean
rule_check (RuleKind kind, char **words, guint number, GError **error)
{
  guint count = g_strv_length (words);
  guint8 commit[MOOSH_COMMIT_LEN];

  if (count == 0)
    return refuse_line (error, number, "the rule says nothing");
  switch (kind)
    {
    case RULE_GIT:
      if (!g_str_has_prefix (words[0], "https://") && !g_str_has_prefix (words[0], "ssh://")
          && !g_str_has_prefix (words[0], "file:///"))
        return refuse_line (error, number,
                            "git takes a URL that begins with https://, ssh:// or file:///");
      for (guint i = 1; i < count; i++)
        if (!moosh_blueprint_attribute_check (words[i], NULL))
          return refuse_line (error, number, "after the URL come attributes");
      return TRUE;
    case RULE_COMMIT:
      if (count != 1 || strlen (words[0]) != 2 * MOOSH_COMMIT_LEN
          || moosh_hex_decode (words[0], commit, sizeof commit) != MOOSH_OK)
        return refuse_line (error, number, "commit takes 40 hex digits");
      return TRUE;
    case RULE_CLOSURE:
      return count == 1 || refuse_line (error, number, "closure takes one pattern");
    }
  return FALSE;
}

static gboolean
rule_parse (const char *line, guint number, GPtrArray *rules, GError **error)
{
  g_auto (GStrv) words = split_words (line);
  Rule *rule;
  guint kind;

  if (words[0] == NULL || words[0][0] == '#')
    return TRUE;
  for (kind = 0; kind < G_N_ELEMENTS (rule_names); kind++)
    if (strcmp (words[0], rule_names[kind]) == 0)
      break;
  if (kind == G_N_ELEMENTS (rule_names))
    return refuse_line (error, number, "a rule begins with git, commit or closure");
  if (!rule_check ((RuleKind)kind, words + 1, number, error))
    return FALSE;
  if (rules->len == MOOSH_POLICY_RULES_MAX)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_LIMIT, "software policy: more than %d rules",
                   MOOSH_POLICY_RULES_MAX);
      return FALSE;
    }
  rule = g_new0 (Rule, 1);
  rule->kind = (RuleKind)kind;
  rule->words = g_strdupv (words + 1);
  g_ptr_array_add (rules, rule);
  return TRUE;
}

/* Element type Rule *; empty for NULL and "". */
static GPtrArray *
parse (const char *text, GError **error)
{
  g_autoptr (GPtrArray) rules = g_ptr_array_new_with_free_func (rule_free);
  g_auto (GStrv) lines = NULL;

  if (text == NULL)
    return g_steal_pointer (&rules);
  if (strlen (text) > MOOSH_POLICY_BYTES_MAX)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_LIMIT, "software policy: longer than %d bytes",
                   MOOSH_POLICY_BYTES_MAX);
      return NULL;
    }
  lines = g_strsplit (text, "\n", -1);
  for (guint i = 0; lines[i] != NULL; i++)
    if (!rule_parse (lines[i], i + 1, rules, error))
      return NULL;
  return g_steal_pointer (&rules);
}

gboolean
moosh_policy_check (const char *text, GError **error)
{
  g_autoptr (GPtrArray) rules = parse (text, error);

  return rules != NULL;
}

void
moosh_policy_hash (const char *text, guint8 ret[32])
{
  memset (ret, 0, 32);
  if (text != NULL && *text != '\0')
    moosh_sha256 (text, strlen (text), ret);
}

/* "https://h/a" holds "https://h/a", "https://h/a.git" and "https://h/a/b", not "https://h/ab". */
static gboolean
below (const char *prefix, const char *url)
{
  gsize len = strlen (prefix);

  if (!g_str_has_prefix (url, prefix))
    return FALSE;
  return prefix[len - 1] == '/' || url[len] == '\0' || url[len] == '/'
         || strcmp (url + len, ".git") == 0;
}

static gboolean
fits_source (const Rule *rule, const char *url, const char *commit, const char *attribute)
{
  if (rule->kind == RULE_COMMIT)
    return g_ascii_strcasecmp (rule->words[0], commit) == 0;
  return rule->kind == RULE_GIT && below (rule->words[0], url)
         && (rule->words[1] == NULL
             || g_strv_contains ((const char *const *)rule->words + 1, attribute));
}

gboolean
moosh_policy_allows_source (const char *text, const char *url,
                            const guint8 commit[MOOSH_COMMIT_LEN], const char *attribute,
                            GError **error)
{
  g_autoptr (GPtrArray) rules = parse (text, error);
  char hex[2 * MOOSH_COMMIT_LEN + 1];
  gboolean restricted = FALSE;

  if (rules == NULL)
    return FALSE;
  moosh_hex_encode (commit, MOOSH_COMMIT_LEN, hex);
  for (guint i = 0; i < rules->len; i++)
    {
      const Rule *rule = rules->pdata[i];

      if (fits_source (rule, url, hex, attribute))
        return TRUE;
      restricted = restricted || rule->kind != RULE_CLOSURE;
    }
  if (!restricted)
    return TRUE;
  g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_DENIED,
               "the offer's software policy allows neither %s#%s nor its commit %s", url, attribute,
               hex);
  return FALSE;
}

/* "/nix/store/<32 characters>-name" -> name. */
static const char *
store_name (const char *path)
{
  const char *base = strrchr (path, '/') != NULL ? strrchr (path, '/') + 1 : path;

  return strlen (base) > 33 && base[32] == '-' ? base + 33 : base;
}

gboolean
moosh_policy_allows_closure (const char *text, const char *const *paths, GError **error)
{
  g_autoptr (GPtrArray) rules = parse (text, error);

  if (rules == NULL)
    return FALSE;
  for (; *paths != NULL; paths++)
    {
      gboolean restricted = FALSE, fits = FALSE;

      for (guint i = 0; i < rules->len && !fits; i++)
        {
          const Rule *rule = rules->pdata[i];

          restricted = restricted || rule->kind == RULE_CLOSURE;
          fits = rule->kind == RULE_CLOSURE
                 && g_pattern_match_simple (rule->words[0], store_name (*paths));
        }
      if (restricted && !fits)
        {
          g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_DENIED,
                       "the offer's software policy does not allow %s", *paths);
          return FALSE;
        }
    }
  return TRUE;
}
