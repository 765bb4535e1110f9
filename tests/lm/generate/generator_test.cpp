// ranks: 1 2
// time limit: 180 s
// The determinism matrix: a completion has the same bits alone and in every company, order, batch,
// chunking and number of threads and ranks, with shared prefixes and after preemption.
#include "preimage/lm/generate/generator.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <bit>
#include <map>

#include "lm/fixture.hpp"
#include "preimage/base/random.hpp"
#include "preimage/lm/score.hpp"
#include "ranked_main.hpp"

namespace preimage::lm {
namespace {

using Bits = std::vector<int64_t>;

Bits bits_of(const Completion& completion) {
  Bits bits = completion.ids;
  for (const float logprob : completion.logprobs) bits.push_back(std::bit_cast<int32_t>(logprob));
  for (const auto& step : completion.top) {
    for (const auto& [id, logprob] : step)
      bits.push_back(id), bits.push_back(std::bit_cast<int32_t>(logprob));
  }
  bits.push_back(completion.finish_reason == "eos");
  return bits;
}

// Prompts of 1 to 70 tokens, every third after a common instruction of 37; all ways of choosing.
std::vector<GenerateRequest> some_requests(const Model& model, int64_t count) {
  const base::RandomStream random(11, "requests", "test");
  const auto vocabulary = static_cast<uint64_t>(model.config().vocab_size);
  std::vector<GenerateRequest> requests;
  for (int64_t i = 0; i < count; ++i) {
    GenerateRequest r{.max_new_tokens = 1 + i * 7 % 81, .stop_ids = {7, 300}, .top = i % 4 / 3 * 2};
    uint64_t at = static_cast<uint64_t>(i) * 1000;
    if (i % 3 == 0) {
      for (int64_t t = 0; t < 37; ++t) r.ids.push_back(t * 5 % 97);
    }
    const auto length = 1 + static_cast<int64_t>(random.below(33, at++));
    for (int64_t t = 0; t < length; ++t)
      r.ids.push_back(static_cast<int64_t>(random.below(vocabulary, at++)));
    if (i % 5 == 1) r.sampling = {.temperature = 1.2, .top_k = 40, .top_p = 0.9};
    if (i % 5 == 2) r.sampling = {.temperature = 0.9, .min_p = 0.02, .seed = 5};
    if (i % 5 == 3) r.sampling = {.repetition_penalty = 1.3, .no_repeat_ngram = 2};
    requests.push_back(std::move(r));
  }
  return requests;
}

int64_t longest(const std::vector<GenerateRequest>& requests) {
  int64_t out = 0;
  for (const auto& r : requests) {
    const int64_t soft = r.embeddings.defined() ? r.embeddings.size(0) : 0;
    out = std::max(out, soft + std::ssize(r.ids) + r.max_new_tokens);
  }
  return out;
}

// Completions in the order of the tickets and candidates.
std::vector<Completion> collect(Generator& generator) {
  std::vector<Completion> out;
  while (auto completion = generator.next()) out.push_back(std::move(*completion));
  std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) {
    return std::pair(a.request, a.index) < std::pair(b.request, b.index);
  });
  return out;
}

std::vector<Completion> run(Generator& generator, const std::vector<GenerateRequest>& requests) {
  for (const auto& request : requests) generator.submit(request);
  return collect(generator);
}

struct Variant {
  const char* name;
  GeneratorOptions options;
  int threads = 1;
  bool shuffled = false;
};

std::vector<Variant> variants() {
  return {
      {"two at once", {.batch = 2}},
      {"64, another order", {.batch = 64}, 1, true},
      {"all at once, two threads", {.batch = 300}, 2, true},
      {"nothing shared", {.batch = 64, .share_prefixes = false}, 2},
      {"chunks of a page", {.batch = 7, .prefill_tokens = 16}, 1, true},
      {"few pages", {.batch = 64, .prefill_tokens = 100, .cache_pages = 12}, 1, true},
  };
}

