#include "preimage/base/config_paths.hpp"

#include <gmock/gmock.h>

namespace preimage::base {
namespace {

TEST(RequireFile, NamesFieldPathAndWorkingFolder) {
  ConfigErrors errors;
  require_file(errors, "a.path", "/proc/self/status");
  EXPECT_THAT(errors, testing::IsEmpty());
  require_file(errors, "a.path", "no/such.jsonl");
  require_file(errors, "a.folder", "/proc/self");  // a folder is no file
  ASSERT_EQ(errors.size(), 2u);
  EXPECT_THAT(errors[0], testing::HasSubstr("\"a.path\": found no file at no/such.jsonl"));
  EXPECT_THAT(errors[0], testing::HasSubstr(std::filesystem::current_path().string()));
  EXPECT_THAT(errors[1], testing::HasSubstr("\"a.folder\""));
}

}  // namespace
}  // namespace preimage::base
