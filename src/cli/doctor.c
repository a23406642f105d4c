/* The doctor: each check is a function that adds findings; a finding says what was seen, what it
 * means, and the command that fixes it. */
#include "cli/doctor.h"
#include "base/json.h"
#include "cli/commands.h"
#include "cli/process.h"
#include "cli/text.h"
#include "cli/view.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>

enum {
  SKEW_WARN_S = 30,     /* offers and deadlines are in seconds; half a minute is noticed */
  SKEW_BAD_S = 120,     /* the default acceptWithin: past it agreements end before they begin */
  LAG_WARN_S = 120,     /* no new block for longer than that */
  DISK_WARN_MIB = 1024, /* for the state directory */
  DISK_BAD_MIB = 64,
};

#define GAS_WARN_WEI                                                                               \
  "1000000000000000" /* 0.001 of the chain's coin: some ten transactions at 0.2 gwei */

void
cli_finding (JsonArray *findings, CliHealth health, const char *check, const char *fix,
             const char *format, ...)
{
  static const char *const names[]
      = { [CLI_FINE] = "ok", [CLI_WARNING] = "warning", [CLI_BROKEN] = "broken" };
  g_autofree char *text = NULL;
  va_list list;

  va_start (list, format);
  text = g_strdup_vprintf (format, list);
  va_end (list);
  json_array_add_object_element (
      findings, moosh_json_build ("check", 's', check, "health", 's', names[health], "text", 's',
                                  text, "fix", 's', health == CLI_FINE ? NULL : fix, NULL));
}

gboolean
cli_print_findings (Cli *cli, JsonArray *findings)
{
  guint broken = 0, warnings = 0;

  for (guint i = 0; i < json_array_get_length (findings); i++)
    {
      JsonObject *f = cli_element (findings, i);
      const char *health = moosh_json_string_or (f, "health", "");
      const char *fix = moosh_json_string_or (f, "fix", NULL);
      g_autofree char *text = cli_printable (moosh_json_string_or (f, "text", ""), FALSE);

      broken += strcmp (health, "broken") == 0;
      warnings += strcmp (health, "warning") == 0;
      if (cli->json)
        continue;
      printf ("%-8s %-12s %s\n", health, moosh_json_string_or (f, "check", ""), text);
      if (fix != NULL)
        printf ("%-8s %-12s → %s\n", "", "", fix);
    }
  cli->exit_code = broken > 0 ? 1 : 0;
  if (cli->json)
    {
      g_autoptr (JsonObject) object
          = moosh_json_build ("broken", 'i', (gint64)broken, "warnings", 'i', (gint64)warnings,
                              "findings", 'a', json_array_ref (findings), NULL);
      return cli_print_json (object);
    }
  if (broken + warnings == 0)
    cli_say ("Everything is in order.");
  else
    cli_say ("%u broken, %u to look at.", broken, warnings);
  return TRUE;
}

void
cli_check_disk (Cli *cli, JsonArray *findings)
{
  struct statvfs fs;
  guint64 free_mib;
  g_autofree char *text = NULL;

  if (statvfs (cli->state_dir, &fs) != 0)
    {
      cli_finding (findings, CLI_BROKEN, "state", "moosh init", "%s cannot be read",
                   cli->state_dir);
      return;
    }
  free_mib = (guint64)fs.f_bavail * fs.f_frsize / 1048576;
  text = cli_mib ((gint64)free_mib);
  cli_finding (findings,
               free_mib < DISK_BAD_MIB    ? CLI_BROKEN
               : free_mib < DISK_WARN_MIB ? CLI_WARNING
                                          : CLI_FINE,
               "disk", "df -h, then free some", "%s free where %s is%s", text, cli->state_dir,
               free_mib < DISK_WARN_MIB
                   ? ": when it is full nothing more can be journaled, and nothing more is signed"
                   : "");
}

static gboolean
check_setup (Cli *cli, JsonArray *findings)
{
  g_autofree char *path = cli_path (cli, "mooshd.conf");
  g_autofree char *fix = g_strdup_printf ("moosh --state %s init", cli->state_dir);

  if (g_file_test (path, G_FILE_TEST_EXISTS))
    return TRUE;
  cli_finding (findings, CLI_BROKEN, "setup", fix, "%s is no node yet", cli->state_dir);
  return FALSE;
}

