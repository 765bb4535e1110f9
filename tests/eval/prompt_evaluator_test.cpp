// pocket-coder answers, threads and a judge that comes late score: results in order, each once, and
// bit by bit what each request gives by itself.
#include "preimage/eval/prompt_evaluator.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "preimage/base/error.hpp"
#include "preimage/base/random.hpp"
#include "preimage/base/sha256.hpp"
#include "preimage/lm/generate/generate.hpp"
#include "preimage/lm/target_loss.hpp"

namespace preimage::eval {
namespace {

using Ids = std::vector<int64_t>;

// Longer texts sooner, so that answers overtake each other.
base::Json length_terms(const PromptRequest& request, const Answer& answer) {
  std::this_thread::sleep_for(std::chrono::milliseconds(20 / (1 + answer.text.size())));
  return {{"length", answer.text.size()}, {"target", request.target}};
}

// Gives the hash of each answer back, in an order of its own.
class LateAnswerJudge : public AnswerJudge {
 public:
  int64_t submit(const PromptRequest&, const Answer& answer) override {
    EXPECT_EQ(answer.terms.at("length"), answer.text.size());
    waiting_.push_back({++tickets_, {{"judged", answer.hash}}});
    return tickets_;
  }
  std::optional<std::pair<int64_t, base::Json>> next(double timeout_s) override {
    if (waiting_.empty() || (timeout_s == 0 && ++looks_ % 4 != 0)) return std::nullopt;
    const auto at = static_cast<std::ptrdiff_t>(random_.below(waiting_.size(), draws_++));
    auto out = waiting_[static_cast<size_t>(at)];
    waiting_.erase(waiting_.begin() + at);
    return out;
  }
  int64_t pending() const override { return std::ssize(waiting_); }

 private:
  base::RandomStream random_{3, "late answers", "test"};
  std::vector<std::pair<int64_t, base::Json>> waiting_;
  int64_t tickets_ = 0, looks_ = 0;
  uint64_t draws_ = 0;
};

class Evaluator : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    const std::string folder = std::string(PREIMAGE_SOURCE_DIR) + "/jobs/models/pocket-coder";
    model = std::make_unique<TextModel>(load_text_model(folder, lm::load_model(folder, {}), false));
    identity = model_identity(folder, {}, false);
  }
  static void TearDownTestSuite() { model.reset(); }

  // Greedy and sampled, one answer or several, with and without a target's loss; the fourth again
  // at the end.
  static std::vector<PromptRequest> requests() {
    std::vector<PromptRequest> out;
    for (int64_t i = 0; i < 9; ++i) {
      PromptRequest r{.prompt = prompt_ids(*model, "def add" + std::to_string(i) + "(a, b):\n"),
                      .target = "t" + std::to_string(i % 2),
                      .max_new_tokens = 6 + i * 5 % 17,
                      .stop_ids = stop_ids(*model)};
      if (i % 3 == 1) r.n = 3, r.sampling = {.temperature = 0.9, .seed = static_cast<uint64_t>(i)};
      if (i % 2 == 0) r.target_ids = prompt_ids(*model, "    return a + b\n");
      if (i == 6) r.n = 0;
      if (i == 2) r.stop = {"b"};
      out.push_back(std::move(r));
    }
    out.push_back(out[4]);
    out.push_back(out[6]);
    return out;
  }

  static void expect_result(const PromptRequest& request, const Evaluation& found) {
    std::vector<lm::Completion> alone;
    if (request.n > 0)
      alone = lm::generate(*model->model,
                           {{.ids = request.prompt,
                             .max_new_tokens = request.max_new_tokens,
                             .stop_ids = request.stop_ids,
                             .sampling = request.sampling,
                             .n = request.n,
                             .stop = request.stop}},
                           {.batch = 1, .tokenizer = &model->tokenizer});
    ASSERT_EQ(found.answers.size(), alone.size());
    for (size_t i = 0; i < alone.size(); ++i) {
      const auto& answer = found.answers[i];
      EXPECT_EQ(answer.ids, alone[i].ids);
      EXPECT_EQ(answer.text, alone[i].text);
      EXPECT_EQ(answer.stop, alone[i].finish_reason);
      EXPECT_EQ(answer.tokens, std::ssize(alone[i].ids));
      double sum = 0;
      for (const float logprob : alone[i].logprobs) sum += static_cast<double>(logprob);
      EXPECT_EQ(answer.logprob_sum, sum);
      EXPECT_EQ(answer.terms.at("length"), answer.text.size());
      EXPECT_EQ(answer.terms.at("target"), request.target);
      EXPECT_EQ(answer.terms.at("judged"), answer.hash);
      EXPECT_GE(answer.margin, 0);
    }
    EXPECT_EQ(found.has_nll, !request.target_ids.empty());
    if (!found.has_nll) return;
    const auto loss = lm::target_loss(
        *model->model, {{.prompt = request.prompt, .continuation = request.target_ids}}, {})[0];
    EXPECT_EQ(found.target_nll, loss.nll);
    EXPECT_EQ(found.nll, loss.mean);
    EXPECT_EQ(found.target_greedy, loss.greedy);
  }

