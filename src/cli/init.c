/* A new node: a wallet, the chain's configuration, what keyd may sign. Run again it changes only
 * what is said again. */
#include "base/json.h"
#include "base/spawn.h"
#include "cli/commands.h"
#include "cli/process.h"
#include "cli/text.h"
#include "cli/view.h"
#include "core/bytes/bytes.h"
#include <arpa/inet.h>
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
  { "per-tx", 0, "WEI", "Most that one transaction may spend, in the token's smallest unit", NULL },
  { "per-day", 0, "WEI", "Most that a day may spend", NULL },
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

/* Run moosh-keyd once with `arguments` (NULL-ended) and descriptors it may read; its stdout in
 * `ret_out`. */
static gboolean
run_keyd (Cli *cli, const char *const *arguments, const int *pass_fds, char **ret_out,
          GError **error)
{
  g_autofree char *program = cli_process_find (CLI_KEYD, error);
  g_autoptr (GPtrArray) argv = g_ptr_array_new ();
  MooshSpawn spawn = { .pass_fds = pass_fds };
  g_auto (MooshOutput) output = { 0 };

  if (program == NULL)
    return FALSE;
  g_ptr_array_add (argv, program);
  g_ptr_array_add (argv, (gpointer) "--state");
  g_ptr_array_add (argv, cli->state_dir);
  for (; *arguments != NULL; arguments++)
    g_ptr_array_add (argv, (gpointer)*arguments);
  g_ptr_array_add (argv, NULL);
  spawn.argv = (const char *const *)argv->pdata;
  if (!moosh_spawn_run (&spawn, 120000, 65536, NULL, NULL, &output, error))
    return FALSE;
  if (output.exit_status != 0)
    {
      g_strstrip (output.err);
      g_set_error (error, MOOSH_ERROR,
                   output.exit_status > 1 && output.exit_status < 16 ? output.exit_status - 1 : 0,
                   "%s", *output.err ? output.err : "moosh-keyd failed and said nothing");
      return FALSE;
    }
  if (ret_out != NULL)
    *ret_out = g_steal_pointer (&output.out);
  return TRUE;
}

/* Have keyd make the wallet. Fresh words come back on its stdout and are shown once. */
static gboolean
run_keyd_init (Cli *cli, const char *passphrase, GError **error)
{
  const char *mnemonic = cli_value (cli, "mnemonic-file");
  int words_fd = mnemonic ? open (mnemonic, O_RDONLY | O_CLOEXEC) : -1;
  int fd = secret_fd (passphrase);
  g_autofree char *fd_text = g_strdup_printf ("%d", fd),
                  *words_text = g_strdup_printf ("%d", words_fd);
  const char *arguments[] = { "--init",   "--passphrase-fd",
                              fd_text,    mnemonic ? "--mnemonic-fd" : NULL,
                              words_text, NULL };
  const int pass[] = { fd, words_fd < 0 ? -1 : words_fd, -1 };
  char *out = NULL;
  gboolean ok = FALSE;

  if (mnemonic != NULL && words_fd < 0)
    g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_NOT_FOUND, "cannot read the words from %s: %s",
                 mnemonic, g_strerror (errno));
  else if (fd < 0)
    g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_FAILED, "no memory for the passphrase: %s",
                 g_strerror (errno));
  else
    ok = run_keyd (cli, arguments, pass, &out, error);
  if (fd >= 0)
    close (fd);
  if (words_fd >= 0)
    close (words_fd);
  if (ok && mnemonic == NULL)
    show_mnemonic (out);
  g_free (out);
  return ok;
}

