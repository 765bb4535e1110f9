#include "grpo.hpp"
#include "method.hpp"

#include <algorithm>
#include <filesystem>
#include <set>

#include "pools/pairs.hpp"
#include "pools/pool_stage.hpp"
#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"
#include "preimage/eval/sandbox_judge.hpp"
#include "preimage/lm/checkpoint/checkpoint_identity.hpp"
#include "preimage/lm/shared_model.hpp"
#include "preimage/run/context.hpp"
#include "preimage/run/recorder.hpp"
#include "search.hpp"
#include "sweep/machine.hpp"

namespace preimage::grpo {
namespace {

namespace fs = std::filesystem;

at::ScalarType dtype_of(const ModelConfig& config) {
  return config.dtype == "bfloat16" ? at::kBFloat16 : at::kFloat;
}

// Prompts of pairs are rendered already; a completion ends as an answer does.
std::vector<EncodedPair> encoded(const std::string& selector, const eval::TextModel& model) {
  std::vector<EncodedPair> out;
  if (selector.empty()) return out;
  const auto end = end_of_answer(model);
  for (const auto& pair : read_pairs(selector)) {
    const auto completion = [&](const std::string& text) {
      auto ids = model.tokenizer.encode(text, {.parse_special = false});
      if (end) ids.push_back(*end);
      return ids;
    };
    const auto prompt = model.tokenizer.encode(pair.prompt);
    if (prompt.empty() || pair.hack == pair.clean)
      throw base::data_error(base::str(pairs_path(selector), ": pair ", pair.id,
                                       " has an empty prompt or two equal completions"));
    out.push_back({{prompt, completion(pair.hack)}, {prompt, completion(pair.clean)}});
  }
  return out;
}

}  // namespace

std::vector<std::string> Grpo::identity_files() const {
  std::set<std::string> files;
  const auto add_checkpoint = [&](const fs::path& folder) {
    for (auto& file : lm::checkpoint_identity(folder)) files.insert(std::move(file));
  };
  add_checkpoint(config_.model.dir);
  const bool sweeps = config_.stage == "sweep";
  if (config_.pools.replay.empty() && !sweeps) add_checkpoint(config_.pools.teacher);
  if (sweeps && !config_.sweep.start.empty()) add_checkpoint(config_.sweep.start);
  if (sweeps) files.insert(config_.test.path);
  for (const auto& folder : config_.pools.replay)
    for (const auto& entry : fs::directory_iterator(folder))
      if (entry.is_regular_file()) files.insert(entry.path().string());
  files.insert(config_.pools.problems.path);
  files.insert(pairs_path(config_.extraction.pairs));
  if (!config_.nulls.style_pairs.empty()) files.insert(pairs_path(config_.nulls.style_pairs));
  return {files.begin(), files.end()};
}

run::Estimate Grpo::estimate() {
  if (config_.stage == "sweep") return sweep_estimate(config_);
  run::Estimate out;
  const auto model = lm::read_model_config(config_.model.dir);
  const auto parameters = static_cast<double>(model.parameters());
  const auto& c = config_;
  const auto keys = chain_keys(c.probe);
  const auto pools = c.pools.replay.empty() ? 2.0 : static_cast<double>(c.pools.replay.size());
  const double steps = static_cast<double>(c.probe.steps);
  const double written =
      c.pools.replay.empty()
          ? pools * steps * static_cast<double>(c.pools.samples) / (c.probe.both_halves ? 2 : 1)
          : 0;
  const double length = static_cast<double>(c.pools.max_new_tokens);
  const auto pairs = static_cast<double>(read_pairs(c.extraction.pairs).size());
  const double replayed =
      static_cast<double>(keys.size()) * steps * static_cast<double>(c.pools.samples);
  out.units = static_cast<int64_t>(pools * steps) + 2 + std::ssize(keys);
  out.ranks = std::max<int64_t>(std::ssize(keys), 1);
  out.model_calls = written + replayed + 4 * pairs;
  out.tokens = out.model_calls * length;
  // Forward 2, backward to the activations 2: frozen weights get no gradient.
  out.flop = parameters * length * (2 * written + 4 * (replayed + 4 * pairs));
  out.bytes_per_worker = lm::weight_bytes(model, {dtype_of(c.model), at::kCPU});
  out.notes.push_back(base::str(static_cast<int64_t>(written), " answers to write and judge; ",
                                static_cast<int64_t>(replayed), " samples to differentiate in ",
                                keys.size(), " chains; directions of ", pairs, " pairs"));
  return out;
}

std::unique_ptr<run::Search> Grpo::make_search(run::Context& context) {
  const auto dtype = dtype_of(config_.model);
  const auto& dir = config_.model.dir;
  const lm::LoadOptions plain{.dtype = dtype, .device = context.device()};
  Setup setup{
      config_, context.seed(),
      eval::load_text_model(dir, lm::shared_model(context, dir, plain), config_.model.chat)};
  setup.problems = load_problems(config_, setup.student);
  for (const auto& folder : config_.pools.replay)
    setup.stored.push_back(read_pool(folder, setup.student.tokenizer));
  require_problems(setup.stored, setup.problems, config_.probe.steps);
  if (setup.stored.size() == 2 && setup.stored[0][0].pool == setup.stored[1][0].pool)
    throw base::config_error(base::str("\"pools.replay\": both folders are called ",
                                       setup.stored[0][0].pool, "; their names tell them apart"));
  setup.pairs = encoded(config_.extraction.pairs, setup.student);
  setup.style_pairs = encoded(config_.nulls.style_pairs, setup.student);
  if (std::ssize(setup.pairs) <= config_.extraction.heldout)
    throw base::config_error(base::str("\"extraction.heldout\": found ", config_.extraction.heldout,
                                       " of ", setup.pairs.size(), " pairs, expected fewer"));
  auto adapted = plain;
  adapted.adapter = config_.pools.teacher;
  setup.teacher = [&context, dir, adapted] { return lm::shared_model(context, dir, adapted); };
  setup.judge =
      eval::sandbox_judge(context, config_.sandbox, [&context](const base::Json& description) {
        context.recorder().describe_start("sandbox", description);
      });
  if (context.world().root())
    for (const auto& note : setup.problems.notes) context.log().info(note);
  if (config_.stage == "sweep")
    return make_sweep(context, std::make_shared<const Setup>(std::move(setup)));
  return std::make_unique<GrpoSearch>(context, std::make_unique<const Setup>(std::move(setup)));
}

std::unique_ptr<run::Experiment> make_method() {
  return std::make_unique<Grpo>();
}

}  // namespace preimage::grpo
