// Against scikit-learn's counts, SciPy's optimum and NumPy's posterior:
// tests/experiments/lipo/fixtures/text_process.json, made by
// scripts/fixtures/make_text_process_fixtures.py.
#include "arms/text_process.hpp"

#include <gtest/gtest.h>

#include "preimage/base/error.hpp"
#include "preimage/base/json.hpp"

namespace preimage::lipo {
namespace {

const base::Json& fixture() {
  static const auto json = base::read_json(std::string(PREIMAGE_TEST_DATA) +
                                           "/experiments/lipo/fixtures/text_process.json");
  return json;
}

TEST(TextProcess, KernelCountsAsScikitLearn) {
  auto texts = fixture()["texts"].get<std::vector<std::string>>();
  for (const auto& text : fixture()["new"]) texts.push_back(text);
  for (size_t i = 0; i < texts.size(); ++i)
    for (size_t j = 0; j < texts.size(); ++j)
      EXPECT_NEAR(text_kernel(text_counts(texts[i]), text_counts(texts[j])),
                  fixture()["kernel"][i][j].get<double>(), 1e-14)
          << texts[i] << " | " << texts[j];
  EXPECT_EQ(text_kernel(text_counts(""), text_counts("")), 0);
}

TEST(TextProcess, OptimumAndPosteriorAgreeWithSciPy) {
  const auto targets = fixture()["targets"].get<std::vector<double>>();
  const auto process = fit_text_process(fixture()["texts"], targets);
  EXPECT_NEAR(process.log_likelihood, fixture()["log_likelihood"].get<double>(), 1e-6);
  const auto found = predict(process, fixture()["new"]);
  for (size_t i = 0; i < found.mean.size(); ++i) {
    EXPECT_NEAR(found.mean[i], fixture()["mean"][i].get<double>(), 2e-4) << i;
    EXPECT_NEAR(found.std[i], fixture()["std"][i].get<double>(), 2e-4) << i;
  }
}

TEST(TextProcess, ProbabilityOfImprovement) {
  for (const auto& c : fixture()["log_cdf"])
    EXPECT_NEAR(log_improvement_probability(0, c[0], 1), c[1].get<double>(),
                1e-12 * std::abs(c[1].get<double>()));
}

TEST(TextProcess, OneTextAndEqualTexts) {
  const auto one = fit_text_process({"a"}, std::vector<double>{.3});
  EXPECT_NEAR(predict(one, {"a"}).mean[0], .3, 1e-12);
  const auto equal = fit_text_process({"a b", "a b"}, std::vector<double>{.3, .5});
  EXPECT_NEAR(predict(equal, {"a b"}).mean[0], .4, 1e-9);
  EXPECT_THROW(fit_text_process({}, {}), base::Error);
}

}  // namespace
}  // namespace preimage::lipo
