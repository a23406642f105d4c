#include "base/json.h"
#include "cli/commands.h"
#include "cli/table.h"
#include "cli/text.h"
#include "cli/view.h"
#include <stdio.h>

static void
amount_line (Cli *cli, JsonObject *object, const char *member, const char *name)
{
  g_autofree char *text = cli_view_amount (cli, object, member);

  cli_line (name, "%s", text);
}

static void
print_transactions (JsonObject *wallet)
{
  JsonArray *list = moosh_json_array (wallet, "transactions", NULL);
  g_autoptr (CliTable) table = cli_table_new (">NONCE", "STATE", ">GAS", "HASH", "*PURPOSE", NULL);

  if (list == NULL || json_array_get_length (list) == 0)
    return;
  for (guint i = 0; i < json_array_get_length (list); i++)
    {
      JsonObject *t = cli_element (list, i);
      g_autofree char *nonce = NULL, *gas = NULL, *hash = NULL;

      if (t == NULL)
        continue;
      nonce = g_strdup_printf ("%d", (int)moosh_json_int_or (t, "nonce", 0));
      gas = moosh_json_int_or (t, "gas_used", 0) > 0
                ? g_strdup_printf ("%d", (int)moosh_json_int_or (t, "gas_used", 0))
                : NULL;
      hash = cli_short (moosh_json_string_or (t, "hash", NULL));
      cli_table_row (table, nonce, moosh_json_string_or (t, "state", NULL), gas, hash,
                     moosh_json_string_or (t, "purpose", NULL));
    }
  printf ("\n");
  cli_table_print (table);
}

gboolean
cli_wallet_show (Cli *cli, GError **error)
{
  g_autoptr (JsonObject) wallet = cli_ask_node (cli, "wallet.show", NULL, error);
  JsonObject *stake;
  g_autofree char *native = NULL;

  if (wallet == NULL)
    return FALSE;
  if (cli->json)
    return cli_print_json (wallet);
  if (!cli_token (cli, error))
    return FALSE;
  native = cli_amount_text (moosh_json_string_or (wallet, "native_wei", NULL), 18, 9);
  cli_line ("address", "%s", moosh_json_string_or (wallet, "address", "-"));
  cli_line ("for gas", "%s of the chain's coin", native ? native : "?");
  amount_line (cli, wallet, "token_wei", "wallet");
  amount_line (cli, wallet, "locked_wei", "in agreements");
  amount_line (cli, wallet, "credit_wei", "to withdraw");
  stake = moosh_json_object (wallet, "stake", NULL);
  if (stake != NULL
      && (cli_decimal_cmp (moosh_json_string_or (stake, "free_wei", NULL), "0") > 0
          || cli_decimal_cmp (moosh_json_string_or (stake, "reserved_wei", NULL), "0") > 0))
    {
      amount_line (cli, stake, "free_wei", "stake, free");
      amount_line (cli, stake, "reserved_wei", "stake, bound");
    }
  print_transactions (wallet);
  return TRUE;
}

gboolean
cli_wallet_withdraw (Cli *cli, GError **error)
{
  g_autoptr (JsonObject) done = cli_tell_node (cli, "wallet.withdraw", NULL, error);
  g_autofree char *amount = NULL;

  if (done == NULL)
    return FALSE;
  if (cli->json)
    return cli_print_json (done);
  cli_token (cli, NULL);
  amount = cli_view_amount (cli, done, "withdrawn_wei");
  cli_say ("%s moved to the wallet", amount);
  return TRUE;
}
