// The reader of each kind of data set, and what they share.
#pragma once

#include <functional>
#include <string>
#include <unordered_map>

#include "preimage/base/json_node.hpp"
#include "preimage/data/dataset.hpp"

namespace preimage::data {

// Takes in examples one by one; refuses duplicate ids and empty questions or answers.
class Collector {
 public:
  // `place` is where the example stands, for messages.
  void add(QaExample example, const std::string& place);
  void count_without_answer() { ++data_.without_answer; }
  void count_bad_line() { ++data_.bad_lines; }
  // Throws when there is no example at all; `path` for the message.
  Dataset finish(const std::filesystem::path& path);

 private:
  Dataset data_;
  std::unordered_map<std::string, std::string> places_;  // by id
};

// Calls `read` with each record of a JSON Lines file; under BadLine::skip an ExitCode::bad_data
// error of one line is counted and the next line follows.
using RecordReader = std::function<void(const base::JsonNode&, Collector&)>;
Dataset read_json_lines(const DatasetOptions& options, const RecordReader& read);

// A whole JSON document of up to 1 GiB.
base::Json read_document(const std::filesystem::path& path);

Dataset read_squad(const DatasetOptions& options);
Dataset read_triviaqa(const DatasetOptions& options);
Dataset read_natural_questions(const DatasetOptions& options);
Dataset read_nq_open(const DatasetOptions& options);
Dataset read_hotpotqa(const DatasetOptions& options);
Dataset read_arithmetic(const DatasetOptions& options);
Dataset read_sudoku(const DatasetOptions& options);
Dataset read_arc(const DatasetOptions& options);
Dataset read_pairs(const DatasetOptions& options);

}  // namespace preimage::data
