/** From a provision request to a bootable system: fetch, evaluate, build, check, keep.
 *
 * Strangers' code runs at two places, and each has its fence. *Evaluation* is a Nix program: a
 * child with a memory limit that gets SIGKILL at its deadline, restrict-eval (it sees the fetched
 * tree, <moosh> and <guest>, nothing else) and no import-from-derivation. The *build* is any
 * program: Nix's sandbox without network, with limits on time, silence, log, memory, processes and
 * disk. Both run in a cage (cage.h) as an unprivileged user with a store of their own below
 * `state_dir`: neither root, nor the host's files, nor its /nix/store, nor any network is in reach.
 * Results are kept by (URL, commit, attribute). */
#pragma once
#include "machine/request.h"

#define MOOSH_BUILD_USER "moosh-build"

typedef struct MooshBuilder MooshBuilder;

/** Zero means the default in brackets. */
typedef struct {
  guint fetch_s;         /* git, altogether [120] */
  guint64 fetch_bytes;   /* pack, and checked-out tree [256 MiB] */
  guint tree_files;      /* files in the tree [20,000] */
  guint eval_s;          /* [60] */
  guint64 eval_memory;   /* address space [1 GiB] */
  guint build_s;         /* [1200] */
  guint build_silence_s; /* without a line of log [300] */
  guint64 build_memory;  /* all processes together [4 GiB] */
  guint build_processes; /* [512] */
  guint64 build_bytes;   /* scratch and results on disk [4 GiB] */
  guint build_cores;     /* NIX_BUILD_CORES, and CPUs' worth of time where cgroups are there [2] */
  guint64 log_bytes;     /* [1 MiB] */
  guint64 kernel_bytes;  /* of the results [64 MiB] */
  guint64 initrd_bytes;  /* [512 MiB] */
  guint concurrent;      /* builds at a time; the others wait [2] */
  guint64 store_bytes;   /* of everything kept; then what is not in use is forgotten [16 GiB] */
  guint keep_s;          /* but not what was built or found again so lately [3600] */
} MooshBuildLimits;

/** All strings are copied. */
typedef struct {
  const char *state_dir; /* made if missing; holds the store, GC roots and scratch space. Where it
                            lies does not matter: the build user gets to it through its cage */
  const char
      *guest_dir;      /* what scripts/guest-kernel made; NULL: MOOSH_GUEST or its default place */
  const char *nix_dir; /* our nix/ directory, <moosh> to blueprints */
  uid_t uid; /* who builds, when we are root; 0: the user MOOSH_BUILD_USER, or nobody where there is
                none */
  gid_t gid;
  gboolean allow_file;          /* file:// URLs */
  gboolean allow_private_hosts; /* URLs whose host is a loopback, private or link-local address */
  const char
      *nixpkgs_dir; /* a nixpkgs tree, <nixpkgs> to blueprints; another one belongs into another
                       directory, because its name is all the cache looks at. NULL: none */
  const char *substituters; /* URLs of binary caches to ask before building, in Nix's words; NULL or
                               "": none */
  const char *trusted_keys; /* whose signatures count there */
  const char *ssh_key;      /* private key file for ssh:// URLs; NULL: none */
  /* Store paths of the systems that machines run, new and NULL-terminated: asked, on a build's
   * thread, before a store that is full is cleaned. NULL: it is never cleaned by itself. */
  char **(*in_use) (gpointer data);
  gpointer in_use_data;
  MooshBuildLimits limits;
} MooshBuilderConfig;

/** Make the directories; touches nothing else. MOOSH_ERROR_NOT_FOUND: no nix, git or guest
 * directory (the message says what to install or run). */
MooshBuilder *moosh_builder_new (const MooshBuilderConfig *config, GError **error);
/** No build may be running. */
void moosh_builder_free (MooshBuilder *builder);

/** A built system. Paths are real files, world-readable, that stay until moosh_builder_collect. */
typedef struct {
  char *store_path; /* "/nix/store/…-name" as Nix knows it: the identity of the system */
  char *dir;        /* where it lies */
  char *kernel, *initrd;
  char *cmdline;     /* the text, one line, at most 2048 bytes */
  char *store_image; /* read-only disk with the system's store, or NULL when the initrd is all there
                        is */
  guint8 log_digest[32]; /* SHA-256 of the log file (of the kept log when cached) */
  gboolean cached;
  double seconds; /* spent in this call */
} MooshSystem;

void moosh_system_free (MooshSystem *system);

/** `step`: "fetch", "evaluate", "build", "check", each as it begins, in words for people. Called on
 * the calling thread. */
typedef void (*MooshStepFunc) (const char *step, gpointer user_data);

/** Build `request`, or find it built. Blocks: worker threads only; any number of them may call.
 *
 * policy    the offer's software policy (policy.h); NULL or "": everything is allowed
 * log_path  gets what git, Nix and the build said, at most limits.log_bytes; made anew, kept on
 * failure step      may be NULL
 *
 * Errors (each message is a sentence that can be shown to the tenant): MOOSH_ERROR_DENIED: policy,
 * URL scheme or host; MOOSH_ERROR_NOT_FOUND: repository, commit or attribute;
 * MOOSH_ERROR_UNAVAILABLE: server not reachable; MOOSH_ERROR_LIMIT: a limit above, named;
 * MOOSH_ERROR_TIMEOUT: a deadline, named; MOOSH_ERROR_CANCELLED; MOOSH_ERROR_REFUSED: does not
 * evaluate or build, or the result is no system; MOOSH_ERROR_FAILED: our own trouble. */
MooshSystem *moosh_builder_build (MooshBuilder *builder, const MooshRequest *request,
                                  const char *policy, const char *log_path, MooshStepFunc step,
                                  gpointer user_data, GCancellable *cancellable, GError **error);

/** SHA-256 of a log file: what a close reason cites, also for a build that failed. */
gboolean moosh_build_log_digest (const char *log_path, guint8 ret[32], GError **error);

/** Forget every kept system that is not in `keep` (store paths, NULL-terminated) and collect
 * garbage. `ret_freed` (may be NULL): bytes. MOOSH_ERROR_CONFLICT: a build is running. */
gboolean moosh_builder_collect (MooshBuilder *builder, const char *const *keep, guint64 *ret_freed,
                                GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (MooshBuilder, moosh_builder_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (MooshSystem, moosh_system_free)
