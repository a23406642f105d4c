#include "machine/cage.h"
#include <unistd.h>

void
moosh_cage_add (GPtrArray *argv, const char *first, ...)
{
  va_list args;

  va_start (args, first);
  for (const char *word = first; word != NULL; word = va_arg (args, const char *))
    g_ptr_array_add (argv, g_strdup (word));
  va_end (args);
}

static void
add_network (GPtrArray *argv)
{
  static const char *const files[] = { "/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf",
                                       "/etc/gai.conf",    "/etc/ssl",   "/etc/ca-certificates" };

  moosh_cage_add (argv, "--perms", "0755", "--dir", "/etc", NULL);
  for (guint i = 0; i < G_N_ELEMENTS (files); i++)
    moosh_cage_add (argv, "--ro-bind-try", files[i], files[i], NULL);
}

/* Bubblewrap keeps a root's capabilities only as far as changing the user takes; setpriv throws the
 * rest away. */
static void
add_user (GPtrArray *argv, const MooshCage *cage)
{
  if (!cage->set_ids)
    {
      moosh_cage_add (argv, "--", NULL);
      return;
    }
  moosh_cage_add (argv, "--", "setpriv", NULL);
  g_ptr_array_add (argv, g_strdup_printf ("--reuid=%u", cage->uid));
  g_ptr_array_add (argv, g_strdup_printf ("--regid=%u", cage->gid));
  moosh_cage_add (argv, "--clear-groups", "--inh-caps=-all", "--bounding-set=-all",
                  "--no-new-privs", NULL);
}

GPtrArray *
moosh_cage_argv (const MooshCage *cage, const MooshCageBind *binds)
{
  GPtrArray *argv = g_ptr_array_new_with_free_func (g_free);

  /* The process namespace comes from unshare and not from bubblewrap, which would cover parts of
   * /proc when root runs it; the kernel then refuses Nix's sandbox its own /proc
   * (mount_too_revealing). */
  moosh_cage_add (argv, "unshare", NULL);
  if (!cage->set_ids)
    moosh_cage_add (argv, "--user", "--map-current-user", NULL);
  moosh_cage_add (argv, "--pid", "--fork", "--kill-child=KILL", "--mount-proc", "bwrap",
                  "--unshare-ipc", "--unshare-uts", "--die-with-parent", "--new-session", NULL);
  if (cage->set_ids)
    moosh_cage_add (argv, "--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID",
                    "--cap-add", "CAP_SETPCAP", NULL);
  else
    moosh_cage_add (argv, "--unshare-user", NULL);
  if (!cage->network)
    moosh_cage_add (argv, "--unshare-net", NULL);
  moosh_cage_add (argv, "--ro-bind", "/usr", "/usr", "--symlink", "usr/bin", "/bin", "--symlink",
                  "usr/sbin", "/sbin", "--symlink", "usr/lib", "/lib", "--symlink", "usr/lib64",
                  "/lib64", "--dev-bind", "/proc", "/proc", "--dev", "/dev", "--perms", "1777",
                  "--dir", "/tmp", "--perms", "0755", "--dir", MOOSH_CAGE_DIR, NULL);
  if (cage->network)
    add_network (argv);
  for (const MooshCageBind *bind = binds; bind->source != NULL; bind++)
    moosh_cage_add (argv, bind->writable ? "--bind" : "--ro-bind", bind->source, bind->target,
                    NULL);
  moosh_cage_add (argv, "--chdir", "/", NULL);
  add_user (argv, cage);
  return argv;
}
