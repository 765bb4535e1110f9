#include "preimage/store/segment.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "preimage/base/error.hpp"
#include "samples.hpp"

namespace preimage::store {
namespace {

using testing::HasSubstr;

const SegmentHeader kHeader = {"run hash", "binary hash", "node-1", "a device", 2, 7};

std::vector<SegmentUnit> sample_units(int64_t count) {
  std::vector<SegmentUnit> units;
  for (int64_t u = 0; u < count; ++u) {
    units.push_back({"id " + std::to_string(u), u / 4, u % 4, sample_output(u)});
  }
  return units;
}

bool equal(const Tensor& a, const Tensor& b) {
  return a.shape == b.shape && a.values == b.values;
}

TEST(Segment, RoundTripIsExact) {
  const Folder folder;
  const auto units = sample_units(9);
  const auto ref = write_segment(folder / "seg.h5", kHeader, units, sample_schemas());
  EXPECT_EQ(ref.bytes, std::filesystem::file_size(folder / "seg.h5"));
  EXPECT_FALSE(std::filesystem::exists(folder / "seg.h5.tmp"));
  EXPECT_EQ(segment_fault(folder.path(), ref), std::nullopt);

  const auto back = read_segment(folder.path(), ref);
  EXPECT_EQ(back.header, kHeader);
  ASSERT_EQ(back.units.size(), units.size());
  for (size_t u = 0; u < units.size(); ++u) {
    EXPECT_EQ(back.units[u].id, units[u].id);
    EXPECT_EQ(back.units[u].wave, units[u].wave);
    EXPECT_EQ(back.units[u].index, units[u].index);
    EXPECT_EQ(back.units[u].output.rows, units[u].output.rows);
    for (const auto& [name, items] : units[u].output.tensors) {
      const auto& found = back.units[u].output.tensors.at(name);
      ASSERT_EQ(found.size(), items.size());
      for (size_t i = 0; i < items.size(); ++i) EXPECT_TRUE(equal(found[i], items[i])) << name;
    }
  }
  const auto& table = back.schemas.tables.at(0);
  EXPECT_EQ(table.version, 3);
  EXPECT_EQ(table.description, "one row for each pair \\ backslash");
  EXPECT_EQ(table.columns.at(0).unit, "slots");
  EXPECT_TRUE(table.columns.at(5).measured);
  EXPECT_EQ(back.schemas.tensors.at(0).axes, sample_schemas().tensors[0].axes);
}

TEST(Segment, SizesAreReadWithoutTheData) {
  const Folder folder;
  const auto ref = write_segment(folder / "s.h5", kHeader, sample_units(5), sample_schemas());
  const auto sizes = read_segment_sizes(folder.path(), ref);
  EXPECT_EQ(sizes.unit_ids.size(), 5u);
  EXPECT_EQ(sizes.tensors.at("toy/ids").unit, (std::vector<int64_t>{0, 2, 4}));
  EXPECT_EQ(sizes.tensors.at("toy/prompts").shapes.at(2), (std::vector<int64_t>{3, 2}));
}

TEST(Segment, EqualUnitsGiveEqualBytes) {
  const Folder folder;
  const auto a = write_segment(folder / "a.h5", kHeader, sample_units(4), sample_schemas());
  const auto b = write_segment(folder / "b.h5", kHeader, sample_units(4), sample_schemas());
  EXPECT_EQ(a.crc, b.crc);
}

TEST(Segment, NoUnitsAndEmptyTensors) {
  const Folder folder;
  const auto none = write_segment(folder / "none.h5", kHeader, {}, sample_schemas());
  EXPECT_TRUE(read_segment(folder.path(), none).units.empty());
  UnitOutput output;
  output.tensors["toy/prompts"].push_back({{0, 2}, std::vector<float>{}});
  const auto ref =
      write_segment(folder / "e.h5", kHeader, {{"id", 0, 0, output}}, sample_schemas());
  const auto back = read_segment(folder.path(), ref);
  EXPECT_EQ(back.units.at(0).output.tensors.at("toy/prompts").at(0).shape,
            (std::vector<int64_t>{0, 2}));
}

TEST(Segment, OutputThatBreaksItsSchemaIsABug) {
  const Folder folder;
  const auto write = [&](const UnitOutput& output) {
    write_segment(folder / "x.h5", kHeader, {{"id", 0, 0, output}}, sample_schemas());
  };
  const auto expect_bug = [&](const UnitOutput& output, const std::string& what) {
    try {
      write(output);
      ADD_FAILURE() << what;
    } catch (const base::Error& error) {
      EXPECT_EQ(error.code(), base::ExitCode::bug);
      EXPECT_THAT(error.what(), HasSubstr(what));
    }
  };
  UnitOutput output;
  output.rows["toy/other"].push_back({int64_t{1}});
  expect_bug(output, "toy/other");
  output.rows = {{"toy/empty", {{1.5}}}};
  expect_bug(output, "column x of toy/empty holds i64");
  output.rows = {{"toy/empty", {{int64_t{1}, int64_t{2}}}}};
  expect_bug(output, "has 1 cells, found 2");
  output.rows.clear();
  output.tensors = {{"toy/loss", {{{2}, std::vector<double>{1, 2}}}}};
  expect_bug(output, "toy/loss");
  output.tensors = {{"toy/ids", {{{2}, std::vector<float>{1, 2}}}}};
  expect_bug(output, "toy/ids holds i64");
  output.tensors = {{"toy/ids", {{{2}, std::vector<int64_t>{1}}}}};
  expect_bug(output, "fill its shape");
}

TEST(Segment, EveryTruncationAndFlipIsFound) {
  const Folder folder;
  const auto ref = write_segment(folder / "s.h5", kHeader, sample_units(3), sample_schemas());
  const auto bytes = base::read_file(folder / "s.h5");
  for (size_t length = 0; length < bytes.size(); length += 97) {
    put(folder / "s.h5", bytes.substr(0, length));
    const auto fault = segment_fault(folder.path(), ref);
    ASSERT_TRUE(fault.has_value());
    EXPECT_THAT(*fault, HasSubstr(std::to_string(length) + " bytes, expected"));
    EXPECT_THROW(read_segment(folder.path(), ref), base::Error);
  }
  for (size_t at = 0; at < bytes.size(); at += 101) {
    auto flipped = bytes;
    flipped[at] = static_cast<char>(flipped[at] ^ (1 << (at % 8)));
    put(folder / "s.h5", flipped);
    const auto fault = segment_fault(folder.path(), ref);
    ASSERT_TRUE(fault.has_value());
    EXPECT_THAT(*fault, HasSubstr("s.h5: CRC-32C is"));
  }
  std::filesystem::remove(folder / "s.h5");
  EXPECT_THAT(segment_fault(folder.path(), ref).value_or(""), HasSubstr("no such file"));
}

// Runs `body` in a child whose files may have `limit` bytes; returns its exit status.
template <class Body>
int in_child_with_full_disk(rlim_t limit, const Body& body) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::signal(SIGXFSZ, SIG_IGN);  // then write(2) says EFBIG, as it says ENOSPC on a full disk
    const rlimit limits{limit, limit};
    ::setrlimit(RLIMIT_FSIZE, &limits);
    std::exit(body());  // with every destructor and exit handler
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status)) << "signal " << WTERMSIG(status);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(Segment, FullDiskIsAnErrorAndNoCrashAtExit) {
  const Folder folder;
  const int status = in_child_with_full_disk(8192, [&] {
    try {
      write_segment(folder / "s.h5", kHeader, sample_units(3), sample_schemas());
    } catch (const base::Error& error) {
      const std::string text = error.what();
      return text.find("bytes failed") != text.npos && text.find("File too large") != text.npos
                 ? static_cast<int>(error.code())
                 : 1;
    }
    return 0;
  });
  EXPECT_EQ(status, static_cast<int>(base::ExitCode::io));
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

}  // namespace
}  // namespace preimage::store
