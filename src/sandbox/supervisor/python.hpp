// The interpreter that programs run in.
#pragma once

#include <string>
#include <vector>

namespace preimage::sandbox {

struct Python {
  std::string executable;  // the binary itself, no wrapper
  std::string version;     // "3.11.7"
  std::string name;        // "python3.11"
  std::string stdlib;      // .../lib/python3.11
  std::string dynload;     // lib-dynload, where it is not below stdlib; else ""
  // Every shared library that it or a module of its library loads, by the path under which the
  // dynamic loader finds it ("/lib/x86_64-linux-gnu/libz.so.1"), the loader included.
  std::vector<std::string> loaded;
};

// Asks `name` (looked up in PATH) about itself, without this process's own LD_* and PYTHON*: what
// they bring is not there inside the walls. Only where it does not start so (modules of a cluster)
// LD_LIBRARY_PATH is left to it. Throws ExitCode::unavailable when there is none, or one older than
// 3.11, with what it printed.
Python find_python(const std::string& name);

// The end of what an interpreter printed, as a part of a message; nothing where it printed nothing.
std::string what_it_said(const std::string& printed);

}  // namespace preimage::sandbox
