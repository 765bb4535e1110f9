#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>

#include "jsonl.hpp"
#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"
#include "preimage/lm/generate.hpp"
#include "tools.hpp"

namespace preimage::tools {
namespace {

using base::Json;

struct Item {
  lm::GenerateRequest request;
  std::vector<std::string> stop;
  int64_t copies = 1;
  bool eos_counts = true;
};

// Fields whose value other than this one asks for something that is not there yet.
const std::vector<std::pair<const char*, Json>>& greedy_only() {
  static const std::vector<std::pair<const char*, Json>> fields = {
      {"temperature", 0},        {"top_k", 0},           {"top_p", 1},     {"min_p", 0},
      {"repetition_penalty", 1}, {"no_repeat_ngram", 0}, {"num_beams", 1}, {"length_penalty", 1},
      {"early_stopping", false}, {"embedding", nullptr}};
  return fields;
}

void require_greedy(const base::JsonNode& line) {
  for (const auto& [name, only] : greedy_only()) {
    const auto given = line.find(name);
    if (!given || given->json() == only) continue;
    const bool right_type = only.is_null() || (only.is_boolean() ? given->json().is_boolean()
                                                                 : given->json().is_number());
    if (!right_type) given->wrong_type(only.is_boolean() ? "true or false" : "a number");
    throw base::config_error(base::str(
        line.place(), ": ", name, ": found ", given->json().dump().substr(0, 40),
        ", but generation is greedy only so far: sampling, penalties and beams are not there yet; ",
        only.is_null() ? "leave it out" : "expected " + only.dump()));
  }
}

// Text of a growing completion, and where a stop string begins in it.
class Watcher {
 public:
  Watcher(const text::Tokenizer& tokenizer, const std::vector<std::string>& stop)
      : decoder_(tokenizer), stop_(stop) {
    for (const auto& one : stop) longest_ = std::max(longest_, one.size());
  }
  bool push(int64_t id) {
    const size_t searched = text_.size() < longest_ ? 0 : text_.size() - longest_ + 1;
    text_ += decoder_.push(id);
    size_t first = std::string::npos;
    for (const auto& one : stop_) first = std::min(first, text_.find(one, searched));
    if (first == std::string::npos) return false;
    text_.resize(first);
    return true;
  }
  const std::string& text() const { return text_; }

 private:
  text::StreamDecoder decoder_;
  const std::vector<std::string>& stop_;
  size_t longest_ = 1;
  std::string text_;
};

// One live line on a terminal.
class TokenCount {
 public:
  void add() {
    if (!live_) return;
    ++tokens_;
    const auto now = std::chrono::steady_clock::now();
    if (now - drawn_ < std::chrono::milliseconds(200)) return;
    drawn_ = now;
    const double seconds = std::chrono::duration<double>(now - start_).count();
    std::fprintf(stderr, "\r%lld tokens, %.0f tokens/s ", static_cast<long long>(tokens_),
                 static_cast<double>(tokens_) / seconds);
  }
  ~TokenCount() {
    if (tokens_ > 0) std::fputs("\r\33[K", stderr);
  }

 private:
  bool live_ = ::isatty(STDERR_FILENO) != 0;
  int64_t tokens_ = 0;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now(), drawn_ = start_;
};

Json top_json(const std::vector<std::vector<std::pair<int64_t, float>>>& top) {
  auto out = Json::array();
  for (const auto& place : top) {
    auto best = Json::array();
    for (const auto& [id, logprob] : place) best.push_back({id, shortest_number(logprob)});
    out.push_back(std::move(best));
  }
  return out;
}

class Generate : public LineTool {
 public:
  explicit Generate(const EngineOptions& options) : engine_(options) {}

  std::vector<std::string> input_fields() const override {
    std::vector<std::string> names = {"prompt",     "prompt_ids", "messages", "max_new_tokens",
                                      "n",          "seed",       "stop",     "stop_ids",
                                      "ignore_eos", "soft_prompt"};
    for (const auto& [name, only] : greedy_only()) names.push_back(name);
    return names;
  }
  std::vector<std::string> output_fields() const override {
    return {"index", "text", "ids", "finish_reason", "logprobs", "top", "cumulative_logprob"};
  }
  void prepare(size_t lines) override {
    engine_.prepare();
    items_.resize(lines);
  }
  void read(size_t index, const base::JsonNode& line, std::string_view) override;
  void load(c10::Device device) override { engine_.load(device); }
  std::vector<Outputs> run(const std::vector<size_t>& indices) override;

 private:
  void read_stops(Item& item, const base::JsonNode& line) const;
  Json output(const lm::Completion& completion, const Watcher* watcher, const Item& item) const;

