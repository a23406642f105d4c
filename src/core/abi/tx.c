#include "core/abi/tx.h"
#include "core/abi/rlp.h"
#include <string.h>

#define TYPE_1559 0x02

static void
write_fields (MooshRlpWriter *writer, const MooshTx *tx)
{
  moosh_rlp_u64 (writer, tx->chain_id);
  moosh_rlp_u64 (writer, tx->nonce);
  moosh_rlp_u256 (writer, &tx->max_priority_fee);
  moosh_rlp_u256 (writer, &tx->max_fee);
  moosh_rlp_u64 (writer, tx->gas);
  moosh_rlp_bytes (writer, tx->to, tx->create ? 0 : sizeof tx->to);
  moosh_rlp_u256 (writer, &tx->value);
  moosh_rlp_bytes (writer, tx->data.ptr, tx->data.len);
  moosh_rlp_list_end (writer, moosh_rlp_list_begin (writer)); /* access list */
}

static int
encode (const MooshTx *tx, const uint8_t *signature, uint8_t *out, size_t size, size_t *ret_len)
{
  MooshRlpWriter writer;
  MooshU256 r, s;
  size_t mark, len;
  int result;

  if (tx->data.len > MOOSH_TX_DATA_MAX)
    return MOOSH_E_LIMIT;
  if (size < 1)
    return MOOSH_E_SPACE;
  out[0] = TYPE_1559;
  writer = moosh_rlp_writer (out + 1, size - 1);
  mark = moosh_rlp_list_begin (&writer);
  write_fields (&writer, tx);
  if (signature != NULL)
    {
      uint8_t y = signature[64] >= 27 ? (uint8_t)(signature[64] - 27) : signature[64];

      if (y > 1)
        return MOOSH_E_RANGE;
      r = moosh_u256_from_be (signature);
      s = moosh_u256_from_be (signature + 32);
      moosh_rlp_u64 (&writer, y);
      moosh_rlp_u256 (&writer, &r);
      moosh_rlp_u256 (&writer, &s);
    }
  moosh_rlp_list_end (&writer, mark);
  result = moosh_rlp_finish (&writer, &len);
  if (result == MOOSH_OK)
    *ret_len = len + 1;
  return result;
}

int
moosh_tx_encode_unsigned (const MooshTx *tx, uint8_t *out, size_t size, size_t *ret_len)
{
  return encode (tx, NULL, out, size, ret_len);
}

int
moosh_tx_encode_signed (const MooshTx *tx, const uint8_t signature[65], uint8_t *out, size_t size,
                        size_t *ret_len)
{
  return encode (tx, signature, out, size, ret_len);
}

/* `to` is 20 bytes, or empty when a contract is made. */
static int
read_to (MooshSpan *in, MooshTx *tx)
{
  MooshSpan to;
  int result = moosh_rlp_next_bytes (in, &to);

  if (result != MOOSH_OK)
    return result;
  if (to.len != 0 && to.len != sizeof tx->to)
    return MOOSH_E_RANGE;
  tx->create = to.len == 0;
  if (!tx->create)
    memcpy (tx->to, to.ptr, sizeof tx->to);
  return MOOSH_OK;
}

static int
read_access_list (MooshSpan *in)
{
  MooshSpan list;
  int result = moosh_rlp_next_list (in, &list);

  if (result == MOOSH_OK && list.len != 0)
    return MOOSH_E_MALFORMED;
  return result;
}

static int
read_signature (MooshSpan *in, uint8_t signature[65])
{
  MooshU256 r, s;
  uint64_t y;
  int result = moosh_rlp_next_u64 (in, &y);

  if (result == MOOSH_OK)
    result = moosh_rlp_next_u256 (in, &r);
  if (result == MOOSH_OK)
    result = moosh_rlp_next_u256 (in, &s);
  if (result != MOOSH_OK)
    return result;
  if (y > 1)
    return MOOSH_E_RANGE;
  moosh_u256_to_be (&r, signature);
  moosh_u256_to_be (&s, signature + 32);
  signature[64] = (uint8_t)y;
  return MOOSH_OK;
}

int
moosh_tx_decode_signed (MooshSpan in, MooshTx *ret, uint8_t ret_signature[65])
{
  MooshTx tx = { 0 };
  MooshSpan body;
  uint8_t signature[65];
  int result;

  if (in.len < 1)
    return MOOSH_E_SHORT;
  if (in.ptr[0] != TYPE_1559)
    return MOOSH_E_MALFORMED;
  in = (MooshSpan){ in.ptr + 1, in.len - 1 };
  result = moosh_rlp_next_list (&in, &body);
  if (result == MOOSH_OK && in.len != 0)
    result = MOOSH_E_TRAILING;
  if (result == MOOSH_OK)
    result = moosh_rlp_next_u64 (&body, &tx.chain_id);
  if (result == MOOSH_OK)
    result = moosh_rlp_next_u64 (&body, &tx.nonce);
  if (result == MOOSH_OK)
    result = moosh_rlp_next_u256 (&body, &tx.max_priority_fee);
  if (result == MOOSH_OK)
    result = moosh_rlp_next_u256 (&body, &tx.max_fee);
  if (result == MOOSH_OK)
    result = moosh_rlp_next_u64 (&body, &tx.gas);
  if (result == MOOSH_OK)
    result = read_to (&body, &tx);
  if (result == MOOSH_OK)
    result = moosh_rlp_next_u256 (&body, &tx.value);
  if (result == MOOSH_OK)
    result = moosh_rlp_next_bytes (&body, &tx.data);
  if (result == MOOSH_OK)
    result = read_access_list (&body);
  if (result == MOOSH_OK)
    result = read_signature (&body, signature);
  if (result == MOOSH_OK && body.len != 0)
    result = MOOSH_E_TRAILING;
  if (result != MOOSH_OK)
    return result;
  *ret = tx;
  memcpy (ret_signature, signature, sizeof signature);
  return MOOSH_OK;
}
