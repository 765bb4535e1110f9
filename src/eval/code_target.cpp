#include "preimage/eval/code_target.hpp"

#include <algorithm>
#include <set>

#include "observed_text.hpp"
#include "preimage/base/error.hpp"
#include "preimage/base/json.hpp"
#include "preimage/base/str.hpp"

namespace preimage::eval {
namespace {

// Finds the entry point and calls to try, runs none of the program: {"entry", "calls"} as JSON.
// `SOURCE`, `ENTRY`, `MOST` stand before it. Arguments are drawn from KINDS by a fixed rule.
const char* const kPlan = R"py(
import ast, itertools, json

REFUSED = {"time", "datetime", "random", "secrets", "uuid", "os", "sys", "socket", "subprocess", "threading",
           "multiprocessing", "pathlib", "io", "shutil", "tempfile", "urllib", "http", "requests", "asyncio",
           "signal", "platform", "locale", "ctypes", "importlib", "glob", "getpass"}
READERS = {"open", "input", "id", "hash", "exec", "eval", "compile", "__import__", "globals", "locals", "vars"}
KINDS = [["0", "1", "2", "3", "5", "7", "10", "-4", "100"],
         ["[]", "[3, 1, 2]", "[1, 2, 2, 5]", "[7]", "[-1, 4, 0, 4]", "[10, 20, 30, 40, 50]"],
         ["''", "'a'", "'hello world'", "'Racecar'", "'a1b22'", "'The quick brown Fox'", "'(()'"],
         ["['b', 'a', 'c']", "['apple', 'fig', 'kiwi']", "['x']", "['aa', 'b', 'aa']"],
         ["[[1, 2], [3, 4]]", "[[5]]", "[[1, 0, 2], [3, 4, 5]]", "[[], [1]]"],
         ["{'a': 1, 'b': 2}", "{}", "{'x': 3, 'a': 5}"],
         ["0.5", "2.0", "-1.25", "3.75"],
         ["(1, 2)", "(4, 5, 6)", "()"],
         ["True", "False"]]

def functions(tree):
    return [n for n in tree.body if isinstance(n, ast.FunctionDef)]

def plan():
    tree = ast.parse(SOURCE)
    found = functions(tree)
    entry = ENTRY or (found[-1].name if found else "")
    for node in ast.walk(tree):
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        if any(n.split(".")[0] in REFUSED for n in names):
            return {"entry": entry, "calls": [], "refused": True}
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in READERS:
            return {"entry": entry, "calls": [], "refused": True}
    chosen = [n for n in found if n.name == entry]
    if not chosen:
        return {"entry": entry, "calls": []}
    a = chosen[-1].args
    needed = len(a.posonlyargs) + len(a.args) - len(a.defaults)
    if needed == 0 and (a.args or a.posonlyargs):
        needed = 1
    if needed == 0 and a.vararg:
        needed = 2
    if needed > 5 or [d for d in a.kw_defaults if d is None]:
        return {"entry": entry, "calls": []}
    calls = []
    def add(values):
        call = "%s(%s)" % (entry, ", ".join(values))
        if call not in calls:
            calls.append(call)
    if needed == 0:
        add([])
    def fill(kinds, turn):
        add([KINDS[k][(turn + 2 * place) % len(KINDS[k])] for place, k in enumerate(kinds)])
    # All of one kind, numbers most often; then the commoner kinds beside each other.
    for turn in range(9 if needed else 0):
        for kind in range(len(KINDS) if turn < 4 else 1):
            fill((kind,) * needed, turn)
    for number, kinds in enumerate(itertools.product(range(6), repeat=min(needed, 3))):
        if len(set(kinds)) > 1:
            fill(kinds + (kinds[-1],) * (needed - len(kinds)), number)
    return {"entry": entry, "calls": calls[:MOST]}

PLAN = json.dumps(plan())
)py";

// Runs behind the target: {call: [expected, raised]} of the calls that gave plain data, or raised
// what says something of the program.
const char* const kRun = R"py(

def preimage_literal(value, depth=0):
    if depth > 20:
        raise ValueError
    kind = type(value)
    if kind in (type(None), bool, int, str, bytes):
        return repr(value)
    if kind is float:
        if value != value or value in (float("inf"), float("-inf")):
            raise ValueError
        return repr(value)
    inner = [preimage_literal(v, depth + 1) for v in value] if kind in (list, tuple, set) else []
    if kind is list:
        return "[" + ", ".join(inner) + "]"
    if kind is tuple:
        return "(" + ", ".join(inner) + ("," if len(inner) == 1 else "") + ")"
    if kind is set:
        return "{" + ", ".join(sorted(inner)) + "}" if inner else "set()"
    if kind is dict:
        return "{" + ", ".join(preimage_literal(k, depth + 1) + ": " + preimage_literal(v, depth + 1)
                               for k, v in value.items()) + "}"
    raise ValueError

WRONG_KIND = ("stop", "TypeError", "AttributeError", "NameError", "RecursionError", "MemoryError")

class PreimageStop(BaseException):
    pass

def preimage_run(calls):
    import json, sys
    found, left = {}, 1000000     # lines that may be run: no clock, so that each run finds the same
    for call in calls:
        room = min(left, 200000)
        def trace(frame, event, arg):
            nonlocal room
            room -= 1
            if room < 0:
                raise PreimageStop
            return trace
        before = room
        sys.settrace(trace)
        try:
            value, raised = eval(call, globals()), ""
        except PreimageStop:
            value, raised = None, "stop"
        except Exception as error:
            value, raised = None, type(error).__name__ if type(error).__module__ == "builtins" else "stop"
        finally:
            sys.settrace(None)
        left -= before - room
        if raised:
            if raised not in WRONG_KIND:
                found[call] = ["", raised]
            continue
        try:
            text = preimage_literal(value)
        except ValueError:
            continue
        if len(text) <= 400:
            found[call] = [text, ""]
    return json.dumps(found)

preimage_found = preimage_run(preimage_calls)
)py";

