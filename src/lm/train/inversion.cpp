// The inversion model of vec2text, learning: an embedding becomes encoder inputs, T5 writes the
// text.
#include <cmath>
#include <limits>

#include <ATen/ATen.h>

#include "encoder/encoder_config.hpp"
#include "preimage/base/error.hpp"
#include "preimage/base/random.hpp"
#include "preimage/base/str.hpp"
#include "preimage/lm/train/sentence.hpp"
#include "t5/stack.hpp"
#include "t5/vec2text_config.hpp"
#include "train/padded.hpp"

namespace preimage::lm {
namespace {

constexpr const char* kShared = "shared.weight";
constexpr const char* kBias = "block.0.layer.0.SelfAttention.relative_attention_bias.weight";

// Sizes of an inverter that has no weights yet.
Vec2TextConfig plan_of(const std::filesystem::path& folder, int64_t embedding_size) {
  ConfigFile file(folder / "config.json");
  Vec2TextConfig out;
  const auto base = folder / file.text("model_name_or_path", "");
  if (base == folder / "" || !std::filesystem::exists(base / "config.json"))
    file.refuse("model_name_or_path names no folder beside it with the config.json of a T5");
  out.repeat_tokens = file.size("num_repeat_tokens", 1 << 12, 16);
  out.max_tokens = file.size("max_seq_length", 1 << 20, 128);
  file.done();
  out.t5 = read_t5_config(base);
  out.embedding_size = out.bottleneck = embedding_size;
  return out;
}

TensorList tensors_of(const Vec2TextConfig& config) {
  TensorList list = {{kShared, {config.t5.vocab_size, config.t5.hidden_size}}};
  for (const char* stack : {"encoder.", "decoder."}) {
    for (auto& entry : t5_stack_tensors(config.t5, stack)) list.push_back(std::move(entry));
  }
  if (config.t5.own_head)
    list.emplace_back("lm_head.weight", std::vector{config.t5.vocab_size, config.t5.hidden_size});
  for (auto& [name, shape] : list) name = kVec2TextPrefix + name;
  for (auto& entry : vec2text_tensors(config)) list.push_back(std::move(entry));
  return list;
}

class InverterGraph {
 public:
  InverterGraph(const Vec2TextConfig& config, const Leaves& leaves)
      : config_(config), t5_(config.t5), leaves_(leaves) {}

  // Hidden states of the decoder [texts, tokens, D], scaled for the head where the model does so.
  at::Tensor hidden(const at::Tensor& embeddings, const at::Tensor& decoder_ids) const;
  const at::Tensor& head() const { return leaf(t5_.own_head ? "lm_head.weight" : kShared); }

 private:
  const at::Tensor& leaf(const std::string& name) const {
    return leaves_.by_name.at(kVec2TextPrefix + name);
  }
  at::Tensor norm(const at::Tensor& x, const std::string& name) const {
    return x * at::rsqrt(x.square().mean(-1, /*keepdim=*/true) + t5_.norm_eps) *
           leaf(name + "layer_norm.weight");
  }
  // x + attention(norm(x)); `keys` are the states that are attended to, or x itself.
  at::Tensor attend(const at::Tensor& x, const std::string& layer, const char* kind,
                    const at::Tensor& memory, const at::Tensor& bias) const;
  at::Tensor feed_forward(const at::Tensor& x, const std::string& layer) const;
  // [1, heads, length, length]
  at::Tensor position_bias(const std::string& stack, int64_t length, bool causal) const;
  at::Tensor encode(const at::Tensor& embeddings) const;

