#include "chain_support.h"

/* ---- a server that misbehaves ---- */

typedef enum {
  FAKE_GOOD,
  FAKE_WRONG_CHAIN,
  FAKE_GARBAGE, /* not JSON */
  FAKE_DEEP,    /* nested 10,000 times */
  FAKE_WRONG_ID,
  FAKE_BAD_HEX, /* a quantity with leading zeros */
  FAKE_HUGE,    /* more than MOOSH_CHAIN_REPLY_MAX */
  FAKE_SILENT,  /* never answers */
  FAKE_DRIP,    /* a byte now and then, for ever */
  FAKE_429,
  FAKE_LIMITED, /* -32005 */
  FAKE_500,
  FAKE_LIE,   /* another balance */
  FAKE_SPLIT, /* logs only of one block at a time */
} FakeMode;

typedef struct {
  GThread *thread;
  GMainContext *context;
  GMainLoop *loop;
  char *url;
  gint mode;       /* FakeMode, atomic */
  gint good_after; /* atomic: after so many requests in another mode it gets good; 0: never */
  gint requests;   /* atomic */
} Fake;

static char *
fake_result (FakeMode mode, const char *method, JsonArray *params)
{
  if (strcmp (method, "eth_chainId") == 0)
    return g_strdup (mode == FAKE_WRONG_CHAIN ? "\"0x1\"" : "\"0x7a69\"");
  if (strcmp (method, "eth_blockNumber") == 0)
    return g_strdup (mode == FAKE_BAD_HEX ? "\"0x010\"" : "\"0x10\"");
  if (strcmp (method, "eth_getBalance") == 0)
    return g_strdup (mode == FAKE_LIE ? "\"0x64\"" : mode == FAKE_BAD_HEX ? "\"0x0a\"" : "\"0xa\"");
  if (strcmp (method, "eth_getBlockByNumber") == 0)
    return g_strdup_printf (
        "{\"number\":\"%s\",\"hash\":"
        "\"0x1111111111111111111111111111111111111111111111111111111111111111\","
        "\"parentHash\":\"0x2222222222222222222222222222222222222222222222222222222222222222\","
        "\"timestamp\":\"0x65000000\",\"baseFeePerGas\":\"0x7\"}",
        json_array_get_string_element (params, 0));
  if (strcmp (method, "eth_getLogs") == 0)
    {
      const char *from
          = json_object_get_string_member (json_array_get_object_element (params, 0), "fromBlock");
      const char *to
          = json_object_get_string_member (json_array_get_object_element (params, 0), "toBlock");

      if (mode == FAKE_SPLIT && strcmp (from, to) != 0)
        return NULL;
      return g_strdup_printf (
          "[{\"address\":\"0x1000000000000000000000000000000000000001\",\"topics\":[],\"data\":"
          "\"0x\","
          "\"blockNumber\":\"%s\",\"blockHash\":"
          "\"0x1111111111111111111111111111111111111111111111111111111111111111\","
          "\"transactionHash\":"
          "\"0x3333333333333333333333333333333333333333333333333333333333333333\","
          "\"logIndex\":\"0x0\",\"removed\":false}]",
          from);
    }
  return g_strdup ("null");
}

static void
fake_answer (SoupServerMessage *message, guint status, const char *text)
{
  soup_server_message_set_status (message, status, NULL);
  soup_server_message_set_response (message, "application/json", SOUP_MEMORY_COPY, text,
                                    strlen (text));
}

static void
fake_huge (SoupServerMessage *message)
{
  g_autofree char *text = g_malloc (MOOSH_CHAIN_REPLY_MAX + 100);

  memset (text, ' ', MOOSH_CHAIN_REPLY_MAX + 99);
  text[MOOSH_CHAIN_REPLY_MAX + 99] = '\0';
  fake_answer (message, 200, text);
}

static gboolean
drip (gpointer data)
{
  SoupServerMessage *message = data;

  soup_message_body_append (soup_server_message_get_response_body (message), SOUP_MEMORY_STATIC,
                            " ", 1);
  soup_server_message_unpause (message);
  return G_SOURCE_CONTINUE;
}

