/** A socket under Noise: whole messages in and out, each by a deadline. Private to this room and
 * its tests.
 *
 * One thread may receive while others send; senders take turns. */
#pragma once
#include "core/noise/noise.h"
#include "peer/wire.h"

typedef struct {
  int fd;      /* non-blocking; closed by moosh_stream_clear */
  int stop_fd; /* readable when everything shall end: MOOSH_ERROR_CANCELLED; -1: none */
  MooshNoiseCipher send, receive;
  GMutex send_lock;
  guint8 *out, *in; /* one frame each */
} MooshStream;

/** A point in time, in µs of g_get_monotonic_time. */
gint64 moosh_deadline (guint ms);

/** Take over `fd`. */
void moosh_stream_init (MooshStream *stream, int fd, int stop_fd);
void moosh_stream_clear (MooshStream *stream);

/** Run the Noise handshake. `config` without prologue and ephemeral: these are ours to set.
 * `ret_remote` is the proven key. MOOSH_ERROR_TIMEOUT; MOOSH_ERROR_CANCELLED; MOOSH_ERROR_REFUSED:
 * they hung up; MOOSH_ERROR_PROTOCOL. */
gboolean moosh_stream_shake (MooshStream *stream, const MooshCurve *curve,
                             const MooshNoiseConfig *config, gint64 deadline_us,
                             guint8 ret_remote[33], GError **error);

/** Wait for the first byte of a message. MOOSH_ERROR_TIMEOUT, MOOSH_ERROR_CANCELLED. */
gboolean moosh_stream_wait (MooshStream *stream, gint64 deadline_us, GError **error);

/** Told of a message's head before its body is kept: FALSE throws the body away. */
typedef gboolean (*MooshStreamKeep) (const MooshPeerHead *head, gpointer user_data);

/** Receive one message. `keep` may be NULL. MOOSH_ERROR_UNAVAILABLE: closed; MOOSH_ERROR_PROTOCOL:
 * forged or malformed; MOOSH_ERROR_TIMEOUT; MOOSH_ERROR_CANCELLED. */
gboolean moosh_stream_receive (MooshStream *stream, gint64 deadline_us, MooshStreamKeep keep,
                               gpointer user_data, MooshPeerHead *ret_head, GBytes **ret_body,
                               GError **error);

/** Send one message; sets head->body_len. `body` may be NULL. Errors as receiving; any of them
 * leaves the stream of no use. */
gboolean moosh_stream_send (MooshStream *stream, gint64 deadline_us, MooshPeerHead *head,
                            GBytes *body, GError **error);

/** End both directions: wakes whoever waits. */
void moosh_stream_shutdown (MooshStream *stream);
