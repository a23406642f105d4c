/* src/peer: two real nodes over loopback. */
#include "base/json.h"
#include "base/rpc.h"
#include "peer_fixture.h"
#include <glib/gstdio.h>

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

/* ---- time and threads ---- */

/* A door handlers wait at. */
typedef struct {
  GMutex lock;
  GCond moved;
  gboolean open;
  guint inside;   /* handlers that came to it */
  guint up, down; /* notifications */
} Door;

static void
door_init (Door *door)
{
  *door = (Door){ .open = FALSE };
  g_mutex_init (&door->lock);
  g_cond_init (&door->moved);
}

static void
door_clear (Door *door)
{
  g_mutex_clear (&door->lock);
  g_cond_clear (&door->moved);
}

static GBytes *
wait_door (const MooshPeerId *peer G_GNUC_UNUSED, const char *method G_GNUC_UNUSED, GBytes *body,
           gpointer user_data, GError **error G_GNUC_UNUSED)
{
  Door *door = user_data;
  g_mutex_lock (&door->lock);
  door->inside++;
  g_cond_broadcast (&door->moved);
  while (!door->open)
    g_cond_wait (&door->moved, &door->lock);
  g_mutex_unlock (&door->lock);
  return g_bytes_ref (body);
}

static void
door_open (Door *door)
{
  g_mutex_lock (&door->lock);
  door->open = TRUE;
  g_cond_broadcast (&door->moved);
  g_mutex_unlock (&door->lock);
}

/* Wait until *counter is at least `n`. */
static void
door_await (Door *door, guint *counter, guint n)
{
  gint64 deadline = g_get_monotonic_time () + 10 * G_USEC_PER_SEC;
  g_mutex_lock (&door->lock);
  while (*counter < n)
    g_assert_true (g_cond_wait_until (&door->moved, &door->lock, deadline));
  g_mutex_unlock (&door->lock);
}

static void
count_notify (const MooshPeerId *peer G_GNUC_UNUSED, gboolean up, gpointer user_data)
{
  Door *door = user_data;
  g_mutex_lock (&door->lock);
  door->up += up ? 1 : 0;
  door->down += up ? 0 : 1;
  g_cond_broadcast (&door->moved);
  g_mutex_unlock (&door->lock);
}

/* Like pair_start, with a door on the method "wait" of b, and notifications of both counted in it.
 */
static void
pair_start_with_door (Pair *pair, Door *door)
{
  g_autoptr (GError) error = NULL;
  door_init (door);
  party_init (&pair->alice, 1);
  party_init (&pair->bob, 2);
  MooshPeerConfig config = party_config (&pair->alice, FALSE);
  config.notify = count_notify;
  config.user_data = door;
  pair->a = party_node (&pair->alice, &config);
  config = party_config (&pair->bob, TRUE);
  pair->b = party_node (&pair->bob, &config);
  moosh_peer_node_handle (pair->b, "wait", wait_door, door);
  moosh_peer_node_handle (pair->b, "echo", echo, NULL);
  moosh_peer_node_start (pair->b, &error);
  g_assert_no_error (error);
  pair->b_address = party_address (&pair->bob, pair->b);
  moosh_peer_node_add_address (pair->a, &pair->b_address, NULL);
}

static void
assert_echo (Pair *pair)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) body = g_bytes_new ("hello", 5);
  g_autoptr (GBytes) answer
      = moosh_peer_call (pair->a, pair->bob.node_key, NULL, "echo", body, 10000, NULL, &error);
  g_assert_no_error (error);
  g_assert_true (g_bytes_equal (answer, body));
}

