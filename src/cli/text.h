/** Amounts, times and sizes as people write and read them. No I/O, no daemon. */
#pragma once
#include "base/error.h"
#include <glib.h>

/** "90", "90s", "2h", "1d12h", "30min" in seconds; 1 s to 100 years. MOOSH_ERROR_USAGE. */
gboolean cli_parse_duration (const char *text, gint64 *ret_s, GError **error);
/** "1G", "512M", "1.5GiB", "2048" (MiB) in MiB, at least 1. */
gboolean cli_parse_mib (const char *text, gint64 *ret_mib, GError **error);
/** "10G", "1T", "10" (GiB) in whole GiB, at least 1. */
gboolean cli_parse_gib (const char *text, gint64 *ret_gib, GError **error);
/** "2", "0.5" vCPU in thousandths, at least 1. */
gboolean cli_parse_vcpu (const char *text, gint64 *ret_milli, GError **error);
/** "0.02", "0.02/h", "0.5/d", "15/mo" (30 days) as tokens per hour, new string; more than 18 places
 * are cut. */
char *cli_parse_price (const char *text, GError **error);

/** What is needed, in words; 0 and NULL: not said. Free `price`. */
typedef struct {
  gint64 vcpu_milli, ram_mib, disk_gib;
  char *price; /* tokens per hour, at most */
} CliNeed;
/** "2 vCPU, 1 GiB, 10 GiB disk, under 0.02/h": parts in any order, separated by commas.
 * MOOSH_ERROR_USAGE names the part that is off; `ret` untouched. */
gboolean cli_parse_need (const char *text, CliNeed *ret, GError **error);
/** Could this be the beginning of an offer's id: hex digits, with or without 0x? */
gboolean cli_is_offer_id (const char *text);

/** 5405 as "1 h 30 min"; the two largest units; 0 as "0 s". New string. */
char *cli_duration (gint64 seconds);
/** Local time "2026-11-23 14:20:05 (in 1 h 59 min)", or "(4 s ago)"; "-" for 0, "never" for a
 * negative time. */
char *cli_when (gint64 at_s, gint64 now_s);
/** Only the distance: "in 1 h 59 min", "4 s ago"; "-" for 0, "never" for a negative time. */
char *cli_until (gint64 at_s, gint64 now_s);
/** 1536 as "1.5 GiB", 512 as "512 MiB". */
char *cli_mib (gint64 mib);
/** 2000 as "2", 500 as "0.5". */
char *cli_vcpu (gint64 milli);
/** Wei in decimal and the token's decimals as an amount with at most `places` places, cut; an
 * amount that would show as zero but is not becomes "<0.000001". NULL for text that is no number.
 */
char *cli_amount_text (const char *wei, guint decimals, guint places);
/** "0.0150000001" as "0.015": at most `places` places, cut, like cli_amount_text. NULL for NULL or
 * no number. */
char *cli_price_text (const char *amount, guint places);
/** rate·2^32 wei per second as wei per hour, cut. NULL for text that is no number. */
char *cli_rate_per_hour (const char *rate_x);
/** Tokens per hour as rate·2^32 wei per second, rounded up (market/terms.h): cut back to a price
 * per hour it is the same one. */
char *cli_rate_x (const char *tokens_per_hour, guint decimals, GError **error);
/** a·b, a+b and the larger of two decimal numbers; new string. NULL: overflow or not a number. */
char *cli_decimal_mul (const char *a, guint64 b);
char *cli_decimal_add (const char *a, const char *b);
/** -1, 0, 1; numbers that are none count as 0. */
int cli_decimal_cmp (const char *a, const char *b);
/** ⌈a / 2^32⌉: X amounts in wei. */
char *cli_decimal_from_x (const char *a);
/** What a stranger wrote, fit for a terminal: valid UTF-8 without control characters ('?' instead).
 * Newlines and tabs stay when `lines`, else they become spaces. New string. */
char *cli_printable (const char *text, gboolean lines);
