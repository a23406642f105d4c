/** A guest's serial console: a bounded ring on disk, filled from QEMU's socket.
 *
 * The guest may print as fast as it likes: the ring keeps the last MOOSH_CONSOLE_RING bytes, and
 * reading is throttled to 64 KiB every 50 ms, so a flood slows the guest's serial line and costs
 * the host next to nothing. Bytes printed while no reader is attached are lost. */
#pragma once
#include "base/error.h"
#include <glib.h>

#define MOOSH_CONSOLE_RING (256 * 1024)

typedef struct MooshConsole MooshConsole;

/** Connect to `socket_path` and append what comes to the ring at `ring_path` (made if missing), on
 * `context`'s thread, until the socket ends or moosh_console_detach. */
MooshConsole *moosh_console_attach (GMainContext *context, const char *socket_path,
                                    const char *ring_path, GError **error);
void moosh_console_detach (MooshConsole *console);

/** Append to a ring file, as the reader does. */
gboolean moosh_console_append (const char *ring_path, const void *bytes, gsize len, GError **error);

/** Read at most `max` bytes from stream position `offset` (negative: that many before the end).
 * `ret_offset` is where the bytes really begin, `ret_end` how many were ever printed. A missing
 * ring is an empty one. */
GBytes *moosh_console_read (const char *ring_path, gint64 offset, gsize max, gint64 *ret_offset,
                            gint64 *ret_end, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (MooshConsole, moosh_console_detach)
