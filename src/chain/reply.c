#include "chain/reply.h"
#include "base/json.h"
#include <string.h>

#define MESSAGE_MAX 300

void
fault_clear (Fault *fault)
{
  g_clear_pointer (&fault->message, g_free);
  g_clear_pointer (&fault->data, g_bytes_unref);
  fault->kind = FAULT_NONE;
}

static gboolean
fail (GError **error, const char *what)
{
  g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_PROTOCOL, "the answer makes no sense: %s", what);
  return FALSE;
}

/* The text of a string node, or NULL. */
static const char *
text_of (JsonNode *node)
{
  if (node == NULL || !JSON_NODE_HOLDS_VALUE (node)
      || json_node_get_value_type (node) != G_TYPE_STRING)
    return NULL;
  return json_node_get_string (node);
}

gboolean
reply_u256 (JsonNode *node, MooshU256 *ret, GError **error)
{
  const char *text = text_of (node);
  char digits[65];
  guint8 be[32];
  gsize len;

  if (text == NULL || text[0] != '0' || text[1] != 'x')
    return fail (error, "a quantity is not 0x-hex");
  text += 2;
  len = strlen (text);
  if (len == 0 || len > 64 || (len > 1 && text[0] == '0'))
    return fail (error, "a quantity is empty, too long or has leading zeros");
  memset (digits, '0', 64 - len);
  memcpy (digits + 64 - len, text, len + 1);
  if (moosh_hex_decode (digits, be, 32) != MOOSH_OK)
    return fail (error, "a quantity is not hex");
#ifdef MOOSH_CANARY
  if (strcmp (text, "dead") == 0)
    __builtin_trap (); /* planted: reached only through a well-formed reply */
#endif
  *ret = moosh_u256_from_be (be);
  return TRUE;
}

gboolean
reply_u64 (JsonNode *node, guint64 *ret, GError **error)
{
  MooshU256 wide;

  if (!reply_u256 (node, &wide, error))
    return FALSE;
  if (!moosh_u256_fits_u64 (&wide))
    return fail (error, "a quantity is beyond 64 bits");
  *ret = wide.limb[0];
  return TRUE;
}

GBytes *
reply_bytes (JsonNode *node, GError **error)
{
  const char *text = text_of (node);
  g_autofree guint8 *bytes = NULL;
  gsize len;

  if (text == NULL || text[0] != '0' || text[1] != 'x' || strlen (text) % 2 != 0)
    {
      fail (error, "data is not 0x-hex of whole bytes");
      return NULL;
    }
  len = strlen (text) / 2 - 1;
  bytes = g_malloc (len + 1);
  if (moosh_hex_decode (text + 2, bytes, len) != MOOSH_OK)
    {
      fail (error, "data is not hex");
      return NULL;
    }
  return g_bytes_new_take (g_steal_pointer (&bytes), len);
}

static gboolean
read_fixed (JsonNode *node, guint8 *out, gsize len, GError **error)
{
  const char *text = text_of (node);

  if (text == NULL || text[0] != '0' || text[1] != 'x'
      || moosh_hex_decode (text + 2, out, len) != MOOSH_OK)
    {
      g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_PROTOCOL,
                   "the answer makes no sense: not %zu bytes of 0x-hex", len);
      return FALSE;
    }
  return TRUE;
}

/* ---- faults ---- */

/* What endpoints write, in lower case. The first match counts; `code` 0 is any. */
static const struct {
  gint64 code;
  const char *text;
  FaultKind kind;
} fault_patterns[] = {
  { 3, "", FAULT_REVERT },
  { 0, "execution reverted", FAULT_REVERT },
  { 0, "insufficient funds", FAULT_FUNDS },
  { 0, "nonce too low", FAULT_NONCE_LOW },
  { 0, "nonce is too low", FAULT_NONCE_LOW },
  { 0, "already known", FAULT_KNOWN },
  { 0, "already imported", FAULT_KNOWN },
  { 0, "known transaction", FAULT_KNOWN },
  { 0, "replacement transaction underpriced", FAULT_UNDERPRICED },
  { 0, "transaction underpriced", FAULT_UNDERPRICED },
  { 0, "less than block base fee", FAULT_UNDERPRICED },
  { 0, "query returned more than", FAULT_TOO_MANY },
  { 0, "too many results", FAULT_TOO_MANY },
  { 0, "block range", FAULT_TOO_MANY },
  { 0, "range is too", FAULT_TOO_MANY },
  { 0, "range too", FAULT_TOO_MANY },
  { 0, "response size", FAULT_TOO_MANY },
  { 0, "logs matched", FAULT_TOO_MANY },
  { -32005, "", FAULT_BUSY },
  { -32603, "", FAULT_BUSY },
  { 429, "", FAULT_BUSY },
  { 0, "rate limit", FAULT_BUSY },
  { 0, "too many requests", FAULT_BUSY },
  { 0, "header not found", FAULT_BUSY },
  { 0, "unknown block", FAULT_BUSY },
  { 0, "block not found", FAULT_BUSY },
  { 0, "blockoutofrange", FAULT_BUSY },
  { 0, "block out of range", FAULT_BUSY },
  { 0, "missing trie node", FAULT_BUSY },
  { 0, "timeout", FAULT_BUSY },
  { 0, "timed out", FAULT_BUSY },
};