static void
check_keyd (Cli *cli, JsonArray *findings)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonObject) status = cli_call (cli, CLI_KEYD, "status", NULL, 20000, &error);
  g_autofree char *start = g_strdup_printf ("moosh --state %s node start", cli->state_dir);
  g_autofree char *unlock = g_strdup_printf ("moosh --state %s node unlock", cli->state_dir);

  if (status == NULL)
    cli_finding (findings, CLI_BROKEN, "keyd", start,
                 "the key process does not answer (%s): nothing can be signed", error->message);
  else if (moosh_json_bool_or (status, "locked", TRUE))
    cli_finding (findings, CLI_BROKEN, "keyd", unlock,
                 "the wallet is locked: nothing can be signed");
  else
    cli_finding (findings, CLI_FINE, "keyd", NULL, "the wallet is open");
}

static void
check_endpoints (JsonObject *chain, JsonArray *findings)
{
  JsonArray *endpoints = moosh_json_array (chain, "endpoints", NULL);
  guint good = 0, n = endpoints ? json_array_get_length (endpoints) : 0;
  gint64 quorum = moosh_json_int_or (chain, "quorum", 1);

  for (guint i = 0; i < n; i++)
    {
      JsonObject *e = cli_element (endpoints, i);

      if (e == NULL)
        continue;
      if (moosh_json_bool_or (e, "ok", FALSE))
        good++;
      else
        cli_finding (
            findings, CLI_WARNING, "chain",
            "check the URL in mooshd.conf ([chain] rpc), or replace it with `moosh init --rpc URL`",
            "%s: %s", moosh_json_string_or (e, "url", "?"),
            moosh_json_string_or (e, "error", "no answer"));
    }
  if (good == 0)
    cli_finding (
        findings, CLI_BROKEN, "chain",
        "moosh init --rpc URL, then moosh node stop; moosh node start",
        "no endpoint answers: nothing can be taken, closed or withdrawn; machines go on meanwhile");
  else if (good < quorum)
    cli_finding (findings, CLI_BROKEN, "chain",
                 "moosh init --rpc URL --rpc URL --rpc URL, then moosh node stop; moosh node start",
                 "%u of %u endpoints answer, %d must agree: nothing can be taken, closed or "
                 "withdrawn; machines go on meanwhile",
                 good, n, (int)quorum);
  else if (n == 1)
    cli_finding (findings, CLI_FINE, "chain", NULL,
                 "chain %" G_GINT64_FORMAT
                 ", its one endpoint answers (with several, one that lies is outvoted)",
                 moosh_json_int_or (chain, "id", 0));
  else
    cli_finding (findings, CLI_FINE, "chain", NULL,
                 "chain %" G_GINT64_FORMAT ", %u of %u endpoints answer",
                 moosh_json_int_or (chain, "id", 0), good, n);
}

static void
check_clock (JsonObject *status, JsonArray *findings)
{
  gint64 skew_s = 0;

  if (!moosh_json_int (status, "clock_skew_s", &skew_s, NULL))
    cli_finding (findings, CLI_FINE, "clock", NULL,
                 "not compared yet: no block has come since the node began to watch");
  else if (ABS (skew_s) >= SKEW_WARN_S)
    cli_finding (
        findings, ABS (skew_s) >= SKEW_BAD_S ? CLI_BROKEN : CLI_WARNING, "clock",
        "timedatectl set-ntp true",
        "this clock is %" G_GINT64_FORMAT
        " s %s the chain's: the node reckons with the chain's time, certificates and other "
        "programs do not",
        ABS (skew_s), skew_s > 0 ? "ahead of" : "behind");
  else
    cli_finding (findings, CLI_FINE, "clock", NULL, "within %d s of the chain's", SKEW_WARN_S);
}

static void
check_chain (JsonObject *status, JsonArray *findings)
{
  JsonObject *chain = moosh_json_object (status, "chain", NULL);
  gint64 head, synced, lag_s;

  if (chain == NULL)
    return;
  check_endpoints (chain, findings);
  head = moosh_json_int_or (chain, "head", 0);
  synced = moosh_json_int_or (chain, "synced_block", 0);
  lag_s = moosh_json_int_or (chain, "lag_s", 0);
  if (head > synced + 64)
    cli_finding (findings, CLI_WARNING, "sync",
                 "wait; if it does not move, moosh node stop; moosh node start",
                 "the node has followed the chain to block %" G_GINT64_FORMAT
                 " of %" G_GINT64_FORMAT,
                 synced, head);
  if (lag_s > LAG_WARN_S && moosh_json_int_or (chain, "id", 0) != 31337)
    cli_finding (
        findings, CLI_WARNING, "chain", "compare with another endpoint: moosh init --rpc URL",
        "the newest block is %" G_GINT64_FORMAT " s old: the endpoints may be stuck", lag_s);
  check_clock (status, findings);
}

