// Adapters as parameters of a frozen decoder: what is trained lies in one flat float32 vector, the
// model's own weights stay as they are (also bfloat16 or narrow), and no product is ever merged.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "preimage/base/config.hpp"
#include "preimage/lm/model.hpp"
#include "preimage/lm/train/data_parallel.hpp"
#include "preimage/nn/linear.hpp"

namespace preimage::lm {

struct AdapterOptions {
  std::string kind = "lora";  // "lora", or "svd": knobs s of W = U diag(S) Vh, y = W x + U (s Vh x)
  int64_t rank = 8;           // of lora; svd has min(out, in)
  double alpha = 16;          // of lora: B A is scaled by alpha / rank
  bool train_a = true;        // of lora: false keeps A as it was drawn, and trains B alone
  // Last parts of module names ("q_proj"), or whole ones; routed experts, router, embedding and
  // head cannot be adapted.
  std::vector<std::string> targets = {"q_proj",    "k_proj",  "v_proj",   "o_proj",
                                      "gate_proj", "up_proj", "down_proj"};
  void lora_fields(base::Fields& f);  // rank, alpha, targets
  void fields(base::Fields& f);       // those, kind and train_a
};

// A linear layer of the model that carries a change.
struct AdapterModule {
  std::string name;  // "model.layers.0.self_attn.q_proj"
  int64_t out = 0, in = 0, rank = 0;
  double scale = 1;              // of lora
  int64_t first = 0, count = 0;  // its part of the flat vector: A before B
};

// The modules of a decoder that an adapter can change: every linear layer of its blocks but routed
// experts and routers.
std::vector<std::string> adaptable_modules(const ModelConfig& config);

// U [out, r] and Vh [r, in] of a frozen matrix, in bfloat16.
struct SvdFactors {
  nn::Weight u, vh;
};

struct LiveAdapter {
  AdapterOptions options;
  std::vector<AdapterModule> modules;  // in the order of the model
  // What is trained: "NAME.lora_A.weight" [r, in], "NAME.lora_B.weight" [out, r], or "NAME.svd_s"
  // [r], by the modules' names; each a view into parameters.flat.
  TensorList tensors;
  Parameters parameters;
  std::map<std::string, at::Tensor> constant;  // A by its name, where it is not trained
  std::map<std::string, SvdFactors> factors;   // by module
  int64_t knobs() const { return parameters.flat.numel(); }
};

// A new adapter that changes nothing yet: A uniform in +-1/sqrt(in) as PEFT draws it (kaiming,
// a = sqrt 5) but keyed by (seed, name, element), B zero; or s zero. Singular vectors have the
// signs and the order of the library that made them: keep them, as `cache`/svd-HASH.safetensors by
// the hash of each matrix; "" keeps none (src/lm/adapter/svd_factors.hpp says how they are made).
// Throws ExitCode::bad_config where a target fits no module.
LiveAdapter make_adapter(const Model& base, const AdapterOptions& options, uint64_t seed,
                         const std::filesystem::path& cache = {});

// The base with the adapter on it, beside adapters that it has already; shares all frozen weights
// with `base`, costs no time worth naming. Without `leaves` it computes with adapter.parameters as
// they are at each call: an update in place is in force at once (generators are told by
// Generator::weights_changed). With leaves, made by make_leaves(adapter.parameters,
// adapter.tensors, at::kFloat), it is differentiable.
std::shared_ptr<const Model> with_adapter(const Model& base, const LiveAdapter& adapter,
                                          const Leaves* leaves = nullptr);

// A LoRA folder in PEFT's layout as live parameters on the base's device (A is trained too), bit
// for bit those of the file. Refuses what only merging can do (modules saved whole, embeddings,
// initialisations that change the base).
LiveAdapter load_adapter(const std::filesystem::path& folder, const Model& base);

// Writes adapter_config.json and adapter_model.safetensors, which PEFT and load_model read.
// `base_name` is what adapter_config.json names as base model. LoRA alone.
void save_adapter(const LiveAdapter& adapter, const std::string& base_name, at::ScalarType dtype,
                  const std::filesystem::path& folder);

}  // namespace preimage::lm
