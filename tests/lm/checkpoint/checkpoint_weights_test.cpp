// Quantized checkpoints that are damaged, lying or incomplete: each refusal names the tensor.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ATen/ATen.h>

#include <cmath>
#include <functional>
#include <map>

#include "lm/fixture.hpp"
#include "preimage/base/json.hpp"
#include "preimage/lm/checkpoint/safetensors.hpp"
#include "preimage/lm/model.hpp"

namespace preimage::lm {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using Tensors = std::map<std::string, at::Tensor>;

// The error of loading the fixture with some tensors changed; "" when it loads.
std::string error_with(const std::string& family, const std::function<void(Tensors&)>& change,
                       const base::Json& config_change = base::Json::object()) {
  const auto source = fixture("families") / family;
  const Folder folder;
  auto config = base::read_json(source / "config.json");
  config.merge_patch(config_change);
  folder.put("config.json", config.dump());
  const SafetensorsFile file(source / "model.safetensors");
  Tensors tensors;
  for (const auto& info : file.tensors()) tensors[info.name] = file.read(info);
  change(tensors);
  write_safetensors(folder / "model.safetensors", {tensors.begin(), tensors.end()});
  return data_error_of([&] { load_model(folder.path(), {}); });
}

void nothing(Tensors&) {}

TEST(StoredForms, Fp8) {
  const std::string name = "model.layers.0.self_attn.kv_b_proj.weight";
  const auto error = [&](const std::function<void(Tensors&)>& change) {
    return error_with("deepseek_v3_fp8", change);
  };
  EXPECT_EQ(error(nothing), "");
  EXPECT_THAT(error([&](Tensors& t) { t.erase(name + "_scale_inv"); }),
              HasSubstr("1 missing (" + name + "_scale_inv)"));
  EXPECT_THAT(error([&](Tensors& t) {
                t[name + "_scale_inv"] = at::ones({2, 1});
              }),
              HasSubstr(name + "_scale_inv [2, 1], expected [3, 1]"));
  EXPECT_THAT(error([&](Tensors& t) { t[name + "_scale_inv"][0][0] = NAN; }),
              AllOf(HasSubstr(name + "_scale_inv"), HasSubstr("NaN")));
  EXPECT_THAT(error([&](Tensors& t) { t[name].view(at::kByte)[3][4] = 0x7F; }),
              AllOf(HasSubstr(name), HasSubstr("1 of its values are NaN")));
  // A plain weight beside a scale, and a scale beside none.
  EXPECT_THAT(error([&](Tensors& t) { t[name] = t[name].to(at::kBFloat16); }),
              HasSubstr("1 extra (" + name + "_scale_inv)"));
  EXPECT_EQ(error([&](Tensors& t) {
              t[name] = t[name].to(at::kBFloat16);
              t.erase(name + "_scale_inv");
            }),
            "");
  // Narrow weights whose config does not say so.
  EXPECT_THAT(error_with("deepseek_v3_fp8", nothing, {{"quantization_config", nullptr}}),
              HasSubstr("extra"));
}

TEST(StoredForms, Int4) {
  const std::string name = "model.layers.1.mlp.experts.3.up_proj.weight";
  const auto error = [&](const std::function<void(Tensors&)>& change) {
    return error_with("kimi_k2_int4", change);
  };
  EXPECT_EQ(error(nothing), "");
  EXPECT_EQ(error([&](Tensors& t) { t[name + "_shape"] = t[name + "_shape"].to(at::kInt); }), "");
  EXPECT_THAT(error([&](Tensors& t) { t[name + "_shape"][0] = 31; }),
              HasSubstr("says [31, 64], expected [32, 64]"));
  EXPECT_THAT(error([&](Tensors& t) { t.erase(name + "_scale"); }), HasSubstr("1 missing"));
  EXPECT_THAT(error([&](Tensors& t) { t[name + "_zero_point"] = at::zeros({1}, at::kInt); }),
              HasSubstr("1 extra (" + name + "_zero_point)"));
  EXPECT_THAT(error([&](Tensors& t) { t[name + "_scale"][0][0] = INFINITY; }), HasSubstr("Inf"));
  EXPECT_THAT(error([&](Tensors& t) {
                t[name + "_packed"] = at::zeros({32, 7}, at::kInt);
              }),
              HasSubstr("[32, 7], expected [32, 8]"));
}

TEST(StoredForms, Mxfp4) {
  const std::string name = "model.layers.1.mlp.experts.down_proj";
  const auto error = [&](const std::function<void(Tensors&)>& change) {
    return error_with("gpt_oss_mxfp4", change);
  };
  EXPECT_EQ(error(nothing), "");
  EXPECT_THAT(error([&](Tensors& t) { t[name + "_scales"][1][2][0] = 255; }),
              AllOf(HasSubstr(name + "_scales"), HasSubstr("NaN")));
  EXPECT_THAT(error([&](Tensors& t) { t.erase(name + "_blocks"); }),
              HasSubstr("1 missing (" + name + "_blocks)"));
  EXPECT_THAT(error([&](Tensors& t) {
                t[name + "_blocks"] = at::zeros({4, 64, 2, 16}, at::kByte);
              }),
              HasSubstr("[4, 64, 2, 16], expected [4, 64, 1, 16]"));
}

TEST(StoredForms, LayersForFurtherTokensOnlyWhereTheConfigNamesThem) {
  EXPECT_EQ(error_with("deepseek_v3", nothing), "");
  EXPECT_THAT(error_with("deepseek_v3", nothing, {{"num_nextn_predict_layers", 0}}),
              HasSubstr("3 extra (model.layers.3.eh_proj.weight"));
}

TEST(StoredForms, ATiedHeadIsTheEmbeddingUnlessTheFileHasItsOwn) {
  EXPECT_EQ(error_with("llama3_tied", nothing), "");
  EXPECT_EQ(error_with("llama3_tied", [](Tensors& t) { t.erase("lm_head.weight"); }), "");
  EXPECT_EQ(error_with("llama3_tied", [](Tensors& t) { t.erase("model.embed_tokens.weight"); }),
            "");
  EXPECT_EQ(error_with("llama3_tied", [](Tensors& t) { t["lm_head.weight"][0][0] = 7; }), "");
}

TEST(WeightFormats, ByName) {
  for (const char* word : {"decoded", "stored", "int8", "fp8"})
    EXPECT_STREQ(weight_format_name(parse_weight_format(word)), word);
  EXPECT_THROW(parse_weight_format("int4"), base::Error);
}

}  // namespace
}  // namespace preimage::lm
