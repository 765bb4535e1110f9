// The end of a run: the winners on untouched items, and what all that was folded comes to.
#include <algorithm>
#include <chrono>
#include <ctime>
#include <filesystem>
#include <map>

#include "../search.hpp"
#include "preimage/base/file.hpp"
#include "preimage/base/statistics.hpp"
#include "preimage/base/str.hpp"

namespace preimage::lipo {
namespace {

constexpr const char* kHyperbandBest = "hyperband_best";

std::string timestamp() {
  const auto now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  std::tm parts{};
  gmtime_r(&now, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y%m%d_%H%M%S", &parts);
  return text;
}

std::string source_of(const ArmRun& arm) {
  return base::str(arm.name, " ", arm.seed);
}

}  // namespace

void LipoSearch::begin_test() {
  finalists_.clear();
  for (const auto& text : setup_->config.baselines)
    finalists_.push_back({.source = "baseline", .text = text});
  if (ladder_ && ladder_->first_choice() >= 0)
    finalists_.push_back(
        {.source = "first_look",
         .text = instructions_[static_cast<size_t>(ladder_->first_choice())].text});
  finalists_.push_back({.source = kHyperbandBest, .text = ground_->best_text});
  for (const auto& arm : arms_)
    finalists_.push_back({.source = source_of(arm), .text = arm.best_text});
  stage_ = Stage::test;
}

void LipoSearch::add_pool(store::UnitOutput& out) const {
  std::map<int64_t, bo::ErrorCount> latest;
  for (const auto& one : ground_->counts.latest()) latest[one.candidate] = one;
  for (const auto& one : instructions_) {
    InstructionRow row{one.id, one.style, one.text};
    if (const auto found = latest.find(one.id); found != latest.end()) {
      row.wrong = found->second.wrong;
      row.items = found->second.items;
    }
    out.rows[table::instructions].push_back(store::to_row(row));
  }
  if (!ladder_) return;
  std::map<std::pair<int64_t, int64_t>, int64_t> candidates;
  for (const auto& e : ladder_->entries()) ++candidates[{e.bracket, e.stage}];
  for (const auto& e : ladder_->entries()) {
    out.rows[table::hyperband].push_back(store::to_row(HyperbandRow{
        e.bracket, e.stage, candidates[{e.bracket, e.stage}], e.items, e.candidate, e.number,
        e.by_model, e.score, e.wrong, static_cast<double>(e.wrong) / static_cast<double>(e.items),
        e.calls, e.kept}));
  }
}

void LipoSearch::add_arms(store::UnitOutput& out) const {
  const int64_t items = setup_->config.items.test;
  const auto test = [&](const std::string& text) {
    const int64_t wrong = test_bits_->wrong(text, items);
    return std::pair(wrong, base::wilson(wrong, items));
  };
  for (auto one : finalists_) {
    const auto [wrong, interval] = test(one.text);
    one.wrong = wrong;
    one.items = items;
    one.error = interval.estimate;
    one.low = interval.low;
    one.high = interval.high;
    out.rows[table::finalists].push_back(store::to_row(one));
  }
  const auto& reference = test_bits_->bits(ground_->best_text);
  const auto row_of = [&](const std::string& text) {
    const auto [wrong, interval] = test(text);
    int64_t only_first = 0, only_second = 0;
    const auto& bits = test_bits_->bits(text);
    for (size_t i = 0; i < bits.size(); ++i) {
      only_first += bits[i] == '1' && reference[i] == '0' ? 1 : 0;
      only_second += bits[i] == '0' && reference[i] == '1' ? 1 : 0;
    }
    ArmRow row{.text = text, .test_wrong = wrong, .test_items = items};
    row.test_error = interval.estimate;
    row.low = interval.low;
    row.high = interval.high;
    row.gain = static_cast<double>(only_first - only_second) / static_cast<double>(items);
    row.p = base::mcnemar_exact(only_first, only_second);
    return row;
  };
  const int64_t hyperband_calls = ladder_ ? ladder_->ledger.calls() : 0;
  auto start = row_of(ground_->best_text);
  start.arm = kHyperbandBest;
  start.calls = hyperband_calls;
  start.validation_error = ground_->best;
  out.rows[table::arms].push_back(store::to_row(start));
  for (const auto& arm : arms_) {
    auto row = row_of(arm.best_text);
    row.arm = arm.name;
    row.seed = arm.seed;
    row.rounds = arm.history.round;
    row.calls = arm.ledger.calls();
    row.own_calls = arm.history.calls;
    row.end = arm.end;
    row.validation_error = arm.history.best;
    out.rows[table::arms].push_back(store::to_row(row));
  }
  for (const auto& arm : arms_)
    for (const auto& one : arm.asked) out.rows[table::asked].push_back(store::to_row(one));
  // By round and then by arm, as their units were committed.
  int64_t rounds = 0;
  for (const auto& arm : arms_) rounds = std::max(rounds, std::ssize(arm.rows));
  for (int64_t round = 0; round < rounds; ++round) {
    for (const auto& arm : arms_) {
      if (round < std::ssize(arm.rows))
        out.rows[table::iterations].push_back(store::to_row(arm.rows[static_cast<size_t>(round)]));
    }
  }
}

void LipoSearch::add_comparisons(store::UnitOutput& out) const {
  // The text of each repetition of an arm.
  std::map<std::string, std::vector<std::string>> texts;
  std::vector<std::string> names;
  for (const auto& arm : arms_) {
    if (!texts.contains(arm.name)) names.push_back(arm.name);
    texts[arm.name].push_back(arm.best_text);
  }
  std::vector<std::string> controls = {kHyperbandBest};
  texts[kHyperbandBest].assign(static_cast<size_t>(setup_->config.arm_seeds), ground_->best_text);
  for (const char* control : {"hyperband", "random_latent"}) {
    if (texts.contains(control)) controls.emplace_back(control);
  }
  for (const auto& arm : names) {
    for (const auto& control : controls) {
      if (arm == control) continue;
      ComparisonRow row{.arm = arm, .control = control, .pairs = std::ssize(texts[arm])};
      std::vector<std::vector<double>> differences;
      for (size_t r = 0; r < texts[arm].size(); ++r) {
        const auto &own = test_bits_->bits(texts[arm][r]),
                   &other = test_bits_->bits(texts[control][r]);
        auto& values = differences.emplace_back();
        int64_t sum = 0;
        for (size_t i = 0; i < own.size(); ++i) {
          const int difference = (own[i] == '0') - (other[i] == '0');
          values.push_back(difference);
          sum += difference;
        }
        row.better += sum < 0 ? 1 : 0;
        row.worse += sum > 0 ? 1 : 0;
      }
      const auto interval = base::replicate_bootstrap(
          differences, {setup_->seed, base::str(arm, " ", control), "comparison"});
      row.difference = interval.estimate;
      row.low = interval.low;
      row.high = interval.high;
      out.rows[table::comparisons].push_back(store::to_row(row));
    }
  }
}

// The plan's JSON result; the first repetition of the first arm stands for "inference".
void LipoSearch::write_result() const {
  const auto& q = vae_quality_;
  const int64_t hyperband_calls = ladder_ ? ladder_->ledger.calls() : 0;
  base::Json result = {{"timestamp", timestamp()},
                       {"vae_quality_metrics",
                        {{"cosine_mean", q.cosine_mean},
                         {"cosine_std", q.cosine_std},
                         {"kld_mean", q.kl_mean},
                         {"active_dims", q.active_units},
                         {"total_dims", q.latent_dim}}},
                       {"config", context_.config().at("lipo")},
                       {"vae_training",
                        {{"epochs_trained", q.epochs},
                         {"final_recon_loss", last_epoch_.reconstruction},
                         {"final_kl_loss", last_epoch_.kl},
                         {"early_stopped", q.early_stopped}}},
                       {"ape", {{"instructions", instructions_.size()}, {"llm_calls", ape_calls_}}},
                       {"hyperband",
                        {{"best_instruction", ground_->best_text},
                         {"best_error", ground_->best},
                         {"llm_calls", hyperband_calls}}},
                       {"total_llm_calls", hyperband_calls}};
  if (!arms_.empty()) {
    const auto& arm = arms_.front();
    auto history = base::Json::array();
    for (const auto& row : arm.rows)
      history.push_back({{"iteration", row.round},
                         {"instruction", row.text},
                         {"predicted_error", row.predicted_mean},
                         {"actual_error", row.error},
                         {"gap", row.gap_align},
                         {"log_ei", row.acquisition}});
    result["inference"] = {{"arm", arm.name},
                           {"best_instruction", arm.best_text},
                           {"best_error", arm.history.best},
                           {"improvement", ground_->best - arm.history.best},
                           {"iterations", arm.history.round},
                           {"llm_calls", arm.history.calls},
                           {"history", std::move(history)}};
    result["total_llm_calls"] = hyperband_calls + arm.history.calls;
  }
  std::filesystem::create_directories(context_.folder());
  base::write_file_atomically(context_.folder() / "result.json", result.dump(2) + "\n");
}

store::UnitOutput LipoSearch::finish() {
  store::UnitOutput out;
  add_pool(out);
  add_arms(out);
  add_comparisons(out);
  write_result();
  return out;
}

}  // namespace preimage::lipo
