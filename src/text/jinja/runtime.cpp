#include "jinja/runtime.hpp"

#include <algorithm>

#include "jinja/text.hpp"
#include "preimage/base/str.hpp"

namespace preimage::text::jinja {
namespace {

// The longest text that a template may make.
constexpr size_t kMaxText = 64u << 20;

class ListIterator : public Iterator {
 public:
  explicit ListIterator(ListPtr list) : list_(std::move(list)) {}
  bool next(Value& value) override {
    if (at_ == list_->items.size()) return false;
    value = list_->items[at_++];
    return true;
  }

 private:
  ListPtr list_;
  size_t at_ = 0;
};

class KeyIterator : public Iterator {
 public:
  explicit KeyIterator(Value dict) : dict_(std::move(dict)) {}
  bool next(Value& value) override {
    if (at_ == dict_.dict().items.size()) return false;
    value = dict_.dict().items[at_++].first;
    return true;
  }

 private:
  Value dict_;
  size_t at_ = 0;
};

class CharacterIterator : public Iterator {
 public:
  explicit CharacterIterator(Value text) : text_(std::move(text)) {}
  bool next(Value& value) override {
    const auto& text = text_.string();
    if (at_ == text.size()) return false;
    size_t end = at_ + 1;
    while (end < text.size() && (static_cast<uint8_t>(text[end]) & 0xC0) == 0x80) ++end;
    value = Value(text.substr(at_, end - at_));
    at_ = end;
    return true;
  }

 private:
  Value text_;
  size_t at_ = 0;
};

// A method before it is called.
class Method : public Object {
 public:
  Method(Value receiver, std::string name)
      : receiver_(std::move(receiver)), name_(std::move(name)) {}
  std::string type_name() const override { return "builtin_function_or_method"; }
  std::string repr() const override {
    return "<built-in method " + name_ + " of " + jinja::type_name(receiver_) + " object>";
  }
  bool callable() const override { return true; }
  Value call(Runtime& runtime, Arguments arguments) override {
    return call_method(runtime, receiver_, name_, std::move(arguments));
  }
  uint32_t depth() const override { return receiver_.depth() + 1; }

