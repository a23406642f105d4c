#include "machine/journal.h"
#include <string.h>

const char *const moosh_machine_migrations[] = {
  "CREATE TABLE pool (id TEXT PRIMARY KEY, class INTEGER NOT NULL, overcommit_pct INTEGER NOT NULL,"
  " vcpu_milli INTEGER NOT NULL, ram_mib INTEGER NOT NULL, disk_gib INTEGER NOT NULL, gpu INTEGER "
  "NOT NULL,"
  " ipv4 INTEGER NOT NULL, cores TEXT NOT NULL);"
  "CREATE TABLE machine (id INTEGER PRIMARY KEY AUTOINCREMENT, agreement TEXT NOT NULL, pool TEXT "
  "NOT NULL,"
  " vcpu_milli INTEGER NOT NULL, ram_mib INTEGER NOT NULL, disk_gib INTEGER NOT NULL, gpu INTEGER "
  "NOT NULL,"
  " ipv4 INTEGER NOT NULL, cores TEXT NOT NULL, request_hash BLOB NOT NULL, reserved_s INTEGER NOT "
  "NULL,"
  " want INTEGER NOT NULL DEFAULT 0, retain_until_s INTEGER NOT NULL DEFAULT 0, request BLOB,"
  " policy TEXT, internet INTEGER NOT NULL DEFAULT 0, reboots_wanted INTEGER NOT NULL DEFAULT 0,"
  " state INTEGER NOT NULL DEFAULT 0, step TEXT NOT NULL DEFAULT '', error TEXT NOT NULL DEFAULT "
  "'',"
  " uid INTEGER NOT NULL DEFAULT 0, pid INTEGER NOT NULL DEFAULT 0, pid_start INTEGER NOT NULL "
  "DEFAULT 0,"
  " system TEXT, kernel TEXT, initrd TEXT, cmdline TEXT, store_image TEXT, host_key TEXT, accel "
  "TEXT,"
  " build_ms INTEGER NOT NULL DEFAULT 0, boot_ms INTEGER NOT NULL DEFAULT 0,"
  " running_since_s INTEGER NOT NULL DEFAULT 0, restarts INTEGER NOT NULL DEFAULT 0,"
  " crashes INTEGER NOT NULL DEFAULT 0, reboots INTEGER NOT NULL DEFAULT 0);"
  "CREATE TABLE setting (name TEXT PRIMARY KEY, value INTEGER NOT NULL);"
  "CREATE TABLE forward (host_port INTEGER PRIMARY KEY, machine INTEGER NOT NULL, guest_port "
  "INTEGER NOT NULL);"
  /* one live machine an agreement; a released reservation may be made again */
  "CREATE UNIQUE INDEX machine_agreement ON machine (agreement) WHERE state <> 9;"
  "CREATE INDEX machine_pool ON machine (pool, state);",
  NULL,
};

static const char *const state_names[] = {
  [MOOSH_MACHINE_RESERVED] = "reserved",   [MOOSH_MACHINE_BUILDING] = "building",
  [MOOSH_MACHINE_BOOTING] = "booting",     [MOOSH_MACHINE_RUNNING] = "running",
  [MOOSH_MACHINE_PAUSED] = "paused",       [MOOSH_MACHINE_STOPPED] = "stopped",
  [MOOSH_MACHINE_FAILED] = "failed",       [MOOSH_MACHINE_RETAINED] = "retained",
  [MOOSH_MACHINE_DESTROYED] = "destroyed", [MOOSH_MACHINE_RELEASED] = "released",
};

G_STATIC_ASSERT (MOOSH_MACHINE_RELEASED == 9); /* the index above names it */

const char *
moosh_machine_state_name (MooshMachineState state)
{
  g_return_val_if_fail ((guint)state < G_N_ELEMENTS (state_names), "unknown");
  return state_names[state];
}

gboolean
moosh_machine_state_final (MooshMachineState state)
{
  return state == MOOSH_MACHINE_DESTROYED || state == MOOSH_MACHINE_RELEASED;
}

