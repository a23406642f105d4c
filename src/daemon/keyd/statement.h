/** What keyd signs with the node key: statements of the CBOR profile (core/cbor) that name it as
 * their author. */
#pragma once
#include "base/error.h"

/** MOOSH_ERROR_DENIED unless the bytes are one map of the profile whose author (key 0) is
 * `node_key`, with the members of a statement: 1 certificate seq, 2 kind, 3 d-key, 4 seq, 5
 * created, 6 expires, 7 body. Nothing else that the node key might be made to sign looks like that.
 */
gboolean statement_check (const guint8 *bytes, gsize len, const guint8 node_key[33],
                          GError **error);
