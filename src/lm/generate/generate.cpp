#include "preimage/lm/generate/generate.hpp"

#include <algorithm>
#include <numeric>

#include "generate/limits.hpp"
#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"
#include "preimage/lm/generate/generator.hpp"

namespace preimage::lm {
namespace {

// As many as these requests can use, fewer than batch x longest where their lengths differ.
int64_t useful_pages(const std::vector<GenerateRequest>& requests, int64_t batch) {
  std::vector<int64_t> wanted;
  for (const auto& request : requests) {
    if (request.max_new_tokens > 0)
      wanted.insert(wanted.end(), static_cast<size_t>(std::min(request.n, batch)),
                    pages_of(request));
  }
  std::sort(wanted.begin(), wanted.end(), std::greater<>());
  wanted.resize(std::min(wanted.size(), static_cast<size_t>(batch)));
  // One page more for each sequence, so that the rule of admission never binds.
  return std::accumulate(wanted.begin(), wanted.end(), std::ssize(wanted));
}

GeneratorOptions generator_options(const Model& model, const std::vector<GenerateRequest>& requests,
                                   const GenerateOptions& options) {
  base::check(options.batch > 0, "generation has room for a sequence");
  GeneratorOptions out{.batch = options.batch,
                       .prefill_tokens = options.prefill_tokens,
                       .longest = 1,
                       .cache_pages = options.cache_pages,
                       .fast = options.fast,
                       .share_prefixes = options.share_prefixes,
                       .tokenizer = options.tokenizer,
                       .stop = options.stop};
  int64_t candidates = 0;
  for (const auto& request : requests) {
    candidates += request.n;
    out.longest = std::max(out.longest, sequence_tokens(request));
  }
  out.batch = std::clamp<int64_t>(candidates, 1, options.batch);
  if (out.cache_pages == 0)
    out.cache_pages =
        std::max<int64_t>(1, std::min(useful_pages(requests, out.batch), held_pages(model, out)));
  return out;
}

}  // namespace

std::vector<Completion> generate(const Model& model, const std::vector<GenerateRequest>& requests,
                                 const GenerateOptions& options) {
  std::vector<size_t> first;  // completion of each request
  size_t total = 0;
  for (size_t i = 0; i < requests.size(); ++i) {
    require_request(model, requests[i], options.tokenizer != nullptr, base::str("request ", i));
    first.push_back(total);
    total += static_cast<size_t>(requests[i].n);
  }
  const auto own = generator_options(model, requests, options);
  for (size_t i = 0; i < requests.size(); ++i)
    require_pages(requests[i], own.cache_pages, base::str("request ", i));
  std::vector<Completion> out(total);
  for (size_t i = 0; i < requests.size(); ++i) {
    for (int64_t index = 0; index < requests[i].n; ++index) {
      auto& completion = out[first[i] + static_cast<size_t>(index)];
      completion.request = static_cast<int64_t>(i), completion.index = index;
    }
  }
  Generator generator(model, own);
  for (const auto& request : requests) generator.submit(request);
  while (generator.pending() > 0) {
    if (options.cancelled && options.cancelled()) break;
    auto completion = generator.next(0);
    if (!completion) continue;
    completion->request -= 1;  // a ticket counts from 1
    auto& place = out[first[static_cast<size_t>(completion->request)] +
                      static_cast<size_t>(completion->index)];
    place = std::move(*completion);
    if (options.finished) options.finished(place);
  }
  return out;
}

}  // namespace preimage::lm
