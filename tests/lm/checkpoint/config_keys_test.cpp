// Each key that transformers writes into config.json, with some odd value: what the library makes
// of it is what is made of it here, or it is refused; and no key is unknown
// (scripts/fixtures/make_model_config_keys.py).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "families/defaults.hpp"
#include "lm/fixture.hpp"
#include "preimage/base/json.hpp"
#include "preimage/lm/encoder/encoder.hpp"
#include "preimage/lm/model.hpp"
#include "preimage/lm/t5/t5.hpp"

namespace preimage::lm {
namespace {

using base::Json;
using testing::HasSubstr;

// Wider than what two float32 implementations differ by on these models.
constexpr double kTolerance = 2e-3;

// A copy of a fixture whose config.json is written anew for each key.
class Walk {
 public:
  explicit Walk(const std::string& name)
      : fixture_(fixture("keys/" + name)), keys_(base::read_json(fixture_ / "keys.json")) {
    std::filesystem::copy(fixture_ / "model.safetensors", folder_ / "model.safetensors");
  }
  const Json& keys() const { return keys_; }
  Json config() const { return base::read_json(fixture_ / "config.json"); }
  std::filesystem::path put(const Json& config) const {
    folder_.put("config.json", config.dump());
    return folder_.path();
  }
  std::vector<int64_t> ids() const { return keys_["ids"]; }

 private:
  Folder folder_;
  std::filesystem::path fixture_;
  Json keys_;
};

struct Found {
  at::Tensor numbers;  // of the last token; undefined where it was refused
  std::vector<std::string> notes;
  std::string error;
};

using Compute = Found (*)(const std::filesystem::path& folder, const std::vector<int64_t>& ids);

Found of_decoder(const std::filesystem::path& folder, const std::vector<int64_t>& ids) {
  const auto model = load_model(folder, {});
  const nn::PackedAttention context(nn::make_packing({static_cast<int64_t>(ids.size())}, at::kCPU));
  const auto states = model->hidden(model->embed(at::tensor(ids, at::kLong)), context);
  return {nn::linear(states, model->head())[-1], model->config().notes, ""};
}

Found of_encoder(const std::filesystem::path& folder, const std::vector<int64_t>& ids) {
  const auto model = load_encoder(folder, {});
  const auto packing = nn::make_packing({static_cast<int64_t>(ids.size())}, at::kCPU);
  return {model->hidden(model->embed(at::tensor(ids, at::kLong)), packing)[-1],
          model->config().notes, ""};
}

// Encoder states say whether a key did anything; logits of the decoder are not compared here.
Found of_t5(const std::filesystem::path& folder, const std::vector<int64_t>& ids) {
  auto found = of_encoder(folder, ids);
  found.notes = read_t5_config(folder).notes;
  return found;
}

Found try_to(Compute compute, const std::filesystem::path& folder,
             const std::vector<int64_t>& ids) {
  try {
    return compute(folder, ids);
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), base::ExitCode::bad_data) << error.what();
    return {{}, {}, error.what()};
  }
}

at::Tensor tensor_of(const Json& numbers) {
  return at::tensor(numbers.get<std::vector<float>>(), at::kFloat);
}

double distance(const at::Tensor& a, const at::Tensor& b) {
  if (a.sizes() != b.sizes()) return INFINITY;
  return (a - b).abs().max().item<double>();
}

void expect_known(const Found& found, const Json& row) {
  for (const auto& note : found.notes)
    EXPECT_THAT(note, testing::Not(HasSubstr("not known here"))) << row.dump();
}

// `ours`: what is computed here without the change.
void expect_as_library(const Found& found, const Json& row, const at::Tensor& ours) {
  const auto key = row["path"].back().get<std::string>();
  const auto effect = row["effect"].get<std::string>();
  SCOPED_TRACE(row["path"].dump() + " = " + row["value"].dump() + ": " + effect + "; " +
               found.error.substr(0, 300));
  expect_known(found, row);
  if (effect == "same") {
    // A setting that this program does not have is refused by its name, though it does nothing.
    if (found.error.empty()) {
      EXPECT_LT(distance(found.numbers, ours), 1e-6);
    } else {
      // A bias that is switched on and that the file lacks, which the library makes up, is named by
      // its tensors.
      const bool bias =
          key.ends_with("_bias") && found.error.find(" missing (") != std::string::npos;
      EXPECT_THAT(found.error, HasSubstr(bias ? ".bias" : key));
    }
  } else if (effect == "changed" && found.error.empty()) {
    EXPECT_LT(distance(found.numbers, tensor_of(row["numbers"])), kTolerance);
  } else if (effect == "error" && found.error.empty()) {
    EXPECT_LT(distance(found.numbers, ours), 1e-6);
  }
}

