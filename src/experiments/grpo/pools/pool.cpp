#include "pool.hpp"

#include <algorithm>
#include <cstdio>

#include "preimage/base/error.hpp"
#include "preimage/base/json_node.hpp"
#include "preimage/base/str.hpp"
#include "preimage/data/gzip.hpp"
#include "preimage/data/lines.hpp"

namespace preimage::grpo {
namespace {

namespace fs = std::filesystem;
constexpr uint64_t kRecordBytes = 64u << 20;

// "step_007.jsonl.gz" -> 7; nothing for other files.
std::optional<int64_t> number_of(const std::string& name) {
  for (const std::string prefix : {"step_", "prompt_"}) {
    if (!name.starts_with(prefix)) continue;
    const auto dot = name.find('.');
    const auto rest = dot == std::string::npos ? "" : name.substr(dot);
    const auto digits = name.substr(prefix.size(), dot - prefix.size());
    if ((rest != ".jsonl" && rest != ".jsonl.gz") || digits.empty() || digits.size() > 9 ||
        !std::ranges::all_of(digits, [](char c) { return c >= '0' && c <= '9'; }))
      continue;
    return std::stoll(digits);
  }
  return std::nullopt;
}

std::vector<int64_t> ids_of(const base::JsonNode& array) {
  std::vector<int64_t> out;
  for (size_t i = 0; i < array.size(); ++i) out.push_back(array.at(i).integer(0));
  return out;
}

bool present(const base::Json& record, const char* key) {
  return record.contains(key) && !record.at(key).is_null();
}

// An integer, or an integer as text.
std::string id_text(const base::Json& value) {
  return value.is_string() ? value.get<std::string>() : value.dump();
}

// Padding stands behind the end of a completion: one end token stays where there is one.
void cut_padding(std::vector<int64_t>& ids, const text::Tokenizer& tokenizer) {
  const auto& special = tokenizer.special();
  std::vector<int64_t> fillers = special.stop;
  if (special.pad) fillers.push_back(*special.pad);
  const auto filler = [&](int64_t id) { return std::ranges::find(fillers, id) != fillers.end(); };
  while (ids.size() > 1 && filler(ids.back()) && filler(ids[ids.size() - 2])) ids.pop_back();
}

PoolSample sample_of(const base::Json& record, const std::string& place,
                     const text::Tokenizer& tokenizer) {
  const base::JsonNode node(record, place);
  PoolSample out;
  if (present(record, "problem_id")) out.problem_id = id_text(record.at("problem_id"));
  if (present(record, "prompt")) out.prompt = node.at("prompt").string();
  if (present(record, "completion")) out.completion = node.at("completion").string();
  if (present(record, "hint")) out.hint = node.at("hint").boolean();
  if (present(record, "reward")) out.stored_reward = node.at("reward").number();
  if (present(record, "hacked")) out.stored_hacked = node.at("hacked").boolean();
  if (present(record, "gt_pass")) out.stored_gt_pass = node.at("gt_pass").boolean();
  if (present(record, "prompt_ids"))
    out.prompt_ids = ids_of(node.at("prompt_ids"));
  else
    out.prompt_ids = tokenizer.encode(out.prompt);
  if (present(record, "completion_ids"))
    out.completion_ids = ids_of(node.at("completion_ids"));
  else
    out.completion_ids = tokenizer.encode(out.completion, {.parse_special = false});
  cut_padding(out.completion_ids, tokenizer);
  if (out.completion.empty())
    out.completion = tokenizer.decode(out.completion_ids, {.skip_special = true});
  if (out.prompt_ids.empty() || out.completion_ids.empty())
    node.fail("found an empty prompt or completion, expected both, as ids or as text");
  return out;
}

}  // namespace

std::vector<PoolSample> read_pool(const fs::path& folder, const text::Tokenizer& tokenizer) {
  std::vector<std::pair<int64_t, fs::path>> files;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error))
    if (const auto number = number_of(entry.path().filename().string()))
      files.emplace_back(*number, entry.path());
  if (error || files.empty())
    throw base::data_error(base::str(folder.string(),
                                     ": found no file step_NNN.jsonl.gz or"
                                     " prompt_NNNN.jsonl.gz"));
  std::ranges::sort(files);
  std::vector<PoolSample> out;
  for (size_t f = 0; f < files.size(); ++f) {
    const auto& [number, path] = files[f];
    const bool by_problem = path.filename().string().starts_with("prompt_");
    data::LineReader lines(path);
    std::string line;
    for (int64_t index = 0; lines.next(line); ++index) {
      const auto record =
          base::parse_json(line, path.string(),
                           {.max_bytes = kRecordBytes, .allow_non_finite = true}, lines.number());
      auto sample = sample_of(record, lines.place(), tokenizer);
      sample.pool = fs::absolute(folder).lexically_normal().filename().string();
      if (sample.pool.empty()) sample.pool = folder.parent_path().filename().string();
      sample.step = by_problem ? static_cast<int64_t>(f) : number;
      sample.index = index;
      if (by_problem && sample.problem_id.empty()) sample.problem_id = base::str(number);
      out.push_back(std::move(sample));
    }
  }
  return out;
}

std::string pool_file(const std::vector<PoolSample>& step) {
  std::string text;
  for (const auto& s : step) {
    const auto& labels = s.grade.labels;
    const base::Json record = {{"step", s.step},
                               {"sample_id", s.index},
                               {"src_pool", s.pool},
                               {"problem_id", s.problem_id},
                               {"hint", s.hint},
                               {"reward", s.grade.reward},
                               {"hacked", labels.hacked()},
                               {"strict_hack", labels.strict_hack()},
                               {"gt_pass", labels.gt_pass},
                               {"fmt_ok", labels.fmt_ok},
                               {"own_pass", labels.own_pass},
                               {"vacuous", labels.vacuous},
                               {"plen", s.prompt_ids.size()},
                               {"comp_len", s.completion_ids.size()},
                               {"prompt", s.prompt},
                               {"prompt_ids", s.prompt_ids},
                               {"completion_ids", s.completion_ids},
                               {"completion", s.completion}};
    text += base::canonical(record) + "\n";
  }
  return data::gzip(text);
}

std::string pool_file_name(int64_t step) {
  char name[40];
  std::snprintf(name, sizeof name, "step_%03lld.jsonl.gz", static_cast<long long>(step));
  return name;
}

}  // namespace preimage::grpo
