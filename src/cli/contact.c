#include "base/json.h"
#include "cli/commands.h"
#include "cli/table.h"
#include "cli/text.h"
#include "cli/view.h"
#include <stdio.h>

const CliOption cli_contact_add_options[] = {
  { "name", 'n', "NAME", "What to call it", NULL },
  { NULL, 0, NULL, NULL, NULL },
};

gboolean
cli_contact_add (Cli *cli, GError **error)
{
  const char *name = cli->n_args > 1 ? cli->args[1] : cli_value (cli, "name");
  JsonObject *params = moosh_json_build ("address", 's', cli->args[0], NULL);
  g_autoptr (JsonObject) contact = NULL;

  if (name != NULL)
    json_object_set_string_member (params, "name", name);
  contact = cli_tell_node (cli, "contact.add", params, error);
  if (contact == NULL)
    return FALSE;
  if (cli->json)
    return cli_print_json (contact);
  if (moosh_json_bool_or (contact, "reachable", FALSE))
    cli_say ("%s is in the address book and has %d on offer: `moosh offers`",
             moosh_json_string_or (contact, "name", cli->args[0]),
             (int)moosh_json_int_or (contact, "offers", 0));
  else
    cli_say ("%s is in the address book, but does not answer now (%s); it is tried again by itself",
             moosh_json_string_or (contact, "name", cli->args[0]),
             moosh_json_string_or (contact, "error", "no reason known"));
  return TRUE;
}

gboolean
cli_contact_list (Cli *cli, GError **error)
{
  g_autoptr (JsonObject) answer = cli_ask_node (cli, "contact.list", NULL, error);
  g_autoptr (CliTable) table = NULL;
  JsonArray *contacts = answer ? moosh_json_array (answer, "contacts", error) : NULL;

  if (contacts == NULL)
    return FALSE;
  if (cli->json)
    return cli_print_json (answer);
  if (json_array_get_length (contacts) == 0)
    {
      cli_say ("The address book is empty. Add a provider with `moosh contact add KEY@HOST:PORT`.");
      return TRUE;
    }
  table = cli_table_new ("*NAME", "IDENTITY", "ADDRESS", "SEEN", ">OFFERS", NULL);
  for (guint i = 0; i < json_array_get_length (contacts); i++)
    {
      JsonObject *c = cli_element (contacts, i);
      g_autofree char *identity = NULL, *address = NULL, *seen = NULL, *offers = NULL;

      if (c == NULL)
        continue;
      identity = cli_short (moosh_json_string_or (c, "identity", NULL));
      address = g_strdup_printf ("%s:%d", moosh_json_string_or (c, "host", "?"),
                                 (int)moosh_json_int_or (c, "port", 0));
      seen = moosh_json_bool_or (c, "connected", FALSE)
                 ? g_strdup ("connected")
                 : cli_until (moosh_json_int_or (c, "last_seen_s", 0), cli_now ());
      offers = g_strdup_printf ("%d", (int)moosh_json_int_or (c, "offers", 0));
      cli_table_row (table, moosh_json_string_or (c, "name", NULL), identity, address, seen,
                     offers);
    }
  cli_table_print (table);
  return TRUE;
}

gboolean
cli_contact_remove (Cli *cli, GError **error)
{
  g_autoptr (JsonObject) done = cli_ask_node (
      cli, "contact.remove", moosh_json_build ("contact", 's', cli->args[0], NULL), error);

  if (done == NULL)
    return FALSE;
  if (cli->json)
    return cli_print_json (done);
  cli_say ("%s is forgotten, and its offers with it", cli->args[0]);
  return TRUE;
}

gboolean
cli_contact_rename (Cli *cli, GError **error)
{
  g_autoptr (JsonObject) done = cli_ask_node (
      cli, "contact.rename",
      moosh_json_build ("contact", 's', cli->args[0], "name", 's', cli->args[1], NULL), error);

  if (done == NULL)
    return FALSE;
  if (cli->json)
    return cli_print_json (done);
  cli_say ("%s is called %s from now on", cli->args[0], cli->args[1]);
  return TRUE;
}
