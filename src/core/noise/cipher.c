#include "core/noise/cipher.h"
#include "core/hash/hash.h"
#include <openssl/evp.h>
#include <sodium.h>
#include <string.h>

enum { LENGTH_LEN = 2 };

int
moosh_noise_cipher_init (MooshNoiseCipher *ret, const uint8_t key[32], const uint8_t ck[32],
                         bool seals)
{
  MooshNoiseCipher cipher = { .aead = EVP_CIPHER_CTX_new () };
  if (cipher.aead == NULL)
    return MOOSH_E_LIMIT;
  if (EVP_CipherInit_ex (cipher.aead, EVP_chacha20_poly1305 (), NULL, key, NULL, seals) != 1)
    {
      EVP_CIPHER_CTX_free (cipher.aead);
      return MOOSH_E_LIMIT;
    }
  memcpy (cipher.key, key, 32);
  memcpy (cipher.ck, ck, 32);
  *ret = cipher;
  moosh_wipe (&cipher, sizeof cipher);
  return MOOSH_OK;
}

void
moosh_noise_cipher_clear (MooshNoiseCipher *cipher)
{
  EVP_CIPHER_CTX_free (cipher->aead);
  moosh_wipe (cipher, sizeof *cipher);
  cipher->failed = true;
}

/* BOLT#8: ck, key = HKDF(ck, key); the count of uses starts again. */
static int
rotate (MooshNoiseCipher *cipher)
{
  uint8_t out[64];
  moosh_hkdf_sha256 ((MooshSpan){ cipher->ck, 32 }, (MooshSpan){ cipher->key, 32 },
                     (MooshSpan){ NULL, 0 }, out, 64);
  memcpy (cipher->ck, out, 32);
  memcpy (cipher->key, out + 32, 32);
  moosh_wipe (out, sizeof out);
  cipher->uses = 0;
  return EVP_CipherInit_ex (cipher->aead, NULL, NULL, cipher->key, NULL, -1) == 1 ? MOOSH_OK
                                                                                  : MOOSH_E_CRYPTO;
}

/* Take the next nonce: 64 bits little-endian behind 32 zero bits; `uses` is below 1000. */
static void
take_nonce (MooshNoiseCipher *cipher, uint8_t ret[12])
{
  memset (ret, 0, 12);
  ret[4] = (uint8_t)cipher->uses;
  ret[5] = (uint8_t)(cipher->uses >> 8);
  cipher->uses++;
}

/* A frame's two bytes of length go through libsodium, for which a small piece costs half of what
 * OpenSSL's calls around it cost; bodies go through OpenSSL, which is twice as fast on long
 * ones. */
static int
seal_length (MooshNoiseCipher *cipher, size_t len, uint8_t out[MOOSH_NOISE_HEADER])
{
  uint8_t nonce[12], length[LENGTH_LEN];
  take_nonce (cipher, nonce);
  moosh_put_be16 (length, (uint16_t)len);
  crypto_aead_chacha20poly1305_ietf_encrypt (out, NULL, length, sizeof length, NULL, 0, NULL, nonce,
                                             cipher->key);
  return cipher->uses == MOOSH_NOISE_ROTATE ? rotate (cipher) : MOOSH_OK;
}

static int
open_length (MooshNoiseCipher *cipher, const uint8_t in[MOOSH_NOISE_HEADER], uint32_t *ret)
{
  uint8_t nonce[12], length[LENGTH_LEN];
  take_nonce (cipher, nonce);
  if (crypto_aead_chacha20poly1305_ietf_decrypt (length, NULL, NULL, in, MOOSH_NOISE_HEADER, NULL,
                                                 0, nonce, cipher->key)
      != 0)
    return MOOSH_E_CRYPTO;
  *ret = moosh_get_be16 (length);
  return cipher->uses == MOOSH_NOISE_ROTATE ? rotate (cipher) : MOOSH_OK;
}

