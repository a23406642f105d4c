/* node.status and wallet.*: what this node is, and what it owns. */
#include "api.h"
#include "chain/bindings.h"
#include "market/terms.h"
#include "peer/addressbook.h"
#include <string.h>

JsonObject *
token_json (Node *node)
{
  guint decimals;
  g_autofree char *symbol = node_token (node, &decimals),
                  *address = address_text (node->contracts.token);

  return moosh_json_build ("address", 's', address, "symbol", 's', symbol, "decimals", 'i',
                           (gint64)decimals, NULL);
}

char *
price_per_hour (const MooshU256 *rate_x, guint decimals)
{
  MooshU256 wei = moosh_price_of_rate (rate_x, 3600);
  char text[96];

  moosh_u256_to_amount (&wei, decimals, text);
  return g_strdup (text);
}

char *
identity_name (Node *node, const guint8 identity[20])
{
  g_autoptr (MooshContact) contact = moosh_contact_by_identity (node->store, identity, NULL);
  return contact != NULL && contact->name[0] != '\0' ? g_strdup (contact->name) : NULL;
}

gboolean
identity_parse (Node *node, const char *text, guint8 ret[20], GError **error)
{
  g_autoptr (MooshContact) contact = NULL;

  if (address_parse (text, ret, NULL))
    return TRUE;
  contact = moosh_contact_find (node->store, text, error);
  if (contact == NULL)
    return FALSE;
  if (!contact->has_identity)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_NOT_FOUND,
                   "contact %s has not been reached yet: its identity is unknown", text);
      return FALSE;
    }
  memcpy (ret, contact->identity, 20);
  return TRUE;
}

JsonObject *
units_to_json (const MooshUnits *units)
{
  return moosh_json_build ("vcpu_milli", 'i', (gint64)units->vcpu_milli, "ram_mib", 'i',
                           (gint64)units->ram_mib, "disk_gib", 'i', (gint64)units->disk_gib, "gpu",
                           'i', (gint64)units->gpu, "ipv4", 'i', (gint64)units->ipv4, NULL);
}

gboolean
units_from_json (JsonObject *object, MooshUnits *ret, GError **error)
{
  static const char *const names[] = { "vcpu_milli", "ram_mib", "disk_gib", "gpu", "ipv4" };
  guint32 values[G_N_ELEMENTS (names)];

  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    {
      gint64 v = moosh_json_int_or (object, names[i], 0);

      if (v < 0 || v > G_MAXUINT32)
        {
          g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE, "\"%s\" is out of range", names[i]);
          return FALSE;
        }
      values[i] = (guint32)v;
    }
  *ret = (MooshUnits){ values[0], values[1], values[2], values[3], values[4] };
  return TRUE;
}

void
set_wei (JsonObject *object, const char *member, const MooshU256 *wei)
{
  g_autofree char *text = wei_text (wei);
  json_object_set_string_member (object, member, text);
}

static JsonObject *
transaction_json (const MooshTxRecord *tx)
{
  g_autofree char *hash = moosh_hex (tx->hash, 32);
  JsonObject *object = moosh_json_build (
      "purpose", 's', tx->purpose, "hash", 's', hash, "state", 's', moosh_tx_state_name (tx->state),
      "nonce", 'i', (gint64)tx->nonce, "block", 'i', (gint64)tx->block, "gas_used", 'i',
      (gint64)tx->gas_used, "trouble", 's', tx->trouble, NULL);
  set_wei (object, "fee_wei", &tx->fee_wei);
  return object;
}

JsonArray *
transactions_json (Node *node, const char *suffix, guint max)
{
  JsonArray *array = json_array_new ();
  g_autoptr (GPtrArray) records = moosh_tx_list (node->txs, suffix, max, NULL);

  for (guint i = 0; records != NULL && i < records->len; i++)
    json_array_add_object_element (array, transaction_json (records->pdata[i]));
  return array;
}

static JsonObject *
chain_json (Node *node)
{
  g_autoptr (GPtrArray) states = moosh_chain_probe (node->chain);
  JsonArray *endpoints = json_array_new ();
  const Contracts *c = &node->contracts;
  g_autofree char *agreements = address_text (c->agreements),
                  *escrow = address_text (c->escrow_vault);
  g_autofree char *stake = address_text (c->stake_vault), *book = address_text (c->offer_book);
  g_autofree char *registry = address_text (c->registry),
                  *trouble = moosh_follower_trouble (node->follower);
  guint64 synced = 0, head = 0;
  gint64 synced_s = 0;

  for (guint i = 0; i < states->len; i++)
    {
      const MooshEndpointState *state = states->pdata[i];

      head = MAX (head, state->head);
      json_array_add_object_element (
          endpoints, moosh_json_build ("url", 's', state->url, "ok", 'b', state->usable, "error",
                                       's', state->trouble, "head", 'i', (gint64)state->head,
                                       "latency_ms", 'i', (gint64)state->latency_ms, NULL));
    }
  moosh_follower_position (node->follower, &synced, &synced_s);
  return moosh_json_build (
      "id", 'i', (gint64)c->chain_id, "quorum", 'i', (gint64)moosh_chain_quorum (node->chain),
      "head", 'i', (gint64)head, "synced_block", 'i', (gint64)synced, "head_time_s", 'i', synced_s,
      "lag_s", 'i', synced_s > 0 ? MAX (chain_now_s (node) - synced_s, 0) : 0, "trouble", 's',
      trouble, "endpoints", 'a', endpoints, "contracts", 'o',
      moosh_json_build ("agreements", 's', agreements, "escrow_vault", 's', escrow, "stake_vault",
                        's', stake, "offer_book", 's', book, "registry", 's', registry, NULL),
      NULL);
}

