/* peer/addressbook on a real store. */
#include "peer/addressbook.h"
#include "peer_fixture.h"
#include <glib/gstdio.h>

typedef struct {
  char *dir, *path;
  MooshStore *store;
  Party party[3];
} Book;

static void
open_store (Book *book)
{
  const char *migrations[] = { moosh_addressbook_sql, NULL };
  g_autoptr (GError) error = NULL;
  book->store = moosh_store_open (book->path, migrations, &error);
  g_assert_no_error (error);
}

static void
set_up (Book *book, gconstpointer data G_GNUC_UNUSED)
{
  book->dir = g_dir_make_tmp ("moosh-book-XXXXXX", NULL);
  book->path = g_build_filename (book->dir, "book.db", NULL);
  open_store (book);
  for (guint8 i = 0; i < 3; i++)
    party_init (&book->party[i], (guint8)(10 + i));
}

static void
tear_down (Book *book, gconstpointer data G_GNUC_UNUSED)
{
  static const char *const suffixes[] = { "", "-wal", "-shm" };
  moosh_store_free (book->store);
  for (guint i = 0; i < G_N_ELEMENTS (suffixes); i++)
    {
      g_autofree char *path = g_strconcat (book->path, suffixes[i], NULL);
      g_unlink (path);
    }
  g_rmdir (book->dir);
  g_free (book->path);
  g_free (book->dir);
}

static MooshPeerAddress
address_of (const Party *party, const char *host)
{
  MooshPeerAddress address = { .port = 7700 };
  memcpy (address.node_key, party->node_key, 33);
  g_strlcpy (address.host, host, sizeof address.host);
  return address;
}

static void
add (Book *book, int i, const char *name)
{
  g_autoptr (GError) error = NULL;
  MooshPeerAddress address = address_of (&book->party[i], "host.example");
  moosh_contact_add (book->store, &address, name, 1000 + i, &error);
  g_assert_no_error (error);
}

