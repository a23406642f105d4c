/** The head of a CBOR item: major type and argument. Private to this room. */
#pragma once
#include "core/cbor/cbor.h"

enum {
  MAJOR_UINT,
  MAJOR_NEGATIVE,
  MAJOR_BYTES,
  MAJOR_TEXT,
  MAJOR_ARRAY,
  MAJOR_MAP,
  MAJOR_TAG,
  MAJOR_SIMPLE
};
enum { SIMPLE_FALSE = 20, SIMPLE_TRUE = 21, SIMPLE_NULL = 22 };

typedef struct {
  unsigned major;
  uint64_t arg;
  size_t size; /* of the head itself: 1, 2, 3, 5 or 9 */
} Head;

/** Parse the head at ptr[0..len). MOOSH_E_SHORT; MOOSH_E_NONCANONICAL; MOOSH_E_MALFORMED for what
 * the profile has not. */
int moosh_cbor_head (const uint8_t *ptr, size_t len, Head *ret);
