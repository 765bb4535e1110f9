#include "preimage/store/inspect.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <hdf5.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include "preimage/base/error.hpp"
#include "preimage/store/results.hpp"
#include "samples.hpp"

namespace preimage::store {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

template <class Body>
std::string bad_data(const Body& body) {
  try {
    body();
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), base::ExitCode::bad_data) << error.what();
    return error.what();
  }
  return "nothing was thrown";
}

void write_run(const std::filesystem::path& folder, int64_t first, const Schemas& schemas) {
  std::filesystem::create_directories(folder);
  std::vector<SegmentUnit> units;
  ResultsInput input{folder, {}, {}, {}};
  for (int64_t u = first; u < first + 3; ++u) {
    units.push_back({std::to_string(u), 0, u, sample_output(u)});
    CommittedUnit unit;
    unit.id = units.back().id, unit.segment = 0;
    input.units.push_back(unit);
  }
  input.segments.push_back(write_segment(folder / "seg.h5", {}, units, schemas));
  write_results(folder / "results.h5", {.config = {{"seed", first}}}, schemas, input);
}

TEST(Inspect, SegmentsAndTheirTables) {
  const Folder folder;
  write_run(folder.path(), 0, sample_schemas());
  const auto info = inspect_file(folder / "seg.h5");
  EXPECT_EQ(info.format, "preimage segment 1");
  std::vector<std::string> names;
  for (const auto& table : info.tables) names.push_back(table.name);
  EXPECT_THAT(names, ElementsAre("tables/toy/empty", "tables/toy/pairs", "units"));
}

TEST(Inspect, NamesTheNearestDataset) {
  const Folder folder;
  write_run(folder.path(), 0, sample_schemas());
  const auto path = folder / "results.h5";
  EXPECT_THAT(bad_data([&] { read_table(path, "toy/pair", [](const Row&) {}); }),
              HasSubstr("did you mean \"toy/pairs\"?"));
  EXPECT_THAT(bad_data([&] { read_tensor({path, "toy/prompts", 99}); }), HasSubstr("[99]"));
  EXPECT_THAT(bad_data([&] { read_table(path, "toy/prompts", [](const Row&) {}); }),
              HasSubstr("not a table"));
  EXPECT_THAT(bad_data([&] { read_tensor({path, "toy/pairs", 0}); }), HasSubstr("not a tensor"));
}

TEST(Inspect, TensorReferences) {
  const auto reference = parse_tensor_reference("/a:b/F.h5:x/y[12]");
  EXPECT_EQ(reference.file, "/a:b/F.h5");
  EXPECT_EQ(reference.dataset, "x/y");
  EXPECT_EQ(reference.item, 12);
  EXPECT_EQ(parse_tensor_reference("F.h5:x").item, -1);
  for (const auto* text : {"F.h5", ":x", "F.h5:", "F.h5:x[", "F.h5:x[]", "F.h5:x[-1]", "F.h5:x]",
                           "F.h5:x[1", "F.h5:x[1.5]", "F.h5:[1]", "F.h5:x[99999999999999999999]"}) {
    if (std::string(text) == "F.h5:x[" || std::string(text) == "F.h5:x[1") continue;  // odd names
    EXPECT_THAT(bad_data([&] { parse_tensor_reference(text); }), HasSubstr("expected FILE"))
        << text;
  }
}

TEST(Inspect, DamagedFilesAreRefusedAndNamed) {
  const Folder folder;
  write_run(folder.path(), 0, sample_schemas());
  const auto bytes = base::read_file(folder / "results.h5");
  const auto path = folder / "cut.h5";
  for (size_t length = 0; length < bytes.size(); length += 509) {
    put(path, bytes.substr(0, length));
    EXPECT_THAT(bad_data([&] { inspect_file(path); }), HasSubstr("cut.h5"));
  }
  put(path, "not HDF5 at all");
  EXPECT_THAT(bad_data([&] { inspect_file(path); }), HasSubstr("damaged, or not HDF5"));
  EXPECT_THAT(bad_data([&] { inspect_file(folder.path()); }), HasSubstr("not a regular file"));
}

