#include "machine/fetch.h"
#include "core/bytes/bytes.h"
#include <errno.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SSH_KEY MOOSH_CAGE_DIR "/fetch/ssh_key"

/* One fetch: what it may do, where, and until when. */
typedef struct {
  const MooshFetch *limits;
  const char *url;
  const char *work; /* on the host */
  char *passwd;     /* ssh insists on a user with a name */
  const char *base; /* the same directory as git sees it */
  char commit[2 * MOOSH_COMMIT_LEN + 1];
  char *git_dir, *tree; /* below base */
  char **envp;
  char *resolve; /* git's http.curloptResolve; NULL: not https */
  gboolean file, caged;
  gboolean person; /* asked by a person at the keyboard: with their configuration */
  gint64 deadline_us;
} Fetch;

static void
fetch_clear (Fetch *f)
{
  g_free (f->passwd);
  g_free (f->git_dir);
  g_free (f->tree);
  g_free (f->resolve);
  g_strfreev (f->envp);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Fetch, fetch_clear)

/* What git says when it fails, and what we say. Order matters: the first that fits wins. */
static const struct {
  const char *says;
  MooshError code;
  const char *means; /* after "blueprint repository URL: " */
} diagnoses[] = {
  { "dubious ownership", MOOSH_ERROR_DENIED,
    "it belongs to another user than the one who fetches, and git refuses such repositories (git's "
    "safe.directory)" },
  { "not our ref", MOOSH_ERROR_NOT_FOUND, "it has no such commit" },
  /* conflict: not an answer yet, fetch_objects tries another way */
  { "unadvertised object", MOOSH_ERROR_CONFLICT, "its server gives branches and tags only" },
  { "does not support shallow", MOOSH_ERROR_CONFLICT, "its server gives whole histories only" },
  { "File size limit exceeded", MOOSH_ERROR_LIMIT, "it is larger than this provider fetches" },
  { "File too large", MOOSH_ERROR_LIMIT, "it is larger than this provider fetches" },
  { "invalid index-pack output", MOOSH_ERROR_LIMIT, "it is larger than this provider fetches" },
  { "died of signal 25", MOOSH_ERROR_LIMIT, "it is larger than this provider fetches" },
  { "No space left", MOOSH_ERROR_FAILED, "the provider's disk is full" },
  { "Could not resolve host", MOOSH_ERROR_UNAVAILABLE, "its host is unknown" },
  { "Failed to connect", MOOSH_ERROR_UNAVAILABLE, "its host does not answer" },
  { "Couldn't connect", MOOSH_ERROR_UNAVAILABLE, "its host does not answer" },
  { "Connection refused", MOOSH_ERROR_UNAVAILABLE, "its host does not answer" },
  { "timed out", MOOSH_ERROR_UNAVAILABLE, "its host does not answer" },
  { "could not read Username", MOOSH_ERROR_NOT_FOUND, "it does not exist, or wants a login" },
  { "Authentication failed", MOOSH_ERROR_NOT_FOUND, "it does not exist, or wants a login" },
  { "Permission denied (publickey", MOOSH_ERROR_NOT_FOUND,
    "it wants a login that this provider does not have" },
  { "does not appear to be a git repository", MOOSH_ERROR_NOT_FOUND, "there is no git repository" },
  { "does not exist", MOOSH_ERROR_NOT_FOUND, "there is no git repository" },
  { "not found", MOOSH_ERROR_NOT_FOUND, "there is no git repository" },
  { "returned error: 30", MOOSH_ERROR_NOT_FOUND,
    "its server redirects elsewhere: use the URL it leads to" },
  { "unable to access", MOOSH_ERROR_UNAVAILABLE, "its host cannot be reached" },
  { "Could not read from remote", MOOSH_ERROR_NOT_FOUND, "it cannot be read" },
};

