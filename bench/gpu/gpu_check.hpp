// What the parts of gpu_check share: random tensors, a table of findings, the check of a layer.
#pragma once

#include <cstdio>
#include <filesystem>
#include <functional>
#include <string>

#include <ATen/ATen.h>

#include "preimage/base/random.hpp"
#include "preimage/base/str.hpp"

namespace preimage::bench {

// Normal numbers on the GPU, cut from one block whose length is prime, so that no two rows are
// alike.
class Randoms {
 public:
  Randoms() {
    const base::RandomStream stream(1, "gpu_check", "tensors");
    auto block = at::empty({kLength}, at::kFloat);
    for (int64_t i = 0; i < kLength; ++i) {
      block.data_ptr<float>()[i] = static_cast<float>(stream.normal(static_cast<uint64_t>(i)));
    }
    block_ = block.to(at::kCUDA);
  }

  at::Tensor normal(at::IntArrayRef shape, at::ScalarType dtype, double scale = 1) {
    const int64_t count = c10::multiply_integers(shape);
    used_ = (used_ + 7919) % kLength;
    const auto block = (block_ * scale).to(dtype);
    return block.repeat({count / kLength + 2}).narrow(0, used_, count).clone().view(shape);
  }

  at::Tensor below(int64_t bound, int64_t count) {
    return (normal({count}, at::kFloat).abs() * 1e6).to(at::kLong).remainder(bound);
  }

 private:
  static constexpr int64_t kLength = 1048583;
  at::Tensor block_;
  int64_t used_ = 0;
};

// |ours - truth| / |truth| in float64 (2-norms); NaN where either holds one.
inline double relative_error(const at::Tensor& ours, const at::Tensor& truth) {
  const auto wide = truth.to(at::kDouble);
  return ((ours.to(at::kDouble) - wide).norm() / wide.norm()).item<double>();
}

inline bool same_bits(const at::Tensor& a, const at::Tensor& b) {
  const auto bits = a.element_size() == 2 ? at::kShort : at::kInt;
  return at::equal(a.contiguous().view(bits), b.contiguous().view(bits));
}

class Findings {
 public:
  void add(const std::string& what, double error, double limit) {
    print(what, error, limit, true, "");
  }
  // `dependent`: the numbers of rows at which a row's bits differed, empty where there is none.
  void add(const std::string& what, double error, double limit, const std::string& dependent) {
    print(what, error, limit, dependent.empty(),
          dependent.empty() ? "rows independent" : "rows differ at " + dependent);
  }
  int failures() const { return failures_; }

 private:
  void print(const std::string& what, double error, double limit, bool same,
             const std::string& rows) {
    const bool good = error <= limit && same;  // false for NaN
    failures_ += !good;
    std::printf("%-6s %-44s error %8.1e (limit %.0e)  %s\n", good ? "ok" : "FAILED", what.c_str(),
                error, limit, rows.c_str());
    std::fflush(stdout);
  }

  int failures_ = 0;
};

// Of rows, and of one more value for each row where a layer needs it (positions).
using RowFunction = std::function<at::Tensor(const at::Tensor& x, const at::Tensor& side)>;
struct Layer {
  std::string name;
  RowFunction ours, plain;  // the plain form is given float64
  at::Tensor x, dy, side;   // [rows, ...]
};
// Forward and backward pass against the plain form, and whether a row's bits depend on others.
void check_layer(const Layer& layer, Findings& findings);

// Attention of encoders, and weights in fewer bits.
void check_encoder_attention(Randoms& random, Findings& findings);

// Whole models: the fixtures of tests/lm, and random ones whose heads the kernels read, against
// transformers and against the CPU.
void check_models(const std::filesystem::path& fixtures, Findings& findings);

// The kernels over a paged cache and the choice of tokens, and their rates.
void check_paged(Randoms& random, Findings& findings);
void print_paged_rates();

// Matrices in few bits and mixtures of experts, and their rates.
void check_experts(Randoms& random, Findings& findings);
void check_low_rank(Randoms& random, Findings& findings);
void print_expert_rates();

// Times every kernel and layer at the shapes of a 7B model; prints a table.
void print_rates(Randoms& random);

}  // namespace preimage::bench
