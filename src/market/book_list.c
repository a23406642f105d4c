/* Listing: one scan of the narrow index, then the full rows of one page. */
#include "market/book.h"
#include "market/book_private.h"
#include <string.h>

const char *
moosh_book_status_text (MooshBookStatus status)
{
  switch (status)
    {
    case MOOSH_BOOK_LIVE:
      return "it can be taken";
    case MOOSH_BOOK_EXPIRED:
      return "the offer has expired";
    case MOOSH_BOOK_CANCELLED:
      return "its maker cancelled it";
    case MOOSH_BOOK_SOLD_OUT:
      return "all its units are sold";
    case MOOSH_BOOK_POOL_EMPTY:
      return "the provider's capacity is in use";
    case MOOSH_BOOK_PRIVATE:
      return "it is reserved for somebody else";
    }
  return "unknown";
}

static const char *const orders[][2] = {
  [MOOSH_BOOK_BY_PRICE] = { "i.rate ASC, i.id ASC", "i.rate DESC, i.id DESC" },
  [MOOSH_BOOK_BY_VCPU] = { "i.vcpu DESC, i.rate ASC", "i.vcpu ASC, i.rate ASC" },
  [MOOSH_BOOK_BY_RAM] = { "i.ram DESC, i.rate ASC", "i.ram ASC, i.rate ASC" },
  [MOOSH_BOOK_BY_DISK] = { "i.disk DESC, i.rate ASC", "i.disk ASC, i.rate ASC" },
  [MOOSH_BOOK_BY_EXPIRY] = { "i.expiry DESC, i.rate ASC", "i.expiry ASC, i.rate ASC" },
  [MOOSH_BOOK_BY_NEWEST] = { "i.id DESC", "i.id ASC" },
};

static void
at_least (GString *sql, const char *column, gint64 least)
{
  if (least > 0)
    g_string_append_printf (sql, " AND i.%s >= %" G_GINT64_FORMAT, column, least);
}

static void
append_party (GString *sql, MooshStore *store, const char *column, const uint8_t *address)
{
  if (address != NULL)
    g_string_append_printf (sql, " AND i.%s = %" G_GINT64_FORMAT, column,
                            moosh_book_party (store, address, FALSE, NULL));
}

/* The filter as SQL. Only numbers are written into it. SQLite tests in this order: what throws out
 * most comes first, and so do the columns that stand first in the row. */
static void
append_filter (GString *sql, MooshStore *store, const MooshBookFilter *f, int64_t now_s)
{
  g_string_append_printf (sql, " FROM book_index i WHERE i.side = %u", (unsigned)f->side);
  if (f->max_rate_x != NULL && moosh_u256_bit_length (f->max_rate_x) <= 8 * MOOSH_BOOK_RATE_LEN)
    {
      uint8_t word[32];
      char hex[65];
      moosh_u256_to_be (f->max_rate_x, word);
      moosh_hex_encode (word + 32 - MOOSH_BOOK_RATE_LEN, MOOSH_BOOK_RATE_LEN, hex);
      g_string_append_printf (sql, " AND i.rate <= X'%s'", hex);
    }
  at_least (sql, "ram", f->min.ram_mib);
  at_least (sql, "disk", f->min.disk_gib);
  at_least (sql, "vcpu", f->min.vcpu_milli);
  at_least (sql, "gpu", f->min.gpu);
  at_least (sql, "ipv4", f->min.ipv4);
  append_party (sql, store, "provider", f->provider);
  if (f->class_plus_1 > 0)
    g_string_append_printf (sql, " AND i.class = %d", f->class_plus_1 - 1);
  if (f->bound_s != NULL)
    g_string_append_printf (sql, " AND i.min_term <= %u", *f->bound_s);
  if (f->lasts_s > 0)
    g_string_append_printf (sql, " AND (i.max_term = 0 OR i.max_term >= %u)", f->lasts_s);
  if (f->kind_plus_1 > 0)
    g_string_append_printf (sql, " AND i.kind = %d", f->kind_plus_1 - 1);
  append_party (sql, store, "token", f->token);
  if (f->chain_id > 0)
    g_string_append_printf (sql, " AND i.chain_id = %" G_GINT64_FORMAT, (gint64)f->chain_id);
  if (f->any_status)
    return;
  g_string_append_printf (sql,
                          " AND i.status = 0 AND i.available >= %u AND i.expiry > %" G_GINT64_FORMAT
                          " AND i.taker IN (0, %" G_GINT64_FORMAT ")",
                          MAX (f->count, 1), (gint64)now_s,
                          f->taker != NULL ? moosh_book_party (store, f->taker, FALSE, NULL) : 0);
}

