/** The provider's journal: pools and machines in one SQLite file, written before every side effect.
 *
 * A machine has what is *wanted* of it (set by requests) and the *state* it has reached (set by the
 * one thread that drives it); the two are written by separate calls so that neither overwrites the
 * other. After a crash the pair says what to do next (host.h). */
#pragma once
#include "base/store.h"
#include "machine/inventory.h"

/** How far a machine has come.
 *
 * Invariants: (1) units are held in every state but RELEASED, RETAINED and DESTROYED, the disk of a
 * RETAINED machine still holds its disk units; (2) RELEASED and DESTROYED are final; (3) the disk's
 * key is on disk in no final state. */
typedef enum {
  MOOSH_MACHINE_RESERVED, /* units are held; nothing runs */
  MOOSH_MACHINE_BUILDING, /* fetching, evaluating, building the system; the disk is made meanwhile
                           */
  MOOSH_MACHINE_BOOTING,  /* a guest process exists or is about to; SSH does not answer yet */
  MOOSH_MACHINE_RUNNING,
  MOOSH_MACHINE_PAUSED,
  MOOSH_MACHINE_STOPPED, /* powered off; the disk is kept, units are held */
  MOOSH_MACHINE_FAILED, /* `error` says why; no guest; units are held until released or destroyed */
  MOOSH_MACHINE_RETAINED,  /* no guest; the encrypted disk is kept until retain_until_s */
  MOOSH_MACHINE_DESTROYED, /* the disk's key is gone */
  MOOSH_MACHINE_RELEASED,  /* given back before it was used */
} MooshMachineState;

typedef enum {
  MOOSH_WANT_NOTHING, /* only the reservation */
  MOOSH_WANT_RUN,
  MOOSH_WANT_PAUSE,
  MOOSH_WANT_STOP,
  MOOSH_WANT_GONE,
} MooshMachineWant;

/** A port of the host that leads to one of the guest's. */
typedef struct {
  guint16 guest, host;
} MooshForward;

typedef struct {
  gint64 id; /* row number: names the directory, never used twice */
  char *agreement;
  char *pool;
  MooshMachineUnits units;
  MooshCores cores; /* owned by this machine alone; empty in a shared pool */
  GBytes *request_hash;
  gint64 reserved_s;

  MooshMachineWant want;
  gint64 retain_until_s; /* with MOOSH_WANT_GONE */
  GBytes *request;       /* the provision request as received; NULL before */
  char *policy;          /* the offer's software policy; NULL: everything is allowed */
  gboolean internet;
  gint64 reboots_wanted; /* counts machine.reboot; done when `reboots` has caught up */

  MooshMachineState state;
  char *step;            /* what it is doing, for people; "" when nothing */
  char *error;           /* why it failed; "" */
  gint64 uid;            /* the guest's user; 0: none */
  gint64 pid, pid_start; /* the guest process and its start in clock ticks after boot; 0: none */
  char *system;          /* store path of the built system; NULL before */
  char *kernel, *initrd, *cmdline,
      *store_image;         /* its files; NULL before, the image also when there is none */
  char *host_key;           /* OpenSSH public key line; NULL before */
  char *accel;              /* "kvm" or "tcg"; NULL before */
  gint64 build_ms, boot_ms; /* how long they took; 0 before */
  gint64 running_since_s;   /* SSH answered; 0: not since the last start */
  gint64 restarts;          /* guests started after the first */
  gint64 crashes;           /* starts in a row because the guest process died by itself */
  gint64 reboots;           /* reboots done */

  GArray
      *forwards; /* MooshForward; the one to port 22 is the endpoint (moosh_journal_take_ports) */
} MooshMachine;

/** The host port that leads to `guest`; 0: none. */
guint16 moosh_machine_port (const MooshMachine *machine, guint16 guest);

extern const char *const moosh_machine_migrations[];

const char *moosh_machine_state_name (MooshMachineState state);
gboolean moosh_machine_state_final (MooshMachineState state);

void moosh_machine_free (MooshMachine *machine);

/** A name we give directories and log lines: 1–80 of [A-Za-z0-9._-], not starting with a dot or
 * dash. */
gboolean moosh_agreement_check (const char *agreement, GError **error);

/** Pools, each with what its machines hold; element type MooshPool. NULL on error. */
GPtrArray *moosh_journal_pools (MooshStore *store, GError **error);
/** One pool; MOOSH_ERROR_NOT_FOUND. Free with g_free. */
MooshPool *moosh_journal_pool (MooshStore *store, const char *id, GError **error);
/** Write id, class, ratio, capacity and cores (`reserved` and `busy` are derived from machines). */
gboolean moosh_journal_put_pool (MooshStore *store, const MooshPool *pool, GError **error);

/** The newest machine of the agreement; MOOSH_ERROR_NOT_FOUND. */
MooshMachine *moosh_journal_machine (MooshStore *store, const char *agreement, GError **error);
MooshMachine *moosh_journal_machine_by_id (MooshStore *store, gint64 id, GError **error);
/** All machines in the order of their reservation, `live_only`: without those in a final state. */
GPtrArray *moosh_journal_machines (MooshStore *store, gboolean live_only, GError **error);

/** Record a reservation: the agreement is accepted by this very record. Sets machine->id. */
gboolean moosh_journal_reserve (MooshStore *store, MooshMachine *machine, GError **error);
/** Write what was wanted last: from `want` to `reboots_wanted`. */
gboolean moosh_journal_want (MooshStore *store, const MooshMachine *machine, GError **error);
/** Forget the provision request, which may carry secrets: nothing will be booted from it again. */
gboolean moosh_journal_forget_request (MooshStore *store, MooshMachine *machine, GError **error);
/** Write everything the driving thread owns: from `state` to `reboots`. */
gboolean moosh_journal_save (MooshStore *store, const MooshMachine *machine, GError **error);

/** A user number in [first, first + count) that no unfinished machine has; 0: all are taken. */
gint64 moosh_journal_free_uid (MooshStore *store, gint64 first, gint64 count);

/** Give the machine a host port, in [first, first + count) and not below `from`, for each of `n`
 * guest ports; those it had are given up. MOOSH_ERROR_LIMIT: not enough are left; then nothing is
 * changed. */
gboolean moosh_journal_take_ports (MooshStore *store, MooshMachine *machine, const guint16 *guest,
                                   guint n, gint64 first, gint64 count, gint64 from,
                                   GError **error);
gboolean moosh_journal_drop_ports (MooshStore *store, MooshMachine *machine, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (MooshMachine, moosh_machine_free)
