#include "preimage/store/results.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <hdf5.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <thread>

#include "preimage/base/error.hpp"
#include "preimage/store/inspect.hpp"
#include "samples.hpp"

namespace preimage::store {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// `count` units over segments of five, committed in a scrambled order.
ResultsInput sample_input(const Folder& folder, int64_t count) {
  ResultsInput input{folder.path(), {}, {}, {}};
  std::vector<SegmentUnit> batch;
  const auto flush = [&] {
    const auto name = segment_name(0, 0, static_cast<int64_t>(input.segments.size()));
    const SegmentHeader header{"run", "bin", "host", input.segments.empty() ? "cpu a" : "cpu b"};
    input.segments.push_back(write_segment(folder / name, header, batch, sample_schemas()));
    batch.clear();
  };
  for (int64_t i = 0; i < count; ++i) {
    const int64_t u = (i * 7) % count;  // count is not a multiple of 7
    const auto id = "unit" + std::to_string(u);
    batch.push_back({id, 0, u, sample_output(u)});
    CommittedUnit unit;
    unit.id = id, unit.index = u, unit.stage = "joint", unit.key = {{"k", u}};
    unit.scalars = sample_output(u).scalars;
    unit.segment = static_cast<int64_t>(input.segments.size());
    input.units.push_back(unit);
    if (batch.size() == 5) flush();
  }
  if (!batch.empty()) flush();
  std::sort(input.units.begin(), input.units.end(),
            [](const auto& a, const auto& b) { return a.index < b.index; });
  input.finish.rows["toy/empty"] = {{int64_t{42}}};
  return input;
}

const ResultsOptions kOptions = {
    .config = {{"dcm", {{"k", 8}, {"lr", 0.5}, {"names", {"a", "b"}}, {"on", true}}}},
    .provenance = {{"host", "h"}}};

std::vector<Row> rows_of(const std::filesystem::path& path, const std::string& table) {
  std::vector<Row> rows;
  read_table(path, table, [&](const Row& row) { rows.push_back(row); });
  return rows;
}

TEST(Results, RowsStandInUnitOrderWhateverTheSegments) {
  const Folder folder;
  auto input = sample_input(folder, 24);
  write_results(folder / "results.h5", kOptions, sample_schemas(), input);
  std::vector<Row> expected;
  for (int64_t u = 0; u < 24; ++u) {
    const auto rows = sample_output(u).rows["toy/pairs"];
    expected.insert(expected.end(), rows.begin(), rows.end());
  }
  EXPECT_EQ(rows_of(folder / "results.h5", "toy/pairs"), expected);
  EXPECT_THAT(rows_of(folder / "results.h5", "toy/empty"), ElementsAre(Row{int64_t{42}}));
  const auto units = rows_of(folder / "results.h5", "units");
  ASSERT_EQ(units.size(), 24u);
  EXPECT_EQ(std::get<std::string>(units[3][0]), "unit3");
  EXPECT_EQ(std::get<std::string>(units[3][2]), "{\"k\":3}");

  EXPECT_EQ(std::get<std::string>(units[3][5]), "{\"best\":1.5}");
  EXPECT_EQ(std::get<std::string>(units[3][6]), "");
  EXPECT_THAT(rows_of(folder / "results.h5", "quarantine"), testing::IsEmpty());

  // A cache that holds one segment gives the same file, byte by byte, a second later too.
  std::this_thread::sleep_for(std::chrono::milliseconds(1100));
  auto options = kOptions;
  options.cache_bytes = 1;
  write_results(folder / "again.h5", options, sample_schemas(), input);
  EXPECT_EQ(base::read_file(folder / "again.h5"), base::read_file(folder / "results.h5"));
}

TEST(Results, SecondsOfScalarsStandInAMeasuredColumn) {
  const Folder folder;
  auto input = sample_input(folder, 3);
  input.units[1].scalars = {{"best", 2}, {"seconds", {{"generate", 0.25}}}};
  write_results(folder / "results.h5", kOptions, sample_schemas(), input);
  const auto units = rows_of(folder / "results.h5", "units");
  EXPECT_EQ(std::get<std::string>(units[1][5]), "{\"best\":2}");
  EXPECT_EQ(std::get<std::string>(units[1][6]), "{\"generate\":0.25}");
  for (const auto& table : inspect_file(folder / "results.h5").tables) {
    if (table.name != "units") continue;
    EXPECT_EQ(table.schema.version, 2);
    EXPECT_FALSE(table.schema.columns[5].measured);
    EXPECT_EQ(table.schema.columns[6].name, "measured");
    EXPECT_TRUE(table.schema.columns[6].measured);
  }
}

TEST(Results, NameTheUnitsInQuarantine) {
  const Folder folder;
  auto input = sample_input(folder, 3);
  input.quarantined.push_back({{"unit9", 1, 4, "joint", {{"k", 9}}, nullptr}, "ended its rank"});
  write_results(folder / "results.h5", kOptions, sample_schemas(), input);
  EXPECT_THAT(rows_of(folder / "results.h5", "quarantine"),
              ElementsAre(Row{std::string("unit9"), std::string("joint"), std::string("{\"k\":9}"),
                              int64_t{1}, int64_t{4}, std::string("ended its rank")}));
}

TEST(Results, ASegmentOfAnotherRunIsRefused) {
  const Folder folder;
  const auto input = sample_input(folder, 6);
  auto options = kOptions;
  options.run_identity = "run";
  write_results(folder / "results.h5", options, sample_schemas(), input);
  options.run_identity = "another";
  try {
    write_results(folder / "other.h5", options, sample_schemas(), input);
    ADD_FAILURE();
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), base::ExitCode::bad_data);
    EXPECT_THAT(error.what(), HasSubstr("belongs to another run"));
  }
  options.run_identity = "";
  options.before_publishing = [] { throw base::io_error("not any more"); };
  EXPECT_THROW(write_results(folder / "other.h5", options, sample_schemas(), input), base::Error);
  EXPECT_FALSE(std::filesystem::exists(folder / "other.h5"));
}

