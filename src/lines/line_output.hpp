// Where the lines of a tool go while it runs, and what an interrupted run left there.
//
// A file is written as lines are done, so that a kill keeps them: by the first rank behind each
// other into OUT, by each other rank into a part of its own, OUT.rank-001, which goes when the run
// has ended and OUT holds all lines in order.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "preimage/base/file.hpp"
#include "preimage/base/output.hpp"

namespace preimage::lines {

// Id (as JSON text) -> the whole lines of its results, each with its "\n".
using FinishedLines = std::map<std::string, std::string>;

struct Resumed {
  FinishedLines finished;
  bool follows = true;  // they are the first of the input's, without a gap
};
// What an interrupted run left in OUT and its parts, brought into the order of `ids` (of the
// input's lines, as JSON text) in OUT. A line that was cut short and the last id of each file are
// left out: that one's lines may not all be there. ExitCode::bad_config: OUT is no file;
// ExitCode::bad_data: a line that is no result, or the id of another input.
Resumed resume_lines(const std::string& out, const std::vector<std::string>& ids,
                     const std::string& input);

// Brings all that OUT and its parts hold into the order of `ids`, in OUT.
void order_lines(const std::string& out, const std::vector<std::string>& ids);

// Takes the parts away that a killed run left, where it is not gone on with; before any rank
// writes.
void forget_parts(const std::string& out);

// Writes all of `texts` into OUT, at once, and takes the parts away.
void gather_lines(const std::string& out, const std::vector<std::string>& texts);

struct LineOutputOptions {
  std::string out;  // "-": standard output
  int rank = 0;
  bool into_part = false;  // not into OUT itself: what comes does not follow what it holds
  bool append = false;     // behind what OUT holds; otherwise it begins afresh
};

// What one rank writes. A rank that writes into a part of a stream writes nothing: streams have no
// parts.
class LineOutput {
 public:
  explicit LineOutput(const LineOutputOptions& options);
  void write(const std::string& text);
  // Every line is written. ExitCode::io where it did not reach the file.
  void close();

 private:
  std::unique_ptr<base::OutputFile> stream_;
  std::unique_ptr<base::AppendFile> file_;
  std::filesystem::path path_;
};

// Whether OUT is a file, which can be gone on with.
bool is_file_output(const std::string& out);
// Throws ExitCode::bad_config unless `fields` (of --fields) are among those of the output.
void require_fields(const std::vector<std::string>& fields, const std::vector<std::string>& known);

}  // namespace preimage::lines
