/** The command line of a guest's QEMU: a pure function of what the guest is, so that it can be read
 * and tested. */
#pragma once
#include "machine/journal.h"
#include "machine/probe.h"

/** Everything is handed over as an open descriptor: the process can read its own guest's files and
 * nothing of ours. */
typedef struct {
  const MooshMachine *machine; /* units, cores, cmdline, port, forwards, id, internet */
  MooshAccel accel;
  const MooshCores *cores; /* processors to run on; empty: all */
  const char *listen_host;
  int kernel_fd, initrd_fd, seed_fd, key_fd, qmp_fd, console_fd;
  int store_fd; /* -1: none */
  const int *disk_fds;
  guint n_disks;
} MooshQemuArgs;

/** The argument vector, NULL-terminated; free with g_strfreev. It starts QEMU paused (-S): the
 * guest runs only once its console is being read. */
char **moosh_qemu_args (const MooshQemuArgs *args);
