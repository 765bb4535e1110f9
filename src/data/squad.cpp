// SQuAD 2.0 (and 1.1, whose questions have no "is_impossible").
#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"
#include "preimage/base/utf8.hpp"
#include "readers.hpp"

namespace preimage::data {
namespace {

// answer_start counts code points; the text must stand there.
void check_answer(const base::JsonNode& answer, const std::vector<char32_t>& context,
                  const std::string& id) {
  const auto start = static_cast<size_t>(answer.at("answer_start").integer(0));
  const auto text = base::decode_utf8(answer.at("text").string());
  const bool inside = start <= context.size() && text.size() <= context.size() - start;
  if (!inside ||
      !std::equal(text.begin(), text.end(), context.begin() + static_cast<ptrdiff_t>(start))) {
    answer.fail(base::str("id \"", id, "\": the answer \"", answer.at("text").string(),
                          "\" does not stand at code point ", start, " of its context (",
                          context.size(), " code points)"));
  }
}

void read_question(const base::JsonNode& node, const std::string& title,
                   const std::vector<char32_t>& points, Collector& out) {
  QaExample example;
  example.id = node.at("id").string();
  example.group = title;
  example.question = node.at("question").string();
  const auto answers = node.at("answers");
  const bool impossible = node.boolean_or("is_impossible", answers.size() == 0);
  if (impossible != (answers.size() == 0)) {
    node.fail(base::str("id \"", example.id, "\": is_impossible is ", impossible ? "true" : "false",
                        ", but there are ", answers.size(), " answers"));
  }
  if (impossible) return out.count_without_answer();
  for (size_t i = 0; i < answers.size(); ++i) {
    const auto answer = answers.at(i);
    check_answer(answer, points, example.id);
    const std::string text = answer.at("text").string();
    if (i == 0) {
      example.answer = text;
    } else if (text != example.answer) {
      example.aliases.push_back(text);
    }
  }
  for (const char32_t c : points) base::append_utf8(c, example.context);
  out.add(std::move(example), node.place());
}

}  // namespace

Dataset read_squad(const DatasetOptions& options) {
  const base::Json document = read_document(options.path);
  const auto articles = base::JsonNode(document, options.path.string()).at("data");
  Collector out;
  for (size_t a = 0; a < articles.size(); ++a) {
    const std::string title = articles.at(a).at("title").string();
    const auto paragraphs = articles.at(a).at("paragraphs");
    for (size_t p = 0; p < paragraphs.size(); ++p) {
      const auto context = base::decode_utf8(paragraphs.at(p).at("context").string());
      const auto questions = paragraphs.at(p).at("qas");
      for (size_t q = 0; q < questions.size(); ++q)
        read_question(questions.at(q), title, context, out);
    }
  }
  return out.finish(options.path);
}

}  // namespace preimage::data
