/** MooshPeerNode: encrypted, authenticated requests and answers between nodes.
 *
 * A connection is a Noise_XK handshake by node keys, then one `hello` each way {version,
 * certificate, software}: the certificate's node key must be the key the handshake proved, so a
 * peer's identity is the wallet that signed it. After that both sides may ask and answer at any
 * time, many at once; a body is opaque bytes.
 *
 * Threads: one accepts, one reads per session, a pool runs handlers; every function here may be
 * called from any thread and those that talk to a peer block. Handlers run on pool threads and may
 * block, and may themselves call peers.
 *
 * What strangers can grow is bounded by MooshPeerLimits; what is over a limit is refused with a
 * sentence (MOOSH_ERROR_LIMIT at the other side) where there is a session to say it in, else the
 * connection is closed. */
#pragma once
#include "base/error.h"
#include "peer/address.h"
#include "peer/certificate.h"

#define MOOSH_PEER_METHOD_MAX    32            /* characters a–z 0–9 . _ of a method's name */
#define MOOSH_PEER_REQUEST_MAX   (256 * 1024)  /* bytes of a request's body */
#define MOOSH_PEER_ANSWER_MAX    (1024 * 1024) /* bytes of an answer's body */
#define MOOSH_PEER_ADDRESSES_MAX 16384 /* addresses a node knows by moosh_peer_node_add_address */
#define MOOSH_PEER_PROLOGUE      "mooshnet/1"
#define MOOSH_PEER_VERSION       1

typedef struct MooshPeerNode MooshPeerNode;

/** Who is at the other end of a session. */
typedef struct {
  guint8 identity[20];
  guint8 node_key[33];
  guint64 certificate_seq;
  gboolean inbound;  /* they connected to us */
  char address[64];  /* numeric "host:port" of the socket, for logs */
  char software[65]; /* what they say they are; printable ASCII */
} MooshPeerId;

/** The node key's ECDH: SHA-256 of the compressed shared point. Called from session threads. */
typedef gboolean (*MooshPeerEcdh) (const guint8 public_key[33], guint8 ret_secret[32],
                                   gpointer user_data, GError **error);

/** Answer one request. Returns new bytes (empty for "done"), or NULL with `error` set: a
 * MOOSH_ERROR code travels with its message, an error of another domain as MOOSH_ERROR_FAILED.
 * `method` is the one asked for. Runs on a pool thread. */
typedef GBytes *(*MooshPeerHandler) (const MooshPeerId *peer, const char *method, GBytes *body,
                                     gpointer user_data, GError **error);

/** A session came up (hello passed) or went down. Runs on the session's thread, which also reads
 * the session: must not block long and must not call peers. */
typedef void (*MooshPeerNotify) (const MooshPeerId *peer, gboolean up, gpointer user_data);

/** Further checks of a peer's certificate (revoked by a newer one?); signature, key and time were
 * checked. NULL: none. Runs on the session's thread. */
typedef gboolean (*MooshPeerAdmit) (const MooshCertificate *certificate, GBytes *encoded,
                                    gpointer user_data, GError **error);

/** Zero means the default in brackets. */
typedef struct {
  guint sessions;             /* established, in either direction [256] */
  guint sessions_per_source;  /* established, inbound, of one IPv4 address or IPv6 /64 [64] */
  guint sessions_per_peer;    /* with one node key; the oldest makes room [2] */
  guint half_open;            /* inbound, hello not yet passed [64] */
  guint half_open_per_source; /* of one IPv4 address or IPv6 /64 [8] */
  guint handshake_ms;         /* from connected or accepted to the peer's hello [5000] */
  guint connect_ms;           /* TCP connect [10000] */
  guint idle_ms;              /* nothing asked, nothing running [300000] */
  guint message_ms;           /* from a message's first byte to its last, in or out [30000] */
  guint requests_running;     /* handlers at work for one session [4] */
  guint request_burst;        /* requests at once before the rate counts [100] */
  guint request_per_minute;   /* sustained rate for one session [1200] */
  guint handler_threads;      /* for all sessions [32] */
} MooshPeerLimits;

