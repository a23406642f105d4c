/* provider.*: becoming one, and how business goes. */
#include "api.h"
#include "chain/bindings.h"
#include <string.h>

/* One transaction of the registration; noted in `done`. */
static gboolean
do_once (Node *node, const char *what, const guint8 to[20], GBytes *call, JsonArray *done,
         GError **error)
{
  g_autofree char *stem = g_strdup_printf ("provider-%s", what);
  g_autofree char *purpose = moosh_tx_fresh_purpose (node->txs, stem);
  g_autofree char *hash = NULL;
  g_auto (MooshReceipt) receipt = { 0 };

  if (call == NULL)
    return FALSE;
  if (!moosh_tx_execute (node->txs, purpose, to, call, NULL, TX_MS, &receipt, error))
    {
      g_prefix_error (error, "%s: ", what);
      return FALSE;
    }
  hash = moosh_hex (receipt.tx_hash, 32);
  json_array_add_object_element (done,
                                 moosh_json_build ("what", 's', what, "hash", 's', hash, "gas_used",
                                                   'i', (gint64)receipt.gas_used, NULL));
  return TRUE;
}

/* "KEY@HOST:PORT" as the registry keeps it. */
static char *
full_endpoint (Node *node, const char *host_port)
{
  g_autofree char *key = moosh_hex (node->node_key, 33);
  return g_strdup_printf ("%s@%s", key + 2, host_port);
}

static gboolean
ensure_registered (Node *node, const char *host_port, JsonArray *done, GError **error)
{
  g_autoptr (MooshDecoded) known
      = moosh_contract_read (node->chain, node->contracts.registry,
                             MOOSH_FN_PROVIDER_REGISTRY_IDENTITY_OF, error, node->identity);
  g_autofree char *endpoint = full_endpoint (node, host_port);
  g_autoptr (GBytes) text = g_bytes_new (endpoint, strlen (endpoint));
  g_autoptr (GBytes) call = NULL;
  g_autoptr (MooshDecoded) now = NULL;
  g_autofree char *registered = NULL;

  if (known == NULL)
    return FALSE;
  if (memcmp (moosh_decoded_address (known, "0"), node->identity, 20) != 0)
    {
      call = call_build (MOOSH_FN_PROVIDER_REGISTRY_REGISTER, error, "b", text);
      return do_once (node, "register", node->contracts.registry, call, done, error);
    }
  now = moosh_contract_read (node->chain, node->contracts.registry,
                             MOOSH_FN_PROVIDER_REGISTRY_ENDPOINT_OF, error, node->identity);
  if (now == NULL)
    return FALSE;
  registered = moosh_decoded_string (now, "0");
  if (strcmp (registered, endpoint) == 0)
    return TRUE;
  call = call_build (MOOSH_FN_PROVIDER_REGISTRY_SET_ENDPOINT, error, "b", text);
  return do_once (node, "endpoint", node->contracts.registry, call, done, error);
}

/* Free and reserved together reach `wanted`. */
static gboolean
ensure_stake (Node *node, const MooshU256 *wanted, JsonArray *done, GError **error)
{
  g_autoptr (MooshDecoded) stake = moosh_contract_read (node->chain, node->contracts.stake_vault,
                                                        MOOSH_FN_STAKE_VAULT_STAKE_OF, error,
                                                        node->identity, node->contracts.token);
  MooshU256 free, reserved, missing, balance;
  Permit permit;
  g_autoptr (GBytes) call = NULL;

  if (stake == NULL)
    return FALSE;
  free = moosh_decoded_u256 (stake, "free");
  reserved = moosh_decoded_u256 (stake, "reserved");
  moosh_u256_add (&free, &reserved, &free);
  if (moosh_u256_cmp (&free, wanted) >= 0)
    return TRUE;
  moosh_u256_sub (wanted, &free, &missing);
  if (!token_balance (node, &balance, error))
    return FALSE;
  if (moosh_u256_cmp (&balance, &missing) < 0)
    {
      g_autofree char *needs = wei_text (&missing), *has = wei_text (&balance);
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_FUNDS,
                   "the stake needs %s wei more, the wallet holds %s", needs, has);
      return FALSE;
    }
  if (!permit_for (node, node->contracts.stake_vault, &missing, &permit, error))
    return FALSE;
  call = call_build (MOOSH_FN_STAKE_VAULT_STAKE, error, "aawP", node->identity,
                     node->contracts.token, &missing, &permit);
  return do_once (node, "stake", node->contracts.stake_vault, call, done, error);
}

