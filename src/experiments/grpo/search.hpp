// A probe as waves of units: pools are written and judged, directions extracted, then the groups
// are gone through in every arm.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "preimage/run/context.hpp"
#include "preimage/run/search.hpp"
#include "probe/chain.hpp"
#include "report/rows.hpp"
#include "setup.hpp"

namespace preimage::grpo {

class GrpoSearch : public run::Search {
 public:
  GrpoSearch(run::Context& context, std::unique_ptr<const Setup> setup);

  std::vector<run::Unit> ask(int64_t wave) override;
  // Writes the judged pools as files before the extraction.
  void prepare(int64_t wave) override;
  void evaluate(run::Work& work) override;
  void tell(const std::vector<run::Told>& results) override;
  store::UnitOutput finish() override;
  store::Schemas schemas() const override { return grpo_schemas(); }

 private:
  enum class Stage { pools, extraction, chains, done };

  void tell_pools(const std::vector<run::Told>& results);
  void write_pools() const;
  void write_slim() const;
  Basis& basis_of(const std::string& kind);
  void extract(run::Work& work);
  void probe(run::Work& work);
  bool has_basis(const std::string& kind) const;

  run::Context& context_;
  std::unique_ptr<const Setup> setup_;
  Stage stage_ = Stage::pools;
  std::vector<std::vector<PoolSample>> pools_;  // the teacher's first
  std::vector<ProbeGroup> groups_;
  std::map<std::pair<std::string, std::string>, Extraction> extractions_;  // basis, contrast
  std::unique_ptr<Basis> basis_;  // the one in use: factors and knobs take memory
  std::vector<SampleRow> samples_;
  std::vector<StepRow> steps_;
  std::vector<NullRow> nulls_;
};

}  // namespace preimage::grpo
