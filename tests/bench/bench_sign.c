/* An offer hashed by EIP-712 and signed, beside libsecp256k1 signing a hash that is there already.
 *
 * What a maker does for each order: 34 members and the nested Units into words, their keccak, the
 * digest with the domain, a recoverable signature. The type hashes and the domain are made once, as
 * whoever signs many orders does. */
#include "core/abi/eip712.h"
#include "core/key/key.h"
#include <secp256k1.h>
#include <secp256k1_recovery.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SIGNATURES 200 /* a round of a few milliseconds: short enough to run undisturbed */
#define ROUNDS     150
#define UNITS      "Units(uint32 vcpuMilli,uint32 ramMib,uint32 diskGib,uint32 gpu,uint32 ipv4)"
#define OFFER                                                                                      \
  "Offer(address maker,uint8 side,uint8 kind,bytes32 pool,Units units,uint8 class,uint16 "         \
  "overcommitPct,"                                                                                 \
  "address token,uint96 rateX,uint96 pausedRateX,uint96 retentionRateX,uint32 minTerm,uint32 "     \
  "maxTerm,"                                                                                       \
  "uint32 notice,uint32 retention,uint32 holdback,uint32 acceptWithin,uint32 provisionWithin,"     \
  "uint32 probeWindow,uint128 rejectFee,uint32 lockPeriod,address arbiter,bytes32 policyHash,"     \
  "bytes32 faultDomain,address allowedTaker,uint32 volume,bytes32 reach,uint64 nonce,uint64 "      \
  "salt,uint64 expiry)" UNITS

static MooshCurve curve;
static secp256k1_context *raw;
static uint8_t secret[32], offer_type[32], units_type[32], domain[32], some_hash[32];
static volatile uint8_t sink;

static double
now_s (void)
{
  struct timespec now;

  clock_gettime (CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void
hash_offer (uint64_t salt, uint8_t out[32])
{
  static const uint8_t address[20] = { 1, 2, 3 }, word[32] = { 9, 8, 7 };
  MooshEip712Struct units, offer;
  uint8_t units_hash[32];

  moosh_eip712_begin_hashed (&units, units_type);
  for (uint64_t i = 0; i < 5; i++)
    moosh_eip712_add_u64 (&units, 1000 + i);
  moosh_eip712_finish (&units, units_hash);

  moosh_eip712_begin_hashed (&offer, offer_type);
  moosh_eip712_add_address (&offer, address); /* maker */
  moosh_eip712_add_u64 (&offer, 0);
  moosh_eip712_add_u64 (&offer, 0);
  moosh_eip712_add_bytes32 (&offer, word); /* pool */
  moosh_eip712_add_bytes32 (&offer, units_hash);
  moosh_eip712_add_u64 (&offer, 0);
  moosh_eip712_add_u64 (&offer, 100);
  moosh_eip712_add_address (&offer, address); /* token */
  for (uint64_t i = 0; i < 13; i++)           /* rates, terms, reject fee, lock period */
    moosh_eip712_add_u64 (&offer, 3600 * i);
  moosh_eip712_add_address (&offer, address); /* arbiter */
  moosh_eip712_add_bytes32 (&offer, word);
  moosh_eip712_add_bytes32 (&offer, word);
  moosh_eip712_add_address (&offer, address); /* allowed taker */
  moosh_eip712_add_u64 (&offer, 4);
  moosh_eip712_add_bytes32 (&offer, word); /* reach */
  moosh_eip712_add_u64 (&offer, 1);
  moosh_eip712_add_u64 (&offer, salt);
  moosh_eip712_add_u64 (&offer, 2000000000);
  moosh_eip712_finish (&offer, out);
}

static void
ours (uint64_t i)
{
  MooshSignature signature;
  uint8_t hash[32], digest[32], bytes[65];

  hash_offer (i, hash);
  moosh_eip712_digest (domain, hash, digest);
  if (moosh_sign (&curve, secret, digest, &signature) != MOOSH_OK)
    abort ();
  moosh_signature_to_bytes (&signature, bytes);
  sink = bytes[0];
}

static void
theirs (uint64_t i)
{
  secp256k1_ecdsa_recoverable_signature signature;
  uint8_t hash[32], compact[64];
  int recovery;

  memcpy (hash, some_hash, sizeof hash);
  memcpy (hash, &i, sizeof i);
  if (!secp256k1_ecdsa_sign_recoverable (raw, &signature, hash, secret, NULL, NULL))
    abort ();
  secp256k1_ecdsa_recoverable_signature_serialize_compact (raw, compact, &recovery, &signature);
  sink = compact[0];
}

static double
per_second (void (*sign) (uint64_t))
{
  double start = now_s ();

  for (uint64_t i = 0; i < SIGNATURES; i++)
    sign (i);
  return SIGNATURES / (now_s () - start);
}

int
main (void)
{
  double best_ours = 0, best_theirs = 0;

  memset (secret, 0x11, sizeof secret);
  memset (some_hash, 0x22, sizeof some_hash);
  moosh_curve_init (&curve, some_hash);
  raw = secp256k1_context_create (SECP256K1_CONTEXT_NONE);
  if (!secp256k1_context_randomize (raw, some_hash))
    return 1;
  moosh_eip712_type_hash (OFFER, offer_type);
  moosh_eip712_type_hash (UNITS, units_type);
  moosh_eip712_domain (
      &(MooshEip712Domain){
          .name = "MooshNet", .version = "1", .has_chain_id = true, .chain_id = 1 },
      domain);

  /* They take turns and the best round counts: what else runs on the machine slows both alike. */
  for (int i = 0; i < ROUNDS; i++)
    {
      double a = per_second (ours), b = per_second (theirs);

      best_ours = a > best_ours ? a : best_ours;
      best_theirs = b > best_theirs ? b : best_theirs;
    }
  printf ("BENCH eip712_sign_s %.0f sign/s peer=libsecp256k1 %.0f\n", best_ours, best_theirs);
  secp256k1_context_destroy (raw);
  return 0;
}
