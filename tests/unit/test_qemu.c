/* QEMU seen from outside: its command line, its monitor (a hostile one too), waiting for SSH, the
 * probe. */
#include "base/json.h"
#include "machine/qemu_args.h"
#include "machine/qmp.h"
#include "machine/ready.h"
#include <glib/gstdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* ---- command line ---- */

static const char *
after (char **argv, const char *option)
{
  for (; *argv != NULL; argv++)
    if (strcmp (*argv, option) == 0)
      return argv[1];
  return NULL;
}

static gboolean
any_contains (char **argv, const char *text)
{
  for (; *argv != NULL; argv++)
    if (strstr (*argv, text) != NULL)
      return TRUE;
  return FALSE;
}

static MooshMachine *
make_machine (void)
{
  MooshMachine *m = g_new0 (MooshMachine, 1);
  MooshForward forwards[] = { { 22, 42000 }, { 80, 42001 } };

  m->id = 0x010203;
  m->agreement = g_strdup ("7");
  m->units = (MooshMachineUnits){ 1500, 768, 10, 0, 0 };
  m->cmdline = g_strdup ("console=ttyS0 a,b");
  m->forwards = g_array_new (FALSE, FALSE, sizeof (MooshForward));
  g_array_append_vals (m->forwards, forwards, 2);
  return m;
}

static void
test_args (void)
{
  g_autoptr (MooshMachine) m = make_machine ();
  MooshCores none = { { 0 } }, two = { { 6 } };
  int disks[] = { 17, 18 };
  MooshQemuArgs args = { .machine = m,
                         .accel = MOOSH_ACCEL_TCG,
                         .cores = &none,
                         .listen_host = "127.0.0.1",
                         .kernel_fd = 11,
                         .initrd_fd = 12,
                         .seed_fd = 13,
                         .key_fd = 14,
                         .qmp_fd = 15,
                         .console_fd = 16,
                         .store_fd = -1,
                         .disk_fds = disks,
                         .n_disks = 2 };
  g_auto (GStrv) plain = moosh_qemu_args (&args), rich = NULL;

  g_assert_cmpstr (plain[0], ==, "qemu-system-x86_64");
  g_assert_cmpstr (after (plain, "-sandbox"), ==,
                   "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny");
  g_assert_cmpstr (after (plain, "-m"), ==, "768");
  g_assert_cmpstr (after (plain, "-smp"), ==,
                   "2"); /* a part of a processor is one to the guest; its group limits it */
  g_assert_cmpstr (after (plain, "-append"), ==, "console=ttyS0 a,b");
  g_assert_cmpstr (after (plain, "-kernel"), ==, "/proc/self/fd/11");
  g_assert_cmpstr (after (plain, "-netdev"), ==,
                   "user,id=net,ipv6=off,restrict=on,hostfwd=tcp:127.0.0.1:42000-:22,hostfwd=tcp:"
                   "127.0.0.1:42001-:80");
  g_assert_true (any_contains (plain, "mac=52:54:00:01:02:03"));
  g_assert_true (any_contains (plain, "encrypt.format=luks,encrypt.key-secret=key"));
  g_assert_true (any_contains (plain, "set=4,fd=18"));
  g_assert_false (any_contains (plain, "serial=store"));
  g_assert_true (g_str_has_prefix (after (plain, "-accel"), "tcg,"));

  m->internet = TRUE;
  args.accel = MOOSH_ACCEL_KVM;
  args.cores = &two;
  args.store_fd = 19;
  rich = moosh_qemu_args (&args);
  g_assert_cmpstr (rich[0], ==, "taskset");
  g_assert_cmpstr (after (rich, "-c"), ==, "1,2");
  g_assert_cmpstr (after (rich, "-accel"), ==, "kvm");
  g_assert_cmpstr (after (rich, "-cpu"), ==, "host");
  g_assert_false (any_contains (rich, "restrict=on"));
  g_assert_true (any_contains (rich, "serial=store"));
}

/* ---- monitor: a server that says what the case tells it to ---- */

typedef struct {
  char *dir, *path;
  int listener;
  const char *greeting;
  const char *const *replies; /* to the commands in turn; "%" stands for the command's id */
  GThread *server, *reader;
  GMainContext *context;
  GMainLoop *loop;
  GMutex lock;
  GCond changed;
  GPtrArray *events;
} Fixture;

