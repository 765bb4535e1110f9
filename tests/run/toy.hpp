// A small search with everything that a real one has: waves that depend on results, rows, tensors,
// scalars, units that take a while, and a unit that kills its process when asked to.
#pragma once

#include <unistd.h>

#include <chrono>
#include <csignal>
#include <thread>

#include "preimage/base/error.hpp"
#include "preimage/base/file.hpp"
#include "preimage/base/random.hpp"
#include "preimage/base/str.hpp"
#include "preimage/cluster/session.hpp"
#include "preimage/run/context.hpp"
#include "preimage/run/experiment.hpp"
#include "preimage/run/progress.hpp"
#include "preimage/run/search.hpp"

namespace preimage::tests {

struct ToyOptions {
  int64_t waves = 3;
  int64_t units = 20;
  int64_t sleep_ms = 2;
  int64_t scale = 1;
  int64_t deadly = -1;  // unit of wave 1 that kills its process
  int64_t hang = -1;    // unit of wave 1 that never ends
  std::string file;     // identity file
  void fields(base::Fields& f) {
    f.add("waves", waves, {.help = "waves", .min = 0});
    f.add("units", units, {.help = "units of a wave", .min = 0, .max = 10000});
    f.add("sleep_ms", sleep_ms, {.help = "time of a unit", .role = base::FieldRole::placement});
    f.add("scale", scale, {.help = "factor of the values"});
    f.add("deadly", deadly, {.help = "unit that kills", .role = base::FieldRole::placement});
    f.add("hang", hang, {.help = "unit that hangs", .role = base::FieldRole::placement});
    f.add("file", file, {.help = "a file whose content matters"});
  }
};

class ToySearch : public run::Search {
 public:
  ToySearch(run::Context& context, const ToyOptions& options)
      : context_(context), options_(options) {}

  std::vector<run::Unit> ask(int64_t wave) override {
    wave_ = wave;
    std::vector<run::Unit> out;
    if (wave >= options_.waves) return out;
    // The second half of each wave depends on what was told; unit 0 of wave 0 is asked for again.
    for (int64_t i = 0; i < options_.units; ++i) {
      const int64_t salt = i < options_.units / 2 ? 0 : salt_;
      out.push_back(make(wave, i, salt));
    }
    if (wave > 0 && options_.units > 0) out.push_back(make(0, 0, 0));
    return out;
  }

  // Counts the waves that all ranks prepared, in a file that a resumed run finds again.
  void prepare(int64_t wave) override {
    base::check(wave == wave_, "a wave is prepared after it was asked for");
    base::check(context_.world().all_reduce_sum(wave) == wave * context_.world().size(),
                "all ranks prepare the same wave");
    prepared_ = wave + 1;
    cluster::on_root(context_.world(), [&] {
      std::filesystem::create_directories(context_.folder());
      base::write_file_atomically(context_.folder() / "prepared", std::to_string(prepared_));
      return std::string();
    });
  }

  void evaluate(run::Work& work) override {
    for (auto units = work.take(2); !units.empty(); units = work.take(2)) {
      for (const auto& unit : units) {
        if (work.stopping()) return;
        work.commit(unit, compute(unit));
      }
    }
  }

  void tell(const std::vector<run::Told>& results) override {
    for (const auto& told : results) {
      seen_ += told.quarantined ? 0 : 1;
      if (told.quarantined) continue;
      // The rows that the unit committed, without what a sweep adds to them.
      const auto row = told.output().rows.at("toy/values").at(0);
      base::check(row.size() == 5 && row[2] == store::Cell(told.scalars["value"].get<int64_t>()),
                  "a search gets the rows back that it gave");
      salt_ = (salt_ * 31 + told.scalars["value"].get<int64_t>()) % 1000003;
    }
    context_.progress().note(base::str("salt ", salt_));
  }

  store::UnitOutput finish() override {
    store::UnitOutput out;
    out.rows["toy/summary"].push_back({seen_, salt_, prepared_});
    return out;
  }

  store::Schemas schemas() const override {
    return {
        .tables = {{.name = "toy/values",
                    .description = "one row a unit",
                    .columns = {{"wave", store::Type::i64},
                                {"number", store::Type::i64},
                                {"value", store::Type::i64},
                                {"text", store::Type::text},
                                {.name = "seconds", .type = store::Type::f64, .measured = true}}},
                   {.name = "toy/summary",
                    .description = "the end",
                    .columns = {{"told", store::Type::i64},
                                {"salt", store::Type::i64},
                                {"prepared", store::Type::i64}}}},
        .tensors = {{.name = "toy/vectors", .description = "vectors", .axes = {"unit", "d"}}}};
  }

  int64_t salt() const { return salt_; }
  int64_t seen() const { return seen_; }

 private:
  run::Unit make(int64_t wave, int64_t i, int64_t salt) const {
    auto unit =
        run::make_unit(context_.method(), "toy", {{"wave", wave}, {"i", i}, {"salt", salt}});
    // Those of several combinations mix when they are sorted by it.
    unit.cost = static_cast<double>((i * 7 + options_.scale * 5 + options_.units) % 11);
    return unit;
  }

  store::UnitOutput compute(const run::Unit& unit) {
    const int64_t i = unit.key["i"];
    std::this_thread::sleep_for(std::chrono::milliseconds(options_.sleep_ms));
    if (wave_ == 1 && i == options_.deadly) ::kill(::getpid(), SIGKILL);
    while (wave_ == 1 && i == options_.hang)
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    const base::RandomStream random(context_.seed(), unit.id, "toy");
    const auto value = options_.scale * static_cast<int64_t>(random.below(1000, 0));
    store::UnitOutput out;
    out.scalars = {{"value", value}};
    out.rows["toy/values"].push_back(
        {unit.key["wave"].get<int64_t>(), i, value, base::str("text ", value), 0.5});
    std::vector<float> vector;
    for (int64_t d = 0; d < 3 + i % 2; ++d) {
      vector.push_back(static_cast<float>(random.normal(static_cast<uint64_t>(d))));
    }
    out.tensors["toy/vectors"].push_back({{static_cast<int64_t>(vector.size())}, vector});
    return out;
  }

  run::Context& context_;
  ToyOptions options_;
  int64_t wave_ = 0;
  int64_t salt_ = 7;
  int64_t seen_ = 0;
  int64_t prepared_ = 0;
};

class ToyExperiment : public run::Experiment {
 public:
  std::string name() const override { return "toy"; }
  std::string description() const override { return "for tests"; }
  void fields(base::Fields& fields) override { options_.fields(fields); }
  base::ConfigErrors check() override {
    if (options_.scale == 13) return {"toy.scale: 13 is unlucky; use another"};
    return {};
  }
  std::vector<std::string> identity_files() const override {
    return options_.file.empty() ? std::vector<std::string>{}
                                 : std::vector<std::string>{options_.file};
  }
  run::Estimate estimate() override { return {.units = options_.waves * options_.units}; }
  std::unique_ptr<run::Search> make_search(run::Context& context) override {
    return std::make_unique<ToySearch>(context, options_);
  }

 private:
  ToyOptions options_;
};

inline std::unique_ptr<run::Experiment> toy_factory(const std::string& method) {
  return method == "toy" ? std::make_unique<ToyExperiment>() : nullptr;
}

}  // namespace preimage::tests
