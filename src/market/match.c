#include "market/match.h"
#include <string.h>

enum { SEEN_MAX = 12 }; /* kinds of parts a need can have */

typedef struct {
  MooshNeed need;
  unsigned decimals;
  unsigned seen; /* bit per kind of part */
} Parse;

typedef enum { VCPU, RAM, DISK, GPU, IPV4, PRICE, FOR, CLASS, KIND } PartKind;

/* ⌊number·scale⌋ exactly, or FALSE when the number is none, has a finer fraction, or exceeds 32
 * bits. */
static gboolean
scaled (const char *number, guint64 scale, uint32_t *ret)
{
  MooshU256 v, factor = moosh_u256 (scale), micro = moosh_u256 (1000000), rest;
  if (moosh_u256_from_amount (number, 6, &v) < 0 || moosh_u256_bit_length (&v) > 128)
    return FALSE;
  moosh_u256_mul (&v, &factor, &v);
  moosh_u256_divmod (&v, &micro, &v, &rest);
  if (!moosh_u256_is_zero (&rest) || moosh_u256_bit_length (&v) > 32)
    return FALSE;
  *ret = (uint32_t)v.limb[0];
  return TRUE;
}

static gboolean
once (Parse *p, PartKind kind)
{
  gboolean first = !(p->seen & 1u << kind);
  p->seen |= 1u << kind;
  return first;
}

static gboolean
read_size (Parse *p, const char *number, const char *unit, const char *what)
{
  guint64 mib = strcmp (unit, "mib") == 0   ? 1
                : strcmp (unit, "gib") == 0 ? 1024
                : strcmp (unit, "tib") == 0 ? 1 << 20
                                            : 0;
  if (mib == 0)
    return FALSE;
  if (strcmp (what, "disk") == 0)
    return mib >= 1024 && once (p, DISK) && scaled (number, mib / 1024, &p->need.need.disk_gib);
  return (strcmp (what, "") == 0 || strcmp (what, "ram") == 0 || strcmp (what, "memory") == 0)
         && once (p, RAM) && scaled (number, mib, &p->need.need.ram_mib);
}

static gboolean
read_duration (Parse *p, const char *number, const char *unit)
{
  static const struct {
    const char *name;
    guint64 seconds;
  } units[] = { { "s", 1 },        { "min", 60 },      { "h", 3600 },      { "hour", 3600 },
                { "hours", 3600 }, { "d", 86400 },     { "day", 86400 },   { "days", 86400 },
                { "w", 604800 },   { "week", 604800 }, { "weeks", 604800 } };
  for (gsize i = 0; i < G_N_ELEMENTS (units); i++)
    if (strcmp (unit, units[i].name) == 0)
      return once (p, FOR) && scaled (number, units[i].seconds, &p->need.duration_s);
  return FALSE;
}

static gboolean
read_word (Parse *p, const char *word)
{
  MooshKind kind;
  for (unsigned class = 0; moosh_class_name (class) != NULL; class ++)
    if (strcmp (word, moosh_class_name (class)) == 0)
      {
        p->need.class_plus_1 = (int)class + 1;
        return once (p, CLASS);
      }
  if (moosh_kind_from_name (word, &kind) < 0)
    return FALSE;
  p->need.kind_plus_1 = (int)kind + 1;
  return once (p, KIND);
}

static gboolean
read_price (Parse *p, const char *price)
{
  p->need.has_max_rate = TRUE;
  return once (p, PRICE) && moosh_price_parse (price, p->decimals, &p->need.max_rate_x) >= 0;
}

/* One part, as lower-case words. A number may touch its unit ("1gib"). */
static gboolean
read_part (Parse *p, char **w, guint n)
{
  if (n == 2 && (strcmp (w[0], "under") == 0 || strcmp (w[0], "max") == 0))
    return read_price (p, w[1]);
  if (n == 3 && strcmp (w[0], "up") == 0 && strcmp (w[1], "to") == 0)
    return read_price (p, w[2]);
  if (n == 3 && strcmp (w[0], "for") == 0)
    return read_duration (p, w[1], w[2]);
  if (n == 1)
    return read_word (p, w[0]);
  if (n < 2 || n > 3)
    return FALSE;
  if (n == 2
      && (strcmp (w[1], "vcpu") == 0 || strcmp (w[1], "vcpus") == 0 || strcmp (w[1], "cpu") == 0))
    return once (p, VCPU) && scaled (w[0], 1000, &p->need.need.vcpu_milli);
  if (n == 2 && (strcmp (w[1], "gpu") == 0 || strcmp (w[1], "gpus") == 0))
    return once (p, GPU) && scaled (w[0], 1, &p->need.need.gpu);
  if (n == 2 && strcmp (w[1], "ipv4") == 0)
    return once (p, IPV4) && scaled (w[0], 1, &p->need.need.ipv4);
  return read_size (p, w[0], w[1], n == 3 ? w[2] : "");
}

