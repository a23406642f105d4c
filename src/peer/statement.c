#include "peer/statement.h"
#include "core/cbor/cbor.h"
#include "core/hash/hash.h"
#include "core/key/key.h"
#include "peer/refuse.h"
#include <string.h>

enum {
  KEY_AUTHOR,
  KEY_CERTIFICATE_SEQ,
  KEY_KIND,
  KEY_DKEY,
  KEY_SEQ,
  KEY_CREATED,
  KEY_EXPIRES,
  KEY_BODY,
  N_KEYS
};

G_STATIC_ASSERT (MOOSH_STATEMENT_MAX == MOOSH_CBOR_MAX);

/* What holds for a statement whoever made it. NULL, or what is wrong. */
static const char *
fault_of (const MooshStatement *statement)
{
  guint8 address[20];
  if (moosh_public_address (statement->author, address) < 0)
    return "author is no public key";
  if (statement->dkey_len > MOOSH_STATEMENT_DKEY_MAX)
    return "d-key is too long";
  if (statement->body_len > MOOSH_STATEMENT_BODY_MAX)
    return "body is too long";
  if (statement->kind > MOOSH_STATEMENT_KIND_MAX)
    return "kind is out of range";
  if (statement->expires_s <= statement->created_s)
    return "expires before it was created";
  return NULL;
}

GBytes *
moosh_statement_encode (const MooshStatement *statement, GError **error)
{
  const char *fault = fault_of (statement);
  if (fault != NULL)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE, "statement: %s", fault);
      return NULL;
    }
  g_autofree guint8 *buffer = g_malloc (MOOSH_STATEMENT_MAX);
  MooshCborWriter w;
  gsize len = 0;
  moosh_cbor_write_init (&w, buffer, MOOSH_STATEMENT_MAX);
  moosh_cbor_put_map (&w, N_KEYS);
  moosh_cbor_put_key (&w, KEY_AUTHOR);
  moosh_cbor_put_bytes (&w, statement->author, 33);
  moosh_cbor_put_key (&w, KEY_CERTIFICATE_SEQ);
  moosh_cbor_put_uint (&w, statement->certificate_seq);
  moosh_cbor_put_key (&w, KEY_KIND);
  moosh_cbor_put_uint (&w, statement->kind);
  moosh_cbor_put_key (&w, KEY_DKEY);
  moosh_cbor_put_bytes (&w, statement->dkey, statement->dkey_len);
  moosh_cbor_put_key (&w, KEY_SEQ);
  moosh_cbor_put_uint (&w, statement->seq);
  moosh_cbor_put_key (&w, KEY_CREATED);
  moosh_cbor_put_uint (&w, statement->created_s);
  moosh_cbor_put_key (&w, KEY_EXPIRES);
  moosh_cbor_put_uint (&w, statement->expires_s);
  moosh_cbor_put_key (&w, KEY_BODY);
  moosh_cbor_put_bytes (&w, statement->body, statement->body_len);
  if (!moosh_peer_ok (moosh_cbor_finish (&w, &len), MOOSH_ERROR_USAGE, "statement", error))
    return NULL;
  return g_bytes_new (buffer, len);
}

static int
read_member (MooshCborReader *reader, unsigned key, MooshStatement *ret)
{
  MooshSpan span;
  guint64 kind;
  int r;
  switch (key)
    {
    case KEY_AUTHOR:
      return moosh_cbor_read_fixed (reader, ret->author, 33);
    case KEY_CERTIFICATE_SEQ:
      return moosh_cbor_read_uint (reader, G_MAXUINT64, &ret->certificate_seq);
    case KEY_KIND:
      r = moosh_cbor_read_uint (reader, MOOSH_STATEMENT_KIND_MAX, &kind);
      if (r == MOOSH_OK)
        ret->kind = (guint)kind;
      return r;
    case KEY_DKEY:
      r = moosh_cbor_read_bytes (reader, 0, MOOSH_STATEMENT_DKEY_MAX, &span);
      if (r == MOOSH_OK)
        memcpy (ret->dkey, span.ptr, ret->dkey_len = span.len);
      return r;
    case KEY_SEQ:
      return moosh_cbor_read_uint (reader, G_MAXUINT64, &ret->seq);
    case KEY_CREATED:
      return moosh_cbor_read_uint (reader, G_MAXUINT64, &ret->created_s);
    case KEY_EXPIRES:
      return moosh_cbor_read_uint (reader, G_MAXUINT64, &ret->expires_s);
    case KEY_BODY:
      r = moosh_cbor_read_bytes (reader, 0, MOOSH_STATEMENT_BODY_MAX, &span);
      if (r == MOOSH_OK)
        {
          ret->body = span.ptr;
          ret->body_len = span.len;
        }
      return r;
    default:
      return moosh_cbor_unknown (reader, key);
    }
}

static int
read_statement (const void *ptr, gsize len, MooshStatement *ret)
{
  MooshCborReader reader;
  MooshCborMap map;
  unsigned key;
  int r = moosh_cbor_read_init (&reader, ptr, len);
  if (r == MOOSH_OK)
    r = moosh_cbor_read_map (&reader, &map);
  if (r < 0)
    return r;
  while ((r = moosh_cbor_next (&reader, &map, &key)) > 0)
    if ((r = read_member (&reader, key, ret)) < 0)
      return r;
#ifdef MOOSH_CANARY
  /* The planted bug of the fuzz targets' canary build: a rating is read one byte too far. */
  if (ret->kind == MOOSH_STATEMENT_RATING && ret->body != NULL
      && ((volatile const guint8 *)ptr)[len] == 0)
    return MOOSH_E_MALFORMED;
#endif
  return r < 0 ? r : moosh_cbor_require (&map, (1u << N_KEYS) - 1);
}

gboolean
moosh_statement_decode (const void *ptr, gsize len, MooshStatement *ret, GError **error)
{
  MooshStatement statement = { .kind = 0 };
  if (!moosh_peer_ok (read_statement (ptr, len, &statement), MOOSH_ERROR_PROTOCOL, "statement",
                      error))
    return FALSE;
  const char *fault = fault_of (&statement);
  if (fault != NULL)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_PROTOCOL, "statement: %s", fault);
      return FALSE;
    }
  *ret = statement;
  return TRUE;
}

void
moosh_statement_id (const void *ptr, gsize len, guint8 ret_id[32])
{
  moosh_sha256 (ptr, len, ret_id);
}

gboolean
moosh_statement_check (const void *ptr, gsize len, const guint8 signature[64], MooshStatement *ret,
                       GError **error)
{
  MooshStatement statement;
  if (!moosh_statement_decode (ptr, len, &statement, error)
      || !moosh_peer_ok (
          moosh_statement_verify (statement.author, (MooshSpan){ ptr, len }, signature),
          MOOSH_ERROR_PROTOCOL, "statement: signature", error))
    return FALSE;
  *ret = statement;
  return TRUE;
}
