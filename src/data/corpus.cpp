#include "preimage/data/corpus.hpp"

#include <fstream>

#include "preimage/base/error.hpp"
#include "preimage/base/file.hpp"
#include "preimage/base/json.hpp"
#include "preimage/base/str.hpp"

namespace preimage::data {
namespace {

constexpr uint64_t kLineLimit = 16u << 20;

std::string text_of(const base::Json& record, const char* key, const std::string& place) {
  const auto& value = record.at(key);
  if (!value.is_string()) {
    throw base::data_error(place + ": \"" + key + "\": found " + value.type_name() + ", expected a string");
  }
  return value.get<std::string>();
}

TrainingText parse_line(const std::string& line, const std::string& file, int64_t number) {
  const auto record = base::parse_json(line, file, {.max_bytes = kLineLimit}, number);
  const std::string place = base::str(file, ":", number);
  const bool plain = record.is_object() && record.contains("text");
  const bool pair = record.is_object() && record.contains("prompt") && record.contains("completion");
  if (plain == pair) {
    throw base::data_error(place + ": expected an object with either \"text\" or both \"prompt\" and \"completion\"");
  }
  TrainingText out;
  if (pair) out.prompt = text_of(record, "prompt", place);
  out.completion = text_of(record, pair ? "completion" : "text", place);
  if (out.completion.empty()) throw base::data_error(place + ": the text to be learned is empty");
  return out;
}

}  // namespace

std::vector<TrainingText> read_corpus(const std::filesystem::path& path) {
  base::require_regular_file(path);
  std::ifstream in(path, std::ios::binary);
  if (!in) throw base::data_error(path.string() + ": cannot be opened");
  std::vector<TrainingText> out;
  std::string line;
  for (int64_t number = 1; std::getline(in, line); ++number) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (line.empty() && in.peek() == std::ifstream::traits_type::eof()) break;
    out.push_back(parse_line(line, path.string(), number));
  }
  if (out.empty()) throw base::data_error(path.string() + ": empty; expected one JSON object a line");
  return out;
}

}  // namespace preimage::data
