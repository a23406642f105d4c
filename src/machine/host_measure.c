/* What this host is, for its owner and the set-up wizard. */
#include "base/json.h"
#include "base/spawn.h"
#include "machine/host_private.h"
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <sys/timex.h>
#include <unistd.h>

/* The value of the first line "name<spaces>: value" of a /proc file; new string or NULL. */
static char *
proc_value (const char *path, const char *name)
{
  g_autofree char *text = NULL;
  g_auto (GStrv) lines = NULL;

  if (!g_file_get_contents (path, &text, NULL, NULL))
    return NULL;
  lines = g_strsplit (text, "\n", -1);
  for (char **line = lines; *line != NULL; line++)
    {
      char *colon = strchr (*line, ':');
      if (colon != NULL && g_str_has_prefix (*line, name))
        return g_strdup (g_strstrip (colon + 1));
    }
  return NULL;
}

static gint64
meminfo_mib (const char *name)
{
  g_autofree char *value = proc_value ("/proc/meminfo", name);
  return value != NULL ? g_ascii_strtoll (value, NULL, 10) / 1024 : 0;
}

/* First line a program prints about its version; new string or NULL: not installed. */
static char *
version_of (const char *program)
{
  const char *argv[] = { program, "--version", NULL };
  char *out = NULL, *newline;

  if (!moosh_run (argv, 10000, &out, NULL))
    return NULL;
  if ((newline = strchr (out, '\n')) != NULL)
    *newline = '\0';
  return out;
}

/* Can the address be listened on, and how many ports of the range are free? */
static gint64
free_ports (const MooshHostConfig *config)
{
  gint64 count = 0;
  struct sockaddr_in address = { .sin_family = AF_INET };
  g_autoptr (GInetAddress) host = g_inet_address_new_from_string (config->listen_host);

  memcpy (&address.sin_addr, g_inet_address_to_bytes (host), sizeof address.sin_addr);
  for (gint64 port = config->port_first; port < config->port_first + config->port_count; port++)
    {
      int fd = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
      address.sin_port = htons ((guint16)port);
      if (fd >= 0 && bind (fd, (struct sockaddr *)&address, sizeof address) == 0)
        count++;
      if (fd >= 0)
        close (fd);
    }
  return count;
}

static void
add_space (JsonObject *answer, const MooshHostConfig *config)
{
  struct statvfs fs = { 0 };

  if (statvfs (config->state_dir, &fs) != 0)
    g_debug ("cannot measure %s", config->state_dir);
  json_object_set_int_member (answer, "disk_total_gib",
                              (gint64)((guint64)fs.f_blocks * fs.f_frsize >> 30));
  json_object_set_int_member (answer, "disk_free_gib",
                              (gint64)((guint64)fs.f_bavail * fs.f_frsize >> 30));
}

static void
add_clock (JsonObject *answer)
{
  struct timex clock = { 0 };
  int state = ntp_adjtime (&clock);

  json_object_set_int_member (answer, "clock_s", g_get_real_time () / G_USEC_PER_SEC);
  if (state < 0)
    json_object_set_null_member (answer, "clock_synchronised");
  else
    json_object_set_boolean_member (answer, "clock_synchronised", state != TIME_ERROR);
}

JsonObject *
moosh_host_measure (MooshHost *host, gboolean probe_again, GError **error)
{
  g_autofree char *accel_note = NULL, *cpu = proc_value ("/proc/cpuinfo", "model name");
  g_autofree char *qemu = version_of ("qemu-system-x86_64"), *nix = version_of ("nix-build");
  MooshAccel accel = moosh_qemu_accel (host->qemu, probe_again, &accel_note);
  const char *limits_note = NULL,
             *limits = moosh_limits_name (moosh_qemu_limits (host->qemu, &limits_note));
  g_autoptr (GError) fence = NULL;
  gboolean fenced = moosh_qemu_keep_fence (host->qemu, &fence);
  const MooshHostConfig *c = &host->config;
  JsonObject *answer = moosh_json_build (
      "cpu_model", 's', cpu, "cores", 'i', (gint64)g_get_num_processors (), "ram_mib", 'i',
      meminfo_mib ("MemTotal"), "ram_available_mib", 'i', meminfo_mib ("MemAvailable"), "accel",
      's', moosh_accel_name (accel), "accel_note", 's', accel_note, "qemu", 's', qemu, "nix", 's',
      nix, "build_note", 's', host->builder_error, "isolation", 's', fenced ? "nftables" : "none",
      "isolation_note", 's', fenced ? NULL : fence->message, "limits", 's', limits, "limits_note",
      's', limits_note, "listen_host", 's', c->listen_host, "public_host", 's', c->public_host,
      "port_first", 'i', c->port_first, "port_count", 'i', c->port_count, "ports_free", 'i',
      free_ports (c), "uid_first", 'i', c->uid_first, "uid_count", 'i', c->uid_count, "driver", 's',
      host->driver->name, NULL);

  (void)error;
  add_space (answer, c);
  add_clock (answer);
  return answer;
}
