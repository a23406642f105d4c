#include "market/book.h"
#include "market/book_private.h"
#include <string.h>

/* book_index is what a listing scans: narrow rows in order of price. book_offers holds the rest of
 * an offer, the last three tables what the chain has said, known offer or not. Addresses are
 * numbered (book_parties) to keep the index narrow; 0 is nobody. */
const char moosh_book_schema[]
    = "CREATE TABLE book_parties (id INTEGER PRIMARY KEY, address BLOB NOT NULL UNIQUE);"
      "CREATE TABLE book_offers (id INTEGER PRIMARY KEY, hash BLOB NOT NULL UNIQUE, maker BLOB NOT "
      "NULL,"
      " provider BLOB NOT NULL, pool BLOB, nonce INTEGER NOT NULL, volume INTEGER NOT NULL, expiry "
      "INTEGER NOT NULL,"
      " side INTEGER NOT NULL, rate BLOB NOT NULL, source BLOB, seen_s INTEGER NOT NULL, wire BLOB "
      "NOT NULL);"
      "CREATE INDEX book_offers_maker ON book_offers (maker);"
      "CREATE INDEX book_offers_pool ON book_offers (provider, pool);"
      "CREATE INDEX book_offers_source ON book_offers (source, seen_s);"
      "CREATE INDEX book_offers_expiry ON book_offers (expiry);"
      "CREATE TABLE book_index (side INTEGER NOT NULL, rate BLOB NOT NULL, id INTEGER NOT NULL,"
      " status INTEGER NOT NULL, available INTEGER NOT NULL, vcpu INTEGER NOT NULL, ram INTEGER "
      "NOT NULL,"
      " disk INTEGER NOT NULL, gpu INTEGER NOT NULL, ipv4 INTEGER NOT NULL, kind INTEGER NOT NULL,"
      " class INTEGER NOT NULL, min_term INTEGER NOT NULL, max_term INTEGER NOT NULL, expiry "
      "INTEGER NOT NULL,"
      " provider INTEGER NOT NULL, token INTEGER NOT NULL, taker INTEGER NOT NULL, chain_id "
      "INTEGER NOT NULL,"
      " PRIMARY KEY (side, rate, id)) WITHOUT ROWID;"
      "CREATE TABLE book_fills (n INTEGER PRIMARY KEY, maker BLOB NOT NULL, hash BLOB NOT NULL,"
      " filled INTEGER NOT NULL, cancelled INTEGER NOT NULL, UNIQUE (maker, hash));"
      "CREATE TABLE book_nonces (n INTEGER PRIMARY KEY, maker BLOB NOT NULL UNIQUE, nonce INTEGER "
      "NOT NULL);"
      "CREATE TABLE book_pools (n INTEGER PRIMARY KEY, provider BLOB NOT NULL, pool BLOB NOT NULL,"
      " vcpu INTEGER NOT NULL, ram INTEGER NOT NULL, disk INTEGER NOT NULL, gpu INTEGER NOT NULL,"
      " ipv4 INTEGER NOT NULL, UNIQUE (provider, pool));"
      "CREATE TABLE book_size (offers INTEGER NOT NULL); INSERT INTO book_size VALUES (0);"
      "CREATE TRIGGER book_in AFTER INSERT ON book_offers BEGIN"
      " UPDATE book_size SET offers = offers + 1; END;"
      "CREATE TRIGGER book_out AFTER DELETE ON book_offers BEGIN"
      " DELETE FROM book_index WHERE side = OLD.side AND rate = OLD.rate AND id = OLD.id;"
      " UPDATE book_size SET offers = offers - 1; END;";

/* The chain's facts about offers we do not know cost their author gas, not us disk: the oldest go.
 * Whoever takes an offer asks the chain anyway. */
enum { FACTS_MAX = 500000 };

static GBytes *
bytes (const uint8_t *at, gsize len)
{
  return g_bytes_new (at, len);
}

/* Zero bytes are "none": NULL. */
static GBytes *
bytes_or_none (const uint8_t *at, gsize len)
{
  for (gsize i = 0; i < len; i++)
    if (at[i] != 0)
      return bytes (at, len);
  return NULL;
}

gint64
moosh_book_party (MooshStore *store, const uint8_t address[20], gboolean make, GError **error)
{
  g_autoptr (GBytes) party = bytes_or_none (address, 20);
  if (party == NULL)
    return 0;
  gint64 id
      = moosh_store_int (store, -1, "SELECT id FROM book_parties WHERE address = ?", "b", party);
  if (id >= 0 || !make)
    return id;
  if (!moosh_store_run (store, error, "INSERT INTO book_parties (address) VALUES (?)", "b", party))
    return -1;
  return moosh_store_last_id (store);
}

