#include "core/key/key.h"
#include "core/hash/hash.h"
#include "core/key/declassify.h"
#include <secp256k1.h>
#include <secp256k1_ecdh.h>
#include <secp256k1_extrakeys.h>
#include <secp256k1_preallocated.h>
#include <secp256k1_recovery.h>
#include <secp256k1_schnorrsig.h>
#include <stdlib.h>
#include <string.h>

static const secp256k1_context *
context_of (const MooshCurve *curve)
{
  return (const secp256k1_context *)(const void *)curve->room;
}

void
moosh_curve_init (MooshCurve *ret, const uint8_t blinding[32])
{
  if (secp256k1_context_preallocated_size (SECP256K1_CONTEXT_NONE) > sizeof ret->room)
    abort (); /* built against one libsecp256k1, run with a much larger one */

  secp256k1_context *context
      = secp256k1_context_preallocated_create (ret->room, SECP256K1_CONTEXT_NONE);
  if (blinding != NULL && secp256k1_context_randomize (context, blinding) != 1)
    abort (); /* documented not to happen */
}

int
moosh_key_check (const uint8_t secret[32])
{
  int valid = secp256k1_ec_seckey_verify (secp256k1_context_static, secret);

  moosh_declassify (&valid, sizeof valid);
  return valid ? MOOSH_OK : MOOSH_E_CRYPTO;
}

int
moosh_key_public (const MooshCurve *curve, const uint8_t secret[32], uint8_t ret_public[33])
{
  secp256k1_pubkey point;
  size_t len = 33;
  int valid = secp256k1_ec_pubkey_create (context_of (curve), &point, secret);

  moosh_declassify (&valid, sizeof valid);
  if (!valid)
    return MOOSH_E_CRYPTO;
  moosh_declassify (&point, sizeof point);
  secp256k1_ec_pubkey_serialize (secp256k1_context_static, ret_public, &len, &point,
                                 SECP256K1_EC_COMPRESSED);
  return MOOSH_OK;
}

static void
point_address (const secp256k1_pubkey *point, uint8_t ret_address[20])
{
  uint8_t flat[65], digest[32];
  size_t len = sizeof flat;

  secp256k1_ec_pubkey_serialize (secp256k1_context_static, flat, &len, point,
                                 SECP256K1_EC_UNCOMPRESSED);
  moosh_keccak256 (flat + 1, 64, digest);
  memcpy (ret_address, digest + 12, 20);
}

int
moosh_public_address (const uint8_t public_key[33], uint8_t ret_address[20])
{
  secp256k1_pubkey point;

  if (!secp256k1_ec_pubkey_parse (secp256k1_context_static, &point, public_key, 33))
    return MOOSH_E_CRYPTO;
  point_address (&point, ret_address);
  return MOOSH_OK;
}

int
moosh_key_address (const MooshCurve *curve, const uint8_t secret[32], uint8_t ret_address[20])
{
  uint8_t public_key[33];
  int r = moosh_key_public (curve, secret, public_key);

  return r < 0 ? r : moosh_public_address (public_key, ret_address);
}

void
moosh_address_format (const uint8_t address[20], char ret_text[MOOSH_ADDRESS_TEXT])
{
  uint8_t digest[32];
  char *digits = ret_text + 2;

  ret_text[0] = '0';
  ret_text[1] = 'x';
  moosh_hex_encode (address, 20, digits);
  moosh_keccak256 (digits, 40, digest);
  for (size_t i = 0; i < 40; i++)
    {
      unsigned nibble = digest[i / 2] >> (i % 2 ? 0 : 4) & 15;
      if (digits[i] >= 'a' && nibble >= 8)
        digits[i] = (char)(digits[i] - 'a' + 'A');
    }
}

int
moosh_address_parse (const char *text, uint8_t ret_address[20])
{
  uint8_t address[20];
  char right[MOOSH_ADDRESS_TEXT];
  bool lower = false, upper = false;

  if (text[0] != '0' || text[1] != 'x')
    return MOOSH_E_MALFORMED;
  text += 2;
  if (text[0] == '0' && text[1] == 'x')
    return MOOSH_E_MALFORMED; /* moosh_hex_decode would take a second prefix */
  int r = moosh_hex_decode (text, address, sizeof address);
  if (r < 0)
    return r;

  for (size_t i = 0; i < 40; i++)
    {
      lower |= text[i] >= 'a';
      upper |= text[i] >= 'A' && text[i] <= 'F';
    }
  moosh_address_format (address, right);
  if (lower && upper && memcmp (right + 2, text, 40) != 0)
    return MOOSH_E_NONCANONICAL;
  memcpy (ret_address, address, sizeof address);
  return MOOSH_OK;
}

int
moosh_sign (const MooshCurve *curve, const uint8_t secret[32], const uint8_t hash[32],
            MooshSignature *ret)
{
  secp256k1_ecdsa_recoverable_signature signature;
  uint8_t compact[64];
  int parity, valid = secp256k1_ecdsa_sign_recoverable (context_of (curve), &signature, hash,
                                                        secret, NULL, NULL);

  moosh_declassify (&valid, sizeof valid);
  if (!valid)
    return MOOSH_E_CRYPTO;
  moosh_declassify (&signature, sizeof signature);
  secp256k1_ecdsa_recoverable_signature_serialize_compact (secp256k1_context_static, compact,
                                                           &parity, &signature);
  /* Recovery ids 2 and 3 mean r wrapped at n: nobody has ever seen one (2^-127), Ethereum cannot
   * express it. */
  if (parity > 1)
    return MOOSH_E_CRYPTO;
  memcpy (ret->r, compact, 32);
  memcpy (ret->s, compact + 32, 32);
  ret->y_parity = (uint8_t)parity;
  return MOOSH_OK;
}

