/* What the provider sees: inventory, machines, earnings, orders and why one is not on offer. */
#include "base/json.h"
#include "cli/commands.h"
#include "cli/doctor.h"
#include "cli/table.h"
#include "cli/text.h"
#include "cli/view.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { POLL_MS = 1000 };

const CliOption cli_vmm_logs_options[] = {
  { "follow", 'f', NULL, "Go on as more is written, until ^C", NULL },
  { "console", 'c', NULL, "The serial console instead", NULL },
  { NULL, 0, NULL, NULL, NULL },
};

static void
print_pools (JsonObject *status)
{
  JsonArray *pools = moosh_json_array (status, "pools", NULL);
  g_autoptr (CliTable) table
      = cli_table_new ("POOL", "CLASS", "*FOR SALE", "RESERVED", "FREE", NULL);

  if (pools == NULL || json_array_get_length (pools) == 0)
    {
      printf ("No inventory: `moosh-vmm setup` makes one.\n");
      return;
    }
  for (guint i = 0; i < json_array_get_length (pools); i++)
    {
      JsonObject *pool = cli_element (pools, i);
      g_autofree char *id = NULL, *class = NULL, *sellable = NULL, *reserved = NULL, *left = NULL;

      if (pool == NULL)
        continue;
      id = cli_short (moosh_json_string_or (pool, "pool", NULL));
      class = moosh_json_int_or (pool, "class", 0) == 0
                  ? g_strdup ("dedicated")
                  : g_strdup_printf ("shared %d %%",
                                     (int)moosh_json_int_or (pool, "overcommit_pct", 100));
      sellable = cli_view_units (moosh_json_object (pool, "sellable", NULL));
      reserved = cli_view_units (moosh_json_object (pool, "reserved", NULL));
      left = cli_view_units (moosh_json_object (pool, "free", NULL));
      cli_table_row (table, id, class, sellable, reserved, left);
    }
  cli_table_print (table);
}

static void
add_machine (Cli *cli, CliTable *table, JsonObject *m)
{
  JsonObject *machine = moosh_json_object (m, "machine", NULL);
  JsonObject *endpoint = machine ? moosh_json_object (machine, "endpoint", NULL) : NULL;
  g_autofree char *id
      = g_strdup_printf ("%" G_GINT64_FORMAT, moosh_json_int_or (m, "agreement", 0));
  g_autofree char *rate = cli_view_rate (cli, m);
  g_autofree char *earned = cli_decimal_add (moosh_json_string_or (m, "earned_wei", "0"),
                                             moosh_json_string_or (m, "collected_wei", "0"));
  g_autofree char *earned_text = cli_amount (cli, earned);
  g_autofree char *due = cli_view_amount (cli, m, "withdrawable_wei");
  g_autofree char *since = cli_until (moosh_json_int_or (m, "since_s", 0), cli_now ());
  g_autofree char *client = cli_view_party (m, "client_name", "client");
  g_autofree char *at
      = endpoint ? g_strdup_printf ("%s:%d", moosh_json_string_or (endpoint, "host", "?"),
                                    (int)moosh_json_int_or (endpoint, "port", 0))
                 : NULL;

  cli_table_row (table, id, moosh_json_string_or (m, "state", NULL),
                 machine ? moosh_json_string_or (machine, "state", NULL) : NULL, rate, earned_text,
                 due, since, at, client);
}

static void
print_machines (Cli *cli, JsonArray *machines)
{
  g_autoptr (CliTable) table = cli_table_new (">AGREEMENT", "STATE", "MACHINE", ">RATE", ">EARNED",
                                              ">TO COLLECT", "TAKEN", "ENDPOINT", "*CLIENT", NULL);

  for (guint i = 0; i < json_array_get_length (machines); i++)
    if (cli_element (machines, i) != NULL)
      add_machine (cli, table, cli_element (machines, i));
  if (json_array_get_length (machines) > 0)
    cli_table_print (table);
  else
    printf ("No machine is rented.\n");
}

