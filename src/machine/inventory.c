#include "machine/inventory.h"
#include <string.h>

/* The resources of a unit vector, so that sums and comparisons are loops. */
static const struct {
  gsize offset;
  const char *name;
} resources[] = {
  { G_STRUCT_OFFSET (MooshMachineUnits, vcpu_milli), "vCPU" },
  { G_STRUCT_OFFSET (MooshMachineUnits, ram_mib), "memory" },
  { G_STRUCT_OFFSET (MooshMachineUnits, disk_gib), "disk" },
  { G_STRUCT_OFFSET (MooshMachineUnits, gpu), "GPU" },
  { G_STRUCT_OFFSET (MooshMachineUnits, ipv4), "IPv4" },
};

static guint32
unit (const MooshMachineUnits *units, guint i)
{
  return G_STRUCT_MEMBER (guint32, units, resources[i].offset);
}

static void
set_unit (MooshMachineUnits *units, guint i, guint32 amount)
{
  G_STRUCT_MEMBER (guint32, units, resources[i].offset) = amount;
}

gboolean
moosh_cores_has (const MooshCores *cores, guint core)
{
  return core < MOOSH_CORES_MAX && (cores->bits[core / 64] >> (core % 64) & 1) != 0;
}

void
moosh_cores_add (MooshCores *cores, guint core)
{
  g_return_if_fail (core < MOOSH_CORES_MAX);
  cores->bits[core / 64] |= (guint64)1 << (core % 64);
}

guint
moosh_cores_count (const MooshCores *cores)
{
  guint count = 0;

  for (guint i = 0; i < G_N_ELEMENTS (cores->bits); i++)
    count += (guint)__builtin_popcountll (cores->bits[i]);
  return count;
}

void
moosh_cores_join (MooshCores *cores, const MooshCores *more)
{
  for (guint i = 0; i < G_N_ELEMENTS (cores->bits); i++)
    cores->bits[i] |= more->bits[i];
}

void
moosh_cores_drop (MooshCores *cores, const MooshCores *less)
{
  for (guint i = 0; i < G_N_ELEMENTS (cores->bits); i++)
    cores->bits[i] &= ~less->bits[i];
}

char *
moosh_cores_print (const MooshCores *cores)
{
  GString *text = g_string_new (NULL);

  for (guint core = 0; core < MOOSH_CORES_MAX; core++)
    if (moosh_cores_has (cores, core))
      g_string_append_printf (text, "%s%u", text->len > 0 ? "," : "", core);
  return g_string_free (text, FALSE);
}

gboolean
moosh_cores_parse (const char *text, MooshCores *ret)
{
  MooshCores cores = { { 0 } };
  g_autofree char *again = NULL;
  g_auto (GStrv) parts = g_strsplit (text, ",", -1);

  for (char **part = parts; *part != NULL; part++)
    {
      guint64 core;
      if (!g_ascii_string_to_unsigned (*part, 10, 0, MOOSH_CORES_MAX - 1, &core, NULL))
        return FALSE;
      moosh_cores_add (&cores, (guint)core);
    }
  again = moosh_cores_print (&cores);
  if (strcmp (again, text) != 0)
    return FALSE;
  *ret = cores;
  return TRUE;
}

gboolean
moosh_pool_check (const MooshPool *pool, GError **error)
{
  const char *problem = NULL;

  if (pool->class != MOOSH_POOL_DEDICATED && pool->class != MOOSH_POOL_SHARED)
    problem = "the class is 0 (dedicated) or 1 (shared)";
  else if (pool->overcommit_pct < 100 || pool->overcommit_pct > MOOSH_OVERCOMMIT_PCT_MAX)
    problem = "the overcommit ratio is 100 to 1600 percent";
  else if (pool->class == MOOSH_POOL_DEDICATED && pool->overcommit_pct != 100)
    problem = "a dedicated pool cannot be overcommitted";
  else if (pool->class == MOOSH_POOL_DEDICATED && pool->capacity.vcpu_milli % 1000 != 0)
    problem = "a dedicated pool sells whole cores: its vCPU capacity is a multiple of 1000";
  if (problem == NULL)
    return TRUE;
  g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE, "pool %.16s: %s", pool->id, problem);
  return FALSE;
}

