#include "core/bytes/u256.h"
#include <glib.h>
#include <string.h>

static void
test_hex (void)
{
  uint8_t out[3];
  char text[7];

  g_assert_cmpint (moosh_hex_decode ("0xDeadbe", out, 3), ==, MOOSH_OK);
  g_assert_cmpmem (out, 3, "\xde\xad\xbe", 3);
  moosh_hex_encode (out, 3, text);
  g_assert_cmpstr (text, ==, "deadbe");
  g_assert_cmpint (moosh_hex_decode ("", out, 0), ==, MOOSH_OK);
  g_assert_cmpint (moosh_hex_decode ("deadb", out, 3), ==, MOOSH_E_SHORT);
  g_assert_cmpint (moosh_hex_decode ("deadbe0", out, 3), ==, MOOSH_E_TRAILING);
  g_assert_cmpint (moosh_hex_decode ("deadbg", out, 3), ==, MOOSH_E_MALFORMED);
  g_assert_cmpint (moosh_hex_decode ("0Xdeadbe", out, 3), ==, MOOSH_E_MALFORMED);
  g_assert_cmpint (moosh_hex_decode (" deadbe", out, 3), ==, MOOSH_E_MALFORMED);
}

static void
test_helpers (void)
{
  uint8_t be[8];
  char secret[4] = "abc";

  moosh_put_be64 (be, 0x0102030405060708);
  g_assert_cmpmem (be, 8, "\1\2\3\4\5\6\7\10", 8);
  g_assert_cmpuint (moosh_get_be64 (be), ==, 0x0102030405060708);
  g_assert_cmpuint (moosh_get_be32 (be), ==, 0x01020304);
  g_assert_cmpuint (moosh_get_be16 (be), ==, 0x0102);
  g_assert_cmpint (moosh_ct_equal ("abc", "abc", 3), ==, 1);
  g_assert_cmpint (moosh_ct_equal ("abc", "abd", 3), ==, 0);
  g_assert_cmpint (moosh_ct_equal ("abc", "\xe1zz", 1), ==, 0);
  g_assert_cmpint (moosh_ct_equal ("x", "y", 0), ==, 1);
  moosh_wipe (secret, sizeof secret);
  g_assert_cmpmem (secret, 4, "\0\0\0\0", 4);
  for (int code = 0; code >= MOOSH_E_STATE; code--)
    for (int other = 0; other > code; other--)
      g_assert_cmpstr (moosh_strerror (code), !=, moosh_strerror (other));
  g_assert_cmpstr (moosh_strerror (-99), ==, moosh_strerror (1));
}

static MooshU256
from_text (const char *text)
{
  MooshU256 value;

  g_assert_cmpint (moosh_u256_from_decimal (text, &value), ==, MOOSH_OK);
  return value;
}

static void
assert_decimal (const MooshU256 *value, const char *expected)
{
  char text[79];

  moosh_u256_to_decimal (value, text);
  g_assert_cmpstr (text, ==, expected);
}

#define MAX_TEXT "115792089237316195423570985008687907853269984665640564039457584007913129639935"

static void
test_decimal (void)
{
  static const char *const bad[] = { "", "-1", "+1", " 1", "1 ", "0x1", "1e3", "1.0", "1\n" };
  MooshU256 value = moosh_u256 (7), max = from_text (MAX_TEXT);

  for (int i = 0; i < 4; i++)
    g_assert_cmpuint (max.limb[i], ==, UINT64_MAX);
  assert_decimal (&max, MAX_TEXT);
  value = from_text ("0");
  assert_decimal (&value, "0");
  value = from_text ("00018446744073709551616");
  g_assert_cmpuint (value.limb[1], ==, 1);
  value = moosh_u256 (7);
  g_assert_cmpint (
      moosh_u256_from_decimal (
          "115792089237316195423570985008687907853269984665640564039457584007913129639936", &value),
      ==, MOOSH_E_RANGE);
  for (size_t i = 0; i < G_N_ELEMENTS (bad); i++)
    g_assert_cmpint (moosh_u256_from_decimal (bad[i], &value), ==, MOOSH_E_MALFORMED);
  assert_decimal (&value, "7"); /* untouched */
}

static void
test_amount (void)
{
  static const struct {
    const char *text;
    unsigned decimals;
    const char *wei, *back;
  } good[] = {
    { "1.25", 6, "1250000", "1.25" },   { "0", 18, "0", "0" },
    { "0.000001", 6, "1", "0.000001" }, { "12", 0, "12", "12" },
    { "007.10", 2, "710", "7.1" },      { "100", 6, "100000000", "100" },
    { "1.000000", 6, "1000000", "1" },  { MAX_TEXT, 0, MAX_TEXT, MAX_TEXT },
  };
  static const struct {
    const char *text;
    unsigned decimals;
    int result;
  } bad[] = {
    { "1.0000001", 6, MOOSH_E_RANGE }, { "1.0", 0, MOOSH_E_RANGE },
    { ".5", 6, MOOSH_E_MALFORMED },    { "5.", 6, MOOSH_E_MALFORMED },
    { "", 6, MOOSH_E_MALFORMED },      { "1.2.3", 6, MOOSH_E_MALFORMED },
    { "-1", 6, MOOSH_E_MALFORMED },    { "1,5", 6, MOOSH_E_MALFORMED },
    { ".", 6, MOOSH_E_MALFORMED },     { "1", 78, MOOSH_E_RANGE },
    { MAX_TEXT, 1, MOOSH_E_RANGE },    { "2", 77, MOOSH_E_RANGE },
  };
  MooshU256 value;
  char text[96];

  for (size_t i = 0; i < G_N_ELEMENTS (good); i++)
    {
      g_assert_cmpint (moosh_u256_from_amount (good[i].text, good[i].decimals, &value), ==,
                       MOOSH_OK);
      assert_decimal (&value, good[i].wei);
      moosh_u256_to_amount (&value, good[i].decimals, text);
      g_assert_cmpstr (text, ==, good[i].back);
    }
  for (size_t i = 0; i < G_N_ELEMENTS (bad); i++)
    g_assert_cmpint (moosh_u256_from_amount (bad[i].text, bad[i].decimals, &value), ==,
                     bad[i].result);
  value = from_text (MAX_TEXT);
  moosh_u256_to_amount (&value, 77, text);
  g_assert_cmpstr (
      text, ==, "1.15792089237316195423570985008687907853269984665640564039457584007913129639935");
  moosh_u256_to_amount (&value, 78, text);
  g_assert_cmpstr (text, ==, "");
}