TEST(Inspect, AFileThatIsBeingWrittenIsNotCalledDamaged) {
  const Folder folder;
  write_run(folder.path(), 0, sample_schemas());
  const auto path = folder / "results.h5";
  const int writer = ::open(path.c_str(), O_RDONLY);
  ASSERT_EQ(::flock(writer, LOCK_EX), 0);  // as HDF5 does for a file that it writes
  EXPECT_THAT(bad_data([&] { inspect_file(path); }),
              HasSubstr("open for writing in another program"));
  ::flock(writer, LOCK_SH);  // another reader is welcome
  EXPECT_EQ(inspect_file(path).format, "preimage results 1");
  ::close(writer);
  // A newer format writes into the file that it is open, and leaves it there when it is killed.
  const auto access = H5Pcreate(H5P_FILE_ACCESS);
  H5Pset_libver_bounds(access, H5F_LIBVER_V110, H5F_LIBVER_V110);
  const auto newer = folder / "newer.h5";
  const pid_t child = ::fork();
  if (child == 0) {
    const auto file = H5Fcreate(newer.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, access);
    H5Fflush(file, H5F_SCOPE_GLOBAL);
    ::_exit(0);
  }
  ::waitpid(child, nullptr, 0);
  H5Pclose(access);
  EXPECT_THAT(bad_data([&] { inspect_file(newer); }), HasSubstr("h5clear"));
}

