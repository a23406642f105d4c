#include "core/key/keystore.h"
#include "core/hash/hash.h"
#include "core/key/declassify.h"
#include <openssl/evp.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

int
moosh_keystore_check (const MooshKeystore *k)
{
  if (k->salt_len == 0 || k->salt_len > sizeof k->salt)
    return MOOSH_E_RANGE;
  if (k->kdf == MOOSH_KDF_PBKDF2)
    return k->rounds == 0                          ? MOOSH_E_RANGE
           : k->rounds > MOOSH_KEYSTORE_ROUNDS_MAX ? MOOSH_E_LIMIT
                                                   : MOOSH_OK;
  if (k->n < 2 || (k->n & (k->n - 1)) != 0 || k->r == 0 || k->p == 0)
    return MOOSH_E_RANGE; /* RFC 7914 §6 */
  if (k->r > 1024 || k->p > 64 || k->n > MOOSH_KEYSTORE_MEMORY_MAX / 128 / k->r)
    return MOOSH_E_LIMIT;
  return MOOSH_OK;
}

/* The 32 derived bytes: the first half encrypts, the second authenticates. */
static int
stretch (const MooshKeystore *k, const void *passphrase, size_t len, uint8_t ret_key[32])
{
  int done, r = moosh_keystore_check (k);

  if (r < 0)
    return r;
  if (k->kdf == MOOSH_KDF_SCRYPT)
    /* libsodium's, because OpenSSL refuses N ≥ 2^(16·r), which the format's own example has. */
    done = crypto_pwhash_scryptsalsa208sha256_ll (passphrase, len, k->salt, k->salt_len, k->n, k->r,
                                                  k->p, ret_key, 32)
           == 0;
  else
    done = PKCS5_PBKDF2_HMAC (passphrase, (int)len, k->salt, (int)k->salt_len, (int)k->rounds,
                              EVP_sha256 (), 32, ret_key);
  /* scrypt reads memory at places that depend on the passphrase, by design: what memcheck can watch
   * begins here. */
  moosh_classify (ret_key, 32);
  return done == 1 ? MOOSH_OK : MOOSH_E_LIMIT; /* the parameters are fine: it was memory */
}

/* AES-128 in counter mode over 32 bytes; its own inverse. */
static int
aes_ctr (const uint8_t key[16], const uint8_t iv[16], const uint8_t in[32], uint8_t ret_out[32])
{
  EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new ();
  int len = 0;
  int done = context != NULL && EVP_EncryptInit_ex (context, EVP_aes_128_ctr (), NULL, key, iv) == 1
             && EVP_EncryptUpdate (context, ret_out, &len, in, 32) == 1 && len == 32;

  EVP_CIPHER_CTX_free (context); /* wipes its key schedule */
  return done ? MOOSH_OK : MOOSH_E_CRYPTO;
}

static void
make_mac (const uint8_t key[32], const uint8_t ciphertext[32], uint8_t ret_mac[32])
{
  MooshKeccak256 hash;

  moosh_keccak256_init (&hash);
  moosh_keccak256_update (&hash, key + 16, 16);
  moosh_keccak256_update (&hash, ciphertext, 32);
  moosh_keccak256_final (&hash, ret_mac);
  moosh_wipe (&hash, sizeof hash);
}

int
moosh_keystore_seal (MooshKeystore *keystore, const void *passphrase, size_t passphrase_len,
                     const uint8_t secret[32])
{
  uint8_t key[32];
  int r = stretch (keystore, passphrase, passphrase_len, key);

  if (r == MOOSH_OK)
    r = aes_ctr (key, keystore->iv, secret, keystore->ciphertext);
  if (r == MOOSH_OK)
    {
      moosh_declassify (keystore->ciphertext, 32);
      make_mac (key, keystore->ciphertext, keystore->mac);
      moosh_declassify (keystore->mac, 32);
    }
  moosh_wipe (key, sizeof key);
  return r;
}

int
moosh_keystore_open (const MooshKeystore *keystore, const void *passphrase, size_t passphrase_len,
                     uint8_t ret_secret[32])
{
  uint8_t key[32], mac[32];

  memset (ret_secret, 0, 32);
  int r = stretch (keystore, passphrase, passphrase_len, key);
  if (r == MOOSH_OK)
    {
      make_mac (key, keystore->ciphertext, mac);
      int equal = moosh_ct_equal (mac, keystore->mac, 32);
      moosh_declassify (&equal, sizeof equal);
      r = equal ? aes_ctr (key, keystore->iv, keystore->ciphertext, ret_secret) : MOOSH_E_CRYPTO;
    }
  moosh_wipe (key, sizeof key);
  moosh_wipe (mac, sizeof mac);
  return r;
}

/* "8-4-4-4-12" of a version 4 UUID (RFC 4122 §4.4). */
static void
format_uuid (const uint8_t random[16], char ret_text[37])
{
  uint8_t u[16];
  char hex[33];

  memcpy (u, random, 16);
  u[6] = (uint8_t)((u[6] & 0x0f) | 0x40);
  u[8] = (uint8_t)((u[8] & 0x3f) | 0x80);
  moosh_hex_encode (u, 16, hex);
  snprintf (ret_text, 37, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16, hex + 20);
}

void
moosh_keystore_write (const MooshKeystore *keystore, const uint8_t uuid[16],
                      char ret_text[MOOSH_KEYSTORE_TEXT_MAX])
{
  char id[37], address[41], iv[33], ciphertext[65], salt[129], mac[65], params[256];

  format_uuid (uuid, id);
  moosh_hex_encode (keystore->address, 20, address);
  moosh_hex_encode (keystore->iv, 16, iv);
  moosh_hex_encode (keystore->ciphertext, 32, ciphertext);
  moosh_hex_encode (keystore->salt, keystore->salt_len, salt);
  moosh_hex_encode (keystore->mac, 32, mac);
  if (keystore->kdf == MOOSH_KDF_SCRYPT)
    snprintf (
        params, sizeof params,
        "\"scrypt\",\"kdfparams\":{\"dklen\":32,\"n\":%llu,\"p\":%u,\"r\":%u,\"salt\":\"%s\"}",
        (unsigned long long)keystore->n, keystore->p, keystore->r, salt);
  else
    snprintf (
        params, sizeof params,
        "\"pbkdf2\",\"kdfparams\":{\"c\":%u,\"dklen\":32,\"prf\":\"hmac-sha256\",\"salt\":\"%s\"}",
        keystore->rounds, salt);

  snprintf (ret_text, MOOSH_KEYSTORE_TEXT_MAX,
            "{%s%s%s\"crypto\":{\"cipher\":\"aes-128-ctr\",\"cipherparams\":{\"iv\":\"%s\"},"
            "\"ciphertext\":\"%s\",\"kdf\":%s,\"mac\":\"%s\"},\"id\":\"%s\",\"version\":3}\n",
            keystore->has_address ? "\"address\":\"" : "", keystore->has_address ? address : "",
            keystore->has_address ? "\"," : "", iv, ciphertext, params, mac, id);
}