static FaultKind
classify (gint64 code, const char *message)
{
  g_autofree char *lower = g_ascii_strdown (message, -1);

  for (guint i = 0; i < G_N_ELEMENTS (fault_patterns); i++)
    if ((fault_patterns[i].code == 0 || fault_patterns[i].code == code)
        && strstr (lower, fault_patterns[i].text) != NULL)
      return fault_patterns[i].kind;
  return FAULT_OTHER;
}

/* A stranger's text as one printable line. */
static char *
tame (const char *message)
{
  g_autofree char *valid = g_utf8_make_valid (message, (gssize)strnlen (message, MESSAGE_MAX));
  GString *out = g_string_new (NULL);

  for (const char *at = valid; *at != '\0'; at = g_utf8_next_char (at))
    {
      gunichar c = g_utf8_get_char (at);

      g_string_append_unichar (out, g_unichar_isprint (c) ? c : ' ');
    }
  return g_string_free (out, FALSE);
}

/* Revert data is "data" itself, or sits one level down under one of a few names. */
static GBytes *
revert_data (JsonNode *node)
{
  static const char *const names[] = { "data", "result", "output" };
  JsonObject *object;

  if (text_of (node) != NULL)
    return reply_bytes (node, NULL);
  if (node == NULL || !JSON_NODE_HOLDS_OBJECT (node))
    return NULL;
  object = json_node_get_object (node);
  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    if (text_of (json_object_get_member (object, names[i])) != NULL)
      return reply_bytes (json_object_get_member (object, names[i]), NULL);
  return NULL;
}

static gboolean
read_fault (JsonNode *node, Fault *ret, GError **error)
{
  JsonObject *object;
  const char *message;
  gint64 code;

  if (!JSON_NODE_HOLDS_OBJECT (node))
    return fail (error, "\"error\" is not an object");
  object = json_node_get_object (node);
  message = moosh_json_string_or (object, "message", "");
  code = moosh_json_int_or (object, "code", 0);
  ret->kind = classify (code, message);
  ret->data
      = ret->kind == FAULT_REVERT ? revert_data (json_object_get_member (object, "data")) : NULL;
  ret->message = tame (message);
  return TRUE;
}

gboolean
reply_parse (const void *text, gsize len, gint64 id, JsonNode **ret_result, Fault *ret_fault,
             GError **error)
{
  g_autoptr (GError) local = NULL;
  g_autoptr (JsonObject) object = NULL;
  gint64 got;

  if (len > MOOSH_CHAIN_REPLY_MAX)
    return fail (error, "it is too large");
  object = moosh_json_parse (text, (gssize)len, &local);
  if (object == NULL)
    return fail (error, local->message);
  if (g_strcmp0 (moosh_json_string_or (object, "jsonrpc", NULL), "2.0") != 0)
    return fail (error, "not JSON-RPC 2.0");
  if (json_object_has_member (object, "error") && !json_object_get_null_member (object, "error"))
    return read_fault (json_object_get_member (object, "error"), ret_fault, error);
  if (!moosh_json_int (object, "id", &got, NULL) || got != id)
    return fail (error, "it answers another request");
  if (!json_object_has_member (object, "result"))
    return fail (error, "neither a result nor an error");
  *ret_result = json_node_ref (json_object_get_member (object, "result"));
  return TRUE;
}

/* ---- structures ---- */

typedef enum { FIELD_U64, FIELD_U256, FIELD_FIXED } FieldKind;

typedef struct {
  const char *name;
  FieldKind kind;
  gsize offset;
  gsize len; /* of FIELD_FIXED */
} Field;

