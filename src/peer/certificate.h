/** The node certificate: by it a wallet says which node key speaks for its identity.
 *
 * EIP-712, so that any wallet can show and sign it:
 *   NodeCertificate(bytes nodeKey,bytes32 wgKey,bytes32 wgKeyNext,uint64 seq,uint64 notAfter)
 *   domain { name "MooshNet", version "1" }   (no chain id: an identity is the same on every chain)
 * On the wire: CBOR map {0 identity, 2 node key, 4 wgKey, 6 wgKeyNext, 8 seq, 10 notAfter, 12
 * signature}.
 *
 * For one identity and node key the certificate with the higher seq replaces the lower; one with a
 * higher seq and a notAfter in the past revokes the key. */
#pragma once
#include "base/error.h"

#define MOOSH_CERTIFICATE_MAX 512 /* bytes on the wire, at most */
#define MOOSH_CERTIFICATE_TYPE                                                                     \
  "NodeCertificate(bytes nodeKey,bytes32 wgKey,bytes32 wgKeyNext,uint64 seq,uint64 notAfter)"

typedef struct {
  guint8 identity[20];    /* EVM address of the wallet that signed */
  guint8 node_key[33];    /* compressed secp256k1 point */
  guint8 wg_key[32];      /* WireGuard public key in use; zeros: none */
  guint8 wg_key_next[32]; /* the one announced for the next rotation; zeros: none */
  guint64 seq;
  guint64 not_after_s;  /* seconds since the epoch; the last second it is good for */
  guint8 signature[65]; /* r ‖ s ‖ v (27 or 28), low s */
} MooshCertificate;

/** The digest the wallet signs. Needs node_key, wg_key, wg_key_next, seq, not_after_s. */
void moosh_certificate_digest (const MooshCertificate *certificate, guint8 ret_digest[32]);

/** The JSON for eth_signTypedData_v4 (keyd's `sign_typed`): {types, primaryType, domain, message};
 * new string. */
char *moosh_certificate_typed_data (const MooshCertificate *certificate);

/** Put a wallet's signature into `certificate` and set its identity to the signer;
 * MOOSH_ERROR_USAGE when the signature is none. */
gboolean moosh_certificate_set_signature (MooshCertificate *certificate, const guint8 signature[65],
                                          GError **error);

/** The bytes for the wire; new GBytes. */
GBytes *moosh_certificate_encode (const MooshCertificate *certificate);

/** Decode and verify: strict form, node key on the curve, signature by `identity`.
 * MOOSH_ERROR_PROTOCOL with the cause; `ret` is then untouched. Does not look at the time. */
gboolean moosh_certificate_decode (const void *ptr, gsize len, MooshCertificate *ret,
                                   GError **error);

/** MOOSH_ERROR_EXPIRED when `now_s` is after not_after_s. A clock ten minutes off is forgiven. */
gboolean moosh_certificate_check_time (const MooshCertificate *certificate, gint64 now_s,
                                       GError **error);