TEST(Results, TensorsArePaddedAndIndexed) {
  const Folder folder;
  const auto path = folder / "results.h5";
  write_results(path, kOptions, sample_schemas(), sample_input(folder, 8));
  const auto whole = read_tensor({path, "toy/prompts", -1});
  EXPECT_THAT(whole.shape, ElementsAre(8, 3, 2));
  EXPECT_EQ(whole.values[6], 10.0f);  // unit 1 has two slots of two
  EXPECT_EQ(whole.values[9], 13.0f);
  EXPECT_TRUE(std::isnan(whole.values[10]));
  const auto item = read_tensor(parse_tensor_reference(path.string() + ":toy/prompts[1]"));
  EXPECT_THAT(item.shape, ElementsAre(2, 2));
  EXPECT_THAT(item.values, ElementsAre(10, 11, 12, 13));
  const auto index = read_tensor({path, "index/toy/ids", -1});
  EXPECT_THAT(index.values, ElementsAre(0, 0, 1, 2, 0, 1, 4, 0, 1, 6, 0, 1));
  EXPECT_THAT(read_tensor({path, "toy/loss", -1}).values,
              ElementsAre(0, -1, -2, -3, -4, -5, -6, -7));
}

// Through plain HDF5 calls, as another program would read it.
TEST(Results, PlainHdf5SeesTypesAndAttributes) {
  const Folder folder;
  const auto path = folder / "results.h5";
  write_results(path, kOptions, sample_schemas(), sample_input(folder, 8));
  const hid_t file = H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT);
  ASSERT_GE(file, 0);
  const hid_t table = H5Dopen2(file, "/toy/pairs", H5P_DEFAULT);
  const hid_t type = H5Dget_type(table);
  EXPECT_EQ(H5Tget_class(type), H5T_COMPOUND);
  EXPECT_EQ(H5Tget_nmembers(type), 6);
  const hid_t text = H5Tget_member_type(type, 4);
  EXPECT_GT(H5Tis_variable_str(text), 0);
  EXPECT_EQ(H5Tget_cset(text), H5T_CSET_UTF8);
  EXPECT_EQ(H5Tget_member_class(type, 3), H5T_ENUM);
  struct Scored {
    double score;
  } rows[8];
  const hid_t scored = H5Tcreate(H5T_COMPOUND, sizeof(Scored));
  H5Tinsert(scored, "score", 0, H5T_NATIVE_DOUBLE);
  ASSERT_GE(H5Dread(table, scored, H5S_ALL, H5S_ALL, H5P_DEFAULT, rows), 0);
  EXPECT_EQ(rows[0].score, 0.5);  // unit 1, row 0
  EXPECT_GT(H5Aexists(table, "measured"), 0);
  int64_t version = 0;
  const hid_t attribute = H5Aopen(table, "schema_version", H5P_DEFAULT);
  H5Aread(attribute, H5T_NATIVE_INT64, &version);
  EXPECT_EQ(version, 3);
  const hid_t config = H5Gopen2(file, "/config", H5P_DEFAULT);
  const hid_t k = H5Aopen(config, "dcm.k", H5P_DEFAULT);
  int64_t value = 0;
  H5Aread(k, H5T_NATIVE_INT64, &value);
  EXPECT_EQ(value, 8);
  for (const hid_t id : {k, attribute}) H5Aclose(id);
  for (const hid_t id : {type, text, scored}) H5Tclose(id);
  H5Gclose(config);
  H5Dclose(table);
  H5Fclose(file);
}

