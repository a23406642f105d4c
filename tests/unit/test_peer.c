/* src/peer: two real nodes over loopback. */
#include "peer_fixture.h"

typedef struct {
  Party alice, bob;
  MooshPeerNode *a, *b; /* a dials, b listens */
  MooshPeerAddress b_address;
} Pair;

static GBytes *
echo (const MooshPeerId *peer G_GNUC_UNUSED, const char *method G_GNUC_UNUSED, GBytes *body,
      gpointer user_data G_GNUC_UNUSED, GError **error G_GNUC_UNUSED)
{
  return g_bytes_ref (body);
}

static GBytes *
refuse (const MooshPeerId *peer G_GNUC_UNUSED, const char *method, GBytes *body G_GNUC_UNUSED,
        gpointer user_data G_GNUC_UNUSED, GError **error)
{
  g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_FUNDS, "%s: too\tlittle money: 3 ≤ 4", method);
  return NULL;
}

static GBytes *
who (const MooshPeerId *peer, const char *method G_GNUC_UNUSED, GBytes *body G_GNUC_UNUSED,
     gpointer user_data G_GNUC_UNUSED, GError **error G_GNUC_UNUSED)
{
  return g_bytes_new (peer->identity, 20);
}

static GBytes *
big (const MooshPeerId *peer G_GNUC_UNUSED, const char *method G_GNUC_UNUSED, GBytes *body,
     gpointer user_data G_GNUC_UNUSED, GError **error G_GNUC_UNUSED)
{
  guint32 len;
  memcpy (&len, g_bytes_get_data (body, NULL), sizeof len);
  guint8 *bytes = g_malloc (len + 1);
  for (guint32 i = 0; i < len; i++)
    bytes[i] = (guint8)(i * 31 + (i >> 8));
  return g_bytes_new_take (bytes, len);
}

static void
pair_start (Pair *pair, const MooshPeerLimits *limits)
{
  g_autoptr (GError) error = NULL;
  party_init (&pair->alice, 1);
  party_init (&pair->bob, 2);
  MooshPeerConfig config = party_config (&pair->alice, FALSE);
  pair->a = party_node (&pair->alice, &config);
  config = party_config (&pair->bob, TRUE);
  if (limits != NULL)
    config.limits = *limits;
  pair->b = party_node (&pair->bob, &config);
  moosh_peer_node_handle (pair->a, "who", who, NULL);
  moosh_peer_node_handle (pair->b, "who", who, NULL);
  moosh_peer_node_handle (pair->b, "echo", echo, NULL);
  moosh_peer_node_handle (pair->b, "refuse", refuse, NULL);
  moosh_peer_node_handle (pair->b, "big", big, NULL);
  moosh_peer_node_start (pair->b, &error);
  g_assert_no_error (error);
  pair->b_address = party_address (&pair->bob, pair->b);
}

static void
pair_stop (Pair *pair)
{
  g_clear_pointer (&pair->a, moosh_peer_node_free);
  g_clear_pointer (&pair->b, moosh_peer_node_free);
}

static void
test_call (void)
{
  Pair pair;
  MooshPeerId peer;
  g_autoptr (GError) error = NULL;
  pair_start (&pair, NULL);
  moosh_peer_connect (pair.a, &pair.b_address, &peer, &error);
  g_assert_no_error (error);
  g_assert_cmpmem (peer.identity, 20, pair.bob.identity, 20);
  g_assert_cmpmem (peer.node_key, 33, pair.bob.node_key, 33);
  g_assert_false (peer.inbound);
  g_assert_cmpstr (peer.software, ==, "test/1");

  g_autoptr (GBytes) body = g_bytes_new ("hello", 5);
  g_autoptr (GBytes) answer = moosh_peer_call (pair.a, pair.bob.node_key, pair.bob.identity, "echo",
                                               body, 5000, NULL, &error);
  g_assert_no_error (error);
  g_assert_true (g_bytes_equal (answer, body));

  /* The listening side asks over the same session. */
  g_autoptr (GBytes) mine
      = moosh_peer_call (pair.b, pair.alice.node_key, NULL, "who", NULL, 5000, &peer, &error);
  g_assert_no_error (error);
  g_assert_cmpmem (g_bytes_get_data (mine, NULL), 20, pair.bob.identity, 20);
  g_assert_true (peer.inbound);
  pair_stop (&pair);
}

