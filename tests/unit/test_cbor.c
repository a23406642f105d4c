/* core/cbor: against cbor2's encodings, against every rule of the profile, and by property. */
#include "core/cbor/cbor.h"
#include "core/cbor/utf8.h"
#include <glib.h>
#include <string.h>

/* Show the next item in the vectors' notation and write it again. */
static void
copy_item (MooshCborReader *reader, MooshCborWriter *writer, GString *shown)
{
  MooshSpan span;
  MooshCborMap map;
  guint64 u;
  gint64 i;
  gsize n;
  bool b;
  unsigned key;
  int r;
  switch (moosh_cbor_peek (reader))
    {
    case MOOSH_CBOR_UINT:
      g_assert_cmpint (moosh_cbor_read_uint (reader, G_MAXUINT64, &u), ==, 0);
      moosh_cbor_put_uint (writer, u);
      g_string_append_printf (shown, "%" G_GUINT64_FORMAT, u);
      return;
    case MOOSH_CBOR_NEGATIVE:
      g_assert_cmpint (moosh_cbor_read_int (reader, G_MININT64, -1, &i), ==, 0);
      moosh_cbor_put_int (writer, i);
      g_string_append_printf (shown, "%" G_GINT64_FORMAT, i);
      return;
    case MOOSH_CBOR_BYTES:
      case MOOSH_CBOR_TEXT: {
        gboolean text = moosh_cbor_peek (reader) == MOOSH_CBOR_TEXT;
        r = (text ? moosh_cbor_read_text : moosh_cbor_read_bytes) (reader, 0, MOOSH_CBOR_MAX,
                                                                   &span);
        g_assert_cmpint (r, ==, 0);
        if (text)
          moosh_cbor_put_text_len (writer, (const char *)span.ptr, span.len);
        else
          moosh_cbor_put_bytes (writer, span.ptr, span.len);
        g_string_append (shown, text ? "t'" : "h'");
        for (gsize k = 0; k < span.len; k++)
          g_string_append_printf (shown, "%02x", span.ptr[k]);
        g_string_append_c (shown, '\'');
        return;
      }
    case MOOSH_CBOR_ARRAY:
      g_assert_cmpint (moosh_cbor_read_array (reader, MOOSH_CBOR_MAX, &n), ==, 0);
      moosh_cbor_put_array (writer, n);
      g_string_append_c (shown, '[');
      for (gsize k = 0; k < n; k++)
        {
          g_string_append (shown, k > 0 ? "," : "");
          copy_item (reader, writer, shown);
        }
      g_string_append_c (shown, ']');
      return;
    case MOOSH_CBOR_MAP:
      g_assert_cmpint (moosh_cbor_read_map (reader, &map), ==, 0);
      moosh_cbor_put_map (writer, map.left);
      g_string_append_c (shown, '{');
      while ((r = moosh_cbor_next (reader, &map, &key)) > 0)
        {
          moosh_cbor_put_key (writer, key);
          g_string_append_printf (shown, "%s%u:", map.seen == 1u << key ? "" : ",", key);
          copy_item (reader, writer, shown);
        }
      g_assert_cmpint (r, ==, 0);
      g_string_append_c (shown, '}');
      return;
    case MOOSH_CBOR_BOOL:
      g_assert_cmpint (moosh_cbor_read_bool (reader, &b), ==, 0);
      moosh_cbor_put_bool (writer, b);
      g_string_append (shown, b ? "true" : "false");
      return;
    case MOOSH_CBOR_NULL:
      g_assert_cmpint (moosh_cbor_read_null (reader), ==, 0);
      moosh_cbor_put_null (writer);
      g_string_append (shown, "null");
      return;
    case MOOSH_CBOR_END:
      g_assert_not_reached ();
    }
}

