#include "lipo.hpp"
#include "method.hpp"

#include <algorithm>
#include <filesystem>
#include <set>

#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"
#include "preimage/lm/checkpoint/checkpoint_identity.hpp"
#include "preimage/lm/shared_model.hpp"
#include "preimage/run/context.hpp"
#include "search.hpp"

namespace preimage::lipo {
namespace {

namespace fs = std::filesystem;

lm::LoadOptions load_options(const TargetConfig& config, at::Device device) {
  return {.dtype = config.dtype == "bfloat16" ? at::kBFloat16 : at::kFloat,
          .device = device,
          .adapter = config.adapter};
}

std::vector<KnownError> known_errors(const LipoConfig& c) {
  if (c.mode == "skip_hyperband")
    return read_evaluations(c.hyperband_evals_path, c.items.validation);
  if (c.mode != "grid") return {};
  auto all = read_evaluations(c.grid_path, c.items.validation);
  std::stable_sort(all.begin(), all.end(), [](const KnownError& a, const KnownError& b) {
    return a.wrong * b.items < b.wrong * a.items;
  });
  all.resize(std::min(all.size(), static_cast<size_t>(c.top_k)));
  return all;
}

// Whether a model of the run writes the instructions.
bool writes(const LipoConfig& c) {
  return c.runs_hyperband() && c.ape.generates() && !fs::exists(c.ape.cache_path);
}

}  // namespace

std::vector<std::string> Lipo::identity_files() const {
  const auto& c = config_;
  std::set<std::string> files = {c.items.path};
  const auto add_folder = [&](const fs::path& folder) {
    for (auto& file : lm::checkpoint_identity(folder)) files.insert(std::move(file));
  };
  for (const auto& folder : {c.target.model, c.inverter.embedder, c.inverter.model})
    add_folder(folder);
  if (!c.target.adapter.empty()) add_folder(c.target.adapter);
  if (!c.inverter.corrector.empty()) add_folder(c.inverter.corrector);
  if (writes(c)) {
    add_folder(c.ape_model());
    files.insert(c.ape.styles);
  } else if (c.runs_hyperband()) {
    files.insert(c.ape.cache_path);
  }
  for (const auto& file : {c.items.test_path, c.hyperband_evals_path, c.grid_path}) {
    if (!file.empty()) files.insert(file);
  }
  return {files.begin(), files.end()};
}

run::Estimate Lipo::estimate() {
  const auto& c = config_;
  run::Estimate out;
  double calls = 0;
  if (c.runs_hyperband()) {
    const auto brackets =
        bo::hyperband_brackets(c.items.validation, c.ape.num_instructions, c.hyperband);
    // Brackets share what they know of an instruction.
    const auto hyperband =
        std::min(bo::calls_with_extension(brackets), c.ape.num_instructions * c.items.validation);
    calls += static_cast<double>(hyperband);
    out.notes.push_back(base::str("Hyperband: at most ", hyperband, " model calls (",
                                  bo::calls_from_zero(brackets),
                                  " if nothing were kept between fidelities)"));
    // A model of the lowest level is fitted anew behind each evaluation there.
    const auto& first = brackets.front().stages.front();
    const int64_t waiting = first.candidates - c.hyperband.min_observations;
    if (c.hyperband.proposals == "paper" && waiting > 0)
      out.notes.push_back(base::str(
          "of these, ", waiting, " proposals of the first bracket wait for one another: ", waiting,
          " x ", c.target.max_new_tokens, " decoding steps of ", first.items,
          " answers at once, whatever the number of workers; not in the time above"));
  }
  if (writes(c)) {
    out.notes.push_back(base::str("instructions: at most ",
                                  5 * c.ape.max_batches * c.ape.batch_size,
                                  " model calls, at least ", c.ape.num_instructions));
    calls += static_cast<double>(c.ape.num_instructions);
  }
  const auto arms = c.searches() ? static_cast<int64_t>(c.arms.size()) * c.arm_seeds : 0;
  if (c.evaluate_proposals) calls += static_cast<double>(arms * c.iterations * c.items.validation);
  calls += static_cast<double>((arms + 2 + std::ssize(c.baselines)) * c.items.test);
  const auto model = lm::read_model_config(c.target.model);
  out.model_calls = calls;
  out.units = static_cast<int64_t>(calls) / c.target.block + arms * c.iterations;
  // A prompt of a question is about as long as an answer is allowed to be, up to 128 tokens.
  const auto tokens = static_cast<double>(c.target.max_new_tokens +
                                          std::min<int64_t>(128, c.target.max_new_tokens));
  out.tokens = calls * tokens;
  out.flop = 2 * static_cast<double>(model.active_parameters()) * out.tokens;
  out.bytes_per_worker = lm::weight_bytes(model, load_options(c.target, at::kCPU));
  out.notes.push_back(
      base::str(arms, " arms behind it, each with up to ", c.iterations * c.items.validation,
                " calls; answers are counted as ", c.target.max_new_tokens, " tokens each"));
  return out;
}

std::unique_ptr<run::Search> Lipo::make_search(run::Context& context) {
  const auto& c = config_;
  const auto load = [&](const std::string& folder, const lm::LoadOptions& options) {
    return eval::load_text_model(folder, lm::shared_model(context, folder, options), c.target.chat);
  };
  const auto options = load_options(c.target, context.device());
  auto setup = std::make_shared<Setup>(
      Setup{.config = c,
            .seed = context.seed(),
            .items = read_items(c.items),
            .model = load(c.target.model, options),
            .identity = eval::model_identity(c.target.model, options, c.target.chat),
            .writer = std::nullopt,
            .words = std::nullopt,
            .written = {},
            .known = known_errors(c),
            .inverter = TextInverter(c.inverter, context.device())});
  if (const auto width = setup->inverter.embedding_dim();
      c.embedding_dim != 0 && c.embedding_dim != width)
    throw base::config_error(base::str("\"lipo.embedding_dim\" is ", c.embedding_dim,
                                       ", the encoder's embeddings have ", width, " numbers"));
  if (writes(c)) {
    setup->words = read_ape_words(c.ape.styles);
    // An adapter belongs to the model that follows instructions; another writer has none.
    if (!c.ape.model.empty() && c.ape.model != c.target.model) {
      auto plain = options;
      plain.adapter.clear();
      setup->writer.emplace(load(c.ape.model, plain));
    }
  } else if (c.runs_hyperband()) {
    setup->written = read_instructions(c.ape.cache_path);
  }
  if (context.world().root()) {
    for (const auto& warning : setup->model.tokenizer.warnings()) context.log().warn(warning);
  }
  return std::make_unique<LipoSearch>(context, std::move(setup));
}

std::unique_ptr<run::Experiment> make_method() {
  return std::make_unique<Lipo>();
}

}  // namespace preimage::lipo
