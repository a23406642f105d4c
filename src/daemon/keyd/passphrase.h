/** Where a passphrase and a mnemonic come from: a descriptor, a systemd credential, the terminal.
 */
#pragma once
#include "daemon/keyd/vault.h"

/** The first line (without its newline) of a descriptor, which is then closed. MOOSH_ERROR_USAGE:
 * longer than VAULT_PASSPHRASE_MAX, not readable. */
gboolean passphrase_from_fd (int fd, Passphrase *ret, GError **error);

/** The first line of systemd's credential `name` (systemd.exec(5), LoadCredential=). */
gboolean passphrase_from_credential (const char *name, Passphrase *ret, GError **error);

/** Ask on the controlling terminal without echo; with `twice`, again, until both agree
 * (MOOSH_ERROR_USAGE when they do not). MOOSH_ERROR_UNAVAILABLE: there is no terminal. */
gboolean passphrase_from_terminal (const char *prompt, gboolean twice, Passphrase *ret,
                                   GError **error);
