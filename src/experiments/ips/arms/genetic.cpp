#include "genetic.hpp"

#include <algorithm>
#include <cmath>

#include "operators.hpp"
#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"

namespace preimage::ips {
namespace {

using base::str;

// Draws for a new prompt until it has a token.
constexpr int kFreshAttempts = 100;

}  // namespace

bool better(const Individual& a, const Individual& b) {
  if (a.fitness != b.fitness) return a.fitness > b.fitness;
  if (a.tokens != b.tokens) return a.tokens < b.tokens;
  return a.text < b.text;
}

int64_t tournament(int64_t pool, int64_t k, Draws& draws) {
  int64_t best = pool - 1;
  for (int64_t i = 0; i < k; ++i) best = std::min(best, draws.below(pool));
  return best;
}

std::string Variation::fresh(Draws& draws) const {
  for (int i = 0; i < kFreshAttempts; ++i) {
    auto text =
        cut(inputs_.tokenizer, tidy(inputs_.prompts.fresh(draws)), inputs_.target.most_tokens);
    if (!text.empty()) return text;
  }
  throw base::data_error(str("ips: ", kFreshAttempts,
                             " new prompts in a row were empty; look at ips.data.templates"
                             " and ips.data.words: their lines should be words that fit into ",
                             inputs_.target.most_tokens, " tokens"));
}

std::string Variation::mutate(const std::string& text, std::string& operation, Draws& draws) const {
  const double kind = draws.uniform();
  std::string out, name;
  if (kind < 0.35) {
    name = "synonyms", out = swap_synonyms(text, inputs_.prompts, options_.synonym, draws);
  } else if (kind < 0.55) {
    name = "deletion", out = delete_span(text, draws);
  } else if (kind < 0.7) {
    name = "shuffle", out = shuffle_clause(text, draws);
  } else if (kind < 0.9) {
    name = "drop", out = drop_tokens(inputs_.tokenizer, text, options_.drop, draws);
  } else {
    name = "insertion", out = insert_word(text, inputs_.prompts, draws);
  }
  operation += (operation.empty() ? "" : "+") + name;
  return cut(inputs_.tokenizer, tidy(out), inputs_.target.most_tokens);
}

std::string Variation::cross(const std::string& a, const std::string& b, std::string& operation,
                             Draws& draws) const {
  const bool one_point = draws.chance(0.5);
  operation = one_point ? "splice" : "segment";
  const auto out = one_point ? splice(inputs_.tokenizer, a, b, draws)
                             : exchange_segment(inputs_.tokenizer, a, b, options_.segment, draws);
  return cut(inputs_.tokenizer, out, inputs_.target.most_tokens);
}

Genetic::Genetic(const ArmInputs& inputs, const GeneticOptions& options, bool selects)
    : inputs_(inputs), options_(options), selects_(selects), variation_(inputs_, options_) {}

int64_t Genetic::share(double of) const {
  return static_cast<int64_t>(std::ceil(of * static_cast<double>(options_.population)));
}

const Individual& Genetic::parent(Draws& draws) const {
  const int64_t all = std::ssize(population_);
  if (!selects_) return population_[static_cast<size_t>(draws.below(all))];
  const int64_t pool = std::min(all, std::max<int64_t>(1, share(options_.pool)));
  return population_[static_cast<size_t>(tournament(pool, options_.tournament, draws))];
}

void Genetic::add_distinct(Ask ask, Draws& draws, std::set<std::string>& seen,
                           std::vector<Ask>& out) {
  for (int64_t i = 0; i < options_.attempts && (ask.text.empty() || seen.count(folded(ask.text)));
       ++i) {
    if (ask.text.empty()) break;  // an empty result becomes an immigrant at once
    ask.text = variation_.mutate(ask.text, ask.operation, draws);
  }
  for (int i = 0; i < kFreshAttempts && (ask.text.empty() || seen.count(folded(ask.text))); ++i)
    ask = {.text = variation_.fresh(draws), .operation = "immigrant"};
  seen.insert(folded(ask.text));
  out.push_back(std::move(ask));
}

std::vector<Ask> Genetic::first_generation() {
  std::vector<Ask> out;
  std::set<std::string> seen;
  for (int64_t i = 0; i < options_.population; ++i) {
    Draws draws(inputs_.run_seed, inputs_.name, str("first ", i));
    add_distinct({.text = variation_.fresh(draws), .operation = "first"}, draws, seen, out);
  }
  return out;
}

Ask Genetic::child(Draws& draws) {
  Ask out;
  const auto& a = parent(draws);
  out.text = a.text;
  out.parents = {a.index};
  if (draws.chance(options_.crossover)) {
    const auto& b = parent(draws);
    out.text = variation_.cross(a.text, b.text, out.operation, draws);
    out.parents.push_back(b.index);
  }
  if (!out.text.empty()) out.text = variation_.mutate(out.text, out.operation, draws);
  return out;
}

std::vector<Ask> Genetic::next_generation() {
  std::vector<Ask> out;
  std::set<std::string> seen;
  if (selects_) {
    for (int64_t i = 0; i < std::min(share(options_.elite), std::ssize(population_)); ++i) {
      const auto& one = population_[static_cast<size_t>(i)];
      seen.insert(folded(one.text));
      out.push_back({.text = one.text, .operation = "elite", .parents = {one.index}});
    }
  }
  const int64_t fresh = share(restart_now_ ? options_.restart : options_.immigrants);
  restart_now_ = false;
  for (int64_t i = std::ssize(out); i < options_.population; ++i) {
    Draws draws(inputs_.run_seed, inputs_.name, str("generation ", generation_, " ", i));
    const bool immigrant = i >= options_.population - fresh;
    add_distinct(
        immigrant ? Ask{.text = variation_.fresh(draws), .operation = "immigrant"} : child(draws),
        draws, seen, out);
  }
  return out;
}

std::vector<Ask> Genetic::ask() {
  if (!ended_.empty()) return {};
  return generation_ == 0 ? first_generation() : next_generation();
}

void Genetic::tell(const std::vector<Ask>& asked, const std::vector<Reply>& replies) {
  std::vector<Individual> members;
  for (size_t i = 0; i < replies.size(); ++i)
    members.push_back({asked[i].text, replies[i].fitness.value, replies[i].terms->prompt_tokens,
                       replies[i].index});
  if (++generation_ >= options_.generations) ended_ = "generations";
  if (!selects_) {
    population_.insert(population_.end(), members.begin(), members.end());
    return;
  }
  std::sort(members.begin(), members.end(), better);
  population_ = std::move(members);
  watch_progress();
}

void Genetic::watch_progress() {
  if (population_.empty()) return;
  const double found = population_.front().fitness;
  stagnant_ = found >= best_ + options_.improvement ? 0 : stagnant_ + 1;
  best_ = std::max(best_, found);
  if (stagnant_ < options_.stagnation) return;
  stagnant_ = 0;
  if (restarted_) {
    ended_ = "stagnation";
  } else {
    restarted_ = restart_now_ = true;
  }
}

void GeneticOptions::fields(base::Fields& f) {
  f.add("population", population, {.help = "prompts of a generation", .min = 2, .max = 1e6});
  f.add("generations", generations, {.help = "at most", .min = 1});
  f.add("pool", pool, {.help = "share of the best that may be parents", .min = 0, .max = 1});
  f.add("tournament", tournament, {.help = "draws of a tournament", .min = 1, .max = 1000});
  f.add("crossover", crossover, {.help = "share of children of two", .min = 0, .max = 1});
  f.add("segment", segment,
        {.help = "longest exchanged segment", .unit = "tokens", .min = 1, .max = 10000});
  f.add("elite", elite, {.help = "share that is copied unchanged", .min = 0, .max = 1});
  f.add("immigrants", immigrants, {.help = "share of new prompts", .min = 0, .max = 1});
  f.add("synonym", synonym, {.help = "of each word in a mutation", .min = 0, .max = 1});
  f.add("drop", drop, {.help = "of each token in a mutation", .min = 0, .max = 1});
  f.add("attempts", attempts, {.help = "to make a duplicate different", .min = 0, .max = 1000});
  f.add("stagnation", stagnation,
        {.help = "generations without improvement before the one restart, and then the end",
         .min = 1});
  f.add("improvement", improvement, {.help = "of the best fitness that counts", .min = 0});
  f.add("restart", restart, {.help = "share of new prompts at the restart", .min = 0, .max = 1});
}

}  // namespace preimage::ips
