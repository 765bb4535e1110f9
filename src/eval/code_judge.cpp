#include "preimage/eval/code_judge.hpp"

#include <algorithm>
#include <deque>
#include <list>
#include <map>

#include "code_forms.hpp"
#include "preimage/base/budget.hpp"
#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"
#include "preimage/text/normal_code.hpp"
#include "preimage/text/source_tokens.hpp"

namespace preimage::eval {
namespace {

constexpr int kTries = 2;  // of a request that the sandbox failed
// A program that hangs is asked one probe after another, and no more once so many hung.
constexpr int64_t kMostHanging = 2;

struct Target {
  CodeTarget code;
  CodeForms forms;                  // of Python
  std::vector<std::string> tokens;  // of other languages
};

// One program for one target.
struct Question {
  const Target* target = nullptr;
  std::string code;
  std::vector<int64_t> tickets;  // that wait for it
  base::Json terms = base::Json::object();
  bool done = false;
  // While probes run by themselves: all at once, or one after another where the program hangs.
  int64_t probes_left = 0, passed = 0, hung = 0;
  bool hangs = false, infra = false;
};

std::vector<std::string> tokens_of(Language language, const std::string& code) {
  return text::source_tokens(
      language == Language::rust ? text::SourceLanguage::rust : text::SourceLanguage::javascript,
      code);
}

}  // namespace

struct CodeJudge::State {
  // What a ticket of the sandbox stands for.
  struct Asked {
    enum class Kind { forms, all_probes, one_probe } kind;
    std::vector<Question*> questions;  // of forms: all; else one
    sandbox::Request request;          // to ask again
    int tries = 1;
  };

  sandbox::Judge& judge;
  CodeJudgeOptions options;
  std::map<std::string, Target> targets;
  std::map<std::pair<std::string, std::string>, Question> questions;  // by target and program
  std::vector<Question*> without_forms;                               // that wait for a request
  double oldest_s = 0;                                                // of these
  std::map<uint64_t, Asked> asked;                                    // by the sandbox's ticket
  std::deque<std::pair<int64_t, base::Json>> ready;
  int64_t tickets = 0, pending = 0;

  State(sandbox::Judge& j, const CodeJudgeOptions& o) : judge(j), options(o) {}

