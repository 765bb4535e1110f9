#include "jinja/interpreter.hpp"

#include <algorithm>

#include "jinja/loop.hpp"
#include "jinja/text.hpp"
#include "preimage/base/str.hpp"

namespace preimage::text::jinja {
void Scope::set(uint32_t symbol, Value value) {
  for (auto& [name, known] : variables) {
    if (name == symbol) {
      known = std::move(value);
      return;
    }
  }
  variables.emplace_back(symbol, std::move(value));
}

Interpreter::Interpreter(const Tree& tree, const Dict& context, const Limits& limits)
    : tree_(tree), context_(context), limits_(limits), runtime_(limits.work) {}

Interpreter::~Interpreter() {
  for (const auto& scope : captured_scopes_) scope->variables.clear();
}

Rendering Interpreter::run() {
  execute(tree_.body, std::make_shared<Scope>(nullptr), whole_.text);
  return std::move(whole_);
}

// As transformers notes it: from where the text stands that is already written out. Inside of a
// macro or a captured block that is before the block's own beginning.
Interpreter::Flow Interpreter::execute_generation(const Statement& statement, const ScopePtr& scope,
                                                  std::string& out) {
  std::string text;
  const Flow flow = execute(statement.body, scope, text);
  const auto begin = static_cast<size_t>(length(whole_.text));
  runtime_.charge(whole_.text.size() / 8);
  whole_.generated.emplace_back(begin, begin + static_cast<size_t>(length(text)));
  write(text, out);
  return flow;
}

void Interpreter::write(const std::string& text, std::string& out) {
  runtime_.charge(text.size());
  out += text;
  if (out.size() > limits_.output_bytes) {
    throw Failure(
        base::str("the text grows beyond the limit of ", base::human_bytes(limits_.output_bytes)));
  }
}

Interpreter::Flow Interpreter::execute(const Body& body, const ScopePtr& scope, std::string& out) {
  const Level level(level_);
  for (const auto& statement : body) {
    const Flow flow = execute(*statement, scope, out);
    if (flow != Flow::normal) return flow;
  }
  return Flow::normal;
}

Interpreter::Flow Interpreter::execute(const Statement& statement, const ScopePtr& scope,
                                       std::string& out) {
  using Kind = Statement::Kind;
  line_ = statement.line;
  runtime_.charge(16);
  const auto inside = [&] { return std::make_shared<Scope>(scope); };
  switch (statement.kind) {
    case Kind::data:
      write(statement.text, out);
      break;
    case Kind::output:
      write(runtime_.text(evaluate(*statement.expression, scope)), out);
      break;
    case Kind::set:
      assign(statement.targets[0], evaluate(*statement.expression, scope), scope);
      break;
    case Kind::set_block: {
      const auto block = inside();
      Value text(captured(statement.body, block));
      if (statement.expression) text = evaluate_filter(*statement.expression, block, &text);
      assign(statement.targets[0], text, scope);
      break;
    }
    case Kind::loop: {
      const Value items = evaluate(*statement.expression, scope);
      execute_loop(statement, scope, items, 0, out);
      break;
    }
    case Kind::condition:
      return execute_condition(statement, scope, out);
    case Kind::macro:
      scope->set(statement.symbol, make_macro(statement.macro, scope));
      break;
    case Kind::call_block:
      call_block(statement, scope, out);
      break;
    case Kind::filter_block: {
      const auto block = inside();
      const Value text(captured(statement.body, block));
      write(runtime_.text(evaluate_filter(*statement.expression, block, &text)), out);
      break;
    }
    case Kind::with:
      execute_with(statement, scope, out);
      break;
    case Kind::generation:
      return execute_generation(statement, inside(), out);
    case Kind::leave:
      return Flow::leave;
    case Kind::next:
      return Flow::next;
  }
  return Flow::normal;
}

Interpreter::Flow Interpreter::execute_condition(const Statement& statement, const ScopePtr& scope,
                                                 std::string& out) {
  for (const auto& branch : statement.branches) {
    if (truth(evaluate(*branch.test, scope))) return execute(branch.body, scope, out);
  }
  return execute(statement.otherwise, scope, out);
}

void Interpreter::execute_with(const Statement& statement, const ScopePtr& scope,
                               std::string& out) {
  const auto block = std::make_shared<Scope>(scope);
  for (size_t i = 0; i < statement.targets.size(); ++i) {
    assign(statement.targets[i], evaluate(*statement.values[i], scope), block);
  }
  execute(statement.body, block, out);
}

std::string Interpreter::captured(const Body& body, const ScopePtr& scope) {
  std::string out;
  execute(body, scope, out);
  return out;
}

void Interpreter::call_block(const Statement& statement, const ScopePtr& scope, std::string& out) {
  const auto& call = *statement.expression;
  const Value callee = evaluate(*call.children[0], scope);
  Arguments arguments = evaluate_arguments(call.arguments, scope);
  arguments.named.emplace_back("caller", make_macro(statement.macro, scope));
  write(runtime_.text(runtime_.call(callee, std::move(arguments))), out);
}

void Interpreter::assign(const Target& target, const Value& value, const ScopePtr& scope) {
  switch (target.kind) {
    case Target::Kind::name:
      scope->set(target.symbol, value);
      return;
    case Target::Kind::member: {
      Expression name;
      name.kind = Expression::Kind::name;
      name.line = target.line;
      name.symbol = target.symbol;
      if (!assign_member(evaluate_name(name, *scope), target.member, value)) {
        throw Failure("cannot assign attribute on non-namespace object");
      }
      runtime_.charge(8);
      return;
    }
    case Target::Kind::tuple:
      break;
  }
  const auto parts = runtime_.to_vector(value);
  if (parts.size() != target.parts.size()) {
    throw Failure(base::str(parts.size() < target.parts.size() ? "not enough" : "too many",
                            " values to unpack (expected ", target.parts.size(), ", got ",
                            parts.size(), ")"));
  }
  for (size_t i = 0; i < parts.size(); ++i) assign(target.parts[i], parts[i], scope);
}

void Interpreter::execute_loop(const Statement& statement, const ScopePtr& scope,
                               const Value& items, int64_t depth, std::string& out) {
  IteratorPtr iterator = runtime_.iterate(items);
  const bool filtered = statement.test != nullptr;
  if (filtered) {
    const auto source = iterator;
    iterator = make_filtered(source, [this, &statement, scope](const Value& item) {
      const auto test_scope = std::make_shared<Scope>(scope);
      assign(statement.targets[0], item, test_scope);
      return truth(evaluate(*statement.test, test_scope));
    });
  }
  const auto loop = std::make_shared<Loop>(items, iterator, filtered, depth);
  if (statement.recursive) {
    loop->set_recursion([this, &statement, scope](const Value& inner, int64_t level) {
      return recurse(statement, scope, inner, level);
    });
  }
  // As jinja2: an iteration that ended with break or continue does not count for `else`.
  bool none_completed = true;
  for (Value item; loop->advance(item);) {
    runtime_.charge(32);
    const auto inside = std::make_shared<Scope>(scope);
    inside->set(kLoop, Value(ObjectPtr(loop)));
    assign(statement.targets[0], item, inside);
    const Flow flow = execute(statement.body, inside, out);
    if (flow == Flow::leave) break;
    if (flow == Flow::normal) none_completed = false;
  }
  if (none_completed) execute(statement.otherwise, std::make_shared<Scope>(scope), out);
}

std::string Interpreter::recurse(const Statement& loop, const ScopePtr& outside, const Value& items,
                                 int64_t depth) {
  const Level level(level_);
  const int line = line_;
  std::string out;
  execute_loop(loop, outside, items, depth, out);
  line_ = line;
  return out;
}

}  // namespace preimage::text::jinja
