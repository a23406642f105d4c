/* What the files of the host share. */
#pragma once
#include "machine/blueprint.h"
#include "machine/host.h"
#include "machine/qemu.h"

#define MOOSH_RETRY_S 10 /* between two tries of what the host's trouble prevents */

/* Who drives one machine, and how to interrupt it. */
typedef struct {
  gint64 id;
  gboolean busy;      /* a thread is at it */
  gboolean again;     /* something changed meanwhile: look once more */
  GCancellable *stop; /* the build or boot going on now */
  /* what could not be written, because the disk is full, say: shown meanwhile, and tried again */
  gboolean unsaved;
  MooshMachineState state;
  char *step, *error;
} Worker;

struct MooshHost {
  MooshHostConfig config;
  MooshStore *store;
  MooshBuilder *builder; /* NULL: builder_error says why */
  char *builder_error;
  MooshQemu *qemu;
  MooshDriver *driver; /* the one driver there is: qemu's */
  GThreadPool *pool;
  GMutex inventory;    /* reservations and changes of pools take turns */
  GMutex lock;         /* guards what follows */
  GCond changed;       /* a machine's state, or the end of a worker */
  GHashTable *workers; /* id → Worker */
  gboolean stopping;
  GThread *clock; /* retention, firewall */
  gint64 next_look_us;
  gint64 next_tidy_us; /* the clock thread's own */
};

/* Have the machine's worker look at it; `interrupt`: what it is doing is not wanted any more. Any
 * thread. */
void moosh_host_kick (MooshHost *host, gint64 id, gboolean interrupt);

/* Bring a machine to where it is wanted; the worker's one function (host_drive.c). */
void moosh_host_drive (MooshHost *host, gint64 id, GCancellable *stop);

/* Say in the machine's log what happened, with the time. */
void moosh_host_say (MooshHost *host, const MooshMachine *m, const char *format, ...)
    G_GNUC_PRINTF (3, 4);

/* Write the driven half of the machine and wake who waits for it. What cannot be written is shown
 * all the same (moosh_host_show), and the worker looks again in a while. */
gboolean moosh_host_save (MooshHost *host, const MooshMachine *m, GError **error);

/* Make a machine from the journal show what could not be written of it. With the lock held. */
void moosh_host_show (MooshHost *host, MooshMachine *m);

/* Is there something of the machine that could not be written? */
gboolean moosh_host_unsaved (MooshHost *host, const MooshMachine *m);

/* Look again at this machine when the wall clock says `at_s`. */
void moosh_host_look_at (MooshHost *host, gint64 at_s);

/* Delete what nobody needs: systems when disk is short, and the logs of machines that ended long
 * ago (host_tidy.c). */
void moosh_host_tidy (MooshHost *host);

/* The first range of users tried: between what Debian, systemd and subuid ranges use. */
#define MOOSH_UID_FIRST 71000

/* Set config->uid_first to a range of users that is ours alone, on this host and across restarts
 * (host_claim.c). */
gboolean moosh_host_claim_users (MooshHostConfig *config, MooshStore *store, GError **error);
/* Give it back, and take the firewall away: no guest is left. The journal remembers it for the next
 * start. */
void moosh_host_unclaim_users (const MooshHostConfig *config);
