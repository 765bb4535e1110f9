// From the hidden states of a sentence to its vector: the pipeline that a sentence-transformers
// folder describes in modules.json (Transformer, Pooling, Dense, Normalize), or bare pooling.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "preimage/nn/attention.hpp"
#include "preimage/nn/linear.hpp"

namespace preimage::lm {

enum class PoolingMode {
  first,          // the first token ("cls")
  last,           // the last token
  max,            // the largest value of each feature
  mean,           // over all tokens, special ones included
  mean_sqrt,      // their sum over the root of their number
  weighted_mean,  // token i counts i + 1 times
};

// hidden [tokens, d] of packed sequences, none of them empty -> [sequences, d] float32. Sums run in
// the order of the tokens: a sentence's bits do not depend on the others.
at::Tensor pool(const at::Tensor& hidden, const nn::Packing& packing, PoolingMode mode);

class SentencePipeline {
 public:
  static bool is_described_in(const std::filesystem::path& folder);  // there is a modules.json
  // Reads modules.json and the files that it names; `hidden_size` is the transformer's width.
  // Weights of Dense modules are read by load(). ExitCode::bad_data: file, key, found, expected.
  SentencePipeline(const std::filesystem::path& folder, int64_t hidden_size);
  void load();

  // Texts are cut to so many tokens, special ones counted; 0: no limit.
  int64_t max_tokens() const { return max_tokens_; }
  bool lower_case() const { return lower_case_; }
  int64_t width() const;  // of a vector

  // -> [sequences, width] float32 on the CPU: what follows pooling is small and runs there.
  at::Tensor operator()(const at::Tensor& hidden, const nn::Packing& packing) const;

 private:
  struct Module {
    std::string type;  // "Dense" | "Normalize"
    std::filesystem::path folder;
    int64_t in = 0, out = 0;
    bool bias = false;
    std::string activation;
    nn::Weight weight;
  };
  void read_limits(const std::filesystem::path& folder);
  void read_pooling(const std::filesystem::path& folder);
  Module read_dense(const std::filesystem::path& folder, int64_t width) const;

  int64_t hidden_size_;
  int64_t max_tokens_ = 0;
  bool lower_case_ = false;
  std::vector<PoolingMode> pooling_;
  std::vector<Module> modules_;  // behind the pooling
};

}  // namespace preimage::lm
