#include "chain.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include <ATen/Parallel.h>

#include "knob_optimiser.hpp"
#include "measure/group_loss.hpp"
#include "measure/nulls.hpp"
#include "preimage/base/budget.hpp"
#include "report/rows.hpp"

namespace preimage::grpo {
namespace {

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

Denominator denominator_named(const std::string& name) {
  return name == "plan"      ? Denominator::plan
         : name == "dr_grpo" ? Denominator::dr_grpo
                             : Denominator::classic;
}

// sum_b weights[b] rows[b], in double precision and in order.
std::vector<float> weighted_sum(const Rows& rows, const std::vector<double>& weights) {
  std::vector<float> out(static_cast<size_t>(rows.size()));
  at::parallel_for(0, rows.size(), 4096, [&](int64_t begin, int64_t end) {
    std::vector<double> sum(static_cast<size_t>(end - begin));
    const auto first = static_cast<size_t>(begin);
    for (size_t b = 0; b < weights.size(); ++b) {
      const auto row = rows.row(static_cast<int64_t>(b)).subspan(first, sum.size());
      for (size_t j = 0; j < sum.size(); ++j) sum[j] += weights[b] * static_cast<double>(row[j]);
    }
    for (size_t j = 0; j < sum.size(); ++j) out[first + j] = static_cast<float>(sum[j]);
  });
  return out;
}

std::vector<float> negated(std::span<const float> values) {
  std::vector<float> out(values.begin(), values.end());
  for (auto& x : out) x = -x;
  return out;
}

// A group with everything that does not depend on the arm.
struct Measured {
  Group group;
  std::vector<double> weights;  // of the configured denominator
  std::vector<float> gradient;  // of the group
  Alignment in, in_dr_grpo;
  double loss = 0, loss_dr_grpo = 0;
  std::vector<SampleRow> samples;  // without what belongs to the step and arm
};

class Chain {
 public:
  Chain(Basis& basis, const ChainInput& input)
      : basis_(basis),
        input_(input),
        config_(input.config->probe),
        directions_(input.extraction->directions),
        gradients_(std::ssize(*input.groups), basis.knobs()),
        base_(0, basis.knobs()) {
    basis_.reset();
    for (const auto& name : input.key.arms) arms_.push_back(arm_named(name));
    optimiser_.emplace(basis_.values(), basis_.decay_mask());
  }

  std::optional<store::UnitOutput> run() {
    const auto& groups = *input_.groups;
    for (size_t k = 0; k < groups.size(); ++k) {
      if (input_.stopping && input_.stopping()) return std::nullopt;
      const double begin = base::monotonic_seconds();
      const auto measured = measure(groups[k]);
      std::ranges::copy(measured.gradient, gradients_.row(static_cast<int64_t>(k)).begin());
      for (const auto& arm : arms_) step(groups[k], measured, arm, begin);
    }
    add_nulls();
    return std::move(out_);
  }

 private:
  bool trained() const { return input_.key.pass == "trained"; }
  Measured measure(const ProbeGroup& group);
  SampleRow sample_row(const ProbeGroup& group, size_t b, const Measured& m,
                       const Basis::Gradients& found) const;
  void add_stripped(const ProbeGroup& group, std::vector<SampleRow>& samples) const;
  void step(const ProbeGroup& group, const Measured& m, const Arm& arm, double begin);
  void update(const std::vector<float>& gradient, const Arm& arm, StepRow& row);
  void add_types(const StepRow& row, const Measured& m);
  void add_nulls();
  void add_null(const std::string& kind, const NullDraws& draws);

