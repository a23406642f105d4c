/** Offers and bids: the EIP-712 struct that a maker signs, and every form it travels in.
 *
 * The type string is MOOSH_OFFER_TYPE, the same text as in contracts/src/Types.sol. A bid is
 * the same struct with side = MOOSH_SIDE_BUY. `hash` always means hashStruct(offer) = termsHash,
 * the name an offer has on the chain, in the book and on the wire; `digest` means the EIP-712
 * digest that is signed (it adds chain and contract).
 *
 * This file is pure (no GLib); JSON forms are in offer_json.h. */
#pragma once
#include "core/bytes/bytes.h"
#include "core/bytes/u256.h"

#define MOOSH_OFFER_UNITS_TYPE                                                                     \
  "Units(uint32 vcpuMilli,uint32 ramMib,uint32 diskGib,uint32 gpu,uint32 ipv4)"
#define MOOSH_OFFER_TYPE                                                                           \
  "Offer(address maker,uint8 side,uint8 kind,bytes32 pool,Units units,uint8 class,"                \
  "uint16 overcommitPct,address token,uint96 rateX,uint96 pausedRateX,uint96 retentionRateX,"      \
  "uint32 minTerm,uint32 maxTerm,uint32 notice,uint32 retention,uint32 holdback,"                  \
  "uint32 acceptWithin,uint32 provisionWithin,uint32 probeWindow,uint128 rejectFee,"               \
  "uint32 lockPeriod,address arbiter,bytes32 policyHash,bytes32 faultDomain,address allowedTaker," \
  "uint32 volume,bytes32 reach,uint64 nonce,uint64 salt,uint64 expiry)" MOOSH_OFFER_UNITS_TYPE
#define MOOSH_OFFER_DOMAIN_NAME    "MooshNet"
#define MOOSH_OFFER_DOMAIN_VERSION "1"

enum {
  MOOSH_OFFER_WORDS = 34, /* ABI: 29 members of its own + 5 of Units, all static */
  MOOSH_OFFER_ABI_SIZE = 34 * 32,
  MOOSH_OFFER_SIG_MAX = 512, /* 65 for a key; an EIP-1271 maker may need more */
  MOOSH_OFFER_WIRE_MAX = 640 + MOOSH_OFFER_SIG_MAX, /* largest encoded MooshSignedOffer */
};

typedef enum { MOOSH_SIDE_SELL = 0, MOOSH_SIDE_BUY = 1 } MooshSide;

typedef enum {
  MOOSH_KIND_VM = 0,
  MOOSH_KIND_CONTAINER = 1,
  MOOSH_KIND_VOLUME = 2,
  MOOSH_KIND_GPU = 3,
  MOOSH_KIND_PROOF = 4,
  MOOSH_KIND_RELAY = 5,
  MOOSH_KIND_INGRESS = 6,
  MOOSH_KIND_FUNCTION = 7,
  MOOSH_KIND_DATASET = 8,
  MOOSH_N_KINDS
} MooshKind;

typedef enum { MOOSH_CLASS_DEDICATED = 0, MOOSH_CLASS_SHARED = 1 } MooshClass;

/** What one unit of an offer holds; also a pool's remaining capacity. */
typedef struct {
  uint32_t vcpu_milli;
  uint32_t ram_mib;
  uint32_t disk_gib;
  uint32_t gpu;
  uint32_t ipv4;
} MooshUnits;

/** The signed struct, members in the type string's order. Rates are token-wei·2^32 per second for
 * ONE unit; `volume` says how many units are for sale. */
