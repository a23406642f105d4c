#include "chain/bindings.h"
#include "node.h"
#include <stdarg.h>
#include <string.h>

enum { VALUES_MAX = 96, PERMIT_S = 3600 };

static void
add_offer (MooshAbiValue *values, guint *n, const MooshOffer *offer)
{
  guint8 words[MOOSH_OFFER_ABI_SIZE];

  moosh_offer_to_words (offer, words);
  for (guint i = 0; i < MOOSH_OFFER_WORDS; i++)
    {
      values[*n] = (MooshAbiValue){ 0 };
      memcpy (values[(*n)++].word, words + 32 * i, 32);
    }
}

static void
add_permit (MooshAbiValue *values, guint *n, const Permit *permit)
{
  values[(*n)++] = moosh_abi_u256 (&permit->value);
  values[(*n)++] = moosh_abi_u64 (permit->deadline_s);
  values[(*n)++] = moosh_abi_u64 (permit->signature[64]);
  values[(*n)++] = moosh_abi_fixed (permit->signature, 32);
  values[(*n)++] = moosh_abi_fixed (permit->signature + 32, 32);
}

GBytes *
call_build (const MooshAbiFunction *function, GError **error, const char *pattern, ...)
{
  MooshAbiValue values[VALUES_MAX];
  guint n = 0;
  va_list args;

  va_start (args, pattern);
  for (const char *p = pattern; *p != '\0'; p++)
    {
      g_assert (n + MOOSH_OFFER_WORDS <= VALUES_MAX);
      switch (*p)
        {
        case 'u':
          values[n++] = moosh_abi_u64 (va_arg (args, guint64));
          break;
        case 'w':
          values[n++] = moosh_abi_u256 (va_arg (args, const MooshU256 *));
          break;
        case 'a':
          values[n++] = moosh_abi_address (va_arg (args, const guint8 *));
          break;
        case 'h':
          values[n++] = moosh_abi_fixed (va_arg (args, const guint8 *), 32);
          break;
          case 'b': {
            gsize len;
            const guint8 *bytes = g_bytes_get_data (va_arg (args, GBytes *), &len);
            values[n++] = moosh_abi_bytes (bytes, len);
          }
          break;
        case 'O':
          add_offer (values, &n, va_arg (args, const MooshOffer *));
          break;
        case 'P':
          add_permit (values, &n, va_arg (args, const Permit *));
          break;
        default:
          g_error ("call_build: unknown letter in \"%s\"", pattern);
        }
    }
  va_end (args);
  return moosh_call_new_values (function, values, n, error);
}

GBytes *
sign_typed (Node *node, JsonObject *typed, GError **error)
{
  g_autoptr (JsonObject) params = moosh_json_build ("typed", 'o', json_object_ref (typed), NULL);
  g_autoptr (JsonObject) reply
      = moosh_rpc_client_call (node->keyd, "sign_typed", params, SIBLING_MS, error);

  return reply != NULL ? moosh_json_hex (reply, "signature", 65, error) : NULL;
}

static JsonArray *
typed_members (const char *const *names_and_types)
{
  JsonArray *members = json_array_new ();

  for (; *names_and_types != NULL; names_and_types += 2)
    json_array_add_object_element (
        members,
        moosh_json_build ("name", 's', names_and_types[0], "type", 's', names_and_types[1], NULL));
  return members;
}

/* EIP-2612. */
static JsonObject *
permit_typed_data (Node *node, const char *token_name, const guint8 spender[20],
                   const MooshU256 *value, guint64 nonce, guint64 deadline_s)
{
  static const char *const domain_type[]
      = { "name",    "string", "version", "string", "chainId", "uint256", "verifyingContract",
          "address", NULL };
  static const char *const permit_type[]
      = { "owner", "address", "spender",  "address", "value", "uint256",
          "nonce", "uint256", "deadline", "uint256", NULL };
  g_autofree char *owner_text = address_text (node->identity),
                  *spender_text = address_text (spender);
  g_autofree char *token_text = address_text (node->contracts.token),
                  *value_text = wei_text (value);
  g_autofree char *nonce_text = g_strdup_printf ("%" G_GUINT64_FORMAT, nonce);
  g_autofree char *deadline_text = g_strdup_printf ("%" G_GUINT64_FORMAT, deadline_s);
  JsonObject *types = moosh_json_build ("EIP712Domain", 'a', typed_members (domain_type), "Permit",
                                        'a', typed_members (permit_type), NULL);
  JsonObject *domain = moosh_json_build ("name", 's', token_name, "version", 's', "1", "chainId",
                                         'i', (gint64)node->contracts.chain_id, "verifyingContract",
                                         's', token_text, NULL);
  JsonObject *message = moosh_json_build ("owner", 's', owner_text, "spender", 's', spender_text,
                                          "value", 's', value_text, "nonce", 's', nonce_text,
                                          "deadline", 's', deadline_text, NULL);

  return moosh_json_build ("types", 'o', types, "primaryType", 's', "Permit", "domain", 'o', domain,
                           "message", 'o', message, NULL);
}

gboolean
permit_for (Node *node, const guint8 spender[20], const MooshU256 *value, Permit *ret,
            GError **error)
{
  g_autoptr (MooshDecoded) allowance
      = moosh_contract_read (node->chain, node->contracts.token, MOOSH_FN_TEST_USD_ALLOWANCE, error,
                             node->identity, spender);
  g_autoptr (MooshDecoded) nonce = NULL, name = NULL;
  g_autoptr (JsonObject) typed = NULL;
  g_autoptr (GBytes) signature = NULL;
  g_autofree char *token_name = NULL;
  MooshU256 allowed;

  if (allowance == NULL)
    return FALSE;
  memset (ret, 0, sizeof *ret);
  allowed = moosh_decoded_u256 (allowance, "0");
  if (moosh_u256_cmp (&allowed, value) >= 0)
    return TRUE;
  nonce = moosh_contract_read (node->chain, node->contracts.token, MOOSH_FN_TEST_USD_NONCES, error,
                               node->identity);
  name = nonce ? moosh_contract_read (node->chain, node->contracts.token, MOOSH_FN_TEST_USD_NAME,
                                      error)
               : NULL;
  if (name == NULL)
    return FALSE;
  token_name = moosh_decoded_string (name, "0");
  ret->value = *value;
  ret->deadline_s = (guint64)chain_now_s (node) + PERMIT_S;
  typed = permit_typed_data (node, token_name, spender, value, moosh_decoded_u64 (nonce, "0"),
                             ret->deadline_s);
  signature = sign_typed (node, typed, error);
  if (signature == NULL)
    return FALSE;
  memcpy (ret->signature, g_bytes_get_data (signature, NULL), 65);
  return TRUE;
}

gboolean
token_balance (Node *node, MooshU256 *ret, GError **error)
{
  g_autoptr (MooshDecoded) balance = moosh_contract_read (
      node->chain, node->contracts.token, MOOSH_FN_TEST_USD_BALANCE_OF, error, node->identity);

  if (balance == NULL)
    return FALSE;
  *ret = moosh_decoded_u256 (balance, "0");
  return TRUE;
}
