#include "preimage/lm/t5/t5.hpp"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "t5/checkpoint.hpp"
#include "t5/stack.hpp"

namespace preimage::lm {

int64_t T5Config::parameters() const {
  int64_t total = (own_head ? 2 : 1) * vocab_size * hidden_size;
  for (const char* stack : {"encoder.", "decoder."}) {
    for (const auto& [name, shape] : t5_stack_tensors(*this, stack))
      total += c10::multiply_integers(shape);
  }
  return total;
}

T5Model::T5Model(const T5Config& config, const TensorSource& source, const std::string& prefix)
    : config_(config) {
  const T5Source root{source, prefix};
  const std::vector<int64_t> shape = {config.vocab_size, config.hidden_size};
  const auto embedding = root("shared.weight", shape);
  encoder_ = std::make_shared<T5Encoder>(config, embedding, root.below("encoder."));
  decoder_ = std::make_unique<T5Decoder>(config, embedding, root.below("decoder."));
  head_ = nn::Weight(config.own_head ? root("lm_head.weight", shape) : embedding);
}

T5Model::~T5Model() = default;

T5Memory T5Model::remember(const at::Tensor& states) const {
  return decoder_->remember(states);
}

T5Cache T5Model::make_cache(int64_t rows, int64_t capacity) const {
  return decoder_->make_cache(rows, capacity);
}

at::Tensor T5Model::decode(const at::Tensor& ids, const T5Step& step, const T5Memory& memory,
                           T5Cache& cache) const {
  return decoder_->decode(ids, step, memory, cache);
}

std::shared_ptr<const T5Model> load_t5(const std::filesystem::path& folder,
                                       const LoadOptions& options) {
  T5Config config = read_t5_config(folder);
  const Checkpoint checkpoint(folder);
  const T5Checkpoint tensors(checkpoint, config, "");
  const auto expected = tensors.expected(config, T5Part::whole);
  checkpoint.require(expected, tensors.permitted(T5Part::whole));
  require_memory(weight_bytes(expected, options), options, folder);
  const at::NoGradGuard no_grad;
  return std::make_shared<T5Model>(config, tensors.source(options));
}

}  // namespace preimage::lm
