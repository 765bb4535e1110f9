// Passes on a GPU: decode passes are CUDA graphs, tokens are chosen on the device and fed to the
// next pass there, and a pass is started before the last one's tokens reach the host.
#ifdef PREIMAGE_CUDA

#include <algorithm>
#include <bit>
#include <cmath>
#include <deque>
#include <map>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <ATen/cuda/CUDAContext.h>
#include <ATen/cuda/CUDAEvent.h>
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDAGuard.h>

#include "generate/runner.hpp"
#include "preimage/nn/choose_tokens.hpp"
#include "preimage/nn/decode_attention.hpp"
#include "token_rows.hpp"

namespace preimage::lm {
namespace {

// Batch sizes that have a graph of their own; a pass takes the next larger one.
int64_t bucket(int64_t rows) {
  if (rows <= 8) return static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(rows)));
  const int64_t step = rows <= 64 ? 8 : rows <= 256 ? 32 : 128;
  return (rows + step - 1) / step * step;
}

// The kernel that chooses a token hands out that many of the best.
constexpr int64_t kBestOnDevice = 2;

bool on_host(const PassSequence& s) {
  return s.choose && (s.sampling->looks_back() || s.top > kBestOnDevice);
}

// Numbers of each row that a decode pass reads, in one tensor of the device.
struct Inputs {
  explicit Inputs(int64_t rows, int64_t most_pages, const at::TensorOptions& device)
      : numbers(at::zeros({5, rows}, device.dtype(at::kLong))),
        rules(at::zeros({rows, 3}, device.dtype(at::kFloat))),
        pages(at::zeros({rows, most_pages}, device.dtype(at::kInt))) {}
  at::Tensor tokens() const { return numbers[0]; }  // -1: the last one chosen in the slot
  at::Tensor positions() const { return numbers[1]; }
  at::Tensor slots() const { return numbers[2]; }
  nn::TokenChoice choice() const {
    return {rules, numbers[3].view(at::kDouble), numbers[4].view(at::kDouble)};
  }
  Inputs first(int64_t rows) const {
    Inputs out = *this;
    out.numbers = numbers.narrow(1, 0, rows);
    out.rules = rules.narrow(0, 0, rows);
    out.pages = pages.narrow(0, 0, rows);
    return out;
  }
  void copy_from(const Inputs& host) {
    numbers.copy_(host.numbers, /*non_blocking=*/true);
    rules.copy_(host.rules, true);
    pages.copy_(host.pages, true);
  }
  at::Tensor numbers, rules, pages;
};

struct RuleOut {
  float* rule;  // three numbers
  double *top_p, *uniform;
};

void write_rule(const RuleOut& out, const PassSequence& s) {
  const auto& o = *s.sampling;
  out.rule[0] = static_cast<float>(o.temperature), out.rule[1] = static_cast<float>(o.top_k);
  out.rule[2] = static_cast<float>(std::log(o.min_p));
  *out.top_p = o.top_p, *out.uniform = s.uniform;
}

class CudaRunner : public Runner {
 public:
  CudaRunner(const Model& model, const nn::KvCache& cache, const RunnerOptions& options)
      : model_(model),
        cache_(cache),
        padding_(options),
        stream_(c10::cuda::getStreamFromPool(false, model.device().index())),
        inputs_(bucket(options.slots), (options.longest + nn::kPageTokens - 1) / nn::kPageTokens,
                at::device(model.device())),
        last_(at::zeros({options.slots + 1}, at::device(model.device()).dtype(at::kLong))),
        chosen_(outputs(inputs_.rules.size(0))) {
    // Weights and cache were made on another stream.
    at::cuda::getCurrentCUDAStream(model.device().index()).synchronize();
  }

  int64_t depth() const override { return 2; }
  // They were changed on another stream. The graphs read where they lie.
  void weights_changed() override {
    at::cuda::getCurrentCUDAStream(model_.device().index()).synchronize();
  }

  void start(const Pass& pass) override {
    const at::NoGradGuard no_grad;
    const c10::cuda::CUDAStreamGuard guard(stream_);
    InFlight flight;
    int64_t row = 0;
    for (const auto& s : pass.sequences) flight.choosing.push_back(s.choose ? row++ : -1);
    const auto logits = pass.decode ? decode(pass, flight) : prefill(pass, flight);
    choose_on_host(pass, logits, flight);
    flight.done.record(stream_);
    in_flight_.push_back(std::move(flight));
  }

