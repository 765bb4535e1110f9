// Natural Questions: the simplified JSON Lines files, and NQ-open.
#include <string_view>

#include "preimage/base/str.hpp"
#include "readers.hpp"

namespace preimage::data {
namespace {

// Tokens are separated by exactly one space: two spaces hold an empty token between them.
std::vector<std::string_view> tokens_of(std::string_view text) {
  std::vector<std::string_view> out;
  for (size_t at = 0;;) {
    const size_t space = text.find(' ', at);
    out.push_back(text.substr(at, space == text.npos ? text.npos : space - at));
    if (space == text.npos) return out;
    at = space + 1;
  }
}

// The tokens of [start_token, end_token) without HTML tags, joined by spaces.
std::string text_of(const base::JsonNode& span, const std::vector<std::string_view>& tokens) {
  const auto count = static_cast<int64_t>(tokens.size());
  const int64_t start = span.at("start_token").integer(0, count);
  const int64_t end = span.at("end_token").integer(0, count);
  if (start >= end) span.fail(base::str("empty span [", start, ", ", end, ")"));
  std::string out;
  for (int64_t i = start; i < end; ++i) {
    const auto token = tokens[static_cast<size_t>(i)];
    if (token.size() >= 2 && token.front() == '<' && token.back() == '>') continue;
    if (token.empty()) continue;
    if (!out.empty()) out += ' ';
    out += token;
  }
  return out;
}

void read_record(const base::JsonNode& record, Collector& out) {
  QaExample example;
  const auto id = record.at("example_id");
  if (!id.json().is_number_integer()) id.wrong_type("an integer");
  example.id = id.json().dump();  // beyond 2^53, so never through a double
  example.group = record.string_or("document_url", "");
  example.question = record.at("question_text").string();
  const auto document = record.at("document_text");
  const auto& text = document.string();
  const auto tokens = tokens_of(text);
  const auto annotations = record.at("annotations");
  for (size_t a = 0; a < annotations.size(); ++a) {
    const auto annotation = annotations.at(a);
    const auto spans = annotation.at("short_answers");
    if (spans.size() == 0) continue;
    const std::string answer = text_of(spans.at(size_t{0}), tokens);
    if (!example.answer.empty()) {
      if (answer != example.answer) example.aliases.push_back(answer);
      continue;
    }
    example.answer = answer;
    const auto passage = annotation.at("long_answer");
    if (passage.at("start_token").integer() >= 0) example.context = text_of(passage, tokens);
  }
  if (example.answer.empty()) return out.count_without_answer();
  out.add(std::move(example), record.place());
}

}  // namespace

Dataset read_natural_questions(const DatasetOptions& options) {
  return read_json_lines(options, read_record);
}

// {"question", "answer": [...]}; the question itself is the id.
Dataset read_nq_open(const DatasetOptions& options) {
  return read_json_lines(options, [](const base::JsonNode& record, Collector& out) {
    QaExample example;
    example.id = example.question = record.at("question").string();
    const auto answers = record.at("answer");
    if (answers.size() == 0) return out.count_without_answer();
    example.answer = answers.at(size_t{0}).string();
    for (size_t i = 1; i < answers.size(); ++i) example.aliases.push_back(answers.at(i).string());
    out.add(std::move(example), record.place());
  });
}

}  // namespace preimage::data
