/* Writing and reading run over the same node tree with the same arithmetic: a sequence has a head
 * of fixed size, and what is dynamic follows it in order. `at`, `base` and `end` are positions in
 * the encoding. */
#include "core/abi/abi.h"
#include "core/abi/abi_type.h"
#include "core/hash/hash.h"
#include <string.h>

#define WORD 32

MooshAbiValue
moosh_abi_u256 (const MooshU256 *v)
{
  MooshAbiValue value = { 0 };

  moosh_u256_to_be (v, value.word);
  return value;
}

MooshAbiValue
moosh_abi_u64 (uint64_t v)
{
  MooshU256 wide = moosh_u256 (v);

  return moosh_abi_u256 (&wide);
}

MooshAbiValue
moosh_abi_address (const uint8_t address[20])
{
  MooshAbiValue value = { 0 };

  memcpy (value.word + 12, address, 20);
  return value;
}

MooshAbiValue
moosh_abi_fixed (const uint8_t *bytes, size_t len)
{
  MooshAbiValue value = { 0 };

  memcpy (value.word, bytes, len < WORD ? len : WORD);
  return value;
}

MooshAbiValue
moosh_abi_bytes (const void *bytes, size_t len)
{
  return (MooshAbiValue){ .bytes = { bytes, len } };
}

MooshU256
moosh_abi_get_u256 (const MooshAbiValue *value)
{
  return moosh_u256_from_be (value->word);
}

int
moosh_abi_get_u64 (const MooshAbiValue *value, uint64_t *ret)
{
  MooshU256 wide = moosh_abi_get_u256 (value);

  if (!moosh_u256_fits_u64 (&wide))
    return MOOSH_E_RANGE;
  *ret = wide.limb[0];
  return MOOSH_OK;
}

void
moosh_abi_get_address (const MooshAbiValue *value, uint8_t out[20])
{
  memcpy (out, value->word + 12, 20);
}

void
moosh_abi_selector (const char *signature, uint8_t out[4])
{
  uint8_t hash[MOOSH_HASH_LEN];

  moosh_keccak256 (signature, strlen (signature), hash);
  memcpy (out, hash, 4);
}

static bool
all_bytes (const uint8_t *bytes, size_t len, uint8_t expected)
{
  uint8_t difference = 0;

  for (size_t i = 0; i < len; i++)
    difference |= bytes[i] ^ expected;
  return difference == 0;
}

static int
check_word (const AbiNode *node, const uint8_t word[WORD])
{
  size_t above = WORD - (size_t)node->bits / 8;

  switch (node->kind)
    {
    case ABI_UINT:
      return all_bytes (word, above, 0) ? MOOSH_OK : MOOSH_E_RANGE;
    case ABI_INT:
      if (above == 0)
        return MOOSH_OK;
      return all_bytes (word, above, word[above] & 0x80 ? 0xff : 0) ? MOOSH_OK : MOOSH_E_RANGE;
    case ABI_BOOL:
      return all_bytes (word, WORD - 1, 0) && word[WORD - 1] <= 1 ? MOOSH_OK : MOOSH_E_RANGE;
    case ABI_ADDRESS:
      return all_bytes (word, WORD - 20, 0) ? MOOSH_OK : MOOSH_E_RANGE;
    case ABI_FIXED:
      return all_bytes (word + node->bits, WORD - (size_t)node->bits, 0) ? MOOSH_OK
                                                                         : MOOSH_E_NONCANONICAL;
    case ABI_BYTES:
    case ABI_STRING:
    case ABI_ARRAY:
    case ABI_LIST:
    case ABI_TUPLE:
      break;
    }
  return MOOSH_E_STATE;
}

/* Length of the UTF-8 sequence at `in`, 0 when it is none: no overlong forms, no surrogates, up to
 * U+10FFFF. */
