#include "daemon/keyd/setup.h"
#include "base/json.h"
#include "core/bytes/u256.h"
#include "core/key/key.h"
#include "daemon/keyd/passphrase.h"
#include "daemon/keyd/policy.h"
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PER_TX       "1000000000"        /* 1,000 tUSD */
#define PER_DAY      "2000000000"        /* 2,000 tUSD */
#define MAX_FEE      "50000000000000000" /* 0.05 of the chain's coin */
#define FEES_PER_DAY "500000000000000000"

#define UNITS  "(uint32,uint32,uint32,uint32,uint32)"
#define PERMIT "(uint256,uint256,uint8,bytes32,bytes32)"
/* 34 words, all of fixed size: maker is word 0, token word 11 */
#define OFFER                                                                                      \
  "(address,uint8,uint8,bytes32," UNITS ",uint8,uint16,address,uint96,uint96,uint96,"              \
  "uint32,uint32,uint32,uint32,uint32,uint32,uint32,uint32,"                                       \
  "uint128,uint32,address,bytes32,bytes32,address,uint32,bytes32,uint64,uint64,uint64)"

/* @name@ is a member of the deployment file, or one of the amounts. */
static const char policy_template[]
    = "# What this wallet signs. Everything that is not allowed here is refused.\n"
      "# Amounts are token-wei; lists are separated by semicolons; a day is a day in UTC.\n"
      "\n[chains]\nallowed=@chainId@\n"
      "\n[transactions]\nmax_value=0\nmax_fee=" MAX_FEE "\nper_day=" FEES_PER_DAY "\n"
      "\n# The escrow and the stake vault take money only in the calls named below, where it is "
      "counted.\n"
      "[token "
      "usd]\naddress=@testUsd@\nper_tx=@perTx@\nper_day=@perDay@\nmetered=@escrowVault@;@"
      "stakeVault@\n"
      "# transfer_to=0x...\n"
      "\n[contract test-money]\naddress=@testUsd@\nfunctions=mint(address,uint256)\n"
      "\n[contract agreements]\naddress=@agreements@\nfunctions="
      "fill(" OFFER ",bytes,uint32,bytes32," PERMIT ");"
      "accept(uint64," OFFER ");provisioned(uint64," OFFER ",bytes32);acknowledge(uint64," OFFER
      ");"
      "reject(uint64," OFFER ",bytes32);pause(uint64," OFFER ");resume(uint64," OFFER ");"
      "withdrawFree(uint64," OFFER ",uint128);reclaim(uint64," OFFER ");close(uint64," OFFER
      ",uint8,bytes32);"
      "expire(uint64," OFFER ");collect(uint64," OFFER ")\n"
      "\n# take: the client (word 35) is this wallet, the deposit (word 38) is of the offer's "
      "token (word 11)\n"
      "[call take]\ncontract=agreements\nfunction=take(" OFFER
      ",bytes,address,uint32,bytes32,uint128," PERMIT ")\n"
      "self_word=35\namount_word=38\ntoken_word=11\n"
      "\n[call topUp]\ncontract=agreements\nfunction=topUp(uint64," OFFER ",uint128," PERMIT ")\n"
      "amount_word=35\ntoken_word=12\n"
      "\n[call collectTo]\ncontract=agreements\nfunction=collectTo(uint64," OFFER
      ",address)\nself_word=35\n"
      "\n# money comes out of the vaults only to this wallet\n"
      "[contract escrow]\naddress=@escrowVault@\n"
      "\n[call "
      "withdraw]\ncontract=escrow\nfunction=withdraw(address,address,uint256)\nself_word=1\n"
      "\n[call "
      "withdrawMany]\ncontract=escrow\nfunction=withdrawMany(address[],address)\nself_word=1\n"
      "\n[contract stake]\naddress=@stakeVault@\nfunctions=unbond(address,uint128)\n"
      "\n[call stake]\ncontract=stake\nfunction=stake(address,address,uint128," PERMIT ")\n"
      "self_word=0\namount_word=2\ntoken_word=1\n"
      "\n[call unstake]\ncontract=stake\nfunction=withdraw(address,address)\nself_word=1\n"
      "\n[call claim]\ncontract=stake\nfunction=claim(address,address)\nself_word=1\n"
      "\n[contract book]\naddress=@offerBook@\nfunctions="
      "announce(" OFFER ",bytes);cancel(bytes32);bumpNonce();setPool(bytes32," UNITS ")\n"
      "\n# a hot key could bind this wallet's stake: proposeHotKey and acceptHotKey are not on the "
      "list\n"
      "[contract registry]\naddress=@registry@\nfunctions="
      "register(string);setEndpoint(string);removeHotKey(address);exit()\n"
      "\n[typed "
      "offer]\ndomain=MooshNet\nprimary_type=Offer\ncontract=@offerBook@\nwhere=side:0\nself_"
      "member=maker\n"
      "\n# a bid can be filled without another signature: what it can cost counts when it is "
      "signed\n"
      "[typed "
      "bid]\ndomain=MooshNet\nprimary_type=Offer\ncontract=@offerBook@\nwhere=side:1\nself_member="
      "maker\n"
      "spend=bid\n"
      "\n[typed certificate]\ndomain=MooshNet\nprimary_type=NodeCertificate\nchain=none\n";

void
setup_options_clear (SetupOptions *options)
{
  g_free (options->mnemonic_file);
  g_free (options->deployment);
  g_free (options->per_tx);
  g_free (options->per_day);
}

