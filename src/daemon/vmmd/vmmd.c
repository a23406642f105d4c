/* moosh-vmmd: the provider's machines.
 *
 * The story of one machine. mooshd saw a client's `take` on the chain and asks machine.reserve: the
 * units are in the journal (machine/journal.c) before anything is promised, or the answer is "sold
 * out". The client's provision request comes with machine.provision; its hash must be the agreed
 * one. From then on the machine's worker (machine/host_drive.c) builds the blueprint
 * (machine/builder.c) while it makes an encrypted disk and a seed (machine/disk.c, seed.c), and
 * boots the result (machine/qemu.c): a QEMU process of its own user, without capabilities, in a
 * sandbox, behind a firewall (machine/fence.c), within limits (machine/cgroup.c). When SSH answers,
 * the state is `running` and the endpoint and host key go to the client through mooshd. Guests
 * survive our death: the next start finds them by their user and goes on. In the end
 * machine.destroy kills the guest, and after the retention time its disk's key.
 *
 * This process is root, for the users, control groups and firewall of its guests. It therefore
 * parses little: local JSON-RPC of its own node, and a provision request through the strict CBOR
 * reader. Fetching, evaluating and building strangers' code happens in other users' processes. */
#include "base/daemon.h"
#include "daemon/vmmd/methods.h"
#include <errno.h>
#include <malloc.h>
#include <pwd.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOCK_TRIES     40
#define TRIES_VARIABLE "MOOSH_VMMD_LOCK_TRIES"

static gboolean
open_host (MooshDaemon *daemon, MooshHost **ret, GError **error)
{
  g_auto (MooshHostConfig) config = { 0 };

  if (geteuid () != 0)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_DENIED,
                   "it runs as root: guests get users, control groups and a firewall of their own");
      return FALSE;
    }
  if (moosh_host_config_load (&config, daemon->config, daemon->state_dir, error))
    *ret = moosh_host_new (&config, error);
  return *ret != NULL;
}

/* "Another one runs" is believed only when it stays so: a child that our predecessor was forking
 * when it was killed holds the state directory's lock for some milliseconds more, until it execs.
 * The whole program starts again, because moosh_daemon_init can be called once. Returns if not. */
static void
try_again (char **argv, const GError *error)
{
  const char *said = g_getenv (TRIES_VARIABLE);
  int tries = said != NULL ? atoi (said) : 0;
  g_autofree char *next = g_strdup_printf ("%d", tries + 1);

  if (!g_error_matches (error, MOOSH_ERROR, MOOSH_ERROR_CONFLICT) || tries >= LOCK_TRIES)
    return;
  g_setenv (TRIES_VARIABLE, next, TRUE);
  g_usleep (50000);
  execv ("/proc/self/exe", argv);
}

/* Let one other user call us: mooshd's, when it has a user of its own. */
static gboolean
admit (MooshDaemon *daemon, const char *socket, const char *name, GError **error)
{
  const struct passwd *user = name != NULL ? getpwnam (name) : NULL;

  if (name == NULL)
    return TRUE;
  if (user != NULL && chown (socket, user->pw_uid, (gid_t)-1) == 0
      && chmod (daemon->state_dir, 0711) == 0)
    return TRUE;
  g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE, "vmmd.conf: [rpc] user %s: %s", name,
               user == NULL ? "there is no such user" : g_strerror (errno));
  return FALSE;
}

static gboolean
run (MooshDaemon *daemon, int argc, char **argv, GError **error)
{
  g_autoptr (MooshHost) host = NULL;
  g_autoptr (MooshRpcServer) server = NULL;
  g_autofree char *socket = NULL;

  if (!moosh_daemon_init (daemon, "vmmd", NULL, &argc, &argv, error))
    return FALSE;
  if (argc > 1)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE, "unknown argument %s", argv[1]);
      return FALSE;
    }
  if (!open_host (daemon, &host, error))
    return FALSE;
  socket = moosh_daemon_path (daemon, "vmmd.sock");
  server = vmmd_serve (host, socket, error);
  if (server == NULL || !admit (daemon, socket, moosh_host_config (host)->rpc_user, error))
    return FALSE;
  moosh_daemon_run (daemon);
  return TRUE;
}

int
main (int argc, char **argv)
{
  g_auto (MooshDaemon) daemon = { 0 };
  g_autoptr (GError) error = NULL;
  g_autofree char **words = g_memdup2 (argv, sizeof (char *) * (gsize)(argc + 1));

  mallopt (M_ARENA_MAX, 2); /* many threads, little work in each: arenas would only hold memory */
  umask (0022); /* what builds leave is read by others; our own files say 0600 themselves */
  if (run (&daemon, argc, argv, &error))
    return 0;
  if (daemon.config == NULL) /* it did not get past the lock */
    try_again (words, error);
  g_printerr ("moosh-vmmd: %s\n", error->message);
  return moosh_error_exit_code (error);
}