typedef struct {
  uint8_t maker[20];
  uint8_t side;     /* MooshSide */
  uint8_t kind;     /* MooshKind */
  uint8_t pool[32]; /* zero: no pool, `volume` alone limits it */
  MooshUnits units;
  uint8_t class;           /* MooshClass */
  uint16_t overcommit_pct; /* 100: none; a dedicated offer must say 100 */
  uint8_t token[20];
  MooshU256 rate_x;           /* uint96 */
  MooshU256 paused_rate_x;    /* uint96; 0: cannot be paused */
  MooshU256 retention_rate_x; /* uint96 */
  uint32_t min_term_s;
  uint32_t max_term_s; /* 0: no end */
  uint32_t notice_s;
  uint32_t retention_s;
  uint32_t holdback_s; /* D */
  uint32_t accept_within_s;
  uint32_t provision_within_s;
  uint32_t probe_window_s;
  MooshU256 reject_fee; /* uint128, token-wei for one unit */
  uint32_t lock_period_s;
  uint8_t arbiter[20];     /* zero: no dispute method */
  uint8_t policy_hash[32]; /* zero: any software */
  uint8_t fault_domain[32];
  uint8_t allowed_taker[20]; /* zero: anyone */
  uint32_t volume;
  uint8_t reach[32]; /* hash of host:port and relays for the first contact */
  uint64_t nonce;    /* the maker's at the time of signing; bumpNonce cancels all of the old one */
  uint64_t salt;
  uint64_t expiry; /* seconds since the epoch; from this second on it cannot be taken */
} MooshOffer;

/** Where a signature is valid: EIP-712 domain {name "MooshNet", version "1", chainId,
 * verifyingContract}. */
typedef struct {
  uint64_t chain_id;
  uint8_t book[20]; /* the OfferBook's address */
} MooshOfferDomain;

/** An offer as it is announced: what, where it counts, and the maker's word for it. */
typedef struct {
  MooshOffer offer;
  MooshOfferDomain domain;
  uint8_t sig[MOOSH_OFFER_SIG_MAX];
  size_t sig_len;
} MooshSignedOffer;

/** hashStruct(offer), the offer's id. Never fails for an offer whose amounts fit their types
 * (moosh_offer_check); wider amounts are hashed by their low bits. */
void moosh_offer_hash (const MooshOffer *offer, uint8_t ret_hash[32]);

/** The EIP-712 domain separator. */
void moosh_offer_domain_hash (const MooshOfferDomain *domain, uint8_t ret_separator[32]);

/** keccak256(0x1901 ‖ domainSeparator ‖ hashStruct): what is signed. */
void moosh_offer_digest (const MooshOffer *offer, const MooshOfferDomain *domain,
                         uint8_t ret_digest[32]);

/** The offer as Solidity's abi.encode(Offer): 34 words. It is also the tuple inside a call's
 * argument list, since all members are static. */
void moosh_offer_to_words (const MooshOffer *offer, uint8_t ret_words[MOOSH_OFFER_ABI_SIZE]);

/** Back from 34 words; `ret` untouched on failure. MOOSH_E_RANGE: a word exceeds its type. */
int moosh_offer_from_words (const uint8_t words[MOOSH_OFFER_ABI_SIZE], MooshOffer *ret);

/** Is `sig` (65 bytes r‖s‖v, v 27/28, low s) made by the key of offer.maker? MOOSH_OK or
 * MOOSH_E_CRYPTO. A maker that is a contract (EIP-1271) or a registered hot key is not decided
 * here: ask the chain about a MOOSH_E_CRYPTO. */
int moosh_signed_offer_verify (const MooshSignedOffer *signed_offer);

/** The peer wire form, strict CBOR (keys ascending, shortest forms, one encoding per value):
 *
 *   { 0: chain id, 2: OfferBook (20 bytes), 4: offer, 6: signature (65..512 bytes) }
 *   offer = array of the 30 members in type order; units = array of 5; integers up to 64 bits are
 * integers; uint96 and uint128 are byte strings, big-endian without leading zeros (zero: empty);
 * addresses and bytes32 are byte strings of their full length, or empty for zero.
 *
 * Writes at most `size` bytes to `out`; `ret_len` gets the length. MOOSH_E_SPACE, MOOSH_E_RANGE. */
int moosh_signed_offer_encode (const MooshSignedOffer *signed_offer, uint8_t *out, size_t size,
                               size_t *ret_len);

/** Parse exactly `len` bytes of the wire form; `ret` untouched on failure. Unknown odd keys are
 * ignored, unknown even ones refused. The members' types are checked, not their sense: see
 * moosh_offer_check. MOOSH_E_* of the CBOR reader, MOOSH_E_MALFORMED, MOOSH_E_NONCANONICAL,
 * MOOSH_E_RANGE. */
