/* From argv to a command's run function: one table says what there is, what it takes, and how its
 * help reads. */
#include "base/daemon.h"
#include "base/json.h"
#include "cli/cli.h"
#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

const CliOption cli_global_options[] = {
  { "state", 0, "DIR",
    "State directory of the node (default $MOOSH_HOME, else "
    "/var/lib/mooshnet or ~/.local/share/mooshnet)",
    "dir" },
  { "json", 0, NULL, "Print data as JSON, and an error as {\"error\": {kind, message}} on stderr",
    NULL },
  { "yes", 'y', NULL, "Answer every question with yes", NULL },
  { NULL, 0, NULL, NULL, NULL },
};

static const char exit_codes[] = "Exit codes:\n"
                                 "  0 done   1 failed (doctor: something is broken)   2 wrong "
                                 "words   3 not found   4 the other side refused\n"
                                 "  5 our own policy refused   6 not reachable   7 took too long   "
                                 "8 too little money   9 expired\n"
                                 "  10 changed since you looked   11 protocol broken   12 state "
                                 "damaged   13 limit reached   14 cancelled\n";

static gboolean
store_value (const char *name, const char *value, gpointer user_data, GError **error)
{
  Cli *cli = user_data;
  const char *bare = name + strspn (name, "-");
  GPtrArray *list;

  (void)error;
  if (strlen (bare) == 1) /* a short option: find its long name */
    for (int pass = 0; pass < 2; pass++)
      for (const CliOption *o = pass ? cli_global_options : cli->command->options;
           o != NULL && o->name != NULL; o++)
        if (o->letter == *bare)
          bare = o->name;
  list = g_hash_table_lookup (cli->values, bare);
  if (list == NULL)
    {
      list = g_ptr_array_new_with_free_func (g_free);
      g_hash_table_insert (cli->values, g_strdup (bare), list);
    }
  else if (list->len > 0)
    g_ptr_array_remove_index (list, list->len - 1); /* the closing NULL */
  g_ptr_array_add (list, g_strdup (value ? value : ""));
  g_ptr_array_add (list, NULL);
  return TRUE;
}

static void
add_options (GArray *entries, const CliOption *options)
{
  for (; options != NULL && options->name != NULL; options++)
    {
      GOptionEntry entry = { .long_name = options->name,
                             .short_name = options->letter,
                             .flags = options->metavar ? 0 : G_OPTION_FLAG_NO_ARG,
                             .arg = G_OPTION_ARG_CALLBACK,
                             .arg_data = (gpointer)(void (*) (void))store_value,
                             .description = options->help,
                             .arg_description = options->metavar };
      g_array_append_val (entries, entry);
    }
}

/* Parse the options of `first` and then `second` out of argv. `rest`: stop at the first argument.
 */
static gboolean
parse (Cli *cli, const CliOption *first, const CliOption *second, gboolean rest, int *argc,
       char ***argv, GError **error)
{
  g_autoptr (GOptionContext) context = g_option_context_new (NULL);
  g_autoptr (GArray) entries = g_array_new (TRUE, TRUE, sizeof (GOptionEntry));
  GOptionGroup *group = g_option_group_new ("main", "", "", cli, NULL);
  g_autoptr (GError) local = NULL;

  add_options (entries, first);
  add_options (entries, second);
  g_option_group_add_entries (group, (const GOptionEntry *)(gpointer)entries->data);
  g_option_context_set_main_group (context, group);
  g_option_context_set_help_enabled (context, FALSE);
  g_option_context_set_strict_posix (context, rest);
  if (g_option_context_parse (context, argc, argv, &local))
    return TRUE;
  g_set_error_literal (error, MOOSH_ERROR, MOOSH_ERROR_USAGE, local->message);
  return FALSE;
}

const char *
cli_value (Cli *cli, const char *name)
{
  GPtrArray *list = g_hash_table_lookup (cli->values, name);
  return list != NULL ? list->pdata[list->len - 2] : NULL;
}

gboolean
cli_flag (Cli *cli, const char *name)
{
  return g_hash_table_contains (cli->values, name);
}

char **
cli_values (Cli *cli, const char *name)
{
  static char *none[] = { NULL };
  GPtrArray *list = g_hash_table_lookup (cli->values, name);
  return list != NULL ? (char **)list->pdata : none;
}

