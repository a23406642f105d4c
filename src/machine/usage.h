/** How much disk a directory takes, while strangers' programs write into it. */
#pragma once
#include <glib.h>

/** Bytes on disk (blocks, so that holes cost nothing) of everything below `path`, links not
 * followed, file systems not crossed. Stops early and returns more than `max` as soon as it is
 * known; entries count 512 bytes each, so that a million empty files count too. What vanishes
 * meanwhile is left out. */
guint64 moosh_disk_usage (const char *path, guint64 max);

/** Remove everything below and `path` itself, also where directories have lost their permissions.
 * FALSE: something is left. */
gboolean moosh_remove_tree (const char *path);