static gboolean
read_command (int fd, GString *line)
{
  char c;

  g_string_truncate (line, 0);
  while (recv (fd, &c, 1, 0) == 1)
    {
      if (c == '\n')
        return TRUE;
      g_string_append_c (line, c);
    }
  return FALSE;
}

static gpointer
serve (gpointer pointer)
{
  Fixture *f = pointer;
  int fd = accept (f->listener, NULL, NULL);
  g_autoptr (GString) line = g_string_new (NULL);

  g_assert_cmpint (send (fd, f->greeting, strlen (f->greeting), MSG_NOSIGNAL), >=, 0);
  for (const char *const *reply = f->replies; *reply != NULL && read_command (fd, line); reply++)
    {
      g_autoptr (JsonObject) command = moosh_json_parse (line->str, -1, NULL);
      g_autofree char *id
          = g_strdup_printf ("%" G_GINT64_FORMAT, moosh_json_int_or (command, "id", -1));
      g_auto (GStrv) parts = g_strsplit (*reply, "%", -1);
      g_autofree char *text = g_strjoinv (id, parts);
      const char *at = text;
      gsize left = strlen (text);

      while (left > 0)
        {
          ssize_t sent = send (fd, at, left, MSG_NOSIGNAL);
          if (sent <= 0)
            break;
          at += sent, left -= (gsize)sent;
        }
    }
  close (fd);
  return NULL;
}

static gpointer
read_loop (gpointer pointer)
{
  g_main_loop_run (((Fixture *)pointer)->loop);
  return NULL;
}

static void
on_event (const char *name, JsonObject *data, gpointer pointer)
{
  Fixture *f = pointer;

  (void)data;
  g_mutex_lock (&f->lock);
  g_ptr_array_add (f->events, g_strdup (name ? name : "END"));
  g_cond_broadcast (&f->changed);
  g_mutex_unlock (&f->lock);
}

static void
wait_event (Fixture *f, const char *name)
{
  gint64 deadline = g_get_monotonic_time () + 10 * G_USEC_PER_SEC;

  g_mutex_lock (&f->lock);
  while (!g_ptr_array_find_with_equal_func (f->events, name, g_str_equal, NULL))
    g_assert_true (g_cond_wait_until (&f->changed, &f->lock, deadline));
  g_mutex_unlock (&f->lock);
}

static void
set_up (Fixture *f, const char *greeting, const char *const *replies)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX };

  memset (f, 0, sizeof *f);
  f->dir = g_dir_make_tmp ("moosh-qmp-XXXXXX", NULL);
  f->path = g_build_filename (f->dir, "qmp", NULL);
  f->greeting = greeting;
  f->replies = replies;
  f->events = g_ptr_array_new_with_free_func (g_free);
  g_mutex_init (&f->lock);
  g_cond_init (&f->changed);
  strcpy (address.sun_path, f->path);
  f->listener = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  g_assert_cmpint (bind (f->listener, (struct sockaddr *)&address, sizeof address), ==, 0);
  g_assert_cmpint (listen (f->listener, 1), ==, 0);
  f->context = g_main_context_new ();
  f->loop = g_main_loop_new (f->context, FALSE);
  f->reader = g_thread_new ("reader", read_loop, f);
  f->server = g_thread_new ("server", serve, f);
}

static void
tear_down (Fixture *f)
{
  g_thread_join (f->server);
  g_main_loop_quit (f->loop);
  g_thread_join (f->reader);
  g_main_loop_unref (f->loop);
  g_main_context_unref (f->context);
  close (f->listener);
  g_unlink (f->path);
  g_rmdir (f->dir);
  g_free (f->dir);
  g_free (f->path);
  g_ptr_array_unref (f->events);
  g_mutex_clear (&f->lock);
  g_cond_clear (&f->changed);
}

#define GREETING "{\"QMP\": {\"version\": {}}}\r\n"
#define DONE     "{\"return\": {}, \"id\": %}\n"

