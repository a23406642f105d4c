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
outcome (const MooshSystem *system, const GError *error)
{
  g_autoptr (GBytes) digest = NULL;

  if (system == NULL)
    return moosh_json_build ("ok", 'b', FALSE, "kind", 's',
                             moosh_error_name ((MooshError)error->code), "message", 's',
                             error->message, NULL);
  digest = g_bytes_new (system->log_digest, sizeof system->log_digest);
  return moosh_json_build ("ok", 'b', TRUE, "store_path", 's', system->store_path, "kernel", 's',
                           system->kernel, "initrd", 's', system->initrd, "cmdline", 's',
                           system->cmdline, "store", 's', system->store_image, "cached", 'b',
                           system->cached, "seconds", 'd', system->seconds, "log_digest", 'x',
                           digest, NULL);
}

int
main (int argc, char **argv)
{
  MooshBuilderConfig config = { 0 };
  g_autofree char *state = NULL, *nix = NULL, *guest = NULL, *url = NULL, *commit = NULL,
                  *attribute = NULL, *policy = NULL, *log = NULL, *ssh_key = NULL, *nixpkgs = NULL,
                  *substituters = NULL, *trusted = NULL, *text = NULL;
  g_auto (GStrv) limits = NULL, keep = NULL;
  gboolean allow_file = FALSE, allow_private = FALSE, collect = FALSE;
  int uid = 0;
  const GOptionEntry entries[]
      = { { "state", 0, 0, G_OPTION_ARG_FILENAME, &state, "State directory", "DIR" },
          { "nix", 0, 0, G_OPTION_ARG_FILENAME, &nix, "The nix directory", "DIR" },
          { "guest", 0, 0, G_OPTION_ARG_FILENAME, &guest, "The guest directory", "DIR" },
          { "url", 0, 0, G_OPTION_ARG_STRING, &url, "Repository", "URL" },
          { "commit", 0, 0, G_OPTION_ARG_STRING, &commit, "Commit", "HEX" },
          { "attribute", 0, 0, G_OPTION_ARG_STRING, &attribute, "Attribute", "NAME" },
          { "policy", 0, 0, G_OPTION_ARG_STRING, &policy, "Software policy", "TEXT" },
          { "log", 0, 0, G_OPTION_ARG_FILENAME, &log, "Log file", "FILE" },
          { "limit", 0, 0, G_OPTION_ARG_STRING_ARRAY, &limits, "Set a limit", "NAME=N" },
          { "nixpkgs", 0, 0, G_OPTION_ARG_FILENAME, &nixpkgs, "<nixpkgs>", "DIR" },
          { "substituters", 0, 0, G_OPTION_ARG_STRING, &substituters, "Binary caches", "URLS" },
          { "trusted-keys", 0, 0, G_OPTION_ARG_STRING, &trusted, "Their keys", "KEYS" },
          { "ssh-key", 0, 0, G_OPTION_ARG_FILENAME, &ssh_key, "For ssh:// URLs", "FILE" },
          { "uid", 0, 0, G_OPTION_ARG_INT, &uid, "Build user and group", "N" },
          { "allow-file", 0, 0, G_OPTION_ARG_NONE, &allow_file, "file:// URLs", NULL },
          { "allow-private", 0, 0, G_OPTION_ARG_NONE, &allow_private, "Private hosts", NULL },
          { "collect", 0, 0, G_OPTION_ARG_NONE, &collect, "Collect garbage instead", NULL },
          { "keep", 0, 0, G_OPTION_ARG_STRING_ARRAY, &keep, "A system to keep", "STOREPATH" },
          G_OPTION_ENTRY_NULL };
  g_autoptr (GOptionContext) options = g_option_context_new (NULL);
  g_autoptr (MooshRequest) request = moosh_request_new ();
  g_autoptr (MooshBuilder) builder = NULL;
  g_autoptr (MooshSystem) system = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonObject) result = NULL;
  const char *const nothing[] = { NULL };
  guint64 freed = 0;
  sigset_t term;

  sigemptyset (&term);
  sigaddset (&term, SIGTERM);
  pthread_sigmask (SIG_BLOCK, &term, NULL);
  cancellable = g_cancellable_new ();
  g_option_context_add_main_entries (options, entries, NULL);
  if (!g_option_context_parse (options, &argc, &argv, &error))
    g_error ("%s", error->message);
  for (char **limit = limits; limit != NULL && *limit != NULL; limit++)
    if (!set_limit (&config.limits, *limit))
      g_error ("no such limit: %s", *limit);
  g_thread_unref (g_thread_new ("term", await_term, NULL));
  config.state_dir = state;
  config.nix_dir = nix;
  config.guest_dir = guest;
  config.ssh_key = ssh_key;
  config.nixpkgs_dir = nixpkgs;
  config.substituters = substituters;
  config.trusted_keys = trusted;
  config.uid = (uid_t)uid;
  config.gid = (gid_t)uid;
  config.allow_file = allow_file;
  config.allow_private_hosts = allow_private;
  builder = moosh_builder_new (&config, &error);
  if (builder != NULL && collect)
    {
      if (moosh_builder_collect (builder, keep != NULL ? (const char *const *)keep : nothing,
                                 &freed, &error))
        result = moosh_json_build ("ok", 'b', TRUE, "freed", 'i', (gint64)freed, NULL);
    }
  else if (builder != NULL)
    {
      request->url = g_strdup (url);
      request->attribute = g_strdup (attribute);
      if (moosh_hex_decode (commit, request->commit, sizeof request->commit) != MOOSH_OK)
        g_error ("bad commit: %s", commit);
      system = moosh_builder_build (builder, request, policy, log, say_step, NULL, cancellable,
                                    &error);
    }
  if (result == NULL)
    result = outcome (system, error);
  text = moosh_json_print (result, FALSE);
  puts (text);
  return system != NULL || error == NULL ? 0 : moosh_error_exit_code (error);
}
