#include "cli/text.h"
#include "core/bytes/u256.h"
#include <string.h>

static gboolean
usage (GError **error, const char *what, const char *text, const char *example)
{
  g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE, "\"%s\" is not %s: write it like %s", text,
               what, example);
  return FALSE;
}

/* A decimal number with at most three places in thousandths; *end is what follows. Digits are
 * required. */
static gboolean
parse_milli (const char *text, const char **end, guint64 *ret)
{
  guint64 v = 0;
  guint places = 0;
  gboolean digits = FALSE, point = FALSE;
  const char *p = text;

  for (; g_ascii_isdigit (*p) || (*p == '.' && !point && digits); p++)
    {
      if (*p == '.')
        {
          point = TRUE;
          continue;
        }
      digits = TRUE;
      if (point && ++places > 3)
        return FALSE;
      if (v > G_MAXUINT32 * (guint64)1000)
        return FALSE;
      v = v * 10 + (guint64)(*p - '0');
    }
  if (!digits || (point && places == 0))
    return FALSE;
  for (; places < 3; places++)
    v *= 10;
  *end = p;
  *ret = v;
  return v <= G_MAXUINT32 * (guint64)1000;
}

typedef struct {
  const char *name;
  guint64 size;
} Unit;

static const Unit time_units[] = {
  { "s", 1 },     { "sec", 1 },    { "m", 60 },       { "min", 60 },     { "h", 3600 },
  { "d", 86400 }, { "w", 604800 }, { "mo", 2592000 }, { "y", 31536000 }, { NULL, 0 },
};
static const Unit mib_units[] = {
  { "", 1 },         { "m", 1 },         { "mb", 1 },     { "mib", 1 },
  { "g", 1024 },     { "gb", 1024 },     { "gib", 1024 }, { "t", 1048576 },
  { "tb", 1048576 }, { "tib", 1048576 }, { NULL, 0 },
};
static const Unit gib_units[] = {
  { "", 1 },     { "g", 1 },     { "gb", 1 },     { "gib", 1 },
  { "t", 1024 }, { "tb", 1024 }, { "tib", 1024 }, { NULL, 0 },
};

static guint64
unit_size (const Unit *units, const char *name, gsize len)
{
  for (; units->name != NULL; units++)
    if (strlen (units->name) == len && g_ascii_strncasecmp (units->name, name, len) == 0)
      return units->size;
  return 0;
}

gboolean
cli_parse_duration (const char *text, gint64 *ret_s, GError **error)
{
  const guint64 max = 100 * (guint64)31536000;
  guint64 total = 0;

  for (const char *p = text; *p != '\0';)
    {
      guint64 milli, size;
      const char *name, *end;

      if (!parse_milli (p, &end, &milli))
        return usage (error, "a duration", text, "90s, 30min, 2h or 1d12h");
      for (name = end; g_ascii_isalpha (*end);)
        end++;
      size = end == name && name != p && *end == '\0' && total == 0
                 ? 1
                 : unit_size (time_units, name, (gsize)(end - name));
      if (size == 0 || milli > max * 1000 / size)
        return usage (error, "a duration", text, "90s, 30min, 2h or 1d12h");
      total += milli * size / 1000;
      p = end;
    }
  if (total == 0 || total > max)
    return usage (error, "a duration from 1 s to 100 years", text, "90s, 30min, 2h or 1d12h");
  *ret_s = (gint64)total;
  return TRUE;
}

static gboolean
parse_size (const char *text, const Unit *units, gint64 *ret, GError **error, const char *what,
            const char *example)
{
  const char *end;
  guint64 milli, size;

  if (!parse_milli (text, &end, &milli)
      || (size = unit_size (units, end + (*end == ' '), strlen (end + (*end == ' ')))) == 0
      || milli * size % 1000 != 0 || milli == 0 || milli * size / 1000 > G_MAXUINT32)
    return usage (error, what, text, example);
  *ret = (gint64)(milli * size / 1000);
  return TRUE;
}

gboolean
cli_parse_mib (const char *text, gint64 *ret_mib, GError **error)
{
  return parse_size (text, mib_units, ret_mib, error, "an amount of memory in whole MiB",
                     "512M, 1G or 1.5G");
}

gboolean
cli_parse_gib (const char *text, gint64 *ret_gib, GError **error)
{
  return parse_size (text, gib_units, ret_gib, error, "an amount of disk in whole GiB",
                     "10G or 1T");
}

gboolean
cli_parse_vcpu (const char *text, gint64 *ret_milli, GError **error)
{
  const char *end;
  guint64 milli;

  if (!parse_milli (text, &end, &milli) || *end != '\0' || milli == 0 || milli > G_MAXUINT32)
    return usage (error, "a number of vCPUs", text, "2 or 0.5");
  *ret_milli = (gint64)milli;
  return TRUE;
}

