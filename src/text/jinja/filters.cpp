// Filters on texts, numbers and single values. Those on sequences: jinja_sequence_filters.cpp.
#include <algorithm>
#include <cmath>
#include <map>

#include "jinja/runtime.hpp"
#include "jinja/text.hpp"
#include "preimage/base/utf8.hpp"

namespace preimage::text::jinja {
namespace {

using S = const Value&;

// soft_str: a text as it is, anything else printed.
std::string soft(Runtime& runtime, S value) {
  return runtime.text(value);
}

Value filter_trim(Runtime& runtime, S subject, Arguments arguments) {
  const Bound bound("trim", std::move(arguments), {"chars"});
  const std::string* chars = bound.set(0) ? &bound.string(0) : nullptr;
  return Value(strip(soft(runtime, subject), chars));
}

Value filter_default(Runtime&, S subject, Arguments arguments) {
  const Bound bound("default", std::move(arguments), {"default_value", "boolean"});
  if (!subject.is_undefined() && (!bound.truth(1, false) || truth(subject))) return subject;
  return bound.has(0) ? bound[0] : Value("");
}

Value filter_replace(Runtime& runtime, S subject, Arguments arguments) {
  const Bound bound("replace", std::move(arguments), {"old", "new", "count"}, 2);
  const auto text = soft(runtime, subject), from = soft(runtime, bound[0]),
             to = soft(runtime, bound[1]);
  const int64_t limit = bound.set(2) ? bound.integer(2, -1) : -1;
  runtime.charge(from.empty() ? text.size() * (to.size() + 1)
                              : text.size() / from.size() * to.size());
  return runtime.result(replace(text, from, to, limit));
}

Value filter_indent(Runtime& runtime, S subject, Arguments arguments) {
  const Bound bound("indent", std::move(arguments), {"width", "first", "blank"});
  require_defined(subject);
  if (!subject.is_string()) fail_type("indent: expected str, found " + type_name(subject));
  constexpr int64_t kMaxWidth = 1 << 16;
  const std::string width =
      bound.has(0) && bound[0].is_string()
          ? bound[0].string()
          : std::string(static_cast<size_t>(std::clamp<int64_t>(bound.integer(0, 4), 0, kMaxWidth)),
                        ' ');
  const auto lines = split_lines(subject.string() + "\n", false);
  runtime.charge(subject.string().size() + lines.size() * width.size());
  std::string out = bound.truth(1, false) ? width : "";
  for (size_t i = 0; i < lines.size(); ++i) {
    if (i > 0) out += '\n';
    if (i > 0 && (bound.truth(2, false) || !lines[i].empty())) out += width;
    out += lines[i];
  }
  return runtime.result(std::move(out));
}

Value filter_title(Runtime& runtime, S subject, Arguments) {
  std::string out;
  bool start = true;
  for (const char32_t c : base::decode_utf8(soft(runtime, subject))) {
    std::string one;
    base::append_utf8(c, one);
    const bool gap = is_space(c) || c == '-' || c == '(' || c == '{' || c == '[' || c == '<';
    out += gap ? one : start ? upper(one) : lower(one);
    start = gap;
  }
  return runtime.result(std::move(out));
}

Value filter_truncate(Runtime& runtime, S subject, Arguments arguments) {
  const Bound bound("truncate", std::move(arguments), {"length", "killwords", "end", "leeway"});
  require_defined(subject);
  if (!subject.is_string()) fail_type("truncate: expected str, found " + type_name(subject));
  const std::string end = bound.has(2) ? bound.string(2) : "...";
  const int64_t size = bound.integer(0, 255), leeway = bound.set(3) ? bound.integer(3, 5) : 5;
  if (size < length(end) || leeway < 0) fail_type("truncate: length or leeway is too small");
  runtime.charge(subject.string().size() / 4);
  if (length(subject.string()) <= size + leeway) return subject;
  std::string head = slice_text(subject.string(), 0, size - length(end), 1);
  if (!bound.truth(1, false)) {
    if (const size_t space = head.rfind(' '); space != head.npos) head.resize(space);
  }
  return Value(head + end);
}

// int(value) of Python; nothing where it raises TypeError or ValueError.
std::optional<int64_t> whole(S value) {
  if (value.is_int()) return value.integer();
  if (!value.is_float() || std::isnan(value.number())) return std::nullopt;
  if (std::isinf(value.number())) throw Failure("cannot convert float infinity to integer");
  if (std::abs(value.number()) >= 9.2e18) throw Failure("an integer beyond 64 bits");
  return static_cast<int64_t>(value.number());
}

Value filter_int(Runtime&, S subject, Arguments arguments) {
  const Bound bound("int", std::move(arguments), {"default", "base"});
  require_defined(subject);
  if (subject.is_big()) return subject;
  if (subject.is_string()) {
    if (const auto number = parse_integer(subject.string(), bound.integer(1, 10)))
      return Value(*number);
    const auto number = parse_float(subject.string());
    if (number && std::isfinite(*number)) return Value(*whole(Value(*number)));
  } else if (const auto number = whole(subject)) {
    return Value(*number);
  }
  return bound.has(0) ? bound[0] : Value(int64_t{0});
}

Value filter_float(Runtime&, S subject, Arguments arguments) {
  const Bound bound("float", std::move(arguments), {"default"});
  require_defined(subject);
  if (subject.is_number()) return Value(subject.number());
  if (subject.is_string()) {
    if (const auto number = parse_float(subject.string())) return Value(*number);
  }
  return bound.has(0) ? bound[0] : Value(0.0);
}

double scaled(double value, int64_t precision, bool up) {
  const double unit = std::pow(10.0, static_cast<double>(precision));
  return (up ? std::ceil(value * unit) : std::floor(value * unit)) / unit;
}

Value filter_round(Runtime&, S subject, Arguments arguments) {
  const Bound bound("round", std::move(arguments), {"precision", "method"});
  require_defined(subject);
  const std::string method = bound.has(1) ? bound.string(1) : "common";
  const int64_t precision = bound.integer(0, 0);
  if (!subject.is_number() || std::abs(precision) > 300) fail_type("round: expected a number");
  if (method == "ceil" || method == "floor") {
    return Value(scaled(subject.number(), precision, method == "ceil"));
  }
  if (method != "common") fail_type("round: method must be common, ceil or floor");
  if (subject.is_int() && precision >= 0) return Value(subject.integer());
  if (subject.is_big() && precision >= 0) return subject;
  if (precision >= 0) {
    char text[700];
    std::snprintf(text, sizeof text, "%.*f", static_cast<int>(precision), subject.number());
    return Value(std::isfinite(subject.number()) ? *parse_float(text) : subject.number());
  }
  const double unit = std::pow(10.0, static_cast<double>(-precision));
  const double rounded = std::nearbyint(subject.number() / unit) * unit;
  return subject.is_int() ? Value(static_cast<int64_t>(rounded)) : Value(rounded);
}

Value filter_format(Runtime& runtime, S subject, Arguments arguments) {
  if (!arguments.positional.empty() && !arguments.named.empty()) {
    fail_type("format: can't handle positional and keyword arguments at the same time");
  }
  const auto format = soft(runtime, subject);
  if (arguments.named.empty()) {
    return runtime.result(
        format_percent(runtime, format, make_tuple(std::move(arguments.positional))));
  }
  Dict dict;
  for (auto& [name, value] : arguments.named) dict.set(Value(name), std::move(value));
  return runtime.result(format_percent(runtime, format, make_dict(std::move(dict))));
}

Value filter_abs(Runtime& runtime, S subject, Arguments) {
  require_defined(subject);
  if (!subject.is_number()) fail_type("bad operand type for abs(): '" + type_name(subject) + "'");
  return subject.number() < 0 ? runtime.unary("-", subject) : runtime.unary("+", subject);
}

Value filter_wordcount(Runtime& runtime, S subject, Arguments) {
  int64_t count = 0;
  bool inside = false;
  for (const char32_t c : base::decode_utf8(soft(runtime, subject))) {
    std::string one;
    base::append_utf8(c, one);
    const bool word = c == '_' || *has_class("isalnum", one);
    if (word && !inside) ++count;
    inside = word;
  }
  return Value(count);
}

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const size_t at = std::string_view("&<>\"'").find(c);
    static constexpr const char* kNames[] = {"&amp;", "&lt;", "&gt;", "&#34;", "&#39;"};
    if (at == std::string_view::npos) {
      out += c;
    } else {
      out += kNames[at];
    }
  }
  return out;
}

