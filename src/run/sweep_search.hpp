// Several searches of one method as one, for sweeps.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "preimage/run/search.hpp"
#include "preimage/run/sweep.hpp"

namespace preimage::run {

class SweepSearch : public Search {
 public:
  explicit SweepSearch(std::vector<SweepPart> parts);

  std::vector<Unit> ask(int64_t wave) override;
  void prepare(int64_t wave) override;
  void evaluate(Work& work) override;
  void tell(const std::vector<Told>& results) override;
  store::UnitOutput finish() override;
  store::Schemas schemas() const override;

 private:
  class PartWork;
  struct Origin {
    size_t part;
    Unit inner;
  };

  void add_columns(size_t part, store::UnitOutput& output) const;
  void drop_columns(store::UnitOutput& output) const;

  std::vector<SweepPart> parts_;
  std::vector<store::Column> columns_;  // one for each swept field
  std::vector<bool> ended_;
  std::vector<bool> active_;               // parts with units in this wave
  std::map<std::string, Origin> origins_;  // outer id -> whose unit it is, of this wave
};

// search_loop() without regard to sweeps: all waves, finish() and the merge into results.h5.
void run_to_end(Context& context, Search& search);

}  // namespace preimage::run
