#include <unistd.h>

#include <cstring>
#include <string_view>

#include "app.hpp"
#include "lines/whole_program.hpp"
#include "preimage/base/budget.hpp"

namespace {

bool is_set(char** environment, std::string_view name) {
  for (; *environment != nullptr; ++environment) {
    const std::string_view entry = *environment;
    if (entry.starts_with(name) && entry.substr(name.size(), 1) == "=") return true;
  }
  return false;
}

// Becomes preimage-lines, beside this program, where it is there.
void become_lines(char** argv, char** environment) {
  constexpr const char* kLauncherSets[] = {"OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK",
                                           preimage::app::kWholeProgram};
  for (const char* name : kLauncherSets) {
    if (is_set(environment, name)) return;
  }
  constexpr char kName[] = "preimage-lines";
  char path[4096];
  const ssize_t size = readlink("/proc/self/exe", path, sizeof path - sizeof kName);
  if (size <= 0) return;
  path[size] = 0;
  std::strcpy(std::strrchr(path, '/') + 1, kName);
  execve(path, argv, environment);
}

// The C library calls this before the constructors of any library: those of libtorch and MPI take
// a while, in which a signal would end the program by its default action, and which commands that
// need neither can do without.
void before_all_else(int argc, char** argv, char** environment) {
  const std::string_view command = argc > 1 ? argv[1] : "";
  if (command == "run" || command == "launch") preimage::base::catch_stop_signals();
  if (command == "tokenize" || command == "judge") become_lines(argv, environment);
}

[[gnu::used, gnu::section(".preinit_array")]] void (*const kFirst)(int, char**,
                                                                   char**) = before_all_else;

}  // namespace

int main(int argc, char** argv) {
  return preimage::app::main(argc, argv);
}
