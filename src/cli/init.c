/* A new node: a wallet, the chain's configuration, what keyd may sign. Run again it changes only
 * what is said again. */
#include "base/json.h"
#include "base/spawn.h"
#include "cli/commands.h"
#include "cli/process.h"
#include "cli/text.h"
#include "cli/view.h"
#include "core/bytes/bytes.h"
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

const CliOption cli_init_options[] = {
  { "rpc", 0, "URL", "An endpoint of the chain; several are better (may be repeated)", NULL },
  { "chain-id", 0, "N", "Number of the chain, checked against the deployment's", NULL },
  { "deployment", 0, "FILE", "Where the contracts are: deployment.json", "file" },
  { "listen", 0, "HOST:PORT", "Be reachable here for other nodes", NULL },
  { "provider", 0, NULL, "This node sells machines", NULL },
  { "passphrase-file", 0, "FILE", "Read the wallet's passphrase from here instead of asking",
    "file" },
  { "mnemonic-file", 0, "FILE", "Bring the words of an existing wallet", "file" },
  { NULL, 0, NULL, NULL, NULL },
};

/* A descriptor with the secret to read, in memory only. */
static int
secret_fd (const char *secret)
{
  int fd = memfd_create ("secret", MFD_CLOEXEC);

  if (fd >= 0 && (write (fd, secret, strlen (secret)) < 0 || lseek (fd, 0, SEEK_SET) != 0))
    {
      close (fd);
      return -1;
    }
  return fd;
}

static void
show_mnemonic (char *words)
{
  g_strstrip (words);
  if (*words == '\0')
    return;
  cli_say ("These words are the wallet. Write them down now: they are shown once, and whoever has "
           "them has the money.");
  fflush (stderr);
  printf ("%s\n", words);
  fflush (stdout);
  moosh_wipe (words, strlen (words));
}

/* Run `moosh-keyd --init` with the passphrase on a descriptor; the new wallet's words come back on
 * its stdout. */
static gboolean
run_keyd_init (Cli *cli, const char *passphrase, GError **error)
{
  g_autofree char *program = cli_process_find (CLI_KEYD, error);
  int fd = program ? secret_fd (passphrase) : -1;
  g_autofree char *fd_text = g_strdup_printf ("%d", fd);
  const char *mnemonic = cli_value (cli, "mnemonic-file");
  const char *argv[] = { program,
                         "--state",
                         cli->state_dir,
                         "--init",
                         "--passphrase-fd",
                         fd_text,
                         mnemonic ? "--mnemonic-file" : NULL,
                         mnemonic,
                         NULL };
  const int pass[] = { fd, -1 };
  MooshSpawn spawn = { .argv = argv, .pass_fds = pass };
  g_auto (MooshOutput) output = { 0 };
  gboolean ok;

  if (program == NULL)
    return FALSE;
  ok = moosh_spawn_run (&spawn, 120000, 65536, NULL, NULL, &output, error);
  close (fd);
  if (ok && output.exit_status != 0)
    {
      g_strstrip (output.err);
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_FAILED,
                   "moosh-keyd could not make the wallet: %s", output.err);
      ok = FALSE;
    }
  if (ok && mnemonic == NULL)
    show_mnemonic (output.out);
  return ok;
}

static gboolean
make_wallet (Cli *cli, GError **error)
{
  g_autofree char *path = cli_path (cli, "wallet.json");
  char *passphrase;
  gboolean ok;

  if (g_file_test (path, G_FILE_TEST_EXISTS))
    {
      cli_say ("The wallet is there already and stays as it is.");
      return TRUE;
    }
  passphrase = cli_passphrase (cli, TRUE, error);
  if (passphrase == NULL)
    return FALSE;
  ok = run_keyd_init (cli, passphrase, error);
  cli_secret_free (passphrase);
  return ok;
}