static gboolean
explain (const char *url, const char *commit, const MooshChildResult *result, GError **error)
{
  g_autofree char *words = NULL;

  for (guint i = 0; i < G_N_ELEMENTS (diagnoses); i++)
    if (strstr (result->tail, diagnoses[i].says) != NULL)
      {
        gboolean about_commit = commit != NULL && strstr (diagnoses[i].means, "commit") != NULL;

        g_set_error (error, MOOSH_ERROR, (int)diagnoses[i].code, "blueprint repository %s: %s%s%s",
                     url, diagnoses[i].means, about_commit ? " as " : "",
                     about_commit ? commit : "");
        return FALSE;
      }
  words = moosh_child_last_words (result->tail);
  g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_FAILED,
               "blueprint repository %s: git failed (%d): %s", url, result->exit_status, words);
  return FALSE;
}

/* Not on the public Internet (RFC 6890, RFC 4193, RFC 6598), or another way to write such an
 * address. */
static const char *const private_ranges[]
    = { "0.0.0.0/8",       "10.0.0.0/8",     "100.64.0.0/10", "127.0.0.0/8",    "169.254.0.0/16",
        "172.16.0.0/12",   "192.0.0.0/24",   "192.0.2.0/24",  "192.168.0.0/16", "198.18.0.0/15",
        "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3",   "::/3",           "2001::/32",
        "2002::/16",       "fc00::/7",       "fe80::/10",     "fec0::/10",      "ff00::/8" };

static gboolean
is_private (GInetAddress *address)
{
  for (guint i = 0; i < G_N_ELEMENTS (private_ranges); i++)
    {
      g_autoptr (GInetAddressMask) range
          = g_inet_address_mask_new_from_string (private_ranges[i], NULL);

      if (g_inet_address_mask_matches (range, address))
        return TRUE;
    }
  return FALSE;
}

/* The addresses of a host, at most four. NULL: unknown, or one of them is not for strangers. */
static GStrv
look_up (const char *url, const char *host, const MooshFetch *limits, GError **error)
{
  g_autoptr (GResolver) resolver = g_resolver_get_default ();
  g_autoptr (GError) cause = NULL;
  g_autoptr (GStrvBuilder) found = g_strv_builder_new ();
  GList *addresses = g_resolver_lookup_by_name (resolver, host, limits->cancellable, &cause);
  gboolean refused = FALSE;
  guint n = 0;

  if (addresses == NULL)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_UNAVAILABLE,
                   "blueprint repository %s: its host is unknown: %s", url, cause->message);
      return NULL;
    }
  for (GList *a = addresses; a != NULL && !refused && n < 4; a = a->next, n++)
    {
      g_autofree char *text = g_inet_address_to_string (a->data);

      refused = !limits->allow_private_hosts && is_private (a->data);
      if (refused)
        g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_DENIED,
                     "blueprint repository %s: its host is %s, not on the public Internet", url,
                     text);
      g_strv_builder_add (found, text);
    }
  g_resolver_free_addresses (addresses);
  return refused ? NULL : g_strv_builder_end (found);
}

/* "https://host:port/…" -> host (without brackets) and port. The URL is checked already. */
static void
split_url (const char *url, char **ret_host, char **ret_port)
{
  const char *start = strstr (url, "://") + 3;
  g_autofree char *authority = g_strndup (start, strcspn (start, "/"));
  char *host = strchr (authority, '@') != NULL ? strchr (authority, '@') + 1 : authority;
  char *colon;

  if (host[0] == '[')
    {
      char *end = strchr (host, ']');

      *end = '\0';
      *ret_host = g_strdup (host + 1);
      *ret_port = g_strdup (end[1] == ':' ? end + 2 : "443");
      return;
    }
  colon = strchr (host, ':');
  *ret_port = g_strdup (colon != NULL ? colon + 1 : "443");
  *ret_host = g_strndup (host, colon != NULL ? (gsize)(colon - host) : strlen (host));
}

