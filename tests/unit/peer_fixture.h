/* Keys, certificates and nodes for the peer tests. */
#pragma once
#include "core/key/key.h"
#include "peer/peer.h"
#include <string.h>

/* A wallet and a node key made from one number. */
typedef struct {
  MooshCurve curve;
  guint8 wallet[32], secret[32];
  guint8 identity[20], node_key[33];
} Party;

static inline void
party_init (Party *party, guint8 number)
{
  moosh_curve_init (&party->curve, NULL);
  memset (party->wallet, number, 32);
  memset (party->secret, number + 100, 32);
  g_assert_cmpint (moosh_key_address (&party->curve, party->wallet, party->identity), ==, 0);
  g_assert_cmpint (moosh_key_public (&party->curve, party->secret, party->node_key), ==, 0);
}

static inline MooshCertificate
party_certificate (const Party *party, guint64 seq, guint64 not_after_s)
{
  MooshCertificate certificate = { .seq = seq, .not_after_s = not_after_s };
  MooshSignature signature;
  guint8 digest[32], bytes[65];
  g_autoptr (GError) error = NULL;
  memcpy (certificate.node_key, party->node_key, 33);
  memset (certificate.wg_key, 7, 32);
  moosh_certificate_digest (&certificate, digest);
  g_assert_cmpint (moosh_sign (&party->curve, party->wallet, digest, &signature), ==, 0);
  moosh_signature_to_bytes (&signature, bytes);
  moosh_certificate_set_signature (&certificate, bytes, &error);
  g_assert_no_error (error);
  return certificate;
}

static inline GBytes *
party_certificate_bytes (const Party *party)
{
  MooshCertificate certificate = party_certificate (party, 1, 4102444800); /* the year 2100 */
  return moosh_certificate_encode (&certificate);
}

static inline gboolean
party_ecdh (const guint8 public_key[33], guint8 ret_secret[32], gpointer party, GError **error)
{
  if (moosh_ecdh (((Party *)party)->secret, public_key, ret_secret) == 0)
    return TRUE;
  g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_FAILED, "no point");
  return FALSE;
}

/* What a test may want to change before party_node. */
static inline MooshPeerConfig
party_config (Party *party, gboolean listens)
{
  MooshPeerConfig config = { .ecdh = party_ecdh, .ecdh_data = party, .software = "test/1" };
  memcpy (config.node_key, party->node_key, 33);
  config.listen_host = listens ? "127.0.0.1" : NULL;
  return config;
}

static inline MooshPeerNode *
party_node (Party *party, MooshPeerConfig *config)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) own = NULL;
  if (config->certificate == NULL)
    config->certificate = own = party_certificate_bytes (party);
  MooshPeerNode *node = moosh_peer_node_new (config, &error);
  g_assert_no_error (error);
  return node;
}

static inline MooshPeerAddress
party_address (const Party *party, MooshPeerNode *node)
{
  MooshPeerAddress address = { .host = "127.0.0.1", .port = moosh_peer_node_port (node) };
  memcpy (address.node_key, party->node_key, 33);
  return address;
}
