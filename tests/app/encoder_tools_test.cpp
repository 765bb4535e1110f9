// time limit: 120 s
// embed as a command on any number of ranks.
#include "app/program.hpp"

namespace preimage::app::tests {
namespace {

const std::string kFixtures = std::string(PREIMAGE_TEST_DATA) + "/lm/fixtures/";

using EncoderTools = ProgramTest;

TEST_F(EncoderTools, TenThousandLinesOnEveryNumberOfRanks) {
  std::vector<Json> lines;
  for (int i = 0; i < 10000; ++i) {
    std::vector<int> ids;
    for (int t = 0; t < 1 + i % 7; ++t) ids.push_back((i * 31 + t * 17) % 96);
    lines.push_back({{"ids", ids}});
  }
  put_lines("in", lines);
  for (const int ranks : {1, 2, 3}) {
    const auto ended =
        preimage({"embed", "--model", kFixtures + "bert", "--in", path("in"), "--out",
                  path(base::str("out", ranks)), "--batch", base::str(100 * ranks)},
                 "", ranks);
    ASSERT_EQ(ended.code, 0) << ended.err;
    EXPECT_EQ(text_of(base::str("out", ranks)), text_of("out1")) << ranks;
  }
  EXPECT_EQ(lines_of(text_of("out1")).size(), lines.size());
}

}  // namespace
}  // namespace preimage::app::tests
