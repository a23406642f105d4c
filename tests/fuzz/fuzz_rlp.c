/* RLP: what the checker accepts, walks and is written back byte for byte; numbers and transactions
 * likewise. */
#include "core/abi/rlp.h"
#include "core/abi/tx.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

static void
check (bool ok)
{
  if (!ok)
    abort ();
}

/* Write the items of `in` again. */
static void
copy (MooshRlpWriter *writer, MooshSpan in, unsigned depth)
{
  check (depth <= MOOSH_RLP_DEPTH_MAX);
  while (in.len > 0)
    {
      MooshSpan payload;
      bool list;

      check (moosh_rlp_next (&in, &list, &payload) == MOOSH_OK);
      if (list)
        {
          size_t mark = moosh_rlp_list_begin (writer);

          copy (writer, payload, depth + 1);
          moosh_rlp_list_end (writer, mark);
        }
      else
        moosh_rlp_bytes (writer, payload.ptr, payload.len);
    }
}

/* The typed readers take what they accept exactly once. */
static void
typed (MooshSpan in)
{
  static uint8_t room[64];
  MooshSpan at = in, list;
  MooshRlpWriter writer = moosh_rlp_writer (room, sizeof room);
  MooshU256 wide;
  uint64_t narrow;
  size_t len;

  if (moosh_rlp_next_u256 (&at, &wide) == MOOSH_OK)
    {
      moosh_rlp_u256 (&writer, &wide);
      check (moosh_rlp_finish (&writer, &len) == MOOSH_OK && len == in.len - at.len
             && memcmp (room, in.ptr, len) == 0);
    }
  at = in;
  writer = moosh_rlp_writer (room, sizeof room);
  if (moosh_rlp_next_u64 (&at, &narrow) == MOOSH_OK)
    {
      moosh_rlp_u64 (&writer, narrow);
      check (moosh_rlp_finish (&writer, &len) == MOOSH_OK && len == in.len - at.len
             && memcmp (room, in.ptr, len) == 0);
    }
  at = in;
  if (moosh_rlp_next_fixed (&at, room, 20) == MOOSH_OK)
    check (in.len - at.len == 21);
  at = in;
  if (moosh_rlp_next_list (&at, &list) == MOOSH_OK)
    check (list.len < in.len);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  MooshSpan in = { data, size };
  uint8_t signature[65], *room = malloc (size + 1);
  MooshRlpWriter writer = moosh_rlp_writer (room, size);
  MooshTx tx;
  size_t len = 0;

  if (room == NULL)
    return 0;
  if (moosh_rlp_check (in, MOOSH_RLP_DEPTH_MAX) == MOOSH_OK)
    {
      copy (&writer, in, 0);
      check (moosh_rlp_finish (&writer, &len) == MOOSH_OK && len == size
             && memcmp (room, data, size) == 0);
      writer = moosh_rlp_writer (room, size - 1);
      copy (&writer, in, 0);
      check (moosh_rlp_finish (&writer, &len) == MOOSH_E_SPACE);
    }
  check (size == 0 || moosh_rlp_check (in, 0) != MOOSH_OK || data[0] < 0xc0);
  typed (in);
  if (moosh_tx_decode_signed (in, &tx, signature) == MOOSH_OK)
    check (tx.data.len > MOOSH_TX_DATA_MAX
           || (moosh_tx_encode_signed (&tx, signature, room, size, &len) == MOOSH_OK && len == size
               && memcmp (room, data, size) == 0));
  free (room);
  return 0;
}
