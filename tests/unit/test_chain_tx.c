#include "chain_support.h"

typedef struct {
  Anvil anvil;
  MooshChain *chain;
  MooshSigner *signer;
  TestStore store;
  MooshTxJournal *journal;
} World;

static void
world_open (World *w, const MooshTxPolicy *policy)
{
  g_autoptr (GError) error = NULL;

  if (w->anvil.process == NULL)
    anvil_start (&w->anvil);
  w->chain = chain_for (w->anvil.url, 15000);
  if (w->signer == NULL)
    w->signer = test_signer_new (0);
  test_store_open (&w->store);
  w->journal = moosh_tx_journal_new (w->store.store, w->chain, w->signer, policy, &error);
  g_assert_no_error (error);
}

/* The process ends (after a crash: without a word) and starts again with the same store. */
static void
world_reopen (World *w, const MooshTxPolicy *policy)
{
  moosh_tx_journal_free (w->journal);
  moosh_chain_free (w->chain);
  world_open (w, policy);
}

static void
world_clear (World *w)
{
  moosh_tx_journal_free (w->journal);
  moosh_chain_free (w->chain);
  moosh_signer_free (w->signer);
  test_store_clear (&w->store);
  anvil_clear (&w->anvil);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (World, world_clear)

static guint
signatures (World *w)
{
  return ((TestSigner *)w->signer)->count;
}

static guint64
balance_of (World *w, const guint8 token[20], guint account)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (MooshDecoded) decoded = NULL;
  guint8 address[20];

  unhex_to (test_addresses[account], address, 20);
  decoded = moosh_contract_read (w->chain, token, MOOSH_FN_TEST_USD_BALANCE_OF, &error, address);
  g_assert_no_error (error);
  return moosh_decoded_u64 (decoded, "0");
}

static void
test_life (void)
{
  g_auto (World) w = { 0 };
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) mint = mint_call (1, 500);
  g_autoptr (MooshDecoded) transfer = NULL;
  g_auto (MooshReceipt) receipt = { 0 };
  g_auto (MooshTxRecord) first = { 0 }, again = { 0 }, done = { 0 };
  guint8 token[20];

  world_open (&w, NULL);
  deploy_token (w.journal, "deploy", token);
  g_assert_true (moosh_tx_submit (w.journal, "mint:1", token, mint, NULL, &first, &error));
  g_assert_cmpuint (first.nonce, ==, 1);
  g_assert_true (moosh_tx_wait (w.journal, "mint:1", 20000, &receipt, &error));
  g_assert_true (receipt.success);
  g_assert_cmpmem (receipt.tx_hash, 32, first.hash, 32);
  g_assert_cmpuint (receipt.logs->len, ==, 1);
  transfer = moosh_event_decode (MOOSH_EV_TEST_USD_TRANSFER, receipt.logs->pdata[0], &error);
  g_assert_no_error (error);
  g_assert_cmpuint (moosh_decoded_u64 (transfer, "value"), ==, 500);
  g_assert_cmpuint (moosh_decoded_address (transfer, "to")[0], ==, 0x70);
  g_assert_true (moosh_event_find ("TestUSD", receipt.logs->pdata[0])
                 == MOOSH_EV_TEST_USD_TRANSFER);

  /* the same purpose again: the same transaction, no second one */
  g_assert_true (moosh_tx_submit (w.journal, "mint:1", token, mint, NULL, &again, &error));
  g_assert_cmpmem (again.hash, 32, first.hash, 32);
  g_assert_true (moosh_tx_execute (w.journal, "mint:1", token, mint, NULL, 20000, NULL, &error));
  g_assert_cmpuint (signatures (&w), ==, 2);
  g_assert_cmpuint (balance_of (&w, token, 1), ==, 500);
  g_assert_true (moosh_tx_lookup (w.journal, "mint:1", &done, &error));
  g_assert_cmpint (done.state, ==, MOOSH_TX_DONE);
  g_assert_cmpuint (done.gas_used, ==, receipt.gas_used);
  g_assert_false (moosh_u256_is_zero (&done.fee_wei));
  g_assert_cmpuint (moosh_tx_open_count (w.journal), ==, 0);
  g_assert_false (moosh_tx_retire (w.journal, "mint:1", &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_CONFLICT);
}

