/** What travels inside Noise frames. Pure: bytes in, structs out. Private to this room and its
 * tests.
 *
 * A message is one frame or several. The first is  head length (2 bytes, big-endian) ‖ head ‖ start
 * of the body;  the head is CBOR {0 kind, 2 id, 4 method, 6 body length, 8 error name, 10 error
 * text} and tells how long the body is. The others are the rest of the body, in order, none empty
 * and none too long. Messages of one direction follow each other whole.
 *
 *   kind      keys      body
 *   HELLO     0 6       CBOR {0 version, 2 certificate, 3 software}
 *   REQUEST   0 2 4 6   the method's
 *   ANSWER    0 2 6     the method's; id is the request's
 *   ERROR     0 2 8 10  none; id is the request's
 *   BYE       0 8 10    none; the connection ends */
#pragma once
#include "core/bytes/bytes.h"
#include "peer/peer.h"

#define MOOSH_PEER_HEAD_MAX       1024
#define MOOSH_PEER_HELLO_MAX      1024
#define MOOSH_PEER_ERROR_NAME_MAX 32
#define MOOSH_PEER_ERROR_TEXT_MAX 512

typedef enum {
  MOOSH_PEER_HELLO,
  MOOSH_PEER_REQUEST,
  MOOSH_PEER_ANSWER,
  MOOSH_PEER_ERROR,
  MOOSH_PEER_BYE,
} MooshPeerKind;

typedef struct {
  MooshPeerKind kind;
  guint64 id;
  char method[MOOSH_PEER_METHOD_MAX + 1];
  gsize body_len;
  char error_name[MOOSH_PEER_ERROR_NAME_MAX + 1];
  char error_text[MOOSH_PEER_ERROR_TEXT_MAX + 1]; /* UTF-8 without control characters */
} MooshPeerHead;

/** Is `method` 1–32 of a–z 0–9 . _ ? */
gboolean moosh_peer_method_valid (const char *method);

/** Put `text` into an error's head: cut to size at a character, control characters and broken UTF-8
 * replaced. */
void moosh_peer_head_set_error (MooshPeerHead *head, const GError *error);

/** Write the start of a first frame (head length and head); returns its length, at most 2 +
 * MOOSH_PEER_HEAD_MAX. The head must be valid. */
gsize moosh_peer_head_encode (const MooshPeerHead *head, guint8 out[2 + MOOSH_PEER_HEAD_MAX]);

/** A message being put together. Zeroed: none is. */
typedef struct {
  gboolean open;
  MooshPeerHead head;
  gsize got; /* bytes of the body so far */
} MooshPeerInbox;

/** Take the next frame. 1: the message is whole; 0: more frames follow; or MOOSH_E_MALFORMED,
 * MOOSH_E_SHORT, MOOSH_E_TRAILING, MOOSH_E_LIMIT (a body over its kind's limit) …, after which the
 * connection is of no use. `ret_part` is this frame's part of the body; the next frame after a
 * whole message starts a new one. */
int moosh_peer_inbox_push (MooshPeerInbox *inbox, const guint8 *ptr, gsize len,
                           MooshSpan *ret_part);

typedef struct {
  guint64 version;
  MooshSpan certificate;
  char software[65];
} MooshPeerHello;

GBytes *moosh_peer_hello_encode (guint64 version, GBytes *certificate, const char *software);
/** Read a hello's body; `ret->certificate` points into it. */
int moosh_peer_hello_decode (const guint8 *ptr, gsize len, MooshPeerHello *ret);
