/* src/peer against peers that mean harm: each limit at it and one over, each rule of hello and
 * messages. */
#include "peer_hand_session.h"

/* ---- how many ---- */

/* Accepted: act one is answered. */
static int
half_open_from (World *world, const char *source)
{
  MooshNoise noise;
  guint8 act[MOOSH_NOISE_ACT_MAX];
  int fd = connect_from (world, source);
  hand_start (&noise, &world->attacker, world->victim.node_key);
  g_assert_cmpint (moosh_noise_write_act (&noise, act), ==, 0);
  send_raw (fd, act, MOOSH_NOISE_ACT_ONE);
  if (read_raw (fd, act, MOOSH_NOISE_ACT_TWO))
    return fd;
  close (fd);
  return -1;
}

static void
test_half_open (void)
{
  World world;
  int fds[4];
  MooshPeerLimits limits = { .half_open = 4, .half_open_per_source = 2, .handshake_ms = 60000 };
  start (&world, &limits);
  fds[0] = half_open_from (&world, "127.0.0.2");
  fds[1] = half_open_from (&world, "127.0.0.2");
  g_assert_cmpint (fds[1], >=, 0);
  g_assert_cmpint (half_open_from (&world, "127.0.0.2"), ==,
                   -1); /* the source's limit and one more */
  fds[2] = half_open_from (&world, "127.0.0.3");
  fds[3] = half_open_from (&world, "127.0.0.4");
  g_assert_cmpint (fds[3], >=, 0);
  g_assert_cmpint (half_open_from (&world, "127.0.0.5"), ==,
                   -1); /* the limit of all and one more */
  shutdown (fds[0], SHUT_WR);
  expect_end (fds[0]); /* one leaves, so there is room for one */
  fds[0] = half_open_from (&world, "127.0.0.5");
  g_assert_cmpint (fds[0], >=, 0);
  for (guint i = 0; i < G_N_ELEMENTS (fds); i++)
    {
      shutdown (fds[i], SHUT_WR);
      expect_end (fds[i]);
    }
  assert_serves (&world);
  stop (&world);
}

static void
test_half_open_until_hello (void)
{
  World world;
  MooshStream stream, other;
  MooshPeerHead head;
  MooshPeerLimits limits = { .half_open = 1, .handshake_ms = 60000 };
  start (&world, &limits);
  hand_stream (&world, &stream, &world.attacker, "127.0.0.1");
  g_assert_cmpint (half_open_from (&world, "127.0.0.2"), ==, -1); /* without a hello it counts */
  send_hello (&stream, &world.attacker);
  expect_kind (&stream, MOOSH_PEER_HELLO, &head);
  send_message (&stream, MOOSH_PEER_REQUEST, 1, "echo", NULL);
  expect_kind (&stream, MOOSH_PEER_ANSWER, &head); /* the reader runs: it does not count any more */
  session_from (&world, &other, &world.attacker, "127.0.0.2");
  moosh_stream_clear (&stream);
  moosh_stream_clear (&other);
  stop (&world);
}

static void
test_sessions (void)
{
  World world;
  MooshStream streams[3], over;
  Party parties[4];
  MooshPeerLimits limits = { .sessions = 3, .sessions_per_source = 2 };
  start (&world, &limits);
  for (guint8 i = 0; i < 4; i++)
    party_init (&parties[i], (guint8)(20 + i));
  session_from (&world, &streams[0], &parties[0], "127.0.0.2");
  session_from (&world, &streams[1], &parties[1], "127.0.0.2");
  hand_stream (&world, &over, &parties[2], "127.0.0.2"); /* the source's limit and one more */
  send_hello (&over, &parties[2]);
  expect_bye (&over, MOOSH_ERROR_LIMIT);
  session_from (&world, &streams[2], &parties[2], "127.0.0.3");
  hand_stream (&world, &over, &parties[3], "127.0.0.4"); /* the limit of all and one more */
  send_hello (&over, &parties[3]);
  expect_bye (&over, MOOSH_ERROR_LIMIT);
  for (int i = 0; i < 3; i++)
    moosh_stream_clear (&streams[i]);
  stop (&world);
}

