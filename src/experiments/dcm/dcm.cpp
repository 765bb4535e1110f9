#include "dcm.hpp"
#include "method.hpp"

#include <algorithm>
#include <filesystem>

#include <ATen/ATen.h>

#include "optimiser.hpp"
#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"
#include "preimage/lm/checkpoint/checkpoint_identity.hpp"
#include "preimage/lm/shared_model.hpp"
#include "preimage/run/context.hpp"
#include "search.hpp"

namespace preimage::dcm {
namespace {

namespace fs = std::filesystem;

// The data sets of a folder.
std::vector<std::string> data_files(const fs::path& folder) {
  std::vector<std::string> out;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored)) {
    const auto extension = entry.path().extension();
    if (entry.is_regular_file() && (extension == ".json" || extension == ".jsonl"))
      out.push_back(entry.path());
  }
  std::sort(out.begin(), out.end());
  return out;
}

lm::LoadOptions load_options(const ModelConfig& config, at::Device device) {
  return {.dtype = config.dtype == "bfloat16" ? at::kBFloat16 : at::kFloat,
          .device = device,
          .weights = lm::parse_weight_format(config.weights),
          .adapter = config.adapter};
}

// Operations of one evaluation with its gradient to the inputs (dcm.md section 13, by the same
// count): 4 N a position, 4 V d a predicted token, 12 L heads head_dim T^2 a sequence.
double flop_of_step(const lm::ModelConfig& m, double positions, double predicted, double squares) {
  const auto embedding = static_cast<double>(m.vocab_size * m.hidden_size);
  const double linear =
      static_cast<double>(m.active_parameters()) - embedding * (m.tied_embeddings ? 1 : 2);
  return 4 * linear * positions + 4 * embedding * predicted +
         12 * static_cast<double>(m.layers * m.query_heads * m.head_dim) * squares;
}

}  // namespace

base::ConfigErrors Dcm::check() {
  auto errors = config_.check();
  const auto files = config_.check_files();
  errors.insert(errors.end(), files.begin(), files.end());
  if (files.empty() && !config_.text_encoder.empty()) {
    try {
      TextCosine{config_.text_encoder};
    } catch (const base::Error& error) {
      errors.push_back(std::string("\"dcm.text_encoder\": ") + error.what());
    }
  }
  return errors;
}

std::vector<std::string> Dcm::identity_files() const {
  auto files = lm::checkpoint_identity(config_.model.dir);
  if (!config_.model.adapter.empty()) {
    const auto adapter = lm::checkpoint_identity(config_.model.adapter);
    files.insert(files.end(), adapter.begin(), adapter.end());
  }
  if (fs::is_directory(config_.data.path)) {
    const auto data = data_files(config_.data.path);
    files.insert(files.end(), data.begin(), data.end());
  } else if (!config_.data.path.empty()) {
    files.push_back(config_.data.path);
  }
  if (!config_.paraphrases.empty()) files.push_back(config_.paraphrases);
  if (!config_.text_encoder.empty()) {
    const auto encoder = lm::checkpoint_identity(config_.text_encoder);
    files.insert(files.end(), encoder.begin(), encoder.end());
  }
  return files;
}

