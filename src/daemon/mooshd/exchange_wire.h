/** What nodes ask each other: the messages, without what is done about them. Bodies are strict CBOR
 * (core/cbor/cbor.h); which method carries which is at the top of exchange.c. Pure: bytes to plain
 * structs and back. */
#pragma once
#include "core/bytes/bytes.h"
#include <glib.h>

/** What a provider tells its client about a machine. Strict CBOR on the wire:
 * {0 state, 2 step, 4 error, 6 host, 8 port, 10 ssh host key, 12 log digest, 14 build ms, 16 boot
 * ms}. */
typedef struct {
  char state[24];
  char step[200];
  char error[600];
  char host[256];
  guint16 port; /* 0: no endpoint yet */
  char host_key[200];
  guint8 log_digest[32];
  guint64 build_ms, boot_ms;
} MachineView;

/** Lines are made fit to travel: valid UTF-8, no control characters, whatever they were. */
GBytes *machine_view_encode (const MachineView *view);
/** FALSE with MOOSH_ERROR_PROTOCOL: not of the form, or a line with characters that have no place
 * in known_hosts, in an argv or on a terminal; `ret` untouched. */
gboolean machine_view_decode (const void *ptr, gsize len, MachineView *ret, GError **error);
/** What `provisioned` posts: SHA-256 of host key ‖ 0 ‖ host:port. */
void machine_commitment (const char *host_key, const char *host, guint16 port, guint8 ret[32]);

/** A question about an agreement: {0 first, 2 second, 4 console}. offers.get uses only `first`, as
 * its offset. */
typedef struct {
  guint64 first;
  guint64 second;
  gboolean with_second;
  gboolean console;
} ExchangeQuery;

GBytes *exchange_query_encode (const ExchangeQuery *query);
/** FALSE: not of the form; `ret` untouched. */
gboolean exchange_query_decode (const void *ptr, gsize len, ExchangeQuery *ret);

/** {0 number or bytes, 2 bytes}; spans point into the input. */
typedef struct {
  guint64 number;
  MooshSpan first, second;
} ExchangePair;
/** FALSE: not of the form; `ret` untouched. `number_first` says which form is expected. */
gboolean exchange_pair_decode (const void *ptr, gsize len, gboolean number_first,
                               ExchangePair *ret);
/** {0 number, 2 bytes}; len at most MOOSH_CBOR_MAX - 64. New bytes. */
GBytes *exchange_number_encode (guint64 number, const void *bytes, gsize len);
/** {0 bytes, 2 signature}. New bytes; NULL with MOOSH_ERROR_LIMIT when that is more than a message
 * holds. */
GBytes *exchange_signed_encode (GBytes *bytes, const guint8 signature[64], GError **error);

enum { EXCHANGE_PAGE_MAX = 64 };

/** Some of a provider's offers: {0 total, 2 [signed offers]}; spans point into the input. */
typedef struct {
  guint64 total; /* how many it has; at most 2^32 - 1 */
  gsize n;
  MooshSpan offers[EXCHANGE_PAGE_MAX];
} ExchangePage;

/** offers: of GBytes; the first ones go in, as many as a message holds. New bytes. */
GBytes *exchange_page_encode (guint total, GPtrArray *offers);
/** FALSE with MOOSH_ERROR_PROTOCOL: not of the form; `ret` untouched. */
gboolean exchange_page_decode (const void *ptr, gsize len, ExchangePage *ret, GError **error);
