// The genetic algorithm, and random search over the same operators.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "arm.hpp"
#include "preimage/base/config.hpp"

namespace preimage::ips {

struct GeneticOptions {
  int64_t population = 200;
  int64_t generations = 60;
  double pool = 0.15;      // truncation: the best so many may be parents
  int64_t tournament = 4;  // inside the pool, with replacement
  double crossover = 0.7;
  int64_t segment = 8;  // tokens of an exchanged segment, at most
  double elite = 0.02;  // of the population, copied unchanged
  double immigrants = 0.05;
  double synonym = 0.15, drop = 0.1;  // of each word, of each token
  int64_t attempts = 10;              // to make a duplicate different
  int64_t stagnation = 15;            // generations
  double improvement = 1e-3;
  double restart = 0.5;  // immigrants of the one restart
  void fields(base::Fields& f);
};

// A member of the population as selection sees it.
struct Individual {
  std::string text;
  double fitness = 0;
  int64_t tokens = 0;
  int64_t index = 0;  // of its evaluation
};
// Better first: fitness, then the shorter prompt, then the text, so that no order of evaluation
// can decide.
bool better(const Individual& a, const Individual& b);

// The best of `k` draws with replacement from `pool` sorted members: the lowest place drawn.
int64_t tournament(int64_t pool, int64_t k, Draws& draws);

// What both searches do to make a prompt.
class Variation {
 public:
  Variation(const ArmInputs& inputs, const GeneticOptions& options)
      : inputs_(inputs), options_(options) {}
  std::string fresh(Draws& draws) const;
  // One operator, drawn with probabilities 0.35 synonyms, 0.2 deletion, 0.15 shuffle, 0.2 token
  // drop, 0.1 insertion; its name is appended to `operation`.
  std::string mutate(const std::string& text, std::string& operation, Draws& draws) const;
  std::string cross(const std::string& a, const std::string& b, std::string& operation,
                    Draws& draws) const;

 private:
  const ArmInputs& inputs_;
  const GeneticOptions& options_;
};

class Genetic : public Arm {
 public:
  // `selects` false: random search, whose parents are drawn from all that was evaluated, whatever
  // it is worth; no elite, no stagnation.
  Genetic(const ArmInputs& inputs, const GeneticOptions& options, bool selects);
  std::vector<Ask> ask() override;
  void tell(const std::vector<Ask>& asked, const std::vector<Reply>& replies) override;
  std::string ended() const override { return ended_; }

 private:
  std::vector<Ask> first_generation();
  std::vector<Ask> next_generation();
  Ask child(Draws& draws);
  // Makes it new in this generation by mutation, or replaces it by an immigrant.
  void add_distinct(Ask ask, Draws& draws, std::set<std::string>& seen, std::vector<Ask>& out);
  const Individual& parent(Draws& draws) const;
  int64_t share(double of) const;
  void watch_progress();

  ArmInputs inputs_;
  GeneticOptions options_;
  bool selects_;
  Variation variation_;
  std::vector<Individual> population_;  // sorted; of random search all so far, in order
  int64_t generation_ = 0;
  double best_ = -1e300;
  int64_t stagnant_ = 0;
  bool restarted_ = false, restart_now_ = false;
  std::string ended_;
};

}  // namespace preimage::ips
