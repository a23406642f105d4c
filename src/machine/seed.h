/** The seed disk: what a guest is told at boot (docs/guests.md lists the files). */
#pragma once
#include "machine/request.h"

/** Make a fresh SSH host key for a machine and write its seed to `iso_path` (0600, replaced as a
 * whole). `request_hash` 32 bytes. `ret_host_key` gets the public key as an OpenSSH line,
 * "ssh-ed25519 AAAA…"; new string. Works in a directory beside `iso_path`, removed before it
 * returns. */
gboolean moosh_seed_make (const char *iso_path, const MooshRequest *request, GBytes *request_hash,
                          const char *hostname, char **ret_host_key, GError **error);
