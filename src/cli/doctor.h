/** Findings of `moosh doctor` and `moosh-vmm doctor`. */
#pragma once
#include "cli/cli.h"

typedef enum { CLI_FINE, CLI_WARNING, CLI_BROKEN } CliHealth;

/** Add a finding {check, health, text, fix}; `fix` is the exact command, or what to do (NULL for a
 * fine one). */
void cli_finding (JsonArray *findings, CliHealth health, const char *check, const char *fix,
                  const char *format, ...) G_GNUC_PRINTF (5, 6);
/** Print them and set the exit code: 1 when something is broken. Always TRUE. */
gboolean cli_print_findings (Cli *cli, JsonArray *findings);

/** Setup, disk, keyd, mooshd, chain, clock, funds, contacts. FALSE: mooshd does not answer. */
gboolean cli_check_node (Cli *cli, JsonArray *findings);
void cli_check_disk (Cli *cli, JsonArray *findings);
/** vmmd and what it measured: acceleration, Nix, isolation, limits, disk, ports. (vmm_doctor.c) */
void cli_check_host (Cli *cli, JsonArray *findings);
