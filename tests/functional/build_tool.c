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
static int exit_code;

static void
print (JsonObject *object)
{
  g_autofree char *text = moosh_json_print (object, FALSE);

  puts (text);
  json_object_unref (object);
}

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
    { "store_bytes", NULL, &limits->store_bytes },
    { "keep_s", &limits->keep_s, NULL },
    { "concurrent", &limits->concurrent, NULL },
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
  char *state, *nix, *guest, *url, *commit, *policy, *log;
  char *ssh_key, *nixpkgs, *substituters, *trusted;
  char **limits, **keep, **attributes;
  gboolean allow_file, allow_private, collect;
  int uid;
} set;

static const GOptionEntry entries[]
    = { { "state", 0, 0, G_OPTION_ARG_FILENAME, &set.state, "State directory", "DIR" },
        { "nix", 0, 0, G_OPTION_ARG_FILENAME, &set.nix, "The nix directory", "DIR" },
        { "guest", 0, 0, G_OPTION_ARG_FILENAME, &set.guest, "The guest directory", "DIR" },
        { "url", 0, 0, G_OPTION_ARG_STRING, &set.url, "Repository", "URL" },
        { "commit", 0, 0, G_OPTION_ARG_STRING, &set.commit, "Commit", "HEX" },
        { "attribute", 0, 0, G_OPTION_ARG_STRING_ARRAY, &set.attributes,
          "Attribute; several are built at once", "NAME" },
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

static char **
in_use (gpointer unused)
{
  (void)unused;
  return set.keep != NULL ? g_strdupv (set.keep) : g_new0 (char *, 1);
}

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
                                .trusted_keys = set.trusted,
                                .in_use = in_use };

  for (char **limit = set.limits; limit != NULL && *limit != NULL; limit++)
    if (!set_limit (&config.limits, *limit))
      g_error ("no such limit: %s", *limit);
  return moosh_builder_new (&config, error);
}

static JsonObject *
collect (MooshBuilder *b, GError **error)
{
  const char *const nothing[] = { NULL };
  const char *const *keep = set.keep != NULL ? (const char *const *)set.keep : nothing;
  guint64 freed = 0;

  if (!moosh_builder_collect (b, keep, &freed, error))
    return NULL;
  return moosh_json_build ("ok", 'b', TRUE, "freed", 'i', (gint64)freed, NULL);
}

static MooshBuilder *builder;

static JsonObject *
failure (const GError *error)
{
  return moosh_json_build ("ok", 'b', FALSE, "kind", 's',
                           moosh_error_name ((MooshError)error->code), "message", 's',
                           error->message, NULL);
}

static gpointer
build (gpointer attribute)
{
  g_autoptr (MooshRequest) request = moosh_request_new ();
  g_autoptr (MooshSystem) system = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *log = NULL;

  log = set.attributes[1] != NULL ? g_strconcat (set.log, "-", attribute, NULL)
                                  : g_strdup (set.log);
  request->url = g_strdup (set.url);
  request->attribute = g_strdup (attribute);
  if (moosh_hex_decode (set.commit, request->commit, sizeof request->commit) != MOOSH_OK)
    g_error ("bad commit: %s", set.commit);
  system = moosh_builder_build (builder, request, set.policy, log, say_step, NULL, cancellable,
                                &error);
  if (system == NULL)
    exit_code = moosh_error_exit_code (error);
  return system != NULL ? success (system) : failure (error);
}

/* A line of JSON for each attribute, in their order. */
static void
build_all (void)
{
  guint n = g_strv_length (set.attributes);
  g_autofree GThread **threads = g_new0 (GThread *, n);

  for (guint i = 0; i < n; i++)
    threads[i] = g_thread_new (set.attributes[i], build, set.attributes[i]);
  for (guint i = 0; i < n; i++)
    print (g_thread_join (threads[i]));
}

int
main (int argc, char **argv)
{
  g_autoptr (GOptionContext) options = g_option_context_new (NULL);
  g_autoptr (GError) error = NULL;
  JsonObject *result = NULL;
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
  if (builder != NULL && !set.collect)
    build_all ();
  else
    {
      if (builder != NULL)
        result = collect (builder, &error);
      exit_code = error != NULL ? moosh_error_exit_code (error) : 0;
      print (result != NULL ? result : failure (error));
    }
  g_clear_pointer (&builder, moosh_builder_free);
  return exit_code;
}
