// A model that the combinations of a sweep share.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "preimage/lm/model.hpp"

namespace preimage::lm {

// Equal for calls of load_model() that give the same model.
std::string load_key(const std::filesystem::path& folder, const LoadOptions& options);

// load_model(), once for all that ask; its notes go into the log. `Context` is run::Context, which
// this room does not see: anything with shared<T>(key, make).
template <class Context>
std::shared_ptr<const Model> shared_model(const Context& context,
                                          const std::filesystem::path& folder,
                                          const LoadOptions& options) {
  const std::function<std::shared_ptr<const Model>()> make = [&] {
    auto model = load_model(folder, options);
    if constexpr (requires { context.log().warn(std::string()); }) {
      for (const auto& note : model->config().notes) context.log().warn(note);
    }
    return model;
  };
  return context.template shared<Model>(load_key(folder, options), make);
}

}  // namespace preimage::lm
