// The part of gpu_check about whole models: the fixtures of tests/lm against what transformers
// computed, and random models whose heads the kernels read against the CPU; each row against itself
// in other company.
#include <algorithm>
#include <bit>
#include <cmath>
#include <fstream>

#include <torch/csrc/autograd/autograd.h>

#include <ATen/core/grad_mode.h>
#include "gpu_check.hpp"

#include "preimage/base/json.hpp"
#include "preimage/lm/checkpoint/safetensors.hpp"
#include "preimage/lm/generate/beam_search.hpp"
#include "preimage/lm/generate/generate.hpp"
#include "preimage/lm/score.hpp"
#include "preimage/lm/t5/tasks.hpp"
#include "preimage/lm/t5/vec2text.hpp"
#include "preimage/nn/choose_tokens.hpp"

namespace preimage::bench {
namespace {

namespace fs = std::filesystem;
using lm::GenerateRequest;
using lm::LoadOptions;
using lm::WeightFormat;
using Ids = std::vector<int64_t>;

// Largest difference over the largest magnitude: the measure of the families' tests.
double scaled_error(const at::Tensor& ours, const at::Tensor& theirs) {
  const auto a = ours.detach().cpu().to(at::kFloat), b = theirs.detach().cpu().to(at::kFloat);
  return ((a - b).abs().max() / b.abs().max()).item<double>();
}

at::Tensor packed_logits(const lm::Model& model, const at::Tensor& x, const Ids& lengths) {
  const nn::PackedAttention context(nn::make_packing(lengths, model.device()));
  return nn::linear(model.hidden(x, context), model.head());
}

at::Tensor embedded(const lm::Model& model, const Ids& ids) {
  return model.embed(at::tensor(ids, at::kLong).to(model.device()));
}

at::Tensor logits_of(const lm::Model& model, const Ids& ids) {
  return packed_logits(model, embedded(model, ids), {static_cast<int64_t>(ids.size())});
}

// Sequences whose logits among the others are not those that they have alone.
std::string dependent_sequences(const lm::Model& model, const std::vector<Ids>& texts) {
  Ids ids, lengths;
  for (const auto& text : texts) {
    ids.insert(ids.end(), text.begin(), text.end());
    lengths.push_back(static_cast<int64_t>(text.size()));
  }
  const auto all = packed_logits(model, embedded(model, ids), lengths);
  std::string wrong;
  int64_t first = 0;
  for (size_t i = 0; i < texts.size(); ++i) {
    if (!same_bits(logits_of(model, texts[i]), all.narrow(0, first, lengths[i])))
      wrong += base::str("sequence ", i, " ");
    first += lengths[i];
  }
  return wrong;
}

// ---- decoder fixtures ---------------------------------------------------------------------------

struct Fixture {
  fs::path folder;
  base::Json expected;
  lm::SafetensorsFile tensors;
  explicit Fixture(const fs::path& path, const fs::path& truth)
      : folder(path),
        expected(base::read_json(truth / "expected.json")),
        tensors(truth / "expected.safetensors") {}
  at::Tensor tensor(const std::string& name) const { return tensors.read(*tensors.find(name)); }
};

double mismatched_greedy(const Fixture& fixture, const lm::Model& model) {
  std::vector<GenerateRequest> requests;
  for (const auto& one : fixture.expected["greedy"])
    requests.push_back({.ids = one["prompt"].get<Ids>(), .max_new_tokens = 24});
  const auto completions = lm::generate(model, requests, {});
  double wrong = 0;
  for (size_t i = 0; i < requests.size(); ++i)
    wrong += completions[i].ids != fixture.expected["greedy"][i]["ids"].get<Ids>();
  return wrong;
}

double gradient_error(const Fixture& fixture, const lm::Model& model) {
  const auto x = fixture.tensor("soft.inputs_embeds").to(model.device()).requires_grad_();
  const auto out = packed_logits(model, x, {x.size(0)});
  const auto weights = fixture.tensor("soft.weights").to(model.device());
  const auto loss = (at::log_softmax(out, 1) * weights).sum();
  return scaled_error(torch::autograd::grad({loss}, {x})[0], fixture.tensor("soft.grad"));
}

void check_decoder_fixture(const Fixture& fixture, Findings& findings) {
  const auto texts = fixture.expected["sequences"].get<std::vector<Ids>>();
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    const bool half = dtype == at::kBFloat16;
    for (const auto weights : {WeightFormat::decoded, WeightFormat::stored}) {
      const auto model =
          lm::load_model(fixture.folder, {.dtype = dtype, .device = at::kCUDA, .weights = weights});
      const auto name = base::str(fixture.folder.filename().string(), half ? " bf16 " : " f32 ",
                                  lm::weight_format_name(weights));
      double error = 0;
      {
        const at::NoGradGuard no_grad;
        for (size_t i = 0; i < texts.size(); ++i) {
          const auto truth = fixture.tensor(base::str(half ? "bf16." : "logits.", i));
          error = std::max(error, scaled_error(logits_of(*model, texts[i]), truth));
        }
        findings.add(name, error, half ? 3e-2 : 1e-4, dependent_sequences(*model, texts));
      }
      if (half) continue;
      findings.add(name + " gradient", gradient_error(fixture, *model), 1e-4);
      findings.add(name + " greedy completions unlike", mismatched_greedy(fixture, *model), 0);
    }
  }
  const at::NoGradGuard no_grad;
  for (const auto weights : {WeightFormat::int8, WeightFormat::fp8}) {
    const auto on_gpu = lm::load_model(fixture.folder, {.device = at::kCUDA, .weights = weights});
    const auto on_cpu = lm::load_model(fixture.folder, {.weights = weights});
    findings.add(base::str(fixture.folder.filename().string(), " f32 ",
                           lm::weight_format_name(weights), " against the CPU"),
                 scaled_error(logits_of(*on_gpu, texts[0]), logits_of(*on_cpu, texts[0])), 1e-4);
  }
}

// ---- random decoders whose heads the kernels read -----------------------------------------------

lm::ModelConfig gpt_oss_config() {
  lm::ModelConfig c;
  c.family = "gpt_oss";
  c.hidden_size = 256, c.intermediate_size = 256, c.layers = 4;
  c.query_heads = 16, c.kv_heads = 2, c.head_dim = 64;
  c.vocab_size = 2000, c.max_position_embeddings = 4096, c.rms_norm_eps = 1e-5;
  c.qkv_bias = c.output_bias = c.mlp_bias = c.wide_norm_weight = c.sinks = true;
  c.windows = {128, 0, 128, 0};
  c.experts = lm::ExpertsConfig{.experts = 8, .experts_per_token = 4, .intermediate_size = 256};
  return c;
}

lm::ModelConfig deepseek_config() {
  lm::ModelConfig c;
  c.family = "deepseek_v3";
  c.hidden_size = 256, c.intermediate_size = 512, c.layers = 3;
  c.query_heads = c.kv_heads = 4, c.head_dim = 192;
  c.vocab_size = 2000, c.max_position_embeddings = 4096, c.rms_norm_eps = 1e-6;
  c.latent = lm::LatentAttentionConfig{
      .query_rank = 96, .kv_rank = 64, .plain_dim = 128, .rotary_dim = 64, .value_dim = 128};
  c.experts = lm::ExpertsConfig{.experts = 16,
                                .experts_per_token = 4,
                                .intermediate_size = 128,
                                .shared_experts = 1,
                                .first_dense_layers = 1,
                                .groups = 4,
                                .top_groups = 2,
                                .scale = 2.5};
  return c;
}

lm::ModelConfig qwen3_config() {
  lm::ModelConfig c;
  c.family = "qwen3";
  c.hidden_size = 256, c.intermediate_size = 512, c.layers = 3;
  c.query_heads = 8, c.kv_heads = 2, c.head_dim = 128;
  c.vocab_size = 2000, c.max_position_embeddings = 4096, c.rms_norm_eps = 1e-6;
  c.tied_embeddings = c.qk_norm = true;
  return c;
}

// The same numbers, those of bfloat16, on any device.
std::shared_ptr<const lm::Model> random_model(const lm::ModelConfig& c, at::ScalarType dtype,
                                              at::Device device, Randoms random) {
  return lm::build_model(c, [&](const std::string& name, at::IntArrayRef shape) {
    const bool norm = name.find("norm") != std::string::npos;
    const double scale = shape.size() < 2 ? 0.1 : 1 / std::sqrt(static_cast<double>(shape.back()));
    auto x = random.normal(shape, at::kBFloat16, scale);
    if (norm) x = x + 1;
    return x.to(device, dtype);
  });
}

std::vector<GenerateRequest> mixed_requests(int64_t vocabulary, Randoms& random) {
  std::vector<GenerateRequest> requests;
  for (int64_t i = 0; i < 40; ++i) {
    const auto ids = random.below(vocabulary, 1 + i * 53 % 300).cpu();
    GenerateRequest r{
        .ids = Ids(ids.const_data_ptr<int64_t>(), ids.const_data_ptr<int64_t>() + ids.numel()),
        .max_new_tokens = 24};
    if (i % 3 == 1) r.sampling = {.temperature = 0.8, .top_k = 50, .top_p = 0.9, .seed = 4};
    requests.push_back(std::move(r));
  }
  return requests;
}

void check_random_decoder(const lm::ModelConfig& c, Randoms& random, Findings& findings) {
  const at::NoGradGuard no_grad;
  const auto gpu = random_model(c, at::kBFloat16, at::kCUDA, random);
  const auto cpu = random_model(c, at::kFloat, at::kCPU, random);
  const auto requests = mixed_requests(c.vocab_size, random);
  const auto together = lm::generate(*gpu, requests, {.batch = 40});
  std::string wrong;
  std::vector<lm::ScoreRequest> chosen;
  std::vector<float> ours, theirs;
  for (size_t i = 0; i < requests.size(); i += 4) {
    const auto alone = lm::generate(*gpu, {requests[i]}, {.batch = 1})[0];
    const auto& one = together[i];
    const auto bits = [](float a, float b) {
      return std::bit_cast<int32_t>(a) == std::bit_cast<int32_t>(b);
    };
    if (alone.ids != one.ids ||
        !std::equal(alone.logprobs.begin(), alone.logprobs.end(), one.logprobs.begin(), bits))
      wrong += base::str("request ", i, " ");
    chosen.push_back({.prompt = requests[i].ids, .continuation = one.ids});
    ours.insert(ours.end(), one.logprobs.begin(), one.logprobs.end());
  }
  for (const auto& score : lm::score(*cpu, chosen, {}))
    theirs.insert(theirs.end(), score.logprobs.begin(), score.logprobs.end());
  // Rounding may send a token to another expert.
  findings.add(c.family + " of kernels' heads, log-probabilities in bf16 against f32",
               relative_error(at::tensor(ours), at::tensor(theirs)), c.experts ? 6e-2 : 3e-2,
               wrong);
}

// ---- encoders and encoder-decoders --------------------------------------------------------------

lm::T5Config t5_config(bool gated) {
  lm::T5Config c;
  c.hidden_size = 256, c.head_dim = 64, c.heads = 4, c.intermediate_size = 512;
  c.layers = 3, c.decoder_layers = 3, c.vocab_size = 2000;
  c.gated = gated, c.scaled_output = !gated, c.own_head = gated;
  return c;
}

std::shared_ptr<const lm::T5Model> random_t5(const lm::T5Config& c, const LoadOptions& options,
                                             Randoms random) {
  return std::make_shared<lm::T5Model>(c, [&](const std::string& name, at::IntArrayRef shape) {
    const bool norm = name.find("norm") != std::string::npos;
    const double scale = name.find("relative") != std::string::npos || norm
                             ? 0.3
                             : 0.6 / std::sqrt(static_cast<double>(shape.back()));
    auto x = random.normal(shape, at::kBFloat16, name == "shared.weight" ? 1 : scale);
    if (norm) x = x + 1;
    return x.to(options.device, options.dtype);
  });
}

using Completions = std::vector<lm::Completion>;

// Greedy and by eight beams; a beam's result stands as a completion.
Completions t5_completions(const lm::T5Model& model, const std::vector<at::Tensor>& inputs,
                           const std::vector<Ids>& ids, int64_t rows) {
  std::vector<GenerateRequest> requests;
  std::vector<lm::BeamRequest> beams;
  for (size_t i = 0; i < ids.size(); ++i) {
    requests.push_back({.ids = ids[i], .max_new_tokens = 20, .stop_ids = {1}});
    requests.back().embeddings = inputs[i];
    beams.push_back({.prompt = {ids[i], inputs[i]},
                     .max_new_tokens = 20,
                     .beams = 8,
                     .repetition_penalty = 1.2,
                     .no_repeat_ngram = 3,
                     .stop_ids = {1}});
  }
  auto out = lm::generate(model, requests, {.batch = rows});
  const auto batch = lm::make_sequence_batch(model);
  for (const auto& found : lm::beam_search(*batch, beams, {.rows = 8 * rows})) {
    out.emplace_back();
    out.back().ids = found[0].ids, out.back().logprobs = found[0].logprobs;
  }
  return out;
}

double unlike(const Completions& a, const Completions& b) {
  double count = 0;
  for (size_t i = 0; i < a.size(); ++i) count += a[i].ids != b[i].ids;
  return count;
}

std::string dependent(const Completions& a, const Completions& b) {
  std::string wrong;
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i].ids != b[i].ids || a[i].logprobs != b[i].logprobs) wrong += base::str(i, " ");
  }
  return wrong;
}

