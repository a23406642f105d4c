#include "peer/node.h"
#include "peer/refuse.h"
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sodium.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define BACKLOG               128
#define OUT_OF_FILES_PAUSE_MS 100

static void
fill_limits (MooshPeerLimits *limits)
{
  const struct {
    guint *value;
    guint fallback;
  } table[] = {
    { &limits->sessions, 256 },           { &limits->sessions_per_source, 64 },
    { &limits->sessions_per_peer, 2 },    { &limits->half_open, 64 },
    { &limits->half_open_per_source, 8 }, { &limits->handshake_ms, 5000 },
    { &limits->connect_ms, 10000 },       { &limits->idle_ms, 300000 },
    { &limits->message_ms, 30000 },       { &limits->requests_running, 4 },
    { &limits->request_burst, 100 },      { &limits->request_per_minute, 1200 },
    { &limits->handler_threads, 32 },
  };
  for (gsize i = 0; i < G_N_ELEMENTS (table); i++)
    if (*table[i].value == 0)
      *table[i].value = table[i].fallback;
}

static gboolean
own_certificate (const guint8 node_key[33], GBytes *encoded, GError **error)
{
  MooshCertificate certificate;
  gsize len;
  const void *ptr = g_bytes_get_data (encoded, &len);
  g_autoptr (GError) cause = NULL;
  if (!moosh_certificate_decode (ptr, len, &certificate, &cause))
    g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE, "our %s", cause->message);
  else if (memcmp (certificate.node_key, node_key, 33) != 0)
    g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE,
                 "our node certificate is for another node key");
  else
    return TRUE;
  return FALSE;
}

static gboolean
software_valid (const char *software)
{
  gsize len = strlen (software);
  for (gsize i = 0; i < len; i++)
    if (!g_ascii_isprint (software[i]))
      return FALSE;
  return len <= 64;
}

MooshPeerNode *
moosh_peer_node_new (const MooshPeerConfig *config, GError **error)
{
  const char *software = config->software != NULL ? config->software : "";
  guint8 blinding[32];
  if (!own_certificate (config->node_key, config->certificate, error))
    return NULL;
  if (!software_valid (software))
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE,
                   "software: at most 64 printable ASCII characters");
      return NULL;
    }
  int stop_fd = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (stop_fd < 0)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_FAILED, "eventfd: %s", g_strerror (errno));
      return NULL;
    }
  MooshPeerNode *node = g_new0 (MooshPeerNode, 1);
  node->config = *config;
  fill_limits (&node->config.limits);
  g_bytes_ref (node->config.certificate);
  node->config.listen_host = g_strdup (config->listen_host);
  node->software = g_strdup (software);
  node->listen_fd = -1;
  node->stop_fd = stop_fd;
  randombytes_buf (blinding, sizeof blinding);
  moosh_curve_init (&node->curve, blinding);
  moosh_wipe (blinding, sizeof blinding);
  node->handlers = g_thread_pool_new (moosh_job_run, node,
                                      (gint)node->config.limits.handler_threads, FALSE, NULL);
  node->methods = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  g_mutex_init (&node->lock);
  g_cond_init (&node->changed);
  moosh_tally_init (&node->half_open);
  moosh_tally_init (&node->inbound);
  node->sessions = g_ptr_array_new_with_free_func ((GDestroyNotify)moosh_session_unref);
  node->addresses
      = g_hash_table_new_full (g_bytes_hash, g_bytes_equal, (GDestroyNotify)g_bytes_unref, g_free);
  node->dialling
      = g_hash_table_new_full (g_bytes_hash, g_bytes_equal, (GDestroyNotify)g_bytes_unref, NULL);
  return node;
}

void
moosh_peer_node_handle (MooshPeerNode *node, const char *method, MooshPeerHandler handler,
                        gpointer user_data)
{
  g_return_if_fail (moosh_peer_method_valid (method));
  g_return_if_fail (node->acceptor == NULL && !g_hash_table_contains (node->methods, method));
  MooshHandler *entry = g_new (MooshHandler, 1);
  *entry = (MooshHandler){ handler, user_data };
  g_hash_table_insert (node->methods, g_strdup (method), entry);
}

