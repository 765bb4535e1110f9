// ranks: 1 2 3
// Training of sentence encoders and inverters: losses and gradients against transformers and
// autograd (scripts/fixtures/make_sentence_fixtures.py), the same bits on any number of ranks, and
// checkpoints that the readers of published ones read.
#include "preimage/lm/train/sentence.hpp"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>
#include <filesystem>

#include "folder.hpp"
#include "lm/fixture.hpp"
#include "preimage/base/error.hpp"
#include "preimage/base/file.hpp"
#include "preimage/base/json.hpp"
#include "preimage/lm/checkpoint/checkpoint.hpp"
#include "preimage/lm/encoder/text_embedder.hpp"
#include "preimage/lm/t5/tasks.hpp"
#include "preimage/lm/t5/vec2text.hpp"
#include "ranked_main.hpp"

namespace preimage::lm {
namespace {

namespace fs = std::filesystem;
using Split = SentenceTask::Split;

const base::Json& reference() {
  static const base::Json json = base::read_json(fixture("sentence_training.json"));
  return json;
}

std::vector<TextPair> pairs() {
  std::vector<TextPair> out;
  for (const auto& pair : reference()["contrastive"]["pairs"])
    out.push_back(
        {pair["anchor"].get<std::vector<int64_t>>(), pair["positive"].get<std::vector<int64_t>>()});
  return out;
}

InversionTexts texts() {
  InversionTexts out;
  std::vector<at::Tensor> rows;
  for (const auto& text : reference()["inversion"]["texts"]) {
    out.ids.push_back(text["ids"].get<std::vector<int64_t>>());
    rows.push_back(at::tensor(text["embedding"].get<std::vector<float>>()));
  }
  out.embeddings = at::stack(rows);
  return out;
}

// config.json of the fixture, with the T5 that it is made of beside it.
class InverterFolder {
 public:
  InverterFolder() {
    auto config = base::read_json(fixture("inversion") / "config.json");
    config["model_name_or_path"] = "t5";
    fs::create_directories(folder_.path() / "t5");
    base::write_file_atomically(folder_.path() / "config.json", config.dump());
    base::write_file_atomically(folder_.path() / "t5" / "config.json",
                                reference()["inversion"]["t5"].dump());
  }
  const fs::path& path() const { return folder_.path(); }

 private:
  tests::Folder folder_;
};

// The weights of a fixture under the task's names.
Parameters weights_of(const SentenceTask& task, const fs::path& folder) {
  auto out = make_parameters(task.tensors(), at::kCPU);
  const Checkpoint checkpoint(folder);
  for (const auto& [name, shape] : task.tensors())
    out.views.at(name).copy_(checkpoint.load(name, shape, at::kFloat, at::kCPU));
  return out;
}

void expect_same_step(const SentenceTask& task, const fs::path& weights,
                      const base::Json& expected) {
  const auto leaves = make_leaves(weights_of(task, weights), task.tensors(), at::kFloat);
  std::vector<int64_t> all;
  for (int64_t i = 0; i < task.examples(Split::training); ++i) all.push_back(i);
  const auto loss = task.loss(leaves, Split::training, all);
  EXPECT_NEAR(loss.item<float>(), expected["loss"].get<double>(),
              2e-5 * expected["loss"].get<double>());
  const auto gradients = torch::autograd::grad({loss}, leaves.in_order, {}, std::nullopt, false,
                                               /*allow_unused=*/true);
  size_t compared = 0;
  for (size_t i = 0; i < gradients.size(); ++i) {
    const auto& name = task.tensors()[i].first;
    ASSERT_TRUE(gradients[i].defined()) << name;
    ASSERT_TRUE(expected["gradients"].contains(name)) << name;
    const auto& known = expected["gradients"][name];
    const double squares = gradients[i].to(at::kDouble).square().sum().item<double>();
    EXPECT_NEAR(squares, known["squares"].get<double>(),
                1e-3 * known["squares"].get<double>() + 1e-9)
        << name;
    const double size = std::sqrt(known["squares"].get<double>());
    for (size_t k = 0; k < known["first"].size(); ++k)
      EXPECT_NEAR(gradients[i].flatten()[static_cast<int64_t>(k)].item<float>(),
                  known["first"][k].get<double>(), 1e-4 * size + 1e-7)
          << name << " " << k;
    ++compared;
  }
  EXPECT_EQ(compared, expected["gradients"].size());
}

TEST(ContrastiveTask, LossAndGradientAreThoseOfTransformers) {
  const auto task = contrastive_task(fixture("bert"), pairs(), pairs(),
                                     reference()["contrastive"]["temperature"]);
  expect_same_step(*task, fixture("bert"), reference()["contrastive"]);
}

TEST(InversionTask, LossAndGradientAreThoseOfTransformers) {
  const InverterFolder folder;
  const auto task = inversion_task(folder.path(), texts(), texts());
  EXPECT_EQ(task->weight(Split::training, 0), static_cast<double>(texts().ids[0].size()));
  expect_same_step(*task, fixture("inversion"), reference()["inversion"]);
}

SentenceTrainOptions short_training() {
  SentenceTrainOptions options;
  options.steps = 6;
  options.micro_shards = 5;
  options.shard_texts = 3;
  options.evaluate_every = 3;
  options.schedule = {.kind = "constant", .lr = 0.0005};
  return options;
}

TEST(TrainSentences, SameBitsOnAnyNumberOfRanksAndLessLoss) {
  const auto task = contrastive_task(fixture("bert"), pairs(), pairs(), 0.1);
  const auto alone = cluster::alone();
  auto together = task->initial(3), one = task->initial(3);
  const auto result = train_sentences(together, *task, short_training(), {tests::world()});
  const auto expected = train_sentences(one, *task, short_training(), {alone});
  EXPECT_TRUE(at::equal(together.flat, one.flat));
  EXPECT_TRUE(result.finished);
  EXPECT_EQ(result.best_validation, expected.best_validation);
  EXPECT_LT(result.curve[5].validation, result.curve[2].validation);
  EXPECT_EQ(result.curve[5].loss, expected.curve[5].loss);
}

// What is trained here is what `embed` and `generate` read.
TEST(TrainSentences, TheInverterIsReadAsAPublishedOneIs) {
  const InverterFolder folder;
  const auto task = inversion_task(folder.path(), texts(), texts());
  auto parameters = task->initial(1);
  auto options = short_training();
  options.steps = options.evaluate_every = 150;
  options.schedule.lr = 0.01;
  options.shard_texts = 4;
  options.micro_shards = 1;
  const auto result = train_sentences(parameters, *task, options, {cluster::alone()});
  EXPECT_LT(result.curve.back().validation, 0.2);
  save_parameters(parameters, task->tensors(), at::kFloat, folder.path());
  const auto model = load_vec2text(folder.path(), {});
  const auto known = texts();
  for (size_t i = 0; i < known.ids.size(); ++i) {
    GenerateRequest request;
    request.embeddings = model->inversion_inputs(known.embeddings[static_cast<int64_t>(i)]);
    request.max_new_tokens = 16;
    request.stop_ids = {1};
    const auto written = generate(model->t5(), {request}, {});
    auto expected = known.ids[i];
    expected.pop_back();  // its end token
    EXPECT_EQ(written[0].ids, expected) << i;
  }
}

TEST(ContrastiveTask, RefusesTextsLongerThanTheEncoder) {
  auto too_long = pairs();
  too_long[1].positive.assign(41, 5);
  EXPECT_THROW(contrastive_task(fixture("bert"), too_long, pairs(), 0.1), base::Error);
}

}  // namespace
}  // namespace preimage::lm
