#include "walls/filter.hpp"

#include <fcntl.h>
#include <linux/sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <memory>
#include <vector>

#include "preimage/base/error.hpp"

namespace preimage::sandbox {
namespace {

struct Release {
  void operator()(void* context) const { seccomp_release(context); }
};
using Context = std::unique_ptr<void, Release>;

void checked(int code, const char* what) {
  if (code < 0)
    throw base::unavailable_error(std::string("sandbox: libseccomp: ") + what + ": " +
                                  std::strerror(-code));
}

// What an interpreter needs for computing, for files in its own folder, for threads.
const std::vector<const char*> kAllowed = {"access",
                                           "alarm",
                                           "arch_prctl",
                                           "brk",
                                           "chdir",
                                           "chmod",
                                           "clock_getres",
                                           "clock_gettime",
                                           "clock_nanosleep",
                                           "close",
                                           "close_range",
                                           "copy_file_range",
                                           "creat",
                                           "dup",
                                           "dup2",
                                           "dup3",
                                           "epoll_create",
                                           "epoll_create1",
                                           "epoll_ctl",
                                           "epoll_pwait",
                                           "epoll_pwait2",
                                           "epoll_wait",
                                           "eventfd",
                                           "eventfd2",
                                           "execve",
                                           "execveat",
                                           "exit",
                                           "exit_group",
                                           "faccessat",
                                           "faccessat2",
                                           "fallocate",
                                           "fchdir",
                                           "fchmod",
                                           "fchmodat",
                                           "fdatasync",
                                           "fgetxattr",
                                           "flistxattr",
                                           "fstat",
                                           "fstatfs",
                                           "fsync",
                                           "ftruncate",
                                           "futex",
                                           "futex_waitv",
                                           "getcpu",
                                           "getcwd",
                                           "getdents",
                                           "getdents64",
                                           "getegid",
                                           "geteuid",
                                           "getgid",
                                           "getgroups",
                                           "getitimer",
                                           "getpgid",
                                           "getpgrp",
                                           "getpid",
                                           "getppid",
                                           "getpriority",
                                           "getrandom",
                                           "getresgid",
                                           "getresuid",
                                           "getrlimit",
                                           "getrusage",
                                           "getsid",
                                           "gettid",
                                           "gettimeofday",
                                           "getuid",
                                           "getxattr",
                                           "kill",
                                           "lgetxattr",
                                           "link",
                                           "linkat",
                                           "listxattr",
                                           "llistxattr",
                                           "lseek",
                                           "lstat",
                                           "membarrier",
                                           "mkdir",
                                           "mkdirat",
                                           "mmap",
                                           "mprotect",
                                           "mremap",
                                           "msync",
                                           "munmap",
                                           "nanosleep",
                                           "newfstatat",
                                           "open",
                                           "openat",
                                           "openat2",
                                           "pause",
                                           "pipe",
                                           "pipe2",
                                           "poll",
                                           "ppoll",
                                           "pread64",
                                           "preadv",
                                           "prlimit64",
                                           "pselect6",
                                           "pwrite64",
                                           "pwritev",
                                           "pwritev2",
                                           "read",
                                           "readlink",
                                           "readlinkat",
                                           "readv",
                                           "rename",
                                           "renameat",
                                           "renameat2",
                                           "restart_syscall",
                                           "rmdir",
                                           "rseq",
                                           "rt_sigpending",
                                           "rt_sigprocmask",
                                           "rt_sigqueueinfo",
                                           "rt_sigreturn",
                                           "rt_sigsuspend",
                                           "rt_sigtimedwait",
                                           "sched_get_priority_max",
                                           "sched_get_priority_min",
                                           "sched_getaffinity",
                                           "sched_getparam",
                                           "sched_getscheduler",
                                           "sched_yield",
                                           "select",
                                           "sendfile",
                                           "set_robust_list",
                                           "set_tid_address",
                                           "setitimer",
                                           "setpgid",
                                           "setrlimit",
                                           "sigaltstack",
                                           "splice",
                                           "stat",
                                           "statfs",
                                           "statx",
                                           "symlink",
                                           "symlinkat",
                                           "tee",
                                           "tgkill",
                                           "time",
                                           "timer_create",
                                           "timer_delete",
                                           "timer_getoverrun",
                                           "timer_gettime",
                                           "timer_settime",
                                           "timerfd_create",
                                           "timerfd_gettime",
                                           "timerfd_settime",
                                           "times",
                                           "tkill",
                                           "truncate",
                                           "umask",
                                           "uname",
                                           "unlink",
                                           "unlinkat",
                                           "utime",
                                           "utimensat",
                                           "utimes",
                                           "wait4",
                                           "waitid",
                                           "write",
                                           "writev"};

void allow(const Context& context, const char* name) {
  const int number = seccomp_syscall_resolve_name(name);
  if (number == __NR_SCMP_ERROR || number < 0) return;  // not of this architecture
  checked(seccomp_rule_add(context.get(), SCMP_ACT_ALLOW, number, 0), name);
}

void allow_with(const Context& context, const char* name, unsigned argument,
                const std::vector<uint64_t>& values) {
  for (const uint64_t value : values) {
    const scmp_arg_cmp equal{argument, SCMP_CMP_EQ, value, 0};
    checked(seccomp_rule_add_array(context.get(), SCMP_ACT_ALLOW,
                                   seccomp_syscall_resolve_name(name), 1, &equal),
            name);
  }
}

// Not the locks: on a file that all slots share they would be a way to talk.
void allow_descriptors(const Context& context) {
  allow_with(context, "fcntl", 1,
             {F_DUPFD, F_DUPFD_CLOEXEC, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_GETPIPE_SZ});
  allow_with(context, "ioctl", 1, {TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIOCLEX, FIONCLEX});
}

// Whether a page is in memory, and how much of it the host has left, is a way to talk: one program
// puts pages in or out, another looks. The files that they see are in memory in any case
// (root_fs.cpp); this holds where memory itself runs short.
void allow_memory(const Context& context) {
  allow_with(context, "madvise", 2,
             {MADV_NORMAL, MADV_RANDOM, MADV_SEQUENTIAL, MADV_WILLNEED, MADV_DONTNEED, MADV_FREE,
              MADV_DONTFORK, MADV_DOFORK, MADV_HUGEPAGE, MADV_NOHUGEPAGE, MADV_DONTDUMP,
              MADV_DODUMP, MADV_WIPEONFORK, MADV_KEEPONFORK});
  // It is only advice.
  checked(seccomp_rule_add(context.get(), SCMP_ACT_ERRNO(0), SCMP_SYS(fadvise64), 0), "fadvise64");
  constexpr unsigned kFlags = 5;  // RWF_NOWAIT reads what is in memory, and nothing else
  allow_with(context, "preadv2", kFlags, {0});
}

void allow_signals(const Context& context, bool keep_child_signal) {
  if (!keep_child_signal) return allow(context, "rt_sigaction");
  // The kernel takes an int and the filter compares 64 bits, so numbers are compared under masks:
  // {mask, value} of all from 0 to 64 but SIGCHLD, 17.
  static_assert(SIGCHLD == 17);
  constexpr uint64_t kInt = ~uint32_t{0};
  const std::pair<uint64_t, uint64_t> others[] = {{15, 0}, {0, 16},  {1, 18}, {3, 20},
                                                  {7, 24}, {31, 32}, {0, 64}};
  for (const auto& [free_bits, value] : others) {
    const scmp_arg_cmp number{0, SCMP_CMP_MASKED_EQ, kInt & ~free_bits, value};
    checked(
        seccomp_rule_add_array(context.get(), SCMP_ACT_ALLOW, SCMP_SYS(rt_sigaction), 1, &number),
        "rt_sigaction");
  }
  // To a program that does not want zombies it is the same.
  const scmp_arg_cmp child{0, SCMP_CMP_MASKED_EQ, kInt, SIGCHLD};
  checked(
      seccomp_rule_add_array(context.get(), SCMP_ACT_ERRNO(0), SCMP_SYS(rt_sigaction), 1, &child),
      "rt_sigaction");
}

// Processes and threads, in no new namespace. glibc falls back from clone3, whose flags a filter
// cannot read, when it is not there.
void allow_processes(const Context& context) {
  constexpr uint64_t kNamespaces = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC |
                                   CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;
  const scmp_arg_cmp no_namespace = {0, SCMP_CMP_MASKED_EQ, kNamespaces, 0};
  checked(seccomp_rule_add_array(context.get(), SCMP_ACT_ALLOW, SCMP_SYS(clone), 1, &no_namespace),
          "clone");
  for (const char* name : {"fork", "vfork"}) allow(context, name);
  // A daemon may think it has a session of its own; with one, the scheduler would give it as much
  // as all the others together (autogroups).
  checked(seccomp_rule_add(context.get(), SCMP_ACT_ERRNO(0), SCMP_SYS(setsid), 0), "setsid");
  // Nothing here is worth writing to a disk, and the host's disks are no business of a program's.
  checked(seccomp_rule_add(context.get(), SCMP_ACT_ERRNO(0), SCMP_SYS(sync), 0), "sync");
}

// Two ends that only their maker holds, as asyncio and multiprocessing want them; no other socket
// can be made, so nothing else can be reached.
void allow_socket_pairs(const Context& context) {
  constexpr uint64_t kType = ~uint64_t{SOCK_NONBLOCK | SOCK_CLOEXEC};
  const scmp_arg_cmp pair[] = {{0, SCMP_CMP_EQ, AF_UNIX, 0},
                               {1, SCMP_CMP_MASKED_EQ, kType, SOCK_STREAM}};
  checked(seccomp_rule_add_array(context.get(), SCMP_ACT_ALLOW, SCMP_SYS(socketpair), 2, pair),
          "socketpair");
  for (const char* name : {"recvfrom", "sendto", "shutdown"}) allow(context, name);
}

}  // namespace

Descriptor compile_filter(const FilterOptions& options) {
  const Context context(seccomp_init(SCMP_ACT_ERRNO(EPERM)));
  if (!context) throw base::unavailable_error("sandbox: libseccomp: seccomp_init failed");
  checked(seccomp_attr_set(context.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS),
          "bad architecture");
  // A binary tree in place of a chain; without it (libseccomp before 2.5) only slower.
  seccomp_attr_set(context.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2);
  for (const char* name : kAllowed) allow(context, name);
  allow_descriptors(context);
  allow_memory(context);
  allow_signals(context, options.keep_child_signal);
  checked(seccomp_rule_add(context.get(), SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0), "clone3");
  if (options.role == Role::candidate) {
    allow_processes(context);
    allow_socket_pairs(context);
  } else {  // its socket to the supervisor; it has no other, and can make none
    for (const char* name : {"recvmsg", "sendmsg", "sendto"}) allow(context, name);
  }
  Descriptor file(::memfd_create("filter", MFD_CLOEXEC));
  if (!file) throw base::errno_error("sandbox: memfd_create failed", errno);
  checked(seccomp_export_bpf(context.get(), file.get()), "exporting the filter");
  return file;
}

}  // namespace preimage::sandbox
