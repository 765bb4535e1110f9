// A run goes on only with the very files that it began with: every shard, and a tokenizer of any
// format.
#include <ATen/ATen.h>

#include <fstream>

#include "app/program.hpp"

#include "preimage/lm/checkpoint/safetensors.hpp"

namespace preimage::app::tests {
namespace {

using testing::HasSubstr;

class RunIdentity : public ProgramTest {
 protected:
  void SetUp() override {
    fs::copy(std::string(PREIMAGE_TEST_DATA) + "/lm/fixtures/qwen2_text", path("model"),
             fs::copy_options::recursive);
    split();
    put("model/tokenizer.model", "not read beside tokenizer.json");
    const Json job = {
        {"method", "finetune"},
        {"finetune",
         {{"model", path("model")},
          {"text", put("text", "{\"text\":\"a b c d e f g h\"}\n")},
          {"validation", put("valid", "{\"text\":\"a b\"}\n")},
          {"train", {{"steps", 1}, {"shard_tokens", 8}, {"micro_shards", 2}, {"context", 16}}}}},
        {"run", {{"device", "cpu"}, {"threads", 1}}}};
    put("job.json", job.dump());
    const auto first = preimage({"run", path("job.json"), "--out", path("one")});
    ASSERT_EQ(first.code, 0) << first.err;
    const auto again = preimage({"run", path("job.json"), "--out", path("one"), "--resume"});
    ASSERT_EQ(again.code, 0) << again.err;
  }

  // model.safetensors as two shards with an index.
  void split() const {
    const fs::path model = path("model");
    std::vector<std::pair<std::string, at::Tensor>> parts[2];
    Json map = Json::object();
    {
      const lm::SafetensorsFile file(model / "model.safetensors");
      for (size_t i = 0; i < file.tensors().size(); ++i) {
        const auto& info = file.tensors()[i];
        parts[i % 2].emplace_back(info.name, file.read(info));
        map[info.name] = shard(i % 2);
      }
    }
    fs::remove(model / "model.safetensors");
    for (size_t i = 0; i < 2; ++i) lm::write_safetensors(model / shard(i), parts[i]);
    put("model/model.safetensors.index.json", Json{{"weight_map", map}}.dump());
  }
  static std::string shard(size_t i) {
    return i == 0 ? "model-00001-of-00002.safetensors" : "model-00002-of-00002.safetensors";
  }

  // Flips the last byte of a file of the model, tries to go on, and puts the byte back.
  void expect_noticed(const std::string& name) const {
    const auto file = path("model/" + name);
    const auto before = base::read_file(file);
    auto changed = before;
    changed.back() = static_cast<char>(changed.back() ^ 1);
    std::ofstream(file, std::ios::binary) << changed;
    const auto ended = preimage({"run", path("job.json"), "--out", path("one"), "--resume"});
    EXPECT_EQ(ended.code, 78) << name << ": " << ended.err;
    EXPECT_THAT(ended.err, HasSubstr("holds another run"));
    EXPECT_THAT(ended.err, HasSubstr(name));
    std::ofstream(file, std::ios::binary) << before;
  }
};

TEST_F(RunIdentity, SeesEveryShardAndEveryTokenizerFile) {
  expect_noticed(shard(0));
  expect_noticed(shard(1));
  expect_noticed("tokenizer.model");
}

}  // namespace
}  // namespace preimage::app::tests
