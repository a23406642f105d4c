/* Completion: the shells' scripts only hand the words back to `completion query`, which answers
 * from the same command table that runs the commands, and from the node for names. */
#include "base/json.h"
#include "cli/cli.h"
#include <stdio.h>
#include <string.h>

/* {prog} stands for the program's name, {func} for the name as a shell function's. */
static const char bash_script[] = "# bash completion for {prog}; made by `{prog} completion bash`\n"
                                  "_{func}() {\n"
                                  "  local line\n"
                                  "  COMPREPLY=()\n"
                                  "  while IFS= read -r line; do\n"
                                  "    case $line in\n"
                                  "      :file) compopt -o filenames; COMPREPLY+=($(compgen -f -- "
                                  "\"${COMP_WORDS[COMP_CWORD]}\")) ;;\n"
                                  "      :dir) compopt -o filenames; COMPREPLY+=($(compgen -d -- "
                                  "\"${COMP_WORDS[COMP_CWORD]}\")) ;;\n"
                                  "      *) COMPREPLY+=(\"${line%%$'\\t'*}\") ;;\n"
                                  "    esac\n"
                                  "  done < <(\"${COMP_WORDS[0]}\" completion query -- "
                                  "\"${COMP_WORDS[@]:1:COMP_CWORD}\" 2>/dev/null)\n"
                                  "}\n"
                                  "complete -F _{func} {prog}\n";

static const char zsh_script[]
    = "#compdef {prog}\n"
      "# zsh completion for {prog}; made by `{prog} completion zsh`\n"
      "_{func}() {\n"
      "  local -a found; local line\n"
      "  while IFS= read -r line; do\n"
      "    case $line in\n"
      "      :file) _files ;;\n"
      "      :dir) _files -/ ;;\n"
      "      *) found+=(\"${${line%%$'\\t'*}//:/\\\\:}:${line#*$'\\t'}\") ;;\n"
      "    esac\n"
      "  done < <(\"${words[1]}\" completion query -- \"${(@)words[2,CURRENT]}\" 2>/dev/null)\n"
      "  (( $#found )) && _describe '{prog}' found\n"
      "}\n"
      "if [ \"$funcstack[1]\" = \"_{func}\" ]; then _{func} \"$@\"; else compdef _{func} {prog}; "
      "fi\n";

static const char fish_script[]
    = "# fish completion for {prog}; made by `{prog} completion fish`\n"
      "function __{func}_complete\n"
      "  set -l words (commandline -opc) (commandline -ct)\n"
      "  for line in ($words[1] completion query -- $words[2..-1] 2>/dev/null)\n"
      "    switch $line\n"
      "      case ':file' ':dir'\n"
      "        __fish_complete_path (commandline -ct)\n"
      "      case '*'\n"
      "        echo $line\n"
      "    end\n"
      "  end\n"
      "end\n"
      "complete -c {prog} -f -a '(__{func}_complete)'\n";

static void
offer_word (const char *word, const char *help, const char *prefix)
{
  if (g_str_has_prefix (word, prefix))
    printf ("%s\t%s\n", word, help);
}

/* Names the node knows: member `name` of each object in `list` of the answer to `method`. Nothing
 * when it is silent. */
static void
offer_names (Cli *cli, const char *method, const char *list, const char *name, const char *help,
             const char *prefix)
{
  g_autoptr (JsonObject) answer = cli_call (cli, CLI_MOOSHD, method, NULL, 2000, NULL);
  JsonArray *array = answer ? moosh_json_array (answer, list, NULL) : NULL;

  for (guint i = 0; array != NULL && i < json_array_get_length (array); i++)
    {
      JsonNode *node = json_array_get_element (array, i);
      JsonObject *object = JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL;
      const char *word = object ? moosh_json_string_or (object, name, NULL) : NULL;

      if (word != NULL)
        offer_word (word, moosh_json_string_or (object, help, ""), prefix);
    }
}

