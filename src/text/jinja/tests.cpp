// What may stand behind `is`.
#include <map>

#include "jinja/runtime.hpp"
#include "jinja/text.hpp"

namespace preimage::text::jinja {
namespace {

Value only(const char* name, Arguments arguments) {
  const Bound bound(name, std::move(arguments), {"other"}, 1);
  return bound[0];
}

template <char Sign, char Second = '\0'>
bool compares(Runtime& runtime, const Value& subject, Arguments arguments) {
  const std::string sign = Second == '\0' ? std::string{Sign} : std::string{Sign, Second};
  return runtime.compare(sign, subject, only("a comparison", std::move(arguments)));
}

int64_t remainder(Runtime& runtime, const Value& subject, const Value& divisor) {
  const Value rest = runtime.binary("%", subject, divisor);
  if (!rest.is_number()) fail_type("a test of divisibility needs a number");
  return rest.number() == 0 ? 0 : rest.number() == 1 ? 1 : 2;
}

bool is_sequence(const Value& value) {
  if (value.is_list()) return value.list().indexable() || value.list().is_tuple();
  return value.is_string() || value.is_dict() || value.is_undefined();
}

bool is_iterable(const Value& value) {
  return value.is_list() || value.is_dict() || value.is_string() || value.is_undefined() ||
         (value.is_object() && value.object().iterate() != nullptr);
}

using S = const Value&;

const std::map<std::string, Test>& tests() {
  static const std::map<std::string, Test> table = {
      {"defined", [](Runtime&, S v, Arguments) { return !v.is_undefined(); }},
      {"undefined", [](Runtime&, S v, Arguments) { return v.is_undefined(); }},
      {"none", [](Runtime&, S v, Arguments) { return v.is_none(); }},
      {"boolean", [](Runtime&, S v, Arguments) { return v.is_bool(); }},
      {"true", [](Runtime&, S v, Arguments) { return v.is_bool() && v.integer() == 1; }},
      {"false", [](Runtime&, S v, Arguments) { return v.is_bool() && v.integer() == 0; }},
      {"integer",
       [](Runtime&, S v, Arguments) { return v.is_big() || (v.is_int() && !v.is_bool()); }},
      {"float", [](Runtime&, S v, Arguments) { return v.is_float(); }},
      {"number", [](Runtime&, S v, Arguments) { return v.is_number(); }},
      {"string", [](Runtime&, S v, Arguments) { return v.is_string(); }},
      {"mapping", [](Runtime&, S v, Arguments) { return v.is_dict(); }},
      {"sequence", [](Runtime&, S v, Arguments) { return is_sequence(v); }},
      {"iterable", [](Runtime&, S v, Arguments) { return is_iterable(v); }},
      {"callable",
       [](Runtime&, S v, Arguments) {
         return v.is_undefined() || (v.is_object() && v.object().callable());
       }},
      {"escaped", [](Runtime&, S v, Arguments) { return v.is_markup(); }},
      {"lower", [](Runtime& r, S v, Arguments) { return *has_class("islower", r.text(v)); }},
      {"upper", [](Runtime& r, S v, Arguments) { return *has_class("isupper", r.text(v)); }},
      {"odd", [](Runtime& r, S v, Arguments) { return remainder(r, v, Value(int64_t{2})) == 1; }},
      {"even", [](Runtime& r, S v, Arguments) { return remainder(r, v, Value(int64_t{2})) == 0; }},
      {"divisibleby",
       [](Runtime& r, S v, Arguments a) {
         return remainder(r, v, only("divisibleby", std::move(a))) == 0;
       }},
      {"sameas", [](Runtime&, S v, Arguments a) { return v.same(only("sameas", std::move(a))); }},
      {"in", [](Runtime& r, S v, Arguments a) { return r.contains(only("in", std::move(a)), v); }},
      {"filter", [](Runtime&, S v, Arguments) { return v.is_string() && find_filter(v.string()); }},
      {"test", [](Runtime&, S v, Arguments) { return v.is_string() && find_test(v.string()); }},
      {"==", compares<'=', '='>},
      {"eq", compares<'=', '='>},
      {"equalto", compares<'=', '='>},
      {"!=", compares<'!', '='>},
      {"ne", compares<'!', '='>},
      {">", compares<'>'>},
      {"gt", compares<'>'>},
      {"greaterthan", compares<'>'>},
      {">=", compares<'>', '='>},
      {"ge", compares<'>', '='>},
      {"<", compares<'<'>},
      {"lt", compares<'<'>},
      {"lessthan", compares<'<'>},
      {"<=", compares<'<', '='>},
      {"le", compares<'<', '='>},
  };
  return table;
}

}  // namespace

Test find_test(const std::string& name) {
  const auto it = tests().find(name);
  return it == tests().end() ? nullptr : it->second;
}

}  // namespace preimage::text::jinja
