#include "preimage/lm/adapter/sample_gradients.hpp"

#include <algorithm>
#include <span>

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include "adapter/changes.hpp"
#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"
#include "preimage/nn/attention.hpp"
#include "preimage/nn/layers.hpp"
#include "token_rows.hpp"

namespace preimage::lm {
namespace {

// Samples end to end: row r predicts targets[r]. The last token of a sample predicts nothing and is
// left out.
struct Rows {
  std::vector<int64_t> lengths, offsets = {0}, inputs, targets;
  std::vector<float> weights;
};

Rows rows_of(std::span<const WeightedSample> samples) {
  Rows rows;
  for (const auto& [ids, weights] : samples) {
    rows.lengths.push_back(std::ssize(ids) - 1);
    rows.offsets.push_back(rows.offsets.back() + rows.lengths.back());
    rows.inputs.insert(rows.inputs.end(), ids.begin(), ids.end() - 1);
    rows.targets.insert(rows.targets.end(), ids.begin() + 1, ids.end());
    rows.weights.insert(rows.weights.end(), weights.begin() + 1, weights.end());
  }
  return rows;
}

// A zero leaf without memory of its own; only its gradient has a size.
at::Tensor leaf_of_samples(int64_t samples, at::IntArrayRef shape, at::Device device) {
  std::vector<int64_t> whole = {samples};
  whole.insert(whole.end(), shape.begin(), shape.end());
  return at::zeros({}, at::TensorOptions(at::kFloat).device(device))
      .expand(whole)
      .detach()
      .requires_grad_();
}

// The changes with a leaf for each tensor of the adapter, in the order of its flat vector.
struct Probes {
  std::map<std::string, nn::LowRank> changes;
  std::vector<at::Tensor> leaves;
};

Probes make_probes(const LiveAdapter& adapter, int64_t samples) {
  Probes out;
  out.changes = changes_of(adapter, nullptr);
  const auto device = adapter.parameters.flat.device();
  const auto add = [&](at::Tensor& place, at::IntArrayRef shape) {
    place = leaf_of_samples(samples, shape, device);
    out.leaves.push_back(place);
  };
  for (const auto& m : adapter.modules) {
    auto& change = out.changes.at(m.name);
    if (change.gain.defined()) {
      add(change.gain_of_samples, {m.rank});
      continue;
    }
    if (adapter.options.train_a) add(change.down_of_samples, {m.rank, m.in});
    add(change.up_of_samples, {m.out, m.rank});
  }
  return out;
}

void read_losses(const at::Tensor& nll, std::span<const WeightedSample> samples,
                 SampleGradients& out) {
  const auto values = nll.cpu();
  const float* row = values.const_data_ptr<float>();
  for (const auto& sample : samples) {
    double loss = 0;
    auto& logp = out.logp.emplace_back();
    for (size_t t = 1; t < sample.ids.size(); ++t, ++row) {
      loss += static_cast<double>(sample.weights[t]) * static_cast<double>(*row);
      logp.push_back(-*row);
    }
    out.losses.push_back(loss);
  }
}

// Appends to the losses; returns the gradients [samples, knobs].
at::Tensor batch_gradients(const Model& base, const LiveAdapter& adapter,
                           std::span<const WeightedSample> samples, SampleGradients& out) {
  const auto rows = rows_of(samples);
  const auto probes = make_probes(adapter, std::ssize(samples));
  const auto model = changed_model(base, probes.changes, rows.offsets);
  const auto device = model->device();
  const auto ids = [&](const std::vector<int64_t>& v) {
    return at::tensor(v, at::kLong).to(device);
  };
  const nn::PackedAttention context(nn::make_packing(rows.lengths, device));
  const auto hidden = model->hidden(model->embed(ids(rows.inputs)), context);
  const auto entropy = nn::linear_cross_entropy(hidden, model->head(), ids(rows.targets),
                                                at::tensor(rows.weights, at::kFloat).to(device));
  read_losses(entropy.nll, samples, out);
  std::vector<at::Tensor> flat;
  for (const auto& gradient : torch::autograd::grad({entropy.loss}, probes.leaves))
    flat.push_back(gradient.flatten(1));
  return at::cat(flat, 1);
}

}  // namespace

WeightedSample mean_sample(std::vector<int64_t> ids, int64_t prompt_tokens) {
  base::check(prompt_tokens >= 1 && prompt_tokens < std::ssize(ids),
              "a sample has a prompt and a completion");
  WeightedSample out;
  const auto completion = std::ssize(ids) - prompt_tokens;
  out.weights.assign(ids.size(), 0);
  std::fill(out.weights.begin() + prompt_tokens, out.weights.end(),
            1 / static_cast<float>(completion));
  out.ids = std::move(ids);
  return out;
}

SampleGradients sample_gradients(const Model& base, const LiveAdapter& adapter,
                                 const std::vector<WeightedSample>& samples, int64_t batch_tokens) {
  std::vector<int64_t> tokens;
  for (size_t i = 0; i < samples.size(); ++i) {
    const auto& [ids, weights] = samples[i];
    if (ids.size() < 2 || weights.size() != ids.size()) {
      throw base::data_error(base::str("sample ", i, ": found ", ids.size(), " ids and ",
                                       weights.size(),
                                       " weights, expected at least 2 ids and as many weights"));
    }
    tokens.push_back(std::ssize(ids) - 1);
  }
  SampleGradients out;
  std::vector<at::Tensor> parts = {
      at::zeros({0, adapter.knobs()}, adapter.parameters.flat.options())};
  const std::span<const WeightedSample> all(samples);
  for (const auto& [begin, end] : token_batches(tokens, batch_tokens)) {
    const auto count = static_cast<size_t>(end - begin);
    parts.push_back(
        batch_gradients(base, adapter, all.subspan(static_cast<size_t>(begin), count), out));
  }
  out.gradients = at::cat(parts);
  return out;
}

}  // namespace preimage::lm
