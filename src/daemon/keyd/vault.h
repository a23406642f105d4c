/** The keys themselves: encrypted files at rest, locked memory while in use, and the only functions
 * that touch them.
 *
 * DIR/wallet.json and DIR/node.json are keystores (v3); DIR/public.json holds what may be known
 * while they are closed. Open secrets live in one guarded, locked allocation that is unreadable
 * between two uses. Thread-safe. */
#pragma once
#include "base/error.h"
#include "core/key/bip39.h"
#include <glib.h>

typedef struct Vault Vault;

#define VAULT_PASSPHRASE_MAX   1024
#define VAULT_SCRYPT_LOG2N     17 /* 128 MiB for a fraction of a second */
#define VAULT_SCRYPT_LOG2N_MIN 12
#define VAULT_SCRYPT_LOG2N_MAX 20

/** A passphrase in guarded memory. */
typedef struct {
  char *text; /* sodium_malloc, VAULT_PASSPHRASE_MAX + 1 bytes, NUL-terminated */
  gsize len;
} Passphrase;

void passphrase_clear (Passphrase *passphrase);

/** What anybody may know. */
typedef struct {
  guint8 address[20];
  guint8 node_key[33];
} VaultPublic;

/** Make a wallet of a mnemonic in `dir`: account `account` of BIP-44 and the node key of the same
 * number. MOOSH_ERROR_CONFLICT: there is one already; MOOSH_ERROR_USAGE: not a mnemonic, an empty
 * passphrase. */
gboolean vault_create (const char *dir, const char *mnemonic, guint account,
                       const Passphrase *passphrase, guint log2n, GError **error);

/** Fresh words from the system's randomness. `words` is 12, 15, 18, 21 or 24. */
gboolean vault_generate (guint words, char ret_mnemonic[MOOSH_MNEMONIC_MAX], GError **error);

/** Read the files; the keys stay locked. MOOSH_ERROR_NOT_FOUND: no wallet; MOOSH_ERROR_CORRUPT. */
Vault *vault_open (const char *dir, GError **error);
void vault_free (Vault *vault);

const VaultPublic *vault_public (const Vault *vault);
gboolean vault_is_locked (Vault *vault);

/** MOOSH_ERROR_DENIED: wrong passphrase; MOOSH_ERROR_LIMIT: no memory for scrypt. Takes as long as
 * that takes. */
gboolean vault_unlock (Vault *vault, const char *passphrase, gsize len, GError **error);
/** Wipe the open keys. */
void vault_lock (Vault *vault);

/** All of these: MOOSH_ERROR_DENIED while locked. The first gives r ‖ s ‖ v (27, 28) by the wallet.
 */
gboolean vault_sign_hash (Vault *vault, const guint8 hash[32], guint8 ret_signature[65],
                          GError **error);
gboolean vault_sign_statement (Vault *vault, const guint8 *statement, gsize len,
                               guint8 ret_signature[64], GError **error);
/** MOOSH_ERROR_USAGE: `theirs` is no public key. */
gboolean vault_ecdh (Vault *vault, const guint8 theirs[33], guint8 ret_shared[32], GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Vault, vault_free)
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Passphrase, passphrase_clear)
