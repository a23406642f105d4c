#include "chain/contract.h"
#include "chain/bindings.h"
#include <json-glib/json-glib.h>
#include <string.h>

#define CALL_VALUES_MAX 4096 /* of one moosh_call_new */

/* ---- writing ---- */

/* Fills the leaves from a variable argument list; what the values point to is kept in `keep`. */
typedef struct {
  va_list *args;
} Arguments;

static int
take_argument (const MooshAbiLeaf *leaf, MooshAbiValue *value, void *user)
{
  va_list *args = ((Arguments *)user)->args;
  const char *text;
  GBytes *bytes;

  switch (leaf->kind)
    {
    case MOOSH_ABI_UINT:
    case MOOSH_ABI_INT:
      *value = leaf->bits <= 64 ? moosh_abi_u64 (va_arg (*args, guint64))
                                : moosh_abi_u256 (va_arg (*args, MooshU256 *));
      if (leaf->kind == MOOSH_ABI_INT && leaf->bits <= 64 && (value->word[24] & 0x80) != 0)
        memset (value->word, 0xff, 24); /* a negative gint64 */
      return MOOSH_OK;
    case MOOSH_ABI_BOOL:
      *value = moosh_abi_u64 (va_arg (*args, gboolean) ? 1 : 0);
      return MOOSH_OK;
    case MOOSH_ABI_ADDRESS:
      *value = moosh_abi_address (va_arg (*args, const guint8 *));
      return MOOSH_OK;
    case MOOSH_ABI_FIXED:
      *value = moosh_abi_fixed (va_arg (*args, const guint8 *), leaf->bits);
      return MOOSH_OK;
    case MOOSH_ABI_BYTES:
      bytes = va_arg (*args, GBytes *);
      *value = moosh_abi_bytes (bytes != NULL ? g_bytes_get_data (bytes, NULL) : NULL,
                                bytes != NULL ? g_bytes_get_size (bytes) : 0);
      return MOOSH_OK;
    case MOOSH_ABI_STRING:
      text = va_arg (*args, const char *);
      *value = moosh_abi_bytes (text, strlen (text));
      return MOOSH_OK;
    case MOOSH_ABI_COUNT:
      *value = moosh_abi_u64 (va_arg (*args, guint64));
      return MOOSH_OK;
    }
  return MOOSH_E_STATE;
}

GBytes *
moosh_call_new_values (const MooshAbiFunction *function, const MooshAbiValue *values, gsize count,
                       GError **error)
{
  g_autofree guint8 *call = NULL;
  gsize len;
  int result = moosh_abi_size (function->inputs, values, count, &len);

  if (result == MOOSH_OK)
    {
      call = g_malloc (4 + len);
      memcpy (call, function->selector, 4);
      result = moosh_abi_encode (function->inputs, values, count, call + 4, len, &len);
    }
  if (result != MOOSH_OK)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE, "%s.%s: arguments refused: %s",
                   function->contract, function->name, moosh_strerror (result));
      return NULL;
    }
  return g_bytes_new_take (g_steal_pointer (&call), 4 + len);
}

static GBytes *
call_new_va (const MooshAbiFunction *function, va_list *args, GError **error)
{
  g_autofree MooshAbiValue *values = g_new (MooshAbiValue, CALL_VALUES_MAX);
  Arguments arguments = { args };
  gsize count = 0;
  int result = moosh_abi_walk (function->inputs, NULL, values, CALL_VALUES_MAX, take_argument,
                               &arguments, &count);

  if (result != MOOSH_OK)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE, "%s.%s: %s", function->contract,
                   function->name, moosh_strerror (result));
      return NULL;
    }
  return moosh_call_new_values (function, values, count, error);
}

GBytes *
moosh_call_new (const MooshAbiFunction *function, GError **error, ...)
{
  va_list args;
  GBytes *call;

  va_start (args, error);
  call = call_new_va (function, &args, error);
  va_end (args);
  return call;
}

/* ---- reading ---- */

/* A tuple that was read: its type, its names, its values and the bytes they point into. */
typedef struct {
  char *types, *names;
  GBytes *bytes;
  MooshAbiValue *values;
  gsize count;
} Part;

/* An event has two: the topics and the data. */
struct MooshDecoded {
  Part parts[2];
  guint n_parts;
};

static void
part_clear (Part *part)
{
  g_free (part->types);
  g_free (part->names);
  g_clear_pointer (&part->bytes, g_bytes_unref);
  g_free (part->values);
}

