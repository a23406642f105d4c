/* The public calls: each builds its question, says how an answer is read and compared, and asks. */
#include "chain/chain.h"
#include "base/json.h"
#include "chain/ask.h"
#include <string.h>

#define LOGS_DEPTH_MAX 24 /* halvings of a range of blocks */
#define FEE_BLOCKS     "0x5"
#define FALLBACK_TIP   1000000000 /* wei: when no recent block says anything */

/* ---- values and how they are compared ---- */

MooshLog *
moosh_log_copy (const MooshLog *log)
{
  MooshLog *copy = g_memdup2 (log, sizeof *log);

  copy->data = g_bytes_ref (log->data);
  return copy;
}

void
moosh_log_free (MooshLog *log)
{
  if (log == NULL)
    return;
  g_clear_pointer (&log->data, g_bytes_unref);
  g_free (log);
}

void
moosh_receipt_clear (MooshReceipt *receipt)
{
  g_clear_pointer (&receipt->logs, g_ptr_array_unref);
  memset (receipt, 0, sizeof *receipt);
}

static void
receipt_free (gpointer receipt)
{
  moosh_receipt_clear (receipt);
  g_free (receipt);
}

static gboolean
read_quantity (JsonNode *result, gpointer *ret_value, GByteArray *canon, GError **error)
{
  g_autofree MooshU256 *value = g_new (MooshU256, 1);

  if (!reply_u256 (result, value, error))
    return FALSE;
  g_byte_array_append (canon, (const guint8 *)value, sizeof *value);
  *ret_value = g_steal_pointer (&value);
  return TRUE;
}

static gboolean
read_data (JsonNode *result, gpointer *ret_value, GByteArray *canon, GError **error)
{
  GBytes *bytes = reply_bytes (result, error);

  if (bytes == NULL)
    return FALSE;
  g_byte_array_append (canon, g_bytes_get_data (bytes, NULL), (guint)g_bytes_get_size (bytes));
  *ret_value = bytes;
  return TRUE;
}

typedef struct {
  gboolean found;
  MooshBlock block;
} BlockAnswer;

static gboolean
read_block (JsonNode *result, gpointer *ret_value, GByteArray *canon, GError **error)
{
  g_autofree BlockAnswer *answer = g_new0 (BlockAnswer, 1);

  if (!reply_block (result, &answer->block, &answer->found, error))
    return FALSE;
  g_byte_array_append (canon, (const guint8 *)answer, sizeof *answer);
  *ret_value = g_steal_pointer (&answer);
  return TRUE;
}

static void
canon_logs (GByteArray *canon, GPtrArray *logs)
{
  for (guint i = 0; i < logs->len; i++)
    {
      const MooshLog *log = logs->pdata[i];
      gsize len = g_bytes_get_size (log->data);

      g_byte_array_append (canon, (const guint8 *)&log->block, sizeof log->block);
      g_byte_array_append (canon, (const guint8 *)&log->index, sizeof log->index);
      g_byte_array_append (canon, log->block_hash, 32);
      g_byte_array_append (canon, log->tx_hash, 32);
      g_byte_array_append (canon, log->address, 20);
      g_byte_array_append (canon, (const guint8 *)&log->n_topics, sizeof log->n_topics);
      g_byte_array_append (canon, log->topics[0], log->n_topics * 32);
      g_byte_array_append (canon, (const guint8 *)&len, sizeof len);
      g_byte_array_append (canon, g_bytes_get_data (log->data, NULL), (guint)len);
    }
}

static gboolean
read_logs (JsonNode *result, gpointer *ret_value, GByteArray *canon, GError **error)
{
  GPtrArray *logs = reply_logs (result, error);

  if (logs == NULL)
    return FALSE;
  canon_logs (canon, logs);
  *ret_value = logs;
  return TRUE;
}

/* Not mined is an answer as well: a receipt without logs. */
static gboolean
read_receipt (JsonNode *result, gpointer *ret_value, GByteArray *canon, GError **error)
{
  g_autofree MooshReceipt *receipt = g_new0 (MooshReceipt, 1);
  gboolean found;

  if (!reply_receipt (result, receipt, &found, error))
    return FALSE;
  if (found)
    {
      g_byte_array_append (canon, receipt->tx_hash, 32);
      g_byte_array_append (canon, receipt->block_hash, 32);
      g_byte_array_append (canon, (const guint8 *)&receipt->block, sizeof receipt->block);
      g_byte_array_append (canon, (const guint8 *)&receipt->success, sizeof receipt->success);
      g_byte_array_append (canon, (const guint8 *)&receipt->gas_used, sizeof receipt->gas_used);
      canon_logs (canon, receipt->logs);
    }
  *ret_value = g_steal_pointer (&receipt);
  return TRUE;
}

