#include "core/cbor/utf8.h"

/* Length of the sequence `lead` opens and the allowed range of its second byte; further bytes are
 * 80–BF. */
typedef struct {
  uint8_t first, last;
  uint8_t len;
  uint8_t second_min, second_max;
} Lead;

static const Lead leads[] = {
  { 0x00, 0x7f, 1, 0x00, 0x00 }, { 0xc2, 0xdf, 2, 0x80, 0xbf }, { 0xe0, 0xe0, 3, 0xa0, 0xbf },
  { 0xe1, 0xec, 3, 0x80, 0xbf }, { 0xed, 0xed, 3, 0x80, 0x9f }, { 0xee, 0xef, 3, 0x80, 0xbf },
  { 0xf0, 0xf0, 4, 0x90, 0xbf }, { 0xf1, 0xf3, 4, 0x80, 0xbf }, { 0xf4, 0xf4, 4, 0x80, 0x8f },
};

static const Lead *
lead_of (uint8_t byte)
{
  for (size_t i = 0; i < sizeof leads / sizeof leads[0]; i++)
    if (byte >= leads[i].first && byte <= leads[i].last)
      return &leads[i];
  return NULL;
}

bool
moosh_utf8_valid (const uint8_t *ptr, size_t len)
{
  for (size_t pos = 0; pos < len;)
    {
      const Lead *lead = lead_of (ptr[pos]);
      if (lead == NULL || lead->len > len - pos)
        return false;
      if (lead->len > 1 && (ptr[pos + 1] < lead->second_min || ptr[pos + 1] > lead->second_max))
        return false;
      for (size_t i = 2; i < lead->len; i++)
        if ((ptr[pos + i] & 0xc0) != 0x80)
          return false;
      pos += lead->len;
    }
  return true;
}
