#include "preimage/run/experiment.hpp"

#include "preimage/base/error.hpp"
#include "preimage/run/search.hpp"

namespace preimage::run {

void Experiment::run(Context& context) {
  const auto search = make_search(context);
  base::check(search != nullptr, "an experiment has a search or its own run()");
  search_loop(context, *search);
}

}  // namespace preimage::run
