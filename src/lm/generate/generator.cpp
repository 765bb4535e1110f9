#include "preimage/lm/generate/generator.hpp"

#include "generate/limits.hpp"
#include "generate/scheduler.hpp"
#include "preimage/base/budget.hpp"
#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"

namespace preimage::lm {

Generator::Generator(const Model& model, const GeneratorOptions& options)
    : model_(model), options_(options) {
  base::check(options.batch > 0 && options.prefill_tokens > 0 && options.cache_pages >= 0 &&
                  options.longest > 0,
              "generation has room for a sequence");
  scheduler_ = std::make_unique<Scheduler>(model, options);
}

Generator::~Generator() = default;

int64_t Generator::submit(GenerateRequest request) {
  const auto what = base::str("request ", tickets_);
  require_request(model_, request, options_.tokenizer != nullptr, what);
  if (sequence_tokens(request) > options_.longest)
    throw base::data_error(base::str(what, ": found ", sequence_tokens(request),
                                     " tokens of prompt and completion, this generator was made "
                                     "for ",
                                     options_.longest));
  scheduler_->add(std::move(request), tickets_ + 1);
  return ++tickets_;
}

std::optional<Completion> Generator::next(double timeout_s) {
  const double end = timeout_s > 0 ? base::monotonic_seconds() + timeout_s : 0;
  for (;;) {
    if (auto completion = scheduler_->take_finished()) return completion;
    if (!scheduler_->step()) return std::nullopt;
    if (timeout_s >= 0 && base::monotonic_seconds() >= end) return scheduler_->take_finished();
  }
}

int64_t Generator::pending() const {
  return scheduler_->pending();
}

void Generator::cancel() {
  scheduler_->cancel();
}

void Generator::weights_changed() {
  scheduler_->weights_changed();
}

const GeneratorCounts& Generator::counts() const {
  return scheduler_->counts();
}

}  // namespace preimage::lm
