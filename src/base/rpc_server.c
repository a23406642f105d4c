#include "base/rpc.h"
#include "base/rpc_answer.h"
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
        reply = moosh_rpc_answer (server->methods, server->user_data, &peer, line);
      else if (error != NULL && error->code == MOOSH_ERROR_LIMIT)
        reply = moosh_rpc_error_line (error);
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
      g_autofree char *reply = moosh_rpc_error_line (error);
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
