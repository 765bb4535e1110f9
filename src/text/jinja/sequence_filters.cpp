// Filters on sequences. Those that jinja2 writes as generators give one value at a time here too.
#include <algorithm>
#include <map>

#include "jinja/runtime.hpp"
#include "jinja/text.hpp"

namespace preimage::text::jinja {
namespace {

using S = const Value&;

// "a.b.0": members of members; what stands in the attribute argument of many filters.
class Getter {
 public:
  explicit Getter(S attribute, bool fold_case = false, std::optional<Value> otherwise = {})
      : fold_case_(fold_case), otherwise_(std::move(otherwise)) {
    if (attribute.is_none()) return;
    if (!attribute.is_string()) {
      parts_.push_back(attribute);
      return;
    }
    const std::string dot = ".";
    for (auto& part : split(attribute.string(), &dot, -1)) {
      const bool number = *has_class("isdigit", part) && is_ascii(part) && part.size() < 18;
      parts_.push_back(number ? Value(*parse_integer(part, 10)) : Value(std::move(part)));
    }
  }
  Value operator()(Runtime& runtime, S item) const {
    Value out = item;
    for (const auto& part : parts_) {
      runtime.charge(8);
      out = runtime.item(out, part);
      if (otherwise_ && !otherwise_->is_none() && out.is_undefined()) out = *otherwise_;
    }
    return fold_case_ && out.is_string() ? Value(lower(out.string())) : out;
  }

