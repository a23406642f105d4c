/** QEMU's monitor (QMP: docs/interop/qmp-spec in QEMU) over a unix socket: commands from any
 * thread, events to one function.
 *
 * QEMU is not trusted: it may be in a guest's hands. A line of it is at most 256 KiB, of objects
 * nested as base/json.h allows; what it says is only ever compared with what we wait for. */
#pragma once
#include "base/error.h"
#include <glib.h>
#include <json-glib/json-glib.h>

typedef struct MooshQmp MooshQmp;

/** `name` is the event's ("SHUTDOWN", "STOP"...), or NULL when the connection has ended. Runs on
 * the context's thread. */
typedef void (*MooshQmpEvent) (const char *name, JsonObject *data, gpointer user_data);

/** Connect to `path` and negotiate. Reads on `context`, which a thread other than the caller's must
 * be running. MOOSH_ERROR_UNAVAILABLE: nobody listens; MOOSH_ERROR_TIMEOUT: no greeting in
 * `timeout_ms`. */
MooshQmp *moosh_qmp_new (GMainContext *context, const char *path, guint timeout_ms,
                         MooshQmpEvent event, gpointer user_data, GDestroyNotify destroy,
                         GError **error);
/** Disconnect. No event is reported once this has returned, but for one that is being reported at
 * this moment: `destroy` (may be NULL) is called on user_data after that one, also when
 * moosh_qmp_new fails. */
void moosh_qmp_free (MooshQmp *qmp);

/** Run a command and return its "return" member: an object (an empty one for anything else). Calls
 * take turns. `arguments` (NULL: none) is taken. MOOSH_ERROR_REFUSED: QEMU said no;
 * MOOSH_ERROR_TIMEOUT; MOOSH_ERROR_UNAVAILABLE: the connection is gone. */
JsonObject *moosh_qmp_call (MooshQmp *qmp, const char *command, JsonObject *arguments,
                            guint timeout_ms, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (MooshQmp, moosh_qmp_free)