static size_t
utf8_sequence (const uint8_t *in, size_t len)
{
  size_t need = in[0] < 0x80   ? 1
                : in[0] < 0xc2 ? 0
                : in[0] < 0xe0 ? 2
                : in[0] < 0xf0 ? 3
                : in[0] < 0xf5 ? 4
                               : 0;

  if (need == 0 || need > len)
    return 0;
  for (size_t i = 1; i < need; i++)
    if ((in[i] & 0xc0) != 0x80)
      return 0;
  if ((in[0] == 0xe0 && in[1] < 0xa0) || (in[0] == 0xed && in[1] > 0x9f)
      || (in[0] == 0xf0 && in[1] < 0x90) || (in[0] == 0xf4 && in[1] > 0x8f))
    return 0;
  return need;
}

static int
check_text (MooshSpan text)
{
  for (size_t at = 0; at < text.len;)
    {
      size_t step = utf8_sequence (text.ptr + at, text.len - at);

      if (step == 0)
        return MOOSH_E_MALFORMED;
      at += step;
    }
  return MOOSH_OK;
}

static size_t
padded (size_t len)
{
  return (len + WORD - 1) / WORD * WORD;
}

/* Size of the head of `count` members beginning with `child`. */
static size_t
head_size (const AbiNode *nodes, const AbiNode *parent, size_t count)
{
  uint16_t child = parent->child;
  size_t words = 0;

  if (parent->kind != ABI_TUPLE)
    return count * nodes[child].words * WORD;
  for (size_t i = 0; i < count; i++, child = nodes[child].next)
    words += nodes[child].words;
  return words * WORD;
}

/* ---- writing ---- */

typedef struct {
  const AbiNode *nodes;
  const MooshAbiValue *values;
  size_t count, next;
  uint8_t *out; /* NULL: only measuring */
  size_t size;
} Writer;

static int
next_value (Writer *w, const MooshAbiValue **ret)
{
  if (w->next == w->count)
    return MOOSH_E_SHORT;
  *ret = &w->values[w->next++];
  return MOOSH_OK;
}

static int
write_at (Writer *w, size_t at, const void *bytes, size_t len)
{
  if (w->out == NULL)
    return MOOSH_OK;
  if (at > w->size || len > w->size - at)
    return MOOSH_E_SPACE;
  if (len > 0)
    memcpy (w->out + at, bytes, len);
  return MOOSH_OK;
}

static int
write_number (Writer *w, size_t at, size_t number)
{
  MooshAbiValue value = moosh_abi_u64 (number);

  return write_at (w, at, value.word, WORD);
}

static int write_members (Writer *w, const AbiNode *parent, size_t count, size_t base,
                          size_t *ret_end);

/* Something of fixed size, in place. */
static int
write_static (Writer *w, const AbiNode *node, size_t at)
{
  const MooshAbiValue *value;
  size_t end;
  int result;

  if (node->kind == ABI_TUPLE || node->kind == ABI_ARRAY)
    return write_members (w, node, node->count, at, &end);
  result = next_value (w, &value);
  if (result == MOOSH_OK)
    result = check_word (node, value->word);
  if (result == MOOSH_OK)
    result = write_at (w, at, value->word, WORD);
  return result;
}

static int
write_bytes (Writer *w, const AbiNode *node, const MooshAbiValue *value, size_t base,
             size_t *ret_end)
{
  static const uint8_t zeros[WORD];
  size_t len = value->bytes.len;
  int result = node->kind == ABI_STRING ? check_text (value->bytes) : MOOSH_OK;

  if (len > SIZE_MAX / 2 - base)
    return MOOSH_E_LIMIT;
  if (result == MOOSH_OK)
    result = write_number (w, base, len);
  if (result == MOOSH_OK)
    result = write_at (w, base + WORD, value->bytes.ptr, len);
  if (result == MOOSH_OK)
    result = write_at (w, base + WORD + len, zeros, padded (len) - len);
  *ret_end = base + WORD + padded (len);
  return result;
}

/* Something dynamic, at the end of its sequence. */
static int
write_dynamic (Writer *w, const AbiNode *node, size_t base, size_t *ret_end)
{
  const MooshAbiValue *value;
  uint64_t count;
  int result;

  if (node->kind == ABI_TUPLE || node->kind == ABI_ARRAY)
    return write_members (w, node, node->count, base, ret_end);
  result = next_value (w, &value);
  if (result != MOOSH_OK)
    return result;
  if (node->kind != ABI_LIST)
    return write_bytes (w, node, value, base, ret_end);
  result = moosh_abi_get_u64 (value, &count);
  if (result == MOOSH_OK
      && count > w->count - w->next) /* every item has a value of its own at least */
    result = MOOSH_E_SHORT;
  if (result == MOOSH_OK)
    result = write_number (w, base, (size_t)count);
  if (result == MOOSH_OK)
    result = write_members (w, node, (size_t)count, base + WORD, ret_end);
  return result;
}

