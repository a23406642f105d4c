/* Prices for people, quotes, needs in words, and the best offer for a need. */
#include "market/match.h"
#include "market/sequences.h"
#include <glib/gstdio.h>
#include <string.h>

enum { NOW = 1800000000 };

static void
assert_u256 (MooshU256 got, const char *want)
{
  char text[79];
  moosh_u256_to_decimal (&got, text);
  g_assert_cmpstr (text, ==, want);
}

/* Any price per hour comes back as it was, and nobody pays less than it. */
static void
test_price_round_trip (void)
{
  for (int i = 0; i < 5000; i++)
    {
      MooshU256 wei = moosh_u256 (((guint64)g_test_rand_int () << 20 ^ g_test_rand_int ())
                                  >> g_test_rand_int_range (0, 50));
      MooshU256 rate;
      g_assert_cmpint (moosh_rate_from_price (&wei, 3600, &rate), ==, 0);
      MooshU256 back = moosh_price_of_rate (&rate, 3600);
      g_assert_cmpint (moosh_u256_cmp (&back, &wei), ==, 0);
      MooshU256 cost = moosh_cost_of_rate (&rate, 3600);
      g_assert_cmpint (moosh_u256_cmp (&cost, &wei), >=, 0);
    }
}

static void
test_price_text (void)
{
  static const struct {
    const char *text;
    unsigned decimals;
    int result;
    const char *rate, *back;
  } cases[] = {
    { "0.02/h", 6, 0, "23860929423", "0.02/h" }, /* 20000·2^32/3600 = 23860929422.2, rounded up */
    { "0.02", 6, 0, "23860929423", "0.02/h" },
    { "0", 6, 0, "0", "0/h" },
    { "0.000001/s", 6, 0, "4294967296", "0.0036/h" },
    { "0.48/d", 6, 0, "23860929423", "0.02/h" },
    { "14.4/mo", 6, 0, "23860929423", "0.02/h" },
    { "1.2/min", 18, 0, "85899345920000000000000000", "72/h" },
    { "0.0000001/h", 6, MOOSH_E_RANGE, NULL, NULL },
    { "0.02/y", 6, MOOSH_E_MALFORMED, NULL, NULL },
    { "0.02/", 6, MOOSH_E_MALFORMED, NULL, NULL },
    { "/h", 6, MOOSH_E_MALFORMED, NULL, NULL },
    { "", 6, MOOSH_E_MALFORMED, NULL, NULL },
    { "-1/h", 6, MOOSH_E_MALFORMED, NULL, NULL },
    { "79228162514264337593543950336/s", 0, MOOSH_E_RANGE, NULL, NULL },
  };
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      MooshU256 rate = moosh_u256 (77);
      char text[98];
      g_test_message ("%s", cases[i].text);
      g_assert_cmpint (moosh_price_parse (cases[i].text, cases[i].decimals, &rate), ==,
                       cases[i].result);
      assert_u256 (rate, cases[i].result == 0 ? cases[i].rate : "77");
      if (cases[i].result != 0)
        continue;
      moosh_price_format (&rate, cases[i].decimals, text);
      g_assert_cmpstr (text, ==, cases[i].back);
    }
  MooshU256 wei = moosh_u256 (1), rate;
  g_assert_cmpint (moosh_rate_from_price (&wei, 0, &rate), ==, MOOSH_E_RANGE);
}

static MooshOffer
sample (void)
{
  return (MooshOffer){ .rate_x = { { 10ull << 32, 0, 0, 0 } },
                       .paused_rate_x = { { 1ull << 32, 0, 0, 0 } },
                       .retention_rate_x = { { 2ull << 32, 0, 0, 0 } },
                       .min_term_s = 100,
                       .retention_s = 30,
                       .lock_period_s = 70,
                       .probe_window_s = 10,
                       .volume = 4 };
}

