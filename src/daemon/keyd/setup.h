/** What moosh-keyd does once: make a wallet, write a policy. */
#pragma once
#include "daemon/keyd/vault.h"

typedef struct {
  gboolean init;
  int mnemonic_fd;     /* -1: see the file */
  char *mnemonic_file; /* NULL as well: make fresh words */
  int words;
  int account;
  int log2n;
  gboolean write_policy;
  char *deployment;
  char *per_tx;
  char *per_day;
  gboolean force;
} SetupOptions;

void setup_options_clear (SetupOptions *options);

/** Make the wallet in `dir`. Fresh words are printed on stdout, once, after everything is on disk.
 * Words that come from a descriptor may have capitals and any white space. */
gboolean setup_init (const char *dir, const SetupOptions *options, const Passphrase *passphrase,
                     GError **error);

/** Write STATE/keyd-policy.conf for the contracts of a deployment file: JSON {chainId, agreements,
 * escrowVault, stakeVault, offerBook, registry, testUsd}. MOOSH_ERROR_CONFLICT: there is one and
 * not `force`. */
gboolean setup_write_policy (const char *state_dir, const SetupOptions *options, GError **error);
