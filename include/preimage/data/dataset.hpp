// Published question-answer data sets as one list of examples.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "preimage/data/lines.hpp"

namespace preimage::data {

struct QaExample {
  std::string id;     // unique within a data set
  std::string group;  // what examples share: article, entity, task, operator; "" if nothing
  std::string question;
  std::string answer;                    // the first gold answer
  std::string context;                   // passage that holds the answer; "" if there is none
  std::vector<std::string> aliases;      // further accepted answers
  std::vector<std::string> paraphrases;  // of the question ("pairs" only)
};

struct DatasetOptions {
  // squad, triviaqa, natural_questions, nq_open, hotpotqa, arithmetic, sudoku, arc, pairs
  std::string kind;
  std::filesystem::path path;            // a file; a folder for arc; empty for generated arithmetic
  BadLine on_bad_line = BadLine::error;  // for files of one record a line
  int64_t generate_count = 100;          // arithmetic without a path
  uint64_t generate_seed = 42;
};

struct Dataset {
  std::vector<QaExample> examples;  // in the order of the file
  int64_t bad_lines = 0;            // skipped under BadLine::skip
  int64_t without_answer = 0;       // records that are well formed but have no answer of the kind
};

// Reads the whole file. ExitCode::bad_data with file, line or key path, and what was found, for
// malformed records, missing fields, empty answers, duplicate ids and files without any example;
// ExitCode::bad_config for an unknown kind.
Dataset read_dataset(const DatasetOptions& options);

std::vector<std::string> dataset_kinds();

struct SelectOptions {
  int64_t count = 0;  // 0: all
  uint64_t seed = 42;
  bool one_per_group = false;      // as many groups as possible before a second of any
  int64_t max_question_bytes = 0;  // 0: no limit; likewise below
  int64_t max_answer_bytes = 0;
  int64_t max_context_bytes = 0;
};

// A sample in an order that depends on seed and ids alone (rank by SHA-256 of both), so that
// reordering the file, or adding other examples of other ids, does not reshuffle it. Throws
// ExitCode::bad_data when fewer than `count` examples pass the limits.
std::vector<QaExample> select(const std::vector<QaExample>& examples, const SelectOptions& options);

}  // namespace preimage::data
