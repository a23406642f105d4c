#include "base/json.h"
#include "cli/commands.h"
#include "cli/table.h"
#include "cli/text.h"
#include "cli/view.h"
#include <stdio.h>
#include <stdlib.h>

const CliOption cli_offers_options[] = {
  CLI_REQUIREMENT_OPTIONS,
  { "term", 0, "TIME", "Offers whose minimum term is at most this (1h)", NULL },
  { "provider", 0, "WHO", "Only from this provider: contact's name or identity", "contact" },
  { "class", 0, "CLASS", "dedicated or shared", "=dedicated shared" },
  { "kind", 0, "KIND", "vm (default), container, …",
    "=vm container volume gpu proof relay ingress function dataset" },
  { "sort", 0, "BY", "price (default), vcpu, ram, disk or expiry", "=price vcpu ram disk expiry" },
  { "all", 'a', NULL, "Also those that cannot be taken now, and why", NULL },
  { "limit", 0, "N", "At most so many (1 to 1000; default 100)", NULL },
  { "refresh", 'r', NULL, "Ask all contacts for their offers first", NULL },
  { NULL, 0, NULL, NULL, NULL },
};

static gboolean
filter (Cli *cli, JsonObject *params, GError **error)
{
  static const char *const plain[] = { "provider", "class", "kind", "sort" };
  gint64 term_s;

  if (!cli_requirements (cli, cli->n_args > 0 ? cli->args[0] : NULL, params, NULL, error))
    return FALSE;
  for (guint i = 0; i < G_N_ELEMENTS (plain); i++)
    if (cli_value (cli, plain[i]) != NULL)
      json_object_set_string_member (params, plain[i], cli_value (cli, plain[i]));
  if (cli_value (cli, "term") != NULL)
    {
      if (!cli_parse_duration (cli_value (cli, "term"), &term_s, error))
        return FALSE;
      json_object_set_int_member (params, "min_term_s", term_s);
    }
  if (cli_value (cli, "limit") != NULL)
    {
      guint64 limit;

      if (!g_ascii_string_to_unsigned (cli_value (cli, "limit"), 10, 1, 1000, &limit, NULL))
        {
          g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE,
                       "--limit: \"%s\" is not a number from 1 to 1000", cli_value (cli, "limit"));
          return FALSE;
        }
      json_object_set_int_member (params, "limit", (gint64)limit);
    }
  if (cli_flag (cli, "all"))
    json_object_set_boolean_member (params, "all", TRUE);
  return TRUE;
}

static gboolean
refresh (Cli *cli, GError **error)
{
  g_autoptr (JsonObject) answer = cli_tell_node (cli, "offers.refresh", NULL, error);
  JsonArray *errors = answer ? moosh_json_array (answer, "errors", NULL) : NULL;

  for (guint i = 0; errors != NULL && i < json_array_get_length (errors); i++)
    {
      JsonObject *e = cli_element (errors, i);

      if (e != NULL)
        cli_say ("%s: %s", moosh_json_string_or (e, "contact", "a contact"),
                 moosh_json_string_or (e, "error", "?"));
    }
  return answer != NULL;
}

static void
add_row (Cli *cli, CliTable *table, JsonObject *offer, gboolean all)
{
  JsonObject *units = moosh_json_object (offer, "units", NULL);
  g_autofree char *id = cli_short (moosh_json_string_or (offer, "id", NULL));
  g_autofree char *party = cli_view_party (offer, "provider_name", "provider");
  g_autofree char *vcpu = cli_vcpu (units ? cli_unit (units, "vcpu_milli", "vcpuMilli") : 0);
  g_autofree char *ram = cli_mib (units ? cli_unit (units, "ram_mib", "ramMib") : 0);
  g_autofree char *disk
      = g_strdup_printf ("%d GiB", (int)(units ? cli_unit (units, "disk_gib", "diskGib") : 0));
  g_autofree char *class = moosh_json_int_or (offer, "overcommit_pct", 100) > 100
                               ? g_strdup_printf ("shared %d %%", (int)moosh_json_int_or (
                                                                      offer, "overcommit_pct", 100))
                               : g_strdup (moosh_json_string_or (offer, "class", NULL));
  g_autofree char *rate = cli_view_rate (cli, offer);
  g_autofree char *term = cli_duration (moosh_json_int_or (offer, "min_term_s", 0));
  g_autofree char *free_units
      = g_strdup_printf ("%d", (int)moosh_json_int_or (offer, "available", 0));

  if (all)
    cli_table_row (table, id, party, rate, vcpu, ram, disk, class, term, free_units,
                   moosh_json_string_or (offer, "why_not", NULL));
  else
    cli_table_row (table, id, party, rate, vcpu, ram, disk, class, term, free_units);
}

gboolean
cli_offers (Cli *cli, GError **error)
{
  g_autoptr (JsonObject) params = json_object_new ();
  g_autoptr (JsonObject) answer = NULL;
  g_autoptr (CliTable) table = NULL;
  gboolean all = cli_flag (cli, "all");
  JsonArray *offers;

  if (!filter (cli, params, error))
    return FALSE;
  if (cli_flag (cli, "refresh") && !refresh (cli, error))
    return FALSE;
  answer = cli_ask_node (cli, "offers.list", json_object_ref (params), error);
  offers = answer ? moosh_json_array (answer, "offers", error) : NULL;
  if (offers == NULL)
    return FALSE;
  if (cli->json)
    return cli_print_json (answer);
  cli_token (cli, NULL); /* without it prices are shown as the node wrote them */
  if (json_array_get_length (offers) == 0)
    {
      cli_say ("No offer fits. `moosh offers --all` shows what cannot be taken and why, `moosh "
               "contact list` who is asked.");
      return TRUE;
    }
  table = all ? cli_table_new ("OFFER", "*PROVIDER", ">PRICE", ">VCPU", ">RAM", ">DISK", "CLASS",
                               "MIN TERM", ">FREE", "WHY NOT", NULL)
              : cli_table_new ("OFFER", "*PROVIDER", ">PRICE", ">VCPU", ">RAM", ">DISK", "CLASS",
                               "MIN TERM", ">FREE", NULL);
  for (guint i = 0; i < json_array_get_length (offers); i++)
    if (cli_element (offers, i) != NULL)
      add_row (cli, table, cli_element (offers, i), all);
  cli_table_print (table);
  if (moosh_json_int_or (answer, "total", 0) > (gint64)json_array_get_length (offers))
    cli_say ("%d of %d offers; --limit shows more", (int)json_array_get_length (offers),
             (int)moosh_json_int_or (answer, "total", 0));
  return TRUE;
}
