#include "core/abi/abi_type.h"
#include <assert.h>
#include <string.h>

#define WORDS_MAX 65536 /* of a static type: 2 MiB */

static_assert (MOOSH_ABI_NODES_MAX < UINT16_MAX, "node numbers fit");

static int
add_node (AbiType *type, AbiNode node, uint16_t *ret)
{
  if (type->used == MOOSH_ABI_NODES_MAX || node.depth > MOOSH_ABI_DEPTH_MAX
      || node.words > WORDS_MAX)
    return MOOSH_E_LIMIT;
  *ret = type->used;
  type->nodes[type->used++] = node;
  return MOOSH_OK;
}

/* Decimal digits at *text into `ret`; -1 when there is none, or a leading zero, or too many. */
static int
read_number (const char **text, uint32_t *ret)
{
  const char *at = *text;
  uint32_t value = 0;

  if (*at < '1' || *at > '9')
    return -1;
  for (; *at >= '0' && *at <= '9'; at++)
    {
      value = value * 10 + (uint32_t)(*at - '0');
      if (value > WORDS_MAX)
        return -1;
    }
  *text = at;
  *ret = value;
  return 0;
}

static bool
take_prefix (const char **text, const char *prefix)
{
  size_t len = strlen (prefix);

  if (strncmp (*text, prefix, len) != 0)
    return false;
  *text += len;
  return true;
}

static int
parse_leaf (AbiType *type, const char **text, uint16_t *ret)
{
  AbiNode node = { .words = 1 };
  uint32_t number;

  if (take_prefix (text, "address"))
    node.kind = ABI_ADDRESS;
  else if (take_prefix (text, "bool"))
    node.kind = ABI_BOOL;
  else if (take_prefix (text, "string"))
    {
      node.kind = ABI_STRING;
      node.dynamic = true;
    }
  else if (take_prefix (text, "bytes"))
    {
      node.kind = ABI_BYTES;
      node.dynamic = true;
      if (read_number (text, &number) == 0)
        {
          if (number > 32)
            return MOOSH_E_MALFORMED;
          node.kind = ABI_FIXED;
          node.dynamic = false;
          node.bits = (uint16_t)number;
        }
    }
  else
    {
      node.kind = take_prefix (text, "uint") ? ABI_UINT : ABI_INT;
      if (node.kind == ABI_INT && !take_prefix (text, "int"))
        return MOOSH_E_MALFORMED;
      if (read_number (text, &number) != 0 || number > 256 || number % 8 != 0)
        return MOOSH_E_MALFORMED;
      node.bits = (uint16_t)number;
    }
  return add_node (type, node, ret);
}

static int parse_type (AbiType *type, const char **text, unsigned depth, uint16_t *ret);

/* The members after the opening parenthesis, and the closing one. */
static int
parse_tuple (AbiType *type, const char **text, unsigned depth, uint16_t *ret)
{
  AbiNode tuple = { .kind = ABI_TUPLE };
  uint16_t last = 0, member;
  int result;

  do
    {
      result = parse_type (type, text, depth + 1, &member);
      if (result != MOOSH_OK)
        return result;
      if (tuple.count == 0)
        tuple.child = member;
      else
        type->nodes[last].next = member;
      last = member;
      tuple.count++;
      tuple.words += type->nodes[member].words;
      tuple.dynamic |= type->nodes[member].dynamic;
      if (type->nodes[member].depth >= tuple.depth)
        tuple.depth = (uint16_t)(type->nodes[member].depth + 1);
  } while (take_prefix (text, ","));
  if (!take_prefix (text, ")"))
    return MOOSH_E_MALFORMED;
  if (tuple.dynamic && depth > 0)
    tuple.words = 1;
  return add_node (type, tuple, ret);
}

/* "[]" or "[k]" behind the type `*node`. */
static int
parse_suffix (AbiType *type, const char **text, uint16_t *node)
{
  const AbiNode *item = &type->nodes[*node];
  AbiNode array = { .kind = ABI_LIST, .child = *node, .dynamic = true, .words = 1 };

  array.depth = (uint16_t)(item->depth + 1);
  if (!take_prefix (text, "]"))
    {
      array.kind = ABI_ARRAY;
      array.dynamic = item->dynamic;
      if (read_number (text, &array.count) != 0 || !take_prefix (text, "]"))
        return MOOSH_E_MALFORMED;
      if (!item->dynamic)
        {
          if (array.count > WORDS_MAX / item->words)
            return MOOSH_E_LIMIT;
          array.words = array.count * item->words;
        }
    }
  return add_node (type, array, node);
}

static int
parse_type (AbiType *type, const char **text, unsigned depth, uint16_t *ret)
{
  uint16_t node;
  int result;

  if (depth > MOOSH_ABI_DEPTH_MAX)
    return MOOSH_E_LIMIT;
  result = take_prefix (text, "(") ? parse_tuple (type, text, depth, &node)
                                   : parse_leaf (type, text, &node);
  while (result == MOOSH_OK && take_prefix (text, "["))
    result = parse_suffix (type, text, &node);
  if (result == MOOSH_OK)
    *ret = node;
  return result;
}

int
abi_type_parse (AbiType *type, const char *text)
{
  int result;

  type->used = 0;
  if (strcmp (text, "()") == 0)
    return add_node (type, (AbiNode){ .kind = ABI_TUPLE }, &type->root);
  result = parse_type (type, &text, 0, &type->root);
  if (result == MOOSH_OK && *text != '\0')
    result = MOOSH_E_MALFORMED;
  return result;
}
