#include "daemon/keyd/methods.h"
#include "base/json.h"
#include "core/abi/tx.h"
#include "core/hash/hash.h"
#include "core/key/key.h"
#include "daemon/keyd/memory.h"
#include "daemon/keyd/statement.h"
#include "daemon/keyd/typed.h"
#include "keyd_schema.h"
#include <sodium.h>
#include <string.h>

/* The keyd behind a socket, if this peer may call there. */
static Keyd *
keyd_for (gpointer user_data, const MooshRpcPeer *peer, GError **error)
{
  const KeydClient *client = user_data;

  if (!client->only_uid || peer->uid == client->uid)
    return client->keyd;
  g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_DENIED, "this socket is for uid %u, not %u",
               (guint)client->uid, (guint)peer->uid);
  return NULL;
}

JsonObject *
keyd_status (const MooshRpcPeer *peer, JsonObject *params, gpointer user_data, GError **error)
{
  Keyd *keyd = keyd_for (user_data, peer, error);
  char address[MOOSH_ADDRESS_TEXT];

  (void)params;
  if (keyd == NULL)
    return NULL;
  const VaultPublic *known = vault_public (keyd->vault);
  g_autofree char *node_key = moosh_hex (known->node_key, sizeof known->node_key);
  JsonArray *wallets = json_array_new ();
  moosh_address_format (known->address, address);
  json_array_add_string_element (wallets, address);
  return moosh_json_build ("locked", 'b', vault_is_locked (keyd->vault), "address", 's', address,
                           "node_key", 's', node_key, "wallets", 'a', wallets, NULL);
}

JsonObject *
keyd_unlock (const MooshRpcPeer *peer, JsonObject *params, gpointer user_data, GError **error)
{
  Keyd *keyd = keyd_for (user_data, peer, error);
  char *passphrase = (char *)json_object_get_string_member (params, "passphrase");
  gsize len = strlen (passphrase);
  gboolean done = FALSE;

  if (keyd == NULL)
    return NULL;
  if (len > VAULT_PASSPHRASE_MAX)
    g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE, "the passphrase is longer than %d bytes",
                 VAULT_PASSPHRASE_MAX);
  else
    done = vault_unlock (keyd->vault, passphrase, len, error);
  sodium_memzero (passphrase, len); /* the parsed copy is ours to wipe; nobody reads it again */
  memory_settle ();
  return done ? json_object_new () : NULL;
}

JsonObject *
keyd_lock (const MooshRpcPeer *peer, JsonObject *params, gpointer user_data, GError **error)
{
  Keyd *keyd = keyd_for (user_data, peer, error);

  (void)params;
  if (keyd == NULL)
    return NULL;
  vault_lock (keyd->vault);
  return json_object_new ();
}

/* A decimal amount of at most 2^256 - 1. */
static gboolean
read_amount (JsonObject *params, const char *name, MooshU256 *ret, GError **error)
{
  const char *text = json_object_get_string_member (params, name);

  if (moosh_u256_from_decimal (text, ret) == MOOSH_OK)
    return TRUE;
  g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE,
               "sign_transaction: \"%s\" is not a decimal number: %s", name, text);
  return FALSE;
}

static gboolean
read_count (JsonObject *params, const char *name, gint64 min, guint64 *ret, GError **error)
{
  gint64 value = json_object_get_int_member (params, name);

  if (value < min)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE,
                   "sign_transaction: \"%s\" must be at least %" G_GINT64_FORMAT, name, min);
      return FALSE;
    }
  *ret = (guint64)value;
  return TRUE;
}