TEST(Results, SaysWhatItIs) {
  const Folder folder;
  const auto path = folder / "results.h5";
  write_results(path, kOptions, sample_schemas(), sample_input(folder, 8));
  const auto info = inspect_file(path);
  EXPECT_EQ(info.format, "preimage results 1");
  EXPECT_EQ(info.config, kOptions.config);
  EXPECT_EQ(info.provenance["mixed_hardware_or_binary"], true);
  EXPECT_EQ(info.provenance["computed_by"].size(), 2u);
  ASSERT_EQ(info.tables.size(), 4u);
  const auto& pairs = info.tables[2];
  EXPECT_EQ(pairs.name, "toy/pairs");
  EXPECT_EQ(pairs.schema.description, "one row for each pair \\ backslash");
  EXPECT_EQ(pairs.schema.columns[0].unit, "slots");
  EXPECT_FALSE(pairs.schema.columns[0].measured);
  EXPECT_TRUE(pairs.schema.columns[5].measured);
  EXPECT_EQ(pairs.attributes["measured"], base::Json::array({"seconds"}));
}

TEST(Results, NoUnitsGiveEmptyTables) {
  const Folder folder;
  write_results(folder / "r.h5", {}, sample_schemas(), {folder.path(), {}, {}, {}});
  EXPECT_TRUE(rows_of(folder / "r.h5", "toy/pairs").empty());
  EXPECT_THAT(read_tensor({folder / "r.h5", "toy/prompts", -1}).shape, ElementsAre(0, 0, 0));
}

TEST(Results, DamagedSegmentIsNamedAndNothingIsLeft) {
  const Folder folder;
  const auto input = sample_input(folder, 8);
  auto bytes = base::read_file(folder / input.segments[1].name);
  put(folder / input.segments[1].name, bytes.substr(0, bytes.size() / 2));
  try {
    write_results(folder / "results.h5", kOptions, sample_schemas(), input);
    ADD_FAILURE();
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), base::ExitCode::bad_data);
    EXPECT_THAT(error.what(), HasSubstr(input.segments[1].name));
  }
  EXPECT_FALSE(std::filesystem::exists(folder / "results.h5"));
  EXPECT_FALSE(std::filesystem::exists(folder / "results.h5.tmp"));
}

TEST(Results, FullDiskIsAnErrorAndNoCrashAtExit) {
  const Folder folder;
  const auto input = sample_input(folder, 24);
  write_results(folder / "whole.h5", kOptions, sample_schemas(), input);
  const auto whole = std::filesystem::file_size(folder / "whole.h5");
  for (const rlim_t limit : {rlim_t{0}, rlim_t{100}, whole / 3, whole / 2, whole - 1}) {
    const pid_t child = ::fork();
    if (child == 0) {
      ::signal(SIGXFSZ, SIG_IGN);
      const rlimit limits{limit, limit};
      ::setrlimit(RLIMIT_FSIZE, &limits);
      int code = 0;
      try {
        write_results(folder / "results.h5", kOptions, sample_schemas(), input);
      } catch (const base::Error& error) {
        const bool names_bytes = std::string(error.what()).find("needs about") != std::string::npos;
        code = names_bytes ? static_cast<int>(error.code()) : 1;
      }
      std::exit(code);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    ASSERT_TRUE(WIFEXITED(status)) << "limit " << limit << " signal " << WTERMSIG(status);
    EXPECT_EQ(WEXITSTATUS(status), static_cast<int>(base::ExitCode::io)) << limit;
    EXPECT_FALSE(std::filesystem::exists(folder / "results.h5"));
    EXPECT_FALSE(std::filesystem::exists(folder / "results.h5.tmp"));
  }
}

TEST(Results, HundredThousandRowsTakeSeconds) {
  const Folder folder;
  const Schemas schemas = {
      .tables = {
          {.name = "t", .columns = {{"i", Type::i64}, {"x", Type::f64}, {"text", Type::text}}}}};
  const auto start = std::chrono::steady_clock::now();
  ResultsInput input{folder.path(), {}, {}, {}};
  for (int64_t s = 0; s < 20; ++s) {
    std::vector<SegmentUnit> units;
    for (int64_t u = 0; u < 500; ++u) {
      // As from two ranks: even units in one segment, odd ones in the next.
      const int64_t index = (s / 2) * 1000 + 2 * u + s % 2;
      SegmentUnit unit{std::to_string(index), 0, index, {}};
      for (int64_t r = 0; r < 10; ++r) {
        unit.output.rows["t"].push_back({10 * index + r, 0.5, "row " + std::to_string(r)});
      }
      CommittedUnit committed;
      committed.id = unit.id, committed.index = index, committed.segment = s;
      input.units.push_back(committed);
      units.push_back(std::move(unit));
    }
    input.segments.push_back(write_segment(folder / segment_name(0, 0, s), {}, units, schemas));
  }
  std::sort(input.units.begin(), input.units.end(),
            [](const auto& a, const auto& b) { return a.index < b.index; });
  write_results(folder / "r.h5", {}, schemas, input);
  int64_t next = 0;
  read_table(folder / "r.h5", "t",
             [&](const Row& row) { ASSERT_EQ(std::get<int64_t>(row[0]), next++); });
  EXPECT_EQ(next, 100000);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  EXPECT_LT(took.count(), 30);  // far above what it takes: this is against quadratic behaviour
}

}  // namespace
}  // namespace preimage::store
