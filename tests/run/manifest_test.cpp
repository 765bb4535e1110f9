// What run.json says of a run's identity and of its starts.
#include "preimage/run/manifest.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "folder.hpp"
#include "preimage/base/error.hpp"

namespace preimage::run {
namespace {

using base::Json;
using testing::HasSubstr;

class Manifest : public testing::Test {
 protected:
  Identity identity(int64_t k) const {
    return make_identity({"toy", {{"toy", {{"k", k}}}}, Json::object(), {}}, folder_.path());
  }
  static Start start(int64_t generation, const std::string& binary, const std::string& model) {
    return {generation,
            Json::array({{{"rank", 0}, {"model", model}}}),
            {{"preimage", "0.1"}, {"binary", binary}}};
  }
  Json written() const { return base::read_json(folder_ / "run.json"); }
  template <class Action>
  static std::string refusal(const Action& action) {
    try {
      action();
    } catch (const base::Error& error) {
      EXPECT_EQ(error.code(), base::ExitCode::bad_config);
      return error.what();
    }
    return "";
  }
  tests::Folder folder_;
};

TEST_F(Manifest, AnotherRunIsRefusedNamingWhatDiffers) {
  write_manifest(folder_.path(), identity(4), {{"k", 4}}, false);
  EXPECT_THAT(refusal([&] {
                write_manifest(folder_.path(), identity(8), {{"k", 8}}, true);
              }),
              HasSubstr("config.toy.k: 4 there, 8 here"));
  EXPECT_THAT(refusal([&] {
                write_manifest(folder_.path(), identity(4), {{"k", 4}}, false);
              }),
              HasSubstr("add --resume"));
  write_manifest(folder_.path(), identity(4), {{"k", 4}}, true);
  EXPECT_EQ(written()["config"]["k"], 4);
}

TEST_F(Manifest, AMixOfProgramsOrDevicesWarnsAndStrictRefusesIt) {
  write_manifest(folder_.path(), identity(4), {}, false);
  EXPECT_TRUE(record_start(folder_.path(), start(0, "aa", "CPU X"), true).empty());
  EXPECT_TRUE(record_start(folder_.path(), start(1, "aa", "CPU X"), true).empty());
  EXPECT_FALSE(written().contains("mixed"));
  EXPECT_THAT(refusal([&] { record_start(folder_.path(), start(2, "bb", "CPU X"), true); }),
              HasSubstr("run.strict refuses a mix: the program is not the one"));
  EXPECT_EQ(written()["starts"].size(), 2u);
  EXPECT_EQ(record_start(folder_.path(), start(2, "bb", "GPU Y"), false).size(), 2u);
  EXPECT_EQ(written()["mixed"], true);
}

TEST_F(Manifest, WhatBecomesKnownLaterStandsInTheStartThatRuns) {
  write_manifest(folder_.path(), identity(4), {}, false);
  EXPECT_THROW(add_to_start(folder_.path(), "sandbox", "full"), base::Error);
  record_start(folder_.path(), start(0, "aa", "CPU X"), false);
  record_start(folder_.path(), start(1, "aa", "CPU X"), false);
  add_to_start(folder_.path(), "sandbox", {{"level", "full"}});
  const auto starts = written()["starts"];
  EXPECT_FALSE(starts[0].contains("sandbox"));
  EXPECT_EQ(starts[1]["sandbox"]["level"], "full");
  EXPECT_EQ(starts[1]["generation"], 1);
}

}  // namespace
}  // namespace preimage::run
