// TriviaQA, the question files of qa/ and unfiltered (the evidence texts are not read).
#include "readers.hpp"

namespace preimage::data {
namespace {

std::string group_of(const base::JsonNode& datum, const base::JsonNode& answer) {
  if (const auto entity = answer.find("MatchedWikiEntityName")) {
    if (!entity->string().empty()) return entity->string();
  }
  const auto pages = datum.find("EntityPages");
  if (pages && pages->size() > 0) return pages->at(size_t{0}).at("Title").string();
  return answer.at("Value").string();
}

}  // namespace

Dataset read_triviaqa(const DatasetOptions& options) {
  const base::Json document = read_document(options.path);
  const auto data = base::JsonNode(document, options.path.string()).at("Data");
  Collector out;
  for (size_t i = 0; i < data.size(); ++i) {
    const auto datum = data.at(i);
    const auto answer = datum.find("Answer");
    if (!answer) {
      datum.fail(
          "key \"Answer\" is missing; the test files come without answers, use train or dev");
    }
    QaExample example;
    example.id = datum.at("QuestionId").string();
    example.group = group_of(datum, *answer);
    example.question = datum.at("Question").string();
    example.answer = answer->at("Value").string();
    const auto aliases = answer->at("Aliases");
    for (size_t k = 0; k < aliases.size(); ++k) {
      const std::string alias = aliases.at(k).string();
      if (alias != example.answer) example.aliases.push_back(alias);
    }
    out.add(std::move(example), datum.place());
  }
  return out.finish(options.path);
}

}  // namespace preimage::data