static void
test_timeout (void)
{
  Pair pair;
  Door door;
  g_autoptr (GError) error = NULL;
  pair_start_with_door (&pair, &door);
  g_assert_null (moosh_peer_call (pair.a, pair.bob.node_key, NULL, "wait", NULL, 50, NULL, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_TIMEOUT);
  door_open (&door); /* the late answer is thrown away, the session goes on */
  assert_echo (&pair);
  g_assert_cmpuint (door.up, ==, 1);
  pair_stop (&pair);
  door_clear (&door);
}

typedef struct {
  Pair *pair;
  MooshPeerNode *from;
  const guint8 *to;
  const char *method;
  GBytes *answer;
  GError *error;
  guint seed, bad;
} Caller;

static gpointer
call_once (gpointer data)
{
  Caller *caller = data;
  caller->answer = moosh_peer_call (caller->from, caller->to, NULL, caller->method, NULL, 20000,
                                    NULL, &caller->error);
  g_clear_pointer (&caller->answer, g_bytes_unref);
  return NULL;
}

static void
test_lost_while_waiting (void)
{
  Pair pair;
  Door door;
  pair_start_with_door (&pair, &door);
  Caller caller = { .pair = &pair, .from = pair.a, .to = pair.bob.node_key, .method = "wait" };
  GThread *thread = g_thread_new ("caller", call_once, &caller);
  door_await (&door, &door.inside, 1);
  moosh_peer_node_drop (pair.b, pair.alice.node_key);
  g_thread_join (thread);
  g_assert_error (caller.error, MOOSH_ERROR, MOOSH_ERROR_UNAVAILABLE);
  g_clear_error (&caller.error);
  door_await (&door, &door.down, 1);
  door_open (&door);
  assert_echo (&pair); /* and a new session by itself */
  door_await (&door, &door.up, 2);

  /* Our own end: the call is cancelled. */
  door.open = FALSE;
  thread = g_thread_new ("caller", call_once, &caller);
  door_await (&door, &door.inside, 2);
  g_clear_pointer (&pair.a, moosh_peer_node_free);
  g_thread_join (thread);
  g_assert_error (caller.error, MOOSH_ERROR, MOOSH_ERROR_CANCELLED);
  g_clear_error (&caller.error);
  door_open (&door);
  pair_stop (&pair);
  door_clear (&door);
}

static gpointer
free_node (gpointer node)
{
  moosh_peer_node_free (node);
  return NULL;
}

/* The other node stops in good order: to us it is just away. */
static void
test_other_stops (void)
{
  Pair pair;
  Door door;
  pair_start_with_door (&pair, &door);
  Caller caller = { .pair = &pair, .from = pair.a, .to = pair.bob.node_key, .method = "wait" };
  GThread *thread = g_thread_new ("caller", call_once, &caller);
  door_await (&door, &door.inside, 1);
  GThread *stopper = g_thread_new ("stopper", free_node, pair.b);
  g_thread_join (thread);
  g_assert_error (caller.error, MOOSH_ERROR, MOOSH_ERROR_UNAVAILABLE);
  g_clear_error (&caller.error);
  door_open (&door); /* the handler returns, and only then the node is gone */
  g_thread_join (stopper);
  pair.b = NULL;
  g_assert_false (moosh_peer_connect (pair.a, &pair.b_address, NULL, &caller.error));
  g_assert_error (caller.error, MOOSH_ERROR, MOOSH_ERROR_UNAVAILABLE);
  g_clear_error (&caller.error);
  pair_stop (&pair);
  door_clear (&door);
}

/* A handler of b asks a over the very session it answers. */
static GBytes *
ask_back (const MooshPeerId *peer, const char *method G_GNUC_UNUSED, GBytes *body,
          gpointer user_data, GError **error)
{
  return moosh_peer_call (*(MooshPeerNode **)user_data, peer->node_key, peer->identity, "echo",
                          body, 5000, NULL, error);
}

static void
test_nested (void)
{
  Pair pair;
  g_autoptr (GError) error = NULL;
  party_init (&pair.alice, 1);
  party_init (&pair.bob, 2);
  MooshPeerConfig config = party_config (&pair.alice, FALSE);
  pair.a = party_node (&pair.alice, &config);
  config = party_config (&pair.bob, TRUE);
  pair.b = party_node (&pair.bob, &config);
  moosh_peer_node_handle (pair.a, "echo", echo, NULL);
  moosh_peer_node_handle (pair.b, "back", ask_back, &pair.b);
  moosh_peer_node_start (pair.b, &error);
  pair.b_address = party_address (&pair.bob, pair.b);
  moosh_peer_node_add_address (pair.a, &pair.b_address, NULL);
  g_autoptr (GBytes) body = g_bytes_new ("there and back", 14);
  g_autoptr (GBytes) answer
      = moosh_peer_call (pair.a, pair.bob.node_key, NULL, "back", body, 5000, NULL, &error);
  g_assert_no_error (error);
  g_assert_true (g_bytes_equal (answer, body));
  pair_stop (&pair);
}

static gpointer
call_many (gpointer data)
{
  Caller *caller = data;
  GRand *rand = g_rand_new_with_seed (caller->seed);
  for (int i = 0; i < 40; i++)
    {
      gsize len = (gsize)g_rand_int_range (rand, 0, i % 8 == 0 ? MOOSH_PEER_REQUEST_MAX : 2000);
      guint8 *bytes = g_malloc (len + 1);
      memset (bytes, (int)(caller->seed + (guint)i), len);
      g_autoptr (GBytes) body = g_bytes_new_take (bytes, len);
      g_autoptr (GError) error = NULL;
      g_autoptr (GBytes) answer
          = moosh_peer_call (caller->from, caller->to, NULL, "echo", body, 30000, NULL, &error);
      if (answer == NULL || !g_bytes_equal (answer, body))
        {
          g_test_message ("%s", error != NULL ? error->message : "another's answer");
          caller->bad++;
        }
    }
  g_rand_free (rand);
  return NULL;
}

/* Both sides ask, four threads each: every answer finds its question. */
static void
test_concurrent (void)
{
  Pair pair;
  GThread *threads[8];
  Caller callers[8];
  g_autoptr (GError) error = NULL;
  MooshPeerLimits limits = { .request_burst = 1000 };
  party_init (&pair.alice, 1);
  party_init (&pair.bob, 2);
  MooshPeerConfig config = party_config (&pair.alice, FALSE);
  config.limits = limits;
  pair.a = party_node (&pair.alice, &config);
  config = party_config (&pair.bob, TRUE);
  config.limits = limits;
  pair.b = party_node (&pair.bob, &config);
  moosh_peer_node_handle (pair.a, "echo", echo, NULL);
  moosh_peer_node_handle (pair.b, "echo", echo, NULL);
  moosh_peer_node_start (pair.b, &error);
  pair.b_address = party_address (&pair.bob, pair.b);
  moosh_peer_node_add_address (pair.a, &pair.b_address, &error);
  assert_echo (&pair); /* b answered, so it has the session in its list and may ask over it */
  for (guint i = 0; i < 8; i++)
    {
      callers[i] = (Caller){ .from = i % 2 ? pair.a : pair.b,
                             .to = i % 2 ? pair.bob.node_key : pair.alice.node_key,
                             .seed = i + 1 };
      threads[i] = g_thread_new ("caller", call_many, &callers[i]);
    }
  for (guint i = 0; i < 8; i++)
    {
      g_thread_join (threads[i]);
      g_assert_cmpuint (callers[i].bad, ==, 0);
    }
  g_autoptr (GArray) list = moosh_peer_node_list (pair.a);
  g_assert_cmpuint (list->len, ==, 1);
  pair_stop (&pair);
}

/* Many callers, no session yet: one dials, all are served by what it got. */
static void
test_one_dials (void)
{
  Pair pair;
  Door door;
  GThread *threads[4];
  Caller callers[4];
  pair_start_with_door (&pair, &door);
  for (guint i = 0; i < 4; i++)
    {
      callers[i] = (Caller){ .from = pair.a, .to = pair.bob.node_key, .method = "wait" };
      threads[i] = g_thread_new ("caller", call_once, &callers[i]);
    }
  door_await (&door, &door.inside, 4);
  door_open (&door);
  for (guint i = 0; i < 4; i++)
    {
      g_thread_join (threads[i]);
      g_assert_no_error (callers[i].error);
    }
  g_assert_cmpuint (door.up, ==, 1);
  pair_stop (&pair);
  door_clear (&door);
}

/* ---- who is there ---- */

static void
test_wrong_key (void)
{
  Pair pair;
  g_autoptr (GError) error = NULL;
  pair_start (&pair, NULL);
  MooshPeerAddress wrong = pair.b_address;
  memcpy (wrong.node_key, pair.alice.node_key, 33);
  g_assert_false (moosh_peer_connect (pair.a, &wrong, NULL, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_REFUSED);
  g_assert_nonnull (strstr (error->message, "another node key"));
  pair_stop (&pair);
}

static void
test_expired (void)
{
  Pair pair;
  g_autoptr (GError) error = NULL;
  pair_start (&pair, NULL);
  MooshCertificate expired = party_certificate (&pair.alice, 1, 1700000000);
  MooshCertificate renewed = party_certificate (&pair.alice, 2, 4102444800);
  MooshCertificate foreign = party_certificate (&pair.bob, 2, 4102444800);
  g_autoptr (GBytes) old = moosh_certificate_encode (&expired);
  g_autoptr (GBytes) new = moosh_certificate_encode (&renewed);
  g_autoptr (GBytes) other = moosh_certificate_encode (&foreign);
  g_assert_false (moosh_peer_node_set_certificate (pair.a, other, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE);
  g_clear_error (&error);
  g_assert_true (moosh_peer_node_set_certificate (pair.a, old, &error));
  g_assert_false (moosh_peer_connect (pair.a, &pair.b_address, NULL, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_EXPIRED); /* they say so */
  g_clear_error (&error);
  g_assert_true (moosh_peer_node_set_certificate (pair.a, new, &error));
  g_assert_true (moosh_peer_connect (pair.a, &pair.b_address, NULL, &error));
  g_assert_no_error (error);

  g_assert_true (moosh_peer_node_set_certificate (pair.b, other, &error)); /* its own, renewed */
  g_autoptr (GBytes) answer
      = moosh_peer_call (pair.a, pair.bob.node_key, NULL, "echo", NULL, 5000, NULL, &error);
  g_assert_no_error (error); /* b answered, so it has the session in its list */
  g_assert_nonnull (answer);
  g_autoptr (GArray) list = moosh_peer_node_list (pair.b);
  g_assert_cmpuint (list->len, ==, 1);
  g_assert_cmpuint (g_array_index (list, MooshPeerId, 0).certificate_seq, ==, 2);
  pair_stop (&pair);
}

static gboolean
admit_none (const MooshCertificate *certificate, GBytes *encoded, gpointer user_data,
            GError **error)
{
  g_autoptr (GBytes) again = moosh_certificate_encode (certificate);
  g_assert_true (g_bytes_equal (again, encoded));
  g_atomic_int_inc ((gint *)user_data);
  g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_DENIED, "not today");
  return FALSE;
}

static void
test_admit (void)
{
  Pair pair;
  gint asked = 0;
  g_autoptr (GError) error = NULL;
  pair_start (&pair, NULL);
  moosh_peer_node_free (pair.a);
  MooshPeerConfig config = party_config (&pair.alice, TRUE);
  config.admit = admit_none;
  config.user_data = &asked;
  pair.a = party_node (&pair.alice, &config);
  g_assert_true (moosh_peer_node_start (pair.a, &error));
  MooshPeerAddress a_address = party_address (&pair.alice, pair.a);
  g_assert_false (
      moosh_peer_connect (pair.b, &a_address, NULL, &error)); /* as the one who listens */
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_DENIED);
  g_assert_cmpstr (strstr (error->message, "not today"), ==, "not today");
  g_clear_error (&error);
  g_assert_false (
      moosh_peer_connect (pair.a, &pair.b_address, NULL, &error)); /* as the one who dials */
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_DENIED);
  g_assert_cmpint (g_atomic_int_get (&asked), ==, 2);
  pair_stop (&pair);
}

static gboolean
no_key (const guint8 public_key[33] G_GNUC_UNUSED, guint8 ret_secret[32] G_GNUC_UNUSED,
        gpointer user_data G_GNUC_UNUSED, GError **error)
{
  g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_DENIED, "keyd is locked");
  return FALSE;
}

