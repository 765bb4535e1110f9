// The slim record's keys in the plan's order, and null where there is no number.
#include "report/slim.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "preimage/base/json.hpp"

namespace preimage::grpo {
namespace {

SampleRow sample() {
  SampleRow row{"vanilla", "frozen", 7, 3};
  row.src_pool = "teacher_pool", row.src_step = 7, row.src_sample = 3;
  row.reward = 3.5, row.hacked = true, row.fmt_ok = true, row.comp_len = 41, row.prompt_len = 90;
  row.cos_s_contrib = 0.25, row.grad_norm_contrib = 2, row.mean_cos_in = 0.5;
  row.mean_cos_out = std::nan(""), row.frac_fired = 1, row.leak = std::nan("");
  row.adv = 1.5, row.loss = 0.125, row.cos_nll = -0.5, row.cos_sgn = -0.5, row.k_mean = 4.5;
  return row;
}

TEST(Slim, IsTheReferencesRecord) {
  EXPECT_EQ(slim_record(sample(), 41),
            R"({"step":7,"sample_id":3,"src_pool":"teacher_pool","src_step":7,"src_sample":3,)"
            R"("reward":3.5,"hacked":true,"gt_pass":false,"fmt_ok":true,"comp_len":41,)"
            R"("cos_S_contrib":0.25,"grad_norm_contrib":2.0,"mean_cos_in":0.5,)"
            R"("mean_cos_out":null,"frac_fired":1.0,"arm":"vanilla","adv":1.5,"loss":0.125,)"
            R"("cos_nll":-0.5,"cos_sgn":-0.5,"strict_hack":false,"prompt_len":90,"leak":null,)"
            R"("k_mean":4.5,"seed":41,"schema":1})");
}

TEST(Slim, OneFileForEachStepOfEachArm) {
  auto other = sample();
  other.step = 12;
  auto arm = sample();
  arm.arm = "projected";
  const auto files = slim_files({sample(), sample(), other, arm}, 1);
  ASSERT_EQ(files.size(), 3u);
  EXPECT_EQ(files[0].first, "projected-frozen/step_007.cos.jsonl.gz");
  EXPECT_EQ(files[1].first, "vanilla-frozen/step_007.cos.jsonl.gz");
  EXPECT_EQ(files[2].first, "vanilla-frozen/step_012.cos.jsonl.gz");
}

}  // namespace
}  // namespace preimage::grpo
