// Plain pairs: JSON Lines of {"id", "question", "answer", "group"?, "context"?, "aliases"?,
// "paraphrases"?}; other keys are an error, so that a misspelt one is not lost.
#include <algorithm>

#include "preimage/base/str.hpp"
#include "readers.hpp"

namespace preimage::data {
namespace {

std::vector<std::string> strings_of(const base::JsonNode& record, const std::string& key) {
  std::vector<std::string> out;
  const auto list = record.find(key);
  for (size_t i = 0; list && i < list->size(); ++i) out.push_back(list->at(i).string());
  return out;
}

}  // namespace

Dataset read_pairs(const DatasetOptions& options) {
  const std::vector<std::string> keys = {"id",      "question", "answer",     "group",
                                         "context", "aliases",  "paraphrases"};
  return read_json_lines(options, [&](const base::JsonNode& record, Collector& out) {
    QaExample example;
    example.id = record.at("id").string();
    for (const auto& [key, value] : record.json().items()) {
      if (std::find(keys.begin(), keys.end(), key) != keys.end()) continue;
      const std::string near = base::nearest(key, keys);
      record.fail(base::str("unknown key \"", key, "\"",
                            near.empty() ? "; known: " + base::join(keys, ", ")
                                         : " (did you mean \"" + near + "\"?)"));
    }
    example.question = record.at("question").string();
    example.answer = record.at("answer").string();
    example.group = record.string_or("group", "");
    example.context = record.string_or("context", "");
    example.aliases = strings_of(record, "aliases");
    example.paraphrases = strings_of(record, "paraphrases");
    out.add(std::move(example), record.place());
  });
}

}  // namespace preimage::data
