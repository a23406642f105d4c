/* src/peer against peers that mean harm: each byte and each length of the handshake, and time.
 * Whatever they do ends their connection cleanly, and the node serves the next one. */
#include "peer_hand_session.h"

/* ---- the handshake ---- */

static void
test_acts_every_byte (void)
{
  static const int numbers[] = { 1, 3 };
  World world;
  start (&world, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (numbers); i++)
    {
      gsize len = 1;
      for (gsize at = 0; at < len; at++)
        {
          guint8 act[MOOSH_NOISE_ACT_MAX];
          int fd = until_act (&world, numbers[i], act, &len);
          act[at] ^= (guint8)(1 << at % 8);
          send_raw (fd, act, len);
          expect_end (fd);
        }
    }
  assert_serves (&world);
  stop (&world);
}

static void
test_acts_every_length (void)
{
  static const int numbers[] = { 1, 3 };
  World world;
  start (&world, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (numbers); i++)
    {
      gsize len = 1;
      for (gsize cut = 0; cut < len; cut++)
        {
          guint8 act[MOOSH_NOISE_ACT_MAX];
          int fd = until_act (&world, numbers[i], act, &len);
          send_raw (fd, act, cut);
          shutdown (fd, SHUT_WR);
          expect_end (fd);
        }
    }
  assert_serves (&world);
  stop (&world);
}

/* Answer act one with a spoilt act two, then see whether act three comes. */
static gpointer
false_host (gpointer data)
{
  FalseHost *host = data;
  guint8 act[MOOSH_NOISE_ACT_MAX];
  MooshNoise noise;
  int fd = accept (host->listen_fd, NULL, NULL);
  hand_start (&noise, host->me, NULL);
  g_assert_true (read_raw (fd, act, MOOSH_NOISE_ACT_ONE));
  g_assert_cmpint (moosh_noise_read_act (&noise, act, MOOSH_NOISE_ACT_ONE), ==, 0);
  g_assert_cmpint (moosh_noise_write_act (&noise, act), ==, 0);
  if (host->at < MOOSH_NOISE_ACT_TWO)
    act[host->at] ^= 0x04;
  send_raw (fd, act, host->cut);
  shutdown (fd, SHUT_WR);
  host->got_act3 = read_raw (fd, act, 1);
  close (fd);
  return NULL;
}

static void
test_act_two (void)
{
  World world;
  MooshPeerAddress address = { .host = "127.0.0.1" };
  start (&world, NULL);
  FalseHost host = { .listen_fd = listen_raw (&address.port), .me = &world.attacker };
  memcpy (address.node_key, world.attacker.node_key, 33);
  for (gsize i = 0; i < 2 * MOOSH_NOISE_ACT_TWO; i++)
    {
      g_autoptr (GError) error = NULL;
      gboolean cutting = i >= MOOSH_NOISE_ACT_TWO;
      host.at = cutting ? G_MAXSIZE : i;
      host.cut = cutting ? i - MOOSH_NOISE_ACT_TWO : MOOSH_NOISE_ACT_TWO;
      GThread *thread = g_thread_new ("false-host", false_host, &host);
      g_assert_false (moosh_peer_connect (world.node, &address, NULL, &error));
      int code = cutting ? MOOSH_ERROR_REFUSED : MOOSH_ERROR_PROTOCOL;
      g_assert_error (error, MOOSH_ERROR, code);
      g_thread_join (thread);
      g_assert_false (host.got_act3); /* our key was not shown to them */
    }
  close (host.listen_fd);
  stop (&world);
}

/* ---- time ---- */

/* A byte whenever the last one was taken, without an end: the deadline comes all the same. */
static guint
drip (int fd, const guint8 *bytes, gsize len)
{
  guint8 byte;
  for (gsize sent = 0; sent < len; sent++)
    {
      struct pollfd p = { .fd = fd, .events = POLLIN };
      send_raw (fd, bytes + sent, 1);
      if (poll (&p, 1, 20) == 1)
        {
          g_assert_cmpint (recv (fd, &byte, 1, 0), <=, 0);
          close (fd);
          return (guint)sent + 1;
        }
    }
  g_assert_not_reached ();
}

static void
test_slow_loris (void)
{
  World world;
  MooshStream stream;
  guint8 act[MOOSH_NOISE_ACT_MAX];
  gsize len;
  MooshPeerLimits limits = { .handshake_ms = 200, .message_ms = 200 };
  start (&world, &limits);
  gint64 began = g_get_monotonic_time ();
  expect_end (connect_raw (&world)); /* says nothing at all */
  g_assert_cmpint (g_get_monotonic_time () - began, >=, 190 * 1000);

  int fd = until_act (&world, 1, act, &len);
  g_assert_cmpuint (drip (fd, act, len), <, len);

  fd = until_act (&world, 3, act, &len);
  g_assert_cmpuint (drip (fd, act, len), <, len);

  fd = until_act (&world, 3, act, &len); /* the handshake, but no hello */
  send_raw (fd, act, len);
  expect_end (fd);

  session_open (&world, &stream); /* after the hello: the first byte of a message, and no more */
  send_raw (stream.fd, "x", 1);
  expect_bye (&stream, MOOSH_ERROR_TIMEOUT);

  session_open (&world, &stream); /* a head that promises a body which does not come */
  MooshPeerHead head = { .kind = MOOSH_PEER_REQUEST, .id = 1, .method = "echo", .body_len = 10 };
  guint8 room[2 + MOOSH_PEER_HEAD_MAX], frame[2 + MOOSH_PEER_HEAD_MAX + MOOSH_NOISE_OVERHEAD];
  gsize head_len = moosh_peer_head_encode (&head, room);
  g_assert_cmpint (moosh_noise_seal (&stream.send, room, head_len, frame, sizeof frame), ==, 0);
  send_raw (stream.fd, frame, head_len + MOOSH_NOISE_OVERHEAD);
  expect_bye (&stream, MOOSH_ERROR_TIMEOUT);
  assert_serves (&world);
  stop (&world);
}

static void
test_idle (void)
{
  World world;
  MooshStream stream;
  MooshPeerHead head;
  MooshPeerLimits limits = { .idle_ms = 100 };
  start (&world, &limits);
  session_open (&world, &stream);
  expect_bye (&stream, MOOSH_ERROR_UNAVAILABLE);

  session_open (&world, &stream); /* with work under way it is not idle */
  g_unix_set_fd_nonblocking (stream.fd, TRUE, NULL);
  send_message (&stream, MOOSH_PEER_REQUEST, 1, "wait", NULL);
  struct pollfd p = { .fd = stream.fd, .events = POLLIN };
  g_assert_cmpint (poll (&p, 1, 350), ==, 0); /* three idle times long, nothing comes */
  open_gate (&world);
  expect_kind (&stream, MOOSH_PEER_ANSWER, &head);
  expect_bye (&stream, MOOSH_ERROR_UNAVAILABLE);
  stop (&world);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/hostile/acts/every-byte", test_acts_every_byte);
  g_test_add_func ("/hostile/acts/every-length", test_acts_every_length);
  g_test_add_func ("/hostile/acts/act-two", test_act_two);
  g_test_add_func ("/hostile/time/slow-loris", test_slow_loris);
  g_test_add_func ("/hostile/time/idle", test_idle);
  return g_test_run ();
}
