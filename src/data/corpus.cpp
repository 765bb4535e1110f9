#include "preimage/data/corpus.hpp"

#include "preimage/base/error.hpp"
#include "preimage/base/json_node.hpp"

namespace preimage::data {
namespace {

TrainingText record_of(const base::JsonNode& node) {
  const auto text = node.find("text");
  const auto prompt = node.find("prompt");
  const auto completion = node.find("completion");
  if (text.has_value() == completion.has_value() || prompt.has_value() != completion.has_value()) {
    node.fail("expected either \"text\", or \"prompt\" and \"completion\"");
  }
  TrainingText out;
  if (prompt) out.prompt = prompt->string();
  out.completion = text ? text->string() : completion->string();
  if (out.completion.empty())
    (text ? *text : *completion).fail("empty; there is nothing to learn from");
  return out;
}

}  // namespace

CorpusReader::CorpusReader(const std::filesystem::path& path, BadLine on_bad_line)
    : lines_(path), path_(path.string()), on_bad_line_(on_bad_line) {}

std::optional<TrainingText> CorpusReader::next() {
  base::JsonLimits limits;
  limits.max_bytes = 64u << 20;
  std::string line;
  while (lines_.next(line)) {
    try {
      const base::Json record = base::parse_json(line, path_, limits, lines_.number());
      return record_of(base::JsonNode(record, lines_.place()));
    } catch (const base::Error& error) {
      if (on_bad_line_ == BadLine::error || error.code() != base::ExitCode::bad_data) throw;
      ++bad_lines_;
    }
  }
  return std::nullopt;
}

std::vector<TrainingText> read_corpus(const std::filesystem::path& path) {
  CorpusReader reader(path);
  std::vector<TrainingText> out;
  while (auto record = reader.next()) out.push_back(std::move(*record));
  if (out.empty()) throw base::data_error(path.string() + ": holds no record");
  return out;
}

}  // namespace preimage::data