  const Vec2TextConfig& config_;
  const T5Config& t5_;
  const Leaves& leaves_;
};

at::Tensor InverterGraph::attend(const at::Tensor& x, const std::string& layer, const char* kind,
                                 const at::Tensor& memory, const at::Tensor& bias) const {
  const auto inner = norm(x, layer);
  const auto& source = memory.defined() ? memory : inner;
  const auto name = layer + kind + ".";
  const auto rows = [&](const at::Tensor& from, const char* part) {
    return at::linear(from, leaf(name + part + ".weight")).unflatten(2, {t5_.heads, t5_.head_dim});
  };
  const auto seen =
      padded_attention({rows(inner, "q"), rows(source, "k"), rows(source, "v")}, 1, bias);
  return x + at::linear(seen, leaf(name + "o.weight"));
}

at::Tensor InverterGraph::feed_forward(const at::Tensor& x, const std::string& layer) const {
  const auto y = norm(x, layer);
  const auto through = [&](const char* name) {
    return at::linear(y, leaf(layer + "DenseReluDense." + name + ".weight"));
  };
  const auto inner =
      t5_.gated ? at::gelu(through("wi_0"), "tanh") * through("wi_1") : at::relu(through("wi"));
  return x + at::linear(inner, leaf(layer + "DenseReluDense.wo.weight"));
}

at::Tensor InverterGraph::position_bias(const std::string& stack, int64_t length,
                                        bool causal) const {
  std::vector<int64_t> buckets;
  for (int64_t query = 0; query < length; ++query) {
    for (int64_t key = 0; key < length; ++key)
      buckets.push_back(
          relative_position_bucket(key - query, !causal, t5_.buckets, t5_.max_distance));
  }
  const auto& table = leaf(stack + kBias);
  const auto index = at::tensor(buckets, at::kLong).to(table.device());
  auto bias = at::embedding(table, index).view({length, length, t5_.heads}).permute({2, 0, 1});
  if (causal) {
    const auto later = at::ones({length, length}, index.options().dtype(at::kBool)).triu(1);
    bias = bias.masked_fill(later, -std::numeric_limits<double>::infinity());
  }
  return bias.unsqueeze(0);
}

at::Tensor InverterGraph::encode(const at::Tensor& embeddings) const {
  const auto transform = [&](const char* name) -> const at::Tensor& {
    return leaves_.by_name.at(std::string("embedding_transform.") + name);
  };
  const auto inner = at::gelu(at::linear(embeddings, transform("0.weight"), transform("0.bias")));
  auto x = at::linear(inner, transform("3.weight"), transform("3.bias"))
               .view({-1, config_.repeat_tokens, t5_.hidden_size});
  const auto bias = position_bias("encoder.", config_.repeat_tokens, false);
  for (int64_t i = 0; i < t5_.layers; ++i) {
    const auto block = base::str("encoder.block.", i, ".");
    x = attend(x, block + "layer.0.", "SelfAttention", {}, bias);
    x = feed_forward(x, block + "layer.1.");
  }
  return norm(x, "encoder.final_");
}

at::Tensor InverterGraph::hidden(const at::Tensor& embeddings,
                                 const at::Tensor& decoder_ids) const {
  const auto memory = encode(embeddings);
  const auto bias = position_bias("decoder.", decoder_ids.size(1), true);
  const auto none = at::zeros({1}, memory.options());
  auto x = at::embedding(leaf(kShared), decoder_ids);
  for (int64_t i = 0; i < t5_.decoder_layers; ++i) {
    const auto block = base::str("decoder.block.", i, ".");
    x = attend(x, block + "layer.0.", "SelfAttention", {}, bias);
    x = attend(x, block + "layer.1.", "EncDecAttention", memory, none);
    x = feed_forward(x, block + "layer.2.");
  }
  x = norm(x, "decoder.final_");
  return t5_.scaled_output ? x * std::pow(static_cast<double>(t5_.hidden_size), -0.5) : x;
}

class InversionTask : public SentenceTask {
 public:
  InversionTask(const std::filesystem::path& folder, InversionTexts training,
                InversionTexts validation)
      : config_(plan_of(folder, training.embeddings.size(1))),
        tensors_(tensors_of(config_)),
        texts_{std::move(training), std::move(validation)} {
    for (const auto& split : texts_)
      base::check(split.embeddings.size(0) == std::ssize(split.ids), "a text has one embedding");
  }

  const TensorList& tensors() const override { return tensors_; }
  Parameters initial(uint64_t seed) const override;
  int64_t examples(Split split) const override { return std::ssize(of(split).ids); }
  double weight(Split split, int64_t example) const override {
    return static_cast<double>(of(split).ids[static_cast<size_t>(example)].size());
  }
  at::Tensor loss(const Leaves& leaves, Split split,
                  const std::vector<int64_t>& examples) const override;

 private:
  const InversionTexts& of(Split split) const { return texts_[split == Split::training ? 0 : 1]; }

  Vec2TextConfig config_;
  TensorList tensors_;
  InversionTexts texts_[2];
};

// T5's start values (Raffel et al.'s code, as transformers has it): variances by fan in, of queries
// by that times the head's width; the transform as normal numbers by fan in.
Parameters InversionTask::initial(uint64_t seed) const {
  const auto& t5 = config_.t5;
  auto out = make_parameters(tensors_, at::kCPU);
  for (auto& [name, view] : out.views) {
    if (view.dim() == 1) {
      if (name.ends_with("layer_norm.weight")) view.fill_(1);
      continue;
    }
    double fan_in = static_cast<double>(view.size(1));
    if (name.ends_with(".q.weight")) fan_in *= static_cast<double>(t5.head_dim);
    if (name.ends_with(kShared)) fan_in = 1;
    if (name.ends_with("relative_attention_bias.weight"))
      fan_in = static_cast<double>(t5.hidden_size);
    fill_normal(view, base::RandomStream(seed, name, "initial parameters"), 1 / std::sqrt(fan_in));
  }
  return out;
}

at::Tensor InversionTask::loss(const Leaves& leaves, Split split,
                               const std::vector<int64_t>& examples) const {
  const auto& texts = of(split);
  std::vector<const std::vector<int64_t>*> rows;
  for (const int64_t example : examples) rows.push_back(&texts.ids[static_cast<size_t>(example)]);
  const auto device = leaves.in_order.front().device();
  const auto batch = pad_ids(rows, config_.t5.pad_id, device);
  // What the decoder reads: its start token, then the text without its last.
  const auto start = at::full({std::ssize(rows), 1}, config_.t5.start_id, batch.ids.options());
  const auto inputs = at::cat({start, batch.ids.narrow(1, 0, batch.ids.size(1) - 1)}, 1);
  const auto embeddings =
      texts.embeddings.index_select(0, at::tensor(examples, at::kLong)).to(device);
  const InverterGraph graph(config_, leaves);
  const auto logits = at::linear(graph.hidden(embeddings, inputs), graph.head());
  const auto nll = -at::log_softmax(logits, 2).gather(2, batch.ids.unsqueeze(2)).squeeze(2);
  return (nll * batch.real.to(at::kFloat)).sum();
}

}  // namespace

std::unique_ptr<SentenceTask> inversion_task(const std::filesystem::path& folder,
                                             InversionTexts training, InversionTexts validation) {
  return std::make_unique<InversionTask>(folder, std::move(training), std::move(validation));
}

}  // namespace preimage::lm
