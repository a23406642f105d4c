#include "peer/refuse.h"

gboolean
moosh_peer_ok (int r, MooshError code, const char *what, GError **error)
{
  if (r < 0)
    g_set_error (error, MOOSH_ERROR, (int)code, "%s: %s", what, moosh_strerror (r));
  return r >= 0;
}

gboolean
moosh_peer_has_control (const char *text, gsize len, gboolean newline_ok)
{
  for (gsize i = 0; i < len; i++)
    {
      guchar c = (guchar)text[i];
      if ((c < 0x20 && !(c == '\n' && newline_ok)) || c == 0x7f)
        return TRUE;
      if (c == 0xc2 && i + 1 < len && (guchar)text[i + 1] < 0xa0)
        return TRUE; /* U+0080–U+009F */
    }
  return FALSE;
}
