#include "market/offer.h"
#include "core/abi/eip712.h"
#include "core/key/key.h"
#include <assert.h>
#include <string.h>

#define AT(member) offsetof (MooshOffer, member)
/* clang-format off */
const MooshOfferField moosh_offer_fields[MOOSH_OFFER_WORDS] = {
  { "maker",           MOOSH_FIELD_ADDRESS, AT (maker) },
  { "side",            MOOSH_FIELD_U8,      AT (side) },
  { "kind",            MOOSH_FIELD_U8,      AT (kind) },
  { "pool",            MOOSH_FIELD_BYTES32, AT (pool) },
  { "vcpuMilli",       MOOSH_FIELD_U32,     AT (units.vcpu_milli) },
  { "ramMib",          MOOSH_FIELD_U32,     AT (units.ram_mib) },
  { "diskGib",         MOOSH_FIELD_U32,     AT (units.disk_gib) },
  { "gpu",             MOOSH_FIELD_U32,     AT (units.gpu) },
  { "ipv4",            MOOSH_FIELD_U32,     AT (units.ipv4) },
  { "class",           MOOSH_FIELD_U8,      AT (class) },
  { "overcommitPct",   MOOSH_FIELD_U16,     AT (overcommit_pct) },
  { "token",           MOOSH_FIELD_ADDRESS, AT (token) },
  { "rateX",           MOOSH_FIELD_U96,     AT (rate_x) },
  { "pausedRateX",     MOOSH_FIELD_U96,     AT (paused_rate_x) },
  { "retentionRateX",  MOOSH_FIELD_U96,     AT (retention_rate_x) },
  { "minTerm",         MOOSH_FIELD_U32,     AT (min_term_s) },
  { "maxTerm",         MOOSH_FIELD_U32,     AT (max_term_s) },
  { "notice",          MOOSH_FIELD_U32,     AT (notice_s) },
  { "retention",       MOOSH_FIELD_U32,     AT (retention_s) },
  { "holdback",        MOOSH_FIELD_U32,     AT (holdback_s) },
  { "acceptWithin",    MOOSH_FIELD_U32,     AT (accept_within_s) },
  { "provisionWithin", MOOSH_FIELD_U32,     AT (provision_within_s) },
  { "probeWindow",     MOOSH_FIELD_U32,     AT (probe_window_s) },
  { "rejectFee",       MOOSH_FIELD_U128,    AT (reject_fee) },
  { "lockPeriod",      MOOSH_FIELD_U32,     AT (lock_period_s) },
  { "arbiter",         MOOSH_FIELD_ADDRESS, AT (arbiter) },
  { "policyHash",      MOOSH_FIELD_BYTES32, AT (policy_hash) },
  { "faultDomain",     MOOSH_FIELD_BYTES32, AT (fault_domain) },
  { "allowedTaker",    MOOSH_FIELD_ADDRESS, AT (allowed_taker) },
  { "volume",          MOOSH_FIELD_U32,     AT (volume) },
  { "reach",           MOOSH_FIELD_BYTES32, AT (reach) },
  { "nonce",           MOOSH_FIELD_U64,     AT (nonce) },
  { "salt",            MOOSH_FIELD_U64,     AT (salt) },
  { "expiry",          MOOSH_FIELD_U64,     AT (expiry) },
};
/* clang-format on */

static const struct {
  const char *name;
  unsigned bits;
} field_types[] = {
  [MOOSH_FIELD_ADDRESS] = { "address", 160 }, [MOOSH_FIELD_BYTES32] = { "bytes32", 256 },
  [MOOSH_FIELD_U8] = { "uint8", 8 },          [MOOSH_FIELD_U16] = { "uint16", 16 },
  [MOOSH_FIELD_U32] = { "uint32", 32 },       [MOOSH_FIELD_U64] = { "uint64", 64 },
  [MOOSH_FIELD_U96] = { "uint96", 96 },       [MOOSH_FIELD_U128] = { "uint128", 128 },
};

const char *
moosh_field_type_name (MooshFieldType type)
{
  return field_types[type].name;
}

unsigned
moosh_field_type_bits (MooshFieldType type)
{
  return field_types[type].bits;
}

uint64_t
moosh_offer_field_u64 (const MooshOffer *offer, const MooshOfferField *field)
{
  const void *at = (const uint8_t *)offer + field->offset;
  switch (field->type)
    {
    case MOOSH_FIELD_U8:
      return *(const uint8_t *)at;
    case MOOSH_FIELD_U16:
      return *(const uint16_t *)at;
    case MOOSH_FIELD_U32:
      return *(const uint32_t *)at;
    case MOOSH_FIELD_U64:
      return *(const uint64_t *)at;
    case MOOSH_FIELD_ADDRESS:
    case MOOSH_FIELD_BYTES32:
    case MOOSH_FIELD_U96:
    case MOOSH_FIELD_U128:
      break;
    }
  return 0;
}

void
moosh_offer_field_word (const MooshOffer *offer, const MooshOfferField *field, uint8_t ret_word[32])
{
  const uint8_t *at = (const uint8_t *)offer + field->offset;
  memset (ret_word, 0, 32);
  switch (field->type)
    {
    case MOOSH_FIELD_ADDRESS:
      memcpy (ret_word + 12, at, 20);
      return;
    case MOOSH_FIELD_BYTES32:
      memcpy (ret_word, at, 32);
      return;
    case MOOSH_FIELD_U96:
    case MOOSH_FIELD_U128:
      moosh_u256_to_be ((const MooshU256 *)(const void *)at, ret_word);
      return;
    case MOOSH_FIELD_U8:
    case MOOSH_FIELD_U16:
    case MOOSH_FIELD_U32:
    case MOOSH_FIELD_U64:
      moosh_put_be64 (ret_word + 24, moosh_offer_field_u64 (offer, field));
      return;
    }
}

