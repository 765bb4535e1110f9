#include "preimage/lm/checkpoint/checkpoint_identity.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lm/fixture.hpp"

namespace preimage::lm {
namespace {

using testing::Contains;
using testing::ElementsAreArray;
using testing::Not;

std::vector<std::string> names_of(const Folder& folder, bool weights = true) {
  std::vector<std::string> names;
  for (const auto& file : checkpoint_identity(folder.path(), weights))
    names.push_back(std::filesystem::path(file).lexically_relative(folder.path()).string());
  return names;
}

// Every shard, and every file of a tokenizer without tokenizer.json.
TEST(CheckpointIdentity, ShardsAndOldTokenizers) {
  const Folder folder;
  for (const char* name :
       {"config.json", "tokenizer.model", "vocab.json", "merges.txt", "added_tokens.json",
        "chat_template.jinja", "qwen.tiktoken", "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors", "README.md", "pytorch_model.bin", "training_args.json"})
    folder.put(name, "x");
  folder.put("model.safetensors.index.json", R"({"weight_map": {
    "a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}})");
  EXPECT_THAT(names_of(folder),
              ElementsAreArray({"added_tokens.json", "chat_template.jinja", "config.json",
                                "merges.txt", "model-00001-of-00002.safetensors",
                                "model-00002-of-00002.safetensors", "model.safetensors.index.json",
                                "qwen.tiktoken", "tokenizer.model", "vocab.json"}));
  EXPECT_THAT(names_of(folder, false), Not(Contains("model-00001-of-00002.safetensors")));
  EXPECT_THAT(names_of(folder, false), Contains("tokenizer.model"));
}

// A shard that is named but not there is listed: whoever hashes it says that it is missing.
TEST(CheckpointIdentity, AMissingShardIsNamed) {
  const Folder folder;
  folder.put("model.safetensors.index.json", R"({"weight_map": {"a": "x.safetensors"}})");
  EXPECT_THAT(names_of(folder), Contains("x.safetensors"));
}

TEST(CheckpointIdentity, FoldersOfPipelinesAndAdapters) {
  const Folder folder;
  std::filesystem::create_directories(folder / "0_Transformer");
  std::filesystem::create_directories(folder / "2_Dense");
  std::filesystem::create_directories(folder / "additional_chat_templates");
  folder.put("modules.json", R"([{"path": "0_Transformer"}, {"path": "2_Dense"}])");
  folder.put("0_Transformer/sentence_bert_config.json", "{}");
  folder.put("0_Transformer/model.safetensors", "x");
  folder.put("2_Dense/model.safetensors", "x");
  folder.put("additional_chat_templates/rag.jinja", "x");
  folder.put("adapter_config.json", "{}");
  folder.put("adapter_model.safetensors", "x");
  const auto names = names_of(folder);
  for (const char* name :
       {"0_Transformer/sentence_bert_config.json", "0_Transformer/model.safetensors",
        "2_Dense/model.safetensors", "additional_chat_templates/rag.jinja", "adapter_config.json",
        "adapter_model.safetensors", "modules.json"})
    EXPECT_THAT(names, Contains(name));
}

}  // namespace
}  // namespace preimage::lm
