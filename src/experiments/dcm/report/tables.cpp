#include "report/tables.hpp"

namespace preimage::dcm {

store::Schemas dcm_schemas() {
  store::Schemas out;
  out.tables = {
      {table::pairs, "Stage joint: one row for each question-answer pair",
       schema_columns<PairRow>(), 2},
      {table::sweep_pairs, "Stages ksweep and paraphrase: one row for each pair and K",
       schema_columns<PairRow>(), 2},
      {table::single, "Stage single: one row for each question and each answer, optimised alone",
       schema_columns<SingleRow>(), 2},
      {table::baselines, "Losses without optimisation: one row for each draw",
       schema_columns<BaselineRow>(), 2},
      {table::restarts, "One row for each restart of each unit", schema_columns<RestartRow>()},
      {table::curves, "Losses and gradients along the steps of each restart",
       schema_columns<CurveRow>()},
      {table::nearest_tokens, "The vocabulary's token nearest to each chosen content vector",
       schema_columns<NearestTokenRow>()},
      {table::gates, "The decision gates", schema_columns<GateRow>(), 2},
      {table::sweep, "Rates against K (stage ksweep), and of stage paraphrase",
       schema_columns<SweepRow>()}};
  out.tensors = {
      {tensor::embeddings,
       "Chosen content vectors of each row of dcm/pairs, in that order",
       "",
       {"pair", "slot", "d"},
       store::Type::f32},
      {tensor::modes,
       "Mode vectors: of the question, of the answer",
       "",
       {"mode", "d"},
       store::Type::f32},
      {tensor::restart_embeddings,
       "Content vectors of each row of dcm/restarts, in that order; present where asked for",
       "",
       {"restart", "slot", "d"},
       store::Type::f32}};
  return out;
}

}  // namespace preimage::dcm
