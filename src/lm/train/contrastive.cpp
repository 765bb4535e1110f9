// A BERT that learns to put texts of one meaning near each other.
#include <cmath>
#include <limits>

#include <ATen/ATen.h>

#include "encoder/bert.hpp"
#include "preimage/base/error.hpp"
#include "preimage/base/random.hpp"
#include "preimage/base/str.hpp"
#include "preimage/lm/train/sentence.hpp"
#include "train/padded.hpp"

namespace preimage::lm {
namespace {

constexpr double kInitialStd = 0.02;  // BERT's initializer_range
constexpr double kLeastNorm = 1e-12;  // torch.nn.functional.normalize's

class BertGraph {
 public:
  BertGraph(const BertConfig& config, const Leaves& leaves) : config_(config), leaves_(leaves) {}

  // Unit vectors [texts, d].
  at::Tensor embed(const PaddedIds& batch) const;

 private:
  const at::Tensor& leaf(const std::string& name) const { return leaves_.by_name.at(name); }
  at::Tensor dense(const at::Tensor& x, const std::string& name) const {
    return at::linear(x, leaf(name + ".weight"), leaf(name + ".bias"));
  }
  at::Tensor norm(const at::Tensor& x, const std::string& name) const {
    return at::layer_norm(x, {config_.hidden_size}, leaf(name + ".weight"), leaf(name + ".bias"),
                          config_.norm_eps);
  }
  at::Tensor block(const at::Tensor& x, const at::Tensor& bias, const std::string& name) const;

  const BertConfig& config_;
  const Leaves& leaves_;
};

at::Tensor BertGraph::block(const at::Tensor& x, const at::Tensor& bias,
                            const std::string& name) const {
  const int64_t head_dim = config_.hidden_size / config_.heads;
  const auto rows = [&](const char* part) {
    return dense(x, name + "attention.self." + part).unflatten(2, {config_.heads, head_dim});
  };
  const auto seen = padded_attention({rows("query"), rows("key"), rows("value")},
                                     1 / std::sqrt(static_cast<double>(head_dim)), bias);
  const auto y =
      norm(x + dense(seen, name + "attention.output.dense"), name + "attention.output.LayerNorm");
  const auto inner = at::gelu(dense(y, name + "intermediate.dense"));
  return norm(y + dense(inner, name + "output.dense"), name + "output.LayerNorm");
}

at::Tensor BertGraph::embed(const PaddedIds& batch) const {
  const auto positions =
      leaf("embeddings.position_embeddings.weight").narrow(0, 0, batch.ids.size(1));
  auto x = norm(at::embedding(leaf("embeddings.word_embeddings.weight"), batch.ids) + positions +
                    leaf("embeddings.token_type_embeddings.weight")[0],
                "embeddings.LayerNorm");
  const auto bias = at::zeros(batch.real.sizes(), x.options())
                        .masked_fill(batch.real.logical_not(),
                                     -std::numeric_limits<double>::infinity())
                        .unsqueeze(1)
                        .unsqueeze(1);  // [texts, 1, 1, tokens]
  for (int64_t i = 0; i < config_.layers; ++i)
    x = block(x, bias, base::str("encoder.layer.", i, "."));
  const auto counts = batch.real.to(at::kFloat);
  const auto mean = (x * counts.unsqueeze(2)).sum(1) / counts.sum(1, /*keepdim=*/true);
  return mean / mean.norm(2, 1, /*keepdim=*/true).clamp_min(kLeastNorm);
}

class ContrastiveTask : public SentenceTask {
 public:
  ContrastiveTask(const std::filesystem::path& folder, std::vector<TextPair> training,
                  std::vector<TextPair> validation, double temperature)
      : config_(read_bert_config(folder)),
        tensors_(bert_tensors(config_)),
        pairs_{std::move(training), std::move(validation)},
        temperature_(temperature) {
    for (const auto& split : pairs_) {
      for (const auto& pair : split) {
        const auto longest =
            std::ssize(pair.anchor.size() > pair.positive.size() ? pair.anchor : pair.positive);
        if (longest > config_.max_positions)
          throw base::data_error(base::str("a text has ", longest, " tokens, the encoder has ",
                                           config_.max_positions, " positions"));
      }
    }
  }

  const TensorList& tensors() const override { return tensors_; }
  Parameters initial(uint64_t seed) const override;
  int64_t examples(Split split) const override { return std::ssize(of(split)); }
  double weight(Split, int64_t) const override { return 1; }
  at::Tensor loss(const Leaves& leaves, Split split,
                  const std::vector<int64_t>& examples) const override;

 private:
  const std::vector<TextPair>& of(Split split) const {
    return pairs_[split == Split::training ? 0 : 1];
  }

  BertConfig config_;
  TensorList tensors_;
  std::vector<TextPair> pairs_[2];
  double temperature_;
};

Parameters ContrastiveTask::initial(uint64_t seed) const {
  auto out = make_parameters(tensors_, at::kCPU);
  for (auto& [name, view] : out.views) {
    if (name.ends_with("LayerNorm.weight")) view.fill_(1);
    if (view.dim() == 1) continue;
    fill_normal(view, base::RandomStream(seed, name, "initial parameters"), kInitialStd);
  }
  return out;
}

at::Tensor ContrastiveTask::loss(const Leaves& leaves, Split split,
                                 const std::vector<int64_t>& examples) const {
  std::vector<const std::vector<int64_t>*> anchors, positives;
  for (const int64_t example : examples) {
    const auto& pair = of(split)[static_cast<size_t>(example)];
    anchors.push_back(&pair.anchor);
    positives.push_back(&pair.positive);
  }
  const auto device = leaves.in_order.front().device();
  const BertGraph graph(config_, leaves);
  const auto count = std::ssize(examples);
  // Positives of equal tokens, the diagonal apart: no negatives of each other.
  auto equal = at::zeros({count, count}, at::kBool);
  for (int64_t i = 0; i < count; ++i) {
    for (int64_t j = 0; j < count; ++j) {
      if (i != j && *positives[static_cast<size_t>(i)] == *positives[static_cast<size_t>(j)])
        equal.data_ptr<bool>()[i * count + j] = true;
    }
  }
  const auto scores = at::matmul(graph.embed(pad_ids(anchors, 0, device)),
                                 graph.embed(pad_ids(positives, 0, device)).t()) /
                      temperature_;
  const auto allowed =
      scores.masked_fill(equal.to(device), -std::numeric_limits<double>::infinity());
  return -at::log_softmax(allowed, 1).diagonal().sum();
}

}  // namespace

std::unique_ptr<SentenceTask> contrastive_task(const std::filesystem::path& folder,
                                               std::vector<TextPair> training,
                                               std::vector<TextPair> validation,
                                               double temperature) {
  return std::make_unique<ContrastiveTask>(folder, std::move(training), std::move(validation),
                                           temperature);
}

}  // namespace preimage::lm
