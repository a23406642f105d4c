#include "base/json.h"
#include "base/rpc.h"
#include "base/wire.h"
#include <gio/gunixsocketaddress.h>

enum { IDLE_MAX = 4 };

struct MooshRpcClient {
  char *path;
  GMutex lock;
  GQueue idle; /* of GSocket */
  gint64 next_id;
};

MooshRpcClient *
moosh_rpc_client_new (const char *path)
{
  MooshRpcClient *client = g_new0 (MooshRpcClient, 1);

  client->path = g_strdup (path);
  g_mutex_init (&client->lock);
  g_queue_init (&client->idle);
  return client;
}

void
moosh_rpc_client_free (MooshRpcClient *client)
{
  g_queue_clear_full (&client->idle, g_object_unref);
  g_mutex_clear (&client->lock);
  g_free (client->path);
  g_free (client);
}

/* An idle connection that is still open, or a new one. A kept connection that has something to read
 * was closed by the server, or speaks out of turn: either way it is no use. */
static GSocket *
take_socket (MooshRpcClient *client, GError **error)
{
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GSocketAddress) address = NULL;
  g_autoptr (GError) local = NULL;

  for (;;)
    {
      g_clear_object (&socket);
      g_mutex_lock (&client->lock);
      socket = g_queue_pop_tail (&client->idle);
      g_mutex_unlock (&client->lock);
      if (socket == NULL)
        break;
      if (g_socket_condition_check (socket, G_IO_IN | G_IO_HUP | G_IO_ERR) == 0)
        return g_steal_pointer (&socket);
    }
  socket = g_socket_new (G_SOCKET_FAMILY_UNIX, G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_DEFAULT,
                         &local);
  address = g_unix_socket_address_new (client->path);
  if (socket != NULL && g_socket_connect (socket, address, NULL, &local))
    return g_steal_pointer (&socket);
  g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_UNAVAILABLE,
               "nobody answers at %s (%s): is the daemon running?", client->path, local->message);
  return NULL;
}

static void
keep_socket (MooshRpcClient *client, GSocket *socket)
{
  g_mutex_lock (&client->lock);
  if (client->idle.length < IDLE_MAX)
    g_queue_push_tail (&client->idle, g_object_ref (socket));
  g_mutex_unlock (&client->lock);
}

/* The result of a reply, or the error it carries. */
static JsonObject *
unpack (const char *line, gint64 id, const char *method, GError **error)
{
  g_autoptr (JsonObject) reply = moosh_json_parse (line, -1, error);
  JsonObject *failure, *result;

  if (reply == NULL)
    return NULL;
  failure
      = json_object_has_member (reply, "error") ? moosh_json_object (reply, "error", NULL) : NULL;
  if (failure != NULL)
    {
      JsonObject *kind = json_object_has_member (failure, "data")
                             ? moosh_json_object (failure, "data", NULL)
                             : NULL;

      g_set_error (error, MOOSH_ERROR,
                   (int)moosh_error_from_name (kind ? moosh_json_string_or (kind, "kind", "") : ""),
                   "%s", moosh_json_string_or (failure, "message", "no reason given"));
      return NULL;
    }
  result = moosh_json_object (reply, "result", NULL);
  if (result == NULL || moosh_json_int_or (reply, "id", -1) != id)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_PROTOCOL,
                   "%s: the answer is not a JSON-RPC reply to us", method);
      return NULL;
    }
  return json_object_ref (result);
}

JsonObject *
moosh_rpc_client_call (MooshRpcClient *client, const char *method, JsonObject *params,
                       guint timeout_ms, GError **error)
{
  g_autoptr (GSocket) socket = take_socket (client, error);
  g_autoptr (JsonObject) request = NULL;
  g_autoptr (GString) buffer = g_string_new (NULL);
  g_autofree char *text = NULL, *framed = NULL, *line = NULL;
  gint64 deadline_us = g_get_monotonic_time () + (gint64)timeout_ms * 1000;
  gint64 id;

  if (socket == NULL)
    return NULL;
  g_mutex_lock (&client->lock);
  id = ++client->next_id;
  g_mutex_unlock (&client->lock);
  request = moosh_json_build ("jsonrpc", 's', "2.0", "id", 'i', id, "method", 's', method, "params",
                              'o', params ? json_object_ref (params) : json_object_new (), NULL);
  text = moosh_json_print (request, FALSE);
  framed = g_strconcat (text, "\n", NULL);
  if (!moosh_wire_send (socket, framed, strlen (framed), deadline_us, NULL, error))
    {
      g_prefix_error (error, "%s: ", method);
      return NULL;
    }
  line = moosh_wire_read_line (socket, buffer, MOOSH_RPC_MESSAGE_MAX, deadline_us, NULL, error);
  if (line == NULL)
    {
      if (error != NULL && *error == NULL)
        g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_UNAVAILABLE,
                     "the daemon went away before it answered");
      g_prefix_error (error, "%s: ", method);
      return NULL;
    }
  if (buffer->len == 0)
    keep_socket (client, socket);
  return unpack (line, id, method, error);
}
