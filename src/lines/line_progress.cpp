#include "line_progress.hpp"

#include <unistd.h>

#include <cstdio>

#include "preimage/base/str.hpp"

namespace preimage::lines {
namespace {

constexpr auto kInterval = std::chrono::milliseconds(200);

std::string rate_text(double rate) {
  char text[32];
  std::snprintf(text, sizeof text, rate < 10 ? "%.1f" : "%.0f", rate);
  return text;
}

}  // namespace

std::string progress_text(const std::string& tool, const LineCounts& counts) {
  std::string out = base::str(tool, ": ", counts.done, " of ", counts.total, " lines");
  if (counts.done > 0 && counts.seconds > 0) {
    const double rate = static_cast<double>(counts.done) / counts.seconds;
    out += ", " + rate_text(rate) + "/s";
    if (counts.done < counts.total)
      out += ", " + base::human_seconds(static_cast<double>(counts.total - counts.done) / rate) +
             " left";
  }
  if (counts.tokens > 0 && counts.seconds > 0)
    out += ", " + rate_text(static_cast<double>(counts.tokens) / counts.seconds) + " tokens/s";
  return out;
}

LineProgress::LineProgress(std::string tool, size_t total, bool shown)
    : tool_(std::move(tool)),
      live_(shown && ::isatty(STDERR_FILENO) != 0),
      start_(std::chrono::steady_clock::now()),
      last_(start_) {
  counts_.total = total;
}

LineProgress::~LineProgress() {
  if (drawn_) std::fputs("\r\33[K", stderr);
}

void LineProgress::draw() {
  if (!live_) return;
  const auto now = std::chrono::steady_clock::now();
  if (now - last_ < kInterval) return;
  last_ = now;
  counts_.seconds = std::chrono::duration<double>(now - start_).count();
  std::fprintf(stderr, "\r\33[K%s", progress_text(tool_, counts_).c_str());
  std::fflush(stderr);
  drawn_ = true;
}

}  // namespace preimage::lines
