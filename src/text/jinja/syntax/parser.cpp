// Tokens to statements.
#include <algorithm>

#include "jinja/syntax/expression_parser.hpp"
#include "preimage/base/str.hpp"

namespace preimage::text::jinja {
namespace {

using Kind = Statement::Kind;
using StatementPtr = std::unique_ptr<const Statement>;
using Ends = std::initializer_list<std::string_view>;

class Parser : private ExpressionParser {
 public:
  using ExpressionParser::ExpressionParser;

  Tree run() {
    Tree tree;
    tree.body = statements({});
    tree.symbols = symbols_;
    return tree;
  }

 private:
  static std::unique_ptr<Statement> make(Kind kind, int line) {
    auto out = std::make_unique<Statement>();
    out->kind = kind;
    out->line = line;
    return out;
  }

  // Statements up to a tag named in `ends` (which becomes the current token), or to the end.
  Body statements(Ends ends) {
    Body out;
    while (current().type != TokenType::end) {
      const int line = current().line;
      if (current().type == TokenType::data) {
        auto data = make(Kind::data, line);
        data->text = take().text;
        out.push_back(std::move(data));
      } else if (current().type == TokenType::variable_begin) {
        take();
        auto output = make(Kind::output, line);
        output->expression = tuple();
        expect(TokenType::variable_end, "'}}'");
        out.push_back(std::move(output));
      } else {
        expect(TokenType::block_begin, "'{%'");
        if (std::any_of(ends.begin(), ends.end(), [&](auto end) { return at_name(end); }))
          return out;
        out.push_back(statement());
        expect(TokenType::block_end, "'%}'");
      }
    }
    return out;
  }

  // The body of a tag: "%}", statements, and one of the `ends`, which is taken and returned.
  std::string body(Body& out, Ends ends) {
    const Nesting nesting(*this);
    const int line = current().line;
    skip_op(":");
    expect(TokenType::block_end, "'%}'");
    out = statements(ends);
    if (current().type == TokenType::end) {
      std::vector<std::string> names(ends.begin(), ends.end());
      fail(line,
           "this block is not closed; expected {% " + base::join(names, " %} or {% ") + " %}");
    }
    return take().text;
  }

  StatementPtr statement() {
    const int line = current().line;
    const auto tag = expect_name();
    if (tag == "set") return set(line);
    if (tag == "if") return condition(line);
    if (tag == "for") return loop(line);
    if (tag == "macro") return macro(line);
    if (tag == "call") return call_block(line);
    if (tag == "filter") return filter_block(line);
    if (tag == "with") return with(line);
    if (tag == "print") return print(line);
    if (tag == "generation") {
      auto out = make(Kind::generation, line);
      body(out->body, {"endgeneration"});
      return out;
    }
    if (tag == "break" || tag == "continue") {
      if (loops_ == 0) fail(line, "{% " + tag + " %} outside of a loop");
      return make(tag == "break" ? Kind::leave : Kind::next, line);
    }
    fail(line, "the tag {% " + tag +
                   " %} is not supported or out of place; supported: set, if, for, macro, call, "
                   "filter, with, print, raw, generation, break, continue");
  }

  StatementPtr set(int line) {
    auto out = make(Kind::set, line);
    out->targets.push_back(target(true));
    if (skip_op("=")) {
      out->expression = tuple();
      return out;
    }
    out->kind = Kind::set_block;
    out->expression = filters(nullptr);
    body(out->body, {"endset"});
    return out;
  }

  StatementPtr condition(int line) {
    auto out = make(Kind::condition, line);
    for (std::string end = "elif"; end != "endif";) {
      if (end == "else") {
        body(out->otherwise, {"endif"});
        break;
      }
      Branch branch;
      branch.test = tuple(false);
      end = body(branch.body, {"elif", "else", "endif"});
      out->branches.push_back(std::move(branch));
    }
    return out;
  }

