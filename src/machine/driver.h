/** What can run machines: one small table of calls per kind of host or cloud.
 *
 * The host (host.h) owns inventory, journal and order of events; a driver only does what it is told
 * and reports. Every call may block, is made by one thread per machine at a time, and must cope
 * with being made again after a crash at any instant: create starts over what is half made, adopt
 * finds what survived, destroy finds nothing to do. */
#pragma once
#include "machine/journal.h"
#include "machine/request.h"
#include <gio/gio.h>
#include <json-glib/json-glib.h>

typedef enum {
  MOOSH_GUEST_ABSENT, /* no process */
  MOOSH_GUEST_LOADED, /* a process that has not been let go yet */
  MOOSH_GUEST_RUNNING,
  MOOSH_GUEST_PAUSED,
  MOOSH_GUEST_STUCK, /* stopped by the host's trouble, such as a full disk; resuming tries again */
  MOOSH_GUEST_OFF,   /* the guest powered itself off; the process waits to be ended */
} MooshGuestState;

typedef struct MooshDriver MooshDriver;

/** Something happened to a machine's guest: it ended (`gone`), powered itself off, or stands still.
 * Called from any thread; the host will look. */
typedef void (*MooshGuestEvent) (gint64 machine_id, gboolean gone, gpointer user_data);

struct MooshDriver {
  const char *name;

  /** Sizes the driver sells, [{name, vcpu_milli, ram_mib, disk_gib}], or NULL without error: any
   * that fits. */
  JsonArray *(*sizes) (MooshDriver *driver, GError **error);
  /** Ready-made images, [{name, description}]; NULL without error, or a NULL call: it runs built
   * systems. */
  JsonArray *(*images) (MooshDriver *driver, GError **error);
  /** Make what a machine needs before its system is known, in its directory, which is there:
   * storage, its key, SSH host key (into m->host_key), seed. */
  gboolean (*create) (MooshDriver *driver, MooshMachine *m, const MooshRequest *request,
                      GError **error);
  /** Start the built system (m->kernel, initrd, cmdline) on it; m->uid and its ports are already in
   * the journal. Sets pid, pid_start and accel. MOOSH_ERROR_CONFLICT: a port is taken by somebody
   * else, try others; MOOSH_ERROR_NOT_FOUND: the built system is gone, build it again. On any error
   * no guest is left. */
  gboolean (*deploy) (MooshDriver *driver, MooshMachine *m, GError **error);
  /** Find the guest of a machine after a restart of ours and watch it again; sets pid and pid_start
   * (0: none). */
  gboolean (*adopt) (MooshDriver *driver, MooshMachine *m, GError **error);
  /** Wait until SSH answers, the guest ends (MOOSH_ERROR_FAILED), `deadline_us` (monotonic) or
   * `stop`. */
  gboolean (*wait_ready) (MooshDriver *driver, MooshMachine *m, gint64 deadline_us,
                          GCancellable *stop, GError **error);
  gboolean (*status) (MooshDriver *driver, MooshMachine *m, MooshGuestState *ret, GError **error);
  gboolean (*pause) (MooshDriver *driver, MooshMachine *m, GError **error);
  gboolean (*resume) (MooshDriver *driver, MooshMachine *m, GError **error);
  gboolean (*reboot) (MooshDriver *driver, MooshMachine *m, GError **error);
  /** Press the power button. */
  gboolean (*power_button) (MooshDriver *driver, MooshMachine *m, GError **error);
  /** End the guest process now and undo its isolation and limits; storage stays, and unless it is
   * `for_good` what is needed to boot it again. No guest: success. */
  gboolean (*kill) (MooshDriver *driver, MooshMachine *m, gboolean for_good, GError **error);
  /** Destroy the storage's key, then the storage. Nothing there: success. */
  gboolean (*destroy) (MooshDriver *driver, MooshMachine *m, GError **error);
  /** Keep the storage's present content under `name`; NULL: the driver cannot (qemu's does not: a
   * snapshot would take disk that nobody rented). */
  gboolean (*snapshot) (MooshDriver *driver, MooshMachine *m, const char *name, GError **error);
  /** What the units cost the provider, in thousandths of a US cent an hour; NULL: its own hardware,
   * no price list. */
  gboolean (*price) (MooshDriver *driver, const MooshMachineUnits *units, gint64 *ret,
                     GError **error);
  void (*free) (MooshDriver *driver);
};
