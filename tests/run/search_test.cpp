#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "one_process.hpp"
#include "preimage/base/budget.hpp"
#include "preimage/base/error.hpp"
#include "preimage/base/file.hpp"
#include "preimage/cluster/session.hpp"
#include "preimage/run/sweep.hpp"
#include "preimage/store/journal.hpp"
#include "run_contents.hpp"
#include "toy.hpp"

namespace preimage::run {
namespace {

using tests::contents;
using tests::OneProcess;
using tests::ToySearch;

TEST(MakeUnit, IdIsTheHashOfTheCanonicalJson) {
  const auto unit = make_unit("dcm", "joint", {{"pair", "a"}, {"k", 8}});
  // printf '{"key":{"k":8,"pair":"a"},"method":"dcm","stage":"joint"}' | sha256sum
  EXPECT_EQ(unit.id, "eb0c197ad61b4ca4d21c0a77332a82fc");
}

TEST(SearchLoop, RunsAllWavesAndWritesResults) {
  OneProcess one("toy");
  ToySearch search(one.context(), {});
  search_loop(one.context(), search);
  EXPECT_EQ(search.seen(), 20 + 21 + 21);
  EXPECT_EQ(contents(one.out()).size(), 60u);
  EXPECT_TRUE(std::filesystem::exists(one.out() / "results.h5"));
}

TEST(SearchLoop, AReplayTellsTheSameAndComputesNothing) {
  tests::Folder folder;
  int64_t salt = 0;
  {
    OneProcess one("toy", {.out = folder.path()});
    ToySearch search(one.context(), {});
    search_loop(one.context(), search);
    salt = search.salt();
  }
  const auto before = contents(folder.path());
  OneProcess again("toy", {.out = folder.path()});
  ToySearch search(again.context(), {});
  search_loop(again.context(), search);
  EXPECT_EQ(search.salt(), salt);
  EXPECT_EQ(again.recorder().generation(), 1);
  EXPECT_EQ(contents(folder.path()), before);
}

// Stops after a while, wherever that is.
class StoppingSearch : public ToySearch {
 public:
  StoppingSearch(OneProcess& one, int64_t after)
      : ToySearch(one.context(), {.sleep_ms = 0}), one_(one), after_(after) {}
  void evaluate(Work& work) override {
    for (auto units = work.take(1); !units.empty(); units = work.take(1)) {
      if (after_-- == 0) one_.budget().request_stop();
      Single single(work, units.front());
      ToySearch::evaluate(single);
    }
  }

 private:
  struct Single : Work {
    Single(Work& outer, Unit first) : outer_(outer), units_{std::move(first)} {}
    std::vector<Unit> take(int64_t) override { return std::exchange(units_, {}); }
    void commit(const Unit& unit, store::UnitOutput output) override {
      outer_.commit(unit, std::move(output));
    }
    bool stopping() const override { return false; }
    Work& outer_;
    std::vector<Unit> units_;
  };
  OneProcess& one_;
  int64_t after_;
};

TEST(SearchLoop, StoppedAnywhereItResumesToTheSameResults) {
  OneProcess whole("toy");
  ToySearch search(whole.context(), {.sleep_ms = 0});
  search_loop(whole.context(), search);
  const auto expected = contents(whole.out());
  for (const int64_t after : {0, 5, 19, 20, 33, 59}) {
    tests::Folder folder;
    {
      OneProcess one("toy", {.out = folder.path()});
      StoppingSearch stopping(one, after);
      try {
        search_loop(one.context(), stopping);
        ADD_FAILURE() << "not stopped";
      } catch (const base::Error& error) {
        EXPECT_EQ(error.code(), base::ExitCode::stopped);
      }
    }
    // A kill leaves half-written and unnamed files, and a torn line.
    std::ofstream(folder.path() / "segments" / "seg-x.h5.tmp") << "torn";
    std::ofstream(folder.path() / "segments" / "seg-g000-r000-000999.h5") << "unnamed";
    std::ofstream(folder.path() / "journal" / "g000-r000.jsonl", std::ios::app) << "{\"crc\":\"00";
    OneProcess again("toy", {.out = folder.path()});
    ToySearch rest(again.context(), {.sleep_ms = 0});
    search_loop(again.context(), rest);
    EXPECT_EQ(contents(folder.path()), expected) << "stopped after " << after;
    EXPECT_FALSE(std::filesystem::exists(folder.path() / "segments" / "seg-x.h5.tmp"));
    EXPECT_FALSE(std::filesystem::exists(folder.path() / "segments" / "seg-g000-r000-000999.h5"));
  }
}

// Commits its first units and computes for long afterwards.
class SlowSearch : public ToySearch {
 public:
  explicit SlowSearch(OneProcess& one)
      : ToySearch(one.context(), {.waves = 1, .units = 2, .sleep_ms = 0}), one_(one) {}
  void evaluate(Work& work) override {
    ToySearch::evaluate(work);
    const double begin = base::monotonic_seconds();
    while (on_disk() == 0 && base::monotonic_seconds() - begin < 20) work.stopping();
    EXPECT_EQ(on_disk(), 2u);
  }

