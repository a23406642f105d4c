/** A cage for programs that work on strangers' input: bubblewrap inside unshare, run by argv.
 *
 * Inside there is /usr, a fresh /proc (own processes only), a minimal /dev, /tmp, and what the
 * caller binds, below /cage; no other file of the host. User `uid` without capabilities or a way to
 * get any; own IPC, UTS, mount and process namespaces, so that nothing in it outlives its outermost
 * process, whatever kills that; no network unless asked for. A program inside may make namespaces
 * of its own, which Nix's sandbox does. */
#pragma once
#include "base/error.h"
#include <glib.h>
#include <sys/types.h>

#define MOOSH_CAGE_DIR "/cage"

typedef struct {
  gboolean set_ids; /* we are root and the program shall not be */
  uid_t uid;
  gid_t gid;
  gboolean network; /* with what name look-ups and TLS need of /etc */
} MooshCage;

/** Show `source` inside at `target`; `writable` or not. */
typedef struct {
  const char *source, *target;
  gboolean writable;
} MooshCageBind;

/** The beginning of the argv: append the program and its arguments. Element type char *, freed with
 * the array. `binds` ends with a NULL source. */
GPtrArray *moosh_cage_argv (const MooshCage *cage, const MooshCageBind *binds);

/** Append words, ended by NULL, as copies. */
void moosh_cage_add (GPtrArray *argv, const char *first, ...) G_GNUC_NULL_TERMINATED;
