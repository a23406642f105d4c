#include "core/hash/hash.h"
#include <sodium.h>
#include <string.h>

void
moosh_sha256 (const void *in, size_t len, uint8_t out[32])
{
  crypto_hash_sha256 (out, in, len);
}

void
moosh_hmac_sha256 (const void *key, size_t key_len, const void *in, size_t len, uint8_t out[32])
{
  crypto_auth_hmacsha256_state state;

  crypto_auth_hmacsha256_init (&state, key, key_len);
  crypto_auth_hmacsha256_update (&state, in, len);
  crypto_auth_hmacsha256_final (&state, out);
  moosh_wipe (&state, sizeof state);
}

int
moosh_hkdf_sha256 (MooshSpan salt, MooshSpan secret, MooshSpan context, uint8_t *out,
                   size_t out_len)
{
  static const uint8_t zero_salt[MOOSH_HASH_LEN];
  uint8_t key[MOOSH_HASH_LEN], block[MOOSH_HASH_LEN];
  crypto_auth_hmacsha256_state state;
  size_t done = 0;

  if (out_len > 255 * MOOSH_HASH_LEN)
    return MOOSH_E_LIMIT;
  if (salt.len == 0)
    salt = (MooshSpan){ zero_salt, sizeof zero_salt };
  moosh_hmac_sha256 (salt.ptr, salt.len, secret.ptr, secret.len, key);
  for (uint8_t counter = 1; done < out_len; counter++)
    {
      size_t part = out_len - done < MOOSH_HASH_LEN ? out_len - done : MOOSH_HASH_LEN;

      crypto_auth_hmacsha256_init (&state, key, sizeof key);
      if (counter > 1)
        crypto_auth_hmacsha256_update (&state, block, sizeof block);
      crypto_auth_hmacsha256_update (&state, context.ptr, context.len);
      crypto_auth_hmacsha256_update (&state, &counter, 1);
      crypto_auth_hmacsha256_final (&state, block);
      memcpy (out + done, block, part);
      done += part;
    }
  moosh_wipe (key, sizeof key);
  moosh_wipe (block, sizeof block);
  moosh_wipe (&state, sizeof state);
  return MOOSH_OK;
}

void
moosh_tagged_sha256 (const char *tag, const void *in, size_t len, uint8_t out[32])
{
  crypto_hash_sha256_state state;
  uint8_t prefix[MOOSH_HASH_LEN];

  crypto_hash_sha256 (prefix, (const uint8_t *)tag, strlen (tag));
  crypto_hash_sha256_init (&state);
  crypto_hash_sha256_update (&state, prefix, sizeof prefix);
  crypto_hash_sha256_update (&state, prefix, sizeof prefix);
  crypto_hash_sha256_update (&state, in, len);
  crypto_hash_sha256_final (&state, out);
}