sandbox::Request plan_request(const CodeTarget& target, const ProbeOptions& options) {
  sandbox::Request request;
  request.id = target.id;
  request.program = "SOURCE = " + base::Json(target.code).dump() +
                    "\nENTRY = " + base::Json(target.entry_point).dump() +
                    "\nMOST = " + std::to_string(options.tried) + kPlan;
  request.observe = sandbox::Observation{.attribute = "PLAN"};
  return request;
}

sandbox::Request run_request(const CodeTarget& target, const std::vector<std::string>& calls) {
  sandbox::Request request;
  request.id = target.id;
  request.program = target.code + "\n\npreimage_calls = " + base::Json(calls).dump() + kRun;
  request.observe = sandbox::Observation{.attribute = "preimage_found"};
  return request;
}

base::Json observed_json(const sandbox::Record& record) {
  const auto text = observed_text(record);
  const auto json = base::Json::parse(text.empty() ? "{}" : text, nullptr, false);
  return json.is_object() ? json : base::Json::object();
}

// Probes of calls that gave the same twice, in the order of the calls: values that no other has,
// but for a quarter of the places, which kinds of exceptions get; then what is left.
std::vector<Probe> chosen_probes(const std::vector<std::string>& calls, const base::Json& first,
                                 const base::Json& second, const ProbeOptions& options) {
  std::vector<Probe> values, exceptions, again;
  std::set<std::pair<std::string, std::string>> seen;
  for (const auto& call : calls) {
    const auto found = first.find(call), repeated = second.find(call);
    if (found == first.end() || repeated == second.end() || *found != *repeated) continue;
    Probe probe{call, found->at(0), found->at(1)};
    const bool fresh = seen.insert({probe.expected, probe.raised}).second;
    (fresh ? (probe.raised.empty() ? values : exceptions) : again).push_back(std::move(probe));
  }
  const auto most = static_cast<size_t>(options.most);
  exceptions.resize(std::min(exceptions.size(), std::max<size_t>(1, most / 4)));
  std::vector<Probe> probes = std::move(values);
  probes.resize(std::min(probes.size(), most - std::min(most, exceptions.size())));
  for (auto* more : {&exceptions, &again}) {
    for (auto& probe : *more) {
      if (probes.size() < most) probes.push_back(std::move(probe));
    }
  }
  const bool stub_fails = std::any_of(probes.begin(), probes.end(), [](const Probe& probe) {
    return !probe.raised.empty() || probe.expected != "None";
  });
  if (std::ssize(probes) < options.least || !stub_fails) return {};
  return probes;
}

std::string probe_test(const Probe& probe) {
  if (probe.raised.empty()) return "assert " + probe.call + " == " + probe.expected;
  return "try:\n    " + probe.call + "\nexcept Exception as error:\n" +
         "    raised = type(error).__name__\nelse:\n    raised = ''\nassert raised == '" +
         probe.raised + "'";
}

}  // namespace

Language parse_language(const std::string& word) {
  if (word == "python") return Language::python;
  if (word == "javascript") return Language::javascript;
  if (word == "rust") return Language::rust;
  throw base::data_error(
      base::str("found language \"", word, "\", expected \"python\", \"javascript\" or \"rust\""));
}

void make_probes(sandbox::Judge& judge, std::vector<CodeTarget>& targets,
                 const ProbeOptions& options) {
  std::vector<CodeTarget*> python;
  std::vector<sandbox::Request> plans, runs;
  for (auto& target : targets) {
    target.probes.clear();
    if (target.language != Language::python) continue;
    python.push_back(&target);
    plans.push_back(plan_request(target, options));
  }
  std::vector<std::vector<std::string>> calls(python.size());
  const auto planned = judge_all(judge, std::move(plans));
  for (size_t i = 0; i < python.size(); ++i) {
    const auto plan = observed_json(planned[i]);
    if (python[i]->entry_point.empty()) python[i]->entry_point = plan.value("entry", "");
    if (!plan.value("refused", false)) {
      calls[i] = options.calls;
      for (auto& call : plan.value("calls", std::vector<std::string>())) {
        if (std::find(calls[i].begin(), calls[i].end(), call) == calls[i].end())
          calls[i].push_back(std::move(call));
      }
    }
    for (int repeat = 0; repeat < 2; ++repeat) runs.push_back(run_request(*python[i], calls[i]));
  }
  const auto ran = judge_all(judge, std::move(runs));
  for (size_t i = 0; i < python.size(); ++i) {
    python[i]->probes =
        chosen_probes(calls[i], observed_json(ran[2 * i]), observed_json(ran[2 * i + 1]), options);
  }
}

sandbox::Request probe_request(const CodeTarget& target, const std::string& program, size_t first,
                               size_t count) {
  sandbox::Request request;
  request.id = target.id;
  request.program = program;
  request.entry_point = target.entry_point;
  request.strict = true;
  for (size_t i = first; i < first + count; ++i)
    request.assert_tests.push_back(probe_test(target.probes[i]));
  return request;
}

}  // namespace preimage::eval
