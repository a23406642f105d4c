#include "core/abi/abi.h"
#include <glib.h>
#include <string.h>

typedef struct {
  guint8 bytes[4096];
  gsize len;
} Blob;

static Blob
unhex (const char *hex)
{
  Blob blob = { .len = strlen (hex) / 2 };

  g_assert_cmpint (moosh_hex_decode (hex, blob.bytes, blob.len), ==, MOOSH_OK);
  return blob;
}

/* Encode, compare, decode, compare. */
static void
round_trip (const char *types, const MooshAbiValue *values, gsize count, const char *hex)
{
  Blob want = unhex (hex);
  guint8 out[4096];
  MooshAbiValue back[64];
  gsize len = 0, size = 0, back_count = 0;

  g_assert_cmpint (moosh_abi_encode (types, values, count, out, sizeof out, &len), ==, MOOSH_OK);
  g_assert_cmpmem (out, len, want.bytes, want.len);
  g_assert_cmpint (moosh_abi_size (types, values, count, &size), ==, MOOSH_OK);
  g_assert_cmpuint (size, ==, len);
  if (len > 0)
    g_assert_cmpint (moosh_abi_encode (types, values, count, out, len - 1, &len), ==,
                     MOOSH_E_SPACE);
  g_assert_cmpint (moosh_abi_encode (types, values, count + 1, out, sizeof out, &len), !=,
                   MOOSH_OK);
  if (count > 0)
    {
      g_assert_cmpint (moosh_abi_encode (types, values, count - 1, out, sizeof out, &len), ==,
                       MOOSH_E_SHORT);
      g_assert_cmpint (moosh_abi_decode (types, (MooshSpan){ want.bytes, want.len }, back,
                                         count - 1, &back_count),
                       ==, MOOSH_E_SPACE);
    }
  g_assert_cmpint (
      moosh_abi_decode (types, (MooshSpan){ want.bytes, want.len }, back, 64, &back_count), ==,
      MOOSH_OK);
  g_assert_cmpuint (back_count, ==, count);
  for (gsize i = 0; i < count; i++)
    {
      g_assert_cmpmem (back[i].word, 32, values[i].word, 32);
      g_assert_cmpmem (back[i].bytes.ptr, back[i].bytes.len, values[i].bytes.ptr,
                       values[i].bytes.len);
    }
  for (gsize cut = 0; cut < want.len; cut++)
    g_assert_cmpint (
        moosh_abi_decode (types, (MooshSpan){ want.bytes, cut }, back, 64, &back_count), ==,
        MOOSH_E_SHORT);
  memset (want.bytes + want.len, 0, 32);
  g_assert_cmpint (
      moosh_abi_decode (types, (MooshSpan){ want.bytes, want.len + 32 }, back, 64, &back_count), ==,
      MOOSH_E_TRAILING);
}

#define W(digits) "000000000000000000000000000000000000000000000000000000000000" digits

/* The worked examples of the Solidity ABI specification (section "Examples" and "Use of Dynamic
 * Types"). */
