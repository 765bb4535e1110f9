// json.dumps as the filter `tojson` of transformers calls it.
#include <algorithm>
#include <cmath>

#include "jinja/runtime.hpp"
#include "jinja/text.hpp"

namespace preimage::text::jinja {
namespace {

struct JsonStyle {
  bool ascii_only = false, sort_keys = false, pretty = false;
  std::string indent, between_items = ", ", after_key = ": ";
};

class JsonWriter {
 public:
  explicit JsonWriter(JsonStyle style) : style_(std::move(style)) {}

  void write(const Value& value, int level) {
    if (value.is_string()) {
      append_json_text(value.string(), style_.ascii_only, out);
    } else if (value.is_dict()) {
      write_dict(value.dict(), level);
    } else if (value.is_list() && value.list().type <= List::Type::group) {
      write_list(value.list(), level);
    } else if (value.is_none() || value.is_number()) {
      out += scalar(value);
    } else {
      fail_type("Object of type " + type_name(value) + " is not JSON serializable");
    }
  }

  std::string out;

 private:
  static std::string scalar(const Value& value) {
    if (value.is_none()) return "null";
    if (value.is_bool()) return value.integer() != 0 ? "true" : "false";
    if (!value.is_float()) return value.digits();
    if (std::isnan(value.number())) return "NaN";
    if (std::isinf(value.number())) return value.number() > 0 ? "Infinity" : "-Infinity";
    return float_repr(value.number());
  }

  void new_line(int level) {
    if (!style_.pretty) return;
    out += '\n';
    for (int i = 0; i < level; ++i) out += style_.indent;
  }

  void write_list(const List& list, int level) {
    if (list.items.empty()) {
      out += "[]";
      return;
    }
    out += '[';
    for (size_t i = 0; i < list.items.size(); ++i) {
      if (i > 0) out += style_.between_items;
      new_line(level + 1);
      write(list.items[i], level + 1);
    }
    new_line(level);
    out += ']';
  }

  void write_dict(const Dict& dict, int level) {
    if (dict.items.empty()) {
      out += "{}";
      return;
    }
    std::vector<const std::pair<Value, Value>*> members;
    for (const auto& member : dict.items) members.push_back(&member);
    if (style_.sort_keys) {
      std::stable_sort(members.begin(), members.end(), [](const auto* a, const auto* b) {
        return compare(a->first, b->first, "<") < 0;
      });
    }
    out += '{';
    for (size_t i = 0; i < members.size(); ++i) {
      if (i > 0) out += style_.between_items;
      new_line(level + 1);
      const Value& key = members[i]->first;
      if (!key.is_string() && !key.is_none() && !key.is_number()) {
        fail_type("keys must be str, int, float, bool or None, not " + type_name(key));
      }
      append_json_text(key.is_string() ? key.string() : scalar(key), style_.ascii_only, out);
      out += style_.after_key;
      write(members[i]->second, level + 1);
    }
    new_line(level);
    out += '}';
  }

  JsonStyle style_;
};

}  // namespace

Value to_json(Runtime& runtime, const Value& value, Arguments arguments) {
  const Bound bound("tojson", std::move(arguments),
                    {"ensure_ascii", "indent", "separators", "sort_keys"});
  JsonStyle style;
  style.ascii_only = bound.truth(0, false);
  style.sort_keys = bound.truth(3, false);
  if (bound.set(1)) {
    style.pretty = true;
    style.between_items = ",";
    constexpr int64_t kMaxIndent = 1000;
    if (bound[1].is_string()) {
      style.indent = bound[1].string();
    } else {
      style.indent.assign(
          static_cast<size_t>(std::clamp<int64_t>(bound.integer(1, 0), 0, kMaxIndent)), ' ');
    }
  }
  if (bound.set(2)) {
    const auto parts = runtime.to_vector(bound[2]);
    if (parts.size() != 2 || !parts[0].is_string() || !parts[1].is_string()) {
      fail_type("tojson: separators are two texts");
    }
    style.between_items = parts[0].string();
    style.after_key = parts[1].string();
  }
  runtime.charge(value.weight() * (2 + value.depth() * (style.indent.size() + 1) / 8));
  JsonWriter writer(style);
  writer.write(value, 0);
  return runtime.result(std::move(writer.out));
}

}  // namespace preimage::text::jinja
