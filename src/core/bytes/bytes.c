#include "core/bytes/bytes.h"
#include <string.h>

const char *
moosh_strerror (int code)
{
  static const char *const texts[] = {
    "fine",
    "input ends too early",
    "input goes on after its end",
    "not of the format",
    "value out of range",
    "buffer too small",
    "signature, MAC, point or key is not valid",
    "more than the format allows",
    "not the one allowed encoding",
    "called out of order",
  };
  int index = -code;

  if (index < 0 || index >= (int)(sizeof texts / sizeof texts[0]))
    return "unknown result code";
  return texts[index];
}

int
moosh_ct_equal (const void *a, const void *b, size_t len)
{
  const volatile uint8_t *x = a, *y = b;
  uint32_t difference = 0;

  for (size_t i = 0; i < len; i++)
    difference |= (uint32_t)(x[i] ^ y[i]);
  return (int)((difference - 1) >> 31);
}

void
moosh_wipe (void *secret, size_t len)
{
  explicit_bzero (secret, len);
}

void
moosh_hex_encode (const uint8_t *in, size_t len, char *out)
{
  static const char digits[] = "0123456789abcdef";

  for (size_t i = 0; i < len; i++)
    {
      out[2 * i] = digits[in[i] >> 4];
      out[2 * i + 1] = digits[in[i] & 15];
    }
  out[2 * len] = '\0';
}

static int
hex_digit (char c)
{
  if (c >= '0' && c <= '9')
    return c - '0';
  if (c >= 'a' && c <= 'f')
    return c - 'a' + 10;
  if (c >= 'A' && c <= 'F')
    return c - 'A' + 10;
  return -1;
}

int
moosh_hex_decode (const char *hex, uint8_t *out, size_t len)
{
  size_t digits = 0;

  if (hex[0] == '0' && hex[1] == 'x')
    hex += 2;
  for (; hex[digits] != '\0'; digits++)
    {
      if (hex_digit (hex[digits]) < 0)
        return MOOSH_E_MALFORMED;
      if (digits == 2 * len)
        return MOOSH_E_TRAILING;
    }
  if (digits < 2 * len)
    return MOOSH_E_SHORT;
  for (size_t i = 0; i < len; i++)
    out[i] = (uint8_t)(16 * hex_digit (hex[2 * i]) + hex_digit (hex[2 * i + 1]));
  return MOOSH_OK;
}