GBytes *
moosh_node_certificate (MooshPeerNode *node)
{
  g_mutex_lock (&node->lock);
  GBytes *certificate = g_bytes_ref (node->config.certificate);
  g_mutex_unlock (&node->lock);
  return certificate;
}

gboolean
moosh_peer_node_set_certificate (MooshPeerNode *node, GBytes *certificate, GError **error)
{
  if (!own_certificate (node->config.node_key, certificate, error))
    return FALSE;
  g_mutex_lock (&node->lock);
  g_bytes_unref (node->config.certificate);
  node->config.certificate = g_bytes_ref (certificate);
  g_mutex_unlock (&node->lock);
  return TRUE;
}

/* ---- the list of sessions ---- */

MooshSession *
moosh_node_find_locked (MooshPeerNode *node, const guint8 node_key[33])
{
  for (guint i = node->sessions->len; i > 0; i--)
    {
      MooshSession *session = node->sessions->pdata[i - 1];
      if (session->ready && memcmp (session->peer.node_key, node_key, 33) == 0
          && moosh_session_alive (session))
        return moosh_session_ref (session);
    }
  return NULL;
}

/* The oldest session of the peer, when it has as many as it may. New reference. */
static MooshSession *
one_too_many (MooshPeerNode *node, const guint8 node_key[33])
{
  MooshSession *oldest = NULL;
  guint n = 0;
  for (guint i = node->sessions->len; i > 0; i--)
    {
      MooshSession *session = node->sessions->pdata[i - 1];
      if (memcmp (session->peer.node_key, node_key, 33) != 0 || !moosh_session_alive (session))
        continue;
      oldest = session;
      n++;
    }
  return n >= node->config.limits.sessions_per_peer ? moosh_session_ref (oldest) : NULL;
}

gboolean
moosh_node_list_session (MooshPeerNode *node, MooshSession *session, GError **error)
{
  const MooshPeerLimits *limits = &node->config.limits;
  g_autoptr (MooshSession) oldest = NULL;
  g_mutex_lock (&node->lock);
  gboolean stopping = node->stopping;
  gboolean room = session->peer.inbound
                      ? moosh_tally_take (&node->inbound, &session->source, limits->sessions,
                                          limits->sessions_per_source)
                      : node->outbound < limits->sessions;
  if (room)
    {
      oldest = one_too_many (node, session->peer.node_key);
      node->outbound += session->peer.inbound ? 0 : 1;
      session->listed = TRUE;
      g_ptr_array_add (node->sessions, moosh_session_ref (session));
    }
  g_mutex_unlock (&node->lock);
  if (oldest != NULL)
    {
      g_autoptr (GError) cause
          = g_error_new (MOOSH_ERROR, MOOSH_ERROR_LIMIT, "a newer session takes its place");
      moosh_session_end (oldest, cause);
    }
  if (stopping)
    g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_CANCELLED, "the node is stopping");
  else if (!room)
    g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_LIMIT, "no more sessions here now");
  if (stopping)
    moosh_node_unlist_session (node, session);
  return room && !stopping;
}

void
moosh_node_session_ready (MooshPeerNode *node, MooshSession *session)
{
  g_mutex_lock (&node->lock);
  session->ready = TRUE;
  g_mutex_unlock (&node->lock);
}

void
moosh_node_unlist_session (MooshPeerNode *node, MooshSession *session)
{
  g_mutex_lock (&node->lock);
  if (session->listed)
    {
      if (session->peer.inbound)
        moosh_tally_give (&node->inbound, &session->source);
      else
        node->outbound--;
      session->listed = session->ready = FALSE;
      g_ptr_array_remove (node->sessions, session);
    }
  g_mutex_unlock (&node->lock);
}

GArray *
moosh_peer_node_list (MooshPeerNode *node)
{
  GArray *list = g_array_new (FALSE, FALSE, sizeof (MooshPeerId));
  g_mutex_lock (&node->lock);
  for (guint i = 0; i < node->sessions->len; i++)
    {
      MooshSession *session = node->sessions->pdata[i];
      if (session->ready && moosh_session_alive (session))
        g_array_append_val (list, session->peer);
    }
  g_mutex_unlock (&node->lock);
  return list;
}

