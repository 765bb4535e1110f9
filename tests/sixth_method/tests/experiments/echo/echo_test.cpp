// A method of one folder and one line: the program lists, checks, runs, sweeps and resumes it.
#include <gmock/gmock.h>

#include "app/program.hpp"
#include "run/whole_run.hpp"

namespace preimage::app::tests {
namespace {

class SixthMethod : public ProgramTest {
 protected:
  SixthMethod() { program_ = PREIMAGE_SIXTH; }
  const std::string job = PREIMAGE_SOURCE_DIR "/tests/sixth_method/echo.json";
};

TEST_F(SixthMethod, IsListedCheckedRunAndSwept) {
  EXPECT_EQ(preimage({"methods"}).out, "echo  how long texts are\n");
  EXPECT_THAT(preimage({"schema", "echo"}).out, testing::HasSubstr("\"what is echoed\""));
  EXPECT_EQ(preimage({"validate", job}).code, 0);
  expect_refused({"validate", job, "--set", "echo.texts=[]"}, 78, "found none");
  for (const int ranks : {1, 3}) {
    const auto out = path(base::str("out", ranks));
    const auto ended =
        preimage({"run", job, "--out", out, "--set", "sweep.echo.times=[1,3]"}, "", ranks);
    ASSERT_EQ(ended.code, 0) << ended.err;
    const auto rows = preimage::tests::rows_of(out, "echo/texts");
    ASSERT_EQ(rows.size(), 4u);
    EXPECT_EQ(rows[0], Json({{"text", "a"}, {"bytes", 1}, {"echo.times", 1}}));
    EXPECT_EQ(rows[3], Json({{"text", "bcdbcdbcd"}, {"bytes", 9}, {"echo.times", 3}}));
    EXPECT_EQ(
        preimage({"run", job, "--out", out, "--set", "sweep.echo.times=[1,3]", "--resume"}).code,
        0);
  }
}

}  // namespace
}  // namespace preimage::app::tests
