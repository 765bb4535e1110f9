// Evolution with racing and a penalty on length, after CAPO (Zehle et al., arXiv 2504.16005): in
// place of an instruction-tuned model, which crosses and mutates there, a child is what the
// inverter writes for a point between its parents' embeddings.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "preimage/base/config.hpp"
#include "preimage/bo/hyperband.hpp"

namespace preimage::lipo {

struct CapoOptions {
  int64_t population = 10;
  int64_t offspring = 4;  // children of a generation
  int64_t stages = 4;     // of a race, each on the next fidelity of the ladder, the last on all
  double significance = 0.2;
  double length_penalty = 0.05;  // error that a text of the first population's mean length costs
  double mutation = 0.3;         // length of the noise that is added to the parents' mean
  void fields(base::Fields& f);
};

struct CapoMember {
  std::string text;
  int64_t place = 0;  // of its embedding: in the pool, or pool + its number among the arm's own
  int64_t wrong = 0, items = 0;
  double error() const { return static_cast<double>(wrong) / static_cast<double>(items); }
};

// error + length_penalty words / mean words of the first population.
double capo_objective(const CapoMember& member, double mean_words, const CapoOptions& options);

// One-sided test of two proportions with the pooled variance: whether a's error is higher than b's
// at the given significance.
bool significantly_worse(const CapoMember& a, const CapoMember& b, double significance);

// Where a race stands after all that was evaluated so far.
struct CapoState {
  std::vector<CapoMember> population;  // by objective
  std::vector<CapoMember> racing;      // children that are still in the race
  int64_t stage = 0;                   // the next; 0: a new generation is due
  double mean_words = 1;
};

// The first population: the best of `start`, and what they are measured by.
CapoState first_population(std::vector<CapoMember> start, const CapoOptions& options);

// The state after the children of `evaluated`, in the order asked: exactly `offspring` of them at
// stage 0, those still racing later. A child is out when as many members of population and race as
// the population holds are significantly better; after the last stage, or when none is left, the
// best by objective of both are the next population. Throws a bug where the order does not fit.
CapoState replay(CapoState state, const std::vector<CapoMember>& evaluated,
                 const CapoOptions& options);

// Items of a stage: of the fidelities of the ladder, the last `stages`, or the lowest of them where
// there are fewer; the last stage is on all items.
int64_t capo_stage_items(int64_t stage, int64_t items, std::span<const bo::HyperbandBracket> ladder,
                         const CapoOptions& options);

}  // namespace preimage::lipo