void
moosh_peer_node_drop (MooshPeerNode *node, const guint8 node_key[33])
{
  g_autoptr (GError) cause
      = g_error_new (MOOSH_ERROR, MOOSH_ERROR_CANCELLED, "session closed here");
  for (;;)
    {
      g_mutex_lock (&node->lock);
      g_autoptr (MooshSession) session = moosh_node_find_locked (node, node_key);
      g_mutex_unlock (&node->lock);
      if (session == NULL)
        return;
      moosh_session_end (session, cause);
    }
}

gboolean
moosh_node_take_bytes (MooshPeerNode *node, gsize bytes)
{
  g_mutex_lock (&node->lock);
  gboolean room = bytes <= MOOSH_PEER_BYTES_MAX - node->request_bytes;
  if (room)
    node->request_bytes += bytes;
  g_mutex_unlock (&node->lock);
  return room;
}

void
moosh_node_give_bytes (MooshPeerNode *node, gsize bytes)
{
  g_mutex_lock (&node->lock);
  node->request_bytes -= bytes;
  g_mutex_unlock (&node->lock);
}

/* ---- threads ---- */

gboolean
moosh_node_start_thread (MooshPeerNode *node, GThreadFunc run, MooshSession *session)
{
  g_autoptr (GError) error = NULL;
  g_mutex_lock (&node->lock);
  node->threads++;
  g_mutex_unlock (&node->lock);
  GThread *thread = g_thread_try_new ("peer", run, session, &error);
  if (thread == NULL)
    {
      g_warning ("peer %s: no thread for it: %s", session->peer.address, error->message);
      moosh_node_thread_done (node);
      return FALSE;
    }
  g_thread_unref (thread); /* counted, not joined */
  return TRUE;
}

void
moosh_node_thread_done (MooshPeerNode *node)
{
  g_mutex_lock (&node->lock);
  node->threads--;
  g_cond_broadcast (&node->changed);
  g_mutex_unlock (&node->lock);
}

/* ---- accepting ---- */

static void
leave_half_open (MooshPeerNode *node, const MooshSource *source)
{
  g_mutex_lock (&node->lock);
  moosh_tally_give (&node->half_open, source);
  g_cond_broadcast (&node->changed);
  g_mutex_unlock (&node->lock);
}

static gpointer
serve (gpointer data)
{
  MooshSession *session = data;
  MooshPeerNode *node = session->node;
  g_autoptr (GError) error = NULL;
  gboolean open = moosh_session_open (session, NULL,
                                      moosh_deadline (node->config.limits.handshake_ms), &error);
  leave_half_open (node, &session->source);
  if (open)
    moosh_session_read (session);
  else
    g_debug ("peer %s: not let in: %s", session->peer.address, error->message);
  moosh_session_unref (session);
  moosh_node_thread_done (node);
  return NULL;
}