run::Estimate Dcm::estimate() {
  const auto model = lm::read_model_config(config_.model.dir);
  const auto tokenizer = text::load_tokenizer(config_.model.dir);
  const auto vocabulary = make_vocabulary(config_, tokenizer, model);
  const auto pairs = load_pairs(config_, tokenizer, vocabulary, model);
  run::Estimate out;
  const double steps = static_cast<double>(config_.schedule.steps + 1);
  const auto add_stage = [&](int64_t count, int64_t k, double restarts) {
    for (int64_t i = 0; i < count; ++i) {
      const auto& pair = pairs[static_cast<size_t>(i)];
      const auto q = static_cast<double>(pair.question_ids.size()),
                 a = static_cast<double>(pair.answer_ids.size());
      const double positions = 2 * static_cast<double>(k) + q + a;
      const double squares =
          std::pow(static_cast<double>(k) + q, 2) + std::pow(static_cast<double>(k) + a, 2);
      out.model_calls += 2 * steps * restarts;
      out.tokens += positions * steps * restarts;
      out.flop += flop_of_step(model, positions, q + a, squares) * steps * restarts;
    }
    out.units += count;
  };
  const auto count = static_cast<int64_t>(pairs.size());
  const double restarts =
      config_.restart_policy == "all" ? static_cast<double>(config_.restarts) : 1;
  add_stage(count, config_.k, 0);  // the baselines are a negligible share
  if (config_.has_stage("single")) add_stage(count, config_.k, restarts);
  if (config_.has_stage("joint")) add_stage(count, config_.k, restarts);
  if (config_.has_stage("ksweep")) {
    for (const int64_t k : config_.k_sweep) {
      if (k != config_.k || !config_.has_stage("joint"))
        add_stage(config_.k_sweep_pairs > 0 ? config_.k_sweep_pairs : count, k, restarts);
    }
  }
  if (config_.has_stage("paraphrase")) add_stage(count, config_.k, restarts);
  // Large models run on a GPU, and in bfloat16; the CPU also keeps its kernels' copies.
  const auto dtype = config_.model.dtype == "bfloat16" ? at::kBFloat16 : at::kFloat;
  const at::Device device = dtype == at::kBFloat16 ? at::kCUDA : at::kCPU;
  out.bytes_per_worker =
      lm::weight_bytes(model, load_options(config_.model, device)) +
      bytes_per_position(model, dtype) * static_cast<double>(config_.batch_tokens);
  for (const auto& file : config_.text_encoder.empty()
                              ? std::vector<std::string>{}
                              : lm::checkpoint_identity(config_.text_encoder)) {
    if (file.ends_with(".safetensors"))
      out.bytes_per_worker += static_cast<double>(fs::file_size(file));
  }
  out.notes = config_.notes();
  if (const auto note = paraphrase_note(pairs, config_); !note.empty()) out.notes.push_back(note);
  if (config_.restart_policy == "failures")
    out.notes.push_back("one restart for each unit is counted; failed ones add up to " +
                        std::to_string(config_.restarts - 1) + " more");
  return out;
}

std::unique_ptr<run::Search> Dcm::make_search(run::Context& context) {
  const auto model_config = lm::read_model_config(config_.model.dir);
  auto tokenizer = text::load_tokenizer(config_.model.dir);
  auto vocabulary = make_vocabulary(config_, tokenizer, model_config);
  auto pairs = load_pairs(config_, tokenizer, vocabulary, model_config);
  auto model =
      lm::shared_model(context, config_.model.dir, load_options(config_.model, context.device()));
  auto statistics = table_statistics(*model);
  const auto ids = at::tensor({vocabulary.mode_question, vocabulary.mode_answer}, at::kLong)
                       .to(context.device());
  auto modes = model->embed(ids).detach();
  if (context.world().root()) {
    for (const auto& note : config_.notes()) context.log().info(note);
    for (const auto& warning : tokenizer.warnings()) context.log().warn(warning);
    if (const auto note = paraphrase_note(pairs, config_); !note.empty()) context.log().warn(note);
  }
  std::shared_ptr<TextCosine> cosine;
  if (!config_.text_encoder.empty()) {
    cosine = std::make_shared<TextCosine>(config_.text_encoder);
    cosine->load(context.device());
  }
  auto setup = std::make_shared<const Setup>(
      Setup{config_, context.seed(), std::move(tokenizer), std::move(vocabulary), std::move(pairs),
            std::move(model), std::move(statistics), std::move(modes), std::move(cosine)});
  return std::make_unique<DcmSearch>(context, std::move(setup));
}

std::unique_ptr<run::Experiment> make_method() {
  return std::make_unique<Dcm>();
}

}  // namespace preimage::dcm
