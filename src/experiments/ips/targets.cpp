#include "targets.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "preimage/base/error.hpp"
#include "preimage/base/json_node.hpp"
#include "preimage/base/str.hpp"
#include "preimage/data/lines.hpp"
#include "preimage/text/normal_code.hpp"

namespace preimage::ips {
namespace {

// A file of tens of lines at the end of a prompt is a whole module.
constexpr uint64_t kLineBytes = 4u << 20;

base::Json parse_line(const std::string& line, const std::filesystem::path& path, int64_t number) {
  base::JsonLimits limits;
  limits.max_bytes = kLineBytes;
  return base::parse_json(line, path.string(), limits, number);
}

std::string with_lf(std::string text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\r' && i + 1 < text.size() && text[i + 1] == '\n') continue;
    out.push_back(text[i]);
  }
  return out;
}

Target parse_target(const base::JsonNode& record) {
  Target out;
  out.id = record.at("id").string();
  out.language = record.at("language").string();
  if (out.language != "python" && out.language != "javascript" && out.language != "rust")
    record.at("language")
        .fail(base::str("found \"", out.language,
                        "\", expected \"python\", \"javascript\" or \"rust\""));
  const auto code = record.find("target") ? record.at("target") : record.at("code");
  out.code = with_lf(code.string());
  out.normal = text::normal_lines(out.code);
  if (out.normal.empty()) code.fail("holds no program");
  const auto metadata = record.find("metadata");
  out.license = metadata && metadata->find("license") ? metadata->at("license").string()
                                                      : record.at("license").string();
  if (metadata && metadata->find("len_tokens"))
    out.stated_tokens = metadata->at("len_tokens").integer(1);
  out.entry_point = record.string_or("entry_point", "");
  if (const auto calls = record.find("calls")) {
    for (size_t i = 0; i < calls->size(); ++i) out.calls.push_back(calls->at(i).string());
  }
  return out;
}

std::string filled(const std::string& pattern, const std::string& code) {
  const auto at = pattern.find("{code}");
  return at == std::string::npos ? pattern : pattern.substr(0, at) + code + pattern.substr(at + 6);
}

void tokenize(Target& target, const text::Tokenizer& tokenizer, const TargetOptions& options) {
  const text::EncodeOptions plain{.parse_special = false};
  target.ids = tokenizer.encode(target.normal, plain);
  target.answer_ids = tokenizer.encode(filled(options.answer, target.code), plain);
  if (options.end_id >= 0) target.answer_ids.push_back(options.end_id);
  const auto size = static_cast<double>(target.ids.size());
  target.most_tokens = static_cast<int64_t>(std::floor(size / options.most_ratio));
  target.corridor_low = static_cast<int64_t>(std::ceil(size / options.corridor_ratio));
}

}  // namespace

std::vector<Target> read_targets(const std::filesystem::path& path,
                                 const text::Tokenizer& tokenizer, const TargetOptions& options) {
  data::LineReader lines(path);
  std::set<std::string> ids, wanted(options.only.begin(), options.only.end());
  std::vector<Target> out;
  std::string line;
  while (lines.next(line)) {
    const auto json = parse_line(line, path, lines.number());
    const base::JsonNode record(json, lines.place());
    auto target = parse_target(record);
    if (!ids.insert(target.id).second)
      record.fail(base::str("id \"", target.id, "\" stands twice"));
    if (!options.only.empty() && wanted.erase(target.id) == 0) continue;
    if (options.limit > 0 && std::ssize(out) == options.limit) continue;
    tokenize(target, tokenizer, options);
    if (target.most_tokens < 1)
      record.fail(base::str("a target of ", target.ids.size(),
                            " tokens leaves no room for a prompt; expected at least ",
                            options.most_ratio));
    out.push_back(std::move(target));
  }
  if (!options.only.empty() && !wanted.empty())
    throw base::data_error(
        base::str(path.string(), ": no target \"", *wanted.begin(), "\", which the job asks for"));
  if (out.empty()) throw base::data_error(path.string() + ": holds no target");
  return out;
}

std::vector<HandPrompt> read_hand_prompts(const std::filesystem::path& path,
                                          const std::vector<Target>& targets) {
  std::map<std::string, int64_t> places;
  for (size_t i = 0; i < targets.size(); ++i) places[targets[i].id] = static_cast<int64_t>(i);
  data::LineReader lines(path);
  std::vector<HandPrompt> out;
  std::string line;
  while (lines.next(line)) {
    const auto json = parse_line(line, path, lines.number());
    const base::JsonNode record(json, lines.place());
    const auto& text = record.at("prompt").string();
    if (text.empty()) record.at("prompt").fail("empty");
    const auto place = places.find(record.at("target").string());
    if (place != places.end()) out.push_back({place->second, text});
  }
  return out;
}

std::vector<std::string> read_phrases(const std::filesystem::path& path) {
  data::LineReader lines(path);
  std::vector<std::string> out;
  std::string line;
  while (lines.next(line)) {
    if (!line.empty() && line[0] != '#') out.push_back(line);
  }
  if (out.empty()) throw base::data_error(path.string() + ": holds no line");
  return out;
}

}  // namespace preimage::ips
