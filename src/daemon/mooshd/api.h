/** What the API's handlers share. */
#pragma once
#include "deployment.h"
#include "mooshd_schema.h"

/** {address, symbol, decimals} of the money. */
JsonObject *token_json (Node *node);
/** A rate in X per second as tokens per hour, "0.02", rounded up to the token's smallest unit; new
 * string. */
char *price_per_hour (const MooshU256 *rate_x, guint decimals);
/** A known name for an identity: a contact's, or NULL. New string. */
char *identity_name (Node *node, const guint8 identity[20]);
/** An identity given as address or contact name. */
gboolean identity_parse (Node *node, const char *text, guint8 ret[20], GError **error);
JsonObject *units_to_json (const MooshUnits *units);
gboolean units_from_json (JsonObject *object, MooshUnits *ret, GError **error);
/** {purpose, hash, state, nonce, gas_used, fee_wei, trouble} of the purposes that end in `suffix`
 * ("" for all), newest first, at most `max`. */
JsonArray *transactions_json (Node *node, const char *suffix, guint max);
/** An offer as offers.list describes it. */
JsonObject *offer_json (Node *node, const MooshBookEntry *entry, guint decimals);
/** offer.own as an array; NULL with `error`. */
JsonArray *own_offers_json (Node *node, GError **error);
/** Set a member to an amount's decimal text. */
void set_wei (JsonObject *object, const char *member, const MooshU256 *wei);
