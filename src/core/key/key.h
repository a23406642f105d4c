/** secp256k1 keys as Ethereum and our nodes use them: addresses, signatures, shared secrets.
 *
 * The curve arithmetic is libsecp256k1's; constant time in the secret. A secret key is 32 bytes, a
 * public key 33 bytes (compressed, SEC 1 §2.3.3), an address 20 bytes. Nothing is kept between
 * calls but what the caller holds. */
#pragma once
#include "core/bytes/bytes.h"
#include <stdalign.h>

#define MOOSH_SECRET_LEN    32
#define MOOSH_PUBLIC_LEN    33
#define MOOSH_ADDRESS_LEN   20
#define MOOSH_ADDRESS_TEXT  43 /* "0x", 40 digits, NUL */
#define MOOSH_SIGNATURE_LEN 65

/** What signing and making public keys need: libsecp256k1's context, in the caller's memory (it may
 * hold no secret, but it decides the blinding: keep it beside the keys). */
typedef struct {
  alignas (16) uint8_t room[512];
} MooshCurve;

/** Make `ret` ready. `blinding` is 32 random bytes that harden signing against side channels; they
 * must not repeat between processes. NULL: none (tests). The context must not be moved or copied
 * afterwards. */
void moosh_curve_init (MooshCurve *ret, const uint8_t blinding[32]);

/** MOOSH_E_CRYPTO unless 0 < secret < n. */
int moosh_key_check (const uint8_t secret[32]);

/** The compressed public key of `secret`. MOOSH_E_CRYPTO: not a valid secret. */
int moosh_key_public (const MooshCurve *curve, const uint8_t secret[32], uint8_t ret_public[33]);

/** The Ethereum address of a compressed public key: the last 20 bytes of keccak-256(x ‖ y).
 * MOOSH_E_CRYPTO: not a point. */
int moosh_public_address (const uint8_t public_key[33], uint8_t ret_address[20]);

/** moosh_public_address of moosh_key_public. */
int moosh_key_address (const MooshCurve *curve, const uint8_t secret[32], uint8_t ret_address[20]);

/** "0x" and the 40 digits with EIP-55's capitals. */
void moosh_address_format (const uint8_t address[20], char ret_text[MOOSH_ADDRESS_TEXT]);

/** Read "0x" + 40 hex digits: all lower case, all upper case, or with the right EIP-55 capitals.
 * MOOSH_E_SHORT, MOOSH_E_TRAILING, MOOSH_E_MALFORMED; MOOSH_E_NONCANONICAL: mixed case that is not
 * the checksum (a typing error). */
int moosh_address_parse (const char *text, uint8_t ret_address[20]);

/** An ECDSA signature with what recovers its key. `s` is low (BIP-62, EIP-2). */
typedef struct {
  uint8_t r[32];
  uint8_t s[32];
  uint8_t y_parity; /* 0 or 1 */
} MooshSignature;

/** Sign a 32-byte hash; deterministic (RFC 6979, SHA-256). MOOSH_E_CRYPTO: not a valid secret. */
int moosh_sign (const MooshCurve *curve, const uint8_t secret[32], const uint8_t hash[32],
                MooshSignature *ret);

/** r ‖ s ‖ v with v 27 or 28: what contracts' ECDSA.recover takes. */
void moosh_signature_to_bytes (const MooshSignature *signature, uint8_t ret_bytes[65]);

/** Read r ‖ s ‖ v; v 0, 1, 27 or 28. MOOSH_E_RANGE: another v; MOOSH_E_NONCANONICAL: high s;
 * MOOSH_E_CRYPTO: r or s is zero or not below n. */
int moosh_signature_from_bytes (const uint8_t bytes[65], MooshSignature *ret);

/** Who signed `hash`. MOOSH_E_CRYPTO: nobody can have. */
int moosh_recover (const uint8_t hash[32], const MooshSignature *signature, uint8_t ret_public[33]);
int moosh_recover_address (const uint8_t hash[32], const MooshSignature *signature,
                           uint8_t ret_address[20]);

/** BIP-340 signature of a 32-byte message. `aux` is 32 random bytes (or zeros: still safe). */
int moosh_schnorr_sign (const MooshCurve *curve, const uint8_t secret[32],
                        const uint8_t message[32], const uint8_t aux[32],
                        uint8_t ret_signature[64]);

/** Check a BIP-340 signature by the key whose x coordinate is x_only. MOOSH_E_CRYPTO: not a point,
 * or not its signature. A compressed key's x coordinate starts at its second byte. */
int moosh_schnorr_verify (const uint8_t x_only[32], const uint8_t message[32],
                          const uint8_t signature[64]);

#define MOOSH_STATEMENT_TAG "mooshnet/statement/1"

/** Sign and check a statement's bytes: BIP-340 over the tagged hash of MOOSH_STATEMENT_TAG. The
 * author of a statement is a compressed key; only its x coordinate counts here. */
int moosh_statement_sign (const MooshCurve *curve, const uint8_t secret[32], MooshSpan statement,
                          const uint8_t aux[32], uint8_t ret_signature[64]);
int moosh_statement_verify (const uint8_t author[33], MooshSpan statement,
                            const uint8_t signature[64]);

/** SHA-256 of the compressed shared point (BOLT#8's ECDH, libsecp256k1's default). MOOSH_E_CRYPTO:
 * `theirs` is not a point, or not a valid secret. */
int moosh_ecdh (const uint8_t secret[32], const uint8_t theirs[33], uint8_t ret_shared[32]);
