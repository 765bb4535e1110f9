// ranks: 1 2 3
// Training a decoder against transformers with torch's AdamW
// (scripts/fixtures/make_training_fixtures.py), on any number of ranks and after a stop.
#include "preimage/lm/train/train.hpp"

#include <ATen/ATen.h>
#include <gmock/gmock.h>

#include <cmath>
#include <filesystem>

#include "lm/fixture.hpp"
#include "preimage/base/json.hpp"
#include "preimage/base/str.hpp"
#include "preimage/cluster/session.hpp"
#include "ranked_main.hpp"

namespace preimage::lm {
namespace {

namespace fs = std::filesystem;

std::vector<TrainDocument> documents(const base::Json& json) {
  std::vector<TrainDocument> out;
  for (const auto& one : json)
    out.push_back({one["ids"].get<std::vector<int32_t>>(), one["first_target"]});
  return out;
}

struct Reference {
  base::Json json = base::read_json(fixture("qwen2_tied_training.json"));
  ModelConfig config = read_model_config(fixture("qwen2_tied"));
  TrainOptions options;
  TrainStream text{documents(json["documents"]), json["end"], 16, 3};
  TrainStream validation{documents(json["validation"]), json["end"], 16, 0};

  Reference() {
    auto fields = base::fields_of(options);
    EXPECT_TRUE(base::read_fields(fields, json["options"], "fixture").empty());
  }
  Parameters parameters() const { return load_parameters(fixture("qwen2_tied"), config, at::kCPU); }
  LoopResult train(Parameters& parameters, const TrainPlace& place) const {
    return lm::train(parameters, {config, text, validation, options}, place);
  }
};

TEST(Train, AgreesWithTransformersAndAdamW) {
  const Reference reference;
  auto parameters = reference.parameters();
  std::vector<double> reported;
  const auto result = reference.train(
      parameters,
      {tests::world(), "", nullptr, [&](const CurvePoint& p) { reported.push_back(p.loss); }});
  const auto& curve = reference.json["curve"];
  ASSERT_EQ(result.curve.size(), curve.size());
  ASSERT_EQ(reported.size(), curve.size());
  for (size_t i = 0; i < curve.size(); ++i) {
    const auto& ours = result.curve[i];
    EXPECT_EQ(ours.step, static_cast<int64_t>(i));
    EXPECT_EQ(reported[i], ours.loss);
    EXPECT_NEAR(ours.loss, curve[i]["loss"].get<double>(), 1e-5) << i;
    EXPECT_NEAR(ours.gradient_norm / curve[i]["gradient_norm"].get<double>(), 1, 1e-4) << i;
    EXPECT_DOUBLE_EQ(ours.learning_rate, curve[i]["learning_rate"].get<double>()) << i;
    if (curve[i]["validation"].is_null()) {
      EXPECT_TRUE(std::isnan(ours.validation)) << i;
    } else {
      EXPECT_NEAR(ours.validation, curve[i]["validation"].get<double>(), 1e-5) << i;
    }
  }
  for (const auto& [name, squares] : reference.json["squares"].items()) {
    const double ours = parameters.views.at(name).to(at::kDouble).square().sum().item<double>();
    EXPECT_NEAR(ours / squares.get<double>(), 1, 5e-5) << name;
  }
}

TEST(Train, SameBitsOnAnyNumberOfRanks) {
  const Reference reference;
  auto together = reference.parameters(), one = reference.parameters();
  const auto a = reference.train(together, {.world = tests::world()});
  const auto alone = cluster::alone();
  const auto b = reference.train(one, {.world = alone});
  EXPECT_TRUE(at::equal(together.flat, one.flat));
  for (size_t i = 0; i < a.curve.size(); ++i) {
    EXPECT_EQ(a.curve[i].loss, b.curve[i].loss) << i;
    EXPECT_EQ(a.curve[i].gradient_norm, b.curve[i].gradient_norm) << i;
  }
  EXPECT_EQ(a.curve.back().validation, b.curve.back().validation);
}

TEST(Train, GoesOnToTheSameBitsAndRefusesOtherOptions) {
  Reference reference;
  auto whole = reference.parameters();
  reference.train(whole, {.world = tests::world()});
  const auto folder =
      fs::temp_directory_path() /
      base::str("preimage-train-test-", tests::world().broadcast(base::str(::getpid())));
  cluster::on_root(tests::world(), [&] {
    fs::create_directories(folder);
    return std::string();
  });
  const auto state = folder / "state.safetensors";
  base::Budget budget;
  auto half = reference.parameters(), rest = reference.parameters();
  const auto stopped =
      reference.train(half, {tests::world(), state, &budget, [&](const CurvePoint& p) {
                               if (p.step == 4 && tests::world().root()) budget.request_stop();
                             }});
  EXPECT_FALSE(stopped.finished);
  EXPECT_EQ(stopped.curve.size(), 5u);
  const auto result = reference.train(rest, {tests::world(), state});
  EXPECT_TRUE(result.finished);
  EXPECT_EQ(result.curve.size(), 12u);
  EXPECT_TRUE(at::equal(rest.flat, whole.flat));
  reference.options.schedule.lr = 0.02;
  try {
    auto other = reference.parameters();
    reference.train(other, {tests::world(), state});
    ADD_FAILURE() << "another rate goes on from this state";
  } catch (const cluster::CollectiveError& error) {
    EXPECT_EQ(error.code(), base::ExitCode::bad_data);
    EXPECT_THAT(error.what(), testing::HasSubstr("the state of another training"));
  }
  tests::world().barrier();
  if (tests::world().root()) fs::remove_all(folder);
}

TEST(Train, InitialParametersAreThoseOfGpt2) {
  const auto config = read_model_config(fixture("qwen2_tied"));
  const auto a = initial_parameters(config, 1, at::kCPU),
             b = initial_parameters(config, 1, at::kCPU);
  EXPECT_TRUE(at::equal(a.flat, b.flat));
  EXPECT_FALSE(at::equal(a.flat, initial_parameters(config, 2, at::kCPU).flat));
  const auto deviation = [&](const std::string& name) {
    return a.views.at(name).std().item<double>();
  };
  EXPECT_NEAR(deviation("model.embed_tokens.weight"), 0.02, 0.001);
  EXPECT_NEAR(deviation("model.layers.0.mlp.down_proj.weight"), 0.01, 0.001);  // two layers
  EXPECT_EQ(a.views.at("model.norm.weight").sum().item<float>(), 32);
  EXPECT_EQ(a.views.at("model.layers.1.self_attn.q_proj.bias").abs().sum().item<float>(), 0);
}

TEST(Train, OptionsRefuseAWarmupAsLongAsTheTraining) {
  TrainOptions options;
  options.steps = 10;
  options.schedule.warmup_steps = 10;
  const auto errors = options.check("finetune.train.");
  ASSERT_EQ(errors.size(), 1u);
  EXPECT_THAT(errors[0], testing::HasSubstr("\"finetune.train.schedule.warmup_steps\": found 10"));
  options.schedule.warmup_steps = 9;
  EXPECT_TRUE(options.check("").empty());
}

}  // namespace
}  // namespace preimage::lm
