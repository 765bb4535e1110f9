// How prompts are varied: always text in, text out, so that what is evaluated is what the tokenizer
// makes of the text.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "draws.hpp"
#include "preimage/text/tokenizer/tokenizer.hpp"

namespace preimage::ips {

class PromptSource;

std::vector<std::string> split_words(std::string_view text);  // between ASCII white space
// White space collapsed and ASCII letters in lower case: equal prompts in the sense of a
// population.
std::string folded(std::string_view text);
// White space collapsed.
std::string tidy(std::string_view text);
// Number of tokens of a prompt: special tokens in it are text.
std::vector<int64_t> prompt_tokens(const text::Tokenizer& tokenizer, const std::string& text);
// The longest beginning that ends at a token and whose own tokens are at most `most`.
std::string cut(const text::Tokenizer& tokenizer, const std::string& text, int64_t most);

// Each word with probability `p` replaced by a member of its group of synonyms.
std::string swap_synonyms(const std::string& text, const PromptSource& prompts, double p,
                          Draws& draws);
// Without one span of one to three words.
std::string delete_span(const std::string& text, Draws& draws);
// The words of one clause (between any of , ; : .) in another order; the marks stay.
std::string shuffle_clause(const std::string& text, Draws& draws);
// Each token left out with probability `p`.
std::string drop_tokens(const text::Tokenizer& tokenizer, const std::string& text, double p,
                        Draws& draws);
// A word of the source at any place.
std::string insert_word(const std::string& text, const PromptSource& prompts, Draws& draws);

// a[0:i] + b[j:], cut uniformly at tokens.
std::string splice(const text::Tokenizer& tokenizer, const std::string& a, const std::string& b,
                   Draws& draws);
// a with one segment replaced by one of b, each at most `longest` tokens.
std::string exchange_segment(const text::Tokenizer& tokenizer, const std::string& a,
                             const std::string& b, int64_t longest, Draws& draws);

}  // namespace preimage::ips
