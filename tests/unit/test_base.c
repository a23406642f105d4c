#include "base/json.h"
#include "base/rpc.h"
#include "base/spawn.h"
#include "base/store.h"
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static char *
temp_path (const char *name)
{
  g_autofree char *dir = g_dir_make_tmp ("moosh-base-XXXXXX", NULL);

  g_assert_nonnull (dir);
  return g_build_filename (dir, name, NULL);
}

/* --- json --- */

static void
test_json (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonObject) object = moosh_json_parse ("{\"a\":1,\"b\":\"x\",\"c\":\"0x0aff\",\"d\":true}", -1, &error);
  g_autoptr (GBytes) bytes = NULL;
  gint64 v = 7;

  g_assert_no_error (error);
  g_assert_true (moosh_json_int (object, "a", &v, &error));
  g_assert_cmpint (v, ==, 1);
  g_assert_false (moosh_json_int (object, "b", &v, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE);
  g_assert_cmpint (v, ==, 1);
  g_clear_error (&error);
  g_assert_null (moosh_json_string (object, "nowhere", &error));
  g_assert_cmpstr (error->message, ==, "\"nowhere\" is missing");
  g_clear_error (&error);
  bytes = moosh_json_hex (object, "c", 2, &error);
  g_assert_no_error (error);
  g_assert_cmpmem (g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes), "\x0a\xff", 2);
  g_assert_null (moosh_json_hex (object, "c", 3, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE);
}

static void
test_json_depth (void)
{
  for (guint depth = 32; depth <= 33; depth++)
    {
      g_autoptr (GString) text = g_string_new ("{\"a\":\"[[{{\",\"x\":");
      g_autoptr (GError) error = NULL;
      g_autoptr (JsonObject) object = NULL;

      for (guint i = 1; i < depth; i++)
        g_string_append_c (text, '[');
      for (guint i = 1; i < depth; i++)
        g_string_append_c (text, ']');
      g_string_append_c (text, '}');
      object = moosh_json_parse (text->str, -1, &error);
      g_assert_cmpint (object != NULL, ==, depth <= 32);
      if (depth > 32)
        g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE);
    }
}

/* --- store --- */

#define FIRST "CREATE TABLE t (k TEXT PRIMARY KEY, v INTEGER, b BLOB)"
static const char *const one_migration[] = { FIRST, NULL };
static const char *const two_migrations[] = { FIRST, "ALTER TABLE t ADD COLUMN w INTEGER DEFAULT 5", NULL };
static const char *const bad_migration[] = { FIRST, "CREATE TABLE u (k); SELECT nonsense", NULL };

static void
test_store (void)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *path = temp_path ("store.db");
  g_autoptr (GBytes) blob = g_bytes_new ("\0\1", 2);
  g_autoptr (GBytes) empty = g_bytes_new (NULL, 0);
  MooshStore *store = moosh_store_open (path, one_migration, &error);

  g_assert_no_error (error);
  g_assert_true (moosh_store_run (store, &error, "INSERT INTO t VALUES (?, ?, ?)", "sib", "a", (gint64) -3, blob));
  g_assert_true (moosh_store_run (store, &error, "INSERT INTO t VALUES (?, ?, ?)", "sib", "b", (gint64) 4, empty));
  g_assert_false (moosh_store_run (store, &error, "INSERT INTO t VALUES (?, ?, ?)", "sib", "a", (gint64) 1, NULL));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_CONFLICT);
  g_clear_error (&error);
  moosh_store_free (store);

  store = moosh_store_open (path, two_migrations, &error); /* an old file moves forward */
  g_assert_no_error (error);
  {
    g_autoptr (MooshQuery) query = moosh_store_query (store, &error, "SELECT k, v, b, w FROM t ORDER BY k", "");
    g_autoptr (GBytes) read = NULL;
    g_autoptr (GBytes) read_empty = NULL;

    g_assert_true (moosh_query_next (query, &error));
    g_assert_cmpstr (moosh_query_text (query, 0), ==, "a");
    g_assert_cmpint (moosh_query_int (query, 1), ==, -3);
    read = moosh_query_blob (query, 2);
    g_assert_true (g_bytes_equal (read, blob));
    g_assert_cmpint (moosh_query_int (query, 3), ==, 5);
    g_assert_true (moosh_query_next (query, &error));
    read_empty = moosh_query_blob (query, 2);
    g_assert_nonnull (read_empty);
    g_assert_cmpuint (g_bytes_get_size (read_empty), ==, 0);
    g_assert_false (moosh_query_next (query, &error));
    g_assert_no_error (error);
  }
  moosh_store_free (store);

  g_assert_null (moosh_store_open (path, one_migration, &error)); /* and is not opened by an older program */
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_CONFLICT);
}

