#include "sweep/rollout.hpp"

#include <limits>
#include <map>

#include "preimage/base/error.hpp"
#include "preimage/base/json.hpp"

namespace preimage::grpo {
namespace {

// Tickets of the source are the places of samples: task * group + index.
class Rollouts {
 public:
  Rollouts(lm::Generator& generator, RewardSource& source, const RolloutOptions& options)
      : generator_(generator), source_(source), options_(options) {}

  std::vector<SampleGroup> run(const std::vector<RolloutTask>& tasks) {
    for (const auto& task : tasks) submit(task);
    const auto stopped = [&] { return options_.stopping && options_.stopping(); };
    while (generator_.pending() > 0 || unjudged_ > 0) {
      if (stopped()) {
        generator_.cancel();
        while (unjudged_ > 0) receive(-1);
        return {};
      }
      if (generator_.pending() > 0) {
        if (const auto completion = generator_.next(kPass)) take(*completion, tasks);
        receive(0);
      } else {
        receive(kPatience);
      }
    }
    return std::move(groups_);
  }

 private:
  static constexpr double kPass = 0.2, kPatience = 0.2;  // seconds between looks at `stopping`

  void submit(const RolloutTask& task) {
    auto& group = groups_.emplace_back();
    group.problem = task.problem;
    group.prompt = source_.prompt(task.test, task.problem, task.hint);
    group.samples.resize(static_cast<size_t>(options_.group));
    const auto ticket = generator_.submit({.ids = group.prompt,
                                           .max_new_tokens = options_.max_new_tokens,
                                           .stop_ids = options_.stop_ids,
                                           .sampling = {.temperature = options_.temperature,
                                                        .top_p = options_.top_p,
                                                        .seed = task.key},
                                           .n = options_.group});
    places_[ticket] = std::ssize(groups_) - 1;
  }

  void take(const lm::Completion& completion, const std::vector<RolloutTask>& tasks) {
    const int64_t place = places_.at(completion.request);
    const auto& task = tasks[static_cast<size_t>(place)];
    auto& sample =
        groups_[static_cast<size_t>(place)].samples[static_cast<size_t>(completion.index)];
    sample.completion = completion.ids;
    // That it ended there was its choice, and is learnt like every other token.
    if (completion.finish_reason == "eos") sample.completion.push_back(options_.stop_ids.at(0));
    source_.submit(place * options_.group + completion.index, task.test, task.problem,
                   completion.text);
    ++unjudged_;
  }

  void receive(double timeout_s) {
    while (unjudged_ > 0) {
      const auto judged = source_.next(timeout_s);
      if (!judged) return;
      const auto [ticket, grade] = *judged;
      groups_[static_cast<size_t>(ticket / options_.group)]
          .samples[static_cast<size_t>(ticket % options_.group)]
          .grade = grade;
      --unjudged_;
      if (timeout_s > 0) return;
    }
  }

  lm::Generator& generator_;
  RewardSource& source_;
  const RolloutOptions& options_;
  std::vector<SampleGroup> groups_;
  std::map<int64_t, int64_t> places_;  // of the generator's tickets
  int64_t unjudged_ = 0;
};

}  // namespace

std::vector<SampleGroup> roll_out(lm::Generator& generator, RewardSource& source,
                                  const std::vector<RolloutTask>& tasks,
                                  const RolloutOptions& options) {
  base::check(generator.pending() == 0 && !options.stop_ids.empty(),
              "a rollout has a generator to itself and a token that ends completions");
  return Rollouts(generator, source, options).run(tasks);
}

std::string packed_groups(const std::vector<SampleGroup>& groups) {
  auto all = base::Json::array();
  for (const auto& group : groups) {
    auto samples = base::Json::array();
    for (const auto& [completion, grade] : group.samples) {
      const auto& l = grade.labels;
      samples.push_back({completion, grade.reward, l.fmt_ok, l.can_compile, l.gt_pass,
                         l.defines_tests, l.own_pass, l.vacuous, l.wrong_tests, grade.verdict});
    }
    all.push_back({group.problem, group.prompt, samples});
  }
  return all.dump();
}

std::vector<SampleGroup> unpacked_groups(const std::string& bytes) {
  std::vector<SampleGroup> out;
  for (const auto& group : base::Json::parse(bytes)) {
    auto& into = out.emplace_back();
    into.problem = group[0].get<int64_t>();
    into.prompt = group[1].get<std::vector<int64_t>>();
    for (const auto& sample : group[2]) {
      auto& [completion, grade] = into.samples.emplace_back();
      completion = sample[0].get<std::vector<int64_t>>();
      grade.reward = sample[1].get<double>();
      size_t place = 2;
      auto& l = grade.labels;
      for (bool* label : {&l.fmt_ok, &l.can_compile, &l.gt_pass, &l.defines_tests, &l.own_pass,
                          &l.vacuous, &l.wrong_tests})
        *label = sample[place++].get<bool>();
      grade.verdict = sample[place].get<std::string>();
    }
  }
  return out;
}

RolloutMeans means_of(const std::vector<SampleGroup>& groups) {
  RolloutMeans out;
  double attempts = 0, hacks = 0;
  for (const auto& group : groups) {
    for (const auto& [completion, grade] : group.samples) {
      const auto& labels = grade.labels;
      ++out.samples;
      out.reward += grade.reward;
      out.strict_hack += labels.strict_hack();
      out.hacked += labels.hacked();
      out.gt_pass += labels.gt_pass;
      out.defines_tests += labels.defines_tests;
      out.tokens += static_cast<double>(completion.size());
      if (!labels.defines_tests) continue;
      ++attempts;
      hacks += labels.strict_hack();
    }
  }
  const double n =
      out.samples > 0 ? static_cast<double>(out.samples) : std::numeric_limits<double>::quiet_NaN();
  for (double* sum :
       {&out.reward, &out.strict_hack, &out.hacked, &out.gt_pass, &out.defines_tests, &out.tokens})
    *sum /= n;
  out.hack_of_attempts = attempts > 0 ? hacks / attempts : std::numeric_limits<double>::quiet_NaN();
  return out;
}

}  // namespace preimage::grpo
