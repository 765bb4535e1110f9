// HotpotQA (Yang et al., EMNLP 2018), distractor and full-wiki files: one JSON array.
#include "readers.hpp"

namespace preimage::data {
namespace {

// The paragraphs, each "title\nsentences", with a blank line between.
std::string text_of(const base::JsonNode& context) {
  std::string out;
  for (size_t p = 0; p < context.size(); ++p) {
    const auto paragraph = context.at(p);
    if (p > 0) out += "\n\n";
    out += paragraph.at(size_t{0}).string() + "\n";
    const auto sentences = paragraph.at(size_t{1});
    for (size_t s = 0; s < sentences.size(); ++s) out += sentences.at(s).string();
  }
  return out;
}

}  // namespace

Dataset read_hotpotqa(const DatasetOptions& options) {
  const base::Json document = read_document(options.path);
  const base::JsonNode records(document, options.path.string());
  Collector out;
  for (size_t i = 0; i < records.size(); ++i) {
    const auto record = records.at(i);
    QaExample example;
    example.id = record.at("_id").string();
    example.question = record.at("question").string();
    const auto answer = record.find("answer");
    if (!answer) record.fail("key \"answer\" is missing; the test file comes without answers");
    example.answer = answer->string();
    example.context = text_of(record.at("context"));
    // Sentence numbers are not checked: a few of the published ones lie beyond their paragraph.
    const auto facts = record.at("supporting_facts");
    if (facts.size() > 0) example.group = facts.at(size_t{0}).at(size_t{0}).string();
    out.add(std::move(example), record.place());
  }
  return out.finish(options.path);
}

}  // namespace preimage::data
