// Adapters beside frozen weights: what PEFT computed with the same files
// (scripts/fixtures/make_adapter_fixtures.py), and their folders read and written.
#include "preimage/lm/adapter/live_adapter.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "lm/fixture.hpp"
#include "preimage/base/json.hpp"
#include "preimage/lm/checkpoint/safetensors.hpp"
#include "preimage/nn/attention.hpp"

namespace preimage::lm {
namespace {

using testing::HasSubstr;

std::filesystem::path base_of(const std::filesystem::path& adapter) {
  const auto config = base::read_json(adapter / "adapter_config.json");
  return fixture("families") / config["base_model_name_or_path"].get<std::string>();
}

at::Tensor logits(const Model& model, const at::Tensor& ids) {
  const at::NoGradGuard no_grad;
  const nn::PackedAttention context(nn::make_packing({ids.size(0)}, at::kCPU));
  return nn::linear(model.hidden(model.embed(ids), context), model.head()).to(at::kFloat);
}

double scaled_error(const at::Tensor& ours, const at::Tensor& theirs) {
  return ((ours - theirs).abs().max() / theirs.abs().max()).item<double>();
}

const auto kPatterns = fixture("adapters") / "patterns";

TEST(LiveAdapter, LogitsOfPeft) {
  const SafetensorsFile expected(kPatterns / "expected.safetensors");
  const auto ids = expected.read(*expected.find("ids"));
  const auto theirs = expected.read(*expected.find("logits"));
  for (const auto& [dtype, bound] : {std::pair(at::kFloat, 1e-5), std::pair(at::kBFloat16, 3e-2)}) {
    const auto base = load_model(base_of(kPatterns), {.dtype = dtype});
    const auto adapter = load_adapter(kPatterns, *base);
    EXPECT_LT(scaled_error(logits(*with_adapter(*base, adapter), ids), theirs), bound);
    EXPECT_GT(scaled_error(logits(*base, ids), theirs), 3e-2);
    EXPECT_EQ(base->dtype(), dtype);
  }
}

TEST(LiveAdapter, WritesWhatItRead) {
  const auto base = load_model(base_of(kPatterns), {});
  const auto adapter = load_adapter(kPatterns, *base);
  const Folder folder;
  save_adapter(adapter, "qwen3", at::kFloat, folder.path());
  const SafetensorsFile read(kPatterns / "adapter_model.safetensors");
  const SafetensorsFile written(folder / "adapter_model.safetensors");
  ASSERT_EQ(written.tensors().size(), read.tensors().size());
  for (const auto& tensor : read.tensors()) {
    ASSERT_TRUE(written.find(tensor.name)) << tensor.name;
    EXPECT_TRUE(at::equal(written.read(*written.find(tensor.name)), read.read(tensor)));
  }
  const auto again = load_adapter(folder.path(), *base);
  EXPECT_TRUE(at::equal(again.parameters.flat, adapter.parameters.flat));
  for (size_t i = 0; i < adapter.modules.size(); ++i) {
    EXPECT_EQ(again.modules[i].scale, adapter.modules[i].scale);
    EXPECT_EQ(again.modules[i].rank, adapter.modules[i].rank);
  }
  // The merging reader takes it for the same adapter.
  const auto ids = at::arange(5, 17, at::kLong);
  const auto merged = load_model(base_of(kPatterns), {.adapter = folder.path()});
  EXPECT_LT(scaled_error(logits(*with_adapter(*base, again), ids), logits(*merged, ids)), 1e-5);
}

TEST(LiveAdapter, ANewOneChangesNothing) {
  for (const char* family : {"qwen3", "gpt_oss", "deepseek_v3", "llama_yarn_bias"}) {
    const auto base = load_model(fixture("families") / family, {});
    const auto ids = at::arange(5, 17, at::kLong);
    for (const auto& options :
         {AdapterOptions{.rank = 3, .targets = {"q_proj", "q_b_proj", "o_proj"}},
          AdapterOptions{.kind = "svd", .targets = {"o_proj"}}}) {
      auto fitting = options;
      std::erase(fitting.targets,
                 base->config().latent ? std::string("q_proj") : std::string("q_b_proj"));
      const auto adapter = make_adapter(*base, fitting, 1);
      EXPECT_TRUE(at::equal(logits(*with_adapter(*base, adapter), ids), logits(*base, ids)));
    }
  }
}

TEST(LiveAdapter, DrawsADependOnSeedAndNameAlone) {
  const auto base = load_model(fixture("families") / "qwen3", {});
  const std::string name = "model.layers.1.self_attn.q_proj.lora_A.weight";
  const auto wide = make_adapter(*base, {.rank = 4}, 1);
  const auto narrow = make_adapter(*base, {.rank = 4, .train_a = false, .targets = {"q_proj"}}, 1);
  const auto other = make_adapter(*base, {.rank = 4}, 2);
  EXPECT_TRUE(at::equal(wide.parameters.views.at(name), narrow.constant.at(name)));
  EXPECT_FALSE(at::equal(wide.parameters.views.at(name), other.parameters.views.at(name)));
  EXPECT_LE(narrow.constant.at(name).abs().max().item<double>(), 1 / std::sqrt(32.0));
  EXPECT_EQ(narrow.knobs(), 2 * 64 * 4);
  EXPECT_EQ(wide.modules.size(), 14u);
}

TEST(LiveAdapter, SvdFactorsAreKeptByTheMatrix) {
  const auto base = load_model(fixture("families") / "qwen3", {});
  const Folder cache;
  const AdapterOptions options{.kind = "svd", .targets = {"down_proj"}};
  const auto made = make_adapter(*base, options, 1, cache.path());
  const auto read = make_adapter(*base, options, 2, cache.path());
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(cache.path()), {}), 2);
  for (const auto& [module, factors] : made.factors) {
    const auto& kept = read.factors.at(module);
    EXPECT_TRUE(at::equal(kept.u.matrix(), factors.u.matrix()));
    EXPECT_TRUE(at::equal(kept.vh.matrix(), factors.vh.matrix()));
    EXPECT_EQ(factors.u.matrix().scalar_type(), at::kBFloat16);
    const auto u = factors.u.dense(at::kFloat);
    EXPECT_LT((u.t().matmul(u) - at::eye(u.size(1))).abs().max().item<double>(), 2e-2);
  }
  EXPECT_EQ(made.knobs(), 2 * 32);
}

