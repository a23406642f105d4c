/** What guests may use: a control group each, with whichever cgroup version the host has.
 *
 * Groups live in <root>/mooshnet (v2) or <root>/{cpu,memory,pids}/mooshnet (v1), not below our own
 * group: guests outlive us, and a service manager that stops us must not take them along. */
#pragma once
#include "base/error.h"
#include <glib.h>

typedef enum { MOOSH_LIMITS_RLIMITS, MOOSH_LIMITS_CGROUP1, MOOSH_LIMITS_CGROUP2 } MooshLimitsKind;

typedef struct {
  guint32 cpu_milli; /* thousandths of a processor; 0: no limit */
  gint64 memory_bytes;
  gint64 pids;
} MooshCgroupLimits;

/** "rlimits", "cgroup1", "cgroup2". */
const char *moosh_limits_name (MooshLimitsKind kind);

/** Which version has cpu, memory and pids to give under `root` (normally /sys/fs/cgroup).
 * `ret_note` (may be NULL): why not a better one, or NULL; new string. */
MooshLimitsKind moosh_cgroup_detect (const char *root, char **ret_note);

/** Make the group `name` with `limits`; an existing one gets the new limits. `ret_procs` gets the
 * cgroup.procs files to enter, NULL-terminated new strings (free with g_strfreev). */
gboolean moosh_cgroup_make (MooshLimitsKind kind, const char *root, const char *name,
                            const MooshCgroupLimits *limits, char ***ret_procs, GError **error);
/** Remove it; processes must be gone. A missing one is fine. */
void moosh_cgroup_remove (MooshLimitsKind kind, const char *root, const char *name);