static void
stop_dripping (SoupServerMessage *message, gpointer source)
{
  (void)message;
  g_source_destroy (source);
}

static void
fake_drip (Fake *fake, SoupServerMessage *message)
{
  GSource *source = g_timeout_source_new (50);

  soup_server_message_set_status (message, 200, NULL);
  soup_message_headers_set_encoding (soup_server_message_get_response_headers (message),
                                     SOUP_ENCODING_CHUNKED);
  g_source_set_callback (source, drip, g_object_ref (message), g_object_unref);
  g_source_attach (source, fake->context);
  g_signal_connect_data (message, "finished", G_CALLBACK (stop_dripping), source,
                         (GClosureNotify)(GCallback)g_source_unref, 0);
}

static void
on_request (SoupServer *server, SoupServerMessage *message, const char *path, GHashTable *query,
            gpointer user_data)
{
  Fake *fake = user_data;
  SoupMessageBody *body = soup_server_message_get_request_body (message);
  g_autoptr (JsonObject) request = moosh_json_parse (body->data, (gssize)body->length, NULL);
  FakeMode mode = (FakeMode)g_atomic_int_get (&fake->mode);
  gint seen = g_atomic_int_add (&fake->requests, 1) + 1,
       good_after = g_atomic_int_get (&fake->good_after);
  g_autofree char *result = NULL, *text = NULL;
  GString *deep;
  gint64 id;

  (void)server, (void)path, (void)query;
  g_assert_nonnull (request);
  if ((good_after != 0 && seen > good_after)
      || (mode == FAKE_HUGE
          && strcmp (json_object_get_string_member (request, "method"), "eth_chainId") == 0))
    mode = FAKE_GOOD;
  id = json_object_get_int_member (request, "id") + (mode == FAKE_WRONG_ID ? 1 : 0);
  switch (mode)
    {
    case FAKE_GARBAGE:
      fake_answer (message, 200, "<html>welcome to the café</html>");
      return;
    case FAKE_DEEP:
      deep = g_string_new ("{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":");
      for (guint i = 0; i < 10000; i++)
        g_string_append_c (deep, '[');
      fake_answer (message, 200, deep->str);
      g_string_free (deep, TRUE);
      return;
    case FAKE_HUGE:
      fake_huge (message);
      return;
    case FAKE_SILENT:
      soup_server_message_pause (message);
      return;
    case FAKE_DRIP:
      fake_drip (fake, message);
      return;
    case FAKE_429:
      soup_message_headers_append (soup_server_message_get_response_headers (message),
                                   "Retry-After", "0");
      fake_answer (message, 429, "slow down");
      return;
    case FAKE_LIMITED:
      fake_answer (message, 200,
                   "{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":-32005,\"message\":\"limit "
                   "exceeded\"}}");
      return;
    case FAKE_500:
      fake_answer (message, 500, "oops");
      return;
    case FAKE_GOOD:
    case FAKE_WRONG_CHAIN:
    case FAKE_WRONG_ID:
    case FAKE_BAD_HEX:
    case FAKE_LIE:
    case FAKE_SPLIT:
      break;
    }
  result = fake_result (mode, json_object_get_string_member (request, "method"),
                        json_object_get_array_member (request, "params"));
  if (result == NULL)
    text = g_strdup_printf (
        "{\"jsonrpc\":\"2.0\",\"id\":%" G_GINT64_FORMAT
        ",\"error\":{\"code\":-32005,\"message\":\"query returned more than 10000 results\"}}",
        id);
  else
    text = g_strdup_printf ("{\"jsonrpc\":\"2.0\",\"id\":%" G_GINT64_FORMAT ",\"result\":%s}", id,
                            result);
  fake_answer (message, 200, text);
}

static gpointer
fake_thread (gpointer user_data)
{
  Fake *fake = user_data;

  g_main_context_push_thread_default (fake->context);
  g_main_loop_run (fake->loop);
  g_main_context_pop_thread_default (fake->context);
  return NULL;
}

static Fake *
fake_new (FakeMode mode)
{
  Fake *fake = g_new0 (Fake, 1);
  SoupServer *server;
  GSList *uris;
  g_autoptr (GError) error = NULL;

  fake->mode = mode;
  fake->context = g_main_context_new ();
  fake->loop = g_main_loop_new (fake->context, FALSE);
  g_main_context_push_thread_default (fake->context);
  server = soup_server_new (NULL, NULL);
  soup_server_add_handler (server, NULL, on_request, fake, NULL);
  soup_server_listen_local (server, 0, SOUP_SERVER_LISTEN_IPV4_ONLY, &error);
  g_assert_no_error (error);
  uris = soup_server_get_uris (server);
  fake->url = g_strdup_printf ("http://user:secret@127.0.0.1:%d/key?token=hidden",
                               g_uri_get_port (uris->data));
  g_slist_free_full (uris, (GDestroyNotify)g_uri_unref);
  g_main_context_pop_thread_default (fake->context);
  fake->thread = g_thread_new ("fake", fake_thread, fake);
  return fake; /* lives as long as the program */
}

static void
fake_set (Fake *fake, FakeMode mode, int good_after)
{
  g_atomic_int_set (&fake->requests, 0);
  g_atomic_int_set (&fake->mode, (gint)mode);
  g_atomic_int_set (&fake->good_after, good_after);
}

static const guint8 somebody[20] = { 0x10, [19] = 1 };

/* Ask one server that is in `mode` for a balance, with little patience. */
static int
ask_in_mode (Fake *fake, FakeMode mode, int good_after, const char *expected_words)
{
  g_autoptr (MooshChain) chain = NULL;
  g_autoptr (GError) error = NULL;
  const char *const urls[] = { fake->url, NULL };
  MooshChainConfig config
      = { .chain_id = TEST_CHAIN_ID, .urls = urls, .request_ms = 300, .call_ms = 900 };
  MooshU256 balance;

  fake_set (fake, mode, good_after);
  if (mode == FAKE_HUGE) /* patience enough for all of it */
    config.request_ms = config.call_ms = 20000;
  if (good_after != 0)
    config.call_ms = 20000;
  chain = moosh_chain_new (&config, &error);
  g_assert_no_error (error);
  if (moosh_chain_balance (chain, somebody, &balance, &error))
    {
      g_assert_cmpuint (balance.limb[0], ==, 10);
      return -1;
    }
  g_test_message ("%s", error->message);
  g_assert_null (strstr (error->message, "secret"));
  g_assert_null (strstr (error->message, "hidden"));
  if (expected_words != NULL)
    g_assert_nonnull (strstr (error->message, expected_words));
  return error->code;
}

static void
test_hostile (void)
{
  static const struct {
    FakeMode mode;
    int code;
    const char *words;
  } cases[] = {
    { FAKE_GOOD, -1, NULL },
    { FAKE_WRONG_CHAIN, MOOSH_ERROR_CONFLICT, "it is on chain 1, not 31337" },
    { FAKE_GARBAGE, MOOSH_ERROR_UNAVAILABLE, "makes no sense" },
    { FAKE_DEEP, MOOSH_ERROR_UNAVAILABLE, "makes no sense" },
    { FAKE_WRONG_ID, MOOSH_ERROR_UNAVAILABLE, "another request" },
    { FAKE_BAD_HEX, MOOSH_ERROR_UNAVAILABLE, "leading zeros" },
    { FAKE_SILENT, MOOSH_ERROR_UNAVAILABLE, "no answer in time" },
    { FAKE_DRIP, MOOSH_ERROR_UNAVAILABLE, "no answer in time" },
    { FAKE_429, MOOSH_ERROR_UNAVAILABLE, "429" },
    { FAKE_LIMITED, MOOSH_ERROR_UNAVAILABLE, "limit exceeded" },
    { FAKE_500, MOOSH_ERROR_UNAVAILABLE, "500" },
  };
  Fake *fake = fake_new (FAKE_GOOD);

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_test_message ("mode %d", (int)cases[i].mode);
      g_assert_cmpint (ask_in_mode (fake, cases[i].mode, 0, cases[i].words), ==, cases[i].code);
    }
  g_assert_cmpint (ask_in_mode (fake, FAKE_HUGE, 0, "larger than"), ==, MOOSH_ERROR_LIMIT);
}