static void
test_sessions_per_peer (void)
{
  World world;
  MooshStream streams[3];
  MooshPeerHead head;
  g_autoptr (GBytes) body = NULL;
  g_autoptr (GError) error = NULL;
  MooshPeerLimits limits = { .sessions_per_peer = 2 };
  start (&world, &limits);
  for (int i = 0; i < 3; i++)
    session_open (&world, &streams[i]);
  g_assert_false (receive (&streams[0], &head, &body, &error)); /* the oldest made room */
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_UNAVAILABLE);
  for (int i = 1; i < 3; i++)
    {
      send_message (&streams[i], MOOSH_PEER_REQUEST, 1, "echo", NULL);
      expect_kind (&streams[i], MOOSH_PEER_ANSWER, &head);
    }
  for (int i = 0; i < 3; i++)
    moosh_stream_clear (&streams[i]);
  stop (&world);
}

static void
test_requests_running (void)
{
  World world;
  MooshStream stream;
  MooshPeerHead head;
  MooshPeerLimits limits = { .requests_running = 2 };
  start (&world, &limits);
  session_open (&world, &stream);
  for (guint64 id = 1; id <= 3; id++)
    send_message (&stream, MOOSH_PEER_REQUEST, id, "wait", NULL);
  expect_kind (&stream, MOOSH_PEER_ERROR, &head); /* only the third */
  g_assert_cmpuint (head.id, ==, 3);
  g_assert_cmpstr (head.error_name, ==, "limit");
  open_gate (&world);
  expect_kind (&stream, MOOSH_PEER_ANSWER, &head);
  expect_kind (&stream, MOOSH_PEER_ANSWER, &head);
  send_message (&stream, MOOSH_PEER_REQUEST, 4, "wait", NULL); /* and there is room again */
  expect_kind (&stream, MOOSH_PEER_ANSWER, &head);
  moosh_stream_clear (&stream);
  stop (&world);
}

static void
test_rate (void)
{
  World world;
  MooshStream stream;
  MooshPeerHead head;
  MooshPeerLimits limits = { .request_burst = 3, .request_per_minute = 1, .requests_running = 100 };
  start (&world, &limits);
  session_open (&world, &stream);
  for (guint64 id = 1; id <= 6; id++)
    {
      send_message (&stream, MOOSH_PEER_REQUEST, id, "echo", NULL);
      expect_kind (&stream, id <= 3 ? MOOSH_PEER_ANSWER : MOOSH_PEER_ERROR, &head);
      g_assert_cmpuint (head.id, ==, id);
    }
  g_assert_cmpstr (head.error_name, ==, "limit");
  send_message (&stream, MOOSH_PEER_REQUEST, 7, "echo",
                NULL); /* who does not listen is shown the door */
  expect_bye (&stream, MOOSH_ERROR_LIMIT);
  assert_serves (&world);
  stop (&world);
}

/* ---- hello ---- */

static GBytes *
hello_with (guint64 version, const MooshCertificate *certificate)
{
  g_autoptr (GBytes) bytes = moosh_certificate_encode (certificate);
  return moosh_peer_hello_encode (version, bytes, "hostile");
}

static void
refused_hello (World *world, GBytes *hello, MooshPeerKind kind, MooshError code)
{
  MooshStream stream;
  hand_stream (world, &stream, &world->attacker, "127.0.0.1");
  send_message (&stream, kind, 1, "echo", hello);
  expect_bye (&stream, code);
}

