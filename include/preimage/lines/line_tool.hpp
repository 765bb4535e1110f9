// From a file of lines to a file of lines, by one process or by several: each reads its own block
// of lines, checks it wholly, and only then does anybody load a model.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "preimage/base/json_node.hpp"

namespace preimage::lines {

struct LineOptions {
  std::string in = "-", out = "-";  // "-": standard input, standard output
  bool skip_bad_lines = false;
  bool strict = false;  // a field that is near a known one is an error of its line, not a warning
  bool resume = false;  // go on behind what the file `out` holds
  std::vector<std::string> fields;  // of the tool's output, in this order; empty: all
  std::string device = "auto";      // auto | cpu | cuda
  int threads = 0;    // of each rank; 0: the cores of the host divided among its ranks
  bool fast = false;  // bits may depend on the batch; every line of the output says so
};

// What a line becomes: one object or several, without the id.
using Outputs = std::vector<base::Json>;

// Takes results as they come.
class Results {
 public:
  virtual ~Results() = default;
  // Of the line at `place` among those asked for; each place once, in any order.
  virtual void done(size_t place, Outputs outputs) = 0;
  // For the progress line: so many tokens were made since.
  virtual void tokens(int64_t) {}
};

// Lines of a kind of their own among those that run() gets.
struct PlacedLine {
  size_t place, index;
};
using Places = std::vector<PlacedLine>;

class LineTool {
 public:
  virtual ~LineTool() = default;
  virtual std::string name() const = 0;  // "generate"
  // Names of the fields it reads, which are not carried through, and of those it writes, which are
  // reserved; the latter in the order in which they stand in a line.
  virtual std::vector<std::string> input_fields() const = 0;
  virtual std::vector<std::string> output_fields() const = 0;
  // What reading a line needs (sizes, tokenizer), no weights. `lines` are to come.
  virtual void prepare(size_t lines) = 0;
  // Checks and keeps line `index`; called once for each, by several threads. `text` is the line as
  // it was written: chat templates need the order of its keys. ExitCode::bad_data for what
  // --on-bad-line may skip.
  virtual void read(size_t index, const base::JsonNode& line, std::string_view text) = 0;
  // What the user should know of the checkpoint and the lines, one line each: after reading.
  virtual std::vector<std::string> warnings() const { return {}; }
  virtual void load(const std::string& device) = 0;  // "cpu", "cuda:0"
  // What the user is told of the model, after load(): a line each.
  virtual std::vector<std::string> notes() const { return {}; }
  // Gives the results of the lines `indices` as soon as they are there.
  virtual void run(const std::vector<size_t>& indices, Results& results) = 0;
};

// The processes that share the lines; each calls the same functions in the same order.
class Team {
 public:
  virtual ~Team() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;
  // The texts of all, by rank.
  virtual std::vector<std::string> all_gather(const std::string& text) const = 0;
  // What `action` gives on the first, for all; what it throws, all throw.
  virtual std::string on_root(const std::function<std::string()>& action) const = 0;
  // What one throws, all throw.
  virtual void together(const std::function<void()>& action) const = 0;
  // Calls `range(begin, end)` for parts of [0, count) on the threads of this process.
  virtual void each(int64_t count, const std::function<void(int64_t, int64_t)>& range) const = 0;

  bool root() const { return rank() == 0; }
};

// One process with so many threads.
class Alone : public Team {
 public:
  explicit Alone(int threads) : threads_(threads) {}
  int rank() const override { return 0; }
  int size() const override { return 1; }
  std::vector<std::string> all_gather(const std::string& text) const override { return {text}; }
  std::string on_root(const std::function<std::string()>& action) const override {
    return action();
  }
  void together(const std::function<void()>& action) const override { action(); }
  void each(int64_t count, const std::function<void(int64_t, int64_t)>& range) const override;

 private:
  int threads_;
};

// Runs the tool on `device`; the output is in the order of the input, and a line stands in it as
// soon as it and those before it are done (line_output.hpp). Throws base::Error. Collective.
void run_lines(const Team& team, const LineOptions& options, const std::string& device,
               LineTool& tool);

}  // namespace preimage::lines