/* Every trouble that passes is survived. */
static void
test_recovers (void)
{
  static const FakeMode modes[]
      = { FAKE_GARBAGE, FAKE_SILENT, FAKE_429, FAKE_LIMITED, FAKE_500, FAKE_WRONG_ID };
  Fake *fake = fake_new (FAKE_GOOD);

  for (guint i = 0; i < G_N_ELEMENTS (modes); i++)
    g_assert_cmpint (ask_in_mode (fake, modes[i], 2, NULL), ==, -1);
}

static MooshChain *
chain_of (Fake **fakes, guint n, guint quorum, guint call_ms)
{
  const char *urls[MOOSH_CHAIN_ENDPOINTS_MAX + 1] = { NULL };
  MooshChainConfig config = {
    .chain_id = TEST_CHAIN_ID, .urls = urls, .quorum = quorum, .request_ms = 300, .call_ms = call_ms
  };
  g_autoptr (GError) error = NULL;
  MooshChain *chain;

  for (guint i = 0; i < n; i++)
    urls[i] = fakes[i]->url;
  chain = moosh_chain_new (&config, &error);
  g_assert_no_error (error);
  return chain;
}

static void
test_quorum (void)
{
  Fake *fakes[3] = { fake_new (FAKE_GOOD), fake_new (FAKE_GOOD), fake_new (FAKE_GOOD) };
  static const FakeMode bad[]
      = { FAKE_LIE, FAKE_SILENT, FAKE_GARBAGE, FAKE_WRONG_CHAIN, FAKE_500, FAKE_BAD_HEX };

  for (guint i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      g_autoptr (MooshChain) chain = chain_of (fakes, 3, 2, 5000), strict = NULL;
      g_autoptr (GError) error = NULL;
      gboolean conflict = bad[i] == FAKE_LIE || bad[i] == FAKE_WRONG_CHAIN;
      MooshU256 balance = { 0 };

      /* one of three is bad: the other two decide */
      fake_set (fakes[0], bad[i], 0);
      fake_set (fakes[1], FAKE_GOOD, 0);
      moosh_chain_balance (chain, somebody, &balance, &error);
      g_assert_no_error (error);
      g_assert_cmpuint (balance.limb[0], ==, 10);

      /* if all must agree, they do not */
      strict = chain_of (fakes, 3, 3, 1200);
      g_assert_false (moosh_chain_balance (strict, somebody, &balance, &error));
      g_assert_cmpint (error->code, ==, conflict ? MOOSH_ERROR_CONFLICT : MOOSH_ERROR_UNAVAILABLE);
      g_clear_error (&error);

      /* two of three */
      fake_set (fakes[1], bad[i], 0);
      if (bad[i] == FAKE_LIE)
        continue; /* two liars who agree are a quorum */
      g_clear_pointer (&chain, moosh_chain_free);
      chain = chain_of (fakes, 3, 2, 1200);
      g_assert_false (moosh_chain_balance (chain, somebody, &balance, &error));
      g_assert_cmpint (error->code, ==, conflict ? MOOSH_ERROR_CONFLICT : MOOSH_ERROR_UNAVAILABLE);
    }
}