Value filter_escape(Runtime& runtime, S subject, Arguments) {
  if (subject.is_markup()) return subject;
  return Value::markup(escaped(soft(runtime, subject)));
}

std::string quoted_url(std::string_view text, bool query) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<uint8_t>(c);
    if (byte < 0x80 &&
        (std::isalnum(byte) || std::string_view("_.-~").find(c) != std::string_view::npos ||
         (c == '/' && !query))) {
      out += c;
    } else if (c == ' ' && query) {
      out += '+';
    } else {
      out.append({'%', kHex[byte >> 4], kHex[byte & 15]});
    }
  }
  return out;
}

Value filter_urlencode(Runtime& runtime, S subject, Arguments) {
  if (!subject.is_dict()) return runtime.result(quoted_url(soft(runtime, subject), false));
  std::string out;
  for (const auto& [key, value] : subject.dict().items) {
    if (!out.empty()) out += '&';
    out += quoted_url(soft(runtime, key), true) + "=" + quoted_url(soft(runtime, value), true);
  }
  return runtime.result(std::move(out));
}

Value filter_attr(Runtime& runtime, S subject, Arguments arguments) {
  const Bound bound("attr", std::move(arguments), {"name"}, 1);
  // Members of the type only: not the keys of a dict.
  if (subject.is_dict() && !has_method(subject, bound.string(0)) &&
      !is_forbidden_method(subject, bound.string(0))) {
    return Value::undefined("'dict object' has no attribute " + text_repr(bound.string(0)));
  }
  return runtime.attribute(subject, bound.string(0));
}

