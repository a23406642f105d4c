/** EIP-1559 transactions (type 2) with an empty access list: the only kind we send. */
#pragma once
#include "core/bytes/u256.h"

#define MOOSH_TX_DATA_MAX (128 * 1024) /* what nodes accept into their pools */
/** Enough room for any encoding of a transaction with `data_len` bytes of data. */
#define MOOSH_TX_SIZE_MAX(data_len) ((data_len) + 320)

typedef struct {
  uint64_t chain_id;
  uint64_t nonce;
  MooshU256 max_priority_fee; /* wei per gas */
  MooshU256 max_fee;          /* wei per gas, tip included */
  uint64_t gas;
  bool create; /* makes a contract: no `to` */
  uint8_t to[20];
  MooshU256 value; /* wei */
  MooshSpan data;  /* at most MOOSH_TX_DATA_MAX */
} MooshTx;

/** 0x02 ‖ rlp(fields): the bytes whose keccak-256 is signed. MOOSH_E_SPACE, MOOSH_E_LIMIT (data too
 * long). */
int moosh_tx_encode_unsigned (const MooshTx *tx, uint8_t *out, size_t size, size_t *ret_len);

/** The same with the signature, ready for eth_sendRawTransaction; its keccak-256 is the
 * transaction's hash. `signature` is r ‖ s ‖ y, y being the parity of the point's y: 0 or 1 (27 and
 * 28 are taken as well). MOOSH_E_RANGE for another y. */
int moosh_tx_encode_signed (const MooshTx *tx, const uint8_t signature[65], uint8_t *out,
                            size_t size, size_t *ret_len);

/** Read a signed transaction back; `ret->data` points into `in`. An access list that is not empty
 * is MOOSH_E_MALFORMED: we never make one. Errors of rlp.h. The signature is not verified. */
int moosh_tx_decode_signed (MooshSpan in, MooshTx *ret, uint8_t ret_signature[65]);
