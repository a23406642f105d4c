#include "core/key/bip32.h"
#include "core/hash/hash.h"
#include "core/key/declassify.h"
#include <secp256k1.h>
#include <sodium.h>
#include <string.h>

/* HMAC-SHA-512 split in two: what every step of the tree is made of. */
static void
derive (const uint8_t *key, size_t key_len, const uint8_t *in, size_t len, uint8_t ret_left[32],
        uint8_t ret_right[32])
{
  crypto_auth_hmacsha512_state state;
  uint8_t both[64];

  crypto_auth_hmacsha512_init (&state, key, key_len);
  crypto_auth_hmacsha512_update (&state, in, len);
  crypto_auth_hmacsha512_final (&state, both);
  memcpy (ret_left, both, 32);
  memcpy (ret_right, both + 32, 32);
  moosh_wipe (both, sizeof both);
  moosh_wipe (&state, sizeof state);
}

int
moosh_hd_master (const uint8_t *seed, size_t len, MooshHdKey *ret)
{
  static const uint8_t salt[] = "Bitcoin seed";

  if (len < 16 || len > 64)
    return MOOSH_E_RANGE;
  memset (ret, 0, sizeof *ret);
  derive (salt, sizeof salt - 1, seed, len, ret->secret, ret->chain);
  return moosh_key_check (ret->secret);
}

int
moosh_hd_child (const MooshCurve *curve, const MooshHdKey *parent, uint32_t index, MooshHdKey *ret)
{
  uint8_t in[37] = { 0 }, public_key[33], left[32];
  MooshHdKey child = { .depth = (uint8_t)(parent->depth + 1), .index = index };

  if (parent->depth == UINT8_MAX)
    return MOOSH_E_LIMIT;
  int r = moosh_key_public (curve, parent->secret, public_key);
  if (r < 0)
    return r;

  if (index >= MOOSH_HD_HARDENED)
    memcpy (in + 1, parent->secret, 32);
  else
    memcpy (in, public_key, 33);
  moosh_put_be32 (in + 33, index);
  derive (parent->chain, 32, in, sizeof in, left, child.chain);
  memcpy (child.secret, parent->secret, 32);

  int valid = secp256k1_ec_seckey_tweak_add (secp256k1_context_static, child.secret, left);
  moosh_declassify (&valid, sizeof valid);
  moosh_wipe (in, sizeof in);
  moosh_wipe (left, sizeof left);
  if (valid)
    *ret = child;
  moosh_wipe (&child, sizeof child);
  return valid ? MOOSH_OK : MOOSH_E_CRYPTO;
}

/* One level of a path: digits and a hardening mark. `*at` moves behind it. */
static int
read_level (const char **at, uint32_t *ret)
{
  uint32_t value = 0;
  const char *p = *at;

  if (*p < '0' || *p > '9')
    return MOOSH_E_MALFORMED;
  for (; *p >= '0' && *p <= '9'; p++)
    {
      uint32_t digit = (uint32_t)(*p - '0');
      if (value > (MOOSH_HD_HARDENED - 1 - digit) / 10)
        return MOOSH_E_RANGE;
      value = value * 10 + digit;
    }
  if (*p == '\'' || *p == 'h')
    {
      value |= MOOSH_HD_HARDENED;
      p++;
    }
  *at = p;
  *ret = value;
  return MOOSH_OK;
}

/* The levels of `path`, or a negative code. */
static int
read_path (const char *path, uint32_t ret_levels[MOOSH_HD_PATH_MAX])
{
  int levels = 0;

  if (*path++ != 'm')
    return MOOSH_E_MALFORMED;
  while (*path == '/')
    {
      path++;
      if (levels == MOOSH_HD_PATH_MAX)
        return MOOSH_E_LIMIT;
      int r = read_level (&path, &ret_levels[levels++]);
      if (r < 0)
        return r;
    }
  return *path == '\0' ? levels : MOOSH_E_MALFORMED;
}

int
moosh_hd_path (const MooshCurve *curve, const MooshHdKey *master, const char *path, MooshHdKey *ret)
{
  uint32_t levels[MOOSH_HD_PATH_MAX];
  MooshHdKey key = *master;
  int r = read_path (path, levels), count = r;

  for (int i = 0; r >= 0 && i < count; i++)
    r = moosh_hd_child (curve, &key, levels[i], &key);
  if (r >= 0)
    *ret = key;
  moosh_wipe (&key, sizeof key);
  return r < 0 ? r : MOOSH_OK;
}

/* Walk fixed levels from a BIP-39 seed. */
static int
secret_at (const MooshCurve *curve, const uint8_t seed[64], const uint32_t *levels, size_t count,
           uint8_t ret_secret[32])
{
  MooshHdKey key;
  int r = moosh_hd_master (seed, 64, &key);

  for (size_t i = 0; r == MOOSH_OK && i < count; i++)
    r = moosh_hd_child (curve, &key, levels[i], &key);
  if (r == MOOSH_OK)
    memcpy (ret_secret, key.secret, 32);
  moosh_wipe (&key, sizeof key);
  return r;
}

int
moosh_wallet_secret (const MooshCurve *curve, const uint8_t seed[64], uint32_t i,
                     uint8_t ret_secret[32])
{
  const uint32_t levels[]
      = { 44 | MOOSH_HD_HARDENED, 60 | MOOSH_HD_HARDENED, MOOSH_HD_HARDENED, 0, i };

  return secret_at (curve, seed, levels, 5, ret_secret);
}

int
moosh_node_secret (const MooshCurve *curve, const uint8_t seed[64], uint32_t i,
                   uint8_t ret_secret[32])
{
  const uint32_t levels[] = { 28015 | MOOSH_HD_HARDENED, MOOSH_HD_HARDENED, i | MOOSH_HD_HARDENED };

  return secret_at (curve, seed, levels, 3, ret_secret);
}
