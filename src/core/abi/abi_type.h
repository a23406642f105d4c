/** A type string taken apart: what abi.c walks. Internal to core/abi. */
#pragma once
#include "core/abi/abi.h"

typedef enum {
  ABI_UINT, /* bits */
  ABI_INT,  /* bits */
  ABI_BOOL,
  ABI_ADDRESS,
  ABI_FIXED, /* bytesN: N in bits */
  ABI_BYTES,
  ABI_STRING,
  ABI_ARRAY, /* T[count] */
  ABI_LIST,  /* T[] */
  ABI_TUPLE, /* count members: child, then each one's next */
} AbiKind;

typedef struct {
  AbiKind kind;
  uint16_t bits;
  uint16_t child;
  uint16_t next;
  uint16_t depth;
  bool dynamic;
  uint32_t count;
  uint32_t words; /* in the head of what contains it: 1 when dynamic */
} AbiNode;

typedef struct {
  AbiNode nodes[MOOSH_ABI_NODES_MAX];
  uint16_t used;
  uint16_t root;
} AbiType;

/** Parse all of `text`. MOOSH_E_MALFORMED, MOOSH_E_LIMIT. An empty tuple is allowed at the root
 * alone; T[0] never. */
int abi_type_parse (AbiType *type, const char *text);

/** In a string of names: behind the parentheses that open at `names`, or `names` when none does. */
const char *abi_names_skip (const char *names);
