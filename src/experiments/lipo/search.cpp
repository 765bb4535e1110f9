#include "search.hpp"

#include <algorithm>
#include <set>

#include <ATen/ATen.h>

#include "preimage/base/error.hpp"
#include "preimage/base/file.hpp"
#include "preimage/base/str.hpp"
#include "preimage/cluster/session.hpp"
#include "units.hpp"

namespace preimage::lipo {
namespace {

// Rounds of an arm for each of its iterations at most. A round costs at least a call where texts
// that are known are refused, and none where they are not.
constexpr int64_t kRoundsPerIteration = 16, kRoundsWithKnown = 2;

std::vector<ApeStyle> styles_of(const Setup& setup) {
  return setup.words ? setup.words->styles : std::vector<ApeStyle>();
}

std::string cache_file(const std::vector<Instruction>& instructions, int64_t calls) {
  return instructions_json(instructions, calls);
}

}  // namespace

LipoSearch::LipoSearch(run::Context& context, std::shared_ptr<const Setup> setup)
    : context_(context),
      setup_(std::move(setup)),
      stage_(Stage::write),
      evaluation_(setup_->config.target, setup_->items, setup_->model, setup_->identity),
      pool_(setup_->config.ape, styles_of(*setup_)) {
  const auto& c = setup_->config;
  if (!c.runs_hyperband()) {
    std::vector<Instruction> texts;
    for (const auto& one : setup_->known) texts.push_back({std::ssize(texts), one.style, one.text});
    take_instructions(std::move(texts));
  } else if (!setup_->written.instructions.empty()) {
    auto texts = setup_->written.instructions;
    if (std::ssize(texts) > c.ape.num_instructions)
      texts.resize(static_cast<size_t>(c.ape.num_instructions));
    ape_calls_ = setup_->written.calls;
    take_instructions(std::move(texts));
  }
}

// ---- what comes when
// -------------------------------------------------------------------------------------

std::vector<run::Unit> LipoSearch::ask(int64_t) {
  while (stage_ != Stage::done) {
    auto list = units();
    if (!list.empty()) return list;
    advance();
  }
  return {};
}

std::vector<run::Unit> LipoSearch::units() const {
  switch (stage_) {
    case Stage::write:
      return ape_units();
    case Stage::latent:
      if (ground_) return {};
      return {run::make_unit("lipo", "latent_space", {{"instructions", instructions_.size()}})};
    case Stage::propose:
      if (ladder_->proposals_wanted() == 0) return {};
      return {run::make_unit("lipo", "propose",
                             {{"bracket", ladder_->bracket()},
                              {"first", ladder_->next_number()},
                              {"count", ladder_->proposals_wanted()}})};
    case Stage::evaluate: {
      const auto wanted = ladder_->evaluations();
      std::vector<std::string> texts;
      for (const int64_t i : wanted.candidates)
        texts.push_back(instructions_[static_cast<size_t>(i)].text);
      return missing(*bits_, texts, wanted.items);
    }
    case Stage::arms:
      return arm_units();
    case Stage::arm_evaluate:
      return arm_evaluations();
    case Stage::test: {
      std::vector<std::string> texts;
      for (const auto& one : finalists_) texts.push_back(one.text);
      return missing(*test_bits_, texts, setup_->config.items.test);
    }
    case Stage::done:
      break;
  }
  return {};
}

void LipoSearch::advance() {
  switch (stage_) {
    case Stage::write: {
      std::string note;
      ape_calls_ = pool_.calls();
      auto texts = pool_.instructions(note);
      if (!note.empty() && context_.world().root()) context_.log().warn(note);
      if (texts.empty())
        throw cluster::CollectiveError(base::ExitCode::bad_data,
                                       "the model wrote no usable instruction");
      take_instructions(std::move(texts));
      break;
    }
    case Stage::latent:
      if (setup_->config.runs_hyperband()) {
        stage_ = Stage::propose;
      } else {
        begin_arms();
      }
      break;
    case Stage::propose:
      stage_ = Stage::evaluate;
      break;
    case Stage::evaluate:
      ladder_->evaluated(*bits_, instructions_);
      stage_ = Stage::propose;
      if (ladder_->finished()) begin_arms();
      break;
    case Stage::arms:
      begin_test();
      break;
    case Stage::arm_evaluate:
      for (auto& arm : arms_) {
        if (!arm.ended) finish_round(arm);
      }
      stage_ = Stage::arms;
      break;
    default:
      stage_ = Stage::done;
  }
}

void LipoSearch::take_instructions(std::vector<Instruction> instructions) {
  const auto& c = setup_->config;
  instructions_ = std::move(instructions);
  std::vector<int64_t> cuts = {c.items.validation};
  if (c.runs_hyperband()) {
    ladder_ = std::make_unique<Ladder>(c.hyperband, c.items.validation, std::ssize(instructions_));
    cuts = ladder_->fidelities();
  }
  bits_.emplace("validation", cut_blocks(c.items.validation, cuts, c.target.block));
  test_bits_.emplace("test", cut_blocks(c.items.test, {}, c.target.block));
  stage_ = Stage::latent;
}

void LipoSearch::begin_arms() {
  const auto& c = setup_->config;
  auto& ground = *ground_;
  if (ladder_) {
    ground.counts = ladder_->counts();
    ground.start = bo::model_observations(ground.counts, ground.items, c.hyperband);
  } else {
    for (size_t i = 0; i < setup_->known.size(); ++i)
      ground.counts.add({static_cast<int64_t>(i), setup_->known[i].wrong, setup_->known[i].items});
  }
  if (ground.start.empty() || c.gp_fidelities == "all") ground.start = ground.counts.latest();
  auto best = bo::incumbent(ground.counts, ground.items);
  if (!best) best = bo::keep_best(ground.start, 1).front();
  ground.best = best->error();
  ground.best_text = instructions_[static_cast<size_t>(best->candidate)].text;
  if (c.searches()) {
    for (int64_t seed = 0; seed < c.arm_seeds; ++seed) {
      for (const auto& name : c.arms) {
        ArmRun arm{.name = name, .seed = seed, .best_text = ground.best_text};
        arm.history.calls_allowed = c.iterations * ground.items;
        arm.history.best = ground.best;
        if (ladder_) arm.ledger = ladder_->ledger;
        arms_.push_back(std::move(arm));
      }
    }
  }
  stage_ = Stage::arms;
}

// ---- rounds of the arms
// -------------------------------------------------------------------------------------

std::vector<run::Unit> LipoSearch::arm_units() const {
  std::vector<run::Unit> out;
  for (const auto& arm : arms_) {
    if (arm.ended) continue;
    out.push_back(run::make_unit(
        "lipo", "round", {{"arm", arm.name}, {"seed", arm.seed}, {"round", arm.history.round}}));
  }
  return out;
}

std::vector<run::Unit> LipoSearch::arm_evaluations() const {
  if (!setup_->config.evaluate_proposals) return {};
  std::vector<run::Unit> out;
  std::set<std::string> ids;
  for (const auto& arm : arms_) {
    if (arm.ended) continue;
    for (const auto& asked : arm.step.asked) {
      for (auto& unit : bits_->missing(asked.text, asked.items)) {
        if (ids.insert(unit.id).second) out.push_back(std::move(unit));
      }
    }
  }
  return out;
}

void LipoSearch::finish_round(ArmRun& arm) {
  const bool evaluated = setup_->config.evaluate_proposals;
  const int64_t paid_before = arm.ledger.calls();
  auto& history = arm.history;
  for (size_t i = 0; i < arm.step.asked.size(); ++i) {
    const auto& asked = arm.step.asked[i];
    Observation one{.text = asked.text, .items = asked.items};
    if (i == 0) {
      one.embedding = arm.step.embedding;
      one.latent = arm.step.latent;
    }
    if (evaluated) {
      one.wrong = bits_->wrong(asked.text, asked.items);
      arm.asked.push_back({arm.name, arm.seed, history.round, asked.text, asked.items, one.wrong,
                           arm.ledger.pay(asked.text, asked.items)});
      if (asked.items == ground_->items && one.error() < history.best) {
        history.best = one.error();
        arm.best_text = asked.text;
      }
    } else {
      one.predicted = std::clamp(arm.step.numbers.predicted_mean, 0.0, 1.0);
    }
    history.observations.push_back(std::move(one));
  }
  history.calls += arm.ledger.calls() - paid_before;
  auto row = iteration_row(arm.step);
  row.arm = arm.name;
  row.seed = arm.seed;
  row.round = history.round;
  if (evaluated) {
    row.wrong = bits_->wrong(row.text, row.asked_items);
    row.error = static_cast<double>(row.wrong) / static_cast<double>(row.asked_items);
  }
  row.calls = arm.ledger.calls();
  row.best_error = history.best;
  arm.rows.push_back(std::move(row));
  history.parameters = arm.step.parameters;
  ++history.round;
  const auto& c = setup_->config;
  const int64_t each = c.inversion.refuse_known ? kRoundsPerIteration : kRoundsWithKnown;
  if (history.calls >= history.calls_allowed) arm.end = "budget";
  if (history.round >= c.iterations * (evaluated ? each : 1) && arm.end.empty())
    arm.end = evaluated ? "rounds" : "not_evaluated";
  arm.ended = !arm.end.empty();
}

// The last proposal of an arm is looked at on as many items as its calls are enough for, so that
// all arms ask equally often; what is behind it in the round is not asked.
void LipoSearch::fit_to_budget(ArmRun& arm) const {
  if (!setup_->config.evaluate_proposals) return;
  int64_t left = arm.history.calls_allowed - arm.history.calls;
  auto& asked = arm.step.asked;
  for (size_t i = 0; i < asked.size(); ++i) {
    const int64_t price = arm.ledger.price(asked[i].text, asked[i].items);
    if (price > left) {
      asked[i].items -= price - left;
      asked.resize(left > 0 ? i + 1 : i);
      return;
    }
    left -= price;
  }
}

void LipoSearch::tell_arms(const std::vector<run::Told>& results) {
  for (const auto& told : results) {
    const auto name = told.unit.key.at("arm").get<std::string>();
    const auto seed = told.unit.key.at("seed").get<int64_t>();
    for (auto& arm : arms_) {
      if (arm.name != name || arm.seed != seed) continue;
      arm.step = told.quarantined ? ArmStep{.numbers = no_numbers()}
                                  : step_of(told.scalars, told.output());
      fit_to_budget(arm);
      arm.ended = arm.step.asked.empty();
      if (arm.ended) arm.end = told.quarantined ? "quarantined" : "no_new_text";
    }
  }
}

// ---- the run's units
// -------------------------------------------------------------------------------------

std::vector<run::Unit> LipoSearch::ape_units() const {
  std::vector<run::Unit> out;
  for (const int64_t style : pool_.wanting()) {
    out.push_back(run::make_unit("lipo", "write",
                                 {{"style", setup_->words->styles[static_cast<size_t>(style)].name},
                                  {"place", style},
                                  {"batch", pool_.batches(style)}}));
  }
  return out;
}

std::vector<run::Unit> LipoSearch::missing(const BitTable& bits,
                                           const std::vector<std::string>& texts,
                                           int64_t items) const {
  std::vector<run::Unit> out;
  std::set<std::string> seen;
  for (const auto& text : texts) {
    if (!seen.insert(text).second) continue;
    for (auto& unit : bits.missing(text, items)) out.push_back(std::move(unit));
  }
  return out;
}

void LipoSearch::prepare(int64_t) {
  if (stage_ != Stage::latent || !setup_->config.runs_hyperband()) return;
  // Beside the results, so that another run can start from it.
  cluster::on_root(context_.world(), [&] {
    std::filesystem::create_directories(context_.folder());
    base::write_file_atomically(context_.folder() / "ape_instructions.json",
                                cache_file(instructions_, ape_calls_));
    return std::string();
  });
}

void LipoSearch::evaluate(run::Work& work) {
  if (stage_ == Stage::evaluate || stage_ == Stage::arm_evaluate || stage_ == Stage::test)
    return evaluation_.run(work);
  for (;;) {
    const auto units = work.take(1);
    if (units.empty() || work.stopping()) return;
    const auto& unit = units.front();
    store::UnitOutput output;
    if (stage_ == Stage::write) {
      output = write_batch(unit, work);
      if (work.stopping()) return;
    } else if (stage_ == Stage::latent) {
      output = fit_latent_space(unit);
    } else if (stage_ == Stage::propose) {
      output = propose_in_ladder(unit);
    } else {
      output = propose_in_arm(unit);
    }
    work.commit(unit, std::move(output));
  }
}

void LipoSearch::tell_bits(const std::vector<run::Told>& results, BitTable& bits) const {
  for (const auto& told : results) {
    const auto& key = told.unit.key;
    const auto begin = key.at("begin").get<int64_t>(), end = key.at("end").get<int64_t>();
    // Items whose evaluation ends its rank are not answered right.
    bits.add(key.at("instruction").get<std::string>(), begin,
             told.quarantined ? std::string(static_cast<size_t>(end - begin), '0')
                              : told.scalars.at("bits").get<std::string>());
  }
}

void LipoSearch::tell(const std::vector<run::Told>& results) {
  switch (stage_) {
    case Stage::write:
      for (const auto& told : results)
        pool_.add(told.unit.key.at("place").get<int64_t>(),
                  told.quarantined ? std::vector<std::string>()
                                   : told.scalars.at("texts").get<std::vector<std::string>>());
      break;
    case Stage::latent:
      tell_latent_space(results.front());
      break;
    case Stage::propose:
      if (results.front().quarantined)
        throw cluster::CollectiveError(base::ExitCode::bug, "a proposal of Hyperband failed");
      ladder_->propose(proposed_of(results.front().scalars));
      stage_ = Stage::evaluate;
      break;
    case Stage::evaluate:
    case Stage::arm_evaluate:
      tell_bits(results, *bits_);
      break;
    case Stage::arms:
      tell_arms(results);
      stage_ = Stage::arm_evaluate;
      break;
    default:
      tell_bits(results, *test_bits_);
  }
}

}  // namespace preimage::lipo