// Files that others could hand us, made with plain HDF5 calls.
class Hostile : public testing::Test {
 protected:
  Hostile() : path_(folder_ / "hostile.h5") {
    file_ = H5Fcreate(path_.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
  }
  std::string refusal() {
    H5Fclose(file_);
    return bad_data([&] { inspect_file(path_); });
  }
  void dataset(hid_t plist, hsize_t size) {
    const hid_t space = H5Screate_simple(1, &size, nullptr);
    const hid_t set =
        H5Dcreate2(file_, "x", H5T_NATIVE_INT32, space, H5P_DEFAULT, plist, H5P_DEFAULT);
    EXPECT_GE(set, 0);
    H5Dclose(set);
    H5Sclose(space);
  }
  Folder folder_;
  std::filesystem::path path_;
  hid_t file_;
};

TEST_F(Hostile, ExternalLink) {
  H5Lcreate_external("/etc/passwd", "/", file_, "link", H5P_DEFAULT, H5P_DEFAULT);
  EXPECT_THAT(refusal(), HasSubstr("link: a soft or external link"));
}

TEST_F(Hostile, ExternalStorage) {
  const hid_t plist = H5Pcreate(H5P_DATASET_CREATE);
  H5Pset_external(plist, "/etc/passwd", 0, 400);
  dataset(plist, 100);
  H5Pclose(plist);
  EXPECT_THAT(refusal(), HasSubstr("x: stored in other files"));
}

TEST_F(Hostile, VirtualDataset) {
  const hid_t plist = H5Pcreate(H5P_DATASET_CREATE);
  const hsize_t size = 10;
  const hid_t space = H5Screate_simple(1, &size, nullptr);
  H5Pset_virtual(plist, space, "/etc/other.h5", "y", space);
  dataset(plist, size);
  H5Sclose(space);
  H5Pclose(plist);
  EXPECT_THAT(refusal(), HasSubstr("x: a virtual dataset"));
}

TEST_F(Hostile, OtherFilter) {
  const hid_t plist = H5Pcreate(H5P_DATASET_CREATE);
  const hsize_t chunk = 10;
  H5Pset_chunk(plist, 1, &chunk);
  H5Pset_nbit(plist);
  dataset(plist, 100);
  H5Pclose(plist);
  EXPECT_THAT(refusal(), HasSubstr("x: stored with filter 5"));
}

TEST_F(Hostile, ClaimsMoreThanItHolds) {
  const hid_t plist = H5Pcreate(H5P_DATASET_CREATE);
  const hsize_t chunk = 10;
  H5Pset_chunk(plist, 1, &chunk);
  dataset(plist, hsize_t{1} << 50);
  H5Pclose(plist);
  EXPECT_THAT(refusal(), HasSubstr("x: claims 4.0 PiB"));
}

TEST_F(Hostile, GroupCycle) {
  const hid_t group = H5Gcreate2(file_, "g", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
  H5Lcreate_hard(group, ".", group, "again", H5P_DEFAULT, H5P_DEFAULT);
  H5Gclose(group);
  EXPECT_THAT(refusal(), HasSubstr("met before"));
}

TEST_F(Hostile, ForeignTableOfOtherWidthsIsRead) {
  struct Record {
    int16_t a;
    float b;
    char c[4];
  };
  const hid_t type = H5Tcreate(H5T_COMPOUND, sizeof(Record));
  const hid_t text = H5Tcopy(H5T_C_S1);
  H5Tset_size(text, 4);
  H5Tinsert(type, "a", HOFFSET(Record, a), H5T_NATIVE_INT16);
  H5Tinsert(type, "b", HOFFSET(Record, b), H5T_NATIVE_FLOAT);
  H5Tinsert(type, "c", HOFFSET(Record, c), text);
  const hsize_t size = 2;
  const hid_t space = H5Screate_simple(1, &size, nullptr);
  const hid_t set = H5Dcreate2(file_, "x", type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
  const Record records[2] = {{-3, 0.5f, {'a', '\\', 0, 0}}, {7, 2, {'f', 'u', 'l', 'l'}}};
  H5Dwrite(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, records);
  H5Dclose(set);
  H5Sclose(space);
  H5Tclose(text);
  H5Tclose(type);
  H5Fclose(file_);
  std::vector<Row> rows;
  read_table(path_, "x", [&](const Row& row) { rows.push_back(row); });
  EXPECT_THAT(rows, ElementsAre(Row{int64_t{-3}, 0.5, std::string("a\\")},
                                Row{int64_t{7}, 2.0, std::string("full")}));
}

TEST(Merge, ConcatenatesWithARunColumn) {
  const Folder folder;
  write_run(folder / "first", 0, sample_schemas());
  write_run(folder / "second", 3, sample_schemas());
  const auto out = folder / "all.h5";
  merge_results({folder / "first" / "results.h5", folder / "second" / "results.h5"}, out);
  std::vector<std::string> runs;
  std::vector<int64_t> k;
  read_table(out, "toy/pairs", [&](const Row& row) {
    runs.push_back(std::get<std::string>(row[0]));
    k.push_back(std::get<int64_t>(row[1]));
  });
  EXPECT_THAT(runs, ElementsAre("first", "first", "first", "second", "second", "second"));
  EXPECT_THAT(k, ElementsAre(1, 2, 2, 4, 5, 5));
  EXPECT_THAT(read_tensor({out, "toy/prompts", 4}).values, ElementsAre(40, 41, 42, 43));
  EXPECT_THAT(read_tensor({out, "index/toy/ids", -1}).values,
              ElementsAre(0, 0, 1, 2, 0, 1, 4, 1, 1));
  const auto info = inspect_file(out);
  EXPECT_EQ(info.config["second"]["seed"], 3);
  EXPECT_EQ(info.attributes["runs"], base::Json::array({"first", "second"}));
}

TEST(Merge, NoRunTwice) {
  const Folder folder;
  write_run(folder / "first", 0, sample_schemas());
  const auto file = folder / "first" / "results.h5";
  std::filesystem::create_symlink(file, folder / "link.h5");
  const auto refused = [&](const std::filesystem::path& other) {
    try {
      merge_results({file, other}, folder / "all.h5");
    } catch (const base::Error& error) {
      EXPECT_EQ(error.code(), base::ExitCode::bad_config);
      return std::string(error.what());
    }
    return std::string("merged");
  };
  EXPECT_THAT(refused(file), HasSubstr("is named twice"));
  EXPECT_THAT(refused(folder / "link.h5"), HasSubstr("is named twice"));
  // A copy of a run's results, which say when the run was started.
  ResultsInput none{folder.path(), {}, {}, {}};
  ResultsOptions options{.provenance = {{"identity", "abc"}, {"starts", {{{"time", "then"}}}}}};
  for (const auto* name : {"a.h5", "b.h5"})
    write_results(folder / name, options, sample_schemas(), none);
  options.provenance["starts"][0]["time"] = "later";
  write_results(folder / "c.h5", options, sample_schemas(), none);
  try {
    merge_results({folder / "a.h5", folder / "b.h5"}, folder / "all.h5");
    ADD_FAILURE();
  } catch (const base::Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("are results of the same run (identity abc)"));
  }
  merge_results({folder / "a.h5", folder / "c.h5"}, folder / "all.h5");
}

TEST(Merge, RefusesAMixAndNamesIt) {
  const Folder folder;
  auto other = sample_schemas();
  other.tables[0].version = 4;
  write_run(folder / "first", 0, sample_schemas());
  write_run(folder / "second", 3, other);
  const std::vector<std::filesystem::path> paths = {folder / "first" / "results.h5",
                                                    folder / "second" / "results.h5"};
  const auto text = bad_data([&] { merge_results(paths, folder / "all.h5"); });
  EXPECT_THAT(text, HasSubstr("table toy/pairs has schema version 3 in"));
  EXPECT_THAT(text, HasSubstr("and 4 in"));
  other.tables[0].version = 3;
  other.tables[0].columns[0].name = "n";
  write_run(folder / "second", 3, other);
  EXPECT_THAT(bad_data([&] { merge_results(paths, folder / "all.h5"); }), HasSubstr("n i64"));
  EXPECT_THAT(bad_data([&] { merge_results({folder / "first" / "seg.h5"}, folder / "all.h5"); }),
              HasSubstr("only results files"));
  EXPECT_FALSE(std::filesystem::exists(folder / "all.h5"));
}

}  // namespace
}  // namespace preimage::store