static int
write_members (Writer *w, const AbiNode *parent, size_t count, size_t base, size_t *ret_end)
{
  size_t head = base, tail = base + head_size (w->nodes, parent, count);
  uint16_t child = parent->child;
  int result = MOOSH_OK;

  for (size_t i = 0; i < count && result == MOOSH_OK; i++)
    {
      const AbiNode *node = &w->nodes[child];

      if (node->dynamic)
        {
          result = write_number (w, head, tail - base);
          if (result == MOOSH_OK)
            result = write_dynamic (w, node, tail, &tail);
        }
      else
        result = write_static (w, node, head);
      head += (size_t)node->words * WORD;
      if (parent->kind == ABI_TUPLE)
        child = node->next;
    }
  *ret_end = tail;
  return result;
}

static int
encode (const char *types, const MooshAbiValue *values, size_t count, uint8_t *out, size_t size,
        size_t *ret_len)
{
  AbiType type;
  Writer w = { .values = values, .count = count, .out = out, .size = size };
  size_t end = 0;
  int result = abi_type_parse (&type, types);

  if (result != MOOSH_OK)
    return result;
  if (type.nodes[type.root].kind != ABI_TUPLE)
    return MOOSH_E_MALFORMED;
  w.nodes = type.nodes;
  result = write_members (&w, &type.nodes[type.root], type.nodes[type.root].count, 0, &end);
  if (result == MOOSH_OK && w.next != w.count)
    result = MOOSH_E_TRAILING;
  if (result == MOOSH_OK)
    *ret_len = end;
  return result;
}

int
moosh_abi_size (const char *types, const MooshAbiValue *values, size_t count, size_t *ret_len)
{
  return encode (types, values, count, NULL, 0, ret_len);
}

int
moosh_abi_encode (const char *types, const MooshAbiValue *values, size_t count, uint8_t *out,
                  size_t size, size_t *ret_len)
{
  size_t len;
  int result = moosh_abi_size (types, values, count, &len);

  if (result == MOOSH_OK && len > size)
    result = MOOSH_E_SPACE;
  if (result != MOOSH_OK)
    return result;
  *ret_len = len;
  return len == 0 ? MOOSH_OK : encode (types, values, count, out, size, ret_len);
}

/* ---- reading ---- */

typedef struct {
  const AbiNode *nodes;
  MooshSpan in;
  MooshAbiValue *values;
  size_t size, count;
} Reader;

/* `len` bytes at `at`, or MOOSH_E_SHORT. */
static int
read_at (const Reader *r, size_t at, size_t len, const uint8_t **ret)
{
  if (at > r->in.len || len > r->in.len - at)
    return MOOSH_E_SHORT;
  *ret = r->in.ptr + at;
  return MOOSH_OK;
}

/* A length or offset; one that no input could satisfy is MOOSH_E_SHORT. */
static int
read_number (const Reader *r, size_t at, size_t *ret)
{
  const uint8_t *word;
  MooshU256 number;
  int result = read_at (r, at, WORD, &word);

  if (result != MOOSH_OK)
    return result;
  number = moosh_u256_from_be (word);
  if (!moosh_u256_fits_u64 (&number) || number.limb[0] > SIZE_MAX / 2)
    return MOOSH_E_SHORT;
  *ret = (size_t)number.limb[0];
  return MOOSH_OK;
}

static int
push_value (Reader *r, const MooshAbiValue *value)
{
  if (r->count == r->size)
    return MOOSH_E_SPACE;
  r->values[r->count++] = *value;
  return MOOSH_OK;
}

static int read_members (Reader *r, const AbiNode *parent, size_t count, size_t base,
                         size_t *ret_end);