class Matrix : public testing::TestWithParam<at::ScalarType> {};
INSTANTIATE_TEST_SUITE_P(Dtypes, Matrix, testing::Values(at::kFloat, at::kBFloat16));

TEST_P(Matrix, ACompletionDependsOnItsRequestAlone) {
  if (tests::world().size() > 1) GTEST_SKIP() << "one rank is enough";
  const auto model = load_model(fixture("qwen2_tied"), {.dtype = GetParam()});
  const auto requests = some_requests(*model, GetParam() == at::kFloat ? 300 : 80);
  std::vector<Bits> alone;
  for (const auto& request : requests) alone.push_back(bits_of(generate(*model, {request}, {})[0]));
  for (const auto& variant : variants()) {
    std::vector<size_t> order;
    for (size_t i = 0; i < requests.size(); ++i)
      order.push_back(variant.shuffled ? i * 77 % requests.size() : i);  // 77 is prime to 300, 80
    std::vector<GenerateRequest> ordered;
    for (const size_t i : order) ordered.push_back(requests[i]);
    at::set_num_threads(variant.threads);
    auto options = variant.options;
    options.longest = longest(requests);
    Generator generator(*model, options);
    const auto completions = run(generator, ordered);
    at::set_num_threads(1);
    int64_t different = 0;
    for (size_t i = 0; i < order.size(); ++i)
      different += bits_of(completions[i]) != alone[order[i]];
    EXPECT_EQ(different, 0) << variant.name;
    EXPECT_EQ(generator.counts().preemptions > 0, variant.options.cache_pages > 0) << variant.name;
    EXPECT_EQ(generator.counts().shared > 0, variant.options.share_prefixes) << variant.name;
  }
}

// Requests that come while others run, some cancelled with everything before them: the bits of each
// alone.
TEST(Generator, ARequestMayComeAtAnyTime) {
  if (tests::world().size() > 1) GTEST_SKIP() << "one rank is enough";
  const auto model = load_model(fixture("qwen2_tied"), {});
  const auto requests = some_requests(*model, 90);
  const auto expected = generate(*model, requests, {.batch = 90});
  const base::RandomStream random(3, "arrivals", "test");
  for (const int64_t pages : {0, 14}) {
    Generator generator(*model, {.batch = 9, .longest = longest(requests), .cache_pages = pages});
    std::map<int64_t, size_t> which;  // by ticket
    size_t sent = 0, came = 0;
    int64_t dropped = 0;
    for (uint64_t turn = 0; sent < requests.size() || generator.pending() > 0; ++turn) {
      for (auto n = random.below(4, turn); n > 0 && sent < requests.size(); --n) {
        const size_t i = sent++ * 77 % requests.size();
        which[generator.submit(requests[i])] = i;
      }
      if (turn == 40) dropped = generator.pending(), generator.cancel();
      const auto completion = generator.next(0);
      if (!completion) continue;
      ++came;
      const auto i = which.at(completion->request);
      EXPECT_EQ(bits_of(*completion), bits_of(expected[i])) << i;
    }
    EXPECT_GT(dropped, 0);
    EXPECT_EQ(came + static_cast<size_t>(dropped), requests.size());
    EXPECT_EQ(generator.counts().preemptions > 0, pages > 0);
  }
}

TEST(Generator, RefusesWhatItWasNotMadeFor) {
  const auto model = load_model(fixture("qwen2_tied"), {});
  Generator generator(*model, {.longest = 10});
  EXPECT_EQ(generator.submit({.ids = {5}, .max_new_tokens = 9}), 1);
  EXPECT_THAT(data_error_of([&] {
                generator.submit({.ids = {5, 6}, .max_new_tokens = 9});
              }),
              testing::HasSubstr("request 1: found 11 tokens of prompt and completion, this "
                                 "generator was made for 10"));
  EXPECT_EQ(generator.submit({.ids = {5}, .max_new_tokens = 0}), 2);
  EXPECT_EQ(generator.next(0)->request, 2);
  EXPECT_EQ(generator.next()->request, 1);
  EXPECT_EQ(generator.next(), std::nullopt);
}

