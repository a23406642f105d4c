/* Taking an offer: ask what it costs, show it, ask the person, take it, then follow the machine
 * until it is theirs. */
#include "base/json.h"
#include "cli/commands.h"
#include "cli/table.h"
#include "cli/text.h"
#include "cli/view.h"
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { POLL_MS = 400, AWAY_MS = 30000 };

const CliOption cli_take_options[] = {
  CLI_REQUIREMENT_OPTIONS,
  { "blueprint", 'b', "URL",
    "What to build: git+https://…, git+ssh://…, git+file://… with ?rev=COMMIT and #ATTRIBUTE",
    NULL },
  { "for", 0, "TIME", "How long the deposit should last (2h; default 1h)", NULL },
  { "deposit", 0, "AMOUNT", "The deposit itself, instead of --for", NULL },
  { "units", 0, "N", "How many units of the offer (default 1)", NULL },
  { "name", 'n', "NAME", "What to call the machine", NULL },
  { "ssh-key", 'i', "FILE", "OpenSSH public key to let in; may be repeated (default ~/.ssh/*.pub)",
    "file" },
  { "no-internet", 0, NULL, "The machine needs no connections to the Internet", NULL },
  { "no-wait", 0, NULL, "Return once the transaction is in, do not wait for the machine", NULL },
  { "dry-run", 0, NULL, "Only show what it would cost", NULL },
  { NULL, 0, NULL, NULL, NULL },
};

static volatile sig_atomic_t interrupted;

static void
on_interrupt (int signal_number)
{
  (void)signal_number;
  interrupted = 1;
}

static gboolean
quote_params (Cli *cli, JsonObject *params, GError **error)
{
  const char *word = cli->n_args > 0 ? cli->args[0] : NULL;
  gboolean by_id = word != NULL && cli_is_offer_id (word), any = FALSE;
  gint64 duration_s = 3600;

  if (!cli_requirements (cli, by_id ? NULL : word, params, &any, error))
    return FALSE;
  if (by_id)
    json_object_set_string_member (params, "offer", word);
  if (by_id == any)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE,
                   "say which offer (its id from `moosh offers`), or what is needed (--vcpu, "
                   "--ram, --disk, --price)%s",
                   any ? ", not both" : "");
      return FALSE;
    }
  if (cli_value (cli, "units") != NULL)
    {
      guint64 units;

      if (!g_ascii_string_to_unsigned (cli_value (cli, "units"), 10, 1, G_MAXUINT32, &units, NULL))
        {
          g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE,
                       "--units: \"%s\" is not a number of units", cli_value (cli, "units"));
          return FALSE;
        }
      json_object_set_int_member (params, "units", (gint64)units);
    }
  if (cli_value (cli, "deposit") != NULL)
    {
      g_autofree char *wei = cli_wei (cli, cli_value (cli, "deposit"), error);

      if (wei == NULL)
        return FALSE;
      json_object_set_string_member (params, "deposit_wei", wei);
      return TRUE;
    }
  if (cli_value (cli, "for") != NULL
      && !cli_parse_duration (cli_value (cli, "for"), &duration_s, error))
    return FALSE;
  json_object_set_int_member (params, "duration_s", duration_s);
  return TRUE;
}

/* "ssh-ed25519 AAAA… comment": an algorithm's name, and base64 that begins with the name's length.
 */
static gboolean
is_public_key (const char *line)
{
  return strchr (line, '\n') == NULL && strstr (line, " AAAA") != NULL
         && (g_str_has_prefix (line, "ssh-") || g_str_has_prefix (line, "ecdsa-")
             || g_str_has_prefix (line, "sk-"));
}

