// Folders as people publish, convert and re-save them, with what the reference libraries make of
// them: tests/compat/NN-name holds in.jsonl, model/, ABOUT.md and expected.json, written by
// scripts/fixtures/make_compat_*.py with the versions of the libraries in
// tests/compat/versions_*.json.
//
// expected.json: "command"; "args" of the command line ("@x": a path inside the case); "model"
// ("model" unless it says another folder); "env"; "tolerance" of numbers (absolute); and either
// "lines", the fields that each line of the output must have, or "error": what the refusal says
// (true: anything).
#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>

#include "preimage/base/error.hpp"
#include "preimage/base/file.hpp"
#include "tools/run_lines.hpp"

namespace preimage::tools {
namespace {

namespace fs = std::filesystem;
using base::Json;

const fs::path kCases = fs::path(PREIMAGE_TEST_DATA) / "compat";

std::vector<std::string> case_names() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(kCases)) {
    if (fs::exists(entry.path() / "expected.json")) names.push_back(entry.path().filename());
  }
  std::sort(names.begin(), names.end());
  return names;
}

// Options of the command line, as far as cases use them.
std::unique_ptr<LineTool> make_tool(const Json& expected, const fs::path& folder) {
  EngineOptions engine;
  engine.model = folder / expected.value("model", "model");
  std::string pooling = "pipeline";
  bool skip_special = false;
  const auto args = expected.value("args", std::vector<std::string>{});
  for (size_t i = 0; i < args.size(); ++i) {
    const auto value = [&] {
      const auto& text = args.at(++i);
      return text.starts_with('@') ? (folder / text.substr(1)).string() : text;
    };
    if (args[i] == "--add-special") {
      engine.add_special = true;
    } else if (args[i] == "--skip-special") {
      skip_special = true;
    } else if (args[i] == "--adapter") {
      engine.adapter = value();
    } else if (args[i] == "--dtype") {
      engine.dtype = value();
    } else if (args[i] == "--weights") {
      engine.weights = value();
    } else if (args[i] == "--context") {
      engine.context = std::stoll(value());
    } else if (args[i] == "--pooling") {
      pooling = value();
    } else {
      ADD_FAILURE() << "this test does not know the option " << args[i];
    }
  }
  const auto command = expected["command"].get<std::string>();
  if (command == "tokenize") {
    return lines::make_tokenize(
        {.model = engine.model, .add_special = engine.add_special, .skip_special = skip_special});
  }
  if (command == "generate") return make_generate(engine);
  if (command == "score") return make_score(engine, 0);
  if (command == "embed") return make_embed(engine, pooling);
  throw std::runtime_error("no command " + command);
}

bool same(const Json& want, const Json& got, double tolerance) {
  if (want.is_number_float() || got.is_number_float()) {
    return want.is_number() && got.is_number() &&
           std::abs(want.get<double>() - got.get<double>()) <= tolerance;
  }
  if (!want.is_array()) return want == got;
  if (!got.is_array() || want.size() != got.size()) return false;
  for (size_t i = 0; i < want.size(); ++i) {
    if (!same(want[i], got[i], tolerance)) return false;
  }
  return true;
}

class Compat : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    folder_ = kCases / GetParam();
    expected_ = base::read_json(folder_ / "expected.json");
    environment_ = expected_.value("env", Json::object());
    for (const auto& [name, value] : environment_.items())
      setenv(name.c_str(), value.get<std::string>().c_str(), 1);
  }
  void TearDown() override {
    for (const auto& [name, value] : environment_.items()) unsetenv(name.c_str());
  }
  std::vector<Json> outputs() const {
    const auto tool = make_tool(expected_, folder_);
    return run_text(*tool, base::read_file(folder_ / "in.jsonl"));
  }

  fs::path folder_;
  Json expected_;
  Json environment_;  // of the case
};

TEST_P(Compat, MeansWhatTheLibrariesMean) {
  ASSERT_TRUE(fs::exists(folder_ / "ABOUT.md"));
  if (expected_.contains("error")) {
    try {
      outputs();
      FAIL() << "taken, expected a refusal";
    } catch (const base::Error& error) {
      EXPECT_THAT(error.code(),
                  testing::AnyOf(base::ExitCode::bad_data, base::ExitCode::bad_config));
      if (expected_["error"].is_string()) {
        EXPECT_THAT(error.what(), testing::HasSubstr(expected_["error"].get<std::string>()));
      }
    }
    return;
  }
  const auto& lines = expected_["lines"];
  const auto found = outputs();
  ASSERT_EQ(found.size(), lines.size());
  for (size_t i = 0; i < lines.size(); ++i) {
    for (const auto& [field, value] : lines[i].items()) {
      EXPECT_TRUE(same(value, found[i].value(field, Json()), expected_.value("tolerance", 5e-4)))
          << "line " << i + 1 << ", " << field << ": expected " << value << ", found "
          << found[i].value(field, Json());
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, Compat, testing::ValuesIn(case_names()), [](const auto& one) {
  std::string name = one.param;
  std::replace_if(
      name.begin(), name.end(), [](char c) { return std::isalnum(c) == 0; }, '_');
  return name;
});

}  // namespace
}  // namespace preimage::tools
