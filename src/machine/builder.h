/** The builder's inside: what builder.c, build_job.c and blueprint.c share. Private to them.
 *
 *   STATE/nix/          the store's root; belongs to the build user
 *   STATE/work/XXXXXX/  one build: fetch/ (git's), home/ (Nix's scratch space)
 *   STATE/systems/KEY/  what was built: `record` and `log`; KEY hashes everything the result
 * depends on STATE/guest/path    the logical path of the guest's parts: <guest> to nix/micro */
#pragma once
#include "machine/blueprint.h"
#include "machine/cgroup.h"
#include "machine/nix.h"

struct MooshBuilder {
  char *state, *guest_dir, *nix_dir, *ssh_key;
  gboolean allow_file, allow_private_hosts;
  MooshBuildLimits limits;
  char **(*in_use) (gpointer data);
  gpointer in_use_data;
  MooshLimitsKind limits_kind;
  MooshNix nix;

  GMutex lock; /* everything below */
  GCond changed;
  guint running;
  guint64 slots; /* bit n: slot n is taken */
  gboolean collecting, prepared;
};

typedef struct {
  MooshBuilder *builder;
  const MooshRequest *request;
  const char *policy;
  char commit[2 * MOOSH_COMMIT_LEN + 1];
  char *label; /* "blueprint URL#attribute" */
  char *key;   /* of the cache */
  MooshLog log;
  const char *log_path;
  GCancellable *cancellable;
  guint slot;
  gboolean has_slot;
  char *dir, *fetch_dir, *home; /* scratch */
  char *cgroup;
  char **procs;
  GHashTable *before; /* names in the store when the build began */
} MooshBuildJob;

/** Set an error and return FALSE. */
gboolean moosh_build_fail (GError **error, MooshError code, const char *format, ...)
    G_GNUC_PRINTF (3, 4);

/** Add the guest's parts and our nix/ directory to the store, once. */
gboolean moosh_builder_prepare (MooshBuilder *builder, GError **error);

/** When the store is larger than it may be: forget what nobody uses, unless a build is running. */
void moosh_builder_make_room (MooshBuilder *builder);

/** A fresh directory below work/ and, in it, the build user's home; new strings. */
char *moosh_build_scratch (MooshBuilder *builder, char **ret_home, GError **error);

/** Wait for a turn, then make scratch space and control group. */
gboolean moosh_build_job_begin (MooshBuildJob *job, GError **error);
/** Wait for the job's processes to be gone, and undo all of that. */
void moosh_build_job_clear (MooshBuildJob *job);

/** RLIMIT_NPROC for the job's commands; 0 where its control group does that. */
guint moosh_build_job_processes (const MooshBuildJob *job);

/** From here on, count what is new in the store. */
void moosh_build_job_count_from_here (MooshBuildJob *job);
/** A MooshChildWatch: ends a job that takes more disk than it may, or the last of it. */
gboolean moosh_build_job_watch (gpointer job, GError **error);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (MooshBuildJob, moosh_build_job_clear)
