// Where prompts come from that have no parents: templates filled with words, prompts that people
// wrote, and noise. And the table of synonyms.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "draws.hpp"

namespace preimage::ips {

struct Lexicon {
  std::vector<std::string> templates;  // with {words}
  std::vector<std::string> words;      // words or phrases
  std::vector<std::vector<std::string>> synonyms;
};

class PromptSource {
 public:
  // Throws ExitCode::bad_data, naming what is wrong, for a template without {words}, an empty list
  // of templates or words, and a group of fewer than two synonyms.
  PromptSource(Lexicon lexicon, std::vector<std::string> hand);

  // 60 % templates filled with words, 20 % prompts by hand (templates where there are none), 20 %
  // noise: a filled template whose words are shuffled.
  std::string fresh(Draws& draws) const;
  // A member of the word's group, its equals included; the word itself where no group has it.
  // Letter case is not looked at.
  std::string synonym(const std::string& word, Draws& draws) const;
  std::string word(Draws& draws) const;

 private:
  std::string filled(Draws& draws) const;

  Lexicon lexicon_;
  std::vector<std::string> hand_;
  std::map<std::string, size_t> group_of_;  // of words in lower case
};

}  // namespace preimage::ips
