#include "peer/certificate.h"
#include "core/abi/eip712.h"
#include "core/cbor/cbor.h"
#include "core/key/key.h"
#include "peer/refuse.h"
#include <string.h>

enum {
  KEY_IDENTITY = 0,
  KEY_NODE = 2,
  KEY_WG = 4,
  KEY_WG_NEXT = 6,
  KEY_SEQ = 8,
  KEY_NOT_AFTER = 10,
  KEY_SIGNATURE = 12
};

#define KEYS_ALL                                                                                   \
  (1u << KEY_IDENTITY | 1u << KEY_NODE | 1u << KEY_WG | 1u << KEY_WG_NEXT | 1u << KEY_SEQ          \
   | 1u << KEY_NOT_AFTER | 1u << KEY_SIGNATURE)

#define CLOCK_SLACK_S 600 /* a clock ten minutes off is forgiven */

void
moosh_certificate_digest (const MooshCertificate *certificate, guint8 ret_digest[32])
{
  MooshEip712Struct st;
  guint8 domain[32], hash[32];
  moosh_eip712_domain (&(MooshEip712Domain){ .name = "MooshNet", .version = "1" }, domain);
  moosh_eip712_begin (&st, MOOSH_CERTIFICATE_TYPE);
  moosh_eip712_add_bytes (&st, certificate->node_key, sizeof certificate->node_key);
  moosh_eip712_add_bytes32 (&st, certificate->wg_key);
  moosh_eip712_add_bytes32 (&st, certificate->wg_key_next);
  moosh_eip712_add_u64 (&st, certificate->seq);
  moosh_eip712_add_u64 (&st, certificate->not_after_s);
  moosh_eip712_finish (&st, hash);
  moosh_eip712_digest (domain, hash, ret_digest);
}

char *
moosh_certificate_typed_data (const MooshCertificate *certificate)
{
  char node[67], wg[65], wg_next[65];
  moosh_hex_encode (certificate->node_key, 33, node);
  moosh_hex_encode (certificate->wg_key, 32, wg);
  moosh_hex_encode (certificate->wg_key_next, 32, wg_next);
  /* Numbers go as strings: a JSON number holds 53 bits only. */
  return g_strdup_printf (
      "{\"types\":{\"EIP712Domain\":[{\"name\":\"name\",\"type\":\"string\"},"
      "{\"name\":\"version\",\"type\":\"string\"}],"
      "\"NodeCertificate\":[{\"name\":\"nodeKey\",\"type\":\"bytes\"},"
      "{\"name\":\"wgKey\",\"type\":\"bytes32\"},{\"name\":\"wgKeyNext\",\"type\":\"bytes32\"},"
      "{\"name\":\"seq\",\"type\":\"uint64\"},{\"name\":\"notAfter\",\"type\":\"uint64\"}]},"
      "\"primaryType\":\"NodeCertificate\","
      "\"domain\":{\"name\":\"MooshNet\",\"version\":\"1\"},"
      "\"message\":{\"nodeKey\":\"0x%s\",\"wgKey\":\"0x%s\",\"wgKeyNext\":\"0x%s\","
      "\"seq\":\"%" G_GUINT64_FORMAT "\",\"notAfter\":\"%" G_GUINT64_FORMAT "\"}}",
      node, wg, wg_next, certificate->seq, certificate->not_after_s);
}

/* Who signed it. Strict: v is 27 or 28 and s low, so that a certificate has one form only. */
static int
signer (const MooshCertificate *certificate, const guint8 signature[65], guint8 ret_identity[20])
{
  MooshSignature parsed;
  guint8 digest[32];
  if (signature[64] != 27 && signature[64] != 28)
    return MOOSH_E_RANGE;
  int r = moosh_signature_from_bytes (signature, &parsed);
  if (r < 0)
    return r;
  moosh_certificate_digest (certificate, digest);
  return moosh_recover_address (digest, &parsed, ret_identity);
}

gboolean
moosh_certificate_set_signature (MooshCertificate *certificate, const guint8 signature[65],
                                 GError **error)
{
  guint8 identity[20], normal[65];
  memcpy (normal, signature, 65);
  if (normal[64] < 2)
    normal[64] = (guint8)(normal[64] + 27); /* some wallets say 0 or 1 */
  if (!moosh_peer_ok (signer (certificate, normal, identity), MOOSH_ERROR_USAGE,
                      "node certificate: signature", error))
    return FALSE;
  memcpy (certificate->signature, normal, 65);
  memcpy (certificate->identity, identity, 20);
  return TRUE;
}

