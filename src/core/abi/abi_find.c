#include "core/abi/abi.h"
#include "core/abi/abi_type.h"
#include <string.h>

typedef struct {
  const AbiNode *nodes;
  const MooshAbiValue *values;
  size_t count;
} Search;

/* The index behind `node`'s values, which begin at `at`; may lie past the end when the values are
 * too few. */
static size_t
skip_values (const Search *s, const AbiNode *node, size_t at)
{
  uint16_t child = node->child;
  uint64_t items = node->count;

  switch (node->kind)
    {
    case ABI_LIST:
      if (at >= s->count || moosh_abi_get_u64 (&s->values[at], &items) != MOOSH_OK)
        return s->count;
      at++;
      break;
    case ABI_ARRAY:
    case ABI_TUPLE:
      break;
    case ABI_UINT:
    case ABI_INT:
    case ABI_BOOL:
    case ABI_ADDRESS:
    case ABI_FIXED:
    case ABI_BYTES:
    case ABI_STRING:
      return at + 1;
    }
  for (uint64_t i = 0; i < items && at < s->count; i++)
    {
      at = skip_values (s, &s->nodes[child], at);
      if (node->kind == ABI_TUPLE)
        child = s->nodes[child].next;
    }
  return at;
}

/* The member of the tuple `*node` called by the first part of `path`; `*names` stands behind the
 * opening parenthesis and ends behind the member's name. */
static int
enter_member (const Search *s, const AbiNode **node, const char **names, size_t *at,
              const char *path, size_t len)
{
  const AbiNode *member = &s->nodes[(*node)->child];

  for (uint32_t i = 0; i < (*node)->count; i++, member = &s->nodes[member->next])
    {
      size_t name = strcspn (*names, "(,)");

      if (name == len && strncmp (*names, path, len) == 0)
        {
          *names += name;
          *node = member;
          return MOOSH_OK;
        }
      *names = abi_names_skip (*names + name);
      if (**names == ',')
        ++*names;
      *at = skip_values (s, member, *at);
    }
  return MOOSH_E_RANGE;
}

/* "[k]" at *path: into item k of an array. */
static int
enter_item (const Search *s, const AbiNode **node, size_t *at, const char **path)
{
  uint64_t items = (*node)->count, index = 0;

  if ((*node)->kind == ABI_LIST)
    {
      if (*at >= s->count || moosh_abi_get_u64 (&s->values[(*at)++], &items) != MOOSH_OK)
        return MOOSH_E_RANGE;
    }
  else if ((*node)->kind != ABI_ARRAY)
    return MOOSH_E_RANGE;
  ++*path;
  if (**path == ']')
    return MOOSH_E_RANGE;
  for (; **path >= '0' && **path <= '9'; ++*path)
    {
      index = index * 10 + (uint64_t)(**path - '0');
      if (index >= items)
        return MOOSH_E_RANGE;
    }
  if (**path != ']' || index >= items)
    return MOOSH_E_RANGE;
  ++*path;
  *node = &s->nodes[(*node)->child];
  for (; index > 0; index--)
    *at = skip_values (s, *node, *at);
  return MOOSH_OK;
}

int
moosh_abi_find (const char *types, const char *names, const MooshAbiValue *values, size_t count,
                const char *path)
{
  AbiType type;
  const AbiNode *node;
  Search s = { .values = values, .count = count };
  size_t at = 0;
  int result = abi_type_parse (&type, types);

  if (result != MOOSH_OK)
    return result;
  s.nodes = type.nodes;
  node = &type.nodes[type.root];
  for (;;)
    {
      size_t len = strcspn (path, ".[");

      if (node->kind != ABI_TUPLE || *names++ != '(')
        return MOOSH_E_RANGE;
      result = enter_member (&s, &node, &names, &at, path, len);
      for (path += len; result == MOOSH_OK && *path == '[';)
        result = enter_item (&s, &node, &at, &path);
      if (result != MOOSH_OK)
        return result;
      if (*path == '\0')
        return at < count ? (int)at : MOOSH_E_RANGE;
      if (*path++ != '.')
        return MOOSH_E_RANGE;
    }
}
