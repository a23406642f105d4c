#include "daemon/keyd/statement.h"
#include "core/cbor/cbor.h"
#include <string.h>

enum { AUTHOR, CERTIFICATE_SEQ, KIND, D_KEY, SEQ, CREATED, EXPIRES, BODY };
#define ALL ((1u << (BODY + 1)) - 1)

/* One member of the right shape; the peer room decides what the numbers may be. */
static int
read_member (MooshCborReader *in, unsigned key, guint8 ret_author[33])
{
  MooshSpan span;

  switch (key)
    {
    case AUTHOR:
      return moosh_cbor_read_fixed (in, ret_author, 33);
    case BODY:
      return moosh_cbor_read_bytes (in, 0, MOOSH_CBOR_MAX, &span);
    case CERTIFICATE_SEQ:
    case KIND:
    case D_KEY:
    case SEQ:
    case CREATED:
    case EXPIRES:
      return moosh_cbor_skip (in, NULL);
    default:
      return MOOSH_E_MALFORMED;
    }
}

gboolean
statement_check (const guint8 *bytes, gsize len, const guint8 node_key[33], GError **error)
{
  MooshCborReader in;
  MooshCborMap map;
  guint8 author[33] = { 0 };
  unsigned key;
  int r = moosh_cbor_read_init (&in, bytes, len);

  if (r == MOOSH_OK)
    r = moosh_cbor_read_map (&in, &map);
  if (r == MOOSH_OK)
    {
      while ((r = moosh_cbor_next (&in, &map, &key)) > 0)
        if ((r = read_member (&in, key, author)) < 0)
          break;
      if (r == MOOSH_OK)
        r = moosh_cbor_require (&map, ALL);
    }
  if (r < 0)
    g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_DENIED, "statement: not one: %s",
                 moosh_strerror (r));
  else if (memcmp (author, node_key, 33) != 0)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_DENIED,
                   "statement: its author is another key than this node's");
      r = MOOSH_E_CRYPTO;
    }
  return r == MOOSH_OK;
}
