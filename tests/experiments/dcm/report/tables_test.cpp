#include "report/tables.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "preimage/base/error.hpp"
#include "report/k_sweep.hpp"
#include "report/summary.hpp"

namespace preimage::dcm {
namespace {

using testing::IsSupersetOf;

std::vector<std::string> column_names(const std::string& table) {
  std::vector<std::string> names;
  for (const auto& schema : dcm_schemas().tables) {
    if (schema.name != table) continue;
    for (const auto& column : schema.columns) names.push_back(column.name);
  }
  return names;
}

// The columns that the method's description promises.
TEST(DcmTables, PairsHasEveryPromisedColumn) {
  EXPECT_THAT(column_names("dcm/pairs"), IsSupersetOf({"pair_id",
                                                       "article",
                                                       "k",
                                                       "init",
                                                       "seed",
                                                       "n_q",
                                                       "n_a",
                                                       "loss_q",
                                                       "loss_a",
                                                       "loss_q_without_eos",
                                                       "loss_a_without_eos",
                                                       "max_nll_q",
                                                       "max_nll_a",
                                                       "random_q",
                                                       "random_a",
                                                       "full_q",
                                                       "full_q_bos",
                                                       "full_a",
                                                       "full_a_passage",
                                                       "single_q",
                                                       "single_a",
                                                       "conv",
                                                       "tight",
                                                       "exact",
                                                       "steps",
                                                       "restarts_needed",
                                                       "curve_class",
                                                       "conflict",
                                                       "decoded_q",
                                                       "decoded_a",
                                                       "grade"}));
  EXPECT_EQ(column_names("dcm/pairs"), column_names("dcm/sweep_pairs"));
}

TEST(DcmTables, AllTablesAndTensorsAreThere) {
  std::vector<std::string> names;
  for (const auto& schema : dcm_schemas().tables) names.push_back(schema.name);
  EXPECT_THAT(names, IsSupersetOf({"dcm/pairs", "dcm/single", "dcm/baselines", "dcm/restarts",
                                   "dcm/curves", "dcm/nearest_tokens", "dcm/gates", "dcm/sweep"}));
  std::map<std::string, size_t> axes;
  for (const auto& schema : dcm_schemas().tensors) axes[schema.name] = schema.axes.size();
  EXPECT_EQ(axes, (std::map<std::string, size_t>{
                      {"dcm/embeddings", 3}, {"dcm/modes", 2}, {"dcm/restart_embeddings", 3}}));
}

TEST(DcmTables, ColumnsAreDescribedUniqueAndSecondsMeasured) {
  for (const auto& schema : dcm_schemas().tables) {
    EXPECT_FALSE(schema.description.empty()) << schema.name;
    std::set<std::string> seen;
    for (const auto& column : schema.columns) {
      EXPECT_TRUE(seen.insert(column.name).second) << schema.name << " " << column.name;
      EXPECT_FALSE(column.description.empty()) << schema.name << " " << column.name;
      EXPECT_EQ(column.measured, column.name.starts_with("seconds")) << column.name;
      EXPECT_EQ(column.unit == "s", column.name.starts_with("seconds")) << column.name;
    }
  }
}

// The cell of one column of a row, as the schema places it.
template <class RowType>
store::Cell cell(const RowType& row, const std::string& column) {
  const auto columns = schema_columns<RowType>();
  const auto cells = to_row(row);
  EXPECT_EQ(columns.size(), cells.size());
  for (size_t i = 0; i < columns.size(); ++i) {
    if (columns[i].name == column) return cells[i];
  }
  ADD_FAILURE() << "no column " << column;
  return {};
}

template <class RowType>
void expect_cells_of_the_columns_types() {
  const auto columns = schema_columns<RowType>();
  const auto cells = to_row(RowType{});
  ASSERT_EQ(columns.size(), cells.size());
  for (size_t i = 0; i < columns.size(); ++i) {
    const size_t expected = columns[i].type == store::Type::i64       ? 0
                            : columns[i].type == store::Type::boolean ? 2
                            : columns[i].type == store::Type::text    ? 3
                                                                      : 1;
    EXPECT_EQ(cells[i].index(), expected) << columns[i].name;
  }
}

TEST(DcmTables, CellsHaveTheTypesOfTheirColumns) {
  expect_cells_of_the_columns_types<PairRow>();
  expect_cells_of_the_columns_types<SingleRow>();
  expect_cells_of_the_columns_types<BaselineRow>();
  expect_cells_of_the_columns_types<RestartRow>();
  expect_cells_of_the_columns_types<CurveRow>();
  expect_cells_of_the_columns_types<NearestTokenRow>();
  expect_cells_of_the_columns_types<GateRow>();
  expect_cells_of_the_columns_types<SweepRow>();
}

TEST(DcmTables, ValuesLandInTheirColumns) {
  PairRow row;
  row.unit = {"joint", 7, "5733be28", 8, "vocab"};
  row.loss_a = 0.25;
  row.full_q_bos = 3.5;
  row.convergence.tight = true;
  row.restarts.needed = 2;
  row.curve.report.curve = CurveClass::plateau_then_drop;
  row.conflict.report.anti_correlate = true;
  row.decoded_a = "1973";
  row.seconds = 4;
  EXPECT_EQ(cell(row, "pair_index"), store::Cell(int64_t{7}));
  EXPECT_EQ(cell(row, "pair_id"), store::Cell(std::string("5733be28")));
  EXPECT_EQ(cell(row, "loss_a"), store::Cell(0.25));
  EXPECT_EQ(cell(row, "full_q_bos"), store::Cell(3.5));
  EXPECT_EQ(cell(row, "tight"), store::Cell(true));
  EXPECT_EQ(cell(row, "exact"), store::Cell(false));
  EXPECT_EQ(cell(row, "restarts_needed"), store::Cell(int64_t{2}));
  EXPECT_EQ(cell(row, "curve_class"), store::Cell(std::string("PLATEAU_THEN_DROP")));
  EXPECT_EQ(cell(row, "conflict"), store::Cell(true));
  EXPECT_EQ(cell(row, "decoded_a"), store::Cell(std::string("1973")));
  EXPECT_EQ(cell(row, "seconds"), store::Cell(4.0));
  CurveRow point;
  point.kappa = 0.5f;
  EXPECT_EQ(cell(point, "kappa"), store::Cell(0.5));
  GateRow gate;
  gate.result.value = {0.5, 0.25, 0.75};
  gate.result.verdict = Verdict::inconclusive;
  EXPECT_EQ(cell(gate, "value_high"), store::Cell(0.75));
  EXPECT_EQ(cell(gate, "verdict"), store::Cell(std::string("inconclusive")));
}

PairSummary summary(bool exact, int64_t steps_to_exact) {
  PairSummary out;
  out.outcome = {.article = "a\"b\\\n",
                 .loss_q = 0.1,
                 .loss_a = 0.30000000000000004,
                 .random_q = 9,
                 .random_a = 8,
                 .full_q = none,
                 .full_a = 2,
                 .conv = true,
                 .anti_correlate = exact,
                 .passed = exact};
  out.exact = out.tight = exact;
  out.steps = 200;
  out.first = {10, exact ? steps_to_exact : -1, exact ? steps_to_exact : -1};
  out.restarts_needed = exact ? 2 : -1;
  out.seconds = 4;
  return out;
}

TEST(DcmTables, SummariesSurviveTheJournal) {
  const auto before = summary(true, 99);
  const auto text = base::canonical(to_json(before));
  const auto after = summary_from_json(base::parse_json(text, "journal"));
  EXPECT_EQ(base::canonical(to_json(after)), text);
  EXPECT_EQ(after.outcome.article, before.outcome.article);
  EXPECT_EQ(after.outcome.loss_a, 0.30000000000000004);
  EXPECT_TRUE(std::isnan(after.outcome.full_q));
  EXPECT_TRUE(after.exact);
  EXPECT_EQ(after.first.exact, 99);
  EXPECT_THROW(summary_from_json(base::Json::object()), base::Error);
}

TEST(DcmTables, SummaryTakesWhatTheGatesNeed) {
  PairRow row;
  row.article = "Steam_engine";
  row.loss_q = 1;
  row.full_a = 2;
  row.convergence.conv = true;
  row.conflict.report.anti_correlate = true;
  row.grade = "pass";
  const auto out = summarise(row);
  EXPECT_EQ(out.outcome.article, "Steam_engine");
  EXPECT_EQ(out.outcome.full_a, 2);
  EXPECT_TRUE(out.outcome.conv && out.outcome.anti_correlate && out.outcome.passed);
  row.grade = "partial";
  EXPECT_FALSE(summarise(row).outcome.passed);
}

TEST(DcmTables, SweepRowAveragesOverPairs) {
  const std::vector<PairSummary> pairs = {summary(true, 99), summary(true, 49), summary(false, 0),
                                          summary(true, 149)};
  const auto row = sweep_row("ksweep", 8, "gauss", pairs);
  EXPECT_EQ(row.pairs, 4);
  EXPECT_EQ(row.conv.estimate, 1);
  EXPECT_EQ(row.exact.estimate, 0.75);
  // scipy.stats.binomtest(3, 4).proportion_ci(method="wilson")
  EXPECT_NEAR(row.exact.low, 0.3006418, 1e-7);
  EXPECT_NEAR(row.exact.high, 0.9544127, 1e-7);
  EXPECT_EQ(row.steps_to_exact, 99);
  EXPECT_EQ(row.seconds_to_exact, 2);  // 100 of 200 steps in 4 s
  EXPECT_EQ(row.restarts_needed, 2);
  EXPECT_DOUBLE_EQ(row.loss_q, 0.1);
  EXPECT_FALSE(row.minimum_viable);
  const auto empty = sweep_row("ksweep", 8, "gauss", {});
  EXPECT_TRUE(std::isnan(empty.exact.estimate));
  EXPECT_TRUE(std::isnan(empty.steps_to_exact));
}

}  // namespace
}  // namespace preimage::dcm
