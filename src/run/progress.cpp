#include "preimage/run/progress.hpp"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <sstream>

#include "preimage/base/budget.hpp"
#include "preimage/base/str.hpp"

namespace preimage::run {
namespace {

constexpr double kLiveInterval_s = 0.1;
constexpr double kLogInterval_s = 10;

bool on_terminal() {
  const char* told = std::getenv("PREIMAGE_TERMINAL");
  return (told && std::string(told) == "1") || ::isatty(STDERR_FILENO) != 0;
}

void put(const std::string& text) {
  std::fputs(text.c_str(), stderr);
  std::fflush(stderr);
}

}  // namespace

Progress::Progress(const base::Log& log, bool shown)
    : log_(log), shown_(shown), live_(shown && on_terminal()) {}

Progress::~Progress() {
  if (drawn_) put("\n");
}

std::string Progress::line(const ProgressCounts& counts, double rate, const std::string& note) {
  std::ostringstream out;
  out.setf(std::ios::fixed);
  out.precision(rate < 10 ? 2 : 0);
  out << "wave " << counts.wave << ": " << counts.done << "/" << counts.total << " units";
  if (rate > 0) {
    out << ", " << rate << "/s";
    // Dear units are dealt first, and a batch ends all at once: the first ones foretell nothing.
    const bool foretells = 4 * (counts.done - counts.before) >= counts.total - counts.before;
    if (counts.done < counts.total && foretells) {
      const double left = static_cast<double>(counts.total - counts.done) / rate;
      out << ", " << base::human_seconds(left) << " left";
    }
  }
  out << ", " << counts.busy << "/" << counts.workers << " workers busy";
  if (!note.empty()) out << ", " << note;
  return out.str();
}

// Also at a training's steps between two waves, which have a count of their own.
void Progress::follow(const ProgressCounts& counts) {
  const bool same = counts.wave == wave_ && counts.total == total_ && counts.done >= done_;
  done_ = counts.done;
  if (same) return;
  wave_ = counts.wave;
  total_ = counts.total;
  first_done_ = counts.done;
  wave_start_s_ = base::monotonic_seconds();
  if (!live_ && last_draw_s_ == 0) last_draw_s_ = wave_start_s_;
}

double Progress::rate(const ProgressCounts& counts) const {
  const double elapsed = base::monotonic_seconds() - wave_start_s_;
  return elapsed > 0 ? static_cast<double>(counts.done - first_done_) / elapsed : 0;
}

void Progress::update(ProgressCounts counts) {
  if (!shown_) return;
  follow(counts);
  counts.before = first_done_;
  const double now = base::monotonic_seconds();
  if (now - last_draw_s_ < (live_ ? kLiveInterval_s : kLogInterval_s)) return;
  last_draw_s_ = now;
  const auto text = line(counts, rate(counts), note_);
  if (!live_) return log_.info(text);
  put("\r\x1b[K" + text);
  drawn_ = true;
}

void Progress::wave_done(ProgressCounts counts) {
  if (!shown_) return;
  follow(counts);
  counts.before = first_done_;
  const auto text = line(counts, rate(counts), note_);
  if (live_) {
    put("\r\x1b[K" + text);
    drawn_ = true;
  } else if (base::monotonic_seconds() - last_draw_s_ >= kLogInterval_s) {
    last_draw_s_ = base::monotonic_seconds();
    log_.info(text);
  } else {
    log_.debug(text);
  }
}

}  // namespace preimage::run
