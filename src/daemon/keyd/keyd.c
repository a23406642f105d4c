/* moosh-keyd: the only process that sees a key.
 *
 * The story of one signature. `moosh take` has made mooshd prepare a transaction; mooshd writes one
 * line of JSON to STATE/keyd.sock: sign_transaction with chain, nonce, target, fees and data
 * (methods.c). The line becomes a plain struct. The policy (policy.c, from keyd-policy.conf) looks
 * at the struct: is the chain allowed, the contract, the function, and do the arguments move money,
 * how much, of what, to whom? What it finds is put to the ledger (ledger.c), which knows what today
 * has cost already and writes the new sum to disk before anything is signed. Only then is the
 * transaction hashed, and the hash goes to the vault (vault.c), where the key lives in memory that
 * is locked, guarded, and readable only for those microseconds. The raw transaction goes back down
 * the same socket. Nothing is signed that was not parsed: there is no way to hand keyd a bare hash.
 *
 * Before all this, and before it reads a passphrase, the process gives up the network, starting
 * programs and core dumps for good (sandbox.c). */
#include "base/daemon.h"
#include "daemon/keyd/memory.h"
#include "daemon/keyd/methods.h"
#include "daemon/keyd/passphrase.h"
#include "daemon/keyd/sandbox.h"
#include "daemon/keyd/setup.h"
#include "daemon/keyd/sockets.h"
#include <malloc.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct {
  int passphrase_fd;
  char *credential;
  SetupOptions setup;
} Options;

static gboolean
parse (MooshDaemon *daemon, Options *options, int argc, char **argv, GError **error)
{
  const GOptionEntry entries[] = {
    { "passphrase-fd", 0, 0, G_OPTION_ARG_INT, &options->passphrase_fd,
      "Read the passphrase from here", "N" },
    { "passphrase-credential", 0, 0, G_OPTION_ARG_STRING, &options->credential,
      "Read the passphrase from this systemd credential", "NAME" },
    { "init", 0, 0, G_OPTION_ARG_NONE, &options->setup.init,
      "Make a wallet and exit (together with --write-policy: both)", NULL },
    { "mnemonic-fd", 0, 0, G_OPTION_ARG_INT, &options->setup.mnemonic_fd,
      "With --init: read the words from here", "N" },
    { "mnemonic-file", 0, 0, G_OPTION_ARG_FILENAME, &options->setup.mnemonic_file,
      "With --init: read the words from this file", "FILE" },
    { "words", 0, 0, G_OPTION_ARG_INT, &options->setup.words,
      "With --init: make this many words (12)", "N" },
    { "account", 0, 0, G_OPTION_ARG_INT, &options->setup.account,
      "With --init: BIP-44 account number (0)", "N" },
    { "scrypt-log2n", 0, 0, G_OPTION_ARG_INT, &options->setup.log2n,
      "With --init: cost of a guess (17: 128 MiB)", "N" },
    { "write-policy", 0, 0, G_OPTION_ARG_NONE, &options->setup.write_policy,
      "Write keyd-policy.conf for a deployment and exit", NULL },
    { "deployment", 0, 0, G_OPTION_ARG_FILENAME, &options->setup.deployment,
      "With --write-policy: the contracts' addresses", "FILE" },
    { "per-tx", 0, 0, G_OPTION_ARG_STRING, &options->setup.per_tx,
      "With --write-policy: most per transaction", "WEI" },
    { "per-day", 0, 0, G_OPTION_ARG_STRING, &options->setup.per_day,
      "With --write-policy: most per day", "WEI" },
    { "force", 0, 0, G_OPTION_ARG_NONE, &options->setup.force,
      "With --write-policy: replace an existing one", NULL },
    G_OPTION_ENTRY_NULL,
  };

  if (!moosh_daemon_init (daemon, "keyd", entries, &argc, &argv, error))
    return FALSE;
  if (argc == 1)
    return TRUE;
  g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE, "unknown argument %s", argv[1]);
  return FALSE;
}

/* From where the options say, else from the terminal. FALSE without error: there is no terminal
 * either. */
static gboolean
get_passphrase (const Options *options, gboolean twice, Passphrase *ret, GError **error)
{
  g_autoptr (GError) local = NULL;

  if (options->passphrase_fd >= 0)
    return passphrase_from_fd (options->passphrase_fd, ret, error);
  if (options->credential != NULL)
    return passphrase_from_credential (options->credential, ret, error);
  if (isatty (STDIN_FILENO)
      && passphrase_from_terminal (twice ? "New passphrase: " : "Passphrase: ", twice, ret, &local))
    return TRUE;
  if (local != NULL && local->code != MOOSH_ERROR_UNAVAILABLE)
    g_propagate_error (error, g_steal_pointer (&local));
  return FALSE;
}

