#include "cli/vmm_plan.h"
#include "base/json.h"
#include "cli/text.h"
#include "core/bytes/u256.h"
#include <string.h>

/* An order counts what it ever sold, not what is rented now: the pool bounds that. */
enum { ORDER_VOLUME = 1000000 };

static void
order_free (gpointer data)
{
  VmmOrder *order = data;

  g_free (order->name);
  g_free (order->price);
  g_free (order->bond_wei);
  g_clear_pointer (&order->terms, json_object_unref);
  g_free (order);
}

void
vmm_plan_free (VmmPlan *plan)
{
  g_ptr_array_unref (plan->orders);
  g_free (plan->stake_wei);
  g_free (plan->endpoint);
  g_free (plan);
}

JsonObject *
vmm_plan_capacity (const VmmPlan *plan, gboolean sellable)
{
  gint64 milli = plan->cores * 1000 * (sellable ? plan->overcommit_pct : 100) / 100;

  return moosh_json_build ("vcpu_milli", 'i', milli, "ram_mib", 'i', plan->ram_mib, "disk_gib", 'i',
                           plan->disk_gib, "gpu", 'i', (gint64)0, "ipv4", 'i', (gint64)0, NULL);
}

/* bytes32 of a short text, as people can read it in hex: "dedicated" and zeros. */
static void
pool_id (const char *name, char ret[67])
{
  guint8 bytes[32] = { 0 };

  memcpy (bytes, name, MIN (strlen (name), sizeof bytes));
  memcpy (ret, "0x", 2);
  moosh_hex_encode (bytes, sizeof bytes, ret + 2);
}

/* price · milli / 1000 in wei with the token's decimals, rounded up. */
static gboolean
add_price (MooshU256 *sum, const char *per_hour, guint64 milli, guint decimals, GError **error)
{
  g_autofree char *price = cli_parse_price (per_hour, error);
  MooshU256 v, factor = moosh_u256 (milli), thousand = moosh_u256 (1000), up = moosh_u256 (999);

  if (price == NULL)
    return FALSE;
  if (moosh_u256_from_amount (price, decimals, &v) != MOOSH_OK || moosh_u256_mul (&v, &factor, &v))
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE,
                   "the price %s has more than the token's %u places", per_hour, decimals);
      return FALSE;
    }
  moosh_u256_add (&v, &up, &v);
  moosh_u256_divmod (&v, &thousand, &v, NULL);
  return !moosh_u256_add (sum, &v, sum);
}

static gint64
seconds_of (const VmmAnswers *answers, const VmmMeasure *host, VmmQuestion question)
{
  g_autofree char *preset
      = answers->text[question] ? NULL : vmm_answer_default (question, host, answers);
  const char *text = preset ? preset : answers->text[question];
  gint64 v = 0;

  return g_strcmp0 (text, "0") != 0 && text != NULL && cli_parse_duration (text, &v, NULL) ? v : 0;
}

static char *
percent_of (const char *rate_x, const char *pct)
{
  g_autofree char *product = cli_decimal_mul (rate_x, g_ascii_strtoull (pct, NULL, 10));
  MooshU256 v = moosh_u256 (0), hundred = moosh_u256 (100);
  char text[79];

  if (product != NULL)
    moosh_u256_from_decimal (product, &v);
  moosh_u256_divmod (&v, &hundred, &v, NULL);
  moosh_u256_to_decimal (&v, text);
  return g_strdup (text);
}

/* The Offer's members, under their Solidity names, but those the node fills in. */
static JsonObject *
terms_of (const VmmPlan *plan, const VmmOrder *order, const VmmMeasure *host,
          const VmmAnswers *answers, const char *rate_x, const char *retention_x)
{
  static const struct {
    VmmQuestion question;
    const char *member;
  } times[] = { { VMM_MIN_TERM, "minTerm" },
                { VMM_MAX_TERM, "maxTerm" },
                { VMM_NOTICE, "notice" },
                { VMM_RETENTION, "retention" },
                { VMM_HOLDBACK, "holdback" },
                { VMM_ACCEPT_WITHIN, "acceptWithin" },
                { VMM_PROVISION_WITHIN, "provisionWithin" },
                { VMM_PROBE_WINDOW, "probeWindow" },
                { VMM_LOCK_PERIOD, "lockPeriod" } };
  g_autofree char *paused_x = percent_of (rate_x, answers->text[VMM_PAUSED_PCT]);
  JsonObject *units = moosh_json_build ("vcpuMilli", 'i', order->vcpu_milli, "ramMib", 'i',
                                        order->ram_mib, "diskGib", 'i', order->disk_gib, "gpu", 'i',
                                        (gint64)0, "ipv4", 'i', (gint64)0, NULL);
  JsonObject *terms = moosh_json_build (
      "side", 's', "sell", "kind", 's', "vm", "pool", 's', plan->pool, "units", 'o', units, "class",
      's', plan->shared ? "shared" : "dedicated", "overcommitPct", 'i', plan->overcommit_pct,
      "rateX", 's', rate_x, "pausedRateX", 's', paused_x, "retentionRateX", 's', retention_x,
      "rejectFee", 's', "0", "volume", 'i', (gint64)ORDER_VOLUME, NULL);

  for (guint i = 0; i < G_N_ELEMENTS (times); i++)
    json_object_set_int_member (terms, times[i].member,
                                seconds_of (answers, host, times[i].question));
  return terms;
}

