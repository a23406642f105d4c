/* The builder on the command line, for tests/functional/test_build.py: one build, its outcome as a
 * line of JSON.
 *
 * Steps go to stderr as they begin; SIGTERM cancels the build; `--limit NAME=N` sets a field of
 * MooshBuildLimits. */
#include "base/json.h"
#include "core/bytes/bytes.h"
#include "machine/blueprint.h"
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

static GCancellable *cancellable;

static gpointer
await_term (gpointer unused)
{
  sigset_t set;
  int number;

  (void)unused;
  sigemptyset (&set);
  sigaddset (&set, SIGTERM);
  sigwait (&set, &number);
  g_cancellable_cancel (cancellable);
  return NULL;
}

static gboolean
set_limit (MooshBuildLimits *limits, const char *assignment)
{
  const struct {
    const char *name;
    guint *small;
    guint64 *large;
  } fields[] = {
    { "fetch_s", &limits->fetch_s, NULL },
    { "fetch_bytes", NULL, &limits->fetch_bytes },
    { "tree_files", &limits->tree_files, NULL },
    { "eval_s", &limits->eval_s, NULL },
    { "eval_memory", NULL, &limits->eval_memory },
    { "build_s", &limits->build_s, NULL },
    { "build_silence_s", &limits->build_silence_s, NULL },
    { "build_memory", NULL, &limits->build_memory },
    { "build_processes", &limits->build_processes, NULL },
    { "build_bytes", NULL, &limits->build_bytes },
    { "log_bytes", NULL, &limits->log_bytes },
    { "kernel_bytes", NULL, &limits->kernel_bytes },
  };
  const char *equals = strchr (assignment, '=');

  for (guint i = 0; equals != NULL && i < G_N_ELEMENTS (fields); i++)
    if (strlen (fields[i].name) == (gsize)(equals - assignment)
        && strncmp (fields[i].name, assignment, (gsize)(equals - assignment)) == 0)
      {
        guint64 value = g_ascii_strtoull (equals + 1, NULL, 10);

        if (fields[i].small != NULL)
          *fields[i].small = (guint)value;
        else
          *fields[i].large = value;
        return TRUE;
      }
  return FALSE;
}

static void
say_step (const char *step, gpointer unused)
{
  (void)unused;
  fprintf (stderr, "step %s\n", step);
}

static JsonObject *
success (const MooshSystem *system)
{
  g_autoptr (GBytes) digest = g_bytes_new (system->log_digest, sizeof system->log_digest);

  return moosh_json_build ("ok", 'b', TRUE, "store_path", 's', system->store_path, "kernel", 's',
                           system->kernel, "initrd", 's', system->initrd, "cmdline", 's',
                           system->cmdline, "store", 's', system->store_image, "cached", 'b',
                           system->cached, "seconds", 'd', system->seconds, "log_digest", 'x',
                           digest, NULL);
}

static struct {
  char *state, *nix, *guest, *url, *commit, *attribute, *policy, *log;
  char *ssh_key, *nixpkgs, *substituters, *trusted;
  char **limits, **keep;
  gboolean allow_file, allow_private, collect;
  int uid;
} set;