/* An offer as the facts see it. */
typedef struct {
  gint64 id;
  gint64 volume, filled;
  gboolean cancelled;
  gboolean pooled;
  gint64 have[5], need[5];
  MooshBookStatus status;
  gint64 available;
} Facts;

static void
judge (Facts *f)
{
  gint64 left = f->filled < f->volume ? f->volume - f->filled : 0;
  f->status = f->cancelled ? MOOSH_BOOK_CANCELLED
              : left == 0  ? MOOSH_BOOK_SOLD_OUT
                           : MOOSH_BOOK_LIVE;
  f->available = f->cancelled ? 0 : left;
  for (int i = 0; f->pooled && i < 5; i++)
    if (f->need[i] > 0 && f->have[i] / f->need[i] < f->available)
      f->available = f->have[i] / f->need[i];
  if (f->status == MOOSH_BOOK_LIVE && f->available == 0)
    f->status = MOOSH_BOOK_POOL_EMPTY;
}

#define FACTS_SQL                                                                                  \
  "SELECT o.id, o.volume, ifnull(f.filled, 0),"                                                    \
  " ifnull(f.cancelled, 0) OR ifnull(n.nonce != o.nonce, 0), p.n IS NOT NULL,"                     \
  " p.vcpu, p.ram, p.disk, p.gpu, p.ipv4, i.vcpu, i.ram, i.disk, i.gpu, i.ipv4,"                   \
  " i.status, i.available"                                                                         \
  " FROM book_offers o"                                                                            \
  " JOIN book_index i ON i.side = o.side AND i.rate = o.rate AND i.id = o.id"                      \
  " LEFT JOIN book_fills f ON f.maker = o.maker AND f.hash = o.hash"                               \
  " LEFT JOIN book_nonces n ON n.maker = o.maker"                                                  \
  " LEFT JOIN book_pools p ON p.provider = o.provider AND p.pool = o.pool WHERE "

/* Look again at the offers that `where` (with its one or two blobs) selects. */
static gboolean
refresh (MooshStore *store, const char *where, GBytes *a, GBytes *b, GError **error)
{
  g_autofree char *sql = g_strconcat (FACTS_SQL, where, NULL);
  g_autoptr (GArray) all = g_array_new (FALSE, TRUE, sizeof (Facts));
  g_autoptr (GError) trouble = NULL;
  MooshQuery *query = moosh_store_query (store, error, sql, b != NULL ? "bb" : "b", a, b);
  if (query == NULL)
    return FALSE;
  while (moosh_query_next (query, &trouble))
    {
      Facts f = { .id = moosh_query_int (query, 0),
                  .volume = moosh_query_int (query, 1),
                  .filled = moosh_query_int (query, 2),
                  .cancelled = moosh_query_int (query, 3) != 0,
                  .pooled = moosh_query_int (query, 4) != 0 };
      for (int i = 0; i < 5; i++)
        {
          f.have[i] = moosh_query_int (query, 5 + i);
          f.need[i] = moosh_query_int (query, 10 + i);
        }
      judge (&f);
      if ((gint64)f.status != moosh_query_int (query, 15)
          || f.available != moosh_query_int (query, 16))
        g_array_append_val (all, f);
    }
  moosh_query_free (query);
  if (trouble != NULL)
    {
      g_propagate_error (error, g_steal_pointer (&trouble));
      return FALSE;
    }
  for (guint i = 0; i < all->len; i++)
    {
      const Facts *f = &g_array_index (all, Facts, i);
      if (!moosh_store_run (
              store, error,
              "UPDATE book_index SET status = ?, available = ? WHERE (side, rate, id) ="
              " (SELECT side, rate, id FROM book_offers WHERE id = ?)",
              "iii", (gint64)f->status, f->available, f->id))
        return FALSE;
    }
  return TRUE;
}

/* Run `done` as one transaction: TRUE commits, FALSE rolls back. */
static gboolean
finish (MooshStore *store, gboolean done, GError **error)
{
  if (done)
    return moosh_store_commit (store, error);
  moosh_store_rollback (store);
  return FALSE;
}

