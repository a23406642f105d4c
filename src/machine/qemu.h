/** The driver for this host's own processor: one QEMU process per machine, under a user of its own.
 *
 * Files below `vm_dir`/<machine id>: disk/ (disk.h), seed.iso, qmp and console.sock (sockets),
 * console (ring). All belong to root; the process gets open descriptors and no path.
 *
 * A guest's process outlives us. It is found again by its user, which no other process has, and
 * spoken to over QMP; it keeps an ended guest's process around (-no-shutdown) so that a power-off
 * is told from a crash also by a manager that was away when it happened. */
#pragma once
#include "machine/cgroup.h"
#include "machine/driver.h"
#include "machine/fence.h"
#include "machine/probe.h"

typedef struct {
  const char *vm_dir;
  const char *listen_host;
  gint64 uid_first, uid_count; /* uid_first is the probe's, guests have the others */
  const char *cgroup_root;     /* NULL: /sys/fs/cgroup */
  guint spares;                /* encrypted disks to keep ahead */
  MooshGuestEvent event;
  gpointer event_data;
} MooshQemuConfig;

typedef struct MooshQemu MooshQemu;

/** Strings are copied. `online`: users of the machines with Internet access.
 * MOOSH_ERROR_UNAVAILABLE: no nftables, so guests cannot be kept off the host's network; nothing is
 * run without. */
MooshQemu *moosh_qemu_new (const MooshQemuConfig *config, const gint64 *online, guint n_online,
                           GError **error);
MooshDriver *moosh_qemu_driver (MooshQemu *qemu);

/** The acceleration guests get; waits for the probe that began with moosh_qemu_new. `ret_note` as
 * moosh_accel_probe. */
MooshAccel moosh_qemu_accel (MooshQemu *qemu, gboolean again, char **ret_note);
MooshLimitsKind moosh_qemu_limits (MooshQemu *qemu, const char **ret_note);

/** Processors for guests of shared pools from now on, and for those that run; empty: all. */
void moosh_qemu_share_cores (MooshQemu *qemu, const MooshCores *cores);

/** Load the firewall again if somebody took it away. */
gboolean moosh_qemu_keep_fence (MooshQemu *qemu, GError **error);