/* What would revert is not recorded, and the refusal is a sentence with the error's name and
 * values. */
static void
test_refusals (void)
{
  g_auto (World) w = { 0 };
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) transfer = NULL, mint = mint_call (0, 1);
  MooshU256 amount = moosh_u256 (77);
  guint8 token[20], other[20];
  TestSigner *signer;

  world_open (&w, NULL);
  signer = (TestSigner *)w.signer;
  deploy_token (w.journal, "deploy", token);
  unhex_to (test_addresses[1], other, 20);
  transfer = moosh_call_new (MOOSH_FN_TEST_USD_TRANSFER, &error, other, &amount);
  g_assert_no_error (error);
  g_assert_false (moosh_tx_submit (w.journal, "pay", token, transfer, NULL, NULL, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_REFUSED);
  g_test_message ("%s", error->message);
  g_assert_nonnull (strstr (
      error->message,
      "ERC20InsufficientBalance (sender 0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266, balance 0, "
      "needed 77)"));
  g_clear_error (&error);
  g_assert_false (moosh_tx_lookup (w.journal, "pay", NULL, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_NOT_FOUND);
  g_clear_error (&error);

  signer->refuse = TRUE;
  g_assert_false (moosh_tx_submit (w.journal, "mint", token, mint, NULL, NULL, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_DENIED);
  g_clear_error (&error);
  signer->refuse = FALSE;
  signer->lie = TRUE;
  g_assert_false (moosh_tx_submit (w.journal, "mint", token, mint, NULL, NULL, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_PROTOCOL);
  g_clear_error (&error);
  signer->lie = FALSE;
  anvil_run (&w.anvil, "anvil_setBalance",
             "[\"0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266\",\"0x10\"]");
  g_assert_false (moosh_tx_submit (w.journal, "mint", token, mint, NULL, NULL, &error));
  g_test_message ("%s", error->message);
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_FUNDS);
  g_clear_error (&error);
  g_assert_false (moosh_tx_submit (w.journal, "", token, mint, NULL, NULL, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE);
  g_clear_error (&error);
  g_assert_false (moosh_tx_wait (w.journal, "mint", 10, NULL, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_NOT_FOUND);
  g_assert_cmpuint (moosh_tx_open_count (w.journal), ==, 0);
}

/* Fine when it was estimated; in its block somebody richer came first and took the money. */
static void
test_reverts_in_block (void)
{
  g_auto (World) w = { 0 };
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) mint = mint_call (0, 100), transfer = NULL, approve = NULL, spend = NULL;
  g_autofree char *token_hex = NULL, *spend_hex = NULL, *params = NULL;
  MooshU256 amount = moosh_u256 (100);
  g_auto (MooshTxRecord) record = { 0 };
  guint8 token[20], owner[20], other[20];

  world_open (&w, NULL);
  deploy_token (w.journal, "deploy", token);
  unhex_to (test_addresses[0], owner, 20);
  unhex_to (test_addresses[1], other, 20);
  approve = moosh_call_new (MOOSH_FN_TEST_USD_APPROVE, &error, other, &amount);
  transfer = moosh_call_new (MOOSH_FN_TEST_USD_TRANSFER, &error, other, &amount);
  spend = moosh_call_new (MOOSH_FN_TEST_USD_TRANSFER_FROM, &error, owner, other, &amount);
  g_assert_true (moosh_tx_execute (w.journal, "mint", token, mint, NULL, 20000, NULL, &error));
  g_assert_true (
      moosh_tx_execute (w.journal, "approve", token, approve, NULL, 20000, NULL, &error));
  anvil_run (&w.anvil, "evm_setAutomine", "[false]");
  g_assert_true (moosh_tx_submit (w.journal, "pay:2", token, transfer, NULL, NULL, &error));
  token_hex = moosh_hex (token, 20);
  spend_hex = moosh_hex (g_bytes_get_data (spend, NULL), g_bytes_get_size (spend));
  params = g_strdup_printf (
      "[{\"from\":\"0x%s\",\"to\":\"%s\",\"data\":\"%s\",\"gas\":\"0x20000\","
      "\"maxFeePerGas\":\"0x2540be4000\",\"maxPriorityFeePerGas\":\"0x2540be400\"}]",
      test_addresses[1], token_hex, spend_hex);
  anvil_run (&w.anvil, "eth_sendTransaction", params);
  g_assert_false (moosh_tx_wait (w.journal, "pay:2", 300, NULL, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_TIMEOUT);
  g_clear_error (&error);
  g_assert_cmpuint (moosh_tx_open_count (w.journal), ==, 1);
  anvil_run (&w.anvil, "evm_mine", "[]");
  g_assert_false (moosh_tx_wait (w.journal, "pay:2", 20000, NULL, &error));
  g_test_message ("%s", error->message);
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_REFUSED);
  g_clear_error (&error);
  g_assert_true (moosh_tx_lookup (w.journal, "pay:2", &record, &error));
  g_assert_cmpint (record.state, ==, MOOSH_TX_REVERTED);

  /* the action may be tried again under its name once the failure is put aside */
  g_assert_true (moosh_tx_retire (w.journal, "pay:2", &error));
  g_assert_false (moosh_tx_submit (w.journal, "pay:2", token, transfer, NULL, NULL, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_REFUSED);
}

/* Recorded, but never sent: the endpoint was away. After a restart the same bytes go out, and only
 * once. */
static void
test_crash_before_send (void)
{
  g_auto (World) w = { 0 };
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) mint = mint_call (1, 3);
  g_auto (MooshTxRecord) before = { 0 }, after = { 0 };
  guint8 token[20];

  world_open (&w, NULL);
  deploy_token (w.journal, "deploy", token);
  anvil_run (&w.anvil, "evm_setAutomine", "[false]");
  g_assert_true (moosh_tx_submit (w.journal, "mint", token, mint, NULL, &before, &error));
  anvil_run (&w.anvil, "anvil_dropAllTransactions", "[]"); /* as if it had never been sent */
  g_assert_true (moosh_store_run (w.store.store, &error, "UPDATE tx_version SET sent_s = 0", ""));
  world_reopen (&w, NULL);
  anvil_run (&w.anvil, "evm_setAutomine", "[true]");
  g_assert_true (moosh_tx_execute (w.journal, "mint", token, mint, NULL, 20000, NULL, &error));
  g_assert_no_error (error);
  g_assert_true (moosh_tx_lookup (w.journal, "mint", &after, &error));
  g_assert_cmpmem (before.hash, 32, after.hash, 32);
  g_assert_cmpuint (signatures (&w), ==, 2);
  g_assert_cmpuint (balance_of (&w, token, 1), ==, 3);
}

/* Mined while nobody looked: the next start finds it. */
static void
test_crash_after_send (void)
{
  g_auto (World) w = { 0 };
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) mint = mint_call (1, 4);
  guint8 token[20];

  world_open (&w, NULL);
  deploy_token (w.journal, "deploy", token);
  g_assert_true (moosh_tx_submit (w.journal, "mint", token, mint, NULL, NULL, &error));
  world_reopen (&w, NULL);
  g_assert_cmpuint (moosh_tx_open_count (w.journal), ==, 1);
  g_assert_true (moosh_tx_tick (w.journal, &error));
  g_assert_cmpuint (moosh_tx_open_count (w.journal), ==, 0);
  g_assert_true (moosh_tx_execute (w.journal, "mint", token, mint, NULL, 20000, NULL, &error));
  g_assert_cmpuint (balance_of (&w, token, 1), ==, 4);
  g_assert_cmpuint (signatures (&w), ==, 2);
}

/* The chain's node dies in the middle and comes back with its state. */
static void
test_node_restart (void)
{
  g_auto (World) w = { 0 };
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) mint = mint_call (1, 5);
  g_autofree char *dir = g_dir_make_tmp ("moosh-anvil-XXXXXX", &error),
                  *state = g_build_filename (dir, "state", NULL);
  guint8 token[20];

  w.anvil.extra[0] = "--state";
  w.anvil.extra[1] = state;
  world_open (&w, NULL);
  deploy_token (w.journal, "deploy", token);
  anvil_run (&w.anvil, "evm_setAutomine", "[false]");
  g_assert_true (moosh_tx_submit (w.journal, "mint", token, mint, NULL, NULL, &error));
  anvil_stop (&w.anvil, SIGINT);
  g_assert_false (moosh_tx_wait (w.journal, "mint", 500, NULL, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_TIMEOUT);
  g_clear_error (&error);
  anvil_start (&w.anvil); /* its pool is empty now */
  g_assert_true (moosh_store_run (w.store.store, &error, "UPDATE tx_version SET sent_s = 0", ""));
  g_assert_true (moosh_tx_wait (w.journal, "mint", 20000, NULL, &error));
  g_assert_cmpuint (balance_of (&w, token, 1), ==, 5);
  anvil_stop (&w.anvil, SIGKILL);
  g_unlink (state);
  g_rmdir (dir);
}

static void
test_bump (void)
{
  g_auto (World) w = { 0 };
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) mint = mint_call (1, 6);
  MooshTxPolicy policy = { .bump_after_s = 1, .bump_max = 2 };
  g_auto (MooshTxRecord) first = { 0 }, last = { 0 };
  g_auto (MooshReceipt) receipt = { 0 };
  guint8 token[20];

  world_open (&w, &policy);
  deploy_token (w.journal, "deploy", token);
  anvil_run (&w.anvil, "evm_setAutomine", "[false]");
  g_assert_true (moosh_tx_submit (w.journal, "mint", token, mint, NULL, &first, &error));
  /* it waits, and is raised twice, then no more */
  while (signatures (&w) < 4)
    {
      g_assert_false (moosh_tx_wait (w.journal, "mint", 200, NULL, &error));
      g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_TIMEOUT);
      g_clear_error (&error);
    }
  g_assert_true (moosh_store_run (w.store.store, &error, "UPDATE tx_version SET made_s = 0", ""));
  g_assert_true (moosh_tx_tick (w.journal, &error));
  g_assert_cmpuint (signatures (&w), ==, 4);
  g_assert_true (moosh_tx_lookup (w.journal, "mint", &last, &error));
  g_assert_cmpuint (last.nonce, ==, first.nonce);
  g_assert_cmpint (memcmp (first.hash, last.hash, 32), !=, 0);
  anvil_run (&w.anvil, "evm_mine", "[]");
  g_assert_true (moosh_tx_wait (w.journal, "mint", 20000, &receipt, &error));
  g_assert_cmpmem (receipt.tx_hash, 32, last.hash, 32);
  g_assert_cmpuint (balance_of (&w, token, 1), ==, 6);
}