/* ---- blocks ---- */

static gboolean
ask_block (MooshChain *chain, char *tag, guint quorum, MooshBlock *ret, GError **error)
{
  g_autofree char *params = g_strdup_printf ("[\"%s\",false]", tag);
  Query query = { "eth_getBlockByNumber", params, read_block, g_free };
  g_autofree BlockAnswer *answer = chain_ask (chain, &query, quorum, NULL, error);

  if (answer == NULL)
    return FALSE;
  if (!answer->found)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_NOT_FOUND, "the chain has no block %s", tag);
      return FALSE;
    }
  *ret = answer->block;
  return TRUE;
}

gboolean
moosh_chain_block (MooshChain *chain, guint64 number, MooshBlock *ret, GError **error)
{
  g_autofree char *tag = g_strdup_printf ("0x%" G_GINT64_MODIFIER "x", number);
  MooshBlock block;

  if (!ask_block (chain, tag, moosh_chain_quorum (chain), &block, error))
    return FALSE;
  if (block.number != number)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_PROTOCOL,
                   "asked for block %s, got block %" G_GUINT64_FORMAT, tag, block.number);
      return FALSE;
    }
  *ret = block;
  return TRUE;
}

static int
newest_first (gconstpointer a, gconstpointer b)
{
  const MooshU256 *x = *(const MooshU256 *const *)a, *y = *(const MooshU256 *const *)b;

  return moosh_u256_cmp (y, x);
}

/* The newest block that `quorum` endpoints have reached: the quorum-th highest of their heads. */
static gboolean
head_number (MooshChain *chain, guint quorum, guint64 *ret, GError **error)
{
  Query query = { "eth_blockNumber", (char *)"[]", read_quantity, g_free };
  g_autoptr (GPtrArray) heads = chain_ask_each (chain, &query, NULL, error);

  if (heads == NULL)
    return FALSE;
  if (heads->len < quorum)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_UNAVAILABLE,
                   "only %u of the %u endpoints needed answer now", heads->len, quorum);
      return FALSE;
    }
  g_ptr_array_sort (heads, newest_first);
  *ret = ((MooshU256 *)heads->pdata[quorum - 1])->limb[0];
  return TRUE;
}

gboolean
moosh_chain_head (MooshChain *chain, MooshBlock *ret, GError **error)
{
  guint quorum = moosh_chain_quorum (chain);
  guint64 number;

  if (quorum == 1)
    return ask_block (chain, (char *)"latest", 1, ret, error);
  if (!head_number (chain, quorum, &number, NULL))
    {
      /* Too few at this moment: a patient question brings the others back, or says what is wrong.
       */
      Query query = { "eth_chainId", (char *)"[]", read_quantity, g_free };
      g_autofree MooshU256 *id = chain_ask (chain, &query, quorum, NULL, error);

      if (id == NULL || !head_number (chain, quorum, &number, error))
        return FALSE;
    }
  return moosh_chain_block (chain, number, ret, error);
}

/* The tag to pin a question to: what the caller wants, or the head a quorum has. "latest" will do
 * when one endpoint decides alone and nobody wants to know the number. */
static char *
pin_block (MooshChain *chain, guint64 block, guint64 *ret_block, GError **error)
{
  if (block == MOOSH_CHAIN_LATEST)
    {
      MooshBlock head;

      if (moosh_chain_quorum (chain) == 1 && ret_block == NULL)
        return g_strdup ("latest");
      if (!moosh_chain_head (chain, &head, error))
        return NULL;
      block = head.number;
    }
  if (ret_block != NULL)
    *ret_block = block;
  return g_strdup_printf ("0x%" G_GINT64_MODIFIER "x", block);
}

/* ---- state ---- */

