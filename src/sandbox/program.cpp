#include "preimage/sandbox/program.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <set>

#include "preimage/base/error.hpp"
#include "preimage/base/json_node.hpp"
#include "preimage/base/str.hpp"
#include "preimage/base/utf8.hpp"

namespace preimage::sandbox {
namespace {

using base::Json;
using base::JsonNode;

constexpr std::array<std::string_view, 12> kNames = {
    "PASS",   "WRONG", "ERROR",     "SYNTAX",   "TIMEOUT",    "MEMORY",
    "OUTPUT", "CRASH", "BAD_VALUE", "NO_ENTRY", "NO_VERDICT", "INFRA"};

// "args" or "args_py", and nothing else by that name.
void require_either(const JsonNode& test, const std::string& name) {
  const bool json = test.json().contains(name), python = test.json().contains(name + "_py");
  if (json == python) {
    test.fail(base::str("found ", json ? "both" : "neither", " \"", name, "\" and \"", name,
                        "_py\", expected one of them"));
  }
  if (python) test.at(name + "_py").string();
}

void require_known(const JsonNode& object, const std::vector<std::string>& keys) {
  if (!object.json().is_object()) object.wrong_type("an object");
  for (const auto& [key, value] : object.json().items()) {
    if (std::find(keys.begin(), keys.end(), key) != keys.end()) continue;
    object.fail(base::str("unknown key \"", base::escape_text(key), "\", expected one of \"",
                          base::join(keys, "\", \""), "\""));
  }
}

void require_tests(const JsonNode& tests) {
  for (size_t i = 0; i < tests.size(); ++i) {
    const auto test = tests.at(i);
    require_known(test, {"args", "args_py", "expected", "expected_py", "kwargs", "tol"});
    require_either(test, "args");
    require_either(test, "expected");
    if (test.json().contains("args") && !test.json()["args"].is_array())
      test.at("args").wrong_type("a list of arguments");
    if (const auto tolerance = test.find("tol"); tolerance && tolerance->number() < 0)
      tolerance->fail("found a negative tolerance, expected 0 or more");
    if (const auto keywords = test.find("kwargs"); keywords && !keywords->json().is_object())
      keywords->wrong_type("an object");
  }
  if (tests.size() == 0) tests.fail("found no test, expected at least one");
}

bool is_keyword(std::string_view word) {
  static const std::set<std::string_view> words = {
      "False", "None",     "True",  "and",    "as",   "assert", "async",  "await",    "break",
      "class", "continue", "def",   "del",    "elif", "else",   "except", "finally",  "for",
      "from",  "global",   "if",    "import", "in",   "is",     "lambda", "nonlocal", "not",
      "or",    "pass",     "raise", "return", "try",  "while",  "with",   "yield"};
  return words.contains(word);
}

// f, f.g, Class().method: names, each with or without (), and dots between them. Letters beyond
// ASCII are the interpreter's to judge.
bool is_entry_point(std::string_view text) {
  const auto letter = [](char c) {
    return std::isalpha(static_cast<unsigned char>(c)) || c == '_' ||
           static_cast<unsigned char>(c) >= 0x80;
  };
  for (;;) {
    size_t end = 0;
    while (end < text.size() &&
           (letter(text[end]) || (end > 0 && std::isdigit(static_cast<unsigned char>(text[end])))))
      ++end;
    if (end == 0 || is_keyword(text.substr(0, end))) return false;
    text.remove_prefix(end);
    if (text.starts_with("()")) text.remove_prefix(2);
    if (text.empty()) return true;
    if (text[0] != '.') return false;
    text.remove_prefix(1);
  }
}

Observation parse_observation(const JsonNode& node) {
  require_known(node, {"call", "stdout", "file", "file_marker", "attribute"});
  Observation observe;
  observe.call = node.string_or("call", "");
  observe.stdout_marker = node.string_or("stdout", "");
  observe.file = node.string_or("file", "");
  observe.file_marker = node.string_or("file_marker", "");
  observe.attribute = node.string_or("attribute", "");
  return observe;
}

std::vector<std::string> strings(const JsonNode& list) {
  std::vector<std::string> out;
  for (size_t i = 0; i < list.size(); ++i) out.push_back(list.at(i).string());
  if (out.empty()) list.fail("found no test, expected at least one");
  return out;
}

void require_one_kind(const JsonNode& line) {
  std::vector<std::string> found;
  for (const char* kind : {"tests", "assert_tests", "check", "observe"}) {
    if (line.find(kind)) found.push_back(std::string("\"") + kind + "\"");
  }
  if (found.size() == 1) return;
  line.fail("found " + (found.empty() ? "none" : base::join(found, " and ")) +
            ", expected one of \"tests\", \"assert_tests\", \"check\", \"observe\"");
}

}  // namespace

std::string_view name(Verdict verdict) {
  return kNames.at(static_cast<size_t>(verdict));
}

std::optional<Verdict> verdict_named(std::string_view name) {
  for (size_t i = 0; i < kNames.size(); ++i) {
    if (kNames[i] == name) return static_cast<Verdict>(i);
  }
  return std::nullopt;
}

Request parse_request(const Json& json, std::string_view tests, const std::string& place) {
  const JsonNode line(json, place);
  Request request;
  if (const auto id = line.find("id"))
    request.id = id->json().is_string() ? id->string() : id->json().dump();
  request.program = line.at("program").string();
  request.entry_point = line.string_or("entry_point", "");
  if (!request.entry_point.empty() && !is_entry_point(request.entry_point))
    line.at("entry_point").wrong_type("the name of a function, or Class().method");
  request.setup = line.string_or("setup", "");
  request.setup_for_program = line.string_or("setup_for_program", "");
  request.strict = line.boolean_or("strict", false);
  request.ordered = line.boolean_or("ordered", false);
  if (const auto seed = line.find("seed")) request.seed = static_cast<uint64_t>(seed->integer(0));
  require_one_kind(line);
  if (const auto list = line.find("tests")) {
    require_tests(*list);
    request.tests = tests;
  }
  if (const auto list = line.find("assert_tests")) request.assert_tests = strings(*list);
  request.check = line.string_or("check", "");
  if (const auto observe = line.find("observe")) request.observe = parse_observation(*observe);
  if (request.entry_point.empty() && (line.find("tests") || line.find("check"))) {
    line.fail("found no \"entry_point\", expected the name of a function or Class().method");
  }
  return request;
}

Json to_json(const Record& record) {
  Json out = {{"id", record.id},
              {"verdict", name(record.verdict)},
              {"detail", base::replace_invalid_utf8(record.detail)},
              {"cpu_s", record.cpu_s},
              {"wall_s", record.wall_s},
              {"waited_s", record.waited_s},
              {"max_rss_mb", record.max_rss_mb},
              {"runs", record.runs},
              {"first_verdict", name(record.first_verdict)},
              {"output", base::escape_text(record.output)}};
  if (!record.facts.is_null()) out["facts"] = record.facts;
  return out;
}

}  // namespace preimage::sandbox