static const GOptionEntry entries[]
    = { { "state", 0, 0, G_OPTION_ARG_FILENAME, &set.state, "State directory", "DIR" },
        { "nix", 0, 0, G_OPTION_ARG_FILENAME, &set.nix, "The nix directory", "DIR" },
        { "guest", 0, 0, G_OPTION_ARG_FILENAME, &set.guest, "The guest directory", "DIR" },
        { "url", 0, 0, G_OPTION_ARG_STRING, &set.url, "Repository", "URL" },
        { "commit", 0, 0, G_OPTION_ARG_STRING, &set.commit, "Commit", "HEX" },
        { "attribute", 0, 0, G_OPTION_ARG_STRING, &set.attribute, "Attribute", "NAME" },
        { "policy", 0, 0, G_OPTION_ARG_STRING, &set.policy, "Software policy", "TEXT" },
        { "log", 0, 0, G_OPTION_ARG_FILENAME, &set.log, "Log file", "FILE" },
        { "limit", 0, 0, G_OPTION_ARG_STRING_ARRAY, &set.limits, "Set a limit", "NAME=N" },
        { "nixpkgs", 0, 0, G_OPTION_ARG_FILENAME, &set.nixpkgs, "<nixpkgs>", "DIR" },
        { "substituters", 0, 0, G_OPTION_ARG_STRING, &set.substituters, "Binary caches", "URLS" },
        { "trusted-keys", 0, 0, G_OPTION_ARG_STRING, &set.trusted, "Their keys", "KEYS" },
        { "ssh-key", 0, 0, G_OPTION_ARG_FILENAME, &set.ssh_key, "For ssh:// URLs", "FILE" },
        { "uid", 0, 0, G_OPTION_ARG_INT, &set.uid, "Build user and group", "N" },
        { "allow-file", 0, 0, G_OPTION_ARG_NONE, &set.allow_file, "file:// URLs", NULL },
        { "allow-private", 0, 0, G_OPTION_ARG_NONE, &set.allow_private, "Private hosts", NULL },
        { "collect", 0, 0, G_OPTION_ARG_NONE, &set.collect, "Collect garbage instead", NULL },
        { "keep", 0, 0, G_OPTION_ARG_STRING_ARRAY, &set.keep, "A system to keep", "STOREPATH" },
        G_OPTION_ENTRY_NULL };

static MooshBuilder *
make_builder (GError **error)
{
  MooshBuilderConfig config = { .state_dir = set.state,
                                .nix_dir = set.nix,
                                .guest_dir = set.guest,
                                .uid = (uid_t)set.uid,
                                .gid = (gid_t)set.uid,
                                .allow_file = set.allow_file,
                                .allow_private_hosts = set.allow_private,
                                .ssh_key = set.ssh_key,
                                .nixpkgs_dir = set.nixpkgs,
                                .substituters = set.substituters,
                                .trusted_keys = set.trusted };

  for (char **limit = set.limits; limit != NULL && *limit != NULL; limit++)
    if (!set_limit (&config.limits, *limit))
      g_error ("no such limit: %s", *limit);
  return moosh_builder_new (&config, error);
}

static JsonObject *
collect (MooshBuilder *builder, GError **error)
{
  const char *const nothing[] = { NULL };
  const char *const *keep = set.keep != NULL ? (const char *const *)set.keep : nothing;
  guint64 freed = 0;

  if (!moosh_builder_collect (builder, keep, &freed, error))
    return NULL;
  return moosh_json_build ("ok", 'b', TRUE, "freed", 'i', (gint64)freed, NULL);
}

static JsonObject *
build (MooshBuilder *builder, GError **error)
{
  g_autoptr (MooshRequest) request = moosh_request_new ();
  g_autoptr (MooshSystem) system = NULL;

  request->url = g_strdup (set.url);
  request->attribute = g_strdup (set.attribute);
  if (moosh_hex_decode (set.commit, request->commit, sizeof request->commit) != MOOSH_OK)
    g_error ("bad commit: %s", set.commit);
  system = moosh_builder_build (builder, request, set.policy, set.log, say_step, NULL, cancellable,
                                error);
  return system != NULL ? success (system) : NULL;
}

int
main (int argc, char **argv)
{
  g_autoptr (GOptionContext) options = g_option_context_new (NULL);
  g_autoptr (MooshBuilder) builder = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonObject) result = NULL;
  g_autofree char *text = NULL;
  sigset_t term;

  sigemptyset (&term);
  sigaddset (&term, SIGTERM);
  pthread_sigmask (SIG_BLOCK, &term, NULL);
  cancellable = g_cancellable_new ();
  g_option_context_add_main_entries (options, entries, NULL);
  if (!g_option_context_parse (options, &argc, &argv, &error))
    g_error ("%s", error->message);
  g_thread_unref (g_thread_new ("term", await_term, NULL));
  builder = make_builder (&error);
  if (builder != NULL)
    result = set.collect ? collect (builder, &error) : build (builder, &error);
  if (result == NULL)
    result = moosh_json_build ("ok", 'b', FALSE, "kind", 's',
                               moosh_error_name ((MooshError)error->code), "message", 's',
                               error->message, NULL);
  text = moosh_json_print (result, FALSE);
  puts (text);
  return error == NULL ? 0 : moosh_error_exit_code (error);
}
