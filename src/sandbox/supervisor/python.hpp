// The interpreter that programs run in.
#pragma once

#include <string>
#include <vector>

namespace preimage::sandbox {

struct Python {
  std::string executable;              // the binary itself, no wrapper
  std::string version;                 // "3.11.7"
  std::string name;                    // "python3.11"
  std::string stdlib;                  // .../lib/python3.11
  std::string dynload;                 // lib-dynload, where it is not below stdlib; else ""
  std::vector<std::string> libraries;  // folders of shared libraries it needs of its own
  // Every shared library that it or a module of its library loads, by the path under which the
  // dynamic loader finds it ("/lib/x86_64-linux-gnu/libz.so.1"), the loader included.
  std::vector<std::string> loaded;
};

// Asks `name` (looked up in PATH) about itself. Throws ExitCode::unavailable when there is none, or
// one older than 3.11.
Python find_python(const std::string& name);

}  // namespace preimage::sandbox
