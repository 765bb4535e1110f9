// vec2text's correction loop against the same loop written with transformers
// (scripts/fixtures/make_encoder_fixtures.py), and against itself in other company.
#include "preimage/lm/t5/correct.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ATen/ATen.h>

#include "lm/fixture.hpp"
#include "preimage/base/json.hpp"

namespace preimage::lm {
namespace {

using Ids = std::vector<int64_t>;
using base::Json;

class Corrections : public testing::Test {
 protected:
  const std::shared_ptr<const Vec2Text> inversion = load_vec2text(fixture("inversion"), {});
  const std::shared_ptr<const Vec2Text> corrector = load_vec2text(fixture("corrector"), {});
  const std::shared_ptr<const Encoder> embedder = load_encoder(fixture("gtr"), {});
  const text::Tokenizer tokenizer = text::load_tokenizer(fixture("gtr"));
  const Inverter inverter{*inversion, *corrector, *embedder, tokenizer};
  const Json truth = base::read_json(fixture("corrections.json"));

  static CorrectionRequest request(const Json& row) {
    const auto& settings = row["settings"];
    CorrectionRequest out{.embedding = at::tensor(row["target"].get<std::vector<float>>()),
                          .steps = row["steps"],
                          .sequence_beams = row["sequence_beams"]};
    out.search.max_new_tokens = 19;
    out.search.repetition_penalty = settings.value("repetition_penalty", 1.0);
    out.search.no_repeat_ngram = settings.value("no_repeat_ngram_size", 0);
    return out;
  }
};

TEST_F(Corrections, OfTheLoopInTransformersInAnyCompany) {
  std::vector<CorrectionRequest> requests;
  for (const auto& row : truth) requests.push_back(request(row));
  const auto together = correct(inverter, requests, {.rows = 40});
  for (size_t i = 0; i < truth.size(); ++i) {
    const auto alone = correct(inverter, {requests[i]})[0];
    EXPECT_EQ(together[i].hypothesis.ids, alone.hypothesis.ids) << i;
    EXPECT_EQ(together[i].hypothesis.logprobs, alone.hypothesis.logprobs) << i;
    EXPECT_EQ(together[i].cosine, alone.cosine) << i;
    Ids words;
    for (const int64_t id : alone.hypothesis.ids) {
      if (id > 1) words.push_back(id);
    }
    EXPECT_EQ(words, truth[i]["ids"].get<Ids>()) << i;
    EXPECT_EQ(alone.text, truth[i]["text"].get<std::string>()) << i;
    EXPECT_NEAR(alone.cosine, truth[i]["cosine"].get<double>(), 1e-5) << i;
  }
}

TEST_F(Corrections, RefusesEmbeddingsOfAnotherWidth) {
  EXPECT_THAT(data_error_of([&] { correct(inverter, {{.embedding = at::ones({31})}}); }),
              testing::HasSubstr("request 0: expected an embedding of 32 numbers"));
}

}  // namespace
}  // namespace preimage::lm
