/** Web3 Secret Storage version 3: one secret key in a JSON text, under a passphrase.
 *
 * Written: scrypt, AES-128-CTR, keccak-256 MAC. Read: also PBKDF2-HMAC-SHA-256. Geth, Foundry's
 * `cast wallet` and the like read what we write and the other way round. The text is a stranger's:
 * it is parsed strictly and its cost is bounded before any work is done. */
#pragma once
#include "core/bytes/bytes.h"

#define MOOSH_KEYSTORE_TEXT_MAX   1024 /* what moosh_keystore_write needs at most, with NUL */
#define MOOSH_KEYSTORE_INPUT_MAX  8192 /* the longest text that is read */
#define MOOSH_KEYSTORE_MEMORY_MAX (1ull << 30) /* the most scrypt may ask for: 128·N·r bytes */
#define MOOSH_KEYSTORE_ROUNDS_MAX 10000000u    /* PBKDF2 */

typedef enum { MOOSH_KDF_SCRYPT, MOOSH_KDF_PBKDF2 } MooshKdf;

/** The public part of a keystore. */
typedef struct {
  MooshKdf kdf;
  uint64_t n;      /* scrypt: a power of two */
  uint32_t r, p;   /* scrypt */
  uint32_t rounds; /* PBKDF2 */
  uint8_t salt[64];
  size_t salt_len; /* 1 to 64 */
  uint8_t iv[16];
  uint8_t ciphertext[32];
  uint8_t mac[32];
  uint8_t address[20];
  bool has_address; /* some programs leave it out */
} MooshKeystore;

/** Parse the JSON text; no secret is touched. MOOSH_E_MALFORMED, MOOSH_E_SHORT, MOOSH_E_TRAILING:
 * not such a text; MOOSH_E_RANGE: another version, cipher, key length or parameters scrypt does not
 * have; MOOSH_E_LIMIT: costs more than the limits above, or longer than MOOSH_KEYSTORE_INPUT_MAX.
 */
int moosh_keystore_parse (const char *text, size_t len, MooshKeystore *ret);

/** Are the parameters scrypt's or PBKDF2's, and inside our limits? MOOSH_E_RANGE, MOOSH_E_LIMIT. */
int moosh_keystore_check (const MooshKeystore *keystore);

/** Encrypt `secret`: the caller sets kdf (scrypt), n, r, p, salt (random), iv (random) and address;
 * ciphertext and mac are filled in. MOOSH_E_RANGE, MOOSH_E_LIMIT: parameters, or no
 * memory for scrypt. */
int moosh_keystore_seal (MooshKeystore *keystore, const void *passphrase, size_t passphrase_len,
                         const uint8_t secret[32]);

/** Decrypt. MOOSH_E_CRYPTO: wrong passphrase (or a damaged file); MOOSH_E_LIMIT: no memory for
 * scrypt. Then `ret_secret` is zero. */
int moosh_keystore_open (const MooshKeystore *keystore, const void *passphrase,
                         size_t passphrase_len, uint8_t ret_secret[32]);

/** Write the JSON text, NUL-terminated; `uuid` is 16 random bytes (its version bits are set here).
 */
void moosh_keystore_write (const MooshKeystore *keystore, const uint8_t uuid[16],
                           char ret_text[MOOSH_KEYSTORE_TEXT_MAX]);
