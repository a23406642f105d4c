/* The provider's wizard without a host: questions, preseed files, plans. */
#include "base/json.h"
#include "cli/text.h"
#include "cli/vmm_plan.h"
#include <string.h>

static VmmMeasure
host_of (gint64 cores, gint64 ram_mib, gint64 disk_gib)
{
  return (VmmMeasure){
    .cores = cores, .ram_mib = ram_mib, .disk_free_gib = disk_gib, .token_decimals = 6
  };
}

/* All questions with their defaults, as --auto answers them. */
static void
answer_all (const VmmMeasure *host, VmmAnswers *answers)
{
  for (int q = 0; q < VMM_N_QUESTIONS; q++)
    if (answers->text[q] == NULL)
      answers->text[q] = vmm_answer_default ((VmmQuestion)q, host, answers);
}

static void
set (VmmAnswers *answers, VmmQuestion question, const char *text)
{
  g_free (answers->text[question]);
  answers->text[question] = g_strdup (text);
}

static void
assert_refused (const VmmMeasure *host, const VmmAnswers *answers, const char *says)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (VmmPlan) plan = vmm_plan_new (host, answers, &error);

  g_assert_null (plan);
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE);
  if (strstr (error->message, says) == NULL)
    g_error ("\"%s\" does not say \"%s\"", error->message, says);
}

/* Every host of some size can sell something by default, never more than it has. */
static void
test_any_host (void)
{
  static const gint64 cores[] = { 1, 2, 3, 4, 8, 64 },
                      ram[] = { 512, 1024, 2047, 2048, 4096, 262144 },
                      disk[] = { 1, 2, 9, 10, 49, 5000 };

  for (guint c = 0; c < G_N_ELEMENTS (cores); c++)
    for (guint r = 0; r < G_N_ELEMENTS (ram); r++)
      for (guint d = 0; d < G_N_ELEMENTS (disk); d++)
        {
          VmmMeasure host = host_of (cores[c], ram[r], disk[d]);
          g_auto (VmmAnswers) answers = { { NULL } };
          g_autoptr (GError) error = NULL;
          g_autoptr (VmmPlan) plan = NULL;

          answer_all (&host, &answers);
          plan = vmm_plan_new (&host, &answers, &error);
          g_assert_no_error (error);
          g_assert_cmpint (plan->cores, <=, host.cores);
          g_assert_cmpint (plan->ram_mib, <, host.ram_mib);
          g_assert_cmpint (plan->disk_gib, <=, host.disk_free_gib);
          g_assert_cmpuint (plan->orders->len, >=, 1);
          for (guint i = 0; i < plan->orders->len; i++)
            {
              const VmmOrder *o = plan->orders->pdata[i];
              g_assert_cmpint (o->volume, >=, 1);
              g_assert_cmpint (o->volume * o->vcpu_milli, <=, plan->cores * 1000);
              g_assert_cmpint (o->volume * o->ram_mib, <=, plan->ram_mib);
              g_assert_cmpint (o->volume * o->disk_gib, <=, plan->disk_gib);
            }
        }
}

static void
test_terms (void)
{
  VmmMeasure host = host_of (8, 32768, 500);
  g_auto (VmmAnswers) answers = { { NULL } };
  g_autoptr (VmmPlan) plan = NULL;
  const VmmOrder *small;
  JsonObject *units;

  answer_all (&host, &answers);
  plan = vmm_plan_new (&host, &answers, NULL);
  g_assert_nonnull (plan);
  g_assert_cmpuint (plan->orders->len, ==, 3);
  small = plan->orders->pdata[0];
  units = moosh_json_object (small->terms, "units", NULL);
  g_assert_cmpstr (plan->pool, ==,
                   "0x6465646963617465640000000000000000000000000000000000000000000000");
  g_assert_cmpstr (moosh_json_string (small->terms, "pool", NULL), ==, plan->pool);
  g_assert_cmpstr (moosh_json_string (small->terms, "class", NULL), ==, "dedicated");
  g_assert_cmpint (moosh_json_int_or (units, "vcpuMilli", 0), ==, 1000);
  g_assert_cmpint (moosh_json_int_or (units, "ramMib", 0), ==, 1024);
  g_assert_cmpint (moosh_json_int_or (units, "diskGib", 0), ==, 10);
  g_assert_cmpstr (small->price, ==, "0.015"); /* 0.01 + 0.004 + 10 × 0.0001 */
  g_assert_cmpstr (moosh_json_string (small->terms, "rateX", NULL), ==, "17895697067");
  g_assert_cmpstr (moosh_json_string (small->terms, "pausedRateX", NULL), ==, "8947848533");
  g_assert_cmpstr (moosh_json_string (small->terms, "retentionRateX", NULL), ==,
                   "1193046472"); /* the disk's part */
  g_assert_cmpint (moosh_json_int_or (small->terms, "notice", 0), ==, 86400);
  g_assert_cmpint (moosh_json_int_or (small->terms, "acceptWithin", 0), ==, 120);
  g_assert_cmpint (moosh_json_int_or (small->terms, "provisionWithin", 0), ==, 1200);
  g_assert_cmpint (moosh_json_int_or (small->terms, "retention", 0), ==, 259200);
  g_assert_cmpint (moosh_json_int_or (small->terms, "maxTerm", -1), ==, 0);
  g_assert_cmpstr (small->bond_wei, ==, "720001"); /* two days of 0.015 an hour, rounded up twice */
  g_assert_cmpint (plan->valid_for_s, ==, 30 * 86400);
}

