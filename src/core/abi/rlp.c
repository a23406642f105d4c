#include "core/abi/rlp.h"
#include <string.h>

#define STRING_SHORT 0x80
#define STRING_LONG  0xb7
#define LIST_SHORT   0xc0
#define LIST_LONG    0xf7
#define SHORT_MAX    55
#define HEADER_MAX   9

MooshRlpWriter
moosh_rlp_writer (uint8_t *out, size_t size)
{
  return (MooshRlpWriter){ .out = out, .size = size };
}

static void
put (MooshRlpWriter *writer, const void *bytes, size_t len)
{
  if (writer->error != MOOSH_OK)
    return;
  if (len > writer->size - writer->len)
    {
      writer->error = MOOSH_E_SPACE;
      return;
    }
  if (len > 0)
    memcpy (writer->out + writer->len, bytes, len);
  writer->len += len;
}

/* A header for `len` bytes of payload: `base` is 0x80 or 0xc0. Returns its length. */
static size_t
make_header (uint8_t header[HEADER_MAX], uint8_t base, size_t len)
{
  uint8_t be[8];
  size_t skip = 0;

  if (len <= SHORT_MAX)
    {
      header[0] = (uint8_t)(base + len);
      return 1;
    }
  moosh_put_be64 (be, len);
  while (be[skip] == 0)
    skip++;
  header[0] = (uint8_t)((size_t)base + SHORT_MAX + 8 - skip);
  memcpy (header + 1, be + skip, 8 - skip);
  return 9 - skip;
}

void
moosh_rlp_bytes (MooshRlpWriter *writer, const void *bytes, size_t len)
{
  uint8_t header[HEADER_MAX];

  if (len != 1 || *(const uint8_t *)bytes >= STRING_SHORT)
    put (writer, header, make_header (header, STRING_SHORT, len));
  put (writer, bytes, len);
}

void
moosh_rlp_u256 (MooshRlpWriter *writer, const MooshU256 *v)
{
  uint8_t be[32];
  size_t len = (moosh_u256_bit_length (v) + 7) / 8;

  moosh_u256_to_be (v, be);
  moosh_rlp_bytes (writer, be + 32 - len, len);
}

void
moosh_rlp_u64 (MooshRlpWriter *writer, uint64_t v)
{
  MooshU256 wide = moosh_u256 (v);

  moosh_rlp_u256 (writer, &wide);
}

size_t
moosh_rlp_list_begin (MooshRlpWriter *writer)
{
  return writer->len;
}

void
moosh_rlp_list_end (MooshRlpWriter *writer, size_t mark)
{
  uint8_t header[HEADER_MAX];
  size_t payload = writer->len - mark, len = make_header (header, LIST_SHORT, payload);

  put (writer, header, len);
  if (writer->error != MOOSH_OK)
    return;
  memmove (writer->out + mark + len, writer->out + mark, payload);
  memcpy (writer->out + mark, header, len);
}

int
moosh_rlp_finish (const MooshRlpWriter *writer, size_t *ret_len)
{
  if (writer->error == MOOSH_OK)
    *ret_len = writer->len;
  return writer->error;
}

/* The payload length after a long header's first byte: `digits` bytes, no leading zero, more
 * than 55. */
static int
long_length (const uint8_t *in, size_t available, size_t digits, size_t *ret)
{
  uint64_t len = 0;

  if (available < digits)
    return MOOSH_E_SHORT;
#ifdef MOOSH_CANARY
  if (digits == 2 && in[0] == 0xca && in[1] == 0xfe)
    __builtin_trap (); /* planted: a fuzzer that cannot find this does not reach long lengths */
#endif
  if (in[0] == 0)
    return MOOSH_E_NONCANONICAL;
  for (size_t i = 0; i < digits; i++)
    len = len << 8 | in[i];
  if (len <= SHORT_MAX)
    return MOOSH_E_NONCANONICAL;
  if (len > available - digits)
    return MOOSH_E_SHORT;
  *ret = (size_t)len;
  return MOOSH_OK;
}