static void
test_life (Book *book, gconstpointer data G_GNUC_UNUSED)
{
  g_autoptr (GError) error = NULL;
  add (book, 0, "zoe");
  add (book, 1, NULL);
  add (book, 2, "adam");
  g_autoptr (GPtrArray) list = moosh_contact_list (book->store, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (list->len, ==, 3);
  g_assert_cmpstr (((MooshContact *)list->pdata[0])->name, ==, "adam");
  g_assert_cmpstr (((MooshContact *)list->pdata[1])->name, ==, "zoe");
  g_assert_cmpstr (((MooshContact *)list->pdata[2])->name, ==, "");

  /* Found by name, key, identity and whole address; moved without losing its name. */
  MooshPeerAddress moved = address_of (&book->party[0], "10.9.8.7");
  g_assert_true (moosh_contact_add (book->store, &moved, NULL, 5000, &error));
  g_assert_true (
      moosh_contact_seen (book->store, moved.node_key, book->party[0].identity, 6000, &error));
  g_autofree char *whole = moosh_peer_address_format (&moved);
  g_autofree char *key = g_strndup (whole, 66);
  char identity[MOOSH_ADDRESS_TEXT];
  moosh_address_format (book->party[0].identity, identity);
  const char *const names[] = { "zoe", whole, key, identity };
  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    {
      g_autoptr (MooshContact) zoe = moosh_contact_find (book->store, names[i], &error);
      g_assert_no_error (error);
      g_assert_cmpstr (zoe->name, ==, "zoe");
      g_assert_cmpstr (zoe->address.host, ==, "10.9.8.7");
      g_assert_cmpint (zoe->added_s, ==, 1000);
      g_assert_cmpint (zoe->seen_s, ==, 6000);
      g_assert_true (zoe->has_identity);
      g_assert_cmpmem (zoe->identity, 20, book->party[0].identity, 20);
    }

  g_assert_true (moosh_contact_rename (book->store, moved.node_key, "Zoë & Co", &error));
  g_assert_true (moosh_contact_remove (book->store, book->party[1].node_key, &error));
  moosh_store_free (book->store); /* it is on disk */
  open_store (book);
  g_autoptr (GPtrArray) after = moosh_contact_list (book->store, &error);
  g_assert_cmpuint (after->len, ==, 2);
  g_autoptr (MooshContact) renamed = moosh_contact_find (book->store, "Zoë & Co", &error);
  g_assert_nonnull (renamed);
}

static void
test_refusals (Book *book, gconstpointer data G_GNUC_UNUSED)
{
  g_autofree char *longest = g_strnfill (MOOSH_CONTACT_NAME_MAX, 'n');
  g_autofree char *over = g_strnfill (MOOSH_CONTACT_NAME_MAX + 1, 'n');
  const char *const bad[] = { "",
                              over,
                              "a\nb",
                              "\x1b[2J",
                              "a@b",
                              "0xabc",
                              "-x",
                              " x",
                              "x ",
                              "\xff",
                              "\xc2\x9b"
                              "x" };
  MooshPeerAddress address = address_of (&book->party[0], "h");
  g_autoptr (GError) error = NULL;
  for (guint i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      g_assert_false (moosh_contact_add (book->store, &address, bad[i], 1, &error));
      g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE);
      g_clear_error (&error);
    }
  g_assert_true (moosh_contact_add (book->store, &address, longest, 1, &error));
  add (book, 1, "bob");
  g_assert_false (moosh_contact_rename (book->store, book->party[0].node_key, "bob", &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_CONFLICT);
  g_clear_error (&error);
  address = address_of (&book->party[2], "h");
  g_assert_false (moosh_contact_add (book->store, &address, "bob", 1, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_CONFLICT);
  g_clear_error (&error);
  g_assert_false (moosh_contact_remove (book->store, book->party[2].node_key, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_NOT_FOUND);
  g_clear_error (&error);
  g_assert_false (moosh_contact_rename (book->store, book->party[2].node_key, "carl", &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_NOT_FOUND);
  g_clear_error (&error);
  const char *const nobody[] = { "carl", "", "0x0000000000000000000000000000000000000001" };
  for (guint i = 0; i < G_N_ELEMENTS (nobody); i++)
    {
      g_assert_null (moosh_contact_find (book->store, nobody[i], &error));
      g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_NOT_FOUND);
      g_clear_error (&error);
    }
}

static void
test_limit (Book *book, gconstpointer data G_GNUC_UNUSED)
{
  g_autoptr (GError) error = NULL;
  moosh_store_run (book->store, &error,
                   "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) "
                   "INSERT INTO contact (node_key, host, port, added_s) "
                   "SELECT CAST (printf ('%033d', i) AS BLOB), 'h', 1, 1 FROM n",
                   "i", (gint64)MOOSH_CONTACTS_MAX - 1);
  g_assert_no_error (error);
  add (book, 0, "last"); /* at the limit */
  MooshPeerAddress address = address_of (&book->party[1], "h");
  g_assert_false (moosh_contact_add (book->store, &address, NULL, 1, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_LIMIT);
  add (book, 0, "still"); /* a known one may change */
}

static gboolean
admit (Book *book, const Party *party, guint64 seq, GError **error)
{
  MooshCertificate certificate = party_certificate (party, seq, 4102444800);
  g_autoptr (GBytes) bytes = moosh_certificate_encode (&certificate);
  return moosh_addressbook_admit (book->store, &certificate, bytes, error);
}

static void
test_certificates (Book *book, gconstpointer data G_GNUC_UNUSED)
{
  g_autoptr (GError) error = NULL;
  g_assert_true (admit (book, &book->party[1], 5, &error)); /* a stranger: fine, and not kept */
  g_assert_true (admit (book, &book->party[1], 4, &error));
  add (book, 0, "zoe");
  g_assert_true (admit (book, &book->party[0], 5, &error));
  g_assert_true (admit (book, &book->party[0], 5, &error));
  g_assert_true (admit (book, &book->party[0], G_MAXUINT64 - 1, &error));
  g_assert_true (admit (book, &book->party[0], G_MAXUINT64, &error));
  g_assert_false (
      admit (book, &book->party[0], G_MAXUINT64 - 1, &error)); /* revoked by the newer one */
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_EXPIRED);
  g_clear_error (&error);

  /* The same node key under another wallet: somebody stole one of the two. */
  Party thief = book->party[0];
  memset (thief.wallet, 99, 32);
  moosh_key_address (&book->party[0].curve, thief.wallet, thief.identity);
  MooshCertificate stolen = { .seq = 9, .not_after_s = 4102444800 };
  memcpy (stolen.node_key, thief.node_key, 33);
  memcpy (stolen.identity, thief.identity, 20);
  g_autoptr (GBytes) bytes = moosh_certificate_encode (&stolen);
  g_assert_false (moosh_addressbook_admit (book->store, &stolen, bytes, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_CONFLICT);
  g_clear_error (&error);
  g_assert_false (moosh_contact_seen (book->store, thief.node_key, thief.identity, 7000, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_CONFLICT);
  g_clear_error (&error);
  g_assert_true (moosh_contact_seen (book->store, book->party[2].node_key, thief.identity, 1,
                                     &error)); /* no contact */
}

static void
test_two_nodes (Book *book, gconstpointer data G_GNUC_UNUSED)
{
  g_autoptr (GError) error = NULL;
  char identity[MOOSH_ADDRESS_TEXT];
  const guint8 *owner = book->party[0].identity;
  add (book, 0, "desk");
  add (book, 1, "rack");
  g_assert_true (moosh_contact_seen (book->store, book->party[0].node_key, owner, 100, &error));
  g_assert_true (moosh_contact_seen (book->store, book->party[1].node_key, owner, 200, &error));
  g_autoptr (MooshContact) newest = moosh_contact_by_identity (book->store, owner, &error);
  g_assert_cmpstr (newest->name, ==, "rack");
  moosh_address_format (owner, identity);
  g_assert_null (moosh_contact_find (book->store, identity, &error)); /* which? */
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_CONFLICT);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add ("/book/life", Book, NULL, set_up, test_life, tear_down);
  g_test_add ("/book/refusals", Book, NULL, set_up, test_refusals, tear_down);
  g_test_add ("/book/limit", Book, NULL, set_up, test_limit, tear_down);
  g_test_add ("/book/certificates", Book, NULL, set_up, test_certificates, tear_down);
  g_test_add ("/book/two-nodes", Book, NULL, set_up, test_two_nodes, tear_down);
  return g_test_run ();
}
