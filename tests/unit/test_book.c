/* The order book: what is added, what the chain says of it, and what a listing shows. */
#include "market/book.h"
#include <glib/gstdio.h>
#include <string.h>

enum { NOW = 1800000000 };

typedef struct {
  char *dir;
  MooshStore *store;
} Fixture;

static void
set_up (Fixture *f, gconstpointer unused)
{
  static const char *const migrations[] = { moosh_book_schema, NULL };
  g_autoptr (GError) error = NULL;
  (void)unused;
  f->dir = g_dir_make_tmp ("moosh-book-XXXXXX", &error);
  g_assert_no_error (error);
  g_autofree char *path = g_build_filename (f->dir, "state.db", NULL);
  f->store = moosh_store_open (path, migrations, &error);
  g_assert_no_error (error);
}

static void
tear_down (Fixture *f, gconstpointer unused)
{
  static const char *const files[] = { "state.db", "state.db-wal", "state.db-shm" };
  (void)unused;
  moosh_store_free (f->store);
  for (gsize i = 0; i < G_N_ELEMENTS (files); i++)
    {
      g_autofree char *path = g_build_filename (f->dir, files[i], NULL);
      g_remove (path);
    }
  g_rmdir (f->dir);
  g_free (f->dir);
}

/* Offer number `n`: maker n/100, everything else plain. */
static MooshSignedOffer
offer (unsigned n)
{
  MooshSignedOffer so = { .domain = { .chain_id = 31337 }, .sig_len = 65 };
  MooshOffer *o = &so.offer;
  memset (o->maker, 0x10, 20);
  moosh_put_be32 (o->maker, n / 100);
  memset (o->pool, 0x20, 32);
  memset (o->token, 0x30, 20);
  o->units = (MooshUnits){ 1000, 1024, 10, 0, 0 };
  o->overcommit_pct = 100;
  o->rate_x = moosh_u256 (1000 + n);
  o->min_term_s = 60;
  o->max_term_s = 86400;
  o->accept_within_s = 120;
  o->provision_within_s = 1200;
  o->volume = 4;
  o->salt = n;
  o->expiry = NOW + 1000;
  return so;
}

static void
add (Fixture *f, const MooshSignedOffer *so)
{
  g_autoptr (GError) error = NULL;
  gboolean is_new = FALSE;
  g_assert_true (moosh_book_add (f->store, so, so->offer.maker, NULL, NOW, &is_new, &error));
  g_assert_no_error (error);
  g_assert_true (is_new);
}

static MooshBookEntry
get (Fixture *f, const MooshSignedOffer *so)
{
  g_autoptr (GError) error = NULL;
  MooshBookEntry entry;
  uint8_t hash[32];
  moosh_offer_hash (&so->offer, hash);
  g_assert_true (moosh_book_get (f->store, hash, NOW, &entry, &error));
  g_assert_no_error (error);
  return entry;
}

static guint
count (Fixture *f, MooshBookFilter filter)
{
  g_autoptr (GError) error = NULL;
  guint total = 12345;
  g_autoptr (GArray) entries = moosh_book_list (f->store, &filter, NOW, &total, &error);
  g_assert_no_error (error);
  g_autoptr (GArray) page
      = moosh_book_list (f->store, &filter, NOW, NULL, &error); /* without counting */
  g_assert_no_error (error);
  g_assert_cmpuint (page->len, ==, entries->len);
  g_assert_cmpuint (entries->len, ==, MIN (total, filter.limit ? filter.limit : 100));
  return total;
}

static void
test_add (Fixture *f, gconstpointer unused)
{
  g_autoptr (GError) error = NULL;
  MooshSignedOffer so = offer (1);
  gboolean is_new = TRUE;
  (void)unused;
  add (f, &so);
  g_assert_true (moosh_book_add (f->store, &so, so.offer.maker, NULL, NOW + 5, &is_new, &error));
  g_assert_false (is_new);
  MooshBookEntry entry = get (f, &so);
  g_assert_cmpmem (&entry.signed_offer, sizeof so, &so, sizeof so);
  g_assert_cmpint (entry.seen_s, ==, NOW + 5);
  g_assert_cmpuint (entry.available, ==, 4);
  g_assert_cmpint (entry.status, ==, MOOSH_BOOK_LIVE);
  g_assert_cmpuint (count (f, (MooshBookFilter){ 0 }), ==, 1);
}

