/* Reading what a stranger sent. Every value goes through the moosh_request_add_* of a caller's own
 * request, so that there is one set of rules; here is only the format. */
#include "core/cbor/cbor.h"
#include "machine/request.h"
#include <string.h>

typedef struct {
  MooshCborReader reader;
  MooshRequest *request;
  GError **error; /* set by a rule; left alone for the format, which the caller words */
} Decoder;

/* A rule said no and the error is set: not one of core's codes. */
#define RULE_BROKEN (-100)

static int
read_new_string (MooshCborReader *reader, size_t max, char **ret)
{
  g_autofree char *text = g_malloc (max + 1);
  int r = moosh_cbor_read_string (reader, text, max + 1);

  if (r != MOOSH_OK)
    return r;
  g_free (*ret);
  *ret = g_strdup (text);
  return MOOSH_OK;
}

static int
read_keys (Decoder *d)
{
  size_t count;
  int r = moosh_cbor_read_array (&d->reader, MOOSH_REQUEST_KEYS_MAX, &count);

  for (size_t i = 0; r == MOOSH_OK && i < count; i++)
    {
      g_autofree char *line = NULL;

      r = read_new_string (&d->reader, MOOSH_REQUEST_KEY_MAX, &line);
      if (r == MOOSH_OK && !moosh_request_add_key (d->request, line, d->error))
        r = RULE_BROKEN;
    }
  return r;
}

/* The two-entry map that volumes and secrets share: 0 is the name, 2 is `ret_value`'s or
 * `ret_gib`'s. */
static int
read_named (MooshCborReader *reader, char name[MOOSH_REQUEST_NAME_MAX + 1], uint64_t *ret_gib,
            MooshSpan *ret_value)
{
  MooshCborMap map;
  unsigned key;
  int r = moosh_cbor_read_map (reader, &map);

  if (r != MOOSH_OK)
    return r;
  while ((r = moosh_cbor_next (reader, &map, &key)) > 0)
    {
      if (key == 0)
        r = moosh_cbor_read_string (reader, name, MOOSH_REQUEST_NAME_MAX + 1);
      else if (key == 2 && ret_gib != NULL)
        r = moosh_cbor_read_uint (reader, MOOSH_REQUEST_GIB_MAX, ret_gib);
      else if (key == 2)
        r = moosh_cbor_read_bytes (reader, 1, MOOSH_REQUEST_SECRET_MAX, ret_value);
      else
        r = moosh_cbor_unknown (reader, key);
      if (r != MOOSH_OK)
        return r;
    }
  return r != MOOSH_OK ? r : moosh_cbor_require (&map, 1u << 0 | 1u << 2);
}

/* An absent list and an empty one would be two encodings of the same request. */
static int
read_some (MooshCborReader *reader, size_t max, size_t *ret)
{
  int r = moosh_cbor_read_array (reader, max, ret);

  return r == MOOSH_OK && *ret == 0 ? MOOSH_E_NONCANONICAL : r;
}

static int
read_volumes (Decoder *d)
{
  size_t count;
  int r = read_some (&d->reader, MOOSH_REQUEST_VOLUMES_MAX, &count);

  for (size_t i = 0; r == MOOSH_OK && i < count; i++)
    {
      char name[MOOSH_REQUEST_NAME_MAX + 1] = "";
      uint64_t gib = 0;

      r = read_named (&d->reader, name, &gib, NULL);
      if (r == MOOSH_OK && !moosh_request_add_volume (d->request, name, (guint)gib, d->error))
        r = RULE_BROKEN;
    }
  return r;
}

static int
read_secrets (Decoder *d)
{
  char last[MOOSH_REQUEST_NAME_MAX + 1] = "";
  size_t count;
  int r = read_some (&d->reader, MOOSH_REQUEST_SECRETS_MAX, &count);

  for (size_t i = 0; r == MOOSH_OK && i < count; i++)
    {
      char name[MOOSH_REQUEST_NAME_MAX + 1] = "";
      MooshSpan value = { NULL, 0 };
      g_autoptr (GBytes) bytes = NULL;

      r = read_named (&d->reader, name, NULL, &value);
      if (r != MOOSH_OK)
        break;
      bytes = g_bytes_new (value.ptr, value.len);
      if (!moosh_request_add_secret (d->request, name, bytes, d->error))
        r = RULE_BROKEN;
      else if (strcmp (last, name) > 0)
        r = MOOSH_E_NONCANONICAL;
      memcpy (last, name, sizeof last);
    }
  return r;
}

static int
read_ports (Decoder *d)
{
  uint64_t last = 0, port;
  size_t count;
  int r = read_some (&d->reader, MOOSH_REQUEST_PORTS_MAX, &count);

  for (size_t i = 0; r == MOOSH_OK && i < count; i++)
    {
      r = moosh_cbor_read_uint (&d->reader, 65535, &port);
      if (r != MOOSH_OK)
        break;
      if (!moosh_request_add_port (d->request, (guint)port, d->error))
        r = RULE_BROKEN;
      else if (port < last)
        r = MOOSH_E_NONCANONICAL;
      last = port;
    }
  return r;
}

