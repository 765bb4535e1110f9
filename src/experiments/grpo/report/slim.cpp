#include "slim.hpp"

#include <cmath>
#include <cstdio>
#include <map>

#include "preimage/base/str.hpp"
#include "preimage/data/gzip.hpp"

namespace preimage::grpo {
namespace {

constexpr int64_t kSchema = 1;

nlohmann::ordered_json number(double value) {
  return std::isfinite(value) ? nlohmann::ordered_json(value) : nlohmann::ordered_json(nullptr);
}

std::string file_name(int64_t step) {
  char name[40];
  std::snprintf(name, sizeof name, "step_%03lld.cos.jsonl.gz", static_cast<long long>(step));
  return name;
}

}  // namespace

std::string slim_record(const SampleRow& s, uint64_t seed) {
  nlohmann::ordered_json out;  // the plan's order
  out["step"] = s.step;
  out["sample_id"] = s.sample_id;
  out["src_pool"] = s.src_pool;
  out["src_step"] = s.src_step;
  out["src_sample"] = s.src_sample;
  out["reward"] = s.reward;
  out["hacked"] = s.hacked;
  out["gt_pass"] = s.gt_pass;
  out["fmt_ok"] = s.fmt_ok;
  out["comp_len"] = s.comp_len;
  out["cos_S_contrib"] = number(s.cos_s_contrib);
  out["grad_norm_contrib"] = number(s.grad_norm_contrib);
  out["mean_cos_in"] = number(s.mean_cos_in);
  out["mean_cos_out"] = number(s.mean_cos_out);
  out["frac_fired"] = number(s.frac_fired);
  out["arm"] = s.arm;
  out["adv"] = number(s.adv);
  out["loss"] = number(s.loss);
  out["cos_nll"] = number(s.cos_nll);
  out["cos_sgn"] = number(s.cos_sgn);
  out["strict_hack"] = s.strict_hack;
  out["prompt_len"] = s.prompt_len;
  out["leak"] = number(s.leak);
  out["k_mean"] = number(s.k_mean);
  out["seed"] = seed;
  out["schema"] = kSchema;
  return out.dump();
}

std::vector<std::pair<std::string, std::string>> slim_files(const std::vector<SampleRow>& samples,
                                                            uint64_t seed) {
  std::map<std::string, std::string> texts;
  for (const auto& s : samples)
    texts[base::str(s.arm, "-", s.pass, "/", file_name(s.step))] += slim_record(s, seed) + "\n";
  std::vector<std::pair<std::string, std::string>> out;
  for (const auto& [name, text] : texts) out.emplace_back(name, data::gzip(text));
  return out;
}

}  // namespace preimage::grpo