/* {"from":…,"to":…,"data":…,"value":…} with what is there. */
static char *
call_object (const guint8 *from, const guint8 *to, GBytes *input, const MooshU256 *value)
{
  GString *out = g_string_new ("{");
  gsize len = 0;
  const guint8 *data = input != NULL ? g_bytes_get_data (input, &len) : NULL;
  g_autofree char *data_hex = moosh_hex (data, len);
  char hex[65];
  guint8 be[32];
  const char *digits;

  if (from != NULL)
    {
      moosh_hex_encode (from, 20, hex);
      g_string_append_printf (out, "\"from\":\"0x%s\",", hex);
    }
  if (to != NULL)
    {
      moosh_hex_encode (to, 20, hex);
      g_string_append_printf (out, "\"to\":\"0x%s\",", hex);
    }
  if (value != NULL && !moosh_u256_is_zero (value))
    {
      moosh_u256_to_be (value, be);
      moosh_hex_encode (be, 32, hex);
      for (digits = hex; *digits == '0'; digits++)
        ;
      g_string_append_printf (out, "\"value\":\"0x%s\",", digits);
    }
  g_string_append_printf (out, "\"data\":\"%s\"}", data_hex);
  return g_string_free (out, FALSE);
}

GBytes *
moosh_chain_call (MooshChain *chain, const guint8 *from, const guint8 to[20], GBytes *input,
                  guint64 block, guint64 *ret_block, GError **error)
{
  g_autofree char *tag = pin_block (chain, block, ret_block, error);
  g_autofree char *object = NULL, *params = NULL;
  Query query = { "eth_call", NULL, read_data, (GDestroyNotify)g_bytes_unref };

  if (tag == NULL)
    return NULL;
  object = call_object (from, to, input, NULL);
  query.params = params = g_strdup_printf ("[%s,\"%s\"]", object, tag);
  return chain_ask (chain, &query, moosh_chain_quorum (chain), NULL, error);
}

/* method [address, block], by quorum. */
static gpointer
ask_account (MooshChain *chain, const char *method, const guint8 address[20], const Query *how,
             GError **error)
{
  g_autofree char *tag = pin_block (chain, MOOSH_CHAIN_LATEST, NULL, error);
  g_autofree char *hex = NULL, *params = NULL;
  Query query = *how;

  if (tag == NULL)
    return NULL;
  hex = moosh_hex (address, 20);
  query.method = method;
  query.params = params = g_strdup_printf ("[\"%s\",\"%s\"]", hex, tag);
  return chain_ask (chain, &query, moosh_chain_quorum (chain), NULL, error);
}

static const Query quantity_query = { NULL, NULL, read_quantity, g_free };
static const Query data_query = { NULL, NULL, read_data, (GDestroyNotify)g_bytes_unref };

gboolean
moosh_chain_balance (MooshChain *chain, const guint8 address[20], MooshU256 *ret, GError **error)
{
  g_autofree MooshU256 *value
      = ask_account (chain, "eth_getBalance", address, &quantity_query, error);

  if (value != NULL)
    *ret = *value;
  return value != NULL;
}

static gboolean
take_u64 (const MooshU256 *value, guint64 *ret, GError **error)
{
  if (value == NULL)
    return FALSE;
  if (!moosh_u256_fits_u64 (value))
    {
      g_set_error_literal (error, MOOSH_ERROR, MOOSH_ERROR_PROTOCOL,
                           "a quantity is beyond 64 bits");
      return FALSE;
    }
  *ret = value->limb[0];
  return TRUE;
}

gboolean
moosh_chain_nonce (MooshChain *chain, const guint8 address[20], guint64 *ret, GError **error)
{
  g_autofree MooshU256 *value
      = ask_account (chain, "eth_getTransactionCount", address, &quantity_query, error);

  return take_u64 (value, ret, error);
}

gboolean
moosh_chain_code_size (MooshChain *chain, const guint8 address[20], gsize *ret, GError **error)
{
  g_autoptr (GBytes) code = ask_account (chain, "eth_getCode", address, &data_query, error);

  if (code != NULL)
    *ret = g_bytes_get_size (code);
  return code != NULL;
}

/* ---- transactions ---- */

gboolean
moosh_chain_pending_nonce (MooshChain *chain, const guint8 address[20], guint64 *ret,
                           GError **error)
{
  g_autofree char *hex = moosh_hex (address, 20),
                  *params = g_strdup_printf ("[\"%s\",\"pending\"]", hex);
  Query query = { "eth_getTransactionCount", params, read_quantity, g_free };
  g_autofree MooshU256 *value = chain_ask (chain, &query, 1, NULL, error);

  return take_u64 (value, ret, error);
}

