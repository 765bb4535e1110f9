// Python's printf-style formatting, str.format and json.dumps.
#include <cmath>
#include <cstdio>

#include "jinja/runtime.hpp"
#include "jinja/text.hpp"
#include "preimage/base/utf8.hpp"

namespace preimage::text::jinja {
namespace {

constexpr int64_t kMaxWidth = 1 << 20;

struct Spec {
  std::string fill = " ";
  char align = '\0';  // < > ^ =
  char sign = '-';    // - + or space
  bool alternate = false, zero = false;
  char grouping = '\0';
  int64_t width = 0, precision = -1;
  char type = '\0';
};

int64_t read_number(std::string_view text, size_t& at) {
  int64_t out = 0;
  for (; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at) {
    out = out * 10 + (text[at] - '0');
    if (out > kMaxWidth) throw Failure("a width or precision too large in a format");
  }
  return out;
}

std::string in_base(uint64_t value, unsigned base, bool upper_case) {
  std::string out;
  do out.insert(out.begin(), (upper_case ? "0123456789ABCDEF" : "0123456789abcdef")[value % base]);
  while ((value /= base) != 0);
  return out;
}

// Digits of a number without its sign.
std::string float_digits(double value, const Spec& spec) {
  if (std::isnan(value)) return std::isupper(static_cast<uint8_t>(spec.type)) ? "NAN" : "nan";
  if (std::isinf(value)) return std::isupper(static_cast<uint8_t>(spec.type)) ? "INF" : "inf";
  const char type = spec.type == '%' ? 'f' : spec.type;
  const std::string form = std::string(spec.alternate ? "%#" : "%") + ".*" + type;
  const int precision = static_cast<int>(spec.precision < 0 ? 6 : spec.precision);
  std::string out(static_cast<size_t>(precision) + 340, '\0');
  const double shown = spec.type == '%' ? value * 100 : value;
  const int size = std::snprintf(out.data(), out.size(), form.c_str(), precision, shown);
  out.resize(static_cast<size_t>(size));
  return spec.type == '%' ? out + "%" : out;
}

std::string grouped(const std::string& digits, char separator, size_t group) {
  const size_t whole = std::min(digits.find_first_of(".e%"), digits.size());
  std::string out;
  for (size_t i = 0; i < whole; ++i) {
    if (i > 0 && (whole - i) % group == 0) out += separator;
    out += digits[i];
  }
  return out + digits.substr(whole);
}

std::string padded(const std::string& body, const std::string& sign, const Spec& spec, char align) {
  const int64_t missing = spec.width - length(body) - length(sign);
  if (missing <= 0) return sign + body;
  const auto fill = [&](int64_t count) {
    std::string out;
    for (int64_t i = 0; i < count; ++i) out += spec.fill;
    return out;
  };
  if (align == '=') return sign + fill(missing) + body;
  if (align == '<') return sign + body + fill(missing);
  if (align == '^') return fill(missing / 2) + sign + body + fill(missing - missing / 2);
  return fill(missing) + sign + body;
}

std::string sign_of(bool negative, const Spec& spec) {
  if (negative) return "-";
  return spec.sign == '-' ? "" : std::string(1, spec.sign);
}

std::string integer_text(int64_t value, const Spec& spec, char align) {
  const bool negative = value < 0;
  const uint64_t size = negative ? 0 - static_cast<uint64_t>(value) : static_cast<uint64_t>(value);
  const char type = spec.type;
  const unsigned base = type == 'x' || type == 'X' ? 16 : type == 'o' ? 8 : type == 'b' ? 2 : 10;
  std::string digits = in_base(size, base, type == 'X');
  if (spec.grouping != '\0') digits = grouped(digits, spec.grouping, base == 10 ? 3 : 4);
  std::string sign = sign_of(negative, spec);
  if (spec.alternate && base != 10) sign += std::string("0") + type;
  while (static_cast<int64_t>(digits.size()) < spec.precision) digits.insert(0, "0");
  return padded(digits, sign, spec, align);
}

// An integer of any size.
std::string decimal_text(std::string digits, const Spec& spec, char align) {
  const bool negative = digits.starts_with('-');
  if (negative) digits.erase(0, 1);
  if (spec.grouping != '\0') digits = grouped(digits, spec.grouping, 3);
  while (static_cast<int64_t>(digits.size()) < spec.precision) digits.insert(0, "0");
  return padded(digits, sign_of(negative, spec), spec, align);
}

std::string float_text(double value, Spec spec, char align) {
  const bool negative = std::signbit(value) && !std::isnan(value);
  std::string digits;
  if (spec.type == '\0' && spec.precision < 0) {
    digits = float_repr(std::abs(value));
  } else {
    if (spec.type == '\0') spec.type = 'g';
    digits = float_digits(std::abs(value), spec);
  }
  if (spec.grouping != '\0') digits = grouped(digits, spec.grouping, 3);
  return padded(digits, sign_of(negative, spec), spec, align);
}

// One value after "%".
class PercentFormat {
 public:
  PercentFormat(Runtime& runtime, const std::string& format, const Value& values)
      : runtime_(runtime), format_(format), values_(values) {
    tuple_ = values.is_list() && values.list().is_tuple();
  }