static gboolean
check (MooshStore *store, const MooshOffer *offer, int64_t now_s, GError **error)
{
  MooshOfferFault fault = moosh_offer_check (offer, (uint64_t)now_s);
  if (fault != MOOSH_OFFER_OK)
    {
      g_set_error (error, MOOSH_ERROR,
                   fault == MOOSH_OFFER_EXPIRED ? MOOSH_ERROR_EXPIRED : MOOSH_ERROR_USAGE,
                   "offer refused: %s", moosh_offer_fault_text (fault));
      return FALSE;
    }
  g_autoptr (GBytes) maker = bytes (offer->maker, 20);
  gint64 of_maker
      = moosh_store_int (store, 0, "SELECT count(*) FROM book_offers WHERE maker = ?", "b", maker);
  gint64 all = moosh_store_int (store, 0, "SELECT offers FROM book_size", "");
  if (of_maker >= MOOSH_BOOK_PER_MAKER || all >= MOOSH_BOOK_MAX)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_LIMIT, "offer refused: %s",
                   all >= MOOSH_BOOK_MAX ? "the order book is full"
                                         : "its maker has too many offers in the order book");
      return FALSE;
    }
  return TRUE;
}

/* "For ever" is more than SQLite's integers hold. */
static gint64
expiry_of (const MooshOffer *offer)
{
  return offer->expiry > G_MAXINT64 ? G_MAXINT64 : (gint64)offer->expiry;
}

static gboolean
insert_index (MooshStore *store, gint64 id, const MooshOffer *o, const uint8_t provider[20],
              const MooshOfferDomain *domain, GBytes *rate, GError **error)
{
  gint64 provider_id = moosh_book_party (store, provider, TRUE, error);
  gint64 token_id = provider_id < 0 ? -1 : moosh_book_party (store, o->token, TRUE, error);
  gint64 taker_id = token_id < 0 ? -1 : moosh_book_party (store, o->allowed_taker, TRUE, error);
  if (taker_id < 0)
    return FALSE;
  return moosh_store_run (
      store, error, "INSERT INTO book_index VALUES (?,?,?,?,?, ?,?,?,?,?, ?,?,?,?,?, ?,?,?,?)",
      "ibiii"
      "iiiii"
      "iiiii"
      "iiii",
      (gint64)o->side, rate, id, (gint64)MOOSH_BOOK_LIVE, (gint64)o->volume,
      (gint64)o->units.vcpu_milli, (gint64)o->units.ram_mib, (gint64)o->units.disk_gib,
      (gint64)o->units.gpu, (gint64)o->units.ipv4, (gint64)o->kind, (gint64)o->class,
      (gint64)o->min_term_s, (gint64)o->max_term_s, expiry_of (o), provider_id, token_id, taker_id,
      (gint64)domain->chain_id);
}

GBytes *
moosh_book_rate (const MooshU256 *rate_x)
{
  uint8_t word[32];
  moosh_u256_to_be (rate_x, word);
  return bytes (word + 32 - MOOSH_BOOK_RATE_LEN, MOOSH_BOOK_RATE_LEN);
}

static gboolean
insert (MooshStore *store, const MooshSignedOffer *so, GBytes *hash, const uint8_t provider[20],
        GBytes *source, int64_t now_s, GError **error)
{
  const MooshOffer *o = &so->offer;
  uint8_t wire[MOOSH_OFFER_WIRE_MAX];
  size_t len = 0;
  int r = moosh_signed_offer_encode (so, wire, sizeof wire, &len);
  if (r < 0)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE, "offer refused: %s", moosh_strerror (r));
      return FALSE;
    }
  g_autoptr (GBytes) rate = moosh_book_rate (&o->rate_x), maker = bytes (o->maker, 20);
  g_autoptr (GBytes) provider_bytes = bytes (provider, 20), pool = bytes_or_none (o->pool, 32);
  g_autoptr (GBytes) wire_bytes = bytes (wire, len);
  if (!moosh_store_run (
          store, error,
          "INSERT INTO book_offers (hash, maker, provider, pool, nonce, volume, expiry,"
          " side, rate, source, seen_s, wire) VALUES (?,?,?,?,?,?,?,?,?,?,?,?)",
          "bbbbiiiibbib", hash, maker, provider_bytes, pool, (gint64)o->nonce, (gint64)o->volume,
          expiry_of (o), (gint64)o->side, rate, source, (gint64)now_s, wire_bytes))
    return FALSE;
  return insert_index (store, moosh_store_last_id (store), o, provider, &so->domain, rate, error)
         && refresh (store, "o.hash = ?", hash, NULL, error);
}