/* Never above the cap. */
static void
test_fee_cap (void)
{
  g_auto (World) w = { 0 };
  MooshTxPolicy policy = { .bump_after_s = 1, .max_fee_cap = moosh_u256 (5000000000) };
  guint8 token[20];
  gint64 above;

  world_open (&w, &policy);
  deploy_token (w.journal, "deploy", token);
  above = moosh_store_int (
      w.store.store, -1,
      "SELECT count (*) FROM tx_version WHERE CAST (max_fee AS INTEGER) > 5000000000", "");
  g_assert_cmpint (above, ==, 0);
}

/* Somebody else used the key: our transaction can never be mined, and we say so. */
static void
test_replaced (void)
{
  g_auto (World) w = { 0 };
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) mint = mint_call (1, 7);
  guint8 token[20];

  world_open (&w, NULL);
  deploy_token (w.journal, "deploy", token);
  anvil_run (&w.anvil, "evm_setAutomine", "[false]");
  g_assert_true (moosh_tx_submit (w.journal, "mint", token, mint, NULL, NULL, &error));
  anvil_run (&w.anvil, "anvil_dropAllTransactions", "[]");
  anvil_run (
      &w.anvil, "eth_sendTransaction",
      "[{\"from\":\"0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266\",\"to\":"
      "\"0x70997970c51812dc3a010c7d01b50e0d17dc79c8\",\"value\":\"0x1\",\"nonce\":\"0x1\"}]");
  anvil_run (&w.anvil, "evm_mine", "[]");
  g_assert_false (moosh_tx_wait (w.journal, "mint", 20000, NULL, &error));
  g_test_message ("%s", error->message);
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_CONFLICT);
  g_clear_error (&error);
  g_assert_true (moosh_tx_retire (w.journal, "mint", &error));
  anvil_run (&w.anvil, "evm_setAutomine", "[true]");
  g_assert_true (moosh_tx_execute (w.journal, "mint", token, mint, NULL, 20000, NULL, &error));
  g_assert_cmpuint (balance_of (&w, token, 1), ==, 7);
}

