#include "arms/likelihood_arm.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "preimage/base/error.hpp"
#include "preimage/lm/layer_range.hpp"

namespace preimage::verifier {
namespace {

// Programs whose states are made together.
constexpr size_t kTogether = 64;

using Ids = std::vector<int64_t>;

// A program and its prompt as one sequence.
struct View {
  const int64_t* ids = nullptr;
  int64_t length = 0, targets = 0;
  int64_t prefix() const { return length - targets - 1; }  // tokens before the rows
};

// The states of sequences: each prompt is read once, then all programs behind theirs.
class FrozenReader {
 public:
  FrozenReader(const lm::Model& model, int64_t first_tuned)
      : model_(model), first_tuned_(first_tuned) {}

  std::vector<std::shared_ptr<const ProgramState>> read(const std::vector<View>& views) {
    const at::NoGradGuard no_grad;
    read_prompts(views);
    std::vector<const nn::AttentionPrefix*> prefixes;
    Ids rows, lengths;
    for (const auto& view : views) {
      base::check(view.prefix() >= 0, "a program stands behind a token at least");
      prefixes.push_back(prompts_.at(key(view)).get());
      rows.insert(rows.end(), view.ids + view.prefix(), view.ids + view.length - 1);
      lengths.push_back(view.targets);
    }
    const nn::PrefixedAttention context(prefixes, lengths, model_.device());
    const auto states = lm::through_layers(model_, embedded(rows), context, {0, first_tuned_});
    std::vector<std::shared_ptr<const ProgramState>> out;
    int64_t begin = 0;
    for (const auto& view : views) {
      auto state = std::make_shared<ProgramState>();
      state->prompt = upper_part(key(view));
      state->below = states.narrow(0, begin, view.targets).clone();
      begin += view.targets;
      out.push_back(std::move(state));
    }
    return out;
  }

 private:
  static Ids key(const View& view) { return {view.ids, view.ids + view.prefix()}; }

  at::Tensor embedded(const Ids& ids) const {
    return model_.embed(at::tensor(ids, at::kLong).to(model_.device()));
  }

  void read_prompts(const std::vector<View>& views) {
    std::vector<Ids> fresh;
    Ids all, lengths;
    for (const auto& view : views) {
      auto ids = key(view);
      if (!prompts_.try_emplace(ids, std::make_shared<nn::AttentionPrefix>()).second || ids.empty())
        continue;
      all.insert(all.end(), ids.begin(), ids.end());
      lengths.push_back(static_cast<int64_t>(ids.size()));
      fresh.push_back(std::move(ids));
    }
    if (fresh.empty()) return;
    const int64_t layers = model_.config().layers;
    const nn::RecordingAttention recording(lengths, layers, model_.device());
    lm::through_layers(model_, embedded(all), recording, {0, layers});
    auto prefixes = recording.prefixes();
    for (size_t i = 0; i < fresh.size(); ++i) *prompts_.at(fresh[i]) = std::move(prefixes[i]);
  }

  // What tuned layers need of a prompt.
  std::shared_ptr<const nn::AttentionPrefix> upper_part(const Ids& ids) {
    auto& upper = upper_[ids];
    if (!upper) {
      upper = std::make_shared<nn::AttentionPrefix>(*prompts_.at(ids));
      for (int64_t i = 0; i < std::min<int64_t>(first_tuned_, std::ssize(upper->qkv)); ++i)
        upper->qkv[static_cast<size_t>(i)].reset();
    }
    return upper;
  }

  const lm::Model& model_;
  int64_t first_tuned_;
  std::map<Ids, std::shared_ptr<nn::AttentionPrefix>> prompts_, upper_;
};

class LikelihoodModel : public EnergyModel {
 public:
  LikelihoodModel(std::shared_ptr<const lm::Model> tuned, const lm::Model& frozen,
                  const LikelihoodArmOptions& options, const TensorMap& values)
      : tuned_(std::move(tuned)),
        frozen_(frozen),
        options_(options),
        scale_(values.at("energy.scale")),
        offset_(values.at("energy.offset")) {}

  at::Tensor energies(const Sequences& sequences, const DropoutSource&) const override {
    const auto states = states_of(sequences);
    std::vector<const nn::AttentionPrefix*> prefixes;
    std::vector<at::Tensor> below;
    for (const auto& state : states) {
      prefixes.push_back(state->prompt.get());
      below.push_back(state->below);
    }
    const auto device = tuned_->device();
    const int64_t layers = tuned_->config().layers;
    const nn::PrefixedAttention context(prefixes, sequences.targets, device);
    const auto above = lm::through_layers(*tuned_, at::cat(below), context,
                                          {layers - options_.tuned_layers, layers});
    const auto logits = nn::linear(lm::final_norm(*tuned_, above), tuned_->head()).to(at::kFloat);
    const auto nats =
        at::cross_entropy_loss(logits, target_ids(sequences).to(device), {}, at::Reduction::None);
    const auto lengths = at::tensor(sequences.targets, at::kLong).to(device);
    const auto sums = at::segment_reduce(nats, "sum", lengths, {}, {}, 0, /*unsafe=*/true);
    const auto energy = scale_.to(at::kFloat) * sums + offset_.to(at::kFloat);
    return options_.bounded ? at::sigmoid(energy) : energy;
  }

