#include "machine/console.h"
#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* The file: magic, bytes ever printed (little endian), then the ring; byte n of the stream lies at
 * n mod its size. */
#define MAGIC    "MOOSHCON"
#define HEADER   16
#define BURST    (64 * 1024)
#define PAUSE_MS 50

struct MooshConsole {
  int fd;
  char *ring_path;
  GMainContext *context;
  GMutex lock;
  GSource *source; /* reads, or waits for the next burst; NULL once detached or ended */
  gsize burst;
};

static gboolean
fail (const char *path, const char *what, GError **error)
{
  g_set_error (error, MOOSH_ERROR, errno == ENOSPC ? MOOSH_ERROR_LIMIT : MOOSH_ERROR_FAILED,
               "console %s: cannot %s: %s", path, what, g_strerror (errno));
  return FALSE;
}

/* Bytes ever printed; 0 for a new or foreign file. */
static guint64
read_total (int fd)
{
  guint8 header[HEADER];
  guint64 total;

  if (pread (fd, header, HEADER, 0) != HEADER || memcmp (header, MAGIC, 8) != 0)
    return 0;
  memcpy (&total, header + 8, 8);
  return GUINT64_FROM_LE (total);
}

gboolean
moosh_console_append (const char *ring_path, const void *bytes, gsize len, GError **error)
{
  int fd = open (ring_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  const guint8 *from = bytes;
  guint8 header[HEADER] = MAGIC;
  guint64 total;
  gboolean ok = TRUE;

  if (fd < 0)
    return fail (ring_path, "open it", error);
  total = read_total (fd);
  if (len > MOOSH_CONSOLE_RING)
    {
      total += len - MOOSH_CONSOLE_RING;
      from += len - MOOSH_CONSOLE_RING;
      len = MOOSH_CONSOLE_RING;
    }
  while (ok && len > 0)
    {
      gsize at = (gsize)(total % MOOSH_CONSOLE_RING), part = MIN (len, MOOSH_CONSOLE_RING - at);
      ok = pwrite (fd, from, part, (off_t)(HEADER + at)) == (ssize_t)part;
      from += part, len -= part, total += part;
    }
  total = GUINT64_TO_LE (total);
  memcpy (header + 8, &total, 8);
  if (!ok || pwrite (fd, header, HEADER, 0) != HEADER)
    ok = fail (ring_path, "write", error);
  close (fd);
  return ok;
}

GBytes *
moosh_console_read (const char *ring_path, gint64 offset, gsize max, gint64 *ret_offset,
                    gint64 *ret_end, GError **error)
{
  int fd = open (ring_path, O_RDONLY | O_CLOEXEC);
  gint64 end, oldest;
  gsize len, done = 0;
  guint8 *bytes;

  if (fd < 0 && errno != ENOENT)
    {
      fail (ring_path, "open it", error);
      return NULL;
    }
  end = fd < 0 ? 0 : (gint64)MIN (read_total (fd), G_MAXINT64 / 2);
  oldest = MAX (0, end - MOOSH_CONSOLE_RING);
  if (offset < 0)
    offset = offset < -end ? 0 : end + offset;
  offset = CLAMP (offset, oldest, end);
  len = MIN (max, (gsize)(end - offset));
  bytes = g_malloc (len + 1);
  while (done < len)
    {
      gsize at = (gsize)((offset + (gint64)done) % MOOSH_CONSOLE_RING),
            part = MIN (len - done, MOOSH_CONSOLE_RING - at);
      if (pread (fd, bytes + done, part, (off_t)(HEADER + at)) != (ssize_t)part)
        break;
      done += part;
    }
  if (fd >= 0)
    close (fd);
  *ret_offset = offset;
  *ret_end = end;
  return g_bytes_new_take (bytes, done);
}

/* ---- the reader ---- */

static void
clear (gpointer pointer)
{
  MooshConsole *console = pointer;

  close (console->fd);
  g_free (console->ring_path);
  g_main_context_unref (console->context);
  g_mutex_clear (&console->lock);
}

static void
unref (gpointer pointer)
{
  g_atomic_rc_box_release_full (pointer, clear);
}

/* Replace the source; with the lock held. NULL: stop. */
static void
set_source (MooshConsole *console, GSource *source, GSourceFunc function)
{
  if (console->source != NULL)
    {
      g_source_destroy (console->source);
      g_source_unref (console->source);
    }
  console->source = source;
  if (source == NULL)
    return;
  g_source_set_callback (source, function, g_atomic_rc_box_acquire (console), unref);
  g_source_attach (source, console->context);
}

static gboolean on_readable (int fd, GIOCondition condition, gpointer pointer);

static gboolean
on_rested (gpointer pointer)
{
  MooshConsole *console = pointer;

  g_mutex_lock (&console->lock);
  console->burst = 0;
  if (console->source != NULL)
    set_source (console, g_unix_fd_source_new (console->fd, G_IO_IN | G_IO_HUP),
                G_SOURCE_FUNC (on_readable));
  g_mutex_unlock (&console->lock);
  return G_SOURCE_REMOVE;
}

static gboolean
on_readable (int fd, GIOCondition condition, gpointer pointer)
{
  MooshConsole *console = pointer;
  char chunk[16384];
  ssize_t got = recv (fd, chunk, sizeof chunk, MSG_DONTWAIT);
  g_autoptr (GError) error = NULL;
  gboolean tired;

  (void)condition;
  if (got < 0 && (errno == EAGAIN || errno == EINTR))
    return G_SOURCE_CONTINUE;
  /* a full disk costs console output, never the guest */
  if (got > 0 && !moosh_console_append (console->ring_path, chunk, (gsize)got, &error))
    g_debug ("%s", error->message);
  g_mutex_lock (&console->lock);
  console->burst += (gsize)MAX (got, 0);
  tired = console->burst >= BURST && console->source != NULL;
  if (tired)
    set_source (console, g_timeout_source_new (PAUSE_MS), on_rested);
  g_mutex_unlock (&console->lock);
  return got > 0 && !tired ? G_SOURCE_CONTINUE : G_SOURCE_REMOVE;
}

MooshConsole *
moosh_console_attach (GMainContext *context, const char *socket_path, const char *ring_path,
                      GError **error)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  int fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  MooshConsole *console;

  g_strlcpy (address.sun_path, socket_path, sizeof address.sun_path);
  if (fd < 0 || connect (fd, (struct sockaddr *)&address, sizeof address) != 0)
    {
      fail (socket_path, "connect", error);
      if (fd >= 0)
        close (fd);
      return NULL;
    }
  console = g_atomic_rc_box_new0 (MooshConsole);
  console->fd = fd;
  console->ring_path = g_strdup (ring_path);
  console->context = g_main_context_ref (context);
  g_mutex_init (&console->lock);
  g_mutex_lock (&console->lock);
  set_source (console, g_unix_fd_source_new (fd, G_IO_IN | G_IO_HUP), G_SOURCE_FUNC (on_readable));
  g_mutex_unlock (&console->lock);
  return console;
}

void
moosh_console_detach (MooshConsole *console)
{
  g_mutex_lock (&console->lock);
  set_source (console, NULL, NULL);
  g_mutex_unlock (&console->lock);
  unref (console);
}
