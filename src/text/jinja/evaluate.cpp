// Expressions and macro calls of the interpreter.
#include <algorithm>

#include "jinja/interpreter.hpp"
#include "jinja/text.hpp"

namespace preimage::text::jinja {
namespace {

class Macro : public Object {
 public:
  Macro(Interpreter& interpreter, const MacroNode& node, ScopePtr scope)
      : interpreter_(interpreter), node_(node), scope_(std::move(scope)) {}
  std::string type_name() const override { return "Macro"; }
  std::string repr() const override {
    return node_.name.empty() ? "<Macro anonymous>" : "<Macro " + text_repr(node_.name) + ">";
  }
  bool callable() const override { return true; }
  Value call(Runtime&, Arguments arguments) override {
    return interpreter_.call_macro(node_, scope_, std::move(arguments));
  }
  bool attribute(Runtime&, const std::string& name, Value& value) override {
    if (name == "name") {
      value = Value(node_.name);
    } else if (name == "arguments") {
      std::vector<Value> names;
      for (const auto& parameter : node_.parameters) names.emplace_back(parameter.name);
      value = make_tuple(std::move(names));
    } else if (name == "caller" || name == "catch_kwargs" || name == "catch_varargs") {
      value = Value(name == "caller"         ? node_.uses_caller
                    : name == "catch_kwargs" ? node_.uses_kwargs
                                             : node_.uses_varargs);
    } else {
      return false;
    }
    return true;
  }