  std::string run() {
    for (size_t at = 0; at < format_.size();) {
      if (format_[at] != '%') {
        out_ += format_[at++];
      } else {
        conversion(++at);
      }
    }
    const bool mapping = values_.is_dict() || (values_.is_list() && !tuple_);
    if (tuple_ ? used_ < values_.list().items.size() : used_ == 0 && !mapping && !named_) {
      fail_type("not all arguments converted during string formatting");
    }
    return std::move(out_);
  }

 private:
  const Value& next() {
    if (tuple_ ? used_ >= values_.list().items.size() : used_ > 0) {
      fail_type("not enough arguments for format string");
    }
    return tuple_ ? values_.list().items[used_++] : (++used_, values_);
  }

  const Value& named(size_t& at) {
    const size_t close = format_.find(')', at);
    if (close == format_.npos) fail_type("incomplete format key");
    if (!values_.is_dict()) fail_type("format requires a mapping");
    const auto key = format_.substr(at + 1, close - at - 1);
    const Value* found = values_.dict().find(key);
    if (found == nullptr) fail_type("format key " + text_repr(key) + " is missing");
    at = close + 1;
    named_ = true;
    return *found;
  }

  int64_t star_or_number(size_t& at) {
    if (at >= format_.size() || format_[at] != '*') return read_number(format_, at);
    ++at;
    const Value& given = next();
    if (!given.is_int() || std::abs(given.integer()) > kMaxWidth) fail_type("* wants int");
    return given.integer();
  }

  void conversion(size_t& at) {
    Spec spec;
    char align = '>';
    const Value* subject = nullptr;
    if (at < format_.size() && format_[at] == '(') subject = &named(at);
    for (; at < format_.size(); ++at) {
      const char flag = format_[at];
      if (flag == '-')
        align = '<';
      else if (flag == '+')
        spec.sign = '+';
      else if (flag == ' ')
        spec.sign = spec.sign == '+' ? '+' : ' ';
      else if (flag == '#')
        spec.alternate = true;
      else if (flag == '0')
        spec.zero = true;
      else
        break;
    }
    spec.width = star_or_number(at);
    if (spec.width < 0) align = '<', spec.width = -spec.width;
    if (at < format_.size() && format_[at] == '.') spec.precision = star_or_number(++at);
    while (at < format_.size() &&
           std::string_view("hlL").find(format_[at]) != std::string_view::npos)
      ++at;
    if (at >= format_.size()) fail_type("incomplete format");
    spec.type = format_[at++];
    if (spec.type == '%') {
      out_ += '%';
      return;
    }
    if (subject == nullptr) subject = &next();
    one(*subject, spec, align);
  }

