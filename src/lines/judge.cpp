#include "preimage/lines/judge.hpp"

#include <algorithm>
#include <cstdio>
#include <map>
#include <set>

#include "line_output.hpp"
#include "line_progress.hpp"
#include "near_fields.hpp"
#include "ordered_lines.hpp"
#include "preimage/base/error.hpp"
#include "preimage/base/json_text.hpp"
#include "preimage/base/output.hpp"
#include "preimage/base/sha256.hpp"
#include "preimage/base/str.hpp"
#include "preimage/base/terminal.hpp"
#include "preimage/lines/jsonl.hpp"

namespace preimage::lines {
namespace {

using base::Json;

struct Line {
  Json carried;  // what the tool does not know
  sandbox::Request request;
  std::string problem;  // a hash of its tests, which lines may share
};

// Fields of a line, beside its id.
const std::vector<std::string>& request_fields() {
  static const std::vector<std::string> names = {
      "program",           "entry_point", "tests",  "assert_tests", "check", "setup",
      "setup_for_program", "observe",     "strict", "ordered",      "seed"};
  return names;
}
// The fields of a record, in the order in which they stand in a line.
const std::vector<std::string>& record_fields() {
  static const std::vector<std::string> names = {"verdict",  "detail",     "cpu_s", "wall_s",
                                                 "waited_s", "max_rss_mb", "runs",  "first_verdict",
                                                 "level",    "output",     "facts"};
  return names;
}

// Ids as they stand in the file: a string, or the text of an integer.
std::set<std::string> excluded_ids(const std::string& file) {
  std::set<std::string> ids;
  if (file.empty()) return ids;
  const auto text = read_input(file);
  for (const auto& line : split_lines(text)) ids.insert(std::string(line.text));
  return ids;
}

std::string problem_of(const sandbox::Request& request) {
  const Json all = {request.entry_point, request.setup,  request.setup_for_program,
                    request.tests,       request.check,  request.assert_tests,
                    request.strict,      request.ordered};
  return base::sha256_hex(all.dump(-1, ' ', false, Json::error_handler_t::replace));
}

Line read_line(const RawLine& raw, const std::string& name) {
  Line line;
  const auto tests = base::member_text(raw.text, "tests");
  // Integers of any size may stand in tests: the program's judge reads them from their text.
  const auto text = base::with_short_integers(raw.text, tests);
  line.carried = parse_line({raw.number, text}, name);
  line.request = sandbox::parse_request(line.carried, tests, base::str(name, ":", raw.number));
  line.problem = problem_of(line.request);
  for (const auto* names : {&request_fields(), &record_fields()}) {
    for (const auto& field : *names) line.carried.erase(field);
  }
  return line;
}

std::vector<std::string> with_id(std::vector<std::string> fields) {
  fields.push_back("id");
  return fields;
}

class Lines {
 public:
  explicit Lines(const JudgeOptions& options)
      : options_(options),
        name_(input_name(options.in)),
        excluded_(excluded_ids(options.exclude)) {}

  std::vector<Line> read(const std::string& text) {
    std::vector<Line> lines;
    for (const auto& raw : split_lines(text)) {
      try {
        auto line = read_line(raw, name_);
        require_known(line, raw.number);
        require_new(line, raw.number);
        if (!excluded_.contains(line.request.id)) lines.push_back(std::move(line));
      } catch (const base::Error& error) {
        if (!options_.skip_bad_lines || error.code() != base::ExitCode::bad_data) throw;
        if (++skipped_ <= 10)
          std::fprintf(stderr, "preimage: skipped: %s\n", base::visible_text(error.what()).c_str());
      }
    }
    for (const auto& warning : near_.warnings(name_))
      std::fprintf(stderr, "preimage: warning: %s\n", warning.c_str());
    if (options_.skip_bad_lines) std::fprintf(stderr, "preimage: %d bad lines skipped\n", skipped_);
    return lines;
  }

 private:
  // A field that is near a known one: an error, or to be warned about.
  void require_known(const Line& line, int64_t number) {
    const auto near = fields_.near(line.carried);
    if (options_.strict && !near.empty())
      throw base::data_error(base::str(name_, ":", number, ": ", complaint(near.front())));
    for (const auto& field : near) near_.count(field, number);
  }

  void require_new(const Line& line, int64_t number) {
    const auto [first, fresh] = seen_.emplace(line.carried.at("id").dump(), number);
    if (!fresh) {
      throw base::data_error(
          base::str(name_, ":", number, ": found the id ", first->first, " of line ", first->second,
                    " again (a line without one gets its line number); ids must differ"));
    }
  }

  const JudgeOptions& options_;
  std::string name_;
  std::set<std::string> excluded_;
  std::map<std::string, int64_t> seen_;
  KnownFields fields_{with_id(request_fields()), record_fields()};
  NearFields near_;
  int skipped_ = 0;
};

// Tests that cannot be run, whatever the program: said once for each problem, not for each line.
class BrokenTests {
 public:
  // `place`: of the line; verdicts come in any order.
  void see(size_t place, const std::string& problem, const sandbox::Record& record) {
    // So the sandbox begins what it says of them; INFRA of its own has another text.
    if (record.verdict != sandbox::Verdict::infra || !record.detail.starts_with("the tests cannot"))
      return;
    auto& own = by_problem_[problem];
    if (own.lines++ == 0 || place < own.place)
      own.place = place, own.id = record.id, own.detail = record.detail;
  }

