/** KEY@HOST:PORT: where a node is reached and which key it must prove there. */
#pragma once
#include "base/error.h"

#define MOOSH_PEER_HOST_MAX     253 /* longest DNS name (RFC 1035 §3.1 as text) */
#define MOOSH_PEER_ADDRESS_TEXT (66 + 1 + 2 + MOOSH_PEER_HOST_MAX + 1 + 5 + 1)

typedef struct {
  guint8 node_key[33];                /* compressed secp256k1 point */
  char host[MOOSH_PEER_HOST_MAX + 1]; /* DNS name, IPv4 or IPv6 without brackets; lower case */
  guint16 port;                       /* 1–65535 */
} MooshPeerAddress;

/** Read "KEY@HOST:PORT": KEY is 66 hex digits of a point on the curve, HOST a DNS name, an IPv4
 * address, or an IPv6 address in brackets; no spaces. MOOSH_ERROR_USAGE says which part is off;
 * `ret` is then untouched. */
gboolean moosh_peer_address_parse (const char *text, MooshPeerAddress *ret, GError **error);

/** The one text form of an address; new string. moosh_peer_address_parse reads it back. */
char *moosh_peer_address_format (const MooshPeerAddress *address);

/** Read "HOST:PORT" as above, to listen on; port 0 is allowed when `any_port`. */
gboolean moosh_peer_endpoint_parse (const char *text, gboolean any_port,
                                    char ret_host[MOOSH_PEER_HOST_MAX + 1], guint16 *ret_port,
                                    GError **error);
