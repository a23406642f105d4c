#include "daemon/keyd/typed.h"
#include "base/json.h"
#include "core/abi/eip712.h"
#include "core/key/key.h"
#include <string.h>

/* One read: the types it may name, and how much it has cost so far. */
typedef struct {
  JsonObject *types;
  GHashTable *type_hashes; /* struct name -> 32 bytes, made when first needed */
  guint values;
} Reader;

static gboolean refuse (GError **error, const char *format, ...) G_GNUC_PRINTF (2, 3);

static gboolean
refuse (GError **error, const char *format, ...)
{
  va_list arguments;

  va_start (arguments, format);
  g_autofree char *what = g_strdup_vprintf (format, arguments);
  va_end (arguments);
  g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE, "typed data: %s", what);
  return FALSE;
}

/* ---- types ---- */

static gboolean
is_identifier (const char *name, gsize len)
{
  if (len == 0 || g_ascii_isdigit (name[0]))
    return FALSE;
  for (gsize i = 0; i < len; i++)
    if (!g_ascii_isalnum (name[i]) && name[i] != '_' && name[i] != '$')
      return FALSE;
  return TRUE;
}

/* The number behind `prefix`, 0 when there is none, -1 when it is not plain. */
static int
width_after (const char *type, const char *prefix)
{
  gsize len = strlen (prefix);
  const char *digits = type + len;

  if (strncmp (type, prefix, len) != 0)
    return -1;
  if (*digits == '\0')
    return 0;
  if (*digits == '0' || strlen (digits) > 3 || strspn (digits, "0123456789") != strlen (digits))
    return -1;
  return atoi (digits);
}

typedef enum { NOT_ATOMIC, UINT, INT, FIXED_BYTES, BYTES, STRING, BOOL, ADDRESS } Atom;

/* Which value type a name is; `ret_width` gets bits of an integer, bytes of a fixed string. */
static Atom
atom_of (const char *type, int *ret_width)
{
  static const struct {
    const char *name;
    Atom atom;
  } plain[] = {
    { "bytes", BYTES },
    { "string", STRING },
    { "bool", BOOL },
    { "address", ADDRESS },
  };
  int width;

  for (gsize i = 0; i < G_N_ELEMENTS (plain); i++)
    if (strcmp (type, plain[i].name) == 0)
      return plain[i].atom;
  if ((width = width_after (type, "uint")) >= 8 && width <= 256 && width % 8 == 0)
    return *ret_width = width, UINT;
  if ((width = width_after (type, "int")) >= 8 && width <= 256 && width % 8 == 0)
    return *ret_width = width, INT;
  if ((width = width_after (type, "bytes")) >= 1 && width <= 32)
    return *ret_width = width, FIXED_BYTES;
  return NOT_ATOMIC;
}

/* "T[3]" or "T[]": the type of the elements (new), and their number, -1 for any. NULL: not an
 * array. */
static char *
element_type (const char *type, gint64 *ret_count)
{
  gsize len = strlen (type);
  const char *open = strrchr (type, '[');
  gint64 count = -1;

  if (open == NULL || open == type || type[len - 1] != ']')
    return NULL;
  gsize digits = len - 2 - (gsize)(open - type);
  if (digits > 0)
    {
      if (digits > 6 || open[1] == '0' || strspn (open + 1, "0123456789") != digits)
        return NULL;
      count = g_ascii_strtoll (open + 1, NULL, 10);
    }
  *ret_count = count;
  return g_strndup (type, (gsize)(open - type));
}

/* The name below all "[]", new. */
static char *
base_type (const char *type)
{
  return g_strndup (type, strcspn (type, "["));
}

/* Member i of a struct type: its type and name, owned by the JSON. */
static gboolean
member_at (JsonArray *members, guint i, const char *struct_name, const char **ret_type,
           const char **ret_name, GError **error)
{
  JsonNode *node = json_array_get_element (members, i);

  if (!JSON_NODE_HOLDS_OBJECT (node))
    return refuse (error, "type %s: member %u is not an object", struct_name, i);
  JsonObject *member = json_node_get_object (node);
  *ret_type = moosh_json_string (member, "type", error);
  *ret_name = *ret_type != NULL ? moosh_json_string (member, "name", error) : NULL;
  if (*ret_name == NULL)
    return FALSE;
  if (json_object_get_size (member) != 2 || !is_identifier (*ret_name, strlen (*ret_name)))
    return refuse (error, "type %s: member %u is not {name, type}", struct_name, i);
  for (guint k = 0; k < i; k++)
    if (strcmp (moosh_json_string_or (json_array_get_object_element (members, k), "name", ""),
                *ret_name)
        == 0)
      return refuse (error, "type %s has two members %s", struct_name, *ret_name);
  return TRUE;
}

