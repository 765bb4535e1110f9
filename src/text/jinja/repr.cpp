// How Python prints and reads values.
#include <charconv>
#include <cmath>

#include <utf8proc.h>

#include "jinja/text.hpp"
#include "preimage/base/str.hpp"
#include "preimage/base/utf8.hpp"

namespace preimage::text::jinja {
namespace {

constexpr char kHex[] = "0123456789abcdef";

void append_hex(uint32_t value, int digits, std::string& out) {
  for (int shift = 4 * (digits - 1); shift >= 0; shift -= 4) out += kHex[value >> shift & 15];
}

bool is_printable(char32_t c) {
  if (c == ' ') return true;
  const auto kind = utf8proc_category(static_cast<utf8proc_int32_t>(c));
  return kind != UTF8PROC_CATEGORY_CN && kind < UTF8PROC_CATEGORY_ZS;
}

std::string joined(const List& list, const char* open, const char* close) {
  std::string out = open;
  for (size_t i = 0; i < list.items.size(); ++i) {
    if (i > 0) out += ", ";
    out += repr(list.items[i]);
  }
  if (list.is_tuple() && list.items.size() == 1) out += ',';
  return out + close;
}

std::string list_repr(const List& list) {
  switch (list.type) {
    case List::Type::list:
      return joined(list, "[", "]");
    case List::Type::tuple:
    case List::Type::group:
      return joined(list, "(", ")");
    case List::Type::range:
      return list.label;
    case List::Type::keys:
      return joined(list, "dict_keys([", "])");
    case List::Type::values:
      return joined(list, "dict_values([", "])");
    case List::Type::items:
      break;
  }
  return joined(list, "dict_items([", "])");
}

std::string dict_repr(const Dict& dict) {
  std::string out = "{";
  for (const auto& [key, value] : dict.items) {
    if (out.size() > 1) out += ", ";
    out.append(repr(key)).append(": ").append(repr(value));
  }
  return out + "}";
}

// Digits without "_" between them; nothing when an underscore stands elsewhere.
std::optional<std::string> without_underscores(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '_') {
      out += text[i];
    } else if (i == 0 || i + 1 == text.size() || !std::isalnum(static_cast<uint8_t>(text[i - 1])) ||
               !std::isalnum(static_cast<uint8_t>(text[i + 1]))) {
      return std::nullopt;
    }
  }
  return out;
}

}  // namespace

std::string float_repr(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  char buffer[40];
  const auto end =
      std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific).ptr;
  std::string_view text(buffer, static_cast<size_t>(end - buffer));
  std::string out;
  if (text[0] == '-') out = "-", text.remove_prefix(1);
  const size_t e = text.find('e');
  int exponent = 0;
  const char* digits_from = text.data() + e + (text[e + 1] == '+' ? 2 : 1);
  std::from_chars(digits_from, text.data() + text.size(), exponent);
  std::string digits(1, text[0]);
  if (e > 2) digits += text.substr(2, e - 2);
  const int count = static_cast<int>(digits.size());
  if (exponent < -4 || exponent >= 16) {
    out += digits[0];
    if (count > 1) out.append(".").append(digits, 1);
    const int size = std::abs(exponent);
    return out + (exponent < 0 ? "e-" : "e+") + (size < 10 ? "0" : "") + std::to_string(size);
  }
  if (exponent < 0)
    return out + "0." + std::string(static_cast<size_t>(-exponent - 1), '0') + digits;
  if (count <= exponent + 1) {
    return out + digits + std::string(static_cast<size_t>(exponent + 1 - count), '0') + ".0";
  }
  return out + digits.substr(0, static_cast<size_t>(exponent + 1)) + "." +
         digits.substr(static_cast<size_t>(exponent + 1));
}

std::string text_repr(std::string_view text) {
  const bool single = text.find('\'') != text.npos && text.find('"') == text.npos;
  const char quote = single ? '"' : '\'';
  std::string out(1, quote);
  for (const char32_t c : base::decode_utf8(text)) {
    if (c == static_cast<char32_t>(quote) || c == '\\') {
      out += '\\';
      out += static_cast<char>(c);
    } else if (c == '\n' || c == '\r' || c == '\t') {
      out += c == '\n' ? "\\n" : c == '\r' ? "\\r" : "\\t";
    } else if (c < 0x20 || c == 0x7F || (c < 0x100 && !is_printable(c))) {
      out += "\\x";
      append_hex(c, 2, out);
    } else if (is_printable(c)) {
      base::append_utf8(c, out);
    } else {
      out += c < 0x10000 ? "\\u" : "\\U";
      append_hex(c, c < 0x10000 ? 4 : 8, out);
    }
  }
  return out + quote;
}

