#include "units.hpp"

#include "arms/operators.hpp"

namespace preimage::ips {
namespace {

base::Json key_of(const Setup& setup, int64_t target) {
  return {{"target", setup.targets[static_cast<size_t>(target)].id}, {"index", target}};
}

run::Unit prompt_unit(const Setup& setup, const char* name, int64_t target,
                      const std::string& prompt, base::Json more = base::Json::object()) {
  auto key = key_of(setup, target);
  // The ids are what the model reads; the text says the same, and is what the words are judged by.
  key["ids"] = model_input(setup, prompt).ids;
  key["prompt"] = prompt;
  key.update(more);
  return run::make_unit("ips", name, key);
}

}  // namespace

run::Unit target_unit(const Setup& setup, int64_t target) {
  return run::make_unit("ips", stage::target, key_of(setup, target));
}

run::Unit evaluate_unit(const Setup& setup, int64_t target, const std::string& prompt) {
  return prompt_unit(setup, stage::evaluate, target, prompt);
}

run::Unit loss_unit(const Setup& setup, int64_t target, const std::string& prompt) {
  return prompt_unit(setup, stage::loss, target, prompt);
}

run::Unit repeat_unit(const Setup& setup, int64_t target, const std::string& prompt) {
  return prompt_unit(setup, stage::repeat, target, prompt);
}

run::Unit gradient_unit(const Setup& setup, int64_t target, const std::string& prompt,
                        bool readable) {
  return prompt_unit(setup, stage::gradient, target, prompt,
                     {{"readable", readable}, {"top", setup.config.swap.top}});
}

run::Unit propose_unit(const Setup& setup, int64_t target, int64_t seed, const Ask& ask) {
  auto key = key_of(setup, target);
  key["seed"] = seed, key["first"] = ask.first, key["count"] = ask.count;
  return run::make_unit("ips", stage::propose, key);
}

// The trainings of one search draw their adapters alike: `first` tells them apart.
run::Unit prefer_unit(const Setup& setup, int64_t target, int64_t seed, const Ask& ask) {
  auto key = key_of(setup, target);
  key["seed"] = seed, key["first"] = ask.first, key["count"] = ask.count;
  key["pairs"] = ask.pairs;
  return run::make_unit("ips", stage::prefer, key);
}

base::Json TargetFacts::to_json() const {
  base::Json list = base::Json::array();
  for (const auto& probe : probes)
    list.push_back({{"call", probe.call}, {"expected", probe.expected}, {"raised", probe.raised}});
  return {{"probes", list}, {"bits", bits}, {"gzip_bytes", gzip_bytes}};
}

TargetFacts TargetFacts::from_json(const base::Json& json) {
  TargetFacts out;
  for (const auto& probe : json.at("probes"))
    out.probes.push_back({probe.at("call").get<std::string>(),
                          probe.at("expected").get<std::string>(),
                          probe.at("raised").get<std::string>()});
  json.at("bits").get_to(out.bits);
  json.at("gzip_bytes").get_to(out.gzip_bytes);
  return out;
}

base::Json to_json(const PolicyUpdate& update) {
  return {{"epochs", update.epochs},
          {"policy_loss", update.policy_loss},
          {"gradient_norm", update.gradient_norm}};
}

PolicyUpdate update_from_json(const base::Json& json) {
  PolicyUpdate out;
  json.at("epochs").get_to(out.epochs);
  json.at("policy_loss").get_to(out.policy_loss);
  json.at("gradient_norm").get_to(out.gradient_norm);
  out.value_loss = out.entropy = out.divergence = kUndefined;
  return out;
}

bool Repeats::equal() const {
  for (const auto& hash : hashes) {
    if (hash != hashes.front()) return false;
  }
  return !hashes.empty();
}

base::Json Repeats::to_json() const {
  return {{"batches", batches}, {"hashes", hashes}, {"ids", ids}, {"text", text}};
}

Repeats Repeats::from_json(const base::Json& json) {
  return {json.at("batches").get<std::vector<int64_t>>(),
          json.at("hashes").get<std::vector<std::string>>(),
          json.at("ids").get<std::vector<int64_t>>(), json.at("text").get<std::string>()};
}

}  // namespace preimage::ips
