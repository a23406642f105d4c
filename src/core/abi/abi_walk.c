#include "core/abi/abi.h"
#include "core/abi/abi_type.h"

typedef struct {
  const AbiNode *nodes;
  MooshAbiValue *values;
  size_t size, count;
  MooshAbiVisitor visit;
  void *user;
} Walk;

const char *
abi_names_skip (const char *names)
{
  int depth = 0;

  if (*names != '(')
    return names;
  do
    {
      depth += (*names == '(') - (*names == ')');
      names++;
  } while (depth > 0 && *names != '\0');
  return names;
}

static MooshAbiKind
public_kind (AbiKind kind)
{
  switch (kind)
    {
    case ABI_UINT:
      return MOOSH_ABI_UINT;
    case ABI_INT:
      return MOOSH_ABI_INT;
    case ABI_BOOL:
      return MOOSH_ABI_BOOL;
    case ABI_ADDRESS:
      return MOOSH_ABI_ADDRESS;
    case ABI_FIXED:
      return MOOSH_ABI_FIXED;
    case ABI_BYTES:
      return MOOSH_ABI_BYTES;
    case ABI_STRING:
      return MOOSH_ABI_STRING;
    case ABI_LIST:
    case ABI_ARRAY:
    case ABI_TUPLE:
      break;
    }
  return MOOSH_ABI_COUNT;
}

/* The value at the front: shown to the visitor under the name that the leaf already has. */
static int
visit_leaf (Walk *w, const AbiNode *node, MooshAbiLeaf *leaf, MooshAbiValue **ret)
{
  if (w->count == w->size)
    return MOOSH_E_SPACE;
  leaf->kind = public_kind (node->kind);
  leaf->bits = node->bits;
  *ret = &w->values[w->count++];
  return w->visit (leaf, *ret, w->user);
}

static int walk_node (Walk *w, const AbiNode *node, MooshAbiLeaf leaf, const char *nested);

static int
walk_tuple (Walk *w, const AbiNode *tuple, const char *names)
{
  const AbiNode *member = &w->nodes[tuple->child];
  int result = MOOSH_OK;

  if (names != NULL && *names == '(')
    names++;
  for (uint32_t i = 0; i < tuple->count && result == MOOSH_OK;
       i++, member = &w->nodes[member->next])
    {
      MooshAbiLeaf leaf = { .name = names != NULL ? names : "" };

      while (leaf.name[leaf.name_len] != '\0' && leaf.name[leaf.name_len] != ','
             && leaf.name[leaf.name_len] != '(' && leaf.name[leaf.name_len] != ')')
        leaf.name_len++;
      result = walk_node (w, member, leaf, names != NULL ? names + leaf.name_len : NULL);
      if (names != NULL)
        {
          names = abi_names_skip (names + leaf.name_len);
          if (*names == ',')
            names++;
        }
    }
  return result;
}

static int
walk_node (Walk *w, const AbiNode *node, MooshAbiLeaf leaf, const char *nested)
{
  uint64_t items = node->count;
  MooshAbiValue *value;
  int result = MOOSH_OK;

  if (node->kind == ABI_TUPLE)
    return walk_tuple (w, node, nested);
  if (node->kind != ABI_ARRAY)
    {
      result = visit_leaf (w, node, &leaf, &value);
      if (result != MOOSH_OK || node->kind != ABI_LIST)
        return result;
      result = moosh_abi_get_u64 (value, &items);
    }
  for (uint64_t i = 0; i < items && result == MOOSH_OK; i++)
    result = walk_node (w, &w->nodes[node->child], leaf, nested);
  return result;
}

int
moosh_abi_walk (const char *types, const char *names, MooshAbiValue *values, size_t size,
                MooshAbiVisitor visit, void *user, size_t *ret_count)
{
  AbiType type;
  Walk w = { .values = values, .size = size, .visit = visit, .user = user };
  int result = abi_type_parse (&type, types);

  if (result != MOOSH_OK)
    return result;
  if (type.nodes[type.root].kind != ABI_TUPLE)
    return MOOSH_E_MALFORMED;
  w.nodes = type.nodes;
  result = walk_tuple (&w, &type.nodes[type.root], names);
  if (result == MOOSH_OK && ret_count != NULL)
    *ret_count = w.count;
  return result;
}
