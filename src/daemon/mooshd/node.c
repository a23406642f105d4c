#include "node.h"
#include "chain/bindings.h"
#include "exchange.h"
#include "market/book.h"
#include "peer/addressbook.h"
#include <string.h>

#define CERTIFICATE_DAYS 90
#define TOKEN_DECIMALS   6 /* until the chain has told */

gint64
now_s (void)
{
  return g_get_real_time () / G_USEC_PER_SEC;
}

gint64
chain_now_s (Node *node)
{
  guint64 block = 0;
  gint64 block_s = 0, skew_s;

  moosh_follower_position (node->follower, &block, &block_s);
  g_mutex_lock (&node->lock);
  skew_s = node->skew_known && ABS (node->skew_s) > SKEW_MAX_S ? node->skew_s : 0;
  g_mutex_unlock (&node->lock);
  return MAX (block_s, now_s () - skew_s);
}

void
chain_saw_block (Node *node, gint64 time_s)
{
  gint64 least = G_MAXINT64;

  g_mutex_lock (&node->lock);
  node->skews_s[node->n_skews++ % SKEW_SAMPLES] = now_s () - time_s;
  for (guint i = 0; i < MIN (node->n_skews, SKEW_SAMPLES); i++)
    least = MIN (least, node->skews_s[i]);
  node->skew_s = least;
  node->skew_known = TRUE;
  g_mutex_unlock (&node->lock);
}

void
chain_catch_up (Node *node, guint timeout_ms)
{
  MooshBlock head;

  if (moosh_chain_head (node->chain, &head, NULL))
    moosh_follower_wait (node->follower, head.number, timeout_ms, NULL);
}

char *
wei_text (const MooshU256 *wei)
{
  char text[79];

  moosh_u256_to_decimal (wei, text);
  return g_strdup (text);
}

gboolean
wei_parse (const char *text, const char *what, MooshU256 *ret, GError **error)
{
  if (text != NULL && moosh_u256_from_decimal (text, ret) == MOOSH_OK)
    return TRUE;
  g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE, "%s is not an amount: %s", what,
               text ? text : "missing");
  return FALSE;
}

char *
address_text (const guint8 address[20])
{
  return moosh_hex (address, 20);
}

gboolean
address_parse (const char *text, guint8 ret[20], GError **error)
{
  if (text != NULL && moosh_hex_decode (text, ret, 20) == MOOSH_OK)
    return TRUE;
  g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE, "not an address (0x and 40 hex digits): %s",
               text ? text : "missing");
  return FALSE;
}

/* Ask the chain, without holding the lock: it may take a while. */
static void
learn_token (Node *node)
{
  g_autoptr (MooshDecoded) symbol
      = moosh_contract_read (node->chain, node->contracts.token, MOOSH_FN_TEST_USD_SYMBOL, NULL);
  g_autoptr (MooshDecoded) decimals
      = moosh_contract_read (node->chain, node->contracts.token, MOOSH_FN_TEST_USD_DECIMALS, NULL);

  if (symbol == NULL || decimals == NULL)
    return;
  g_mutex_lock (&node->lock);
  if (node->token_symbol == NULL)
    {
      node->token_decimals = (guint)moosh_decoded_u64 (decimals, "0");
      node->token_symbol = moosh_decoded_string (symbol, "0");
    }
  g_mutex_unlock (&node->lock);
}

char *
node_token (Node *node, guint *ret_decimals)
{
  gboolean known;
  char *symbol;

  g_mutex_lock (&node->lock);
  known = node->token_symbol != NULL;
  g_mutex_unlock (&node->lock);
  if (!known)
    learn_token (node);
  g_mutex_lock (&node->lock);
  symbol = g_strdup (node->token_symbol != NULL ? node->token_symbol : "");
  if (ret_decimals != NULL)
    *ret_decimals = node->token_symbol != NULL ? node->token_decimals : TOKEN_DECIMALS;
  g_mutex_unlock (&node->lock);
  return symbol;
}

