"""A warm interpreter that forks: once for each slot, and there once for each program.

    python zygote.py ROLE      ROLE: candidate | judge; fd 3 is the supervisor's socket

The first process (the root) waits for slots to be opened. Each slot is a fork in namespaces of its own, which
waits for programs; each program is a fork of the slot in a new pid namespace, with an empty tmpfs, the slot's
second uid, its limits and its system call filter. Nothing here ever sees a program or a test before it has forked
for it. Everything is single-threaded.

A judge's slot forks once for many programs: tests that are data or lone assertions leave nothing behind in the
process that runs them. After any other test code, or when something went wrong, the next program gets a new one.
"""
import builtins
import ctypes
import errno
import gc
import importlib.util
import json
import os
import resource
import signal
import socket
import struct
import stat
import sys
import time
from os import _exit as leave  # a program may replace the one in os

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC = 0x00020000, 0x04000000, 0x08000000
CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000
MS_NOSUID, MS_NODEV, MS_NOATIME = 2, 4, 1024
MNT_DETACH = 2
PR_SET_NAME = 15
PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, SECCOMP_MODE_FILTER = 4, 22, 38, 2
LINUX_CAPABILITY_VERSION_3 = 0x20080522
OWN, NO_CAPABILITIES = struct.pack("Ii", LINUX_CAPABILITY_VERSION_3, 0), bytes(24)  # of this process
CONTROL = 3
SCRATCH = "/tmp"
OPENAT2, RESOLVE_NO_SYMLINKS, RESOLVE_BENEATH = 437, 4, 8
NOT_THERE = frozenset((errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.EXDEV, errno.ENXIO,
                       errno.ENAMETOOLONG, errno.ENODEV))
NOBODY = 65534
SUPERVISOR_GONE = 3  # exit code of a judge
JUDGED_BY_ONE = 500  # programs, after which a judge is replaced in any case

# What programs like to import: warm, it costs them nothing. Each module, and above all each shared library, costs
# every fork a little.
IMPORTS = {
    "candidate": "bisect collections copy functools heapq itertools math operator random re string sys time typing",
    "judge": "ast bisect cmath collections copy functools heapq itertools json math operator random re reprlib string sys "
             "time typing",
}

# Ours, each after those that it imports.
MODULES = {
    "candidate": "codec linked handles candidate",
    "judge": "codec linked handles survey mirror comparing remote marking tests judge",
}

libc = ctypes.PyDLL(None, use_errno=True)  # PyDLL: the interpreter's lock stays held over a clone
CLONE = {"x86_64": 56, "aarch64": 220}[os.uname().machine]
FEW_DESCRIPTORS = socket.CMSG_SPACE(8 * 4)
scan_json = json.JSONDecoder().scan_once


def system_call(name, *arguments):
    result = libc[name](*arguments)
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
    return result


def clone(flags):
    """os.fork() into new namespaces: 0 in the child."""
    ctypes.pythonapi.PyOS_BeforeFork()
    pid = libc.syscall(CLONE, flags | signal.SIGCHLD, 0, 0, 0, 0)
    if pid == 0:
        ctypes.pythonapi.PyOS_AfterFork_Child()
        return 0
    ctypes.pythonapi.PyOS_AfterFork_Parent()
    if pid < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"clone: {os.strerror(number)}")
    return pid


def receive(control):
    """(message, file descriptors) from the supervisor; (None, []) when it is gone."""
    message, ancillary, _, _ = control.recvmsg(1 << 16, FEW_DESCRIPTORS)
    fds = [fd for _, _, content in ancillary for fd, in struct.iter_unpack("i", content)]
    return (scan_json(message.decode(), 0)[0] if message else None), fds


def send(control, **content):
    control.send(json.dumps(content).encode())


def send_pid(control, pid):
    """Tells the supervisor which process this is: the kernel translates the number into its namespace."""
    credentials = struct.pack("iii", pid, os.getuid(), os.getgid())
    control.sendmsg([b'{"lives": true}'], [(socket.SOL_SOCKET, socket.SCM_CREDENTIALS, credentials)])


