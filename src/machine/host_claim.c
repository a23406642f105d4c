/* Which users are our guests': a range that no other manager on this host, alive or killed, has
 * claimed.
 *
 * A claim is a file /run/mooshnet/guests-<first user> that names the state directory. It outlives
 * us, as guests do, and counts as long as that directory holds a journal; /run is emptied when the
 * host restarts, and so are the guests. */
#include "base/spawn.h"
#include "machine/host_private.h"
#include "machine/process.h"
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define CLAIMS "/run/mooshnet"
#define RANGES 24
#define STORES "/var/lib/mooshnet-build"

static char *
claim_path (gint64 first)
{
  return g_strdup_printf (CLAIMS "/guests-%" G_GINT64_FORMAT, first);
}

/* Is the claim at `path` ours or nobody's? */
static gboolean
claimable (const char *path, const char *state_dir)
{
  g_autofree char *owner = NULL, *journal = NULL;

  if (!g_file_get_contents (path, &owner, NULL, NULL))
    return TRUE;
  g_strchomp (owner);
  journal = g_build_filename (owner, "vmmd.db", NULL);
  return owner[0] == '\0' || strcmp (owner, state_dir) == 0
         || !g_file_test (journal, G_FILE_TEST_EXISTS);
}

/* Claim one range. With the claims locked. `ours`: the journal says it is ours since long, guests
 * may be running. */
static gboolean
claim (const MooshHostConfig *config, gint64 first, gboolean ours)
{
  g_autofree char *path = claim_path (first);

  return claimable (path, config->state_dir)
         && (ours || moosh_process_of_users ((uid_t)first, (uid_t)config->uid_count) == 0)
         && g_file_set_contents (path, config->state_dir, -1, NULL);
}

/* Delete what the owner of a range has built. The ranges found by themselves are given out again
 * soon, and then what is built there already saves time. */
static void
remove_store (gint64 first, gint64 uid_count)
{
  g_autofree char *dir = g_strdup_printf (STORES "/%" G_GINT64_FORMAT, first);
  const char *argv[] = { "rm", "-rf", "--one-file-system", dir, NULL };
  g_autoptr (GError) error = NULL;

  if (first >= MOOSH_UID_FIRST && first < MOOSH_UID_FIRST + RANGES * uid_count)
    return;
  if (g_file_test (dir, G_FILE_TEST_IS_DIR) && !moosh_run (argv, 60000, NULL, &error))
    g_debug ("%s", error->message);
}

/* Claims whose owner's state is gone, and its guests too: forget them, and their firewall. With the
 * claims locked. */
static void
sweep (const MooshHostConfig *config)
{
  g_autoptr (GDir) claims = g_dir_open (CLAIMS, 0, NULL);
  const char *name;

  while (claims != NULL && (name = g_dir_read_name (claims)) != NULL)
    {
      g_autofree char *path = g_build_filename (CLAIMS, name, NULL), *owner = NULL;
      guint64 first;

      if (g_str_has_prefix (name, "guests-")
          && g_ascii_string_to_unsigned (name + strlen ("guests-"), 10, 1, G_MAXINT32, &first, NULL)
          && g_file_get_contents (path, &owner, NULL, NULL)
          && strcmp (owner, config->state_dir) != 0 && claimable (path, config->state_dir)
          && moosh_process_of_users ((uid_t)first, (uid_t)config->uid_count) == 0)
        {
          moosh_fence_remove ((gint64)first);
          remove_store ((gint64)first, config->uid_count);
          g_unlink (path);
        }
    }
}

/* `bound`: machines have users of the journaled range, another one will not do. */
static gint64
choose (const MooshHostConfig *config, gint64 journaled, gboolean bound)
{
  gint64 wished = config->uid_first != 0 ? config->uid_first : journaled;

  if (wished != 0 && claim (config, wished, bound && wished == journaled))
    return wished;
  if (config->uid_first != 0 || bound)
    return 0;
  for (gint64 i = 0; i < RANGES; i++)
    if (claim (config, MOOSH_UID_FIRST + i * config->uid_count, FALSE))
      return MOOSH_UID_FIRST + i * config->uid_count;
  return 0;
}

gboolean
moosh_host_claim_users (MooshHostConfig *config, MooshStore *store, GError **error)
{
  gint64 journaled
      = moosh_store_int (store, 0, "SELECT value FROM setting WHERE name = 'uid_first'", ""),
      first;
  int lock;

  if (g_mkdir_with_parents (CLAIMS, 0755) != 0
      || (lock = open (CLAIMS "/guests.lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600)) < 0)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_FAILED,
                   "cannot claim users for guests in %s: %s", CLAIMS, g_strerror (errno));
      return FALSE;
    }
  flock (lock, LOCK_EX);
  sweep (config);
  first = choose (
      config, journaled,
      moosh_store_int (store, 0,
                       "SELECT count(*) FROM machine WHERE uid <> 0 AND state NOT IN (8, 9)", "")
          > 0);
  close (lock);
  if (first == 0)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_CONFLICT,
                   "users %" G_GINT64_FORMAT
                   " and up belong to another manager's guests or to other processes: set"
                   " [guest] uid_first in vmmd.conf",
                   config->uid_first != 0 ? config->uid_first
                   : journaled != 0       ? journaled
                                          : MOOSH_UID_FIRST);
      return FALSE;
    }
  config->uid_first = first;
  if (config->build_dir == NULL)
    config->build_dir = g_strdup_printf (STORES "/%" G_GINT64_FORMAT, first);
  if (first == journaled)
    return TRUE; /* nothing to write: the disk may be full */
  return moosh_store_run (store, error,
                          "INSERT OR REPLACE INTO setting (name, value) VALUES ('uid_first', ?)",
                          "i", first);
}

void
moosh_host_unclaim_users (const MooshHostConfig *config)
{
  g_autofree char *path = claim_path (config->uid_first);

  moosh_fence_remove (config->uid_first);
  g_unlink (path);
}