 private:
  size_t on_disk() const { return store::load_journal(one_.out() / "journal").units.size(); }
  OneProcess& one_;
};

TEST(SearchLoop, WritesWhatIsDueWhileTheNextUnitIsComputed) {
  OneProcess one("toy", {.commit_interval_s = 0.5});
  SlowSearch search(one);
  search_loop(one.context(), search);
}

TEST(SearchLoop, AnEmptySearchEndsWithResults) {
  OneProcess one("toy");
  ToySearch search(one.context(), {.waves = 0});
  search_loop(one.context(), search);
  EXPECT_TRUE(std::filesystem::exists(one.out() / "results.h5"));
}

class CostlySearch : public ToySearch {
 public:
  using ToySearch::ToySearch;
  std::vector<Unit> ask(int64_t wave) override {
    auto units = ToySearch::ask(wave);
    for (auto& unit : units) unit.cost = static_cast<double>(unit.key["i"].get<int64_t>() % 3);
    return units;
  }
  void evaluate(Work& work) override {
    struct Seen : Work {
      Seen(Work& outer, std::vector<int64_t>& order) : outer_(outer), order_(order) {}
      std::vector<Unit> take(int64_t count) override {
        auto units = outer_.take(count);
        for (const auto& unit : units) order_.push_back(unit.key["i"]);
        return units;
      }
      void commit(const Unit& unit, store::UnitOutput output) override {
        outer_.commit(unit, std::move(output));
      }
      bool stopping() const override { return outer_.stopping(); }
      Work& outer_;
      std::vector<int64_t>& order_;
    } seen(work, order);
    ToySearch::evaluate(seen);
  }
  std::vector<int64_t> order;
};

TEST(SearchLoop, DearUnitsAreDealtFirstAndChangeNoResult) {
  OneProcess plain("toy"), costly("toy");
  ToySearch search(plain.context(), {.waves = 1, .units = 7});
  search_loop(plain.context(), search);
  CostlySearch dear(costly.context(), {.waves = 1, .units = 7});
  search_loop(costly.context(), dear);
  EXPECT_THAT(dear.order, testing::ElementsAre(2, 5, 1, 4, 0, 3, 6));
  EXPECT_EQ(contents(costly.out()), contents(plain.out()));
}

class ForgetfulSearch : public ToySearch {
 public:
  using ToySearch::ToySearch;
  void evaluate(Work& work) override { work.take(3); }
};

TEST(SearchLoop, UnitsTakenAndNotCommittedAreABug) {
  OneProcess one("toy");
  ForgetfulSearch search(one.context(), {});
  try {
    search_loop(one.context(), search);
    ADD_FAILURE() << "nothing thrown";
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), base::ExitCode::bug);
    EXPECT_THAT(error.what(), testing::HasSubstr("20 of 20 units not committed"));
  }
}

TEST(Recorder, ReadsBackRowsAndTensorsOfAUnit) {
  OneProcess one("toy");
  ToySearch search(one.context(), {.waves = 1, .units = 3});
  search_loop(one.context(), search);
  const auto unit = make_unit("toy", "toy", {{"wave", 0}, {"i", 1}, {"salt", 7}});
  const auto output = one.recorder().read(unit.id);
  EXPECT_EQ(output.tensors.at("toy/vectors").at(0).shape, std::vector<int64_t>{4});
  EXPECT_EQ(std::get<int64_t>(output.rows.at("toy/values").at(0).at(2)), output.scalars["value"]);
}

