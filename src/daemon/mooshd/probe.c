/* The probe of docs/market.md: a login with our key that reads back the request's hash and what the
 * machine has. */
#include "base/spawn.h"
#include "deployment.h"
#include <string.h>

enum { PROBE_MS = 30000, RAM_FLOOR_PCT = 80, DISK_FLOOR_PCT = 90 };

/* A kernel keeps some memory for itself and a file system some disk, so a little less than promised
 * is all right. */
static gboolean
check_report (const Deployment *d, JsonObject *report, GError **error)
{
  const MooshUnits *unit = &d->offer.offer.units;
  g_autofree char *hash = moosh_hex (d->request_hash, 32);
  const char *seen = moosh_json_string_or (report, "request_hash", "");
  gint64 cpus = ((gint64)unit->vcpu_milli * d->units + 999) / 1000;
  gint64 ram_mib = (gint64)unit->ram_mib * d->units * RAM_FLOOR_PCT / 100;
  gint64 disk_gib = (gint64)unit->disk_gib * d->units * DISK_FLOOR_PCT / 100;

  if (g_ascii_strcasecmp (seen, hash) != 0 && g_ascii_strcasecmp (seen, hash + 2) != 0)
    g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_REFUSED, "the machine runs another request (%s)",
                 seen);
  else if (moosh_json_int_or (report, "cpus", 0) < cpus)
    g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_REFUSED, "the machine has %d CPUs, %d were agreed",
                 (int)moosh_json_int_or (report, "cpus", 0), (int)cpus);
  else if (moosh_json_int_or (report, "ram_mib", 0) < ram_mib)
    g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_REFUSED,
                 "the machine has %d MiB of memory, at least %d were agreed",
                 (int)moosh_json_int_or (report, "ram_mib", 0), (int)ram_mib);
  else if (moosh_json_int_or (report, "disk_gib", 0) < disk_gib)
    g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_REFUSED,
                 "the machine has %d GiB of disk, at least %d were agreed",
                 (int)moosh_json_int_or (report, "disk_gib", 0), (int)disk_gib);
  else
    return TRUE;
  return FALSE;
}

char *
probe_machine (Node *node, const Deployment *d, char **ret_report, GError **error)
{
  g_auto (GStrv) ssh = ssh_argv (node, d, TRUE, NULL, error);
  g_autoptr (GPtrArray) argv = g_ptr_array_new ();
  g_auto (MooshOutput) output = { 0 };
  g_autoptr (JsonObject) report = NULL;
  MooshSpawn spawn = { 0 };

  if (ssh == NULL)
    return NULL;
  for (guint i = 0; ssh[i] != NULL; i++)
    g_ptr_array_add (argv, ssh[i]);
  g_ptr_array_add (argv, (gpointer) "moosh-probe");
  g_ptr_array_add (argv, NULL);
  spawn.argv = (const char *const *)argv->pdata;
  if (!moosh_spawn_run (&spawn, PROBE_MS, 16384, NULL, NULL, &output, error))
    return NULL;
  *ret_report = g_strdup_printf ("exit %d\n%s\n%s", output.exit_status, output.out, output.err);
  if (output.timed_out || output.exit_status != 0)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_UNAVAILABLE, "cannot log in: %s",
                   output.timed_out ? "no answer in time" : g_strstrip (output.err));
      return NULL;
    }
  report = moosh_json_parse (output.out, -1, NULL);
  if (report == NULL)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_REFUSED,
                   "moosh-probe in the machine did not answer with JSON");
      return NULL;
    }
  return check_report (d, report, error) ? moosh_json_print (report, FALSE) : NULL;
}
