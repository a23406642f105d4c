#include "machine/host.h"
#include <string.h>

/* A setting that is a number: where it goes, and what it may be. */
typedef struct {
  const char *group, *key;
  gsize offset;
  gint64 fallback, least, most;
} Number;

#define AT(member) G_STRUCT_OFFSET (MooshHostConfig, member)

static const Number numbers[] = {
  { "network", "port_first", AT (port_first), 42000, 1024, 65535 },
  { "network", "port_count", AT (port_count), 1000, 1, 65535 },
  { "guest", "uid_first", AT (uid_first), 0, 0, G_MAXINT32 },
  { "guest", "uid_count", AT (uid_count), 512, 2, 65536 },
  { "guest", "boot_s", AT (boot_s), 180, 1, 86400 },
  { "guest", "poweroff_s", AT (poweroff_s), 20, 0, 3600 },
  { "guest", "spare_disks", AT (spare_disks), 1, 0, 1 },
  { "build", "at_once", AT (builds_at_once), 2, 1, 64 },
  { "build", "fetch_s", AT (fetch_s), 120, 1, 86400 },
  { "build", "fetch_mib", AT (fetch_mib), 256, 1, 1 << 20 },
  { "build", "eval_s", AT (eval_s), 60, 1, 86400 },
  { "build", "eval_mib", AT (eval_mib), 1024, 64, 1 << 20 },
  { "build", "seconds", AT (build_s), 1200, 1, 86400 },
  { "build", "silence_s", AT (build_silence_s), 300, 1, 86400 },
  { "build", "memory_mib", AT (build_mib), 4096, 64, 1 << 20 },
  { "build", "processes", AT (build_processes), 512, 8, 65536 },
  { "build", "disk_mib", AT (build_disk_mib), 4096, 64, 1 << 24 },
  { "build", "cores", AT (build_cores), 2, 1, 256 },
  { "build", "tidy_below_pct", AT (tidy_below_pct), 10, 0, 100 },
  { "host", "keep_logs_days", AT (keep_logs_days), 30, 0, 36500 },
  { "host", "cores", AT (cores), 0, 0, MOOSH_CORES_MAX },
  { "host", "ram_mib", AT (ram_mib), 0, 0, G_MAXUINT32 },
  { "host", "disk_gib", AT (disk_gib), 0, 0, G_MAXUINT32 },
};

static const struct {
  const char *group, *key;
  gsize offset;
  const char *fallback;
} texts[] = {
  { "network", "listen_host", AT (listen_host), "127.0.0.1" },
  { "network", "public_host", AT (public_host), NULL },
  { "rpc", "user", AT (rpc_user), NULL },
  { "build", "dir", AT (build_dir), NULL },
  { "build", "guest_dir", AT (guest_dir), NULL },
  { "build", "nix_dir", AT (nix_dir), NULL },
  { "build", "ssh_key", AT (ssh_key), NULL },
};

static const struct {
  const char *group, *key;
  gsize offset;
  gboolean fallback;
} switches[] = {
  { "network", "internet", AT (internet), FALSE },
  { "build", "allow_file_urls", AT (allow_file_urls), FALSE },
  { "build", "allow_private_hosts", AT (allow_private_hosts), FALSE },
};

static gboolean
known (const char *group, const char *key)
{
  for (guint i = 0; i < G_N_ELEMENTS (numbers); i++)
    if (strcmp (numbers[i].group, group) == 0 && strcmp (numbers[i].key, key) == 0)
      return TRUE;
  for (guint i = 0; i < G_N_ELEMENTS (texts); i++)
    if (strcmp (texts[i].group, group) == 0 && strcmp (texts[i].key, key) == 0)
      return TRUE;
  for (guint i = 0; i < G_N_ELEMENTS (switches); i++)
    if (strcmp (switches[i].group, group) == 0 && strcmp (switches[i].key, key) == 0)
      return TRUE;
  return FALSE;
}

/* A misspelt key would silently be a default: refuse it. */
static gboolean
check_keys (GKeyFile *file, GError **error)
{
  g_auto (GStrv) groups = g_key_file_get_groups (file, NULL);

  for (char **group = groups; *group != NULL; group++)
    {
      g_auto (GStrv) keys = g_key_file_get_keys (file, *group, NULL, NULL);
      for (char **key = keys; key != NULL && *key != NULL; key++)
        if (!known (*group, *key))
          {
            g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE,
                         "vmmd.conf: there is no setting [%s] %s", *group, *key);
            return FALSE;
          }
    }
  return TRUE;
}

static gboolean
load_number (MooshHostConfig *config, GKeyFile *file, const Number *n, GError **error)
{
  gint64 value = n->fallback;
  g_autoptr (GError) local = NULL;

  if (g_key_file_has_key (file, n->group, n->key, NULL))
    value = g_key_file_get_int64 (file, n->group, n->key, &local);
  if (local != NULL || value < n->least || value > n->most)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE,
                   "vmmd.conf: [%s] %s is a number from %" G_GINT64_FORMAT " to %" G_GINT64_FORMAT,
                   n->group, n->key, n->least, n->most);
      return FALSE;
    }
  G_STRUCT_MEMBER (gint64, config, n->offset) = value;
  return TRUE;
}

static gboolean
check_whole (const MooshHostConfig *config, GError **error)
{
  g_autoptr (GInetAddress) address = g_inet_address_new_from_string (config->listen_host);
  const char *problem = NULL;

  if (address == NULL || g_inet_address_get_family (address) != G_SOCKET_FAMILY_IPV4)
    problem = "[network] listen_host is a numeric IPv4 address";
  else if (config->uid_first != 0 && config->uid_first < 1000)
    problem = "[guest] uid_first is 0 (found by itself) or at least 1000";
  else if (config->port_first + config->port_count > 65536)
    problem = "[network] port_first and port_count go beyond port 65535";
  if (problem == NULL)
    return TRUE;
  g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE, "vmmd.conf: %s", problem);
  return FALSE;
}

gboolean
moosh_host_config_load (MooshHostConfig *config, GKeyFile *file, const char *state_dir,
                        GError **error)
{
  memset (config, 0, sizeof *config);
  config->state_dir = g_strdup (state_dir);
  if (!check_keys (file, error))
    return FALSE;
  for (guint i = 0; i < G_N_ELEMENTS (numbers); i++)
    if (!load_number (config, file, &numbers[i], error))
      return FALSE;
  for (guint i = 0; i < G_N_ELEMENTS (texts); i++)
    {
      char *value = g_key_file_get_string (file, texts[i].group, texts[i].key, NULL);
      G_STRUCT_MEMBER (char *, config, texts[i].offset)
          = value ? value : g_strdup (texts[i].fallback);
    }
  for (guint i = 0; i < G_N_ELEMENTS (switches); i++)
    {
      g_autoptr (GError) local = NULL;
      gboolean value = switches[i].fallback;

      if (g_key_file_has_key (file, switches[i].group, switches[i].key, NULL))
        value = g_key_file_get_boolean (file, switches[i].group, switches[i].key, &local);
      if (local != NULL)
        {
          g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE, "vmmd.conf: [%s] %s is true or false",
                       switches[i].group, switches[i].key);
          return FALSE;
        }
      G_STRUCT_MEMBER (gboolean, config, switches[i].offset) = value;
    }
  return check_whole (config, error);
}

void
moosh_host_config_clear (MooshHostConfig *config)
{
  for (guint i = 0; i < G_N_ELEMENTS (texts); i++)
    g_free (G_STRUCT_MEMBER (char *, config, texts[i].offset));
  g_free (config->state_dir);
  memset (config, 0, sizeof *config);
}