/* Price, terms and bond of a size. */
static gboolean
price_order (const VmmPlan *plan, VmmOrder *order, const VmmMeasure *host,
             const VmmAnswers *answers, GError **error)
{
  MooshU256 total = moosh_u256 (0), disk = total;
  guint decimals = host->token_decimals;
  g_autofree char *rate_x = NULL, *retention_x = NULL, *bond_x = NULL;
  char text[96];
  gint64 bond_s = seconds_of (answers, host, VMM_NOTICE) + seconds_of (answers, host, VMM_HOLDBACK);

  if (!add_price (&total, answers->text[VMM_PRICE_VCPU], (guint64)order->vcpu_milli, decimals,
                  error)
      || !add_price (&total, answers->text[VMM_PRICE_RAM], (guint64)order->ram_mib * 1000 / 1024,
                     decimals, error)
      || !add_price (&disk, answers->text[VMM_PRICE_DISK], (guint64)order->disk_gib * 1000,
                     decimals, error))
    return FALSE;
  moosh_u256_add (&total, &disk, &total);
  moosh_u256_to_amount (&disk, decimals, text);
  retention_x = cli_rate_x (text, decimals, error);
  moosh_u256_to_amount (&total, decimals, text);
  order->price = g_strdup (text);
  rate_x = retention_x ? cli_rate_x (text, decimals, error) : NULL;
  if (rate_x == NULL)
    return FALSE;
  bond_x = cli_decimal_mul (rate_x, (guint64)bond_s);
  order->bond_wei = cli_decimal_from_x (bond_x);
  if (host->bond_floor_wei != NULL && cli_decimal_cmp (order->bond_wei, host->bond_floor_wei) < 0)
    {
      g_free (order->bond_wei);
      order->bond_wei = g_strdup (host->bond_floor_wei);
    }
  order->terms = terms_of (plan, order, host, answers, rate_x, retention_x);
  return TRUE;
}

static gint64
how_many (const VmmPlan *plan, const VmmOrder *order)
{
  gint64 cores = plan->cores * 1000 * plan->overcommit_pct / 100 / order->vcpu_milli;

  return MIN (MIN (cores, plan->ram_mib / order->ram_mib), plan->disk_gib / order->disk_gib);
}

static gboolean
add_order (VmmPlan *plan, const char *size, const VmmMeasure *host, const VmmAnswers *answers,
           GError **error)
{
  g_autofree char *copy = g_strdup (size);
  g_auto (GStrv) part = g_strsplit (g_strstrip (copy), ":", -1);
  VmmOrder *order = g_new0 (VmmOrder, 1);

  g_ptr_array_add (plan->orders, order);
  order->name = g_strdup (part[0]);
  cli_parse_vcpu (part[1], &order->vcpu_milli, NULL);
  cli_parse_mib (part[2], &order->ram_mib, NULL);
  cli_parse_gib (part[3], &order->disk_gib, NULL);
  if (!plan->shared && order->vcpu_milli % 1000 != 0)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE,
                   "size %s: a dedicated pool sells whole cores, not %s (sell them shared)",
                   part[0], part[1]);
      return FALSE;
    }
  order->volume = how_many (plan, order);
  if (order->volume < 1)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE,
                   "size %s: it does not fit once into what is for sale", part[0]);
      return FALSE;
    }
  return price_order (plan, order, host, answers, error);
}

/* The most that can be bound at once: whichever size fills the pool with the largest bonds.
 * Mixtures bind no more, as prices are linear in what a size holds, but for rounding and the floor.
 */
static char *
stake_for (const VmmPlan *plan)
{
  g_autofree char *most = g_strdup ("0");

  for (guint i = 0; i < plan->orders->len; i++)
    {
      const VmmOrder *order = plan->orders->pdata[i];
      char *all = cli_decimal_mul (order->bond_wei, (guint64)order->volume);

      if (cli_decimal_cmp (all, most) > 0)
        {
          g_free (most);
          most = all;
        }
      else
        g_free (all);
    }
  return g_steal_pointer (&most);
}

