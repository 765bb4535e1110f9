// LCS and Levenshtein of pairs of token sequences: pairs a second, and sums that a peer must have
// too. bench/similarity.py runs it beside rapidfuzz.
//
//   build/release/similarity_bench [PAIRS] [TOKENS] [THREADS]
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

#include "preimage/text/similarity.hpp"

namespace {

using preimage::text::SequenceMatcher;
using Ids = std::vector<int32_t>;

// As in bench/similarity.py.
struct Draws {
  uint64_t state;
  int32_t below(uint64_t bound) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return static_cast<int32_t>((state >> 33) % bound);
  }
};

struct Pair {
  Ids a, b;
};

// Even pairs are unrelated, odd ones differ in one place of three. A third of the tokens are of the
// fifty commonest, as in code.
Pair make_pair(int64_t index, int64_t tokens) {
  Draws draws{static_cast<uint64_t>(index)};
  const auto token = [&] { return draws.below(3) == 0 ? draws.below(50) : draws.below(5000); };
  Pair pair;
  for (int64_t i = 0; i < tokens; ++i) pair.a.push_back(token());
  for (int64_t i = 0; i < tokens; ++i) {
    const auto fresh = token();
    pair.b.push_back(index % 2 == 0 || draws.below(3) == 0 ? fresh
                                                           : pair.a[static_cast<size_t>(i)]);
  }
  return pair;
}

struct Sums {
  int64_t lcs = 0, distance = 0;
};

}  // namespace

int main(int argc, char** argv) {
  const auto argument = [&](int i, int64_t other) {
    return argc > i ? std::atoll(argv[i]) : other;
  };
  const int64_t count = argument(1, 20000), tokens = argument(2, 400), threads = argument(3, 2);
  std::vector<Pair> pairs;
  for (int64_t i = 0; i < count; ++i) pairs.push_back(make_pair(i, tokens));
  std::vector<Sums> sums(static_cast<size_t>(threads));
  std::vector<std::thread> running;
  const auto begin = std::chrono::steady_clock::now();
  for (int64_t t = 0; t < threads; ++t) {
    running.emplace_back([&, t] {
      for (int64_t i = t; i < count; i += threads) {
        const auto& [a, b] = pairs[static_cast<size_t>(i)];
        const SequenceMatcher matcher(a);
        sums[static_cast<size_t>(t)].lcs += matcher.lcs_length(b);
        sums[static_cast<size_t>(t)].distance += matcher.levenshtein(b);
      }
    });
  }
  for (auto& thread : running) thread.join();
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  Sums all;
  for (const auto& sum : sums) all.lcs += sum.lcs, all.distance += sum.distance;
  std::printf("{\"pairs_per_s\": %.0f, \"lcs\": %lld, \"distance\": %lld}\n",
              static_cast<double>(count) / seconds, static_cast<long long>(all.lcs),
              static_cast<long long>(all.distance));
  return 0;
}
