/* What the files of the QEMU driver share. */
#pragma once
#include "machine/console.h"
#include "machine/qemu.h"
#include "machine/qmp.h"

/* One guest's process, as seen from here. Held by the table and by whoever works with it. */
typedef struct {
  gint64 id;
  int pidfd;
  pid_t pid;
  gboolean pinned; /* has cores of its own */
  GSource *exit;   /* fires when the process ends */
  int off_fd;      /* eventfd: readable once the guest has powered itself off */
  int over_fd;     /* epoll of pidfd and off_fd: readable when there is no more to wait for */
  MooshQmp *qmp;
  MooshConsole *console;
} Guest;

struct MooshQemu {
  MooshDriver driver; /* first: a MooshDriver * is a MooshQemu * */
  MooshQemuConfig config;
  char *vm_dir, *listen_host, *cgroup_root, *limits_note;
  MooshLimitsKind limits;
  MooshFence *fence;
  GMainContext *context; /* reads monitors and consoles, on `thread` */
  GMainLoop *loop;
  GThread *thread, *helper; /* helper: probes, then makes spare disks */
  GMutex lock;              /* guards what follows */
  GCond changed;
  GHashTable *guests; /* id → Guest, reference counted */
  MooshCores shared_cores;
  MooshAccel accel;
  char *accel_note;
  gboolean accel_known, stopping;
  guint booting; /* guests that wait for SSH: making spare disks would slow them */
};

char *moosh_qemu_path (MooshQemu *qemu, gint64 id, const char *name);
char *moosh_qemu_cgroup (MooshQemu *qemu, gint64 id);

/* Start the process, paused; it is up when its monitor answers. The descriptors belong to the
 * caller, who closes `ret_stderr_fd` once it is up: later words go nowhere (QEMU ignores SIGPIPE),
 * and nobody can fill our disk with them. */
gboolean moosh_qemu_start (MooshQemu *qemu, MooshMachine *m, MooshAccel accel, int *ret_pidfd,
                           int *ret_stderr_fd, GError **error);
/* It did not come up: end it, and say what it said. MOOSH_ERROR_CONFLICT: a forwarded port is
 * taken. */
void moosh_qemu_explain (const MooshMachine *m, int stderr_fd, GError **error);
