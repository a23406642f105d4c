/* The wizard's questions: one table, from which asking, checking, presets and preseed files all
 * work. */
#include "cli/text.h"
#include "cli/vmm_plan.h"
#include "core/bytes/u256.h"
#include <string.h>

typedef enum {
  KIND_CHOICE,
  KIND_PERCENT,
  KIND_COUNT,
  KIND_MIB,
  KIND_GIB,
  KIND_PRICE,
  KIND_TIME,
  KIND_TIME0,
  KIND_SIZES,
  KIND_AMOUNT,
  KIND_ENDPOINT
} Kind;

static const struct {
  const char *key;
  Kind kind;
  const char *choices;  /* KIND_CHOICE: allowed words */
  const char *standard; /* default, and of the preset "standard" */
  const char *dev;      /* of the preset "dev"; NULL: as standard */
  gboolean term;        /* belongs to the presets: asked only when the terms are one's own */
  const char *text;
} questions[VMM_N_QUESTIONS] = {
  [VMM_CLASS] = { "class", KIND_CHOICE, "dedicated shared", "dedicated", NULL, FALSE,
                  "Sell whole cores (dedicated), or more than there are (shared)?" },
  [VMM_OVERCOMMIT] = { "overcommit_pct", KIND_PERCENT, NULL, "200", NULL, FALSE,
                       "vCPUs sold per 100 cores (declared in the offer)" },
  [VMM_CORES] = { "cores", KIND_COUNT, NULL, NULL, NULL, FALSE, "Cores for machines" },
  [VMM_RAM] = { "ram", KIND_MIB, NULL, NULL, NULL, FALSE, "Memory for machines" },
  [VMM_DISK] = { "disk", KIND_GIB, NULL, NULL, NULL, FALSE, "Disk for machines" },
  [VMM_SIZES]
  = { "sizes", KIND_SIZES, NULL, NULL, NULL, FALSE, "Sizes to sell (NAME:VCPU:RAM:DISK, …)" },
  [VMM_PRICE_VCPU]
  = { "price_vcpu", KIND_PRICE, NULL, "0.01", NULL, FALSE, "Price of one vCPU per hour" },
  [VMM_PRICE_RAM]
  = { "price_ram", KIND_PRICE, NULL, "0.004", NULL, FALSE, "Price of one GiB of memory per hour" },
  [VMM_PRICE_DISK]
  = { "price_disk", KIND_PRICE, NULL, "0.0001", NULL, FALSE, "Price of one GiB of disk per hour" },
  [VMM_PAUSED_PCT] = { "paused_pct", KIND_PERCENT, NULL, "50", NULL, FALSE,
                       "Price of a paused machine in percent of the full one (0: no pausing)" },
  [VMM_TERMS] = { "terms", KIND_CHOICE, "standard dev own", "standard", NULL, FALSE,
                  "Terms: standard (a day's notice), dev (seconds, for trying out), or own" },
  [VMM_MIN_TERM] = { "min_term", KIND_TIME0, NULL, "0", "0", TRUE, "Minimum term (0: none)" },
  [VMM_MAX_TERM] = { "max_term", KIND_TIME0, NULL, "0", "0", TRUE, "Maximum term (0: none)" },
  [VMM_NOTICE] = { "notice", KIND_TIME0, NULL, "24h", "10s", TRUE,
                   "Notice you give before you take a machine back" },
  [VMM_HOLDBACK]
  = { "holdback", KIND_TIME0, NULL, "24h", "5s", TRUE, "How long the newest pay is held back" },
  [VMM_RETENTION] = { "retention", KIND_TIME0, NULL, "72h", "20s", TRUE,
                      "How long disks are kept after the money is gone" },
  [VMM_LOCK_PERIOD] = { "lock_period", KIND_TIME0, NULL, "24h", "10s", TRUE,
                        "How much rent stays locked while it runs" },
  [VMM_ACCEPT_WITHIN]
  = { "accept_within", KIND_TIME, NULL, "120s", "30s", TRUE, "Accept a taken offer within" },
  [VMM_PROVISION_WITHIN]
  = { "provision_within", KIND_TIME, NULL, "20min", "5min", TRUE, "Have the machine up within" },
  [VMM_PROBE_WINDOW]
  = { "probe_window", KIND_TIME, NULL, "10min", "60s", TRUE, "The client may reject it within" },
  [VMM_VALID_FOR]
  = { "valid_for", KIND_TIME, NULL, "30d", NULL, FALSE, "Orders expire, if not renewed, after" },
  [VMM_STAKE] = { "stake", KIND_AMOUNT, NULL, NULL, NULL, FALSE,
                  "Stake (covers the bond of every machine that can be sold)" },
  [VMM_ENDPOINT] = { "endpoint", KIND_ENDPOINT, NULL, NULL, NULL, FALSE,
                     "Where other nodes reach this one (HOST:PORT)" },
};