static void
test_store_transactions (void)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *path = temp_path ("store.db");
  g_autoptr (MooshStore) store = moosh_store_open (path, one_migration, &error);

  g_assert_no_error (error);
  g_assert_true (moosh_store_begin (store, &error));
  g_assert_true (moosh_store_run (store, &error, "INSERT INTO t (k) VALUES ('a')", ""));
  moosh_store_rollback (store);
  g_assert_cmpint (moosh_store_int (store, -1, "SELECT count(*) FROM t", ""), ==, 0);

  g_assert_true (moosh_store_begin (store, &error));
  g_assert_true (moosh_store_run (store, &error, "INSERT INTO t (k) VALUES ('a')", ""));
  g_assert_true (moosh_store_begin (store, &error));
  g_assert_true (moosh_store_run (store, &error, "INSERT INTO t (k) VALUES ('b')", ""));
  moosh_store_rollback (store);
  g_assert_false (moosh_store_commit (store, &error)); /* the whole is not committed without its part */
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_FAILED);
  g_clear_error (&error);
  g_assert_cmpint (moosh_store_int (store, -1, "SELECT count(*) FROM t", ""), ==, 0);

  g_assert_true (moosh_store_begin (store, &error));
  g_assert_true (moosh_store_run (store, &error, "INSERT INTO t (k) VALUES ('c')", ""));
  g_assert_true (moosh_store_commit (store, &error));
  g_assert_cmpint (moosh_store_int (store, -1, "SELECT count(*) FROM t", ""), ==, 1);
}

static void
test_store_refusals (void)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *path = temp_path ("store.db");
  g_autofree char *half = temp_path ("half.db");

  g_assert_true (g_file_set_contents (path, "this is not a database, it is a letter to a friend ....", -1, NULL));
  g_assert_null (moosh_store_open (path, one_migration, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_CORRUPT);
  g_clear_error (&error);

  g_assert_null (moosh_store_open (half, bad_migration, &error)); /* version 1 stays, version 2 leaves no trace */
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_FAILED);
  g_clear_error (&error);
  {
    g_autoptr (MooshStore) store = moosh_store_open (half, one_migration, &error);
    g_assert_no_error (error);
    g_assert_cmpint (moosh_store_int (store, -1, "SELECT count(*) FROM sqlite_master WHERE name = 'u'", ""), ==, 0);
  }
}

/* --- rpc --- */

static JsonObject *
rpc_echo (const MooshRpcPeer *peer, JsonObject *params, gpointer user_data, GError **error)
{
  (void) user_data;
  (void) error;
  return moosh_json_build ("uid", 'i', (gint64) peer->uid, "text", 's', moosh_json_string (params, "text", NULL), NULL);
}

static JsonObject *
rpc_fail (const MooshRpcPeer *peer, JsonObject *params, gpointer user_data, GError **error)
{
  (void) peer;
  (void) params;
  (void) user_data;
  g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_FUNDS, "not enough");
  return NULL;
}

static JsonObject *
rpc_block (const MooshRpcPeer *peer, JsonObject *params, gpointer user_data, GError **error)
{
  int *pipe_fds = user_data;
  char c;

  (void) peer;
  (void) params;
  (void) error;
  g_assert_cmpint (read (pipe_fds[0], &c, 1), ==, 1);
  return json_object_new ();
}

static const MooshRpcParam echo_params[] = { { "text", 's', TRUE }, { "n", 'i', FALSE }, { NULL, 0, FALSE } };
static const MooshRpcMethod methods[] = {
  { "echo", rpc_echo, echo_params }, { "fail", rpc_fail, NULL }, { "block", rpc_block, NULL }, { NULL, NULL, NULL },
};

typedef struct {
  char *path;
  int pipe_fds[2];
  GMainLoop *loop;
  GThread *thread;
  MooshRpcServer *server;
  GMutex lock;
  GCond ready;
} Rpc;

static gpointer
rpc_thread (gpointer user_data)
{
  Rpc *rpc = user_data;
  g_autoptr (GMainContext) context = g_main_context_new ();
  g_autoptr (GError) error = NULL;

  g_main_context_push_thread_default (context);
  g_mutex_lock (&rpc->lock);
  rpc->server = moosh_rpc_server_new (rpc->path, 0600, methods, rpc->pipe_fds, &error);
  g_assert_no_error (error);
  rpc->loop = g_main_loop_new (context, FALSE);
  g_cond_signal (&rpc->ready);
  g_mutex_unlock (&rpc->lock);
  g_main_loop_run (rpc->loop);
  moosh_rpc_server_free (rpc->server);
  g_main_context_pop_thread_default (context);
  return NULL;
}