static void
test_node_refusals (void)
{
  Party alice, bob;
  g_autoptr (GError) error = NULL;
  party_init (&alice, 1);
  party_init (&bob, 2);
  g_autoptr (GBytes) theirs = party_certificate_bytes (&bob);
  g_autoptr (GBytes) mine = party_certificate_bytes (&alice);
  g_autoptr (GBytes) garbage = g_bytes_new ("x", 1);
  MooshPeerConfig config = party_config (&alice, TRUE);
  config.certificate = theirs;
  g_assert_null (moosh_peer_node_new (&config, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE);
  g_clear_error (&error);
  config.certificate = garbage;
  g_assert_null (moosh_peer_node_new (&config, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE);
  g_clear_error (&error);
  config.certificate = mine;
  config.software = "line\nbreak";
  g_assert_null (moosh_peer_node_new (&config, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE);
  g_clear_error (&error);

  config.software = "x";
  g_autoptr (MooshPeerNode) first = moosh_peer_node_new (&config, &error);
  g_assert_true (moosh_peer_node_start (first, &error));
  config.listen_port = moosh_peer_node_port (first);
  g_autoptr (MooshPeerNode) second = moosh_peer_node_new (&config, &error);
  g_assert_false (moosh_peer_node_start (second, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_CONFLICT);
  g_clear_error (&error);
  config.listen_host = "192.0.2.1"; /* TEST-NET-1: nobody's */
  g_autoptr (MooshPeerNode) third = moosh_peer_node_new (&config, &error);
  g_assert_false (moosh_peer_node_start (third, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE);
  g_clear_error (&error);

  /* Our own key does not work: that is what the error says, not that the peer misbehaves. */
  config.listen_host = NULL;
  config.ecdh = no_key;
  g_autoptr (MooshPeerNode) locked = moosh_peer_node_new (&config, &error);
  MooshPeerAddress address = party_address (&alice, first);
  g_assert_false (moosh_peer_connect (locked, &address, NULL, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_DENIED);
  g_assert_nonnull (strstr (error->message, "keyd is locked"));
}

static void
test_addresses (void)
{
  Pair pair;
  g_autoptr (GError) error = NULL;
  pair_start (&pair, NULL);
  MooshPeerAddress nowhere = pair.b_address;
  g_strlcpy (nowhere.host, "no-such-host.invalid", sizeof nowhere.host);
  moosh_peer_node_add_address (pair.a, &nowhere, &error);
  g_assert_null (
      moosh_peer_call (pair.a, pair.bob.node_key, NULL, "echo", NULL, 10000, NULL, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_UNAVAILABLE);
  g_clear_error (&error);
  moosh_peer_node_add_address (pair.a, &pair.b_address, &error); /* the last one wins */
  g_autoptr (GBytes) answer
      = moosh_peer_call (pair.a, pair.bob.node_key, NULL, "echo", NULL, 10000, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (g_bytes_get_size (answer), ==, 0);
  moosh_peer_node_remove_address (pair.a, pair.bob.node_key);
  g_assert_null (
      moosh_peer_call (pair.a, pair.alice.node_key, NULL, "Bad Name", NULL, 1000, NULL, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE);
  g_clear_error (&error);
  for (guint i = 0; i < MOOSH_PEER_ADDRESSES_MAX; i++)
    {
      memcpy (nowhere.node_key, &i, sizeof i);
      g_assert_true (moosh_peer_node_add_address (pair.a, &nowhere, NULL));
    }
  g_assert_true (moosh_peer_node_add_address (pair.a, &nowhere, NULL)); /* known: no new one */
  g_assert_false (moosh_peer_node_add_address (pair.a, &pair.b_address, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_LIMIT);
  pair_stop (&pair);
}

/* ---- keyd ---- */

typedef struct {
  Party *party;
  char *path;
  GMainLoop *loop;
  GMutex lock;
  GCond up;
  gboolean ready;
} Keyd;

static JsonObject *
node_ecdh (const MooshRpcPeer *peer G_GNUC_UNUSED, JsonObject *params, gpointer user_data,
           GError **error)
{
  Keyd *keyd = user_data;
  guint8 secret[32];
  g_autoptr (GBytes) key = moosh_json_hex (params, "pubkey", 33, error);
  if (key == NULL || !party_ecdh (g_bytes_get_data (key, NULL), secret, keyd->party, error))
    return NULL;
  g_autoptr (GBytes) bytes = g_bytes_new (secret, 32);
  return moosh_json_build ("secret", 'x', bytes, NULL);
}

static gpointer
run_keyd (gpointer data)
{
  Keyd *keyd = data;
  const MooshRpcMethod methods[] = { { "node_ecdh", node_ecdh, NULL }, { NULL, NULL, NULL } };
  g_autoptr (GMainContext) context = g_main_context_new ();
  g_autoptr (GError) error = NULL;
  g_main_context_push_thread_default (context);
  keyd->loop = g_main_loop_new (context, FALSE);
  g_autoptr (MooshRpcServer) server
      = moosh_rpc_server_new (keyd->path, 0600, methods, keyd, &error);
  g_assert_no_error (error);
  g_mutex_lock (&keyd->lock);
  keyd->ready = TRUE;
  g_cond_signal (&keyd->up);
  g_mutex_unlock (&keyd->lock);
  g_main_loop_run (keyd->loop);
  g_clear_pointer (&server, moosh_rpc_server_free);
  g_main_context_pop_thread_default (context);
  g_main_loop_unref (keyd->loop);
  return NULL;
}

static void
test_keyd (void)
{
  Pair pair;
  g_autoptr (GError) error = NULL;
  g_autofree char *dir = g_dir_make_tmp ("moosh-peer-XXXXXX", NULL);
  g_autofree char *path = g_build_filename (dir, "keyd.sock", NULL);
  pair_start (&pair, NULL);
  moosh_peer_node_free (pair.a);
  g_autoptr (MooshRpcClient) client = moosh_rpc_client_new (path);
  MooshPeerConfig config = party_config (&pair.alice, FALSE);
  config.ecdh = moosh_peer_keyd_ecdh;
  config.ecdh_data = client;
  pair.a = party_node (&pair.alice, &config);
  g_assert_false (moosh_peer_connect (pair.a, &pair.b_address, NULL, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_UNAVAILABLE); /* keyd is not up */
  g_assert_nonnull (strstr (error->message, "node key"));
  g_clear_error (&error);

  Keyd keyd = { .party = &pair.alice, .path = path };
  g_mutex_init (&keyd.lock);
  g_cond_init (&keyd.up);
  GThread *thread = g_thread_new ("keyd", run_keyd, &keyd);
  g_mutex_lock (&keyd.lock);
  while (!keyd.ready)
    g_cond_wait (&keyd.up, &keyd.lock);
  g_mutex_unlock (&keyd.lock);
  moosh_peer_connect (pair.a, &pair.b_address, NULL, &error);
  g_assert_no_error (error);
  g_main_loop_quit (keyd.loop);
  g_thread_join (thread);
  pair_stop (&pair);
  g_unlink (path);
  g_rmdir (dir);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/peer/call", test_call);
  g_test_add_func ("/peer/errors", test_errors);
  g_test_add_func ("/peer/sizes", test_sizes);
  g_test_add_func ("/peer/timeout", test_timeout);
  g_test_add_func ("/peer/lost-while-waiting", test_lost_while_waiting);
  g_test_add_func ("/peer/other-stops", test_other_stops);
  g_test_add_func ("/peer/nested", test_nested);
  g_test_add_func ("/peer/concurrent", test_concurrent);
  g_test_add_func ("/peer/one-dials", test_one_dials);
  g_test_add_func ("/peer/wrong-key", test_wrong_key);
  g_test_add_func ("/peer/expired", test_expired);
  g_test_add_func ("/peer/admit", test_admit);
  g_test_add_func ("/peer/node-refusals", test_node_refusals);
  g_test_add_func ("/peer/addresses", test_addresses);
  g_test_add_func ("/peer/keyd", test_keyd);
  return g_test_run ();
}