class Settings:
    """What the supervisor said at the start; the same for every program."""

    def __init__(self, message):
        self.role = message["role"]
        self.candidate = self.role == "candidate"
        self.mapped = message["mapped"]  # uids of their own for programs; else one user namespace for each
        self.walls = message["walls"]
        self.memory = message["memory_mb"] << 20
        self.processes = message["processes"]
        self.file = message["file_mb"] << 20
        self.scratch = message["scratch"].encode()  # options of the tmpfs
        self.processes_fd = None  # the host's /proc, where a program maps its own user
        self.rlimits = self.limits()

    def kept(self):
        """Descriptors of a slot besides its socket."""
        return [] if self.processes_fd is None else [self.processes_fd]

    def limits(self):
        """All but RLIMIT_CPU."""
        limits = [(resource.RLIMIT_AS, self.memory), (resource.RLIMIT_FSIZE, self.file), (resource.RLIMIT_NOFILE, 64),
                  (resource.RLIMIT_CORE, 0), (resource.RLIMIT_STACK, 8 << 20), (resource.RLIMIT_MEMLOCK, 0),
                  (resource.RLIMIT_MSGQUEUE, 0), (resource.RLIMIT_SIGPENDING, 256)]
        if self.candidate:
            limits.append((resource.RLIMIT_NPROC, self.processes))
        return [(limit, (value, value)) for limit, value in limits]


def enter(settings, uid, cpu_s):
    """Puts up the walls around this process, a fresh fork. No way back."""
    walls = settings.walls
    if not settings.mapped:
        uid = NOBODY if settings.candidate else 0
    elif not walls["uid"]:
        uid = 0
    if settings.candidate:
        os.setpgid(0, 0)  # or kill(0, ...) would reach its neighbours, whose group it would share
    if walls["rlimits"]:
        for limit, value in settings.rlimits:
            resource.setrlimit(limit, value)
        if settings.candidate:
            # Counts whole seconds of one process: the supervisor is exact, this is there if it is not. It ends a judge,
            # which serves many programs, by the clock.
            resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s))
    if settings.mapped:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    system_call("capset", OWN, NO_CAPABILITIES)
    libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
    system_call("prctl", PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    os.chdir(SCRATCH)
    os.umask(0o077)
    if walls["seccomp"]:
        settings.install()


def load_filter(settings, fd):
    """Keeps the filter that libseccomp compiled, as the kernel wants it."""
    program = os.pread(fd, 1 << 20, 0)
    os.close(fd)
    settings.program = ctypes.create_string_buffer(program, len(program))
    settings.fprog = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(settings.program))
    settings.install = lambda: system_call("prctl", PR_SET_SECCOMP, SECCOMP_MODE_FILTER, settings.fprog, 0, 0)


def move_descriptors(fds):
    """`fds` become 3, 4, ...; everything above them is closed."""
    high = [os.dup2(fd, 64 + at) for at, fd in enumerate(fds)]
    for at, fd in enumerate(high):
        os.dup2(fd, 3 + at, inheritable=False)
    os.closerange(3 + len(fds), 1024)


def read_job(fd):
    return scan_json(os.pread(fd, os.fstat(fd).st_size, 0).decode(), 0)[0]


def run_candidate(settings, message, fds):
    job_fd, requests, replies, output = fds
    job = read_job(job_fd)
    os.dup2(output, 1)
    os.dup2(output, 2)
    move_descriptors([requests, replies])
    enter(settings, settings.uid, message["cpu_s"])
    if job["observe"]:
        settings.modules["candidate"].observe(job, 4)
    else:
        settings.modules["candidate"].serve(job, 3, 4)


def run(settings, message, fds):
    """The life of one program's process."""
    code = 1
    libc.prctl(PR_SET_NAME, b"program", 0, 0, 0)
    try:
        run_candidate(settings, message, fds)
        code = 0
    except SystemExit:
        code = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            leave(code)


