// The grade's cosine against sentence-transformers on the same folder and texts
// (scripts/fixtures/make_encoder_fixtures.py).
#include "report/text_cosine.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ATen/ATen.h>

#include <cmath>
#include <fstream>

#include "folder.hpp"
#include "preimage/base/error.hpp"
#include "preimage/base/json.hpp"
#include "preimage/lm/checkpoint/safetensors.hpp"

namespace preimage::dcm {
namespace {

namespace fs = std::filesystem;

const fs::path fixtures = fs::path(PREIMAGE_TEST_DATA) / "lm/fixtures";

class TextCosines : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Folders, TextCosines, testing::Values("bert", "gtr"),
                         [](const auto& folder) { return std::string(folder.param); });

TEST_P(TextCosines, OfSentenceTransformersVectors) {
  const auto folder = fixtures / GetParam();
  const auto texts =
      base::read_json(folder / "expected.json")["texts"].get<std::vector<std::string>>();
  const lm::SafetensorsFile vectors(folder / "expected.safetensors");
  const auto vector = [&](size_t i) {
    return vectors.read(*vectors.find("pipeline." + std::to_string(i))).to(at::kDouble);
  };
  TextCosine cosine(folder);
  cosine.load(at::kCPU);
  std::vector<TextCosine::Pair> pairs;
  for (int copy = 0; copy < 3; ++copy) {  // more than one batch
    for (const auto& a : texts) {
      for (const auto& b : texts) pairs.emplace_back(a, b);
    }
  }
  const auto ours = cosine.of(pairs);
  ASSERT_EQ(ours.size(), pairs.size());
  for (size_t i = 0; i < ours.size(); ++i) {
    const size_t n = texts.size(), in_copy = i % (n * n);
    const auto a = vector(in_copy / n), b = vector(in_copy % n);
    EXPECT_NEAR(ours[i], (at::dot(a, b) / (a.norm() * b.norm())).item<double>(), 1e-5) << i;
    EXPECT_EQ(ours[i], cosine.of({pairs[i]})[0]) << "alone or among others";
  }
}

// A decoder without a pipeline: the mean over its tokens, and no token, no cosine.
TEST(TextCosine, OfADecoder) {
  TextCosine cosine(fs::path(PREIMAGE_SOURCE_DIR) / "jobs/models/pocket-lm");
  cosine.load(at::kCPU);
  const std::string long_text(5000, 'x');
  const auto ours = cosine.of({{"one text", "one text"}, {"one text", ""}, {long_text, long_text}});
  EXPECT_NEAR(ours[0], 1, 1e-6);
  EXPECT_TRUE(std::isnan(ours[1]));
  EXPECT_NEAR(ours[2], 1, 1e-6);
}

TEST(TextCosine, AnEmptyFolderIsRefused) {
  const tests::Folder folder;
  EXPECT_THROW(TextCosine{folder.path()}, base::Error);
}

}  // namespace
}  // namespace preimage::dcm
