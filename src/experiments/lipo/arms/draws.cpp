#include "draws.hpp"

#include <algorithm>
#include <numeric>

#include <ATen/ATen.h>

namespace preimage::lipo {

Draws::Draws(const bo::AcquisitionResult* found, const optim::Box& box,
             const InversionConfig& config, const base::RandomStream& random)
    : box_(box), random_(random), count_(1 + config.redraws) {
  if (config.refuse_known) count_ += config.known_redraws;
  if (!found) return;
  std::vector<size_t> order(found->final_values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(order, std::ranges::greater{},
                           [&](size_t i) { return found->final_values[i]; });
  for (const size_t i : order) optima_.push_back(found->finals[static_cast<int64_t>(i)]);
}

at::Tensor Draws::point(int64_t draw) const {
  if (optimum(draw)) return optima_[static_cast<size_t>(draw)];
  const int64_t d = box_.lower.size(0);
  auto u = at::empty({d}, at::kDouble);
  // The process and the acquisition draw other elements of the same stream.
  for (int64_t i = 0; i < d; ++i)
    u.data_ptr<double>()[i] =
        random_.uniform((uint64_t{1} << 43) + static_cast<uint64_t>(draw * d + i));
  const auto uniform = box_.lower + u * (box_.upper - box_.lower);
  const auto known = std::ssize(optima_);
  if (known == 0) return uniform;
  const double share = static_cast<double>(draw - known + 1) /
                       static_cast<double>(std::max<int64_t>(1, count_ - known));
  const auto& from = optima_[static_cast<size_t>((draw - known) % known)];
  return from + share * (uniform - from);
}

int64_t choose_draw(int64_t draws, const InversionConfig& config,
                    const std::function<DrawnText(int64_t)>& draw) {
  int64_t nearest = -1;
  double cosine = 0;
  for (int64_t i = 0; i < draws; ++i) {
    if (i > config.redraws && nearest >= 0) break;
    const auto text = draw(i);
    if (!text.words || (config.refuse_known && text.known)) continue;
    if (text.cosine >= config.accept_cosine) return i;
    if (nearest < 0 || text.cosine > cosine) nearest = i, cosine = text.cosine;
  }
  return nearest;
}

int64_t active_bounds(const at::Tensor& point, const bo::GpModel& model, double margin) {
  const auto box = bo::acquisition_box(model.inputs, margin);
  return ((point <= box.lower) | (point >= box.upper)).sum().item<int64_t>();
}

bool is_known(const ArmGround& ground, const ArmHistory& history, const std::string& text) {
  for (const auto& one : history.observations) {
    if (one.text == text && one.items == ground.items) return true;
  }
  for (const auto& one : ground.counts.level(ground.items)) {
    if (ground.instructions[static_cast<size_t>(one.candidate)].text == text) return true;
  }
  return false;
}

}  // namespace preimage::lipo
