#include "preimage/lines/line_tool.hpp"

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <exception>
#include <map>
#include <mutex>
#include <optional>
#include <thread>

#include "line_output.hpp"
#include "line_progress.hpp"
#include "near_fields.hpp"
#include "ordered_lines.hpp"
#include "preimage/base/error.hpp"
#include "preimage/base/output.hpp"
#include "preimage/base/str.hpp"
#include "preimage/base/terminal.hpp"
#include "preimage/lines/jsonl.hpp"

namespace preimage::lines {
namespace {

using base::Json;

class LineRun {
  // Results of the tool -> lines in order, and the progress line.
  class ResultLines : public Results {
   public:
    ResultLines(LineRun& run, OrderedLines& ordered)
        : run_(run),
          ordered_(ordered),
          progress_(run.tool_.name(), run.todo_.size(), run.team_.root()) {}
    void done(size_t place, Outputs outputs) override {
      const size_t index = run_.todo_.at(place);
      auto text = run_.text_of(index, outputs);
      if (run_.gathers()) run_.made_[index] = text;
      ordered_.add(place, std::move(text));
      progress_.line_done();
    }
    void tokens(int64_t made) override { progress_.tokens_made(made); }

   private:
    LineRun& run_;
    OrderedLines& ordered_;
    LineProgress progress_;
  };

 public:
  LineRun(const Team& team, const LineOptions& options, LineTool& tool)
      : team_(team), options_(options), tool_(tool) {}

  void operator()(const std::string& device) {
    const auto text = team_.on_root([&] {
      require_fields(options_.fields, tool_.output_fields());
      base::require_writable(options_.out);
      base::refuse_same_file(options_.out, {options_.in});
      return read_input(options_.in);
    });
    take_block(split_lines(text));
    team_.together([&] { read_block(); });
    report_near_fields();
    require_unique_ids();
    if (team_.root()) {
      for (const auto& warning : tool_.warnings())
        std::fprintf(stderr, "preimage: %s\n", warning.c_str());
    }
    if (options_.resume) take_finished();
    // No model is loaded for a rank without work; all ranks get here, or none does.
    team_.together([&] {
      if (team_.root() && !options_.resume) forget_parts(options_.out);
      if (!todo_.empty()) tool_.load(device);
    });
    if (team_.root()) {
      for (const auto& note : tool_.notes())
        std::fprintf(stderr, "preimage: note: %s\n", note.c_str());
    }
    team_.together([&] { write_results(); });
    gather();
    report_skipped();
  }

 private:
  // Neighbouring lines stay together, so that the blocks of the ranks follow each other.
  void take_block(const std::vector<RawLine>& lines) {
    const size_t count = lines.size(), size = static_cast<size_t>(team_.size()),
                 rank = static_cast<size_t>(team_.rank());
    block_.assign(lines.begin() + static_cast<int64_t>(count * rank / size),
                  lines.begin() + static_cast<int64_t>(count * (rank + 1) / size));
  }

  std::string place(size_t index) const {
    return base::str(input_name(options_.in), ":", block_[index].number);
  }

  void read_block() {
    tool_.prepare(block_.size());
    lines_.resize(block_.size());
    auto known = tool_.input_fields();
    known.push_back("id");
    KnownFields fields(known, tool_.output_fields());
    std::vector<std::vector<NearField>> near(block_.size());
    std::vector<std::optional<base::Error>> errors(block_.size());
    team_.each(static_cast<int64_t>(block_.size()), [&](int64_t begin, int64_t end) {
      for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) {
        try {
          lines_[i] = parse_line(block_[i], input_name(options_.in));
          near[i] = fields.near(lines_[i]);
          if (options_.strict && !near[i].empty())
            throw base::data_error(place(i) + ": " + complaint(near[i].front()));
          tool_.read(i, base::JsonNode(lines_[i], place(i)), block_[i].text);
        } catch (const base::Error& error) {
          errors[i] = error;
        }
      }
    });
    for (size_t i = 0; i < block_.size(); ++i) {
      if (!errors[i]) {
        good_.push_back(i);
        for (const auto& field : near[i]) near_.count(field, block_[i].number);
      } else if (!options_.skip_bad_lines || errors[i]->code() != base::ExitCode::bad_data) {
        throw *errors[i];
      } else {
        skipped_.push_back(errors[i]->what());
      }
    }
  }

  // Also the ids of all good lines of all ranks, in order.
  void require_unique_ids() {
    auto mine = Json::array();
    for (const size_t i : good_) mine.push_back({block_[i].number, lines_[i]["id"]});
    const auto all = team_.all_gather(mine.dump());
    team_.together([&] {
      std::map<std::string, int64_t> seen;
      for (const auto& part : all) {
        for (const auto& entry : Json::parse(part)) {
          const auto number = entry[0].get<int64_t>();
          const auto [first, fresh] = seen.emplace(entry[1].dump(), number);
          ids_.push_back(first->first);
          if (!fresh) {
            throw base::data_error(
                base::str(input_name(options_.in), ":", number, ": found the id ", first->first,
                          " of line ", first->second,
                          " again (a line without one gets its line number); ids must differ"));
          }
        }
      }
    });
    todo_ = good_;
  }

  // What an interrupted run left is brought into the order of the input; what lacks is to do.
  void take_finished() {
    const auto text = team_.on_root([&] {
      const auto resumed = resume_lines(options_.out, ids_, input_name(options_.in));
      return Json{{"finished", resumed.finished}, {"follows", resumed.follows}}.dump();
    });
    const auto resumed = Json::parse(text);
    finished_ = resumed["finished"].get<FinishedLines>();
    follows_ = resumed["follows"];
    std::erase_if(todo_, [&](size_t i) { return finished_.contains(lines_[i]["id"].dump()); });
  }

