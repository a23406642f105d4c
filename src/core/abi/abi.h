/** Solidity's contract ABI, driven by a type string: "(address,uint96[],(uint8,bytes)[2],string)".
 *
 * Values travel flat, in the order in which they are written down: a tuple is its members, a fixed
 * array its elements, a T[] one value that counts and then its elements. So "(uint8,bytes)[]" with
 * two elements is five values.
 *
 * Reading is strict: every input has at most one reading, and writing that reading gives back the
 * same bytes. Offsets must point where the canonical encoder puts them, numbers fit their type,
 * padding is zero, text is UTF-8, nothing is left over. (Contracts compiled by solc never write
 * anything else.) */
#pragma once
#include "core/bytes/u256.h"

#define MOOSH_ABI_NODES_MAX 160 /* types in one type string, tuples and arrays included */
#define MOOSH_ABI_DEPTH_MAX 8   /* tuples and arrays in one another */

/** One leaf. Fixed-size types use `word`, exactly as on the wire; bytes and string use `bytes`; the
 * count of a T[] is in `word`. */
typedef struct {
  uint8_t word[32];
  MooshSpan bytes;
} MooshAbiValue;

MooshAbiValue moosh_abi_u64 (uint64_t v); /* uintN, bool (0 or 1), enum, and the count of a T[] */
MooshAbiValue moosh_abi_u256 (const MooshU256 *v);
MooshAbiValue moosh_abi_address (const uint8_t address[20]);
/** bytesN: `len` bytes, 1 to 32. */
MooshAbiValue moosh_abi_fixed (const uint8_t *bytes, size_t len);
/** bytes and string; the memory stays the caller's and must live as long as the value. */
MooshAbiValue moosh_abi_bytes (const void *bytes, size_t len);

MooshU256 moosh_abi_get_u256 (const MooshAbiValue *value);
/** MOOSH_E_RANGE when it does not fit. */
int moosh_abi_get_u64 (const MooshAbiValue *value, uint64_t *ret);
void moosh_abi_get_address (const MooshAbiValue *value, uint8_t out[20]);

/** The first four bytes of keccak-256 of "name(type,type)". */
void moosh_abi_selector (const char *signature, uint8_t out[4]);

/** Encode `count` values of the tuple `types` (with its parentheses). The same checks as reading:
 * MOOSH_E_RANGE for a value that does not fit its type, MOOSH_E_NONCANONICAL for dirty padding;
 * MOOSH_E_SHORT or MOOSH_E_TRAILING for too few or too many values; MOOSH_E_SPACE;
 * MOOSH_E_MALFORMED or MOOSH_E_LIMIT for a bad type string. `out` may be NULL with `size` 0 to
 * learn nothing but MOOSH_E_SPACE; see moosh_abi_size. */
int moosh_abi_encode (const char *types, const MooshAbiValue *values, size_t count, uint8_t *out,
                      size_t size, size_t *ret_len);
/** How many bytes moosh_abi_encode will write; its errors, except MOOSH_E_SPACE. */
int moosh_abi_size (const char *types, const MooshAbiValue *values, size_t count, size_t *ret_len);

/** Decode all of `in` as the tuple `types` into at most `size` values, whose bytes point into `in`.
 * MOOSH_E_SHORT, MOOSH_E_TRAILING (left over), MOOSH_E_NONCANONICAL (offset or padding),
 * MOOSH_E_RANGE (number too large for its type), MOOSH_E_MALFORMED (not UTF-8; bad type string),
 * MOOSH_E_SPACE (more values than `size`), MOOSH_E_LIMIT. */
int moosh_abi_decode (const char *types, MooshSpan in, MooshAbiValue *ret, size_t size,
                      size_t *ret_count);

/** Whether a type is dynamic (its encoding is reached through an offset). MOOSH_E_MALFORMED,
 * MOOSH_E_LIMIT; 0 or 1. */
int moosh_abi_is_dynamic (const char *type);

/** Find a member by its path. `names` mirrors `types` with names in place of types:
 * "(id,offer(maker,side),tags)" for
 * "(uint256,(address,uint8),string[])"; an array carries the name of its element. `path` is
 * "offer.maker", or "tags[1]". Returns the index into the flat `values` (a T[] gives its count),
 * MOOSH_E_RANGE when there is no such member or element. */
int moosh_abi_find (const char *types, const char *names, const MooshAbiValue *values, size_t count,
                    const char *path);

typedef enum {
  MOOSH_ABI_UINT,
  MOOSH_ABI_INT,
  MOOSH_ABI_BOOL,
  MOOSH_ABI_ADDRESS,
  MOOSH_ABI_FIXED, /* bytesN */
  MOOSH_ABI_BYTES,
  MOOSH_ABI_STRING,
  MOOSH_ABI_COUNT, /* of a T[] */
} MooshAbiKind;

/** A leaf as moosh_abi_walk comes by it. */
typedef struct {
  MooshAbiKind kind;
  unsigned bits;    /* of uintN and intN; the N of bytesN */
  const char *name; /* not terminated; an item of an array has the array's name */
  size_t name_len;
} MooshAbiLeaf;

/** Called for each leaf in order with its value, to fill in or to look at. A COUNT that it fills in
 * decides how many items come next. Anything but MOOSH_OK ends the walk. */
typedef int (*MooshAbiVisitor) (const MooshAbiLeaf *leaf, MooshAbiValue *value, void *user);

/** Visit the leaves of `types` (names as in moosh_abi_find, or NULL) over at most `size` values.
 * `ret_count` (may be NULL): how many there were. MOOSH_E_SPACE when there are more, errors of the
 * type string, or the visitor's. */
int moosh_abi_walk (const char *types, const char *names, MooshAbiValue *values, size_t size,
                    MooshAbiVisitor visit, void *user, size_t *ret_count);
