#include "arms/make_arm.hpp"

#include "genetic.hpp"
#include "policy_search.hpp"
#include "preferences.hpp"
#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"
#include "proposals.hpp"
#include "token_swaps.hpp"

namespace preimage::ips {

std::vector<std::string> arm_methods() {
  return {"ga", "random", "propose", "swap", "swap_free", "ppo", "reinforce", "dpo"};
}

std::unique_ptr<Arm> make_arm(const Setup& setup, const ArmName& name) {
  const auto target = static_cast<size_t>(name.target);
  const ArmInputs inputs{setup.targets[target],
                         setup.model.tokenizer,
                         setup.prompts[target],
                         setup.readable,
                         setup.seed,
                         base::str(name.method, "/", name.seed, "/", setup.targets[target].id)};
  const auto& c = setup.config;
  if (name.method == "ga" || name.method == "random")
    return std::make_unique<Genetic>(inputs, c.ga, name.method == "ga");
  if (name.method == "propose") return std::make_unique<Proposals>(inputs, c.propose);
  if (name.method == "swap" || name.method == "swap_free")
    return std::make_unique<TokenSwaps>(inputs, c.swap, name.method == "swap");
  if (name.method == "ppo" || name.method == "reinforce")
    return std::make_unique<PolicySearch>(inputs, c.rl, name.method == "ppo");
  if (name.method == "dpo") return std::make_unique<Preferences>(inputs, c.propose, c.dpo);
  throw base::config_error("\"search.methods\": no method " + name.method);
}

run::Unit unit_of(const Setup& setup, const ArmName& name, const Ask& ask) {
  switch (ask.kind) {
    case Ask::Kind::gradient:
      return gradient_unit(setup, name.target, ask.text, name.method == "swap");
    case Ask::Kind::propose:
      return propose_unit(setup, name.target, name.seed, ask);
    case Ask::Kind::prefer:
      return prefer_unit(setup, name.target, name.seed, ask);
    case Ask::Kind::loss:
      return loss_unit(setup, name.target, ask.text);
    case Ask::Kind::evaluate:
      break;
  }
  return evaluate_unit(setup, name.target, ask.text);
}

}  // namespace preimage::ips