static void
test_spec_examples (void)
{
  guint8 selector[4];
  MooshAbiValue baz[] = { moosh_abi_u64 (69), moosh_abi_u64 (1) };
  MooshAbiValue bar[]
      = { moosh_abi_fixed ((const guint8 *)"abc", 3), moosh_abi_fixed ((const guint8 *)"def", 3) };
  MooshAbiValue sam[] = { moosh_abi_bytes ("dave", 4), moosh_abi_u64 (1), moosh_abi_u64 (3),
                          moosh_abi_u64 (1),           moosh_abi_u64 (2), moosh_abi_u64 (3) };
  MooshAbiValue f[] = { moosh_abi_u64 (0x123),
                        moosh_abi_u64 (2),
                        moosh_abi_u64 (0x456),
                        moosh_abi_u64 (0x789),
                        moosh_abi_fixed ((const guint8 *)"1234567890", 10),
                        moosh_abi_bytes ("Hello, world!", 13) };

  moosh_abi_selector ("baz(uint32,bool)", selector);
  g_assert_cmpmem (selector, 4, "\xcd\xcd\x77\xc0", 4);
  moosh_abi_selector ("bar(bytes3[2])", selector);
  g_assert_cmpmem (selector, 4, "\xfc\xe3\x53\xf6", 4);
  moosh_abi_selector ("sam(bytes,bool,uint256[])", selector);
  g_assert_cmpmem (selector, 4, "\xa5\x64\x3b\xf2", 4);
  round_trip ("(uint32,bool)", baz, 2, W ("0045") W ("0001"));
  round_trip ("(bytes3[2])", bar, 2,
              "6162630000000000000000000000000000000000000000000000000000000000"
              "6465660000000000000000000000000000000000000000000000000000000000");
  round_trip ("(bytes,bool,uint256[])", sam, 6,
              W ("0060") W ("0001") W ("00a0")
                  W ("0004") "6461766500000000000000000000000000000000000000000000000000000000" W (
                      "0003") W ("0001") W ("0002") W ("0003"));
  round_trip (
      "(uint256,uint32[],bytes10,bytes)", f, 6,
      W ("0123")
          W ("0080") "3132333435363738393000000000000000000000000000000000000000000000" W ("00e0")
              W ("0002") W ("0456") W ("0789")
                  W ("000d") "48656c6c6f2c20776f726c642100000000000000000000000000000000000000");
}

/* g(uint256[][],string[]) with ([[1,2],[3]],["one","two","three"]), the specification's last
 * example. */
static void
test_spec_nested (void)
{
  MooshAbiValue g[]
      = { moosh_abi_u64 (2),           moosh_abi_u64 (2),          moosh_abi_u64 (1),
          moosh_abi_u64 (2),           moosh_abi_u64 (1),          moosh_abi_u64 (3),
          moosh_abi_u64 (3),           moosh_abi_bytes ("one", 3), moosh_abi_bytes ("two", 3),
          moosh_abi_bytes ("three", 5) };
  static const char hex[] = W ("0040") W ("0140") W ("0002") W ("0040") W ("00a0") W ("0002") W (
      "0001") W ("0002") W ("0001") W ("0003") W ("0003") W ("0060") W ("00a0") W ("00e0")
      W ("0003") "6f6e65000000000000000000000000000000000000000000000000000000000"
                 "0" W ("0003") "74776f000000000000000000000000000000000000000000000"
                                "0000000000000" W ("0005") "746872656500000000000000000000000000000"
                                                           "0000000000000000000000000";

  round_trip ("(uint256[][],string[])", g, G_N_ELEMENTS (g), hex);
}

/* Tuples, static and dynamic, in one another. Made with Foundry: cast abi-encode
 * "f((uint8,(bytes,int16)[]),(address,bool)[2],string)" "(7,[(0xdead,-2)])"
 * "[(0x1111111111111111111111111111111111111111,true),(0x2222222222222222222222222222222222222222,false)]"
 * "é" */