static void
set_socket_options (int fd)
{
  int on = 1, unacknowledged_ms = 60000;
  setsockopt (fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  setsockopt (fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  setsockopt (fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &unacknowledged_ms, sizeof unacknowledged_ms);
}

static void
welcome (MooshPeerNode *node, int fd, const struct sockaddr *from)
{
  const MooshPeerLimits *limits = &node->config.limits;
  MooshSource source;
  moosh_source_of (from, &source);
  g_mutex_lock (&node->lock);
  gboolean room = moosh_tally_take (&node->half_open, &source, limits->half_open,
                                    limits->half_open_per_source);
  g_mutex_unlock (&node->lock);
  if (!room)
    {
      close (fd); /* there is nobody yet to say why to */
      return;
    }
  set_socket_options (fd);
  MooshSession *session = moosh_session_new (node, fd, from, TRUE);
  if (!moosh_node_start_thread (node, serve, session))
    {
      leave_half_open (node, &source);
      moosh_session_unref (session);
    }
}

static gpointer
accept_loop (gpointer data)
{
  MooshPeerNode *node = data;
  struct pollfd fds[]
      = { { .fd = node->stop_fd, .events = POLLIN }, { .fd = node->listen_fd, .events = POLLIN } };
  for (;;)
    {
      struct sockaddr_storage from;
      socklen_t len = sizeof from;
      if (poll (fds, 2, -1) < 0 && errno != EINTR)
        break;
      if (fds[0].revents != 0)
        break;
      int fd
          = accept4 (node->listen_fd, (struct sockaddr *)&from, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);
      if (fd >= 0)
        welcome (node, fd, (struct sockaddr *)&from);
      else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
        poll (fds, 1, OUT_OF_FILES_PAUSE_MS); /* the listening socket stays readable: do not spin */
    }
  return NULL;
}

static gboolean
listen_on (MooshPeerNode *node, const struct addrinfo *at, GError **error)
{
  struct sockaddr_storage bound;
  socklen_t len = sizeof bound;
  char port[8];
  int on = 1;
  int fd = socket (at->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd >= 0)
    setsockopt (fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (fd < 0 || bind (fd, at->ai_addr, at->ai_addrlen) < 0 || listen (fd, BACKLOG) < 0
      || getsockname (fd, (struct sockaddr *)&bound, &len) < 0
      || getnameinfo ((struct sockaddr *)&bound, len, NULL, 0, port, sizeof port, NI_NUMERICSERV)
             != 0)
    {
      g_set_error (error, MOOSH_ERROR,
                   errno == EADDRINUSE ? MOOSH_ERROR_CONFLICT : MOOSH_ERROR_USAGE,
                   "listen on %s port %u: %s", node->config.listen_host, node->config.listen_port,
                   g_strerror (errno));
      if (fd >= 0)
        close (fd);
      return FALSE;
    }
  node->listen_fd = fd;
  node->port = (guint16)g_ascii_strtoull (port, NULL, 10);
  return TRUE;
}

gboolean
moosh_peer_node_start (MooshPeerNode *node, GError **error)
{
  const struct addrinfo hints = { .ai_flags = AI_PASSIVE | AI_NUMERICSERV,
                                  .ai_socktype = SOCK_STREAM,
                                  .ai_family = AF_UNSPEC };
  struct addrinfo *found = NULL;
  char port[8];
  if (node->config.listen_host == NULL)
    return TRUE;
  g_return_val_if_fail (node->acceptor == NULL, FALSE);
  g_snprintf (port, sizeof port, "%u", node->config.listen_port);
  int r = getaddrinfo (node->config.listen_host, port, &hints, &found);
  if (r != 0)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE, "listen on %s: %s",
                   node->config.listen_host, gai_strerror (r));
      return FALSE;
    }
  gboolean ok = listen_on (node, found, error);
  freeaddrinfo (found);
  if (ok)
    node->acceptor = g_thread_new ("peer-accept", accept_loop, node);
  return ok;
}

guint16
moosh_peer_node_port (MooshPeerNode *node)
{
  return node->port;
}

void
moosh_peer_node_free (MooshPeerNode *node)
{
  if (node == NULL)
    return;
  g_mutex_lock (&node->lock);
  node->stopping = TRUE;
  g_mutex_unlock (&node->lock);
  eventfd_write (node->stop_fd, 1); /* wakes every thread that waits for a socket, for good */
  if (node->acceptor != NULL)
    g_thread_join (node->acceptor);
  g_mutex_lock (&node->lock);
  while (node->threads > 0 || node->callers > 0)
    g_cond_wait (&node->changed, &node->lock);
  g_mutex_unlock (&node->lock);
  g_thread_pool_free (node->handlers, FALSE, TRUE);
  if (node->listen_fd >= 0)
    close (node->listen_fd);
  close (node->stop_fd);
  g_ptr_array_unref (node->sessions);
  g_hash_table_unref (node->methods);
  g_hash_table_unref (node->addresses);
  g_hash_table_unref (node->dialling);
  moosh_tally_clear (&node->half_open);
  moosh_tally_clear (&node->inbound);
  g_bytes_unref (node->config.certificate);
  g_free ((char *)node->config.listen_host);
  g_free (node->software);
  g_mutex_clear (&node->lock);
  g_cond_clear (&node->changed);
  g_free (node);
}