guint
node_decimals (Node *node)
{
  guint decimals = TOKEN_DECIMALS;

  g_free (node_token (node, &decimals));
  return decimals;
}

static gboolean
member_address (JsonObject *object, const char *member, guint8 ret[20], GError **error)
{
  const char *text = moosh_json_string (object, member, error);
  return text != NULL && address_parse (text, ret, error);
}

/* deployment.json, as the contracts' deploy script writes it. */
static gboolean
read_contracts (const char *path, Contracts *ret, GError **error)
{
  g_autofree char *text = NULL;
  g_autoptr (JsonObject) object = NULL;
  g_autoptr (GError) local = NULL;
  gint64 chain_id = 0;
  gsize len;

  if (!g_file_get_contents (path, &text, &len, &local))
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE, "[chain] deployment: %s", local->message);
      return FALSE;
    }
  object = moosh_json_parse (text, (gssize)len, error);
  if (object == NULL || !moosh_json_int (object, "chainId", &chain_id, error)
      || !member_address (object, "agreements", ret->agreements, error)
      || !member_address (object, "escrowVault", ret->escrow_vault, error)
      || !member_address (object, "stakeVault", ret->stake_vault, error)
      || !member_address (object, "offerBook", ret->offer_book, error)
      || !member_address (object, "registry", ret->registry, error)
      || !member_address (object, "testUsd", ret->token, error))
    {
      g_prefix_error (error, "%s: ", path);
      return FALSE;
    }
  ret->chain_id = (guint64)chain_id;
  ret->block = (guint64)moosh_json_int_or (object, "block", 0);
  return TRUE;
}

static gboolean
open_chain (Node *node, GError **error)
{
  GKeyFile *config = node->daemon->config;
  g_auto (GStrv) urls = g_key_file_get_string_list (config, "chain", "rpc", NULL, NULL);
  g_autofree char *configured = g_key_file_get_string (config, "chain", "deployment", NULL);
  g_autofree char *path = configured ? g_canonicalize_filename (configured, node->daemon->state_dir)
                                     : moosh_daemon_path (node->daemon, "deployment.json");
  MooshChainConfig chain = { 0 };

  if (urls == NULL)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE,
                   "mooshd.conf names no chain: set [chain] rpc=URL;URL or run `moosh init`");
      return FALSE;
    }
  if (!read_contracts (path, &node->contracts, error))
    return FALSE;
  node->domain.chain_id = node->contracts.chain_id;
  memcpy (node->domain.book, node->contracts.offer_book, 20);
  chain.chain_id = node->contracts.chain_id;
  chain.urls = (const char *const *)urls;
  chain.quorum = (guint)g_key_file_get_integer (config, "chain", "quorum", NULL);
  chain.call_ms = (guint)MAX (g_key_file_get_integer (config, "chain", "call_ms", NULL), 0);
  node->chain = moosh_chain_new (&chain, error);
  return node->chain != NULL;
}

static gboolean
open_keys (Node *node, GError **error)
{
  g_autofree char *path = moosh_daemon_path (node->daemon, "keyd.sock");
  g_autoptr (JsonObject) status = NULL;
  g_autoptr (GBytes) key = NULL;

  node->keyd = moosh_rpc_client_new (path);
  status = moosh_rpc_client_call (node->keyd, "status", NULL, SIBLING_MS, error);
  if (status == NULL || !member_address (status, "address", node->identity, error))
    {
      g_prefix_error (error, "keyd: ");
      return FALSE;
    }
  key = moosh_json_hex (status, "node_key", 33, error);
  if (key == NULL)
    return FALSE;
  memcpy (node->node_key, g_bytes_get_data (key, NULL), 33);
  return TRUE;
}

