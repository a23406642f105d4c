/* agreement.quote and agreement.take: from an offer to a deployment. */
#include "api.h"
#include "machine/request.h"
#include "market/terms.h"
#include <string.h>

enum { DEFAULT_DURATION_S = 3600, RESOLVE_MS = 30000 };
#define DURATION_MAX_S (100LL * 365 * 86400)

/* What was asked for: an offer, how many units of it, and what that means. */
typedef struct {
  MooshBookEntry entry;
  guint units;
  MooshQuote quote;
} Order;

static gboolean
find_offer (Node *node, JsonObject *params, MooshBookEntry *ret, GError **error)
{
  const char *id = moosh_json_string_or (params, "offer", NULL);
  return id != NULL ? offers_find (node, id, ret, error) : offers_match (node, params, ret, error);
}

static gboolean
order_from (Node *node, JsonObject *params, Order *ret, GError **error)
{
  const char *deposit_text = moosh_json_string_or (params, "deposit_wei", NULL);
  gint64 units = moosh_json_int_or (params, "units", 1);
  gint64 duration_s = moosh_json_int_or (params, "duration_s", DEFAULT_DURATION_S);
  MooshU256 deposit;

  if (!find_offer (node, params, &ret->entry, error)
      || (deposit_text != NULL && !wei_parse (deposit_text, "deposit_wei", &deposit, error)))
    return FALSE;
  ret->units = (guint)units;
  duration_s = MAX (duration_s, (gint64)ret->entry.signed_offer.offer.min_term_s);
  if (units < 1 || units > G_MAXUINT32 || duration_s < 1 || duration_s > DURATION_MAX_S
      || moosh_quote (&ret->entry.signed_offer.offer, ret->units, (guint64)duration_s,
                      deposit_text ? &deposit : NULL, (guint64)chain_now_s (node), &ret->quote)
             != MOOSH_OK)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE,
                   "units, duration or deposit are out of range");
      return FALSE;
    }
  if (moosh_u256_cmp (&ret->quote.deposit, &ret->quote.least_deposit) >= 0)
    return TRUE;
  {
    g_autofree char *least = wei_text (&ret->quote.least_deposit);
    g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_FUNDS,
                 "the deposit is too small: lock period and retention alone need %s wei", least);
  }
  return FALSE;
}

JsonObject *
mooshd_agreement_quote (const MooshRpcPeer *peer, JsonObject *params, gpointer user_data,
                        GError **error)
{
  Node *node = user_data;
  Order order;
  const MooshQuote *quote = &order.quote;
  MooshU256 balance;
  guint decimals = node_decimals (node);
  g_autofree char *why_not = NULL;
  JsonObject *reply;

  (void)peer;
  if (!order_from (node, params, &order, error) || !token_balance (node, &balance, error))
    return NULL;
  if (!offers_why_not (node, &order.entry.signed_offer, order.units, &why_not, error))
    return NULL;
  reply = offer_json (node, &order.entry, decimals);
  json_object_set_string_member (reply, "offer", json_object_get_string_member (reply, "id"));
  json_object_set_int_member (reply, "count", order.units);
  json_object_set_string_member (reply, "why_not", why_not);
  json_object_set_boolean_member (reply, "enough", moosh_u256_cmp (&balance, &quote->deposit) >= 0);
  json_object_set_object_member (reply, "token", token_json (node));
  {
    g_autofree char *price = price_per_hour (&quote->terms.rate_x, decimals);
    json_object_set_string_member (reply, "price_per_hour", price); /* of all units */
  }
  set_wei (reply, "deposit_wei", &quote->deposit);
  set_wei (reply, "minimum_deposit_wei", &quote->least_deposit);
  set_wei (reply, "lock_wei", &quote->lock);
  set_wei (reply, "early_fee_wei", &quote->early_fee_most);
  set_wei (reply, "reject_fee_wei", &quote->terms.reject_fee);
  set_wei (reply, "balance_wei", &balance);
  if (quote->lasts_s != MOOSH_NEVER && quote->lasts_s < G_MAXINT32)
    {
      json_object_set_int_member (reply, "lasts_s", (gint64)quote->lasts_s);
      json_object_set_int_member (reply, "runs_out_at_s", (gint64)quote->runs_out_at_s);
    }
  return reply;
}

/* ---- take ---- */

static gboolean
add_keys (Node *node, JsonObject *params, MooshRequest *request, GError **error)
{
  g_autofree char *own = NULL, *path = ssh_own_key (node, &own, error);
  JsonArray *keys = json_object_has_member (params, "ssh_keys")
                        ? moosh_json_array (params, "ssh_keys", NULL)
                        : NULL;

  if (path == NULL || !moosh_request_add_key (request, own, error))
    return FALSE;
  for (guint i = 0; keys != NULL && i < json_array_get_length (keys); i++)
    {
      JsonNode *key = json_array_get_element (keys, i);

      if (!JSON_NODE_HOLDS_VALUE (key) || json_node_get_value_type (key) != G_TYPE_STRING)
        {
          g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE,
                       "\"ssh_keys\" is a list of public key lines");
          return FALSE;
        }
      if (strcmp (json_node_get_string (key), own) != 0
          && !moosh_request_add_key (request, json_node_get_string (key), error))
        return FALSE;
    }
  return TRUE;
}