/* `*ret_data` owns the bytes that the transaction points to. */
static gboolean
read_transaction (JsonObject *params, MooshTx *ret, GBytes **ret_data, GError **error)
{
  const char *to = json_object_get_string_member (params, "to");
  g_autoptr (GBytes) data = NULL;
  MooshTx tx = { 0 };

  if (!read_count (params, "chain_id", 1, &tx.chain_id, error)
      || !read_count (params, "nonce", 0, &tx.nonce, error)
      || !read_count (params, "gas", 21000, &tx.gas, error)
      || !read_amount (params, "value", &tx.value, error)
      || !read_amount (params, "max_fee", &tx.max_fee, error)
      || !read_amount (params, "max_priority_fee", &tx.max_priority_fee, error))
    return FALSE;
  if (moosh_address_parse (to, tx.to) < 0)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE,
                   "sign_transaction: \"to\" is not an address: %s", to);
      return FALSE;
    }
  if (moosh_u256_cmp (&tx.max_priority_fee, &tx.max_fee) > 0)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE,
                   "sign_transaction: max_priority_fee is above max_fee");
      return FALSE;
    }
  if ((data = moosh_json_hex (params, "data", 0, error)) == NULL)
    return FALSE;
  tx.data.ptr = g_bytes_get_data (data, &tx.data.len);
  if (tx.data.len > MOOSH_TX_DATA_MAX)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_LIMIT,
                   "sign_transaction: data is longer than %d bytes", MOOSH_TX_DATA_MAX);
      return FALSE;
    }
  *ret = tx;
  *ret_data = g_steal_pointer (&data);
  return TRUE;
}

static JsonObject *
sign_encoded (Keyd *keyd, const MooshTx *tx, GError **error)
{
  gsize size = MOOSH_TX_SIZE_MAX (tx->data.len), len;
  g_autofree guint8 *bytes = g_malloc (size);
  guint8 hash[32], signature[65];
  int r = moosh_tx_encode_unsigned (tx, bytes, size, &len);

  if (r == MOOSH_OK)
    {
      moosh_keccak256 (bytes, len, hash);
      if (!vault_sign_hash (keyd->vault, hash, signature, error))
        return NULL;
      r = moosh_tx_encode_signed (tx, signature, bytes, size, &len);
    }
  if (r < 0)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE, "sign_transaction: %s",
                   moosh_strerror (r));
      return NULL;
    }
  moosh_keccak256 (bytes, len, hash);

  char from[MOOSH_ADDRESS_TEXT];
  g_autofree char *raw = moosh_hex (bytes, len), *hash_hex = moosh_hex (hash, sizeof hash);
  moosh_address_format (vault_public (keyd->vault)->address, from);
  return moosh_json_build ("raw", 's', raw, "hash", 's', hash_hex, "from", 's', from, NULL);
}

/* Nothing is booked for a wallet that cannot sign. */
static gboolean
check_unlocked (Keyd *keyd, GError **error)
{
  if (!vault_is_locked (keyd->vault))
    return TRUE;
  g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_DENIED,
               "the wallet is locked: open it with `moosh node unlock`");
  return FALSE;
}

JsonObject *
keyd_sign_transaction (const MooshRpcPeer *peer, JsonObject *params, gpointer user_data,
                       GError **error)
{
  Keyd *keyd = keyd_for (user_data, peer, error);
  g_autoptr (GBytes) data = NULL;
  g_autoptr (GPtrArray) spends = NULL;
  g_autofree char *id = NULL;
  MooshTx tx;

  if (keyd == NULL || !read_transaction (params, &tx, &data, error)
      || !check_unlocked (keyd, error))
    return NULL;
  spends = policy_check_tx (keyd->policy, &tx, vault_public (keyd->vault)->address, error);
  if (spends == NULL)
    return NULL;
  /* of all transactions with one nonce the chain takes one */
  id = g_strdup_printf ("tx/%" G_GUINT64_FORMAT "/%" G_GUINT64_FORMAT, tx.chain_id, tx.nonce);
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (&keyd->signing);
  if (!ledger_book (keyd->ledger, id, spends, g_get_real_time () / G_USEC_PER_SEC, error))
    return NULL;
  return sign_encoded (keyd, &tx, error);
}

