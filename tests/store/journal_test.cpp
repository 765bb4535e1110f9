#include "preimage/store/journal.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "preimage/base/error.hpp"
#include "samples.hpp"

namespace preimage::store {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

constexpr const char* kRun = "0123abcd";

JournalUnit unit(int64_t index) {
  return {"id" + std::to_string(index), 0, index, "joint", {{"k", index}}, {{"best", 0.1 * index}}};
}

JournalCommit commit_of(const SegmentRef& segment, const std::vector<int64_t>& indices) {
  JournalCommit out;
  out.segment = segment;
  for (const int64_t index : indices) out.units.push_back(unit(index));
  return out;
}

void write_three_lines(const std::filesystem::path& folder) {
  JournalWriter writer(folder, 0, 0, kRun);
  writer.commit(commit_of({"seg-a.h5", 0xdeadbeef, 100}, {2, 0}));
  writer.commit(commit_of({}, {1}));
  writer.commit(commit_of({"seg-b.h5", 7, 200}, {3}));
}

TEST(Journal, GivesBackWhatWasCommitted) {
  const Folder folder;
  EXPECT_EQ(load_journal(folder / "missing").last_generation, -1);
  write_three_lines(folder.path());
  const auto journal = load_journal(folder.path());
  EXPECT_THAT(journal.warnings, IsEmpty());
  EXPECT_EQ(journal.last_generation, 0);
  ASSERT_EQ(journal.segments.size(), 2u);
  EXPECT_EQ(journal.segments[0].name, "seg-a.h5");
  EXPECT_EQ(journal.segments[0].crc, 0xdeadbeef);
  EXPECT_EQ(journal.segments[0].bytes, 100u);
  const auto units = journal.in_order();
  ASSERT_EQ(units.size(), 4u);
  for (int64_t i = 0; i < 4; ++i) {
    const auto& found = units[static_cast<size_t>(i)];
    EXPECT_EQ(found.id, unit(i).id);
    EXPECT_EQ(found.key, unit(i).key);
    EXPECT_EQ(found.scalars, unit(i).scalars);
    EXPECT_EQ(found.stage, "joint");
    EXPECT_EQ(found.segment, i == 1 ? -1 : i == 3 ? 1 : 0);
  }
}

TEST(Journal, TornAnywhereKeepsTheWholeLines) {
  const Folder folder;
  write_three_lines(folder.path());
  const auto path = folder / "g000-r000.jsonl";
  const auto bytes = base::read_file(path);
  for (size_t length = 0; length <= bytes.size(); ++length) {
    put(path, bytes.substr(0, length));
    const auto journal = load_journal(folder.path());
    const auto whole =
        std::count(bytes.begin(), bytes.begin() + static_cast<int64_t>(length), '\n');
    EXPECT_EQ(journal.units.size(),
              (std::vector<size_t>{0, 0, 2, 3, 4})[static_cast<size_t>(whole)]);
    EXPECT_THAT(journal.warnings, IsEmpty());
  }
}

TEST(Journal, FlippedBitLosesItsLineOnlyAndIsNamed) {
  const Folder folder;
  write_three_lines(folder.path());
  const auto path = folder / "g000-r000.jsonl";
  const auto bytes = base::read_file(path);
  const size_t first = bytes.find('\n') + 1, second = bytes.find('\n', first) + 1,
               third = bytes.find('\n', second) + 1;  // after the line that names the run
  for (size_t at = second; at + 1 < third; ++at) {
    auto flipped = bytes;
    flipped[at] = static_cast<char>(flipped[at] ^ 1);
    if (flipped[at] == '\n') continue;
    put(path, flipped);
    const auto journal = load_journal(folder.path());
    ASSERT_EQ(journal.units.size(), 3u) << at;
    EXPECT_FALSE(journal.by_id.contains("id1"));
    ASSERT_EQ(journal.warnings.size(), 1u);
    EXPECT_THAT(journal.warnings[0],
                HasSubstr("g000-r000.jsonl:3 (byte " + std::to_string(second) + "): checksum"));
  }
}

TEST(Journal, CompactionKeepsEverythingAtEveryKill) {
  const Folder folder;
  write_three_lines(folder.path());
  {
    JournalWriter writer(folder.path(), 0, 1, kRun);
    writer.started({"id8", "id9"});
    writer.quarantine(unit(7), "killed its rank three times");
  }
  mark_crash(folder.path(), 0, 1);
  const auto before = load_journal(folder.path());
  EXPECT_EQ(before.crashes, (std::map<std::string, int64_t>{{"id8", 1}, {"id9", 1}}));

  const auto same = [&] {
    const auto journal = load_journal(folder.path());
    EXPECT_EQ(journal.units.size(), 4u);
    EXPECT_EQ(journal.segments.size(), 2u);
    EXPECT_EQ(journal.crashes, before.crashes);
    const auto& left_out = journal.quarantined.at("id7");
    EXPECT_EQ(left_out.reason, "killed its rank three times");
    EXPECT_EQ(left_out.stage, "joint");
    EXPECT_EQ(left_out.key, unit(7).key);
    EXPECT_EQ(left_out.index, 7);
    EXPECT_EQ(journal.identities, std::set<std::string>{kRun});
    EXPECT_EQ(journal.last_generation, 0);
    EXPECT_EQ(journal.units[journal.by_id.at("id3")].key, unit(3).key);
  };
  put(folder / "g000-compact.jsonl.tmp", "half");  // killed while writing
  same();
  const auto old = base::read_file(folder / "g000-r001.jsonl");
  compact_journal(folder.path(), before);
  EXPECT_FALSE(std::filesystem::exists(folder / "g000-r000.jsonl"));
  same();
  put(folder / "g000-r001.jsonl", old);  // killed before the old files were deleted
  same();
  compact_journal(folder.path(), load_journal(folder.path()));
  same();
  JournalWriter(folder.path(), 1, 0, kRun).commit(commit_of({}, {5}));
  compact_journal(folder.path(), load_journal(folder.path()));
  EXPECT_FALSE(std::filesystem::exists(folder / "g000-compact.jsonl"));
  const auto after = load_journal(folder.path());
  EXPECT_EQ(after.units.size(), 5u);
  EXPECT_EQ(after.last_generation, 1);
  EXPECT_EQ(after.crashes, before.crashes);
}

TEST(Journal, CrashesAreCountedForUnitsInFlightOnTheRankThatDied) {
  const Folder folder;
  for (int64_t generation = 0; generation < 3; ++generation) {
    JournalWriter guilty(folder.path(), generation, 0, kRun),
        other(folder.path(), generation, 1, kRun);
    guilty.started({"id0", "id1"});
    guilty.commit(commit_of({}, {0}));
    other.started({"id2"});
    if (generation == 2) other.closed();
  }
  EXPECT_THAT(load_journal(folder.path()).crashes, IsEmpty());  // nobody spoke of a crash
  mark_crash(folder.path(), 0, 0);
  mark_crash(folder.path(), 1, -1);
  mark_crash(folder.path(), 2, -1);
  EXPECT_EQ(load_journal(folder.path()).crashes,
            (std::map<std::string, int64_t>{{"id1", 3}, {"id2", 1}}));
}

TEST(Journal, ReleasedUnitsHaveNeverCrashed) {
  const Folder folder;
  {
    JournalWriter writer(folder.path(), 0, 0, kRun);
    writer.started({"id7", "id8"});
    writer.quarantine(unit(7), "killed its rank");
    writer.quarantine(unit(8), "killed its rank");
  }
  mark_crash(folder.path(), 0, 0);
  EXPECT_EQ(load_journal(folder.path()).quarantined_in_order().size(), 2u);
  EXPECT_THAT(release_quarantine(folder.path(), {"id8"}), testing::ElementsAre("id8"));
  try {
    release_quarantine(folder.path(), {"id9"});
    ADD_FAILURE();
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), base::ExitCode::bad_config);
    EXPECT_THAT(error.what(), HasSubstr("unit id9 is not in quarantine; there are id7"));
  }
  const auto check = [&] {
    const auto journal = load_journal(folder.path());
    ASSERT_EQ(journal.quarantined_in_order().size(), 1u);
    EXPECT_EQ(journal.quarantined_in_order()[0].id, "id7");
    EXPECT_EQ(journal.crashes, (std::map<std::string, int64_t>{{"id7", 1}}));
  };
  check();
  compact_journal(folder.path(), load_journal(folder.path()));
  check();
  // A later crash counts from 1.
  JournalWriter(folder.path(), 1, 0, kRun).started({"id8"});
  mark_crash(folder.path(), 1, 0);
  EXPECT_EQ(load_journal(folder.path()).crashes.at("id8"), 1);
  EXPECT_THAT(release_quarantine(folder.path(), {}), testing::ElementsAre("id7"));
  EXPECT_THAT(load_journal(folder.path()).quarantined, IsEmpty());
}

