/** EIP-712: hashes of typed structured data, for wallets and contracts to agree on. */
#pragma once
#include "core/bytes/u256.h"
#include "core/hash/hash.h"

/** keccak-256 of a full type string, e.g. "Mail(Person from,Person to,string contents)Person(…)":
 * the referenced structs follow, sorted by name. */
void moosh_eip712_type_hash (const char *encode_type, uint8_t out[32]);

/** hashStruct, member by member in the type's order. Begin, add every member once, finish.
 *
 *   MooshEip712Struct person;
 *   moosh_eip712_begin (&person, "Person(string name,address wallet)");
 *   moosh_eip712_add_string (&person, "Cow");
 *   moosh_eip712_add_address (&person, wallet);
 *   moosh_eip712_finish (&person, hash);
 *
 * A member that is a struct is added as its own hashStruct with moosh_eip712_add_bytes32; an array
 * as the keccak-256 of its elements' words. */
typedef struct {
  MooshKeccak256 hash;
} MooshEip712Struct;

void moosh_eip712_begin (MooshEip712Struct *st, const char *encode_type);
/** The same when the type's hash is already known. */
void moosh_eip712_begin_hashed (MooshEip712Struct *st, const uint8_t type_hash[32]);
void moosh_eip712_add_u64 (MooshEip712Struct *st,
                           uint64_t v); /* any uintN that fits, and bool as 0 or 1 */
void moosh_eip712_add_u256 (MooshEip712Struct *st, const MooshU256 *v);
void moosh_eip712_add_address (MooshEip712Struct *st, const uint8_t address[20]);
void moosh_eip712_add_bytes32 (MooshEip712Struct *st, const uint8_t bytes[32]);
void moosh_eip712_add_bytes (MooshEip712Struct *st, const void *bytes, size_t len);
void moosh_eip712_add_string (MooshEip712Struct *st, const char *text);
void moosh_eip712_finish (MooshEip712Struct *st, uint8_t out[32]);

/** An EIP712Domain; members that are NULL (or has_chain_id false) are not part of its type. */
typedef struct {
  const char *name;
  const char *version;
  bool has_chain_id;
  uint64_t chain_id;
  const uint8_t *verifying_contract; /* 20 bytes */
  const uint8_t *salt;               /* 32 bytes */
} MooshEip712Domain;

/** The domain separator. */
void moosh_eip712_domain (const MooshEip712Domain *domain, uint8_t out[32]);

/** keccak-256(0x19 ‖ 0x01 ‖ domain separator ‖ struct hash): what is signed. */
void moosh_eip712_digest (const uint8_t domain[32], const uint8_t struct_hash[32], uint8_t out[32]);
