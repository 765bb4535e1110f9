// The syntax tree of a template.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "jinja/value.hpp"

namespace preimage::text::jinja {

// A template that is not one; `line` counts from 1.
class SyntaxError : public std::runtime_error {
 public:
  SyntaxError(int where, const std::string& what) : std::runtime_error(what), line(where) {}
  int line;
};

struct Expression;
using ExpressionPtr = std::unique_ptr<const Expression>;

// What stands between the parentheses of a call, a filter or a test.
struct CallArguments {
  std::vector<ExpressionPtr> positional;
  std::vector<std::pair<std::string, ExpressionPtr>> named;
  ExpressionPtr more_positional;  // *args
  ExpressionPtr more_named;       // **kwargs
};

struct Expression {
  enum class Kind : uint8_t {
    constant,
    name,
    tuple,
    list,
    dict,       // children: key, value, key, value, ...
    condition,  // children: test, then, otherwise (may be missing)
    logical_and,
    logical_or,
    logical_not,
    compare,  // children: operands; operators between them
    binary,   // name: the operator
    unary,
    concat,     // ~
    attribute,  // child.name
    item,       // child[child]
    slice,      // child[first:last:step], each may be null
    call,
    filter,  // child (null: the text of the block around it) | name
    test     // child is name
  };
  Kind kind;
  int line = 0;
  uint32_t depth = 1;  // nodes from here to the deepest leaf
  uint32_t symbol = 0;
  std::string name;
  Value constant;
  std::vector<ExpressionPtr> children;
  std::vector<std::string> operators;
  CallArguments arguments;
};

struct Statement;
using Body = std::vector<std::unique_ptr<const Statement>>;

// What is assigned to: a name, a member of a namespace, or a tuple of such.
struct Target {
  enum class Kind : uint8_t { name, member, tuple };
  Kind kind = Kind::name;
  int line = 0;
  uint32_t symbol = 0;
  std::string name, member;
  std::vector<Target> parts;
};

struct Parameter {
  std::string name;
  uint32_t symbol = 0;
  ExpressionPtr otherwise;  // default; may be null
};

struct MacroNode {
  std::string name;  // "" in a call block
  std::vector<Parameter> parameters;
  Body body;
  bool uses_caller = false, uses_kwargs = false, uses_varargs = false;
};

struct Branch {
  ExpressionPtr test;
  Body body;
};

struct Statement {
  enum class Kind : uint8_t {
    data,
    output,
    set,
    set_block,  // expression: filters over the text, or null
    loop,
    condition,
    macro,
    call_block,    // expression: the call; macro: the caller
    filter_block,  // expression: the filters
    with,          // targets, values
    generation,    // body: what the model says
    leave,         // break
    next           // continue
  };
  Kind kind;
  int line = 0;
  std::string text;
  uint32_t symbol = 0;
  ExpressionPtr expression;
  ExpressionPtr test;  // of a loop
  bool recursive = false;
  std::vector<Target> targets;
  std::vector<ExpressionPtr> values;
  std::vector<Branch> branches;
  Body body, otherwise;
  MacroNode macro;
};

// Symbols of names that the interpreter itself sets.
enum Symbol : uint32_t { kLoop, kCaller, kKwargs, kVarargs, kFirstFreeSymbol };

struct Tree {
  Body body;
  std::vector<std::string> symbols;  // their names
};

// Throws SyntaxError.
Tree parse(std::string_view source);

}  // namespace preimage::text::jinja
