// From a file of lines to a file of lines on any number of ranks: each rank reads its own block of
// lines, checks it wholly, and only then does anybody load a model.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <c10/core/Device.h>

#include "preimage/base/json_node.hpp"
#include "preimage/cluster/session.hpp"

namespace preimage::tools {

struct LineOptions {
  std::string in = "-", out = "-";  // "-": standard input, standard output
  bool skip_bad_lines = false;
  std::string device = "auto";  // auto | cpu | cuda
  int threads = 0;              // of each rank; 0: the cores of the host divided among its ranks
  bool fast = false;            // nn::FreeOrder; every line of the output says so
};

// What a line becomes: one object or several, without the id.
using Outputs = std::vector<base::Json>;

class LineTool {
 public:
  virtual ~LineTool() = default;
  // Names of the fields it reads, which are not carried through, and of those it writes, which are
  // reserved.
  virtual std::vector<std::string> input_fields() const = 0;
  virtual std::vector<std::string> output_fields() const = 0;
  // What reading a line needs (sizes, tokenizer), no weights. `lines` are to come.
  virtual void prepare(size_t lines) = 0;
  // Checks and keeps line `index`; called once for each, by several threads. `text` is the line as
  // it was written: chat templates need the order of its keys. ExitCode::bad_data for what
  // --on-bad-line may skip.
  virtual void read(size_t index, const base::JsonNode& line, std::string_view text) = 0;
  virtual void load(c10::Device device) = 0;
  // The results of the lines `indices`, in that order.
  virtual std::vector<Outputs> run(const std::vector<size_t>& indices) = 0;
};

// Runs the tool on all ranks; the output is in the order of the input. Returns the exit code.
// Collective.
int run_line_tool(const cluster::Session& session, const LineOptions& options, LineTool& tool);

}  // namespace preimage::tools
