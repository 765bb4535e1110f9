#include "report/unit_output.hpp"

#include <algorithm>
#include <cmath>

#include <ATen/ATen.h>

#include "preimage/base/error.hpp"
#include "preimage/lm/generate/generate.hpp"
#include "preimage/text/metrics.hpp"
#include "report/conflict.hpp"
#include "report/curve.hpp"
#include "report/summary.hpp"
#include "report/tables.hpp"

namespace preimage::dcm {
namespace {

// What greedy decoding from (mode, c) gave for one target.
struct Decoded {
  std::string text;
  bool exact = false;
  double f1 = 0;
  double cosine = none;  // with the target; none without a text encoder
  bool repetition = false;
  text::Grade grade = text::Grade::fail;
};

const std::vector<int64_t>& ids_of(const Pair& pair, int mode) {
  return mode == kQuestion ? pair.question_ids : pair.answer_ids;
}
const std::string& text_of(const Pair& pair, int mode) {
  return mode == kQuestion ? pair.question : pair.answer;
}

lm::GenerateRequest decode_request(const Setup& setup, const Pair& pair, int mode,
                                   const at::Tensor& c) {
  lm::GenerateRequest request;
  const auto content = c.to(setup.model->device(), setup.model->dtype());
  request.embeddings = at::cat({setup.modes[mode].unsqueeze(0), content});
  request.max_new_tokens =
      static_cast<int64_t>(ids_of(pair, mode).size()) + setup.config.decode_extra_tokens;
  const int64_t room = setup.model->config().max_position_embeddings - request.embeddings.size(0);
  request.max_new_tokens = std::min(request.max_new_tokens, room);
  request.stop_ids = setup.vocabulary.stop_ids;
  return request;
}

Decoded judge_decode(const Setup& setup, const Pair& pair, int mode,
                     const lm::Completion& completion) {
  Decoded out;
  auto target = ids_of(pair, mode);
  const bool eos = setup.vocabulary.eos >= 0;
  if (eos) target.pop_back();
  auto ids = completion.ids;
  // Without an end token in the target nothing tells the model to stop: the target must come first.
  if (!eos && ids.size() > target.size()) ids.resize(target.size());
  out.exact = ids == target && (!eos || completion.finish_reason == "eos");
  out.text = setup.tokenizer.decode(completion.ids);
  out.f1 = text::token_f1(out.text, text_of(pair, mode));
  out.repetition = text::repeats(completion.ids);
  return out;
}

text::Grade grade_of(const Setup& setup, const Decoded& decoded, const std::string& target) {
  const auto cosine =
      std::isnan(decoded.cosine) ? std::nullopt : std::optional<double>(decoded.cosine);
  const auto grade = text::grade_answer(decoded.text, target, cosine);
  // Where every character matters, words in common are no pass.
  const auto& kind = setup.config.data.kind;
  const bool structured = kind == "arithmetic" || kind == "sudoku" || kind == "arc";
  if (!structured) return grade;
  return decoded.text == target ? text::Grade::pass : std::min(grade, text::Grade::partial);
}

// Cosines and grades of all decodes; `targets` are theirs.
void grade(const Setup& setup, const std::vector<Decoded*>& decoded,
           const std::vector<std::string>& targets) {
  if (setup.cosine) {
    std::vector<TextCosine::Pair> texts;
    for (size_t i = 0; i < decoded.size(); ++i) texts.emplace_back(decoded[i]->text, targets[i]);
    const auto cosines = setup.cosine->of(texts);
    for (size_t i = 0; i < decoded.size(); ++i) decoded[i]->cosine = cosines[i];
  }
  for (size_t i = 0; i < decoded.size(); ++i)
    decoded[i]->grade = grade_of(setup, *decoded[i], targets[i]);
}

// Decodes of every task's chosen solution, side by side: [unit][task][side].
std::vector<std::vector<std::vector<Decoded>>> decode_all(
    const Setup& setup, const std::vector<const UnitInFlight*>& units) {
  std::vector<lm::GenerateRequest> requests;
  for (const auto* unit : units) {
    for (const auto& task : unit->tasks) {
      const auto& best = task.restarts[static_cast<size_t>(task.chosen)].trajectory.best;
      for (const auto& side : task.sides)
        requests.push_back(decode_request(setup, *unit->pair, side.mode, best));
    }
  }
  const auto completions = lm::generate(*setup.model, requests, {});
  std::vector<std::vector<std::vector<Decoded>>> out(units.size());
  size_t next = 0;
  for (size_t u = 0; u < units.size(); ++u) {
    for (const auto& task : units[u]->tasks) {
      auto& sides = out[u].emplace_back();
      for (const auto& side : task.sides)
        sides.push_back(judge_decode(setup, *units[u]->pair, side.mode, completions[next++]));
    }
  }
  std::vector<Decoded*> all;
  std::vector<std::string> targets;
  for (size_t u = 0; u < units.size(); ++u) {
    for (size_t t = 0; t < out[u].size(); ++t) {
      for (size_t s = 0; s < out[u][t].size(); ++s) {
        all.push_back(&out[u][t][s]);
        targets.push_back(text_of(*units[u]->pair, units[u]->tasks[t].sides[s].mode));
      }
    }
  }
  grade(setup, all, targets);
  return out;
}

std::string target_name(const Task& task) {
  return task.sides.size() == 2 ? "both" : task.sides[0].mode == kQuestion ? "question" : "answer";
}

std::vector<double> totals(const Trajectory& t) {
  std::vector<double> out = t.loss[0];
  for (size_t i = 0; i < t.loss[1].size(); ++i) out[i] += t.loss[1][i];
  return out;
}

ConflictReport conflict_of(const Trajectory& t, const ConflictOptions& options) {
  ConflictTrace trace;
  for (const auto& products : t.products)
    trace.kappa.push_back(kappa(products)), trace.ratio.push_back(gradient_ratio(products));
  const auto steps = static_cast<std::ptrdiff_t>(t.products.size());
  trace.loss_q.assign(t.loss[0].begin(), t.loss[0].begin() + steps);
  trace.loss_a.assign(t.loss[1].begin(), t.loss[1].begin() + steps);
  return judge_conflict(trace, options);
}

// Of the per-token losses of one side: the mean without the last token, which is EOS.
double without_eos(const SideEvaluation& side, bool eos) {
  if (!eos) return side.loss;
  if (side.nll.size() < 2) return none;
  double sum = 0;
  for (size_t i = 0; i + 1 < side.nll.size(); ++i) sum += side.nll[i];
  return sum / static_cast<double>(side.nll.size() - 1);
}

double distance(const at::Tensor& a, const at::Tensor& b) {
  return std::sqrt((a - b).to(at::kDouble).square().mean().item<double>());
}

RestartSummary restart_summary(const Task& task) {
  RestartSummary out;
  out.needed = task.needed, out.best = task.chosen;
  std::vector<const Trajectory*> ended;
  for (const auto& r : task.restarts) {
    if (!r.ended) continue;
    ended.push_back(&r.trajectory);
    out.total_steps += r.trajectory.steps;
  }
  out.run = static_cast<int64_t>(ended.size());
  if (ended.size() < 2) return out;
  double sum = 0, count = 0, mean = 0, square = 0;
  for (size_t i = 0; i < ended.size(); ++i) {
    const double total = ended[i]->at_best.total();
    mean += total / static_cast<double>(ended.size());
    for (size_t j = 0; j < i; ++j) sum += distance(ended[i]->best, ended[j]->best), count += 1;
  }
  for (const auto* t : ended) square += std::pow(t->at_best.total() - mean, 2);
  out.distance = sum / count;
  out.loss_spread = std::sqrt(square / static_cast<double>(ended.size() - 1));
  return out;
}

TargetOutcome outcome(const SideEvaluation& side, const Decoded& decoded, double random,
                      double full, double single) {
  return {side.loss, side.max_nll, decoded.exact, random, full, single};
}

UnitColumns unit_columns(const Setup& setup, const UnitInFlight& unit) {
  return {unit.unit.stage, unit.pair->index, unit.pair->id, unit.k, setup.config.init};
}

bool is_tight(const Evaluation& at, const ConvergenceOptions& options) {
  return std::all_of(at.sides.begin(), at.sides.end(),
                     [&](const auto& side) { return side.max_nll < options.tight_nll; });
}

double seconds_of(const Task& task) {
  double sum = 0;
  for (const auto& r : task.restarts) sum += r.trajectory.seconds;
  return sum;
}

// Adds the rows that every stage has: one for each restart, and its curve.
void add_restart_rows(const Setup& setup, const UnitInFlight& unit, const Task& task,
                      store::UnitOutput& out) {
  const auto& c = setup.config;
  const auto& chosen = task.restarts[static_cast<size_t>(task.chosen)].trajectory;
  for (size_t r = 0; r < task.restarts.size(); ++r) {
    const auto& restart = task.restarts[r];
    if (!restart.ended) continue;
    const auto& t = restart.trajectory;
    RestartRow row;
    row.unit = unit_columns(setup, unit);
    row.target = target_name(task);
    row.restart = static_cast<int64_t>(r);
    row.chosen = row.restart == task.chosen;
    for (size_t s = 0; s < task.sides.size(); ++s) {
      const bool question = task.sides[s].mode == kQuestion;
      (question ? row.loss_q : row.loss_a) = t.at_best.sides[s].loss;
      (question ? row.max_nll_q : row.max_nll_a) = t.at_best.sides[s].max_nll;
    }
    row.conv = meets_conv(t.at_best, unit, task, c.convergence);
    row.tight = is_tight(t.at_best, c.convergence);
    row.exact = reproduces(t);
    row.steps = t.steps, row.best_step = t.at_best.step, row.first = restart.first;
    row.curve.report = classify_curve(totals(t));
    if (task.sides.size() == 2) row.conflict.report = conflict_of(t, c.conflict());
    row.distance_to_chosen = distance(t.best, chosen.best);
    row.seconds = t.seconds;
    out.rows[table::restarts].push_back(to_row(row));
    if (c.keep_restart_embeddings)
      out.tensors[tensor::restart_embeddings].push_back(tensor_of(t.best));

    for (size_t i = 0; i < t.loss[0].size(); i += static_cast<size_t>(c.curve_every)) {
      CurveRow curve;
      curve.unit = row.unit, curve.target = row.target, curve.restart = row.restart;
      curve.step = static_cast<int64_t>(i);
      const auto at = [&](const std::vector<double>& v) {
        return i < v.size() ? static_cast<float>(v[i]) : none_f32;
      };
      const bool question_first = task.sides[0].mode == kQuestion;
      curve.learning_rate = at(t.learning_rate), curve.manifold = at(t.manifold);
      curve.loss_q = question_first ? at(t.loss[0]) : none_f32;
      curve.loss_a = question_first ? at(t.loss[1]) : at(t.loss[0]);
      if (i < t.products.size()) {
        curve.kappa = static_cast<float>(kappa(t.products[i]));
        curve.gradient_q = static_cast<float>(std::sqrt(t.products[i].qq));
        curve.gradient_a = static_cast<float>(std::sqrt(t.products[i].aa));
      }
      out.rows[table::curves].push_back(to_row(curve));
    }
  }
}

// Nearest tokens of the solution; returns the mean distance in units of rms(E) sqrt(d), the root
// mean square length of a token's embedding.
double add_nearest_rows(const Setup& setup, const UnitInFlight& unit, const at::Tensor& best,
                        store::UnitOutput& out) {
  const auto nearest = nearest_tokens(*setup.model, best.to(setup.model->device()));
  const auto ids = nearest.ids.to(at::kCPU), distances = nearest.distance2.to(at::kCPU);
  const double length = setup.statistics.rms * std::sqrt(static_cast<double>(best.size(1)));
  double sum = 0;
  for (int64_t slot = 0; slot < best.size(0); ++slot) {
    NearestTokenRow row;
    row.unit = unit_columns(setup, unit);
    row.slot = slot;
    row.token_id = ids.const_data_ptr<int64_t>()[slot];
    row.token = setup.tokenizer.id_to_token(row.token_id).value_or("");
    row.distance = std::sqrt(static_cast<double>(distances.const_data_ptr<float>()[slot])) / length;
    const auto token = setup.statistics.table[row.token_id];
    row.cosine = (at::dot(best[slot], token) / (best[slot].norm() * token.norm())).item<double>();
    sum += row.distance;
    out.rows[table::nearest_tokens].push_back(to_row(row));
  }
  return sum / static_cast<double>(best.size(0));
}

PairRow pair_row(const Setup& setup, const UnitInFlight& unit,
                 const std::vector<Decoded>& decoded) {
  const auto& task = unit.tasks[0];
  const auto& chosen = task.restarts[static_cast<size_t>(task.chosen)];
  const auto& t = chosen.trajectory;
  const auto &q = t.at_best.sides[0], &a = t.at_best.sides[1];
  const auto& b = unit.baselines;
  const bool eos = setup.vocabulary.eos >= 0;
  PairRow row;
  row.unit = unit_columns(setup, unit);
  row.article = unit.pair->article, row.seed = static_cast<int64_t>(setup.seed);
  row.question = unit.pair->question, row.answer = unit.pair->answer;
  row.n_q = static_cast<int64_t>(unit.pair->question_ids.size()),
  row.n_a = static_cast<int64_t>(unit.pair->answer_ids.size());
  row.loss_q = q.loss, row.loss_a = a.loss;
  row.loss_q_without_eos = without_eos(q, eos), row.loss_a_without_eos = without_eos(a, eos);
  row.max_nll_q = q.max_nll, row.max_nll_a = a.max_nll;
  row.random_q = unit.random.q, row.random_a = unit.random.a;
  row.full_q = b.full_q, row.full_q_bos = b.full_q_bos, row.full_a = b.full_a,
  row.full_a_passage = b.full_a_passage;
  row.single_q = b.single_q, row.single_a = b.single_a;
  row.convergence = judge_convergence(outcome(q, decoded[0], row.random_q, b.full_q, b.single_q),
                                      outcome(a, decoded[1], row.random_a, b.full_a, b.single_a),
                                      setup.config.convergence);
  row.steps = t.steps, row.first = chosen.first;
  row.restarts = restart_summary(task);
  row.curve.report = classify_curve(totals(t));
  row.conflict.report = conflict_of(t, setup.config.conflict());
  row.decoded_q = decoded[0].text, row.decoded_a = decoded[1].text;
  row.f1_q = decoded[0].f1, row.f1_a = decoded[1].f1;
  row.cosine_q = decoded[0].cosine, row.cosine_a = decoded[1].cosine;
  row.repetition_q = decoded[0].repetition, row.repetition_a = decoded[1].repetition;
  row.grade_q = text::grade_name(decoded[0].grade),
  row.grade_a = text::grade_name(decoded[1].grade);
  row.grade = text::grade_name(std::min(decoded[0].grade, decoded[1].grade));
  row.seconds = seconds_of(task);
  return row;
}

store::UnitOutput joint_output(const Setup& setup, const UnitInFlight& unit,
                               const std::vector<Decoded>& decoded) {
  store::UnitOutput out;
  const auto& task = unit.tasks[0];
  const auto& best = task.restarts[static_cast<size_t>(task.chosen)].trajectory.best;
  auto row = pair_row(setup, unit, decoded);
  row.nearest_distance = add_nearest_rows(setup, unit, best, out);
  const bool joint = unit.unit.stage == "joint";
  out.rows[joint ? table::pairs : table::sweep_pairs].push_back(to_row(row));
  if (joint) out.tensors[tensor::embeddings].push_back(tensor_of(best));
  add_restart_rows(setup, unit, task, out);
  out.scalars = to_json(summarise(row));
  return out;
}

store::UnitOutput single_output(const Setup& setup, const UnitInFlight& unit,
                                const std::vector<std::vector<Decoded>>& decoded) {
  store::UnitOutput out;
  const bool eos = setup.vocabulary.eos >= 0;
  for (size_t i = 0; i < unit.tasks.size(); ++i) {
    const auto& task = unit.tasks[i];
    const auto& chosen = task.restarts[static_cast<size_t>(task.chosen)];
    const auto& side = chosen.trajectory.at_best.sides[0];
    const auto& text = decoded[i][0];
    const bool question = task.sides[0].mode == kQuestion;
    SingleRow row;
    row.unit = unit_columns(setup, unit);
    row.article = unit.pair->article, row.target = target_name(task),
    row.seed = static_cast<int64_t>(setup.seed);
    row.n = static_cast<int64_t>(ids_of(*unit.pair, task.sides[0].mode).size());
    row.loss = side.loss, row.loss_without_eos = without_eos(side, eos), row.max_nll = side.max_nll;
    row.random = question ? unit.random.q : unit.random.a;
    row.full = question ? unit.baselines.full_q : unit.baselines.full_a;
    row.single = question ? unit.baselines.single_q : unit.baselines.single_a;
    const auto& rule = setup.config.convergence;
    row.conv = meets_rule(row.loss, row.random, row.full, rule);
    row.conv_by_baseline =
        baseline_meets_rule(outcome(side, text, row.random, row.full, row.single), rule);
    row.tight = side.max_nll < rule.tight_nll, row.exact = text.exact;
    row.steps = chosen.trajectory.steps, row.first = chosen.first;
    row.restarts = restart_summary(task);
    row.curve.report = classify_curve(totals(chosen.trajectory));
    row.decoded = text.text, row.f1 = text.f1, row.cosine = text.cosine,
    row.grade = text::grade_name(text.grade);
    row.seconds = seconds_of(task);
    out.rows[table::single].push_back(to_row(row));
    add_restart_rows(setup, unit, task, out);
    out.scalars[question ? "conv_q" : "conv_a"] = row.conv;
    out.scalars[question ? "baseline_q" : "baseline_a"] = row.conv_by_baseline;
  }
  return out;
}

}  // namespace

store::Tensor tensor_of(const at::Tensor& values) {
  const auto flat = values.to(at::kCPU, at::kFloat).contiguous();
  const float* data = flat.const_data_ptr<float>();
  return {flat.sizes().vec(), std::vector<float>(data, data + flat.numel())};
}

SingleSummary single_summary(const base::Json& scalars) {
  const auto get = [&](const char* key) {
    base::check(scalars.contains(key), std::string("a committed single unit has the key ") + key);
    return scalars.at(key).get<bool>();
  };
  return {get("conv_q"), get("conv_a"), get("baseline_q"), get("baseline_a")};
}

std::vector<store::UnitOutput> unit_outputs(const Setup& setup,
                                            const std::vector<const UnitInFlight*>& units) {
  const auto decoded = decode_all(setup, units);
  std::vector<store::UnitOutput> out;
  for (size_t i = 0; i < units.size(); ++i) {
    const auto& unit = *units[i];
    out.push_back(unit.unit.stage == "single" ? single_output(setup, unit, decoded[i])
                                              : joint_output(setup, unit, decoded[i][0]));
  }
  return out;
}

}  // namespace preimage::dcm