  void one(const Value& value, Spec spec, char align) {
    const char type = spec.type;
    if (type == 's' || type == 'r' || type == 'a') {
      runtime_.charge(value.weight());
      std::string text = type == 's' ? to_text(value) : repr(value);
      if (spec.precision >= 0 && length(text) > spec.precision)
        text = slice_text(text, 0, spec.precision, 1);
      out_ += padded(text, "", spec, align);
      return;
    }
    if (type == 'c') {
      if (value.is_string() && length(value.string()) == 1) {
        out_ += padded(value.string(), "", spec, align);
      } else {
        fail_type("%c requires a character");
      }
      return;
    }
    require_defined(value);
    if (value.is_big() && std::string_view("diu").find(type) != std::string_view::npos) {
      out_ += decimal_text(value.digits(), spec, align);
      return;
    }
    if (value.is_big() && (type == 'x' || type == 'X' || type == 'o'))
      throw Failure("an integer beyond 64 bits");
    if (!value.is_number()) {
      fail_type(std::string("%") + type + " format: a number is required, not " + type_name(value));
    }
    if (spec.zero && align != '<') spec.fill = "0", align = '=';
    if (std::string_view("diuxXo").find(type) != std::string_view::npos) {
      if (value.is_float() && type != 'd' && type != 'i' && type != 'u') {
        fail_type(std::string("%") + type + " format: an integer is required, not float");
      }
      if (value.is_float() && !(std::abs(value.number()) < 9e18))
        throw Failure("an integer beyond 64 bits");
      spec.type = type == 'i' || type == 'u' ? 'd' : type;
      const int64_t whole =
          value.is_float() ? static_cast<int64_t>(value.number()) : value.integer();
      out_ += integer_text(whole, spec, align);
    } else if (std::string_view("eEfFgG").find(type) != std::string_view::npos) {
      out_ += float_text(value.number(), spec, align);
    } else {
      fail_type(std::string("unsupported format character '") + type + "'");
    }
  }

  Runtime& runtime_;
  const std::string& format_;
  const Value& values_;
  bool tuple_ = false, named_ = false;
  size_t used_ = 0;
  std::string out_;
};

Spec read_spec(std::string_view text) {
  Spec spec;
  size_t at = 0;
  const auto is_align = [&](size_t i) {
    return i < text.size() && std::string_view("<>=^").find(text[i]) != std::string_view::npos;
  };
  size_t first = 1;
  while (first < text.size() && (static_cast<uint8_t>(text[first]) & 0xC0) == 0x80) ++first;
  if (is_align(first)) {
    spec.fill = text.substr(0, first);
    spec.align = text[first];
    at = first + 1;
  } else if (is_align(0)) {
    spec.align = text[at++];
  }
  const auto take = [&](char c) {
    return at < text.size() && text[at] == c ? (++at, true) : false;
  };
  if (take('+'))
    spec.sign = '+';
  else if (take(' '))
    spec.sign = ' ';
  else
    take('-');
  spec.alternate = take('#');
  if (take('0') && spec.align == '\0') spec.fill = "0", spec.align = '=';
  spec.width = read_number(text, at);
  if (take(','))
    spec.grouping = ',';
  else if (take('_'))
    spec.grouping = '_';
  if (take('.')) spec.precision = read_number(text, at);
  if (at < text.size()) spec.type = text[at++];
  if (at < text.size()) fail_type("invalid format specifier " + text_repr(text));
  return spec;
}

std::string formatted(Runtime& runtime, const Value& value, const std::string& text) {
  if (text.empty()) return runtime.text(value);
  const Spec spec = read_spec(text);
  const char type = spec.type;
  if (value.is_number() && !(value.is_bool() && type == '\0')) {
    const char align = spec.align == '\0' ? '>' : spec.align;
    const bool integral = std::string_view("dxXobn").find(type) != std::string_view::npos;
    if (value.is_int() && (type == '\0' || integral))
      return integer_text(value.integer(), spec, align);
    if (value.is_big() && (type == '\0' || type == 'd')) {
      return decimal_text(value.digits(), spec, align);
    }
    if (std::string_view("eEfFgG%").find(type) != std::string_view::npos) {
      return float_text(value.number(), spec, align);
    }
  } else if (value.is_string() && (type == '\0' || type == 's')) {
    std::string body = value.string();
    if (spec.precision >= 0 && length(body) > spec.precision)
      body = slice_text(body, 0, spec.precision, 1);
    if (spec.align == '=') fail_type("'=' alignment not allowed in string format specifier");
    return padded(body, "", spec, spec.align == '\0' ? '<' : spec.align);
  }
  fail_type("unsupported format string " + text_repr(text) + " for " + type_name(value));
}

class BraceFormat {
 public:
  BraceFormat(Runtime& runtime, const Arguments& arguments)
      : runtime_(runtime), arguments_(arguments) {}