/* One space between the words, small letters, in place: how BIP-39 writes them. */
static void
tidy (Passphrase *words)
{
  gsize to = 0;

  for (gsize from = 0; from < words->len; from++)
    {
      char c = g_ascii_tolower (words->text[from]);
      if (!g_ascii_isspace (c))
        words->text[to++] = c;
      else if (to > 0 && words->text[to - 1] != ' ')
        words->text[to++] = ' ';
    }
  while (to > 0 && words->text[to - 1] == ' ')
    to--;
  memset (words->text + to, 0, words->len - to);
  words->len = to;
}

/* Where the words come from: a descriptor, or a file that is opened here. -1 with `error` set. */
static int
words_fd (const SetupOptions *options, GError **error)
{
  int fd;

  if (options->mnemonic_file == NULL)
    return options->mnemonic_fd;
  fd = open (options->mnemonic_file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
  if (fd < 0)
    g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE, "words: %s: %s", options->mnemonic_file,
                 g_strerror (errno));
  return fd;
}

static gboolean
import_words (const char *dir, const SetupOptions *options, const Passphrase *passphrase,
              GError **error)
{
  g_auto (Passphrase) words = { 0 };
  int fd = words_fd (options, error);

  if (fd < 0 || !passphrase_from_fd (fd, &words, error))
    return FALSE;
  tidy (&words);
  return vault_create (dir, words.text, (guint)options->account, passphrase, (guint)options->log2n,
                       error);
}

static gboolean
make_words (const char *dir, const SetupOptions *options, const Passphrase *passphrase,
            GError **error)
{
  char *words = sodium_malloc (MOOSH_MNEMONIC_MAX);
  gboolean done = vault_generate ((guint)options->words, words, error)
                  && vault_create (dir, words, (guint)options->account, passphrase,
                                   (guint)options->log2n, error);

  if (done)
    {
      /* past stdio, whose buffer would keep a copy */
      gsize len = strlen (words);
      done
          = write (STDOUT_FILENO, words, len) == (gssize)len && write (STDOUT_FILENO, "\n", 1) == 1;
      if (!done)
        g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_FAILED,
                     "the wallet is made, but its words could not be printed: "
                     "remove %s and begin again",
                     dir);
    }
  sodium_free (words);
  return done;
}

gboolean
setup_init (const char *dir, const SetupOptions *options, const Passphrase *passphrase,
            GError **error)
{
  if (options->account < 0)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE, "there is no account %d",
                   options->account);
      return FALSE;
    }
  return options->mnemonic_fd >= 0 || options->mnemonic_file != NULL
             ? import_words (dir, options, passphrase, error)
             : make_words (dir, options, passphrase, error);
}

/* The text behind one @name@ of the template; new string. */
static char *
value_of (JsonObject *deployment, const SetupOptions *options, const char *name, GError **error)
{
  char checksummed[MOOSH_ADDRESS_TEXT];
  guint8 address[20];
  const char *text;
  gint64 chain_id;

  if (g_str_equal (name, "perTx"))
    return g_strdup (options->per_tx != NULL ? options->per_tx : PER_TX);
  if (g_str_equal (name, "perDay"))
    return g_strdup (options->per_day != NULL ? options->per_day : PER_DAY);
  if (g_str_equal (name, "chainId"))
    return moosh_json_int (deployment, name, &chain_id, error)
               ? g_strdup_printf ("%" G_GINT64_FORMAT, chain_id)
               : NULL;
  text = moosh_json_string (deployment, name, error);
  if (text == NULL)
    return NULL;
  if (moosh_address_parse (text, address) < 0)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE,
                   "deployment: \"%s\" is not an address: %s", name, text);
      return NULL;
    }
  moosh_address_format (address, checksummed);
  return g_strdup (checksummed);
}

static char *
fill_template (JsonObject *deployment, const SetupOptions *options, GError **error)
{
  g_auto (GStrv) parts = g_strsplit (policy_template, "@", -1); /* text, name, text, name, ... */
  g_autoptr (GString) text = g_string_new (NULL);

  for (gsize i = 0; parts[i] != NULL; i++)
    {
      g_autofree char *value
          = i % 2 == 0 ? g_strdup (parts[i]) : value_of (deployment, options, parts[i], error);
      if (value == NULL)
        return NULL;
      g_string_append (text, value);
    }
  return g_string_free (g_steal_pointer (&text), FALSE);
}

gboolean
setup_write_policy (const char *state_dir, const SetupOptions *options, GError **error)
{
  g_autofree char *path = g_build_filename (state_dir, "keyd-policy.conf", NULL);
  g_autofree char *contents = NULL, *text = NULL;
  g_autoptr (JsonObject) deployment = NULL;
  g_autoptr (Policy) policy = NULL;
  g_autoptr (GError) local = NULL;

  if (options->deployment == NULL)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE, "--write-policy needs --deployment FILE");
      return FALSE;
    }
  if (!options->force && g_file_test (path, G_FILE_TEST_EXISTS))
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_CONFLICT,
                   "%s is there already: --force replaces it", path);
      return FALSE;
    }
  if (!g_file_get_contents (options->deployment, &contents, NULL, &local))
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_NOT_FOUND, "deployment: %s", local->message);
      return FALSE;
    }
  deployment = moosh_json_parse (contents, -1, error);
  text = deployment != NULL ? fill_template (deployment, options, error) : NULL;
  policy = text != NULL ? policy_parse (text, error) : NULL; /* what we write must be readable */
  return policy != NULL
         && g_file_set_contents_full (path, text, -1,
                                      G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE,
                                      0600, error);
}
