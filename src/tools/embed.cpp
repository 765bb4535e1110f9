#include <ATen/ATen.h>

#include "jsonl.hpp"
#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"
#include "tools.hpp"

namespace preimage::tools {
namespace {

using base::Json;

class Embed : public LineTool {
 public:
  Embed(const EngineOptions& options, std::string pooling)
      : engine_(options), pooling_(std::move(pooling)) {}

  std::vector<std::string> input_fields() const override { return {"text", "ids"}; }
  std::vector<std::string> output_fields() const override { return {"embedding"}; }

  void prepare(size_t lines) override {
    engine_.prepare();
    if (pooling_ == "pipeline") {
      const auto& folder = engine_.options().model;
      const bool there = std::filesystem::exists(folder / "modules.json");
      throw base::config_error(
          folder.string() +
          (there ? ": the pipeline of modules.json is not supported yet"
                 : ": this checkpoint has no modules.json, so no pipeline of its own") +
          "; use --pooling mean or --pooling first");
    }
    lines_.resize(lines);
  }
  void load(c10::Device device) override { engine_.load(device); }

  void read(size_t index, const base::JsonNode& line, std::string_view) override {
    auto ids = engine_.tokens(line, "text", "ids", engine_.options().add_special);
    if (!ids) line.fail("found no \"text\" or \"ids\", expected one");
    if (ids->empty()) line.fail("found an empty text, expected at least one token");
    const int64_t context = engine_.config().max_position_embeddings;
    if (static_cast<int64_t>(ids->size()) > context) {
      line.fail(base::str("found ", ids->size(), " tokens, the model's context holds ", context));
    }
    lines_[index] = std::move(*ids);
  }

  std::vector<Outputs> run(const std::vector<size_t>& indices) override {
    const at::NoGradGuard no_grad;
    std::vector<Outputs> outputs;
    constexpr size_t kBatchTokens = 8192;
    for (size_t first = 0; first < indices.size();) {
      std::vector<int64_t> ids, lengths;
      do {
        const auto& line = lines_[indices[first++]];
        ids.insert(ids.end(), line.begin(), line.end());
        lengths.push_back(static_cast<int64_t>(line.size()));
      } while (first < indices.size() &&
               static_cast<int64_t>(lengths.size()) < engine_.options().batch &&
               ids.size() + lines_[indices[first]].size() <= kBatchTokens);
      for (const auto& embedding : embed(ids, lengths))
        outputs.push_back({{{"embedding", shortest_numbers(embedding)}}});
    }
    return outputs;
  }

 private:
  std::vector<std::vector<float>> embed(const std::vector<int64_t>& ids,
                                        const std::vector<int64_t>& lengths) const {
    const auto& model = engine_.model();
    const auto packing = nn::make_packing(lengths, model.device());
    const auto x = model.embed(at::tensor(ids, at::kLong).to(model.device()));
    const auto hidden =
        model.hidden(x, nn::PackedAttention(packing)).to(at::kFloat).cpu().contiguous();
    std::vector<std::vector<float>> out;
    for (int64_t s = 0; s < packing.sequences(); ++s) {
      const int64_t rows = pooling_ == "first" ? 1 : packing.offsets[s + 1] - packing.offsets[s];
      out.push_back(
          mean_of_rows(hidden.const_data_ptr<float>() + packing.offsets[s] * hidden.size(1), rows,
                       hidden.size(1)));
    }
    return out;
  }

  // In the order of the tokens, so that no thread has a say in the bits.
  static std::vector<float> mean_of_rows(const float* data, int64_t rows, int64_t size) {
    std::vector<double> sum(static_cast<size_t>(size));
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t i = 0; i < size; ++i) sum[i] += data[r * size + i];
    }
    std::vector<float> mean;
    for (const double value : sum)
      mean.push_back(static_cast<float>(value / static_cast<double>(rows)));
    return mean;
  }

  Engine engine_;
  std::string pooling_;
  std::vector<std::vector<int64_t>> lines_;
};

}  // namespace

std::unique_ptr<LineTool> make_embed(const EngineOptions& options, const std::string& pooling) {
  return std::make_unique<Embed>(options, pooling);
}

}  // namespace preimage::tools
