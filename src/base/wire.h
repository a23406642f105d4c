/** Lines over a socket with deadlines: the framing below rpc_server.c and rpc_client.c. Private to
 * base. */
#pragma once
#include "base/error.h"
#include <gio/gio.h>

/** No deadline. */
#define MOOSH_WIRE_FOREVER (-1)

/** Send everything until the monotonic time `deadline_us`. */
gboolean moosh_wire_send (GSocket *socket, const char *text, gsize len, gint64 deadline_us,
                          GCancellable *cancellable, GError **error);

/** The next line, without its newline, at most `max` bytes; what follows it stays in `buffer` for
 * the next call. NULL without error: the other side closed between two lines. MOOSH_ERROR_LIMIT:
 * longer than `max`. */
char *moosh_wire_read_line (GSocket *socket, GString *buffer, gsize max, gint64 deadline_us,
                            GCancellable *cancellable, GError **error);
