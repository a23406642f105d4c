#include "machine/disk.h"
#include "base/spawn.h"
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <sodium.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEY_BYTES 32
#define HEADER_BYTES                                                                               \
  (4 * 1024 * 1024) /* qcow2 tables and LUKS header with all its slots lie below */
#define QEMU_IMG_MS 120000
#define TRIES       400 /* each takes some 30 ms to fail */

static gboolean
fail (const char *path, const char *what, GError **error)
{
  int code = errno == ENOSPC || errno == EDQUOT ? MOOSH_ERROR_LIMIT : MOOSH_ERROR_FAILED;

  g_set_error (error, MOOSH_ERROR, code, "disk %s: cannot %s: %s", path, what, g_strerror (errno));
  return FALSE;
}

char *
moosh_disk_volume (const char *dir, guint i)
{
  g_autofree char *name = g_strdup_printf ("%u.qcow2", i);
  return g_build_filename (dir, name, NULL);
}

char *
moosh_disk_key (const char *dir)
{
  return g_build_filename (dir, "key", NULL);
}

static gboolean
write_key (const char *path, GError **error)
{
  guint8 key[KEY_BYTES];
  char hex[2 * KEY_BYTES + 1];
  int fd = open (path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  gboolean ok;

  if (fd < 0)
    return fail (path, "make it", error);
  randombytes_buf (key, sizeof key);
  sodium_bin2hex (hex, sizeof hex, key, sizeof key);
  ok = write (fd, hex, sizeof hex - 1) == sizeof hex - 1 && fsync (fd) == 0;
  sodium_memzero (key, sizeof key);
  sodium_memzero (hex, sizeof hex);
  if (!ok)
    fail (path, "write", error);
  close (fd);
  return ok;
}

/* Run qemu-img with the key at hand. Its message for a full disk becomes a limit. QEMU gives up
 * when the kernel's coarse clock showed no processor time for the first of its measurements: that
 * is chance, so it is tried again. */
static gboolean
qemu_img (const char *const *argv, GError **error)
{
  g_autoptr (GError) local = NULL;

  for (int i = 0; i < TRIES; i++)
    {
      g_clear_error (&local);
      if (moosh_run (argv, QEMU_IMG_MS, NULL, &local))
        return TRUE;
      if (strstr (local->message, "accurate CPU usage") == NULL)
        break;
    }
  if (strstr (local->message, "No space left") != NULL)
    local->code = MOOSH_ERROR_LIMIT;
  g_propagate_error (error, g_steal_pointer (&local));
  return FALSE;
}

static gboolean
make_volume (const char *dir, guint i, guint32 gib, GError **error)
{
  g_autofree char *key = moosh_disk_key (dir), *path = moosh_disk_volume (dir, i);
  g_autofree char *fresh = g_strconcat (path, ".new", NULL), *size = g_strdup_printf ("%uG", gib);
  g_autofree char *secret = g_strdup_printf ("secret,id=key,file=%s", key);
  const char *argv[]
      = { "qemu-img", "create", "-q",
          "-f",       "qcow2",  "--object",
          secret,     "-o",     "encrypt.format=luks,encrypt.key-secret=key,encrypt.iter-time=1",
          fresh,      size,     NULL };

  if (!qemu_img (argv, error))
    return FALSE;
  if (chmod (fresh, 0600) != 0 || g_rename (fresh, path) != 0)
    return fail (path, "put it in its place", error);
  return TRUE;
}

static gboolean
resize_volume (const char *dir, guint i, guint32 gib, GError **error)
{
  g_autofree char *key = moosh_disk_key (dir), *path = moosh_disk_volume (dir, i);
  g_autofree char *secret = g_strdup_printf ("secret,id=key,file=%s", key),
                  *size = g_strdup_printf ("%uG", gib);
  g_autofree char *image = g_strdup_printf (
      "driver=qcow2,encrypt.key-secret=key,file.driver=file,file.filename=%s", path);
  const char *argv[]
      = { "qemu-img", "resize", "-q", "--object", secret, "--image-opts", image, size, NULL };

  return qemu_img (argv, error);
}

static gboolean
exists (const char *path)
{
  return g_file_test (path, G_FILE_TEST_EXISTS);
}

gboolean
moosh_disk_make_spare (const char *spare_dir, GError **error)
{
  g_autofree char *fresh = g_strconcat (spare_dir, ".new", NULL), *key = moosh_disk_key (fresh);

  if (exists (spare_dir))
    return TRUE;
  if (!moosh_disk_destroy (fresh, error)) /* half made when we were killed */
    return FALSE;
  if (g_mkdir_with_parents (fresh, 0700) != 0)
    return fail (fresh, "make the directory", error);
  if (!write_key (key, error) || !make_volume (fresh, 0, 1, error))
    {
      moosh_disk_destroy (fresh, NULL);
      return FALSE;
    }
  if (g_rename (fresh, spare_dir) != 0)
    return fail (spare_dir, "put it in its place", error);
  return TRUE;
}

gboolean
moosh_disk_make (const char *dir, const char *spare_dir, const guint32 *gib, guint n,
                 GError **error)
{
  g_return_val_if_fail (n > 0, FALSE);
  if (!exists (dir) && (spare_dir == NULL || g_rename (spare_dir, dir) != 0)
      && !moosh_disk_make_spare (dir, error))
    return FALSE;
  for (guint i = 0; i < n; i++)
    {
      g_autofree char *path = moosh_disk_volume (dir, i);
      if (!(exists (path) ? resize_volume (dir, i, gib[i], error)
                          : make_volume (dir, i, gib[i], error)))
        return FALSE;
    }
  return TRUE;
}

/* Overwrite the beginning of a file, onto the disk itself. A file that cannot be written any more
 * is still removed. */
static void
wipe (const char *path)
{
  static const guint8 zeroes[65536];
  int fd = open (path, O_WRONLY | O_CLOEXEC);
  struct stat status;
  off_t left = fd >= 0 && fstat (fd, &status) == 0 ? MIN (status.st_size, HEADER_BYTES) : 0;

  for (ssize_t done; left > 0; left -= done)
    if ((done = write (fd, zeroes, (size_t)MIN (left, (off_t)sizeof zeroes))) <= 0)
      break;
  if (fd >= 0)
    {
      fsync (fd);
      close (fd);
    }
}

gboolean
moosh_disk_destroy (const char *dir, GError **error)
{
  g_autofree char *key = moosh_disk_key (dir);
  g_autoptr (GDir) entries = NULL;
  const char *name;

  if (!exists (dir))
    return TRUE;
  wipe (key);
  if (g_unlink (key) != 0 && errno != ENOENT)
    return fail (key, "destroy the key", error);
  entries = g_dir_open (dir, 0, error);
  while (entries != NULL && (name = g_dir_read_name (entries)) != NULL)
    {
      g_autofree char *path = g_build_filename (dir, name, NULL);
      wipe (path);
      if (g_unlink (path) != 0)
        return fail (path, "remove it", error);
    }
  if (entries == NULL || g_rmdir (dir) != 0)
    return entries == NULL ? FALSE : fail (dir, "remove the directory", error);
  return TRUE;
}