  std::string run(std::string_view format, int level) {
    if (level > 1) fail_type("max string recursion exceeded");
    std::string out;
    for (size_t at = 0; at < format.size();) {
      const char c = format[at++];
      if (c != '{' && c != '}') {
        out += c;
      } else if (at < format.size() && format[at] == c) {
        out += format[at++];
      } else if (c == '}') {
        fail_type("single '}' encountered in format string");
      } else {
        const size_t end = closing(format, at);
        out += field(format.substr(at, end - at), level);
        at = end + 1;
      }
    }
    return out;
  }

 private:
  static size_t closing(std::string_view format, size_t at) {
    for (int open = 1; at < format.size(); ++at) {
      if (format[at] == '{') ++open;
      if (format[at] == '}' && --open == 0) return at;
    }
    fail_type("expected '}' before end of string");
  }

  std::string field(std::string_view body, int level) {
    const size_t colon = body.find(':');
    const std::string spec = colon == body.npos ? "" : run(body.substr(colon + 1), level + 1);
    std::string_view name = body.substr(0, colon);
    char conversion = '\0';
    if (const size_t mark = name.find('!'); mark != name.npos) {
      if (name.size() != mark + 2) fail_type("a conversion is one of !s and !r");
      conversion = name[mark + 1];
      name = name.substr(0, mark);
    }
    Value value = find(name);
    if (conversion == 'r') {
      runtime_.charge(value.weight());
      value = Value(repr(value));
    } else if (conversion == 's') {
      value = Value(runtime_.text(value));
    } else if (conversion != '\0') {
      fail_type("a conversion is one of !s and !r");
    }
    return formatted(runtime_, value, spec);
  }

  Value find(std::string_view name) {
    size_t end = name.find_first_of(".[");
    if (end == name.npos) end = name.size();
    Value value = first(std::string(name.substr(0, end)));
    while (end < name.size()) {
      const size_t begin = end + 1;
      if (name[end] == '[') {
        end = name.find(']', begin);
        if (end == name.npos) fail_type("missing ']' in format string");
        const std::string key(name.substr(begin, end - begin));
        const bool number = key.find_first_not_of("0123456789") == key.npos && !key.empty();
        value = runtime_.item(value, number ? Value(*parse_integer(key, 10)) : Value(key));
        ++end;
      } else {
        end = std::min(name.find_first_of(".[", begin), name.size());
        value = runtime_.attribute(value, std::string(name.substr(begin, end - begin)));
      }
    }
    return value;
  }

  Value first(const std::string& name) {
    size_t index = automatic_;
    if (name.empty()) {
      ++automatic_;
    } else if (name.find_first_not_of("0123456789") == name.npos && name.size() < 9) {
      index = static_cast<size_t>(*parse_integer(name, 10));
    } else {
      for (const auto& [key, value] : arguments_.named) {
        if (key == name) return value;
      }
      fail_type("format has no argument " + text_repr(name));
    }
    if (index >= arguments_.positional.size()) {
      fail_type("Replacement index " + std::to_string(index) +
                " out of range for positional args tuple");
    }
    return arguments_.positional[index];
  }

  Runtime& runtime_;
  const Arguments& arguments_;
  size_t automatic_ = 0;
};

}  // namespace

std::string format_percent(Runtime& runtime, const std::string& format, const Value& values) {
  return PercentFormat(runtime, format, values).run();
}

std::string format_braces(Runtime& runtime, const std::string& format, const Arguments& arguments) {
  return BraceFormat(runtime, arguments).run(format, 0);
}

}  // namespace preimage::text::jinja
