#include "report/statistics.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "preimage/base/error.hpp"
#include "preimage/base/random.hpp"

namespace preimage::dcm {
namespace {

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

struct Cluster {
  double sum = 0;
  double count = 0;
};

// By name, so that the order of the pairs does not matter.
std::vector<Cluster> clusters_of(const Clustered& data) {
  std::map<std::string, Cluster> by_name;
  for (size_t i = 0; i < data.values.size(); ++i) {
    auto& cluster = by_name[data.clusters[i]];
    cluster.sum += data.values[i];
    cluster.count += 1;
  }
  std::vector<Cluster> out;
  for (const auto& [name, cluster] : by_name) out.push_back(cluster);
  return out;
}

}  // namespace

double percentile(std::span<const double> sorted, double fraction) {
  base::check(!sorted.empty() && fraction >= 0 && fraction <= 1, "a percentile of something");
  const double place = fraction * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<size_t>(std::floor(place));
  const auto above = std::min(below + 1, sorted.size() - 1);
  const double part = place - static_cast<double>(below);
  return sorted[below] + part * (sorted[above] - sorted[below]);
}

Interval cluster_bootstrap(const Clustered& data, const BootstrapOptions& options) {
  base::check(data.values.size() == data.clusters.size(), "a cluster for each value");
  if (data.values.empty()) return {not_a_number, not_a_number, not_a_number};
  const auto clusters = clusters_of(data);
  double sum = 0;
  for (const double value : data.values) sum += value;

  const base::RandomStream random(options.seed, "dcm", "cluster bootstrap");
  std::vector<double> means;
  means.reserve(static_cast<size_t>(options.draws));
  for (int64_t draw = 0; draw < options.draws; ++draw) {
    Cluster drawn;
    for (size_t pick = 0; pick < clusters.size(); ++pick) {
      const auto element = static_cast<uint64_t>(draw) * clusters.size() + pick;
      const auto& cluster = clusters[random.below(clusters.size(), element)];
      drawn.sum += cluster.sum;
      drawn.count += cluster.count;
    }
    means.push_back(drawn.sum / drawn.count);
  }
  std::sort(means.begin(), means.end());
  const double tail = 0.5 * (1 - options.confidence);
  return {sum / static_cast<double>(data.values.size()), percentile(means, tail),
          percentile(means, 1 - tail)};
}

}  // namespace preimage::dcm