static void
copy_blob (MooshQuery *query, int column, uint8_t *to, gsize len)
{
  g_autoptr (GBytes) blob = moosh_query_blob (query, column);
  if (blob != NULL && g_bytes_get_size (blob) == len)
    memcpy (to, g_bytes_get_data (blob, NULL), len);
}

#define ENTRY_SQL                                                                                  \
  "SELECT o.id, o.hash, o.provider, o.source, ifnull(f.filled, 0), i.available, o.seen_s, "        \
  "i.status, o.wire"                                                                               \
  " FROM book_offers o"                                                                            \
  " JOIN book_index i ON i.side = o.side AND i.rate = o.rate AND i.id = o.id"                      \
  " LEFT JOIN book_fills f ON f.maker = o.maker AND f.hash = o.hash WHERE "

static gboolean
read_entry (MooshQuery *query, int64_t now_s, const uint8_t *taker, MooshBookEntry *ret,
            GError **error)
{
  static const uint8_t anyone[20];
  MooshBookEntry entry = { .filled = (uint32_t)moosh_query_int (query, 4),
                           .available = (uint32_t)moosh_query_int (query, 5),
                           .seen_s = moosh_query_int (query, 6),
                           .status = (MooshBookStatus)moosh_query_int (query, 7) };
  copy_blob (query, 1, entry.hash, 32);
  copy_blob (query, 2, entry.provider, 20);
  copy_blob (query, 3, entry.source, 33);
  g_autoptr (GBytes) wire = moosh_query_blob (query, 8);
  if (wire == NULL
      || moosh_signed_offer_decode (g_bytes_get_data (wire, NULL), g_bytes_get_size (wire),
                                    &entry.signed_offer)
             < 0)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_CORRUPT,
                   "order book: offer %" G_GINT64_FORMAT " cannot be read",
                   moosh_query_int (query, 0));
      return FALSE;
    }
  const MooshOffer *offer = &entry.signed_offer.offer;
  if (memcmp (offer->allowed_taker, anyone, 20) != 0
      && (taker == NULL || memcmp (offer->allowed_taker, taker, 20) != 0)
      && entry.status == MOOSH_BOOK_LIVE)
    entry.status = MOOSH_BOOK_PRIVATE;
  if (now_s >= 0 && (uint64_t)now_s >= offer->expiry)
    entry.status = MOOSH_BOOK_EXPIRED;
  *ret = entry;
  return TRUE;
}

/* How many match behind the last row of a page: in order of price the scan goes on where the page
 * ended. */
static guint
count_rest (MooshStore *store, const MooshBookFilter *f, int64_t now_s, GBytes *rate, gint64 id,
            guint seen)
{
  g_autoptr (GString) sql = g_string_new ("SELECT count(*)");
  append_filter (sql, store, f, now_s);
  if (f->sort != MOOSH_BOOK_BY_PRICE)
    return (guint)moosh_store_int (store, seen, sql->str, "");
  g_string_append (sql,
                   f->reverse ? " AND (i.rate, i.id) < (?, ?)" : " AND (i.rate, i.id) > (?, ?)");
  return seen + (guint)moosh_store_int (store, 0, sql->str, "bi", rate, id);
}

/* The ids of the page, and how many match in all. */
static gboolean
scan (MooshStore *store, const MooshBookFilter *f, int64_t now_s, gint64 *ids, guint *ret_n,
      guint *ret_total, GError **error)
{
  g_autoptr (GString) sql = g_string_new ("SELECT i.id, i.rate");
  g_autoptr (GError) trouble = NULL;
  g_autoptr (GBytes) rate = NULL;
  guint limit = f->limit == 0 ? 100 : MIN (f->limit, MOOSH_BOOK_LIST_MAX), seen = 0, n = 0;
  guint end = f->offset + limit > limit ? f->offset + limit : limit;
  gint64 id = 0;
  append_filter (sql, store, f, now_s);
  g_string_append_printf (sql, " ORDER BY %s LIMIT %u", orders[f->sort][f->reverse ? 1 : 0], end);
  MooshQuery *query = moosh_store_query (store, error, sql->str, "");
  if (query == NULL)
    return FALSE;
  while (moosh_query_next (query, &trouble))
    {
      id = moosh_query_int (query, 0);
      if (++seen == end)
        rate = moosh_query_blob (query, 1);
      if (seen > f->offset && n < limit)
        ids[n++] = id;
    }
  moosh_query_free (query);
  if (trouble != NULL)
    {
      g_propagate_error (error, g_steal_pointer (&trouble));
      return FALSE;
    }
  *ret_n = n;
  if (ret_total != NULL)
    *ret_total = rate == NULL ? seen : count_rest (store, f, now_s, rate, id, seen);
  return TRUE;
}

