// One live line on a terminal: how many lines of the input are done. Nothing where standard error
// is no terminal.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace preimage::lines {

struct LineCounts {
  size_t done = 0, total = 0;
  int64_t tokens = 0;  // made so far; 0: the tool makes none
  double seconds = 0;  // since the first line was begun
};

// "generate: 12 of 40 lines, 3.1/s, 9 s left, 512 tokens/s"
std::string progress_text(const std::string& tool, const LineCounts& counts);

class LineProgress {
 public:
  // `shown` false: silent.
  LineProgress(std::string tool, size_t total, bool shown);
  ~LineProgress();
  LineProgress(const LineProgress&) = delete;
  LineProgress& operator=(const LineProgress&) = delete;

  // Cheap; draws at most five times a second.
  void line_done() { ++counts_.done, draw(); }
  void tokens_made(int64_t tokens) { counts_.tokens += tokens, draw(); }

 private:
  void draw();

  std::string tool_;
  LineCounts counts_;
  bool live_, drawn_ = false;
  std::chrono::steady_clock::time_point start_, last_;
};

}  // namespace preimage::lines
