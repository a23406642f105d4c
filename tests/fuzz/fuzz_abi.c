/* The contract ABI. The first byte chooses: decode what follows as one of the types below (or as a
 * type that the input spells out itself, up to a NUL), or encode values made of it. What decodes is
 * written back byte for byte. */
#include "core/abi/abi.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

#define VALUES_MAX 512
#define ENCODE     0x80

static const struct {
  const char *types, *names;
} shapes[] = {
  { "(bytes,uint8[])", "(a,b)" },
  { "((string,bool)[],int16)", "(list(text,flag),delta)" },
  { "(uint8[2][],address)", "(pairs,who)" },
  { "(bytes[2],string)", "(two,text)" },
  { "(bytes4,(uint8,(bytes))[])", "(tag,items(kind,body(blob)))" },
  { "(uint256,int256,bool,address,bytes32)", "(u,i,b,a,f)" },
  { "(int8,uint248,bytes1,(bool,(uint64,string[])[2])[][2])", "(i,u,f,deep(x,y(z,texts)))" },
};

static void
check (bool ok)
{
  if (!ok)
    abort ();
}

static int
count_leaf (const MooshAbiLeaf *leaf, MooshAbiValue *value, void *user)
{
  (void)value;
  check (leaf->kind <= MOOSH_ABI_COUNT);
  ++*(size_t *)user;
  return MOOSH_OK;
}

static void
decode (const char *types, const char *names, const uint8_t *data, size_t size)
{
  static MooshAbiValue values[VALUES_MAX];
  static const char *const paths[]
      = { "a", "list[1].flag", "pairs[0][1]", "items[0].body.blob", "deep[1][0].y[1].texts" };
  size_t count = 0, len = 0, leaves = 0;
  uint8_t *room;

  if (moosh_abi_decode (types, (MooshSpan){ data, size }, values, VALUES_MAX, &count) != MOOSH_OK)
    return;
  room = malloc (size + 1);
  if (room == NULL)
    return;
  check (moosh_abi_encode (types, values, count, room, size, &len) == MOOSH_OK && len == size);
  check (size == 0 || memcmp (room, data, size) == 0);
  check (size == 0
         || moosh_abi_encode (types, values, count, room, size - 1, &len) == MOOSH_E_SPACE);
  check (moosh_abi_walk (types, names, values, count, count_leaf, &leaves, NULL) == MOOSH_OK
         && leaves == count);
  for (size_t i = 0; names != NULL && i < sizeof paths / sizeof paths[0]; i++)
    check (moosh_abi_find (types, names, values, count, paths[i]) < (int)count);
  free (room);
}

/* Values straight from the input: a word each, and what the second byte of a group says of the rest
 * as bytes. */
static void
encode (const char *types, const uint8_t *data, size_t size)
{
  static MooshAbiValue values[VALUES_MAX], back[VALUES_MAX];
  static uint8_t room[65536];
  size_t count = 0, len = 0, back_count = 0;

  while (size >= 2 && count < VALUES_MAX)
    {
      size_t word = data[0] % 33, bytes = data[1];

      data += 2;
      size -= 2;
      if (word > size || bytes > size)
        break;
      memset (&values[count], 0, sizeof values[count]);
      memcpy (values[count].word + 32 - word, data, word);
      values[count].bytes = (MooshSpan){ data, bytes };
      data += word;
      size -= word;
      count++;
    }
  if (moosh_abi_encode (types, values, count, room, sizeof room, &len) != MOOSH_OK)
    return;
  check (moosh_abi_decode (types, (MooshSpan){ room, len }, back, VALUES_MAX, &back_count)
         == MOOSH_OK);
  check (back_count == count);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  char types[200];
  const char *names = NULL;
  uint8_t choice, shape;

  if (size == 0)
    return 0;
  choice = *data++;
  size--;
  shape = choice & 0x7f;
  if (shape < sizeof shapes / sizeof shapes[0])
    {
      memcpy (types, shapes[shape].types, strlen (shapes[shape].types) + 1);
      names = shapes[shape].names;
    }
  else
    {
      const uint8_t *end = memchr (data, 0, size < sizeof types ? size : sizeof types);

      if (end == NULL)
        return 0;
      memcpy (types, data, (size_t)(end - data) + 1);
      size -= (size_t)(end - data) + 1;
      data = end + 1;
    }
  if (choice & ENCODE)
    encode (types, data, size);
  else
    decode (types, names, data, size);
  return 0;
}
