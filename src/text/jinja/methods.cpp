// The methods of str, dict, list, tuple and numbers that do not change them.
#include <algorithm>
#include <set>

#include "jinja/runtime.hpp"
#include "jinja/text.hpp"

namespace preimage::text::jinja {
namespace {

using Names = std::set<std::string, std::less<>>;

const Names& text_methods() {
  static const Names names = {
      "capitalize",   "casefold",    "center",    "count",      "encode",       "endswith",
      "expandtabs",   "find",        "format",    "format_map", "index",        "isalnum",
      "isalpha",      "isascii",     "isdecimal", "isdigit",    "isidentifier", "islower",
      "isnumeric",    "isprintable", "isspace",   "istitle",    "isupper",      "join",
      "ljust",        "lower",       "lstrip",    "maketrans",  "partition",    "removeprefix",
      "removesuffix", "replace",     "rfind",     "rindex",     "rjust",        "rpartition",
      "rsplit",       "rstrip",      "split",     "splitlines", "startswith",   "strip",
      "swapcase",     "title",       "translate", "upper",      "zfill"};
  return names;
}

Value texts(std::vector<std::string> parts) {
  std::vector<Value> out;
  out.reserve(parts.size());
  for (auto& part : parts) out.emplace_back(std::move(part));
  return make_list(std::move(out));
}

// The part of `text` between the optional positions of find, count, startswith and their like.
struct Window {
  std::string_view text;
  int64_t begin = 0;  // characters before it
  bool valid = true;
};

Window window(const std::string& text, const Bound& bound) {
  if (!bound.set(1) && !bound.set(2)) return {text, 0, true};
  const int64_t size = length(text);
  const auto place = [&](size_t index, int64_t otherwise) {
    int64_t at = bound.set(index) ? bound.integer(index, 0) : otherwise;
    if (at < 0) at = std::max<int64_t>(at + size, 0);
    return at;
  };
  const int64_t begin = place(1, 0), end = std::min(place(2, size), size);
  if (begin > end) return {"", begin, false};
  const size_t first = byte_offset(text, begin);
  const std::string_view rest = std::string_view(text).substr(first);
  return {rest.substr(0, byte_offset(rest, end - begin)), begin, true};
}

int64_t find_text(const std::string& text, Arguments arguments, const std::string& name) {
  const Bound bound(name, std::move(arguments), {"sub", "start", "end"}, 1);
  const auto part = window(text, bound);
  if (!part.valid) return -1;
  const auto& wanted = bound.string(0);
  const size_t at = name[0] == 'r' ? part.text.rfind(wanted) : part.text.find(wanted);
  return at == part.text.npos ? -1 : part.begin + length(part.text.substr(0, at));
}

bool starts_or_ends(Runtime& runtime, const std::string& text, Arguments arguments, bool starts) {
  const Bound bound(starts ? "startswith" : "endswith", std::move(arguments),
                    {"prefix", "start", "end"}, 1);
  const auto part = window(text, bound);
  if (!part.valid) return false;
  const auto one = [&](const Value& affix) {
    require_defined(affix);
    if (!affix.is_string()) {
      fail_type("startswith and endswith take str or a tuple of str, not " + type_name(affix));
    }
    return starts ? part.text.starts_with(affix.string()) : part.text.ends_with(affix.string());
  };
  if (!bound[0].is_list() || !bound[0].list().is_tuple()) return one(bound[0]);
  const auto affixes = runtime.to_vector(bound[0]);
  return std::any_of(affixes.begin(), affixes.end(), one);
}

Value join_texts(Runtime& runtime, const std::string& separator, const Value& values) {
  std::string out;
  bool first = true;
  const auto iterator = runtime.iterate(values);
  for (Value item; iterator->next(item); first = false) {
    if (!item.is_string()) {
      fail_type("join: sequence items must be str, found " + type_name(item));
    }
    runtime.charge(item.string().size() + separator.size() + 8);
    if (!first) out += separator;
    out += item.string();
  }
  return runtime.result(std::move(out));
}

Value partition(const std::string& text, const std::string& separator, bool last) {
  if (separator.empty()) throw Failure("empty separator");
  const size_t at = last ? text.rfind(separator) : text.find(separator);
  if (at == text.npos) {
    return last ? make_tuple({Value(""), Value(""), Value(text)})
                : make_tuple({Value(text), Value(""), Value("")});
  }
  return make_tuple(
      {Value(text.substr(0, at)), Value(separator), Value(text.substr(at + separator.size()))});
}

Value justify(Runtime& runtime, const std::string& text, const std::string& name,
              Arguments arguments) {
  const Bound bound(name, std::move(arguments), {"width", "fillchar"}, 1);
  const std::string fill = bound.has(1) ? bound.string(1) : (name == "zfill" ? "0" : " ");
  if (length(fill) != 1) fail_type("The fill character must be exactly one character long");
  const int64_t width = bound.integer(0, 0), missing = width - length(text);
  if (missing <= 0) return Value(text);
  runtime.charge(static_cast<uint64_t>(missing));
  int64_t before = name == "ljust" ? 0 : missing;
  if (name == "center") before = missing / 2 + (missing & width & 1);
  std::string out;
  const bool sign = name == "zfill" && !text.empty() && (text[0] == '-' || text[0] == '+');
  if (sign) out += text[0];
  for (int64_t i = 0; i < before; ++i) out += fill;
  out += text.substr(sign ? 1 : 0);
  for (int64_t i = before; i < missing; ++i) out += fill;
  return runtime.result(std::move(out));
}

Value split_text(Runtime& runtime, const std::string& text, const std::string& name,
                 Arguments arguments) {
  const Bound bound(name, std::move(arguments), {"sep", "maxsplit"});
  const std::string* separator = bound.set(0) ? &bound.string(0) : nullptr;
  const int64_t limit = bound.integer(1, -1);
  auto parts = name == "split" ? split(text, separator, limit) : rsplit(text, separator, limit);
  runtime.charge(parts.size() * 32);
  return texts(std::move(parts));
}

Value strip_text(const std::string& text, const std::string& name, Arguments arguments) {
  const Bound bound(name, std::move(arguments), {"chars"});
  const std::string* chars = bound.set(0) ? &bound.string(0) : nullptr;
  return Value(strip(text, chars, name != "rstrip", name != "lstrip"));
}

// The methods that take no arguments and give another case of the text.
std::optional<std::string> recased(const std::string& name, const std::string& text) {
  if (name == "upper") return upper(text);
  if (name == "lower") return lower(text);
  if (name == "title") return title(text);
  if (name == "capitalize") return capitalize(text);
  if (name == "swapcase") return swapcase(text);
  if (name == "casefold") return casefold(text);
  return std::nullopt;
}

Value count_text(const std::string& text, Arguments arguments) {
  const Bound bound("count", std::move(arguments), {"sub", "start", "end"}, 1);
  const auto part = window(text, bound);
  const auto& wanted = bound.string(0);
  if (!part.valid) return Value(int64_t{0});
  if (wanted.empty()) return Value(length(part.text) + 1);
  int64_t count = 0;
  for (size_t at = 0; (at = part.text.find(wanted, at)) != part.text.npos; at += wanted.size())
    ++count;
  return Value(count);
}

Value call_dict_method(Runtime& runtime, const Value& receiver, const std::string& name,
                       Arguments arguments) {
  const auto& dict = receiver.dict();
  if (name == "get") {
    const Bound bound(name, std::move(arguments), {"key", "default"}, 1);
    const Value* found = dict.find(bound[0]);
    return found != nullptr ? *found : bound.has(1) ? bound[1] : Value();
  }
  if (name != "items" && name != "keys" && name != "values" && name != "copy") {
    fail_type("the method dict." + name + " is not supported");
  }
  const Bound none(name, std::move(arguments), {});
  if (name == "copy") return receiver;
  runtime.charge(dict.items.size() * 4);
  std::vector<Value> out;
  out.reserve(dict.items.size());
  for (const auto& [key, value] : dict.items) {
    if (name == "items") {
      out.push_back(make_tuple({key, value}));
    } else {
      out.push_back(name == "keys" ? key : value);
    }
  }
  return make_list(std::move(out), name == "items"  ? List::Type::items
                                   : name == "keys" ? List::Type::keys
                                                    : List::Type::values);
}

Value call_list_method(Runtime& runtime, const Value& receiver, const std::string& name,
                       Arguments arguments) {
  const auto& items = receiver.list().items;
  if (name == "copy") return receiver;
  const Bound bound(name, std::move(arguments), {"value", "start", "stop"}, 1);
  const auto size = static_cast<int64_t>(items.size());
  const auto place = [&](size_t index, int64_t otherwise) {
    int64_t at = bound.integer(index, otherwise);
    return std::clamp<int64_t>(at < 0 ? at + size : at, 0, size);
  };
  int64_t count = 0;
  for (int64_t i = place(1, 0); i < place(2, size); ++i) {
    if (!runtime.compare("==", items[static_cast<size_t>(i)], bound[0])) continue;
    if (name == "index") return Value(i);
    ++count;
  }
  if (name == "index") throw Failure(repr(bound[0]) + " is not in list");
  return Value(count);
}

}  // namespace

Value call_text_method(Runtime& runtime, const std::string& text, const std::string& name,
                       Arguments arguments) {
  runtime.charge(text.size() / 4 + 8);
  if (name == "format") return runtime.result(format_braces(runtime, text, arguments));
  if (name == "split" || name == "rsplit")
    return split_text(runtime, text, name, std::move(arguments));
  if (name == "strip" || name == "lstrip" || name == "rstrip") {
    return strip_text(text, name, std::move(arguments));
  }
  if (name == "startswith" || name == "endswith") {
    return Value(starts_or_ends(runtime, text, std::move(arguments), name == "startswith"));
  }
  if (name == "find" || name == "rfind" || name == "index" || name == "rindex") {
    const int64_t at = find_text(text, std::move(arguments), name);
    if (at < 0 && name.ends_with("index")) throw Failure("substring not found");
    return Value(at);
  }
  if (name == "count") return count_text(text, std::move(arguments));
  if (name == "ljust" || name == "rjust" || name == "center" || name == "zfill") {
    return justify(runtime, text, name, std::move(arguments));
  }
  if (name == "replace") {
    const Bound bound(name, std::move(arguments), {"old", "new", "count"}, 2);
    return runtime.result(replace(text, bound.string(0), bound.string(1), bound.integer(2, -1)));
  }
  if (name == "join") {
    const Bound bound(name, std::move(arguments), {"iterable"}, 1);
    return join_texts(runtime, text, bound[0]);
  }
  if (name == "partition" || name == "rpartition") {
    const Bound bound(name, std::move(arguments), {"sep"}, 1);
    return partition(text, bound.string(0), name == "rpartition");
  }
  if (name == "removeprefix" || name == "removesuffix") {
    const Bound bound(name, std::move(arguments), {"affix"}, 1);
    const auto& affix = bound.string(0);
    if (name == "removeprefix")
      return Value(text.substr(text.starts_with(affix) ? affix.size() : 0));
    return Value(text.substr(0, text.size() - (text.ends_with(affix) ? affix.size() : 0)));
  }
  if (name == "splitlines") {
    const Bound bound(name, std::move(arguments), {"keepends"});
    return texts(split_lines(text, bound.truth(0, false)));
  }
  const Bound none(name, std::move(arguments), {});
  if (auto other = recased(name, text)) return runtime.result(std::move(*other));
  if (const auto answer = has_class(name, text)) return Value(*answer);
  fail_type("the method str." + name + " is not supported");
}

bool has_method(const Value& value, const std::string& name) {
  static const Names dict = {"get", "items", "keys", "values", "copy", "fromkeys"};
  static const Names list = {"copy", "count", "index"};
  static const Names number = {"bit_length",      "bit_count", "conjugate", "denominator",
                               "from_bytes",      "fromhex",   "hex",       "imag",
                               "is_integer",      "numerator", "real",      "to_bytes",
                               "as_integer_ratio"};
  if (value.is_string()) return text_methods().contains(name);
  if (value.is_dict()) return dict.contains(name);
  if (value.is_list() && value.list().indexable()) {
    return list.contains(name) && (name != "copy" || value.list().type == List::Type::list);
  }
  return value.is_number() && number.contains(name);
}

bool is_forbidden_method(const Value& value, const std::string& name) {
  static const Names dict = {"clear", "pop", "popitem", "setdefault", "update"};
  static const Names list = {"append", "clear", "pop",    "reverse",
                             "insert", "sort",  "extend", "remove"};
  if (value.is_dict()) return dict.contains(name);
  return value.is_list() && value.list().type == List::Type::list && list.contains(name);
}

Value call_method(Runtime& runtime, const Value& receiver, const std::string& name,
                  Arguments arguments) {
  if (receiver.is_string()) {
    return call_text_method(runtime, receiver.string(), name, std::move(arguments));
  }
  if (receiver.is_dict()) return call_dict_method(runtime, receiver, name, std::move(arguments));
  if (receiver.is_list()) return call_list_method(runtime, receiver, name, std::move(arguments));
  fail_type("the method " + type_name(receiver) + "." + name + " is not supported");
}

}  // namespace preimage::text::jinja