static gboolean
ensure_pool (Node *node, JsonObject *wanted, JsonArray *done, GError **error)
{
  g_autoptr (GBytes) pool = moosh_json_hex (wanted, "pool", 32, error);
  JsonObject *units = pool ? moosh_json_object (wanted, "units", error) : NULL;
  g_autoptr (MooshDecoded) now = NULL;
  g_autoptr (GBytes) call = NULL;
  MooshUnits want;

  if (units == NULL || !units_from_json (units, &want, error))
    return FALSE;
  now = moosh_contract_read (node->chain, node->contracts.offer_book, MOOSH_FN_OFFER_BOOK_REMAINING,
                             error, node->identity, g_bytes_get_data (pool, NULL));
  if (now == NULL)
    return FALSE;
  if (moosh_decoded_u64 (now, "0.vcpuMilli") == want.vcpu_milli
      && moosh_decoded_u64 (now, "0.ramMib") == want.ram_mib
      && moosh_decoded_u64 (now, "0.diskGib") == want.disk_gib
      && moosh_decoded_u64 (now, "0.gpu") == want.gpu
      && moosh_decoded_u64 (now, "0.ipv4") == want.ipv4)
    return TRUE;
  call = call_build (MOOSH_FN_OFFER_BOOK_SET_POOL, error, "huuuuu", g_bytes_get_data (pool, NULL),
                     (guint64)want.vcpu_milli, (guint64)want.ram_mib, (guint64)want.disk_gib,
                     (guint64)want.gpu, (guint64)want.ipv4);
  return do_once (node, "pool", node->contracts.offer_book, call, done, error);
}

JsonObject *
mooshd_provider_register (const MooshRpcPeer *peer, JsonObject *params, gpointer user_data,
                          GError **error)
{
  Node *node = user_data;
  g_autoptr (JsonArray) done = json_array_new ();
  const char *endpoint = moosh_json_string_or (params, "endpoint", NULL);
  const char *stake_text = moosh_json_string_or (params, "stake_wei", NULL);
  JsonArray *pools
      = json_object_has_member (params, "pools") ? moosh_json_array (params, "pools", NULL) : NULL;
  g_autofree char *own_endpoint = NULL;
  MooshU256 stake;

  (void)peer;
  if (endpoint == NULL)
    endpoint = own_endpoint
        = g_strdup_printf ("%s:%u", node->listen_host, moosh_peer_node_port (node->peers));
  if (!ensure_registered (node, endpoint, done, error))
    return NULL;
  if (stake_text != NULL
      && (!wei_parse (stake_text, "stake_wei", &stake, error)
          || !ensure_stake (node, &stake, done, error)))
    return NULL;
  for (guint i = 0; pools != NULL && i < json_array_get_length (pools); i++)
    {
      JsonNode *pool = json_array_get_element (pools, i);

      if (!JSON_NODE_HOLDS_OBJECT (pool))
        {
          g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE,
                       "\"pools\" is a list of {pool, units}");
          return NULL;
        }
      if (!ensure_pool (node, json_node_get_object (pool), done, error))
        return NULL;
    }
  return moosh_json_build ("transactions", 'a', json_array_ref (done), NULL);
}

/* ---- status ---- */

