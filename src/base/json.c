#include "base/json.h"
#include "base/error.h"
#include "core/bytes/bytes.h"
#include <stdarg.h>
#include <string.h>

enum { DEPTH_MAX = 32 };

/* The member's node if it is there and of the wanted type; otherwise NULL with a sentence. */
static JsonNode *
member_of (JsonObject *object, const char *member, JsonNodeType node_type, GType value_type,
           GError **error)
{
  JsonNode *node = json_object_get_member (object, member);

  if (node == NULL || JSON_NODE_HOLDS_NULL (node))
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE, "\"%s\" is missing", member);
      return NULL;
    }
  if (JSON_NODE_TYPE (node) != node_type
      || (node_type == JSON_NODE_VALUE && json_node_get_value_type (node) != value_type))
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE, "\"%s\" is of the wrong type", member);
      return NULL;
    }
  return node;
}

const char *
moosh_json_string (JsonObject *object, const char *member, GError **error)
{
  JsonNode *node = member_of (object, member, JSON_NODE_VALUE, G_TYPE_STRING, error);
  return node != NULL ? json_node_get_string (node) : NULL;
}

gboolean
moosh_json_int (JsonObject *object, const char *member, gint64 *ret, GError **error)
{
  JsonNode *node = member_of (object, member, JSON_NODE_VALUE, G_TYPE_INT64, error);

  if (node == NULL)
    return FALSE;
  *ret = json_node_get_int (node);
  return TRUE;
}

gboolean
moosh_json_bool (JsonObject *object, const char *member, gboolean *ret, GError **error)
{
  JsonNode *node = member_of (object, member, JSON_NODE_VALUE, G_TYPE_BOOLEAN, error);

  if (node == NULL)
    return FALSE;
  *ret = json_node_get_boolean (node);
  return TRUE;
}

JsonObject *
moosh_json_object (JsonObject *object, const char *member, GError **error)
{
  JsonNode *node = member_of (object, member, JSON_NODE_OBJECT, G_TYPE_INVALID, error);
  return node != NULL ? json_node_get_object (node) : NULL;
}

JsonArray *
moosh_json_array (JsonObject *object, const char *member, GError **error)
{
  JsonNode *node = member_of (object, member, JSON_NODE_ARRAY, G_TYPE_INVALID, error);
  return node != NULL ? json_node_get_array (node) : NULL;
}

const char *
moosh_json_string_or (JsonObject *object, const char *member, const char *fallback)
{
  const char *value = moosh_json_string (object, member, NULL);
  return value != NULL ? value : fallback;
}

gint64
moosh_json_int_or (JsonObject *object, const char *member, gint64 fallback)
{
  moosh_json_int (object, member, &fallback, NULL);
  return fallback;
}

gboolean
moosh_json_bool_or (JsonObject *object, const char *member, gboolean fallback)
{
  moosh_json_bool (object, member, &fallback, NULL);
  return fallback;
}

GBytes *
moosh_json_hex (JsonObject *object, const char *member, gsize len, GError **error)
{
  const char *text = moosh_json_string (object, member, error);
  g_autoptr (GBytes) bytes = NULL;

  if (text == NULL)
    return NULL;
  bytes = moosh_unhex (text, error);
  if (bytes == NULL)
    {
      g_prefix_error (error, "\"%s\": ", member);
      return NULL;
    }
  if (len != 0 && g_bytes_get_size (bytes) != len)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE, "\"%s\" has %zu bytes, not %zu", member,
                   g_bytes_get_size (bytes), len);
      return NULL;
    }
  return g_steal_pointer (&bytes);
}

/* json-glib recurses while it parses: look at the nesting before it does. */
static gboolean
depth_is_sane (const char *text, gsize len)
{
  int depth = 0;
  gboolean in_string = FALSE;

  for (gsize i = 0; i < len; i++)
    {
      char c = text[i];

      if (in_string)
        {
          if (c == '\\')
            i++;
          else if (c == '"')
            in_string = FALSE;
        }
      else if (c == '"')
        in_string = TRUE;
      else if ((c == '{' || c == '[') && ++depth > DEPTH_MAX)
        return FALSE;
      else if (c == '}' || c == ']')
        depth--;
    }
  return TRUE;
}

