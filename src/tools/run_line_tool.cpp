#include <cstdio>

#include <ATen/Parallel.h>

#include "preimage/base/terminal.hpp"
#include "preimage/cluster/placement.hpp"
#include "preimage/nn/free_order.hpp"
#include "tools.hpp"

namespace preimage::tools {
namespace {

class Ranks : public lines::Team {
 public:
  explicit Ranks(const cluster::Communicator& world) : world_(world) {}
  int rank() const override { return world_.rank(); }
  int size() const override { return world_.size(); }
  std::vector<std::string> all_gather(const std::string& text) const override {
    return world_.all_gather(text);
  }
  std::string on_root(const std::function<std::string()>& action) const override {
    return cluster::on_root(world_, action);
  }
  void together(const std::function<void()>& action) const override {
    cluster::together(world_, action);
  }
  void each(int64_t count, const std::function<void(int64_t, int64_t)>& range) const override {
    at::parallel_for(0, count, 8, range);
  }

 private:
  const cluster::Communicator& world_;
};

}  // namespace

int run_line_tool(const cluster::Session& session, const lines::LineOptions& options,
                  LineTool& tool) {
  return cluster::run_ranked(
      session,
      [&] {
        const auto placement =
            cluster::place(session, {.device = options.device, .threads = options.threads});
        cluster::apply(placement);
        const nn::FreeOrder order(options.fast);
        lines::run_lines(Ranks(session.world()), options, placement.device.str(), tool);
        return 0;
      },
      [](base::ExitCode, const std::string& text) {
        std::fprintf(stderr, "preimage: %s\n", base::visible_text(text).c_str());
      });
}

}  // namespace preimage::tools
