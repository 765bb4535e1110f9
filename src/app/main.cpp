#include <string_view>

#include "app.hpp"
#include "preimage/base/budget.hpp"

namespace {

// The C library calls this before the constructors of any library: those of libtorch and MPI take
// a while, in which a signal would end the program by its default action.
void before_all_else(int argc, char** argv, char**) {
  const std::string_view command = argc > 1 ? argv[1] : "";
  if (command == "run" || command == "launch") preimage::base::catch_stop_signals();
}

[[gnu::used, gnu::section(".preinit_array")]] void (*const kFirst)(int, char**,
                                                                   char**) = before_all_else;

}  // namespace

int main(int argc, char** argv) {
  return preimage::app::main(argc, argv);
}
