#include "base/json.h"
#include "chain/txjournal.h"

#define SIGN_MS 30000

typedef struct {
  MooshSigner base;
  MooshRpcClient *keyd; /* not owned */
} KeydSigner;

void
moosh_signer_free (MooshSigner *signer)
{
  if (signer != NULL)
    signer->free (signer);
}

static GBytes *
keyd_sign (MooshSigner *signer, const MooshTx *tx, GError **error)
{
  KeydSigner *self = (KeydSigner *)signer;
  char value[79], max_fee[79], tip[79];
  g_autofree char *to = tx->create ? NULL : moosh_hex (tx->to, 20);
  g_autoptr (GBytes) data = g_bytes_new (tx->data.ptr, tx->data.len);
  g_autoptr (JsonObject) params = NULL;
  g_autoptr (JsonObject) answer = NULL;

  moosh_u256_to_decimal (&tx->value, value);
  moosh_u256_to_decimal (&tx->max_fee, max_fee);
  moosh_u256_to_decimal (&tx->max_priority_fee, tip);
  params = moosh_json_build ("chain_id", 'i', (gint64)tx->chain_id, "nonce", 'i', (gint64)tx->nonce,
                             "value", 's', value, "gas", 'i', (gint64)tx->gas, "max_fee", 's',
                             max_fee, "max_priority_fee", 's', tip, "data", 'x', data, NULL);
  if (to != NULL)
    json_object_set_string_member (params, "to", to);
  answer = moosh_rpc_client_call (self->keyd, "sign_transaction", params, SIGN_MS, error);
  return answer != NULL ? moosh_json_hex (answer, "raw", 0, error) : NULL;
}

static void
keyd_free (MooshSigner *signer)
{
  g_free (signer);
}

MooshSigner *
moosh_signer_keyd_new (MooshRpcClient *keyd, const guint8 address[20])
{
  KeydSigner *self = g_new0 (KeydSigner, 1);

  memcpy (self->base.address, address, 20);
  self->base.sign = keyd_sign;
  self->base.free = keyd_free;
  self->keyd = keyd;
  return &self->base;
}
