/** What several commands show and read in the same way: offers' and deployments' members,
 * requirements as options. */
#pragma once
#include "cli/cli.h"

/** Options that say what is needed, as members of offers.list and agreement.quote. */
#define CLI_REQUIREMENT_OPTIONS                                                                    \
  { "vcpu", 0, "N", "At least so many vCPUs (2, 0.5)", NULL },                                     \
      { "ram", 0, "SIZE", "At least so much memory (1G, 512M)", NULL },                            \
      { "disk", 0, "SIZE", "At least so much disk (10G)", NULL },                                  \
  {                                                                                                \
    "price", 0, "PRICE", "At most this price (0.02/h, 0.5/d, 15/mo)", NULL                         \
  }

/** Put what is needed into `params`: the requirement options that were given, and `words` ("2 vCPU,
 * 1 GiB, under 0.02/h"; may be NULL). `ret_any` (may be NULL): was anything said? */
gboolean cli_requirements (Cli *cli, const char *words, JsonObject *params, gboolean *ret_any,
                           GError **error);

/** `object`'s member as text for people; new strings. Missing members show as "-". */
char *cli_view_amount (Cli *cli, JsonObject *object, const char *member);
/** "0.015 MUSD/h" from price_per_hour, or from rate_x where that is missing. */
char *cli_view_rate (Cli *cli, JsonObject *object);
/** "2 vCPU, 1 GiB, 10 GiB disk" from an object with units in either spelling. */
char *cli_view_units (JsonObject *units);
/** A unit of an object in either spelling ("vcpu_milli", "vcpuMilli"). */
gint64 cli_unit (JsonObject *units, const char *snake, const char *camel);
/** Who it is: "alice (0x12345678…)", or the short identity. */
char *cli_view_party (JsonObject *object, const char *name, const char *identity);
/** "0x12345678…" */
char *cli_short (const char *hex);
/** Seconds since the epoch. */
gint64 cli_now (void);

/** agreement.show for the deployment that the first argument names. */
JsonObject *cli_deployment (Cli *cli, GError **error);
/** One line "name: value" on stdout, aligned for a sheet of them; nothing for a NULL value. */
void cli_line (const char *name, const char *format, ...) G_GNUC_PRINTF (2, 3);
/** A deployment as a sheet: state, money, times, reasons. */
void cli_print_deployment (Cli *cli, JsonObject *deployment);
/** The object at `index`; NULL when it is none. */
JsonObject *cli_element (JsonArray *array, guint index);