static void
rpc_start (Rpc *rpc, gconstpointer unused)
{
  (void) unused;
  rpc->path = temp_path ("test.sock");
  g_assert_cmpint (pipe (rpc->pipe_fds), ==, 0);
  g_mutex_lock (&rpc->lock);
  rpc->thread = g_thread_new ("rpc", rpc_thread, rpc);
  while (rpc->loop == NULL)
    g_cond_wait (&rpc->ready, &rpc->lock);
  g_mutex_unlock (&rpc->lock);
}

static gboolean
quit_loop (gpointer loop)
{
  g_main_loop_quit (loop);
  return G_SOURCE_REMOVE;
}

static void
rpc_stop (Rpc *rpc, gconstpointer unused)
{
  g_autoptr (GSource) source = g_idle_source_new ();

  (void) unused;
  /* from inside the loop: a quit before it runs would be forgotten */
  g_source_set_callback (source, quit_loop, rpc->loop, NULL);
  g_source_attach (source, g_main_loop_get_context (rpc->loop));
  g_thread_join (rpc->thread);
  g_assert_false (g_file_test (rpc->path, G_FILE_TEST_EXISTS));
  g_main_loop_unref (rpc->loop);
  g_free (rpc->path);
}

static void
test_rpc (Rpc *rpc, gconstpointer unused)
{
  g_autoptr (MooshRpcClient) client = moosh_rpc_client_new (rpc->path);
  g_autoptr (JsonObject) good = moosh_json_build ("text", 's', "hi\nthere", NULL);
  g_autoptr (JsonObject) unknown = moosh_json_build ("text", 's', "hi", "more", 's', "x", NULL);
  g_autoptr (JsonObject) mistyped = moosh_json_build ("text", 'i', (gint64) 3, NULL);
  g_autoptr (JsonObject) reply = NULL;
  g_autoptr (GError) error = NULL;

  (void) unused;
  reply = moosh_rpc_client_call (client, "echo", good, 5000, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (moosh_json_string (reply, "text", NULL), ==, "hi\nthere");
  g_assert_cmpint (moosh_json_int_or (reply, "uid", -1), ==, (gint64) getuid ());

  g_assert_null (moosh_rpc_client_call (client, "fail", NULL, 5000, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_FUNDS);
  g_assert_cmpstr (error->message, ==, "not enough");
  g_clear_error (&error);

  g_assert_null (moosh_rpc_client_call (client, "echo", NULL, 5000, &error));
  g_assert_cmpstr (error->message, ==, "echo needs \"text\"");
  g_clear_error (&error);
  g_assert_null (moosh_rpc_client_call (client, "echo", unknown, 5000, &error));
  g_assert_cmpstr (error->message, ==, "echo takes no parameter \"more\"");
  g_clear_error (&error);
  g_assert_null (moosh_rpc_client_call (client, "echo", mistyped, 5000, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE);
  g_clear_error (&error);
  g_assert_null (moosh_rpc_client_call (client, "nothing", NULL, 5000, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE);
}

static void
test_rpc_timeout (Rpc *rpc, gconstpointer unused)
{
  g_autoptr (MooshRpcClient) client = moosh_rpc_client_new (rpc->path);
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonObject) params = moosh_json_build ("text", 's', "still here", NULL);
  g_autoptr (JsonObject) reply = NULL;

  (void) unused;
  g_assert_null (moosh_rpc_client_call (client, "block", NULL, 50, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_TIMEOUT);
  g_clear_error (&error);
  reply = moosh_rpc_client_call (client, "echo", params, 5000, &error); /* a blocked call holds up nobody else */
  g_assert_no_error (error);
  g_assert_cmpint (write (rpc->pipe_fds[1], "x", 1), ==, 1);
}

static int
raw_connect (const char *path)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  int fd = socket (AF_UNIX, SOCK_STREAM, 0);

  g_strlcpy (address.sun_path, path, sizeof address.sun_path);
  g_assert_cmpint (connect (fd, (struct sockaddr *) &address, sizeof address), ==, 0);
  return fd;
}

/* Everything the server says until it closes or `stop_at_line`. */
static char *
raw_read (int fd, gboolean stop_at_line)
{
  GString *text = g_string_new (NULL);
  char c;

  while (read (fd, &c, 1) == 1 && !(stop_at_line && c == '\n'))
    g_string_append_c (text, c);
  return g_string_free (text, FALSE);
}

static void
test_rpc_hostile (Rpc *rpc, gconstpointer unused)
{
  static const char *const bad[] = { "{\n", "[]\n", "{\"method\":3}\n", "{\"method\":\"echo\",\"params\":[]}\n", "\n" };
  int fd = raw_connect (rpc->path);

  (void) unused;
  for (guint i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      g_autofree char *reply = NULL;
      g_assert_cmpint (write (fd, bad[i], strlen (bad[i])), ==, (gssize) strlen (bad[i]));
      reply = raw_read (fd, TRUE);
      g_assert_nonnull (strstr (reply, "\"kind\":\"usage\""));
    }
  close (fd);
}

/* A request of exactly `size` bytes, newline not counted; a space fills it up. */
static char *
request_of_size (gsize size)
{
  static const char head[] = "{\"id\":1,\"method\":\"echo\",\"params\":{\"text\":\"x\"}";
  char *text = g_malloc (size + 2);

  memset (text, ' ', size);
  memcpy (text, head, sizeof head - 1);
  memcpy (text + size - 1, "}\n", 3);
  return text;
}

static void
test_rpc_limits (Rpc *rpc, gconstpointer unused)
{
  int fds[MOOSH_RPC_CONNECTIONS_MAX + 1];

  (void) unused;
  for (gsize extra = 0; extra <= 1; extra++)
    {
      g_autofree char *request = request_of_size (MOOSH_RPC_MESSAGE_MAX + extra);
      g_autofree char *reply = NULL;
      gsize len = strlen (request), sent = 0;
      int fd = raw_connect (rpc->path);

      while (sent < len)
        {
          gssize n = send (fd, request + sent, len - sent, MSG_NOSIGNAL);
          if (n < 0)
            break;
          sent += (gsize) n;
        }
      reply = raw_read (fd, TRUE);
      g_assert_nonnull (strstr (reply, extra ? "\"kind\":\"limit\"" : "\"text\":\"x\""));
      close (fd);
    }
  for (int i = 0; i <= MOOSH_RPC_CONNECTIONS_MAX; i++)
    {
      fds[i] = raw_connect (rpc->path);
      if (i < MOOSH_RPC_CONNECTIONS_MAX)
        {
          g_autofree char *request = request_of_size (80);
          g_autofree char *reply = NULL;
          g_assert_cmpint (write (fds[i], request, 81), ==, 81);
          reply = raw_read (fds[i], TRUE);
          g_assert_nonnull (strstr (reply, "\"text\":\"x\""));
        }
      else
        {
          g_autofree char *reply = raw_read (fds[i], FALSE);
          g_assert_nonnull (strstr (reply, "64 connections are open already"));
        }
    }
  for (int i = 0; i <= MOOSH_RPC_CONNECTIONS_MAX; i++)
    close (fds[i]);
}

static void
test_rpc_conflict (Rpc *rpc, gconstpointer unused)
{
  g_autoptr (GError) error = NULL;

  (void) unused;
  g_assert_null (moosh_rpc_server_new (rpc->path, 0600, methods, NULL, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_CONFLICT);
}

/* --- children --- */

static void
test_run (void)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *out = NULL;
  const char *const echo[] = { "echo", "one two", NULL };
  const char *const fail[] = { "sh", "-c", "echo first >&2; echo the reason >&2; exit 3", NULL };
  const char *const absent[] = { "no-such-program-anywhere", NULL };

  g_assert_true (moosh_run (echo, 5000, &out, &error));
  g_assert_cmpstr (out, ==, "one two");
  g_assert_false (moosh_run (fail, 5000, NULL, &error));
  g_assert_cmpstr (error->message, ==, "sh failed (3): the reason");
  g_clear_error (&error);
  g_assert_false (moosh_run (absent, 5000, NULL, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_FAILED);
}

static void
test_run_deadline (void)
{
  /* the grandchild holds the pipe open and must go with its group */
  const char *const argv[] = { "sh", "-c", "echo $$; sleep 600 & sleep 600", NULL };
  MooshSpawn spawn = { .argv = argv };
  g_auto (MooshOutput) output = { 0 };
  g_autoptr (GError) error = NULL;

  g_assert_true (moosh_spawn_run (&spawn, 200, 100, NULL, NULL, &output, &error));
  g_assert_true (output.timed_out);
  g_assert_cmpint (output.exit_status, ==, 128 + SIGKILL);
  while (kill (-atoi (output.out), 0) == 0) /* the group is gone as soon as init has reaped it */
    g_thread_yield ();
  g_assert_cmpint (errno, ==, ESRCH);
}

static void
count_line (const char *line, gpointer user_data)
{
  g_ptr_array_add (user_data, g_strdup (line));
}

static void
test_run_output (void)
{
  const char *const argv[] = { "sh", "-c", "head -c 100000 /dev/zero | tr '\\0' x; echo a >&2; echo b >&2", NULL };
  MooshSpawn spawn = { .argv = argv };
  g_auto (MooshOutput) output = { 0 };
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) lines = g_ptr_array_new_with_free_func (g_free);

  g_assert_true (moosh_spawn_run (&spawn, 5000, 1000, count_line, lines, &output, &error));
  g_assert_true (output.truncated);
  g_assert_cmpuint (output.out_len, ==, 1000);
  g_assert_cmpuint (lines->len, ==, 2);
  g_assert_cmpstr (lines->pdata[1], ==, "b");
}

static void
test_spawn_privileges (void)
{
  const char *const argv[] = { "sh", "-c", "id -u; id -G; grep -E 'NoNewPrivs|CapEff|CapBnd' /proc/self/status; ulimit -n", NULL };
  MooshSpawn spawn = { .argv = argv, .set_ids = TRUE, .uid = 61000, .gid = 61000, .no_new_privs = TRUE, .files_max = 17 };
  g_auto (MooshOutput) output = { 0 };
  g_autoptr (GError) error = NULL;

  if (geteuid () != 0)
    {
      g_test_skip ("needs root");
      return;
    }
  g_assert_true (moosh_spawn_run (&spawn, 5000, 1000, NULL, NULL, &output, &error));
  g_assert_no_error (error);
  g_assert_cmpstr (output.out, ==,
                   "61000\n61000\nCapEff:\t0000000000000000\nCapBnd:\t0000000000000000\nNoNewPrivs:\t1\n17\n");
}

static gpointer
spawn_in_thread (gpointer ret_pid)
{
  const char *const argv[] = { "cat", NULL };
  MooshSpawn spawn = { .argv = argv, .stdin_fd = GPOINTER_TO_INT (g_object_get_data (ret_pid, "stdin")) };
  int pidfd = -1;
  pid_t pid = 0;
  g_autoptr (GError) error = NULL;

  g_assert_true (moosh_spawn (&spawn, &pid, &pidfd, &error));
  g_object_set_data (ret_pid, "pid", GINT_TO_POINTER (pid));
  return GINT_TO_POINTER (pidfd);
}

/* PR_SET_PDEATHSIG is about the thread that forked; a child must survive the thread that asked for it. */
static void
test_spawn_survives_thread (void)
{
  g_autoptr (GObject) carrier = g_object_new (G_TYPE_OBJECT, NULL);
  int fds[2], pidfd, status = -1;
  pid_t pid;
  GThread *thread;

  g_assert_cmpint (pipe2 (fds, O_CLOEXEC), ==, 0);
  g_object_set_data (carrier, "stdin", GINT_TO_POINTER (fds[0]));
  thread = g_thread_new ("short-lived", spawn_in_thread, carrier);
  pidfd = GPOINTER_TO_INT (g_thread_join (thread));
  pid = GPOINTER_TO_INT (g_object_get_data (carrier, "pid"));
  close (fds[0]);
  close (fds[1]); /* cat ends by itself, and only then */
  g_assert_cmpint (waitpid (pid, &status, 0), ==, pid);
  g_assert_cmpint (status, ==, 0);
  close (pidfd);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/base/json", test_json);
  g_test_add_func ("/base/json/depth", test_json_depth);
  g_test_add_func ("/base/store", test_store);
  g_test_add_func ("/base/store/transactions", test_store_transactions);
  g_test_add_func ("/base/store/refusals", test_store_refusals);
  g_test_add ("/base/rpc", Rpc, NULL, rpc_start, test_rpc, rpc_stop);
  g_test_add ("/base/rpc/timeout", Rpc, NULL, rpc_start, test_rpc_timeout, rpc_stop);
  g_test_add ("/base/rpc/hostile", Rpc, NULL, rpc_start, test_rpc_hostile, rpc_stop);
  g_test_add ("/base/rpc/limits", Rpc, NULL, rpc_start, test_rpc_limits, rpc_stop);
  g_test_add ("/base/rpc/conflict", Rpc, NULL, rpc_start, test_rpc_conflict, rpc_stop);
  g_test_add_func ("/base/run", test_run);
  g_test_add_func ("/base/run/deadline", test_run_deadline);
  g_test_add_func ("/base/run/output", test_run_output);
  g_test_add_func ("/base/spawn/privileges", test_spawn_privileges);
  g_test_add_func ("/base/spawn/thread", test_spawn_survives_thread);
  return g_test_run ();
}