static void
test_hello (void)
{
  World world;
  Party other;
  start (&world, NULL);
  party_init (&other, 9);
  MooshCertificate mine = party_certificate (&world.attacker, 1, 4102444800);
  MooshCertificate theirs = party_certificate (&other, 1, 4102444800);
  MooshCertificate expired = party_certificate (&world.attacker, 2, 1700000000);
  MooshCertificate forged = mine;
  memcpy (forged.identity, other.identity, 20);
  g_autoptr (GBytes) good = hello_with (MOOSH_PEER_VERSION, &mine);
  g_autoptr (GBytes) another_key = hello_with (MOOSH_PEER_VERSION, &theirs);
  g_autoptr (GBytes) too_old = hello_with (MOOSH_PEER_VERSION, &expired);
  g_autoptr (GBytes) another_identity = hello_with (MOOSH_PEER_VERSION, &forged);
  g_autoptr (GBytes) version_2 = hello_with (2, &mine);
  g_autoptr (GBytes) garbage = g_bytes_new ("\xff\xff", 2);
  g_autoptr (GBytes) nothing = g_bytes_new (NULL, 0);
  refused_hello (&world, another_key, MOOSH_PEER_HELLO, MOOSH_ERROR_PROTOCOL);
  refused_hello (&world, too_old, MOOSH_PEER_HELLO, MOOSH_ERROR_EXPIRED);
  refused_hello (&world, another_identity, MOOSH_PEER_HELLO, MOOSH_ERROR_PROTOCOL);
  refused_hello (&world, version_2, MOOSH_PEER_HELLO, MOOSH_ERROR_PROTOCOL);
  refused_hello (&world, garbage, MOOSH_PEER_HELLO, MOOSH_ERROR_PROTOCOL);
  refused_hello (&world, nothing, MOOSH_PEER_HELLO, MOOSH_ERROR_PROTOCOL);
  refused_hello (&world, good, MOOSH_PEER_REQUEST, MOOSH_ERROR_PROTOCOL); /* before any hello */
  assert_serves (&world);
  stop (&world);
}

/* The dialled host holds the right key but shows a certificate for another. */
static gpointer
liar (gpointer data)
{
  FalseHost *host = data;
  MooshStream stream;
  MooshPeerHead head;
  guint8 remote[33];
  Party other;
  int fd = accept (host->listen_fd, NULL, NULL);
  MooshNoiseConfig config
      = { .static_key = host->me->node_key, .ecdh = hand_ecdh, .ecdh_data = (void *)host->me };
  party_init (&other, 9);
  g_unix_set_fd_nonblocking (fd, TRUE, NULL);
  moosh_stream_init (&stream, fd, -1);
  g_assert_true (moosh_stream_shake (&stream, &host->me->curve, &config,
                                     moosh_deadline (PATIENCE_MS), remote, NULL));
  expect_kind (&stream, MOOSH_PEER_HELLO, &head);
  send_hello (&stream, &other);
  expect_bye (&stream, MOOSH_ERROR_PROTOCOL);
  return NULL;
}

