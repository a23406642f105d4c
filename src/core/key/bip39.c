#include "core/key/bip39.h"
#include "core/hash/hash.h"
#include "core/key/declassify.h"
#include <assert.h>
#include <openssl/evp.h>
#include <string.h>

static_assert (sizeof moosh_bip39_words == 2048 * 8, "eight letters a word, as one 64-bit load");

/* The words of a mnemonic, one a row, padded with NULs: the shape in which positions are public. */
typedef struct {
  uint8_t cell[MOOSH_MNEMONIC_WORDS_MAX][8];
} Grid;

/* All ones when a == b, else zero; a and b below 2^31. */
static uint32_t
mask_eq (uint32_t a, uint32_t b)
{
  uint32_t x = a ^ b;

  return (uint32_t)0 - ((x - 1) >> 31);
}

/* All ones when a < b, else zero; a and b below 2^31. */
static uint32_t
mask_less (uint32_t a, uint32_t b)
{
  return (uint32_t)0 - ((a - b) >> 31);
}

static uint64_t
word_at (const void *eight)
{
  uint64_t word;

  memcpy (&word, eight, sizeof word);
  return word;
}

static void
select_word (uint32_t index, uint8_t ret_row[8])
{
  uint64_t chosen = 0;

  for (uint32_t i = 0; i < 2048; i++)
    {
      uint32_t m = mask_eq (i, index);
      chosen |= word_at (moosh_bip39_words[i]) & ((uint64_t)m << 32 | m);
    }
  memcpy (ret_row, &chosen, sizeof chosen);
}

/* The row's place in the list; all ones in `ret_bad` when it has none. */
static uint32_t
find_word (const uint8_t row[8], uint32_t *ret_bad)
{
  uint64_t wanted = word_at (row);
  uint32_t index = 0, found = 0;

  for (uint32_t i = 0; i < 2048; i++)
    {
      uint64_t x = word_at (moosh_bip39_words[i]) ^ wanted;
      uint32_t folded = (uint32_t)(x >> 32 | x);
      uint32_t m = mask_eq ((folded >> 16 | folded) & 0xffff, 0);
      index |= i & m;
      found |= m;
    }
  *ret_bad |= ~found;
  return index;
}

/* Put `letter` at the secret position `at` of the text when `on` is all ones. */
static void
put_letter (char text[MOOSH_MNEMONIC_MAX], uint32_t at, uint32_t letter, uint32_t on)
{
  for (uint32_t i = 0; i < MOOSH_MNEMONIC_MAX; i++)
    text[i] = (char)((uint32_t)text[i] | (letter & on & mask_eq (i, at)));
}

static void
grid_to_text (const Grid *grid, size_t words, char text[MOOSH_MNEMONIC_MAX])
{
  uint32_t at = 0;

  memset (text, 0, MOOSH_MNEMONIC_MAX);
  for (size_t w = 0; w < words; w++)
    {
      if (w > 0)
        put_letter (text, at++, ' ', UINT32_MAX);
      for (size_t c = 0; c < 8; c++)
        {
          uint32_t on = ~mask_eq (grid->cell[w][c], 0);
          put_letter (text, at, grid->cell[w][c], on);
          at += on & 1;
        }
    }
}

/* The inverse: rows of letters. All ones in `ret_bad` when the text is not words with one space
 * between. */
static size_t
text_to_grid (const char *text, size_t len, Grid *ret, uint32_t *ret_bad)
{
  uint32_t row = 0, column = 0, bad = 0;

  memset (ret, 0, sizeof *ret);
  for (size_t i = 0; i < len; i++)
    {
      uint32_t letter = (uint8_t)text[i];
      uint32_t space = mask_eq (letter, ' ');
      uint32_t lower = mask_less ('a' - 1, letter) & mask_less (letter, 'z' + 1);

      bad |= ~(space | lower) | (space & mask_eq (column, 0)) | (lower & mask_less (7, column));
      for (uint32_t w = 0; w < MOOSH_MNEMONIC_WORDS_MAX; w++)
        for (uint32_t c = 0; c < 8; c++)
          ret->cell[w][c] |= (uint8_t)(letter & lower & mask_eq (w, row) & mask_eq (c, column));
      column = (column + 1) & lower;
      row += space & 1;
    }
  *ret_bad = bad | mask_eq (column, 0);
  moosh_declassify (&row, sizeof row); /* how many words there are is public */
  return row + 1;
}

