/* Fuzz target: keystore files.
 *
 * What is accepted is within the stated cost, and what we write of it is read back the same. */
#include "core/key/keystore.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput (const uint8_t *input, size_t len);

static void
demand (bool truth)
{
  if (!truth)
    abort ();
}

int
LLVMFuzzerTestOneInput (const uint8_t *input, size_t len)
{
  static const uint8_t uuid[16];
  MooshKeystore got, again;
  char text[MOOSH_KEYSTORE_TEXT_MAX];

  if (moosh_keystore_parse ((const char *)input, len, &got) < 0)
    return 0;
  demand (moosh_keystore_check (&got) == MOOSH_OK);
  demand (got.kdf != MOOSH_KDF_SCRYPT || 128 * got.n * got.r <= MOOSH_KEYSTORE_MEMORY_MAX);
  moosh_keystore_write (&got, uuid, text);
  demand (moosh_keystore_parse (text, strlen (text), &again) == MOOSH_OK);
  demand (again.kdf == got.kdf && again.salt_len == got.salt_len
          && again.has_address == got.has_address);
  demand (memcmp (again.salt, got.salt, got.salt_len) == 0 && memcmp (again.iv, got.iv, 16) == 0);
  demand (memcmp (again.ciphertext, got.ciphertext, 32) == 0
          && memcmp (again.mac, got.mac, 32) == 0);
  return 0;
}
