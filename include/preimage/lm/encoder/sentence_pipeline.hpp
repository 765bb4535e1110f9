// From the hidden states of a sentence to its vector: the pipeline that a sentence-transformers
// folder describes in modules.json (Transformer, Pooling, Dense, Normalize), or bare pooling.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "preimage/base/json_node.hpp"
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
// the order of the tokens: a sentence's bits do not depend on the others. `skip`: how many of each
// sequence's first tokens are left out (a prompt); empty: none.
at::Tensor pool(const at::Tensor& hidden, const nn::Packing& packing, PoolingMode mode,
                const std::vector<int64_t>& skip = {});

// The folder of the model itself: that of the first module, or `folder` where no modules.json is.
std::filesystem::path transformer_folder(const std::filesystem::path& folder);

// How texts become tokens, and which of their tokens are pooled.
struct SentenceText {
  int64_t max_tokens = 0;  // texts are cut to so many tokens, special ones counted; 0: no limit
  bool lower_case = false;
  bool cut_left = false;       // at their beginning
  bool include_prompt = true;  // in what is pooled
  std::map<std::string, std::string> prompts;
  std::string default_prompt;  // the text itself; "" for none
};

// A text as a model takes it.
struct SentenceTokens {
  std::vector<int64_t> ids;
  int64_t skip = 0;  // the first of them, which belong to the prompt and are not pooled
};

class SentencePipeline {
 public:
  static bool is_described_in(const std::filesystem::path& folder);  // there is a modules.json
  // Reads modules.json, config_sentence_transformers.json and the files that they name: each key is
  // used, known to change nothing, or refused by name. `hidden_size` is the transformer's width,
  // `positions` how many tokens it can take (0: any number). Weights of Dense modules are read by
  // load(). ExitCode::bad_data: file, key, found, expected.
  SentencePipeline(const std::filesystem::path& folder, int64_t hidden_size, int64_t positions = 0);
  void load();

  const SentenceText& text() const { return text_; }
  // A prompt by its name; fails at `name` with the names that there are.
  const std::string& prompt(const base::JsonNode& name) const;
  int64_t width() const;  // of a vector
  const std::vector<std::string>& notes() const { return notes_; }

  // -> [sequences, width] float32 on the CPU: what follows pooling is small and runs there. `skip`
  // as of pool().
  at::Tensor operator()(const at::Tensor& hidden, const nn::Packing& packing,
                        const std::vector<int64_t>& skip = {}) const;

 private:
  struct Module {
    std::string type;  // "Dense" | "Normalize"
    std::filesystem::path folder;
    int64_t in = 0, out = 0;
    bool bias = false;
    std::string activation;
    nn::Weight weight;
  };
  void read_settings(const std::filesystem::path& folder);
  void read_pooling(const std::filesystem::path& folder);
  void add_module(const std::string& type, const std::filesystem::path& folder);
  Module read_dense(const std::filesystem::path& folder, int64_t width);
  int64_t full_width() const;

  int64_t hidden_size_;
  SentenceText text_;
  int64_t truncate_dim_ = 0;  // numbers of a vector that are kept; 0: all
  std::vector<PoolingMode> pooling_;
  std::vector<Module> modules_;  // behind the pooling
  std::vector<std::string> notes_;
};

}  // namespace preimage::lm