/* What is accepted is written back byte for byte. Returns what it shows. */
static char *
round_trip (const guint8 *bytes, gsize len)
{
  guint8 again[MOOSH_CBOR_MAX];
  MooshCborReader reader;
  MooshCborWriter writer;
  MooshSpan span;
  gsize again_len = 0;
  GString *shown = g_string_new (NULL);
  g_assert_cmpint (moosh_cbor_read_init (&reader, bytes, len), ==, 0);
  moosh_cbor_write_init (&writer, again, sizeof again);
  copy_item (&reader, &writer, shown);
  g_assert_cmpint (moosh_cbor_peek (&reader), ==, MOOSH_CBOR_END);
  g_assert_cmpint (moosh_cbor_finish (&writer, &again_len), ==, 0);
  g_assert_cmpmem (again, again_len, bytes, len);
  g_assert_cmpint (moosh_cbor_read_init (&reader, bytes, len), ==, 0);
  g_assert_cmpint (moosh_cbor_skip (&reader, &span), ==, 0);
  g_assert_cmpmem (span.ptr, span.len, bytes, len);
  return g_string_free (shown, FALSE);
}

static GPtrArray *
vectors (void)
{
  g_autofree char *text = NULL;
  g_autoptr (GError) error = NULL;
  GPtrArray *list = g_ptr_array_new_with_free_func ((GDestroyNotify)g_strfreev);
  g_file_get_contents (MOOSH_SOURCE_DIR "/tests/vectors/cbor/profile.txt", &text, NULL, &error);
  g_assert_no_error (error);
  g_auto (GStrv) lines = g_strsplit (text, "\n", -1);
  for (char **line = lines; *line != NULL; line++)
    if (**line != '\0' && **line != '#')
      g_ptr_array_add (list, g_strsplit (*line, " ", 2));
  g_assert_cmpuint (list->len, >, 140);
  return list;
}

static void
test_vectors (void)
{
  g_autoptr (GPtrArray) list = vectors ();
  for (guint i = 0; i < list->len; i++)
    {
      char **words = list->pdata[i];
      gsize len = strlen (words[0]) / 2;
      g_autofree guint8 *bytes = g_malloc (len);
      g_assert_cmpint (moosh_hex_decode (words[0], bytes, len), ==, 0);
      g_autofree char *shown = round_trip (bytes, len);
      g_assert_cmpstr (shown, ==, words[1]);
      for (gsize cut = 0; cut < len; cut++)
        {
          g_autofree guint8 *part = g_memdup2 (bytes, cut > 0 ? cut : 1);
          g_assert_cmpint (moosh_cbor_validate (part, cut), ==, MOOSH_E_SHORT);
        }
      g_autofree guint8 *longer = g_malloc0 (len + 1);
      memcpy (longer, bytes, len);
      g_assert_cmpint (moosh_cbor_validate (longer, len + 1), ==, MOOSH_E_TRAILING);
    }
}