static int
seal_body (MooshNoiseCipher *cipher, const uint8_t *in, size_t len, uint8_t *out)
{
  int n = 0, end = 0;
  uint8_t nonce[12];
  take_nonce (cipher, nonce);
  if (EVP_CipherInit_ex (cipher->aead, NULL, NULL, NULL, nonce, -1) != 1
      || (len > 0 && EVP_EncryptUpdate (cipher->aead, out, &n, in, (int)len) != 1)
      || EVP_EncryptFinal_ex (cipher->aead, out + n, &end) != 1
      || EVP_CIPHER_CTX_ctrl (cipher->aead, EVP_CTRL_AEAD_GET_TAG, MOOSH_NOISE_TAG, out + len) != 1)
    return MOOSH_E_CRYPTO;
  return cipher->uses == MOOSH_NOISE_ROTATE ? rotate (cipher) : MOOSH_OK;
}

/* `in` is len bytes and a tag. */
static int
open_sealed (MooshNoiseCipher *cipher, const uint8_t *in, size_t len, uint8_t *out)
{
  int n = 0, end = 0;
  uint8_t nonce[12], tag[MOOSH_NOISE_TAG], none[1];
  memcpy (tag, in + len, sizeof tag); /* `out` may be `in` */
  take_nonce (cipher, nonce);
  if (EVP_CipherInit_ex (cipher->aead, NULL, NULL, NULL, nonce, -1) != 1
      || EVP_CIPHER_CTX_ctrl (cipher->aead, EVP_CTRL_AEAD_SET_TAG, MOOSH_NOISE_TAG, tag) != 1
      || (len > 0 && EVP_DecryptUpdate (cipher->aead, out, &n, in, (int)len) != 1)
      || EVP_DecryptFinal_ex (cipher->aead, len > 0 ? out + n : none, &end) != 1)
    return MOOSH_E_CRYPTO;
  return cipher->uses == MOOSH_NOISE_ROTATE ? rotate (cipher) : MOOSH_OK;
}

int
moosh_noise_seal (MooshNoiseCipher *cipher, const void *message, size_t len, uint8_t *out,
                  size_t size)
{
  if (cipher->failed)
    return MOOSH_E_STATE;
  if (len > MOOSH_NOISE_MESSAGE_MAX)
    return MOOSH_E_LIMIT;
  if (size < len + MOOSH_NOISE_OVERHEAD)
    return MOOSH_E_SPACE;
  int r = seal_length (cipher, len, out);
  if (r == MOOSH_OK)
    r = seal_body (cipher, message, len, out + MOOSH_NOISE_HEADER);
  cipher->failed = r < 0;
  return r;
}

static int
open_header (MooshNoiseCipher *cipher, const void *ptr, size_t len, size_t *ret_message_len)
{
  if (cipher->failed || cipher->body_next)
    return MOOSH_E_STATE;
  if (len != MOOSH_NOISE_HEADER)
    return len < MOOSH_NOISE_HEADER ? MOOSH_E_SHORT : MOOSH_E_TRAILING;
  int r = open_length (cipher, ptr, &cipher->body_len);
  if (r < 0)
    return r;
  cipher->body_next = true;
  *ret_message_len = cipher->body_len;
  return MOOSH_OK;
}

int
moosh_noise_open_header (MooshNoiseCipher *cipher, const void *ptr, size_t len,
                         size_t *ret_message_len)
{
  int r = open_header (cipher, ptr, len, ret_message_len);
  cipher->failed |= r < 0;
  return r;
}

static int
open_body (MooshNoiseCipher *cipher, const void *ptr, size_t len, uint8_t *out)
{
  if (cipher->failed || !cipher->body_next)
    return MOOSH_E_STATE;
  size_t want = (size_t)cipher->body_len + MOOSH_NOISE_TAG;
  if (len != want)
    return len < want ? MOOSH_E_SHORT : MOOSH_E_TRAILING;
  cipher->body_next = false;
  return open_sealed (cipher, ptr, cipher->body_len, out);
}

int
moosh_noise_open_body (MooshNoiseCipher *cipher, const void *ptr, size_t len, uint8_t *out)
{
  int r = open_body (cipher, ptr, len, out);
  cipher->failed |= r < 0;
  return r;
}
