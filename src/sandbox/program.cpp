#include "preimage/sandbox/program.hpp"

#include <array>

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

Json parse_tests(const JsonNode& tests) {
  for (size_t i = 0; i < tests.size(); ++i) {
    const auto test = tests.at(i);
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
  return tests.json();
}

Observation parse_observation(const JsonNode& node) {
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

Request parse_request(const Json& json, const std::string& place) {
  const JsonNode line(json, place);
  Request request;
  if (const auto id = line.find("id"))
    request.id = id->json().is_string() ? id->string() : id->json().dump();
  request.program = line.at("program").string();
  request.entry_point = line.string_or("entry_point", "");
  request.setup = line.string_or("setup", "");
  if (const auto seed = line.find("seed")) request.seed = static_cast<uint64_t>(seed->integer(0));
  require_one_kind(line);
  if (const auto tests = line.find("tests")) request.tests = parse_tests(*tests);
  if (const auto tests = line.find("assert_tests")) request.assert_tests = strings(*tests);
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
              {"max_rss_mb", record.max_rss_mb},
              {"runs", record.runs},
              {"first_verdict", name(record.first_verdict)},
              {"output", base::escape_text(record.output)}};
  if (!record.facts.is_null()) out["facts"] = record.facts;
  return out;
}

}  // namespace preimage::sandbox