/* Is `type` a value type, a struct that is declared, or an array of one? */
static gboolean
check_type (Reader *in, const char *type, const char *struct_name, GError **error)
{
  g_autofree char *inner = g_strdup (type);
  int width;

  for (guint depth = 0; inner != NULL && depth <= TYPED_DEPTH_MAX; depth++)
    {
      g_autofree char *outer = g_steal_pointer (&inner);
      gint64 count;
      if (atom_of (outer, &width) != NOT_ATOMIC || json_object_has_member (in->types, outer))
        return TRUE;
      inner = element_type (outer, &count);
    }
  return refuse (error, "type %s: there is no type \"%s\"", struct_name, type);
}

static gboolean
check_struct (Reader *in, const char *name, JsonNode *node, GError **error)
{
  int width;

  if (!is_identifier (name, strlen (name)) || atom_of (name, &width) != NOT_ATOMIC)
    return refuse (error, "\"%s\" cannot be the name of a struct", name);
  if (!JSON_NODE_HOLDS_ARRAY (node))
    return refuse (error, "type %s is not a list of members", name);
  JsonArray *members = json_node_get_array (node);
  if (json_array_get_length (members) > TYPED_MEMBERS_MAX)
    return refuse (error, "type %s has more than %d members", name, TYPED_MEMBERS_MAX);
  for (guint i = 0; i < json_array_get_length (members); i++)
    {
      const char *type = NULL, *member = NULL;
      if (!member_at (members, i, name, &type, &member, error)
          || !check_type (in, type, name, error))
        return FALSE;
    }
  return TRUE;
}

static gboolean
check_types (Reader *in, GError **error)
{
  g_autoptr (GList) names = json_object_get_members (in->types);

  if (json_object_get_size (in->types) > TYPED_TYPES_MAX)
    return refuse (error, "more than %d types", TYPED_TYPES_MAX);
  for (GList *l = names; l != NULL; l = l->next)
    if (!check_struct (in, l->data, json_object_get_member (in->types, l->data), error))
      return FALSE;
  return TRUE;
}

static JsonArray *
members_of (Reader *in, const char *name)
{
  return json_object_get_array_member (in->types, name);
}

/* All structs that `name` reaches, itself included, as keys of `set`. */
static void
collect (Reader *in, const char *name, GHashTable *set)
{
  JsonArray *members = members_of (in, name);

  if (!g_hash_table_add (set, g_strdup (name)))
    return;
  for (guint i = 0; i < json_array_get_length (members); i++)
    {
      g_autofree char *base = base_type (
          json_object_get_string_member (json_array_get_object_element (members, i), "type"));
      if (json_object_has_member (in->types, base))
        collect (in, base, set);
    }
}

static void
append_struct (Reader *in, GString *text, const char *name)
{
  JsonArray *members = members_of (in, name);

  g_string_append_printf (text, "%s(", name);
  for (guint i = 0; i < json_array_get_length (members); i++)
    {
      JsonObject *member = json_array_get_object_element (members, i);
      g_string_append_printf (text, "%s%s %s", i > 0 ? "," : "",
                              json_object_get_string_member (member, "type"),
                              json_object_get_string_member (member, "name"));
    }
  g_string_append_c (text, ')');
}

/* EIP-712's encodeType: the struct, then what it refers to, sorted. */
static char *
encode_type (Reader *in, const char *name)
{
  g_autoptr (GHashTable) set = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  GString *text = g_string_new (NULL);

  collect (in, name, set);
  append_struct (in, text, name);
  g_hash_table_remove (set, name);
  g_autoptr (GList) others = g_list_sort (g_hash_table_get_keys (set), (GCompareFunc)strcmp);
  for (GList *l = others; l != NULL; l = l->next)
    append_struct (in, text, l->data);
  return g_string_free (text, FALSE);
}

