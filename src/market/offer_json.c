#include "market/offer_json.h"
#include "base/error.h"
#include <string.h>

enum { SIDE_AT = 1, KIND_AT = 2, CLASS_AT = 9 }; /* members that have names, too */

static JsonArray *
type_members (size_t from, size_t to, gboolean outer)
{
  JsonArray *members = json_array_new ();
  for (size_t i = from; i < to; i++)
    {
      const MooshOfferField *f = &moosh_offer_fields[i];
      if (outer && i == MOOSH_OFFER_UNITS_AT)
        {
          json_array_add_object_element (
              members, moosh_json_build ("name", 's', "units", "type", 's', "Units", NULL));
          i += MOOSH_OFFER_UNITS_N - 1;
          continue;
        }
      json_array_add_object_element (members,
                                     moosh_json_build ("name", 's', f->name, "type", 's',
                                                       moosh_field_type_name (f->type), NULL));
    }
  return members;
}

static JsonArray *
domain_members (void)
{
  static const char *const members[][2] = { { "name", "string" },
                                            { "version", "string" },
                                            { "chainId", "uint256" },
                                            { "verifyingContract", "address" } };
  JsonArray *array = json_array_new ();
  for (gsize i = 0; i < G_N_ELEMENTS (members); i++)
    json_array_add_object_element (
        array, moosh_json_build ("name", 's', members[i][0], "type", 's', members[i][1], NULL));
  return array;
}

static char *
decimal (const uint8_t word[32])
{
  char text[79];
  MooshU256 value = moosh_u256_from_be (word);
  moosh_u256_to_decimal (&value, text);
  return g_strdup (text);
}

static void
add_field (JsonObject *object, const MooshOffer *offer, size_t i)
{
  const MooshOfferField *f = &moosh_offer_fields[i];
  g_autofree char *text = NULL;
  uint8_t word[32];
  moosh_offer_field_word (offer, f, word);
  switch (f->type)
    {
    case MOOSH_FIELD_ADDRESS:
      case MOOSH_FIELD_BYTES32: {
        size_t width = moosh_field_type_bits (f->type) / 8;
        /* bytes32 fills its word, an address sits at its end */
        text = moosh_hex (word + (32 - width), width);
        json_object_set_string_member (object, f->name, text);
        return;
      }
    case MOOSH_FIELD_U8:
    case MOOSH_FIELD_U16:
    case MOOSH_FIELD_U32:
      json_object_set_int_member (object, f->name, (gint64)moosh_offer_field_u64 (offer, f));
      return;
    case MOOSH_FIELD_U64:
    case MOOSH_FIELD_U96:
    case MOOSH_FIELD_U128:
      text = decimal (word);
      json_object_set_string_member (object, f->name, text);
      return;
    }
}

/* Every member under its Solidity name, Units nested. */
static JsonObject *
members_object (const MooshOffer *offer)
{
  JsonObject *object = json_object_new (), *units = NULL;
  for (size_t i = 0; i < MOOSH_OFFER_WORDS; i++)
    {
      if (i == MOOSH_OFFER_UNITS_AT)
        json_object_set_object_member (object, "units", units = json_object_new ());
      if (i == MOOSH_OFFER_UNITS_AT + MOOSH_OFFER_UNITS_N)
        units = NULL;
      add_field (units != NULL ? units : object, offer, i);
    }
  return object;
}

JsonObject *
moosh_offer_to_typed_data (const MooshOffer *offer, const MooshOfferDomain *domain)
{
  g_autofree char *book = moosh_hex (domain->book, 20);
  JsonObject *types = moosh_json_build (
      "EIP712Domain", 'a', domain_members (), "Offer", 'a',
      type_members (0, MOOSH_OFFER_WORDS, TRUE), "Units", 'a',
      type_members (MOOSH_OFFER_UNITS_AT, MOOSH_OFFER_UNITS_AT + MOOSH_OFFER_UNITS_N, FALSE), NULL);
  JsonObject *d = moosh_json_build ("name", 's', MOOSH_OFFER_DOMAIN_NAME, "version", 's',
                                    MOOSH_OFFER_DOMAIN_VERSION, "chainId", 'i',
                                    (gint64)domain->chain_id, "verifyingContract", 's', book, NULL);
  return moosh_json_build ("types", 'o', types, "primaryType", 's', "Offer", "domain", 'o', d,
                           "message", 'o', members_object (offer), NULL);
}

JsonObject *
moosh_offer_to_json (const MooshOffer *offer)
{
  uint8_t hash[32];
  moosh_offer_hash (offer, hash);
  g_autofree char *hex = moosh_hex (hash, sizeof hash);
  JsonObject *object = members_object (offer);
  json_object_set_string_member (object, "hash", hex);
  const struct {
    const char *member, *name;
  } named[] = { { "side", moosh_side_name (offer->side) },
                { "kind", moosh_kind_name (offer->kind) },
                { "class", moosh_class_name (offer->class) } };
  for (gsize i = 0; i < G_N_ELEMENTS (named); i++)
    if (named[i].name != NULL)
      json_object_set_string_member (object, named[i].member, named[i].name);
  return object;
}

