#include "prompt_source.hpp"

#include "operators.hpp"
#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"

namespace preimage::ips {
namespace {

constexpr const char* kPlace = "{words}";
constexpr double kTemplates = 0.6, kHand = 0.2;  // the rest is noise
constexpr int64_t kLeastWords = 2, kMostWords = 6;

}  // namespace

PromptSource::PromptSource(Lexicon lexicon, std::vector<std::string> hand)
    : lexicon_(std::move(lexicon)), hand_(std::move(hand)) {
  if (lexicon_.templates.empty() || lexicon_.words.empty())
    throw base::data_error("prompts need a template and a word at least");
  for (const auto& line : lexicon_.templates) {
    if (line.find(kPlace) == std::string::npos)
      throw base::data_error(base::str("template \"", line, "\": expected {words} in it"));
  }
  for (size_t g = 0; g < lexicon_.synonyms.size(); ++g) {
    const auto& group = lexicon_.synonyms[g];
    if (group.size() < 2)
      throw base::data_error(base::str("synonyms: group ", g + 1, " has fewer than two words"));
    for (const auto& word : group) group_of_.emplace(folded(word), g);
  }
}

std::string PromptSource::word(Draws& draws) const {
  return draws.pick(lexicon_.words);
}

std::string PromptSource::synonym(const std::string& word, Draws& draws) const {
  const auto found = group_of_.find(folded(word));
  return found == group_of_.end() ? word : draws.pick(lexicon_.synonyms[found->second]);
}

std::string PromptSource::filled(Draws& draws) const {
  auto text = draws.pick(lexicon_.templates);
  std::vector<std::string> chosen;
  const int64_t count = kLeastWords + draws.below(kMostWords - kLeastWords + 1);
  for (int64_t i = 0; i < count; ++i) chosen.push_back(word(draws));
  return text.replace(text.find(kPlace), std::string(kPlace).size(), base::join(chosen, " "));
}

std::string PromptSource::fresh(Draws& draws) const {
  const double kind = draws.uniform();
  if (kind >= kTemplates && kind < kTemplates + kHand && !hand_.empty()) return draws.pick(hand_);
  const auto text = filled(draws);
  if (kind < kTemplates + kHand) return text;
  const auto words = split_words(text);
  std::vector<std::string> shuffled;
  for (const int64_t i : draws.permutation(std::ssize(words)))
    shuffled.push_back(words[static_cast<size_t>(i)]);
  return base::join(shuffled, " ");
}

}  // namespace preimage::ips
