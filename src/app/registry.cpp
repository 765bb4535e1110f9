#include "registry.hpp"

#include "../experiments/dcm/method.hpp"
#include "../experiments/finetune/method.hpp"
#include "../experiments/grpo/method.hpp"
#include "../experiments/ips/method.hpp"
#include "../experiments/lipo/method.hpp"
#include "../experiments/verifier/method.hpp"

namespace preimage::app {

std::vector<std::unique_ptr<run::Experiment>> all_experiments() {
  std::vector<std::unique_ptr<run::Experiment>> list;
  list.push_back(dcm::make_method());
  list.push_back(finetune::make_method());
  list.push_back(grpo::make_method());
  list.push_back(ips::make_method());
  list.push_back(lipo::make_method());
  list.push_back(verifier::make_method());
  return list;
}

}  // namespace preimage::app
