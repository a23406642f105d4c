/* Taking a machine back: with notice, or at once for the penalty. */
#include "base/json.h"
#include "cli/commands.h"
#include "cli/text.h"
#include "cli/view.h"
#include <string.h>

static gboolean
agreement_param (Cli *cli, JsonObject *params, GError **error)
{
  guint64 id;

  if (!g_ascii_string_to_unsigned (cli->args[0], 10, 1, G_MAXINT64, &id, NULL))
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE,
                   "\"%s\" is not an agreement's number: see `moosh-vmm machines`", cli->args[0]);
      return FALSE;
    }
  json_object_set_int_member (params, "agreement", (gint64)id);
  return TRUE;
}

gboolean
cli_vmm_reclaim (Cli *cli, GError **error)
{
  g_autoptr (JsonObject) params = json_object_new ();
  g_autoptr (JsonObject) done = NULL;
  g_autofree char *question = NULL, *when = NULL;

  if (!agreement_param (cli, params, error))
    return FALSE;
  question = g_strdup_printf ("Give notice to the client of agreement %s? The machine runs, and is "
                              "paid, until the notice is over.",
                              cli->args[0]);
  if (!cli_confirm (cli, question, error))
    return FALSE;
  done = cli_tell_node (cli, "provider.reclaim", json_object_ref (params), error);
  if (done == NULL)
    return FALSE;
  if (cli->json)
    return cli_print_json (done);
  when = cli_when (moosh_json_int_or (done, "deadline_s", 0), cli_now ());
  cli_say ("Notice is given: the machine is taken back at %s.", when);
  return TRUE;
}

gboolean
cli_vmm_end (Cli *cli, GError **error)
{
  g_autoptr (JsonObject) params = json_object_new ();
  g_autoptr (JsonObject) quote = NULL, done = NULL;
  g_autofree char *penalty = NULL, *paid = NULL;

  if (!agreement_param (cli, params, error) || !cli_token (cli, error))
    return FALSE;
  json_object_set_boolean_member (params, "quote", TRUE);
  quote = cli_ask_node (cli, "provider.end", json_object_ref (params), error);
  if (quote == NULL)
    return FALSE;
  penalty = cli_view_amount (cli, quote, "penalty_wei");
  cli_say ("%s", moosh_json_string_or (quote, "reason_text", ""));
  cli_say ("Penalty       %s, from your stake to the client", penalty);
  if (!cli_confirm (cli, "End the machine now?", error))
    return FALSE;
  json_object_set_boolean_member (params, "quote", FALSE);
  done = cli_tell_node (cli, "provider.end", json_object_ref (params), error);
  if (done == NULL)
    return FALSE;
  if (cli->json)
    return cli_print_json (done);
  paid = cli_view_amount (cli, done, "penalty_wei");
  cli_say ("Agreement %s is over (%s); penalty: %s.", cli->args[0],
           moosh_json_string_or (done, "reason", "?"), paid);
  return TRUE;
}
