#include "preimage/text/repetition_request.hpp"

#include <algorithm>
#include <array>
#include <optional>

#include "preimage/text/code_tokens.hpp"

namespace preimage::text {
namespace {

using namespace std::string_view_literals;

// They ask for what is there already.
constexpr std::array kRepeating = {"repeat"sv,    "copy"sv,       "echo"sv,      "reproduce"sv,
                                   "recite"sv,    "restate"sv,    "retype"sv,    "transcribe"sv,
                                   "duplicate"sv, "paste"sv,      "replicate"sv, "parrot"sv,
                                   "quote"sv,     "regurgitate"sv};
// They may ask for something new.
constexpr std::array kWriting = {"print"sv,  "output"sv,  "write"sv, "return"sv,  "type"sv,
                                 "say"sv,    "give"sv,    "show"sv,  "display"sv, "emit"sv,
                                 "answer"sv, "respond"sv, "reply"sv, "rewrite"sv};
constexpr std::array kAhead = {"this"sv,     "these"sv,   "following"sv, "below"sv,
                               "verbatim"sv, "exactly"sv, "literally"sv, "unchanged"sv};
constexpr std::array kBehind = {"above"sv, "preceding"sv, "previous"sv};
constexpr std::array kMarks = {":"sv, "\n"sv};
constexpr std::array kQuotes = {"\""sv, "'"sv, "`"sv};

constexpr int64_t kReach = 8;          // tokens between a verb and what it points at
constexpr int64_t kNear = 3, kAt = 2;  // likewise of a mark, of a quote, where nothing points
constexpr int64_t kLeastContent = 4;   // tokens that are worth repeating

template <size_t N>
bool among(const std::string& token, const std::array<std::string_view, N>& words) {
  return std::find(words.begin(), words.end(), token) != words.end();
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// code_tokens with the line breaks among them.
std::vector<std::string> with_breaks(std::string_view text) {
  std::vector<std::string> tokens;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    if (begin > 0) tokens.emplace_back("\n");
    for (auto& token : code_tokens(text.substr(begin, end - begin)))
      tokens.push_back(std::move(token));
    begin = end + 1;
  }
  return tokens;
}

int64_t content(const std::vector<std::string>& tokens, int64_t begin, int64_t end) {
  return std::count_if(tokens.begin() + begin, tokens.begin() + end,
                       [](const std::string& token) { return token != "\n"; });
}

// Behind a verb at `verb`: whether something is pointed at that stands in the text.
bool points_at_text(const std::vector<std::string>& tokens, int64_t verb, bool repeating) {
  const int64_t size = std::ssize(tokens), reach = std::min(size, verb + 1 + kReach);
  bool pointed = false;
  for (int64_t i = verb + 1; i < reach; ++i) {
    const auto& token = tokens[static_cast<size_t>(i)];
    const bool amount = i + 1 < size && is_digit(tokens[static_cast<size_t>(i) + 1].front());
    if (among(token, kBehind) && !amount && content(tokens, 0, verb) >= kLeastContent) return true;
    const bool here = content(tokens, i + 1, size) >= kLeastContent;
    const int64_t far = i - verb;
    if (among(token, kMarks) && here && (pointed || (repeating && far <= kNear))) return true;
    if (among(token, kQuotes) && here && (pointed || (repeating && far <= kAt))) return true;
    if (!among(token, kAhead)) continue;
    if (repeating && here) return true;
    pointed = true;
  }
  return false;
}

}  // namespace

bool asks_for_repetition(std::string_view prompt) {
  const auto tokens = with_breaks(prompt);
  for (int64_t i = 0; i < std::ssize(tokens); ++i) {
    const auto& token = tokens[static_cast<size_t>(i)];
    const bool repeating = among(token, kRepeating);
    if ((repeating || among(token, kWriting)) && points_at_text(tokens, i, repeating)) return true;
  }
  return false;
}

}  // namespace preimage::text
