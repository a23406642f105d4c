#include "machine/request.h"
#include "core/cbor/cbor.h"
#include "core/hash/hash.h"
#include <sodium.h>
#include <string.h>

static const char *const key_types[] = { "ssh-ed25519",
                                         "ecdsa-sha2-nistp256",
                                         "ecdsa-sha2-nistp384",
                                         "ecdsa-sha2-nistp521",
                                         "sk-ssh-ed25519@openssh.com",
                                         "sk-ecdsa-sha2-nistp256@openssh.com",
                                         "ssh-rsa",
                                         NULL };

static gboolean refuse (GError **error, const char *format, ...) G_GNUC_PRINTF (2, 3);

static gboolean
refuse (GError **error, const char *format, ...)
{
  g_autofree char *message = NULL;
  va_list args;

  va_start (args, format);
  message = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE, "provision request: %s", message);
  return FALSE;
}

static gboolean
too_many (GError **error, const char *what, guint max)
{
  g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_LIMIT, "provision request: more than %u %s", max,
               what);
  return FALSE;
}

static void
secret_free (gpointer memory)
{
  MooshSecret *secret = memory;

  g_bytes_unref (secret->value);
  g_free (secret);
}

MooshRequest *
moosh_request_new (void)
{
  MooshRequest *request = g_new0 (MooshRequest, 1);

  request->ssh_keys = g_ptr_array_new_with_free_func (g_free);
  request->volumes = g_array_new (FALSE, TRUE, sizeof (MooshVolume));
  request->ports = g_array_new (FALSE, TRUE, sizeof (guint16));
  request->secrets = g_ptr_array_new_with_free_func (secret_free);
  randombytes_buf (request->salt, sizeof request->salt);
  return request;
}

void
moosh_request_free (MooshRequest *request)
{
  if (request == NULL)
    return;
  g_free (request->url);
  g_free (request->attribute);
  g_ptr_array_unref (request->ssh_keys);
  g_array_unref (request->volumes);
  g_array_unref (request->ports);
  g_ptr_array_unref (request->secrets);
  g_free (request);
}

/* An authorized_keys line without options: anything else would let one request's key say what sshd
 * does with it. */