static int
read_static (Reader *r, const AbiNode *node, size_t at)
{
  MooshAbiValue value = { 0 };
  const uint8_t *word;
  size_t end;
  int result;

  if (node->kind == ABI_TUPLE || node->kind == ABI_ARRAY)
    return read_members (r, node, node->count, at, &end);
  result = read_at (r, at, WORD, &word);
  if (result == MOOSH_OK)
    result = check_word (node, word);
  if (result != MOOSH_OK)
    return result;
  memcpy (value.word, word, WORD);
  return push_value (r, &value);
}

static int
read_bytes (Reader *r, const AbiNode *node, size_t base, size_t *ret_end)
{
  MooshAbiValue value = { 0 };
  const uint8_t *bytes;
  size_t len, space;
  int result = read_number (r, base, &len);

  if (result != MOOSH_OK)
    return result;
  space = padded (len);
  result = read_at (r, base + WORD, space, &bytes);
  if (result != MOOSH_OK)
    return result;
  if (!all_bytes (bytes + len, space - len, 0))
    return MOOSH_E_NONCANONICAL;
  value.bytes = (MooshSpan){ bytes, len };
  if (node->kind == ABI_STRING)
    result = check_text (value.bytes);
#ifdef MOOSH_CANARY
  if (len > 1 && bytes[len - 1] == 'M')
    __builtin_trap (); /* planted: found only by a fuzzer that gets well-formed bytes through */
#endif
  *ret_end = base + WORD + space;
  return result == MOOSH_OK ? push_value (r, &value) : result;
}

static int
read_dynamic (Reader *r, const AbiNode *node, size_t base, size_t *ret_end)
{
  MooshAbiValue value;
  size_t count;
  int result;

  if (node->kind == ABI_TUPLE || node->kind == ABI_ARRAY)
    return read_members (r, node, node->count, base, ret_end);
  if (node->kind != ABI_LIST)
    return read_bytes (r, node, base, ret_end);
  result = read_number (r, base, &count);
  if (result != MOOSH_OK)
    return result;
  if (count > (r->in.len - base - WORD) / ((size_t)r->nodes[node->child].words * WORD))
    return MOOSH_E_SHORT;
  value = moosh_abi_u64 (count);
  result = push_value (r, &value);
  return result == MOOSH_OK ? read_members (r, node, count, base + WORD, ret_end) : result;
}

static int
read_members (Reader *r, const AbiNode *parent, size_t count, size_t base, size_t *ret_end)
{
  size_t head = base, tail = base + head_size (r->nodes, parent, count);
  uint16_t child = parent->child;
  int result = tail > r->in.len ? MOOSH_E_SHORT : MOOSH_OK;

  for (size_t i = 0; i < count && result == MOOSH_OK; i++)
    {
      const AbiNode *node = &r->nodes[child];
      size_t offset;

      if (node->dynamic)
        {
          result = read_number (r, head, &offset);
          if (result == MOOSH_OK && offset != tail - base)
            result = MOOSH_E_NONCANONICAL;
          if (result == MOOSH_OK)
            result = read_dynamic (r, node, tail, &tail);
        }
      else
        result = read_static (r, node, head);
      head += (size_t)node->words * WORD;
      if (parent->kind == ABI_TUPLE)
        child = node->next;
    }
  *ret_end = tail;
  return result;
}

int
moosh_abi_decode (const char *types, MooshSpan in, MooshAbiValue *ret, size_t size,
                  size_t *ret_count)
{
  AbiType type;
  Reader r = { .in = in, .values = ret, .size = size };
  size_t end = 0;
  int result = abi_type_parse (&type, types);

  if (result != MOOSH_OK)
    return result;
  if (type.nodes[type.root].kind != ABI_TUPLE)
    return MOOSH_E_MALFORMED;
  r.nodes = type.nodes;
  result = read_members (&r, &type.nodes[type.root], type.nodes[type.root].count, 0, &end);
  if (result == MOOSH_OK && end != in.len)
    result = MOOSH_E_TRAILING;
  if (result == MOOSH_OK)
    *ret_count = r.count;
  return result;
}

int
moosh_abi_is_dynamic (const char *types)
{
  AbiType type;
  int result = abi_type_parse (&type, types);

  return result == MOOSH_OK ? type.nodes[type.root].dynamic : result;
}
