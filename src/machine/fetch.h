/** Git, used on strangers' URLs: exactly one commit, no hooks, no submodules, no prompts, no
 * configuration of anybody.
 *
 * The host name is resolved once, refused when it leads into a private network, and git is pinned
 * to the addresses found, so that a second look-up cannot lead elsewhere. Redirects are not
 * followed. */
#pragma once
#include "machine/cage.h"
#include "machine/child.h"
#include "machine/request.h"

typedef struct {
  MooshCage cage; /* where git runs; but for file:// URLs, which are the provider's own choice and
                     files */
  const char *const *cgroup_procs; /* NULL-terminated, at most 3; NULL: none */
  gboolean allow_file, allow_private_hosts;
  const char *ssh_key; /* file; NULL: none */
  guint timeout_s;
  guint64 bytes_max; /* of the pack, and of the tree's files together */
  guint files_max;
  MooshLog *log;
  GCancellable *cancellable;
} MooshFetch;

/** Fetch `commit` from `url` into `work`, an empty directory that belongs to the cage's user (to us
 * for file://): work/blueprint is then the tree, without .git. Errors as of moosh_builder_build. */
gboolean moosh_fetch (const MooshFetch *fetch, const char *url,
                      const guint8 commit[MOOSH_COMMIT_LEN], const char *work, GError **error);

/** `git ls-remote` for a branch, tag or HEAD, as a person asks it: with their own git and ssh
 * configuration, any host, file:// too, but no prompts. New string. */
char *moosh_git_ls_remote (const char *url, const char *name, guint timeout_ms, GError **error);
