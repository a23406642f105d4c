/* contact.*: the address book. */
#include "api.h"
#include "market/book.h"
#include "peer/addressbook.h"
#include <string.h>

static JsonObject *
contact_json (Node *node, const MooshContact *contact)
{
  g_autofree char *identity = contact->has_identity ? address_text (contact->identity) : NULL;
  g_autofree char *key = moosh_hex (contact->address.node_key, 33);
  g_autoptr (GArray) peers = moosh_peer_node_list (node->peers);
  gboolean connected = FALSE;

  for (guint i = 0; i < peers->len; i++)
    connected
        |= memcmp (g_array_index (peers, MooshPeerId, i).node_key, contact->address.node_key, 33)
           == 0;
  return moosh_json_build (
      "name", 's', contact->name, "node_key", 's', key + 2, "identity", 's', identity, "host", 's',
      contact->address.host, "port", 'i', (gint64)contact->address.port, "added_s", 'i',
      contact->added_s, "last_seen_s", 'i', contact->seen_s, "connected", 'b', connected, "offers",
      'i', (gint64)offers_of_contact (node, contact->address.node_key), NULL);
}

/* Who answers there cannot be reached under this key, and trying again will not change that. */
static gboolean
is_hopeless (const GError *trouble)
{
  return trouble != NULL
         && (trouble->code == MOOSH_ERROR_REFUSED || trouble->code == MOOSH_ERROR_PROTOCOL
             || trouble->code == MOOSH_ERROR_EXPIRED);
}

/* Go back to what was known of this key before (NULL: nothing), and say why. */
static JsonObject *
take_back (Node *node, const MooshPeerAddress *address, const MooshContact *before, GError *trouble,
           GError **error)
{
  if (before != NULL)
    {
      moosh_contact_add (node->store, &before->address, before->name, now_s (), NULL);
      moosh_peer_node_add_address (node->peers, &before->address, NULL);
    }
  else
    {
      moosh_contact_remove (node->store, address->node_key, NULL);
      moosh_peer_node_remove_address (node->peers, address->node_key);
    }
  g_propagate_prefixed_error (error, trouble, "not added: ");
  return NULL;
}

JsonObject *
mooshd_contact_add (const MooshRpcPeer *peer, JsonObject *params, gpointer user_data,
                    GError **error)
{
  Node *node = user_data;
  const char *name = moosh_json_string_or (params, "name", NULL);
  MooshPeerAddress address;
  g_autoptr (MooshContact) before = NULL;
  g_autoptr (MooshContact) contact = NULL;
  g_autoptr (GError) trouble = NULL;
  JsonObject *reply;

  (void)peer;
  if (!moosh_peer_address_parse (moosh_json_string (params, "address", NULL), &address, error))
    return NULL;
  if (memcmp (address.node_key, node->node_key, 33) == 0)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE, "this is our own address");
      return NULL;
    }
  before = moosh_contact_by_key (node->store, address.node_key, NULL);
  if (!moosh_contact_add (node->store, &address, name, now_s (), error)
      || !moosh_peer_node_add_address (node->peers, &address, error))
    return NULL;
  offers_pull (node, address.node_key, NULL, &trouble);
  if (is_hopeless (trouble))
    return take_back (node, &address, before, g_steal_pointer (&trouble), error);
  contact = moosh_contact_by_key (node->store, address.node_key, error);
  if (contact == NULL)
    return NULL;
  reply = contact_json (node, contact);
  json_object_set_boolean_member (reply, "reachable", trouble == NULL);
  if (trouble != NULL)
    json_object_set_string_member (reply, "error", trouble->message);
  return reply;
}

JsonObject *
mooshd_contact_list (const MooshRpcPeer *peer, JsonObject *params, gpointer user_data,
                     GError **error)
{
  Node *node = user_data;
  g_autoptr (GPtrArray) contacts = moosh_contact_list (node->store, error);
  JsonArray *array;

  (void)peer;
  (void)params;
  if (contacts == NULL)
    return NULL;
  array = json_array_new ();
  for (guint i = 0; i < contacts->len; i++)
    json_array_add_object_element (array, contact_json (node, contacts->pdata[i]));
  return moosh_json_build ("contacts", 'a', array, NULL);
}

/* While something is rented from it we need to reach it. */
static gboolean
nothing_rented (Node *node, const MooshContact *contact, GError **error)
{
  g_autoptr (GBytes) identity = g_bytes_new (contact->identity, 20);

  if (!contact->has_identity
      || moosh_store_int (node->store, 0,
                          "SELECT count(*) FROM deployments WHERE provider = ? AND NOT over", "b",
                          identity)
             == 0)
    return TRUE;
  g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_CONFLICT,
               "something is rented from this contact still: see `moosh ps`");
  return FALSE;
}

JsonObject *
mooshd_contact_remove (const MooshRpcPeer *peer, JsonObject *params, gpointer user_data,
                       GError **error)
{
  Node *node = user_data;
  g_autoptr (MooshContact) contact
      = moosh_contact_find (node->store, moosh_json_string (params, "contact", NULL), error);

  (void)peer;
  if (contact == NULL || !nothing_rented (node, contact, error)
      || !moosh_contact_remove (node->store, contact->address.node_key, error)
      || !offers_forget_contact (node, contact->address.node_key, error))
    return NULL;
  moosh_peer_node_remove_address (node->peers, contact->address.node_key);
  moosh_peer_node_drop (node->peers, contact->address.node_key);
  return json_object_new ();
}

JsonObject *
mooshd_contact_rename (const MooshRpcPeer *peer, JsonObject *params, gpointer user_data,
                       GError **error)
{
  Node *node = user_data;
  g_autoptr (MooshContact) contact
      = moosh_contact_find (node->store, moosh_json_string (params, "contact", NULL), error);

  (void)peer;
  if (contact == NULL
      || !moosh_contact_rename (node->store, contact->address.node_key,
                                moosh_json_string (params, "name", NULL), error))
    return NULL;
  return json_object_new ();
}
