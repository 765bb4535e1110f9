#include "optimiser.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>

#include "preimage/base/budget.hpp"
#include "preimage/base/error.hpp"
#include "preimage/nn/layers.hpp"
#include "preimage/optim/segments.hpp"

namespace preimage::dcm {

double bytes_per_position(const lm::ModelConfig& model, at::ScalarType dtype) {
  const int64_t turned = (model.query_heads + 2 * model.kv_heads) * model.head_dim * 2;
  const int64_t numbers = 4 * model.hidden_size + turned + 3 * model.intermediate_size;
  return static_cast<double>(model.layers * numbers) * static_cast<double>(c10::elementSize(dtype));
}

double Evaluation::total() const {
  double sum = 0;
  for (const auto& side : sides) sum += side.loss;
  return sum;
}

struct Optimiser::Active {
  SoftPromptProblem problem;
  Trajectory out;
  bool done = false;
  int64_t k() const { return problem.initial.size(0); }
  bool joint() const { return problem.sides.size() == 2; }
};

// Where everything lies in the packed batch; made anew when problems come or go.
struct Optimiser::Layout {
  // The rows of one target of one side of some problems: a problem stands in a group at most once,
  // so that adding its gradient has no order.
  struct Group {
    size_t side;
    at::Tensor positions;  // rows of the inputs that hold content vectors
    at::Tensor c_rows;     // the rows of c they hold
  };
  // Predicted rows of the original target of one side of one problem.
  struct Span {
    size_t problem, side;
    int64_t first, count;
  };
  nn::Packing packing;
  at::Tensor fixed;  // [tokens, d]: embeddings of modes and targets; rows of content are zero
  std::vector<Group> groups;
  at::Tensor predicted;  // rows of the hidden states that predict a token
  at::Tensor targets, weights;
  std::vector<Span> spans;
};

Optimiser::Optimiser(std::shared_ptr<const lm::Model> model, at::Tensor modes,
                     OptimiserOptions options)
    : model_(std::move(model)), modes_(std::move(modes)), options_(std::move(options)) {
  mean_square_ = model_->embedding_table().to(at::kDouble).square().mean().item<double>();
}

Optimiser::~Optimiser() = default;

int64_t Optimiser::tokens_of(const SoftPromptProblem& problem) {
  int64_t tokens = 0;
  for (const auto& side : problem.sides) {
    for (const auto& target : side.targets) {
      // [mode ; c ; y_1 .. y_{n-1}]: the last token is only predicted.
      tokens += problem.initial.size(0) + static_cast<int64_t>(target.ids.size());
    }
  }
  return tokens;
}

int64_t Optimiser::tokens() const {
  int64_t sum = 0;
  for (const auto& active : active_) sum += tokens_of(active->problem);
  return sum;
}

bool Optimiser::empty() const {
  return active_.empty();
}

void Optimiser::add(SoftPromptProblem problem) {
  base::check(problem.sides.size() == 1 || problem.sides.size() == 2,
              "a problem has one side or two");
  const auto initial = problem.initial.to(model_->device(), at::kFloat);
  const auto append = [&](at::Tensor& all, const at::Tensor& rows) {
    all = all.defined() ? at::cat({all, rows}) : rows.clone();
  };
  if (active_.empty()) state_ = {{0}, {}, {}, {}, {}};
  append(state_.values, initial);
  append(state_.first, at::zeros_like(initial));
  append(state_.second, at::zeros_like(initial));
  state_.offsets.push_back(state_.offsets.back() + initial.size(0));
  state_.steps.push_back(0);
  auto active = std::make_unique<Active>();
  active->out.tag = problem.tag;
  active->problem = std::move(problem);
  active_.push_back(std::move(active));
  layout_.reset();
}

void Optimiser::drop(int64_t tag) {
  for (auto& a : active_) a->done |= a->out.tag == tag;
  remove_done();
}

void Optimiser::lay_out() {
  const auto device = model_->device();
  layout_ = std::make_unique<Layout>();
  auto& l = *layout_;
  std::vector<int64_t> lengths, fixed_rows, fixed_ids, mode_rows, mode_ids, predicted, targets;
  std::vector<float> weights;
  int64_t row = 0;
  size_t deepest = 0;
  for (const auto& a : active_) {
    for (const auto& side : a->problem.sides) deepest = std::max(deepest, side.targets.size());
  }
  for (size_t s = 0; s < 2; ++s) {
    for (size_t t = 0; t < deepest; ++t) {
      std::vector<int64_t> positions, c_rows;
      for (size_t p = 0; p < active_.size(); ++p) {
        const auto& problem = active_[p]->problem;
        if (s >= problem.sides.size() || t >= problem.sides[s].targets.size()) continue;
        const auto& target = problem.sides[s].targets[t];
        const int64_t k = active_[p]->k(), n = static_cast<int64_t>(target.ids.size());
        lengths.push_back(k + n);
        mode_rows.push_back(row), mode_ids.push_back(problem.sides[s].mode);
        for (int64_t i = 0; i < k; ++i)
          positions.push_back(row + 1 + i), c_rows.push_back(state_.offsets[p] + i);
        for (int64_t i = 0; i + 1 < n; ++i)
          fixed_rows.push_back(row + 1 + k + i), fixed_ids.push_back(target.ids[i]);
        if (t == 0) l.spans.push_back({p, s, static_cast<int64_t>(targets.size()), n});
        for (int64_t i = 0; i < n; ++i) {
          predicted.push_back(row + k + i);  // rows K .. K + n - 1 predict y_1 .. y_n
          targets.push_back(target.ids[i]);
          weights.push_back(static_cast<float>(target.weight / static_cast<double>(n)));
        }
        row += k + n;
      }
      if (!positions.empty())
        l.groups.push_back({s, at::tensor(positions, at::kLong).to(device),
                            at::tensor(c_rows, at::kLong).to(device)});
    }
  }
  const auto index = [&](const std::vector<int64_t>& v) {
    return at::tensor(v, at::kLong).to(device);
  };
  l.packing = nn::make_packing(lengths, device);
  l.fixed = at::zeros({row, modes_.size(1)}, modes_.options());
  l.fixed.index_copy_(0, index(mode_rows), modes_.index_select(0, index(mode_ids)));
  if (!fixed_rows.empty())
    l.fixed.index_copy_(0, index(fixed_rows), model_->embed(index(fixed_ids)));
  l.predicted = index(predicted);
  l.targets = index(targets);
  l.weights = at::tensor(weights, at::kFloat).to(device);
}

at::Tensor Optimiser::gradients(const at::Tensor& d_inputs, int side) const {
  auto g = at::zeros_like(state_.values);
  for (const auto& group : layout_->groups) {
    if (static_cast<int>(group.side) != side) continue;
    g.index_add_(0, group.c_rows, d_inputs.index_select(0, group.positions).to(at::kFloat));
  }
  return g;
}

void Optimiser::evaluate_and_update() {
  if (!layout_) lay_out();
  const auto& l = *layout_;
  const auto content = state_.values.to(model_->dtype());
  auto inputs = l.fixed.clone();
  for (const auto& group : l.groups)
    inputs.index_copy_(0, group.positions, content.index_select(0, group.c_rows));
  inputs.requires_grad_();
  const auto hidden = model_->hidden(inputs, nn::PackedAttention(l.packing));
  const auto loss = nn::linear_cross_entropy(hidden.index_select(0, l.predicted), model_->head(),
                                             l.targets, l.weights);
  record(loss.nll.to(at::kCPU), loss.greedy.to(at::kCPU));
  if (std::all_of(active_.begin(), active_.end(), [](const auto& a) { return a->done; })) return;
  const auto d_inputs = torch::autograd::grad({loss.loss}, {inputs})[0];
  update(gradients(d_inputs, kQuestion), gradients(d_inputs, kAnswer));
}

void Optimiser::record(const at::Tensor& nll, const at::Tensor& greedy) {
  std::vector<Evaluation> now(active_.size());
  for (const auto& span : layout_->spans) {
    SideEvaluation side;
    const float* values = nll.const_data_ptr<float>() + span.first;
    side.nll.assign(values, values + span.count);
    side.greedy = true;
    for (int64_t i = 0; i < span.count; ++i) {
      side.loss += values[i];
      // A NaN stays: it is below no bound, so nothing that diverged counts as tight.
      if (!(values[i] <= side.max_nll))
        side.max_nll = std::isnan(side.max_nll) ? side.max_nll : values[i];
      side.greedy &= greedy.const_data_ptr<bool>()[span.first + i];
    }
    side.loss /= static_cast<double>(span.count);
    now[span.problem].sides.push_back(std::move(side));  // spans come side by side, in order
  }
  for (size_t p = 0; p < active_.size(); ++p) {
    auto& a = *active_[p];
    if (a.done) continue;
    auto& out = a.out;
    now[p].step = out.steps;
    const double total = now[p].total();
    for (size_t s = 0; s < now[p].sides.size(); ++s) out.loss[s].push_back(now[p].sides[s].loss);
    out.diverged = !std::isfinite(total);
    out.stopped = !out.diverged && a.problem.stop && a.problem.stop(now[p]);
    if (!out.best.defined() || out.stopped || total < out.at_best.total()) {
      const int64_t first = state_.offsets[p];
      out.best =
          state_.values.narrow(0, first, a.k()).to(at::kCPU, /*non_blocking=*/false, /*copy=*/true);
      out.at_best = std::move(now[p]);
    }
    a.done = out.diverged || out.stopped || out.steps == options_.schedule.steps;
  }
}

at::Tensor Optimiser::manifold_gradient() {
  const auto nearest = nearest_tokens(*model_, state_.values);
  const auto to_nearest =
      state_.values - model_->embedding_table().index_select(0, nearest.ids).to(at::kFloat);
  auto factors = at::empty({state_.values.size(0), 1}, at::kFloat);
  const auto distances = nearest.distance2.to(at::kCPU);
  for (size_t p = 0; p < active_.size(); ++p) {
    const int64_t first = state_.offsets[p], k = active_[p]->k();
    const double squares = static_cast<double>(k) * mean_square_;
    factors.narrow(0, first, k).fill_(2 * options_.manifold_lambda / squares);
    double sum = 0;
    for (int64_t i = first; i < first + k; ++i) sum += distances.const_data_ptr<float>()[i];
    if (!active_[p]->done) active_[p]->out.manifold.push_back(sum / squares);
  }
  return to_nearest * factors.to(to_nearest.device());
}

void Optimiser::update(const at::Tensor& g_question, const at::Tensor& g_answer) {
  const auto dots = optim::segment_dot(g_question, g_answer, state_.offsets);
  const auto qq = optim::segment_dot(g_question, g_question, state_.offsets);
  const auto aa = optim::segment_dot(g_answer, g_answer, state_.offsets);
  std::vector<float> q_on_a(static_cast<size_t>(state_.offsets.back())), a_on_q(q_on_a.size());
  std::vector<double> rates;
  for (size_t p = 0; p < active_.size(); ++p) {
    auto& a = *active_[p];
    const int64_t t = a.out.steps;
    const GradientProducts products{dots[p], qq[p], aa[p]};
    if (options_.projected && a.joint()) {
      const auto factors = projection_factors(products);
      for (int64_t i = state_.offsets[p]; i < state_.offsets[p + 1]; ++i) {
        q_on_a[i] = static_cast<float>(factors.q_on_a),
        a_on_q[i] = static_cast<float>(factors.a_on_q);
      }
    }
    rates.push_back(optim::learning_rate(options_.schedule, t));
    if (a.done)
      continue;  // its values still move, but nobody reads them: it leaves at the next compaction
    if (a.joint()) a.out.products.push_back(products);
    a.out.learning_rate.push_back(rates.back());
    if (optim::resets_moments_at(options_.schedule, t)) {
      state_.first.narrow(0, state_.offsets[p], a.k()).zero_();
      state_.second.narrow(0, state_.offsets[p], a.k()).zero_();
      state_.steps[p] = 0;
    }
    ++a.out.steps;
  }
  auto g = g_question + g_answer;
  if (options_.projected) {
    const auto column = [&](const std::vector<float>& v) {
      return at::tensor(v, at::kFloat).unsqueeze(1).to(g.device());
    };
    g = g - g_answer * column(q_on_a) - g_question * column(a_on_q);
  }
  if (options_.manifold_lambda > 0) g = g + manifold_gradient();
  optim::adam_step(state_, g, rates, options_.adam);
}

std::vector<Trajectory> Optimiser::run(int64_t steps) {
  for (int64_t i = 0; i < steps && !active_.empty(); ++i) {
    const double begin = base::monotonic_seconds();
    evaluate_and_update();
    const double share = (base::monotonic_seconds() - begin) / static_cast<double>(active_.size());
    int64_t running = 0;
    for (auto& a : active_) {
      a->out.seconds += share;
      running += !a->done;
    }
    pair_steps_ += static_cast<double>(running);
    if (running == 0) break;
  }
  return remove_done();
}

std::vector<Trajectory> Optimiser::remove_done() {
  std::vector<Trajectory> ended;
  if (std::none_of(active_.begin(), active_.end(), [](const auto& a) { return a->done; }))
    return ended;
  std::vector<std::unique_ptr<Active>> kept;
  std::vector<int64_t> rows, offsets = {0}, counts;
  for (size_t p = 0; p < active_.size(); ++p) {
    auto& a = active_[p];
    if (a->done) {
      ended.push_back(std::move(a->out));
      continue;
    }
    for (int64_t i = state_.offsets[p]; i < state_.offsets[p + 1]; ++i) rows.push_back(i);
    offsets.push_back(static_cast<int64_t>(rows.size()));
    counts.push_back(state_.steps[p]);
    kept.push_back(std::move(a));
  }
  const auto index = at::tensor(rows, at::kLong).to(model_->device());
  for (auto* tensor : {&state_.values, &state_.first, &state_.second})
    *tensor = tensor->index_select(0, index);
  state_.offsets = std::move(offsets);
  state_.steps = std::move(counts);
  active_ = std::move(kept);
  layout_.reset();
  return ended;
}

Nearest nearest_tokens(const lm::Model& model, const at::Tensor& rows) {
  const at::NoGradGuard no_grad;
  // |c - E|^2 = |c|^2 - 2 c E^T + |E|^2, in chunks of rows so that [rows, V] stays small.
  const auto table = model.embedding_table().to(at::kFloat);
  const nn::Weight weight(table);
  const auto norms = table.square().sum(1);
  std::vector<at::Tensor> ids, distances;
  for (int64_t first = 0; first < rows.size(0); first += 256) {
    const auto c = rows.narrow(0, first, std::min<int64_t>(256, rows.size(0) - first)).contiguous();
    const auto scores = norms.unsqueeze(0) - 2 * nn::linear(c, weight);
    const auto best = scores.argmin(1);
    ids.push_back(best);
    distances.push_back((c - table.index_select(0, best)).square().sum(1));
  }
  return {at::cat(ids), at::cat(distances)};
}

}  // namespace preimage::dcm