// Ranks that divide the requests have what one of them has by itself.
TEST(Ranks, DivideTheRequests) {
  const auto& world = tests::world();
  const auto model = load_model(fixture("qwen2_untied"), {});
  const auto requests = some_requests(*model, 40);
  std::vector<GenerateRequest> mine;
  for (size_t i = 0; i < requests.size(); ++i) {
    if (static_cast<int>(i) % world.size() == world.rank()) mine.push_back(requests[i]);
  }
  base::Json own = base::Json::array();
  for (const auto& completion : generate(*model, mine, {})) own.push_back(bits_of(completion));
  const auto all = world.all_gather(own.dump());
  const auto together = generate(*model, requests, {.batch = 5});
  for (size_t i = 0; i < requests.size(); ++i) {
    const auto part = base::Json::parse(all[i % static_cast<size_t>(world.size())]);
    EXPECT_EQ(part[i / static_cast<size_t>(world.size())].get<Bits>(), bits_of(together[i])) << i;
  }
}

TEST(Generator, CandidatesShareTheirPromptAndDiffer) {
  const auto model = load_model(fixture("qwen2_tied"), {});
  GenerateRequest request{
      .max_new_tokens = 8, .sampling = {.temperature = 1.5, .seed = 9}, .n = 20};
  for (int64_t i = 0; i < 50; ++i) request.ids.push_back(i * 3 % 97);
  const std::vector<GenerateRequest> requests = {request, request};
  Generator generator(*model, {.batch = 12, .longest = 58});
  const auto completions = run(generator, requests);
  ASSERT_EQ(completions.size(), 40u);
  std::set<std::vector<int64_t>> kinds;
  for (size_t i = 0; i < 20; ++i) {
    EXPECT_EQ(completions[i].index, static_cast<int64_t>(i));
    EXPECT_EQ(completions[20 + i].request, 2);
    EXPECT_EQ(bits_of(completions[i]), bits_of(completions[20 + i]));  // the same seed and index
    kinds.insert(completions[i].ids);
  }
  EXPECT_GT(kinds.size(), 15u);
  // Three of the four blocks of every prompt but the first are found.
  EXPECT_EQ(generator.counts().shared, 39 * 48);
  EXPECT_EQ(generator.counts().prefilled, 50 + 39 * 2);
}

TEST(Generator, SoftPromptsAreSharedByTheirValues) {
  const auto model = load_model(fixture("qwen2_tied"), {});
  const auto table = model->embedding_table();
  const GenerateRequest soft{
      .ids = {5, 6}, .embeddings = table.narrow(0, 0, 30), .max_new_tokens = 4, .n = 2};
  GenerateRequest other = soft;
  other.embeddings = table.narrow(0, 1, 30);
  const std::vector<GenerateRequest> requests = {soft, other};
  Generator generator(*model, {.longest = 36});
  const auto completions = run(generator, requests);
  EXPECT_EQ(generator.counts().shared, 2 * 16);
  EXPECT_EQ(bits_of(completions[2]),
            bits_of(generate(*model, {other}, {.share_prefixes = false})[0]));
}

TEST(Generator, SaysWhichRequestCanNeverFit) {
  const auto model = load_model(fixture("qwen2_tied"), {});
  EXPECT_THAT(
      data_error_of([&] {
        generate(*model, {{.ids = {5}, .max_new_tokens = 9}, {.ids = {5}, .max_new_tokens = 90}},
                 {.cache_pages = 3});
      }),
      testing::HasSubstr("request 1: needs 96 tokens of key/value cache, the device holds 48"));
}

