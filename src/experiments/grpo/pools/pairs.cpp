#include "pairs.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <sstream>

#include "preimage/base/error.hpp"
#include "preimage/base/file.hpp"
#include "preimage/base/json_node.hpp"
#include "preimage/base/str.hpp"

namespace preimage::grpo {
namespace {

constexpr uint64_t kFileBytes = 64u << 20;
const std::string kFence = "`````";

struct Selector {
  std::string path, section, prefix;
  std::vector<std::string> tags;
};

std::vector<std::string> split(const std::string& text, char at) {
  std::vector<std::string> out;
  std::istringstream in(text);
  for (std::string part; std::getline(in, part, at);) out.push_back(part);
  return out;
}

std::string stripped(const std::string& text) {
  const auto begin = text.find_first_not_of(" \t\r");
  if (begin == std::string::npos) return "";
  return text.substr(begin, text.find_last_not_of(" \t\r") - begin + 1);
}

Selector parse_selector(const std::string& text) {
  const auto hash = text.find('#');
  Selector out{text.substr(0, hash)};
  if (hash == std::string::npos) return out;
  std::string rest = text.substr(hash + 1);
  if (const auto at = rest.find('@'); at != std::string::npos) {
    for (const auto& tag : split(rest.substr(at + 1), ',')) out.tags.push_back(stripped(tag));
    rest.resize(at);
  }
  if (const auto slash = rest.find('/'); slash != std::string::npos) {
    out.prefix = rest.substr(slash + 1);
    rest.resize(slash);
  }
  out.section = rest;
  return out;
}

// One "### id" of a Markdown file as it is being read.
struct Entry {
  ContrastPair pair;
  std::string section;
  std::set<std::string> tags;
  std::set<std::string> blocks;  // that it has
  int64_t line = 0;
};

class MarkdownPairs {
 public:
  explicit MarkdownPairs(const std::string& path) : path_(path) {
    std::istringstream in(base::read_file(path, kFileBytes));
    for (std::string line; std::getline(in, line);) {
      ++number_;
      if (!line.empty() && line.back() == '\r') line.pop_back();
      if (fenced_) {
        inside(line);
      } else {
        outside(line);
      }
    }
    if (fenced_) fail("the block has no end");
    close();
  }
  const std::vector<Entry>& entries() const { return entries_; }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw base::data_error(base::str(path_, ":", number_, ": ", what));
  }

  void inside(const std::string& line) {
    if (line != kFence) {
      if (!text_.empty() || began_) text_ += "\n";
      text_ += line;
      began_ = true;
      return;
    }
    auto& pair = entries_.back().pair;
    (block_ == "Prompt" ? pair.prompt : block_ == "Hack" ? pair.hack : pair.clean) = text_;
    entries_.back().blocks.insert(block_);
    fenced_ = false;
    block_.clear();
  }

  void outside(const std::string& line) {
    if (!block_.empty()) {
      if (line != kFence + "text")
        fail(base::str("expected ", kFence, "text directly under #### ", block_));
      fenced_ = true, began_ = false;
      text_.clear();
    } else if (line.starts_with("#### ")) {
      block_ = stripped(line.substr(5));
      if (block_ != "Prompt" && block_ != "Hack" && block_ != "Clean")
        fail("expected Prompt, Hack or Clean, found " + block_);
      if (entries_.empty() || closed_) fail("a block before the first ### id");
      if (entries_.back().blocks.contains(block_)) fail("a second block " + block_);
    } else if (line.starts_with("### ")) {
      close();
      closed_ = false;
      entries_.push_back({{stripped(line.substr(4))}, section_, {}, {}, number_});
      if (!ids_.insert({section_, entries_.back().pair.id}).second)
        fail("the id comes twice in its section");
    } else if (line.starts_with("## ")) {
      close();
      section_ = stripped(line.substr(3));
    } else if (line.starts_with("Tags:") && !entries_.empty() && !closed_) {
      for (const auto& tag : split(line.substr(5), ',')) entries_.back().tags.insert(stripped(tag));
    }
  }

  void close() {
    if (!closed_ && entries_.back().blocks.size() != 3)
      fail(base::str("pair ", entries_.back().pair.id, " of line ", entries_.back().line,
                     " lacks one of Prompt, Hack, Clean"));
    closed_ = true;
  }

  std::string path_, section_, block_, text_;
  bool fenced_ = false, began_ = false, closed_ = true;
  int64_t number_ = 0;
  std::set<std::pair<std::string, std::string>> ids_;
  std::vector<Entry> entries_;
};

std::vector<ContrastPair> read_json_pairs(const std::string& path) {
  const auto json = base::read_json(path, {.max_bytes = kFileBytes});
  const base::JsonNode array(json, path);
  std::vector<ContrastPair> out;
  for (size_t i = 0; i < array.size(); ++i) {
    const auto record = array.at(i);
    out.push_back({record.at("problem_id").string(), record.at("prompt").string(),
                   record.at("hack").string(), record.at("clean").string()});
  }
  return out;
}

}  // namespace

std::string pairs_path(const std::string& selector) {
  return parse_selector(selector).path;
}

std::vector<ContrastPair> read_pairs(const std::string& selector) {
  const auto wanted = parse_selector(selector);
  std::vector<ContrastPair> out;
  if (!wanted.path.ends_with(".md")) {
    out = read_json_pairs(wanted.path);
  } else {
    const MarkdownPairs file(wanted.path);
    for (const auto& entry : file.entries()) {
      const bool tagged = std::ranges::all_of(
          wanted.tags, [&](const auto& tag) { return entry.tags.contains(tag); });
      if ((wanted.section.empty() || entry.section == wanted.section) &&
          entry.pair.id.starts_with(wanted.prefix) && tagged)
        out.push_back(entry.pair);
    }
  }
  if (out.empty()) throw base::data_error(selector + ": selects no pair");
  return out;
}

}  // namespace preimage::grpo
