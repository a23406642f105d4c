/** From a request's line to the answer's: the JSON-RPC server without its sockets. Private to base,
 * and to the fuzzer. */
#pragma once
#include "base/rpc.h"

/** Check `line` (no newline in it) against the table, call its method and give the answer's line,
 * newline included: a result, or an error that says what was wrong. New string. */
char *moosh_rpc_answer (const MooshRpcMethod *methods, gpointer user_data, const MooshRpcPeer *peer,
                        const char *line);

/** The answer to what was no request at all: its id is null. New string. */
char *moosh_rpc_error_line (const GError *error);
