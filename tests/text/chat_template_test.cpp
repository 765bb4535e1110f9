// Rendered texts against transformers' apply_chat_template
// (scripts/fixtures/make_chat_fixtures.py).
#include "preimage/text/chat_template.hpp"

#include <gmock/gmock.h>

#include <cstdlib>

#include "preimage/base/error.hpp"
#include "preimage/base/file.hpp"

namespace preimage::text {
namespace {

using testing::HasSubstr;

const std::string kFixtures = PREIMAGE_TEST_DATA "/text/fixtures/";

OrderedJson fixture(const std::string& name) {
  return parse_ordered(base::read_file(kFixtures + name), name);
}

struct Rendered {
  std::string text, error;
};

Rendered render(const OrderedJson& file, const std::string& source, const OrderedJson& request) {
  ChatSources sources;
  sources.templates["default"] = source;
  for (const auto& [name, text] : file["special_tokens"].items())
    sources.special_tokens[name] = text;
  try {
    return {ChatTemplate(std::move(sources)).render(request).text, ""};
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), base::ExitCode::bad_data);
    return {"", error.what()};
  }
}

void expect_case(const OrderedJson& expected, const Rendered& found) {
  if (expected.contains("error")) {
    EXPECT_NE(found.error, "") << "rendered \"" << found.text << "\", where jinja2 says "
                               << expected["error"];
  } else {
    EXPECT_EQ(found.error, "");
    EXPECT_EQ(found.text, expected["text"].get<std::string>());
  }
}

class ChatTemplates : public testing::Test {
 protected:
  void SetUp() override { setenv("SOURCE_DATE_EPOCH", "1751068800", 1); }  // 2025-06-28
  void TearDown() override { unsetenv("SOURCE_DATE_EPOCH"); }
};

TEST_F(ChatTemplates, MeanWhatJinjaMeans) {
  const auto file = fixture("chat_semantics.json");
  for (const auto& one : file["cases"]) {
    SCOPED_TRACE(one["template"].dump());
    auto request = one["request"];
    if (!request.contains("messages")) {
      request["messages"] = OrderedJson::parse(R"([{"role":"user","content":"x"}])");
    }
    expect_case(one, render(file, one["template"], request));
  }
}

TEST_F(ChatTemplates, RenderConversationsLikeTransformers) {
  const auto file = fixture("chat_published.json");
  for (const auto& one : file["cases"]) {
    SCOPED_TRACE(one["name"].get<std::string>() + ", request " + one["request"].dump());
    const auto source = file["templates"][one["name"].get<std::string>()].get<std::string>();
    expect_case(one, render(file, source, file["requests"][one["request"].get<size_t>()]));
  }
}

}  // namespace
}  // namespace preimage::text
