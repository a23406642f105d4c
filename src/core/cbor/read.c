#include "core/cbor/head.h"
#include <string.h>

int
moosh_cbor_read_init (MooshCborReader *reader, const void *ptr, size_t len)
{
  int r = moosh_cbor_validate (ptr, len);
  if (r == MOOSH_OK)
    *reader = (MooshCborReader){ .ptr = ptr, .len = len };
  return r;
}

static int
peek_head (const MooshCborReader *reader, Head *ret)
{
  return moosh_cbor_head (reader->ptr + reader->pos, reader->len - reader->pos, ret);
}

static int
expect (const MooshCborReader *reader, unsigned major, Head *ret)
{
  int r = peek_head (reader, ret);
  if (r < 0)
    return r;
  return ret->major == major ? MOOSH_OK : MOOSH_E_MALFORMED;
}

MooshCborType
moosh_cbor_peek (const MooshCborReader *reader)
{
  static const MooshCborType types[]
      = { MOOSH_CBOR_UINT,  MOOSH_CBOR_NEGATIVE, MOOSH_CBOR_BYTES, MOOSH_CBOR_TEXT,
          MOOSH_CBOR_ARRAY, MOOSH_CBOR_MAP,      MOOSH_CBOR_END /* tags never pass */ };
  Head head;
  if (peek_head (reader, &head) < 0)
    return MOOSH_CBOR_END;
  if (head.major == MAJOR_SIMPLE)
    return head.arg == SIMPLE_NULL ? MOOSH_CBOR_NULL : MOOSH_CBOR_BOOL;
  return types[head.major];
}

int
moosh_cbor_read_uint (MooshCborReader *reader, uint64_t max, uint64_t *ret)
{
  Head head;
  int r = expect (reader, MAJOR_UINT, &head);
  if (r < 0)
    return r;
  if (head.arg > max)
    return MOOSH_E_RANGE;
  reader->pos += head.size;
  *ret = head.arg;
  return MOOSH_OK;
}

int
moosh_cbor_read_int (MooshCborReader *reader, int64_t min, int64_t max, int64_t *ret)
{
  Head head;
  int r = peek_head (reader, &head);
  if (r < 0)
    return r;
  if (head.major != MAJOR_UINT && head.major != MAJOR_NEGATIVE)
    return MOOSH_E_MALFORMED;
  if (head.arg > (uint64_t)INT64_MAX)
    return MOOSH_E_RANGE;
  int64_t value = head.major == MAJOR_UINT ? (int64_t)head.arg : -1 - (int64_t)head.arg;
  if (value < min || value > max)
    return MOOSH_E_RANGE;
  reader->pos += head.size;
  *ret = value;
  return MOOSH_OK;
}

int
moosh_cbor_read_bool (MooshCborReader *reader, bool *ret)
{
  Head head;
  int r = expect (reader, MAJOR_SIMPLE, &head);
  if (r < 0)
    return r;
  if (head.arg == SIMPLE_NULL)
    return MOOSH_E_MALFORMED;
  reader->pos += head.size;
  *ret = head.arg == SIMPLE_TRUE;
  return MOOSH_OK;
}

int
moosh_cbor_read_null (MooshCborReader *reader)
{
  Head head;
  int r = expect (reader, MAJOR_SIMPLE, &head);
  if (r < 0)
    return r;
  if (head.arg != SIMPLE_NULL)
    return MOOSH_E_MALFORMED;
  reader->pos += head.size;
  return MOOSH_OK;
}

static int
read_string (MooshCborReader *reader, unsigned major, size_t min, size_t max, MooshSpan *ret)
{
  Head head;
  int r = expect (reader, major, &head);
  if (r < 0)
    return r;
  if (head.arg < min || head.arg > max)
    return MOOSH_E_RANGE;
  size_t start = reader->pos + head.size;
  if (head.arg > reader->len - start)
    return MOOSH_E_SHORT;
  *ret = (MooshSpan){ reader->ptr + start, (size_t)head.arg };
  reader->pos = start + (size_t)head.arg;
  return MOOSH_OK;
}