static gboolean
run_init (MooshDaemon *daemon, const Options *options, GError **error)
{
  g_auto (Passphrase) passphrase = { 0 };
  g_autofree char *dir = moosh_daemon_path (daemon, "keys");
  g_autoptr (GError) local = NULL;

  if (!get_passphrase (options, TRUE, &passphrase, &local))
    {
      if (local != NULL)
        g_propagate_error (error, g_steal_pointer (&local));
      else
        g_set_error (
            error, MOOSH_ERROR, MOOSH_ERROR_USAGE,
            "--init needs a passphrase: a terminal, --passphrase-fd or --passphrase-credential");
      return FALSE;
    }
  return setup_init (dir, &options->setup, &passphrase, error);
}

/* Open at the start when there is a passphrase, else wait for `unlock`. */
static gboolean
unlock_at_start (Keyd *keyd, const Options *options, GError **error)
{
  g_auto (Passphrase) passphrase = { 0 };
  g_autoptr (GError) local = NULL;

  if (get_passphrase (options, FALSE, &passphrase, &local))
    return vault_unlock (keyd->vault, passphrase.text, passphrase.len, error);
  if (local != NULL)
    {
      g_propagate_error (error, g_steal_pointer (&local));
      return FALSE;
    }
  g_message ("the wallet is locked: waiting for unlock");
  return TRUE;
}

static gboolean
open_keyd (MooshDaemon *daemon, Keyd *keyd, GError **error)
{
  g_autofree char *keys = moosh_daemon_path (daemon, "keys");
  g_autofree char *policy = moosh_daemon_path (daemon, "keyd-policy.conf");
  g_autofree char *ledger = moosh_daemon_path (daemon, "keyd-ledger.sqlite");

  g_mutex_init (&keyd->signing);
  g_mutex_init (&keyd->ecdh);
  keyd->ecdh_left = KEYD_ECDH_PER_MINUTE;
  keyd->ecdh_at_us = g_get_monotonic_time ();
  keyd->vault = vault_open (keys, error);
  keyd->policy = keyd->vault != NULL ? policy_load (policy, error) : NULL;
  keyd->ledger = keyd->policy != NULL ? ledger_open (ledger, error) : NULL;
  return keyd->ledger != NULL;
}

static void
close_keyd (Keyd *keyd)
{
  g_clear_pointer (&keyd->vault, vault_free);
  g_clear_pointer (&keyd->policy, policy_free);
  g_clear_pointer (&keyd->ledger, ledger_free);
  g_mutex_clear (&keyd->signing);
  g_mutex_clear (&keyd->ecdh);
}

static gboolean
serve (MooshDaemon *daemon, const Options *options, GError **error)
{
  Keyd keyd = { 0 };
  g_autoptr (GPtrArray) servers = NULL;

  if (open_keyd (daemon, &keyd, error) && unlock_at_start (&keyd, options, error))
    servers = sockets_open (daemon, &keyd, error);
  if (servers != NULL)
    {
      memory_settle ();
      moosh_daemon_run (daemon);
      g_ptr_array_set_size (servers, 0);
    }
  close_keyd (&keyd);
  return servers != NULL;
}

int
main (int argc, char **argv)
{
  g_auto (MooshDaemon) daemon = { 0 };
  g_autoptr (GError) error = NULL;
  Options options = { .passphrase_fd = -1,
                      .setup = { .mnemonic_fd = -1, .words = 12, .log2n = VAULT_SCRYPT_LOG2N } };
  gboolean done;

  umask (0077);
  mallopt (M_ARENA_MAX, 1); /* a few short requests at a time do not need an arena a thread */
  done = sodium_init () >= 0 && parse (&daemon, &options, argc, argv, &error)
         && sandbox_enter (&error);
  if (done && options.setup.init)
    done = run_init (&daemon, &options, &error);
  if (done && options.setup.write_policy)
    done = setup_write_policy (daemon.state_dir, &options.setup, &error);
  if (done && !options.setup.init && !options.setup.write_policy)
    done = serve (&daemon, &options, &error);
  if (error != NULL)
    g_critical ("%s", error->message);
  g_free (options.credential);
  setup_options_clear (&options.setup);
  return done ? 0 : error != NULL ? moosh_error_exit_code (error) : 1;
}