def judge_programs(settings, control):
    """The life of a judge: one program after the other, as long as nothing is left behind."""
    libc.prctl(PR_SET_NAME, b"judge", 0, 0, 0)
    sys.set_int_max_str_digits(4300)
    enter(settings, settings.uid, 0)
    send(control, judge=True)
    for _ in range(JUDGED_BY_ONE):
        message, fds = receive(control)
        if message is None:
            leave(SUPERVISOR_GONE)
        job_fd, replies, requests, verdicts = fds
        job = read_job(job_fd)
        os.close(job_fd)
        clean = settings.modules["judge"].judge(job, requests, replies, verdicts)
        for fd in (replies, requests, verdicts):
            os.close(fd)
        send(control, ended=message["job"], at=time.monotonic())
        if not clean:
            break
    leave(0)


def map_user(settings):
    """The unprivileged level: a user namespace for each program, in which it is nobody in particular."""
    for name, text in (("setgroups", "deny"), ("uid_map", f"{NOBODY} 0 1"), ("gid_map", f"{NOBODY} 0 1")):
        fd = os.open("self/" + name, os.O_WRONLY, dir_fd=settings.processes_fd)
        os.write(fd, text.encode())
        os.close(fd)


class Scratch:
    """The tmpfs in which a slot's programs work, one after the other. Where one of them has touched it, the next gets
    another. A program cannot mount; with a mount namespace of its own for each, the kernel would spend more time on
    taking that down than the program on all that it does."""

    def __init__(self, settings):
        uid = settings.uid if settings.mapped and settings.walls["uid"] else 0
        self.options = settings.scratch % uid
        self.as_mounted = None
        if settings.walls["mount"]:
            self.mount()

    def mount(self):
        system_call("mount", b"scratch", SCRATCH.encode(), b"tmpfs", MS_NOSUID | MS_NODEV | MS_NOATIME, self.options)
        self.as_mounted = self.state()

    @staticmethod
    def state():
        """What no program can change and put back, but in the tick of the clock in which it was mounted."""
        of, room = os.stat(SCRATCH), os.statvfs(SCRATCH)
        return (of.st_mode, of.st_uid, of.st_gid, of.st_nlink, of.st_size, of.st_mtime_ns, of.st_ctime_ns,
                room.f_bfree, room.f_ffree)

    def renew(self):
        """To be called when the last program and all its processes are gone."""
        if self.as_mounted is None or self.state() == self.as_mounted:
            return
        system_call("umount2", SCRATCH.encode(), MNT_DETACH)
        self.mount()


