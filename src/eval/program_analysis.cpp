#include "preimage/eval/program_analysis.hpp"

#include "observed_text.hpp"
#include "preimage/base/error.hpp"
#include "preimage/base/sha256.hpp"

namespace preimage::eval {
namespace {

// `SOURCES` is a list of texts.
const char* const kNormalForms = R"(
import ast, hashlib

def digest(text):
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]

def normal_form(source):
    try:
        return digest(ast.dump(ast.parse(source), annotate_fields=False))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return "text " + digest("".join(source.split()))

FORMS = "\n".join(normal_form(source) for source in SOURCES)
)";

// Runs behind the program; addresses and the order of sets are no part of what it gives.
// `preimage_asserts` holds the shown assertions, `preimage_entry` the name
// whose calls are evaluated.
const char* const kOutputs = R"(
def preimage_plain(value):
    import re
    if isinstance(value, (set, frozenset)):
        return "{" + ", ".join(sorted(map(preimage_plain, value))) + "}"
    return re.sub("0x[0-9a-f]+", "0x", repr(value))

def preimage_outputs(asserts, entry):
    import ast
    found = []
    name = entry.split(".")[-1].split("(")[0]
    for text in asserts:
        for node in ast.walk(ast.parse(text)):
            called = node.func if isinstance(node, ast.Call) else None
            if getattr(called, "id", getattr(called, "attr", None)) != name:
                continue
            try:
                value = eval(compile(ast.Expression(node), "call", "eval"), globals())
                found.append(preimage_plain(value)[:400])
            except Exception as error:
                found.append("raises " + type(error).__name__)
    return "" if all(text.startswith("raises ") for text in found) else " | ".join(found)

preimage_seen = preimage_outputs(preimage_asserts, preimage_entry)
)";

// Text and lists of texts of JSON are Python literals too.
std::string literal(const base::Json& value) {
  return value.dump();
}

std::string without_white_space(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c != ' ' && c != '\t' && c != '\n' && c != '\r') out.push_back(c);
  }
  return out;
}

}  // namespace

sandbox::Request verdict_request(const data::ProgramProblem& problem, const std::string& program) {
  sandbox::Request request;
  request.id = problem.id;
  request.program = program;
  request.entry_point = problem.entry_point;
  request.setup = request.setup_for_program = problem.setup_before;
  if (!problem.setup_after.empty()) request.setup += "\n" + problem.setup_after;
  if (problem.form == data::TestForm::check_function) {
    request.check = problem.check_code;
  } else {
    request.assert_tests = problem.tests;
    request.assert_tests.insert(request.assert_tests.end(), problem.hidden_tests.begin(),
                                problem.hidden_tests.end());
  }
  return request;
}

sandbox::Request shown_request(const data::ProgramProblem& problem, const std::string& program,
                               int64_t shown) {
  base::check(problem.form == data::TestForm::assertions, "a prompt shows assertions");
  auto request = verdict_request(problem, program);
  request.assert_tests = problem.tests;
  if (shown >= 0 && static_cast<size_t>(shown) < request.assert_tests.size())
    request.assert_tests.resize(static_cast<size_t>(shown));
  return request;
}

sandbox::Request normal_forms_request(const std::vector<std::string>& programs) {
  sandbox::Request request;
  request.program = "SOURCES = " + literal(programs) + kNormalForms;
  request.observe = sandbox::Observation{.attribute = "FORMS"};
  return request;
}

std::vector<std::string> normal_forms(const sandbox::Record& record,
                                      const std::vector<std::string>& programs) {
  std::vector<std::string> forms;
  const auto text = observed_text(record);
  for (size_t begin = 0; begin < text.size();) {
    const auto end = std::min(text.find('\n', begin), text.size());
    forms.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  if (forms.size() == programs.size()) return forms;
  forms.clear();
  for (const auto& program : programs)
    forms.push_back("text " + base::sha256_hex(without_white_space(program)).substr(0, 32));
  return forms;
}

sandbox::Request outputs_request(const data::ProgramProblem& problem, const std::string& program) {
  sandbox::Request request;
  request.id = problem.id;
  request.program = program + "\n\npreimage_asserts = " + literal(problem.tests) +
                    "\npreimage_entry = " + literal(problem.entry_point) + kOutputs;
  request.setup = problem.setup_before;
  request.observe = sandbox::Observation{.attribute = "preimage_seen"};
  return request;
}

std::string outputs(const sandbox::Record& record) {
  const auto text = observed_text(record);
  return text.rfind("not there", 0) == 0 ? "" : text;  // the program took the harness away
}

}  // namespace preimage::eval