/* Check the deployment and copy it into the state directory. */
static gboolean
take_deployment (Cli *cli, const char *from, GError **error)
{
  g_autofree char *to = cli_path (cli, "deployment.json");
  g_autofree char *text = NULL;
  g_autoptr (JsonObject) deployment = NULL;
  g_autoptr (GError) local = NULL;
  gint64 id = 0;
  gsize len;

  if (!g_file_get_contents (from, &text, &len, &local))
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_NOT_FOUND, "deployment: %s", local->message);
      return FALSE;
    }
  deployment = moosh_json_parse (text, (gssize)len, error);
  if (deployment == NULL || !moosh_json_int (deployment, "chainId", &id, error)
      || moosh_json_string (deployment, "agreements", error) == NULL)
    {
      g_prefix_error (error, "%s is no deployment file: ", from);
      return FALSE;
    }
  if (cli_value (cli, "chain-id") != NULL
      && g_ascii_strtoll (cli_value (cli, "chain-id"), NULL, 0) != id)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_CONFLICT,
                   "%s is for chain %" G_GINT64_FORMAT ", not for chain %s", from, id,
                   cli_value (cli, "chain-id"));
      return FALSE;
    }
  return g_file_set_contents (to, text, (gssize)len, error);
}

static gboolean
is_endpoint (const char *text)
{
  const char *colon = strrchr (text, ':');
  guint64 port;

  return colon != NULL && colon != text
         && g_ascii_string_to_unsigned (colon + 1, 10, 1, 65535, &port, NULL);
}

static gboolean
set_chain (Cli *cli, GKeyFile *config, GError **error)
{
  char **urls = cli_values (cli, "rpc");
  g_autofree char *answer = NULL;
  char *asked[2] = { NULL, NULL };

  if (*urls == NULL && !g_key_file_has_key (config, "chain", "rpc", NULL))
    {
      answer = cli_ask (cli, "Endpoint of the chain", "http://127.0.0.1:8545", error);
      if (answer == NULL)
        {
          g_prefix_error (error, "--rpc: ");
          return FALSE;
        }
      asked[0] = answer;
      urls = asked;
    }
  for (char **url = urls; *url != NULL; url++)
    if (!g_str_has_prefix (*url, "http://") && !g_str_has_prefix (*url, "https://"))
      {
        g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE,
                     "--rpc: \"%s\" is no http:// or https:// URL", *url);
        return FALSE;
      }
  if (*urls != NULL)
    g_key_file_set_string_list (config, "chain", "rpc", (const char *const *)urls,
                                g_strv_length (urls));
  g_key_file_set_string (config, "chain", "deployment", "deployment.json");
  return TRUE;
}

static gboolean
write_config (Cli *cli, GError **error)
{
  g_autofree char *path = cli_path (cli, "mooshd.conf");
  g_autoptr (GKeyFile) config = g_key_file_new ();
  const char *listen = cli_value (cli, "listen");

  if (g_file_test (path, G_FILE_TEST_EXISTS)
      && !g_key_file_load_from_file (config, path, G_KEY_FILE_KEEP_COMMENTS, error))
    return FALSE;
  if (!set_chain (cli, config, error))
    return FALSE;
  if (listen != NULL && !is_endpoint (listen))
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE, "--listen: \"%s\" is not HOST:PORT",
                   listen);
      return FALSE;
    }
  if (listen != NULL)
    g_key_file_set_string (config, "node", "listen", listen);
  if (cli_flag (cli, "provider"))
    g_key_file_set_boolean (config, "provider", "enabled", TRUE);
  return g_key_file_save_to_file (config, path, error);
}

gboolean
cli_init (Cli *cli, GError **error)
{
  g_autofree char *known = cli_path (cli, "deployment.json");
  g_autofree char *answer = NULL;
  const char *deployment = cli_value (cli, "deployment");

  if (g_mkdir_with_parents (cli->state_dir, 0700) != 0)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_FAILED, "cannot make %s: %s", cli->state_dir,
                   g_strerror (errno));
      return FALSE;
    }
  if (deployment == NULL && !g_file_test (known, G_FILE_TEST_EXISTS))
    {
      answer = cli_ask (cli, "File that says where the contracts are", "deployment.json", error);
      if (answer == NULL)
        {
          g_prefix_error (error, "--deployment: ");
          return FALSE;
        }
      deployment = answer;
    }
  if (deployment != NULL && !take_deployment (cli, deployment, error))
    return FALSE;
  if (!write_config (cli, error) || !make_wallet (cli, error))
    return FALSE;
  cli_say ("The node is set up in %s. Start it with `moosh node start`%s.", cli->state_dir,
           cli_is_provider (cli) ? ", then sell with `moosh-vmm setup`" : "");
  return TRUE;
}