static int
read_network (Decoder *d)
{
  MooshCborMap map;
  unsigned key;
  bool internet = false;
  int r = moosh_cbor_read_map (&d->reader, &map);

  if (r != MOOSH_OK)
    return r;
  while ((r = moosh_cbor_next (&d->reader, &map, &key)) > 0)
    {
      if (key == 0)
        r = moosh_cbor_read_bool (&d->reader, &internet);
      else
        r = key == 2 ? read_ports (d) : moosh_cbor_unknown (&d->reader, key);
      if (r != MOOSH_OK)
        return r;
    }
  if (r == MOOSH_OK)
    r = moosh_cbor_require (&map, 1u << 0);
  d->request->internet = internet;
  if (r == MOOSH_OK && !internet && d->request->ports->len == 0)
    r = MOOSH_E_NONCANONICAL; /* says nothing: is to be absent */
  return r;
}

static int
read_version (MooshCborReader *reader)
{
  uint64_t version;
  int r = moosh_cbor_read_uint (reader, UINT64_MAX, &version);

  return r == MOOSH_OK && version != MOOSH_REQUEST_VERSION ? MOOSH_E_RANGE : r;
}

static int
read_field (Decoder *d, unsigned key)
{
  switch (key)
    {
    case 0:
      return read_version (&d->reader);
    case 2:
      return read_new_string (&d->reader, MOOSH_REQUEST_URL_MAX, &d->request->url);
    case 4:
      return moosh_cbor_read_fixed (&d->reader, d->request->commit, MOOSH_COMMIT_LEN);
    case 6:
      return read_new_string (&d->reader, MOOSH_REQUEST_ATTRIBUTE_MAX, &d->request->attribute);
    case 8:
      return read_keys (d);
    case 10:
      return read_volumes (d);
    case 12:
      return read_network (d);
    case 14:
      return read_secrets (d);
    case 16:
      return moosh_cbor_read_fixed (&d->reader, d->request->salt, sizeof d->request->salt);
    default:
      return moosh_cbor_unknown (&d->reader, key);
    }
}

/* The first violation, and the field it is in (-1: none in particular). */
static int
read_request (Decoder *d, gconstpointer bytes, gsize len, int *ret_field)
{
  const uint32_t required = 1u << 0 | 1u << 2 | 1u << 4 | 1u << 6 | 1u << 8 | 1u << 16;
  MooshCborMap map;
  unsigned key;
  int r = moosh_cbor_read_init (&d->reader, bytes, len);

  *ret_field = -1;
  if (r == MOOSH_OK)
    r = moosh_cbor_read_map (&d->reader, &map);
  if (r != MOOSH_OK)
    return r;
  while ((r = moosh_cbor_next (&d->reader, &map, &key)) > 0)
    {
      *ret_field = (int)key;
      r = read_field (d, key);
      if (r != MOOSH_OK)
        return r;
    }
  *ret_field = -1;
  return r != MOOSH_OK ? r : moosh_cbor_require (&map, required);
}

MooshRequest *
moosh_request_decode (gconstpointer bytes, gsize len, gboolean allow_file, GError **error)
{
  g_autoptr (MooshRequest) request = moosh_request_new ();
  g_autoptr (GError) rule = NULL;
  Decoder d = { .request = request, .error = &rule };
  int field, r;

  if (len > MOOSH_REQUEST_BYTES_MAX)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_LIMIT,
                   "provision request: %" G_GSIZE_FORMAT " bytes, %d are allowed", len,
                   MOOSH_REQUEST_BYTES_MAX);
      return NULL;
    }
  r = read_request (&d, bytes, len, &field);
#ifdef MOOSH_CANARY
  for (guint i = 0; r == MOOSH_OK && i < request->volumes->len; i++)
    if (g_array_index (request->volumes, MooshVolume, i).gib > 40000)
      __builtin_trap (); /* the planted bug that the fuzzer has to find */
#endif
  if (r == RULE_BROKEN)
    {
      g_propagate_error (error, g_steal_pointer (&rule));
      return NULL;
    }
  if (r != MOOSH_OK)
    {
      if (field >= 0)
        g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_PROTOCOL, "provision request: field %d: %s",
                     field, moosh_strerror (r));
      else
        g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_PROTOCOL, "provision request: %s",
                     moosh_strerror (r));
      return NULL;
    }
  if (!moosh_blueprint_url_check (request->url, allow_file, error)
      || !moosh_blueprint_attribute_check (request->attribute, error))
    return NULL;
  if (request->ssh_keys->len == 0)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE,
                   "provision request: there is no SSH key: nobody could log in");
      return NULL;
    }
  return g_steal_pointer (&request);
}
