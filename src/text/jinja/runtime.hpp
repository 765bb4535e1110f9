// What filters, tests, methods and functions of a template work with: the budget of a rendering,
// and the general operations on values.
#pragma once

#include <initializer_list>
#include <optional>

#include "jinja/value.hpp"

namespace preimage::text::jinja {

class Runtime {
 public:
  explicit Runtime(uint64_t work) : work_left_(work) {}
  ~Runtime();
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  // Takes `units` (about one byte moved or one value touched) from the budget. Fails at its end.
  void charge(uint64_t units);

  // a.name and a[key], with jinja2's rules for what is looked at first.
  Value attribute(const Value& value, const std::string& name);
  Value item(const Value& value, const Value& key);
  // a[first:last:step]; each may be none.
  Value slice(const Value& value, const Value& first, const Value& last, const Value& step);
  Value call(const Value& callee, Arguments arguments);
  // The values of anything that can be iterated; fails on the rest.
  IteratorPtr iterate(const Value& value);
  std::vector<Value> to_vector(const Value& value);
  std::optional<int64_t> length(const Value& value);
  bool contains(const Value& container, const Value& value);

  Value binary(const std::string& sign, const Value& a, const Value& b);
  Value unary(const std::string& sign, const Value& a);
  bool compare(const std::string& sign, const Value& a, const Value& b);

  Value filter(const std::string& name, const Value& subject, Arguments arguments);
  bool test(const std::string& name, const Value& subject, Arguments arguments);

  std::string text(const Value& value);  // str(value), charged
  Value result(std::string text);        // a new text, charged and bounded

  // For objects that may hold themselves: they are emptied when the rendering ends.
  void keep(std::shared_ptr<Object> object) { kept_.push_back(std::move(object)); }

 private:
  uint64_t work_left_;
  std::vector<std::shared_ptr<Object>> kept_;
};

// Arguments bound to the names of a signature. Fails on too many, unknown or missing ones.
class Bound {
 public:
  Bound(const std::string& function, Arguments arguments, std::initializer_list<const char*> names,
        size_t required = 0);
  bool has(size_t index) const { return values_[index].has_value(); }
  // Given and not none.
  bool set(size_t index) const { return has(index) && !values_[index]->is_none(); }
  const Value& operator[](size_t index) const { return *values_[index]; }
  int64_t integer(size_t index, int64_t otherwise) const;
  bool truth(size_t index, bool otherwise) const;
  const std::string& string(size_t index) const;  // must be given and be a text

 private:
  [[noreturn]] void wrong_type(size_t index, const char* expected) const;
  std::string function_;
  std::vector<std::string> names_;
  std::vector<std::optional<Value>> values_;
};

[[noreturn]] void fail_type(const std::string& what);
// Fails with the message of an undefined value; does nothing for others.
void require_defined(const Value& value);

// The tables; null for a name that is none of theirs.
using Filter = Value (*)(Runtime&, const Value& subject, Arguments arguments);
Filter find_filter(const std::string& name);
Filter find_sequence_filter(const std::string& name);  // those on sequences
using Test = bool (*)(Runtime&, const Value& subject, Arguments arguments);
Test find_test(const std::string& name);
// Whether Python's type of `value` has a method of this name, and its call.
bool has_method(const Value& value, const std::string& name);
Value call_method(Runtime& runtime, const Value& receiver, const std::string& name,
                  Arguments arguments);
Value call_text_method(Runtime& runtime, const std::string& text, const std::string& name,
                       Arguments arguments);
bool is_forbidden_method(const Value& value, const std::string& name);  // would change it
// range, namespace, dict, cycler, joiner, raise_exception, strftime_now; nothing for other names.
std::optional<Value> find_global(const std::string& name);
// namespace.name = value; false when `target` is no namespace.
bool assign_member(const Value& target, const std::string& name, const Value& value);

// "..." % values, "...".format(...), json.dumps.
std::string format_percent(Runtime& runtime, const std::string& format, const Value& values);
std::string format_braces(Runtime& runtime, const std::string& format, const Arguments& arguments);
Value to_json(Runtime& runtime, const Value& value, Arguments arguments);

}  // namespace preimage::text::jinja