  Engine engine_;
  std::vector<Item> items_;
};

int64_t integer_or(const base::JsonNode& line, const char* name, int64_t otherwise, int64_t low,
                   int64_t high = INT64_MAX) {
  const auto given = line.find(name);
  return given ? given->integer(low, high) : otherwise;
}

void Generate::read_stops(Item& item, const base::JsonNode& line) const {
  if (const auto stop = line.find("stop")) {
    if (stop->json().is_string()) {
      item.stop.push_back(stop->string());
    } else {
      for (size_t i = 0; i < stop->size(); ++i) item.stop.push_back(stop->at(i).string());
    }
    if (std::find(item.stop.begin(), item.stop.end(), "") != item.stop.end())
      stop->fail("found an empty stop string");
    if (!item.stop.empty() && !engine_.has_tokenizer())
      stop->fail("needs a tokenizer.json in the checkpoint; give \"stop_ids\"");
  }
  if (const auto ids = line.find("stop_ids"))
    item.request.stop_ids = integers(*ids, engine_.config().vocab_size);
  if (line.boolean_or("ignore_eos", false)) return;
  const auto& eos = engine_.config().eos_ids;
  item.request.stop_ids.insert(item.request.stop_ids.end(), eos.begin(), eos.end());
}

void Generate::read(size_t index, const base::JsonNode& line, std::string_view) {
  refuse_messages(line);
  require_greedy(line);
  Item item;
  const auto prompt = engine_.tokens(line, "prompt", "prompt_ids", engine_.options().add_special);
  item.request.embeddings = engine_.soft_prompt(line);
  if (!prompt && !item.request.embeddings.defined())
    line.fail("found no \"prompt\", \"prompt_ids\" or \"soft_prompt\", expected one");
  if (prompt) item.request.ids = *prompt;
  const int64_t soft = item.request.embeddings.defined() ? item.request.embeddings.size(0) : 0;
  const auto tokens = static_cast<int64_t>(item.request.ids.size()) + soft;
  if (tokens == 0) line.fail("found an empty prompt, expected at least one token");
  item.request.max_new_tokens = integer_or(line, "max_new_tokens", 128, 0);
  const int64_t context = engine_.config().max_position_embeddings;
  if (item.request.max_new_tokens > context - tokens) {
    line.fail(base::str("found a prompt of ", tokens, " tokens and max_new_tokens ",
                        item.request.max_new_tokens, ", the model's context holds ", context,
                        "; shorten one of them"));
  }
  item.request.top = integer_or(line, "logprobs", 0, 0, engine_.config().vocab_size);
  item.copies = integer_or(line, "n", 1, 1, 1 << 20);
  integer_or(line, "seed", 0, 0);  // greedy: it decides nothing
  read_stops(item, line);
  items_[index] = std::move(item);
}

Json Generate::output(const lm::Completion& completion, const Watcher* watcher,
                      const Item& item) const {
  double sum = 0;
  for (const float logprob : completion.logprobs) sum += logprob;
  Json out = {{"ids", completion.ids},
              {"finish_reason", completion.finish_reason},
              {"logprobs", shortest_numbers(completion.logprobs)},
              {"cumulative_logprob", shortest_number(static_cast<float>(sum))}};
  out["text"] = completion.finish_reason == "stop" ? Json(watcher->text())
                : engine_.has_tokenizer() ? Json(engine_.tokenizer().decode(completion.ids))
                                          : Json();
  if (item.request.top > 0) out["top"] = top_json(completion.top);
  return out;
}

std::vector<Outputs> Generate::run(const std::vector<size_t>& indices) {
  std::vector<lm::GenerateRequest> requests;
  std::vector<std::unique_ptr<Watcher>> watchers;
  for (const size_t i : indices) {
    requests.push_back(items_[i].request);
    watchers.push_back(items_[i].stop.empty()
                           ? nullptr
                           : std::make_unique<Watcher>(engine_.tokenizer(), items_[i].stop));
  }
  TokenCount count;
  lm::GenerateOptions options{.batch = engine_.options().batch};
  options.stop = [&](int64_t request, const std::vector<int64_t>& ids) {
    count.add();
    const auto& watcher = watchers[static_cast<size_t>(request)];
    return watcher && watcher->push(ids.back());
  };
  const auto completions = lm::generate(engine_.model(), requests, options);
  std::vector<Outputs> outputs(indices.size());
  for (size_t i = 0; i < indices.size(); ++i) {
    const auto& item = items_[indices[i]];
    const Json one = output(completions[i], watchers[i].get(), item);
    // Greedy copies are all the same.
    for (int64_t copy = 0; copy < item.copies; ++copy) {
      outputs[i].push_back(one);
      outputs[i].back()["index"] = copy;
    }
  }
  return outputs;
}

}  // namespace

std::unique_ptr<LineTool> make_generate(const EngineOptions& options) {
  return std::make_unique<Generate>(options);
}

}  // namespace preimage::tools
