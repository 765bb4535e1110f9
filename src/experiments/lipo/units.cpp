#include "units.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include <ATen/ATen.h>

namespace preimage::lipo {
namespace {

// NaN is null in a journal.
base::Json number(double value) {
  return std::isfinite(value) ? base::Json(value) : base::Json();
}

double number_of(const base::Json& json) {
  return json.is_null() ? not_a_number : json.get<double>();
}

struct NamedNumber {
  const char* name;
  double ArmStep::Numbers::*member;
};
using N = ArmStep::Numbers;
constexpr NamedNumber kNumbers[] = {{"predicted_mean", &N::predicted_mean},
                                    {"predicted_std", &N::predicted_std},
                                    {"acquisition", &N::acquisition},
                                    {"gap_align", &N::gap_align},
                                    {"gap_code", &N::gap_code},
                                    {"gap_plan", &N::gap_plan},
                                    {"cosine", &N::cosine},
                                    {"nearest", &N::nearest},
                                    {"gp_loss", &N::gp_loss},
                                    {"gp_noise", &N::gp_noise},
                                    {"gp_outputscale", &N::gp_outputscale}};
struct NamedCount {
  const char* name;
  int64_t ArmStep::Numbers::*member;
};
constexpr NamedCount kCounts[] = {{"active_bounds", &N::active_bounds},
                                  {"inversion_rounds", &N::inversion_rounds},
                                  {"redraws", &N::redraws},
                                  {"observations", &N::observations}};

at::Tensor or_nan(const at::Tensor& tensor, int64_t width, at::ScalarType dtype) {
  return tensor.defined() ? tensor.to(dtype) : at::full({width}, not_a_number, dtype);
}

at::Tensor first_tensor(const store::UnitOutput& output, const char* name) {
  const auto found = output.tensors.find(name);
  if (found == output.tensors.end() || found->second.empty()) return {};
  auto tensor = loaded(found->second.front());
  return tensor.isnan().all().item<bool>() ? at::Tensor() : tensor;
}

}  // namespace

store::Tensor stored(const at::Tensor& tensor) {
  const auto plain = tensor.detach().cpu().contiguous();
  store::Tensor out{plain.sizes().vec(), {}};
  if (plain.scalar_type() == at::kDouble) {
    const double* data = plain.const_data_ptr<double>();
    out.values = std::vector<double>(data, data + plain.numel());
  } else {
    const auto single = plain.to(at::kFloat);
    const float* data = single.const_data_ptr<float>();
    out.values = std::vector<float>(data, data + single.numel());
  }
  return out;
}

at::Tensor loaded(const store::Tensor& tensor) {
  if (const auto* wide = std::get_if<std::vector<double>>(&tensor.values))
    return at::tensor(*wide, at::kDouble).view(tensor.shape);
  return at::tensor(std::get<std::vector<float>>(tensor.values), at::kFloat).view(tensor.shape);
}

void add_fit(store::UnitOutput& out, const bo::GpModel& model, const FitName& name) {
  const auto hyper = bo::gp_hyperparameters(model.shape, model.parameters);
  const auto& lengths = hyper.lengthscales;
  GpRow row{.arm = name.arm,
            .seed = name.seed,
            .number = name.number,
            .observations = std::ssize(model.data.targets),
            .items = name.items,
            .epochs = model.epochs,
            .loss = model.loss,
            .outputscale = hyper.outputscale,
            .noise = hyper.noise,
            .lengthscale_min = *std::min_element(lengths.begin(), lengths.end()),
            .lengthscale_mean = std::accumulate(lengths.begin(), lengths.end(), 0.0) /
                                static_cast<double>(lengths.size()),
            .jitter = model.jitter,
            .target_mean = model.target.mean,
            .target_std = model.target.std};
  out.rows[table::gp].push_back(store::to_row(row));
  out.tensors[table::gp_inputs].push_back(stored(model.data.inputs));
  out.tensors[table::gp_targets].push_back(stored(at::tensor(model.data.targets, at::kDouble)));
  auto noise = model.data.noise;
  const double unit = model.target.std * model.target.std;
  if (noise.empty()) noise.assign(model.data.targets.size(), hyper.noise * unit);
  out.tensors[table::gp_noise].push_back(stored(at::tensor(noise, at::kDouble)));
  out.tensors[table::gp_parameters].push_back(stored(model.parameters));
}

base::Json to_json(const std::vector<Ladder::Proposed>& proposed) {
  auto list = base::Json::array();
  for (const auto& one : proposed)
    list.push_back(
        {{"candidate", one.candidate}, {"by_model", one.by_model}, {"score", number(one.score)}});
  return list;
}

std::vector<Ladder::Proposed> proposed_of(const base::Json& scalars) {
  std::vector<Ladder::Proposed> out;
  for (const auto& one : scalars.at("proposed"))
    out.push_back({one.at("candidate").get<int64_t>(), one.at("by_model").get<bool>(),
                   number_of(one.at("score"))});
  return out;
}

void add_step(store::UnitOutput& out, const ArmStep& step, const ArmGround& ground) {
  auto asked = base::Json::array();
  for (const auto& one : step.asked) asked.push_back({{"text", one.text}, {"items", one.items}});
  base::Json numbers;
  for (const auto& [name, member] : kNumbers) numbers[name] = number(step.numbers.*member);
  for (const auto& [name, member] : kCounts) numbers[name] = step.numbers.*member;
  out.scalars = {{"asked", asked}, {"numbers", numbers}, {"first_text", step.first_text}};
  if (step.asked.empty()) return;
  const int64_t latent = ground.vae.latent_dim, width = ground.vae.embedding_dim;
  out.tensors[table::proposals].push_back(stored(or_nan(step.proposal, latent, at::kDouble)));
  out.tensors[table::proposal_latents].push_back(stored(or_nan(step.latent, latent, at::kDouble)));
  out.tensors[table::proposal_embeddings].push_back(
      stored(or_nan(step.embedding, width, at::kFloat)));
}

ArmStep step_of(const base::Json& scalars, const store::UnitOutput& output) {
  ArmStep step{.numbers = no_numbers()};
  for (const auto& one : scalars.at("asked"))
    step.asked.push_back({one.at("text").get<std::string>(), one.at("items").get<int64_t>()});
  const auto& numbers = scalars.at("numbers");
  for (const auto& [name, member] : kNumbers) step.numbers.*member = number_of(numbers.at(name));
  for (const auto& [name, member] : kCounts) step.numbers.*member = numbers.at(name).get<int64_t>();
  step.first_text = scalars.at("first_text").get<std::string>();
  step.proposal = first_tensor(output, table::proposals);
  step.latent = first_tensor(output, table::proposal_latents);
  step.embedding = first_tensor(output, table::proposal_embeddings);
  step.parameters = first_tensor(output, table::gp_parameters);
  return step;
}

IterationRow iteration_row(const ArmStep& step) {
  const auto& n = step.numbers;
  return {.text = step.asked.front().text,
          .first_text = step.first_text,
          .asked = std::ssize(step.asked),
          .asked_items = step.asked.front().items,
          .predicted_mean = n.predicted_mean,
          .predicted_std = n.predicted_std,
          .acquisition = n.acquisition,
          .gap_align = n.gap_align,
          .gap_code = n.gap_code,
          .gap_plan = n.gap_plan,
          .cosine = n.cosine,
          .nearest = n.nearest,
          .active_bounds = n.active_bounds,
          .inversion_rounds = n.inversion_rounds,
          .redraws = n.redraws,
          .observations = n.observations};
}

}  // namespace preimage::lipo
