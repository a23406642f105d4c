/* The wizard: measure, ask, show, apply. Every step looks first at what is there, so a second run
 * changes nothing. */
#include "base/json.h"
#include "cli/commands.h"
#include "cli/process.h"
#include "cli/table.h"
#include "cli/text.h"
#include "cli/view.h"
#include "cli/vmm_plan.h"
#include <stdio.h>
#include <string.h>

const CliOption cli_vmm_setup_options[] = {
  { "auto", 0, NULL, "Ask nothing: what is not preseeded takes its default", NULL },
  { "preseed", 0, "FILE", "Read answers from KEY=VALUE lines", "file" },
  { "preset", 0, "NAME", "Terms: standard (a day's notice) or dev (seconds, for trying out)",
    "=standard dev" },
  { "dump", 0, NULL, "Print the answers as a preseed file and apply nothing", NULL },
  { NULL, 0, NULL, NULL, NULL },
};

/* What is there now, as the daemons say, and what was changed. */
typedef struct {
  Cli *cli;
  VmmMeasure measure;
  JsonObject *host;      /* host.measure */
  JsonObject *node;      /* node.status */
  JsonObject *wallet;    /* wallet.show */
  JsonObject *inventory; /* inventory.get */
  JsonObject *own;       /* offer.own */
  gboolean pool_changed, other_closed;
  guint changes;
} Setup;

static void
setup_clear (Setup *s)
{
  g_clear_pointer (&s->host, json_object_unref);
  g_clear_pointer (&s->node, json_object_unref);
  g_clear_pointer (&s->wallet, json_object_unref);
  g_clear_pointer (&s->inventory, json_object_unref);
  g_clear_pointer (&s->own, json_object_unref);
  g_free (s->measure.endpoint);
  g_free (s->measure.bond_floor_wei);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Setup, setup_clear)

static gboolean
measure (Setup *s, GError **error)
{
  JsonObject *stake;
  const char *address;

  if (!cli_token (s->cli, error))
    return FALSE;
  cli_say ("Measuring this host (a test guest is booted)…");
  s->host = cli_call (s->cli, CLI_VMMD, "host.measure", NULL, 180000, error);
  s->inventory = s->host ? cli_call (s->cli, CLI_VMMD, "inventory.get", NULL, 20000, error) : NULL;
  s->node = s->inventory ? cli_ask_node (s->cli, "node.status", NULL, error) : NULL;
  s->wallet = s->node ? cli_ask_node (s->cli, "wallet.show", NULL, error) : NULL;
  s->own = s->wallet ? cli_ask_node (s->cli, "offer.own", NULL, error) : NULL;
  if (s->own == NULL)
    return FALSE;
  s->measure.cores = moosh_json_int_or (s->host, "cores", 1);
  s->measure.ram_mib = moosh_json_int_or (s->host, "ram_mib", 1024);
  s->measure.disk_free_gib = moosh_json_int_or (s->host, "disk_free_gib", 1);
  s->measure.token_decimals = s->cli->token_decimals;
  stake = moosh_json_object (s->wallet, "stake", NULL);
  s->measure.bond_floor_wei
      = g_strdup (stake ? moosh_json_string_or (stake, "floor_wei", NULL) : NULL);
  address = moosh_json_string_or (s->node, "address", NULL);
  if (address != NULL && strchr (address, '@') != NULL)
    s->measure.endpoint = g_strdup (strchr (address, '@') + 1);
  return TRUE;
}