std::vector<Ids> sources_of(int64_t vocabulary, Randoms& random) {
  std::vector<Ids> out;
  for (const int64_t length : {1, 7, 40, 16, 90, 3}) {
    const auto ids = random.below(vocabulary - 3, length).cpu() + 3;
    out.emplace_back(ids.const_data_ptr<int64_t>(), ids.const_data_ptr<int64_t>() + length);
    out.back().push_back(1);
  }
  return out;
}

void check_t5(const lm::T5Config& c, Randoms& random, Findings& findings) {
  const at::NoGradGuard no_grad;
  const auto ids = sources_of(c.vocab_size, random);
  const std::vector<at::Tensor> none(ids.size());
  const auto cpu = random_t5(c, {}, random);
  const auto truth = t5_completions(*cpu, none, ids, 6);
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    const auto gpu = random_t5(c, {.dtype = dtype, .device = at::kCUDA}, random);
    const bool half = dtype == at::kBFloat16;
    const auto name = base::str("T5 ", c.gated ? "gated" : "relu", half ? " bf16" : " f32");
    double error = 0;
    for (const auto& source : ids) {
      const auto hidden = [&](const lm::Encoder& encoder) {
        const auto x = encoder.embed(at::tensor(source, at::kLong).to(encoder.device()));
        return encoder.hidden(
            x, nn::make_packing({static_cast<int64_t>(source.size())}, encoder.device()));
      };
      error = std::max(error, scaled_error(hidden(gpu->encoder()), hidden(cpu->encoder())));
    }
    findings.add(name + " encoder", error, half ? 3e-2 : 1e-4);
    const auto together = t5_completions(*gpu, none, ids, 6);
    findings.add(name + " completions unlike the CPU's", half ? 0 : unlike(together, truth), 0,
                 dependent(t5_completions(*gpu, none, ids, 1), together));
  }
}

