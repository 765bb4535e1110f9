// Evolution with races: each round is a stage, on as many items as the stage has.
#include <algorithm>
#include <set>
#include <string>

#include <ATen/ATen.h>

#include "arms.hpp"
#include "capo.hpp"
#include "inversion.hpp"
#include "process.hpp"

namespace preimage::lipo {
namespace {

constexpr int64_t kTries = 6;  // rounds of inversion before the pool gives children

std::vector<CapoMember> members_of(const ArmGround& ground) {
  std::vector<CapoMember> out;
  for (const auto& one : ground.start)
    out.push_back({ground.instructions[static_cast<size_t>(one.candidate)].text, one.candidate,
                   one.wrong, one.items});
  return out;
}

std::vector<CapoMember> members_of(const std::vector<Observation>& own, int64_t pool) {
  std::vector<CapoMember> out;
  for (const auto& one : own)
    out.push_back({one.text, pool + std::ssize(out), one.wrong, one.items});
  return out;
}

// Children of a generation, each unlike all that was asked and unlike its siblings.
class Breeding {
 public:
  Breeding(const ArmGround& ground, const ArmHistory& history, const CapoState& state)
      : ground_(ground), history_(history), state_(state) {
    for (const auto& member : members_of(ground)) taken_.insert(folded(member.text));
    for (const auto& one : history.observations) taken_.insert(folded(one.text));
  }

  std::vector<std::string> children(const CapoOptions& options, const base::RandomStream& random) {
    std::vector<std::string> out;
    for (int64_t round = 0; round < kTries && std::ssize(out) < options.offspring; ++round)
      for (const auto& text : ground_.inverter.invert(embeddings(options, round, random)))
        take(text, options, out);
    // What the inverter repeats, the pool fills up: its next that nobody asked for.
    for (const auto& instruction : ground_.instructions) take(instruction.text, options, out);
    if (std::ssize(out) < options.offspring) out.clear();
    return out;
  }

 private:
  void take(const std::string& text, const CapoOptions& options, std::vector<std::string>& out) {
    if (text.empty() || std::ssize(out) == options.offspring) return;
    if (taken_.insert(folded(text)).second) out.push_back(text);
  }
  at::Tensor embedding(const CapoMember& member) const {
    const auto pool = std::ssize(ground_.instructions);
    if (member.place < pool) return ground_.embeddings[member.place];
    const auto& own = history_.observations[static_cast<size_t>(member.place - pool)].embedding;
    // Of several that were asked at once only the first brings its embedding along.
    return own.defined() ? own : ground_.inverter.embed({member.text})[0];
  }
  // Of one child for each draw: the mean of two parents, with noise.
  at::Tensor embeddings(const CapoOptions& options, int64_t round,
                        const base::RandomStream& random) const {
    const auto count = static_cast<uint64_t>(state_.population.size());
    const int64_t d = ground_.embeddings.size(1);
    std::vector<at::Tensor> rows;
    for (int64_t child = 0; child < options.offspring; ++child) {
      const auto number = static_cast<uint64_t>(round * options.offspring + child);
      const auto first = random.below(count, 2 * number);
      auto second = first;
      if (count > 1) {
        second = random.below(count - 1, 2 * number + 1);
        if (second >= first) ++second;
      }
      auto mean = embedding(state_.population[first]) + embedding(state_.population[second]);
      mean = mean / mean.norm().clamp_min(1e-12);
      auto noise = at::empty({d}, at::kFloat);
      for (int64_t k = 0; k < d; ++k)
        noise.data_ptr<float>()[k] = static_cast<float>(random.normal(
            (uint64_t{1} << 36) + number * static_cast<uint64_t>(d) + static_cast<uint64_t>(k)));
      const auto moved = mean + options.mutation * noise / noise.norm();
      rows.push_back(moved / moved.norm().clamp_min(1e-12));
    }
    return at::stack(rows);
  }

  const ArmGround& ground_;
  const ArmHistory& history_;
  const CapoState& state_;
  std::set<std::string> taken_;
};

class CapoArm : public Arm {
 public:
  ArmStep propose(const ArmGround& ground, const ArmHistory& history,
                  const base::RandomStream& random) const override {
    const OneThread one_thread;
    const auto& options = ground.config.capo;
    ArmStep step{.numbers = no_numbers()};
    const auto state =
        replay(first_population(members_of(ground), options),
               members_of(history.observations, std::ssize(ground.instructions)), options);
    std::vector<bo::HyperbandBracket> brackets;  // without a ladder: all items at once
    if (ground.config.runs_hyperband())
      brackets = bo::hyperband_brackets(ground.items, std::ssize(ground.instructions),
                                        ground.config.hyperband);
    const int64_t items = capo_stage_items(state.stage, ground.items, brackets, options);
    if (state.stage == 0) {
      for (const auto& text : Breeding(ground, history, state).children(options, random))
        step.asked.push_back({text, items});
    } else {
      for (const auto& child : state.racing) step.asked.push_back({child.text, items});
    }
    if (step.asked.empty()) return step;
    step.first_text = step.asked.front().text;
    step.embedding = ground.inverter.embed({step.first_text})[0];
    step.latent = latent_of(ground.vae, step.embedding);
    step.numbers.observations = std::ssize(ground.start) + std::ssize(history.observations);
    return step;
  }
};

}  // namespace

std::unique_ptr<Arm> make_capo_arm() {
  return std::make_unique<CapoArm>();
}

}  // namespace preimage::lipo
