#include "judge.hpp"

#include <unistd.h>

#include <cstdio>
#include <map>
#include <set>

#include "jsonl.hpp"
#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"

namespace preimage::tools {
namespace {

using base::Json;

struct Line {
  Json carried;  // what the tool does not know
  sandbox::Request request;
};

constexpr const char* kFields[] = {
    // read
    "program", "entry_point", "tests", "assert_tests", "check", "setup", "observe", "seed",
    // written
    "verdict", "detail", "cpu_s", "wall_s", "max_rss_mb", "runs", "first_verdict", "output",
    "facts"};

// Ids as they stand in the file: a string, or the text of an integer.
std::set<std::string> excluded_ids(const std::string& file) {
  std::set<std::string> ids;
  if (file.empty()) return ids;
  const auto text = read_input(file);
  for (const auto& line : split_lines(text)) ids.insert(std::string(line.text));
  return ids;
}

Line read_line(const RawLine& raw, const std::string& name) {
  Line line;
  line.carried = parse_line(raw, name);
  line.request = sandbox::parse_request(line.carried, base::str(name, ":", raw.number));
  for (const char* field : kFields) line.carried.erase(field);
  return line;
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
        require_new(line, raw.number);
        if (!excluded_.contains(line.request.id)) lines.push_back(std::move(line));
      } catch (const base::Error& error) {
        if (!options_.skip_bad_lines || error.code() != base::ExitCode::bad_data) throw;
        if (++skipped_ <= 10) std::fprintf(stderr, "preimage: skipped: %s\n", error.what());
      }
    }
    if (options_.skip_bad_lines) std::fprintf(stderr, "preimage: %d bad lines skipped\n", skipped_);
    return lines;
  }

 private:
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
  int skipped_ = 0;
};

void show_progress(size_t done, size_t total) {
  static const bool terminal = ::isatty(STDERR_FILENO) != 0;
  if (terminal && (done % 32 == 0 || done == total))
    std::fprintf(stderr, "\rjudged %zu of %zu%s", done, total, done == total ? "\n" : "");
}

std::vector<sandbox::Record> judge(sandbox::Judge& judge, std::vector<Line>& lines) {
  std::vector<sandbox::Record> records(lines.size());
  // A few thousand under way keep every worker busy; the rest waits here, not in the sandbox.
  constexpr size_t kUnderWay = 2048;
  size_t sent = 0, done = 0;
  while (done < lines.size()) {
    while (sent < lines.size() && sent - done < kUnderWay)
      judge.submit(std::move(lines[sent++].request));
    auto record = judge.next();
    base::check(record.has_value(), "a pending program ends");
    records.at(record->ticket - 1) = std::move(*record);
    show_progress(++done, lines.size());
  }
  return records;
}

// Names what did not pass; the exit code.
int check_references(const std::vector<sandbox::Record>& records) {
  int failed = 0;
  for (const auto& record : records) {
    if (record.verdict == sandbox::Verdict::pass) continue;
    ++failed;
    std::fprintf(stderr, "preimage: %s: %s: %s\n", record.id.c_str(),
                 std::string(sandbox::name(record.verdict)).c_str(), record.detail.c_str());
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
  require_writable(options.out);
  const auto text = read_input(options.in);
  auto lines = Lines(options).read(text);
  std::vector<sandbox::Record> records;
  if (!lines.empty()) {
    auto supervisor = sandbox::start_supervisor();
    sandbox::Pool pool(supervisor, options.pool);
    if (options.pool.level != sandbox::Level::full) {
      std::fprintf(stderr, "preimage: judged at --level user: one uid for all programs\n");
    }
    records = judge(pool, lines);
  }
  std::string out;
  for (size_t i = 0; i < lines.size(); ++i) {
    auto line = std::move(lines[i].carried);
    const auto id = line["id"];
    line.update(sandbox::to_json(records[i]));
    line["id"] = id;
    line["level"] = options.pool.level == sandbox::Level::full ? "full" : "user";
    out += line_text(line) + "\n";
  }
  write_output(options.out, out);
  return options.require_pass ? check_references(records) : 0;
}

}  // namespace preimage::tools
