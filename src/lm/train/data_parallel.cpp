#include "preimage/lm/train/data_parallel.hpp"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/autograd.h>

#include "preimage/base/error.hpp"
#include "preimage/cluster/tensor_reduce.hpp"

namespace preimage::lm {
namespace {

void make_views(Parameters& parameters, const TensorList& list) {
  int64_t at = 0;
  for (const auto& [name, shape] : list) {
    const int64_t size = c10::multiply_integers(shape);
    parameters.views[name] = parameters.flat.narrow(0, at, size).view(shape);
    at += size;
  }
}

// Flat float32 gradient of one micro-shard in the order of the parameters, followed by its loss and
// its sums.
at::Tensor flat_gradient(const Leaves& leaves, const ShardLoss& shard) {
  std::vector<at::Tensor> gradients(leaves.in_order.size());
  if (shard.loss.requires_grad()) {  // a shard may have nothing to learn from
    gradients = torch::autograd::grad({shard.loss}, leaves.in_order, {}, std::nullopt,
                                      /*create_graph=*/false, /*allow_unused=*/true);
  }
  std::vector<at::Tensor> flat;
  for (size_t i = 0; i < gradients.size(); ++i) {
    const auto& g = gradients[i].defined() ? gradients[i] : at::zeros_like(leaves.in_order[i]);
    flat.push_back(g.detach().to(at::kFloat).reshape({-1}));
  }
  flat.push_back(shard.loss.detach().to(at::kFloat).reshape({1}));
  if (!shard.sums.empty())
    flat.push_back(at::tensor(shard.sums, at::kFloat).to(shard.loss.device()));
  return at::cat(flat);
}

}  // namespace

Parameters make_parameters(const TensorList& list, at::Device device) {
  Parameters out;
  int64_t total = 0;
  for (const auto& [name, shape] : list) total += c10::multiply_integers(shape);
  out.flat = at::zeros({total}, at::TensorOptions(at::kFloat).device(device));
  out.decay_mask = at::zeros_like(out.flat);
  make_views(out, list);
  int64_t at = 0;
  for (const auto& [name, shape] : list) {
    const int64_t size = c10::multiply_integers(shape);
    if (shape.size() > 1) out.decay_mask.narrow(0, at, size).fill_(1);
    at += size;
  }
  return out;
}

Parameters to_device(Parameters parameters, const TensorList& list, at::Device device) {
  if (parameters.flat.device() == device) return parameters;
  parameters.flat = parameters.flat.to(device);
  parameters.decay_mask = parameters.decay_mask.to(device);
  make_views(parameters, list);
  return parameters;
}

void fill_normal(at::Tensor& tensor, const base::RandomStream& stream, double scale) {
  float* data = tensor.data_ptr<float>();
  at::parallel_for(0, tensor.numel(), 1 << 12, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      data[i] = static_cast<float>(scale * stream.normal(static_cast<uint64_t>(i)));
  });
}

Leaves make_leaves(const Parameters& parameters, const TensorList& list, at::ScalarType dtype) {
  Leaves leaves;
  for (const auto& [name, shape] : list) {
    auto leaf = parameters.views.at(name).detach().to(dtype).requires_grad_();
    leaves.in_order.push_back(leaf);
    leaves.by_name[name] = leaf;
  }
  return leaves;
}

StepResult data_parallel_step(const Trained& trained, const Leaves& leaves,
                              const StepOptions& options,
                              const std::function<ShardLoss(int64_t shard)>& shard_loss) {
  auto& parameters = trained.parameters;
  cluster::TreeSum sum(trained.world, options.micro_shards);
  for (int64_t s = sum.owned().begin; s < sum.owned().end; ++s) {
    const auto shard = shard_loss(s);
    base::check(static_cast<int64_t>(shard.sums.size()) == options.sums,
                "every shard gives as many sums as announced");
    sum.add(s, flat_gradient(leaves, shard));
  }
  const int64_t size = parameters.flat.numel();
  const auto total = sum.finish(at::empty({size + 1 + options.sums}, parameters.flat.options()));
  const auto tail = total.narrow(0, size, 1 + options.sums).cpu();
  StepResult result;
  result.loss = tail[0].item<float>();
  for (int64_t i = 0; i < options.sums; ++i) result.sums.push_back(tail[1 + i].item<float>());
  result.gradient_norm =
      optim::adamw_step(parameters.flat, total.narrow(0, 0, size), parameters.decay_mask,
                        trained.adam, options.learning_rate, options.adam);
  return result;
}

}  // namespace preimage::lm
