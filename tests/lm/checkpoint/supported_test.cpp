#include "preimage/lm/checkpoint/supported.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lm/fixture.hpp"

namespace preimage::lm {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

std::string error_of(const std::string& config, Use use) {
  const Folder folder;
  folder.put("config.json", config);
  return data_error_of([&] { require_supported(folder.path(), use); });
}

// An error names what is supported for the command that was called.
TEST(Supported, ErrorsNameTheFamiliesOfTheCommand) {
  const std::string roberta = R"({"model_type": "roberta", "architectures": ["RobertaModel"]})";
  EXPECT_THAT(error_of(roberta, Use::embed),
              AllOf(HasSubstr("model_type \"roberta\""), HasSubstr("by embed"), HasSubstr("bert"),
                    HasSubstr("modernbert"), HasSubstr("qwen3 (Qwen3ForCausalLM)"), HasSubstr("t5"),
                    Not(HasSubstr("vec2text"))));
  EXPECT_THAT(error_of(roberta, Use::generate),
              AllOf(HasSubstr("by generate"), HasSubstr("vec2text"), Not(HasSubstr("modernbert"))));
  EXPECT_THAT(error_of(roberta, Use::score),
              AllOf(HasSubstr("by score"), HasSubstr("t5"), Not(HasSubstr("vec2text"))));
  EXPECT_THAT(error_of(R"({"model_type": "bert"})", Use::generate),
              AllOf(HasSubstr("model_type \"bert\""), HasSubstr("by generate")));
  EXPECT_THAT(
      error_of(R"({"model_type": "qwen2", "architectures": ["Qwen2ForRewardModel"]})", Use::score),
      HasSubstr("Qwen2ForRewardModel"));
}

TEST(Supported, WhatTheCommandsRead) {
  for (const Use use : {Use::generate, Use::score, Use::embed}) {
    EXPECT_EQ(error_of(R"({"model_type": "qwen3", "architectures": ["Qwen3Model"]})", use), "");
    EXPECT_EQ(error_of(R"({"architectures": ["LlamaForCausalLM"]})", use), "");
    EXPECT_EQ(error_of(R"({"model_type": "t5"})", use), "");
  }
  EXPECT_EQ(error_of(R"({"model_type": "modernbert"})", Use::embed), "");
}

}  // namespace
}  // namespace preimage::lm
