/** What nodes ask each other (exchange.c): the messages, and the client's side of them. */
#pragma once
#include "core/bytes/bytes.h"
#include "node.h"
#include "peer/statement.h"

/** Answer what peers ask. Before the peer node starts. */
void exchange_register (Node *node);

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

GBytes *machine_view_encode (const MachineView *view);
gboolean machine_view_decode (const void *ptr, gsize len, MachineView *ret, GError **error);
/** What `provisioned` posts: SHA-256 of host key ‖ 0 ‖ host:port. */
void machine_commitment (const char *host_key, const char *host, guint16 port, guint8 ret[32]);

/** Client's side of the exchange. `provider` is an identity in the address book. */
gboolean exchange_put_request (Node *node, const guint8 provider[20], guint64 agreement,
                               GBytes *request, GError **error);
gboolean exchange_get_machine (Node *node, const guint8 provider[20], guint64 agreement,
                               MachineView *ret, GError **error);
/** A piece of log or console; new string. */
char *exchange_get_log (Node *node, const guint8 provider[20], guint64 agreement, gboolean console,
                        guint64 offset, guint64 *ret_next, GError **error);
gboolean exchange_reboot (Node *node, const guint8 provider[20], guint64 agreement, GError **error);
gboolean exchange_put_statement (Node *node, const guint8 provider[20], GBytes *statement,
                                 const guint8 signature[64], GError **error);

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
gboolean exchange_pair_decode (const void *ptr, gsize len, gboolean number_first,
                               ExchangePair *ret);

/** The provider's side, in provider.c. `peer` is the identity that asks. */
gboolean provider_put_request (Node *node, const guint8 peer[20], guint64 agreement,
                               GBytes *request, GError **error);
gboolean provider_machine_view (Node *node, guint64 agreement, MachineView *ret, GError **error);
char *provider_machine_text (Node *node, guint64 agreement, gboolean console, guint64 offset,
                             guint max, guint64 *ret_next, GError **error);
gboolean provider_machine_reboot (Node *node, guint64 agreement, GError **error);
gboolean provider_put_rating (Node *node, const guint8 peer[20], const MooshStatement *statement,
                              const ExchangePair *bytes, GError **error);
