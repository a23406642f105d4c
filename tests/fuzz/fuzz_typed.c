/* Fuzz target: EIP-712 typed data as JSON.
 *
 * What is accepted has the same hash after it was written and read again. */
#include "base/json.h"
#include "daemon/keyd/typed.h"
#include <string.h>

int LLVMFuzzerInitialize (int *argc, char ***argv);
int LLVMFuzzerTestOneInput (const uint8_t *input, size_t len);

int
LLVMFuzzerInitialize (int *argc, char ***argv)
{
  (void)argc;
  (void)argv;
  /* a misuse of GLib or json-glib is a finding as well */
  g_log_set_always_fatal (G_LOG_LEVEL_CRITICAL | G_LOG_LEVEL_WARNING | G_LOG_FATAL_MASK);
  return 0;
}

int
LLVMFuzzerTestOneInput (const uint8_t *input, size_t len)
{
  g_autoptr (JsonObject) json = moosh_json_parse ((const char *)input, (gssize)len, NULL);
  g_autoptr (JsonObject) again = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *text = NULL;
  Typed typed, typed_again;

  if (json == NULL)
    return 0;
  if (!typed_read (json, &typed, &error))
    {
      g_assert_nonnull (error);
      return 0;
    }
  text = moosh_json_print (json, FALSE);
  again = moosh_json_parse (text, -1, &error);
  g_assert_no_error (error);
  g_assert_true (typed_read (again, &typed_again, &error));
  g_assert_true (memcmp (typed.digest, typed_again.digest, 32) == 0);
  return 0;
}
