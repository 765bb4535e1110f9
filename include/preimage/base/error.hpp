// One way to fail: throw base::Error. Its code becomes the exit code of the process.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

namespace preimage::base {

// Exit codes of every preimage command (a subset of sysexits.h, plus 75 for "resumable").
enum class ExitCode : int {
  ok = 0,
  bad_data = 65,     // an input file is wrong
  unavailable = 69,  // a needed thing (GPU, sandbox, interpreter) is not there
  bug = 70,          // a broken promise inside preimage
  io = 74,           // disk full, unreadable, unwritable
  stopped = 75,      // stopped on request or out of time; --resume goes on
  bad_config = 78,   // the job or the command line is wrong
};

// An error whose text is shown to the user as it is. The text names the place (file, line, key),
// what was found, what was expected, and what to do, in that order.
class Error : public std::runtime_error {
 public:
  Error(ExitCode code, const std::string& text) : std::runtime_error(text), code_(code) {}
  ExitCode code() const { return code_; }

 private:
  ExitCode code_;
};

inline Error data_error(const std::string& text) {
  return {ExitCode::bad_data, text};
}
inline Error config_error(const std::string& text) {
  return {ExitCode::bad_config, text};
}
inline Error io_error(const std::string& text) {
  return {ExitCode::io, text};
}
inline Error unavailable_error(const std::string& text) {
  return {ExitCode::unavailable, text};
}
inline Error stopped_error(const std::string& text) {
  return {ExitCode::stopped, text};
}

// Throws ExitCode::bug unless `holds`: for promises between our own units, never for user input.
void check(bool holds, std::string_view promise);

// I/O error with the text of `errnum` (an errno value) appended.
Error errno_error(const std::string& what, int errnum);

}  // namespace preimage::base
