#include "jinja/syntax/expression_parser.hpp"

#include <algorithm>

#include "preimage/base/str.hpp"

namespace preimage::text::jinja {
namespace {

using Kind = Expression::Kind;

constexpr int kMaxNesting = 100;

}  // namespace

std::string shown(const Token& token) {
  switch (token.type) {
    case TokenType::data:
      return "text";
    case TokenType::variable_begin:
      return "{{";
    case TokenType::variable_end:
      return "}}";
    case TokenType::block_begin:
      return "{%";
    case TokenType::block_end:
      return "%}";
    case TokenType::end:
      return "the end of the template";
    default:
      return "'" + token.text + "'";
  }
}

ExpressionParser::Nesting::Nesting(ExpressionParser& parser) : parser_(parser) {
  if (++parser_.nesting_ > kMaxNesting) {
    const int line = parser_.current().line;
    --parser_.nesting_;
    parser_.fail(line, base::str("nested deeper than ", kMaxNesting, " levels"));
  }
}

ExpressionParser::ExpressionParser(std::vector<Token> tokens) : tokens_(std::move(tokens)) {
  for (const char* name : {"loop", "caller", "kwargs", "varargs"}) symbol(name);
}

Token ExpressionParser::take() {
  Token token = current();
  if (at_ + 1 < tokens_.size()) ++at_;
  return token;
}

bool ExpressionParser::skip_name(std::string_view word) {
  if (!at_name(word)) return false;
  take();
  return true;
}

bool ExpressionParser::skip_op(std::string_view sign) {
  if (!at_op(sign)) return false;
  take();
  return true;
}

void ExpressionParser::expect_op(std::string_view sign) {
  if (!skip_op(sign)) fail(base::str("expected '", sign, "', found ", shown(current())));
}

void ExpressionParser::expect(TokenType type, const char* what) {
  if (current().type != type) fail(base::str("expected ", what, ", found ", shown(current())));
  take();
}

std::string ExpressionParser::expect_name() {
  if (current().type != TokenType::name) {
    fail(base::str("expected a name, found ", shown(current())));
  }
  return take().text;
}

ExpressionParser::Node ExpressionParser::make(Kind kind, int line, std::string name) const {
  auto node = std::make_unique<Expression>();
  node->kind = kind;
  node->line = line;
  node->name = std::move(name);
  return node;
}

void ExpressionParser::adopt(Expression& parent, ExpressionPtr child) const {
  if (child) parent.depth = std::max(parent.depth, child->depth + 1);
  if (parent.depth > kMaxTreeDepth) {
    fail(parent.line, base::str("an expression of more than ", kMaxTreeDepth, " levels"));
  }
  parent.children.push_back(std::move(child));
}

ExpressionParser::Node ExpressionParser::pair(Kind kind, int line, ExpressionPtr left,
                                              ExpressionPtr right) const {
  auto node = make(kind, line);
  adopt(*node, std::move(left));
  adopt(*node, std::move(right));
  return node;
}

uint32_t ExpressionParser::symbol(const std::string& name) {
  const auto [it, fresh] = symbol_of_.emplace(name, static_cast<uint32_t>(symbols_.size()));
  if (fresh) symbols_.push_back(name);
  return it->second;
}

ExpressionPtr ExpressionParser::expression(bool with_condition) {
  const Nesting nesting(*this);
  return with_condition ? condition() : logical_or();
}

ExpressionPtr ExpressionParser::condition() {
  int line = current().line;
  auto value = logical_or();
  while (skip_name("if")) {
    auto node = make(Kind::condition, line);
    adopt(*node, logical_or());
    adopt(*node, std::move(value));
    if (skip_name("else")) {
      const Nesting nesting(*this);
      adopt(*node, condition());
    }
    value = std::move(node);
    line = current().line;
  }
  return value;
}

ExpressionPtr ExpressionParser::logical_or() {
  int line = current().line;
  auto left = logical_and();
  while (skip_name("or")) {
    left = pair(Kind::logical_or, line, std::move(left), logical_and());
    line = current().line;
  }
  return left;
}

ExpressionPtr ExpressionParser::logical_and() {
  int line = current().line;
  auto left = logical_not();
  while (skip_name("and")) {
    left = pair(Kind::logical_and, line, std::move(left), logical_not());
    line = current().line;
  }
  return left;
}

ExpressionPtr ExpressionParser::logical_not() {
  if (!at_name("not")) return comparison();
  const Nesting nesting(*this);
  auto node = make(Kind::logical_not, take().line);
  adopt(*node, logical_not());
  return node;
}

ExpressionPtr ExpressionParser::comparison() {
  static const std::set<std::string, std::less<>> kSigns = {"==", "!=", "<", "<=", ">", ">="};
  const int line = current().line;
  auto first = sum();
  Node node;
  while (true) {
    std::string sign;
    if (current().type == TokenType::op && kSigns.contains(current().text)) {
      sign = take().text;
    } else if (skip_name("in")) {
      sign = "in";
    } else if (at_name("not") && look().is(TokenType::name, "in")) {
      take();
      take();
      sign = "not in";
    } else {
      break;
    }
    if (!node) {
      node = make(Kind::compare, line);
      adopt(*node, std::move(first));
    }
    node->operators.push_back(sign);
    adopt(*node, sum());
  }
  if (node) return node;
  return first;
}

ExpressionPtr ExpressionParser::sum() {
  int line = current().line;
  auto left = concatenation();
  while (at_op("+") || at_op("-")) {
    auto sign = take().text;
    auto node = pair(Kind::binary, line, std::move(left), concatenation());
    node->name = std::move(sign);
    left = std::move(node);
    line = current().line;
  }
  return left;
}

ExpressionPtr ExpressionParser::concatenation() {
  const int line = current().line;
  auto first = product();
  if (!at_op("~")) return first;
  auto node = make(Kind::concat, line);
  adopt(*node, std::move(first));
  while (skip_op("~")) adopt(*node, product());
  return node;
}

ExpressionPtr ExpressionParser::product() {
  int line = current().line;
  auto left = power();
  while (at_op("*") || at_op("/") || at_op("//") || at_op("%")) {
    auto sign = take().text;
    auto node = pair(Kind::binary, line, std::move(left), power());
    node->name = std::move(sign);
    left = std::move(node);
    line = current().line;
  }
  return left;
}

ExpressionPtr ExpressionParser::power() {
  int line = current().line;
  auto left = unary();
  while (skip_op("**")) {
    auto node = pair(Kind::binary, line, std::move(left), unary());
    node->name = "**";
    left = std::move(node);
    line = current().line;
  }
  return left;
}

ExpressionPtr ExpressionParser::unary(bool with_filters) {
  const int line = current().line;
  ExpressionPtr node;
  if (at_op("-") || at_op("+")) {
    const Nesting nesting(*this);
    auto sign = make(Kind::unary, line, take().text);
    adopt(*sign, unary(false));
    node = std::move(sign);
  } else {
    node = primary();
  }
  node = postfix(std::move(node));
  return with_filters ? filters_and_tests(std::move(node)) : std::move(node);
}

ExpressionPtr ExpressionParser::primary() {
  const int line = current().line;
  if (current().type == TokenType::name) return named_primary();
  if (current().type == TokenType::string) {
    std::string text;
    while (current().type == TokenType::string) text += take().text;
    auto node = make(Kind::constant, line);
    node->constant = Value(std::move(text));
    return node;
  }
  if (current().type == TokenType::number) {
    auto node = make(Kind::constant, line);
    node->constant = take().number;
    return node;
  }
  if (skip_op("(")) {
    auto node = tuple(true, "", true);
    expect_op(")");
    return node;
  }
  if (at_op("[")) return list();
  if (at_op("{")) return dict();
  fail("expected an expression, found " + shown(current()));
}

ExpressionPtr ExpressionParser::named_primary() {
  const Token token = take();
  const auto& word = token.text;
  auto node = make(Kind::constant, token.line, word);
  if (word == "true" || word == "True" || word == "false" || word == "False") {
    node->constant = Value(word == "true" || word == "True");
  } else if (word != "none" && word != "None") {
    node->kind = Kind::name;
    node->symbol = symbol(word);
    for (auto& macro : macros_) {
      if (macro.open.contains(word)) macro.used.insert(word);
    }
  }
  return node;
}

bool ExpressionParser::at_tuple_end(std::string_view stop) const {
  return current().type == TokenType::variable_end || current().type == TokenType::block_end ||
         at_op(")") || (!stop.empty() && at_name(stop));
}

ExpressionPtr ExpressionParser::tuple(bool with_condition, std::string_view stop,
                                      bool in_parentheses) {
  const int line = current().line;
  auto node = make(Kind::tuple, line);
  bool comma = false;
  while (!at_tuple_end(stop)) {
    adopt(*node, expression(with_condition));
    if (!skip_op(",")) break;
    comma = true;
  }
  if (comma) return node;
  if (!node->children.empty()) return std::move(node->children[0]);
  if (!in_parentheses) fail("expected an expression, found " + shown(current()));
  return node;
}

ExpressionPtr ExpressionParser::list() {
  auto node = make(Kind::list, take().line);
  while (!at_op("]")) {
    adopt(*node, expression());
    if (!skip_op(",")) break;
  }
  expect_op("]");
  return node;
}

ExpressionPtr ExpressionParser::dict() {
  auto node = make(Kind::dict, take().line);
  while (!at_op("}")) {
    adopt(*node, expression());
    expect_op(":");
    adopt(*node, expression());
    if (!skip_op(",")) break;
  }
  expect_op("}");
  return node;
}

}  // namespace preimage::text::jinja
