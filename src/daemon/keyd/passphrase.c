#include "daemon/keyd/passphrase.h"
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

static void
make_room (Passphrase *passphrase)
{
  passphrase->text = sodium_malloc (VAULT_PASSPHRASE_MAX + 1);
  if (passphrase->text == NULL)
    g_error ("no guarded memory for the passphrase: %s", g_strerror (errno));
  sodium_memzero (passphrase->text, VAULT_PASSPHRASE_MAX + 1);
  passphrase->len = 0;
}

/* One byte at a time: what follows the line is not ours to take. */
static gboolean
read_line (int fd, const char *what, Passphrase *ret, GError **error)
{
  make_room (ret);
  for (;;)
    {
      char c = 0;
      gssize n = read (fd, &c, 1);
      if (n < 0 && errno == EINTR)
        continue;
      if (n < 0)
        {
          g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE, "cannot read %s: %s", what,
                       g_strerror (errno));
          break;
        }
      if (n == 0 || c == '\n')
        return TRUE;
      if (ret->len == VAULT_PASSPHRASE_MAX)
        {
          g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE, "%s is longer than %d bytes", what,
                       VAULT_PASSPHRASE_MAX);
          break;
        }
      ret->text[ret->len++] = c;
    }
  passphrase_clear (ret);
  return FALSE;
}

gboolean
passphrase_from_fd (int fd, Passphrase *ret, GError **error)
{
  g_autofree char *what = g_strdup_printf ("descriptor %d", fd);
  gboolean done = read_line (fd, what, ret, error);

  close (fd);
  return done;
}

gboolean
passphrase_from_credential (const char *name, Passphrase *ret, GError **error)
{
  const char *dir = g_getenv ("CREDENTIALS_DIRECTORY");

  if (dir == NULL || *name == '\0' || strchr (name, '/') != NULL || g_str_equal (name, ".."))
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE, "credential %s: %s", name,
                   dir == NULL ? "systemd passed no credentials ($CREDENTIALS_DIRECTORY is not set)"
                               : "not a credential's name");
      return FALSE;
    }
  g_autofree char *path = g_build_filename (dir, name, NULL);
  int fd = open (path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
  if (fd < 0)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE, "credential %s: %s", path,
                   g_strerror (errno));
      return FALSE;
    }
  gboolean done = read_line (fd, path, ret, error);
  close (fd);
  return done;
}

static gboolean
ask (int tty, const char *prompt, Passphrase *ret, GError **error)
{
  struct termios old, silent;

  if (tcgetattr (tty, &old) != 0)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_UNAVAILABLE, "terminal: %s", g_strerror (errno));
      return FALSE;
    }
  silent = old;
  silent.c_lflag &= ~(tcflag_t)ECHO;
  tcsetattr (tty, TCSAFLUSH, &silent);
  dprintf (tty, "%s", prompt);
  gboolean done = read_line (tty, "the terminal", ret, error);
  tcsetattr (tty, TCSAFLUSH, &old);
  dprintf (tty, "\n");
  return done;
}

static gboolean
ask_twice (int tty, const char *prompt, Passphrase *ret, GError **error)
{
  g_auto (Passphrase) again = { 0 };

  if (!ask (tty, prompt, ret, error))
    return FALSE;
  if (ask (tty, "Once more: ", &again, error))
    {
      if (again.len == ret->len && sodium_memcmp (again.text, ret->text, ret->len) == 0)
        return TRUE;
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE, "the two passphrases differ");
    }
  passphrase_clear (ret);
  return FALSE;
}

gboolean
passphrase_from_terminal (const char *prompt, gboolean twice, Passphrase *ret, GError **error)
{
  int tty = open ("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);

  if (tty < 0)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_UNAVAILABLE,
                   "there is no terminal to ask for the passphrase");
      return FALSE;
    }
  gboolean done = twice ? ask_twice (tty, prompt, ret, error) : ask (tty, prompt, ret, error);
  close (tty);
  return done;
}
