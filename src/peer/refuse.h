/** From core's codes to sentences. Private to this room. */
#pragma once
#include "base/error.h"
#include "core/bytes/bytes.h"

/** FALSE with `error` set to `code`: "<what>: <text of r>" when r < 0; TRUE otherwise. */
gboolean moosh_peer_ok (int r, MooshError code, const char *what, GError **error);

/** Do `len` bytes of UTF-8 hold a control character (C0, DEL, C1)? Newlines count unless
 * `newline_ok`. */
gboolean moosh_peer_has_control (const char *text, gsize len, gboolean newline_ok);
