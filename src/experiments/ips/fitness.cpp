#include "fitness.hpp"

#include <algorithm>
#include <cmath>

#include "preimage/text/copying.hpp"

namespace preimage::ips {
namespace {

// JSON has no NaN: what does not exist is null.
base::Json number(double value) {
  return std::isfinite(value) ? base::Json(value) : base::Json(nullptr);
}

double number_of(const base::Json& json) {
  return json.is_null() ? kUndefined : json.get<double>();
}

}  // namespace

base::Json Terms::to_json() const {
  return {{"decoded", decoded},
          {"lcs", number(lcs)},
          {"edit", number(edit)},
          {"exact", exact},
          {"ast", ast},
          {"ast_renamed", ast_renamed},
          {"exec", number(exec)},
          {"probes", probes},
          {"nll", nll},
          {"greedy", greedy},
          {"stop", stop},
          {"hash", hash},
          {"tokens", tokens},
          {"margin", number(margin)},
          {"prompt_tokens", prompt_tokens},
          {"template_tokens", template_tokens},
          {"overlap", overlap},
          {"longest_run", longest_run},
          {"code_tokens", code_tokens},
          {"cosine", cosine},
          {"prompt_nll", prompt_nll},
          {"asks_repetition", asks_repetition}};
}

Terms Terms::from_json(const base::Json& json) {
  Terms out;
  json.at("decoded").get_to(out.decoded);
  out.lcs = number_of(json.at("lcs"));
  out.edit = number_of(json.at("edit"));
  json.at("exact").get_to(out.exact);
  json.at("ast").get_to(out.ast);
  json.at("ast_renamed").get_to(out.ast_renamed);
  out.exec = number_of(json.at("exec"));
  json.at("probes").get_to(out.probes);
  json.at("nll").get_to(out.nll);
  json.at("greedy").get_to(out.greedy);
  json.at("stop").get_to(out.stop);
  json.at("hash").get_to(out.hash);
  json.at("tokens").get_to(out.tokens);
  out.margin = number_of(json.at("margin"));
  json.at("prompt_tokens").get_to(out.prompt_tokens);
  json.at("template_tokens").get_to(out.template_tokens);
  json.at("overlap").get_to(out.overlap);
  json.at("longest_run").get_to(out.longest_run);
  json.at("code_tokens").get_to(out.code_tokens);
  json.at("cosine").get_to(out.cosine);
  json.at("prompt_nll").get_to(out.prompt_nll);
  json.at("asks_repetition").get_to(out.asks_repetition);
  return out;
}

Terms Terms::with_answer_of(const Terms& basis) const {
  Terms out = *this;
  out.lcs = basis.lcs, out.edit = basis.edit;
  out.exact = basis.exact, out.ast = basis.ast, out.ast_renamed = basis.ast_renamed;
  out.exec = basis.exec, out.probes = basis.probes;
  return out;
}

double calibrated_cosine(double cosine, double unrelated) {
  return unrelated < 1 ? std::max(0.0, (cosine - unrelated) / (1 - unrelated)) : 0;
}

Fitness fitness(const Terms& terms, const FitnessWeights& w, const Scale& scale) {
  const bool executed = !std::isnan(terms.exec);
  const double lcs = w.lcs + (executed ? 0 : w.exec);
  const double sum = w.lcs + w.edit + w.ast + w.exec + w.nll;
  Fitness out;
  out.match = (lcs * terms.lcs + w.edit * terms.edit + w.ast * (terms.ast ? 1 : 0) +
               (executed ? w.exec * terms.exec : 0) + w.nll * std::exp(-terms.nll)) /
              sum;
  out.loss = 1 - out.match;
  out.copy_ng = terms.overlap;
  out.copy_emb = calibrated_cosine(terms.cosine, scale.unrelated);
  out.length = static_cast<double>(terms.prompt_tokens) / static_cast<double>(scale.most_tokens);
  out.value = out.match - w.alpha * out.length - w.beta * std::max(out.copy_ng, out.copy_emb);
  return out;
}

std::string Verdict::failed() const {
  std::string out;
  const auto add = [&](bool holds, const char* name) {
    if (!holds) out += (out.empty() ? "" : " ") + std::string(name);
  };
  add(r1, "R1"), add(r2, "R2"), add(r3, "R3"), add(r4, "R4"), add(r6, "R6");
  return out;
}

Verdict judge(const Terms& terms, const Fitness& fit, const AcceptOptions& options,
              const Scale& scale, double tau) {
  Verdict out;
  out.r1 = terms.prompt_tokens >= options.least_tokens && terms.prompt_tokens <= scale.most_tokens;
  out.r2 = text::is_no_copy({.overlap = terms.overlap,
                             .longest_run = terms.longest_run,
                             .target_tokens = terms.code_tokens},
                            {.overlap = options.most_overlap,
                             .run = options.longest_run,
                             .run_share = options.longest_share});
  out.r3 = fit.copy_emb <= options.most_copy;
  out.r6 = !terms.asks_repetition;
  if (terms.exact) {
    out.level = "exact";
  } else if (terms.ast) {
    out.level = "ast";
  } else if (terms.exec == 1 && terms.probes >= options.least_probes &&
             terms.lcs >= options.least_lcs) {
    out.level = "exec";
  } else if (fit.loss <= tau) {
    out.level = "loss";
  }
  out.r4 = !out.level.empty();
  return out;
}

void FitnessWeights::fields(base::Fields& f) {
  f.add("lcs", lcs, {.help = "longest common subsequence of tokens", .min = 0, .max = 1e6});
  f.add("edit", edit, {.help = "edit distance of code points", .min = 0, .max = 1e6});
  f.add("ast", ast, {.help = "equal syntax trees", .min = 0, .max = 1e6});
  f.add("exec", exec,
        {.help = "share of probes passed; without probes it goes to lcs", .min = 0, .max = 1e6});
  f.add("nll", nll,
        {.help = "exp of minus the target's mean loss behind the prompt", .min = 0, .max = 1e6});
  f.add("alpha", alpha, {.help = "cost of a prompt of the longest length", .min = 0, .max = 1e6});
  f.add("beta", beta, {.help = "cost of a copy", .min = 0, .max = 1e6});
}

void AcceptOptions::fields(base::Fields& f) {
  f.add("least_tokens", least_tokens, {.help = "R1", .unit = "tokens", .min = 1});
  f.add("most_overlap", most_overlap,
        {.help = "R2: share of a prompt's n-grams, n = 3 to 5, that the target has",
         .min = 0,
         .max = 1});
  f.add("longest_run", longest_run,
        {.help = "R2: a common run of tokens is shorter than this", .min = 1});
  f.add("longest_share", longest_share,
        {.help = "R2: or than this share of the target's tokens", .min = 0, .max = 1});
  f.add("most_copy", most_copy,
        {.help = "R3: cosine of prompt and target, 0 for unrelated pairs", .min = 0, .max = 1});
  f.add(
      "most_loss", most_loss,
      {.help = "R4: tau, the loss that still is a match, is never above this", .min = 0, .max = 1});
  f.add("least_probes", least_probes,
        {.help = "R4: fewer probes show no equivalence", .min = 1, .max = 1000});
  f.add("least_lcs", least_lcs,
        {.help = "R4: of a program that passes all probes", .min = 0, .max = 1});
}

}  // namespace preimage::ips
