#include "preimage/nn/bidirectional_attention.hpp"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/custom_function.h>

#include "held.hpp"
#include "preimage/base/error.hpp"
#include "preimage/nn/linear.hpp"

namespace preimage::nn {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Copies: the backward pass runs after the caller's objects are gone.
struct Saved {
  HeadLayout heads;
  Packing packing;
  double p = 0;
  std::optional<base::RandomStream> stream;
  Dropout dropout() const { return {p, stream ? &*stream : nullptr}; }
};

// Queries, keys and values [length, head_dim] of one sequence and head: views of the packed rows.
struct HeadView {
  at::Tensor q, k, v;
};

HeadView view_of(const at::Tensor& qkv, const HeadLayout& heads, const Packing& packing,
                 int64_t task) {
  const int64_t sequence = task / heads.query_heads, head = task % heads.query_heads;
  const int64_t first = packing.offsets[static_cast<size_t>(sequence)];
  const auto rows =
      qkv.narrow(0, first, packing.offsets[static_cast<size_t>(sequence) + 1] - first);
  const int64_t width = heads.query_heads * heads.head_dim, at = head * heads.head_dim;
  return {rows.narrow(1, at, heads.head_dim), rows.narrow(1, width + at, heads.head_dim),
          rows.narrow(1, 2 * width + at, heads.head_dim)};
}

// Rows of the output (or of its gradient) that belong to a task.
at::Tensor output_of(const at::Tensor& out, const HeadLayout& heads, const Packing& packing,
                     int64_t task) {
  const int64_t sequence = task / heads.query_heads, head = task % heads.query_heads;
  const int64_t first = packing.offsets[static_cast<size_t>(sequence)];
  return out.narrow(0, first, packing.offsets[static_cast<size_t>(sequence) + 1] - first)
      .narrow(1, head * heads.head_dim, heads.head_dim);
}

at::Tensor weights_of(const HeadView& x, double scale) {
  return at::softmax(chained_mm(x.q, x.k.t()) * scale, 1);
}

// The mask of a task: sequence s owns heads * length^2 numbers behind those of the sequences before
// it.
at::Tensor mask_of(const Saved& saved, int64_t task) {
  const auto sequence = static_cast<size_t>(task / saved.heads.query_heads);
  uint64_t first = 0;
  const auto squared = [&](size_t s) {
    const auto length =
        static_cast<uint64_t>(saved.packing.offsets[s + 1] - saved.packing.offsets[s]);
    return length * length;
  };
  for (size_t s = 0; s < sequence; ++s)
    first += static_cast<uint64_t>(saved.heads.query_heads) * squared(s);
  first += static_cast<uint64_t>(task % saved.heads.query_heads) * squared(sequence);
  const int64_t length = saved.packing.offsets[sequence + 1] - saved.packing.offsets[sequence];
  auto mask = at::empty({length, length}, at::kFloat);
  dropout_mask(saved.dropout(), first, length * length, mask.data_ptr<float>());
  return mask;
}

// Sequences times heads, over the threads; each task computes alone, so its bits depend on nothing
// but its own rows.
template <class Body>
void for_tasks(const Saved& saved, const Body& body) {
  at::parallel_for(0, saved.packing.sequences() * saved.heads.query_heads, 1,
                   [&](int64_t begin, int64_t end) {
                     const at::NoGradGuard no_grad;
                     for (int64_t task = begin; task < end; ++task) body(task);
                   });
}

class BidirectionalFunction : public torch::autograd::Function<BidirectionalFunction> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& qkv, const Saved& saved) {
    const auto& heads = saved.heads;
    auto out = at::empty({qkv.size(0), heads.query_heads * heads.head_dim}, qkv.options());
    for_tasks(saved, [&](int64_t task) {
      const auto x = view_of(qkv, heads, saved.packing, task);
      auto weights = weights_of(x, heads.scale);
      if (saved.dropout().active()) weights.mul_(mask_of(saved, task));
      output_of(out, heads, saved.packing, task).copy_(chained_mm(weights, x.v));
    });
    ctx->save_for_backward({qkv});
    ctx->saved_data["saved"] = hold(saved);
    return out;
  }

  static variable_list backward(AutogradContext* ctx, variable_list gradients) {
    const auto qkv = ctx->get_saved_variables()[0];
    const auto d_out = gradients[0].contiguous();
    const auto& saved = held<Saved>(ctx->saved_data["saved"]);
    auto d_qkv = at::empty_like(qkv);
    for_tasks(saved, [&](int64_t task) { head_gradient({qkv, d_out, d_qkv}, saved, task); });
    return {d_qkv, {}};
  }

 private:
  struct Rows {
    const at::Tensor& qkv;
    const at::Tensor& d_out;
    at::Tensor& d_qkv;
  };

  // W = softmax(scale Q K^T), D = mask W, O = D V: dV = D^T dO, dW = mask (dO V^T), dS = W (dW -
  // rowsum(dW W)) scale, dQ = dS K, dK = dS^T Q.
  static void head_gradient(const Rows& rows, const Saved& saved, int64_t task) {
    const auto x = view_of(rows.qkv, saved.heads, saved.packing, task);
    const auto dx = view_of(rows.d_qkv, saved.heads, saved.packing, task);
    const auto dy = output_of(rows.d_out, saved.heads, saved.packing, task);
    const auto weights = weights_of(x, saved.heads.scale);
    auto d_weights = chained_mm(dy, x.v.t());
    auto dropped = weights;
    if (saved.dropout().active()) {
      const auto mask = mask_of(saved, task);
      d_weights.mul_(mask);
      dropped = weights * mask;
    }
    dx.v.copy_(chained_mm(dropped.t(), dy));
    const auto mean = (d_weights * weights).sum(1, /*keepdim=*/true);
    const auto d_scores = weights * (d_weights - mean) * saved.heads.scale;
    dx.q.copy_(chained_mm(d_scores, x.k));
    dx.k.copy_(chained_mm(d_scores.t(), x.q));
  }
};

