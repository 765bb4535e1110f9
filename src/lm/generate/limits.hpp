// What a request needs, and what the model, its context and the cache hold.
#pragma once

#include <string>

#include "preimage/lm/generate/generator.hpp"

namespace preimage::lm {

int64_t prompt_tokens(const GenerateRequest& request);
// With those that it may generate.
int64_t sequence_tokens(const GenerateRequest& request);
// Of the cache, of one candidate at its longest.
int64_t pages_of(const GenerateRequest& request);

// Both throw ExitCode::bad_data, `what` naming the request.
void require_request(const Model& model, const GenerateRequest& request, bool has_tokenizer,
                     const std::string& what);
void require_pages(const GenerateRequest& request, int64_t pages, const std::string& what);

// Pages that the device's free memory holds beside a pass.
int64_t held_pages(const Model& model, const GeneratorOptions& options);
// `options.cache_pages`, or what can be used and held.
int64_t cache_pages(const Model& model, const GeneratorOptions& options);

}  // namespace preimage::lm
