/* daemon/mooshd/exchange_wire: what nodes ask each other. */
#include "base/error.h"
#include "core/cbor/cbor.h"
#include "daemon/mooshd/exchange_wire.h"
#include <string.h>

static gboolean
view_again (const MachineView *view, MachineView *ret, GError **error)
{
  g_autoptr (GBytes) bytes = machine_view_encode (view);
  return machine_view_decode (g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes), ret, error);
}

static void
test_view (void)
{
  MachineView view = { .state = "running",
                       .step = "serving",
                       .error = "none",
                       .host = "2001:db8::1",
                       .port = 65535,
                       .host_key = "ssh-ed25519 AAAA",
                       .log_digest = { 1, 2, 3 },
                       .build_ms = G_MAXINT64,
                       .boot_ms = 1 };
  MachineView got;
  g_autoptr (GError) error = NULL;

  g_assert_true (view_again (&view, &got, &error));
  g_assert_cmpmem (&got, sizeof got, &view, sizeof view);
}

/* A build's last words hold escape sequences, or are cut within a character: the client must still
 * be told that the build failed. */
static void
test_view_of_any_words (void)
{
  static const struct {
    const char *said, *read;
  } table[] = {
    { "line\nnext\ttab\r", "line next tab " },
    { "\033[31mred\033[0m", " [31mred [0m" },
    { "caf\xc3\xa9", "caf\xc3\xa9" },
    { "cut caf\xc3", "cut caf" },
    { "\xff", "" },
    { "del\x7f", "del " },
  };

  for (guint i = 0; i < G_N_ELEMENTS (table); i++)
    {
      MachineView view = { .state = "failed" }, got;
      g_autoptr (GError) error = NULL;

      g_strlcpy (view.error, table[i].said, sizeof view.error);
      g_assert_true (view_again (&view, &got, &error));
      g_assert_cmpstr (got.error, ==, table[i].read);
    }
}

/* What would end up in known_hosts, in ssh's arguments or on a terminal. */
static void
test_view_refused (void)
{
  static const struct {
    unsigned key;
    const char *text;
  } table[] = {
    { 2, "step\nmore" },        { 4, "\033[2J" },        { 6, "-oProxyCommand=x" },
    { 6, "host name" },         { 6, "host/../x" },      { 10, "ssh-rsa AAAA" },
    { 10, "ssh-ed25519 A\nB" }, { 11, "of no meaning" }, { 18, "an unknown even key" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (table); i++)
    {
      guint8 buffer[256];
      MooshCborWriter w;
      MachineView got = { .port = 7 };
      gsize len;
      g_autoptr (GError) error = NULL;
      gboolean odd = table[i].key % 2 != 0;

      moosh_cbor_write_init (&w, buffer, sizeof buffer);
      moosh_cbor_put_map (&w, 2);
      moosh_cbor_put_key (&w, 0);
      moosh_cbor_put_text (&w, "running");
      moosh_cbor_put_key (&w, table[i].key);
      moosh_cbor_put_text (&w, table[i].text);
      g_assert_cmpint (moosh_cbor_finish (&w, &len), ==, MOOSH_OK);
      g_assert_cmpint (machine_view_decode (buffer, len, &got, &error), ==, odd);
      if (odd)
        continue;
      g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_PROTOCOL);
      g_assert_cmpuint (got.port, ==, 7);
    }
}

static GPtrArray *
offers_of (guint n, gsize len)
{
  GPtrArray *offers = g_ptr_array_new_with_free_func ((GDestroyNotify)g_bytes_unref);
  g_autofree char *text = g_strnfill (len, 'o');

  for (guint i = 0; i < n; i++)
    g_ptr_array_add (offers, g_bytes_new (text, len));
  return offers;
}