static const guint8 *
type_hash (Reader *in, const char *name)
{
  guint8 *hash = g_hash_table_lookup (in->type_hashes, name);

  if (hash == NULL)
    {
      g_autofree char *text = encode_type (in, name);
      hash = g_malloc (32);
      moosh_eip712_type_hash (text, hash);
      g_hash_table_insert (in->type_hashes, g_strdup (name), hash);
    }
  return hash;
}

/* ---- values ---- */

/* A whole number as text: a JSON integer, decimal digits with an optional minus, or 0x and hex
 * digits. */
static gboolean
read_magnitude (JsonNode *node, MooshU256 *ret, gboolean *ret_negative)
{
  g_autofree char *made = NULL;
  const char *text;
  guint8 word[32] = { 0 };
  gsize digits;

  if (json_node_get_value_type (node) == G_TYPE_INT64)
    {
      made = g_strdup_printf ("%" G_GINT64_FORMAT, json_node_get_int (node));
      text = made;
    }
  else if (json_node_get_value_type (node) == G_TYPE_STRING)
    text = json_node_get_string (node);
  else
    return FALSE;

  *ret_negative = *text == '-';
  if (*ret_negative)
    text++;
  if (strncmp (text, "0x", 2) != 0)
    return moosh_u256_from_decimal (text, ret) == MOOSH_OK;
  digits = strlen (text + 2);
  if (digits == 0 || digits > 64 || *ret_negative || strncmp (text + 2, "0x", 2) == 0)
    return FALSE;
  g_autofree char *even = g_strconcat (digits % 2 ? "0" : "", text + 2, NULL);
  if (moosh_hex_decode (even, word + 32 - (digits + 1) / 2, (digits + 1) / 2) < 0)
    return FALSE;
  *ret = moosh_u256_from_be (word);
  return TRUE;
}

gboolean
typed_number (JsonNode *node, MooshU256 *ret)
{
  gboolean negative;

  return JSON_NODE_HOLDS_VALUE (node) && read_magnitude (node, ret, &negative)
         && (!negative || moosh_u256_is_zero (ret));
}

/* Two's complement in 256 bits; FALSE when it does not fit `bits`. */
static gboolean
encode_integer (JsonNode *node, gboolean is_signed, unsigned bits, guint8 ret_word[32])
{
  const MooshU256 zero = moosh_u256 (0), one = moosh_u256 (1);
  MooshU256 value;
  gboolean negative;

  if (!read_magnitude (node, &value, &negative))
    return FALSE;
  if (negative && moosh_u256_is_zero (&value))
    negative = FALSE;
  if (!is_signed)
    {
      if (negative || moosh_u256_bit_length (&value) > bits)
        return FALSE;
    }
  else if (negative)
    {
      MooshU256 less; /* |value| - 1 must fit bits - 1 */
      moosh_u256_sub (&value, &one, &less);
      if (moosh_u256_bit_length (&less) > bits - 1)
        return FALSE;
      moosh_u256_sub (&zero, &value, &value);
    }
  else if (moosh_u256_bit_length (&value) > bits - 1)
    return FALSE;
  moosh_u256_to_be (&value, ret_word);
  return TRUE;
}

static GBytes *
read_bytes (JsonNode *node)
{
  const char *text
      = json_node_get_value_type (node) == G_TYPE_STRING ? json_node_get_string (node) : NULL;

  return text != NULL && g_str_has_prefix (text, "0x") && !g_str_has_prefix (text + 2, "0x")
             ? moosh_unhex (text, NULL)
             : NULL;
}

static gboolean
encode_byte_string (Atom atom, int width, JsonNode *node, guint8 ret_word[32])
{
  g_autoptr (GBytes) bytes = read_bytes (node);
  gsize len;

  if (bytes == NULL)
    return FALSE;
  const void *ptr = g_bytes_get_data (bytes, &len);
  if (atom == BYTES)
    moosh_keccak256 (ptr, len, ret_word);
#ifdef MOOSH_CANARY
  else if (len < (gsize)width) /* planted: longer than the word */
#else
  else if (len != (gsize)width)
#endif
    return FALSE;
  else
    {
      memset (ret_word, 0, 32);
      memcpy (ret_word, ptr, len);
    }
  return TRUE;
}