static void
test_quote (void)
{
  MooshOffer offer = sample ();
  MooshQuote q;
  g_assert_cmpint (moosh_quote (&offer, 2, 3600, NULL, NOW, &q), ==, 0);
  assert_u256 (q.price_per_hour, "72000");
  assert_u256 (q.pause_price_per_hour, "7200");
  assert_u256 (q.deposit, "73520"); /* 20·(3600 + 70) + 4·30 */
  assert_u256 (q.least_deposit, "1520");
  assert_u256 (q.lock, "1520");
  assert_u256 (q.early_fee_most, "2000");
  g_assert_cmpuint (q.funded_s, ==, 3600);
  g_assert_cmpuint (q.lasts_s, ==, 3670);
  g_assert_cmpuint (q.runs_out_at_s, ==, NOW + 3670);

  MooshU256 deposit = moosh_u256 (119); /* less than the disks alone */
  g_assert_cmpint (moosh_quote (&offer, 2, 0, &deposit, NOW, &q), ==, 0);
  g_assert_cmpint (moosh_u256_cmp (&q.deposit, &q.least_deposit), <, 0);
  g_assert_cmpuint (q.lasts_s, ==, 0);

  offer.rate_x = offer.paused_rate_x = moosh_u256 (0);
  g_assert_cmpint (moosh_quote (&offer, 1, 3600, NULL, NOW, &q), ==, 0);
  g_assert_cmpuint (q.runs_out_at_s, ==, MOOSH_NEVER);

  g_assert_cmpint (moosh_quote (&offer, 0, 3600, NULL, NOW, &q), ==, MOOSH_E_RANGE);
  MooshU256 one = moosh_u256 (1), beyond = moosh_u256_shl (&one, 128);
  g_assert_cmpint (moosh_quote (&offer, 1, 3600, &beyond, NOW, &q), ==, MOOSH_E_RANGE);
}

/* What is quoted happens: the agreement runs out in the quoted second. */
static void
test_quote_is_kept (void)
{
  MooshU256 none = moosh_u256 (0);
  for (int i = 0; i < 2000; i++)
    {
      MooshOffer offer = sample ();
      offer.rate_x = moosh_u256 (1 + ((guint64)g_test_rand_int () << (i % 30)));
      offer.accept_within_s = offer.provision_within_s = 100;
      MooshQuote q;
      MooshAgreement a;
      MooshMoves moves;
      g_assert_cmpint (
          moosh_quote (&offer, 3, (guint64)g_test_rand_int_range (0, 100000), NULL, NOW, &q), ==,
          0);
      g_assert_cmpint (moosh_agreement_take (&q.terms, &q.deposit, &none, NOW, &a), ==, 0);
      g_assert_cmpint (moosh_agreement_apply (&a, MOOSH_EVENT_PROVISIONED, MOOSH_ACTOR_PROVIDER,
                                              NULL, NOW, &moves),
                       ==, 0);
      g_assert_cmpuint (moosh_account_grace_until (&a.account), ==, q.runs_out_at_s);
    }
}

static void
test_units_needed (void)
{
  MooshUnits unit = { 1000, 1024, 10, 0, 1 }, need = { 2000, 1024, 0, 0, 0 };
  g_assert_cmpuint (moosh_units_needed (&unit, &need, 2), ==, 2);
  g_assert_cmpuint (moosh_units_needed (&unit, &need, 1), ==, 0);
  need.ram_mib = 2049;
  g_assert_cmpuint (moosh_units_needed (&unit, &need, 9), ==, 3);
  need.gpu = 1;
  g_assert_cmpuint (moosh_units_needed (&unit, &need, 9), ==, 0);
  need = (MooshUnits){ 0 };
  g_assert_cmpuint (moosh_units_needed (&unit, &need, 1), ==, 1);
}

