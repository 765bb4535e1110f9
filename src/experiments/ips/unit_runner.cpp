#include "unit_runner.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include <ATen/ATen.h>

#include "arms/operators.hpp"
#include "preimage/base/error.hpp"
#include "preimage/base/sha256.hpp"
#include "preimage/base/str.hpp"
#include "preimage/data/gzip.hpp"
#include "preimage/lm/generate/generate.hpp"
#include "preimage/lm/target_loss.hpp"
#include "preimage/text/copying.hpp"
#include "preimage/text/normal_code.hpp"
#include "preimage/text/repetition_request.hpp"
#include "report/rows.hpp"

namespace preimage::ips {
namespace {

constexpr double kLook_s = 0.02;  // at whether the run is stopping
constexpr double kNatsOfBit = 0.693147180559945309417;
// Two requests of the evaluator for each prompt: its answer, and its own loss.
constexpr int64_t kRequests = 2;
// R5: sequences of the largest batch, and tokens of a prompt that go through the model at once.
constexpr size_t kCrowd = 8;
constexpr int64_t kPiece = 16;
constexpr int64_t kWhole = 4096;

const Target& target_of(const Setup& setup, const run::Unit& unit) {
  return setup.targets[unit.key.at("index").get<size_t>()];
}

// Random numbers of samples: exact in JSON and in float64 wherever it is shown.
uint64_t sampling_seed(uint64_t seed, const run::Unit& unit) {
  const base::RandomStream stream(seed, unit.id, "proposals");
  return (uint64_t{stream.bits(0)} << 21) | (stream.bits(1) >> 11);
}

}  // namespace

std::string ids_hash(const std::vector<int64_t>& ids) {
  return base::sha256_hex(base::Json(ids).dump()).substr(0, 32);
}

UnitRunner::UnitRunner(const Setup& setup) : setup_(setup) {
  for (const auto& target : setup.targets)
    matchers_.emplace(target.id, Matcher{text::SequenceMatcher(std::span(target.ids)), &target});
}

// What needs the probes, which are known after the first wave.
void UnitRunner::open(const std::vector<TargetFacts>& facts) {
  if (evaluator_) return;
  std::vector<eval::CodeTarget> targets;
  int64_t longest = 0;
  for (size_t i = 0; i < setup_.targets.size(); ++i) {
    const auto& target = setup_.targets[i];
    targets.push_back({target.id, eval::parse_language(target.language), target.normal,
                       target.entry_point, facts[i].probes});
    longest = std::max(longest, longest_sequence(setup_, target));
  }
  judge_ = std::make_unique<eval::CodeJudge>(setup_.judge(), std::move(targets));
  eval::PromptEvaluatorOptions options;
  options.batch = setup_.config.generation.batch;
  options.longest = longest;
  options.margins = true;
  options.in_order = false;
  evaluator_ = std::make_unique<eval::PromptEvaluator>(
      eval::PromptEvaluatorParts{
          setup_.model, setup_.identity,
          [this](const eval::PromptRequest& request, const eval::Answer& answer) {
            return score(request, answer);
          },
          judge_.get()},
      options);
}

base::Json UnitRunner::score(const eval::PromptRequest& request, const eval::Answer& answer) const {
  const auto& matcher = matchers_.at(request.target);
  const auto normal = text::normal_code(answer.text);
  const auto ids = setup_.model.tokenizer.encode(normal, {.parse_special = false});
  const auto longest = std::max(matcher.ids.size(), std::ssize(ids));
  const auto common = matcher.ids.lcs_length(std::span(ids));
  return {{"lcs", longest == 0 ? 1.0 : static_cast<double>(common) / static_cast<double>(longest)},
          {"edit", text::edit_similarity(normal, matcher.target->normal)}};
}

void UnitRunner::submit(const run::Unit& unit, const std::vector<TargetFacts>& facts) {
  open(facts);
  const auto& target = target_of(setup_, unit);
  auto pending = std::make_shared<Pending>(Pending{unit, {}, {}});
  eval::PromptRequest answer;
  answer.prompt = unit.key.at("ids").get<std::vector<int64_t>>();
  answer.target = target.id;
  answer.n = unit.stage == stage::evaluate ? 1 : 0;
  answer.max_new_tokens = answer_limit(setup_, target);
  answer.stop_ids = setup_.stop_ids;
  answer.target_ids = target.answer_ids;
  by_ticket_[evaluator_->submit(answer)] = {pending, false};

  const auto own = prompt_tokens(setup_.model.tokenizer, unit.key.at("prompt").get<std::string>());
  if (own.empty()) {
    pending->prompt.emplace();  // nothing to read: its loss is 0
    return;
  }
  eval::PromptRequest prompt;
  prompt.prompt = {start_id(setup_.model)};
  prompt.n = 0;
  prompt.target_ids = own;
  by_ticket_[evaluator_->submit(prompt)] = {pending, true};
}

void UnitRunner::take_result(eval::Evaluated done, run::Work& work) {
  const auto found = by_ticket_.find(done.ticket);
  const auto [pending, own] = found->second;
  by_ticket_.erase(found);
  (own ? pending->prompt : pending->answer) = std::move(done.evaluation);
  if (pending->answer && pending->prompt) work.commit(pending->unit, evaluated(*pending));
}

void UnitRunner::take_answer(const Target& target, const eval::Answer& answer, Terms& terms) const {
  const auto& found = answer.terms;
  terms.lcs = found.at("lcs").get<double>();
  terms.edit = found.at("edit").get<double>();
  terms.exact = found.at("exact").get<bool>();
  // Of languages without a parser here: equality of tokens, which is weaker.
  const bool parsed = target.language == "python";
  terms.ast = found.at(parsed ? "ast" : "tok_eq").get<bool>();
  terms.ast_renamed = parsed && found.at("ast_renamed").get<bool>();
  if (!found.at("exec").is_null()) terms.exec = found.at("exec").get<double>();
  terms.probes = std::ssize(judge_->target(target.id).probes);
  terms.stop = answer.stop;
  terms.hash = ids_hash(answer.ids);
  terms.tokens = answer.tokens;
  terms.margin = answer.margin;
}

void UnitRunner::take_prompt(const Target& target, const run::Unit& unit, Terms& terms) const {
  const auto prompt = unit.key.at("prompt").get<std::string>();
  terms.prompt_tokens = std::ssize(prompt_tokens(setup_.model.tokenizer, prompt));
  terms.template_tokens = std::ssize(unit.key.at("ids"));
  const auto copied = text::copying(prompt, target.normal);
  terms.overlap = copied.overlap;
  terms.longest_run = copied.longest_run;
  terms.code_tokens = copied.target_tokens;
  terms.cosine = cosine((*setup_.embedding)({prompt}).front(),
                        setup_.target_vectors[unit.key.at("index").get<size_t>()]);
  terms.asks_repetition = text::asks_for_repetition(prompt);
}

store::UnitOutput UnitRunner::evaluated(const Pending& pending) const {
  const auto& target = target_of(setup_, pending.unit);
  store::UnitOutput out;
  Terms terms;
  take_prompt(target, pending.unit, terms);
  terms.nll = pending.answer->nll;
  terms.greedy = pending.answer->target_greedy;
  terms.prompt_nll = pending.prompt->nll;
  terms.decoded = !pending.answer->answers.empty();
  if (terms.decoded) {
    const auto& answer = pending.answer->answers.front();
    take_answer(target, answer, terms);
    CompletionRow row{target.id,
                      pending.unit.key.at("prompt").get<std::string>(),
                      base::Json(answer.ids).dump(),
                      answer.text,
                      terms.hash,
                      pending.answer->seconds};
    out.rows[table::completions].push_back(store::to_row(row));
  } else {
    terms.lcs = terms.edit = kUndefined;
  }
  out.scalars = terms.to_json();
  return out;
}

void UnitRunner::run(run::Work& work, const std::vector<TargetFacts>& facts) {
  for (bool more = true; !work.stopping();) {
    while (more && !work.stopping() && (!evaluator_ || evaluator_->room() > kRequests)) {
      const auto units = work.take(1);
      more = !units.empty();
      for (const auto& unit : units) {
        if (auto output = alone(unit)) {
          work.commit(unit, std::move(*output));
        } else {
          submit(unit, facts);
        }
      }
    }
    if (!more && by_ticket_.empty()) return;
    while (auto done = evaluator_->next(kLook_s)) {
      take_result(std::move(*done), work);
      if (more && evaluator_->room() > kRequests) break;
    }
  }
  if (evaluator_) evaluator_->cancel();
  by_ticket_.clear();
}

std::optional<store::UnitOutput> UnitRunner::alone(const run::Unit& unit) const {
  if (unit.stage == stage::target) return target(unit);
  if (unit.stage == stage::gradient) return gradient(unit);
  if (unit.stage == stage::propose) return propose(unit);
  if (unit.stage == stage::prefer) return prefer(unit);
  if (unit.stage == stage::repeat) return repeat(unit);
  return std::nullopt;
}

store::UnitOutput UnitRunner::target(const run::Unit& unit) const {
  const auto& one = target_of(setup_, unit);
  TargetFacts facts;
  const auto language = eval::parse_language(one.language);
  if (setup_.config.probes > 0 && language == eval::Language::python) {
    std::vector<eval::CodeTarget> targets = {{one.id, language, one.normal, one.entry_point, {}}};
    eval::make_probes(setup_.judge(), targets,
                      {.most = setup_.config.probes,
                       .least = setup_.config.accept.least_probes,
                       .calls = one.calls});
    facts.probes = targets.front().probes;
  }
  const auto losses =
      lm::target_loss(*setup_.model.model, {{{start_id(setup_.model)}, {}, one.answer_ids}}, {});
  facts.bits = losses.front().sum / kNatsOfBit;
  facts.gzip_bytes = std::ssize(data::gzip(one.normal));
  store::UnitOutput out;
  out.scalars = facts.to_json();
  return out;
}

store::UnitOutput UnitRunner::gradient(const run::Unit& unit) const {
  const auto& target = target_of(setup_, unit);
  const auto input = model_input(setup_, unit.key.at("prompt").get<std::string>());
  Swaps swaps;
  if (input.prompt_begin >= 0) {
    const auto& model = *setup_.model.model;
    const auto losses =
        lm::target_loss(model, {{input.ids, {}, target.answer_ids}}, {.gradient = true});
    const bool readable = unit.key.at("readable").get<bool>();
    auto allowed = at::zeros({model.config().vocab_size}, at::kBool);
    auto* flags = allowed.data_ptr<bool>();
    const auto& tokenizer = setup_.model.tokenizer;
    for (int64_t id = 0; id < std::min(allowed.size(0), tokenizer.id_limit()); ++id)
      flags[id] = readable ? setup_.readable[static_cast<size_t>(id)]
                           : !tokenizer.is_special(id) && tokenizer.id_to_token(id).has_value();
    const auto rows = losses.front().gradient.narrow(0, input.prompt_begin, input.prompt_tokens);
    const auto best = lm::swap_candidates(
        model, rows, {.top = unit.key.at("top").get<int64_t>(), .allowed = allowed});
    for (int64_t place = 0; place < best.size(0); ++place) {
      const auto* ids = best.const_data_ptr<int64_t>() + place * best.size(1);
      swaps.emplace_back(ids, ids + best.size(1));
    }
  }
  store::UnitOutput out;
  out.scalars = {{"swaps", swaps}};
  return out;
}

std::vector<int64_t> UnitRunner::proposer_input(const Target& target) const {
  const auto& c = setup_.config.model;
  const auto prompt = proposal_prompt(setup_.config.propose.pattern, target);
  auto ids = setup_.model.chat ? eval::prompt_ids(setup_.model, prompt, c.system)
                               : setup_.model.tokenizer.encode(prompt, {.parse_special = false});
  if (!c.answer_start.empty()) {
    const auto start = setup_.model.tokenizer.encode(c.answer_start);
    ids.insert(ids.end(), start.begin(), start.end());
  }
  return ids;
}

base::Json UnitRunner::sampled(const run::Unit& unit, const lm::Model& model) const {
  const auto& target = target_of(setup_, unit);
  const auto& c = setup_.config.propose;
  lm::GenerateRequest request;
  request.ids = proposer_input(target);
  request.max_new_tokens = 2 * target.most_tokens;
  request.stop_ids = setup_.stop_ids;
  request.stop = c.stop;
  request.n = unit.key.at("count").get<int64_t>();
  request.sampling.temperature = c.temperature;
  request.sampling.top_p = c.top_p;
  request.sampling.seed = sampling_seed(setup_.seed, unit);
  lm::GenerateOptions options;
  options.batch = setup_.config.generation.batch;
  options.tokenizer = &setup_.model.tokenizer;
  base::Json texts = base::Json::array();
  for (const auto& completion : lm::generate(model, {request}, options))
    texts.push_back(completion.text);
  return texts;
}

store::UnitOutput UnitRunner::propose(const run::Unit& unit) const {
  store::UnitOutput out;
  out.scalars = {{"texts", sampled(unit, *setup_.model.model)}};
  return out;
}

store::UnitOutput UnitRunner::prefer(const run::Unit& unit) const {
  const auto& c = setup_.config.propose;
  const auto& tokenizer = setup_.model.tokenizer;
  // With what ends a proposal: an instruction that goes on is another one.
  const auto ids = [&](const base::Json& text) {
    const auto whole = text.get<std::string>() + (c.stop.empty() ? "" : c.stop.front());
    auto out = tokenizer.encode(whole, {.parse_special = false});
    if (c.stop.empty() && !setup_.stop_ids.empty()) out.push_back(setup_.stop_ids.front());
    return out;
  };
  std::vector<PreferencePair> pairs;
  for (const auto& pair : unit.key.at("pairs")) pairs.push_back({ids(pair.at(0)), ids(pair.at(1))});
  const auto& model = *setup_.model.model;
  const auto trained =
      train_preferences(model, proposer_input(target_of(setup_, unit)), pairs,
                        setup_.config.dpo.training, sampling_seed(setup_.seed, unit));
  store::UnitOutput out;
  out.scalars = {
      {"texts", sampled(unit, *lm::with_adapter(model, trained.adapter))},
      {"training", to_json(PolicyUpdate{.epochs = std::ssize(trained.losses),
                                        .policy_loss = trained.losses.back(),
                                        .gradient_norm = trained.gradient_norms.back()})}};
  return out;
}

store::UnitOutput UnitRunner::repeat(const run::Unit& unit) const {
  const auto& target = target_of(setup_, unit);
  const auto own = unit.key.at("ids").get<std::vector<int64_t>>();
  const auto request = [&](std::vector<int64_t> ids) {
    lm::GenerateRequest one;
    one.ids = std::move(ids);
    one.max_new_tokens = answer_limit(setup_, target);
    one.stop_ids = setup_.stop_ids;
    return one;
  };
  // Its neighbours: shorter and longer prompts of the same words; it stands in their middle.
  std::vector<lm::GenerateRequest> crowd;
  for (size_t i = 1; i <= kCrowd; ++i) {
    auto ids = own;
    if (i == kCrowd / 2) {
      crowd.push_back(request(own));
    } else if (i % 2 == 0) {
      ids.insert(ids.end(), own.begin(),
                 own.begin() + std::min(std::ssize(own), std::ssize(own) / 2 + 1));
      crowd.push_back(request(std::move(ids)));
    } else {
      ids.resize(std::max<size_t>(1, ids.size() - std::min(ids.size(), i)));
      crowd.push_back(request(std::move(ids)));
    }
  }
  Repeats repeats;
  const auto run = [&](const std::vector<lm::GenerateRequest>& requests, size_t which,
                       int64_t prefill) {
    lm::GenerateOptions options;
    options.batch = std::ssize(requests);
    options.prefill_tokens = prefill;
    options.share_prefixes = prefill > kPiece;
    const auto done = lm::generate(*setup_.model.model, requests, options);
    repeats.batches.push_back(std::ssize(requests));
    repeats.hashes.push_back(ids_hash(done[which].ids));
    repeats.ids = done[which].ids;
  };
  run({request(own)}, 0, kWhole);
  run({request(own), request(own), request(own)}, 2, kWhole);
  run(crowd, kCrowd / 2 - 1,
      kPiece);  // the prompt goes through the model in pieces of at most kPiece tokens
  repeats.text = setup_.model.tokenizer.decode(repeats.ids);
  store::UnitOutput out;
  out.scalars = repeats.to_json();
  return out;
}

}  // namespace preimage::ips
