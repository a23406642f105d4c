/* Questions: asked on the terminal only, so that a script never hangs in one. */
#include "cli/cli.h"
#include "core/bytes/bytes.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

enum { LINE_SIZE = 4096 };

gboolean
cli_is_terminal (void)
{
  return isatty (STDIN_FILENO) && isatty (STDERR_FILENO);
}

/* One line from stdin without its newline; NULL at the end of input. Unbuffered, so nothing of it
 * stays in memory that stdio owns. */
static char *
read_line (void)
{
  char *line = g_malloc0 (LINE_SIZE);
  gsize len = 0;
  ssize_t n;
  char c;

  while ((n = read (STDIN_FILENO, &c, 1)) == 1 || (n < 0 && errno == EINTR))
    {
      if (n < 0)
        continue;
      if (c == '\n')
        return line;
      if (len + 1 < LINE_SIZE)
        line[len++] = c;
    }
  if (len > 0)
    return line;
  g_free (line);
  return NULL;
}

char *
cli_ask (Cli *cli, const char *question, const char *fallback, GError **error)
{
  g_autofree char *line = NULL;

  if (cli->yes && fallback != NULL)
    return g_strdup (fallback);
  if (!cli_is_terminal ())
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE,
                   "\"%s\" cannot be asked: this is no terminal", question);
      return NULL;
    }
  fflush (stdout);
  if (fallback != NULL && *fallback != '\0')
    fprintf (stderr, "%s [%s]: ", question, fallback);
  else
    fprintf (stderr, "%s: ", question);
  line = read_line ();
  if (line == NULL)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_CANCELLED, "no answer to \"%s\"", question);
      return NULL;
    }
  g_strstrip (line);
  return g_strdup (*line == '\0' && fallback != NULL ? fallback : line);
}

gboolean
cli_confirm (Cli *cli, const char *question, GError **error)
{
  g_autofree char *text = g_strdup_printf ("%s (yes or no)", question);
  g_autofree char *answer = NULL;

  if (cli->yes)
    return TRUE;
  if (!cli_is_terminal ())
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE,
                   "this needs a yes, and there is no terminal to ask on: say --yes");
      return FALSE;
    }
  answer = cli_ask (cli, text, NULL, error);
  if (answer == NULL)
    return FALSE;
  if (g_ascii_strcasecmp (answer, "y") == 0 || g_ascii_strcasecmp (answer, "yes") == 0)
    return TRUE;
  g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_CANCELLED, "nothing was done");
  return FALSE;
}

void
cli_secret_free (char *secret)
{
  if (secret != NULL)
    moosh_wipe (secret, strlen (secret));
  free (secret);
}

/* g_free is free(3) since GLib 2.46, so a line can be handed to cli_secret_free. */
static char *
ask_secret (const char *question, GError **error)
{
  struct termios before, quiet;
  char *line;

  fprintf (stderr, "%s: ", question);
  tcgetattr (STDIN_FILENO, &before);
  quiet = before;
  quiet.c_lflag &= (tcflag_t)~ECHO;
  tcsetattr (STDIN_FILENO, TCSAFLUSH, &quiet);
  line = read_line ();
  tcsetattr (STDIN_FILENO, TCSAFLUSH, &before);
  fputc ('\n', stderr);
  if (line == NULL)
    g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_CANCELLED, "no passphrase was given");
  return line;
}

static char *
read_secret (const char *path, GError **error)
{
  int fd = open (path, O_RDONLY | O_CLOEXEC);
  char *text;
  ssize_t n;

  if (fd < 0)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_NOT_FOUND,
                   "cannot read the passphrase from %s: %s", path, g_strerror (errno));
      return NULL;
    }
  text = g_malloc0 (LINE_SIZE);
  n = read (fd, text, LINE_SIZE - 1);
  close (fd);
  if (n > 0)
    text[strcspn (text, "\r\n")] = '\0';
  if (n > 0 && *text != '\0')
    return text;
  g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE, "%s holds no passphrase", path);
  cli_secret_free (text);
  return NULL;
}

char *
cli_passphrase (Cli *cli, gboolean twice, GError **error)
{
  char *first, *second;

  if (cli_value (cli, "passphrase-file") != NULL)
    return read_secret (cli_value (cli, "passphrase-file"), error);
  if (!cli_is_terminal ())
    {
      g_set_error (
          error, MOOSH_ERROR, MOOSH_ERROR_USAGE,
          "a passphrase is needed, and there is no terminal to ask on: use --passphrase-file");
      return NULL;
    }
  first = ask_secret (twice ? "New passphrase for the wallet" : "Passphrase of the wallet", error);
  if (first == NULL || !twice)
    return first;
  second = ask_secret ("Once more", error);
  if (second == NULL || strcmp (first, second) == 0)
    {
      if (second == NULL)
        g_clear_pointer (&first, cli_secret_free);
      cli_secret_free (second);
      return first;
    }
  g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE, "the two passphrases differ");
  cli_secret_free (first);
  cli_secret_free (second);
  return NULL;
}
