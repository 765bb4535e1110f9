#include "jinja/value.hpp"

#include <algorithm>
#include <cmath>

#include "jinja/big_integer.hpp"
#include "preimage/base/str.hpp"

namespace preimage::text::jinja {
namespace {

constexpr size_t kIndexFrom = 8;  // smaller dictionaries are searched one by one
constexpr size_t kNowhere = SIZE_MAX;
constexpr uint64_t kMaxKeyWeight = 1 << 20;

// Lists that share parts may weigh more than any memory holds.
uint64_t added(uint64_t a, uint64_t b) {
  return a > UINT64_MAX / 4 || b > UINT64_MAX / 4 ? UINT64_MAX / 2 : a + b;
}

// Exact comparison of a 64-bit integer and a double: -1, 0, 1, or 2 for NaN.
int compare_mixed(int64_t a, double b) {
  if (std::isnan(b)) return 2;
  if (b >= 9223372036854775808.0) return -1;
  if (b < -9223372036854775808.0) return 1;
  const double whole = std::trunc(b);
  const auto truncated = static_cast<int64_t>(whole);
  if (a != truncated) return a < truncated ? -1 : 1;
  return b == whole ? 0 : (whole < b ? -1 : 1);
}

// Exact, with a number on either side that is beyond 64 bits.
int compare_big(const Value& a, const Value& b) {
  if (b.is_float()) {
    if (std::isnan(b.number())) return 2;
    if (std::isinf(b.number())) return b.number() < 0 ? 1 : -1;
    return compare_integers(a.digits(), integer_part(b.number()));
  }
  return compare_integers(a.digits(), b.digits());
}

int compare_numbers(const Value& a, const Value& b) {
  if (a.is_big()) return compare_big(a, b);
  if (b.is_big()) {
    const int reversed = compare_big(b, a);
    return reversed == 2 ? 2 : -reversed;
  }
  if (a.is_int() && b.is_int()) {
    return a.integer() < b.integer() ? -1 : a.integer() > b.integer() ? 1 : 0;
  }
  if (a.is_int()) return compare_mixed(a.integer(), b.number());
  if (b.is_int()) {
    const int reversed = compare_mixed(b.integer(), a.number());
    return reversed == 2 ? 2 : -reversed;
  }
  const double x = a.number(), y = b.number();
  if (std::isnan(x) || std::isnan(y)) return 2;
  return x < y ? -1 : x > y ? 1 : 0;
}

class FunctionIterator : public Iterator {
 public:
  explicit FunctionIterator(std::function<bool(Value&)> next) : next_(std::move(next)) {}
  bool next(Value& value) override { return next_(value); }

