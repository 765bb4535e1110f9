// A generator that serves an adapter whose values change: at each step the bits of a generator that
// is made then, with beginnings of prompts shared all the while.
#include <gtest/gtest.h>

#include <ATen/ATen.h>

#include <bit>

#include "lm/fixture.hpp"
#include "preimage/base/random.hpp"
#include "preimage/lm/adapter/live_adapter.hpp"
#include "preimage/lm/generate/generator.hpp"

namespace preimage::lm {
namespace {

using Bits = std::vector<int64_t>;

std::vector<GenerateRequest> requests() {
  std::vector<GenerateRequest> out;
  for (int64_t i = 0; i < 4; ++i) {
    GenerateRequest r{.max_new_tokens = 9, .sampling = {.temperature = 0.8, .seed = 7}, .n = 3};
    for (int64_t t = 0; t < 37; ++t) r.ids.push_back(3 + t * 5 % 90);
    r.ids.push_back(10 + i);
    out.push_back(std::move(r));
  }
  return out;
}

std::map<std::pair<int64_t, int64_t>, Bits> run(Generator& generator) {
  std::map<int64_t, int64_t> order;
  for (auto& request : requests())
    order.emplace(generator.submit(std::move(request)), order.size());
  std::map<std::pair<int64_t, int64_t>, Bits> out;
  while (const auto completion = generator.next()) {
    Bits bits = completion->ids;
    for (const float logprob : completion->logprobs)
      bits.push_back(std::bit_cast<int32_t>(logprob));
    out[{order.at(completion->request), completion->index}] = std::move(bits);
  }
  return out;
}

void change(LiveAdapter& adapter, int64_t step) {
  auto noise = at::empty_like(adapter.parameters.flat);
  fill_normal(noise, base::RandomStream(5, std::to_string(step), "test"), 0.3);
  adapter.parameters.flat.add_(noise);
}

class LiveGeneration : public testing::TestWithParam<std::tuple<const char*, const char*>> {};
INSTANTIATE_TEST_SUITE_P(Adapters, LiveGeneration,
                         testing::Combine(testing::Values("qwen3", "gpt_oss", "deepseek_v3"),
                                          testing::Values("lora", "svd")));

TEST_P(LiveGeneration, EachStepHasTheBitsOfAFreshLoad) {
  const auto [family, kind] = GetParam();
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    const auto folder = fixture("families") / family;
    const auto base = load_model(folder, {.dtype = dtype});
    const AdapterOptions options{.kind = kind, .rank = 3, .targets = {"o_proj"}};
    auto adapter = make_adapter(*base, options, 1);
    const auto model = with_adapter(*base, adapter);
    const GeneratorOptions room{.batch = 5, .longest = 48};
    Generator generator(*model, room);
    auto before = run(generator);
    for (int64_t step = 0; step < 3; ++step) {
      const int64_t shared = generator.counts().shared;
      change(adapter, step);
      generator.weights_changed();
      const auto now = run(generator);
      EXPECT_NE(now, before);
      EXPECT_GT(generator.counts().shared, shared);  // within the step
      // Loaded anew, the same values put in.
      const auto again = load_model(folder, {.dtype = dtype});
      auto copy = make_adapter(*again, options, 1);
      copy.parameters.flat.copy_(adapter.parameters.flat);
      const auto loaded = with_adapter(*again, copy);
      Generator fresh(*loaded, room);
      EXPECT_EQ(run(fresh), now);
      before = now;
    }
  }
}

}  // namespace
}  // namespace preimage::lm