const char *
vmm_question_key (VmmQuestion question)
{
  return questions[question].key;
}

const char *
vmm_question_text (VmmQuestion question)
{
  return questions[question].text;
}

void
vmm_answers_clear (VmmAnswers *answers)
{
  for (int i = 0; i < VMM_N_QUESTIONS; i++)
    g_clear_pointer (&answers->text[i], g_free);
}

gboolean
vmm_question_applies (VmmQuestion question, const VmmAnswers *answers)
{
  if (question == VMM_OVERCOMMIT)
    return g_strcmp0 (answers->text[VMM_CLASS], "shared") == 0;
  return !questions[question].term || g_strcmp0 (answers->text[VMM_TERMS], "own") == 0;
}

static gboolean
is_word_of (const char *words, const char *word)
{
  g_auto (GStrv) list = g_strsplit (words, " ", -1);
  return g_strv_contains ((const char *const *)list, word);
}

static gboolean
check_choice (const char *words, const char *text, GError **error)
{
  if (is_word_of (words, text))
    return TRUE;
  g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE, "\"%s\" is none of: %s", text, words);
  return FALSE;
}

static gboolean
check_number (const char *text, guint64 min, guint64 max, GError **error)
{
  guint64 v;

  if (g_ascii_string_to_unsigned (text, 10, min, max, &v, NULL))
    return TRUE;
  g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE,
               "\"%s\" is not a number from %" G_GUINT64_FORMAT " to %" G_GUINT64_FORMAT, text, min,
               max);
  return FALSE;
}

static gboolean
check_amount (const char *text, GError **error)
{
  MooshU256 v;

  if (moosh_u256_from_amount (text, 18, &v) == MOOSH_OK)
    return TRUE;
  g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE,
               "\"%s\" is not an amount: write it like 10 or 0.5", text);
  return FALSE;
}

static gboolean
check_sizes (const char *text, GError **error)
{
  g_auto (GStrv) list = g_strsplit (*text ? text : " ", ",", -1); /* splitting "" gives nothing */

  for (char **size = list; *size != NULL; size++)
    {
      g_auto (GStrv) part = g_strsplit (g_strstrip (*size), ":", -1);
      gint64 v;

      if (g_strv_length (part) != 4 || *part[0] == '\0')
        {
          g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE,
                       "\"%s\" is no size: write NAME:VCPU:RAM:DISK, like small:1:1G:10G", *size);
          return FALSE;
        }
      if (!cli_parse_vcpu (part[1], &v, error) || !cli_parse_mib (part[2], &v, error)
          || !cli_parse_gib (part[3], &v, error))
        return FALSE;
    }
  return TRUE;
}

static gboolean
check_endpoint (const char *text, GError **error)
{
  const char *colon = strrchr (text, ':');
  guint64 port;

  if (*text == '\0'
      || (colon != NULL && colon != text
          && g_ascii_string_to_unsigned (colon + 1, 10, 1, 65535, &port, NULL)))
    return TRUE;
  g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE, "\"%s\" is not HOST:PORT", text);
  return FALSE;
}

gboolean
vmm_answer_check (VmmQuestion question, const char *text, GError **error)
{
  g_autofree char *price = NULL;
  gint64 v;

  switch (questions[question].kind)
    {
    case KIND_CHOICE:
      return check_choice (questions[question].choices, text, error);
    case KIND_PERCENT:
      return question == VMM_OVERCOMMIT ? check_number (text, 100, 1600, error)
                                        : check_number (text, 0, 100, error);
    case KIND_COUNT:
      return check_number (text, 1, 100000, error);
    case KIND_MIB:
      return cli_parse_mib (text, &v, error);
    case KIND_GIB:
      return cli_parse_gib (text, &v, error);
    case KIND_PRICE:
      price = cli_parse_price (text, error);
      return price != NULL;
    case KIND_TIME0:
      return strcmp (text, "0") == 0 || cli_parse_duration (text, &v, error);
    case KIND_TIME:
      return cli_parse_duration (text, &v, error);
    case KIND_SIZES:
      return check_sizes (text, error);
    case KIND_AMOUNT:
      return check_amount (text, error);
    case KIND_ENDPOINT:
      return check_endpoint (text, error);
    }
  g_return_val_if_reached (FALSE);
}

/* Every eighth core, and one at least, stays with the host; a host of one core has none to keep. */
static gint64
cores_to_sell (gint64 cores)
{
  return cores > 1 ? cores - MAX (1, cores / 8) : MAX (cores, 1);
}

