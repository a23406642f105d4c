/** The address book: whom I know, by what name, and where their node is. Tables in the caller's
 * MooshStore. */
#pragma once
#include "base/store.h"
#include "peer/address.h"
#include "peer/certificate.h"

/** The tables; one entry for the migrations of the store that holds the book. */
extern const char *const moosh_addressbook_sql;

#define MOOSH_CONTACTS_MAX     10000
#define MOOSH_CONTACT_NAME_MAX 64 /* bytes of UTF-8, no control characters */

typedef struct {
  gint64 id;
  MooshPeerAddress address;
  gboolean has_identity; /* known once the node has shown its certificate */
  guint8 identity[20];
  char name[MOOSH_CONTACT_NAME_MAX + 1]; /* unique; "" when none was given */
  gint64 trust;                          /* reserved for the social graph: 0–100 */
  gint64 added_s;
  gint64 seen_s; /* last time a session was up; 0: never */
} MooshContact;

void moosh_contact_free (MooshContact *contact);

/** Add a contact, or move the one with this node key to a new address. `name` may be NULL (a known
 * contact keeps its name). MOOSH_ERROR_CONFLICT: the name is another contact's; MOOSH_ERROR_USAGE:
 * no valid name; MOOSH_ERROR_LIMIT. */
gboolean moosh_contact_add (MooshStore *store, const MooshPeerAddress *address, const char *name,
                            gint64 now_s, GError **error);

/** Find by name, node key (hex), identity (0x address) or "KEY@HOST:PORT". MOOSH_ERROR_NOT_FOUND;
 * MOOSH_ERROR_CONFLICT: an identity with several nodes. */
MooshContact *moosh_contact_find (MooshStore *store, const char *text, GError **error);
MooshContact *moosh_contact_by_key (MooshStore *store, const guint8 node_key[33], GError **error);
/** Any node of that identity, the one seen last first. */
MooshContact *moosh_contact_by_identity (MooshStore *store, const guint8 identity[20],
                                         GError **error);

/** All contacts by name, then age: array of MooshContact*, owned. */
GPtrArray *moosh_contact_list (MooshStore *store, GError **error);

gboolean moosh_contact_rename (MooshStore *store, const guint8 node_key[33], const char *name,
                               GError **error);
gboolean moosh_contact_remove (MooshStore *store, const guint8 node_key[33], GError **error);

/** A session with a contact is up: pin the identity it proved and note the time. A node key that is
 * no contact is TRUE and changes nothing. MOOSH_ERROR_CONFLICT: the key was another identity's
 * before. */
gboolean moosh_contact_seen (MooshStore *store, const guint8 node_key[33],
                             const guint8 identity[20], gint64 now_s, GError **error);

/** Keep the newest certificate of a contact's node (a stranger's is not kept). MOOSH_ERROR_EXPIRED:
 * a newer one is known, so this one is revoked; MOOSH_ERROR_CONFLICT: the key was certified by
 * another identity before. What MooshPeerConfig.admit is for. */
gboolean moosh_addressbook_admit (MooshStore *store, const MooshCertificate *certificate,
                                  GBytes *encoded, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (MooshContact, moosh_contact_free)
