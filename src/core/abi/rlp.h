/** RLP (Ethereum Yellow Paper, appendix B): the one canonical encoding, written and read.
 *
 * Reading is strict: a length in more bytes than needed, a leading zero in a length or a number, a
 * one-byte string with a header of its own are all refused, so an item has exactly one encoding. */
#pragma once
#include "core/bytes/u256.h"

/** Writes into the caller's buffer. The first error sticks and moosh_rlp_finish returns it; no call
 * checks alone. */
typedef struct {
  uint8_t *out;
  size_t size;
  size_t len;
  int error;
} MooshRlpWriter;

MooshRlpWriter moosh_rlp_writer (uint8_t *out, size_t size);
void moosh_rlp_bytes (MooshRlpWriter *writer, const void *bytes, size_t len);
/** Numbers: big-endian without leading zeros; zero is the empty string. */
void moosh_rlp_u64 (MooshRlpWriter *writer, uint64_t v);
void moosh_rlp_u256 (MooshRlpWriter *writer, const MooshU256 *v);
/** Everything written between begin and end becomes one list; `mark` is what begin returned. Lists
 * nest. */
size_t moosh_rlp_list_begin (MooshRlpWriter *writer);
void moosh_rlp_list_end (MooshRlpWriter *writer, size_t mark);
/** Length written, or MOOSH_E_SPACE. */
int moosh_rlp_finish (const MooshRlpWriter *writer, size_t *ret_len);

/** Take the next item off the front of `in`. `ret_list` says whether `ret_payload` holds a list's
 * items or a string's bytes; the payload points into the input. MOOSH_E_SHORT,
 * MOOSH_E_NONCANONICAL; `in` is then unchanged. */
int moosh_rlp_next (MooshSpan *in, bool *ret_list, MooshSpan *ret_payload);

/** moosh_rlp_next for one expected kind: MOOSH_E_MALFORMED when the next item is of the other. */
int moosh_rlp_next_bytes (MooshSpan *in, MooshSpan *ret);
int moosh_rlp_next_list (MooshSpan *in, MooshSpan *ret);
/** A string of exactly `len` bytes (MOOSH_E_RANGE for another length). */
int moosh_rlp_next_fixed (MooshSpan *in, uint8_t *out, size_t len);
/** Numbers: MOOSH_E_NONCANONICAL for a leading zero, MOOSH_E_RANGE for one too large. */
int moosh_rlp_next_u64 (MooshSpan *in, uint64_t *ret);
int moosh_rlp_next_u256 (MooshSpan *in, MooshU256 *ret);

/** Whether `in` is exactly one item, canonical all the way down, lists nested at most `depth_max`
 * deep (a string has depth 0; at most MOOSH_RLP_DEPTH_MAX). MOOSH_E_TRAILING, MOOSH_E_LIMIT, and
 * those of moosh_rlp_next. */
#define MOOSH_RLP_DEPTH_MAX 16
int moosh_rlp_check (MooshSpan in, unsigned depth_max);
