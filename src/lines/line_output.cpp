#include "line_output.hpp"

#include <algorithm>
#include <cstdio>
#include <set>

#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"
#include "preimage/lines/jsonl.hpp"

namespace preimage::lines {
namespace {

namespace fs = std::filesystem;

constexpr base::JsonLimits kLimits{.max_bytes = 256ull << 20};

fs::path part_of(const fs::path& file, int rank) {
  char number[16];
  std::snprintf(number, sizeof number, "%03d", rank);
  return file.string() + ".rank-" + number;
}

std::vector<fs::path> parts_of(const fs::path& file) {
  std::vector<fs::path> parts;
  const auto folder = file.has_parent_path() ? file.parent_path() : fs::path(".");
  const auto prefix = file.filename().string() + ".rank-";
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored)) {
    const auto name = entry.path().filename().string();
    if (name.starts_with(prefix) &&
        name.find_first_not_of("0123456789", prefix.size()) == name.npos)
      parts.push_back(entry.path());
  }
  std::sort(parts.begin(), parts.end());
  return parts;
}

enum class Last { kept, dropped };  // the last id of each file, whose lines may not all be there

void read_results(const fs::path& file, Last of_file, FinishedLines& finished) {
  auto text = base::read_file(file);
  text.resize(text.rfind('\n') == text.npos ? 0 : text.rfind('\n') + 1);
  FinishedLines here;
  std::string last;
  int64_t number = 0;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = text.find('\n', begin) + 1;
    const auto line = text.substr(begin, end - begin);
    const auto json = base::parse_json(line, file.string(), kLimits, ++number);
    if (!json.is_object() || !json.contains("id")) {
      throw base::data_error(base::str(file.string(), ":", number,
                                       ": no result of this tool (an object with an \"id\"); leave "
                                       "--resume out to replace the file"));
    }
    last = json["id"].dump();
    here[last] += line;
    begin = end;
  }
  if (of_file == Last::dropped) here.erase(last);
  finished.merge(here);
}

FinishedLines read_all(const std::string& out, Last of_file) {
  FinishedLines finished;
  const auto file = base::link_target(out);
  if (fs::exists(file)) read_results(file, of_file, finished);
  for (const auto& part : parts_of(file)) read_results(part, of_file, finished);
  return finished;
}

}  // namespace

bool is_file_output(const std::string& out) {
  return out != "-" && !base::is_stream(base::link_target(out));
}

Resumed resume_lines(const std::string& out, const std::vector<std::string>& ids,
                     const std::string& input) {
  if (!is_file_output(out))
    throw base::config_error("--resume goes on behind what a file holds; give --out FILE");
  Resumed resumed{read_all(out, Last::dropped)};
  const std::set<std::string> known(ids.begin(), ids.end());
  for (const auto& [id, lines] : resumed.finished) {
    if (known.contains(id)) continue;
    throw base::data_error(base::str(out, ": holds the id ", id, ", which ", input,
                                     " lacks; it is the output of another input: leave --resume "
                                     "out to replace it"));
  }
  std::vector<std::string> ordered;
  for (const auto& id : ids) {
    const auto found = resumed.finished.find(id);
    if (found == resumed.finished.end()) continue;
    resumed.follows &= ids[ordered.size()] == id;
    ordered.push_back(found->second);
  }
  gather_lines(out, ordered);
  return resumed;
}

void order_lines(const std::string& out, const std::vector<std::string>& ids) {
  const auto all = read_all(out, Last::kept);
  std::vector<std::string> ordered;
  for (const auto& id : ids) {
    if (const auto found = all.find(id); found != all.end()) ordered.push_back(found->second);
  }
  gather_lines(out, ordered);
}

void require_fields(const std::vector<std::string>& fields, const std::vector<std::string>& known) {
  for (const auto& field : fields) {
    if (std::find(known.begin(), known.end(), field) != known.end()) continue;
    const auto near = base::nearest(field, known);
    throw base::config_error(base::str("--fields: found \"", field, "\"",
                                       near.empty() ? "" : " (did you mean \"" + near + "\"?)",
                                       ", expected some of ", base::join(known, ",")));
  }
}

void forget_parts(const std::string& out) {
  if (!is_file_output(out)) return;
  for (const auto& part : parts_of(base::link_target(out))) fs::remove(part);
}

void gather_lines(const std::string& out, const std::vector<std::string>& texts) {
  base::OutputFile file(out);
  for (const auto& text : texts) file.write(text);
  file.publish();
  forget_parts(out);
}

LineOutput::LineOutput(const LineOutputOptions& options) {
  if (!is_file_output(options.out)) {
    if (!options.into_part) stream_ = std::make_unique<base::OutputFile>(options.out);
    return;
  }
  const auto file = base::link_target(options.out);
  path_ = options.into_part ? part_of(file, options.rank) : file;
  if (!options.into_part && !options.append && fs::exists(path_)) fs::resize_file(path_, 0);
  file_ = std::make_unique<base::AppendFile>(path_);
}

void LineOutput::write(const std::string& text) {
  if (stream_) stream_->write(text);
  if (file_) file_->append(text);
}

void LineOutput::close() {
  if (stream_) stream_->publish();
  stream_.reset();
  file_.reset();
  if (!path_.empty()) base::sync_path(path_);
}

}  // namespace preimage::lines
