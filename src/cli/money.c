/* What moves money of a deployment, and the word that is left behind. */
#include "base/json.h"
#include "cli/commands.h"
#include "cli/text.h"
#include "cli/view.h"
#include <stdio.h>
#include <string.h>

const CliOption cli_rate_options[] = {
  { NULL, 0, NULL, NULL, NULL },
};

gboolean
cli_topup (Cli *cli, GError **error)
{
  g_autofree char *wei = cli_wei (cli, cli->args[1], error);
  g_autofree char *amount = wei ? cli_amount (cli, wei) : NULL;
  g_autofree char *question = g_strdup_printf ("Put %s into %s?", amount, cli->args[0]);
  g_autoptr (JsonObject) done = NULL;
  g_autofree char *out = NULL;

  if (wei == NULL || !cli_confirm (cli, question, error))
    return FALSE;
  done = cli_tell_node (
      cli, "agreement.topup",
      moosh_json_build ("deployment", 's', cli->args[0], "amount_wei", 's', wei, NULL), error);
  if (done == NULL)
    return FALSE;
  if (cli->json)
    return cli_print_json (done);
  out = cli_when (moosh_json_int_or (done, "runs_out_at_s", 0), cli_now ());
  cli_say ("%s has %s more and runs out at %s", cli->args[0], amount, out);
  return TRUE;
}

static gboolean
switch_to (Cli *cli, const char *method, const char *sentence, GError **error)
{
  g_autoptr (JsonObject) done = cli_tell_node (
      cli, method, moosh_json_build ("deployment", 's', cli->args[0], NULL), error);

  if (done == NULL)
    return FALSE;
  if (cli->json)
    return cli_print_json (done);
  cli_say ("%s %s", cli->args[0], sentence);
  return TRUE;
}

gboolean
cli_pause (Cli *cli, GError **error)
{
  return switch_to (cli, "agreement.pause",
                    "is paused and costs the paused rate; `moosh resume` goes on", error);
}

gboolean
cli_resume (Cli *cli, GError **error)
{
  return switch_to (cli, "agreement.resume", "goes on at the full rate", error);
}

/* What closing now means, before the question. */
static void
show_settlement (Cli *cli, JsonObject *d)
{
  g_autofree char *spent = cli_view_amount (cli, d, "spent_wei");
  g_autofree char *refund = cli_view_amount (cli, d, "refundable_wei");
  const char *fee = moosh_json_string_or (d, "early_fee_wei", NULL);

  cli_say ("%s is %s.", cli->args[0], moosh_json_string_or (d, "state", "?"));
  cli_say ("Spent         %s", spent);
  if (cli_decimal_cmp (fee, "0") > 0)
    {
      g_autofree char *text = cli_amount (cli, fee);

      cli_say ("Early fee     %s: the minimum term is not over", text);
    }
  cli_say ("Refund        %s, as of now", refund);
  cli_say (
      "The machine ends now; its disk is kept for the retention time, then its key is destroyed.");
}

gboolean
cli_close (Cli *cli, GError **error)
{
  g_autoptr (JsonObject) d = NULL, done = NULL;
  g_autofree char *spent = NULL, *refund = NULL;

  cli_token (cli, NULL);
  d = cli_deployment (cli, error);
  if (d == NULL)
    return FALSE;
  show_settlement (cli, d);
  if (!cli_confirm (cli, "Close it?", error))
    return FALSE;
  done = cli_tell_node (cli, "agreement.close",
                        moosh_json_build ("deployment", 's', cli->args[0], NULL), error);
  if (done == NULL)
    return FALSE;
  if (cli->json)
    return cli_print_json (done);
  spent = cli_view_amount (cli, done, "spent_wei");
  refund = cli_view_amount (cli, done, "refund_wei");
  cli_say ("%s is closed: %s paid, %s back. Say how it was: `moosh rate %s 1..5 [WORDS]`",
           cli->args[0], spent, refund, cli->args[0]);
  return TRUE;
}

gboolean
cli_rate_deployment (Cli *cli, GError **error)
{
  guint64 stars;
  JsonObject *params;
  g_autoptr (JsonObject) done = NULL;

  if (!g_ascii_string_to_unsigned (cli->args[1], 10, 1, 5, &stars, NULL))
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE,
                   "\"%s\" is not a number of stars from 1 to 5", cli->args[1]);
      return FALSE;
    }
  params = moosh_json_build ("deployment", 's', cli->args[0], "stars", 'i', (gint64)stars, NULL);
  if (cli->n_args > 2)
    {
      g_autofree char *words = g_strjoinv (" ", cli->args + 2);

      json_object_set_string_member (params, "words", words);
    }
  done = cli_tell_node (cli, "agreement.rate", params, error);
  if (done == NULL)
    return FALSE;
  if (cli->json)
    return cli_print_json (done);
  cli_say ("Thank you: %d of 5 for %s, signed and sent to the provider", (int)stars, cli->args[0]);
  return TRUE;
}
