#include "daemon/keyd/sockets.h"
#include <string.h>

#define MAIN_MODE 0600
#define PREFIX    "socket "

/* A server and what it refers to as long as it lives. */
typedef struct {
  MooshRpcServer *server;
  MooshRpcMethod *methods; /* NULL: all */
  KeydClient client;
} Listener;

static void
listener_free (Listener *listener)
{
  g_clear_pointer (&listener->server, moosh_rpc_server_free);
  g_free (listener->methods);
  g_free (listener);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Listener, listener_free)

static gboolean
refuse (GError **error, const char *group, const char *what)
{
  g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE, "keyd.conf: [%s] %s", group, what);
  return FALSE;
}

/* A number of the group in `base`, or `fallback` when it is not there. */
static gboolean
read_number (GKeyFile *config, const char *group, const char *key, guint base, guint64 max,
             guint64 fallback, guint64 *ret, GError **error)
{
  g_autofree char *text = g_key_file_get_string (config, group, key, NULL);

  *ret = fallback;
  if (text == NULL || g_ascii_string_to_unsigned (text, base, 0, max, ret, NULL))
    return TRUE;
  return refuse (error, group, key);
}

static gboolean
read_methods (GKeyFile *config, const char *group, Listener *listener, GError **error)
{
  g_auto (GStrv) names = g_key_file_get_string_list (config, group, "methods", NULL, NULL);

  if (names == NULL)
    return refuse (error, group, "methods: is missing: name what its clients may call");
  listener->methods = keyd_methods_subset ((const char *const *)names, error);
  if (listener->methods == NULL)
    g_prefix_error (error, "keyd.conf: [%s] methods: ", group);
  return listener->methods != NULL;
}

static Listener *
open_group (MooshDaemon *daemon, Keyd *keyd, const char *group, GError **error)
{
  g_autoptr (Listener) listener = g_new0 (Listener, 1);
  g_autofree char *path = g_key_file_get_string (daemon->config, group, "path", NULL);
  g_autofree char *absolute = NULL;
  guint64 mode, uid;

  listener->client
      = (KeydClient){ keyd, g_key_file_has_key (daemon->config, group, "uid", NULL), 0 };
  if (path == NULL || *path == '\0')
    return refuse (error, group, "path: is missing"), NULL;
  if (!read_number (daemon->config, group, "mode", 8, 0777, MAIN_MODE, &mode, error)
      || !read_number (daemon->config, group, "uid", 10, G_MAXUINT32 - 1, 0, &uid, error)
      || !read_methods (daemon->config, group, listener, error))
    return NULL;
  listener->client.uid = (uid_t)uid;
  absolute = g_path_is_absolute (path) ? g_strdup (path) : moosh_daemon_path (daemon, path);
  listener->server
      = moosh_rpc_server_new (absolute, (guint)mode, listener->methods, &listener->client, error);
  return listener->server != NULL ? g_steal_pointer (&listener) : NULL;
}

static Listener *
open_main (MooshDaemon *daemon, Keyd *keyd, GError **error)
{
  g_autoptr (Listener) listener = g_new0 (Listener, 1);
  g_autofree char *path = moosh_daemon_path (daemon, "keyd.sock");

  listener->client.keyd = keyd;
  listener->server
      = moosh_rpc_server_new (path, MAIN_MODE, keyd_methods_all (), &listener->client, error);
  return listener->server != NULL ? g_steal_pointer (&listener) : NULL;
}

GPtrArray *
sockets_open (MooshDaemon *daemon, Keyd *keyd, GError **error)
{
  g_autoptr (GPtrArray) listeners = g_ptr_array_new_with_free_func ((GDestroyNotify)listener_free);
  g_auto (GStrv) groups = g_key_file_get_groups (daemon->config, NULL);
  Listener *listener = open_main (daemon, keyd, error);

  if (listener == NULL)
    return NULL;
  g_ptr_array_add (listeners, listener);
  for (char **group = groups; *group != NULL; group++)
    {
      if (!g_str_has_prefix (*group, PREFIX))
        continue;
      listener = open_group (daemon, keyd, *group, error);
      if (listener == NULL)
        return NULL;
      g_ptr_array_add (listeners, listener);
    }
  return g_steal_pointer (&listeners);
}
