/* src/machine/request: the encoding and its limits, keys, URLs, references. */
#include "base/spawn.h"
#include "core/bytes/bytes.h"
#include "machine/request.h"
#include <glib/gstdio.h>
#include <string.h>

#define KEY                                                                                        \
  "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ1lGAZT7cKdGOBFhF5Yd0A8Y6gZZkZ2XyYVTfWmJ1fQ me@home"

static MooshRequest *
sample (void)
{
  MooshRequest *request = moosh_request_new ();

  request->url = g_strdup ("https://example.org/repo");
  request->attribute = g_strdup ("default");
  memset (request->commit, 0x11, sizeof request->commit);
  memset (request->salt, 0x22, sizeof request->salt);
  g_assert_true (moosh_request_add_key (request, KEY, NULL));
  return request;
}

static MooshRequest *
full_sample (void)
{
  MooshRequest *request = sample ();
  g_autoptr (GBytes) value = g_bytes_new_static ("hush", 4);

  request->internet = TRUE;
  g_assert_true (moosh_request_add_volume (request, "root", 10, NULL));
  g_assert_true (moosh_request_add_volume (request, "db-1", MOOSH_REQUEST_GIB_MAX, NULL));
  g_assert_true (moosh_request_add_port (request, 443, NULL));
  g_assert_true (moosh_request_add_port (request, 80, NULL));
  g_assert_true (moosh_request_add_secret (request, "token", value, NULL));
  g_assert_true (moosh_request_add_secret (request, "api-key", value, NULL));
  return request;
}

static MooshRequest *
decode (GBytes *bytes, GError **error)
{
  return moosh_request_decode (g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes), TRUE,
                               error);
}

static void
test_round_trip (void)
{
  g_autoptr (MooshRequest) request = full_sample ();
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) bytes = moosh_request_encode (request, &error), again = NULL;
  g_autoptr (MooshRequest) read = decode (bytes, &error);

  g_assert_no_error (error);
  g_assert_cmpstr (read->url, ==, request->url);
  g_assert_cmpstr (read->attribute, ==, "default");
  g_assert_cmpmem (read->commit, 20, request->commit, 20);
  g_assert_cmpmem (read->salt, 32, request->salt, 32);
  g_assert_cmpuint (read->ssh_keys->len, ==, 1);
  g_assert_cmpstr (read->ssh_keys->pdata[0], ==, KEY);
  g_assert_cmpuint (read->volumes->len, ==, 2);
  g_assert_cmpstr (g_array_index (read->volumes, MooshVolume, 1).name, ==, "db-1");
  g_assert_cmpuint (g_array_index (read->volumes, MooshVolume, 1).gib, ==, MOOSH_REQUEST_GIB_MAX);
  g_assert_true (read->internet);
  g_assert_cmpuint (g_array_index (read->ports, guint16, 0), ==, 80); /* sorted */
  g_assert_cmpuint (g_array_index (read->ports, guint16, 1), ==, 443);
  g_assert_cmpstr (((MooshSecret *)read->secrets->pdata[0])->name, ==, "api-key");
  again = moosh_request_encode (read, &error);
  g_assert_no_error (error);
  g_assert_true (g_bytes_equal (bytes, again));
}

/* The bytes, written by hand from the description in request.h: a change of them is a change of
 * every hash. */