static gboolean
open_store (Node *node, GError **error)
{
  g_autofree char *path = moosh_daemon_path (node->daemon, "mooshd.db");
  const char *const migrations[] = {
    moosh_tx_journal_schema,
    moosh_follower_schema,
    moosh_addressbook_sql,
    moosh_book_schema,
    ledger_schema,
    offers_schema,
    client_schema,
    provider_schema,
    policies_schema,
    client_report_schema,
    NULL,
  };

  node->store = moosh_store_open (path, migrations, error);
  return node->store != NULL;
}

static gboolean
open_journals (Node *node, GError **error)
{
  guint8 followed[2][20];
  MooshTxPolicy policy = { 0 };
  MooshFollowerConfig config = { 0 };
  GError *local = NULL;

  policy.confirmations
      = (guint64)g_key_file_get_integer (node->daemon->config, "chain", "confirmations", &local);
  if (local != NULL)
    {
      policy.confirmations = node->contracts.chain_id == 31337 ? 0 : 2;
      g_clear_error (&local);
    }
  node->signer = moosh_signer_keyd_new (node->keyd, node->identity);
  node->txs = moosh_tx_journal_new (node->store, node->chain, node->signer, &policy, error);
  if (node->txs == NULL)
    return FALSE;
  memcpy (followed[0], node->contracts.agreements, 20);
  memcpy (followed[1], node->contracts.offer_book, 20);
  config.store = node->store;
  config.chain = node->chain;
  config.name = "market";
  config.addresses = (const guint8 (*)[20])followed;
  config.n_addresses = 2;
  config.start_block = node->contracts.block;
  config.handler = ledger_on_log;
  config.user_data = node;
  node->follower = moosh_follower_new (&config, error);
  return node->follower != NULL;
}

/* Have the wallet certify the node key, or use the stored certificate while it has a month to go.
 */
static GBytes *
certificate_for (Node *node, GError **error)
{
  g_autofree char *path = moosh_daemon_path (node->daemon, "certificate.cbor");
  g_autofree char *text = NULL, *typed_text = NULL;
  g_autoptr (JsonObject) typed = NULL;
  g_autoptr (GBytes) signature = NULL, encoded = NULL;
  MooshCertificate certificate = { 0 };
  guint64 seq = 0;
  gsize len;

  if (g_file_get_contents (path, &text, &len, NULL)
      && moosh_certificate_decode (text, len, &certificate, NULL))
    {
      seq = certificate.seq;
      if (memcmp (certificate.node_key, node->node_key, 33) == 0
          && memcmp (certificate.identity, node->identity, 20) == 0
          && (gint64)certificate.not_after_s > now_s () + CERTIFICATE_DAYS * 86400 / 3)
        {
          node->certificate_seq = seq;
          return g_bytes_new (text, len);
        }
    }
  memset (&certificate, 0, sizeof certificate);
  memcpy (certificate.node_key, node->node_key, 33);
  certificate.seq = seq + 1;
  certificate.not_after_s = (guint64)now_s () + CERTIFICATE_DAYS * 86400;
  typed_text = moosh_certificate_typed_data (&certificate);
  typed = moosh_json_parse (typed_text, -1, error);
  if (typed == NULL)
    return NULL;
  signature = sign_typed (node, typed, error);
  if (signature == NULL
      || !moosh_certificate_set_signature (&certificate, g_bytes_get_data (signature, NULL), error))
    {
      g_prefix_error (error, "node certificate: ");
      return NULL;
    }
  encoded = moosh_certificate_encode (&certificate);
  if (!g_file_set_contents (path, g_bytes_get_data (encoded, NULL),
                            (gssize)g_bytes_get_size (encoded), error))
    return NULL;
  node->certificate_seq = certificate.seq;
  return g_steal_pointer (&encoded);
}

static gboolean
on_admit (const MooshCertificate *certificate, GBytes *encoded, gpointer user_data, GError **error)
{
  Node *node = user_data;
  return moosh_addressbook_admit (node->store, certificate, encoded, error);
}

