#include "checkpoint/checkpoint_weights.hpp"

#include <algorithm>
#include <limits>

#include <ATen/ATen.h>

#include "families/families.hpp"
#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"

namespace preimage::lm {
namespace {

using base::str;
using Codes = nn::NarrowMatrix::Codes;
using Format = StoredQuantization::Format;

constexpr int64_t kMxfp4Block = 32;

int64_t ceil_div(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

}  // namespace

std::string CheckpointWeights::stored_name(const std::string& name) const {
  return names_.stored(name);
}

const TensorInfo* CheckpointWeights::find(const std::string& name) const {
  const auto stored = stored_name(name);
  for (const auto& file : checkpoint_.files()) {
    if (const auto* info = file.find(stored)) return info;
  }
  return nullptr;
}

std::string CheckpointWeights::place(const std::string& name) const {
  return str(checkpoint_.folder().string(), ": tensor \"", stored_name(name), "\"");
}

at::Tensor CheckpointWeights::load(const std::string& name, at::IntArrayRef shape,
                                   at::ScalarType dtype) const {
  if (!config_.original_names)
    return checkpoint_.load(stored_name(name), shape, dtype, options_.device);
  const auto stored = original_gpt_oss_place(config_, name);
  auto whole = shape.vec();
  if (stored.all_rows > 0) whole[0] = stored.all_rows;
  const auto all = checkpoint_.load(stored.name, whole, dtype, options_.device);
  return stored.all_rows > 0 ? all.narrow(0, stored.first_row, shape[0]).contiguous() : all;
}

at::Tensor CheckpointWeights::tensor(const std::string& name, at::IntArrayRef shape) const {
  auto out = load(name, shape, options_.dtype);
  return adapter_ ? adapter_->merged(name, std::move(out)) : out;
}

at::Tensor CheckpointWeights::wide_tensor(const std::string& name, at::IntArrayRef shape) const {
  auto out = load(name, shape, at::kFloat);
  return adapter_ ? adapter_->merged(name, std::move(out)) : out;
}

// ---- the stored forms ----

bool CheckpointWeights::is_fp8(const std::string& name) const {
  if (config_.stored.format != Format::fp8_blocks) return false;
  const auto* info = find(name);
  return info != nullptr && info->dtype == "F8_E4M3";
}

bool CheckpointWeights::is_int4(const std::string& name) const {
  return config_.stored.format == Format::int4_groups && find(name + "_packed") != nullptr;
}

bool CheckpointWeights::is_mxfp4(const std::string& name) const {
  // That layout has no other form, and no name for one.
  if (config_.original_names) return true;
  return config_.stored.format == Format::mxfp4 && find(name) == nullptr;
}

nn::NarrowMatrix CheckpointWeights::fp8(const std::string& name, int64_t out, int64_t in) const {
  const auto& stored = config_.stored;
  nn::NarrowMatrix m;
  m.format = Codes::fp8;
  m.rows = out, m.columns = in;
  m.block_rows = stored.block_rows, m.block_columns = stored.block_columns;
  m.codes = load(name, {out, in}, at::kFloat8_e4m3fn);
  const std::vector<int64_t> grid = {ceil_div(out, m.block_rows), ceil_div(in, m.block_columns)};
  const auto* scales = find(name + "_scale_inv");
  if (scales != nullptr && (scales->dtype == "F8_E8M0" || scales->dtype == "U8")) {
    // scale_fmt "ue8m0": 2^(byte - 127), 255 is no number.
    const auto bytes = load(name + "_scale_inv", grid, at::kByte).to(at::kDouble);
    m.scales =
        at::where(bytes == 255, std::numeric_limits<double>::quiet_NaN(), at::exp2(bytes - 127))
            .to(at::kFloat);
  } else {
    m.scales = load(name + "_scale_inv", grid, at::kFloat);
  }
  nn::require_finite(m, place(name));
  return m;
}

nn::NarrowMatrix CheckpointWeights::int4(const std::string& name, int64_t out, int64_t in) const {
  nn::NarrowMatrix m;
  m.format = Codes::int4;
  m.rows = out, m.columns = in;
  m.block_columns = config_.stored.block_columns;
  if (in % m.block_columns != 0) {
    throw base::data_error(str(place(name + "_packed"), ": ", in,
                               " columns are no multiple of group_size ", m.block_columns));
  }
  m.codes = load(name + "_packed", {out, in / 8}, at::kInt);
  m.scales = load(name + "_scale", {out, in / m.block_columns}, at::kFloat);
  const auto shape_name = name + "_shape";
  const auto* info = find(shape_name);
  const auto shape =
      load(shape_name, {2}, info && info->dtype == "I32" ? at::kInt : at::kLong).to(at::kLong);
  if (shape[0].item<int64_t>() != out || shape[1].item<int64_t>() != in) {
    throw base::data_error(str(place(shape_name), ": says [", shape[0].item<int64_t>(), ", ",
                               shape[1].item<int64_t>(), "], expected [", out, ", ", in, "]"));
  }
  nn::require_finite(m, place(name + "_packed"));
  return m;
}

// All experts stay parts of one tensor: those of a GPU's allocator are rounded up by as much as a
// megabyte each.
std::vector<nn::NarrowMatrix> CheckpointWeights::mxfp4(const std::string& name,
                                                       at::IntArrayRef shape,
                                                       const at::Tensor& rows) const {
  const int64_t experts = shape[0], in = shape[1], out = shape[2];
  auto codes = load(name + "_blocks", {experts, out, in / kMxfp4Block, kMxfp4Block / 2}, at::kByte)
                   .flatten(2);
  auto scales = load(name + "_scales", {experts, out, in / kMxfp4Block}, at::kByte);
  if (rows.defined()) {
    const auto order = rows.to(codes.device());
    codes = codes.index_select(1, order), scales = scales.index_select(1, order);
  }
  std::vector<nn::NarrowMatrix> matrices;
  for (int64_t e = 0; e < experts; ++e) {
    nn::NarrowMatrix m;
    m.format = Codes::mxfp4;
    m.rows = out, m.columns = in, m.block_columns = kMxfp4Block;
    m.codes = codes[e], m.scales = scales[e];
    nn::require_finite(m, place(name + "_scales"));
    matrices.push_back(std::move(m));
  }
  return matrices;
}

// ---- what the model gets ----

nn::Weight CheckpointWeights::finished(nn::NarrowMatrix narrow, const std::string& name) const {
  const bool merges = adapter_ && adapter_->changes(name);
  if (options_.weights == WeightFormat::stored && !merges) return nn::Weight(std::move(narrow));
  return finished(nn::decode_rows(narrow, 0, narrow.rows, options_.dtype), name);
}

nn::Weight CheckpointWeights::finished(at::Tensor dense, const std::string& name) const {
  if (adapter_) dense = adapter_->merged(name, std::move(dense));
  switch (options_.weights) {
    case WeightFormat::decoded:
    case WeightFormat::stored:
      break;
    case WeightFormat::int8:
      return nn::Weight(nn::quantize_rows(dense, Codes::int8));
    case WeightFormat::fp8:
      return nn::Weight(nn::quantize_rows(dense, Codes::fp8));
    case WeightFormat::fp8_w8a8: {
      auto narrow = nn::quantize_rows(dense, Codes::fp8);
      narrow.rounds_input = true;
      return nn::Weight(std::move(narrow));
    }
  }
  return nn::Weight(std::move(dense));
}

nn::Weight CheckpointWeights::matrix(const std::string& name, int64_t out, int64_t in) const {
  if (is_fp8(name)) return finished(fp8(name, out, in), name);
  if (is_int4(name)) return finished(int4(name, out, in), name);
  return finished(load(name, {out, in}, options_.dtype), name);
}

std::vector<nn::Weight> CheckpointWeights::expert_matrices(const std::string& name,
                                                           at::IntArrayRef shape,
                                                           const at::Tensor& rows) const {
  std::vector<nn::Weight> weights;
  if (is_mxfp4(name)) {
    for (auto& m : mxfp4(name, shape, rows)) weights.push_back(finished(std::move(m), name));
  } else {
    for (auto& m : transposed_experts(load(name, shape, options_.dtype), rows))
      weights.push_back(finished(std::move(m), name));
  }
  return weights;
}

// ---- what must be there ----

void CheckpointWeights::add_stored(const std::string& name, const std::vector<int64_t>& shape,
                                   TensorList& list) const {
  if (shape.size() == 3 && is_mxfp4(name)) {
    const int64_t experts = shape[0], in = shape[1], out = shape[2];
    if (in % kMxfp4Block != 0) {
      throw base::data_error(str(checkpoint_.folder().string(), ": ", name, ": ", in,
                                 " columns are no multiple of ", kMxfp4Block,
                                 ", the block of MXFP4"));
    }
    list.push_back(
        {stored_name(name + "_blocks"), {experts, out, in / kMxfp4Block, kMxfp4Block / 2}});
    list.push_back({stored_name(name + "_scales"), {experts, out, in / kMxfp4Block}});
    return;
  }
  if (config_.original_names) {
    const auto stored = original_gpt_oss_place(config_, name);
    if (stored.first_row > 0) return;  // listed with the first of the rows that it lies with
    if (stored.all_rows > 0) {
      auto whole = shape;
      whole[0] = stored.all_rows;
      list.emplace_back(stored.name, std::move(whole));
      return;
    }
  }
  if (shape.size() == 2 && is_fp8(name)) {
    const auto& stored = config_.stored;
    list.emplace_back(stored_name(name), shape);
    list.push_back(
        {stored_name(name + "_scale_inv"),
         {ceil_div(shape[0], stored.block_rows), ceil_div(shape[1], stored.block_columns)}});
  } else if (shape.size() == 2 && is_int4(name)) {
    list.push_back({stored_name(name + "_packed"), {shape[0], shape[1] / 8}});
    list.push_back(
        {stored_name(name + "_scale"), {shape[0], shape[1] / config_.stored.block_columns}});
    list.push_back({stored_name(name + "_shape"), {2}});
  } else {
    list.emplace_back(stored_name(name), shape);
  }
}

void CheckpointWeights::require_all() const {
  TensorList expected;
  for (const auto& [name, shape] : expected_tensors(config_)) add_stored(name, shape, expected);
  std::vector<std::string> permitted;
  for (const auto& tensor : checkpoint_.tensors()) {
    if (is_passed_over(config_, tensor.name)) permitted.push_back(tensor.name);
  }
  if (!options_.head) permitted.push_back(kHead);
  checkpoint_.require(expected, permitted);
}

}  // namespace preimage::lm