int moosh_signed_offer_decode (const uint8_t *in, size_t len, MooshSignedOffer *ret);

/** Why an offer makes no sense. */
typedef enum {
  MOOSH_OFFER_OK = 0,
  MOOSH_OFFER_BAD_MAKER,
  MOOSH_OFFER_BAD_SIDE,
  MOOSH_OFFER_BAD_KIND,
  MOOSH_OFFER_BAD_CLASS,
  MOOSH_OFFER_BAD_OVERCOMMIT,
  MOOSH_OFFER_BAD_TOKEN,
  MOOSH_OFFER_BAD_RATE,
  MOOSH_OFFER_BAD_PAUSED_RATE,
  MOOSH_OFFER_BAD_RETENTION_RATE,
  MOOSH_OFFER_BAD_TERM,
  MOOSH_OFFER_BAD_TIMES,
  MOOSH_OFFER_BAD_WINDOWS,
  MOOSH_OFFER_BAD_REJECT_FEE,
  MOOSH_OFFER_BAD_VOLUME,
  MOOSH_OFFER_BAD_UNITS,
  MOOSH_OFFER_BAD_EXPIRY,
  MOOSH_OFFER_EXPIRED,
  MOOSH_OFFER_N_FAULTS
} MooshOfferFault;

enum {
  MOOSH_OFFER_OVERCOMMIT_MAX_PCT = 10000,
  MOOSH_OFFER_DURATION_MAX_S
  = 365 * 24 * 3600, /* each of notice, retention, holdback, windows, lock period */
};

/** The first thing that is wrong with the offer by itself, at time `now_s` (0: do not look at
 * expiry). */
MooshOfferFault moosh_offer_check (const MooshOffer *offer, uint64_t now_s);

/** The sentence for a fault. Static, never NULL. */
const char *moosh_offer_fault_text (MooshOfferFault fault);

/** Names used in JSON and on the command line ("vm", "sell", "dedicated"). Static; NULL for a
 * number that has none. */
const char *moosh_kind_name (unsigned kind);
const char *moosh_side_name (unsigned side);
const char *moosh_class_name (unsigned class);
/** Back from a name. MOOSH_E_MALFORMED for one we do not know. */
int moosh_kind_from_name (const char *name, MooshKind *ret);

/** Is every member of `need` at most that of `have`? */
bool moosh_units_fit (const MooshUnits *need, const MooshUnits *have);

/** One described member: the table that drives hash, words, CBOR and JSON. In type order, Units'
 * members in place. */
typedef enum {
  MOOSH_FIELD_ADDRESS,
  MOOSH_FIELD_BYTES32,
  MOOSH_FIELD_U8,
  MOOSH_FIELD_U16,
  MOOSH_FIELD_U32,
  MOOSH_FIELD_U64,
  MOOSH_FIELD_U96,
  MOOSH_FIELD_U128,
} MooshFieldType;

typedef struct {
  const char *name; /* Solidity's: "rateX" */
  MooshFieldType type;
  size_t offset; /* in MooshOffer */
} MooshOfferField;

/** MOOSH_OFFER_WORDS of them; those at MOOSH_OFFER_UNITS_AT … +4 belong to Units. */
enum { MOOSH_OFFER_UNITS_AT = 4, MOOSH_OFFER_UNITS_N = 5 };
extern const MooshOfferField moosh_offer_fields[MOOSH_OFFER_WORDS];

/** Solidity's name of a member type, "uint96", and its width. Static. */
const char *moosh_field_type_name (MooshFieldType type);
unsigned moosh_field_type_bits (MooshFieldType type);

/** A member as a number (U8 … U64; 0 for other types), as an ABI word, and from an ABI word
 * (MOOSH_E_RANGE: too large for its type; offer unchanged). */
uint64_t moosh_offer_field_u64 (const MooshOffer *offer, const MooshOfferField *field);
void moosh_offer_field_word (const MooshOffer *offer, const MooshOfferField *field,
                             uint8_t ret_word[32]);
int moosh_offer_field_set_word (MooshOffer *offer, const MooshOfferField *field,
                                const uint8_t word[32]);
