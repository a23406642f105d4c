/* A program's bytes on a daemon's socket: lines, JSON, parameters by their table. The input goes
 * through a real socket; every line gets an answer that is one line, and JSON. */
#include "base/json.h"
#include "base/rpc_answer.h"
#include "base/wire.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LINE_MAX_LEN = 4096, LINES_MAX = 8, INPUT_MAX = 65536 };

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

static void
check (gboolean ok)
{
  if (!ok)
    abort ();
}

static JsonObject *
echo (const MooshRpcPeer *peer, JsonObject *params, gpointer user_data, GError **error)
{
  (void)peer;
  (void)error;
  check (user_data == echo);
  return json_object_ref (params);
}

static JsonObject *
refuse (const MooshRpcPeer *peer, JsonObject *params, gpointer user_data, GError **error)
{
  (void)peer;
  (void)params;
  (void)user_data;
  if (json_object_get_size (params) > 0)
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_FAILED, "an error of another domain");
  else
    g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_DENIED, "no");
  return NULL;
}

/* More than an answer may hold. Once only: a mebibyte takes as long as a thousand other inputs. */
static JsonObject *
flood (const MooshRpcPeer *peer, JsonObject *params, gpointer user_data, GError **error)
{
  static gsize len = MOOSH_RPC_MESSAGE_MAX;
  g_autofree char *much = g_strnfill (len, 'x');
  (void)peer;
  (void)params;
  (void)user_data;
  (void)error;
  len = 10;
  return moosh_json_build ("much", 's', much, NULL);
}

static void
answer (const char *line)
{
  static const MooshRpcParam typed[]
      = { { "s", 's', FALSE }, { "i", 'i', FALSE }, { "b", 'b', FALSE },   { "o", 'o', FALSE },
          { "a", 'a', FALSE }, { "x", '*', FALSE }, { "need", 's', TRUE }, { NULL, 0, FALSE } };
  static const MooshRpcMethod methods[] = { { "typed", echo, typed },
                                            { "free", echo, NULL },
                                            { "refuse", refuse, NULL },
                                            { "flood", flood, NULL },
                                            { NULL, NULL, NULL } };
  MooshRpcPeer peer = { 0, 0, 0 };
  g_autofree char *reply = moosh_rpc_answer (methods, (gpointer)echo, &peer, line);
  gsize len = strlen (reply);
  g_autoptr (JsonObject) object = NULL;

  check (len > 0 && strchr (reply, '\n') == reply + len - 1);
  object = moosh_json_parse (reply, (gssize)len - 1, NULL);
  /* an identifier or text that was nested as deep as may be is one deeper in the answer */
  if (object != NULL)
    check (json_object_has_member (object, "id")
           && json_object_has_member (object, "result")
                  != json_object_has_member (object, "error"));
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  int ends[2];
  g_autoptr (GSocket) end = NULL;
  g_autoptr (GString) buffer = g_string_new (NULL);
  g_autoptr (GError) error = NULL;

  if (size > INPUT_MAX)
    return 0;
  check (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
  check (write (ends[1], data, size) == (ssize_t)size);
  close (ends[1]);
  end = g_socket_new_from_fd (ends[0], NULL);
  check (end != NULL);
  for (int i = 0; i < LINES_MAX; i++)
    {
      g_autofree char *line = moosh_wire_read_line (end, buffer, LINE_MAX_LEN, 0, NULL, &error);
      if (line == NULL)
        break;
      check (strlen (line) <= LINE_MAX_LEN);
      answer (line);
    }
  if (error != NULL)
    g_free (moosh_rpc_error_line (error));
  return 0;
}