static void
check_wallet (Cli *cli, JsonArray *findings)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonObject) wallet = cli_ask_node (cli, "wallet.show", NULL, &error);
  g_autofree char *native = NULL, *token = NULL, *fix = NULL;
  const char *wei;

  if (wallet == NULL)
    {
      cli_finding (findings, CLI_WARNING, "funds", "moosh wallet show",
                   "balances are not known: %s", error->message);
      return;
    }
  cli_token (cli, NULL);
  wei = moosh_json_string_or (wallet, "native_wei", "0");
  native = cli_amount_text (wei, 18, 9);
  token = cli_view_amount (cli, wallet, "token_wei");
  fix = g_strdup_printf ("send some to %s", moosh_json_string_or (wallet, "address", "the wallet"));
  if (cli_decimal_cmp (wei, "0") == 0)
    cli_finding (findings, CLI_BROKEN, "gas", fix,
                 "the wallet has none of the chain's coin: no transaction can be sent");
  else if (cli_decimal_cmp (wei, GAS_WARN_WEI) < 0)
    cli_finding (findings, CLI_WARNING, "gas", fix,
                 "only %s of the chain's coin is left for transactions", native);
  else
    cli_finding (findings, CLI_FINE, "gas", NULL, "%s of the chain's coin", native);
  if (cli_decimal_cmp (moosh_json_string_or (wallet, "token_wei", NULL), "0") == 0)
    cli_finding (findings, CLI_WARNING, "money", fix,
                 "the wallet has no %s to pay or to stake with",
                 cli->token_symbol ? cli->token_symbol : "token");
  else
    cli_finding (findings, CLI_FINE, "money", NULL, "%s in the wallet", token);
  if (cli_decimal_cmp (moosh_json_string_or (wallet, "credit_wei", NULL), "0") > 0)
    {
      g_autofree char *credit = cli_view_amount (cli, wallet, "credit_wei");
      cli_finding (findings, CLI_WARNING, "credit", "moosh wallet withdraw",
                   "%s lies in the vault for you", credit);
    }
}

static void
check_contacts (Cli *cli, gboolean provider, JsonArray *findings)
{
  g_autoptr (JsonObject) answer = cli_ask_node (cli, "contact.list", NULL, NULL);
  JsonArray *contacts = answer ? moosh_json_array (answer, "contacts", NULL) : NULL;
  guint n = contacts ? json_array_get_length (contacts) : 0, connected = 0;

  if (contacts == NULL)
    return;
  for (guint i = 0; i < n; i++)
    if (cli_element (contacts, i) != NULL
        && moosh_json_bool_or (cli_element (contacts, i), "connected", FALSE))
      connected++;
  if (n == 0 && !provider)
    cli_finding (findings, CLI_WARNING, "contacts", "moosh contact add KEY@HOST:PORT",
                 "the address book is empty: there is nobody to rent from");
  else if (n > 0 && connected == 0)
    cli_finding (findings, CLI_WARNING, "contacts", "moosh offers --refresh",
                 "none of %u contacts is connected now", n);
  else if (n > 0)
    cli_finding (findings, CLI_FINE, "contacts", NULL, "%u of %u connected", connected, n);
}

gboolean
cli_check_node (Cli *cli, JsonArray *findings)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonObject) status = NULL;
  g_autofree char *start = g_strdup_printf ("moosh --state %s node start", cli->state_dir);

  if (!check_setup (cli, findings))
    return FALSE;
  cli_check_disk (cli, findings);
  check_keyd (cli, findings);
  status = cli_ask_node (cli, "node.status", NULL, &error);
  if (status == NULL)
    {
      cli_finding (findings, CLI_BROKEN, "mooshd", start, "the node does not answer: %s",
                   error->message);
      return FALSE;
    }
  cli_finding (findings, CLI_FINE, "mooshd", NULL, "version %s answers",
               moosh_json_string_or (status, "version", "?"));
  check_chain (status, findings);
  check_wallet (cli, findings);
  check_contacts (cli, cli_is_provider (cli), findings);
  return TRUE;
}

gboolean
cli_doctor (Cli *cli, GError **error)
{
  g_autoptr (JsonArray) findings = json_array_new ();

  (void)error;
  cli_check_node (cli, findings);
  if (cli_is_provider (cli))
    cli_check_host (cli, findings);
  return cli_print_findings (cli, findings);
}