static void
offer_values (Cli *cli, const char *kind, const char *prefix)
{
  if (kind == NULL)
    return;
  if (*kind == '=')
    {
      g_auto (GStrv) words = g_strsplit (kind + 1, " ", -1);

      for (char **w = words; *w != NULL; w++)
        offer_word (*w, "", prefix);
    }
  else if (strcmp (kind, "deployment") == 0)
    offer_names (cli, "agreement.list", "deployments", "deployment", "state", prefix);
  else if (strcmp (kind, "offer") == 0)
    offer_names (cli, "offers.list", "offers", "id", "price_per_hour", prefix);
  else if (strcmp (kind, "contact") == 0)
    offer_names (cli, "contact.list", "contacts", "name", "identity", prefix);
  else
    printf (":%s\n", kind);
}

static const CliOption *
find_option (const CliCommand *command, const char *word)
{
  for (int pass = 0; pass < 2; pass++)
    for (const CliOption *o = pass      ? cli_global_options
                              : command ? command->options
                                        : NULL;
         o != NULL && o->name != NULL; o++)
      if ((g_str_has_prefix (word, "--") && strcmp (word + 2, o->name) == 0)
          || (o->letter != 0 && word[0] == '-' && word[1] == o->letter && word[2] == '\0'))
        return o;
  return NULL;
}

static void
offer_options (const CliCommand *command, const char *prefix)
{
  for (int pass = 0; pass < 2; pass++)
    for (const CliOption *o = pass ? cli_global_options : command->options;
         o != NULL && o->name != NULL; o++)
      {
        g_autofree char *word = g_strconcat ("--", o->name, NULL);

        offer_word (word, o->help, prefix);
      }
  offer_word ("--help", "Help for this command", prefix);
}

/* The next words of the commands that begin with the `n` words typed so far. */
static void
offer_commands (const CliProgram *program, char **typed, guint n, const char *prefix)
{
  g_autoptr (GHashTable) seen = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);

  for (const CliCommand *c = program->commands; c->words != NULL; c++)
    {
      g_auto (GStrv) words = g_strsplit (c->words, " ", -1);
      guint i = 0;

      while (i < n && words[i] != NULL && strcmp (words[i], typed[i]) == 0)
        i++;
      if (i == n && words[n] != NULL && g_hash_table_add (seen, g_strdup (words[n])))
        offer_word (words[n], words[n + 1] ? "" : c->summary, prefix);
    }
}

/* The words after the program's name; the last one is being typed. */
static void
query (Cli *cli, char **typed, guint n)
{
  const char *prefix = n > 0 ? typed[n - 1] : "";
  g_autoptr (GPtrArray) plain = g_ptr_array_new ();
  const CliCommand *command;
  const CliOption *pending = NULL;
  guint used;

  for (guint i = 0; i + 1 < n; i++)
    if (typed[i][0] != '-')
      g_ptr_array_add (plain, typed[i]);
  g_ptr_array_add (plain, NULL);
  command = cli_find (cli->program, (char **)plain->pdata, &used);
  if (n > 1)
    pending = find_option (command, typed[n - 2]);
  if (pending != NULL && pending->metavar != NULL)
    offer_values (cli, pending->complete, prefix);
  else if (command != NULL && *prefix == '-')
    offer_options (command, prefix);
  else
    {
      offer_commands (cli->program, (char **)plain->pdata, plain->len - 1, prefix);
      if (command != NULL)
        offer_values (cli, command->complete, prefix);
    }
}

gboolean
cli_completion (Cli *cli, GError **error)
{
  g_autofree char *function = g_strdelimit (g_strdup (cli->program->name), "-", '_');
  const char *shell = cli->args[0];
  const char *script = strcmp (shell, "bash") == 0   ? bash_script
                       : strcmp (shell, "zsh") == 0  ? zsh_script
                       : strcmp (shell, "fish") == 0 ? fish_script
                                                     : NULL;
  g_autoptr (GString) text = NULL;

  if (strcmp (shell, "query") == 0)
    {
      guint skip = cli->n_args > 1 && strcmp (cli->args[1], "--") == 0 ? 2 : 1;

      query (cli, cli->args + skip, cli->n_args - skip);
      return TRUE;
    }
  if (script == NULL)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE,
                   "no completion for \"%s\": say bash, zsh or fish", shell);
      return FALSE;
    }
  text = g_string_new (script);
  g_string_replace (text, "{prog}", cli->program->name, 0);
  g_string_replace (text, "{func}", function, 0);
  fputs (text->str, stdout);
  return TRUE;
}
