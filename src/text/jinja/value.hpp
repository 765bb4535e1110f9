// The values of a template: Python's, as far as a template can see them. All are immutable but
// namespaces, loops and generators, because the sandbox of chat templates forbids changes.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

namespace preimage::text::jinja {

// What goes wrong while a template runs; the interpreter adds file and line.
class Failure : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Containers inside containers; deeper ones are refused, so that walks over them may recurse.
constexpr uint32_t kMaxValueDepth = 200;
uint32_t one_above(uint32_t depth);  // fails beyond the limit

class Object;
class Value;
struct Dict;
struct List;

struct None {};
// A name or member that is not there. Most uses of it fail with this message.
struct Undefined {
  std::shared_ptr<const std::string> message;
};
struct Text {
  std::shared_ptr<const std::string> bytes;  // UTF-8
  bool markup = false;                       // marked by `safe` or `escape`
};
struct BigInteger {
  std::shared_ptr<const std::string> digits;  // beyond 64 bits
};
using ListPtr = std::shared_ptr<const List>;
using DictPtr = std::shared_ptr<const Dict>;
using ObjectPtr = std::shared_ptr<Object>;

class Value {
 public:
  Value() : data_(None{}) {}
  explicit Value(bool value) : data_(value) {}
  explicit Value(int64_t value) : data_(value) {}
  explicit Value(double value) : data_(value) {}
  explicit Value(std::string text)
      : data_(Text{std::make_shared<const std::string>(std::move(text))}) {}
  explicit Value(std::string_view text) : Value(std::string(text)) {}
  explicit Value(const char* text) : Value(std::string(text)) {}
  explicit Value(ListPtr list) : data_(std::move(list)) {}
  explicit Value(DictPtr dict) : data_(std::move(dict)) {}
  explicit Value(ObjectPtr object) : data_(std::move(object)) {}
  static Value undefined(std::string message);
  // An optional minus and digits without leading zeros, of any length.
  static Value integer_of(const std::string& digits);
  static Value markup(std::string text);

  bool is_undefined() const { return std::holds_alternative<Undefined>(data_); }
  bool is_none() const { return std::holds_alternative<None>(data_); }
  bool is_bool() const { return std::holds_alternative<bool>(data_); }
  // As Python's isinstance(value, int): a bool is one too.
  bool is_int() const { return std::holds_alternative<int64_t>(data_) || is_bool(); }
  // An integer beyond 64 bits; is_int() is false for it.
  bool is_big() const { return std::holds_alternative<BigInteger>(data_); }
  bool is_float() const { return std::holds_alternative<double>(data_); }
  bool is_number() const { return is_int() || is_float() || is_big(); }
  bool is_string() const { return std::holds_alternative<Text>(data_); }
  bool is_markup() const { return is_string() && std::get<Text>(data_).markup; }
  bool is_list() const { return std::holds_alternative<ListPtr>(data_); }
  bool is_dict() const { return std::holds_alternative<DictPtr>(data_); }
  bool is_object() const { return std::holds_alternative<ObjectPtr>(data_); }

  int64_t integer() const { return is_bool() ? std::get<bool>(data_) : std::get<int64_t>(data_); }
  double number() const {
    if (is_big()) return std::strtod(std::get<BigInteger>(data_).digits->c_str(), nullptr);
    return is_float() ? std::get<double>(data_) : static_cast<double>(integer());
  }
  // Of any integer, in decimal.
  std::string digits() const {
    return is_big() ? *std::get<BigInteger>(data_).digits : std::to_string(integer());
  }
  const std::string& string() const { return *std::get<Text>(data_).bytes; }
  const List& list() const { return *std::get<ListPtr>(data_); }
  const Dict& dict() const { return *std::get<DictPtr>(data_); }
  Object& object() const { return *std::get<ObjectPtr>(data_); }
  const ListPtr& list_pointer() const { return std::get<ListPtr>(data_); }
  const ObjectPtr& object_pointer() const { return std::get<ObjectPtr>(data_); }
  const std::string& undefined_message() const { return *std::get<Undefined>(data_).message; }

  uint32_t depth() const;   // levels of containers below
  uint64_t weight() const;  // bytes that a walk over it touches, shared parts counted each time
  // The same object (`is` of Python).
  bool same(const Value& other) const;

 private:
  std::variant<None, Undefined, bool, int64_t, double, Text, ListPtr, DictPtr, ObjectPtr,
               BigInteger>
      data_;
};

// Everything that is a sequence of values in memory.
struct List {
  enum class Type : uint8_t { list, tuple, group, range, keys, values, items };
  Type type = Type::list;
  std::vector<Value> items;
  std::string label;  // range: how it is printed
  uint32_t depth = 0;
  uint64_t weight = 0;
  bool is_tuple() const { return type == Type::tuple || type == Type::group; }
  bool indexable() const { return type <= Type::range; }
};
Value make_list(std::vector<Value> items, List::Type type = List::Type::list);
Value make_tuple(std::vector<Value> items);

// A dictionary in the order of insertion.
struct Dict {
  std::vector<std::pair<Value, Value>> items;
  uint32_t depth = 0;
  uint64_t weight = 0;

  const Value* find(const Value& key) const;  // fails on a key that cannot be hashed
  const Value* find(std::string_view key) const;
  void set(Value key, Value value);

 private:
  size_t position(const Value& key, size_t hash) const;
  std::unordered_multimap<size_t, uint32_t> index_;
};
Value make_dict(Dict dict);

class Iterator {
 public:
  virtual ~Iterator() = default;
  virtual bool next(Value& value) = 0;  // false at the end
};
using IteratorPtr = std::shared_ptr<Iterator>;

struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;
};

class Runtime;

// Whatever else a template can hold: macros, functions, namespaces, loops, generators.
class Object {
 public:
  virtual ~Object() = default;
  virtual std::string type_name() const = 0;
  virtual std::string repr() const { return "<" + type_name() + " object>"; }
  // A member by its name; false when there is none.
  virtual bool attribute(Runtime&, const std::string&, Value&) { return false; }
  virtual bool callable() const { return false; }
  virtual Value call(Runtime& runtime, Arguments arguments);
  virtual IteratorPtr iterate() { return nullptr; }          // null: cannot be iterated
  virtual bool length(Runtime&, int64_t&) { return false; }  // false: has none
  virtual uint32_t depth() const { return 0; }
  virtual void clear() {}  // drops what it holds: the rendering is over
};

// Values that come one by one, once.
class Generator : public Object {
 public:
  Generator(std::string type, IteratorPtr iterator, uint32_t depth)
      : type_(std::move(type)), iterator_(std::move(iterator)), depth_(depth) {}
  std::string type_name() const override { return type_; }
  IteratorPtr iterate() override { return iterator_; }
  uint32_t depth() const override { return depth_; }

 private:
  std::string type_;
  IteratorPtr iterator_;
  uint32_t depth_;
};
// `next` gives the values; `source` is what it holds on to.
Value make_generator(std::function<bool(Value&)> next, const Value& source);

std::string type_name(const Value& value);  // Python's: "str", "NoneType", "dict_items"
std::string described(const Value& value);  // as jinja2 names it in messages: "dict object"
bool truth(const Value& value);
bool equal(const Value& a, const Value& b);
// Order of numbers, texts, lists and tuples: < 0, 0, > 0 (not a number: 2). `sign` names the
// comparison in the message.
int compare(const Value& a, const Value& b, const char* sign);
size_t hash(const Value& value);  // fails on what Python cannot hash

}  // namespace preimage::text::jinja
