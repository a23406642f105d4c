/* What keyd has given up, tried out in children; passphrases; statements; the vault's refusals. */
#include "base/json.h"
#include "core/cbor/cbor.h"
#include "core/key/key.h"
#include "daemon/keyd/methods.h"
#include "daemon/keyd/passphrase.h"
#include "daemon/keyd/sandbox.h"
#include "daemon/keyd/statement.h"
#include "daemon/keyd/vault.h"
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <sodium.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- the sandbox ---- */

static int
try_socket (int family, int type)
{
  return socket (family, type, 0);
}

static int
try_unix (void)
{
  return try_socket (AF_UNIX, SOCK_STREAM);
}

static int
try_unix_pair (void)
{
  int pair[2];
  return socketpair (AF_UNIX, SOCK_STREAM, 0, pair);
}

static int
try_tcp (void)
{
  return try_socket (AF_INET, SOCK_STREAM);
}

static int
try_udp6 (void)
{
  return try_socket (AF_INET6, SOCK_DGRAM);
}

static int
try_netlink (void)
{
  return try_socket (AF_NETLINK, SOCK_RAW);
}

static int
try_packet (void)
{
  return try_socket (AF_PACKET, SOCK_RAW);
}

static int
try_vsock (void)
{
  return try_socket (AF_VSOCK, SOCK_STREAM);
}

static int
try_exec (void)
{
  return execl ("/bin/true", "true", NULL);
}

static int
try_ptrace (void)
{
  return (int)ptrace (PTRACE_TRACEME, 0, NULL, NULL);
}

static int
try_uring (void)
{
  return (int)syscall (SYS_io_uring_setup, 1, NULL);
}

static int
try_unshare (void)
{
  return (int)syscall (SYS_unshare, 0);
}

static int
try_file (void)
{
  return open ("/proc/self/stat", O_RDONLY);
}

static const struct {
  const char *what;
  int (*attempt) (void);
  int expected; /* errno, 0: works */
} attempts[] = {
  { "unix socket", try_unix, 0 },
  { "unix pair", try_unix_pair, 0 },
  { "file", try_file, 0 },
  { "tcp", try_tcp, EPERM },
  { "udp over IPv6", try_udp6, EPERM },
  { "netlink", try_netlink, EPERM },
  { "packet", try_packet, EPERM },
  { "vsock", try_vsock, EPERM },
  { "exec", try_exec, EPERM },
  { "ptrace", try_ptrace, EPERM },
  { "io_uring", try_uring, EPERM },
  { "unshare", try_unshare, EPERM },
};

/* In a child, which tells errno with its exit code. */
static int
errno_of (int (*attempt) (void), gboolean sandboxed)
{
  int status;
  pid_t pid = fork ();

  if (pid == 0)
    {
      if (sandboxed && !sandbox_enter (NULL))
        _exit (255);
      errno = 0;
      _exit (attempt () < 0 ? errno : 0);
    }
  g_assert_cmpint (waitpid (pid, &status, 0), ==, pid);
  g_assert_true (WIFEXITED (status));
  return WEXITSTATUS (status);
}

static void
test_sandbox (void)
{
  for (gsize i = 0; i < G_N_ELEMENTS (attempts); i++)
    {
      g_test_message ("%s", attempts[i].what);
      g_assert_cmpint (errno_of (attempts[i].attempt, TRUE), ==, attempts[i].expected);
    }
  g_assert_cmpint (errno_of (try_udp6, FALSE), !=,
                   EPERM); /* without it the attempt means something */
}

