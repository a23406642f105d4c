/** The provider's machines: inventory, journal, and what drives each machine to where it is wanted.
 *
 * A request changes what is *wanted* (and says so in the journal), then the machine's own worker
 * makes it so, one step at a time, each in the journal before its effect. At most one worker exists
 * per machine; none while nothing is to do. After a crash moosh_host_new compares the journal with
 * the guests that are alive and goes on where it was: a build starts again, a booting guest is
 * adopted, a guest that died is booted again, and one that runs is left alone.
 *
 * All calls are thread-safe and may block for short file and SQLite work. */
#pragma once
#include "machine/driver.h"

/** Settings of vmmd.conf (docs name them as [group] key); numbers are gint64 so that one table
 * reads them all. */
typedef struct {
  char *state_dir;
  char *listen_host;             /* where forwarded ports listen */
  char *public_host;             /* what clients connect to; NULL: listen_host */
  gint64 port_first, port_count; /* forwarded ports */
  gboolean internet;             /* default of machine.provision */
  gint64 uid_first,
      uid_count;     /* one user per guest, the first is the probe's; 0: a range nobody else has */
  gint64 boot_s;     /* a guest must answer on SSH within */
  gint64 poweroff_s; /* and go away within, after the power button */
  gint64 spare_disks;
  char *build_dir; /* store of built systems; NULL: /var/lib/mooshnet-build/<uid_first>.
                      World-searchable, so not below state_dir */
  char *guest_dir; /* what nix/micro takes the kernel from; NULL: the usual place */
  char *nix_dir;   /* <moosh> of blueprints; NULL: beside the program, or the installed one */
  char *ssh_key;   /* for ssh:// blueprints; NULL: none */
  gint64 builds_at_once, fetch_s, fetch_mib, eval_s, eval_mib, build_s, build_silence_s, build_mib,
      build_processes, build_disk_mib, build_cores;
  gboolean allow_file_urls, allow_private_hosts;
  gint64 tidy_below_pct;           /* free disk below which systems no machine uses are deleted */
  gint64 keep_logs_days;           /* how long an ended machine's log and console stay */
  char *rpc_user;                  /* who may call besides root; NULL: nobody */
  gint64 cores, ram_mib, disk_gib; /* what inventory may claim; 0: what the host has */
} MooshHostConfig;

void moosh_host_config_clear (MooshHostConfig *config);
/** Defaults, then vmmd.conf. MOOSH_ERROR_USAGE names the key that is unknown or out of range. */
gboolean moosh_host_config_load (MooshHostConfig *config, GKeyFile *file, const char *state_dir,
                                 GError **error);

typedef struct MooshHost MooshHost;

/** Open STATE/vmmd.db, set up isolation, and take up every machine where the journal says it was.
 * Takes what is in `config` and leaves it empty, also on error. */
MooshHost *moosh_host_new (MooshHostConfig *config, GError **error);
/** Stop driving. Guests go on; builds and boots in progress are taken up by the next start. */
void moosh_host_free (MooshHost *host);

const MooshHostConfig *moosh_host_config (MooshHost *host);

/** All pools; element type MooshPool. */
GPtrArray *moosh_host_pools (MooshHost *host, GError **error);
/** Make or change a pool (`capacity`, class, ratio and id of `pool` count) and fill the rest in.
 * MOOSH_ERROR_LIMIT: the pools together would claim more than the host has. MOOSH_ERROR_CONFLICT:
 * its class cannot change while machines hold units. */
gboolean moosh_host_set_pool (MooshHost *host, MooshPool *pool, GError **error);

/** See machine.reserve and the other methods in schema/vmmd.json. Each returns the machine as it
 * then is. */
MooshMachine *moosh_host_reserve (MooshHost *host, const char *agreement, const char *pool,
                                  const MooshMachineUnits *units, GBytes *request_hash,
                                  GError **error);
MooshMachine *moosh_host_provision (MooshHost *host, const char *agreement, GBytes *request,
                                    gboolean internet, const char *policy, GError **error);
MooshMachine *moosh_host_machine (MooshHost *host, const char *agreement, GError **error);
GPtrArray *moosh_host_machines (MooshHost *host, gboolean all, GError **error);
MooshMachine *moosh_host_wait (MooshHost *host, const char *agreement, const char *state,
                               guint timeout_ms, GError **error);

typedef enum {
  MOOSH_HOST_RELEASE,
  MOOSH_HOST_PAUSE,
  MOOSH_HOST_RESUME,
  MOOSH_HOST_REBOOT,
  MOOSH_HOST_POWEROFF,
  MOOSH_HOST_DESTROY,
} MooshHostAction;

/** Do one of the above; `retain_until_s` counts for MOOSH_HOST_DESTROY only. MOOSH_ERROR_CONFLICT:
 * not in this state. */
MooshMachine *moosh_host_act (MooshHost *host, const char *agreement, MooshHostAction action,
                              gint64 retain_until_s, GError **error);

/** Paths of the machine's log and console ring (console.h); new strings. */
char *moosh_host_log_path (MooshHost *host, const MooshMachine *m);
char *moosh_host_console_path (MooshHost *host, const MooshMachine *m);

/** What host.measure answers; new object. */
JsonObject *moosh_host_measure (MooshHost *host, gboolean probe_again, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (MooshHost, moosh_host_free)
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (MooshHostConfig, moosh_host_config_clear)