static MooshU256
random_u256 (GRand *rand)
{
  MooshU256 value;

  for (int i = 0; i < 4; i++)
    value.limb[i] = (uint64_t)g_rand_int (rand) << 32 | g_rand_int (rand);
  return moosh_u256_shr (&value, (unsigned)g_rand_int_range (rand, 0, 257));
}

static gboolean
equal (const MooshU256 *a, const MooshU256 *b)
{
  return moosh_u256_cmp (a, b) == 0;
}

/* Laws that tie the operations to one another; a wrong one breaks some of them. */
static void
test_laws (void)
{
  guint32 seed = g_test_rand_int_range (0, G_MAXINT32);
  g_autoptr (GRand) rand = g_rand_new_with_seed (seed);

  g_test_message ("seed %u", seed);
  for (int i = 0; i < 20000; i++)
    {
      MooshU256 a = random_u256 (rand), b = random_u256 (rand), c, d, q, r;
      unsigned bits = (unsigned)g_rand_int_range (rand, 0, 300);
      bool carry = moosh_u256_add (&a, &b, &c), borrow;
      uint8_t be[32];
      char text[79];

      g_assert_true (carry == (moosh_u256_cmp (&c, &a) < 0));
      borrow = moosh_u256_sub (&c, &b, &d);
      g_assert_true (equal (&d, &a) && borrow == carry);
      g_assert_true (moosh_u256_sub (&a, &b, &d) == (moosh_u256_cmp (&a, &b) < 0));
      if (moosh_u256_is_zero (&b))
        g_assert_cmpint (moosh_u256_divmod (&a, &b, &q, &r), ==, MOOSH_E_RANGE);
      else
        {
          g_assert_cmpint (moosh_u256_divmod (&a, &b, &q, &r), ==, MOOSH_OK);
          g_assert_true (moosh_u256_cmp (&r, &b) < 0);
          g_assert_false (moosh_u256_mul (&q, &b, &c));
          g_assert_false (moosh_u256_add (&c, &r, &c));
          g_assert_true (equal (&c, &a));
          d = moosh_u256 (1);
          moosh_u256_add (&q, &d, &d);
          g_assert_true (moosh_u256_mul (&d, &b, &c) || moosh_u256_cmp (&c, &a) > 0
                         || (equal (&q, &a) && b.limb[0] == 1));
        }
      c = moosh_u256_shl (&a, bits);
      d = moosh_u256_shr (&c, bits);
      if (bits >= 256)
        g_assert_true (moosh_u256_is_zero (&c));
      else if (moosh_u256_bit_length (&a) + bits <= 256)
        g_assert_true (equal (&d, &a));
      moosh_u256_to_be (&a, be);
      c = moosh_u256_from_be (be);
      g_assert_true (equal (&a, &c));
      moosh_u256_to_decimal (&a, text);
      c = from_text (text);
      g_assert_true (equal (&a, &c));
    }
}

static void
test_edges (void)
{
  MooshU256 max = from_text (MAX_TEXT), one = moosh_u256 (1), zero = moosh_u256 (0), r;

  g_assert_true (moosh_u256_add (&max, &one, &r) && moosh_u256_is_zero (&r));
  g_assert_true (moosh_u256_sub (&zero, &one, &r) && equal (&r, &max));
  g_assert_true (moosh_u256_mul (&max, &max, &r) && equal (&r, &one));
  g_assert_false (moosh_u256_mul (&max, &one, &r));
  r = max;
  g_assert_true (moosh_u256_add (&r, &r, &r)); /* the result may be an operand */
  g_assert_cmpuint (r.limb[0], ==, UINT64_MAX - 1);
  g_assert_cmpuint (moosh_u256_bit_length (&max), ==, 256);
  g_assert_cmpuint (moosh_u256_bit_length (&one), ==, 1);
  g_assert_cmpuint (moosh_u256_bit_length (&zero), ==, 0);
  r = moosh_u256_shl (&one, 64);
  g_assert_false (moosh_u256_fits_u64 (&r));
  g_assert_cmpint (moosh_u256_divmod (&max, &r, &r, NULL), ==, MOOSH_OK);
  g_assert_cmpuint (moosh_u256_bit_length (&r), ==, 192);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/bytes/hex", test_hex);
  g_test_add_func ("/bytes/helpers", test_helpers);
  g_test_add_func ("/u256/decimal", test_decimal);
  g_test_add_func ("/u256/amount", test_amount);
  g_test_add_func ("/u256/laws", test_laws);
  g_test_add_func ("/u256/edges", test_edges);
  return g_test_run ();
}
