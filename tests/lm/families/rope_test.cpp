// Values: modeling_rope_utils of transformers 5.23 (torch 2.11, CPU).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "preimage/lm/checkpoint/model_config.hpp"

namespace preimage::lm {
namespace {

void expect_frequencies(const RopeConfig& rope, double scaling, const std::vector<float>& truth) {
  const auto found = rope_frequencies(rope, static_cast<int64_t>(2 * truth.size()));
  EXPECT_NEAR(found.attention_scaling, scaling, 1e-12);
  ASSERT_EQ(found.inv_freq.size(), truth.size());
  for (size_t j = 0; j < truth.size(); ++j) {
    // Two units in the last place: vector units differ in the last bit of a power.
    EXPECT_NEAR(found.inv_freq[j], truth[j], 2.4e-7 * truth[j]) << rope.type << " " << j;
  }
}

TEST(Rope, Default) {
  expect_frequencies({.theta = 1e6}, 1,
                     {1.0f, 0.177827939f, 0.0316227786f, 0.00562341325f, 0.00100000005f,
                      0.00017782794f, 3.16227743e-05f, 5.62341347e-06f});
}

TEST(Rope, Linear) {
  expect_frequencies({.type = "linear", .theta = 1e4, .factor = 4}, 1,
                     {0.25f, 0.079056941f, 0.0250000004f, 0.00790569466f, 0.00249999994f,
                      0.000790569466f, 0.000250000012f, 7.90569466e-05f});
}

TEST(Rope, Llama32) {
  expect_frequencies(
      {.type = "llama3", .theta = 5e5, .factor = 32, .original_max_position_embeddings = 8192}, 1,
      {1.0f,
       0.663601279f,
       0.440366626f,
       0.292227834f,
       0.193922758f,
       0.128687382f,
       0.0853971019f,
       0.0566696189f,
       0.0376060307f,
       0.0249554086f,
       0.0165604409f,
       0.0109895291f,
       0.00729266508f,
       0.00483942125f,
       0.00321144611f,
       0.00129054801f,
       0.000429556705f,
       9.70828623e-05f,
       1.94616387e-05f,
       1.29147675e-05f,
       8.57025589e-06f,
       5.68723226e-06f,
       3.77405445e-06f,
       2.50446715e-06f,
       1.66196742e-06f,
       1.10288363e-06f,
       7.31874934e-07f,
       4.85673127e-07f,
       3.22293289e-07f,
       2.1387423e-07f,
       1.41927202e-07f,
       9.41830649e-08f});
}

TEST(Rope, YarnOfGptOssWithoutTruncation) {
  expect_frequencies({.type = "yarn",
                      .theta = 150000,
                      .factor = 32,
                      .truncate = false,
                      .original_max_position_embeddings = 4096},
                     1.3465735902799727,
                     {1.0f,
                      0.689044297f,
                      0.47478205f,
                      0.327145875f,
                      0.225418001f,
                      0.155322984f,
                      0.107024424f,
                      0.0737445652f,
                      0.0508132726f,
                      0.0317056961f,
                      0.0193349998f,
                      0.0115920492f,
                      0.00679495931f,
                      0.00386035908f,
                      0.00209379266f,
                      0.00105260219f,
                      0.000456483918f,
                      0.000129318694f,
                      3.83088118e-05f,
                      2.63964685e-05f,
                      1.8188337e-05f,
                      1.25325696e-05f,
                      8.63549576e-06f,
                      5.95023948e-06f,
                      4.09997847e-06f,
                      2.82506676e-06f,
                      1.94659629e-06f,
                      1.34129095e-06f,
                      9.24208962e-07f,
                      6.36820914e-07f,
                      4.38797855e-07f,
                      3.0235114e-07f});
}

TEST(Rope, YarnOfDeepSeekV3WithTwoScales) {
  expect_frequencies({.type = "yarn",
                      .theta = 10000,
                      .factor = 40,
                      .mscale = 1,
                      .mscale_all_dim = 0.5,
                      .original_max_position_embeddings = 4096},
                     1.1557219901962608,
                     {1.0f,
                      0.749894202f,
                      0.562341332f,
                      0.421696514f,
                      0.316227764f,
                      0.237137362f,
                      0.177827939f,
                      0.133352146f,
                      0.100000001f,
                      0.0749894157f,
                      0.0562341288f,
                      0.0390069261f,
                      0.0268793609f,
                      0.0183781441f,
                      0.012447956f,
                      0.0083345091f,
                      0.00550000044f,
                      0.00356199732f,
                      0.00224936521f,
                      0.00137051346f,
                      0.000790569407f,
                      0.000414990413f,
                      0.00017782794f,
                      3.3338034e-05f,
                      2.49999994e-05f,
                      1.87473543e-05f,
                      1.40585325e-05f,
                      1.05424124e-05f,
                      7.90569447e-06f,
                      5.92843435e-06f,
                      4.44569832e-06f,
                      3.33380353e-06f});
}

TEST(Rope, YarnOfKimiWithEqualBetasAndAGivenFactor) {
  expect_frequencies({.type = "yarn",
                      .theta = 50000,
                      .factor = 32,
                      .beta_fast = 1,
                      .beta_slow = 1,
                      .attention_factor = 1.25,
                      .original_max_position_embeddings = 4096},
                     1.25,
                     {1.0f,
                      0.713111103f,
                      0.508527458f,
                      0.362636536f,
                      0.258600146f,
                      0.184410617f,
                      0.131505266f,
                      0.0937778577f,
                      0.0668740347f,
                      0.0476886146f,
                      0.0340072773f,
                      0.0242509674f,
                      0.0172936339f,
                      0.0123322811f,
                      0.00879428629f,
                      0.00627130363f,
                      0.00447213603f,
                      0.00318912975f,
                      0.00227420381f,
                      0.00162175996f,
                      3.61404673e-05f,
                      2.57721676e-05f,
                      1.83784196e-05f,
                      1.31058541e-05f,
                      9.34593027e-06f,
                      6.66468623e-06f,
                      4.75266143e-06f,
                      3.38917562e-06f,
                      2.41685871e-06f,
                      1.72348882e-06f,
                      1.22903896e-06f,
                      8.76441277e-07f});
}

}  // namespace
}  // namespace preimage::lm
