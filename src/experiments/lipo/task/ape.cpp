#include "ape.hpp"

#include <algorithm>
#include <numeric>

#include "preimage/base/error.hpp"
#include "preimage/base/json_node.hpp"
#include "preimage/base/str.hpp"

namespace preimage::lipo {

ApeWords read_ape_words(const std::string& path) {
  const auto json = base::read_json(path);
  const base::JsonNode root(json, path);
  ApeWords out{root.at("prompt").string(), root.at("example").string(), {}};
  const auto styles = root.at("styles");
  for (size_t i = 0; i < styles.size(); ++i) {
    const auto node = styles.at(i);
    ApeStyle style{node.at("name").string(), node.at("description").string(), {}, 1};
    const auto examples = node.at("examples");
    for (size_t k = 0; k < examples.size(); ++k) style.examples.push_back(examples.at(k).string());
    style.temperature = node.at("temperature").number();
    out.styles.push_back(std::move(style));
  }
  if (out.styles.empty()) root.at("styles").fail("names no style");
  return out;
}

void ApeConfig::fields(base::Fields& f) {
  f.add("ape_num_instructions", num_instructions,
        {.help = "size of the pool; of a file, its first so many", .min = 1, .max = 1e7});
  f.add("ape_backend", backend,
        {.help = "who writes the instructions: engine (vllm is the same) a model of this run; file "
                 "what ape_cache_path holds; openai and deepinfra the same, written by "
                 "scripts/lipo/remote_answers.py",
         .choices = {"engine", "vllm", "file", "openai", "deepinfra"}});
  f.add("ape_model", model, {.help = "checkpoint of the writer; empty: lipo.model"});
  f.add("ape_cache_path", cache_path,
        {.help = "JSON of instructions; with engine and vllm read instead of writing where it is"});
  f.add("ape_styles", styles, {.help = "JSON of the styles and the words of the prompts"});
  f.add("ape_batch_size", batch_size, {.help = "instructions of a call", .min = 1, .max = 1000});
  f.add("ape_max_batches", max_batches, {.help = "calls of a style at most", .min = 1});
  f.add("ape_max_tokens", max_tokens, {.help = "of an instruction", .unit = "tokens", .min = 1});
  f.add("ape_max_length", max_length,
        {.help = "of an instruction", .unit = "characters", .min = 1});
  f.add("ape_task_examples", task_examples, {.help = "examples of a prompt", .min = 1});
  f.add("ape_examples_from", examples_from,
        {.help = "where examples come from: pool, apart from all scoring; validation, as in the "
                 "original program",
         .choices = {"pool", "validation"}});
}

std::string ape_prompt(const ApeWords& words, const ApeStyle& style, const std::vector<Item>& from,
                       int64_t examples, const base::RandomStream& random) {
  const auto order = random.permutation(std::ssize(from));
  std::vector<std::string> shown;
  for (int64_t i = 0; i < std::min(examples, std::ssize(from)); ++i) {
    const auto& item = from[static_cast<size_t>(order[static_cast<size_t>(i)])];
    shown.push_back(
        fill(words.example, {{"question", item.question}, {"answer", item.answer_text}}));
  }
  return fill(words.prompt, {{"examples", base::join(shown, "\n\n")},
                             {"description", style.description},
                             {"style_examples", base::join(style.examples, "; ")}});
}

ApePool::ApePool(const ApeConfig& config, std::vector<ApeStyle> styles)
    : config_(config),
      styles_(std::move(styles)),
      texts_(styles_.size()),
      batches_(styles_.size(), 0) {}

// Of equal parts; the first styles have one more where they do not come out even.
int64_t ApePool::quota(int64_t style) const {
  const auto count = std::ssize(styles_);
  return config_.num_instructions / count + (style < config_.num_instructions % count ? 1 : 0);
}

std::vector<int64_t> ApePool::wanting() const {
  std::vector<int64_t> out;
  for (int64_t s = 0; s < std::ssize(styles_); ++s) {
    if (std::ssize(texts_[static_cast<size_t>(s)]) < quota(s) && batches(s) < config_.max_batches)
      out.push_back(s);
  }
  return out;
}

void ApePool::add(int64_t style, const std::vector<std::string>& completions) {
  ++batches_[static_cast<size_t>(style)];
  calls_ += std::ssize(completions);
  for (const auto& completion : completions) {
    auto text = clean_instruction(completion, config_.max_length);
    if (!text || !seen_.insert(folded(*text)).second) continue;
    texts_[static_cast<size_t>(style)].push_back(std::move(*text));
  }
}

std::vector<Instruction> ApePool::instructions(std::string& note) const {
  std::vector<int64_t> taken;
  int64_t lacking = 0;
  for (int64_t s = 0; s < std::ssize(styles_); ++s) {
    taken.push_back(std::min(quota(s), std::ssize(texts_[static_cast<size_t>(s)])));
    lacking += quota(s) - taken.back();
  }
  std::vector<int64_t> order(styles_.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
    return texts_[static_cast<size_t>(a)].size() > texts_[static_cast<size_t>(b)].size();
  });
  const int64_t asked = lacking;
  for (const int64_t s : order) {
    auto& count = taken[static_cast<size_t>(s)];
    const int64_t more = std::min(lacking, std::ssize(texts_[static_cast<size_t>(s)]) - count);
    count += more;
    lacking -= more;
  }
  if (asked > 0)
    note = base::str(asked, " instructions were missing from the quotas of their styles, ",
                     asked - lacking, " came from other styles");
  std::vector<Instruction> out;
  for (size_t s = 0; s < styles_.size(); ++s) {
    for (int64_t i = 0; i < taken[s]; ++i)
      out.push_back({std::ssize(out), styles_[s].name, texts_[s][static_cast<size_t>(i)]});
  }
  return out;
}

}  // namespace preimage::lipo
