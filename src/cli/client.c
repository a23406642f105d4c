/* The daemons behind their sockets, and the money's unit. */
#include "base/json.h"
#include "cli/cli.h"
#include "cli/process.h"
#include "cli/text.h"
#include "core/bytes/u256.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
  const char *name;
  const char *program;
} daemons[CLI_N_DAEMONS] = {
  [CLI_MOOSHD] = { "mooshd", "mooshd" },
  [CLI_KEYD] = { "keyd", "moosh-keyd" },
  [CLI_VMMD] = { "vmmd", "moosh-vmmd" },
};

const char *
cli_daemon_name (CliDaemon daemon)
{
  return daemons[daemon].name;
}

const char *
cli_daemon_program (CliDaemon daemon)
{
  return daemons[daemon].program;
}

char *
cli_path (Cli *cli, const char *relative)
{
  return g_build_filename (cli->state_dir, relative, NULL);
}

/* Which of the node's daemons is it whose silence the error is about? It may be one behind the one
 * that was asked. FALSE: none. */
static gboolean
who_is_silent (const GError *error, CliDaemon *ret)
{
  if (!g_error_matches (error, MOOSH_ERROR, MOOSH_ERROR_UNAVAILABLE))
    return FALSE;
  if (strstr (error->message, "nobody answers at ") == NULL)
    return FALSE;
  for (guint i = 0; i < G_N_ELEMENTS (daemons); i++)
    {
      g_autofree char *socket = g_strconcat ("/", daemons[i].name, ".sock ", NULL);

      if (strstr (error->message, socket) != NULL)
        {
          *ret = (CliDaemon)i;
          return TRUE;
        }
    }
  return FALSE;
}

JsonObject *
cli_call (Cli *cli, CliDaemon daemon, const char *method, JsonObject *params, guint timeout_ms,
          GError **error)
{
  g_autoptr (JsonObject) owned = params ? params : json_object_new ();
  g_autoptr (GError) local = NULL;
  g_autofree char *file = g_strconcat (daemons[daemon].name, ".sock", NULL);
  g_autofree char *path = cli_path (cli, file);
  CliDaemon silent;
  JsonObject *result;

  if (cli->clients[daemon] == NULL)
    cli->clients[daemon] = moosh_rpc_client_new (path);
  result = moosh_rpc_client_call (cli->clients[daemon], method, owned, timeout_ms, &local);
  if (result != NULL)
    return result;
  if (who_is_silent (local, &silent))
    {
      g_autofree char *words = cli_process_last_words (cli, silent);

      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_UNAVAILABLE,
                   "%s is not running for %s%s%s%s: start it with `moosh --state %s node start`",
                   daemons[silent].program, cli->state_dir, words ? " (its last words: " : "",
                   words ? words : "", words ? ")" : "", cli->state_dir);
    }
  else
    g_propagate_error (error, g_steal_pointer (&local));
  return NULL;
}

JsonObject *
cli_ask_node (Cli *cli, const char *method, JsonObject *params, GError **error)
{
  return cli_call (cli, CLI_MOOSHD, method, params, 30 * 1000, error);
}

JsonObject *
cli_tell_node (Cli *cli, const char *method, JsonObject *params, GError **error)
{
  return cli_call (cli, CLI_MOOSHD, method, params, 300 * 1000, error);
}

gboolean
cli_print_json (JsonObject *object)
{
  g_autofree char *text = moosh_json_print (object, TRUE);

  printf ("%s\n", text);
  return TRUE;
}

void
cli_say (const char *format, ...)
{
  va_list list;
  g_autofree char *text = NULL, *clean = NULL;

  va_start (list, format);
  text = g_strdup_vprintf (format, list);
  va_end (list);
  clean = cli_printable (text, TRUE);
  fflush (stdout);
  fprintf (stderr, "%s\n", clean);
}

/* The token as the node knows it; from an answer that fails, with the reason, while the chain does
 * not answer. */
static gboolean
ask_token (Cli *cli, const char *method, char **ret_symbol, gint64 *ret_decimals, GError **error)
{
  g_autoptr (JsonObject) answer = cli_ask_node (cli, method, NULL, error);
  JsonObject *token = answer ? moosh_json_object (answer, "token", error) : NULL;
  const char *symbol = token ? moosh_json_string (token, "symbol", error) : NULL;

  if (symbol == NULL || !moosh_json_int (token, "decimals", ret_decimals, error))
    return FALSE;
  g_free (*ret_symbol);
  *ret_symbol = cli_printable (symbol, FALSE);
  return TRUE;
}

gboolean
cli_token (Cli *cli, GError **error)
{
  g_autofree char *symbol = NULL;
  gint64 decimals;

  if (cli->token_symbol != NULL)
    return TRUE;
  /* A node that has not reached its chain yet does not know: then ask what needs the chain. */
  if (!ask_token (cli, "node.status", &symbol, &decimals, error)
      || (*symbol == '\0' && !ask_token (cli, "wallet.show", &symbol, &decimals, error)))
    return FALSE;
  if (*symbol == '\0')
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_UNAVAILABLE,
                   "mooshd has not learned the token's name from the chain yet: `moosh doctor` "
                   "says what is wrong");
      return FALSE;
    }
  if (decimals < 0 || decimals > MOOSH_U256_DECIMALS_MAX)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_PROTOCOL, "the token %s says it has %d decimals",
                   symbol, (int)decimals);
      return FALSE;
    }
  cli->token_symbol = g_steal_pointer (&symbol);
  cli->token_decimals = (guint)decimals;
  return TRUE;
}

char *
cli_amount (Cli *cli, const char *wei)
{
  g_autofree char *text = cli_amount_text (wei, cli->token_symbol ? cli->token_decimals : 0, 6);

  if (text == NULL)
    return g_strdup ("?");
  return g_strconcat (text, " ", cli->token_symbol ? cli->token_symbol : "wei", NULL);
}

char *
cli_wei (Cli *cli, const char *amount, GError **error)
{
  MooshU256 v;
  char text[79];

  if (!cli_token (cli, error))
    return NULL;
  if (moosh_u256_from_amount (amount, cli->token_decimals, &v) != MOOSH_OK)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE,
                   "\"%s\" is not an amount of %s: write it like 1.5, with at most %u places",
                   amount, cli->token_symbol, cli->token_decimals);
      return NULL;
    }
  moosh_u256_to_decimal (&v, text);
  return g_strdup (text);
}

char *
cli_rate (Cli *cli, const char *rate_x)
{
  g_autofree char *wei = cli_rate_per_hour (rate_x);
  g_autofree char *amount = cli_amount (cli, wei);

  return g_strconcat (amount, "/h", NULL);
}
