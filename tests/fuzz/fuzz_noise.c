/* Noise acts and frames as a stranger would send them.
 *
 * No fuzzer guesses a MAC, so the input is a script against a true partner: in each step it names a
 * length and bytes that are XORed over what the partner really sent. Zeros let the step pass, so
 * that the next one is reached too. */
#include "core/noise/cipher.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

typedef struct {
  const uint8_t *ptr;
  size_t len;
  bool worn; /* the frames come on a key that is about to be rotated */
} Script;

static void
check (bool ok)
{
  if (!ok)
    abort ();
}

static uint8_t
take (Script *script)
{
  if (script->len == 0)
    return 0;
  script->len--;
  return *script->ptr++;
}

/* `true_bytes`, spoilt as the script says, in memory of just its length. */
static uint8_t *
spoil (Script *script, const uint8_t *true_bytes, size_t true_len, size_t *ret_len)
{
  uint8_t how = take (script);
  size_t len = true_len + (how & 1) * (size_t)(how >> 1 & 7) - (how >> 4 & 1) * (size_t)(how >> 5);
  uint8_t *bytes = malloc (len > 0 ? len : 1);
  check (bytes != NULL && len <= true_len + 7);
  for (size_t i = 0; i < len; i++)
    bytes[i] = i < true_len ? true_bytes[i] : 0;
  for (uint8_t n = take (script) & 7; n > 0; n--)
    {
      size_t at = take (script);
      uint8_t flip = take (script);
      if (at < len)
        bytes[at] ^= flip;
    }
  *ret_len = len;
  return bytes;
}

static int
ecdh (const uint8_t public_key[33], uint8_t ret_secret[32], void *secret)
{
  return moosh_ecdh (secret, public_key, ret_secret);
}

static int
no_ecdh (const uint8_t public_key[33], uint8_t ret_secret[32], void *secret)
{
  (void)public_key, (void)ret_secret, (void)secret;
  return MOOSH_E_STATE;
}

/* The two ends; which of them is under test. Fails as init fails, for whatever the script gives it.
 */
static int
begin (Script *script, MooshNoise ends[2])
{
  static MooshCurve curve;
  static uint8_t secrets[2][32], keys[2][33], ephemerals[2][32];
  static bool ready;
  uint8_t odd = take (script), prologue[MOOSH_NOISE_PROLOGUE_MAX + 1] = { 0 };
  script->worn = (odd & 128) != 0;
  size_t prologue_len = odd & 16 ? take (script) % (sizeof prologue + 1) : 10;
  if (!ready)
    {
      moosh_curve_init (&curve, NULL);
      for (int i = 0; i < 2; i++)
        {
          memset (secrets[i], 0x11 * (i + 1), 32);
          memset (ephemerals[i], 0x12 + 0x10 * i, 32);
          check (moosh_key_public (&curve, secrets[i], keys[i]) == MOOSH_OK);
        }
      ready = true;
    }
  for (int i = 0; i < 2; i++)
    {
      uint8_t remote[33], own[33], ephemeral[32];
      memcpy (own, keys[i], 33);
      memcpy (remote, keys[1], 33);
      remote[0] ^= odd & 4; /* no point any more */
      if (i == 0 && (odd & 64) != 0)
        own[0] ^= 4; /* a partner that holds the MAC's key, and sends what is no point as its own */
      memcpy (ephemeral, ephemerals[i], 32);
      if (odd & 8)
        memset (ephemeral, 0, 32);
      MooshNoiseConfig config = { .initiator = i == 0,
                                  .prologue = { prologue, prologue_len },
                                  .static_key = own,
                                  .remote_key = i == 0 ? remote : NULL,
                                  .ephemeral = ephemeral,
                                  .ecdh = odd & 32 && i == (odd & 1) ? no_ecdh : ecdh,
                                  .ecdh_data = secrets[i] };
      int r = moosh_noise_init (&ends[i], &curve, &config);
      if (r < 0)
        return r;
    }
  return odd & 1; /* 0: the initiator is under test */
}