def open_inside(name):
    """A file of the scratch folder, whatever a program has made of it: no link is followed, nothing is waited for."""
    how = struct.pack("QQQ", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC, 0, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS)
    folder = os.open(SCRATCH, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return system_call("syscall", OPENAT2, folder, os.fsencode(name.removeprefix(SCRATCH + "/")), how, len(how))
    finally:
        os.close(folder)


def holds(name, marker):
    """Whether the program, which is gone, has left a regular file of this name with this text in it."""
    try:
        fd = open_inside(name)
    except OSError as error:
        if error.errno in NOT_THERE:
            return False
        raise
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return False
        with open(fd, "rb", closefd=False) as file:
            return marker.encode() in file.read()
    finally:
        os.close(fd)


def start(settings, flags, message, fds):
    """Forks for one program; its pid."""
    pid = clone(flags)
    if pid == 0:
        if flags & CLONE_NEWUSER:
            map_user(settings)
        run(settings, message, fds)
    return pid


def judge_loop(settings, control):
    """One judge after the other."""
    while True:
        pid = clone(0)
        if pid == 0:
            try:
                judge_programs(settings, control)
            finally:
                leave(1)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if status == SUPERVISOR_GONE:
            leave(0)
        send(control, died=status)


def program_loop(settings, control):
    """One program after the other. Each page that is touched here while a program runs is copied for it: the supervisor
    watches the program and ends it, and here is as little as can be."""
    flags = CLONE_NEWPID * settings.walls["pid"] | CLONE_NEWUSER * (not settings.mapped)
    scratch = Scratch(settings)
    while True:
        message, fds = receive(control)
        if message is None:
            leave(0)
        pid = start(settings, flags, message, fds)
        for fd in fds:
            os.close(fd)
        _, status, usage = os.wait4(pid, 0)
        seen = {"file": holds(*message["file"])} if "file" in message else {}
        send(control, ended=message["job"], at=time.monotonic(), status=status, cpu_s=usage.ru_utime + usage.ru_stime,
             rss_kb=usage.ru_maxrss, **seen)
        scratch.renew()


def open_slot(settings, control_fd, uid):
    flags = CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS
    flags |= CLONE_NEWPID * settings.walls["pid"] | CLONE_NEWNET * settings.walls["network"]
    if clone(flags) == 0:
        os.dup2(control_fd, CONTROL, inheritable=False)
        move_descriptors([CONTROL] + settings.kept())
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        socket.sethostname("slot")
        libc.prctl(PR_SET_NAME, settings.role.encode() + b"-slot", 0, 0, 0)
        settings.uid = uid
        control = socket.socket(fileno=CONTROL)
        send_pid(control, os.getpid())
        (program_loop if settings.candidate else judge_loop)(settings, control)


def root_loop(settings, control):
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # slots that were closed leave no zombie
    while True:
        message, fds = receive(control)
        if message is None:
            leave(0)
        try:
            open_slot(settings, fds[0], message["uid"])
            send(control, opened=True)
        except OSError as error:
            send(control, error=str(error))
        os.close(fds[0])


def import_all(names):
    for name in names:
        try:
            importlib.import_module(name)
        except ImportError:
            pass


def load_worker(name):
    """A module of ours. A program may patch builtins; what runs beside it in its process keeps to a copy."""
    spec = importlib.util.spec_from_file_location(name, os.path.join(os.path.dirname(__file__), name + ".py"))
    module = importlib.util.module_from_spec(spec)
    module.__dict__["__builtins__"] = dict(builtins.__dict__)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def rehearse(candidate):
    """Plays the part of a program a few times: the interpreter specialises code as it runs (PEP 659), and what
    is specialised here need not be in each fork."""
    job = {"tag": "00" * 16, "setup": "", "seed": 0, "linked": False,
           "program": "import re\nfrom math import sqrt\n\ndef f(x):\n    return [x, str(x), {x: (1.5, None)}]\n"}
    codec = candidate.codec
    call = codec.json_text(["call", ["name", "f"], [1, "a", {"t": [2]}], {"d": []}, False, []])
    for _ in range(20):
        requests, ask = os.pipe()
        answers, replies = os.pipe()
        codec.write_frame(ask, bytes(16), codec.json_text(""))
        for _ in range(3):
            codec.write_frame(ask, bytes(16), call)
        os.close(ask)
        candidate.serve(job, requests, replies)
        for fd in (requests, answers, replies):
            os.close(fd)
    del sys.modules["program"]


def main():
    control = socket.socket(fileno=CONTROL)
    message, fds = receive(control)
    settings = Settings(message)
    load_filter(settings, fds[0])
    if len(fds) > 1:
        settings.processes_fd = os.dup2(fds[1], CONTROL + 1, inheritable=False)
    sys.set_int_max_str_digits(0)
    os.environ.clear()
    import_all(IMPORTS[settings.role].split())
    settings.modules = {name: load_worker(name) for name in MODULES[settings.role].split()}
    for name in settings.modules:
        del sys.modules[name]  # a program that imports such a name means another
    if settings.candidate:
        rehearse(settings.modules["candidate"])
    gc.collect()
    gc.freeze()
    if not message["debug"]:  # nobody reads it from here on
        null = os.open("/dev/null", os.O_RDWR)
        os.dup2(null, 2)
        os.close(null)
    send(control, ready=True, version=sys.version.split()[0])
    root_loop(settings, control)


if __name__ == "__main__":
    main()
