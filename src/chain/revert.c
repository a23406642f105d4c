#include "chain/bindings.h"
#include "chain/contract.h"
#include "core/hash/hash.h"
#include <string.h>

#define TEXT_MAX   200 /* characters of a stranger's text that we repeat */
#define VALUES_MAX 256

static const guint8 error_selector[4] = { 0x08, 0xc3, 0x79, 0xa0 }; /* Error(string) */
static const guint8 panic_selector[4] = { 0x4e, 0x48, 0x7b, 0x71 }; /* Panic(uint256) */

/* Solidity's panic codes ("Panic via assert and Error via require" in its manual). */
static const struct {
  guint64 code;
  const char *meaning;
} panics[] = {
  { 0x00, "a compiler-inserted check failed" },
  { 0x01, "an assertion failed" },
  { 0x11, "an arithmetic overflow" },
  { 0x12, "a division by zero" },
  { 0x21, "a value outside its enum" },
  { 0x22, "broken storage encoding" },
  { 0x31, "pop from an empty array" },
  { 0x32, "an index out of bounds" },
  { 0x41, "too much memory" },
  { 0x51, "a call of an uninitialised function" },
};

/* A contract's words, fit to be printed: shortened, one line, no control characters. */
static void
append_text (GString *out, MooshSpan text)
{
  g_autofree char *valid = g_utf8_make_valid ((const char *)text.ptr, (gssize)text.len);
  glong shown = 0;

  for (const char *at = valid; *at != '\0'; at = g_utf8_next_char (at))
    {
      gunichar c = g_utf8_get_char (at);

      if (shown++ == TEXT_MAX)
        {
          g_string_append (out, "…");
          break;
        }
      g_string_append_unichar (out, g_unichar_isprint (c) ? c : ' ');
    }
}

static void
append_hex (GString *out, const guint8 *bytes, gsize len)
{
  gsize shown = MIN (len, 32);
  char text[65];

  moosh_hex_encode (bytes, shown, text);
  g_string_append_printf (out, "0x%s%s", text, shown < len ? "…" : "");
}

/* An address as people read it (EIP-55). */
static void
append_address (GString *out, const guint8 address[20])
{
  guint8 hash[32];
  char text[41];

  moosh_hex_encode (address, 20, text);
  moosh_keccak256 (text, 40, hash);
  for (guint i = 0; i < 40; i++)
    if ((hash[i / 2] >> (i % 2 == 0 ? 4 : 0) & 15) >= 8)
      text[i] = g_ascii_toupper (text[i]);
  g_string_append_printf (out, "0x%s", text);
}

static void
append_number (GString *out, const MooshAbiLeaf *leaf, const MooshAbiValue *value)
{
  MooshU256 number = moosh_abi_get_u256 (value), zero = moosh_u256 (0);
  char text[79];

  if (leaf->kind == MOOSH_ABI_INT && (value->word[0] & 0x80) != 0)
    {
      g_string_append_c (out, '-');
      moosh_u256_sub (&zero, &number, &number);
    }
  moosh_u256_to_decimal (&number, text);
  g_string_append (out, text);
}

static int
append_leaf (const MooshAbiLeaf *leaf, MooshAbiValue *value, void *user)
{
  GString *out = user;

  g_string_append (out, out->str[out->len - 1] == '(' ? "" : ", ");
  if (leaf->name_len > 0 && !g_ascii_isdigit (leaf->name[0]))
    {
      g_string_append_len (out, leaf->name, (gssize)leaf->name_len);
      g_string_append_c (out, ' ');
    }
  switch (leaf->kind)
    {
    case MOOSH_ABI_UINT:
    case MOOSH_ABI_INT:
    case MOOSH_ABI_COUNT:
      append_number (out, leaf, value);
      break;
    case MOOSH_ABI_BOOL:
      g_string_append (out, value->word[31] != 0 ? "true" : "false");
      break;
    case MOOSH_ABI_ADDRESS:
      append_address (out, value->word + 12);
      break;
    case MOOSH_ABI_FIXED:
      append_hex (out, value->word, leaf->bits);
      break;
    case MOOSH_ABI_BYTES:
      append_hex (out, value->bytes.ptr, value->bytes.len);
      break;
    case MOOSH_ABI_STRING:
      g_string_append_c (out, '"');
      append_text (out, value->bytes);
      g_string_append_c (out, '"');
      break;
    }
  return MOOSH_OK;
}

static char *
explain_custom (const MooshAbiError *known, MooshSpan arguments)
{
  MooshAbiValue values[VALUES_MAX];
  GString *out = g_string_new (known->name);
  gsize count;

  if (moosh_abi_decode (known->inputs, arguments, values, VALUES_MAX, &count) == MOOSH_OK
      && count > 0)
    {
      g_string_append (out, " (");
      moosh_abi_walk (known->inputs, known->names, values, count, append_leaf, out, NULL);
      g_string_append_c (out, ')');
    }
  return g_string_free (out, FALSE);
}

static char *
explain_panic (MooshSpan arguments)
{
  MooshAbiValue value;
  gsize count;
  guint64 code;

  if (moosh_abi_decode ("(uint256)", arguments, &value, 1, &count) != MOOSH_OK
      || moosh_abi_get_u64 (&value, &code) != MOOSH_OK)
    return g_strdup ("a panic of unknown kind");
  for (guint i = 0; i < G_N_ELEMENTS (panics); i++)
    if (panics[i].code == code)
      return g_strdup (panics[i].meaning);
  return g_strdup_printf ("panic 0x%" G_GINT64_MODIFIER "x", code);
}

char *
moosh_revert_explain (const guint8 *data, gsize len, const MooshAbiError **ret)
{
  MooshSpan arguments;
  GString *out;

  if (ret != NULL)
    *ret = NULL;
  if (len < 4)
    return g_strdup ("reverted without a reason");
  arguments = (MooshSpan){ data + 4, len - 4 };
  if (memcmp (data, error_selector, 4) == 0)
    {
      MooshAbiValue text;
      gsize count;

      if (moosh_abi_decode ("(string)", arguments, &text, 1, &count) != MOOSH_OK
          || text.bytes.len == 0)
        return g_strdup ("reverted without a readable reason");
      out = g_string_new (NULL);
      append_text (out, text.bytes);
      return g_string_free (out, FALSE);
    }
  if (memcmp (data, panic_selector, 4) == 0)
    return explain_panic (arguments);
  for (guint i = 0; i < moosh_abi_errors_count; i++)
    if (memcmp (data, moosh_abi_errors[i].selector, 4) == 0)
      {
        if (ret != NULL)
          *ret = &moosh_abi_errors[i];
        return explain_custom (&moosh_abi_errors[i], arguments);
      }
  out = g_string_new ("an error we do not know: ");
  append_hex (out, data, len);
  return g_string_free (out, FALSE);
}