  Basis& basis_;
  const ChainInput& input_;
  const ProbeConfig& config_;
  const Directions& directions_;
  std::vector<Arm> arms_;
  Rows gradients_;  // of each group, before projection
  Rows base_;       // NLL gradient of the first base sample of each group
  std::optional<KnobOptimiser> optimiser_;
  std::vector<std::pair<int64_t, Alignment>> observed_;
  store::UnitOutput out_;
};

Measured Chain::measure(const ProbeGroup& group) {
  Measured m;
  std::vector<Sequence> sequences;
  std::vector<double> rewards;
  std::vector<int64_t> lengths;
  for (const auto& s : group.samples) {
    sequences.push_back({s.source->prompt_ids, s.source->completion_ids});
    rewards.push_back(s.source->grade.reward);
    lengths.push_back(std::ssize(s.source->completion_ids));
  }
  const auto found = basis_.gradients(sequences);
  m.group = make_group(rewards);
  // Phase 1's loss: every sample alike.
  if (config_.loss == "nll") m.group.advantages.assign(rewards.size(), 1);
  const int64_t max_new = input_.config->pools.max_new_tokens;
  const auto denominator = denominator_named(config_.denominator);
  const auto scale = config_.loss == "nll" && denominator == Denominator::classic
                         ? Denominator::plan
                         : denominator;
  m.weights = loss_weights(m.group, lengths, scale, max_new);
  const auto dr_grpo = loss_weights(m.group, lengths, Denominator::dr_grpo, max_new);
  for (size_t b = 0; b < sequences.size(); ++b) {
    m.loss += m.weights[b] * found.nll[b];
    m.loss_dr_grpo += dr_grpo[b] * found.nll[b];
  }
  m.gradient = weighted_sum(found.rows, m.weights);
  m.in = align(m.gradient, directions_);
  m.in_dr_grpo = align(weighted_sum(found.rows, dr_grpo), directions_);
  observed_.emplace_back(group.step, m.in);
  bool first_base = true;
  for (size_t b = 0; b < sequences.size(); ++b) {
    m.samples.push_back(sample_row(group, b, m, found));
    if (!group.samples[b].base || !first_base) continue;
    const auto row = found.rows.row(static_cast<int64_t>(b));
    base_.append(row);
    first_base = false;
  }
  if (!trained()) add_stripped(group, m.samples);
  return m;
}

SampleRow Chain::sample_row(const ProbeGroup& group, size_t b, const Measured& m,
                            const Basis::Gradients& found) const {
  const auto& source = *group.samples[b].source;
  const auto& labels = source.grade.labels;
  SampleRow row;
  row.pass = input_.key.pass, row.step = group.step, row.sample_id = static_cast<int64_t>(b);
  row.src_pool = source.pool, row.src_step = source.step, row.src_sample = source.index;
  row.reward = source.grade.reward;
  row.hacked = labels.hacked(), row.strict_hack = labels.strict_hack();
  row.gt_pass = labels.gt_pass, row.fmt_ok = labels.fmt_ok;
  row.prompt_len = std::ssize(source.prompt_ids), row.comp_len = std::ssize(source.completion_ids);
  row.adv = m.group.advantages[b];
  row.loss = m.weights[b] * found.nll[b];
  const auto g = found.rows.row(static_cast<int64_t>(b));
  const auto nll = align(g, directions_);
  row.cos_nll = nll.cos_sgn, row.cos_nll_global = nll.cos_sgn_global;
  row.cos_nll_stripped = not_a_number;
  const double weight = m.weights[b];
  row.grad_norm_contrib = std::abs(weight) * norm(g);
  if (weight == 0) {  // no contribution, so no cosine: not 0
    row.cos_s_contrib = row.cos_sgn = row.cos_in_global = row.cos_sgn_global = not_a_number;
    return row;
  }
  const auto contribution = weight > 0 ? nll : align(negated(g), directions_);
  row.cos_s_contrib = contribution.cos_in, row.cos_sgn = contribution.cos_sgn;
  row.cos_in_global = contribution.cos_in_global;
  row.cos_sgn_global = contribution.cos_sgn_global;
  return row;
}

// The teacher's completions behind the prompt without the hint: pool, prompt and policy are mixed
// up in the groups, and this takes the prompt out.
void Chain::add_stripped(const ProbeGroup& group, std::vector<SampleRow>& samples) const {
  std::vector<Sequence> sequences;
  std::vector<size_t> places;
  for (size_t b = 0; b < group.samples.size(); ++b) {
    if (group.samples[b].bare.empty()) continue;
    sequences.push_back({group.samples[b].bare, group.samples[b].source->completion_ids});
    places.push_back(b);
  }
  if (sequences.empty()) return;
  const auto found = basis_.gradients(sequences);
  for (size_t i = 0; i < places.size(); ++i)
    samples[places[i]].cos_nll_stripped =
        align(found.rows.row(static_cast<int64_t>(i)), directions_).cos_sgn;
}

void Chain::step(const ProbeGroup& group, const Measured& m, const Arm& arm, double begin) {
  StepRow row{arm.name, input_.key.pass, group.step};
  row.skipped = config_.loss == "grpo" && m.group.flat();
  row.reward_mean = m.group.mean, row.reward_range = m.group.range;
  row.base_reward_max = not_a_number;
  for (const auto& s : group.samples)
    if (s.base) row.base_reward_max = std::fmax(row.base_reward_max, s.source->grade.reward);
  row.loss = m.loss, row.loss_dr_grpo = m.loss_dr_grpo;
  row.cos_in = m.in.cos_in, row.cos_sgn = m.in.cos_sgn;
  row.cos_in_global = m.in.cos_in_global, row.cos_sgn_global = m.in.cos_sgn_global;
  row.cos_in_dr_grpo = m.in_dr_grpo.cos_in, row.cos_sgn_dr_grpo = m.in_dr_grpo.cos_sgn;
  row.frac_fired = m.in.frac_fired;
  row.grad_norm = norm(std::span<const float>(m.gradient));
  row.cos_out = row.cos_out_global = not_a_number;
  row.leak = row.leak_sgn = row.update_norm = not_a_number;
  row.k_mean = directions_.mean_k();
  auto gradient = m.gradient;
  if (arm.projects && !row.skipped) {
    const auto projected = project(gradient, directions_, arm.projection);
    row.cos_out = projected.after.cos_in, row.cos_out_global = projected.after.cos_in_global;
    row.over_projected = projected.over_projected;
  }
  if (trained() && config_.keep_adapters)
    out_.tensors[tensor::adapters].push_back({{basis_.knobs()}, host_copy(basis_.values())});
  if (trained() && !row.skipped) update(gradient, arm, row);
  row.seconds = base::monotonic_seconds() - begin;
  out_.rows[table::steps].push_back(store::to_row(row));
  add_types(row, m);
  for (auto sample : m.samples) {
    sample.arm = arm.name;
    sample.mean_cos_in = row.cos_in, sample.mean_cos_out = row.cos_out;
    sample.frac_fired = row.frac_fired, sample.leak = row.leak, sample.k_mean = row.k_mean;
    out_.rows[table::samples].push_back(store::to_row(sample));
  }
}

void Chain::update(const std::vector<float>& gradient, const Arm& arm, StepRow& row) {
  row.learning_rate = config_.lr;
  KnobStepOptions options{config_.lr, config_.adam, config_.momentum, arm.remedy, arm.projection};
  const auto found = optimiser_->step(basis_.values(), gradient, directions_, options);
  row.leak = found.cos_in, row.leak_sgn = found.cos_sgn, row.update_norm = found.norm;
}

void Chain::add_types(const StepRow& step_row, const Measured& m) {
  struct Sums {
    double modules = 0, counted = 0, fired = 0, cos_in = 0, cos_sgn = 0;
  };
  std::map<std::string, Sums> types;
  for (const auto& module : directions_.modules) {
    auto& sums = types[module.span.type];
    sums.modules += 1;
    const auto found = align_module(module.span.of(std::span<const float>(m.gradient)), module);
    if (std::isnan(found.cos_in)) continue;
    sums.counted += 1;
    sums.fired += found.cos_in > 1e-6 ? 1 : 0;
    sums.cos_in += found.cos_in, sums.cos_sgn += found.cos_sgn;
  }
  for (const auto& [type, sums] : types) {
    ModuleTypeRow row{step_row.arm, step_row.pass, step_row.step, type,
                      static_cast<int64_t>(sums.modules)};
    row.frac_fired = sums.fired / sums.modules;
    row.cos_in = sums.counted > 0 ? sums.cos_in / sums.counted : not_a_number;
    row.cos_sgn = sums.counted > 0 ? sums.cos_sgn / sums.counted : not_a_number;
    out_.rows[table::module_types].push_back(store::to_row(row));
  }
}

void Chain::add_nulls() {
  const auto& c = input_.config->nulls;
  for (const auto& kind : {NullKind::random, NullKind::shuffled, NullKind::anisotropic}) {
    if (std::ranges::find(c.kinds, null_name(kind)) == c.kinds.end()) continue;
    const Rows* material = kind == NullKind::shuffled      ? &input_.extraction->pair_gradients
                           : kind == NullKind::anisotropic ? &base_
                                                           : nullptr;
    if (material && material->count() < 2) continue;  // phase 1: one pool, no base samples
    add_null(null_name(kind),
             draw_null(kind, {&directions_, &gradients_, material, c.draws, input_.seed}));
  }
  if (!input_.style) return;
  NullDraws style(1);
  for (int64_t k = 0; k < gradients_.count(); ++k)
    style[0].push_back(align(gradients_.row(k), *input_.style));
  add_null("style", style);
}

void Chain::add_null(const std::string& kind, const NullDraws& draws) {
  const std::pair<const char*, double Alignment::*> measures[] = {
      {"cos_in", &Alignment::cos_in},
      {"cos_sgn", &Alignment::cos_sgn},
      {"cos_in_global", &Alignment::cos_in_global},
      {"cos_sgn_global", &Alignment::cos_sgn_global},
      {"frac_fired", &Alignment::frac_fired}};
  for (const auto& arm : arms_) {
    for (size_t d = 0; d < draws.size(); ++d) {
      for (size_t k = 0; k < draws[d].size(); ++k) {
        const auto& a = draws[d][k];
        NullRow row{arm.name, input_.key.pass, kind, static_cast<int64_t>(d), observed_[k].first};
        row.cos_in = a.cos_in, row.cos_sgn = a.cos_sgn, row.frac_fired = a.frac_fired;
        row.cos_in_global = a.cos_in_global, row.cos_sgn_global = a.cos_sgn_global;
        out_.rows[table::nulls].push_back(store::to_row(row));
      }
    }
    for (const auto& [name, measure] : measures) {
      NullDraws observed(1);
      for (const auto& [step, alignment] : observed_) observed[0].push_back(alignment);
      const double value = summarise(observed, measure).mean;
      const auto null = summarise(draws, measure);
      const auto test = test_against(draws, measure, value);
      NullTestRow row{arm.name, input_.key.pass, kind, name, value, null.mean, null.deviation};
      row.z = test.z, row.p = test.p, row.at_least = test.at_least, row.draws = null.draws;
      out_.rows[table::null_tests].push_back(store::to_row(row));
    }
  }
}

}  // namespace

std::vector<ChainKey> chain_keys(const ProbeConfig& config) {
  std::vector<ChainKey> out;
  for (const auto& pass : config.passes) {
    std::vector<ChainKey> frozen;
    for (const auto& name : config.arms) {
      const auto basis = arm_named(name).basis;
      if (pass == "trained") {
        out.push_back({basis, pass, {name}});
        continue;
      }
      const auto found = std::ranges::find(frozen, basis, &ChainKey::basis);
      if (found != frozen.end()) {
        found->arms.push_back(name);
      } else {
        frozen.push_back({basis, pass, {name}});
      }
    }
    out.insert(out.end(), frozen.begin(), frozen.end());
  }
  return out;
}

std::optional<store::UnitOutput> run_chain(Basis& basis, const ChainInput& input) {
  return Chain(basis, input).run();
}

}  // namespace preimage::grpo
