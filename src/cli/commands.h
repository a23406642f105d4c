/** Every command's run function and options: the nouns' files define them, moosh.c and vmm.c list
 * them. */
#pragma once
#include "cli/cli.h"

typedef gboolean CliRun (Cli *cli, GError **error);

/* init.c */
CliRun cli_init;
extern const CliOption cli_init_options[];
/* node.c */
CliRun cli_node_start, cli_node_stop, cli_node_status, cli_node_unlock, cli_node_lock;
extern const CliOption cli_node_start_options[], cli_node_stop_options[], cli_node_unlock_options[];
/* contact.c */
CliRun cli_contact_add, cli_contact_list, cli_contact_remove, cli_contact_rename;
extern const CliOption cli_contact_add_options[];
/* offers.c */
CliRun cli_offers;
extern const CliOption cli_offers_options[];
/* take.c */
CliRun cli_take;
extern const CliOption cli_take_options[];
/* machine.c */
CliRun cli_ps, cli_show, cli_history, cli_reboot;
extern const CliOption cli_ps_options[];
/* ssh.c */
CliRun cli_ssh, cli_logs, cli_console;
extern const CliOption cli_logs_options[];
/* money.c */
CliRun cli_topup, cli_pause, cli_resume, cli_close, cli_rate_deployment;
extern const CliOption cli_rate_options[];
/* wallet.c */
CliRun cli_wallet_show, cli_wallet_withdraw;
/* doctor.c */
CliRun cli_doctor;
/* vmm_setup.c, vmm_status.c */
CliRun cli_vmm_setup;
CliRun cli_vmm_status, cli_vmm_machines, cli_vmm_logs, cli_vmm_offers, cli_vmm_withdraw;
CliRun cli_vmm_cancel, cli_vmm_doctor;
/* vmm_leave.c */
CliRun cli_vmm_reclaim, cli_vmm_end;
extern const CliOption cli_vmm_setup_options[], cli_vmm_logs_options[];