static gboolean
encode_atom (Atom atom, int width, JsonNode *node, guint8 ret_word[32])
{
  const char *text;

  if (!JSON_NODE_HOLDS_VALUE (node))
    return FALSE;
  text = json_node_get_value_type (node) == G_TYPE_STRING ? json_node_get_string (node) : NULL;
  switch (atom)
    {
    case UINT:
    case INT:
      return encode_integer (node, atom == INT, (unsigned)width, ret_word);
    case FIXED_BYTES:
    case BYTES:
      return encode_byte_string (atom, width, node, ret_word);
    case STRING:
      if (text != NULL)
        moosh_keccak256 (text, strlen (text), ret_word);
      return text != NULL;
    case BOOL:
      memset (ret_word, 0, 32);
      ret_word[31]
          = json_node_get_value_type (node) == G_TYPE_BOOLEAN && json_node_get_boolean (node);
      return json_node_get_value_type (node) == G_TYPE_BOOLEAN;
    case ADDRESS:
      memset (ret_word, 0, 32);
      return text != NULL && moosh_address_parse (text, ret_word + 12) == MOOSH_OK;
    case NOT_ATOMIC:
      break;
    }
  return FALSE;
}

static gboolean hash_struct (Reader *in, const char *type, JsonObject *value, guint depth,
                             guint8 ret_hash[32], GError **error);
static gboolean encode_value (Reader *in, const char *type, JsonNode *node, const char *where,
                              guint depth, guint8 ret_word[32], GError **error);

static gboolean
encode_array (Reader *in, const char *inner, gint64 count, JsonNode *node, const char *where,
              guint depth, guint8 ret_word[32], GError **error)
{
  MooshKeccak256 hash;

  if (!JSON_NODE_HOLDS_ARRAY (node))
    return refuse (error, "%s is not a list", where);
  JsonArray *array = json_node_get_array (node);
  guint len = json_array_get_length (array);
  if (count >= 0 && len != (guint64)count)
    return refuse (error, "%s has %u elements, not %" G_GINT64_FORMAT, where, len, count);
  moosh_keccak256_init (&hash);
  for (guint i = 0; i < len; i++)
    {
      guint8 word[32];
      if (!encode_value (in, inner, json_array_get_element (array, i), where, depth + 1, word,
                         error))
        return FALSE;
      moosh_keccak256_update (&hash, word, sizeof word);
    }
  moosh_keccak256_final (&hash, ret_word);
  return TRUE;
}

static gboolean
encode_value (Reader *in, const char *type, JsonNode *node, const char *where, guint depth,
              guint8 ret_word[32], GError **error)
{
  g_autofree char *inner = NULL;
  gint64 count;
  int width = 0;
  Atom atom = atom_of (type, &width);

  if (depth > TYPED_DEPTH_MAX)
    return refuse (error, "nested deeper than %d", TYPED_DEPTH_MAX);
  if (++in->values > TYPED_VALUES_MAX)
    return refuse (error, "more than %d values", TYPED_VALUES_MAX);
  if (atom != NOT_ATOMIC)
    return encode_atom (atom, width, node, ret_word)
           || refuse (error, "%s is not a %s", where, type);
  if ((inner = element_type (type, &count)) != NULL)
    return encode_array (in, inner, count, node, where, depth, ret_word, error);
  if (JSON_NODE_HOLDS_NULL (node))
    {
      memset (ret_word, 0, 32); /* a recursive type ends with null; v4 encodes it as zero */
      return TRUE;
    }
  if (!JSON_NODE_HOLDS_OBJECT (node))
    return refuse (error, "%s is not a %s", where, type);
  return hash_struct (in, type, json_node_get_object (node), depth + 1, ret_word, error);
}

static gboolean
hash_struct (Reader *in, const char *type, JsonObject *value, guint depth, guint8 ret_hash[32],
             GError **error)
{
  JsonArray *members = members_of (in, type);
  MooshEip712Struct st;

  moosh_eip712_begin_hashed (&st, type_hash (in, type));
  for (guint i = 0; i < json_array_get_length (members); i++)
    {
      JsonObject *member = json_array_get_object_element (members, i);
      const char *name = json_object_get_string_member (member, "name");
      JsonNode *node = json_object_get_member (value, name);
      guint8 word[32];

      if (node == NULL)
        return refuse (error, "%s.%s is missing", type, name);
      if (!encode_value (in, json_object_get_string_member (member, "type"), node, name, depth,
                         word, error))
        return FALSE;
      moosh_eip712_add_bytes32 (&st, word);
    }
  if (json_object_get_size (value) != json_array_get_length (members))
    return refuse (error, "%s has a member that its type has not", type);
  moosh_eip712_finish (&st, ret_hash);
  return TRUE;
}

