#include "preimage/lm/checkpoint/checkpoint.hpp"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lm/fixture.hpp"
#include "preimage/base/file.hpp"

namespace preimage::lm {
namespace {

using base::Json;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

constexpr const char* kIndex = "model.safetensors.index.json";

// Two shards of one tensor each: "a" (2 bytes) and "b" (1 byte).
void put_shards(const Folder& folder) {
  folder.put("s1.safetensors", container("{" + entry("a", "U8", "[2]", "[0,2]") + "}", "xy"));
  folder.put("s2.safetensors", container("{" + entry("b", "U8", "[1]", "[0,1]") + "}", "z"));
}

std::string opening(const Folder& folder) {
  return data_error_of([&] { Checkpoint checkpoint(folder.path()); });
}

std::string opening_with_map(const Folder& folder, const Json& map) {
  folder.put(kIndex, Json{{"weight_map", map}}.dump());
  return opening(folder);
}

TEST(Checkpoint, ShardsOfTransformers) {
  const Checkpoint checkpoint(fixture("qwen2_untied"));
  EXPECT_EQ(checkpoint.files().size(), 2u);
  EXPECT_EQ(checkpoint.tensors().size(), 27u);
  EXPECT_TRUE(checkpoint.notes().empty());
  EXPECT_TRUE(checkpoint.has("lm_head.weight"));
  EXPECT_FALSE(checkpoint.has("lm_head.bias"));
  EXPECT_TRUE(Checkpoint(fixture("qwen2_tied")).has("model.norm.weight"));
}

// expected.safetensors holds rows of the embedding as transformers widened them to float32.
TEST(Checkpoint, Bfloat16WidensExactly) {
  const Checkpoint checkpoint(fixture("qwen2_untied"));
  const at::Tensor table =
      checkpoint.load("model.embed_tokens.weight", {160, 48}, at::kFloat, at::kCPU);
  const SafetensorsFile expected(fixture("qwen2_untied") / "expected.safetensors");
  const at::Tensor embeds = expected.read(*expected.find("soft.inputs_embeds"));
  const Json json = base::read_json(fixture("qwen2_untied") / "expected.json");
  const auto target = json["soft"]["target"].get<std::vector<int64_t>>();
  EXPECT_TRUE(at::equal(embeds[0], table[json["soft"]["mode"].get<int64_t>()]));
  for (size_t i = 0; i < target.size(); ++i) {
    EXPECT_TRUE(at::equal(embeds[static_cast<int64_t>(i) + 5], table[target[i]]));
  }
  const at::Tensor kept =
      checkpoint.load("model.embed_tokens.weight", {160, 48}, at::kBFloat16, at::kCPU);
  EXPECT_TRUE(at::equal(kept.to(at::kFloat), table));
}

TEST(Checkpoint, LoadChecksShapeNameAndType) {
  const Checkpoint checkpoint(fixture("qwen2_tied"));
  const auto load = [&](const std::string& name, at::IntArrayRef shape, at::ScalarType dtype) {
    return data_error_of([&] { checkpoint.load(name, shape, dtype, at::kCPU); });
  };
  EXPECT_EQ(load("model.norm.weight", {32}, at::kFloat), "");
  EXPECT_THAT(load("model.norm.weight", {33}, at::kFloat),
              AllOf(HasSubstr("[32]"), HasSubstr("[33]")));
  EXPECT_THAT(load("model.nork.weight", {32}, at::kFloat),
              HasSubstr("no tensor \"model.nork.weight\""));
  EXPECT_THAT(load("model.norm.weight", {32}, at::kLong), HasSubstr("stored as F32"));
  const Folder folder;
  folder.put("model.safetensors", container("{" + entry("q", "F8_E4M3", "[1]", "[0,1]") + "," +
                                                entry("i", "I32", "[1]", "[1,5]") + "}",
                                            "abcde"));
  const Checkpoint quantized(folder.path());
  for (const std::string name : {"q", "i"}) {
    EXPECT_THAT(data_error_of([&] { quantized.load(name, {1}, at::kFloat, at::kCPU); }),
                HasSubstr("quantized"));
  }
  EXPECT_EQ(quantized.load("i", {1}, at::kInt, at::kCPU).item<int>(), 0x65646362);
}

TEST(Checkpoint, NonFiniteValuesAreCounted) {
  for (const auto type : {at::kFloat, at::kDouble, at::kHalf, at::kBFloat16}) {
    const Folder folder;
    at::Tensor values = at::ones({3, 100}, type);
    values[1][7] = NAN;
    values[2][99] = -INFINITY;
    at::Tensor late = at::zeros({70001}, type);
    late[70000] = NAN;
    write_safetensors(folder / "model.safetensors",
                      {{"w", values}, {"late", late}, {"none", at::empty({0}, type)}});
    const Checkpoint checkpoint(folder.path());
    EXPECT_THAT(data_error_of([&] {
                  checkpoint.load("w", {3, 100}, at::kFloat, at::kCPU);
                }),
                AllOf(HasSubstr("\"w\": 2 of 300 values are NaN or Inf"), HasSubstr("index 107")));
    EXPECT_THAT(data_error_of([&] { checkpoint.load("late", {70001}, type, at::kCPU); }),
                HasSubstr("index 70000"));
    EXPECT_EQ(checkpoint.load("none", {0}, at::kFloat, at::kCPU).numel(), 0);
  }
  const Folder folder;
  write_safetensors(folder / "model.safetensors", {{"w", at::full({4}, 1e5, at::kFloat)}});
  const Checkpoint checkpoint(folder.path());
  EXPECT_THAT(data_error_of([&] { checkpoint.load("w", {4}, at::kHalf, at::kCPU); }),
              HasSubstr("beyond the range of Half"));
}

TEST(Checkpoint, IndexAndShardsMustAgree) {
  const Folder folder;
  put_shards(folder);
  const std::string one = "s1.safetensors", two = "s2.safetensors";
  EXPECT_EQ(opening_with_map(folder, {{"a", one}, {"b", two}}), "");
  EXPECT_THAT(opening_with_map(folder, {{"a", one}}), "");  // s2 is not part of this checkpoint
  EXPECT_THAT(opening_with_map(folder, {{"a", one}, {"b", two}, {"c", two}}),
              HasSubstr("1 named but not there (c in s2.safetensors)"));
  EXPECT_THAT(opening_with_map(folder, {{"a", two}, {"b", two}}), HasSubstr("a in s2.safetensors"));
  EXPECT_THAT(opening_with_map(folder, {{"a", two}, {"b", one}}), HasSubstr("in another shard"));
  EXPECT_THAT(opening_with_map(folder, {{"b", two}, {"c", one}}),
              HasSubstr("not in the index (a in s1"));
  EXPECT_THAT(opening_with_map(folder, {{"a", "s3.safetensors"}}), HasSubstr("no such file"));
  EXPECT_THAT(opening_with_map(folder, Json::object()), HasSubstr("names no tensor"));
  EXPECT_THAT(opening_with_map(folder, {{"a", 1}}), HasSubstr("weight_map.a"));
  EXPECT_THAT(opening_with_map(folder, "x"), HasSubstr("weight_map"));
  for (const std::string name :
       {"", ".", "..", "../s1.safetensors", "/etc/passwd", "x/../s1.safetensors", ".hidden"}) {
    EXPECT_THAT(opening_with_map(folder, {{"a", name}}), HasSubstr("plain name")) << name;
  }
  folder.put(kIndex, R"({"weight_map": {"a": "s1.safetensors", "a": "s2.safetensors"}})");
  EXPECT_THAT(opening(folder), HasSubstr("twice"));
  folder.put("s2.safetensors", container("{" + entry("a", "U8", "[1]", "[0,1]") + "}", "z"));
  EXPECT_THAT(opening_with_map(folder, {{"a", one}, {"b", two}}), HasSubstr("in another shard"));
}

TEST(Checkpoint, TotalSizeIsOnlyNoted) {
  const Folder folder;
  put_shards(folder);
  for (const auto& [total, notes] : {std::pair{3, 0u}, {4, 1u}}) {
    folder.put(kIndex, Json{{"metadata", {{"total_size", total}}},
                            {"weight_map", {{"a", "s1.safetensors"}, {"b", "s2.safetensors"}}}}
                           .dump());
    EXPECT_EQ(Checkpoint(folder.path()).notes().size(), notes);
  }
}

TEST(Checkpoint, SingleFileBesideAnIndex) {
  const Folder folder;
  put_shards(folder);
  folder.put("model.safetensors", container("{" + entry("a", "U8", "[2]", "[0,2]") + "}", "xy"));
  EXPECT_EQ(opening(folder), "");
  EXPECT_EQ(opening_with_map(folder, {{"a", "model.safetensors"}}), "");
  EXPECT_THAT(opening_with_map(folder, {{"a", "s1.safetensors"}}), HasSubstr("out of date"));
  EXPECT_THAT(opening_with_map(folder, {{"z", "model.safetensors"}}), HasSubstr("disagree"));
}

TEST(Checkpoint, FoldersWithoutWeightsSayWhatTheyHold) {
  const Folder folder;
  EXPECT_THAT(opening(folder), HasSubstr("neither model.safetensors nor"));
  EXPECT_THAT(data_error_of([&] { Checkpoint checkpoint(folder / "none"); }),
              HasSubstr("no such folder"));
  folder.put("model-00001-of-00002.safetensors", container("{}"));
  EXPECT_THAT(opening(folder), HasSubstr("no index"));
  const std::string zip = "PK\x03\x04" + std::string(80, 'x');
  folder.put("weights.dat", zip);  // by magic, not by name
  EXPECT_THAT(opening(folder),
              AllOf(HasSubstr("weights.dat is a zip archive"), HasSubstr("run code")));
  folder.put("model.safetensors",
             "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n");
  EXPECT_THAT(opening(folder), HasSubstr("git lfs pull"));
  folder.put("model.safetensors", zip);
  EXPECT_THAT(opening(folder),
              AllOf(HasSubstr("model.safetensors: this is a zip archive"), HasSubstr("refused")));
}

TEST(Checkpoint, LinksOfAHubCacheAreFollowed) {
  const Folder folder;
  std::filesystem::create_directories(folder / "snapshots/abc");
  const auto blob =
      folder.put("blob", container("{" + entry("a", "U8", "[1]", "[0,1]") + "}", "x"));
  std::filesystem::create_symlink("../../blob", folder / "snapshots/abc/model.safetensors");
  EXPECT_TRUE(Checkpoint(folder / "snapshots/abc").has("a"));
  std::filesystem::remove(blob);
  EXPECT_NE(data_error_of([&] { Checkpoint checkpoint(folder / "snapshots/abc"); }), "");
}

TEST(Checkpoint, RequireListsTheDifferences) {
  const Folder folder;
  put_shards(folder);
  folder.put(kIndex, R"({"weight_map": {"a": "s1.safetensors", "b": "s2.safetensors"}})");
  const Checkpoint checkpoint(folder.path());
  using Expected = std::vector<std::pair<std::string, std::vector<int64_t>>>;
  const auto require = [&](const Expected& expected, const std::vector<std::string>& permitted) {
    return data_error_of([&] { checkpoint.require(expected, permitted); });
  };
  EXPECT_EQ(require({{"a", {2}}, {"b", {1}}}, {}), "");
  EXPECT_EQ(require({{"a", {2}}}, {"b", "never there"}), "");
  EXPECT_THAT(require({{"a", {2}}}, {}),
              AllOf(HasSubstr("1 extra (b)"), Not(HasSubstr("missing"))));
  EXPECT_THAT(require({{"a", {1, 2}}}, {"b"}),
              HasSubstr("1 of another shape (a [2], expected [1, 2])"));
  Expected many;
  for (int i = 0; i < 25; ++i) many.emplace_back("m" + std::to_string(i), std::vector<int64_t>{1});
  EXPECT_THAT(require(many, {}),
              AllOf(HasSubstr("of 25 tensors expected and 2 found, 25 missing (m0, "),
                    HasSubstr("m9, ...)"), Not(HasSubstr("m10")), HasSubstr("2 extra")));
}

}  // namespace
}  // namespace preimage::lm
