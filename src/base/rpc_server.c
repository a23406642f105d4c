#include "base/json.h"
#include "base/rpc.h"
#include "base/wire.h"
#include <errno.h>
#include <gio/gunixsocketaddress.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

struct MooshRpcServer {
  char *path;
  const MooshRpcMethod *methods;
  gpointer user_data;
  GSocketService *service;
  GCancellable *stop;
  GMutex lock;
  GCond idle;
  guint connections;
};

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
dispatch (MooshRpcServer *server, const MooshRpcPeer *peer, JsonObject *request, GError **error)
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
  for (const MooshRpcMethod *method = server->methods; method->name != NULL; method++)
    if (strcmp (method->name, name) == 0)
      {
        if (method->params != NULL && !check_params (method, params, error))
          return NULL;
        return method->handler (peer, params, server->user_data, error);
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

static char *
answer (MooshRpcServer *server, const MooshRpcPeer *peer, const char *line)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonObject) request = moosh_json_parse (line, -1, &error);
  JsonObject *result = NULL;
  JsonNode *id = request != NULL ? json_object_get_member (request, "id") : NULL;
  g_autofree char *reply = NULL;

  if (id != NULL && !JSON_NODE_HOLDS_VALUE (id))
    id = NULL;
  if (request != NULL)
    result = dispatch (server, peer, request, &error);
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

static void
serve (MooshRpcServer *server, GSocket *socket)
{
  g_autoptr (GString) buffer = g_string_new (NULL);
  g_autoptr (GCredentials) credentials = g_socket_get_credentials (socket, NULL);
  struct ucred *native
      = credentials ? g_credentials_get_native (credentials, G_CREDENTIALS_TYPE_LINUX_UCRED) : NULL;
  MooshRpcPeer peer = { (uid_t)-1, (gid_t)-1, 0 };

  if (native != NULL)
    peer = (MooshRpcPeer){ native->uid, native->gid, native->pid };
  for (;;)
    {
      g_autoptr (GError) error = NULL;
      g_autofree char *line = moosh_wire_read_line (socket, buffer, MOOSH_RPC_MESSAGE_MAX,
                                                    MOOSH_WIRE_FOREVER, server->stop, &error);
      g_autofree char *reply = NULL;

      if (line != NULL)
        reply = answer (server, &peer, line);
      else if (error != NULL && error->code == MOOSH_ERROR_LIMIT)
        reply = reply_line (NULL, NULL, error);
      else
        return;
      /* a client that does not read its answer for a minute is gone */
      if (!moosh_wire_send (socket, reply, strlen (reply),
                            g_get_monotonic_time () + 60 * G_USEC_PER_SEC, server->stop, NULL)
          || line == NULL)
        return;
    }
}

/* Counted in the accepting thread: one that is on its way to its own thread must be waited for as
 * well. */
static gboolean
on_incoming (GSocketService *service, GSocketConnection *connection, GObject *source,
             gpointer user_data)
{
  MooshRpcServer *server = user_data;

  (void)service;
  (void)connection;
  (void)source;
  g_mutex_lock (&server->lock);
  server->connections++;
  g_mutex_unlock (&server->lock);
  return FALSE; /* on to its thread */
}

static gboolean
on_run (GThreadedSocketService *service, GSocketConnection *connection, GObject *source,
        gpointer user_data)
{
  MooshRpcServer *server = user_data;
  GSocket *socket = g_socket_connection_get_socket (connection);
  gboolean full;

  (void)service;
  (void)source;
  g_mutex_lock (&server->lock);
  full = server->connections > MOOSH_RPC_CONNECTIONS_MAX;
  g_mutex_unlock (&server->lock);

  if (full)
    {
      g_autoptr (GError) error
          = g_error_new (MOOSH_ERROR, MOOSH_ERROR_LIMIT, "%d connections are open already",
                         MOOSH_RPC_CONNECTIONS_MAX);
      g_autofree char *reply = reply_line (NULL, NULL, error);
      moosh_wire_send (socket, reply, strlen (reply), g_get_monotonic_time (), NULL, NULL);
    }
  else
    serve (server, socket);
  g_socket_close (socket, NULL);

  g_mutex_lock (&server->lock);
  if (--server->connections == 0)
    g_cond_broadcast (&server->idle);
  g_mutex_unlock (&server->lock);
  return TRUE;
}

/* Remove a socket file that nobody listens on. */
static gboolean
clear_stale (const char *path, GError **error)
{
  g_autoptr (GSocket) probe = NULL;
  g_autoptr (GSocketAddress) address = g_unix_socket_address_new (path);

  if (!g_file_test (path, G_FILE_TEST_EXISTS))
    return TRUE;
  probe
      = g_socket_new (G_SOCKET_FAMILY_UNIX, G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_DEFAULT, error);
  if (probe == NULL)
    return FALSE;
  if (g_socket_connect (probe, address, NULL, NULL))
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_CONFLICT, "somebody listens at %s already",
                   path);
      return FALSE;
    }
  unlink (path);
  return TRUE;
}

MooshRpcServer *
moosh_rpc_server_new (const char *path, guint mode, const MooshRpcMethod *methods,
                      gpointer user_data, GError **error)
{
  g_autoptr (MooshRpcServer) server = NULL;
  g_autoptr (GSocketAddress) address = NULL;
  mode_t mask;
  gboolean bound;

  if (strlen (path) >= 108) /* sun_path */
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE,
                   "socket path is longer than 107 bytes: %s", path);
      return NULL;
    }
  if (!clear_stale (path, error))
    return NULL;
  server = g_new0 (MooshRpcServer, 1);
  g_mutex_init (&server->lock);
  g_cond_init (&server->idle);
  server->methods = methods;
  server->user_data = user_data;
  server->stop = g_cancellable_new ();
  server->service = g_threaded_socket_service_new (MOOSH_RPC_CONNECTIONS_MAX + 4);
  g_signal_connect (server->service, "incoming", G_CALLBACK (on_incoming), server);
  g_signal_connect (server->service, "run", G_CALLBACK (on_run), server);
  address = g_unix_socket_address_new (path);
  mask = umask (0777 & ~mode);
  bound = g_socket_listener_add_address (G_SOCKET_LISTENER (server->service), address,
                                         G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_DEFAULT, NULL,
                                         NULL, error);
  umask (mask);
  if (!bound)
    return NULL;
  server->path = g_strdup (path);
  if (chmod (path, mode) != 0)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_FAILED, "cannot set the mode of %s: %s", path,
                   g_strerror (errno));
      return NULL;
    }
  g_socket_service_start (server->service);
  return g_steal_pointer (&server);
}

void
moosh_rpc_server_free (MooshRpcServer *server)
{
  g_socket_service_stop (server->service);
  g_socket_listener_close (G_SOCKET_LISTENER (server->service));
  g_cancellable_cancel (server->stop);
  g_mutex_lock (&server->lock);
  while (server->connections > 0)
    g_cond_wait (&server->idle, &server->lock);
  g_mutex_unlock (&server->lock);
  if (server->path != NULL)
    unlink (server->path);
  g_object_unref (server->service);
  g_object_unref (server->stop);
  g_mutex_clear (&server->lock);
  g_cond_clear (&server->idle);
  g_free (server->path);
  g_free (server);
}
