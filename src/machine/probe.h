/** Which acceleration works here: found by booting a guest, because an openable /dev/kvm proves
 * nothing. */
#pragma once
#include "base/error.h"
#include <glib.h>
#include <sys/types.h>

typedef enum { MOOSH_ACCEL_NONE, MOOSH_ACCEL_TCG, MOOSH_ACCEL_KVM } MooshAccel;

/** "none", "tcg", "kvm". */
const char *moosh_accel_name (MooshAccel accel);

/** The group that may open /dev/kvm, for guests' QEMU processes; `fallback` when there is no such
 * device or group. */
gid_t moosh_kvm_group (gid_t fallback);

/** Boot the probe guest (probe_sector.S) as user `uid`: with KVM, which has 4 s to answer, then
 * with TCG, which has 20. `ret_note` gets why KVM is not it, in a sentence, or NULL; new string. */
MooshAccel moosh_accel_probe (uid_t uid, char **ret_note);

/** What an earlier probe since this host started has written to `path`: TRUE and the answer, with
 * its note as above. And writing it. A file that says anything else counts as none. */
gboolean moosh_accel_recall (const char *path, MooshAccel *ret, char **ret_note);
void moosh_accel_remember (const char *path, MooshAccel accel, const char *note);
