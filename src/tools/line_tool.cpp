#include "line_tool.hpp"

#include <algorithm>
#include <cstdio>
#include <map>
#include <mutex>
#include <optional>

#include <ATen/Parallel.h>

#include "jsonl.hpp"
#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"
#include "preimage/cluster/placement.hpp"
#include "preimage/nn/free_order.hpp"

namespace preimage::tools {
namespace {

using base::Json;

class LineRun {
 public:
  LineRun(const cluster::Session& session, const LineOptions& options, LineTool& tool)
      : session_(session), world_(session.world()), options_(options), tool_(tool) {}

  int operator()() {
    const auto placement =
        cluster::place(session_, {.device = options_.device, .threads = options_.threads});
    cluster::apply(placement);
    const auto text = cluster::on_root(world_, [&] {
      require_writable(options_.out);
      return read_input(options_.in);
    });
    take_block(split_lines(text));
    cluster::together(world_, [&] { read_block(); });
    require_unique_ids();
    // No model is loaded for a rank without work; all ranks get here, or none does.
    cluster::together(world_, [&] {
      if (!good_.empty()) tool_.load(placement.device);
    });
    std::string mine;
    if (!good_.empty()) mine = results();
    const auto parts = world_.all_gather(mine);
    cluster::on_root(world_, [&] {
      std::string whole;
      for (const auto& part : parts) whole += part;
      write_output(options_.out, whole);
      return std::string();
    });
    report_skipped();
    return 0;
  }

 private:
  // Neighbouring lines stay together, so that the blocks of the ranks follow each other.
  void take_block(const std::vector<RawLine>& lines) {
    const size_t count = lines.size(), size = static_cast<size_t>(world_.size()),
                 rank = static_cast<size_t>(world_.rank());
    block_.assign(lines.begin() + static_cast<int64_t>(count * rank / size),
                  lines.begin() + static_cast<int64_t>(count * (rank + 1) / size));
  }

  std::string place(size_t index) const {
    return base::str(input_name(options_.in), ":", block_[index].number);
  }

  void read_block() {
    tool_.prepare(block_.size());
    lines_.resize(block_.size());
    std::vector<std::optional<base::Error>> errors(block_.size());
    at::parallel_for(0, static_cast<int64_t>(block_.size()), 8, [&](int64_t begin, int64_t end) {
      for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) {
        try {
          lines_[i] = parse_line(block_[i], input_name(options_.in));
          tool_.read(i, base::JsonNode(lines_[i], place(i)), block_[i].text);
        } catch (const base::Error& error) {
          errors[i] = error;
        }
      }
    });
    for (size_t i = 0; i < block_.size(); ++i) {
      if (!errors[i]) {
        good_.push_back(i);
      } else if (!options_.skip_bad_lines || errors[i]->code() != base::ExitCode::bad_data) {
        throw *errors[i];
      } else {
        skipped_.push_back(errors[i]->what());
      }
    }
  }

  void require_unique_ids() {
    auto mine = Json::array();
    for (const size_t i : good_) mine.push_back({block_[i].number, lines_[i]["id"]});
    const auto all = world_.all_gather(mine.dump());
    cluster::together(world_, [&] {
      std::map<std::string, int64_t> seen;
      for (const auto& part : all) {
        for (const auto& entry : Json::parse(part)) {
          const auto number = entry[0].get<int64_t>();
          const auto [first, fresh] = seen.emplace(entry[1].dump(), number);
          if (!fresh) {
            throw base::data_error(
                base::str(input_name(options_.in), ":", number, ": found the id ", first->first,
                          " of line ", first->second,
                          " again (a line without one gets its line number); ids must differ"));
          }
        }
      }
    });
  }

  std::string results() {
    std::string text;
    const nn::FreeOrder order(options_.fast);
    const auto outputs = tool_.run(good_);
    auto dropped = tool_.input_fields();
    const auto reserved = tool_.output_fields();
    dropped.insert(dropped.end(), reserved.begin(), reserved.end());
    dropped.push_back("fast");
    for (size_t i = 0; i < good_.size(); ++i) {
      Json carried = std::move(lines_[good_[i]]);
      for (const auto& name : dropped) carried.erase(name);
      for (const auto& output : outputs[i]) {
        Json line = carried;
        line.update(output);
        if (options_.fast) line["fast"] = true;
        text += line_text(line) + "\n";
      }
    }
    return text;
  }

  void report_skipped() {
    if (!options_.skip_bad_lines) return;
    auto mine = Json(skipped_);
    const auto all = world_.all_gather(mine.dump());
    if (!world_.root()) return;
    std::vector<std::string> errors;
    for (const auto& part : all) {
      for (const auto& error : Json::parse(part)) errors.push_back(error);
    }
    constexpr size_t kShown = 10;
    for (size_t i = 0; i < std::min(errors.size(), kShown); ++i) {
      std::fprintf(stderr, "preimage: skipped: %s\n", errors[i].c_str());
    }
    std::fprintf(stderr, "preimage: %zu bad lines skipped\n", errors.size());
  }

  const cluster::Session& session_;
  const cluster::Communicator& world_;
  const LineOptions& options_;
  LineTool& tool_;
  std::vector<RawLine> block_;        // of this rank; views of the input
  std::vector<Json> lines_;           // parsed
  std::vector<size_t> good_;          // those that can be used
  std::vector<std::string> skipped_;  // why the others cannot
};

}  // namespace

int run_line_tool(const cluster::Session& session, const LineOptions& options, LineTool& tool) {
  return cluster::run_ranked(
      session, [&] { return LineRun(session, options, tool)(); },
      [](base::ExitCode, const std::string& text) {
        std::fprintf(stderr, "preimage: %s\n", text.c_str());
      });
}

}  // namespace preimage::tools
