#include "machine/fence.h"
#include "base/spawn.h"
#include <errno.h>
#include <gio/gio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct MooshFence {
  gint64 uid_first, uid_count;
  GMutex lock;
  GArray *online; /* gint64 */
};

/* Name servers, as rules that let one port through before the private ranges are refused. */
static void
append_name_servers (GString *rules, const char *resolv_conf)
{
  g_auto (GStrv) lines = g_strsplit (resolv_conf, "\n", -1);

  for (char **line = lines; *line != NULL; line++)
    {
      g_auto (GStrv) words = g_strsplit_set (g_strstrip (*line), " \t", -1);
      g_autoptr (GInetAddress) address = NULL;
      g_autofree char *text = NULL;

      if (g_strv_length (words) < 2 || strcmp (words[0], "nameserver") != 0
          || (address = g_inet_address_new_from_string (words[1])) == NULL)
        continue;
      text = g_inet_address_to_string (address);
      g_string_append_printf (
          rules,
          "    meta skuid @online %s daddr %s meta l4proto { tcp, udp } th dport 53 accept\n",
          g_inet_address_get_family (address) == G_SOCKET_FAMILY_IPV4 ? "ip" : "ip6", text);
    }
}

char *
moosh_fence_rules (gint64 uid_first, gint64 uid_count, const gint64 *online, guint n_online,
                   const char *resolv_conf)
{
  GString *rules = g_string_new (NULL);

  g_string_append_printf (rules, "  set online {\n    type uid\n");
  for (guint i = 0; i < n_online; i++)
    g_string_append_printf (rules, "%s%" G_GINT64_FORMAT, i == 0 ? "    elements = { " : ", ",
                            online[i]);
  g_string_append (rules, n_online > 0 ? " }\n  }\n" : "  }\n");
  /* TCP is told at once and in its own words: an ICMP answer would leave the guest's connection
   * hanging */
  g_string_append (rules,
                   "  chain refuse {\n    meta l4proto tcp reject with tcp reset\n    reject\n  }\n"
                   "  chain guest {\n    ct state established,related accept\n");
  append_name_servers (rules, resolv_conf);
  g_string_append (rules,
                   "    fib daddr type { local, broadcast, multicast, anycast } goto refuse\n"
                   "    ip daddr { 0.0.0.0/8, 10.0.0.0/8, 100.64.0.0/10, 127.0.0.0/8, "
                   "169.254.0.0/16, 172.16.0.0/12,"
                   " 192.0.0.0/24, 192.168.0.0/16, 198.18.0.0/15, 224.0.0.0/3 } goto refuse\n"
                   "    ip6 daddr { ::/96, ::ffff:0:0/96, 64:ff9b::/96, fc00::/7, "
                   "fe80::/10, fec0::/10, ff00::/8 } goto refuse\n"
                   "    meta skuid @online accept\n"
                   "    goto refuse\n  }\n");
  g_string_append_printf (
      rules,
      "  chain output {\n    type filter hook output priority filter; policy accept;\n"
      "    meta skuid %" G_GINT64_FORMAT "-%" G_GINT64_FORMAT " jump guest\n  }\n",
      uid_first, uid_first + uid_count - 1);
  return g_string_free (rules, FALSE);
}

static gboolean
nft (const char *script, GError **error)
{
  const char *argv[] = { "nft", "-f", "/dev/stdin", NULL };
  MooshSpawn spawn = { .argv = argv };
  g_auto (MooshOutput) output = { 0 };
  gsize len = strlen (script);
  gboolean ok;

  spawn.stdin_fd = memfd_create ("rules", MFD_CLOEXEC);
  if (spawn.stdin_fd < 0 || write (spawn.stdin_fd, script, len) != (ssize_t)len
      || lseek (spawn.stdin_fd, 0, SEEK_SET) < 0)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_UNAVAILABLE,
                   "nftables: no memory for the rules: %s", g_strerror (errno));
      return FALSE;
    }
  ok = moosh_spawn_run (&spawn, 10000, 16384, NULL, NULL, &output, error);
  close (spawn.stdin_fd);
  if (ok && output.exit_status != 0)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_UNAVAILABLE, "nftables refused the rules: %s",
                   g_strchomp (output.err));
      ok = FALSE;
    }
  return ok;
}

/* With the lock held. */
static gboolean
load (MooshFence *fence, GError **error)
{
  g_autofree char *resolv = NULL, *rules = NULL, *script = NULL;
  g_autofree char *table
      = g_strdup_printf ("table inet mooshnet_%" G_GINT64_FORMAT, fence->uid_first);

  if (!g_file_get_contents ("/etc/resolv.conf", &resolv, NULL, NULL))
    resolv = g_strdup ("");
  rules
      = moosh_fence_rules (fence->uid_first, fence->uid_count,
                           (const gint64 *)(void *)fence->online->data, fence->online->len, resolv);
  /* made if missing, so that deleting it cannot fail: one transaction, no instant without rules */
  script = g_strdup_printf ("%s\ndelete %s\n%s {\n%s}\n", table, table, table, rules);
  return nft (script, error);
}

MooshFence *
moosh_fence_new (gint64 uid_first, gint64 uid_count, const gint64 *online, guint n_online,
                 GError **error)
{
  g_autoptr (MooshFence) fence = g_new0 (MooshFence, 1);

  fence->uid_first = uid_first;
  fence->uid_count = uid_count;
  g_mutex_init (&fence->lock);
  fence->online = g_array_new (FALSE, FALSE, sizeof (gint64));
  g_array_append_vals (fence->online, online, n_online);
  return load (fence, error) ? g_steal_pointer (&fence) : NULL;
}

void
moosh_fence_free (MooshFence *fence)
{
  g_array_unref (fence->online);
  g_mutex_clear (&fence->lock);
  g_free (fence);
}

void
moosh_fence_remove (gint64 uid_first)
{
  /* made if missing, so that deleting it cannot fail */
  g_autofree char *table = g_strdup_printf ("table inet mooshnet_%" G_GINT64_FORMAT, uid_first);
  g_autofree char *script = g_strdup_printf ("%s\ndelete %s\n", table, table);
  g_autoptr (GError) error = NULL;

  if (!nft (script, &error))
    g_debug ("%s", error->message);
}

gboolean
moosh_fence_set (MooshFence *fence, gint64 uid, gboolean internet, GError **error)
{
  gboolean ok = TRUE, present = FALSE;
  guint at;

  g_mutex_lock (&fence->lock);
  for (at = 0; at < fence->online->len && !present; at++)
    present = g_array_index (fence->online, gint64, at) == uid;
  if (present != internet)
    {
      if (internet)
        g_array_append_val (fence->online, uid);
      else
        g_array_remove_index_fast (fence->online, at - 1);
      ok = load (fence, error);
    }
  g_mutex_unlock (&fence->lock);
  return ok;
}

gboolean
moosh_fence_keep (MooshFence *fence, GError **error)
{
  g_autofree char *table = g_strdup_printf ("mooshnet_%" G_GINT64_FORMAT, fence->uid_first);
  const char *argv[] = { "nft", "list", "chain", "inet", table, "output", NULL };
  gboolean ok = TRUE;

  g_mutex_lock (&fence->lock);
  if (!moosh_run (argv, 10000, NULL, NULL))
    {
      g_warning ("the guests' firewall table %s was gone: loading it again", table);
      ok = load (fence, error);
    }
  g_mutex_unlock (&fence->lock);
  return ok;
}
