// ARC-AGI-1 and -2: a folder of tasks, one JSON file each. One example for each test input:
// question = its grid, answer = the output grid, context = the demonstrations.
#include <algorithm>

#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"
#include "readers.hpp"

namespace preimage::data {
namespace {

constexpr size_t kMaxSide = 30;

// Digits of a row without separator, "\n" between rows.
std::string grid_of(const base::JsonNode& grid) {
  std::string out;
  const size_t rows = grid.size();
  const size_t columns = rows > 0 ? grid.at(size_t{0}).size() : 0;
  if (rows < 1 || rows > kMaxSide || columns < 1 || columns > kMaxSide) {
    grid.fail(base::str("grid of ", rows, " x ", columns, ", allowed are 1 x 1 to 30 x 30"));
  }
  for (size_t r = 0; r < rows; ++r) {
    const auto row = grid.at(r);
    if (row.size() != columns) {
      row.fail(base::str("row of ", row.size(), " cells in a grid of ", columns, " columns"));
    }
    if (r > 0) out += '\n';
    for (size_t c = 0; c < columns; ++c) out += static_cast<char>('0' + row.at(c).integer(0, 9));
  }
  return out;
}

void read_task(const std::filesystem::path& path, Collector& out) {
  const base::Json document = base::read_json(path);
  const base::JsonNode task(document, path.string());
  std::string demonstrations;
  const auto train = task.at("train");
  for (size_t i = 0; i < train.size(); ++i) {
    if (i > 0) demonstrations += "\n\n";
    demonstrations += grid_of(train.at(i).at("input")) + "\n\n" + grid_of(train.at(i).at("output"));
  }
  const auto test = task.at("test");
  for (size_t i = 0; i < test.size(); ++i) {
    QaExample example;
    example.group = path.stem().string();
    example.id = base::str(example.group, "/", i);
    example.question = grid_of(test.at(i).at("input"));
    if (!test.at(i).find("output")) {
      out.count_without_answer();
      continue;
    }
    example.answer = grid_of(test.at(i).at("output"));
    example.context = demonstrations;
    out.add(std::move(example), test.at(i).place());
  }
}

}  // namespace

Dataset read_arc(const DatasetOptions& options) {
  if (!std::filesystem::is_directory(options.path)) {
    throw base::data_error(options.path.string() +
                           ": not a folder; ARC is a folder of TASK.json files");
  }
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(options.path)) {
    if (entry.path().extension() == ".json") files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  Collector out;
  for (const auto& file : files) read_task(file, out);
  return out.finish(options.path);
}

}  // namespace preimage::data
