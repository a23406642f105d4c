/* mooshd: the node. The story of one rental, through these files:
 *
 * A client's `moosh take` arrives in api_agreement.c. It writes a deployment into the store
 * (client.c), has keyd sign permit and transaction, and the journal (chain/txjournal.c) records the
 * bytes before it sends them. The event follower sees Taken on both sides (ledger.c) and wakes the
 * worker. The client's next step hands the provision request to the provider's node (exchange.c);
 * the provider's next step (provider.c) has vmmd reserve the units, sends `accept`, has vmmd build
 * and boot, and sends `provisioned` with a hash of the machine's SSH key and endpoint. The client's
 * step fetches both over the authenticated channel, compares them with that hash, logs in, reads
 * back what it asked for, and sends `acknowledge`. From here on money flows by the second without
 * anybody doing anything. The end, whoever makes it, is an event again: the provider's step
 * destroys the machine and collects, the client's pulls its refund.
 *
 * Every step may be interrupted at any instant: it looks at store, chain and vmmd, does the one
 * next thing, and is run again. The main loop only accepts connections. */
#include "mooshd_schema.h"
#include "node.h"
#include <locale.h>

int
main (int argc, char **argv)
{
  g_auto (MooshDaemon) daemon = { 0 };
  g_autoptr (GError) error = NULL;
  g_autoptr (MooshRpcServer) server = NULL;
  g_autofree char *socket = NULL;
  Node *node;
  int code;

  setlocale (LC_ALL, "");
  if (!moosh_daemon_init (&daemon, "mooshd", NULL, &argc, &argv, &error)
      || (node = node_open (&daemon, &error)) == NULL)
    {
      g_printerr ("mooshd: %s\n", error->message);
      return moosh_error_exit_code (error);
    }
  socket = moosh_daemon_path (&daemon, "mooshd.sock");
  server = moosh_rpc_server_new (socket, 0600, mooshd_methods, node, &error);
  if (server == NULL)
    {
      g_printerr ("mooshd: %s\n", error->message);
      node_close (node);
      return moosh_error_exit_code (error);
    }
  code = moosh_daemon_run (&daemon);
  moosh_chain_stop (
      node->chain); /* who waits for a block gives up; the journal goes on next time */
  g_clear_pointer (&server, moosh_rpc_server_free);
  node_close (node);
  return code;
}