static JsonArray *
peers_json (Node *node)
{
  g_autoptr (GArray) peers = moosh_peer_node_list (node->peers);
  JsonArray *array = json_array_new ();

  for (guint i = 0; i < peers->len; i++)
    {
      const MooshPeerId *peer = &g_array_index (peers, MooshPeerId, i);
      g_autofree char *identity = address_text (peer->identity),
                      *key = moosh_hex (peer->node_key, 33);

      json_array_add_object_element (array, moosh_json_build ("identity", 's', identity, "node_key",
                                                              's', key + 2, "address", 's',
                                                              peer->address, NULL));
    }
  return array;
}

JsonObject *
mooshd_node_status (const MooshRpcPeer *peer, JsonObject *params, gpointer user_data,
                    GError **error)
{
  Node *node = user_data;
  g_autoptr (JsonObject) keyd
      = moosh_rpc_client_call (node->keyd, "status", NULL, SIBLING_MS, NULL);
  g_autoptr (JsonObject) vmmd
      = node->vmmd ? moosh_rpc_client_call (node->vmmd, "inventory.get", NULL, SIBLING_MS, NULL)
                   : NULL;
  g_autofree char *identity = address_text (node->identity), *key = moosh_hex (node->node_key, 33);
  guint16 port = moosh_peer_node_port (node->peers);
  g_autofree char *address
      = port != 0 ? g_strdup_printf (strchr (node->listen_host, ':') ? "%s@[%s]:%u" : "%s@%s:%u",
                                     key + 2, node->listen_host, port)
                  : NULL;
  gint64 skew_s;
  gboolean skew_known;
  JsonObject *reply;

  (void)peer;
  (void)params;
  (void)error;
  g_mutex_lock (&node->lock);
  skew_known = node->skew_known;
  skew_s = node->skew_s;
  g_mutex_unlock (&node->lock);
  reply = moosh_json_build (
      "version", 's', MOOSH_VERSION, "identity", 's', identity, "node_key", 's', key + 2, "address",
      's', address, "state_dir", 's', node->daemon->state_dir, "chain", 'o', chain_json (node),
      "keyd", 'o',
      moosh_json_build ("reachable", 'b', (gboolean)(keyd != NULL), "locked", 'b',
                        keyd ? moosh_json_bool_or (keyd, "locked", TRUE) : TRUE, NULL),
      "provider", 'o',
      moosh_json_build ("enabled", 'b', (gboolean)(node->vmmd != NULL), "vmmd_reachable", 'b',
                        (gboolean)(vmmd != NULL), NULL),
      "peers", 'a', peers_json (node), "token", 'o', token_json (node), NULL);
  if (skew_known)
    json_object_set_int_member (reply, "clock_skew_s", skew_s);
  else
    json_object_set_null_member (reply, "clock_skew_s");
  return reply;
}

/* ---- wallet ---- */

static gboolean
credit_of (Node *node, MooshU256 *ret, GError **error)
{
  g_autoptr (MooshDecoded) credit = moosh_contract_read (node->chain, node->contracts.escrow_vault,
                                                         MOOSH_FN_ESCROW_VAULT_CREDIT_OF, error,
                                                         node->identity, node->contracts.token);
  if (credit == NULL)
    return FALSE;
  *ret = moosh_decoded_u256 (credit, "0");
  return TRUE;
}

/* What is ours inside open agreements that we pay for. */
static MooshU256
locked_x (Node *node)
{
  MooshU256 sum = moosh_u256 (0);
  g_autoptr (GPtrArray) names = deployment_names (node, FALSE);

  for (guint i = 0; i < names->len; i++)
    {
      g_autoptr (Deployment) d = deployment_load (node, names->pdata[i], NULL);
      LedgerEntry entry;
      MooshAgreementView view;

      if (d == NULL || d->agreement == 0 || !ledger_get (node, d->agreement, &entry, NULL))
        continue;
      moosh_agreement_view (&entry.model, (guint64)chain_now_s (node), &view);
      moosh_u256_add (&sum, &view.bal_x, &sum);
    }
  return sum;
}

