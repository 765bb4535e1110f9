// Runs the syntax tree of a template.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "jinja/runtime.hpp"
#include "jinja/syntax/nodes.hpp"

namespace preimage::text::jinja {

struct Limits {
  uint64_t work = 2'000'000'000;      // Runtime::charge: a few seconds
  uint64_t output_bytes = 64u << 20;  // of the text
};

// The variables of one block of the template. Assignments stay in the innermost scope; lookups go
// outwards.
struct Scope {
  explicit Scope(std::shared_ptr<Scope> outside) : parent(std::move(outside)) {}
  std::shared_ptr<Scope> parent;
  std::vector<std::pair<uint32_t, Value>> variables;
  void set(uint32_t symbol, Value value);
};
using ScopePtr = std::shared_ptr<Scope>;

struct Rendering {
  std::string text;
  // Characters from {% generation %} blocks, in the order in which the blocks ended.
  std::vector<std::pair<size_t, size_t>> generated;
};

class Interpreter {
 public:
  Interpreter(const Tree& tree, const Dict& context, const Limits& limits);
  ~Interpreter();
  Rendering run();
  int line() const { return line_; }  // where it stands: of a Failure that left run()
  Runtime& runtime() { return runtime_; }

  // Text of a macro's body with these arguments; of a recursive loop over `items`.
  Value call_macro(const MacroNode& macro, const ScopePtr& outside, Arguments arguments);
  std::string recurse(const Statement& loop, const ScopePtr& outside, const Value& items,
                      int64_t depth);

 private:
  enum class Flow : uint8_t { normal, leave, next };

  // Macros that call macros, loops in loops, expressions in expressions: each level costs stack.
  static constexpr int kMaxLevels = 1000;
  class Level {
   public:
    explicit Level(int& level) : level_(level) {
      if (level_ >= kMaxLevels) {
        throw Failure(
            "macros, loops or expressions are nested too deeply (does a macro call itself?)");
      }
      ++level_;
    }
    ~Level() { --level_; }
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;

   private:
    int& level_;
  };

  Value evaluate(const Expression& node, const ScopePtr& scope);
  Value evaluate_name(const Expression& node, const Scope& scope);
  Value evaluate_compare(const Expression& node, const ScopePtr& scope);
  Value evaluate_filter(const Expression& node, const ScopePtr& scope, const Value* text);
  Value evaluate_sequence(const Expression& node, const ScopePtr& scope);
  Value evaluate_slice(const Expression& node, const ScopePtr& scope);
  Arguments evaluate_arguments(const CallArguments& arguments, const ScopePtr& scope);

  Flow execute(const Body& body, const ScopePtr& scope, std::string& out);
  Flow execute(const Statement& statement, const ScopePtr& scope, std::string& out);
  Flow execute_condition(const Statement& statement, const ScopePtr& scope, std::string& out);
  void execute_loop(const Statement& statement, const ScopePtr& scope, const Value& items,
                    int64_t depth, std::string& out);
  Flow execute_generation(const Statement& statement, const ScopePtr& scope, std::string& out);
  void execute_with(const Statement& statement, const ScopePtr& scope, std::string& out);
  std::string captured(const Body& body, const ScopePtr& scope);
  void call_block(const Statement& statement, const ScopePtr& scope, std::string& out);
  void assign(const Target& target, const Value& value, const ScopePtr& scope);
  void write(const std::string& text, std::string& out);
  Value make_macro(const MacroNode& node, const ScopePtr& scope);

  const Tree& tree_;
  const Dict& context_;
  Limits limits_;
  Runtime runtime_;
  Rendering whole_;
  int line_ = 1;
  int level_ = 0;
  std::vector<ScopePtr> captured_scopes_;  // held by macros: emptied at the end
};

}  // namespace preimage::text::jinja
