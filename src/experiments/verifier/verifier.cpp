#include "verifier.hpp"
#include "method.hpp"

#include <algorithm>
#include <filesystem>
#include <set>

#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"
#include "preimage/eval/sandbox_judge.hpp"
#include "preimage/lm/checkpoint/checkpoint_identity.hpp"
#include "preimage/lm/shared_model.hpp"
#include "preimage/run/context.hpp"
#include "preimage/run/recorder.hpp"
#include "search.hpp"

namespace preimage::verifier {
namespace {

namespace fs = std::filesystem;

void add_checkpoint(std::set<std::string>& files, const fs::path& folder, bool weights) {
  for (auto& file : lm::checkpoint_identity(folder, weights)) files.insert(std::move(file));
}

}  // namespace

std::vector<std::string> Verifier::identity_files() const {
  std::set<std::string> files;
  const bool uses_generator = config_.generates() || config_.reads_generator();
  if (uses_generator) add_checkpoint(files, config_.generation.model, true);
  add_checkpoint(files, config_.tokenizer_folder(), false);
  if (config_.generates()) {
    files.insert(config_.data.problems.path);
    if (!config_.data.test.path.empty()) files.insert(config_.data.test.path);
  } else {
    files.insert(config_.data.candidates);
  }
  return {files.begin(), files.end()};
}

run::Estimate Verifier::estimate() {
  run::Estimate out;
  double programs = 0;
  int64_t problems = 0;
  if (config_.generates()) {
    const auto loaded = load_problems(config_, 0);
    problems = static_cast<int64_t>(loaded.list.size());
    out.units = static_cast<int64_t>(candidate_units(config_.generation, loaded).size()) + problems;
    for (const auto& problem : loaded.list)
      programs +=
          static_cast<double>(problem.split == Split::test ? config_.generation.test_candidates
                                                           : config_.generation.train_candidates);
    out.notes = loaded.notes;
    out.notes.push_back(base::str(static_cast<int64_t>(programs), " programs to write and run"));
    const auto model = lm::read_model_config(config_.generation.model);
    out.tokens = programs * static_cast<double>(config_.generation.max_new_tokens);
    out.flop = 2 * static_cast<double>(model.parameters()) * out.tokens;
    out.bytes_per_worker = lm::weight_bytes(
        model, {config_.generation.dtype == "bfloat16" ? at::kBFloat16 : at::kFloat, at::kCPU});
  } else {
    const auto corpus = read_corpus(config_.data, 0);
    out.notes = corpus.notes;
    out.units = static_cast<int64_t>(corpus.problems.size());
    for (const auto& problem : corpus.problems)
      programs += static_cast<double>(problem.candidates.size());
  }
  const double trainings = static_cast<double>(config_.arms.kinds.size() * config_.losses.size()) *
                           static_cast<double>(config_.training_seeds);
  out.model_calls = programs * (1 + trainings);
  out.notes.push_back(base::str(trainings, " trainings; each scores every program"));
  return out;
}

std::unique_ptr<run::Search> Verifier::make_search(run::Context& context) {
  Setup setup{
      config_, context.seed(), {}, std::nullopt, text::load_tokenizer(config_.tokenizer_folder()),
      nullptr};
  if (context.world().root()) {
    for (const auto& warning : setup.tokenizer.warnings()) context.log().warn(warning);
  }
  if (config_.generates()) {
    const auto dtype = config_.generation.dtype == "bfloat16" ? at::kBFloat16 : at::kFloat;
    setup.problems = load_problems(config_, context.seed());
    setup.generator = load_generator(
        config_.generation, lm::shared_model(context, config_.generation.model,
                                             {.dtype = dtype, .device = context.device()}));
    setup.judge =
        eval::sandbox_judge(context, config_.sandbox, [&context](const base::Json& description) {
          context.recorder().describe_start("sandbox", description);
        });
    if (context.world().root()) {
      for (const auto& note : setup.problems.notes) context.log().info(note);
    }
  }
  return std::make_unique<VerifierSearch>(context, std::make_unique<const Setup>(std::move(setup)));
}

std::unique_ptr<run::Experiment> make_method() {
  return std::make_unique<Verifier>();
}

}  // namespace preimage::verifier
