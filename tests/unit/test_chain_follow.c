#include "chain_support.h"

/* The handler keeps one row per event, so that what is in the store can be compared with what is on
 * the chain. */
typedef struct {
  Anvil anvil;
  MooshChain *chain;
  MooshSigner *signer;
  TestStore store;
  MooshTxJournal *journal;
  MooshFollower *follower;
  guint8 token[1][20];
  guint64 start;
  guint depth, range_max;
  guint applied, removed;
  gint64 fail_at; /* amount that makes the handler fail; 0: none */
} World;

static gboolean
on_log (const MooshLog *log, gint64 block_time_s, gboolean removed, gpointer user_data,
        GError **error)
{
  World *w = user_data;
  g_autoptr (MooshDecoded) transfer = moosh_event_decode (MOOSH_EV_TEST_USD_TRANSFER, log, error);
  g_autofree char *value = NULL;

  if (transfer == NULL)
    return FALSE;
  g_assert_cmpint (block_time_s, >, 0);
  value = g_strdup_printf ("%" G_GUINT64_FORMAT, moosh_decoded_u64 (transfer, "value"));
  if (w->fail_at != 0 && g_ascii_strtoll (value, NULL, 10) == w->fail_at)
    {
      g_set_error_literal (error, MOOSH_ERROR, MOOSH_ERROR_FAILED, "the handler does not want it");
      return FALSE;
    }
  if (removed)
    {
      w->removed++;
      if (!moosh_store_run (w->store.store, error,
                            "DELETE FROM seen WHERE block = ? AND number = ? AND value = ?", "iis",
                            (gint64)log->block, (gint64)log->index, value))
        return FALSE;
      g_assert_cmpint (moosh_store_changes (w->store.store), ==,
                       1); /* only what was delivered is taken back */
      return TRUE;
    }
  w->applied++;
  return moosh_store_run (w->store.store, error,
                          "INSERT INTO seen (block, number, value) VALUES (?, ?, ?)", "iis",
                          (gint64)log->block, (gint64)log->index, value);
}

static MooshFollower *
make_follower (World *w, GError **error)
{
  MooshFollowerConfig config = { .store = w->store.store,
                                 .chain = w->chain,
                                 .name = "test",
                                 .addresses = (const guint8 (*)[20])w->token,
                                 .n_addresses = 1,
                                 .start_block = w->start,
                                 .depth = w->depth,
                                 .range_max = w->range_max,
                                 .handler = on_log,
                                 .user_data = w };

  return moosh_follower_new (&config, error);
}

static void
world_open (World *w)
{
  g_autoptr (GError) error = NULL;

  anvil_start (&w->anvil);
  w->chain = chain_for (w->anvil.url, 10000);
  w->signer = test_signer_new (0);
  test_store_open (&w->store);
  w->journal = moosh_tx_journal_new (w->store.store, w->chain, w->signer, NULL, &error);
  g_assert_no_error (error);
  deploy_token (w->journal, "deploy", w->token[0]);
  w->follower = make_follower (w, &error);
  g_assert_no_error (error);
}

static void
world_clear (World *w)
{
  moosh_follower_free (w->follower);
  moosh_tx_journal_free (w->journal);
  moosh_chain_free (w->chain);
  moosh_signer_free (w->signer);
  test_store_clear (&w->store);
  anvil_clear (&w->anvil);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (World, world_clear)

/* Through anvil's own account 1, so that the journal's nonces do not move under reorganisations. */
static void
mint (World *w, guint64 amount)
{
  g_autoptr (GBytes) call = mint_call (1, amount);
  g_autofree char *to = moosh_hex (w->token[0], 20);
  g_autofree char *data = moosh_hex (g_bytes_get_data (call, NULL), g_bytes_get_size (call));
  g_autofree char *params
      = g_strdup_printf ("[{\"from\":\"0x%s\",\"to\":\"%s\",\"data\":\"%s\",\"gas\":\"0x20000\"}]",
                         test_addresses[1], to, data);

  g_autoptr (JsonNode) hash = anvil_do (&w->anvil, "eth_sendTransaction", params);
  g_autofree char *of_hash = g_strdup_printf ("[\"%s\"]", json_node_get_string (hash));
  gboolean mined = FALSE;

  while (!mined) /* anvil mines at once, but answers first */
    {
      g_autoptr (JsonNode) receipt = anvil_do (&w->anvil, "eth_getTransactionReceipt", of_hash);

      mined = !JSON_NODE_HOLDS_NULL (receipt);
    }
}

static void
poll (World *w)
{
  g_autoptr (GError) error = NULL;

  moosh_follower_poll (w->follower, &error);
  g_assert_no_error (error);
}

/* The values stored, in order, as "1 2 3". */
static void
assert_seen (World *w, const char *expected)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (MooshQuery) query = moosh_store_query (
      w->store.store, &error, "SELECT value FROM seen ORDER BY block, number", "");
  g_autoptr (GString) text = g_string_new (NULL);

  while (moosh_query_next (query, &error))
    g_string_append_printf (text, "%s%s", text->len > 0 ? " " : "", moosh_query_text (query, 0));
  g_assert_no_error (error);
  g_assert_cmpstr (text->str, ==, expected);
}

