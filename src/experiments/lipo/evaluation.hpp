// Instructions judged on items: one bit for each (instruction, item), computed once and stored, in
// fixed blocks of items that the ranks share.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "config.hpp"
#include "preimage/eval/evaluation.hpp"
#include "preimage/eval/text_model.hpp"
#include "preimage/run/search.hpp"
#include "task/items.hpp"

namespace preimage::lipo {

struct Block {
  int64_t begin = 0, end = 0;
};
// [0, items) cut at every fidelity of `cuts` and so that no block has more than `most` items.
std::vector<Block> cut_blocks(int64_t items, const std::vector<int64_t>& cuts, int64_t most);

// What is known of instructions on the items of one split: a fold over committed blocks.
class BitTable {
 public:
  BitTable(std::string split, std::vector<Block> blocks)
      : split_(std::move(split)), blocks_(std::move(blocks)) {}

  // Units of the blocks of [0, items) that nobody has evaluated, the last of them whole.
  std::vector<run::Unit> missing(const std::string& text, int64_t items) const;
  // `bits`: '1' for a right answer, in the order of the items.
  void add(const std::string& text, int64_t begin, const std::string& bits);
  // Wrong answers among the first `items`, all of which are known.
  int64_t wrong(const std::string& text, int64_t items) const;
  const std::string& bits(const std::string& text) const { return known_.at(text); }
  bool knows(const std::string& text, int64_t items) const;

 private:
  std::string split_;
  std::vector<Block> blocks_;
  std::map<std::string, std::string> known_;  // bits; '?' where nobody looked
};

// Model calls as an arm would have paid them alone: an item is paid once for each instruction.
class CallLedger {
 public:
  // What pay() would add.
  int64_t price(const std::string& text, int64_t items) const;
  // Returns what is paid now.
  int64_t pay(const std::string& text, int64_t items);
  int64_t calls() const { return calls_; }

 private:
  std::map<std::string, int64_t> paid_;
  int64_t calls_ = 0;
};

// Answers the items of units as they come.
class EvaluationStage {
 public:
  EvaluationStage(const TargetConfig& config, const Items& items, const eval::TextModel& model,
                  const eval::ModelIdentity& identity);
  // Takes units until there are none, keeps the model busy, commits each as its last answer is in.
  void run(run::Work& work) const;

  // The prompt as the model reads it.
  std::string prompt(const std::string& instruction, const Item& item) const;
  int64_t longest() const { return longest_; }

 private:
  const std::vector<Item>& of(const std::string& split) const;

  const TargetConfig& config_;
  const Items& items_;
  const eval::TextModel& model_;
  const eval::ModelIdentity& identity_;
  int64_t longest_ = 0;
};

}  // namespace preimage::lipo