/* The line of an OpenSSH public key file, or NULL when it is none. */
static char *
read_key (const char *path, GError **error)
{
  g_autofree char *text = NULL;
  gsize len;

  if (!g_file_get_contents (path, &text, &len, error))
    return NULL;
  g_strstrip (text);
  if (len > 16384 || !is_public_key (text))
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE,
                   "%s is not an OpenSSH public key (one line, *.pub)", path);
      return NULL;
    }
  return g_steal_pointer (&text);
}

static JsonArray *
ssh_keys (Cli *cli, GError **error)
{
  g_autoptr (JsonArray) keys = json_array_new ();
  g_autofree char *dir_path = g_build_filename (g_get_home_dir (), ".ssh", NULL);
  g_autoptr (GDir) dir = NULL;
  const char *name;

  for (char **path = cli_values (cli, "ssh-key"); *path != NULL; path++)
    {
      g_autofree char *key = read_key (*path, error);

      if (key == NULL)
        return NULL;
      json_array_add_string_element (keys, key);
    }
  if (json_array_get_length (keys) > 0)
    return g_steal_pointer (&keys);
  dir = g_dir_open (dir_path, 0, NULL);
  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *path = g_build_filename (dir_path, name, NULL);
      g_autofree char *key = g_str_has_suffix (name, ".pub") ? read_key (path, NULL) : NULL;

      if (key != NULL)
        json_array_add_string_element (keys, key);
    }
  return g_steal_pointer (&keys);
}

/* A directory on this machine is a git repository too: "./web" becomes git+file:///…/web. */
static char *
blueprint_url (const char *text, GError **error)
{
  const char *hash = strpbrk (text, "?#");
  g_autofree char *path = hash ? g_strndup (text, (gsize)(hash - text)) : g_strdup (text);
  g_autofree char *full = NULL;

  if (g_str_has_prefix (text, "git+"))
    return g_strdup (text);
  if (!g_file_test (path, G_FILE_TEST_IS_DIR))
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE,
                   "\"%s\" is no blueprint: write git+https://HOST/REPOSITORY?rev=COMMIT#ATTRIBUTE",
                   text);
      return NULL;
    }
  full = g_canonicalize_filename (path, NULL);
  return g_strconcat ("git+file://", full, hash ? hash : "", NULL);
}

/* What it costs and when the money is gone, on stderr: the question is asked below it. */
static void
show_quote (Cli *cli, JsonObject *quote)
{
  g_autofree char *party = cli_view_party (quote, "provider_name", "provider");
  g_autofree char *rate = cli_view_rate (cli, quote);
  g_autofree char *deposit = cli_view_amount (cli, quote, "deposit_wei");
  g_autofree char *lock = cli_view_amount (cli, quote, "lock_wei");
  g_autofree char *balance = cli_view_amount (cli, quote, "balance_wei");
  gint64 lasts_s = moosh_json_int_or (quote, "lasts_s", 0);
  g_autofree char *lasts
      = lasts_s > 0 ? cli_duration (lasts_s) : g_strdup ("for more than 60 years");
  g_autofree char *out = cli_when (moosh_json_int_or (quote, "runs_out_at_s", 0), cli_now ());
  g_autofree char *term = cli_duration (moosh_json_int_or (quote, "min_term_s", 0));
  g_autofree char *notice = cli_duration (moosh_json_int_or (quote, "notice_s", 0));
  const char *gas = moosh_json_string_or (quote, "fee_native_wei_estimate", NULL);
  g_autofree char *fee = gas ? cli_amount_text (gas, 18, 9) : NULL;

  cli_say ("Provider      %s", party);
  cli_say ("Price         %s", rate);
  cli_say ("Deposit       %s (%s of it locked until the end)", deposit, lock);
  cli_say ("Lasts         %s", lasts);
  cli_say ("Runs out at   %s", out);
  cli_say ("Minimum term  %s; the provider gives %s notice", term, notice);
  if (fee != NULL)
    cli_say ("Network fee   about %s of the chain's coin", fee);
  cli_say ("In the wallet %s", balance);
}

