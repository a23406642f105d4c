#include "core/cbor/head.h"
#include <string.h>

void
moosh_cbor_write_init (MooshCborWriter *writer, void *ptr, size_t size)
{
  *writer = (MooshCborWriter){ .ptr = ptr, .size = size };
}

static void
put (MooshCborWriter *writer, const void *ptr, size_t len)
{
  if (writer->error == MOOSH_OK && len > writer->size - writer->len)
    writer->error = MOOSH_E_SPACE;
  if (writer->error != MOOSH_OK || len == 0)
    return;
  memcpy (writer->ptr + writer->len, ptr, len);
  writer->len += len;
}

static void
put_head (MooshCborWriter *writer, unsigned major, uint64_t arg)
{
  uint8_t head[9];
  unsigned log2_width = arg > 0xffffffff ? 3 : arg > 0xffff ? 2 : arg > 0xff ? 1 : 0;
  size_t width = arg < 24 ? 0 : (size_t)1 << log2_width;
  head[0] = (uint8_t)(major << 5 | (arg < 24 ? (unsigned)arg : 24 + log2_width));
  for (size_t i = width; i > 0; i--, arg >>= 8)
    head[i] = (uint8_t)arg;
  put (writer, head, 1 + width);
}

void
moosh_cbor_put_uint (MooshCborWriter *writer, uint64_t value)
{
  put_head (writer, MAJOR_UINT, value);
}

void
moosh_cbor_put_int (MooshCborWriter *writer, int64_t value)
{
  if (value < 0)
    put_head (writer, MAJOR_NEGATIVE, (uint64_t)(-1 - value));
  else
    put_head (writer, MAJOR_UINT, (uint64_t)value);
}

void
moosh_cbor_put_bytes (MooshCborWriter *writer, const void *ptr, size_t len)
{
  put_head (writer, MAJOR_BYTES, len);
  put (writer, ptr, len);
}

void
moosh_cbor_put_text_len (MooshCborWriter *writer, const char *ptr, size_t len)
{
  put_head (writer, MAJOR_TEXT, len);
  put (writer, ptr, len);
}

void
moosh_cbor_put_text (MooshCborWriter *writer, const char *text)
{
  moosh_cbor_put_text_len (writer, text, strlen (text));
}

void
moosh_cbor_put_bool (MooshCborWriter *writer, bool value)
{
  put_head (writer, MAJOR_SIMPLE, value ? SIMPLE_TRUE : SIMPLE_FALSE);
}

void
moosh_cbor_put_null (MooshCborWriter *writer)
{
  put_head (writer, MAJOR_SIMPLE, SIMPLE_NULL);
}

void
moosh_cbor_put_array (MooshCborWriter *writer, size_t count)
{
  put_head (writer, MAJOR_ARRAY, count);
}

void
moosh_cbor_put_map (MooshCborWriter *writer, size_t count)
{
  put_head (writer, MAJOR_MAP, count);
}

void
moosh_cbor_put_key (MooshCborWriter *writer, unsigned key)
{
  put_head (writer, MAJOR_UINT, key);
}

void
moosh_cbor_put_item (MooshCborWriter *writer, const void *ptr, size_t len)
{
  put (writer, ptr, len);
}

int
moosh_cbor_finish (MooshCborWriter *writer, size_t *ret_len)
{
  if (writer->error != MOOSH_OK)
    return writer->error;
  int r = moosh_cbor_validate (writer->ptr, writer->len);
  if (r == MOOSH_OK)
    *ret_len = writer->len;
  return r;
}