 private:
  Interpreter& interpreter_;
  const MacroNode& node_;
  ScopePtr scope_;
};

// Moves the named argument to `out`; false when it is not among them.
bool take_named(Arguments& arguments, const std::string& name, Value& out) {
  for (auto it = arguments.named.begin(); it != arguments.named.end(); ++it) {
    if (it->first != name) continue;
    out = std::move(it->second);
    arguments.named.erase(it);
    return true;
  }
  return false;
}

}  // namespace

Value Interpreter::make_macro(const MacroNode& node, const ScopePtr& scope) {
  captured_scopes_.push_back(scope);
  return Value(ObjectPtr(std::make_shared<Macro>(*this, node, scope)));
}

Value Interpreter::call_macro(const MacroNode& macro, const ScopePtr& outside,
                              Arguments arguments) {
  const int line = line_;
  const auto scope = std::make_shared<Scope>(outside);
  const size_t count = macro.parameters.size();
  bool explicit_caller = false;
  std::vector<size_t> missing;
  for (size_t i = 0; i < count; ++i) {
    const auto& parameter = macro.parameters[i];
    explicit_caller = explicit_caller || parameter.name == "caller";
    if (i < arguments.positional.size()) {
      scope->set(parameter.symbol, arguments.positional[i]);
    } else if (Value named; take_named(arguments, parameter.name, named)) {
      scope->set(parameter.symbol, std::move(named));
    } else {
      missing.push_back(i);
      scope->set(parameter.symbol,
                 Value::undefined("parameter " + text_repr(parameter.name) + " was not provided"));
    }
  }
  if (macro.uses_caller && !explicit_caller) {
    Value caller;
    take_named(arguments, "caller", caller);
    scope->set(kCaller, caller.is_none() ? Value::undefined("No caller defined") : caller);
  }
  if (macro.uses_kwargs) {
    Dict named;
    for (auto& [name, value] : arguments.named) named.set(Value(name), std::move(value));
    scope->set(kKwargs, make_dict(std::move(named)));
  } else if (!arguments.named.empty()) {
    fail_type("macro " + text_repr(macro.name) + " takes no keyword argument " +
              text_repr(arguments.named[0].first));
  }
  if (macro.uses_varargs) {
    const auto from = arguments.positional.begin() +
                      static_cast<ptrdiff_t>(std::min(count, arguments.positional.size()));
    scope->set(kVarargs, make_tuple({from, arguments.positional.end()}));
  } else if (arguments.positional.size() > count) {
    fail_type("macro " + text_repr(macro.name) + " takes not more than " + std::to_string(count) +
              " argument(s)");
  }
  for (const size_t i : missing) {
    const auto& parameter = macro.parameters[i];
    if (parameter.otherwise) scope->set(parameter.symbol, evaluate(*parameter.otherwise, scope));
  }
  Value out = runtime_.result(captured(macro.body, scope));
  line_ = line;
  return out;
}

Value Interpreter::evaluate(const Expression& node, const ScopePtr& scope) {
  using Kind = Expression::Kind;
  line_ = node.line;
  runtime_.charge(8);
  const auto child = [&](size_t i) { return evaluate(*node.children[i], scope); };
  if (node.kind == Kind::constant) return node.constant;
  if (node.kind == Kind::name) return evaluate_name(node, *scope);
  const Level level(level_);
  switch (node.kind) {
    case Kind::tuple:
    case Kind::list:
    case Kind::dict:
      return evaluate_sequence(node, scope);
    case Kind::condition:
      if (truth(child(0))) return child(1);
      if (node.children.size() > 2) return child(2);
      return Value::undefined(
          "the inline if-expression evaluated to false and no else section was defined.");
    case Kind::logical_and: {
      Value left = child(0);
      return truth(left) ? child(1) : left;
    }
    case Kind::logical_or: {
      Value left = child(0);
      return truth(left) ? left : child(1);
    }
    case Kind::logical_not:
      return Value(!truth(child(0)));
    case Kind::compare:
      return evaluate_compare(node, scope);
    case Kind::binary: {
      const Value left = child(0);
      return runtime_.binary(node.name, left, child(1));
    }
    case Kind::unary:
      return runtime_.unary(node.name, child(0));
    case Kind::concat: {
      std::string out;
      for (size_t i = 0; i < node.children.size(); ++i) out += runtime_.text(child(i));
      return runtime_.result(std::move(out));
    }
    case Kind::attribute:
      return runtime_.attribute(child(0), node.name);
    case Kind::item: {
      const Value container = child(0);
      return runtime_.item(container, child(1));
    }
    case Kind::slice:
      return evaluate_slice(node, scope);
    case Kind::call: {
      const Value callee = child(0);
      return runtime_.call(callee, evaluate_arguments(node.arguments, scope));
    }
    case Kind::filter:
      return evaluate_filter(node, scope, nullptr);
    default:
      break;
  }
  const Value subject = child(0);
  return Value(runtime_.test(node.name, subject, evaluate_arguments(node.arguments, scope)));
}

Value Interpreter::evaluate_name(const Expression& node, const Scope& scope) {
  for (const Scope* at = &scope; at != nullptr; at = at->parent.get()) {
    for (const auto& [symbol, value] : at->variables) {
      if (symbol == node.symbol) return value;
    }
  }
  const auto& name = tree_.symbols[node.symbol];
  if (const Value* found = context_.find(name)) return *found;
  if (auto function = find_global(name)) return *function;
  return Value::undefined(text_repr(name) + " is undefined");
}

Value Interpreter::evaluate_compare(const Expression& node, const ScopePtr& scope) {
  Value left = evaluate(*node.children[0], scope);
  for (size_t i = 0; i < node.operators.size(); ++i) {
    Value right = evaluate(*node.children[i + 1], scope);
    if (!runtime_.compare(node.operators[i], left, right)) return Value(false);
    left = std::move(right);
  }
  return Value(true);
}

Value Interpreter::evaluate_filter(const Expression& node, const ScopePtr& scope,
                                   const Value* text) {
  Value subject;
  if (!node.children[0]) {
    subject = *text;
  } else if (text != nullptr && node.children[0]->kind == Expression::Kind::filter) {
    subject = evaluate_filter(*node.children[0], scope, text);
  } else {
    subject = evaluate(*node.children[0], scope);
  }
  line_ = node.line;
  return runtime_.filter(node.name, subject, evaluate_arguments(node.arguments, scope));
}

Value Interpreter::evaluate_sequence(const Expression& node, const ScopePtr& scope) {
  if (node.kind == Expression::Kind::dict) {
    Dict dict;
    for (size_t i = 0; i < node.children.size(); i += 2) {
      Value key = evaluate(*node.children[i], scope);
      dict.set(std::move(key), evaluate(*node.children[i + 1], scope));
    }
    return make_dict(std::move(dict));
  }
  std::vector<Value> items;
  for (const auto& item : node.children) items.push_back(evaluate(*item, scope));
  return node.kind == Expression::Kind::list ? make_list(std::move(items))
                                             : make_tuple(std::move(items));
}

Value Interpreter::evaluate_slice(const Expression& node, const ScopePtr& scope) {
  const Value container = evaluate(*node.children[0], scope);
  Value bounds[3];
  for (size_t i = 0; i < 3; ++i) {
    if (!node.children[i + 1]) continue;
    bounds[i] = evaluate(*node.children[i + 1], scope);
    require_defined(bounds[i]);
  }
  return runtime_.slice(container, bounds[0], bounds[1], bounds[2]);
}

Arguments Interpreter::evaluate_arguments(const CallArguments& arguments, const ScopePtr& scope) {
  Arguments out;
  for (const auto& value : arguments.positional) out.positional.push_back(evaluate(*value, scope));
  for (const auto& [name, value] : arguments.named) {
    out.named.emplace_back(name, evaluate(*value, scope));
  }
  if (arguments.more_positional) {
    for (auto& value : runtime_.to_vector(evaluate(*arguments.more_positional, scope))) {
      out.positional.push_back(std::move(value));
    }
  }
  if (!arguments.more_named) return out;
  const Value more = evaluate(*arguments.more_named, scope);
  if (!more.is_dict()) fail_type("argument after ** must be a mapping, not " + type_name(more));
  for (const auto& [name, value] : more.dict().items) {
    if (!name.is_string()) fail_type("keywords must be strings");
    out.named.emplace_back(name.string(), value);
  }
  return out;
}

}  // namespace preimage::text::jinja
