#include "core/abi/eip712.h"
#include <string.h>

void
moosh_eip712_type_hash (const char *encode_type, uint8_t out[32])
{
  moosh_keccak256 (encode_type, strlen (encode_type), out);
}

void
moosh_eip712_begin_hashed (MooshEip712Struct *st, const uint8_t type_hash[32])
{
  moosh_keccak256_init (&st->hash);
  moosh_keccak256_update (&st->hash, type_hash, 32);
}

void
moosh_eip712_begin (MooshEip712Struct *st, const char *encode_type)
{
  uint8_t type_hash[32];

  moosh_eip712_type_hash (encode_type, type_hash);
  moosh_eip712_begin_hashed (st, type_hash);
}

void
moosh_eip712_add_bytes32 (MooshEip712Struct *st, const uint8_t bytes[32])
{
  moosh_keccak256_update (&st->hash, bytes, 32);
}

void
moosh_eip712_add_u256 (MooshEip712Struct *st, const MooshU256 *v)
{
  uint8_t word[32];

  moosh_u256_to_be (v, word);
  moosh_eip712_add_bytes32 (st, word);
}

void
moosh_eip712_add_u64 (MooshEip712Struct *st, uint64_t v)
{
  MooshU256 wide = moosh_u256 (v);

  moosh_eip712_add_u256 (st, &wide);
}

void
moosh_eip712_add_address (MooshEip712Struct *st, const uint8_t address[20])
{
  uint8_t word[32] = { 0 };

  memcpy (word + 12, address, 20);
  moosh_eip712_add_bytes32 (st, word);
}

void
moosh_eip712_add_bytes (MooshEip712Struct *st, const void *bytes, size_t len)
{
  uint8_t hash[32];

  moosh_keccak256 (bytes, len, hash);
  moosh_eip712_add_bytes32 (st, hash);
}

void
moosh_eip712_add_string (MooshEip712Struct *st, const char *text)
{
  moosh_eip712_add_bytes (st, text, strlen (text));
}

void
moosh_eip712_finish (MooshEip712Struct *st, uint8_t out[32])
{
  moosh_keccak256_final (&st->hash, out);
}

/* The domain's type names only the members that are there, in the EIP's order. */
static void
domain_type_hash (const MooshEip712Domain *domain, uint8_t out[32])
{
  const struct {
    bool present;
    const char *member;
  } members[] = {
    { domain->name != NULL, "string name" },
    { domain->version != NULL, "string version" },
    { domain->has_chain_id, "uint256 chainId" },
    { domain->verifying_contract != NULL, "address verifyingContract" },
    { domain->salt != NULL, "bytes32 salt" },
  };
  static const char head[] = "EIP712Domain(";
  MooshKeccak256 hash;
  bool first = true;

  moosh_keccak256_init (&hash);
  moosh_keccak256_update (&hash, head, strlen (head));
  for (size_t i = 0; i < sizeof members / sizeof members[0]; i++)
    {
      if (!members[i].present)
        continue;
      if (!first)
        moosh_keccak256_update (&hash, ",", 1);
      moosh_keccak256_update (&hash, members[i].member, strlen (members[i].member));
      first = false;
    }
  moosh_keccak256_update (&hash, ")", 1);
  moosh_keccak256_final (&hash, out);
}

void
moosh_eip712_domain (const MooshEip712Domain *domain, uint8_t out[32])
{
  MooshEip712Struct st;
  uint8_t type_hash[32];

  domain_type_hash (domain, type_hash);
  moosh_eip712_begin_hashed (&st, type_hash);
  if (domain->name != NULL)
    moosh_eip712_add_string (&st, domain->name);
  if (domain->version != NULL)
    moosh_eip712_add_string (&st, domain->version);
  if (domain->has_chain_id)
    moosh_eip712_add_u64 (&st, domain->chain_id);
  if (domain->verifying_contract != NULL)
    moosh_eip712_add_address (&st, domain->verifying_contract);
  if (domain->salt != NULL)
    moosh_eip712_add_bytes32 (&st, domain->salt);
  moosh_eip712_finish (&st, out);
}

void
moosh_eip712_digest (const uint8_t domain[32], const uint8_t struct_hash[32], uint8_t out[32])
{
  static const uint8_t prefix[2] = { 0x19, 0x01 };
  MooshKeccak256 hash;

  moosh_keccak256_init (&hash);
  moosh_keccak256_update (&hash, prefix, sizeof prefix);
  moosh_keccak256_update (&hash, domain, 32);
  moosh_keccak256_update (&hash, struct_hash, 32);
  moosh_keccak256_final (&hash, out);
}