const CliCommand *
cli_find (const CliProgram *program, char *const *words, guint *ret_used)
{
  const CliCommand *best = NULL;

  *ret_used = 0;
  for (const CliCommand *c = program->commands; c->words != NULL; c++)
    {
      g_auto (GStrv) own = g_strsplit (c->words, " ", -1);
      guint n = g_strv_length (own), i = 0;

      while (i < n && words[i] != NULL && strcmp (own[i], words[i]) == 0)
        i++;
      if (i == n && n > *ret_used)
        {
          best = c;
          *ret_used = n;
        }
    }
  return best;
}

static void
print_options (const char *title, const CliOption *options)
{
  if (options == NULL || options->name == NULL)
    return;
  printf ("\n%s:\n", title);
  for (; options->name != NULL; options++)
    {
      g_autofree char *left
          = g_strdup_printf ("%s--%s%s%s", "", options->name, options->metavar ? " " : "",
                             options->metavar ? options->metavar : "");
      char letter[] = { '-', options->letter, ',', ' ', '\0' };

      printf ("  %s%-24s %s\n", options->letter ? letter : "    ", left, options->help);
    }
}

static const CliOption common_rest[] = {
  { "help", 'h', NULL, "This help", NULL },
  { "version", 0, NULL, "Print the version", NULL },
  { NULL, 0, NULL, NULL, NULL },
};

static void
help_command (const CliProgram *program, const CliCommand *command)
{
  printf ("%s %s%s%s%s\n\n%s.\n", program->name, command->words,
          command->options && command->options->name ? " [OPTION]…" : "",
          *command->usage ? " " : "", command->usage, command->summary);
  if (command->help != NULL)
    printf ("\n%s\n", command->help);
  print_options ("Options", command->options);
  print_options ("Everywhere", cli_global_options);
}

/* The commands of a noun, or with NULL all; how many that were. */
static guint
help_list (const CliProgram *program, const char *noun)
{
  gsize len = noun ? strlen (noun) : 0;
  guint n = 0;

  for (const CliCommand *c = program->commands; c->words != NULL; c++)
    if (noun == NULL || (strncmp (c->words, noun, len) == 0 && c->words[len] == ' '))
      {
        g_autofree char *left
            = g_strdup_printf ("%s%s%s", c->words, *c->usage ? " " : "", c->usage);

        printf ("  %s%*s %s\n", left, (int)MAX (34 - g_utf8_strlen (left, -1), 0), "", c->summary);
        n++;
      }
  return n;
}

static void
help_program (const CliProgram *program)
{
  guint used;

  printf ("%s: %s\n\nUsage: %s COMMAND [OPTION]… [ARGUMENT]…\n\nThe daily path:\n", program->name,
          program->summary, program->name);
  for (const char *const *w = program->daily; *w != NULL; w++)
    {
      g_auto (GStrv) words = g_strsplit (*w, " ", -1);
      const CliCommand *c = cli_find (program, words, &used);

      printf ("  %-12s %s\n", c->words, c->summary);
    }
  printf ("\nAll commands (`%s COMMAND --help` says more):\n", program->name);
  help_list (program, NULL);
  print_options ("Everywhere", cli_global_options);
  print_options ("And", common_rest);
  printf ("\n%s", exit_codes);
}

/* The sentence for words that name no command, with the verbs of the noun if it is one. */
static gboolean
unknown (const CliProgram *program, const char *word, const char *next, GError **error)
{
  g_autoptr (GString) verbs = g_string_new (NULL);
  gsize len = strlen (word);

  for (const CliCommand *c = program->commands; c->words != NULL; c++)
    if (strncmp (c->words, word, len) == 0 && c->words[len] == ' ')
      g_string_append_printf (verbs, "%s%s", verbs->len ? ", " : "", c->words + len + 1);
  if (verbs->len > 0)
    g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE, "%s %s%s%s: say one of %s", program->name,
                 word, next ? " " : "", next ? next : "", verbs->str);
  else
    g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE,
                 "there is no command \"%s\": `%s --help` lists them", word, program->name);
  return FALSE;
}

/* Where help is asked for: a `--help` before a "--", and before a command's own words begin. */
static gboolean
wants (int argc, char **argv, const char *long_name, const char *short_name, gboolean rest,
       int from)
{
  for (int i = 1; i < argc && strcmp (argv[i], "--") != 0; i++)
    {
      if (strcmp (argv[i], long_name) == 0 || (short_name && strcmp (argv[i], short_name) == 0))
        return TRUE;
      if (rest && i >= from && argv[i][0] != '-')
        return FALSE;
    }
  return FALSE;
}