/* The sum of a member over all machines. */
static char *
sum_of (JsonArray *machines, const char *member)
{
  char *sum = g_strdup ("0");

  for (guint i = 0; i < json_array_get_length (machines); i++)
    {
      JsonObject *m = cli_element (machines, i);
      char *more = m ? cli_decimal_add (sum, moosh_json_string_or (m, member, "0")) : NULL;

      if (more != NULL)
        {
          g_free (sum);
          sum = more;
        }
    }
  return sum;
}

static void
print_orders (Cli *cli, JsonArray *offers)
{
  g_autoptr (CliTable) table
      = cli_table_new ("ORDER", ">PRICE", "UNIT", ">SOLD", "ON OFFER", "*WHY NOT", NULL);

  if (offers == NULL || json_array_get_length (offers) == 0)
    {
      printf ("Nothing is for sale: `moosh-vmm setup` makes sell orders.\n");
      return;
    }
  for (guint i = 0; i < json_array_get_length (offers); i++)
    {
      JsonObject *o = cli_element (offers, i), *terms;
      g_autofree char *id = NULL, *price = NULL, *units = NULL, *sold = NULL;

      if (o == NULL)
        continue;
      terms = moosh_json_object (o, "terms", NULL);
      id = cli_short (moosh_json_string_or (o, "id", NULL));
      price = cli_view_rate (cli, o);
      units = cli_view_units (terms ? moosh_json_object (terms, "units", NULL) : NULL);
      sold = g_strdup_printf ("%d", (int)moosh_json_int_or (o, "filled", 0));
      cli_table_row (table, id, price, units, sold,
                     moosh_json_bool_or (o, "on_offer", FALSE) ? "yes" : "no",
                     moosh_json_string_or (o, "why_not", NULL));
    }
  cli_table_print (table);
}

static void
print_money (Cli *cli, JsonObject *status, JsonArray *machines)
{
  JsonObject *stake = moosh_json_object (status, "stake", NULL);
  g_autofree char *open = sum_of (machines, "earned_wei"),
                  *collected = sum_of (machines, "collected_wei");
  g_autofree char *earned = cli_decimal_add (open, collected),
                  *due = sum_of (machines, "withdrawable_wei");
  g_autofree char *earned_text = cli_amount (cli, earned), *due_text = cli_amount (cli, due);

  cli_line ("earned", "%s; %s can be collected now", earned_text, due_text);
  if (stake != NULL)
    {
      g_autofree char *left = cli_view_amount (cli, stake, "free_wei");
      g_autofree char *bound = cli_view_amount (cli, stake, "reserved_wei");

      cli_line ("stake", "%s free, %s bound by machines", left, bound);
    }
}

gboolean
cli_vmm_status (Cli *cli, GError **error)
{
  g_autoptr (JsonObject) status = cli_ask_node (cli, "provider.status", NULL, error);
  JsonArray *machines = status ? moosh_json_array (status, "machines", error) : NULL;

  if (machines == NULL)
    return FALSE;
  if (cli->json)
    return cli_print_json (status);
  cli_token (cli, NULL);
  cli_line ("identity", "%s", moosh_json_string_or (status, "identity", "?"));
  cli_line ("registered", "%s",
            moosh_json_bool_or (status, "registered", FALSE) ? "yes" : "no: `moosh-vmm setup`");
  print_money (cli, status, machines);
  if (moosh_json_string_or (status, "vmmd_error", NULL) != NULL)
    cli_line ("trouble", "%s: `moosh-vmm doctor`", moosh_json_string_or (status, "vmmd_error", ""));
  printf ("\n");
  print_pools (status);
  printf ("\n");
  print_orders (cli, moosh_json_array (status, "offers", NULL));
  printf ("\n");
  print_machines (cli, machines);
  return TRUE;
}

gboolean
cli_vmm_offers (Cli *cli, GError **error)
{
  g_autoptr (JsonObject) own = cli_ask_node (cli, "offer.own", NULL, error);

  if (own == NULL)
    return FALSE;
  if (cli->json)
    return cli_print_json (own);
  cli_token (cli, NULL);
  print_orders (cli, moosh_json_array (own, "offers", NULL));
  return TRUE;
}