static void
test_presets (void)
{
  VmmMeasure host = host_of (4, 8192, 100);
  g_auto (VmmAnswers) answers = { { NULL } };
  g_autoptr (VmmPlan) plan = NULL;
  const VmmOrder *small;

  set (&answers, VMM_TERMS, "dev");
  answer_all (&host, &answers);
  plan = vmm_plan_new (&host, &answers, NULL);
  small = plan->orders->pdata[0];
  g_assert_cmpint (moosh_json_int_or (small->terms, "notice", 0), ==, 10);
  g_assert_cmpint (moosh_json_int_or (small->terms, "lockPeriod", 0), ==, 10);
  g_assert_cmpint (moosh_json_int_or (small->terms, "probeWindow", 0), ==, 60);
  g_assert_false (vmm_question_applies (VMM_NOTICE, &answers));
  set (&answers, VMM_TERMS, "own");
  g_assert_true (vmm_question_applies (VMM_NOTICE, &answers));
  g_assert_false (vmm_question_applies (VMM_OVERCOMMIT, &answers));
  set (&answers, VMM_CLASS, "shared");
  g_assert_true (vmm_question_applies (VMM_OVERCOMMIT, &answers));
}

static void
test_shared (void)
{
  VmmMeasure host = host_of (4, 65536, 1000);
  g_auto (VmmAnswers) answers = { { NULL } };
  g_autoptr (VmmPlan) plan = NULL;
  g_autoptr (JsonObject) there = NULL, sold = NULL;

  set (&answers, VMM_CLASS, "shared");
  set (&answers, VMM_OVERCOMMIT, "250");
  set (&answers, VMM_CORES, "2");
  set (&answers, VMM_SIZES, "half:0.5:256M:1G, one:1:512M:2G");
  answer_all (&host, &answers);
  plan = vmm_plan_new (&host, &answers, NULL);
  g_assert_nonnull (plan);
  there = vmm_plan_capacity (plan, FALSE);
  sold = vmm_plan_capacity (plan, TRUE);
  g_assert_cmpint (moosh_json_int_or (there, "vcpu_milli", 0), ==, 2000);
  g_assert_cmpint (moosh_json_int_or (sold, "vcpu_milli", 0), ==, 5000);
  g_assert_cmpint (((VmmOrder *)plan->orders->pdata[0])->volume, ==, 10);
  g_assert_cmpint (((VmmOrder *)plan->orders->pdata[1])->volume, ==, 5);
  g_assert_cmpstr (plan->other_pool, ==,
                   "0x6465646963617465640000000000000000000000000000000000000000000000");
}

static void
test_stake_covers_the_floor (void)
{
  VmmMeasure host = host_of (9, 32768, 500); /* 8 cores for sale: 8 small or 2 large */
  g_auto (VmmAnswers) answers = { { NULL } };
  g_autoptr (VmmPlan) cheap = NULL, floored = NULL;

  set (&answers, VMM_TERMS, "dev");
  answer_all (&host, &answers);
  set (&answers, VMM_STAKE, "0");
  g_clear_pointer (&answers.text[VMM_STAKE], g_free);
  cheap = vmm_plan_new (&host, &answers, NULL);
  g_assert_cmpint (cli_decimal_cmp (cheap->stake_wei, "10000"), <, 0);
  host.bond_floor_wei = (char *)"1000000";
  floored = vmm_plan_new (&host, &answers, NULL);
  g_assert_cmpstr (((VmmOrder *)floored->orders->pdata[0])->bond_wei, ==, "1000000");
  g_assert_cmpstr (floored->stake_wei, ==, "8000000");
}

static void
test_refusals (void)
{
  VmmMeasure host = host_of (4, 8192, 100);
  g_auto (VmmAnswers) answers = { { NULL } };

  assert_refused (&host, &answers, "class is not answered");
  answer_all (&host, &answers);
  set (&answers, VMM_CORES, "5");
  assert_refused (&host, &answers, "the host has 4");
  set (&answers, VMM_CORES, "0");
  assert_refused (&host, &answers, "cores:");
  set (&answers, VMM_CORES, "3");
  set (&answers, VMM_SIZES, "huge:4:1G:1G");
  assert_refused (&host, &answers, "does not fit");
  set (&answers, VMM_SIZES, "half:0.5:1G:1G");
  assert_refused (&host, &answers, "whole cores");
  set (&answers, VMM_SIZES, "small:1:1G");
  assert_refused (&host, &answers, "is no size");
  set (&answers, VMM_SIZES, "");
  assert_refused (&host, &answers, "is no size");
  set (&answers, VMM_SIZES, "small:1:1G:10G");
  set (&answers, VMM_PRICE_VCPU, "0.0000001");
  assert_refused (&host, &answers, "more than the token's 6 places");
  set (&answers, VMM_PRICE_VCPU, "cheap");
  assert_refused (&host, &answers, "is not a price");
  set (&answers, VMM_PRICE_VCPU, "0.01");
  set (&answers, VMM_STAKE, "0.0000001");
  assert_refused (&host, &answers, "stake:");
}