static int
try_marks (void)
{
  struct rlimit core;

  getrlimit (RLIMIT_CORE, &core);
  errno = core.rlim_max != 0                             ? 1
          : prctl (PR_GET_DUMPABLE, 0, 0, 0, 0) != 0     ? 2
          : prctl (PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1 ? 3
                                                         : 0;
  return errno ? -1 : 0;
}

static void
test_marks (void)
{
  g_assert_cmpint (errno_of (try_marks, TRUE), ==, 0);
  g_assert_cmpint (errno_of (try_marks, FALSE), !=, 0);
}

/* ---- passphrases ---- */

static int
pipe_with (const char *text, gsize len)
{
  int ends[2];

  g_assert_cmpint (pipe (ends), ==, 0);
  g_assert_cmpint (write (ends[1], text, len), ==, (gssize)len);
  close (ends[1]);
  return ends[0];
}

static void
test_passphrase (void)
{
  static const struct {
    const char *given, *expected;
  } cases[] = {
    { "secret\n", "secret" },
    { "secret", "secret" },
    { "two words \nrest", "two words " },
    { "", "" },
    { "\n", "" },
  };
  g_autofree char *longest = g_strnfill (VAULT_PASSPHRASE_MAX + 1, 'x');

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_auto (Passphrase) passphrase = { 0 };
      g_assert_true (passphrase_from_fd (pipe_with (cases[i].given, strlen (cases[i].given)),
                                         &passphrase, NULL));
      g_assert_cmpstr (passphrase.text, ==, cases[i].expected);
      g_assert_cmpuint (passphrase.len, ==, strlen (cases[i].expected));
    }

  g_auto (Passphrase) passphrase = { 0 };
  g_autoptr (GError) error = NULL;
  g_assert_true (passphrase_from_fd (pipe_with (longest, VAULT_PASSPHRASE_MAX), &passphrase, NULL));
  passphrase_clear (&passphrase);
  g_assert_false (
      passphrase_from_fd (pipe_with (longest, VAULT_PASSPHRASE_MAX + 1), &passphrase, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE);
  g_assert_null (passphrase.text);
  g_clear_error (&error);
  g_assert_false (passphrase_from_fd (9999, &passphrase, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE);
}

static void
test_credential (void)
{
  g_autofree char *dir = g_dir_make_tmp ("moosh-credential-XXXXXX", NULL);
  g_autofree char *path = g_build_filename (dir, "wallet", NULL);
  g_auto (Passphrase) passphrase = { 0 };
  g_autoptr (GError) error = NULL;

  g_unsetenv ("CREDENTIALS_DIRECTORY");
  g_assert_false (passphrase_from_credential ("wallet", &passphrase, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE);
  g_setenv ("CREDENTIALS_DIRECTORY", dir, TRUE);
  g_file_set_contents (path, "from systemd\n", -1, NULL);
  g_assert_true (passphrase_from_credential ("wallet", &passphrase, NULL));
  g_assert_cmpstr (passphrase.text, ==, "from systemd");
  passphrase_clear (&passphrase);
  static const char *const bad[] = { "none", "", "..", "../wallet", "/etc/passwd" };
  for (gsize i = 0; i < G_N_ELEMENTS (bad); i++)
    g_assert_false (passphrase_from_credential (bad[i], &passphrase, NULL));
  g_unlink (path);
  g_rmdir (dir);
}

/* ---- statements ---- */

static const guint8 node_key[33] = { 2, 0x55 };

/* A statement's map with one member left out (-1: none) and `extra` more members behind it. */
static gsize
make_statement (guint8 *out, gsize size, const guint8 author[33], int without, unsigned extra)
{
  MooshCborWriter writer;
  gsize len = 0;

  moosh_cbor_write_init (&writer, out, size);
  moosh_cbor_put_map (&writer, (without < 0 ? 8 : 7) + extra);
  for (int key = 0; key < 8 + (int)extra; key++)
    {
      if (key == without)
        continue;
      moosh_cbor_put_key (&writer, (unsigned)key);
      if (key == 0)
        moosh_cbor_put_bytes (&writer, author, 33);
      else if (key == 3 || key == 7)
        moosh_cbor_put_bytes (&writer, "body", 4);
      else
        moosh_cbor_put_uint (&writer, 1000);
    }
  g_assert_cmpint (moosh_cbor_finish (&writer, &len), ==, MOOSH_OK);
  return len;
}

static void
test_statement (void)
{
  guint8 bytes[256], other[33] = { 3, 0x55 };
  gsize len = make_statement (bytes, sizeof bytes, node_key, -1, 0);
  g_autoptr (GError) error = NULL;

  g_assert_true (statement_check (bytes, len, node_key, NULL));
  for (gsize cut = 0; cut < len; cut++)
    g_assert_false (statement_check (bytes, cut, node_key, NULL));
  bytes[len] = 0;
  g_assert_false (statement_check (bytes, len + 1, node_key, NULL));
  for (int without = 0; without < 8; without++)
    {
      len = make_statement (bytes, sizeof bytes, node_key, without, 0);
      g_assert_false (statement_check (bytes, len, node_key, NULL));
    }
  len = make_statement (bytes, sizeof bytes, node_key, -1, 1);
  g_assert_false (statement_check (bytes, len, node_key, NULL));
  len = make_statement (bytes, sizeof bytes, other, -1, 0);
  g_assert_false (statement_check (bytes, len, node_key, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_DENIED);
  g_assert_nonnull (strstr (error->message, "author"));
}

/* ---- the vault ---- */

static Passphrase
passphrase_of (const char *text)
{
  Passphrase passphrase = { 0 };

  g_assert_true (passphrase_from_fd (pipe_with (text, strlen (text)), &passphrase, NULL));
  return passphrase;
}

#define JUNK "test test test test test test test test test test test junk"

static void
assert_refused (const char *dir, const char *words, const char *passphrase_text, guint log2n,
                int code)
{
  g_auto (Passphrase) passphrase = passphrase_of (passphrase_text);
  g_autoptr (GError) error = NULL;

  g_assert_false (vault_create (dir, words, 0, &passphrase, log2n, &error));
  g_assert_error (error, MOOSH_ERROR, code);
}

static void
check_signing (Vault *vault)
{
  guint8 hash[32] = { 7 }, bytes[65], address[20], signature64[64], shared[32], bad[33] = { 9 };
  MooshSignature signature;
  g_autoptr (GError) error = NULL;

  g_assert_true (vault_sign_hash (vault, hash, bytes, NULL));
  g_assert_cmpint (moosh_signature_from_bytes (bytes, &signature), ==, MOOSH_OK);
  g_assert_cmpint (moosh_recover_address (hash, &signature, address), ==, MOOSH_OK);
  g_assert_cmpmem (address, 20, vault_public (vault)->address, 20);
  g_assert_true (vault_sign_statement (vault, hash, 32, signature64, NULL));
  g_assert_cmpint (
      moosh_statement_verify (vault_public (vault)->node_key, (MooshSpan){ hash, 32 }, signature64),
      ==, MOOSH_OK);
  g_assert_true (vault_ecdh (vault, vault_public (vault)->node_key, shared, NULL));
  g_assert_false (vault_ecdh (vault, bad, shared, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE);
}

static void
remove_files (const char *dir)
{
  static const char *const names[] = { "wallet.json", "node.json", "public.json" };

  for (gsize i = 0; i < G_N_ELEMENTS (names); i++)
    {
      g_autofree char *path = g_build_filename (dir, names[i], NULL);
      g_unlink (path);
    }
}

static void
remove_wallet (const char *dir)
{
  remove_files (dir);
  g_rmdir (dir);
}

/* wallet.json is written last: whatever an interrupted --init leaves behind is no wallet, and does
 * not stop another. */
static void
test_interrupted_init (void)
{
  g_autofree char *dir = g_dir_make_tmp ("moosh-vault-XXXXXX", NULL);
  g_autofree char *path = g_build_filename (dir, "wallet.json", NULL);
  g_auto (Passphrase) right = passphrase_of ("right");
  g_autoptr (GError) error = NULL;

  g_assert_true (vault_create (dir, JUNK, 1, &right, 12, NULL));
  g_unlink (path);
  g_assert_null (vault_open (dir, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_NOT_FOUND);
  g_assert_true (vault_create (dir, JUNK, 0, &right, 12, NULL));
  g_autoptr (Vault) vault = vault_open (dir, NULL);
  g_assert_true (vault_unlock (vault, "right", 5, NULL));
  remove_wallet (dir);
}

static void
test_vault (void)
{
  g_autofree char *dir = g_dir_make_tmp ("moosh-vault-XXXXXX", NULL);
  g_auto (Passphrase) right = passphrase_of ("right");
  g_autoptr (GError) error = NULL;
  guint8 hash[32] = { 0 }, signature[65];

  g_assert_null (vault_open (dir, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_NOT_FOUND);
  g_clear_error (&error);
  assert_refused (dir, JUNK, "", 12, MOOSH_ERROR_USAGE);
  assert_refused (dir, JUNK " junk", "right", 12, MOOSH_ERROR_USAGE);
  assert_refused (dir, JUNK, "right", 11, MOOSH_ERROR_USAGE);
  assert_refused (dir, JUNK, "right", 21, MOOSH_ERROR_USAGE);
  g_assert_true (vault_create (dir, JUNK, 0, &right, 12, NULL));
  assert_refused (dir, JUNK, "right", 12, MOOSH_ERROR_CONFLICT);

  g_autoptr (Vault) vault = vault_open (dir, NULL);
  g_assert_true (vault_is_locked (vault));
  g_assert_false (vault_sign_hash (vault, hash, signature, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_DENIED);
  g_clear_error (&error);
  g_assert_false (vault_unlock (vault, "wrong", 5, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_DENIED);
  g_assert_true (vault_is_locked (vault));
  g_assert_true (vault_unlock (vault, "right", 5, NULL));
  check_signing (vault);
  g_clear_error (&error);
  g_assert_false (vault_unlock (vault, "wrong", 5, &error)); /* does not lock what is open */
  check_signing (vault);
  vault_lock (vault);
  g_assert_false (vault_sign_hash (vault, hash, signature, NULL));
  remove_wallet (dir);
}

/* public.json of one wallet beside the keystores of another. */
static void
test_mixed_up (void)
{
  g_autofree char *dir = g_dir_make_tmp ("moosh-vault-XXXXXX", NULL);
  g_autofree char *path = g_build_filename (dir, "public.json", NULL), *text = NULL;
  g_auto (Passphrase) right = passphrase_of ("right");
  g_autoptr (GError) error = NULL;

  g_assert_true (vault_create (dir, JUNK, 0, &right, 12, NULL));
  g_assert_true (g_file_get_contents (path, &text, NULL, NULL));
  remove_files (dir);
  g_assert_true (vault_create (dir, JUNK, 1, &right, 12, NULL));
  g_assert_true (g_file_set_contents (path, text, -1, NULL));
  g_autoptr (Vault) vault = vault_open (dir, NULL);
  g_assert_false (vault_unlock (vault, "right", 5, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_CORRUPT);
  g_clear_error (&error);

  g_assert_true (g_file_set_contents (path, "{\"address\":\"0x00\"}", -1, NULL));
  g_assert_null (vault_open (dir, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_CORRUPT);
  remove_wallet (dir);
}

static void
test_subset (void)
{
  static const char *const some[] = { "status", "node_ecdh", NULL }, *const wrong[]
                                                                     = { "status", "sign", NULL };
  g_autofree MooshRpcMethod *methods = keyd_methods_subset (some, NULL);
  g_autoptr (GError) error = NULL;

  g_assert_cmpstr (methods[0].name, ==, "status");
  g_assert_cmpstr (methods[1].name, ==, "node_ecdh");
  g_assert_null (methods[2].name);
  g_assert_null (keyd_methods_subset (wrong, &error));
  g_assert_error (error, MOOSH_ERROR, MOOSH_ERROR_USAGE);
}

int
main (int argc, char **argv)
{
  g_assert_cmpint (sodium_init (), >=, 0);
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/keyd/sandbox", test_sandbox);
  g_test_add_func ("/keyd/marks", test_marks);
  g_test_add_func ("/keyd/passphrase", test_passphrase);
  g_test_add_func ("/keyd/credential", test_credential);
  g_test_add_func ("/keyd/statement", test_statement);
  g_test_add_func ("/keyd/vault", test_vault);
  g_test_add_func ("/keyd/interrupted-init", test_interrupted_init);
  g_test_add_func ("/keyd/mixed-up", test_mixed_up);
  g_test_add_func ("/keyd/subset", test_subset);
  return g_test_run ();
}
