// How many kinds of prompts there are among many: k-means and silhouettes (Stage 4).
#pragma once

#include <cstdint>
#include <vector>

#include "preimage/base/random.hpp"

namespace preimage::ips {

using Points = std::vector<std::vector<double>>;

struct Clustering {
  std::vector<int64_t> labels;  // 0..k-1, numbered by first member
  double inertia = 0;           // sum of squared distances to the own centre
  int64_t k() const;
};

// Lloyd's algorithm from greedy k-means++ seeds (Arthur and Vassilvitskii 2007), best of `restarts`
// by inertia, the first of equal ones. 1 <= k <= points. Draws are elements of `random`.
Clustering k_means(const Points& points, int64_t k, int64_t restarts,
                   const base::RandomStream& random);

// s(i) = (b - a) / max(a, b): a = mean distance to the others of the own cluster, b = smallest mean
// distance to another cluster; 0 of a cluster's only member (Rousseeuw 1987). `distances` [n][n].
std::vector<double> silhouettes(const Points& distances, const std::vector<int64_t>& labels);

Points euclidean_distances(const Points& points);

struct BestClustering {
  Clustering clustering;
  double silhouette = 0;  // mean
};
// k = 2 .. min(most, n - 1), by the largest mean silhouette; of equal ones the smaller k. Needs
// three points.
BestClustering best_clustering(const Points& points, int64_t most, int64_t restarts,
                               const base::RandomStream& random);

}  // namespace preimage::ips