void walk(const std::string& name, Compute compute) {
  const at::NoGradGuard no_grad;
  const Walk files(name);
  const auto base = try_to(compute, files.put(files.config()), files.ids());
  ASSERT_EQ(base.error, "");
  if (name != "t5") {
    ASSERT_LT(distance(base.numbers, tensor_of(files.keys()["base"])), kTolerance);
  }
  int64_t taken = 0;
  for (const auto& row : files.keys()["rows"]) {
    auto config = files.config();
    config[row["path"][0].get<std::string>()] = row["value"];
    const auto found = try_to(compute, files.put(config), files.ids());
    taken += found.error.empty();
    if (name == "t5" && row["effect"] == "changed") {
      expect_known(found, row);  // its numbers are those of the decoder
      continue;
    }
    expect_as_library(found, row, base.numbers);
  }
  EXPECT_GT(taken, 40);
}

class DecoderKeys : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Families, DecoderKeys,
                         testing::Values("llama", "qwen2", "qwen3", "gpt_oss", "deepseek_v3"),
                         [](const auto& family) { return std::string(family.param); });

TEST_P(DecoderKeys, DoWhatTheyDoInTransformers) {
  walk(GetParam(), of_decoder);
}

TEST(EncoderKeys, OfBert) {
  walk("bert", of_encoder);
}
TEST(EncoderKeys, OfModernBert) {
  walk("modernbert", of_encoder);
}
TEST(EncoderKeys, OfT5) {
  walk("t5", of_t5);
}

// The keys of rope_parameters under each type.
class RopeKeys : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Families, RopeKeys, testing::Values("llama", "deepseek_v3"),
                         [](const auto& family) { return std::string(family.param); });

TEST_P(RopeKeys, DoWhatTheyDoInTransformers) {
  const at::NoGradGuard no_grad;
  const Walk files(GetParam());
  for (const auto& rope : files.keys()["ropes"]) {
    auto config = files.config();
    config["rope_parameters"] = rope["rope_parameters"];
    SCOPED_TRACE(config["rope_parameters"].dump());
    const auto base = try_to(of_decoder, files.put(config), files.ids());
    ASSERT_EQ(base.error, "");
    ASSERT_LT(distance(base.numbers, tensor_of(rope["base"])), kTolerance);
    for (const auto& row : rope["rows"]) {
      auto changed = config;
      changed["rope_parameters"][row["path"][1].get<std::string>()] = row["value"];
      auto found = try_to(of_decoder, files.put(changed), files.ids());
      // A key of another type is passed over with a word, as in transformers.
      found.notes.clear();
      expect_as_library(found, row, base.numbers);
    }
  }
}

// What config.json may leave out.
TEST(ConfigDefaults, AreThoseOfTheConfigClasses) {
  const auto all = base::read_json(fixture("keys/defaults.json"));
  for (const auto& [family, values] : all["classes"].items()) {
    const auto& ours = config_defaults(family);
    ASSERT_GT(ours.size(), 5u) << family;
    for (const auto& [key, value] : ours.items()) {
      // A T5 says so only where it is not tied.
      if (family == "t5" && key == "tie_word_embeddings") continue;
      ASSERT_TRUE(values.contains(key)) << family << " " << key;
      EXPECT_EQ(value, values[key]) << family << " " << key;
    }
  }
}

// A file that leaves everything out that it may.
TEST(ConfigDefaults, StandInForWhatIsMissing) {
  for (const std::string family : {"llama", "qwen2", "qwen3", "gpt_oss", "deepseek_v3"}) {
    const Folder folder;
    folder.put("config.json", Json({{"model_type", family}}).dump());
    const auto config = read_model_config(folder.path());
    const auto& defaults = config_defaults(family);
    EXPECT_EQ(config.hidden_size, defaults["hidden_size"]) << family;
    EXPECT_EQ(config.layers, defaults["num_hidden_layers"]) << family;
    EXPECT_EQ(config.rms_norm_eps, defaults["rms_norm_eps"]) << family;
    if (family == "gpt_oss") {
      EXPECT_EQ(config.rope.type, "yarn");
      EXPECT_EQ(config.rope.factor, 32);
      EXPECT_EQ(config.rope.original_max_position_embeddings, 4096);
      EXPECT_FALSE(config.rope.truncate);
    } else {
      EXPECT_EQ(config.rope.type, "default");
    }
  }
}

}  // namespace
}  // namespace preimage::lm