static gboolean
make_request (Node *node, JsonObject *params, Deployment *d, GError **error)
{
  g_autoptr (MooshBlueprintRef) ref
      = moosh_blueprint_ref_parse (moosh_json_string (params, "blueprint", NULL), error);
  g_autoptr (MooshRequest) request = moosh_request_new ();

  if (ref == NULL || (ref->rev == NULL && !moosh_blueprint_ref_resolve (ref, RESOLVE_MS, error)))
    return FALSE;
  request->url = g_strdup (ref->url);
  request->attribute = g_strdup (ref->attribute);
  if (moosh_hex_decode (ref->rev, request->commit, MOOSH_COMMIT_LEN) != MOOSH_OK)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE, "blueprint: \"%s\" is not a commit",
                   ref->rev);
      return FALSE;
    }
  request->internet = moosh_json_bool_or (params, "internet", TRUE);
  if (!add_keys (node, params, request, error))
    return FALSE;
  d->request = moosh_request_encode (request, error);
  if (d->request == NULL)
    return FALSE;
  moosh_request_hash (d->request, d->request_hash);
  d->blueprint = moosh_blueprint_ref_print (ref);
  return TRUE;
}

/* Names that are easy to say: "vm-1", "vm-2", … */
static char *
free_name (Node *node)
{
  for (guint n = 1;; n++)
    {
      g_autofree char *name = g_strdup_printf ("vm-%u", n);
      if (moosh_store_int (node->store, 0, "SELECT count(*) FROM deployments WHERE name = ?", "s",
                           name)
          == 0)
        return g_steal_pointer (&name);
    }
}

static gboolean
name_is_good (const char *name)
{
  gsize len = strlen (name);
  return len >= 1 && len <= 40 && g_ascii_isalpha (name[0])
         && strspn (name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")
                == len;
}

static gboolean
check_price (Node *node, JsonObject *params, const MooshSignedOffer *offer, guint units,
             const MooshU256 *deposit, GError **error)
{
  const char *shown_text = moosh_json_string_or (params, "rate_x", NULL);
  g_autofree char *why_not = NULL;
  MooshU256 shown, balance;

  if (shown_text != NULL)
    {
      if (!wei_parse (shown_text, "rate_x", &shown, error))
        return FALSE;
      if (moosh_u256_cmp (&shown, &offer->offer.rate_x) != 0)
        {
          g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_CONFLICT,
                       "the price has changed since it was shown: look again");
          return FALSE;
        }
    }
  if (!offers_why_not (node, offer, units, &why_not, error))
    return FALSE;
  if (why_not != NULL)
    {
      g_set_error (error, MOOSH_ERROR, offers_why_not_code (node, &offer->offer),
                   "this offer cannot be taken: %s", why_not);
      return FALSE;
    }
  if (!token_balance (node, &balance, error))
    return FALSE;
  if (moosh_u256_cmp (&balance, deposit) < 0)
    {
      g_autofree char *has = wei_text (&balance), *needs = wei_text (deposit);
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_FUNDS,
                   "the wallet holds %s wei of the token, the deposit is %s", has, needs);
      return FALSE;
    }
  return TRUE;
}

static Deployment *
prepare (Node *node, JsonObject *params, GError **error)
{
  g_autoptr (Deployment) d = g_new0 (Deployment, 1);
  const char *name = moosh_json_string_or (params, "name", NULL);
  Order order;

  if (name != NULL && !name_is_good (name))
    {
      g_set_error (
          error, MOOSH_ERROR, MOOSH_ERROR_USAGE,
          "a deployment's name is a letter and then letters, digits, - and _, at most 40 in all");
      return NULL;
    }
  if (!order_from (node, params, &order, error)
      || !check_price (node, params, &order.entry.signed_offer, order.units, &order.quote.deposit,
                       error)
      || !make_request (node, params, d, error))
    return NULL;
  d->offer = order.entry.signed_offer;
  memcpy (d->provider, order.entry.provider, 20);
  d->name = name != NULL ? g_strdup (name) : free_name (node);
  d->units = order.units;
  d->deposit = order.quote.deposit;
  d->created_s = now_s ();
  return g_steal_pointer (&d);
}

JsonObject *
mooshd_agreement_take (const MooshRpcPeer *peer, JsonObject *params, gpointer user_data,
                       GError **error)
{
  Node *node = user_data;
  g_autoptr (Deployment) d = prepare (node, params, error);

  (void)peer;
  if (d == NULL || !deployment_insert (node, d, error))
    return NULL;
  if (!deployment_take (node, d, moosh_json_bool_or (params, "wait", TRUE), error))
    {
      g_prefix_error (error, "take: ");
      return NULL;
    }
  worker_wake (node->worker);
  return moosh_json_build ("deployment", 's', d->name, "agreement", 'i', (gint64)d->agreement,
                           "state", 's', d->agreement != 0 ? "taken" : "taking", NULL);
}