static gboolean
read_page (MooshStore *store, const gint64 *ids, guint n, int64_t now_s, const uint8_t *taker,
           MooshBookEntry *entries, GError **error)
{
  g_autoptr (GString) sql = g_string_new (ENTRY_SQL "o.id IN (");
  g_autoptr (GHashTable) place = g_hash_table_new (g_int64_hash, g_int64_equal);
  g_autoptr (GError) trouble = NULL;
  for (guint i = 0; i < n; i++)
    {
      g_string_append_printf (sql, "%s%" G_GINT64_FORMAT, i > 0 ? "," : "", ids[i]);
      g_hash_table_insert (place, (gpointer)&ids[i], &entries[i]);
    }
  g_string_append_c (sql, ')');
  g_autoptr (MooshQuery) query = moosh_store_query (store, error, sql->str, "");
  if (query == NULL)
    return FALSE;
  while (moosh_query_next (query, &trouble))
    {
      gint64 id = moosh_query_int (query, 0);
      if (!read_entry (query, now_s, taker, g_hash_table_lookup (place, &id), error))
        return FALSE;
    }
  if (trouble == NULL)
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&trouble));
  return FALSE;
}

GArray *
moosh_book_list (MooshStore *store, const MooshBookFilter *filter, int64_t now_s, guint *ret_total,
                 GError **error)
{
  gint64 ids[MOOSH_BOOK_LIST_MAX];
  g_autoptr (GArray) entries = g_array_new (FALSE, TRUE, sizeof (MooshBookEntry));
  guint n = 0;
  /* Both reads see the same book. */
  if (!moosh_store_begin (store, error))
    return NULL;
  gboolean done = scan (store, filter, now_s, ids, &n, ret_total, error);
  g_array_set_size (entries, n);
  if (done && n > 0)
    done = read_page (store, ids, n, now_s, filter->taker,
                      &g_array_index (entries, MooshBookEntry, 0), error);
  if (!moosh_store_commit (store, done ? error : NULL))
    done = FALSE;
  return done ? g_steal_pointer (&entries) : NULL;
}

static gboolean
get_one (MooshStore *store, const char *where, GBytes *low, GBytes *high, int64_t now_s,
         const char *name, MooshBookEntry *ret, GError **error)
{
  g_autofree char *sql = g_strconcat (ENTRY_SQL, where, " LIMIT 2", NULL);
  g_autoptr (MooshQuery) query = moosh_store_query (store, error, sql, "bb", low, high);
  g_autoptr (GError) trouble = NULL;
  MooshBookEntry entry;
  if (query == NULL)
    return FALSE;
  if (!moosh_query_next (query, &trouble))
    {
      if (trouble != NULL)
        g_propagate_error (error, g_steal_pointer (&trouble));
      else
        g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_NOT_FOUND, "offer %s: not in the order book",
                     name);
      return FALSE;
    }
  if (!read_entry (query, now_s, NULL, &entry, error))
    return FALSE;
  if (moosh_query_next (query, NULL))
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_CONFLICT,
                   "offer %s: several offers begin so, give more digits", name);
      return FALSE;
    }
  *ret = entry;
  return TRUE;
}

gboolean
moosh_book_get (MooshStore *store, const uint8_t hash[32], int64_t now_s, MooshBookEntry *ret,
                GError **error)
{
  g_autoptr (GBytes) key = g_bytes_new (hash, 32);
  char name[65];
  moosh_hex_encode (hash, 32, name);
  return get_one (store, "o.hash >= ? AND o.hash <= ?", key, key, now_s, name, ret, error);
}

gboolean
moosh_book_find (MooshStore *store, const char *prefix, int64_t now_s, MooshBookEntry *ret,
                 GError **error)
{
  const char *digits = g_str_has_prefix (prefix, "0x") ? prefix + 2 : prefix;
  char low_hex[65], high_hex[65];
  uint8_t low[32], high[32];
  gsize len = strlen (digits);
  memset (low_hex, '0', 64);
  memset (high_hex, 'f', 64);
  low_hex[64] = high_hex[64] = '\0';
  if (len >= 4 && len <= 64)
    {
      memcpy (low_hex, digits, len);
      memcpy (high_hex, digits, len);
    }
  if (len < 4 || len > 64 || moosh_hex_decode (low_hex, low, 32) < 0
      || moosh_hex_decode (high_hex, high, 32) < 0)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE,
                   "offer %s: an id is 4 to 64 hexadecimal digits", prefix);
      return FALSE;
    }
  g_autoptr (GBytes) from = g_bytes_new (low, 32), to = g_bytes_new (high, 32);
  return get_one (store, "o.hash >= ? AND o.hash <= ?", from, to, now_s, prefix, ret, error);
}