TEST(Recorder, DescribesItsStartOnlyWhileTheFolderIsItsOwn) {
  const tests::Folder folder;
  const auto out = folder.path();
  base::write_file_atomically(out / "run.json",
                              R"({"schema_version": 2, "starts": [{"generation": 0}]})");
  base::write_file_atomically(out / "lock", R"({"host": "here", "pid": 1})");
  const auto world = cluster::alone();
  RecorderOptions options;
  options.out = out;
  options.run_identity = options.binary = options.host = options.device = "test";
  options.claim = FolderClaim(out, R"({"host": "here", "pid": 1})");
  Recorder recorder(world, options);
  recorder.describe_start("sandbox", "full");
  EXPECT_EQ(base::read_json(out / "run.json")["starts"][0]["sandbox"], "full");
  base::write_file_atomically(out / "lock", R"({"host": "elsewhere", "pid": 7})");
  const auto before = base::read_file(out / "run.json");
  EXPECT_THROW(recorder.describe_start("sandbox", "user"), base::Error);
  EXPECT_EQ(base::read_file(out / "run.json"), before);
}

TEST(ExpandSweep, LastFieldIsFastest) {
  const auto all = expand_sweep(base::Json::parse(R"({"b": [1, 2], "a": ["x", "y"]})"), "job.json");
  EXPECT_EQ(base::Json(all).dump(),
            R"([{"a":"x","b":1},{"a":"x","b":2},{"a":"y","b":1},{"a":"y","b":2}])");
  EXPECT_EQ(expand_sweep(base::Json::object(), "job.json").size(), 1u);
  EXPECT_THROW(expand_sweep(base::Json::parse(R"({"a": 1})"), "job.json"), base::Error);
  EXPECT_THROW(expand_sweep(base::Json::parse(R"({"a": []})"), "job.json"), base::Error);
}

TEST(SweepLoop, EachCombinationGivesWhatItGivesAlone) {
  tests::Folder folder;
  OneProcess first("toy", {.seed = 1, .sweep = {{"run.seed", 1}}, .out = folder.path()});
  // The second combination has another seed and more waves; it shares the first one's recorder.
  Context::Parts parts;
  const auto world = cluster::alone();
  parts.world = &world;
  parts.worker = &world;
  parts.seed = 2;
  parts.out = folder.path();
  parts.method = "toy";
  parts.budget = &first.budget();
  parts.recorder = &first.recorder();
  parts.progress = &first.context().progress();
  parts.sweep = {{"run.seed", 2}};
  Context second(std::move(parts));
  ToySearch a(first.context(), {.sleep_ms = 0});
  ToySearch b(second, {.waves = 5, .units = 7, .sleep_ms = 0});
  sweep_loop({{&first.context(), &a}, {&second, &b}});

  OneProcess alone_a("toy", {.seed = 1});
  ToySearch expected_a(alone_a.context(), {.sleep_ms = 0});
  search_loop(alone_a.context(), expected_a);
  OneProcess alone_b("toy", {.seed = 2});
  ToySearch expected_b(alone_b.context(), {.waves = 5, .units = 7, .sleep_ms = 0});
  search_loop(alone_b.context(), expected_b);
  EXPECT_EQ(a.salt(), expected_a.salt());
  EXPECT_EQ(b.salt(), expected_b.salt());
  const auto all = contents(folder.path());
  EXPECT_EQ(all.size(), 60u + 35u);
  int64_t with_column = 0;
  for (const auto& [id, text] : all) {
    EXPECT_THAT(text, testing::HasSubstr("\"sweep\":{\"run.seed\":"));
    with_column += text.find("|2|\n") != std::string::npos ? 1 : 0;  // the last column of its row
  }
  EXPECT_EQ(with_column, 35);
}

TEST(Progress, LineHasCountsRateAndNote) {
  EXPECT_EQ(Progress::line({.wave = 3, .done = 120, .total = 400, .busy = 4, .workers = 4}, 35.2,
                           "best 0.83"),
            "wave 3: 120/400 units, 35/s, 8.0 s left, 4/4 workers busy, best 0.83");
  // One of sixteen units after 50 s says nothing of the other fifteen, which run at the same time.
  EXPECT_EQ(Progress::line({.done = 1, .total = 16, .busy = 2, .workers = 2}, 0.02, ""),
            "wave 0: 1/16 units, 0.02/s, 2/2 workers busy");
  EXPECT_EQ(
      Progress::line({.done = 13, .total = 16, .busy = 2, .workers = 2, .before = 12}, 0.5, ""),
      "wave 0: 13/16 units, 0.50/s, 6.0 s left, 2/2 workers busy");
  EXPECT_EQ(
      Progress::line({.done = 21, .total = 100, .busy = 2, .workers = 2, .before = 20}, 1, ""),
      "wave 0: 21/100 units, 1.00/s, 2/2 workers busy");
}

}  // namespace
}  // namespace preimage::run
