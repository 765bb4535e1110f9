#include "rl/edit_policy.hpp"

#include <algorithm>
#include <cmath>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "preimage/base/error.hpp"
#include "preimage/nn/linear.hpp"

namespace preimage::ips {
namespace {

constexpr int64_t kTypes = 4, kFeatures = 3;
constexpr float kMasked = -1e30f;

// Row-independent products: what is drawn does not depend on the number of threads.
at::Tensor product(const at::Tensor& rows, const at::Tensor& matrix) {
  return nn::linear(rows.contiguous(), nn::Weight(matrix.contiguous()));
}

int64_t draw(const at::Tensor& log_probs, Draws& draws) {
  const auto values = log_probs.contiguous();
  const auto* p = values.const_data_ptr<float>();
  double left = draws.uniform();
  int64_t last = 0;
  for (int64_t i = 0; i < values.numel(); ++i) {
    const double probability = std::exp(static_cast<double>(p[i]));
    if (probability <= 0) continue;
    last = i;
    if (left < probability) return i;
    left -= probability;
  }
  return last;  // what rounding left over
}

at::Tensor entropy(const at::Tensor& log_probs) {
  return -(log_probs.exp() * log_probs.clamp_min(kMasked)).sum(-1);
}

}  // namespace

// Log-probabilities of each decision.
struct EditPolicy::Heads {
  at::Tensor types;                          // [4]
  at::Tensor add_places, add_tokens;         // [n + 1], [n + 1, V]
  at::Tensor remove_places, replace_places;  // [n]
  at::Tensor replace_tokens;                 // [n, V]
  at::Tensor value;                          // []
};

EditPolicy::EditPolicy(int64_t vocabulary, int64_t width, Draws& draws)
    : vocabulary_(vocabulary), width_(width) {
  const int64_t d = width;
  int64_t size = 0;
  const auto place = [&](const char* name, std::vector<int64_t> shape) {
    int64_t count = 1;
    for (const int64_t extent : shape) count *= extent;
    places_.push_back({name, size, std::move(shape)});
    size += count;
  };
  place("embedding", {vocabulary + 1, d});
  place("state", {d, d + kFeatures + 1});  // the last column is a bias, here and below
  place("gap", {d, 3 * d + 1});
  place("token", {d, 4 * d + 1});
  place("type", {kTypes, d + 1});
  place("where", {3, d});
  place("which_add", {vocabulary, d});
  place("which_replace", {vocabulary, d});
  place("value", {1, d + 1});
  flat_ = at::empty({size}, at::kFloat);
  auto* values = flat_.data_ptr<float>();
  for (const auto& one : places_) {
    const int64_t fan_in = one.shape[1];
    int64_t count = one.shape[0] * fan_in;
    const double bound = one.name == "embedding" ? 1 : 1 / std::sqrt(static_cast<double>(fan_in));
    for (int64_t i = 0; i < count; ++i)
      values[one.begin + i] = static_cast<float>((2 * draws.uniform() - 1) * bound);
  }
  flat_.requires_grad_();
}

at::Tensor EditPolicy::part(const char* name) const {
  const auto found = std::find_if(places_.begin(), places_.end(),
                                  [&](const Place& one) { return one.name == name; });
  base::check(found != places_.end(), "a part of the policy has a name");
  return flat_.narrow(0, found->begin, found->shape[0] * found->shape[1]).view(found->shape);
}

EditPolicy::Heads EditPolicy::heads(const EditState& state) const {
  const int64_t n = std::ssize(state.tokens), d = width_;
  const auto edge = at::zeros({1, d}, at::kFloat), one = at::ones({1}, at::kFloat);
  const auto own = n > 0 ? part("embedding").index_select(0, at::tensor(state.tokens, at::kLong))
                         : at::zeros({0, d}, at::kFloat);
  const auto features =
      at::tensor({static_cast<float>(state.progress), static_cast<float>(state.best),
                  static_cast<float>(n) / static_cast<float>(state.most_tokens)});
  const auto mean = n > 0 ? own.mean(0) : at::zeros({d}, at::kFloat);
  const auto g = product(at::cat({mean, features, one}).unsqueeze(0), part("state")).tanh();
  const auto with_bias = [&](std::vector<at::Tensor> columns, int64_t rows) {
    columns.push_back(g.expand({rows, d}));
    columns.push_back(one.expand({rows, 1}));
    return at::cat(columns, 1);
  };
  const auto padded = at::cat({edge, own, edge});
  const auto gaps =
      product(with_bias({padded.narrow(0, 0, n + 1), padded.narrow(0, 1, n + 1)}, n + 1),
              part("gap"))
          .tanh();
  const auto where = part("where");
  const auto score = [&](const at::Tensor& rows, int64_t head) {
    return at::log_softmax(product(rows, where.narrow(0, head, 1)).squeeze(1), 0);
  };
  Heads out;
  auto types = product(at::cat({g, one.unsqueeze(0)}, 1), part("type")).squeeze(0);
  auto mask = at::zeros({kTypes}, at::kFloat);
  auto* masked = mask.data_ptr<float>();
  if (n >= state.most_tokens) masked[EditAction::add] = kMasked;
  if (n == 0) masked[EditAction::remove] = masked[EditAction::replace] = kMasked;
  out.types = at::log_softmax(types + mask, 0);
  out.add_places = score(gaps, 0);
  out.add_tokens = at::log_softmax(product(gaps, part("which_add")), 1);
  out.value = product(at::cat({g, one.unsqueeze(0)}, 1), part("value")).squeeze();
  if (n > 0) {
    const auto rows =
        product(with_bias({padded.narrow(0, 0, n), own, padded.narrow(0, 2, n)}, n), part("token"))
            .tanh();
    out.remove_places = score(rows, 1), out.replace_places = score(rows, 2);
    out.replace_tokens = at::log_softmax(product(rows, part("which_replace")), 1);
  }
  return out;
}

double EditPolicy::value(const EditState& state) const {
  const at::NoGradGuard no_grad;
  return heads(state).value.item<double>();
}

EditSample EditPolicy::sample(const EditState& state, Draws& draws) const {
  const at::NoGradGuard no_grad;
  const auto h = heads(state);
  EditSample out;
  auto& action = out.action;
  action.type = draw(h.types, draws);
  double log_prob = h.types[action.type].item<double>();
  const auto choose = [&](const at::Tensor& places, const at::Tensor& tokens) {
    action.position = draw(places, draws);
    log_prob += places[action.position].item<double>();
    if (!tokens.defined()) return;
    const auto row = tokens[action.position];
    const int64_t token = draw(row, draws);
    log_prob += row[token].item<double>();
    action.token = token + 1;
  };
  if (action.type == EditAction::add) choose(h.add_places, h.add_tokens);
  if (action.type == EditAction::remove) choose(h.remove_places, {});
  if (action.type == EditAction::replace) choose(h.replace_places, h.replace_tokens);
  out.log_prob = log_prob;
  out.value = h.value.item<double>();
  return out;
}

EditOutputs EditPolicy::evaluate(const std::vector<EditState>& states,
                                 const std::vector<EditAction>& actions) const {
  std::vector<at::Tensor> log_probs, values, entropies;
  for (size_t i = 0; i < states.size(); ++i) {
    const auto h = heads(states[i]);
    const auto& a = actions[i];
    auto log_prob = h.types[a.type];
    if (a.type == EditAction::add)
      log_prob = log_prob + h.add_places[a.position] + h.add_tokens[a.position][a.token - 1];
    if (a.type == EditAction::remove) log_prob = log_prob + h.remove_places[a.position];
    if (a.type == EditAction::replace)
      log_prob =
          log_prob + h.replace_places[a.position] + h.replace_tokens[a.position][a.token - 1];
    const auto p = h.types.exp();
    auto all = entropy(h.types) +
               p[EditAction::add] *
                   (entropy(h.add_places) + (h.add_places.exp() * entropy(h.add_tokens)).sum());
    if (h.remove_places.defined())
      all = all + p[EditAction::remove] * entropy(h.remove_places) +
            p[EditAction::replace] * (entropy(h.replace_places) +
                                      (h.replace_places.exp() * entropy(h.replace_tokens)).sum());
    log_probs.push_back(log_prob), values.push_back(h.value), entropies.push_back(all);
  }
  return {at::stack(log_probs), at::stack(values), at::stack(entropies)};
}

}  // namespace preimage::ips