static void
test_once_each (void)
{
  g_auto (World) w = { 0 };
  g_autoptr (GError) error = NULL;
  guint64 block;
  gint64 time_s;

  world_open (&w);
  for (guint64 i = 1; i <= 3; i++)
    mint (&w, i);
  poll (&w);
  assert_seen (&w, "1 2 3");
  g_assert_false (moosh_follower_fresh (w.follower)); /* who knows how old it is */
  poll (&w);
  mint (&w, 4);
  poll (&w);
  assert_seen (&w, "1 2 3 4");
  g_assert_true (moosh_follower_fresh (w.follower));
  g_assert_cmpuint (w.applied, ==, 4);
  moosh_follower_position (w.follower, &block, &time_s);
  g_assert_cmpuint (block, ==, 5);
  g_assert_cmpint (time_s, >, 1000000000);

  /* a new process goes on where the old one stopped */
  moosh_follower_free (w.follower);
  w.follower = make_follower (&w, &error);
  g_assert_no_error (error);
  mint (&w, 5);
  poll (&w);
  assert_seen (&w, "1 2 3 4 5");
  g_assert_cmpuint (w.applied, ==, 5);
  g_assert_false (moosh_follower_fresh (w.follower));

  /* but not for other contracts */
  w.token[0][0] ^= 1;
  g_assert_null (make_follower (&w, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_CONFLICT);
}

/* A long way to catch up, in small ranges, with a floor in the middle. */
static void
test_catch_up (void)
{
  g_auto (World) w = { .depth = 5, .range_max = 7 };

  world_open (&w);
  for (guint64 i = 1; i <= 30; i++)
    mint (&w, i);
  anvil_run (&w.anvil, "anvil_mine", "[\"0x14\"]");
  for (guint64 i = 31; i <= 34; i++)
    mint (&w, i);
  poll (&w);
  g_assert_cmpuint (w.applied, ==, 34);
  g_assert_cmpint (moosh_store_int (w.store.store, -1, "SELECT count (*) FROM follower_log", ""),
                   <=, 6);
  g_assert_cmpint (moosh_store_int (w.store.store, -1, "SELECT count (*) FROM follower_block", ""),
                   <=, 8);
}

/* All or nothing: a handler that fails leaves no trace of its range. */
static void
test_handler_fails (void)
{
  g_auto (World) w = { .fail_at = 3 };
  g_autoptr (GError) error = NULL;
  g_autofree char *trouble = NULL;

  world_open (&w);
  for (guint64 i = 1; i <= 4; i++)
    mint (&w, i);
  g_assert_false (moosh_follower_poll (w.follower, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_FAILED);
  trouble = moosh_follower_trouble (w.follower);
  g_assert_cmpstr (trouble, ==, "the handler does not want it");
  assert_seen (&w, "");
  w.fail_at = 0;
  poll (&w);
  assert_seen (&w, "1 2 3 4");
  g_assert_null (moosh_follower_trouble (w.follower));
}

static void
test_reorganisation (void)
{
  g_auto (World) w = { 0 };

  world_open (&w);
  for (guint64 i = 1; i <= 4; i++)
    mint (&w, i);
  poll (&w);
  assert_seen (&w, "1 2 3 4");
  anvil_run (&w.anvil, "anvil_reorg", "[2, []]"); /* two empty blocks in their place */
  mint (&w, 9);
  poll (&w);
  assert_seen (&w, "1 2 9");
  g_assert_cmpuint (w.removed, ==, 2);

  /* one that happened while we were away, longer than before, and everything back to the start */
  anvil_run (&w.anvil, "anvil_reorg", "[4, []]");
  anvil_run (&w.anvil, "anvil_mine", "[\"0x3\"]");
  mint (&w, 10);
  poll (&w);
  assert_seen (&w, "1 10");
}

/* The chain gets shorter and stays so: believed after a while, not at once. */
static void
test_shorter_chain (void)
{
  g_auto (World) w = { 0 };
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonNode) snapshot = NULL;
  g_autofree char *params = NULL;
  gint64 deadline = g_get_monotonic_time () + 30 * G_USEC_PER_SEC;

  world_open (&w);
  mint (&w, 1);
  snapshot = anvil_do (&w.anvil, "evm_snapshot", "[]");
  mint (&w, 2);
  mint (&w, 3);
  poll (&w);
  params = g_strdup_printf ("[\"%s\"]", json_node_get_string (snapshot));
  anvil_run (&w.anvil, "evm_revert", params);
  g_assert_false (moosh_follower_poll (w.follower, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_UNAVAILABLE);
  assert_seen (&w, "1 2 3");
  moosh_follower_start (w.follower, 50);
  while (w.removed < 2 && g_get_monotonic_time () < deadline)
    {
      g_clear_error (&error);
      moosh_follower_wait (w.follower, 1000000, 100, &error);
    }
  moosh_follower_free (g_steal_pointer (&w.follower));
  assert_seen (&w, "1");
}

static void
test_too_deep (void)
{
  g_auto (World) w = { .depth = 3 };
  g_autoptr (GError) error = NULL;

  world_open (&w);
  for (guint64 i = 1; i <= 10; i++)
    mint (&w, i);
  poll (&w);
  anvil_run (&w.anvil, "anvil_reorg", "[3, []]"); /* exactly as deep as agreed */
  mint (&w, 20);
  poll (&w);
  assert_seen (&w, "1 2 3 4 5 6 7 20");
  anvil_run (&w.anvil, "anvil_reorg", "[6, []]");
  mint (&w, 21);
  g_assert_false (moosh_follower_poll (w.follower, &error));
  g_test_message ("%s", error->message);
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_CORRUPT);
  assert_seen (&w, "1 2 3 4 5 6 7 20");
}

/* The node stops and comes back with its state, the follower's thread running all the time. */
static void
test_node_restart (void)
{
  g_auto (World) w = { 0 };
  g_autoptr (GError) error = NULL;
  g_autofree char *dir = g_dir_make_tmp ("moosh-anvil-XXXXXX", &error),
                  *state = g_build_filename (dir, "state", NULL);
  guint64 block = 0;

  w.anvil.extra[0] = "--state";
  w.anvil.extra[1] = state;
  world_open (&w);
  moosh_follower_start (w.follower, 50);
  mint (&w, 1);
  g_assert_true (moosh_follower_wait (w.follower, 2, 20000, &error));
  anvil_stop (&w.anvil, SIGINT);
  g_assert_false (moosh_follower_wait (w.follower, 3, 300, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_TIMEOUT);
  g_clear_error (&error);
  anvil_start (&w.anvil);
  mint (&w, 2);
  g_assert_true (moosh_follower_wait (w.follower, 3, 40000, &error));
  g_assert_no_error (error);
  moosh_follower_position (w.follower, &block, NULL);
  g_assert_cmpuint (block, >=, 3);
  moosh_follower_free (g_steal_pointer (&w.follower));
  assert_seen (&w, "1 2");
  g_assert_cmpuint (w.removed, ==, 0);
  anvil_stop (&w.anvil, SIGKILL);
  g_unlink (state);
  g_rmdir (dir);
}

/* Random blocks, reorganisations, restarts of the follower: in the end the store says what the
 * chain says. */
static void
test_random (void)
{
  g_auto (World) w = { .depth = 8, .range_max = 3 };
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) logs = NULL;
  g_autoptr (GString) expected = g_string_new (NULL);
  guint32 seed = (guint32)g_test_rand_int ();
  g_autoptr (GRand) rand = g_rand_new_with_seed (seed);
  MooshBlock head;

  g_test_message ("seed %u", seed);
  world_open (&w);
  for (guint i = 1; i <= 60; i++)
    {
      switch (g_rand_int_range (rand, 0, 6))
        {
        case 0:
          g_assert_true (moosh_chain_head (w.chain, &head, &error));
          if (head.number > 6)
            {
              g_autofree char *params = g_strdup_printf ("[%d, []]", g_rand_int_range (rand, 1, 5));

              anvil_run (&w.anvil, "anvil_reorg", params);
              anvil_run (&w.anvil, "evm_mine", "[]");
              poll (&w); /* forks add up; each must stay within the depth */
            }
          break;
        case 1:
          anvil_run (&w.anvil, "evm_mine", "[]");
          break;
        case 2:
          moosh_follower_free (w.follower);
          w.follower = make_follower (&w, &error);
          g_assert_no_error (error);
          break;
        case 3:
          poll (&w);
          break;
        default:
          mint (&w, i);
          break;
        }
    }
  poll (&w);
  g_assert_true (moosh_chain_head (w.chain, &head, &error));
  logs = moosh_chain_logs (w.chain, 0, head.number, (const guint8 (*)[20])w.token, 1, NULL, 0,
                           &error);
  g_assert_no_error (error);
  for (guint i = 0; i < logs->len; i++)
    {
      g_autoptr (MooshDecoded) transfer
          = moosh_event_decode (MOOSH_EV_TEST_USD_TRANSFER, logs->pdata[i], &error);

      g_string_append_printf (expected, "%s%" G_GUINT64_FORMAT, i > 0 ? " " : "",
                              moosh_decoded_u64 (transfer, "value"));
    }
  assert_seen (&w, expected->str);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/chain/follow/once-each", test_once_each);
  g_test_add_func ("/chain/follow/catch-up", test_catch_up);
  g_test_add_func ("/chain/follow/handler-fails", test_handler_fails);
  g_test_add_func ("/chain/follow/reorganisation", test_reorganisation);
  g_test_add_func ("/chain/follow/shorter-chain", test_shorter_chain);
  g_test_add_func ("/chain/follow/too-deep", test_too_deep);
  g_test_add_func ("/chain/follow/node-restart", test_node_restart);
  g_test_add_func ("/chain/follow/random", test_random);
  return g_test_run ();
}