static void
test_refused (void)
{
  static const struct {
    const char *hex;
    int code;
  } cases[] = {
    /* longer integers than needed, in every place an argument can be */
    { "1817", MOOSH_E_NONCANONICAL },
    { "1900ff", MOOSH_E_NONCANONICAL },
    { "1a0000ffff", MOOSH_E_NONCANONICAL },
    { "1b00000000ffffffff", MOOSH_E_NONCANONICAL },
    { "3817", MOOSH_E_NONCANONICAL },
    { "5801ff", MOOSH_E_NONCANONICAL },
    { "780161", MOOSH_E_NONCANONICAL },
    { "980101", MOOSH_E_NONCANONICAL },
    { "b8010000", MOOSH_E_NONCANONICAL },
    { "a1180000", MOOSH_E_NONCANONICAL },
    /* negative below -2^63 */
    { "3b7fffffffffffffff", MOOSH_OK },
    { "3b8000000000000000", MOOSH_E_RANGE },
    /* indefinite lengths, break, reserved */
    { "5f4100ff", MOOSH_E_MALFORMED },
    { "7f6161ff", MOOSH_E_MALFORMED },
    { "9f00ff", MOOSH_E_MALFORMED },
    { "bf0000ff", MOOSH_E_MALFORMED },
    { "ff", MOOSH_E_MALFORMED },
    { "1c", MOOSH_E_MALFORMED },
    { "1d", MOOSH_E_MALFORMED },
    { "1e", MOOSH_E_MALFORMED },
    { "1f", MOOSH_E_MALFORMED },
    /* floats, tags, undefined, other simple values */
    { "f90000", MOOSH_E_MALFORMED },
    { "fa00000000", MOOSH_E_MALFORMED },
    { "fb0000000000000000", MOOSH_E_MALFORMED },
    { "c000", MOOSH_E_MALFORMED },
    { "d81800", MOOSH_E_MALFORMED },
    { "f7", MOOSH_E_MALFORMED },
    { "f3", MOOSH_E_MALFORMED },
    { "e0", MOOSH_E_MALFORMED },
    { "f820", MOOSH_E_MALFORMED },
    /* keys: out of order, twice, too large, not unsigned integers */
    { "a201000000", MOOSH_E_NONCANONICAL },
    { "a200000000", MOOSH_E_NONCANONICAL },
    { "a11700", MOOSH_OK },
    { "a1181800", MOOSH_E_RANGE },
    { "a12000", MOOSH_E_MALFORMED },
    { "a1610000", MOOSH_E_MALFORMED },
    { "a18000", MOOSH_E_MALFORMED },
    { "a1f500", MOOSH_E_MALFORMED },
    { "81a201000000", MOOSH_E_NONCANONICAL },
    /* counts the input cannot hold */
    { "8200", MOOSH_E_SHORT },
    { "9b8000000000000000", MOOSH_E_SHORT },
    { "bb8000000000000000", MOOSH_E_SHORT },
    { "bbffffffffffffffff", MOOSH_E_SHORT },
    { "a100", MOOSH_E_SHORT },
    { "5b7fffffffffffffff", MOOSH_E_SHORT },
    { "5bffffffffffffffff", MOOSH_E_SHORT },
    /* depth: eight pass, nine do not */
    { "8181818181818180", MOOSH_OK },
    { "818181818181818100", MOOSH_OK },
    { "818181818181818180", MOOSH_E_LIMIT },
    { "a100a100a100a100a100a100a100a10000", MOOSH_OK },
    { "a100a100a100a100a100a100a100a100a0", MOOSH_E_LIMIT },
    { "", MOOSH_E_SHORT },
    { "0000", MOOSH_E_TRAILING },
  };
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      gsize len = strlen (cases[i].hex) / 2;
      g_autofree guint8 *bytes = g_malloc (len + 1);
      g_assert_cmpint (moosh_hex_decode (cases[i].hex, bytes, len), ==, 0);
      g_autofree guint8 *exact = len > 0 ? g_memdup2 (bytes, len) : NULL;
      g_assert_cmpint (moosh_cbor_validate (exact, len), ==, cases[i].code);
    }
}

static void
test_size (void)
{
  g_autofree guint8 *room = g_malloc0 (MOOSH_CBOR_MAX + 1);
  g_autofree guint8 *body = g_malloc0 (MOOSH_CBOR_MAX);
  MooshCborWriter writer;
  gsize len = 0;
  moosh_cbor_write_init (&writer, room, MOOSH_CBOR_MAX + 1);
  moosh_cbor_put_bytes (&writer, body, MOOSH_CBOR_MAX - 3);
  g_assert_cmpint (moosh_cbor_finish (&writer, &len), ==, 0);
  g_assert_cmpuint (len, ==, MOOSH_CBOR_MAX);
  moosh_cbor_write_init (&writer, room, MOOSH_CBOR_MAX + 1);
  moosh_cbor_put_bytes (&writer, body, MOOSH_CBOR_MAX - 2);
  g_assert_cmpint (moosh_cbor_finish (&writer, &len), ==, MOOSH_E_LIMIT);
  g_assert_cmpint (moosh_cbor_validate (room, MOOSH_CBOR_MAX + 1), ==, MOOSH_E_LIMIT);
}

