/* moosh: the command of clients and nodes. What there is to say stands in this table; each noun has
 * a file of its own.
 */
#include "cli/commands.h"

static const char offers_help[]
    = "NEED is what is needed, in words: \"2 vCPU, 1 GiB, 10 GiB disk, under 0.02/h\".";
static const char take_help[] = "Say an offer's id (its beginning is enough), or what is needed: "
                                "--vcpu 2 --ram 1G --price 0.02/h.\n"
                                "The price that is shown is the price that is signed: if it has "
                                "changed, nothing is taken (exit code 10).";
static const char ssh_help[] = "The machine's host key is pinned: it came over the provider's "
                               "authenticated channel, and its hash is on the chain.";
static const char doctor_help[] = "Exit code 1: something is broken.";
static const char completion_help[] = "bash: moosh completion bash > /etc/bash_completion.d/moosh";

/* clang-format off */
static const CliCommand commands[] = {
  /* words, arguments, summary,
       help, options, fewest and most arguments, what completes them, does the first end the options, function */
  { "init", "", "Make this directory a node: wallet, chain, configuration",
    NULL, cli_init_options, 0, 0, NULL, FALSE, cli_init },
  { "status", "", "What this node is and how it is doing",
    NULL, NULL, 0, 0, NULL, FALSE, cli_node_status },
  { "doctor", "", "Check everything; say what is wrong and the command that fixes it",
    doctor_help, NULL, 0, 0, NULL, FALSE, cli_doctor },
  { "node start", "", "Start the node's daemons in the background",
    NULL, cli_node_start_options, 0, 0, NULL, FALSE, cli_node_start },
  { "node stop", "", "Stop them",
    NULL, cli_node_stop_options, 0, 0, NULL, FALSE, cli_node_stop },
  { "node status", "", "The same as `moosh status`",
    NULL, NULL, 0, 0, NULL, FALSE, cli_node_status },
  { "node unlock", "", "Open the wallet",
    NULL, cli_node_unlock_options, 0, 0, NULL, FALSE, cli_node_unlock },
  { "node lock", "", "Lock the wallet: nothing is signed until it is opened again",
    NULL, NULL, 0, 0, NULL, FALSE, cli_node_lock },
  { "contact add", "KEY@HOST:PORT [NAME]", "Add a node to the address book and download its offers",
    NULL, cli_contact_add_options, 1, 2, NULL, FALSE, cli_contact_add },
  { "contact list", "", "The address book",
    NULL, NULL, 0, 0, NULL, FALSE, cli_contact_list },
  { "contact remove", "CONTACT", "Forget a contact and its offers",
    NULL, NULL, 1, 1, "contact", FALSE, cli_contact_remove },
  { "contact rename", "CONTACT NAME", "Call a contact something else",
    NULL, NULL, 2, 2, "contact", FALSE, cli_contact_rename },
  { "offers", "[NEED]", "What can be rented, the cheapest first",
    offers_help, cli_offers_options, 0, 1, NULL, FALSE, cli_offers },
  { "take", "[OFFER|NEED]", "Rent: take an offer and wait until the machine is there",
    take_help, cli_take_options, 0, 1, "offer", FALSE, cli_take },
  { "ps", "", "What is rented, what it costs, when it runs out",
    NULL, cli_ps_options, 0, 0, NULL, FALSE, cli_ps },
  { "show", "MACHINE", "Everything about one machine",
    NULL, NULL, 1, 1, "deployment", FALSE, cli_show },
  { "ssh", "MACHINE [[--] COMMAND…]", "Log in, or run a command there",
    ssh_help, NULL, 1, G_MAXUINT, "deployment", TRUE, cli_ssh },
  { "logs", "MACHINE", "The provider's log of this machine: build and events",
    NULL, cli_logs_options, 1, 1, "deployment", FALSE, cli_logs },
  { "console", "MACHINE", "The machine's serial console",
    NULL, cli_logs_options, 1, 1, "deployment", FALSE, cli_console },
  { "reboot", "MACHINE", "Press the machine's reset button",
    NULL, NULL, 1, 1, "deployment", FALSE, cli_reboot },
  { "top-up", "MACHINE AMOUNT", "Put more money in",
    NULL, NULL, 2, 2, "deployment", FALSE, cli_topup },
  { "pause", "MACHINE", "Stop the machine and pay the paused rate",
    NULL, NULL, 1, 1, "deployment", FALSE, cli_pause },
  { "resume", "MACHINE", "Go on",
    NULL, NULL, 1, 1, "deployment", FALSE, cli_resume },
  { "close", "MACHINE", "End it, settle, and pull the refund",
    NULL, NULL, 1, 1, "deployment", FALSE, cli_close },
  { "rate", "MACHINE STARS [WORDS…]", "Say how it was: 1 to 5 stars and words, signed",
    NULL, NULL, 2, G_MAXUINT, "deployment", FALSE, cli_rate_deployment },
  { "history", "", "Everything that was ever rented",
    NULL, NULL, 0, 0, NULL, FALSE, cli_history },
  { "wallet show", "", "Balances and transactions",
    NULL, NULL, 0, 0, NULL, FALSE, cli_wallet_show },
  { "wallet withdraw", "", "Pull refunds and earnings into the wallet",
    NULL, NULL, 0, 0, NULL, FALSE, cli_wallet_withdraw },
  { "wallet", "", "The same as `moosh wallet show`",
    NULL, NULL, 0, 0, NULL, FALSE, cli_wallet_show },
  { "completion", "bash|zsh|fish", "The shell's completion script",
    completion_help, NULL, 1, G_MAXUINT, "=bash zsh fish", TRUE, cli_completion },
  { NULL, NULL, NULL, NULL, NULL, 0, 0, NULL, FALSE, NULL },
};
/* clang-format on */

static const char *const daily[]
    = { "offers", "take", "ps", "ssh", "logs", "top-up", "close", "rate", "doctor", NULL };

static const CliProgram program
    = { "moosh", "rent machines from people, and be a node among them", commands, daily };

int
main (int argc, char **argv)
{
  return cli_main (&program, argc, argv);
}
