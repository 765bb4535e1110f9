// Both ways of vec2text as a lipo run takes them, against the same written with transformers
// (scripts/fixtures/make_encoder_fixtures.py).
#include "inverter.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ATen/ATen.h>

#include "lm/fixture.hpp"
#include "preimage/base/json.hpp"
#include "preimage/lm/checkpoint/safetensors.hpp"

namespace preimage::lipo {
namespace {

using base::Json;
using lm::fixture;

// The fixtures of models have no tokenizer: it is the embedder's.
InverterConfig config_of(bool corrector) {
  InverterConfig out;
  out.embedder = fixture("gtr");
  out.pooling = "mean";
  out.model = fixture("inversion");
  if (corrector) out.corrector = fixture("corrector");
  return out;
}

TEST(TextInverters, CorrectAsTheLoopInTransformers) {
  const auto truth = base::read_json(fixture("corrections.json"));
  int compared = 0;
  for (const auto& row : truth) {
    if (row["steps"] == 0) continue;
    auto config = config_of(true);
    config.max_length = 20;
    config.steps = row["steps"];
    config.sequence_beam = row["sequence_beams"];
    config.repetition_penalty = row["settings"].value("repetition_penalty", 1.0);
    config.no_repeat_ngram = row["settings"].value("no_repeat_ngram_size", 0);
    const TextInverter inverter(config, at::kCPU);
    EXPECT_EQ(inverter.embedding_dim(), 32);
    const auto target = at::tensor(row["target"].get<std::vector<float>>());
    const auto text = inverter.invert(target.unsqueeze(0)).front();
    EXPECT_EQ(text, row["text"].get<std::string>());
    ++compared;
    if (text.empty()) continue;
    // The embedder of the loop is that of the run.
    const auto own = inverter.embed({text})[0];
    EXPECT_NEAR(at::cosine_similarity(own, target, 0).item<float>(), row["cosine"].get<double>(),
                2e-2);
  }
  EXPECT_EQ(compared, 18);
}

// Eight beams, a penalty, no repeated trigrams: the ids of transformers as text.
TEST(TextInverters, InvertsAsTransformers) {
  const auto expected = base::read_json(fixture("inversion") / "expected.json");
  const auto& settings = expected["beams"][4];
  auto config = config_of(false);
  config.max_length = 25;
  config.beam = settings["num_beams"];
  config.repetition_penalty = settings["repetition_penalty"];
  config.no_repeat_ngram = settings["no_repeat_ngram_size"];
  const TextInverter inverter(config, at::kCPU);
  const lm::SafetensorsFile tensors(fixture("inversion") / "expected.safetensors");
  const auto targets = tensors.read(*tensors.find("target"));
  const auto texts = inverter.invert(targets);
  const auto tokenizer = text::load_tokenizer(fixture("gtr"));
  ASSERT_EQ(static_cast<int64_t>(texts.size()), targets.size(0));
  for (size_t i = 0; i < texts.size(); ++i) {
    const auto ids = settings["rows"][i]["ids"][0].get<std::vector<int64_t>>();
    auto wanted = tokenizer.decode({ids.begin(), ids.end()});
    wanted.erase(0, wanted.find_first_not_of(' '));
    EXPECT_EQ(texts[i], wanted.substr(0, wanted.find_last_not_of(' ') + 1)) << i;
    // In other company the same.
    EXPECT_EQ(inverter.invert(targets[static_cast<int64_t>(i)].unsqueeze(0)).front(), texts[i]);
  }
}

}  // namespace
}  // namespace preimage::lipo
