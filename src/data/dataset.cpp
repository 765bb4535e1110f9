#include "preimage/data/dataset.hpp"

#include <algorithm>
#include <map>

#include "preimage/base/error.hpp"
#include "preimage/base/sha256.hpp"
#include "preimage/base/str.hpp"
#include "readers.hpp"

namespace preimage::data {
namespace {

using Reader = Dataset (*)(const DatasetOptions&);

const std::map<std::string, Reader>& readers() {
  static const std::map<std::string, Reader> table = {
      {"arc", read_arc},           {"arithmetic", read_arithmetic},
      {"hotpotqa", read_hotpotqa}, {"natural_questions", read_natural_questions},
      {"nq_open", read_nq_open},   {"pairs", read_pairs},
      {"squad", read_squad},       {"sudoku", read_sudoku},
      {"triviaqa", read_triviaqa},
  };
  return table;
}

}  // namespace

void Collector::add(QaExample example, const std::string& place) {
  if (example.id.empty()) throw base::data_error(place + ": empty id");
  if (example.question.empty() || example.answer.empty()) {
    throw base::data_error(base::str(place, ": id \"", example.id, "\" has an empty ",
                                     example.question.empty() ? "question" : "answer"));
  }
  const auto [first, inserted] = places_.emplace(example.id, place);
  if (!inserted) {
    throw base::data_error(base::str(place, ": id \"", example.id,
                                     "\" appears a second time, first at ", first->second,
                                     "; ids must differ"));
  }
  data_.examples.push_back(std::move(example));
}

Dataset Collector::finish(const std::filesystem::path& path) {
  if (data_.examples.empty()) {
    throw base::data_error(base::str(path.string(), ": holds no usable example (", data_.bad_lines,
                                     " bad lines skipped, ", data_.without_answer,
                                     " records without an answer)"));
  }
  return std::move(data_);
}

Dataset read_json_lines(const DatasetOptions& options, const RecordReader& read) {
  LineReader lines(options.path);
  Collector collector;
  base::JsonLimits limits;
  limits.max_bytes = 64u << 20;
  limits.allow_non_finite = true;
  std::string line;
  while (lines.next(line)) {
    try {
      const base::Json record =
          base::parse_json(line, options.path.string(), limits, lines.number());
      read(base::JsonNode(record, lines.place()), collector);
    } catch (const base::Error& error) {
      if (options.on_bad_line == BadLine::error || error.code() != base::ExitCode::bad_data) throw;
      collector.count_bad_line();
    }
  }
  return collector.finish(options.path);
}

base::Json read_document(const std::filesystem::path& path) {
  base::JsonLimits limits;
  limits.max_bytes = 1ull << 30;
  limits.allow_non_finite = true;
  return base::read_json(path, limits);
}

std::vector<std::string> dataset_kinds() {
  std::vector<std::string> out;
  for (const auto& [kind, reader] : readers()) out.push_back(kind);
  return out;
}

Dataset read_dataset(const DatasetOptions& options) {
  const auto found = readers().find(options.kind);
  if (found == readers().end()) {
    throw base::config_error(
        base::str("data set kind \"", options.kind,
                  "\" is unknown; supported: ", base::join(dataset_kinds(), ", ")));
  }
  return found->second(options);
}

std::vector<QaExample> select(const std::vector<QaExample>& examples,
                              const SelectOptions& options) {
  const auto fits = [](const std::string& text, int64_t limit) {
    return limit <= 0 || static_cast<int64_t>(text.size()) <= limit;
  };
  struct Ranked {
    std::string rank;
    const QaExample* example;
    int64_t round;  // how many of its group come before it
  };
  std::vector<Ranked> ranked;
  for (const auto& one : examples) {
    if (!fits(one.question, options.max_question_bytes) ||
        !fits(one.answer, options.max_answer_bytes) ||
        !fits(one.context, options.max_context_bytes)) {
      continue;
    }
    ranked.push_back({base::sha256_hex(base::str(options.seed, "\n", one.id)), &one, 0});
  }
  const auto wanted = options.count > 0 ? static_cast<size_t>(options.count) : ranked.size();
  if (ranked.size() < wanted) {
    throw base::data_error(
        base::str("data set: ", wanted, " examples are asked for, ", ranked.size(), " of ",
                  examples.size(), " pass the length limits; lower the count or raise the limits"));
  }
  std::sort(ranked.begin(), ranked.end(),
            [](const Ranked& a, const Ranked& b) { return a.rank < b.rank; });
  if (options.one_per_group) {
    std::map<std::string, int64_t> taken;
    for (auto& one : ranked) one.round = taken[one.example->group]++;
    std::stable_sort(ranked.begin(), ranked.end(),
                     [](const Ranked& a, const Ranked& b) { return a.round < b.round; });
  }
  std::vector<QaExample> out;
  for (size_t i = 0; i < wanted; ++i) out.push_back(*ranked[i].example);
  return out;
}

}  // namespace preimage::data
