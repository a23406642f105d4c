/* The provider's half of the doctor. */
#include "base/json.h"
#include "cli/commands.h"
#include "cli/doctor.h"
#include "cli/process.h"
#include "cli/text.h"
#include "cli/view.h"
#include <string.h>

static const char *
text_of (JsonObject *object, const char *member)
{
  const char *text = moosh_json_string_or (object, member, NULL);
  return text != NULL && *text ? text : "no reason known";
}

static void
check_acceleration (JsonObject *host, JsonArray *findings)
{
  const char *accel = moosh_json_string_or (host, "accel", "none");

  if (strcmp (accel, "kvm") == 0)
    cli_finding (findings, CLI_FINE, "accel", NULL, "a guest booted with KVM");
  else if (strcmp (accel, "tcg") == 0)
    cli_finding (
        findings, CLI_WARNING, "accel",
        "enable virtualisation in the firmware, or nested virtualisation at the host's provider",
        "guests are emulated, some ten times slower: %s", text_of (host, "accel_note"));
  else
    cli_finding (findings, CLI_BROKEN, "accel", "apt install qemu-system-x86",
                 "no guest boots here: %s", text_of (host, "accel_note"));
}

static void
check_tools (JsonObject *host, JsonArray *findings)
{
  const char *nix = moosh_json_string_or (host, "nix", NULL);
  const char *isolation = moosh_json_string_or (host, "isolation", "none");
  const char *limits = moosh_json_string_or (host, "limits", "");

  if (nix == NULL || *nix == '\0')
    cli_finding (findings, CLI_BROKEN, "nix", "apt install nix-bin",
                 "blueprints cannot be built without Nix");
  else
    cli_finding (findings, CLI_FINE, "nix", NULL, "%s", nix);
  if (strcmp (isolation, "none") == 0)
    cli_finding (
        findings, CLI_BROKEN, "isolation", "apt install nftables, and run moosh-vmmd as root",
        "guests would reach this host and its network: %s", text_of (host, "isolation_note"));
  else
    cli_finding (findings, CLI_FINE, "isolation", NULL, "%s keeps guests away from this host",
                 isolation);
  if (strcmp (limits, "rlimits") == 0)
    cli_finding (findings, CLI_WARNING, "limits",
                 "run moosh-vmmd as root on a host with control groups",
                 "only rlimits bound a guest's CPU and memory: %s", text_of (host, "limits_note"));
  else
    cli_finding (findings, CLI_FINE, "limits", NULL, "%s", limits);
}

static void
check_room (JsonObject *host, JsonArray *findings)
{
  gint64 disk_gib = moosh_json_int_or (host, "disk_free_gib", 0);
  gint64 ports = moosh_json_int_or (host, "ports_free", 0);

  if (disk_gib < 5)
    cli_finding (findings, disk_gib < 1 ? CLI_BROKEN : CLI_WARNING, "room",
                 "df -h, then free some; nix-collect-garbage",
                 "%" G_GINT64_FORMAT " GiB of disk left for machines and builds", disk_gib);
  if (ports == 0)
    cli_finding (findings, CLI_BROKEN, "ports", "widen [network] port_count in vmmd.conf",
                 "no port is free for another machine's SSH");
  else
    cli_finding (findings, CLI_FINE, "ports", NULL,
                 "%" G_GINT64_FORMAT " free from %" G_GINT64_FORMAT, ports,
                 moosh_json_int_or (host, "port_first", 0));
  if (json_object_has_member (host, "clock_synchronised")
      && !json_object_get_null_member (host, "clock_synchronised")
      && !moosh_json_bool_or (host, "clock_synchronised", TRUE))
    cli_finding (findings, CLI_WARNING, "ntp", "timedatectl set-ntp true",
                 "nothing keeps this host's clock right");
}

static gboolean
is_loopback (const char *host)
{
  return g_str_has_prefix (host, "127.") || strcmp (host, "localhost") == 0
         || strcmp (host, "::1") == 0 || strcmp (host, "[::1]") == 0;
}

/* Can clients come here at all: to the node, and to the machines' SSH ports? */
static void
check_reach (Cli *cli, JsonObject *host, JsonArray *findings)
{
  g_autoptr (JsonObject) status = cli_ask_node (cli, "node.status", NULL, NULL);
  const char *address = status ? moosh_json_string_or (status, "address", NULL) : NULL;
  const char *listen = moosh_json_string_or (host, "listen_host", "");
  g_autofree char *init = g_strdup_printf (
      "moosh --state %s init --listen HOST:PORT, then node stop and node start", cli->state_dir);
  const char *at = address ? strchr (address, '@') : NULL;

  if (status == NULL)
    return;
  if (at == NULL)
    cli_finding (findings, CLI_BROKEN, "reach", init,
                 "this node listens nowhere: no client can hand over a request");
  else if (is_loopback (listen) && !is_loopback (at + 1))
    cli_finding (findings, CLI_WARNING, "reach",
                 "set [network] listen_host in vmmd.conf to the address clients reach",
                 "machines' SSH ports listen on %s only, the node on %s", listen, at + 1);
  else
    cli_finding (findings, CLI_FINE, "reach", NULL, "clients find this node at %s", at + 1);
}

static void
check_orders (Cli *cli, JsonArray *findings)
{
  g_autoptr (JsonObject) status = cli_ask_node (cli, "provider.status", NULL, NULL);
  JsonArray *offers = status ? moosh_json_array (status, "offers", NULL) : NULL;
  guint n = offers ? json_array_get_length (offers) : 0, on = 0;

  if (status == NULL)
    return;
  for (guint i = 0; i < n; i++)
    on += cli_element (offers, i) != NULL
          && moosh_json_bool_or (cli_element (offers, i), "on_offer", FALSE);
  if (n == 0)
    cli_finding (findings, CLI_WARNING, "orders", "moosh-vmm setup", "nothing is for sale");
  else
    cli_finding (findings, on > 0 ? CLI_FINE : CLI_WARNING, "orders", "moosh-vmm offers",
                 "%u of %u on offer", on, n);
}

void
cli_check_host (Cli *cli, JsonArray *findings)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonObject) host = cli_call (cli, CLI_VMMD, "host.measure", NULL, 120000, &error);
  g_autofree char *init = g_strdup_printf (
      "moosh --state %s init --provider, then node stop and node start", cli->state_dir);
  g_autofree char *start = g_strdup_printf ("moosh --state %s node start", cli->state_dir);

  if (!cli_is_provider (cli))
    {
      cli_finding (findings, CLI_BROKEN, "provider", init, "this node is not set up to sell");
      return;
    }
  if (host == NULL)
    {
      cli_finding (findings, CLI_BROKEN, "vmmd", start, "the machine manager does not answer: %s",
                   error->message);
      return;
    }
  cli_finding (findings, CLI_FINE, "vmmd", NULL,
               "%s, %" G_GINT64_FORMAT " cores, %" G_GINT64_FORMAT " MiB",
               moosh_json_string_or (host, "cpu_model", "a processor"),
               moosh_json_int_or (host, "cores", 0), moosh_json_int_or (host, "ram_mib", 0));
  check_acceleration (host, findings);
  check_tools (host, findings);
  check_room (host, findings);
  check_reach (cli, host, findings);
  check_orders (cli, findings);
}
