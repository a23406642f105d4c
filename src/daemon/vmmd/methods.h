/** The JSON-RPC face of the machine manager: schema/vmmd.json on top of machine/host.h. */
#pragma once
#include "base/rpc.h"
#include "machine/host.h"

/** Serve the methods at `path`, for our own user and group; `host` must outlive the server. */
MooshRpcServer *vmmd_serve (MooshHost *host, const char *path, GError **error);