static void
show_measure (Setup *s)
{
  const char *accel = moosh_json_string_or (s->host, "accel", "none");
  g_autofree char *ram = cli_mib (s->measure.ram_mib);
  g_autofree char *native
      = cli_amount_text (moosh_json_string_or (s->wallet, "native_wei", "0"), 18, 6);
  g_autofree char *token = cli_view_amount (s->cli, s->wallet, "token_wei");
  g_autofree char *note
      = moosh_json_string_or (s->host, "accel_note", NULL)
            ? cli_printable (moosh_json_string_or (s->host, "accel_note", ""), FALSE)
            : NULL;
  JsonObject *chain = moosh_json_object (s->node, "chain", NULL);
  gint64 skew_s = 0;

  cli_say ("  processor   %s, %d cores", moosh_json_string_or (s->host, "cpu_model", "?"),
           (int)s->measure.cores);
  cli_say ("  memory      %s", ram);
  cli_say ("  disk        %d GiB free", (int)s->measure.disk_free_gib);
  cli_say ("  guests      %s%s%s",
           strcmp (accel, "kvm") == 0   ? "with KVM"
           : strcmp (accel, "tcg") == 0 ? "emulated (slow)"
                                        : "do not boot",
           note ? ": " : "", note ? note : "");
  cli_say ("  isolation   %s; limits: %s", moosh_json_string_or (s->host, "isolation", "?"),
           moosh_json_string_or (s->host, "limits", "?"));
  cli_say ("  ports       %d free from %d", (int)moosh_json_int_or (s->host, "ports_free", 0),
           (int)moosh_json_int_or (s->host, "port_first", 0));
  if (moosh_json_int (s->node, "clock_skew_s", &skew_s, NULL))
    cli_say ("  clock       %d s off the chain's", (int)skew_s);
  else
    cli_say ("  clock       not compared with the chain's yet");
  if (chain != NULL)
    cli_say ("  chain       %d, block %d", (int)moosh_json_int_or (chain, "id", 0),
             (int)moosh_json_int_or (chain, "head", 0));
  cli_say ("  wallet      %s, and %s of the chain's coin for gas", token, native);
}

/* One question until the answer is one, or from where answers come without asking. */
static gboolean
answer (Setup *s, VmmAnswers *answers, VmmQuestion question, gboolean ask, GError **error)
{
  g_autofree char *fallback = NULL;

  if (answers->text[question] != NULL)
    return TRUE;
  fallback = vmm_answer_default (question, &s->measure, answers);
  if (!ask || !vmm_question_applies (question, answers))
    {
      answers->text[question] = g_steal_pointer (&fallback);
      return TRUE;
    }
  for (;;)
    {
      g_autofree char *text = cli_ask (s->cli, vmm_question_text (question), fallback, error);
      g_autoptr (GError) wrong = NULL;

      if (text == NULL)
        return FALSE;
      if (vmm_answer_check (question, text, &wrong))
        {
          answers->text[question] = g_steal_pointer (&text);
          return TRUE;
        }
      cli_say ("%s", wrong->message);
    }
}

static gboolean
preseed (Cli *cli, VmmAnswers *answers, GError **error)
{
  const char *path = cli_value (cli, "preseed"), *preset = cli_value (cli, "preset");
  g_autofree char *text = NULL;
  g_autoptr (GError) local = NULL;

  if (preset != NULL)
    {
      if (!vmm_answer_check (VMM_TERMS, preset, error) || strcmp (preset, "own") == 0)
        {
          g_clear_error (error);
          g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE,
                       "--preset: \"%s\" is neither standard nor dev", preset);
          return FALSE;
        }
      answers->text[VMM_TERMS] = g_strdup (preset);
    }
  if (path == NULL)
    return TRUE;
  if (!g_file_get_contents (path, &text, NULL, &local))
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_NOT_FOUND, "--preseed: %s", local->message);
      return FALSE;
    }
  return vmm_preseed_parse (text, answers, error);
}

static gboolean
ask_all (Setup *s, VmmAnswers *answers, GError **error)
{
  gboolean ask = !cli_flag (s->cli, "auto") && !s->cli->yes;

  if (ask && !cli_is_terminal ())
    {
      if (cli_value (s->cli, "preseed") == NULL)
        {
          g_set_error (
              error, MOOSH_ERROR, MOOSH_ERROR_USAGE,
              "there is no terminal to ask on: say --auto (all defaults) or --preseed FILE");
          return FALSE;
        }
      ask = FALSE;
    }
  for (int q = 0; q < VMM_N_QUESTIONS; q++)
    if (!answer (s, answers, (VmmQuestion)q, ask, error))
      return FALSE;
  return TRUE;
}

