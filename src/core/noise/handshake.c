#include "core/hash/hash.h"
#include "core/noise/cipher.h"
#include <secp256k1.h>
#include <sodium.h>
#include <string.h>

/* Invariants: (1) h covers every byte sent or received so far, and is the associated data of every
 * tag; (2) a step is taken only after its tag was checked; (3) any failure wipes all secrets and is
 * final.
 *
 *   step   who writes   proves
 *   ACT1   initiator    it knows the responder's static key
 *   ACT2   responder    it holds its static key
 *   ACT3   initiator    its own static key, and that it holds it
 */
static const struct {
  size_t len;
  bool by_initiator;
} acts[] = {
  [MOOSH_NOISE_ACT1] = { MOOSH_NOISE_ACT_ONE, true },
  [MOOSH_NOISE_ACT2] = { MOOSH_NOISE_ACT_TWO, false },
  [MOOSH_NOISE_ACT3] = { MOOSH_NOISE_ACT_THREE, true },
};

enum { VERSION = 0, KEY_LEN = 33, SEALED_KEY_LEN = KEY_LEN + MOOSH_NOISE_TAG };

static const char protocol_name[] = "Noise_XK_secp256k1_ChaChaPoly_SHA256";

static bool
is_point (const uint8_t key[33])
{
  secp256k1_pubkey parsed;
  return secp256k1_ec_pubkey_parse (secp256k1_context_static, &parsed, key, KEY_LEN) == 1;
}

/* h = SHA-256(h ‖ in); what is mixed in is never longer than a prologue. */
static void
mix_hash (MooshNoise *noise, const void *in, size_t len)
{
  uint8_t joined[32 + MOOSH_NOISE_PROLOGUE_MAX];
  memcpy (joined, noise->h, 32);
  if (len > 0)
    memcpy (joined + 32, in, len);
  moosh_sha256 (joined, 32 + len, noise->h);
}

/* ck, temp_k = HKDF(ck, secret) */
static void
mix_key (MooshNoise *noise, uint8_t secret[32])
{
  uint8_t out[64];
  moosh_hkdf_sha256 ((MooshSpan){ noise->ck, 32 }, (MooshSpan){ secret, 32 },
                     (MooshSpan){ NULL, 0 }, out, 64);
  memcpy (noise->ck, out, 32);
  memcpy (noise->temp_k, out + 32, 32);
  moosh_wipe (out, sizeof out);
  moosh_wipe (secret, 32);
}

static void
nonce_of (uint8_t counter, uint8_t ret[12])
{
  memset (ret, 0, 12);
  ret[4] = counter; /* little-endian, and never above 1 in a handshake */
}

/* Seal under temp_k with h as associated data; then h covers the result. */
static void
seal_and_hash (MooshNoise *noise, uint8_t counter, const uint8_t *in, size_t len, uint8_t *out)
{
  uint8_t nonce[12];
  nonce_of (counter, nonce);
  crypto_aead_chacha20poly1305_ietf_encrypt (out, NULL, in, len, noise->h, 32, NULL, nonce,
                                             noise->temp_k);
  mix_hash (noise, out, len + MOOSH_NOISE_TAG);
}

static int
open_and_hash (MooshNoise *noise, uint8_t counter, const uint8_t *in, size_t len, uint8_t *out)
{
  uint8_t nonce[12];
  nonce_of (counter, nonce);
  if (crypto_aead_chacha20poly1305_ietf_decrypt (out, NULL, NULL, in, len, noise->h, 32, nonce,
                                                 noise->temp_k)
      != 0)
    return MOOSH_E_CRYPTO;
  mix_hash (noise, in, len);
  return MOOSH_OK;
}

static int
ecdh_ephemeral (MooshNoise *noise, const uint8_t theirs[33])
{
  uint8_t secret[32];
  int r = moosh_ecdh (noise->ephemeral_secret, theirs, secret);
  if (r == MOOSH_OK)
    mix_key (noise, secret);
  return r;
}

static int
ecdh_static (MooshNoise *noise, const uint8_t theirs[33])
{
  uint8_t secret[32];
  int r = noise->ecdh (theirs, secret, noise->ecdh_data);
  if (r == MOOSH_OK)
    mix_key (noise, secret);
  return r;
}

int
moosh_noise_init (MooshNoise *noise, const MooshCurve *curve, const MooshNoiseConfig *config)
{
  if (config->prologue.len > MOOSH_NOISE_PROLOGUE_MAX)
    return MOOSH_E_LIMIT;
  if (config->initiator && !is_point (config->remote_key))
    return MOOSH_E_CRYPTO;
  MooshNoise start = { .step = MOOSH_NOISE_ACT1,
                       .initiator = config->initiator,
                       .ecdh = config->ecdh,
                       .ecdh_data = config->ecdh_data };
  int r = moosh_key_public (curve, config->ephemeral, start.ephemeral_key);
  if (r < 0)
    return r;
  memcpy (start.ephemeral_secret, config->ephemeral, 32);
  memcpy (start.static_key, config->static_key, KEY_LEN);
  if (config->initiator)
    memcpy (start.remote_static, config->remote_key, KEY_LEN);
  moosh_sha256 (protocol_name, sizeof protocol_name - 1, start.h);
  memcpy (start.ck, start.h, 32);
  mix_hash (&start, config->prologue.ptr, config->prologue.len);
  mix_hash (&start, config->initiator ? start.remote_static : start.static_key, KEY_LEN);
  *noise = start;
  moosh_wipe (&start, sizeof start);
  return MOOSH_OK;
}