JsonObject *
mooshd_wallet_show (const MooshRpcPeer *peer, JsonObject *params, gpointer user_data,
                    GError **error)
{
  Node *node = user_data;
  MooshU256 native, token, credit, locked = locked_x (node);
  MooshU256 locked_wei = moosh_x_to_wei (&locked), stake_free, stake_reserved, stake_floor;
  g_autoptr (MooshDecoded) stake = NULL, floor = NULL;
  g_autofree char *address = address_text (node->identity);
  JsonObject *reply, *stakes;

  (void)peer;
  (void)params;
  if (!moosh_chain_balance (node->chain, node->identity, &native, error)
      || !token_balance (node, &token, error) || !credit_of (node, &credit, error))
    return NULL;
  stake = moosh_contract_read (node->chain, node->contracts.stake_vault,
                               MOOSH_FN_STAKE_VAULT_STAKE_OF, error, node->identity,
                               node->contracts.token);
  if (stake == NULL)
    return NULL;
  floor = moosh_contract_read (node->chain, node->contracts.agreements,
                               MOOSH_FN_AGREEMENTS_BOND_FLOOR, error);
  if (floor == NULL)
    return NULL;
  stake_floor = moosh_decoded_u256 (floor, "0");
  stake_free = moosh_decoded_u256 (stake, "free");
  stake_reserved = moosh_decoded_u256 (stake, "reserved");
  stakes = json_object_new ();
  set_wei (stakes, "free_wei", &stake_free);
  set_wei (stakes, "reserved_wei", &stake_reserved);
  set_wei (stakes, "floor_wei", &stake_floor);
  reply = moosh_json_build ("address", 's', address, "stake", 'o', stakes, "token", 'o',
                            token_json (node), "transactions", 'a',
                            transactions_json (node, "", 20), NULL);
  set_wei (reply, "native_wei", &native);
  set_wei (reply, "token_wei", &token);
  set_wei (reply, "credit_wei", &credit);
  set_wei (reply, "locked_wei", &locked_wei);
  return reply;
}

/* Withdrawing again later is another action; the number of those before makes its purpose a new
 * one. */
static gboolean
withdraw_all (Node *node, JsonArray *hashes, GError **error)
{
  MooshU256 all = moosh_u256 (0);
  g_autoptr (GBytes) call = call_build (MOOSH_FN_ESCROW_VAULT_WITHDRAW, error, "aaw",
                                        node->contracts.token, node->identity, &all);
  g_autofree char *purpose = moosh_tx_fresh_purpose (node->txs, "withdraw:all");
  g_auto (MooshReceipt) receipt = { 0 };
  g_autofree char *hash = NULL;

  if (call == NULL
      || !moosh_tx_execute (node->txs, purpose, node->contracts.escrow_vault, call, NULL, TX_MS,
                            &receipt, error))
    return FALSE;
  hash = moosh_hex (receipt.tx_hash, 32);
  json_array_add_string_element (hashes, hash);
  return TRUE;
}

/* Credit us with what one sold agreement has earned beyond its hold-back. The worker may have done
 * so in this very moment: nothing left to collect is as good as collected. */
static gboolean
collect_one (Node *node, const LedgerEntry *entry, GError **error)
{
  g_autofree char *stem = g_strdup_printf ("collect:%" G_GUINT64_FORMAT, entry->id);
  g_autofree char *purpose = moosh_tx_fresh_purpose (node->txs, stem);
  g_autoptr (GBytes) call
      = call_build (MOOSH_FN_AGREEMENTS_COLLECT, error, "uO", entry->id, &entry->offer);
  g_autoptr (GError) local = NULL;

  if (call == NULL)
    return FALSE;
  if (moosh_tx_execute (node->txs, purpose, node->contracts.agreements, call, NULL, TX_MS, NULL,
                        &local)
      || strstr (local->message, "NothingToCollect") != NULL)
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&local));
  return FALSE;
}

static gboolean
collect_all (Node *node, GError **error)
{
  g_autoptr (GPtrArray) ids = provider_open (node);

  for (guint i = 0; i < ids->len; i++)
    {
      LedgerEntry entry;
      MooshAgreementView view;

      if (!ledger_get (node, g_ascii_strtoull (ids->pdata[i], NULL, 10), &entry, error))
        return FALSE;
      moosh_agreement_view (&entry.model, (guint64)chain_now_s (node), &view);
      if (!moosh_u256_is_zero (&view.withdrawable_wei) && !collect_one (node, &entry, error))
        return FALSE;
    }
  return TRUE;
}

JsonObject *
mooshd_wallet_withdraw (const MooshRpcPeer *peer, JsonObject *params, gpointer user_data,
                        GError **error)
{
  Node *node = user_data;
  g_autoptr (JsonArray) hashes = json_array_new ();
  MooshU256 credit;
  JsonObject *reply;

  (void)peer;
  (void)params;
  if (!collect_all (node, error) || !credit_of (node, &credit, error))
    return NULL;
  if (!moosh_u256_is_zero (&credit) && !withdraw_all (node, hashes, error))
    return NULL;
  reply = moosh_json_build ("transactions", 'a', json_array_ref (hashes), NULL);
  set_wei (reply, "withdrawn_wei", &credit);
  return reply;
}