static void
show_plan (Setup *s, const VmmPlan *plan)
{
  g_autoptr (CliTable) table = cli_table_new ("*SIZE", ">VCPU", ">RAM", ">DISK", ">PRICE/H",
                                              ">AT MOST", ">BOND EACH", NULL);
  g_autofree char *stake = cli_amount (s->cli, plan->stake_wei), *ram = cli_mib (plan->ram_mib),
                  *text = NULL;

  for (guint i = 0; i < plan->orders->len; i++)
    {
      const VmmOrder *order = plan->orders->pdata[i];
      g_autofree char *vcpu = cli_vcpu (order->vcpu_milli), *mib = cli_mib (order->ram_mib);
      g_autofree char *disk = g_strdup_printf ("%d GiB", (int)order->disk_gib);
      g_autofree char *volume = g_strdup_printf ("%d", (int)order->volume);
      g_autofree char *bond = cli_amount (s->cli, order->bond_wei);

      cli_table_row (table, order->name, vcpu, mib, disk, order->price, volume, bond);
    }
  text = cli_table_text (table, 0);
  cli_say ("\nThe plan: one %s pool of %d cores, %s, %d GiB; every size is cut from it.",
           plan->shared ? "shared" : "dedicated", (int)plan->cores, ram, (int)plan->disk_gib);
  if (plan->shared)
    cli_say ("%d %% of its cores are sold, as the offers say.", (int)plan->overcommit_pct);
  cli_say ("%s", text);
  cli_say ("Stake %s; reachable at %s.", stake,
           plan->endpoint ? plan->endpoint : "no address: contacts must connect first");
}

/* ---- applying ---- */

static gboolean
same_pool_id (const char *a, const char *b)
{
  a += g_str_has_prefix (a, "0x") ? 2 : 0;
  b += g_str_has_prefix (b, "0x") ? 2 : 0;
  return g_ascii_strcasecmp (a, b) == 0;
}

static JsonObject *
find_pool (JsonObject *from, const char *id)
{
  JsonArray *pools = moosh_json_array (from, "pools", NULL);

  for (guint i = 0; pools != NULL && i < json_array_get_length (pools); i++)
    {
      JsonObject *pool = cli_element (pools, i);

      if (pool != NULL && same_pool_id (moosh_json_string_or (pool, "pool", ""), id))
        return pool;
    }
  return NULL;
}

static gboolean
pool_is_as_planned (JsonObject *pool, const VmmPlan *plan)
{
  JsonObject *capacity = moosh_json_object (pool, "capacity", NULL);

  return capacity != NULL && moosh_json_int_or (pool, "class", -1) == (plan->shared ? 1 : 0)
         && moosh_json_int_or (pool, "overcommit_pct", 0) == plan->overcommit_pct
         && moosh_json_int_or (capacity, "vcpu_milli", 0) == plan->cores * 1000
         && moosh_json_int_or (capacity, "ram_mib", 0) == plan->ram_mib
         && moosh_json_int_or (capacity, "disk_gib", 0) == plan->disk_gib;
}

static gboolean
set_pool (Setup *s, const char *id, gboolean shared, gint64 overcommit_pct, JsonObject *capacity,
          GError **error)
{
  g_autoptr (JsonObject) done = cli_call (
      s->cli, CLI_VMMD, "inventory.set",
      moosh_json_build ("pool", 's', id, "class", 'i', (gint64)(shared ? 1 : 0), "overcommit_pct",
                        'i', overcommit_pct, "capacity", 'o', capacity, NULL),
      20000, error);

  if (done != NULL)
    s->changes++;
  else
    g_prefix_error (error, "inventory: ");
  return done != NULL;
}