MooshMachineUnits
moosh_pool_sellable (const MooshPool *pool)
{
  MooshMachineUnits sellable = pool->capacity;
  guint64 vcpu_milli = (guint64)pool->capacity.vcpu_milli * pool->overcommit_pct / 100;

  sellable.vcpu_milli = (guint32)MIN (vcpu_milli, G_MAXUINT32);
  return sellable;
}

MooshMachineUnits
moosh_pool_free (const MooshPool *pool)
{
  MooshMachineUnits sellable = moosh_pool_sellable (pool), left = { 0, 0, 0, 0, 0 };

  for (guint i = 0; i < G_N_ELEMENTS (resources); i++)
    if (unit (&sellable, i) > unit (&pool->reserved, i))
      set_unit (&left, i, unit (&sellable, i) - unit (&pool->reserved, i));
  return left;
}

static gboolean
check_units (const MooshPool *pool, const MooshMachineUnits *units, GError **error)
{
  const char *problem = NULL;

  if (units->vcpu_milli == 0 || units->ram_mib == 0 || units->disk_gib == 0)
    problem = "a machine needs vCPU, memory and disk";
  else if (pool->class == MOOSH_POOL_DEDICATED && units->vcpu_milli % 1000 != 0)
    problem = "a dedicated pool sells whole cores: vCPU is a multiple of 1000";
  if (problem == NULL)
    return TRUE;
  g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE, "pool %.16s: %s", pool->id, problem);
  return FALSE;
}

static void
set_sold_out (const MooshPool *pool, const char *resource, guint32 asked, guint32 left,
              GError **error)
{
  g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_CONFLICT,
               "pool %.16s is sold out: %s asked %u, left %u", pool->id, resource, asked, left);
}

gboolean
moosh_pool_reserve (MooshPool *pool, const MooshMachineUnits *units, MooshCores *ret_cores,
                    GError **error)
{
  MooshMachineUnits left = moosh_pool_free (pool);
  MooshCores idle = pool->cores, taken = { { 0 } };
  guint wanted = pool->class == MOOSH_POOL_DEDICATED ? units->vcpu_milli / 1000 : 0;

  if (!check_units (pool, units, error))
    return FALSE;
  for (guint i = 0; i < G_N_ELEMENTS (resources); i++)
    if (unit (units, i) > unit (&left, i))
      {
        set_sold_out (pool, resources[i].name, unit (units, i), unit (&left, i), error);
        return FALSE;
      }
  moosh_cores_drop (&idle, &pool->busy);
  for (guint core = 0; core < MOOSH_CORES_MAX && moosh_cores_count (&taken) < wanted; core++)
    if (moosh_cores_has (&idle, core))
      moosh_cores_add (&taken, core);
  if (moosh_cores_count (&taken) < wanted)
    {
      set_sold_out (pool, "cores", wanted, moosh_cores_count (&idle), error);
      return FALSE;
    }
  for (guint i = 0; i < G_N_ELEMENTS (resources); i++)
    set_unit (&pool->reserved, i, unit (&pool->reserved, i) + unit (units, i));
  moosh_cores_join (&pool->busy, &taken);
  *ret_cores = taken;
  return TRUE;
}

/* Add cores of `from` (NULL: of all) that `others` does not own, until `cores` has `wanted`. */
static void
fill_cores (MooshCores *cores, guint wanted, const MooshCores *from, const MooshCores *others,
            guint n_cores)
{
  for (guint core = 0; core < MIN (n_cores, MOOSH_CORES_MAX) && moosh_cores_count (cores) < wanted;
       core++)
    if (!moosh_cores_has (others, core) && (from == NULL || moosh_cores_has (from, core)))
      moosh_cores_add (cores, core);
}

gboolean
moosh_pool_choose_cores (MooshPool *pool, const MooshCores *others, guint n_cores, GError **error)
{
  guint wanted = pool->class == MOOSH_POOL_DEDICATED ? pool->capacity.vcpu_milli / 1000 : 0;
  MooshCores chosen
      = pool->busy; /* a running machine keeps its cores, whatever the capacity says now */

  fill_cores (&chosen, wanted, &pool->cores, others, n_cores);
  fill_cores (&chosen, wanted, NULL, others, n_cores);
  if (moosh_cores_count (&chosen) < wanted)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_LIMIT,
                   "pool %.16s: %u dedicated cores asked, the host has %u that no other pool owns",
                   pool->id, wanted, moosh_cores_count (&chosen));
      return FALSE;
    }
  pool->cores = chosen;
  return TRUE;
}