static void
test_tuples (void)
{
  static const char types[] = "((uint8,(bytes,int16)[]),(address,bool)[2],string)";
  MooshU256 minus_two = moosh_u256 (2), zero = moosh_u256 (0);
  guint8 ones[20], twos[20];
  MooshAbiValue values[9];
  static const char hex[] = "00000000000000000000000000000000000000000000000000000000000000c0"
                            "0000000000000000000000001111111111111111111111111111111111111111"
                            "0000000000000000000000000000000000000000000000000000000000000001"
                            "0000000000000000000000002222222222222222222222222222222222222222"
                            "0000000000000000000000000000000000000000000000000000000000000000"
                            "00000000000000000000000000000000000000000000000000000000000001c0"
                            "0000000000000000000000000000000000000000000000000000000000000007"
                            "0000000000000000000000000000000000000000000000000000000000000040"
                            "0000000000000000000000000000000000000000000000000000000000000001"
                            "0000000000000000000000000000000000000000000000000000000000000020"
                            "0000000000000000000000000000000000000000000000000000000000000040"
                            "fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe"
                            "0000000000000000000000000000000000000000000000000000000000000002"
                            "dead000000000000000000000000000000000000000000000000000000000000"
                            "0000000000000000000000000000000000000000000000000000000000000002"
                            "c3a9000000000000000000000000000000000000000000000000000000000000";

  memset (ones, 0x11, 20);
  memset (twos, 0x22, 20);
  moosh_u256_sub (&zero, &minus_two, &minus_two);
  values[0] = moosh_abi_u64 (7);
  values[1] = moosh_abi_u64 (1);
  values[2] = moosh_abi_bytes ("\xde\xad", 2);
  values[3] = moosh_abi_u256 (&minus_two);
  values[4] = moosh_abi_address (ones);
  values[5] = moosh_abi_u64 (1);
  values[6] = moosh_abi_address (twos);
  values[7] = moosh_abi_u64 (0);
  values[8] = moosh_abi_bytes ("é", 2);
  round_trip (types, values, 9, hex);
  round_trip ("()", values, 0, "");

  g_assert_cmpint (moosh_abi_find (types, "(head(kind,items(blob,delta)),pairs(who,ok),text)",
                                   values, 9, "text"),
                   ==, 8);
  g_assert_cmpint (moosh_abi_find (types, "(head(kind,items(blob,delta)),pairs(who,ok),text)",
                                   values, 9, "head.items[0].delta"),
                   ==, 3);
  g_assert_cmpint (moosh_abi_find (types, "(head(kind,items(blob,delta)),pairs(who,ok),text)",
                                   values, 9, "head.items"),
                   ==, 1);
  g_assert_cmpint (moosh_abi_find (types, "(head(kind,items(blob,delta)),pairs(who,ok),text)",
                                   values, 9, "pairs[1].who"),
                   ==, 6);
  for (const char *const *path
       = (const char *const[]){ "head.items[1].delta", "pairs[2].who", "pairs[]", "nothing",
                                "text[0]", "text.x", "head.kin", "", "head.", "pairs[1",
                                "pairs[18446744073709551617]", NULL };
       *path != NULL; path++)
    g_assert_cmpint (moosh_abi_find (types, "(head(kind,items(blob,delta)),pairs(who,ok),text)",
                                     values, 9, *path),
                     <, 0);
}

