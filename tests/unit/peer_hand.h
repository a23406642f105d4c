/* A peer made by hand, for the tests of those that mean harm: raw sockets, single acts, sessions
 * without a node. */
#pragma once
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

static inline GBytes *
echo (const MooshPeerId *peer G_GNUC_UNUSED, const char *method G_GNUC_UNUSED, GBytes *body,
      gpointer user_data G_GNUC_UNUSED, GError **error G_GNUC_UNUSED)
{
  return g_bytes_ref (body);
}

static inline GBytes *
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

static inline void
open_gate (World *world)
{
  g_mutex_lock (&world->lock);
  world->gate = TRUE;
  g_cond_broadcast (&world->moved);
  g_mutex_unlock (&world->lock);
}

static inline void
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

static inline void
stop (World *world)
{
  open_gate (world);
  moosh_peer_node_free (world->node);
  g_mutex_clear (&world->lock);
  g_cond_clear (&world->moved);
}

/* ---- raw sockets ---- */

static inline int
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

static inline int
connect_raw (World *world)
{
  return connect_from (world, "127.0.0.1");
}

static inline void
send_raw (int fd, const void *bytes, gsize len)
{
  if (len > 0) /* the other side may have hung up already: that is its right */
    (void)!send (fd, bytes, len, MSG_NOSIGNAL);
}

/* Read exactly `len`; FALSE when the connection ends before. */
static inline gboolean
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
static inline void
expect_end (int fd)
{
  guint8 byte;
  g_assert_false (read_raw (fd, &byte, 1));
  close (fd);
}

/* ---- a handshake by hand ---- */

static inline int
hand_ecdh (const uint8_t public_key[33], uint8_t ret_secret[32], void *party)
{
  return moosh_ecdh (((const Party *)party)->secret, public_key, ret_secret);
}

static inline void
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
static inline int
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

/* A listener of ours. */
typedef struct {
  int listen_fd;
  const Party *me;
  gsize at;  /* byte to flip */
  gsize cut; /* bytes to send */
  gboolean got_act3;
} FalseHost;

static inline int
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