static void
test_preseed (void)
{
  VmmMeasure host = host_of (4, 8192, 100);
  g_auto (VmmAnswers) first = { { NULL } }, second = { { NULL } };
  g_autofree char *text = NULL, *again = NULL;
  g_autoptr (GError) error = NULL;
  static const struct {
    const char *text, *says;
  } bad[] = { { "cores=1\nfrobs=2\n", "line 2: there is no question \"frobs\"" },
              { "cores\n", "line 1: no KEY=VALUE" },
              { "\n# x\ncores=many\n", "line 3: cores:" },
              { "overcommit_pct=99", "100 to 1600" },
              { "overcommit_pct=1601", "100 to 1600" },
              { "paused_pct=101", "0 to 100" },
              { "class=other", "none of" },
              { "endpoint=here", "HOST:PORT" },
              { "accept_within=0", "not a duration" } };

  answer_all (&host, &first);
  text = vmm_preseed_print (&first);
  g_assert_true (vmm_preseed_parse (text, &second, &error));
  g_assert_no_error (error);
  again = vmm_preseed_print (&second);
  g_assert_cmpstr (text, ==, again);

  set (&second, VMM_CORES, "2");
  g_assert_true (vmm_preseed_parse (" cores = 3 \n", &second, &error));
  g_assert_cmpstr (second.text[VMM_CORES], ==, "2"); /* what is answered stays */
  g_clear_pointer (&second.text[VMM_CORES], g_free);
  g_assert_true (vmm_preseed_parse (" cores = 3 \n\n# done\n", &second, &error));
  g_assert_cmpstr (second.text[VMM_CORES], ==, "3");
  for (guint i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      g_auto (VmmAnswers) answers = { { NULL } };
      g_autoptr (GError) wrong = NULL;

      g_assert_false (vmm_preseed_parse (bad[i].text, &answers, &wrong));
      g_assert_error (wrong, MOOSH_ERROR, MOOSH_ERROR_USAGE);
      if (strstr (wrong->message, bad[i].says) == NULL)
        g_error ("\"%s\" does not say \"%s\"", wrong->message, bad[i].says);
    }
}

static void
test_same_order (void)
{
  g_autoptr (JsonObject) terms = moosh_json_parse (
      "{\"class\":\"shared\",\"rateX\":\"7\",\"notice\":5,\"units\":{\"ramMib\":1}}", -1, NULL);
  static const struct {
    const char *published;
    gboolean same;
  } cases[] = {
    { "{\"class\":\"shared\",\"rateX\":\"7\",\"notice\":5,\"units\":{\"ramMib\":1,\"gpu\":0},"
      "\"expiry\":\"150\",\"salt\":\"9\"}",
      TRUE },
    { "{\"class\":\"shared\",\"rateX\":7,\"notice\":\"5\",\"units\":{\"ramMib\":1},\"expiry\":150}",
      TRUE },
    { "{\"class\":\"shared\",\"rateX\":\"7\",\"notice\":5,\"units\":{\"ramMib\":1},\"expiry\":"
      "\"149\"}",
      FALSE },
    { "{\"class\":\"shared\",\"rateX\":\"8\",\"notice\":5,\"units\":{\"ramMib\":1},\"expiry\":"
      "\"150\"}",
      FALSE },
    { "{\"class\":\"shared\",\"rateX\":\"7\",\"notice\":5,\"units\":{\"ramMib\":2},\"expiry\":"
      "\"150\"}",
      FALSE },
    { "{\"class\":\"shared\",\"rateX\":\"7\",\"notice\":5,\"units\":7,\"expiry\":\"150\"}", FALSE },
    { "{\"class\":\"shared\",\"rateX\":\"7\",\"units\":{\"ramMib\":1},\"expiry\":\"150\"}", FALSE },
    { "{\"class\":\"shared\",\"rateX\":\"7\",\"notice\":5,\"units\":{\"ramMib\":1}}", FALSE },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (JsonObject) published = moosh_json_parse (cases[i].published, -1, NULL);

      g_assert_nonnull (published);
      g_assert_cmpint (vmm_order_same (published, terms, 100, 100), ==, cases[i].same);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/cli-plan/any-host", test_any_host);
  g_test_add_func ("/cli-plan/terms", test_terms);
  g_test_add_func ("/cli-plan/presets", test_presets);
  g_test_add_func ("/cli-plan/shared", test_shared);
  g_test_add_func ("/cli-plan/stake-floor", test_stake_covers_the_floor);
  g_test_add_func ("/cli-plan/refusals", test_refusals);
  g_test_add_func ("/cli-plan/preseed", test_preseed);
  g_test_add_func ("/cli-plan/same-order", test_same_order);
  return g_test_run ();
}
