#include "cli/view.h"
#include "base/json.h"
#include "cli/text.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static gboolean
add_size (Cli *cli, const char *option, gboolean (*parse) (const char *, gint64 *, GError **),
          JsonObject *params, const char *member, gboolean *any, GError **error)
{
  gint64 v;

  if (cli_value (cli, option) == NULL)
    return TRUE;
  if (!parse (cli_value (cli, option), &v, error))
    {
      g_prefix_error (error, "--%s: ", option);
      return FALSE;
    }
  json_object_set_int_member (params, member, v);
  *any = TRUE;
  return TRUE;
}

static gboolean
add_words (const char *words, JsonObject *params, gboolean *any, GError **error)
{
  CliNeed need = { 0 };
  g_autofree char *price = NULL;

  if (words == NULL)
    return TRUE;
  if (!cli_parse_need (words, &need, error))
    return FALSE;
  price = need.price;
  if (need.vcpu_milli > 0)
    json_object_set_int_member (params, "vcpu_milli", need.vcpu_milli);
  if (need.ram_mib > 0)
    json_object_set_int_member (params, "ram_mib", need.ram_mib);
  if (need.disk_gib > 0)
    json_object_set_int_member (params, "disk_gib", need.disk_gib);
  if (price != NULL)
    json_object_set_string_member (params, "max_price", price);
  *any = TRUE;
  return TRUE;
}

gboolean
cli_requirements (Cli *cli, const char *words, JsonObject *params, gboolean *ret_any,
                  GError **error)
{
  gboolean any = FALSE;

  if (!add_words (words, params, &any, error)
      || !add_size (cli, "vcpu", cli_parse_vcpu, params, "vcpu_milli", &any, error)
      || !add_size (cli, "ram", cli_parse_mib, params, "ram_mib", &any, error)
      || !add_size (cli, "disk", cli_parse_gib, params, "disk_gib", &any, error))
    return FALSE;
  if (cli_value (cli, "price") != NULL)
    {
      g_autofree char *price = cli_parse_price (cli_value (cli, "price"), error);

      if (price == NULL)
        {
          g_prefix_error (error, "--price: ");
          return FALSE;
        }
      json_object_set_string_member (params, "max_price", price);
      any = TRUE;
    }
  if (ret_any != NULL)
    *ret_any = any;
  return TRUE;
}

char *
cli_view_amount (Cli *cli, JsonObject *object, const char *member)
{
  const char *wei = moosh_json_string_or (object, member, NULL);
  return wei != NULL ? cli_amount (cli, wei) : g_strdup ("-");
}

/* price_per_hour is for all units together, so it goes before rate_x; but only rate_x knows of a
 * pause. */
char *
cli_view_rate (Cli *cli, JsonObject *object)
{
  const char *rate = moosh_json_string_or (object, "rate_x", NULL);
  const char *price = moosh_json_string_or (object, "price_per_hour", NULL);
  g_autofree char *short_price = cli_price_text (price, 6);

  if (rate != NULL && strcmp (moosh_json_string_or (object, "state", ""), "paused") == 0)
    return cli_rate (cli, rate);
  if (short_price != NULL)
    return g_strdup_printf ("%s%s%s/h", short_price, cli->token_symbol ? " " : "",
                            cli->token_symbol ? cli->token_symbol : "");
  return rate != NULL ? cli_rate (cli, rate) : g_strdup ("-");
}

gint64
cli_unit (JsonObject *units, const char *snake, const char *camel)
{
  return moosh_json_int_or (units, snake, moosh_json_int_or (units, camel, 0));
}

char *
cli_view_units (JsonObject *units)
{
  g_autofree char *vcpu = NULL, *ram = NULL;

  if (units == NULL)
    return g_strdup ("-");
  vcpu = cli_vcpu (cli_unit (units, "vcpu_milli", "vcpuMilli"));
  ram = cli_mib (cli_unit (units, "ram_mib", "ramMib"));
  return g_strdup_printf ("%s vCPU, %s, %" G_GINT64_FORMAT " GiB disk", vcpu, ram,
                          cli_unit (units, "disk_gib", "diskGib"));
}

char *
cli_short (const char *hex)
{
  return hex != NULL && strlen (hex) > 12 ? g_strdup_printf ("%.10s…", hex)
                                          : g_strdup (hex ? hex : "-");
}

