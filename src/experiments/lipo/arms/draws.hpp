// The points that an arm tries in a round, in their order, until one gives a text from which there
// is something to learn: what is known costs no call, so that an arm that came back to it would ask
// the model less often than the others.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "arm.hpp"
#include "preimage/bo/acquisition.hpp"
#include "preimage/optim/lbfgs_box.hpp"

namespace preimage::lipo {

// Normalised points: the acquisition's optima, highest first; behind them points between an optimum
// and a uniform point of the box, the optima in turn, ever farther from them, the last uniform.
// Without optima all are uniform.
class Draws {
 public:
  // `found`: null for uniform points alone. Copies what it needs.
  Draws(const bo::AcquisitionResult* found, const optim::Box& box, const InversionConfig& config,
        const base::RandomStream& random);
  int64_t count() const { return count_; }
  at::Tensor point(int64_t draw) const;  // [d] double
  bool optimum(int64_t draw) const { return draw < std::ssize(optima_); }

 private:
  std::vector<at::Tensor> optima_;
  optim::Box box_;
  base::RandomStream random_;
  int64_t count_;
};

// What a draw comes to.
struct DrawnText {
  bool words = false;  // the inverter wrote some
  bool known = false;
  double cosine = 0;
};
// The number of the draw that is proposed. Of the first 1 + redraws, the first text that is not
// known (refuse_known) and as near to its point as accept_cosine wants; where none is, of the
// unknown ones the nearest; where all are known, the first unknown one of up to known_redraws
// further ones. Without refuse_known no text counts as known. -1: there is none, the arm ends.
int64_t choose_draw(int64_t draws, const InversionConfig& config,
                    const std::function<DrawnText(int64_t draw)>& draw);

// Coordinates of a normalised point that lie on the faces of the acquisition's box.
int64_t active_bounds(const at::Tensor& point, const bo::GpModel& model, double margin);

// Whether an arm has nothing to learn from a text: evaluated on all items by itself or by
// Hyperband.
bool is_known(const ArmGround& ground, const ArmHistory& history, const std::string& text);

}  // namespace preimage::lipo