static void
test_refusals (void)
{
  static const struct {
    const char *types, *hex;
    int result;
  } cases[] = {
    { "(bool)", W ("0002"), MOOSH_E_RANGE },
    { "(uint8)", W ("0100"), MOOSH_E_RANGE },
    { "(uint248)", "0100000000000000000000000000000000000000000000000000000000000000",
      MOOSH_E_RANGE },
    { "(int8)", W ("0080"), MOOSH_E_RANGE },
    { "(int8)", "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", MOOSH_E_RANGE },
    { "(int8)", "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff80", MOOSH_OK },
    { "(address)", "0000000000000000000000011111111111111111111111111111111111111111",
      MOOSH_E_RANGE },
    { "(bytes3)", "6162636400000000000000000000000000000000000000000000000000000000",
      MOOSH_E_NONCANONICAL },
    /* the offset points at itself, past the end, into the middle, far away */
    { "(bytes)", W ("0000"), MOOSH_E_NONCANONICAL },
    { "(bytes)", W ("0040") W ("0000") W ("0000"), MOOSH_E_NONCANONICAL },
    { "(bytes)", W ("0021") W ("0000"), MOOSH_E_NONCANONICAL },
    { "(bytes)", "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff" W ("0000"),
      MOOSH_E_SHORT },
    /* two members share one tail */
    { "(bytes,bytes)", W ("0040") W ("0040") W ("0000"), MOOSH_E_NONCANONICAL },
    /* length beyond the input, length near 2^64, dirty padding */
    { "(bytes)", W ("0020") W ("0001"), MOOSH_E_SHORT },
    { "(bytes)", W ("0020") "000000000000000000000000000000000000000000000000ffffffffffffffff",
      MOOSH_E_SHORT },
    { "(bytes)",
      W ("0020") W ("0001") "6100000000000000000000000000000000000000000000000000000000000001",
      MOOSH_E_NONCANONICAL },
    /* more items than bytes */
    { "(uint8[])", W ("0020") W ("0002") W ("0001"), MOOSH_E_SHORT },
    { "(uint8[])", W ("0020") "0000000000000000000000000000000000000000000000000fffffffffffffff",
      MOOSH_E_SHORT },
    /* text: overlong, surrogate, cut off, beyond U+10FFFF, stray continuation */
    { "(string)",
      W ("0020") W ("0002") "c080000000000000000000000000000000000000000000000000000000000000",
      MOOSH_E_MALFORMED },
    { "(string)",
      W ("0020") W ("0003") "eda0800000000000000000000000000000000000000000000000000000000000",
      MOOSH_E_MALFORMED },
    { "(string)",
      W ("0020") W ("0001") "c300000000000000000000000000000000000000000000000000000000000000",
      MOOSH_E_MALFORMED },
    { "(string)",
      W ("0020") W ("0004") "f490808000000000000000000000000000000000000000000000000000000000",
      MOOSH_E_MALFORMED },
    { "(string)",
      W ("0020") W ("0004") "f48fbfbf00000000000000000000000000000000000000000000000000000000",
      MOOSH_OK },
    { "(string)",
      W ("0020") W ("0001") "8000000000000000000000000000000000000000000000000000000000000000",
      MOOSH_E_MALFORMED },
    { "(string)",
      W ("0020") W ("0003") "e282ac0000000000000000000000000000000000000000000000000000000000",
      MOOSH_OK },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      Blob in = unhex (cases[i].hex);
      MooshAbiValue values[8];
      gsize count;

      g_test_message ("case %" G_GSIZE_FORMAT, i);
      g_assert_cmpint (
          moosh_abi_decode (cases[i].types, (MooshSpan){ in.bytes, in.len }, values, 8, &count), ==,
          cases[i].result);
    }
}

static void
test_type_strings (void)
{
  static const char *const malformed[] = {
    "",         "uint256",        "(uint256",    "(uint256))", "(uint256)x", "(uint)",
    "(uint7)",  "(uint264)",      "(uint08)",    "(bytes0)",   "(bytes33)",  "(uint8[0])",
    "(uint8[)", "(uint8])",       "(uint8[-1])", "(,)",        "(uint8,)",   "(())",
    "(()[])",   "()[2]",          "()[]",        "(foo)",      "(int)",      "( uint8)",
    "(uint8 )", "(uint8[99999])", "(Uint8)",
  };
  MooshAbiValue value;
  gsize count;
  GString *wide = g_string_new ("(");

  for (gsize i = 0; i < G_N_ELEMENTS (malformed); i++)
    g_assert_cmpint (moosh_abi_decode (malformed[i], (MooshSpan){ NULL, 0 }, &value, 1, &count), ==,
                     MOOSH_E_MALFORMED);
  /* depth: a tuple is one level above its deepest member */
  g_assert_cmpint (moosh_abi_is_dynamic ("((((((((uint8))))))))"), ==, 0);
  g_assert_cmpint (moosh_abi_is_dynamic ("(((((((((uint8)))))))))"), ==, MOOSH_E_LIMIT);
  g_assert_cmpint (moosh_abi_is_dynamic ("uint8[][][][][][][][]"), ==, 1);
  g_assert_cmpint (moosh_abi_is_dynamic ("uint8[][][][][][][][][]"), ==, MOOSH_E_LIMIT);
  g_assert_cmpint (moosh_abi_is_dynamic ("uint8[65536]"), ==, 0);
  g_assert_cmpint (moosh_abi_is_dynamic ("uint8[65536][2]"), ==, MOOSH_E_LIMIT);
  g_assert_cmpint (moosh_abi_is_dynamic ("(bytes32,(string)[3])"), ==, 1);
  g_assert_cmpint (moosh_abi_is_dynamic ("(bytes32,(address)[3])"), ==, 0);
  for (guint i = 0; i < MOOSH_ABI_NODES_MAX - 1; i++)
    g_string_append (wide, i == 0 ? "bool" : ",bool");
  g_string_append_c (wide, ')');
  g_assert_cmpint (moosh_abi_is_dynamic (wide->str), ==, 0);
  g_string_truncate (wide, wide->len - 1);
  g_string_append (wide, ",bool)");
  g_assert_cmpint (moosh_abi_is_dynamic (wide->str), ==, MOOSH_E_LIMIT);
  g_string_free (wide, TRUE);
}

