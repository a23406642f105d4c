/* What a JSON-RPC endpoint answers: the first byte says what was asked for, the rest is the reply's
 * text. Whatever it is, it is read or refused with a sentence, and a fault becomes an error people
 * can read. */
#include "chain/ask.h"
#include "chain/contract.h"
#include "chain/reply.h"
#include <stdint.h>

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

static void
check (gboolean ok)
{
  if (!ok)
    abort ();
}

static void
read_result (guint8 kind, JsonNode *result, GError **error)
{
  g_autoptr (GBytes) bytes = NULL;
  g_autoptr (GPtrArray) logs = NULL;
  g_auto (MooshReceipt) receipt = { 0 };
  MooshU256 wide, tip;
  MooshBlock block;
  guint64 narrow;
  gboolean found;

  switch (kind % 7)
    {
    case 0:
      reply_u256 (result, &wide, error);
      return;
    case 1:
      reply_u64 (result, &narrow, error);
      return;
    case 2:
      bytes = reply_bytes (result, error);
      return;
    case 3:
      reply_block (result, &block, &found, error);
      return;
    case 4:
      if (reply_receipt (result, &receipt, &found, error) && found)
        check (receipt.logs != NULL);
      return;
    case 5:
      logs = reply_logs (result, error);
      for (guint i = 0; logs != NULL && i < logs->len; i++)
        {
          const MooshAbiEvent *event = moosh_event_find (NULL, logs->pdata[i]);
          G_GNUC_UNUSED g_autoptr (MooshDecoded) decoded
              = event != NULL ? moosh_event_decode (event, logs->pdata[i], NULL) : NULL;
        }
      return;
    default:
      reply_fees (result, &wide, &tip, error);
      return;
    }
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  g_autoptr (JsonNode) result = NULL;
  g_autoptr (GError) error = NULL;
  g_auto (Fault) fault = { 0 };

  if (size == 0)
    return 0;
  if (!reply_parse (data + 1, size - 1, 1, &result, &fault, &error))
    check (error != NULL && result == NULL);
  else if (result != NULL)
    read_result (data[0], result, &error);
  else
    {
      fault_to_error (&fault, &error);
      check (error != NULL && g_utf8_validate (error->message, -1, NULL));
    }
  return 0;
}
