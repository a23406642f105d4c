/** The provision request: everything a provider needs to make one machine, in one strict CBOR map
 * that both sides hash into the agreement.
 *
 *   0 version (1) · 2 blueprint URL · 4 commit (20 bytes) · 6 attribute · 8 [SSH public keys] ·
 *   10 [volumes: {0 name, 2 GiB}] · 12 network: {0 Internet, 2 [ports]} · 14 [secrets: {0 name, 2
 * bytes}] · 16 salt (32 bytes)
 *
 * 10, 12 and 14 are absent when they say nothing (no volumes; no Internet and no ports; no
 * secrets), so that a request has one encoding. The salt keeps the hash, which is public, from
 * telling what was ordered. */
#pragma once
#include "base/error.h"
#include <gio/gio.h>

#define MOOSH_REQUEST_VERSION       1
#define MOOSH_REQUEST_BYTES_MAX     16384
#define MOOSH_REQUEST_URL_MAX       512
#define MOOSH_REQUEST_ATTRIBUTE_MAX 128
#define MOOSH_REQUEST_KEYS_MAX      16
#define MOOSH_REQUEST_KEY_MAX       1024
#define MOOSH_REQUEST_VOLUMES_MAX   8
#define MOOSH_REQUEST_NAME_MAX      32
#define MOOSH_REQUEST_GIB_MAX       65536
#define MOOSH_REQUEST_PORTS_MAX     16
#define MOOSH_REQUEST_SECRETS_MAX   16
#define MOOSH_REQUEST_SECRET_MAX    4096
#define MOOSH_COMMIT_LEN            20

/** A disk of the machine. The sum of all is at most the agreement's diskGib. */
typedef struct {
  char name[MOOSH_REQUEST_NAME_MAX + 1]; /* [a-z][a-z0-9-]* */
  guint32 gib;                           /* 1..MOOSH_REQUEST_GIB_MAX */
} MooshVolume;

/** A file that only the machine gets: /run/seed/moosh/secrets/<name>. */
typedef struct {
  char name[MOOSH_REQUEST_NAME_MAX + 1];
  GBytes *value; /* 1..MOOSH_REQUEST_SECRET_MAX bytes */
} MooshSecret;

typedef struct {
  char *url; /* canonical: no "git+", see moosh_blueprint_url_check */
  guint8 commit[MOOSH_COMMIT_LEN];
  char *attribute;
  GPtrArray *ssh_keys; /* char *, authorized_keys lines without options: "ssh-ed25519 AAAA…
                          comment"; at least one */
  GArray *volumes;     /* MooshVolume */
  gboolean internet;   /* may the guest reach the Internet */
  GArray *ports;       /* guint16: guest TCP ports to forward beside 22; ascending, no 0, no 22 */
  GPtrArray *secrets;  /* MooshSecret *, names ascending */
  guint8 salt[32];
} MooshRequest;

/** An empty request (no URL, no keys) with a random salt; fill it, then encode. */
MooshRequest *moosh_request_new (void);
void moosh_request_free (MooshRequest *request);

/** Add to a request. MOOSH_ERROR_USAGE says which rule the value breaks, MOOSH_ERROR_LIMIT that
 * there are too many. */
gboolean moosh_request_add_key (MooshRequest *request, const char *line, GError **error);
gboolean moosh_request_add_volume (MooshRequest *request, const char *name, guint gib,
                                   GError **error);
gboolean moosh_request_add_port (MooshRequest *request, guint port, GError **error);
gboolean moosh_request_add_secret (MooshRequest *request, const char *name, GBytes *value,
                                   GError **error);

/** Check and encode. MOOSH_ERROR_USAGE names the field that is wrong; MOOSH_ERROR_LIMIT: larger
 * than MOOSH_REQUEST_BYTES_MAX. File URLs are encoded; whether they are served is the provider's
 * choice. */
GBytes *moosh_request_encode (const MooshRequest *request, GError **error);

/** Decode and check what a stranger sent. `allow_file`: file:// URLs are fine with us.
 * MOOSH_ERROR_PROTOCOL: not the format; MOOSH_ERROR_USAGE: a field breaks a rule;
 * MOOSH_ERROR_LIMIT: too long. moosh_request_encode of the result gives the same bytes, unless
 * there were unknown odd keys. */
MooshRequest *moosh_request_decode (gconstpointer bytes, gsize len, gboolean allow_file,
                                    GError **error);

/** requestHash: SHA-256 of the encoding. */
void moosh_request_hash (GBytes *encoded, guint8 ret[32]);

/** Is `url` one we would ever fetch from? https://HOST[:PORT]/PATH and
 * ssh://[USER@]HOST[:PORT]/PATH, and file:///PATH when `allow_file`. No password, query, fragment,
 * spaces or control characters, no "..", host and path not beginning with a dash, at most
 * MOOSH_REQUEST_URL_MAX bytes. MOOSH_ERROR_USAGE; MOOSH_ERROR_DENIED: a scheme that is not allowed.
 */
gboolean moosh_blueprint_url_check (const char *url, gboolean allow_file, GError **error);

/** Is it an attribute path: names of [A-Za-z0-9_'-] joined by dots, not beginning with a dash or
 * digit? */
gboolean moosh_blueprint_attribute_check (const char *attribute, GError **error);

/** What a person writes: git+https://host/repo[?ref=NAME][&rev=HEX][#ATTRIBUTE], git+ssh://…,
 * git+file:///…; the "git+" may be left out. The attribute is "default" when none is given. */
typedef struct {
  char *url;
  char *ref; /* branch or tag; NULL: the repository's HEAD */
  char *rev; /* 40 lower-case hex digits; NULL: to be resolved */
  char *attribute;
} MooshBlueprintRef;

/** Parse a reference; MOOSH_ERROR_USAGE says what is wrong with it. File URLs are fine here. */
MooshBlueprintRef *moosh_blueprint_ref_parse (const char *text, GError **error);
/** Find the commit behind `ref->ref` with `git ls-remote` when it has none yet. Blocks up to
 * `timeout_ms`. MOOSH_ERROR_NOT_FOUND: no such repository, branch or tag; MOOSH_ERROR_TIMEOUT;
 * MOOSH_ERROR_UNAVAILABLE: the server cannot be reached. */
gboolean moosh_blueprint_ref_resolve (MooshBlueprintRef *ref, guint timeout_ms, GError **error);
/** "git+URL?rev=HEX#ATTRIBUTE"; new string. */
char *moosh_blueprint_ref_print (const MooshBlueprintRef *ref);
void moosh_blueprint_ref_free (MooshBlueprintRef *ref);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (MooshRequest, moosh_request_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (MooshBlueprintRef, moosh_blueprint_ref_free)
