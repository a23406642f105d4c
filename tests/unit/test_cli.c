/* What people type and read: amounts, times, sizes, tables. */
#include "cli/table.h"
#include "cli/text.h"
#include <stdlib.h>
#include <string.h>

#define REFUSED(call)                                                                              \
  G_STMT_START                                                                                     \
  {                                                                                                \
    g_autoptr (GError) refused = NULL;                                                             \
    g_assert_false (call);                                                                         \
    g_assert_error (refused, MOOSH_ERROR, MOOSH_ERROR_USAGE);                                      \
  }                                                                                                \
  G_STMT_END

#define TEXT(expected, call)                                                                       \
  G_STMT_START                                                                                     \
  {                                                                                                \
    g_autofree char *made = (call);                                                                \
    g_assert_cmpstr (made, ==, (expected));                                                        \
  }                                                                                                \
  G_STMT_END

static void
test_durations_in (void)
{
  static const struct {
    const char *text;
    gint64 s;
  } good[]
      = { { "90", 90 },      { "1s", 1 },         { "30min", 1800 },      { "30m", 1800 },
          { "2h", 7200 },    { "1d12h", 129600 }, { "0.5h", 1800 },       { "1.5d", 129600 },
          { "2w", 1209600 }, { "1MO", 2592000 },  { "100y", 3153600000 }, { "1h30min15s", 5415 } };
  static const char *const bad[] = { "",    "0",     "0s",   "h",       "-1h",
                                     "1x",  "1h 2m", "1h2",  "1.2345h", "1..5h",
                                     "1.h", ".5h",   "101y", "0.001s",  "99999999999999999999",
                                     "1h-", "1e3" };

  for (guint i = 0; i < G_N_ELEMENTS (good); i++)
    {
      gint64 v = 0;
      g_assert_true (cli_parse_duration (good[i].text, &v, NULL));
      g_assert_cmpint (v, ==, good[i].s);
    }
  for (guint i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      gint64 v = 77;
      REFUSED (cli_parse_duration (bad[i], &v, &refused));
      g_assert_cmpint (v, ==, 77);
    }
}

static void
test_sizes_in (void)
{
  gint64 v;

  g_assert_true (cli_parse_mib ("1G", &v, NULL) && v == 1024);
  g_assert_true (cli_parse_mib ("1.5GiB", &v, NULL) && v == 1536);
  g_assert_true (cli_parse_mib ("512", &v, NULL) && v == 512);
  g_assert_true (cli_parse_mib ("1t", &v, NULL) && v == 1048576);
  g_assert_true (cli_parse_mib ("4294967295", &v, NULL) && v == G_MAXUINT32);
  REFUSED (cli_parse_mib ("4294967296", &v, &refused));
  REFUSED (cli_parse_mib ("0", &v, &refused));
  REFUSED (cli_parse_mib ("0.3M", &v, &refused));
  g_assert_true (cli_parse_mib ("1 G", &v, NULL) && v == 1024);
  REFUSED (cli_parse_mib ("1  G", &v, &refused));
  REFUSED (cli_parse_mib ("G", &v, &refused));
  REFUSED (cli_parse_mib ("-1G", &v, &refused));
  g_assert_true (cli_parse_gib ("10G", &v, NULL) && v == 10);
  g_assert_true (cli_parse_gib ("0.5T", &v, NULL) && v == 512);
  REFUSED (cli_parse_gib ("512M", &v, &refused));
  REFUSED (cli_parse_gib ("0.5G", &v, &refused));
  g_assert_true (cli_parse_vcpu ("2", &v, NULL) && v == 2000);
  g_assert_true (cli_parse_vcpu ("0.001", &v, NULL) && v == 1);
  REFUSED (cli_parse_vcpu ("0.0001", &v, &refused));
  REFUSED (cli_parse_vcpu ("0", &v, &refused));
  REFUSED (cli_parse_vcpu ("two", &v, &refused));
}

static void
test_prices_in (void)
{
  static const char *const bad[]
      = { "", "x", "/h", "1/", "1/parsec", "-1", "1e3", "1/h/h", "0.0000000000000000001" };

  TEXT ("0.02", cli_parse_price ("0.02", NULL));
  TEXT ("0.02", cli_parse_price ("0.02/h", NULL));
  TEXT ("0.5", cli_parse_price ("12/d", NULL));
  TEXT ("0.02", cli_parse_price ("14.4/mo", NULL));
  TEXT ("3600", cli_parse_price ("1/s", NULL));
  TEXT ("0.041666666666666666", cli_parse_price ("1/d", NULL));
  TEXT ("0", cli_parse_price ("0", NULL));
  for (guint i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      g_autoptr (GError) error = NULL;
      g_assert_null (cli_parse_price (bad[i], &error));
      g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE);
    }
}