static void
test_errors (void)
{
  Pair pair;
  g_autoptr (GError) error = NULL;
  pair_start (&pair, NULL);
  g_assert_null (
      moosh_peer_call (pair.a, pair.bob.node_key, NULL, "echo", NULL, 5000, NULL, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_UNAVAILABLE); /* no address known */
  g_clear_error (&error);
  moosh_peer_node_add_address (pair.a, &pair.b_address, &error);
  g_assert_no_error (error);
  g_assert_null (
      moosh_peer_call (pair.a, pair.bob.node_key, NULL, "refuse", NULL, 5000, NULL, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_FUNDS);
  g_assert_cmpstr (error->message, ==, "refuse: too little money: 3 ≤ 4");
  g_clear_error (&error);
  g_assert_null (
      moosh_peer_call (pair.a, pair.bob.node_key, NULL, "nothing", NULL, 5000, NULL, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_NOT_FOUND);
  g_clear_error (&error);
  g_assert_null (moosh_peer_call (pair.a, pair.bob.node_key, pair.alice.identity, "echo", NULL,
                                  5000, NULL, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_PROTOCOL);
  pair_stop (&pair);
}

static void
test_sizes (void)
{
  static const guint32 sizes[] = { 0,
                                   1,
                                   65000,
                                   65480,
                                   65500,
                                   65510,
                                   65535,
                                   65536,
                                   65537,
                                   131070,
                                   200000,
                                   524288,
                                   MOOSH_PEER_ANSWER_MAX };
  Pair pair;
  g_autoptr (GError) error = NULL;
  pair_start (&pair, NULL);
  moosh_peer_node_add_address (pair.a, &pair.b_address, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (sizes); i++)
    {
      g_autoptr (GBytes) ask = g_bytes_new (&sizes[i], sizeof sizes[i]);
      g_autoptr (GBytes) got
          = moosh_peer_call (pair.a, pair.bob.node_key, NULL, "big", ask, 20000, NULL, &error);
      g_assert_no_error (error);
      g_autoptr (GBytes) want = big (NULL, NULL, ask, NULL, NULL);
      g_assert_true (g_bytes_equal (got, want));
      if (sizes[i] > MOOSH_PEER_REQUEST_MAX)
        continue;
      g_autoptr (GBytes) back
          = moosh_peer_call (pair.a, pair.bob.node_key, NULL, "echo", want, 20000, NULL, &error);
      g_assert_no_error (error);
      g_assert_true (g_bytes_equal (back, want));
    }
  guint32 over = MOOSH_PEER_ANSWER_MAX + 1;
  g_autoptr (GBytes) ask = g_bytes_new (&over, sizeof over);
  g_assert_null (
      moosh_peer_call (pair.a, pair.bob.node_key, NULL, "big", ask, 20000, NULL, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_LIMIT);
  g_clear_error (&error);
  g_autoptr (GBytes) long_request
      = g_bytes_new_take (g_malloc0 (MOOSH_PEER_REQUEST_MAX + 1), MOOSH_PEER_REQUEST_MAX + 1);
  g_assert_null (
      moosh_peer_call (pair.a, pair.bob.node_key, NULL, "echo", long_request, 20000, NULL, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_LIMIT);
  pair_stop (&pair);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/peer/call", test_call);
  g_test_add_func ("/peer/errors", test_errors);
  g_test_add_func ("/peer/sizes", test_sizes);
  return g_test_run ();
}