/* Mined, thrown out by a reorganisation before it was confirmed, mined again. */
static void
test_reorganised (void)
{
  g_auto (World) w = { 0 };
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) mint = mint_call (1, 8);
  MooshTxPolicy policy = { .confirmations = 3 };
  g_auto (MooshTxRecord) record = { 0 };
  guint8 token[20], unknown[32] = { 1 };

  world_open (&w, NULL);
  deploy_token (w.journal, "deploy", token);
  world_reopen (&w, &policy);
  g_assert_true (moosh_tx_submit (w.journal, "mint", token, mint, NULL, NULL, &error));
  g_assert_true (moosh_tx_tick (w.journal, &error));
  g_assert_true (moosh_tx_lookup (w.journal, "mint", &record, &error));
  g_assert_cmpint (record.state, ==, MOOSH_TX_MINED);
  anvil_run (&w.anvil, "evm_setAutomine", "[false]");
  anvil_run (&w.anvil, "anvil_reorg", "[1, []]");
  moosh_tx_record_clear (&record);
  g_assert_true (moosh_tx_tick (w.journal, &error));
  g_assert_true (moosh_tx_lookup (w.journal, "mint", &record, &error));
  g_assert_cmpint (record.state, ==, MOOSH_TX_PENDING);
  anvil_run (&w.anvil, "anvil_mine", "[\"0x5\"]");
  g_assert_true (moosh_tx_wait (w.journal, "mint", 20000, NULL, &error));
  g_assert_cmpuint (balance_of (&w, token, 1), ==, 8);
  g_assert_cmpuint (signatures (&w), ==, 2);

  /* deeper than the confirmations: it is final until somebody says that its block is gone */
  anvil_run (&w.anvil, "anvil_reorg", "[5, []]");
  g_assert_cmpuint (balance_of (&w, token, 1), ==, 0);
  g_assert_true (moosh_tx_tick (w.journal, &error));
  g_assert_cmpuint (moosh_tx_open_count (w.journal), ==, 0);
  moosh_tx_record_clear (&record);
  g_assert_true (moosh_tx_lookup (w.journal, "mint", &record, &error));
  g_assert_true (moosh_tx_block_lost (w.journal, unknown, &error));
  g_assert_cmpuint (moosh_tx_open_count (w.journal), ==, 0);
  g_assert_true (moosh_tx_block_lost (w.journal, record.hash, &error));
  g_assert_cmpuint (moosh_tx_open_count (w.journal), ==, 1);
  g_assert_true (moosh_tx_tick (w.journal, &error));
  anvil_run (&w.anvil, "anvil_mine", "[\"0x5\"]");
  g_assert_true (moosh_tx_wait (w.journal, "mint", 20000, NULL, &error));
  g_assert_cmpuint (balance_of (&w, token, 1), ==, 8);
  g_assert_cmpuint (signatures (&w), ==, 2);
}

