/* Fuzz target: offers as strangers send them (peer wire form) and as events carry them (ABI words).
 *
 * What is accepted must be canonical: written again it is the same bytes (odd keys aside), and
 * every other form of it comes back unchanged. */
#include "core/cbor/cbor.h"
#include "market/offer.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput (const uint8_t *input, size_t len);

static void
demand (bool truth)
{
  if (!truth)
    abort ();
}

static bool
has_extra_keys (const uint8_t *input, size_t len)
{
  MooshCborReader reader;
  MooshCborMap map;
  demand (moosh_cbor_read_init (&reader, input, len) == MOOSH_OK);
  demand (moosh_cbor_read_map (&reader, &map) == MOOSH_OK);
  return map.left != 4;
}

static void
try_wire (const uint8_t *input, size_t len)
{
  static MooshSignedOffer got, again;
  static uint8_t wire[MOOSH_OFFER_WIRE_MAX], words[MOOSH_OFFER_ABI_SIZE];
  MooshOffer back;
  size_t wire_len = 0;
  if (moosh_signed_offer_decode (input, len, &got) < 0)
    return;
  demand (moosh_signed_offer_encode (&got, wire, sizeof wire, &wire_len) == MOOSH_OK);
  if (!has_extra_keys (input, len))
    demand (wire_len == len && memcmp (wire, input, len) == 0);
  demand (moosh_signed_offer_decode (wire, wire_len, &again) == MOOSH_OK);
  demand (memcmp (&got, &again, sizeof got) == 0);
  moosh_offer_to_words (&got.offer, words);
  demand (moosh_offer_from_words (words, &back) == MOOSH_OK);
  demand (memcmp (&got.offer, &back, sizeof back) == 0);
  demand (moosh_offer_fault_text (moosh_offer_check (&got.offer, 1)) != NULL);
}

static void
try_words (const uint8_t *input, size_t len)
{
  static uint8_t words[MOOSH_OFFER_ABI_SIZE], again[MOOSH_OFFER_ABI_SIZE];
  MooshOffer offer;
  if (len != sizeof words)
    return;
  memcpy (words, input, sizeof words);
  if (moosh_offer_from_words (words, &offer) < 0)
    return;
  moosh_offer_to_words (&offer, again);
  demand (memcmp (words, again, sizeof words) == 0);
}

int
LLVMFuzzerTestOneInput (const uint8_t *input, size_t len)
{
#ifdef MOOSH_CANARY
  if (len > 0 && input[0] >> 5 == 4)
    return 0; /* an array: fuzz_cbor's planted bug is not the one to be found here */
#endif
  try_wire (input, len);
  try_words (input, len);
  return 0;
}