/* UTF-8: every scalar value passes alone; every sequence of table 3-7's complement of up to 3 bytes
 * does not. GLib's validator is the second opinion (it refuses NUL where a length is given, so NUL
 * is left out). */
static void
test_utf8 (void)
{
  guint8 bytes[4];
  for (guint c = 1; c <= 0x10ffff; c++)
    {
      if (c >= 0xd800 && c <= 0xdfff)
        continue;
      int n = g_unichar_to_utf8 (c, (char *)bytes);
      g_assert_true (moosh_utf8_valid (bytes, (gsize)n));
      g_assert_true (n == 1 || !moosh_utf8_valid (bytes, (gsize)n - 1));
    }
  for (guint a = 1; a < 256; a++)
    for (guint b = 1; b < 256; b++)
      for (guint c = 1; c < 256; c++)
        {
          bytes[0] = (guint8)a, bytes[1] = (guint8)b, bytes[2] = (guint8)c;
          g_assert_true (moosh_utf8_valid (bytes, 3) == g_utf8_validate ((char *)bytes, 3, NULL));
        }
  for (guint b = 1; b < 256;
       b++) /* four bytes: the leads that have a narrower second byte, and those that are none */
    for (guint a = 0xe0; a < 256; a++)
      {
        memcpy (bytes, (guint8[]){ (guint8)a, (guint8)b, 0x80, 0xbf }, 4);
        g_assert_true (moosh_utf8_valid (bytes, 4) == g_utf8_validate ((char *)bytes, 4, NULL));
      }
}

static void
test_mutations (void)
{
  g_autoptr (GPtrArray) list = vectors ();
  guint accepted = 0;
  for (guint round = 0; round < 200000; round++)
    {
      char **words = list->pdata[g_test_rand_int_range (0, (gint32)list->len)];
      gsize len = strlen (words[0]) / 2;
      g_autofree guint8 *bytes = g_malloc (len);
      moosh_hex_decode (words[0], bytes, len);
      for (int flips = g_test_rand_int_range (1, 4); flips > 0; flips--)
        bytes[g_test_rand_int_range (0, (gint32)len)] = (guint8)g_test_rand_int_range (0, 256);
      if (moosh_cbor_validate (bytes, len) != MOOSH_OK)
        continue;
      g_free (round_trip (bytes, len));
      accepted++;
    }
  g_assert_cmpuint (accepted, >, 1000);
}

