#include "daemon/vmmd/methods.h"
#include "base/json.h"
#include "machine/console.h"
#include "vmmd_schema.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEXT_MAX    131072
#define WAIT_MAX_MS 60000

/* ---- structs to JSON and back ---- */

static const struct {
  const char *name;
  gsize offset;
} resources[] = {
  { "vcpu_milli", G_STRUCT_OFFSET (MooshMachineUnits, vcpu_milli) },
  { "ram_mib", G_STRUCT_OFFSET (MooshMachineUnits, ram_mib) },
  { "disk_gib", G_STRUCT_OFFSET (MooshMachineUnits, disk_gib) },
  { "gpu", G_STRUCT_OFFSET (MooshMachineUnits, gpu) },
  { "ipv4", G_STRUCT_OFFSET (MooshMachineUnits, ipv4) },
};

static JsonObject *
units_json (const MooshMachineUnits *units)
{
  JsonObject *object = json_object_new ();

  for (guint i = 0; i < G_N_ELEMENTS (resources); i++)
    json_object_set_int_member (object, resources[i].name,
                                G_STRUCT_MEMBER (guint32, units, resources[i].offset));
  return object;
}

/* Missing resources are none; unknown ones are refused, lest somebody believes in them. */
static gboolean
parse_units (JsonObject *object, MooshMachineUnits *ret, GError **error)
{
  g_autoptr (GList) names = json_object_get_members (object);
  MooshMachineUnits units = { 0, 0, 0, 0, 0 };

  for (GList *l = names; l != NULL; l = l->next)
    {
      gint64 amount = -1;
      guint i = 0;

      while (i < G_N_ELEMENTS (resources) && strcmp (resources[i].name, l->data) != 0)
        i++;
      if (i == G_N_ELEMENTS (resources))
        {
          g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE, "units: there is no resource \"%s\"",
                       (char *)l->data);
          return FALSE;
        }
      if (!moosh_json_int (object, l->data, &amount, error))
        return FALSE;
      if (amount < 0 || amount > G_MAXUINT32)
        {
          g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE, "units: %s is out of range",
                       (char *)l->data);
          return FALSE;
        }
      G_STRUCT_MEMBER (guint32, &units, resources[i].offset) = (guint32)amount;
    }
  *ret = units;
  return TRUE;
}

/* bytes32, with or without 0x, as 64 lower-case digits. */
static gboolean
parse_bytes32 (JsonObject *params, const char *member, char ret[65], GBytes **ret_bytes,
               GError **error)
{
  g_autoptr (GBytes) bytes = moosh_json_hex (params, member, 32, error);
  g_autofree char *hex = NULL;

  if (bytes == NULL)
    return FALSE;
  hex = moosh_hex (g_bytes_get_data (bytes, NULL), 32);
  if (ret != NULL)
    g_strlcpy (ret, hex + 2, 65);
  if (ret_bytes != NULL)
    *ret_bytes = g_steal_pointer (&bytes);
  return TRUE;
}

static JsonArray *
cores_json (const MooshCores *cores)
{
  JsonArray *array = json_array_new ();

  for (guint core = 0; core < MOOSH_CORES_MAX; core++)
    if (moosh_cores_has (cores, core))
      json_array_add_int_element (array, core);
  return array;
}

static JsonObject *
pool_json (const MooshPool *pool)
{
  MooshMachineUnits sellable = moosh_pool_sellable (pool), left = moosh_pool_free (pool);

  return moosh_json_build ("pool", 's', pool->id, "class", 'i', (gint64)pool->class,
                           "overcommit_pct", 'i', (gint64)pool->overcommit_pct, "capacity", 'o',
                           units_json (&pool->capacity), "sellable", 'o', units_json (&sellable),
                           "reserved", 'o', units_json (&pool->reserved), "free", 'o',
                           units_json (&left), "cores", 'a', cores_json (&pool->cores), NULL);
}

static char *
log_digest (MooshHost *host, const MooshMachine *m)
{
  g_autofree char *path = moosh_host_log_path (host, m), *text = NULL, *digest = NULL;
  gsize len = 0;

  if (!g_file_get_contents (path, &text, &len, NULL))
    return NULL;
  digest = g_compute_checksum_for_data (G_CHECKSUM_SHA256, (const guchar *)text, len);
  return g_strconcat ("0x", digest, NULL);
}

