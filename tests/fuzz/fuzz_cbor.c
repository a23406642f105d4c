/* The strict CBOR profile: what is accepted is read without an error and written back byte for
 * byte. */
#include "core/cbor/cbor.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

static void
check (bool ok)
{
  if (!ok)
    abort ();
}

static void
copy_string (MooshCborReader *reader, MooshCborWriter *writer, MooshCborType type)
{
  MooshSpan span;
  if (type == MOOSH_CBOR_TEXT)
    {
      check (moosh_cbor_read_text (reader, 0, MOOSH_CBOR_MAX, &span) == MOOSH_OK);
      moosh_cbor_put_text_len (writer, (const char *)span.ptr, span.len);
      return;
    }
  check (moosh_cbor_read_bytes (reader, 0, MOOSH_CBOR_MAX, &span) == MOOSH_OK);
  moosh_cbor_put_bytes (writer, span.ptr, span.len);
}

static void
copy_number (MooshCborReader *reader, MooshCborWriter *writer, MooshCborType type)
{
  uint64_t u;
  int64_t i;
  if (type == MOOSH_CBOR_UINT)
    {
      check (moosh_cbor_read_uint (reader, UINT64_MAX, &u) == MOOSH_OK);
      moosh_cbor_put_uint (writer, u);
      return;
    }
  check (moosh_cbor_read_int (reader, INT64_MIN, -1, &i) == MOOSH_OK);
  moosh_cbor_put_int (writer, i);
}

/* Every pull function on the next item, of the right type or not, with bounds that it may break:
 * what refuses leaves the cursor where it was, what takes stays inside. */
static void
pull (const MooshCborReader *reader, size_t bound)
{
  uint8_t fixed[64];
  char string[64];
  MooshSpan span;
  MooshCborMap map;
  uint64_t u;
  int64_t i;
  size_t n;
  bool b;
  bound %= sizeof fixed;
  for (int what = 0; what < 11; what++)
    {
      MooshCborReader r = *reader;
      int code = what == 0   ? moosh_cbor_read_uint (&r, bound, &u)
                 : what == 1 ? moosh_cbor_read_int (&r, -(int64_t)bound, (int64_t)bound, &i)
                 : what == 2 ? moosh_cbor_read_bool (&r, &b)
                 : what == 3 ? moosh_cbor_read_null (&r)
                 : what == 4 ? moosh_cbor_read_bytes (&r, 1, bound, &span)
                 : what == 5 ? moosh_cbor_read_text (&r, 1, bound, &span)
                 : what == 6 ? moosh_cbor_read_fixed (&r, fixed, bound)
                 : what == 7 ? moosh_cbor_read_string (&r, string, bound)
                 : what == 8 ? moosh_cbor_read_array (&r, bound, &n)
                 : what == 9 ? moosh_cbor_read_map (&r, &map)
                             : moosh_cbor_unknown (&r, (unsigned)bound);
      check (code < 0 ? r.pos == reader->pos : r.pos > reader->pos && r.pos <= r.len);
    }
}

static void
copy (MooshCborReader *reader, MooshCborWriter *writer, unsigned depth)
{
  MooshCborType type = moosh_cbor_peek (reader);
  MooshCborMap map;
  size_t n;
  unsigned key;
  bool b;
  check (depth <= MOOSH_CBOR_DEPTH_MAX);
  pull (reader, reader->pos);
  if (type == MOOSH_CBOR_UINT || type == MOOSH_CBOR_NEGATIVE)
    copy_number (reader, writer, type);
  else if (type == MOOSH_CBOR_BYTES || type == MOOSH_CBOR_TEXT)
    copy_string (reader, writer, type);
  else if (type == MOOSH_CBOR_ARRAY)
    {
      check (moosh_cbor_read_array (reader, MOOSH_CBOR_MAX, &n) == MOOSH_OK);
      moosh_cbor_put_array (writer, n);
      while (n-- > 0)
        copy (reader, writer, depth + 1);
    }
  else if (type == MOOSH_CBOR_MAP)
    {
      uint32_t seen = 0;
      check (moosh_cbor_read_map (reader, &map) == MOOSH_OK);
      moosh_cbor_put_map (writer, map.left);
      while (moosh_cbor_next (reader, &map, &key) > 0)
        {
          check ((seen & 1u << key) == 0);
          seen |= 1u << key;
          moosh_cbor_put_key (writer, key);
          copy (reader, writer, depth + 1);
        }
      check (moosh_cbor_require (&map, seen) == MOOSH_OK);
      check (moosh_cbor_require (&map, seen | 1u << 24) == MOOSH_E_SHORT);
    }
  else if (type == MOOSH_CBOR_BOOL)
    {
      check (moosh_cbor_read_bool (reader, &b) == MOOSH_OK);
      moosh_cbor_put_bool (writer, b);
    }
  else
    {
      check (moosh_cbor_read_null (reader) == MOOSH_OK);
      moosh_cbor_put_null (writer);
    }
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  static uint8_t room[MOOSH_CBOR_MAX];
  MooshCborReader reader;
  MooshCborWriter writer;
  MooshSpan whole;
  size_t len = 0;
  if (moosh_cbor_read_init (&reader, data, size) != MOOSH_OK)
    return 0;
  moosh_cbor_write_init (&writer, room, sizeof room);
  copy (&reader, &writer, 0);
  check (moosh_cbor_peek (&reader) == MOOSH_CBOR_END);
  pull (&reader, size);
  check (moosh_cbor_finish (&writer, &len) == MOOSH_OK && len == size
         && memcmp (room, data, size) == 0);
  check (moosh_cbor_read_init (&reader, data, size) == MOOSH_OK);
  check (moosh_cbor_skip (&reader, &whole) == MOOSH_OK && whole.len == size);
  return 0;
}
