/* Encrypted storage, the seed, and their ends. One real image is made (QEMU measures for two
 * seconds); the rest reuse it. */
#include "base/spawn.h"
#include "machine/disk.h"
#include "machine/seed.h"
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char *directory, *spare, *dir;

static char *
read_file (const char *path, gsize *ret_len)
{
  char *text = NULL;

  g_assert_true (g_file_get_contents (path, &text, ret_len, NULL));
  return text;
}

static void
assert_mode (const char *path, mode_t mode)
{
  struct stat status;

  g_assert_cmpint (stat (path, &status), ==, 0);
  g_assert_cmpuint (status.st_mode & 0777, ==, mode);
}

/* Big-endian virtual size in the qcow2 header (QEMU, docs/interop/qcow2.txt). */
static guint64
virtual_size (const char *path)
{
  guint64 size;
  int fd = open (path, O_RDONLY | O_CLOEXEC);

  g_assert_cmpint (pread (fd, &size, 8, 24), ==, 8);
  close (fd);
  return GUINT64_FROM_BE (size);
}

static void
test_spare (void)
{
  g_autofree char *key = moosh_disk_key (spare), *image = moosh_disk_volume (spare, 0);
  g_autofree char *half = g_strconcat (spare, ".new", NULL),
                  *rest = g_build_filename (half, "0.qcow2", NULL);
  g_autofree char *text = NULL;
  g_autoptr (GError) error = NULL;
  gsize len;

  /* what a killed predecessor left is no obstacle */
  g_assert_cmpint (g_mkdir_with_parents (half, 0700), ==, 0);
  g_assert_true (g_file_set_contents (rest, "half", -1, NULL));
  g_assert_true (moosh_disk_make_spare (spare, &error));
  g_assert_no_error (error);
  g_assert_false (g_file_test (half, G_FILE_TEST_EXISTS));
  assert_mode (key, 0600);
  assert_mode (image, 0600);
  text = read_file (key, &len);
  g_assert_cmpuint (len, ==, 64);
  g_assert_cmpuint (strspn (text, "0123456789abcdef"), ==, 64);
  g_assert_cmpuint (virtual_size (image), ==, 1 << 30);
  g_assert_true (moosh_disk_make_spare (spare, NULL)); /* it is there: nothing to do */
}

static void
test_make (void)
{
  g_autofree char *image = moosh_disk_volume (dir, 0), *key = moosh_disk_key (dir), *before = NULL,
                  *after = NULL;
  const guint32 gib[] = { 3 };
  g_autoptr (GError) error = NULL;

  g_assert_true (moosh_disk_make (dir, spare, gib, 1, &error));
  g_assert_no_error (error);
  g_assert_false (g_file_test (spare, G_FILE_TEST_EXISTS)); /* it became the machine's */
  g_assert_cmpuint (virtual_size (image), ==, (guint64)3 << 30);
  before = read_file (key, NULL);
  g_assert_true (moosh_disk_make (dir, spare, gib, 1, &error)); /* again, as after a crash */
  g_assert_no_error (error);
  after = read_file (key, NULL);
  g_assert_cmpstr (before, ==, after);
}

static void
test_seed (void)
{
  g_autofree char *iso = g_build_filename (directory, "seed.iso", NULL), *host_key = NULL,
                  *second = NULL;
  g_autofree char *work = g_strconcat (iso, ".d", NULL), *content = NULL;
  g_autoptr (MooshRequest) request = moosh_request_new ();
  g_autoptr (GBytes) hash = g_bytes_new_static ("0123456789abcdef0123456789abcdef", 32);
  g_autoptr (GBytes) secret = g_bytes_new_static ("the secret itself", 17);
  g_autoptr (GError) error = NULL;
  const char *line
      = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGR6iTa6JDFVHOg9+HcIDi6Zy2uAetadYdSFIqRLd1dD me";
  gsize len;
  /* "0123…" in hex */
  const char *wanted[] = { line,
                           "3031323334353637383961626364656630313233343536373839616263646566\n",
                           "the secret itself",
                           "ADDRESS=10.0.2.15/24",
                           "instance-id: host-7",
                           "CD001",
                           "cidata",
                           "BEGIN OPENSSH PRIVATE KEY" };

  g_assert_true (moosh_request_add_key (request, line, &error));
  g_assert_true (moosh_request_add_secret (request, "token", secret, &error));
  g_assert_no_error (error);
  g_assert_true (moosh_seed_make (iso, request, hash, "host-7", &host_key, &error));
  g_assert_no_error (error);
  assert_mode (iso, 0600);
  g_assert_false (g_file_test (work, G_FILE_TEST_EXISTS)); /* no private key lies about */
  g_assert_true (g_str_has_prefix (host_key, "ssh-ed25519 AAAA"));
  g_assert_null (strchr (host_key + 12, ' '));
  content = read_file (iso, &len);
  for (guint i = 0; i < G_N_ELEMENTS (wanted); i++)
    g_assert_nonnull (memmem (content, len, wanted[i], strlen (wanted[i])));
  g_assert_true (moosh_seed_make (iso, request, hash, "host-7", &second, &error));
  g_assert_cmpstr (host_key, !=, second); /* every seed has a key of its own */
}

static void
test_destroy (void)
{
  g_autofree char *key = moosh_disk_key (dir), *image = moosh_disk_volume (dir, 0);
  int key_fd = open (key, O_RDONLY | O_CLOEXEC), image_fd = open (image, O_RDONLY | O_CLOEXEC);
  static char zeroes[64], found[64], header[512], zero_header[512];
  g_autoptr (GError) error = NULL;

  g_assert_true (moosh_disk_destroy (dir, &error));
  g_assert_no_error (error);
  g_assert_false (g_file_test (dir, G_FILE_TEST_EXISTS));
  /* not only the names are gone */
  g_assert_cmpint (pread (key_fd, found, 64, 0), ==, 64);
  g_assert_cmpmem (found, 64, zeroes, 64);
  g_assert_cmpint (pread (image_fd, header, 512, 0), ==, 512);
  g_assert_cmpmem (header, 512, zero_header, 512);
  close (key_fd), close (image_fd);
  g_assert_true (moosh_disk_destroy (dir, NULL)); /* nothing there: fine */
}

int
main (int argc, char **argv)
{
  const char *clean[] = { "rm", "-rf", NULL, NULL };
  int result;

  g_test_init (&argc, &argv, NULL);
  directory = g_dir_make_tmp ("moosh-disk-XXXXXX", NULL);
  spare = g_build_filename (directory, "spare", NULL);
  dir = g_build_filename (directory, "machine", NULL);
  g_test_add_func ("/disk/spare", test_spare);
  g_test_add_func ("/disk/make", test_make);
  g_test_add_func ("/disk/seed", test_seed);
  g_test_add_func ("/disk/z-destroy", test_destroy);
  result = g_test_run ();
  clean[2] = directory;
  moosh_run (clean, 10000, NULL, NULL);
  g_free (directory), g_free (spare), g_free (dir);
  return result;
}
