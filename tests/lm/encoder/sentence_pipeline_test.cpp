// Sentence vectors against sentence-transformers on the same folders and ids
// (scripts/fixtures/make_encoder_fixtures.py).
#include "preimage/lm/encoder/sentence_pipeline.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ATen/ATen.h>

#include "lm/fixture.hpp"
#include "preimage/base/json.hpp"
#include "preimage/lm/encoder/encoder.hpp"

namespace preimage::lm {
namespace {

using Ids = std::vector<int64_t>;
using testing::HasSubstr;

class Pipelines : public testing::TestWithParam<const char*> {
 protected:
  const std::filesystem::path folder = fixture(GetParam());
  const std::shared_ptr<const Encoder> encoder = load_encoder(folder, {});
  SentencePipeline pipeline{folder, encoder->config().hidden_size};
  const std::vector<Ids> sources =
      base::read_json(folder / "expected.json")["sources"].get<std::vector<Ids>>();
  const SafetensorsFile tensors{folder / "expected.safetensors"};

  at::Tensor truth(const std::string& kind, size_t i) const {
    return tensors.read(*tensors.find(kind + "." + std::to_string(i)));
  }
};
INSTANTIATE_TEST_SUITE_P(Folders, Pipelines, testing::Values("bert", "gtr"),
                         [](const auto& folder) { return std::string(folder.param); });

TEST_P(Pipelines, VectorsOfSentenceTransformers) {
  pipeline.load();
  Ids all, lengths;
  for (const auto& ids : sources) {
    all.insert(all.end(), ids.begin(), ids.end());
    lengths.push_back(static_cast<int64_t>(ids.size()));
  }
  const auto packing = nn::make_packing(lengths, at::kCPU);
  const auto hidden = encoder->hidden(encoder->embed(at::tensor(all, at::kLong)), packing);
  const auto vectors = pipeline(hidden, packing);
  EXPECT_EQ(vectors.size(1), pipeline.width());
  const auto mean = pool(hidden, packing, PoolingMode::mean);
  const auto first = pool(hidden, packing, PoolingMode::first);
  for (size_t i = 0; i < sources.size(); ++i) {
    const auto row = static_cast<int64_t>(i);
    const auto far = [](const at::Tensor& a, const at::Tensor& b) {
      return (a - b).abs().max().item<double>();
    };
    EXPECT_LT(far(vectors[row], truth("pipeline", i)), 1e-5) << i;
    EXPECT_LT(far(mean[row], truth("mean", i)), 1e-5) << i;
    EXPECT_LT(far(first[row], truth("first", i)), 1e-5) << i;
    EXPECT_LE(sources[i].size(), static_cast<size_t>(pipeline.text().max_tokens));
    // Alone: the same bits.
    const auto own = nn::make_packing({lengths[i]}, at::kCPU);
    const auto states = encoder->hidden(encoder->embed(at::tensor(sources[i], at::kLong)), own);
    EXPECT_TRUE(at::equal(pipeline(states, own)[0], vectors[row])) << i;
  }
}

// A folder with these module files.
std::string error_of(const std::string& modules, const std::string& pooling,
                     const std::string& dense = "{}") {
  const Folder folder;
  std::filesystem::create_directory(folder / "1_Pooling");
  std::filesystem::create_directory(folder / "2_Dense");
  folder.put("modules.json", modules);
  folder.put("1_Pooling/config.json", pooling);
  folder.put("2_Dense/config.json", dense);
  return data_error_of([&] { SentencePipeline(folder.path(), 8); });
}

std::string modules_of(const std::vector<std::pair<std::string, std::string>>& modules) {
  auto list = base::Json::array();
  for (const auto& [type, path] : modules)
    list.push_back({{"idx", list.size()},
                    {"name", std::to_string(list.size())},
                    {"path", path},
                    {"type", "a.b." + type}});
  return list.dump();
}

TEST(PipelineFiles, EveryWrongValueIsNamed) {
  const std::string good = R"({"word_embedding_dimension": 8, "pooling_mode_mean_tokens": true})";
  const auto two = modules_of({{"Transformer", ""}, {"Pooling", "1_Pooling"}});
  const auto three =
      modules_of({{"Transformer", ""}, {"Pooling", "1_Pooling"}, {"Dense", "2_Dense"}});
  EXPECT_EQ(error_of(two, good), "");
  EXPECT_THAT(error_of(two, R"({"word_embedding_dimension": 9})"), HasSubstr("width 8"));
  EXPECT_THAT(error_of(two, R"({"embedding_dimension": 8, "pooling_mode": "median"})"),
              HasSubstr("\"median\""));
  EXPECT_THAT(error_of(modules_of({{"Transformer", ""}}), good), HasSubstr("at least two"));
  EXPECT_THAT(error_of(modules_of({{"Pooling", "1_Pooling"}, {"Transformer", ""}}), good),
              HasSubstr("found Pooling"));
  EXPECT_THAT(error_of(modules_of({{"Transformer", ""}, {"Pooling", "../x"}}), good),
              HasSubstr("plain name"));
  EXPECT_THAT(
      error_of(modules_of({{"Transformer", ""}, {"Pooling", "1_Pooling"}, {"LSTM", ""}}), good),
      HasSubstr("found LSTM"));
  EXPECT_THAT(error_of(three, good, R"({"in_features": 9, "out_features": 2})"),
              HasSubstr("in_features 9"));
  EXPECT_THAT(
      error_of(three, good,
               R"({"in_features": 8, "out_features": 2, "activation_function": "os.system"})"),
      HasSubstr("activation_function \"system\""));
}

}  // namespace
}  // namespace preimage::lm