static gboolean
key_check (const char *line, GError **error)
{
  const char *space = strchr (line, ' ');
  g_autofree char *type = NULL, *encoded = NULL;
  g_autofree guchar *blob = NULL;
  const char *end;
  gsize blob_len, type_len;

  if (strlen (line) > MOOSH_REQUEST_KEY_MAX)
    return refuse (error, "SSH key: longer than %d bytes", MOOSH_REQUEST_KEY_MAX);
  for (const char *c = line; *c != '\0'; c++)
    if (g_ascii_iscntrl (*c))
      return refuse (error, "SSH key: control characters are not allowed");
  if (space == NULL)
    return refuse (error, "SSH key: expected \"type base64 comment\"");
  type = g_strndup (line, (gsize)(space - line));
  if (!g_strv_contains (key_types, type))
    return refuse (
        error,
        "SSH key: type \"%.40s\" is not one of ours (options before the type are not allowed)",
        type);
  end = strchr (space + 1, ' ');
  encoded = end != NULL ? g_strndup (space + 1, (gsize)(end - space - 1)) : g_strdup (space + 1);
  if (*encoded == '\0'
      || strspn (encoded, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=")
             != strlen (encoded))
    return refuse (error, "SSH key: the key is not base64");
  blob = g_base64_decode (encoded, &blob_len);
  type_len = strlen (type);
  /* RFC 4253 §6.6: the blob begins with its own type as a string */
  if (blob_len < 4 + type_len || moosh_get_be32 (blob) != type_len
      || memcmp (blob + 4, type, type_len) != 0)
    return refuse (error, "SSH key: the key is not of the type \"%s\"", type);
  return TRUE;
}

static gboolean
name_check (const char *what, const char *name, GError **error)
{
  gsize len = strlen (name);

  if (len == 0 || len > MOOSH_REQUEST_NAME_MAX || !g_ascii_islower (name[0])
      || strspn (name, "abcdefghijklmnopqrstuvwxyz0123456789-") != len)
    return refuse (error,
                   "%s \"%.40s\": a name is 1 to %d of a-z, 0-9 and -, beginning with a letter",
                   what, name, MOOSH_REQUEST_NAME_MAX);
  return TRUE;
}

gboolean
moosh_request_add_key (MooshRequest *request, const char *line, GError **error)
{
  if (request->ssh_keys->len == MOOSH_REQUEST_KEYS_MAX)
    return too_many (error, "SSH keys", MOOSH_REQUEST_KEYS_MAX);
  if (!key_check (line, error))
    return FALSE;
  g_ptr_array_add (request->ssh_keys, g_strdup (line));
  return TRUE;
}

gboolean
moosh_request_add_volume (MooshRequest *request, const char *name, guint gib, GError **error)
{
  MooshVolume volume = { .gib = gib };

  if (request->volumes->len == MOOSH_REQUEST_VOLUMES_MAX)
    return too_many (error, "volumes", MOOSH_REQUEST_VOLUMES_MAX);
  if (!name_check ("volume", name, error))
    return FALSE;
  if (gib < 1 || gib > MOOSH_REQUEST_GIB_MAX)
    return refuse (error, "volume \"%s\": %u GiB is not in 1 to %d", name, gib,
                   MOOSH_REQUEST_GIB_MAX);
  for (guint i = 0; i < request->volumes->len; i++)
    if (strcmp (g_array_index (request->volumes, MooshVolume, i).name, name) == 0)
      return refuse (error, "volume \"%s\" is there twice", name);
  g_strlcpy (volume.name, name, sizeof volume.name);
  g_array_append_val (request->volumes, volume);
  return TRUE;
}

gboolean
moosh_request_add_port (MooshRequest *request, guint port, GError **error)
{
  guint16 value = (guint16)port;
  guint at = 0;

  if (port == 0 || port > 65535 || port == 22)
    return refuse (error, "port %u cannot be forwarded: use 1 to 65535, 22 is always there", port);
  if (request->ports->len == MOOSH_REQUEST_PORTS_MAX)
    return too_many (error, "ports", MOOSH_REQUEST_PORTS_MAX);
  while (at < request->ports->len && g_array_index (request->ports, guint16, at) < value)
    at++;
  if (at < request->ports->len && g_array_index (request->ports, guint16, at) == value)
    return refuse (error, "port %u is there twice", port);
  g_array_insert_val (request->ports, at, value);
  return TRUE;
}

gboolean
moosh_request_add_secret (MooshRequest *request, const char *name, GBytes *value, GError **error)
{
  MooshSecret *secret;
  gsize len = g_bytes_get_size (value);
  guint at = 0;

  if (request->secrets->len == MOOSH_REQUEST_SECRETS_MAX)
    return too_many (error, "secrets", MOOSH_REQUEST_SECRETS_MAX);
  if (!name_check ("secret", name, error))
    return FALSE;
  if (len < 1 || len > MOOSH_REQUEST_SECRET_MAX)
    return refuse (error, "secret \"%s\": %" G_GSIZE_FORMAT " bytes is not in 1 to %d", name, len,
                   MOOSH_REQUEST_SECRET_MAX);
  for (; at < request->secrets->len; at++)
    {
      int order = strcmp (((MooshSecret *)request->secrets->pdata[at])->name, name);

      if (order == 0)
        return refuse (error, "secret \"%s\" is there twice", name);
      if (order > 0)
        break;
    }
  secret = g_new0 (MooshSecret, 1);
  g_strlcpy (secret->name, name, sizeof secret->name);
  secret->value = g_bytes_ref (value);
  g_ptr_array_insert (request->secrets, (int)at, secret);
  return TRUE;
}

/* Field keys; the header of request.h is their description. */
enum {
  KEY_VERSION = 0,
  KEY_URL = 2,
  KEY_COMMIT = 4,
  KEY_ATTRIBUTE = 6,
  KEY_SSH = 8,
  KEY_VOLUMES = 10,
  KEY_NETWORK = 12,
  KEY_SECRETS = 14,
  KEY_SALT = 16,
};

static void
put_volumes (MooshCborWriter *w, const GArray *volumes)
{
  moosh_cbor_put_key (w, KEY_VOLUMES);
  moosh_cbor_put_array (w, volumes->len);
  for (guint i = 0; i < volumes->len; i++)
    {
      const MooshVolume *volume = &g_array_index (volumes, MooshVolume, i);

      moosh_cbor_put_map (w, 2);
      moosh_cbor_put_key (w, 0);
      moosh_cbor_put_text (w, volume->name);
      moosh_cbor_put_key (w, 2);
      moosh_cbor_put_uint (w, volume->gib);
    }
}

static void
put_network (MooshCborWriter *w, gboolean internet, const GArray *ports)
{
  moosh_cbor_put_key (w, KEY_NETWORK);
  moosh_cbor_put_map (w, ports->len > 0 ? 2 : 1);
  moosh_cbor_put_key (w, 0);
  moosh_cbor_put_bool (w, internet);
  if (ports->len == 0)
    return;
  moosh_cbor_put_key (w, 2);
  moosh_cbor_put_array (w, ports->len);
  for (guint i = 0; i < ports->len; i++)
    moosh_cbor_put_uint (w, g_array_index (ports, guint16, i));
}

static void
put_secrets (MooshCborWriter *w, const GPtrArray *secrets)
{
  moosh_cbor_put_key (w, KEY_SECRETS);
  moosh_cbor_put_array (w, secrets->len);
  for (guint i = 0; i < secrets->len; i++)
    {
      const MooshSecret *secret = secrets->pdata[i];
      gsize len;
      const void *value = g_bytes_get_data (secret->value, &len);

      moosh_cbor_put_map (w, 2);
      moosh_cbor_put_key (w, 0);
      moosh_cbor_put_text (w, secret->name);
      moosh_cbor_put_key (w, 2);
      moosh_cbor_put_bytes (w, value, len);
    }
}

static void
put_request (MooshCborWriter *w, const MooshRequest *request)
{
  gboolean network = request->internet || request->ports->len > 0;

  guint fields = 6;

  fields += request->volumes->len > 0 ? 1 : 0;
  fields += network ? 1 : 0;
  fields += request->secrets->len > 0 ? 1 : 0;
  moosh_cbor_put_map (w, fields);
  moosh_cbor_put_key (w, KEY_VERSION);
  moosh_cbor_put_uint (w, MOOSH_REQUEST_VERSION);
  moosh_cbor_put_key (w, KEY_URL);
  moosh_cbor_put_text (w, request->url);
  moosh_cbor_put_key (w, KEY_COMMIT);
  moosh_cbor_put_bytes (w, request->commit, sizeof request->commit);
  moosh_cbor_put_key (w, KEY_ATTRIBUTE);
  moosh_cbor_put_text (w, request->attribute);
  moosh_cbor_put_key (w, KEY_SSH);
  moosh_cbor_put_array (w, request->ssh_keys->len);
  for (guint i = 0; i < request->ssh_keys->len; i++)
    moosh_cbor_put_text (w, request->ssh_keys->pdata[i]);
  if (request->volumes->len > 0)
    put_volumes (w, request->volumes);
  if (network)
    put_network (w, request->internet, request->ports);
  if (request->secrets->len > 0)
    put_secrets (w, request->secrets);
  moosh_cbor_put_key (w, KEY_SALT);
  moosh_cbor_put_bytes (w, request->salt, sizeof request->salt);
}

static gboolean
request_check (const MooshRequest *request, gboolean allow_file, GError **error)
{
  if (request->url == NULL || request->attribute == NULL)
    return refuse (error, "there is no blueprint");
  if (!moosh_blueprint_url_check (request->url, allow_file, error)
      || !moosh_blueprint_attribute_check (request->attribute, error))
    return FALSE;
  if (request->ssh_keys->len == 0)
    return refuse (error, "there is no SSH key: nobody could log in");
  return TRUE;
}

GBytes *
moosh_request_encode (const MooshRequest *request, GError **error)
{
  g_autofree guint8 *buffer = g_malloc (MOOSH_REQUEST_BYTES_MAX);
  MooshCborWriter w;
  size_t len;
  int r;

  if (!request_check (request, TRUE, error))
    return NULL;
  moosh_cbor_write_init (&w, buffer, MOOSH_REQUEST_BYTES_MAX);
  put_request (&w, request);
  r = moosh_cbor_finish (&w, &len);
  if (r == MOOSH_OK)
    return g_bytes_new (buffer, len);
  if (r == MOOSH_E_SPACE || r == MOOSH_E_LIMIT)
    g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_LIMIT, "provision request: larger than %d bytes",
                 MOOSH_REQUEST_BYTES_MAX);
  else
    refuse (error, "cannot be encoded: %s", moosh_strerror (r));
  return NULL;
}

void
moosh_request_hash (GBytes *encoded, guint8 ret[32])
{
  gsize len;
  const void *bytes = g_bytes_get_data (encoded, &len);

  moosh_sha256 (bytes, len, ret);
}
