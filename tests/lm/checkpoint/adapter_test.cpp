// LoRA adapters against PEFT's own merged models (scripts/fixtures/make_adapter_fixtures.py).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "lm/fixture.hpp"
#include "preimage/base/json.hpp"
#include "preimage/lm/checkpoint/safetensors.hpp"
#include "preimage/lm/model.hpp"

namespace preimage::lm {
namespace {

using testing::HasSubstr;

base::Json config_of(const std::filesystem::path& adapter) {
  return base::read_json(adapter / "adapter_config.json");
}

double error_with(const std::filesystem::path& adapter, const LoadOptions& options) {
  const at::NoGradGuard no_grad;
  const auto base = config_of(adapter)["base_model_name_or_path"].get<std::string>();
  const auto model = load_model(fixture("families") / base, options);
  const SafetensorsFile expected(adapter / "expected.safetensors");
  const auto ids = expected.read(*expected.find("ids"));
  const auto theirs = expected.read(*expected.find("logits"));
  const nn::PackedAttention context(nn::make_packing({ids.size(0)}, at::kCPU));
  const auto ours = nn::linear(model->hidden(model->embed(ids), context), model->head());
  return ((ours.to(at::kFloat) - theirs).abs().max() / theirs.abs().max()).item<double>();
}

class Adapters : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Peft, Adapters, testing::Values("patterns", "rslora_head", "embedding"));

TEST_P(Adapters, MergedAsPeftMerges) {
  const auto folder = fixture("adapters") / GetParam();
  EXPECT_LT(error_with(folder, {.adapter = folder}), 1e-5);
  EXPECT_LT(error_with(folder, {.weights = WeightFormat::stored, .adapter = folder}), 1e-5);
  EXPECT_LT(error_with(folder, {.dtype = at::kBFloat16, .adapter = folder}), 3e-2);
  EXPECT_GT(error_with(folder, {}), 3e-2);  // the adapter does change the model
}

std::string refusal(const base::Json& change) {
  const auto source = fixture("adapters") / "patterns";
  const Folder folder;
  auto config = config_of(source);
  config.merge_patch(change);
  folder.put("adapter_config.json", config.dump());
  std::filesystem::copy(source / "adapter_model.safetensors", folder / "adapter_model.safetensors");
  return data_error_of(
      [&] { load_model(fixture("families") / "qwen3", {.adapter = folder.path()}); });
}

TEST(Adapter, RefusesOtherMathematics) {
  EXPECT_EQ(refusal({{"fan_in_fan_out", true}}), "");  // means nothing to a linear layer
  EXPECT_THAT(refusal({{"use_dora", true}}), HasSubstr("adapter_config.json: use_dora"));
  EXPECT_THAT(refusal({{"bias", "all"}}), HasSubstr("bias \"all\""));
  EXPECT_THAT(refusal({{"peft_type", "IA3"}}), HasSubstr("IA3"));
  EXPECT_THAT(refusal({{"target_parameters", {"experts.down_proj"}}}),
              HasSubstr("target_parameters"));
  EXPECT_THAT(refusal({{"rank_pattern", {{"(q_proj", 2}}}}), HasSubstr("regular expression"));
  EXPECT_THAT(refusal({{"target_modules", "*"}}), HasSubstr("target_modules"));
  EXPECT_THAT(refusal({{"init_lora_weights", "corda"}}), HasSubstr("init_lora_weights: \"corda\""));
  EXPECT_THAT(refusal({{"r", 8}}), HasSubstr("shape [4, 40], expected [8, 40]"));
  EXPECT_THAT(refusal({{"r", 0}}), HasSubstr("r: found 0"));
  EXPECT_THAT(refusal({{"r", "4"}}), HasSubstr("r"));
}

TEST(Adapter, RefusesTensorsThatTheModelDoesNotHave) {
  const auto load = [](const std::vector<std::pair<std::string, at::Tensor>>& tensors) {
    const Folder folder;
    folder.put("adapter_config.json", R"({"peft_type": "LORA", "r": 2, "lora_alpha": 4})");
    write_safetensors(folder / "adapter_model.safetensors", tensors);
    return data_error_of(
        [&] { load_model(fixture("families") / "qwen3", {.adapter = folder.path()}); });
  };
  const std::string q = "base_model.model.model.layers.0.self_attn.q_proj.";
  const auto a = at::zeros({2, 32}), b = at::zeros({64, 2});
  EXPECT_EQ(load({{q + "lora_A.weight", a}, {q + "lora_B.weight", b}}), "");
  EXPECT_THAT(load({{q + "lora_A.weight", a}}), HasSubstr("no tensor"));
  EXPECT_THAT(load({{q + "lora_B.weight", b}}), HasSubstr("no tensor"));
  EXPECT_THAT(load({{q + "lora_A.weight", a}, {q + "lora_B.weight", at::zeros({63, 2})}}),
              HasSubstr("shape [63, 2], expected [64, 2]"));
  EXPECT_THAT(load({{"model.layers.0.self_attn.q_proj.lora_A.weight", a}}),
              HasSubstr("begin with base_model.model."));
  EXPECT_THAT(load({{"base_model.model.model.layers.9.self_attn.q_proj.lora_A.weight", a}}),
              HasSubstr("which the model does not have"));
  EXPECT_THAT(load({{q + "lora_A.weight", at::full({2, 32}, NAN)}, {q + "lora_B.weight", b}}),
              HasSubstr("NaN"));
  EXPECT_THAT(load({{q + "lora_magnitude_vector", b}}), HasSubstr("does not have"));
}

TEST(Adapter, APickleIsRefusedAndItsConverterNamed) {
  const Folder folder;
  folder.put("adapter_config.json", R"({"peft_type": "LORA"})");
  folder.put("adapter_model.bin", "PK\3\4");
  EXPECT_THAT(
      data_error_of([&] { load_model(fixture("families") / "qwen3", {.adapter = folder.path()}); }),
      HasSubstr("scripts/convert_checkpoint.py"));
}

}  // namespace
}  // namespace preimage::lm
