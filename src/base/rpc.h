/** JSON-RPC 2.0 over unix sockets, one JSON object per line: how our processes talk, and how
 * programs talk to us.
 *
 * Server: each connection has a thread of its own, so a handler may block, and must guard what it
 * shares (the store guards itself). Requests of one connection are answered in order. Limits: 1 MiB
 * a message, 64 connections; a larger message or a 65th connection is refused with a sentence and
 * closed.
 * Errors travel as {"code": -32000 - MooshError, "message": …, "data": {"kind": "not_found"}}. */
#pragma once
#include "base/error.h"
#include <gio/gio.h>
#include <json-glib/json-glib.h>

#define MOOSH_RPC_MESSAGE_MAX     (1024 * 1024)
#define MOOSH_RPC_CONNECTIONS_MAX 64

/** Who is at the other end of a unix socket (SO_PEERCRED). */
typedef struct {
  uid_t uid;
  gid_t gid;
  pid_t pid;
} MooshRpcPeer;

/** Answer one request. `params` is never NULL (an absent one is an empty object). Returns a new
 * object (an empty one for "done"), or NULL with `error` set. Runs on a pool thread. */
typedef JsonObject *(*MooshRpcHandler) (const MooshRpcPeer *peer, JsonObject *params,
                                        gpointer user_data, GError **error);

/** A parameter a method takes; the table is generated from schema/ and checked before the handler
 * runs: unknown, missing or mistyped parameters are refused with MOOSH_ERROR_USAGE. */
typedef struct {
  const char *name;
  char type; /* 's' string, 'i' integer, 'b' boolean, 'o' object, 'a' array, '*' anything */
  gboolean required;
} MooshRpcParam;

typedef struct {
  const char *name;
  MooshRpcHandler handler;
  const MooshRpcParam *params; /* ended by a NULL name; NULL: not checked */
} MooshRpcMethod;

typedef struct MooshRpcServer MooshRpcServer;

/** Listen on a unix socket at `path` (created with `mode`, e.g. 0600; a stale socket file is
 * replaced, a live one is MOOSH_ERROR_CONFLICT). `methods` ends with a NULL name and must outlive
 * the server. Runs on the thread-default main context of the caller. NULL on error. */
MooshRpcServer *moosh_rpc_server_new (const char *path, guint mode, const MooshRpcMethod *methods,
                                      gpointer user_data, GError **error);
/** Stop accepting, wait for running handlers, remove the socket. */
void moosh_rpc_server_free (MooshRpcServer *server);

typedef struct MooshRpcClient MooshRpcClient;

/** A client for the socket at `path`. Connects when it is called, so it may be made before the
 * server is up. Thread-safe: calls that run at the same time use a connection each; idle ones are
 * kept. */
MooshRpcClient *moosh_rpc_client_new (const char *path);
void moosh_rpc_client_free (MooshRpcClient *client);

/** Call `method` and wait for the answer. `params` may be NULL; not consumed. Returns a new
 * reference. MOOSH_ERROR_UNAVAILABLE: nobody listens; MOOSH_ERROR_TIMEOUT: no answer in
 * `timeout_ms`; or the error that the server answered, with its code and message. A call is never
 * sent twice. */
JsonObject *moosh_rpc_client_call (MooshRpcClient *client, const char *method, JsonObject *params,
                                   guint timeout_ms, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (MooshRpcServer, moosh_rpc_server_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (MooshRpcClient, moosh_rpc_client_free)
