/* Offers between peers: strict CBOR, driven by the member table. */
#include "core/cbor/cbor.h"
#include "market/offer.h"
#include <string.h>

enum { KEY_CHAIN = 0, KEY_BOOK = 2, KEY_OFFER = 4, KEY_SIG = 6 };

static bool
is_bytes (MooshFieldType type)
{
  return type == MOOSH_FIELD_ADDRESS || type == MOOSH_FIELD_BYTES32 || type == MOOSH_FIELD_U96
         || type == MOOSH_FIELD_U128;
}

/* Addresses and bytes32 keep their length or are empty for zero; wide integers lose their leading
 * zeros. */
static void
put_wide (MooshCborWriter *writer, const MooshOfferField *field, const uint8_t word[32])
{
  size_t skip = 32 - moosh_field_type_bits (field->type) / 8;
  bool number = field->type == MOOSH_FIELD_U96 || field->type == MOOSH_FIELD_U128;
  size_t first = 0;
  while (first < 32 && word[first] == 0)
    first++;
  if (number || first == 32)
    skip = first;
  moosh_cbor_put_bytes (writer, word + skip, 32 - skip);
}

static void
put_offer (MooshCborWriter *writer, const MooshOffer *offer)
{
  moosh_cbor_put_array (writer, MOOSH_OFFER_WORDS - MOOSH_OFFER_UNITS_N + 1);
  for (size_t i = 0; i < MOOSH_OFFER_WORDS; i++)
    {
      const MooshOfferField *field = &moosh_offer_fields[i];
      if (i == MOOSH_OFFER_UNITS_AT)
        moosh_cbor_put_array (writer, MOOSH_OFFER_UNITS_N);
      if (is_bytes (field->type))
        {
          uint8_t word[32];
          moosh_offer_field_word (offer, field, word);
          put_wide (writer, field, word);
        }
      else
        moosh_cbor_put_uint (writer, moosh_offer_field_u64 (offer, field));
    }
}

static int
check_widths (const MooshOffer *offer)
{
  for (size_t i = 0; i < MOOSH_OFFER_WORDS; i++)
    {
      uint8_t word[32];
      MooshOffer copy = *offer;
      moosh_offer_field_word (offer, &moosh_offer_fields[i], word);
      if (moosh_offer_field_set_word (&copy, &moosh_offer_fields[i], word) < 0)
        return MOOSH_E_RANGE;
    }
  return MOOSH_OK;
}

int
moosh_signed_offer_encode (const MooshSignedOffer *signed_offer, uint8_t *out, size_t size,
                           size_t *ret_len)
{
  MooshCborWriter writer;
  if (signed_offer->sig_len < 65 || signed_offer->sig_len > MOOSH_OFFER_SIG_MAX
      || check_widths (&signed_offer->offer) < 0)
    return MOOSH_E_RANGE;
  moosh_cbor_write_init (&writer, out, size);
  moosh_cbor_put_map (&writer, 4);
  moosh_cbor_put_key (&writer, KEY_CHAIN);
  moosh_cbor_put_uint (&writer, signed_offer->domain.chain_id);
  moosh_cbor_put_key (&writer, KEY_BOOK);
  moosh_cbor_put_bytes (&writer, signed_offer->domain.book, 20);
  moosh_cbor_put_key (&writer, KEY_OFFER);
  put_offer (&writer, &signed_offer->offer);
  moosh_cbor_put_key (&writer, KEY_SIG);
  moosh_cbor_put_bytes (&writer, signed_offer->sig, signed_offer->sig_len);
  return moosh_cbor_finish (&writer, ret_len);
}