/* An eighth of the memory and 1 GiB at least stay with the host, half of it on a small one. */
static gint64
ram_to_sell (gint64 mib)
{
  gint64 sell = mib >= 2048 ? mib - MAX (1024, mib / 8) : mib / 2;
  return MAX (sell / 128 * 128, 128);
}

static char *
default_sizes (const VmmAnswers *answers)
{
  static const struct {
    const char *name;
    gint64 cores, mib, gib;
  } sizes[] = { { "small", 1, 1024, 10 }, { "medium", 2, 4096, 20 }, { "large", 4, 8192, 40 } };
  gint64 cores = g_ascii_strtoll (answers->text[VMM_CORES], NULL, 10), mib = 0, gib = 0;
  GString *text = g_string_new (NULL);

  cli_parse_mib (answers->text[VMM_RAM], &mib, NULL);
  cli_parse_gib (answers->text[VMM_DISK], &gib, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (sizes); i++)
    if (i == 0) /* there is always a small one, however small the host */
      g_string_append_printf (text, "small:1:%" G_GINT64_FORMAT "M:%" G_GINT64_FORMAT "G",
                              MIN (sizes[i].mib, mib), MIN (sizes[i].gib, gib));
    else if (sizes[i].cores <= cores && sizes[i].mib <= mib && sizes[i].gib <= gib)
      g_string_append_printf (
          text, ",%s:%" G_GINT64_FORMAT ":%" G_GINT64_FORMAT "M:%" G_GINT64_FORMAT "G",
          sizes[i].name, sizes[i].cores, sizes[i].mib, sizes[i].gib);
  return g_string_free (text, FALSE);
}

char *
vmm_answer_default (VmmQuestion question, const VmmMeasure *host, const VmmAnswers *answers)
{
  gboolean dev = g_strcmp0 (answers->text[VMM_TERMS], "dev") == 0;

  if (question == VMM_CORES)
    return g_strdup_printf ("%" G_GINT64_FORMAT, cores_to_sell (host->cores));
  if (question == VMM_RAM)
    return g_strdup_printf ("%" G_GINT64_FORMAT "M", ram_to_sell (host->ram_mib));
  if (question == VMM_DISK)
    return g_strdup_printf ("%" G_GINT64_FORMAT "G", MAX (host->disk_free_gib * 4 / 5, 1));
  if (question == VMM_SIZES)
    return default_sizes (answers);
  if (question == VMM_ENDPOINT)
    return g_strdup (host->endpoint ? host->endpoint : "");
  if (question == VMM_STAKE)
    {
      g_autoptr (VmmPlan) plan = vmm_plan_new (host, answers, NULL);
      return plan ? cli_amount_text (plan->stake_wei, host->token_decimals, host->token_decimals)
                  : g_strdup ("0");
    }
  return g_strdup (dev && questions[question].dev ? questions[question].dev
                                                  : questions[question].standard);
}

gboolean
vmm_preseed_parse (const char *text, VmmAnswers *answers, GError **error)
{
  g_auto (GStrv) lines = g_strsplit (text, "\n", -1);

  for (guint n = 0; lines[n] != NULL; n++)
    {
      char *line = g_strstrip (lines[n]);
      char *equals = strchr (line, '=');
      int q = 0;

      if (*line == '\0' || *line == '#')
        continue;
      if (equals != NULL)
        *equals = '\0';
      while (equals != NULL && q < VMM_N_QUESTIONS
             && strcmp (questions[q].key, g_strchomp (line)) != 0)
        q++;
      if (equals == NULL || q == VMM_N_QUESTIONS)
        {
          g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE, "preseed, line %u: %s\"%s\"", n + 1,
                       equals ? "there is no question " : "no KEY=VALUE: ", line);
          return FALSE;
        }
      if (!vmm_answer_check ((VmmQuestion)q, g_strchug (equals + 1), error))
        {
          g_prefix_error (error, "preseed, line %u: %s: ", n + 1, line);
          return FALSE;
        }
      if (answers->text[q] == NULL)
        answers->text[q] = g_strdup (equals + 1);
    }
  return TRUE;
}

char *
vmm_preseed_print (const VmmAnswers *answers)
{
  GString *text = g_string_new ("# Answers for `moosh-vmm setup --auto --preseed FILE`\n");

  for (int q = 0; q < VMM_N_QUESTIONS; q++)
    if (answers->text[q] != NULL)
      g_string_append_printf (text, "# %s\n%s=%s\n", questions[q].text, questions[q].key,
                              answers->text[q]);
  return g_string_free (text, FALSE);
}