static void
test_bytes (void)
{
  g_autoptr (MooshRequest) request = sample ();
  g_autoptr (GBytes) bytes = NULL;
  guint8 hash[32];
  g_autofree char *got = NULL, *want = NULL;
  gsize len;
  const guint8 *data;

  request->internet = TRUE;
  bytes = moosh_request_encode (request, NULL);
  data = g_bytes_get_data (bytes, &len);
  got = g_malloc (2 * len + 1);
  moosh_hex_encode (data, len, got);
  want = g_strconcat ("a7"
                      "0001"
                      "027818"
                      "68747470733a2f2f6578616d706c652e6f72672f7265706f"
                      "0454"
                      "1111111111111111111111111111111111111111"
                      "0667"
                      "64656661756c74"
                      "088178",
                      NULL);
  g_assert_true (g_str_has_prefix (got, want));
  g_assert_true (
      g_str_has_suffix (got, "0ca100f5"
                             "105820"
                             "2222222222222222222222222222222222222222222222222222222222222222"));
  moosh_request_hash (bytes, hash);
  g_free (got);
  got = g_compute_checksum_for_bytes (G_CHECKSUM_SHA256, bytes);
  g_free (want);
  want = g_malloc (65);
  moosh_hex_encode (hash, 32, want);
  g_assert_cmpstr (got, ==, want);
}

static void
test_two_salts (void)
{
  g_autoptr (MooshRequest) a = moosh_request_new (), b = moosh_request_new ();

  g_assert_cmpint (memcmp (a->salt, b->salt, 32), !=, 0);
}

/* Every prefix, and every byte changed, is refused or is another request that encodes to just these
 * bytes. */
static void
test_every_byte (void)
{
  g_autoptr (MooshRequest) request = full_sample ();
  g_autoptr (GBytes) bytes = moosh_request_encode (request, NULL);
  gsize len;
  const guint8 *data = g_bytes_get_data (bytes, &len);
  g_autofree guint8 *copy = g_memdup2 (data, len);
  guint other = 0, skipped = 0;

  for (gsize cut = 0; cut < len; cut++)
    g_assert_null (moosh_request_decode (data, cut, TRUE, NULL));
  for (gsize i = 0; i < len; i++)
    for (guint flip = 1; flip < 256; flip <<= 1)
      {
        g_autoptr (MooshRequest) changed = NULL;
        g_autoptr (GBytes) again = NULL;

        copy[i] = (guint8)(data[i] ^ flip);
        changed = moosh_request_decode (copy, len, TRUE, NULL);
        if (changed != NULL)
          {
            again = moosh_request_encode (changed, NULL);
            if (g_bytes_get_size (again) < len)
              skipped++;
            else
              g_assert_cmpmem (g_bytes_get_data (again, NULL), g_bytes_get_size (again), copy, len);
            other++;
          }
        copy[i] = data[i];
      }
  g_assert_cmpuint (other, >, 52 * 8); /* commit and salt may be anything */
  g_assert_cmpuint (skipped, ==, 4);   /* volumes, network, its ports, secrets */
}

static void
check_refused (const char *hex, int code, const char *words)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (MooshRequest) request = NULL;
  gsize len = strlen (hex) / 2;
  g_autofree guint8 *bytes = g_malloc (len + 1);

  g_assert_cmpint (moosh_hex_decode (hex, bytes, len), ==, MOOSH_OK);
  request = moosh_request_decode (bytes, len, FALSE, &error);
  g_assert_null (request);
  g_assert_error (error, MOOSH_ERROR, code);
  if (words != NULL && strstr (error->message, words) == NULL)
    g_error ("\"%s\" is not in \"%s\"", words, error->message);
}

#define HEAD                                                                                       \
  "0001"                                                                                           \
  "027818"                                                                                         \
  "68747470733a2f2f6578616d706c652e6f72672f7265706f"                                               \
  "0454"                                                                                           \
  "1111111111111111111111111111111111111111"                                                       \
  "0667"                                                                                           \
  "64656661756c74"
#define KEY_HEX                                                                                    \
  "78537373682d65643235353139204141414143334e7a6143316c5a4449314e54453541414141494a"               \
  "316c47415a5437634b64474f424668463559643041385936675a5a6b5a32587959565466576d4a31"               \
  "6651206d65"
#define SALT                                                                                       \
  "105820"                                                                                         \
  "2222222222222222222222222222222222222222222222222222222222222222"

