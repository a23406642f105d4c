/* moosh-vmm: the command of providers. */
#include "cli/commands.h"

static const char setup_help[] = "Every question has a default; Enter accepts it. A second run "
                                 "changes only what is answered differently.\n"
                                 "--preseed FILE answers from KEY=VALUE lines, as --dump prints "
                                 "them; the rest is asked, or with --auto defaulted.";
static const char doctor_help[] = "Exit code 1: something is broken.";

/* clang-format off */
static const CliCommand commands[] = {
  /* words, arguments, summary,
       help, options, fewest and most arguments, what completes them, does the first end the options, function */
  { "setup", "", "Measure this host, propose what to sell, ask, and put it on offer",
    setup_help, cli_vmm_setup_options, 0, 0, NULL, FALSE, cli_vmm_setup },
  { "status", "", "Inventory, orders and why one is not on offer, machines, earnings",
    NULL, NULL, 0, 0, NULL, FALSE, cli_vmm_status },
  { "machines", "", "The machines on this host",
    NULL, cli_ps_options, 0, 0, NULL, FALSE, cli_vmm_machines },
  { "logs", "AGREEMENT", "A machine's log: build and events",
    NULL, cli_vmm_logs_options, 1, 1, NULL, FALSE, cli_vmm_logs },
  { "offers", "", "My sell orders",
    NULL, NULL, 0, 0, NULL, FALSE, cli_vmm_offers },
  { "cancel", "ORDER", "Take a sell order off the market, on the chain",
    NULL, NULL, 1, 1, NULL, FALSE, cli_vmm_cancel },
  { "reclaim", "AGREEMENT", "Give notice: take a machine back when the notice is over",
    NULL, NULL, 1, 1, NULL, FALSE, cli_vmm_reclaim },
  { "end", "AGREEMENT", "End a machine now; says first what that costs",
    NULL, NULL, 1, 1, NULL, FALSE, cli_vmm_end },
  { "withdraw", "", "Pull what was earned into the wallet",
    NULL, NULL, 0, 0, NULL, FALSE, cli_vmm_withdraw },
  { "doctor", "", "Check node and host; say what is wrong and what fixes it",
    doctor_help, NULL, 0, 0, NULL, FALSE, cli_vmm_doctor },
  { "completion", "bash|zsh|fish", "The shell's completion script",
    NULL, NULL, 1, G_MAXUINT, "=bash zsh fish", TRUE, cli_completion },
  { NULL, NULL, NULL, NULL, NULL, 0, 0, NULL, FALSE, NULL },
};
/* clang-format on */

static const char *const daily[] = { "setup", "status", "machines", "withdraw", "doctor", NULL };

static const CliProgram program
    = { "moosh-vmm", "rent out machines of this host", commands, daily };

int
main (int argc, char **argv)
{
  return cli_main (&program, argc, argv);
}