void check_vec2text(const fs::path& folder, Randoms& random, Findings& findings) {
  const at::NoGradGuard no_grad;
  const auto cpu = lm::load_vec2text(folder, {});
  const auto gpu = lm::load_vec2text(folder, {.device = at::kCUDA});
  const auto& config = cpu->config();
  std::vector<at::Tensor> on_cpu, on_gpu;
  std::vector<Ids> none;
  double error = 0;
  for (int i = 0; i < 5; ++i) {
    const auto target = random.normal({config.embedding_size}, at::kFloat).cpu();
    const auto inputs = [&](const lm::Vec2Text& model) {
      return config.corrector ? model.corrector_inputs(target, target * 0.5, {0, 5, 9, 1})
                              : model.inversion_inputs(target);
    };
    on_cpu.push_back(inputs(*cpu)), on_gpu.push_back(inputs(*gpu));
    error = std::max(error, scaled_error(on_gpu.back().nan_to_num(), on_cpu.back().nan_to_num()));
    none.emplace_back();
  }
  const auto name = "vec2text " + folder.filename().string();
  findings.add(name + " inputs", error, 1e-4);
  const auto ours = t5_completions(gpu->t5(), on_gpu, none, 5);
  findings.add(name + " completions unlike the CPU's",
               unlike(ours, t5_completions(cpu->t5(), on_cpu, none, 5)), 0,
               dependent(t5_completions(gpu->t5(), on_gpu, none, 1), ours));
}