typedef struct {
  guint8 node_key[33];
  GBytes *certificate; /* ours, encoded, for node_key; a reference is taken */
  MooshPeerEcdh ecdh;
  gpointer ecdh_data;
  const char *software;    /* e.g. "mooshd/0.1.0"; at most 64 printable ASCII characters */
  const char *listen_host; /* numeric address or name; NULL: do not listen */
  guint16 listen_port;     /* 0: any free one (moosh_peer_node_port) */
  MooshPeerLimits limits;
  MooshPeerNotify notify; /* may be NULL */
  MooshPeerAdmit admit;   /* may be NULL */
  gpointer user_data;     /* of notify and admit */
} MooshPeerConfig;

/** Make a node; copies what it needs of `config`. Nothing runs yet. MOOSH_ERROR_USAGE: the
 * certificate is not for node_key or does not verify. */
MooshPeerNode *moosh_peer_node_new (const MooshPeerConfig *config, GError **error);

/** Answer requests for `method`. Before moosh_peer_node_start; at most one handler a method. */
void moosh_peer_node_handle (MooshPeerNode *node, const char *method, MooshPeerHandler handler,
                             gpointer user_data);

/** Listen (if so configured) and accept. MOOSH_ERROR_CONFLICT: the address is in use;
 * MOOSH_ERROR_USAGE: not ours. */
gboolean moosh_peer_node_start (MooshPeerNode *node, GError **error);

/** The port listened on; 0: none. */
guint16 moosh_peer_node_port (MooshPeerNode *node);

/** Close every session, wait for handlers and threads, free. Calls under way end with
 * MOOSH_ERROR_CANCELLED; none may be started any more. */
void moosh_peer_node_free (MooshPeerNode *node);

/** Use another certificate (renewed, same node key) for sessions from now on. */
gboolean moosh_peer_node_set_certificate (MooshPeerNode *node, GBytes *certificate, GError **error);

/** Remember where a node key is reached, for moosh_peer_call; the last one given wins.
 * MOOSH_ERROR_LIMIT. */
gboolean moosh_peer_node_add_address (MooshPeerNode *node, const MooshPeerAddress *address,
                                      GError **error);
void moosh_peer_node_remove_address (MooshPeerNode *node, const guint8 node_key[33]);

/** Connect now, unless there is a session with that node key already, and remember the address.
 * Blocks at most connect_ms + handshake_ms (and a name lookup). `ret_peer` may be NULL.
 * MOOSH_ERROR_UNAVAILABLE: nobody there; MOOSH_ERROR_TIMEOUT; MOOSH_ERROR_REFUSED: it hung up in
 * the handshake, so it holds another key or is full; MOOSH_ERROR_PROTOCOL: it broke the protocol;
 * MOOSH_ERROR_EXPIRED: its certificate; or the error by which the peer refused us. */
gboolean moosh_peer_connect (MooshPeerNode *node, const MooshPeerAddress *address,
                             MooshPeerId *ret_peer, GError **error);

/** Ask a peer and wait for its answer. `identity` (may be NULL) must be whom the peer proves to be,
 * else MOOSH_ERROR_PROTOCOL; `body` may be NULL (empty). Uses a session with `node_key` in either
 * direction, else connects to the address known for it (MOOSH_ERROR_UNAVAILABLE: none known). A
 * request is never sent twice: when the session breaks before the answer, MOOSH_ERROR_UNAVAILABLE
 * and nobody knows whether it was done. MOOSH_ERROR_TIMEOUT after `timeout_ms` in total; errors of
 * the remote handler come back with their code and message. `ret_peer` may be NULL. */
GBytes *moosh_peer_call (MooshPeerNode *node, const guint8 node_key[33], const guint8 *identity,
                         const char *method, GBytes *body, guint timeout_ms, MooshPeerId *ret_peer,
                         GError **error);

/** The peers with a session now: array of MooshPeerId, free with g_array_unref. */
GArray *moosh_peer_node_list (MooshPeerNode *node);

/** Close every session with `node_key` (a removed contact, a revoked key). */
void moosh_peer_node_drop (MooshPeerNode *node, const guint8 node_key[33]);

/** A MooshPeerEcdh that asks keyd: `user_data` is a MooshRpcClient for keyd's socket; method
 * `node_ecdh` {pubkey} → {secret}, hex with 0x. */
gboolean moosh_peer_keyd_ecdh (const guint8 public_key[33], guint8 ret_secret[32],
                               gpointer rpc_client, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (MooshPeerNode, moosh_peer_node_free)