  // The lines of this rank, each as soon as those before it are done.
  void write_results() {
    output_.emplace(LineOutputOptions{.out = options_.out,
                                      .rank = team_.rank(),
                                      .into_part = !team_.root() || !follows_,
                                      .append = options_.resume});
    OrderedLines ordered(todo_.size(), [&](const std::string& text) { output_->write(text); });
    ResultLines results(*this, ordered);
    if (!todo_.empty()) tool_.run(todo_, results);
    base::check(ordered.complete(), "a tool gives a result for every line");
  }

  std::string text_of(size_t index, const Outputs& outputs) {
    auto dropped = tool_.input_fields();
    const auto reserved = tool_.output_fields();
    dropped.insert(dropped.end(), reserved.begin(), reserved.end());
    dropped.push_back("fast");
    Json carried = std::move(lines_[index]);
    const auto id = carried["id"];
    lines_[index] = {{"id", id}};
    for (const auto& name : dropped) carried.erase(name);
    std::string text;
    for (const auto& output : outputs) {
      Json line = carried;
      for (const auto& [name, value] : output.items()) {
        if (chosen(name)) line[name] = value;
      }
      if (options_.fast) line["fast"] = true;
      text += line_text(line, line_order()) + "\n";
    }
    return text;
  }

  bool chosen(const std::string& field) const {
    const auto& fields = options_.fields;
    return fields.empty() || std::find(fields.begin(), fields.end(), field) != fields.end();
  }
  // The text, if there is one, the id, the tool's other fields; then what was carried through.
  std::vector<std::string> line_order() const {
    auto order = options_.fields.empty() ? tool_.output_fields() : options_.fields;
    order.insert(order.begin() + (order.front() == "text" ? 1 : 0), "id");
    return order;
  }

  // Whether the first rank did not write all lines in their order itself.
  bool gathers() const { return team_.size() > 1 || !follows_; }

  // What is finished and what was made here, in the order of this rank's lines.
  std::string block_text() const {
    std::string text;
    for (const size_t i : good_) {
      const auto found = finished_.find(lines_[i].at("id").dump());
      text += found != finished_.end() ? found->second : made_.at(i);
    }
    return text;
  }

  void gather() {
    const auto parts = gathers() ? team_.all_gather(block_text()) : std::vector<std::string>();
    const bool file = is_file_output(options_.out);
    team_.together([&] {
      // In a stream the first rank's lines stand already.
      for (size_t i = 1; team_.root() && !file && i < parts.size(); ++i) output_->write(parts[i]);
      output_->close();
    });
    if (!file || !gathers()) return;
    team_.on_root([&] {
      gather_lines(options_.out, parts);
      return std::string();
    });
  }

  void report_near_fields() {
    const auto all = team_.all_gather(near_.to_json().dump());
    if (!team_.root()) return;
    NearFields joined;
    for (const auto& part : all) joined.join(Json::parse(part));
    for (const auto& warning : joined.warnings(input_name(options_.in)))
      std::fprintf(stderr, "preimage: warning: %s\n", warning.c_str());
  }

  void report_skipped() {
    if (!options_.skip_bad_lines) return;
    auto mine = Json(skipped_);
    const auto all = team_.all_gather(mine.dump());
    if (!team_.root()) return;
    std::vector<std::string> errors;
    for (const auto& part : all) {
      for (const auto& error : Json::parse(part)) errors.push_back(error);
    }
    constexpr size_t kShown = 10;
    for (size_t i = 0; i < std::min(errors.size(), kShown); ++i) {
      std::fprintf(stderr, "preimage: skipped: %s\n", base::visible_text(errors[i]).c_str());
    }
    std::fprintf(stderr, "preimage: %zu bad lines skipped\n", errors.size());
  }

  const Team& team_;
  const LineOptions& options_;
  LineTool& tool_;
  std::vector<RawLine> block_;    // of this rank; views of the input
  std::vector<Json> lines_;       // parsed
  std::vector<size_t> good_;      // those that can be used
  std::vector<size_t> todo_;      // of these, those without a result from an earlier run
  std::vector<std::string> ids_;  // of the good lines of all ranks, as JSON text
  FinishedLines finished_;        // of all ranks, from an earlier run
  bool follows_ = true;           // what is finished are the first lines, without a gap
  std::optional<LineOutput> output_;
  std::map<size_t, std::string> made_;  // by index, where the ranks' lines are gathered
  NearFields near_;
  std::vector<std::string> skipped_;  // why the others cannot
};

}  // namespace

void Alone::each(int64_t count, const std::function<void(int64_t, int64_t)>& range) const {
  constexpr int64_t kPart = 8;
  std::atomic<int64_t> next = 0;
  std::exception_ptr failure;
  std::once_flag failed;
  const auto work = [&] {
    try {
      for (int64_t begin = next.fetch_add(kPart); begin < count; begin = next.fetch_add(kPart))
        range(begin, std::min(begin + kPart, count));
    } catch (...) {
      std::call_once(failed, [&] { failure = std::current_exception(); });
    }
  };
  {
    std::vector<std::jthread> helpers;
    const int64_t parts = (count + kPart - 1) / kPart;
    for (int64_t i = 1; i < std::min<int64_t>(threads_, parts); ++i) helpers.emplace_back(work);
    work();
  }
  if (failure) std::rethrow_exception(failure);
}

void run_lines(const Team& team, const LineOptions& options, const std::string& device,
               LineTool& tool) {
  LineRun(team, options, tool)(device);
}

}  // namespace preimage::lines