bool
moosh_noise_writes (const MooshNoise *noise)
{
  return noise->step < MOOSH_NOISE_DONE && acts[noise->step].by_initiator == noise->initiator;
}

size_t
moosh_noise_act_len (const MooshNoise *noise)
{
  return noise->step < MOOSH_NOISE_DONE ? acts[noise->step].len : 0;
}

static void
fail (MooshNoise *noise)
{
  moosh_noise_clear (noise);
  noise->step = MOOSH_NOISE_FAILED;
}

/* Acts one and two differ in the secret only: the initiator's one is es, the responder's ee. */
static int
write_ephemeral (MooshNoise *noise, uint8_t *out)
{
  memcpy (out + 1, noise->ephemeral_key, KEY_LEN);
  mix_hash (noise, noise->ephemeral_key, KEY_LEN);
  int r = ecdh_ephemeral (noise, noise->initiator ? noise->remote_static : noise->remote_ephemeral);
  if (r == MOOSH_OK)
    seal_and_hash (noise, 0, NULL, 0, out + 1 + KEY_LEN);
  return r;
}

static int
read_ephemeral (MooshNoise *noise, const uint8_t *in)
{
  if (!is_point (in + 1))
    return MOOSH_E_MALFORMED;
  memcpy (noise->remote_ephemeral, in + 1, KEY_LEN);
  mix_hash (noise, noise->remote_ephemeral, KEY_LEN);
  int r = noise->initiator ? ecdh_ephemeral (noise, noise->remote_ephemeral)
                           : ecdh_static (noise, noise->remote_ephemeral);
  return r < 0 ? r : open_and_hash (noise, 0, in + 1 + KEY_LEN, MOOSH_NOISE_TAG, NULL);
}

static int
write_static (MooshNoise *noise, uint8_t *out)
{
  seal_and_hash (noise, 1, noise->static_key, KEY_LEN, out + 1);
  int r = ecdh_static (noise, noise->remote_ephemeral);
  if (r == MOOSH_OK)
    seal_and_hash (noise, 0, NULL, 0, out + 1 + SEALED_KEY_LEN);
  return r;
}

static int
read_static (MooshNoise *noise, const uint8_t *in)
{
  int r = open_and_hash (noise, 1, in + 1, SEALED_KEY_LEN, noise->remote_static);
  if (r < 0)
    return r;
  if (!is_point (noise->remote_static))
    return MOOSH_E_MALFORMED;
  r = ecdh_ephemeral (noise, noise->remote_static);
  return r < 0 ? r : open_and_hash (noise, 0, in + 1 + SEALED_KEY_LEN, MOOSH_NOISE_TAG, NULL);
}

int
moosh_noise_write_act (MooshNoise *noise, uint8_t out[MOOSH_NOISE_ACT_MAX])
{
  if (!moosh_noise_writes (noise))
    return MOOSH_E_STATE;
  out[0] = VERSION;
  int r
      = noise->step == MOOSH_NOISE_ACT3 ? write_static (noise, out) : write_ephemeral (noise, out);
  if (r < 0)
    fail (noise);
  else
    noise->step++;
  return r;
}

static int
read_act (MooshNoise *noise, const uint8_t *in, size_t len)
{
  if (noise->step >= MOOSH_NOISE_DONE || moosh_noise_writes (noise))
    return MOOSH_E_STATE;
  if (len != acts[noise->step].len)
    return len < acts[noise->step].len ? MOOSH_E_SHORT : MOOSH_E_TRAILING;
#ifdef MOOSH_CANARY
  /* The planted bug of the fuzz targets' canary build: a version from the upper half reads past the
   * act. */
  if (in[0] >= 0x80)
    return ((volatile const uint8_t *)in)[len] == 0;
#endif
  if (in[0] != VERSION)
    return MOOSH_E_RANGE;
  return noise->step == MOOSH_NOISE_ACT3 ? read_static (noise, in) : read_ephemeral (noise, in);
}

int
moosh_noise_read_act (MooshNoise *noise, const void *ptr, size_t len)
{
  int r = read_act (noise, ptr, len);
  if (r < 0)
    fail (noise);
  else
    noise->step++;
  return r;
}

void
moosh_noise_clear (MooshNoise *noise)
{
  moosh_wipe (noise, sizeof *noise);
  noise->step = MOOSH_NOISE_FAILED;
}

int
moosh_noise_split (MooshNoise *noise, MooshNoiseCipher *ret_send, MooshNoiseCipher *ret_receive)
{
  if (noise->step != MOOSH_NOISE_DONE)
    return MOOSH_E_STATE;
  uint8_t keys[64]; /* initiator → responder, responder → initiator */
  moosh_hkdf_sha256 ((MooshSpan){ noise->ck, 32 }, (MooshSpan){ NULL, 0 }, (MooshSpan){ NULL, 0 },
                     keys, 64);
  MooshNoiseCipher send, receive;
  int r = moosh_noise_cipher_init (&send, keys + (noise->initiator ? 0 : 32), noise->ck, true);
  if (r == MOOSH_OK)
    {
      r = moosh_noise_cipher_init (&receive, keys + (noise->initiator ? 32 : 0), noise->ck, false);
      if (r < 0)
        moosh_noise_cipher_clear (&send);
    }
  moosh_wipe (keys, sizeof keys);
  moosh_noise_clear (noise);
  if (r < 0)
    return r;
  *ret_send = send;
  *ret_receive = receive;
  return MOOSH_OK;
}