char *
cli_parse_price (const char *text, GError **error)
{
  const char *slash = strchr (text, '/');
  g_autofree char *number = g_strndup (text, slash ? (gsize)(slash - text) : strlen (text));
  guint64 period = slash ? unit_size (time_units, slash + 1, strlen (slash + 1)) : 3600;
  MooshU256 v, hour = moosh_u256 (3600), divisor;
  char amount[96];

  if (period == 0 || moosh_u256_from_amount (number, 18, &v) != MOOSH_OK
      || moosh_u256_mul (&v, &hour, &v))
    {
      usage (error, "a price", text, "0.02/h, 0.5/d or 15/mo");
      return NULL;
    }
  divisor = moosh_u256 (period);
  moosh_u256_divmod (&v, &divisor, &v, NULL);
  moosh_u256_to_amount (&v, 18, amount);
  return g_strdup (amount);
}

/* Cut one of the words off the end or, when `front`, the beginning; TRUE when it was there. */
static gboolean
take_word (char *part, const char *const *words, gboolean front)
{
  for (; *words != NULL; words++)
    {
      gsize len = strlen (part), n = strlen (*words);

      if (front ? g_str_has_prefix (part, *words) : g_str_has_suffix (part, *words))
        {
          memmove (part, part + (front ? n : 0), len - n);
          part[len - n] = '\0';
          g_strstrip (part);
          return TRUE;
        }
    }
  return FALSE;
}

static gboolean
parse_part (char *part, CliNeed *need, GError **error)
{
  static const char *const under[]
      = { "under ", "below ", "at most ", "up to ", "max ", "<=", "<", NULL };
  static const char *const cpus[] = { "vcpus", "vcpu", "cpus", "cpu", "cores", "core", NULL };
  static const char *const disks[] = { "of disk", "disk", "storage", NULL };
  static const char *const memories[] = { "of ram", "ram", "of memory", "memory", NULL };

  if (take_word (part, under, TRUE))
    {
      g_free (need->price);
      need->price = cli_parse_price (part, error);
      return need->price != NULL;
    }
  if (take_word (part, cpus, FALSE))
    return cli_parse_vcpu (part, &need->vcpu_milli, error);
  if (take_word (part, disks, FALSE))
    return cli_parse_gib (part, &need->disk_gib, error);
  take_word (part, memories, FALSE);
  return cli_parse_mib (part, &need->ram_mib, error);
}

gboolean
cli_parse_need (const char *text, CliNeed *ret, GError **error)
{
  g_auto (GStrv) parts = g_strsplit (*text ? text : " ", ",", -1); /* splitting "" gives nothing */
  CliNeed need = { 0 };

  for (char **part = parts; *part != NULL; part++)
    {
      g_autofree char *lower = g_ascii_strdown (g_strstrip (*part), -1);

      if (!parse_part (lower, &need, error))
        {
          g_prefix_error (error, "\"%s\" in \"2 vCPU, 1 GiB, 10 GiB disk, under 0.02/h\": ", *part);
          g_free (need.price);
          return FALSE;
        }
    }
  *ret = need;
  return TRUE;
}

gboolean
cli_is_offer_id (const char *text)
{
  gsize skip = g_str_has_prefix (text, "0x") ? 2 : 0, len = strlen (text);

  return len > skip && len - skip <= 64
         && strspn (text + skip, "0123456789abcdefABCDEF") == len - skip;
}

char *
cli_duration (gint64 seconds)
{
  static const struct {
    gint64 size;
    const char *name;
  } units[] = { { 86400, "d" }, { 3600, "h" }, { 60, "min" }, { 1, "s" } };

  for (guint i = 0; i + 1 < G_N_ELEMENTS (units); i++)
    if (seconds >= units[i].size)
      {
        gint64 rest = seconds % units[i].size / units[i + 1].size;

        if (rest == 0)
          return g_strdup_printf ("%" G_GINT64_FORMAT " %s", seconds / units[i].size,
                                  units[i].name);
        return g_strdup_printf ("%" G_GINT64_FORMAT " %s %" G_GINT64_FORMAT " %s",
                                seconds / units[i].size, units[i].name, rest, units[i + 1].name);
      }
  return g_strdup_printf ("%" G_GINT64_FORMAT " s", MAX (seconds, 0));
}

char *
cli_until (gint64 at_s, gint64 now_s)
{
  g_autofree char *distance = NULL;

  if (at_s == 0)
    return g_strdup ("-");
  if (at_s < 0)
    return g_strdup ("never");
  distance = cli_duration (ABS (at_s - now_s));
  return at_s >= now_s ? g_strconcat ("in ", distance, NULL) : g_strconcat (distance, " ago", NULL);
}

char *
cli_when (gint64 at_s, gint64 now_s)
{
  g_autoptr (GDateTime) time = at_s > 0 ? g_date_time_new_from_unix_local (at_s) : NULL;
  g_autofree char *until = cli_until (at_s, now_s);
  g_autofree char *stamp = NULL;

  if (time == NULL)
    return g_steal_pointer (&until);
  stamp = g_date_time_format (time, "%Y-%m-%d %H:%M:%S");
  return g_strdup_printf ("%s (%s)", stamp, until);
}