static gpointer
ask_until_stopped (gpointer chain)
{
  static const guint8 address[20] = { 1 };
  GError *error = NULL;
  MooshU256 balance;

  g_assert_false (moosh_chain_balance (chain, address, &balance, &error));
  return error;
}

/* Who waits for a chain that does not answer is let go at once when the process ends. */
static void
test_stop (void)
{
  Fake *fake = fake_new (FAKE_500);
  g_autoptr (MooshChain) chain = chain_of (&fake, 1, 1, 600000);
  GThread *waiting = g_thread_new ("waiting", ask_until_stopped, chain);
  g_autoptr (GError) error = NULL, later = NULL;
  gint64 stopped_us;

  while (g_atomic_int_get (&fake->requests) < 3)
    g_thread_yield ();
  g_assert_false (moosh_chain_stopped (chain));
  stopped_us = g_get_monotonic_time ();
  moosh_chain_stop (chain);
  error = g_thread_join (waiting);
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_CANCELLED);
  g_assert_cmpint (g_get_monotonic_time () - stopped_us, <, 3 * G_USEC_PER_SEC);
  later = ask_until_stopped (chain);
  g_assert_error (later, MOOSH_ERROR, MOOSH_ERROR_CANCELLED);
}

/* Where one is enough, a bad first endpoint is passed over. */
static void
test_failover (void)
{
  Fake *fakes[2] = { fake_new (FAKE_500), fake_new (FAKE_GOOD) };
  g_autoptr (MooshChain) chain = chain_of (fakes, 2, 1, 5000);
  g_autoptr (GError) error = NULL;
  MooshU256 balance = { 0 };

  moosh_chain_balance (chain, somebody, &balance, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (balance.limb[0], ==, 10);
}

static void
test_split_logs (void)
{
  Fake *fake = fake_new (FAKE_SPLIT);
  g_autoptr (MooshChain) chain = chain_of (&fake, 1, 1, 5000);
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) logs = moosh_chain_logs (chain, 3, 9, &somebody, 1, NULL, 0, &error);
  guint8 stranger[1][20] = { { 9 } };

  g_assert_no_error (error);
  g_assert_cmpuint (logs->len, ==, 7);
  for (guint i = 0; i < 7; i++)
    g_assert_cmpuint (((MooshLog *)logs->pdata[i])->block, ==, 3 + i);
  g_assert_null (
      moosh_chain_logs (chain, 3, 9, (const guint8 (*)[20])stranger, 1, NULL, 0, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_PROTOCOL);
}

static void
test_config (void)
{
  static const char *const bad_urls[] = { "ftp://x", "x", "http://", "", "127.0.0.1:8545" };
  const char *many[] = { "http://a", "http://a", "http://a", "http://a", "http://a",
                         "http://a", "http://a", "http://a", "http://a", NULL };
  MooshChainConfig config = { .chain_id = 1, .urls = many };
  g_autoptr (GError) error = NULL;
  MooshChain *chain;

  g_assert_null (moosh_chain_new (&config, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE);
  g_clear_error (&error);
  many[8] = NULL;
  config.quorum = 9;
  g_assert_null (moosh_chain_new (&config, &error));
  g_clear_error (&error);
  config.quorum = 8;
  chain = moosh_chain_new (&config, &error);
  g_assert_no_error (error);
  moosh_chain_free (chain);
  for (guint i = 0; i < G_N_ELEMENTS (bad_urls); i++)
    {
      const char *urls[] = { bad_urls[i], NULL };

      config = (MooshChainConfig){ .chain_id = 1, .urls = urls };
      g_assert_null (moosh_chain_new (&config, &error));
      g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE);
      g_clear_error (&error);
    }
}

static void
test_probe (void)
{
  Fake *fakes[3] = { fake_new (FAKE_GOOD), fake_new (FAKE_WRONG_CHAIN), fake_new (FAKE_500) };
  g_autoptr (MooshChain) chain = chain_of (fakes, 3, 1, 1000);
  g_autoptr (GPtrArray) states = moosh_chain_probe (chain);
  const MooshEndpointState *state = states->pdata[0];

  g_assert_cmpuint (states->len, ==, 3);
  g_assert_true (state->usable);
  g_assert_cmpuint (state->head, ==, 16);
  g_assert_true (g_str_has_prefix (state->url, "http://127.0.0.1:"));
  g_assert_null (strstr (state->url, "secret"));
  state = states->pdata[1];
  g_assert_false (state->usable);
  g_assert_nonnull (strstr (state->trouble, "chain 1"));
  state = states->pdata[2];
  g_assert_false (state->usable);
  g_assert_nonnull (strstr (state->trouble, "500"));
}

/* ---- a real chain ---- */

static void
test_anvil_reads (void)
{
  g_auto (Anvil) anvil = { 0 };
  g_autoptr (MooshChain) chain = NULL;
  g_autoptr (GError) error = NULL;
  guint8 account[20], nobody[20] = { 1 };
  MooshU256 balance, max_fee, tip;
  MooshBlock head, block;
  guint64 number;
  gsize size;

  anvil_start (&anvil);
  chain = chain_for (anvil.url, 10000);
  unhex_to (test_addresses[0], account, 20);
  anvil_run (&anvil, "anvil_mine", "[\"0x5\"]");
  g_assert_true (moosh_chain_head (chain, &head, &error));
  g_assert_cmpuint (head.number, ==, 5);
  g_assert_true (moosh_chain_block (chain, 4, &block, &error));
  g_assert_cmpmem (block.hash, 32, head.parent, 32);
  g_assert_false (moosh_chain_block (chain, 6, &block, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_NOT_FOUND);
  g_clear_error (&error);
  g_assert_true (moosh_chain_balance (chain, account, &balance, &error));
  g_assert_cmpuint (moosh_u256_bit_length (&balance), >, 70);
  g_assert_true (moosh_chain_nonce (chain, account, &number, &error));
  g_assert_cmpuint (number, ==, 0);
  g_assert_true (moosh_chain_code_size (chain, account, &size, &error));
  g_assert_cmpuint (size, ==, 0);
  g_assert_true (moosh_chain_fees (chain, &max_fee, &tip, &error));
  g_assert_cmpint (moosh_u256_cmp (&max_fee, &tip), >, 0);
  g_assert_true (moosh_chain_estimate_gas (chain, account, nobody, NULL, NULL, &number, &error));
  g_assert_cmpuint (number, >=, 21000);
  g_assert_false (moosh_chain_receipt (chain, head.hash, &(MooshReceipt){ 0 }, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_NOT_FOUND);
}

/* The chain goes away and comes back, on the same port; then another one takes its place. */
static void
test_anvil_restart (void)
{
  g_auto (Anvil) anvil = { 0 };
  g_autoptr (MooshChain) chain = NULL;
  g_autoptr (GError) error = NULL;
  MooshBlock head;

  anvil_start (&anvil);
  chain = chain_for (anvil.url, 1000);
  g_assert_true (moosh_chain_head (chain, &head, &error));
  anvil_stop (&anvil, SIGKILL);
  g_assert_false (moosh_chain_head (chain, &head, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_UNAVAILABLE);
  g_clear_error (&error);
  anvil_start (&anvil);
  g_clear_pointer (&chain, moosh_chain_free);
  chain = chain_for (anvil.url, 20000);
  g_assert_true (moosh_chain_head (chain, &head, &error));
  anvil_stop (&anvil, SIGKILL);
  anvil.extra[0] = "--chain-id";
  anvil.extra[1] = "5";
  anvil_start (&anvil);
  g_assert_false (moosh_chain_head (chain, &head, &error));
  g_test_message ("%s", error->message);
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_CONFLICT);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/chain/config", test_config);
  g_test_add_func ("/chain/hostile", test_hostile);
  g_test_add_func ("/chain/recovers", test_recovers);
  g_test_add_func ("/chain/quorum", test_quorum);
  g_test_add_func ("/chain/stop", test_stop);
  g_test_add_func ("/chain/failover", test_failover);
  g_test_add_func ("/chain/split-logs", test_split_logs);
  g_test_add_func ("/chain/probe", test_probe);
  g_test_add_func ("/chain/anvil/reads", test_anvil_reads);
  g_test_add_func ("/chain/anvil/restart", test_anvil_restart);
  return g_test_run ();
}
