// What a model says of itself where its file and its config.json differ; the numbers are in
// tests/compat.
#include "checkpoint/tensor_names.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ATen/ATen.h>

#include "lm/fixture.hpp"
#include "preimage/base/file.hpp"
#include "preimage/lm/model.hpp"
#include "preimage/lm/train/train.hpp"

namespace preimage::lm {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;
using Tensors = std::vector<std::pair<std::string, at::Tensor>>;

// llama3_tied with its tensors renamed; those whose new name is "" are left out.
class Renamed {
 public:
  template <class Rename>
  explicit Renamed(const Rename& rename) {
    const auto from = fixture("families/llama3_tied");
    folder_.put("config.json", base::read_file(from / "config.json"));
    const SafetensorsFile file(from / "model.safetensors");
    Tensors tensors;
    for (const auto& info : file.tensors()) {
      const std::string name = rename(info.name);
      auto tensor = file.read(info);
      if (name == kHead && info.name != kEmbedding) tensor = tensor + 1;
      if (!name.empty()) tensors.emplace_back(name, tensor);
    }
    write_safetensors(folder_ / "model.safetensors", tensors);
  }
  std::filesystem::path path() const { return folder_.path(); }

 private:
  Folder folder_;
};

TEST(TensorNames, AHeadOfItsOwnIsUsedWithAWord) {
  const Renamed folder([](const std::string& name) { return name; });
  const auto model = load_model(folder.path(), {});
  EXPECT_FALSE(model->config().tied_embeddings);
  EXPECT_THAT(model->config().notes, Contains(HasSubstr("tie_word_embeddings")));
  EXPECT_FALSE(at::equal(model->head().matrix(), model->embedding_table()));
  // Who wants no head hears of none.
  EXPECT_THAT(load_model(folder.path(), {.head = false})->config().notes, IsEmpty());
  // A training that would tie them stops.
  const auto config = read_model_config(folder.path());
  EXPECT_THAT(data_error_of([&] { load_parameters(folder.path(), config, at::kCPU); }),
              HasSubstr("set tie_word_embeddings to false"));
}

TEST(TensorNames, OneMatrixUnderEitherName) {
  const Renamed folder([](const std::string& name) -> std::string {
    if (name == kHead) return "";
    return name == kEmbedding ? kHead : name;
  });
  const auto model = load_model(folder.path(), {});
  EXPECT_TRUE(model->config().tied_embeddings);
  EXPECT_THAT(model->config().notes, IsEmpty());
  const auto config = read_model_config(folder.path());
  const auto parameters = load_parameters(folder.path(), config, at::kCPU);
  EXPECT_TRUE(at::equal(parameters.views.at(kEmbedding), model->embedding_table()));
}

TEST(TensorNames, WithoutAPrefix) {
  const Renamed folder([](const std::string& name) -> std::string {
    if (name == kHead) return "";
    return name.substr(std::string_view("model.").size());
  });
  EXPECT_EQ(data_error_of([&] { load_model(folder.path(), {}); }), "");
  const auto config = read_model_config(folder.path());
  EXPECT_EQ(data_error_of([&] { load_parameters(folder.path(), config, at::kCPU); }), "");
}

}  // namespace
}  // namespace preimage::lm
