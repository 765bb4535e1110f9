#include "items.hpp"

#include <map>
#include <set>

#include "answers.hpp"
#include "preimage/base/error.hpp"
#include "preimage/base/json_node.hpp"
#include "preimage/base/random.hpp"
#include "preimage/base/str.hpp"
#include "preimage/data/lines.hpp"

namespace preimage::lipo {
namespace {

constexpr const char* kGold = "####";
const std::set<std::string> kSplits = {"examples", "validation", "test"};

Item item_of(const base::JsonNode& line) {
  Item out;
  out.question = line.at("question").string();
  auto answer = line.at("answer").string();
  if (const auto at = answer.rfind(kGold); at != std::string::npos) answer.erase(0, at + 4);
  const auto number = last_number(answer, "whole");
  if (!number) line.at("answer").fail("holds no number");
  out.answer = *number;
  const auto first = answer.find_first_not_of(" \n\t");
  out.answer_text = answer.substr(first == std::string::npos ? 0 : first);
  return out;
}

// By split; "" where the lines name none.
std::map<std::string, std::vector<Item>> read_file(const std::string& path) {
  std::map<std::string, std::vector<Item>> out;
  data::LineReader lines(path);
  std::string text;
  while (lines.next(text)) {
    const auto json = base::parse_json(text, lines.place());
    const base::JsonNode line(json, lines.place());
    const auto split = line.string_or("split", "");
    if (!split.empty() && !kSplits.contains(split))
      line.at("split").fail("is not examples, validation or test");
    out[split].push_back(item_of(line));
  }
  if (out.size() > 1 && out.contains(""))
    throw base::data_error(path + ": some lines name their split and some do not");
  return out;
}

std::vector<Item> first(std::vector<Item> pool, int64_t count, const std::string& what) {
  if (std::ssize(pool) < count)
    throw base::data_error(base::str(what, ": found ", pool.size(), " items, expected at least ",
                                     count, "; lower the number in the job's \"lipo.items\""));
  pool.resize(static_cast<size_t>(count));
  return pool;
}

std::vector<Item> shuffled(const std::vector<Item>& items, int64_t seed, const char* purpose) {
  const base::RandomStream random(static_cast<uint64_t>(seed), purpose, "order of items");
  std::vector<Item> out;
  for (const int64_t at : random.permutation(std::ssize(items)))
    out.push_back(items[static_cast<size_t>(at)]);
  return out;
}

}  // namespace

void ItemsConfig::fields(base::Fields& f) {
  f.add("path", path,
        {.help = "JSON lines of {\"question\", \"answer\"}, GSM8K's or plain, with or without "
                 "\"split\"",
         .required = true});
  f.add("test_path", test_path, {.help = "file of the test items; empty: a part of path"});
  f.add("examples", examples, {.help = "items shown to the writer of instructions", .min = 1});
  f.add("validation", validation, {.help = "items that instructions are searched on", .min = 2});
  f.add("test", test, {.help = "untouched items, for the last table alone", .min = 1});
  f.add("shuffle_seed", shuffle_seed, {.help = "order of the items of a file without splits"});
}

Items read_items(const ItemsConfig& c) {
  auto file = read_file(c.path);
  Items out;
  if (!file.contains("")) {
    out.examples = first(std::move(file["examples"]), c.examples, c.path + ", split examples");
    out.validation =
        first(std::move(file["validation"]), c.validation, c.path + ", split validation");
    if (c.test_path.empty()) out.test = first(std::move(file["test"]), c.test, c.path + ", test");
  } else {
    const bool with_test = c.test_path.empty();
    const int64_t wanted = c.examples + c.validation + (with_test ? c.test : 0);
    const auto all = first(shuffled(file[""], c.shuffle_seed, "items"), wanted, c.path);
    const auto part = [&](int64_t begin, int64_t count) {
      return std::vector<Item>(all.begin() + begin, all.begin() + begin + count);
    };
    out.examples = part(0, c.examples);
    out.validation = part(c.examples, c.validation);
    if (with_test) out.test = part(c.examples + c.validation, c.test);
  }
  if (!c.test_path.empty()) {
    auto other = read_file(c.test_path);
    auto& pool = other.contains("") ? other[""] : other["test"];
    out.test = first(std::move(pool), c.test, c.test_path);
  }
  std::set<std::string> seen;
  for (const auto* pool : {&out.examples, &out.validation}) {
    for (const auto& item : *pool) seen.insert(item.question);
  }
  for (const auto& item : out.test) {
    if (seen.contains(item.question))
      throw base::data_error(c.path + ": the test item \"" + item.question +
                             "\" is among the examples or validation items too");
  }
  return out;
}

std::string fill(const std::string& form, const std::vector<Slot>& slots) {
  std::string out;
  for (size_t at = 0; at < form.size();) {
    bool filled = false;
    for (const auto& slot : slots) {
      const auto name = "{" + slot.name + "}";
      if (form.compare(at, name.size(), name) != 0) continue;
      out += slot.value;
      at += name.size();
      filled = true;
      break;
    }
    if (!filled) out += form[at++];
  }
  return out;
}

}  // namespace preimage::lipo
