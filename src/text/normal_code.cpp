#include "preimage/text/normal_code.hpp"

#include <algorithm>
#include <array>
#include <vector>

#include "preimage/text/code_block.hpp"

namespace preimage::text {
namespace {

constexpr std::string_view kChannel = "<|channel|>", kMessage = "<|message|>";
constexpr std::array<std::string_view, 4> kEnds = {"<|end|>", "<|return|>", "<|call|>",
                                                   "<|start|>"};
constexpr std::string_view kWhite = " \t\r\v\f";

std::string_view without_white_end(std::string_view line) {
  const size_t last = line.find_last_not_of(kWhite);
  return last == std::string_view::npos ? std::string_view() : line.substr(0, last + 1);
}

// "\r\n" and "\r" as "\n".
std::string with_line_feeds(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\r') {
      out += text[i];
    } else {
      out += '\n';
      if (i + 1 < text.size() && text[i + 1] == '\n') ++i;
    }
  }
  return out;
}

}  // namespace

std::string final_channel(std::string_view answer) {
  if (answer.find(kChannel) == std::string_view::npos) return std::string(answer);
  std::string_view found;
  for (size_t at = 0; (at = answer.find(kChannel, at)) != std::string_view::npos;) {
    at += kChannel.size();
    // The header names the channel first: "final <|constrain|>json".
    const size_t message = answer.find(kMessage, at);
    if (message == std::string_view::npos) break;
    const auto header = answer.substr(at, message - at);
    const auto name = header.substr(0, header.find_first_of(" \t\n<"));
    at = message + kMessage.size();
    if (name != "final") continue;
    size_t end = answer.size();
    for (const auto mark : kEnds) end = std::min(end, answer.find(mark, at));
    found = answer.substr(at, end - at);
  }
  return std::string(found);
}

std::string normal_lines(std::string_view code) {
  const auto text = with_line_feeds(code);
  std::vector<std::string_view> lines;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    lines.push_back(without_white_end(std::string_view(text).substr(begin, end - begin)));
    begin = end + 1;
  }
  const auto filled = [](std::string_view line) { return !line.empty(); };
  const auto first = std::find_if(lines.begin(), lines.end(), filled);
  const auto last = std::find_if(lines.rbegin(), lines.rend(), filled).base();
  std::string out;
  for (auto line = first; line < last; ++line) {
    if (line != first) out += '\n';
    out += *line;
  }
  return out;
}

std::string normal_code(std::string_view answer) {
  return normal_lines(extract_code(final_channel(answer)));
}

}  // namespace preimage::text