int
moosh_cbor_read_bytes (MooshCborReader *reader, size_t min, size_t max, MooshSpan *ret)
{
  return read_string (reader, MAJOR_BYTES, min, max, ret);
}

int
moosh_cbor_read_text (MooshCborReader *reader, size_t min, size_t max, MooshSpan *ret)
{
  return read_string (reader, MAJOR_TEXT, min, max, ret);
}

int
moosh_cbor_read_fixed (MooshCborReader *reader, uint8_t *out, size_t len)
{
  MooshSpan span;
  int r = moosh_cbor_read_bytes (reader, len, len, &span);
  if (r == MOOSH_OK && len > 0)
    memcpy (out, span.ptr, len);
  return r;
}

int
moosh_cbor_read_string (MooshCborReader *reader, char *out, size_t size)
{
  MooshCborReader before = *reader;
  MooshSpan span;
  if (size == 0)
    return MOOSH_E_RANGE;
  int r = moosh_cbor_read_text (reader, 0, size - 1, &span);
  if (r < 0)
    return r;
  if (memchr (span.ptr, 0, span.len) != NULL)
    {
      *reader = before;
      return MOOSH_E_RANGE;
    }
  memcpy (out, span.ptr, span.len);
  out[span.len] = '\0';
  return MOOSH_OK;
}

int
moosh_cbor_read_array (MooshCborReader *reader, size_t max, size_t *ret)
{
  Head head;
  int r = expect (reader, MAJOR_ARRAY, &head);
  if (r < 0)
    return r;
  if (head.arg > max)
    return MOOSH_E_RANGE;
  reader->pos += head.size;
  *ret = (size_t)head.arg;
  return MOOSH_OK;
}

int
moosh_cbor_read_map (MooshCborReader *reader, MooshCborMap *ret)
{
  Head head;
  int r = expect (reader, MAJOR_MAP, &head);
  if (r < 0)
    return r;
  reader->pos += head.size;
  *ret = (MooshCborMap){ .left = (unsigned)head.arg };
  return MOOSH_OK;
}

int
moosh_cbor_next (MooshCborReader *reader, MooshCborMap *map, unsigned *ret_key)
{
  uint64_t key;
  if (map->left == 0)
    return 0;
  int r = moosh_cbor_read_uint (reader, MOOSH_CBOR_KEY_MAX, &key);
  if (r < 0)
    return r;
  map->left--;
  map->seen |= UINT32_C (1) << key;
  *ret_key = (unsigned)key;
  return 1;
}

int
moosh_cbor_unknown (MooshCborReader *reader, unsigned key)
{
  return key % 2 == 0 ? MOOSH_E_MALFORMED : moosh_cbor_skip (reader, NULL);
}

int
moosh_cbor_require (const MooshCborMap *map, uint32_t mask)
{
  return (map->seen & mask) == mask ? MOOSH_OK : MOOSH_E_SHORT;
}

int
moosh_cbor_skip (MooshCborReader *reader, MooshSpan *ret)
{
  size_t pos = reader->pos;
  /* Items still to pass. The item was validated, so the sum is bounded by its length. */
  for (uint64_t left = 1; left > 0; left--)
    {
      Head head;
      int r = moosh_cbor_head (reader->ptr + pos, reader->len - pos, &head);
      if (r < 0)
        return r;
      pos += head.size;
      if (head.major == MAJOR_ARRAY || head.major == MAJOR_MAP)
        left += head.major == MAJOR_MAP ? 2 * head.arg : head.arg;
      else if (head.major == MAJOR_BYTES || head.major == MAJOR_TEXT)
        pos += (size_t)head.arg;
    }
  if (ret != NULL)
    *ret = (MooshSpan){ reader->ptr + reader->pos, pos - reader->pos };
  reader->pos = pos;
  return MOOSH_OK;
}
