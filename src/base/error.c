#include "base/error.h"
#include <string.h>

static const char *const names[] = {
  [MOOSH_ERROR_FAILED] = "failed",       [MOOSH_ERROR_USAGE] = "usage",
  [MOOSH_ERROR_NOT_FOUND] = "not_found", [MOOSH_ERROR_REFUSED] = "refused",
  [MOOSH_ERROR_DENIED] = "denied",       [MOOSH_ERROR_UNAVAILABLE] = "unavailable",
  [MOOSH_ERROR_TIMEOUT] = "timeout",     [MOOSH_ERROR_FUNDS] = "funds",
  [MOOSH_ERROR_EXPIRED] = "expired",     [MOOSH_ERROR_CONFLICT] = "conflict",
  [MOOSH_ERROR_PROTOCOL] = "protocol",   [MOOSH_ERROR_CORRUPT] = "corrupt",
  [MOOSH_ERROR_LIMIT] = "limit",         [MOOSH_ERROR_CANCELLED] = "cancelled",
};

G_DEFINE_QUARK (moosh - error - quark, moosh_error)

const char *
moosh_error_name (MooshError code)
{
  return (guint)code < G_N_ELEMENTS (names) ? names[code] : names[MOOSH_ERROR_FAILED];
}

MooshError
moosh_error_from_name (const char *name)
{
  for (guint i = 0; name != NULL && i < G_N_ELEMENTS (names); i++)
    if (strcmp (names[i], name) == 0)
      return (MooshError)i;
  return MOOSH_ERROR_FAILED;
}

int
moosh_error_exit_code (const GError *error)
{
  return error->domain == MOOSH_ERROR ? error->code + 1 : 1;
}
