#include "preimage/lm/adapter/sample_gradients.hpp"

#include <algorithm>
#include <iterator>
#include <limits>
#include <span>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
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
// left out; so are, among the predicting rows, those outside of a sample's weights.
struct Rows {
  std::vector<int64_t> lengths, offsets = {0}, inputs;
  std::vector<int64_t> predicting, targets;  // rows with logits, and what they predict
  std::vector<int64_t> first;                // of each sample: the first token that is predicted
  std::vector<int64_t> count;                // and how many are
};

Rows rows_of(std::span<const WeightedSample> samples) {
  Rows rows;
  for (const auto& [ids, weights] : samples) {
    const int64_t offset = rows.offsets.back(), length = std::ssize(ids) - 1;
    rows.lengths.push_back(length);
    rows.offsets.push_back(offset + length);
    rows.inputs.insert(rows.inputs.end(), ids.begin(), ids.end() - 1);
    const auto counts = [](float weight) { return weight != 0; };
    const auto begin = std::find_if(weights.begin() + 1, weights.end(), counts);
    const auto end =
        std::find_if(weights.rbegin(), std::make_reverse_iterator(begin), counts).base();
    rows.first.push_back(begin - weights.begin());
    rows.count.push_back(end - begin);
    for (auto t = begin - weights.begin(); t < end - weights.begin(); ++t) {
      rows.predicting.push_back(offset + t - 1);
      rows.targets.push_back(ids[static_cast<size_t>(t)]);
    }
  }
  return rows;
}

at::Tensor on_device(const std::vector<int64_t>& values, at::Device device) {
  return at::tensor(values, at::kLong).to(device);
}

// Hidden rows that predict, [rows, d].
at::Tensor predicting_rows(const Model& model, const Rows& rows) {
  const auto device = model.device();
  const nn::PackedAttention context(nn::make_packing(rows.lengths, device));
  const auto hidden = model.hidden(model.embed(on_device(rows.inputs, device)), context);
  if (std::ssize(rows.predicting) == hidden.size(0)) return hidden;
  return hidden.index_select(0, on_device(rows.predicting, device));
}

// Of each sample, from the rows' losses.
std::vector<std::vector<float>> logp_of(const at::Tensor& nll, const Rows& rows) {
  const auto values = nll.cpu();
  const float* row = values.const_data_ptr<float>();
  std::vector<std::vector<float>> out;
  for (size_t i = 0; i < rows.lengths.size(); ++i) {
    auto& logp = out.emplace_back(rows.lengths[i], std::numeric_limits<float>::quiet_NaN());
    for (int64_t t = 0; t < rows.count[i]; ++t)
      logp[static_cast<size_t>(rows.first[i] - 1 + t)] = -*row++;
  }
  return out;
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

// -log p of the predicting rows, no graph.
at::Tensor nll_of(const Model& model, const at::Tensor& hidden, const Rows& rows) {
  const at::NoGradGuard no_grad;
  const auto weights = at::zeros({hidden.size(0)}, hidden.options().dtype(at::kFloat));
  return nn::linear_cross_entropy(hidden.detach(), model.head(),
                                  on_device(rows.targets, model.device()), weights)
      .nll;
}

class Batch {
 public:
  Batch(const Model& base, const LiveAdapter& adapter, const SampleGradientOptions& options)
      : base_(base), adapter_(adapter), options_(options) {
    zero_ = adapter.options.kind == "svd" && !adapter.parameters.flat.any().item<bool>();
  }

  // Appends to losses and logp; returns the gradients [samples, knobs]. `first`: the place of the
  // first one among all samples.
  at::Tensor run(std::span<const WeightedSample> samples, size_t first,
                 SampleGradients& out) const {
    const auto rows = rows_of(samples);
    auto probes = make_probes(adapter_, std::ssize(samples));
    for (auto& [name, change] : probes.changes) change.zero_gain = zero_;
    const auto model = changed_model(base_, probes.changes, rows.offsets);
    const auto hidden = predicting_rows(*model, rows);
    const auto weights = weights_of(*model, hidden, samples, rows, first);
    std::vector<float> flat;
    for (size_t i = 0; i < samples.size(); ++i)
      flat.insert(flat.end(), weights[i].begin() + rows.first[i],
                  weights[i].begin() + rows.first[i] + rows.count[i]);
    const auto device = model->device();
    const auto entropy =
        nn::linear_cross_entropy(hidden, model->head(), on_device(rows.targets, device),
                                 at::tensor(flat, at::kFloat).to(device));
    auto gradients = torch::autograd::grad({entropy.loss}, probes.leaves);
    for (auto& gradient : gradients) gradient = gradient.flatten(1);
    add_losses(entropy.nll, rows, weights, out);
    return at::cat(gradients, 1);
  }

 private:
  std::vector<std::vector<float>> weights_of(const Model& model, const at::Tensor& hidden,
                                             std::span<const WeightedSample> samples,
                                             const Rows& rows, size_t first) const {
    std::vector<std::vector<float>> out;
    for (const auto& sample : samples) out.push_back(sample.weights);
    if (!options_.reweigh) return out;
    const auto logp = logp_of(nll_of(model, hidden, rows), rows);
    for (size_t i = 0; i < out.size(); ++i) options_.reweigh(first + i, logp[i], out[i]);
    return out;
  }

  static void add_losses(const at::Tensor& nll, const Rows& rows,
                         const std::vector<std::vector<float>>& weights, SampleGradients& out) {
    auto logp = logp_of(nll, rows);
    for (size_t i = 0; i < logp.size(); ++i) {
      double loss = 0;
      for (auto t = static_cast<size_t>(rows.first[i]);
           t < static_cast<size_t>(rows.first[i] + rows.count[i]); ++t)
        loss -= static_cast<double>(weights[i][t]) * static_cast<double>(logp[i][t - 1]);
      out.losses.push_back(loss);
      out.logp.push_back(std::move(logp[i]));
    }
  }

  const Model& base_;
  const LiveAdapter& adapter_;
  const SampleGradientOptions& options_;
  bool zero_ = false;
};

// Calls body(samples, place of the first) for neighbours that go through a model together.
template <class Body>
void for_batches(const std::vector<WeightedSample>& samples, int64_t batch_tokens,
                 const Body& body) {
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
  const std::span<const WeightedSample> all(samples);
  for (const auto& [begin, end] : token_batches(tokens, batch_tokens)) {
    const auto first = static_cast<size_t>(begin);
    body(all.subspan(first, static_cast<size_t>(end - begin)), first);
  }
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
                                 const std::vector<WeightedSample>& samples,
                                 const SampleGradientOptions& options) {
  SampleGradients out;
  const Batch batch(base, adapter, options);
  std::vector<at::Tensor> parts = {
      at::zeros({0, adapter.knobs()}, adapter.parameters.flat.options())};
  for_batches(samples, options.batch_tokens, [&](const auto& some, size_t first) {
    parts.push_back(batch.run(some, first, out));
  });
  out.gradients = at::cat(parts);
  return out;
}

std::vector<std::vector<float>> sample_logp(const Model& model,
                                            const std::vector<WeightedSample>& samples,
                                            int64_t batch_tokens) {
  const at::NoGradGuard no_grad;
  std::vector<std::vector<float>> out;
  for_batches(samples, batch_tokens, [&](const auto& some, size_t) {
    const auto rows = rows_of(some);
    for (auto& logp : logp_of(nll_of(model, predicting_rows(model, rows), rows), rows))
      out.push_back(std::move(logp));
  });
  return out;
}

}  // namespace preimage::lm
