/* Blueprint references and URLs: what may be named, and finding the commit behind a branch. */
#include "base/spawn.h"
#include "core/bytes/bytes.h"
#include "machine/fetch.h"
#include "machine/request.h"
#include <string.h>

static gboolean
refuse_url (GError **error, const char *url, const char *why)
{
  g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE, "blueprint URL \"%.100s\": %s", url, why);
  return FALSE;
}

/* HOST[:PORT], with a host name, IPv4 address or [IPv6 address]. */
static gboolean
authority_ok (const char *authority, gsize len)
{
  gsize host = 0, port;

  if (len > 0 && authority[0] == '[')
    {
      host = 1 + strspn (authority + 1, "0123456789abcdefABCDEF:.");
      if (host < 3 || authority[host] != ']')
        return FALSE;
      host++;
    }
  else
    {
      while (host < len
             && (g_ascii_isalnum (authority[host]) || strchr (".-", authority[host]) != NULL))
        host++;
      if (host == 0 || authority[0] == '-' || authority[0] == '.')
        return FALSE;
    }
  if (host == len)
    return TRUE;
  port = len - host - 1;
  return authority[host] == ':' && port >= 1 && port <= 5
         && strspn (authority + host + 1, "0123456789") == port
         && g_ascii_strtoull (authority + host + 1, NULL, 10) <= 65535;
}

static gboolean
user_ok (const char *user, gsize len)
{
  for (gsize i = 0; i < len; i++)
    if (!g_ascii_isalnum (user[i]) && strchr ("._-", user[i]) == NULL)
      return FALSE;
  return len > 0 && len <= 32 && user[0] != '-';
}

static gboolean
path_ok (const char *path)
{
  return path[0] == '/' && path[1] != '\0' && path[1] != '-' && strstr (path, "/../") == NULL
         && !g_str_has_suffix (path, "/..");
}

gboolean
moosh_blueprint_url_check (const char *url, gboolean allow_file, GError **error)
{
  gboolean ssh = g_str_has_prefix (url, "ssh://"), file = g_str_has_prefix (url, "file://");
  const char *rest, *path, *at;

  if (strlen (url) > MOOSH_REQUEST_URL_MAX)
    return refuse_url (error, url, "longer than 512 bytes");
  for (const char *c = url; *c != '\0'; c++)
    if (*c <= ' ' || *c >= 0x7f || strchr ("\"'\\<>`{}|^?#", *c) != NULL)
      return refuse_url (
          error, url, "spaces, quotes, \"?\", \"#\" and characters beyond ASCII are not allowed");
  if (!ssh && !file && !g_str_has_prefix (url, "https://"))
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_DENIED,
                   "blueprint URL \"%.100s\": only https:// and ssh:// are fetched", url);
      return FALSE;
    }
  if (file && !allow_file)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_DENIED,
                   "blueprint URL \"%.100s\": this provider does not fetch file:// URLs", url);
      return FALSE;
    }
  rest = strstr (url, "://") + 3;
  path = strchr (rest, '/');
  if (path == NULL || !path_ok (path))
    return refuse_url (error, url,
                       "there is no path to a repository, or it has \"..\" or begins with a dash");
  if (file)
    return path == rest
           || refuse_url (error, url, "a file:// URL has three slashes and an absolute path");
  at = memchr (rest, '@', (gsize)(path - rest));
  if (at != NULL && !ssh)
    return refuse_url (error, url, "user names and passwords do not belong into an https:// URL");
  if (at != NULL && !user_ok (rest, (gsize)(at - rest)))
    return refuse_url (error, url, "the user name is none (a password does not belong here)");
  if (at != NULL)
    rest = at + 1;
  if (!authority_ok (rest, (gsize)(path - rest)))
    return refuse_url (error, url, "the host is none");
  return TRUE;
}

gboolean
moosh_blueprint_attribute_check (const char *attribute, GError **error)
{
  gboolean start = TRUE, ok = TRUE;

  for (const char *c = attribute; ok && *c != '\0'; c++)
    {
      if (start)
        ok = g_ascii_isalpha (*c) || *c == '_';
      else
        ok = g_ascii_isalnum (*c) || strchr ("_'-.", *c) != NULL;
      start = *c == '.';
    }
  if (ok && !start && strlen (attribute) <= MOOSH_REQUEST_ATTRIBUTE_MAX)
    return TRUE;
  g_set_error (
      error, MOOSH_ERROR, MOOSH_ERROR_USAGE,
      "blueprint attribute \"%.60s\": expected names joined by dots, as in \"machines.web\"",
      attribute);
  return FALSE;
}

void
moosh_blueprint_ref_free (MooshBlueprintRef *ref)
{
  if (ref == NULL)
    return;
  g_free (ref->url);
  g_free (ref->ref);
  g_free (ref->rev);
  g_free (ref->attribute);
  g_free (ref);
}

