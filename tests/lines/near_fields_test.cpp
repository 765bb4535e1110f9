#include "near_fields.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace preimage::lines {
namespace {

using base::Json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// Those of generate.
const std::vector<std::string>& known() {
  static const std::vector<std::string> fields = {"id",
                                                  "prompt",
                                                  "prompt_ids",
                                                  "messages",
                                                  "tools",
                                                  "documents",
                                                  "add_generation_prompt",
                                                  "chat_template",
                                                  "continue_final_message",
                                                  "return_assistant_tokens_mask",
                                                  "max_new_tokens",
                                                  "temperature",
                                                  "top_k",
                                                  "top_p",
                                                  "min_p",
                                                  "seed",
                                                  "repetition_penalty",
                                                  "no_repeat_ngram",
                                                  "n",
                                                  "stop",
                                                  "stop_ids",
                                                  "ignore_eos",
                                                  "soft_prompt",
                                                  "num_beams",
                                                  "length_penalty",
                                                  "early_stopping",
                                                  "embedding",
                                                  "hypothesis_embedding",
                                                  "steps",
                                                  "sequence_beams"};
  return fields;
}

TEST(NearFields, SlipsAndOtherNamesMeanTheKnownField) {
  for (const auto& [written, meant] :
       std::vector<std::pair<std::string, std::string>>{{"temprature", "temperature"},
                                                        {"Temperature", "temperature"},
                                                        {"temperatrue", "temperature"},
                                                        {"temp", "temperature"},
                                                        {"max_tokens", "max_new_tokens"},
                                                        {"maxNewTokens", "max_new_tokens"},
                                                        {"max-new-tokens", "max_new_tokens"},
                                                        {"max_new_token", "max_new_tokens"},
                                                        {"max_length", "max_new_tokens"},
                                                        {"no_repeat_ngram_size", "no_repeat_ngram"},
                                                        {"num_return_sequences", "n"},
                                                        {"top-p", "top_p"},
                                                        {"topk", "top_k"},
                                                        {"promt", "prompt"},
                                                        {"propmt", "prompt"},
                                                        {"prompts", "prompt"},
                                                        {"message", "messages"},
                                                        {"stop_token_ids", "stop_ids"},
                                                        {"sead", "seed"},
                                                        {"stpo", "stop"},
                                                        {"ID", "id"}})
    EXPECT_EQ(meant_field(written, known()), meant) << written;
}

TEST(NearFields, TheUsersOwnFieldsAreCarriedInSilence) {
  for (const char* own :
       {"mine", "mind",   "answer", "topic",    "tag",         "idx",  "uid",  "url",
        "lang", "source", "task",   "label",    "split",       "name", "year", "question",
        "note", "model",  "x",      "n_tokens", "source_text", "top"})
    EXPECT_EQ(meant_field(own, known()), "") << own;
}

TEST(NearFields, EachNameIsOneWarningWithItsFirstLine) {
  NearFields here, elsewhere;
  KnownFields fields(known(), {"text", "promptt"});
  const Json line = {{"prompt", "x"}, {"temprature", 1}, {"mine", 2}, {"max_tokens", 3}};
  for (const auto& field : fields.near(line)) {
    here.count(field, 7);
    here.count(field, 8);
    elsewhere.count(field, 3);
  }
  elsewhere.count({"sead", "seed"}, 1);
  here.join(elsewhere.to_json());
  EXPECT_THAT(
      here.warnings("F"),
      ElementsAre(HasSubstr("F:1: found the field \"sead\""),
                  HasSubstr("F:3: found the field \"max_tokens\", which means nothing here; "
                            "did you mean \"max_new_tokens\"? (3 lines"),
                  HasSubstr("\"temprature\"")));
  EXPECT_THAT(fields.near({{"prompt", "x"}, {"id", 1}, {"mine", 2}}), IsEmpty());
  EXPECT_THAT(fields.near({{"promptt", "x"}}), IsEmpty()) << "a reserved name is no mistake";
}

}  // namespace
}  // namespace preimage::lines
