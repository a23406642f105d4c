/** Making a cipher from its keys: what the handshake and the tests of framing need. Private to this
 * room and its tests. */
#pragma once
#include "core/noise/noise.h"

/** A cipher that seals or opens with `key`; `ck` feeds its rotations. MOOSH_E_LIMIT: out of memory.
 */
int moosh_noise_cipher_init (MooshNoiseCipher *ret, const uint8_t key[32], const uint8_t ck[32],
                             bool seals);