/* The handshake, with every act to the end under test spoilt. */
static bool
shake (Script *script, MooshNoise ends[2], int tested)
{
  uint8_t act[MOOSH_NOISE_ACT_MAX];
  for (int writer = 0; ends[writer].step != MOOSH_NOISE_DONE; writer = !writer)
    {
      MooshNoiseCipher a, b;
      size_t len = moosh_noise_act_len (&ends[writer]);
      check (moosh_noise_split (&ends[writer], &a, &b) == MOOSH_E_STATE);
      check (moosh_noise_write_act (&ends[!writer], act)
             == MOOSH_E_STATE); /* not its turn: no harm */
      if (writer == tested && (script->len > 0 && script->ptr[0] == 0xfe))
        {
          check (moosh_noise_read_act (&ends[tested], act, len) == MOOSH_E_STATE); /* out of turn */
          return false;
        }
      if (moosh_noise_write_act (&ends[writer], act) < 0)
        return false;
      if (writer == tested)
        {
          if (moosh_noise_read_act (&ends[!writer], act, len) < 0)
            return false;
          continue;
        }
      uint8_t *spoilt = spoil (script, act, len, &len);
      int r = moosh_noise_read_act (&ends[tested], spoilt, len);
      free (spoilt);
      check ((r < 0) == (ends[tested].step == MOOSH_NOISE_FAILED));
      if (r < 0)
        {
          check (moosh_noise_read_act (&ends[tested], act, len) == MOOSH_E_STATE);
          return false;
        }
    }
  return true;
}

/* So many true frames that the script's first ones meet the key's rotation, after 500 of them. */
static void
wear (MooshNoiseCipher *send, MooshNoiseCipher *receive)
{
  uint8_t frame[MOOSH_NOISE_OVERHEAD];
  size_t len;
  for (int i = 0; i < 499; i++)
    {
      check (moosh_noise_seal (send, NULL, 0, frame, sizeof frame) == MOOSH_OK);
      check (moosh_noise_open_header (receive, frame, MOOSH_NOISE_HEADER, &len) == MOOSH_OK);
      check (moosh_noise_open_body (receive, frame + MOOSH_NOISE_HEADER, MOOSH_NOISE_TAG, frame)
             == MOOSH_OK);
    }
}

static void
frames (Script *script, MooshNoiseCipher *send, MooshNoiseCipher *receive)
{
  uint8_t message[64] = { 0 }, frame[64 + MOOSH_NOISE_OVERHEAD];
  bool alive = true;
  check (moosh_noise_seal (send, message, MOOSH_NOISE_MESSAGE_MAX + 1, frame, SIZE_MAX)
         == MOOSH_E_LIMIT);
  if (script->worn)
    wear (send, receive);
  while (alive && script->len > 0)
    {
      size_t len = take (script) % sizeof message, got = 0, part_len;
      check (moosh_noise_seal (send, message, len, frame, len + MOOSH_NOISE_OVERHEAD - 1)
             == MOOSH_E_SPACE);
      check (moosh_noise_seal (send, message, len, frame, sizeof frame) == MOOSH_OK);
      uint8_t *part = spoil (script, frame, MOOSH_NOISE_HEADER, &part_len);
      alive = moosh_noise_open_header (receive, part, part_len, &got) == MOOSH_OK;
      check (!alive || got == len);
      free (part);
      if (!alive)
        break;
      part = spoil (script, frame + MOOSH_NOISE_HEADER, len + MOOSH_NOISE_TAG, &part_len);
      alive = moosh_noise_open_body (receive, part, part_len, part) == MOOSH_OK;
      check (!alive || memcmp (part, message, len) == 0);
      free (part);
    }
  if (!alive)
    {
      check (moosh_noise_open_header (receive, frame, MOOSH_NOISE_HEADER, &script->len)
             == MOOSH_E_STATE);
      check (moosh_noise_open_body (receive, frame, MOOSH_NOISE_TAG, frame) == MOOSH_E_STATE);
    }
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  Script script = { data, size, false };
  MooshNoise ends[2];
  MooshNoiseCipher ours[2], theirs[2];
  int tested = begin (&script, ends);
  if (tested < 0 || !shake (&script, ends, tested))
    return 0;
  check (moosh_noise_split (&ends[tested], &ours[0], &ours[1]) == MOOSH_OK);
  check (moosh_noise_split (&ends[!tested], &theirs[0], &theirs[1]) == MOOSH_OK);
  check (moosh_noise_act_len (&ends[tested]) == 0 && !moosh_noise_writes (&ends[tested]));
  frames (&script, &theirs[0], &ours[1]);
  for (int i = 0; i < 2; i++)
    {
      moosh_noise_cipher_clear (&ours[i]);
      moosh_noise_cipher_clear (&theirs[i]);
    }
  return 0;
}
