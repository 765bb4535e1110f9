// What a prompt is worth for a target: similarity of the model's answer less length and copying,
// and whether it is accepted. Everything here is a function of stored terms: weights and thresholds
// can change without a call of the model.
#pragma once

#include <cstdint>
#include <limits>
#include <string>

#include "preimage/base/config.hpp"
#include "preimage/base/json.hpp"

namespace preimage::ips {

inline constexpr double kUndefined = std::numeric_limits<double>::quiet_NaN();

// What was found of one prompt for one target. Similarities are in [0, 1].
struct Terms {
  bool decoded = true;  // false: of the loss alone, without an answer
  // Of the answer.
  double lcs = 0;   // LCS of token ids / the longer
  double edit = 0;  // 1 - Levenshtein of code points / the longer
  bool exact = false, ast = false, ast_renamed = false;  // L0, L1, L2; other languages than Python:
                                                         // `ast` is equality of tokens
  double exec = kUndefined;  // probes passed / probes; NaN: the target has none
  int64_t probes = 0;
  double nll = 0;  // nats/token of the target behind the prompt, teacher-forced
  bool greedy = false;
  std::string stop, hash;
  int64_t tokens = 0;
  double margin = kUndefined;
  // Of the prompt.
  int64_t prompt_tokens = 0;    // |P|: the user's words alone
  int64_t template_tokens = 0;  // with all that the model reads before it writes
  double overlap = 0;           // share of n-grams that the target has, largest of n = 3, 4, 5
  int64_t longest_run = 0, code_tokens = 0;  // of text::copying; of the target
  double cosine = 0;                         // of the embeddings of prompt and target
  double prompt_nll = 0;  // nats/token of the prompt itself under the model: readability
  bool asks_repetition = false;

  base::Json to_json() const;
  static Terms from_json(const base::Json& json);
  // What these terms say of the prompt and its loss, with `basis`'s answer.
  Terms with_answer_of(const Terms& basis) const;
};

// Fit(P) = S - alpha |P| / L_max - beta max(copy_ng, copy_emb).
struct FitnessWeights {
  double lcs = 0.3, edit = 0.1, ast = 0.2, exec = 0.3, nll = 0.1;
  double alpha = 0.1, beta = 0.3;
  void fields(base::Fields& f);
};

// Of the target and the run.
struct Scale {
  int64_t most_tokens = 1;  // L_max
  double unrelated = 0;     // c0: mean cosine of prompts and targets that have nothing to do with
                            // each other
};

struct Fitness {
  double match = 0;  // S, the weighted similarities
  double loss = 1;   // L_code = 1 - S
  double copy_ng = 0, copy_emb = 0, length = 0;
  double value = 0;  // Fit
};

// (copy - c0) / (1 - c0), at least 0.
double calibrated_cosine(double cosine, double unrelated);
// Weights are divided by their sum; without probes exec's goes to lcs.
Fitness fitness(const Terms& terms, const FitnessWeights& weights, const Scale& scale);

struct AcceptOptions {
  int64_t least_tokens = 3;                         // R1
  double most_overlap = 0.2, longest_share = 0.05;  // R2
  int64_t longest_run = 5;                          // R2: shorter than max(this, share |T|)
  double most_copy = 0.9;                           // R3
  double most_loss = 0.1;                           // tau is at most this
  int64_t least_probes = 3;
  double least_lcs = 0.5;  // of a program that only does the same
  void fields(base::Fields& f);
};

// Which rules hold. R5, the repeated runs, is not known from one evaluation.
struct Verdict {
  bool r1 = false, r2 = false, r3 = false, r4 = false, r6 = false;
  std::string level;  // of R4: "exact", "ast", "exec", "loss"; "": no match
  bool holds() const { return r1 && r2 && r3 && r4 && r6; }
  std::string failed() const;  // "R1 R4"
};

// `tau`: the largest loss that counts as a match; of Stage 1.
Verdict judge(const Terms& terms, const Fitness& fitness, const AcceptOptions& options,
              const Scale& scale, double tau);

}  // namespace preimage::ips
