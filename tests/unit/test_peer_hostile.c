/* src/peer against peers that mean harm: each byte of the handshake, each length, each limit, each
 * rule of the protocol. Whatever they do ends their connection cleanly, and the node serves the
 * next one. */
#include "peer/node.h"
#include "peer_fixture.h"
#include <arpa/inet.h>
#include <glib-unix.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#define PATIENCE_MS 10000 /* for what must happen; a test that passes never waits that long */

typedef struct {
  Party victim, attacker;
  MooshPeerNode *node;
  GMutex lock; /* of `gate` */
  GCond moved;
  gboolean gate; /* open: handlers of "wait" return */
} World;

static GBytes *
echo (const MooshPeerId *peer G_GNUC_UNUSED, const char *method G_GNUC_UNUSED, GBytes *body,
      gpointer user_data G_GNUC_UNUSED, GError **error G_GNUC_UNUSED)
{
  return g_bytes_ref (body);
}

static GBytes *
wait_gate (const MooshPeerId *peer G_GNUC_UNUSED, const char *method G_GNUC_UNUSED, GBytes *body,
           gpointer user_data, GError **error G_GNUC_UNUSED)
{
  World *world = user_data;
  g_mutex_lock (&world->lock);
  while (!world->gate)
    g_cond_wait (&world->moved, &world->lock);
  g_mutex_unlock (&world->lock);
  return g_bytes_ref (body);
}

static void
open_gate (World *world)
{
  g_mutex_lock (&world->lock);
  world->gate = TRUE;
  g_cond_broadcast (&world->moved);
  g_mutex_unlock (&world->lock);
}

static void
start (World *world, const MooshPeerLimits *limits)
{
  g_autoptr (GError) error = NULL;
  *world = (World){ .gate = FALSE };
  g_mutex_init (&world->lock);
  g_cond_init (&world->moved);
  party_init (&world->victim, 1);
  party_init (&world->attacker, 2);
  MooshPeerConfig config = party_config (&world->victim, TRUE);
  if (limits != NULL)
    config.limits = *limits;
  world->node = party_node (&world->victim, &config);
  moosh_peer_node_handle (world->node, "echo", echo, NULL);
  moosh_peer_node_handle (world->node, "wait", wait_gate, world);
  moosh_peer_node_start (world->node, &error);
  g_assert_no_error (error);
}

static void
stop (World *world)
{
  open_gate (world);
  moosh_peer_node_free (world->node);
  g_mutex_clear (&world->lock);
  g_cond_clear (&world->moved);
}

/* ---- raw sockets ---- */

static int
connect_from (World *world, const char *source)
{
  struct sockaddr_in from = { .sin_family = AF_INET }, to = { .sin_family = AF_INET };
  int fd = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  g_assert_cmpint (fd, >=, 0);
  inet_pton (AF_INET, source, &from.sin_addr);
  inet_pton (AF_INET, "127.0.0.1", &to.sin_addr);
  to.sin_port = htons (moosh_peer_node_port (world->node));
  g_assert_cmpint (bind (fd, (struct sockaddr *)&from, sizeof from), ==, 0);
  g_assert_cmpint (connect (fd, (struct sockaddr *)&to, sizeof to), ==, 0);
  return fd;
}

static int
connect_raw (World *world)
{
  return connect_from (world, "127.0.0.1");
}

static void
send_raw (int fd, const void *bytes, gsize len)
{
  if (len > 0) /* the other side may have hung up already: that is its right */
    (void)!send (fd, bytes, len, MSG_NOSIGNAL);
}

/* Read exactly `len`; FALSE when the connection ends before. */
static gboolean
read_raw (int fd, guint8 *out, gsize len)
{
  while (len > 0)
    {
      struct pollfd p = { .fd = fd, .events = POLLIN };
      g_assert_cmpint (poll (&p, 1, PATIENCE_MS), ==, 1);
      gssize n = recv (fd, out, len, 0);
      if (n <= 0)
        return FALSE;
      out += n;
      len -= (gsize)n;
    }
  return TRUE;
}

/* The other side hangs up, and says nothing more. */
static void
expect_end (int fd)
{
  guint8 byte;
  g_assert_false (read_raw (fd, &byte, 1));
  close (fd);
}

/* ---- a handshake by hand ---- */

static int
hand_ecdh (const uint8_t public_key[33], uint8_t ret_secret[32], void *party)
{
  return moosh_ecdh (((const Party *)party)->secret, public_key, ret_secret);
}

static void
hand_start (MooshNoise *noise, const Party *me, const guint8 *remote)
{
  guint8 ephemeral[32];
  MooshNoiseConfig config
      = { .initiator = remote != NULL,
          .prologue = { (const guint8 *)MOOSH_PEER_PROLOGUE, strlen (MOOSH_PEER_PROLOGUE) },
          .static_key = me->node_key,
          .remote_key = remote,
          .ephemeral = ephemeral,
          .ecdh = hand_ecdh,
          .ecdh_data = (void *)me };
  memset (ephemeral, 0x5e, sizeof ephemeral);
  g_assert_cmpint (moosh_noise_init (noise, &me->curve, &config), ==, 0);
}

/* Connect and bring the handshake to where act `number` (1 or 3) is to be sent; it is in `act`. */
static int
until_act (World *world, int number, guint8 act[MOOSH_NOISE_ACT_MAX], gsize *ret_len)
{
  MooshNoise noise;
  int fd = connect_raw (world);
  hand_start (&noise, &world->attacker, world->victim.node_key);
  *ret_len = moosh_noise_act_len (&noise);
  g_assert_cmpint (moosh_noise_write_act (&noise, act), ==, 0);
  if (number == 1)
    return fd;
  send_raw (fd, act, *ret_len);
  g_assert_true (read_raw (fd, act, MOOSH_NOISE_ACT_TWO));
  g_assert_cmpint (moosh_noise_read_act (&noise, act, MOOSH_NOISE_ACT_TWO), ==, 0);
  *ret_len = moosh_noise_act_len (&noise);
  g_assert_cmpint (moosh_noise_write_act (&noise, act), ==, 0);
  return fd;
}

