// BLEU of short texts, and self-BLEU: how alike the members of a set are.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace preimage::text {

using Words = std::vector<std::string>;  // of white_space_words (metrics.hpp), or of any tokenizer

struct BleuOptions {
  int64_t order = 4;       // N: the longest n-grams
  double smoothing = 0.1;  // matches that stand in for none
};

// Papineni et al., ACL 2002, of one hypothesis: BP exp((1/N) sum_m log p_m), p_m = clipped m-gram
// matches / m-grams of the hypothesis, no matches counting as `smoothing` (Chen and Cherry, WMT
// 2014, method 1; sacrebleu's "floor"); BP = 1 if c > r else exp(1 - r / c), r = the length of the
// reference whose length is closest to c, the shorter of two. 0 where the hypothesis has no m-gram
// for some m. Needs a reference.
double bleu(const Words& hypothesis, std::span<const Words> references,
            const BleuOptions& options = {});

// BLEU of each text against all others (Zhu et al., SIGIR 2018); their mean is self-BLEU. It grows
// with the number of texts: compare at equal numbers only. Needs two.
std::vector<double> self_bleu(std::span<const Words> texts, const BleuOptions& options = {});

}  // namespace preimage::text
