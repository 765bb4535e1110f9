#include "report/clusters.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>

#include "preimage/base/error.hpp"

namespace preimage::ips {
namespace {

constexpr int kMostSteps = 300;

double squared_distance(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += (a[i] - b[i]) * (a[i] - b[i]);
  return sum;
}

double sum_of(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0);
}

// Each further centre is a point, drawn with probability proportional to its squared distance from
// the nearest centre; of a few draws the one that leaves the least sum of such distances, as in
// scikit-learn.
Points seeds_of(const Points& points, int64_t k, const base::RandomStream& random, uint64_t& at) {
  Points centres = {
      points[static_cast<size_t>(random.below(static_cast<uint64_t>(points.size()), at++))]};
  std::vector<double> nearest;
  for (const auto& point : points) nearest.push_back(squared_distance(point, centres[0]));
  const auto trials = 2 + static_cast<int64_t>(std::log(static_cast<double>(k)));
  while (std::ssize(centres) < k) {
    std::vector<double> best;
    size_t chosen = 0;
    for (int64_t trial = 0; trial < trials; ++trial) {
      double left = random.uniform(at++) * sum_of(nearest);
      size_t candidate = 0;
      while (candidate + 1 < points.size() && left >= nearest[candidate])
        left -= nearest[candidate++];
      auto distances = nearest;
      for (size_t i = 0; i < points.size(); ++i)
        distances[i] = std::min(distances[i], squared_distance(points[i], points[candidate]));
      if (!best.empty() && sum_of(distances) >= sum_of(best)) continue;
      best = std::move(distances), chosen = candidate;
    }
    nearest = std::move(best);
    centres.push_back(points[chosen]);
  }
  return centres;
}

std::vector<int64_t> nearest_centres(const Points& points, const Points& centres) {
  std::vector<int64_t> labels;
  for (const auto& point : points) {
    size_t best = 0;
    for (size_t c = 1; c < centres.size(); ++c) {
      if (squared_distance(point, centres[c]) < squared_distance(point, centres[best])) best = c;
    }
    labels.push_back(static_cast<int64_t>(best));
  }
  return labels;
}

// A centre without a point stays where it is.
void move_centres(const Points& points, const std::vector<int64_t>& labels, Points& centres) {
  Points sums(centres.size(), std::vector<double>(points.front().size(), 0.0));
  std::vector<double> counts(centres.size(), 0);
  for (size_t i = 0; i < points.size(); ++i) {
    const auto c = static_cast<size_t>(labels[i]);
    counts[c] += 1;
    for (size_t d = 0; d < points[i].size(); ++d) sums[c][d] += points[i][d];
  }
  for (size_t c = 0; c < centres.size(); ++c) {
    if (counts[c] == 0) continue;
    for (size_t d = 0; d < sums[c].size(); ++d) centres[c][d] = sums[c][d] / counts[c];
  }
}

std::vector<int64_t> renumbered(const std::vector<int64_t>& labels) {
  std::map<int64_t, int64_t> number;
  std::vector<int64_t> out;
  for (const int64_t label : labels)
    out.push_back(number.emplace(label, std::ssize(number)).first->second);
  return out;
}

}  // namespace

int64_t Clustering::k() const {
  return labels.empty() ? 0 : *std::max_element(labels.begin(), labels.end()) + 1;
}

Clustering k_means(const Points& points, int64_t k, int64_t restarts,
                   const base::RandomStream& random) {
  base::check(k >= 1 && k <= std::ssize(points), "no more clusters than points");
  Clustering best;
  uint64_t at = 0;
  for (int64_t restart = 0; restart < restarts; ++restart) {
    auto centres = seeds_of(points, k, random, at);
    auto labels = nearest_centres(points, centres);
    for (int step = 0; step < kMostSteps; ++step) {
      move_centres(points, labels, centres);
      auto moved = nearest_centres(points, centres);
      if (moved == labels) break;
      labels = std::move(moved);
    }
    double inertia = 0;
    for (size_t i = 0; i < points.size(); ++i)
      inertia += squared_distance(points[i], centres[static_cast<size_t>(labels[i])]);
    if (best.labels.empty() || inertia < best.inertia) best = {renumbered(labels), inertia};
  }
  return best;
}

Points euclidean_distances(const Points& points) {
  Points out(points.size(), std::vector<double>(points.size(), 0.0));
  for (size_t i = 0; i < points.size(); ++i) {
    for (size_t j = 0; j < points.size(); ++j)
      out[i][j] = std::sqrt(squared_distance(points[i], points[j]));
  }
  return out;
}

std::vector<double> silhouettes(const Points& distances, const std::vector<int64_t>& labels) {
  const int64_t k = *std::max_element(labels.begin(), labels.end()) + 1;
  std::vector<double> sizes(static_cast<size_t>(k), 0);
  for (const int64_t label : labels) sizes[static_cast<size_t>(label)] += 1;
  std::vector<double> out;
  for (size_t i = 0; i < labels.size(); ++i) {
    std::vector<double> sums(static_cast<size_t>(k), 0);
    for (size_t j = 0; j < labels.size(); ++j) {
      if (i != j) sums[static_cast<size_t>(labels[j])] += distances[i][j];
    }
    const auto own = static_cast<size_t>(labels[i]);
    if (sizes[own] < 2) {
      out.push_back(0);
      continue;
    }
    const double a = sums[own] / (sizes[own] - 1);
    double b = std::numeric_limits<double>::infinity();
    for (size_t c = 0; c < sums.size(); ++c) {
      if (c != own && sizes[c] > 0) b = std::min(b, sums[c] / sizes[c]);
    }
    const double larger = std::max(a, b);
    out.push_back(larger > 0 && std::isfinite(b) ? (b - a) / larger : 0);
  }
  return out;
}

BestClustering best_clustering(const Points& points, int64_t most, int64_t restarts,
                               const base::RandomStream& random) {
  const auto distances = euclidean_distances(points);
  BestClustering best;
  for (int64_t k = 2; k <= std::min(most, std::ssize(points) - 1); ++k) {
    auto clustering = k_means(points, k, restarts, random);
    if (clustering.k() < 2) continue;  // equal points
    const auto s = silhouettes(distances, clustering.labels);
    const double mean = std::accumulate(s.begin(), s.end(), 0.0) / static_cast<double>(s.size());
    if (best.clustering.labels.empty() || mean > best.silhouette)
      best = {std::move(clustering), mean};
  }
  return best;
}

}  // namespace preimage::ips
