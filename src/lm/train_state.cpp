#include "train_state.hpp"

#include <ATen/ATen.h>

#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"
#include "preimage/cluster/session.hpp"
#include "preimage/lm/safetensors.hpp"

namespace preimage::lm {
namespace {

// One row of the stored curve.
constexpr int64_t kCurveColumns = 6;

at::Tensor curve_tensor(const std::vector<TrainPoint>& curve) {
  auto out = at::empty({static_cast<int64_t>(curve.size()), kCurveColumns}, at::kDouble);
  double* row = out.data_ptr<double>();
  for (const auto& p : curve) {
    for (const double value : {static_cast<double>(p.step), p.loss, p.gradient_norm,
                               p.learning_rate, p.validation_loss, p.tokens_per_s}) {
      *row++ = value;
    }
  }
  return out;
}

std::vector<TrainPoint> curve_points(const at::Tensor& tensor) {
  std::vector<TrainPoint> out;
  const double* row = tensor.const_data_ptr<double>();
  for (int64_t i = 0; i < tensor.size(0); ++i, row += kCurveColumns) {
    out.push_back({static_cast<int64_t>(row[0]), row[1], row[2], row[3], row[4], row[5]});
  }
  return out;
}

}  // namespace

TrainStateFile::TrainStateFile(std::filesystem::path folder, Parameters& parameters,
                               optim::AdamWState& adam)
    : path_(folder.empty() ? folder : folder / "train_state.safetensors"),
      parameters_(parameters),
      adam_(adam) {}

std::vector<TrainPoint> TrainStateFile::load(const cluster::Communicator& world) {
  if (path_.empty()) return {};
  // Every rank reads the same file; a state that only some of them see would part the ranks.
  const bool here = std::filesystem::exists(path_);
  if (!world.any(here)) return {};
  if (!here)
    throw base::io_error(
        path_.string() +
        ": not visible on this rank, though another rank sees it; use a shared folder");
  const SafetensorsFile file(path_);
  const auto get = [&](const char* name) {
    const auto* info = file.find(name);
    if (!info)
      throw base::data_error(path_.string() + ": holds no tensor \"" + name +
                             "\"; remove the file to start again");
    return file.read(*info);
  };
  const auto flat = get("parameters");
  if (flat.sizes() != parameters_.flat.sizes()) {
    throw base::data_error(base::str(path_.string(), ": ", flat.numel(),
                                     " parameters, this model has ", parameters_.flat.numel(),
                                     "; remove the file to start again"));
  }
  parameters_.flat.copy_(flat);
  adam_.first.copy_(get("first_moment"));
  adam_.second.copy_(get("second_moment"));
  auto curve = curve_points(get("curve"));
  adam_.steps = static_cast<int64_t>(curve.size());
  return curve;
}

void TrainStateFile::save(const std::vector<TrainPoint>& curve,
                          const cluster::Communicator& world) const {
  if (path_.empty() || !world.root()) return;
  const auto cpu = [](const at::Tensor& x) { return x.detach().to(at::kCPU).contiguous(); };
  write_safetensors(path_, {{"parameters", cpu(parameters_.flat)},
                            {"first_moment", cpu(adam_.first)},
                            {"second_moment", cpu(adam_.second)},
                            {"curve", curve_tensor(curve)}});
}

}  // namespace preimage::lm