void
moosh_machine_free (MooshMachine *machine)
{
  char **texts[]
      = { &machine->agreement, &machine->pool,        &machine->policy,   &machine->step,
          &machine->error,     &machine->system,      &machine->kernel,   &machine->initrd,
          &machine->cmdline,   &machine->store_image, &machine->host_key, &machine->accel };

  for (guint i = 0; i < G_N_ELEMENTS (texts); i++)
    g_free (*texts[i]);
  g_clear_pointer (&machine->request_hash, g_bytes_unref);
  g_clear_pointer (&machine->request, g_bytes_unref);
  g_clear_pointer (&machine->forwards, g_array_unref);
  g_free (machine);
}

guint16
moosh_machine_port (const MooshMachine *machine, guint16 guest)
{
  for (guint i = 0; machine->forwards != NULL && i < machine->forwards->len; i++)
    {
      const MooshForward *forward = &g_array_index (machine->forwards, MooshForward, i);
      if (forward->guest == guest)
        return forward->host;
    }
  return 0;
}

gboolean
moosh_agreement_check (const char *agreement, GError **error)
{
  gsize len = strlen (agreement);

  if (len >= 1 && len <= 80 && agreement[0] != '.' && agreement[0] != '-'
      && strspn (agreement, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")
             == len)
    return TRUE;
  g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE,
               "an agreement is named by 1 to 80 letters, digits, dots, dashes or underscores");
  return FALSE;
}

/* ---- pools ---- */

#define POOL_COLUMNS "id, class, overcommit_pct, vcpu_milli, ram_mib, disk_gib, gpu, ipv4, cores"

/* What the machines of a pool hold now. The disk of a retained machine is still there, its other
 * units are not. */
static gboolean
add_held (MooshStore *store, MooshPool *pool, GError **error)
{
  g_autoptr (MooshQuery) query = moosh_store_query (
      store, error,
      "SELECT vcpu_milli, ram_mib, disk_gib, gpu, ipv4, cores, state FROM machine WHERE pool = ?"
      " AND state NOT IN (8, 9)",
      "s", pool->id);
  g_autoptr (GError) local = NULL;

  while (query != NULL && moosh_query_next (query, &local))
    {
      MooshCores cores = { { 0 } };

      pool->reserved.disk_gib += (guint32)moosh_query_int (query, 2);
      if (moosh_query_int (query, 6) == MOOSH_MACHINE_RETAINED)
        continue;
      pool->reserved.vcpu_milli += (guint32)moosh_query_int (query, 0);
      pool->reserved.ram_mib += (guint32)moosh_query_int (query, 1);
      pool->reserved.gpu += (guint32)moosh_query_int (query, 3);
      pool->reserved.ipv4 += (guint32)moosh_query_int (query, 4);
      if (moosh_cores_parse (moosh_query_text (query, 5), &cores))
        moosh_cores_join (&pool->busy, &cores);
    }
  if (query == NULL || local == NULL)
    return query != NULL;
  g_propagate_error (error, g_steal_pointer (&local));
  return FALSE;
}

G_STATIC_ASSERT (MOOSH_MACHINE_DESTROYED == 8);

static MooshPool *
read_pool (MooshQuery *query)
{
  MooshPool *pool = g_new0 (MooshPool, 1);

  g_strlcpy (pool->id, moosh_query_text (query, 0), sizeof pool->id);
  pool->class = (MooshPoolClass)moosh_query_int (query, 1);
  pool->overcommit_pct = (guint32)moosh_query_int (query, 2);
  pool->capacity.vcpu_milli = (guint32)moosh_query_int (query, 3);
  pool->capacity.ram_mib = (guint32)moosh_query_int (query, 4);
  pool->capacity.disk_gib = (guint32)moosh_query_int (query, 5);
  pool->capacity.gpu = (guint32)moosh_query_int (query, 6);
  pool->capacity.ipv4 = (guint32)moosh_query_int (query, 7);
  moosh_cores_parse (moosh_query_text (query, 8), &pool->cores);
  return pool;
}

