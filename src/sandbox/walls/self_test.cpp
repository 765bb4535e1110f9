#include "walls/self_test.hpp"

#include "preimage/base/error.hpp"

namespace preimage::sandbox {
namespace {

constexpr char kUserFix[] =
    "--level full needs root; in a container also CAP_SETUID and CAP_SETGID";
constexpr char kSeccompFix[] =
    "the kernel needs CONFIG_SECCOMP_FILTER, and libseccomp must be 2.5 or newer";
constexpr char kNamespaceFix[] =
    "the kernel must allow namespaces: sysctl user.max_user_namespaces, and in Docker "
    "--security-opt seccomp=unconfined --security-opt apparmor=unconfined";

// Raises OSError, or not: most probes.
#define MUST_FAIL(what, ...)                   \
  "import ctypes, os, socket\n"                \
  "libc = ctypes.CDLL(None, use_errno=True)\n" \
  "def probe():\n"                             \
  "    try:\n"                                 \
  "        " what                              \
  "\n"                                         \
  "    except OSError:\n"                      \
  "        return ''\n"                        \
  "    return 'it can'\n"

}  // namespace

const std::vector<Probe>& probes() {
  static const std::vector<Probe> all = {
      {"open a socket", MUST_FAIL("socket.socket(socket.AF_INET, socket.SOCK_STREAM)"),
       kSeccompFix},
      {"trace a process",
       MUST_FAIL("if libc.ptrace(16, 1, 0, 0) < 0 and libc.ptrace(0, 0, 0, 0) < 0: raise OSError"),
       kSeccompFix},
      {"make a namespace", MUST_FAIL("if libc.unshare(0x10000000) < 0: raise OSError"),
       kSeccompFix},
      {"mount a file system",
       MUST_FAIL("if libc.mount(b'x', b'/tmp', b'tmpfs', 0, None) < 0: raise OSError"),
       kSeccompFix},
      {"keep a key in the kernel",
       MUST_FAIL("if libc.syscall(248, b'user', b'a', b'b', 1, -3) < 0: raise OSError"),
       kSeccompFix},
      {"see /proc", MUST_FAIL("os.listdir('/proc/1')"), kNamespaceFix},
      {"read the host's files", MUST_FAIL("open('/etc/passwd')"), kNamespaceFix},
      {"write to the root", MUST_FAIL("open('/written', 'w')"), kNamespaceFix},
      {"write to the interpreter's library", MUST_FAIL("open(os.__file__ + 'x', 'w')"),
       kNamespaceFix},
      {"see another process",
       "import os\ndef probe():\n    return '' if os.getppid() == 0 else "
       "'its parent is %d' % os.getppid()\n",
       kNamespaceFix},
      {"be root", "import os\ndef probe():\n    return '' if os.getuid() != 0 else 'it is root'\n",
       kUserFix},
      {"read the environment", "import os\ndef probe():\n    return ''.join(os.environ)\n",
       "report it: the environment is emptied before a program starts"},
      {"fill the disk",
       "def probe():\n    try:\n        with open('full', 'wb') as f:\n"
       "            for _ in range(200): f.write(bytes(1 << 20))\n"
       "    except OSError:\n        return ''\n    return 'it can'\n",
       "report it: files are limited to 32 MB, and the folder to 64"},
      {"start processes without end",
       "import os\ndef probe():\n    children = []\n    try:\n        for _ in range(200):\n"
       "            pid = os.fork()\n            if pid == 0:\n                while True: "
       "os.read(0, 1) or "
       "__import__('time').sleep(1)\n            children.append(pid)\n"
       "    except OSError:\n        return ''\n    finally:\n"
       "        for pid in children: os.kill(pid, 9)\n    return 'it can'\n",
       kUserFix},
      {"take more memory than its share",
       "def probe():\n    try:\n        bytearray(64 << 30)\n    except MemoryError:\n"
       "        return ''\n    return 'it can'\n",
       "report it: RLIMIT_AS does not hold"},
  };
  return all;
}

Request request_for(const Probe& probe) {
  Request request;
  request.id = probe.name;
  request.program = probe.program;
  request.entry_point = "probe";
  request.tests = R"([{"args": [], "expected": ""}])";
  return request;
}

void require_held(const Probe& probe, const Record& record) {
  if (record.verdict == Verdict::pass) return;
  throw base::unavailable_error(
      std::string("sandbox: the self-test failed: a program must not be able to ") + probe.name +
      ": " + std::string(name(record.verdict)) + ": " + record.detail + "; " + probe.fix +
      "; nothing was judged");
}

Request calibration_request() {
  Request request;
  request.id = "calibration";
  request.program =
      "def work():\n"
      "    total = 0\n"
      "    for i in range(2_200_000):\n"
      "        total = (total * 31 + i) % 1_000_003\n"
      "    return total\n";
  request.entry_point = "work";
  request.assert_tests = {"assert work() >= 0"};
  return request;
}

}  // namespace preimage::sandbox
