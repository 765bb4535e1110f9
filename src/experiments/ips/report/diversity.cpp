#include "report/diversity.hpp"

#include <algorithm>
#include <numeric>

#include "preimage/base/statistics.hpp"
#include "preimage/text/bleu.hpp"
#include "preimage/text/metrics.hpp"
#include "report/clusters.hpp"

namespace preimage::ips {
namespace {

constexpr int64_t kReliable = 10;  // prompts: fewer make a silhouette doubtful

double mean(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

void add_distances(const PromptSet& set, DiversityRow& row) {
  std::vector<double> distances;
  for (size_t i = 0; i < set.vectors.size(); ++i) {
    for (size_t j = i + 1; j < set.vectors.size(); ++j)
      distances.push_back(1 - cosine(set.vectors[i], set.vectors[j]));
  }
  std::sort(distances.begin(), distances.end());
  row.distance_mean = mean(distances);
  row.distance_min = distances.front();
  row.distance_10 = base::percentile(distances, 0.1);
  row.distance_50 = base::percentile(distances, 0.5);
  row.distance_90 = base::percentile(distances, 0.9);
}

// Whether two prompts of different clusters are further apart than paraphrases are.
bool has_distinct_clusters(const PromptSet& set, const std::vector<int64_t>& labels, double limit) {
  for (size_t i = 0; i < labels.size(); ++i) {
    for (size_t j = i + 1; j < labels.size(); ++j) {
      if (labels[i] != labels[j] && 1 - cosine(set.vectors[i], set.vectors[j]) > limit) return true;
    }
  }
  return false;
}

}  // namespace

DiversityRow diversity(const PromptSet& set, const Calibration& calibration,
                       const DiversityConfig& config, uint64_t seed) {
  DiversityRow row{set.target_id, set.method};
  row.prompts = std::ssize(set.texts);
  row.paraphrase_90 = calibration.paraphrase_90;
  row.other_targets = calibration.other_targets;
  row.reliable = row.prompts >= kReliable;
  if (row.prompts < 2) return row;
  std::vector<text::Words> words;
  for (const auto& text : set.texts) words.push_back(text::white_space_words(text));
  row.self_bleu_2 = mean(text::self_bleu(words, {.order = 2}));
  row.self_bleu_4 = mean(text::self_bleu(words));
  add_distances(set, row);
  if (row.prompts < std::max<int64_t>(3, config.least)) return row;
  const base::RandomStream random(seed, "ips/" + set.target_id + "/" + set.method, "clusters");
  const auto best = best_clustering(set.vectors, config.most_clusters, config.restarts, random);
  row.clusters = best.clustering.k();
  row.silhouette = best.clustering.labels.empty() ? kUndefined : best.silhouette;
  row.diverse = row.clusters >= 2 &&
                has_distinct_clusters(set, best.clustering.labels, calibration.paraphrase_90);
  return row;
}

}  // namespace preimage::ips
