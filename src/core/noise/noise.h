/** Noise_XK_secp256k1_ChaChaPoly_SHA256 with the framing of BOLT#8.
 *
 * Source: Noise Protocol Framework rev. 34; Lightning BOLT #8 (acts, framing, key rotation every
 * 1000 uses of a key). The one difference is the prologue, which is a parameter: BOLT's is
 * "lightning".
 *
 *    initiator                       responder
 *    ---- act one, 50 bytes --->     e, es
 *    <--- act two, 50 bytes ----     e, ee
 *    ---- act three, 66 bytes ->     s, se
 *
 * Afterwards each direction has a cipher, and a message of 0–65535 bytes becomes a frame: its
 * sealed length (2 + 16 bytes), its sealed body (len + 16).
 *
 * The static key's Diffie-Hellman is a callback, because the key may live in another process.
 * Randomness is the caller's: one fresh ephemeral secret per handshake. */
#pragma once
#include "core/key/key.h"

#define MOOSH_NOISE_ACT_ONE      50
#define MOOSH_NOISE_ACT_TWO      50
#define MOOSH_NOISE_ACT_THREE    66
#define MOOSH_NOISE_ACT_MAX      66
#define MOOSH_NOISE_PROLOGUE_MAX 64
#define MOOSH_NOISE_MESSAGE_MAX  65535
#define MOOSH_NOISE_HEADER       18 /* sealed length */
#define MOOSH_NOISE_TAG          16
#define MOOSH_NOISE_OVERHEAD     (MOOSH_NOISE_HEADER + MOOSH_NOISE_TAG)
#define MOOSH_NOISE_ROTATE       1000 /* uses of one key: 500 messages */

/** SHA-256 of the compressed product of our static secret and `public_key` (a point: checked
 * before). 0, or a negative code that ends the handshake and is handed on. */
typedef int (*MooshNoiseEcdh) (const uint8_t public_key[33], uint8_t ret_secret[32],
                               void *ecdh_data);

typedef struct {
  bool initiator;
  MooshSpan prologue;        /* at most MOOSH_NOISE_PROLOGUE_MAX bytes */
  const uint8_t *static_key; /* ours, 33 bytes, compressed */
  const uint8_t *remote_key; /* theirs, 33 bytes; initiator only */
  const uint8_t *ephemeral;  /* 32 secret random bytes of this handshake alone */
  MooshNoiseEcdh ecdh;
  void *ecdh_data;
} MooshNoiseConfig;

/** What happens next in a handshake. After FAILED or DONE nothing does; the secrets in it are
 * wiped. */
typedef enum {
  MOOSH_NOISE_ACT1,
  MOOSH_NOISE_ACT2,
  MOOSH_NOISE_ACT3,
  MOOSH_NOISE_DONE,
  MOOSH_NOISE_FAILED,
} MooshNoiseStep;

/** A handshake under way. Plain memory: dropping it needs moosh_noise_clear only to wipe secrets.
 */
typedef struct {
  MooshNoiseStep step;
  bool initiator;
  MooshNoiseEcdh ecdh;
  void *ecdh_data;
  uint8_t static_key[33];
  uint8_t remote_static[33]; /* initiator: from the start; responder: proven at DONE */
  uint8_t remote_ephemeral[33];
  uint8_t ephemeral_secret[32];
  uint8_t ephemeral_key[33];
  uint8_t h[32], ck[32], temp_k[32];
} MooshNoise;

/** Start. MOOSH_E_CRYPTO: the ephemeral is no secret key, or remote_key no point; MOOSH_E_LIMIT:
 * the prologue. */
int moosh_noise_init (MooshNoise *noise, const MooshCurve *curve, const MooshNoiseConfig *config);

/** Is it our turn to write? */
bool moosh_noise_writes (const MooshNoise *noise);

/** Length of the act that comes next, in either direction; 0 at the end. */
size_t moosh_noise_act_len (const MooshNoise *noise);

/** Write our next act: exactly moosh_noise_act_len bytes. MOOSH_E_STATE: not our turn; what the
 * ECDH returned. */
int moosh_noise_write_act (MooshNoise *noise, uint8_t out[MOOSH_NOISE_ACT_MAX]);

/** Read their next act. Every error ends the handshake: MOOSH_E_STATE: not their turn;
 * MOOSH_E_SHORT, MOOSH_E_TRAILING: not of the act's length; MOOSH_E_RANGE: unknown version;
 * MOOSH_E_MALFORMED: a key that is no point; MOOSH_E_CRYPTO: a tag that does not fit; what the ECDH
 * returned. */
int moosh_noise_read_act (MooshNoise *noise, const void *ptr, size_t len);

/** Wipe. */
void moosh_noise_clear (MooshNoise *noise);

/** One direction of a session. Holds a context of OpenSSL's: end with moosh_noise_cipher_clear. */
typedef struct {
  struct evp_cipher_ctx_st *aead;
  uint8_t key[32];
  uint8_t ck[32];
  uint32_t uses;     /* of key; < MOOSH_NOISE_ROTATE */
  uint32_t body_len; /* opening: length of the body that must come next */
  bool body_next;
  bool failed; /* for good */
} MooshNoiseCipher;

/** At DONE, once: make the two ciphers and wipe the handshake. MOOSH_E_STATE; MOOSH_E_LIMIT: out of
 * memory. */
int moosh_noise_split (MooshNoise *noise, MooshNoiseCipher *ret_send,
                       MooshNoiseCipher *ret_receive);

/** Wipe and release. A zeroed cipher is fine. */
void moosh_noise_cipher_clear (MooshNoiseCipher *cipher);

/** Seal one message into a frame of len + MOOSH_NOISE_OVERHEAD bytes at `out`. `message` may be out
 * + MOOSH_NOISE_HEADER (in place), else it must not overlap. MOOSH_E_LIMIT: longer than
 * MOOSH_NOISE_MESSAGE_MAX; MOOSH_E_SPACE: `size` is too small; MOOSH_E_STATE: failed before. */
int moosh_noise_seal (MooshNoiseCipher *cipher, const void *message, size_t len, uint8_t *out,
                      size_t size);

/** Open a frame in two steps: its header gives the message's length, then the body (of that length
 * + MOOSH_NOISE_TAG) gives the message. `out` may be `ptr`. MOOSH_E_STATE: out of order or failed
 * before; MOOSH_E_SHORT, MOOSH_E_TRAILING: not of that length; MOOSH_E_CRYPTO: forged. After any of
 * these the cipher is dead. */
int moosh_noise_open_header (MooshNoiseCipher *cipher, const void *ptr, size_t len,
                             size_t *ret_message_len);
int moosh_noise_open_body (MooshNoiseCipher *cipher, const void *ptr, size_t len, uint8_t *out);