void
moosh_decoded_free (MooshDecoded *decoded)
{
  if (decoded == NULL)
    return;
  for (guint i = 0; i < decoded->n_parts; i++)
    part_clear (&decoded->parts[i]);
  g_free (decoded);
}

/* Read `bytes` as a further part; takes types and names. Every value has a word of its own in the
 * input, which bounds how many there can be. */
static int
decoded_add (MooshDecoded *decoded, char *types, char *names, GBytes *bytes)
{
  Part *part = &decoded->parts[decoded->n_parts++];
  gsize len, size;
  const guint8 *data = g_bytes_get_data (bytes, &len);

  size = len / 32 + 1;
  part->types = types;
  part->names = names;
  part->bytes = g_bytes_ref (bytes);
  part->values = g_new (MooshAbiValue, size);
  return moosh_abi_decode (types, (MooshSpan){ data, len }, part->values, size, &part->count);
}

MooshDecoded *
moosh_output_decode (const MooshAbiFunction *function, GBytes *output, GError **error)
{
  g_autoptr (MooshDecoded) decoded = g_new0 (MooshDecoded, 1);
  int result = decoded_add (decoded, g_strdup (function->outputs),
                            g_strdup (function->output_names), output);

  if (result == MOOSH_OK)
    return g_steal_pointer (&decoded);
  if (g_bytes_get_size (output) == 0)
    g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_PROTOCOL,
                 "%s.%s: nothing came back: there is no contract at its address",
                 function->contract, function->name);
  else
    g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_PROTOCOL, "%s.%s: the answer is not %s: %s",
                 function->contract, function->name, function->outputs, moosh_strerror (result));
  return NULL;
}

MooshDecoded *
moosh_contract_read (MooshChain *chain, const guint8 to[20], const MooshAbiFunction *function,
                     GError **error, ...)
{
  g_autoptr (GBytes) input = NULL, output = NULL;
  va_list args;

  va_start (args, error);
  input = call_new_va (function, &args, error);
  va_end (args);
  if (input == NULL)
    return NULL;
  output = moosh_chain_call (chain, NULL, to, input, MOOSH_CHAIN_LATEST, NULL, error);
  if (output == NULL)
    {
      g_prefix_error (error, "%s.%s: ", function->contract, function->name);
      return NULL;
    }
  return moosh_output_decode (function, output, error);
}

/* The end of the member that begins at `at`: a comma or the closing parenthesis of its own level.
 */
static const char *
member_end (const char *at)
{
  int depth = 0;

  for (;; at++)
    {
      if (depth == 0 && (*at == ',' || *at == ')'))
        return at;
      depth += (*at == '(') - (*at == ')');
    }
}

static void
append_member (GString *tuple, const char *from, gsize len)
{
  if (tuple->len > 1)
    g_string_append_c (tuple, ',');
  g_string_append_len (tuple, from, (gssize)len);
}

/* Split an event's parameters into topics and data. A topic of a dynamic type or a struct is a
 * hash: bytes32. */
static void
split_event (const MooshAbiEvent *event, GString *types[2], GString *names[2])
{
  const char *type = event->inputs + 1, *name = event->names + 1;

  for (guint i = 0; *type != '\0' && *type != ')'; i++)
    {
      gsize type_len = (gsize)(member_end (type) - type),
            name_len = (gsize)(member_end (name) - name);
      g_autofree char *alone = g_strndup (type, type_len);
      gboolean topic = (event->indexed >> i & 1) != 0;

      if (topic && (moosh_abi_is_dynamic (alone) != 0 || strpbrk (alone, "([") != NULL))
        {
          append_member (types[0], "bytes32", 7);
          append_member (names[0], name, strcspn (name, "(,)"));
        }
      else
        {
          append_member (types[topic ? 0 : 1], type, type_len);
          append_member (names[topic ? 0 : 1], name, name_len);
        }
      type += type_len + (type[type_len] == ',');
      name += name_len + (name[name_len] == ',');
    }
  for (guint i = 0; i < 2; i++)
    {
      g_string_append_c (types[i], ')');
      g_string_append_c (names[i], ')');
    }
}

gboolean
moosh_event_is (const MooshAbiEvent *event, const MooshLog *log)
{
  return log->n_topics > 0 && memcmp (log->topics[0], event->topic, 32) == 0;
}

