// The units of work of ips, and what they commit.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "arms/arm.hpp"
#include "preimage/eval/code_judge.hpp"
#include "preimage/run/search.hpp"
#include "setup.hpp"

namespace preimage::ips {

namespace stage {
inline constexpr const char* target = "target";      // its probes, and its loss without a prompt
inline constexpr const char* evaluate = "evaluate";  // a prompt for a target
inline constexpr const char* loss = "loss";          // the target's loss behind a prompt, no answer
inline constexpr const char* gradient = "gradient";  // swaps for each place of a prompt
inline constexpr const char* propose = "propose";    // instructions that the model writes
inline constexpr const char* prefer = "prefer";      // the same by the model tuned on pairs
inline constexpr const char* repeat = "repeat";      // a prompt again, at other batch sizes
}  // namespace stage

// The key holds what decides the result and nothing of weights or thresholds: units that an earlier
// wave committed are not computed again, so the journal is the cache of evaluations.
run::Unit target_unit(const Setup& setup, int64_t target);
run::Unit evaluate_unit(const Setup& setup, int64_t target, const std::string& prompt);
run::Unit loss_unit(const Setup& setup, int64_t target, const std::string& prompt);
run::Unit repeat_unit(const Setup& setup, int64_t target, const std::string& prompt);
// Swaps among the readable tokens or among all; `top` of them for each place.
run::Unit gradient_unit(const Setup& setup, int64_t target, const std::string& prompt,
                        bool readable);
run::Unit propose_unit(const Setup& setup, int64_t target, int64_t seed, const Ask& ask);
run::Unit prefer_unit(const Setup& setup, int64_t target, int64_t seed, const Ask& ask);

// What is known of a target after its unit.
struct TargetFacts {
  std::vector<eval::Probe> probes;
  double bits = 0;  // of the target under the model without a prompt
  int64_t gzip_bytes = 0;
  base::Json to_json() const;
  static TargetFacts from_json(const base::Json& json);
};

// Of a training on pairs, for the unit's scalars.
base::Json to_json(const PolicyUpdate& update);
PolicyUpdate update_from_json(const base::Json& json);

// R5: the answer again, alone, in threes and among others with its prompt in pieces.
struct Repeats {
  std::vector<int64_t> batches;
  std::vector<std::string> hashes;  // of each run's ids
  std::vector<int64_t> ids;         // of the last
  std::string text;
  bool equal() const;
  base::Json to_json() const;
  static Repeats from_json(const base::Json& json);
};

}  // namespace preimage::ips