static void
on_peer (const MooshPeerId *peer, gboolean up, gpointer user_data)
{
  Node *node = user_data;
  g_autoptr (GError) error = NULL;
  g_autofree char *identity = address_text (peer->identity);

  g_debug ("peer %s %s (%s)", identity, up ? "is here" : "left", peer->address);
  if (up && !moosh_contact_seen (node->store, peer->node_key, peer->identity, now_s (), &error))
    g_warning ("contact %s: %s", identity, error->message);
}

static gboolean
open_peers (Node *node, GError **error)
{
  g_autofree char *listen = g_key_file_get_string (node->daemon->config, "node", "listen", NULL);
  g_autoptr (GBytes) certificate = certificate_for (node, error);
  g_autoptr (GPtrArray) contacts = NULL;
  char host[MOOSH_PEER_HOST_MAX + 1] = "";
  MooshPeerConfig config = { 0 };

  if (certificate == NULL)
    return FALSE;
  if (listen != NULL && !moosh_peer_endpoint_parse (listen, TRUE, host, &config.listen_port, error))
    return FALSE;
  memcpy (config.node_key, node->node_key, 33);
  config.certificate = certificate;
  config.ecdh = moosh_peer_keyd_ecdh;
  config.ecdh_data = node->keyd;
  config.software = "mooshd/" MOOSH_VERSION;
  config.listen_host = listen != NULL ? host : NULL;
  config.notify = on_peer;
  config.admit = on_admit;
  config.user_data = node;
  node->listen_host = g_strdup (host);
  node->peers = moosh_peer_node_new (&config, error);
  if (node->peers == NULL)
    return FALSE;
  contacts = moosh_contact_list (node->store, error);
  if (contacts == NULL)
    return FALSE;
  for (guint i = 0; i < contacts->len; i++)
    moosh_peer_node_add_address (node->peers, &((MooshContact *)contacts->pdata[i])->address, NULL);
  exchange_register (node);
  return moosh_peer_node_start (node->peers, error);
}

static gboolean
open_all (Node *node, GError **error)
{
  GKeyFile *config = node->daemon->config;
  g_autoptr (GError) unset = NULL;
  int interval_ms = g_key_file_get_integer (config, "chain", "poll_ms", NULL);

  if (!open_chain (node, error) || !open_keys (node, error) || !open_store (node, error)
      || !open_journals (node, error))
    return FALSE;
  if (g_key_file_get_boolean (config, "provider", "enabled", NULL))
    {
      g_autofree char *path = moosh_daemon_path (node->daemon, "vmmd.sock");
      node->vmmd = moosh_rpc_client_new (path);
    }
  node->auto_withdraw
      = g_key_file_get_boolean (config, "node", "auto_withdraw", &unset) || unset != NULL;
  if (!open_peers (node, error))
    return FALSE;
  client_recover (node);
  node->worker = worker_start (node);
  moosh_follower_start (node->follower, interval_ms > 0 ? (guint)interval_ms : 1000);
  return TRUE;
}

Node *
node_open (MooshDaemon *daemon, GError **error)
{
  Node *node = g_new0 (Node, 1);

  node->daemon = daemon;
  node->started_s = now_s ();
  g_mutex_init (&node->lock);
  if (open_all (node, error))
    return node;
  node_close (node);
  return NULL;
}

/* What uses comes down before what is used. */
void
node_close (Node *node)
{
  g_clear_pointer (&node->worker, worker_stop);
  g_clear_pointer (&node->peers, moosh_peer_node_free);
  g_clear_pointer (&node->follower, moosh_follower_free);
  g_clear_pointer (&node->txs, moosh_tx_journal_free);
  g_clear_pointer (&node->signer, moosh_signer_free);
  g_clear_pointer (&node->chain, moosh_chain_free);
  g_clear_pointer (&node->store, moosh_store_free);
  g_clear_pointer (&node->vmmd, moosh_rpc_client_free);
  g_clear_pointer (&node->keyd, moosh_rpc_client_free);
  g_free (node->listen_host);
  g_free (node->token_symbol);
  g_mutex_clear (&node->lock);
  g_free (node);
}
