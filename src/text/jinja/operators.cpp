// Python's operators.
#include <algorithm>
#include <cmath>

#include "jinja/big_integer.hpp"
#include "jinja/runtime.hpp"
#include "jinja/text.hpp"

namespace preimage::text::jinja {
namespace {

[[noreturn]] void overflow() {
  throw Failure("an integer beyond 64 bits");
}

[[noreturn]] void unsupported(const std::string& sign, const Value& a, const Value& b) {
  fail_type("unsupported operand type(s) for " + sign + ": '" + type_name(a) + "' and '" +
            type_name(b) + "'");
}

int64_t floor_divide(int64_t a, int64_t b) {
  if (b == 0) throw Failure("integer division or modulo by zero");
  if (b == -1) {
    if (a == INT64_MIN) overflow();
    return -a;
  }
  const int64_t quotient = a / b;
  return a % b != 0 && (a < 0) != (b < 0) ? quotient - 1 : quotient;
}

int64_t modulo(int64_t a, int64_t b) {
  if (b == 0) throw Failure("integer division or modulo by zero");
  if (b == -1) return 0;
  const int64_t rest = a % b;
  return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

Value power(int64_t base, int64_t exponent) {
  if (exponent < 0) {
    if (base == 0) throw Failure("0.0 cannot be raised to a negative power");
    return Value(std::pow(static_cast<double>(base), static_cast<double>(exponent)));
  }
  int64_t out = 1;
  if (base == 0 || base == 1) return Value(exponent == 0 ? int64_t{1} : base);
  if (base == -1) return Value(exponent % 2 == 0 ? int64_t{1} : int64_t{-1});
  for (int64_t i = 0; i < exponent; ++i) {
    if (__builtin_mul_overflow(out, base, &out)) overflow();
  }
  return Value(out);
}

Value big_integers(const std::string& sign, const std::string& a, const std::string& b) {
  if (sign == "+") return Value::integer_of(sum_of_integers(a, b));
  if (sign == "-") return Value::integer_of(sum_of_integers(a, negated_integer(b)));
  if (sign == "*") return Value::integer_of(product_of_integers(a, b));
  throw Failure("'" + sign + "' of integers beyond 64 bits is not supported");
}

Value integers(const std::string& sign, int64_t a, int64_t b) {
  int64_t out = 0;
  const bool beyond = (sign == "+" && __builtin_add_overflow(a, b, &out)) ||
                      (sign == "-" && __builtin_sub_overflow(a, b, &out)) ||
                      (sign == "*" && __builtin_mul_overflow(a, b, &out));
  if (beyond) return big_integers(sign, std::to_string(a), std::to_string(b));
  if (sign == "+" || sign == "-" || sign == "*") return Value(out);
  if (sign == "/") {
    if (b == 0) throw Failure("division by zero");
    return Value(static_cast<double>(a) / static_cast<double>(b));
  }
  if (sign == "//") return Value(floor_divide(a, b));
  return sign == "%" ? Value(modulo(a, b)) : power(a, b);
}

Value floats(const std::string& sign, double a, double b) {
  if (sign == "+") return Value(a + b);
  if (sign == "-") return Value(a - b);
  if (sign == "*") return Value(a * b);
  if (sign == "**") {
    if (a == 0 && b < 0) throw Failure("0.0 cannot be raised to a negative power");
    if (a < 0 && b != std::trunc(b)) throw Failure("complex numbers are not supported");
    return Value(std::pow(a, b));
  }
  if (b == 0) throw Failure("float division or modulo by zero");
  if (sign == "/") return Value(a / b);
  double rest = std::fmod(a, b);
  if (rest != 0 && (rest < 0) != (b < 0)) rest += b;
  if (rest == 0) rest = std::copysign(0.0, b);
  if (sign == "%") return Value(rest);
  const double quotient = (a - rest) / b;
  double floor = std::floor(quotient);
  if (quotient - floor > 0.5) floor += 1;
  return Value(quotient == 0 ? std::copysign(0.0, a / b) : floor);
}

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&#34;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

Value joined_texts(Runtime& runtime, const Value& a, const Value& b) {
  const bool markup = a.is_markup() || b.is_markup();
  const auto part = [&](const Value& text) {
    return markup && !text.is_markup() ? escaped(text.string()) : text.string();
  };
  std::string whole = part(a);
  whole += part(b);
  Value out = runtime.result(std::move(whole));
  return markup ? Value::markup(out.string()) : out;
}

Value repeated(Runtime& runtime, const Value& sequence, int64_t times) {
  times = std::max<int64_t>(times, 0);
  const auto size = sequence.is_string() ? sequence.string().size() : sequence.list().items.size();
  uint64_t whole = 0;
  if (__builtin_mul_overflow(size, static_cast<uint64_t>(times), &whole)) whole = UINT64_MAX;
  runtime.charge(whole);
  if (sequence.is_string()) {
    std::string out;
    if (!sequence.string().empty()) {
      for (int64_t i = 0; i < times; ++i) out += sequence.string();
    }
    return runtime.result(std::move(out));
  }
  std::vector<Value> out;
  if (size > 0) {
    for (int64_t i = 0; i < times; ++i) {
      out.insert(out.end(), sequence.list().items.begin(), sequence.list().items.end());
    }
  }
  return make_list(std::move(out), sequence.list().type);
}

bool repeatable(const Value& value) {
  return value.is_string() || (value.is_list() && value.list().type <= List::Type::tuple);
}

Value joined_lists(Runtime& runtime, const Value& a, const Value& b) {
  auto items = a.list().items;
  items.insert(items.end(), b.list().items.begin(), b.list().items.end());
  runtime.charge(items.size());
  return make_list(std::move(items), a.list().is_tuple() ? List::Type::tuple : List::Type::list);
}

}  // namespace

Value Runtime::binary(const std::string& sign, const Value& a, const Value& b) {
  require_defined(a);
  if (sign == "%" && a.is_string()) return result(format_percent(*this, a.string(), b));
  require_defined(b);
  if (a.is_number() && b.is_number()) {
    if (a.is_int() && b.is_int()) return integers(sign, a.integer(), b.integer());
    if (!a.is_float() && !b.is_float()) {
      charge(a.weight() * b.weight());
      return big_integers(sign, a.digits(), b.digits());
    }
    return floats(sign, a.number(), b.number());
  }
  if (sign == "+") {
    if (a.is_string() && b.is_string()) return joined_texts(*this, a, b);
    const auto joinable = [](const Value& v) {
      return v.is_list() && v.list().type <= List::Type::group;
    };
    if (joinable(a) && joinable(b) && a.list().is_tuple() == b.list().is_tuple()) {
      return joined_lists(*this, a, b);
    }
    if (a.is_string()) {
      fail_type("can only concatenate str (not \"" + type_name(b) + "\") to str");
    }
  }
  if (sign == "*") {
    if (repeatable(a) && b.is_int()) return repeated(*this, a, b.integer());
    if (repeatable(b) && a.is_int()) return repeated(*this, b, a.integer());
  }
  unsupported(sign, a, b);
}

Value Runtime::unary(const std::string& sign, const Value& a) {
  require_defined(a);
  if (a.is_float()) return Value(sign == "-" ? -a.number() : a.number());
  if (a.is_big()) return sign == "-" ? Value::integer_of(negated_integer(a.digits())) : a;
  if (!a.is_int()) fail_type("bad operand type for unary " + sign + ": '" + type_name(a) + "'");
  if (sign == "+") return Value(a.integer());
  if (a.integer() == INT64_MIN) return Value::integer_of(negated_integer(a.digits()));
  return Value(-a.integer());
}

bool Runtime::compare(const std::string& sign, const Value& a, const Value& b) {
  charge(8 + std::min(a.weight(), b.weight()) / 8);
  if (sign == "==") return equal(a, b);
  if (sign == "!=") return !equal(a, b);
  if (sign == "in") return contains(b, a);
  if (sign == "not in") return !contains(b, a);
  const int order = jinja::compare(a, b, sign.c_str());
  if (order == 2) return false;
  if (sign == "<") return order < 0;
  if (sign == "<=") return order <= 0;
  return sign == ">" ? order > 0 : order >= 0;
}

}  // namespace preimage::text::jinja