/* ---- whole sessions by hand ---- */

static void
hand_stream (World *world, MooshStream *stream, const Party *me, const char *source)
{
  guint8 remote[33];
  g_autoptr (GError) error = NULL;
  int fd = connect_from (world, source);
  g_unix_set_fd_nonblocking (fd, TRUE, NULL);
  MooshNoiseConfig config = { .initiator = true,
                              .static_key = me->node_key,
                              .remote_key = world->victim.node_key,
                              .ecdh = hand_ecdh,
                              .ecdh_data = (void *)me };
  moosh_stream_init (stream, fd, -1);
  moosh_stream_shake (stream, &me->curve, &config, moosh_deadline (PATIENCE_MS), remote, &error);
  g_assert_no_error (error);
}

static void
send_message (MooshStream *stream, MooshPeerKind kind, guint64 id, const char *method, GBytes *body)
{
  MooshPeerHead head = { .kind = kind, .id = id };
  g_strlcpy (head.method, method, sizeof head.method);
  g_strlcpy (head.error_name, "failed", sizeof head.error_name);
  moosh_stream_send (stream, moosh_deadline (PATIENCE_MS), &head, body,
                     NULL); /* they may have hung up */
}

static gboolean
receive (MooshStream *stream, MooshPeerHead *ret_head, GBytes **ret_body, GError **error)
{
  return moosh_stream_receive (stream, moosh_deadline (PATIENCE_MS), NULL, NULL, ret_head, ret_body,
                               error);
}

static void
expect_kind (MooshStream *stream, MooshPeerKind kind, MooshPeerHead *ret_head)
{
  g_autoptr (GBytes) body = NULL;
  g_autoptr (GError) error = NULL;
  receive (stream, ret_head, &body, &error);
  g_assert_no_error (error);
  g_assert_cmpint (ret_head->kind, ==, kind);
}

/* A good-bye with that error, and then the end. */
static void
expect_bye (MooshStream *stream, MooshError code)
{
  MooshPeerHead head;
  g_autoptr (GBytes) body = NULL;
  g_autoptr (GError) error = NULL;
  expect_kind (stream, MOOSH_PEER_BYE, &head);
  g_assert_cmpstr (head.error_name, ==, moosh_error_name (code));
  g_assert_cmpuint (strlen (head.error_text), >, 0);
  g_assert_false (receive (stream, &head, &body, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_UNAVAILABLE);
  moosh_stream_clear (stream);
}

static void
send_hello (MooshStream *stream, const Party *me)
{
  g_autoptr (GBytes) certificate = party_certificate_bytes (me);
  g_autoptr (GBytes) hello = moosh_peer_hello_encode (MOOSH_PEER_VERSION, certificate, "hostile");
  send_message (stream, MOOSH_PEER_HELLO, 0, "", hello);
}

static void
session_from (World *world, MooshStream *stream, const Party *me, const char *source)
{
  MooshPeerHead head;
  hand_stream (world, stream, me, source);
  send_hello (stream, me);
  expect_kind (stream, MOOSH_PEER_HELLO, &head);
}

static void
session_open (World *world, MooshStream *stream)
{
  session_from (world, stream, &world->attacker, "127.0.0.1");
}

/* The node is as good as new: an honest peer is served, and nothing half-open is left. */
static void
assert_serves (World *world)
{
  MooshStream stream;
  MooshPeerHead head;
  g_autoptr (GBytes) body = g_bytes_new ("still there?", 12);
  session_open (world, &stream);
  send_message (&stream, MOOSH_PEER_REQUEST, 1, "echo", body);
  expect_kind (&stream, MOOSH_PEER_ANSWER, &head);
  moosh_stream_clear (&stream);
  gint64 deadline = moosh_deadline (PATIENCE_MS);
  gboolean in_time = TRUE;
  g_mutex_lock (&world->node->lock);
  while (world->node->half_open.total > 0 && in_time)
    in_time = g_cond_wait_until (&world->node->changed, &world->node->lock, deadline);
  g_mutex_unlock (&world->node->lock);
  g_assert_true (in_time);
}

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

/* A listener that answers act one with a spoilt act two, then tells whether act three came. */
typedef struct {
  int listen_fd;
  const Party *me;
  gsize at;  /* byte to flip */
  gsize cut; /* bytes to send */
  gboolean got_act3;
} FalseHost;

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

static int
listen_raw (guint16 *ret_port)
{
  struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl (INADDR_LOOPBACK) };
  socklen_t len = sizeof at;
  int fd = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  g_assert_cmpint (bind (fd, (struct sockaddr *)&at, sizeof at), ==, 0);
  g_assert_cmpint (listen (fd, 8), ==, 0);
  g_assert_cmpint (getsockname (fd, (struct sockaddr *)&at, &len), ==, 0);
  *ret_port = ntohs (at.sin_port);
  return fd;
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
  g_test_add_func ("/hostile/acts/every-byte", test_acts_every_byte);
  g_test_add_func ("/hostile/acts/every-length", test_acts_every_length);
  g_test_add_func ("/hostile/acts/act-two", test_act_two);
  g_test_add_func ("/hostile/time/slow-loris", test_slow_loris);
  g_test_add_func ("/hostile/time/idle", test_idle);
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