static void
test_needs (void)
{
  static const struct {
    const char *text;
    CliNeed need;
  } good[] = {
    { "2 vCPU, 1 GiB, under 0.02/h", { 2000, 1024, 0, (char *)"0.02" } },
    { "1.5 GiB memory,10 GiB disk", { 0, 1536, 10, NULL } },
    { "4cores,8G RAM,1T storage,at most 12/d", { 4000, 8192, 1024, (char *)"0.5" } },
    { "<0.1", { 0, 0, 0, (char *)"0.1" } },
    { "0.5 cpu", { 500, 0, 0, NULL } },
  };
  static const char *const bad[] = { "",     ",",     "many vCPU",  "1 GiB,",       "vCPU",
                                     "disk", "under", "under much", "2 vCPU 1 GiB", "1 GiB GiB" };

  for (guint i = 0; i < G_N_ELEMENTS (good); i++)
    {
      CliNeed need = { 0 };
      g_autoptr (GError) error = NULL;

      g_assert_true (cli_parse_need (good[i].text, &need, &error));
      g_assert_no_error (error);
      g_assert_cmpint (need.vcpu_milli, ==, good[i].need.vcpu_milli);
      g_assert_cmpint (need.ram_mib, ==, good[i].need.ram_mib);
      g_assert_cmpint (need.disk_gib, ==, good[i].need.disk_gib);
      g_assert_cmpstr (need.price, ==, good[i].need.price);
      g_free (need.price);
    }
  for (guint i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      CliNeed need = { 7, 7, 7, NULL };

      REFUSED (cli_parse_need (bad[i], &need, &refused));
      g_assert_cmpint (need.vcpu_milli, ==, 7);
    }
  g_assert_true (cli_is_offer_id ("0xcd") && cli_is_offer_id ("CD01") && !cli_is_offer_id ("0x"));
  g_assert_false (cli_is_offer_id ("2 vCPU") || cli_is_offer_id ("") || cli_is_offer_id ("0xg"));
}

static void
test_times_out (void)
{
  TEXT ("0 s", cli_duration (0));
  TEXT ("0 s", cli_duration (-5));
  TEXT ("59 s", cli_duration (59));
  TEXT ("1 min", cli_duration (60));
  TEXT ("1 h 30 min", cli_duration (5405));
  TEXT ("1 h", cli_duration (3600));
  TEXT ("1 d 23 h", cli_duration (2 * 86400 - 1));
  TEXT ("in 2 h", cli_until (17200, 10000));
  TEXT ("4 s ago", cli_until (9996, 10000));
  TEXT ("in 0 s", cli_until (10000, 10000));
  TEXT ("-", cli_until (0, 10000));
  TEXT ("never", cli_until (-1, 10000));
  TEXT ("2023-11-14 22:13:20 (in 20 s)", cli_when (1700000000, 1699999980));
  TEXT ("-", cli_when (0, 1));
}

static void
test_amounts_out (void)
{
  TEXT ("1.25", cli_amount_text ("1250000", 6, 6));
  TEXT ("1", cli_amount_text ("1000000", 6, 6));
  TEXT ("0", cli_amount_text ("0", 18, 6));
  TEXT ("1.999999", cli_amount_text ("1999999999999999999", 18, 6));
  TEXT ("2", cli_amount_text ("2000000999999999999", 18, 6));
  TEXT ("<0.000001", cli_amount_text ("999999999999", 18, 6));
  TEXT ("0.000001", cli_amount_text ("1000000000000", 18, 6));
  TEXT ("100", cli_amount_text ("100", 0, 6));
  TEXT (
      "115792089237316195423570985008687907853269984665640564039457584007913129639935",
      cli_amount_text (
          "115792089237316195423570985008687907853269984665640564039457584007913129639935", 0, 6));
  g_assert_null (cli_amount_text (
      "115792089237316195423570985008687907853269984665640564039457584007913129639936", 0, 6));
  g_assert_null (cli_amount_text ("-1", 6, 6));
  g_assert_null (cli_amount_text ("", 6, 6));
  g_assert_null (cli_amount_text (NULL, 6, 6));
  g_assert_null (cli_amount_text ("1", 78, 6));
  TEXT ("0.015", cli_price_text ("0.0150000001", 6));
  TEXT ("<0.000001", cli_price_text ("0.0000001", 6));
  g_assert_null (cli_price_text ("1,5", 6));
}