gboolean
cli_vmm_machines (Cli *cli, GError **error)
{
  g_autoptr (JsonObject) answer = cli_call (
      cli, CLI_VMMD, "machine.list",
      moosh_json_build ("all", 'b', (gboolean)cli_flag (cli, "all"), NULL), 20000, error);
  JsonArray *machines = answer ? moosh_json_array (answer, "machines", error) : NULL;
  g_autoptr (CliTable) table = NULL;

  if (machines == NULL)
    return FALSE;
  if (cli->json)
    return cli_print_json (answer);
  table = cli_table_new ("AGREEMENT", "STATE", "UNITS", ">RESTARTS", "ENDPOINT",
                         "*DOING OR TROUBLE", NULL);
  for (guint i = 0; i < json_array_get_length (machines); i++)
    {
      JsonObject *m = cli_element (machines, i), *endpoint;
      g_autofree char *units = NULL, *at = NULL, *restarts = NULL;

      if (m == NULL)
        continue;
      endpoint = moosh_json_object (m, "endpoint", NULL);
      units = cli_view_units (moosh_json_object (m, "units", NULL));
      restarts = g_strdup_printf ("%d", (int)moosh_json_int_or (m, "restarts", 0));
      at = endpoint ? g_strdup_printf ("%s:%d", moosh_json_string_or (endpoint, "host", "?"),
                                       (int)moosh_json_int_or (endpoint, "port", 0))
                    : NULL;
      cli_table_row (table, moosh_json_string_or (m, "agreement", NULL),
                     moosh_json_string_or (m, "state", NULL), units, restarts, at,
                     moosh_json_string_or (m, "error", moosh_json_string_or (m, "step", NULL)));
    }
  if (json_array_get_length (machines) == 0)
    cli_say ("No machine is here.");
  else
    cli_table_print (table);
  return TRUE;
}

gboolean
cli_vmm_logs (Cli *cli, GError **error)
{
  const char *method = cli_flag (cli, "console") ? "machine.console" : "machine.log";
  gint64 offset = 0;

  for (;;)
    {
      g_autoptr (JsonObject) piece = cli_call (
          cli, CLI_VMMD, method,
          moosh_json_build ("agreement", 's', cli->args[0], "offset", 'i', offset, NULL), 20000,
          error);
      const char *text = piece ? moosh_json_string (piece, "text", error) : NULL;
      g_autofree char *clean = NULL;
      gint64 next = offset;

      if (text == NULL || !moosh_json_int (piece, "next", &next, error))
        return FALSE;
      clean = isatty (STDOUT_FILENO) ? cli_printable (text, TRUE) : NULL;
      if (cli->json)
        cli_print_json (piece);
      else
        fputs (clean ? clean : text, stdout);
      fflush (stdout);
      if (next == offset || *text == '\0')
        {
          if (!cli_flag (cli, "follow"))
            return TRUE;
          g_usleep (POLL_MS * 1000);
        }
      offset = next;
    }
}

gboolean
cli_vmm_withdraw (Cli *cli, GError **error)
{
  return cli_wallet_withdraw (cli, error);
}

gboolean
cli_vmm_cancel (Cli *cli, GError **error)
{
  g_autofree char *question
      = g_strdup_printf ("Cancel order %s? What is rented already goes on.", cli->args[0]);
  g_autoptr (JsonObject) done = NULL;

  if (!cli_confirm (cli, question, error))
    return FALSE;
  done = cli_tell_node (cli, "offer.cancel", moosh_json_build ("id", 's', cli->args[0], NULL),
                        error);
  if (done == NULL)
    return FALSE;
  if (cli->json)
    return cli_print_json (done);
  cli_say ("The order is cancelled on the chain.");
  return TRUE;
}

gboolean
cli_vmm_doctor (Cli *cli, GError **error)
{
  g_autoptr (JsonArray) findings = json_array_new ();

  (void)error;
  cli_check_node (cli, findings);
  cli_check_host (cli, findings);
  return cli_print_findings (cli, findings);
}
