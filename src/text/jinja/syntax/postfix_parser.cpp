// What follows a value: members, calls, filters and tests; and the targets of assignments.
#include <algorithm>

#include "jinja/syntax/expression_parser.hpp"
#include "preimage/base/str.hpp"

namespace preimage::text::jinja {
namespace {

using Kind = Expression::Kind;

}  // namespace

ExpressionPtr ExpressionParser::postfix(ExpressionPtr node) {
  while (true) {
    if (at_op(".") || at_op("[")) {
      node = subscript(std::move(node));
    } else if (at_op("(")) {
      node = call(std::move(node));
    } else {
      return node;
    }
  }
}

ExpressionPtr ExpressionParser::filters_and_tests(ExpressionPtr node) {
  while (true) {
    if (at_op("|")) {
      node = filters(std::move(node));
    } else if (at_name("is")) {
      node = test(std::move(node));
    } else if (at_op("(")) {
      node = call(std::move(node));
    } else {
      return node;
    }
  }
}

ExpressionPtr ExpressionParser::subscript(ExpressionPtr node) {
  const int line = current().line;
  if (skip_op(".")) {
    if (current().type == TokenType::name) {
      auto out = make(Kind::attribute, line, take().text);
      adopt(*out, std::move(node));
      return out;
    }
    const Token token = take();
    if (token.type != TokenType::number || !token.number.is_int()) {
      fail(token.line, "expected a name or a number after '.', found " + shown(token));
    }
    auto index = make(Kind::constant, token.line);
    index->constant = token.number;
    return pair(Kind::item, line, std::move(node), std::move(index));
  }
  expect_op("[");
  if (skip_op(":")) return slice(std::move(node), nullptr, line);
  auto first = expression();
  if (skip_op(":")) return slice(std::move(node), std::move(first), line);
  if (at_op(",")) {
    auto key = make(Kind::tuple, line);
    adopt(*key, std::move(first));
    while (skip_op(",")) adopt(*key, expression());
    first = std::move(key);
  }
  expect_op("]");
  return pair(Kind::item, line, std::move(node), std::move(first));
}

ExpressionPtr ExpressionParser::slice(ExpressionPtr node, ExpressionPtr first, int line) {
  auto out = pair(Kind::slice, line, std::move(node), std::move(first));
  ExpressionPtr last, step;
  if (!at_op(":") && !at_op("]")) last = expression();
  if (skip_op(":") && !at_op("]")) step = expression();
  expect_op("]");
  adopt(*out, std::move(last));
  adopt(*out, std::move(step));
  return out;
}

void ExpressionParser::one_argument(Expression& node, int line) {
  auto& args = node.arguments;
  const auto keep = [&](ExpressionPtr value) {
    node.depth = std::max(node.depth, value->depth + 1);
    if (node.depth > kMaxTreeDepth) fail(line, "an expression of too many levels");
    return value;
  };
  const auto ensure = [&](bool holds) {
    if (!holds) fail(line, "the arguments of this call are not in order");
  };
  if (skip_op("*")) {
    ensure(!args.more_positional && !args.more_named);
    args.more_positional = keep(expression());
  } else if (skip_op("**")) {
    ensure(!args.more_named);
    args.more_named = keep(expression());
  } else if (current().type == TokenType::name && look().is(TokenType::op, "=")) {
    ensure(!args.more_named);
    auto name = take().text;
    take();
    args.named.emplace_back(std::move(name), keep(expression()));
  } else {
    ensure(!args.more_positional && !args.more_named && args.named.empty());
    args.positional.push_back(keep(expression()));
  }
}

void ExpressionParser::arguments(Expression& node) {
  const int line = current().line;
  expect_op("(");
  while (!at_op(")")) {
    one_argument(node, line);
    if (!at_op(")")) expect_op(",");
  }
  expect_op(")");
}

ExpressionPtr ExpressionParser::call(ExpressionPtr node) {
  auto out = make(Kind::call, current().line);
  adopt(*out, std::move(node));
  arguments(*out);
  return out;
}

ExpressionPtr ExpressionParser::filters(ExpressionPtr subject, bool first_without_bar) {
  while (at_op("|") || first_without_bar) {
    if (!first_without_bar) take();
    first_without_bar = false;
    auto node = make(Kind::filter, current().line);
    node->name = expect_name();
    while (skip_op(".")) node->name += "." + expect_name();
    adopt(*node, std::move(subject));
    if (at_op("(")) arguments(*node);
    subject = std::move(node);
  }
  return subject;
}

ExpressionPtr ExpressionParser::test(ExpressionPtr subject) {
  const int line = take().line;
  const bool negated = skip_name("not");
  auto node = make(Kind::test, line);
  node->name = expect_name();
  while (skip_op(".")) node->name += "." + expect_name();
  adopt(*node, std::move(subject));
  const auto type = current().type;
  if (at_op("(")) {
    arguments(*node);
  } else if ((type == TokenType::name && !at_name("else") && !at_name("or") && !at_name("and")) ||
             type == TokenType::string || type == TokenType::number || at_op("[") || at_op("{")) {
    if (at_name("is")) fail("tests cannot be chained with \"is\"");
    auto value = postfix(primary());
    node->depth = std::max(node->depth, value->depth + 1);
    node->arguments.positional.push_back(std::move(value));
  }
  if (!negated) return node;
  auto inverse = make(Kind::logical_not, line);
  adopt(*inverse, std::move(node));
  return inverse;
}

Target ExpressionParser::name_target() {
  Target out;
  out.line = current().line;
  out.name = expect_name();
  for (const char* constant : {"true", "false", "none", "True", "False", "None"}) {
    if (out.name == constant) fail(out.line, "can't assign to '" + out.name + "'");
  }
  out.symbol = symbol(out.name);
  for (auto& macro : macros_) macro.open.erase(out.name);
  return out;
}

Target ExpressionParser::simple_target(bool with_members) {
  if (skip_op("(")) {
    auto inner = target(with_members, "");
    expect_op(")");
    return inner;
  }
  Target out = name_target();
  if (with_members && skip_op(".")) {
    out.kind = Target::Kind::member;
    out.member = expect_name();
  }
  return out;
}

Target ExpressionParser::target(bool with_members, std::string_view stop) {
  const Nesting nesting(*this);
  Target out;
  out.kind = Target::Kind::tuple;
  out.line = current().line;
  bool comma = false;
  while (!at_tuple_end(stop)) {
    out.parts.push_back(simple_target(with_members));
    if (!skip_op(",")) break;
    comma = true;
  }
  if (comma) return out;
  if (out.parts.empty()) fail("expected a name to assign to, found " + shown(current()));
  Target only = std::move(out.parts[0]);
  return only;
}

}  // namespace preimage::text::jinja