static void
test_need (void)
{
  g_autoptr (GError) error = NULL;
  MooshNeed need;
  g_assert_true (moosh_need_parse ("2 vCPU, 1 GiB, under 0.02/h", 6, &need, &error));
  g_assert_no_error (error);
  g_assert_cmpuint (need.need.vcpu_milli, ==, 2000);
  g_assert_cmpuint (need.need.ram_mib, ==, 1024);
  g_assert_true (need.has_max_rate);
  assert_u256 (need.max_rate_x, "23860929423");

  g_assert_true (moosh_need_parse (
      " 0.5vcpu ,1.5GiB memory,20 GiB disk, 1 GPU,1 ipv4, for 2 days, SHARED, container,up to 1/d",
      18, &need, &error));
  g_assert_cmpuint (need.need.vcpu_milli, ==, 500);
  g_assert_cmpuint (need.need.ram_mib, ==, 1536);
  g_assert_cmpuint (need.need.disk_gib, ==, 20);
  g_assert_cmpuint (need.need.gpu, ==, 1);
  g_assert_cmpuint (need.need.ipv4, ==, 1);
  g_assert_cmpuint (need.duration_s, ==, 172800);
  g_assert_cmpint (need.class_plus_1, ==, MOOSH_CLASS_SHARED + 1);
  g_assert_cmpint (need.kind_plus_1, ==, MOOSH_KIND_CONTAINER + 1);

  static const char *const bad[] = { "",
                                     "2",
                                     "2 cores",
                                     "2 vCPU,",
                                     "1 GiB, 2 GiB",
                                     "under",
                                     "under 0.0000001/h",
                                     "0.0001 vCPU",
                                     "5000000000 MiB",
                                     "1 MiB disk",
                                     "for 2 moons",
                                     "teapot",
                                     "1 GiB of ram",
                                     "2 vCPU 1 GiB",
                                     "-1 vcpu" };
  for (gsize i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      g_test_message ("%s", bad[i]);
      g_assert_cmpint (moosh_need_parse (bad[i], 6, &need, &error), ==, bad[i][0] == '\0');
      if (bad[i][0] != '\0')
        g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE);
      g_clear_error (&error);
    }
}

static MooshStore *
open_book (char **ret_dir)
{
  static const char *const migrations[] = { moosh_book_schema, NULL };
  g_autoptr (GError) error = NULL;
  *ret_dir = g_dir_make_tmp ("moosh-match-XXXXXX", &error);
  g_autofree char *path = g_build_filename (*ret_dir, "state.db", NULL);
  MooshStore *store = moosh_store_open (path, migrations, &error);
  g_assert_no_error (error);
  return store;
}

static void
add (MooshStore *store, uint64_t rate, uint32_t vcpu, uint32_t ram, uint32_t volume,
     uint32_t min_term)
{
  g_autoptr (GError) error = NULL;
  static uint64_t salt;
  MooshSignedOffer so = { .domain = { .chain_id = 31337 }, .sig_len = 65 };
  MooshOffer *o = &so.offer;
  memset (o->maker, 0x10, 20);
  memset (o->token, 0x30, 20);
  o->units = (MooshUnits){ vcpu, ram, 10, 0, 0 };
  o->overcommit_pct = 100;
  o->rate_x = moosh_u256 (rate);
  o->min_term_s = min_term;
  o->max_term_s = 100000;
  o->accept_within_s = o->provision_within_s = 120;
  o->volume = volume;
  o->salt = ++salt;
  o->expiry = NOW + 1000;
  g_assert_true (moosh_book_add (store, &so, o->maker, NULL, NOW, NULL, &error));
  g_assert_no_error (error);
}

/* Which offer (by its rate) and how many units; 0: none. */
static uint64_t
choose (MooshStore *store, MooshNeed need, uint32_t *ret_count, const char **ret_word)
{
  g_autoptr (GError) error = NULL;
  MooshBookEntry entry;
  if (!moosh_match (store, &need, NULL, NOW, &entry, ret_count, &error))
    {
      g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_NOT_FOUND);
      *ret_word = strstr (error->message, "cheap") != NULL ? "dear" : "none";
      return 0;
    }
  return entry.signed_offer.offer.rate_x.limb[0];
}