typedef struct {
  MooshTxJournal *journal;
  const guint8 *token;
  guint number;
} Worker;

static gpointer
mint_in_thread (gpointer data)
{
  const Worker *worker = data;
  g_autofree char *purpose = g_strdup_printf ("mint:%u", worker->number / 2);
  g_autoptr (GBytes) mint = mint_call (1, 1);
  g_autoptr (GError) error = NULL;

  moosh_tx_execute (worker->journal, purpose, worker->token, mint, NULL, 60000, NULL, &error);
  g_assert_no_error (error);
  return NULL;
}

/* Twelve threads, each purpose twice: six transactions, nonces without a gap. */
static void
test_threads (void)
{
  g_auto (World) w = { 0 };
  GThread *threads[12];
  Worker workers[12];
  guint8 token[20];

  world_open (&w, NULL);
  deploy_token (w.journal, "deploy", token);
  for (guint i = 0; i < 12; i++)
    {
      workers[i] = (Worker){ w.journal, token, i };
      threads[i] = g_thread_new ("mint", mint_in_thread, &workers[i]);
    }
  for (guint i = 0; i < 12; i++)
    g_thread_join (threads[i]);
  g_assert_cmpuint (balance_of (&w, token, 1), ==, 6);
  g_assert_cmpuint (signatures (&w), ==, 7);
  g_assert_cmpint (moosh_store_int (w.store.store, -1, "SELECT max (nonce) FROM tx", ""), ==, 6);
}

