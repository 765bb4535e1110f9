// time limit: 120 s
// Each wall alone: with some of the others down it still holds, and with itself down the attack
// that it is there for gets through, so that the test would see its loss.
#include <grp.h>
#include <pwd.h>
#include <sys/wait.h>

#include "preimage/base/str.hpp"
#include "preimage/sandbox/pool.hpp"
#include "sandbox/opened.hpp"
#include "walls/self_test.hpp"

namespace preimage::sandbox::tests {
namespace {

using testing::HasSubstr;

const Probe& probe(const std::string& name) {
  for (const auto& found : probes()) {
    if (found.name == name) return found;
  }
  throw std::runtime_error(name);
}

PoolOptions with(const Walls& walls) {
  auto options = quick_options();
  options.walls = walls;
  options.limits.memory_mb = 256;
  options.workers = 1;
  return options;
}

Record run(const Walls& walls, const Request& request) {
  Opened opened(with(walls));
  return opened.judge(request);
}

void expect_held(const Walls& walls, const std::string& name) {
  const auto record = run(walls, request_for(probe(name)));
  EXPECT_EQ(record.verdict, Verdict::pass) << name << ": " << record.detail;
}

void expect_open(const Walls& walls, const std::string& name) {
  const auto record = run(walls, request_for(probe(name)));
  EXPECT_NE(record.verdict, Verdict::pass) << name << " is not what this wall stops";
}

TEST(Walls, SystemCallFilter) {
  const Walls alone{.network = false,
                    .mount = true,
                    .pid = false,
                    .uid = false,
                    .rlimits = false,
                    .cgroup = false,
                    .poll = false};
  for (const char* name : {"open a socket", "trace a process", "keep a key in the kernel",
                           "make a namespace", "mount a file system"})
    expect_held(alone, name);
  expect_open({.seccomp = false}, "make a namespace");
}

// Without the filter a socket can be made; the namespace has no way out.
TEST(Walls, NetworkNamespace) {
  const auto connect = asserting(
      "import socket\n"
      "def f():\n    try:\n        socket.create_connection(('127.0.0.1', 9), 1)\n"
      "    except ConnectionRefusedError:\n        return 'there is a network'\n"
      "    except OSError as error:\n        return 'none'\n",
      {"assert f() == 'none'"});
  EXPECT_EQ(run({.seccomp = false}, connect).verdict, Verdict::pass);
  EXPECT_EQ(run({.network = false, .seccomp = false}, connect).verdict, Verdict::wrong);
}

TEST(Walls, MountNamespace) {
  const Walls alone{.network = false,
                    .pid = false,
                    .uid = true,
                    .seccomp = false,
                    .rlimits = false,
                    .cgroup = false,
                    .poll = false};
  for (const char* name : {"see /proc", "read the host's files", "write to the root",
                           "write to the interpreter's library", "fill the disk"})
    expect_held(alone, name);
}

// What one program leaves in its folder the next one, in the same slot, does not find; nor can it
// tell from the folder that somebody was there.
TEST(Walls, EachProgramHasAFolderOfItsOwn) {
  const std::string untouched =
      "import os\nof, room = os.stat('.'), os.statvfs('.')\n"
      "assert os.getcwd() == '/tmp' and not os.listdir('.'), os.listdir('.')\n"
      "assert of.st_mode == 0o40700 and of.st_nlink == 2 and of.st_size == 40, of\n"
      "assert of.st_mtime_ns == of.st_ctime_ns == of.st_atime_ns, of\n"
      "assert room.f_bfree == room.f_blocks == 16384 and room.f_files - room.f_ffree == 1, room\n"
      "assert os.getuid() == of.st_uid\n"
      "open('mine', 'w').write('x')\n"
      "os.remove('mine')\n"
      "def f(x): return x + 1\n";
  const std::vector<std::string> traces = {
      "open('left', 'w').write('x')",
      "import os\nos.makedirs('a/b/c')\nos.symlink('/', 'a/b/c/d')",
      "open('left', 'w').close()\nimport os\nos.remove('left')",
      "import os\nos.chmod('.', 0o500)",
      "import os\nos.utime('.', (1, 1))",
      "import os\nos.open('left', os.O_CREAT | os.O_RDWR)\nos.remove('left')",
      "open('left', 'wb').write(bytes(30 << 20))",
      "import os\nopen('left', 'w').close()\nos.chmod('left', 0)\nos.chmod('.', 0)",
  };
  for (const Level level : {available_level(), Level::user}) {
    auto options = with({});
    options.level = level;
    options.slots = 1;
    Opened opened(options);
    for (const auto& trace : traces) {
      const auto left = opened.judge(request(trace + "\ndef f(x): return x + 1\n"));
      EXPECT_EQ(left.verdict, Verdict::pass) << trace << ": " << left.detail;
      const auto record = opened.judge(request(untouched));
      EXPECT_EQ(record.verdict, Verdict::pass) << trace << ": " << record.detail;
    }
  }
}

TEST(Walls, PidNamespace) {
  const Walls alone{
      .network = false, .seccomp = false, .rlimits = false, .cgroup = false, .poll = false};
  expect_held(alone, "see another process");
  expect_open({.pid = false}, "see another process");
}

TEST(Walls, ResourceLimits) {
  const Walls alone{.network = false, .seccomp = false, .cgroup = false, .poll = false};
  expect_held(alone, "take more memory than its share");
  expect_held(alone, "start processes without end");
  const auto greedy = request("block = bytearray(400 << 20)\ndef f(x): return x + 1\n");
  EXPECT_EQ(run(alone, greedy).verdict, Verdict::memory);
  EXPECT_EQ(run({.rlimits = false, .cgroup = false, .poll = false}, greedy).verdict, Verdict::pass);
}

Request greedy_children() {
  return request(
      "import os, time\n"
      "for _ in range(8):\n"
      "    if os.fork() == 0:\n"
      "        block = bytearray(b'x') * (100 << 20)\n"
      "        time.sleep(30)\n"
      "        os._exit(0)\n"
      "time.sleep(1.5)\n"
      "def f(x): return x + 1\n");
}

// RLIMIT_AS is of one process: eight of 100 MB pass it.
TEST(Walls, PolledMemory) {
  const auto record = run({.cgroup = false}, greedy_children());
  EXPECT_EQ(record.verdict, Verdict::memory) << record.detail;
  EXPECT_THAT(record.detail, HasSubstr("processes hold more than 256 MiB"));
  EXPECT_EQ(run({.cgroup = false, .poll = false}, greedy_children()).verdict, Verdict::pass);
}

TEST(Walls, ControlGroup) {
  {
    Opened opened;
    if (opened.pool.description()["cgroup"] == "none") {
      std::puts("needs: cgroup (polling does its work here, and is tested)");
      GTEST_SKIP() << "no control group may be written here";
    }
  }
  EXPECT_EQ(run({.poll = false}, greedy_children()).verdict, Verdict::memory);
}

// Children that nobody has to wait for leave no trace of their CPU time outside a control group:
// then there are none.
TEST(Walls, ChildrenAreCountedWithoutAControlGroup) {
  const fs::path attacks = fs::path(PREIMAGE_TEST_DATA) / "sandbox/attacks";
  for (const Level level : {available_level(), Level::user}) {
    auto options = with({.cgroup = false});
    options.level = level;
    options.limits.cpu_s = 0.4;
    options.limits.wall_s = 20;  // none of them by the clock
    options.confirm_timeouts = false;
    Opened opened(options);
    EXPECT_EQ(opened.pool.description()["cpu_counted_by"], "/proc");
    for (const char* name :
         {"children_ignored", "children_no_wait", "children_of_children", "children_killed"}) {
      const auto record =
          opened.judge(request(base::read_file(attacks / (std::string(name) + ".py"))));
      EXPECT_EQ(record.verdict, Verdict::timeout) << name << ": " << record.detail;
      EXPECT_THAT(record.detail, testing::Not(HasSubstr("by the clock"))) << name;
    }
    // Whatever it does to be rid of them, a child is there to be waited for.
    for (const char* ignore :
         {"signal.signal(signal.SIGCHLD, signal.SIG_IGN)",
          "libc.sigaction(17, struct.pack('Q128siiQ', 0, bytes(128), 2, 0, 0), None)",
          "libc.syscall(13, ctypes.c_long(1 << 32 | 17), struct.pack('QQQQ', 1, 1 << 26, 0, 0), "
          "None, 8)"}) {
      const auto record = opened.judge(
          request(base::str("import ctypes, os, signal, struct\nlibc = ctypes.CDLL(None)\n", ignore,
                            "\nchild = os.fork()\nif child == 0: os._exit(7)\n"
                            "assert os.waitpid(child, 0) == (child, 7 << 8)\n"
                            "for other in set(signal.valid_signals()) - {9, 17, 19, 32, 33}:\n"
                            "    signal.signal(other, signal.SIG_IGN)\n"
                            "    signal.signal(other, signal.SIG_DFL)\n"
                            "def f(x): return x + 1\n")));
      EXPECT_EQ(record.verdict, Verdict::pass) << ignore << ": " << record.detail;
    }
  }
}

// Files that all programs see: by which pages of them are in memory, one could tell another a bit.
TEST(Walls, NoProgramMovesPagesThatAnotherSees) {
  const std::string probe =
      "import errno, os\n"
      "def bit(path):\n"
      "    with open(path, 'rb') as file:\n"
      "        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)\n"
      "        try:\n"
      "            return os.preadv(file.fileno(), [bytearray(1)], 0, os.RWF_NOWAIT)\n"
      "        except BlockingIOError:\n"
      "            return 'not in memory'\n"
      "        except OSError as error:\n"
      "            return errno.errorcode[error.errno]\n"
      "def f():\n"
      "    import xdrlib, colorsys\n"  // read, and not mapped
      "    return [bit(module.__file__) for module in (xdrlib, colorsys)]\n";
  auto record = run({.seccomp = false}, asserting(probe, {"assert 'not in memory' not in f()"}));
  EXPECT_EQ(record.verdict, Verdict::pass) << record.detail;
  record = run({}, asserting(probe, {"assert f() == ['EPERM', 'EPERM']"}));
  EXPECT_EQ(record.verdict, Verdict::pass) << record.detail;
  // No file of the host is left but the devices: all of them are in memory.
  record = run(
      {}, asserting(
              "import ctypes, os, struct\nlibc = ctypes.CDLL(None)\nTMPFS = 0x01021994\n"
              "def is_elsewhere(path):\n"
              "    about = ctypes.create_string_buffer(256)\n"
              "    return libc.statfs(path.encode(), about) == 0 and struct.unpack_from('q', "
              "about)[0] != "
              "TMPFS\n"
              "def elsewhere():\n"
              "    paths = [os.path.join(folder, name) for folder, _, names in os.walk('/') for "
              "name in "
              "names + ['']]\n"
              "    assert len(paths) > 500\n"
              "    return [path for path in paths if is_elsewhere(path) and path[:5] != '/dev/']\n",
              {"assert elsewhere() == []"}));
  EXPECT_EQ(record.verdict, Verdict::pass) << record.detail;
}

// The host knows every program by a user of its slot alone, and none by root.
TEST(Walls, UserOfTheSlot) {
  if (available_level() != Level::full) {
    std::puts("needs: root");
    GTEST_SKIP() << "a uid for each slot needs root";
  }
  auto options = with({});
  options.workers = 3;
  Opened opened(options);
  for (int i = 0; i < 3; ++i)
    opened.pool.submit(request("import time\ntime.sleep(1)\ndef f(x): return x + 1\n"));
  std::set<long> users;
  for (int i = 0; i < 40 && users.size() < 3; ++i) {
    ::usleep(20'000);
    for (const pid_t pid : descendants(opened.supervisor.pid())) {
      std::ifstream status("/proc/" + std::to_string(pid) + "/status");
      std::string text((std::istreambuf_iterator<char>(status)), {});
      const auto at = text.find("NoNewPrivs:\t1");
      const auto uid = text.find("\nUid:\t");
      if (at == std::string::npos || uid == std::string::npos) continue;
      users.insert(std::stol(text.substr(uid + 6)));
      EXPECT_THAT(text, HasSubstr("CapEff:\t0000000000000000"));
      EXPECT_THAT(text, HasSubstr("Seccomp:\t2"));
    }
  }
  EXPECT_GE(users.size(), 3u);
  EXPECT_EQ(users.count(0), 0u);
  while (opened.pool.pending()) EXPECT_EQ(opened.pool.next()->verdict, Verdict::pass);
  expect_open({.uid = false}, "be root");
}

// The weaker level: everything but users of their own, and it says so.
TEST(Walls, UserLevel) {
  auto options = quick_options();
  options.level = Level::user;
  options.self_test = true;
  Opened opened(options);
  EXPECT_EQ(opened.pool.description()["level"], "user");
  EXPECT_EQ(opened.judge(request("def f(x): return x + 1\n")).verdict, Verdict::pass);
  EXPECT_EQ(opened.judge(request("import os\nwhile True: os.fork()\n")).verdict, Verdict::timeout);
}

// Where all programs are one user to the host, a process group must not hold two of them.
TEST(Walls, ProcessGroups) {
  auto options = quick_options();
  options.level = Level::user;
  options.workers = 2;
  Opened opened(options);
  const auto sleeper = request("import time\ntime.sleep(0.5)\ndef f(x): return x + 1\n");
  for (int i = 0; i < 2; ++i) opened.pool.submit(sleeper);
  const auto killer = opened.pool.submit(
      request("import os, time\nfor _ in range(20):\n    os.kill(0, 9)\n    time.sleep(0.01)\n"
              "os.setpgid(0, 0)\ndef f(x): return x + 1\n"));
  for (int i = 0; i < 2; ++i) opened.pool.submit(sleeper);
  while (opened.pool.pending()) {
    const auto record = opened.pool.next().value();
    EXPECT_EQ(record.verdict, Verdict::pass) << (record.ticket == killer) << record.detail;
  }
}

// The whole level without root, by a user who has subordinate users; run as one if there is any.
TEST(Walls, SubordinateUsers) {
  std::string owner;
  std::getline(std::ifstream("/etc/subuid"), owner, ':');
  const passwd* user = owner.empty() ? nullptr : ::getpwnam(owner.c_str());
  if (::geteuid() != 0 || user == nullptr || !fs::exists("/usr/bin/newuidmap")) {
    std::puts("needs: root, the package uidmap and a user with subordinate users");
    GTEST_SKIP() << "no user has subordinate users here";
  }
  const pid_t child = ::fork();
  if (child == 0) {
    if (::setgroups(0, nullptr) != 0 ||
        ::setresgid(user->pw_gid, user->pw_gid, user->pw_gid) != 0 ||
        ::setresuid(user->pw_uid, user->pw_uid, user->pw_uid) != 0)
      ::_exit(2);
    try {
      auto options = with({});
      options.level = Level::full;
      options.python = "/usr/bin/python3";  // the first in PATH may be root's own
      options.self_test = true;
      Opened opened(options);
      const bool named = opened.pool.description().at("subordinate_users");
      const auto right = opened.judge(request("def f(x): return x + 1\n"));
      const auto bomb = opened.judge(request("import os\nwhile True: os.fork()\n"));
      ::_exit(named && right.verdict == Verdict::pass && bomb.verdict == Verdict::timeout ? 0 : 1);
    } catch (const std::exception& error) {
      std::puts(error.what());
      std::fflush(stdout);
      ::_exit(3);
    }
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
}

// Walls that do not hold are found before anything is scored.
TEST(Walls, ASelfTestThatFailsRefusesToScore) {
  auto options = with({.pid = false});
  options.self_test = true;
  try {
    Opened opened(options);
    FAIL();
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), base::ExitCode::unavailable);
    EXPECT_THAT(error.what(), HasSubstr("see another process"));
    EXPECT_THAT(error.what(), HasSubstr("nothing was judged"));
  }
}

}  // namespace
}  // namespace preimage::sandbox::tests
