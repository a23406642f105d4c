/** Counting what strangers take: connections by source, requests by time. Private to this room and
 * its tests. */
#pragma once
#include <glib.h>
#include <sys/socket.h>

/** Where a connection comes from, as far as limits go: an IPv4 address, or the /64 of an IPv6 one.
 */
typedef struct {
  guint8 bytes[9]; /* 4 or 6, then the address's 4 or 8 bytes */
} MooshSource;

void moosh_source_of (const struct sockaddr *address, MooshSource *ret);

/** How many connections each source has, and all of them together. Not thread-safe: its owner
 * locks. */
typedef struct {
  GHashTable *by_source;
  guint total;
} MooshTally;

void moosh_tally_init (MooshTally *tally);
void moosh_tally_clear (MooshTally *tally);
/** Count one more, unless there are `max` already, or `max_per_source` from there: then FALSE. */
gboolean moosh_tally_take (MooshTally *tally, const MooshSource *source, guint max,
                           guint max_per_source);
/** Give back one that was taken. */
void moosh_tally_give (MooshTally *tally, const MooshSource *source);

/** A token bucket: `burst` at once, `per_minute` in the long run. */
typedef struct {
  gint64 last_us;
  double tokens;
} MooshBucket;

typedef enum { MOOSH_BUCKET_OK, MOOSH_BUCKET_OVER, MOOSH_BUCKET_FLOOD } MooshBucketVerdict;

/** Take a token at `now_us`. OVER: there was none; FLOOD: as many again as `burst` were asked for
 * since there was one. A zeroed bucket is full. */
MooshBucketVerdict moosh_bucket_take (MooshBucket *bucket, gint64 now_us, guint burst,
                                      guint per_minute);