int
moosh_rlp_next (MooshSpan *in, bool *ret_list, MooshSpan *ret_payload)
{
  const uint8_t *at = in->ptr;
  size_t header = 1, len = 0, available = in->len;
  bool list;
  uint8_t first, base;

  if (available == 0)
    return MOOSH_E_SHORT;
  first = at[0];
  available--;
  list = first >= LIST_SHORT;
  base = list ? LIST_SHORT : STRING_SHORT;
  if (first < STRING_SHORT)
    {
      header = 0;
      len = 1;
    }
  else if (first - base <= SHORT_MAX)
    {
      len = (size_t)(first - base);
      if (len > available)
        return MOOSH_E_SHORT;
      if (!list && len == 1 && at[1] < STRING_SHORT)
        return MOOSH_E_NONCANONICAL;
    }
  else
    {
      size_t digits = (size_t)(first - base - SHORT_MAX);
      int result = long_length (at + 1, available, digits, &len);

      if (result != MOOSH_OK)
        return result;
      header = 1 + digits;
    }
  *ret_list = list;
  *ret_payload = (MooshSpan){ at + header, len };
  *in = (MooshSpan){ at + header + len, in->len - header - len };
  return MOOSH_OK;
}

static int
next_of_kind (MooshSpan *in, bool want_list, MooshSpan *ret)
{
  MooshSpan rest = *in, payload;
  bool list;
  int result = moosh_rlp_next (&rest, &list, &payload);

  if (result != MOOSH_OK)
    return result;
  if (list != want_list)
    return MOOSH_E_MALFORMED;
  *ret = payload;
  *in = rest;
  return MOOSH_OK;
}

int
moosh_rlp_next_bytes (MooshSpan *in, MooshSpan *ret)
{
  return next_of_kind (in, false, ret);
}

int
moosh_rlp_next_list (MooshSpan *in, MooshSpan *ret)
{
  return next_of_kind (in, true, ret);
}

int
moosh_rlp_next_fixed (MooshSpan *in, uint8_t *out, size_t len)
{
  MooshSpan rest = *in, bytes;
  int result = moosh_rlp_next_bytes (&rest, &bytes);

  if (result != MOOSH_OK)
    return result;
  if (bytes.len != len)
    return MOOSH_E_RANGE;
  memcpy (out, bytes.ptr, len);
  *in = rest;
  return MOOSH_OK;
}

int
moosh_rlp_next_u256 (MooshSpan *in, MooshU256 *ret)
{
  MooshSpan rest = *in, bytes;
  uint8_t be[32] = { 0 };
  int result = moosh_rlp_next_bytes (&rest, &bytes);

  if (result != MOOSH_OK)
    return result;
  if (bytes.len > 0 && bytes.ptr[0] == 0)
    return MOOSH_E_NONCANONICAL;
  if (bytes.len > 32)
    return MOOSH_E_RANGE;
  memcpy (be + 32 - bytes.len, bytes.ptr, bytes.len);
  *ret = moosh_u256_from_be (be);
  *in = rest;
  return MOOSH_OK;
}

int
moosh_rlp_next_u64 (MooshSpan *in, uint64_t *ret)
{
  MooshSpan rest = *in;
  MooshU256 wide;
  int result = moosh_rlp_next_u256 (&rest, &wide);

  if (result != MOOSH_OK)
    return result;
  if (!moosh_u256_fits_u64 (&wide))
    return MOOSH_E_RANGE;
  *ret = wide.limb[0];
  *in = rest;
  return MOOSH_OK;
}

int
moosh_rlp_check (MooshSpan in, unsigned depth_max)
{
  MooshSpan open[MOOSH_RLP_DEPTH_MAX + 1] = { in };
  unsigned depth = 0;
  bool whole = false;

  if (depth_max > MOOSH_RLP_DEPTH_MAX)
    depth_max = MOOSH_RLP_DEPTH_MAX;
  for (;;)
    {
      MooshSpan payload;
      bool list;
      int result;

      if (depth == 0 && whole)
        return open[0].len == 0 ? MOOSH_OK : MOOSH_E_TRAILING;
      if (depth > 0 && open[depth].len == 0)
        {
          depth--;
          continue;
        }
      result = moosh_rlp_next (&open[depth], &list, &payload);
      if (result != MOOSH_OK)
        return result;
      whole = true;
      if (!list)
        continue;
      if (depth == depth_max)
        return MOOSH_E_LIMIT;
      open[++depth] = payload;
    }
}
