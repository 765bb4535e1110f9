// What dcm leaves in results.h5.
#pragma once

#include "preimage/store/schema.hpp"
#include "report/rows.hpp"

namespace preimage::dcm {

namespace table {
inline constexpr const char* pairs = "dcm/pairs";                    // PairRow
inline constexpr const char* sweep_pairs = "dcm/sweep_pairs";        // PairRow
inline constexpr const char* single = "dcm/single";                  // SingleRow
inline constexpr const char* baselines = "dcm/baselines";            // BaselineRow
inline constexpr const char* restarts = "dcm/restarts";              // RestartRow
inline constexpr const char* curves = "dcm/curves";                  // CurveRow
inline constexpr const char* nearest_tokens = "dcm/nearest_tokens";  // NearestTokenRow
inline constexpr const char* gates = "dcm/gates";                    // GateRow
inline constexpr const char* sweep = "dcm/sweep";                    // SweepRow
}  // namespace table

namespace tensor {
inline constexpr const char* embeddings = "dcm/embeddings";  // float32 [K, d] an item
inline constexpr const char* modes = "dcm/modes";            // float32 [d] an item: Q, then A
inline constexpr const char* restart_embeddings = "dcm/restart_embeddings";  // float32 [K, d]
}  // namespace tensor

store::Schemas dcm_schemas();

}  // namespace preimage::dcm