/* git runs this through a shell: the URL check leaves neither quotes nor spaces in a host, the
 * address is a number. The name is what the host key is kept under, the address is where we go. */
static char *
ssh_command (const char *host, const char *address, const MooshFetch *limits)
{
  return g_strdup_printf (
      "ssh -F none -o BatchMode=yes -o StrictHostKeyChecking=accept-new -o ConnectTimeout=20"
      " -o UserKnownHostsFile=" MOOSH_CAGE_DIR
      "/fetch/known_hosts -o IdentityAgent=none -o IdentitiesOnly=yes -o HostKeyAlias=%s"
      " -o HostName=%s%s",
      host, address, limits->ssh_key != NULL ? " -i " SSH_KEY : "");
}

/* Nothing of the host's, the provider's or anybody's git configuration reaches git; safe.directory
 * has to come from a file, because git hides its command line's settings from the upload-pack it
 * starts. */
static char **
make_env (const char *home, const char *protocols, const char *ssh)
{
  g_autoptr (GStrvBuilder) env = g_strv_builder_new ();
  g_autofree char *home_var = g_strconcat ("HOME=", home, NULL);
  g_autofree char *global = g_strdup_printf ("GIT_CONFIG_GLOBAL=%s/gitconfig", home);
  g_autofree char *allow = g_strconcat ("GIT_ALLOW_PROTOCOL=", protocols, NULL);
  g_autofree char *ssh_var = g_strconcat ("GIT_SSH_COMMAND=", ssh, NULL);

  g_strv_builder_add_many (env, "PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "LC_ALL=C",
                           "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0",
                           "GIT_ASKPASS=/bin/false", "SSH_ASKPASS=/bin/false",
                           "GIT_PROTOCOL_FROM_USER=0", "GIT_SSH_VARIANT=ssh", "GIT_ATTR_NOSYSTEM=1",
                           "GIT_OPTIONAL_LOCKS=0", home_var, global, allow, ssh_var, NULL);
  return g_strv_builder_end (env);
}

/* Decide where git may go, before it starts. */
static gboolean
prepare (Fetch *f, GError **error)
{
  g_autofree char *host = NULL, *port = NULL, *ssh = NULL, *joined = NULL;
  g_auto (GStrv) addresses = NULL;

  if (f->file)
    {
      f->envp = make_env (f->base, "file", "/bin/false");
      return TRUE;
    }
  split_url (f->url, &host, &port);
  addresses = look_up (f->url, host, f->limits, error);
  if (addresses == NULL)
    return FALSE;
  if (g_str_has_prefix (f->url, "ssh://"))
    ssh = ssh_command (host, addresses[0], f->limits);
  else
    {
      joined = g_strjoinv (",", addresses);
      f->resolve = g_strdup_printf ("http.curloptResolve=%s:%s:%s", host, port, joined);
    }
  f->envp = make_env (f->base, ssh != NULL ? "ssh" : "https", ssh != NULL ? ssh : "/bin/false");
  return TRUE;
}