int
moosh_offer_field_set_word (MooshOffer *offer, const MooshOfferField *field, const uint8_t word[32])
{
  uint8_t *at = (uint8_t *)offer + field->offset;
  MooshU256 value = moosh_u256_from_be (word);
  if (moosh_u256_bit_length (&value) > field_types[field->type].bits)
    return MOOSH_E_RANGE;
  switch (field->type)
    {
    case MOOSH_FIELD_ADDRESS:
      memcpy (at, word + 12, 20);
      break;
    case MOOSH_FIELD_BYTES32:
      memcpy (at, word, 32);
      break;
    case MOOSH_FIELD_U8:
      *at = (uint8_t)value.limb[0];
      break;
    case MOOSH_FIELD_U16:
      *(uint16_t *)(void *)at = (uint16_t)value.limb[0];
      break;
    case MOOSH_FIELD_U32:
      *(uint32_t *)(void *)at = (uint32_t)value.limb[0];
      break;
    case MOOSH_FIELD_U64:
      *(uint64_t *)(void *)at = value.limb[0];
      break;
    case MOOSH_FIELD_U96:
    case MOOSH_FIELD_U128:
      *(MooshU256 *)(void *)at = value;
      break;
    }
  return MOOSH_OK;
}

void
moosh_offer_to_words (const MooshOffer *offer, uint8_t ret_words[MOOSH_OFFER_ABI_SIZE])
{
  for (size_t i = 0; i < MOOSH_OFFER_WORDS; i++)
    moosh_offer_field_word (offer, &moosh_offer_fields[i], ret_words + 32 * i);
}

int
moosh_offer_from_words (const uint8_t words[MOOSH_OFFER_ABI_SIZE], MooshOffer *ret)
{
  MooshOffer offer = { 0 };
  for (size_t i = 0; i < MOOSH_OFFER_WORDS; i++)
    {
      int r = moosh_offer_field_set_word (&offer, &moosh_offer_fields[i], words + 32 * i);
      if (r < 0)
        return r;
    }
  *ret = offer;
  return MOOSH_OK;
}

void
moosh_offer_hash (const MooshOffer *offer, uint8_t ret_hash[32])
{
  MooshEip712Struct outer, units;
  uint8_t words[MOOSH_OFFER_ABI_SIZE], units_hash[32];
  moosh_offer_to_words (offer, words);

  moosh_eip712_begin (&units, MOOSH_OFFER_UNITS_TYPE);
  for (size_t i = 0; i < MOOSH_OFFER_UNITS_N; i++)
    moosh_eip712_add_bytes32 (&units, words + 32 * (MOOSH_OFFER_UNITS_AT + i));
  moosh_eip712_finish (&units, units_hash);

  moosh_eip712_begin (&outer, MOOSH_OFFER_TYPE);
  for (size_t i = 0; i < MOOSH_OFFER_WORDS; i++)
    {
      if (i == MOOSH_OFFER_UNITS_AT)
        moosh_eip712_add_bytes32 (&outer, units_hash);
      if (i < MOOSH_OFFER_UNITS_AT || i >= MOOSH_OFFER_UNITS_AT + MOOSH_OFFER_UNITS_N)
        moosh_eip712_add_bytes32 (&outer, words + 32 * i);
    }
  moosh_eip712_finish (&outer, ret_hash);
}

void
moosh_offer_domain_hash (const MooshOfferDomain *domain, uint8_t ret_separator[32])
{
  MooshEip712Domain d = { .name = MOOSH_OFFER_DOMAIN_NAME,
                          .version = MOOSH_OFFER_DOMAIN_VERSION,
                          .has_chain_id = true,
                          .chain_id = domain->chain_id,
                          .verifying_contract = domain->book };
  moosh_eip712_domain (&d, ret_separator);
}

void
moosh_offer_digest (const MooshOffer *offer, const MooshOfferDomain *domain, uint8_t ret_digest[32])
{
  uint8_t separator[32], hash[32];
  moosh_offer_domain_hash (domain, separator);
  moosh_offer_hash (offer, hash);
  moosh_eip712_digest (separator, hash, ret_digest);
}

int
moosh_signed_offer_verify (const MooshSignedOffer *signed_offer)
{
  uint8_t digest[32], signer[20];
  MooshSignature signature;
  /* Contracts take v 27/28 only; the key library would also read 0/1. */
  if (signed_offer->sig_len != MOOSH_SIGNATURE_LEN || signed_offer->sig[64] < 27
      || moosh_signature_from_bytes (signed_offer->sig, &signature) < 0)
    return MOOSH_E_CRYPTO;
  moosh_offer_digest (&signed_offer->offer, &signed_offer->domain, digest);
  if (moosh_recover_address (digest, &signature, signer) < 0
      || memcmp (signer, signed_offer->offer.maker, sizeof signer) != 0)
    return MOOSH_E_CRYPTO;
  return MOOSH_OK;
}

bool
moosh_units_fit (const MooshUnits *need, const MooshUnits *have)
{
  return need->vcpu_milli <= have->vcpu_milli && need->ram_mib <= have->ram_mib
         && need->disk_gib <= have->disk_gib && need->gpu <= have->gpu && need->ipv4 <= have->ipv4;
}
