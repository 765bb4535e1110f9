#include "initialise.hpp"

#include <ATen/ATen.h>

#include "preimage/base/error.hpp"
#include "preimage/base/random.hpp"
#include "preimage/base/str.hpp"

namespace preimage::dcm {
namespace {

at::Tensor normal(const base::RandomStream& stream, int64_t rows, int64_t d, double scale) {
  auto out = at::empty({rows, d}, at::kFloat);
  float* data = out.data_ptr<float>();
  for (int64_t i = 0; i < rows * d; ++i)
    data[i] = static_cast<float>(scale * stream.normal(static_cast<uint64_t>(i)));
  return out;
}

at::Tensor rows_of(const at::Tensor& table, const std::vector<int64_t>& ids) {
  return table.index_select(0, at::tensor(ids, at::kLong));
}

}  // namespace

TableStatistics table_statistics(const lm::Model& model) {
  TableStatistics out;
  out.table = model.embedding_table().to(at::kCPU, at::kFloat);
  const auto wide = out.table.to(at::kDouble);
  out.mean = wide.mean(0).to(at::kFloat);
  out.rms = std::sqrt(wide.square().mean().item<double>());
  return out;
}

at::Tensor start_vectors(const StartOptions& options, const Pair& pair, int64_t k, int64_t restart,
                         const TableStatistics& statistics, const Vocabulary& vocabulary) {
  const int64_t d = statistics.table.size(1);
  const base::RandomStream stream(options.seed, base::str("pair ", pair.id, " restart ", restart),
                                  "init " + options.init);
  if (options.init == "gauss") return normal(stream, k, d, options.sigma);
  if (options.init == "gauss-rms") return normal(stream, k, d, statistics.rms);
  if (options.init == "mean")
    return normal(stream, k, d, 0.1 * statistics.rms) + statistics.mean.unsqueeze(0);
  std::vector<int64_t> ids;
  if (options.init == "vocab") {
    for (int64_t i = 0; i < k; ++i)
      ids.push_back(vocabulary.plain_ids[stream.below(vocabulary.plain_ids.size(),
                                                      static_cast<uint64_t>(i))]);
    return rows_of(statistics.table, ids);
  }
  base::check(options.init == "text", "the config knows this init");
  // The first K tokens of "Q A", repeated. Restarts differ by where they begin.
  std::vector<int64_t> text = pair.question_ids;
  text.insert(text.end(), pair.answer_ids.begin(), pair.answer_ids.end());
  for (int64_t i = 0; i < k; ++i)
    ids.push_back(text[static_cast<size_t>(restart + i) % text.size()]);
  return rows_of(statistics.table, ids);
}

}  // namespace preimage::dcm