/* Run git; `args` is NULL-terminated. FALSE with error: it could not run or was stopped. */
static gboolean
git (Fetch *f, const char *const *args, gsize out_max, MooshChildResult *ret, GError **error)
{
  static const char *const settings[] = { "core.hooksPath=/dev/null",
                                          "core.fsmonitor=false",
                                          "core.symlinks=true",
                                          "core.autocrlf=false",
                                          "core.attributesFile=/dev/null",
                                          "protocol.version=2",
                                          "credential.helper=",
                                          "fetch.fsckObjects=true",
                                          "fetch.unpackLimit=1",
                                          "fetch.recurseSubmodules=false",
                                          "http.followRedirects=false",
                                          "http.lowSpeedLimit=1000",
                                          "http.lowSpeedTime=30",
                                          "gc.auto=0",
                                          "maintenance.auto=false",
                                          "pack.threads=1",
                                          "advice.detachedHead=false",
                                          "init.defaultBranch=main" };
  g_autoptr (GPtrArray) argv = NULL;
  const MooshCageBind binds[]
      = { { f->work, f->base, TRUE }, { f->passwd, "/etc/passwd", FALSE }, { NULL, NULL, FALSE } };
  gint64 left_us = f->deadline_us - g_get_monotonic_time ();
  MooshChild child = { .what = "fetching the blueprint",
                       .out_max = out_max,
                       .log = f->limits->log,
                       .cancellable = f->limits->cancellable };

  if (left_us <= 0)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_TIMEOUT,
                   "fetching the blueprint: not done after %u s, its time limit",
                   f->limits->timeout_s);
      return FALSE;
    }
  argv = f->caged ? moosh_cage_argv (&f->limits->cage, binds)
                  : g_ptr_array_new_with_free_func (g_free);
  moosh_cage_add (argv, "git", NULL);
  for (guint i = 0; !f->person && i < G_N_ELEMENTS (settings); i++)
    moosh_cage_add (argv, "-c", settings[i], NULL);
  if (f->resolve != NULL)
    moosh_cage_add (argv, "-c", f->resolve, NULL);
  for (; *args != NULL; args++)
    moosh_cage_add (argv, *args, NULL);
  g_ptr_array_add (argv, NULL);
  child.spawn.argv = (const char *const *)argv->pdata;
  child.spawn.envp = (const char *const *)f->envp;
  child.spawn.no_new_privs = !f->person && !f->caged; /* the cage does it itself, at its end */
  child.spawn.file_size_max = f->limits->bytes_max;
  for (guint i = 0; f->limits->cgroup_procs != NULL && f->limits->cgroup_procs[i] != NULL && i < 3;
       i++)
    child.spawn.cgroup_procs[i] = f->limits->cgroup_procs[i];
  child.timeout_s = (guint)(left_us / G_USEC_PER_SEC) + 1;
  return moosh_child_run (&child, ret, error);
}

/* The same, for steps that have to succeed. */
static gboolean
git_do (Fetch *f, const char *const *args, gsize out_max, char **ret_out, GError **error)
{
  g_auto (MooshChildResult) result = { 0 };

  if (!git (f, args, out_max, &result, error))
    return FALSE;
  if (result.exit_status == 128 + SIGXFSZ)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_LIMIT,
                   "blueprint repository %s: it is larger than this provider fetches", f->url);
      return FALSE;
    }
  if (result.exit_status != 0)
    return explain (f->url, f->commit, &result, error);
  if (ret_out != NULL)
    *ret_out = g_steal_pointer (&result.out);
  return TRUE;
}

/* Servers that hand out any commit (protocol 2 does) give it alone; for the others we take the
 * branches and tags. */
static gboolean
fetch_objects (Fetch *f, GError **error)
{
  const char *const one[] = {
    "--git-dir", f->git_dir, "fetch", "--quiet", "--depth=1", "--no-tags", "--no-write-fetch-head",
    f->url,      f->commit,  NULL
  };
  const char *const all[] = { "--git-dir",
                              f->git_dir,
                              "fetch",
                              "--quiet",
                              "--no-tags",
                              "--no-write-fetch-head",
                              f->url,
                              "+refs/heads/*:refs/heads/*",
                              "+refs/tags/*:refs/tags/*",
                              NULL };
  g_autoptr (GError) first = NULL;

  if (git_do (f, one, 4096, NULL, &first))
    return TRUE;
  if (first->code != MOOSH_ERROR_CONFLICT)
    {
      g_propagate_error (error, g_steal_pointer (&first));
      return FALSE;
    }
  moosh_log_line (
      f->limits->log,
      "moosh: the server does not give this commit alone; looking through its branches");
  return git_do (f, all, 4096, NULL, error);
}