 private:
  bool fold_case_;
  std::vector<Value> parts_;
  std::optional<Value> otherwise_;
};

// A generator over `subject`: `take(item, out)` says whether an item gives a value. As in jinja2
// nothing happens before the first value is asked for, and what is false is empty.
template <class Take>
Value generator(Runtime& runtime, S subject, Take take) {
  auto next = [&runtime, subject, take, iterator = IteratorPtr(),
               started = false](Value& out) mutable {
    if (!started) {
      started = true;
      if (truth(subject)) iterator = runtime.iterate(subject);
    }
    for (Value item; iterator && iterator->next(item);) {
      runtime.charge(8);
      if (take(item, out)) return true;
    }
    return false;
  };
  return make_generator(std::move(next), subject);
}

Value filter_map(Runtime& runtime, S subject, Arguments arguments) {
  const bool by_attribute =
      arguments.positional.empty() &&
      std::any_of(arguments.named.begin(), arguments.named.end(),
                  [](const auto& named) { return named.first == "attribute"; });
  if (by_attribute) {
    const Bound bound("map", std::move(arguments), {"attribute", "default"});
    const Getter getter(bound[0], false,
                        bound.has(1) ? std::optional<Value>(bound[1]) : std::nullopt);
    return generator(runtime, subject, [&runtime, getter](S item, Value& out) {
      out = getter(runtime, item);
      return true;
    });
  }
  if (arguments.positional.empty() || !arguments.positional[0].is_string()) {
    fail_type("map requires the name of a filter or attribute=");
  }
  const std::string name = arguments.positional[0].string();
  arguments.positional.erase(arguments.positional.begin());
  return generator(runtime, subject, [&runtime, name, arguments](S item, Value& out) {
    out = runtime.filter(name, item, arguments);
    return true;
  });
}

// select, reject, selectattr, rejectattr.
Value choose(Runtime& runtime, S subject, Arguments arguments, bool wanted, bool by_attribute) {
  auto& positional = arguments.positional;
  Value attribute;
  if (by_attribute) {
    if (positional.empty()) fail_type("selectattr and rejectattr need the name of an attribute");
    attribute = positional[0];
    positional.erase(positional.begin());
  }
  std::optional<std::string> test;
  if (!positional.empty()) {
    if (!positional[0].is_string()) fail_type("select and reject take the name of a test");
    test = positional[0].string();
    positional.erase(positional.begin());
  }
  const Getter getter(attribute);
  return generator(
      runtime, subject, [&runtime, getter, test, arguments, wanted](S item, Value& out) {
        const Value tested = getter(runtime, item);
        out = item;
        return (test ? runtime.test(*test, tested, arguments) : truth(tested)) == wanted;
      });
}

Value filter_items(Runtime& runtime, S subject, Arguments) {
  if (subject.is_undefined()) return make_generator([](Value&) { return false; }, subject);
  return make_generator(
      [&runtime, subject, at = size_t{0}](Value& out) mutable {
        if (!subject.is_dict()) fail_type("Can only get item pairs from a mapping.");
        const auto& items = subject.dict().items;
        if (at == items.size()) return false;
        runtime.charge(16);
        out = make_tuple({items[at].first, items[at].second});
        ++at;
        return true;
      },
      subject);
}

Value filter_unique(Runtime& runtime, S subject, Arguments arguments) {
  const Bound bound("unique", std::move(arguments), {"case_sensitive", "attribute"});
  const Getter getter(bound.has(1) ? bound[1] : Value(), !bound.truth(0, false));
  auto seen = std::make_shared<Dict>();
  return generator(runtime, subject, [&runtime, getter, seen](S item, Value& out) {
    Value key = getter(runtime, item);
    if (seen->find(key) != nullptr) return false;
    seen->set(std::move(key), Value());
    out = item;
    return true;
  });
}

Value filter_join(Runtime& runtime, S subject, Arguments arguments) {
  const Bound bound("join", std::move(arguments), {"d", "attribute"});
  const std::string separator = bound.has(0) ? runtime.text(bound[0]) : "";
  const Getter getter(bound.has(1) ? bound[1] : Value());
  const auto iterator = runtime.iterate(subject);
  std::string out;
  bool first = true;
  for (Value item; iterator->next(item); first = false) {
    runtime.charge(separator.size() + 8);
    if (!first) out += separator;
    out += runtime.text(getter(runtime, item));
  }
  return runtime.result(std::move(out));
}

Value filter_first(Runtime& runtime, S subject, Arguments) {
  Value out;
  if (runtime.iterate(subject)->next(out)) return out;
  return Value::undefined("No first item, sequence was empty.");
}

bool reversible(S value) {
  return value.is_list() || value.is_string() || value.is_dict() || value.is_undefined();
}

Value filter_last(Runtime& runtime, S subject, Arguments) {
  if (!reversible(subject)) fail_type("'" + type_name(subject) + "' object is not reversible");
  if (subject.is_string() && !subject.string().empty())
    return runtime.item(subject, Value(int64_t{-1}));
  if (subject.is_list() && !subject.list().items.empty()) return subject.list().items.back();
  if (subject.is_dict() && !subject.dict().items.empty()) return subject.dict().items.back().first;
  return Value::undefined("No last item, sequence was empty.");
}

Value filter_reverse(Runtime& runtime, S subject, Arguments) {
  if (subject.is_string()) return runtime.slice(subject, Value(), Value(), Value(int64_t{-1}));
  auto items = runtime.to_vector(subject);
  std::reverse(items.begin(), items.end());
  Value list = make_list(std::move(items));
  if (!reversible(subject)) return list;
  const auto iterator = runtime.iterate(list);
  return make_generator([iterator](Value& out) { return iterator->next(out); }, list);
}

Value filter_length(Runtime& runtime, S subject, Arguments) {
  if (const auto size = runtime.length(subject)) return Value(*size);
  fail_type("object of type '" + type_name(subject) + "' has no len()");
}

Value filter_list(Runtime& runtime, S subject, Arguments) {
  return make_list(runtime.to_vector(subject));
}

// Stable; `keys` belong to the `items`.
std::vector<Value> sorted(Runtime& runtime, std::vector<Value> items, std::vector<Value> keys,
                          bool reverse) {
  std::vector<size_t> order(items.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return reverse ? runtime.compare("<", keys[b], keys[a])
                   : runtime.compare("<", keys[a], keys[b]);
  });
  std::vector<Value> out;
  for (const size_t i : order) out.push_back(std::move(items[i]));
  return out;
}

Value filter_sort(Runtime& runtime, S subject, Arguments arguments) {
  const Bound bound("sort", std::move(arguments), {"reverse", "case_sensitive", "attribute"});
  const bool fold = !bound.truth(1, false);
  std::vector<Getter> getters;
  if (bound.has(2) && bound[2].is_string()) {
    const std::string comma = ",";
    for (const auto& part : split(bound[2].string(), &comma, -1))
      getters.emplace_back(Value(part), fold);
  } else {
    getters.emplace_back(bound.has(2) ? bound[2] : Value(), fold);
  }
  auto items = runtime.to_vector(subject);
  std::vector<Value> keys;
  for (const auto& item : items) {
    std::vector<Value> key;
    for (const auto& getter : getters) key.push_back(getter(runtime, item));
    keys.push_back(make_list(std::move(key)));
  }
  return make_list(sorted(runtime, std::move(items), std::move(keys), bound.truth(0, false)));
}

Value filter_dictsort(Runtime& runtime, S subject, Arguments arguments) {
  const Bound bound("dictsort", std::move(arguments), {"case_sensitive", "by", "reverse"});
  const std::string by = bound.has(1) ? bound.string(1) : "key";
  if (by != "key" && by != "value") fail_type("dictsort: by is \"key\" or \"value\"");
  require_defined(subject);
  if (!subject.is_dict()) fail_type("dictsort: expected a dict, found " + type_name(subject));
  std::vector<Value> items, keys;
  for (const auto& [key, value] : subject.dict().items) {
    const Value& chosen = by == "key" ? key : value;
    const bool fold = !bound.truth(0, false) && chosen.is_string();
    keys.push_back(fold ? Value(lower(chosen.string())) : chosen);
    items.push_back(make_tuple({key, value}));
  }
  runtime.charge(subject.weight());
  return make_list(sorted(runtime, std::move(items), std::move(keys), bound.truth(2, false)));
}

Value filter_groupby(Runtime& runtime, S subject, Arguments arguments) {
  const Bound bound("groupby", std::move(arguments), {"attribute", "default", "case_sensitive"}, 1);
  const std::optional<Value> otherwise =
      bound.has(1) ? std::optional<Value>(bound[1]) : std::nullopt;
  const bool fold = !bound.truth(2, false);
  const Getter getter(bound[0], fold, otherwise), plain(bound[0], false, otherwise);
  auto items = runtime.to_vector(subject);
  std::vector<Value> keys;
  for (const auto& item : items) keys.push_back(getter(runtime, item));
  items = sorted(runtime, std::move(items), std::move(keys), false);
  std::vector<Value> groups, group;
  Value key;
  const auto close = [&] {
    if (group.empty()) return;
    Value grouper = fold ? plain(runtime, group[0]) : key;
    groups.push_back(
        make_list({std::move(grouper), make_list(std::move(group))}, List::Type::group));
    group.clear();
  };
  for (const auto& item : items) {
    Value next = getter(runtime, item);
    if (!group.empty() && !runtime.compare("==", next, key)) close();
    key = std::move(next);
    group.push_back(item);
  }
  close();
  return make_list(std::move(groups));
}

Value extreme(Runtime& runtime, S subject, Arguments arguments, const char* sign) {
  const Bound bound("min and max", std::move(arguments), {"case_sensitive", "attribute"});
  const Getter getter(bound.has(1) ? bound[1] : Value(), !bound.truth(0, false));
  const auto iterator = runtime.iterate(subject);
  Value best;
  if (!iterator->next(best)) return Value::undefined("No aggregated item, sequence was empty.");
  Value best_key = getter(runtime, best);
  for (Value item; iterator->next(item);) {
    Value key = getter(runtime, item);
    if (!runtime.compare(sign, key, best_key)) continue;
    best = std::move(item);
    best_key = std::move(key);
  }
  return best;
}

Value filter_sum(Runtime& runtime, S subject, Arguments arguments) {
  const Bound bound("sum", std::move(arguments), {"attribute", "start"});
  const Getter getter(bound.has(0) ? bound[0] : Value());
  Value total = bound.has(1) ? bound[1] : Value(int64_t{0});
  if (total.is_string()) fail_type("sum() can't sum strings [use ''.join(seq) instead]");
  const auto iterator = runtime.iterate(subject);
  for (Value item; iterator->next(item);) total = runtime.binary("+", total, getter(runtime, item));
  return total;
}

Value as_generator(Runtime& runtime, std::vector<Value> items) {
  const Value list = make_list(std::move(items));
  const auto iterator = runtime.iterate(list);
  return make_generator([iterator](Value& out) { return iterator->next(out); }, list);
}

Value filter_batch(Runtime& runtime, S subject, Arguments arguments) {
  const Bound bound("batch", std::move(arguments), {"linecount", "fill_with"}, 1);
  const int64_t size = bound.integer(0, 1);
  std::vector<Value> out, row;
  for (auto& item : runtime.to_vector(subject)) {
    if (static_cast<int64_t>(row.size()) == size) out.push_back(make_list(std::exchange(row, {})));
    row.push_back(std::move(item));
  }
  if (!row.empty()) {
    if (bound.set(1) && static_cast<int64_t>(row.size()) < size) {
      runtime.charge(static_cast<uint64_t>(size) * 8);
      row.resize(static_cast<size_t>(size), bound[1]);
    }
    out.push_back(make_list(std::move(row)));
  }
  return as_generator(runtime, std::move(out));
}

Value filter_slice(Runtime& runtime, S subject, Arguments arguments) {
  const Bound bound("slice", std::move(arguments), {"slices", "fill_with"}, 1);
  const auto items = runtime.to_vector(subject);
  const int64_t slices = bound.integer(0, 1), size = static_cast<int64_t>(items.size());
  if (slices == 0) throw Failure("integer division or modulo by zero");
  runtime.charge(static_cast<uint64_t>(std::max<int64_t>(slices, 0)) * 64);
  std::vector<Value> out;
  auto from = items.begin();
  for (int64_t i = 0; i < slices; ++i) {
    const auto count = size / slices + (i < size % slices ? 1 : 0);
    std::vector<Value> part(from, from + count);
    from += count;
    if (bound.set(1) && i >= size % slices) part.push_back(bound[1]);
    out.push_back(make_list(std::move(part)));
  }
  return as_generator(runtime, std::move(out));
}

const std::map<std::string, Filter>& filters() {
  static const std::map<std::string, Filter> table = {
      {"batch", filter_batch},
      {"count", filter_length},
      {"dictsort", filter_dictsort},
      {"first", filter_first},
      {"groupby", filter_groupby},
      {"items", filter_items},
      {"join", filter_join},
      {"last", filter_last},
      {"length", filter_length},
      {"list", filter_list},
      {"map", filter_map},
      {"max", [](Runtime& r, S v, Arguments a) { return extreme(r, v, std::move(a), ">"); }},
      {"min", [](Runtime& r, S v, Arguments a) { return extreme(r, v, std::move(a), "<"); }},
      {"reject",
       [](Runtime& r, S v, Arguments a) { return choose(r, v, std::move(a), false, false); }},
      {"rejectattr",
       [](Runtime& r, S v, Arguments a) { return choose(r, v, std::move(a), false, true); }},
      {"reverse", filter_reverse},
      {"select",
       [](Runtime& r, S v, Arguments a) { return choose(r, v, std::move(a), true, false); }},
      {"selectattr",
       [](Runtime& r, S v, Arguments a) { return choose(r, v, std::move(a), true, true); }},
      {"slice", filter_slice},
      {"sort", filter_sort},
      {"sum", filter_sum},
      {"unique", filter_unique},
  };
  return table;
}

}  // namespace

Filter find_sequence_filter(const std::string& name) {
  const auto it = filters().find(name);
  return it == filters().end() ? nullptr : it->second;
}

}  // namespace preimage::text::jinja