/* "sell", "vm", "shared" and the like; -1 when the text is no such name. */
static int
number_of_name (size_t i, const char *text)
{
  MooshKind kind;
  const char *(*name_of) (unsigned) = i == SIDE_AT ? moosh_side_name : moosh_class_name;
  if (i == KIND_AT)
    return moosh_kind_from_name (text, &kind) < 0 ? -1 : (int)kind;
  for (unsigned n = 0; (i == SIDE_AT || i == CLASS_AT) && name_of (n) != NULL; n++)
    if (strcmp (name_of (n), text) == 0)
      return (int)n;
  return -1;
}

static gboolean
word_from_text (size_t i, const char *text, uint8_t word[32])
{
  const MooshOfferField *f = &moosh_offer_fields[i];
  MooshU256 value;
  memset (word, 0, 32);
  if (f->type == MOOSH_FIELD_ADDRESS)
    return moosh_hex_decode (text, word + 12, 20) >= 0;
  if (f->type == MOOSH_FIELD_BYTES32)
    return moosh_hex_decode (text, word, 32) >= 0;
  int named = number_of_name (i, text);
  if (named >= 0)
    value = moosh_u256 ((uint64_t)named);
  else if (moosh_u256_from_decimal (text, &value) < 0)
    return FALSE;
  moosh_u256_to_be (&value, word);
  return TRUE;
}

static gboolean
read_field (JsonObject *object, size_t i, MooshOffer *offer, GError **error)
{
  const MooshOfferField *f = &moosh_offer_fields[i];
  JsonNode *node = json_object_get_member (object, f->name);
  uint8_t word[32] = { 0 };
  if (node == NULL || !JSON_NODE_HOLDS_VALUE (node))
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE, "offer: %s is missing", f->name);
      return FALSE;
    }
  gboolean ok = FALSE;
  if (json_node_get_value_type (node) == G_TYPE_STRING)
    ok = word_from_text (i, json_node_get_string (node), word);
  else if (json_node_get_value_type (node) == G_TYPE_INT64 && json_node_get_int (node) >= 0
           && f->type != MOOSH_FIELD_ADDRESS && f->type != MOOSH_FIELD_BYTES32)
    {
      moosh_put_be64 (word + 24, (uint64_t)json_node_get_int (node));
      ok = TRUE;
    }
  if (ok && moosh_offer_field_set_word (offer, f, word) >= 0)
    return TRUE;
  g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE, "offer: %s is not a valid %s", f->name,
               moosh_field_type_name (f->type));
  return FALSE;
}

gboolean
moosh_offer_from_json (JsonObject *object, MooshOffer *ret, GError **error)
{
  MooshOffer offer = { 0 };
  JsonObject *units = moosh_json_object (object, "units", error);
  if (units == NULL)
    return FALSE;
  for (size_t i = 0; i < MOOSH_OFFER_WORDS; i++)
    {
      gboolean inner = i >= MOOSH_OFFER_UNITS_AT && i < MOOSH_OFFER_UNITS_AT + MOOSH_OFFER_UNITS_N;
      if (!read_field (inner ? units : object, i, &offer, error))
        return FALSE;
    }
  *ret = offer;
  return TRUE;
}

JsonObject *
moosh_signed_offer_to_json (const MooshSignedOffer *signed_offer)
{
  g_autofree char *book = moosh_hex (signed_offer->domain.book, 20);
  g_autofree char *sig = moosh_hex (signed_offer->sig, signed_offer->sig_len);
  JsonObject *object = moosh_offer_to_json (&signed_offer->offer);
  json_object_set_int_member (object, "chainId", (gint64)signed_offer->domain.chain_id);
  json_object_set_string_member (object, "book", book);
  json_object_set_string_member (object, "signature", sig);
  return object;
}

gboolean
moosh_signed_offer_from_json (JsonObject *object, MooshSignedOffer *ret, GError **error)
{
  MooshSignedOffer got = { 0 };
  gint64 chain_id = 0;
  if (!moosh_offer_from_json (object, &got.offer, error)
      || !moosh_json_int (object, "chainId", &chain_id, error))
    return FALSE;
  g_autoptr (GBytes) book = moosh_json_hex (object, "book", 20, error);
  if (book == NULL)
    return FALSE;
  g_autoptr (GBytes) sig = moosh_json_hex (object, "signature", 0, error);
  if (sig == NULL)
    return FALSE;
  if (chain_id < 0 || g_bytes_get_size (sig) < 65 || g_bytes_get_size (sig) > MOOSH_OFFER_SIG_MAX)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE, "offer: %s is out of range",
                   chain_id < 0 ? "chainId" : "signature");
      return FALSE;
    }
  got.domain.chain_id = (uint64_t)chain_id;
  memcpy (got.domain.book, g_bytes_get_data (book, NULL), 20);
  got.sig_len = g_bytes_get_size (sig);
  memcpy (got.sig, g_bytes_get_data (sig, NULL), got.sig_len);
  *ret = got;
  return TRUE;
}
