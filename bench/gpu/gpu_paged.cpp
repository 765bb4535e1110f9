// The part of gpu_check about the paged cache: prefill in pieces and decode against plain attention
// in float64, and bit for bit against themselves in other company; then the rate of decode.
#include <cstdio>

#include "gpu_check.hpp"
#include "preimage/nn/choose_tokens.hpp"
#include "preimage/nn/decode_attention.hpp"

#include <ATen/cuda/CUDAEvent.h>

namespace preimage::bench {
namespace {

using nn::kPageTokens;

struct Case {
  const char* name;
  int64_t query_heads, kv_heads, head_dim, value_dim, window;
  bool sinks;

  nn::HeadLayout heads(Randoms& random) const {
    nn::HeadLayout layout{query_heads, kv_heads, head_dim};
    layout.scale = 1 / std::sqrt(static_cast<double>(head_dim));
    layout.value_dim = value_dim, layout.sliding_window = window;
    if (sinks) layout.sinks = random.normal({query_heads}, at::kFloat, 2);
    return layout;
  }
};

// Sequences in pages of one cache, scattered.
struct Pages {
  Pages(const nn::HeadLayout& heads, const std::vector<int64_t>& lengths, at::ScalarType dtype) {
    int64_t count = 0;
    for (const int64_t length : lengths) {
      of.emplace_back();
      for (int64_t t = 0; t < length; t += kPageTokens)
        of.back().push_back(static_cast<int32_t>(count++));
    }
    for (auto& pages : of) {
      for (auto& page : pages) page = static_cast<int32_t>(count - 1 - page);
    }
    cache = nn::make_kv_cache({heads}, count, dtype, at::kCUDA);
    for (const auto& part : {cache.layers[0].keys, cache.layers[0].values}) part.fill_(NAN);
  }
  std::vector<std::vector<int32_t>> of;
  nn::KvCache cache;
};

// The last row of each sequence by decode, after a prefill of the others in pieces of `piece`.
at::Tensor through_pages(const at::Tensor& qkv, const nn::HeadLayout& heads,
                         const std::vector<int64_t>& lengths, int64_t piece,
                         at::Tensor* prefilled) {
  Pages pages(heads, lengths, qkv.scalar_type());
  std::vector<at::Tensor> before, last;
  std::vector<int64_t> positions;
  int64_t first = 0, most = 1, longest = 0;
  for (size_t s = 0; s < lengths.size(); ++s) {
    for (int64_t cached = 0; cached < lengths[s] - 1; cached += piece) {
      const int64_t fresh = std::min(piece, lengths[s] - 1 - cached);
      const nn::PagedAttention context(pages.cache, {{pages.of[s], cached, fresh}}, at::kCUDA);
      before.push_back(context.attend(0, qkv.narrow(0, first + cached, fresh), heads));
    }
    first += lengths[s];
    last.push_back(qkv.narrow(0, first - 1, 1));
    positions.push_back(lengths[s] - 1);
    most = std::max(most, static_cast<int64_t>(pages.of[s].size()));
    longest = std::max(longest, lengths[s]);
  }
  auto table = at::zeros({static_cast<int64_t>(lengths.size()), most}, at::kInt);
  for (size_t s = 0; s < lengths.size(); ++s)
    std::copy(pages.of[s].begin(), pages.of[s].end(),
              table[static_cast<int64_t>(s)].data_ptr<int32_t>());
  const int64_t chunks = (longest + nn::kDecodeChunk - 1) / nn::kDecodeChunk;
  const nn::DecodeAttention decode(pages.cache, at::tensor(positions, at::kLong).to(at::kCUDA),
                                   table.to(at::kCUDA), chunks);
  if (prefilled) *prefilled = at::cat(before);
  return decode.attend(0, at::cat(last), heads);
}

void check_case(const Case& one, at::ScalarType dtype, Randoms& random, Findings& findings) {
  const auto heads = one.heads(random);
  const std::vector<int64_t> lengths = {1, 2, 16, 17, 100, 128, 300, 512, 513, 700, 1100, 1537};
  const auto packing = nn::make_packing(lengths, at::kCUDA);
  const auto qkv = random.normal({packing.tokens(), heads.width()}, dtype);
  const auto truth = nn::plain_attention(qkv.to(at::kDouble), heads, packing);
  std::vector<at::Tensor> rows, prompts;
  for (size_t s = 0; s < lengths.size(); ++s) {
    rows.push_back(truth.narrow(0, packing.offsets[s + 1] - 1, 1));
    prompts.push_back(truth.narrow(0, packing.offsets[s], lengths[s] - 1));
  }
  at::Tensor whole, pieces;
  const auto together = through_pages(qkv, heads, lengths, 4096, &whole);
  through_pages(qkv, heads, lengths, 48, &pieces);
  std::string wrong;
  for (size_t s = 0; s < lengths.size(); ++s) {
    const auto own = qkv.narrow(0, packing.offsets[s], lengths[s]);
    const auto alone =
        through_pages(at::cat({own, own}), heads, {lengths[s], lengths[s]}, 64, nullptr);
    const auto row = together.narrow(0, static_cast<int64_t>(s), 1);
    if (!same_bits(alone.narrow(0, 0, 1), row)) wrong += std::to_string(lengths[s]) + " ";
  }
  const bool half = dtype == at::kBFloat16;
  const auto name = std::string(one.name) + (half ? "" : " f32");
  findings.add("paged decode " + name, relative_error(together, at::cat(rows)), half ? 1e-2 : 1e-5,
               wrong);
  findings.add("paged prefill " + name, relative_error(whole, at::cat(prompts)), half ? 1e-2 : 1e-5,
               same_bits(whole, pieces) ? "" : "pieces of 48");
}

void check_choice(at::ScalarType dtype, Randoms& random, Findings& findings) {
  const int64_t rows = 64, vocabulary = 50000;
  const auto logits = random.normal({rows, vocabulary}, dtype, 3);
  const std::string name = dtype == at::kBFloat16 ? "bf16: " : "f32: ";
  auto last = at::zeros({rows}, at::device(at::kCUDA).dtype(at::kLong));
  nn::ChosenTokens out{at::zeros_like(last), at::zeros({rows}, at::device(at::kCUDA)),
                       at::zeros({rows, 2}, last.options()),
                       at::zeros({rows, 2}, at::device(at::kCUDA))};
  const auto slots = at::arange(rows, last.options());
  const auto all = at::ones({rows}, at::device(at::kCUDA).dtype(at::kDouble));
  const auto choose = [&](std::vector<float> rule, const at::Tensor& uniforms) {
    const auto rules = at::tensor(rule, at::kFloat).repeat({rows, 1}).to(at::kCUDA);
    nn::choose_tokens(logits, {rules, all, uniforms}, slots, last, out);
    return out.ids.cpu();
  };
  const auto uniforms = at::linspace(0, 0.999, rows, at::kDouble).to(at::kCUDA);
  const float none = -INFINITY;
  const auto greedy = choose({0, 0, none}, uniforms);
  const auto wide = logits.cpu().to(at::kDouble);
  const auto logprobs = at::log_softmax(wide, 1).gather(1, greedy.unsqueeze(1)).squeeze(1);
  findings.add(name + "greedy choice: log-probability",
               relative_error(out.logprobs.cpu(), logprobs), 1e-5);
  findings.add(
      name + "greedy choice: the largest",
      relative_error(wide.gather(1, greedy.unsqueeze(1)).squeeze(1), std::get<0>(wide.max(1))), 0);
  const auto best = at::log_softmax(wide, 1).topk(2, 1);
  findings.add(name + "the two best: log-probabilities",
               relative_error(out.best_logprobs.cpu(), std::get<0>(best)), 1e-5);
  findings.add(name + "the two best: logits of their ids",
               relative_error(wide.gather(1, out.best_ids.cpu()), std::get<0>(wide.topk(2, 1))), 0,
               out.best_ids.select(1, 0).eq(out.best_ids.select(1, 1)).any().item<bool>()
                   ? "one token twice"
                   : "");
  // All of a tie at the k-th place stay, so the logits are compared, not the ids.
  const auto largest = std::get<0>(wide.max(1));
  const auto logit_of = [&](const at::Tensor& ids) {
    return wide.gather(1, ids.unsqueeze(1)).squeeze(1);
  };
  findings.add(name + "top-k of 1 is greedy",
               relative_error(logit_of(choose({1, 1, none}, uniforms)), largest), 0);
  findings.add(name + "min-p of 1 is greedy",
               relative_error(logit_of(choose({1, 0, 0}, uniforms)), largest), 0);
  // By the inverse of the cumulative distribution: that of float64, but for a rounding at an edge.
  const auto sampled = choose({0.8f, 0, none}, uniforms);
  const auto cumulative = at::softmax(wide / 0.8, 1).cumsum(1);
  const auto expected = cumulative.le(uniforms.cpu().unsqueeze(1)).sum(1);
  findings.add(name + "share of samples elsewhere",
               sampled.ne(expected).to(at::kDouble).mean().item<double>(), 0.02);
}

void print_rate(const char* name, nn::HeadLayout heads, int64_t batch, int64_t length) {
  heads.scale = 0.1;
  const int64_t pages = (length + kPageTokens) / kPageTokens;
  const auto cache =
      nn::make_kv_cache({heads, heads, heads, heads}, batch * pages, at::kBFloat16, at::kCUDA);
  for (const auto& layer : cache.layers) layer.keys.zero_(), layer.values.zero_();
  const auto on_gpu = at::device(at::kCUDA);
  const auto table = at::arange(batch * pages, on_gpu.dtype(at::kInt)).view({batch, pages});
  const nn::DecodeAttention decode(cache, at::full({batch}, length, on_gpu.dtype(at::kLong)), table,
                                   (length + 1 + nn::kDecodeChunk - 1) / nn::kDecodeChunk);
  const auto qkv = at::zeros({batch, heads.width()}, on_gpu.dtype(at::kBFloat16));
  float best = 1e9f;
  for (int i = 0; i < 10; ++i) {
    at::cuda::CUDAEvent begin(cudaEventDefault), end(cudaEventDefault);
    begin.record();
    for (int64_t layer = 0; layer < 4; ++layer) decode.attend(layer, qkv, heads);
    end.record();
    end.synchronize();
    best = std::min(best, begin.elapsed_time(end) / 4);
  }
  const double bytes = 2.0 * static_cast<double>(batch * length * heads.kv_heads) *
                       static_cast<double>(heads.head_dim + heads.value_size());
  std::printf("decode attention %-28s %8.3f ms %8.0f GB/s\n", name, best, bytes / best * 1e-6);
}

}  // namespace

void check_paged(Randoms& random, Findings& findings) {
  const Case cases[] = {
      {"7B", 28, 4, 128, 0, 0, false},        {"1.3B", 16, 16, 128, 0, 0, false},
      {"heads of 64", 4, 2, 64, 0, 0, false}, {"window", 8, 2, 64, 0, 200, false},
      {"sinks", 16, 2, 64, 0, 0, true},       {"window and sinks", 8, 2, 64, 0, 128, true},
      {"latent", 4, 4, 192, 128, 0, false},   {"a group of 20", 20, 1, 128, 0, 0, false}};
  for (const auto dtype : {at::kBFloat16, at::kFloat}) {
    for (const auto& one : cases) check_case(one, dtype, random, findings);
    check_choice(dtype, random, findings);
  }
}

void print_paged_rates() {
  print_rate("7B, 512 x 320", {28, 4, 128}, 512, 320);
  print_rate("1.3B, 1024 x 320", {16, 16, 128}, 1024, 320);
  print_rate("4B, 64 x 500", {32, 8, 128}, 64, 500);
  print_rate("4B, 64 x 700", {32, 8, 128}, 64, 700);
  print_rate("7B, 8 x 8000", {28, 4, 128}, 8, 8000);
}

}  // namespace preimage::bench