  static void expect_terms_equal(const Evaluation& a, const Evaluation& b) {
    ASSERT_EQ(a.answers.size(), b.answers.size());
    for (size_t i = 0; i < a.answers.size(); ++i) {
      EXPECT_EQ(a.answers[i].ids, b.answers[i].ids);
      EXPECT_EQ(a.answers[i].hash, b.answers[i].hash);
      EXPECT_EQ(a.answers[i].terms, b.answers[i].terms);
    }
    EXPECT_EQ(a.target_nll, b.target_nll);
  }

  static std::unique_ptr<TextModel> model;
  static ModelIdentity identity;
};
std::unique_ptr<TextModel> Evaluator::model;
ModelIdentity Evaluator::identity;

TEST_F(Evaluator, GivesEachResultInOrderAndAsAlone) {
  const auto all = requests();
  for (const int64_t batch : {1, 5}) {
    LateAnswerJudge judge;
    PromptEvaluator evaluator(
        {*model, identity, length_terms, &judge},
        {.batch = batch, .longest = 64, .nll_tokens = 40, .threads = 2, .margins = true});
    size_t sent = 0, came = 0;
    while (came < all.size()) {
      while (sent < all.size() && evaluator.room() > 0) {
        EXPECT_EQ(evaluator.submit(all[sent]), static_cast<int64_t>(sent + 1));
        ++sent;
      }
      const auto done = evaluator.next(sent < all.size() ? 0.001 : -1);
      if (!done) continue;
      ASSERT_EQ(done->ticket, static_cast<int64_t>(came + 1));
      EXPECT_EQ(done->evaluation.key, evaluation_key(identity, all[came]));
      expect_result(all[came++], done->evaluation);
    }
    EXPECT_EQ(evaluator.next(), std::nullopt);
    EXPECT_EQ(evaluator.pending(), 0);
    // 9 requests of 1, 3 or 0 answers, and two again.
    EXPECT_EQ(evaluator.counts().calls_requested, 17);
  }
}

TEST_F(Evaluator, EvaluatesEqualRequestsOnce) {
  const auto all = requests();
  PromptEvaluator evaluator({*model, identity, length_terms}, {.batch = 8, .longest = 64});
  for (const auto& request : {all[4], all[0], all[4], all[4]}) evaluator.submit(request);
  std::vector<Evaluated> results;
  while (auto done = evaluator.next()) results.push_back(std::move(*done));
  ASSERT_EQ(results.size(), 4u);
  EXPECT_FALSE(results[0].shared);
  for (const size_t i : {2, 3}) {
    EXPECT_TRUE(results[i].shared);
    EXPECT_EQ(results[i].evaluation.key, results[0].evaluation.key);
    expect_terms_equal(results[i].evaluation, results[0].evaluation);
    EXPECT_NE(results[i].ticket, results[0].ticket);
  }
  EXPECT_EQ(evaluator.counts().calls_requested, 10);
  EXPECT_EQ(evaluator.counts().calls_executed, 4);
  EXPECT_EQ(evaluator.counts().calls_shared, 6);
  EXPECT_EQ(evaluator.counts().nll_passes, 2);
}

TEST_F(Evaluator, KeysDifferWhereResultsMay) {
  const auto base = requests()[1];
  std::vector<PromptRequest> others(9, base);
  others[0].prompt.push_back(5);
  others[1].target = "t9";
  others[2].n = 2;
  others[3].max_new_tokens += 1;
  others[4].stop_ids.push_back(7);
  others[5].stop = {"x"};
  others[6].sampling.seed += 1;
  others[7].sampling.temperature = 0.8;
  others[8].target_ids = {4};
  std::set<std::string> keys = {evaluation_key(identity, base)};
  for (const auto& other : others) keys.insert(evaluation_key(identity, other));
  for (auto member : {&ModelIdentity::weights, &ModelIdentity::dtype, &ModelIdentity::format,
                      &ModelIdentity::templates, &ModelIdentity::model}) {
    auto other = identity;
    other.*member += "x";
    keys.insert(evaluation_key(other, base));
  }
  EXPECT_EQ(keys.size(), 15u);
  // A seed changes nothing that is greedy.
  auto greedy = requests()[0], seeded = greedy;
  seeded.sampling.seed = 77;
  EXPECT_EQ(evaluation_key(identity, greedy), evaluation_key(identity, seeded));
}