static GPtrArray *
read_pools (MooshStore *store, const char *id, GError **error)
{
  g_autoptr (GPtrArray) pools = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (MooshQuery) query = moosh_store_query (
      store, error, "SELECT " POOL_COLUMNS " FROM pool WHERE ?1 IS NULL OR id = ?1 ORDER BY id",
      "s", id);
  g_autoptr (GError) local = NULL;

  if (query == NULL)
    return NULL;
  while (moosh_query_next (query, &local))
    g_ptr_array_add (pools, read_pool (query));
  for (guint i = 0; local == NULL && i < pools->len; i++)
    add_held (store, g_ptr_array_index (pools, i), &local);
  if (local == NULL)
    return g_steal_pointer (&pools);
  g_propagate_error (error, g_steal_pointer (&local));
  return NULL;
}

GPtrArray *
moosh_journal_pools (MooshStore *store, GError **error)
{
  return read_pools (store, NULL, error);
}

MooshPool *
moosh_journal_pool (MooshStore *store, const char *id, GError **error)
{
  g_autoptr (GPtrArray) pools = read_pools (store, id, error);

  if (pools == NULL)
    return NULL;
  if (pools->len > 0)
    return g_ptr_array_steal_index (pools, 0);
  g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_NOT_FOUND, "there is no pool %s", id);
  return NULL;
}

gboolean
moosh_journal_put_pool (MooshStore *store, const MooshPool *pool, GError **error)
{
  g_autofree char *cores = moosh_cores_print (&pool->cores);

  return moosh_store_run (
      store, error, "INSERT OR REPLACE INTO pool (" POOL_COLUMNS ") VALUES (?,?,?,?,?,?,?,?,?)",
      "siiiiiiis", pool->id, (gint64)pool->class, (gint64)pool->overcommit_pct,
      (gint64)pool->capacity.vcpu_milli, (gint64)pool->capacity.ram_mib,
      (gint64)pool->capacity.disk_gib, (gint64)pool->capacity.gpu, (gint64)pool->capacity.ipv4,
      cores);
}

/* ---- machines ---- */

#define MACHINE_COLUMNS                                                                            \
  "id, agreement, pool, vcpu_milli, ram_mib, disk_gib, gpu, ipv4, cores, request_hash, "           \
  "reserved_s, want,"                                                                              \
  " retain_until_s, request, policy, internet, reboots_wanted, state, step, error, uid, pid, "     \
  "pid_start, system,"                                                                             \
  " kernel, initrd, cmdline, store_image, host_key, accel, build_ms, boot_ms, running_since_s, "   \
  "restarts, crashes,"                                                                             \
  " reboots"

static char *
text (MooshQuery *query, int column)
{
  return g_strdup (moosh_query_text (query, column));
}

static MooshMachine *
read_machine (MooshQuery *q)
{
  MooshMachine *m = g_new0 (MooshMachine, 1);
  gint64 *ids[] = { &m->uid, &m->pid, &m->pid_start };
  char **texts[] = { &m->system,      &m->kernel,   &m->initrd, &m->cmdline,
                     &m->store_image, &m->host_key, &m->accel };
  gint64 *counts[]
      = { &m->build_ms, &m->boot_ms, &m->running_since_s, &m->restarts, &m->crashes, &m->reboots };
  guint32 *units[] = { &m->units.vcpu_milli, &m->units.ram_mib, &m->units.disk_gib, &m->units.gpu,
                       &m->units.ipv4 };

  m->id = moosh_query_int (q, 0);
  m->agreement = text (q, 1);
  m->pool = text (q, 2);
  for (int i = 0; i < (int)G_N_ELEMENTS (units); i++)
    *units[i] = (guint32)moosh_query_int (q, 3 + i);
  moosh_cores_parse (moosh_query_text (q, 8), &m->cores);
  m->request_hash = moosh_query_blob (q, 9);
  m->reserved_s = moosh_query_int (q, 10);
  m->want = (MooshMachineWant)moosh_query_int (q, 11);
  m->retain_until_s = moosh_query_int (q, 12);
  m->request = moosh_query_blob (q, 13);
  m->policy = text (q, 14);
  m->internet = moosh_query_int (q, 15) != 0;
  m->reboots_wanted = moosh_query_int (q, 16);
  m->state = (MooshMachineState)moosh_query_int (q, 17);
  m->step = text (q, 18);
  m->error = text (q, 19);
  for (int i = 0; i < (int)G_N_ELEMENTS (ids); i++)
    *ids[i] = moosh_query_int (q, 20 + i);
  for (int i = 0; i < (int)G_N_ELEMENTS (texts); i++)
    *texts[i] = text (q, 23 + i);
  for (int i = 0; i < (int)G_N_ELEMENTS (counts); i++)
    *counts[i] = moosh_query_int (q, 30 + i);
  m->forwards = g_array_new (FALSE, FALSE, sizeof (MooshForward));
  return m;
}