char *
cli_mib (gint64 mib)
{
  if (mib >= 1024 && mib % 1024 == 0)
    return g_strdup_printf ("%" G_GINT64_FORMAT " GiB", mib / 1024);
  if (mib >= 1024)
    return g_strdup_printf ("%" G_GINT64_FORMAT ".%" G_GINT64_FORMAT " GiB", mib / 1024,
                            mib % 1024 * 10 / 1024);
  return g_strdup_printf ("%" G_GINT64_FORMAT " MiB", mib);
}

char *
cli_vcpu (gint64 milli)
{
  MooshU256 v = moosh_u256 ((guint64)MAX (milli, 0));
  char text[96];

  moosh_u256_to_amount (&v, 3, text);
  return g_strdup (text);
}

char *
cli_amount_text (const char *wei, guint decimals, guint places)
{
  MooshU256 v;
  char text[96];
  char *point;

  if (wei == NULL || moosh_u256_from_decimal (wei, &v) != MOOSH_OK
      || decimals > MOOSH_U256_DECIMALS_MAX)
    return NULL;
  moosh_u256_to_amount (&v, decimals, text);
  point = strchr (text, '.');
  if (point == NULL || strlen (point + 1) <= places)
    return g_strdup (text);
  point[places + 1] = '\0';
  for (gsize n = strlen (text); text[n - 1] == '0' && text + n - 1 > point; n--)
    text[n - 1] = '\0';
  if (text[strlen (text) - 1] == '.')
    *point = '\0';
  if (strcmp (text, "0") == 0)
    return g_strdup_printf ("<0.%0*d", (int)places, 1);
  return g_strdup (text);
}

char *
cli_price_text (const char *amount, guint places)
{
  enum { FINE = 36 }; /* more places than any token has */
  MooshU256 v;
  char wei[79];

  if (amount == NULL || moosh_u256_from_amount (amount, FINE, &v) != MOOSH_OK)
    return NULL;
  moosh_u256_to_decimal (&v, wei);
  return cli_amount_text (wei, FINE, places);
}

static char *
decimal (const MooshU256 *v)
{
  char text[79];

  moosh_u256_to_decimal (v, text);
  return g_strdup (text);
}

char *
cli_rate_per_hour (const char *rate_x)
{
  MooshU256 v, hour = moosh_u256 (3600);

  if (rate_x == NULL || moosh_u256_from_decimal (rate_x, &v) != MOOSH_OK
      || moosh_u256_mul (&v, &hour, &v))
    return NULL;
  v = moosh_u256_shr (&v, 32);
  return decimal (&v);
}

char *
cli_rate_x (const char *tokens_per_hour, guint decimals, GError **error)
{
  MooshU256 v, hour = moosh_u256 (3600), up = moosh_u256 (3599);

  if (moosh_u256_from_amount (tokens_per_hour, decimals, &v) != MOOSH_OK
      || moosh_u256_bit_length (&v) > 96)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE,
                   "\"%s\" is not a price per hour in a token with %u decimals", tokens_per_hour,
                   decimals);
      return NULL;
    }
  v = moosh_u256_shl (&v, 32);
  moosh_u256_add (&v, &up, &v);
  moosh_u256_divmod (&v, &hour, &v, NULL);
  return decimal (&v);
}

char *
cli_decimal_mul (const char *a, guint64 b)
{
  MooshU256 v, w = moosh_u256 (b);

  if (a == NULL || moosh_u256_from_decimal (a, &v) != MOOSH_OK || moosh_u256_mul (&v, &w, &v))
    return NULL;
  return decimal (&v);
}

char *
cli_decimal_add (const char *a, const char *b)
{
  MooshU256 v, w;

  if (a == NULL || b == NULL || moosh_u256_from_decimal (a, &v) != MOOSH_OK
      || moosh_u256_from_decimal (b, &w) != MOOSH_OK || moosh_u256_add (&v, &w, &v))
    return NULL;
  return decimal (&v);
}

int
cli_decimal_cmp (const char *a, const char *b)
{
  MooshU256 v = moosh_u256 (0), w = v;

  if (a != NULL && moosh_u256_from_decimal (a, &v) != MOOSH_OK)
    v = moosh_u256 (0);
  if (b != NULL && moosh_u256_from_decimal (b, &w) != MOOSH_OK)
    w = moosh_u256 (0);
  return moosh_u256_cmp (&v, &w);
}

char *
cli_decimal_from_x (const char *a)
{
  MooshU256 v, up = moosh_u256 (G_MAXUINT32);

  if (a == NULL || moosh_u256_from_decimal (a, &v) != MOOSH_OK || moosh_u256_add (&v, &up, &v))
    return NULL;
  v = moosh_u256_shr (&v, 32);
  return decimal (&v);
}

char *
cli_printable (const char *text, gboolean lines)
{
  g_autofree char *valid = g_utf8_make_valid (text, -1);
  GString *clean = g_string_new (NULL);

  for (const char *p = valid; *p != '\0'; p = g_utf8_next_char (p))
    {
      gunichar c = g_utf8_get_char (p);
      gboolean white = c == '\n' || c == '\t';

      if (white && !lines)
        c = ' ';
      g_string_append_unichar (clean, g_unichar_isprint (c) || white ? c : '?');
    }
  return g_string_free (clean, FALSE);
}