/* The pool of the other class keeps what its machines hold, and sells no more. */
static gboolean
close_other_pool (Setup *s, const VmmPlan *plan, GError **error)
{
  JsonObject *pool = find_pool (s->inventory, plan->other_pool);
  JsonObject *capacity = pool ? moosh_json_object (pool, "capacity", NULL) : NULL;
  JsonObject *held = pool ? moosh_json_object (pool, "reserved", NULL) : NULL;

  if (capacity == NULL || held == NULL
      || (moosh_json_int_or (capacity, "vcpu_milli", 0) == moosh_json_int_or (held, "vcpu_milli", 0)
          && moosh_json_int_or (capacity, "ram_mib", 0) == moosh_json_int_or (held, "ram_mib", 0)))
    return TRUE;
  if (!set_pool (s, plan->other_pool, !plan->shared, 100, json_object_ref (held), error))
    return FALSE;
  s->other_closed = TRUE;
  cli_say ("Inventory: the %s pool is closed.", plan->shared ? "dedicated" : "shared");
  return TRUE;
}

static gboolean
apply_inventory (Setup *s, const VmmPlan *plan, GError **error)
{
  JsonObject *pool = find_pool (s->inventory, plan->pool);

  if (!close_other_pool (s, plan, error))
    return FALSE;
  if (pool != NULL && pool_is_as_planned (pool, plan))
    return TRUE;
  if (!set_pool (s, plan->pool, plan->shared, plan->overcommit_pct, vmm_plan_capacity (plan, FALSE),
                 error))
    return FALSE;
  s->pool_changed = TRUE;
  cli_say ("Inventory: %s.", pool ? "changed" : "made");
  return TRUE;
}

/* What is for sale on the chain: all of it but what machines hold already. */
static JsonObject *
units_left (Setup *s, const VmmPlan *plan)
{
  g_autoptr (JsonObject) inventory
      = cli_call (s->cli, CLI_VMMD, "inventory.get", NULL, 20000, NULL);
  JsonObject *pool = inventory ? find_pool (inventory, plan->pool) : NULL;
  JsonObject *left = pool ? moosh_json_object (pool, "free", NULL) : NULL;

  return left ? json_object_ref (left) : vmm_plan_capacity (plan, TRUE);
}

/* An order of ours in this pool that was not cancelled; the node shows those that were with that as
 * the reason. */
static gboolean
is_live (JsonObject *own, const char *pool)
{
  JsonObject *terms = moosh_json_object (own, "terms", NULL);
  const char *why_not = moosh_json_string_or (own, "why_not", "");

  return terms != NULL && same_pool_id (moosh_json_string_or (terms, "pool", ""), pool)
         && strstr (why_not, "cancelled") == NULL && strstr (why_not, "expired") == NULL;
}

static gboolean
has_orders (Setup *s, const char *pool)
{
  JsonArray *offers = moosh_json_array (s->own, "offers", NULL);
  gboolean any = FALSE;

  for (guint i = 0; offers != NULL && i < json_array_get_length (offers); i++)
    any |= cli_element (offers, i) != NULL && is_live (cli_element (offers, i), pool);
  return any;
}

/* A pool that is on sale already is left as the chain has it: takes and closes change it there, and
 * an absolute number from here could undo one that is under way. */
static JsonArray *
pools_to_set (Setup *s, const VmmPlan *plan)
{
  JsonArray *pools = json_array_new ();

  if (s->pool_changed || !has_orders (s, plan->pool))
    json_array_add_object_element (pools, moosh_json_build ("pool", 's', plan->pool, "units", 'o',
                                                            units_left (s, plan), NULL));
  if (s->other_closed)
    json_array_add_object_element (pools, moosh_json_build ("pool", 's', plan->other_pool, "units",
                                                            'o', json_object_new (), NULL));
  return pools;
}

