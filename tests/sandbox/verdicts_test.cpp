// time limit: 120 s
// Which verdict a program gets under which tests: verdicts/*.jsonl, one case a line as `preimage
// judge` reads it, with the verdicts that are right. At both levels; PREIMAGE_ATTACK_REPEATS=5 asks
// each five times.
#include <cstdlib>
#include <map>

#include "preimage/base/json_text.hpp"
#include "preimage/base/str.hpp"
#include "sandbox/opened.hpp"

namespace preimage::sandbox::tests {
namespace {

struct Case {
  std::string place;
  std::vector<std::string> verdicts;
  Request request;
};

std::vector<Case> cases() {
  std::vector<Case> out;
  for (const auto& entry :
       fs::directory_iterator(fs::path(PREIMAGE_TEST_DATA) / "sandbox/verdicts")) {
    std::ifstream lines(entry.path());
    for (std::string line; std::getline(lines, line);) {
      const auto tests = base::member_text(line, "tests");
      const auto json = Json::parse(base::with_short_integers(line, tests));
      Case one{base::str(entry.path().stem().string(), ": ", json.at("id").get<std::string>()),
               json.at("verdicts"),
               {}};
      one.request = parse_request(json, tests, one.place);
      out.push_back(std::move(one));
    }
  }
  return out;
}

void expect_verdicts(Level level) {
  auto options = quick_options();
  options.level = level;
  Opened opened(options);
  const auto all = cases();
  ASSERT_GE(all.size(), 300u);
  const char* repeats_text = std::getenv("PREIMAGE_ATTACK_REPEATS");
  const int repeats = repeats_text ? std::atoi(repeats_text) : 1;
  std::map<uint64_t, const Case*> of_ticket;
  for (int repeat = 0; repeat < repeats; ++repeat) {
    for (const auto& one : all) {
      auto request = one.request;
      request.seed = static_cast<uint64_t>(repeat);
      of_ticket[opened.pool.submit(std::move(request))] = &one;
    }
  }
  while (opened.pool.pending()) {
    const auto record = opened.pool.next().value();
    const auto& one = *of_ticket.at(record.ticket);
    EXPECT_THAT(one.verdicts, testing::Contains(std::string(name(record.verdict))))
        << one.place << ": " << record.detail;
    if (record.verdict == Verdict::infra) {
      EXPECT_THAT(record.detail, testing::StartsWith("the tests cannot be run: ")) << one.place;
    }
  }
}

TEST(Verdicts, AtLevelFull) {
  if (available_level() != Level::full) GTEST_SKIP() << "needs root";
  expect_verdicts(Level::full);
}

TEST(Verdicts, AtLevelUser) {
  expect_verdicts(Level::user);
}

}  // namespace
}  // namespace preimage::sandbox::tests