 private:
  std::function<bool(Value&)> next_;
};

}  // namespace

uint32_t one_above(uint32_t depth) {
  if (depth >= kMaxValueDepth) {
    throw Failure(base::str("a value is nested deeper than ", kMaxValueDepth, " levels"));
  }
  return depth + 1;
}

Value Value::undefined(std::string message) {
  Value out;
  out.data_ = Undefined{std::make_shared<const std::string>(std::move(message))};
  return out;
}

Value Value::integer_of(const std::string& digits) {
  if (const auto small = small_integer(digits)) return Value(*small);
  constexpr size_t kMostDigits = 4300;  // Python's own limit
  if (digits.size() > kMostDigits) throw Failure("an integer of too many digits");
  Value out;
  out.data_ = BigInteger{std::make_shared<const std::string>(digits)};
  return out;
}

Value Value::markup(std::string text) {
  Value out(std::move(text));
  std::get<Text>(out.data_).markup = true;
  return out;
}

uint32_t Value::depth() const {
  if (is_list()) return list().depth;
  if (is_dict()) return dict().depth;
  return is_object() ? object().depth() : 0;
}

uint64_t Value::weight() const {
  if (is_string()) return string().size() + 8;
  if (is_list()) return list().weight;
  if (is_big()) return digits().size() + 8;
  return is_dict() ? dict().weight : 8;
}

bool Value::same(const Value& other) const {
  if (data_.index() != other.data_.index()) return false;
  if (is_list()) return list_pointer() == other.list_pointer();
  if (is_dict()) return std::get<DictPtr>(data_) == std::get<DictPtr>(other.data_);
  if (is_object()) return object_pointer() == other.object_pointer();
  if (is_undefined()) return &undefined_message() == &other.undefined_message();
  return equal(*this, other);
}

Value make_list(std::vector<Value> items, List::Type type) {
  auto list = std::make_shared<List>();
  list->type = type;
  uint32_t depth = 0;
  list->weight = 8;
  for (const auto& item : items) {
    depth = std::max(depth, item.depth());
    list->weight = added(list->weight, item.weight());
  }
  list->depth = one_above(depth);
  list->items = std::move(items);
  return Value(ListPtr(std::move(list)));
}

Value make_tuple(std::vector<Value> items) {
  return make_list(std::move(items), List::Type::tuple);
}

Value make_dict(Dict dict) {
  uint32_t depth = 0;
  dict.weight = 8;
  for (const auto& [key, value] : dict.items) {
    depth = std::max({depth, key.depth(), value.depth()});
    dict.weight = added(dict.weight, added(key.weight(), value.weight()));
  }
  dict.depth = one_above(depth);
  return Value(DictPtr(std::make_shared<const Dict>(std::move(dict))));
}

size_t Dict::position(const Value& key, size_t hash) const {
  if (items.size() <= kIndexFrom) {
    for (size_t i = 0; i < items.size(); ++i) {
      if (equal(items[i].first, key)) return i;
    }
    return kNowhere;
  }
  const auto [begin, end] = index_.equal_range(hash);
  for (auto it = begin; it != end; ++it) {
    if (equal(items[it->second].first, key)) return it->second;
  }
  return kNowhere;
}

const Value* Dict::find(const Value& key) const {
  const size_t at = position(key, hash(key));
  return at == kNowhere ? nullptr : &items[at].second;
}

const Value* Dict::find(std::string_view key) const {
  if (items.size() > kIndexFrom) return find(Value(key));
  for (const auto& [name, value] : items) {
    if (name.is_string() && name.string() == key) return &value;
  }
  return nullptr;
}

void Dict::set(Value key, Value value) {
  const size_t code = hash(key);
  if (const size_t at = position(key, code); at != kNowhere) {
    items[at].second = std::move(value);
    return;
  }
  items.emplace_back(std::move(key), std::move(value));
  if (items.size() <= kIndexFrom) return;
  if (items.size() == kIndexFrom + 1) {
    for (uint32_t i = 0; i < kIndexFrom; ++i) index_.emplace(hash(items[i].first), i);
  }
  index_.emplace(code, static_cast<uint32_t>(items.size() - 1));
}

Value Object::call(Runtime&, Arguments) {
  throw Failure("'" + type_name() + "' object is not callable");
}

Value make_generator(std::function<bool(Value&)> next, const Value& source) {
  return Value(ObjectPtr(
      std::make_shared<Generator>("generator", std::make_shared<FunctionIterator>(std::move(next)),
                                  one_above(source.depth()))));
}

std::string type_name(const Value& value) {
  if (value.is_undefined()) return "Undefined";
  if (value.is_none()) return "NoneType";
  if (value.is_bool()) return "bool";
  if (value.is_int() || value.is_big()) return "int";
  if (value.is_float()) return "float";
  if (value.is_string()) return value.is_markup() ? "Markup" : "str";
  if (value.is_dict()) return "dict";
  if (value.is_object()) return value.object().type_name();
  switch (value.list().type) {
    case List::Type::list:
      return "list";
    case List::Type::tuple:
      return "tuple";
    case List::Type::group:
      return "_GroupTuple";
    case List::Type::range:
      return "range";
    case List::Type::keys:
      return "dict_keys";
    case List::Type::values:
      return "dict_values";
    case List::Type::items:
      break;
  }
  return "dict_items";
}

std::string described(const Value& value) {
  return value.is_none() ? "None" : type_name(value) + " object";
}

bool truth(const Value& value) {
  if (value.is_undefined() || value.is_none()) return false;
  if (value.is_int()) return value.integer() != 0;
  if (value.is_float()) return value.number() != 0;
  if (value.is_string()) return !value.string().empty();
  if (value.is_list()) return !value.list().items.empty();
  if (value.is_dict()) return !value.dict().items.empty();
  return true;
}

bool equal(const Value& a, const Value& b) {
  if (a.is_number() && b.is_number()) return compare_numbers(a, b) == 0;
  if (a.is_string() && b.is_string()) return a.string() == b.string();
  if (a.is_none() || b.is_none()) return a.is_none() && b.is_none();
  if (a.is_undefined() || b.is_undefined()) return a.is_undefined() && b.is_undefined();
  if (a.is_list() && b.is_list()) {
    const auto &x = a.list(), &y = b.list();
    if (&x == &y) return true;
    if (x.is_tuple() ? !y.is_tuple() : x.type != y.type) return false;
    return std::equal(x.items.begin(), x.items.end(), y.items.begin(), y.items.end(), equal);
  }
  if (a.is_dict() && b.is_dict()) {
    const auto &x = a.dict(), &y = b.dict();
    if (x.items.size() != y.items.size()) return false;
    return std::all_of(x.items.begin(), x.items.end(), [&](const auto& item) {
      const Value* other = y.find(item.first);
      return other != nullptr && equal(item.second, *other);
    });
  }
  return a.is_object() && b.is_object() && a.object_pointer() == b.object_pointer();
}

int compare(const Value& a, const Value& b, const char* sign) {
  for (const auto* value : {&a, &b}) {
    if (value->is_undefined()) throw Failure(value->undefined_message());
  }
  if (a.is_number() && b.is_number()) return compare_numbers(a, b);
  // The order of code points is that of their UTF-8 bytes.
  if (a.is_string() && b.is_string()) return a.string().compare(b.string());
  const bool lists = a.is_list() && b.is_list() && a.list().type <= List::Type::group &&
                     a.list().is_tuple() == b.list().is_tuple() &&
                     b.list().type <= List::Type::group;
  if (!lists) {
    throw Failure("'" + std::string(sign) + "' not supported between instances of '" +
                  type_name(a) + "' and '" + type_name(b) + "'");
  }
  const auto &x = a.list().items, &y = b.list().items;
  for (size_t i = 0; i < std::min(x.size(), y.size()); ++i) {
    if (!equal(x[i], y[i])) return compare(x[i], y[i], sign);
  }
  return x.size() < y.size() ? -1 : x.size() > y.size() ? 1 : 0;
}

size_t hash(const Value& value) {
  if (value.is_float() || value.is_big()) {
    const double number = value.number();
    const bool whole = std::abs(number) < 9e18 && number == std::trunc(number);
    return whole ? std::hash<int64_t>{}(static_cast<int64_t>(number)) : std::hash<double>{}(number);
  }
  if (value.is_int()) return std::hash<int64_t>{}(value.integer());
  if (value.is_string()) return std::hash<std::string>{}(value.string());
  if (value.is_none()) return 1;
  if (value.is_undefined()) return 2;
  if (value.is_object()) return std::hash<ObjectPtr>{}(value.object_pointer());
  if (!value.is_list() || !value.list().is_tuple()) {
    throw Failure("unhashable type: '" + type_name(value) + "'");
  }
  if (value.weight() > kMaxKeyWeight) throw Failure("a tuple too large to be a key");
  size_t code = 3;
  for (const auto& item : value.list().items) code = code * 1000003 + hash(item);
  return code;
}

}  // namespace preimage::text::jinja