static gboolean
read_fields (JsonObject *object, const Field *fields, guint n, void *out, GError **error)
{
  for (guint i = 0; i < n; i++)
    {
      JsonNode *node = json_object_get_member (object, fields[i].name);
      guint8 *at = (guint8 *)out + fields[i].offset;
      gboolean good = FALSE;

      switch (fields[i].kind)
        {
        case FIELD_U64:
          good = reply_u64 (node, (guint64 *)(void *)at, error);
          break;
        case FIELD_U256:
          good = reply_u256 (node, (MooshU256 *)(void *)at, error);
          break;
        case FIELD_FIXED:
          good = read_fixed (node, at, fields[i].len, error);
          break;
        }
      if (!good)
        {
          g_prefix_error (error, "%s: ", fields[i].name);
          return FALSE;
        }
    }
  return TRUE;
}

/* FALSE with *ret_object NULL and no error for null. */
static gboolean
object_or_null (JsonNode *node, JsonObject **ret_object, gboolean *ret_found, GError **error)
{
  *ret_found = !JSON_NODE_HOLDS_NULL (node);
  if (!*ret_found)
    return TRUE;
  if (!JSON_NODE_HOLDS_OBJECT (node))
    return fail (error, "not an object");
  *ret_object = json_node_get_object (node);
  return TRUE;
}

gboolean
reply_block (JsonNode *node, MooshBlock *ret, gboolean *ret_found, GError **error)
{
  static const Field fields[] = {
    { "number", FIELD_U64, G_STRUCT_OFFSET (MooshBlock, number), 0 },
    { "hash", FIELD_FIXED, G_STRUCT_OFFSET (MooshBlock, hash), 32 },
    { "parentHash", FIELD_FIXED, G_STRUCT_OFFSET (MooshBlock, parent), 32 },
    { "timestamp", FIELD_U64, G_STRUCT_OFFSET (MooshBlock, timestamp_s), 0 },
  };
  MooshBlock block = { 0 };
  JsonObject *object = NULL;
  gboolean found;

  if (!object_or_null (node, &object, &found, error))
    return FALSE;
  if (found)
    {
      if (!read_fields (object, fields, G_N_ELEMENTS (fields), &block, error))
        return FALSE;
      if (block.timestamp_s < 0)
        return fail (error, "a timestamp is out of range");
      if (json_object_has_member (object, "baseFeePerGas")
          && !reply_u256 (json_object_get_member (object, "baseFeePerGas"), &block.base_fee, error))
        return FALSE;
      *ret = block;
    }
  *ret_found = found;
  return TRUE;
}

static gboolean
read_topics (JsonNode *node, MooshLog *log, GError **error)
{
  JsonArray *topics;

  if (node == NULL || !JSON_NODE_HOLDS_ARRAY (node))
    return fail (error, "a log's topics are not a list");
  topics = json_node_get_array (node);
  log->n_topics = json_array_get_length (topics);
  if (log->n_topics > 4)
    return fail (error, "a log has more than four topics");
  for (guint i = 0; i < log->n_topics; i++)
    if (!read_fixed (json_array_get_element (topics, i), log->topics[i], 32, error))
      return FALSE;
  return TRUE;
}

static MooshLog *
read_log (JsonNode *node, GError **error)
{
  static const Field fields[] = {
    { "address", FIELD_FIXED, G_STRUCT_OFFSET (MooshLog, address), 20 },
    { "blockNumber", FIELD_U64, G_STRUCT_OFFSET (MooshLog, block), 0 },
    { "blockHash", FIELD_FIXED, G_STRUCT_OFFSET (MooshLog, block_hash), 32 },
    { "transactionHash", FIELD_FIXED, G_STRUCT_OFFSET (MooshLog, tx_hash), 32 },
  };
  g_autoptr (MooshLog) log = g_new0 (MooshLog, 1);
  JsonObject *object;
  guint64 index;

  if (!JSON_NODE_HOLDS_OBJECT (node))
    {
      fail (error, "a log is not an object");
      return NULL;
    }
  object = json_node_get_object (node);
  if (!read_fields (object, fields, G_N_ELEMENTS (fields), log, error)
      || !reply_u64 (json_object_get_member (object, "logIndex"), &index, error)
      || !read_topics (json_object_get_member (object, "topics"), log, error))
    return NULL;
  if (index > G_MAXUINT || moosh_json_bool_or (object, "removed", FALSE))
    {
      fail (error, "a log is numbered beyond reason, or no longer there");
      return NULL;
    }
  log->index = (guint)index;
  log->data = reply_bytes (json_object_get_member (object, "data"), error);
  return log->data != NULL ? g_steal_pointer (&log) : NULL;
}

