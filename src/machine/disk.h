/** A machine's storage: qcow2 images encrypted with LUKS under one random key, in a directory of
 * their own.
 *
 *   DIR/key          64 hex digits, mode 0600
 *   DIR/<n>.qcow2    the volumes, the first is 0
 *
 * Making one costs 2.4 s of processor time whatever the options (QEMU measures PBKDF2 twice), so a
 * spare is made ahead and becomes a machine's by a rename and a resize. Destroying the key destroys
 * the content: the images are never more than ciphertext. The key is random, so the slots'
 * iteration time is the smallest QEMU takes; it opens in 10–20 ms. */
#pragma once
#include "base/error.h"
#include <glib.h>

/** Make a complete one-volume storage of 1 GiB at `spare_dir`, by way of a directory beside it;
 * nothing if it exists. */
gboolean moosh_disk_make_spare (const char *spare_dir, GError **error);

/** Make the storage at `dir` have `n` volumes of `gib[i]` GiB, from the spare at `spare_dir` (NULL,
 * or absent: made now). May be called again after a crash anywhere in it; volumes that are there
 * keep their content. MOOSH_ERROR_LIMIT: the disk is full. */
gboolean moosh_disk_make (const char *dir, const char *spare_dir, const guint32 *gib, guint n,
                          GError **error);

/** Path of volume `i`, or of the key; new strings. */
char *moosh_disk_volume (const char *dir, guint i);
char *moosh_disk_key (const char *dir);

/** Overwrite and remove the key, wipe the images' headers, remove everything. Nothing there: TRUE.
 */
gboolean moosh_disk_destroy (const char *dir, GError **error);
