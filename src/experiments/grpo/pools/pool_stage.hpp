// The first stage of a run: answers are written (or read) and judged, a step of a pool a unit.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "config.hpp"
#include "pool.hpp"
#include "preimage/eval/text_model.hpp"
#include "preimage/lm/generate/generator.hpp"
#include "preimage/run/search.hpp"
#include "problems.hpp"

namespace preimage::grpo {

inline constexpr const char* teacher_pool = "teacher_pool";
inline constexpr const char* base_pool = "base_pool";

// One unit for each step of each pool: of the stored ones, or as many as the probe takes.
std::vector<run::Unit> pool_units(const GrpoConfig& config,
                                  const std::vector<std::vector<PoolSample>>& stored);

// Throws ExitCode::bad_data where a stored sample of the first `steps` is of an unknown problem.
void require_problems(const std::vector<std::vector<PoolSample>>& stored, const Problems& problems,
                      int64_t steps);

// The samples of a unit from what it left.
std::vector<PoolSample> pool_samples(const store::UnitOutput& output);

struct PoolInput {
  const GrpoConfig* config = nullptr;
  const Problems* problems = nullptr;
  const std::vector<std::vector<PoolSample>>* stored = nullptr;  // empty: generate
  const eval::TextModel* student = nullptr;
  std::function<std::shared_ptr<const lm::Model>()> teacher;  // loaded when it is first needed
  sandbox::Judge* judge = nullptr;
  uint64_t seed = 0;
};

class PoolStage {
 public:
  // Everything in `input` must outlive it.
  explicit PoolStage(const PoolInput& input);
  ~PoolStage();
  // Takes units as long as there are any.
  void run(run::Work& work);

 private:
  struct Writer;  // a policy's generator
  // Samples without grades; false when the run is stopping.
  bool write(const std::vector<run::Unit>& units, run::Work& work,
             std::vector<std::vector<PoolSample>>& samples);
  bool grade(run::Work& work, std::vector<std::vector<PoolSample>>& samples);
  Writer& writer_of(const std::string& pool);
  const Problem& problem_of(const PoolSample& sample) const;

  PoolInput input_;
  std::map<std::string, const Problem*> by_id_;
  std::map<std::string, std::unique_ptr<Writer>> writers_;
};

}  // namespace preimage::grpo
