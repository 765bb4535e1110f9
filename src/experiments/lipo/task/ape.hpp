// Automatic prompt engineer (Zhou et al., ICLR 2023): a model writes instructions in several styles
// from examples of the task. Styles have quotas; each batch is a unit of work, a round is one batch
// of every style that is not full yet.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "instructions.hpp"
#include "items.hpp"
#include "preimage/base/config.hpp"
#include "preimage/base/random.hpp"

namespace preimage::lipo {

struct ApeStyle {
  std::string name, description;
  std::vector<std::string> examples;
  double temperature = 1;
};

// The words of the prompts: {"prompt", "example", "styles": [{"name", "description", "examples",
// "temperature"}]}. "prompt" has the slots {examples}, {description} and {style_examples},
// "example" {question} and {answer}.
struct ApeWords {
  std::string prompt, example;
  std::vector<ApeStyle> styles;
};
ApeWords read_ape_words(const std::string& path);

struct ApeConfig {
  int64_t num_instructions = 1000;
  // engine (vllm says the same): a model of this run writes them; file: ape_cache_path holds them;
  // openai, deepinfra: scripts/lipo/remote_answers.py has asked an endpoint and written that file.
  std::string backend = "vllm";
  std::string model;  // checkpoint of the writer; "": the model that is to be instructed
  std::string cache_path;
  std::string styles = "jobs/lipo/ape_styles.json";
  int64_t batch_size = 10;
  int64_t max_batches = 62;  // of a style
  int64_t max_tokens = 100;
  int64_t max_length = 500;  // characters
  int64_t task_examples = 3;
  // pool: a fixed one that nothing is scored on; validation: the original's, drawn from the items
  // that the search scores on.
  std::string examples_from = "pool";
  void fields(base::Fields& f);
  bool generates() const { return backend == "engine" || backend == "vllm"; }
};

// Prompt of batch `batch` of a style; its examples are drawn from `random`.
std::string ape_prompt(const ApeWords& words, const ApeStyle& style, const std::vector<Item>& from,
                       int64_t examples, const base::RandomStream& random);

// What was written so far: a fold over batches in the order of rounds and styles.
class ApePool {
 public:
  ApePool(const ApeConfig& config, std::vector<ApeStyle> styles);

  // Styles that want another batch, by their place; empty when all are full or have had their
  // batches.
  std::vector<int64_t> wanting() const;
  int64_t batches(int64_t style) const { return batches_[static_cast<size_t>(style)]; }
  void add(int64_t style, const std::vector<std::string>& completions);

  int64_t calls() const { return calls_; }
  // Ordered by (style, index). What a style lacks is filled from what the largest has over its
  // quota, then the next; `note` says so.
  std::vector<Instruction> instructions(std::string& note) const;

 private:
  int64_t quota(int64_t style) const;

  ApeConfig config_;
  std::vector<ApeStyle> styles_;
  std::vector<std::vector<std::string>> texts_;  // of each style, in order
  std::vector<int64_t> batches_;
  std::set<std::string> seen_;  // folded
  int64_t calls_ = 0;
};

}  // namespace preimage::lipo