static gboolean
make_wallet (Cli *cli, GError **error)
{
  g_autofree char *path = cli_path (cli, "keys/wallet.json");
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

/* What the wallet signs: written once, and again only for other contracts or other limits. */
static gboolean
write_policy (Cli *cli, gboolean new_contracts, GError **error)
{
  g_autofree char *path = cli_path (cli, "keyd-policy.conf");
  g_autofree char *deployment = cli_path (cli, "deployment.json");
  g_autofree char *old = g_strconcat (path, ".old", NULL);
  g_autoptr (GPtrArray) arguments = g_ptr_array_new ();
  static const char *const limits[] = { "per-tx", "per-day" };
  const char *const options[] = { "--per-tx", "--per-day" };
  gboolean asked = cli_value (cli, "per-tx") != NULL || cli_value (cli, "per-day") != NULL;
  gboolean there = g_file_test (path, G_FILE_TEST_EXISTS);

  if (there && !new_contracts && !asked)
    return TRUE;
  if (there && g_rename (path, old) != 0)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_FAILED, "cannot rename %s: %s", path,
                   g_strerror (errno));
      return FALSE;
    }
  g_ptr_array_add (arguments, (gpointer) "--write-policy");
  g_ptr_array_add (arguments, (gpointer) "--deployment");
  g_ptr_array_add (arguments, deployment);
  for (guint i = 0; i < G_N_ELEMENTS (limits); i++)
    if (cli_value (cli, limits[i]) != NULL)
      {
        g_ptr_array_add (arguments, (gpointer)options[i]);
        g_ptr_array_add (arguments, (gpointer)cli_value (cli, limits[i]));
      }
  g_ptr_array_add (arguments, NULL);
  if (!run_keyd (cli, (const char *const *)arguments->pdata, NULL, NULL, error))
    {
      if (there)
        g_rename (old, path);
      return FALSE;
    }
  if (there)
    cli_say ("keyd-policy.conf is written anew; the old one is %s.", old);
  return TRUE;
}

/* Check the deployment and copy it into the state directory. `ret_changed`: it is another one than
 * before. */
static gboolean
take_deployment (Cli *cli, const char *from, gboolean *ret_changed, GError **error)
{
  g_autofree char *to = cli_path (cli, "deployment.json");
  g_autofree char *text = NULL, *before = NULL;
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
  *ret_changed = !g_file_get_contents (to, &before, NULL, NULL) || strcmp (before, text) != 0;
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
is_ipv4 (const char *host)
{
  struct in_addr address;
  return inet_pton (AF_INET, host, &address) == 1;
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

/* A provider's machines are reached at the host the node is: their SSH ports listen there too. */
static gboolean
write_vmmd_config (Cli *cli, GError **error)
{
  g_autofree char *path = cli_path (cli, "vmmd.conf");
  const char *listen = cli_value (cli, "listen");
  g_autofree char *host
      = listen ? g_strndup (listen, (gsize)(strrchr (listen, ':') - listen)) : NULL;
  g_autoptr (GKeyFile) config = g_key_file_new ();

  if (host == NULL || !cli_is_provider (cli) || g_file_test (path, G_FILE_TEST_EXISTS))
    return TRUE;
  g_key_file_set_string (config, "network", "listen_host", is_ipv4 (host) ? host : "0.0.0.0");
  if (!is_ipv4 (host))
    g_key_file_set_string (config, "network", "public_host", host);
  return g_key_file_save_to_file (config, path, error);
}

gboolean
cli_init (Cli *cli, GError **error)
{
  g_autofree char *known = cli_path (cli, "deployment.json");
  g_autofree char *answer = NULL;
  const char *deployment = cli_value (cli, "deployment");
  gboolean changed = FALSE;

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
  if (deployment != NULL && !take_deployment (cli, deployment, &changed, error))
    return FALSE;
  if (!write_config (cli, error) || !write_vmmd_config (cli, error) || !make_wallet (cli, error)
      || !write_policy (cli, changed, error))
    return FALSE;
  cli_say ("The node is set up in %s. Start it with `moosh node start`%s.", cli->state_dir,
           cli_is_provider (cli) ? ", then sell with `moosh-vmm setup`" : "");
  return TRUE;
}