gboolean
moosh_chain_estimate_gas (MooshChain *chain, const guint8 from[20], const guint8 *to, GBytes *input,
                          const MooshU256 *value, guint64 *ret, GError **error)
{
  g_autofree char *object = call_object (from, to, input, value),
                  *params = g_strdup_printf ("[%s]", object);
  Query query = { "eth_estimateGas", params, read_quantity, g_free };
  g_autofree MooshU256 *gas = chain_ask (chain, &query, 1, NULL, error);

  return take_u64 (gas, ret, error);
}

typedef struct {
  MooshU256 base, tip;
} FeeAnswer;

static gboolean
read_fees (JsonNode *result, gpointer *ret_value, GByteArray *canon, GError **error)
{
  g_autofree FeeAnswer *answer = g_new0 (FeeAnswer, 1);

  if (!reply_fees (result, &answer->base, &answer->tip, error))
    return FALSE;
  g_byte_array_append (canon, (const guint8 *)answer, sizeof *answer);
  *ret_value = g_steal_pointer (&answer);
  return TRUE;
}

gboolean
moosh_chain_fees (MooshChain *chain, MooshU256 *ret_max_fee, MooshU256 *ret_tip, GError **error)
{
  Query history
      = { "eth_feeHistory", (char *)"[\"" FEE_BLOCKS "\",\"latest\",[50]]", read_fees, g_free };
  Query suggestion = { "eth_maxPriorityFeePerGas", (char *)"[]", read_quantity, g_free };
  g_autofree FeeAnswer *answer = chain_ask (chain, &history, 1, NULL, error);
  MooshU256 max_fee;
  gboolean overflow;

  if (answer == NULL)
    return FALSE;
  if (moosh_u256_is_zero (&answer->tip)) /* quiet blocks */
    {
      g_autofree MooshU256 *tip = chain_ask (chain, &suggestion, 1, NULL, NULL);

      answer->tip = tip != NULL ? *tip : moosh_u256 (FALLBACK_TIP);
    }
  overflow = moosh_u256_add (&answer->base, &answer->base, &max_fee);
  overflow |= moosh_u256_add (&max_fee, &answer->tip, &max_fee);
  if (overflow)
    {
      g_set_error_literal (error, MOOSH_ERROR, MOOSH_ERROR_PROTOCOL,
                           "the endpoint's fees are beyond reason");
      return FALSE;
    }
  *ret_max_fee = max_fee;
  *ret_tip = answer->tip;
  return TRUE;
}

static gboolean
read_hash (JsonNode *result, gpointer *ret_value, GByteArray *canon, GError **error)
{
  if (!read_data (result, ret_value, canon, error))
    return FALSE;
  if (g_bytes_get_size (*ret_value) == 32)
    return TRUE;
  g_clear_pointer (ret_value, g_bytes_unref);
  g_set_error_literal (error, MOOSH_ERROR, MOOSH_ERROR_PROTOCOL,
                       "a transaction's hash is not 32 bytes");
  return FALSE;
}

static void
fault_free (gpointer fault)
{
  fault_clear (fault);
  g_free (fault);
}

gboolean
moosh_chain_send_raw (MooshChain *chain, GBytes *raw, GError **error)
{
  gsize len;
  const guint8 *bytes = g_bytes_get_data (raw, &len);
  g_autofree char *hex = moosh_hex (bytes, len), *params = g_strdup_printf ("[\"%s\"]", hex);
  Query query = { "eth_sendRawTransaction", params, read_hash, (GDestroyNotify)g_bytes_unref };
  g_autoptr (GPtrArray) faults = g_ptr_array_new_with_free_func (fault_free);
  g_autoptr (GPtrArray) hashes = chain_ask_each (chain, &query, &faults, error);

  if (hashes == NULL)
    return FALSE;
  if (hashes->len > 0)
    return TRUE;
  for (guint i = 0; i < faults->len; i++)
    if (((Fault *)faults->pdata[i])->kind == FAULT_KNOWN)
      return TRUE;
  fault_to_error (faults->pdata[0], error);
  return FALSE;
}