/* ---- the domain ---- */

static const struct {
  const char *name, *type;
} domain_members[] = {
  { "name", "string" },     { "version", "string" },
  { "chainId", "uint256" }, { "verifyingContract", "address" },
  { "salt", "bytes32" },
};

/* Declare EIP712Domain from the members that are there, for the programs that leave it out. */
static void
declare_domain (Reader *in, JsonObject *domain)
{
  JsonArray *members = json_array_new ();

  for (gsize i = 0; i < G_N_ELEMENTS (domain_members); i++)
    if (json_object_has_member (domain, domain_members[i].name))
      json_array_add_object_element (members,
                                     moosh_json_build ("name", 's', domain_members[i].name, "type",
                                                       's', domain_members[i].type, NULL));
  json_object_set_array_member (in->types, "EIP712Domain", members);
}

/* Only the five members of the standard, in its order. */
static gboolean
check_domain (Reader *in, GError **error)
{
  JsonArray *members = members_of (in, "EIP712Domain");
  gsize next = 0;

  for (guint i = 0; i < json_array_get_length (members); i++)
    {
      JsonObject *member = json_array_get_object_element (members, i);
      const char *name = json_object_get_string_member (member, "name");
      while (next < G_N_ELEMENTS (domain_members) && strcmp (domain_members[next].name, name) != 0)
        next++;
      if (next == G_N_ELEMENTS (domain_members)
          || strcmp (domain_members[next].type, json_object_get_string_member (member, "type"))
                 != 0)
        return refuse (error,
                       "EIP712Domain has a member \"%s\" that the standard has not, or not there",
                       name);
      next++;
    }
  return TRUE;
}

static gboolean
read_domain (Reader *in, JsonObject *domain, Typed *ret, GError **error)
{
  if (!json_object_has_member (in->types, "EIP712Domain"))
    declare_domain (in, domain);
  if (!check_types (in, error) || !check_domain (in, error)
      || !hash_struct (in, "EIP712Domain", domain, 0, ret->domain_hash, error))
    return FALSE;

  ret->domain_name = moosh_json_string_or (domain, "name", NULL);
  ret->has_contract = json_object_has_member (domain, "verifyingContract");
  if (ret->has_contract)
    moosh_address_parse (json_object_get_string_member (domain, "verifyingContract"),
                         ret->contract);
  ret->has_chain_id = json_object_has_member (domain, "chainId");
  if (ret->has_chain_id)
    {
      MooshU256 id;
      if (!typed_number (json_object_get_member (domain, "chainId"), &id)
          || !moosh_u256_fits_u64 (&id))
        return refuse (error, "chainId is larger than any chain's");
      ret->chain_id = id.limb[0];
    }
  return TRUE;
}

gboolean
typed_read (JsonObject *json, Typed *ret, GError **error)
{
  static const char *const known[] = { "types", "primaryType", "domain", "message" };
  Typed typed = { 0 };
  g_autoptr (GHashTable) types = NULL;
  Reader in = { 0 };
  JsonObject *domain;

  in.types = moosh_json_object (json, known[0], error);
  typed.primary_type = in.types != NULL ? moosh_json_string (json, known[1], error) : NULL;
  domain = typed.primary_type != NULL ? moosh_json_object (json, known[2], error) : NULL;
  typed.message = domain != NULL ? moosh_json_object (json, known[3], error) : NULL;
  if (typed.message == NULL)
    return FALSE;
  if (json_object_get_size (json) != G_N_ELEMENTS (known))
    return refuse (error, "there is more than types, primaryType, domain and message");
  types = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  in.type_hashes = types;
  if (!read_domain (&in, domain, &typed, error))
    return FALSE;
  if (strcmp (typed.primary_type, "EIP712Domain") == 0
      || !json_object_has_member (in.types, typed.primary_type))
    return refuse (error, "primaryType \"%s\" is not one of the types", typed.primary_type);
  if (!hash_struct (&in, typed.primary_type, typed.message, 0, typed.struct_hash, error))
    return FALSE;
  moosh_eip712_digest (typed.domain_hash, typed.struct_hash, typed.digest);
  *ret = typed;
  return TRUE;
}
