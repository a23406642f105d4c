#include "peer/quota.h"
#include <netinet/in.h>
#include <string.h>

void
moosh_source_of (const struct sockaddr *address, MooshSource *ret)
{
  *ret = (MooshSource){ .bytes = { 0 } };
  if (address->sa_family == AF_INET)
    {
      ret->bytes[0] = 4;
      memcpy (ret->bytes + 1, &((const struct sockaddr_in *)(const void *)address)->sin_addr, 4);
    }
  else if (address->sa_family == AF_INET6)
    {
      const struct in6_addr *v6 = &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
      gboolean mapped = IN6_IS_ADDR_V4MAPPED (v6);
      ret->bytes[0] = mapped ? 4 : 6;
      memcpy (ret->bytes + 1, v6->s6_addr + (mapped ? 12 : 0), mapped ? 4 : 8);
    }
}

static guint
source_hash (gconstpointer key)
{
  const MooshSource *source = key;
  guint hash = 5381;
  for (gsize i = 0; i < sizeof source->bytes; i++)
    hash = hash * 33 + source->bytes[i];
  return hash;
}

static gboolean
source_equal (gconstpointer a, gconstpointer b)
{
  return memcmp (a, b, sizeof (MooshSource)) == 0;
}

void
moosh_tally_init (MooshTally *tally)
{
  *tally = (MooshTally){ .by_source
                         = g_hash_table_new_full (source_hash, source_equal, g_free, NULL) };
}

void
moosh_tally_clear (MooshTally *tally)
{
  g_clear_pointer (&tally->by_source, g_hash_table_unref);
}

gboolean
moosh_tally_take (MooshTally *tally, const MooshSource *source, guint max, guint max_per_source)
{
  guint here = GPOINTER_TO_UINT (g_hash_table_lookup (tally->by_source, source));
  if (tally->total >= max || here >= max_per_source)
    return FALSE;
  g_hash_table_replace (tally->by_source, g_memdup2 (source, sizeof *source),
                        GUINT_TO_POINTER (here + 1));
  tally->total++;
  return TRUE;
}

void
moosh_tally_give (MooshTally *tally, const MooshSource *source)
{
  guint here = GPOINTER_TO_UINT (g_hash_table_lookup (tally->by_source, source));
  g_return_if_fail (here > 0);
  if (here == 1)
    g_hash_table_remove (tally->by_source, source);
  else
    g_hash_table_replace (tally->by_source, g_memdup2 (source, sizeof *source),
                          GUINT_TO_POINTER (here - 1));
  tally->total--;
}

MooshBucketVerdict
moosh_bucket_take (MooshBucket *bucket, gint64 now_us, guint burst, guint per_minute)
{
  if (bucket->last_us == 0)
    bucket->tokens = burst;
  else
    bucket->tokens += (double)(now_us - bucket->last_us) * per_minute / 60e6;
  bucket->tokens = MIN (bucket->tokens, burst) - 1;
  bucket->last_us = now_us;
  if (bucket->tokens >= 0)
    return MOOSH_BUCKET_OK;
  return bucket->tokens >= -(double)burst ? MOOSH_BUCKET_OVER : MOOSH_BUCKET_FLOOD;
}
