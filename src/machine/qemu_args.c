#include "machine/qemu_args.h"

/* TCG's translation cache; its default is up to 1 GiB of memory nobody rented. */
#define TCG_CACHE_MIB 128

static void G_GNUC_PRINTF (2, 3) add (GStrvBuilder *argv, const char *format, ...)
{
  g_autofree char *text = NULL;
  va_list list;

  va_start (list, format);
  text = g_strdup_vprintf (format, list);
  va_end (list);
  g_strv_builder_add (argv, text);
}

static void
add_accel (GStrvBuilder *argv, MooshAccel accel)
{
  if (accel == MOOSH_ACCEL_KVM)
    g_strv_builder_add_many (argv, "-accel", "kvm", "-cpu", "host", NULL);
  else
    {
      g_strv_builder_add (argv, "-accel");
      add (argv, "tcg,thread=multi,tb-size=%d", TCG_CACHE_MIB);
      g_strv_builder_add_many (argv, "-cpu", "max", NULL);
    }
}

/* A virtio disk behind a descriptor set: QEMU opens the set, never a path. */
static void
add_disk (GStrvBuilder *argv, guint set, int fd, const char *format, const char *serial,
          gboolean read_only)
{
  g_strv_builder_add (argv, "-add-fd");
  add (argv, "set=%u,fd=%d", set, fd);
  g_strv_builder_add (argv, "-blockdev");
  add (argv, "node-name=b%u,%s,read-only=%s,file.driver=file,file.filename=/dev/fdset/%u", set,
       format, read_only ? "on" : "off", set);
  g_strv_builder_add (argv, "-device");
  add (argv, "virtio-blk-pci,drive=b%u,serial=%s", set, serial);
}

static void
add_network (GStrvBuilder *argv, const MooshQemuArgs *args)
{
  const MooshMachine *m = args->machine;
  g_autoptr (GString) net = g_string_new ("user,id=net,ipv6=off");

  if (!m->internet)
    g_string_append (net, ",restrict=on");
  for (guint i = 0; i < m->forwards->len; i++)
    {
      const MooshForward *forward = &g_array_index (m->forwards, MooshForward, i);
      g_string_append_printf (net, ",hostfwd=tcp:%s:%u-:%u", args->listen_host, forward->host,
                              forward->guest);
    }
  g_strv_builder_add_many (argv, "-netdev", net->str, "-device", NULL);
  /* no option ROM: nothing boots from the network; the address is the same at every boot */
  add (argv, "virtio-net-pci,netdev=net,romfile=,mac=52:54:00:%02x:%02x:%02x",
       (guint)(m->id >> 16 & 0xff), (guint)(m->id >> 8 & 0xff), (guint)(m->id & 0xff));
}

static void
add_channels (GStrvBuilder *argv, const MooshQemuArgs *args)
{
  g_strv_builder_add (argv, "-chardev");
  add (argv, "socket,id=qmp,fd=%d,server=on,wait=off", args->qmp_fd);
  g_strv_builder_add_many (argv, "-mon", "chardev=qmp,mode=control", "-chardev", NULL);
  add (argv, "socket,id=console,fd=%d,server=on,wait=off", args->console_fd);
  g_strv_builder_add_many (argv, "-serial", "chardev:console", "-object", "rng-builtin,id=rng",
                           "-device", "virtio-rng-pci,rng=rng", NULL);
}

static void
add_system (GStrvBuilder *argv, const MooshQemuArgs *args)
{
  g_strv_builder_add (argv, "-kernel");
  add (argv, "/proc/self/fd/%d", args->kernel_fd);
  g_strv_builder_add (argv, "-initrd");
  add (argv, "/proc/self/fd/%d", args->initrd_fd);
  g_strv_builder_add_many (argv, "-append", args->machine->cmdline, "-object", NULL);
  add (argv, "secret,id=key,file=/proc/self/fd/%d", args->key_fd);
  add_disk (argv, 1, args->seed_fd, "driver=raw", "seed", TRUE);
  if (args->store_fd >= 0)
    add_disk (argv, 2, args->store_fd, "driver=raw", "store", TRUE);
  for (guint i = 0; i < args->n_disks; i++)
    {
      g_autofree char *serial = g_strdup_printf ("data%u", i);
      add_disk (argv, 3 + i, args->disk_fds[i],
                "driver=qcow2,encrypt.format=luks,encrypt.key-secret=key,discard=unmap", serial,
                FALSE);
    }
}

char **
moosh_qemu_args (const MooshQemuArgs *args)
{
  const MooshMachine *m = args->machine;
  g_autoptr (GStrvBuilder) argv = g_strv_builder_new ();

  if (moosh_cores_count (args->cores) > 0)
    {
      g_autofree char *cores = moosh_cores_print (args->cores);
      g_strv_builder_add_many (argv, "taskset", "-c", cores, NULL);
    }
  g_strv_builder_add_many (
      argv, "qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-S",
      "-no-shutdown", "-sandbox",
      "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny", "-M",
      "q35,usb=off,hpet=off", "-name", NULL);
  add (argv, "moosh-%s", m->agreement);
  add_accel (argv, args->accel);
  g_strv_builder_add (argv, "-m");
  add (argv, "%u", m->units.ram_mib);
  g_strv_builder_add (argv, "-smp");
  add (argv, "%u", (m->units.vcpu_milli + 999) / 1000);
  add_channels (argv, args);
  add_network (argv, args);
  add_system (argv, args);
  return g_strv_builder_end (argv);
}