gboolean
moosh_book_add (MooshStore *store, const MooshSignedOffer *signed_offer, const uint8_t provider[20],
                const uint8_t *source, int64_t now_s, gboolean *ret_new, GError **error)
{
  uint8_t hash_at[32];
  moosh_offer_hash (&signed_offer->offer, hash_at);
  g_autoptr (GBytes) hash = bytes (hash_at, 32), from = source != NULL ? bytes (source, 33) : NULL;
  gboolean known
      = moosh_store_int (store, 0, "SELECT 1 FROM book_offers WHERE hash = ?", "b", hash) == 1;
  gboolean done;
  /* Refused before the transaction begins: the caller's own one, if there is one, is not spoilt. */
  if (!known && !check (store, &signed_offer->offer, now_s, error))
    return FALSE;
  if (!moosh_store_begin (store, error))
    return FALSE;
  if (known)
    done = moosh_store_run (
        store, error,
        "UPDATE book_offers SET seen_s = max(seen_s, ?), source = ifnull(?, source) WHERE hash = ?",
        "ibb", (gint64)now_s, from, hash);
  else
    done = insert (store, signed_offer, hash, provider, from, now_s, error);
  if (!finish (store, done, error))
    return FALSE;
  if (ret_new != NULL)
    *ret_new = !known;
  return TRUE;
}

gint64
moosh_book_expire (MooshStore *store, int64_t now_s, GError **error)
{
  static const char *const trims[]
      = { "DELETE FROM book_fills WHERE n <= (SELECT max(n) FROM book_fills) - ?",
          "DELETE FROM book_nonces WHERE n <= (SELECT max(n) FROM book_nonces) - ?",
          "DELETE FROM book_pools WHERE n <= (SELECT max(n) FROM book_pools) - ?" };
  if (!moosh_store_run (store, error, "DELETE FROM book_offers WHERE expiry <= ?", "i",
                        (gint64)now_s))
    return -1;
  gint64 gone = moosh_store_changes (store);
  for (guint i = 0; i < G_N_ELEMENTS (trims); i++)
    if (!moosh_store_run (store, error, trims[i], "i", (gint64)FACTS_MAX))
      return -1;
  return gone;
}

gboolean
moosh_book_forget (MooshStore *store, const uint8_t source[33], int64_t before_s, GError **error)
{
  g_autoptr (GBytes) from = bytes (source, 33);
  return moosh_store_run (store, error, "DELETE FROM book_offers WHERE source = ? AND seen_s < ?",
                          "bi", from, (gint64)before_s);
}

gboolean
moosh_book_set_filled (MooshStore *store, const uint8_t maker[20], const uint8_t hash[32],
                       uint32_t filled, gboolean cancelled, GError **error)
{
  g_autoptr (GBytes) who = bytes (maker, 20), what = bytes (hash, 32);
  if (!moosh_store_begin (store, error))
    return FALSE;
  gboolean done
      = moosh_store_run (store, error,
                         "INSERT OR REPLACE INTO book_fills (maker, hash, filled, cancelled)"
                         " VALUES (?,?,?,?)",
                         "bbii", who, what, (gint64)filled, (gint64)(cancelled != FALSE))
        && refresh (store, "o.maker = ? AND o.hash = ?", who, what, error);
  return finish (store, done, error);
}

gboolean
moosh_book_set_nonce (MooshStore *store, const uint8_t maker[20], uint64_t nonce, GError **error)
{
  g_autoptr (GBytes) who = bytes (maker, 20);
  if (!moosh_store_begin (store, error))
    return FALSE;
  gboolean done = moosh_store_run (store, error,
                                   "INSERT OR REPLACE INTO book_nonces (maker, nonce) VALUES (?,?)",
                                   "bi", who, (gint64)nonce)
                  && refresh (store, "o.maker = ?", who, NULL, error);
  return finish (store, done, error);
}

gboolean
moosh_book_set_pool (MooshStore *store, const uint8_t provider[20], const uint8_t pool[32],
                     const MooshUnits *remaining, GError **error)
{
  g_autoptr (GBytes) who = bytes (provider, 20), what = bytes (pool, 32);
  if (!moosh_store_begin (store, error))
    return FALSE;
  gboolean done
      = moosh_store_run (
            store, error,
            "INSERT OR REPLACE INTO book_pools (provider, pool, vcpu, ram, disk, gpu, ipv4)"
            " VALUES (?,?,?,?,?,?,?)",
            "bbiiiii", who, what, (gint64)remaining->vcpu_milli, (gint64)remaining->ram_mib,
            (gint64)remaining->disk_gib, (gint64)remaining->gpu, (gint64)remaining->ipv4)
        && refresh (store, "o.provider = ? AND o.pool = ?", who, what, error);
  return finish (store, done, error);
}
