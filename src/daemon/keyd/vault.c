#include "daemon/keyd/vault.h"
#include "base/json.h"
#include "core/key/bip32.h"
#include "core/key/keystore.h"
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <sodium.h>
#include <string.h>
#include <unistd.h>

typedef enum { WALLET, NODE, N_KEYS } KeyName;
static const char *const file_names[N_KEYS] = { "wallet.json", "node.json" };

/* Everything secret, in one guarded allocation. */
typedef struct {
  MooshCurve curve; /* its blinding is as good as a key */
  guint8 secret[N_KEYS][32];
} Open;

struct Vault {
  VaultPublic known;
  MooshKeystore sealed[N_KEYS];
  GMutex opening; /* one scrypt at a time: it takes 128 MiB */
  GMutex lock;
  Open *open; /* NULL: locked; no access outside of enter and leave */
};

void
passphrase_clear (Passphrase *passphrase)
{
  g_clear_pointer (&passphrase->text, sodium_free);
  passphrase->len = 0;
}

gboolean
vault_generate (guint words, char ret_mnemonic[MOOSH_MNEMONIC_MAX], GError **error)
{
  guint8 entropy[32];
  gsize len = words * 4 / 3;

  if (words % 3 != 0 || words < 12 || words > 24)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE,
                   "a mnemonic has 12, 15, 18, 21 or 24 words, not %u", words);
      return FALSE;
    }
  randombytes_buf (entropy, len);
  int r = moosh_mnemonic_from_entropy (entropy, len, ret_mnemonic);
  sodium_memzero (entropy, sizeof entropy);
  g_return_val_if_fail (r == MOOSH_OK, FALSE);
  return TRUE;
}

static gboolean
check_mnemonic (const char *mnemonic, GError **error)
{
  guint8 entropy[32];
  gsize len;
  int r = moosh_mnemonic_to_entropy (mnemonic, strlen (mnemonic), entropy, &len);

  sodium_memzero (entropy, sizeof entropy);
  if (r == MOOSH_OK)
    return TRUE;
  g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE, "mnemonic refused: %s",
               r == MOOSH_E_CRYPTO ? "its checksum does not fit (a wrong or swapped word)"
               : r == MOOSH_E_RANGE
                   ? "it must have 12, 15, 18, 21 or 24 words with one space between"
                   : "a word is not in BIP-39's English list");
  return FALSE;
}

/* Write `text` so that after a crash there is either no file or the whole file. */
static gboolean
write_file (const char *dir, const char *name, const char *text, GError **error)
{
  g_autofree char *path = g_build_filename (dir, name, NULL);

  return g_file_set_contents_full (
      path, text, -1, G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE, 0600, error);
}

static gboolean
seal_file (const char *dir, KeyName name, const guint8 secret[32], const guint8 address[20],
           const Passphrase *passphrase, guint log2n, GError **error)
{
  MooshKeystore sealed
      = { .kdf = MOOSH_KDF_SCRYPT, .n = 1ull << log2n, .r = 8, .p = 1, .salt_len = 32 };
  char text[MOOSH_KEYSTORE_TEXT_MAX];
  guint8 uuid[16];

  sealed.has_address = true;
  memcpy (sealed.address, address, 20);
  randombytes_buf (sealed.salt, sealed.salt_len);
  randombytes_buf (sealed.iv, sizeof sealed.iv);
  randombytes_buf (uuid, sizeof uuid);
  int r = moosh_keystore_seal (&sealed, passphrase->text, passphrase->len, secret);
  if (r < 0)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_FAILED, "%s: cannot encrypt: %s",
                   file_names[name], moosh_strerror (r));
      return FALSE;
    }
  moosh_keystore_write (&sealed, uuid, text);
  return write_file (dir, file_names[name], text, error);
}

static gboolean
write_public (const char *dir, const VaultPublic *known, GError **error)
{
  char address[MOOSH_ADDRESS_TEXT];
  g_autofree char *node_key = moosh_hex (known->node_key, sizeof known->node_key);

  moosh_address_format (known->address, address);
  g_autoptr (JsonObject) object
      = moosh_json_build ("address", 's', address, "node_key", 's', node_key, NULL);
  g_autofree char *text = moosh_json_print (object, TRUE);
  return write_file (dir, "public.json", text, error);
}

/* Both secrets of a mnemonic, in `open`. */
static gboolean
derive (const char *mnemonic, guint account, Open *open, GError **error)
{
  guint8 *seed = sodium_malloc (MOOSH_BIP39_SEED_LEN);
  int r = moosh_mnemonic_seed (mnemonic, strlen (mnemonic), "", seed);

  if (r == MOOSH_OK)
    r = moosh_wallet_secret (&open->curve, seed, account, open->secret[WALLET]);
  if (r == MOOSH_OK)
    r = moosh_node_secret (&open->curve, seed, account, open->secret[NODE]);
  sodium_free (seed);
  if (r == MOOSH_OK)
    return TRUE;
  g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_FAILED, "cannot derive account %u: %s", account,
               moosh_strerror (r));
  return FALSE;
}

