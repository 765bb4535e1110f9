#include "preimage/lm/train/loop.hpp"

#include <cmath>

#include <ATen/ATen.h>

#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"
#include "preimage/cluster/session.hpp"
#include "preimage/lm/train/train_state.hpp"

namespace preimage::lm {
namespace {

// Columns of the stored curve before the caller's own numbers.
constexpr int64_t kOwnColumns = 6;
// Writing the state takes at most one part in so many of the time.
constexpr double kLeastWork = 19;

at::Tensor curve_tensor(const std::vector<CurvePoint>& curve) {
  const auto numbers = curve.empty() ? 0 : std::ssize(curve.front().numbers);
  auto out = at::empty({std::ssize(curve), kOwnColumns + numbers}, at::kDouble);
  double* row = out.data_ptr<double>();
  for (const auto& p : curve) {
    for (const double value : {static_cast<double>(p.step), p.loss, p.gradient_norm,
                               p.learning_rate, p.validation, p.items_per_s})
      *row++ = value;
    row = std::copy(p.numbers.begin(), p.numbers.end(), row);
  }
  return out;
}

std::vector<CurvePoint> curve_points(const at::Tensor& tensor) {
  std::vector<CurvePoint> out;
  const double* row = tensor.const_data_ptr<double>();
  for (int64_t i = 0; i < tensor.size(0); ++i, row += tensor.size(1)) {
    out.push_back({static_cast<int64_t>(row[0]), row[1], row[2], row[3], row[4], row[5], {}});
    out.back().numbers.assign(row + kOwnColumns, row + tensor.size(1));
  }
  return out;
}

class Loop {
 public:
  Loop(const Trained& trained, const LoopHooks& hooks, const LoopOptions& options,
       const LoopPlace& place)
      : trained_(trained),
        hooks_(hooks),
        options_(options),
        place_(place),
        adam_steps_(at::full({1}, trained.adam.steps, at::kLong)),
        state_(place.state, options.identity, state_tensors()) {}

  LoopResult run();

 private:
  enum Wish : int64_t { go_on, save_state, stop };  // the strongest of all ranks is followed

  TrainStateFile::Tensors state_tensors();
  void load();
  void save();
  Wish wish() const;
  bool ended() const;
  CurvePoint step();
  void note_best(const CurvePoint& point, bool fresh);

  const Trained& trained_;
  const LoopHooks& hooks_;
  const LoopOptions& options_;
  const LoopPlace& place_;
  LoopResult result_;
  at::Tensor adam_steps_;
  TrainStateFile state_;
  size_t saved_steps_ = 0;  // that the state on disk holds
  double saved_s_ = 0;      // when it was written, or the loop began
  double writing_took_s_ = 0;
  int64_t since_best_ = 0;  // validations
};

TrainStateFile::Tensors Loop::state_tensors() {
  TrainStateFile::Tensors out = {{"parameters", trained_.parameters.flat},
                                 {"first_moment", trained_.adam.first},
                                 {"second_moment", trained_.adam.second},
                                 {"adam_steps", adam_steps_}};
  if (options_.keep_best) {
    result_.best = trained_.parameters.flat.clone();
    out.emplace_back("best", result_.best);
  }
  return out;
}

void Loop::load() {
  saved_s_ = base::monotonic_seconds();
  const auto curve = state_.load(trained_.world);
  if (!curve) return;
  trained_.adam.steps = adam_steps_.item<int64_t>();
  result_.curve = curve_points(*curve);
  saved_steps_ = result_.curve.size();
  for (const auto& point : result_.curve) note_best(point, false);
}

void Loop::save() {
  if (saved_steps_ == result_.curve.size()) return;
  const double begin = base::monotonic_seconds();
  adam_steps_.fill_(trained_.adam.steps);
  state_.save(curve_tensor(result_.curve), trained_.world);
  saved_steps_ = result_.curve.size();
  saved_s_ = base::monotonic_seconds();
  writing_took_s_ = saved_s_ - begin;
}

// What this rank wants before the next step.
Loop::Wish Loop::wish() const {
  if (place_.budget && place_.budget->must_stop()) return stop;
  const double wait_s = std::max(options_.checkpoint_interval_s, kLeastWork * writing_took_s_);
  const bool due = trained_.world.root() && base::monotonic_seconds() - saved_s_ >= wait_s;
  return due ? save_state : go_on;
}

bool Loop::ended() const {
  if (std::ssize(result_.curve) >= options_.steps) return true;
  if (hooks_.over && hooks_.over(result_.curve)) return true;
  return options_.patience > 0 && since_best_ >= options_.patience;
}

CurvePoint Loop::step() {
  const auto number = std::ssize(result_.curve);
  const double begin = base::monotonic_seconds();
  auto report = hooks_.step(number);
  const double took_s = base::monotonic_seconds() - begin;
  // The gradient's sum is the same on every rank, so all of them come here or none.
  if (!std::isfinite(report.loss) || !std::isfinite(report.gradient_norm)) {
    throw cluster::CollectiveError(
        base::ExitCode::bad_config,
        base::str(options_.what, " diverged at step ", number, ": loss ", report.loss,
                  ", gradient norm ", report.gradient_norm, "; ", options_.remedy));
  }
  CurvePoint point{.step = number,
                   .loss = report.loss,
                   .gradient_norm = report.gradient_norm,
                   .learning_rate = report.learning_rate,
                   .items_per_s = report.items / took_s,
                   .numbers = std::move(report.numbers)};
  const bool last = number + 1 == options_.steps;
  const bool due = options_.evaluate_every > 0 && (number + 1) % options_.evaluate_every == 0;
  if (hooks_.validate && (last || due)) {
    point.validation = hooks_.validate();
    note_best(point, true);
  }
  return point;
}

// `fresh`: the parameters are those of this point.
void Loop::note_best(const CurvePoint& point, bool fresh) {
  if (std::isnan(point.validation)) return;
  const bool better = options_.higher_is_better ? point.validation > result_.best_validation
                                                : point.validation < result_.best_validation;
  if (result_.best_step >= 0 && !better) {
    ++since_best_;
    return;
  }
  result_.best_validation = point.validation;
  result_.best_step = point.step;
  since_best_ = 0;
  if (fresh && options_.keep_best) result_.best.copy_(trained_.parameters.flat);
}

LoopResult Loop::run() {
  load();
  while (!ended()) {
    const auto decided = static_cast<Wish>(trained_.world.all_reduce_max(wish()));
    if (decided != go_on) save();
    if (decided == stop) {
      for (const auto& reason :
           trained_.world.all_gather(place_.budget ? place_.budget->reason() : ""))
        if (result_.stop_reason.empty()) result_.stop_reason = reason;
      return std::move(result_);
    }
    result_.curve.push_back(step());
    if (hooks_.report) hooks_.report(result_.curve.back());
  }
  save();
  if (options_.keep_best && result_.best_step < 0) result_.best.copy_(trained_.parameters.flat);
  result_.finished = true;
  return std::move(result_);
}

}  // namespace

void add_checkpoint_interval(base::Fields& f, double& interval_s) {
  f.add(
      "checkpoint_interval_s", interval_s,
      {.help = "longest time between two resumable states on disk; longer where writing one takes "
               "more than a twentieth of it",
       .unit = "s",
       .min = 0,
       .max = 86400,
       .role = base::FieldRole::placement});
}

LoopResult run_loop(const Trained& trained, const LoopHooks& hooks, const LoopOptions& options,
                    const LoopPlace& place) {
  return Loop(trained, hooks, options, place).run();
}

}  // namespace preimage::lm