static JsonArray *
ports_json (const MooshMachine *m)
{
  JsonArray *array = json_array_new ();

  for (guint i = 0; i < m->forwards->len; i++)
    {
      const MooshForward *forward = &g_array_index (m->forwards, MooshForward, i);
      if (forward->guest != 22)
        json_array_add_object_element (array,
                                       moosh_json_build ("guest", 'i', (gint64)forward->guest,
                                                         "host", 'i', (gint64)forward->host, NULL));
    }
  return array;
}

static void
set_seconds (JsonObject *object, const char *name, gint64 ms)
{
  if (ms > 0)
    json_object_set_double_member (object, name, (double)ms / 1000.0);
  else
    json_object_set_null_member (object, name);
}

static const char *
text_or_null (const char *text)
{
  return text != NULL && text[0] != '\0' ? text : NULL;
}

static JsonObject *
machine_json (MooshHost *host, const MooshMachine *m)
{
  const MooshHostConfig *config = moosh_host_config (host);
  const char *name = config->public_host ? config->public_host : config->listen_host;
  guint16 port = moosh_machine_port (m, 22);
  g_autofree char *digest = log_digest (host, m);
  JsonObject *endpoint
      = port != 0 ? moosh_json_build ("host", 's', name, "port", 'i', (gint64)port, NULL) : NULL;
  JsonObject *object = moosh_json_build (
      "agreement", 's', m->agreement, "pool", 's', m->pool, "units", 'o', units_json (&m->units),
      "state", 's', moosh_machine_state_name (m->state), "step", 's', text_or_null (m->step),
      "error", 's', text_or_null (m->error), "request_hash", 'x', m->request_hash, "internet", 'b',
      m->internet, "endpoint", 'o', endpoint, "ports", 'a', ports_json (m), "ssh_host_key", 's',
      m->host_key, "log_digest", 's', digest, "restarts", 'i', m->restarts, "accel", 's', m->accel,
      "cores", 'a', cores_json (&m->cores), "system", 's', m->system, "reserved_s", 'i',
      m->reserved_s, NULL);

  set_seconds (object, "build_s", m->build_ms);
  set_seconds (object, "boot_s", m->boot_ms);
  if (m->want == MOOSH_WANT_GONE && m->retain_until_s >= 0)
    json_object_set_int_member (object, "retain_until_s", m->retain_until_s);
  else
    json_object_set_null_member (object, "retain_until_s");
  return object;
}

/* The answer for a machine; takes it (NULL: the error is set). */
static JsonObject *
answer (MooshHost *host, MooshMachine *taken)
{
  g_autoptr (MooshMachine) m = taken;
  return m != NULL ? machine_json (host, m) : NULL;
}

/* ---- inventory ---- */

JsonObject *
vmmd_inventory_get (const MooshRpcPeer *peer, JsonObject *params, gpointer host, GError **error)
{
  g_autoptr (GPtrArray) pools = moosh_host_pools (host, error);
  JsonArray *array;

  (void)peer, (void)params;
  if (pools == NULL)
    return NULL;
  array = json_array_new ();
  for (guint i = 0; i < pools->len; i++)
    json_array_add_object_element (array, pool_json (g_ptr_array_index (pools, i)));
  return moosh_json_build ("pools", 'a', array, NULL);
}

JsonObject *
vmmd_inventory_set (const MooshRpcPeer *peer, JsonObject *params, gpointer host, GError **error)
{
  MooshPool pool = { .id = "" };
  gint64 class = 0, overcommit = 0;
  JsonObject *capacity = moosh_json_object (params, "capacity", error);

  (void)peer;
  if (capacity == NULL || !parse_bytes32 (params, "pool", pool.id, NULL, error)
      || !moosh_json_int (params, "class", &class, error)
      || !moosh_json_int (params, "overcommit_pct", &overcommit, error)
      || !parse_units (capacity, &pool.capacity, error))
    return NULL;
  pool.class = (MooshPoolClass)CLAMP (class, 0, 2); /* out of range stays out of range */
  if (class < 0)
    pool.class = (MooshPoolClass)2;
  pool.overcommit_pct = (guint32)CLAMP (overcommit, 0, G_MAXUINT32);
  return moosh_host_set_pool (host, &pool, error) ? pool_json (&pool) : NULL;
}

