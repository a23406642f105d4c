/* The node as one thing: its daemons start and stop together, in the order in which they need each
 * other. */
#include "base/json.h"
#include "cli/commands.h"
#include "cli/process.h"
#include "cli/table.h"
#include "cli/view.h"
#include <stdio.h>
#include <string.h>

#define PASSPHRASE_OPTION                                                                          \
  {                                                                                                \
    "passphrase-file", 0, "FILE", "Read the wallet's passphrase from here instead of asking",      \
        "file"                                                                                     \
  }

const CliOption cli_node_start_options[] = {
  PASSPHRASE_OPTION,
  { NULL, 0, NULL, NULL, NULL },
};
const CliOption cli_node_unlock_options[] = {
  PASSPHRASE_OPTION,
  { NULL, 0, NULL, NULL, NULL },
};
const CliOption cli_node_stop_options[] = {
  { "force", 0, NULL, "Kill what does not end by itself within 30 s", NULL },
  { NULL, 0, NULL, NULL, NULL },
};

static const CliDaemon start_order[] = { CLI_KEYD, CLI_VMMD, CLI_MOOSHD };

static gboolean
unlock (Cli *cli, GError **error)
{
  g_autoptr (JsonObject) status = cli_call (cli, CLI_KEYD, "status", NULL, 20000, error);
  g_autoptr (JsonObject) done = NULL;
  char *passphrase;

  if (status == NULL)
    return FALSE;
  if (!moosh_json_bool_or (status, "locked", TRUE))
    return TRUE;
  passphrase = cli_passphrase (cli, FALSE, error);
  if (passphrase == NULL)
    return FALSE;
  done = cli_call (cli, CLI_KEYD, "unlock", moosh_json_build ("passphrase", 's', passphrase, NULL),
                   120000, error);
  cli_secret_free (passphrase);
  return done != NULL;
}

gboolean
cli_node_unlock (Cli *cli, GError **error)
{
  if (!unlock (cli, error))
    return FALSE;
  cli_say ("The wallet is open.");
  return TRUE;
}

gboolean
cli_node_lock (Cli *cli, GError **error)
{
  g_autoptr (JsonObject) done = cli_call (cli, CLI_KEYD, "lock", NULL, 20000, error);

  if (done == NULL)
    return FALSE;
  cli_say ("The wallet is locked: nothing can be signed, and no new session begins, until `moosh "
           "node unlock`.");
  return TRUE;
}

static gboolean
is_set_up (Cli *cli, GError **error)
{
  g_autofree char *path = cli_path (cli, "mooshd.conf");

  if (g_file_test (path, G_FILE_TEST_EXISTS))
    return TRUE;
  g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_NOT_FOUND,
               "%s is no node yet: make it one with `moosh --state %s init`", cli->state_dir,
               cli->state_dir);
  return FALSE;
}

gboolean
cli_node_start (Cli *cli, GError **error)
{
  if (!is_set_up (cli, error))
    return FALSE;
  for (guint i = 0; i < G_N_ELEMENTS (start_order); i++)
    {
      CliDaemon daemon = start_order[i];

      if (daemon == CLI_VMMD && !cli_is_provider (cli))
        continue;
      if (!cli_process_start (cli, daemon, error))
        return FALSE;
      if (daemon == CLI_KEYD && !unlock (cli, error))
        return FALSE;
    }
  if (cli->json)
    return cli_node_status (cli, error);
  cli_say ("The node runs. `moosh status` says how it is, `moosh node stop` ends it.");
  return TRUE;
}

gboolean
cli_node_stop (Cli *cli, GError **error)
{
  gboolean any = FALSE;

  for (guint i = G_N_ELEMENTS (start_order); i-- > 0;)
    {
      gboolean stopped;

      if (!cli_process_stop (cli, start_order[i], cli_flag (cli, "force"), &stopped, error))
        return FALSE;
      any |= stopped;
    }
  cli_say (any ? "The node is stopped. Machines that run on this host go on."
               : "Nothing of the node was running.");
  return TRUE;
}

static void
chain_lines (JsonObject *chain)
{
  JsonArray *endpoints = moosh_json_array (chain, "endpoints", NULL);

  cli_line ("chain",
            "%" G_GINT64_FORMAT ", block %" G_GINT64_FORMAT ", followed to %" G_GINT64_FORMAT,
            moosh_json_int_or (chain, "id", 0), moosh_json_int_or (chain, "head", 0),
            moosh_json_int_or (chain, "synced_block", 0));
  for (guint i = 0; endpoints != NULL && i < json_array_get_length (endpoints); i++)
    {
      JsonObject *e = cli_element (endpoints, i);

      if (e != NULL)
        cli_line ("", "%s: %s", moosh_json_string_or (e, "url", "?"),
                  moosh_json_bool_or (e, "ok", FALSE)
                      ? "fine"
                      : moosh_json_string_or (e, "error", "no answer"));
    }
}

gboolean
cli_node_status (Cli *cli, GError **error)
{
  g_autoptr (JsonObject) status = cli_ask_node (cli, "node.status", NULL, error);
  JsonObject *chain, *keyd, *provider;
  JsonArray *peers;

  if (status == NULL)
    return FALSE;
  if (cli->json)
    return cli_print_json (status);
  chain = moosh_json_object (status, "chain", NULL);
  keyd = moosh_json_object (status, "keyd", NULL);
  provider = moosh_json_object (status, "provider", NULL);
  peers = moosh_json_array (status, "peers", NULL);
  cli_line ("version", "%s", moosh_json_string_or (status, "version", "?"));
  cli_line ("identity", "%s", moosh_json_string_or (status, "identity", "?"));
  cli_line ("address", "%s",
            moosh_json_string_or (status, "address", "none: this node does not listen"));
  cli_line ("state", "%s", moosh_json_string_or (status, "state_dir", cli->state_dir));
  if (chain != NULL)
    chain_lines (chain);
  if (keyd != NULL)
    cli_line ("wallet", "%s",
              !moosh_json_bool_or (keyd, "reachable", FALSE) ? "keyd does not answer"
              : moosh_json_bool_or (keyd, "locked", TRUE)    ? "locked: `moosh node unlock`"
                                                             : "open");
  cli_line ("peers", "%d connected", peers ? (int)json_array_get_length (peers) : 0);
  if (provider != NULL && moosh_json_bool_or (provider, "enabled", FALSE))
    cli_line ("provider", "the machine manager %s; `moosh-vmm status` says more",
              moosh_json_bool_or (provider, "vmmd_reachable", FALSE) ? "answers"
                                                                     : "does not answer");
  return TRUE;
}
