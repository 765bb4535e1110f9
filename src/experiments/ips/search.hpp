// A run of ips as waves of units: targets, prompts by hand, then one wave for each generation of
// all searches at once, then the repeats and the negative tests.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "arms/search_record.hpp"
#include "negative.hpp"
#include "preimage/run/context.hpp"
#include "preimage/run/search.hpp"
#include "report/rows.hpp"
#include "setup.hpp"
#include "unit_runner.hpp"

namespace preimage::ips {

// A prompt that matches and keeps the rules, and whose answer is to be repeated.
struct Found {
  int64_t target = 0;
  std::string method;  // "manual": by hand
  int64_t seed = -1, index = 0, calls = 0;
  std::string prompt;
  std::shared_ptr<const Terms> terms;
};

class IpsSearch : public run::Search {
 public:
  IpsSearch(run::Context& context, std::unique_ptr<const Setup> setup);

  std::vector<run::Unit> ask(int64_t wave) override;
  void evaluate(run::Work& work) override;
  void tell(const std::vector<run::Told>& results) override;
  store::UnitOutput finish() override;
  store::Schemas schemas() const override { return ips_schemas(); }

 private:
  enum class Stage { targets, manual, searches, checks, done };

  std::vector<run::Unit> units_of_stage();
  std::vector<run::Unit> search_units();
  std::vector<run::Unit> check_units();
  void tell_targets(const std::vector<run::Told>& results);
  void tell_manual(const std::vector<run::Told>& results);
  void tell_searches(const std::vector<run::Told>& results);
  void tell_checks(const std::vector<run::Told>& results);
  void start_searches();
  // Terms that many prompts share are kept once.
  std::shared_ptr<const Terms> terms_of(const run::Told& told);
  Judged judged(int64_t target, const Terms& terms) const;
  Verdict verdict(int64_t target, const Terms& terms) const;
  Scale scale(int64_t target) const;
  std::vector<Found> found_prompts() const;

  run::Context& context_;
  std::unique_ptr<const Setup> setup_;
  UnitRunner runner_;
  Stage stage_ = Stage::targets;
  std::vector<TargetFacts> facts_;
  std::map<std::string, std::shared_ptr<const Terms>> terms_;  // by unit id
  std::vector<std::shared_ptr<const Terms>> manual_;           // of setup.hand
  double tau_ = 0;
  std::vector<std::unique_ptr<SearchRecord>> searches_;
  std::vector<size_t> asked_;  // searches of this wave, in order
  std::vector<Found> found_;
  std::vector<NegativeTest> negatives_;
  std::vector<Repeats> repeats_;                              // of found_
  std::vector<std::shared_ptr<const Terms>> negative_terms_;  // of negatives_
};

}  // namespace preimage::ips