// 36 layers of Qwen3-4B's shape: the counts of the method's page.
TEST(LiveAdapter, ModulesOfAFullSizeModel) {
  ModelConfig c;
  c.family = "qwen3";
  c.hidden_size = 2560, c.intermediate_size = 9728, c.layers = 36;
  c.query_heads = 32, c.kv_heads = 8, c.head_dim = 128, c.vocab_size = 151936;
  c.qk_norm = c.tied_embeddings = true;
  int64_t knobs = 0, lora = 0;
  std::map<std::string, std::vector<int64_t>> shapes;
  for (const auto& [name, shape] : expected_tensors(c)) shapes[name] = shape;
  const auto modules = adaptable_modules(c);
  EXPECT_EQ(modules.size(), 252u);
  for (const auto& module : modules) {
    const auto& shape = shapes.at(module + ".weight");
    knobs += std::min(shape[0], shape[1]);
    lora += 32 * (shape[0] + shape[1]);
  }
  EXPECT_EQ(knobs, 534528);
  EXPECT_EQ(lora, 66060288);
}

std::string error_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const base::Error& error) {
    return error.what();
  }
  return "";
}

TEST(LiveAdapter, RefusesWhatItCannotCarry) {
  const auto base = load_model(fixture("families") / "llama_linear", {});
  EXPECT_THAT(error_of([&] { load_adapter(fixture("adapters") / "rslora_head", *base); }),
              HasSubstr("lm_head"));
  EXPECT_THAT(error_of([&] { make_adapter(*base, {.targets = {"lm_head"}}, 1); }),
              HasSubstr("\"lm_head\" names no linear layer"));
  const auto experts = load_model(fixture("families") / "gpt_oss", {});
  EXPECT_THAT(error_of([&] { make_adapter(*experts, {.targets = {"router"}}, 1); }),
              HasSubstr("\"router\""));
}

}  // namespace
}  // namespace preimage::lm
