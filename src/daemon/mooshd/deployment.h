/** A deployment: something this node has rented, by its local name. Shared by client.c and the API.
 */
#pragma once
#include "exchange.h"
#include "node.h"

typedef struct {
  char *name;
  guint64 agreement; /* 0: not on the chain yet */
  MooshSignedOffer offer;
  guint8 provider[20]; /* identity behind the offer's maker */
  guint32 units;
  MooshU256 deposit;
  GBytes *request;
  guint8 request_hash[32];
  char *blueprint; /* git+URL?rev=…#attribute */
  gint64 created_s, probed_s;
  gboolean over, delivered;
  char *step, *error;
  char *host, *host_key;
  guint16 port;
  char *probe; /* JSON the guest answered */
  guint stars;
  char *words;
  char *report; /* why it was rejected: what the evidence on the chain is the SHA-256 of */
} Deployment;

void deployment_free (Deployment *d);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Deployment, deployment_free)

/** By name, or by agreement number. MOOSH_ERROR_NOT_FOUND. */
Deployment *deployment_load (Node *node, const char *name, GError **error);
/** Names, newest first; new strings. */
GPtrArray *deployment_names (Node *node, gboolean all);
/** Write it down before anything else happens. MOOSH_ERROR_CONFLICT: the name is taken. */
gboolean deployment_insert (Node *node, const Deployment *d, GError **error);
/** What it is doing or why not (either may be NULL). */
void deployment_say (Node *node, const Deployment *d, const char *step, const char *error);

/** Send the `take` of a recorded deployment (once, whatever happens) and, with `wait`, see it
 * through. FALSE: there is no agreement and will be none: nothing was sent and the record is gone,
 * or the contract refused (MOOSH_ERROR_CONFLICT, MOOSH_ERROR_EXPIRED: the offer changed or ended
 * meanwhile). TRUE with agreement
 * 0: under way, and it goes on by itself. */
gboolean deployment_take (Node *node, Deployment *d, gboolean wait, GError **error);

/** ssh.c: the node's own key for its machines (made when missing): path of the private one, and the
 * public line. */
char *ssh_own_key (Node *node, char **ret_public, GError **error);
/** argv for ssh to a deployment whose endpoint is known, with a known_hosts of its own; ends with
 * the destination, the command may follow. NULL-terminated, g_strfreev. */
char **ssh_argv (Node *node, const Deployment *d, gboolean batch, char **ret_known_hosts,
                 GError **error);

/** probe.c: log in, read back, compare. Returns the guest's JSON (new) when everything fits the
 * agreement; MOOSH_ERROR_UNAVAILABLE: cannot log in (yet); MOOSH_ERROR_REFUSED: the machine is not
 * what was agreed. `ret_report` gets what was seen in any case, as evidence. */
char *probe_machine (Node *node, const Deployment *d, char **ret_report, GError **error);
