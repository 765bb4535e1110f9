// A frozen (or trained) decoder: token ids or embeddings in, hidden states and logits out.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <ATen/core/Tensor.h>

#include "preimage/lm/checkpoint/checkpoint.hpp"
#include "preimage/lm/checkpoint/model_config.hpp"
#include "preimage/nn/attention.hpp"
#include "preimage/nn/linear.hpp"

namespace preimage::lm {

class Model {
 public:
  virtual ~Model() = default;
  virtual const ModelConfig& config() const = 0;
  virtual at::ScalarType dtype() const = 0;
  virtual at::Device device() const = 0;

  // ids [tokens] int64 -> [tokens, d] in the model's dtype; differentiable where the table is
  // trained.
  virtual at::Tensor embed(const at::Tensor& ids) const = 0;
  // Embeddings [tokens, d] -> final normed hidden states [tokens, d]. Differentiable in x where the
  // context is; frozen weights get no gradient.
  virtual at::Tensor hidden(const at::Tensor& x, const nn::AttentionContext& context) const = 0;
  // The heads of the layers that attend, in the order in which `hidden` counts them: the shape of a
  // cache.
  virtual const std::vector<nn::HeadLayout>& attention_layers() const = 0;
  // Whether `embed` and `hidden` start the same work on the device for every input of a shape, and
  // wait for none of it: then they can be captured in a CUDA graph. A model whose host code looks
  // at values (which experts were chosen) says false.
  virtual bool capturable() const { return false; }
  // The vocabulary projection [V, d]; logits = nn::linear(hidden, head()).
  virtual const nn::Weight& head() const = 0;
  // The embedding table [V, d].
  virtual const at::Tensor& embedding_table() const = 0;
};

// How the matrices of the layers and of the head are kept. Embeddings, norms, biases and routers
// are in the model's dtype always.
enum class WeightFormat {
  decoded,   // in the model's dtype
  stored,    // as the checkpoint has them: MXFP4, FP8 and int4 are decoded during each product
  int8,      // quantized on load, one scale for each output channel; decoded during each product
  fp8,       // the same with E4M3
  fp8_w8a8,  // the same, and each row of a product's input is rounded to E4M3 as well: products in
             // eight bits. Not for mixtures of experts
};
// "decoded", ...; throws ExitCode::bad_config for another word.
WeightFormat parse_weight_format(const std::string& word);
const char* weight_format_name(WeightFormat format);

struct LoadOptions {
  at::ScalarType dtype = at::kFloat;
  at::Device device = at::kCPU;
  WeightFormat weights = WeightFormat::decoded;
  std::filesystem::path adapter;  // folder of a LoRA adapter to be merged; empty: none
  double memory = 0;              // bytes that the weights may take; 0: what the device has free
  // Without the head the model gives hidden states alone: the file need not hold one, and head() is
  // the embedding.
  bool head = true;
  int64_t context = 0;  // as of read_model_config
};

// Loads a checkpoint folder: config, headers and memory are checked before the first weight is
// read. Shards are streamed: beside the model there is never more than one tensor of the file.
std::shared_ptr<const Model> load_model(const std::filesystem::path& folder,
                                        const LoadOptions& options);

// The tensors of a family: name and shape, in the order of the published files.
using TensorList = std::vector<std::pair<std::string, std::vector<int64_t>>>;
TensorList expected_tensors(const ModelConfig& config);

// The plain tensors of a checkpoint by their published names, wherever the file keeps them. Throws
// where a tied model has a head of its own in the file.
std::map<std::string, at::Tensor> load_tensors(const std::filesystem::path& folder,
                                               const ModelConfig& config,
                                               const LoadOptions& options);

// Builds a model from tensors given by name: of a checkpoint, or of a trainer's parameters (then
// the model is differentiable in them). Each name is asked for once.
using TensorSource = std::function<at::Tensor(const std::string& name, at::IntArrayRef shape)>;
std::shared_ptr<const Model> build_model(const ModelConfig& config, const TensorSource& source);

// Bytes of the weights as they will be held, the CPU kernels' packed copies included: for products
// and gradients, or for products alone.
enum class PackedFor { products_and_gradients, products };
double weight_bytes(const ModelConfig& config, const LoadOptions& options,
                    PackedFor use = PackedFor::products_and_gradients);
// The same of plain tensors, for products alone.
double weight_bytes(const TensorList& tensors, const LoadOptions& options);

// Throws ExitCode::unavailable, with both numbers, where `needed` bytes of weights are more than
// the device can hold. To be called before the first weight is read.
void require_memory(double needed, const LoadOptions& options, const std::filesystem::path& folder);

}  // namespace preimage::lm
