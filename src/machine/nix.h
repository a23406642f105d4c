/** Nix in its cage (cage.h): every command of it that this project runs.
 *
 * No network namespace of the host's is in reach, so fixed-output derivations, which Nix's own
 * sandbox lets out, find none. The store lies below the state directory ("STORE/nix/store/…"), so
 * paths have two names: the *logical* one that Nix prints and the *physical* one on disk.
 *
 * Private to the builder (builder.h). */
#pragma once
#include "machine/cage.h"
#include "machine/child.h"

typedef struct {
  char *store;         /* root of the store */
  char *guest;         /* logical path of the guest's parts; NULL before they are added */
  char *moosh;         /* logical path of our nix/ directory; likewise */
  char *guest_pointer; /* directory with a file `path` that holds `guest`: <guest> */
  char *nixpkgs;       /* directory on the host: <nixpkgs>; NULL: none */
  char *substituters;  /* binary caches, and whose signatures count; NULL: none */
  char *trusted_keys;
  MooshCage cage;
} MooshNix;

/** What one command may do. */
typedef struct {
  const char *what; /* for messages */
  const char *home; /* scratch directory of the build user; TMPDIR too */
  guint timeout_s, silence_s;
  guint64 memory_max; /* address space of each process; 0: no limit */
  guint64 file_max;
  guint processes_max, cores;
  const char *const *cgroup_procs; /* NULL-terminated, at most 3; NULL: none */
  MooshLog *log;
  MooshChildWatch watch;
  gpointer watch_data;
  GCancellable *cancellable;
} MooshNixJob;

/** The physical path of a logical one; new string. */
char *moosh_nix_physical (const MooshNix *nix, const char *logical);

/** Copy a directory into the store under its own name. Logical path, new string; NULL:
 * MOOSH_ERROR_FAILED or the job's errors. */
char *moosh_nix_add (const MooshNix *nix, const MooshNixJob *job, const char *dir, GError **error);

/** Evaluate attribute `attribute` of the tree at logical path `tree` (its default.nix) to a
 * derivation. Logical path of the .drv, new string. MOOSH_ERROR_NOT_FOUND: no such attribute, or no
 * default.nix; MOOSH_ERROR_LIMIT: memory; MOOSH_ERROR_REFUSED: does not evaluate, with Nix's
 * reason. */
char *moosh_nix_instantiate (const MooshNix *nix, const MooshNixJob *job, const char *tree,
                             const char *attribute, GError **error);

/** Take from the binary caches what is there of a derivation and of what it is built with. Builds
 * nothing, for it is the one command that has a network. TRUE also when nothing was there; FALSE:
 * the job's errors. */
gboolean moosh_nix_substitute (const MooshNix *nix, const MooshNixJob *job, const char *drv,
                               GError **error);

/** Build a derivation; logical path of its one output, new string. MOOSH_ERROR_REFUSED: does not
 * build. */
char *moosh_nix_realise (const MooshNix *nix, const MooshNixJob *job, const char *drv,
                         GError **error);

/** Logical paths of everything `path` refers to, itself included. NULL-terminated; free with
 * g_strfreev. */
char **moosh_nix_closure (const MooshNix *nix, const MooshNixJob *job, const char *path,
                          GError **error);

/** Keep `logical` from being collected under `name`; and let go of it. */
gboolean moosh_nix_root (const MooshNix *nix, const char *name, const char *logical,
                         GError **error);
void moosh_nix_unroot (const MooshNix *nix, const char *name);

/** Remove everything no root keeps. */
gboolean moosh_nix_collect (const MooshNix *nix, const MooshNixJob *job, GError **error);
