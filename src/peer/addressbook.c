#include "peer/addressbook.h"
#include "core/bytes/bytes.h"
#include "core/key/key.h"
#include "peer/refuse.h"
#include <string.h>

const char *const moosh_addressbook_sql
    = "CREATE TABLE contact ("
      "  id INTEGER PRIMARY KEY,"
      "  node_key BLOB NOT NULL UNIQUE CHECK (length(node_key) = 33),"
      "  identity BLOB CHECK (length(identity) = 20)," /* NULL until the node has shown its
                                                          certificate */
      "  name TEXT UNIQUE,"
      "  host TEXT NOT NULL,"
      "  port INTEGER NOT NULL CHECK (port BETWEEN 1 AND 65535),"
      "  trust INTEGER NOT NULL DEFAULT 0 CHECK (trust BETWEEN 0 AND 100),"
      "  added_s INTEGER NOT NULL,"
      "  seen_s INTEGER NOT NULL DEFAULT 0,"
      "  certificate_seq BLOB," /* 8 bytes, big-endian: a full uint64 orders right */
      "  certificate BLOB"
      ");"
      "CREATE INDEX contact_identity ON contact (identity);";

#define COLUMNS "id, node_key, identity, name, host, port, trust, added_s, seen_s"

void
moosh_contact_free (MooshContact *contact)
{
  g_free (contact);
}

static GBytes *
key_bytes (const guint8 node_key[33])
{
  return g_bytes_new (node_key, 33);
}

static gboolean
check_name (const char *name, GError **error)
{
  gsize len = strlen (name);
  /* A name that looks like a key, an address or an option would hide what it names. */
  if (len >= 1 && len <= MOOSH_CONTACT_NAME_MAX && g_utf8_validate (name, (gssize)len, NULL)
      && !moosh_peer_has_control (name, len, FALSE) && !g_str_has_prefix (name, "0x")
      && name[0] != '-' && name[0] != ' ' && name[len - 1] != ' ' && strchr (name, '@') == NULL)
    return TRUE;
  g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE,
               "contact: a name has 1 to %d bytes, no control characters and no @, and does not "
               "start with - or 0x",
               MOOSH_CONTACT_NAME_MAX);
  return FALSE;
}

/* One blob column of exactly `len` bytes. FALSE when it is NULL or of another length. */
static gboolean
read_blob (MooshQuery *query, int column, guint8 *out, gsize len)
{
  g_autoptr (GBytes) blob = moosh_query_blob (query, column);
  if (blob == NULL || g_bytes_get_size (blob) != len)
    return FALSE;
  memcpy (out, g_bytes_get_data (blob, NULL), len);
  return TRUE;
}

static MooshContact *
read_contact (MooshQuery *query, GError **error)
{
  g_autoptr (MooshContact) contact = g_new0 (MooshContact, 1);
  const char *name = moosh_query_text (query, 3);
  const char *host = moosh_query_text (query, 4);
  contact->id = moosh_query_int (query, 0);
  contact->has_identity = read_blob (query, 2, contact->identity, 20);
  if (!read_blob (query, 1, contact->address.node_key, 33) || host == NULL
      || g_strlcpy (contact->address.host, host, sizeof contact->address.host) > MOOSH_PEER_HOST_MAX
      || (name != NULL
          && g_strlcpy (contact->name, name, sizeof contact->name) > MOOSH_CONTACT_NAME_MAX))
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_CORRUPT,
                   "contact %" G_GINT64_FORMAT ": its record is broken", contact->id);
      return NULL;
    }
  contact->address.port = (guint16)moosh_query_int (query, 5);
  contact->trust = moosh_query_int (query, 6);
  contact->added_s = moosh_query_int (query, 7);
  contact->seen_s = moosh_query_int (query, 8);
  return g_steal_pointer (&contact);
}

/* The first row, or NULL: without `error` when there is none. */
static MooshContact *
first (MooshQuery *query, GError **error)
{
  if (query == NULL || !moosh_query_next (query, error))
    return NULL;
  return read_contact (query, error);
}

static MooshContact *
lookup_key (MooshStore *store, const guint8 node_key[33], GError **error)
{
  g_autoptr (GBytes) key = key_bytes (node_key);
  g_autoptr (MooshQuery) query = moosh_store_query (
      store, error, "SELECT " COLUMNS " FROM contact WHERE node_key = ?", "b", key);
  return first (query, error);
}

static MooshContact *
or_not_found (MooshContact *contact, GError *cause, GError **error)
{
  if (cause != NULL)
    g_propagate_error (error, cause);
  else if (contact == NULL)
    g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_NOT_FOUND, "contact: none of that name or key");
  return contact;
}

MooshContact *
moosh_contact_by_key (MooshStore *store, const guint8 node_key[33], GError **error)
{
  GError *cause = NULL;
  MooshContact *contact = lookup_key (store, node_key, &cause);
  return or_not_found (contact, cause, error);
}

