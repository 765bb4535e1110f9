#include "extraction.hpp"

#include <cmath>

#include <ATen/core/Tensor.h>

#include "measure/nulls.hpp"
#include "report/rows.hpp"

namespace preimage::grpo {
namespace {

Rows contrasts(Basis& basis, const ExtractionInput& input, int64_t begin, int64_t end) {
  Rows out(end - begin, basis.knobs());
  for (int64_t p = begin; p < end; ++p) {
    const auto& pair = input.pairs[static_cast<size_t>(p)];
    const auto found = basis.gradients({pair.hack, pair.clean});
    const auto scale = [&](const Sequence& s) {
      return input.loss == "grpo"
                 ? static_cast<float>(s.completion.size()) / static_cast<float>(input.max_new)
                 : 1.0f;
    };
    const float hack = scale(pair.hack), clean = scale(pair.clean);
    const auto h = found.rows.row(0), c = found.rows.row(1);
    const auto d = out.row(p - begin);
    for (size_t j = 0; j < d.size(); ++j) d[j] = hack * h[j] - clean * c[j];
  }
  return out;
}

// The held-out pairs' mean cosine with v_1, and with random directions in its place.
void validate(const Directions& directions, const Rows& heldout, const ExtractionInput& input,
              ExtractionRow& row) {
  row.heldout_pairs = heldout.count();
  row.heldout = row.heldout_null = row.heldout_null_sd = std::nan("");
  if (heldout.count() == 0) return;
  row.heldout = held_out_alignment(directions, heldout);
  auto first = directions;  // v_1 alone
  for (auto& module : first.modules) {
    module.k = 1;
    module.v.resize(static_cast<size_t>(module.span.size));
    module.mean = module.v;  // the drawn d is the drawn v_1, with lengths of 1
  }
  const auto draws =
      draw_null(NullKind::random, {&first, &heldout, nullptr, input.draws, input.seed});
  // sum <D, v> / (|D| sqrt(modules)) is the concatenated signed cosine.
  const auto null = summarise(draws, &Alignment::cos_sgn_global);
  row.heldout_null = null.mean, row.heldout_null_sd = null.deviation;
}

}  // namespace

store::UnitOutput extract(Basis& basis, const ExtractionInput& input) {
  basis.reset();
  const int64_t pairs = std::ssize(input.pairs), used = pairs - input.heldout;
  const auto d = contrasts(basis, input, 0, used);
  const auto directions = extract_directions(d, basis.spans(), input.axes);
  store::UnitOutput out;
  ExtractionRow row{basis.kind(),
                    input.contrast,
                    used,
                    directions.modules_seen,
                    std::ssize(directions.modules),
                    directions.axes()};
  row.noise_floor = directions.noise_floor, row.mean_k = directions.mean_k();
  validate(directions, contrasts(basis, input, used, pairs), input, row);
  out.rows[table::extraction].push_back(store::to_row(row));
  for (const auto& module : directions.modules) {
    for (int64_t i = 0; i < module.k; ++i) {
      const auto at = static_cast<size_t>(i);
      out.rows[table::directions].push_back(store::to_row(DirectionRow{
          basis.kind(), input.contrast, module.span.module, module.span.type, module.span.size,
          module.span.begin, i, module.singular[at], module.votes[at]}));
      const auto v = module.row(i);
      out.tensors[tensor::direction_vectors].push_back(
          {{module.span.size}, std::vector<double>(v.begin(), v.end())});
    }
  }
  for (int64_t p = 0; p < d.count(); ++p) {
    const auto row_p = d.row(p);
    out.tensors[tensor::pair_gradients].push_back(
        {{d.size()}, std::vector<float>(row_p.begin(), row_p.end())});
  }
  if (input.contrast == "hack") {
    for (const auto& a : basis.constants()) {
      const float* data = a.const_data_ptr<float>();
      out.tensors[tensor::lora_a].push_back(
          {{a.size(0), a.size(1)}, std::vector<float>(data, data + a.numel())});
    }
  }
  return out;
}

Extraction extraction_of(const store::UnitOutput& output) {
  Extraction out;
  const auto& gradients = output.tensors.at(tensor::pair_gradients);
  out.pair_gradients = Rows(std::ssize(gradients), gradients.at(0).shape.at(0));
  for (size_t p = 0; p < gradients.size(); ++p)
    std::ranges::copy(std::get<std::vector<float>>(gradients[p].values),
                      out.pair_gradients.row(static_cast<int64_t>(p)).begin());
  ExtractionRow summary;
  store::from_row(output.rows.at(table::extraction).at(0), summary);
  out.directions.noise_floor = summary.noise_floor;
  out.directions.modules_seen = summary.modules_seen;
  const auto& rows = output.rows.at(table::directions);
  for (size_t r = 0; r < rows.size(); ++r) {
    DirectionRow row;
    store::from_row(rows[r], row);
    auto& modules = out.directions.modules;
    if (row.axis == 0) modules.push_back({{row.module, row.type, row.first_knob, row.size}});
    auto& module = modules.back();
    ++module.k;
    const auto& v =
        std::get<std::vector<double>>(output.tensors.at(tensor::direction_vectors).at(r).values);
    module.v.insert(module.v.end(), v.begin(), v.end());
    module.singular.push_back(row.singular);
    module.votes.push_back(row.votes);
  }
  for (auto& module : out.directions.modules) {
    module.mean.assign(static_cast<size_t>(module.span.size), 0);
    for (int64_t p = 0; p < out.pair_gradients.count(); ++p) {
      const auto d = module.span.of(out.pair_gradients.row(p));
      for (size_t j = 0; j < d.size(); ++j)
        module.mean[j] += static_cast<double>(d[j]) / static_cast<double>(gradients.size());
    }
  }
  return out;
}

}  // namespace preimage::grpo