  void tell() const {
    constexpr size_t kMost = 20;
    std::map<size_t, const Problem*> in_order;
    for (const auto& [text, problem] : by_problem_) in_order.emplace(problem.place, &problem);
    size_t told = 0;
    for (const auto& [place, problem] : in_order) {
      if (told++ == kMost) break;
      std::fprintf(stderr, "preimage: warning: %s: %s (%d with these tests, not scored)\n",
                   base::visible_text(problem->id).c_str(),
                   base::visible_text(problem->detail).c_str(), problem->lines);
    }
    if (in_order.size() > kMost)
      std::fprintf(stderr, "preimage: warning: the tests of %zu problems more cannot be run\n",
                   in_order.size() - kMost);
  }

 private:
  struct Problem {
    size_t place = 0;        // of the first line that has them
    std::string id, detail;  // its
    int lines = 0;
  };
  std::map<std::string, Problem> by_problem_;
};

std::string record_text(const JudgeOptions& options, Json carried, const sandbox::Record& record) {
  auto made = sandbox::to_json(record);
  made["level"] = options.pool.level == sandbox::Level::full ? "full" : "user";
  // Measured: no more digits than a float32 has.
  for (const char* name : {"cpu_s", "wall_s", "waited_s", "max_rss_mb"}) {
    auto& value = made[name];
    if (value.is_number_float()) value = shortest_number(value.get<float>());
  }
  const auto& order = options.fields.empty() ? record_fields() : options.fields;
  for (const auto& name : order) {
    if (made.contains(name)) carried[name] = std::move(made[name]);
  }
  std::vector<std::string> first = {"id"};
  first.insert(first.end(), order.begin(), order.end());
  return line_text(carried, first) + "\n";
}

// Judges lines and writes their records in order; returns the records in the order of the lines.
std::vector<sandbox::Record> judge(const JudgeOptions& options, std::vector<Line>& lines,
                                   OrderedLines& ordered) {
  auto supervisor = sandbox::start_supervisor();
  sandbox::Pool pool(supervisor, options.pool);
  if (options.pool.level != sandbox::Level::full)
    std::fprintf(stderr, "preimage: judged at --level user: one uid for all programs\n");
  LineProgress progress("judge", lines.size(), true);
  std::vector<sandbox::Record> records(lines.size());
  BrokenTests broken;
  // A few thousand under way keep every worker busy; the rest waits here, not in the sandbox.
  constexpr size_t kUnderWay = 2048;
  size_t sent = 0, done = 0;
  while (done < lines.size()) {
    while (sent < lines.size() && sent - done < kUnderWay)
      pool.submit(std::move(lines[sent++].request));
    auto record = pool.next();
    base::check(record.has_value(), "a pending program ends");
    const size_t place = record->ticket - 1;
    records.at(place) = std::move(*record);
    broken.see(place, lines[place].problem, records[place]);
    ordered.add(place, record_text(options, std::move(lines[place].carried), records[place]));
    progress.line_done();
    ++done;
  }
  broken.tell();
  return records;
}

// What an interrupted run left; takes the finished lines away from those to be judged.
Resumed take_finished(const JudgeOptions& options, std::vector<Line>& lines) {
  if (options.require_pass)
    throw base::config_error("--require-pass looks at every record; leave --resume out");
  std::vector<std::string> ids;
  for (const auto& line : lines) ids.push_back(line.carried.at("id").dump());
  auto resumed = resume_lines(options.out, ids, input_name(options.in));
  std::erase_if(lines, [&](const Line& line) {
    return resumed.finished.contains(line.carried.at("id").dump());
  });
  return resumed;
}

// Names what did not pass; the exit code.
int check_references(const std::vector<sandbox::Record>& records) {
  int failed = 0;
  for (const auto& record : records) {
    if (record.verdict == sandbox::Verdict::pass) continue;
    ++failed;
    std::fprintf(stderr, "preimage: %s: %s: %s\n", base::visible_text(record.id).c_str(),
                 std::string(sandbox::name(record.verdict)).c_str(),
                 base::visible_text(record.detail).c_str());
  }
  if (failed == 0) return 0;
  std::fprintf(stderr,
               "preimage: %d of %zu references do not pass their own tests; mend them, or leave "
               "them out by --exclude\n",
               failed, records.size());
  return static_cast<int>(base::ExitCode::bad_data);
}

}  // namespace

int run_judge(const JudgeOptions& options) {
  require_fields(options.fields, record_fields());
  base::require_writable(options.out);
  base::refuse_same_file(options.out, {options.in, options.exclude});
  const auto text = read_input(options.in);
  auto lines = Lines(options).read(text);
  std::vector<std::string> ids;
  for (const auto& line : lines) ids.push_back(line.carried.at("id").dump());
  const auto resumed = options.resume ? take_finished(options, lines) : Resumed{};
  if (!options.resume) forget_parts(options.out);
  LineOutput output({.out = options.out, .into_part = !resumed.follows, .append = options.resume});
  OrderedLines ordered(lines.size(), [&](const std::string& made) { output.write(made); });
  std::vector<sandbox::Record> records;
  if (!lines.empty()) records = judge(options, lines, ordered);
  output.close();
  if (!resumed.follows) order_lines(options.out, ids);
  return options.require_pass ? check_references(records) : 0;
}

}  // namespace preimage::lines
