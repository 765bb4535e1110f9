#include "near_fields.hpp"

#include <algorithm>
#include <set>

#include "preimage/base/str.hpp"

namespace preimage::lines {
namespace {

// What other programs call a field of ours.
const std::map<std::string, std::string, std::less<>>& foreign_names() {
  static const std::map<std::string, std::string, std::less<>> names = {
      {"max_length", "max_new_tokens"},
      {"max_completion_tokens", "max_new_tokens"},
      {"n_predict", "max_new_tokens"},
      {"num_return_sequences", "n"},
      {"num_samples", "n"},
      {"beam_size", "num_beams"},
      {"beam_width", "num_beams"},
      {"stop_sequences", "stop"},
      {"stop_strings", "stop"},
      {"random_seed", "seed"},
      {"completion", "continuation"},
      {"input_ids", "prompt_ids"},
      {"prompt_token_ids", "prompt_ids"},
      {"solution", "program"},
      {"code", "program"},
      {"test_list", "assert_tests"},
      {"setup_code", "setup"},
      {"test_setup_code", "setup"},
  };
  return names;
}

// "Max-New-Tokens" -> {"max", "new", "tokens"}
std::vector<std::string> words_of(std::string_view name) {
  std::vector<std::string> words(1);
  for (const char c : name) {
    if (c == '_' || c == '-' || c == ' ') {
      words.emplace_back();
    } else {
      words.back() += static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
    }
  }
  std::erase(words, "");
  return words;
}

std::string joined(const std::vector<std::string>& words) {
  return base::join(words, "");
}

bool holds_all(const std::vector<std::string>& words, const std::vector<std::string>& part) {
  const std::set<std::string> all(words.begin(), words.end());
  return std::all_of(part.begin(), part.end(), [&](const auto& w) { return all.contains(w); });
}

// Edits of one character, two neighbours that changed places counting as one.
size_t slips(const std::string& a, const std::string& b) {
  std::vector<std::vector<size_t>> cost(a.size() + 1, std::vector<size_t>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i) {
    for (size_t j = 0; j <= b.size(); ++j) {
      if (i == 0 || j == 0) {
        cost[i][j] = i + j;
        continue;
      }
      cost[i][j] = std::min({cost[i - 1][j] + 1, cost[i][j - 1] + 1,
                             cost[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        cost[i][j] = std::min(cost[i][j], cost[i - 2][j - 2] + 1);
    }
  }
  return cost[a.size()][b.size()];
}

// Short names are near many words of the user's own ("idx", "tag"): they must agree but for case
// and hyphens.
constexpr size_t kShort = 4;

size_t allowed_slips(size_t length) {
  return length < kShort ? 0 : length < 8 ? 1 : length < 12 ? 2 : 3;
}

}  // namespace

std::string meant_field(std::string_view name, const std::vector<std::string>& known) {
  const auto has = [&](const std::string& field) {
    return std::find(known.begin(), known.end(), field) != known.end();
  };
  const auto words = words_of(name);
  const auto plain = joined(words);
  for (const auto& field : known) {
    if (joined(words_of(field)) == plain) return field;
  }
  const auto foreign = foreign_names().find(base::join(words, "_"));
  if (foreign != foreign_names().end() && has(foreign->second)) return foreign->second;
  std::string best;
  size_t least = SIZE_MAX;
  const auto written = base::join(words, "_");
  for (const auto& field : known) {
    if (joined(words_of(field)).size() < kShort) continue;
    const size_t distance = slips(written, field);
    if (distance <= allowed_slips(std::min(written.size(), field.size())) && distance < least)
      best = field, least = distance;
  }
  if (!best.empty()) return best;
  for (const auto& field :
       known) {  // two words at least in common: max_tokens, no_repeat_ngram_size
    const auto theirs = words_of(field);
    if (words.size() > 1 && theirs.size() > 1 &&
        (holds_all(theirs, words) || holds_all(words, theirs)))
      return field;
  }
  for (const auto& field : known) {  // the beginning of a word: temp
    if (plain.size() >= kShort && joined(words_of(field)).starts_with(plain)) return field;
  }
  return "";
}

KnownFields::KnownFields(std::vector<std::string> read, const std::vector<std::string>& written)
    : read_(std::move(read)) {
  for (const auto& name : read_) meant_[name] = "";
  for (const auto& name : written) meant_[name] = "";
}

std::vector<NearField> KnownFields::near(const base::Json& line) {
  std::vector<NearField> out;
  const std::scoped_lock lock(mutex_);
  for (const auto& [name, value] : line.items()) {
    auto found = meant_.find(name);
    if (found == meant_.end()) found = meant_.emplace(name, meant_field(name, read_)).first;
    if (!found->second.empty()) out.push_back({name, found->second});
  }
  return out;
}

std::string complaint(const NearField& field) {
  return "found the field " + base::Json(field.name).dump() +
         ", which means nothing here; did you mean \"" + field.meant + "\"?";
}

void NearFields::count(const NearField& field, int64_t line) {
  auto& seen = seen_[field.name];
  seen.first = seen.lines == 0 ? line : std::min(seen.first, line);
  seen.meant = field.meant;
  ++seen.lines;
}

void NearFields::join(const base::Json& other) {
  for (const auto& [name, entry] : other.items()) {
    auto& seen = seen_[name];
    const auto first = entry.at("first").get<int64_t>();
    seen.first = seen.lines == 0 ? first : std::min(seen.first, first);
    seen.meant = entry.at("meant");
    seen.lines += entry.at("lines").get<int64_t>();
  }
}

base::Json NearFields::to_json() const {
  auto out = base::Json::object();
  for (const auto& [name, seen] : seen_)
    out[name] = {{"meant", seen.meant}, {"first", seen.first}, {"lines", seen.lines}};
  return out;
}

std::vector<std::string> NearFields::warnings(const std::string& name) const {
  std::vector<std::pair<int64_t, std::string>> ordered;
  for (const auto& [field, seen] : seen_) {
    ordered.emplace_back(
        seen.first,
        base::str(name, ":", seen.first, ": ", complaint({field, seen.meant}), " (", seen.lines,
                  seen.lines == 1 ? " line" : " lines", "; carried through; --strict refuses it)"));
  }
  std::sort(ordered.begin(), ordered.end());
  std::vector<std::string> out;
  for (auto& [first, text] : ordered) out.push_back(std::move(text));
  return out;
}

}  // namespace preimage::lines