void
moosh_signature_to_bytes (const MooshSignature *signature, uint8_t ret_bytes[65])
{
  memcpy (ret_bytes, signature->r, 32);
  memcpy (ret_bytes + 32, signature->s, 32);
  ret_bytes[64] = (uint8_t)(27 + signature->y_parity);
}

int
moosh_signature_from_bytes (const uint8_t bytes[65], MooshSignature *ret)
{
  static const uint8_t zero[32];
  secp256k1_ecdsa_signature parsed;
  uint8_t v = bytes[64] >= 27 ? (uint8_t)(bytes[64] - 27) : bytes[64];

  if (v > 1)
    return MOOSH_E_RANGE;
  if (!secp256k1_ecdsa_signature_parse_compact (secp256k1_context_static, &parsed, bytes)
      || memcmp (bytes, zero, 32) == 0 || memcmp (bytes + 32, zero, 32) == 0)
    return MOOSH_E_CRYPTO;
  if (secp256k1_ecdsa_signature_normalize (secp256k1_context_static, NULL, &parsed))
    return MOOSH_E_NONCANONICAL;
  memcpy (ret->r, bytes, 32);
  memcpy (ret->s, bytes + 32, 32);
  ret->y_parity = v;
  return MOOSH_OK;
}

static int
recover_point (const uint8_t hash[32], const MooshSignature *signature, secp256k1_pubkey *ret)
{
  secp256k1_ecdsa_recoverable_signature parsed;
  uint8_t compact[64];

  memcpy (compact, signature->r, 32);
  memcpy (compact + 32, signature->s, 32);
  if (signature->y_parity > 1
      || !secp256k1_ecdsa_recoverable_signature_parse_compact (secp256k1_context_static, &parsed,
                                                               compact, signature->y_parity)
      || !secp256k1_ecdsa_recover (secp256k1_context_static, ret, &parsed, hash))
    return MOOSH_E_CRYPTO;
  return MOOSH_OK;
}

int
moosh_recover (const uint8_t hash[32], const MooshSignature *signature, uint8_t ret_public[33])
{
  secp256k1_pubkey point;
  size_t len = 33;
  int r = recover_point (hash, signature, &point);

  if (r < 0)
    return r;
  secp256k1_ec_pubkey_serialize (secp256k1_context_static, ret_public, &len, &point,
                                 SECP256K1_EC_COMPRESSED);
  return MOOSH_OK;
}

int
moosh_recover_address (const uint8_t hash[32], const MooshSignature *signature,
                       uint8_t ret_address[20])
{
  secp256k1_pubkey point;
  int r = recover_point (hash, signature, &point);

  if (r < 0)
    return r;
  point_address (&point, ret_address);
  return MOOSH_OK;
}

int
moosh_schnorr_sign (const MooshCurve *curve, const uint8_t secret[32], const uint8_t message[32],
                    const uint8_t aux[32], uint8_t ret_signature[64])
{
  secp256k1_keypair pair;
  uint8_t signature[64];
  int valid = secp256k1_keypair_create (context_of (curve), &pair, secret);

  moosh_declassify (&valid, sizeof valid);
  if (valid)
    {
      /* The second half of a key pair is the public key; signing branches on its parity. */
      moosh_declassify (pair.data + 32, sizeof pair.data - 32);
      valid = secp256k1_schnorrsig_sign32 (context_of (curve), signature, message, &pair, aux);
      moosh_declassify (&valid, sizeof valid);
    }
  moosh_wipe (&pair, sizeof pair);
  if (!valid)
    return MOOSH_E_CRYPTO;
  moosh_declassify (signature, sizeof signature);
  memcpy (ret_signature, signature, sizeof signature);
  return MOOSH_OK;
}

int
moosh_schnorr_verify (const uint8_t x_only[32], const uint8_t message[32],
                      const uint8_t signature[64])
{
  secp256k1_xonly_pubkey key;

  if (!secp256k1_xonly_pubkey_parse (secp256k1_context_static, &key, x_only)
      || !secp256k1_schnorrsig_verify (secp256k1_context_static, signature, message, 32, &key))
    return MOOSH_E_CRYPTO;
  return MOOSH_OK;
}

int
moosh_statement_sign (const MooshCurve *curve, const uint8_t secret[32], MooshSpan statement,
                      const uint8_t aux[32], uint8_t ret_signature[64])
{
  uint8_t digest[32];

  moosh_tagged_sha256 (MOOSH_STATEMENT_TAG, statement.ptr, statement.len, digest);
  return moosh_schnorr_sign (curve, secret, digest, aux, ret_signature);
}

int
moosh_statement_verify (const uint8_t author[33], MooshSpan statement, const uint8_t signature[64])
{
  uint8_t digest[32];

  moosh_tagged_sha256 (MOOSH_STATEMENT_TAG, statement.ptr, statement.len, digest);
  return moosh_schnorr_verify (author + 1, digest, signature);
}

int
moosh_ecdh (const uint8_t secret[32], const uint8_t theirs[33], uint8_t ret_shared[32])
{
  secp256k1_pubkey point;

  if (!secp256k1_ec_pubkey_parse (secp256k1_context_static, &point, theirs, 33))
    return MOOSH_E_CRYPTO;

  int valid = secp256k1_ecdh (secp256k1_context_static, ret_shared, &point, secret, NULL, NULL);
  moosh_declassify (&valid, sizeof valid);
  return valid ? MOOSH_OK : MOOSH_E_CRYPTO;
}