static gboolean
refuse_ref (GError **error, const char *text, const char *why)
{
  g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE, "blueprint \"%.100s\": %s", text, why);
  return FALSE;
}

/* A branch or tag as git check-ref-format has it, roughly, and never an option. */
static gboolean
ref_ok (const char *ref)
{
  return *ref != '\0' && strlen (ref) <= 128 && strchr ("-./", ref[0]) == NULL
         && strstr (ref, "..") == NULL
         && strspn (ref, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._/-+")
                == strlen (ref);
}

static gboolean
parse_query (MooshBlueprintRef *ref, const char *text, const char *query, GError **error)
{
  g_auto (GStrv) words = g_strsplit (query, "&", 8);
  guint8 commit[MOOSH_COMMIT_LEN];

  for (char **word = words; *word != NULL; word++)
    {
      if (g_str_has_prefix (*word, "ref=") && ref->ref == NULL)
        ref->ref = g_strdup (*word + 4);
      else if (g_str_has_prefix (*word, "rev=") && ref->rev == NULL)
        ref->rev = g_ascii_strdown (*word + 4, -1);
      else
        return refuse_ref (error, text, "after \"?\" come ref=BRANCH and rev=COMMIT, each once");
    }
  if (ref->ref != NULL && !ref_ok (ref->ref))
    return refuse_ref (error, text, "the branch or tag has no usable name");
  if (ref->rev != NULL
      && (strlen (ref->rev) != 2 * MOOSH_COMMIT_LEN
          || moosh_hex_decode (ref->rev, commit, sizeof commit) != MOOSH_OK))
    return refuse_ref (error, text, "rev= takes a whole commit: 40 hex digits");
  return TRUE;
}

MooshBlueprintRef *
moosh_blueprint_ref_parse (const char *text, GError **error)
{
  g_autoptr (MooshBlueprintRef) ref = g_new0 (MooshBlueprintRef, 1);
  const char *start = g_str_has_prefix (text, "git+") ? text + 4 : text;
  const char *hash = strchr (start, '#'), *query = strchr (start, '?');
  const char *end = hash != NULL ? hash : start + strlen (start);

  if (query != NULL && query > end)
    query = NULL;
  ref->attribute = g_strdup (hash != NULL && hash[1] != '\0' ? hash + 1 : "default");
  ref->url = g_strndup (start, (gsize)((query != NULL ? query : end) - start));
  if (query != NULL)
    {
      g_autofree char *words = g_strndup (query + 1, (gsize)(end - query - 1));

      if (!parse_query (ref, text, words, error))
        return NULL;
    }
  if (!moosh_blueprint_url_check (ref->url, TRUE, error)
      || !moosh_blueprint_attribute_check (ref->attribute, error))
    return NULL;
  return g_steal_pointer (&ref);
}

char *
moosh_blueprint_ref_print (const MooshBlueprintRef *ref)
{
  GString *text = g_string_new (NULL);

  g_string_append_printf (text, "git+%s", ref->url);
  if (ref->ref != NULL && ref->rev == NULL)
    g_string_append_printf (text, "?ref=%s", ref->ref);
  if (ref->rev != NULL)
    g_string_append_printf (text, "?rev=%s", ref->rev);
  g_string_append_printf (text, "#%s", ref->attribute);
  return g_string_free (text, FALSE);
}

/* The commit in `git ls-remote` output for what was asked: a peeled tag (name^{}) wins over the tag
 * object, a branch over a tag of the same name. */
static char *
pick_commit (const char *listing, const char *name)
{
  g_auto (GStrv) lines = g_strsplit (listing, "\n", -1);
  g_autofree char *head = g_strconcat ("refs/heads/", name, NULL);
  g_autofree char *peeled = g_strconcat ("refs/tags/", name, "^{}", NULL);
  g_autofree char *tag = g_strconcat ("refs/tags/", name, NULL);
  const char *wanted[] = { name, head, peeled, tag };

  for (guint i = 0; i < G_N_ELEMENTS (wanted); i++)
    for (char **line = lines; *line != NULL; line++)
      if (strlen (*line) > 41 && (*line)[40] == '\t' && strcmp (*line + 41, wanted[i]) == 0)
        return g_strndup (*line, 40);
  return NULL;
}

gboolean
moosh_blueprint_ref_resolve (MooshBlueprintRef *ref, guint timeout_ms, GError **error)
{
  const char *name = ref->ref != NULL ? ref->ref : "HEAD";
  g_autofree char *listing = NULL;

  if (ref->rev != NULL)
    return TRUE;
  listing = moosh_git_ls_remote (ref->url, name, timeout_ms, error);
  if (listing == NULL)
    return FALSE;
  ref->rev = pick_commit (listing, name);
  if (ref->rev != NULL)
    return TRUE;
  g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_NOT_FOUND,
               "blueprint repository %s: there is no branch or tag \"%s\"", ref->url, name);
  return FALSE;
}
