/** What the chain tests share: an anvil of their own, a local signer, a store, contracts.
 *
 * Only functions, static: each test program includes this once. */
#pragma once
#include "base/json.h"
#include "chain/bindings.h"
#include "chain/follower.h"
#include "chain/txjournal.h"
#include "core/hash/hash.h"
#include "core/key/key.h"
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <libsoup/soup.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>

#define TEST_CHAIN_ID 31337

/* anvil's first two accounts, known to everybody ("test test … junk"). */
static const char *const test_secrets[]
    = { "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80",
        "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d" };
static const char *const test_addresses[]
    = { "f39fd6e51aad88f6f4ce6ab8827279cfffb92266", "70997970c51812dc3a010c7d01b50e0d17dc79c8" };

G_GNUC_UNUSED static void
unhex_to (const char *hex, guint8 *out, gsize len)
{
  g_assert_cmpint (moosh_hex_decode (hex, out, len), ==, MOOSH_OK);
}

/* ---- anvil ---- */

/* The program itself: node_modules/.bin/anvil is a script that starts it as a child, which would
 * outlive a kill. */
#ifdef __aarch64__
#define ANVIL MOOSH_SOURCE_DIR "/node_modules/@foundry-rs/anvil-linux-arm64/bin/anvil"
#else
#define ANVIL MOOSH_SOURCE_DIR "/node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil"
#endif

typedef struct {
  GSubprocess *process;
  guint port;
  char *url;
  const char *extra[6];
} Anvil;

static void
die_with_parent (gpointer unused)
{
  (void)unused;
  prctl (PR_SET_PDEATHSIG, SIGKILL);
}

/* anvil writes a log, and would wait for ever for somebody to read it. */
static gpointer
drain (gpointer stream)
{
  char buffer[4096];

  while (g_input_stream_read (stream, buffer, sizeof buffer, NULL, NULL) > 0)
    ;
  g_object_unref (stream);
  return NULL;
}

/* Start (again, on the same port) and wait until it listens. */
static void
anvil_start (Anvil *anvil)
{
  g_autoptr (GSubprocessLauncher) launcher = g_subprocess_launcher_new (
      G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_SILENCE);
  g_autoptr (GPtrArray) argv = g_ptr_array_new ();
  g_autofree char *port = g_strdup_printf ("%u", anvil->port);
  g_autoptr (GDataInputStream) lines = NULL;
  g_autoptr (GError) error = NULL;

  g_ptr_array_add (argv, (gpointer)ANVIL);
  g_ptr_array_add (argv, (gpointer) "--host");
  g_ptr_array_add (argv, (gpointer) "127.0.0.1");
  g_ptr_array_add (argv, (gpointer) "--port");
  g_ptr_array_add (argv, port);
  for (guint i = 0; i < G_N_ELEMENTS (anvil->extra) && anvil->extra[i] != NULL; i++)
    g_ptr_array_add (argv, (gpointer)anvil->extra[i]);
  g_ptr_array_add (argv, NULL);
  g_subprocess_launcher_set_child_setup (launcher, die_with_parent, NULL, NULL);
  anvil->process
      = g_subprocess_launcher_spawnv (launcher, (const char *const *)argv->pdata, &error);
  g_assert_no_error (error);
  lines = g_data_input_stream_new (g_subprocess_get_stdout_pipe (anvil->process));
  g_filter_input_stream_set_close_base_stream (G_FILTER_INPUT_STREAM (lines), FALSE);
  for (;;)
    {
      g_autofree char *line = g_data_input_stream_read_line (lines, NULL, NULL, &error);
      const char *found;

      g_assert_no_error (error);
      g_assert_nonnull (line);
      found = strstr (line, "Listening on 127.0.0.1:");
      if (found == NULL)
        continue;
      anvil->port = (guint)g_ascii_strtoull (strrchr (found, ':') + 1, NULL, 10);
      break;
    }
  g_thread_unref (g_thread_new ("anvil-log", drain,
                                g_object_ref (g_subprocess_get_stdout_pipe (anvil->process))));
  g_free (anvil->url);
  anvil->url = g_strdup_printf ("http://127.0.0.1:%u", anvil->port);
}

G_GNUC_UNUSED static void
anvil_stop (Anvil *anvil, int signal_number)
{
  g_subprocess_send_signal (anvil->process, signal_number);
  g_subprocess_wait (anvil->process, NULL, NULL);
  g_clear_object (&anvil->process);
}

static void
anvil_clear (Anvil *anvil)
{
  if (anvil->process != NULL)
    anvil_stop (anvil, SIGKILL);
  g_clear_pointer (&anvil->url, g_free);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Anvil, anvil_clear)

/* A raw call, for what only a development chain can do. New node, or NULL for a refusal. */
G_GNUC_UNUSED static JsonNode *
anvil_try (Anvil *anvil, const char *method, const char *params)
{
  g_autofree char *text = g_strdup_printf (
      "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"%s\",\"params\":%s}", method, params);
  g_autoptr (SoupSession) session = soup_session_new ();
  g_autoptr (SoupMessage) message = soup_message_new ("POST", anvil->url);
  g_autoptr (GBytes) body = g_bytes_new (text, strlen (text));
  g_autoptr (GBytes) reply = NULL;
  g_autoptr (JsonObject) object = NULL;
  g_autoptr (GError) error = NULL;

  soup_message_set_request_body_from_bytes (message, "application/json", body);
  reply = soup_session_send_and_read (session, message, NULL, &error);
  g_assert_no_error (error);
  object
      = moosh_json_parse (g_bytes_get_data (reply, NULL), (gssize)g_bytes_get_size (reply), &error);
  g_assert_no_error (error);
  return json_object_has_member (object, "result")
             ? json_node_ref (json_object_get_member (object, "result"))
             : NULL;
}

