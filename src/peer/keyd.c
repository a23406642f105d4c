#include "base/json.h"
#include "base/rpc.h"
#include "peer/peer.h"
#include <string.h>

#define KEYD_TIMEOUT_MS 3000 /* within a handshake's deadline, so that the cause is told */

gboolean
moosh_peer_keyd_ecdh (const guint8 public_key[33], guint8 ret_secret[32], gpointer rpc_client,
                      GError **error)
{
  g_autofree char *hex = moosh_hex (public_key, 33);
  g_autoptr (JsonObject) params = moosh_json_build ("pubkey", 's', hex, NULL);
  g_autoptr (JsonObject) answer
      = moosh_rpc_client_call (rpc_client, "node_ecdh", params, KEYD_TIMEOUT_MS, error);
  if (answer == NULL)
    return FALSE;
  g_autoptr (GBytes) secret = moosh_json_hex (answer, "secret", 32, error);
  if (secret == NULL)
    return FALSE;
  memcpy (ret_secret, g_bytes_get_data (secret, NULL), 32);
  return TRUE;
}
