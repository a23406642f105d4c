/** EIP-712 typed data from its JSON form (eth_signTypedData_v4): {types, primaryType, domain,
 * message}.
 *
 * Strict, because what is hashed must be what a person or a policy has read: every member of a type
 * is there, no other is, numbers fit, fixed bytes have their length, addresses with capitals have
 * the right ones. Limits below. */
#pragma once
#include "base/error.h"
#include "core/bytes/u256.h"
#include <json-glib/json-glib.h>

#define TYPED_TYPES_MAX   64
#define TYPED_MEMBERS_MAX 128   /* of one type */
#define TYPED_DEPTH_MAX   16    /* structs and arrays inside each other */
#define TYPED_VALUES_MAX  65536 /* in all */

/** What was read. Strings and objects belong to the JSON it was read from. */
typedef struct {
  const char *primary_type;
  JsonObject *message;
  const char *domain_name; /* NULL: the domain has none */
  gboolean has_chain_id;
  guint64 chain_id;
  gboolean has_contract;
  guint8 contract[20]; /* verifyingContract */
  guint8 domain_hash[32];
  guint8 struct_hash[32];
  guint8 digest[32]; /* what is signed */
} Typed;

/** Read and hash. A missing EIP712Domain is added to the types. MOOSH_ERROR_USAGE with the member
 * that is off. */
gboolean typed_read (JsonObject *json, Typed *ret, GError **error);

/** A member as a number that is not negative, in the forms typed data has: a JSON integer, decimal
 * digits, 0x-hex. */
gboolean typed_number (JsonNode *node, MooshU256 *ret);