G_GNUC_UNUSED static JsonNode *
anvil_do (Anvil *anvil, const char *method, const char *params)
{
  JsonNode *result = anvil_try (anvil, method, params);

  g_assert_nonnull (result);
  return result;
}

G_GNUC_UNUSED static void
anvil_run (Anvil *anvil, const char *method, const char *params)
{
  json_node_unref (anvil_do (anvil, method, params));
}

/* ---- our side ---- */

G_GNUC_UNUSED static MooshChain *
chain_for (const char *url, guint call_ms)
{
  const char *const urls[] = { url, NULL };
  MooshChainConfig config
      = { .chain_id = TEST_CHAIN_ID, .urls = urls, .request_ms = 3000, .call_ms = call_ms };
  g_autoptr (GError) error = NULL;
  MooshChain *chain = moosh_chain_new (&config, &error);

  g_assert_no_error (error);
  return chain;
}

/* Signs with a known key; counts, and can be told to refuse or to sign something else. */
typedef struct {
  MooshSigner base;
  guint8 secret[32];
  guint count;
  gboolean refuse, lie;
} TestSigner;

static GBytes *
test_sign (MooshSigner *signer, const MooshTx *asked, GError **error)
{
  TestSigner *self = (TestSigner *)signer;
  MooshTx tx = *asked;
  gsize size = MOOSH_TX_SIZE_MAX (tx.data.len), len = 0;
  g_autofree guint8 *raw = g_malloc (size);
  guint8 hash[32], bytes[65], blinding[32] = { 7 };
  MooshSignature signature;
  MooshCurve curve;

  self->count++;
  if (self->refuse)
    {
      g_set_error_literal (error, MOOSH_ERROR, MOOSH_ERROR_DENIED, "rule max-per-day: spent");
      return NULL;
    }
  if (self->lie)
    tx.value.limb[0]++;
  g_assert_cmpint (moosh_tx_encode_unsigned (&tx, raw, size, &len), ==, MOOSH_OK);
  moosh_keccak256 (raw, len, hash);
  moosh_curve_init (&curve, blinding);
  g_assert_cmpint (moosh_sign (&curve, self->secret, hash, &signature), ==, MOOSH_OK);
  moosh_signature_to_bytes (&signature, bytes);
  g_assert_cmpint (moosh_tx_encode_signed (&tx, bytes, raw, size, &len), ==, MOOSH_OK);
  return g_bytes_new (raw, len);
}

static void
test_signer_free (MooshSigner *signer)
{
  g_free (signer);
}

G_GNUC_UNUSED static MooshSigner *
test_signer_new (guint account)
{
  TestSigner *self = g_new0 (TestSigner, 1);

  unhex_to (test_addresses[account], self->base.address, 20);
  unhex_to (test_secrets[account], self->secret, 32);
  self->base.sign = test_sign;
  self->base.free = test_signer_free;
  return &self->base;
}

/* A store in a directory of its own, which goes with it. */
typedef struct {
  char *dir, *path;
  MooshStore *store;
} TestStore;

G_GNUC_UNUSED static void
test_store_open (TestStore *test)
{
  static const char *const migrations[] = {
    moosh_tx_journal_schema, moosh_follower_schema,
    "CREATE TABLE seen (block INTEGER, number INTEGER, value TEXT, PRIMARY KEY (block, number))",
    NULL
  };
  g_autoptr (GError) error = NULL;

  if (test->dir == NULL)
    {
      test->dir = g_dir_make_tmp ("moosh-chain-XXXXXX", &error);
      g_assert_no_error (error);
      test->path = g_build_filename (test->dir, "test.db", NULL);
    }
  g_clear_pointer (&test->store, moosh_store_free);
  test->store = moosh_store_open (test->path, migrations, &error);
  g_assert_no_error (error);
}

static void
test_store_clear (TestStore *test)
{
  g_autoptr (GDir) dir = NULL;
  const char *name;

  g_clear_pointer (&test->store, moosh_store_free);
  if (test->dir == NULL)
    return;
  dir = g_dir_open (test->dir, 0, NULL);
  while ((name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *path = g_build_filename (test->dir, name, NULL);

      g_unlink (path);
    }
  g_rmdir (test->dir);
  g_clear_pointer (&test->dir, g_free);
  g_clear_pointer (&test->path, g_free);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (TestStore, test_store_clear)

/* Deploy contracts/out/TestUSD.sol and say where it is. */
G_GNUC_UNUSED static void
deploy_token (MooshTxJournal *journal, const char *purpose, guint8 ret_address[20])
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) code = moosh_artifact_bytecode (
      MOOSH_SOURCE_DIR "/contracts/out/TestUSD.sol/TestUSD.json", &error);
  g_auto (MooshReceipt) receipt = { 0 };

  g_assert_no_error (error);
  moosh_tx_execute (journal, purpose, NULL, code, NULL, 20000, &receipt, &error);
  g_assert_no_error (error);
  memcpy (ret_address, receipt.created, 20);
}

/* mint (account, amount) as calldata. */
G_GNUC_UNUSED static GBytes *
mint_call (guint account, guint64 amount)
{
  MooshU256 wide = moosh_u256 (amount);
  guint8 address[20];
  g_autoptr (GError) error = NULL;
  GBytes *call;

  unhex_to (test_addresses[account], address, 20);
  call = moosh_call_new (MOOSH_FN_TEST_USD_MINT, &error, address, &wide);
  g_assert_no_error (error);
  return call;
}
