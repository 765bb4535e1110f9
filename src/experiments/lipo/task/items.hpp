// The questions that instructions are judged on, in three disjoint pools.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "preimage/base/config.hpp"

namespace preimage::lipo {

struct Item {
  std::string question;
  double answer = 0;
  std::string answer_text;
};

struct ItemsConfig {
  // JSON lines of {"question", "answer"}. GSM8K's answer holds its number behind "####"; another is
  // the number itself. Lines may name their "split": examples, validation or test.
  std::string path;
  std::string test_path;  // another file for the test pool; "": a part of `path`
  int64_t examples = 100;
  int64_t validation = 1319;
  int64_t test = 1319;
  int64_t shuffle_seed = 42;  // of a file whose lines name no split; fixed beside run.seed
  void fields(base::Fields& f);
};

struct Items {
  std::vector<Item> examples;    // shown to the writer of instructions
  std::vector<Item> validation;  // fidelity b is the first b of them
  std::vector<Item> test;        // touched once, at the end
};

// Throws ExitCode::bad_data with file and line, or where a pool has too few items.
Items read_items(const ItemsConfig& config);

// "{name}" of a template by its value; text that is put in is not looked through.
struct Slot {
  std::string name, value;
};
std::string fill(const std::string& form, const std::vector<Slot>& slots);

}  // namespace preimage::lipo