static gboolean
apply_registration (Setup *s, const VmmPlan *plan, GError **error)
{
  JsonObject *params = moosh_json_build ("stake_wei", 's', plan->stake_wei, "pools", 'a',
                                         pools_to_set (s, plan), NULL);
  JsonArray *transactions;
  g_autoptr (JsonObject) done = NULL;

  if (plan->endpoint != NULL)
    json_object_set_string_member (params, "endpoint", plan->endpoint);
  done = cli_tell_node (s->cli, "provider.register", params, error);
  if (done == NULL)
    {
      g_prefix_error (error, "registration: ");
      return FALSE;
    }
  transactions = moosh_json_array (done, "transactions", NULL);
  for (guint i = 0; transactions != NULL && i < json_array_get_length (transactions); i++)
    {
      JsonObject *t = cli_element (transactions, i);
      g_autofree char *hash = cli_short (t ? moosh_json_string_or (t, "hash", NULL) : NULL);

      cli_say ("On the chain: %s (%s).",
               t ? moosh_json_string_or (t, "what", "a transaction") : "a transaction", hash);
      s->changes++;
    }
  return TRUE;
}

static gboolean
publish (Setup *s, const VmmOrder *order, gint64 valid_for_s, GError **error)
{
  g_autofree char *text = moosh_json_print (order->terms, FALSE);
  JsonObject *terms = moosh_json_parse (text, -1, error);
  g_autofree char *expiry = g_strdup_printf ("%" G_GINT64_FORMAT, cli_now () + valid_for_s);
  g_autoptr (JsonObject) done = NULL;
  g_autofree char *id = NULL;

  if (terms == NULL)
    return FALSE;
  json_object_set_string_member (terms, "expiry", expiry);
  done = cli_tell_node (s->cli, "offer.publish", moosh_json_build ("terms", 'o', terms, NULL),
                        error);
  if (done == NULL)
    {
      g_prefix_error (error, "order %s: ", order->name);
      return FALSE;
    }
  id = cli_short (moosh_json_string_or (done, "id", NULL));
  cli_say ("On offer: %s at %s %s/h (%s).", order->name, order->price, s->cli->token_symbol, id);
  s->changes++;
  return TRUE;
}

static gboolean
cancel (Setup *s, JsonObject *offer, GError **error)
{
  g_autoptr (JsonObject) done = cli_tell_node (
      s->cli, "offer.cancel",
      moosh_json_build ("id", 's', moosh_json_string_or (offer, "id", ""), NULL), error);

  if (done == NULL)
    return FALSE;
  cli_say ("Withdrawn: an order that is not in the plan any more.");
  s->changes++;
  return TRUE;
}

/* Publish what is missing, cancel what the plan no longer has. New ones first: a gap in the shop
 * window costs more than a moment of too much in it, as the pool bounds what can be sold. */
static gboolean
apply_orders (Setup *s, const VmmPlan *plan, GError **error)
{
  JsonArray *offers = moosh_json_array (s->own, "offers", error);
  guint n = offers ? json_array_get_length (offers) : 0;
  g_autofree gboolean *keep = g_new0 (gboolean, n + 1);

  if (offers == NULL)
    return FALSE;
  for (guint k = 0; k < plan->orders->len; k++)
    {
      const VmmOrder *order = plan->orders->pdata[k];
      gboolean found = FALSE;

      for (guint i = 0; i < n && !found; i++)
        {
          JsonObject *own = cli_element (offers, i);

          found = !keep[i] && own != NULL && is_live (own, plan->pool)
                  && vmm_order_same (moosh_json_object (own, "terms", NULL), order->terms,
                                     plan->valid_for_s, cli_now ());
          keep[i] |= found;
        }
      if (!found && !publish (s, order, plan->valid_for_s, error))
        return FALSE;
    }
  for (guint i = 0; i < n; i++)
    {
      JsonObject *own = cli_element (offers, i);

      if (!keep[i] && own != NULL && (is_live (own, plan->pool) || is_live (own, plan->other_pool))
          && !cancel (s, own, error))
        return FALSE;
    }
  return TRUE;
}