static void
test_format (void)
{
  g_autofree guint8 *large = g_malloc0 (MOOSH_REQUEST_BYTES_MAX + 1);
  g_autoptr (GError) error = NULL;

  check_refused ("", MOOSH_ERROR_PROTOCOL, NULL);
  check_refused ("a0", MOOSH_ERROR_PROTOCOL, NULL);
  check_refused ("80", MOOSH_ERROR_PROTOCOL, NULL);
  check_refused ("a6" HEAD "0880" SALT, MOOSH_ERROR_USAGE, "no SSH key");
  check_refused ("a10002", MOOSH_ERROR_PROTOCOL, "field 0"); /* version 2 */
  check_refused ("a7" HEAD "0881" KEY_HEX "0a80" SALT, MOOSH_ERROR_PROTOCOL,
                 "field 10"); /* no volumes: absent */
  check_refused ("a7" HEAD "0881" KEY_HEX "0e80" SALT, MOOSH_ERROR_PROTOCOL, "field 14");
  check_refused ("a7" HEAD "0881" KEY_HEX "0ca100f4" SALT, MOOSH_ERROR_PROTOCOL,
                 "field 12"); /* says nothing */
  check_refused ("a7" HEAD "0881" KEY_HEX "0ca0" SALT, MOOSH_ERROR_PROTOCOL, "field 12");
  check_refused ("a7" HEAD "0881" KEY_HEX "0ca200f40280" SALT, MOOSH_ERROR_PROTOCOL, "field 12");
  check_refused ("a7" HEAD "0881" KEY_HEX "0ca200f502821901bb1850" SALT, MOOSH_ERROR_PROTOCOL,
                 "field 12"); /* order */
  check_refused ("a7" HEAD "0881" KEY_HEX "0ca200f5028116" SALT, MOOSH_ERROR_USAGE, "port 22");
  check_refused ("a7" HEAD "0881" KEY_HEX "0ca200f502811a00010000" SALT, MOOSH_ERROR_PROTOCOL,
                 "field 12");
  check_refused ("a7" HEAD "0881" KEY_HEX "0a81a100617a" SALT, MOOSH_ERROR_PROTOCOL,
                 "field 10"); /* no size */
  check_refused ("a7" HEAD "0881" KEY_HEX "0a81a200617a0200" SALT, MOOSH_ERROR_USAGE, "0 GiB");
  check_refused ("a7" HEAD "0881" KEY_HEX "0a81a200617a021a00010001" SALT, MOOSH_ERROR_PROTOCOL,
                 "field 10");
  check_refused ("a7" HEAD "0881" KEY_HEX "0e82a20061620241aaa20061610241aa" SALT,
                 MOOSH_ERROR_PROTOCOL, "field 14");
  check_refused ("a7" HEAD "0881" KEY_HEX SALT "1200", MOOSH_ERROR_PROTOCOL,
                 "field 18");                                           /* an even stranger */
  check_refused ("a5" HEAD "0881" KEY_HEX, MOOSH_ERROR_PROTOCOL, NULL); /* no salt */
  g_assert_null (moosh_request_decode (large, MOOSH_REQUEST_BYTES_MAX + 1, TRUE, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_LIMIT);
}

static void
test_odd_strangers_are_skipped (void)
{
  const char *hex = "a7" HEAD "0881" KEY_HEX SALT "116474657374";
  gsize len = strlen (hex) / 2;
  g_autofree guint8 *bytes = g_malloc (len);
  g_autoptr (GError) error = NULL;
  g_autoptr (MooshRequest) request = NULL;

  g_assert_cmpint (moosh_hex_decode (hex, bytes, len), ==, MOOSH_OK);
  request = moosh_request_decode (bytes, len, FALSE, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (request->attribute, ==, "default");
}

static void
test_limits (void)
{
  g_autoptr (MooshRequest) request = sample ();
  g_autoptr (GBytes) largest
      = g_bytes_new_take (g_malloc0 (MOOSH_REQUEST_SECRET_MAX), MOOSH_REQUEST_SECRET_MAX);
  g_autoptr (GBytes) larger
      = g_bytes_new_take (g_malloc0 (MOOSH_REQUEST_SECRET_MAX + 1), MOOSH_REQUEST_SECRET_MAX + 1);
  g_autoptr (GBytes) empty = g_bytes_new_static ("", 0);
  g_autoptr (GError) error = NULL;
  char name[] = "va";

  for (guint i = 1; i < MOOSH_REQUEST_KEYS_MAX; i++)
    g_assert_true (moosh_request_add_key (request, KEY, NULL));
  g_assert_false (moosh_request_add_key (request, KEY, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_LIMIT);
  g_clear_error (&error);
  for (guint i = 0; i < MOOSH_REQUEST_VOLUMES_MAX; i++, name[1]++)
    g_assert_true (moosh_request_add_volume (request, name, 1, NULL));
  g_assert_false (moosh_request_add_volume (request, "more", 1, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_LIMIT);
  g_clear_error (&error);
  for (guint i = 0; i < MOOSH_REQUEST_PORTS_MAX; i++)
    g_assert_true (moosh_request_add_port (request, 65535 - i, NULL));
  g_assert_false (moosh_request_add_port (request, 1, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_LIMIT);
  g_clear_error (&error);

  g_assert_false (moosh_request_add_secret (request, "s", larger, NULL));
  g_assert_false (moosh_request_add_secret (request, "s", empty, NULL));
  name[0] = 's', name[1] = 'a';
  for (guint i = 0; i < 4; i++, name[1]++)
    g_assert_true (moosh_request_add_secret (request, name, largest, NULL));
  g_assert_null (
      moosh_request_encode (request, &error)); /* each is allowed, together they are too large */
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_LIMIT);
}

static void
test_rules (void)
{
  g_autoptr (MooshRequest) request = sample ();
  g_autoptr (GBytes) value = g_bytes_new_static ("x", 1);
  static const char *const names[]
      = { "", "A", "1a", "-a", "a_b", "a/b", "..", "a b", "abcdefghijklmnopqrstuvwxyz0123456" };

  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    {
      g_assert_false (moosh_request_add_volume (request, names[i], 1, NULL));
      g_assert_false (moosh_request_add_secret (request, names[i], value, NULL));
    }
  g_assert_true (moosh_request_add_volume (request, "abcdefghijklmnopqrstuvwxyz012345", 1, NULL));
  g_assert_false (
      moosh_request_add_volume (request, "abcdefghijklmnopqrstuvwxyz012345", 1, NULL)); /* twice */
  g_assert_false (moosh_request_add_volume (request, "b", 0, NULL));
  g_assert_false (moosh_request_add_volume (request, "b", MOOSH_REQUEST_GIB_MAX + 1, NULL));
  g_assert_false (moosh_request_add_port (request, 0, NULL));
  g_assert_false (moosh_request_add_port (request, 22, NULL));
  g_assert_false (moosh_request_add_port (request, 65536, NULL));
  g_assert_true (moosh_request_add_port (request, 65535, NULL));
  g_assert_false (moosh_request_add_port (request, 65535, NULL));
  g_assert_true (moosh_request_add_secret (request, "b", value, NULL));
  g_assert_false (moosh_request_add_secret (request, "b", value, NULL));
}

static void
test_keys (void)
{
  static const char *const bad[] = {
    "",
    "ssh-ed25519",
    "ssh-ed25519 ",
    "ssh-dss AAAAB3NzaC1kc3M=",
    "ssh-ed25519 !!!!",
    "ssh-ed25519 AAAAB3NzaC1yc2EAAAADAQABAAAAgQ==", /* an RSA blob */
    "ssh-ed25519 AAAA",                             /* a short one */
    "command=\"id\" " KEY,
    "no-pty " KEY,
    " " KEY, /* options are not the tenant's to give */
    KEY "\nssh-ed25519 AAAA",
    KEY "\x07",
  };
  g_autofree char *comment = g_strnfill (MOOSH_REQUEST_KEY_MAX - strlen (KEY), 'c');
  g_autofree char *longest = g_strconcat (KEY, comment, NULL),
                  *longer = g_strconcat (longest, "c", NULL);
  g_autoptr (MooshRequest) request = sample ();

  for (guint i = 0; i < G_N_ELEMENTS (bad); i++)
    if (moosh_request_add_key (request, bad[i], NULL))
      g_error ("taken: %s", bad[i]);
  g_assert_true (moosh_request_add_key (request, longest, NULL));
  g_assert_false (moosh_request_add_key (request, longer, NULL));
}

static void
test_urls (void)
{
  static const struct {
    const char *url;
    gboolean file;
    int code; /* -1: fine */
  } cases[] = {
    { "https://example.org/repo", FALSE, -1 },
    { "https://example.org:8443/a/b.git", FALSE, -1 },
    { "https://[2001:db8::1]:443/a", FALSE, -1 },
    { "ssh://git@example.org/repo", FALSE, -1 },
    { "ssh://example.org:2222/~me/repo", FALSE, -1 },
    { "file:///srv/repo", TRUE, -1 },
    { "file:///srv/repo", FALSE, MOOSH_ERROR_DENIED },
    { "file://host/srv/repo", TRUE, MOOSH_ERROR_USAGE },
    { "http://example.org/repo", TRUE, MOOSH_ERROR_DENIED },
    { "git://example.org/repo", TRUE, MOOSH_ERROR_DENIED },
    { "git@example.org:repo", TRUE, MOOSH_ERROR_DENIED },
    { "/srv/repo", TRUE, MOOSH_ERROR_DENIED },
    { "-upload-pack=id", TRUE, MOOSH_ERROR_DENIED },
    { "", TRUE, MOOSH_ERROR_DENIED },
    { "HTTPS://example.org/repo", TRUE, MOOSH_ERROR_DENIED },
    { "https://example.org", FALSE, MOOSH_ERROR_USAGE },
    { "https://example.org/", FALSE, MOOSH_ERROR_USAGE },
    { "https:///repo", FALSE, MOOSH_ERROR_USAGE },
    { "https://user@example.org/repo", FALSE, MOOSH_ERROR_USAGE },
    { "https://user:pw@example.org/repo", FALSE, MOOSH_ERROR_USAGE },
    { "ssh://user:pw@example.org/repo", FALSE, MOOSH_ERROR_USAGE },
    { "ssh://-oProxyCommand=id/repo", FALSE, MOOSH_ERROR_USAGE },
    { "ssh://-u@example.org/repo", FALSE, MOOSH_ERROR_USAGE },
    { "ssh://example.org/-repo", FALSE, MOOSH_ERROR_USAGE },
    { "https://example.org/a/../b", FALSE, MOOSH_ERROR_USAGE },
    { "https://example.org/a/..", FALSE, MOOSH_ERROR_USAGE },
    { "https://example.org/a b", FALSE, MOOSH_ERROR_USAGE },
    { "https://example.org/a?b", FALSE, MOOSH_ERROR_USAGE },
    { "https://example.org/a#b", FALSE, MOOSH_ERROR_USAGE },
    { "https://example.org/a'b", FALSE, MOOSH_ERROR_USAGE },
    { "https://example.org/\xc3\xa9", FALSE, MOOSH_ERROR_USAGE },
    { "https://example.org:0x1/a", FALSE, MOOSH_ERROR_USAGE },
    { "https://example.org:65536/a", FALSE, MOOSH_ERROR_USAGE },
    { "https://example.org:/a", FALSE, MOOSH_ERROR_USAGE },
    { "https://[::1/a", FALSE, MOOSH_ERROR_USAGE },
    { "https://[]/a", FALSE, MOOSH_ERROR_USAGE },
    { "https://.example.org/a", FALSE, MOOSH_ERROR_USAGE },
  };
  g_autofree char *path = g_strnfill (MOOSH_REQUEST_URL_MAX - strlen ("https://e.org/"), 'p');
  g_autofree char *longest = g_strconcat ("https://e.org/", path, NULL),
                  *longer = g_strconcat (longest, "p", NULL);

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (GError) error = NULL;
      gboolean ok = moosh_blueprint_url_check (cases[i].url, cases[i].file, &error);

      g_test_message ("%s: %s", cases[i].url, error ? error->message : "fine");
      g_assert_cmpint (ok, ==, cases[i].code < 0);
      if (!ok)
        g_assert_error (error, MOOSH_ERROR, cases[i].code);
    }
  g_assert_true (moosh_blueprint_url_check (longest, FALSE, NULL));
  g_assert_false (moosh_blueprint_url_check (longer, FALSE, NULL));
}

static void
test_attributes (void)
{
  static const char *const good[] = { "default", "a.b.c", "_x", "x'", "a-b", "A1" };
  static const char *const bad[]
      = { "", "-a", "1a", "a..b", ".a", "a.", "a b", "a;b", "a.-b", "\"a\"", "a/b" };
  g_autofree char *longest = g_strnfill (MOOSH_REQUEST_ATTRIBUTE_MAX, 'a'),
                  *longer = g_strconcat (longest, "a", NULL);

  for (guint i = 0; i < G_N_ELEMENTS (good); i++)
    g_assert_true (moosh_blueprint_attribute_check (good[i], NULL));
  for (guint i = 0; i < G_N_ELEMENTS (bad); i++)
    g_assert_false (moosh_blueprint_attribute_check (bad[i], NULL));
  g_assert_true (moosh_blueprint_attribute_check (longest, NULL));
  g_assert_false (moosh_blueprint_attribute_check (longer, NULL));
}

#define REV "0123456789abcdef0123456789abcdef01234567"

static void
test_references (void)
{
  static const struct {
    const char *text, *url, *ref, *rev, *attribute, *printed;
  } good[] = {
    { "git+https://h/r", "https://h/r", NULL, NULL, "default", "git+https://h/r#default" },
    { "https://h/r", "https://h/r", NULL, NULL, "default", "git+https://h/r#default" },
    { "git+https://h/r#web.one", "https://h/r", NULL, NULL, "web.one", "git+https://h/r#web.one" },
    { "git+https://h/r?ref=main#a", "https://h/r", "main", NULL, "a",
      "git+https://h/r?ref=main#a" },
    { "git+ssh://git@h/r?ref=feature/x&rev=" REV, "ssh://git@h/r", "feature/x", REV, "default",
      "git+ssh://git@h/r?rev=" REV "#default" },
    { "git+file:///srv/r?rev=0123456789ABCDEF0123456789ABCDEF01234567#a", "file:///srv/r", NULL,
      REV, "a", "git+file:///srv/r?rev=" REV "#a" },
    { "git+https://h/r#", "https://h/r", NULL, NULL, "default", "git+https://h/r#default" },
  };
  static const char *const bad[] = { "",
                                     "hello",
                                     "git+http://h/r",
                                     "git+https://h/r?rev=abc",
                                     "git+https://h/r?branch=x",
                                     "git+https://h/r?ref=",
                                     "git+https://h/r?ref=-x",
                                     "git+https://h/r?ref=a..b",
                                     "git+https://h/r?ref=a&ref=b",
                                     "git+https://h/r#a b",
                                     "git+https://h/r#a#b",
                                     "git+https://h/r?rev=" REV "0" };

  for (guint i = 0; i < G_N_ELEMENTS (good); i++)
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (MooshBlueprintRef) ref = moosh_blueprint_ref_parse (good[i].text, &error);
      g_autofree char *printed = NULL;

      g_assert_no_error (error);
      g_assert_cmpstr (ref->url, ==, good[i].url);
      g_assert_cmpstr (ref->ref, ==, good[i].ref);
      g_assert_cmpstr (ref->rev, ==, good[i].rev);
      g_assert_cmpstr (ref->attribute, ==, good[i].attribute);
      printed = moosh_blueprint_ref_print (ref);
      g_assert_cmpstr (printed, ==, good[i].printed);
    }
  for (guint i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      g_autoptr (GError) error = NULL;

      g_assert_null (moosh_blueprint_ref_parse (bad[i], &error));
      g_assert_nonnull (error);
    }
}

static char *
git (const char *dir, ...)
{
  g_autoptr (GPtrArray) argv = g_ptr_array_new ();
  g_autoptr (GError) error = NULL;
  const char *const head[]
      = { "git", "-C", dir, "-c", "user.name=T", "-c", "user.email=t@localhost" };
  char *out = NULL;
  va_list args;

  for (guint i = 0; i < G_N_ELEMENTS (head); i++)
    g_ptr_array_add (argv, (gpointer)head[i]);
  va_start (args, dir);
  for (const char *word; (word = va_arg (args, const char *)) != NULL;)
    g_ptr_array_add (argv, (gpointer)word);
  va_end (args);
  g_ptr_array_add (argv, NULL);
  moosh_run ((const char *const *)argv->pdata, 10000, &out, &error);
  g_assert_no_error (error);
  return out;
}

static char *
resolve (const char *dir, const char *query, GError **error)
{
  g_autofree char *text = g_strdup_printf ("git+file://%s%s", dir, query);
  g_autoptr (MooshBlueprintRef) ref = moosh_blueprint_ref_parse (text, NULL);

  return moosh_blueprint_ref_resolve (ref, 10000, error) ? g_strdup (ref->rev) : NULL;
}

static void
test_resolve (void)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *dir = g_dir_make_tmp ("moosh-request-XXXXXX", NULL), *main = NULL, *side = NULL,
                  *got = NULL;
  const char *const remove[] = { "rm", "-rf", dir, NULL };
  char *outs[]
      = { git (dir, "init", "-q", "-b", "main", NULL),
          git (dir, "commit", "-q", "--allow-empty", "-m", "one", NULL),
          git (dir, "tag", "-a", "v1", "-m", "v1", NULL), git (dir, "branch", "side", NULL),
          git (dir, "commit", "-q", "--allow-empty", "-m", "two", NULL) };

  for (guint i = 0; i < G_N_ELEMENTS (outs); i++)
    g_free (outs[i]);
  main = git (dir, "rev-parse", "main", NULL);
  side = git (dir, "rev-parse", "side", NULL);
  g_assert_cmpstr (got = resolve (dir, "", &error), ==, main);
  g_free (got);
  g_assert_cmpstr (got = resolve (dir, "?ref=side", &error), ==, side);
  g_free (got);
  g_assert_cmpstr (got = resolve (dir, "?ref=v1", &error), ==,
                   side); /* the commit, not the tag object */
  g_free (got);
  g_assert_cmpstr (got = resolve (dir, "?rev=" REV, &error), ==,
                   REV); /* believed: the provider will see */
  g_assert_no_error (error);
  g_assert_null (resolve (dir, "?ref=ide", &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_NOT_FOUND);
  g_clear_error (&error);
  g_assert_null (resolve ("/nowhere/at/all", "", &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_NOT_FOUND);
  g_assert_true (moosh_run (remove, 10000, NULL, NULL));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/request/round-trip", test_round_trip);
  g_test_add_func ("/request/bytes", test_bytes);
  g_test_add_func ("/request/two-salts", test_two_salts);
  g_test_add_func ("/request/every-byte", test_every_byte);
  g_test_add_func ("/request/format", test_format);
  g_test_add_func ("/request/odd-strangers", test_odd_strangers_are_skipped);
  g_test_add_func ("/request/limits", test_limits);
  g_test_add_func ("/request/rules", test_rules);
  g_test_add_func ("/request/keys", test_keys);
  g_test_add_func ("/request/urls", test_urls);
  g_test_add_func ("/request/attributes", test_attributes);
  g_test_add_func ("/request/references", test_references);
  g_test_add_func ("/request/resolve", test_resolve);
  return g_test_run ();
}
