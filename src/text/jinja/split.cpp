// The parts of Python's str that search, cut and strip.
#include <algorithm>
#include <array>

#include "jinja/text.hpp"
#include "preimage/base/utf8.hpp"

namespace preimage::text::jinja {
namespace {

size_t width(std::string_view text, size_t at) {
  const auto lead = static_cast<uint8_t>(text[at]);
  return lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
}

char32_t character(std::string_view text, size_t at) {
  const auto byte = [&](size_t i) { return static_cast<char32_t>(static_cast<uint8_t>(text[i])); };
  switch (width(text, at)) {
    case 1:
      return byte(at);
    case 2:
      return (byte(at) & 0x1F) << 6 | (byte(at + 1) & 0x3F);
    case 3:
      return (byte(at) & 0xF) << 12 | (byte(at + 1) & 0x3F) << 6 | (byte(at + 2) & 0x3F);
    default:
      return (byte(at) & 7) << 18 | (byte(at + 1) & 0x3F) << 12 | (byte(at + 2) & 0x3F) << 6 |
             (byte(at + 3) & 0x3F);
  }
}

// First byte of the character before `at` > 0.
size_t before(std::string_view text, size_t at) {
  do --at;
  while (at > 0 && (static_cast<uint8_t>(text[at]) & 0xC0) == 0x80);
  return at;
}

bool is_line_end(char32_t c) {
  return (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 ||
         c == 0x2029;
}

std::vector<std::string> split_spaces(std::string_view text, int64_t limit) {
  std::vector<std::string> out;
  for (size_t at = 0;;) {
    while (at < text.size() && is_space(character(text, at))) at += width(text, at);
    if (at == text.size()) return out;
    if (limit >= 0 && static_cast<int64_t>(out.size()) == limit) {
      out.emplace_back(text.substr(at));
      return out;
    }
    const size_t begin = at;
    while (at < text.size() && !is_space(character(text, at))) at += width(text, at);
    out.emplace_back(text.substr(begin, at - begin));
  }
}

std::vector<std::string> rsplit_spaces(std::string_view text, int64_t limit) {
  std::vector<std::string> out;
  for (size_t at = text.size();;) {
    while (at > 0 && is_space(character(text, before(text, at)))) at = before(text, at);
    if (at == 0) break;
    if (static_cast<int64_t>(out.size()) == limit) {
      out.emplace_back(text.substr(0, at));
      break;
    }
    const size_t end = at;
    while (at > 0 && !is_space(character(text, before(text, at)))) at = before(text, at);
    out.emplace_back(text.substr(at, end - at));
  }
  std::reverse(out.begin(), out.end());
  return out;
}

}  // namespace

bool is_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return static_cast<uint8_t>(c) < 0x80; });
}

bool is_space(char32_t c) {
  return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 ||
         c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F ||
         c == 0x205F || c == 0x3000;
}

int64_t length(std::string_view text) {
  return std::count_if(text.begin(), text.end(),
                       [](char c) { return (static_cast<uint8_t>(c) & 0xC0) != 0x80; });
}

size_t byte_offset(std::string_view text, int64_t index) {
  if (is_ascii(text)) return static_cast<size_t>(index);
  size_t at = 0;
  for (; index > 0; --index) at += width(text, at);
  return at;
}

std::string slice_text(std::string_view text, int64_t first, int64_t last, int64_t step) {
  if (step == 1) {
    if (first >= last) return "";
    const size_t begin = byte_offset(text, first);
    return std::string(text.substr(begin, byte_offset(text.substr(begin), last - first)));
  }
  const auto letters = base::decode_utf8(text);
  std::string out;
  for (int64_t i = first; step > 0 ? i < last : i > last; i += step) {
    base::append_utf8(letters[static_cast<size_t>(i)], out);
  }
  return out;
}

std::string_view strip(std::string_view text, const std::string* chars, bool left, bool right) {
  std::vector<char32_t> set;
  if (chars != nullptr) set = base::decode_utf8(*chars);
  const auto drops = [&](char32_t c) {
    return chars == nullptr ? is_space(c) : std::find(set.begin(), set.end(), c) != set.end();
  };
  while (left && !text.empty() && drops(character(text, 0))) text.remove_prefix(width(text, 0));
  while (right && !text.empty()) {
    const size_t last = before(text, text.size());
    if (!drops(character(text, last))) break;
    text.remove_suffix(text.size() - last);
  }
  return text;
}

std::vector<std::string> split(std::string_view text, const std::string* separator, int64_t limit) {
  if (separator == nullptr) return split_spaces(text, limit);
  if (separator->empty()) throw Failure("empty separator");
  std::vector<std::string> out;
  size_t begin = 0;
  while (limit < 0 || static_cast<int64_t>(out.size()) < limit) {
    const size_t found = text.find(*separator, begin);
    if (found == text.npos) break;
    out.emplace_back(text.substr(begin, found - begin));
    begin = found + separator->size();
  }
  out.emplace_back(text.substr(begin));
  return out;
}

std::vector<std::string> rsplit(std::string_view text, const std::string* separator,
                                int64_t limit) {
  if (separator == nullptr) return rsplit_spaces(text, limit);
  if (separator->empty()) throw Failure("empty separator");
  std::vector<std::string> out;
  size_t end = text.size();
  while (limit < 0 || static_cast<int64_t>(out.size()) < limit) {
    if (end < separator->size()) break;
    const size_t found = text.rfind(*separator, end - separator->size());
    if (found == text.npos) break;
    out.emplace_back(text.substr(found + separator->size(), end - found - separator->size()));
    end = found;
  }
  out.emplace_back(text.substr(0, end));
  std::reverse(out.begin(), out.end());
  return out;
}

std::vector<std::string> split_lines(std::string_view text, bool keep_ends) {
  std::vector<std::string> out;
  for (size_t begin = 0, at = 0; begin < text.size();) {
    while (at < text.size() && !is_line_end(character(text, at))) at += width(text, at);
    const size_t end = at;
    if (at < text.size()) at += text.substr(at, 2) == "\r\n" ? 2 : width(text, at);
    out.emplace_back(text.substr(begin, (keep_ends ? at : end) - begin));
    begin = at;
  }
  return out;
}

std::string replace(std::string_view text, std::string_view from, std::string_view to,
                    int64_t limit) {
  std::string out;
  size_t at = 0;
  if (from.empty()) {  // before every character, and at the end
    for (int64_t done = 0; limit < 0 || done < limit; ++done) {
      out += to;
      if (at == text.size()) return out;
      const size_t step = width(text, at);
      out += text.substr(at, step);
      at += step;
    }
    return out.append(text.substr(at));
  }
  for (int64_t done = 0; limit < 0 || done < limit; ++done) {
    const size_t found = text.find(from, at);
    if (found == text.npos) break;
    out.append(text.substr(at, found - at)).append(to);
    at = found + from.size();
  }
  return out.append(text.substr(at));
}

}  // namespace preimage::text::jinja