static gboolean
read_forwards (MooshStore *store, MooshMachine *m, GError **error)
{
  g_autoptr (MooshQuery) query = moosh_store_query (
      store, error,
      "SELECT guest_port, host_port FROM forward WHERE machine = ? ORDER BY guest_port", "i",
      m->id);
  g_autoptr (GError) local = NULL;

  if (query == NULL)
    return FALSE;
  while (moosh_query_next (query, &local))
    {
      MooshForward forward
          = { (guint16)moosh_query_int (query, 0), (guint16)moosh_query_int (query, 1) };
      g_array_append_val (m->forwards, forward);
    }
  if (local == NULL)
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&local));
  return FALSE;
}

/* All rows the query gives. Takes the query. */
static GPtrArray *
read_machines (MooshStore *store, MooshQuery *taken, GError **error)
{
  g_autoptr (MooshQuery) query = taken;
  g_autoptr (GPtrArray) machines
      = g_ptr_array_new_with_free_func ((GDestroyNotify)moosh_machine_free);
  g_autoptr (GError) local = NULL;

  if (query == NULL)
    return NULL;
  while (moosh_query_next (query, &local))
    g_ptr_array_add (machines, read_machine (query));
  for (guint i = 0; local == NULL && i < machines->len; i++)
    read_forwards (store, g_ptr_array_index (machines, i), &local);
  if (local == NULL)
    return g_steal_pointer (&machines);
  g_propagate_error (error, g_steal_pointer (&local));
  return NULL;
}

GPtrArray *
moosh_journal_machines (MooshStore *store, gboolean live_only, GError **error)
{
  return read_machines (store,
                        moosh_store_query (store, error,
                                           "SELECT " MACHINE_COLUMNS
                                           " FROM machine WHERE NOT ? OR state"
                                           " NOT IN (8, 9) ORDER BY id",
                                           "i", (gint64)live_only),
                        error);
}

static MooshMachine *
only_machine (MooshStore *store, MooshQuery *query, const char *name, GError **error)
{
  g_autoptr (GPtrArray) machines = read_machines (store, query, error);

  if (machines == NULL)
    return NULL;
  if (machines->len > 0)
    return g_ptr_array_steal_index (machines, 0);
  g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_NOT_FOUND,
               "agreement %s: there is no such machine here", name);
  return NULL;
}

MooshMachine *
moosh_journal_machine (MooshStore *store, const char *agreement, GError **error)
{
  return only_machine (store,
                       moosh_store_query (store, error,
                                          "SELECT " MACHINE_COLUMNS
                                          " FROM machine WHERE agreement = ?"
                                          " ORDER BY id DESC LIMIT 1",
                                          "s", agreement),
                       agreement, error);
}

MooshMachine *
moosh_journal_machine_by_id (MooshStore *store, gint64 id, GError **error)
{
  g_autofree char *name = g_strdup_printf ("number %" G_GINT64_FORMAT, id);

  return only_machine (store,
                       moosh_store_query (store, error,
                                          "SELECT " MACHINE_COLUMNS " FROM machine WHERE id = ?",
                                          "i", id),
                       name, error);
}

gboolean
moosh_journal_reserve (MooshStore *store, MooshMachine *m, GError **error)
{
  g_autofree char *cores = moosh_cores_print (&m->cores);

  if (!moosh_store_run (
          store, error,
          "INSERT INTO machine (agreement, pool, vcpu_milli, ram_mib, disk_gib, gpu, ipv4, cores,"
          " request_hash, reserved_s) VALUES (?,?,?,?,?,?,?,?,?,?)",
          "ssiiiiisbi", m->agreement, m->pool, (gint64)m->units.vcpu_milli,
          (gint64)m->units.ram_mib, (gint64)m->units.disk_gib, (gint64)m->units.gpu,
          (gint64)m->units.ipv4, cores, m->request_hash, m->reserved_s))
    return FALSE;
  m->id = moosh_store_last_id (store);
  return TRUE;
}

