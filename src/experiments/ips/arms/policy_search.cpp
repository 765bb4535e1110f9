#include "policy_search.hpp"

#include <algorithm>
#include <cmath>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>

#include "operators.hpp"
#include "preimage/base/str.hpp"

namespace preimage::ips {
namespace {

using base::str;

at::Tensor floats(const std::vector<double>& values) {
  return at::tensor(values, at::kDouble).to(at::kFloat);
}

template <class T>
std::vector<T> chosen(const std::vector<T>& from, const std::vector<int64_t>& places) {
  std::vector<T> out;
  for (const int64_t i : places) out.push_back(from[static_cast<size_t>(i)]);
  return out;
}

}  // namespace

PolicySearch::PolicySearch(const ArmInputs& inputs, const PolicyOptions& options, bool clipped)
    : inputs_(inputs), options_(options), clipped_(clipped) {
  numbers_.resize(inputs.readable.size(), 0);
  // Of a byte-pair vocabulary the lower ids are the more frequent tokens.
  for (size_t id = 0; id < inputs.readable.size(); ++id) {
    if (std::ssize(token_ids_) == options.vocabulary) break;
    const auto i = static_cast<int64_t>(id);
    if (!inputs.readable[id] || inputs.tokenizer.decode_raw({i})[0] != ' ') continue;
    token_ids_.push_back(i);
    numbers_[id] = std::ssize(token_ids_);
  }
  Draws draws(inputs.run_seed, inputs.name, "policy");
  policy_ = std::make_unique<EditPolicy>(std::ssize(token_ids_), options.width, draws);
  adam_.first = at::zeros_like(policy_->parameters().detach());
  adam_.second = at::zeros_like(policy_->parameters().detach());
}

EditState PolicySearch::state_of(const Episode& episode) const {
  EditState out;
  for (const int64_t id : prompt_tokens(inputs_.tokenizer, episode.text))
    out.tokens.push_back(numbers_[static_cast<size_t>(id)]);
  out.most_tokens = inputs_.target.most_tokens;
  out.progress = static_cast<double>(episode.steps.size()) / static_cast<double>(options_.horizon);
  out.best = episode.best;
  return out;
}

std::string PolicySearch::edited(const Episode& episode, const EditAction& action) const {
  auto ids = prompt_tokens(inputs_.tokenizer, episode.text);
  const auto place = ids.begin() + action.position;
  if (action.type == EditAction::remove) {
    ids.erase(place);
  } else if (action.type == EditAction::add) {
    ids.insert(place, token_ids_[static_cast<size_t>(action.token - 1)]);
  } else {
    *place = token_ids_[static_cast<size_t>(action.token - 1)];
  }
  return cut(inputs_.tokenizer, tidy(inputs_.tokenizer.decode(ids)), inputs_.target.most_tokens);
}

bool PolicySearch::act(Episode& episode, size_t number, Ask& ask) {
  ask = {.text = episode.text, .operation = "decode", .parents = {episode.parent}};
  if (episode.decoding) return true;
  Draws draws(inputs_.run_seed, inputs_.name, str("act ", wave_, " ", number));
  episode.states.push_back(state_of(episode));
  episode.samples.push_back(policy_->sample(episode.states.back(), draws));
  const auto& sample = episode.samples.back();
  episode.steps.push_back({.value = sample.value});
  constexpr const char* kNames[] = {"add", "remove", "replace", "stop"};
  if (sample.action.type == EditAction::stop) {
    if (episode.decoded) end(episode, true);
    episode.closing = episode.decoding = !episode.decoded;
    return episode.decoding;
  }
  const auto step = std::ssize(episode.steps);
  const bool whole = step % options_.decode == 0 || step == options_.horizon;
  ask.kind = whole ? Ask::Kind::evaluate : Ask::Kind::loss;
  ask.text = edited(episode, sample.action);
  ask.operation = kNames[sample.action.type];
  ask.basis = episode.basis;
  return true;
}

// A time limit is no end of the world: what would have come is worth the value of the state.
void PolicySearch::end(Episode& episode, bool terminal) {
  episode.live = false;
  auto& last = episode.steps.back();
  last.end = true, last.terminal = terminal;
  if (!terminal) last.next_value = policy_->value(state_of(episode));
}

std::vector<Ask> PolicySearch::ask() {
  std::vector<Ask> out;
  acting_.clear();
  if (!starting_) {
    ++wave_;
    for (size_t e = 0; e < episodes_.size(); ++e) {
      Ask ask;
      if (!episodes_[e].live || !act(episodes_[e], e, ask)) continue;
      acting_.push_back(e);
      out.push_back(std::move(ask));
    }
    if (!out.empty()) return out;
    update();
  }
  starting_ = true;
  Draws draws(inputs_.run_seed, inputs_.name, str("start ", batch_++));
  const Variation variation(inputs_, fresh_options_);
  return {{.text = variation.fresh(draws), .operation = "start"}};
}

void PolicySearch::tell(const std::vector<Ask>& asked, const std::vector<Reply>& replies) {
  if (starting_) {
    Episode first;
    first.text = asked[0].text;
    first.fitness = replies[0].fitness.value, first.best = replies[0].fitness.match;
    first.parent = first.basis = replies[0].index;
    episodes_.assign(static_cast<size_t>(options_.episodes), first);
    starting_ = false;
    return;
  }
  for (size_t i = 0; i < replies.size(); ++i) take(episodes_[acting_[i]], asked[i], replies[i]);
}

void PolicySearch::take(Episode& episode, const Ask& ask, const Reply& reply) {
  episode.text = ask.text;
  episode.steps.back().reward +=
      reply.fitness.value - episode.fitness + (reply.accepted ? options_.bonus : 0);
  episode.fitness = reply.fitness.value;
  episode.parent = reply.index;
  episode.decoding = false;
  episode.decoded = ask.kind == Ask::Kind::evaluate;
  if (episode.decoded) {
    episode.basis = reply.index;
    episode.best = std::max(episode.best, reply.fitness.match);
  }
  if (reply.accepted || episode.closing) {
    end(episode, true);
  } else if (!episode.decoded && reply.terms->greedy) {
    episode.decoding = true;
  } else if (std::ssize(episode.steps) == options_.horizon) {
    end(episode, false);
  }
}

void PolicySearch::update() {
  std::vector<EditState> states;
  std::vector<EditSample> samples;
  std::vector<Step> steps;
  std::vector<std::vector<double>> returns;
  double total = 0;
  for (auto& episode : episodes_) {
    for (size_t t = 0; t + 1 < episode.steps.size(); ++t)
      episode.steps[t].next_value = episode.steps[t + 1].value;
    for (const auto& step : episode.steps) total += step.reward;
    states.insert(states.end(), episode.states.begin(), episode.states.end());
    samples.insert(samples.end(), episode.samples.begin(), episode.samples.end());
    steps.insert(steps.end(), episode.steps.begin(), episode.steps.end());
    returns.push_back(discounted_returns(episode.steps, options_.gamma));
  }
  auto advantages = gae(steps, options_.gamma, options_.lambda);
  if (!clipped_) {
    advantages = {};
    const auto baselines = leave_one_out(returns);
    for (size_t e = 0; e < returns.size(); ++e) {
      for (size_t t = 0; t < returns[e].size(); ++t) {
        advantages.advantages.push_back(returns[e][t] - baselines[e][t]);
        advantages.returns.push_back(returns[e][t]);
      }
    }
  }
  auto made = train(states, samples, advantages);
  made.update = std::ssize(updates_);
  made.episode_return = total / static_cast<double>(episodes_.size());
  updates_.push_back(made);
}

PolicyUpdate PolicySearch::train(const std::vector<EditState>& states,
                                 const std::vector<EditSample>& samples,
                                 const Advantages& advantages) {
  const auto count = std::ssize(states);
  std::vector<EditAction> actions;
  std::vector<double> old_log_probs;
  for (const auto& sample : samples)
    actions.push_back(sample.action), old_log_probs.push_back(sample.log_prob);
  auto gains = floats(advantages.advantages);
  if (clipped_) gains = standardised(gains);
  const auto returns = floats(advantages.returns), old = floats(old_log_probs);
  optim::AdamOptions adam;
  adam.clip = options_.gradient_clip, adam.weight_decay = 0;
  PolicyUpdate out;
  const int64_t epochs = clipped_ ? options_.epochs : 1;
  const int64_t batch = clipped_ ? options_.minibatch : count;
  for (int64_t epoch = 0; epoch < epochs; ++epoch) {
    Draws draws(inputs_.run_seed, inputs_.name, str("update ", updates_.size(), " ", epoch));
    const auto order = draws.permutation(count);
    for (int64_t begin = 0; begin < count; begin += batch) {
      const std::vector<int64_t> places(order.begin() + begin,
                                        order.begin() + std::min(begin + batch, count));
      const auto index = at::tensor(places, at::kLong);
      const auto now = policy_->evaluate(chosen(states, places), chosen(actions, places));
      const PolicyBatch part{
          now.log_probs, old.index_select(0, index),     gains.index_select(0, index),
          now.values,    returns.index_select(0, index), now.entropies};
      const auto loss =
          clipped_ ? ppo_loss(part, options_.loss) : reinforce_loss(part, options_.loss);
      out.policy_loss = loss.policy, out.value_loss = loss.value, out.entropy = loss.entropy;
      out.divergence = loss.divergence;
      if (clipped_ && loss.divergence > options_.divergence) return out;
      auto& flat = policy_->parameters();
      const auto gradient = torch::autograd::grad({loss.total}, {flat}, {}, std::nullopt, false,
                                                  /*allow_unused=*/true)[0];
      const at::NoGradGuard no_grad;
      auto values = flat.detach();
      out.gradient_norm = optim::adamw_step(values, gradient.contiguous(), at::zeros_like(values),
                                            adam_, options_.learning_rate, adam);
    }
    out.epochs = epoch + 1;
  }
  return out;
}

void PolicyOptions::fields(base::Fields& f) {
  f.add("episodes", episodes, {.help = "at once; an update follows when all ended", .min = 1});
  f.add("horizon", horizon, {.help = "edits of an episode", .min = 1});
  f.add("decode", decode,
        {.help = "edits from one answer to the next; between them the loss alone", .min = 1});
  f.add("vocabulary", vocabulary, {.help = "tokens that may be written", .min = 1, .max = 1e6});
  f.add("width", width, {.help = "of the policy's layers", .min = 1, .max = 4096});
  f.add("gamma", gamma, {.help = "discount", .min = 0, .max = 1});
  f.add("lambda", lambda, {.help = "of the advantages", .min = 0, .max = 1});
  f.add("bonus", bonus, {.help = "reward of an accepted prompt", .min = 0});
  f.add("epochs", epochs, {.help = "ppo: over each batch", .min = 1});
  f.add("minibatch", minibatch, {.help = "ppo: edits of a step", .min = 1});
  f.add("learning_rate", learning_rate, {.help = "of Adam", .min = 0});
  f.add("gradient_clip", gradient_clip, {.help = "norm of a gradient; 0: none", .min = 0});
  f.add("divergence", divergence,
        {.help = "ppo: mean(rho - 1 - log rho) that ends an update", .unit = "nats", .min = 0});
  f.add("clip", loss.clip, {.help = "ppo: eps of the ratio", .min = 0, .max = 1});
  f.add("value_weight", loss.value_weight, {.help = "ppo: of the value loss", .min = 0});
  f.add("entropy_weight", loss.entropy_weight, {.help = "of the entropy", .min = 0});
}

}  // namespace preimage::ips