gboolean
moosh_chain_receipt (MooshChain *chain, const guint8 tx_hash[32], MooshReceipt *ret, GError **error)
{
  g_autofree char *hex = moosh_hex (tx_hash, 32), *params = g_strdup_printf ("[\"%s\"]", hex);
  Query query = { "eth_getTransactionReceipt", params, read_receipt, receipt_free };
  g_autofree MooshReceipt *receipt
      = chain_ask (chain, &query, moosh_chain_quorum (chain), NULL, error);

  if (receipt == NULL)
    return FALSE;
  if (receipt->logs == NULL || memcmp (receipt->tx_hash, tx_hash, 32) != 0)
    {
      g_set_error (error, MOOSH_ERROR,
                   receipt->logs == NULL ? MOOSH_ERROR_NOT_FOUND : MOOSH_ERROR_PROTOCOL,
                   receipt->logs == NULL ? "transaction %s is not in a block"
                                         : "asked for %s, got another receipt",
                   hex);
      moosh_receipt_clear (receipt);
      return FALSE;
    }
  *ret = *receipt;
  return TRUE;
}

/* ---- logs ---- */

typedef struct {
  MooshChain *chain;
  char *filter; /* address and topics as JSON members, with a leading comma each */
  const guint8 (*addresses)[20];
  guint n_addresses;
  GPtrArray *logs;
} LogSearch;

static gboolean
address_is_ours (const LogSearch *search, const MooshLog *log)
{
  for (guint i = 0; i < search->n_addresses; i++)
    if (memcmp (search->addresses[i], log->address, 20) == 0)
      return TRUE;
  return FALSE;
}

/* The logs of from..to, in halves if they are too many. */
static gboolean
search_logs (LogSearch *search, guint64 from, guint64 to, guint depth, GError **error)
{
  g_autofree char *params = g_strdup_printf ("[{\"fromBlock\":\"0x%" G_GINT64_MODIFIER
                                             "x\",\"toBlock\":\"0x%" G_GINT64_MODIFIER "x\"%s}]",
                                             from, to, search->filter);
  Query query = { "eth_getLogs", params, read_logs, (GDestroyNotify)g_ptr_array_unref };
  g_autoptr (GError) local = NULL;
  FaultKind fault;
  g_autoptr (GPtrArray) logs
      = chain_ask (search->chain, &query, moosh_chain_quorum (search->chain), &fault, &local);

  if (logs == NULL && fault == FAULT_TOO_MANY && from < to && depth < LOGS_DEPTH_MAX)
    {
      guint64 middle = from + (to - from) / 2;

      return search_logs (search, from, middle, depth + 1, error)
             && search_logs (search, middle + 1, to, depth + 1, error);
    }
  if (logs == NULL)
    {
      g_propagate_error (error, g_steal_pointer (&local));
      return FALSE;
    }
  for (guint i = 0; i < logs->len; i++)
    {
      const MooshLog *log = logs->pdata[i];

      if (log->block < from || log->block > to || !address_is_ours (search, log))
        {
          g_set_error_literal (error, MOOSH_ERROR, MOOSH_ERROR_PROTOCOL,
                               "got logs that were not asked for");
          return FALSE;
        }
    }
  g_ptr_array_extend_and_steal (search->logs, g_steal_pointer (&logs));
  return TRUE;
}

/* ,"name":["0x…","0x…"] */
static void
append_list (GString *out, const char *name, const guint8 *items, gsize len, guint n)
{
  g_string_append_printf (out, ",\"%s\":%s", name, strcmp (name, "topics") == 0 ? "[[" : "[");
  for (guint i = 0; i < n; i++)
    {
      g_autofree char *hex = moosh_hex (items + i * len, len);

      g_string_append_printf (out, "%s\"%s\"", i > 0 ? "," : "", hex);
    }
  g_string_append (out, strcmp (name, "topics") == 0 ? "]]" : "]");
}

GPtrArray *
moosh_chain_logs (MooshChain *chain, guint64 from, guint64 to, const guint8 (*addresses)[20],
                  guint n_addresses, const guint8 (*topics)[32], guint n_topics, GError **error)
{
  g_autoptr (GPtrArray) logs = g_ptr_array_new_with_free_func ((GDestroyNotify)moosh_log_free);
  GString *filter = g_string_new (NULL);
  g_autofree char *text = NULL;
  LogSearch search
      = { .chain = chain, .addresses = addresses, .n_addresses = n_addresses, .logs = logs };

  append_list (filter, "address", (const guint8 *)addresses, 20, n_addresses);
  if (topics != NULL && n_topics > 0)
    append_list (filter, "topics", (const guint8 *)topics, 32, n_topics);
  search.filter = text = g_string_free (filter, FALSE);
  if (!search_logs (&search, from, to, 0, error))
    return NULL;
  return g_steal_pointer (&logs);
}