std::string to_text(const Value& value) {
  if (value.is_string()) return value.string();
  if (value.is_undefined()) return "";
  return repr(value);
}

std::string repr(const Value& value) {
  if (value.is_undefined()) return "Undefined";
  if (value.is_none()) return "None";
  if (value.is_bool()) return value.integer() != 0 ? "True" : "False";
  if (value.is_int() || value.is_big()) return value.digits();
  if (value.is_float()) return float_repr(value.number());
  if (value.is_string()) {
    const auto text = text_repr(value.string());
    return value.is_markup() ? "Markup(" + text + ")" : text;
  }
  if (value.is_list()) return list_repr(value.list());
  return value.is_dict() ? dict_repr(value.dict()) : value.object().repr();
}

void append_json_text(std::string_view text, bool ascii_only, std::string& out) {
  const auto escape = [&](char32_t c) {
    out += "\\u";
    append_hex(c, 4, out);
  };
  out += '"';
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const auto byte = static_cast<uint8_t>(c);
    const size_t named = std::string_view("\"\\\n\r\t\f\b").find(c);
    if (named != std::string_view::npos) {
      out += '\\';
      out += "\"\\nrtfb"[named];
    } else if (byte < 0x20) {
      escape(byte);
    } else if (byte < 0x80 || !ascii_only) {
      out += c;
    } else {
      const size_t size = byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
      const char32_t point = base::decode_utf8(text.substr(i, size))[0];
      if (point >= 0x10000) escape(0xD800 + ((point - 0x10000) >> 10));
      escape(point < 0x10000 ? point : 0xDC00 + ((point - 0x10000) & 0x3FF));
      i += size - 1;
    }
  }
  out += '"';
}

std::optional<int64_t> parse_integer(std::string_view text, int64_t base) {
  text = strip(text, nullptr);
  bool negative = false;
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) {
    negative = text[0] == '-';
    text.remove_prefix(1);
  }
  if (text.size() > 2 && text[0] == '0') {
    const char mark = static_cast<char>(text[1] | 0x20);
    const int64_t marked = mark == 'x' ? 16 : mark == 'o' ? 8 : mark == 'b' ? 2 : 0;
    if (marked != 0 && (base == marked || base == 0)) {
      base = marked;
      text.remove_prefix(text[2] == '_' ? 3 : 2);
    }
  }
  if (base == 0) {
    if (text.size() > 1 && text[0] == '0' && text.find_first_not_of("0_") != text.npos) return {};
    base = 10;
  }
  const auto digits = without_underscores(text);
  if (!digits || digits->empty() || base < 2 || base > 36) return std::nullopt;
  const std::string signed_digits = (negative ? "-" : "") + *digits;
  int64_t value = 0;
  const char* last = signed_digits.data() + signed_digits.size();
  if ((*digits)[0] == '-') return std::nullopt;
  const auto [end, error] =
      std::from_chars(signed_digits.data(), last, value, static_cast<int>(base));
  if (error == std::errc::result_out_of_range) throw Failure("integer beyond 64 bits");
  if (error != std::errc() || end != last) return std::nullopt;
  return value;
}

std::optional<double> parse_float(std::string_view text) {
  const auto digits = without_underscores(strip(text, nullptr));
  if (!digits || digits->empty()) return std::nullopt;
  std::string_view body = *digits;
  double sign = 1;
  if (body[0] == '-' || body[0] == '+') {
    sign = body[0] == '-' ? -1 : 1;
    body.remove_prefix(1);
  }
  const std::string small = is_ascii(body) ? lower(body) : std::string();
  if (small == "inf" || small == "infinity") return sign * HUGE_VAL;
  if (small == "nan") return std::nan("");
  if (body.empty() || body.find_first_not_of("0123456789.eE+-") != body.npos) return std::nullopt;
  if (body[0] != '.' && !std::isdigit(static_cast<uint8_t>(body[0]))) return std::nullopt;
  double value = 0;
  const auto [end, error] = std::from_chars(body.data(), body.data() + body.size(), value);
  if (end != body.data() + body.size()) return std::nullopt;
  if (error == std::errc::result_out_of_range)
    value = std::strtod(std::string(body).c_str(), nullptr);
  return sign * value;
}

}  // namespace preimage::text::jinja