static Open *
open_new (void)
{
  Open *open = sodium_malloc (sizeof *open);
  guint8 blinding[32];

  if (open == NULL)
    g_error ("no guarded memory for the keys: %s", g_strerror (errno));
  sodium_memzero (open, sizeof *open);
  randombytes_buf (blinding, sizeof blinding);
  moosh_curve_init (&open->curve, blinding);
  sodium_memzero (blinding, sizeof blinding);
  return open;
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Open, sodium_free)

static gboolean
derive_and_write (const char *dir, const char *mnemonic, guint account,
                  const Passphrase *passphrase, guint log2n, GError **error)
{
  g_autoptr (Open) open = open_new ();
  VaultPublic known;
  guint8 node_address[20];

  if (!derive (mnemonic, account, open, error))
    return FALSE;
  if (moosh_key_address (&open->curve, open->secret[WALLET], known.address) < 0
      || moosh_key_public (&open->curve, open->secret[NODE], known.node_key) < 0
      || moosh_public_address (known.node_key, node_address) < 0)
    g_return_val_if_reached (FALSE);
  /* wallet.json last: it is what says that a wallet is there, with all that belongs to it */
  return seal_file (dir, NODE, open->secret[NODE], node_address, passphrase, log2n, error)
         && write_public (dir, &known, error)
         && seal_file (dir, WALLET, open->secret[WALLET], known.address, passphrase, log2n, error);
}

static gboolean
has_wallet (const char *dir)
{
  g_autofree char *path = g_build_filename (dir, file_names[WALLET], NULL);

  return g_file_test (path, G_FILE_TEST_EXISTS);
}

gboolean
vault_create (const char *dir, const char *mnemonic, guint account, const Passphrase *passphrase,
              guint log2n, GError **error)
{
  if (has_wallet (dir))
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_CONFLICT, "there is a wallet in %s already",
                   dir);
      return FALSE;
    }
  if (passphrase->len == 0)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE, "the passphrase is empty");
      return FALSE;
    }
  if (log2n < VAULT_SCRYPT_LOG2N_MIN || log2n > VAULT_SCRYPT_LOG2N_MAX)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE,
                   "the scrypt cost must be %d to %d, not %u", VAULT_SCRYPT_LOG2N_MIN,
                   VAULT_SCRYPT_LOG2N_MAX, log2n);
      return FALSE;
    }
  if (!check_mnemonic (mnemonic, error))
    return FALSE;
  if (g_mkdir_with_parents (dir, 0700) != 0)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_FAILED, "cannot make %s: %s", dir,
                   g_strerror (errno));
      return FALSE;
    }
  return derive_and_write (dir, mnemonic, account, passphrase, log2n, error);
}

static gboolean
read_public (const char *dir, VaultPublic *ret, GError **error)
{
  g_autofree char *path = g_build_filename (dir, "public.json", NULL);
  g_autofree char *text = NULL;
  g_autoptr (JsonObject) object = NULL;
  g_autoptr (GBytes) node_key = NULL;
  gsize len;

  if (g_file_get_contents (path, &text, &len, NULL))
    object = moosh_json_parse (text, (gssize)len, NULL);
  if (object != NULL)
    node_key = moosh_json_hex (object, "node_key", 33, NULL);
  if (node_key == NULL
      || moosh_address_parse (moosh_json_string_or (object, "address", ""), ret->address) < 0)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_CORRUPT,
                   "%s does not hold an address and a node key", path);
      return FALSE;
    }
  memcpy (ret->node_key, g_bytes_get_data (node_key, NULL), 33);
  return TRUE;
}

static gboolean
read_sealed (const char *dir, KeyName name, MooshKeystore *ret, GError **error)
{
  g_autofree char *path = g_build_filename (dir, file_names[name], NULL);
  g_autofree char *text = NULL;
  g_autoptr (GError) local = NULL;
  gsize len;

  if (!g_file_get_contents (path, &text, &len, &local))
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_CORRUPT, "keystore: %s", local->message);
      return FALSE;
    }
  int r = moosh_keystore_parse (text, len, ret);
  if (r < 0)
    g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_CORRUPT, "keystore %s: %s", path,
                 moosh_strerror (r));
  return r == MOOSH_OK;
}

