/** BIP-39: a secret as 12 to 24 English words, and the words as a seed.
 *
 * Which words they are never decides a branch or an address: tables are scanned whole. What is not
 * hidden is how many words and how many letters there are in all. */
#pragma once
#include "core/bytes/bytes.h"

#define MOOSH_MNEMONIC_WORDS_MAX 24
#define MOOSH_MNEMONIC_MAX       (MOOSH_MNEMONIC_WORDS_MAX * 9) /* longest text with its NUL */
#define MOOSH_BIP39_SEED_LEN     64

/** The English list: 2048 words of 3 to 8 letters, padded with NULs, sorted. */
extern const char moosh_bip39_words[2048][8];

/** The words for `len` bytes of entropy (16, 20, 24, 28 or 32), with one space between,
 * NUL-terminated and padded with NULs. MOOSH_E_RANGE: another length. */
int moosh_mnemonic_from_entropy (const uint8_t *entropy, size_t len,
                                 char ret_text[MOOSH_MNEMONIC_MAX]);

/** The entropy behind 12, 15, 18, 21 or 24 lower-case words with one space between; `len` counts
 * the characters. MOOSH_E_MALFORMED: a word that is not in the list, or other spacing;
 * MOOSH_E_RANGE: another number of words; MOOSH_E_CRYPTO: the checksum does not fit (a typing
 * error). On failure the results are zero. */
int moosh_mnemonic_to_entropy (const char *text, size_t len, uint8_t ret_entropy[32],
                               size_t *ret_len);

/** The 64-byte seed: PBKDF2-HMAC-SHA-512, 2048 rounds, salt "mnemonic" ‖ passphrase. The words are
 * not checked here. `passphrase` ("" for none) must be NFKD already; ASCII is. MOOSH_E_LIMIT:
 * longer than 256 bytes. */
int moosh_mnemonic_seed (const char *text, size_t len, const char *passphrase,
                         uint8_t ret_seed[64]);