MooshDecoded *
moosh_event_decode (const MooshAbiEvent *event, const MooshLog *log, GError **error)
{
  g_autoptr (MooshDecoded) decoded = g_new0 (MooshDecoded, 1);
  g_autoptr (GBytes) topics = NULL;
  GString *types[2], *names[2];
  int result = MOOSH_E_MALFORMED;

  if (moosh_event_is (event, log))
    {
      for (guint i = 0; i < 2; i++)
        {
          types[i] = g_string_new ("(");
          names[i] = g_string_new ("(");
        }
      split_event (event, types, names);
      topics = g_bytes_new (log->topics[1], (log->n_topics - 1) * 32);
      result = decoded_add (decoded, g_string_free (types[0], FALSE),
                            g_string_free (names[0], FALSE), topics);
      if (result == MOOSH_OK)
        result = decoded_add (decoded, g_string_free (types[1], FALSE),
                              g_string_free (names[1], FALSE), log->data);
      else
        {
          g_string_free (types[1], TRUE);
          g_string_free (names[1], TRUE);
        }
    }
  if (result == MOOSH_OK)
    return g_steal_pointer (&decoded);
  g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_PROTOCOL,
               "log %u of block %" G_GUINT64_FORMAT " is not a %s.%s: %s", log->index, log->block,
               event->contract, event->name, moosh_strerror (result));
  return NULL;
}

const MooshAbiEvent *
moosh_event_find (const char *contract, const MooshLog *log)
{
  for (guint i = 0; i < moosh_abi_events_count; i++)
    if (moosh_event_is (&moosh_abi_events[i], log)
        && (contract == NULL || strcmp (contract, moosh_abi_events[i].contract) == 0))
      return &moosh_abi_events[i];
  return NULL;
}

static const MooshAbiValue *
find_value (MooshDecoded *decoded, const char *path)
{
  for (guint i = 0; i < decoded->n_parts; i++)
    {
      const Part *part = &decoded->parts[i];
      int index = moosh_abi_find (part->types, part->names, part->values, part->count, path);

      if (index >= 0)
        return &part->values[index];
    }
  g_error ("no member %s in %s", path, decoded->parts[decoded->n_parts - 1].names);
}

guint64
moosh_decoded_u64 (MooshDecoded *decoded, const char *path)
{
  guint64 value;

  if (moosh_abi_get_u64 (find_value (decoded, path), &value) != MOOSH_OK)
    return G_MAXUINT64;
  return value;
}

MooshU256
moosh_decoded_u256 (MooshDecoded *decoded, const char *path)
{
  return moosh_abi_get_u256 (find_value (decoded, path));
}

gboolean
moosh_decoded_bool (MooshDecoded *decoded, const char *path)
{
  return find_value (decoded, path)->word[31] != 0;
}

const guint8 *
moosh_decoded_address (MooshDecoded *decoded, const char *path)
{
  return find_value (decoded, path)->word + 12;
}

const guint8 *
moosh_decoded_fixed (MooshDecoded *decoded, const char *path)
{
  return find_value (decoded, path)->word;
}

const guint8 *
moosh_decoded_bytes (MooshDecoded *decoded, const char *path, gsize *ret_len)
{
  MooshSpan bytes = find_value (decoded, path)->bytes;

  *ret_len = bytes.len;
  return bytes.ptr;
}

char *
moosh_decoded_string (MooshDecoded *decoded, const char *path)
{
  MooshSpan text = find_value (decoded, path)->bytes;

  return g_strndup ((const char *)text.ptr, text.len);
}

/* ---- artifacts ---- */

GBytes *
moosh_artifact_bytecode (const char *path, GError **error)
{
  g_autoptr (JsonParser) parser = json_parser_new ();
  g_autofree guint8 *code = NULL;
  JsonObject *root, *bytecode;
  const char *hex;
  gsize len;

  if (!json_parser_load_from_file (parser, path, error))
    return NULL;
  root = JSON_NODE_HOLDS_OBJECT (json_parser_get_root (parser))
             ? json_node_get_object (json_parser_get_root (parser))
             : NULL;
  bytecode = root != NULL && json_object_has_member (root, "bytecode")
                 ? json_object_get_object_member (root, "bytecode")
                 : NULL;
  hex = bytecode != NULL ? json_object_get_string_member_with_default (bytecode, "object", NULL)
                         : NULL;
  len = hex != NULL ? strlen (hex) / 2 - (g_str_has_prefix (hex, "0x") ? 1 : 0) : 0;
  code = g_malloc (len + 1);
  if (len == 0 || moosh_hex_decode (hex, code, len) != MOOSH_OK)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE,
                   "%s: no bytecode (abstract, or with unlinked libraries)", path);
      return NULL;
    }
  return g_bytes_new_take (g_steal_pointer (&code), len);
}