  Chosen fetch() override {
    auto flight = std::move(in_flight_.front());
    in_flight_.pop_front();
    flight.done.synchronize();
    Chosen chosen;
    for (size_t i = 0; i < flight.choosing.size(); ++i) {
      if (flight.choosing[i] < 0) continue;
      // A decode pass has a row for every sequence, a prefill pass for those that choose.
      const auto row = flight.all_rows ? i : static_cast<size_t>(flight.choosing[i]);
      chosen.ids.push_back(flight.ids.const_data_ptr<int64_t>()[row]);
      chosen.logprobs.push_back(flight.logprobs.const_data_ptr<float>()[row]);
      auto& best = chosen.top.emplace_back();
      for (int64_t k = 0; k < flight.top[i]; ++k) {
        const auto place = static_cast<size_t>(kBestOnDevice) * row + static_cast<size_t>(k);
        const auto id = flight.best_ids.const_data_ptr<int64_t>()[place];
        if (id >= 0) best.emplace_back(id, flight.best_logprobs.const_data_ptr<float>()[place]);
      }
      if (const auto own = flight.host.find(i); own != flight.host.end()) {
        chosen.ids.back() = own->second.id;
        chosen.logprobs.back() = own->second.logprob;
        chosen.top.back() = own->second.top;
      }
    }
    return chosen;
  }

 private:
  struct HostChoice {
    int64_t id;
    float logprob;
    std::vector<std::pair<int64_t, float>> top;
  };
  struct InFlight {
    std::vector<int64_t> choosing;  // for each sequence its place among those that choose, or -1
    bool all_rows = false;
    at::Tensor ids, logprobs;  // pinned
    std::vector<int64_t> top;  // of each sequence: how many of the best it takes from below
    at::Tensor best_ids, best_logprobs;  // pinned; undefined where none takes any
    std::map<size_t, HostChoice> host;
    at::cuda::CUDAEvent done;
  };
  struct Graph {
    at::cuda::CUDAGraph graph;
    at::Tensor logits;
  };

  nn::ChosenTokens outputs(int64_t rows) const {
    const auto on = at::device(model_.device());
    return {at::zeros({rows}, on.dtype(at::kLong)), at::zeros({rows}, on.dtype(at::kFloat)),
            at::zeros({rows, kBestOnDevice}, on.dtype(at::kLong)),
            at::zeros({rows, kBestOnDevice}, on.dtype(at::kFloat))};
  }

  static nn::ChosenTokens first_rows(const nn::ChosenTokens& all, int64_t rows) {
    const auto first = [&](const at::Tensor& x) { return x.narrow(0, 0, rows); };
    return {first(all.ids), first(all.logprobs), first(all.best_ids), first(all.best_logprobs)};
  }

  // What the rows of a pass chose goes on its way to the host.
  static void hand_out(const Pass& pass, const nn::ChosenTokens& rows, InFlight& flight) {
    flight.ids = to_host(rows.ids), flight.logprobs = to_host(rows.logprobs);
    for (const auto& s : pass.sequences) flight.top.push_back(on_host(s) ? 0 : s.top);
    if (std::all_of(flight.top.begin(), flight.top.end(), [](int64_t n) { return n == 0; })) return;
    flight.best_ids = to_host(rows.best_ids), flight.best_logprobs = to_host(rows.best_logprobs);
  }

  static at::Tensor to_host(const at::Tensor& x) {
    auto out = at::empty(x.sizes(), x.options().device(at::kCPU).pinned_memory(true));
    return out.copy_(x, /*non_blocking=*/true);
  }

  // What is done for `rows` rows of the inputs; captured or run.
  at::Tensor step(int64_t rows, int64_t chunks) {
    const auto in = inputs_.first(rows);
    const auto tokens =
        at::where(in.tokens().ge(0), in.tokens(), last_.index_select(0, in.slots()));
    const nn::DecodeAttention context(cache_, in.positions(), in.pages, chunks);
    const auto logits = nn::linear(model_.hidden(model_.embed(tokens), context), model_.head());
    auto out = first_rows(chosen_, rows);
    nn::choose_tokens(logits, in.choice(), in.slots(), last_, out);
    return logits;
  }

  at::Tensor decode(const Pass& pass, InFlight& flight) {
    const auto count = static_cast<int64_t>(pass.sequences.size());
    const int64_t rows = bucket(count);
    int64_t longest = 0;
    for (const auto& s : pass.sequences) longest = std::max(longest, s.place.cached + 1);
    const auto chunks = static_cast<int64_t>(
        std::bit_ceil(static_cast<uint64_t>((longest + nn::kDecodeChunk - 1) / nn::kDecodeChunk)));
    inputs_.first(rows).copy_from(host_inputs(pass, rows));
    at::Tensor logits;
    const auto known = graphs_.find({rows, chunks});
    if (known != graphs_.end()) {
      known->second.graph.replay();
      logits = known->second.logits;
    } else {
      // The first pass of a size runs by itself, which also settles the choice of every product.
      logits = step(rows, chunks);
      if (captures_ && model_.capturable()) capture(rows, chunks);
    }
    flight.all_rows = true;
    hand_out(pass, first_rows(chosen_, count), flight);
    return logits;
  }

  void capture(int64_t rows, int64_t chunks) {
    auto& made = graphs_[{rows, chunks}];
    if (!pool_) pool_ = at::cuda::graph_pool_handle();
    made.graph.capture_begin(*pool_);
    try {
      made.logits = step(rows, chunks);
    } catch (const c10::OutOfMemoryError&) {
      // Graphs keep their memory, and there is none left: this and later sizes run by themselves,
      // with the same bits. A stream that stayed in capture could copy nothing any more.
      made.graph.capture_end();
      graphs_.erase({rows, chunks});
      captures_ = false;
      return;
    }
    made.graph.capture_end();
  }

