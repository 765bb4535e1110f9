#include "evaluation.hpp"

#include <algorithm>
#include <set>

#include "preimage/base/error.hpp"
#include "preimage/eval/prompt_evaluator.hpp"
#include "report/rows.hpp"
#include "task/answers.hpp"

namespace preimage::lipo {
namespace {

constexpr double kLook_s = 0.02;  // at whether the run is stopping
// Tokens of an instruction beyond those of its prompt that the generator leaves room for.
constexpr int64_t kLongestInstruction = 512;

// A unit whose answers are being written.
struct Open {
  run::Unit unit;
  std::string bits;
  int64_t left = 0;
};

store::UnitOutput output_of(const Open& open) {
  EvaluationRow row;
  row.instruction = open.unit.key.at("instruction").get<std::string>();
  row.split = open.unit.key.at("split").get<std::string>();
  row.begin = open.unit.key.at("begin").get<int64_t>();
  row.end = open.unit.key.at("end").get<int64_t>();
  row.bits = open.bits;
  row.wrong = std::count(open.bits.begin(), open.bits.end(), '0');
  store::UnitOutput out;
  out.rows[table::evaluations].push_back(store::to_row(row));
  out.scalars = {{"bits", open.bits}};
  return out;
}

}  // namespace

std::vector<Block> cut_blocks(int64_t items, const std::vector<int64_t>& cuts, int64_t most) {
  std::set<int64_t> ends = {items};
  for (const int64_t cut : cuts) {
    if (cut < items) ends.insert(cut);
  }
  std::vector<Block> out;
  int64_t begin = 0;
  for (const int64_t end : ends) {
    for (; begin < end; begin = out.back().end) out.push_back({begin, std::min(begin + most, end)});
  }
  return out;
}

std::vector<run::Unit> BitTable::missing(const std::string& text, int64_t items) const {
  std::vector<run::Unit> out;
  const auto found = known_.find(text);
  for (const auto& block : blocks_) {
    if (block.begin >= items) break;
    if (found != known_.end() && found->second[static_cast<size_t>(block.begin)] != '?') continue;
    out.push_back(run::make_unit(
        "lipo", "evaluate",
        {{"instruction", text}, {"split", split_}, {"begin", block.begin}, {"end", block.end}}));
    out.back().cost = static_cast<double>(block.end - block.begin);
  }
  return out;
}

void BitTable::add(const std::string& text, int64_t begin, const std::string& bits) {
  auto& row = known_.try_emplace(text, static_cast<size_t>(blocks_.back().end), '?').first->second;
  row.replace(static_cast<size_t>(begin), bits.size(), bits);
}

bool BitTable::knows(const std::string& text, int64_t items) const {
  const auto found = known_.find(text);
  return found != known_.end() &&
         found->second.find('?') >= static_cast<size_t>(items);  // npos is larger
}

int64_t BitTable::wrong(const std::string& text, int64_t items) const {
  base::check(knows(text, items), "an instruction is evaluated before it is counted");
  const auto& row = known_.at(text);
  return std::count(row.begin(), row.begin() + items, '0');
}

int64_t CallLedger::price(const std::string& text, int64_t items) const {
  const auto found = paid_.find(text);
  return std::max<int64_t>(0, items - (found == paid_.end() ? 0 : found->second));
}

int64_t CallLedger::pay(const std::string& text, int64_t items) {
  const int64_t now = price(text, items);
  paid_[text] += now;
  calls_ += now;
  return now;
}

EvaluationStage::EvaluationStage(const TargetConfig& config, const Items& items,
                                 const eval::TextModel& model, const eval::ModelIdentity& identity)
    : config_(config), items_(items), model_(model), identity_(identity) {
  for (const auto* pool : {&items.validation, &items.test}) {
    for (const auto& item : *pool)
      longest_ = std::max(longest_, std::ssize(eval::prompt_ids(model, prompt("", item))));
  }
  longest_ += kLongestInstruction + config.max_new_tokens;
  longest_ = std::min(longest_, model.model->config().max_position_embeddings);
}

std::string EvaluationStage::prompt(const std::string& instruction, const Item& item) const {
  return fill(config_.prompt, {{"question", item.question}, {"instruction", instruction}});
}

const std::vector<Item>& EvaluationStage::of(const std::string& split) const {
  return split == "test" ? items_.test : items_.validation;
}

void EvaluationStage::run(run::Work& work) const {
  const auto stops = eval::stop_ids(model_);
  eval::PromptEvaluatorOptions options;
  options.batch = config_.batch;
  options.longest = longest_;
  options.in_order = false;
  eval::PromptEvaluator evaluator({.model = model_, .identity = identity_, .score = {}}, options);
  struct Place {
    std::string unit;
    int64_t at = 0;  // in its block
    double gold = 0;
  };
  std::map<std::string, Open> open;
  std::map<int64_t, Place> places;  // by ticket
  const auto submit = [&](const run::Unit& unit) {
    const auto& pool = of(unit.key.at("split").get<std::string>());
    const auto text = unit.key.at("instruction").get<std::string>();
    const auto begin = unit.key.at("begin").get<int64_t>(), end = unit.key.at("end").get<int64_t>();
    open[unit.id] = {unit, std::string(static_cast<size_t>(end - begin), '?'), end - begin};
    for (int64_t i = begin; i < end; ++i) {
      const auto& item = pool[static_cast<size_t>(i)];
      eval::PromptRequest request;
      request.prompt = eval::prompt_ids(model_, prompt(text, item));
      request.target = item.answer_text;
      request.max_new_tokens =
          std::min(config_.max_new_tokens, longest_ - std::ssize(request.prompt));
      request.stop_ids = stops;
      places[evaluator.submit(std::move(request))] = {unit.id, i - begin, item.answer};
    }
  };
  for (bool more = true; !work.stopping();) {
    while (more && evaluator.room() > 0) {
      const auto units = work.take(1);
      for (const auto& unit : units) submit(unit);
      more = !units.empty();
    }
    if (!more && evaluator.pending() == 0) return;
    while (const auto done = evaluator.next(kLook_s)) {
      const auto place = places.extract(done->ticket).mapped();
      auto& one = open.at(place.unit);
      const bool right =
          right_number(done->evaluation.answers.front().text, place.gold, config_.extraction);
      one.bits[static_cast<size_t>(place.at)] = right ? '1' : '0';
      if (--one.left > 0) continue;
      work.commit(one.unit, output_of(one));
      open.erase(place.unit);
      if (more && evaluator.room() > 0) break;
    }
  }
  evaluator.cancel();
}

}  // namespace preimage::lipo
