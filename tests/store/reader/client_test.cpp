#include "reader/client.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <hdf5.h>

#include <bit>
#include <cmath>
#include <random>

#include "../samples.hpp"
#include "preimage/base/error.hpp"
#include "preimage/store/results.hpp"

namespace preimage::store {
namespace {

using testing::HasSubstr;

std::filesystem::path sample_file(const Folder& folder) {
  std::vector<SegmentUnit> units;
  ResultsInput input{folder.path(), {}, {}, {}};
  for (int64_t u = 0; u < 4; ++u) {
    units.push_back({std::to_string(u), 0, u, sample_output(u)});
    CommittedUnit unit;
    unit.id = units.back().id, unit.segment = 0;
    input.units.push_back(unit);
  }
  input.segments.push_back(write_segment(folder / "seg.h5", {}, units, sample_schemas()));
  write_results(folder / "sample.h5", {}, sample_schemas(), input);
  return folder / "sample.h5";
}

// Everything that inspect, export, merge and a soft prompt read.
void read_all(const std::filesystem::path& path, const ReadLimits& limits) {
  for (const auto& table : inspect_file(path, limits).tables)
    read_table(
        path, table.name, [](const Row&) {}, limits);
  read_tensor({path, "toy/prompts", 1}, limits);
  read_items(
      path, "toy/prompts", [](const Tensor&) {}, limits);
}

TEST(ForeignReader, KeepsEveryBitOfRowsAndTensors) {
  const Folder folder;
  const auto path = folder / "x.h5";
  const uint64_t bits = 0x7ff4000000000123;  // a NaN with a payload
  const Schemas schemas{.tables = {{.name = "t",
                                    .columns = {{"a", Type::f64},
                                                {"b", Type::text},
                                                {"c", Type::i64},
                                                {"d", Type::boolean},
                                                {"e", Type::f32}}}},
                        .tensors = {{.name = "x", .axes = {"item", "d"}, .type = Type::f64}}};
  ResultsInput input{folder.path(), {}, {}, {}};
  const Row row = {std::bit_cast<double>(bits), std::string("\xff\\\0z", 4), INT64_MIN, true, -0.0};
  input.finish.rows["t"] = {row, row};
  input.finish.tensors["x"] = {{{2}, std::vector<double>{std::bit_cast<double>(bits), -0.0}}};
  write_results(path, {}, schemas, input);
  int rows = 0;
  read_table(path, "t", [&](const Row& found) {
    ++rows;
    EXPECT_EQ(std::bit_cast<uint64_t>(std::get<double>(found[0])), bits);
    EXPECT_EQ(found[1], row[1]);
    EXPECT_EQ(found[2], row[2]);
    EXPECT_EQ(found[3], row[3]);
    EXPECT_TRUE(std::signbit(std::get<double>(found[4])));
  });
  EXPECT_EQ(rows, 2);
  read_items(path, "x", [&](const Tensor& item) {
    EXPECT_EQ(std::bit_cast<uint64_t>(std::get<std::vector<double>>(item.values).at(0)), bits);
  });
}

// The library crashes or hangs on about one flipped bit in six of such a file: this process does
// neither, and says one line that names the file.
TEST(ForeignReader, FlippedBitsEndInOneLineOrInValues) {
  const Folder folder;
  const auto bytes = base::read_file(sample_file(folder));
  const auto path = folder / "flipped.h5";
  std::mt19937 random(18);
  int refused = 0;
  for (int i = 0; i < 80; ++i) {
    auto flipped = bytes;
    // Half of them where the structure of the file lies.
    const size_t at = random() % (i % 2 == 0 ? std::min<size_t>(4096, bytes.size()) : bytes.size());
    flipped[at] = static_cast<char>(flipped[at] ^ (1 << random() % 8));
    put(path, flipped);
    try {
      read_all(path, {.silence_s = 1});
    } catch (const base::Error& error) {
      ++refused;
      EXPECT_EQ(error.code(), base::ExitCode::bad_data) << at << ": " << error.what();
      EXPECT_THAT(error.what(), HasSubstr("flipped.h5")) << at;
      EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
    }
  }
  EXPECT_GT(refused, 5);
}

TEST(ForeignReader, MemoryIsBounded) {
  const Folder folder;
  const auto path = folder / "large.h5";
  // 4 GiB of one item, which deflate makes a few megabytes of: within what a file can claim.
  const auto plist = H5Pcreate(H5P_DATASET_CREATE);
  const hsize_t dims[2] = {1, hsize_t{1} << 29}, chunk[2] = {1, hsize_t{1} << 22};
  H5Pset_chunk(plist, 2, chunk);
  H5Pset_deflate(plist, 1);
  const auto file = H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
  const auto space = H5Screate_simple(2, dims, nullptr);
  const auto set = H5Dcreate2(file, "x", H5T_NATIVE_DOUBLE, space, H5P_DEFAULT, plist, H5P_DEFAULT);
  H5Dclose(set), H5Sclose(space), H5Pclose(plist), H5Fclose(file);
  std::filesystem::resize_file(path, 8 << 20);
  try {
    read_tensor({path, "x", 0});
    ADD_FAILURE() << "read";
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), base::ExitCode::bad_data);
    EXPECT_THAT(error.what(), HasSubstr("large.h5"));
    EXPECT_THAT(error.what(), HasSubstr("memory"));
  }
}

TEST(ForeignReader, AnErrorOfTheReaderIsPassedOnWhole) {
  const Folder folder;
  const auto path = sample_file(folder);
  try {
    read_table(path, "toy/pair", [](const Row&) {});
    ADD_FAILURE();
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), base::ExitCode::bad_data);
    EXPECT_THAT(error.what(), HasSubstr("did you mean \"toy/pairs\"?"));
  }
  struct Enough {};
  // What is no longer wanted is given up.
  EXPECT_THROW(read_table(path, "units", [](const Row&) { throw Enough{}; }), Enough);
}

}  // namespace
}  // namespace preimage::store