  StatementPtr loop(int line) {
    auto out = make(Kind::loop, line);
    out->targets.push_back(target(false, "in"));
    forbid_loop_name(out->targets[0]);
    if (!skip_name("in")) fail("expected 'in' in this {% for %}");
    out->expression = tuple(false, "recursive");
    if (skip_name("if")) out->test = expression();
    out->recursive = skip_name("recursive");
    ++loops_;
    const auto end = body(out->body, {"endfor", "else"});
    --loops_;
    if (end == "else") body(out->otherwise, {"endfor"});
    return out;
  }

  void forbid_loop_name(const Target& target) const {
    if (target.kind == Target::Kind::name && target.symbol == kLoop) {
      fail(target.line, "can't assign to the special variable 'loop'");
    }
    for (const auto& part : target.parts) forbid_loop_name(part);
  }

  void signature(MacroNode& macro) {
    expect_op("(");
    bool defaults = false;
    while (!at_op(")")) {
      if (!macro.parameters.empty()) expect_op(",");
      Parameter parameter;
      const auto name = name_target();
      parameter.name = name.name;
      parameter.symbol = name.symbol;
      if (skip_op("=")) {
        parameter.otherwise = expression();
        defaults = true;
      } else if (defaults) {
        fail("a parameter without a default follows one with a default");
      }
      macro.parameters.push_back(std::move(parameter));
    }
    expect_op(")");
  }

  void macro_body(MacroNode& macro, std::string_view end, int line) {
    const int loops = std::exchange(loops_, 0);
    macros_.emplace_back();
    body(macro.body, {end});
    const auto used = std::move(macros_.back().used);
    macros_.pop_back();
    loops_ = loops;
    const auto named = [&](const char* name) {
      return std::any_of(macro.parameters.begin(), macro.parameters.end(),
                         [&](const Parameter& p) { return p.name == name; });
    };
    macro.uses_kwargs = used.contains("kwargs") && !named("kwargs");
    macro.uses_varargs = used.contains("varargs") && !named("varargs");
    macro.uses_caller = used.contains("caller");
    for (const auto& parameter : macro.parameters) {
      if (macro.uses_caller && parameter.name == "caller" && !parameter.otherwise) {
        fail(line, "the special parameter 'caller' must be left out or have a default");
      }
    }
  }

  StatementPtr macro(int line) {
    auto out = make(Kind::macro, line);
    const auto name = name_target();
    out->macro.name = name.name;
    out->symbol = name.symbol;
    signature(out->macro);
    macro_body(out->macro, "endmacro", line);
    return out;
  }

  StatementPtr call_block(int line) {
    auto out = make(Kind::call_block, line);
    if (at_op("(")) signature(out->macro);
    out->expression = expression();
    if (out->expression->kind != Expression::Kind::call) fail(line, "{% call %} expects a call");
    macro_body(out->macro, "endcall", line);
    return out;
  }

  StatementPtr filter_block(int line) {
    auto out = make(Kind::filter_block, line);
    out->expression = filters(nullptr, true);
    body(out->body, {"endfilter"});
    return out;
  }

  StatementPtr with(int line) {
    auto out = make(Kind::with, line);
    while (current().type != TokenType::block_end) {
      if (!out->targets.empty()) expect_op(",");
      out->targets.push_back(target(false));
      expect_op("=");
      out->values.push_back(expression());
    }
    body(out->body, {"endwith"});
    return out;
  }

  StatementPtr print(int line) {
    auto out = make(Kind::generation, line);
    while (current().type != TokenType::block_end) {
      if (!out->body.empty()) expect_op(",");
      auto output = make(Kind::output, line);
      output->expression = expression();
      out->body.push_back(std::move(output));
    }
    return out;
  }

  int loops_ = 0;
};

}  // namespace

Tree parse(std::string_view source) {
  return Parser(tokenize(source)).run();
}

}  // namespace preimage::text::jinja