static void
test_other_chain (void)
{
  g_auto (World) w = { 0 };
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) mint = mint_call (1, 1);
  guint8 token[20];

  world_open (&w, NULL);
  deploy_token (w.journal, "deploy", token);
  anvil_stop (&w.anvil, SIGKILL);
  anvil_start (&w.anvil); /* everything forgotten */
  g_assert_false (moosh_tx_submit (w.journal, "mint", token, mint, NULL, NULL, &error));
  g_test_message ("%s", error->message);
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_CONFLICT);
}

/* ---- keyd's signer ---- */

/* Stands in for keyd: notes what it is asked, answers with a raw transaction (or an error). */
typedef struct {
  GMutex lock;
  char *asked;
  GBytes *raw;
} FakeKeyd;

static JsonObject *
on_sign (const MooshRpcPeer *peer, JsonObject *params, gpointer user_data, GError **error)
{
  FakeKeyd *keyd = user_data;
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&keyd->lock);

  (void)peer;
  (void)locker;
  g_free (keyd->asked);
  keyd->asked = moosh_json_print (params, FALSE);
  if (keyd->raw == NULL)
    {
      g_set_error_literal (error, MOOSH_ERROR, MOOSH_ERROR_DENIED,
                           "rule contracts: not on the list");
      return NULL;
    }
  return moosh_json_build ("raw", 'x', keyd->raw, NULL);
}

static gpointer
run_loop (gpointer loop)
{
  g_main_loop_run (loop);
  return NULL;
}