Vault *
vault_open (const char *dir, GError **error)
{
  g_autoptr (Vault) vault = g_new0 (Vault, 1);

  g_mutex_init (&vault->opening);
  g_mutex_init (&vault->lock);
  if (!has_wallet (dir))
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_NOT_FOUND,
                   "no wallet in %s: make one with moosh-keyd --init", dir);
      return NULL;
    }
  if (!read_public (dir, &vault->known, error)
      || !read_sealed (dir, WALLET, &vault->sealed[WALLET], error)
      || !read_sealed (dir, NODE, &vault->sealed[NODE], error))
    return NULL;
  return g_steal_pointer (&vault);
}

void
vault_free (Vault *vault)
{
  vault_lock (vault);
  g_mutex_clear (&vault->lock);
  g_mutex_clear (&vault->opening);
  g_free (vault);
}

const VaultPublic *
vault_public (const Vault *vault)
{
  return &vault->known;
}

gboolean
vault_is_locked (Vault *vault)
{
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (&vault->lock);

  return vault->open == NULL;
}

/* The opened keys must be those that public.json announced. */
static gboolean
matches (const Vault *vault, const Open *open)
{
  VaultPublic found;

  return moosh_key_address (&open->curve, open->secret[WALLET], found.address) == MOOSH_OK
         && moosh_key_public (&open->curve, open->secret[NODE], found.node_key) == MOOSH_OK
         && memcmp (found.address, vault->known.address, sizeof found.address) == 0
         && memcmp (found.node_key, vault->known.node_key, sizeof found.node_key) == 0;
}

static void
refuse_open (KeyName name, int r, GError **error)
{
  if (r == MOOSH_E_CRYPTO)
    g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_DENIED, "keystore %s: wrong passphrase",
                 file_names[name]);
  else
    g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_LIMIT,
                 "keystore %s: not enough memory to derive its key", file_names[name]);
}

gboolean
vault_unlock (Vault *vault, const char *passphrase, gsize len, GError **error)
{
  g_autoptr (GMutexLocker) queue G_GNUC_UNUSED = g_mutex_locker_new (&vault->opening);
  g_autoptr (Open) open = open_new ();

  for (KeyName name = 0; name < N_KEYS; name++)
    {
      int r = moosh_keystore_open (&vault->sealed[name], passphrase, len, open->secret[name]);
      if (r < 0)
        {
          refuse_open (name, r, error);
          return FALSE;
        }
    }
  if (!matches (vault, open))
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_CORRUPT,
                   "public.json does not belong to these keystores");
      return FALSE;
    }
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (&vault->lock);
  sodium_mprotect_noaccess (open);
  g_clear_pointer (&vault->open, sodium_free);
  vault->open = g_steal_pointer (&open);
  return TRUE;
}

void
vault_lock (Vault *vault)
{
  g_autoptr (GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new (&vault->lock);

  g_clear_pointer (&vault->open, sodium_free); /* wipes first */
}

/* Between enter and leave the keys are readable and the lock is held. */
static const Open *
enter (Vault *vault, GError **error)
{
  g_mutex_lock (&vault->lock);
  if (vault->open == NULL)
    {
      g_mutex_unlock (&vault->lock);
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_DENIED,
                   "the wallet is locked: open it with `moosh node unlock`");
      return NULL;
    }
  sodium_mprotect_readonly (vault->open);
  return vault->open;
}

static gboolean
leave (Vault *vault, int r, MooshError code, GError **error)
{
  sodium_mprotect_noaccess (vault->open);
  g_mutex_unlock (&vault->lock);
  if (r == MOOSH_OK)
    return TRUE;
  g_set_error (error, MOOSH_ERROR, (gint)code, "the keys refused: %s", moosh_strerror (r));
  return FALSE;
}

gboolean
vault_sign_hash (Vault *vault, const guint8 hash[32], guint8 ret_signature[65], GError **error)
{
  MooshSignature signature;
  const Open *open = enter (vault, error);

  if (open == NULL)
    return FALSE;
  if (!leave (vault, moosh_sign (&open->curve, open->secret[WALLET], hash, &signature),
              MOOSH_ERROR_FAILED, error))
    return FALSE;
  moosh_signature_to_bytes (&signature, ret_signature);
  return TRUE;
}

gboolean
vault_sign_statement (Vault *vault, const guint8 *statement, gsize len, guint8 ret_signature[64],
                      GError **error)
{
  guint8 aux[32];
  const Open *open = enter (vault, error);

  if (open == NULL)
    return FALSE;
  randombytes_buf (aux, sizeof aux);
  int r = moosh_statement_sign (&open->curve, open->secret[NODE], (MooshSpan){ statement, len },
                                aux, ret_signature);
  return leave (vault, r, MOOSH_ERROR_FAILED, error);
}

gboolean
vault_ecdh (Vault *vault, const guint8 theirs[33], guint8 ret_shared[32], GError **error)
{
  const Open *open = enter (vault, error);

  return open != NULL
         && leave (vault, moosh_ecdh (open->secret[NODE], theirs, ret_shared), MOOSH_ERROR_USAGE,
                   error);
}