// However its folder is written, and wherever it lies.
TEST_F(Evaluator, AModelIsWhatItsFilesHold) {
  const std::filesystem::path folder =
      std::filesystem::path(PREIMAGE_SOURCE_DIR) / "jobs/models/pocket-coder";
  for (const auto& other : {std::filesystem::relative(folder), folder / ""}) {
    const auto again = model_identity(other, {}, false);
    EXPECT_EQ(again.model, "pocket-coder") << other;
    EXPECT_EQ(again.weights, identity.weights) << other;
  }
  const auto chat = model_identity(folder, {.dtype = at::kBFloat16}, true);
  EXPECT_EQ(chat.weights, identity.weights);
  EXPECT_EQ(chat.templates.size(), 64u);
  EXPECT_NE(chat.templates, base::sha256_hex(""));  // files were found
  EXPECT_EQ(identity.templates, "");
  EXPECT_EQ(chat.dtype, "BFloat16");
}

TEST_F(Evaluator, SaysWhatItCannotHoldAndGoesOn) {
  PromptEvaluator evaluator({*model, identity, length_terms}, {.batch = 2, .longest = 20});
  const auto text_of = [&](PromptRequest request) {
    try {
      evaluator.submit(std::move(request));
    } catch (const base::Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_THAT(text_of({.prompt = {5, 6}, .max_new_tokens = 19}),
              testing::HasSubstr("found 21 tokens"));
  EXPECT_THAT(text_of({.prompt = {5}, .target = "t", .n = 0, .target_ids = {1 << 30}}),
              testing::HasSubstr("target t: found token id"));
  EXPECT_EQ(evaluator.submit({.prompt = {5, 6}, .max_new_tokens = 2}), 1);
  evaluator.next(0);
  evaluator.cancel();
  EXPECT_EQ(evaluator.pending(), 0);
  EXPECT_EQ(evaluator.submit({.prompt = {5, 7}, .max_new_tokens = 2}), 2);
  EXPECT_EQ(evaluator.next()->ticket, 2);
}

// The plan's 5,120 tokens: a prompt of 4,096 and its answer, in company and alone.
TEST_F(Evaluator, HoldsFiveThousandTokens) {
  lm::ModelConfig c;
  c.family = "llama", c.hidden_size = 32, c.intermediate_size = 48, c.layers = 2;
  c.query_heads = 2, c.kv_heads = 1, c.head_dim = 16, c.vocab_size = 6144;
  c.max_position_embeddings = 5120, c.rms_norm_eps = 1e-6, c.stored_dtype = "float32";
  uint64_t part = 0;
  const std::string folder = std::string(PREIMAGE_SOURCE_DIR) + "/jobs/models/pocket-coder";
  const auto random = lm::build_model(c, [&](const std::string& name, at::IntArrayRef shape) {
    auto out = at::ones(shape);
    const base::RandomStream stream(part++, name, "weights");
    auto* values = out.data_ptr<float>();
    for (int64_t i = 0; name.find("norm") == std::string::npos && i < out.numel(); ++i)
      values[i] = static_cast<float>(0.3 * stream.uniform(static_cast<uint64_t>(i)) - 0.15);
    return out;
  });
  const auto small = load_text_model(folder, random, false);
  std::vector<PromptRequest> all(2);
  const base::RandomStream ids(1, "ids", "test");
  for (uint64_t i = 0; i < 4096; ++i)
    all[0].prompt.push_back(static_cast<int64_t>(ids.below(6000, i)));
  all[1].prompt = {all[0].prompt.begin(), all[0].prompt.begin() + 900};
  all[0].max_new_tokens = 1024, all[1].max_new_tokens = 40;
  all[0].target_ids = {all[0].prompt.begin(), all[0].prompt.begin() + 1024};
  PromptEvaluator evaluator({small, identity, {}}, {.batch = 2, .longest = 5120});
  for (const auto& request : all) evaluator.submit(request);
  for (const auto& request : all) {
    const auto done = evaluator.next();
    ASSERT_TRUE(done);
    const auto alone = lm::generate(
        *random, {{.ids = request.prompt, .max_new_tokens = request.max_new_tokens}}, {.batch = 1});
    EXPECT_EQ(done->evaluation.answers[0].ids, alone[0].ids);
    EXPECT_EQ(std::ssize(alone[0].ids), request.max_new_tokens);
  }
  all[0].prompt.push_back(5);
  EXPECT_THROW(evaluator.submit(all[0]), base::Error);
}

TEST_F(Evaluator, ThrowsWhatTheScorerThrows) {
  PromptEvaluator evaluator({*model, identity,
                             [](const PromptRequest&, const Answer&) -> base::Json {
                               throw base::data_error("no such target");
                             }},
                            {.batch = 2, .longest = 20});
  evaluator.submit({.prompt = {5, 6}, .max_new_tokens = 2});
  EXPECT_THROW(evaluator.next(), base::Error);
}

}  // namespace
}  // namespace preimage::eval
