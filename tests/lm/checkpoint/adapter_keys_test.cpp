// Each key of PEFT's LoraConfig with some odd value: what PeftModel.from_pretrained makes of it, or
// a refusal; and no key is unknown (scripts/fixtures/make_model_config_keys.py).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "lm/fixture.hpp"
#include "preimage/base/json.hpp"
#include "preimage/lm/model.hpp"

namespace preimage::lm {
namespace {

using base::Json;
using testing::HasSubstr;

constexpr double kTolerance = 1e-3;

struct Found {
  at::Tensor logits;  // of the last token; undefined where it was refused
  std::vector<std::string> notes;
  std::string error;
};

Found with_adapter(const std::filesystem::path& adapter, const std::vector<int64_t>& ids) {
  try {
    const auto model = load_model(fixture("keys/llama"), {.adapter = adapter});
    const nn::PackedAttention context(
        nn::make_packing({static_cast<int64_t>(ids.size())}, at::kCPU));
    const auto states = model->hidden(model->embed(at::tensor(ids, at::kLong)), context);
    return {nn::linear(states, model->head())[-1], model->config().notes, ""};
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), base::ExitCode::bad_data) << error.what();
    return {{}, {}, error.what()};
  }
}

double distance(const at::Tensor& logits, const Json& numbers) {
  return (logits - at::tensor(numbers.get<std::vector<float>>())).abs().max().item<double>();
}

TEST(AdapterKeys, DoWhatTheyDoInPeft) {
  const at::NoGradGuard no_grad;
  const auto source = fixture("keys/adapter");
  const auto keys = base::read_json(source / "keys.json");
  const auto ids = keys["ids"].get<std::vector<int64_t>>();
  const auto plain = with_adapter(source, ids);
  ASSERT_EQ(plain.error, "");
  ASSERT_LT(distance(plain.logits, keys["base"]), kTolerance);
  const Folder folder;
  std::filesystem::copy(source / "adapter_model.safetensors", folder / "adapter_model.safetensors");
  for (const auto& row : keys["rows"]) {
    const auto key = row["path"][0].get<std::string>();
    auto config = base::read_json(source / "adapter_config.json");
    config[key] = row["value"];
    folder.put("adapter_config.json", config.dump());
    const auto found = with_adapter(folder.path(), ids);
    const auto effect = row["effect"].get<std::string>();
    SCOPED_TRACE(row["path"].dump() + " = " + row["value"].dump() + ": " + effect + "; " +
                 found.error);
    for (const auto& note : found.notes) EXPECT_THAT(note, testing::Not(HasSubstr("not known")));
    if (!found.error.empty()) {
      EXPECT_THAT(found.error, HasSubstr(key));
    } else if (effect == "changed") {
      EXPECT_LT(distance(found.logits, row["numbers"]), kTolerance);
    } else {
      EXPECT_LT(distance(found.logits, keys["base"]), kTolerance);
    }
  }
}

TEST(AdapterKeys, AnUnknownKeyIsNamed) {
  const auto source = fixture("keys/adapter");
  const Folder folder;
  std::filesystem::copy(source / "adapter_model.safetensors", folder / "adapter_model.safetensors");
  auto config = base::read_json(source / "adapter_config.json");
  config["spectral_gain"] = 2;
  folder.put("adapter_config.json", config.dump());
  EXPECT_THAT(with_adapter(folder.path(), {1, 2, 3}).notes,
              testing::Contains(HasSubstr("spectral_gain")));
}

}  // namespace
}  // namespace preimage::lm
