#include "base/spawn.h"
#include "deployment.h"
#include <errno.h>
#include <string.h>

char *
ssh_own_key (Node *node, char **ret_public, GError **error)
{
  static GMutex making;
  g_autofree char *dir = moosh_daemon_path (node->daemon, "ssh");
  g_autofree char *path = g_build_filename (dir, "id_ed25519", NULL);
  g_autofree char *public_path = g_strconcat (path, ".pub", NULL);
  const char *const keygen[]
      = { "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "mooshd", "-f", path, NULL };
  gboolean ok = TRUE;

  g_mutex_lock (&making);
  if (!g_file_test (path, G_FILE_TEST_EXISTS))
    {
      g_mkdir_with_parents (dir, 0700);
      ok = moosh_run (keygen, 30000, NULL, error);
    }
  g_mutex_unlock (&making);
  if (!ok || (ret_public != NULL && !g_file_get_contents (public_path, ret_public, NULL, error)))
    return NULL;
  if (ret_public != NULL)
    g_strchomp (*ret_public);
  return g_steal_pointer (&path);
}

/* One line: this machine's key under the deployment's name, which ssh looks for by HostKeyAlias. */
static char *
write_known_hosts (Node *node, const Deployment *d, GError **error)
{
  g_autofree char *dir = moosh_daemon_path (node->daemon, "machines");
  g_autofree char *file = g_strconcat (d->name, ".known_hosts", NULL);
  g_autofree char *path = g_build_filename (dir, file, NULL);
  g_autofree char *line = g_strdup_printf ("%s %s\n", d->name, d->host_key);
  g_autofree char *old = NULL;

  if (g_file_get_contents (path, &old, NULL, NULL) && strcmp (old, line) == 0)
    return g_steal_pointer (&path);
  g_mkdir_with_parents (dir, 0700);
  return g_file_set_contents (path, line, -1, error) ? g_steal_pointer (&path) : NULL;
}

char **
ssh_argv (Node *node, const Deployment *d, gboolean batch, char **ret_known_hosts, GError **error)
{
  g_autofree char *identity = NULL, *known_hosts = NULL;
  g_autoptr (GStrvBuilder) builder = g_strv_builder_new ();
  g_autofree char *port = g_strdup_printf ("%u", d->port);

  if (d->port == 0 || d->host_key == NULL)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_UNAVAILABLE,
                   "deployment %s has no SSH endpoint yet%s%s", d->name, d->step ? ": " : "",
                   d->step ? d->step : "");
      return NULL;
    }
  identity = ssh_own_key (node, NULL, error);
  known_hosts = identity ? write_known_hosts (node, d, error) : NULL;
  if (known_hosts == NULL)
    return NULL;
  g_strv_builder_add_many (builder, "ssh", "-F", "none", "-p", port, "-i", identity, "-o",
                           "IdentitiesOnly=yes", "-o", "StrictHostKeyChecking=yes", "-o",
                           "GlobalKnownHostsFile=/dev/null", "-o", "CheckHostIP=no", "-o",
                           "ConnectTimeout=10", "-o", "LogLevel=ERROR", NULL);
  {
    g_autofree char *hosts = g_strdup_printf ("UserKnownHostsFile=%s", known_hosts);
    g_autofree char *alias = g_strdup_printf ("HostKeyAlias=%s", d->name);
    g_autofree char *destination = g_strdup_printf ("root@%s", d->host);

    g_strv_builder_add_many (builder, "-o", hosts, "-o", alias, "-o",
                             batch ? "BatchMode=yes" : "BatchMode=no", destination, NULL);
  }
  if (ret_known_hosts != NULL)
    *ret_known_hosts = g_steal_pointer (&known_hosts);
  return g_strv_builder_end (builder);
}
