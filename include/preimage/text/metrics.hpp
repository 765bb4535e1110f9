// Comparing short answers: the normalizations and scores of the official SQuAD and TriviaQA
// evaluation scripts, and the grades of the inversion spot check.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace preimage::text {

// SQuAD 2.0 (Rajpurkar, Jia, Liang, ACL 2018; evaluate-v2.0.py): lower case, ASCII punctuation
// deleted, the words a, an, the replaced by a space, white space collapsed. Input that is not UTF-8
// has its ill-formed parts replaced by U+FFFD, here and below.
std::string squad_normalize(std::string_view text);
// TriviaQA (Joshi et al., ACL 2017; evaluation script): underscores, ASCII punctuation and the
// quotes ‘ ’ ´ ` become spaces, otherwise as SQuAD.
std::string trivia_normalize(std::string_view text);

// Words between white space of any kind.
std::vector<std::string> white_space_words(std::string_view text);

// Equality after squad_normalize.
bool exact_match(std::string_view prediction, std::string_view target);
// F1 of the multisets of white-space tokens after squad_normalize, in [0, 1]; when one side has no
// token, 1 if neither has and 0 otherwise.
double token_f1(std::string_view prediction, std::string_view target);

// The best over several references, as the official scripts take it (0 for an empty list).
double best_exact_match(std::string_view prediction, const std::vector<std::string>& targets);
double best_token_f1(std::string_view prediction, const std::vector<std::string>& targets);

// Whether any run of `n` neighbouring elements occurs at least `times` times (overlaps count).
bool repeats(const std::vector<int64_t>& ids, size_t n = 4, size_t times = 3);
// The same over white-space separated words.
bool repeats_words(std::string_view text, size_t n = 4, size_t times = 3);

enum class Grade { fail, partial, pass };
const char* grade_name(Grade grade);  // "fail", "partial", "pass"

// Pass: equal after normalization, or F1 >= 0.8, or cosine >= 0.9 with F1 >= 0.5. Partial: F1 >=
// 0.3, or the output begins with the target's words and goes on. Where a side normalizes to
// nothing, only equality of the trimmed texts passes. `cosine`: of the two texts' embeddings, when
// known. Answers whose punctuation matters ("-43") are compared exactly instead: normalization
// drops the sign.
Grade grade_answer(std::string_view output, std::string_view target,
                   std::optional<double> cosine = std::nullopt);

}  // namespace preimage::text