static gboolean
apply (Setup *s, const VmmPlan *plan, GError **error)
{
  if (!apply_inventory (s, plan, error) || !apply_registration (s, plan, error)
      || !apply_orders (s, plan, error))
    return FALSE;
  if (s->cli->json)
    {
      g_autoptr (JsonObject) own = cli_ask_node (s->cli, "offer.own", NULL, error);

      if (own == NULL)
        return FALSE;
      json_object_set_int_member (own, "changes", (gint64)s->changes);
      return cli_print_json (own);
    }
  if (s->changes == 0)
    cli_say ("Everything was so already: nothing was changed.");
  else
    cli_say ("Done. `moosh-vmm status` shows what is sold; clients add %s.",
             moosh_json_string_or (s->node, "address", "this node to their address book"));
  return TRUE;
}

/* Can it be paid for? Said before the question, as the chain would only say "reverted". */
static gboolean
check_funds (Setup *s, const VmmPlan *plan, GError **error)
{
  JsonObject *stake = moosh_json_object (s->wallet, "stake", NULL);
  g_autofree char *staked
      = stake ? cli_decimal_add (moosh_json_string_or (stake, "free_wei", "0"),
                                 moosh_json_string_or (stake, "reserved_wei", "0"))
              : g_strdup ("0");
  g_autofree char *has
      = cli_decimal_add (staked, moosh_json_string_or (s->wallet, "token_wei", "0"));

  if (strcmp (moosh_json_string_or (s->host, "accel", "none"), "none") == 0)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_FAILED,
                   "no guest boots on this host: `moosh-vmm doctor` says why");
      return FALSE;
    }
  if (cli_decimal_cmp (plan->stake_wei, has) > 0)
    {
      g_autofree char *want = cli_amount (s->cli, plan->stake_wei), *got = cli_amount (s->cli, has);

      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_FUNDS,
                   "the stake is %s, wallet and stake together have %s: send some to %s, or answer "
                   "a smaller stake",
                   want, got, moosh_json_string_or (s->wallet, "address", "the wallet"));
      return FALSE;
    }
  return TRUE;
}

/* What a provider cannot do without, said before anything is measured. */
static gboolean
check_node (Cli *cli, GError **error)
{
  g_autoptr (JsonObject) node = NULL;

  if (!cli_is_provider (cli))
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_FAILED,
                   "this node is not set up to sell: `moosh --state %s init --provider`, then "
                   "`node stop` and `node start`",
                   cli->state_dir);
      return FALSE;
    }
  node = cli_ask_node (cli, "node.status", NULL, error);
  if (node == NULL)
    return FALSE;
  if (moosh_json_string_or (node, "address", NULL) != NULL)
    return TRUE;
  g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_FAILED,
               "this node listens nowhere, so no client could reach it: `moosh --state %s init "
               "--listen HOST:PORT`, then "
               "`node stop` and `node start`",
               cli->state_dir);
  return FALSE;
}

gboolean
cli_vmm_setup (Cli *cli, GError **error)
{
  g_auto (Setup) s = { .cli = cli };
  g_auto (VmmAnswers) answers = { { NULL } };
  g_autoptr (VmmPlan) plan = NULL;

  if (!preseed (cli, &answers, error) || !check_node (cli, error) || !measure (&s, error))
    return FALSE;
  show_measure (&s);
  if (!ask_all (&s, &answers, error))
    return FALSE;
  plan = vmm_plan_new (&s.measure, &answers, error);
  if (plan == NULL)
    return FALSE;
  show_plan (&s, plan);
  if (cli_flag (cli, "dump"))
    {
      g_autofree char *text = vmm_preseed_print (&answers);

      fputs (text, stdout);
      return TRUE;
    }
  if (!check_funds (&s, plan, error))
    return FALSE;
  if (!cli_flag (cli, "auto") && cli_is_terminal () && !cli_confirm (cli, "Do this?", error))
    return FALSE;
  return apply (&s, plan, error);
}