char *
cli_view_party (JsonObject *object, const char *name, const char *identity)
{
  const char *called = moosh_json_string_or (object, name, NULL);
  g_autofree char *brief = cli_short (moosh_json_string_or (object, identity, NULL));

  return called != NULL && *called ? g_strdup_printf ("%s (%s)", called, brief)
                                   : g_steal_pointer (&brief);
}

gint64
cli_now (void)
{
  return g_get_real_time () / G_USEC_PER_SEC;
}

JsonObject *
cli_element (JsonArray *array, guint index)
{
  JsonNode *node = json_array_get_element (array, index);
  return JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL;
}

JsonObject *
cli_deployment (Cli *cli, GError **error)
{
  return cli_ask_node (cli, "agreement.show",
                       moosh_json_build ("deployment", 's', cli->args[0], NULL), error);
}

void
cli_line (const char *name, const char *format, ...)
{
  va_list list;
  g_autofree char *text = NULL, *clean = NULL;

  va_start (list, format);
  text = g_strdup_vprintf (format, list);
  va_end (list);
  clean = cli_printable (text, FALSE);
  printf ("%-14s %s\n", name, clean);
}

static void
line_of (JsonObject *object, const char *name, const char *member)
{
  const char *text = moosh_json_string_or (object, member, NULL);

  if (text != NULL && *text != '\0')
    cli_line (name, "%s", text);
}

static void
time_of (JsonObject *object, const char *name, const char *member)
{
  gint64 at_s = moosh_json_int_or (object, member, 0);
  g_autofree char *text = cli_when (at_s, cli_now ());

  if (at_s != 0)
    cli_line (name, "%s", text);
}

static void
money_of (Cli *cli, JsonObject *object, const char *name, const char *member)
{
  const char *wei = moosh_json_string_or (object, member, NULL);
  g_autofree char *text = wei ? cli_amount (cli, wei) : NULL;

  if (text != NULL)
    cli_line (name, "%s", text);
}

static void
print_endpoint (JsonObject *d)
{
  JsonObject *endpoint = moosh_json_object (d, "endpoint", NULL);

  if (endpoint != NULL && moosh_json_string_or (endpoint, "host", NULL) != NULL)
    cli_line ("endpoint", "%s:%d", moosh_json_string_or (endpoint, "host", ""),
              (int)moosh_json_int_or (endpoint, "port", 0));
}

void
cli_print_deployment (Cli *cli, JsonObject *d)
{
  g_autofree char *party = cli_view_party (d, "provider_name", "provider");
  g_autofree char *rate = cli_view_rate (cli, d);
  gint64 closed_s = moosh_json_int_or (d, "closed_s", 0);

  line_of (d, "name", "deployment");
  if (moosh_json_int_or (d, "agreement", 0) > 0)
    cli_line ("agreement", "%" G_GINT64_FORMAT, moosh_json_int_or (d, "agreement", 0));
  line_of (d, "state", "state");
  line_of (d, "doing", "step");
  line_of (d, "trouble", "error");
  line_of (d, "ended", "close_text");
  line_of (d, "next", "next_step");
  cli_line ("provider", "%s", party);
  print_endpoint (d);
  line_of (d, "blueprint", "blueprint");
  line_of (d, "commit", "commit");
  cli_line ("rate", "%s", rate);
  money_of (cli, d, "deposit", "deposit_wei");
  money_of (cli, d, "spent", "spent_wei");
  if (closed_s == 0)
    {
      money_of (cli, d, "left", "balance_wei");
      money_of (cli, d, "refundable", "refundable_wei");
      time_of (d, "runs out at", "runs_out_at_s");
    }
  else
    {
      const char *evidence = moosh_json_string_or (d, "evidence", "");

      if (strspn (evidence, "0x") < strlen (evidence))
        cli_line ("evidence", "%s", evidence);
      money_of (cli, d, "refunded", "refund_wei");
      if (cli_decimal_cmp (moosh_json_string_or (d, "penalty_wei", NULL), "0") > 0)
        money_of (cli, d, "penalty", "penalty_wei");
    }
  time_of (d, "created", "created_s");
  time_of (d, "active since", "active_s");
  time_of (d, "closed", "closed_s");
}
