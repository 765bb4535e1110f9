#include "preimage/data/candidates.hpp"

#include <map>
#include <set>

#include "preimage/base/error.hpp"
#include "preimage/base/json_node.hpp"
#include "preimage/base/str.hpp"
#include "preimage/data/lines.hpp"

namespace preimage::data {
namespace {

bool label_of(const base::JsonNode& node) {
  const base::Json& value = node.json();
  if (value == true || value == 1 || value == "PASS") return true;
  if (value == false || value == 0 || value == "FAIL") return false;
  node.wrong_type("1 or 0 (true or false, \"PASS\" or \"FAIL\")");
}

// What the candidates of a problem must agree on.
struct SharedFields {
  std::string prompt, split, place;
  std::set<int64_t> indices;
};

void check_problem(const base::JsonNode& record, const Candidate& candidate,
                   SharedFields& problem) {
  if (problem.place.empty()) {
    problem.prompt = candidate.prompt;
    problem.split = candidate.split;
    problem.place = record.place();
  }
  const std::string named = base::str("problem \"", candidate.problem, "\"");
  if (candidate.prompt != problem.prompt)
    record.fail(base::str(named, " has another prompt than at ", problem.place));
  if (candidate.split != problem.split) {
    record.fail(base::str(named, " is in split \"", candidate.split, "\", at ", problem.place,
                          " in \"", problem.split, "\""));
  }
  if (!problem.indices.insert(candidate.index).second)
    record.fail(base::str(named, " has candidate ", candidate.index, " twice"));
}

}  // namespace

std::vector<Candidate> read_candidates(const std::filesystem::path& path) {
  LineReader lines(path);
  base::JsonLimits limits;
  limits.max_bytes = 64u << 20;
  std::map<std::string, SharedFields> problems;
  std::map<std::string, std::string> ids;  // of prompts without a problem id
  std::vector<Candidate> out;
  std::string line;
  while (lines.next(line)) {
    const base::Json json = base::parse_json(line, path.string(), limits, lines.number());
    const base::JsonNode record(json, lines.place());
    Candidate one;
    one.prompt = record.at("prompt").string();
    if (one.prompt.empty()) record.at("prompt").fail("empty");
    one.code = record.at("code").string();
    one.pass = label_of(record.at("label"));
    one.split = record.string_or("split", "");
    const auto id = record.find("problem");
    one.problem =
        id ? id->string() : ids.try_emplace(one.prompt, base::str("#", ids.size())).first->second;
    SharedFields& problem = problems[one.problem];
    const auto index = record.find("candidate");
    one.index = index ? index->integer(0) : static_cast<int64_t>(problem.indices.size());
    check_problem(record, one, problem);
    out.push_back(std::move(one));
  }
  if (out.empty()) throw base::data_error(path.string() + ": holds no candidate");
  return out;
}

void CandidateWriter::write(const Candidate& candidate) {
  base::Json record = {{"problem", candidate.problem},
                       {"candidate", candidate.index},
                       {"prompt", candidate.prompt},
                       {"code", candidate.code},
                       {"label", candidate.pass ? 1 : 0}};
  if (!candidate.split.empty()) record["split"] = candidate.split;
  file_.append(base::canonical(record) + "\n");
}

}  // namespace preimage::data