static void
test_refused (Fixture *f, gconstpointer unused)
{
  g_autoptr (GError) error = NULL;
  MooshSignedOffer so = offer (1);
  (void)unused;
  so.offer.volume = 0;
  g_assert_false (moosh_book_add (f->store, &so, so.offer.maker, NULL, NOW, NULL, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE);
  g_clear_error (&error);
  so = offer (1);
  so.offer.expiry = NOW;
  g_assert_false (moosh_book_add (f->store, &so, so.offer.maker, NULL, NOW, NULL, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_EXPIRED);
  g_assert_cmpuint (count (f, (MooshBookFilter){ .any_status = TRUE }), ==, 0);
}

/* At the limit and one more; a refusal does not spoil the caller's transaction. */
static void
test_maker_limit (Fixture *f, gconstpointer unused)
{
  g_autoptr (GError) error = NULL;
  MooshSignedOffer so = offer (0);
  (void)unused;
  g_assert_true (moosh_store_begin (f->store, &error));
  for (unsigned i = 0; i < MOOSH_BOOK_PER_MAKER; i++)
    {
      so.offer.salt = i;
      add (f, &so);
    }
  so.offer.salt++;
  g_assert_false (moosh_book_add (f->store, &so, so.offer.maker, NULL, NOW, NULL, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_LIMIT);
  g_clear_error (&error);
  g_assert_true (moosh_store_commit (f->store, &error));
  so.offer.maker[19] ^= 1; /* another maker is welcome */
  add (f, &so);
  g_assert_cmpuint (count (f, (MooshBookFilter){ 0 }), ==, MOOSH_BOOK_PER_MAKER + 1);
}

static void
test_book_limit (Fixture *f, gconstpointer unused)
{
  g_autoptr (GError) error = NULL;
  MooshSignedOffer so = offer (1), other = offer (2);
  (void)unused;
  /* stand in for many offers: the book's own count is what the limit looks at */
  g_assert_true (moosh_store_run (f->store, &error, "UPDATE book_size SET offers = ?", "i",
                                  (gint64)MOOSH_BOOK_MAX - 1));
  add (f, &so);
  g_assert_false (moosh_book_add (f->store, &other, other.offer.maker, NULL, NOW, NULL, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_LIMIT);
}

static void
test_filled (Fixture *f, gconstpointer unused)
{
  g_autoptr (GError) error = NULL;
  MooshSignedOffer so = offer (1);
  uint8_t hash[32];
  (void)unused;
  moosh_offer_hash (&so.offer, hash);
  /* the chain's word may come first */
  g_assert_true (moosh_book_set_filled (f->store, so.offer.maker, hash, 3, FALSE, &error));
  add (f, &so);
  g_assert_cmpuint (get (f, &so).available, ==, 1);
  g_assert_cmpuint (get (f, &so).filled, ==, 3);
  g_assert_cmpuint (count (f, (MooshBookFilter){ .count = 1 }), ==, 1);
  g_assert_cmpuint (count (f, (MooshBookFilter){ .count = 2 }), ==, 0);
  g_assert_true (moosh_book_set_filled (f->store, so.offer.maker, hash, 4, FALSE, &error));
  g_assert_cmpint (get (f, &so).status, ==, MOOSH_BOOK_SOLD_OUT);
  g_assert_cmpuint (count (f, (MooshBookFilter){ 0 }), ==, 0);
  g_assert_cmpuint (count (f, (MooshBookFilter){ .any_status = TRUE }), ==, 1);
  g_assert_true (moosh_book_set_filled (f->store, so.offer.maker, hash, 0, FALSE,
                                        &error)); /* a reorganisation */
  g_assert_cmpint (get (f, &so).status, ==, MOOSH_BOOK_LIVE);
  uint8_t stranger[20] = { 9 };
  g_assert_true (moosh_book_set_filled (f->store, stranger, hash, 0, TRUE, &error));
  g_assert_cmpint (get (f, &so).status, ==, MOOSH_BOOK_LIVE); /* only its maker cancels it */
  g_assert_true (moosh_book_set_filled (f->store, so.offer.maker, hash, 0, TRUE, &error));
  g_assert_cmpint (get (f, &so).status, ==, MOOSH_BOOK_CANCELLED);
  g_assert_cmpuint (get (f, &so).available, ==, 0);
}

static void
test_nonce (Fixture *f, gconstpointer unused)
{
  g_autoptr (GError) error = NULL;
  MooshSignedOffer old = offer (1), fresh = offer (2);
  (void)unused;
  fresh.offer.nonce = 1;
  add (f, &old);
  add (f, &fresh);
  g_assert_cmpuint (count (f, (MooshBookFilter){ 0 }), ==, 2); /* nothing known of nonces */
  g_assert_true (moosh_book_set_nonce (f->store, old.offer.maker, 1, &error));
  g_assert_cmpint (get (f, &old).status, ==, MOOSH_BOOK_CANCELLED);
  g_assert_cmpint (get (f, &fresh).status, ==, MOOSH_BOOK_LIVE);
}

static void
test_pool (Fixture *f, gconstpointer unused)
{
  g_autoptr (GError) error = NULL;
  MooshSignedOffer so = offer (1);
  MooshUnits left = { 2999, 99999, 99999, 0, 0 };
  (void)unused;
  add (f, &so);
  g_assert_true (moosh_book_set_pool (f->store, so.offer.maker, so.offer.pool, &left, &error));
  g_assert_cmpuint (get (f, &so).available, ==,
                    2); /* 2999 / 1000 vCPU; GPU and IPv4 are not needed */
  left.ram_mib = 1023;
  g_assert_true (moosh_book_set_pool (f->store, so.offer.maker, so.offer.pool, &left, &error));
  g_assert_cmpint (get (f, &so).status, ==, MOOSH_BOOK_POOL_EMPTY);
  left = (MooshUnits){ UINT32_MAX, UINT32_MAX, UINT32_MAX, 0, 0 };
  g_assert_true (moosh_book_set_pool (f->store, so.offer.maker, so.offer.pool, &left, &error));
  g_assert_cmpuint (get (f, &so).available, ==, 4); /* never more than the offer sells */
}

static void
test_expire_and_forget (Fixture *f, gconstpointer unused)
{
  g_autoptr (GError) error = NULL;
  MooshSignedOffer one = offer (1), two = offer (2);
  uint8_t source[33] = { 2, 7 };
  (void)unused;
  one.offer.expiry = NOW + 10;
  add (f, &one);
  g_assert_true (moosh_book_add (f->store, &two, two.offer.maker, source, NOW, NULL, &error));
  g_assert_cmpint (moosh_book_expire (f->store, NOW + 9, &error), ==, 0);
  g_assert_cmpint (moosh_book_expire (f->store, NOW + 10, &error), ==, 1);
  g_assert_true (moosh_book_forget (f->store, source, NOW, &error));
  g_assert_cmpuint (count (f, (MooshBookFilter){ .any_status = TRUE }), ==, 1);
  g_assert_true (moosh_book_forget (f->store, source, NOW + 1, &error));
  g_assert_cmpuint (count (f, (MooshBookFilter){ .any_status = TRUE }), ==, 0);
  g_assert_cmpint (moosh_store_int (f->store, -1, "SELECT offers FROM book_size", ""), ==, 0);
  g_assert_cmpint (moosh_store_int (f->store, -1, "SELECT count(*) FROM book_index", ""), ==, 0);
}

static void
test_filters (Fixture *f, gconstpointer unused)
{
  MooshSignedOffer small = offer (1), big = offer (250), private = offer (3);
  MooshU256 rate = moosh_u256 (1001), below = moosh_u256 (1000), huge = moosh_u256_shl (&rate, 100);
  uint32_t bound = 59, bound_60 = 60;
  uint8_t nobody[20] = { 0xee };
  (void)unused;
  big.offer.units = (MooshUnits){ 4000, 8192, 100, 1, 1 };
  big.offer.kind = MOOSH_KIND_GPU;
  big.offer.class = MOOSH_CLASS_SHARED;
  big.offer.overcommit_pct = 200;
  big.offer.max_term_s = 0;
  big.offer.min_term_s = 0;
  memset (private.offer.allowed_taker, 0x77, 20);
  add (f, &small);
  add (f, &big);
  add (f, &private);
#define COUNT(n, ...) g_assert_cmpuint (count (f, (MooshBookFilter){ __VA_ARGS__ }), ==, n)
  COUNT (2, .limit = 0);
  COUNT (3, .taker = private.offer.allowed_taker);
  COUNT (2, .taker = nobody);
  COUNT (3, .any_status = TRUE);
  COUNT (2, .min = { .vcpu_milli = 1000 });
  COUNT (1, .min = { .vcpu_milli = 1001 });
  COUNT (1, .min = { .ram_mib = 8192 });
  COUNT (0, .min = { .ram_mib = 8193 });
  COUNT (1, .min = { .disk_gib = 11 });
  COUNT (1, .min = { .gpu = 1 });
  COUNT (1, .min = { .ipv4 = 1 });
  COUNT (1, .max_rate_x = &rate);
  COUNT (0, .max_rate_x = &below);
  COUNT (2, .max_rate_x = &huge);
  COUNT (1, .kind_plus_1 = MOOSH_KIND_VM + 1);
  COUNT (1, .kind_plus_1 = MOOSH_KIND_GPU + 1);
  COUNT (1, .class_plus_1 = MOOSH_CLASS_SHARED + 1);
  COUNT (1, .lasts_s = 86401);
  COUNT (2, .lasts_s = 86400);
  COUNT (1, .bound_s = &bound);
  COUNT (2, .bound_s = &bound_60);
  COUNT (1, .provider = big.offer.maker);
  COUNT (0, .provider = nobody);
  COUNT (2, .token = big.offer.token);
  COUNT (0, .token = nobody);
  COUNT (2, .chain_id = 31337);
  COUNT (0, .chain_id = 1);
  COUNT (0, .side = MOOSH_SIDE_BUY);
  COUNT (2, .count = 4);
  COUNT (0, .count = 5);
#undef COUNT
}

static void
test_sort_and_page (Fixture *f, gconstpointer unused)
{
  g_autoptr (GError) error = NULL;
  (void)unused;
  for (unsigned i = 0; i < 30; i++)
    {
      MooshSignedOffer so = offer (i * 7 % 30); /* all of 0 … 29, shuffled */
      so.offer.units.ram_mib = 100 + (i * 11 % 30);
      add (f, &so);
    }
  MooshBookFilter filter = { .limit = 7 };
  guint seen = 0, total = 0;
  for (filter.offset = 0; filter.offset < 35; filter.offset += 7)
    {
      g_autoptr (GArray) page = moosh_book_list (f->store, &filter, NOW, &total, &error);
      g_assert_no_error (error);
      g_assert_cmpuint (total, ==, 30);
      for (guint i = 0; i < page->len; i++, seen++)
        g_assert_cmpuint (g_array_index (page, MooshBookEntry, i).signed_offer.offer.rate_x.limb[0],
                          ==, 1000 + seen);
    }
  g_assert_cmpuint (seen, ==, 30);

  filter = (MooshBookFilter){ .sort = MOOSH_BOOK_BY_RAM };
  g_autoptr (GArray) by_ram = moosh_book_list (f->store, &filter, NOW, NULL, &error);
  for (guint i = 0; i < by_ram->len; i++)
    g_assert_cmpuint (g_array_index (by_ram, MooshBookEntry, i).signed_offer.offer.units.ram_mib,
                      ==, 129 - i);
  filter.reverse = TRUE;
  g_autoptr (GArray) up = moosh_book_list (f->store, &filter, NOW, NULL, &error);
  g_assert_cmpuint (g_array_index (up, MooshBookEntry, 0).signed_offer.offer.units.ram_mib, ==,
                    100);
}

/* Rates beyond 64 bits are ordered as numbers, too. */
static void
test_wide_rates (Fixture *f, gconstpointer unused)
{
  g_autoptr (GError) error = NULL;
  MooshSignedOffer so = offer (1);
  MooshU256 one = moosh_u256 (1);
  MooshBookFilter filter = { 0 };
  (void)unused;
  for (unsigned bit = 95; bit < 96; bit -= 5)
    {
      so.offer.rate_x = moosh_u256_shl (&one, bit);
      add (f, &so);
    }
  g_autoptr (GArray) all = moosh_book_list (f->store, &filter, NOW, NULL, &error);
  g_assert_cmpuint (all->len, ==, 20);
  for (guint i = 1; i < all->len; i++)
    g_assert_cmpint (
        moosh_u256_cmp (&g_array_index (all, MooshBookEntry, i - 1).signed_offer.offer.rate_x,
                        &g_array_index (all, MooshBookEntry, i).signed_offer.offer.rate_x),
        <, 0);
}

/* An offer for ever is listed and stays. */
static void
test_for_ever (Fixture *f, gconstpointer unused)
{
  g_autoptr (GError) error = NULL;
  MooshSignedOffer so = offer (1);
  (void)unused;
  so.offer.expiry = UINT64_MAX;
  so.offer.nonce = UINT64_MAX;
  add (f, &so);
  g_assert_cmpint (moosh_book_expire (f->store, NOW, &error), ==, 0);
  g_assert_cmpuint (count (f, (MooshBookFilter){ .sort = MOOSH_BOOK_BY_EXPIRY }), ==, 1);
  g_assert_true (moosh_book_set_nonce (f->store, so.offer.maker, UINT64_MAX, &error));
  g_assert_cmpint (get (f, &so).status, ==, MOOSH_BOOK_LIVE);
}

static void
test_find (Fixture *f, gconstpointer unused)
{
  g_autoptr (GError) error = NULL;
  MooshSignedOffer so = offer (1);
  MooshBookEntry entry;
  uint8_t hash[32];
  char hex[65], prefix[67] = "0x";
  (void)unused;
  add (f, &so);
  moosh_offer_hash (&so.offer, hash);
  moosh_hex_encode (hash, 32, hex);
  for (gsize len = 4; len <= 64; len += 15)
    {
      g_strlcpy (prefix + 2, hex, len + 1);
      g_assert_true (moosh_book_find (f->store, prefix, NOW, &entry, &error));
      g_assert_true (moosh_book_find (f->store, prefix + 2, NOW, &entry, &error));
      g_assert_cmpmem (entry.hash, 32, hash, 32);
    }
  static const struct {
    const char *prefix;
    int code;
  } bad[] = { { "0x123", MOOSH_ERROR_USAGE },
              { "zzzz", MOOSH_ERROR_USAGE },
              { "", MOOSH_ERROR_USAGE } };
  for (gsize i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      g_assert_false (moosh_book_find (f->store, bad[i].prefix, NOW, &entry, &error));
      g_assert_error (error, MOOSH_ERROR, bad[i].code);
      g_clear_error (&error);
    }
  hex[0] = hex[0] == '0' ? '1' : '0';
  g_assert_false (moosh_book_find (f->store, hex, NOW, &entry, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_NOT_FOUND);
  g_clear_error (&error);

  /* enough offers that two share their first four digits */
  for (unsigned i = 2; i < 1500; i++)
    {
      so = offer (i);
      add (f, &so);
    }
  gboolean conflict = FALSE;
  for (unsigned i = 0; i < 65536 && !conflict; i++)
    {
      g_snprintf (prefix, sizeof prefix, "%04x", i);
      g_clear_error (&error);
      conflict = !moosh_book_find (f->store, prefix, NOW, &entry, &error)
                 && g_error_matches (error, MOOSH_ERROR, MOOSH_ERROR_CONFLICT);
    }
  g_assert_true (conflict);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define ADD(name, func) g_test_add ("/book/" name, Fixture, NULL, set_up, func, tear_down)
  ADD ("add", test_add);
  ADD ("refused", test_refused);
  ADD ("maker-limit", test_maker_limit);
  ADD ("book-limit", test_book_limit);
  ADD ("filled", test_filled);
  ADD ("nonce", test_nonce);
  ADD ("pool", test_pool);
  ADD ("expire-and-forget", test_expire_and_forget);
  ADD ("filters", test_filters);
  ADD ("sort-and-page", test_sort_and_page);
  ADD ("wide-rates", test_wide_rates);
  ADD ("for-ever", test_for_ever);
  ADD ("find", test_find);
  return g_test_run ();
}