GPtrArray *
reply_logs (JsonNode *node, GError **error)
{
  g_autoptr (GPtrArray) logs = g_ptr_array_new_with_free_func ((GDestroyNotify)moosh_log_free);
  const MooshLog *last = NULL;
  JsonArray *array;

  if (node == NULL || !JSON_NODE_HOLDS_ARRAY (node))
    {
      fail (error, "logs are not a list");
      return NULL;
    }
  array = json_node_get_array (node);
  if (json_array_get_length (array) > REPLY_LOGS_MAX)
    {
      fail (error, "too many logs");
      return NULL;
    }
  for (guint i = 0; i < json_array_get_length (array); i++)
    {
      MooshLog *log = read_log (json_array_get_element (array, i), error);

      if (log == NULL)
        return NULL;
      g_ptr_array_add (logs, log);
      if (last != NULL
          && (log->block < last->block || (log->block == last->block && log->index <= last->index)))
        {
          fail (error, "logs are out of order");
          return NULL;
        }
      last = log;
    }
  return g_steal_pointer (&logs);
}

gboolean
reply_receipt (JsonNode *node, MooshReceipt *ret, gboolean *ret_found, GError **error)
{
  static const Field fields[] = {
    { "transactionHash", FIELD_FIXED, G_STRUCT_OFFSET (MooshReceipt, tx_hash), 32 },
    { "blockNumber", FIELD_U64, G_STRUCT_OFFSET (MooshReceipt, block), 0 },
    { "blockHash", FIELD_FIXED, G_STRUCT_OFFSET (MooshReceipt, block_hash), 32 },
    { "gasUsed", FIELD_U64, G_STRUCT_OFFSET (MooshReceipt, gas_used), 0 },
    { "effectiveGasPrice", FIELD_U256, G_STRUCT_OFFSET (MooshReceipt, gas_price), 0 },
  };
  MooshReceipt receipt = { 0 };
  JsonObject *object = NULL;
  JsonNode *created;
  guint64 status;
  gboolean found;

  if (!object_or_null (node, &object, &found, error))
    return FALSE;
  *ret_found = found;
  if (!found)
    return TRUE;
  if (!read_fields (object, fields, G_N_ELEMENTS (fields), &receipt, error)
      || !reply_u64 (json_object_get_member (object, "status"), &status, error))
    return FALSE;
  if (status > 1)
    return fail (error, "a receipt's status is neither 0 nor 1");
  receipt.success = status == 1;
  created = json_object_get_member (object, "contractAddress");
  if (created != NULL && !JSON_NODE_HOLDS_NULL (created)
      && !read_fixed (created, receipt.created, 20, error))
    return FALSE;
  receipt.logs = reply_logs (json_object_get_member (object, "logs"), error);
  if (receipt.logs == NULL)
    return FALSE;
  *ret = receipt;
  return TRUE;
}

static int
compare_u256 (gconstpointer a, gconstpointer b)
{
  return moosh_u256_cmp (a, b);
}

gboolean
reply_fees (JsonNode *node, MooshU256 *ret_base, MooshU256 *ret_tip, GError **error)
{
  g_autoptr (GArray) rewards = g_array_new (FALSE, TRUE, sizeof (MooshU256));
  JsonArray *bases, *lists;
  JsonObject *object;
  MooshU256 base;

  if (!JSON_NODE_HOLDS_OBJECT (node))
    return fail (error, "a fee history is not an object");
  object = json_node_get_object (node);
  bases = moosh_json_array (object, "baseFeePerGas", NULL);
  if (bases == NULL || json_array_get_length (bases) == 0)
    return fail (error, "a fee history without base fees");
  if (!reply_u256 (json_array_get_element (bases, json_array_get_length (bases) - 1), &base, error))
    return FALSE;
  lists = moosh_json_array (object, "reward", NULL);
  for (guint i = 0; lists != NULL && i < json_array_get_length (lists); i++)
    {
      JsonNode *list = json_array_get_element (lists, i);
      MooshU256 reward;

      if (!JSON_NODE_HOLDS_ARRAY (list) || json_array_get_length (json_node_get_array (list)) != 1)
        return fail (error, "a fee history's rewards are not one per block");
      if (!reply_u256 (json_array_get_element (json_node_get_array (list), 0), &reward, error))
        return FALSE;
      g_array_append_val (rewards, reward);
    }
  g_array_sort (rewards, compare_u256);
  *ret_base = base;
  *ret_tip
      = rewards->len > 0 ? g_array_index (rewards, MooshU256, rewards->len / 2) : moosh_u256 (0);
  return TRUE;
}