static MooshContact *
by_identity (MooshStore *store, const guint8 identity[20], gboolean only, GError **error)
{
  GError *cause = NULL;
  g_autoptr (GBytes) bytes = g_bytes_new (identity, 20);
  g_autoptr (MooshQuery) query = moosh_store_query (
      store, &cause, "SELECT " COLUMNS " FROM contact WHERE identity = ? ORDER BY seen_s DESC, id",
      "b", bytes);
  g_autoptr (MooshContact) contact = first (query, &cause);
  if (contact != NULL && only && moosh_query_next (query, &cause))
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_CONFLICT,
                   "contact: this identity has several nodes; say which by name or key");
      return NULL;
    }
  if (cause != NULL)
    g_clear_pointer (&contact, moosh_contact_free);
  return or_not_found (g_steal_pointer (&contact), cause, error);
}

MooshContact *
moosh_contact_by_identity (MooshStore *store, const guint8 identity[20], GError **error)
{
  return by_identity (store, identity, FALSE, error);
}

MooshContact *
moosh_contact_find (MooshStore *store, const char *text, GError **error)
{
  guint8 node_key[33], identity[20];
  MooshPeerAddress address;
  if (moosh_peer_address_parse (text, &address, NULL))
    return moosh_contact_by_key (store, address.node_key, error);
  if (moosh_hex_decode (text, node_key, sizeof node_key) == MOOSH_OK)
    return moosh_contact_by_key (store, node_key, error);
  if (moosh_address_parse (text, identity) == MOOSH_OK)
    return by_identity (store, identity, TRUE, error);
  GError *cause = NULL;
  g_autoptr (MooshQuery) query = moosh_store_query (
      store, &cause, "SELECT " COLUMNS " FROM contact WHERE name = ?", "s", text);
  MooshContact *contact = first (query, &cause);
  return or_not_found (contact, cause, error);
}

GPtrArray *
moosh_contact_list (MooshStore *store, GError **error)
{
  g_autoptr (GPtrArray) list = g_ptr_array_new_with_free_func ((GDestroyNotify)moosh_contact_free);
  g_autoptr (MooshQuery) query = moosh_store_query (
      store, error, "SELECT " COLUMNS " FROM contact ORDER BY name IS NULL, name, id", "");
  GError *cause = NULL;
  if (query == NULL)
    return NULL;
  while (moosh_query_next (query, &cause))
    {
      MooshContact *contact = read_contact (query, &cause);
      if (contact == NULL)
        break;
      g_ptr_array_add (list, contact);
    }
  if (cause != NULL)
    {
      g_propagate_error (error, cause);
      return NULL;
    }
  return g_steal_pointer (&list);
}

/* A name is another's: say that, and not which constraint of which table broke. */
static gboolean
name_is_free (MooshStore *store, const guint8 node_key[33], const char *name, GError **error)
{
  g_autoptr (GBytes) key = key_bytes (node_key);
  if (moosh_store_int (store, 0, "SELECT count(*) FROM contact WHERE name = ? AND node_key != ?",
                       "sb", name, key)
      == 0)
    return TRUE;
  g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_CONFLICT,
               "contact: the name \"%s\" is another contact's", name);
  return FALSE;
}

static gboolean
add_locked (MooshStore *store, const MooshPeerAddress *address, const char *name, gint64 now_s,
            GError **error)
{
  g_autoptr (GBytes) key = key_bytes (address->node_key);
  gboolean known
      = moosh_store_int (store, 0, "SELECT count(*) FROM contact WHERE node_key = ?", "b", key) > 0;
  if (name != NULL && !name_is_free (store, address->node_key, name, error))
    return FALSE;
  if (!known
      && moosh_store_int (store, 0, "SELECT count(*) FROM contact", "") >= MOOSH_CONTACTS_MAX)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_LIMIT,
                   "contact: the address book holds %d at most", MOOSH_CONTACTS_MAX);
      return FALSE;
    }
  return moosh_store_run (
      store, error,
      "INSERT INTO contact (node_key, name, host, port, added_s) VALUES (?, ?, ?, ?, ?) "
      "ON CONFLICT (node_key) DO UPDATE SET host = excluded.host, port = excluded.port, "
      "name = coalesce (excluded.name, name)",
      "bssii", key, name, address->host, (gint64)address->port, now_s);
}

/* Run `ok` as a transaction: what was begun is committed or rolled back. */
static gboolean
finish (MooshStore *store, gboolean ok, GError **error)
{
  if (ok)
    return moosh_store_commit (store, error);
  moosh_store_rollback (store);
  return FALSE;
}

gboolean
moosh_contact_add (MooshStore *store, const MooshPeerAddress *address, const char *name,
                   gint64 now_s, GError **error)
{
  if ((name != NULL && !check_name (name, error)) || !moosh_store_begin (store, error))
    return FALSE;
  return finish (store, add_locked (store, address, name, now_s, error), error);
}