static gboolean
check_commit (Fetch *f, GError **error)
{
  g_autofree char *object = g_strconcat (f->commit, "^{commit}", NULL);
  const char *const args[] = { "--git-dir", f->git_dir, "cat-file", "-e", object, NULL };
  g_auto (MooshChildResult) result = { 0 };

  if (!git (f, args, 4096, &result, error))
    return FALSE;
  if (result.exit_status == 0)
    return TRUE;
  g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_NOT_FOUND,
               "blueprint repository %s: it has no such commit as %s", f->url, f->commit);
  return FALSE;
}

/* Add up the tree before anything is written: a pack of a few kilobytes may hold a tree of any
 * size. */
static gboolean
check_tree (Fetch *f, GError **error)
{
  const char *const args[] = { "--git-dir", f->git_dir, "ls-tree", "-r", "-l", f->commit, NULL };
  g_autofree char *listing = NULL;
  g_autoptr (GError) cause = NULL;
  guint64 bytes = 0;
  guint files = 0;

  if (!git_do (f, args, (gsize)f->limits->files_max * 256, &listing, &cause))
    {
      if (cause->code == MOOSH_ERROR_LIMIT)
        g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_LIMIT,
                     "blueprint repository %s: its tree has too many files", f->url);
      else
        g_propagate_error (error, g_steal_pointer (&cause));
      return FALSE;
    }
  for (const char *line = listing; *line != '\0';
       line += strcspn (line, "\n"), line += *line == '\n')
    {
      const char *size = line + strspn (line, "0123456789"); /* mode */

      size += strspn (size, " ");
      size += strcspn (size, " "); /* type */
      size += strspn (size, " ");
      size += strcspn (size, " "); /* object */
      bytes += g_ascii_strtoull (size, NULL, 10);
      files++;
    }
  if (files <= f->limits->files_max && bytes <= f->limits->bytes_max)
    return TRUE;
  g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_LIMIT,
               "blueprint repository %s: its tree has %u files and %" G_GUINT64_FORMAT
               " bytes; %u and %" G_GUINT64_FORMAT " are allowed",
               f->url, files, bytes, f->limits->files_max, f->limits->bytes_max);
  return FALSE;
}

static gboolean
check_out (Fetch *f, GError **error)
{
  const char *const args[] = { "--git-dir", f->git_dir, "--work-tree", f->tree,   "checkout",
                               "--quiet",   "--force",  "--detach",    f->commit, NULL };

  return git_do (f, args, 4096, NULL, error);
}

/* A repository of our own user on this host may be read whoever git runs as; anybody else's is
 * git's to refuse. */
static gboolean
write_config (Fetch *f, GError **error)
{
  g_autofree char *config = g_build_filename (f->work, "gitconfig", NULL);
  const char *path = f->file ? f->url + strlen ("file://") : NULL;
  g_autofree char *text = NULL;
  struct stat st;

  if (f->file && stat (path, &st) != 0)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_NOT_FOUND,
                   "blueprint repository %s: there is no git repository", f->url);
      return FALSE;
    }
  if (f->file && st.st_uid == geteuid ())
    text
        = g_strdup_printf ("[safe]\n\tdirectory = \"%s\"\n\tdirectory = \"%s/.git\"\n", path, path);
  return g_file_set_contents_full (config, text != NULL ? text : "", -1, G_FILE_SET_CONTENTS_NONE,
                                   0644, error);
}

static gboolean
write_passwd (Fetch *f, GError **error)
{
  const MooshCage *cage = &f->limits->cage;
  g_autofree char *text
      = g_strdup_printf ("build:x:%u:%u::%s:/bin/false\n", cage->set_ids ? cage->uid : geteuid (),
                         cage->set_ids ? cage->gid : getegid (), f->base);

  f->passwd = g_build_filename (f->work, "passwd", NULL);
  return g_file_set_contents_full (f->passwd, text, -1, G_FILE_SET_CONTENTS_NONE, 0644, error);
}