static void
test_host_lies (void)
{
  World world;
  MooshPeerAddress address = { .host = "127.0.0.1" };
  g_autoptr (GError) error = NULL;
  start (&world, NULL);
  FalseHost host = { .listen_fd = listen_raw (&address.port), .me = &world.attacker };
  memcpy (address.node_key, world.attacker.node_key, 33);
  GThread *thread = g_thread_new ("liar", liar, &host);
  g_assert_false (moosh_peer_connect (world.node, &address, NULL, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_PROTOCOL);
  g_thread_join (thread);
  g_autoptr (GArray) list = moosh_peer_node_list (world.node);
  g_assert_cmpuint (list->len, ==, 0);
  close (host.listen_fd);
  stop (&world);
}

/* ---- messages ---- */

static void
send_frame (MooshStream *stream, const void *bytes, gsize len)
{
  g_autofree guint8 *frame = g_malloc (len + MOOSH_NOISE_OVERHEAD);
  g_assert_cmpint (moosh_noise_seal (&stream->send, bytes, len, frame, len + MOOSH_NOISE_OVERHEAD),
                   ==, 0);
  send_raw (stream->fd, frame, len + MOOSH_NOISE_OVERHEAD);
}

static void
bad_frame (World *world, const void *bytes, gsize len)
{
  MooshStream stream;
  session_open (world, &stream);
  send_frame (&stream, bytes, len);
  expect_bye (&stream, MOOSH_ERROR_PROTOCOL);
}

static void
test_malformed (void)
{
  World world;
  MooshStream stream;
  g_autoptr (GBytes) hello = g_bytes_new ("x", 1);
  static guint8 noise_frame[MOOSH_NOISE_MESSAGE_MAX];
  start (&world, NULL);
  memset (noise_frame, 0xa5, sizeof noise_frame);
  bad_frame (&world, "", 0);
  bad_frame (&world, "\x00", 1);
  bad_frame (&world, "\x00\x00", 2);
  bad_frame (&world, "\xff\xff", 2);
  bad_frame (&world, "\x00\x01\xa1", 3);
  bad_frame (&world, noise_frame, sizeof noise_frame);
  /* a request that announces a byte more than a request may have: 0x40001 */
  bad_frame (&world, "\x00\x0d\xa4\x00\x01\x02\x01\x04\x61m\x06\x1a\x00\x04\x00\x01", 16);

  session_open (&world, &stream); /* an answer, and an error, to what was never asked */
  send_message (&stream, MOOSH_PEER_ANSWER, 1, "", NULL);
  expect_bye (&stream, MOOSH_ERROR_PROTOCOL);
  session_open (&world, &stream);
  send_message (&stream, MOOSH_PEER_ERROR, 0, "", NULL);
  expect_bye (&stream, MOOSH_ERROR_PROTOCOL);
  session_open (&world, &stream); /* hello again */
  send_message (&stream, MOOSH_PEER_HELLO, 0, "", hello);
  expect_bye (&stream, MOOSH_ERROR_PROTOCOL);

  session_open (&world, &stream); /* a forged frame */
  guint8 forged[MOOSH_NOISE_HEADER] = { 0 };
  send_raw (stream.fd, forged, sizeof forged);
  expect_bye (&stream, MOOSH_ERROR_PROTOCOL);

  session_open (&world, &stream); /* a body longer than announced: one byte was */
  send_frame (&stream,
              "\x00\x09\xa4\x00\x01\x02\x01\x04\x61m\x06\x01"
              "ab",
              14);
  expect_bye (&stream, MOOSH_ERROR_PROTOCOL);
  assert_serves (&world);
  stop (&world);
}

static void
test_largest_request (void)
{
  World world;
  MooshStream stream;
  MooshPeerHead head;
  g_autoptr (GBytes) largest
      = g_bytes_new_take (g_malloc0 (MOOSH_PEER_REQUEST_MAX), MOOSH_PEER_REQUEST_MAX);
  g_autoptr (GBytes) over
      = g_bytes_new_take (g_malloc0 (MOOSH_PEER_REQUEST_MAX + 1), MOOSH_PEER_REQUEST_MAX + 1);
  start (&world, NULL);
  session_open (&world, &stream);
  send_message (&stream, MOOSH_PEER_REQUEST, 1, "echo", largest);
  expect_kind (&stream, MOOSH_PEER_ANSWER, &head);
  g_assert_cmpuint (head.body_len, ==, MOOSH_PEER_REQUEST_MAX);
  send_message (&stream, MOOSH_PEER_REQUEST, 2, "echo", over);
  GError *error = NULL;
  GBytes *body = NULL;
  while (receive (&stream, &head, &body,
                  &error)) /* their good-bye may be lost with what they did not read */
    g_clear_pointer (&body, g_bytes_unref);
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_UNAVAILABLE);
  g_error_free (error);
  moosh_stream_clear (&stream);
  assert_serves (&world);
  stop (&world);
}

/* Ends while half-open, silent, and busy connections are there: it ends. */
static void
test_free_with_strangers (void)
{
  World world;
  MooshStream stream;
  MooshPeerLimits limits = { .handshake_ms = 600000 };
  start (&world, &limits);
  int silent = connect_raw (&world);
  int half = half_open_from (&world, "127.0.0.2");
  session_open (&world, &stream);
  send_message (&stream, MOOSH_PEER_REQUEST, 1, "wait", NULL);
  stop (&world);
  expect_end (silent);
  expect_end (half);
  moosh_stream_clear (&stream);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/hostile/many/half-open", test_half_open);
  g_test_add_func ("/hostile/many/half-open-until-hello", test_half_open_until_hello);
  g_test_add_func ("/hostile/many/sessions", test_sessions);
  g_test_add_func ("/hostile/many/sessions-per-peer", test_sessions_per_peer);
  g_test_add_func ("/hostile/many/requests-running", test_requests_running);
  g_test_add_func ("/hostile/many/rate", test_rate);
  g_test_add_func ("/hostile/hello", test_hello);
  g_test_add_func ("/hostile/host-lies", test_host_lies);
  g_test_add_func ("/hostile/malformed", test_malformed);
  g_test_add_func ("/hostile/largest-request", test_largest_request);
  g_test_add_func ("/hostile/free-with-strangers", test_free_with_strangers);
  return g_test_run ();
}