static void
say_progress (JsonObject *d, gint64 start_us, char **last)
{
  const char *state = moosh_json_string_or (d, "state", "?");
  const char *step = moosh_json_string_or (d, "step", NULL);
  const char *trouble = moosh_json_string_or (d, "error", NULL);
  g_autofree char *line
      = g_strconcat (state, step && *step ? ": " : "", step ? step : "",
                     trouble && *trouble ? " — " : "", trouble ? trouble : "", NULL);

  if (g_strcmp0 (line, *last) == 0)
    return;
  cli_say ("%6.1f s  %s", (double)(g_get_monotonic_time () - start_us) / 1e6, line);
  g_free (*last);
  *last = g_steal_pointer (&line);
}

/* agreement.show, or NULL without error while mooshd is being restarted: the agreement does not
 * depend on it, so neither does watching, for AWAY_MS. */
static JsonObject *
look (Cli *cli, const char *name, gint64 *away_us, GError **error)
{
  g_autoptr (GError) local = NULL;
  JsonObject *d = cli_ask_node (cli, "agreement.show",
                                moosh_json_build ("deployment", 's', name, NULL), &local);
  gint64 now_us = g_get_monotonic_time ();

  if (d != NULL)
    *away_us = 0;
  else if (!g_error_matches (local, MOOSH_ERROR, MOOSH_ERROR_UNAVAILABLE)
           || (*away_us != 0 && now_us - *away_us > (gint64)AWAY_MS * 1000))
    g_propagate_error (error, g_steal_pointer (&local));
  else if (*away_us == 0)
    {
      *away_us = now_us;
      cli_say ("          mooshd does not answer; waiting for it");
    }
  return d;
}

/* Follow until it is active, over, or the person presses ^C (which only stops the watching). */
static JsonObject *
follow (Cli *cli, const char *name, GError **error)
{
  g_autofree char *last = NULL;
  gint64 start_us = g_get_monotonic_time (), away_us = 0;

  while (!interrupted)
    {
      g_autoptr (GError) local = NULL;
      g_autoptr (JsonObject) d = look (cli, name, &away_us, &local);
      const char *state = d ? moosh_json_string_or (d, "state", "?") : "?";

      if (local != NULL)
        {
          g_propagate_error (error, g_steal_pointer (&local));
          return NULL;
        }
      if (d != NULL)
        say_progress (d, start_us, &last);
      if (strcmp (state, "active") == 0 || strcmp (state, "closed") == 0
          || strcmp (state, "failed") == 0)
        return g_steal_pointer (&d);
      g_usleep (POLL_MS * 1000);
    }
  g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_CANCELLED,
               "%s goes on without being watched: `moosh show %s` says how it is, `moosh close "
               "%s` ends it",
               name, name, name);
  return NULL;
}

static gboolean
finish (Cli *cli, const char *name, GError **error)
{
  struct sigaction action = { .sa_handler = on_interrupt };
  g_autoptr (JsonObject) d = NULL;
  const char *why, *ended, *next;

  sigaction (SIGINT, &action, NULL);
  d = follow (cli, name, error);
  if (d == NULL)
    return FALSE;
  if (cli->json)
    cli_print_json (d);
  if (strcmp (moosh_json_string_or (d, "state", ""), "active") == 0)
    {
      if (!cli->json)
        cli_print_deployment (cli, d);
      cli_say ("Log in with `moosh ssh %s`.", name);
      return TRUE;
    }
  why = moosh_json_string_or (d, "error", NULL);
  ended = moosh_json_string_or (d, "close_text", NULL);
  next = moosh_json_string_or (d, "next_step", NULL);
  g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_REFUSED, "%s did not come up: %s%s%s%s%s", name,
               why ? why : "", why && ended ? ". " : "",
               ended ? ended
               : why ? ""
                     : "no reason given",
               next ? " Next: " : "", next ? next : "");
  return FALSE;
}

