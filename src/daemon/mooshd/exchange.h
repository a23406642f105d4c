/** What nodes ask each other (exchange.c): the client's side, and what the provider's side is made
 * of. */
#pragma once
#include "exchange_wire.h"
#include "node.h"
#include "peer/statement.h"

/** Answer what peers ask. Before the peer node starts. */
void exchange_register (Node *node);

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

/** The provider's side, in provider.c. `peer` is the identity that asks. */
gboolean provider_put_request (Node *node, const guint8 peer[20], guint64 agreement,
                               GBytes *request, GError **error);
gboolean provider_machine_view (Node *node, guint64 agreement, MachineView *ret, GError **error);
char *provider_machine_text (Node *node, guint64 agreement, gboolean console, guint64 offset,
                             guint max, guint64 *ret_next, GError **error);
gboolean provider_machine_reboot (Node *node, guint64 agreement, GError **error);
gboolean provider_put_rating (Node *node, const guint8 peer[20], const MooshStatement *statement,
                              const ExchangePair *bytes, GError **error);