/* A price survives the way to a rate and back, rounded up to a wei per hour as the node shows it.
 */
static void
test_rates (void)
{
  g_autoptr (GRand) random = g_rand_new_with_seed (20261123);

  for (int i = 0; i < 2000; i++)
    {
      guint64 wei = (guint64)g_rand_int (random) << (i % 32);
      g_autofree char *text = g_strdup_printf ("%" G_GUINT64_FORMAT, wei);
      g_autofree char *amount = cli_amount_text (text, 6, 6);
      g_autofree char *rate = cli_rate_x (amount, 6, NULL);

      TEXT (text, cli_rate_per_hour (rate));
    }
  TEXT ("14999", cli_rate_per_hour ("17895697066"));
  TEXT ("15000", cli_rate_per_hour ("17895697067"));
  g_assert_null (cli_rate_per_hour ("much"));
  {
    g_autoptr (GError) error = NULL;
    g_assert_null (cli_rate_x ("0.0000001", 6, &error));
    g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE);
  }
}

static void
test_decimals (void)
{
  const char *max
      = "115792089237316195423570985008687907853269984665640564039457584007913129639935";

  TEXT ("6", cli_decimal_mul ("2", 3));
  TEXT ("5", cli_decimal_add ("2", "3"));
  g_assert_null (cli_decimal_add (max, "1"));
  g_assert_null (cli_decimal_mul (max, 2));
  g_assert_null (cli_decimal_add ("x", "1"));
  g_assert_cmpint (cli_decimal_cmp ("10", "9"), ==, 1);
  g_assert_cmpint (cli_decimal_cmp ("9", "10"), ==, -1);
  g_assert_cmpint (cli_decimal_cmp (NULL, "0"), ==, 0);
  TEXT ("1", cli_decimal_from_x ("1"));
  TEXT ("1", cli_decimal_from_x ("4294967296"));
  TEXT ("2", cli_decimal_from_x ("4294967297"));
}

static void
test_sizes_out (void)
{
  TEXT ("512 MiB", cli_mib (512));
  TEXT ("1 GiB", cli_mib (1024));
  TEXT ("1.5 GiB", cli_mib (1536));
  TEXT ("2", cli_vcpu (2000));
  TEXT ("0.5", cli_vcpu (500));
}

static void
test_strangers_words (void)
{
  TEXT ("?[2Jhi", cli_printable ("\x1b[2Jhi", TRUE));
  TEXT ("a\nb\tc", cli_printable ("a\nb\tc", TRUE));
  TEXT ("a b c", cli_printable ("a\nb\tc", FALSE));
  TEXT ("grün", cli_printable ("grün", FALSE));
  TEXT ("\357\277\275", cli_printable ("\xff", FALSE));
  TEXT ("a?b", cli_printable ("a\xe2\x80\xae"
                              "b",
                              FALSE)); /* right-to-left override */
}

static void
test_table (void)
{
  g_autoptr (CliTable) table = cli_table_new ("ID", "*WHO", ">N", NULL);

  cli_table_row (table, "1", "grünes Krokodil", "7");
  cli_table_row (table, "22", NULL, "1234");
  TEXT ("ID  WHO                 N\n"
        "1   grünes Krokodil     7\n"
        "22  -                1234\n",
        cli_table_text (table, 0));
  TEXT ("ID  WHO                 N\n"
        "1   grünes Krokodil     7\n"
        "22  -                1234\n",
        cli_table_text (table, 25));
  TEXT ("ID  WHO                N\n"
        "1   grünes Krokod…     7\n"
        "22  -               1234\n",
        cli_table_text (table, 24));
  TEXT ("ID  WHO          N\n"
        "1   grünes …     7\n"
        "22  -         1234\n",
        cli_table_text (table, 3));
}

int
main (int argc, char **argv)
{
  setenv ("TZ", "UTC", 1);
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/cli/durations-in", test_durations_in);
  g_test_add_func ("/cli/sizes-in", test_sizes_in);
  g_test_add_func ("/cli/prices-in", test_prices_in);
  g_test_add_func ("/cli/needs", test_needs);
  g_test_add_func ("/cli/times-out", test_times_out);
  g_test_add_func ("/cli/amounts-out", test_amounts_out);
  g_test_add_func ("/cli/rates", test_rates);
  g_test_add_func ("/cli/decimals", test_decimals);
  g_test_add_func ("/cli/sizes-out", test_sizes_out);
  g_test_add_func ("/cli/strangers-words", test_strangers_words);
  g_test_add_func ("/cli/table", test_table);
  return g_test_run ();
}