JsonObject *
keyd_sign_typed (const MooshRpcPeer *peer, JsonObject *params, gpointer user_data, GError **error)
{
  Keyd *keyd = keyd_for (user_data, peer, error);
  g_autoptr (GPtrArray) spends = NULL;
  guint8 signature[65];
  Typed typed;

  if (keyd == NULL || !typed_read (json_object_get_object_member (params, "typed"), &typed, error)
      || !check_unlocked (keyd, error))
    return NULL;
  spends = policy_check_typed (keyd->policy, &typed, vault_public (keyd->vault)->address, error);
  if (spends == NULL)
    return NULL;

  g_autofree char *hash = moosh_hex (typed.digest, sizeof typed.digest);
  g_autofree char *id = g_strconcat ("typed/", hash, NULL);
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (&keyd->signing);
  if (!ledger_book (keyd->ledger, id, spends, g_get_real_time () / G_USEC_PER_SEC, error)
      || !vault_sign_hash (keyd->vault, typed.digest, signature, error))
    return NULL;
  g_autofree char *signature_hex = moosh_hex (signature, sizeof signature);
  return moosh_json_build ("signature", 's', signature_hex, "hash", 's', hash, NULL);
}

JsonObject *
keyd_sign_statement (const MooshRpcPeer *peer, JsonObject *params, gpointer user_data,
                     GError **error)
{
  Keyd *keyd = keyd_for (user_data, peer, error);
  g_autoptr (GBytes) bytes = keyd != NULL ? moosh_json_hex (params, "bytes", 0, error) : NULL;
  guint8 signature[64];
  gsize len;

  if (bytes == NULL)
    return NULL;
  const guint8 *ptr = g_bytes_get_data (bytes, &len);
  if (!statement_check (ptr, len, vault_public (keyd->vault)->node_key, error)
      || !vault_sign_statement (keyd->vault, ptr, len, signature, error))
    return NULL;
  g_autofree char *hex = moosh_hex (signature, sizeof signature);
  return moosh_json_build ("signature", 's', hex, NULL);
}

/* A bucket that holds a minute's worth: bursts pass, a flood does not. */
static gboolean
may_ecdh (Keyd *keyd, GError **error)
{
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (&keyd->ecdh);
  gint64 now = g_get_monotonic_time ();

  keyd->ecdh_left
      += (gdouble)(now - keyd->ecdh_at_us) * KEYD_ECDH_PER_MINUTE / (60.0 * G_USEC_PER_SEC);
  keyd->ecdh_left = MIN (keyd->ecdh_left, KEYD_ECDH_PER_MINUTE);
  keyd->ecdh_at_us = now;
  if (keyd->ecdh_left < 1.0)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_LIMIT, "node_ecdh: more than %d a minute",
                   KEYD_ECDH_PER_MINUTE);
      return FALSE;
    }
  keyd->ecdh_left -= 1.0;
  return TRUE;
}

JsonObject *
keyd_node_ecdh (const MooshRpcPeer *peer, JsonObject *params, gpointer user_data, GError **error)
{
  Keyd *keyd = keyd_for (user_data, peer, error);
  g_autoptr (GBytes) theirs = keyd != NULL ? moosh_json_hex (params, "pubkey", 33, error) : NULL;
  guint8 shared[32];

  if (theirs == NULL || !may_ecdh (keyd, error)
      || !vault_ecdh (keyd->vault, g_bytes_get_data (theirs, NULL), shared, error))
    return NULL;
  g_autofree char *hex = moosh_hex (shared, sizeof shared);
  sodium_memzero (shared, sizeof shared);
  JsonObject *reply = moosh_json_build ("secret", 's', hex, NULL);
  sodium_memzero (hex, strlen (hex));
  return reply;
}

const MooshRpcMethod *
keyd_methods_all (void)
{
  return keyd_methods;
}

MooshRpcMethod *
keyd_methods_subset (const char *const *names, GError **error)
{
  g_autoptr (GArray) subset = g_array_new (TRUE, TRUE, sizeof (MooshRpcMethod));

  for (; *names != NULL; names++)
    {
      const MooshRpcMethod *method = keyd_methods;
      while (method->name != NULL && !g_str_equal (method->name, *names))
        method++;
      if (method->name == NULL)
        {
          g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE, "there is no method \"%s\"", *names);
          return NULL;
        }
      g_array_append_val (subset, *method);
    }
  return (MooshRpcMethod *)(void *)g_array_free (g_steal_pointer (&subset), FALSE);
}
