/* What is asked of the host: each request is checked, written down as wanted, and handed to the
 * machine's worker. */
#include "machine/host_private.h"
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

GPtrArray *
moosh_host_pools (MooshHost *host, GError **error)
{
  return moosh_journal_pools (host->store, error);
}

/* ---- pools ---- */

typedef struct {
  gint64 cores, ram_mib, disk_gib;
} Ceiling;

/* What inventory may claim in all: what the configuration says, else what is there. */
static Ceiling
ceiling (MooshHost *host)
{
  const MooshHostConfig *c = &host->config;
  struct statvfs fs;
  gint64 pages = sysconf (_SC_PHYS_PAGES), page = sysconf (_SC_PAGESIZE), disk_gib = 0;

  if (statvfs (c->state_dir, &fs) == 0)
    disk_gib = (gint64)((guint64)fs.f_blocks * fs.f_frsize >> 30);
  return (Ceiling){ c->cores ? c->cores : (gint64)g_get_num_processors (),
                    c->ram_mib ? c->ram_mib : pages * page >> 20,
                    c->disk_gib ? c->disk_gib : disk_gib };
}

static gboolean
check_ceiling (MooshHost *host, GPtrArray *pools, const MooshPool *pool, GError **error)
{
  const Ceiling most = ceiling (host);
  gint64 vcpu = pool->capacity.vcpu_milli, ram = pool->capacity.ram_mib,
         disk = pool->capacity.disk_gib;
  const struct {
    const char *what;
    const gint64 *claimed;
    gint64 there;
  } checks[] = { { "vCPU (thousandths)", &vcpu, most.cores * 1000 },
                 { "MiB of memory", &ram, most.ram_mib },
                 { "GiB of disk", &disk, most.disk_gib } };

  for (guint i = 0; i < pools->len; i++)
    {
      const MooshPool *other = g_ptr_array_index (pools, i);
      if (strcmp (other->id, pool->id) == 0)
        continue;
      vcpu += other->capacity.vcpu_milli;
      ram += other->capacity.ram_mib;
      disk += other->capacity.disk_gib;
    }
  for (guint i = 0; i < G_N_ELEMENTS (checks); i++)
    if (*checks[i].claimed > checks[i].there)
      {
        g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_LIMIT,
                     "pool %.16s: all pools together would claim %" G_GINT64_FORMAT
                     " %s, this host has %" G_GINT64_FORMAT,
                     pool->id, *checks[i].claimed, checks[i].what, checks[i].there);
        return FALSE;
      }
  return TRUE;
}

/* Take over what the journal knows of the pool, and find its cores. */
static gboolean
fit_pool (MooshHost *host, GPtrArray *pools, MooshPool *pool, GError **error)
{
  const Ceiling most = ceiling (host);
  MooshCores others = { { 0 } };

  for (guint i = 0; i < pools->len; i++)
    {
      const MooshPool *known = g_ptr_array_index (pools, i);
      if (strcmp (known->id, pool->id) != 0)
        moosh_cores_join (&others, &known->cores);
      else
        {
          pool->reserved = known->reserved;
          pool->cores = known->cores;
          pool->busy = known->busy;
          if (known->class != pool->class && known->reserved.disk_gib > 0)
            {
              g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_CONFLICT,
                           "pool %.16s: its class cannot change while machines hold units of it",
                           pool->id);
              return FALSE;
            }
        }
    }
  return moosh_pool_choose_cores (pool, &others, (guint)most.cores, error);
}

gboolean
moosh_host_set_pool (MooshHost *host, MooshPool *pool, GError **error)
{
  g_autoptr (GPtrArray) pools = NULL;
  MooshCores shared = { { 0 } };
  gboolean ok;

  if (!moosh_pool_check (pool, error))
    return FALSE;
  if (pool->capacity.gpu != 0 || pool->capacity.ipv4 != 0)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_REFUSED,
                   "pool %.16s: the %s driver has no GPUs or public addresses", pool->id,
                   host->driver->name);
      return FALSE;
    }
  g_mutex_lock (&host->inventory);
  pools = moosh_journal_pools (host->store, error);
  ok = pools != NULL && check_ceiling (host, pools, pool, error)
       && fit_pool (host, pools, pool, error) && moosh_journal_put_pool (host->store, pool, error);
  g_mutex_unlock (&host->inventory);
  if (!ok)
    return FALSE;
  for (guint core = 0; core < MIN (g_get_num_processors (), MOOSH_CORES_MAX); core++)
    moosh_cores_add (&shared, core);
  for (guint i = 0; i < pools->len; i++)
    if (strcmp (((MooshPool *)g_ptr_array_index (pools, i))->id, pool->id) != 0)
      moosh_cores_drop (&shared, &((MooshPool *)g_ptr_array_index (pools, i))->cores);
  moosh_cores_drop (&shared, &pool->cores);
  moosh_qemu_share_cores (host->qemu, &shared);
  return TRUE;
}

