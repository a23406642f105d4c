/** Offers as JSON: for wallets and keyd (eth_signTypedData_v4), and for people and programs (`moosh
 * offers --json`). */
#pragma once
#include "base/json.h"
#include "market/offer.h"

/** The eth_signTypedData_v4 object {types, primaryType, domain, message} to sign. Integers above 32
 * bits are decimal strings. New object. */
JsonObject *moosh_offer_to_typed_data (const MooshOffer *offer, const MooshOfferDomain *domain);

/** {"hash": "0x…", "maker": "0x…", "side": "sell", "kind": "vm", …}: every member under its
 * Solidity name, addresses and bytes32 as 0x-hex, 32-bit members as numbers, larger ones as decimal
 * strings. New object. */
JsonObject *moosh_offer_to_json (const MooshOffer *offer);

/** Back from moosh_offer_to_json ("hash" and unknown members are ignored; side, kind and class also
 * as numbers). FALSE with MOOSH_ERROR_USAGE that names the member; `ret` untouched. */
gboolean moosh_offer_from_json (JsonObject *object, MooshOffer *ret, GError **error);

/** moosh_offer_to_json plus "chainId", "book" and "signature". New object. */
JsonObject *moosh_signed_offer_to_json (const MooshSignedOffer *signed_offer);
gboolean moosh_signed_offer_from_json (JsonObject *object, MooshSignedOffer *ret, GError **error);
