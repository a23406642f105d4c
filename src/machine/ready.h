/** Waiting for a guest's SSH server, as finely as it pays. */
#pragma once
#include "base/error.h"
#include <gio/gio.h>

/** Wait until somebody who answers at host:port says "SSH-".
 *
 * The forwarded port accepts long before the guest does, and a connection made too early may hang
 * in the guest's unfinished network for seconds; so a new one is tried every 50 ms, and each has
 * 200 ms. A guest that is slower than that would drown in half-open connections (dropbear takes 5):
 * both times grow with the time waited, so that at most four tries go on at once and a guest that
 * answers after t is found after 7.5 t at the latest.
 *
 * host         numeric address
 * gone_fd      readable when the guest is over (pollable, as a pidfd): MOOSH_ERROR_FAILED; -1: not
 *              watched
 * deadline_us  monotonic: MOOSH_ERROR_TIMEOUT
 * stop         MOOSH_ERROR_CANCELLED; may be NULL */
gboolean moosh_ready_wait (const char *host, guint16 port, int gone_fd, gint64 deadline_us,
                           GCancellable *stop, GError **error);
