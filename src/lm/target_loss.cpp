#include "preimage/lm/target_loss.hpp"

#include <algorithm>
#include <limits>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>

#include "preimage/base/error.hpp"
#include "preimage/nn/layers.hpp"
#include "target_rows.hpp"
#include "token_rows.hpp"

namespace preimage::lm {
namespace {

// 1 / n for each of a request's n target tokens: the loss is the sum of the requests' means, so
// that the gradient of each is that of its own mean.
at::Tensor mean_weights(const std::vector<ScoreRequest>& requests, const TargetRows& batch) {
  std::vector<float> weights;
  for (const auto& target : batch.targets) {
    const auto n = requests[static_cast<size_t>(target.request)].continuation.size();
    weights.push_back(1 / static_cast<float>(n));
  }
  return at::tensor(weights, at::kFloat).to(batch.rows.device());
}

// `nll` and `greedy` on the CPU, rows in order.
void take_losses(const TargetRows& batch, const at::Tensor& nll, const at::Tensor& greedy,
                 std::vector<TargetLoss>& losses) {
  for (size_t i = 0; i < batch.targets.size(); ++i) {
    auto& loss = losses[static_cast<size_t>(batch.targets[i].request)];
    loss.greedy = (loss.nll.empty() || loss.greedy) && greedy.const_data_ptr<bool>()[i];
    loss.nll.push_back(nll.const_data_ptr<float>()[i]);
    loss.sum += static_cast<double>(loss.nll.back());
  }
}

void run_batch(const Model& model, const std::vector<ScoreRequest>& requests,
               std::pair<int64_t, int64_t> range, bool gradient, std::vector<TargetLoss>& losses) {
  const auto batch = [&] {
    const at::NoGradGuard no_grad;
    return pack_targets(model, requests, range);
  }();
  const at::AutoGradMode mode(gradient);
  auto inputs = batch.inputs.detach();
  if (gradient) inputs.requires_grad_();
  const auto hidden = model.hidden(inputs, nn::PackedAttention(batch.packing));
  const auto out = nn::linear_cross_entropy(hidden.index_select(0, batch.rows), model.head(),
                                            batch.target_ids(), mean_weights(requests, batch));
  take_losses(batch, out.nll.to(at::kCPU), out.greedy.to(at::kCPU), losses);
  if (!gradient) return;
  const auto d_inputs = torch::autograd::grad({out.loss}, {inputs})[0].to(at::kFloat);
  for (int64_t i = range.first; i < range.second; ++i) {
    const auto at = static_cast<size_t>(i);
    losses[at].gradient = d_inputs
                              .narrow(0, batch.begins[at - static_cast<size_t>(range.first)],
                                      prompt_tokens(requests[at]))
                              .clone();
  }
}

}  // namespace

std::vector<TargetLoss> target_loss(const Model& model, const std::vector<ScoreRequest>& requests,
                                    const TargetLossOptions& options) {
  require_requests(model, requests);
  std::vector<TargetLoss> losses(requests.size());
  std::vector<int64_t> tokens;
  for (const auto& request : requests) tokens.push_back(read_tokens(request));
  for (const auto& range : token_batches(tokens, options.batch_tokens))
    run_batch(model, requests, range, options.gradient, losses);
  for (auto& loss : losses) loss.mean = loss.sum / static_cast<double>(loss.nll.size());
  return losses;
}

at::Tensor one_hot_gradient(const Model& model, const at::Tensor& gradient) {
  const at::NoGradGuard no_grad;
  const auto& table = model.embedding_table();
  const auto rows = gradient.to(table.device(), table.scalar_type());
  // On the CPU without packing the table, which may be another matrix than the head.
  if (table.is_cpu() && table.scalar_type() == at::kFloat) return nn::chained_mm(rows, table.t());
  return nn::linear(rows.contiguous(), nn::Weight(table)).to(at::kFloat);
}

at::Tensor swap_candidates(const Model& model, const at::Tensor& gradient,
                           const SwapOptions& options) {
  const at::NoGradGuard no_grad;
  const int64_t vocabulary = model.embedding_table().size(0);
  at::Tensor refused;
  int64_t top = std::min(options.top, vocabulary);
  if (options.allowed.defined()) {
    base::check(options.allowed.numel() == vocabulary, "a mask of tokens has one place for each");
    refused = options.allowed.to(gradient.device()).logical_not();
    top = std::min(top, vocabulary - refused.sum().item<int64_t>());
  }
  std::vector<at::Tensor> best;
  const int64_t chunk = rows_at_once(model.config());
  for (int64_t first = 0; first < gradient.size(0); first += chunk) {
    auto values = one_hot_gradient(
        model, gradient.narrow(0, first, std::min(chunk, gradient.size(0) - first)));
    if (refused.defined())
      values = values.masked_fill(refused.unsqueeze(0), std::numeric_limits<float>::infinity());
    const auto order = std::get<1>(at::sort(values, /*stable=*/true, 1, /*descending=*/false));
    best.push_back(order.narrow(1, 0, top).to(at::kCPU));
  }
  return best.empty() ? at::empty({0, top}, at::kLong) : at::cat(best);
}

}  // namespace preimage::lm
