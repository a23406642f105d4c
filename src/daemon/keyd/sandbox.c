#include "daemon/keyd/sandbox.h"
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined __x86_64__
#define ARCH        AUDIT_ARCH_X86_64
#define FOREIGN_BIT 0x40000000u /* the x32 numbers of the same architecture */
#elif defined __aarch64__
#define ARCH        AUDIT_ARCH_AARCH64
#define FOREIGN_BIT 0x80000000u /* none */
#else
#error "say which system calls this architecture has"
#endif

#define NUMBER offsetof (struct seccomp_data, nr)
#define FIRST_ARGUMENT                                                                             \
  offsetof (struct seccomp_data, args[0]) /* low half: both are little endian */
#define LOAD(offset) BPF_STMT (BPF_LD | BPF_W | BPF_ABS, (offset))
#define REFUSE       BPF_STMT (BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM)
/* Two instructions a rule: skip the second when it is another call. */
#define REFUSE_CALL(name) BPF_JUMP (BPF_JMP | BPF_JEQ | BPF_K, __NR_##name, 0, 1), REFUSE

/* A list of what is refused, not of what is allowed: GLib's and libc's calls change between
 * releases, what reads keys out of a process or carries them away does not. */
static const struct sock_filter filter[] = {
  LOAD (offsetof (struct seccomp_data, arch)),
  BPF_JUMP (BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0),
  BPF_STMT (BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
  LOAD (NUMBER),
  BPF_JUMP (BPF_JMP | BPF_JGE | BPF_K, FOREIGN_BIT, 0, 1),
  BPF_STMT (BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
  /* programs */
  REFUSE_CALL (execve),
  REFUSE_CALL (execveat),
  /* other processes, and ways into this one */
  REFUSE_CALL (ptrace),
  REFUSE_CALL (process_vm_readv),
  REFUSE_CALL (process_vm_writev),
  REFUSE_CALL (pidfd_getfd),
  REFUSE_CALL (kcmp),
  REFUSE_CALL (userfaultfd),
  REFUSE_CALL (perf_event_open),
  REFUSE_CALL (bpf),
  /* queues that make sockets and files behind the filter's back */
  REFUSE_CALL (io_uring_setup),
  REFUSE_CALL (io_uring_enter),
  REFUSE_CALL (io_uring_register),
  /* another view of the machine */
  REFUSE_CALL (unshare),
  REFUSE_CALL (setns),
  REFUSE_CALL (mount),
  REFUSE_CALL (chroot),
  REFUSE_CALL (pivot_root),
  REFUSE_CALL (add_key),
  REFUSE_CALL (keyctl),
  REFUSE_CALL (request_key),
  /* sockets: unix only */
  BPF_JUMP (BPF_JMP | BPF_JEQ | BPF_K, __NR_socket, 1, 0),
  BPF_JUMP (BPF_JMP | BPF_JEQ | BPF_K, __NR_socketpair, 0, 3),
  LOAD (FIRST_ARGUMENT),
  BPF_JUMP (BPF_JMP | BPF_JEQ | BPF_K, AF_UNIX, 1, 0),
  REFUSE,
  BPF_STMT (BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
};

static gboolean
fail (const char *what, GError **error)
{
  g_set_error (error, MOOSH_ERROR, MOOSH_ERROR_FAILED, "sandbox: %s: %s", what, g_strerror (errno));
  return FALSE;
}

gboolean
sandbox_enter (GError **error)
{
  const struct rlimit none = { 0, 0 };
  struct sock_fprog program = { G_N_ELEMENTS (filter), (struct sock_filter *)filter };

  if (setrlimit (RLIMIT_CORE, &none) != 0)
    return fail ("cannot forbid core dumps", error);
  if (prctl (PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
    return fail ("cannot close the process to debuggers", error);
  if (prctl (PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
    return fail ("cannot renounce new privileges", error);
  if (syscall (SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) != 0)
    return fail ("cannot install the system call filter", error);
  return TRUE;
}