GBytes *
moosh_certificate_encode (const MooshCertificate *certificate)
{
  guint8 buffer[MOOSH_CERTIFICATE_MAX];
  MooshCborWriter w;
  gsize len = 0;
  moosh_cbor_write_init (&w, buffer, sizeof buffer);
  moosh_cbor_put_map (&w, 7);
  moosh_cbor_put_key (&w, KEY_IDENTITY);
  moosh_cbor_put_bytes (&w, certificate->identity, 20);
  moosh_cbor_put_key (&w, KEY_NODE);
  moosh_cbor_put_bytes (&w, certificate->node_key, 33);
  moosh_cbor_put_key (&w, KEY_WG);
  moosh_cbor_put_bytes (&w, certificate->wg_key, 32);
  moosh_cbor_put_key (&w, KEY_WG_NEXT);
  moosh_cbor_put_bytes (&w, certificate->wg_key_next, 32);
  moosh_cbor_put_key (&w, KEY_SEQ);
  moosh_cbor_put_uint (&w, certificate->seq);
  moosh_cbor_put_key (&w, KEY_NOT_AFTER);
  moosh_cbor_put_uint (&w, certificate->not_after_s);
  moosh_cbor_put_key (&w, KEY_SIGNATURE);
  moosh_cbor_put_bytes (&w, certificate->signature, 65);
  int r = moosh_cbor_finish (&w, &len);
  g_assert (r == MOOSH_OK); /* every member is of fixed size, and they fit */
  return g_bytes_new (buffer, len);
}

static int
read_member (MooshCborReader *reader, unsigned key, MooshCertificate *ret)
{
  switch (key)
    {
    case KEY_IDENTITY:
      return moosh_cbor_read_fixed (reader, ret->identity, 20);
    case KEY_NODE:
      return moosh_cbor_read_fixed (reader, ret->node_key, 33);
    case KEY_WG:
      return moosh_cbor_read_fixed (reader, ret->wg_key, 32);
    case KEY_WG_NEXT:
      return moosh_cbor_read_fixed (reader, ret->wg_key_next, 32);
    case KEY_SEQ:
      return moosh_cbor_read_uint (reader, G_MAXUINT64, &ret->seq);
    case KEY_NOT_AFTER:
      return moosh_cbor_read_uint (reader, G_MAXUINT64, &ret->not_after_s);
    case KEY_SIGNATURE:
      return moosh_cbor_read_fixed (reader, ret->signature, 65);
    default:
      return moosh_cbor_unknown (reader, key);
    }
}

static int
read_certificate (const void *ptr, gsize len, MooshCertificate *ret)
{
  MooshCborReader reader;
  MooshCborMap map;
  unsigned key;
  if (len > MOOSH_CERTIFICATE_MAX)
    return MOOSH_E_LIMIT;
  int r = moosh_cbor_read_init (&reader, ptr, len);
  if (r == MOOSH_OK)
    r = moosh_cbor_read_map (&reader, &map);
  if (r < 0)
    return r;
  while ((r = moosh_cbor_next (&reader, &map, &key)) > 0)
    if ((r = read_member (&reader, key, ret)) < 0)
      return r;
  return r < 0 ? r : moosh_cbor_require (&map, KEYS_ALL);
}

gboolean
moosh_certificate_decode (const void *ptr, gsize len, MooshCertificate *ret, GError **error)
{
  MooshCertificate certificate = { .seq = 0 };
  guint8 address[20];
  if (!moosh_peer_ok (read_certificate (ptr, len, &certificate), MOOSH_ERROR_PROTOCOL,
                      "node certificate", error)
      || !moosh_peer_ok (moosh_public_address (certificate.node_key, address), MOOSH_ERROR_PROTOCOL,
                         "node certificate: node key", error)
      || !moosh_peer_ok (signer (&certificate, certificate.signature, address),
                         MOOSH_ERROR_PROTOCOL, "node certificate: signature", error))
    return FALSE;
  if (memcmp (address, certificate.identity, 20) != 0)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_PROTOCOL,
                   "node certificate: not signed by its identity");
      return FALSE;
    }
  *ret = certificate;
  return TRUE;
}

gboolean
moosh_certificate_check_time (const MooshCertificate *certificate, gint64 now_s, GError **error)
{
  if (now_s < 0 || (guint64)now_s <= certificate->not_after_s
      || (guint64)now_s - certificate->not_after_s <= CLOCK_SLACK_S)
    return TRUE;
  g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_EXPIRED,
               "node certificate: expired %" G_GUINT64_FORMAT " s ago",
               (guint64)now_s - certificate->not_after_s);
  return FALSE;
}