TEST(Journal, AFileOfAnotherRunIsNoticed) {
  const Folder folder;
  JournalWriter(folder.path(), 0, 0, kRun).commit(commit_of({}, {0}));
  JournalWriter(folder.path(), 0, 1, "another").commit(commit_of({}, {1}));
  EXPECT_EQ(load_journal(folder.path()).identities, (std::set<std::string>{kRun, "another"}));
  compact_journal(folder.path(), load_journal(folder.path()));
  EXPECT_TRUE(load_journal(folder.path()).identities.contains("another"));
}

TEST(Journal, AGenerationIsBegunOnce) {
  const Folder folder;
  const JournalWriter first(folder.path(), 0, 0, kRun);
  EXPECT_THROW(JournalWriter(folder.path(), 0, 0, kRun), base::Error);
}

TEST(Journal, BadSegmentIsSetAsideAndItsUnitsDropped) {
  const Folder folder;
  const auto commit = [&](const std::string& name, int64_t index) {
    const auto ref = write_segment(folder / name, {}, {{unit(index).id, 0, index, {}}}, {});
    return commit_of(ref, {index});
  };
  {
    JournalWriter writer(folder.path(), 0, 0, kRun);
    writer.commit(commit("a.h5", 0));
    writer.commit(commit("b.h5", 1));
    writer.commit(commit("c.h5", 2));
  }
  auto bytes = base::read_file(folder / "b.h5");
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 16);
  put(folder / "b.h5", bytes);
  std::filesystem::remove(folder / "c.h5");
  auto journal = load_journal(folder.path());
  drop_bad_segments(journal, folder.path());
  ASSERT_EQ(journal.units.size(), 1u);
  EXPECT_EQ(journal.units[0].id, "id0");
  EXPECT_EQ(journal.by_id.size(), 1u);
  EXPECT_EQ(journal.warnings.size(), 2u);
  EXPECT_THAT(journal.warnings[0], HasSubstr("b.h5"));
  EXPECT_TRUE(std::filesystem::exists(folder / "b.h5.bad"));
  compact_journal(folder.path(), journal);
  EXPECT_EQ(load_journal(folder.path()).units.size(), 1u);
}

}  // namespace
}  // namespace preimage::store