  Inputs host_inputs(const Pass& pass, int64_t rows) const {
    Inputs host(rows, inputs_.pages.size(1), at::TensorOptions().pinned_memory(true));
    auto* tokens = host.numbers.data_ptr<int64_t>();
    auto *positions = tokens + rows, *slots = positions + rows;
    auto* top_p = reinterpret_cast<double*>(slots + rows);
    auto* rules = host.rules.data_ptr<float>();
    auto* pages = host.pages.data_ptr<int32_t>();
    const int64_t most = host.pages.size(1);
    for (int64_t i = 0; i < rows; ++i) {
      if (i >= static_cast<int64_t>(pass.sequences.size())) {
        slots[i] = padding_.slots;
        pages[i * most] = padding_.padding_page;
        continue;
      }
      const auto& s = pass.sequences[static_cast<size_t>(i)];
      tokens[i] = s.token, positions[i] = s.place.cached, slots[i] = s.slot;
      std::copy(s.place.pages.begin(), s.place.pages.end(), pages + i * most);
      if (s.choose) write_rule({rules + 3 * i, top_p + i, top_p + rows + i}, s);
      if (!s.choose) slots[i] = padding_.slots;  // its last token stays
    }
    return host;
  }

  at::Tensor prefill(const Pass& pass, InFlight& flight) {
    std::vector<nn::PagedSequence> places;
    std::vector<SequenceView> views;
    std::vector<int64_t> rows, slots;
    std::vector<float> rules;
    std::vector<double> top_p, uniforms;
    int64_t tokens = 0;
    for (const auto& s : pass.sequences) {
      places.push_back(s.place);
      views.push_back({&s.embeddings, s.ids.data(), static_cast<int64_t>(s.ids.size())});
      tokens += s.place.fresh;
      if (!s.choose) continue;
      rows.push_back(tokens - 1), slots.push_back(s.slot);
      rules.resize(rules.size() + 3), top_p.push_back(0), uniforms.push_back(0);
      write_rule({&rules[rules.size() - 3], &top_p.back(), &uniforms.back()}, s);
    }
    const auto device = model_.device();
    const nn::PagedAttention context(cache_, std::move(places), device);
    auto hidden = model_.hidden(packed_embeddings(model_, views), context);
    if (rows.empty()) return {};
    hidden = hidden.index_select(0, at::tensor(rows, at::kLong).to(device));
    const auto logits = nn::linear(hidden, model_.head());
    const auto count = static_cast<int64_t>(rows.size());
    auto out = outputs(count);
    nn::choose_tokens(
        logits,
        {at::tensor(rules, at::kFloat).view({count, 3}).to(device),
         at::tensor(top_p, at::kDouble).to(device), at::tensor(uniforms, at::kDouble).to(device)},
        at::tensor(slots, at::kLong).to(device), last_, out);
    hand_out(pass, out, flight);
    return logits;
  }

  // Rows whose choice looks back at all ids, or that want many of the best: rare, so they wait for
  // the device.
  void choose_on_host(const Pass& pass, const at::Tensor& logits, InFlight& flight) {
    for (size_t i = 0; i < pass.sequences.size(); ++i) {
      const auto& s = pass.sequences[i];
      if (!on_host(s)) continue;
      const auto row = flight.all_rows ? static_cast<int64_t>(i) : flight.choosing[i];
      auto scores = logits[row].cpu().to(at::kFloat);
      const auto logprobs = at::log_softmax(scores, 0);
      const auto size = scores.size(0);
      const std::span<float> values(scores.data_ptr<float>(), static_cast<size_t>(size));
      process_logits(values, *s.sampling, s.history);
      HostChoice own{pick_token(values, *s.sampling, s.uniform), 0, {}};
      own.logprob = logprobs.const_data_ptr<float>()[own.id];
      if (s.top > 0) own.top = best_of_row(logprobs.const_data_ptr<float>(), size, s.top);
      last_.narrow(0, s.slot, 1).fill_(own.id);
      flight.host.emplace(i, std::move(own));
    }
  }

  const Model& model_;
  const nn::KvCache& cache_;
  RunnerOptions padding_;
  c10::cuda::CUDAStream stream_;
  Inputs inputs_;
  at::Tensor last_;  // [slots + 1]: the token chosen in each slot; the last is for padding
  nn::ChosenTokens chosen_;
  std::map<std::pair<int64_t, int64_t>, Graph> graphs_;  // by rows and chunks
  bool captures_ = true;                                 // until there is no memory for a graph
  std::optional<at::cuda::MempoolId_t> pool_;
  std::deque<InFlight> in_flight_;
};

}  // namespace

std::unique_ptr<Runner> make_cuda_runner(const Model& model, const nn::KvCache& cache,
                                         const RunnerOptions& options) {
  return std::make_unique<CudaRunner>(model, cache, options);
}

}  // namespace preimage::lm

#endif  // PREIMAGE_CUDA
