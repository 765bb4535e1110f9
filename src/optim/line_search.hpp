// The line search of More and Thuente ("Line search algorithms with guaranteed sufficient
// decrease", ACM TOMS 20(3), 1994), one evaluation at a time, as MINPACK-2's dcsrch and dcstep do
// it.
#pragma once

namespace preimage::optim {

class LineSearch {
 public:
  struct Options {
    double decrease = 1e-3;   // f(step) <= f(0) + decrease step f'(0)
    double curvature = 0.9;   // |f'(step)| <= curvature |f'(0)|
    double resolution = 0.1;  // relative width of the bracket at which it ends
    double longest = 1;       // step
  };
  // From value and slope (< 0) at 0; the first step to try is given.
  LineSearch(const Options& options, double value, double slope, double step);

  double step() const { return step_; }
  // What was found at step(). True when the search is over: step() is accepted where `failed` is
  // false; otherwise step() is the next to try.
  bool tell(double value, double slope);
  bool failed() const { return failed_; }

 private:
  struct End {
    double step = 0, value = 0, slope = 0;
  };
  double next_step(const End& trial);
  void move(const End& trial);

  Options options_;
  End start_, best_, other_;
  double step_, lower_, upper_, width_, width_before_;
  bool bracketed_ = false, first_stage_ = true, failed_ = false;
};

}  // namespace preimage::optim
