#include "train/padded.hpp"

#include <algorithm>

namespace preimage::lm {

PaddedIds pad_ids(const std::vector<const std::vector<int64_t>*>& texts, int64_t pad,
                  at::Device device) {
  int64_t longest = 0;
  for (const auto* text : texts) longest = std::max(longest, std::ssize(*text));
  const auto count = std::ssize(texts);
  auto ids = at::full({count, longest}, pad, at::kLong);
  auto real = at::zeros({count, longest}, at::kBool);
  for (int64_t i = 0; i < count; ++i) {
    const auto& text = *texts[static_cast<size_t>(i)];
    std::copy(text.begin(), text.end(), ids.data_ptr<int64_t>() + i * longest);
    std::fill_n(real.data_ptr<bool>() + i * longest, text.size(), true);
  }
  return {ids.to(device), real.to(device)};
}

at::Tensor padded_attention(const HeadRows& rows, double scale, const at::Tensor& bias) {
  const auto by_head = [](const at::Tensor& x) { return x.transpose(1, 2); };  // [b, h, t, d]
  const auto scores =
      at::matmul(by_head(rows.queries), by_head(rows.keys).transpose(2, 3)) * scale + bias;
  return at::matmul(at::softmax(scores, -1), by_head(rows.values)).transpose(1, 2).flatten(2);
}

}  // namespace preimage::lm
