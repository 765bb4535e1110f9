#include "instructions.hpp"

#include <cctype>
#include <cmath>
#include <map>

#include "preimage/base/error.hpp"
#include "preimage/base/file.hpp"
#include "preimage/base/json_node.hpp"
#include "preimage/base/str.hpp"
#include "preimage/data/lines.hpp"

namespace preimage::lipo {
namespace {

constexpr uint64_t kMaxBytes = 256 << 20;

std::string trimmed(const std::string& text) {
  const auto begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string::npos) return "";
  return text.substr(begin, text.find_last_not_of(" \t\r\n") - begin + 1);
}

int64_t characters(const std::string& text) {
  int64_t count = 0;
  for (const char c : text) count += (static_cast<unsigned char>(c) & 0xC0) != 0x80 ? 1 : 0;
  return count;
}

// "Instruction:", "Prompt 3:", "1.", "2)", "-", "*" in front of the text.
std::string without_label(const std::string& text) {
  size_t at = 0;
  for (const char* word : {"instruction", "prompt", "output"}) {
    const std::string lower = folded(text.substr(0, std::string(word).size()));
    if (lower != word) continue;
    size_t end = lower.size();
    while (end < text.size() &&
           (text[end] == ' ' || std::isdigit(static_cast<unsigned char>(text[end]))))
      ++end;
    if (end < text.size() && text[end] == ':') return trimmed(text.substr(end + 1));
  }
  while (at < text.size() && std::isdigit(static_cast<unsigned char>(text[at]))) ++at;
  if (at > 0 && at + 1 < text.size() && (text[at] == '.' || text[at] == ')') && text[at + 1] == ' ')
    return trimmed(text.substr(at + 1));
  if (text.size() > 1 && (text[0] == '-' || text[0] == '*') && text[1] == ' ')
    return trimmed(text.substr(1));
  return text;
}

std::string without_quotes(const std::string& text) {
  if (text.size() < 2) return text;
  for (const char quote : {'"', '\'', '`'}) {
    if (text.front() == quote && text.back() == quote)
      return trimmed(text.substr(1, text.size() - 2));
  }
  return text;
}

const std::string& text_of(const base::JsonNode& node, std::string& store) {
  for (const char* name : {"text", "instruction", "instruction_text"}) {
    if (const auto found = node.find(name)) return store = found->string();
  }
  node.fail("found no \"text\" (or \"instruction\")");
  return store;
}

KnownError known_of(const base::JsonNode& node, int64_t items) {
  KnownError out;
  text_of(node, out.text);
  out.style = node.string_or("style", "");
  double error = -1;
  for (const char* name : {"error", "error_rate"}) {
    if (const auto found = node.find(name)) error = found->number();
  }
  if (!(error >= 0 && error <= 1)) node.fail("found no \"error\" between 0 and 1");
  out.items = items;
  for (const char* name : {"items", "fidelity"}) {
    if (const auto found = node.find(name)) out.items = static_cast<int64_t>(found->number());
  }
  if (out.items < 1) node.fail("found less than one item");
  if (out.items > items)
    node.fail(base::str("found an error of ", out.items, " items, expected at most the ", items,
                        " of \"lipo.items.validation\""));
  out.wrong = std::llround(error * static_cast<double>(out.items));
  return out;
}

}  // namespace

std::string folded(const std::string& text) {
  std::string out;
  bool space = false;
  for (const char c : trimmed(text)) {
    if (std::isspace(static_cast<unsigned char>(c))) {
      space = true;
      continue;
    }
    if (space) out += ' ';
    space = false;
    out += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return out;
}

std::optional<std::string> clean_instruction(const std::string& completion, int64_t max_length) {
  auto text = trimmed(completion);
  text = trimmed(text.substr(0, text.find('\n')));
  text = without_quotes(without_label(without_quotes(text)));
  const auto count = characters(text);
  if (count < 1 || count > max_length) return std::nullopt;
  return text;
}

InstructionFile read_instructions(const std::string& path) {
  const auto json = base::read_json(path, {.max_bytes = kMaxBytes});
  const base::JsonNode root(json, path);
  InstructionFile out;
  const auto list = json.is_array() ? root : root.at("instructions");
  if (json.is_object()) out.calls = json.value("calls", int64_t{0});
  std::set<std::string> seen;
  for (size_t i = 0; i < list.size(); ++i) {
    const auto node = list.at(i);
    Instruction one;
    if (node.json().is_string()) {
      one.text = node.string();
    } else {
      text_of(node, one.text);
      one.style = node.string_or("style", "");
    }
    if (folded(one.text).empty()) node.fail("is an empty instruction");
    if (!seen.insert(folded(one.text)).second) continue;
    one.id = std::ssize(out.instructions);
    out.instructions.push_back(std::move(one));
  }
  if (out.instructions.empty()) throw base::data_error(path + ": holds no instruction");
  return out;
}

std::string instructions_json(const std::vector<Instruction>& instructions, int64_t calls) {
  auto list = base::Json::array();
  for (const auto& one : instructions)
    list.push_back({{"id", one.id}, {"style", one.style}, {"text", one.text}});
  return base::Json{{"calls", calls}, {"instructions", std::move(list)}}.dump(1) + "\n";
}

std::vector<KnownError> read_evaluations(const std::string& path, int64_t items) {
  std::vector<KnownError> all;
  if (path.ends_with(".jsonl")) {
    data::LineReader lines(path);
    std::string text;
    while (lines.next(text)) {
      const auto json = base::parse_json(text, lines.place());
      all.push_back(known_of(base::JsonNode(json, lines.place()), items));
    }
  } else {
    const auto json = base::read_json(path, {.max_bytes = kMaxBytes});
    const base::JsonNode root(json, path);
    const auto list = json.is_array() ? root : root.at("results");
    for (size_t i = 0; i < list.size(); ++i) all.push_back(known_of(list.at(i), items));
  }
  std::vector<KnownError> out;
  std::map<std::string, size_t> places;
  for (auto& one : all) {
    const auto [at, fresh] = places.emplace(folded(one.text), out.size());
    if (fresh) {
      out.push_back(std::move(one));
    } else if (one.items > out[at->second].items) {
      out[at->second] = std::move(one);
    }
  }
  if (out.empty()) throw base::data_error(path + ": holds no evaluation");
  return out;
}

}  // namespace preimage::lipo
