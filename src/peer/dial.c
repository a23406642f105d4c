#include "peer/node.h"
#include "peer/refuse.h"
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

static GBytes *
key_bytes (const guint8 node_key[33])
{
  return g_bytes_new (node_key, 33);
}

gboolean
moosh_peer_node_add_address (MooshPeerNode *node, const MooshPeerAddress *address, GError **error)
{
  GBytes *key = key_bytes (address->node_key);
  g_mutex_lock (&node->lock);
  gboolean room = g_hash_table_contains (node->addresses, key)
                  || g_hash_table_size (node->addresses) < MOOSH_PEER_ADDRESSES_MAX;
  if (room)
    g_hash_table_replace (node->addresses, g_steal_pointer (&key),
                          g_memdup2 (address, sizeof *address));
  g_mutex_unlock (&node->lock);
  g_clear_pointer (&key, g_bytes_unref);
  if (!room)
    g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_LIMIT, "peer addresses: no more than %d",
                 MOOSH_PEER_ADDRESSES_MAX);
  return room;
}

void
moosh_peer_node_remove_address (MooshPeerNode *node, const guint8 node_key[33])
{
  g_autoptr (GBytes) key = key_bytes (node_key);
  g_mutex_lock (&node->lock);
  g_hash_table_remove (node->addresses, key);
  g_mutex_unlock (&node->lock);
}

/* ---- TCP ---- */

/* Wait until a connect under way is through. 0, or an errno. */
static int
await_connect (MooshPeerNode *node, int fd, gint64 deadline_us)
{
  for (;;)
    {
      struct pollfd fds[]
          = { { .fd = fd, .events = POLLOUT }, { .fd = node->stop_fd, .events = POLLIN } };
      gint64 left_us = deadline_us - g_get_monotonic_time ();
      int failure = 0;
      socklen_t len = sizeof failure;
      if (left_us <= 0)
        return ETIMEDOUT;
      int n = poll (fds, 2, (int)MIN (left_us / 1000 + 1, G_MAXINT));
      if (n > 0 && fds[1].revents != 0)
        return ECANCELED;
      if (n > 0)
        return getsockopt (fd, SOL_SOCKET, SO_ERROR, &failure, &len) < 0 ? errno : failure;
      if (n < 0 && errno != EINTR)
        return errno;
    }
}

static int
connect_one (MooshPeerNode *node, const struct addrinfo *at, gint64 deadline_us, int *ret_fd)
{
  int on = 1;
  int fd = socket (at->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0)
    return errno;
  setsockopt (fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  setsockopt (fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  int failure = connect (fd, at->ai_addr, at->ai_addrlen) == 0 ? 0 : errno;
  if (failure == EINPROGRESS)
    failure = await_connect (node, fd, deadline_us);
  if (failure != 0)
    close (fd);
  else
    *ret_fd = fd;
  return failure;
}

/* A socket connected to the address, and whose it is. */
static int
connect_to (MooshPeerNode *node, const MooshPeerAddress *address, gint64 deadline_us,
            struct sockaddr_storage *ret_from, GError **error)
{
  const struct addrinfo hints
      = { .ai_flags = AI_NUMERICSERV | AI_ADDRCONFIG, .ai_socktype = SOCK_STREAM };
  struct addrinfo *found = NULL;
  char port[8];
  int fd = -1, failure = 0;
  g_snprintf (port, sizeof port, "%u", address->port);
  int r = getaddrinfo (address->host, port, &hints, &found);
  if (r != 0)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_UNAVAILABLE, "peer %s: %s", address->host,
                   gai_strerror (r));
      return -1;
    }
  for (struct addrinfo *at = found; at != NULL && fd < 0 && failure != ECANCELED; at = at->ai_next)
    {
      failure = connect_one (node, at, deadline_us, &fd);
      if (fd >= 0)
        memcpy (ret_from, at->ai_addr, at->ai_addrlen);
    }
  freeaddrinfo (found);
  if (fd < 0)
    g_set_error (error, MOOSH_ERROR,
                 failure == ETIMEDOUT   ? MOOSH_ERROR_TIMEOUT
                 : failure == ECANCELED ? MOOSH_ERROR_CANCELLED
                                        : MOOSH_ERROR_UNAVAILABLE,
                 "peer %s port %u: %s", address->host, address->port, g_strerror (failure));
  return fd;
}

/* ---- sessions ---- */

static gpointer
read_dialled (gpointer data)
{
  MooshSession *session = data;
  MooshPeerNode *node = session->node;
  moosh_session_read (session);
  moosh_session_unref (session);
  moosh_node_thread_done (node);
  return NULL;
}

static MooshSession *
dial (MooshPeerNode *node, const MooshPeerAddress *address, gint64 deadline_us, GError **error)
{
  const MooshPeerLimits *limits = &node->config.limits;
  struct sockaddr_storage from = { .ss_family = AF_UNSPEC };
  GError *cause = NULL;
  int fd = connect_to (node, address, MIN (deadline_us, moosh_deadline (limits->connect_ms)), &from,
                       error);
  if (fd < 0)
    return NULL;
  g_autoptr (MooshSession) session = moosh_session_new (node, fd, (struct sockaddr *)&from, FALSE);
  if (!moosh_session_open (session, address->node_key,
                           MIN (deadline_us, moosh_deadline (limits->handshake_ms)), &cause))
    {
      g_propagate_prefixed_error (error, cause, "peer %s port %u: ", address->host, address->port);
      return NULL;
    }
  if (!moosh_node_start_thread (node, read_dialled, moosh_session_ref (session)))
    {
      moosh_node_unlist_session (node, session);
      moosh_session_unref (session);
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_LIMIT, "peer %s: no thread for a session",
                   address->host);
      return NULL;
    }
  return g_steal_pointer (&session);
}

