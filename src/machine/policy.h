/** Software policy: what a provider's offer allows to run. The offer carries its hash, the provider
 * its text.
 *
 * One rule per line; blank lines and lines beginning with # say nothing:
 *
 *   git URL-PREFIX [ATTRIBUTE...]   blueprints from URLs below the prefix (whole path components),
 * these attributes only commit HEX40                    this very commit, wherever it comes from
 *   closure PATTERN                 a glob (* and ?) over the names of the built closure's store
 * paths, hash left out
 *
 * A text without rules allows everything. With git or commit rules, one of them must fit before
 * anything is fetched. With closure rules, every store path of the built closure must fit one of
 * them before it boots. */
#pragma once
#include "machine/request.h"

#define MOOSH_POLICY_BYTES_MAX 16384
#define MOOSH_POLICY_RULES_MAX 256

/** Is the text a policy? MOOSH_ERROR_USAGE names the line; MOOSH_ERROR_LIMIT: too long. */
gboolean moosh_policy_check (const char *text, GError **error);

/** The offer's policyHash: SHA-256 of the text; all zero for NULL and "". */
void moosh_policy_hash (const char *text, guint8 ret[32]);

/** May this be fetched and built? MOOSH_ERROR_DENIED says that no rule allows it. */
gboolean moosh_policy_allows_source (const char *text, const char *url,
                                     const guint8 commit[MOOSH_COMMIT_LEN], const char *attribute,
                                     GError **error);

/** May this closure (store paths, NULL-terminated) boot? MOOSH_ERROR_DENIED names the first path
 * that may not. */
gboolean moosh_policy_allows_closure (const char *text, const char *const *paths, GError **error);