/* ---- machines ---- */

MooshMachine *
moosh_host_machine (MooshHost *host, const char *agreement, GError **error)
{
  MooshMachine *m = moosh_journal_machine (host->store, agreement, error);

  g_mutex_lock (&host->lock);
  if (m != NULL)
    moosh_host_show (host, m);
  g_mutex_unlock (&host->lock);
  return m;
}

GPtrArray *
moosh_host_machines (MooshHost *host, gboolean all, GError **error)
{
  GPtrArray *machines = moosh_journal_machines (host->store, !all, error);

  g_mutex_lock (&host->lock);
  for (guint i = 0; machines != NULL && i < machines->len; i++)
    moosh_host_show (host, g_ptr_array_index (machines, i));
  g_mutex_unlock (&host->lock);
  return machines;
}

static gboolean
same_reservation (const MooshMachine *m, const char *pool, const MooshMachineUnits *units,
                  GBytes *request_hash)
{
  return strcmp (m->pool, pool) == 0 && memcmp (&m->units, units, sizeof *units) == 0
         && g_bytes_equal (m->request_hash, request_hash);
}

/* With the inventory locked. */
static MooshMachine *
reserve (MooshHost *host, const char *agreement, const char *pool_id,
         const MooshMachineUnits *units, GBytes *request_hash, GError **error)
{
  g_autoptr (MooshMachine) known = moosh_journal_machine (host->store, agreement, NULL);
  g_autofree MooshPool *pool = NULL;
  g_autoptr (MooshMachine) fresh = NULL;

  if (known != NULL && known->state != MOOSH_MACHINE_RELEASED)
    {
      if (same_reservation (known, pool_id, units, request_hash))
        return g_steal_pointer (&known);
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_CONFLICT,
                   "agreement %s: reserved already, with other terms", agreement);
      return NULL;
    }
  pool = moosh_journal_pool (host->store, pool_id, error);
  fresh = g_new0 (MooshMachine, 1);
  fresh->agreement = g_strdup (agreement);
  fresh->pool = g_strdup (pool_id);
  fresh->units = *units;
  fresh->request_hash = g_bytes_ref (request_hash);
  fresh->reserved_s = g_get_real_time () / G_USEC_PER_SEC;
  if (pool == NULL || !moosh_pool_reserve (pool, units, &fresh->cores, error)
      || !moosh_journal_reserve (host->store, fresh, error))
    return NULL;
  return moosh_journal_machine_by_id (host->store, fresh->id, error);
}

MooshMachine *
moosh_host_reserve (MooshHost *host, const char *agreement, const char *pool,
                    const MooshMachineUnits *units, GBytes *request_hash, GError **error)
{
  MooshMachine *m;

  if (!moosh_agreement_check (agreement, error))
    return NULL;
  g_mutex_lock (&host->inventory);
  m = reserve (host, agreement, pool, units, request_hash, error);
  g_mutex_unlock (&host->inventory);
  return m;
}

static gboolean
check_request (MooshHost *host, const MooshMachine *m, GBytes *bytes, gboolean *ret_internet,
               GError **error)
{
  guint8 hash[32];
  g_autoptr (MooshRequest) request = NULL;
  guint64 gib = 0;

  moosh_request_hash (bytes, hash);
  if (g_bytes_get_size (m->request_hash) != sizeof hash
      || memcmp (g_bytes_get_data (m->request_hash, NULL), hash, sizeof hash) != 0)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_REFUSED,
                   "agreement %s: the request is not the one that was agreed: its hash differs",
                   m->agreement);
      return FALSE;
    }
  request = moosh_request_decode (g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes),
                                  host->config.allow_file_urls, error);
  if (request == NULL)
    return FALSE;
  for (guint i = 0; i < request->volumes->len; i++)
    gib += g_array_index (request->volumes, MooshVolume, i).gib;
  if (gib > m->units.disk_gib)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_REFUSED,
                   "agreement %s: the request's volumes take %" G_GUINT64_FORMAT
                   " GiB, %u were rented",
                   m->agreement, gib, m->units.disk_gib);
      return FALSE;
    }
  *ret_internet = request->internet;
  return TRUE;
}

/* The tenant reads in the machine's log why nothing came of it. */
static void
say_refused (MooshHost *host, const MooshMachine *m, const char *why)
{
  g_autofree char *log = moosh_host_log_path (host, m), *dir = g_path_get_dirname (log);

  if (g_mkdir_with_parents (dir, 0700) == 0)
    moosh_host_say (host, m, "refused: %s", why);
}

