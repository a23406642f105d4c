/** What node.c, session.c and dial.c share. Private to this room.
 *
 * Locks, always taken in this order: node->lock, session->lock, stream's send lock. None is held
 * while a callback or a handler runs, nor while waiting for the network (but the send lock).
 *
 * A session lives as long as somebody holds a reference: its reader thread, the node's list, a
 * running handler, a caller. It ends once (moosh_session_end): from then on its socket is shut down
 * and every call on it has an error. */
#pragma once
#include "peer/quota.h"
#include "peer/stream.h"

#define MOOSH_PEER_BYTES_MAX                                                                       \
  (32 * 1024 * 1024) /* bodies of requests that wait or run, all sessions together */

typedef struct {
  MooshPeerHandler run;
  gpointer user_data;
} MooshHandler;

struct MooshPeerNode {
  MooshPeerConfig config; /* limits filled in; certificate under lock */
  char *software;
  MooshCurve curve;
  int listen_fd;
  int stop_fd; /* eventfd: readable once the node stops */
  guint16 port;
  GThread *acceptor;
  GThreadPool *handlers;
  GHashTable *methods; /* name → MooshHandler; fixed once started */

  GMutex lock;
  GCond changed; /* threads, callers, dialling or half_open went down */
  gboolean stopping;
  guint threads;        /* session threads alive */
  guint callers;        /* inside moosh_peer_call, moosh_peer_connect */
  gsize request_bytes;  /* < MOOSH_PEER_BYTES_MAX */
  MooshTally half_open; /* inbound, before hello */
  MooshTally inbound;   /* inbound, after hello */
  guint outbound;
  GPtrArray *sessions;   /* established, oldest first */
  GHashTable *addresses; /* node key (GBytes) → MooshPeerAddress */
  GHashTable *dialling;  /* node keys (GBytes) somebody connects to now */
};

typedef struct {
  gatomicrefcount refs;
  MooshPeerNode *node;
  MooshStream stream;
  MooshSource source;
  MooshPeerId peer;
  MooshBucket bucket; /* reader thread only */

  GMutex lock;
  GCond answered;
  gboolean listed;   /* in node->sessions; this and `ready` under node->lock */
  gboolean ready;    /* both hellos are through */
  GError *end;       /* why it ended; NULL: it lives */
  GHashTable *calls; /* id → Call of a waiting caller */
  guint64 next_id;
  guint answering; /* those whose answer is being sent */
  guint running;   /* requests of theirs that wait or run */
} MooshSession;

/** A session on a fresh socket, which it takes over. */
MooshSession *moosh_session_new (MooshPeerNode *node, int fd, const struct sockaddr *from,
                                 gboolean inbound);
MooshSession *moosh_session_ref (MooshSession *session);
void moosh_session_unref (MooshSession *session);

/** Handshake and hello, by the deadline. `node_key`: who must be at the other end; NULL: whoever
 * comes. When TRUE the session is in the node's list. Does not start the reader. */
gboolean moosh_session_open (MooshSession *session, const guint8 *node_key, gint64 deadline_us,
                             GError **error);

/** Read until the end; then take the session out of the list. For the session's own thread. */
void moosh_session_read (MooshSession *session);

/** End it: `cause` (copied) goes to every caller. The first cause stays. */
void moosh_session_end (MooshSession *session, const GError *cause);

/** Ask and wait. Errors of moosh_peer_call. */
GBytes *moosh_session_call (MooshSession *session, const char *method, GBytes *body,
                            gint64 deadline_us, GError **error);

gboolean moosh_session_alive (MooshSession *session);

/** Say why, as the last thing on the line; then shut it down. */
void moosh_session_bye (MooshSession *session, const GError *cause);

/** Put an opened session into the list within the limits. MOOSH_ERROR_LIMIT, MOOSH_ERROR_CANCELLED.
 * An older session of the same peer may make room. */
gboolean moosh_node_list_session (MooshPeerNode *node, MooshSession *session, GError **error);
/** Both hellos are through: callers may use it now. */
void moosh_node_session_ready (MooshPeerNode *node, MooshSession *session);
void moosh_node_unlist_session (MooshPeerNode *node, MooshSession *session);

/** Reserve room for a request's body; FALSE when the node's budget is used up. */
gboolean moosh_node_take_bytes (MooshPeerNode *node, gsize bytes);
void moosh_node_give_bytes (MooshPeerNode *node, gsize bytes);

/** Start a session's reader thread; takes the caller's reference. FALSE (and nothing taken) when
 * there is no thread to be had. */
gboolean moosh_node_start_thread (MooshPeerNode *node, GThreadFunc run, MooshSession *session);
/** The last thing a session's thread does. */
void moosh_node_thread_done (MooshPeerNode *node);

/** Our certificate now; new reference. */
GBytes *moosh_node_certificate (MooshPeerNode *node);

/** The newest living session with a node key; new reference or NULL. node->lock is held. */
MooshSession *moosh_node_find_locked (MooshPeerNode *node, const guint8 node_key[33]);

/** A request on its way to a handler. */
typedef struct {
  MooshSession *session;
  guint64 id;
  char method[MOOSH_PEER_METHOD_MAX + 1];
  GBytes *body;
} MooshJob;

/** GFunc of the handlers' pool: run the job's handler, send what comes of it, free the job. */
void moosh_job_run (gpointer job, gpointer node);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (MooshSession, moosh_session_unref)