JsonObject *
moosh_json_parse (const char *text, gssize len, GError **error)
{
  g_autoptr (JsonParser) parser = json_parser_new_immutable ();
  g_autoptr (GError) local = NULL;
  gsize size = len < 0 ? strlen (text) : (gsize)len;
  JsonNode *root;

  if (!depth_is_sane (text, size))
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE, "JSON nested more than %d deep",
                   DEPTH_MAX);
      return NULL;
    }
  if (memchr (text, '\0', size) != NULL || !g_utf8_validate (text, (gssize)size, NULL)
      || !json_parser_load_from_data (parser, text, (gssize)size, &local))
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE, "not valid JSON%s%s", local ? ": " : "",
                   local ? local->message : "");
      return NULL;
    }
  root = json_parser_get_root (parser);
  if (root == NULL || !JSON_NODE_HOLDS_OBJECT (root))
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE, "not a JSON object");
      return NULL;
    }
  return json_object_ref (json_node_get_object (root));
}

char *
moosh_json_print (JsonObject *object, gboolean pretty)
{
  g_autoptr (JsonNode) node = json_node_alloc ();

  json_node_init_object (node, object);
  return json_to_string (node, pretty);
}

JsonObject *
moosh_json_build (const char *name, ...)
{
  JsonObject *object = json_object_new ();
  va_list args;

  va_start (args, name);
  for (; name != NULL; name = va_arg (args, const char *))
    switch (va_arg (args, int))
      {
        case 's': {
          const char *text = va_arg (args, const char *);
          if (text != NULL)
            json_object_set_string_member (object, name, text);
          else
            json_object_set_null_member (object, name);
        }
        break;
      case 'i':
        json_object_set_int_member (object, name, va_arg (args, gint64));
        break;
      case 'b':
        json_object_set_boolean_member (object, name, va_arg (args, gboolean));
        break;
      case 'd':
        json_object_set_double_member (object, name, va_arg (args, double));
        break;
        case 'x': {
          GBytes *bytes = va_arg (args, GBytes *);
          g_autofree char *hex
              = bytes ? moosh_hex (g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes)) : NULL;
          if (hex != NULL)
            json_object_set_string_member (object, name, hex);
          else
            json_object_set_null_member (object, name);
        }
        break;
        case 'o': {
          JsonObject *child = va_arg (args, JsonObject *);
          if (child != NULL)
            json_object_set_object_member (object, name, child);
          else
            json_object_set_null_member (object, name);
        }
        break;
        case 'a': {
          JsonArray *child = va_arg (args, JsonArray *);
          if (child != NULL)
            json_object_set_array_member (object, name, child);
          else
            json_object_set_null_member (object, name);
        }
        break;
      default:
        g_error ("moosh_json_build: unknown type letter for \"%s\"", name);
      }
  va_end (args);
  return object;
}

char *
moosh_hex (const void *bytes, gsize len)
{
  char *text = g_malloc (2 * len + 3);

  memcpy (text, "0x", 2);
  moosh_hex_encode (bytes, len, text + 2);
  return text;
}

GBytes *
moosh_unhex (const char *hex, GError **error)
{
  gsize digits = strlen (hex);
  g_autofree guint8 *bytes = NULL;

  if (digits >= 2 && hex[0] == '0' && (hex[1] == 'x' || hex[1] == 'X'))
    hex += 2, digits -= 2;
  bytes = g_malloc (digits / 2 + 1);
  if (digits % 2 != 0 || moosh_hex_decode (hex, bytes, digits / 2) != MOOSH_OK)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE, "not hexadecimal");
      return NULL;
    }
  return g_bytes_new_take (g_steal_pointer (&bytes), digits / 2);
}
