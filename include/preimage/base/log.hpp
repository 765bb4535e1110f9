// The log of one process: a file with everything, and the terminal with what the user should see.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

namespace preimage::base {

enum class LogLevel { debug, info, warn, error };

// Copies share one sink. A default-made Log drops everything (for tests and library use).
class Log {
 public:
  struct Options {
    std::filesystem::path file;  // empty: no file
    bool terminal = false;       // also to standard error, from `terminal_level` up
    LogLevel terminal_level = LogLevel::info;
    std::string prefix;  // "rank 3"
  };
  Log() = default;
  explicit Log(const Options& options);

  void debug(const std::string& text) const { write(LogLevel::debug, text); }
  void info(const std::string& text) const { write(LogLevel::info, text); }
  void warn(const std::string& text) const { write(LogLevel::warn, text); }
  void error(const std::string& text) const { write(LogLevel::error, text); }
  void flush() const;

 private:
  void write(LogLevel level, const std::string& text) const;
  struct Sinks;
  std::shared_ptr<Sinks> sinks_;
};

}  // namespace preimage::base