/* It can be taken, the money suffices, and the person agrees. */
static gboolean
agree (Cli *cli, JsonObject *quote, GError **error)
{
  const char *why_not = moosh_json_string_or (quote, "why_not", NULL);

  if (why_not != NULL)
    {
      g_set_error (error, MOOSH_ERROR,
                   strstr (why_not, "expired") ? MOOSH_ERROR_EXPIRED : MOOSH_ERROR_CONFLICT,
                   "this offer cannot be taken: %s", why_not);
      return FALSE;
    }
  if (!moosh_json_bool_or (quote, "enough", TRUE))
    {
      g_autofree char *balance = cli_view_amount (cli, quote, "balance_wei");
      g_autofree char *deposit = cli_view_amount (cli, quote, "deposit_wei");

      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_FUNDS,
                   "too little money: the deposit is %s, the wallet has %s (its address: `moosh "
                   "wallet show`)",
                   deposit, balance);
      return FALSE;
    }
  return cli_confirm (cli, "Take it?", error);
}

static JsonObject *
take_params (Cli *cli, JsonObject *quote, GError **error)
{
  g_autofree char *url = blueprint_url (cli_value (cli, "blueprint"), error);
  g_autoptr (JsonArray) keys = url ? ssh_keys (cli, error) : NULL;
  const char *offer = keys ? moosh_json_string (quote, "offer", error) : NULL;
  const char *deposit = offer ? moosh_json_string (quote, "deposit_wei", error) : NULL;
  JsonObject *params;

  if (deposit == NULL)
    return NULL;
  params = moosh_json_build ("offer", 's', offer, "deposit_wei", 's', deposit, "blueprint", 's',
                             url, "ssh_keys", 'a', json_array_ref (keys), "internet", 'b',
                             (gboolean)!cli_flag (cli, "no-internet"), NULL);
  if (moosh_json_string_or (quote, "rate_x", NULL) != NULL)
    json_object_set_string_member (params, "rate_x", moosh_json_string_or (quote, "rate_x", NULL));
  if (cli_value (cli, "name") != NULL)
    json_object_set_string_member (params, "name", cli_value (cli, "name"));
  if (cli_value (cli, "units") != NULL)
    json_object_set_int_member (params, "units",
                                g_ascii_strtoll (cli_value (cli, "units"), NULL, 10));
  return params;
}

gboolean
cli_take (Cli *cli, GError **error)
{
  g_autoptr (JsonObject) asked = json_object_new ();
  g_autoptr (JsonObject) quote = NULL, params = NULL, taken = NULL;
  const char *name;

  if (cli_value (cli, "blueprint") == NULL && !cli_flag (cli, "dry-run"))
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE,
                   "say what to run: --blueprint git+https://HOST/REPOSITORY?rev=COMMIT#ATTRIBUTE");
      return FALSE;
    }
  if (!cli_token (cli, error) || !quote_params (cli, asked, error))
    return FALSE;
  quote = cli_ask_node (cli, "agreement.quote", json_object_ref (asked), error);
  if (quote == NULL)
    return FALSE;
  if (cli_flag (cli, "dry-run") && cli->json)
    return cli_print_json (quote);
  show_quote (cli, quote);
  if (cli_flag (cli, "dry-run"))
    return TRUE;
  params = take_params (cli, quote, error);
  if (params == NULL || !agree (cli, quote, error))
    return FALSE;
  cli_say ("Taking it: one transaction…");
  taken = cli_tell_node (cli, "agreement.take", json_object_ref (params), error);
  name = taken ? moosh_json_string (taken, "deployment", error) : NULL;
  if (name == NULL)
    return FALSE;
  if (!cli_flag (cli, "no-wait"))
    return finish (cli, name, error);
  if (cli->json)
    return cli_print_json (taken);
  cli_say ("%s is taken; `moosh show %s` says how far it is.", name, name);
  return TRUE;
}