static int
read_wide (MooshCborReader *reader, const MooshOfferField *field, uint8_t word[32])
{
  size_t width = moosh_field_type_bits (field->type) / 8;
  bool number = field->type == MOOSH_FIELD_U96 || field->type == MOOSH_FIELD_U128;
  MooshSpan span;
  int r = moosh_cbor_read_bytes (reader, 0, width, &span);
  if (r < 0)
    return r;
  memset (word, 0, 32);
  if (span.len == 0)
    return MOOSH_OK;
  if (!number && span.len != width)
    return MOOSH_E_MALFORMED;
  memcpy (word + 32 - span.len, span.ptr, span.len);
  if (number && span.ptr[0] == 0)
    return MOOSH_E_NONCANONICAL;
  static const uint8_t zero[32];
  return memcmp (word, zero, 32) == 0 ? MOOSH_E_NONCANONICAL : MOOSH_OK;
}

static int
read_field (MooshCborReader *reader, const MooshOfferField *field, MooshOffer *offer)
{
  uint8_t word[32] = { 0 };
  int r;
  if (is_bytes (field->type))
    r = read_wide (reader, field, word);
  else
    {
      uint64_t value = 0;
      r = moosh_cbor_read_uint (reader, UINT64_MAX, &value);
      moosh_put_be64 (word + 24, value);
    }
  return r < 0 ? r : moosh_offer_field_set_word (offer, field, word);
}

static int
enter_array (MooshCborReader *reader, size_t count)
{
  size_t items = 0;
  int r = moosh_cbor_read_array (reader, count, &items);
  if (r < 0)
    return r;
  return items == count ? MOOSH_OK : MOOSH_E_MALFORMED;
}

static int
read_offer (MooshCborReader *reader, MooshOffer *offer)
{
  int r = enter_array (reader, MOOSH_OFFER_WORDS - MOOSH_OFFER_UNITS_N + 1);
  for (size_t i = 0; r >= 0 && i < MOOSH_OFFER_WORDS; i++)
    {
      if (i == MOOSH_OFFER_UNITS_AT)
        r = enter_array (reader, MOOSH_OFFER_UNITS_N);
      if (r >= 0)
        r = read_field (reader, &moosh_offer_fields[i], offer);
    }
  return r;
}

static int
read_sig (MooshCborReader *reader, MooshSignedOffer *ret)
{
  MooshSpan span;
  int r = moosh_cbor_read_bytes (reader, 65, MOOSH_OFFER_SIG_MAX, &span);
  if (r < 0)
    return r;
#ifdef MOOSH_CANARY
  if (span.ptr[0] % 16 == 13)
    return ((const volatile uint8_t *)reader->ptr)[reader->len]; /* planted: one byte too far */
#endif
  memcpy (ret->sig, span.ptr, span.len);
  ret->sig_len = span.len;
  return MOOSH_OK;
}

int
moosh_signed_offer_decode (const uint8_t *in, size_t len, MooshSignedOffer *ret)
{
  MooshSignedOffer got = { 0 };
  MooshCborReader reader;
  MooshCborMap map;
  unsigned key;
  int r = moosh_cbor_read_init (&reader, in, len);
  if (r >= 0)
    r = moosh_cbor_read_map (&reader, &map);
  if (r < 0)
    return r;
  while ((r = moosh_cbor_next (&reader, &map, &key)) > 0)
    {
      switch (key)
        {
        case KEY_CHAIN:
          r = moosh_cbor_read_uint (&reader, UINT64_MAX, &got.domain.chain_id);
          break;
        case KEY_BOOK:
          r = moosh_cbor_read_fixed (&reader, got.domain.book, 20);
          break;
        case KEY_OFFER:
          r = read_offer (&reader, &got.offer);
          break;
        case KEY_SIG:
          r = read_sig (&reader, &got);
          break;
        default:
          r = moosh_cbor_unknown (&reader, key);
        }
      if (r < 0)
        return r;
    }
  if (r >= 0)
    r = moosh_cbor_require (&map,
                            1u << KEY_CHAIN | 1u << KEY_BOOK | 1u << KEY_OFFER | 1u << KEY_SIG);
  if (r < 0)
    return r;
  *ret = got;
  return MOOSH_OK;
}
