/* Looking at what is rented. */
#include "base/json.h"
#include "cli/commands.h"
#include "cli/table.h"
#include "cli/text.h"
#include "cli/view.h"
#include <stdio.h>

const CliOption cli_ps_options[] = {
  { "all", 'a', NULL, "Also those that are over", NULL },
  { NULL, 0, NULL, NULL, NULL },
};

static JsonArray *
deployments (Cli *cli, gboolean all, JsonObject **ret_answer, GError **error)
{
  JsonObject *params = json_object_new ();

  if (all)
    json_object_set_boolean_member (params, "all", TRUE);
  *ret_answer = cli_ask_node (cli, "agreement.list", params, error);
  return *ret_answer ? moosh_json_array (*ret_answer, "deployments", error) : NULL;
}

gboolean
cli_ps (Cli *cli, GError **error)
{
  g_autoptr (JsonObject) answer = NULL;
  JsonArray *list = deployments (cli, cli_flag (cli, "all"), &answer, error);
  g_autoptr (CliTable) table = NULL;

  if (list == NULL)
    return FALSE;
  if (cli->json)
    return cli_print_json (answer);
  if (json_array_get_length (list) == 0)
    {
      cli_say ("Nothing is rented. `moosh offers` shows what there is%s.",
               cli_flag (cli, "all") ? "" : ", `moosh history` what there was");
      return TRUE;
    }
  cli_token (cli, NULL);
  table
      = cli_table_new ("NAME", "STATE", ">RATE", ">SPENT", ">LEFT", "RUNS OUT", "*PROVIDER", NULL);
  for (guint i = 0; i < json_array_get_length (list); i++)
    {
      JsonObject *d = cli_element (list, i);
      g_autofree char *rate = NULL, *spent = NULL, *left = NULL, *out = NULL, *party = NULL;

      if (d == NULL)
        continue;
      rate = cli_view_rate (cli, d);
      spent = cli_view_amount (cli, d, "spent_wei");
      left = cli_view_amount (cli, d, "balance_wei");
      out = cli_until (moosh_json_int_or (d, "runs_out_at_s", 0), cli_now ());
      party = cli_view_party (d, "provider_name", "provider");
      cli_table_row (table, moosh_json_string_or (d, "deployment", NULL),
                     moosh_json_string_or (d, "state", NULL), rate, spent, left, out, party);
    }
  cli_table_print (table);
  return TRUE;
}

gboolean
cli_show (Cli *cli, GError **error)
{
  g_autoptr (JsonObject) d = cli_deployment (cli, error);

  if (d == NULL)
    return FALSE;
  if (cli->json)
    return cli_print_json (d);
  cli_token (cli, NULL);
  cli_print_deployment (cli, d);
  return TRUE;
}

gboolean
cli_history (Cli *cli, GError **error)
{
  g_autoptr (JsonObject) answer = NULL;
  JsonArray *list = deployments (cli, TRUE, &answer, error);
  g_autoptr (CliTable) table = NULL;

  if (list == NULL)
    return FALSE;
  if (cli->json)
    return cli_print_json (answer);
  cli_token (cli, NULL);
  table = cli_table_new ("NAME", "CREATED", "STATE", "ENDED BY", ">DEPOSIT", ">SPENT", ">REFUNDED",
                         "RATING", "*PROVIDER", NULL);
  for (guint i = 0; i < json_array_get_length (list); i++)
    {
      JsonObject *d = cli_element (list, i);
      g_autofree char *created = NULL, *deposit = NULL, *spent = NULL, *refund = NULL,
                      *party = NULL, *rating = NULL;
      gint64 stars;

      if (d == NULL)
        continue;
      created = cli_until (moosh_json_int_or (d, "created_s", 0), cli_now ());
      deposit = cli_view_amount (cli, d, "deposit_wei");
      spent = cli_view_amount (cli, d, "spent_wei");
      refund = cli_view_amount (cli, d, "refund_wei");
      party = cli_view_party (d, "provider_name", "provider");
      stars = moosh_json_int_or (d, "rating", 0);
      rating = stars > 0 ? g_strdup_printf ("%d of 5", (int)stars) : NULL;
      cli_table_row (table, moosh_json_string_or (d, "deployment", NULL), created,
                     moosh_json_string_or (d, "state", NULL),
                     moosh_json_string_or (d, "close_reason", NULL), deposit, spent, refund, rating,
                     party);
    }
  cli_table_print (table);
  return TRUE;
}

gboolean
cli_reboot (Cli *cli, GError **error)
{
  g_autoptr (JsonObject) done = cli_tell_node (
      cli, "agreement.reboot", moosh_json_build ("deployment", 's', cli->args[0], NULL), error);

  if (done == NULL)
    return FALSE;
  if (cli->json)
    return cli_print_json (done);
  cli_say ("%s is rebooting", cli->args[0]);
  return TRUE;
}
