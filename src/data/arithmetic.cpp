// Sums: "a op b" with a, b in 0..99 and op one of + - *; from a JSON Lines file, or generated.
#include <optional>
#include <set>
#include <sstream>

#include "preimage/base/error.hpp"
#include "preimage/base/random.hpp"
#include "preimage/base/str.hpp"
#include "readers.hpp"

namespace preimage::data {
namespace {

constexpr int64_t kOperands = 100;
constexpr int64_t kProblems = 3 * kOperands * kOperands;

int64_t result_of(int64_t a, char op, int64_t b) {
  return op == '+' ? a + b : op == '-' ? a - b : a * b;
}

std::optional<QaExample> problem(const std::string& question) {
  std::istringstream in(question);
  int64_t a = 0, b = 0;
  char op = 0;
  if (!(in >> a >> op >> b) || a < 0 || b < 0 || a >= kOperands || b >= kOperands ||
      std::string_view("+-*").find(op) == std::string_view::npos ||
      base::str(a, " ", op, " ", b) != question) {
    return std::nullopt;
  }
  QaExample out;
  out.id = out.question = question;
  out.group = op;
  out.answer = std::to_string(result_of(a, op, b));
  return out;
}

Dataset generate(const DatasetOptions& options) {
  if (options.generate_count < 1 || options.generate_count > kProblems / 2) {
    throw base::config_error(base::str("generate_count is ", options.generate_count,
                                       ", allowed are 1 to ", kProblems / 2, " (there are ",
                                       kProblems, " problems)"));
  }
  const base::RandomStream random(options.generate_seed, "arithmetic", "data");
  std::set<uint64_t> seen;
  Collector out;
  for (uint64_t draw = 0; static_cast<int64_t>(seen.size()) < options.generate_count; ++draw) {
    const uint64_t index = random.below(kProblems, draw);
    if (!seen.insert(index).second) continue;
    const uint64_t a = index / 3 / kOperands, b = index / 3 % kOperands;
    out.add(*problem(base::str(a, " ", "+-*"[index % 3], " ", b)), "generated arithmetic");
  }
  return out.finish("generated arithmetic");
}

}  // namespace

Dataset read_arithmetic(const DatasetOptions& options) {
  if (options.path.empty()) return generate(options);
  return read_json_lines(options, [](const base::JsonNode& record, Collector& out) {
    const auto question = record.at("question");
    auto example = problem(question.string());
    if (!example) question.wrong_type("\"a op b\" with a, b from 0 to 99 and op one of + - *");
    const auto answer = record.at("answer");
    if (answer.string() != example->answer) answer.wrong_type("\"" + example->answer + "\"");
    example->id = record.string_or("id", example->id);
    out.add(std::move(*example), record.place());
  });
}

}  // namespace preimage::data