static void
test_qmp_talks (void)
{
  const char *const replies[]
      = { DONE,
          "{\"event\": \"STOP\"}\nnot json\n{\"return\": {\"status\": \"wrong\"}, \"id\": 999}\n"
          "{\"return\": {\"status\": \"paused\"}, \"id\": %}\n",
          "{\"error\": {\"class\": \"GenericError\", \"desc\": \"no way\"}, \"id\": %}\n",
          "{\"return\": [1, 2], \"id\": %}\n", NULL };
  Fixture f;
  g_autoptr (MooshQmp) qmp = NULL;
  g_autoptr (JsonObject) status = NULL, list = NULL;
  g_autoptr (GError) error = NULL;

  set_up (&f, GREETING, replies);
  qmp = moosh_qmp_new (f.context, f.path, 5000, on_event, &f, NULL, &error);
  g_assert_no_error (error);
  status = moosh_qmp_call (qmp, "query-status", NULL, 5000, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (moosh_json_string_or (status, "status", NULL), ==, "paused");
  wait_event (&f, "STOP");
  g_assert_null (moosh_qmp_call (qmp, "cont", NULL, 5000, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_REFUSED);
  g_assert_nonnull (strstr (error->message, "no way"));
  g_clear_error (&error);
  list = moosh_qmp_call (qmp, "query-cpus-fast", json_object_new (), 5000, &error);
  g_assert_no_error (error);
  wait_event (&f, "END");
  g_assert_null (moosh_qmp_call (qmp, "query-status", NULL, 5000, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_UNAVAILABLE);
  g_clear_pointer (&qmp, moosh_qmp_free);
  tear_down (&f);
}

/* Nobody there, nobody greets, somebody never ends a line: an error in time, and nothing is left
 * hanging. */
static void
test_qmp_bad_servers (void)
{
  g_autofree char *flood = g_strnfill (300 * 1024, 'x');
  const char *const silent[] = { NULL }, *const flooding[] = { flood, NULL };
  Fixture f;
  g_autoptr (GError) error = NULL;

  g_assert_null (moosh_qmp_new (NULL, "/nonexistent/qmp", 100, NULL, NULL, NULL, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_UNAVAILABLE);
  g_clear_error (&error);

  set_up (&f, "hello\n", silent);
  g_assert_null (moosh_qmp_new (f.context, f.path, 5000, on_event, &f, NULL, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_UNAVAILABLE);
  g_clear_error (&error);
  tear_down (&f);

  set_up (&f, GREETING, flooding);
  g_assert_null (moosh_qmp_new (f.context, f.path, 5000, on_event, &f, NULL, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_UNAVAILABLE);
  tear_down (&f);
}

/* ---- waiting for SSH ---- */

typedef struct {
  int listener;
  const char *const *greetings; /* one connection each; NULL text: closed at once */
  guint n;
} Sshd;

static gpointer
serve_ssh (gpointer pointer)
{
  Sshd *sshd = pointer;

  for (guint i = 0; i < sshd->n; i++)
    {
      int fd = accept (sshd->listener, NULL, NULL);
      if (sshd->greetings[i] != NULL)
        send (fd, sshd->greetings[i], strlen (sshd->greetings[i]), MSG_NOSIGNAL);
      close (fd);
    }
  return NULL;
}

static guint16
listen_anywhere (int *ret_fd)
{
  g_autoptr (GSocketAddress) any = g_inet_socket_address_new_from_string ("127.0.0.1", 0);
  struct sockaddr_storage native;
  socklen_t len = sizeof native;

  *ret_fd = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  g_assert_true (g_socket_address_to_native (any, &native, sizeof native, NULL));
  g_assert_cmpint (
      bind (*ret_fd, (struct sockaddr *)&native, (socklen_t)g_socket_address_get_native_size (any)),
      ==, 0);
  g_assert_cmpint (listen (*ret_fd, 16), ==, 0);
  g_assert_cmpint (getsockname (*ret_fd, (struct sockaddr *)&native, &len), ==, 0);
  g_clear_object (&any);
  any = g_socket_address_new_from_native (&native, len);
  return g_inet_socket_address_get_port (G_INET_SOCKET_ADDRESS (any));
}

static void
test_ready (void)
{
  const char *const greetings[] = { NULL, "HTTP/1.1 400", "SS", "SSH-2.0-test\r\n" };
  Sshd sshd = { -1, greetings, G_N_ELEMENTS (greetings) };
  guint16 port = listen_anywhere (&sshd.listener);
  GThread *thread = g_thread_new ("sshd", serve_ssh, &sshd);
  g_autoptr (GError) error = NULL;

  g_assert_true (moosh_ready_wait ("127.0.0.1", port, -1,
                                   g_get_monotonic_time () + 20 * G_USEC_PER_SEC, NULL, &error));
  g_assert_no_error (error);
  g_thread_join (thread);
  close (sshd.listener);
}

static void
test_ready_ends (void)
{
  int listener, ended[2], alive[2];
  guint16 port = listen_anywhere (&listener);
  gint64 later = g_get_monotonic_time () + 60 * G_USEC_PER_SEC;
  g_autoptr (GCancellable) stop = g_cancellable_new ();
  g_autoptr (GError) error = NULL;

  g_assert_cmpint (pipe (ended), ==, 0);
  g_assert_cmpint (pipe (alive), ==, 0);
  close (ended[1]);
  g_assert_false (
      moosh_ready_wait ("127.0.0.1", port, ended[0], later, NULL, &error)); /* nobody ever speaks */
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_FAILED);
  g_clear_error (&error);
  g_assert_false (moosh_ready_wait ("127.0.0.1", port, alive[0], g_get_monotonic_time () + 200000,
                                    NULL, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_TIMEOUT);
  g_clear_error (&error);
  g_cancellable_cancel (stop);
  g_assert_false (moosh_ready_wait ("127.0.0.1", port, alive[0], later, stop, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_CANCELLED);
  g_clear_error (&error);
  g_assert_false (moosh_ready_wait ("a.name", port, -1, later, NULL, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE);
  close (listener), close (ended[0]), close (alive[0]), close (alive[1]);
}

static void
test_probe (void)
{
  g_autofree char *note = NULL;
  MooshAccel accel;

  if (geteuid () != 0)
    {
      g_test_skip ("changing users takes root");
      return;
    }
  accel = moosh_accel_probe (70990, &note);
  g_test_message ("%s (%s)", moosh_accel_name (accel), note ? note : "");
  g_assert_cmpint (accel, !=, MOOSH_ACCEL_NONE);
  g_assert_cmpint (accel == MOOSH_ACCEL_KVM, ==, note == NULL);
}

static void
test_accel_memory (void)
{
  g_autofree char *dir = g_dir_make_tmp ("moosh-accel-XXXXXX", NULL),
                  *path = g_build_filename (dir, "accel", NULL);
  g_autofree char *note = NULL, *none = NULL, *text = NULL;
  MooshAccel accel = MOOSH_ACCEL_NONE;

  g_assert_false (moosh_accel_recall (path, &accel, &note));
  moosh_accel_remember (path, MOOSH_ACCEL_TCG, "two\nlines");
  g_assert_true (moosh_accel_recall (path, &accel, &note));
  g_assert_cmpint (accel, ==, MOOSH_ACCEL_TCG);
  g_assert_cmpstr (note, ==, "two\nlines");
  moosh_accel_remember (path, MOOSH_ACCEL_KVM, NULL);
  g_assert_true (moosh_accel_recall (path, &accel, &none));
  g_assert_cmpint (accel, ==, MOOSH_ACCEL_KVM);
  g_assert_null (none);
  g_assert_true (g_file_get_contents (path, &text, NULL, NULL));
  text[0] = text[0] == 'x' ? 'y' : 'x'; /* another start of the host */
  g_assert_true (g_file_set_contents (path, text, -1, NULL));
  g_assert_false (moosh_accel_recall (path, &accel, &none));
  moosh_accel_remember (path, MOOSH_ACCEL_NONE, "nothing works"); /* worth trying again each time */
  g_assert_false (moosh_accel_recall (path, &accel, &none));
  g_unlink (path);
  g_rmdir (dir);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/qemu/args", test_args);
  g_test_add_func ("/qemu/qmp/talks", test_qmp_talks);
  g_test_add_func ("/qemu/qmp/bad-servers", test_qmp_bad_servers);
  g_test_add_func ("/qemu/ready/answers", test_ready);
  g_test_add_func ("/qemu/ready/ends", test_ready_ends);
  g_test_add_func ("/qemu/accel-memory", test_accel_memory);
  g_test_add_func ("/qemu/probe", test_probe);
  return g_test_run ();
}