/* Find a session, or the right to dial: only one thread at a time dials a node key, the others wait
 * for what it gets. Returns a session; or NULL with *ret_dial set: the caller must dial
 * *ret_address and then call dialled(). */
static MooshSession *
find_or_claim (MooshPeerNode *node, GBytes *key, gint64 deadline_us, gboolean *ret_dial,
               MooshPeerAddress *ret_address, GError **error)
{
  const guint8 *node_key = g_bytes_get_data (key, NULL);
  MooshSession *session = NULL;
  *ret_dial = FALSE;
  g_mutex_lock (&node->lock);
  for (;;)
    {
      session = moosh_node_find_locked (node, node_key);
      if (session != NULL)
        break;
      if (node->stopping)
        {
          g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_CANCELLED, "the node is stopping");
          break;
        }
      MooshPeerAddress *known = g_hash_table_lookup (node->addresses, key);
      if (known == NULL)
        {
          g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_UNAVAILABLE,
                       "peer: not connected, and no address known for it");
          break;
        }
      if (g_hash_table_add (node->dialling, g_bytes_ref (key)))
        {
          *ret_address = *known;
          *ret_dial = TRUE;
          break;
        }
      if (!g_cond_wait_until (&node->changed, &node->lock, deadline_us))
        {
          g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_TIMEOUT, "peer: no connection in time");
          break;
        }
    }
  g_mutex_unlock (&node->lock);
  return session;
}

static void
dialled (MooshPeerNode *node, GBytes *key)
{
  g_mutex_lock (&node->lock);
  g_hash_table_remove (node->dialling, key);
  g_cond_broadcast (&node->changed);
  g_mutex_unlock (&node->lock);
}

static MooshSession *
obtain (MooshPeerNode *node, const guint8 node_key[33], gint64 deadline_us, GError **error)
{
  g_autoptr (GBytes) key = key_bytes (node_key);
  MooshPeerAddress address;
  gboolean must_dial;
  MooshSession *session = find_or_claim (node, key, deadline_us, &must_dial, &address, error);
  if (!must_dial)
    return session;
  session = dial (node, &address, deadline_us, error);
  dialled (node, key);
  return session;
}

/* ---- public ---- */

static void
enter (MooshPeerNode *node)
{
  g_mutex_lock (&node->lock);
  node->callers++;
  g_mutex_unlock (&node->lock);
}

static void
leave (MooshPeerNode *node)
{
  g_mutex_lock (&node->lock);
  node->callers--;
  g_cond_broadcast (&node->changed);
  g_mutex_unlock (&node->lock);
}

gboolean
moosh_peer_connect (MooshPeerNode *node, const MooshPeerAddress *address, MooshPeerId *ret_peer,
                    GError **error)
{
  const MooshPeerLimits *limits = &node->config.limits;
  if (!moosh_peer_node_add_address (node, address, error))
    return FALSE;
  enter (node);
  MooshSession *session = obtain (
      node, address->node_key, moosh_deadline (limits->connect_ms + limits->handshake_ms), error);
  gboolean ok = session != NULL;
  if (ok && ret_peer != NULL)
    *ret_peer = session->peer;
  g_clear_pointer (&session, moosh_session_unref);
  leave (node);
  return ok;
}

static GBytes *
call (MooshSession *session, const guint8 *identity, const char *method, GBytes *body,
      gint64 deadline_us, MooshPeerId *ret_peer, GError **error)
{
  if (identity != NULL && memcmp (identity, session->peer.identity, 20) != 0)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_PROTOCOL,
                   "peer %s: its node key belongs to another identity", session->peer.address);
      return NULL;
    }
  GBytes *answer = moosh_session_call (session, method, body, deadline_us, error);
  if (answer != NULL && ret_peer != NULL)
    *ret_peer = session->peer;
  return answer;
}

GBytes *
moosh_peer_call (MooshPeerNode *node, const guint8 node_key[33], const guint8 *identity,
                 const char *method, GBytes *body, guint timeout_ms, MooshPeerId *ret_peer,
                 GError **error)
{
  gint64 deadline_us = moosh_deadline (timeout_ms);
  if (!moosh_peer_method_valid (method))
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE, "peer: not a method's name");
      return NULL;
    }
  if (body != NULL && g_bytes_get_size (body) > MOOSH_PEER_REQUEST_MAX)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_LIMIT,
                   "peer: %s: the request is longer than %d bytes", method, MOOSH_PEER_REQUEST_MAX);
      return NULL;
    }
  enter (node);
  GBytes *answer = NULL;
  MooshSession *session = obtain (node, node_key, deadline_us, error);
  if (session != NULL)
    answer = call (session, identity, method, body, deadline_us, ret_peer, error);
  g_clear_pointer (&session, moosh_session_unref);
  leave (node);
  return answer;
}
