#include "machine/probe.h"
#include "base/spawn.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define KVM_MS     4000
#define TCG_MS     20000
#define SECTOR     512
#define DISK_BYTES (1024 * 1024)  /* firmware refuses a disk of one sector */
#define PROVEN     (2 * 0x2a + 1) /* isa-debug-exit: 2v + 1 */

extern const guint8 moosh_probe_sector[SECTOR];

const char *
moosh_accel_name (MooshAccel accel)
{
  static const char *const names[] = { "none", "tcg", "kvm" };
  return names[accel];
}

gid_t
moosh_kvm_group (gid_t fallback)
{
  struct stat status;

  if (stat ("/dev/kvm", &status) == 0 && status.st_gid != 0 && (status.st_mode & 0060) == 0060)
    return status.st_gid;
  return fallback;
}

/* The probe disk, readable by `uid` alone through our descriptor. */
static int
make_disk (uid_t uid)
{
  int fd = memfd_create ("probe", MFD_CLOEXEC);

  if (fd >= 0
      && (ftruncate (fd, DISK_BYTES) != 0 || pwrite (fd, moosh_probe_sector, SECTOR, 0) != SECTOR
          || fchown (fd, uid, (gid_t)-1) != 0))
    {
      close (fd);
      fd = -1;
    }
  return fd;
}

/* Boot it once. NULL: proven; else why not; new string. */
static char *
boot (MooshAccel accel, uid_t uid)
{
  int disk = make_disk (uid), pass[] = { disk, -1 };
  g_autofree char *drive = g_strdup_printf (
      "file=/proc/self/fd/%d,format=raw,if=ide,snapshot=off,read-only=off", disk);
  const char *argv[] = { "qemu-system-x86_64",
                         "-nodefaults",
                         "-no-user-config",
                         "-display",
                         "none",
                         "-no-reboot",
                         "-M",
                         "q35",
                         "-accel",
                         moosh_accel_name (accel),
                         "-m",
                         "32",
                         "-drive",
                         drive,
                         "-device",
                         "isa-debug-exit,iobase=0xf4,iosize=1",
                         NULL };
  MooshSpawn spawn = { .argv = argv,
                       .set_ids = TRUE,
                       .uid = uid,
                       .gid = moosh_kvm_group (uid),
                       .no_new_privs = TRUE,
                       .pass_fds = pass };
  g_auto (MooshOutput) output = { 0 };
  g_autoptr (GError) error = NULL;
  gboolean ran;

  if (disk < 0)
    return g_strdup_printf ("no memory for the probe disk: %s", g_strerror (errno));
  ran = moosh_spawn_run (&spawn, accel == MOOSH_ACCEL_KVM ? KVM_MS : TCG_MS, 4096, NULL, NULL,
                         &output, &error);
  close (disk);
  if (!ran)
    return g_strdup (error->message);
  if (output.timed_out)
    return g_strdup_printf ("a guest under %s hangs", accel == MOOSH_ACCEL_KVM ? "KVM" : "TCG");
  if (output.exit_status == PROVEN)
    return NULL;
  return g_strdup_printf ("QEMU ended with %d: %s", output.exit_status, g_strstrip (output.err));
}

MooshAccel
moosh_accel_probe (uid_t uid, char **ret_note)
{
  g_autofree char *kvm = NULL, *tcg = NULL;

  if (access ("/dev/kvm", F_OK) != 0)
    kvm = g_strdup ("there is no /dev/kvm");
  else if ((kvm = boot (MOOSH_ACCEL_KVM, uid)) == NULL)
    {
      *ret_note = NULL;
      return MOOSH_ACCEL_KVM;
    }
  tcg = boot (MOOSH_ACCEL_TCG, uid);
  *ret_note = tcg == NULL ? g_steal_pointer (&kvm) : g_strdup_printf ("%s; %s", kvm, tcg);
  return tcg == NULL ? MOOSH_ACCEL_TCG : MOOSH_ACCEL_NONE;
}

/* Three lines: this start of the host, the answer, the note. */
static char *
boot_id (void)
{
  char *id = NULL;

  return g_file_get_contents ("/proc/sys/kernel/random/boot_id", &id, NULL, NULL) ? g_strchomp (id)
                                                                                  : g_strdup ("?");
}

gboolean
moosh_accel_recall (const char *path, MooshAccel *ret, char **ret_note)
{
  g_autofree char *text = NULL, *id = boot_id ();
  g_auto (GStrv) lines = NULL;

  if (!g_file_get_contents (path, &text, NULL, NULL))
    return FALSE;
  lines = g_strsplit (text, "\n", 3);
  if (g_strv_length (lines) != 3 || strcmp (lines[0], id) != 0)
    return FALSE;
  for (int accel = MOOSH_ACCEL_TCG; accel <= MOOSH_ACCEL_KVM; accel++)
    if (strcmp (lines[1], moosh_accel_name ((MooshAccel)accel)) == 0)
      {
        *ret = (MooshAccel)accel;
        *ret_note = lines[2][0] != '\0' ? g_strdup (lines[2]) : NULL;
        return TRUE;
      }
  return FALSE;
}

void
moosh_accel_remember (const char *path, MooshAccel accel, const char *note)
{
  g_autofree char *id = boot_id ();
  g_autofree char *text
      = g_strdup_printf ("%s\n%s\n%s", id, moosh_accel_name (accel), note ? note : "");
  g_autoptr (GError) error = NULL;

  if (!g_file_set_contents (path, text, -1, &error))
    g_debug ("%s", error->message); /* then the next start probes again */
}
