// The functions that every template can call.
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <map>

#include "jinja/runtime.hpp"
#include "jinja/text.hpp"
#include "preimage/base/str.hpp"

namespace preimage::text::jinja {
namespace {

constexpr uint64_t kMaxRange = 100'000;  // as jinja2's sandbox

class Function : public Object {
 public:
  using Body = Value (*)(Runtime&, Arguments);
  Function(std::string name, Body body) : name_(std::move(name)), body_(body) {}
  std::string type_name() const override { return "function"; }
  std::string repr() const override { return "<function " + name_ + ">"; }
  bool callable() const override { return true; }
  Value call(Runtime& runtime, Arguments arguments) override {
    return body_(runtime, std::move(arguments));
  }

 private:
  std::string name_;
  Body body_;
};

// dict(mapping or pairs, **members)
Dict dict_of(Runtime& runtime, Arguments arguments) {
  Dict out;
  if (arguments.positional.size() > 1) fail_type("dict expected at most 1 argument");
  if (!arguments.positional.empty()) {
    const Value& source = arguments.positional[0];
    if (source.is_dict()) {
      out = source.dict();
    } else {
      for (const auto& item : runtime.to_vector(source)) {
        auto pair = runtime.to_vector(item);
        if (pair.size() != 2) fail_type("dict takes pairs");
        out.set(std::move(pair[0]), std::move(pair[1]));
      }
    }
  }
  for (auto& [name, value] : arguments.named) out.set(Value(name), std::move(value));
  runtime.charge(out.items.size() * 16);
  return out;
}

class Namespace : public Object {
 public:
  explicit Namespace(Dict members) : members_(std::move(members)) {}
  std::string type_name() const override { return "Namespace"; }
  std::string repr() const override { return "<Namespace>"; }
  bool attribute(Runtime&, const std::string& name, Value& value) override {
    const Value* found = members_.find(name);
    if (found != nullptr) value = *found;
    return found != nullptr;
  }
  void assign(const std::string& name, const Value& value) {
    if (name.starts_with('_')) fail_type("a namespace takes no member named '" + name + "'");
    members_.set(Value(name), value);
  }
  void clear() override { members_ = Dict(); }

 private:
  Dict members_;
};

class Cycler : public Object {
 public:
  explicit Cycler(Value items) : items_(std::move(items)) {}
  std::string type_name() const override { return "Cycler"; }
  uint32_t depth() const override { return items_.depth(); }
  bool attribute(Runtime&, const std::string& name, Value& value) override;
  const Value& current() const { return items_.list().items[at_]; }
  void advance() { at_ = (at_ + 1) % items_.list().items.size(); }
  void reset() { at_ = 0; }

 private:
  Value items_;  // a list
  size_t at_ = 0;
};

class CyclerMethod : public Object {
 public:
  CyclerMethod(Cycler& cycler, bool next) : cycler_(cycler), next_(next) {}
  std::string type_name() const override { return "method"; }
  bool callable() const override { return true; }
  Value call(Runtime&, Arguments) override {
    if (!next_) {
      cycler_.reset();
      return Value();
    }
    Value out = cycler_.current();
    cycler_.advance();
    return out;
  }

 private:
  Cycler& cycler_;  // kept alive by the runtime
  bool next_;
};

bool Cycler::attribute(Runtime&, const std::string& name, Value& value) {
  if (name == "current") {
    value = current();
  } else if (name == "next" || name == "reset") {
    value = Value(ObjectPtr(std::make_shared<CyclerMethod>(*this, name == "next")));
  } else {
    return false;
  }
  return true;
}

class Joiner : public Object {
 public:
  explicit Joiner(Value separator)
      : separator_(std::move(separator)), depth_(one_above(separator_.depth())) {}
  std::string type_name() const override { return "Joiner"; }
  bool callable() const override { return true; }
  Value call(Runtime&, Arguments) override {
    return std::exchange(used_, true) ? separator_ : Value("");
  }
  uint32_t depth() const override { return depth_; }