Value filter_center(Runtime& runtime, S subject, Arguments arguments) {
  if (arguments.positional.empty() && arguments.named.empty()) {
    arguments.positional.emplace_back(int64_t{80});
  }
  return call_text_method(runtime, soft(runtime, subject), "center", std::move(arguments));
}

const std::map<std::string, Filter>& filters() {
  static const std::map<std::string, Filter> table = {
      {"abs", filter_abs},
      {"attr", filter_attr},
      {"capitalize", [](Runtime& r, S v, Arguments) { return Value(capitalize(soft(r, v))); }},
      {"center", filter_center},
      {"d", filter_default},
      {"default", filter_default},
      {"e", filter_escape},
      {"escape", filter_escape},
      {"float", filter_float},
      {"forceescape",
       [](Runtime& r, S v, Arguments) { return Value::markup(escaped(soft(r, v))); }},
      {"format", filter_format},
      {"indent", filter_indent},
      {"int", filter_int},
      {"lower", [](Runtime& r, S v, Arguments) { return Value(lower(soft(r, v))); }},
      {"replace", filter_replace},
      {"round", filter_round},
      {"safe", [](Runtime& r, S v, Arguments) { return Value::markup(soft(r, v)); }},
      {"string", [](Runtime& r, S v, Arguments) { return v.is_string() ? v : Value(soft(r, v)); }},
      {"title", filter_title},
      {"tojson", to_json},
      {"trim", filter_trim},
      {"truncate", filter_truncate},
      {"upper", [](Runtime& r, S v, Arguments) { return Value(upper(soft(r, v))); }},
      {"urlencode", filter_urlencode},
      {"wordcount", filter_wordcount},
  };
  return table;
}

}  // namespace

Filter find_filter(const std::string& name) {
  const auto it = filters().find(name);
  return it == filters().end() ? find_sequence_filter(name) : it->second;
}

}  // namespace preimage::text::jinja