/* ---- machines ---- */

JsonObject *
vmmd_machine_reserve (const MooshRpcPeer *peer, JsonObject *params, gpointer host, GError **error)
{
  const char *agreement = moosh_json_string (params, "agreement", error);
  JsonObject *object = moosh_json_object (params, "units", agreement ? error : NULL);
  MooshMachineUnits units;
  char pool[65];
  g_autoptr (GBytes) hash = NULL;

  (void)peer;
  if (agreement == NULL || object == NULL || !parse_bytes32 (params, "pool", pool, NULL, error)
      || !parse_bytes32 (params, "request_hash", NULL, &hash, error)
      || !parse_units (object, &units, error))
    return NULL;
  return answer (host, moosh_host_reserve (host, agreement, pool, &units, hash, error));
}

JsonObject *
vmmd_machine_provision (const MooshRpcPeer *peer, JsonObject *params, gpointer host, GError **error)
{
  const char *agreement = moosh_json_string (params, "agreement", error);
  g_autoptr (GBytes) request = agreement ? moosh_json_hex (params, "request", 0, error) : NULL;
  gboolean internet = moosh_json_bool_or (params, "internet", moosh_host_config (host)->internet);

  (void)peer;
  if (request == NULL)
    return NULL;
  return answer (host, moosh_host_provision (host, agreement, request, internet,
                                             moosh_json_string_or (params, "policy", NULL), error));
}

JsonObject *
vmmd_machine_status (const MooshRpcPeer *peer, JsonObject *params, gpointer host, GError **error)
{
  const char *agreement = moosh_json_string (params, "agreement", error);

  (void)peer;
  return agreement ? answer (host, moosh_host_machine (host, agreement, error)) : NULL;
}

JsonObject *
vmmd_machine_list (const MooshRpcPeer *peer, JsonObject *params, gpointer host, GError **error)
{
  g_autoptr (GPtrArray) machines
      = moosh_host_machines (host, moosh_json_bool_or (params, "all", FALSE), error);
  JsonArray *array;

  (void)peer;
  if (machines == NULL)
    return NULL;
  array = json_array_new ();
  for (guint i = 0; i < machines->len; i++)
    json_array_add_object_element (array, machine_json (host, g_ptr_array_index (machines, i)));
  return moosh_json_build ("machines", 'a', array, NULL);
}

JsonObject *
vmmd_machine_wait (const MooshRpcPeer *peer, JsonObject *params, gpointer host, GError **error)
{
  const char *agreement = moosh_json_string (params, "agreement", error);
  const char *state = agreement ? moosh_json_string (params, "state", error) : NULL;
  gint64 timeout_ms = moosh_json_int_or (params, "timeout_ms", 20000);

  (void)peer;
  if (state == NULL)
    return NULL;
  return answer (host, moosh_host_wait (host, agreement, state,
                                        (guint)CLAMP (timeout_ms, 0, WAIT_MAX_MS), error));
}

static JsonObject *
act (MooshHost *host, JsonObject *params, MooshHostAction action, gint64 retain_until_s,
     GError **error)
{
  const char *agreement = moosh_json_string (params, "agreement", error);
  return agreement ? answer (host, moosh_host_act (host, agreement, action, retain_until_s, error))
                   : NULL;
}

JsonObject *
vmmd_machine_release (const MooshRpcPeer *peer, JsonObject *params, gpointer host, GError **error)
{
  (void)peer;
  return act (host, params, MOOSH_HOST_RELEASE, 0, error);
}

JsonObject *
vmmd_machine_pause (const MooshRpcPeer *peer, JsonObject *params, gpointer host, GError **error)
{
  (void)peer;
  return act (host, params, MOOSH_HOST_PAUSE, 0, error);
}

JsonObject *
vmmd_machine_resume (const MooshRpcPeer *peer, JsonObject *params, gpointer host, GError **error)
{
  (void)peer;
  return act (host, params, MOOSH_HOST_RESUME, 0, error);
}

