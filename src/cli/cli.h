/** What every command is made of: one table of commands per program, parsed, dispatched, helped and
 * completed from it.
 *
 * A command gets a Cli: its options and words, the daemons' sockets, and the money's unit. It
 * writes data to stdout, talk to stderr, asks only on a terminal, and returns FALSE with an error
 * whose code is the exit code (moosh_error_exit_code). */
#pragma once
#include "base/error.h"
#include "base/rpc.h"
#include <json-glib/json-glib.h>

/** An option of a command. Tables end with a NULL name. */
typedef struct {
  const char *name;     /* long name, "vcpu" */
  char letter;          /* short one, or 0 */
  const char *metavar;  /* what its value is, "N"; NULL: a flag */
  const char *help;     /* one line, no full stop */
  const char *complete; /* "file", "dir", "deployment", "offer", "contact", or "=a b c"; NULL:
                           nothing to offer */
} CliOption;

typedef struct Cli Cli;

/** A command. Tables end with NULL words. */
typedef struct {
  const char *words;        /* "contact add" or "ps" */
  const char *usage;        /* of its arguments, "ADDRESS [NAME]" */
  const char *summary;      /* one line for lists */
  const char *help;         /* more for its own --help; may be NULL */
  const CliOption *options; /* may be NULL */
  guint args_min, args_max; /* how many arguments */
  const char *complete;     /* of its arguments, as in CliOption */
  gboolean rest; /* the first argument ends the options: what follows belongs to another program */
  gboolean (*run) (Cli *cli, GError **error);
} CliCommand;

/** A program: its name, what it is for, its commands in the order in which people meet them. */
typedef struct {
  const char *name;
  const char *summary;
  const CliCommand *commands;
  const char *const *daily; /* words of the commands that `--help` shows first; NULL-ended */
} CliProgram;

typedef enum { CLI_MOOSHD, CLI_KEYD, CLI_VMMD, CLI_N_DAEMONS } CliDaemon;

struct Cli {
  const CliProgram *program;
  const CliCommand *command;
  char *state_dir;
  gboolean json;      /* --json */
  gboolean yes;       /* --yes: every question is answered with yes */
  GHashTable *values; /* option name → GPtrArray of its values in order */
  char **args;        /* arguments, NULL-ended */
  guint n_args;
  int exit_code; /* of a command that succeeds in finding something wrong */
  MooshRpcClient *clients[CLI_N_DAEMONS];
  char *token_symbol; /* NULL until cli_token was asked */
  guint token_decimals;
};

/** Parse, dispatch, report. Returns the exit code. */
int cli_main (const CliProgram *program, int argc, char **argv);

/** The last value of an option, or NULL; was a flag given; all values, NULL-ended, owned by `cli`.
 */
const char *cli_value (Cli *cli, const char *name);
gboolean cli_flag (Cli *cli, const char *name);
char **cli_values (Cli *cli, const char *name);

/** Find the command the first words of `words` name; `ret_used` says how many they are. NULL: none.
 */
const CliCommand *cli_find (const CliProgram *program, char *const *words, guint *ret_used);

/** `--state`, `--json`, `--yes`: options every command has. */
extern const CliOption cli_global_options[];

/** Call a daemon. `params` (may be NULL) is consumed. An unreachable daemon is an error that says
 * how to start it. */
JsonObject *cli_call (Cli *cli, CliDaemon daemon, const char *method, JsonObject *params,
                      guint timeout_ms, GError **error);
/** cli_call to mooshd with the patience of a question (20 s), or of a transaction (300 s). */
JsonObject *cli_ask_node (Cli *cli, const char *method, JsonObject *params, GError **error);
JsonObject *cli_tell_node (Cli *cli, const char *method, JsonObject *params, GError **error);
/** A path below the state directory; new string. */
char *cli_path (Cli *cli, const char *relative);
/** Name of a daemon's program: "mooshd", "moosh-keyd", "moosh-vmmd"; and of its files: "mooshd",
 * "keyd", "vmmd". */
const char *cli_daemon_program (CliDaemon daemon);
const char *cli_daemon_name (CliDaemon daemon);

/** Print an object as JSON on stdout. Always TRUE. */
gboolean cli_print_json (JsonObject *object);
/** Talk: one line on stderr. */
void cli_say (const char *format, ...) G_GNUC_PRINTF (1, 2);

/** Learn the token's symbol and decimals from mooshd. */
gboolean cli_token (Cli *cli, GError **error);
/** Token-wei in decimal as "1.25 MUSD" (at most six places, cut, never rounded up), or "?" for
 * NULL; new string. Needs cli_token; without it the amount stays in wei. */
char *cli_amount (Cli *cli, const char *wei);
/** A person's amount ("1.5") in wei, new string. */
char *cli_wei (Cli *cli, const char *amount, GError **error);
/** A rate in token-wei·2^32 per second as "0.015 MUSD/h"; new string. */
char *cli_rate (Cli *cli, const char *rate_x);

/** Ask on the terminal; `fallback` (may be NULL) is what Enter means. New string, or NULL:
 * MOOSH_ERROR_USAGE when there is no terminal, MOOSH_ERROR_CANCELLED at end of input. */
char *cli_ask (Cli *cli, const char *question, const char *fallback, GError **error);
/** Ask yes or no; --yes answers yes. FALSE with MOOSH_ERROR_CANCELLED for no, MOOSH_ERROR_USAGE
 * without a terminal. */
gboolean cli_confirm (Cli *cli, const char *question, GError **error);
/** A passphrase: from `--passphrase-file`, else asked for without echo (twice when `twice`). NULL
 * with an error, as cli_ask. Wipe it with cli_secret_free. */
char *cli_passphrase (Cli *cli, gboolean twice, GError **error);
void cli_secret_free (char *secret);
gboolean cli_is_terminal (void);

/** Shell completion: the script for a shell, and the candidates it asks for. */
gboolean cli_completion (Cli *cli, GError **error);
