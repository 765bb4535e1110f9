// Rows behind a known beginning: the bits and the gradients that they have in the whole sequence.
#include "preimage/nn/prefixed_attention.hpp"

#include <gtest/gtest.h>

#include "nn/tensors.hpp"

namespace preimage::nn {
namespace {

TEST(PrefixedAttention, RowsAreThoseOfTheWholeSequence) {
  const HeadLayout heads{4, 2, 16, 0.25};
  // Three sequences; the first two share a beginning of 7 tokens, the last has none.
  const auto prompt = random_tensor({7, heads.width()}, "prompt");
  const RecordingAttention recording({7}, 1, at::kCPU);
  recording.attend(0, prompt, heads);
  const auto prefixes = recording.prefixes();
  const AttentionPrefix none;
  const std::vector<int64_t> lengths = {3, 20, 5};
  auto rows = random_tensor({28, heads.width()}, "rows").requires_grad_();

  const PrefixedAttention context({&prefixes[0], &prefixes[0], &none}, lengths, at::kCPU);
  const auto ours = context.attend(0, rows, heads);
  EXPECT_EQ(context.position_limit(), 27);
  EXPECT_EQ(context.positions()[3].item<int64_t>(), 7);

  const auto whole =
      at::cat({prompt, rows.narrow(0, 0, 3), prompt, rows.narrow(0, 3, 20), rows.narrow(0, 23, 5)});
  const auto expected = attention(whole, heads, make_packing({10, 27, 5}, at::kCPU));
  const auto own =
      at::cat({expected.narrow(0, 7, 3), expected.narrow(0, 17, 20), expected.narrow(0, 37, 5)});
  EXPECT_TRUE(at::equal(ours, own));
  EXPECT_LT(relative_error(gradients(ours, {rows})[0], gradients(own, {rows})[0]), 1e-6);
}

}  // namespace
}  // namespace preimage::nn