void check_encoder(const fs::path& folder, Findings& findings) {
  const at::NoGradGuard no_grad;
  const Fixture fixture(folder, folder);
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    const bool half = dtype == at::kBFloat16;
    const auto gpu = lm::load_encoder(folder, {.dtype = dtype, .device = at::kCUDA});
    double error = 0;
    const auto& sources = fixture.expected["sources"];
    for (size_t i = 0; i < sources.size(); ++i) {
      const auto ids = at::tensor(sources[i].get<Ids>(), at::kLong).to(at::kCUDA);
      const auto hidden = gpu->hidden(gpu->embed(ids), nn::make_packing({ids.size(0)}, at::kCUDA));
      error = std::max(error, scaled_error(hidden, fixture.tensor(base::str("hidden.", i))));
    }
    findings.add(base::str("encoder ", folder.filename().string(), half ? " bf16" : " f32"), error,
                 half ? 3e-2 : 1e-4);
  }
}

// ---- sampling -----------------------------------------------------------------------------------

// Rows of few different logits, so that edges fall into ties: the GPU must keep what the CPU keeps.
void check_ties(Randoms& random, Findings& findings) {
  const int64_t rows = 256, vocabulary = 999;
  const auto logits = (random.below(7, rows * vocabulary).to(at::kFloat) / 2)
                          .view({rows, vocabulary})
                          .to(at::kBFloat16);
  const auto on_gpu = at::device(at::kCUDA);
  const auto uniforms = at::linspace(0, 0.9999, rows, at::kDouble);
  auto last = at::zeros({rows}, on_gpu.dtype(at::kLong));
  nn::ChosenTokens out{at::zeros_like(last), at::zeros({rows}, on_gpu)};
  const lm::SamplingOptions settings[] = {{.temperature = 1, .top_p = 0.5},
                                          {.temperature = 1, .top_p = 0.1},
                                          {.temperature = 0.7, .top_p = 0.9},
                                          {.temperature = 1, .top_k = 10},
                                          {.temperature = 2, .top_p = 0.001},
                                          {.temperature = 1, .top_k = 300, .top_p = 0.8},
                                          {.temperature = 0},
                                          {.temperature = 1, .top_p = 0.95, .min_p = 0.3}};
  for (const auto& o : settings) {
    const auto rule = at::tensor({static_cast<float>(o.temperature), static_cast<float>(o.top_k),
                                  static_cast<float>(std::log(o.min_p))});
    const auto top_p = at::full({rows}, o.top_p, at::kDouble).to(at::kCUDA);
    nn::choose_tokens(logits, {rule.repeat({rows, 1}).to(at::kCUDA), top_p, uniforms.to(at::kCUDA)},
                      at::arange(rows, on_gpu.dtype(at::kLong)), last, out);
    const auto ids = out.ids.cpu();
    auto scores = logits.cpu().to(at::kFloat);
    double wrong = 0;
    for (int64_t r = 0; r < rows; ++r) {
      const std::span<float> row(scores.data_ptr<float>() + r * vocabulary,
                                 static_cast<size_t>(vocabulary));
      lm::process_logits(row, o, {});
      wrong += lm::pick_token(row, o, uniforms.const_data_ptr<double>()[r]) !=
               ids.const_data_ptr<int64_t>()[r];
    }
    findings.add(base::str("ties, temperature ", o.temperature, " top_k ", o.top_k, " top_p ",
                           o.top_p, ": choices unlike the CPU's"),
                 wrong, 0);
  }
}

}  // namespace

void check_models(const fs::path& fixtures, Findings& findings) {
  Randoms random;
  check_ties(random, findings);
  std::vector<fs::path> folders;
  for (const auto& entry : fs::directory_iterator(fixtures / "families"))
    folders.push_back(entry.path());
  std::sort(folders.begin(), folders.end());
  for (const auto& folder : folders) {
    const bool own = fs::exists(folder / "expected.json");
    check_decoder_fixture(Fixture(folder, own ? folder : folder.parent_path() / "gpt_oss_mxfp4"),
                          findings);
  }
  for (const auto& config : {qwen3_config(), gpt_oss_config(), deepseek_config()})
    check_random_decoder(config, random, findings);
  for (const char* name : {"t5_relu", "t5_gated", "bert", "gtr"})
    check_encoder(fixtures / name, findings);
  for (const bool gated : {false, true}) check_t5(t5_config(gated), random, findings);
  for (const char* name : {"inversion", "corrector"})
    check_vec2text(fixtures / name, random, findings);
}

}  // namespace preimage::bench
