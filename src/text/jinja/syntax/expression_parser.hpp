// Tokens to expressions, by the grammar of jinja2's parser.
#pragma once

#include <initializer_list>
#include <map>
#include <set>

#include "jinja/syntax/lexer.hpp"
#include "jinja/syntax/nodes.hpp"

namespace preimage::text::jinja {

// The deepest tree of one expression: the interpreter walks it recursively.
constexpr uint32_t kMaxTreeDepth = 400;

std::string shown(const Token& token);  // for messages

class ExpressionParser {
 public:
  explicit ExpressionParser(std::vector<Token> tokens);

 protected:
  [[noreturn]] void fail(const std::string& what) const { fail(current().line, what); }
  [[noreturn]] void fail(int line, const std::string& what) const { throw SyntaxError(line, what); }

  const Token& current() const { return tokens_[at_]; }
  const Token& look() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
  Token take();
  bool at_name(std::string_view word) const { return current().is(TokenType::name, word); }
  bool at_op(std::string_view sign) const { return current().is(TokenType::op, sign); }
  bool skip_name(std::string_view word);
  bool skip_op(std::string_view sign);
  void expect_op(std::string_view sign);
  void expect(TokenType type, const char* what);
  std::string expect_name();

  ExpressionPtr expression(bool with_condition = true);
  // One expression, or several with commas between them. `stop`: a name that ends the list.
  ExpressionPtr tuple(bool with_condition = true, std::string_view stop = "",
                      bool in_parentheses = false);
  ExpressionPtr filters(ExpressionPtr subject, bool first_without_bar = false);
  Target target(bool with_members, std::string_view stop = "");
  Target name_target();

  // Names that a macro gets without naming them as parameters: seen while its body is parsed.
  struct SpecialNames {
    std::set<std::string> open{"caller", "kwargs", "varargs"}, used;
  };
  std::vector<SpecialNames> macros_;
  std::vector<std::string> symbols_;

  class Nesting;  // bounds the recursion of the parser
  int nesting_ = 0;

 private:
  using Node = std::unique_ptr<Expression>;

  Node make(Expression::Kind kind, int line, std::string name = "") const;
  void adopt(Expression& parent, ExpressionPtr child) const;
  Node pair(Expression::Kind kind, int line, ExpressionPtr left, ExpressionPtr right) const;
  uint32_t symbol(const std::string& name);
  Target simple_target(bool with_members);
  bool at_tuple_end(std::string_view stop) const;

  ExpressionPtr condition();
  ExpressionPtr logical_or();
  ExpressionPtr logical_and();
  ExpressionPtr logical_not();
  ExpressionPtr comparison();
  ExpressionPtr sum();
  ExpressionPtr concatenation();
  ExpressionPtr product();
  ExpressionPtr power();
  ExpressionPtr unary(bool with_filters = true);
  ExpressionPtr primary();
  ExpressionPtr named_primary();
  ExpressionPtr list();
  ExpressionPtr dict();
  ExpressionPtr postfix(ExpressionPtr node);
  ExpressionPtr filters_and_tests(ExpressionPtr node);
  ExpressionPtr subscript(ExpressionPtr node);
  ExpressionPtr slice(ExpressionPtr node, ExpressionPtr first, int line);
  ExpressionPtr call(ExpressionPtr node);
  ExpressionPtr test(ExpressionPtr node);
  void arguments(Expression& node);
  void one_argument(Expression& node, int line);

  std::vector<Token> tokens_;
  size_t at_ = 0;
  std::map<std::string, uint32_t> symbol_of_;
};

// Each level of parentheses or blocks costs stack in the parser and in the interpreter.
class ExpressionParser::Nesting {
 public:
  explicit Nesting(ExpressionParser& parser);
  ~Nesting() { --parser_.nesting_; }
  Nesting(const Nesting&) = delete;
  Nesting& operator=(const Nesting&) = delete;

 private:
  ExpressionParser& parser_;
};

}  // namespace preimage::text::jinja
