#include "preimage/base/log.hpp"

#include <spdlog/logger.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_color_sinks.h>

#include <vector>

#include "preimage/base/error.hpp"
#include "preimage/base/terminal.hpp"

namespace preimage::base {
namespace {

spdlog::level::level_enum level_of(LogLevel level) {
  switch (level) {
    case LogLevel::debug:
      return spdlog::level::debug;
    case LogLevel::info:
      return spdlog::level::info;
    case LogLevel::warn:
      return spdlog::level::warn;
    case LogLevel::error:
      return spdlog::level::err;
  }
  return spdlog::level::err;
}

}  // namespace

struct Log::Sinks {
  explicit Sinks(std::vector<spdlog::sink_ptr> list)
      : logger("preimage", list.begin(), list.end()) {}
  spdlog::logger logger;
};

Log::Log(const Options& options) {
  std::vector<spdlog::sink_ptr> list;
  const std::string prefix = options.prefix.empty() ? "" : "[" + options.prefix + "] ";
  if (!options.file.empty()) {
    try {
      auto sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(options.file.string());
      sink->set_pattern("%Y-%m-%dT%H:%M:%S.%e %l " + prefix + "%v");
      list.push_back(std::move(sink));
    } catch (const spdlog::spdlog_ex& error) {
      throw io_error(options.file.string() + ": log cannot be opened: " + error.what());
    }
  }
  if (options.terminal) {
    auto sink = std::make_shared<spdlog::sinks::stderr_color_sink_mt>();
    sink->set_level(level_of(options.terminal_level));
    sink->set_pattern("%^" + prefix + "%v%$");
    list.push_back(std::move(sink));
  }
  sinks_ = std::make_shared<Sinks>(std::move(list));
  sinks_->logger.set_level(spdlog::level::debug);
  sinks_->logger.flush_on(spdlog::level::info);
  // A log line that cannot be written (disk full) must not end the run: the journal decides.
  sinks_->logger.set_error_handler([](const std::string&) {});
}

void Log::write(LogLevel level, const std::string& text) const {
  if (sinks_) sinks_->logger.log(level_of(level), visible_text(text));
}

void Log::flush() const {
  if (sinks_) sinks_->logger.flush();
}

}  // namespace preimage::base