static void
test_encode_refusals (void)
{
  guint8 out[128];
  gsize len = 7;
  MooshAbiValue dirty = moosh_abi_fixed ((const guint8 *)"abcd", 4), big = moosh_abi_u64 (256);
  MooshAbiValue text = moosh_abi_bytes ("\xff", 1), count = moosh_abi_u64 (2);

  g_assert_cmpint (moosh_abi_encode ("(bytes3)", &dirty, 1, out, sizeof out, &len), ==,
                   MOOSH_E_NONCANONICAL);
  g_assert_cmpint (moosh_abi_encode ("(uint8)", &big, 1, out, sizeof out, &len), ==, MOOSH_E_RANGE);
  g_assert_cmpint (moosh_abi_encode ("(string)", &text, 1, out, sizeof out, &len), ==,
                   MOOSH_E_MALFORMED);
  g_assert_cmpint (moosh_abi_encode ("(uint8[])", &count, 1, out, sizeof out, &len), ==,
                   MOOSH_E_SHORT);
  g_assert_cmpuint (len, ==, 7);
  g_assert_cmpint (moosh_abi_get_u64 (&dirty, &(uint64_t){ 0 }), ==, MOOSH_E_RANGE);
}

/* Anything that decodes encodes to the same bytes. Random input made from plausible words, so that
 * some does decode. */
static void
test_one_reading (void)
{
  static const char *const types[]
      = { "(bytes,uint8[])", "((string,bool)[],int16)", "(uint8[2][],address)", "(bytes[2])",
          "(bytes4,(uint8,(bytes))[])" };
  static const guint8 words[]
      = { 0, 0, 0, 1, 1, 2, 0x20, 0x20, 0x40, 0x40, 0x60, 0x80, 0xa0, 0xc0 };
  guint32 seed = (guint32)g_test_rand_int ();
  g_autoptr (GRand) rand = g_rand_new_with_seed (seed);
  guint decoded = 0;

  g_test_message ("seed %u", seed);
  for (int i = 0; i < 200000; i++)
    {
      const char *type = types[g_rand_int_range (rand, 0, G_N_ELEMENTS (types))];
      gsize n = (gsize)g_rand_int_range (rand, 1, 8), count, len;
      guint8 in[8 * 32] = { 0 }, out[8 * 32];
      MooshAbiValue values[16];

      for (gsize w = 0; w < n; w++)
        in[32 * w + 31] = words[g_rand_int_range (rand, 0, G_N_ELEMENTS (words))];
      if (moosh_abi_decode (type, (MooshSpan){ in, 32 * n }, values, 16, &count) != MOOSH_OK)
        continue;
      g_assert_cmpint (moosh_abi_encode (type, values, count, out, sizeof out, &len), ==, MOOSH_OK);
      g_assert_cmpmem (out, len, in, 32 * n);
      decoded++;
    }
  g_assert_cmpuint (decoded, >, 20);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/abi/spec", test_spec_examples);
  g_test_add_func ("/abi/spec-nested", test_spec_nested);
  g_test_add_func ("/abi/tuples", test_tuples);
  g_test_add_func ("/abi/refusals", test_refusals);
  g_test_add_func ("/abi/types", test_type_strings);
  g_test_add_func ("/abi/encode-refusals", test_encode_refusals);
  g_test_add_func ("/abi/one-reading", test_one_reading);
  return g_test_run ();
}
