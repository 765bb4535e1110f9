// Values of the reference's table, a Monte-Carlo check, and shuffled labels extracted anew.
#include "measure/nulls.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "preimage/base/random.hpp"

namespace preimage::grpo {
namespace {

Rows gaussian(int64_t count, int64_t size, const std::string& purpose) {
  const base::RandomStream stream(11, "nulls test", purpose);
  Rows out(count, size);
  for (size_t i = 0; i < out.values().size(); ++i)
    out.values()[i] = static_cast<float>(stream.normal(i));
  return out;
}

TEST(ClosedForm, TableOfTheReference) {
  const struct {
    int64_t r, k;
    double cosine, one_sided, fired;
  } table[] = {
      {1024, 1, .0249399806, .0124699903, .5},     {1024, 5, .0665066151, .0429868642, .96875},
      {1024, 12, .106049655, .0724780959, .99976}, {2560, 1, .0157711183, .0078855592, .5},
      {2560, 5, .0420563156, .0271832979, .96875}, {2560, 12, .0670618665, .0458324585, .99976}};
  for (const auto& row : table) {
    EXPECT_NEAR(expected_cosine(row.r, row.k), row.cosine, 5e-10);
    EXPECT_NEAR(expected_one_sided(row.r, row.k), row.one_sided, 5e-10);
    EXPECT_NEAR(expected_fired(row.k), row.fired, 5e-6);
  }
}

TEST(RandomNull, AgreesWithTheClosedForm) {
  const int64_t r = 1024, k = 5;
  const std::vector<ModuleSpan> spans = {{"m", "q_proj", 0, r}};
  const auto directions =
      extract_directions(gaussian(k, r, "pairs"), spans, {.k = k, .noise_quantile = 0});
  ASSERT_EQ(directions.modules[0].k, k);
  const auto gradients = gaussian(8, r, "gradients");
  const auto draws =
      draw_null(NullKind::random, {&directions, &gradients, nullptr, /*draws=*/300, /*seed=*/3});
  const auto summary = summarise(draws, &Alignment::cos_in);
  EXPECT_NEAR(summary.mean, .0429868642, .001);  // 2,400 values of deviation .014
  EXPECT_NEAR(isotropic_cos_in(directions), .0429868642, 1e-9);
  EXPECT_NEAR(summarise(draws, &Alignment::cos_sgn).mean, 0, .003);
  EXPECT_NEAR(summarise(draws, &Alignment::frac_fired).mean, .96875, .02);
  // What lies in the span of the real directions is far from every draw.
  const auto test = test_against(draws, &Alignment::cos_in, .9);
  EXPECT_EQ(test.at_least, 0);
  EXPECT_DOUBLE_EQ(test.p, 1.0 / 301);
  EXPECT_GT(test.z, 50);
  EXPECT_EQ(test_against(draws, &Alignment::cos_in, 0).at_least, 300);
}

// The short way (signs of the axes) against extracting from D with changed labels.
TEST(ShuffledNull, IsTheExtractionFromShuffledPairs) {
  const std::vector<ModuleSpan> spans = {{"a", "q_proj", 0, 20}, {"b", "v_proj", 20, 12}};
  const auto d = gaussian(7, 32, "pairs");
  const ExtractionOptions options{.k = 3, .noise_quantile = .25};
  const auto directions = extract_directions(d, spans, options);
  const auto gradients = gaussian(3, 32, "gradients");
  const int64_t count = 40;
  const auto draws =
      draw_null(NullKind::shuffled, {&directions, &gradients, &d, count, /*seed=*/5});
  int64_t found = 0;
  for (int64_t mask = 1; mask < 127; ++mask) {  // every set of flips that is not all or none
    Rows flipped = d;
    for (int64_t p = 0; p < 7; ++p)
      if ((mask >> p & 1) != 0)
        for (auto& value : flipped.row(p)) value = -value;
    const auto again = extract_directions(flipped, spans, options);
    ASSERT_EQ(again.axes(), directions.axes());
    const auto expected = align(gradients.row(0), again);
    for (const auto& draw : draws) {
      if (std::abs(draw[0].cos_sgn - expected.cos_sgn) > 1e-9) continue;
      ++found;
      EXPECT_NEAR(draw[0].cos_in, expected.cos_in, 1e-6);
      EXPECT_NEAR(draw[0].cos_in_global, expected.cos_in_global, 1e-6);
      EXPECT_NEAR(draw[0].cos_sgn_global, expected.cos_sgn_global, 1e-6);
      EXPECT_NEAR(draw[1].cos_in, align(gradients.row(1), again).cos_in, 1e-6);
    }
  }
  EXPECT_EQ(found, count);  // each draw is one of them
}

// Rows drawn where the base gradients lie: a gradient outside of their span has no part in them.
TEST(AnisotropicNull, StaysInTheSpanOfTheBaseGradients) {
  const std::vector<ModuleSpan> spans = {{"m", "q_proj", 0, 8}};
  const auto directions =
      extract_directions(gaussian(4, 8, "pairs"), spans, {.k = 2, .noise_quantile = 0});
  Rows base(5, 8);
  const auto noise = gaussian(5, 8, "base");
  for (int64_t b = 0; b < 5; ++b)
    for (size_t j = 0; j < 4; ++j) base.row(b)[j] = noise.row(b)[j];
  Rows gradients(2, 8);
  gradients.row(0)[6] = 1;                                 // outside
  for (size_t j = 0; j < 4; ++j) gradients.row(1)[j] = 1;  // inside
  const auto draws =
      draw_null(NullKind::anisotropic, {&directions, &gradients, &base, 60, /*seed=*/1});
  const auto summary = summarise(draws, &Alignment::cos_in);
  EXPECT_NEAR(summary.step_mean[0], 0, 1e-6);
  EXPECT_NEAR(summary.step_mean[1], expected_one_sided(4, 2), .12);  // 60 draws in R^4
}

}  // namespace
}  // namespace preimage::grpo
