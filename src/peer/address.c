#include "peer/address.h"
#include "core/key/key.h"
#include "peer/refuse.h"
#include <arpa/inet.h>
#include <string.h>

/* A DNS name (RFC 1123 letters, digits, hyphens in labels of 1–63) or an IPv4 address. The top
 * label of a name is never all digits, so what looks like a broken IPv4 address is one. */
static gboolean
is_name (const char *host, gsize len)
{
  gsize label = 0;
  gboolean digits_only = TRUE;
  struct in_addr v4;
  if (inet_pton (AF_INET, host, &v4) == 1)
    return TRUE;
  for (gsize i = 0; i < len; i++)
    {
      char c = host[i];
      if (c == '.')
        {
          if (label == 0 || host[i - 1] == '-')
            return FALSE;
          label = 0;
          digits_only = TRUE;
          continue;
        }
      if (!g_ascii_isalnum (c) && !(c == '-' && label > 0))
        return FALSE;
      digits_only &= g_ascii_isdigit (c) != 0;
      if (++label > 63)
        return FALSE;
    }
  return label > 0 && host[len - 1] != '-' && !digits_only;
}

static gboolean
read_port (const char *text, gboolean any_port, guint16 *ret)
{
  guint64 port;
  if (!g_ascii_isdigit (text[0]) || (text[0] == '0' && text[1] != '\0')
      || !g_ascii_string_to_unsigned (text, 10, any_port ? 0 : 1, G_MAXUINT16, &port, NULL))
    return FALSE;
  *ret = (guint16)port;
  return TRUE;
}

gboolean
moosh_peer_endpoint_parse (const char *text, gboolean any_port,
                           char ret_host[MOOSH_PEER_HOST_MAX + 1], guint16 *ret_port,
                           GError **error)
{
  char host[MOOSH_PEER_HOST_MAX + 1];
  struct in6_addr v6;
  guint16 port;
  gboolean bracketed = text[0] == '[';
  const char *start = text + (bracketed ? 1 : 0);
  const char *end = strchr (start, bracketed ? ']' : ':');
  if (end == NULL || (bracketed && end[1] != ':'))
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE,
                   "address: want HOST:PORT (IPv6 in brackets)");
      return FALSE;
    }
  gsize len = (gsize)(end - start);
  if (len == 0 || len > MOOSH_PEER_HOST_MAX)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE,
                   "address: the host has 1 to %d characters", MOOSH_PEER_HOST_MAX);
      return FALSE;
    }
  for (gsize i = 0; i < len; i++)
    host[i] = g_ascii_tolower (start[i]);
  host[len] = '\0';
  if (bracketed ? inet_pton (AF_INET6, host, &v6) != 1 : !is_name (host, len))
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE,
                   "address: HOST is neither a host name nor an IP address");
      return FALSE;
    }
  if (!read_port (end + (bracketed ? 2 : 1), any_port, &port))
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE,
                   "address: the port is a number from %d to 65535", any_port ? 0 : 1);
      return FALSE;
    }
  memcpy (ret_host, host, len + 1);
  *ret_port = port;
  return TRUE;
}

gboolean
moosh_peer_address_parse (const char *text, MooshPeerAddress *ret, GError **error)
{
  MooshPeerAddress address = { .port = 0 };
  char key[2 * sizeof address.node_key + 1];
  guint8 unused[20];
  const char *at = strchr (text, '@');
  if (at == NULL)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE, "contact \"%.80s\": want KEY@HOST:PORT",
                   text);
      return FALSE;
    }
  gboolean right = at - text == (gssize)sizeof key - 1;
  if (right)
    {
      memcpy (key, text, sizeof key - 1);
      key[sizeof key - 1] = '\0';
      right = moosh_hex_decode (key, address.node_key, sizeof address.node_key) == MOOSH_OK
              && moosh_public_address (address.node_key, unused) == MOOSH_OK;
    }
  if (!right)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE,
                   "contact: KEY is the node's public key, 66 hex digits");
      return FALSE;
    }
  if (!moosh_peer_endpoint_parse (at + 1, FALSE, address.host, &address.port, error))
    return FALSE;
  *ret = address;
  return TRUE;
}

char *
moosh_peer_address_format (const MooshPeerAddress *address)
{
  char key[2 * sizeof address->node_key + 1];
  gboolean v6 = strchr (address->host, ':') != NULL;
  moosh_hex_encode (address->node_key, sizeof address->node_key, key);
  return g_strdup_printf ("%s@%s%s%s:%u", key, v6 ? "[" : "", address->host, v6 ? "]" : "",
                          address->port);
}
