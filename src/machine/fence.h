/** What guests may reach: an nftables table over the sockets of their users.
 *
 * A guest's packets leave the host as sockets of its QEMU process, hence of its user; the table
 * rejects new connections of the whole range of guest users, so a user without an entry reaches
 * nothing (fail closed). One with Internet access reaches the name servers of /etc/resolv.conf and
 * public addresses, never an address of the host itself, nor private, shared, link-local or
 * multicast ranges (RFC 6890, RFC 4193). Answers to connections from outside (the forwarded SSH
 * port) always pass. */
#pragma once
#include "base/error.h"
#include <glib.h>

typedef struct MooshFence MooshFence;

/** Load the table `mooshnet_<uid_first>` with nobody online, replacing what an earlier run left.
 * MOOSH_ERROR_UNAVAILABLE: there is no nftables here, or not the parts this needs. */
MooshFence *moosh_fence_new (gint64 uid_first, gint64 uid_count, const gint64 *online,
                             guint n_online, GError **error);
/** Forget it; the rules stay, because guests may. */
void moosh_fence_free (MooshFence *fence);
/** Take the table of the users from `uid_first` away: no guest of theirs is left. */
void moosh_fence_remove (gint64 uid_first);

/** Let `uid` reach the Internet, or nothing. The table is replaced as a whole, in one transaction.
 */
gboolean moosh_fence_set (MooshFence *fence, gint64 uid, gboolean internet, GError **error);

/** Is the table still there? Somebody's `nft flush ruleset` takes ours along; then it is loaded
 * again. */
gboolean moosh_fence_keep (MooshFence *fence, GError **error);

/** The rules as text (for the test of them); new string. `resolv_conf`: that file's content. */
char *moosh_fence_rules (gint64 uid_first, gint64 uid_count, const gint64 *online, guint n_online,
                         const char *resolv_conf);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (MooshFence, moosh_fence_free)