 private:
  Value receiver_;
  std::string name_;
};

Value no_member(const Value& value, const std::string& name) {
  return Value::undefined("'" + described(value) + "' has no attribute " + text_repr(name));
}

// A member that Python's type has; nothing else is looked at.
std::optional<Value> type_member(Runtime& runtime, const Value& value, const std::string& name) {
  require_defined(value);
  if (value.is_object()) {
    Value out;
    if (name.empty() || name[0] == '_' || !value.object().attribute(runtime, name, out)) return {};
    return out;
  }
  if (value.is_list() && value.list().type == List::Type::group) {
    if (name == "grouper") return value.list().items[0];
    if (name == "list") return value.list().items[1];
  }
  if (is_forbidden_method(value, name)) {
    return Value::undefined("access to attribute " + text_repr(name) + " of '" + type_name(value) +
                            "' object is unsafe: templates must not change it");
  }
  if (!has_method(value, name)) return std::nullopt;
  return Value(ObjectPtr(std::make_shared<Method>(value, name)));
}

// value[key], or nothing where Python raises a LookupError or TypeError.
std::optional<Value> direct_item(Runtime& runtime, const Value& value, const Value& key) {
  if (value.is_dict()) {
    const bool hashable = !key.is_dict() && !(key.is_list() && !key.list().is_tuple());
    const Value* found = hashable ? value.dict().find(key) : nullptr;
    if (found != nullptr) return *found;
    return std::nullopt;
  }
  if (!key.is_int() || !(value.is_string() || (value.is_list() && value.list().indexable()))) {
    return std::nullopt;
  }
  const int64_t size = *runtime.length(value);
  int64_t index = key.integer();
  if (index < 0) index += size;
  if (index < 0 || index >= size) return std::nullopt;
  if (value.is_list()) return value.list().items[static_cast<size_t>(index)];
  runtime.charge(value.string().size() / 16);
  return Value(slice_text(value.string(), index, index + 1, 1));
}

}  // namespace

void fail_type(const std::string& what) {
  throw Failure(what);
}

void require_defined(const Value& value) {
  if (value.is_undefined()) throw Failure(value.undefined_message());
}

Runtime::~Runtime() {
  for (const auto& object : kept_) object->clear();
}

void Runtime::charge(uint64_t units) {
  if (units > work_left_) {
    throw Failure("the template needs more work than the limit allows; does it loop without end?");
  }
  work_left_ -= units;
}

Value Runtime::attribute(const Value& value, const std::string& name) {
  if (auto member = type_member(*this, value, name)) return *member;
  if (value.is_dict()) {
    if (const Value* found = value.dict().find(name)) return *found;
  }
  return no_member(value, name);
}

Value Runtime::item(const Value& value, const Value& key) {
  require_defined(value);
  if (auto found = direct_item(*this, value, key)) return *found;
  if (key.is_string()) {
    if (auto member = type_member(*this, value, key.string())) return *member;
    return no_member(value, key.string());
  }
  return Value::undefined(described(value) + " has no element " + repr(key));
}

Value Runtime::slice(const Value& value, const Value& first, const Value& last, const Value& step) {
  require_defined(value);
  const auto size = length(value);
  const bool sliceable = value.is_string() || (value.is_list() && value.list().indexable());
  if (!sliceable || !size) fail_type("'" + type_name(value) + "' object cannot be sliced");
  const auto number = [&](const Value& bound, int64_t otherwise) {
    if (bound.is_none()) return otherwise;
    if (!bound.is_int()) fail_type("slice indices must be integers or None");
    return bound.integer();
  };
  const int64_t stride = number(step, 1);
  if (stride == 0) fail_type("slice step cannot be zero");
  const int64_t low = stride > 0 ? 0 : -1, high = stride > 0 ? *size : *size - 1;
  const auto clipped = [&](const Value& bound, int64_t otherwise) {
    if (bound.is_none()) return otherwise;
    int64_t index = number(bound, 0);
    if (index < 0) index += *size;
    return std::clamp(index, low, high);
  };
  const int64_t begin = clipped(first, stride > 0 ? low : high);
  const int64_t end = clipped(last, stride > 0 ? high : low);
  if (value.is_string()) {
    charge(value.string().size() / 4);
    if (stride > 0 ? begin >= end : begin <= end) return Value("");
    // A stride beyond the text takes one character; the sum below must not overflow.
    const int64_t bounded = std::clamp(stride, -*size - 1, *size + 1);
    return result(slice_text(value.string(), begin, end, bounded));
  }
  std::vector<Value> out;
  const int64_t bounded = std::clamp(stride, -*size - 1, *size + 1);
  for (int64_t i = begin; bounded > 0 ? i < end : i > end; i += bounded) {
    out.push_back(value.list().items[static_cast<size_t>(i)]);
  }
  charge(out.size());
  return make_list(std::move(out), value.list().is_tuple() ? List::Type::tuple : List::Type::list);
}

Value Runtime::call(const Value& callee, Arguments arguments) {
  require_defined(callee);
  if (!callee.is_object()) fail_type("'" + type_name(callee) + "' object is not callable");
  return callee.object().call(*this, std::move(arguments));
}

IteratorPtr Runtime::iterate(const Value& value) {
  if (value.is_list()) return std::make_shared<ListIterator>(value.list_pointer());
  if (value.is_dict()) return std::make_shared<KeyIterator>(value);
  if (value.is_string()) return std::make_shared<CharacterIterator>(value);
  if (value.is_undefined()) {
    return std::make_shared<ListIterator>(std::make_shared<const List>());
  }
  auto iterator = value.is_object() ? value.object().iterate() : nullptr;
  if (!iterator) fail_type("'" + type_name(value) + "' object is not iterable");
  return iterator;
}

std::vector<Value> Runtime::to_vector(const Value& value) {
  if (value.is_list()) {
    charge(value.list().items.size());
    return value.list().items;
  }
  std::vector<Value> out;
  const auto iterator = iterate(value);
  for (Value item; iterator->next(item);) {
    charge(8);
    out.push_back(item);
  }
  return out;
}

std::optional<int64_t> Runtime::length(const Value& value) {
  if (value.is_undefined()) return 0;
  if (value.is_string()) {
    charge(value.string().size() / 16);
    return jinja::length(value.string());
  }
  if (value.is_list()) return static_cast<int64_t>(value.list().items.size());
  if (value.is_dict()) return static_cast<int64_t>(value.dict().items.size());
  int64_t size = 0;
  if (value.is_object() && value.object().length(*this, size)) return size;
  return std::nullopt;
}

bool Runtime::contains(const Value& container, const Value& value) {
  if (container.is_string()) {
    if (!value.is_string()) {
      require_defined(value);
      fail_type("'in <string>' requires string as left operand, not " + type_name(value));
    }
    charge(container.string().size() / 8);
    return container.string().find(value.string()) != std::string::npos;
  }
  if (container.is_dict()) return container.dict().find(value) != nullptr;
  if (!container.is_list() && !container.is_undefined() &&
      !(container.is_object() && container.object().iterate())) {
    fail_type("argument of type '" + type_name(container) + "' is not iterable");
  }
  const auto iterator = iterate(container);
  for (Value item; iterator->next(item);) {
    charge(8 + std::min(item.weight(), value.weight()) / 8);
    if (item.same(value) || equal(item, value)) return true;
  }
  return false;
}

std::string Runtime::text(const Value& value) {
  charge(value.weight());
  return to_text(value);
}

Value Runtime::result(std::string text) {
  charge(text.size());
  if (text.size() > kMaxText) {
    throw Failure(base::str("a text of ", base::human_bytes(text.size()), ", the limit is ",
                            base::human_bytes(kMaxText)));
  }
  return Value(std::move(text));
}

Value Runtime::filter(const std::string& name, const Value& subject, Arguments arguments) {
  charge(16);
  if (const auto found = find_filter(name)) return found(*this, subject, std::move(arguments));
  throw Failure("no filter named '" + name + "' is supported");
}

bool Runtime::test(const std::string& name, const Value& subject, Arguments arguments) {
  charge(16);
  if (const auto found = find_test(name)) return found(*this, subject, std::move(arguments));
  throw Failure("no test named '" + name + "' is supported");
}

Bound::Bound(const std::string& function, Arguments arguments,
             std::initializer_list<const char*> names, size_t required)
    : function_(function), names_(names.begin(), names.end()), values_(names.size()) {
  if (arguments.positional.size() > names_.size()) {
    fail_type(base::str(function, " takes at most ", names_.size(), " arguments, found ",
                        arguments.positional.size()));
  }
  for (size_t i = 0; i < arguments.positional.size(); ++i) {
    values_[i] = std::move(arguments.positional[i]);
  }
  for (auto& [name, value] : arguments.named) {
    const auto at = std::find(names_.begin(), names_.end(), name);
    if (at == names_.end()) fail_type(function + " takes no argument named '" + name + "'");
    auto& place = values_[static_cast<size_t>(at - names_.begin())];
    if (place) fail_type(function + " got the argument '" + name + "' twice");
    place = std::move(value);
  }
  for (size_t i = 0; i < required; ++i) {
    if (!values_[i]) fail_type(function + " needs the argument '" + names_[i] + "'");
  }
}

void Bound::wrong_type(size_t index, const char* expected) const {
  require_defined(*values_[index]);
  fail_type(function_ + ": argument '" + names_[index] + "' is of type " +
            type_name(*values_[index]) + ", expected " + expected);
}

int64_t Bound::integer(size_t index, int64_t otherwise) const {
  if (!has(index)) return otherwise;
  if (!values_[index]->is_int()) wrong_type(index, "int");
  return values_[index]->integer();
}

bool Bound::truth(size_t index, bool otherwise) const {
  return has(index) ? jinja::truth(*values_[index]) : otherwise;
}

const std::string& Bound::string(size_t index) const {
  if (!values_[index]->is_string()) wrong_type(index, "str");
  return values_[index]->string();
}

}  // namespace preimage::text::jinja
