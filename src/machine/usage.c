#include "machine/usage.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEPTH_MAX                                                                                  \
  64 /* deeper trees count as too large: Nix has none, and every level holds a descriptor */

static gboolean
is_dot (const char *name)
{
  return strcmp (name, ".") == 0 || strcmp (name, "..") == 0;
}

static DIR *
open_dir (int at, const char *name)
{
  int fd = openat (at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  DIR *dir = fd >= 0 ? fdopendir (fd) : NULL;

  if (dir == NULL && fd >= 0)
    close (fd);
  return dir;
}

static void
add_up (int at, const char *name, guint depth, dev_t device, guint64 max, guint64 *sum)
{
  DIR *dir = open_dir (at, name);
  struct dirent *entry;
  struct stat st;

  if (dir == NULL)
    return;
  while (*sum <= max && (entry = readdir (dir)) != NULL)
    {
      if (is_dot (entry->d_name)
          || fstatat (dirfd (dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        continue;
      *sum += 512 + (guint64)st.st_blocks * 512;
      if (!S_ISDIR (st.st_mode) || st.st_dev != device)
        continue;
      if (depth == DEPTH_MAX)
        *sum = max + 1;
      else
        add_up (dirfd (dir), entry->d_name, depth + 1, device, max, sum);
    }
  closedir (dir);
}

guint64
moosh_disk_usage (const char *path, guint64 max)
{
  guint64 sum = 0;
  struct stat st;

  if (lstat (path, &st) != 0)
    return 0;
  sum = (guint64)st.st_blocks * 512;
  if (S_ISDIR (st.st_mode))
    add_up (AT_FDCWD, path, 0, st.st_dev, max, &sum);
  return sum;
}

static gboolean
remove_below (int at, const char *name, guint depth)
{
  gboolean ok = depth <= 4 * DEPTH_MAX;
  struct dirent *entry;
  DIR *dir = NULL;

  if (unlinkat (at, name, 0) == 0 || errno == ENOENT)
    return TRUE;
  if (ok && (errno == EISDIR || errno == EPERM || errno == EACCES))
    {
      dir = open_dir (at, name);
      if (dir == NULL && fchmodat (at, name, 0700, 0) == 0)
        dir = open_dir (at, name);
    }
  if (dir == NULL)
    return FALSE;
  fchmod (dirfd (dir), 0700); /* Nix's results are read-only directories */
  while ((entry = readdir (dir)) != NULL)
    if (!is_dot (entry->d_name))
      ok = remove_below (dirfd (dir), entry->d_name, depth + 1) && ok;
  closedir (dir);
  return unlinkat (at, name, AT_REMOVEDIR) == 0 && ok;
}

gboolean
moosh_remove_tree (const char *path)
{
  return remove_below (AT_FDCWD, path, 0);
}
