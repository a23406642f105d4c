/** Hashes: keccak-256 (ours: OpenSSL 3.0 has none), SHA-256 and what is built on it (libsodium's).
 */
#pragma once
#include "core/bytes/bytes.h"

#define MOOSH_HASH_LEN       32
#define MOOSH_KECCAK256_RATE 136 /* bytes absorbed per permutation */

/** keccak-256 as Ethereum uses it: the Keccak team's padding 0x01, not SHA-3's 0x06. */
void moosh_keccak256 (const void *in, size_t len, uint8_t out[32]);

/** A keccak-256 over input that comes in pieces. Plain memory: copy it to fork a prefix, drop it at
 * any time. */
typedef struct {
  uint64_t lane[25];
  uint8_t block[MOOSH_KECCAK256_RATE];
  size_t fill; /* bytes waiting in block, < MOOSH_KECCAK256_RATE */
} MooshKeccak256;

void moosh_keccak256_init (MooshKeccak256 *hash);
void moosh_keccak256_update (MooshKeccak256 *hash, const void *in, size_t len);
/** Write the digest. The state is spent: init it before the next message. */
void moosh_keccak256_final (MooshKeccak256 *hash, uint8_t out[32]);

/** SHA-256 (FIPS 180-4). */
void moosh_sha256 (const void *in, size_t len, uint8_t out[32]);

/** HMAC-SHA-256 (RFC 2104), any key length. */
void moosh_hmac_sha256 (const void *key, size_t key_len, const void *in, size_t len,
                        uint8_t out[32]);

/** HKDF-SHA-256 (RFC 5869), extract and expand. Spans may be empty (ptr NULL). MOOSH_E_LIMIT: more
 * than 255·32 bytes of output asked for. */
int moosh_hkdf_sha256 (MooshSpan salt, MooshSpan secret, MooshSpan context, uint8_t *out,
                       size_t out_len);

/** BIP-340's tagged hash: SHA-256(SHA-256(tag) ‖ SHA-256(tag) ‖ in). `tag` is NUL-terminated. */
void moosh_tagged_sha256 (const char *tag, const void *in, size_t len, uint8_t out[32]);