at::Tensor flash_attention(const at::Tensor& qkv, const HeadLayout& heads, const Packing& packing,
                           const Dropout& dropout) {
  const auto parts = qkv.unflatten(1, {3, heads.query_heads, heads.head_dim});
  seed_cuda_dropout(dropout, qkv.device());
  const auto out = std::get<0>(at::_flash_attention_forward(
      parts.select(1, 0), parts.select(1, 1), parts.select(1, 2), packing.offsets_device,
      packing.offsets_device, packing.longest, packing.longest, dropout.active() ? dropout.p : 0.0,
      /*is_causal=*/false, /*return_debug_mask=*/false, heads.scale));
  return out.reshape({qkv.size(0), heads.query_heads * heads.head_dim});
}

}  // namespace

at::Tensor bidirectional_attention(const at::Tensor& qkv, const HeadLayout& heads,
                                   const Packing& packing, const Dropout& dropout) {
  base::check(heads.query_heads == heads.kv_heads && qkv.size(1) == heads.width() &&
                  qkv.size(0) == packing.tokens(),
              "bidirectional attention is given [tokens, queries + keys + values]");
  if (qkv.is_cpu() && qkv.scalar_type() == at::kFloat) {
    Saved saved{heads, packing, dropout.active() ? dropout.p : 0, std::nullopt};
    if (dropout.active()) saved.stream = *dropout.stream;
    return BidirectionalFunction::apply(qkv.contiguous(), saved);
  }
  if (qkv.is_cuda() && qkv.scalar_type() == at::kBFloat16)
    return flash_attention(qkv, heads, packing, dropout);
  base::check(!dropout.active(),
              "attention of this type has no dropout: train in bfloat16 on CUDA");
  return plain_bidirectional_attention(qkv, heads, packing);
}

at::Tensor plain_bidirectional_attention(const at::Tensor& qkv, const HeadLayout& heads,
                                         const Packing& packing) {
  const auto parts = qkv.unflatten(1, {3, heads.query_heads, heads.head_dim});
  std::vector<at::Tensor> out;
  for (int64_t s = 0; s < packing.sequences(); ++s) {
    const int64_t first = packing.offsets[static_cast<size_t>(s)];
    const auto rows =
        parts.narrow(0, first, packing.offsets[static_cast<size_t>(s) + 1] - first).transpose(0, 2);
    const auto scores = at::matmul(rows.select(1, 0), rows.select(1, 1).transpose(1, 2));
    const auto weights = at::softmax(scores * heads.scale, 2);  // [heads, length, length]
    out.push_back(at::matmul(weights, rows.select(1, 2)).transpose(0, 1).flatten(1));
  }
  return at::cat(out);
}

}  // namespace preimage::nn
