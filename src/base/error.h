/** One error domain for everything above core.
 *
 * A code says what kind of trouble it is, so that a program can react and a command can choose its
 * exit code; the message says object, action and cause in one sentence. */
#pragma once
#include <glib.h>

typedef enum {
  MOOSH_ERROR_FAILED, /* anything else; exit code 1 */
  MOOSH_ERROR_USAGE,  /* the caller's words are off: bad argument, bad file, bad message; exit 2 */
  MOOSH_ERROR_NOT_FOUND,   /* no such offer, agreement, contact, file; exit 3 */
  MOOSH_ERROR_REFUSED,     /* the other side said no: contract revert, provider's policy; exit 4 */
  MOOSH_ERROR_DENIED,      /* our own policy said no: keyd rule, permission; exit 5 */
  MOOSH_ERROR_UNAVAILABLE, /* not reachable now, try again: RPC, peer, daemon; exit 6 */
  MOOSH_ERROR_TIMEOUT,     /* a deadline passed; exit 7 */
  MOOSH_ERROR_FUNDS,       /* too little money; exit 8 */
  MOOSH_ERROR_EXPIRED,     /* it was valid once; exit 9 */
  MOOSH_ERROR_CONFLICT,    /* it changed since you looked: price, version, sold out; exit 10 */
  MOOSH_ERROR_PROTOCOL,    /* a peer or server broke the rules of its protocol; exit 11 */
  MOOSH_ERROR_CORRUPT,     /* our own stored state does not check out; exit 12 */
  MOOSH_ERROR_LIMIT,       /* a stated limit was reached; exit 13 */
  MOOSH_ERROR_CANCELLED,   /* the person said stop; exit 14 */
} MooshError;

#define MOOSH_ERROR (moosh_error_quark ())
GQuark moosh_error_quark (void);

/** The code's stable lower-case name on the wire, e.g. "not_found". Static. */
const char *moosh_error_name (MooshError code);

/** The code behind a wire name; MOOSH_ERROR_FAILED for one we do not know. */
MooshError moosh_error_from_name (const char *name);

/** The exit code a command ends with for `error` (1 for errors of other domains). */
int moosh_error_exit_code (const GError *error);