/* The build user gets its own copy: ssh wants a key that nobody else may read. */
static gboolean
write_ssh_key (Fetch *f, GError **error)
{
  const MooshCage *cage = &f->limits->cage;
  g_autofree char *path = g_build_filename (f->work, "ssh_key", NULL), *text = NULL;
  gsize len;

  if (f->limits->ssh_key == NULL || !g_str_has_prefix (f->url, "ssh://"))
    return TRUE;
  if (!g_file_get_contents (f->limits->ssh_key, &text, &len, error)
      || !g_file_set_contents_full (path, text, (gssize)len, G_FILE_SET_CONTENTS_NONE, 0600, error))
    return FALSE;
  if (!cage->set_ids || chown (path, cage->uid, cage->gid) == 0)
    return TRUE;
  g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_FAILED, "%s: %s", path, g_strerror (errno));
  return FALSE;
}

gboolean
moosh_fetch (const MooshFetch *fetch, const char *url, const guint8 commit[MOOSH_COMMIT_LEN],
             const char *work, GError **error)
{
  g_auto (Fetch) f = { .limits = fetch, .url = url, .work = work };
  g_autofree char *tree = g_build_filename (work, "blueprint", NULL);
  const char *init[] = { "init", "--quiet", "--bare", "--template=", NULL, NULL };

  if (!moosh_blueprint_url_check (url, fetch->allow_file, error))
    return FALSE;
  moosh_hex_encode (commit, MOOSH_COMMIT_LEN, f.commit);
  f.file = g_str_has_prefix (url, "file://");
  f.caged = !f.file;
  f.base = f.caged ? MOOSH_CAGE_DIR "/fetch" : work;
  f.git_dir = g_build_filename (f.base, "git", NULL);
  f.tree = g_build_filename (f.base, "blueprint", NULL);
  f.deadline_us = g_get_monotonic_time () + (gint64)fetch->timeout_s * G_USEC_PER_SEC;
  init[4] = f.git_dir;
  if (!prepare (&f, error) || !write_config (&f, error)
      || (f.caged && (!write_passwd (&f, error) || !write_ssh_key (&f, error))))
    return FALSE;
  if (g_mkdir (tree, 0755) != 0
      || (f.caged && fetch->cage.set_ids && chown (tree, fetch->cage.uid, fetch->cage.gid) != 0))
    return g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_FAILED, "%s: cannot be made: %s", tree,
                        g_strerror (errno)),
           FALSE;
  return git_do (&f, init, 4096, NULL, error) && fetch_objects (&f, error)
         && check_commit (&f, error) && check_tree (&f, error) && check_out (&f, error);
}

char *
moosh_git_ls_remote (const char *url, const char *name, guint timeout_ms, GError **error)
{
  g_autofree char *tag = g_strdup_printf ("%s^{}", name);
  const char *const args[] = { "ls-remote", "--quiet", url, name, tag, NULL };
  MooshFetch limits = { .allow_file = TRUE,
                        .allow_private_hosts = TRUE,
                        .timeout_s = timeout_ms / 1000 + 1,
                        .bytes_max = 64 * 1024 * 1024 };
  g_auto (Fetch) f = { .limits = &limits, .url = url };
  g_auto (MooshChildResult) result = { 0 };

  f.deadline_us = g_get_monotonic_time () + (gint64)timeout_ms * 1000;
  /* their ssh agent, keys and safe.directory are what makes it work */
  f.person = TRUE;
  f.envp = g_get_environ ();
  f.envp = g_environ_setenv (f.envp, "LC_ALL", "C", TRUE);
  f.envp = g_environ_setenv (f.envp, "GIT_TERMINAL_PROMPT", "0", TRUE);
  f.envp = g_environ_setenv (f.envp, "GIT_ALLOW_PROTOCOL", "https:ssh:file", TRUE);
  if (!git (&f, args, 1024 * 1024, &result, error))
    return NULL;
  if (result.exit_status != 0)
    return explain (url, NULL, &result, error), NULL;
  return g_steal_pointer (&result.out);
}