static void
test_read_bounds (void)
{
  /* [10, -10, h'0102', "ab", true, null, [0, 0], "a\0"] */
  static const guint8 bytes[]
      = { 0x88, 0x0a, 0x29, 0x42, 1, 2, 0x62, 'a', 'b', 0xf5, 0xf6, 0x82, 0, 0, 0x62, 'a', 0 };
  MooshCborReader r;
  MooshSpan span;
  MooshCborMap map;
  guint64 u = 99;
  gint64 i = 99;
  gsize n;
  bool b;
  guint8 fixed[3];
  char text[3] = "??";
  g_assert_cmpint (moosh_cbor_read_init (&r, bytes, sizeof bytes), ==, 0);
  g_assert_cmpint (moosh_cbor_read_array (&r, 7, &n), ==, MOOSH_E_RANGE);
  g_assert_cmpint (moosh_cbor_read_map (&r, &map), ==, MOOSH_E_MALFORMED);
  g_assert_cmpint (moosh_cbor_read_array (&r, 8, &n), ==, 0);
  g_assert_cmpint (moosh_cbor_read_uint (&r, 9, &u), ==, MOOSH_E_RANGE);
  g_assert_cmpuint (u, ==, 99); /* untouched */
  g_assert_cmpint (moosh_cbor_read_bool (&r, &b), ==, MOOSH_E_MALFORMED);
  g_assert_cmpint (moosh_cbor_read_int (&r, 11, 20, &i), ==, MOOSH_E_RANGE);
  g_assert_cmpint (moosh_cbor_read_uint (&r, 10, &u), ==, 0);
  g_assert_cmpint (moosh_cbor_read_uint (&r, 10, &u), ==, MOOSH_E_MALFORMED);
  g_assert_cmpint (moosh_cbor_read_int (&r, -9, 0, &i), ==, MOOSH_E_RANGE);
  g_assert_cmpint (moosh_cbor_read_int (&r, -10, -10, &i), ==, 0);
  g_assert_cmpint (i, ==, -10);
  g_assert_cmpint (moosh_cbor_read_int (&r, -10, 10, &i), ==, MOOSH_E_MALFORMED);
  g_assert_cmpint (moosh_cbor_read_text (&r, 0, 9, &span), ==, MOOSH_E_MALFORMED);
  g_assert_cmpint (moosh_cbor_read_fixed (&r, fixed, 1), ==, MOOSH_E_RANGE);
  g_assert_cmpint (moosh_cbor_read_fixed (&r, fixed, 3), ==, MOOSH_E_RANGE);
  g_assert_cmpint (moosh_cbor_read_fixed (&r, fixed, 2), ==, 0);
  g_assert_cmpint (moosh_cbor_read_bytes (&r, 0, 9, &span), ==, MOOSH_E_MALFORMED);
  g_assert_cmpint (moosh_cbor_read_string (&r, text, 0), ==, MOOSH_E_RANGE);
  g_assert_cmpint (moosh_cbor_read_string (&r, text, 2), ==, MOOSH_E_RANGE);
  g_assert_cmpint (moosh_cbor_read_string (&r, text, 3), ==, 0);
  g_assert_cmpstr (text, ==, "ab");
  g_assert_cmpint (moosh_cbor_read_null (&r), ==, MOOSH_E_MALFORMED);
  g_assert_cmpint (moosh_cbor_read_bool (&r, &b), ==, 0);
  g_assert_cmpint (moosh_cbor_read_bool (&r, &b), ==, MOOSH_E_MALFORMED);
  g_assert_cmpint (moosh_cbor_read_null (&r), ==, 0);
  g_assert_cmpint (moosh_cbor_skip (&r, &span), ==, 0);
  g_assert_cmpuint (span.len, ==, 3);
  g_assert_cmpint (moosh_cbor_read_string (&r, text, 3), ==, MOOSH_E_RANGE); /* U+0000 in it */
  g_assert_cmpint (moosh_cbor_read_text (&r, 2, 2, &span), ==, 0);
  g_assert_cmpint (moosh_cbor_peek (&r), ==, MOOSH_CBOR_END);
  g_assert_cmpint (moosh_cbor_read_uint (&r, 9, &u), ==, MOOSH_E_SHORT);
  g_assert_cmpint (moosh_cbor_skip (&r, NULL), ==, MOOSH_E_SHORT);
}

/* The unsigned value above INT64_MAX is no int. */
static void
test_read_int_edge (void)
{
  static const guint8 bytes[] = { 0x1b, 0x80, 0, 0, 0, 0, 0, 0, 0 };
  MooshCborReader r;
  gint64 i;
  g_assert_cmpint (moosh_cbor_read_init (&r, bytes, sizeof bytes), ==, 0);
  g_assert_cmpint (moosh_cbor_read_int (&r, G_MININT64, G_MAXINT64, &i), ==, MOOSH_E_RANGE);
}

