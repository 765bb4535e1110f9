#include "capo.hpp"

#include <algorithm>
#include <cmath>
#include <set>
#include <sstream>

#include "preimage/base/error.hpp"
#include "preimage/bo/expected_improvement.hpp"

namespace preimage::lipo {
namespace {

double words_of(const std::string& text) {
  std::istringstream stream(text);
  double count = 0;
  for (std::string word; stream >> word;) ++count;
  return count;
}

void keep_population(CapoState& state, std::vector<CapoMember> more, const CapoOptions& options) {
  state.population.insert(state.population.end(), more.begin(), more.end());
  std::ranges::stable_sort(state.population, {}, [&](const CapoMember& m) {
    return capo_objective(m, state.mean_words, options);
  });
  if (std::ssize(state.population) > options.population)
    state.population.resize(static_cast<size_t>(options.population));
}

std::vector<CapoMember> survivors(const CapoState& state, const std::vector<CapoMember>& racing,
                                  const CapoOptions& options) {
  std::vector<CapoMember> out;
  for (const auto& child : racing) {
    int64_t better = 0;
    for (const auto* group : {&state.population, &racing})
      for (const auto& other : *group)
        better += significantly_worse(child, other, options.significance);
    if (better < std::ssize(state.population)) out.push_back(child);
  }
  return out;
}

}  // namespace

void CapoOptions::fields(base::Fields& f) {
  f.add("population", population, {.help = "instructions kept", .min = 2, .max = 4096});
  f.add("offspring", offspring, {.help = "children of a generation", .min = 1, .max = 4096});
  f.add("stages", stages,
        {.help = "stages of a race, on the ladder's last fidelities", .min = 1, .max = 20});
  f.add("significance", significance,
        {.help = "of the test that ends a child's race", .min = 0, .max = 0.5});
  f.add("length_penalty", length_penalty,
        {.help = "error that a text of the first population's mean length costs",
         .min = 0,
         .max = 1});
  f.add("mutation", mutation,
        {.help = "length of the noise added to the mean of two parents' embeddings",
         .min = 0,
         .max = 10});
}

double capo_objective(const CapoMember& member, double mean_words, const CapoOptions& options) {
  return member.error() + options.length_penalty * words_of(member.text) / mean_words;
}

bool significantly_worse(const CapoMember& a, const CapoMember& b, double significance) {
  const auto n = static_cast<double>(a.items), m = static_cast<double>(b.items);
  const double pooled = static_cast<double>(a.wrong + b.wrong) / (n + m);
  const double variance = pooled * (1 - pooled) * (1 / n + 1 / m);
  if (!(variance > 0)) return false;
  return 1 - bo::normal_cumulative((a.error() - b.error()) / std::sqrt(variance)) < significance;
}

CapoState first_population(std::vector<CapoMember> start, const CapoOptions& options) {
  base::check(!start.empty(), "an evolution starts from at least one instruction");
  CapoState out;
  double words = 0;
  for (const auto& member : start)
    words += words_of(member.text) / static_cast<double>(start.size());
  out.mean_words = std::max(1.0, words);
  keep_population(out, std::move(start), options);
  return out;
}

CapoState replay(CapoState state, const std::vector<CapoMember>& evaluated,
                 const CapoOptions& options) {
  size_t at = 0;
  while (at < evaluated.size()) {
    const size_t wanted =
        state.stage == 0 ? static_cast<size_t>(options.offspring) : state.racing.size();
    base::check(at + wanted <= evaluated.size(), "a stage of a race is evaluated as a whole");
    const auto begin = evaluated.begin() + static_cast<int64_t>(at);
    std::vector<CapoMember> asked(begin, begin + static_cast<int64_t>(wanted));
    for (size_t i = 0; i < wanted; ++i)
      base::check(state.stage == 0 || asked[i].text == state.racing[i].text,
                  "a race goes on with the children that are in it");
    at += wanted;
    state.racing = survivors(state, asked, options);
    ++state.stage;
    if (!state.racing.empty() && state.stage < options.stages) continue;
    keep_population(state, state.racing, options);
    state.racing.clear();
    state.stage = 0;
  }
  return state;
}

int64_t capo_stage_items(int64_t stage, int64_t items, std::span<const bo::HyperbandBracket> ladder,
                         const CapoOptions& options) {
  std::set<int64_t> levels = {items};
  for (const auto& bracket : ladder)
    for (const auto& one : bracket.stages) levels.insert(std::min(one.items, items));
  int64_t back = std::min(options.stages - 1 - stage, std::ssize(levels) - 1);
  auto level = levels.rbegin();
  while (back-- > 0) ++level;
  return *level;
}

}  // namespace preimage::lipo