/* Words of a part; "1gib" becomes "1", "gib". Prices keep their unit. */
static GPtrArray *
split (const char *part)
{
  g_autofree char *lower = g_ascii_strdown (part, -1);
  g_auto (GStrv) raw = g_strsplit_set (lower, " \t", -1);
  GPtrArray *words = g_ptr_array_new_with_free_func (g_free);
  for (guint i = 0; raw[i] != NULL; i++)
    {
      gsize digits = strspn (raw[i], "0123456789.");
      if (raw[i][0] == '\0')
        continue;
      if (digits > 0 && g_ascii_isalpha (raw[i][digits]))
        {
          g_ptr_array_add (words, g_strndup (raw[i], digits));
          g_ptr_array_add (words, g_strdup (raw[i] + digits));
        }
      else
        g_ptr_array_add (words, g_strdup (raw[i]));
    }
  return words;
}

gboolean
moosh_need_parse (const char *text, unsigned decimals, MooshNeed *ret, GError **error)
{
  Parse p = { .decimals = decimals };
  g_auto (GStrv) parts = g_strsplit (text, ",", SEEN_MAX + 1);
  for (guint i = 0; parts[i] != NULL; i++)
    {
      g_autoptr (GPtrArray) words = split (parts[i]);
      if (words->len == 0 || !read_part (&p, (char **)words->pdata, words->len))
        {
          g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE,
                       "need: \"%s\" is not understood; say for example \"2 vCPU, 1 GiB, 10 GiB "
                       "disk, under 0.02/h\"",
                       g_strstrip (parts[i]));
          return FALSE;
        }
    }
  *ret = p.need;
  return TRUE;
}

typedef struct {
  const MooshNeed *need;
  gboolean found, too_dear;
  MooshBookEntry best;
  uint32_t count;
  MooshU256 rate;
} Search;

/* Equal in price: fewer units, larger unit, longer valid, smaller hash. */
static gboolean
is_nicer (const MooshBookEntry *entry, uint32_t count, const Search *s)
{
  const MooshOffer *a = &entry->signed_offer.offer, *b = &s->best.signed_offer.offer;
  if (count != s->count)
    return count < s->count;
  if (memcmp (&a->units, &b->units, sizeof a->units) != 0)
    {
      if (moosh_units_fit (&b->units, &a->units))
        return TRUE;
      if (moosh_units_fit (&a->units, &b->units))
        return FALSE;
    }
  if (a->expiry != b->expiry)
    return a->expiry > b->expiry;
  return memcmp (entry->hash, s->best.hash, 32) < 0;
}

static void
consider (Search *s, const MooshBookEntry *entry)
{
  const MooshOffer *offer = &entry->signed_offer.offer;
  uint32_t most = MIN (entry->available, MAX (s->need->most_units, 1));
  uint32_t count = moosh_units_needed (&offer->units, &s->need->need, most);
  MooshTerms terms;
  if (count == 0 || moosh_terms_from_offer (offer, count, &terms) < 0)
    return;
  if (s->need->has_max_rate && moosh_u256_cmp (&terms.rate_x, &s->need->max_rate_x) > 0)
    {
      s->too_dear = TRUE;
      return;
    }
  int order = s->found ? moosh_u256_cmp (&terms.rate_x, &s->rate) : -1;
  if (order > 0 || (order == 0 && !is_nicer (entry, count, s)))
    return;
  s->found = TRUE;
  s->best = *entry;
  s->count = count;
  s->rate = terms.rate_x;
}

/* Offers come cheapest unit first: once one unit costs more than the best total, nothing better
 * follows. */
static gboolean
search (MooshStore *store, Search *s, MooshBookFilter *filter, int64_t now_s, GError **error)
{
  for (filter->offset = 0;; filter->offset += filter->limit)
    {
      g_autoptr (GArray) page = moosh_book_list (store, filter, now_s, NULL, error);
      if (page == NULL)
        return FALSE;
      for (guint i = 0; i < page->len; i++)
        {
          const MooshBookEntry *entry = &g_array_index (page, MooshBookEntry, i);
          if (s->found && moosh_u256_cmp (&entry->signed_offer.offer.rate_x, &s->rate) > 0)
            return TRUE;
          consider (s, entry);
        }
      if (page->len < filter->limit)
        return TRUE;
    }
}

gboolean
moosh_match (MooshStore *store, const MooshNeed *need, const MooshBookFilter *filter, int64_t now_s,
             MooshBookEntry *ret_entry, uint32_t *ret_count, GError **error)
{
  MooshBookFilter f = filter != NULL ? *filter : (MooshBookFilter){ 0 };
  Search s = { .need = need };
  f.side = MOOSH_SIDE_SELL;
  f.any_status = FALSE;
  f.kind_plus_1 = need->kind_plus_1 > 0 ? need->kind_plus_1 : MOOSH_KIND_VM + 1;
  f.class_plus_1 = need->class_plus_1;
  f.min = need->most_units > 1 ? (MooshUnits){ 0 } : need->need;
  f.lasts_s = need->duration_s;
  f.bound_s = need->duration_s > 0 ? &need->duration_s : NULL;
  f.max_rate_x
      = NULL; /* the limit is on the total, and "too dear" shall be told from "nothing fits" */
  f.count = 1;
  f.sort = MOOSH_BOOK_BY_PRICE;
  f.reverse = FALSE;
  f.limit = 100;
  if (!search (store, &s, &f, now_s, error))
    return FALSE;
  if (!s.found)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_NOT_FOUND, "no known offer %s",
                   s.too_dear ? "is that cheap, though some have what is needed"
                              : "has what is needed");
      return FALSE;
    }
  *ret_entry = s.best;
  *ret_count = s.count;
  return TRUE;
}
