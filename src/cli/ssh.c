/* Reaching a machine: login, log, console. */
#include "base/json.h"
#include "cli/commands.h"
#include "cli/text.h"
#include "cli/view.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { POLL_MS = 1000 };

const CliOption cli_logs_options[] = {
  { "follow", 'f', NULL, "Go on as more is written, until ^C or the machine's end", NULL },
  { NULL, 0, NULL, NULL, NULL },
};

/* Replaces this process by ssh; a command's words are ssh's to join, as in `ssh host command`. */
gboolean
cli_ssh (Cli *cli, GError **error)
{
  g_autoptr (JsonObject) answer = cli_tell_node (
      cli, "agreement.ssh", moosh_json_build ("deployment", 's', cli->args[0], NULL), error);
  JsonArray *words = answer ? moosh_json_array (answer, "argv", error) : NULL;
  g_autoptr (GPtrArray) argv = g_ptr_array_new ();
  guint first = cli->n_args > 1 && strcmp (cli->args[1], "--") == 0 ? 2 : 1;

  if (words == NULL)
    return FALSE;
  if (cli->json)
    return cli_print_json (answer);
  for (guint i = 0; i < json_array_get_length (words); i++)
    g_ptr_array_add (argv, (char *)json_array_get_string_element (words, i));
  for (guint i = first; i < cli->n_args; i++)
    g_ptr_array_add (argv, cli->args[i]);
  g_ptr_array_add (argv, NULL);
  if (argv->len < 2 || argv->pdata[0] == NULL)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_PROTOCOL,
                   "mooshd gave no command to log in with");
      return FALSE;
    }
  execvp (argv->pdata[0], (char **)argv->pdata);
  g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_FAILED, "cannot start %s: %s",
               (const char *)argv->pdata[0], g_strerror (errno));
  return FALSE;
}

/* Whoever wrote the log is a stranger: on a terminal it must not move the cursor. */
static void
print_text (const char *text)
{
  g_autofree char *clean = isatty (STDOUT_FILENO) ? cli_printable (text, TRUE) : NULL;

  fputs (clean ? clean : text, stdout);
  fflush (stdout);
}

static gboolean
stream (Cli *cli, gboolean console, GError **error)
{
  gint64 offset = 0;

  for (;;)
    {
      g_autoptr (JsonObject) piece
          = cli_tell_node (cli, "agreement.log",
                           moosh_json_build ("deployment", 's', cli->args[0], "offset", 'i', offset,
                                             "console", 'b', console, NULL),
                           error);
      gint64 next = offset;
      const char *text = piece ? moosh_json_string (piece, "text", error) : NULL;

      if (text == NULL || !moosh_json_int (piece, "next_offset", &next, error))
        return FALSE;
      if (cli->json)
        cli_print_json (piece);
      else
        print_text (text);
      if (next == offset
          && (!cli_flag (cli, "follow") || moosh_json_bool_or (piece, "done", FALSE)))
        return TRUE;
      if (next == offset)
        g_usleep (POLL_MS * 1000);
      offset = next;
    }
}

gboolean
cli_logs (Cli *cli, GError **error)
{
  return stream (cli, FALSE, error);
}

gboolean
cli_console (Cli *cli, GError **error)
{
  return stream (cli, TRUE, error);
}