// A device whose memory ends at `rows` rows.
class SmallDevice : public Model {
 public:
  SmallDevice(std::shared_ptr<const Model> model, int64_t rows) : model_(model), rows_(rows) {}
  const ModelConfig& config() const override { return model_->config(); }
  at::ScalarType dtype() const override { return model_->dtype(); }
  at::Device device() const override { return model_->device(); }
  at::Tensor embed(const at::Tensor& ids) const override { return model_->embed(ids); }
  at::Tensor hidden(const at::Tensor& x, const nn::AttentionContext& context) const override {
    TORCH_CHECK_WITH(OutOfMemoryError, x.size(0) <= rows_, "no memory for ", x.size(0), " rows");
    return model_->hidden(x, context);
  }
  const std::vector<nn::HeadLayout>& attention_layers() const override {
    return model_->attention_layers();
  }
  const nn::Weight& head() const override { return model_->head(); }
  const at::Tensor& embedding_table() const override { return model_->embedding_table(); }

 private:
  std::shared_ptr<const Model> model_;
  int64_t rows_;
};

TEST(Generator, GoesOnWithLessWhenMemoryRunsOut) {
  const auto model = load_model(fixture("qwen2_tied"), {});
  const auto requests = some_requests(*model, 60);
  const auto expected = generate(*model, requests, {});
  const SmallDevice small(model, 20);
  Generator generator(small, {.batch = 40, .longest = longest(requests)});
  const auto completions = run(generator, requests);
  for (size_t i = 0; i < requests.size(); ++i)
    EXPECT_EQ(bits_of(completions[i]), bits_of(expected[i])) << i;
  EXPECT_GT(generator.counts().out_of_memory, 2);
  EXPECT_THROW(generate(SmallDevice(model, 0), requests, {}), c10::OutOfMemoryError);
}

TEST(Generator, CancelledItKeepsWhatHasFinished) {
  const auto model = load_model(fixture("qwen2_tied"), {});
  const auto requests = some_requests(*model, 40);
  const auto expected = generate(*model, requests, {.batch = 10});
  for (const int64_t passes : {0, 1, 30}) {
    int64_t asked = 0, finished = 0;
    const auto cut = generate(*model, requests,
                              {.batch = 10,
                               .finished = [&](const Completion&) { ++finished; },
                               .cancelled = [&] { return asked++ == passes; }});
    EXPECT_EQ(asked, passes + 1);
    ASSERT_EQ(cut.size(), expected.size());
    int64_t whole = 0;
    for (size_t i = 0; i < cut.size(); ++i) {
      if (cut[i].finish_reason.empty()) continue;
      ++whole;
      EXPECT_EQ(bits_of(cut[i]), bits_of(expected[i])) << i;
    }
    EXPECT_EQ(whole, finished);
    EXPECT_LT(whole, 40);
    EXPECT_EQ(whole > 0, passes == 30);
  }
}

TEST(Generator, StopStringsEndTheTextBeforeThem) {
  const auto model = load_model(fixture("qwen2_text"), {});
  const auto tokenizer = text::load_tokenizer(fixture("qwen2_text"));
  GenerateRequest request{.ids = tokenizer.encode("the cat"), .max_new_tokens = 40};
  std::vector<std::string> finished;
  const GenerateOptions options{.tokenizer = &tokenizer, .finished = [&](const Completion& c) {
                                  finished.push_back(c.finish_reason);
                                }};
  const auto whole = generate(*model, {request}, options)[0];
  EXPECT_EQ(whole.text, tokenizer.decode(whole.ids));
  const auto letter = std::find_if(whole.text.begin() + 1, whole.text.end(),
                                   [](char c) { return c >= 'a' && c <= 'z'; });
  ASSERT_NE(letter, whole.text.end());
  request.stop = {"\x01 never", std::string(1, *letter)};
  const auto stopped = generate(*model, {request}, options)[0];
  EXPECT_EQ(stopped.text, whole.text.substr(0, whole.text.find(*letter)));
  EXPECT_EQ(stopped.finish_reason, "stop");
  EXPECT_EQ(finished, (std::vector<std::string>{whole.finish_reason, "stop"}));
  EXPECT_THAT(data_error_of([&] { generate(*model, {request}, {}); }),
              testing::HasSubstr("request 0: stop strings need a tokenizer"));
}

}  // namespace
}  // namespace preimage::lm
