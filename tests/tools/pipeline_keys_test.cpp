// Each key of the files of a sentence-transformers folder with some odd value: what the library
// makes of it, or a refusal; and no key is unknown (scripts/fixtures/make_model_config_keys.py).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "folder.hpp"
#include "preimage/base/error.hpp"
#include "tools/run_lines.hpp"

namespace preimage::tools {
namespace {

namespace fs = std::filesystem;
using base::Json;
using testing::HasSubstr;

constexpr double kTolerance = 1e-4;

struct Found {
  std::vector<double> vector;  // empty where it was refused
  std::vector<std::string> notes;
  std::string error;
};

Found embedded(const fs::path& folder, const Json& text) {
  try {
    const auto tool = make_embed({.model = folder}, "pipeline");
    Json line;
    line["text"] = text;
    const auto out = run(*tool, std::vector<Json>(1, line));
    return {out[0]["embedding"].get<std::vector<double>>(), tool->notes(), ""};
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), base::ExitCode::bad_data) << error.what();
    return {{}, {}, error.what()};
  }
}

double distance(const std::vector<double>& a, const Json& b) {
  if (a.size() != b.size()) return INFINITY;
  double most = 0;
  for (size_t i = 0; i < a.size(); ++i) most = std::max(most, std::abs(a[i] - b[i].get<double>()));
  return most;
}

TEST(PipelineKeys, DoWhatTheyDoInSentenceTransformers) {
  const auto source = fs::path(PREIMAGE_TEST_DATA) / "lm/fixtures/keys/pipeline";
  const auto keys = base::read_json(source / "keys.json");
  const tests::Folder folder;
  fs::copy(source, folder.path(),
           fs::copy_options::recursive | fs::copy_options::overwrite_existing);
  const auto plain = embedded(folder.path(), keys["text"]);
  ASSERT_EQ(plain.error, "");
  ASSERT_LT(distance(plain.vector, keys["base"]), kTolerance);
  for (const auto& row : keys["rows"]) {
    const auto file = row["file"].get<std::string>(), key = row["path"][0].get<std::string>();
    const bool there = fs::exists(source / file);
    auto config = there ? base::read_json(source / file) : Json::object();
    config[key] = row["value"];
    folder.put(file, config.dump());
    const auto found = embedded(folder.path(), keys["text"]);
    fs::remove(folder / file);
    if (there) fs::copy_file(source / file, folder / file);
    const auto effect = row["effect"].get<std::string>();
    SCOPED_TRACE(file + " " + key + " = " + row["value"].dump() + ": " + effect + "; " +
                 found.error);
    for (const auto& note : found.notes) EXPECT_THAT(note, testing::Not(HasSubstr("not known")));
    if (!found.error.empty()) {
      EXPECT_THAT(found.error, testing::AnyOf(HasSubstr(key), HasSubstr("in_features"),
                                              HasSubstr("missing"), HasSubstr("extra")));
    } else {
      EXPECT_LT(distance(found.vector, effect == "changed" ? row["numbers"] : keys["base"]),
                kTolerance);
    }
  }
}

}  // namespace
}  // namespace preimage::tools
