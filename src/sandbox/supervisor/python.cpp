#include "supervisor/python.hpp"

#include <cstdlib>
#include <filesystem>

#include "preimage/base/error.hpp"
#include "preimage/base/json.hpp"
#include "preimage/base/process.hpp"
#include "preimage/base/utf8.hpp"

namespace preimage::sandbox {
namespace {

namespace fs = std::filesystem;

// What it loads is asked of the loader itself: each extension module is loaded, and then the loader
// lists what is there (man 3 dl_iterate_phdr).
constexpr char kAsk[] =
    "import ctypes, glob, os, sys, sysconfig, json\n"
    "loaded = set()\n"
    "class Info(ctypes.Structure):\n"
    "    _fields_ = [('address', ctypes.c_void_p), ('name', ctypes.c_char_p)]\n"
    "@ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(Info), ctypes.c_size_t, ctypes.c_void_p)\n"
    "def see(info, size, data):\n"
    "    loaded.add(os.fsdecode(info[0].name or b''))\n"
    "    return 0\n"
    "modules = glob.glob(os.path.join(sysconfig.get_config_var('DESTSHARED') or '.', '*.so'))\n"
    "for name in modules:\n"
    "    try:\n"
    "        ctypes.CDLL(name)\n"
    "    except OSError:\n"
    "        pass\n"  // its import fails, inside as outside
    "ctypes.CDLL(None).dl_iterate_phdr(see, None)\n"
    "loaded = sorted(n for n in loaded - set(modules) if os.path.isabs(n) and os.path.exists(n))\n"
    "v = sysconfig.get_config_var\n"
    "print(json.dumps({'executable': sys._base_executable or sys.executable,"
    " 'version': sys.version.split()[0], 'recent': sys.version_info >= (3, 11),"
    " 'name': 'python%d.%d' % sys.version_info[:2], 'stdlib': sysconfig.get_path('stdlib', vars="
    "{'installed_base': sys.base_prefix}), 'dynload': v('DESTSHARED') or '', "
    "'loaded': loaded}))\n";

base::ProcessOutput ask(const std::string& name) {
  base::ProcessOptions options;
  options.argv = {name, "-I", "-S", "-c", kAsk};
  options.removed = {"LD_", "PYTHON"};
  auto output = base::run_and_read(options);
  const char* path = std::getenv("LD_LIBRARY_PATH");
  if (output.end.exit_code == 0 || path == nullptr) return output;
  options.environment = {std::string("LD_LIBRARY_PATH=") + path};
  return base::run_and_read(options);
}

}  // namespace

std::string what_it_said(const std::string& printed) {
  constexpr size_t kMost = 600;
  const size_t end = printed.find_last_not_of(" \r\n\t");
  if (end == printed.npos) return "";
  const size_t begin = end < kMost ? 0 : end + 1 - kMost;
  return "; it said: " + base::escape_text(printed.substr(begin, end + 1 - begin));
}

Python find_python(const std::string& name) {
  const std::string advice =
      "; the sandbox runs programs in Python 3.11 or newer: install it (Debian, Ubuntu: apt-get "
      "install python3) or name one with --python";
  base::ProcessOutput output;
  try {
    output = ask(name);
  } catch (const base::Error& error) {
    throw base::unavailable_error(std::string("sandbox: ") + error.what() + advice);
  }
  if (output.end.exit_code != 0) {
    throw base::unavailable_error("sandbox: " + name + " ended with exit code " +
                                  std::to_string(output.end.exit_code) +
                                  what_it_said(output.errors) + advice);
  }
  const auto answer = base::parse_json(output.text, name);
  Python python;
  python.executable = fs::canonical(answer.at("executable").get<std::string>());
  python.version = answer.at("version");
  python.name = answer.at("name");
  python.stdlib = answer.at("stdlib");
  if (!answer.at("recent").get<bool>()) {
    throw base::unavailable_error("sandbox: " + name + " is Python " + python.version + advice);
  }
  if (!fs::is_directory(python.stdlib)) {
    throw base::unavailable_error("sandbox: " + name + ": no library at " + python.stdlib + advice);
  }
  const std::string dynload = answer.at("dynload");
  if (!dynload.starts_with(python.stdlib) && fs::is_directory(dynload)) python.dynload = dynload;
  python.loaded = answer.at("loaded").get<std::vector<std::string>>();
  return python;
}

}  // namespace preimage::sandbox