 private:
  // Those that came with the sequences, and the others made now.
  std::vector<std::shared_ptr<const ProgramState>> states_of(const Sequences& sequences) const {
    auto states = sequences.states;
    states.resize(static_cast<size_t>(sequences.count()));
    std::vector<View> missing;
    std::vector<size_t> places;
    int64_t begin = 0;
    for (size_t s = 0; s < states.size(); begin += sequences.lengths[s], ++s) {
      if (states[s]) continue;
      missing.push_back({sequences.ids.data() + begin, sequences.lengths[s], sequences.targets[s]});
      places.push_back(s);
    }
    if (missing.empty()) return states;
    const auto made =
        FrozenReader(frozen_, tuned_->config().layers - options_.tuned_layers).read(missing);
    for (size_t i = 0; i < made.size(); ++i) states[places[i]] = made[i];
    return states;
  }

  static at::Tensor target_ids(const Sequences& sequences) {
    Ids out;
    int64_t end = 0;
    for (int64_t s = 0; s < sequences.count(); ++s) {
      end += sequences.lengths[static_cast<size_t>(s)];
      out.insert(out.end(), sequences.ids.begin() + end - sequences.targets[static_cast<size_t>(s)],
                 sequences.ids.begin() + end);
    }
    return at::tensor(out, at::kLong);
  }

  std::shared_ptr<const lm::Model> tuned_;
  const lm::Model& frozen_;
  LikelihoodArmOptions options_;
  at::Tensor scale_, offset_;
};

}  // namespace

LikelihoodArm::LikelihoodArm(std::shared_ptr<const StoredModel> stored,
                             const LikelihoodArmOptions& options)
    : stored_(std::move(stored)), options_(options) {
  const auto& config = stored_->config;
  options_.tuned_layers = std::min(options_.tuned_layers, config.layers);
  trained_ = top_tensors(config, options_.tuned_layers);
  trained_.emplace_back("energy.scale", std::vector<int64_t>{1});
  trained_.emplace_back("energy.offset", std::vector<int64_t>{1});
  frozen_ = lm::build_model(
      config, [&](const std::string& name, at::IntArrayRef) { return stored_->tensors.at(name); });
}

lm::Parameters LikelihoodArm::initial(uint64_t, at::Device device) const {
  auto out = lm::make_parameters(trained_, at::kCPU);
  for (auto& [name, view] : out.views) {
    if (const auto found = stored_->tensors.find(name); found != stored_->tensors.end())
      view.copy_(found->second);
  }
  out.views.at("energy.scale").fill_(options_.scale);
  out.views.at("energy.offset").fill_(options_.offset);
  return lm::to_device(std::move(out), trained_, device);
}

std::unique_ptr<EnergyModel> LikelihoodArm::build(const TensorMap& values) const {
  auto model = lm::build_model(stored_->config, [&](const std::string& name, at::IntArrayRef) {
    const auto found = values.find(name);
    return found != values.end() ? found->second : stored_->tensors.at(name);
  });
  return std::make_unique<LikelihoodModel>(std::move(model), *frozen_, options_, values);
}

double LikelihoodArm::prepare(const std::vector<EncodedProgram*>& programs, double bytes) const {
  double used = 0;
  for (size_t begin = 0; begin < programs.size() && used < bytes; begin += kTogether) {
    const size_t end = std::min(begin + kTogether, programs.size());
    std::vector<View> views;
    for (size_t i = begin; i < end; ++i)
      views.push_back(
          {programs[i]->ids.data(), std::ssize(programs[i]->ids), programs[i]->targets});
    const auto states =
        FrozenReader(*frozen_, stored_->config.layers - options_.tuned_layers).read(views);
    std::set<const nn::AttentionPrefix*> prompts;
    for (size_t i = begin; i < end; ++i) {
      auto& state = programs[i]->state = states[i - begin];
      used += static_cast<double>(state->below.nbytes());
      if (!prompts.insert(state->prompt.get()).second) continue;
      for (const auto& qkv : state->prompt->qkv)
        used += qkv.defined() ? static_cast<double>(qkv.nbytes()) : 0.0;
    }
  }
  return used;
}

}  // namespace preimage::verifier