JsonObject *
vmmd_machine_reboot (const MooshRpcPeer *peer, JsonObject *params, gpointer host, GError **error)
{
  (void)peer;
  return act (host, params, MOOSH_HOST_REBOOT, 0, error);
}

JsonObject *
vmmd_machine_poweroff (const MooshRpcPeer *peer, JsonObject *params, gpointer host, GError **error)
{
  (void)peer;
  return act (host, params, MOOSH_HOST_POWEROFF, 0, error);
}

JsonObject *
vmmd_machine_destroy (const MooshRpcPeer *peer, JsonObject *params, gpointer host, GError **error)
{
  gint64 retain_until_s;

  (void)peer;
  if (!moosh_json_int (params, "retain_until_s", &retain_until_s, error))
    return NULL;
  return act (host, params, MOOSH_HOST_DESTROY, retain_until_s, error);
}

/* ---- log and console ---- */

typedef struct {
  gint64 offset;
  gsize max;
} Piece;

static gboolean
parse_piece (JsonObject *params, Piece *ret, GError **error)
{
  gint64 max = moosh_json_int_or (params, "max", 65536);

  if (max < 1 || max > TEXT_MAX)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE, "max is 1 to %d bytes", TEXT_MAX);
      return FALSE;
    }
  *ret = (Piece){ moosh_json_int_or (params, "offset", 0), (gsize)max };
  return TRUE;
}

static JsonObject *
piece_json (GBytes *taken, gint64 offset, gint64 end)
{
  g_autoptr (GBytes) bytes = taken;
  gsize len;
  const char *data = g_bytes_get_data (bytes, &len);
  g_autofree char *text = g_utf8_make_valid (data ? data : "", (gssize)len);

  return moosh_json_build ("offset", 'i', offset, "text", 's', text, "next", 'i',
                           offset + (gint64)len, "end", 'i', end, NULL);
}

JsonObject *
vmmd_machine_log (const MooshRpcPeer *peer, JsonObject *params, gpointer host, GError **error)
{
  const char *agreement = moosh_json_string (params, "agreement", error);
  g_autoptr (MooshMachine) m = agreement ? moosh_host_machine (host, agreement, error) : NULL;
  g_autofree char *path = NULL, *buffer = NULL;
  gint64 end = 0;
  ssize_t got = 0;
  struct stat status;
  Piece piece;
  int fd;

  (void)peer;
  if (m == NULL || !parse_piece (params, &piece, error))
    return NULL;
  path = moosh_host_log_path (host, m);
  fd = open (path, O_RDONLY | O_CLOEXEC);
  buffer = g_malloc (piece.max);
  if (fd >= 0 && fstat (fd, &status) == 0)
    end = status.st_size;
  piece.offset
      = piece.offset < 0 ? MAX (0, end + MAX (piece.offset, -end)) : MIN (piece.offset, end);
  if (fd >= 0)
    {
      got = pread (fd, buffer, piece.max, piece.offset);
      close (fd);
    }
  return piece_json (g_bytes_new (buffer, (gsize)MAX (got, 0)), piece.offset, end);
}

JsonObject *
vmmd_machine_console (const MooshRpcPeer *peer, JsonObject *params, gpointer host, GError **error)
{
  const char *agreement = moosh_json_string (params, "agreement", error);
  g_autoptr (MooshMachine) m = agreement ? moosh_host_machine (host, agreement, error) : NULL;
  g_autofree char *path = NULL;
  gint64 offset, end;
  GBytes *bytes;
  Piece piece;

  (void)peer;
  if (m == NULL || !parse_piece (params, &piece, error))
    return NULL;
  path = moosh_host_console_path (host, m);
  bytes = moosh_console_read (path, piece.offset, piece.max, &offset, &end, error);
  return bytes != NULL ? piece_json (bytes, offset, end) : NULL;
}

/* ---- host ---- */

JsonObject *
vmmd_host_measure (const MooshRpcPeer *peer, JsonObject *params, gpointer host, GError **error)
{
  (void)peer;
  return moosh_host_measure (host, moosh_json_bool_or (params, "probe_again", FALSE), error);
}

MooshRpcServer *
vmmd_serve (MooshHost *host, const char *path, GError **error)
{
  return moosh_rpc_server_new (path, 0600, vmmd_methods, host, error);
}
