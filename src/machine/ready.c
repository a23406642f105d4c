#include "machine/ready.h"
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define TRY_EVERY_US (50 * 1000) /* at first; then a thirtieth of the time waited */
#define SLOW_DOWN    30
#define PATIENCE     4 /* a try lasts so many intervals, so that at most so many go on */
#define TRIES        8

typedef struct {
  int fd[TRIES]; /* -1: free */
  gint64 until_us[TRIES];
} Tries;

static void
start (Tries *tries, const struct sockaddr *address, socklen_t len, gint64 until_us)
{
  for (guint i = 0; i < TRIES; i++)
    if (tries->fd[i] < 0)
      {
        int fd = socket (address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd >= 0 && connect (fd, address, len) != 0 && errno != EINPROGRESS)
          {
            close (fd);
            fd = -1;
          }
        tries->fd[i] = fd;
        tries->until_us[i] = until_us;
        return;
      }
}

static void
stop_all (Tries *tries)
{
  for (guint i = 0; i < TRIES; i++)
    if (tries->fd[i] >= 0)
      close (tries->fd[i]);
}

/* Look at one connection. TRUE: an SSH server has spoken. */
static gboolean
look (Tries *tries, guint i, short revents, gint64 now_us)
{
  char banner[4];
  ssize_t got
      = revents != 0 ? recv (tries->fd[i], banner, sizeof banner, MSG_DONTWAIT | MSG_PEEK) : -1;

  if (got == sizeof banner && memcmp (banner, "SSH-", 4) == 0)
    return TRUE;
  if (now_us >= tries->until_us[i] || (revents != 0 && !(got < 0 && errno == EAGAIN)))
    {
      close (tries->fd[i]);
      tries->fd[i] = -1;
    }
  return FALSE;
}

/* One round: at most until the next try is due. 1 ready, 0 not yet, -1 with `error`. */
static int
poll_round (Tries *tries, int gone_fd, int stop_fd, gint64 next_us, GError **error)
{
  struct pollfd fds[TRIES + 2];
  gint64 now_us = g_get_monotonic_time ();

  for (guint i = 0; i < TRIES; i++)
    fds[i] = (struct pollfd){ tries->fd[i], POLLIN, 0 };
  fds[TRIES] = (struct pollfd){ gone_fd, POLLIN, 0 };
  fds[TRIES + 1] = (struct pollfd){ stop_fd, POLLIN, 0 };
  if (poll (fds, TRIES + 2, (int)(MAX (next_us - now_us, 0) / 1000) + 1) < 0 && errno != EINTR)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_FAILED, "waiting for the guest: %s",
                   g_strerror (errno));
      return -1;
    }
  now_us = g_get_monotonic_time ();
  for (guint i = 0; i < TRIES; i++)
    if (tries->fd[i] >= 0 && look (tries, i, fds[i].revents, now_us))
      return 1;
  if (fds[TRIES + 1].revents != 0)
    g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_CANCELLED, "waiting for the guest was cancelled");
  else if (fds[TRIES].revents != 0)
    g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_FAILED,
                 "the guest ended before it answered on SSH");
  else
    return 0;
  return -1;
}

gboolean
moosh_ready_wait (const char *host, guint16 port, int gone_fd, gint64 deadline_us,
                  GCancellable *stop, GError **error)
{
  g_autoptr (GSocketAddress) address = g_inet_socket_address_new_from_string (host, port);
  struct sockaddr_storage native;
  socklen_t len = address ? (socklen_t)g_socket_address_get_native_size (address) : 0;
  int stop_fd = stop != NULL ? g_cancellable_get_fd (stop) : -1, verdict = 0;
  gint64 began_us = g_get_monotonic_time (), next_us = 0;
  Tries tries;

  for (guint i = 0; i < TRIES; i++)
    tries.fd[i] = -1;
  if (address == NULL || !g_socket_address_to_native (address, &native, sizeof native, error))
    {
      g_clear_error (error);
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE, "%s is not a numeric address", host);
      verdict = -1;
    }
  while (verdict == 0)
    {
      gint64 now_us = g_get_monotonic_time ();
      if (now_us >= deadline_us)
        {
          g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_TIMEOUT,
                       "the guest did not answer on SSH in time");
          break;
        }
      if (now_us >= next_us)
        {
          gint64 every_us = MAX (TRY_EVERY_US, (now_us - began_us) / SLOW_DOWN);
          start (&tries, (struct sockaddr *)&native, len, now_us + PATIENCE * every_us);
          next_us = now_us + every_us;
        }
      verdict = poll_round (&tries, gone_fd, stop_fd, MIN (next_us, deadline_us), error);
    }
  stop_all (&tries);
  if (stop_fd >= 0)
    g_cancellable_release_fd (stop);
  return verdict > 0;
}
