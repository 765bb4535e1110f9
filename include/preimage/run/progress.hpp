// How far a run is, for the person at the terminal.
#pragma once

#include <cstdint>
#include <string>

#include "preimage/base/log.hpp"

namespace preimage::run {

struct ProgressCounts {
  int64_t wave = 0;
  int64_t done = 0;   // units of this wave with a result
  int64_t total = 0;  // units of this wave
  int64_t busy = 0;   // workers inside evaluate()
  int64_t workers = 1;
  int64_t before = 0;  // of `done`, those of an earlier start: they tell nothing of the pace
};

// Draws one live line when standard error is a terminal (or the supervisor says that its own is, by
// PREIMAGE_TERMINAL=1), else logs a line at most every 10 s. Silent on all ranks but 0.
class Progress {
 public:
  Progress(const base::Log& log, bool shown);
  ~Progress();

  // Cheap; draws at most ten times a second.
  void update(ProgressCounts counts);
  // Ends the wave's line.
  void wave_done(ProgressCounts counts);
  // Shown after the counts: "best 0.83 (wave 12)".
  void note(const std::string& text) { note_ = text; }

  // The text of one line; `rate` is units per second. For tests.
  static std::string line(const ProgressCounts& counts, double rate, const std::string& note);

 private:
  void follow(const ProgressCounts& counts);
  double rate(const ProgressCounts& counts) const;

  base::Log log_;
  bool shown_;
  bool live_;
  bool drawn_ = false;
  int64_t wave_ = -1;
  int64_t total_ = 0, done_ = 0;  // as last shown
  int64_t first_done_ = 0;        // of this wave, when it began here
  double wave_start_s_ = 0;
  double last_draw_s_ = 0;
  std::string note_;
};

}  // namespace preimage::run