int
moosh_mnemonic_from_entropy (const uint8_t *entropy, size_t len, char ret_text[MOOSH_MNEMONIC_MAX])
{
  uint8_t bits[33], digest[32];
  size_t words = len * 3 / 4;
  Grid grid;

  if (len < 16 || len > 32 || len % 4 != 0)
    return MOOSH_E_RANGE;

  moosh_sha256 (entropy, len, digest);
  memcpy (bits, entropy, len);
  bits[len] = digest[0]; /* the checksum is its first len / 4 bits; no word reads further */

  memset (&grid, 0, sizeof grid);
  for (size_t w = 0; w < words; w++)
    {
      uint32_t index = 0;
      for (size_t b = w * 11; b < w * 11 + 11; b++)
        index = index << 1 | (bits[b / 8] >> (7 - b % 8) & 1);
      select_word (index, grid.cell[w]);
    }
  grid_to_text (&grid, words, ret_text);

  moosh_wipe (bits, sizeof bits);
  moosh_wipe (digest, sizeof digest);
  moosh_wipe (&grid, sizeof grid);
  return MOOSH_OK;
}

/* Eleven bits a word, most significant first; `bits` is zero on entry. */
static void
grid_to_bits (const Grid *grid, size_t words, uint8_t bits[33], uint32_t *ret_bad)
{
  for (size_t w = 0; w < words; w++)
    {
      uint32_t index = find_word (grid->cell[w], ret_bad);
      for (size_t k = 0; k < 11; k++)
        {
          size_t b = w * 11 + k;
          bits[b / 8] = (uint8_t)(bits[b / 8] | (index >> (10 - k) & 1) << (7 - b % 8));
        }
      moosh_wipe (&index, sizeof index);
    }
}

int
moosh_mnemonic_to_entropy (const char *text, size_t len, uint8_t ret_entropy[32], size_t *ret_len)
{
  uint8_t bits[33] = { 0 }, digest[32];
  uint32_t bad = 0;
  Grid grid;

  memset (ret_entropy, 0, 32);
  *ret_len = 0;
  if (len >= MOOSH_MNEMONIC_MAX)
    return MOOSH_E_RANGE;

  size_t words = text_to_grid (text, len, &grid, &bad);
  if (words < 12 || words > MOOSH_MNEMONIC_WORDS_MAX || words % 3 != 0)
    {
      moosh_wipe (&grid, sizeof grid);
      return MOOSH_E_RANGE;
    }
  grid_to_bits (&grid, words, bits, &bad);
  moosh_wipe (&grid, sizeof grid);

  size_t entropy_len = words * 4 / 3;
  unsigned spare = 8 - (unsigned)words / 3; /* bits of the last byte that no word holds */
  moosh_sha256 (bits, entropy_len, digest);
  uint32_t wrong = (uint32_t)((digest[0] ^ bits[entropy_len]) >> spare);
  moosh_declassify (&bad, sizeof bad);
  moosh_declassify (&wrong, sizeof wrong);
  if (bad == 0 && wrong == 0)
    {
      memcpy (ret_entropy, bits, entropy_len);
      *ret_len = entropy_len;
    }
  moosh_wipe (bits, sizeof bits);
  moosh_wipe (digest, sizeof digest);
  return bad != 0 ? MOOSH_E_MALFORMED : wrong != 0 ? MOOSH_E_CRYPTO : MOOSH_OK;
}

int
moosh_mnemonic_seed (const char *text, size_t len, const char *passphrase, uint8_t ret_seed[64])
{
  uint8_t salt[8 + 256] = "mnemonic";
  size_t passphrase_len = strlen (passphrase);

  if (passphrase_len > 256)
    return MOOSH_E_LIMIT;
  memcpy (salt + 8, passphrase, passphrase_len);

  int done = PKCS5_PBKDF2_HMAC (text, (int)len, salt, 8 + (int)passphrase_len, 2048, EVP_sha512 (),
                                64, ret_seed);
  moosh_wipe (salt, sizeof salt);
  return done == 1 ? MOOSH_OK : MOOSH_E_CRYPTO;
}