static void
test_match (void)
{
  char *dir;
  MooshStore *store = open_book (&dir);
  uint32_t count = 0;
  const char *word = "";
  add (store, 100, 1000, 512, 8, 0);
  add (store, 150, 1000, 1024, 1, 0);
  add (store, 390, 4000, 4096, 8, 0);
  add (store, 80, 1000, 512, 8, 5000); /* cheap, but binds for long */

  g_assert_cmpuint (choose (store, (MooshNeed){ .need = { .vcpu_milli = 1000 } }, &count, &word),
                    ==, 80);
  g_assert_cmpuint (choose (store,
                            (MooshNeed){ .need = { .vcpu_milli = 1000 }, .duration_s = 4999 },
                            &count, &word),
                    ==, 100);
  g_assert_cmpuint (choose (store, (MooshNeed){ .need = { .ram_mib = 1024 } }, &count, &word), ==,
                    150);
  /* 4 × 100 against one of 390; 3 × 100 is cheaper than that */
  MooshNeed need = { .need = { .vcpu_milli = 4000 }, .most_units = 8, .duration_s = 100 };
  g_assert_cmpuint (choose (store, need, &count, &word), ==, 390);
  g_assert_cmpuint (count, ==, 1);
  need.need.vcpu_milli = 3000;
  g_assert_cmpuint (choose (store, need, &count, &word), ==, 100);
  g_assert_cmpuint (count, ==, 3);
  need.need = (MooshUnits){ .ram_mib = 2048 }; /* the 150 has one unit only */
  g_assert_cmpuint (choose (store, need, &count, &word), ==, 390);
  need.has_max_rate = TRUE;
  need.max_rate_x = moosh_u256 (389);
  g_assert_cmpuint (choose (store, need, &count, &word), ==, 0);
  g_assert_cmpstr (word, ==, "dear");
  need.max_rate_x = moosh_u256 (390);
  g_assert_cmpuint (choose (store, need, &count, &word), ==, 390);
  need.need.gpu = 1;
  g_assert_cmpuint (choose (store, need, &count, &word), ==, 0);
  g_assert_cmpstr (word, ==, "none");
  need = (MooshNeed){ .duration_s = 100001 };
  g_assert_cmpuint (choose (store, need, &count, &word), ==, 0);

  moosh_store_free (store);
  g_autofree char *path = g_build_filename (dir, "state.db", NULL);
  g_remove (path);
  g_rmdir (dir);
  g_free (dir);
}

/* A model made from the chain's record predicts what the model that made the record does. */
static void
test_from_record (void)
{
  MooshRandom random = { g_test_rand_int () };
  unsigned compared = 0;
  for (int life = 0; life < 400; life++)
    {
      MooshWorld w;
      MooshU256 last_rate = moosh_u256 (0);
      moosh_world_random (&random, &w);
      for (int i = 0; i < 40; i++)
        {
          MooshStep step = moosh_step_random (&random, &w);
          if (w.taken && w.a.state != MOOSH_STATE_CLOSED)
            last_rate = w.a.account.rate_x;
          moosh_world_play (&w, &step);
          if (!w.taken)
            continue;
          gboolean closed = w.a.state == MOOSH_STATE_CLOSED;
          MooshAgreementRecord record = {
            .state = w.a.state,
            .reason = w.a.reason,
            .deadline_s = w.a.deadline_s,
            .units = w.count,
            .started_s = w.a.provisioned_s ? w.a.provisioned_s : w.a.taken_s,
            .sponsored = w.a.sponsored,
            .t_s = closed ? w.a.closed_s : w.a.account.t_s,
            .bal_x = w.a.account.bal_x,
            .rate_x = closed ? last_rate : w.a.account.rate_x,
            .earned_x = w.a.account.earned_x,
          };
          MooshAgreement copy;
          MooshAgreementView one, two;
          uint64_t later = w.now_s + moosh_random_below (&random, 1000);
          g_assert_cmpint (moosh_agreement_from_record (&w.offer, &record, &w.a.bond, &copy), ==,
                           0);
          moosh_agreement_view (&w.a, later, &one);
          moosh_agreement_view (&copy, later, &two);
          g_assert_cmpmem (&one, sizeof one, &two, sizeof two);
          compared++;
        }
    }
  g_assert_cmpuint (compared, >, 5000);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/match/price-round-trip", test_price_round_trip);
  g_test_add_func ("/match/price-text", test_price_text);
  g_test_add_func ("/match/quote", test_quote);
  g_test_add_func ("/match/quote-is-kept", test_quote_is_kept);
  g_test_add_func ("/match/units-needed", test_units_needed);
  g_test_add_func ("/match/need", test_need);
  g_test_add_func ("/match/match", test_match);
  g_test_add_func ("/match/from-record", test_from_record);
  return g_test_run ();
}
