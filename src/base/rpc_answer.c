#include "base/rpc_answer.h"
#include "base/json.h"
#include <string.h>

static gboolean
param_fits (char type, JsonNode *node)
{
  JsonNodeType kind = json_node_get_node_type (node);

  switch (type)
    {
    case 's':
      return kind == JSON_NODE_VALUE && json_node_get_value_type (node) == G_TYPE_STRING;
    case 'i':
      return kind == JSON_NODE_VALUE && json_node_get_value_type (node) == G_TYPE_INT64;
    case 'b':
      return kind == JSON_NODE_VALUE && json_node_get_value_type (node) == G_TYPE_BOOLEAN;
    case 'o':
      return kind == JSON_NODE_OBJECT;
    case 'a':
      return kind == JSON_NODE_ARRAY;
    default:
      return TRUE;
    }
}

static const MooshRpcParam *
find_param (const MooshRpcParam *table, const char *name)
{
  for (; table->name != NULL; table++)
    if (strcmp (table->name, name) == 0)
      return table;
  return NULL;
}

static gboolean
check_params (const MooshRpcMethod *method, JsonObject *params, GError **error)
{
  g_autoptr (GList) names = json_object_get_members (params);

  for (GList *l = names; l != NULL; l = l->next)
    {
      const MooshRpcParam *param = find_param (method->params, l->data);
      JsonNode *node = json_object_get_member (params, l->data);

      if (param == NULL)
        {
          g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE, "%s takes no parameter \"%s\"",
                       method->name, (const char *)l->data);
          return FALSE;
        }
      if (!JSON_NODE_HOLDS_NULL (node) && !param_fits (param->type, node))
        {
          g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE, "%s: \"%s\" is of the wrong type",
                       method->name, param->name);
          return FALSE;
        }
    }
#ifdef MOOSH_CANARY
  if (strlen (moosh_json_string_or (params, "s", "")) == 3)
    __builtin_trap (); /* planted, for the fuzzer to find */
#endif
  for (const MooshRpcParam *param = method->params; param->name != NULL; param++)
    if (param->required
        && (!json_object_has_member (params, param->name)
            || json_object_get_null_member (params, param->name)))
      {
        g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE, "%s needs \"%s\"", method->name,
                     param->name);
        return FALSE;
      }
  return TRUE;
}

static JsonObject *
dispatch (const MooshRpcMethod *method, gpointer user_data, const MooshRpcPeer *peer,
          JsonObject *request, GError **error)
{
  const char *name = moosh_json_string (request, "method", error);
  g_autoptr (JsonObject) params = NULL;

  if (name == NULL)
    return NULL;
  if (!json_object_has_member (request, "params"))
    params = json_object_new ();
  else
    {
      JsonObject *given = moosh_json_object (request, "params", error);
      if (given == NULL)
        return NULL;
      params = json_object_ref (given);
    }
  for (; method->name != NULL; method++)
    if (strcmp (method->name, name) == 0)
      {
        if (method->params != NULL && !check_params (method, params, error))
          return NULL;
        return method->handler (peer, params, user_data, error);
      }
  g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE, "there is no method \"%s\"", name);
  return NULL;
}

/* The reply line for a result (consumed) or an error. `id` may be NULL: JSON-RPC says null then. */
static char *
reply_line (JsonNode *id, JsonObject *result, const GError *error)
{
  g_autoptr (JsonObject) reply = moosh_json_build ("jsonrpc", 's', "2.0", NULL);
  g_autofree char *text = NULL;

  json_object_set_member (reply, "id",
                          id != NULL ? json_node_copy (id) : json_node_new (JSON_NODE_NULL));
  if (result != NULL)
    json_object_set_object_member (reply, "result", result);
  else
    {
      int code = error->domain == MOOSH_ERROR ? error->code : MOOSH_ERROR_FAILED;
      json_object_set_object_member (
          reply, "error",
          moosh_json_build (
              "code", 'i', (gint64)(-32000 - code), "message", 's', error->message, "data", 'o',
              moosh_json_build ("kind", 's', moosh_error_name ((MooshError)code), NULL), NULL));
    }
  text = moosh_json_print (reply, FALSE);
  return g_strconcat (text, "\n", NULL);
}

char *
moosh_rpc_error_line (const GError *error)
{
  return reply_line (NULL, NULL, error);
}

char *
moosh_rpc_answer (const MooshRpcMethod *methods, gpointer user_data, const MooshRpcPeer *peer,
                  const char *line)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonObject) request = moosh_json_parse (line, -1, &error);
  JsonObject *result = NULL;
  JsonNode *id = request != NULL ? json_object_get_member (request, "id") : NULL;
  g_autofree char *reply = NULL;

  if (id != NULL && !JSON_NODE_HOLDS_VALUE (id))
    id = NULL;
  if (request != NULL)
    result = dispatch (methods, user_data, peer, request, &error);
  reply = reply_line (id, result, error);
  if (strlen (reply) > MOOSH_RPC_MESSAGE_MAX)
    {
      g_clear_error (&error);
      g_set_error (&error, MOOSH_ERROR, MOOSH_ERROR_LIMIT,
                   "the answer is larger than %d bytes: ask for less", MOOSH_RPC_MESSAGE_MAX);
      g_free (reply);
      reply = reply_line (id, NULL, error);
    }
  return g_steal_pointer (&reply);
}