gboolean
moosh_journal_want (MooshStore *store, const MooshMachine *m, GError **error)
{
  return moosh_store_run (
      store, error,
      "UPDATE machine SET want = ?, retain_until_s = ?, request = ?, policy = ?, internet = ?,"
      " reboots_wanted = ? WHERE id = ?",
      "iibsiii", (gint64)m->want, m->retain_until_s, m->request, m->policy, (gint64)m->internet,
      m->reboots_wanted, m->id);
}

gboolean
moosh_journal_forget_request (MooshStore *store, MooshMachine *m, GError **error)
{
  g_clear_pointer (&m->request, g_bytes_unref);
  return moosh_store_run (store, error, "UPDATE machine SET request = NULL WHERE id = ?", "i",
                          m->id);
}

gboolean
moosh_journal_save (MooshStore *store, const MooshMachine *m, GError **error)
{
  return moosh_store_run (
      store, error,
      "UPDATE machine SET state = ?, step = ?, error = ?, uid = ?, pid = ?, pid_start = ?,"
      " system = ?, kernel = ?, initrd = ?, cmdline = ?, store_image = ?, host_key = ?, accel = ?,"
      " build_ms = ?, boot_ms = ?, running_since_s = ?, restarts = ?, crashes = ?, reboots = ?"
      " WHERE id = ?",
      "issiiisssssssiiiiiii", (gint64)m->state, m->step ? m->step : "", m->error ? m->error : "",
      m->uid, m->pid, m->pid_start, m->system, m->kernel, m->initrd, m->cmdline, m->store_image,
      m->host_key, m->accel, m->build_ms, m->boot_ms, m->running_since_s, m->restarts, m->crashes,
      m->reboots, m->id);
}

gint64
moosh_journal_free_uid (MooshStore *store, gint64 first, gint64 count)
{
  for (gint64 uid = first; uid < first + count; uid++)
    if (moosh_store_int (store, 0, "SELECT 1 FROM machine WHERE uid = ? AND state NOT IN (8, 9)",
                         "i", uid)
        == 0)
      return uid;
  return 0;
}

gboolean
moosh_journal_drop_ports (MooshStore *store, MooshMachine *m, GError **error)
{
  if (!moosh_store_run (store, error, "DELETE FROM forward WHERE machine = ?", "i", m->id))
    return FALSE;
  g_array_set_size (m->forwards, 0);
  return TRUE;
}

/* Within a transaction: the machine's old ports go, each guest port gets the next free one. */
static gboolean
take_ports (MooshStore *store, MooshMachine *m, const guint16 *guest, guint n, gint64 first,
            gint64 count, gint64 from, GError **error)
{
  gint64 port = MAX (first, from);

  if (!moosh_journal_drop_ports (store, m, error))
    return FALSE;
  for (guint i = 0; i < n; i++, port++)
    {
      MooshForward forward;

      while (port < first + count
             && moosh_store_int (store, 0, "SELECT 1 FROM forward WHERE host_port = ?", "i", port)
                    != 0)
        port++;
      if (port >= first + count)
        {
          g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_LIMIT,
                       "agreement %s: none of the %" G_GINT64_FORMAT " ports from %" G_GINT64_FORMAT
                       " is free",
                       m->agreement, count, first);
          return FALSE;
        }
      if (!moosh_store_run (store, error,
                            "INSERT INTO forward (host_port, machine, guest_port) VALUES (?,?,?)",
                            "iii", port, m->id, (gint64)guest[i]))
        return FALSE;
      forward = (MooshForward){ guest[i], (guint16)port };
      g_array_append_val (m->forwards, forward);
    }
  return TRUE;
}

gboolean
moosh_journal_take_ports (MooshStore *store, MooshMachine *m, const guint16 *guest, guint n,
                          gint64 first, gint64 count, gint64 from, GError **error)
{
  if (!moosh_store_begin (store, error))
    return FALSE;
  if (take_ports (store, m, guest, n, first, count, from, error)
      && moosh_store_commit (store, error))
    return TRUE;
  moosh_store_rollback (store);
  g_array_set_size (m->forwards, 0);
  read_forwards (store, m, NULL);
  return FALSE;
}
