/** The sockets keyd listens on, each with the methods its clients may call. */
#pragma once
#include "base/daemon.h"
#include "daemon/keyd/methods.h"

/** STATE/keyd.sock (mode 0600, all methods) and one more for each [socket NAME] of keyd.conf:
 *
 *   [socket mooshd]
 *   path=/run/mooshnet/keyd-mooshd.sock    absolute, or below the state directory
 *   mode=0660
 *   uid=991                                who may call (SO_PEERCRED); absent: whom the mode lets
 * connect methods=status;sign_statement;node_ecdh
 *
 * Returns the servers, which stop when the array is freed; they use `keyd` until then.
 * MOOSH_ERROR_USAGE names the group and key that is off. */
GPtrArray *sockets_open (MooshDaemon *daemon, Keyd *keyd, GError **error);