  const Target& target(const std::string& id) const;
  void add_targets(std::vector<CodeTarget> list);
  void begin(Question& question);
  void ask(Asked::Kind kind, std::vector<Question*> about, sandbox::Request request, int tries = 1);
  void ask_forms(bool now);
  void take(const sandbox::Record& record);
  void take_forms(const sandbox::Record& record, const std::vector<Question*>& about);
  void set_forms(Question& question, const CodeForms& forms);
  void take_all_probes(const sandbox::Record& record, Question& question);
  void take_one_probe(const sandbox::Record& record, Question& question);
  void finish(Question& question);
};

const Target& CodeJudge::State::target(const std::string& id) const {
  const auto found = targets.find(id);
  if (found == targets.end())
    throw base::data_error(base::str("found a request for target \"", id,
                                     "\", expected one that the judge was given"));
  return found->second;
}

void CodeJudge::State::add_targets(std::vector<CodeTarget> list) {
  std::vector<std::string> programs;
  std::vector<Target*> python;
  for (auto& code : list) {
    code.code = text::normal_lines(code.code);
    const auto [place, fresh] = targets.try_emplace(code.id);
    if (!fresh) throw base::data_error(base::str("target ", code.id, ": found the id twice"));
    auto& target = place->second;
    target.code = std::move(code);
    if (target.code.language == Language::python) {
      programs.push_back(target.code.code);
      python.push_back(&target);
    } else {
      target.tokens = tokens_of(target.code.language, target.code.code);
    }
  }
  std::vector<sandbox::Request> requests;
  const auto at_once = static_cast<size_t>(options.forms);
  for (size_t first = 0; first < programs.size(); first += at_once) {
    const auto last =
        programs.begin() + static_cast<std::ptrdiff_t>(std::min(programs.size(), first + at_once));
    requests.push_back(
        code_forms_request({programs.begin() + static_cast<std::ptrdiff_t>(first), last}));
  }
  const auto records = judge_all(judge, std::move(requests));
  for (size_t r = 0, first = 0; r < records.size(); ++r, first += at_once) {
    const size_t count = std::min(at_once, programs.size() - first);
    const auto forms = code_forms(records[r], count);
    for (size_t i = 0; i < count; ++i) {
      auto& target = *python[first + i];
      if (!forms || !(*forms)[i].parses)
        throw base::data_error(base::str("target ", target.code.id,
                                         ": found no Python program that ",
                                         forms ? "parses" : "could be read: " + records[r].detail));
      target.forms = (*forms)[i];
    }
  }
}

void CodeJudge::State::begin(Question& question) {
  const auto& target = *question.target;
  const bool python = target.code.language == Language::python;
  question.terms = {{"exact", question.code == target.code.code},
                    {"parses", nullptr},
                    {"ast", nullptr},
                    {"ast_renamed", nullptr},
                    {"exec", nullptr},
                    {"exec_verdict", ""},
                    {"tok_eq", nullptr}};
  if (!python) {
    question.terms["tok_eq"] = tokens_of(target.code.language, question.code) == target.tokens;
    finish(question);
  } else if (question.code == target.code.code) {
    set_forms(question, target.forms);
  } else {
    if (without_forms.empty()) oldest_s = base::monotonic_seconds();
    without_forms.push_back(&question);
    ask_forms(false);
  }
}

void CodeJudge::State::ask(Asked::Kind kind, std::vector<Question*> about, sandbox::Request request,
                           int tries) {
  auto copy = request;
  const auto ticket = judge.submit(std::move(request));
  asked.emplace(ticket, Asked{kind, std::move(about), std::move(copy), tries});
}

void CodeJudge::State::ask_forms(bool now) {
  while (!without_forms.empty()) {
    const auto count = std::min<size_t>(without_forms.size(), static_cast<size_t>(options.forms));
    const bool full = std::ssize(without_forms) >= options.forms;
    if (!full && !now && base::monotonic_seconds() - oldest_s < options.patience_s) return;
    const auto end = without_forms.begin() + static_cast<std::ptrdiff_t>(count);
    std::vector<Question*> about(without_forms.begin(), end);
    without_forms.erase(without_forms.begin(), end);
    std::vector<std::string> programs;
    for (const auto* question : about) programs.push_back(question->code);
    ask(Asked::Kind::forms, std::move(about), code_forms_request(programs));
  }
}

void CodeJudge::State::take(const sandbox::Record& record) {
  const auto found = asked.find(record.ticket);
  if (found == asked.end()) return;  // of a judge that was dropped when a run stopped
  auto [kind, about, request, tries] = std::move(found->second);
  asked.erase(found);
  if (record.verdict == sandbox::Verdict::infra && tries < kTries)
    return ask(kind, std::move(about), std::move(request), tries + 1);
  switch (kind) {
    case Asked::Kind::forms:
      return take_forms(record, about);
    case Asked::Kind::all_probes:
      return take_all_probes(record, *about.front());
    case Asked::Kind::one_probe:
      return take_one_probe(record, *about.front());
  }
}

void CodeJudge::State::take_forms(const sandbox::Record& record,
                                  const std::vector<Question*>& about) {
  const auto forms = code_forms(record, about.size());
  if (forms) {
    for (size_t i = 0; i < about.size(); ++i) set_forms(*about[i], (*forms)[i]);
  } else if (about.size() == 1) {
    set_forms(*about.front(), {});  // it took the parser down: no program
  } else {
    for (auto* question : about)
      ask(Asked::Kind::forms, {question}, code_forms_request({question->code}));
  }
}

void CodeJudge::State::set_forms(Question& question, const CodeForms& forms) {
  const auto& target = *question.target;
  question.terms["parses"] = forms.parses;
  question.terms["ast"] = forms.parses && forms.tree == target.forms.tree;
  question.terms["ast_renamed"] = forms.parses && forms.renamed == target.forms.renamed;
  if (target.code.probes.empty()) return finish(question);
  if (!forms.parses) {
    question.terms["exec"] = 0.0;
    question.terms["exec_verdict"] = sandbox::name(sandbox::Verdict::syntax);
    return finish(question);
  }
  ask(Asked::Kind::all_probes, {&question},
      probe_request(target.code, question.code, 0, target.code.probes.size()));
}

void CodeJudge::State::take_all_probes(const sandbox::Record& record, Question& question) {
  using sandbox::Verdict;
  question.terms["exec_verdict"] = sandbox::name(record.verdict);
  const auto& target = question.target->code;
  if (record.verdict == Verdict::infra) return finish(question);
  if (record.verdict == Verdict::pass) question.terms["exec"] = 1.0;
  // Nothing that a single probe could change.
  if (record.verdict == Verdict::syntax || record.verdict == Verdict::no_entry)
    question.terms["exec"] = 0.0;
  if (!question.terms["exec"].is_null()) return finish(question);
  question.probes_left = std::ssize(target.probes);
  question.hangs = record.verdict == Verdict::timeout;
  const size_t now = question.hangs ? 1 : target.probes.size();
  for (size_t i = 0; i < now; ++i)
    ask(Asked::Kind::one_probe, {&question}, probe_request(target, question.code, i, 1));
}

void CodeJudge::State::take_one_probe(const sandbox::Record& record, Question& question) {
  question.infra |= record.verdict == sandbox::Verdict::infra;
  question.passed += record.verdict == sandbox::Verdict::pass ? 1 : 0;
  question.hung += record.verdict == sandbox::Verdict::timeout ? 1 : 0;
  const auto& target = question.target->code;
  const int64_t all = std::ssize(target.probes);
  if (--question.probes_left > 0 && !(question.hangs && question.hung == kMostHanging)) {
    if (question.hangs) {
      const auto next = static_cast<size_t>(all - question.probes_left);
      ask(Asked::Kind::one_probe, {&question}, probe_request(target, question.code, next, 1));
    }
    return;
  }
  if (!question.infra)
    question.terms["exec"] = static_cast<double>(question.passed) / static_cast<double>(all);
  finish(question);
}

void CodeJudge::State::finish(Question& question) {
  question.done = true;
  for (const int64_t ticket : question.tickets) ready.emplace_back(ticket, question.terms);
  question.tickets.clear();
}

CodeJudge::CodeJudge(sandbox::Judge& judge, std::vector<CodeTarget> targets,
                     const CodeJudgeOptions& options)
    : state_(std::make_unique<State>(judge, options)) {
  base::check(options.forms > 0, "a request of trees has a program");
  state_->add_targets(std::move(targets));
}

CodeJudge::~CodeJudge() = default;

int64_t CodeJudge::submit(const PromptRequest& request, const Answer& answer) {
  auto& s = *state_;
  const auto& target = s.target(request.target);
  auto code = text::normal_code(answer.text);
  const auto [place, fresh] = s.questions.try_emplace({request.target, code});
  auto& question = place->second;
  const int64_t ticket = ++s.tickets;
  ++s.pending;
  if (question.done) {
    s.ready.emplace_back(ticket, question.terms);
    return ticket;
  }
  question.tickets.push_back(ticket);
  if (fresh) {
    question.target = &target;
    question.code = std::move(code);
    s.begin(question);
  }
  return ticket;
}

std::optional<std::pair<int64_t, base::Json>> CodeJudge::next(double timeout_s) {
  auto& s = *state_;
  const double end = timeout_s > 0 ? base::monotonic_seconds() + timeout_s : 0;
  for (;;) {
    while (auto record = s.judge.next(0)) s.take(*record);
    if (s.ready.empty()) s.ask_forms(timeout_s != 0);  // who waits has nothing more to add
    if (!s.ready.empty()) {
      auto out = std::move(s.ready.front());
      s.ready.pop_front();
      --s.pending;
      return out;
    }
    const double left = end - base::monotonic_seconds();
    if (s.pending == 0 || timeout_s == 0 || (timeout_s > 0 && left <= 0)) return std::nullopt;
    if (auto record = s.judge.next(timeout_s < 0 ? -1 : left)) s.take(*record);
  }
}

int64_t CodeJudge::pending() const {
  return state_->pending;
}

const CodeTarget& CodeJudge::target(const std::string& id) const {
  return state_->target(id).code;
}

}  // namespace preimage::eval