static void
test_keyd_signer (void)
{
  static const MooshRpcMethod methods[]
      = { { "sign_transaction", on_sign, NULL }, { NULL, NULL, NULL } };
  FakeKeyd keyd = { 0 };
  g_autoptr (GError) error = NULL;
  g_autofree char *dir = g_dir_make_tmp ("moosh-keyd-XXXXXX", &error),
                  *path = g_build_filename (dir, "keyd.sock", NULL);
  g_autoptr (GMainLoop) loop = g_main_loop_new (NULL, FALSE);
  MooshRpcServer *server;
  GThread *thread;
  MooshRpcClient *client = moosh_rpc_client_new (path);
  guint8 address[20] = { 9 };
  MooshSigner *signer = moosh_signer_keyd_new (client, address);
  MooshTx tx = { .chain_id = 31337,
                 .nonce = 5,
                 .max_priority_fee = moosh_u256 (2),
                 .max_fee = moosh_u256 (30),
                 .gas = 21000,
                 .data = { (const guint8 *)"\xde\xad", 2 } };
  GBytes *raw;

  tx.value.limb[1] = 1; /* 2^64: beyond what a JSON number could carry */
  tx.to[19] = 7;
  g_assert_null (signer->sign (signer, &tx, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_UNAVAILABLE); /* keyd is not up */
  g_clear_error (&error);

  g_mutex_init (&keyd.lock);
  server = moosh_rpc_server_new (path, 0600, methods, &keyd, &error);
  g_assert_no_error (error);
  thread = g_thread_new ("keyd", run_loop, loop);
  g_assert_null (signer->sign (signer, &tx, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_DENIED);
  g_assert_cmpstr (keyd.asked, ==,
                   "{\"chain_id\":31337,\"nonce\":5,\"value\":\"18446744073709551616\",\"gas\":"
                   "21000,\"max_fee\":\"30\","
                   "\"max_priority_fee\":\"2\",\"data\":\"0xdead\",\"to\":"
                   "\"0x0000000000000000000000000000000000000007\"}");
  g_clear_error (&error);
  keyd.raw = g_bytes_new ("\x02\xc0", 2);
  raw = signer->sign (signer, &tx, &error);
  g_assert_no_error (error);
  g_assert_true (g_bytes_equal (raw, keyd.raw));
  g_bytes_unref (raw);

  g_main_loop_quit (loop);
  g_thread_join (thread);
  moosh_signer_free (signer);
  moosh_rpc_client_free (client);
  moosh_rpc_server_free (server);
  g_bytes_unref (keyd.raw);
  g_free (keyd.asked);
  g_mutex_clear (&keyd.lock);
  g_rmdir (dir);
}

static void
assert_explains (const char *hex, const char *expected)
{
  gsize len = strlen (hex) / 2;
  g_autofree guint8 *data = g_malloc (len + 1);
  g_autofree char *text = NULL;

  g_assert_cmpint (moosh_hex_decode (hex, data, len), ==, MOOSH_OK);
  text = moosh_revert_explain (data, len, NULL);
  g_assert_cmpstr (text, ==, expected);
}

#define W(digits) "000000000000000000000000000000000000000000000000000000000000" digits

static void
test_explain (void)
{
  const MooshAbiError *known = NULL;
  g_autofree char *text = NULL;

  assert_explains ("", "reverted without a reason");
  assert_explains ("08c379", "reverted without a reason");
  assert_explains ("08c379a0" W ("0020") W (
                       "0004") "6e6f210a00000000000000000000000000000000000000000000000000000000",
                   "no! ");
  assert_explains ("08c379a0" W ("0021"), "reverted without a readable reason");
  assert_explains ("4e487b71" W ("0011"), "an arithmetic overflow");
  assert_explains ("4e487b71" W ("0099"), "panic 0x99");
  assert_explains ("4e487b71", "a panic of unknown kind");
  assert_explains ("deadbeef01", "an error we do not know: 0xdeadbeef01");
  text = moosh_revert_explain (MOOSH_ERR_TEST_USD_ERC20_INSUFFICIENT_BALANCE->selector, 4, &known);
  g_assert_cmpstr (text, ==, "ERC20InsufficientBalance"); /* cut off: at least its name */
  g_assert_nonnull (known);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/chain/tx/explain", test_explain);
  g_test_add_func ("/chain/tx/keyd-signer", test_keyd_signer);
  g_test_add_func ("/chain/tx/life", test_life);
  g_test_add_func ("/chain/tx/refusals", test_refusals);
  g_test_add_func ("/chain/tx/reverts-in-block", test_reverts_in_block);
  g_test_add_func ("/chain/tx/crash-before-send", test_crash_before_send);
  g_test_add_func ("/chain/tx/crash-after-send", test_crash_after_send);
  g_test_add_func ("/chain/tx/node-restart", test_node_restart);
  g_test_add_func ("/chain/tx/bump", test_bump);
  g_test_add_func ("/chain/tx/fee-cap", test_fee_cap);
  g_test_add_func ("/chain/tx/replaced", test_replaced);
  g_test_add_func ("/chain/tx/reorganised", test_reorganised);
  g_test_add_func ("/chain/tx/threads", test_threads);
  g_test_add_func ("/chain/tx/other-chain", test_other_chain);
  return g_test_run ();
}