static gboolean
changed_one (MooshStore *store, gboolean ok, GError **error)
{
  if (ok && moosh_store_changes (store) == 0)
    {
      or_not_found (NULL, NULL, error);
      return FALSE;
    }
  return ok;
}

gboolean
moosh_contact_rename (MooshStore *store, const guint8 node_key[33], const char *name,
                      GError **error)
{
  g_autoptr (GBytes) key = key_bytes (node_key);
  if (!check_name (name, error) || !moosh_store_begin (store, error))
    return FALSE;
  gboolean ok = name_is_free (store, node_key, name, error)
                && changed_one (store,
                                moosh_store_run (store, error,
                                                 "UPDATE contact SET name = ? WHERE node_key = ?",
                                                 "sb", name, key),
                                error);
  return finish (store, ok, error);
}

gboolean
moosh_contact_remove (MooshStore *store, const guint8 node_key[33], GError **error)
{
  g_autoptr (GBytes) key = key_bytes (node_key);
  if (!moosh_store_begin (store, error))
    return FALSE;
  gboolean ok = changed_one (
      store, moosh_store_run (store, error, "DELETE FROM contact WHERE node_key = ?", "b", key),
      error);
  return finish (store, ok, error);
}

static gboolean
same_identity (const MooshContact *contact, const guint8 identity[20], GError **error)
{
  if (!contact->has_identity || memcmp (contact->identity, identity, 20) == 0)
    return TRUE;
  g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_CONFLICT,
               "contact %s: its node key was certified by another identity before",
               contact->name[0] != '\0' ? contact->name : contact->address.host);
  return FALSE;
}

static gboolean
seen_locked (MooshStore *store, const guint8 node_key[33], const guint8 identity[20], gint64 now_s,
             GError **error)
{
  GError *cause = NULL;
  g_autoptr (GBytes) key = key_bytes (node_key);
  g_autoptr (GBytes) bytes = g_bytes_new (identity, 20);
  g_autoptr (MooshContact) contact = lookup_key (store, node_key, &cause);
  if (cause != NULL)
    {
      g_propagate_error (error, cause);
      return FALSE;
    }
  if (contact == NULL)
    return TRUE;
  return same_identity (contact, identity, error)
         && moosh_store_run (store, error,
                             "UPDATE contact SET identity = ?, seen_s = ? WHERE node_key = ?",
                             "bib", bytes, now_s, key);
}

gboolean
moosh_contact_seen (MooshStore *store, const guint8 node_key[33], const guint8 identity[20],
                    gint64 now_s, GError **error)
{
  if (!moosh_store_begin (store, error))
    return FALSE;
  return finish (store, seen_locked (store, node_key, identity, now_s, error), error);
}

/* The seq of the newest certificate kept for a contact; FALSE: none is kept. */
static gboolean
newest_seq (MooshStore *store, GBytes *key, guint64 *ret, GError **error)
{
  guint8 seq[8];
  g_autoptr (MooshQuery) query = moosh_store_query (
      store, error, "SELECT certificate_seq FROM contact WHERE node_key = ?", "b", key);
  if (query == NULL || !moosh_query_next (query, error) || !read_blob (query, 0, seq, sizeof seq))
    return FALSE;
  *ret = moosh_get_be64 (seq);
  return TRUE;
}

static gboolean
admit_locked (MooshStore *store, const MooshCertificate *certificate, GBytes *encoded,
              GError **error)
{
  GError *cause = NULL;
  guint64 newest;
  guint8 seq[8];
  g_autoptr (GBytes) key = key_bytes (certificate->node_key);
  g_autoptr (MooshContact) contact = lookup_key (store, certificate->node_key, &cause);
  gboolean kept = contact != NULL && newest_seq (store, key, &newest, &cause);
  if (cause != NULL)
    {
      g_propagate_error (error, cause);
      return FALSE;
    }
  if (contact == NULL)
    return TRUE;
  if (!same_identity (contact, certificate->identity, error))
    return FALSE;
  if (kept && certificate->seq < newest)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_EXPIRED,
                   "node certificate: replaced by a newer one");
      return FALSE;
    }
  if (kept && certificate->seq == newest)
    return TRUE;
  moosh_put_be64 (seq, certificate->seq);
  g_autoptr (GBytes) seq_bytes = g_bytes_new (seq, sizeof seq);
  g_autoptr (GBytes) identity = g_bytes_new (certificate->identity, 20);
  return moosh_store_run (
      store, error,
      "UPDATE contact SET identity = ?, certificate_seq = ?, certificate = ? WHERE node_key = ?",
      "bbbb", identity, seq_bytes, encoded, key);
}

gboolean
moosh_addressbook_admit (MooshStore *store, const MooshCertificate *certificate, GBytes *encoded,
                         GError **error)
{
  if (!moosh_store_begin (store, error))
    return FALSE;
  return finish (store, admit_locked (store, certificate, encoded, error), error);
}