 private:
  Value separator_;
  uint32_t depth_;
  bool used_ = false;
};

Value make_range(Runtime& runtime, Arguments arguments) {
  const auto& given = arguments.positional;
  if (given.empty() || given.size() > 3 || !arguments.named.empty()) {
    fail_type("range takes 1 to 3 arguments");
  }
  int64_t bounds[3] = {0, 0, 1};
  for (size_t i = 0; i < given.size(); ++i) {
    require_defined(given[i]);
    if (!given[i].is_int()) {
      fail_type("'" + type_name(given[i]) + "' object cannot be interpreted as an integer");
    }
    bounds[given.size() == 1 ? 1 : i] = given[i].integer();
  }
  const auto [begin, end, step] = bounds;
  if (step == 0) throw Failure("range() arg 3 must not be zero");
  const auto distance =
      static_cast<uint64_t>(step > 0 ? end : begin) - static_cast<uint64_t>(step > 0 ? begin : end);
  const uint64_t stride = step > 0 ? static_cast<uint64_t>(step) : 0 - static_cast<uint64_t>(step);
  const bool empty = step > 0 ? begin >= end : begin <= end;
  const uint64_t count = empty ? 0 : (distance - 1) / stride + 1;
  if (count > kMaxRange) {
    throw Failure(
        base::str("Range too big. The sandbox blocks ranges larger than ", kMaxRange, "."));
  }
  std::vector<Value> out;
  for (uint64_t i = 0; i < count; ++i) {
    out.emplace_back(
        static_cast<int64_t>(static_cast<uint64_t>(begin) + i * static_cast<uint64_t>(step)));
  }
  runtime.charge(out.size());
  auto list = std::make_shared<List>();
  list->type = List::Type::range;
  list->weight = 16 * out.size() + 8;
  list->items = std::move(out);
  list->label = base::str("range(", begin, ", ", end, step == 1 ? "" : base::str(", ", step), ")");
  return Value(ListPtr(std::move(list)));
}

// The moment of SOURCE_DATE_EPOCH (in UTC) where that is set, else now (in local time), as the
// reproducible-builds specification asks.
Value strftime_now(Runtime& runtime, Arguments arguments) {
  const Bound bound("strftime_now", std::move(arguments), {"format"}, 1);
  std::string format = bound.string(0);
  std::time_t seconds = std::time(nullptr);
  std::tm parts{};
  const char* fixed = std::getenv("SOURCE_DATE_EPOCH");
  if (fixed != nullptr && *fixed != '\0') {
    const auto epoch = parse_integer(fixed, 10);
    if (!epoch)
      throw Failure("SOURCE_DATE_EPOCH is not a number of seconds: " + std::string(fixed));
    seconds = static_cast<std::time_t>(*epoch);
    gmtime_r(&seconds, &parts);
  } else {
    localtime_r(&seconds, &parts);
  }
  // A Python datetime without a zone prints none.
  for (const char* zone : {"%z", "%Z"}) format = replace(format, zone, "", -1);
  format = replace(format, "%f", "000000", -1);
  if (format.empty()) return Value("");
  std::string out(format.size() * 16 + 256, '\0');
  out.resize(std::strftime(out.data(), out.size(), format.c_str(), &parts));
  return runtime.result(std::move(out));
}

Value raise_exception(Runtime& runtime, Arguments arguments) {
  const Bound bound("raise_exception", std::move(arguments), {"message"}, 1);
  throw Failure("the template refuses this conversation: " + runtime.text(bound[0]));
}

Value make_namespace(Runtime& runtime, Arguments arguments) {
  Dict members = dict_of(runtime, std::move(arguments));
  for (const auto& [name, value] : members.items) {
    if (name.is_string() && name.string().starts_with('_')) {
      fail_type("a namespace takes no member named '" + name.string() + "'");
    }
  }
  auto made = std::make_shared<Namespace>(std::move(members));
  runtime.keep(made);
  return Value(ObjectPtr(std::move(made)));
}

Value make_cycler(Runtime& runtime, Arguments arguments) {
  if (arguments.positional.empty()) throw Failure("at least one item has to be provided");
  auto made = std::make_shared<Cycler>(make_list(std::move(arguments.positional)));
  runtime.keep(made);
  return Value(ObjectPtr(std::move(made)));
}

Value make_joiner(Runtime&, Arguments arguments) {
  const Bound bound("joiner", std::move(arguments), {"sep"});
  return Value(ObjectPtr(std::make_shared<Joiner>(bound.has(0) ? bound[0] : Value(", "))));
}

}  // namespace

std::optional<Value> find_global(const std::string& name) {
  static const std::map<std::string, Function::Body> table = {
      {"cycler", make_cycler},
      {"dict",
       [](Runtime& runtime, Arguments arguments) {
         return make_dict(dict_of(runtime, std::move(arguments)));
       }},
      {"joiner", make_joiner},
      {"namespace", make_namespace},
      {"raise_exception", raise_exception},
      {"range", make_range},
      {"strftime_now", strftime_now},
  };
  const auto it = table.find(name);
  if (it == table.end()) return std::nullopt;
  return Value(ObjectPtr(std::make_shared<Function>(name, it->second)));
}

bool assign_member(const Value& target, const std::string& name, const Value& value) {
  auto* space = target.is_object() ? dynamic_cast<Namespace*>(&target.object()) : nullptr;
  if (space != nullptr) space->assign(name, value);
  return space != nullptr;
}

}  // namespace preimage::text::jinja