MooshMachine *
moosh_host_provision (MooshHost *host, const char *agreement, GBytes *request, gboolean internet,
                      const char *policy, GError **error)
{
  g_autoptr (MooshMachine) m = NULL;
  g_autoptr (GError) refused = NULL;
  gboolean wants_internet = FALSE, ok = FALSE;

  g_mutex_lock (&host->inventory);
  m = moosh_journal_machine (host->store, agreement, error);
  if (m == NULL)
    ok = FALSE;
  else if (!check_request (host, m, request, &wants_internet, &refused))
    {
      say_refused (host, m, refused->message);
      g_propagate_error (error, g_steal_pointer (&refused));
    }
  else if (m->want != MOOSH_WANT_NOTHING && m->want != MOOSH_WANT_GONE)
    ok = TRUE; /* its hash fits: this very request was accepted before */
  else if (m->want == MOOSH_WANT_GONE)
    g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_CONFLICT, "agreement %s: it has ended", agreement);
  else
    {
      m->want = MOOSH_WANT_RUN;
      m->request = g_bytes_ref (request);
      m->policy = g_strdup (policy);
      m->internet = internet && wants_internet;
      ok = moosh_journal_want (host->store, m, error);
    }
  g_mutex_unlock (&host->inventory);
  if (!ok)
    return NULL;
  moosh_host_kick (host, m->id, FALSE);
  return g_steal_pointer (&m);
}

/* What an action makes wanted; FALSE with `error`: not from where the machine is. */
static gboolean
apply (MooshMachine *m, MooshHostAction action, gint64 retain_until_s, GError **error)
{
  const char *problem = NULL;

  if (m->want == MOOSH_WANT_GONE && action != MOOSH_HOST_DESTROY && action != MOOSH_HOST_RELEASE)
    problem = "it has ended";
  else if (m->want == MOOSH_WANT_NOTHING && action != MOOSH_HOST_DESTROY
           && action != MOOSH_HOST_RELEASE)
    problem = "it is reserved only: provision it first";
  else if (action == MOOSH_HOST_RELEASE && m->want == MOOSH_WANT_GONE && m->retain_until_s >= 0)
    problem = "it has ended, there is nothing to release";
  else if (action == MOOSH_HOST_PAUSE && m->want == MOOSH_WANT_STOP)
    problem = "it is powered off";
  if (problem != NULL)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_CONFLICT, "agreement %s: %s", m->agreement,
                   problem);
      return FALSE;
    }
  switch (action)
    {
    case MOOSH_HOST_RELEASE:
      m->want = MOOSH_WANT_GONE;
      m->retain_until_s = -1;
      break;
    case MOOSH_HOST_PAUSE:
      m->want = MOOSH_WANT_PAUSE;
      break;
    case MOOSH_HOST_RESUME:
      m->want = MOOSH_WANT_RUN;
      break;
    case MOOSH_HOST_REBOOT:
      m->want = MOOSH_WANT_RUN;
      m->reboots_wanted++;
      break;
    case MOOSH_HOST_POWEROFF:
      m->want = MOOSH_WANT_STOP;
      break;
    case MOOSH_HOST_DESTROY:
      if (m->want != MOOSH_WANT_GONE
          || m->retain_until_s >= 0) /* a release destroys at once: not to be slowed down */
        m->retain_until_s = MAX (retain_until_s, 0);
      m->want = MOOSH_WANT_GONE;
      break;
    }
  return TRUE;
}

MooshMachine *
moosh_host_act (MooshHost *host, const char *agreement, MooshHostAction action,
                gint64 retain_until_s, GError **error)
{
  g_autoptr (MooshMachine) m = NULL;
  gboolean ok, interrupt;

  g_mutex_lock (&host->inventory);
  m = moosh_journal_machine (host->store, agreement, error);
  ok = m != NULL
       && (moosh_machine_state_final (m->state)
           || (apply (m, action, retain_until_s, error)
               && moosh_journal_want (host->store, m, error)));
  g_mutex_unlock (&host->inventory);
  if (!ok)
    return NULL;
  interrupt = m->want == MOOSH_WANT_GONE || m->want == MOOSH_WANT_STOP;
  if (!moosh_machine_state_final (m->state))
    moosh_host_kick (host, m->id, interrupt);
  return g_steal_pointer (&m);
}

MooshMachine *
moosh_host_wait (MooshHost *host, const char *agreement, const char *state, guint timeout_ms,
                 GError **error)
{
  gint64 deadline_us = g_get_monotonic_time () + (gint64)timeout_ms * 1000;

  for (;;)
    {
      g_autoptr (MooshMachine) m = NULL;
      gboolean in_time;

      /* looked at under the lock that a change of state takes before it signals */
      g_mutex_lock (&host->lock);
      m = moosh_journal_machine (host->store, agreement, error);
      if (m != NULL)
        moosh_host_show (host, m);
      if (m == NULL || strcmp (moosh_machine_state_name (m->state), state) != 0 || host->stopping)
        {
          g_mutex_unlock (&host->lock);
          return g_steal_pointer (&m);
        }
      in_time = g_cond_wait_until (&host->changed, &host->lock, deadline_us);
      g_mutex_unlock (&host->lock);
      if (!in_time)
        return g_steal_pointer (&m);
    }
}