static gboolean
check_all (const VmmMeasure *host, const VmmAnswers *answers, GError **error)
{
  for (int q = 0; q < VMM_N_QUESTIONS; q++)
    if (answers->text[q] != NULL && !vmm_answer_check ((VmmQuestion)q, answers->text[q], error))
      {
        g_prefix_error (error, "%s: ", vmm_question_key ((VmmQuestion)q));
        return FALSE;
      }
  for (int q = VMM_CLASS; q <= VMM_PAUSED_PCT; q++)
    if (answers->text[q] == NULL && vmm_question_applies ((VmmQuestion)q, answers))
      {
        g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE, "%s is not answered",
                     vmm_question_key ((VmmQuestion)q));
        return FALSE;
      }
  if (host->cores > 0 && g_ascii_strtoll (answers->text[VMM_CORES], NULL, 10) > host->cores)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE,
                   "cores: the host has %" G_GINT64_FORMAT ", not %s", host->cores,
                   answers->text[VMM_CORES]);
      return FALSE;
    }
  return TRUE;
}

VmmPlan *
vmm_plan_new (const VmmMeasure *host, const VmmAnswers *answers, GError **error)
{
  g_autoptr (VmmPlan) plan = NULL;
  g_auto (GStrv) sizes = NULL;

  if (!check_all (host, answers, error))
    return NULL;
  plan = g_new0 (VmmPlan, 1);
  plan->orders = g_ptr_array_new_with_free_func (order_free);
  plan->shared = strcmp (answers->text[VMM_CLASS], "shared") == 0;
  plan->overcommit_pct
      = plan->shared ? g_ascii_strtoll (answers->text[VMM_OVERCOMMIT], NULL, 10) : 100;
  pool_id (plan->shared ? "shared" : "dedicated", plan->pool);
  pool_id (plan->shared ? "dedicated" : "shared", plan->other_pool);
  plan->cores = g_ascii_strtoll (answers->text[VMM_CORES], NULL, 10);
  cli_parse_mib (answers->text[VMM_RAM], &plan->ram_mib, NULL);
  cli_parse_gib (answers->text[VMM_DISK], &plan->disk_gib, NULL);
  plan->valid_for_s = seconds_of (answers, host, VMM_VALID_FOR);
  plan->endpoint = answers->text[VMM_ENDPOINT] && *answers->text[VMM_ENDPOINT]
                       ? g_strdup (answers->text[VMM_ENDPOINT])
                       : NULL;
  sizes = g_strsplit (answers->text[VMM_SIZES], ",", -1);
  for (char **size = sizes; *size != NULL; size++)
    if (!add_order (plan, *size, host, answers, error))
      return NULL;
  if (answers->text[VMM_STAKE] != NULL)
    {
      MooshU256 v;
      char text[79];

      if (moosh_u256_from_amount (answers->text[VMM_STAKE], host->token_decimals, &v) != MOOSH_OK)
        {
          g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE,
                       "stake: %s has more than the token's %u places", answers->text[VMM_STAKE],
                       host->token_decimals);
          return NULL;
        }
      moosh_u256_to_decimal (&v, text);
      plan->stake_wei = g_strdup (text);
    }
  else
    plan->stake_wei = stake_for (plan);
  return g_steal_pointer (&plan);
}

static gboolean
same_value (JsonNode *a, JsonNode *b)
{
  g_autofree char *x = NULL, *y = NULL;

  if (a == NULL || b == NULL || !JSON_NODE_HOLDS_VALUE (a) || !JSON_NODE_HOLDS_VALUE (b))
    return FALSE;
  x = json_node_get_value_type (a) == G_TYPE_STRING
          ? json_node_dup_string (a)
          : g_strdup_printf ("%" G_GINT64_FORMAT, json_node_get_int (a));
  y = json_node_get_value_type (b) == G_TYPE_STRING
          ? json_node_dup_string (b)
          : g_strdup_printf ("%" G_GINT64_FORMAT, json_node_get_int (b));
  return g_ascii_strcasecmp (x, y) == 0;
}

static gboolean
same_members (JsonObject *published, JsonObject *terms)
{
  g_autoptr (GList) names = json_object_get_members (terms);

  for (GList *l = names; l != NULL; l = l->next)
    {
      JsonNode *mine = json_object_get_member (terms, l->data);
      JsonNode *theirs = json_object_get_member (published, l->data);

      if (JSON_NODE_HOLDS_OBJECT (mine))
        {
          if (theirs == NULL || !JSON_NODE_HOLDS_OBJECT (theirs)
              || !same_members (json_node_get_object (theirs), json_node_get_object (mine)))
            return FALSE;
        }
      else if (strcmp (l->data, "expiry") != 0 && !same_value (mine, theirs))
        return FALSE;
    }
  return TRUE;
}

gboolean
vmm_order_same (JsonObject *published, JsonObject *terms, gint64 valid_for_s, gint64 now_s)
{
  JsonNode *expiry = json_object_get_member (published, "expiry");
  gint64 at_s = 0;

  if (expiry != NULL && JSON_NODE_HOLDS_VALUE (expiry))
    at_s = json_node_get_value_type (expiry) == G_TYPE_STRING
               ? g_ascii_strtoll (json_node_get_string (expiry), NULL, 10)
               : json_node_get_int (expiry);
  return at_s >= now_s + valid_for_s / 2 && same_members (published, terms);
}
