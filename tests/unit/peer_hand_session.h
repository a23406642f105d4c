/* Whole sessions by hand: hellos, messages, good-byes. */
#pragma once
#include "peer_hand.h"

static inline void
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

static inline void
send_message (MooshStream *stream, MooshPeerKind kind, guint64 id, const char *method, GBytes *body)
{
  MooshPeerHead head = { .kind = kind, .id = id };
  g_strlcpy (head.method, method, sizeof head.method);
  g_strlcpy (head.error_name, "failed", sizeof head.error_name);
  moosh_stream_send (stream, moosh_deadline (PATIENCE_MS), &head, body,
                     NULL); /* they may have hung up */
}

static inline gboolean
receive (MooshStream *stream, MooshPeerHead *ret_head, GBytes **ret_body, GError **error)
{
  return moosh_stream_receive (stream, moosh_deadline (PATIENCE_MS), NULL, NULL, ret_head, ret_body,
                               error);
}

static inline void
expect_kind (MooshStream *stream, MooshPeerKind kind, MooshPeerHead *ret_head)
{
  g_autoptr (GBytes) body = NULL;
  g_autoptr (GError) error = NULL;
  receive (stream, ret_head, &body, &error);
  g_assert_no_error (error);
  g_assert_cmpint (ret_head->kind, ==, kind);
}

/* A good-bye with that error, and then the end. */
static inline void
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

static inline void
send_hello (MooshStream *stream, const Party *me)
{
  g_autoptr (GBytes) certificate = party_certificate_bytes (me);
  g_autoptr (GBytes) hello = moosh_peer_hello_encode (MOOSH_PEER_VERSION, certificate, "hostile");
  send_message (stream, MOOSH_PEER_HELLO, 0, "", hello);
}

static inline void
session_from (World *world, MooshStream *stream, const Party *me, const char *source)
{
  MooshPeerHead head;
  hand_stream (world, stream, me, source);
  send_hello (stream, me);
  expect_kind (stream, MOOSH_PEER_HELLO, &head);
}

static inline void
session_open (World *world, MooshStream *stream)
{
  session_from (world, stream, &world->attacker, "127.0.0.1");
}

/* The node is as good as new: an honest peer is served, and nothing half-open is left. */
static inline void
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