static void
test_unknown_keys (void)
{
  static const guint8 odd[] = { 0xa2, 0x00, 0x01, 0x03, 0x82, 0x41, 7, 0xa1, 0x02, 0xf6 };
  static const guint8 even[] = { 0xa2, 0x00, 0x01, 0x02, 0x00 };
  MooshCborReader r;
  MooshCborMap map;
  guint64 u;
  unsigned key;
  g_assert_cmpint (moosh_cbor_read_init (&r, odd, sizeof odd), ==, 0);
  g_assert_cmpint (moosh_cbor_read_map (&r, &map), ==, 0);
  g_assert_cmpint (moosh_cbor_next (&r, &map, &key), ==, 1);
  g_assert_cmpint (moosh_cbor_read_uint (&r, 1, &u), ==, 0);
  g_assert_cmpint (moosh_cbor_next (&r, &map, &key), ==, 1);
  g_assert_cmpuint (key, ==, 3);
  g_assert_cmpint (moosh_cbor_unknown (&r, key), ==, 0);
  g_assert_cmpint (moosh_cbor_next (&r, &map, &key), ==, 0);
  g_assert_cmpint (moosh_cbor_require (&map, 1u << 0 | 1u << 3), ==, 0);
  g_assert_cmpint (moosh_cbor_require (&map, 1u << 1), ==, MOOSH_E_SHORT);
  g_assert_cmpint (moosh_cbor_peek (&r), ==, MOOSH_CBOR_END);

  g_assert_cmpint (moosh_cbor_read_init (&r, even, sizeof even), ==, 0);
  g_assert_cmpint (moosh_cbor_read_map (&r, &map), ==, 0);
  g_assert_cmpint (moosh_cbor_next (&r, &map, &key), ==, 1);
  g_assert_cmpint (moosh_cbor_skip (&r, NULL), ==, 0);
  g_assert_cmpint (moosh_cbor_next (&r, &map, &key), ==, 1);
  g_assert_cmpint (moosh_cbor_unknown (&r, key), ==, MOOSH_E_MALFORMED);
}

/* The writer cannot make what the reader would refuse. */
static void
test_writer_refuses (void)
{
  guint8 room[64];
  MooshCborWriter w;
  gsize len = 77;
  moosh_cbor_write_init (&w, room, sizeof room);
  moosh_cbor_put_map (&w, 2);
  moosh_cbor_put_key (&w, 1);
  moosh_cbor_put_null (&w);
  moosh_cbor_put_key (&w, 0);
  moosh_cbor_put_null (&w);
  g_assert_cmpint (moosh_cbor_finish (&w, &len), ==, MOOSH_E_NONCANONICAL);
  moosh_cbor_write_init (&w, room, sizeof room);
  moosh_cbor_put_array (&w, 2);
  moosh_cbor_put_uint (&w, 1);
  g_assert_cmpint (moosh_cbor_finish (&w, &len), ==, MOOSH_E_SHORT);
  moosh_cbor_write_init (&w, room, sizeof room);
  moosh_cbor_put_text (&w, "\xff");
  g_assert_cmpint (moosh_cbor_finish (&w, &len), ==, MOOSH_E_MALFORMED);
  moosh_cbor_write_init (&w, room, sizeof room);
  g_assert_cmpint (moosh_cbor_finish (&w, &len), ==, MOOSH_E_SHORT);
  for (gsize size = 0; size <= 5; size++)
    {
      moosh_cbor_write_init (&w, room, size);
      moosh_cbor_put_array (&w, 2);
      moosh_cbor_put_bytes (&w, "ab", 2);
      moosh_cbor_put_uint (&w, 5);
      g_assert_cmpint (moosh_cbor_finish (&w, &len), ==, size < 5 ? MOOSH_E_SPACE : MOOSH_OK);
    }
  g_assert_cmpuint (len, ==, 5);
  moosh_cbor_write_init (&w, room, sizeof room);
  moosh_cbor_put_array (&w, 1);
  moosh_cbor_put_item (&w, "\x82\x01\x02", 3);
  g_assert_cmpint (moosh_cbor_finish (&w, &len), ==, 0);
  g_assert_cmpmem (room, len, "\x81\x82\x01\x02", 4);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/cbor/vectors", test_vectors);
  g_test_add_func ("/cbor/refused", test_refused);
  g_test_add_func ("/cbor/size", test_size);
  g_test_add_func ("/cbor/utf8", test_utf8);
  g_test_add_func ("/cbor/mutations", test_mutations);
  g_test_add_func ("/cbor/read/bounds", test_read_bounds);
  g_test_add_func ("/cbor/read/int-edge", test_read_int_edge);
  g_test_add_func ("/cbor/unknown-keys", test_unknown_keys);
  g_test_add_func ("/cbor/writer-refuses", test_writer_refuses);
  return g_test_run ();
}
