#include "machine/seed.h"
#include "base/json.h"
#include "base/spawn.h"
#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>

#define TOOL_MS 30000

/* User networking's fixed addresses (QEMU: -netdev user): a static set-up saves the guest a DHCP
 * exchange. */
static const char network[] = "ADDRESS=10.0.2.15/24\nGATEWAY=10.0.2.2\nDNS=10.0.2.3\n";

static gboolean
put (const char *dir, const char *name, const void *bytes, gsize len, GError **error)
{
  g_autofree char *path = g_build_filename (dir, name, NULL);
  return g_file_set_contents_full (path, bytes, (gssize)len, G_FILE_SET_CONTENTS_NONE, 0600, error);
}

static gboolean
put_text (const char *dir, const char *name, const char *text, GError **error)
{
  return put (dir, name, text, strlen (text), error);
}

static void
remove_tree (const char *dir)
{
  g_autoptr (GDir) entries = g_dir_open (dir, 0, NULL);
  const char *name;

  while (entries != NULL && (name = g_dir_read_name (entries)) != NULL)
    {
      g_autofree char *path = g_build_filename (dir, name, NULL);
      if (g_file_test (path, G_FILE_TEST_IS_DIR) && !g_file_test (path, G_FILE_TEST_IS_SYMLINK))
        remove_tree (path);
      else
        g_unlink (path);
    }
  g_rmdir (dir);
}

/* The host key in both formats guests read, and its public half. */
static gboolean
put_host_keys (const char *dir, char **ret_public, GError **error)
{
  g_autofree char *dropbear = g_build_filename (dir, "dropbear_host_key", NULL);
  g_autofree char *openssh = g_build_filename (dir, "ssh_host_ed25519_key", NULL), *out = NULL;
  const char *make[] = { "dropbearkey", "-t", "ed25519", "-f", dropbear, NULL };
  const char *convert[] = { "dropbearconvert", "dropbear", "openssh", dropbear, openssh, NULL };
  const char *show[] = { "dropbearkey", "-y", "-f", dropbear, NULL };
  g_auto (GStrv) lines = NULL;

  if (!moosh_run (make, TOOL_MS, NULL, error) || !moosh_run (convert, TOOL_MS, NULL, error)
      || !moosh_run (show, TOOL_MS, &out, error))
    return FALSE;
  lines = g_strsplit (out, "\n", -1);
  for (char **line = lines; *line != NULL; line++)
    if (g_str_has_prefix (*line, "ssh-ed25519 "))
      {
        g_auto (GStrv) words
            = g_strsplit (*line, " ", 3); /* without the comment: it names this host */
        *ret_public = g_strdup_printf ("%s %s", words[0], words[1] ? words[1] : "");
        return TRUE;
      }
  g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_FAILED, "seed: dropbearkey shows no ed25519 key");
  return FALSE;
}

/* cloud-init's NoCloud files, for images that bring cloud-init. */
static gboolean
put_cloud_init (const char *dir, const MooshRequest *request, const char *hostname, GError **error)
{
  g_autofree char *meta
      = g_strdup_printf ("instance-id: %s\nlocal-hostname: %s\n", hostname, hostname);
  g_autoptr (GString) user
      = g_string_new ("#cloud-config\ndisable_root: false\nssh_authorized_keys:\n");
  g_autofree char *key_path = g_build_filename (dir, "moosh", "ssh_host_ed25519_key", NULL),
                  *key = NULL;
  g_auto (GStrv) lines = NULL;

  for (guint i = 0; i < request->ssh_keys->len; i++)
    {
      g_autofree char *quoted = g_strescape (g_ptr_array_index (request->ssh_keys, i), NULL);
      g_string_append_printf (user, "  - \"%s\"\n", quoted);
    }
  if (!g_file_get_contents (key_path, &key, NULL, error))
    return FALSE;
  lines = g_strsplit (g_strchomp (key), "\n", -1);
  g_string_append (user, "ssh_keys:\n  ed25519_private: |\n");
  for (char **line = lines; *line != NULL; line++)
    g_string_append_printf (user, "    %s\n", *line);
  return put_text (dir, "meta-data", meta, error) && put_text (dir, "user-data", user->str, error);
}

static gboolean
put_files (const char *dir, const MooshRequest *request, GBytes *request_hash, const char *hostname,
           char **ret_host_key, GError **error)
{
  g_autofree char *moosh = g_build_filename (dir, "moosh", NULL);
  g_autofree char *secrets = g_build_filename (moosh, "secrets", NULL);
  g_autofree char *hash
      = moosh_hex (g_bytes_get_data (request_hash, NULL), g_bytes_get_size (request_hash));
  g_autofree char *hash_line = g_strconcat (hash + 2, "\n", NULL),
                  *host_line = g_strconcat (hostname, "\n", NULL);
  g_autoptr (GString) keys = g_string_new (NULL);

  if (g_mkdir_with_parents (secrets, 0700) != 0)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_FAILED, "seed %s: %s", dir, g_strerror (errno));
      return FALSE;
    }
  for (guint i = 0; i < request->ssh_keys->len; i++)
    g_string_append_printf (keys, "%s\n", (const char *)g_ptr_array_index (request->ssh_keys, i));
  for (guint i = 0; i < request->secrets->len; i++)
    {
      const MooshSecret *secret = g_ptr_array_index (request->secrets, i);
      gsize len;
      const void *value = g_bytes_get_data (secret->value, &len);
      if (!put (secrets, secret->name, value, len, error))
        return FALSE;
    }
  return put_text (moosh, "authorized_keys", keys->str, error)
         && put_text (moosh, "request-hash", hash_line, error)
         && put_text (moosh, "hostname", host_line, error)
         && put_text (moosh, "network", network, error)
         && put_host_keys (moosh, ret_host_key, error)
         && put_cloud_init (dir, request, hostname, error);
}

gboolean
moosh_seed_make (const char *iso_path, const MooshRequest *request, GBytes *request_hash,
                 const char *hostname, char **ret_host_key, GError **error)
{
  g_autofree char *dir = g_strconcat (iso_path, ".d", NULL),
                  *fresh = g_strconcat (iso_path, ".new", NULL);
  g_autofree char *host_key = NULL;
  const char *argv[] = { "genisoimage", "-quiet", "-R", "-V", "cidata", "-o", fresh, dir, NULL };
  gboolean ok;

  remove_tree (dir);
  ok = put_files (dir, request, request_hash, hostname, &host_key, error)
       && moosh_run (argv, TOOL_MS, NULL, error);
  remove_tree (dir);
  if (ok && (g_chmod (fresh, 0600) != 0 || g_rename (fresh, iso_path) != 0))
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_FAILED, "seed %s: %s", iso_path,
                   g_strerror (errno));
      ok = FALSE;
    }
  if (ok)
    *ret_host_key = g_steal_pointer (&host_key);
  return ok;
}
