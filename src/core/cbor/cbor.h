/** Strict deterministic CBOR: the one encoding of everything peers sign and send (a profile of RFC
 * 8949 §4.2).
 *
 * The profile: definite lengths; shortest integers; maps with integer keys 0–23, strictly
 * ascending; no floats, tags, `undefined` or indefinite items; text is valid UTF-8; at most 8
 * containers deep; at most 16 KiB. A value has exactly one encoding, so two nodes that agree on a
 * value agree on its hash.
 *
 * Evolution: a reader refuses an even key it does not know and skips an odd one
 * (moosh_cbor_unknown).
 *
 * Reading: moosh_cbor_read_init checks the whole item against the profile once; the pull functions
 * after it then check types and ranges only. Writing: the put functions remember the first error,
 * moosh_cbor_finish tells it. */
#pragma once
#include "core/bytes/bytes.h"

#define MOOSH_CBOR_MAX       ((size_t)16384)
#define MOOSH_CBOR_DEPTH_MAX 8
#define MOOSH_CBOR_KEY_MAX   23

typedef enum {
  MOOSH_CBOR_UINT,
  MOOSH_CBOR_NEGATIVE,
  MOOSH_CBOR_BYTES,
  MOOSH_CBOR_TEXT,
  MOOSH_CBOR_ARRAY,
  MOOSH_CBOR_MAP,
  MOOSH_CBOR_BOOL,
  MOOSH_CBOR_NULL,
  MOOSH_CBOR_END, /* nothing left to read */
} MooshCborType;

/** Is ptr[0..len) exactly one item of the profile?
 *
 * MOOSH_OK, or the first violation: MOOSH_E_SHORT; MOOSH_E_TRAILING; MOOSH_E_MALFORMED (float, tag,
 * indefinite, undefined, bad UTF-8, a map key that is no unsigned integer); MOOSH_E_NONCANONICAL
 * (longer integer than needed, keys out of order or twice); MOOSH_E_RANGE (key above 23, negative
 * below -2^63); MOOSH_E_LIMIT (too deep, too long). */
int moosh_cbor_validate (const void *ptr, size_t len);

/** A cursor over one validated item. Owns nothing: the bytes must outlive it and the spans it hands
 * out. After an error the cursor stays where it was. */
typedef struct {
  const uint8_t *ptr;
  size_t len;
  size_t pos;
} MooshCborReader;

/** Start reading the one item in ptr[0..len). Errors of moosh_cbor_validate. */
int moosh_cbor_read_init (MooshCborReader *reader, const void *ptr, size_t len);

/** The next item's type; does not move. */
MooshCborType moosh_cbor_peek (const MooshCborReader *reader);

/** Read one item. All of these: MOOSH_E_MALFORMED when the next item is of another type,
 * MOOSH_E_SHORT when there is none, MOOSH_E_RANGE when the value or its length is outside the
 * stated bounds; `ret` is then untouched. */
int moosh_cbor_read_uint (MooshCborReader *reader, uint64_t max, uint64_t *ret);
int moosh_cbor_read_int (MooshCborReader *reader, int64_t min, int64_t max, int64_t *ret);
int moosh_cbor_read_bool (MooshCborReader *reader, bool *ret);
int moosh_cbor_read_null (MooshCborReader *reader);
/** Byte or text string of min..max bytes. Text is valid UTF-8, not NUL-terminated, and may contain
 * U+0000. */
int moosh_cbor_read_bytes (MooshCborReader *reader, size_t min, size_t max, MooshSpan *ret);
int moosh_cbor_read_text (MooshCborReader *reader, size_t min, size_t max, MooshSpan *ret);
/** Byte string of exactly `len` bytes, copied. */
int moosh_cbor_read_fixed (MooshCborReader *reader, uint8_t *out, size_t len);
/** Text without U+0000 and of fewer than `size` bytes, copied and NUL-terminated. */
int moosh_cbor_read_string (MooshCborReader *reader, char *out, size_t size);
/** Enter an array of at most `max` items: the caller then reads exactly *ret items. */
int moosh_cbor_read_array (MooshCborReader *reader, size_t max, size_t *ret);

/** An entered map. `seen` has bit k set once key k was read. */
typedef struct {
  unsigned left;
  uint32_t seen;
} MooshCborMap;

/** Enter a map. Then, until it returns 0: moosh_cbor_next, and read (or moosh_cbor_unknown) the
 * value.
 *
 *    while ((r = moosh_cbor_next (&reader, &map, &key)) > 0)
 *      switch (key)
 *        {
 *        case 0:  r = moosh_cbor_read_fixed (&reader, id, 32); break;
 *        default: r = moosh_cbor_unknown (&reader, key);
 *        }   … and stop when r < 0
 *    r = moosh_cbor_require (&map, 1u << 0); */
int moosh_cbor_read_map (MooshCborReader *reader, MooshCborMap *ret);
/** 1: *ret_key is the next key; 0: the map is at its end; or a MOOSH_E_*. */
int moosh_cbor_next (MooshCborReader *reader, MooshCborMap *map, unsigned *ret_key);
/** What to do with a key one does not know: even is MOOSH_E_MALFORMED, odd skips the value. */
int moosh_cbor_unknown (MooshCborReader *reader, unsigned key);
/** MOOSH_E_SHORT when a key of the bit mask was not there. */
int moosh_cbor_require (const MooshCborMap *map, uint32_t mask);
/** Step over one item, whatever it holds; `ret` (may be NULL) is its encoding. */
int moosh_cbor_skip (MooshCborReader *reader, MooshSpan *ret);

/** Writes into the caller's buffer. The first error sticks and makes the rest do nothing. */
typedef struct {
  uint8_t *ptr;
  size_t size;
  size_t len;
  int error;
} MooshCborWriter;

void moosh_cbor_write_init (MooshCborWriter *writer, void *ptr, size_t size);
void moosh_cbor_put_uint (MooshCborWriter *writer, uint64_t value);
void moosh_cbor_put_int (MooshCborWriter *writer, int64_t value);
void moosh_cbor_put_bytes (MooshCborWriter *writer, const void *ptr, size_t len);
void moosh_cbor_put_text (MooshCborWriter *writer, const char *text);
void moosh_cbor_put_text_len (MooshCborWriter *writer, const char *ptr, size_t len);
void moosh_cbor_put_bool (MooshCborWriter *writer, bool value);
void moosh_cbor_put_null (MooshCborWriter *writer);
/** Open an array of `count` items, or a map of `count` pairs: the caller then puts exactly that
 * many. */
void moosh_cbor_put_array (MooshCborWriter *writer, size_t count);
void moosh_cbor_put_map (MooshCborWriter *writer, size_t count);
/** A map's key. */
void moosh_cbor_put_key (MooshCborWriter *writer, unsigned key);
/** An item that is encoded already. */
void moosh_cbor_put_item (MooshCborWriter *writer, const void *ptr, size_t len);

/** Check what was written against the profile (a wrong count or key order shows here) and give its
 * length. MOOSH_E_SPACE: the buffer was too small; else as moosh_cbor_validate. */
int moosh_cbor_finish (MooshCborWriter *writer, size_t *ret_len);