static JsonObject *
machine_json (Node *node, guint64 id, GError **error)
{
  LedgerEntry entry;
  MooshAgreementView view;
  MooshU256 earned;
  guint decimals = node_decimals (node);
  g_autofree char *client = NULL, *price = NULL;
  g_autofree char *machine = g_strdup_printf ("%" G_GUINT64_FORMAT, id);
  g_autoptr (JsonObject) params = moosh_json_build ("agreement", 's', machine, NULL);
  g_autoptr (JsonObject) vm = NULL;
  JsonObject *o;

  if (!ledger_get (node, id, &entry, error))
    return NULL;
  vm = node->vmmd ? moosh_rpc_client_call (node->vmmd, "machine.status", params, SIBLING_MS, NULL)
                  : NULL;
  moosh_agreement_view (&entry.model, (guint64)chain_now_s (node), &view);
  earned = moosh_x_to_wei (&view.earned_x);
  client = address_text (entry.client);
  price = price_per_hour (&entry.model.terms.rate_x, decimals);
  o = moosh_json_build (
      "agreement", 'i', (gint64)id, "state", 's', moosh_state_name (view.state), "client", 's',
      client, "price_per_hour", 's', price, "since_s", 'i', (gint64)entry.model.taken_s,
      "resources", 'o', units_to_json (&entry.offer.units), "count", 'i', (gint64)entry.units,
      "machine", 'o', vm ? json_object_ref (vm) : NULL, "stars", 'i',
      moosh_store_int (node->store, 0, "SELECT stars FROM ratings_received WHERE agreement = ?",
                       "i", (gint64)id),
      NULL);
  if (entry.model.state == MOOSH_STATE_CLOSED)
    {
      json_object_set_string_member (o, "close_reason", moosh_reason_name (entry.model.reason));
      json_object_set_string_member (o, "next_step",
                                     moosh_reason_next_provider (entry.model.reason));
    }
  set_wei (o, "earned_wei", &earned);
  set_wei (o, "withdrawable_wei", &view.withdrawable_wei);
  set_wei (o, "collected_wei", &entry.collected);
  set_wei (o, "penalty_wei", &entry.penalty);
  return o;
}

static JsonArray *
machines_json (Node *node)
{
  JsonArray *array = json_array_new ();
  g_autoptr (GBytes) me = g_bytes_new (node->identity, 20);
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (guint64));

  {
    g_autoptr (MooshQuery) query = moosh_store_query (
        node->store, NULL,
        "SELECT id FROM agreements WHERE provider = ? ORDER BY state = 9, id DESC LIMIT 200", "b",
        me);
    while (query != NULL && moosh_query_next (query, NULL))
      {
        guint64 id = (guint64)moosh_query_int (query, 0);
        g_array_append_val (ids, id);
      }
  }
  for (guint i = 0; i < ids->len; i++)
    {
      JsonObject *machine = machine_json (node, g_array_index (ids, guint64, i), NULL);
      if (machine != NULL)
        json_array_add_object_element (array, machine);
    }
  return array;
}

JsonObject *
mooshd_provider_status (const MooshRpcPeer *peer, JsonObject *params, gpointer user_data,
                        GError **error)
{
  Node *node = user_data;
  g_autoptr (MooshDecoded) known
      = moosh_contract_read (node->chain, node->contracts.registry,
                             MOOSH_FN_PROVIDER_REGISTRY_IDENTITY_OF, error, node->identity);
  g_autoptr (MooshDecoded) stake = NULL;
  g_autoptr (JsonObject) inventory = NULL;
  g_autoptr (GError) unreachable = NULL;
  g_autofree char *identity = address_text (node->identity);
  JsonObject *reply, *stakes;
  JsonArray *offers;
  MooshU256 v;

  (void)peer;
  (void)params;
  if (known == NULL)
    return NULL;
  stake = moosh_contract_read (node->chain, node->contracts.stake_vault,
                               MOOSH_FN_STAKE_VAULT_STAKE_OF, error, node->identity,
                               node->contracts.token);
  offers = stake ? own_offers_json (node, error) : NULL;
  if (offers == NULL)
    return NULL;
  inventory = node->vmmd ? moosh_rpc_client_call (node->vmmd, "inventory.get", NULL, SIBLING_MS,
                                                  &unreachable)
                         : NULL;
  stakes = json_object_new ();
  v = moosh_decoded_u256 (stake, "free");
  set_wei (stakes, "free_wei", &v);
  v = moosh_decoded_u256 (stake, "reserved");
  set_wei (stakes, "reserved_wei", &v);
  reply = moosh_json_build (
      "identity", 's', identity, "registered", 'b',
      (gboolean)(memcmp (moosh_decoded_address (known, "0"), node->identity, 20) == 0), "stake",
      'o', stakes, "offers", 'a', offers, "machines", 'a', machines_json (node), "vmmd_error", 's',
      node->vmmd == NULL    ? "provider mode is off"
      : unreachable != NULL ? unreachable->message
                            : NULL,
      "token", 'o', token_json (node), NULL);
  json_object_set_array_member (reply, "pools",
                                inventory != NULL
                                    ? json_array_ref (moosh_json_array (inventory, "pools", NULL))
                                    : json_array_new ());
  return reply;
}
