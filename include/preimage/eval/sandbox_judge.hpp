// The sandbox of a run, as a method asks for it: opened when the first program is to be run, and
// one for all combinations of a sweep.
#pragma once

#include <functional>

#include "preimage/base/error.hpp"
#include "preimage/base/json.hpp"
#include "preimage/eval/sandbox_config.hpp"
#include "preimage/sandbox/pool.hpp"

namespace preimage::eval {

// Walls, Python and the limits as scaled to this machine: what the verdicts stand on.
using SandboxOpened = std::function<void(const base::Json& description)>;

// `Context` is run::Context, which this room does not see: anything with sandbox(), threads() and
// log(). It must outlive the result. `opened` is called once, by whoever opens it.
template <class Context>
std::function<sandbox::Judge&()> sandbox_judge(const Context& context, const SandboxConfig& config,
                                               SandboxOpened opened) {
  return [&context, config, opened = std::move(opened)]() -> sandbox::Judge& {
    auto* supervisor = context.sandbox();
    if (!supervisor)
      throw base::unavailable_error(
          "the sandbox was not started; run the job by `preimage run` or `preimage launch`");
    const bool first = !supervisor->has_pool();
    auto& pool = supervisor->pool(pool_options(config, context.threads()));
    if (first) {
      const auto description = pool.description();
      context.log().info("sandbox: " + base::canonical(description));
      opened(description);
    }
    return pool;
  };
}

}  // namespace preimage::eval
