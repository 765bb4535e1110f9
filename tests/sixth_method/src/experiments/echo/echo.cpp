#include "method.hpp"

#include "preimage/run/context.hpp"
#include "preimage/store/columns.hpp"

namespace preimage::echo {
namespace {

struct EchoConfig {
  std::vector<std::string> texts = {"one", "two", "three"};
  int64_t times = 1;
  void fields(base::Fields& f) {
    f.add("texts", texts, {.help = "what is echoed"});
    f.add("times", times, {.help = "how often", .min = 1, .max = 1000});
  }
};

struct TextRow {
  std::string text;
  int64_t bytes = 0;
  void columns(store::Columns& c) const {
    c.add("text", text, {"", "as it came back"});
    c.add("bytes", bytes, {"bytes", "its length"});
  }
};

constexpr const char* kTexts = "echo/texts";

// One wave, a unit for each text.
class EchoSearch : public run::Search {
 public:
  explicit EchoSearch(const EchoConfig& config) : config_(config) {}

  std::vector<run::Unit> ask(int64_t wave) override {
    std::vector<run::Unit> units;
    for (const auto& text : config_.texts) {
      if (wave == 0) units.push_back(run::make_unit("echo", "echo", {{"text", text}}));
    }
    return units;
  }

  void evaluate(run::Work& work) override {
    for (auto units = work.take(1); !units.empty(); units = work.take(1)) {
      const auto text = units[0].key.at("text").get<std::string>();
      TextRow row;
      for (int64_t i = 0; i < config_.times; ++i) row.text += text;
      row.bytes = std::ssize(row.text);
      store::UnitOutput out;
      out.scalars = {{"bytes", row.bytes}};
      out.rows[kTexts].push_back(store::to_row(row));
      work.commit(units[0], std::move(out));
    }
  }

  void tell(const std::vector<run::Told>&) override {}

  store::Schemas schemas() const override {
    return {.tables = {{kTexts, "One row for each text", store::schema_columns<TextRow>()}}};
  }

 private:
  EchoConfig config_;
};

class Echo : public run::Experiment {
 public:
  std::string name() const override { return "echo"; }
  std::string description() const override { return "how long texts are"; }
  void fields(base::Fields& fields) override { config_.fields(fields); }
  base::ConfigErrors check() override {
    if (config_.texts.empty()) return {"\"texts\": found none, expected one or more"};
    return {};
  }
  std::vector<std::string> identity_files() const override { return {}; }
  run::Estimate estimate() override { return {.units = std::ssize(config_.texts)}; }
  std::unique_ptr<run::Search> make_search(run::Context&) override {
    return std::make_unique<EchoSearch>(config_);
  }

 private:
  EchoConfig config_;
};

}  // namespace

std::unique_ptr<run::Experiment> make_method() {
  return std::make_unique<Echo>();
}

}  // namespace preimage::echo