/* As many as a message holds, and never more than 64. */
static void
test_page (void)
{
  static const struct {
    guint n;
    gsize len;
    gsize arrive;
  } table[] = { { 0, 1, 0 },     { 1, 1, 1 },    { 64, 1, 64 },  { 65, 1, 64 },   { 20, 500, 20 },
                { 20, 900, 18 }, { 3, 5000, 3 }, { 4, 5000, 3 }, { 1, 16365, 1 }, { 1, 16366, 0 } };

  for (guint i = 0; i < G_N_ELEMENTS (table); i++)
    {
      g_autoptr (GPtrArray) offers = offers_of (table[i].n, table[i].len);
      g_autoptr (GBytes) bytes = exchange_page_encode (G_MAXUINT32, offers);
      g_autoptr (GError) error = NULL;
      ExchangePage page;

      g_assert_cmpuint (g_bytes_get_size (bytes), <=, MOOSH_CBOR_MAX);
      g_assert_true (exchange_page_decode (g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes),
                                           &page, &error));
      g_assert_cmpuint (page.total, ==, G_MAXUINT32);
      g_assert_cmpuint (page.n, ==, table[i].arrive);
      if (page.n > 0)
        g_assert_cmpuint (page.offers[page.n - 1].len, ==, table[i].len);
    }
}

static void
test_page_refused (void)
{
  static const char *const table[] = {
    "",                                                     /* nothing */
    "\xa1\x00\x01",                                         /* no list */
    "\xa1\x02\x80",                                         /* no total */
    "\xa2\x00\x01\x02\x81\x40",                             /* an empty offer */
    "\xa2\x00\x1b\x00\x00\x00\x01\x00\x00\x00\x00\x02\x80", /* total of 2^32 */
  };
  static const gsize lens[] = { 0, 3, 3, 6, 13 };

  for (guint i = 0; i < G_N_ELEMENTS (table); i++)
    {
      ExchangePage page = { .n = 3 };
      g_autoptr (GError) error = NULL;

      g_assert_false (exchange_page_decode (table[i], lens[i], &page, &error));
      g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_PROTOCOL);
      g_assert_cmpuint (page.n, ==, 3);
    }
}

static void
test_query_and_pairs (void)
{
  ExchangeQuery query = { .first = 7, .second = 9, .with_second = TRUE, .console = TRUE }, got;
  guint8 signature[64] = { 5 };
  g_autoptr (GBytes) bytes = exchange_query_encode (&query);
  g_autoptr (GBytes) most = g_bytes_new_take (g_malloc0 (MOOSH_CBOR_MAX), MOOSH_CBOR_MAX);
  g_autoptr (GBytes) small = g_bytes_new ("statement", 9);
  g_autoptr (GBytes) pair = exchange_signed_encode (small, signature, NULL);
  g_autoptr (GError) error = NULL;
  ExchangePair decoded;

  g_assert_true (
      exchange_query_decode (g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes), &got));
  g_assert_cmpuint (got.first, ==, 7);
  g_assert_cmpuint (got.second, ==, 9);
  g_assert_true (got.with_second && got.console);
  g_assert_false (exchange_query_decode ("\xa1\x02\x01", 3, &got)); /* no first */

  g_assert_null (exchange_signed_encode (most, signature, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_LIMIT);
  g_assert_true (exchange_pair_decode (g_bytes_get_data (pair, NULL), g_bytes_get_size (pair),
                                       FALSE, &decoded));
  g_assert_cmpmem (decoded.first.ptr, decoded.first.len, "statement", 9);
  g_assert_cmpmem (decoded.second.ptr, decoded.second.len, signature, 64);
  /* the other form */
  g_assert_false (exchange_pair_decode (g_bytes_get_data (pair, NULL), g_bytes_get_size (pair),
                                        TRUE, &decoded));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/exchange/view", test_view);
  g_test_add_func ("/exchange/view/any-words", test_view_of_any_words);
  g_test_add_func ("/exchange/view/refused", test_view_refused);
  g_test_add_func ("/exchange/page", test_page);
  g_test_add_func ("/exchange/page/refused", test_page_refused);
  g_test_add_func ("/exchange/query-and-pairs", test_query_and_pairs);
  return g_test_run ();
}