static gboolean
check_arguments (Cli *cli, GError **error)
{
  const CliCommand *c = cli->command;

  if (cli->n_args >= c->args_min && cli->n_args <= c->args_max)
    return TRUE;
  g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE, "%s %s takes %s%s: `%s %s --help` says more",
               cli->program->name, c->words, *c->usage ? "the arguments " : "no argument", c->usage,
               cli->program->name, c->words);
  return FALSE;
}

/* `moosh help [WORDS]`, --help and --version in the command's place. */
static void
help (const CliProgram *program, char **words)
{
  guint used;
  const CliCommand *command = words[1] ? cli_find (program, words + 1, &used) : NULL;

  if (strcmp (words[0], "--version") == 0)
    printf ("%s %s\n", program->name, MOOSH_VERSION);
  else if (command != NULL)
    help_command (program, command);
  else if (words[1] == NULL || help_list (program, words[1]) == 0)
    help_program (program);
}

/* Options and arguments of the command that was found, then its function. */
static gboolean
run_command (Cli *cli, int argc, char **argv, GError **error)
{
  g_autofree char *state = NULL;

  if (!parse (cli, cli->command->options, cli_global_options, cli->command->rest, &argc, &argv,
              error))
    return FALSE;
  cli->args = argv + 1;
  cli->n_args = (guint)argc - 1;
  if (cli->n_args > 0
      && strcmp (cli->args[0], "--") == 0) /* glib leaves it before a word with a dash */
    {
      cli->args++;
      cli->n_args--;
    }
  if (!check_arguments (cli, error))
    return FALSE;
  cli->json = cli_flag (cli, "json");
  cli->yes = cli_flag (cli, "yes");
  state
      = cli_value (cli, "state") ? g_strdup (cli_value (cli, "state")) : moosh_default_state_dir ();
  cli->state_dir = g_canonicalize_filename (state, NULL);
  return cli->command->run (cli, error);
}

static gboolean
run (Cli *cli, int argc, char **argv, GError **error)
{
  guint used = 0;

  /* global options may stand before the command */
  if (argc > 1 && argv[1][0] == '-' && !wants (argc, argv, "--help", "-h", TRUE, 1)
      && !wants (argc, argv, "--version", NULL, TRUE, 1)
      && !parse (cli, cli_global_options, NULL, TRUE, &argc, &argv, error))
    return FALSE;
  if (argc < 2)
    {
      help_program (cli->program);
      cli->exit_code = 2;
      return TRUE;
    }
  if (argv[1][0] == '-' || strcmp (argv[1], "help") == 0)
    {
      help (cli->program, argv + 1);
      return TRUE;
    }
  cli->command = cli_find (cli->program, argv + 1, &used);
  if (cli->command == NULL && wants (argc, argv, "--help", "-h", FALSE, 1)
      && help_list (cli->program, argv[1]) > 0)
    return TRUE;
  if (cli->command == NULL)
    return unknown (cli->program, argv[1], argc > 2 ? argv[2] : NULL, error);
  argv[used] = argv[0];
  if (!wants (argc - (int)used, argv + used, "--help", "-h", cli->command->rest, 1))
    return run_command (cli, argc - (int)used, argv + used, error);
  help_command (cli->program, cli->command);
  return TRUE;
}

static void
report (Cli *cli, const GError *error)
{
  if (cli->json || cli_flag (cli, "json"))
    {
      const char *kind
          = error->domain == MOOSH_ERROR ? moosh_error_name ((MooshError)error->code) : "failed";
      g_autoptr (JsonObject) object = moosh_json_build (
          "error", 'o', moosh_json_build ("kind", 's', kind, "message", 's', error->message, NULL),
          NULL);
      g_autofree char *text = moosh_json_print (object, FALSE);

      fprintf (stderr, "%s\n", text);
    }
  else
    fprintf (stderr, "%s: %s\n", cli->program->name, error->message);
}

static void
free_list (gpointer list)
{
  g_ptr_array_unref (list);
}

int
cli_main (const CliProgram *program, int argc, char **argv)
{
  Cli cli = { .program = program };
  g_autoptr (GError) error = NULL;
  int code;

  setlocale (LC_ALL, "");
  cli.values = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, free_list);
  code = run (&cli, argc, argv, &error) ? cli.exit_code : moosh_error_exit_code (error);
  if (error != NULL)
    report (&cli, error);
  for (int i = 0; i < CLI_N_DAEMONS; i++)
    g_clear_pointer (&cli.clients[i], moosh_rpc_client_free);
  g_hash_table_unref (cli.values);
  g_free (cli.state_dir);
  g_free (cli.token_symbol);
  if (fflush (stdout) != 0 && code == 0)
    code = 1;
  return code;
}
